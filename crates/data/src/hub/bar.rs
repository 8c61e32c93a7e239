//! The progress of downloads on a terminal.

use crate::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Mutex;

/// A progress bar on stderr; nothing when that is not a terminal.
#[derive(Debug, Default)]
pub struct Bar(Mutex<Option<ProgressBar>>);

const TEMPLATE: &str = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";

impl Bar {
    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        if let Ok(mut bar) = self.0.lock() {
            act(&mut bar);
        }
    }
}

impl Progress for Bar {
    fn start(&self, file: &str, bytes: u64, done: u64) {
        let bar = ProgressBar::new(bytes).with_message(file.to_string()).with_position(done);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        self.with(|slot| *slot = Some(bar));
    }

    fn advance(&self, bytes: u64) {
        self.with(|bar| bar.iter().for_each(|bar| bar.inc(bytes)));
    }

    fn finish(&self) {
        self.with(|bar| bar.take().iter().for_each(ProgressBar::finish_and_clear));
    }
}
