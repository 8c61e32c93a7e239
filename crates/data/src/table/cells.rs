//! The cells of a column: numbers, what is missing, and text.

use super::commas::with_point;
use std::collections::HashMap;
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

/// Cells that are numbers and do not look as their number is printed, as "01" and "1E1": where labels are classes, "01"
/// and "1" are two. "1.0" is none of them: programs write whole numbers so beside missing ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Spellings {
    /// Row, and place among the texts.
    cells: Vec<(u32, u32)>,
    texts: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32>,
    /// Whether there were more texts than a column of labels may have, or more rows than are counted here; then no cell
    /// is kept.
    pub(super) are_too_many: bool,
}

impl Spellings {
    fn push(&mut self, row: usize, text: &str, number: f64) {
        if self.are_too_many || is_plain_whole(text) || is_as_printed(text, number) {
            return;
        }
        let place = match self.places.get(text) {
            Some(&place) => place,
            None => {
                let (new, place) = (Arc::<str>::from(text), self.texts.len() as u32);
                self.texts.push(Arc::clone(&new));
                self.places.insert(new, place);
                place
            }
        };
        match u32::try_from(row) {
            Ok(row) if self.texts.len() <= LARGEST => self.cells.push((row, place)),
            _ => *self = Self { are_too_many: true, ..Self::default() },
        }
    }

    /// The texts by which labels are told apart, by row; of other rows their number is one.
    pub(super) fn names(&self) -> HashMap<usize, &str> {
        self.cells.iter().map(|&(row, place)| (row as usize, &*self.texts[place as usize])).collect()
    }
}

/// Whether a text is a whole number as it is printed, without a look at the number: most cells are.
fn is_plain_whole(text: &str) -> bool {
    let is_short = (1..=15).contains(&text.len()); // a float has as many digits
    is_short && text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

/// Whether a text is its number as it is printed, with zeros behind the point of a whole one or without.
fn is_as_printed(text: &str, number: f64) -> bool {
    let (printed, is_zeros) = (number.to_string(), |digits: &str| digits.bytes().all(|byte| byte == b'0'));
    text == printed || text.split_once('.').is_some_and(|(whole, behind)| whole == printed && is_zeros(behind))
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
