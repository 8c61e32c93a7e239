//! Times of single operations at the shapes of the three networks: `cargo bench -p l0-ops --profile release`.
//!
//! Unless the name says forward, a time holds forward and backward. `RAYON_NUM_THREADS=1` for one thread.

use candle_core::{Device, Result, Tensor, Var};
use divan::{Bencher, black_box};
use l0_ops::{ConvSettings, Epilogue, Pointwise, Selection, Window, math};
use l0_rng::{Purpose, Stream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn normal(dims: &[usize]) -> Tensor {
    let n = dims.iter().product();
    let numbers = Stream::new(1, Purpose::Other, 0, n as u64, "bench").normals(n);
    Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap()
}

fn var(dims: &[usize]) -> Var {
    Var::from_tensor(&normal(dims)).unwrap()
}

/// Times `op` and the gradients of all variables behind it, for a given gradient of its result.
fn forward_backward(bencher: Bencher, op: impl Fn() -> Result<Tensor>) {
    let weights = normal(op().unwrap().dims());
    bencher.bench_local(|| op().and_then(|ys| Cotangent::of(&ys, &weights)?.backward()).unwrap());
}

/// `sum(ys * weights)` whose backward hands out `weights` as it is, so that the bench times the operation alone.
struct Cotangent(Tensor);

impl Cotangent {
    fn of(ys: &Tensor, weights: &Tensor) -> Result<Tensor> {
        ys.apply_op1(Self(weights.clone()))
    }
}

impl candle_core::CustomOp1 for Cotangent {
    fn name(&self) -> &'static str {
        "cotangent"
    }

    fn cpu_fwd(
        &self,
        _: &candle_core::CpuStorage,
        _: &candle_core::Layout,
    ) -> Result<(candle_core::CpuStorage, candle_core::Shape)> {
        Ok((candle_core::CpuStorage::F32(vec![0.0]), ().into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

#[derive(Debug, Clone, Copy)]
struct Conv {
    b: usize,
    ic: usize,
    side: usize,
    oc: usize,
    k: usize,
    stride: usize,
    pad: usize,
    pool: usize,
    /// Whether the input wants a gradient.
    dx: bool,
}

impl std::fmt::Display for Conv {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}x{}x{}^2->{} {}^2/{}", self.b, self.ic, self.side, self.oc, self.k, self.stride)
    }
}

const fn lenet(ic: usize, side: usize, oc: usize) -> Conv {
    Conv { b: 100, ic, side, oc, k: 5, stride: 1, pad: 0, pool: 2, dx: ic > 1 }
}

const fn wide(b: usize, ic: usize, side: usize, oc: usize, stride: usize) -> Conv {
    Conv { b, ic, side, oc, k: 3, stride, pad: 1, pool: 1, dx: ic > 3 }
}

const CONVS: &[Conv] = &[
    lenet(1, 28, 20),
    lenet(20, 12, 50),
    lenet(20, 12, 25),
    lenet(1, 28, 9),
    lenet(9, 12, 18),
    wide(128, 3, 32, 16, 1),
    wide(64, 16, 32, 16, 1),
    wide(128, 16, 32, 32, 2),
    wide(128, 32, 16, 32, 1),
    wide(128, 64, 8, 64, 1),
    Conv { k: 1, pad: 0, ..wide(128, 16, 32, 32, 2) },
    Conv { b: 1, ..lenet(20, 12, 50) },
];

fn operands(conv: &Conv) -> (Tensor, Var, Var) {
    let xs = normal(&[conv.b, conv.ic, conv.side, conv.side]);
    (xs, var(&[conv.oc, conv.ic, conv.k, conv.k]), var(&[conv.oc]))
}

fn conv2d(conv: &Conv, xs: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let epilogue = Epilogue { relu: conv.pool > 1, max_pool: conv.pool };
    l0_ops::conv2d_epilogue(xs, weight, Some(bias), conv.stride, conv.pad, epilogue)
}

#[divan::bench(args = CONVS)]
fn conv_forward(bencher: Bencher, conv: &Conv) {
    let (xs, weight, bias) = operands(conv);
    let (weight, bias) = (weight.as_detached_tensor(), bias.as_detached_tensor());
    bencher.bench_local(|| conv2d(conv, &xs, &weight, &bias).unwrap());
}

#[divan::bench(args = CONVS)]
fn conv(bencher: Bencher, conv: &Conv) {
    let (xs, weight, bias) = operands(conv);
    let xs = if conv.dx { Var::from_tensor(&xs).unwrap().into_inner() } else { xs };
    forward_backward(bencher, || conv2d(conv, &xs, &weight, &bias));
}

#[divan::bench(sample_count = 5)]
fn conv_160(bencher: Bencher) {
    conv(bencher, &wide(64, 160, 32, 160, 1));
}

/// Batch, channels, side and stride: layers of MobileNets on CIFAR's and ImageNet's images.
#[divan::bench(args = [(128, 32, 32, 1), (128, 64, 32, 2), (128, 256, 8, 1), (16, 32, 112, 1), (16, 512, 14, 1)])]
fn depthwise(bencher: Bencher, (b, c, side, stride): (usize, usize, usize, usize)) {
    let (xs, weight) = (var(&[b, c, side, side]), var(&[c, 1, 3, 3]));
    let settings = ConvSettings { groups: c, ..ConvSettings::square(stride, 1) };
    forward_backward(bencher, || l0_ops::conv(&xs, &weight, None, &settings, Epilogue::NONE));
}

#[divan::bench]
fn max_pool_3x3_of_stride_2(bencher: Bencher) {
    let xs = var(&[16, 64, 112, 112]);
    let window = Window { size: (3, 3), stride: (2, 2), padding: [1; 4], ceil: false };
    forward_backward(bencher, || l0_ops::max_pool(&xs, &window));
}

/// x sigmoid(x).
#[derive(Clone, Copy)]
struct Silu;

impl Pointwise for Silu {
    fn value(self, x: f32) -> f32 {
        x * math::sigmoid(x)
    }

    fn slope(self, x: f32) -> f32 {
        let s = math::sigmoid(x);
        s * x.mul_add(1.0 - s, 1.0)
    }
}

#[divan::bench]
fn silu(bencher: Bencher) {
    let xs = var(&[100, 20, 24, 24]);
    forward_backward(bencher, || l0_ops::map(&xs, Silu));
}

#[divan::bench(args = [(784, 300), (300, 100), (219, 214), (800, 500), (450, 65)])]
fn linear_relu(bencher: Bencher, (i, o): (usize, usize)) {
    let (xs, weight, bias) = (var(&[100, i]), var(&[o, i]), var(&[o]));
    forward_backward(bencher, || l0_ops::linear_relu(&xs, &weight, Some(&bias)));
}

#[divan::bench(args = [[128, 16, 32, 32], [128, 32, 16, 16], [128, 64, 8, 8], [64, 160, 32, 32]])]
fn batch_norm_relu(bencher: Bencher, dims: [usize; 4]) {
    let (xs, scale, shift) = (var(&dims), var(&dims[1..2]), var(&dims[1..2]));
    forward_backward(bencher, || Ok(l0_ops::batch_norm_train(&xs, &scale, &shift, 1e-5, l0_ops::After::RELU)?.ys));
}

#[divan::bench]
fn relu(bencher: Bencher) {
    let xs = var(&[100, 20, 24, 24]);
    forward_backward(bencher, || l0_ops::relu(&xs));
}

#[divan::bench]
fn max_pool2d(bencher: Bencher) {
    let xs = var(&[100, 20, 24, 24]);
    forward_backward(bencher, || l0_ops::max_pool2d(&xs, 2));
}

#[divan::bench]
fn cross_entropy(bencher: Bencher) {
    let logits = var(&[100, 10]);
    let labels = Tensor::arange(0u32, 100, &Device::Cpu).unwrap();
    let labels = (labels.to_dtype(candle_core::DType::F32).unwrap() * 0.09).unwrap();
    let labels = labels.to_dtype(candle_core::DType::U32).unwrap();
    forward_backward(bencher, || l0_ops::cross_entropy(&logits, &labels));
}

/// One in `every` rows and columns is closed; 0 for none.
#[divan::bench(args = [(300, 784, 0), (300, 784, 5), (500, 800, 2)])]
fn select(bencher: Bencher, (o, i, every): (usize, usize, usize)) {
    let open = |n: usize| Selection::of(&(0..n).map(|u| every == 0 || u % every != 0).collect::<Vec<_>>());
    let (weight, row, col) = (var(&[o, i]), var(&[o]), var(&[i]));
    forward_backward(bencher, || l0_ops::select(&weight, &open(o), &open(i), Some(&row), Some(&col)));
}

#[divan::bench(args = [235_200, 400_000])]
fn adam(bencher: Bencher, n: usize) {
    let [param, grad, first, second] = [(); 4].map(|()| normal(&[n]).abs().unwrap());
    let adam = l0_ops::update::Adam {
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        step: black_box(10),
    };
    bencher.bench_local(|| l0_ops::update::adam(&param, &grad, &first, &second, &adam).unwrap());
}

#[divan::bench(args = [235_200, 400_000])]
fn lerp(bencher: Bencher, n: usize) {
    let (average, param) = (normal(&[n]), (normal(&[n]) * 2.0).unwrap());
    bencher.bench_local(|| l0_ops::update::lerp(&average, &param, 1e-3).unwrap());
}
