//! LeNet-5-Caffe, the convolutional network of the paper on MNIST (Louizos et al. 2018, Table 1).
//!
//! Two 5x5 convolutions of 20 and 50 channels, each followed by ReLU and 2x2 max pooling, then 800-500-10 fully
//! connected. Gates are on the channels that the convolutions make and on the units that the linear layers read; an
//! input of fc1 is alive only where its own gate and that of its channel are both open.

use l0::{GatedNet, Placement, Side};
use l0_net::Builder;
use serde::{Deserialize, Serialize};

/// The sizes of a LeNet-5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Channels, rows and columns of an image.
    pub image: (usize, usize, usize),
    /// Channels of the first convolution.
    pub maps1: usize,
    /// Channels of the second convolution.
    pub maps2: usize,
    /// Hidden units.
    pub hidden: usize,
    /// Number of classes.
    pub classes: usize,
}

/// LeNet-5-Caffe: 430,500 weights, 2.293 M multiply-accumulates.
pub fn lenet5_caffe() -> Config {
    Config { image: (1, 28, 28), maps1: 20, maps2: 50, hidden: 500, classes: 10 }
}

/// Share of the units read by a linear layer that the dropout network drops; the L0 network's gates start from it.
const DROPRATE: f64 = 0.5;

/// A network without gates.
///
/// # Errors
/// If a size is 0.
pub fn dense(config: &Config) -> l0::Result<GatedNet> {
    GatedNet::new(chain(config, 0.0).build()?, &[])
}

/// A network without gates, trained with dropout on the inputs of its linear layers.
///
/// # Errors
/// If a size is 0.
pub fn dropout(config: &Config) -> l0::Result<GatedNet> {
    GatedNet::new(chain(config, DROPRATE).build()?, &[])
}

/// The L0 network: gates on the channels of conv1 and conv2, and on what fc1 and fc2 read.
///
/// # Errors
/// If a size is 0.
pub fn l0(config: &Config) -> l0::Result<GatedNet> {
    let layers = [("conv1", Side::Output), ("conv2", Side::Output), ("fc1", Side::Input), ("fc2", Side::Input)];
    let gates = layers.map(|(layer, side)| Placement { droprate_init: DROPRATE, ..Placement::new(layer, side) });
    GatedNet::new(chain(config, 0.0).build()?, &gates)
}

/// A compact network trained on MNIST with a lambda for each layer, as a file of `l0_net`: `zoo/README.md` says more.
pub const ZOO_MNIST_L0_SEP: &[u8] = include_bytes!("../zoo/mnist-l0-sep.safetensors");

fn chain(config: &Config, dropout: f64) -> Builder {
    let (c, h, w) = config.image;
    let mut b = Builder::image("image", c, h, w);
    b.conv2d("conv1", config.maps1, 5).relu().max_pool2d(2);
    b.conv2d("conv2", config.maps2, 5).relu().max_pool2d(2);
    b.flatten("features").dropout(dropout).linear("fc1", config.hidden).relu();
    b.dropout(dropout).linear("fc2", config.classes);
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let network = l0(&lenet5_caffe()).unwrap();
        let cost = network.net().cost();
        assert_eq!((cost.weights(), cost.macs()), (430_500, 2_293_000));
        assert_eq!(network.gated_units(), [20, 50, 800, 500]);
        assert_eq!(network.gated_weights(), 20 * 26 + 50 * 501 + 800 * 500 + 500 * 10);
    }
}
