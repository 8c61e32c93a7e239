//! What is written down of a data set, so that whoever meets a network trained on it knows what it reads and tells
//! apart.

use crate::picture::Frame;
use crate::{DataSpec, Dataset, Normalise, Picture, Result, Scale};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

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
    /// Where a file or folder lies as seen from the folder of the run, for whoever works in another folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_run: Option<PathBuf>,
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
            from_run: None,
            target: data.train.targets().map(|(_, scale)| scale),
        })
    }

    /// With the way from the folder `run`, which need not be there yet, to the file or folder that the data is.
    #[must_use]
    pub fn seen_from(self, run: &Path) -> Self {
        let from_run = self.source.path().filter(|path| path.exists()).and_then(|path| relative(run, path));
        Self { from_run, ..self }
    }

    /// The source where it is now: as it was asked for if that is there, else as seen from `beside`, the folder of the
    /// run or of a file in it, if it is there; else as it was asked for.
    pub fn found_from(&self, beside: &Path) -> DataSpec {
        let is_gone = self.source.path().is_some_and(|path| !path.exists());
        let there = self.from_run.as_ref().filter(|_| is_gone).map(|way| beside.join(way));
        there.filter(|path| path.exists()).map_or_else(|| self.source.clone(), |path| self.source.at(path))
    }

    /// The name of a class, or its number where it has none.
    pub fn class_name(&self, class: usize) -> String {
        self.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The bytes of a picture's file as an image of this data set, (c, h, w), by the rule by which its own pictures
    /// were made ones.
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

/// The way from a folder to a path that is there, by what they have in common; `None` if that is nothing.
fn relative(from: &Path, to: &Path) -> Option<PathBuf> {
    let (from, to) = (physical(from)?, to.canonicalize().ok()?);
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    (common > 0).then(|| up.chain(to.components().skip(common)).collect())
}

/// A path without links, as far as it is there.
fn physical(path: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(path).ok()?;
    let there = whole.ancestors().find_map(|part| Some((part.canonicalize().ok()?, whole.strip_prefix(part).ok()?)))?;
    Some(if there.1.as_os_str().is_empty() { there.0 } else { there.0.join(there.1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Benchmark, Digits};

    #[test]
    fn data_is_found_from_its_run_where_nobody_stands_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let (photos, run) = (dir.path().join("my photos"), dir.path().join("results/photos/seed-1"));
        std::fs::create_dir(&photos).unwrap();
        let way = relative(&run, &photos).unwrap();
        assert_eq!(way, Path::new("../../../my photos"));
        let data = Digits { train: 20, test: 10, seed: 1 }.draw().unwrap();
        let source = DataSpec::new(crate::Origin::Folder("my photos".into())).resize(16);
        let record = DataRecord::of(&source, &data).unwrap();
        assert_eq!(record.clone().seen_from(&run).from_run, None, "it is not here");
        let record = DataRecord { from_run: Some(way), ..record };
        assert_eq!(record.found_from(&run), source, "there is no run yet");
        std::fs::create_dir_all(&run).unwrap();
        let found = record.found_from(&run);
        assert_eq!((found.path(), found.options.size), (Some(&*run.join("../../../my photos")), Some(16)));
        let there = DataRecord { source: source.at(photos.clone()), ..record };
        assert_eq!(there.found_from(&run).path(), Some(&*photos));
        assert_eq!(there.seen_from(&run).from_run.as_deref(), Some(Path::new("../../../my photos")));
    }

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
