//! From what is written to the nodes of a network.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::step::{Chain, Step, Written};
use crate::layers::Input;
use crate::net::MOST_LAYERS;
use crate::{ClosedChannels, Error, Layer, Net, Node, NodeId, Result, Shape};

/// The layers that have a bias unless they say otherwise.
const BIASED: [&str; 4] = ["linear", "conv2d", "depthwise", "conv_transpose2d"];

/// A network that is being put together.
#[derive(Debug)]
pub(super) struct Draft {
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
    tip: NodeId,
    outputs: usize,
    closed: ClosedChannels,
    /// How many layers of a kind there are in a branch.
    counts: HashMap<String, usize>,
}

impl Draft {
    pub(super) fn new(input: Shape, outputs: usize, closed: ClosedChannels) -> Self {
        let layer = Input { shape: input.dims() }.into();
        let nodes = vec![Node { name: "input".into(), layer, inputs: vec![] }];
        Self { nodes, shapes: vec![input], tip: 0, outputs, closed, counts: HashMap::new() }
    }

    pub(super) fn finish(self) -> Result<Net> {
        if self.nodes.len() == 1 {
            return Err(Error::layer("layers", "is empty: a network has a layer at least"));
        }
        Net::new(self.nodes)
    }

    /// Puts down a chain from where the draft stands. `branch` begins the names of its layers, `turn` ends those that
    /// were written.
    pub(super) fn chain(&mut self, chain: &Chain, branch: &str, turn: &str) -> Result<()> {
        for (i, step) in chain.0.iter().enumerate() {
            match step {
                Step::Layer(written) => {
                    let is_normed = matches!(chain.0.get(i + 1), Some(Step::Layer(next)) if next.tag == "batch_norm");
                    self.layer(written, branch, turn, is_normed)?;
                }
                Step::Branches { tag, name, branches } => {
                    self.branches(tag, name.as_deref(), branches, branch, turn)?
                }
                Step::With { tag, name, others } => {
                    let found =
                        others.iter().map(|other| self.find(other, branch, turn)).collect::<Result<Vec<_>>>()?;
                    let name = self.named(name.as_deref(), tag, branch, turn);
                    self.push(name, tag, Map::new(), [found, vec![self.tip]].concat())?;
                }
                Step::Repeat { times, chain } => {
                    for i in 1..=*times {
                        let turn = if turn.is_empty() { i.to_string() } else { format!("{turn}.{i}") };
                        self.chain(chain, branch, &turn)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn branches(
        &mut self,
        tag: &str,
        name: Option<&str>,
        branches: &[(String, Chain)],
        branch: &str,
        turn: &str,
    ) -> Result<()> {
        let (from, name) = (self.tip, self.named(name, tag, branch, turn));
        let mut ends = Vec::with_capacity(branches.len());
        for (of, chain) in branches {
            self.tip = from;
            self.chain(chain, &format!("{name}.{of}."), "")?;
            ends.push(self.tip);
        }
        self.push(name, tag, Map::new(), ends)
    }

    fn layer(&mut self, written: &Written, branch: &str, turn: &str, is_normed: bool) -> Result<()> {
        let name = self.named(written.name.as_deref(), &written.tag, branch, turn);
        let mut settings = written.settings.clone();
        for (key, value) in usual(&written.tag, self.closed, is_normed) {
            settings.entry(key).or_insert(value);
        }
        let tag = match written.tag.as_str() {
            "depthwise" => {
                if let Some(key) = ["groups", "out"].into_iter().find(|key| written.settings.contains_key(*key)) {
                    let problem =
                        format!("has {key}, and a depthwise convolution makes a channel of each that it reads");
                    return Err(Error::layer(&name, problem));
                }
                let units = self.shapes[self.tip].units();
                settings.extend(["groups", "out"].map(|key| (key.to_string(), json!(units))));
                "conv2d"
            }
            "relu6" => "clip",
            tag => tag,
        };
        self.spell_out(tag, &mut settings).map_err(|problem| Error::layer(&name, problem))?;
        self.push(name, tag, settings, vec![self.tip])
    }

    /// Puts numbers in the place of words.
    fn spell_out(&self, tag: &str, settings: &mut Map<String, Value>) -> std::result::Result<(), String> {
        match settings.get("out").and_then(Value::as_str) {
            Some("outputs") => drop(settings.insert("out".into(), json!(self.outputs))),
            Some(word) => return Err(format!("makes {word:?}, expected a number of units, or \"outputs\"")),
            None => {}
        }
        if settings.get("padding").and_then(Value::as_str) == Some("same") {
            match ["kernel", "size"].into_iter().find(|key| settings.contains_key(*key)) {
                Some(window) => drop(settings.insert("padding".into(), same_padding(settings, window)?)),
                None if tag == "pad" => return Err("is as wide as no window says; give it a number".into()),
                None => drop(settings.insert("padding".into(), json!(0))), // the missing window is what is said
            }
        }
        Ok(())
    }

    fn push(&mut self, name: String, tag: &str, mut settings: Map<String, Value>, inputs: Vec<NodeId>) -> Result<()> {
        if self.nodes.len() >= MOST_LAYERS {
            return Err(Error::layer(&name, format!("is more than the {MOST_LAYERS} layers that a network may have")));
        }
        settings.insert("type".into(), tag.into());
        let layer: Layer = serde_json::from_value(Value::Object(settings))
            .map_err(|error| Error::layer(&name, format!("cannot be made: {error}")))?;
        let shapes: Vec<Shape> = inputs.iter().map(|&input| self.shapes[input]).collect();
        self.shapes.push(layer.output(&name, &shapes)?);
        self.nodes.push(Node { name, layer, inputs });
        self.tip = self.nodes.len() - 1;
        Ok(())
    }

    /// The name that was given, or the kind and number of the layer.
    fn named(&mut self, given: Option<&str>, tag: &str, branch: &str, turn: &str) -> String {
        if let Some(given) = given {
            return format!("{branch}{given}{turn}");
        }
        let stem = match tag {
            "batch_norm" => "norm",
            tag => tag.trim_end_matches("2d"),
        };
        let key = format!("{branch}{stem}");
        let count = self.counts.entry(key.clone()).or_insert(0);
        *count += 1;
        format!("{key}{count}")
    }

    /// The layer that was given this name: in this turn of this branch, in the branch, or anywhere.
    fn find(&self, name: &str, branch: &str, turn: &str) -> Result<NodeId> {
        let names = [format!("{branch}{name}{turn}"), format!("{branch}{name}"), name.to_string()];
        let found = names.iter().find_map(|name| self.nodes.iter().position(|node| node.name == *name));
        found.ok_or_else(|| {
            let known: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            Error::Unknown { kind: "layer", name: name.into(), known: format!("before it are {}", known.join(", ")) }
        })
    }
}

/// The settings of a layer that need not be written.
fn usual(tag: &str, closed: ClosedChannels, is_normed: bool) -> Vec<(&'static str, Value)> {
    match tag {
        tag if BIASED.contains(&tag) => vec![("bias", json!(!is_normed))],
        "batch_norm" => vec![("eps", json!(1e-5)), ("momentum", json!(0.1)), ("closed", json!(closed))],
        "upsample" => vec![("mode", json!("nearest"))],
        "leaky_relu" => vec![("slope", json!(0.01))],
        "elu" => vec![("alpha", json!(1.0))],
        "relu6" => vec![("min", json!(0.0)), ("max", json!(6.0))],
        _ => vec![],
    }
}

/// Zeros on each side that keep an image its size at stride 1, which is what `word` asks for.
fn same_padding(settings: &Map<String, Value>, window: &str) -> std::result::Result<Value, String> {
    let sides = |key: &str, usual: u64| match settings.get(key) {
        None => Some([usual; 2]),
        Some(Value::Array(both)) => Some([both.first()?.as_u64()?, both.get(1)?.as_u64()?]),
        Some(one) => one.as_u64().map(|side| [side; 2]),
    };
    let (kernel, dilation) = (sides(window, 0), sides("dilation", 1));
    let odd = kernel.filter(|kernel| kernel.iter().all(|side| side % 2 == 1));
    let Some((kernel, dilation)) = odd.zip(dilation) else {
        return Err(format!("padding = \"same\" needs a {window} of odd sides; give the numbers of zeros"));
    };
    let [h, w] = [0, 1].map(|i| (kernel[i] / 2).saturating_mul(dilation[i]));
    Ok(if h == w { json!(h) } else { json!([h, w, h, w]) })
}
