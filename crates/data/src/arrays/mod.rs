//! Arrays of images, or of rows of numbers, and of labels: `.npz` files of NumPy, and safetensors.

mod array;
mod npy;
mod roles;
mod zip;

use crate::dataset::size;
use crate::{Dataset, Error, Result, SourceFile, Split, digest, held_out, held_out::HELD_OUT};
use array::{Array, Fault, Kind, SAVE_ANEW};
use roles::{Named, Part, Role};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeSet;
use std::path::Path;

/// What was read of a file, and what is to be said of it.
#[derive(Debug, Default)]
struct Found {
    arrays: Vec<Named>,
    /// Arrays that would play a part and cannot be read, and why.
    unread: Vec<(Role, Fault)>,
    /// What the classes are called, and the array that says so.
    names: Option<(String, Vec<String>)>,
}

/// What [`parse`] has to say of the examples.
#[derive(Debug, Default)]
pub struct Said {
    /// How they were parted where the file does not say it.
    pub choice: Option<String>,
    /// Arrays that were passed over.
    pub notes: Vec<String>,
}

/// The data set in an `.npz` or safetensors file: arrays called, say, `x_train`, `y_train`, `x_test` and `y_test`, or
/// `images` and `labels`, of which a fifth is held out to test on.
///
/// Images are bytes, or numbers from 0 to 1 that become the nearest bytes: (n, h, w), (n, c, h, w) or (n, h, w, c).
/// Arrays of two dimensions are rows of numbers. Validation examples are tested on where there are no test examples,
/// else passed over, which is said in [`Dataset::choices`]. Where an array of texts is called `target_names` or so, it
/// names the classes; one that cannot be read is passed over where another plays its part, and named in
/// [`Dataset::notes`].
///
/// # Errors
/// If the file is none of both, or holds no such arrays.
pub fn load(path: &Path) -> Result<Dataset> {
    let (bytes, sha256) = digest::read(path)?;
    let (train, test, said) = parse(&bytes, path)?;
    let name = path.file_stem().map_or_else(|| "arrays".into(), |stem| stem.to_string_lossy().into_owned());
    let mut data = Dataset::unknown(name, train, test, vec![SourceFile { path: path.to_path_buf(), sha256 }])?;
    data.choices.extend(said.choice);
    data.notes.extend(said.notes);
    Ok(data)
}

/// The training and the test examples in the bytes of such a file, and what is to be said of them; `path` is for
/// messages.
///
/// # Errors
/// As [`load`].
pub fn parse(bytes: &[u8], path: &Path) -> Result<(Split, Split, Said)> {
    let found = if bytes.starts_with(b"PK") { npz(bytes) } else { tensors(bytes) };
    let wrong = |(problem, advice): (String, &str)| Error::Data { path: path.into(), problem, advice: advice.into() };
    let refused = |fault| match fault {
        Fault::Damaged(found) => Error::format(path, "an .npz or safetensors file", found),
        Fault::Unread(found, advice) | Fault::NoNumbers(found, advice) => wrong((found, advice)),
    };
    let Found { arrays, unread, names } = found.map_err(refused)?;
    let mut notes = passed_over(&arrays, unread).map_err(refused)?;
    let examples = roles::examples(arrays).map_err(wrong)?;
    let classes =
        examples.iter().flat_map(|(_, examples)| examples.labels.iter()).max().map_or(0, |&label| label as usize + 1);
    let names = fitting(names, classes, &mut notes);
    let mut parts = Vec::new();
    for (part, examples) in examples {
        let split = examples.split(classes)?;
        let split = match &names {
            Some(names) => split.with_class_names(names.clone())?,
            None => split,
        };
        parts.push((part, split));
    }
    let test = parts.iter().position(|(part, _)| *part == Part::Test);
    let test = test.or_else(|| parts.iter().position(|(part, _)| *part == Part::Validation));
    let test = test.map(|i| parts.remove(i).1);
    let spare = parts.iter().find(|(part, _)| *part == Part::Validation);
    let spare = spare.map(|(_, of)| format!("{} validation examples are neither learnt from nor tested on", of.len()));
    let train = parts.into_iter().find(|(part, _)| *part == Part::Train).map(|(_, split)| split);
    let train = train.ok_or_else(|| wrong(("no training examples".into(), roles::ADVICE)))?;
    match test {
        Some(test) if test.dims() != train.dims() => {
            let problem = format!("training examples of {}, test examples of {}", size(&train), size(&test));
            Err(wrong((problem, "both need the same shape")))
        }
        Some(test) => Ok((train, test, Said { choice: spare, notes })),
        None => {
            let groups = held_out::by_class(train.labels(), classes);
            let (rest, test) = held_out::parts(&groups, HELD_OUT, 0, |i| i.to_string());
            if test.is_empty() {
                return Err(wrong((format!("{} examples", train.len()), "two of each class are needed at least")));
            }
            let choice = held_out::note(test.len(), train.len());
            let (train, test) = train.part(&rest, &test)?;
            Ok((train, test, Said { choice: Some(choice), notes }))
        }
    }
}

/// What is to be said of arrays that cannot be read; the first that holds numbers, or for which no other plays its part,
/// is a fault.
fn passed_over(arrays: &[Named], unread: Vec<(Role, Fault)>) -> Result<Vec<String>, Fault> {
    let said = |(role, fault): (Role, Fault)| match fault {
        Fault::NoNumbers(found, _) if arrays.iter().any(|named| named.role == role) => {
            Ok(format!("passed over, as it holds no numbers: {found}"))
        }
        fault => Err(fault),
    };
    unread.into_iter().map(said).collect()
}

/// The names of so many classes, if they are told apart by them; what does not fit is said.
fn fitting(names: Option<(String, Vec<String>)>, classes: usize, notes: &mut Vec<String>) -> Option<Vec<String>> {
    let (array, names) = names?;
    let different = names.iter().filter(|name| !name.is_empty()).collect::<BTreeSet<_>>().len();
    if different == classes && names.len() == classes {
        return Some(names);
    }
    let all = names.len();
    notes.push(format!(
        "{array} has {all} names, {different} of them different, for {classes} classes, which are called by their number"
    ));
    None
}

fn npz(bytes: &[u8]) -> Result<Found, Fault> {
    let mut found = Found::default();
    for entry in zip::entries(bytes)? {
        let Some(name) = entry.name.strip_suffix(".npy") else { continue };
        if roles::names_classes(name) {
            found.names = npy::texts(&entry.read()?).map(|names| (name.to_string(), names)).or(found.names);
        }
        let Some(role) = Role::of(name) else { continue };
        match npy::parse(&entry.read()?).map_err(|fault| fault.of(&entry.name)) {
            Ok(array) => found.arrays.push(Named { role, name: name.to_string(), array }),
            Err(fault) => found.unread.push((role, fault)),
        }
    }
    Ok(found)
}

fn tensors(bytes: &[u8]) -> Result<Found, Fault> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut found = Found::default();
    for (name, tensor) in file.iter() {
        let Some(role) = Role::of(name) else { continue };
        let kind = match tensor.dtype() {
            Dtype::U8 | Dtype::BOOL => Kind::U8,
            Dtype::I8 => Kind::I8,
            Dtype::U16 => Kind::U16,
            Dtype::I16 => Kind::I16,
            Dtype::U32 => Kind::U32,
            Dtype::I32 => Kind::I32,
            Dtype::I64 => Kind::I64,
            Dtype::U64 => Kind::U64,
            Dtype::F32 => Kind::F32,
            Dtype::F64 => Kind::F64,
            other => {
                let fault = Fault::Unread(format!("{name} of elements of {other:?}"), SAVE_ANEW);
                found.unread.push((role, fault));
                continue;
            }
        };
        let array = Array::new(tensor.shape().to_vec(), kind, tensor.data())?;
        found.arrays.push(Named { role, name: name.to_string(), array });
    }
    Ok(found)
}
