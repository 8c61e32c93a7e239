//! A data set: two splits, where they came from, and what its owner should know of them.

use crate::{
    Augment, Benchmark, DataSpec, Error, Normalise, NormaliseBy, NormaliseName, Result, SourceFile, Split, Standing,
};
use l0_files::Sha256;

/// A data set: images to learn from, images to test on, and where they came from.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// A known name, as "mnist", or else what the user's source is called.
    pub name: String,
    /// To learn from.
    pub train: Split,
    /// To test on.
    pub test: Split,
    /// The files read, or a folder and the digest of all that was read in it; empty for images drawn by the program.
    pub files: Vec<SourceFile>,
    /// Whether they are the images that its name promises.
    pub standing: Standing,
    /// How it was asked for, where it was loaded.
    pub source: Option<DataSpec>,
    /// How bytes, or the numbers of each column, become what a network reads.
    pub normalise: Normalise,
    /// How training images are varied.
    pub augment: Option<Augment>,
    /// The names of a table's columns; empty for images.
    pub columns: Vec<String>,
    /// What was chosen where its owner did not say it, as which column is predicted.
    pub choices: Vec<String>,
    /// What was met on the way that its owner should know of, as files that were skipped.
    pub notes: Vec<String>,
}

impl Dataset {
    /// Checks that both splits hold the same kind of examples, and whether they are those that the name promises.
    ///
    /// # Errors
    /// If a split has no example, if shape or classes differ, or rows of numbers are called as a [`Benchmark`] of images is; if images that are
    /// decoded as they are needed do not decode any longer.
    pub fn new(name: impl Into<String>, train: Split, test: Split, files: Vec<SourceFile>) -> Result<Self> {
        let name = name.into();
        let kind = |split: &Split| (split.dims(), split.classes());
        if kind(&train) != kind(&test) {
            let said = |split: &Split| format!("{} of {} classes", size(split), split.classes());
            let (learnt, tested) = (said(&train), said(&test));
            let place = place(&name, &files);
            let message = format!("{place}: training examples are {learnt}, test examples {tested}; make them alike");
            return Err(Error::Argument(message));
        }
        if train.is_empty() || test.is_empty() {
            let (place, learnt, tested) = (place(&name, &files), train.len(), test.len());
            let message =
                format!("{place}: {learnt} examples to train on and {tested} to test on, expected some of each");
            return Err(Error::Argument(message));
        }
        let known = name.parse::<Benchmark>().ok();
        if known.is_some() && train.is_table() {
            let message = format!("{name}: rows of numbers, where the name promises images; call them otherwise");
            return Err(Error::Argument(message));
        }
        let standing = Standing::of(&name, &train, &test)?;
        let (normalise, augment) = match known {
            Some(known) => (known.normalise(), known.augment()),
            None => (Normalise::of(&train)?, None),
        };
        Ok(Self {
            name,
            train,
            test,
            files,
            standing,
            source: None,
            normalise,
            augment,
            columns: vec![],
            choices: vec![],
            notes: vec![],
        })
    }

    /// A data set of the user's: whatever it is called, it is none of those known by name.
    ///
    /// # Errors
    /// As [`new`](Self::new), if training examples are of one class alone, or test examples of one that training
    /// examples lack.
    pub(crate) fn unknown(name: String, train: Split, test: Split, files: Vec<SourceFile>) -> Result<Self> {
        let name = if name.parse::<Benchmark>().is_ok() { format!("own-{name}") } else { name };
        let notes = classes_without(&name, &train, &test)?;
        Ok(Self { notes, ..Self::new(name, train, test, files)? })
    }

    /// With `n` of the training examples to test on in place of the test examples. A normalisation that is the one of
    /// the training examples is afterwards that of those that are left; any other stays, that of known data too, and so
    /// does what a [`Table`](crate::Table) made of its cells: the means in place of missing ones, and the scale of
    /// numbers to be predicted.
    ///
    /// # Errors
    /// If there are not so many, or images that are decoded as they are needed do not decode any longer.
    pub fn hold_out(mut self, n: usize) -> Result<Self> {
        let follows = self.may_be_normalised_by_its_examples() && self.normalise == Normalise::of(&self.train)?;
        (self.train, self.test) = self.train.split_off(n, 0)?;
        if follows {
            self.normalise = Normalise::of(&self.train)?;
        }
        Ok(self)
    }

    /// Whether nobody asked for other constants; what the normalisation is since may be another one.
    fn may_be_normalised_by_its_examples(&self) -> bool {
        match self.source.as_ref().and_then(|source| source.options.normalise.as_ref()) {
            Some(by) => *by == NormaliseBy::Name(NormaliseName::Computed),
            None => self.name.parse::<Benchmark>().is_err(),
        }
    }

    /// What must be said of the images wherever something that was measured on them is shown, as `not MNIST: 1000
    /// training images in place of 60000`; nothing if they are those that the name promises.
    pub fn caveat(&self) -> Option<String> {
        let name: Benchmark = self.name.parse().ok()?;
        self.standing.caveat(name)
    }

    /// sha256 over pixels or numbers, labels and shapes, lower-case hex: equal for equal examples in equal order,
    /// whatever the files they came from. About a tenth of a second for CIFAR.
    ///
    /// # Errors
    /// If images that are decoded as they are needed do not decode any longer.
    pub fn digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for split in [&self.train, &self.test] {
            let (c, h, w) = split.shape();
            for number in [split.len(), c, h, w, split.classes()] {
                hash.update(&(number as u64).to_le_bytes());
            }
            add_examples(&mut hash, split)?;
            let labels: Vec<u8> = split.labels().iter().flat_map(|label| label.to_le_bytes()).collect();
            hash.update(&labels);
            for target in split.targets().map_or(&[][..], |(targets, _)| targets) {
                hash.update(&target.to_le_bytes());
            }
        }
        Ok(hash.hex())
    }
}

/// "3x32x32" of images, "13" of rows.
pub(crate) fn size(split: &Split) -> String {
    split.dims().iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// The name of a data set and where its files are, for messages.
fn place(name: &str, files: &[SourceFile]) -> String {
    let paths: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
    if paths.is_empty() { name.to_string() } else { format!("{name} ({})", paths.join(", ")) }
}

/// What is to be said of classes that only one part has, or none.
fn classes_without(name: &str, train: &Split, test: &Split) -> Result<Vec<String>> {
    let classes = train.classes();
    if classes == 0 || test.classes() != classes {
        return Ok(vec![]);
    }
    let has = |split: &Split| {
        let mut has = vec![false; classes];
        split.labels().iter().for_each(|&label| has[label as usize] = true);
        has
    };
    let (learnt, tested) = (has(train), has(test));
    let called = |class: usize| train.class_names().get(class).cloned().unwrap_or_else(|| class.to_string());
    let wrong = |said: String| Err(Error::Argument(format!("{name}: {said}")));
    if learnt.iter().filter(|&&is_there| is_there).count() < 2 {
        let only = learnt.iter().position(|&is_there| is_there).map_or("none".into(), called);
        return wrong(format!("one class alone to learn from, {only}; a classifier tells two apart at least"));
    }
    if let Some(class) = (0..classes).find(|&class| tested[class] && !learnt[class]) {
        let class = called(class);
        return wrong(format!(
            "test examples of class {class}, which no training example has; add some, or leave it out"
        ));
    }
    let lacking = |has: &[bool]| (0..classes).filter(|&class| !has[class]).map(called).collect::<Vec<String>>();
    let nowhere = lacking(&learnt);
    let untested: Vec<String> = lacking(&tested).into_iter().filter(|name| !nowhere.contains(name)).collect();
    let counted = if train.class_names().is_empty() { " (labels are counted from 0)" } else { "" };
    let nowhere = listed(&format!("no example of these classes{counted}"), &nowhere);
    Ok(nowhere
        .into_iter()
        .chain(listed("no test example of these classes, errors say nothing of them", &untested))
        .collect())
}

/// Names that a note lists.
const NAMED: usize = 10;

/// "missing values, ...: age (3), height (1)", the first ten.
pub(crate) fn listed(what: &str, names: &[String]) -> Option<String> {
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let first = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| format!("{what}: {first}{more}"))
}

/// Images that are not held come a few hundred at a time.
fn add_examples(hash: &mut Sha256, split: &Split) -> Result<()> {
    if split.is_table() {
        let bytes: Vec<u8> = split.numbers().iter().flat_map(|number| number.to_le_bytes()).collect();
        hash.update(&bytes);
    } else if split.is_held() {
        hash.update(split.images());
    } else {
        let order: Vec<u32> = (0..split.len() as u32).collect();
        for indices in order.chunks(256) {
            split.pixels(indices)?.iter().for_each(|image| hash.update(image));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: usize) -> Split {
        let images = (0..n * 4).map(|i| (i / 4) as u8).collect();
        let labels = (0..n).map(|i| i as u32 % 3).collect();
        Split::new(images, labels, (1, 2, 2), 3).unwrap()
    }

    #[test]
    fn there_has_to_be_something_to_test_on() {
        let none = Split::new(vec![], vec![], (1, 2, 2), 3).unwrap();
        let error = Dataset::new("x", numbered(5), none, vec![]).unwrap_err().to_string();
        assert_eq!(error, "x: 5 examples to train on and 0 to test on, expected some of each");
    }

    #[test]
    fn the_digest_sees_pixels_labels_and_order() {
        let dataset = |train: Split| Dataset::new("x", train, numbered(5), vec![]).unwrap().digest().unwrap();
        let split = numbered(10);
        assert_eq!(dataset(split.clone()), dataset(split.clone()));
        assert_ne!(dataset(split.clone()), dataset(split.take(9)));
        let reversed: Vec<u32> = (0..10).rev().collect();
        assert_ne!(dataset(split.clone()), dataset(split.select(&reversed).unwrap()));
        let other = Split::new(vec![0; 4], vec![0], (1, 2, 2), 4).unwrap();
        let error = Dataset::new("x", split, other, vec![]).unwrap_err().to_string();
        assert!(error.starts_with("x: training examples are 1x2x2 of 3 classes, test examples 1x2x2 of 4"), "{error}");
        let file = SourceFile { path: "a/x.npz".into(), sha256: String::new() };
        let rows = Split::rows(vec![0.0; 4], vec![0], 4, 3).unwrap();
        let error = Dataset::new("x", numbered(2), rows, vec![file]).unwrap_err().to_string();
        assert!(
            error.starts_with("x (a/x.npz): training examples are 1x2x2 of 3 classes, test examples 4 of"),
            "{error}"
        );
    }

    #[test]
    fn what_is_held_out_has_no_part_in_the_normalisation() {
        let asked = |normalise: Option<NormaliseBy>| {
            let mut source = DataSpec::new(crate::Origin::Folder("x".into()));
            source.options.normalise = normalise;
            Dataset { source: Some(source), ..Dataset::new("x", numbered(10), numbered(3), vec![]).unwrap() }
        };
        let whole = Normalise::of(&numbered(10)).unwrap();
        for by in [None, Some(NormaliseBy::Name(NormaliseName::Computed))] {
            let data = asked(by).hold_out(4).unwrap();
            assert_eq!((data.train.len(), data.test.len()), (6, 4));
            assert_eq!(data.normalise, Normalise::of(&data.train).unwrap());
            assert_ne!(data.normalise, whole);
        }
        let constants = asked(Some(NormaliseBy::Constants { mean: vec![0.5], std: vec![0.5] }));
        assert_eq!(constants.hold_out(4).unwrap().normalise, whole, "it is what the caller made it");
        let images = || Split::new(vec![7; 4 * 784], vec![0, 1, 2, 3], (1, 28, 28), 10).unwrap();
        let known = Dataset::new("mnist", images(), images(), vec![]).unwrap().hold_out(2).unwrap();
        assert_eq!(known.normalise, Benchmark::Mnist.normalise());
        let set = Dataset { normalise: Normalise::unit(), ..asked(None) };
        assert_eq!(set.hold_out(4).unwrap().normalise, Normalise::unit(), "set afterwards, whatever was asked for");
        assert!(asked(None).hold_out(10).is_err());
    }

    #[test]
    fn rows_of_numbers_are_no_benchmark() {
        let scale = crate::Scale { mean: 0.0, std: 1.0 };
        let rows = || Split::rows(vec![0.0; 784], vec![7], 784, 10).unwrap();
        let numbers = || Split::regression(vec![0.0; 784], vec![0.5], 784, scale).unwrap();
        for known in Benchmark::ALL {
            let name = known.as_str();
            for split in [rows(), numbers()] {
                let error = Dataset::new(name, split.clone(), split, vec![]).unwrap_err().to_string();
                assert_eq!(
                    error,
                    format!("{name}: rows of numbers, where the name promises images; call them otherwise")
                );
            }
        }
        assert!(Dataset::new("mine", rows(), rows(), vec![]).is_ok());
    }
}
