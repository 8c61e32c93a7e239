//! How often a run is saved: after every epoch, unless that would take more of its time than it is worth.

use std::time::{Duration, Instant};

use crate::{Checkpoints, Result, Trainer};

/// A checkpoint that is written within this time is a cheap one.
const CHEAP: Duration = Duration::from_millis(500);

/// So many cheap ones come first, without a wait: a run of few epochs is saved after each of them, however short.
const FIRST: u32 = 5;

/// Any other waits for so many times as long as the last one took: a twentieth of the time goes into saving at most.
const PATIENCE: u32 = 20;

/// How many checkpoints this process wrote, when the last one, and how long that took.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    written: u32,
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// Whether it is time for a checkpoint.
    pub(crate) fn is_due(&self) -> bool {
        self.last.is_none_or(|(at, took)| is_worth_it(self.written, took, at.elapsed()))
    }

    /// Writes one, due or not.
    ///
    /// # Errors
    /// As [`Checkpoints::save`].
    pub(crate) fn save(&mut self, checkpoints: &Checkpoints, trainer: &Trainer) -> Result<()> {
        let begin = Instant::now();
        checkpoints.save(trainer)?;
        self.written = self.written.saturating_add(1);
        self.last = Some((Instant::now(), begin.elapsed()));
        Ok(())
    }
}

/// Whether to write a checkpoint so long `since` one that `took` so long, the last of so many `written`.
fn is_worth_it(written: u32, took: Duration, since: Duration) -> bool {
    (written < FIRST && took <= CHEAP) || since >= took * PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worth(written: u32, took: f64, since: f64) -> bool {
        is_worth_it(written, Duration::from_secs_f64(took), Duration::from_secs_f64(since))
    }

    #[test]
    fn the_first_cheap_checkpoints_are_worth_it_and_any_other_after_a_while() {
        assert!(worth(1, 0.5, 0.0) && worth(4, 0.5, 0.0), "a run of few epochs is saved after each of them");
        assert!(!worth(5, 0.5, 9.9) && worth(5, 0.5, 10.0));
        // WRN-28-10 on a fast GPU: 2 seconds to write, 6 for an epoch.
        let written: Vec<bool> = (1..=7).map(|epochs| worth(1, 2.0, 6.0 * f64::from(epochs))).collect();
        assert_eq!(written, [false, false, false, false, false, false, true]);
        assert!(!worth(1, 0.6, 11.9) && worth(1, 0.6, 12.0));
    }

    /// A table of a few hundred rows: 18 milliseconds to write, 2 for an epoch.
    #[test]
    fn short_epochs_are_not_outweighed_by_checkpoints() {
        let (mut written, mut epochs) = (1, 0);
        for _ in 2..=400 {
            epochs += 1;
            if worth(written, 0.018, 0.002 * f64::from(epochs)) {
                (written, epochs) = (written + 1, 0);
            }
        }
        assert_eq!(written, 7, "5 at once, then one in 180 epochs");
    }

    #[test]
    fn the_first_checkpoint_is_due() {
        assert!(Pace::default().is_due());
        let now = Instant::now();
        assert!(!Pace { written: 1, last: Some((now, Duration::from_secs(60))) }.is_due());
    }
}
