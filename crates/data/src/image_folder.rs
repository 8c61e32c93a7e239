//! Folders of pictures: one folder for each class, in `train` and `test` or in the folder itself.

use crate::dataset::listed;
use crate::gather::{Labelled, Skipped, Wish, gather};
use crate::held_out::HELD_OUT;
use crate::stored::Encoded;
use crate::{Dataset, Error, Progress, Result, Silent, SourceFile, held_out};
use std::fs;
use std::path::{Path, PathBuf};

/// What folders of training pictures are called, and folders of those to test on, the first that is there.
const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 5] = ["test", "testing", "val", "valid", "validation"];
/// Folders within folders.
const DEEPEST: usize = 12;

/// A folder with a folder of pictures for each class, or with such folders in `train` and in `test` (or `val`,
/// `valid`). What lies beside these two is passed over, and named in [`Dataset::notes`].
///
/// Pictures are PNG, JPEG or WebP by what they hold, whatever they are called; they lie in a class's folder or deeper
/// within it. Hidden files are passed over; what else cannot be read is skipped, counted, and named in
/// [`Dataset::notes`]. Classes are in the order of their names.
///
/// ```no_run
/// use l0_data::ImageFolder;
/// let photos = ImageFolder::open("photos")?.resize(64).split(0.2, 1)?;
/// println!("{:?}: {} to learn from", photos.train.class_names(), photos.train.len());
/// # Ok::<(), l0_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ImageFolder {
    dir: PathBuf,
    train: Listing,
    test: Option<Listing>,
    classes: Vec<String>,
    wish: Wish,
    strays: Skipped,
    /// Folders beside those of the parts.
    passed_over: Vec<String>,
    held_out: (f64, u64),
}

/// The pictures of one part.
#[derive(Debug, Clone)]
struct Listing {
    dir: PathBuf,
    files: Vec<Listed>,
}

#[derive(Debug, Clone)]
struct Listed {
    /// With `/` between folders, from the part's folder on.
    name: String,
    path: PathBuf,
    label: u32,
}

impl ImageFolder {
    /// Looks at the folder, and at no picture yet.
    ///
    /// # Errors
    /// If there is no such folder, it has fewer than two class folders, test pictures of a class without training
    /// pictures, or a `test` with folders of its own and no `train`.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let mut strays = Skipped::default();
        let (train_dir, test_dir, passed_over) = parts(&dir)?;
        let classes = class_names(&train_dir)?;
        let train = Listing::read(&train_dir, &classes, &mut strays)?;
        check_classes(&train, &classes)?;
        let test = test_dir.map(|dir| Listing::read(&dir, &classes, &mut strays)).transpose()?;
        let wish = Wish { size: None, channels: None, memory: crate::source::HELD };
        Ok(Self { dir, train, test, classes, wish, strays, passed_over, held_out: (HELD_OUT, 0) })
    }

    /// Images of `size` by `size` pixels: the shorter side of each picture is made `size`, and the centre cut out.
    /// Without it, all pictures need to have one size.
    pub fn resize(self, size: usize) -> Self {
        let wish = Wish { size: Some(size), ..self.wish };
        Self { wish, ..self }
    }

    /// Images of 1 channel (grey) or 3 (colours). Without it, they are grey if all pictures are.
    pub fn channels(self, channels: usize) -> Self {
        let wish = Wish { channels: Some(channels), ..self.wish };
        Self { wish, ..self }
    }

    /// Decodes pictures as batches need them if all images together take more than so many bytes, 4 GiB if not said.
    pub fn memory(self, bytes: u64) -> Self {
        let wish = Wish { memory: bytes, ..self.wish };
        Self { wish, ..self }
    }

    /// The names of the classes in the order of their labels.
    pub fn class_names(&self) -> &[String] {
        &self.classes
    }

    /// Whether a file in it is called as a picture is, `.png`, `.jpg`, `.jpeg` or `.webp`: so a folder of pictures is
    /// told from one of other files before any is opened.
    pub fn holds_pictures(&self) -> bool {
        let is_picture = |file: &Listed| {
            let ending = file.path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
            ending.is_some_and(|ending| ["png", "jpg", "jpeg", "webp"].contains(&ending.as_str()))
        };
        self.train.files.iter().any(is_picture)
    }

    /// Decodes everything: the folder's own test pictures, or else a fifth of the pictures, held out as by
    /// `split(0.2, 0)`.
    ///
    /// # Errors
    /// If pictures differ in size and none was chosen, or a part or a training class has no picture that can be read.
    pub fn load(self, progress: &dyn Progress) -> Result<Dataset> {
        self.decode(progress)
    }

    /// Decodes everything, and holds out this share of the pictures of each class to test on: those whose names, from
    /// the folder on, have the smallest digests together with `seed`. So it does not depend on the order of files, nor
    /// on other classes. Of a class with two pictures or more, one at least is held out, and one at least is not.
    ///
    /// # Errors
    /// As [`load`](Self::load); if the share is not between 0 and 1, or if the folder has test pictures of its own.
    pub fn split(self, share: f64, seed: u64) -> Result<Dataset> {
        self.held_out(share, seed)?.decode(&Silent)
    }

    /// As [`split`](Self::split), before anything is decoded.
    pub(crate) fn held_out(mut self, share: f64, seed: u64) -> Result<Self> {
        if let Some(test) = &self.test {
            let message = format!("{} has test pictures of its own, in {}", self.dir.display(), test.dir.display());
            return Err(Error::Argument(message));
        }
        if !(share > 0.0 && share < 1.0) {
            return Err(Error::Argument(format!("cannot hold out a share of {share}: it lies between 0 and 1")));
        }
        self.held_out = (share, seed);
        Ok(self)
    }

    fn decode(mut self, progress: &dyn Progress) -> Result<Dataset> {
        let name = self.dir.file_name().map_or(self.dir.display().to_string(), |name| name.to_string_lossy().into());
        let dirs = [Some(&self.train), self.test.as_ref()].map(|part| part.unwrap_or(&self.train).dir.clone());
        let parts = std::iter::once(self.train).chain(self.test.take()).map(Labelled::from).collect();
        let mut made = gather(&name, parts, self.classes.len(), self.wish, progress, &mut self.strays)?.into_iter();
        let Some(train) = made.next() else { unreachable!("a part was handed over") };
        let mut files = vec![SourceFile { path: dirs[0].clone(), sha256: train.sha256 }];
        let (train, test, note) = match made.next() {
            Some(test) => {
                files.push(SourceFile { path: dirs[1].clone(), sha256: test.sha256 });
                (train.split, test.split, None)
            }
            None => {
                let groups = held_out::by_class(train.split.labels(), self.classes.len());
                let (share, seed) = self.held_out;
                let (rest, test) = held_out::parts(&groups, share, seed, |i| train.names[i as usize].clone());
                let note = held_out::note(test.len(), train.split.len());
                let (train, test) = train.split.part(&rest, &test)?;
                (train, test, Some(note))
            }
        };
        for (label, class) in self.classes.iter().enumerate() {
            if !train.labels().contains(&(label as u32)) {
                let problem = format!("no picture of the class {class} can be read");
                return Err(Error::layout(&dirs[0], &problem, EMPTY));
            }
        }
        if test.is_empty() {
            return Err(Error::layout(&dirs[1], "no picture to test on", "put some there, or more into each class"));
        }
        let split = |split: crate::Split| split.with_class_names(self.classes.clone());
        let mut data = Dataset::unknown(name, split(train)?, split(test)?, files)?;
        let passed_over = listed("folders that are neither learnt from nor tested on", &self.passed_over);
        data.choices.extend(note);
        data.notes.splice(0..0, self.strays.note().into_iter().chain(passed_over));
        Ok(data)
    }
}

const EMPTY: &str = "put some there, or move the folder away";
/// Folders that archives and programs leave behind.
const LEFTOVERS: [&str; 2] = ["__MACOSX", "__pycache__"];
const NO_TRAIN: &str = "put the class folders to learn from into train";

impl From<Listing> for Labelled {
    fn from(listing: Listing) -> Self {
        let labels = listing.files.iter().map(|file| file.label).collect();
        let names = listing.files.iter().map(|file| file.name.clone()).collect();
        Self { pictures: listing.files.into_iter().map(|file| Encoded::File(file.path)).collect(), labels, names }
    }
}

/// What lies in a folder, hidden files aside, by name.
struct Folder {
    folders: Vec<(String, PathBuf)>,
    files: Vec<(String, PathBuf)>,
}

impl Folder {
    fn read(dir: &Path) -> Result<Self> {
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(dir).map_err(Error::io("read the folder", dir))? {
            let path = entry.map_err(Error::io("read the folder", dir))?.path();
            let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
            if name.starts_with('.') || LEFTOVERS.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() { &mut folders } else { &mut files }.push((name, path));
        }
        folders.sort();
        files.sort();
        Ok(Self { folders, files })
    }

    /// A folder of class folders, by whose names classes are told apart.
    fn of_classes(dir: &Path) -> Result<Self> {
        let all = Self::read(dir)?;
        let named = |path: &PathBuf| path.file_name().unwrap_or_default().to_owned();
        match all.folders.iter().map(|(_, path)| named(path)).find(|name| name.to_str().is_none()) {
            Some(name) => {
                let problem = format!("a class folder {name:?}, whose name is not UTF-8");
                Err(Error::layout(dir, &problem, "rename it in UTF-8, or move it away"))
            }
            None => Ok(all),
        }
    }

    fn folder(&self, wanted: &str) -> Option<PathBuf> {
        self.folders.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, path)| path.clone())
    }
}

/// The folders of the parts, the first being `dir` itself where it has class folders, and the names of what lies beside
/// them.
///
/// # Errors
/// If there is one to test on and none to learn from: as a class of its own, it would be learnt.
fn parts(dir: &Path) -> Result<(PathBuf, Option<PathBuf>, Vec<String>)> {
    let all = Folder::read(dir)?;
    let found = |names: &[&str]| names.iter().find_map(|name| all.folder(name));
    let is_class = |path: &PathBuf| Ok::<_, Error>(Folder::read(path)?.folders.is_empty());
    let (train, test) = match (found(&TRAIN), found(&TEST)) {
        // One class of several is called so.
        (Some(class), None) if all.folders.len() > 1 && is_class(&class)? => {
            return Ok((dir.to_path_buf(), None, vec![]));
        }
        (Some(train), test) => (train, test),
        (None, None) => return Ok((dir.to_path_buf(), None, vec![])),
        (None, Some(class)) if is_class(&class)? => return Ok((dir.to_path_buf(), None, vec![])),
        (None, Some(test)) => {
            let name = test.file_name().unwrap_or_default().to_string_lossy();
            let problem = format!("a folder {name} with folders of its own, as if to test on, and no folder train");
            return Err(Error::layout(dir, &problem, NO_TRAIN));
        }
    };
    let is_part = |path: &PathBuf| *path == train || Some(path) == test.as_ref();
    let beside = all.folders.iter().filter(|(_, path)| !is_part(path)).map(|(name, _)| name.clone()).collect();
    Ok((train, test, beside))
}

fn class_names(dir: &Path) -> Result<Vec<String>> {
    let Folder { folders, files } = Folder::of_classes(dir)?;
    let names: Vec<String> = folders.into_iter().map(|(name, _)| name).collect();
    if names.len() > 1 {
        return Ok(names);
    }
    let found = match (names.first(), files.len()) {
        (Some(name), _) => format!("one class folder alone, {name}"),
        (None, files) => format!("no class folder, but {files} files"),
    };
    Err(Error::layout(dir, &found, "put the pictures of each class, of two at least, into a folder of its own"))
}

impl Listing {
    fn read(dir: &Path, classes: &[String], strays: &mut Skipped) -> Result<Self> {
        let Folder { folders, files } = Folder::of_classes(dir)?;
        strays.0.extend(files.into_iter().map(|(_, path)| (path.display().to_string(), "in no class folder".into())));
        let mut listed = Vec::new();
        for (name, path) in folders {
            let Ok(label) = classes.binary_search(&name) else {
                let problem = format!("the class folder {name}, which training pictures have not");
                return Err(Error::layout(
                    dir,
                    &problem,
                    "name the classes of both parts alike, or move the folder away",
                ));
            };
            collect(&path, &name, label as u32, 0, &mut listed)?;
        }
        Ok(Self { dir: dir.to_path_buf(), files: listed })
    }
}

fn collect(dir: &Path, name: &str, label: u32, depth: usize, listed: &mut Vec<Listed>) -> Result<()> {
    let Folder { folders, files } = Folder::read(dir)?;
    listed.extend(files.into_iter().map(|(file, path)| Listed { name: format!("{name}/{file}"), path, label }));
    if depth == DEEPEST && !folders.is_empty() {
        return Err(Error::layout(dir, "folders within folders without end", "move them up, or away"));
    }
    folders.iter().try_for_each(|(folder, path)| collect(path, &format!("{name}/{folder}"), label, depth + 1, listed))
}

fn check_classes(train: &Listing, classes: &[String]) -> Result<()> {
    let is_empty = |label: &usize| train.files.iter().all(|file| file.label as usize != *label);
    match (0..classes.len()).find(is_empty) {
        Some(label) => Err(Error::layout(&train.dir.join(&classes[label]), "no file of this class", EMPTY)),
        None => Ok(()),
    }
}
