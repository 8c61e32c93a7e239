//! The forward pass of a masked network: the sub-network of open units is run, exactly.

use candle_core::Tensor;
use l0_ops::{BatchNormed, Epilogue, Selection};
use l0_rng::Stream;

use crate::activation::{Activation, beside, sum};
use crate::affine::Pass;
use crate::{ClosedMaps, Layer, Mask, Masks, Net, NodeId, Params, Plan, Result, Weights};

/// Whether a pass trains or evaluates.
#[derive(Clone, Copy)]
pub enum Mode<'a> {
    /// Batch statistics in normalisations; dropout draws its noise from the stream that belongs to the layer's name.
    Train(&'a dyn Fn(&str) -> Stream),
    /// Running statistics, no dropout.
    Eval,
}

impl Mode<'_> {
    fn is_training(self) -> bool {
        matches!(self, Self::Train(_))
    }
}

/// The result of a forward pass.
#[derive(Debug)]
pub struct Output {
    /// Output of the last layer, (b, n) or (b, c, h, w).
    pub ys: Tensor,
    /// What the running statistics of normalisations learn from this batch; empty in evaluation.
    pub statistics: Vec<StatisticsUpdate>,
}

/// New running statistics of one normalisation.
#[derive(Debug)]
pub struct StatisticsUpdate {
    node: String,
    mean: Tensor,
    var: Tensor,
}

impl StatisticsUpdate {
    /// `running = (1 - momentum) running + momentum batch`, the variance with Bessel's correction. Closed maps count as
    /// zero maps, or keep their statistics where the layer says that they stay zero.
    pub(crate) fn new(pass: &Pass, id: NodeId, xs: &Tensor, batch: &BatchNormed) -> Result<Self> {
        let node = pass.net.node(id).name.clone();
        let Layer::BatchNorm { momentum, closed, .. } = pass.net.node(id).layer else {
            return Err(crate::Error::layer(&node, "is not a batch norm"));
        };
        let kept = pass.plan.kept(id);
        let n = xs.elem_count() / kept.len();
        let unbiased = (&batch.var * (n as f64 / (n.max(2) - 1) as f64))?;
        let learn = |leaf: &str, new: &Tensor| -> Result<Tensor> {
            let old = pass.weights.of(&node, leaf)?.detach();
            let (new, rate) = (crate::activation::scatter(new, kept)?, learning(kept, closed, momentum, &old)?);
            Ok(((&old * (1.0 - &rate)?)? + (new * rate)?)?)
        };
        Ok(Self { mean: learn("running_mean", &batch.mean)?, var: learn("running_var", &unbiased)?, node })
    }
}

/// The momentum of each unit, (n,).
fn learning(kept: &Selection, closed: ClosedMaps, momentum: f64, like: &Tensor) -> Result<Tensor> {
    let rate = |open: &bool| if *open || closed == ClosedMaps::Constant { momentum as f32 } else { 0.0 };
    let rates: Vec<f32> = kept.mask().iter().map(rate).collect();
    Ok(Tensor::new(rates, like.device())?.to_dtype(like.dtype())?)
}

impl Params {
    /// Takes over what the running statistics learned in a forward pass.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn learn(&self, updates: &[StatisticsUpdate]) -> Result<()> {
        updates.iter().try_for_each(|StatisticsUpdate { node, mean, var }| {
            self.get(&format!("{node}.running_mean"))?.var.set(mean)?;
            Ok(self.get(&format!("{node}.running_var"))?.var.set(var)?)
        })
    }
}

/// Layers that are computed as one: a linear map or normalisation, then ReLU, then max pooling.
struct Fused {
    last: NodeId,
    relu: bool,
    max_pool: usize,
}

impl Net {
    /// Runs the network on `xs`, (b, features) or (b, c, h, w), with its spaces masked.
    ///
    /// A unit that a shared mask scales by 0 is not computed, forward or backward, nor is one that nobody reads; the
    /// result and all gradients equal those of the full computation.
    ///
    /// # Errors
    /// If `xs` does not have the network's input shape, or a parameter is missing.
    pub fn forward(&self, weights: &Weights, xs: &Tensor, masks: &Masks, mode: Mode) -> Result<Output> {
        let plan = Plan::new(self, masks, mode.is_training());
        let expected = self.shape(0).dims();
        if xs.dims().get(1..) != Some(expected.as_slice()) {
            let name = "input (without the batch)".into();
            return Err(crate::Error::Shape { name, found: xs.dims().get(1..).unwrap_or(&[]).into(), expected });
        }
        Pass { net: self, plan: &plan, masks, weights }.run(xs, mode)
    }
}

impl Pass<'_> {
    fn run(&self, xs: &Tensor, mode: Mode) -> Result<Output> {
        let mut statistics = Vec::new();
        let made = self.activations(xs, mode, true, &mut statistics)?;
        let out = self.net.output();
        let last = made[out].as_ref().ok_or_else(|| crate::Error::layer("", "the output was not computed"))?;
        let all = Selection::all(self.net.shape(out).units());
        Ok(Output { ys: last.expand(&all, xs.dim(0)?, self.net.shape(out), xs)?, statistics })
    }

    /// What every node makes; none for nodes inside a run of layers that are computed as one, if `fuse`.
    pub(crate) fn activations(
        &self,
        xs: &Tensor,
        mode: Mode,
        fuse: bool,
        statistics: &mut Vec<StatisticsUpdate>,
    ) -> Result<Vec<Option<Activation>>> {
        let nodes = self.net.nodes().len();
        let mut made: Vec<Option<Activation>> = vec![None; nodes];
        let mut inside = vec![false; nodes]; // of a fused group, but not its last node
        for id in 0..nodes {
            if made[id].is_some() || inside[id] {
                continue;
            }
            let inputs: Vec<&Activation> = self.net.node(id).inputs.iter().filter_map(|&i| made[i].as_ref()).collect();
            let fused = if fuse { self.fused(id) } else { Fused { last: id, relu: false, max_pool: 1 } };
            let activation = self.layer(id, &fused, xs, &inputs, mode, statistics)?;
            let mut at = id;
            while at != fused.last {
                inside[at] = true;
                at = self.net.readers(at)[0];
            }
            made[fused.last] = Some(activation);
        }
        Ok(made)
    }

    /// The run of layers from `id` on that is computed as one.
    fn fused(&self, id: NodeId) -> Fused {
        let mut fused = Fused { last: id, relu: false, max_pool: 1 };
        let layer = &self.net.node(id).layer;
        let per_example = matches!(self.masks.get(self.net.space(id)), Some(Mask::PerExample(_)));
        if per_example && self.net.makes_space(id) {
            return fused;
        }
        let next = |id: NodeId| match self.net.readers(id) {
            [reader] => Some((*reader, &self.net.node(*reader).layer)),
            _ => None,
        };
        if let (true, Some((relu, Layer::Relu))) =
            (layer.is_affine() || matches!(layer, Layer::BatchNorm { .. }), next(id))
        {
            fused = Fused { last: relu, relu: true, max_pool: 1 };
        }
        if let (Layer::Conv2d { .. }, Some((pool, Layer::MaxPool2d { size }))) = (layer, next(fused.last)) {
            fused = Fused { last: pool, max_pool: *size, ..fused };
        }
        fused
    }

    fn layer(
        &self,
        id: NodeId,
        fused: &Fused,
        xs: &Tensor,
        inputs: &[&Activation],
        mode: Mode,
        statistics: &mut Vec<StatisticsUpdate>,
    ) -> Result<Activation> {
        let kept = self.plan.kept(id);
        match (&self.net.node(id).layer, inputs) {
            (Layer::Input { .. }, _) => {
                let kept = self.entering(id, &Selection::all(kept.total()), mode);
                let computed = (!kept.is_empty()).then(|| l0_ops::take(xs, 1, &kept)).transpose()?;
                self.entered(id, Activation { computed, kept, constants: None, scale: None })
            }
            (Layer::Linear { .. } | Layer::Conv2d { .. }, [input]) => self.linear_map(id, fused, input, xs),
            (Layer::BatchNorm { eps, .. }, [input]) => match mode {
                Mode::Eval => self.norm_eval(id, *eps, &self.aligned(id, input)?, fused.relu),
                Mode::Train(_) => {
                    let (activation, update) = self.norm_train(id, *eps, &self.aligned(id, input)?, fused.relu)?;
                    statistics.extend(update);
                    Ok(activation)
                }
            },
            (Layer::Relu, [input]) => self.aligned(id, input)?.map(l0_ops::relu),
            (Layer::MaxPool2d { size }, [input]) => self.aligned(id, input)?.pool(|xs| l0_ops::max_pool2d(xs, *size)),
            (Layer::AvgPool, [input]) => self.aligned(id, input)?.pool(l0_ops::avg_pool),
            (Layer::Flatten, [input]) => self.flatten(id, &self.varying(id, input, xs)?, mode),
            (Layer::Take { units }, [input]) => self.take(id, units, &self.varying(id, input, xs)?),
            (Layer::Dropout { p }, [input]) => match mode {
                Mode::Eval => self.aligned(id, input),
                Mode::Train(noise) => {
                    let xs = self.expanded(id, input, xs)?;
                    let mut stream = noise(&self.net.node(id).name);
                    self.computed(id, |_| {
                        let noise = Tensor::from_vec(stream.uniforms(xs.elem_count()), xs.dims(), xs.device())?;
                        l0_ops::dropout(&xs, &noise.to_dtype(xs.dtype())?, *p as f32)
                    })
                }
            },
            (Layer::Add, [a, b]) => {
                let constants = match (&a.constants, &b.constants) {
                    (Some(a), Some(b)) => Some(sum(a, b)?),
                    (a, b) => (*a).clone().or_else(|| (*b).clone()),
                };
                let (a, b) = (self.expanded(id, a, xs)?, self.expanded(id, b, xs)?);
                Ok(Activation { constants: self.masked_constants(id, constants)?, ..self.computed(id, |_| &a + &b)? })
            }
            (Layer::Bias { .. }, [input]) => self.biased(id, input, xs),
            (layer, _) => Err(crate::Error::layer(&self.net.node(id).name, format!("{} lacks an input", layer.kind()))),
        }
    }

    /// Applies a mask where a space is made by something that is not a linear map.
    fn entered(&self, id: NodeId, made: Activation) -> Result<Activation> {
        match self.masks.get(self.net.space(id)) {
            None => Ok(made),
            Some(Mask::Shared(z)) => {
                let constants = made.constants.as_ref().map(|c| c.broadcast_mul(&beside(z, c)?)).transpose()?;
                if self.folds_scale(id) {
                    return Ok(Activation { constants, scale: Some(z.clone()), ..made });
                }
                let z = l0_ops::take(z, 0, &made.kept)?;
                Ok(Activation {
                    constants,
                    ..made.map_computed(|xs| xs.broadcast_mul(&z.reshape(unit_dims(xs, z.elem_count()))?))?
                })
            }
            Some(Mask::PerExample(_)) => self.per_example(id, made),
        }
    }

    fn per_example(&self, id: NodeId, made: Activation) -> Result<Activation> {
        let Some(Mask::PerExample(z)) = self.masks.get(self.net.space(id)) else { return Ok(made) };
        let z = l0_ops::take(z, 1, &made.kept)?;
        made.map_computed(|xs| {
            let mut dims = xs.dims().to_vec();
            dims[2..].fill(1);
            xs.broadcast_mul(&z.reshape(dims)?)
        })
    }

    fn linear_map(&self, id: NodeId, fused: &Fused, input: &Activation, xs: &Tensor) -> Result<Activation> {
        let kept = self.plan.kept(id);
        let constants = self.affine_constants(id, input)?;
        let epilogue = Epilogue { relu: fused.relu, max_pool: fused.max_pool };
        let constants = match constants {
            Some(c) if c.rank() > 1 => Some(finish(&c.unsqueeze(0)?, epilogue)?.squeeze(0)?),
            Some(c) => Some(if fused.relu { l0_ops::relu(&c)? } else { c }),
            None => None,
        };
        let made = Activation { computed: None, kept: kept.clone(), constants, scale: None };
        if kept.is_empty() {
            return Ok(made);
        }
        let block = self.affine(id, kept, input)?;
        let ys = match (&self.net.node(id).layer, &block.weight, &input.computed) {
            (Layer::Linear { .. }, Some(weight), Some(xs)) if fused.relu => {
                l0_ops::linear_relu(xs, weight, block.bias.as_ref())?
            }
            (Layer::Linear { .. }, Some(weight), Some(xs)) => l0_ops::linear(xs, weight, block.bias.as_ref())?,
            (Layer::Conv2d { stride, padding, .. }, Some(weight), Some(xs)) => match &block.map {
                None => l0_ops::conv2d_epilogue(xs, weight, block.bias.as_ref(), *stride, *padding, epilogue)?,
                Some(map) => finish(
                    &l0_ops::conv2d(xs, weight, block.bias.as_ref(), *stride, *padding)?.broadcast_add(map)?,
                    epilogue,
                )?,
            },
            _ => finish(&self.constant_maps(id, &block, xs.dim(0)?)?, epilogue)?,
        };
        self.per_example(id, Activation { computed: Some(ys), ..made })
    }

    /// Units made of constants alone that are computed all the same: patterns in training, or scaled per example.
    fn constant_maps(&self, id: NodeId, block: &crate::affine::Affine, batch: usize) -> Result<Tensor> {
        let map = block.map.as_ref().map(|map| map.squeeze(0)).transpose()?;
        let values = match (&block.bias, map) {
            (Some(bias), Some(map)) => sum(bias, &map)?,
            (Some(bias), None) => bias.clone(),
            (None, Some(map)) => map,
            (None, None) => return Err(crate::Error::layer(&self.net.node(id).name, "has no computed input")),
        };
        let rows = values.dim(0)?;
        let shape = self.net.shape(id).with_units(rows);
        let kept = Selection::of(&vec![false; rows]);
        let made = Activation { computed: None, kept, constants: Some(values.clone()), scale: None };
        made.expand(&Selection::all(rows), batch, shape, &values)
    }

    /// The input of a layer whose units are scaled per example, constants spread over the examples.
    fn varying(&self, id: NodeId, input: &Activation, xs: &Tensor) -> Result<Activation> {
        if input.constants.is_none() || !self.masks.varies(self.net.space(id)) {
            return Ok(input.clone());
        }
        let kept = Selection::all(input.kept.total());
        let computed = input.expand(&kept, xs.dim(0)?, self.net.shape(self.net.node(id).inputs[0]), xs)?;
        Ok(Activation { computed: Some(computed), kept, constants: None, scale: None })
    }

    /// The units of `input` that a layer acting unit by unit keeps: fewer than its input has where another reader has more.
    fn aligned(&self, id: NodeId, input: &Activation) -> Result<Activation> {
        let kept = self.plan.kept(id);
        let constants = self.masked_constants(id, input.constants.clone())?;
        let computed = input.computed.as_ref().filter(|_| !kept.is_empty());
        let computed = computed.map(|xs| l0_ops::take(xs, 1, &within(&input.kept, kept))).transpose()?;
        Ok(Activation { computed, kept: kept.clone(), constants, scale: None })
    }

    /// Constants of the units that are still constant after node `id`, 0 for all others.
    pub(crate) fn masked_constants(&self, id: NodeId, constants: Option<Tensor>) -> Result<Option<Tensor>> {
        let constant = self.plan.constants(id);
        let Some(constants) = constants.filter(|_| !constant.is_empty()) else { return Ok(None) };
        let mask: Vec<f32> = constant.mask().iter().map(|&m| f32::from(u8::from(m))).collect();
        let mask = Tensor::new(mask, constants.device())?.to_dtype(constants.dtype())?;
        Ok(Some(constants.broadcast_mul(&beside(&mask, &constants)?)?))
    }

    fn expanded(&self, id: NodeId, input: &Activation, xs: &Tensor) -> Result<Tensor> {
        let kept = self.plan.kept(id);
        if kept.is_empty() { Ok(xs.clone()) } else { input.expand(kept, xs.dim(0)?, self.net.shape(id), xs) }
    }

    fn computed(&self, id: NodeId, mut f: impl FnMut(&Selection) -> candle_core::Result<Tensor>) -> Result<Activation> {
        let kept = self.plan.kept(id);
        let computed = (!kept.is_empty()).then(|| f(kept)).transpose()?;
        Ok(Activation { computed, kept: kept.clone(), constants: None, scale: None })
    }

    fn flatten(&self, id: NodeId, input: &Activation, mode: Mode) -> Result<Activation> {
        let positions = self.net.shape(self.net.node(id).inputs[0]).positions();
        let spread = Selection::of(&repeat(&input.kept.mask(), positions));
        let kept = self.entering(id, &spread, mode);
        let computed = input.computed.as_ref().filter(|_| !kept.is_empty());
        let computed = computed.map(|xs| l0_ops::take(&xs.flatten_from(1)?, 1, &within(&spread, &kept))).transpose()?;
        let constants = match &input.constants {
            Some(c) if c.rank() > 1 => Some(c.flatten_all()?),
            Some(c) => Some(c.unsqueeze(1)?.broadcast_as((c.elem_count(), positions))?.contiguous()?.flatten_all()?),
            None => None,
        };
        self.entered(id, Activation { computed, kept, constants, scale: None })
    }

    /// The units that enter a space by being copied from those `available`. In training, copying out most of them costs
    /// more than leaving the closed ones in, where linear maps multiply them by their mask's 0.
    fn entering(&self, id: NodeId, available: &Selection, mode: Mode) -> Selection {
        let kept = self.plan.kept(id);
        let most = 5 * kept.len() >= 4 * available.len();
        let folded = self.scale(id).is_some() && self.folds_scale(id);
        if mode.is_training() && most && folded { available.clone() } else { kept.clone() }
    }

    /// Whether all that reads a space are linear maps, which fold its scale into their weights: that also spares the
    /// gradient of the input.
    fn folds_scale(&self, id: NodeId) -> bool {
        let readers = self.net.readers(id);
        !readers.is_empty() && readers.iter().all(|&reader| self.net.node(reader).layer.is_affine())
    }

    fn take(&self, id: NodeId, units: &[u32], input: &Activation) -> Result<Activation> {
        let kept = self.plan.kept(id);
        let place: Vec<u32> = input
            .kept
            .mask()
            .iter()
            .scan(0u32, |next, &kept| {
                let at = *next;
                *next += u32::from(kept);
                Some(at)
            })
            .collect();
        let wanted: Vec<u32> = kept.iter().map(|unit| place[units[unit] as usize]).collect();
        let pick =
            |xs: &Tensor, dim, wanted: Vec<u32>| xs.contiguous()?.index_select(&Tensor::new(wanted, xs.device())?, dim);
        let computed =
            input.computed.as_ref().filter(|_| !kept.is_empty()).map(|xs| pick(xs, 1, wanted)).transpose()?;
        let constants = input.constants.as_ref().map(|c| pick(c, 0, units.to_vec())).transpose()?;
        self.entered(id, Activation { computed, kept: kept.clone(), constants, scale: None })
    }

    fn biased(&self, id: NodeId, input: &Activation, xs: &Tensor) -> Result<Activation> {
        let bias = self.weights.of(&self.net.node(id).name, "bias")?;
        let ys = self.expanded(id, input, xs)?;
        let constants = input.constants.as_ref().map_or(Ok(bias.clone()), |c| sum(c, bias))?;
        let constants = self.masked_constants(id, Some(constants))?;
        let made = self.computed(id, |kept| {
            let bias = l0_ops::take(bias, 0, kept)?;
            let mut dims = vec![1; ys.rank()];
            dims[1..1 + bias.rank()].copy_from_slice(bias.dims());
            ys.broadcast_add(&bias.reshape(dims)?)
        })?;
        Ok(Activation { constants, ..made })
    }
}

fn finish(ys: &Tensor, epilogue: Epilogue) -> Result<Tensor> {
    let ys = if epilogue.relu { l0_ops::relu(ys)? } else { ys.clone() };
    Ok(if epilogue.max_pool > 1 { l0_ops::max_pool2d(&ys, epilogue.max_pool)? } else { ys })
}

/// (1, n) or (1, n, 1, 1): the shape in which n values scale the units of `xs`.
fn unit_dims(xs: &Tensor, n: usize) -> Vec<usize> {
    let mut dims = vec![1; xs.rank()];
    dims[1] = n;
    dims
}

fn repeat(mask: &[bool], times: usize) -> Vec<bool> {
    mask.iter().flat_map(|&kept| std::iter::repeat_n(kept, times)).collect()
}

/// The places of the units `wanted` among those of `held`.
fn within(held: &Selection, wanted: &Selection) -> Selection {
    let wanted = wanted.mask();
    Selection::of(&held.iter().map(|unit| wanted[unit]).collect::<Vec<_>>())
}
