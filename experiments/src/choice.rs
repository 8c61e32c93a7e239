//! Which of a network's units are to be pruned, as command lines say it: by names of layers.

use anyhow::Result;
use clap::Args;
use l0_net::{Net, Prunable};

/// The layers that are to be pruned: all that can be, if nothing is said (`prune` leaves the residual stream, then).
#[derive(Debug, Clone, Default, Args)]
pub struct ChoiceArgs {
    /// Prune these layers alone. A star stands for any part of a name: 'layer3.*'. Layers that share their units go
    /// together.
    #[arg(long, value_name = "LAYER", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Leave these layers as they are, and those that share their units.
    #[arg(long, value_name = "LAYER", value_delimiter = ',')]
    pub except: Vec<String>,
}

impl ChoiceArgs {
    /// What is chosen of a network.
    ///
    /// # Errors
    /// As [`Prunable::only`] and [`Prunable::except`].
    pub fn of<'a>(&self, net: &'a Net) -> Result<Prunable<'a>> {
        let all = Prunable::of(net);
        let some = if self.only.is_empty() { all } else { all.only(&self.only)? };
        Ok(if self.except.is_empty() { some } else { some.except(&self.except)? })
    }
}
