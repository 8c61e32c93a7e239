//! The settings of a pruning, and the call that carries it out.

use std::sync::atomic::AtomicBool;

use candle_core::Device;
use l0::{GatedNet, Objective, Ranking, Targets};
use l0_data::{Dataset, Feed};
use l0_net::{Masks, Model, Net, Shape, Weights};
use l0_record::{RunFolder, RunHeader};
use l0_train::{Distillation, Evaluation, Optimiser, Precision, Teacher, Watch, evaluate, evaluation_batch};

use crate::gates::{self, Choice, ResidualStream};
use crate::latency::Reached;
use crate::settings::Settings;
use crate::{Clock, Error, Limit, Plan, Pruned, Result, Target, normalise, plan};

/// With so many layers that hold weights and no normalisation a network is given some to train with.
const DEEP: usize = 8;

/// A network to be pruned, and how; [`train`](Self::train) does it.
#[derive(Debug, Clone)]
pub struct Prune {
    net: Net,
    start: Option<Weights>,
    settings: Settings,
    distillation: Option<Distillation>,
    teacher: Option<Model>,
    clock: Option<Clock>,
    seed: u64,
}

impl Prune {
    /// A described network, to be brought to half of its multiply-accumulates in 10 epochs.
    pub fn new(net: Net) -> Self {
        let settings = Settings::default();
        Self { net, start: None, settings, distillation: None, teacher: None, clock: None, seed: 1 }
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        self
    }

    /// A trained network.
    pub fn model(model: Model) -> Self {
        Self::new(model.net).start_from(model.weights)
    }

    /// Trained values to start from; without them the network is trained from random ones.
    #[must_use]
    pub fn start_from(self, weights: Weights) -> Self {
        Self { start: Some(weights), ..self }
    }

    /// What is to be left.
    #[must_use]
    pub fn target(self, target: Target) -> Self {
        self.with(|settings| settings.target = target)
    }

    /// Passes over the training examples, 2 or more: in the first tenth gates learn, or in as many as have 200 steps,
    /// half of them at most; in the others the network is fine-tuned.
    #[must_use]
    pub fn epochs(self, epochs: u64) -> Self {
        self.with(|settings| settings.epochs = epochs)
    }

    /// In how many of the epochs gates learn.
    #[must_use]
    pub fn learning_epochs(self, learning: u64) -> Self {
        self.with(|settings| settings.learning = Some(learning))
    }

    /// Examples in a batch. Without this call 128, halved for as long as an epoch has fewer than 50 steps, but 16 at
    /// least.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        self.with(|settings| settings.batch_size = Some(batch_size))
    }

    /// The optimiser of the weights, at its highest rate. Without this call it is Muon for a network with
    /// normalisations, and Adam for others.
    #[must_use]
    pub fn optimiser(self, optimiser: Optimiser) -> Self {
        self.with(|settings| settings.optimiser = Some(optimiser))
    }

    /// The highest learning rate of the weights, of whichever optimiser.
    #[must_use]
    pub fn learning_rate(self, learning_rate: f64) -> Self {
        self.with(|settings| settings.learning_rate = Some(learning_rate))
    }

    /// L2 coefficient of all weights.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        self.with(|settings| settings.weight_decay = weight_decay)
    }

    /// How far training images are shifted at most, in pixels each way. Without this call as far as the data says, but
    /// no further than one pixel for each ten epochs or part of them: a network underfits in the time that a pruning
    /// takes.
    #[must_use]
    pub fn shift(self, pixels: usize) -> Self {
        self.with(|settings| settings.shift = Some(pixels))
    }

    /// Keeps the channels and features of every space in multiples of so many, or all of them; what is dead beside what
    /// gates close is left out all the same.
    #[must_use]
    pub fn round(self, multiple: usize) -> Self {
        self.with(|settings| settings.multiple = multiple)
    }

    /// How the gates of different spaces are compared: without this call all spaces keep the same share of their
    /// channels. Ranked [globally](Ranking::Global), gates decide how much of each space is left, too.
    #[must_use]
    pub fn ranking(self, ranking: Ranking) -> Self {
        self.with(|settings| settings.ranking = Some(ranking))
    }

    /// Whether the channels that shortcuts carry past the blocks of a residual network are pruned, too. Without this call
    /// they stay whole, unless layers are [named](Self::only), a [price](Target::Price) decides, or so little is asked for
    /// that less than a quarter of all other channels would be left.
    #[must_use]
    pub fn residual_stream(self, stream: ResidualStream) -> Self {
        self.with(|settings| settings.stream = Some(stream))
    }

    /// Places gates on the numbers that the network reads, too: which columns of a table it needs.
    #[must_use]
    pub fn gate_inputs(self) -> Self {
        self.with(|settings| settings.choice.inputs = true)
    }

    /// Places gates on these layers alone, and on those that share their units. A star stands for any part of a name, so
    /// `"*"` for all of it.
    #[must_use]
    pub fn only<S: Into<String>>(self, layers: impl IntoIterator<Item = S>) -> Self {
        self.with(|settings| settings.choice.only = layers.into_iter().map(Into::into).collect())
    }

    /// Leaves these layers as they are, and those that share their units.
    #[must_use]
    pub fn except<S: Into<String>>(self, layers: impl IntoIterator<Item = S>) -> Self {
        self.with(|settings| settings.choice.except = layers.into_iter().map(Into::into).collect())
    }

    /// Learns from the outputs of a trained network beside the labels: of the one that was brought, unless a
    /// [teacher](Self::teacher) is named.
    #[must_use]
    pub fn distil(self, distillation: Distillation) -> Self {
        Self { distillation: Some(distillation), ..self }
    }

    /// The network to [learn from](Self::distil), with the same input and as many outputs.
    #[must_use]
    pub fn teacher(self, teacher: Model) -> Self {
        Self { teacher: Some(teacher), ..self }
    }

    /// The share of the multiply-accumulates that training aims at until a [latency](Target::Latency) decides, in the
    /// place of one that is measured: that of a run which goes on. Without such a target it is refused.
    #[must_use]
    pub fn aim(self, share: f64) -> Self {
        self.with(|settings| settings.aim = Some(share))
    }

    /// What measures a [latency](Target::Latency), in the place of one thread of this machine. Without such a target it
    /// is refused.
    #[must_use]
    pub fn timed_by(self, clock: Clock) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// Address of all random numbers.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// What [`Prune::train`] does with this data, in numbers.
    ///
    /// # Errors
    /// If a setting is out of range, the network is not for this data, has nothing to prune, or cannot be brought to
    /// the target.
    pub fn plan(&self, data: &Dataset) -> Result<Plan> {
        self.check(data)?;
        let (net, start) = self.prepared(data)?;
        let droprate_init = self.settings.droprate_init;
        let limit = match self.settings.target {
            Target::Latency(milliseconds) => Some(self.limit(milliseconds, &net, start.as_ref())?),
            _ => None,
        };
        let stream = match self.settings.stream {
            Some(stream) => stream,
            None => self.stream_of(&net, start.as_ref(), limit.as_ref())?,
        };
        let network = match self.settings.target {
            Target::Inputs(_) => Choice::on_inputs_alone(&net, droprate_init)?,
            _ => self.settings.choice.on(&net, droprate_init, stream)?,
        };
        let batch_size = self.settings.batch_of(data.train.len());
        let an_epoch = data.train.len().div_ceil(batch_size) as u64;
        let learning = self.settings.learning_of(an_epoch);
        let steps = (learning * an_epoch) as f64;
        let optimiser = self.optimiser_for(network.net());
        let objective = self.objective(&network, start.as_ref(), limit.as_ref(), steps)?;
        let training = plan::training(&self.settings, (learning, steps), batch_size, optimiser);
        training.check_for(&network, &objective, data.train.len())?;
        let teacher = self.teaching()?;
        let augment = plan::augment(&self.settings, data.augment);
        Ok(Plan { network, residual_stream: stream, objective, training, augment, start, limit, teacher })
    }

    /// What steps the weights of a network take.
    fn optimiser_for(&self, net: &Net) -> Optimiser {
        let optimiser = self.settings.optimiser.unwrap_or_else(|| usual(net));
        self.settings.learning_rate.map_or(optimiser, |rate| optimiser.with_rate(rate))
    }

    /// What becomes of the stream where nothing was said of it. It stays whole as long as a quarter of all other channels
    /// is left: what is inside the blocks costs less error, and runtimes compute whole blocks of channels
    /// (docs/decisions/051-pruning-what-is-brought.md).
    fn stream_of(&self, net: &Net, start: Option<&Weights>, limit: Option<&Limit>) -> Result<ResidualStream> {
        let Settings { target, multiple, droprate_init, aim, .. } = self.settings;
        let choice = &self.settings.choice;
        if !choice.only.is_empty() || matches!(target, Target::Price(_) | Target::Inputs(_)) {
            return Ok(ResidualStream::Pruned);
        }
        let Ok(without) = choice.on(net, droprate_init, ResidualStream::Whole) else {
            return Ok(ResidualStream::Pruned);
        };
        if without.sets() == choice.on(net, droprate_init, ResidualStream::Pruned)?.sets() {
            return Ok(ResidualStream::Pruned); // there is none
        }
        let share = match (limit, aim) {
            (None, _) => target.asked(),
            (Some(_), Some(aim)) => aim, // what was measured when the run began
            (Some(limit), None) => match self.reached(limit, &without, start)? {
                Reached::Within(share) => share,
                Reached::Smallest(..) => return Ok(ResidualStream::Pruned),
            },
        };
        let enough = share >= without.share_with(&gates::quarter(&without, multiple), target.quantity())?;
        Ok(if enough { ResidualStream::Whole } else { ResidualStream::Pruned })
    }

    /// The target as a constraint, or the price in its place.
    fn objective(
        &self,
        network: &GatedNet,
        start: Option<&Weights>,
        limit: Option<&Limit>,
        steps: f64,
    ) -> Result<Objective> {
        let targets = match (self.settings.target, limit) {
            (Target::Price(lambda), _) => return Ok(plan::priced(&self.settings, lambda)),
            (_, Some(limit)) => Targets::Model(self.share_for(limit, network, start)?),
            // Whole inputs: a little more than their share, so that no rounding takes one away.
            (Target::Inputs(n), _) => Targets::Layers(vec![(n as f64 + 0.01) / network.gated_units()[0] as f64]),
            (target, None) => Targets::Model(target.asked()),
        };
        Ok(plan::objective(&self.settings, targets, steps))
    }

    /// The teacher: the one that was named, or else the network as it was brought.
    fn teaching(&self) -> Result<Option<Teacher>> {
        let Some(distillation) = self.distillation else { return Ok(None) };
        let own = || self.start.clone().map(|weights| Model::new(self.net.clone(), weights)).transpose();
        let model = self.teacher.clone().map_or_else(own, |teacher| Ok(Some(teacher)))?;
        let model = model.ok_or_else(|| Error::Setting {
            name: "distillation",
            found: "from a network without values".into(),
            expected: "a teacher, or values to start from".into(),
        })?;
        let ends = |net: &Net| [net.shape(0), net.shape(net.output())].map(|shape| shape.to_string()).join(" to ");
        if ends(&model.net) != ends(&self.net) {
            let (found, expected) = (ends(&model.net), format!("{}, as its pupil", ends(&self.net)));
            return Err(Error::Setting { name: "the teacher", found, expected });
        }
        Ok(Some(Teacher::new(model, distillation)?))
    }

    /// The values that training starts from.
    fn untrained(&self, network: &GatedNet, start: Option<&Weights>) -> Result<Weights> {
        let params = match start {
            Some(weights) => network.init_with(weights, self.seed, &Device::Cpu)?,
            None => network.init(self.seed, &Device::Cpu)?,
        };
        Ok(params.detached())
    }

    /// A limit in milliseconds, beside what the network takes now.
    fn limit(&self, milliseconds: f64, net: &Net, start: Option<&Weights>) -> Result<Limit> {
        let plain = GatedNet::new(net.clone(), &[])?;
        let model = Model::new(net.clone(), self.untrained(&plain, start)?)?;
        let clock = self.clock.clone().unwrap_or_default();
        let whole = clock.latency(&model)?;
        let limit = Limit { milliseconds, clock, whole };
        if self.settings.aim.is_none() && limit.whole <= milliseconds {
            return Err(not_for(
                milliseconds,
                format!("less than the {} that the network takes now", shown(limit.whole)),
            ));
        }
        Ok(limit)
    }

    /// The share of the multiply-accumulates at which the network, pruned at random, keeps to a limit.
    fn reached(&self, limit: &Limit, network: &GatedNet, start: Option<&Weights>) -> Result<Reached> {
        let objective = plan::objective(&self.settings, Targets::Model(1.0), 1.0);
        let weights = self.untrained(network, start)?;
        objective.constraint().map_or(Ok(Reached::Within(1.0)), |constraint| limit.share(network, &weights, constraint))
    }

    /// The same share, which training aims at until it is known which channels stay.
    fn share_for(&self, limit: &Limit, network: &GatedNet, start: Option<&Weights>) -> Result<f64> {
        if let Some(aim) = self.settings.aim {
            return Ok(aim);
        }
        match self.reached(limit, network, start)? {
            Reached::Within(share) => Ok(share),
            Reached::Smallest(_, ms) => {
                let expected = format!("the {} that the smallest network with these gates takes, or more", shown(ms));
                Err(not_for(limit.milliseconds, expected))
            }
        }
    }

    /// The network as it is trained: with normalisations put back where a deep one lost them.
    fn prepared(&self, data: &Dataset) -> Result<(Net, Option<Weights>)> {
        match &self.start {
            Some(weights) if !normalise::normalises(&self.net) && self.net.affine().count() >= DEEP => {
                let model = normalise::normalised(&Model::new(self.net.clone(), weights.clone())?, data)?;
                Ok((normalise::closing(&model.net)?, Some(model.weights)))
            }
            start => Ok((normalise::closing(&self.net)?, start.clone())),
        }
    }

    /// Whether images may be shifted as far as was asked.
    fn check_shift(&self) -> Result<()> {
        let Some(pixels) = self.settings.shift.filter(|&pixels| pixels > 0) else { return Ok(()) };
        let refused = |expected: String| Err(Error::Setting { name: "the shift", found: pixels.to_string(), expected });
        match self.net.shape(0) {
            Shape::Image(_, h, w) if pixels < h.min(w) => Ok(()),
            Shape::Image(_, h, w) => refused(format!("less than the {} pixels of a side", h.min(w))),
            Shape::Features(_) => refused("0: the network reads no images".into()),
        }
    }

    /// Whether the target has a part for everything that was said.
    fn check_parts(&self) -> Result<()> {
        let Settings { target, multiple, ranking, stream, aim, choice, .. } = &self.settings;
        let is_time = matches!(target, Target::Latency(_));
        let is_share = is_time || matches!(target, Target::Weights(_) | Target::Macs(_));
        let is_of_layers = !matches!(target, Target::Inputs(_));
        let is_named = !(choice.only.is_empty() && choice.except.is_empty());
        let (ranked, timed, gated) = (
            "none: only a target of weights, MACs or milliseconds ranks the gates of several layers",
            "none: only a target of milliseconds is timed, and aimed at by a share until then",
            "none: with a target of inputs, gates are on these alone",
        );
        let stream = stream.map(|stream| match stream {
            ResidualStream::Whole => "to stay whole".to_string(),
            ResidualStream::Pruned => "to be pruned".to_string(),
        });
        let multiple = (*multiple != 1).then(|| multiple.to_string());
        for (name, said, has_part, expected) in [
            ("the ranking", ranking.map(|ranking| ranking.to_string()), is_share, ranked),
            ("the multiple of channels", multiple, is_share, "1, or a target of weights, MACs or milliseconds"),
            ("the share that is aimed at", aim.map(|aim| aim.to_string()), is_time, timed),
            ("the clock", self.clock.as_ref().map(|_| "named".to_string()), is_time, timed),
            ("the residual stream", stream, is_of_layers, gated),
            ("the layers with gates", is_named.then(|| "named".to_string()), is_of_layers, gated),
        ] {
            if let (Some(found), false) = (said, has_part) {
                return Err(Error::Setting { name, found, expected: expected.into() });
            }
        }
        Ok(())
    }

    /// Whether settings of one number lie in their ranges, where training does not see to that.
    fn check_numbers(&self) -> Result<()> {
        let Settings { multiple, aim, .. } = self.settings;
        let refused =
            |name, found: String, expected: &str| Err(Error::Setting { name, found, expected: expected.into() });
        if multiple == 0 {
            return refused("the multiple of channels", "0".into(), "1 or more");
        }
        match aim.filter(|&aim| !(aim > 0.0 && aim <= 1.0)) {
            Some(aim) => refused("the share that is aimed at", aim.to_string(), "a share above 0, 1 at most"),
            None => Ok(()),
        }
    }

    /// Whether the target lies in its range.
    fn check_target(&self) -> Result<()> {
        let inputs = || match self.net.shape(0) {
            Shape::Features(inputs) if inputs > 2 => format!("1 to {} inputs of {inputs}", inputs - 1),
            _ => "1 input of several".into(),
        };
        let (asked, most, expected) = match self.settings.target {
            Target::Weights(share) | Target::Macs(share) => (share, 1.0, "a share above 0, 1 at most".into()),
            Target::Latency(milliseconds) => (milliseconds, f64::MAX, "milliseconds above 0".into()),
            Target::Price(lambda) => (lambda, f64::MAX, "a lambda above 0".into()),
            Target::Inputs(n) => {
                let most = match self.net.shape(0) {
                    Shape::Features(inputs) => inputs as f64 - 1.0,
                    Shape::Image(..) => f64::MAX, // refused where gates are placed
                };
                (n as f64, most, inputs())
            }
        };
        let is_in_range = asked > 0.0 && asked <= most;
        let refused = || Error::Setting { name: "the target", found: asked.to_string(), expected };
        if is_in_range { Ok(()) } else { Err(refused()) }
    }

    /// Whether a teacher has something to teach.
    fn check_teacher(&self) -> Result<()> {
        if self.teacher.is_none() || self.distillation.is_some() {
            return Ok(());
        }
        let (found, expected) = ("named alone", "a distillation, too, which says how much is learnt from it");
        Err(Error::Setting { name: "the teacher", found: found.into(), expected: expected.into() })
    }

    /// Checks what needs no data: whether each setting lies in its range, and has a part to play beside the others.
    /// [`Prune::plan`] checks it, too; who reads data first would wait for the message.
    ///
    /// # Errors
    /// If one does not; the message says which.
    pub fn check_settings(&self) -> Result<()> {
        self.check_shift()?;
        self.check_steps()?;
        self.check_parts()?;
        self.check_target()?;
        self.check_numbers()?;
        self.check_teacher()?;
        // Epochs and rates are the same for any number of examples.
        let (settings, optimiser) = (&self.settings, self.optimiser_for(&self.net));
        plan::training(settings, (settings.learning_of(1), 1.0), settings.batch_of(1), optimiser).check()?;
        self.distillation.map_or(Ok(()), |distillation| Ok(distillation.check()?))
    }

    fn check(&self, data: &Dataset) -> Result<()> {
        self.check_settings()?;
        if data.train.is_empty() || data.test.is_empty() {
            let found = format!("{} to train on and {} to test on", data.train.len(), data.test.len());
            return Err(Error::Setting { name: "the number of examples", found, expected: "1 or more of each".into() });
        }
        self.check_examples(data)?;
        self.check_labels(data)
    }

    /// Whether there are epochs for the gates to learn in, and others for fine-tuning.
    fn check_steps(&self) -> Result<()> {
        let setting = |name, found: String, expected: &str| Error::Setting { name, found, expected: expected.into() };
        if self.settings.epochs < 2 {
            let expected = "2 or more: gates learn in the first, the smaller network in the last";
            return Err(setting("epochs", self.settings.epochs.to_string(), expected));
        }
        if let Some(learning) = self.settings.learning.filter(|n| !(1..self.settings.epochs).contains(n)) {
            let epochs = self.settings.epochs;
            let range = if epochs == 2 { "1".into() } else { format!("1 to {}", epochs - 1) };
            let expected = format!("{range} of {epochs}: the smaller network is fine-tuned after them");
            return Err(setting("the number of epochs in which gates learn", learning.to_string(), &expected));
        }
        if self.settings.batch_size == Some(0) {
            return Err(setting("the batch size", "0".into(), "1 or more"));
        }
        Ok(())
    }

    /// Whether the network reads examples as the data has them.
    fn check_examples(&self, data: &Dataset) -> Result<()> {
        let (found, expected) = (self.net.shape(0).dims(), data.train.dims());
        if found != expected {
            return Err(Error::Data {
                what: "reads",
                found: format!("{found:?}"),
                expected: format!("has {expected:?} for an example"),
                advice: match (&found[..], &expected[..]) {
                    ([a, ..], [b, ..]) if a != b => "give data with as many channels or columns as the network reads",
                    _ => "give images of the size that the network reads",
                }
                .into(),
            });
        }
        Ok(())
    }

    /// Whether the network gives what the data has to predict.
    fn check_labels(&self, data: &Dataset) -> Result<()> {
        let (found, classes) = (self.net.shape(self.net.output()).dims(), data.train.classes());
        if data.train.targets().is_some() && found != [1] {
            return Err(Error::Data {
                what: "gives",
                found: format!("{found:?}"),
                expected: "has one number to predict".into(),
                advice: "give a network with one output".into(),
            });
        }
        if classes > 0 && found.first() != Some(&classes) {
            return Err(Error::Data {
                what: "gives",
                found: format!("{found:?}"),
                expected: format!("has {classes} classes"),
                advice: match found[..] {
                    [1] => {
                        "give a network with an output for each class; where labels are numbers to predict, say so \
                         (Task::Regression, --task regression)"
                    }
                    _ => "train its last layer anew for these classes, or give the data it was trained on",
                }
                .into(),
            });
        }
        Ok(())
    }

    /// Prunes the network on `data`: learns which units to keep, brings them to the target, and fine-tunes what is
    /// left.
    ///
    /// # Errors
    /// As for [`Prune::plan`], or if the training fails.
    pub fn train(&self, data: &Dataset) -> Result<Pruned> {
        self.train_with(data, &mut Unwatched, &AtomicBool::new(false))
    }

    /// As [`Prune::train`], with someone who looks on, and a flag that ends it.
    ///
    /// # Errors
    /// As for [`Prune::train`], or if it was ended by the flag.
    pub fn train_with(&self, data: &Dataset, watch: &mut dyn Watch, stop: &AtomicBool) -> Result<Pruned> {
        let plan = self.plan(data)?;
        let before = self.evaluation(data)?;
        let folder = tempfile::tempdir()?;
        let header = RunHeader::new("prune", self.seed, serde_json::Value::Null);
        let folder = RunFolder::create(folder.path().join("run"), &header)?;
        let job = plan.job(data, self.seed, Device::Cpu, Precision::default());
        let finished = l0_train::run(&job, folder, watch, stop)?;
        Pruned::new(&plan, self.settings.target, data, before, &finished)
    }

    /// How the network that was brought does on the test examples; nothing for one without values.
    ///
    /// # Errors
    /// If the data does not fit the network.
    pub fn evaluation(&self, data: &Dataset) -> Result<Option<Evaluation>> {
        let Some(weights) = &self.start else { return Ok(None) };
        let feed = Feed::new(&data.test, data.normalise.clone(), evaluation_batch(&self.net), &Device::Cpu)?;
        Ok(Some(evaluate(&self.net, weights, &Masks::none(&self.net), &feed)?))
    }
}

/// Milliseconds, four digits of them.
fn shown(milliseconds: f64) -> String {
    let before = milliseconds.log10().floor();
    let digits = if before.is_finite() { (3.0 - before).clamp(0.0, 9.0) as usize } else { 3 };
    format!("{milliseconds:.digits$} ms")
}

/// A limit that is none for this network.
fn not_for(milliseconds: f64, expected: String) -> Error {
    Error::Setting { name: "the target", found: format!("{milliseconds} ms"), expected }
}

/// The optimiser that suits a network.
fn usual(net: &Net) -> Optimiser {
    match normalise::normalises(net) {
        true => Optimiser::muon(0.01),
        false => Optimiser::adam(1e-3),
    }
}

/// Nobody looks on.
struct Unwatched;

impl Watch for Unwatched {
    fn step(&mut self, _epoch: u64, _step: u64, _steps: u64, _result: &l0_train::StepResult) {}
    fn epoch(&mut self, _row: &l0_record::EpochRow, _evaluation: &Evaluation) {}
}
