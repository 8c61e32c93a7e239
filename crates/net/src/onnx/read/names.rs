//! Names of layers: those of their weights, else those of the nodes, without what exporters wrap around them.

use std::collections::HashMap;

use super::constant::Values;
use super::proto::Node;
use crate::Layer;

/// The longest name that a layer takes over.
const LONGEST: usize = 120;

/// Endings of the names of weights, by what wrote them.
const WEIGHTS: [&str; 8] = [".weight", "_weight", "/weight", ".w_0", ".kernel", "/kernel", ".running_mean", "_gamma"];

/// The name that the layers of a node want, the one of its module where there is such.
pub(super) fn stem(node: &Node<'_>) -> String {
    let scopes = node.remarks.iter().find(|remark| remark.key == "pkg.torch.onnx.name_scopes");
    let path = match scopes {
        Some(scopes) => module(scopes.value),
        None if node.name.contains('/') => path(node.name),
        None => plain(node),
    };
    cleaned(&path)
}

/// The last but one of a list such as `['', 'layer1', 'layer1.0', 'relu']`: the module that ran the function.
fn module(scopes: &str) -> String {
    let parts: Vec<&str> = scopes.trim_matches(['[', ']']).split(", ").map(|part| part.trim_matches('\'')).collect();
    parts.len().checked_sub(2).map_or_else(String::new, |at| parts[at].into())
}

/// `/layer1/layer1.0/conv1/Conv` is `layer1.0.conv1`: a part that begins with the one before says it again.
fn path(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    let mut kept: Vec<&str> = Vec::new();
    for part in &parts[..parts.len().saturating_sub(1)] {
        if kept.last().is_some_and(|last| part.strip_prefix(last).is_some_and(|rest| rest.starts_with('.'))) {
            kept.pop();
        }
        kept.push(part);
    }
    kept.join(".")
}

/// A name without a path: that of the node, but for numbers under which nobody knows it.
fn plain(node: &Node<'_>) -> String {
    let name = node.name.strip_prefix("node_").unwrap_or(node.name);
    let counted = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    let nothing = counted.eq_ignore_ascii_case(node.kind) || counted.len() < 3;
    if nothing { String::new() } else { name.into() }
}

pub(super) fn cleaned(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' };
    name.chars().take(LONGEST).map(kept).collect::<String>().trim_matches(['.', '_']).into()
}

/// The name of the layer whose weight is stored as `conv1.weight`: `conv1`.
fn of_weight(values: &Values) -> Option<String> {
    let stored = values.first()?.1.name();
    let stem = WEIGHTS.iter().find_map(|end| stored.strip_suffix(end))?;
    let name = cleaned(stem);
    (!stem.contains("::") && !name.is_empty()).then_some(name)
}

/// Names that differ.
#[derive(Debug, Default)]
pub(super) struct Names {
    used: HashMap<String, usize>,
}

impl Names {
    /// A name for a layer that no other has.
    pub(super) fn fresh(&mut self, stem: &str, layer: &Layer, values: &Values) -> String {
        let own = layer.is_affine() || matches!(layer, Layer::Input(_));
        let kind = layer.kind().replace(' ', "_");
        let last = stem.rsplit('.').next().unwrap_or_default();
        let wanted = match of_weight(values) {
            Some(name) => name,
            None if stem.is_empty() => kind,
            None if own || last.contains(&kind) || is_word(last) => stem.into(),
            None => format!("{stem}.{kind}"),
        };
        self.unique(wanted)
    }

    fn unique(&mut self, wanted: String) -> String {
        let mut name = wanted.clone();
        while self.used.contains_key(&name) {
            let count = self.used.entry(wanted.clone()).or_insert(1);
            *count += 1;
            name = format!("{wanted}_{count}");
        }
        self.used.insert(name.clone(), 1);
        name
    }
}

/// Whether the last part of a name says what a module does: `relu1` does, `0` and `block` do not.
fn is_word(last: &str) -> bool {
    ["relu", "act", "pool", "norm", "bn", "flatten", "drop", "sigmoid", "silu", "gelu", "swish", "softmax", "up"]
        .iter()
        .any(|word| last.contains(word))
}

#[cfg(test)]
mod tests {
    use super::super::proto::Entry;
    use super::*;
    use crate::layers::Add;

    fn stem_of(name: &'static str, kind: &'static str, scopes: Option<&'static str>) -> String {
        let remarks = scopes.map(|value| Entry { key: "pkg.torch.onnx.name_scopes", value }).into_iter().collect();
        stem(&Node { name, kind, remarks, ..Node::default() })
    }

    #[test]
    fn what_exporters_wrap_around_names_is_gone() {
        assert_eq!(stem_of("/layer1/layer1.0/conv1/Conv", "Conv", None), "layer1.0.conv1");
        assert_eq!(stem_of("/body/body.3/Add", "Add", None), "body.3");
        assert_eq!(stem_of("node_add_79", "Add", Some("['', 'features', 'features.3', 'add_79']")), "features.3");
        assert_eq!(stem_of("node_conv2d", "Conv", None), "conv2d");
        assert_eq!(stem_of("Conv_12", "Conv", None), "");
        assert_eq!(stem_of("n4_6", "Clip", None), "");
        assert_eq!(stem_of("a\u{0}b c", "Relu", None), "a_b_c");
    }

    #[test]
    fn names_differ() {
        let mut names = Names::default();
        let mut fresh = |stem: &str| names.fresh(stem, &Add.into(), &Vec::new());
        assert_eq!([fresh("body.3"), fresh("body.3"), fresh("body.3")], ["body.3.add", "body.3.add_2", "body.3.add_3"]);
        assert_eq!([fresh(""), fresh(""), fresh("add_2")], ["add", "add_2", "add_2_2"]);
    }
}
