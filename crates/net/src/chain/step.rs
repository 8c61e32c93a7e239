//! A chain and its entries, as they are written.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::Layer;

/// Layers that people write with one number first, and what that number is.
const MAIN: [(&str, &str); 9] = [
    ("linear", "out"),
    ("conv2d", "out"),
    ("conv_transpose2d", "out"),
    ("max_pool2d", "size"),
    ("avg_pool2d", "size"),
    ("global_pool", "kind"),
    ("dropout", "p"),
    ("upsample", "factor"),
    ("pad", "padding"),
];

/// Layers that have a name of their own here alone.
const EXTRA: [&str; 2] = ["depthwise", "relu6"];

/// What joins branches.
const JOINS: [&str; 3] = ["add", "mul", "concat"];

/// A chain of layers that leaves open what the data says: the shape of an example, and the number of outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain(pub(super) Vec<Step>);

impl<'de> Deserialize<'de> for Chain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Self::of(Vec::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Chain {
    /// Of the entries of a list; what is wrong is said with the number of the entry.
    fn of(entries: Vec<Value>) -> std::result::Result<Self, String> {
        if entries.is_empty() {
            return Ok(Self(vec![])); // a branch may be what it starts from
        }
        let step = |(i, entry)| Step::of(entry).map_err(|problem| format!("layer {}: {problem}", i + 1));
        entries.into_iter().enumerate().map(step).collect::<std::result::Result<_, _>>().map(Self)
    }
}

/// One entry of a chain.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// A layer.
    Layer(Written),
    /// Branches from where the chain stands, joined.
    Branches { tag: String, name: Option<String>, branches: Vec<(String, Chain)> },
    /// What the chain has come to, joined with earlier layers.
    With { tag: String, name: Option<String>, others: Vec<String> },
    /// A chain several times over.
    Repeat { times: usize, chain: Chain },
}

/// A layer as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) tag: String,
    pub(super) name: Option<String>,
    pub(super) settings: Map<String, Value>,
}

impl Step {
    pub(super) fn of(entry: Value) -> Result<Self, String> {
        match entry {
            Value::String(tag) => Self::layer(tag, None, Map::new()),
            Value::Object(table) => Self::of_table(table),
            other => Err(format!("{other} is no layer: a name, as \"relu\", or a table, as {{ linear = 10 }}")),
        }
    }

    fn of_table(mut table: Map<String, Value>) -> Result<Self, String> {
        if let Some(times) = table.remove("repeat") {
            return Self::repeat(&times, table);
        }
        let name = table.remove("name").map(text).transpose()?;
        if let Some(tag) = JOINS.into_iter().find(|tag| table.contains_key(*tag)) {
            let joined = table.remove(tag).unwrap_or_default();
            only(&table, &[])?;
            return Self::join(tag.into(), name, joined);
        }
        if let Some(tag) = table.remove("type") {
            return Self::layer(text(tag)?, name, table);
        }
        // Some layers are called as settings of others are, as stride and tanh: those have no main number.
        let found: Vec<(String, &str)> = table.keys().filter_map(|key| Some((key.clone(), main_of(key)?))).collect();
        let [(tag, setting)] = &found[..] else { return Err(kinds(&table, &found)) };
        let main = table.remove(tag).unwrap_or_default();
        table.insert((*setting).into(), main);
        Self::layer(tag.clone(), name, table)
    }

    fn layer(tag: String, name: Option<String>, settings: Map<String, Value>) -> Result<Self, String> {
        if JOINS.contains(&tag.as_str()) {
            return Err(format!("{tag} joins branches, or earlier layers: {{ {tag} = \"name\" }}"));
        }
        if !is_layer(&tag) {
            return Err(format!("there is no layer {tag:?}; there are {}", known()));
        }
        Ok(Self::Layer(Written { tag, name, settings }))
    }

    fn repeat(times: &Value, mut table: Map<String, Value>) -> Result<Self, String> {
        let wrong = || format!("repeat is {times}, expected a whole number of 1 or more");
        let times = times.as_u64().filter(|&n| n > 0).and_then(|n| usize::try_from(n).ok()).ok_or_else(wrong)?;
        let Some(Value::Array(layers)) = table.remove("layers").filter(|layers| *layers != Value::Array(vec![])) else {
            return Err("repeat stands with a list of layers: { repeat = 2, layers = [...] }".into());
        };
        only(&table, &[])?;
        Ok(Self::Repeat { times, chain: Chain::of(layers)? })
    }

    fn join(tag: String, name: Option<String>, joined: Value) -> Result<Self, String> {
        match joined {
            Value::String(other) => Ok(Self::With { tag, name, others: vec![other] }),
            Value::Array(others) if !others.is_empty() => {
                Ok(Self::With { tag, name, others: others.into_iter().map(text).collect::<Result<_, _>>()? })
            }
            Value::Object(branches) if branches.len() > 1 => {
                let branch = |(of, layers): (String, Value)| match layers {
                    Value::Array(layers) => {
                        let chain = Chain::of(layers).map_err(|problem| format!("{tag}, {of}, {problem}"))?;
                        Ok((of, chain))
                    }
                    other => Err(format!("{tag}, {of}: {other} is no list of layers")),
                };
                let branches = branches.into_iter().map(branch).collect::<Result<_, _>>()?;
                Ok(Self::Branches { tag, name, branches })
            }
            _ => Err(format!(
                "{tag} joins two branches or more, {{ {tag} = {{ body = [...], shortcut = [] }} }}, or what is here with an \
                 earlier layer, {{ {tag} = \"name\" }}"
            )),
        }
    }
}

/// What the first number of a layer is called.
fn main_of(tag: &str) -> Option<&'static str> {
    let depthwise = ("depthwise", "kernel");
    MAIN.into_iter().chain([depthwise]).find(|(layer, _)| *layer == tag).map(|(_, setting)| setting)
}

fn is_layer(tag: &str) -> bool {
    EXTRA.contains(&tag) || (tag != "input" && Layer::tags().contains(&tag))
}

/// The layers that there are.
fn known() -> String {
    let own = Layer::tags().into_iter().filter(|tag| *tag != "input");
    own.chain(EXTRA).collect::<Vec<_>>().join(", ")
}

fn text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(text),
        other => Err(format!("{other}, where a name is expected")),
    }
}

/// Refuses keys beside these.
fn only(table: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("unknown key {key:?}")),
        None => Ok(()),
    }
}

/// Why a table says no layer, or several.
fn kinds(table: &Map<String, Value>, found: &[(String, &str)]) -> String {
    let keys: Vec<&str> = table.keys().map(String::as_str).collect();
    match (found, keys.iter().find(|key| is_layer(key))) {
        ([], Some(tag)) => format!("{tag} has no main number: write {{ type = {tag:?}, ... }}, or \"{tag}\" alone"),
        ([], None) => format!("none of {} is a layer; there are {}, and repeat", keys.join(", "), known()),
        (several, _) => {
            let several: Vec<&str> = several.iter().map(|(tag, _)| tag.as_str()).collect();
            format!("{} are layers of their own; one stands in a table", several.join(" and "))
        }
    }
}
