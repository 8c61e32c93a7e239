//! Ranges of what a network computes, and the network that they make.

use candle_core::Tensor;
use l0_net::{Grid, Masks, Model, Net, NodeId};

use crate::histogram::{Histogram, NO_ENDS, ends, joined};
use crate::rebuild::rebuild;
use crate::roundings::{Rounding, floats, roundings};
use crate::{Error, Result};

/// How far the numbers of a grid reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// From the least to the largest value that was seen.
    MinMax,
    /// As far as so many of a hundred values, on either side; what lies beyond becomes the end.
    Percentile(f64),
    /// As far as makes the mean squared error (MSE) of rounding the least.
    MeanSquaredError,
}

impl Method {
    /// The three, percentiles at 99.99.
    pub const ALL: [Self; 3] = [Self::MinMax, Self::Percentile(99.99), Self::MeanSquaredError];
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MinMax => f.write_str("min-max"),
            Self::Percentile(percent) => write!(f, "percentile {percent}"),
            Self::MeanSquaredError => f.write_str("mean squared error"),
        }
    }
}

/// A network, and how the values are distributed at the places where it is to be rounded.
#[derive(Debug, Clone)]
pub struct Calibration {
    model: Model,
    roundings: Vec<Rounding>,
    seen: Vec<Option<Histogram>>,
}

/// A network of whole numbers.
#[derive(Debug, Clone)]
pub struct Quantised {
    /// The network, which rounds as its file does.
    pub model: Model,
    /// The layers that still compute with floats, each with what it is.
    pub floats: Vec<String>,
}

impl Calibration {
    /// Runs `model` over `batches`, each (b, ...), twice: for the ends of the values at each place, and for their
    /// distribution between these. Normalisations that directly follow a linear map become a part of it first.
    ///
    /// # Errors
    /// If there are no batches, they do not fit, nothing can be quantised, or a value is no finite number.
    pub fn of(model: &Model, batches: &[Tensor]) -> Result<Self> {
        if batches.is_empty() {
            return Err(Error::NoInputs);
        }
        let folded = model.net.compact(&model.weights, &Masks::none(&model.net))?;
        let model = Model { kept: model.kept.clone(), ..folded };
        if model.net.affine().next().is_none() {
            return Err(Error::Nothing);
        }
        let roundings = roundings(&model.net);
        let nodes: Vec<NodeId> = (0..roundings.len()).filter(|&id| roundings[id] == Rounding::Own).collect();
        let mut ranges = vec![NO_ENDS; nodes.len()];
        each(&model, &nodes, batches, |i, values| ranges[i] = joined(ranges[i], ends(values)))?;
        check(&model.net, &nodes, &ranges)?;
        let mut histograms: Vec<Histogram> = ranges.into_iter().map(Histogram::new).collect();
        each(&model, &nodes, batches, |i, values| histograms[i].add(values))?;
        let mut seen = vec![None; roundings.len()];
        nodes.into_iter().zip(histograms).for_each(|(id, histogram)| seen[id] = Some(histogram));
        Ok(Self { model, roundings, seen })
    }

    /// The network with grids that reach as far as `method` says.
    ///
    /// # Errors
    /// If a percentile is none, or a weight is no finite number.
    pub fn quantise(&self, method: Method) -> Result<Quantised> {
        if let Method::Percentile(found) = method
            && !(found > 50.0 && found <= 100.0)
        {
            return Err(Error::Percentile { found });
        }
        let grids = self.grids(method)?;
        let model = rebuild(&self.model, &grids)?;
        Ok(Quantised { model, floats: floats(&self.model.net, &self.roundings) })
    }

    /// The grid of each layer's output, if it is rounded.
    fn grids(&self, method: Method) -> Result<Vec<Option<Grid>>> {
        let mut grids: Vec<Option<Grid>> = Vec::new();
        for (id, seen) in self.seen.iter().enumerate() {
            let node = self.model.net.node(id);
            grids.push(match (self.roundings[id], seen) {
                (Rounding::Same, _) => node.inputs.first().and_then(|&input| grids[input]),
                (_, Some(seen)) => Some(grid(seen, method, &node.name)?),
                _ => None,
            });
        }
        Ok(grids)
    }
}

/// The grid for values that were seen.
fn grid(seen: &Histogram, method: Method, node: &str) -> Result<Grid> {
    let (least, most) = match method {
        Method::MinMax => (seen.least, seen.most),
        Method::Percentile(percent) => seen.percentile(percent),
        Method::MeanSquaredError => seen.least_mean_squared_error(),
    };
    Grid::reaching(least, most).ok_or_else(|| Error::Range { node: node.into(), least, most })
}

/// Hands the values at each of `nodes` to `f`, batch by batch.
fn each(model: &Model, nodes: &[NodeId], batches: &[Tensor], mut f: impl FnMut(usize, &[f32])) -> Result<()> {
    for xs in batches {
        for (i, values) in model.net.outputs_of(nodes, &model.weights, xs)?.iter().enumerate() {
            f(i, &values.flatten_all()?.to_vec1::<f32>()?);
        }
    }
    Ok(())
}

/// Fails where values cannot lie on a grid.
fn check(net: &Net, nodes: &[NodeId], ranges: &[(f32, f32)]) -> Result<()> {
    let bad = nodes.iter().zip(ranges).find(|(_, (least, most))| Grid::reaching(*least, *most).is_none());
    match bad {
        Some((&id, &(least, most))) => Err(Error::Range { node: net.node(id).name.clone(), least, most }),
        None => Ok(()),
    }
}
