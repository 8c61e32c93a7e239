//! Training steps and operations against PyTorch on the same machine, alternating in one run.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::{Device, Tensor, Var};
use clap::Parser;
use l0::{Lambda, Network};
use l0_data::{Normalise, Split};
use l0_experiments::{cli, recipes, session};
use l0_rng::{Purpose, Stream};
use l0_train::{Optimiser, Trainer, Training};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Time full training steps (forward, loss, penalty, backward, optimiser, clamp, average) and convolutions.
///
/// Where a Python with PyTorch is found, each row is timed against the better of PyTorch eager and compiled, with one
/// thread and with all, in turns. Nothing else should run meanwhile.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Rows whose names contain one of these words; all if none is given.
    rows: Vec<String>,
    /// How often the two take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The Python that has PyTorch.
    #[arg(long, env = "L0_PYTHON", default_value = "python3")]
    python: String,
    /// Leave the compiled peer out: compiling takes a minute a row.
    #[arg(long)]
    no_compile: bool,
    /// Folder for the figures as JSON.
    #[arg(long, value_name = "DIR", default_value = "results/bench")]
    out: PathBuf,
    #[command(flatten)]
    run: cli::RunArgs,
}

/// What is timed: our work, and what PyTorch is asked to do.
struct Row {
    ours: Box<dyn FnMut() -> Result<()>>,
    peer: Value,
    times: usize,
    flop: f64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::main(|| args.run.inside(|threads| bench(&args, threads)))
}

fn bench(args: &Args, threads: usize) -> Result<()> {
    let wanted = |name: &str| args.rows.is_empty() || args.rows.iter().any(|word| name.contains(word.as_str()));
    let mut peer = match Peer::start(&args.python) {
        Ok(peer) => Some(peer),
        Err(error) => {
            eprintln!("no PyTorch peer ({error:#}); set L0_PYTHON to a Python that has torch. Ours alone:");
            None
        }
    };
    let floor = gflops(threads)?;
    println!("machine: {}", l0_record::machine(threads).describe());
    println!(
        "matmul 1024: {floor:.0} GFLOP/s with {threads} threads; the floor of a row is its arithmetic at that speed\n"
    );
    println!(
        "{:<44} {:>6} {:>22} {:>30} {:>9}",
        "row", "ratio", "ours ms (min..max)", "PyTorch ms (min..max), best of", "floor ms"
    );
    let mut rows = Vec::new();
    for (name, prepare) in all()?.into_iter().filter(|(name, _)| wanted(name)) {
        let mut row = prepare()?;
        rows.push(time(name, &mut row, peer.as_mut(), args, threads, floor)?);
    }
    let report = json!({
        "machine": l0_record::machine(threads), "revision": session::revision(), "when": l0_record::now(),
        "torch": peer.map(|peer| peer.version), "threads": threads, "matmul_gflops": floor, "rows": rows,
    });
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let path = args.out.join(format!("{}.json", l0_record::now().replace(':', "-")));
    std::fs::write(&path, serde_json::to_string_pretty(&report)?).with_context(|| path.display().to_string())?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

/// A row that is not prepared yet.
type Prepare = Box<dyn FnOnce() -> Result<Row>>;

/// Before each turn: the other's threads, which wait by spinning for a while, are asleep by then.
const PAUSE: Duration = Duration::from_millis(50);

fn time(
    name: &str,
    row: &mut Row,
    mut peer: Option<&mut Peer>,
    args: &Args,
    threads: usize,
    floor: f64,
) -> Result<Value> {
    let mut ours = Vec::new();
    let mut variants: Vec<(String, Value, Vec<f64>)> = Vec::new();
    for threads in if threads > 1 { vec![1, threads] } else { vec![1] } {
        for compile in [false, true] {
            let step = row.peer["work"] == "step";
            if compile && (!step || args.no_compile) {
                continue;
            }
            let mut request = row.peer.clone();
            request["threads"] = threads.into();
            if step {
                request["compile"] = compile.into();
            }
            let name = format!("{}, {threads} threads", if compile { "compiled" } else { "eager" });
            variants.push((name, request, Vec::new()));
        }
    }
    for _ in 0..args.rounds {
        std::thread::sleep(PAUSE);
        (row.ours)()?; // each turn begins with one untimed, for both
        for _ in 0..row.times {
            let begin = Instant::now();
            (row.ours)()?;
            ours.push(1e3 * begin.elapsed().as_secs_f64());
        }
        if let Some(peer) = peer.as_deref_mut() {
            for (_, request, spent) in &mut variants {
                request["times"] = (row.times + 1).into();
                std::thread::sleep(PAUSE);
                spent.extend(peer.ask(request)?.into_iter().skip(1));
            }
        }
    }
    let ours = Spread::of(ours);
    let variants: Vec<(String, Spread)> =
        variants.into_iter().filter(|v| !v.2.is_empty()).map(|(name, _, spent)| (name, Spread::of(spent))).collect();
    let best = variants.iter().min_by(|a, b| a.1.median.total_cmp(&b.1.median));
    let ratio = best.map(|(_, best)| ours.median / best.median);
    let floor = row.flop / floor / 1e6;
    println!(
        "{:<44} {:>6} {:>22} {:>30} {:>9.2}",
        name,
        ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
        ours.to_string(),
        best.map_or("-".into(), |(name, best)| format!("{best} {name}")),
        floor
    );
    let variants: Vec<Value> =
        variants.iter().map(|(name, spread)| json!({ "name": name, "ms": spread.json() })).collect();
    Ok(json!({ "row": name, "ratio": ratio, "ours_ms": ours.json(), "floor_ms": floor, "peer": variants }))
}

struct Spread {
    min: f64,
    median: f64,
    max: f64,
    n: usize,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| values.get((share * (values.len() - 1) as f64) as usize).copied().unwrap_or(f64::NAN);
        Self { min: at(0.0), median: at(0.5), max: at(1.0), n: values.len() }
    }

    fn json(&self) -> Value {
        json!({ "min": self.min, "median": self.median, "max": self.max, "n": self.n })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2}..{:.2})", self.median, self.min, self.max)
    }
}

/// The Python program that does the same work.
struct Peer {
    _child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
}

impl Peer {
    fn start(python: &str) -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/peer.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {python}"))?;
        let requests = child.stdin.take().context("the peer has no input")?;
        let mut answers = BufReader::new(child.stdout.take().context("the peer has no output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let hello: Value = serde_json::from_str(&line).with_context(|| format!("{python} has no torch"))?;
        let version = hello["torch"].as_str().unwrap_or("unknown").to_string();
        Ok(Self { _child: child, requests, answers, version })
    }

    fn ask(&mut self, request: &Value) -> Result<Vec<f64>> {
        writeln!(self.requests, "{request}").and_then(|()| self.requests.flush()).context("the peer has ended")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).with_context(|| format!("the peer cannot do {request}"))?;
        Ok(answer["ms"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect())
    }
}

fn gflops(threads: usize) -> Result<f64> {
    let n = 1024;
    let random = || Tensor::from_vec(stream("matmul").normals(n * n), (n, n), &Device::Cpu);
    let (a, b) = (random()?, random()?);
    let mut times = Vec::new();
    for _ in 0..8 + threads {
        let begin = Instant::now();
        a.matmul(&b)?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(2e-9 * (n as f64).powi(3) / Spread::of(times).min)
}

fn stream(name: &str) -> Stream {
    Stream::new(1, Purpose::Other, 0, 0, name)
}

fn all() -> Result<Vec<(&'static str, Prepare)>> {
    let (mlp, lenet5) = (l0_mlp::lenet_300_100(), l0_lenet5::lenet5_caffe());
    let lambda = [Lambda::PerWeight(0.1)];
    let adam = recipes::quickstart().training;
    let sgd = Optimiser::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true };
    let wrn = Training { optimiser: sgd, ..adam.clone() };
    let wrn_l0 = l0_wide_resnet::l0(&l0_wide_resnet::wrn_16_1(10), &[Lambda::PerWeight(0.001)], 0.0)?;
    let (mlp_l0, lenet5_l0) = (l0_mlp::l0(&mlp, &lambda)?, l0_lenet5::l0(&lenet5, &lambda)?);
    let mlp = |open: Option<&'static [usize]>| step(&mlp_l0, open, "mlp", 100, 20, &adam);
    let lenet5_of = |network: &Network, open: Option<&'static [usize]>| step(network, open, "lenet5", 100, 10, &adam);
    let lenet5_l0 = |open| lenet5_of(&lenet5_l0, open);
    Ok(vec![
        ("MLP step, gates as initialised", mlp(None)),
        ("MLP step, gates at 219-214-100", mlp(Some(&[219, 214, 100]))),
        ("LeNet-5 step, dense, no gates", lenet5_of(&l0_lenet5::dense(&lenet5)?, None)),
        ("LeNet-5 step, gates as initialised", lenet5_l0(None)),
        ("LeNet-5 step, gates at 20-25-45-462", lenet5_l0(Some(&[20, 25, 45, 462]))),
        ("LeNet-5 step, gates at 9-18-65-25", lenet5_l0(Some(&[9, 18, 65, 25]))),
        ("WRN-16-1 step, gates as initialised", step(&wrn_l0, None, "wrn", 128, 3, &wrn)),
        ("conv 64x160x32x32 -> 160, 3x3, with backward", conv([64, 160, 32, 32], 160, 3, 1, 2)),
        ("conv 64x16x32x32 -> 16, 3x3, with backward", conv([64, 16, 32, 32], 16, 3, 1, 10)),
        ("conv 100x20x12x12 -> 50, 5x5, with backward", conv([100, 20, 12, 12], 50, 5, 0, 10)),
    ])
}

/// A training step on random images. `open` puts so many gates of each set at the upper end of their range and all
/// others at the lower, where a twentieth of them still opens in a step, as late in a real run.
fn step(
    network: &Network,
    open: Option<&'static [usize]>,
    model: &'static str,
    batch: usize,
    times: usize,
    training: &Training,
) -> Prepare {
    let (network, training) = (network.clone(), training.clone());
    Box::new(move || prepare_step(network, open, model, batch, times, training))
}

fn prepare_step(
    network: Network,
    open: Option<&[usize]>,
    model: &str,
    batch: usize,
    times: usize,
    training: Training,
) -> Result<Row> {
    let shape = network.net().shape(0).dims();
    let pixels = (0..batch * shape.iter().product::<usize>()).map(|i| (i * 37 % 251) as u8).collect();
    let labels = (0..batch as u32).map(|i| i % 10).collect();
    let split = Split::new(pixels, labels, (shape[0], shape[1], shape[2]), 10)?;
    let normalise = Normalise::new(vec![0.0; shape[0]], vec![255.0; shape[0]])?;
    let indices: Vec<u32> = (0..batch as u32).collect();
    let mut flop = 6.0 * network.net().cost().macs() as f64 * batch as f64;
    // The trainer borrows what it trains; a benchmark lives as long as its program.
    let (network, training): (&'static Network, &'static Training) =
        (Box::leak(Box::new(network)), Box::leak(Box::new(training)));
    let mut trainer = Trainer::new(network, training, 60_000, 1, &Device::Cpu)?;
    if let Some(open) = open {
        let gates: Vec<_> = trainer.params().iter().filter(|p| p.role == l0_net::Role::Mask).cloned().collect();
        for (gate, &open) in gates.iter().zip(open) {
            let values: Vec<f32> = (0..gate.var.elem_count()).map(|i| if i < open { 4.6 } else { -4.6 }).collect();
            gate.var.set(&Tensor::new(values, &Device::Cpu)?)?;
        }
        let left = network.pruned(&trainer.params().detached(), l0::Estimator::Mean)?;
        flop = 6.0 * left.cost.macs() as f64 * batch as f64;
    }
    let images = split.batch(&indices, &normalise, None, &Device::Cpu)?; // made once, as the peer's are
    let mut at = 0;
    let ours = move || {
        at += 1;
        trainer.step(&images, 0, at)?;
        Ok(())
    };
    let peer = json!({ "work": "step", "model": model, "batch": batch });
    Ok(Row { ours: Box::new(ours), peer, times, flop })
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
    Ok(Row { ours: Box::new(ours), peer, times, flop })
}
