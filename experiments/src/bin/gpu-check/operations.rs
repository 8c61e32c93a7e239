//! Each operation and its gradients on the GPU against the CPU, by the relative size of the difference.

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, Var};
use l0_ops::{Epilogue, Running, Selection, update};
use l0_rng::{Purpose, Stream};
use serde_json::{Value, json};

type Operation = Box<dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>>;

/// An operation with its operands; the first is an activation, the others are parameters.
struct Case {
    name: String,
    operands: Vec<Tensor>,
    operation: Operation,
}

pub(crate) fn normal(name: &str, dims: &[usize]) -> candle_core::Result<Tensor> {
    let n = dims.iter().product();
    Tensor::from_vec(Stream::new(1, Purpose::Other, 0, 0, name).normals(n), dims, &Device::Cpu)
}

/// Every row; an operation that fails is a row that says so.
pub(crate) fn rows(device: &Device) -> Vec<Value> {
    let mut rows = Vec::new();
    match cases() {
        Ok(cases) => {
            for case in &cases {
                for precision in ["f32", "tf32", "bf16"] {
                    rows.push(row(case, precision, device));
                }
            }
        }
        Err(error) => rows.push(json!({ "failed": format!("{error:#}") })),
    }
    for (name, result) in [("updates", updates(device)), ("images", images(device)), ("running", running(device))] {
        rows.push(match result {
            Ok(error) => json!({ "operation": name, "precision": "f32", "value": error }),
            Err(error) => json!({ "operation": name, "failed": format!("{error:#}") }),
        });
    }
    rows
}

fn row(case: &Case, precision: &str, device: &Device) -> Value {
    l0_ops::device::allow_tf32(precision == "tf32");
    let errors = compare(case, precision == "bf16", device);
    l0_ops::device::allow_tf32(false);
    match errors {
        Ok(errors) => {
            let worst = errors[1..].iter().copied().fold(0.0, f64::max);
            json!({ "operation": case.name, "precision": precision, "value": errors[0], "worst_gradient": worst })
        }
        Err(error) => json!({ "operation": case.name, "precision": precision, "failed": format!("{error:#}") }),
    }
}

/// The relative difference of the value, then of each gradient.
fn compare(case: &Case, half: bool, device: &Device) -> Result<Vec<f64>> {
    let mut operands = case.operands.clone();
    if half {
        operands[0] = operands[0].to_dtype(DType::BF16)?;
        // Filters are rounded, too; sides of ReLU that hang on it are not an error.
        for filters in operands[1..].iter_mut().filter(|t| t.rank() == 4 && case.name.starts_with("conv")) {
            *filters = filters.to_dtype(DType::BF16)?.to_dtype(DType::F32)?;
        }
    }
    let here: Vec<Tensor> = operands.iter().map(|t| t.to_dtype(DType::F32)).collect::<candle_core::Result<_>>()?;
    let expected = results(case, &here, false)?;
    let there: Vec<Tensor> = operands.iter().map(|t| t.to_device(device)).collect::<candle_core::Result<_>>()?;
    let mut errors = vec![0f64; expected.len()];
    for on_tape in [false, true] {
        let found = results(case, &there, on_tape)?;
        for (error, (found, expected)) in errors.iter_mut().zip(found.iter().zip(&expected)) {
            *error = error.max(difference(found, expected)?);
        }
    }
    Ok(errors)
}

/// The value of the operation, then the gradient of each operand, on the CPU in f32.
fn results(case: &Case, operands: &[Tensor], on_tape: bool) -> Result<Vec<Tensor>> {
    if on_tape { l0_ops::taped(|| run(case, operands)) } else { run(case, operands) }
}

fn run(case: &Case, operands: &[Tensor]) -> Result<Vec<Tensor>> {
    let vars = operands.iter().map(Var::from_tensor).collect::<candle_core::Result<Vec<Var>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let ys = (case.operation)(&tensors)?;
    let g = normal("gradient", ys.dims())?.to_device(ys.device())?;
    let loss = (ys.to_dtype(DType::F32)? * g)?.sum_all()?;
    let grads = l0_ops::backward(&loss)?;
    let mut all = vec![plain(&ys)?];
    for var in &vars {
        all.push(plain(&grads.get(var.as_tensor())?.context("there is no gradient")?)?);
    }
    Ok(all)
}

fn plain(t: &Tensor) -> candle_core::Result<Tensor> {
    t.detach().contiguous()?.to_dtype(DType::F32)?.to_device(&Device::Cpu)
}

pub(crate) fn difference(found: &Tensor, expected: &Tensor) -> Result<f64> {
    let norm = |t: &Tensor| t.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>();
    let (found, expected) = (plain(found)?, plain(expected)?);
    anyhow::ensure!(found.dims() == expected.dims(), "found {:?}, expected {:?}", found.dims(), expected.dims());
    Ok((norm(&(found - &expected)?)? / norm(&expected)?.max(1e-30)).sqrt())
}

fn case(
    name: &str,
    shapes: &[&[usize]],
    operation: impl Fn(&[Tensor]) -> candle_core::Result<Tensor> + 'static,
) -> candle_core::Result<Case> {
    let operands = shapes.iter().enumerate().map(|(i, dims)| normal(&format!("{name} {i}"), dims));
    Ok(Case {
        name: name.into(),
        operands: operands.collect::<candle_core::Result<_>>()?,
        operation: Box::new(operation),
    })
}

fn conv(name: &str, xs: &[usize], w: &[usize], stride: usize) -> candle_core::Result<Case> {
    let padding = w[2] / 2;
    case(name, &[xs, w], move |t| l0_ops::conv2d(&t[0], &t[1], None, stride, padding))
}

fn epilogue(t: &[Tensor], max_pool: usize) -> candle_core::Result<Tensor> {
    l0_ops::conv2d_epilogue(&t[0], &t[1], Some(&t[2]), 1, 1, Epilogue { relu: true, max_pool })
}

/// Every third unit is closed.
fn some(n: usize) -> Selection {
    Selection::of(&(0..n).map(|i| i % 3 != 1).collect::<Vec<_>>())
}

fn cases() -> candle_core::Result<Vec<Case>> {
    let positive = |t: &Tensor| t.sqr()? + 0.5;
    let labels =
        |t: &Tensor| Tensor::from_vec((0..t.dims()[0] as u32).map(|i| i % 10).collect(), t.dims()[0], t.device());
    Ok(vec![
        conv("conv 3x3", &[8, 32, 16, 16], &[64, 32, 3, 3], 1)?,
        conv("conv 3x3 stride 2", &[8, 32, 16, 16], &[64, 32, 3, 3], 2)?,
        conv("conv 1x1 stride 2", &[8, 32, 16, 16], &[64, 32, 1, 1], 2)?,
        conv("conv 3 channels", &[8, 3, 32, 32], &[16, 3, 3, 3], 1)?,
        conv("conv odd channels", &[5, 13, 9, 11], &[7, 13, 3, 3], 1)?,
        case("conv bias relu", &[&[8, 16, 12, 12], &[24, 16, 3, 3], &[24]], |t| epilogue(t, 1))?,
        case("conv map relu", &[&[8, 16, 12, 12], &[24, 16, 3, 3], &[24, 12, 12]], |t| epilogue(t, 1))?,
        case("conv pool", &[&[8, 16, 12, 12], &[24, 16, 3, 3], &[24]], |t| epilogue(t, 2))?,
        case("batch norm", &[&[16, 24, 7, 9], &[24], &[24]], |t| {
            Ok(l0_ops::batch_norm_train(&t[0], &t[1], &t[2], 1e-5, l0_ops::After::NONE)?.ys)
        })?,
        case("batch norm relu", &[&[16, 160, 16, 16], &[160], &[160]], |t| {
            Ok(l0_ops::batch_norm_train(&t[0], &t[1], &t[2], 1e-5, l0_ops::After::RELU)?.ys)
        })?,
        case("batch norm of units", &[&[64, 20], &[20], &[20]], |t| {
            Ok(l0_ops::batch_norm_train(&t[0], &t[1], &t[2], 1e-5, l0_ops::After::RELU)?.ys)
        })?,
        case("batch norm given", &[&[16, 21, 7, 9], &[21], &[21]], move |t| {
            let (mean, var) = ((t[1].detach() * 0.1)?, positive(&t[2].detach())?);
            l0_ops::batch_norm(&t[0], &t[1], &t[2], &mean, &var, 1e-5, l0_ops::After::RELU)
        })?,
        case("add", &[&[4, 24, 7, 9], &[4, 24, 7, 9]], |t| l0_ops::add(&t[0], &t[1].to_dtype(t[0].dtype())?))?,
        case("relu", &[&[4, 24, 7, 9]], |t| l0_ops::relu(&t[0]))?,
        case("mean", &[&[4, 24, 7, 9]], |t| l0_ops::global_avg_pool(&t[0]))?,
        case("dropout", &[&[4, 24, 7, 9]], |t| {
            l0_ops::dropout_from(&t[0], Stream::new(1, Purpose::Dropout, 2, 3, "drop"), 0.3)
        })?,
        case("take", &[&[4, 24, 7, 9]], |t| l0_ops::take(&t[0], 1, &some(24)))?,
        case("select", &[&[2], &[24, 20, 3, 3], &[24]], |t| {
            let block = l0_ops::select(&t[1], &some(24), &some(20), Some(&t[2]), None)?;
            block.broadcast_mul(&t[0].to_dtype(DType::F32)?.sum_all()?)
        })?,
        case("select columns", &[&[2], &[24, 20], &[24], &[20]], |t| {
            let block = l0_ops::select(&t[1], &some(24), &Selection::all(20), Some(&t[2]), Some(&t[3]))?;
            block.broadcast_mul(&t[0].to_dtype(DType::F32)?.sum_all()?)
        })?,
        case("linear", &[&[16, 40], &[10, 40], &[10]], |t| l0_ops::linear(&t[0], &t[1], Some(&t[2])))?,
        case("cross-entropy", &[&[16, 10]], move |t| {
            l0_ops::cross_entropy(&t[0].to_dtype(DType::F32)?, &labels(&t[0])?)
        })?,
        case("block", &[&[8, 16, 16, 16], &[24, 16, 3, 3], &[24], &[24], &[24], &[16, 24, 3, 3]], |t| {
            let weight = l0_ops::select(&t[1], &some(24), &Selection::all(16), Some(&t[2]), None)?;
            let ys = l0_ops::conv2d(&t[0], &weight, None, 1, 1)?;
            let [scale, shift] = [l0_ops::take(&t[3], 0, &some(24))?, l0_ops::take(&t[4], 0, &some(24))?];
            // Given statistics: after those of the batch, the scale of a row would have no effect to compare.
            let (mean, var) = ((scale.detach() * 0.1)?, (shift.detach().sqr()? + 0.5)?);
            let ys = l0_ops::batch_norm(&ys, &scale, &shift, &mean, &var, 1e-5, l0_ops::After::RELU)?;
            let weight = l0_ops::select(&t[5], &Selection::all(16), &some(24), None, None)?;
            l0_ops::global_avg_pool(&l0_ops::add(&l0_ops::conv2d(&ys, &weight, None, 1, 1)?, &t[0])?)
        })?,
    ])
}

/// The worst difference of a few steps of each rule, over tensors of several lengths.
fn updates(device: &Device) -> Result<f64> {
    let run = |device: &Device| -> Result<Vec<Tensor>> {
        let mut all = Vec::new();
        let tensor = |name: String, n: usize| {
            Ok::<_, candle_core::Error>(Var::from_tensor(&normal(&name, &[n])?.to_device(device)?)?.as_tensor().clone())
        };
        for n in [1, 1000, 10_000] {
            let of = |name: &str| tensor(format!("{name} {n}"), n);
            let (param, grad, average) = (of("param")?, of("grad")?, of("average")?);
            let moments = [of("first")?.zeros_like()?, of("second")?.zeros_like()?];
            for step in 1..4 {
                let items = [update::Item { param: &param, grad: Some(&grad), moments: &moments, weight_decay: 0.1 }];
                let (learning_rate, weight_decay) = (0.1, 0.0);
                let rule = update::Adam { learning_rate, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay, step };
                update::adam_each(&items, &rule)?;
                let items = [update::Item { moments: &moments[..1], ..items[0] }];
                update::sgd_each(&items, &update::Sgd { learning_rate, momentum: 0.9, weight_decay, nesterov: true })?;
                update::lerp_each(&[(&average, &param)], 0.3)?;
            }
            update::clamp(&param, -0.5, 0.5)?;
            all.extend([param, average, moments[0].clone(), moments[1].clone()]);
        }
        Ok(all)
    };
    worst(&run(device)?, &run(&Device::Cpu)?)
}

fn worst(found: &[Tensor], expected: &[Tensor]) -> Result<f64> {
    let errors = found.iter().zip(expected).map(|(found, expected)| difference(found, expected));
    Ok(errors.collect::<Result<Vec<f64>>>()?.into_iter().fold(0.0, f64::max))
}

fn running(device: &Device) -> Result<f64> {
    let run = |device: &Device| -> Result<Vec<Tensor>> {
        let kept = some(24);
        let of = |name: &str, n: usize| normal(name, &[n])?.to_device(device);
        let (old, values, constants) = (of("old", 24)?, of("values", kept.len())?, of("constants", 24)?);
        let rates: Vec<f32> = (0..24).map(|i| if i % 5 == 0 { 0.0 } else { 0.1 }).collect();
        let new =
            Running { values: Some(&values), factor: 1.01, kept: &kept, constants: Some(&constants), rates: &rates };
        Ok(vec![l0_ops::running(&old, &new)?])
    };
    worst(&run(device)?, &run(&Device::Cpu)?)
}

/// Images from bytes on the device against those of the data's own code.
fn images(device: &Device) -> Result<f64> {
    let (n, c, h, w) = (20, 3, 32, 32);
    let mut stream = Stream::new(1, Purpose::Other, 0, 0, "bytes");
    let bytes: Vec<u8> = (0..n * c * h * w).map(|_| (stream.bits() >> 56) as u8).collect();
    let split = l0_data::Split::new(bytes.clone(), vec![0; n], (c, h, w), 10)?;
    let (normalise, indices) = (l0_data::Normalise::cifar10(), [3, 7, 7, 19, 0, 11]);
    let placements = l0_data::Augment::cifar().draw(1, 2, 3, indices.len());
    let expected = split.batch(&indices, &normalise, Some(&placements), &Device::Cpu)?.images;
    let bytes = Tensor::from_vec(bytes, (n, c, h, w), device)?;
    let placed: Vec<l0_ops::Placed> = indices
        .iter()
        .zip(&placements)
        .map(|(&index, p)| l0_ops::Placed { index, down: p.down as i32, right: p.right as i32, flip: p.flip })
        .collect();
    let (mean, std) = (vec![125.3, 123.0, 113.9], vec![63.0, 62.1, 66.7]);
    difference(&l0_ops::images(&bytes, &placed, &mean, &std, DType::F32)?, &expected)
}
