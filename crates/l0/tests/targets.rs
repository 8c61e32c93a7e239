//! Gates brought within the targets of a constraint: what closes, and what stays as it is.
#![allow(missing_docs)]

use candle_core::{Device, Tensor};
use l0::{
    Constraint, Estimator, Filling, Fit, GatedNet, Lambda, Multipliers, Objective, Placement, Quantity, Ranking, Side,
    Targets,
};
use l0_net::layers::PadUnits;
use l0_net::{Builder, Prunable, Weights};

/// Two gated linear layers, of 10 and 8 inputs: 10 x 8 + 8 x 4 weights.
fn network() -> GatedNet {
    let mut b = Builder::features("image", 10);
    b.linear("fc1", 8).relu().linear("fc2", 4);
    GatedNet::new(b.build().unwrap(), &["fc1", "fc2"].map(|layer| Placement::new(layer, Side::Input))).unwrap()
}

/// First values, but for gates that are the more probable the later they come.
fn weights(network: &GatedNet) -> Weights {
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    let gates = |n: usize| Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap().affine(0.5, -2.0).unwrap();
    let value = |(name, value): (&str, &Tensor)| match name {
        "fc1.log_alpha" => gates(10),
        "fc2.log_alpha" => gates(8),
        _ => value.clone(),
    };
    values.with(values.iter().map(value).collect()).unwrap()
}

fn gates(weights: &Weights, name: &str) -> Vec<f32> {
    weights.get(name).unwrap().to_vec1().unwrap()
}

fn constraint(targets: &Targets, quantity: Quantity) -> Constraint {
    Constraint::new(targets.clone(), quantity, 0.1)
}

#[test]
fn bounds_on_other_layers_are_refused() {
    let network = network();
    let three = constraint(&Targets::Layers(vec![0.5; 3]), Quantity::Weights);
    let error = network.brought_within(&weights(&network), &three, Estimator::TopK).unwrap_err().to_string();
    assert_eq!(error, "found 3 targets, expected 2, one for each set of gates");
}

#[test]
fn what_is_left_keeps_to_the_target_and_the_least_probable_gates_went() {
    let (network, estimator) = (network(), Estimator::TopK);
    let before = weights(&network);
    for quantity in [Quantity::Weights, Quantity::Macs] {
        let constraint = constraint(&Targets::Model(0.3), quantity);
        assert!(network.shares_left(&before, &constraint, estimator).unwrap()[0] > 0.3);
        let after = network.brought_within(&before, &constraint, estimator).unwrap();
        let share = network.shares_left(&after, &constraint, estimator).unwrap()[0];
        // One gate more in either layer is 0.04 to 0.06 of the network.
        assert!((0.2..=0.3).contains(&share), "{share}");
        let pruned = network.pruned(&after, estimator).unwrap();
        for (layer, values) in &pruned.values {
            let closed = values.iter().filter(|&&z| z == 0.0).count();
            assert!(values[..closed].iter().all(|&z| z == 0.0), "{layer}: {values:?}");
        }
    }
}

#[test]
fn layers_are_brought_within_their_own_targets_and_left_alone_within_them() {
    let (network, estimator) = (network(), Estimator::TopK);
    let before = weights(&network);
    let constraint = constraint(&Targets::Layers(vec![0.4, 1.0]), Quantity::Weights);
    let after = network.brought_within(&before, &constraint, estimator).unwrap();
    assert_eq!(network.shares_left(&after, &constraint, estimator).unwrap()[0], 0.4);
    assert_ne!(gates(&after, "fc1.log_alpha"), gates(&before, "fc1.log_alpha"));
    assert_eq!(gates(&after, "fc2.log_alpha"), gates(&before, "fc2.log_alpha"));
    assert_eq!(
        after.get("fc1.weight").unwrap().to_vec2::<f32>().unwrap(),
        before.get("fc1.weight").unwrap().to_vec2::<f32>().unwrap()
    );
}

#[test]
fn a_target_below_the_smallest_network_is_refused() {
    // One path through both layers is 5 of 112 weights, one input of 10.
    let network = network();
    let check = |targets: Targets| network.check_targets(&constraint(&targets, Quantity::Weights));
    assert!(check(Targets::Model(0.045)).is_ok() && check(Targets::Layers(vec![0.1, 0.125])).is_ok());
    let error = check(Targets::Model(1e-6)).unwrap_err().to_string();
    assert!(
        error.contains("0.000001 of the weights is asked for, but the smallest network with these gates keeps 0.0447"),
        "{error}"
    );
    let error = check(Targets::Layers(vec![0.01, 1.0])).unwrap_err().to_string();
    assert!(
        error
            .contains("0.01 of the gates of \"fc1\" is asked for, but the smallest network with these gates keeps 0.1"),
        "{error}"
    );
}

/// Either of two branches is enough: it does not matter which comes first.
#[test]
fn the_smallest_network_keeps_the_cheapest_of_several_branches() {
    let mut b = Builder::features("input", 10);
    let input = b.tip();
    b.linear("narrow", 4).relu().linear("n", 20);
    let narrow = b.tip();
    b.at(input)
        .linear("wide", 100)
        .relu()
        .linear("w1", 200)
        .relu()
        .linear("w2", 20)
        .add(narrow)
        .relu()
        .linear("out", 2);
    let net = b.build().unwrap();
    let whole = net.cost().weights() as f64;
    for order in [["narrow", "wide"], ["wide", "narrow"]] {
        let placements = order.map(|layer| Placement::new(layer, Side::Output));
        let network = GatedNet::new(net.clone(), &placements).unwrap();
        let check = |targets| network.check_targets(&constraint(&targets, Quantity::Weights));
        let least = f64::from(10 + 20 + 40) / whole; // an input row, a column of 20, and the last layer
        check(Targets::Model(1.01 * least)).unwrap();
        check(Targets::Model(0.99 * least)).unwrap_err();
        check(Targets::Layers(vec![1.0, 0.001])).unwrap();
        check(Targets::Layers(vec![0.001, 1.0])).unwrap();
        let error = check(Targets::Layers(vec![0.001, 0.001])).unwrap_err().to_string();
        assert!(error.contains(&format!("0.001 of the gates of {:?} is asked for", order[1])), "{error}");
    }
}

#[test]
fn a_target_that_leaves_nothing_changes_nothing() {
    // One path through both layers is 5 of 112 weights, one input of 10: who asks for less asks for no network.
    let (network, estimator) = (network(), Estimator::TopK);
    let before = weights(&network);
    for targets in [Targets::Model(0.001), Targets::Layers(vec![0.01, 1.0])] {
        let after = network.brought_within(&before, &constraint(&targets, Quantity::Weights), estimator).unwrap();
        for name in ["fc1.log_alpha", "fc2.log_alpha"] {
            assert_eq!(gates(&after, name), gates(&before, name), "{targets:?}");
        }
    }
}

#[test]
fn gates_are_lowered_by_set_and_within_their_range() {
    let network = network();
    let (before, lowest) = (weights(&network), 0.01f32.ln());
    let after = network.lowered(&before, &[0.5, 100.0]).unwrap();
    let close = |found: Vec<f32>, expected: Vec<f32>| found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(gates(&after, "fc1.log_alpha"), (0..10).map(|i| 0.5 * i as f32 - 2.5).collect()));
    assert!(close(gates(&after, "fc2.log_alpha"), vec![lowest; 8]));
    let error = network.penalty(&before, &[]).unwrap_err().to_string();
    assert_eq!(error, "found 0 penalties, expected 2, one for each set of gates");
    let error = network.lowered(&before, &[0.5]).unwrap_err().to_string();
    assert_eq!(error, "found 1 amounts, expected 2, one for each set of gates");
}

#[test]
fn no_price_slopes_more_than_the_steepest() {
    let network = network();
    let before = weights(&network);
    let penalties = Objective::priced(&[Lambda::PerWeight(0.1)]).penalties(&network, 50).unwrap();
    let penalty =
        |weights: &Weights| network.penalty(weights, &penalties).unwrap().unwrap().to_scalar::<f32>().unwrap();
    let steepest = network.steepest_price(&penalties).unwrap();
    // All ten gates of fc1 together, wherever they are, and those of fc2: (units, their bound).
    for (units, bound, step) in [(10.0, steepest[0], [0.1, 0.0]), (8.0, steepest[1], [0.0, 0.1])] {
        let slopes = (0..20).map(|i| {
            let at = network.lowered(&before, &step.map(|step| step * i as f64)).unwrap();
            f64::from(penalty(&at) - penalty(&network.lowered(&at, &step).unwrap())) / 0.1 / units
        });
        let most = slopes.fold(0.0, f64::max);
        assert!(most < bound && most > 0.5 * bound, "{most}, bound {bound}");
    }
}

/// The share left by gates that were filled up to a target, and the values.
fn filled(network: &GatedNet, weights: &Weights, target: f64, multiple: usize) -> (f64, Weights) {
    filled_by(network, weights, target, Fit::Fill(Filling { multiple, ..Filling::default() }))
}

fn filled_by(network: &GatedNet, weights: &Weights, target: f64, fit: Fit) -> (f64, Weights) {
    let constraint = Constraint { fit, ..constraint(&Targets::Model(target), Quantity::Weights) };
    let after = network.brought_within(weights, &constraint, Estimator::Mean).unwrap();
    (network.shares_left(&after, &constraint, Estimator::Mean).unwrap()[0], after)
}

#[test]
fn as_many_gates_as_fit_stay_open_whichever_way_that_is() {
    let network = network();
    let before = weights(&network);
    // Nothing closed yet, and everything closed: both come to the same network, just below the target.
    let all = |value: f32| {
        let shifted = before.iter().map(|(name, t)| match name.ends_with("log_alpha") {
            true => (t + f64::from(value)).unwrap().clamp(-4.6f32, 4.6f32).unwrap(),
            false => t.clone(),
        });
        before.with(shifted.collect()).unwrap()
    };
    for target in [0.2, 0.5, 0.8, 1.0] {
        for start in [&before, &all(1.0), &all(-1.0)] {
            let (share, after) = filled(&network, start, target, 1);
            assert!(share <= target && share > target - 0.07, "{share} for {target}");
            // Of each set those with the largest log alpha.
            for (_, z) in network.pruned(&after, Estimator::Mean).unwrap().values {
                let closed = z.iter().filter(|&&z| z == 0.0).count();
                assert!(z[..closed].iter().all(|&z| z == 0.0), "{z:?}");
            }
        }
    }
    let gone = all(-9.0); // all alike: the first of each set
    assert!(filled(&network, &gone, 0.5, 1).0 > 0.4);
}

#[test]
fn a_costly_gate_comes_in_place_of_cheap_ones_where_much_would_stay_unused() {
    let mut b = Builder::features("row", 5);
    b.linear("fc1", 400).relu().linear("fc2", 4);
    let layers = ["fc1", "fc2"].map(|layer| Placement::new(layer, Side::Input));
    let network = GatedNet::new(b.build().unwrap(), &layers).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    // The hidden units are likelier than the inputs.
    let value = |(name, value): (&str, &Tensor)| match name {
        "fc1.log_alpha" => (value * 0.0).unwrap() + 1.0,
        "fc2.log_alpha" => (value * 0.0).unwrap() + 2.0,
        _ => Ok(value.clone()),
    };
    let values = values.with(values.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
    // 400 units with 3 inputs are 2800 of 3600 weights, with 2 inputs 2400; 398 with 3 inputs are 2786.
    let (share, after) = filled(&network, &values, 2790.0 / 3600.0, 1);
    let open = network.pruned(&after, Estimator::Mean).unwrap().open;
    assert_eq!(open.iter().map(|(_, open)| *open).collect::<Vec<_>>(), [3, 398], "{share}");
}

#[test]
fn each_layer_is_filled_up_to_its_own_target() {
    let mut b = Builder::features("row", 900);
    b.linear("fc1", 300).relu().linear("fc2", 4);
    let layers = ["fc1", "fc2"].map(|layer| Placement::new(layer, Side::Input));
    let network = GatedNet::new(b.build().unwrap(), &layers).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    // Ten hidden units are the likeliest of all, and three may stay: 540 inputs come after the first that does not fit.
    let value = |(name, value): (&str, &Tensor)| match name {
        "fc1.log_alpha" => (value * 0.0).unwrap() + 1.0,
        "fc2.log_alpha" => {
            Tensor::new((0..300).map(|i| if i < 10 { 2f32 } else { -4.0 }).collect::<Vec<_>>(), &Device::Cpu)
        }
        _ => Ok(value.clone()),
    };
    let values = values.with(values.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
    let fit = Fit::Fill(Filling::default());
    let constraint = Constraint { fit, ..constraint(&Targets::Layers(vec![0.6, 0.01]), Quantity::Weights) };
    let after = network.brought_within(&values, &constraint, Estimator::Mean).unwrap();
    assert_eq!(network.shares_left(&after, &constraint, Estimator::Mean).unwrap(), [0.6, 0.01]);
}

#[test]
fn no_gate_of_a_filled_layer_is_open_for_nothing() {
    let mut b = Builder::image("image", 1, 4, 4);
    b.conv2d_same("conv", 8, 3, 1).relu().flatten("features").linear("fc", 4);
    let sides = [Placement::new("conv", Side::Output), Placement::new("fc", Side::Input)];
    let network = GatedNet::new(b.build().unwrap(), &sides).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    // Channels 0, 1 and 2 are the likeliest. Of the features (16 a channel), the likeliest belong to channels 7 and 3,
    // which are closed, and to 0 and 2: their places go to features of channel 1, which has none that is open before.
    let rank = |ranks: Vec<f32>| Tensor::new(ranks, &Device::Cpu);
    let feature = |i: usize| match i / 16 {
        7 => 3.0,
        0 | 2 | 3 => 1.0 - i as f32 / 100.0,
        _ => -2.0,
    };
    let value = |(name, value): (&str, &Tensor)| match name {
        "conv.log_alpha" => rank((0..8).map(|map| 2.0 - map as f32 / 10.0).collect()),
        "fc.log_alpha" => rank((0..128).map(feature).collect()),
        _ => Ok(value.clone()),
    };
    let values = values.with(values.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
    let fit = Fit::Fill(Filling::default());
    let targets = Targets::Layers(vec![3.0 / 8.0, 40.0 / 128.0]);
    let constraint = Constraint { fit, ..constraint(&targets, Quantity::Weights) };
    let after = network.brought_within(&values, &constraint, Estimator::Mean).unwrap();
    let pruned = network.pruned(&after, Estimator::Mean).unwrap();
    assert_eq!(pruned.architecture, [3, 40]);
    let open: Vec<usize> = (0..8).filter(|&map| pruned.values[0].1[map] > 0.0).collect();
    assert_eq!(open, [0, 1, 2]);
}

/// Beside a shortcut that zeros make wider, channels are made by the other side of the sum alone.
#[test]
fn channels_beside_zeros_count() {
    let mut b = Builder::image("image", 1, 4, 4);
    let input = b.conv2d_same("conv", 4, 3, 1).relu().tip();
    let wider = b.layer("pad", PadUnits { before: 2, after: 2 }).tip();
    b.at(input).conv2d_same("inner", 8, 3, 1).relu().conv2d_same("outer", 8, 3, 1).add(wider).relu();
    b.global_avg_pool().linear("fc", 3);
    let network = GatedNet::on(&Prunable::of(&b.build().unwrap()), 0.02).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    let fit = Fit::Fill(Filling::default());
    let constraint = Constraint { fit, ..constraint(&Targets::Layers(vec![0.75; 3]), Quantity::Weights) };
    let after = network.brought_within(&values, &constraint, Estimator::Mean).unwrap();
    let pruned = network.pruned(&after, Estimator::Mean).unwrap();
    let open: Vec<usize> = pruned.open.iter().map(|(_, open)| *open).collect();
    let mut architecture = pruned.architecture.clone();
    assert_eq!(open, architecture);
    architecture.sort_unstable();
    assert_eq!(architecture, [3, 6, 6]);
}

#[test]
fn a_feature_of_a_channel_that_opens_late_is_open_again() {
    let mut b = Builder::image("image", 1, 1, 1);
    b.conv2d_same("conv", 3, 1, 1).relu().flatten("features").linear("fc", 4);
    let sides = [Placement::new("conv", Side::Output), Placement::new("fc", Side::Input)];
    let network = GatedNet::new(b.build().unwrap(), &sides).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    // The likelier a channel, the less likely its feature. The order of channels is turned: each is last once.
    for turn in 0..3 {
        let rank = |name: &str, sign: f32| match name {
            "conv.log_alpha" | "fc.log_alpha" => {
                let ranks = (0..3).map(|i| sign * ((i + turn) % 3) as f32).collect::<Vec<_>>();
                Some(Tensor::new(ranks, &Device::Cpu))
            }
            _ => None,
        };
        let value = |(name, value): (&str, &Tensor)| {
            let sign = if name.starts_with("fc") { -1.0 } else { 1.0 };
            rank(name, sign).unwrap_or_else(|| Ok(value.clone()))
        };
        let values = values.with(values.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
        let fit = Fit::Fill(Filling::default());
        let constraint = Constraint { fit, ..constraint(&Targets::Layers(vec![2.0 / 3.0; 2]), Quantity::Weights) };
        let after = network.brought_within(&values, &constraint, Estimator::Mean).unwrap();
        assert_eq!(network.pruned(&after, Estimator::Mean).unwrap().architecture, [2, 2], "turn {turn}");
    }
}

#[test]
fn some_of_every_set_stay_where_the_likeliest_alone_would_leave_a_constant() {
    let mut b = Builder::features("image", 40);
    b.linear("fc1", 40).relu().linear("fc2", 40).relu().linear("fc3", 40).relu().linear("fc4", 4);
    let layers = ["fc1", "fc2", "fc3", "fc4"].map(|layer| Placement::new(layer, Side::Input));
    let network = GatedNet::new(b.build().unwrap(), &layers).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    // Every gate of "fc3" is less likely than any other.
    let value = |(name, value): (&str, &Tensor)| match name {
        "fc3.log_alpha" => (value * 0.0).unwrap() - 3.0,
        _ => Ok(value.clone()),
    };
    let values = values.with(values.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
    let (share, after) = filled(&network, &values, 0.3, 1);
    assert!(share <= 0.3 && share > 0.2, "{share}");
    let open = network.pruned(&after, Estimator::Mean).unwrap().open;
    assert!(open.iter().all(|(_, open)| *open > 0), "{open:?}");
}

#[test]
fn a_set_that_would_lose_few_gates_keeps_all_of_them() {
    let mut b = Builder::features("row", 40);
    b.linear("fc1", 40).relu().linear("fc2", 40).relu().linear("fc3", 40).relu().linear("fc4", 4);
    let layers = ["fc1", "fc2", "fc3", "fc4"].map(|layer| Placement::new(layer, Side::Input));
    let network = GatedNet::new(b.build().unwrap(), &layers).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    // Three gates on inputs and three of what "fc2" reads are less likely than all others; the rest grow likelier one
    // by one.
    let of = |name: &str, unit: usize| match name {
        "fc1.log_alpha" | "fc2.log_alpha" if unit < 3 => -4.0,
        "fc1.log_alpha" | "fc2.log_alpha" => 4.0,
        _ => -3.0 + 0.1 * unit as f32,
    };
    let value = |(name, value): (&str, &Tensor)| match name.ends_with("log_alpha") {
        true => Tensor::new((0..40).map(|unit| of(name, unit)).collect::<Vec<_>>(), &Device::Cpu),
        false => Ok(value.clone()),
    };
    let values = values.with(values.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
    let left = |target: f64, whole_within: usize| {
        let (share, after) =
            filled_by(&network, &values, target, Fit::Fill(Filling { whole_within, ..Filling::default() }));
        assert!(share <= target && share > target - 0.03, "{share} for {target}");
        let open = network.pruned(&after, Estimator::Mean).unwrap().open;
        open.iter().map(|(_, open)| *open).collect::<Vec<_>>()
    };
    let (free, kept) = (left(0.6, 0), left(0.6, 8));
    assert_eq!((free[0], free[1]), (37, 37));
    assert_eq!((kept[0], kept[1]), (37, 40)); // inputs are no channels
    assert!(kept[2] < free[2], "{kept:?} after {free:?}");
    assert_eq!(left(0.6, 13), kept);
    assert_eq!(left(0.6, 14), free); // three of 40 are more than one in 14
    assert_eq!(left(0.6, usize::MAX), free);
    // Where all of them would lose little, as many are whole as fit.
    let (free, kept) = (left(0.95, 0), left(0.95, 8));
    let whole = |open: &[usize]| open.iter().filter(|&&open| open == 40).count();
    assert!(whole(&kept) > whole(&free) && whole(&kept) < 4, "{kept:?} after {free:?}");
}

#[test]
fn ranked_uniformly_sets_keep_the_same_share_whatever_their_gates_say_of_each_other() {
    let mut b = Builder::features("row", 40);
    b.linear("fc1", 100).relu().linear("fc2", 60).relu().linear("fc3", 10).relu().linear("fc4", 4);
    let layers = ["fc2", "fc3", "fc4"].map(|layer| Placement::new(layer, Side::Input));
    let network = GatedNet::new(b.build().unwrap(), &layers).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    // Every gate of "fc3" is less likely than any of the others; of each set the last ones are the likeliest.
    let value = |(name, value): (&str, &Tensor)| match name.ends_with("log_alpha") {
        true => {
            let (low, units) = (if name.starts_with("fc3") { -4.0 } else { 0.0 }, value.dims1().unwrap());
            Tensor::new((0..units).map(|unit| low + unit as f32 / 100.0).collect::<Vec<_>>(), &Device::Cpu)
        }
        false => Ok(value.clone()),
    };
    let values = values.with(values.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
    for target in [0.1, 0.3, 0.5, 0.8, 1.0] {
        let (share, after) = filled_by(
            &network,
            &values,
            target,
            Fit::Fill(Filling { ranking: Ranking::Uniform, ..Filling::default() }),
        );
        assert!(share <= target && share > target - 0.02, "{share} for {target}");
        let pruned = network.pruned(&after, Estimator::Mean).unwrap();
        let kept: Vec<f64> = pruned
            .values
            .iter()
            .map(|(_, z)| {
                let open = z.iter().filter(|&&z| z > 0.0).count();
                assert!(z[z.len() - open..].iter().all(|&z| z > 0.0), "{target}: {z:?}");
                open as f64 / z.len() as f64
            })
            .collect();
        let (least, most) = (kept.iter().copied().fold(1.0, f64::min), kept.iter().copied().fold(0.0, f64::max));
        assert!(most - least < 0.12, "{kept:?} for {target}"); // one of the ten gates of "fc4" is a tenth
    }
    let (_, free) = filled(&network, &values, 0.5, 1);
    assert!(network.pruned(&free, Estimator::Mean).unwrap().architecture[1] < 20);
}

/// A residual network as those for CIFAR-10: a stem, and two blocks beside their shortcuts. Each layer's gates, in the
/// order of `log_alpha`, which says how likely each set is.
fn residual(log_alpha: &[(&str, f32)]) -> (GatedNet, Weights) {
    let mut b = Builder::image("image", 3, 8, 8);
    let stem = b.conv2d_same("stem", 16, 3, 1).relu().tip();
    let inner = b.conv2d_same("block1.conv1", 16, 3, 1).relu().conv2d_same("block1.conv2", 16, 3, 1).add(stem).relu();
    let block = inner.tip();
    b.at(block).conv2d_same("block2.conv1", 64, 3, 1).relu().conv2d_same("block2.conv2", 16, 3, 1).add(block).relu();
    b.global_avg_pool().linear("fc", 10);
    let network = GatedNet::on(&Prunable::of(&b.build().unwrap()), 0.02).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    let value =
        |(name, value): (&str, &Tensor)| match log_alpha.iter().find(|(gates, _)| name == format!("{gates}.log_alpha"))
        {
            Some((_, level)) => {
                let units = value.dims1().unwrap();
                Tensor::new((0..units).map(|unit| level + unit as f32 / 1000.0).collect::<Vec<_>>(), &Device::Cpu)
            }
            None => Ok(value.clone()),
        };
    let values = values.with(values.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
    (network, values)
}

#[test]
fn of_equally_likely_gates_those_that_switch_the_larger_weights_stay() {
    let network = network();
    let before = weights(&network);
    let sizes = [1.0f32, 5.0, 2.0, 0.5, -4.0, 0.0, 1.5, -3.0, 2.5, 0.1];
    for level in [4.6f32, -4.6] {
        let value = |(name, value): (&str, &Tensor)| match name {
            "fc1.weight" => Tensor::new(&sizes, &Device::Cpu)?.broadcast_as(value.shape())?.contiguous(),
            "fc1.log_alpha" => Tensor::full(level, 10, &Device::Cpu),
            _ => Ok(value.clone()),
        };
        let values = before.with(before.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
        let targets = Targets::Layers(vec![0.3, 1.0]);
        let fit = Fit::Fill(Filling::default());
        let constraint = Constraint { fit, ..constraint(&targets, Quantity::Weights) };
        let after = network.brought_within(&values, &constraint, Estimator::Mean).unwrap();
        let open = network.pruned(&after, Estimator::Mean).unwrap().values.remove(0).1;
        let open: Vec<usize> = (0..10).filter(|&unit| open[unit] > 0.0).collect();
        assert_eq!(open, [1, 4, 7]);
    }
}

#[test]
fn gates_that_are_no_number_are_not_ranked() {
    let network = network();
    let before = weights(&network);
    let mut log_alpha = gates(&before, "fc2.log_alpha");
    log_alpha[3] = f32::NAN;
    let value = |(name, value): (&str, &Tensor)| match name {
        "fc2.log_alpha" => Tensor::new(log_alpha.as_slice(), &Device::Cpu),
        _ => Ok(value.clone()),
    };
    let values = before.with(before.iter().map(value).collect::<Result<_, _>>().unwrap()).unwrap();
    let constraint =
        Constraint { fit: Fit::Fill(Filling::default()), ..constraint(&Targets::Model(0.5), Quantity::Weights) };
    let error = network.brought_within(&values, &constraint, Estimator::Mean).unwrap_err().to_string();
    assert!(error.contains("fc2") && error.contains("log_alpha of unit 3 is NaN"), "{error}");
}

/// The share left, and how many gates of each set are open.
fn kept(network: &GatedNet, values: &Weights, target: f64, filling: Filling) -> (f64, Vec<(String, usize)>) {
    let constraint = Constraint { fit: Fit::Fill(filling), ..constraint(&Targets::Model(target), Quantity::Macs) };
    let after = network.brought_within(values, &constraint, Estimator::Mean).unwrap();
    let share = network.shares_left(&after, &constraint, Estimator::Mean).unwrap()[0];
    (share, network.pruned(&after, Estimator::Mean).unwrap().open)
}

#[test]
fn a_target_that_can_be_met_is_met_where_the_shortcuts_are_the_least_likely() {
    let (network, values) = residual(&[("stem", -3.0), ("block1.conv1", 1.0), ("block2.conv1", 2.0)]);
    let names: Vec<&str> = network.placements().map(|placement| placement.layer.as_str()).collect();
    assert_eq!(names, ["stem", "block1.conv1", "block2.conv1"]);
    for ranking in [Ranking::Global, Ranking::Uniform] {
        for multiple in [1, 8, 16] {
            let filling = Filling { multiple, ranking, ..Filling::default() };
            let fit = Fit::Fill(filling);
            let smallest = Constraint { fit, ..constraint(&Targets::Model(1.0), Quantity::Macs) };
            let least = network.least_share(&smallest).unwrap();
            for target in [least, 1.5 * least, 0.4, 0.7, 1.0] {
                let (share, open) = kept(&network, &values, target, filling);
                assert!(share <= target && share >= least, "{share} for {target}, {filling:?}: {open:?}");
                assert!(open.iter().all(|(_, open)| open % multiple == 0), "{open:?}, {filling:?}");
                assert!(open[0].1 > 0, "{open:?}");
            }
        }
    }
}

#[test]
fn no_set_pays_for_others_that_are_left_whole_where_all_keep_the_same_share() {
    let (network, values) = residual(&[("stem", 2.0), ("block1.conv1", 0.0), ("block2.conv1", 1.0)]);
    let shares = |ranking: Ranking| {
        let whole_within = if ranking == Ranking::Global { 8 } else { 0 };
        let (_, open) = kept(&network, &values, 0.9, Filling { whole_within, ranking, multiple: 1 });
        let share = |(open, units): ((String, usize), usize)| open.1 as f64 / units as f64;
        open.into_iter().zip(network.gated_units()).map(share).collect::<Vec<f64>>()
    };
    let (uniform, global) = (shares(Ranking::Uniform), shares(Ranking::Global));
    assert!(uniform.iter().all(|&share| share > 0.9), "{uniform:?}");
    assert!(global.iter().any(|&share| share < 0.7) && global[0] == 1.0, "{global:?}");
}

#[test]
fn multiples_come_as_near_to_the_same_share_as_they_can() {
    let (network, values) = residual(&[("stem", 0.0), ("block1.conv1", 0.0), ("block2.conv1", 0.0)]);
    let filling = Filling { multiple: 8, ranking: Ranking::Uniform, ..Filling::default() };
    // Of 16 channels the second eight come with three quarters, of 64 the sixth eight with eleven sixteenths.
    let (share, open) = kept(&network, &values, 0.36, filling);
    assert_eq!(open.iter().map(|(_, open)| *open).collect::<Vec<_>>(), [8, 8, 48], "{share}");
}

#[test]
fn where_a_costly_gate_does_not_fit_other_sets_keep_no_larger_share_for_it() {
    let mut b = Builder::image("image", 1, 28, 28);
    b.conv2d("conv1", 20, 5).relu().max_pool2d(2).conv2d("conv2", 50, 5).relu().max_pool2d(2);
    b.flatten("features").linear("fc1", 100).relu().linear("fc2", 10);
    let network = GatedNet::prunable(b.build().unwrap(), 0.02).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    let uniform = Filling { ranking: Ranking::Uniform, ..Filling::default() };
    for target in [0.05, 0.1, 0.2, 0.5] {
        let (left, open) = kept(&network, &values, target, uniform);
        let shares = open.iter().zip(network.gated_units()).map(|((_, open), units)| *open as f64 / units as f64);
        let (least, most) = shares.fold((1.0, 0.0), |(least, most): (f64, f64), x| (least.min(x), most.max(x)));
        assert!(most - least < 0.1 && left <= target && left > 0.97 * target, "{left} of {target}: {open:?}");
    }
}

#[test]
fn a_bound_below_what_has_no_gates_changes_nothing() {
    let mut b = Builder::image("image", 3, 8, 8);
    let stem = b.conv2d_same("stem", 16, 3, 1).relu().tip();
    b.conv2d_same("inner", 16, 3, 1)
        .relu()
        .conv2d_same("outer", 16, 3, 1)
        .add(stem)
        .relu()
        .global_avg_pool()
        .linear("fc", 10);
    let network = GatedNet::new(b.build().unwrap(), &[Placement::new("inner", Side::Output)]).unwrap();
    let values = network.init(1, &Device::Cpu).unwrap().detached();
    for ranking in [Ranking::Global, Ranking::Uniform] {
        let (share, open) = kept(&network, &values, 0.05, Filling { ranking, ..Filling::default() });
        assert_eq!((share, open[0].1), (1.0, 16), "{ranking:?}");
    }
}

#[test]
fn gates_stay_open_in_multiples() {
    let network = network();
    let (share, after) = filled(&network, &weights(&network), 0.6, 4);
    assert!(share <= 0.6, "{share}");
    let open = network.pruned(&after, Estimator::Mean).unwrap().open;
    assert!(open.iter().all(|(layer, open)| open % 4 == 0 || (layer == "fc1" && *open == 10)), "{open:?}"); // or all
}

#[test]
fn what_cannot_be_filled_is_refused() {
    let network = network();
    let constraint = |multiple| Constraint {
        fit: Fit::Fill(Filling { multiple, ..Filling::default() }),
        ..constraint(&Targets::Model(0.5), Quantity::Weights)
    };
    let message = |multiple, estimator| {
        network.brought_within(&weights(&network), &constraint(multiple), estimator).unwrap_err().to_string()
    };
    assert_eq!(message(0, Estimator::Mean), "the multiple of gates that stay open must be 1 or more, found 0");
    let expected = "unknown estimator for gates that were chosen already \"top-k\", expected one of mean, median";
    assert_eq!(message(1, Estimator::TopK), expected);
    let filling = Filling { ranking: Ranking::Uniform, whole_within: 8, ..Filling::default() };
    let both = Constraint { fit: Fit::Fill(filling), ..constraint(1) };
    let error = Multipliers::new(&both, 2).unwrap_err().to_string();
    assert_eq!(error, "whole_within must be 0 where the ranking is not global, found 8");
    // A target that nothing with an output meets leaves the values as they are.
    let (_, after) = filled(&network, &weights(&network), 0.001, 1);
    assert_eq!(gates(&after, "fc1.log_alpha"), gates(&weights(&network), "fc1.log_alpha"));
}
