//! Whether gates can come as far as a row asks in the steps that it has: what can be computed before any training.
//!
//! With Adam a step moves a value by about the learning rate at most, so log alpha by no more than the sum of the
//! rates. With gradient descent it goes as far as its gradients carry it, and of those only the slope of a price is
//! known: at most a quarter of what a gate costs. If gates that all went so far would not be what was asked for, none
//! will be.

use anyhow::Result;
use candle_core::Device;
use l0::{GatedNet, Objective, gate::LOG_ALPHA_RANGE};
use l0_train::{Optimiser, Training};

use crate::Recipe;
use crate::asked::{Left, verdict};

/// How far log alpha can fall, for each set of gates; why no further, and what would help.
struct Fall {
    each: Vec<f64>,
    why: String,
}

/// What will not come of a row on so many training images, and what to change; nothing if all of it may.
///
/// # Errors
/// If the network cannot be made.
pub fn doubt(row: &Recipe, n_train: usize) -> Result<Option<String>> {
    let (network, training) = (row.architecture.network()?, &row.training);
    let Some(objective) = &row.objective else { return Ok(None) };
    let fall = fall(&network, objective, training, n_train)?;
    let start = network.init(0, &Device::Cpu)?.detached();
    let left = Left::of_network(&network, &network.lowered(&start, &fall.each)?, training.estimator)?;
    let missed = verdict(&row.config(), &left).filter(|verdict| verdict.missed.is_some());
    Ok(missed.map(|verdict| format!("out of reach (at best: {}); {}", verdict.said, fall.why)))
}

/// How far gates can fall from where they begin.
fn fall(network: &GatedNet, objective: &Objective, training: &Training, n_train: usize) -> l0::Result<Fall> {
    let (sets, is_held) = (network.sets(), objective.constraint().is_some());
    let (steps, rates) = rates(training, n_train);
    let raise = "train longer, or raise training.gate_optimiser.learning_rate";
    Ok(match training.gate_optimiser {
        // Whatever is above the target when gates are frozen is brought within it then.
        _ if is_held && training.frozen_epochs > 0 => lowest(sets),
        Optimiser::Adam { .. } | Optimiser::Muon { .. } => Fall {
            each: vec![rates; sets],
            why: format!("{steps} steps of Adam lower log alpha by about {rates:.2} at most: {raise}"),
        },
        // A step of a set has the learning rate as the root of its mean square, so one gate may go as far as that of
        // all.
        Optimiser::Novograd { .. } => lowest(sets),
        Optimiser::Sgd { .. } if is_held => lowest(sets),
        Optimiser::Sgd { momentum, .. } => {
            let steepest = network.steepest_price(&objective.penalties(network, n_train)?)?;
            let each: Vec<f64> = steepest.into_iter().map(|slope| slope * rates / (1.0 - momentum)).collect();
            let most = each.iter().copied().fold(0.0, f64::max);
            let why =
                format!("in {steps} steps lambda alone lowers log alpha by {most:.2} at most: {raise}, or lambda");
            Fall { each, why }
        }
    })
}

/// To the end of the range: what is left there is left of any training.
fn lowest(sets: usize) -> Fall {
    let each = vec![LOG_ALPHA_RANGE.1 - LOG_ALPHA_RANGE.0; sets];
    Fall { each, why: "with every gate as far down as gates go: ask for more".into() }
}

/// The steps in which gates learn, and the sum of their learning rates.
fn rates(training: &Training, n_train: usize) -> (u64, f64) {
    let steps = training.steps_an_epoch(n_train);
    let epochs = training.epochs - training.frozen_epochs;
    let rate = training.gate_optimiser.learning_rate();
    let of_epoch = |epoch| training.rate_factor(epoch, steps / 2, steps) * steps as f64 * rate; // the mean of a straight line
    (epochs * steps, (0..epochs).map(of_epoch).sum())
}

#[cfg(test)]
mod tests {
    use l0::{Estimator, Quantity, Targets};

    use super::*;
    use crate::recipes;

    fn row(name: &str) -> Recipe {
        recipes::all().into_iter().find(|row| row.name == name).unwrap()
    }

    fn doubts(row: &Recipe, n_train: usize) -> String {
        doubt(row, n_train).unwrap().unwrap_or_default()
    }

    #[test]
    fn what_is_out_of_reach_is_said_before_training() {
        let held = row("mlp-con-0.2");
        let short = doubts(&held.clone().with_epochs(2), 60_000);
        assert!(short.starts_with("out of reach (at best: asked 20 % of the weights, kept 49.65 %); "), "{short}");
        assert!(short.contains("1200 steps of Adam lower log alpha by about 1.20 at most: train longer"), "{short}");
        let priced = row("mlp-l0").with_lambdas(&[1e5]);
        assert!(doubts(&priced.clone().with_epochs(2), 20_000).contains("lambda closed 0 of 1184 gates"));
        let fast = Training { gate_optimiser: Optimiser::adam(1e-2), ..priced.training.clone() };
        assert_eq!(doubts(&Recipe { training: fast, ..priced }.with_epochs(2), 20_000), "");
        let few = row("lenet5-l0").held_to(Targets::Layers(vec![0.5, 0.3, 0.7, 0.1]), Quantity::Weights);
        let few = doubts(&few.with_epochs(2), 60_000);
        assert!(few.contains("asked 50, 30, 70, 10 % of the gates, kept "), "{few}");
    }

    #[test]
    fn frozen_gates_are_brought_within_a_target_unless_none_can_be() {
        let held = row("wrn-16-1-con-0.5");
        assert_eq!(doubts(&held.clone().with_epochs(2), 100), "");
        let less = held.held_to(Targets::Model(0.001), Quantity::Weights);
        let less = doubts(&less, 50_000);
        assert!(
            less.contains("asked 0.1 %") && less.ends_with("with every gate as far down as gates go: ask for more")
        );
    }

    #[test]
    fn a_price_that_gradients_cannot_follow_is_said_to_be_too_low() {
        let low = doubts(&row("wrn-16-1-l0-0.001"), 50_000);
        assert!(low.contains("lambda alone lowers log alpha by 0.0") && low.contains("closed 0 of 224 gates"), "{low}");
    }

    #[test]
    fn nothing_is_said_of_the_rows_as_they_were_published() {
        for row in recipes::mnist().iter().chain([&recipes::quickstart(), &row("wrn-16-1-l0-gates")]) {
            let n_train = if row.name == "quickstart" { 10_000 } else { 60_000 };
            assert_eq!(doubts(row, n_train), "", "{}", row.name);
        }
        assert_eq!(doubts(&row("mlp-l0").read_by(Estimator::TopK), 60_000), "");
    }
}
