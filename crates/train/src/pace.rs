//! How often a run is saved: after every epoch, unless that would take more of its time than it is worth.

use std::time::{Duration, Instant};

use crate::{Checkpoints, Result, Trainer};

/// A checkpoint that is written within this time is never too many.
const CHEAP: Duration = Duration::from_millis(500);

/// A costly one waits for so many times as long as the last one took: a twentieth of the time goes into saving at most.
const PATIENCE: u32 = 20;

/// When the last checkpoint was written, and how long that took.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// Whether it is time for a checkpoint.
    pub(crate) fn is_due(&self) -> bool {
        self.last.is_none_or(|(written, took)| is_worth_it(took, written.elapsed()))
    }

    /// Writes one, due or not.
    ///
    /// # Errors
    /// As [`Checkpoints::save`].
    pub(crate) fn save(&mut self, checkpoints: &Checkpoints, trainer: &Trainer) -> Result<()> {
        let begin = Instant::now();
        checkpoints.save(trainer)?;
        self.last = Some((Instant::now(), begin.elapsed()));
        Ok(())
    }
}

/// Whether to write a checkpoint so long `since` one that `took` so long.
fn is_worth_it(took: Duration, since: Duration) -> bool {
    took <= CHEAP || since >= took * PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cheap_checkpoint_is_always_worth_it_and_a_costly_one_after_a_while() {
        let worth = |took, since| is_worth_it(Duration::from_secs_f64(took), Duration::from_secs_f64(since));
        assert!(worth(0.5, 0.0), "a small network is saved after every epoch, however short that is");
        // WRN-28-10 on a fast GPU: 2 seconds to write, 6 for an epoch.
        let written: Vec<bool> = (1..=7).map(|epochs| worth(2.0, 6.0 * f64::from(epochs))).collect();
        assert_eq!(written, [false, false, false, false, false, false, true]);
        assert!(!worth(0.6, 11.9) && worth(0.6, 12.0));
    }

    #[test]
    fn the_first_checkpoint_is_due() {
        assert!(Pace::default().is_due());
        let now = Instant::now();
        assert!(!Pace { last: Some((now, Duration::from_secs(60))) }.is_due());
    }
}
