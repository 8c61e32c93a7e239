//! What stands in for the module `hub` in a program built without it: errors that say how to go on.

use crate::repo::Repo;
use crate::{Dataset, Error, Options, Progress, Result, Source, SourceFile, Split};
use std::path::Path;

pub(crate) fn load(repo: &Repo, source: &Source, progress: &dyn Progress) -> Result<Dataset> {
    Err(download(repo, source, progress).expect_err("nothing is fetched without the hub"))
}

pub(crate) fn download(repo: &Repo, _: &Source, _: &dyn Progress) -> Result<Vec<SourceFile>> {
    Err(Error::NeedsHub {
        what: format!("fetching {} from the Hub", repo.id),
        otherwise: "; or name a folder with its IDX or binary files",
    })
}

pub(crate) fn read_parquet(path: &Path, _: &Repo) -> Result<(Split, SourceFile)> {
    Err(Error::NeedsHub { what: format!("reading {}", path.display()), otherwise: "" })
}

pub(crate) fn load_any(name: &str, options: &Options, source: &Source, progress: &dyn Progress) -> Result<Dataset> {
    Err(download_any(name, options, source, progress).expect_err("nothing is fetched without the hub"))
}

pub(crate) fn download_any(name: &str, _: &Options, _: &Source, _: &dyn Progress) -> Result<Vec<SourceFile>> {
    Err(Error::NeedsHub {
        what: format!("fetching {name} from the Hub"),
        otherwise: "; or name a folder of its pictures",
    })
}

/// Then it is read as a table, whose error says what is missing.
pub(crate) fn load_pictures(_: &Path, _: &Options, _: u64, _: &dyn Progress) -> Result<Option<Dataset>> {
    Ok(None)
}
