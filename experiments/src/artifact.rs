//! What training leaves: the gated network of a run, and the compact network made of it, verified to be equal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use l0::{Estimator, GatedNet, Gates};
use l0_data::{Benchmark, DataRecord, DataSpec, Dataset, Feed, Normalise, Split};
use l0_files::Sha256;
use l0_net::{Agreement, Card, GatedModel, Masks, Mode, Model, Net, OnnxAbout, Shape, Weights};
use l0_train::{Score, Tally};
use serde_json::json;

/// The gated network in the folder of a run.
pub fn gated_path(run: &Path) -> PathBuf {
    run.join(l0_train::GATED)
}

/// A gated network from its file, or from the folder of its run.
///
/// # Errors
/// If there is none, or it does not hold what it describes.
pub fn load_gated(path: &Path) -> Result<(GatedNet, Weights, Card)> {
    let file = if path.is_dir() { gated_path(path) } else { path.to_path_buf() };
    if !file.exists() {
        bail!("{}: there is no such file; a finished run has a gated.safetensors in its folder", file.display());
    }
    let (gated, card) = GatedModel::load(&file, &Device::Cpu)?;
    let gates: Gates = serde_json::from_value(gated.gates)
        .with_context(|| format!("{}: its metadata do not say where the gates are", file.display()))?;
    Ok((GatedNet::with_gates(gated.net, &gates)?, gated.weights, card))
}

/// sha256 of values, their names and shapes, lower-case hex: the digest of a file is of what its card says, too, as how
/// long training took.
///
/// # Errors
/// If values are not f32.
pub fn digest_of_values(weights: &Weights) -> Result<String> {
    let mut hash = Sha256::new();
    // Each with its length before it, so that nothing can move between them.
    let mut add = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for (name, tensor) in weights.iter() {
        let values = tensor.flatten_all()?.to_vec1::<f32>().with_context(|| name.to_string())?;
        add(name.as_bytes());
        add(format!("{:?}", tensor.dims()).as_bytes());
        add(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }
    Ok(hash.hex())
}

/// What was written down of the data set that a network was trained on; `None` where its name says it all.
///
/// # Errors
/// If what the card says is no record of a data set.
pub fn record_of(card: &Card) -> Result<Option<DataRecord>> {
    let record = card.extra.get(l0_train::DATA).cloned();
    record.map(serde_json::from_value).transpose().context("what the card says of the data")
}

/// Data as a network knows it that was trained on other data, if its card says on which: columns and classes by their
/// names, normalised by its numbers, what is predicted in its scale. Of a benchmark that the card only names it has the
/// numbers, where examples are of that shape.
///
/// # Errors
/// If a column is not there, a class is none that it tells apart, or what the card says is no record of a data set.
pub fn as_trained(card: &Card, data: Dataset) -> Result<Dataset> {
    if let Some(record) = record_of(card)? {
        return Ok(record.as_trained(data)?);
    }
    let is_of = |known: &Benchmark| !data.train.is_table() && known.shape() == data.train.shape();
    let named = benchmark_of(card).filter(is_of);
    let normalise = named.map_or_else(|| data.normalise.clone(), Benchmark::normalise);
    Ok(Dataset { normalise, ..data })
}

/// By which numbers the input of a network is normalised, as far as its card says it: those of its record, or those of
/// the benchmark that it names.
///
/// # Errors
/// If what the card says is no record of a data set.
pub fn normalise_of(card: &Card) -> Result<Option<Normalise>> {
    let recorded = record_of(card)?.map(|record| record.normalise);
    Ok(recorded.or_else(|| benchmark_of(card).map(Benchmark::normalise)))
}

/// The benchmark that a card names.
fn benchmark_of(card: &Card) -> Option<Benchmark> {
    card.extra.get(l0_train::DATASET)?.as_str()?.parse().ok()
}

/// Whether a file says what its network was trained on.
pub fn says_its_data(card: &Card) -> bool {
    [l0_train::DATA, l0_train::DATASET].iter().any(|key| card.extra.contains_key(*key))
}

/// The data set that the network in `file` was made for: the one that its card records or names, or else the first in
/// [`Benchmark::ALL`] whose images and classes it reads and tells apart.
///
/// # Errors
/// If there is none.
pub fn dataset_of(net: &Net, card: &Card, file: &Path) -> Result<DataSpec> {
    if let Some(record) = record_of(card)? {
        return Ok(record.found_from(file.parent().unwrap_or(file)));
    }
    if let Some(name) = card.extra.get(l0_train::DATASET).and_then(serde_json::Value::as_str) {
        return Ok(name.parse()?);
    }
    let (input, classes) = (net.shape(0), net.shape(net.output()));
    let fits = |name: &Benchmark| {
        let (c, h, w) = name.shape();
        input == Shape::Image(c, h, w) && classes == Shape::Features(name.classes())
    };
    let found = Benchmark::ALL.into_iter().find(fits).map(DataSpec::from);
    found.with_context(|| format!("no data set has images of {input} and {classes} classes; name one with --dataset"))
}

/// The compact network of a gated one, with the verification that both compute the same.
#[derive(Debug)]
pub struct Compact {
    /// The plain, smaller network.
    pub model: Model,
    /// How its outputs compare with those of the gated network on a test set.
    pub agreement: Agreement,
    /// What its own predictions are worth on that set.
    pub score: Score,
}

/// The images that two networks are compared on.
#[derive(Debug)]
pub struct Verification<'a> {
    /// The images.
    pub test: &'a Split,
    /// How pixels become numbers.
    pub normalise: Normalise,
    /// What computes both networks, in f32.
    pub device: Device,
}

/// Compacts a gated network, whose values are on the CPU, and compares both on every image.
///
/// # Errors
/// If the images do not fit.
pub fn compact(
    network: &GatedNet,
    weights: &Weights,
    estimator: Estimator,
    verification: &Verification,
) -> Result<Compact> {
    let masks = network.test_masks(weights, estimator)?;
    let model = network.net().compact(weights, &masks)?;
    let (agreement, score) = verify((network.net(), weights, &masks), &model, verification)?;
    Ok(Compact { model, agreement, score })
}

/// Checks that a network reads such examples, and gives as much as they are tested on.
///
/// # Errors
/// If it does not, as the message says.
pub fn fits(net: &Net, test: &Split) -> Result<()> {
    let (reads, gives) = (net.shape(0), net.shape(net.output()));
    let (example, outputs) = (Shape::of_example(&test.dims()), Shape::Features(test.classes().max(1)));
    ensure!(reads == example, "the network reads {reads}, a test example is {example}: it was made for other data");
    ensure!(
        gives == outputs,
        "the network gives {gives}, the test examples ask for {outputs}: it was made for other data"
    );
    Ok(())
}

/// Compares the outputs of a masked network with those of a plain one; also what the plain one's predictions are worth.
///
/// # Errors
/// If the networks read or give something else than each other, or the images are others than they read.
pub fn verify(
    (net, weights, masks): (&Net, &Weights, &Masks),
    model: &Model,
    Verification { test, normalise, device }: &Verification,
) -> Result<(Agreement, Score)> {
    fits(&model.net, test)?;
    let ends = |net: &Net| (net.shape(0), net.shape(net.output()));
    let ((reads, gives), (of_file, out_of_file)) = (ends(net), ends(&model.net));
    ensure!(
        (reads, gives) == (of_file, out_of_file),
        "the file reads {of_file} and gives {out_of_file}, the network that it is compared with reads {reads} and gives {gives}: \
         it was not made of that one"
    );
    l0_train::Precision::F32.apply(device)?;
    let feed = Feed::new(test, normalise.clone(), l0_train::evaluation_batch(net), device)?;
    let weights = weights.to_device(device)?; // the masks stay on the CPU, as in training
    let model = Model { weights: model.weights.to_device(device)?, ..model.clone() };
    let (mut agreement, mut tally) = (Agreement::default(), Tally::of(test));
    for batch in feed.in_order() {
        let batch = batch?;
        let expected = net.forward(&weights, &batch.images, masks, Mode::Eval)?.ys;
        let found = model.forward(&batch.images)?;
        agreement.add(&expected, &found)?;
        tally.add(&found, &batch.labels)?;
    }
    Ok((agreement, tally.score()))
}

/// The card of a compact network: that of its run, the estimator, the verification, its own error, and the description
/// of the network before pruning, to be compared with.
///
/// # Errors
/// None in practice.
pub fn compact_card(of_run: &Card, network: &GatedNet, estimator: Estimator, compact: &Compact) -> Result<Card> {
    let mut card = of_run.clone();
    card.estimator = Some(estimator.to_string());
    card.agreement = Some(compact.agreement.clone());
    card.forced = !compact.agreement.passes();
    if let Some((key, value)) = claim(compact.score) {
        card.extra.insert(key.into(), json!(value));
    }
    card.extra.insert("whole".into(), serde_json::to_value(network.net())?);
    Ok(card)
}

/// Has a card say what must be said of its numbers, beside what it says of the data already.
pub fn add_caveat(card: &mut Card, caveat: Option<String>) {
    let Some(caveat) = caveat else { return };
    let before = card.extra.get(l0_train::DATA_CAVEAT).and_then(serde_json::Value::as_str);
    let both = before.map_or(caveat.clone(), |before| format!("{before}; {caveat}"));
    card.extra.insert(l0_train::DATA_CAVEAT.into(), json!(both));
}

/// Under which key a card has what the input and the output of a network are called, and what stands behind its last
/// layer, if it came as ONNX.
pub const ENDS: &str = "onnx_ends";

/// Under which keys a card has the metadata of that file that are not ours, and its description.
const METADATA: &str = "onnx_metadata";
const DOC: &str = "onnx_doc";

/// The most bytes of texts of an ONNX file that a card keeps: the header of a file has room for no more than 16 MiB.
const MOST_TEXT: usize = 1 << 20;

/// What a card keeps of the ONNX file that a network came as.
pub fn of_onnx(card: &Card) -> Vec<(String, serde_json::Value)> {
    let kept = |key: &str| Some((key.to_string(), card.extra.get(key)?.clone()));
    [ENDS, METADATA, DOC].into_iter().filter_map(kept).collect()
}

/// Under which key a card keeps what its own predictions are worth, and the number: an error in percent, or an RMSE.
pub(crate) fn claim(score: Score) -> Option<(&'static str, f64)> {
    let error = score.error_percent().map(|error| ("error_percent_of_this_file", error));
    error.or(score.rmse().map(|rmse| ("rmse_of_this_file", rmse)))
}

/// What a card claims of its file's predictions, where these are worth something else, in words.
pub fn refuted(card: &Card, score: Score) -> Option<String> {
    let (key, found) = claim(score)?;
    let claimed = card.extra.get(key).and_then(serde_json::Value::as_f64)?;
    let unit = if score.rmse().is_some() { "an RMSE of" } else { "an error in percent of" };
    ((claimed - found).abs() > 1e-9 * found.abs().max(1.0))
        .then(|| format!("it claims {unit} {claimed}, found {found}"))
}

/// Under which key the metadata of an ONNX file of ours have its card.
const CARD: &str = "card";

/// What an ONNX file of a pruned network says of itself if the one that was brought said nothing.
const PRUNED: &str = "A network pruned by L0 regularisation";

/// The card of a network that comes as ONNX: what its input and output are called, the metadata and the description that
/// are not ours and, where the file is one of ours, which data it is for. What else a card of ours says of itself is left
/// there: whoever changed the file since may have left that as it was.
///
/// # Errors
/// None in practice: the names are texts.
pub fn card_of_onnx(about: &OnnxAbout) -> Result<Card> {
    let said = about.metadata.get(CARD).and_then(|text| serde_json::from_str::<Card>(text).ok()).unwrap_or_default();
    let of_data = [l0_train::DATA, l0_train::DATASET, l0_train::DATA_CAVEAT];
    let mut extra = said.extra;
    extra.retain(|key, _| of_data.contains(&key.as_str()));
    extra.insert(ENDS.into(), serde_json::to_value(&about.ends)?);
    let metadata: BTreeMap<&String, &String> = about.metadata.iter().filter(|(key, _)| *key != CARD).collect();
    let doc = Some(&about.doc).filter(|doc| !doc.is_empty() && *doc != PRUNED);
    let texts = metadata.iter().flat_map(|(key, value)| [*key, *value]).chain(doc);
    let size: usize = texts.map(String::len).sum();
    if size > MOST_TEXT {
        tracing::warn!("its metadata and description have {size} bytes and are not kept: {MOST_TEXT} at most are");
        return Ok(Card { data: said.data, extra, ..Card::default() });
    }
    if !metadata.is_empty() {
        extra.insert(METADATA.into(), serde_json::to_value(metadata)?);
    }
    extra.extend(doc.map(|doc| (DOC.to_string(), json!(doc))));
    Ok(Card { data: said.data, extra, ..Card::default() })
}

/// The ONNX form of a network, with its card in the metadata, and with the names and texts of the file that it came from.
///
/// # Errors
/// If it would be too large, or the card does not say in our form what stood at the ends of that file.
pub fn onnx(model: &Model, card: &Card) -> Result<Vec<u8>> {
    let mut said = card.clone(); // these texts stand in their own places
    let (metadata, doc) = (said.extra.remove(METADATA), said.extra.remove(DOC));
    let mut metadata: BTreeMap<String, String> =
        metadata.and_then(|metadata| serde_json::from_value(metadata).ok()).unwrap_or_default();
    metadata.insert(CARD.into(), serde_json::to_string(&said)?);
    let own = if model.kept.is_empty() { "" } else { PRUNED };
    let ends = card.extra.get(ENDS).cloned().map(serde_json::from_value).transpose();
    let about = OnnxAbout {
        producer: env!("CARGO_PKG_NAME").into(),
        version: env!("CARGO_PKG_VERSION").into(),
        doc: doc.as_ref().and_then(serde_json::Value::as_str).unwrap_or(own).into(),
        metadata,
        ends: ends.with_context(|| format!("{ENDS} of its card, which was changed by hand"))?,
    };
    Ok(l0_net::to_onnx(&model.net, &model.weights, &about)?)
}

#[cfg(test)]
mod tests {
    use l0_data::{DataSpec, Digits};
    use l0_net::{Builder, OnnxEnds, OnnxReader, Params};

    use super::*;

    /// Data of somebody's own, of MNIST's shape.
    fn own() -> Dataset {
        let digits = Digits { train: 20, test: 10, seed: 1 }.draw().unwrap();
        Dataset::new("pics", digits.train, digits.test, vec![]).unwrap()
    }

    fn card(key: &str, value: serde_json::Value) -> Card {
        Card { extra: [(key.to_string(), value)].into(), ..Card::default() }
    }

    #[test]
    fn a_network_reads_by_the_numbers_of_the_benchmark_that_its_card_only_names() {
        let data = own();
        assert_ne!(data.normalise, Normalise::unit());
        let read = |name: &str| as_trained(&card(l0_train::DATASET, json!(name)), own()).unwrap().normalise;
        assert_eq!(read("mnist"), Normalise::unit());
        assert_eq!(read("cifar10"), data.normalise, "images of another shape are none that it reads");
        assert_eq!(read("somebody's photos"), data.normalise);
        assert_eq!(as_trained(&Card::default(), own()).unwrap().normalise, data.normalise);
    }

    #[test]
    fn what_must_be_said_of_a_card_stands_beside_what_it_says_already() {
        let mut said = Card::default();
        add_caveat(&mut said, None);
        assert_eq!(said.extra.get(l0_train::DATA_CAVEAT), None);
        add_caveat(&mut said, Some("tested on 9".into()));
        add_caveat(&mut said, Some("so".into()));
        assert_eq!(said.extra[l0_train::DATA_CAVEAT], "tested on 9; so");
    }

    #[test]
    fn what_a_card_says_of_its_numbers_is_told_from_what_it_leaves_open() {
        let said = |card: &Card| normalise_of(card).unwrap();
        assert_eq!(said(&card(l0_train::DATASET, json!("mnist"))), Some(Normalise::unit()));
        assert_eq!(said(&card(l0_train::DATASET, json!("pics"))), None);
        assert_eq!(said(&Card::default()), None);
        let record = DataRecord::of(&DataSpec::from(Benchmark::Digits), &own()).unwrap();
        let recorded = card(l0_train::DATA, serde_json::to_value(record).unwrap());
        assert_eq!(said(&recorded), Some(own().normalise));
    }

    #[test]
    fn what_an_onnx_file_says_of_itself_comes_back_beside_our_card() -> Result<()> {
        let mut b = Builder::features("input", 3);
        b.linear("fc", 1);
        let net = b.build()?;
        let weights = Params::init(&net, 1, &Device::Cpu)?.detached();
        let model = Model::new(net, weights)?;
        let ends = OnnxEnds { shape: Some(Vec::new()), ..OnnxEnds::new("x", "y", 17) };
        let text = |text: &str| text.to_string();
        let brought = OnnxAbout {
            doc: "someone's".into(),
            metadata: [(text("names"), text("{0: 'cat'}")), (text(CARD), text("theirs"))].into(),
            ends: Some(ends),
            ..OnnxAbout::default()
        };
        let mut card = Card { estimator: Some("ours".into()), ..Card::default() };
        card.extra.extend(of_onnx(&card_of_onnx(&brought)?));
        let (_, found) = OnnxReader::new().from_bytes_with_about(&onnx(&model, &card)?)?;
        assert_eq!((&found.doc, &found.ends), (&brought.doc, &brought.ends));
        assert_eq!(found.metadata.keys().collect::<Vec<_>>(), [CARD, "names"]);
        assert_eq!(found.metadata["names"], brought.metadata["names"]);
        assert!(found.metadata[CARD].contains("ours") && !found.metadata[CARD].contains("cat"));
        // The file that was written is read as the one that was brought.
        assert_eq!(of_onnx(&card_of_onnx(&found)?), of_onnx(&card));

        let long = OnnxAbout { metadata: [(text("long"), "x".repeat(MOST_TEXT + 1))].into(), ..brought };
        assert_eq!(of_onnx(&card_of_onnx(&long)?).len(), 1, "its ends alone");
        Ok(())
    }
}
