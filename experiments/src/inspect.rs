//! What is to be known of a network before it is pruned, and after: as a table, as JSON, as a drawing.

mod drawing;
mod left;
mod table;

use l0_net::{Kept, Net, Shape};
use serde::Serialize;

use self::left::Left;
use crate::choice::ChoiceArgs;
use crate::network_file::{Format, NetworkFile};

/// A network, taken apart.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The file.
    pub file: String,
    /// What it is.
    pub format: Format,
    /// Its size.
    pub bytes: u64,
    /// The shape of an example that the network reads.
    pub input: Vec<usize>,
    /// The shape of what it gives.
    pub output: Vec<usize>,
    /// What it costs.
    pub cost: Totals,
    /// What the network cost that it was compacted from, if the file says that.
    pub cost_before: Option<Totals>,
    /// Its layers, each after those it reads.
    pub layers: Vec<LayerRow>,
    /// Its spaces of units.
    pub spaces: Vec<SpaceRow>,
    /// Of a compact network, what is left of each layer.
    pub kept: Vec<Kept>,
    #[serde(skip)]
    net: Net,
    #[serde(skip)]
    left: Left,
}

/// The cost of a network for one example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Entries of weight matrices and kernels.
    pub weights: usize,
    /// Everything that is trained.
    pub params: usize,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Floating point operations.
    pub flops: usize,
}

/// A layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerRow {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: String,
    /// The layers it reads.
    pub reads: Vec<String>,
    /// The shape of its output for one example.
    pub output: Vec<usize>,
    /// Parameters that it holds.
    pub params: usize,
    /// Multiply-accumulates for one example.
    pub macs: usize,
    /// The place of its space among [`Inspection::spaces`].
    pub space: usize,
}

/// A set of units that layers share.
#[derive(Debug, Clone, Serialize)]
pub struct SpaceRow {
    /// The first layer that makes it.
    pub name: String,
    /// How many units it has.
    pub units: usize,
    /// A letter, where more than one layer makes the units or has weights for them.
    pub coupled: Option<String>,
    /// Whether units can be pruned and are to be.
    pub prunable: bool,
    /// If they cannot, why.
    pub because: Option<String>,
    /// The layers that make its units or have weights for them.
    pub makers: Vec<String>,
    /// All layers whose output it is.
    pub layers: Vec<String>,
}

impl Totals {
    fn of(net: &Net) -> Self {
        let cost = net.cost();
        Self { weights: cost.weights(), params: cost.params(), macs: cost.macs(), flops: cost.flops() }
    }
}

impl Inspection {
    /// Takes apart what a file holds; `file` is how it is called.
    ///
    /// # Errors
    /// If a compact file's description of the network before pruning is none.
    pub fn of(file: &str, read: &NetworkFile) -> anyhow::Result<Self> {
        let NetworkFile { format, bytes, model, card } = read;
        let (net, left) = (&model.net, Left::of(model, card)?);
        Ok(Self {
            file: file.into(),
            format: *format,
            bytes: *bytes,
            input: net.shape(0).dims(),
            output: net.shape(net.output()).dims(),
            cost: Totals::of(net),
            cost_before: left.before().map(Totals::of),
            layers: layers(net),
            spaces: spaces(net),
            kept: model.kept.clone(),
            net: net.clone(),
            left,
        })
    }

    /// The same with units that can be pruned, but are not chosen, among those that stay.
    ///
    /// # Errors
    /// As [`ChoiceArgs::of`].
    pub fn chosen(mut self, choice: &ChoiceArgs) -> anyhow::Result<Self> {
        let chosen = choice.of(&self.net)?.spaces().to_vec();
        for (id, space) in self.spaces.iter_mut().enumerate().filter(|(_, space)| space.prunable) {
            space.prunable = chosen.contains(&id);
            space.because = (!space.prunable).then(|| "not chosen".into());
        }
        Ok(self)
    }

    fn shapes(&self) -> (Shape, Shape) {
        (self.net.shape(0), self.net.shape(self.net.output()))
    }
}

fn names(net: &Net, nodes: impl IntoIterator<Item = usize>) -> Vec<String> {
    nodes.into_iter().map(|id| net.node(id).name.clone()).collect()
}

fn layers(net: &Net) -> Vec<LayerRow> {
    let mut costs = net.cost().layers.into_iter().peekable();
    let row = |(id, node): (usize, &l0_net::Node)| {
        let cost = costs.next_if(|cost| cost.node == id);
        LayerRow {
            name: node.name.clone(),
            kind: node.layer.kind().into(),
            reads: names(net, node.inputs.iter().copied()),
            output: net.shape(id).dims(),
            params: cost.as_ref().map_or(0, |cost| cost.params),
            macs: cost.as_ref().map_or(0, |cost| cost.macs),
            space: net.space(id),
        }
    };
    net.nodes().iter().enumerate().map(row).collect()
}

fn spaces(net: &Net) -> Vec<SpaceRow> {
    let about = net.spaces().iter().zip(net.couplings()).zip(net.unprunable()).enumerate();
    let row = |(id, ((space, coupled), reason)): (usize, ((&l0_net::Space, _), Option<l0_net::Unprunable>))| SpaceRow {
        name: space.name.clone(),
        units: space.units,
        coupled,
        prunable: reason.is_none(),
        because: reason.map(|reason| reason.to_string()),
        makers: names(net, net.makers(id)),
        layers: names(net, (0..net.nodes().len()).filter(|&node| net.space(node) == id)),
    };
    about.map(row).collect()
}

#[cfg(test)]
mod tests;
