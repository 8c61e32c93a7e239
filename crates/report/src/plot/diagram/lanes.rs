//! Lanes beside a column of rows, for lines that pass rows by.

use super::parts::Block;

/// A line from a row to others below the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) from: usize,
    /// The rows that it ends at, ascending.
    pub(super) to: Vec<usize>,
    /// How far out it runs: 0 is next to the bars.
    pub(super) place: usize,
}

/// The lanes of a graph: no two at one place meet, and short ones run inside long ones.
pub(super) fn lanes(blocks: &[Block]) -> Vec<Lane> {
    let reading = |from: usize| (from + 2..blocks.len()).filter(move |&row| blocks[row].reads.contains(&from));
    let mut lanes: Vec<Lane> =
        (0..blocks.len()).map(|from| Lane { from, to: reading(from).collect(), place: 0 }).collect();
    lanes.retain(|lane| !lane.to.is_empty());
    lanes.sort_by_key(|lane| (lane.end() - lane.from, lane.from));
    for at in 0..lanes.len() {
        // Outside of all that it passes by, else it would cross them where it leaves and arrives.
        let (placed, lane) = (&lanes[..at], &lanes[at]);
        let beside = placed.iter().filter(|other| other.from < lane.end() && lane.from < other.end());
        lanes[at].place = beside.map(|other| other.place + 1).max().unwrap_or(0);
    }
    lanes
}

impl Lane {
    fn end(&self) -> usize {
        self.to.last().copied().unwrap_or(self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Color;

    fn placed(reads: &[&[usize]]) -> Vec<(usize, usize, usize)> {
        let block = |reads: &&[usize]| Block {
            name: String::new(),
            kind: String::new(),
            tag: String::new(),
            facts: Vec::new(),
            units: 1,
            kept: 1,
            color: Color::Muted,
            reads: reads.to_vec(),
        };
        let blocks: Vec<Block> = reads.iter().map(block).collect();
        lanes(&blocks).iter().map(|lane| (lane.from, lane.end(), lane.place)).collect()
    }

    #[test]
    fn a_chain_has_none_and_sums_one_after_the_other_share_a_place() {
        assert_eq!(placed(&[&[], &[0], &[1]]), []);
        assert_eq!(placed(&[&[], &[0], &[1, 0], &[2], &[3, 2]]), [(0, 2, 0), (2, 4, 0)]);
    }

    #[test]
    fn long_ones_run_outside_and_a_source_has_one() {
        assert_eq!(placed(&[&[], &[0], &[1], &[2, 1], &[3, 0]]), [(1, 3, 0), (0, 4, 1)]);
        assert_eq!(placed(&[&[], &[0], &[1, 0], &[2, 0]]), [(0, 3, 0)]);
    }
}
