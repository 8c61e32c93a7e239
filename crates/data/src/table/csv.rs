//! Text files of tables, as spreadsheets and programs of many countries write them.

use super::cells::{Column, is_missing};
use super::commas::{is_number_with_comma, may_part_thousands, with_point};
use crate::dataset::listed;
use crate::{Error, Result};
use csv::{ByteRecord, ReaderBuilder};
use std::path::Path;

/// Between cells: the one that the first line has most of.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// Numbers of a first line that count its columns, at least: fewer may be values by chance.
const COUNTED: usize = 3;

/// The columns, and what is to be said of them.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<(Vec<Column>, Vec<String>)> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(wrong(path, "text in UTF-16".into(), "save it as UTF-8"));
    }
    if bytes.contains(&0) {
        return Err(wrong(path, "bytes that are no text".into(), "tables are .csv, .tsv or .parquet files"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let delimiter = delimiter(bytes);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
    let mut records = Vec::new();
    for record in reader.byte_records() {
        let record = record.map_err(|error| wrong(path, error.to_string(), "mend the file"))?;
        if !is_empty(&record) {
            records.push(record);
        }
    }
    let Some(first) = records.first() else { return Err(wrong(path, "no row".into(), "name another file")) };
    let names_are = first_line(first, &records[1..], delimiter != b',');
    let has_names = names_are != FirstLine::Values;
    let (names, renamed) = names(first, has_names);
    let rows = &records[usize::from(has_names)..];
    let decimal_comma = if delimiter == b',' { None } else { decimal_comma(rows, delimiter, path)? };
    let columns = columns(names, rows, decimal_comma.is_some(), (bytes, path))?;
    let renamed = listed("columns whose name another one has, called by their number", &renamed);
    let decimal = decimal_comma.map(|cell| format!("its commas are decimal, as in {cell}"));
    Ok((columns, names_are.note().into_iter().chain(renamed).chain(decimal).collect()))
}

/// The columns of these names, with the cells of all rows.
///
/// # Errors
/// If a row has more cells than there are names, or fewer, or where commas are decimal a number has a dot that may part
/// thousands: "1.000" is read as 1 or as 1000, and beside "990" nobody would see which.
fn columns(
    names: Vec<String>,
    rows: &[ByteRecord],
    has_decimal_commas: bool,
    (bytes, path): (&[u8], &Path),
) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = names.into_iter().map(Column::new).collect();
    for record in rows {
        let line = || line_of(record, bytes);
        if record.len() != columns.len() {
            let problem = format!("{} cells in line {}, {} in the first line", record.len(), line(), columns.len());
            return Err(wrong(path, problem, "put quotes around cells that hold the separator, or mend the row"));
        }
        for (column, cell) in columns.iter_mut().zip(record) {
            let cell = text(cell);
            let cell = cell.trim();
            if has_decimal_commas && may_part_thousands(cell, '.') {
                let place = format!("column {} of line {}", column.name, line());
                let problem = format!("{cell} in {place}, whose dot may part thousands, where commas are decimal");
                return Err(wrong(path, problem, "write numbers as 1234,5"));
            }
            column.push_text(cell, has_decimal_commas);
        }
    }
    Ok(columns)
}

/// The line in which a record begins, from 1. The reader counts empty lines before it to the record.
fn line_of(record: &ByteRecord, bytes: &[u8]) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let from = bytes.get(position.byte() as usize..).unwrap_or(&[]);
    let before = from.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + before.filter(|byte| **byte == b'\n').count() as u64
}

/// What the first line of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstLine {
    /// Names, and no number among them.
    Names,
    /// Names, some of which are numbers.
    NumbersToo,
    /// Values.
    Values,
}

impl FirstLine {
    fn note(self) -> Option<String> {
        match self {
            Self::Names => None,
            Self::NumbersToo => Some("its first line is taken for names, although it holds numbers, too".into()),
            Self::Values => Some("its first line holds numbers, so columns are called 1, 2, 3".into()),
        }
    }
}

/// What the first line is. It names the columns if it holds no number, if its numbers count the columns, as programs
/// name those of a matrix, beside words that no other row repeats, or if it has text where all other rows have numbers.
fn first_line(first: &ByteRecord, rows: &[ByteRecord], may_have_decimal_commas: bool) -> FirstLine {
    let number = |cell: &[u8]| {
        let text = text(cell);
        let text = if may_have_decimal_commas { with_point(text.trim()) } else { text };
        text.trim().parse::<f64>().ok()
    };
    let numbers: Vec<(usize, f64)> =
        first.iter().enumerate().filter_map(|(i, cell)| Some((i, number(cell)?))).collect();
    let count_from = |start: usize| numbers.iter().all(|&(i, found)| found == (i + start) as f64);
    let is_above_numbers = |i: usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(i)).filter(|cell| !is_missing(&text(cell))).peekable();
        let is_name = number(&first[i]).is_none() && !is_missing(&text(&first[i]));
        is_name && cells.peek().is_some() && cells.all(|cell| number(cell).is_some())
    };
    let is_repeated = |i: usize| number(&first[i]).is_none() && rows.iter().any(|row| row.get(i) == first.get(i));
    let counts = (COUNTED..first.len()).contains(&numbers.len()) && (count_from(0) || count_from(1));
    let is_count = counts && !(0..first.len()).any(is_repeated);
    match numbers.is_empty() {
        true => FirstLine::Names,
        false if is_count || (0..first.len()).any(is_above_numbers) => FirstLine::NumbersToo,
        false => FirstLine::Values,
    }
}

fn is_empty(record: &ByteRecord) -> bool {
    record.iter().all(<[u8]>::is_empty)
}

/// Text in UTF-8, or else in the older code of Western Europe.
fn text(cell: &[u8]) -> String {
    std::str::from_utf8(cell).map_or_else(|_| cell.iter().map(|&byte| char::from(byte)).collect(), str::to_string)
}

fn delimiter(bytes: &[u8]) -> u8 {
    let mut counts = [0usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in bytes {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            _ if !is_quoted => DELIMITERS.iter().position(|one| one == byte).into_iter().for_each(|i| counts[i] += 1),
            _ => {}
        }
    }
    let most = (1..counts.len()).fold(0, |best, i| if counts[i] > counts[best] { i } else { best });
    DELIMITERS[most]
}

/// Names, and of those that come twice what is to be said: names are unique, a second one becomes a number.
fn names(first: &ByteRecord, has_names: bool) -> (Vec<String>, Vec<String>) {
    let (mut names, mut renamed): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for (i, cell) in first.iter().enumerate() {
        let (name, number) = (text(cell).trim().to_string(), (i + 1).to_string());
        let is_named = has_names && !name.is_empty();
        let is_double = is_named && names.contains(&name);
        renamed.extend(is_double.then(|| format!("{name} ({number})")));
        names.push(if is_named && !is_double { name } else { number });
    }
    (names, renamed)
}

/// The first number whose comma is decimal: it cannot part thousands, or it stands between semicolons, which are written
/// where commas are decimal.
///
/// # Errors
/// If there is none, and there are numbers whose comma may part thousands; or among them one with a decimal point.
fn decimal_comma(rows: &[ByteRecord], delimiter: u8, path: &Path) -> Result<Option<String>> {
    let cells = rows.iter().flatten().filter_map(|cell| std::str::from_utf8(cell).ok());
    let mut with_comma = cells.map(str::trim).filter(|cell| is_number_with_comma(cell)).peekable();
    let Some(first) = with_comma.peek().copied() else { return Ok(None) };
    let has_point = |cell: &[u8]| {
        let cell = text(cell);
        let cell = cell.trim();
        cell.contains('.') && cell.parse::<f64>().is_ok() && !may_part_thousands(cell, '.')
    };
    match with_comma.find(|cell| !may_part_thousands(cell, ',')) {
        Some(cell) => Ok(Some(cell.into())),
        None if delimiter == b';' && !rows.iter().flatten().any(has_point) => Ok(Some(first.into())),
        None => {
            let problem = format!("{first}, and no number that tells whether its comma is decimal or parts thousands");
            Err(wrong(path, problem, "write numbers as 1234.5"))
        }
    }
}

fn wrong(path: &Path, problem: String, advice: &str) -> Error {
    Error::Data { path: path.into(), problem, advice: advice.into() }
}
