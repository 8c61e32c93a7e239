//! A network from one kind of file into another, and the check that it is still the same.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use l0_net::{Card, Existing, Import, Model, OnnxReader, Rename, write_file};
use l0_rng::{Purpose, Stream};
use serde_json::json;

use crate::network_file::{self, NetworkFile, is_onnx};
use crate::{artifact, cli};

/// Examples that both networks are compared on.
const BATCH: usize = 4;
/// The largest difference of an output, as a share of the largest output, or of 1 where that is smaller.
const TOLERANCE: f32 = 1e-5;

/// Values that a network is to have in the place of its own.
#[derive(Debug, Clone, Copy)]
pub struct NewValues<'a> {
    /// A safetensors file, by whatever program it was written.
    pub file: &'a Path,
    /// How the names there become those of the network's parameters.
    pub rules: &'a [Rename],
}

/// A network that was written as another kind of file.
#[derive(Debug, Clone)]
pub struct Converted {
    /// The network.
    pub model: Model,
    /// Of new values, those that no layer asked for.
    pub left_over: Vec<String>,
    /// The size of the new file.
    pub bytes: usize,
    /// The largest difference of what the network gives, read from one file and from the other.
    pub difference: f32,
}

/// Writes the network of the file `from` as a file `to` of the other kind: an ONNX file as one of ours, or one of ours
/// as ONNX; with new values, of whatever kind. What would be written is read back first and compared on random inputs,
/// so that no other network gets that name.
///
/// # Errors
/// If `from` cannot be read or has gates, both are of one kind, `to` is there and to be kept or cannot be written, or
/// the new file holds a network that computes something else.
pub fn convert(
    from: &Path,
    to: &Path,
    size: Option<(usize, usize)>,
    values: Option<NewValues<'_>>,
    existing: Existing,
) -> Result<Converted> {
    let from = &network_file::found(from)?;
    let (source, target) = (is_onnx(from)?, is_onnx(to)?);
    if source == target && values.is_none() {
        let ending = if source { ".safetensors" } else { ".onnx" };
        bail!("{} and {} are of one kind; end the second in {ending}", from.display(), to.display());
    }
    cli::writable(to, existing)?;
    let NetworkFile { mut model, mut card, .. } = NetworkFile::plain(from, size)?;
    let mut left_over = Vec::new();
    if let Some(NewValues { file, rules }) = values {
        let import = Import::from_file_renamed(&model.net, file, rules, &Device::Cpu);
        let import = import.with_context(|| format!("the values of {} for {}", file.display(), from.display()))?;
        (model.weights, left_over) = (import.weights, import.left_over);
        // What was said of the old values is said no longer; what its ends are called belongs to the network.
        let ends = card.extra.remove(artifact::ENDS);
        card = card_of(file, "values_from", Card::default())?;
        card.extra.extend(ends.map(|ends| (artifact::ENDS.to_string(), ends)));
    }
    let card = if target && values.is_none() { card } else { card_of(from, "converted_from", card)? };
    let checked = match target {
        true => checked_onnx(&model, &card),
        false => checked_safetensors(&model, &card),
    };
    let (bytes, difference) = checked.with_context(|| format!("{}: nothing was written", to.display()))?;
    write_file(to, &bytes, existing)?;
    Ok(Converted { model, left_over, bytes: bytes.len(), difference })
}

/// The ONNX form of a network ([`artifact::onnx`]) that is the same when it is read back, and by how much at most its
/// outputs differ then.
///
/// # Errors
/// If it cannot be written so, or what is read back computes something else.
pub fn checked_onnx(model: &Model, card: &Card) -> Result<(Vec<u8>, f32)> {
    let bytes = artifact::onnx(model, card)?;
    let difference = difference(model, &OnnxReader::new().from_bytes(&bytes)?)?;
    Ok((bytes, difference))
}

/// The same of a .safetensors file.
fn checked_safetensors(model: &Model, card: &Card) -> Result<(Vec<u8>, f32)> {
    let bytes = model.to_bytes(card)?;
    let difference = difference(model, &Model::from_bytes(&bytes, &Device::Cpu)?.0)?;
    Ok((bytes, difference))
}

/// The card of a network that came, or whose values came, from another file.
fn card_of(from: &Path, what: &str, mut card: Card) -> Result<Card> {
    let name = from.file_name().unwrap_or_default().to_string_lossy();
    let digest = network_file::digest(from)?;
    card.extra.insert(what.into(), json!({ "file": name, "sha256": digest }));
    Ok(card)
}

/// The largest difference of what two networks give for random inputs.
///
/// # Errors
/// If it is larger than rounding makes it, or one gives what is no number.
fn difference(expected: &Model, found: &Model) -> Result<f32> {
    let mut dims = expected.net.shape(0).dims();
    dims.insert(0, BATCH);
    let mut stream = Stream::new(0, Purpose::Other, 0, 0, "convert");
    let xs = Tensor::from_vec(stream.normals(dims.iter().product()), dims, &Device::Cpu)?;
    let (expected, found) = (expected.forward(&xs)?, found.forward(&xs)?);
    ensure!(expected.dims() == found.dims(), "it gives {:?} when read back, not {:?}", found.dims(), expected.dims());
    let [expected, found] = [&expected, &found].map(|ys| ys.flatten_all().and_then(|ys| ys.to_vec1::<f32>()));
    let (expected, found) = (expected?, found?);
    let largest = expected.iter().fold(1f32, |largest, y| largest.max(y.abs()));
    let difference = expected
        .iter()
        .zip(&found)
        .map(|(a, b)| (a - b).abs())
        .fold(0f32, |most, d| if d > most || d.is_nan() { d } else { most });
    ensure!(
        difference <= TOLERANCE * largest,
        "read back, its outputs differ by {difference:e} where the largest is {largest:e}, expected {TOLERANCE:e} of that"
    );
    Ok(difference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use l0_net::{Builder, Params};

    #[test]
    fn other_values_and_what_is_no_number_are_noticed() {
        let mut b = Builder::features("input", 3);
        b.linear("fc", 2);
        let net = b.build().unwrap();
        let model = |seed: u64| {
            let params = Params::init(&net, seed, &Device::Cpu).unwrap();
            Model::new(net.clone(), params.detached()).unwrap()
        };
        assert_eq!(difference(&model(1), &model(1)).unwrap(), 0.0);
        assert!(difference(&model(1), &model(2)).unwrap_err().to_string().contains("read back, its outputs differ by"));
        let mut none = model(1);
        none.weights =
            none.weights.with(none.weights.iter().map(|(_, value)| (value * f64::NAN).unwrap()).collect()).unwrap();
        assert!(difference(&none, &none).is_err());
    }
}
