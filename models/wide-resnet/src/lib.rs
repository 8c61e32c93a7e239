//! Wide residual networks (Zagoruyko and Komodakis 2016) as the paper gates them on CIFAR (Louizos et al. 2018, Table
//! 2).
//!
//! WRN-d-k has a 3x3 convolution of 16 channels, three groups of (d - 4) / 6 blocks with 16k, 32k and 64k channels, and
//! a linear layer on the mean of each channel. A block is pre-activated: BN, ReLU, conv1, BN, ReLU, conv2, plus its
//! input; where the width changes, a 1x1 convolution of the activated input takes the input's place. Gates are on the
//! channels that conv1 makes. The first block of the second and third group halves the image, in its second
//! convolution, as the authors' code does: WRN-28-10 then takes 5.95 G multiply-accumulates (5.24 G with the stride on
//! conv1).

use l0::{GatedNet, Placement, Side};
use l0_net::{Builder, ClosedChannels, Error};
use serde::{Deserialize, Serialize};

/// The sizes of a Wide ResNet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Channels, rows and columns of an image.
    pub image: (usize, usize, usize),
    /// Convolutions on a path, 6 n + 4.
    pub depth: usize,
    /// Factor of all widths.
    pub width: usize,
    /// Number of classes.
    pub classes: usize,
    /// What a BatchNorm makes of a closed channel: the formula's constant (as in the paper), or nothing.
    pub closed: ClosedChannels,
    /// Maps between the convolutions of each block, for a network as slim as gates would leave it; as a rule a block
    /// has as many there as it hands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<Vec<usize>>,
}

impl Config {
    fn new(depth: usize, width: usize, classes: usize) -> Self {
        Self { image: (3, 32, 32), depth, width, classes, closed: ClosedChannels::Constant, inner: None }
    }
}

/// WRN-28-10, the paper's network: 36.5 M parameters.
pub fn wrn_28_10(classes: usize) -> Config {
    Config::new(28, 10, classes)
}

/// WRN-16-2.
pub fn wrn_16_2(classes: usize) -> Config {
    Config::new(16, 2, classes)
}

/// WRN-16-1, small enough for a CPU.
pub fn wrn_16_1(classes: usize) -> Config {
    Config::new(16, 1, classes)
}

/// Share of channels that the dropout network drops after the first convolution of a block; the gates start from it.
pub const DROPRATE: f64 = 0.3;

/// A network without gates.
///
/// # Errors
/// If a size is 0, the depth is not 6 n + 4, or there is not one of the inner sizes for each block.
pub fn dense(config: &Config) -> l0::Result<GatedNet> {
    GatedNet::new(chain(config, 0.0)?.build()?, &[])
}

/// A network without gates, trained with dropout between the convolutions of each block.
///
/// # Errors
/// As for [`dense`].
pub fn dropout(config: &Config) -> l0::Result<GatedNet> {
    GatedNet::new(chain(config, DROPRATE)?.build()?, &[])
}

/// The L0 network: gates on the channels that the first convolution of each block makes.
///
/// In the paper's [objective](l0::Objective) these convolutions decay by the coefficient of the other parameters over
/// 1 - [`DROPRATE`], since their gates are open with probability 0.7 in the authors' reading.
///
/// # Errors
/// As for [`dense`].
pub fn l0(config: &Config) -> l0::Result<GatedNet> {
    let blocks = (0..3).flat_map(|g| (0..per_group(config)).map(move |i| block(g, i)));
    let gates =
        |block: String| Placement { droprate_init: DROPRATE, ..Placement::new(format!("{block}.conv1"), Side::Output) };
    GatedNet::new(chain(config, 0.0)?.build()?, &blocks.map(gates).collect::<Vec<_>>())
}

fn per_group(config: &Config) -> usize {
    config.depth.saturating_sub(4) / 6
}

fn block(group: usize, i: usize) -> String {
    format!("group{}.block{}", group + 1, i + 1)
}

fn chain(config: &Config, dropout: f64) -> Result<Builder, Error> {
    if config.depth < 10 || config.depth % 6 != 4 {
        let problem = format!("depth {}, expected 6 n + 4 with n of 1 or more", config.depth);
        return Err(Error::Settings { network: "Wide ResNet", problem });
    }
    let blocks = 3 * per_group(config);
    if let Some(inner) = config.inner.as_ref().filter(|inner| inner.len() != blocks) {
        let problem = format!("{} inner sizes, expected one for each of its {blocks} blocks", inner.len());
        return Err(Error::Settings { network: "Wide ResNet", problem });
    }
    let (c, h, w) = config.image;
    let mut b = Builder::image("image", c, h, w);
    b.conv2d_same("conv", 16, 3, 1);
    let mut maps = 16;
    for group in 0..3 {
        let out = (16 * config.width) << group;
        for i in 0..per_group(config) {
            let stride = if group > 0 && i == 0 { 2 } else { 1 };
            let inner = config.inner.as_ref().map_or(out, |inner| inner[group * per_group(config) + i]);
            residual(&mut b, &block(group, i), [maps, inner, out], stride, config.closed, dropout);
            maps = out;
        }
    }
    b.closed_channels(config.closed).batch_norm("bn").relu().global_avg_pool().linear("fc", config.classes);
    Ok(b)
}

fn residual(b: &mut Builder, name: &str, maps: [usize; 3], stride: usize, closed: ClosedChannels, dropout: f64) {
    let [maps, inner, out] = maps;
    let input = b.tip();
    let active = b.closed_channels(closed).batch_norm(&format!("{name}.bn1")).relu().tip();
    let skip =
        if maps == out && stride == 1 { input } else { b.conv2d_same(&format!("{name}.short"), out, 1, stride).tip() };
    b.at(active).conv2d_same(&format!("{name}.conv1"), inner, 3, 1);
    b.closed_channels(closed).batch_norm(&format!("{name}.bn2")).relu().dropout(dropout);
    b.conv2d_same(&format!("{name}.conv2"), out, 3, stride).add(skip);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_wrn_28_10() {
        let network = l0(&wrn_28_10(10)).unwrap();
        let cost = network.net().cost();
        assert_eq!(cost.params(), 36_479_194);
        assert_eq!(network.gated_weights(), 16_842_240);
        assert_eq!(network.gated_units().iter().sum::<usize>(), 4_480);
        assert_eq!(cost.macs(), by_hand());
        assert_eq!(cost.macs(), 5_951_117_568);
        // Two for each multiply-accumulate, one for each of the 10 biases, two for each value that is normalised.
        assert_eq!(cost.flops(), 2 * cost.macs() + 10 + 2 * normalised_by_hand());
    }

    /// Multiply-accumulates of WRN-28-10 without biases: channels in, channels out, kernel, positions.
    fn by_hand() -> usize {
        let conv = |maps: usize, out: usize, kernel: usize, side: usize| maps * out * kernel * kernel * side * side;
        let block = |maps: usize, side: usize| 2 * conv(maps, maps, 3, side);
        // Where the image is halved, conv1 still reads and writes it in its full size.
        let halving =
            |maps, out, side| conv(maps, out, 3, 2 * side) + conv(out, out, 3, side) + conv(maps, out, 1, side);
        let group1 = conv(16, 160, 3, 32) + conv(160, 160, 3, 32) + conv(16, 160, 1, 32) + 3 * block(160, 32);
        let group2 = halving(160, 320, 16) + 3 * block(320, 16);
        let group3 = halving(320, 640, 8) + 3 * block(640, 8);
        conv(3, 16, 3, 32) + group1 + group2 + group3 + 640 * 10
    }

    /// Values that the BatchNorms of WRN-28-10 see: channels, times pixels.
    fn normalised_by_hand() -> usize {
        let group1 = (16 + 160 + 3 * 2 * 160) * 32 * 32;
        let group2 = (160 + 320) * 32 * 32 + 3 * 2 * 320 * 16 * 16;
        let group3 = (320 + 640) * 16 * 16 + 3 * 2 * 640 * 8 * 8;
        group1 + group2 + group3 + 640 * 8 * 8
    }

    #[test]
    fn counts_of_the_smaller_ones() {
        for (config, params, macs) in [(wrn_16_2(10), 691_674, 129_418_496), (wrn_16_1(10), 175_066, 33_735_296)] {
            let network = dense(&config).unwrap();
            assert_eq!((network.net().cost().params(), network.net().cost().macs()), (params, macs));
        }
    }

    #[test]
    fn a_slim_network_is_as_small_as_gates_leave_one() {
        let slim = Config { inner: Some(vec![15, 14, 27, 27, 31, 18]), ..wrn_16_1(10) };
        let network = dense(&slim).unwrap(); // as wrn-16-1-con-0.5 keeps
        assert_eq!((network.net().cost().params(), network.net().cost().macs()), (87_474, slim_by_hand()));
        let error = dense(&Config { inner: Some(vec![11, 12]), ..slim }).unwrap_err().to_string();
        assert!(error.contains("2 inner sizes, expected one for each of its 6 blocks"), "{error}");
    }

    /// Multiply-accumulates of WRN-16-1 with 15-14-27-27-31-18 channels inside its blocks.
    fn slim_by_hand() -> usize {
        let group1 = (2 * 16 * 15 + 2 * 16 * 14) * 9 * 1024;
        let group2 = 16 * 27 * 9 * 1024 + (27 * 32 * 9 + 16 * 32 + 2 * 32 * 27 * 9) * 256;
        let group3 = 32 * 31 * 9 * 256 + (31 * 64 * 9 + 32 * 64 + 2 * 64 * 18 * 9) * 64;
        3 * 16 * 9 * 1024 + group1 + group2 + group3 + 64 * 10
    }

    #[test]
    fn a_depth_that_does_not_exist_is_refused() {
        let error = dense(&Config { depth: 17, ..wrn_16_1(10) }).unwrap_err().to_string();
        assert!(error.contains("depth 17"), "{error}");
    }
}
