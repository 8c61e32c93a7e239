//! What is written down of a data set, so that whoever meets a network trained on it knows what it reads and tells apart.

use crate::picture::Frame;
use crate::{DataSpec, Dataset, Normalise, Picture, Result, Scale};
use serde::{Deserialize, Serialize};

/// What a data set was: enough to load it again, to know it from another, and to hand a network what it was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// How it was asked for.
    pub source: DataSpec,
    /// Its name.
    pub name: String,
    /// Its digest ([`Dataset::digest`]).
    pub sha256: String,
    /// Examples to learn from.
    pub train: usize,
    /// Examples to test on.
    pub test: usize,
    /// The dimensions of an example: `[channels, height, width]` of an image, `[columns]` of a row.
    pub dims: Vec<usize>,
    /// Number of classes; 0 where a number is predicted.
    pub classes: usize,
    /// What the classes are called; empty where nobody has said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// How bytes, or the numbers of each column, become what a network reads.
    pub normalise: Normalise,
    /// The names of a table's columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// How predicted numbers were scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Scale>,
}

impl DataRecord {
    /// Of a data set that was loaded so.
    ///
    /// # Errors
    /// As [`Dataset::digest`].
    pub fn of(source: &DataSpec, data: &Dataset) -> Result<Self> {
        Ok(Self {
            source: source.clone(),
            name: data.name.clone(),
            sha256: data.digest()?,
            train: data.train.len(),
            test: data.test.len(),
            dims: data.train.dims(),
            classes: data.train.classes(),
            class_names: data.train.class_names().to_vec(),
            normalise: data.normalise.clone(),
            columns: data.columns.clone(),
            target: data.train.targets().map(|(_, scale)| scale),
        })
    }

    /// The name of a class, or its number where it has none.
    pub fn class_name(&self, class: usize) -> String {
        self.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The bytes of a picture's file as an image of this data set, (c, h, w), by the rule by which its own pictures were made
    /// ones.
    ///
    /// # Errors
    /// What is wrong, if the data set has no images, or the bytes are no picture.
    pub fn image(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let [c, h, w] = self.dims[..] else { return Err(format!("{} has rows of numbers, and no images", self.name)) };
        let frame = Frame::checked((c, h, w))?;
        let mut planes = vec![0; c * h * w];
        frame.fit(&Picture::open(bytes)?.on_white(), &mut planes);
        Ok(planes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Benchmark, Digits};

    #[test]
    fn a_record_is_written_and_read_and_makes_images_of_pictures() {
        let data = Digits { train: 20, test: 10, seed: 1 }.draw().unwrap();
        let record = DataRecord::of(&Benchmark::Digits.into(), &data).unwrap();
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<DataRecord>(&text).unwrap(), record);
        assert_eq!((record.class_name(7), record.dims.len(), record.classes), ("7".into(), 3, 10));
        let mut png = Vec::new();
        let mut encoder = png::Encoder::new(&mut png, 56, 84);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&[200; 56 * 84 * 3]).unwrap();
        assert_eq!(record.image(&png).unwrap(), [200; 784]);
        assert_eq!(record.image(b"text").unwrap_err(), "no PNG, JPEG or WebP");
        let huge = DataRecord { dims: vec![3, 1 << 40, 1 << 40], ..record };
        assert!(huge.image(&png).is_err());
    }
}
