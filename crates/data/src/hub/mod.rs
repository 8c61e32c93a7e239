//! Data sets from the Hub, and the parquet files they come in there.
//!
//! `candle-datasets` can fetch both, and is not used for it: it reads the environment alone, has no offline mode,
//! trusts whatever its cache holds, skips rows that fail and panics on pictures that do not decode, and its CIFAR
//! images come out transposed. Its `Dataset` is what ours converts to and from: [`Dataset::to_candle`],
//! [`Dataset::from_candle`].

mod any;
mod bar;
mod cache;
mod columns;
mod fetch;
mod file;
mod meter;
pub(crate) mod pages;
pub mod parquet;
mod pictures;
mod refusal;
mod transfer;
mod vision;

pub use any::parse_pictures;
pub(crate) use any::{download_any, load_any, load_pictures};
pub use bar::Bar;
pub use fetch::fetch;
pub use file::{Holds, HubFile};

use crate::repo::{Part, Repo};
use crate::{Dataset, Progress, Result, Source, SourceFile, Split};
use std::path::Path;

pub(crate) fn load(repo: &Repo, source: &Source, progress: &dyn Progress) -> Result<Dataset> {
    let files = download(repo, source, progress)?;
    let read = |file: &SourceFile| parquet::read(&file.path, repo, Some(&file.sha256));
    let (train, test) = (read(&files[0])?.0, read(&files[1])?.0);
    Dataset::new(repo.name.as_str(), train, test, files)
}

/// The training and the test file.
pub(crate) fn download(repo: &Repo, source: &Source, progress: &dyn Progress) -> Result<Vec<SourceFile>> {
    let pin = |part| repo.pin(part).map(str::to_string);
    let file = |part| HubFile { sha256: pin(part), ..HubFile::of_data(repo.id, repo.file(part)) };
    Part::BOTH.iter().map(|&part| fetch(&file(part), source, progress)).collect()
}

pub(crate) fn read_parquet(path: &Path, repo: &Repo) -> Result<(Split, SourceFile)> {
    parquet::read(path, repo, None)
}
