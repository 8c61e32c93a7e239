//! Where the columns of a diagram stand.

use super::lanes::Lane;
use super::parts::{Block, Diagram, FACT, NAME, PADDING, ROW, THIN};
use crate::plot::text;

/// Room for the widest bar.
const BARS: f64 = 280.0;
const GAP: f64 = 14.0;
const LANE: f64 = 9.0;
/// A bar of which so many make the widest is a hair.
const HAIR: usize = 24;
/// The most room for names and for what layers do.
const MOST: f64 = 230.0;

/// Where the columns stand: names, kinds, letters, bars, lanes, figures.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) top: f64,
    pub(super) width: f64,
    /// Room for names.
    pub(super) names: f64,
    /// Left of the kinds, and their room.
    pub(super) kind: f64,
    pub(super) kinds: f64,
    /// Middle of the letters.
    pub(super) tag: f64,
    /// Middle of the bars.
    pub(super) center: f64,
    /// Right ends of the figures.
    pub(super) facts: Vec<f64>,
    /// Whether bars are as wide as the roots of their units, and not as the units: some would be hairs.
    pub(super) roots: bool,
    pub(super) most_units: usize,
}

impl Layout {
    pub(super) fn of(diagram: &Diagram, lanes: &[Lane]) -> Self {
        let blocks = &diagram.blocks;
        let widest = |text: fn(&Block) -> &str, size: f64| {
            blocks.iter().map(|block| text::width(text(block), size)).fold(0.0, f64::max).clamp(40.0, MOST) + 1.0
        };
        let (names, kinds) = (widest(|block| &block.name, NAME.size), widest(|block| &block.kind, FACT.size));
        let kind = PADDING + names + GAP;
        let tag = kind + kinds + GAP + 8.0;
        let left = tag + 8.0 + GAP;
        let lanes = lanes.iter().map(|lane| lane.place + 1).max().unwrap_or(0);
        let mut right = left + BARS + if lanes > 0 { 10.0 + LANE * lanes as f64 } else { 0.0 };
        let mut facts = Vec::new();
        for (column, head) in diagram.facts.iter().enumerate() {
            let cells = blocks.iter().filter_map(|block| block.facts.get(column));
            right += GAP + cells.chain([head]).map(|cell| text::width(cell, FACT.size)).fold(0.0, f64::max);
            facts.push(right);
        }
        let few = |block: &&Block| block.units.saturating_mul(HAIR) < most_units(blocks);
        let roots = 4 * blocks.iter().filter(few).count() > blocks.len();
        let width = right + PADDING;
        Self {
            top: 0.0,
            width,
            names,
            kind,
            kinds,
            tag,
            center: left + BARS / 2.0,
            facts,
            roots,
            most_units: most_units(blocks),
        }
    }

    /// Between the margins.
    pub(super) fn room(&self) -> f64 {
        self.width - 2.0 * PADDING
    }

    /// The middle of a row.
    pub(super) fn middle(&self, row: usize) -> f64 {
        self.top + 8.0 + ROW * (row as f64 + 0.5)
    }

    /// The width of a bar.
    pub(super) fn wide(&self, units: usize) -> f64 {
        let share = units as f64 / self.most_units.max(1) as f64;
        (BARS * if self.roots { share.sqrt() } else { share }).max(THIN)
    }

    /// The right end of a bar.
    pub(super) fn right_of(&self, units: usize) -> f64 {
        self.center + self.wide(units) / 2.0
    }

    /// Where a lane runs.
    pub(super) fn lane(&self, place: usize) -> f64 {
        self.center + BARS / 2.0 + 12.0 + LANE * place as f64
    }
}

fn most_units(blocks: &[Block]) -> usize {
    blocks.iter().map(|block| block.units).max().unwrap_or(1)
}
