//! Where to look for data.

use std::path::PathBuf;
use std::time::Duration;

/// Where to look for a data set. The program fills it from its command line and environment; this crate reads neither,
/// but for what `hf-hub` reads itself (HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A folder that holds the files. If named, nothing else is tried.
    pub dir: Option<PathBuf>,
    /// Use only what is in the Hub's cache.
    pub offline: bool,
    /// The Hub's address, if not what `hf-hub` finds itself.
    pub endpoint: Option<String>,
    /// The Hub's cache folder, if not what `hf-hub` finds itself.
    pub cache: Option<PathBuf>,
    /// How long a download may stand still before it ends in an error.
    pub patience: Duration,
    /// Bytes of decoded images that may be held; pictures that come to more are decoded as batches need them.
    pub memory: u64,
}

/// The bytes of decoded images that are held if nothing else is said: 4 GiB.
pub(crate) const HELD: u64 = 4 << 30;

impl Default for Source {
    /// The Hub's cache, then the Hub; 20 seconds of patience.
    fn default() -> Self {
        Self { dir: None, offline: false, endpoint: None, cache: None, patience: Duration::from_secs(20), memory: HELD }
    }
}

impl Source {
    /// A folder, and nothing else.
    pub fn dir(dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), ..Self::default() }
    }
}
