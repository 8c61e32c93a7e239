//! What a diagram is made of, and its measures.

use crate::plot::palette::Color;
use crate::plot::svg::Type;

pub(super) const PADDING: f64 = 20.0;
pub(super) const ROW: f64 = 25.0;
/// The narrowest bar: one unit of thousands must be seen.
pub(super) const THIN: f64 = 2.0;
pub(super) const NAME: Type = Type { size: 12.0, bold: false, color: "#1f2933" };
pub(super) const FACT: Type = Type { size: 11.0, bold: false, color: "#52606d" };

/// One row of a [`Diagram`].
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// What it is called.
    pub name: String,
    /// What it does.
    pub kind: String,
    /// A letter or two beside the bar.
    pub tag: String,
    /// One for each of [`Diagram::facts`].
    pub facts: Vec<String>,
    /// How wide it was.
    pub units: usize,
    /// How much of that is left, and drawn solid; the rest is hollow.
    pub kept: usize,
    /// The colour of the bar.
    pub color: Color,
    /// Rows above that it reads.
    pub reads: Vec<usize>,
}

/// A graph of layers as a picture.
///
/// ```
/// use l0_report::plot::{Block, Color, Diagram};
///
/// let block = |name: &str, units, reads| Block {
///     name: name.into(), kind: "linear".into(), tag: String::new(), facts: vec![format!("{units}")],
///     units, kept: units / 2, color: Color::Own(0), reads,
/// };
/// let blocks = vec![block("fc1", 300, vec![]), block("fc2", 100, vec![0])];
/// let svg = Diagram { title: "MLP".into(), facts: vec!["units".into()], blocks, ..Diagram::default() }.svg();
/// assert!(svg.starts_with("<svg"));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagram {
    /// What it shows.
    pub title: String,
    /// What is said below the title.
    pub notes: Vec<String>,
    /// Heads of the columns of figures beside the rows.
    pub facts: Vec<String>,
    /// The rows, each below all that it reads.
    pub blocks: Vec<Block>,
    /// What colours mean.
    pub legend: Vec<(Color, String)>,
}
