//! Runs that nobody ran: numbers of about the right size to try files, tables and plots on.

use std::path::Path;

use l0_record::{
    DataId, EpochRow, Machine, Named, Outcome, Reference, Result, RunFolder, RunHeader, gate_histogram, run_path,
};
use l0_report::figures::GateCurves;
use l0_report::{Growth, GrowthCurve, GrowthPoint, Quantity, Report, Spread};
use serde_json::json;

/// A recipe that was never cooked.
pub(crate) struct Dish {
    recipe: &'static str,
    title: &'static str,
    network: &'static str,
    /// Gates of each layer, and how many of them stay open.
    layers: &'static [(&'static str, usize, usize)],
    error: f64,
    target: Option<f64>,
}

const MLP: &str = "LeNet-300-100";
const LENET: &str = "LeNet-5-Caffe";
const WHOLE_MLP: &[(&str, usize, usize)] = &[("fc1", 784, 784), ("fc2", 300, 300), ("fc3", 100, 100)];
const WHOLE_LENET: &[(&str, usize, usize)] =
    &[("conv1", 20, 20), ("conv2", 50, 50), ("fc1", 800, 800), ("fc2", 500, 500)];

/// The menu.
pub(crate) fn dishes() -> Vec<Dish> {
    let dish = |recipe, title, network, layers, error, target| Dish { recipe, title, network, layers, error, target };
    vec![
        dish("mlp-dense", "dense", MLP, WHOLE_MLP, 1.65, None),
        dish("mlp-dropout", "dropout", MLP, WHOLE_MLP, 1.35, None),
        dish("mlp-l0", "L0, λ = 0.1/N", MLP, &[("fc1", 784, 212), ("fc2", 300, 212), ("fc3", 100, 100)], 1.52, None),
        dish("mlp-l0-sep", "L0, λ separate", MLP, &[("fc1", 784, 260), ("fc2", 300, 90), ("fc3", 100, 34)], 1.74, None),
        dish(
            "mlp-target",
            "L0, constrained",
            MLP,
            &[("fc1", 784, 190), ("fc2", 300, 180), ("fc3", 100, 98)],
            1.62,
            Some(0.2),
        ),
        dish(
            "mlp-target",
            "L0, constrained",
            MLP,
            &[("fc1", 784, 120), ("fc2", 300, 130), ("fc3", 100, 80)],
            1.95,
            Some(0.1),
        ),
        dish("lenet5-dense", "dense", LENET, WHOLE_LENET, 0.82, None),
        dish(
            "lenet5-l0",
            "L0, λ = 0.1/N",
            LENET,
            &[("conv1", 20, 19), ("conv2", 50, 30), ("fc1", 800, 58), ("fc2", 500, 480)],
            0.8,
            None,
        ),
        dish(
            "lenet5-l0-sep",
            "L0, λ separate",
            LENET,
            &[("conv1", 20, 9), ("conv2", 50, 20), ("fc1", 800, 70), ("fc2", 500, 26)],
            0.95,
            None,
        ),
    ]
}

/// Draws from 0 to 1, the same for the same key.
fn noise(key: u64) -> f64 {
    let mixed = (key ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 11) as f64 / (1u64 << 53) as f64
}

impl Dish {
    fn kept(&self, layer: usize, share_of_training: f64) -> usize {
        let (_, all, end) = self.layers[layer];
        let left = (-5.0 * share_of_training).exp();
        end + ((all - end) as f64 * left).round() as usize
    }

    /// Weights and multiply-accumulates with these gates open.
    fn size(&self, open: &[usize]) -> (u64, u64) {
        let product = |a: usize, b: usize| (a * b) as u64;
        match *open {
            [a, b, c] => {
                (product(a, b) + product(b, c) + product(c, 10), product(a, b) + product(b, c) + product(c, 10))
            }
            [a, b, c, d] => {
                let weights = 25 * product(a, 1) + 25 * product(a, b) + product(c, d) + product(d, 10);
                (weights, 25 * 576 * product(a, 1) + 25 * 64 * product(a, b) + product(c, d) + product(d, 10))
            }
            _ => (0, 0),
        }
    }

    fn header(&self, seed: u64, epochs: u64) -> RunHeader {
        let config = json!({ "epochs": epochs, "batch": 100, "target": self.target, "adam": { "lr": 0.001 } });
        RunHeader {
            title: self.title.into(),
            network: self.network.into(),
            revision: "0123456789abcdef".into(),
            data: DataId { name: "mnist".into(), sha256: "00".repeat(32), ..DataId::default() },
            machine: Machine {
                cpu: "A Processor 9000".into(),
                cores: 2,
                threads: 1,
                memory_bytes: Some(24 << 30),
                os: "Linux 6.1".into(),
                accelerator: None,
                precision: None,
            },
            command: vec!["reproduce-mnist".into(), self.recipe.into()],
            reference: references().into_iter().find(|row| row.network == self.network && row.label == self.title),
            scaled_down: (epochs < 200).then(|| format!("{epochs} of 200 epochs")),
            synthetic: Some("nobody ran this".into()),
            ..RunHeader::new(self.recipe, seed, config)
        }
    }

    fn row(&self, seed: u64, epoch: u64, epochs: u64) -> EpochRow {
        let share = epoch as f64 / epochs as f64;
        let shake = |what: u64| noise(seed * 7919 + epoch * 31 + what) - 0.5;
        let open: Vec<usize> = (0..self.layers.len()).map(|layer| self.kept(layer, share)).collect();
        let (weights, macs) = self.size(&open);
        let expected = 1.0 + 0.08 * (1.0 - share);
        let names = || self.layers.iter().map(|layer| layer.0.to_string());
        let gated = self.layers.iter().any(|&(_, all, end)| end < all);
        let gate = |layer: usize, i: usize| match i < open[layer] {
            true => (0.4 + share + 0.5 * noise(i as u64 + layer as u64)).min(1.0) as f32,
            false => 0.0,
        };
        let histogram = |layer: usize| gate_histogram((0..self.layers[layer].1).map(|i| gate(layer, i)));
        let violation = self.target.map(|_| 0.6 * (-8.0 * share).exp() - 0.01 + 0.004 * shake(5));
        EpochRow {
            epoch,
            step: 600 * epoch,
            seconds: epoch as f64 * 4.2,
            learning_rate: 1e-3,
            train_loss: 0.4 * (-6.0 * share).exp() + 0.01 + 0.004 * shake(1),
            penalty: 0.1 * share,
            train_error_percent: Some(9.0 * (-9.0 * share).exp() + 0.3 + 0.1 * shake(2)),
            test_error_percent: Some(self.error * (1.0 + 3.0 * (-14.0 * share).exp()) + 0.12 * shake(3)),
            test_loss: Some(0.06 + 0.2 * (-9.0 * share).exp()),
            expected_l0: Some(weights as f64 * expected),
            expected_params: Some(weights as f64 * expected),
            expected_macs: Some(macs as f64 * expected),
            hard_params: Some(weights),
            hard_macs: Some(macs),
            step_ms: Some(2.0 + macs as f64 / 6e4 + 0.4 * shake(4).abs()),
            open: names().zip(open.iter().map(|&n| n as u64)).filter(|_| gated).collect(),
            multipliers: violation
                .map(|v| ("model".into(), 8.0 * (share * 5.0).min(1.0) * (v + 0.05).max(0.0)))
                .into_iter()
                .collect(),
            violations: violation.map(|v| ("model".into(), v)).into_iter().collect(),
            gates: names().enumerate().map(|(layer, name)| (name, histogram(layer))).filter(|_| gated).collect(),
            ..EpochRow::default()
        }
    }

    fn outcome(&self, last: &EpochRow) -> Outcome {
        let all: Vec<usize> = self.layers.iter().map(|layer| layer.1).collect();
        let open: Vec<usize> = (0..all.len()).map(|layer| self.kept(layer, 1.0)).collect();
        let ((weights, macs), (weights_kept, macs_kept)) = (self.size(&all), self.size(&open));
        Outcome {
            test_error_percent: last.test_error_percent,
            architecture: open,
            params_total: Some(weights + 410),
            params_kept: Some(weights_kept + 300),
            weights_total: Some(weights),
            weights_kept: Some(weights_kept),
            macs_total: Some(macs),
            macs_kept: Some(macs_kept),
            expected_density: Some(weights_kept as f64 / weights as f64 + 0.01),
            train_seconds: Some(last.seconds),
            peak_memory_bytes: Some(321_000_000),
            ..Outcome::default()
        }
    }

    /// The gates at the end: those near the middle of the picture stay.
    fn gates(&self) -> Named<Vec<f32>> {
        let (name, all, open) = self.layers[0];
        let from_middle = |i: usize| ((i / 28) as f64 - 13.5).hypot((i % 28) as f64 - 13.5) + 3.0 * noise(i as u64);
        let mut order: Vec<usize> = (0..all).collect();
        order.sort_by(|&a, &b| from_middle(a).total_cmp(&from_middle(b)));
        let mut gates = vec![0.0; all];
        order[..open].iter().for_each(|&i| gates[i] = (1.1 - 0.05 * from_middle(i)).clamp(0.2, 1.0) as f32);
        [(name.into(), gates)].into()
    }

    /// Writes a run below `root` as training would.
    pub(crate) fn cook(&self, root: &Path, seed: u64, epochs: u64) -> Result<()> {
        let name = self.target.map_or(self.recipe.into(), |target| format!("{}-{target}", self.recipe));
        let mut folder = RunFolder::create(run_path(root, &name, seed)?, &self.header(seed, epochs))?;
        let rows: Vec<EpochRow> = (1..=epochs).map(|epoch| self.row(seed, epoch, epochs)).collect();
        rows.iter().try_for_each(|row| folder.append(row))?;
        folder.write_gates(&self.gates())?;
        folder.finish(self.outcome(&rows[rows.len() - 1]))?;
        Ok(())
    }
}

/// Table 1 of the paper, for comparison.
pub(crate) fn references() -> Vec<Reference> {
    let row = |network: &str, label: &str, source: &str, error, weights, macs, architecture: &[usize]| Reference {
        network: network.into(),
        label: label.into(),
        source: source.into(),
        error_percent: Some(error),
        weights_kept_percent: Some(weights),
        macs_kept_percent: macs,
        architecture: architecture.to_vec(),
        unstructured: false,
    };
    let paper = "Louizos et al. 2018";
    vec![
        row(MLP, "L0, λ = 0.1/N", paper, 1.4, 26.0, Some(26.0), &[219, 214, 100]),
        row(MLP, "L0, λ separate", paper, 1.8, 10.0, Some(10.0), &[266, 88, 33]),
        row(MLP, "Sparse VD", "Molchanov et al. 2017", 1.8, 25.3, Some(25.3), &[512, 114, 72]),
        row(MLP, "BC-GNJ", "Louizos et al. 2017", 1.8, 10.8, Some(10.8), &[278, 98, 13]),
        row(MLP, "BC-GHS", "Louizos et al. 2017", 1.8, 10.6, Some(10.6), &[311, 86, 14]),
        row(MLP, "constraint 0.33", "Gallego-Posada et al. 2022", 1.77, 26.6, Some(26.7), &[]),
        row(MLP, "L0-ARM", "Li and Ji 2019", 1.7, 13.0, None, &[143, 153, 78]),
        row(LENET, "L0, λ = 0.1/N", paper, 0.9, 8.9, Some(48.5), &[20, 25, 45, 462]),
        row(LENET, "L0, λ separate", paper, 1.0, 1.4, Some(17.1), &[9, 18, 65, 25]),
        row(LENET, "Sparse VD", "Molchanov et al. 2017", 1.0, 9.3, Some(28.8), &[14, 19, 242, 131]),
        row(LENET, "GL", "Wen et al. 2016", 1.0, 23.7, Some(8.8), &[3, 12, 192, 500]),
        row(LENET, "GD", "Srinivas and Babu 2016", 1.1, 1.4, Some(10.9), &[7, 13, 208, 16]),
        row(LENET, "SBP", "Neklyudov et al. 2017", 0.9, 19.7, Some(9.3), &[3, 18, 284, 283]),
        row(LENET, "BC-GNJ", "Louizos et al. 2017", 1.0, 0.95, Some(12.3), &[8, 13, 88, 13]),
        row(LENET, "BC-GHS", "Louizos et al. 2017", 1.0, 0.64, Some(6.7), &[5, 10, 76, 16]),
    ]
}

/// Curves of about the right form.
pub(crate) fn gate_curves() -> GateCurves {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let alphas = || (-60..=60).map(|i| f64::from(i) / 10.0);
    let grid = || (1..200).map(|i| f64::from(i) / 200.0);
    let stretched = |alpha: f64| (1.2 * sigmoid(alpha) - 0.1).clamp(0.0, 1.0);
    GateCurves {
        density: grid().map(|z| (z, 0.5 + 3.0 * (z - 0.5).powi(2))).collect(),
        masses: (0.232, 0.232),
        parameters: "log α = 0, β = 0.5".into(),
        values: [
            ("expected value".into(), alphas().map(|a| (a, sigmoid(0.9 * a))).collect()),
            ("value at test time".into(), alphas().map(|a| (a, stretched(a))).collect()),
            ("P(z ≠ 0)".into(), alphas().map(|a| (a, sigmoid(a + 1.6))).collect()),
        ]
        .into(),
    }
}

/// Times of steps that halve with their arithmetic, but for a fixed part.
fn growth() -> Growth {
    let quantities = [(Quantity::Density, [0.25, 0.5, 1.0]), (Quantity::Batch, [32.0, 64.0, 128.0])];
    let curve = |network: &str, whole: f64, (quantity, at): (Quantity, [f64; 3])| {
        let point = |(index, at): (usize, f64)| {
            let share = [0.25, 0.5, 1.0][index];
            let ms = |noise: f64| noise * (0.2 + whole * share);
            GrowthPoint { at, ms: Spread::of([0.9, 1.0, 1.2].map(ms).to_vec()), macs: 1e6 * share }
        };
        GrowthCurve { network: network.into(), quantity, points: at.into_iter().enumerate().map(point).collect() }
    };
    let networks = [("MLP", 1.0), ("LeNet-5", 10.0)];
    let curves = quantities.iter().flat_map(|&of| networks.map(|(network, whole)| curve(network, whole, of)));
    Growth { machine: Machine::default(), revision: None, when: "2026-11-28".into(), curves: curves.collect() }
}

/// A report on made-up runs.
pub(crate) fn report() -> Report {
    Report {
        title: "Sparse networks by L0 regularisation, measured".into(),
        introduction: "These numbers are made up to try the report on: nobody ran anything.".into(),
        command: "just report".into(),
        references: references(),
        gates: Some(gate_curves()),
        growth: Some(growth()),
    }
}
