//! How long dense LeNet-5-Caffe and a compact one take: median and fastest call, in milliseconds.
//!
//! `cargo run --release -p l0-infer --example latency [FOLDER]`; with a folder, both networks are also written there as
//! ONNX files, for `experiments/bench/onnxruntime_latency.py`.
//!
//! All measurements take turns, so that a noisy minute hits all of them alike.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::Device;
use l0_infer::Engine;
use l0_net::layers::Take;
use l0_net::{Builder, Net, OnnxAbout, Params, to_onnx};

const BATCHES: [usize; 3] = [1, 64, 256];
const ROUNDS: usize = 31;
/// Calls are repeated for so long that the clock's own time does not matter.
const ROUND: Duration = Duration::from_millis(10);

/// LeNet-5-Caffe with these many maps, features read by fc1 (of those there are, evenly) and hidden units.
fn lenet5(maps1: usize, maps2: usize, features: usize, hidden: usize) -> Result<Net, l0_net::Error> {
    let mut b = Builder::image("image", 1, 28, 28);
    b.conv2d("conv1", maps1, 5).relu().max_pool2d(2);
    b.conv2d("conv2", maps2, 5).relu().max_pool2d(2).flatten("features");
    let all = maps2 * 16;
    if features < all {
        b.layer("kept", Take { units: (0..features).map(|i| (i * all / features) as u32).collect() });
    }
    b.linear("fc1", hidden).relu().linear("fc2", 10);
    b.build()
}

struct Case {
    name: &'static str,
    threads: usize,
    batch: usize,
    engine: Engine,
    xs: Vec<f32>,
    times: Vec<f64>,
}

impl Case {
    /// One round: the mean milliseconds of a call.
    fn round(&mut self) -> Result<(), l0_infer::Error> {
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed() < ROUND {
            black_box(self.engine.run(black_box(&self.xs), self.batch)?);
            calls += 1;
        }
        self.times.push(start.elapsed().as_secs_f64() * 1e3 / f64::from(calls));
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1);
    let all = std::thread::available_parallelism()?.get();
    let mut cases = Vec::new();
    for (name, net) in [("dense", lenet5(20, 50, 800, 500)?), ("compact", lenet5(9, 18, 65, 25)?)] {
        let weights = Params::init(&net, 1, &Device::Cpu)?.detached();
        if let Some(folder) = &folder {
            let file = to_onnx(&net, &weights, &OnnxAbout::default())?;
            std::fs::write(format!("{folder}/{name}.onnx"), file)?;
        }
        for (threads, batch) in [1, all].into_iter().flat_map(|threads| BATCHES.map(|batch| (threads, batch))) {
            let engine = Engine::new(&net, &weights)?.with_threads(threads)?;
            let xs = (0..batch * engine.input_len()).map(|i| (i % 255) as f32 / 255.0).collect();
            cases.push(Case { name, threads, batch, engine, xs, times: Vec::new() });
        }
    }
    for _ in 0..ROUNDS {
        cases.iter_mut().try_for_each(Case::round)?;
    }
    println!("| network | threads | batch | median ms | fastest ms |\n| --- | --- | --- | --- | --- |");
    for Case { name, threads, batch, times, .. } in &mut cases {
        times.sort_by(f64::total_cmp);
        println!("| {name} | {threads} | {batch} | {:.4} | {:.4} |", times[ROUNDS / 2], times[0]);
    }
    Ok(())
}
