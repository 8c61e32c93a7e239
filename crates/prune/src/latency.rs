//! Targets in milliseconds: which share of the multiply-accumulates takes so long on this machine.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use l0::{Constraint, Estimator, GatedNet, Targets};
use l0_infer::Engine;
use l0_net::{Model, Weights};
use l0_train::Freeze;

use crate::{Error, Result};

/// Halvings of the range of shares: to a 256th, less than what a channel takes.
const HALVINGS: usize = 8;

/// How much larger a share is tried where none so small can be had.
const RISE: f64 = 1.3;

/// How often each network is timed at least.
const TURNS: usize = 15;

/// Seconds of a turn, or one call.
const TURN: f64 = 0.002;

/// Seconds for which each network is timed at least.
const TIMED: f64 = 0.15;

/// How often a network is timed before it counts as too slow.
const AGAIN: usize = 3;

/// Milliseconds that a network takes for one example on one thread: the fastest of many turns, in the time in which the
/// thread was computing. Whatever else the machine does makes a turn slower, never faster.
///
/// # Errors
/// If the network does not run.
pub fn latency(model: &Model) -> Result<f64> {
    latencies([model]).map(|[ms]| ms)
}

/// The [`latency`] of several networks, which take turns, so that all meet the same moments of the machine.
///
/// # Errors
/// If a network does not run.
pub fn latencies<const N: usize>(models: [&Model; N]) -> Result<[f64; N]> {
    let mut timed = models.into_iter().map(Timed::new).collect::<Result<Vec<_>>>()?;
    let begin = Instant::now();
    for turn in 0.. {
        if turn >= TURNS && begin.elapsed().as_secs_f64() >= TIMED * N as f64 {
            break;
        }
        timed.iter_mut().try_for_each(Timed::turn)?;
    }
    Ok(std::array::from_fn(|i| timed[i].fastest))
}

/// A network that is timed.
struct Timed {
    engine: Engine,
    xs: Vec<f32>,
    /// Calls of a turn.
    calls: usize,
    /// Milliseconds of a call in the fastest turn.
    fastest: f64,
}

impl Timed {
    fn new(model: &Model) -> Result<Self> {
        let engine = Engine::new(&model.net, &model.weights)?;
        let xs = vec![0.5; engine.input_len()];
        let mut timed = Self { engine, xs, calls: 1, fastest: f64::INFINITY };
        timed.seconds()?; // the first call packs what it needs
        while timed.seconds()? < TURN {
            timed.calls *= 2;
        }
        Ok(timed)
    }

    fn turn(&mut self) -> Result<()> {
        self.fastest = self.fastest.min(1e3 * self.seconds()? / self.calls as f64);
        Ok(())
    }

    /// Seconds of as many calls as a turn has.
    fn seconds(&mut self) -> Result<f64> {
        let begin = computing();
        for _ in 0..self.calls {
            self.engine.run(&self.xs, 1)?;
        }
        Ok(computing() - begin)
    }
}

/// Seconds for which this thread has been computing: those in which others had its processor do not count.
#[cfg(unix)]
fn computing() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// Seconds on the wall, where no system tells for how long a thread was computing.
#[cfg(not(unix))]
fn computing() -> f64 {
    static BEGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    BEGIN.elapsed().as_secs_f64()
}

/// What says how many milliseconds a network takes for one example: [`latency`], unless it is for another machine or
/// another runtime than this one.
#[derive(Clone)]
pub struct Clock(Arc<Measure>);

type Measure = dyn Fn(&Model) -> Result<f64> + Send + Sync;

impl Clock {
    /// A clock that measures with a function of one's own.
    pub fn new(measure: impl Fn(&Model) -> Result<f64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(measure))
    }

    /// Milliseconds that the network takes for one example.
    ///
    /// # Errors
    /// If it cannot be measured.
    pub fn latency(&self, model: &Model) -> Result<f64> {
        (self.0)(model)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(latency)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A limit in milliseconds that decides, when gates are frozen, how much of the network is left.
#[derive(Debug, Clone)]
pub struct Limit {
    /// The limit.
    pub milliseconds: f64,
    /// What measures whether it is kept.
    pub clock: Clock,
    /// Milliseconds that the whole network took when the limit was set. Where it takes another time later, the machine
    /// is more or less busy, and so would the pruned one: times are compared as shares of this one.
    pub whole: f64,
}

impl Freeze for Limit {
    /// The share that keeps to the limit; the smallest that can be had where none does: it is late to refuse.
    fn constraint(&self, network: &GatedNet, weights: &Weights, constraint: &Constraint) -> l0::Result<Constraint> {
        let share = self.share(network, weights, constraint).map_err(|error| match error {
            Error::Gates(error) => error,
            error => candle_core::Error::wrap(error).into(),
        })?;
        let (Reached::Within(share) | Reached::Smallest(share, _)) = share;
        Ok(Constraint { targets: Targets::Model(share), ..constraint.clone() })
    }
}

/// A share of the multiply-accumulates, beside a limit in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reached {
    /// The largest that keeps to it.
    Within(f64),
    /// The smallest that gates in their order leave, and the milliseconds that it takes, which are more.
    Smallest(f64, f64),
}

impl Limit {
    /// The largest share of the multiply-accumulates with which the network with the gates of `weights` keeps to the
    /// limit, or the smallest that there is.
    pub(crate) fn share(&self, network: &GatedNet, weights: &Weights, constraint: &Constraint) -> Result<Reached> {
        let whole = Model::new(network.net().clone(), weights.clone())?;
        // The time of the network at a share, were the machine as busy as it was when the limit was set; none where gates
        // in their order leave no network that small. A moment's noise would halve the range for good: what seems too
        // slow is timed again.
        let timed = |share: f64| -> Result<Option<f64>> {
            let constraint = Constraint { targets: Targets::Model(share), ..constraint.clone() };
            let within = network.brought_within(weights, &constraint, Estimator::Mean)?;
            if network.shares_left(&within, &constraint, Estimator::Mean)?[0] > share {
                return Ok(None);
            }
            let masks = network.test_masks(&within, Estimator::Mean)?;
            let compact = network.net().compact(&within, &masks)?;
            let mut least = f64::INFINITY;
            for _ in 0..AGAIN {
                let now = self.clock.latency(&whole)?;
                least = least.min(self.clock.latency(&compact)? * self.whole / now);
                if least <= self.milliseconds {
                    break;
                }
            }
            Ok(Some(least))
        };
        let (mut low, mut high) = (network.least_share(constraint)?, 1.0);
        let smallest = loop {
            match timed(low)? {
                Some(time) => break time,
                None if low >= 1.0 => return Ok(Reached::Smallest(1.0, self.whole)),
                None => low = (low * RISE).min(1.0),
            }
        };
        if smallest > self.milliseconds {
            return Ok(Reached::Smallest(low, smallest));
        }
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            let keeps = timed(middle)?.is_some_and(|time| time <= self.milliseconds);
            if keeps { low = middle } else { high = middle }
        }
        Ok(Reached::Within(low))
    }
}
