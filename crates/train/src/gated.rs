//! The gated network that a finished run leaves: all values averaged, nothing cut off yet.

use l0::GatedNet;
use l0_net::{Card, Existing, GatedModel, Weights};
use l0_record::{DataId, Outcome, RunFolder};

use crate::{Error, Result};

/// Name of its file in the folder of the run.
pub const GATED: &str = "gated.safetensors";

/// Under which key a card has the name of the data set.
pub const DATASET: &str = "dataset";

/// Under which key a card has what was written down of the data set, where its name alone does not say it.
pub const DATA: &str = "data_record";

/// Under which key a card has what must be said of its data, if anything.
pub const DATA_CAVEAT: &str = "data_caveat";

/// Writes the averages with all gates, to train on or to compact with any estimator.
pub(crate) fn save(folder: &RunFolder, network: &GatedNet, weights: &Weights, outcome: &Outcome) -> Result<()> {
    let path = folder.path().join(GATED);
    let wrong = |error: serde_json::Error| Error::Checkpoint { path: path.clone(), problem: error.to_string() };
    let gates = serde_json::to_value(network.gates()).map_err(wrong)?;
    let header = folder.header();
    let card = card(&header.data, &header.revision, outcome).map_err(wrong)?;
    let gated = GatedModel { net: network.net().clone(), weights: weights.clone(), gates };
    Ok(gated.save(&path, &card, Existing::Replace)?)
}

/// What the files of a run say of it.
///
/// # Errors
/// None in practice.
pub fn card(data: &DataId, revision: &str, outcome: &Outcome) -> serde_json::Result<Card> {
    let outcome = serde_json::to_value(outcome)?;
    let outcome = outcome.as_object().cloned().unwrap_or_default().into_iter().collect();
    let caveat = data.caveat.clone().map(|caveat| (DATA_CAVEAT.to_string(), caveat.into()));
    let record = data.record.clone().map(|record| (DATA.to_string(), record));
    let name = (DATASET.to_string(), data.name.clone().into());
    let extra = std::iter::once(name).chain(caveat).chain(record).collect();
    Ok(Card { data: Some(data.sha256.clone()), extra, revision: Some(revision.into()), outcome, ..Card::default() })
}
