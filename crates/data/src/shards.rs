//! Where the parquet files of a data set lie in a folder: all shards of a part, in their order.
//!
//! The Hub's conversion has a folder for each part, `train/0000.parquet`, `train/0001.parquet` and so on. A clone of a
//! data set has the whole in the name, `train-00000-of-00002.parquet`, older ones with a digest behind it. Either lies
//! in the folder of a configuration, in one called `data`, or in the folder itself.

use crate::repo::{Part, Repo};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A part's shards.
type Shards = Vec<PathBuf>;

/// How the shards of a part are found in a folder.
type Layout = fn(&Path, Part) -> Result<Shards>;

const LAYOUTS: [Layout; 2] = [in_folders, in_names];

/// The shards of the training and of the test images, if there are any of either.
///
/// # Errors
/// If they lie there more than once, one is missing, or a file among them is none.
pub(crate) fn find(repo: &Repo, dir: &Path) -> Result<Option<[Shards; 2]>> {
    let mut found: Vec<(PathBuf, [Shards; 2])> = Vec::new();
    for base in [dir.join(repo.id), dir.to_path_buf()] {
        for folder in [base.join(repo.config), base.join("data"), base] {
            for layout in LAYOUTS {
                let parts = [layout(&folder, Part::Train)?, layout(&folder, Part::Test)?];
                if parts.iter().any(|shards| !shards.is_empty()) {
                    found.push((folder.clone(), parts));
                }
            }
        }
    }
    match &found[..] {
        [] | [_] => Ok(found.pop().map(|(_, parts)| parts)),
        [(a, _), (b, _), ..] if a == b => Err(Error::layout(a, "two sets of parquet files", "move one of them away")),
        [(a, _), (b, _), ..] => {
            let problem = format!("parquet files of {} in {} and in {}", repo.name, a.display(), b.display());
            Err(Error::layout(dir, &problem, "name the folder of the one that is meant"))
        }
    }
}

/// The names of the folders in `dir` that hold parquet files of training images, those of other configurations perhaps.
pub(crate) fn folders(dir: &Path) -> Vec<String> {
    let holds = |folder: &Path| {
        let shards = |layout: Layout| layout(folder, Part::Train).is_ok_and(|shards| !shards.is_empty());
        LAYOUTS.into_iter().any(shards)
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let name = |path: PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.filter(|path| holds(path)).filter_map(name).collect();
    names.sort();
    names
}

/// `train/0000.parquet` and so on.
fn in_folders(folder: &Path, part: Part) -> Result<Shards> {
    let folder = folder.join(part.as_str());
    let mut shards = Vec::new();
    for (name, path) in parquet_files(&folder)? {
        let Some(number) = number(&name, 4) else {
            let problem = format!("{name}.parquet among the shards 0000.parquet, 0001.parquet and so on");
            return Err(Error::layout(&folder, &problem, "move it away if it is no shard, or number it as one"));
        };
        shards.push((number, path));
    }
    let count = shards.len();
    in_order(&folder, shards, count, |number| format!("{number:04}.parquet"))
}

/// `train-00000-of-00002.parquet` and so on, or with a digest behind that.
fn in_names(folder: &Path, part: Part) -> Result<Shards> {
    let prefix = format!("{}-", part.as_str());
    let mut shards = Vec::new();
    let mut total = None;
    for (name, path) in parquet_files(folder)? {
        let Some((shard, count)) = name.strip_prefix(&prefix).and_then(shard_of) else { continue };
        if *total.get_or_insert(count) != count {
            let problem = format!("shards of two sets of {} images, {name}.parquet one of them", part.as_str());
            return Err(Error::layout(folder, &problem, "move one set away"));
        }
        shards.push((shard, path));
    }
    let count = total.unwrap_or(0);
    in_order(folder, shards, count, |number| format!("{prefix}{number:05}-of-{count:05}.parquet"))
}

/// The shards by their numbers, which have to be 0 to `count`, each once.
fn in_order(
    folder: &Path,
    shards: Vec<(usize, PathBuf)>,
    count: usize,
    name: impl Fn(usize) -> String,
) -> Result<Shards> {
    let found = shards.len();
    let shards: BTreeMap<usize, PathBuf> = shards.into_iter().collect();
    if let Some(missing) = (0..count).find(|number| !shards.contains_key(number)) {
        let problem = format!("no {} beside the other shards", name(missing));
        return Err(Error::layout(folder, &problem, "put it there, too"));
    }
    if found > count {
        let problem = format!("{found} files where their names speak of {count}");
        return Err(Error::layout(folder, &problem, "move away what is not of this set"));
    }
    Ok(shards.into_values().collect())
}

/// "00000-of-00002", or with "-" and something behind: the number and how many there are.
fn shard_of(name: &str) -> Option<(usize, usize)> {
    let (shard, rest) = name.split_once("-of-")?;
    let count = rest.split('-').next()?;
    Some((number(shard, 5)?, number(count, 5)?))
}

/// A number of so many digits or more.
fn number(text: &str, digits: usize) -> Option<usize> {
    let is_number = text.len() >= digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Parquet files in a folder, each with its name without the ending; none if there is no such folder.
fn parquet_files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read the folder", folder))? {
        let path = entry.map_err(Error::io("read the folder", folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".parquet")) else { continue };
        if !name.starts_with('.') && !path.is_dir() {
            files.push((name.to_string(), path.clone()));
        }
    }
    files.sort();
    Ok(files)
}
