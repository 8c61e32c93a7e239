//! What a compact network sees in a picture.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use clap::Parser;
use l0_data::{Benchmark, DataRecord, Split};
use l0_experiments::device::DeviceArgs;
use l0_experiments::network_file::of_ours;
use l0_experiments::picture::Invert;
use l0_experiments::{artifact, cli, picture, say};
use l0_infer::Engine;
use l0_net::{Activation, Layer, Model, Shape};
use l0_train::significant;

/// Classify pictures with a compact network: class and probabilities.
///
/// A network that was trained on a table answers for the rows of a table: with a class, or a number in its own unit.
///
/// Digits are light on black, as in MNIST. A picture that is dark on light is inverted, transparent parts become black,
/// and what was done, or speaks against believing the answer, is said behind it.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Pictures (PNG, JPEG, WebP), IDX files of images, or tables (CSV, parquet) for a network that was trained on one.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The network; a LeNet-5 trained on MNIST that comes with the program if not given.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The data set whose way of making numbers of pixels the network was trained with; if not given, the one that it
    /// was made for.
    #[arg(long)]
    dataset: Option<Benchmark>,
    /// Exchange light and dark: where a picture of a digit is dark on light, always, or never.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Invert::Auto)]
    invert: Invert,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What computes a network.
enum Network {
    /// The engine for CPUs.
    Engine(Engine),
    /// The network itself, on a GPU.
    Model(Box<Model>, Device),
}

/// A network that is asked about one example after another.
struct Reader {
    network: Network,
    /// Whether its outputs are probabilities already: those of a softmax, or of a sigmoid for each class by itself.
    gives_probabilities: bool,
}

impl Reader {
    fn new(model: &Model, device: Device) -> Result<Self> {
        let gives_probabilities =
            matches!(model.net.last_layer(), Layer::Softmax(_) | Layer::Activation(Activation::Sigmoid));
        let network = match device.is_cpu() {
            true => Network::Engine(Engine::new(&model.net, &model.weights)?),
            false => {
                let weights = model.weights.to_device(&device)?;
                Network::Model(Box::new(Model { weights, ..model.clone() }), device)
            }
        };
        Ok(Self { network, gives_probabilities })
    }

    /// The probability of each class for one image, (1, c, h, w), or one row.
    fn probabilities(&mut self, image: &Tensor) -> Result<Vec<f32>> {
        let outputs = self.outputs(image)?;
        if self.gives_probabilities {
            return Ok(outputs);
        }
        let top = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = outputs.iter().map(|x| (x - top).exp()).sum();
        Ok(outputs.iter().map(|x| (x - top).exp() / sum).collect())
    }

    /// The outputs for one image, (1, c, h, w).
    fn outputs(&mut self, image: &Tensor) -> Result<Vec<f32>> {
        Ok(match &mut self.network {
            Network::Engine(engine) => engine.run(&image.flatten_all()?.to_vec1::<f32>()?, 1)?.to_vec(),
            Network::Model(model, device) => model.forward(&image.to_device(device)?)?.flatten_all()?.to_vec1()?,
        })
    }
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| predict(&args))
}

fn predict(args: &Args) -> Result<()> {
    let device = args.device.name().open()?;
    let (model, card) = match &args.model {
        Some(path) => of_ours(path)?,
        None => Model::from_bytes(l0_lenet5::ZOO_MNIST_L0_SEP, &Device::Cpu)?,
    };
    let record = artifact::record_of(&card)?.filter(|_| args.dataset.is_none());
    let reads_tables = record.as_ref().is_some_and(|record| !record.columns.is_empty());
    if let Some(path) = args.images.iter().find(|path| is_table(path) && !reads_tables) {
        let reads = match record.as_ref().map(|record| record.dims.len()) {
            Some(1) => "rows of an array, whose columns have no names",
            _ => "pictures",
        };
        anyhow::bail!("{}: a table, and the network reads {reads}; --model names the one for it", path.display());
    }
    if let Some(folder) = args.images.iter().find(|path| path.is_dir()) {
        let what = if reads_tables { "tables" } else { "pictures" };
        anyhow::bail!("{}: a folder; name the {what} in it", folder.display());
    }
    if let Some(path) = args.images.iter().find(|path| picture::is_picture(path) && reads_tables) {
        anyhow::bail!(
            "{}: a picture, and the network reads rows of a table; --model names the one for it",
            path.display()
        );
    }
    let mut reader = Reader::new(&model, device)?;
    // Digits are made like MNIST's, whatever numbers the network was given for them.
    let own_numbers =
        record.as_ref().filter(|record| record.source.known().is_some()).map(|record| record.normalise.clone());
    if let Some(record) = record.filter(|_| own_numbers.is_none()) {
        ensure!(
            matches!(args.invert, Invert::Auto),
            "--invert is for digits, and the network was trained on data of its own"
        );
        let (is_alone, read) = (args.images.len() == 1, l0_prune::read_of(&model));
        return args.images.iter().try_for_each(|path| match record.columns.is_empty() {
            true => own(path, &record, &mut reader),
            false => rows(path, (is_alone, &read), &record, &mut reader),
        });
    }
    let Shape::Image(c, h, w) = model.net.shape(0) else {
        anyhow::bail!("the network reads {}, and its file does not say of which table", model.net.shape(0));
    };
    let dataset = match args.dataset {
        Some(named) => named,
        None => {
            let own = artifact::dataset_of(&model.net, &card, Path::new(""))?;
            own.known().context("the file does not say its data")?
        }
    };
    let normalise = own_numbers.unwrap_or_else(|| dataset.normalise());
    for path in &args.images {
        for (name, picture) in picture::read(path, (c, h, w))? {
            let reading = picture.reading(dataset, args.invert).with_context(|| name.clone())?;
            let split = Split::new(reading.pixels, vec![0], (c, h, w), 1)?;
            let batch = split.batch(&[0], &normalise, None, &Device::Cpu)?;
            let probabilities = reader.probabilities(&batch.images)?;
            let notes = reading.notes.join("; ");
            let notes = if notes.is_empty() { notes } else { format!("  [{notes}]") };
            let said = seen(&probabilities, |class| class.to_string()).with_context(|| name.clone())?;
            say!("{name}: {said}{notes}")?;
        }
    }
    Ok(())
}

/// Whether a file is a table, as its name says.
fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|end| ["csv", "tsv", "parquet"].iter().any(|table| end.eq_ignore_ascii_case(table)))
}

/// What a network that was trained on data of somebody's own sees in a picture, made an image as that data's were.
fn own(path: &Path, record: &DataRecord, reader: &mut Reader) -> Result<()> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let pixels = record.image(&bytes).map_err(|said| anyhow::anyhow!("{name}: {said}"))?;
    let [c, h, w] = record.dims[..] else { anyhow::bail!("the network reads rows of numbers, not images") };
    let split = Split::new(pixels, vec![0], (c, h, w), 1)?;
    let batch = split.batch(&[0], &record.normalise, None, &Device::Cpu)?;
    let probabilities = reader.probabilities(&batch.images)?;
    let said = seen(&probabilities, |class| record.class_name(class)).with_context(|| name.clone())?;
    Ok(say!("{name}: {said}")?)
}

/// What a network that was trained on a table, and reads the columns `read`, says of the rows of another one. Lines name
/// the table, unless it is the only one; errors always do.
fn rows(path: &Path, (is_alone, read): (bool, &[u32]), record: &DataRecord, reader: &mut Reader) -> Result<()> {
    let (split, notes) = record.rows(path, read).map_err(|error| match error {
        l0_data::Error::NeedsHub { .. } => anyhow::anyhow!("{error} (or build this program with --features hub)"),
        error => error.into(),
    })?;
    notes.iter().for_each(|note| tracing::warn!("{}: {note}", path.display()));
    for row in 0..split.len() as u32 {
        let name = format!("row {}", row + 1);
        let place = format!("{}: {name}", path.display());
        let said = answer(&split, row, record, reader).with_context(|| place.clone())?;
        say!("{}: {said}", if is_alone { &name } else { &place })?;
    }
    Ok(())
}

/// What the network says of a row: a class, or a number in its unit.
fn answer(split: &Split, row: u32, record: &DataRecord, reader: &mut Reader) -> Result<String> {
    let batch = split.batch(&[row], &record.normalise, None, &Device::Cpu)?;
    let Some(scale) = &record.target else {
        return seen(&reader.probabilities(&batch.images)?, |class| record.class_name(class));
    };
    let outputs = reader.outputs(&batch.images)?;
    let [number] = outputs[..] else { anyhow::bail!("{} outputs, expected one number", outputs.len()) };
    ensure!(number.is_finite(), "the network's output is {number}, expected a finite number");
    Ok(trimmed(f64::from(number) * scale.std + scale.mean))
}

/// A number with six digits that count, and no zeros after them.
fn trimmed(number: f64) -> String {
    let text = significant(number, 6);
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// "7 (99.9 %)  1 0.1 %": the class, then the others that are worth a thousandth.
fn seen(probabilities: &[f32], called: impl Fn(usize) -> String) -> Result<String> {
    ensure!(probabilities.iter().all(|x| x.is_finite()), "the network's output is not finite");
    let mut classes: Vec<(usize, f32)> = probabilities.iter().map(|p| 100.0 * p).enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (class, percent) = classes.first().context("the network has no output")?;
    let others: Vec<String> =
        classes[1..].iter().filter(|c| c.1 >= 0.1).map(|(c, p)| format!("{} {p:.1} %", called(*c))).collect();
    let class = called(*class);
    Ok(format!("{class} ({percent:.1} %)  {}", others.join("  ")).trim_end().to_string())
}
