//! Progress on the terminal: a bar for the steps of an epoch, a line for each epoch done. Silent where nobody looks.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use l0_record::EpochRow;
use l0_train::{Evaluation, StepResult, Watch};

use crate::say;

/// A bar over all steps of a run.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    epochs: u64,
    latest: String,
}

impl Bar {
    /// A bar for a run of `epochs` epochs, drawn on standard error if that is a terminal.
    pub fn new(title: &str, epochs: u64) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = "{prefix}  {wide_bar:.cyan/dim}  {pos}/{len} steps, {eta} left\n{msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(title.to_string());
        Self { bar, epochs, latest: String::new() }
    }
}

impl Watch for Bar {
    fn step(&mut self, epoch: u64, step: u64, steps: u64, result: &StepResult) {
        self.bar.set_length(steps * self.epochs);
        self.bar.set_position(epoch * steps + step);
        if step.is_multiple_of(20) {
            self.bar.set_message(format!(
                "epoch {} of {}  loss {:.4}  {}",
                epoch + 1,
                self.epochs,
                result.loss,
                self.latest
            ));
        }
    }

    fn epoch(&mut self, row: &EpochRow, evaluation: &Evaluation) {
        let open: Vec<String> = row.open.iter().map(|(layer, open)| format!("{layer}: {open}")).collect();
        let expected = row.expected_macs.map_or(String::new(), |macs| format!("  expected {}", of_macs(macs)));
        let open = if open.is_empty() { String::new() } else { format!("  open {}", open.join(", ")) };
        self.latest = format!("test {}{expected}{open}", evaluation.score);
        let step_ms = row.step_ms.unwrap_or(f64::NAN);
        let (epoch, epochs) = (row.epoch, self.epochs);
        self.bar.suspend(|| tracing::info!("epoch {epoch:>3} of {epochs}  {}  {step_ms:.2} ms a step", self.latest));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar for each file that is downloaded.
#[derive(Debug, Default)]
pub struct Downloads {
    bar: std::sync::Mutex<Option<ProgressBar>>,
}

impl l0_data::Progress for Downloads {
    fn start(&self, file: &str, bytes: u64, done: u64) {
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("{prefix}  {wide_bar:.cyan/dim}  {bytes} of {total_bytes}, {eta} left")
        {
            bar.set_style(style);
        }
        bar.set_prefix(file.to_string());
        bar.set_position(done);
        self.replace(Some(bar));
    }

    fn advance(&self, bytes: u64) {
        if let Ok(bar) = self.bar.lock()
            && let Some(bar) = bar.as_ref()
        {
            bar.inc(bytes);
        }
    }

    fn finish(&self) {
        self.replace(None);
    }

    fn decoded(&self, name: &str, done: usize, total: usize) {
        let is_new = self.bar.lock().is_ok_and(|bar| bar.is_none());
        if is_new && done < total {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{prefix}  {wide_bar:.cyan/dim}  {percent} %, {eta} left") {
                bar.set_style(style);
            }
            bar.set_prefix(format!("decoding {name}"));
            self.replace(Some(bar));
        }
        if let Ok(bar) = self.bar.lock()
            && let Some(bar) = bar.as_ref()
        {
            bar.set_position(done as u64);
        }
        if done == total {
            self.replace(None);
        }
    }
}

impl Downloads {
    fn replace(&self, new: Option<ProgressBar>) {
        if let Ok(mut bar) = self.bar.lock()
            && let Some(old) = std::mem::replace(&mut *bar, new)
        {
            old.finish_and_clear();
        }
    }
}

/// A bar for runs side by side, with a line for each one at work.
#[derive(Debug)]
pub struct Jobs {
    all: MultiProgress,
    bar: ProgressBar,
    lines: Vec<ProgressBar>,
}

impl Jobs {
    /// A bar for so many runs, of which some are done; drawn on standard error if that is a terminal.
    pub fn new(runs: u64, done: u64) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let bar = all.add(ProgressBar::new(runs).with_position(done));
        if let Ok(style) = ProgressStyle::with_template("{wide_bar:.cyan/dim}  {pos}/{len} runs, {elapsed}") {
            bar.set_style(style);
        }
        Self { all, bar, lines: Vec::new() }
    }

    /// A line about something that happened.
    pub fn line(&self, said: &str) {
        // What nobody can be told is no reason to stop the runs.
        self.aside(|| drop(say!("{said}")));
    }

    /// Whatever else writes lines.
    pub fn aside<T>(&self, body: impl FnOnce() -> T) -> T {
        self.all.suspend(body)
    }

    /// A run reached its end.
    pub fn finished(&self, said: &str) {
        self.line(said);
        self.bar.inc(1);
    }

    /// What the runs at work are at.
    pub fn running(&mut self, said: &[String]) {
        while self.lines.len() < said.len() {
            let line = self.all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {msg}") {
                line.set_style(style);
            }
            self.lines.push(line);
        }
        for line in self.lines.drain(said.len()..) {
            line.finish_and_clear();
            self.all.remove(&line);
        }
        self.lines.iter().zip(said).for_each(|(line, said)| line.set_message(said.clone()));
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.running(&[]);
        self.bar.finish_and_clear();
    }
}

/// "373 MACs", "2293 k MACs".
fn of_macs(macs: f64) -> String {
    if macs < 1e4 { format!("{macs:.0} MACs") } else { format!("{:.0} k MACs", macs / 1e3) }
}
