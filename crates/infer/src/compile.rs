//! From the description of a network to its steps.

use l0_net::layers::{Border, Conv2d, ConvTranspose2d, Pad, PadUnits, Stride, Upsample, UpsampleMode};
use l0_net::{Layer, Net, NodeId, Pair, Shape, Sides, Weights};

use crate::Result;
use crate::conv::{Conv, Parts};
use crate::fallback::Fallback;
use crate::fold::{Chain, flat, values};
use crate::int8_kernels::Coded;
use crate::kernel::Kernel;
use crate::layout::Layout;
use crate::linear::Linear;
use crate::minimal::{self, Minimal};
use crate::moves::{Bilinear, Places, Units};
use crate::pointwise::{Add, Map, Mul, Pointwise};
use crate::pool::{Global, Pool};
use crate::program::{Program, Step, share};
use crate::softmax::Softmax;
use crate::transposed::{self, Transposed};

/// Where the output of a node is to be found.
#[derive(Clone, Copy)]
pub(crate) struct Value {
    pub(crate) buffer: usize,
    pub(crate) layout: Layout,
}

pub(crate) struct Compiler<'a> {
    pub(crate) net: &'a Net,
    pub(crate) weights: &'a Weights,
    /// The border that the readers of each node want.
    pads: Vec<Sides>,
    pub(crate) values: Vec<Option<Value>>,
    /// The same of what is kept as codes of 8 bits.
    pub(crate) coded: Vec<Option<Coded>>,
    steps: Vec<Step>,
    buffers: Vec<Layout>,
}

impl Program {
    pub(crate) fn new(net: &Net, weights: &Weights) -> Result<Self> {
        weights.check(net)?;
        let nodes = net.nodes().len();
        let (values, steps, buffers) = (vec![None; nodes], Vec::new(), Vec::new());
        let read = read(net);
        let coded = vec![None; nodes];
        let mut compiler = Compiler { net, weights, pads: pads(net, &read), values, coded, steps, buffers };
        let mut inside = vec![false; nodes]; // of a chain that is one step
        for id in (0..nodes).filter(|&id| read[id]) {
            if inside[id] {
                continue;
            }
            let last = match compiler.int8(id)? {
                Some(last) => last,
                None => compiler.layer(id)?,
            };
            let mut at = id;
            while at != last {
                at = net.readers(at)[0];
                inside[at] = true;
            }
        }
        let output = compiler.value(net.output())?.buffer;
        Ok(share(compiler.steps, &compiler.buffers, output))
    }
}

/// The zeros that convolutions which the output depends on want around the output of each node.
fn pads(net: &Net, read: &[bool]) -> Vec<Sides> {
    let mut pads = vec![Sides::default(); net.nodes().len()];
    for id in (0..pads.len()).rev() {
        for &reader in net.readers(id).iter().filter(|&&reader| read[reader]) {
            let wanted = match (&net.node(reader).layer, net.shape(id), net.shape(reader)) {
                (Layer::Conv2d(conv), input, Shape::Image(_, h, w)) if filtered(conv, input, (h, w)) => {
                    minimal::border(conv.padding, h, w)
                }
                (Layer::Conv2d(conv), ..) => conv.padding,
                (Layer::ConvTranspose2d(conv), Shape::Image(_, h, w), Shape::Image(_, oh, ow)) => {
                    transposed::border(conv, (h, w), (oh, ow))
                }
                (Layer::Dropout(_) | Layer::Identity(_), ..) => pads[reader],
                _ => Sides::default(),
            };
            let (a, b) = (pads[id].array(), wanted.array());
            pads[id] = std::array::from_fn(|i| a[i].max(b[i])).into();
        }
    }
    pads
}

/// Whether a convolution of images of `input` to (h, w) is one for minimal filtering.
fn filtered(conv: &Conv2d, input: Shape, (h, w): (usize, usize)) -> bool {
    let plain = conv.groups == 1 && conv.stride == Pair::ONE && conv.dilation == Pair::ONE;
    plain && conv.kernel == Pair::from(3) && minimal::serves(input.units(), conv.out, h, w)
}

/// Whether the output depends on each node.
fn read(net: &Net) -> Vec<bool> {
    let mut read = vec![false; net.nodes().len()];
    read[net.output()] = true;
    read[0] = true; // the input has to be put somewhere
    for id in (0..read.len()).rev().filter(|&id| id > 0) {
        if read[id] {
            net.node(id).inputs.iter().for_each(|&input| read[input] = true);
        }
    }
    read
}

impl Compiler<'_> {
    /// Where the output of a node is, as numbers.
    pub(crate) fn value(&mut self, id: NodeId) -> Result<Value> {
        if let (None, Some(coded)) = (self.values[id], self.coded[id]) {
            self.decode(id, coded)?;
        }
        Ok(self.values[id].expect("a node stands after those it reads, so they have been compiled"))
    }

    fn values(&self, id: NodeId, leaf: &str) -> Result<Vec<f32>> {
        values(self.net, self.weights, id, leaf)
    }

    pub(crate) fn layout(&self, id: NodeId) -> Result<Layout> {
        Layout::new(&self.net.node(id).name, self.net.shape(id), self.pads[id])
    }

    /// A step that makes the output of `id`, in a buffer of its own for now.
    pub(crate) fn step(
        &mut self,
        id: NodeId,
        inputs: &[Value],
        output: Layout,
        kernel: impl Kernel + 'static,
    ) -> NodeId {
        let inputs = inputs.iter().map(|value| value.buffer).collect();
        let buffer = self.push(inputs, output, kernel);
        self.values[id] = Some(Value { buffer, layout: output });
        id
    }

    /// A step from buffers to a new one.
    pub(crate) fn push(&mut self, inputs: Vec<usize>, output: Layout, kernel: impl Kernel + 'static) -> usize {
        self.buffers.push(output);
        let output = self.buffers.len() - 1;
        self.steps.push(Step { kernel: Box::new(kernel), inputs, output });
        output
    }

    /// Compiles a layer and those that go into the same step; the last of them.
    fn layer(&mut self, id: NodeId) -> Result<NodeId> {
        let node = self.net.node(id);
        let all = node.inputs.iter().map(|&input| self.value(input)).collect::<Result<Vec<Value>>>()?;
        let layouts: Vec<Layout> = all.iter().map(|value| value.layout).collect();
        let output = self.layout(id)?;
        let &[input, ..] = layouts.as_slice() else {
            self.buffers.push(output);
            self.values[id] = Some(Value { buffer: 0, layout: output });
            return Ok(id);
        };
        Ok(match &node.layer {
            Layer::Conv2d(conv) => self.conv(id, conv, all[0])?,
            Layer::ConvTranspose2d(conv) => self.transposed(id, conv, all[0])?,
            Layer::Linear(linear) => self.linear(id, linear.bias, all[0])?,
            Layer::Dropout(_) | Layer::Identity(_) => {
                self.values[id] = Some(all[0]);
                id
            }
            Layer::Flatten(_) => self.flatten(id, all[0])?,
            Layer::MaxPool2d(pool) => self.step(id, &all, output, Pool::max(pool, input, output)),
            Layer::AvgPool2d(pool) => self.step(id, &all, output, Pool::mean(pool, input, output)),
            Layer::GlobalPool(pool) => self.step(id, &all, output, Global { input, output, kind: pool.kind }),
            Layer::Take(_) | Layer::Concat(_) | Layer::PadUnits(_) => {
                let from = picked(&node.layer, &layouts);
                self.step(id, &all, output, Units { inputs: layouts, output, from })
            }
            Layer::Pad(_) | Layer::Stride(_) | Layer::Upsample(_) => self.placed(id, &all, output),
            Layer::Softmax(_) => self.step(id, &all, output, Softmax { input, output }),
            Layer::Add(_) => {
                let Chain { last, after, .. } = self.then(id)?;
                let output = self.layout(last)?;
                self.step(last, &all, output, Add { inputs: layouts, output, after })
            }
            Layer::Mul(_) => {
                let Chain { last, after, .. } = self.then(id)?;
                let (inputs, output) = ([layouts[0], layouts[1]], self.layout(last)?);
                let image = usize::from(inputs[1].h * inputs[1].w > inputs[0].h * inputs[0].w);
                self.step(last, &all, output, Mul { inputs, image, output, after })
            }
            _ => self.pointwise(id, &all, &layouts)?,
        })
    }

    /// The chain that starts with a linear map, whose weight it scales; and its bias.
    fn affine(&self, id: NodeId, weight: &mut [f32], bias: bool, pools: bool) -> Result<(Chain, Vec<f32>)> {
        let chain = Chain::after(self.net, self.weights, id, pools)?;
        let bias = if bias { Some(self.values(id, "bias")?) } else { None };
        let bias = chain.fold(weight, bias);
        Ok((chain, bias))
    }

    fn linear(&mut self, id: NodeId, bias: bool, input: Value) -> Result<NodeId> {
        let mut weight = self.values(id, "weight")?;
        let (chain, bias) = self.affine(id, &mut weight, bias, false)?;
        let output = self.layout(chain.last)?;
        Ok(self.step(chain.last, &[input], output, Linear::new(input.layout.c, &weight, &bias, chain.after)))
    }

    fn conv(&mut self, id: NodeId, conv: &Conv2d, from: Value) -> Result<NodeId> {
        let mut weight = self.values(id, "weight")?;
        let Shape::Image(_, h, w) = self.net.shape(id) else { return Ok(id) };
        let filtered = filtered(conv, self.net.shape(self.net.node(id).inputs[0]), (h, w));
        let (chain, bias) = self.affine(id, &mut weight, conv.bias, !filtered)?;
        let (mut input, layout) = (from.layout, self.layout(chain.last)?);
        let (mut output, Chain { last, pool, after, .. }) = (layout, chain);
        if filtered {
            let conv = Minimal::new(conv.padding, input, output, &weight, bias, after);
            return Ok(self.step(last, &[from], layout, conv));
        }
        let plain = conv.groups == 1 && conv.padding.is_empty() && conv.dilation == Pair::ONE && !pool;
        let bare = plain && input.is_bare() && output.is_bare();
        if bare && (conv.kernel.h, conv.kernel.w) == (input.h, input.w) {
            let linear = Linear::new(input.len(), &weight, &bias, after);
            return Ok(self.step(last, &[from], layout, linear));
        }
        if bare && conv.kernel == Pair::ONE && conv.stride == Pair::ONE {
            (input, output) = (input.rows_of_channels(), output.rows_of_channels());
        }
        let Conv2d { kernel, stride, padding, dilation, groups, .. } = *conv;
        let row = |k: usize| (k / kernel.w * dilation.h) as isize - padding.top as isize;
        let column = |k: usize| (k % kernel.w * dilation.w) as isize - padding.left as isize;
        let taps = (0..kernel.area()).map(|k| (row(k), column(k))).collect();
        let conv = Conv::new(Parts { taps, stride, groups, weight, bias, pool, after }, input, output);
        Ok(self.step(last, &[from], layout, conv))
    }

    fn transposed(&mut self, id: NodeId, conv: &ConvTranspose2d, from: Value) -> Result<NodeId> {
        let weight = self.values(id, "weight")?;
        let area = conv.kernel.area();
        let kernel = |at: usize| &weight[(at % from.layout.c * conv.out + at / from.layout.c) * area..][..area];
        let mut weight: Vec<f32> = (0..conv.out * from.layout.c).flat_map(kernel).copied().collect();
        let (chain, bias) = self.affine(id, &mut weight, conv.bias, false)?;
        let output = self.layout(chain.last)?;
        let conv = Transposed::new(conv, from.layout, output, &weight, &bias, &chain.after);
        Ok(self.step(chain.last, &[from], output, conv))
    }

    /// Features are the values of an image in one piece: the same buffer, unless that has a border.
    fn flatten(&mut self, id: NodeId, input: Value) -> Result<NodeId> {
        let layout = input.layout.flat();
        let mut value = input;
        if !input.layout.is_bare() {
            let output = Layout { pad: Sides::default(), ..input.layout };
            self.step(id, &[input], output, Units::copy(input.layout, output));
            value = self.value(id)?;
        }
        self.values[id] = Some(Value { layout, ..value });
        Ok(id)
    }

    /// Rows and columns that are picked, repeated, mixed, or made of zeros.
    fn placed(&mut self, id: NodeId, all: &[Value], output: Layout) -> NodeId {
        let input = all[0].layout;
        let places = match &self.net.node(id).layer {
            Layer::Pad(Pad { padding }) => {
                Places::new(input, output, |y| y.checked_sub(padding.top), |x| x.checked_sub(padding.left))
            }
            Layer::Stride(Stride { start, step }) => {
                Places::new(input, output, |y| Some(start.h + y * step.h), |x| Some(start.w + x * step.w))
            }
            &Layer::Upsample(Upsample { mode: UpsampleMode::Bilinear { align_corners }, .. }) => {
                return self.step(id, all, output, Bilinear::new(input, output, align_corners));
            }
            _ => {
                let factor = (output.h / input.h, output.w / input.w);
                Places::new(input, output, |y| Some(y / factor.0), |x| Some(x / factor.1))
            }
        };
        self.step(id, all, output, places)
    }

    /// What can be a scale and a shift of each channel and a function of each number, or constants to be added; or a
    /// layer without a step of its own.
    fn pointwise(&mut self, id: NodeId, all: &[Value], layouts: &[Layout]) -> Result<NodeId> {
        let input = layouts[0];
        if let Some(chain) = Chain::from(self.net, self.weights, id)? {
            let (output, (scale, shift)) = (self.layout(chain.last)?, chain.scales());
            return Ok(self.step(
                chain.last,
                all,
                output,
                Pointwise { input, output, scale, shift, after: chain.after },
            ));
        }
        let Some(values) = self.map(id)? else {
            let output = self.layout(id)?;
            let fallback = Fallback::new(self.net, self.weights, id, layouts.to_vec(), output)?;
            return Ok(self.step(id, all, output, fallback));
        };
        let Chain { last, after, .. } = self.then(id)?;
        let output = self.layout(last)?;
        Ok(self.step(last, all, output, Map { input, output, values, after }))
    }

    /// The constants of a bias or border at every position.
    fn map(&self, id: NodeId) -> Result<Option<Vec<f32>>> {
        Ok(match (&self.net.node(id).layer, self.net.shape(id)) {
            (Layer::Border(Border { margins }), Shape::Image(_, h, w)) => {
                let distinct = self.weights.get(&format!("{}.bias", self.net.node(id).name))?;
                Some(flat(&margins.expand(distinct, h, w)?)?)
            }
            (Layer::Bias(_), _) => Some(self.values(id, "bias")?),
            _ => None,
        })
    }

    /// The function of each number that alone reads `id`, if there is one.
    fn then(&self, id: NodeId) -> Result<Chain> {
        Chain::functions(self.net, self.weights, id)
    }
}

/// Of which unit of which input each unit is.
fn picked(layer: &Layer, inputs: &[Layout]) -> Vec<Option<(usize, usize)>> {
    let of = |(i, input): (usize, &Layout)| (0..input.c).map(move |unit| Some((i, unit)));
    match layer {
        Layer::Take(take) => take.units.iter().map(|&unit| Some((0, unit as usize))).collect(),
        &Layer::PadUnits(PadUnits { before, after }) => {
            let none = |n| std::iter::repeat_n(None, n);
            none(before).chain((0..inputs[0].c).map(|unit| Some((0, unit)))).chain(none(after)).collect()
        }
        _ => inputs.iter().enumerate().flat_map(of).collect(),
    }
}
