/// What a download tells whoever waits for it. Called from another thread.
pub trait Progress: Sync {
    /// `file` of `bytes` bytes begins, `done` of which are here already.
    fn start(&self, file: &str, bytes: u64, done: u64);
    /// `bytes` more have arrived.
    fn advance(&self, bytes: u64);
    /// The file is complete, or the attempt has failed.
    fn finish(&self);
}

/// Tells nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: u64, _: u64) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
}
