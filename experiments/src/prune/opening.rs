//! What is said before a pruning begins: on what, by what, for how long.

use l0_data::Dataset;
use l0_prune::{Plan, Target};
use l0_train::{Optimiser, Training};

use super::Brought;
use crate::device::Compute;
use crate::estimate::Estimate;

/// A line about a pruning that is to begin, with how long it will take on this machine. Steps that fail are for the
/// training to tell.
pub fn opening(brought: &Brought, plan: &Plan, target: Target, data: &Dataset, compute: &Compute) -> String {
    let said = said(&plan.training, (data.train.len(), data.test.len()));
    let time = Estimate::of_plan(plan, data, compute).map_or(String::new(), |estimate| format!("; {estimate}"));
    format!("{} to {target}: {said}{time}", brought.name)
}

/// Examples to train and to test on, and how they are learnt from.
fn said(training: &Training, (train, test): (usize, usize)) -> String {
    let (tuning, batch) = (training.frozen_epochs, training.batch_size);
    let learning = training.epochs - tuning;
    let optimiser = match training.optimiser {
        Optimiser::Adam { .. } => "Adam",
        Optimiser::Novograd { .. } => "Novograd",
        Optimiser::Sgd { .. } => "SGD",
        Optimiser::Muon { .. } => "Muon",
    };
    format!(
        "{train} training and {test} test examples in batches of {batch}, {optimiser}; gates learn for {learning} of {} epochs, the \
         smaller network is fine-tuned for {tuning}",
        training.epochs
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes;

    #[test]
    fn a_pruning_says_what_it_will_do_before_it_begins() {
        let usual = recipes::quickstart().training;
        let training =
            Training { epochs: 10, frozen_epochs: 7, batch_size: 16, optimiser: Optimiser::muon(0.01), ..usual };
        assert_eq!(
            said(&training, (480, 120)),
            "480 training and 120 test examples in batches of 16, Muon; gates learn for 3 of 10 epochs, the smaller network \
             is fine-tuned for 7"
        );
    }
}
