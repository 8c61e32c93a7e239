//! Any data set of pictures and classes on the Hub, by owner and name: which of its files, and what is in them, is
//! found from the names of files and from their schema.

use super::fetch::{self, fetch};
use super::file::HubFile;
use super::pictures::{self, Rows};
use crate::dataset::listed;
use crate::gather::{Labelled, Skipped, Wish, gather};
use crate::held_out::HELD_OUT;
use crate::{Dataset, Error, Options, Progress, Result, Silent, Source, SourceFile, Split, digest, held_out};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What splits to test on are called, the first that is there.
const TEST: [&str; 5] = ["test", "validation", "valid", "val", "dev"];

/// The files of both parts.
struct Chosen {
    train: Vec<String>,
    test: Vec<String>,
    /// Splits that are neither.
    passed_over: Vec<String>,
}

pub(crate) fn load_any(name: &str, options: &Options, source: &Source, progress: &dyn Progress) -> Result<Dataset> {
    let of_hub = ["a size", "channels", "a share held out", "a configuration", "a split to learn from"];
    let of_hub = [&of_hub[..], &["a split to test on", "a column of pictures", "a column of labels"]].concat();
    options.only_for(name, "pictures of the Hub", &of_hub)?;
    let chosen = choose(name, fetch::list(name, source, progress)?, options)?;
    if options.held_out.is_some() && !chosen.test.is_empty() {
        let problem = "a share held out is chosen, and it has a split to test on; leave it out";
        return Err(Error::Argument(format!("{name}: {problem}")));
    }
    let files = fetched(name, &chosen, source, progress)?;
    let (of_train, of_test) = files.split_at(chosen.train.len());
    let mut parts = Vec::new();
    let mut room = source.memory;
    for files in [of_train, of_test] {
        let mut rows = Rows::default();
        for file in files {
            rows.read(file, options, &mut room)?;
        }
        parts.push(rows);
    }
    let names = pictures::class_names(&parts)?;
    let mut parts: Vec<Labelled> = parts.into_iter().map(|rows| rows.labelled(&names)).collect::<Result<_>>()?;
    let mut notes = Vec::new();
    notes.extend(listed("splits that are neither learnt from nor tested on", &chosen.passed_over));
    if source.offline {
        notes.push(format!(
            "offline: {} of its files are in the cache; whether there are more is not known",
            files.len()
        ));
    }
    if chosen.test.is_empty() {
        parts.pop();
    }
    let mut skipped = Skipped::default();
    let wish = Wish { size: options.size, channels: options.channels, memory: source.memory };
    let mut made = gather(name, parts, names.len(), wish, progress, &mut skipped)?.into_iter().map(|part| part.split);
    let train = made.next().ok_or_else(|| Error::Argument(format!("{name} has no pictures to learn from")))?;
    let (train, test, choice) = match made.next() {
        Some(test) => (train, test, None),
        None => {
            let (train, test, note) = hold_out(train, options.held_out)?;
            (train, test, Some(note))
        }
    };
    let split = |split: Split| split.with_class_names(names.clone());
    let mut data = Dataset::unknown(name.replace('/', "--"), split(train)?, split(test)?, files)?;
    data.choices.extend(choice);
    data.notes.splice(0..0, skipped.note().into_iter().chain(notes));
    Ok(data)
}

/// The data set in a parquet file of pictures, of which a share is held out to test on; `None` if it holds no pictures.
pub(crate) fn load_pictures(
    path: &Path,
    options: &Options,
    memory: u64,
    progress: &dyn Progress,
) -> Result<Option<Dataset>> {
    if !pictures::are_in(path, options)? {
        return Ok(None);
    }
    let (bytes, sha256) = digest::read(path)?;
    let mut skipped = Skipped::default();
    let all = read_bytes(bytes, options, memory, path, progress, &mut skipped)?;
    let (train, test, note) = hold_out(all, options.held_out)?;
    let name = path.file_stem().map_or_else(|| "pictures".into(), |stem| stem.to_string_lossy().into_owned());
    let mut data = Dataset::unknown(name, train, test, vec![SourceFile { path: path.to_path_buf(), sha256 }])?;
    data.choices.push(note);
    data.notes.extend(skipped.note());
    Ok(Some(data))
}

/// The pictures in the bytes of a parquet file, with their classes; `path` is for messages.
///
/// # Errors
/// If it has no columns of pictures and of classes, or none of its pictures decodes.
pub fn parse_pictures(bytes: Vec<u8>, options: &Options, path: &Path) -> Result<Split> {
    read_bytes(bytes, options, crate::source::HELD, path, &Silent, &mut Skipped::default())
}

fn read_bytes(
    bytes: Vec<u8>,
    options: &Options,
    memory: u64,
    path: &Path,
    progress: &dyn Progress,
    skipped: &mut Skipped,
) -> Result<Split> {
    let (bytes, mut rows, mut room) = (bytes::Bytes::from(bytes), Rows::default(), memory);
    rows.read_from(bytes.clone(), &bytes, path, options, &mut room)?;
    let parts = [rows];
    let names = pictures::class_names(&parts)?;
    let parts = parts.map(|rows| rows.labelled(&names)).into_iter().collect::<Result<_>>()?;
    let wish = Wish { size: options.size, channels: options.channels, memory };
    let made = gather(&path.display().to_string(), parts, names.len(), wish, progress, skipped)?;
    let split = made.into_iter().next().map(|part| part.split);
    split.ok_or_else(|| Error::format(path, "pictures", "none"))?.with_class_names(names)
}

/// The pictures to learn from, the share of them that is held out to test on, and what is to be said of it.
fn hold_out(split: Split, share: Option<f64>) -> Result<(Split, Split, String)> {
    let groups = held_out::by_class(split.labels(), split.classes());
    let (rest, test) = held_out::parts(&groups, share.unwrap_or(HELD_OUT), 0, |i| i.to_string());
    let note = held_out::note(test.len(), split.len());
    let (train, test) = split.part(&rest, &test)?;
    Ok((train, test, note))
}

pub(crate) fn download_any(
    name: &str,
    options: &Options,
    source: &Source,
    progress: &dyn Progress,
) -> Result<Vec<SourceFile>> {
    fetched(name, &choose(name, fetch::list(name, source, progress)?, options)?, source, progress)
}

fn fetched(name: &str, chosen: &Chosen, source: &Source, progress: &dyn Progress) -> Result<Vec<SourceFile>> {
    let files = chosen.train.iter().chain(&chosen.test).map(|path| HubFile::of_data(name, path));
    files.map(|file| fetch(&file, source, progress)).collect()
}

/// `config/split/0000.parquet` and so on: of which configuration, and which splits.
fn choose(name: &str, listed: Vec<String>, options: &Options) -> Result<Chosen> {
    let mut configs: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for path in listed.into_iter().collect::<BTreeSet<String>>() {
        let words: Vec<&str> = path.split('/').collect();
        if let [config, split, file] = words[..]
            && file.ends_with(".parquet")
            && !words.iter().any(|word| word.is_empty() || word.starts_with('.'))
        {
            let (config, split) = (config.to_string(), split.to_string());
            configs.entry(config).or_default().entry(split).or_default().push(path);
        }
    }
    let wrong = |said: String| Error::Argument(format!("{name} on the Hub {said}"));
    let names: Vec<&str> = configs.keys().map(String::as_str).collect();
    let config = match (&options.config, &names[..]) {
        (Some(config), _) => config.as_str(),
        (None, [only]) => only,
        (None, []) => {
            return Err(wrong("has no parquet files: the Hub makes them of most data sets, not of this".into()));
        }
        (None, names) if names.contains(&"default") => "default",
        (None, names) => {
            return Err(wrong(format!("has the configurations {}: choose one as its config", names.join(", "))));
        }
    };
    let Some(splits) = configs.get(config) else {
        return Err(wrong(format!("has no configuration {config:?}, but {}", names.join(", "))));
    };
    let known = || splits.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let given = |split: &str| {
        splits.get(split).cloned().ok_or_else(|| wrong(format!("has no split {split:?}, but {}", known())))
    };
    let train = options.train.as_deref().unwrap_or("train");
    let test = match &options.test {
        Some(split) => Some(split.as_str()),
        None => TEST.into_iter().find(|&split| splits.contains_key(split)),
    };
    let is_read = |split: &str| split == train || Some(split) == test;
    let passed_over = splits.keys().filter(|split| !is_read(split)).cloned().collect();
    Ok(Chosen { train: given(train)?, test: test.map(given).transpose()?.unwrap_or_default(), passed_over })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(listed: &[&str], options: Options) -> Result<Chosen, String> {
        let listed = listed.iter().map(|path| path.to_string()).collect();
        choose("a/b", listed, &options).map_err(|error| error.to_string())
    }

    #[test]
    fn configuration_and_splits_are_found_or_asked_for() {
        let one = ["d/train/0001.parquet", "d/train/0000.parquet", "d/validation/0000.parquet", "README.md"];
        let found = chosen(&one, Options::default()).unwrap();
        assert_eq!((found.train, found.test), (vec![one[1].into(), one[0].into()], vec![one[2].to_string()]));
        let more = [&one[..], &["d/test/0000.parquet", "d/extra/0000.parquet"]].concat();
        let found = chosen(&more, Options::default()).unwrap();
        assert_eq!((found.test.concat(), found.passed_over.join(" ")), (more[4].into(), "extra validation".into()));
        let error = chosen(&one, Options { test: Some("test".into()), ..Options::default() }).err().unwrap();
        assert_eq!(error, "a/b on the Hub has no split \"test\", but train, validation");
        let two = ["x/train/0000.parquet", "y/train/0000.parquet"];
        let error = chosen(&two, Options::default()).err().unwrap();
        assert_eq!(error, "a/b on the Hub has the configurations x, y: choose one as its config");
        let found = chosen(&two, Options { config: Some("y".into()), ..Options::default() }).unwrap();
        assert_eq!((found.train, found.test), (vec![two[1].to_string()], vec![]));
        assert!(chosen(&["README.md"], Options::default()).err().unwrap().contains("no parquet files"));
    }
}
