//! The forward pass of a masked network: the sub-network of open units is run, exactly.

use candle_core::{DType, Tensor};
use l0_ops::{BatchNormed, Running, Selection};
use l0_rng::Stream;

use crate::activation::{Activation, sum};
use crate::affine::Pass;
use crate::params::expect_f32;
use crate::{Error, Layer, Mask, Masks, Net, NodeId, Params, Plan, Result, Unit, Weights};

/// Whether a pass trains or evaluates.
#[derive(Clone, Copy)]
pub enum Mode<'a> {
    /// Batch statistics in normalisations; dropout draws its noise from the stream that belongs to the layer's name.
    Train(&'a dyn Fn(&str) -> Stream),
    /// Running statistics, no dropout.
    Eval,
}

impl Mode<'_> {
    pub(crate) fn is_training(self) -> bool {
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
    /// `running = (1 - momentum) running + momentum batch`, the variance with Bessel's correction; none where no unit
    /// learns. `batch` is of the computed units. A constant is its own mean, with variance 0, and a closed map is 0,
    /// but keeps its statistics where the layer says that it stays zero. A unit that nobody reads is not computed, so
    /// it keeps its statistics too. One value says nothing of a variance: computed units then keep theirs.
    pub(crate) fn new(
        pass: &Pass,
        id: NodeId,
        input: &Activation,
        batch: Option<&BatchNormed>,
    ) -> Result<Option<Self>> {
        let node = pass.net.node(id).name.clone();
        let Layer::BatchNorm { momentum, .. } = pass.net.node(id).layer else {
            return Err(Error::layer(&node, "is not a batch norm"));
        };
        let learns = learning(pass, id);
        if !learns.contains(&true) {
            return Ok(None);
        }
        let kept = pass.plan.kept(id);
        let n = input.computed.as_ref().map_or(0, |xs| xs.elem_count() / kept.len());
        let learn = |leaf: &str, learns: &[bool], values, factor, constants| -> Result<Tensor> {
            let rates: Vec<f32> = learns.iter().map(|&learns| if learns { momentum as f32 } else { 0.0 }).collect();
            let new = Running { values, factor, kept, constants, rates: &rates };
            Ok(l0_ops::running(pass.weights.of(&node, leaf)?, &new)?)
        };
        let mean = batch.map(|batch| &batch.mean);
        let mean = learn("running_mean", &learns, mean, 1.0, input.constants.as_ref())?;
        // In such a batch a computed unit is its own mean, so that it becomes `shift` and hands no gradient on: an epoch
        // may end with one example, and the others have taught enough.
        let of_one = kept.mask().into_iter().map(|computed| computed && n == 1);
        let vary: Vec<bool> = learns.iter().zip(of_one).map(|(&learns, of_one)| learns && !of_one).collect();
        let unbiased = n as f64 / (n.max(2) - 1) as f64;
        let var = learn("running_var", &vary, batch.map(|batch| &batch.var), unbiased, None)?;
        Ok(Some(Self { node, mean, var }))
    }
}

/// For each unit of the normalisation `id`, whether what it reads is known.
fn learning(pass: &Pass, id: NodeId) -> Vec<bool> {
    let input = pass.plan.units(pass.net.node(id).inputs[0]);
    let forgets = |place: usize| pass.stays_zero(id) && pass.masks.is_filler(pass.net.space(id), place);
    let learns = |(place, (unit, input)): (usize, (&Unit, &Unit))| match unit {
        _ if forgets(place) => false,
        Unit::Computed | Unit::Constant | Unit::Pattern => true,
        Unit::Zero => false,
        Unit::Unread => *input == Unit::Zero,
    };
    pass.plan.units(id).iter().zip(input).enumerate().map(learns).collect()
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
pub(crate) struct Fused {
    pub(crate) last: NodeId,
    pub(crate) relu: bool,
    pub(crate) max_pool: usize,
}

impl Net {
    /// Runs the network on `xs`, (b, features) or (b, c, h, w), with its spaces masked.
    ///
    /// A unit that a shared mask scales by 0 is not computed, forward or backward, nor is one that nobody reads; the
    /// result and all gradients equal those of the full computation.
    ///
    /// # Errors
    /// If `xs` is empty, not of f32 (or, on CUDA, bf16) or not of the network's input shape, a parameter is missing or not of f32, or masks
    /// belong to another network or, per example, to another batch; also if maps that differ between examples would have
    /// to stay zero where they are closed ([`ClosedMaps::Zero`](crate::ClosedMaps::Zero)).
    pub fn forward(&self, weights: &Weights, xs: &Tensor, masks: &Masks, mode: Mode) -> Result<Output> {
        self.check_batch(xs)?;
        masks.check(self)?;
        masks.check_batch(self, xs.dim(0)?)?;
        let masks = masks.on(xs.device(), mode.is_training())?;
        let plan = Plan::new(self, &masks, mode.is_training());
        Pass { net: self, plan: &plan, masks: &masks, weights }.run(xs, mode)
    }

    /// Checks that `xs` holds examples of this network, one or more.
    fn check_batch(&self, xs: &Tensor) -> Result<()> {
        let expected = self.shape(0).dims();
        if xs.dims().get(1..) != Some(expected.as_slice()) {
            let name = "input (without the batch)".into();
            return Err(Error::Shape { name, found: xs.dims().get(1..).unwrap_or(&[]).into(), expected });
        }
        if xs.dim(0)? == 0 {
            return Err(Error::EmptyBatch(xs.dims().into()));
        }
        if xs.device().is_cuda() && xs.dtype() == DType::BF16 {
            return Ok(());
        }
        expect_f32("input", xs)
    }
}

impl Pass<'_> {
    fn run(&self, xs: &Tensor, mode: Mode) -> Result<Output> {
        let mut statistics = Vec::new();
        let made = self.activations(xs, mode, true, &mut statistics)?;
        let out = self.net.output();
        let last = made[out].as_ref().ok_or_else(|| Error::layer("", "the output was not computed"))?;
        let all = Selection::all(self.net.shape(out).units());
        Ok(Output { ys: last.expand(&all, xs.dim(0)?, self.net.shape(out), xs)?, statistics })
    }

    /// What every node makes; if `fuse`, runs of layers are computed as one, and nothing is kept longer than it is read.
    pub(crate) fn activations(
        &self,
        xs: &Tensor,
        mode: Mode,
        fuse: bool,
        statistics: &mut Vec<StatisticsUpdate>,
    ) -> Result<Vec<Option<Activation>>> {
        let nodes = self.net.nodes().len();
        let mut made: Vec<Option<Activation>> = vec![None; nodes];
        let mut done = vec![false; nodes];
        for id in 0..nodes {
            if done[id] {
                continue;
            }
            let inputs: Vec<&Activation> = self.net.node(id).inputs.iter().filter_map(|&i| made[i].as_ref()).collect();
            let fused = if fuse { self.fused(id) } else { Fused { last: id, relu: false, max_pool: 1 } };
            let activation = self.layer(id, &fused, xs, &inputs, mode, statistics)?;
            let mut at = id;
            while at != fused.last {
                done[at] = true;
                at = self.net.readers(at)[0];
            }
            done[fused.last] = true;
            made[fused.last] = Some(activation);
            for &input in self.net.node(id).inputs.iter().filter(|_| fuse) {
                if self.net.readers(input).iter().all(|&reader| done[reader]) {
                    made[input] = None;
                }
            }
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
            (Layer::Identity, [input]) => self.entered(id, self.aligned(id, &self.varying(id, input, xs)?)?),
            (Layer::Take { units }, [input]) => self.take(id, units, &self.varying(id, input, xs)?),
            (Layer::Dropout { p }, [input]) => match mode {
                Mode::Eval => self.aligned(id, input),
                Mode::Train(noise) => {
                    let xs = self.expanded(id, input, xs)?;
                    let noise = noise(&self.net.node(id).name);
                    self.computed(id, |_| l0_ops::dropout_from(&xs, noise.clone(), *p as f32))
                }
            },
            (Layer::Add, [a, b]) => {
                let constants = match (&a.constants, &b.constants) {
                    (Some(a), Some(b)) => Some(sum(a, b)?),
                    (a, b) => (*a).clone().or_else(|| (*b).clone()),
                };
                let (a, b) = (self.expanded(id, a, xs)?, self.expanded(id, b, xs)?);
                Ok(Activation {
                    constants: self.masked_constants(id, constants)?,
                    ..self.computed(id, |_| l0_ops::add(&a, &b))?
                })
            }
            (Layer::Bias { .. } | Layer::Border { .. }, [input]) => self.biased(id, input, xs),
            (layer, _) => Err(Error::layer(&self.net.node(id).name, format!("{} lacks an input", layer.kind()))),
        }
    }
}
