//! Chains of layers that become one step: a linear map, then everything that can be done to its results at once.

use candle_core::{DType, Tensor};
use l0_net::{Layer, Net, NodeId, Weights};

use crate::Result;
use crate::after::After;

/// The values of the parameter `leaf` of a node.
pub(crate) fn values(net: &Net, weights: &Weights, id: NodeId, leaf: &str) -> Result<Vec<f32>> {
    flat(weights.get(&format!("{}.{leaf}", net.node(id).name))?)
}

/// The numbers of a tensor, in order.
pub(crate) fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// What follows a value: `after(pool(scale x + shift))` per unit.
pub(crate) struct Chain {
    /// The last layer of the chain.
    pub(crate) last: NodeId,
    scale: Vec<f64>,
    shift: Vec<f64>,
    pub(crate) pool: bool,
    pub(crate) after: After,
}

impl Chain {
    /// The chain that starts with the results of `id`; `pools` says whether the step can pool.
    pub(crate) fn after(net: &Net, weights: &Weights, id: NodeId, pools: bool) -> Result<Self> {
        Self::empty(net, id).extended(net, weights, pools)
    }

    /// The chain that starts with layer `id` itself, if that can be in one.
    pub(crate) fn from(net: &Net, weights: &Weights, id: NodeId) -> Result<Option<Self>> {
        let mut chain = Self::empty(net, id);
        let taken = chain.absorb(net, weights, id, false)?;
        taken.then(|| chain.extended(net, weights, false)).transpose()
    }

    /// The chain after `id` of functions of each number alone.
    pub(crate) fn functions(net: &Net, weights: &Weights, id: NodeId) -> Result<Self> {
        let mut chain = Self::empty(net, id);
        if let [reader] = *net.readers(id)
            && matches!(net.node(reader).layer, Layer::Activation(_) | Layer::PRelu(_))
        {
            chain.absorb(net, weights, reader, false)?;
        }
        Ok(chain)
    }

    fn empty(net: &Net, id: NodeId) -> Self {
        let n = net.shape(id).units();
        Self { last: id, scale: vec![1.0; n], shift: vec![0.0; n], pool: false, after: After::NOTHING }
    }

    fn extended(mut self, net: &Net, weights: &Weights, pools: bool) -> Result<Self> {
        while let [reader] = *net.readers(self.last) {
            if !self.absorb(net, weights, reader, pools)? {
                break;
            }
        }
        Ok(self)
    }

    /// Takes in one more layer; false if it has to be a step of its own.
    fn absorb(&mut self, net: &Net, weights: &Weights, id: NodeId, pools: bool) -> Result<bool> {
        let none = self.after == After::NOTHING;
        let linear = none && !self.pool; // after these, scaling would come too late
        let pools = pools && !self.pool && matches!(self.after, After::Held(_));
        let get = |leaf| values(net, weights, id, leaf);
        match &net.node(id).layer {
            Layer::Dropout(_) | Layer::Identity(_) => {}
            &Layer::Relu if self.after == After::RELU => {}
            &Layer::Activation(activation) if none => self.after = activation.into(),
            Layer::PRelu(_) if none => self.after = After::Slopes(get("slope")?),
            Layer::MaxPool2d(pool) if pools && pool.side_by_side() == Some(2) => self.pool = true,
            Layer::Bias(bias) if linear && (!bias.per_position || net.shape(id).positions() == 1) => {
                self.shift.iter_mut().zip(get("bias")?).for_each(|(shift, bias)| *shift += f64::from(bias));
            }
            Layer::BatchNorm(norm) if linear => {
                let [scale, shift, mean, var] = ["weight", "bias", "running_mean", "running_var"].map(get);
                let (scale, shift, mean, var) = (scale?, shift?, mean?, var?);
                for unit in 0..scale.len() {
                    let [scale, shift, mean, var] = [&scale, &shift, &mean, &var].map(|v| f64::from(v[unit]));
                    let scale = scale / (var + norm.eps).sqrt();
                    self.shift[unit] = (self.shift[unit] - mean) * scale + shift;
                    self.scale[unit] *= scale;
                }
            }
            Layer::Scale(_) if linear => {
                for (unit, (scale, shift)) in get("weight")?.into_iter().zip(get("bias")?).enumerate() {
                    self.shift[unit] = self.shift[unit] * f64::from(scale) + f64::from(shift);
                    self.scale[unit] *= f64::from(scale);
                }
            }
            _ => return Ok(false),
        }
        self.last = id;
        Ok(true)
    }

    /// Scales the weights of a linear map, (units, ...), and gives its bias.
    pub(crate) fn fold(&self, weight: &mut [f32], bias: Option<Vec<f32>>) -> Vec<f32> {
        let terms = weight.len() / self.scale.len();
        for (weights, scale) in weight.chunks_exact_mut(terms).zip(&self.scale) {
            weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * scale) as f32);
        }
        let bias = bias.unwrap_or_else(|| vec![0.0; self.scale.len()]);
        let biases = bias.iter().zip(self.scale.iter().zip(&self.shift));
        biases.map(|(bias, (scale, shift))| (f64::from(*bias) * scale + shift) as f32).collect()
    }

    /// The scale and the shift of each unit.
    pub(crate) fn scales(&self) -> (Vec<f32>, Vec<f32>) {
        let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        (narrow(&self.scale), narrow(&self.shift))
    }
}
