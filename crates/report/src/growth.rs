//! Recorded times of training steps of growing networks and batches: what a step costs, beside its arithmetic.

use std::path::Path;

use l0_record::Machine;
use serde::{Deserialize, Serialize};

use crate::timing::read_folder;
use crate::{Result, Spread};

/// What `just bench --growth` measured, as in a file under `results/bench/growth/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Where.
    pub machine: Machine,
    /// Revision of the code.
    pub revision: Option<String>,
    /// When, as [`now`](l0_record::now) writes it.
    pub when: String,
    /// A curve for each network and quantity.
    pub curves: Vec<GrowthCurve>,
}

/// The time of one network's training step against a quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrowthCurve {
    /// The network's name.
    pub network: String,
    /// What grows.
    pub quantity: Quantity,
    /// In increasing order of the quantity.
    pub points: Vec<GrowthPoint>,
}

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// The share of multiply-accumulates that open gates leave.
    Density,
    /// The units of each layer, as a multiple of the usual ones.
    Width,
    /// Images in a batch.
    Batch,
    /// Threads.
    Threads,
}

/// The time at one value of the quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GrowthPoint {
    /// The quantity's value.
    pub at: f64,
    /// Time of a step, in ms.
    pub ms: Spread,
    /// Multiply-accumulates of a forward pass of the batch, divided by the threads that share them: for density through
    /// the gates that are open at test time, else through all.
    pub macs: f64,
}

impl Growth {
    /// The latest of the files in a folder; none if there is no file or no folder.
    ///
    /// # Errors
    /// If the folder or a file cannot be read, or a file is not what `just bench --growth` writes.
    pub fn latest(folder: impl AsRef<Path>) -> Result<Option<Self>> {
        let all: Vec<Self> = read_folder(folder.as_ref(), "what `just bench --growth` writes")?;
        Ok(all.into_iter().max_by(|a, b| a.when.cmp(&b.when)))
    }
}

impl Quantity {
    /// Its name, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Density => "density",
            Self::Width => "width",
            Self::Batch => "batch",
            Self::Threads => "threads",
        }
    }
}

impl GrowthCurve {
    /// The time that arithmetic alone would take if every step ran at the speed of the one with the most of it:
    /// value of the quantity, and ms.
    pub fn arithmetic(&self) -> Vec<(f64, f64)> {
        let most = self.points.iter().max_by(|a, b| a.macs.total_cmp(&b.macs));
        let at = |most: &GrowthPoint| {
            let ms = |point: &GrowthPoint| most.ms.median * point.macs / most.macs;
            self.points.iter().map(|point| (point.at, ms(point))).collect()
        };
        most.map_or(Vec::new(), at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(when: &str) -> Growth {
        let point = |at: f64, ms: f64, macs: f64| GrowthPoint { at, ms: Spread::of(vec![ms]), macs };
        let points = vec![point(1.0, 8.0, 100.0), point(2.0, 6.0, 50.0)];
        let curves = vec![GrowthCurve { network: "MLP".into(), quantity: Quantity::Threads, points }];
        Growth { machine: Machine::default(), revision: None, when: when.into(), curves }
    }

    #[test]
    fn the_latest_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Growth::latest(folder.path().join("missing")).unwrap(), None);
        for (name, when) in [("a", "2026-01-02"), ("b", "2026-01-01")] {
            let path = folder.path().join(name).with_extension("json");
            std::fs::write(path, serde_json::to_string(&growth(when)).unwrap()).unwrap();
        }
        assert_eq!(Growth::latest(folder.path()).unwrap(), Some(growth("2026-01-02")));
        std::fs::write(folder.path().join("c.json"), "{}").unwrap();
        assert!(Growth::latest(folder.path()).unwrap_err().to_string().contains("just bench --growth"));
    }

    #[test]
    fn arithmetic_alone_takes_the_time_of_the_largest_step_in_proportion() {
        assert_eq!(growth("").curves[0].arithmetic(), [(1.0, 8.0), (2.0, 4.0)]);
    }
}
