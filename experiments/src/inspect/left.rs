//! What is left of each layer of a compact network, beside what it had.

use anyhow::{Context, Result};
use l0_net::{Card, Model, Net, NodeId};

/// The units of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Units {
    pub(super) of: usize,
    pub(super) left: usize,
}

/// The graph that shows most of a network: the one before pruning, if the file has it, or else its own.
#[derive(Debug, Clone)]
pub(super) struct Left {
    graph: Option<Net>,
    units: Vec<Units>,
}

impl Left {
    pub(super) fn of(model: &Model, card: &Card) -> Result<Self> {
        let graph = match card.extra.get("whole") {
            Some(whole) if !model.kept.is_empty() => {
                let problem = "the file's description of the network before pruning is none";
                Some(serde_json::from_value::<Net>(whole.clone()).context(problem)?)
            }
            _ => None,
        };
        let units = units(graph.as_ref().unwrap_or(&model.net), model);
        Ok(Self { graph, units })
    }

    /// The network before pruning.
    pub(super) fn before(&self) -> Option<&Net> {
        self.graph.as_ref()
    }

    /// What is left of a node of that network, or else of the network's own.
    pub(super) fn units(&self, id: NodeId) -> Units {
        self.units[id]
    }
}

/// Of every node of `graph` what is left: as the file says, or else of what it reads in the same space.
fn units(graph: &Net, model: &Model) -> Vec<Units> {
    let mut all: Vec<Units> = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.nodes().iter().enumerate() {
        let told = model.kept.iter().find(|kept| kept.layer == node.name);
        let told = told.map(|kept| Units { of: kept.of, left: kept.len() });
        let coupled = node.inputs.iter().filter(|&&input| graph.space(input) == graph.space(id));
        let read = coupled.map(|&input| all[input]).max_by_key(|units| units.left);
        let own = graph.shape(id).units();
        all.push(told.or(read).unwrap_or(Units { of: own, left: own }));
    }
    all
}
