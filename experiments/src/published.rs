//! Numbers that others published, and the curves of Figure 2 of the paper.

use anyhow::Result;
use l0::{Estimator, HardConcrete};
use l0_record::Reference;
use l0_record::figures::GateCurves;

/// What opens the report.
pub const INTRODUCTION: &str = "Runs of this workspace beside the rows of Louizos, Welling and Kingma (2018). Errors are those of the last \
epoch on the test images, with averaged values and deterministic gates; every seed counts. Weights and \
multiply-accumulates are those of the compact network, pruned inputs and outputs both taken off; for published rows \
they follow from the architecture where one is given. Milliseconds are the median of a run's epochs, whatever \
else its machine did.";

/// The title of the multilayer perceptron.
pub const MLP: &str = "MLP 784-300-100";
/// The title of LeNet-5.
pub const LENET5: &str = "LeNet-5-Caffe";

/// Every published row that runs may stand beside, in the order of the tables.
pub fn rows() -> Vec<Reference> {
    mnist().into_iter().chain(cifar()).collect()
}

/// Table 2 of the paper, but for its ResNet-110s. What its gates leave is not published; others found 99.8 to 100 % of the weights left.
fn cifar() -> Vec<Reference> {
    let (table2, gallego) = ("Louizos et al. 2018, Table 2", "Gallego-Posada et al. 2022");
    let [ten, hundred] = ["WRN-28-10 on CIFAR-10", "WRN-28-10 on CIFAR-100"];
    vec![
        error_of(ten, "dense", table2, 4.0, None),
        error_of(ten, "dropout", table2, 3.89, None),
        error_of(ten, "L0, lambda = 0.001/N", table2, 3.83, None),
        error_of(ten, "L0, lambda = 0.002/N", table2, 3.93, None),
        error_of(ten, "constrained L0, density 0.5", gallego, 4.02, Some(49.2)),
        error_of(ten, "constrained L0, density 0.2", gallego, 4.35, Some(18.9)),
        error_of(hundred, "dense", table2, 21.18, None),
        error_of(hundred, "dropout", table2, 18.85, None),
        error_of(hundred, "L0, lambda = 0.001/N", table2, 18.75, None),
        error_of(hundred, "L0, lambda = 0.002/N", table2, 19.04, None),
    ]
}

fn error_of(network: &str, label: &str, source: &str, error: f64, weights: Option<f64>) -> Reference {
    Reference {
        network: network.into(),
        label: label.into(),
        source: source.into(),
        error_percent: Some(error),
        weights_kept_percent: weights,
        ..Reference::default()
    }
}

/// Table 1 of the paper, and others' rows beside it.
fn mnist() -> Vec<Reference> {
    let table1 = "Louizos et al. 2018, Table 1";
    let gallego = "Gallego-Posada et al. 2022";
    vec![
        row(MLP, "Sparse VD (Molchanov et al. 2017)", table1, 1.8, &[512, 114, 72]),
        row(MLP, "BC-GNJ (Louizos et al. 2017)", table1, 1.8, &[278, 98, 13]),
        row(MLP, "BC-GHS (Louizos et al. 2017)", table1, 1.8, &[311, 86, 14]),
        row(MLP, "L0, lambda = 0.1/N", table1, 1.4, &[219, 214, 100]),
        row(MLP, "L0, lambda separate", table1, 1.8, &[266, 88, 33]),
        shares(MLP, "constrained L0, density 0.2", gallego, 2.11, (12.8, 12.8)),
        shares(MLP, "constrained L0, density 0.35", gallego, 1.75, (30.1, 30.1)),
        shares(MLP, "constrained L0, density 0.5", gallego, 1.46, (49.7, 49.7)),
        row(LENET5, "Sparse VD (Molchanov et al. 2017)", table1, 1.0, &[14, 19, 242, 131]),
        row(LENET5, "GL (Wen et al. 2016)", table1, 1.0, &[3, 12, 192, 500]),
        row(LENET5, "GD (Srinivas and Babu 2016)", table1, 1.1, &[7, 13, 208, 16]),
        row(LENET5, "SBP (Neklyudov et al. 2017)", table1, 0.9, &[3, 18, 284, 283]),
        row(LENET5, "BC-GNJ (Louizos et al. 2017)", table1, 1.0, &[8, 13, 88, 13]),
        row(LENET5, "BC-GHS (Louizos et al. 2017)", table1, 1.0, &[5, 10, 76, 16]),
        row(LENET5, "L0, lambda = 0.1/N", table1, 0.9, &[20, 25, 45, 462]),
        row(LENET5, "L0, lambda separate", table1, 1.0, &[9, 18, 65, 25]),
        shares(LENET5, "constrained L0, layers 0.5, 0.3, 0.7, 0.1", gallego, 0.91, (2.35, 14.9)),
        shares(LENET5, "constrained L0, density 0.1", gallego, 1.01, (7.75, 46.5)),
    ]
}

/// The published row with a label.
pub fn row_of(network: &str, label: &str) -> Option<Reference> {
    rows().into_iter().find(|row| row.network == network && row.label == label)
}

/// A row that says what is left, layer by layer: its shares follow.
fn row(network: &str, label: &str, source: &str, error: f64, architecture: &[usize]) -> Reference {
    let (weights, macs) = match *architecture {
        [a, b, c] => {
            let layers = |[a, b, c]: [usize; 3]| [(a * b, 1), (b * c, 1), (10 * c, 1)];
            share(&layers([a, b, c]), &layers([784, 300, 100]))
        }
        [a, b, c, d] => {
            let layers = |[a, b, c, d]: [usize; 4]| [(25 * a, 576), (25 * a * b, 64), (c * d, 1), (10 * d, 1)];
            share(&layers([a, b, c, d]), &layers([20, 50, 800, 500]))
        }
        _ => unreachable!("a published architecture has 3 or 4 sizes"),
    };
    Reference { architecture: architecture.to_vec(), ..shares(network, label, source, error, (weights, macs)) }
}

/// How much of some layers, each so many weights used at so many positions, is left: weights and multiply-accumulates, in
/// percent.
fn share(left: &[(usize, usize)], whole: &[(usize, usize)]) -> (f64, f64) {
    let weights = |layers: &[(usize, usize)]| layers.iter().map(|(weights, _)| weights).sum::<usize>() as f64;
    let macs = |layers: &[(usize, usize)]| layers.iter().map(|(weights, at)| weights * at).sum::<usize>() as f64;
    (100.0 * weights(left) / weights(whole), 100.0 * macs(left) / macs(whole))
}

fn shares(network: &str, label: &str, source: &str, error: f64, (weights, macs): (f64, f64)) -> Reference {
    Reference { macs_kept_percent: Some(macs), ..error_of(network, label, source, error, Some(weights)) }
}

/// Figure 2 of the paper: the density of a gate at log alpha 0 and beta 0.5, and gate values against log alpha.
///
/// # Errors
/// None in practice: the constants are fixed.
pub fn gate_curves() -> Result<GateCurves> {
    let shown = HardConcrete::new(0.5, -0.1, 1.1)?;
    let used = HardConcrete::default();
    let grid = |low: f64, high: f64, n: usize| (0..=n).map(move |i| low + (high - low) * i as f64 / n as f64);
    let curve = |f: &dyn Fn(f64) -> f64| grid(-8.0, 8.0, 160).map(|x| (x, f(x))).collect::<Vec<_>>();
    let values = [
        ("expected value", curve(&|x| used.mean_at(x))),
        ("test time (eq. 13)", curve(&|x| Estimator::Mean.value_at(&used, x))),
        ("P(z != 0)", curve(&|x| used.prob_open_at(x))),
    ];
    Ok(GateCurves {
        density: grid(0.0, 1.0, 200).map(|x| (x, shown.density_at(x, 0.0))).collect(),
        masses: (1.0 - shown.prob_open_at(0.0), shown.prob_one_at(0.0)),
        parameters: "log α = 0, β = 0.5".into(),
        values: values.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_from_the_architecture() {
        let near = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 0.005, "{found:?}");
        let paper = row_of(LENET5, "L0, lambda = 0.1/N").unwrap();
        near(paper.weights_kept_percent, 100.0 * 38_410.0 / 430_500.0);
        near(paper.macs_kept_percent, 100.0 * 1_113_410.0 / 2_293_000.0);
        near(row_of(MLP, "L0, lambda separate").unwrap().macs_kept_percent, 100.0 * 26_642.0 / 266_200.0);
    }
}
