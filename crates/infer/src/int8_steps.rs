//! Compiling int8 layers: each with the rounding of what it makes, as one step from codes to codes.

use l0_int8::{Codes, Isa, Map, Range, Terms};
use l0_net::layers::{Conv2d, GlobalPool, PoolKind};
use l0_net::{Activation, Grid, Int8Weights, Layer, NodeId, Pair, Shape};

use crate::Result;
use crate::after::{After, Bounds};
use crate::compile::{Compiler, Value};
use crate::fold::Chain;
use crate::int8_kernels::{Affine, Coded, Convolve, Decode, Encode, Gather, Largest, Mean, Size, Sum, To, Weigh, kept};
use crate::kernel::Kernel;
use crate::layout::{Layout, place};

/// A rounding, and the bounds of what is rounded.
struct Rounding {
    id: NodeId,
    grid: Grid,
    bounds: Bounds,
}

impl Rounding {
    fn range(&self) -> Range {
        let Self { grid, bounds, .. } = self;
        let (first, last) = grid.ends();
        let code = |x: f32| {
            let steps = grid.nearest(x.clamp(first, last)) / grid.scale;
            kept(*grid, steps.round() as i32 + grid.zero)
        };
        Range::new(kept(*grid, grid.zero), code(bounds.least), code(bounds.most))
    }

    fn codes(&self, scales: Vec<f32>) -> Codes {
        Codes { scales, range: self.range() }
    }
}

/// What a step on codes reads: the output of a node that is there as codes, or that a rounding left as numbers.
#[derive(Clone, Copy)]
struct Source {
    id: NodeId,
    size: Size,
    grid: Grid,
}

impl Coded {
    /// The buffer that holds the codes.
    fn value(self) -> Value {
        Value { buffer: self.buffer, layout: self.size.layout() }
    }
}

impl Source {
    /// The code of 0, as it is kept.
    fn zero(&self) -> u8 {
        kept(self.grid, self.grid.zero)
    }
}

impl Compiler<'_> {
    /// Compiles a layer of whole numbers and those that go into the same step; the last of them. `None` where there is
    /// no such step.
    pub(crate) fn int8(&mut self, id: NodeId) -> Result<Option<NodeId>> {
        let Some(&input) = self.net.node(id).inputs.first() else { return Ok(None) };
        let layer = &self.net.node(id).layer;
        if let Layer::Activation(Activation::Quantise(grid)) = *layer {
            return self.quantise(id, input, grid).map(Some);
        }
        let Some(from) = self.source(input) else { return Ok(None) };
        match layer {
            Layer::Conv2d(conv) => self.convolve(id, conv, from),
            Layer::Linear(_) => self.weigh(id, from),
            Layer::Add(_) => self.sum(id),
            Layer::MaxPool2d(pool) => {
                let (layer, input, output) = (*pool, from.size, Size::of(self.net.shape(id)));
                self.code(id, &[from], from.grid, Largest { layer, input, output }).map(Some)
            }
            Layer::Flatten(_) => self.flattened(id, from).map(Some),
            Layer::Take(take) => {
                let places =
                    |position: usize| take.units.iter().map(move |&unit| place(position * from.size.c + unit as usize));
                self.gather(id, from, (0..from.size.h * from.size.w).flat_map(places).collect()).map(Some)
            }
            Layer::Dropout(_) | Layer::Identity(_) => {
                self.coded[id] = Some(self.coded(from)?);
                Ok(Some(id))
            }
            Layer::GlobalPool(GlobalPool { kind: PoolKind::Mean, .. }) => {
                let output = self.layout(id)?;
                self.numbers(id, from, output, Mean { size: from.size, grid: from.grid, output }).map(Some)
            }
            _ => self.affine_codes(id, from),
        }
    }

    /// The output of a node, if it can be read as codes.
    fn source(&self, id: NodeId) -> Option<Source> {
        match (self.coded[id], &self.net.node(id).layer) {
            (Some(Coded { size, grid, .. }), _) => Some(Source { id, size, grid }),
            (None, &Layer::Activation(Activation::Quantise(grid))) => {
                Some(Source { id, size: Size::of(self.net.shape(id)), grid })
            }
            _ => None,
        }
    }

    /// Where the codes of a source are; made of its numbers where only these are there.
    fn coded(&mut self, Source { id, grid, .. }: Source) -> Result<Coded> {
        match self.coded[id] {
            Some(coded) => Ok(coded),
            None => {
                let value = self.value(id)?;
                Ok(self.encode(id, value, grid))
            }
        }
    }

    /// A step from buffers to the output of `id` as codes.
    fn push_codes(&mut self, id: NodeId, from: Vec<usize>, grid: Grid, kernel: impl Kernel + 'static) -> Coded {
        let size = Size::of(self.net.shape(id));
        let coded = Coded { buffer: self.push(from, size.layout(), kernel), size, grid };
        self.coded[id] = Some(coded);
        coded
    }

    /// Numbers as the codes of the output of `id`.
    fn encode(&mut self, id: NodeId, from: Value, grid: Grid) -> Coded {
        let kernel = Encode { input: from.layout, size: Size::of(self.net.shape(id)), grid };
        self.push_codes(id, vec![from.buffer], grid, kernel)
    }

    /// A step from codes to the output of `id` as codes.
    fn code(&mut self, id: NodeId, from: &[Source], grid: Grid, kernel: impl Kernel + 'static) -> Result<NodeId> {
        let from = from.iter().map(|&from| Ok(self.coded(from)?.buffer)).collect::<Result<_>>()?;
        self.push_codes(id, from, grid, kernel);
        Ok(id)
    }

    /// A step from codes to the output of `id` as numbers.
    fn numbers(&mut self, id: NodeId, from: Source, output: Layout, kernel: impl Kernel + 'static) -> Result<NodeId> {
        let from = self.coded(from)?.value();
        Ok(self.step(id, &[from], output, kernel))
    }

    /// Codes as numbers, for layers that have no step for codes.
    pub(crate) fn decode(&mut self, id: NodeId, from: Coded) -> Result<()> {
        let output = self.layout(id)?;
        self.step(id, &[from.value()], output, Decode { size: from.size, grid: from.grid, output });
        Ok(())
    }

    /// A rounding that is a step of its own.
    fn quantise(&mut self, id: NodeId, input: NodeId, grid: Grid) -> Result<NodeId> {
        match self.source(input) {
            Some(from) if from.grid == grid => self.coded[id] = Some(self.coded(from)?),
            Some(from) => {
                let n = from.size.c;
                let kernel = affine(from, (vec![1.0; n], vec![0.0; n]), &Rounding { id, grid, bounds: Bounds::NONE });
                return self.code(id, &[from], grid, kernel);
            }
            None => {
                let value = self.value(input)?;
                self.encode(id, value, grid);
            }
        }
        Ok(id)
    }

    /// What rounds the output of `id`, which nothing else reads, perhaps behind a function that bounds it.
    fn rounding(&self, mut id: NodeId, mut bounds: Bounds) -> Option<Rounding> {
        while let [reader] = *self.net.readers(id) {
            match self.net.node(reader).layer {
                Layer::Activation(Activation::Quantise(grid)) => return Some(Rounding { id: reader, grid, bounds }),
                Layer::Activation(activation) if bounds == Bounds::NONE => match After::from(activation) {
                    After::Held(held) => bounds = held,
                    _ => return None,
                },
                _ => return None,
            }
            id = reader;
        }
        None
    }

    /// The codes of a layer's values, if their sums cannot overflow.
    fn codes_of(&self, id: NodeId) -> Result<Option<Int8Weights>> {
        let found = self.net.int8(self.weights, id)?.map(|(_, codes)| codes);
        Ok(found.filter(|codes| codes.weight.len() / codes.scales.len() <= Map::MOST))
    }

    fn convolve(&mut self, id: NodeId, conv: &Conv2d, from: Source) -> Result<Option<NodeId>> {
        let (Some(codes), Some(rounding)) = (self.codes_of(id)?, self.rounding(id, Bounds::NONE)) else {
            return Ok(None);
        };
        let (Shape::Image(_, h, w), 1) = (self.net.shape(id), conv.groups) else { return Ok(None) };
        let Conv2d { kernel, stride, padding, dilation, .. } = *conv;
        let padded = Layout::new(&self.net.node(from.id).name, self.net.shape(from.id), padding)?;
        let (c, row) = (from.size.c, padded.row() * from.size.c);
        // A row of the kernel is one run of codes, unless it leaves columns out.
        let joined = dilation.w == 1;
        let run = |y: usize| {
            let start = y * dilation.h * row;
            let one = move |x: usize| (start + x * dilation.w * c, c);
            if joined { vec![(start, kernel.w * c)] } else { (0..kernel.w).map(one).collect() }
        };
        let runs: Vec<(usize, usize)> = (0..kernel.h).flat_map(run).collect();
        let weight = beside(&codes.weight, c, kernel);
        let map = map(&codes, (&runs, &weight), from.zero());
        let positions = (0..h * w).map(|i| place(i / w * stride.h * row + i % w * stride.w * c)).collect();
        let to = rounding.codes(map.rounded_up(scales(&codes, from.grid, rounding.grid)));
        let output = Size::of(self.net.shape(id));
        let kernel = Convolve { map, input: from.size, padded, zero: from.zero(), positions, output, to };
        self.code(rounding.id, &[from], rounding.grid, kernel).map(Some)
    }

    fn weigh(&mut self, id: NodeId, from: Source) -> Result<Option<NodeId>> {
        let Some(codes) = self.codes_of(id)? else { return Ok(None) };
        let map = map(&codes, (&[(0, from.size.c)], &codes.weight), from.zero());
        let (input, output) = (from.size, Size::of(self.net.shape(id)));
        if let Some(rounding) = self.rounding(id, Bounds::NONE) {
            let to = To::Codes(rounding.codes(map.rounded_up(scales(&codes, from.grid, rounding.grid))));
            return self.code(rounding.id, &[from], rounding.grid, Weigh { map, input, output, to }).map(Some);
        }
        let to = To::Floats(codes.steps(from.grid));
        // Features stand without a border, whoever reads them.
        let layout = self.layout(id)?;
        self.numbers(id, from, layout, Weigh { map, input, output, to }).map(Some)
    }

    fn sum(&mut self, id: NodeId) -> Result<Option<NodeId>> {
        let [a, b] = *self.net.node(id).inputs else { return Ok(None) };
        let (Some(a), Some(b)) = (self.source(a), self.source(b)) else { return Ok(None) };
        let Some(rounding) = self.rounding(id, Bounds::NONE) else { return Ok(None) };
        let factors = [a, b].map(|from| from.grid.scale / rounding.grid.scale);
        let [zero_a, zero_b] = [a, b].map(|from| f32::from(from.zero()));
        let constant = -(factors[0] * zero_a + factors[1] * zero_b);
        let kernel = Sum { size: a.size, factors, constant, to: rounding.range() };
        self.code(rounding.id, &[a, b], rounding.grid, kernel).map(Some)
    }

    /// A scale and a shift of each channel, bounds, and a rounding.
    fn affine_codes(&mut self, id: NodeId, from: Source) -> Result<Option<NodeId>> {
        let Some(chain) = Chain::from(self.net, self.weights, id)? else { return Ok(None) };
        let rounding = match chain.after {
            After::Held(bounds) => self.rounding(chain.last, bounds),
            After::Each(Activation::Quantise(grid)) => Some(Rounding { id: chain.last, grid, bounds: Bounds::NONE }),
            _ => None,
        };
        let Some(rounding) = rounding else { return Ok(None) };
        let kernel = affine(from, chain.scales(), &rounding);
        self.code(rounding.id, &[from], rounding.grid, kernel).map(Some)
    }

    /// Features in the order of channels, then positions.
    fn flattened(&mut self, id: NodeId, from: Source) -> Result<NodeId> {
        let Size { c, h, w } = from.size;
        if h * w == 1 || c == 1 {
            self.coded[id] = Some(Coded { size: Size { c: c * h * w, h: 1, w: 1 }, ..self.coded(from)? });
            return Ok(id);
        }
        let places = |channel: usize| (0..h * w).map(move |position| place(position * c + channel));
        self.gather(id, from, (0..c).flat_map(places).collect())
    }

    fn gather(&mut self, id: NodeId, input: Source, from: Vec<u32>) -> Result<NodeId> {
        let (grid, output) = (input.grid, Size::of(self.net.shape(id)));
        self.code(id, &[input], grid, Gather { input: input.size, output, from })
    }
}

/// The linear map of a layer's codes, its weights as `runs` of its inputs want them.
fn map(codes: &Int8Weights, (runs, weight): (&[(usize, usize)], &[i8]), zero: u8) -> Map {
    let bias = codes.bias.clone().unwrap_or_else(|| vec![0; codes.scales.len()]);
    Map::new(Terms { runs, weight, bias: &bias, zero }, Isa::best())
}

/// What a step of each output's sums is in steps of the grid that they become codes of.
fn scales(codes: &Int8Weights, input: Grid, output: Grid) -> Vec<f32> {
    codes.steps(input).iter().map(|step| step / output.scale).collect()
}

/// Weights (outputs, inputs, rows, columns) as (outputs, rows, columns, inputs), as codes lie.
fn beside(weight: &[i8], inputs: usize, kernel: Pair) -> Vec<i8> {
    let area = kernel.area();
    let place = |i: usize| i / (area * inputs) * area * inputs + i % inputs * area + i / inputs % area;
    (0..weight.len()).map(|i| weight[place(i)]).collect()
}

/// A scale and a shift of each channel's numbers, from codes to codes.
fn affine(from: Source, (scale, shift): (Vec<f32>, Vec<f32>), rounding: &Rounding) -> Affine {
    let (size, step) = (from.size, rounding.grid.scale);
    let factors: Vec<f32> = scale.iter().map(|scale| scale * from.grid.scale / step).collect();
    let zero = f32::from(from.zero());
    let constants: Vec<f32> = shift.iter().zip(&factors).map(|(shift, factor)| shift / step - factor * zero).collect();
    Affine { size, factors: factors.repeat(size.w), constants: constants.repeat(size.w), to: rounding.range() }
}
