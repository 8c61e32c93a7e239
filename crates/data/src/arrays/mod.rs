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
use std::path::Path;

/// The data set in an `.npz` or safetensors file: arrays called, say, `x_train`, `y_train`, `x_test` and `y_test`, or
/// `images` and `labels`, of which a fifth is held out to test on.
///
/// Images are bytes, or numbers from 0 to 1 that become the nearest bytes: (n, h, w), (n, c, h, w) or (n, h, w, c).
/// Arrays of two dimensions are rows of numbers. Validation examples are tested on where there are no test examples,
/// else passed over, which is said in [`Dataset::choices`].
///
/// # Errors
/// If the file is none of both, or holds no such arrays.
pub fn load(path: &Path) -> Result<Dataset> {
    let (bytes, sha256) = digest::read(path)?;
    let (train, test, choice) = parse(&bytes, path)?;
    let name = path.file_stem().map_or_else(|| "arrays".into(), |stem| stem.to_string_lossy().into_owned());
    let mut data = Dataset::unknown(name, train, test, vec![SourceFile { path: path.to_path_buf(), sha256 }])?;
    data.choices.extend(choice);
    Ok(data)
}

/// The training and the test examples in the bytes of such a file, and how they were parted where the file does not say
/// it; `path` is for messages.
///
/// # Errors
/// As [`load`].
pub fn parse(bytes: &[u8], path: &Path) -> Result<(Split, Split, Option<String>)> {
    let arrays = if bytes.starts_with(b"PK") { npz(bytes) } else { tensors(bytes) };
    let wrong = |(problem, advice): (String, &str)| Error::Data { path: path.into(), problem, advice: advice.into() };
    let arrays = arrays.map_err(|fault| match fault {
        Fault::Damaged(found) => Error::format(path, "an .npz or safetensors file", found),
        Fault::Unread(found, advice) => wrong((found, advice)),
    })?;
    let examples = roles::examples(arrays).map_err(wrong)?;
    let classes =
        examples.iter().flat_map(|(_, examples)| examples.labels.iter()).max().map_or(0, |&label| label as usize + 1);
    let mut parts = Vec::new();
    for (part, examples) in examples {
        parts.push((part, examples.split(classes)?));
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
        Some(test) => Ok((train, test, spare)),
        None => {
            let groups = held_out::by_class(train.labels(), classes);
            let (rest, test) = held_out::parts(&groups, HELD_OUT, 0, |i| i.to_string());
            if test.is_empty() {
                return Err(wrong((format!("{} examples", train.len()), "two of each class are needed at least")));
            }
            let note = held_out::note(test.len(), train.len());
            let (train, test) = train.part(&rest, &test)?;
            Ok((train, test, Some(note)))
        }
    }
}

fn npz(bytes: &[u8]) -> Result<Vec<Named>, Fault> {
    let mut arrays = Vec::new();
    for entry in zip::entries(bytes)? {
        let Some(name) = entry.name.strip_suffix(".npy") else { continue };
        let Some(role) = Role::of(name) else { continue };
        let array = npy::parse(&entry.read()?).map_err(|fault| fault.of(&entry.name))?;
        arrays.push(Named { role, name: name.to_string(), array });
    }
    Ok(arrays)
}

fn tensors(bytes: &[u8]) -> Result<Vec<Named>, Fault> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut arrays = Vec::new();
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
            Dtype::F32 => Kind::F32,
            Dtype::F64 => Kind::F64,
            other => return Err(Fault::Unread(format!("{name} of elements of {other:?}"), SAVE_ANEW)),
        };
        let array = Array::new(tensor.shape().to_vec(), kind, tensor.data())?;
        arrays.push(Named { role, name: name.to_string(), array });
    }
    Ok(arrays)
}
