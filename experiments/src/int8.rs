//! The network of a file in 8-bit integers, as an ONNX file: calibrated on training images, by the method that
//! changes least on others of them, and compared with the float network on all test images.

use anyhow::{Result, bail, ensure};
use candle_core::{Device, Tensor};
use l0_data::{Dataset, Feed, Normalise, Split};
use l0_net::{Activation, Agreement, Card, Layer, Masks, Model, Node, OnnxReader};
use l0_quantise::{Calibration, Method, Quantised};
use l0_rng::{Purpose, Stream};
use l0_train::{Score, evaluation_batch};
use serde_json::json;

use crate::artifact::{self, Verification};
use crate::say;

/// Training images that ranges follow from, and others that the method is chosen on, where there are as many.
const CALIBRATION: usize = 1000;
const HELD_OUT: usize = 2000;
/// Layers that a report names.
const MOST_NAMES: usize = 4;
/// Images that are calibrated on at once.
const BATCH: usize = 100;

/// A quantised network and its file.
#[derive(Debug, Clone)]
pub struct Int8 {
    /// The bytes of the ONNX file.
    pub bytes: Vec<u8>,
    /// The size of the float network as an ONNX file.
    pub float_bytes: usize,
    /// The network, read back from the bytes.
    pub model: Model,
    /// How the ranges of activations were found.
    pub method: Method,
    /// The layers that still compute with floats.
    pub floats: Vec<String>,
    /// What the predictions of the file are worth on the test images.
    pub score: Score,
    /// What those of the float network are.
    pub float_score: Score,
    /// How the outputs of both compare there.
    pub agreement: Agreement,
}

impl Int8 {
    /// By how many points the error is larger than that of the float network, or by how many percent the RMSE.
    pub fn loss(&self) -> f64 {
        let rmse = |score: Score| score.rmse().unwrap_or(f64::NAN);
        match (self.score.error_percent(), self.float_score.error_percent()) {
            (Some(found), Some(float)) => found - float,
            _ if rmse(self.score) == rmse(self.float_score) => 0.0, // both may be 0
            _ => 100.0 * (rmse(self.score) / rmse(self.float_score) - 1.0),
        }
    }

    /// Why the file is not worth what it should be: outputs that are no numbers, or a loss of more than `bound`.
    pub fn problem(&self, bound: f64) -> Option<String> {
        let (Agreement { examples, not_finite, .. }, loss) = (&self.agreement, self.loss());
        match self.score.error_percent() {
            _ if *not_finite > 0 => Some(format!(
                "the outputs of the float or the int8 network are not finite on {not_finite} of {examples} images"
            )),
            _ if loss <= bound => None,
            Some(_) => {
                Some(format!("in int8 the test error is {loss:.2} points larger, more than {bound} (--int8-bound)"))
            }
            None => Some(format!("in int8 the RMSE is {loss:.2} % larger, more than {bound} % (--int8-bound)")),
        }
    }
}

impl std::fmt::Display for Int8 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes (float {}), ", self.bytes.len(), self.float_bytes)?;
        write!(f, "test {} (float {}), {}", self.score, self.float_score, differences(&self.agreement))?;
        let (shown, more) = self.floats.split_at(self.floats.len().min(MOST_NAMES));
        if !shown.is_empty() {
            write!(f, "; its layers with floats: {}", shown.join(", "))?;
        }
        if more.is_empty() { Ok(()) } else { write!(f, " and {} more", more.len()) }
    }
}

/// How the outputs of both networks compare. They are not equal, so that the bound of a verification says nothing here.
fn differences(agreement: &Agreement) -> String {
    let Agreement { examples, largest_difference, changed_predictions, not_finite, .. } = agreement;
    let share = 100.0 * *changed_predictions as f64 / (*examples).max(1) as f64;
    let finite = if *not_finite > 0 { format!(", {not_finite} outputs not finite") } else { String::new() };
    format!(
        "largest difference {largest_difference:.2e}, {changed_predictions} of {examples} predictions changed ({share:.2} %){finite}"
    )
}

/// Fails if a network rounds to 8 bits already: its ranges would follow from what is rounded, and weights that learn
/// are no whole numbers any more.
///
/// # Errors
/// With what to quantise in its place.
pub fn ensure_float(model: &Model) -> Result<()> {
    let rounds = |node: &&Node| matches!(node.layer, Layer::Activation(Activation::Quantise(_)));
    match model.net.nodes().iter().find(rounds) {
        Some(node) => bail!(
            "it is quantised already (layer {:?} rounds to 8 bits); name the float network that it was made of, or for \
             `just export` its run: what is quantised comes last",
            node.name
        ),
        None => Ok(()),
    }
}

/// Whether a layer of a network is one of whole numbers.
///
/// # Errors
/// If a parameter is missing.
pub fn is_int8(model: &Model) -> Result<bool> {
    for id in model.net.affine() {
        if model.net.int8(&model.weights, id)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Quantises `model`, whose card is `card`, and compares what its file holds with it.
///
/// # Errors
/// If there are fewer than two training images, they do not fit the network, or it cannot be quantised.
pub fn int8(model: &Model, card: &Card, data: &Dataset, normalise: &Normalise) -> Result<Int8> {
    artifact::fits(&model.net, &data.test)?;
    let (calibration, held_out) = parts(&data.train)?;
    say!("int8: calibrating on {} training images", calibration.len())?;
    let feed = Feed::new(&calibration, normalise.clone(), BATCH.min(evaluation_batch(&model.net)), &Device::Cpu)?;
    let batches = feed.in_order().map(|batch| Ok(batch?.images)).collect::<Result<Vec<Tensor>>>()?;
    let ranges = Calibration::of(model, &batches)?;
    let (method, Quantised { model: quantised, floats }) = best(model, &ranges, &held_out, normalise)?;
    say!("int8: comparing with the float network on {} test images", data.test.len())?;
    let float_bytes = artifact::onnx(model, card)?.len();
    // The file is read twice: without its claims, which follow from what it computes, and with them, which is what is
    // kept.
    let read = OnnxReader::new().from_bytes(&artifact::onnx(&quantised, &Card::default())?)?;
    let (agreement, score) = compared(model, &read, &data.test, normalise)?;
    let (_, float_score) = compared(model, model, &data.test, normalise)?;
    let card = card_of(card, method, &agreement, score, calibration.len());
    let bytes = artifact::onnx(&quantised, &card)?;
    let model = OnnxReader::new().from_bytes(&bytes)?;
    Ok(Int8 { bytes, float_bytes, model, method, floats, score, float_score, agreement })
}

/// Training images for ranges, and others for the choice of a method: drawn, since many data sets are in order of
/// classes.
fn parts(train: &Split) -> Result<(Split, Split)> {
    ensure!(
        train.len() >= 2,
        "found {} training images, expected two or more: the ranges of 8-bit numbers follow from some, and how they are \
         found from others (--data names the folder or file of the data)",
        train.len()
    );
    let order = Stream::new(0, Purpose::Other, 0, 0, "calibration").permutation(train.len());
    let (ranges, rest) = order.split_at(CALIBRATION.min(train.len() / 2));
    Ok((train.select(ranges)?, train.select(&rest[..HELD_OUT.min(rest.len())])?))
}

/// The method that changes the fewest predictions on images that were not calibrated on; of equal ones that with the
/// smallest difference. One that cannot quantise the network is passed over, unless none can.
fn best(model: &Model, ranges: &Calibration, held_out: &Split, normalise: &Normalise) -> Result<(Method, Quantised)> {
    let mut best: Option<(usize, f32, Method, Quantised)> = None;
    let mut problem = None;
    for method in Method::ALL {
        let quantised = match ranges.quantise(method) {
            Ok(quantised) => quantised,
            Err(error) => {
                say!("int8: {method} is passed over: {error}")?;
                problem.get_or_insert(error);
                continue;
            }
        };
        let (agreement, score) = compared(model, &quantised.model, held_out, normalise)?;
        say!("int8: {method}: {score} on {} held-out training images, {}", held_out.len(), differences(&agreement))?;
        let (changed, difference) = (agreement.changed_predictions, agreement.largest_difference);
        if best.as_ref().is_none_or(|best| (changed, difference) < (best.0, best.1)) {
            best = Some((changed, difference, method, quantised));
        }
    }
    match (best, problem) {
        (Some((_, _, method, quantised)), _) => {
            say!("int8: {method} is taken")?;
            Ok((method, quantised))
        }
        (None, Some(error)) => Err(error.into()),
        (None, None) => bail!("there is no method to find the ranges of 8-bit numbers by"),
    }
}

/// How the outputs of a network compare with those of the float network, and what its predictions are worth.
fn compared(float: &Model, found: &Model, images: &Split, normalise: &Normalise) -> Result<(Agreement, Score)> {
    let float = (&float.net, &float.weights, &Masks::none(&float.net));
    artifact::verify(float, found, &Verification { test: images, normalise: normalise.clone(), device: Device::Cpu })
}

/// What is said of the file: where the network comes from, and what it is worth in whole numbers. The description of
/// the network before pruning would be a good part of so small a file.
fn card_of(card: &Card, method: Method, agreement: &Agreement, score: Score, images: usize) -> Card {
    let mut card = Card { agreement: None, ..card.clone() };
    card.extra.remove("whole");
    card.extra.extend(artifact::claim(score).map(|(key, value)| (key.to_string(), json!(value))));
    let about = json!({ "method": method.to_string(), "calibrated_on": images, "against_float": agreement });
    card.extra.insert("int8".into(), about);
    card
}
