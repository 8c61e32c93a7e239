//! From what is asked for to the data: every kind of source.

use std::path::Path;

use crate::held_out::HELD_OUT;
use crate::repo::Repo;
use crate::{
    Benchmark, DataSpec, Dataset, Digits, Error, ImageFolder, Normalise, NormaliseBy, NormaliseName, Options, Origin,
    Progress, Result, Scale, Source, SourceFile, Table, arrays, folder, hub, idx,
};

/// What [`Options::only_for`] calls a column of labels.
const LABELS: &str = "a column of labels";

/// Loads a data set. One that is known by name comes from `source.dir` if there is one, else from the Hub's cache, else
/// from the Hub. Every file that comes by way of the Hub is checked against its sha256 before it is read.
///
/// A folder may hold the IDX files of MNIST (in it or below MNIST/raw, with or without their gzip), the binary files of
/// CIFAR (in it or in the folder of their archive), or the Hub's parquet files, all shards of them, as
/// `ylecun/mnist/mnist/train/0000.parquet`, as `mnist/train/0000.parquet` or as `train/0000.parquet`, or by the names
/// of a clone, as `mnist/train-00000-of-00001.parquet`. What they hold is compared with the known contents of the data
/// set and [said](Dataset::caveat) if it is something else.
///
/// Other data is what its [`DataSpec`] names: [`ImageFolder`], [`Table`], [`arrays`], IDX files or the Hub.
///
/// # Errors
/// See [`Error`]; parquet files and the Hub need the feature `hub`.
pub fn load(spec: impl Into<DataSpec>, source: &Source, progress: &dyn Progress) -> Result<Dataset> {
    let spec = spec.into();
    let data = match &spec.origin {
        Origin::Known(known) => load_known(*known, source, progress)?,
        Origin::Hub(name) => hub::load_any(name, &spec.options, source, progress)?,
        Origin::File(path) => load_file(path, &spec.options, source, progress)?,
        Origin::Folder(dir) => load_folder(dir, &spec.options, source, progress)?,
    };
    let data = adapted(data, &spec.options)?;
    Ok(Dataset { source: Some(spec), ..data })
}

fn load_known(known: Benchmark, source: &Source, progress: &dyn Progress) -> Result<Dataset> {
    match (Repo::of(known), &source.dir) {
        (None, _) => Digits::default().draw(),
        (Some(repo), Some(dir)) => folder::load(&repo, dir),
        (Some(repo), None) => hub::load(&repo, source, progress),
    }
}

fn load_file(path: &Path, options: &Options, source: &Source, progress: &dyn Progress) -> Result<Dataset> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let refuse_but = |kind: &str, these: &[&str]| options.only_for(path.display(), kind, these);
    if matches!(ending.as_str(), "npz" | "safetensors") {
        refuse_but("arrays", &[])?;
        return arrays::load(path);
    }
    if ending == "parquet"
        && let Some(pictures) = hub::load_pictures(path, options, source.memory, progress)?
    {
        refuse_but(
            "pictures of one file",
            &["a size", "channels", "a share held out", "a column of pictures", LABELS],
        )?;
        return Ok(pictures);
    }
    refuse_but("the rows of a table", &["a task", "a share held out", LABELS])?;
    let mut table = Table::open(path)?;
    if let Some(label) = &options.label {
        table = table.label(label)?;
    }
    if let Some(task) = options.task {
        table = table.task(task);
    }
    table.split(options.held_out.unwrap_or(HELD_OUT), 0)
}

/// IDX files, or class folders.
fn load_folder(dir: &Path, options: &Options, source: &Source, progress: &dyn Progress) -> Result<Dataset> {
    if let Some(data) = idx::load(dir)? {
        options.only_for(dir.display(), "IDX files", &[])?;
        return Ok(data);
    }
    options.only_for(dir.display(), "folders of pictures", &["a size", "channels", "a share held out"])?;
    let mut folder = ImageFolder::open(dir)?.memory(source.memory);
    if let Some(size) = options.size {
        folder = folder.resize(size);
    }
    if let Some(channels) = options.channels {
        folder = folder.channels(channels);
    }
    match options.held_out {
        Some(share) => folder.held_out(share, 0)?.load(progress),
        None => folder.load(progress),
    }
}

/// With the normalisation and the augmentation that are asked for.
fn adapted(mut data: Dataset, options: &Options) -> Result<Dataset> {
    if options.augment.is_some() && data.train.is_table() {
        let said = "rows of numbers are neither moved nor mirrored; leave augment out";
        return Err(Error::Argument(format!("{}: {said}", data.name)));
    }
    if data.train.is_table() {
        data = read_by(data, options)?;
    } else if let Some(normalise) = &options.normalise {
        let constants = normalise.constants(data.train.shape().0)?;
        data.normalise = constants.map_or_else(|| Normalise::of(&data.train), Ok)?;
    }
    data.augment = options.augment.or(data.augment);
    if let Some(augment) = &data.augment {
        augment.check(data.train.shape()).map_err(|error| Error::Argument(format!("{}: {error}", data.name)))?;
    }
    Ok(data)
}

/// Rows of numbers, read as is asked for: standardised by the training rows, as they come here, or as they are.
fn read_by(data: Dataset, options: &Options) -> Result<Dataset> {
    match options.normalise {
        None | Some(NormaliseBy::Name(NormaliseName::Computed)) => Ok(data),
        Some(NormaliseBy::Name(NormaliseName::None)) => {
            let (normalise, unscaled) = (Normalise::none(data.train.shape().0), Scale { mean: 0.0, std: 1.0 });
            let (train, test) = (data.train.in_scale(unscaled), data.test.in_scale(unscaled));
            Ok(Dataset { train, test, normalise, ..data })
        }
        Some(_) => Err(Error::Argument(format!(
            "{}: constants of pixels, for a table; choose computed, the mean and standard deviation of each column over the training \
             rows, or none, columns as they are",
            data.name
        ))),
    }
}

/// Fetches the files of a data set into the Hub's cache, unless they are there, and says where they are. The folder of
/// `source` plays no part.
///
/// # Errors
/// If the Hub cannot be reached or does not deliver the right bytes, if its cache cannot be written, and always without
/// the feature `hub`.
pub fn download(spec: impl Into<DataSpec>, source: &Source, progress: &dyn Progress) -> Result<Vec<SourceFile>> {
    let spec = spec.into();
    match (&spec.origin, spec.known().and_then(Repo::of)) {
        (_, Some(repo)) => hub::download(&repo, source, progress),
        (Origin::Hub(name), _) => hub::download_any(name, &spec.options, source, progress),
        _ => Ok(vec![]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in Benchmark::ALL {
            assert_eq!(name.to_string().parse::<Benchmark>().unwrap(), name);
        }
        let message = "no data set is called \"mnits\"; known are mnist, cifar10, cifar100, digits";
        assert_eq!("mnits".parse::<Benchmark>().unwrap_err().to_string(), message);
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn without_the_hub_an_error_says_what_to_do() {
        let error = load(Benchmark::Mnist, &Source::default(), &crate::Silent).unwrap_err();
        let message = "fetching ylecun/mnist from the Hub needs the feature `hub` of l0-data; or name a \
                       folder with its IDX or binary files";
        assert_eq!(error.to_string(), message);
    }
}
