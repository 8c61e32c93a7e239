//! What is to be predicted of a row.

use super::cells::{Column, LARGEST};
use crate::dataset::listed;
use crate::{Result, Scale, Split, held_out};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::collections::HashMap;

/// Different whole numbers that may be classes, and how often each has to come on average.
const MOST_CLASSES: usize = 50;
const OFTEN: usize = 5;
/// As many of ten labels are numbers where those that are text are mistakes rather than names of classes.
const NUMBERS_OF_TEN: usize = 9;

/// What labels are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Each different label is a class.
    Classes,
    /// Labels are numbers, to be predicted with as small a squared error as can be.
    Regression,
}

/// The labels of all rows.
pub(super) struct Labels {
    /// Names of classes, in their order; empty for numbers.
    names: Vec<String>,
    /// The class of a row, or `None` where it has no label.
    classes: Vec<Option<u32>>,
    numbers: Vec<f64>,
}

impl Labels {
    /// What is wrong with them, and what to do, if they cannot be learnt.
    pub(super) fn of(column: &Column, task: Option<Task>) -> Result<Self, (String, String)> {
        if task.is_none()
            && let Some(said) = texts_among_numbers(column)
        {
            return Err(said);
        }
        let words: &[_] = if column.texts.is_empty() { &[] } else { &column.nones };
        let texts: HashMap<usize, &str> =
            column.texts.iter().chain(words).map(|(row, text)| (*row, text.as_str())).collect();
        let task = task.unwrap_or_else(|| if is_of_classes(column) { Task::Classes } else { Task::Regression });
        if task == Task::Regression {
            if let Some((row, text)) = column.texts.first() {
                let problem =
                    format!("{text:?} in column {} of row {}, where a number is predicted", column.name, row + 1);
                return Err((problem, "mend the row, or predict classes".into()));
            }
            if let Some(row) = column.numbers.iter().position(|number| number.is_infinite()) {
                let found = column.numbers[row];
                let problem =
                    format!("{found} in column {} of row {}, where a number is predicted", column.name, row + 1);
                return Err((problem, "mend the row, or leave the cell empty".into()));
            }
            let present: Vec<f64> = column.numbers.iter().copied().filter(|number| !number.is_nan()).collect();
            if let [first, rest @ ..] = &present[..]
                && !rest.is_empty()
                && rest.iter().all(|number| number == first)
            {
                let problem = format!("{first} in every row of column {}, so there is nothing to learn", column.name);
                return Err((problem, "name another column to predict".into()));
            }
            return Ok(Self { names: vec![], classes: vec![], numbers: column.numbers.clone() });
        }
        if column.spellings.are_too_many {
            let problem = format!("more than {LARGEST} classes in column {}", column.name);
            return Err((problem, format!("a classifier tells 2 to {LARGEST} apart; name another column")));
        }
        let spelled = column.spellings.names();
        let name = |row: usize| match (texts.get(&row).or(spelled.get(&row)), column.numbers[row]) {
            (Some(text), _) => Some((*text).to_string()),
            (None, number) => (!number.is_nan()).then(|| number.to_string()),
        };
        let each: Vec<Option<String>> = (0..column.len()).map(name).collect();
        let names = sorted(each.iter().flatten());
        if names.is_empty() {
            let problem = format!("no label in column {}", column.name);
            return Err((problem, "give rows labels, or name another column".into()));
        }
        if names.len() < 2 || names.len() > LARGEST {
            let found = names.first().map_or(String::new(), |name| format!(" ({name})"));
            let problem = format!("{} classes in column {}{found}", names.len(), column.name);
            return Err((problem, format!("a classifier tells 2 to {LARGEST} apart; name another column")));
        }
        let index: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
        let classes = each.iter().map(|name| name.as_ref().map(|name| index[name.as_str()])).collect();
        Ok(Self { names, classes, numbers: vec![] })
    }

    /// Number of classes; 0 for numbers.
    pub(super) fn classes(&self) -> usize {
        self.names.len()
    }

    /// Rows without a label.
    pub(super) fn left_out(&self) -> usize {
        let numbers = self.numbers.iter().filter(|number| number.is_nan()).count();
        self.classes.iter().filter(|class| class.is_none()).count() + numbers
    }

    /// The rows to learn from, and those to test on, in their order.
    pub(super) fn parts(&self, share: f64, seed: u64) -> (Vec<u32>, Vec<u32>) {
        held_out::parts(&self.groups(), share, seed, |row| row.to_string())
    }

    /// The rows of each class, or all.
    fn groups(&self) -> Vec<Vec<u32>> {
        if self.names.is_empty() {
            let rows = (0..self.numbers.len() as u32).filter(|&row| !self.numbers[row as usize].is_nan());
            return vec![rows.collect()];
        }
        let mut groups = vec![Vec::new(); self.names.len()];
        for (row, class) in self.classes.iter().enumerate() {
            class.iter().for_each(|&class| groups[class as usize].push(row as u32));
        }
        groups
    }

    /// Mean and standard deviation of the numbers to predict over these rows.
    pub(super) fn scale(&self, rows: &[u32]) -> Option<Scale> {
        let n = rows.len().max(1) as f64;
        let mean_of = |of: &dyn Fn(f64) -> f64| rows.iter().map(|&row| of(self.numbers[row as usize])).sum::<f64>() / n;
        self.names.is_empty().then(|| {
            let mean = mean_of(&|number| number);
            let std = mean_of(&|number| (number - mean).powi(2)).sqrt();
            Scale { mean, std: if std > 0.0 && std.is_finite() { std } else { 1.0 } }
        })
    }

    pub(super) fn split(&self, numbers: Vec<f32>, columns: usize, scale: Option<Scale>, rows: &[u32]) -> Result<Split> {
        if let Some(scale) = scale {
            let target = |&row: &u32| ((self.numbers[row as usize] - scale.mean) / scale.std) as f32;
            return Split::regression(numbers, rows.iter().map(target).collect(), columns, scale);
        }
        let labels = rows.iter().filter_map(|&row| self.classes[row as usize]).collect();
        Split::rows(numbers, labels, columns, self.names.len())?.with_class_names(self.names.clone())
    }
}

/// What is wrong with text where nearly all labels are numbers, and what to do: one cell that is none would make a
/// class of each of them.
fn texts_among_numbers(column: &Column) -> Option<(String, String)> {
    let numbers = column.numbers.iter().filter(|number| !number.is_nan()).count();
    let all = numbers + column.texts.len();
    if 10 * numbers < NUMBERS_OF_TEN * all {
        return None;
    }
    let texts: Vec<String> = column.texts.iter().map(|(row, text)| format!("row {}: {text:?}", row + 1)).collect();
    let what = format!("{numbers} of {all} labels in column {} are numbers, and these are not", column.name);
    Some((
        listed(&what, &texts)?,
        "mend them, leave them empty, or say that they are classes (Task::Classes, --task classes)".into(),
    ))
}

fn is_of_classes(column: &Column) -> bool {
    let present = || column.numbers.iter().filter(|number| !number.is_nan());
    let different: BTreeSet<u64> = present().map(|number| number.to_bits()).take(1 << 20).collect();
    let is_few = different.len() <= MOST_CLASSES && different.len() * OFTEN <= present().count();
    !column.texts.is_empty() || (is_few && present().all(|number| number.fract() == 0.0))
}

/// By number if all are, else by letter.
fn sorted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let mut both: Vec<(f64, String)> = numbers.into_iter().zip(names).collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        names = both.into_iter().map(|(_, name)| name).collect();
    }
    names
}
