//! Which array is which, by its name, and what the dimensions of images mean.

use super::array::{Array, Values, shape};
use crate::{Result, Split};
use std::fmt::Display;

/// What to do about arrays that are not recognised.
pub(super) const ADVICE: &str =
    "call the arrays x_train, y_train, x_test and y_test, or images and labels, with as many labels as images";
const LABELS: [&str; 7] = ["y", "label", "labels", "target", "targets", "class", "classes"];
/// In the name of an array of texts, beside one of the labels: it names the classes.
const NAMES: [&str; 2] = ["names", "name"];
const IMAGES: [&str; 8] = ["x", "image", "images", "data", "features", "pixels", "inputs", "input"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Test,
    Validation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Role {
    part: Part,
    is_labels: bool,
}

impl Role {
    /// Of an array called so; `None` if it plays no part.
    pub(super) fn of(name: &str) -> Option<Self> {
        let has = |any: &[&str]| has_word(name, any);
        if has(&NAMES) {
            return None;
        }
        let part = match () {
            () if has(&["test", "testing"]) => Part::Test,
            () if has(&["val", "valid", "validation"]) => Part::Validation,
            () => Part::Train,
        };
        let is_labels = has(&LABELS);
        (is_labels || has(&IMAGES)).then_some(Self { part, is_labels })
    }
}

/// Whether an array called so may name the classes.
pub(super) fn names_classes(name: &str) -> bool {
    has_word(name, &NAMES) && has_word(name, &LABELS)
}

fn has_word(name: &str, any: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| any.contains(&word))
}

/// An array of a file that plays a part, and what it is called, for messages.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) array: Array,
}

/// Images or rows, with their labels.
pub(super) struct Examples {
    content: Content,
    shape: (usize, usize, usize),
    pub(super) labels: Vec<u32>,
}

enum Content {
    Images(Vec<u8>),
    Rows(Vec<f32>),
}

impl Examples {
    pub(super) fn split(self, classes: usize) -> Result<Split> {
        match self.content {
            Content::Images(images) => Split::new(images, self.labels, self.shape, classes),
            Content::Rows(numbers) => Split::rows(numbers, self.labels, self.shape.0, classes),
        }
    }
}

type Wrong = (String, &'static str);

/// The examples of each part that has some.
pub(super) fn examples(arrays: Vec<Named>) -> Result<Vec<(Part, Examples)>, Wrong> {
    let mut arrays = arrays;
    let mut take = |part, is_labels| -> Result<Option<Named>, Wrong> {
        let wanted = Role { part, is_labels };
        if arrays.iter().filter(|named| named.role == wanted).count() > 1 {
            return Err((
                format!("two arrays for the same, {part:?} {}", if is_labels { "labels" } else { "images" }),
                ADVICE,
            ));
        }
        let found = arrays.iter().position(|named| named.role == wanted);
        Ok(found.map(|i| arrays.swap_remove(i)))
    };
    let mut parts = Vec::new();
    for part in [Part::Train, Part::Test, Part::Validation] {
        match (take(part, false)?, take(part, true)?) {
            (Some(images), Some(labels)) => parts.push((part, join(images, labels)?)),
            (None, None) => {}
            (Some(_), None) => return Err((format!("{part:?} images without labels"), ADVICE)),
            (None, Some(_)) => return Err((format!("{part:?} labels without images"), ADVICE)),
        }
    }
    Ok(parts)
}

fn join(Named { name, array: images, .. }: Named, labels: Named) -> Result<Examples, Wrong> {
    let labels = classes(labels)?;
    let said = shape(&images.dims);
    let count = images.dims.first().copied().unwrap_or(0);
    if count != labels.len() || count == 0 || images.dims.contains(&0) {
        return Err((format!("images of {said} and {} labels", labels.len()), ADVICE));
    }
    if let [_, columns] = images.dims[..] {
        let numbers = numbers(images.values, columns, &name)?;
        return Ok(Examples { content: Content::Rows(numbers), shape: (columns, 1, 1), labels });
    }
    let (shape, is_last) = match images.dims[..] {
        [_, h, w] => ((1, h, w), false),
        [_, c @ (1 | 3), h, w] => ((c, h, w), false),
        [_, h, w, c @ (1 | 3)] => ((c, h, w), true),
        _ => {
            return Err((
                format!("images of {said}"),
                "they are (n, h, w), (n, c, h, w) or (n, h, w, c), c being 1 or 3",
            ));
        }
    };
    let (c, h, w) = shape;
    let mut bytes = bytes(images.values, c * h * w, &name)?;
    if is_last {
        for image in bytes.chunks_exact_mut(c * h * w) {
            let pixels = image.to_vec();
            image.iter_mut().enumerate().for_each(|(i, to)| *to = pixels[i % (h * w) * c + i / (h * w)]);
        }
    }
    Ok(Examples { content: Content::Images(bytes), shape, labels })
}

/// Whole numbers from 0 on, (n) or (n, 1).
fn classes(Named { name, array: labels, .. }: Named) -> Result<Vec<u32>, Wrong> {
    if !matches!(labels.dims[..], [_] | [_, 1]) {
        return Err((format!("labels of {}", shape(&labels.dims)), "they are one number for each image"));
    }
    let class = |value: i64| u32::try_from(value).ok().filter(|&class| class < 1 << 16);
    match labels.values {
        Values::Bytes(values) => Ok(values.into_iter().map(u32::from).collect()),
        Values::Whole(values) => each(values, &name, class),
        Values::Floats(values) => {
            each(values, &name, |value| if value.fract() == 0.0 { class(value as i64) } else { None })
        }
    }
}

/// The class of each label, if all have one.
fn each<T: Copy + Display>(labels: Vec<T>, name: &str, class: impl Fn(T) -> Option<u32>) -> Result<Vec<u32>, Wrong> {
    let wrong =
        |i: usize, label: T| (format!("a label of {label} in {name}[{i}]"), "labels are whole numbers from 0 to 65535");
    labels.into_iter().enumerate().map(|(i, label)| class(label).ok_or_else(|| wrong(i, label))).collect()
}

fn numbers(values: Values, columns: usize, name: &str) -> Result<Vec<f32>, Wrong> {
    let numbers: Vec<f32> = match values {
        Values::Bytes(values) => values.into_iter().map(f32::from).collect(),
        Values::Whole(values) => values.into_iter().map(|value| value as f32).collect(),
        Values::Floats(values) => values,
    };
    match numbers.iter().position(|number| !number.is_finite()) {
        Some(i) => Err((
            format!("{} in {name}[{}, {}]", numbers[i], i / columns, i % columns),
            "numbers are finite, below 3.4e38; replace it, or leave its row out",
        )),
        None => Ok(numbers),
    }
}

/// Bytes as they are, whole numbers of 0 to 255, or numbers from 0 to 1 as the nearest of 255 parts; `size` of them are
/// an image.
fn bytes(values: Values, size: usize, name: &str) -> Result<Vec<u8>, Wrong> {
    let advice = "they are bytes from 0 to 255, or numbers from 0 to 1; normalising is for the training to do";
    let pixel = |i: usize, value: &dyn Display| format!("a pixel of {value} in {name}[{}]", i / size);
    match values {
        Values::Bytes(values) => Ok(values),
        Values::Whole(values) => {
            let byte = |(i, value): (usize, i64)| u8::try_from(value).map_err(|_| (pixel(i, &value), advice));
            values.into_iter().enumerate().map(byte).collect()
        }
        Values::Floats(values) => {
            if let Some(i) = values.iter().position(|value| value.is_nan()) {
                return Err((pixel(i, &values[i]), "put a number there, or leave the image out"));
            }
            let is_unit = values.iter().all(|value| (0.0..=1.0).contains(value));
            let byte = |(i, value): (usize, f32)| match is_unit {
                true => Ok((255.0 * value + 0.5) as u8),
                false if (0.0..=255.0).contains(&value) && value.fract() == 0.0 => Ok(value as u8),
                false => Err((pixel(i, &value), advice)),
            };
            values.into_iter().enumerate().map(byte).collect()
        }
    }
}
