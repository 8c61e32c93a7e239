//! How far a download is, seen from outside the client that makes it.

use crate::Progress;
use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How far the download of one file is, and since when it has stood still.
///
/// The client reports into it from its own task; the waiting side passes on what is new.
#[derive(Debug)]
pub(super) struct Meter(Mutex<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    received: u64,
    total: u64,
    told: Option<u64>,
    moved: Instant,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { received: 0, total: 0, told: None, moved: Instant::now() }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// `received` of `total` bytes are here.
    pub(super) fn set(&self, received: u64, total: u64) {
        self.with(|state| {
            if received != state.received {
                state.moved = Instant::now();
            }
            (state.received, state.total) = (received, total);
        });
    }

    /// Something happened that is worth waiting for.
    pub(super) fn touch(&self) {
        self.with(|state| state.moved = Instant::now());
    }

    pub(super) fn received(&self) -> u64 {
        self.with(|state| state.received)
    }

    pub(super) fn total(&self) -> u64 {
        self.with(|state| state.total)
    }

    pub(super) fn still_for(&self) -> Duration {
        self.with(|state| state.moved.elapsed())
    }

    /// Passes on what is new. A download that began again shows as standing still until it has caught up.
    pub(super) fn report(&self, file: &str, progress: &dyn Progress) {
        self.with(|state| match state.told {
            None if state.total > 0 => {
                progress.start(file, state.total, state.received);
                state.told = Some(state.received);
            }
            Some(told) if state.received > told => {
                progress.advance(state.received - told);
                state.told = Some(state.received);
            }
            _ => {}
        });
    }
}

impl ProgressHandler for Meter {
    fn on_progress(&self, event: &ProgressEvent) {
        match event {
            ProgressEvent::Download(DownloadEvent::Progress { files }) => {
                for file in files.iter().filter(|file| file.total_bytes > 0) {
                    self.set(file.bytes_completed, file.total_bytes);
                }
            }
            ProgressEvent::Download(DownloadEvent::AggregateProgress { bytes_completed, total_bytes, .. }) => {
                self.set(*bytes_completed, *total_bytes)
            }
            _ => {}
        }
    }
}
