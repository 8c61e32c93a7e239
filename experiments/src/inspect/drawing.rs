//! An inspection as a drawing.

use l0_net::{Layer, Net, NodeId, Shape};
use l0_report::plot::{Block, Color, Diagram, short};

use super::{Inspection, Totals};

/// What stands beside the bars.
const FACTS: [&str; 4] = ["units", "positions", "parameters", "MACs"];

impl Inspection {
    /// The graph as SVG: layers as wide as they have units, coupled spaces in one colour. Of a compact network the
    /// graph before pruning is drawn, if the file has it, with what is left solid and what was pruned hollow.
    pub fn svg(&self) -> String {
        let net = self.left.before().unwrap_or(&self.net);
        let (rows, colors, letters) = (rows(net), self.colors(net), net.couplings());
        let looks = |row: &[NodeId]| {
            let space = net.space(row[0]);
            (colors[space], letters[space].clone().unwrap_or_default())
        };
        let blocks = rows.iter().map(|row| self.block(net, row, &rows, looks(row))).collect();
        Diagram {
            title: self.file.clone(),
            notes: self.notes(),
            facts: FACTS.map(String::from).into(),
            blocks,
            legend: legend(&colors),
        }
        .svg()
    }

    fn notes(&self) -> Vec<String> {
        let (input, output) = self.shapes();
        let of = |now: usize, before: Option<usize>| {
            let before = before.map_or(String::new(), |before| format!(" of {}", short(before as f64)));
            format!("{}{before}", short(now as f64))
        };
        let before = |part: fn(Totals) -> usize| self.cost_before.map(part);
        let (params, macs) = (of(self.cost.params, before(|c| c.params)), of(self.cost.macs, before(|c| c.macs)));
        vec![format!("reads {input}, gives {output}; {params} parameters, {macs} multiply-accumulates")]
    }

    /// One colour for each coupled space that is to be pruned, and one each for those of one layer, for what stays, and
    /// for what is made of others.
    fn colors(&self, net: &Net) -> Vec<Color> {
        use l0_net::Unprunable::{Derived, Factor};
        let mut next = (0..).map(Color::Own);
        let left_out = |space: usize| self.left.before().is_none() && !self.spaces[space].prunable;
        let about = net.unprunable().into_iter().zip(net.couplings()).enumerate();
        about
            .map(|(space, (reason, coupled))| match (reason, coupled) {
                (Some(Derived | Factor), _) => Color::Pale,
                (Some(_), _) => Color::Published,
                (None, _) if left_out(space) => Color::Published,
                (None, Some(_)) => next.next().unwrap_or(Color::Plain),
                (None, None) => Color::Plain,
            })
            .collect()
    }

    fn block(&self, net: &Net, row: &[NodeId], rows: &[Vec<NodeId>], (color, tag): (Color, String)) -> Block {
        let (head, last) = (row[0], row[row.len() - 1]);
        let units = self.left.units(head);
        let place = |node: NodeId| rows.iter().position(|row| row.contains(&node));
        let kinds: Vec<String> = row.iter().map(|&id| kind(net, id)).collect();
        Block {
            name: net.node(head).name.clone(),
            kind: kinds.join(" · "),
            tag,
            facts: self.facts(net, row, last),
            units: units.of,
            kept: units.left,
            color,
            reads: net.node(head).inputs.iter().filter_map(|&input| place(input)).collect(),
        }
    }

    fn facts(&self, net: &Net, row: &[NodeId], last: NodeId) -> Vec<String> {
        let units = self.left.units(row[0]);
        let units =
            if units.of == units.left { units.of.to_string() } else { format!("{} / {}", units.left, units.of) };
        let positions = match net.shape(last) {
            Shape::Features(_) => String::new(),
            Shape::Image(_, h, w) => format!("{h} × {w}"),
        };
        let layers = self.layers.iter().filter(|layer| row.iter().any(|&id| is_of(net, id, &layer.name)));
        let (params, macs) = layers.fold((0, 0), |(params, macs), layer| (params + layer.params, macs + layer.macs));
        let number = |n: usize| if n == 0 { String::new() } else { short(n as f64) };
        vec![units, positions, number(params), number(macs)]
    }
}

/// Whether a layer is a node of the graph, or stands for a part of one before pruning: "conv.border" is of "conv".
fn is_of(net: &Net, id: NodeId, layer: &str) -> bool {
    let name = &net.node(id).name;
    let part = layer.rsplit_once('.').is_some_and(|(stem, _)| stem == name);
    layer == name || (part && net.find(layer).is_err())
}

/// The nodes of each row: one, and those after it that work unit by unit on the same image and are all that reads it.
fn rows(net: &Net) -> Vec<Vec<NodeId>> {
    let mut rows: Vec<Vec<NodeId>> = Vec::new();
    for (id, node) in net.nodes().iter().enumerate() {
        let goes_on = |row: &&mut Vec<NodeId>| {
            let last = row[row.len() - 1];
            let same = net.space(last) == net.space(id) && net.shape(last) == net.shape(id);
            last > 0 && node.inputs == [last] && net.readers(last) == [id] && same && !node.layer.is_affine()
        };
        match rows.iter_mut().find(goes_on) {
            Some(row) => row.push(id),
            None => rows.push(vec![id]),
        }
    }
    rows
}

/// What a layer does, with the sides of its kernel.
fn kind(net: &Net, id: NodeId) -> String {
    let node = net.node(id);
    let stride =
        |stride: l0_net::Pair| if stride.h * stride.w > 1 { format!(" /{}", side(stride)) } else { String::new() };
    match &node.layer {
        Layer::Conv2d(conv) => {
            let depthwise = node.inputs.iter().any(|&input| conv.is_depthwise(net.shape(input).units()));
            let kind = if depthwise { "depthwise" } else { node.layer.kind() };
            format!("{kind} {}{}", conv.kernel, stride(conv.stride))
        }
        Layer::ConvTranspose2d(conv) => format!("transposed {}{}", conv.kernel, stride(conv.stride)),
        Layer::MaxPool2d(pool) => format!("max pool {}{}", pool.size, stride(pool.stride.unwrap_or(pool.size))),
        Layer::AvgPool2d(pool) => format!("average pool {}{}", pool.size, stride(pool.stride.unwrap_or(pool.size))),
        Layer::Upsample(up) => format!("upsample {}", side(up.factor)),
        layer => layer.kind().into(),
    }
}

/// "2", or "2x1" where height and width differ.
fn side(pair: l0_net::Pair) -> String {
    if pair.h == pair.w { pair.h.to_string() } else { pair.to_string() }
}

/// What the colours mean that are there.
fn legend(colors: &[Color]) -> Vec<(Color, String)> {
    let all = [
        (Color::Own(0), "coupled: a colour and a letter for each space of units that layers share"),
        (Color::Plain, "prunable by itself"),
        (Color::Published, "not prunable, or not chosen"),
        (Color::Pale, "units of other layers"),
    ];
    let shown = all.into_iter().filter(|(color, _)| colors.contains(color));
    shown.map(|(color, words)| (color, words.into())).collect()
}
