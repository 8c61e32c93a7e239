//! Numbers that others published, and the curves of Figure 2 of the paper.

use anyhow::Result;
use l0::{Estimator, HardConcrete};
use l0_record::Reference;
use l0_report::figures::GateCurves;

/// What opens the report.
pub const INTRODUCTION: &str = "Runs of this workspace beside the rows of Louizos, Welling and Kingma (2018). Errors are those of the last \
epoch on the test images, with averaged values where a recipe averages and with deterministic gates; every seed counts. Weights and \
multiply-accumulates are those of the compact network, pruned inputs and outputs both taken off; for published rows \
they follow from the architecture where one is given. Milliseconds are the median of a run's epochs, whatever \
else its machine did.";

/// Where the architectures are from.
const TABLE1: &str = "Louizos et al. 2018, Table 1";

/// The title of the multilayer perceptron.
pub const MLP: &str = "MLP 784-300-100";
/// The title of LeNet-5.
pub const LENET5: &str = "LeNet-5-Caffe";

/// A published row, and the id by which a recipe states it.
type Published = (&'static str, Reference);

/// Every published row that runs may stand beside, in the order of the tables.
pub fn rows() -> Vec<Reference> {
    all().map(|(_, row)| row).collect()
}

/// The published row with an id, as "louizos2018/table1/lenet5-separate".
pub fn row(id: &str) -> Option<Reference> {
    all().find(|(known, _)| *known == id).map(|(_, row)| row)
}

/// That there is no such row, with the nearest id.
pub(crate) fn unknown(id: &str) -> String {
    let nearest = all().map(|(known, _)| known).min_by_key(|known| strsim::damerau_levenshtein(id, known));
    format!("no published row has the id {id:?}; did you mean {:?}?", nearest.unwrap_or_default())
}

fn all() -> impl Iterator<Item = Published> {
    mnist().into_iter().chain(cifar()).chain(tables())
}

/// ResNets on CIFAR-10 by others' methods, by the share of the FLOPs that is left. Their trainings are longer: 164
/// epochs (He et al.), and for the pruned ones 100 to 400 more on top of a trained network, as a rule.
fn tables() -> Vec<Published> {
    let [twenty, fifty_six] = ["ResNet-20 on CIFAR-10", "ResNet-56 on CIFAR-10"];
    let dense = |id, network, error| (id, whole(error_of(network, "dense", "He et al. 2016", error, None)));
    let held = |id, network, label, source, error, macs| {
        (id, Reference { macs_kept_percent: Some(macs), ..error_of(network, label, source, error, None) })
    };
    let left = |id, label, source, error, macs| held(id, fifty_six, label, source, error, macs);
    let tpp = "Wang and Fu 2023";
    vec![
        dense("he2016/resnet-20", twenty, 8.75),
        dense("he2016/resnet-56", fifty_six, 6.97),
        held("park2023/resnet-20/dsp", twenty, "DSP, parts of channels", "Park et al. 2023", 7.78, 36.0),
        left("sui2021/resnet-56/chip", "CHIP", "Sui et al. 2021", 5.84, 52.6),
        left("fang2023/resnet-56/depgraph-0.47", "DepGraph, group sparsity", "Fang et al. 2023", 6.23, 47.0),
        left("fang2023/resnet-56/depgraph-0.39", "DepGraph, group sparsity", "Fang et al. 2023", 6.36, 39.0),
        left("wang2023/resnet-56/tpp-0.5", "TPP", tpp, 6.54, 50.0),
        left("wang2023/resnet-56/tpp-0.28", "TPP", tpp, 7.65, 28.0),
        left("wang2023/resnet-56/l1-0.5", "L1 norm, by TPP's authors", tpp, 6.49, 50.0),
        left("wang2023/resnet-56/l1-0.28", "L1 norm, by TPP's authors", tpp, 7.74, 28.0),
        left("wang2023/resnet-56/scratch-0.5", "from scratch, by TPP's authors", tpp, 7.22, 50.0),
        left("wang2023/resnet-56/scratch-0.28", "from scratch, by TPP's authors", tpp, 7.89, 28.0),
    ]
}

/// Table 2 of the paper, but for its ResNet-110s. What its gates leave is not published; others found 99.8 to 100 % of
/// the weights left.
fn cifar() -> Vec<Published> {
    let (table2, gallego) = ("Louizos et al. 2018, Table 2", "Gallego-Posada et al. 2022");
    let [ten, hundred] = ["WRN-28-10 on CIFAR-10", "WRN-28-10 on CIFAR-100"];
    let row = |id, network, label, error| (id, error_of(network, label, table2, error, None));
    let unpruned = |id, network, label, error| (id, whole(error_of(network, label, table2, error, None)));
    let held = |id, label, error, weights| (id, error_of(ten, label, gallego, error, Some(weights)));
    vec![
        unpruned("louizos2018/table2/cifar10-dense", ten, "dense", 4.0),
        unpruned("louizos2018/table2/cifar10-dropout", ten, "dropout", 3.89),
        row("louizos2018/table2/cifar10-l0-0.001", ten, "L0, lambda = 0.001/N", 3.83),
        row("louizos2018/table2/cifar10-l0-0.002", ten, "L0, lambda = 0.002/N", 3.93),
        held("gallego2022/cifar10/density-0.5", "constrained L0, density 0.5", 4.02, 49.2),
        held("gallego2022/cifar10/density-0.2", "constrained L0, density 0.2", 4.35, 18.9),
        unpruned("louizos2018/table2/cifar100-dense", hundred, "dense", 21.18),
        unpruned("louizos2018/table2/cifar100-dropout", hundred, "dropout", 18.85),
        row("louizos2018/table2/cifar100-l0-0.001", hundred, "L0, lambda = 0.001/N", 18.75),
        row("louizos2018/table2/cifar100-l0-0.002", hundred, "L0, lambda = 0.002/N", 19.04),
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

/// A row of a network of which nothing was pruned.
fn whole(row: Reference) -> Reference {
    Reference { weights_kept_percent: Some(100.0), macs_kept_percent: Some(100.0), ..row }
}

/// A row of which single weights were removed. What that leaves of the multiply-accumulates is not published, and no
/// plain product of matrices takes less time for it.
fn unstructured(network: &str, label: &str, source: &str, error: f64, weights: f64) -> Reference {
    let label = format!("{label}, unstructured");
    Reference { unstructured: true, ..error_of(network, &label, source, error, Some(weights)) }
}

/// Table 1 of the paper, and others' rows beside it. Those by RigL have the error of the last epoch, as ours have.
fn mnist() -> Vec<Published> {
    let widths = |id, network, label, source, error, left: &[usize]| (id, row_of(network, label, source, error, left));
    let table1 = |id, network, label, error, left| widths(id, network, label, TABLE1, error, left);
    let held =
        |id, network, label, error, left| (id, shares(network, label, "Gallego-Posada et al. 2022", error, left));
    let (molchanov, rigl) = ("Molchanov et al. 2017", "Evci et al. 2020, last epoch");
    let single =
        |id, network, label, source, error, weights| (id, unstructured(network, label, source, error, weights));
    vec![
        table1("louizos2018/table1/mlp-sparse-vd", MLP, "Sparse VD (Molchanov et al. 2017)", 1.8, &[512, 114, 72]),
        table1("louizos2018/table1/mlp-bc-gnj", MLP, "BC-GNJ (Louizos et al. 2017)", 1.8, &[278, 98, 13]),
        table1("louizos2018/table1/mlp-bc-ghs", MLP, "BC-GHS (Louizos et al. 2017)", 1.8, &[311, 86, 14]),
        table1("louizos2018/table1/mlp-l0", MLP, "L0, lambda = 0.1/N", 1.4, &[219, 214, 100]),
        table1("louizos2018/table1/mlp-separate", MLP, "L0, lambda separate", 1.8, &[266, 88, 33]),
        widths("neklyudov2017/mlp/sbp", MLP, "SBP", "Neklyudov et al. 2017", 1.6, &[245, 160, 55]),
        widths("dai2018/mlp/vib", MLP, "VIB", "Dai et al. 2018, by Evci et al. 2020", 1.6, &[97, 71, 33]),
        single("molchanov2017/mlp/sparse-vd", MLP, "Sparse VD", molchanov, 1.92, 1.5),
        single("evci2020/mlp/rigl", MLP, "RigL", rigl, 1.48, 2.4),
        single("evci2020/mlp/rigl-plus", MLP, "RigL+", rigl, 1.69, 1.15),
        held("gallego2022/mlp/density-0.2", MLP, "constrained L0, density 0.2", 2.11, (12.8, 12.8)),
        held("gallego2022/mlp/density-0.35", MLP, "constrained L0, density 0.35", 1.75, (30.1, 30.1)),
        held("gallego2022/mlp/density-0.5", MLP, "constrained L0, density 0.5", 1.46, (49.7, 49.7)),
        table1(
            "louizos2018/table1/lenet5-sparse-vd",
            LENET5,
            "Sparse VD (Molchanov et al. 2017)",
            1.0,
            &[14, 19, 242, 131],
        ),
        table1("louizos2018/table1/lenet5-gl", LENET5, "GL (Wen et al. 2016)", 1.0, &[3, 12, 192, 500]),
        table1("louizos2018/table1/lenet5-gd", LENET5, "GD (Srinivas and Babu 2016)", 1.1, &[7, 13, 208, 16]),
        table1("louizos2018/table1/lenet5-sbp", LENET5, "SBP (Neklyudov et al. 2017)", 0.9, &[3, 18, 284, 283]),
        table1("louizos2018/table1/lenet5-bc-gnj", LENET5, "BC-GNJ (Louizos et al. 2017)", 1.0, &[8, 13, 88, 13]),
        table1("louizos2018/table1/lenet5-bc-ghs", LENET5, "BC-GHS (Louizos et al. 2017)", 1.0, &[5, 10, 76, 16]),
        table1("louizos2018/table1/lenet5-l0", LENET5, "L0, lambda = 0.1/N", 0.9, &[20, 25, 45, 462]),
        table1("louizos2018/table1/lenet5-separate", LENET5, "L0, lambda separate", 1.0, &[9, 18, 65, 25]),
        single("molchanov2017/lenet5/sparse-vd", LENET5, "Sparse VD", molchanov, 0.75, 0.36),
        widths("li2019/lenet5/l0-arm", LENET5, "L0-ARM, lambda separate", "Li and Ji 2019", 1.3, &[6, 10, 39, 11]),
        held(
            "gallego2022/lenet5/layers-0.5-0.3-0.7-0.1",
            LENET5,
            "constrained L0, layers 0.5, 0.3, 0.7, 0.1",
            0.91,
            (2.35, 14.9),
        ),
        held("gallego2022/lenet5/density-0.1", LENET5, "constrained L0, density 0.1", 1.01, (7.75, 46.5)),
    ]
}

/// A row that says what is left, layer by layer: its shares follow.
fn row_of(network: &str, label: &str, source: &str, error: f64, architecture: &[usize]) -> Reference {
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

/// How much of some layers, each so many weights used at so many positions, is left: weights and multiply-accumulates,
/// in percent.
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
        ("expected value".into(), curve(&|x| used.mean_at(x))),
        ("test time (eq. 13)".into(), curve(&|x| Estimator::Mean.value_at(&used, x))),
        ("P(z != 0)".into(), curve(&|x| used.prob_open_at(x))),
    ];
    Ok(GateCurves {
        density: grid(0.0, 1.0, 200).map(|x| (x, shown.density_at(x, 0.0))).collect(),
        masses: (1.0 - shown.prob_open_at(0.0), shown.prob_one_at(0.0)),
        parameters: "log α = 0, β = 0.5".into(),
        values: values.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_one_row_and_a_wrong_one_comes_with_the_nearest() {
        let ids: std::collections::HashSet<&str> = all().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), rows().len());
        assert!(unknown("louizos2018/table1/lenet5-seperate").contains("louizos2018/table1/lenet5-separate"));
    }

    #[test]
    fn what_removes_single_weights_says_so_and_what_prunes_nothing_keeps_all() {
        for row in rows() {
            assert_eq!(row.unstructured, row.label.ends_with(", unstructured"), "{}", row.label);
            let is_whole = row.label == "dense" || row.label == "dropout";
            let sizes = [row.weights_kept_percent, row.macs_kept_percent];
            assert_eq!(is_whole, sizes == [Some(100.0); 2], "{}, {}", row.network, row.label);
        }
        assert_eq!(rows().iter().filter(|row| row.unstructured).count(), 4);
    }

    #[test]
    fn shares_follow_from_the_architecture() {
        let near = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 0.005, "{found:?}");
        let paper = row("louizos2018/table1/lenet5-l0").unwrap();
        near(paper.weights_kept_percent, 100.0 * 38_410.0 / 430_500.0);
        near(paper.macs_kept_percent, 100.0 * 1_113_410.0 / 2_293_000.0);
        near(row("louizos2018/table1/mlp-separate").unwrap().macs_kept_percent, 100.0 * 26_642.0 / 266_200.0);
    }
}
