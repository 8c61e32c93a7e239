//! Finding a data set in a folder: its original files first, then the Hub's.

use crate::cifar::Format;
use crate::repo::{Part, Repo};
use crate::{Dataset, Error, Result, SourceFile, Split, cifar, foreign, hub, idx, shards};
use std::path::{Path, PathBuf};

/// Where the original files may lie: in the folder itself, or in one that other tools or an archive make.
const IDX_FOLDERS: [&str; 4] = ["", "MNIST/raw", "mnist-idx", "mnist"];
const BINARY_FOLDERS: [&str; 3] = ["", "cifar-10-batches-bin", "cifar-100-binary"];
const CIFAR10_TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// As many names of what else a folder holds are told.
const LISTED: usize = 3;

/// A part and the files it was read from.
type Read = (Split, Vec<SourceFile>);

pub(crate) fn load(repo: &Repo, dir: &Path) -> Result<Dataset> {
    std::fs::read_dir(dir).map_err(Error::io("read the folder", dir))?;
    let ((train, mut files), (test, more)) = read(repo, dir)?;
    files.extend(more);
    Dataset::new(repo.name.as_str(), train, test, files)
}

/// Both parts from files of one kind: a mixture would be of two data sets.
fn read(repo: &Repo, dir: &Path) -> Result<(Read, Read)> {
    let of = |part| original_files(repo, dir, part).ok_or_else(|| not_there(repo, dir, part));
    if let (Ok(_), _) | (_, Ok(_)) = (of(Part::Train), of(Part::Test)) {
        return Ok((read_original(repo, &of(Part::Train)?)?, read_original(repo, &of(Part::Test)?)?));
    }
    let [train, test] = shards::find(repo, dir)?.unwrap_or_default();
    Ok((read_shards(repo, dir, Part::Train, &train)?, read_shards(repo, dir, Part::Test, &test)?))
}

fn read_original(repo: &Repo, paths: &[PathBuf]) -> Result<Read> {
    match (repo.binary, paths) {
        (Some(format), paths) => cifar::read_split(paths, format),
        (None, [images, labels]) => read_idx(images, labels, repo),
        (None, _) => unreachable!("IDX files come as images and labels"),
    }
}

/// The images of all shards, one after the other.
fn read_shards(repo: &Repo, dir: &Path, part: Part, shards: &[PathBuf]) -> Result<Read> {
    if shards.is_empty() {
        return Err(not_there(repo, dir, part));
    }
    let each = shards.iter().map(|path| hub::read_parquet(path, repo)).collect::<Result<Vec<_>>>()?;
    let (splits, files): (Vec<Split>, Vec<SourceFile>) = each.into_iter().unzip();
    Ok((Split::joined(splits, repo.name.shape(), repo.name.classes())?, files))
}

fn not_there(repo: &Repo, dir: &Path, part: Part) -> Error {
    let looked_for = format!("{} or {}", original_names(repo, part).join(", "), repo.file(part));
    let found = match (foreign::find(repo, dir), &shards::folders(dir)[..]) {
        (Some((file, form)), _) => format!(", found {}, which is {form}; {}", file.display(), foreign::advice(repo)),
        (None, []) => listed(dir),
        (None, folders) => format!(", found parquet files in {}", folders.join(", ")),
    };
    Error::NotThere { dir: dir.to_path_buf(), name: repo.name.as_str(), looked_for, found }
}

/// ", found a, b, c and 7 more": the first things in a folder, by name.
fn listed(dir: &Path) -> String {
    let all = std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut names: Vec<String> = all.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    let (first, more) = names.split_at(names.len().min(LISTED));
    match (first, more.len()) {
        ([], _) => ", found nothing in it".into(),
        (first, 0) => format!(", found {}", first.join(", ")),
        (first, more) => format!(", found {} and {more} more", first.join(", ")),
    }
}

fn read_idx(images: &Path, labels: &Path, repo: &Repo) -> Result<(Split, Vec<SourceFile>)> {
    let (split, files) = idx::read_split(images, labels, repo.name.classes())?;
    if split.shape() != repo.name.shape() {
        let size = |(_, h, w): (usize, usize, usize)| format!("images of {h}x{w}");
        return Err(Error::format(images, size(repo.name.shape()), size(split.shape())));
    }
    Ok((split, files.to_vec()))
}

fn original_names(repo: &Repo, part: Part) -> Vec<&'static str> {
    match (repo.binary, part) {
        (None, Part::Train) => vec!["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
        (None, Part::Test) => vec!["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
        (Some(Format::Cifar10), Part::Train) => CIFAR10_TRAIN.to_vec(),
        (Some(Format::Cifar10), Part::Test) => vec!["test_batch.bin"],
        (Some(Format::Cifar100), Part::Train) => vec!["train.bin"],
        (Some(Format::Cifar100), Part::Test) => vec!["test.bin"],
    }
}

/// The original files if any of them is there; one that is not will be missed by name when it is read.
fn original_files(repo: &Repo, dir: &Path, part: Part) -> Option<Vec<PathBuf>> {
    let folders = if repo.binary.is_some() { &BINARY_FOLDERS[..] } else { &IDX_FOLDERS };
    let names = original_names(repo, part);
    let path = |dir: &Path, name: &str| if repo.binary.is_some() { dir.join(name) } else { idx::variant(dir, name) };
    let paths = |folder: &&str| -> Vec<PathBuf> { names.iter().map(|name| path(&dir.join(folder), name)).collect() };
    folders.iter().map(paths).find(|paths| paths.iter().any(|path| path.is_file()))
}
