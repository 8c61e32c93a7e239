//! Milliseconds of each convolution of WRN-28-10 at a batch of 128, forward and with both gradients.

use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use serde_json::{Value, json};

/// Channels in and out, side, kernel, stride, and how often.
const SHAPES: [[usize; 6]; 12] = [
    [3, 16, 32, 3, 1, 1],
    [16, 160, 32, 3, 1, 1],
    [16, 160, 32, 1, 1, 1],
    [160, 160, 32, 3, 1, 7],
    [160, 320, 32, 3, 1, 1],
    [160, 320, 32, 1, 2, 1],
    [320, 320, 32, 3, 2, 1],
    [320, 320, 16, 3, 1, 6],
    [320, 640, 16, 3, 1, 1],
    [320, 640, 16, 1, 2, 1],
    [640, 640, 16, 3, 2, 1],
    [640, 640, 8, 3, 1, 6],
];

const BATCH: usize = 128;

pub(crate) fn rows(device: &Device) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for (precision, dtype) in [("bf16", DType::BF16), ("tf32", DType::F32)] {
        l0_ops::device::allow_tf32(precision == "tf32");
        let mut total = [0.0; 2];
        for shape in SHAPES {
            let ms = timed(shape, dtype, device)?;
            let [inputs, outputs, side, kernel, stride, times] = shape;
            let out = side / stride;
            let gflop = 2e-9 * (BATCH * inputs * outputs * kernel * kernel * out * out) as f64;
            (0..2).for_each(|i| total[i] += ms[i] * times as f64);
            rows.push(json!({
                "precision": precision, "inputs": inputs, "outputs": outputs, "side": side, "kernel": kernel, "stride": stride,
                "times": times, "forward_ms": ms[0], "both_ms": ms[1],
                "forward_tflops": gflop / ms[0], "both_tflops": 3.0 * gflop / ms[1],
            }));
        }
        rows.push(json!({ "precision": precision, "times": 28, "forward_ms": total[0], "both_ms": total[1] }));
    }
    l0_ops::device::allow_tf32(false);
    Ok(rows)
}

fn timed([inputs, outputs, side, kernel, stride, _]: [usize; 6], dtype: DType, device: &Device) -> Result<[f64; 2]> {
    let xs = Tensor::randn(0f32, 1.0, (BATCH, side, side, inputs), device)?.to_dtype(dtype)?;
    let xs = Var::from_tensor(&xs)?.as_tensor().permute((0, 3, 1, 2))?;
    let w = Var::from_tensor(&Tensor::randn(0f32, 0.05, (outputs, inputs, kernel, kernel), device)?)?;
    let forward = || l0_ops::conv2d(&xs, w.as_tensor(), None, stride, kernel / 2);
    // The mean of each channel hands back a gradient that lies as the result does, in one pass.
    let both = || l0_ops::taped(|| l0_ops::backward(&l0_ops::global_avg_pool(&forward()?)?.sum_all()?));
    Ok([per_call(device, || forward().map(drop))?, per_call(device, || both().map(drop))?])
}

fn per_call(device: &Device, mut f: impl FnMut() -> candle_core::Result<()>) -> Result<f64> {
    (0..2).try_for_each(|_| f())?;
    let mut seconds = Vec::new();
    for _ in 0..3 {
        device.synchronize()?;
        let begin = Instant::now();
        (0..10).try_for_each(|_| f())?;
        device.synchronize()?;
        seconds.push(begin.elapsed().as_secs_f64() / 10.0);
    }
    Ok(crate::times(seconds)[0])
}
