//! A linear map of codes, packed in the order in which its inner loops meet the weights.

use crate::Isa;
use crate::dot::{DEPTH, LANES};
use crate::emit::{Codes, Emit, ToCodes, ToFloats};
use crate::packed::{BLOCK, Packed};
use crate::portable::Portable;
use crate::tile::run;

/// What a map is made of.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Where the inputs of an output lie, counted from its position: runs of bytes, each (start, length). A run is read
    /// in pieces of four bytes, so that up to three more are read, and count for nothing.
    pub runs: &'a [(usize, usize)],
    /// The weights (outputs, inputs in the order of the runs).
    pub weight: &'a [i8],
    /// For each output what its sum starts with.
    pub bias: &'a [i32],
    /// The zero point of the inputs: the code of 0.
    pub zero: u8,
}

/// A packed map.
#[derive(Debug, Clone)]
pub struct Map {
    isa: Isa,
    outputs: usize,
    packed: Packed,
}

/// The vectors of a tile's outputs: ranges (first, count) of nearly equal count.
fn blocks(vectors: usize) -> impl Iterator<Item = (usize, usize)> {
    let pieces = vectors.div_ceil(BLOCK);
    (0..pieces).map(move |i| (i * vectors / pieces, (i + 1) * vectors / pieces)).map(|(from, to)| (from, to - from))
}

impl Map {
    /// The most inputs of an output: sums of more could overflow.
    pub const MOST: usize = 1 << 15;

    /// Packs a map. Biases are of less than 2^30, and there are at most [`Map::MOST`] inputs.
    ///
    /// # Panics
    /// If there is another number of weights than outputs times inputs, there are too many inputs, or the CPU lacks the
    /// instructions.
    pub fn new(terms: Terms<'_>, isa: Isa) -> Self {
        assert!(isa.is_there(), "{isa:?} is not there on this CPU");
        let Terms { runs, weight, bias, zero } = terms;
        let inputs: usize = runs.iter().map(|run| run.1).sum();
        assert!(inputs <= Self::MOST && weight.len() == inputs * bias.len(), "weights of {inputs} inputs");
        // Of each step where it is read, and which inputs it reads.
        let mut steps = Vec::new();
        let mut first = 0;
        for &(start, len) in runs {
            steps.extend((0..len).step_by(DEPTH).map(|at| (start + at, first + at, DEPTH.min(len - at))));
            first += len;
        }
        let vectors = bias.len().div_ceil(LANES);
        let mut weights = Vec::with_capacity(vectors * LANES * DEPTH * steps.len());
        for (vector, count) in blocks(vectors) {
            for &(_, first, len) in &steps {
                for o in vector * LANES..(vector + count) * LANES {
                    let row = weight.get(o * inputs..(o + 1) * inputs).filter(|_| o < bias.len());
                    weights.extend((0..DEPTH).map(|k| row.filter(|_| k < len).map_or(0, |row| row[first + k])));
                }
            }
        }
        let sum = |o: usize| weight[o * inputs..(o + 1) * inputs].iter().map(|&w| i32::from(w)).sum::<i32>();
        let mut bias: Vec<i32> = bias.iter().enumerate().map(|(o, bias)| bias - i32::from(zero) * sum(o)).collect();
        let outputs = bias.len();
        bias.resize(vectors * LANES, 0);
        let steps = steps.into_iter().map(|(at, ..)| u32::try_from(at).expect("runs lie within an image")).collect();
        Self { isa, outputs, packed: Packed { steps, weights, bias, blocks: blocks(vectors).collect() } }
    }

    /// Numbers for each output, rounded up to whole vectors, as [`codes`](Self::codes) wants its scales.
    pub fn rounded_up(&self, mut scales: Vec<f32>) -> Vec<f32> {
        scales.resize(self.packed.bias.len(), 0.0);
        scales
    }

    /// The codes of a map over `xs` at `positions`: those of a position side by side, those of the next one `stride`
    /// further.
    ///
    /// # Panics
    /// If `xs` does not hold what is read from a position on, or `ys` not what is written.
    pub fn codes(&self, xs: &[u8], positions: &[u32], to: &Codes, (ys, stride): (&mut [u8], usize)) {
        assert!(to.scales.len() == self.packed.bias.len(), "scales are to be rounded up to vectors");
        let needed = (positions.len().max(1) - 1).checked_mul(stride).and_then(|last| last.checked_add(self.outputs));
        assert!(needed.is_some_and(|needed| needed <= ys.len()), "{} bytes of codes are too few", ys.len());
        self.run(xs, positions, &mut ToCodes { to, outputs: self.outputs, ys, stride });
    }

    /// The sums of a map over `xs` at `positions`, each times the scale of its output, of which there is one for each:
    /// (positions, outputs).
    ///
    /// # Panics
    /// If there is another number of scales, `xs` does not hold what is read from a position on, or `ys` not what is
    /// written.
    pub fn floats(&self, xs: &[u8], positions: &[u32], scales: &[f32], ys: &mut [f32]) {
        assert!(scales.len() == self.outputs, "{} scales for {} outputs", scales.len(), self.outputs);
        self.run(xs, positions, &mut ToFloats { scales, outputs: self.outputs, ys });
    }

    /// Whether tiles are of three vectors of outputs: the sums of more than six positions would not stay in 32
    /// registers.
    fn is_wide(&self) -> bool {
        self.packed.blocks.iter().any(|block| block.1 == BLOCK)
    }

    /// Makes sure that every step from every position lies within `xs`.
    fn check(&self, xs: &[u8], positions: &[u32]) {
        let most = |of: &[u32]| of.iter().max().map_or(0, |&most| most as usize);
        let last = most(&self.packed.steps).checked_add(most(positions));
        let needed = last.and_then(|last| last.checked_add(DEPTH));
        assert!(needed.is_some_and(|needed| needed <= xs.len()), "{} bytes of inputs are too few", xs.len());
    }

    fn run(&self, xs: &[u8], positions: &[u32], emit: &mut impl Emit) {
        self.check(xs, positions);
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `check` is what `run` asks for, and `Isa::is_there` that the CPU has the instructions.
            Isa::Vnni if self.is_wide() => unsafe { run::<crate::x86::Vnni, 6>(&self.packed, xs, positions, emit) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Vnni => unsafe { run::<crate::x86::Vnni, 8>(&self.packed, xs, positions, emit) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::AvxVnni => unsafe { run::<crate::x86::AvxVnni, 4>(&self.packed, xs, positions, emit) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx2 => unsafe { run::<crate::x86::Avx2, 2>(&self.packed, xs, positions, emit) },
            // SAFETY: as above; this needs no instructions.
            _ => unsafe { run::<Portable, 4>(&self.packed, xs, positions, emit) },
        }
    }
}
