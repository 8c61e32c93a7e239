//! Normalisations, scales and biases that directly follow a linear map are multiplied into it: exact up to rounding.
//!
//! With `g = scale / sqrt(var + eps)`: `(W x + b - mean) g + shift = (g W) x + ((b - mean) g + shift)`, row by row.

use candle_core::Tensor;

use super::draft::Values;
use crate::forward::{beside, sum};
use crate::layers::{Bias, Border, Layer, Margins};
use crate::{Error, Node, NodeId, Result};

/// Folds until nothing more can be.
pub(super) fn fold(nodes: &mut Vec<Node>, values: &mut Values) -> Result<()> {
    let mut id = 1;
    while id < nodes.len() {
        if fold_at(nodes, values, id)? {
            remove(nodes, id);
        } else {
            id += 1;
        }
    }
    Ok(())
}

/// Of biases that differ between positions only near the edges, keeps the distinct values.
pub(super) fn borders(nodes: &mut [Node], values: &mut Values) -> Result<()> {
    for node in nodes.iter_mut().filter(|node| node.layer == Layer::Bias(Bias { per_position: true })) {
        let name = format!("{}.bias", node.name);
        let Some(map) = values.get(&name).filter(|map| map.rank() == 3) else { continue };
        if let Some((margins, distinct)) = Margins::of(map)? {
            values.insert(name, distinct);
            node.layer = Border { margins }.into();
        }
    }
    Ok(())
}

/// Folds node `id` into what it reads, if that is a linear map, a normalisation or a bias that nothing else reads.
fn fold_at(nodes: &mut [Node], values: &mut Values, id: NodeId) -> Result<bool> {
    let Some(from) = sole(nodes, id) else { return Ok(false) };
    match (&nodes[id].layer, &nodes[from].layer) {
        (Layer::BatchNorm(_) | Layer::Scale(_), _) => fold_scale(nodes, values, id),
        (Layer::Bias(Bias { per_position: true }) | Layer::Border(_), below) if below.is_affine() => {
            // The map stays, and what the linear map added goes into it.
            if has_bias(below) {
                let bias = remove_value(values, &nodes[from].name, "bias")?;
                nodes[from].layer.rules_mut().set_bias(false);
                add(nodes, values, id, bias)?;
            }
            Ok(false)
        }
        (Layer::Bias(Bias { per_position }), below) if below.is_affine() || matches!(below, Layer::Bias(_)) => {
            let per_position = *per_position;
            let bias = remove_value(values, &nodes[id].name, "bias")?;
            if per_position {
                nodes[from].layer = Bias { per_position: true }.into();
            }
            add(nodes, values, from, bias)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Folds a normalisation or a scale into the linear map, normalisation or scale below it.
fn fold_scale(nodes: &mut [Node], values: &mut Values, id: NodeId) -> Result<bool> {
    let Some(from) = sole(nodes, id) else { return Ok(false) };
    // Between the two there may be the constants of a padded border.
    let map = match nodes[from].layer {
        Layer::Bias(_) | Layer::Border(_) => sole(nodes, from),
        _ => Some(from),
    };
    let rows = |map: NodeId| Some((map, nodes[map].layer.rules().row_dim()?));
    let Some((map, rows)) = map.and_then(rows) else { return Ok(false) };
    let (factor, shift) = factor_and_shift(values, &nodes[id])?;
    scale(values, &nodes[map].name, "weight", rows, &factor)?;
    if from != map && has_bias(&nodes[map].layer) {
        scale(values, &nodes[map].name, "bias", 0, &factor)?;
    }
    if has_bias(&nodes[from].layer) {
        scale(values, &nodes[from].name, "bias", 0, &factor)?;
    }
    add(nodes, values, from, shift)?;
    Ok(true)
}

/// What node `id` reads, if nothing else reads that.
fn sole(nodes: &[Node], id: NodeId) -> Option<NodeId> {
    let [from] = nodes[id].inputs[..] else { return None };
    let readers = nodes.iter().flat_map(|node| &node.inputs).filter(|&&input| input == from).count();
    (readers == 1).then_some(from)
}

fn has_bias(layer: &Layer) -> bool {
    layer.rules().bias() == Some(true)
}

fn remove_value(values: &mut Values, node: &str, leaf: &str) -> Result<Tensor> {
    let missing = || Error::layer(node, format!("has no value {leaf:?}"));
    values.remove(&format!("{node}.{leaf}")).ok_or_else(missing)
}

/// What a normalisation or a scale multiplies by and adds, both (n,).
fn factor_and_shift(values: &mut Values, node: &Node) -> Result<(Tensor, Tensor)> {
    let mut part = |leaf| remove_value(values, &node.name, leaf);
    let (scale, shift) = (part("weight")?, part("bias")?);
    let Layer::BatchNorm(norm) = node.layer else { return Ok((scale, shift)) };
    let (mean, var) = (part("running_mean")?, part("running_var")?);
    let factor = (scale / (var + norm.eps)?.sqrt()?)?;
    let shift = (shift - (mean * &factor)?)?;
    Ok((factor, shift))
}

/// Scales the rows of a value, which lie along a dimension.
fn scale(values: &mut Values, node: &str, leaf: &str, rows: usize, factor: &Tensor) -> Result<()> {
    let value = remove_value(values, node, leaf)?;
    let factor = if rows == 0 { beside(factor, &value)? } else { beside(factor, &value)?.transpose(0, rows)? };
    values.insert(format!("{node}.{leaf}"), value.broadcast_mul(&factor)?);
    Ok(())
}

/// Adds to the bias of a node, which has one afterwards.
fn add(nodes: &mut [Node], values: &mut Values, id: NodeId, more: Tensor) -> Result<()> {
    let name = &nodes[id].name;
    let bias = if has_bias(&nodes[id].layer) { sum(&remove_value(values, name, "bias")?, &more)? } else { more };
    values.insert(format!("{name}.bias"), bias);
    nodes[id].layer.rules_mut().set_bias(true);
    Ok(())
}

/// Takes out a node whose only input stands in for it.
fn remove(nodes: &mut Vec<Node>, id: NodeId) {
    let from = nodes[id].inputs[0];
    nodes.remove(id);
    for input in nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        *input = match *input {
            at if at == id => from,
            at if at > id => at - 1,
            at => at,
        };
    }
}
