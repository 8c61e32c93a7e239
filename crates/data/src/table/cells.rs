//! The cells of a column: numbers, what is missing, and text.

use super::commas::with_point;

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

    pub(crate) fn push_missing(&mut self) {
        self.numbers.push(f64::NAN);
    }

    /// A cell as text has it.
    pub(crate) fn push_text(&mut self, text: &str, has_decimal_commas: bool) {
        let text = text.trim();
        let number = if has_decimal_commas { with_point(text).parse() } else { text.parse::<f64>() };
        match number.ok().filter(|number| !number.is_nan()) {
            Some(number) => self.push_number(number),
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
