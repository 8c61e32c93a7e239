//! Keys that nothing reads. Serde passes over every key beside the tag of a variant without fields
//! (`kind = "constant"`), whatever the type says of unknown ones.
//!
//! A key that is not in the file as it would be printed again is a suspect: nobody reads it, or its value is the usual
//! one and not printed. What is read refuses [nonsense](NONSENSE).

use serde::{Serialize, de::DeserializeOwned};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::text::{lines_before, nearest};

/// The key of a table that no setting is.
const NONSENSE: &str = "neither a setting nor a choice";

/// A key that nothing reads.
#[derive(Debug)]
pub(super) struct Unread {
    /// The key.
    pub(super) key: String,
    /// Where in the text it stands.
    pub(super) at: usize,
    /// The keys that are known in its place.
    pub(super) known: Vec<String>,
    path: Vec<String>,
}

impl Unread {
    /// That it is unknown, in which line, and what is known.
    pub(super) fn explained(&self, text: &str) -> String {
        let (line, key) = (lines_before(text, self.at) + 1, &self.key);
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        let near = nearest(key, &known).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        format!("line {line}: unknown field `{key}`, expected `{}`{near}", known.join("`, `"))
    }
}

/// The first key of `text` that was not read when `read` was.
pub(super) fn first<T: Serialize + DeserializeOwned>(text: &str, read: &T) -> Option<Unread> {
    let table: Table = text.parse().ok()?;
    let is_unread = |suspect: &Unread| with_nonsense(&table, &suspect.path).try_into::<T>().is_ok();
    suspects(text, read)?.into_iter().find(is_unread)
}

/// The key of a `text` that cannot be read but without it: a second one where the key is a choice (`per-weight = 1.0`).
/// Of several, the innermost and last.
pub(super) fn too_many<T: Serialize + DeserializeOwned>(text: &str) -> Option<Unread> {
    let table: Table = text.parse().ok()?;
    let mut paths = Vec::new();
    list(&Value::Table(table.clone()), &[], &mut paths);
    paths.sort_by_key(|path| path.len());
    paths.into_iter().rev().find_map(|path| {
        let read: T = without(&table, &path).try_into().ok()?;
        suspects(text, &read)?.into_iter().find(|suspect| suspect.path == path)
    })
}

/// The keys of `text` that are not printed again, in their order.
fn suspects<T: Serialize>(text: &str, read: &T) -> Option<Vec<Unread>> {
    let (document, printed) = (DeTable::parse(text).ok()?, Value::try_from(read).ok()?);
    let mut suspects = Vec::new();
    compare(document.get_ref(), printed.as_table()?, &[], &mut suspects);
    suspects.sort_by_key(|suspect| suspect.at);
    Some(suspects)
}

/// The keys of a document that are not in its printed form, at any depth.
fn compare(document: &DeTable, printed: &Table, path: &[String], suspects: &mut Vec<Unread>) {
    for (key, value) in document {
        let path = [path, &[key.get_ref().to_string()]].concat();
        match printed.get(key.get_ref().as_ref()) {
            Some(printed) => descend(value.get_ref(), printed, &path, suspects),
            None => suspects.push(Unread {
                key: key.get_ref().to_string(),
                at: key.span().start,
                known: printed.keys().cloned().collect(),
                path,
            }),
        }
    }
}

fn descend(document: &DeValue, printed: &Value, path: &[String], suspects: &mut Vec<Unread>) {
    match (document, printed) {
        (DeValue::Table(document), Value::Table(printed)) => compare(document, printed, path, suspects),
        (DeValue::Array(document), Value::Array(printed)) => {
            for (index, (document, printed)) in document.iter().zip(printed).enumerate() {
                descend(document.get_ref(), printed, &[path, &[index.to_string()]].concat(), suspects);
            }
        }
        _ => {}
    }
}

/// The paths of all keys.
fn list(value: &Value, path: &[String], paths: &mut Vec<Vec<String>>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let path = [path, &[key]].concat();
        list(child, &path, paths);
        if value.is_table() {
            paths.push(path);
        }
    }
}

/// The table with nonsense in the place of a value.
fn with_nonsense(table: &Table, path: &[String]) -> Value {
    let mut changed = Value::Table(table.clone());
    if let Some(value) = at(&mut changed, path) {
        *value = Value::Table([(NONSENSE.to_string(), Value::Boolean(true))].into_iter().collect());
    }
    changed
}

/// The table without a key.
fn without(table: &Table, path: &[String]) -> Value {
    let mut changed = Value::Table(table.clone());
    if let Some((key, path)) = path.split_last()
        && let Some(Value::Table(table)) = at(&mut changed, path)
    {
        table.remove(key);
    }
    changed
}

fn at<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Array(values) => values.get_mut(step.parse::<usize>().ok()?),
        value => value.get_mut(step.as_str()),
    })
}
