//! The multilayer perceptron of the paper: LeNet-300-100 on MNIST (Louizos et al. 2018, Table 1).
//!
//! 784 pixels, two hidden layers of ReLU units, 10 classes. Each of the three linear layers has gates on its input
//! units, so pixels are chosen too.

use l0::{GatedNet, Placement, Side};
use l0_net::Builder;
use serde::{Deserialize, Serialize};

/// The sizes of a multilayer perceptron.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Channels, rows and columns of an image.
    pub image: (usize, usize, usize),
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
}

/// LeNet-300-100: 266,200 weights.
pub fn lenet_300_100() -> Config {
    Config { image: (1, 28, 28), hidden: vec![300, 100], classes: 10 }
}

/// Share of pixels, and of hidden units, that the dropout network drops; the L0 network's gates start from them.
const DROPRATES: (f64, f64) = (0.2, 0.5);

/// A network without gates.
///
/// # Errors
/// If a size is 0.
pub fn dense(config: &Config) -> l0::Result<GatedNet> {
    GatedNet::new(chain(config, (0.0, 0.0)).build()?, &[])
}

/// A network without gates, trained with dropout: 0.2 of the pixels, 0.5 of the hidden units.
///
/// # Errors
/// If a size is 0.
pub fn dropout(config: &Config) -> l0::Result<GatedNet> {
    GatedNet::new(chain(config, DROPRATES).build()?, &[])
}

/// The L0 network: gates on what each linear layer reads.
///
/// # Errors
/// If a size is 0.
pub fn l0(config: &Config) -> l0::Result<GatedNet> {
    let gates = |i: usize| {
        let droprate_init = if i == 0 { DROPRATES.0 } else { DROPRATES.1 };
        Placement { droprate_init, ..Placement::new(layer(i), Side::Input) }
    };
    let placements: Vec<Placement> = (0..=config.hidden.len()).map(gates).collect();
    GatedNet::new(chain(config, (0.0, 0.0)).build()?, &placements)
}

fn layer(i: usize) -> String {
    format!("fc{}", i + 1)
}

fn chain(config: &Config, (p_input, p_hidden): (f64, f64)) -> Builder {
    let (c, h, w) = config.image;
    let mut b = Builder::image("image", c, h, w);
    b.flatten("pixels").dropout(p_input);
    for (i, &units) in config.hidden.iter().enumerate() {
        b.linear(&layer(i), units).relu().dropout(p_hidden);
    }
    b.linear(&layer(config.hidden.len()), config.classes);
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let network = l0(&lenet_300_100()).unwrap();
        assert_eq!(network.net().cost().weights(), 266_200);
        assert_eq!(network.gated_units(), [784, 300, 100]);
        // The price of a gate is lambda |g| / N: |g| = 300, 100, 10.
        assert_eq!(network.gated_weights(), 784 * 300 + 300 * 100 + 100 * 10);
    }
}
