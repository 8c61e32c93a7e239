//! What a pruning gives.

use std::fmt;
use std::path::Path;

use candle_core::Device;
use l0_data::{Dataset, Feed};
use l0_net::{Agreement, Card, Existing, Masks, Mode, Model, OnnxAbout};
use l0_train::{Evaluation, Finished, evaluate, evaluation_batch};

use crate::{Error, Plan, Result, Target};

/// A smaller network, what was asked for, and how it does.
#[derive(Debug)]
pub struct Pruned {
    /// The compact network: plain layers, normalisations multiplied in.
    pub model: Model,
    /// What was asked for.
    pub target: Target,
    /// What is left of it: the share, or the milliseconds that the compact network takes.
    pub left: f64,
    /// How the network that was brought does on the test examples, if it came with values.
    pub before: Option<Evaluation>,
    /// How the compact network does.
    pub after: Evaluation,
    /// How far its outputs agree with those of the network that was trained, over the test examples.
    pub agreement: Agreement,
}

impl Pruned {
    /// Compacts what a training of `plan` left, and checks it over the test examples.
    ///
    /// # Errors
    /// If the compact network computes anything else than what was trained.
    pub fn new(
        plan: &Plan,
        target: Target,
        data: &Dataset,
        before: Option<Evaluation>,
        finished: &Finished,
    ) -> Result<Self> {
        let (net, masks) = (plan.network.net(), &finished.pruned.masks);
        let model = net.compact(&finished.weights, masks)?;
        let feed = Feed::new(&data.test, data.normalise.clone(), evaluation_batch(net), &Device::Cpu)?;
        let mut agreement = Agreement::default();
        for batch in feed.in_order() {
            let images = batch?.images;
            let expected = net.forward(&finished.weights, &images, masks, Mode::Eval)?.ys;
            agreement.add(&expected, &model.forward(&images)?)?;
        }
        if !agreement.passes() {
            return Err(Error::Differs(agreement));
        }
        let after = evaluate(&model.net, &model.weights, &Masks::none(&model.net), &feed)?;
        let (kept, full) = (&finished.pruned.cost, net.cost());
        let left = match target {
            Target::Weights(_) | Target::Price(_) => kept.weights() as f64 / full.weights() as f64,
            Target::Macs(_) => kept.macs() as f64 / full.macs() as f64,
            Target::Latency(_) => plan.clock().latency(&model)?,
            Target::Inputs(_) => read_of(&model).len() as f64,
        };
        Ok(Self { model, target, left, before, after, agreement })
    }

    /// Whether what is left is what was asked for, or less.
    pub fn meets_its_target(&self) -> bool {
        self.target.is_met_by(self.left)
    }

    /// Which of the numbers of an example the network reads, ascending: all of them, unless
    /// [gates were on inputs](crate::Prune::gate_inputs).
    pub fn inputs(&self) -> Vec<u32> {
        read_of(&self.model)
    }

    /// Writes the network as a file of this workspace, which `infer` runs.
    ///
    /// # Errors
    /// If a file is there already, or cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(self.model.save(path, &Card::default(), Existing::Keep)?)
    }

    /// Writes the network as ONNX. `about` says what its input and output are called: of a network that was brought,
    /// what its own file says ([`l0_net::OnnxReader::read_with_about`]), so that programs can exchange the two.
    ///
    /// # Errors
    /// If a file is there already, or cannot be written.
    pub fn save_onnx(&self, path: impl AsRef<Path>, about: &OnnxAbout) -> Result<()> {
        let bytes = l0_net::to_onnx(&self.model.net, &self.model.weights, about)?;
        Ok(l0_net::write_file(path, &bytes, Existing::Keep)?)
    }
}

/// Which of the numbers of an example a compact network reads, ascending.
pub fn read_of(model: &Model) -> Vec<u32> {
    let all = || (0..model.net.shape(0).units() as u32).collect();
    model.kept.first().and_then(|kept| kept.units.clone()).unwrap_or_else(all)
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked for {}, got {:.3}; ", self.target, self.left)?;
        if let Some(before) = &self.before {
            write!(f, "{} before, ", before.score)?;
        }
        write!(f, "{} now", self.after.score)
    }
}
