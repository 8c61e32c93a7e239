//! Rows of a table that a network is to answer for: the columns that it was trained on, wherever they stand.

use super::cells::Column;
use super::columns_of;
use crate::dataset::listed;
use crate::{DataRecord, Dataset, Error, Result, Split};
use std::path::Path;

impl DataRecord {
    /// The rows of a table's file, to be predicted from, and what was met on the way. Columns are known by their names,
    /// in whatever order, others are passed over; in a file without names they stand in their order. What is missing
    /// becomes the mean of the rows that were trained on, and so do all columns but those with the numbers `read`: the
    /// network does not look at them, and the file need not have them.
    ///
    /// The classes of the split mean nothing.
    ///
    /// # Errors
    /// If the data set was none of rows, or the file is no table, has no row, lacks a column, or holds text in one or a
    /// number that 32 bits do not hold; if a value is missing and columns were left as they are
    /// ([`NormaliseName::None`](crate::NormaliseName::None)), so that no mean is on record.
    pub fn rows(&self, path: &Path, read: &[u32]) -> Result<(Split, Vec<String>)> {
        let (means, _) = self.normalise.constants();
        if self.columns.is_empty() || self.columns.len() != means.len() {
            return Err(Error::Argument(format!("{} has images, and no rows of numbers", self.name)));
        }
        let (columns, mut notes, _) = columns_of(path)?;
        let wrong = |(problem, advice): (String, String)| Error::Data { path: path.into(), problem, advice };
        let chosen = self.chosen(&columns, read).ok_or_else(|| self.lacking(&columns, read, path))?;
        let rows = columns.first().map_or(0, Column::len);
        if rows == 0 {
            return Err(wrong((format!("0 rows of {} columns", columns.len()), "give it a row to answer for".into())));
        }
        let mut numbers = vec![0.0; rows * chosen.len()];
        let mut missing = Vec::new();
        for (i, (column, mean)) in chosen.iter().zip(means).enumerate() {
            let Some(column) = column.filter(|_| read.contains(&(i as u32))) else {
                (0..rows).for_each(|row| numbers[row * chosen.len() + i] = *mean);
                continue;
            };
            if let Some((row, text)) = column.texts.first() {
                let problem = format!("{text:?} in column {} of row {}", self.columns[i], row + 1);
                return Err(wrong((problem, "a number is expected there".into())));
            }
            let count = column.numbers.iter().filter(|number| number.is_nan()).count();
            if count > 0 && self.source.options.leaves_columns() {
                let problem = format!("no number in column {} of {count} of {rows} rows", self.columns[i]);
                let advice =
                    "give one: the network was trained on columns as they are, and records no mean for what is missing";
                return Err(wrong((problem, advice.into())));
            }
            if count > 0 {
                missing.push(format!("{} ({count})", self.columns[i]));
            }
            for row in 0..rows {
                numbers[row * chosen.len() + i] = column.number(row, *mean).map_err(wrong)?;
            }
        }
        notes.extend(listed("missing values, the mean of the training rows in their place", &missing));
        Ok((Split::rows(numbers, vec![0; rows], chosen.len(), 1)?, notes))
    }

    /// Other data as a network that was trained on this data set knows it: columns and classes [by their
    /// names](Self::as_named), what is read by the numbers that it was normalised with then, and numbers to be predicted
    /// in its scale.
    ///
    /// # Errors
    /// As [`as_named`](Self::as_named).
    pub fn as_trained(&self, data: Dataset) -> Result<Dataset> {
        let data = self.as_named(data)?;
        let reads_it = data.train.dims() == self.dims; // else a network of this data cannot, and says so
        let normalise = if reads_it { self.normalise.clone() } else { data.normalise };
        let scaled = |split: Split| match self.target {
            Some(scale) => split.in_scale(scale),
            None => split,
        };
        Ok(Dataset { train: scaled(data.train), test: scaled(data.test), normalise, ..data })
    }

    /// Other data by the names that this data set has: columns in its order, whatever else a table has, and each class
    /// under its number. What has no names stays as it is, and so do numbers, which are read as that data says.
    ///
    /// # Errors
    /// If a column is not there, or a class is none that the network tells apart.
    pub fn as_named(&self, data: Dataset) -> Result<Dataset> {
        let data = self.columns_of(data)?;
        let known = |split: Split| {
            split.in_classes(&self.class_names).map_err(|unknown| {
                let found = listed("classes", &unknown).unwrap_or_default();
                let known = listed("it tells apart", &self.class_names).unwrap_or_default();
                Error::Argument(format!("{}: {found}, which the network was not trained on; {known}", data.name))
            })
        };
        Ok(Dataset { train: known(data.train)?, test: known(data.test)?, ..data })
    }

    fn columns_of(&self, data: Dataset) -> Result<Dataset> {
        if self.columns == data.columns || self.columns.is_empty() || data.columns.is_empty() {
            return Ok(data);
        }
        let place = |name: &String| data.columns.iter().position(|column| column == name);
        let Some(order) = self.columns.iter().map(place).collect::<Option<Vec<usize>>>() else {
            let lacking: Vec<String> = self.columns.iter().filter(|name| place(name).is_none()).cloned().collect();
            let problem = listed("no column", &lacking).unwrap_or_default();
            let advice = listed("it has", &data.columns).unwrap_or_default();
            return Err(Error::Argument(format!(
                "{}: {problem}, which the network was trained on; {advice}",
                data.name
            )));
        };
        let (train, test) = (data.train.with_columns(&order), data.test.with_columns(&order));
        let normalise = data.normalise.with_columns(&order);
        Ok(Dataset { train, test, normalise, columns: self.columns.clone(), ..data })
    }

    /// The columns of a file in the order of those that were trained on; nothing in the place of one that it lacks and
    /// that is not `read`.
    fn chosen<'a>(&self, columns: &'a [Column], read: &[u32]) -> Option<Vec<Option<&'a Column>>> {
        let by_name: Vec<Option<&Column>> =
            self.columns.iter().map(|name| columns.iter().find(|column| column.name == *name)).collect();
        let is_unnamed = columns.iter().enumerate().all(|(i, column)| column.name == (i + 1).to_string());
        // Names that are numbers may be those of other columns: the label had one, too, where the network was trained.
        if by_name.iter().any(Option::is_none) && is_unnamed && columns.len() == self.columns.len() {
            return Some(columns.iter().map(Some).collect());
        }
        self.lacked(columns, read).is_empty().then_some(by_name)
    }

    /// The columns that are `read` and not there.
    fn lacked(&self, columns: &[Column], read: &[u32]) -> Vec<String> {
        let is_lacked = |&(i, name): &(usize, &String)| {
            read.contains(&(i as u32)) && !columns.iter().any(|column| column.name == *name)
        };
        self.columns.iter().enumerate().filter(is_lacked).map(|(_, name)| name.clone()).collect()
    }

    fn lacking(&self, columns: &[Column], read: &[u32], path: &Path) -> Error {
        let lacking = self.lacked(columns, read);
        let problem = listed("no column", &lacking).unwrap_or_default();
        let found: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let advice = listed("the network was trained on it, so give it; there are", &found).unwrap_or_default();
        Error::Data { path: path.into(), problem, advice }
    }
}
