//! A table of a network's layers.

use crate::{Cost, Net, NodeId, Plan};

const HEAD: [&str; 7] = ["layer", "kind", "output", "units", "parameters", "MACs", "coupled"];
/// The first columns hold words, the others numbers.
const WORDS: usize = 3;

impl Net {
    /// A table of the network's layers: what is left of each under `plan`, its parameters and multiply-accumulates, and
    /// the letter of its space where that is coupled ([`Net::couplings`]).
    pub fn summary(&self, plan: &Plan) -> String {
        let (full, left) = (self.cost(), self.cost_of(plan));
        let letters = self.couplings();
        let mut rows = vec![HEAD.map(String::from)];
        for (id, node) in self.nodes().iter().enumerate() {
            let (had, has) = (of(&full, id), of(&left, id));
            let [params, macs] =
                [0, 1].map(|which| had.zip(has).map_or(String::new(), |(had, has)| share(had[which], has[which])));
            let units = share(self.shape(id).units(), plan.kept(id).len());
            let (name, kind, shape) = (node.name.clone(), node.layer.kind().into(), self.shape(id).to_string());
            rows.push([name, kind, shape, units, params, macs, letters[self.space(id)].clone().unwrap_or_default()]);
        }
        let (params, macs) = (share(full.params(), left.params()), share(full.macs(), left.macs()));
        let none = String::new;
        rows.push(["total".into(), none(), none(), none(), params, macs, none()]);
        align(&rows)
    }
}

/// Parameters and multiply-accumulates of a node that has any.
fn of(cost: &Cost, id: NodeId) -> Option<[usize; 2]> {
    cost.layers.iter().find(|layer| layer.node == id).map(|layer| [layer.params, layer.macs])
}

/// "3 / 5", or "5" where all are left.
fn share(had: usize, has: usize) -> String {
    if had == has { had.to_string() } else { format!("{has} / {had}") }
}

/// The rows as lines of columns; a column that is empty but for its head is left out.
fn align(rows: &[[String; HEAD.len()]]) -> String {
    let filled = |column: &usize| rows[1..].iter().any(|row| !row[*column].is_empty());
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let columns: Vec<(usize, usize)> = (0..HEAD.len()).filter(filled).map(|column| (column, width(column))).collect();
    let cell = |text: &str, column: usize, w: usize| {
        if column < WORDS || column == HEAD.len() - 1 { format!("{text:<w$}") } else { format!("{text:>w$}") }
    };
    let line = |row: &[String; HEAD.len()]| {
        let cells: Vec<String> = columns.iter().map(|&(column, w)| cell(&row[column], column, w)).collect();
        cells.join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}
