//! Runs that fail while the others of the same command go on.

use std::fmt;

use anyhow::{Error, Result, bail};

/// The program was asked to stop while it waited for another one.
#[derive(Debug)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted while it waited; the same command goes on")
    }
}

impl std::error::Error for Stopped {}

/// Whether an error says that the program was asked to stop.
fn is_stop(error: &Error) -> bool {
    let is_interrupted = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(l0_train::Error::Interrupted { .. }))
    };
    error.is::<Stopped>() || error.chain().any(is_interrupted)
}

/// The runs of a command that failed.
#[derive(Debug)]
pub struct Failures {
    of: usize,
    failed: Vec<(String, Error)>,
}

impl Failures {
    /// None yet, of so many runs.
    pub fn of(runs: usize) -> Self {
        Self { of: runs, failed: Vec::new() }
    }

    /// Keeps the error of a run, and says it at once if others are still to come.
    ///
    /// # Errors
    /// The same, if it says that the program was asked to stop: that is meant for all runs.
    pub fn add(&mut self, run: String, error: Error) -> Result<()> {
        if is_stop(&error) {
            return Err(error);
        }
        if self.of > 1 {
            tracing::error!("{run}: {error:#}");
        }
        self.failed.push((run, error));
        Ok(())
    }

    /// Once every run was tried.
    ///
    /// # Errors
    /// If one failed: its own error, if there was no other run, or else their names.
    pub fn end(mut self) -> Result<()> {
        match self.failed.len() {
            0 => Ok(()),
            1 if self.of == 1 => Err(self.failed.remove(0).1),
            failed => {
                let runs: Vec<&str> = self.failed.iter().map(|(run, _)| run.as_str()).collect();
                bail!("{failed} of {} runs failed, as said above: {}", self.of, runs.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_the_only_run_is_said_and_of_several_their_names() {
        let ended = |runs: usize, failed: &[&str]| {
            let mut failures = Failures::of(runs);
            failed.iter().for_each(|run| failures.add(run.to_string(), anyhow::anyhow!("no disk")).unwrap());
            failures.end().map_err(|error| format!("{error:#}"))
        };
        assert_eq!(ended(3, &[]), Ok(()));
        assert_eq!(ended(1, &["a"]), Err("no disk".into()));
        assert_eq!(ended(3, &["a", "c"]), Err("2 of 3 runs failed, as said above: a, c".into()));
    }

    #[test]
    fn to_stop_is_meant_for_all_runs() {
        let stopped = l0_train::Error::Interrupted { epoch: 1, step: 2, folder: "run".into() };
        assert!(Failures::of(3).add("a".into(), Error::from(stopped).context("a")).is_err());
        assert!(Failures::of(3).add("a".into(), Error::from(Stopped).context("a")).is_err());
    }
}
