//! One run of a sweep, and how far it has come.

use std::path::PathBuf;

use anyhow::Result;
use l0_record::{EpochRow, Outcome, Run, RunFolder, Status, read_run};

use crate::session::worth;
use crate::{Recipe, old};

/// The exit code of a process that left a run to another one, which is still at it: EX_TEMPFAIL of sysexits.h. A
/// scheduler is not to take the run for done.
pub const ELSEWHERE: u8 = 75;

/// One run of a sweep.
#[derive(Debug, Clone)]
pub struct Point {
    /// What is trained.
    pub recipe: Recipe,
    /// With which seed.
    pub seed: u64,
    /// In which folder.
    pub path: PathBuf,
}

impl Point {
    /// As a line begins that is about it.
    pub fn name(&self) -> String {
        format!("{} seed {}", self.recipe.name, self.seed)
    }

    /// What its folder says; `None` if it was not begun, also where a run of other settings makes way for it.
    ///
    /// # Errors
    /// If the folder holds another run with other settings, or files that are not those of a run.
    pub fn run(&self) -> Result<Option<Run>> {
        if !self.path.join("run.json").exists() {
            return Ok(None);
        }
        let run = read_run(&self.path)?;
        match old::check_config(&self.path, &run.header, &self.recipe.config()) {
            Err(_) if RunFolder::makes_way(&self.path) => Ok(None),
            other => Ok(other.map(|()| Some(run))?),
        }
    }

    /// How far it has come, in a few words.
    ///
    /// # Errors
    /// As for [`Point::run`].
    pub fn state(&self) -> Result<String> {
        let Some(run) = self.run()? else { return Ok("not begun".into()) };
        let of_row = |row: &EpochRow| {
            let (test_error_percent, test_rmse, test_r2) = (row.test_error_percent, row.test_rmse, row.test_r2);
            format!(", {}", worth(&Outcome { test_error_percent, test_rmse, test_r2, ..Outcome::default() }))
        };
        let error = run.rows.last().map_or(String::new(), of_row);
        let epochs = format!("epoch {} of {}{error}", run.rows.len(), self.recipe.training.epochs);
        Ok(match run.header.status {
            Status::Finished => format!("finished{error}"),
            Status::Running => epochs,
            Status::Interrupted => format!("interrupted, {epochs}"),
            Status::Failed => format!("failed, {epochs}: {}", run.header.message.unwrap_or_default()),
        })
    }

    /// How far it has come; `None` if it was not begun.
    ///
    /// # Errors
    /// As for [`Point::run`].
    pub fn status(&self) -> Result<Option<Status>> {
        Ok(self.run()?.map(|run| run.header.status))
    }
}
