//! Prunes a network that someone brings, on data of their own: gates, a target that is met, a smaller file that is
//! checked.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use l0::Ranking;
use l0_data::{DataSpec, Dataset, Task};
use l0_experiments::artifact;
use l0_experiments::choice::ChoiceArgs;
use l0_experiments::cli::{self, DataArgs, RunArgs, Validation};
use l0_experiments::device::ComputeArgs;
use l0_experiments::network_file::{Format, InputSize, digest, found};
use l0_experiments::prune::{self, Brought, Place, reading};
use l0_net::{Activation, Layer};
use l0_prune::{Prune, ResidualStream, Target};
use l0_train::{Distillation, MOST_EPOCHS, Optimiser};

/// Exit code of a pruning that missed its target.
const MISSED: u8 = 3;

/// The temperature of a teacher's outputs if nothing is said.
const TEMPERATURE: f64 = 4.0;

/// Prune a trained network to a share of its MACs (multiply-accumulates), and check what comes out.
///
/// Gates are placed on the channels and features that can be left out (see --residual-stream for those that shortcuts
/// carry). They start nearly open and learn which to keep; then they are frozen at the target, and the smaller network is
/// fine-tuned. Its folder gets compact.onnx, compact.safetensors and index.html, a page that compares both. A run that
/// was interrupted goes on when the same command is given again. The exit code is 3 if the target was missed.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// An ONNX file, a .safetensors file written by `just export` or `just convert`, or one on the Hub,
    /// hub:owner/name/file.onnx.
    network: PathBuf,
    /// What follows it by mistake.
    #[arg(hide = true)]
    others: Vec<PathBuf>,
    /// Share of the MACs to be left.
    #[arg(long, value_name = "SHARE", conflicts_with = "target", default_value_t = 0.5, allow_negative_numbers = true)]
    target_macs: f64,
    /// Share of the weights to be left, in place of one of the MACs.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    target: Option<f64>,
    /// Milliseconds that the network is to take, for one example on one thread of this machine.
    #[arg(long, value_name = "MS", conflicts_with_all = ["target", "target_macs"], allow_negative_numbers = true)]
    target_latency: Option<f64>,
    /// How many of the numbers that the network reads are to be left, as columns of a table; its other layers stay as
    /// they are.
    #[arg(long, value_name = "N", value_parser = cli::at_least_one, conflicts_with_all = ["target", "target_macs", "target_latency", "gate_inputs", "only", "except"])]
    target_inputs: Option<usize>,
    /// A price for each open weight in place of a target: lambda, which is divided by the number of training examples.
    #[arg(long, value_name = "LAMBDA", alias = "lambdas", conflicts_with_all = ["target", "target_macs", "target_latency", "target_inputs"], allow_negative_numbers = true)]
    lambda: Option<f64>,
    /// Passes over the training data: gates learn in the first, the smaller network in the last.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = cli::whole(2_u64, Some(MOST_EPOCHS)))]
    epochs: u64,
    /// In how many of them gates learn; if not given, a tenth, or as many as have 200 steps, but no more than half.
    #[arg(long, value_name = "N", value_parser = cli::whole(1_u64, None))]
    learning_epochs: Option<u64>,
    /// Examples in a batch; if not given, 128, halved for as long as an epoch has fewer than 50 steps, but 16 at least.
    #[arg(long, value_name = "N", value_parser = cli::at_least_one)]
    batch_size: Option<usize>,
    /// What steps the weights take; if not given, Muon for a network with normalisations, Adam for others.
    #[arg(long, value_name = "NAME")]
    optimiser: Option<OptimiserName>,
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, help = usual_rates())]
    learning_rate: Option<f64>,
    /// L2 coefficient of all weights.
    #[arg(long, value_name = "X", default_value_t = 5e-4, allow_negative_numbers = true)]
    weight_decay: f64,
    /// How far training images are shifted at most, in pixels; if not given, as far as the data says, but no further
    /// than one pixel for each ten epochs or part of them.
    #[arg(long, value_name = "PIXELS", value_parser = cli::whole(0_usize, None))]
    shift: Option<usize>,
    /// Learn from the outputs of a trained network beside the labels: of the one that is pruned, or of the one in this
    /// file.
    #[arg(long, value_name = "TEACHER", num_args = 0..=1, require_equals = true)]
    distill: Option<Option<PathBuf>>,
    /// Temperature of the outputs that it learns from, where they are of classes; if not given, 4.
    #[arg(long, value_name = "T", requires = "distill", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// The part of the loss that these outputs have.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, requires = "distill", allow_negative_numbers = true)]
    soft_share: f64,
    /// Keep the channels of every space in multiples of so many, or all of them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = cli::at_least_one)]
    round: usize,
    /// How channels of different spaces are compared: uniform keeps the same share of every space, which is done if
    /// nothing is given; global ranks all gates together, so that they decide how much of each space is left.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["lambda", "target_inputs"])]
    ranking: Option<RankingName>,
    /// Whether the channels that shortcuts carry past the blocks of a residual network are pruned, too; if not given, they
    /// stay whole, unless layers are named, a price decides, or less than a quarter of all other channels would be left.
    #[arg(long, value_name = "NAME", conflicts_with = "target_inputs")]
    residual_stream: Option<StreamName>,
    /// Place gates on the numbers that the network reads, too: which columns of a table it needs.
    #[arg(long)]
    gate_inputs: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Seed of all randomness.
    #[arg(long, default_value_t = 1, value_parser = cli::whole(0_u64, None))]
    seed: u64,
    #[command(flatten)]
    size: InputSize,
    /// Folder for the runs: OUT/NETWORK/TARGET-seedN.
    #[arg(long, value_name = "DIR", default_value = "results/pruned")]
    out: PathBuf,
    #[command(flatten)]
    validation: Validation,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// What steps weights take.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OptimiserName {
    Adam,
    Sgd,
    Muon,
}

impl OptimiserName {
    /// At the rate that suits most.
    fn usual(self) -> Optimiser {
        match self {
            Self::Adam => Optimiser::adam(1e-3),
            Self::Sgd => Optimiser::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true },
            Self::Muon => Optimiser::muon(0.01),
        }
    }
}

/// What --learning-rate is if it is not given, for its help.
fn usual_rates() -> String {
    let [muon, sgd, adam] =
        [OptimiserName::Muon, OptimiserName::Sgd, OptimiserName::Adam].map(|name| name.usual().learning_rate());
    format!("Highest learning rate of the weights; if not given, {muon} with Muon, {sgd} with SGD, {adam} with Adam")
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StreamName {
    Whole,
    Pruned,
}

impl From<StreamName> for ResidualStream {
    fn from(name: StreamName) -> Self {
        match name {
            StreamName::Whole => Self::Whole,
            StreamName::Pruned => Self::Pruned,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RankingName {
    Uniform,
    Global,
}

impl From<RankingName> for Ranking {
    fn from(name: RankingName) -> Self {
        match name {
            RankingName::Uniform => Self::Uniform,
            RankingName::Global => Self::Global,
        }
    }
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| args.run.inside(|threads| prune(&args, threads)))
}

impl Args {
    /// What is asked for: clap lets one of these through.
    fn target(&self) -> Target {
        let inputs = self.target_inputs.map(Target::Inputs);
        let latency = self.target_latency.map(Target::Latency);
        let price = self.lambda.map(Target::Price);
        let weights = self.target.map(Target::Weights);
        inputs.or(latency).or(price).or(weights).unwrap_or(Target::Macs(self.target_macs))
    }
}

fn prune(args: &Args, threads: usize) -> Result<ExitCode> {
    ensure_one(args)?;
    let stop = cli::stop_on_signals()?;
    let target = args.target();
    let brought = Brought::read(&args.network, args.size.input_size)?;
    reading::ensure_row(&brought.model().net).with_context(|| args.network.display().to_string())?;
    let prune = settings(args, &brought, target);
    prune.check_settings()?;
    let compute = args.compute.open(threads)?;
    // Held out first: then the normalisation that a network was trained with takes the place of one that is computed.
    let data = args.validation.applied(loaded(args, &brought)?)?;
    let data = args.data.known_to(&args.network, &brought.read.card, data)?;
    let prune = taught(prune, args, &brought, &data)?;
    let folder = args.out.join(&brought.name).join(prune::run_name(target, args.seed));
    let is_said = args.residual_stream.is_some() || !args.choice.only.is_empty();
    let prune = prune::as_begun(prune, target, is_said, &folder)?;
    let plan = prune.plan(&data)?;
    let before = prune.evaluation(&data)?.map(|evaluation| evaluation.score);
    if !folder.join("run.json").exists() {
        prune::doubts(&plan, before, &data).iter().for_each(|doubt| tracing::warn!("{doubt}"));
        let said = prune::said_of_stream(&plan, target).filter(|_| !is_said);
        said.into_iter().for_each(|said| tracing::info!("{said}"));
        tracing::info!("{}", prune::opening(&brought, &plan, target, &data, &compute));
    }
    let teacher = args.distill.as_ref().and_then(Option::as_ref).map(|path| digest(&found(path)?)).transpose()?;
    let place = Place { folder, seed: args.seed, compute: &compute, teacher, caveat: args.validation.caveat() };
    let is_new = prune::train(&brought, &plan, target, &data, &place, stop)?;
    let page = prune::finish(&brought, (&plan, before), target, &data, &place, is_new)?;
    l0_experiments::say!("{}", place.folder.join(prune::files::PAGE).display())?;
    Ok(if page.meets_its_target() { ExitCode::SUCCESS } else { ExitCode::from(MISSED) })
}

/// Refuses a second network: mostly the teacher, which `--distill` takes behind an equals sign alone.
fn ensure_one(args: &Args) -> Result<()> {
    let Some(other) = args.others.first() else { return Ok(()) };
    let hint = match args.distill {
        Some(None) => "; a teacher is named behind an equals sign, as --distill=teacher.onnx",
        _ => "",
    };
    bail!("{} and {}: one network is pruned at a time{hint}", args.network.display(), other.display())
}

/// The data. Whole numbers of a table that were taken for classes are numbers to be predicted by a network with one
/// output, unless that is a probability.
fn loaded(args: &Args, brought: &Brought) -> Result<Dataset> {
    let (mut spec, net) = (data_of(args, brought)?, &brought.model().net);
    let data = args.data.load(&spec)?;
    let gives_number =
        net.shape(net.output()).units() == 1 && !matches!(net.last_layer(), Layer::Activation(Activation::Sigmoid));
    let names = data.train.class_names();
    let are_numbers = !names.is_empty() && names.iter().all(|name| name.parse::<f64>().is_ok());
    if !(gives_number && are_numbers && spec.may_be_a_table() && spec.options.task.is_none()) {
        return Ok(data);
    }
    tracing::info!("the network has one output: the labels are numbers to predict, no classes (--task classes)");
    spec.options.task = Some(Task::Regression);
    args.data.load(&spec)
}

/// The data that the command line names, or else that which the network file says it was trained on. Pictures are made
/// as the network reads them, unless a size is given.
fn data_of(args: &Args, brought: &Brought) -> Result<DataSpec> {
    let (net, typed) = (&brought.model().net, args.data.data.as_ref());
    let known = typed.and_then(|text| text.parse::<DataSpec>().ok()).filter(|spec| spec.known().is_some());
    let is_silent = brought.read.format == Format::Onnx && !artifact::says_its_data(&brought.read.card);
    if typed.is_none() && is_silent {
        bail!("the file does not say which data the network was trained on; name it with --data");
    }
    let own = known.map_or_else(|| artifact::dataset_of(net, &brought.read.card, &args.network), Ok);
    let own = own.or_else(|_| Ok::<_, anyhow::Error>(typed.context("name the data with --data")?.parse()?))?;
    Ok(reading::pictures_for(net, args.data.spec(&own)?))
}

/// All that the command line says but which network to learn from.
fn settings(args: &Args, brought: &Brought, target: Target) -> Prune {
    let mut prune = Prune::model(brought.model().clone())
        .target(target)
        .epochs(args.epochs)
        .weight_decay(args.weight_decay)
        .round(args.round)
        .only(args.choice.only.clone())
        .except(args.choice.except.clone())
        .seed(args.seed);
    if let Some(stream) = args.residual_stream {
        prune = prune.residual_stream(stream.into());
    }
    if let Some(ranking) = args.ranking {
        prune = prune.ranking(ranking.into());
    }
    if args.gate_inputs {
        prune = prune.gate_inputs();
    }
    if let Some(pixels) = args.shift {
        prune = prune.shift(pixels);
    }
    if let Some(batch_size) = args.batch_size {
        prune = prune.batch_size(batch_size);
    }
    if let Some(learning) = args.learning_epochs {
        prune = prune.learning_epochs(learning);
    }
    if let Some(optimiser) = args.optimiser {
        prune = prune.optimiser(optimiser.usual());
    }
    if let Some(learning_rate) = args.learning_rate {
        prune = prune.learning_rate(learning_rate);
    }
    if args.distill.is_some() {
        let temperature = args.temperature.unwrap_or(TEMPERATURE);
        prune = prune.distil(Distillation { temperature, share: args.soft_share });
    }
    prune
}

/// With the network that it learns from, if one is named.
fn taught(prune: Prune, args: &Args, brought: &Brought, data: &Dataset) -> Result<Prune> {
    ensure!(
        args.temperature.is_none() || data.train.targets().is_none(),
        "--temperature is about the probabilities of classes, and {} has numbers to predict; leave it out",
        data.name
    );
    Ok(match &args.distill {
        Some(Some(path)) => prune.teacher(prune::teacher(path, brought, data)?),
        _ => prune,
    })
}
