//! What is told to whoever waits for a download, or for pictures to be decoded.

/// What downloading and decoding tell whoever waits for it. Called from other threads.
pub trait Progress: Sync {
    /// `file` of `bytes` bytes begins, `done` of which are here already.
    fn start(&self, file: &str, bytes: u64, done: u64);
    /// `bytes` more have arrived.
    fn advance(&self, bytes: u64);
    /// The file is complete, or the attempt has failed.
    fn finish(&self);
    /// Of the data set `name`, `done` of `total` steps of decoding are made; when both are equal, all.
    fn decoded(&self, name: &str, done: usize, total: usize) {
        let _ = (name, done, total);
    }
}

/// Tells nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: u64, _: u64) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
}
