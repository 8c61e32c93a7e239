//! The columns of a parquet file that matter here, by their names and types.

use crate::repo::Repo;
use parquet::basic::{ConvertedType, Type};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

/// A column that was found.
pub(super) struct Column {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) kind: Type,
}

/// What was expected, and what there is instead.
type Mismatch = (String, String);

/// The pictures, in a group with their paths or alone.
pub(super) fn pictures(schema: &SchemaDescriptor, repo: &Repo) -> Result<Column, Mismatch> {
    let expected = format!("a column {}.bytes of BYTE_ARRAY", repo.image);
    let names = [format!("{}.bytes", repo.image), repo.image.to_string()];
    find(schema, &names, is_binary).ok_or_else(|| (expected, instead(schema, repo.image)))
}

/// The labels.
pub(super) fn labels(schema: &SchemaDescriptor, repo: &Repo) -> Result<Column, Mismatch> {
    let expected = format!("a column {} of INT32 or INT64", repo.label);
    let names = [repo.label.to_string()];
    find(schema, &names, is_integer).ok_or_else(|| (expected, instead(schema, repo.label)))
}

fn find(schema: &SchemaDescriptor, names: &[String], fits: fn(&ColumnDescriptor) -> bool) -> Option<Column> {
    let named = |name: &String| {
        let is_it = |index: &usize| {
            let column = schema.column(*index);
            column.path().string() == *name && column.max_rep_level() == 0 && fits(&column)
        };
        let index = (0..schema.num_columns()).find(is_it)?;
        Some(Column { index, name: name.clone(), kind: schema.column(index).physical_type() })
    };
    names.iter().find_map(named)
}

fn is_binary(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Type::BYTE_ARRAY && column.converted_type() == ConvertedType::NONE
}

/// Of any width, with a sign or without; dates and decimals are stored as integers, too, and are none.
fn is_integer(column: &ColumnDescriptor) -> bool {
    use ConvertedType::{INT_8, INT_16, INT_32, INT_64, NONE, UINT_8, UINT_16, UINT_32, UINT_64};
    let integers = [NONE, INT_8, INT_16, INT_32, INT_64, UINT_8, UINT_16, UINT_32, UINT_64];
    matches!(column.physical_type(), Type::INT32 | Type::INT64) && integers.contains(&column.converted_type())
}

/// The columns of that name with their types, or if there is none the names of all.
fn instead(schema: &SchemaDescriptor, name: &str) -> String {
    let is_named = |column: &ColumnDescriptor| column.path().parts().first().is_some_and(|first| first == name);
    let described: Vec<String> =
        schema.columns().iter().filter(|column| is_named(column)).map(|c| described(c)).collect();
    if described.is_empty() {
        let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
        return format!("the columns {}", names.join(", "));
    }
    described.join(", ")
}

fn described(column: &ColumnDescriptor) -> String {
    let meaning = match column.converted_type() {
        ConvertedType::NONE => String::new(),
        meaning => format!(" ({meaning})"),
    };
    let repeated = if column.max_rep_level() > 0 { ", repeated" } else { "" };
    format!("{} of {}{meaning}{repeated}", column.path().string(), column.physical_type())
}
