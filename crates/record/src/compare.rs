//! Where two settings differ.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::{Error, Result};

/// What people set, before what follows from it: how fast multipliers learn follows from the epochs, much of the
/// objective from the data and the network.
const SET: [&str; 4] = ["training.epochs", "training.batch_size", "data", "architecture"];

/// Longer lists and tables than this say nothing in a message.
const LONG: usize = 200;

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

/// Refuses what was asked of the run in `path` if it is not what is stored there: names what somebody set, before what
/// follows from it.
pub(crate) fn check_same(path: &Path, stored: &Value, asked: &Value) -> Result<()> {
    let Some(difference) = differences(stored, asked).into_iter().min_by_key(|found| rank(&found.path)) else {
        return Ok(());
    };
    let article = if difference.left.is_some() { "another" } else { "a" };
    Err(Error::Differs {
        path: path.to_path_buf(),
        stored: briefly("a", difference.left.as_ref()),
        asked: briefly(article, difference.right.as_ref()),
        field: difference.path,
    })
}

/// The place of a setting in [`SET`]; all that are not there come after it, in the order of their names.
fn rank(path: &str) -> usize {
    let path = path.strip_prefix("config.").unwrap_or(path);
    let is_in = |name: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    SET.iter().position(|name| is_in(name)).unwrap_or(SET.len())
}

/// A value for a message; a list or table that nobody would read there, as the layers of a network, by its size.
fn briefly(article: &str, value: Option<&Value>) -> String {
    let text = shown(value);
    match value {
        Some(Value::Array(entries)) if text.len() > LONG => format!("{article} list of {}", entries.len()),
        Some(Value::Object(entries)) if text.len() > LONG => format!("{article} table of {}", entries.len()),
        _ => text,
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

    fn refused(stored: Value, asked: Value) -> String {
        check_same(Path::new("seed-1"), &stored, &asked).unwrap_err().to_string()
    }

    #[test]
    fn what_was_set_is_named_before_what_follows_from_it() {
        let run = |epochs: u64, batch_size: u64, rate: f64| {
            json!({
                "architecture": { "kind": "mlp" },
                "objective": { "learning_rate": rate },
                "training": { "batch_size": batch_size, "epochs": epochs, "frozen_epochs": epochs / 10 },
            })
        };
        let error = refused(run(40, 100, 0.006), run(30, 50, 0.008));
        assert!(error.starts_with("seed-1 is a run with training.epochs = 40, but 30 was asked for"), "{error}");
        let error = refused(json!({ "config": run(40, 100, 0.006) }), json!({ "config": run(40, 50, 0.008) }));
        assert!(error.contains("config.training.batch_size = 100, but 50"), "{error}");
        let of = |data: &str| json!({ "architecture": { "inputs": data.len() }, "data": { "name": data } });
        let error = refused(of("mnist"), of("digits"));
        assert!(error.contains("data.name = mnist, but digits was asked for"), "{error}");
    }

    #[test]
    fn what_is_long_is_told_by_its_size() {
        let layers = |n: usize| json!({ "layers": vec![json!({ "linear": { "inputs": 784, "outputs": 300 } }); n] });
        let error = refused(layers(10), layers(12));
        assert!(error.contains("layers = a list of 10, but another list of 12 was asked for"), "{error}");
        let error = refused(json!({}), layers(12));
        assert!(error.contains("layers = nothing, but a list of 12 was asked for"), "{error}");
        let error = refused(json!({ "after": [1, 2] }), json!({ "after": [1, 3] }));
        assert!(error.contains("after = [1,2], but [1,3] was asked for"), "{error}");
    }

    #[test]
    fn a_number_that_has_been_to_a_file_is_the_same_number() {
        let value = json!({ "lr": 0.1f32, "seed": u64::MAX, "none": f64::NAN });
        assert_eq!(settled(&value), value);
    }
}
