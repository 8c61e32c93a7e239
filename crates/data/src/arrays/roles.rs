//! Which array is which, by its name, and what the dimensions of images mean.

use super::array::{Array, Values, shape};
use crate::{Result, Split};

/// What to do about arrays that are not recognised.
pub(super) const ADVICE: &str =
    "call the arrays x_train, y_train, x_test and y_test, or images and labels, with as many labels as images";
const LABELS: [&str; 7] = ["y", "label", "labels", "target", "targets", "class", "classes"];
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
        let lower = name.to_ascii_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let has = |any: &[&str]| words.iter().any(|word| any.contains(word));
        let part = match () {
            () if has(&["test", "testing"]) => Part::Test,
            () if has(&["val", "valid", "validation"]) => Part::Validation,
            () => Part::Train,
        };
        let is_labels = has(&LABELS);
        (is_labels || has(&IMAGES)).then_some(Self { part, is_labels })
    }
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
pub(super) fn examples(arrays: Vec<(Role, Array)>) -> Result<Vec<(Part, Examples)>, Wrong> {
    let mut arrays = arrays;
    let mut take = |part, is_labels| -> Result<Option<Array>, Wrong> {
        let wanted = Role { part, is_labels };
        if arrays.iter().filter(|(role, _)| *role == wanted).count() > 1 {
            return Err((
                format!("two arrays for the same, {part:?} {}", if is_labels { "labels" } else { "images" }),
                ADVICE,
            ));
        }
        let found = arrays.iter().position(|(role, _)| *role == wanted);
        Ok(found.map(|i| arrays.swap_remove(i).1))
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

fn join(images: Array, labels: Array) -> Result<Examples, Wrong> {
    let labels = classes(labels)?;
    let said = shape(&images.dims);
    let count = images.dims.first().copied().unwrap_or(0);
    if count != labels.len() || count == 0 || images.dims.contains(&0) {
        return Err((format!("images of {said} and {} labels", labels.len()), ADVICE));
    }
    if let [_, columns] = images.dims[..] {
        return Ok(Examples { content: Content::Rows(numbers(images.values)?), shape: (columns, 1, 1), labels });
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
    let mut bytes = bytes(images.values)?;
    if is_last {
        let (c, h, w) = shape;
        for image in bytes.chunks_exact_mut(c * h * w) {
            let pixels = image.to_vec();
            image.iter_mut().enumerate().for_each(|(i, to)| *to = pixels[i % (h * w) * c + i / (h * w)]);
        }
    }
    Ok(Examples { content: Content::Images(bytes), shape, labels })
}

/// Whole numbers from 0 on, (n) or (n, 1).
fn classes(labels: Array) -> Result<Vec<u32>, Wrong> {
    if !matches!(labels.dims[..], [_] | [_, 1]) {
        return Err((format!("labels of {}", shape(&labels.dims)), "they are one number for each image"));
    }
    let class = |value: i64| u32::try_from(value).ok().filter(|&class| class < 1 << 16);
    let classes: Option<Vec<u32>> = match &labels.values {
        Values::Bytes(values) => values.iter().map(|&value| class(value.into())).collect(),
        Values::Whole(values) => values.iter().map(|&value| class(value)).collect(),
        Values::Floats(values) => {
            let whole = |value: &f32| (value.fract() == 0.0).then(|| class(*value as i64)).flatten();
            values.iter().map(whole).collect()
        }
    };
    classes.ok_or_else(|| ("labels that are no classes".into(), "they are whole numbers from 0 to 65535"))
}

fn numbers(values: Values) -> Result<Vec<f32>, Wrong> {
    let numbers: Vec<f32> = match values {
        Values::Bytes(values) => values.into_iter().map(f32::from).collect(),
        Values::Whole(values) => values.into_iter().map(|value| value as f32).collect(),
        Values::Floats(values) => values,
    };
    let all_finite = numbers.iter().all(|number| number.is_finite());
    all_finite.then_some(numbers).ok_or(("numbers that are not finite".into(), "replace them, or leave their rows out"))
}

/// Bytes as they are, whole numbers of 0 to 255, or numbers from 0 to 1 as the nearest of 255 parts.
fn bytes(values: Values) -> Result<Vec<u8>, Wrong> {
    let advice = "they are bytes from 0 to 255, or numbers from 0 to 1; normalising is for the training to do";
    let wrong = |value: &dyn std::fmt::Display| (format!("a pixel of {value}"), advice);
    match values {
        Values::Bytes(values) => Ok(values),
        Values::Whole(values) => {
            values.into_iter().map(|value| u8::try_from(value).map_err(|_| wrong(&value))).collect()
        }
        Values::Floats(values) => {
            if values.iter().any(|value| value.is_nan()) {
                return Err(("a pixel that is NaN".into(), "put a number there, or leave the image out"));
            }
            let is_unit = values.iter().all(|value| (0.0..=1.0).contains(value));
            let byte = |value: f32| match is_unit {
                true => Ok((255.0 * value + 0.5) as u8),
                false if (0.0..=255.0).contains(&value) && value.fract() == 0.0 => Ok(value as u8),
                false => Err(wrong(&value)),
            };
            values.into_iter().map(byte).collect()
        }
    }
}
