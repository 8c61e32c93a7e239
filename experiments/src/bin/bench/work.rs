//! What is timed: training steps on random images, and convolutions.

use anyhow::Result;
use candle_core::{Device, Tensor, Var};
use l0::{GatedNet, Lambda, Objective};
use l0_data::{Batch, Normalise, Split};
use l0_experiments::recipes;
use l0_net::Builder;
use l0_net::layers::Conv2d;
use l0_rng::{Purpose, Stream};
use l0_train::{Optimiser, Trainer, Training};
use serde_json::{Value, json};

/// What is timed: our work, and what PyTorch is asked to do.
pub(crate) struct Row {
    pub(crate) ours: Box<dyn FnMut() -> Result<()>>,
    pub(crate) peer: Value,
    /// Whether the peer's tensors may lie with their channels last.
    pub(crate) is_of_images: bool,
    pub(crate) times: usize,
    pub(crate) flop: f64,
}

/// A row that is not prepared yet.
pub(crate) type Prepare = Box<dyn FnOnce() -> Result<Row>>;

pub(crate) fn stream(name: &str) -> Stream {
    Stream::new(1, Purpose::Other, 0, 0, name)
}

/// As the small networks are trained, but for gates, which stay where they are put, and for epochs that never run out.
pub(crate) fn adam() -> Training {
    Training { epochs: 1_000_000, gate_optimiser: Optimiser::adam(1e-9), ..recipes::quickstart().training }
}

/// As the residual ones are.
pub(crate) fn sgd() -> Training {
    let optimiser = Optimiser::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true };
    Training { optimiser, ..adam() }
}

pub(crate) fn all() -> Result<Vec<(&'static str, Prepare)>> {
    let (mlp, lenet5) = (l0_mlp::lenet_300_100(), l0_lenet5::lenet5_caffe());
    let (adam, sgd) = (adam(), sgd());
    let wrn_l0 = l0_wide_resnet::l0(&l0_wide_resnet::wrn_16_1(10))?;
    let (mlp_l0, lenet5_l0) = (l0_mlp::l0(&mlp)?, l0_lenet5::l0(&lenet5)?);
    let open = |units: &[usize]| Some(units.to_vec());
    let mlp = |open: Option<Vec<usize>>| step(&mlp_l0, open, "mlp", 100, 20, &adam);
    let lenet5_l0 = |open: Option<Vec<usize>>| step(&lenet5_l0, open, "lenet5", 100, 10, &adam);
    let resnet = l0_resnet::Config { shortcut: l0_resnet::Shortcut::Projected, ..l0_resnet::Config::cifar(20) };
    let (resnet20, resnet20_l0) = (l0_resnet::dense(&resnet)?, l0_resnet::l0(&resnet)?);
    let half = Some(resnet20_l0.gated_units().iter().map(|units| units / 2).collect());
    let lenet5_dense = step(&l0_lenet5::dense(&lenet5)?, None, "lenet5-dense", 100, 10, &adam);
    Ok(vec![
        ("MLP step, gates as initialised", mlp(None)),
        ("MLP step, gates at 219-214-100", mlp(open(&[219, 214, 100]))),
        ("LeNet-5 step, dense, no gates", lenet5_dense),
        ("LeNet-5 step, gates as initialised", lenet5_l0(None)),
        ("LeNet-5 step, gates at 20-25-45-462", lenet5_l0(open(&[20, 25, 45, 462]))),
        ("LeNet-5 step, gates at 9-18-65-25", lenet5_l0(open(&[9, 18, 65, 25]))),
        ("WRN-16-1 step, gates as initialised", step(&wrn_l0, None, "wrn", 128, 3, &sgd)),
        ("ResNet-20 step, dense", step(&resnet20, None, "resnet20", 128, 3, &sgd)),
        ("ResNet-20 step, half of each set of gates (peer: dense)", step(&resnet20_l0, half, "resnet20", 128, 5, &sgd)),
        ("depthwise block 64x16x16 -> 128 step, dense", step(&depthwise()?, None, "depthwise", 128, 10, &sgd)),
        ("conv 64x160x32x32 -> 160, 3x3, with backward", conv([64, 160, 32, 32], 160, 3, 1, 2)),
        ("conv 64x16x32x32 -> 16, 3x3, with backward", conv([64, 16, 32, 32], 16, 3, 1, 10)),
        ("conv 100x20x12x12 -> 50, 5x5, with backward", conv([100, 20, 12, 12], 50, 5, 0, 10)),
    ])
}

/// A block of a MobileNet: a depthwise convolution and a 1x1 convolution, both normalised.
fn depthwise() -> Result<GatedNet> {
    let mut b = Builder::image("image", 64, 16, 16);
    let depthwise = Conv2d::new(64, 3).padding(1).groups(64).without_bias();
    b.layer("depthwise", depthwise).batch_norm("bn1").relu();
    b.conv2d_same("pointwise", 128, 1, 1).batch_norm("bn2").relu().global_avg_pool().linear("fc", 10);
    Ok(GatedNet::new(b.build()?, &[])?)
}

/// What the peer is asked for beside ours.
fn step(
    network: &GatedNet,
    open: Option<Vec<usize>>,
    model: &'static str,
    batch: usize,
    times: usize,
    training: &Training,
) -> Prepare {
    let (network, training) = (network.clone(), training.clone());
    Box::new(move || {
        let Step { run, macs } = Step::prepare(network, open.as_deref(), batch, training)?;
        let peer = json!({ "work": "step", "model": model, "batch": batch });
        Ok(Row { ours: run, peer, is_of_images: model != "mlp", times, flop: 6.0 * macs })
    })
}

/// A training step on random images.
pub(crate) struct Step {
    pub(crate) run: Box<dyn FnMut() -> Result<()> + Send>,
    /// Multiply-accumulates of a forward pass of the batch, through the gates that are open at test time where they
    /// were put at the ends of their range, else through all of them, though some are closed in a step.
    pub(crate) macs: f64,
}

impl Step {
    /// `open` puts so many gates of each set at the upper end of their range and all others at the lower, where a
    /// twentieth of them still opens in a step, as late in a real run.
    pub(crate) fn prepare(network: GatedNet, open: Option<&[usize]>, batch: usize, training: Training) -> Result<Self> {
        let images = random_images(&network, batch)?;
        let mut macs = network.net().cost().macs();
        // The trainer borrows what it trains; a benchmark lives as long as its program.
        let objective = Objective::priced(&[Lambda::PerWeight(0.1)]);
        let (network, objective, training): (&'static GatedNet, &'static Objective, &'static Training) =
            (Box::leak(Box::new(network)), Box::leak(Box::new(objective)), Box::leak(Box::new(training)));
        let mut trainer = Trainer::new(network, objective, training, 60_000, 1, &Device::Cpu)?;
        if let Some(open) = open {
            let gates = trainer.params().iter().filter(|p| p.role == l0_net::Role::Mask).cloned();
            for (gate, &open) in gates.collect::<Vec<_>>().iter().zip(open) {
                let values: Vec<f32> = (0..gate.var.elem_count()).map(|i| if i < open { 4.6 } else { -4.6 }).collect();
                gate.var.set(&Tensor::new(values, &Device::Cpu)?)?;
            }
            macs = network.pruned(&trainer.params().detached(), l0::Estimator::Mean)?.cost.macs();
        }
        let run = move || {
            trainer.step(&images)?;
            Ok(())
        };
        Ok(Self { run: Box::new(run), macs: macs as f64 * batch as f64 })
    }
}

/// Made once, as the peer's are.
fn random_images(network: &GatedNet, batch: usize) -> Result<Batch> {
    let shape = network.net().shape(0).dims();
    let pixels = (0..batch * shape.iter().product::<usize>()).map(|i| (i * 37 % 251) as u8).collect();
    let labels = (0..batch as u32).map(|i| i % 10).collect();
    let split = Split::new(pixels, labels, (shape[0], shape[1], shape[2]), 10)?;
    let normalise = Normalise::new(vec![0.0; shape[0]], vec![255.0; shape[0]])?;
    let indices: Vec<u32> = (0..batch as u32).collect();
    Ok(split.batch(&indices, &normalise, None, &Device::Cpu)?)
}

fn conv(shape: [usize; 4], out: usize, kernel: usize, padding: usize, times: usize) -> Prepare {
    Box::new(move || prepare_conv(shape, out, kernel, padding, times))
}

fn prepare_conv(shape: [usize; 4], out: usize, kernel: usize, padding: usize, times: usize) -> Result<Row> {
    let random =
        |name: &str, dims: &[usize]| Var::from_vec(stream(name).normals(dims.iter().product()), dims, &Device::Cpu);
    let xs = random("xs", &shape)?;
    let weight = random("weight", &[out, shape[1], kernel, kernel])?;
    let positions = (shape[2] + 2 * padding + 1 - kernel) * (shape[3] + 2 * padding + 1 - kernel);
    let flop = 6.0 * (shape[0] * shape[1] * out * kernel * kernel * positions) as f64;
    let ours = move || {
        let ys = l0_ops::conv2d(xs.as_tensor(), weight.as_tensor(), None, 1, padding)?;
        ys.sum_all()?.backward()?;
        Ok(())
    };
    let peer = json!({ "work": "conv", "shape": shape, "out": out, "kernel": kernel, "padding": padding });
    Ok(Row { ours: Box::new(ours), peer, is_of_images: true, times, flop })
}
