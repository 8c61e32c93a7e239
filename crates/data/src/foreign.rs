//! Forms of a data set that others read: what is found in place of its files is called what it is.

pub(crate) mod form;

use self::form::{LONGEST, form};
use crate::cifar::Format;
use crate::repo::Repo;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file in the folder, or in a folder in it, that has the data set in another form: its name and what it is.
pub(crate) fn find(repo: &Repo, dir: &Path) -> Option<(PathBuf, &'static str)> {
    let outer = entries(dir);
    let inner = outer.iter().flat_map(|path| entries(path));
    let candidates = outer.iter().cloned().chain(inner).filter(|path| path.is_file());
    candidates.filter_map(|path| Some((path.strip_prefix(dir).ok()?.to_path_buf(), path))).find_map(|(name, path)| {
        let form = belongs(repo, &name).then(|| form_of(&path))??;
        Some((name, form))
    })
}

/// Where the form that is read comes from.
pub(crate) fn advice(repo: &Repo) -> &'static str {
    match repo.binary {
        Some(Format::Cifar10) => "unpack the binary version there, cifar-10-binary.tar.gz",
        Some(Format::Cifar100) => "unpack the binary version there, cifar-100-binary.tar.gz",
        None => "put the four IDX files there, train-images-idx3-ubyte.gz and so on",
    }
}

/// Whether a file looks by its name as if it were of this data set. IDX files are read, and no other form.
fn belongs(repo: &Repo, name: &Path) -> bool {
    let marks: &[&str] = match repo.binary {
        Some(Format::Cifar10) => &["cifar-10-", "cifar10.", "cifar10-", "cifar10_", "/data_batch", "/test_batch"],
        Some(Format::Cifar100) => &["cifar-100-", "cifar100", "/train/", "/test/", "/train.", "/test."],
        None => &["mnist", "/training.pt/", "/test.pt/"],
    };
    // Between slashes, so that a mark can ask for a beginning, an end or a whole name.
    let name = format!("/{}/", name.to_string_lossy().replace('\\', "/").to_lowercase());
    !name.contains("-idx") && !name.contains(".idx") && marks.iter().any(|mark| name.contains(mark))
}

fn form_of(path: &Path) -> Option<&'static str> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
        return Some("a table as text");
    }
    let mut beginning = Vec::new();
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut beginning).ok()?;
    form(&beginning)
}

/// What a folder holds, in an order that does not depend on the file system; nothing if it is none.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
