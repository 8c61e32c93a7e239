//! Tables of numbers with a column to be predicted: classes, or numbers.

mod cells;
mod commas;
mod csv;
#[cfg(feature = "hub")]
mod parquet;
mod rows;
mod target;

pub(crate) use cells::Column;
pub use target::Task;

use crate::dataset::listed;
use crate::{Dataset, Error, Result, Scale, SourceFile, Split, digest};
use std::path::{Path, PathBuf};
use target::Labels;

/// Characters of a cell that a message shows.
const LONG: usize = 60;
/// What columns to be predicted are called, the first that is there; else it is the last column.
const TARGETS: [&str; 4] = ["label", "target", "class", "y"];

/// A table from a `.csv`, `.tsv` or `.parquet` file: rows of numbers, and a column to be predicted from the others.
///
/// Text files may have commas, semicolons or tabs between their cells, quotes around them, a byte-order mark, and
/// decimal commas where cells are not parted by commas: `1,5`, and `1.234,5` with a dot between thousands. Empty cells,
/// `NA`, `N/A`, `n.a.`, `#N/A`, `NaN`, `null`, `none`, `-` and `?` are missing values: the mean of the training rows
/// stands for them; rows without a label are left out. Among labels that are words, `none` is a class. What was done is
/// said in [`Dataset::notes`].
///
/// ```no_run
/// use l0_data::Table;
/// let data = Table::open("wine.csv")?.label("quality")?.split(0.2, 1)?;
/// println!("{} rows of {:?}", data.train.len(), data.columns);
/// # Ok::<(), l0_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    columns: Vec<Column>,
    label: usize,
    task: Option<Task>,
    sha256: String,
    notes: Vec<String>,
}

impl Table {
    /// Reads the whole file.
    ///
    /// # Errors
    /// If it cannot be read or is no table; parquet files need the feature `hub`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let (columns, notes, sha256) = columns_of(&path)?;
        let table = Self::of(columns, &path)?;
        Ok(Self { sha256, notes, ..table })
    }

    fn of(columns: Vec<Column>, path: &Path) -> Result<Self> {
        let rows = columns.first().map_or(0, Column::len);
        if columns.len() < 2 || rows < 2 {
            let found = format!("{rows} rows of {} columns", columns.len());
            return Err(Error::Data {
                path: path.into(),
                problem: found,
                advice: match columns.len() {
                    0 | 1 => "a table has two columns at least; in a text, commas, semicolons or tabs part them".into(),
                    _ => "a table has two rows at least".into(),
                },
            });
        }
        let named = |wanted: &&str| columns.iter().position(|column| column.name.eq_ignore_ascii_case(wanted));
        let label = TARGETS.iter().find_map(named).unwrap_or(columns.len() - 1);
        Ok(Self { path: path.into(), columns, label, task: None, sha256: String::new(), notes: vec![] })
    }

    /// Predicts the column of this name, in the place of the first that is called label, target, class or y, or else
    /// the last.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn label(self, name: &str) -> Result<Self> {
        let Some(label) = self.columns.iter().position(|column| column.name == name) else {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
            let problem = format!("no column {name:?}");
            return Err(Error::Data {
                path: self.path,
                problem,
                advice: format!("its columns are {}", names.join(", ")),
            });
        };
        Ok(Self { label, ..self })
    }

    /// Takes the labels for classes or for numbers. If not said, text is taken for classes, and so are whole numbers of
    /// which there are at most 50 different ones, each five times on average. A text among labels of which nine of ten
    /// are numbers is more likely a mistake, and refused.
    pub fn task(self, task: Task) -> Self {
        Self { task: Some(task), ..self }
    }

    /// The names of all columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// As `split(0.2, 0)`.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    pub fn load(self) -> Result<Dataset> {
        self.split(crate::held_out::HELD_OUT, 0)
    }

    /// Holds out this share of the rows of each class to test on, or of all rows where numbers are predicted: those
    /// whose numbers have the smallest digests together with `seed`. Numbers are standardised by
    /// [`Dataset::normalise`], the mean and standard deviation of each column over the training rows.
    ///
    /// # Errors
    /// If a column to learn from holds text or nothing, there is one class only, or as many that most have one row, or
    /// too few rows.
    pub fn split(self, share: f64, seed: u64) -> Result<Dataset> {
        if !(share > 0.0 && share < 1.0) {
            return Err(Error::Argument(format!("cannot hold out a share of {share}: it lies between 0 and 1")));
        }
        let column = &self.columns[self.label];
        if let Some((row, _)) = column.texts.iter().find(|(_, text)| text.contains(['\n', '\r'])) {
            let problem = format!("a label in column {} of row {} that goes on in the next line", column.name, row + 1);
            return Err(self.wrong((problem, "close its quotes: all that follows is taken for a part of it".into())));
        }
        let labels = Labels::of(column, self.task).map_err(|said| self.wrong(said))?;
        let (train, test) = labels.parts(share, seed);
        let (rows, classes) = (train.len() + test.len(), labels.classes());
        if rows > 2 && rows < 2 * classes {
            return Err(self.wrong(self.too_many(classes, rows)));
        }
        if train.len() < 2 || test.is_empty() {
            return Err(self.wrong((format!("{rows} rows with a label"), "more are needed".into())));
        }
        let mut notes = self.notes.clone();
        let left_out = labels.left_out();
        notes.extend((left_out > 0).then(|| format!("{left_out} rows without a label left out")));
        let features: Vec<&Column> = self.features().collect();
        let means = self.means(&features, &train, &mut notes)?;
        let scale = labels.scale(&train);
        let part = |rows: &[u32]| self.part(&features, &means, &labels, scale, rows);
        let (train, test) = (part(&train)?, part(&test)?);
        let name = self.path.file_stem().map_or_else(|| "table".into(), |stem| stem.to_string_lossy().into_owned());
        let files = vec![SourceFile { path: self.path.clone(), sha256: self.sha256.clone() }];
        let mut data = Dataset::unknown(name, train, test, files)?;
        data.columns = features.iter().map(|column| column.name.clone()).collect();
        data.choices = self.choices(&labels);
        data.choices.push(crate::held_out::note(data.test.len(), rows));
        data.notes.splice(0..0, notes);
        Ok(data)
    }

    /// What is wrong with labels of which most come once, and what to do: mostly, they are numbers that were not read
    /// as such.
    fn too_many(&self, classes: usize, rows: usize) -> (String, String) {
        let column = &self.columns[self.label];
        let example = column.texts.first().map_or(String::new(), |(_, text)| format!(", as {text:?}"));
        let problem = match classes == rows {
            true => format!("another label in column {} of each of {rows} rows{example}", column.name),
            false => format!("{classes} different labels in column {} of {rows} rows{example}", column.name),
        };
        (problem, "of a class there are two rows at least, on average; numbers are written as 1234.5".into())
    }

    fn features(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().enumerate().filter(|(i, _)| *i != self.label).map(|(_, column)| column)
    }

    /// What the label was taken for.
    fn choices(&self, labels: &Labels) -> Vec<String> {
        let column = &self.columns[self.label];
        let task = match labels.classes() {
            0 => "a number".to_string(),
            n if self.task.is_none() && column.texts.is_empty() => {
                format!("one of {n} classes (--task regression takes them for numbers)")
            }
            n => format!("one of {n} classes"),
        };
        let nones = column.nones.len();
        let nones = (labels.classes() > 0 && !column.texts.is_empty() && nones > 0)
            .then(|| format!("\"none\" is the class of {nones} rows"));
        std::iter::once(format!("predicts {}, {task}", column.name)).chain(nones).collect()
    }

    /// The mean of each column over the training rows, for what is missing.
    fn means(&self, features: &[&Column], train: &[u32], notes: &mut Vec<String>) -> Result<Vec<f64>> {
        let (mut means, mut missing, mut constant) = (Vec::new(), Vec::new(), Vec::new());
        for column in features {
            if let Some((row, text)) = column.texts.first() {
                let text: String = text.chars().take(LONG).collect();
                let problem =
                    format!("{text:?} in column {} of row {}, where numbers are learnt from", column.name, row + 1);
                let advice = "make numbers of it, one column of 0 and 1 for each value, or take the column away";
                return Err(self.wrong((problem, advice.into())));
            }
            let values: Vec<f64> =
                train.iter().map(|&row| column.numbers[row as usize]).filter(|value| !value.is_nan()).collect();
            let Some(first) = values.first() else {
                let problem = format!("no number in column {}", column.name);
                return Err(self.wrong((problem, "take the column away".into())));
            };
            if values.iter().all(|value| value == first) {
                constant.push(column.name.clone());
            }
            let count = column.numbers.iter().filter(|value| value.is_nan()).count();
            if count > 0 {
                missing.push(format!("{} ({count})", column.name));
            }
            means.push(values.iter().sum::<f64>() / values.len() as f64);
        }
        notes.extend(listed("missing values, the mean of the training rows in their place", &missing));
        notes.extend(listed("columns of one value, which say nothing", &constant));
        Ok(means)
    }

    fn part(
        &self,
        features: &[&Column],
        means: &[f64],
        labels: &Labels,
        scale: Option<Scale>,
        rows: &[u32],
    ) -> Result<Split> {
        let mut numbers = Vec::with_capacity(rows.len() * features.len());
        for &row in rows {
            for (column, mean) in features.iter().zip(means) {
                let number = column.number(row as usize, *mean as f32);
                numbers.push(number.map_err(|said| self.wrong(said))?);
            }
        }
        labels.split(numbers, features.len(), scale, rows)
    }

    fn wrong(&self, (problem, advice): (String, String)) -> Error {
        Error::Data { path: self.path.clone(), problem, advice }
    }
}

/// The columns of a file, what is to be said of them, and the digest of its bytes.
fn columns_of(path: &Path) -> Result<(Vec<Column>, Vec<String>, String)> {
    let (bytes, sha256) = digest::read(path)?;
    let is_parquet = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"));
    let (columns, notes) = if is_parquet { (parquet_columns(bytes, path)?, vec![]) } else { csv::read(&bytes, path)? };
    Ok((columns, notes, sha256))
}

#[cfg(feature = "hub")]
fn parquet_columns(bytes: Vec<u8>, path: &Path) -> Result<Vec<Column>> {
    parquet::read(bytes, path)
}

#[cfg(not(feature = "hub"))]
fn parquet_columns(_: Vec<u8>, path: &Path) -> Result<Vec<Column>> {
    Err(Error::NeedsHub { what: format!("reading {}", path.display()), otherwise: "; or save the table as .csv" })
}

/// The table in the bytes of a text file; for messages, `path`.
///
/// # Errors
/// If they are none.
pub fn parse_csv(bytes: &[u8], path: &Path) -> Result<Table> {
    let (columns, _) = csv::read(bytes, path)?;
    Table::of(columns, path)
}
