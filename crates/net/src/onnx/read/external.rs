//! Values that lie in files beside the model. No file outside of the model's folder is opened.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::proto::{Entry, Stored};
use super::wire::Reason;

/// The folder of a model, none where it was read from memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder<'a>(pub(super) Option<&'a Path>);

/// Where a tensor's bytes lie.
#[derive(Debug, PartialEq)]
struct Place<'a> {
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl<'a> Folder<'a> {
    /// The folder that a file lies in.
    pub(super) fn of(path: &'a Path) -> Self {
        Self(path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }))
    }

    /// The `expected` bytes of a tensor that is said to lie outside of the model.
    pub(super) fn bytes(self, stored: &Stored<'_>, expected: u64) -> Result<Vec<u8>, Reason> {
        let place = Place::of(&stored.place)?;
        let named = |reason: Reason| format!("its values are in the file {:?}: {reason}", place.location);
        let path = self.file(place.location).map_err(named)?;
        let mut file = File::open(path).map_err(|error| named(missing(&error)))?;
        place.read(&mut file, expected).map_err(named)
    }

    /// The file that a tensor's bytes are in, if they are outside of the model and it may be opened.
    pub(super) fn file_of(self, stored: &Stored<'_>) -> Option<PathBuf> {
        let place = Place::of(&stored.place).ok().filter(|_| stored.external)?;
        self.file(place.location).ok()
    }

    /// A regular file of the folder, or of one below it, that is reached without a link.
    fn file(self, location: &str) -> Result<PathBuf, Reason> {
        let path = Path::new(location);
        if location.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err("it would be outside of the model's folder, which is never read".into());
        }
        let folder = self.0.ok_or("the model was read from memory and has no folder; read it from its file")?;
        let mut below = PathBuf::from(folder);
        for part in path.components() {
            below.push(part);
            if below.symlink_metadata().map_err(|error| missing(&error))?.is_symlink() {
                return Err("it is a link, and links are not followed; put the file itself beside the model".into());
            }
        }
        match below.metadata().map(|found| found.is_file()) {
            Ok(true) => Ok(below), // to open a pipe would wait for its writer
            _ => Err("it is no file".into()),
        }
    }
}

fn missing(error: &std::io::Error) -> Reason {
    format!("{error}; it belongs into the folder of the model, under this name")
}

impl<'a> Place<'a> {
    fn of(entries: &[Entry<'a>]) -> Result<Self, Reason> {
        let mut place = Self { location: "", offset: 0, length: None };
        for Entry { key, value } in entries {
            let number = || value.parse().map_err(|_| format!("{value:?} as the {key} of its values in a file"));
            match *key {
                "location" => place.location = value,
                "offset" => place.offset = number()?,
                "length" => place.length = Some(number()?),
                _ => {} // a checksum of the whole file, where there is one
            }
        }
        Ok(place)
    }

    /// Reads what the place says, after a look at how much there is.
    fn read(&self, file: &mut File, expected: u64) -> Result<Vec<u8>, Reason> {
        let there = file.metadata().map_err(|error| error.to_string())?.len();
        if let Some(length) = self.length.filter(|&length| length != expected) {
            return Err(format!("{length} bytes of it are asked for, expected {expected} by its shape and type"));
        }
        if expected > there.saturating_sub(self.offset) {
            let (offset, end) = (self.offset, u128::from(self.offset) + u128::from(expected));
            return Err(format!("it has {there} bytes, those asked for are {offset} to {end}; copy it again"));
        }
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(self.offset)).and_then(|_| file.take(expected).read_to_end(&mut bytes));
        read.map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path, entries: &[(&'static str, &str)], expected: u64) -> Result<Vec<u8>, Reason> {
        let place = entries.iter().map(|&(key, value)| Entry { key, value }).collect();
        Folder(Some(folder)).bytes(&Stored { external: true, place, ..Stored::default() }, expected)
    }

    #[test]
    fn a_part_of_a_file_of_the_folder_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("values")).unwrap();
        std::fs::write(folder.path().join("values/a"), [1, 2, 3, 4]).unwrap();
        let from = |entries: &[(&'static str, &'static str)], expected| {
            let location = [("location", "values/a")];
            read(folder.path(), &[&location, entries].concat(), expected)
        };
        assert_eq!(from(&[("offset", "1"), ("length", "2")], 2).unwrap(), [2, 3]);
        assert_eq!(from(&[], 4).unwrap(), [1, 2, 3, 4]);
        let reason = from(&[("offset", "8")], 1 << 60).unwrap_err();
        assert!(reason.contains("it has 4 bytes, those asked for are 8 to 1152921504606846984"), "{reason}");
        assert!(from(&[("length", "3")], 4).unwrap_err().contains("3 bytes of it are asked for, expected 4"));
        assert!(from(&[("offset", "-1")], 4).unwrap_err().contains("\"-1\" as the offset"));
        assert!(read(folder.path(), &[("location", "values")], 4).unwrap_err().contains("no file"));
    }

    #[test]
    fn nothing_outside_of_the_folder_is_read() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), b"secret").unwrap();
        let folder = outside.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        let whole = outside.path().join("secret").display().to_string();
        for location in ["../secret", "a/../../secret", &whole, "", ".", "/"] {
            let reason = read(&folder, &[("location", location)], 6).unwrap_err();
            assert!(reason.contains("outside of the model's folder"), "{location}: {reason}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), b"secret").unwrap();
        let folder = outside.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("data")).unwrap();
        std::os::unix::fs::symlink("..", folder.join("up")).unwrap();
        for location in ["data", "up/secret"] {
            assert!(read(&folder, &[("location", location)], 6).unwrap_err().contains("it is a link"), "{location}");
        }
    }
}
