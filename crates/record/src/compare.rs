//! Where two settings differ.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::{Error, Result};

/// A setting that two configs do not share; a value is `None` where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The path, as `optimiser.lr`.
    pub path: String,
    /// The value in the first.
    pub left: Option<Value>,
    /// The value in the second.
    pub right: Option<Value>,
}

/// All settings that differ, in the order of their names.
pub fn differences(left: &Value, right: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    descend(String::new(), Some(left), Some(right), &mut found);
    found
}

/// Refuses what was asked of the run in `path` if it is not what is stored there.
pub(crate) fn check_same(path: &Path, stored: &Value, asked: &Value) -> Result<()> {
    match differences(stored, asked).into_iter().next() {
        None => Ok(()),
        Some(difference) => Err(Error::Differs {
            path: path.to_path_buf(),
            field: difference.path,
            stored: shown(difference.left.as_ref()),
            asked: shown(difference.right.as_ref()),
        }),
    }
}

fn descend(path: String, left: Option<&Value>, right: Option<&Value>, found: &mut Vec<Difference>) {
    match (left, right) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                descend(join(&path, key), a.get(key), b.get(key), found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => found.push(Difference { path, left: left.cloned(), right: right.cloned() }),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

/// The value as it comes back from a file: what a number loses on the way is no difference.
pub fn settled(value: &Value) -> Value {
    serde_json::from_str(&value.to_string()).unwrap_or(Value::Null)
}

/// A value for a message: `nothing` where there is none.
pub fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".into(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(left: Value, right: Value, expected: &[&str]) {
        let paths: Vec<String> = differences(&left, &right).into_iter().map(|d| d.path).collect();
        assert_eq!(paths, expected);
    }

    #[test]
    fn finds_what_differs() {
        check(json!({"a": 1, "b": {"c": 2}}), json!({"b": {"c": 2}, "a": 1}), &[]);
        check(json!({"b": {"c": 2, "d": 0}}), json!({"b": {"c": 3, "d": 0}}), &["b.c"]);
        check(json!({"a": 1}), json!({"z": 1}), &["a", "z"]);
        check(json!([1, 2]), json!([1, 3]), &[""]);
    }

    #[test]
    fn a_number_that_has_been_to_a_file_is_the_same_number() {
        let value = json!({ "lr": 0.1f32, "seed": u64::MAX, "none": f64::NAN });
        assert_eq!(settled(&value), value);
    }
}
