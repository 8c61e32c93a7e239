//! Progress on the terminal: a bar for the steps of an epoch, a line for each epoch done. Silent where nobody looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use l0_record::EpochRow;
use l0_train::{Evaluation, StepResult, Watch};

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
        let open: Vec<String> = row.open.iter().map(|(layer, open)| format!("{layer} {open}")).collect();
        let expected = row.expected_macs.map_or(String::new(), |macs| format!("  expected {:.0} k MACs", macs / 1e3));
        let open = if open.is_empty() { String::new() } else { format!("  open {}", open.join(" ")) };
        self.latest = format!("test error {:.2} %{expected}{open}", evaluation.error_percent());
        let step_ms = row.step_ms.unwrap_or(f64::NAN);
        self.bar.suspend(|| tracing::info!("epoch {:>3}  {}  {step_ms:.2} ms a step", row.epoch, self.latest));
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
