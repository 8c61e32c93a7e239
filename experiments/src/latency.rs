//! How fast plain networks run: medians over turns, so that all meet the same hours of the machine.

use std::time::Instant;

use anyhow::Result;
use l0_infer::Engine;
use l0_net::{Net, Weights};
use l0_rng::{Purpose, Stream};

/// What tables call the network before pruning.
pub const BEFORE: &str = "before pruning";

/// What tables call the network that pruning leaves.
pub const COMPACT: &str = "compact";

/// The batches that are timed.
pub const BATCHES: [usize; 3] = [1, 64, 256];

/// A network to be timed.
#[derive(Debug)]
pub struct Candidate {
    engines: Vec<Engine>,
    /// Milliseconds of each batch of [`BATCHES`] with one thread, then with all.
    pub times: Vec<Vec<f64>>,
}

impl Candidate {
    /// Compiles `net` for one thread and for `threads`.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn new(net: &Net, weights: &Weights, threads: usize) -> Result<Self> {
        let engines = vec![Engine::new(net, weights)?, Engine::new(net, weights)?.with_threads(threads)?];
        Ok(Self { engines, times: vec![Vec::new(); 2 * BATCHES.len()] })
    }

    /// The median milliseconds of batch `batch` (its place in [`BATCHES`]), with one thread or with all.
    pub fn median(&self, batch: usize, all_threads: bool) -> f64 {
        let mut times = self.times[batch + if all_threads { BATCHES.len() } else { 0 }].clone();
        times.sort_unstable_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Times all candidates in turns, `rounds` times.
///
/// # Errors
/// If a network does not run.
pub fn alternate(candidates: &mut [Candidate], rounds: usize) -> Result<()> {
    for round in 0..=rounds {
        for candidate in &mut *candidates {
            for (engine, at) in candidate.engines.iter_mut().zip([0, BATCHES.len()]) {
                for (i, &batch) in BATCHES.iter().enumerate() {
                    let xs = Stream::new(1, Purpose::Other, 0, 0, "latency").uniforms(batch * engine.input_len());
                    let times = if batch == 1 { 50 } else { 3 };
                    let begin = Instant::now();
                    for _ in 0..times {
                        engine.run(&xs, batch)?;
                    }
                    // The first round warms up.
                    if round > 0 {
                        candidate.times[at + i].push(1e3 * begin.elapsed().as_secs_f64() / f64::from(times));
                    }
                }
            }
        }
    }
    Ok(())
}
