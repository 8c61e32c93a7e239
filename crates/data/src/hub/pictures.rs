//! Rows of pictures and classes in parquet files of which nothing is known beforehand but what their schema says.

use super::pages;
use crate::gather::Labelled;
use crate::stored::Encoded;
use crate::{Error, Options, Result, SourceFile};
use parquet::basic::Type;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::metadata::FileMetaData;
use parquet::file::reader::{ChunkReader, FileReader, RowGroupReader, SerializedFileReader};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const ROWS: usize = 4096;
/// Rows that repeat an entry of a dictionary cost next to nothing in the file: how much more than it they may come to.
const LARGEST_RATIO: u64 = 4;
const SMALL: u64 = 16 << 20;
/// What columns of labels are called where the schema does not mark one as such, the first that is there.
const LABELS: [&str; 6] = ["label", "labels", "fine_label", "target", "class", "y"];

/// What was read of the files of one part.
#[derive(Default)]
pub(crate) struct Rows {
    pictures: Vec<Encoded>,
    labels: Vec<Label>,
    /// The names of classes that the schema gives.
    names: Vec<String>,
    /// The last file, for messages.
    path: std::path::PathBuf,
}

/// A label as its column has it.
enum Label {
    Number(i64),
    Text(String),
}

/// The columns of pictures and of labels.
struct Columns {
    pictures: usize,
    labels: usize,
    names: Vec<String>,
}

impl Rows {
    /// Adds the rows of a file; its pictures take some of the `room`.
    pub(crate) fn read(&mut self, file: &SourceFile, options: &Options, room: &mut u64) -> Result<()> {
        let open = || File::open(&file.path).map_err(Error::io("read", &file.path));
        self.read_from(open()?, &open()?, &file.path, options, room)
    }

    /// As [`read`](Self::read), from two views of the same bytes.
    pub(crate) fn read_from<R: ChunkReader + 'static>(
        &mut self,
        from: R,
        pages: &R,
        path: &Path,
        options: &Options,
        room: &mut u64,
    ) -> Result<()> {
        let read = AssertUnwindSafe(|| self.read_all(from, pages, path, options, room));
        // The crate `parquet` panics on some malformed files instead of returning its error.
        catch_unwind(read).unwrap_or_else(|_| Err(Error::format(path, "a parquet file", "a malformed one")))
    }

    fn read_all<R: ChunkReader + 'static>(
        &mut self,
        from: R,
        pages: &R,
        path: &Path,
        options: &Options,
        room: &mut u64,
    ) -> Result<()> {
        let size = from.len();
        let reader = SerializedFileReader::new(from).map_err(|error| unreadable(path, error))?;
        let columns = Columns::find(reader.metadata().file_metadata(), options)
            .map_err(|(problem, advice)| Error::Data { path: path.into(), problem, advice })?;
        let largest = size.saturating_mul(LARGEST_RATIO).max(SMALL);
        let mut read = 0;
        for i in 0..reader.num_row_groups() {
            let group = reader.get_row_group(i).map_err(|error| unreadable(path, error))?;
            pages::check_columns(pages, size, group.metadata(), &[columns.pictures, columns.labels])
                .map_err(|(expected, found)| Error::format(path, expected, found))?;
            each::<ByteArrayType>(&*group, columns.pictures, path, "picture", |picture| {
                read += picture.len() as u64;
                if read > largest || picture.len() as u64 > *room {
                    return Err(too_much(path, read > largest));
                }
                *room -= picture.len() as u64;
                let name = format!("picture {} of {}", self.pictures.len(), path.display());
                self.pictures.push(Encoded::Bytes(picture.data().to_vec(), name));
                Ok(())
            })?;
            read_labels(&*group, columns.labels, self.pictures.len(), path, &mut self.labels)?;
            let (pictures, labels) = (self.pictures.len(), self.labels.len());
            if pictures != labels {
                return Err(Error::format(path, "as many labels as pictures", format!("{pictures} and {labels}")));
            }
        }
        self.names = columns.names;
        self.path = path.to_path_buf();
        Ok(())
    }

    /// The pictures with their labels among these names.
    pub(crate) fn labelled(self, names: &[String]) -> Result<Labelled> {
        let index = |label: &Label| match label {
            Label::Number(number) => usize::try_from(*number).ok().filter(|&number| number < names.len()),
            Label::Text(text) => names.binary_search(text).ok(),
        };
        let label = |label: &Label| {
            index(label).map(|index| index as u32).ok_or_else(|| Error::Data {
                path: self.path.clone(),
                problem: match label {
                    Label::Number(number) => format!("a label of {number}, where there are {} classes", names.len()),
                    Label::Text(text) => format!("a label {text:?} that training pictures have not"),
                },
                advice: "choose another split, one whose labels are known".into(),
            })
        };
        let labels = self.labels.iter().map(label).collect::<Result<_>>()?;
        Ok(Labelled { pictures: self.pictures, labels, names: vec![] })
    }
}

/// Whether a parquet file has a column of pictures.
pub(crate) fn are_in(path: &Path, options: &Options) -> Result<bool> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let look = AssertUnwindSafe(|| -> bool {
        let Ok(reader) = SerializedFileReader::new(file) else { return false };
        let file = reader.metadata().file_metadata();
        options.image.is_some()
            || file.schema_descr().columns().iter().any(|column| column.path().string().ends_with(".bytes"))
    });
    Ok(catch_unwind(look).unwrap_or(false))
}

fn too_much(path: &Path, is_bomb: bool) -> Error {
    if is_bomb {
        return Error::format(path, "pictures that are about as large as their file", "rows that repeat one");
    }
    let advice = "learn from a smaller split, or from a folder of its pictures".into();
    Error::Data { path: path.into(), problem: "pictures that do not fit in memory".into(), advice }
}

/// The names of all classes: those of the schema, or else of the labels of the training pictures, the first part.
pub(crate) fn class_names(parts: &[Rows]) -> Result<Vec<String>> {
    let Some(train) = parts.first() else { return Ok(vec![]) };
    if !train.names.is_empty() {
        return Ok(train.names.clone());
    }
    let texts: BTreeSet<&String> = train.labels.iter().filter_map(|label| label.text()).collect();
    let numbers = parts.iter().flat_map(|rows| &rows.labels).filter_map(|label| label.number());
    let count = numbers.max().map_or(0, |largest| largest.max(0) as usize + 1);
    let names: Vec<String> = match texts.is_empty() {
        true => (0..count.min(1 << 16)).map(|class| class.to_string()).collect(),
        false => texts.into_iter().cloned().collect(),
    };
    if names.len() < 2 {
        let problem = format!("{} classes", names.len());
        let advice = "a classifier tells two apart at least; choose another column of labels".into();
        return Err(Error::Data { path: train.path.clone(), problem, advice });
    }
    Ok(names)
}

impl Label {
    fn text(&self) -> Option<&String> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn number(&self) -> Option<i64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

impl Columns {
    /// What is wrong and what to do, if they are not to be found.
    fn find(file: &FileMetaData, options: &Options) -> Result<Self, (String, String)> {
        let features = features(file);
        let schema = file.schema_descr();
        let paths: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
        let is = |i: usize, kinds: &[Type]| {
            schema.column(i).max_rep_level() == 0 && kinds.contains(&schema.column(i).physical_type())
        };
        let all = || paths.join(", ");
        let of_type = |kind: &str| -> Vec<String> {
            let is_it = |feature: &&(String, Value)| feature.1["_type"] == kind;
            features.iter().filter(is_it).map(|(name, _)| name.clone()).collect()
        };

        let picture = |name: &str| {
            let names = [format!("{name}.bytes"), name.to_string()];
            names
                .iter()
                .find_map(|name| paths.iter().position(|path| path == name))
                .filter(|&i| is(i, &[Type::BYTE_ARRAY]))
        };
        let named = options.image.clone().or_else(|| of_type("Image").into_iter().next());
        let only = || {
            let mut groups = (0..paths.len()).filter(|&i| paths[i].ends_with(".bytes") && is(i, &[Type::BYTE_ARRAY]));
            groups.next().filter(|_| groups.next().is_none())
        };
        let pictures = named.as_deref().map_or_else(only, picture);
        let pictures = pictures.ok_or_else(|| {
            let wanted = named.map_or("of pictures".to_string(), |name| format!("{name:?} of pictures"));
            (format!("no column {wanted} among {}", all()), "name the column of pictures as image".to_string())
        })?;

        let labels_of = |name: &str| {
            let kinds = [Type::INT32, Type::INT64, Type::BYTE_ARRAY];
            paths.iter().position(|path| path == name).filter(|&i| is(i, &kinds))
        };
        let marked = of_type("ClassLabel");
        let usual = || LABELS.iter().find(|&&name| labels_of(name).is_some()).map(|name| name.to_string());
        let named = match (&options.label, &marked[..]) {
            (Some(name), _) => Some(name.clone()),
            (None, [only]) => Some(only.clone()),
            (None, _) => usual(),
        };
        let labels = named.as_deref().and_then(labels_of);
        let (Some(labels), Some(name)) = (labels, named) else {
            return Err((format!("no column of classes among {}", all()), "name the column of labels as label".into()));
        };
        let names = features.iter().find(|(feature, _)| *feature == name).map(|(_, feature)| &feature["names"]);
        let names = names.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<String> = if schema.column(labels).physical_type() == Type::BYTE_ARRAY {
            vec![]
        } else {
            names.map(str::to_string).collect()
        };
        Ok(Self { pictures, labels, names })
    }
}

/// The features that the library `datasets` writes into the metadata of a file, in their order.
fn features(file: &FileMetaData) -> Vec<(String, Value)> {
    let all = file.key_value_metadata().into_iter().flatten();
    let text = all.filter(|entry| entry.key == "huggingface").find_map(|entry| entry.value.as_deref());
    let mut written: Value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    match written["info"]["features"].take() {
        Value::Object(features) => features.into_iter().collect(),
        _ => vec![],
    }
}

/// Longer texts are no names of classes.
const LONGEST_NAME: usize = 1000;

fn read_labels(
    group: &dyn RowGroupReader,
    column: usize,
    limit: usize,
    path: &Path,
    labels: &mut Vec<Label>,
) -> Result<()> {
    let kind = group.metadata().column(column).column_type();
    let mut push = |label: Label| {
        labels.push(label);
        let fits = labels.len() <= limit;
        if fits { Ok(()) } else { Err(Error::format(path, format!("{limit} labels as there are pictures"), "more")) }
    };
    match kind {
        Type::INT32 => each::<Int32Type>(group, column, path, "label", |label| push(Label::Number(label.into()))),
        Type::INT64 => each::<Int64Type>(group, column, path, "label", |label| push(Label::Number(label))),
        _ => each::<ByteArrayType>(group, column, path, "label", |label: ByteArray| match label.len() {
            ..=LONGEST_NAME => push(Label::Text(text(label.data(), path)?)),
            long => Err(Error::format(path, format!("class names of {LONGEST_NAME} bytes at most"), long)),
        }),
    }
}

/// A label of bytes. What is not UTF-8 would become one class with whatever else is not.
fn text(label: &[u8], path: &Path) -> Result<String> {
    let text = std::str::from_utf8(label).map_err(|_| Error::Data {
        path: path.into(),
        problem: format!("a label \"{}\", which is not UTF-8", label.escape_ascii()),
        advice: "write the column of labels in UTF-8, or choose another".into(),
    });
    text.map(str::to_string)
}

/// Hands over every value of a column.
fn each<T: DataType>(
    group: &dyn RowGroupReader,
    column: usize,
    path: &Path,
    what: &str,
    mut act: impl FnMut(T::T) -> Result<()>,
) -> Result<()> {
    let reader = group.get_column_reader(column).map_err(|error| unreadable(path, error))?;
    let mut reader = get_typed_column_reader::<T>(reader);
    loop {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let read = reader.read_records(ROWS, Some(&mut levels), None, &mut values);
        let (rows, present, _) = read.map_err(|error| unreadable(path, error))?;
        if rows == 0 {
            return Ok(());
        }
        if rows != present {
            return Err(Error::format(
                path,
                format!("a {what} in every row"),
                format!("{} rows without one", rows - present),
            ));
        }
        values.into_iter().try_for_each(&mut act)?;
    }
}

fn unreadable(path: &Path, error: parquet::errors::ParquetError) -> Error {
    Error::format(path, "a parquet file", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_no_utf8_are_not_taken_for_one() {
        let read = |label: &[u8]| text(label, Path::new("insects.parquet")).map_err(|error| error.to_string());
        assert_eq!(read("café".as_bytes()), Ok("café".into()));
        let said = r#"insects.parquet: a label "caf\xe9", which is not UTF-8; write the column of labels in UTF-8"#;
        assert!(read(b"caf\xe9").unwrap_err().starts_with(said));
    }
}
