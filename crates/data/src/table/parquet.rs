//! Tables in parquet files.

use super::cells::Column;
use crate::hub::pages;
use crate::{Error, Result};
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Bytes of cells that a byte of any file may stand for, and as many as a byte may stand for where all of them are no more
/// than [`LARGE`]: columns of a few values take next to nothing in a file, and 8 bytes a row here.
const RATIO: u64 = 64;
const LARGEST_RATIO: u64 = 1 << 10;
/// What a small file may come to regardless.
const SMALL: u64 = 16 << 20;
const LARGE: u64 = 2 << 30;

/// The columns; the crate `parquet` panics on some malformed files instead of returning its error.
pub(super) fn read(bytes: Vec<u8>, path: &Path) -> Result<Vec<Column>> {
    let read = AssertUnwindSafe(|| columns(bytes.into(), path));
    catch_unwind(read).unwrap_or_else(|_| Err(Error::format(path, "a parquet file", "a malformed one")))
}

fn columns(bytes: Bytes, path: &Path) -> Result<Vec<Column>> {
    let unreadable = |error: parquet::errors::ParquetError| Error::format(path, "a parquet file", error);
    let size = bytes.len() as u64;
    let reader = SerializedFileReader::new(bytes.clone()).map_err(unreadable)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    if let Some(nested) =
        schema.columns().iter().find(|column| column.path().parts().len() > 1 || column.max_rep_level() > 0)
    {
        let problem = format!("the column {} is no column of numbers", nested.path().string());
        return Err(wrong(path, problem, "take it away; a data set of pictures has columns of images and labels"));
    }
    let all: Vec<usize> = (0..schema.num_columns()).collect();
    for group in reader.metadata().row_groups() {
        pages::check_columns(&bytes, size, group, &all)
            .map_err(|(expected, found)| Error::format(path, expected, found))?;
    }
    let mut columns: Vec<Column> = schema.columns().iter().map(|column| Column::new(column.name().into())).collect();
    let largest = size.saturating_mul(LARGEST_RATIO).min(LARGE).max(size.saturating_mul(RATIO)).max(SMALL);
    let mut bytes = 0;
    for (i, row) in reader.get_row_iter(None).map_err(unreadable)?.enumerate() {
        if bytes > largest {
            let problem =
                format!("its first {i} rows come to more than {} MiB, in a file of {size} bytes", largest >> 20);
            return Err(wrong(path, problem, "take columns away that are not needed, or give fewer rows"));
        }
        let row = row.map_err(unreadable)?;
        for (column, (_, field)) in columns.iter_mut().zip(row.get_column_iter()) {
            bytes += 8 + if let Field::Str(text) = field { text.len() as u64 } else { 0 };
            push(column, field).map_err(|kind| {
                let problem = format!("the column {} holds {kind} in row {}", column.name, i + 1);
                wrong(path, problem, "numbers and text are read; take it away or make numbers of it")
            })?;
        }
    }
    Ok(columns)
}

fn push(column: &mut Column, field: &Field) -> Result<(), String> {
    let number = match field {
        Field::Null => f64::NAN,
        Field::Str(text) => {
            column.push_text(text, false);
            return Ok(());
        }
        Field::Bool(is) => f64::from(u8::from(*is)),
        Field::Byte(number) => f64::from(*number),
        Field::Short(number) => f64::from(*number),
        Field::Int(number) => f64::from(*number),
        Field::Long(number) => {
            column.push_whole(*number);
            return Ok(());
        }
        Field::UByte(number) => f64::from(*number),
        Field::UShort(number) => f64::from(*number),
        Field::UInt(number) => f64::from(*number),
        Field::ULong(number) => {
            column.push_whole(*number);
            return Ok(());
        }
        Field::Float16(number) => f64::from(number.to_f32()),
        Field::Float(number) => f64::from(*number),
        Field::Double(number) => *number,
        other => return Err(format!("{other}").chars().take(40).collect()),
    };
    column.push_number(number);
    Ok(())
}

fn wrong(path: &Path, problem: String, advice: &str) -> Error {
    Error::Data { path: path.into(), problem, advice: advice.into() }
}
