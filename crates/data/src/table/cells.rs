//! The cells of a column: numbers, what is missing, and text.

use super::commas::with_point;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Different labels of any kind.
pub(super) const LARGEST: usize = 10_000;
/// What stands for a missing value.
const MISSING: [&str; 10] = ["", "na", "n/a", "n.a.", "#n/a", "nan", "null", "none", "?", "-"];

/// A column of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// One for each row, NaN where there is none.
    pub(crate) numbers: Vec<f64>,
    /// The cells that are neither numbers nor missing, by row.
    pub(crate) texts: Vec<(usize, String)>,
    /// The cells that say "none", which is missing among numbers and a class among words.
    pub(crate) nones: Vec<(usize, String)>,
    /// How the cells are written that are numbers.
    pub(super) spellings: Spellings,
}

/// Cells that are numbers and do not look as their number is printed, as "01", "1E1" and "1.0": where labels are
/// classes, "01" and "1" are two.
#[derive(Debug, Clone, Default)]
pub(super) struct Spellings {
    /// By row, each text once in memory.
    cells: Vec<(usize, Arc<str>)>,
    texts: HashSet<Arc<str>>,
    /// Whether there were more texts than a column of labels may have; then no cell is kept.
    pub(super) are_too_many: bool,
    /// Whether a text is more than a whole number with zeros behind its point, as programs write whole numbers beside
    /// missing ones.
    are_names: bool,
}

impl Spellings {
    fn push(&mut self, row: usize, text: &str, number: f64) {
        if self.are_too_many {
            return;
        }
        let printed = number.to_string();
        if text == printed {
            return;
        }
        let is_zeros = |digits: &str| digits.bytes().all(|byte| byte == b'0');
        let is_whole = text.split_once('.').is_some_and(|(whole, behind)| whole == printed && is_zeros(behind));
        self.are_names |= !is_whole;
        let text = match self.texts.get(text) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = text.into();
                self.texts.insert(Arc::clone(&new));
                new
            }
        };
        self.cells.push((row, text));
        if self.texts.len() > LARGEST {
            *self = Self { are_too_many: true, ..Self::default() };
        }
    }

    /// The texts by which labels are told apart, by row; of other rows their number is one.
    pub(super) fn names(&self) -> HashMap<usize, &str> {
        let cells = self.cells.iter().filter(|_| self.are_names);
        cells.map(|(row, text)| (*row, &**text)).collect()
    }
}

/// Whether a cell stands for a missing value.
pub(crate) fn is_missing(text: &str) -> bool {
    MISSING.iter().any(|missing| text.trim().eq_ignore_ascii_case(missing))
}

impl Column {
    pub(crate) fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(crate) fn push_number(&mut self, number: f64) {
        self.numbers.push(number);
    }

    /// A whole number, also one of more digits than a float has.
    #[cfg(feature = "hub")]
    pub(super) fn push_whole(&mut self, number: impl Into<i128>) {
        let whole: i128 = number.into();
        let row = self.len();
        self.spellings.push(row, &whole.to_string(), whole as f64);
        self.push_number(whole as f64);
    }

    pub(crate) fn push_missing(&mut self) {
        self.numbers.push(f64::NAN);
    }

    /// A cell as text has it.
    pub(crate) fn push_text(&mut self, text: &str, has_decimal_commas: bool) {
        let text = text.trim();
        let pointed = has_decimal_commas.then(|| with_point(text));
        let point = pointed.as_deref().unwrap_or(text);
        match point.parse::<f64>().ok().filter(|number| !number.is_nan()) {
            Some(number) => {
                let row = self.len();
                self.spellings.push(row, point, number);
                self.push_number(number);
            }
            None => {
                if !is_missing(text) {
                    self.texts.push((self.len(), text.to_string()));
                } else if text.eq_ignore_ascii_case("none") {
                    self.nones.push((self.len(), text.to_string()));
                }
                self.push_missing();
            }
        }
    }

    /// The number of a row as a network reads it; `mean` where it is missing.
    ///
    /// # Errors
    /// What is wrong, and what to do, if 32 bits do not hold it.
    pub(super) fn number(&self, row: usize, mean: f32) -> Result<f32, (String, String)> {
        let value = self.numbers[row];
        let number = if value.is_nan() { mean } else { value as f32 };
        if number.is_finite() {
            return Ok(number);
        }
        let problem = format!("{value:e} in column {} of row {}", self.name, row + 1);
        Err((problem, "numbers lie within those of 32 bits, below 3.4e38".into()))
    }
}
