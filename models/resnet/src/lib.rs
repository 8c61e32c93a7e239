//! Residual networks for CIFAR (He et al. 2016, section 4.2): the ones that the tables of structured pruning compare
//! methods on.
//!
//! ResNet-d has a 3x3 convolution of 16 channels, three stages of (d - 2) / 6 blocks with 16, 32 and 64 channels, and a
//! linear layer on the mean of each channel. A block: conv1, BN, ReLU, conv2, BN, plus its input, ReLU; the first block
//! of the second and third stage halves the image in conv1. There the input becomes as wide by zeros beside every other
//! pixel ([`Shortcut::Padded`], the paper's option A, which has no parameters) or by a 1x1 convolution and a BN
//! ([`Shortcut::Projected`], its option B).
//!
//! The pruned networks have gates inside the blocks, and on the residual stream unless it is to stay whole
//! ([`Config::whole_stream`]): the channels of a stage are one set, which all of its blocks share.

use l0::GatedNet;
use l0_net::layers::{PadUnits, Stride};
use l0_net::{Builder, Error, NodeId, Prunable};
use serde::{Deserialize, Serialize};

/// How the input of a block reaches its sum where the image is halved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortcut {
    /// Every other pixel, with channels of zeros around: option A.
    Padded,
    /// A 1x1 convolution with stride 2, and a BatchNorm: option B.
    Projected,
}

/// The sizes of a residual network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Channels, rows and columns of an image.
    pub image: (usize, usize, usize),
    /// Layers on a path, 6 n + 2.
    pub depth: usize,
    /// Number of classes.
    pub classes: usize,
    /// The shortcuts where the image is halved.
    pub shortcut: Shortcut,
    /// Channels of the stages, as a rule 16, 32 and 64: for a network as slim as gates would leave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<usize>>,
    /// Channels between the convolutions of each block, as a rule those of its stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<Vec<usize>>,
    /// Whether the channels of the stages have no gates, which leaves the residual stream whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole_stream: bool,
}

impl Config {
    /// The network of the tables with so many layers, (3, 32, 32), ten classes, padded shortcuts.
    pub fn cifar(depth: usize) -> Self {
        let (image, shortcut) = ((3, 32, 32), Shortcut::Padded);
        Self { image, depth, classes: 10, shortcut, stages: None, inner: None, whole_stream: false }
    }

    fn blocks(&self) -> usize {
        self.depth.saturating_sub(2) / 6
    }

    fn stages(&self) -> Vec<usize> {
        self.stages.clone().unwrap_or_else(|| vec![16, 32, 64])
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |problem: String| Err(Error::Settings { network: "ResNet", problem });
        if self.depth < 8 || self.depth % 6 != 2 {
            return wrong(format!("depth {}, expected 6 n + 2 with n of 1 or more", self.depth));
        }
        let counts = [("stages", &self.stages, 3), ("inner sizes", &self.inner, 3 * self.blocks())];
        for (what, sizes, expected) in counts {
            if let Some(found) = sizes.as_ref().map(Vec::len).filter(|&found| found != expected) {
                return wrong(format!("{found} {what} for ResNet-{}, expected {expected}", self.depth));
            }
        }
        if self.shortcut == Shortcut::Padded && !self.stages().is_sorted() {
            return wrong(format!(
                "stages of {:?} channels, expected no fewer than before: zeros fill them",
                self.stages()
            ));
        }
        Ok(())
    }
}

/// The drop rate that gates begin with, of which few are closed (P(z = 0) is 0.004): the networks of the tables are
/// narrow, and all of their channels are in use.
pub const DROPRATE: f64 = 0.02;

/// A network without gates.
///
/// # Errors
/// If a size is 0, the depth is not 6 n + 2, there is not one of the slim sizes for each stage and block, or the stream
/// is said to stay whole, which it does without gates.
pub fn dense(config: &Config) -> l0::Result<GatedNet> {
    if config.whole_stream {
        let problem = "whole_stream is true, expected false: a network without gates keeps all channels".into();
        return Err(Error::Settings { network: "ResNet", problem }.into());
    }
    GatedNet::new(chain(config)?.build()?, &[])
}

/// The L0 network: gates on the channels inside each block, and on those of each stage if they are not to stay whole.
///
/// # Errors
/// As for [`dense`], but for a stream that stays whole.
pub fn l0(config: &Config) -> l0::Result<GatedNet> {
    let net = chain(config)?.build()?;
    let all = Prunable::of(&net);
    GatedNet::on(&if config.whole_stream { all.without_sums()? } else { all }, DROPRATE)
}

fn block(stage: usize, i: usize) -> String {
    format!("stage{}.block{}", stage + 1, i + 1)
}

fn chain(config: &Config) -> Result<Builder, Error> {
    config.check()?;
    let (c, h, w) = config.image;
    let stages = config.stages();
    let mut b = Builder::image("image", c, h, w);
    b.conv2d_same("conv", stages[0], 3, 1).batch_norm("bn").relu();
    let mut before = stages[0];
    for (stage, &out) in stages.iter().enumerate() {
        for i in 0..config.blocks() {
            let halves = stage > 0 && i == 0;
            let inner = config.inner.as_ref().map_or(out, |inner| inner[stage * config.blocks() + i]);
            let name = block(stage, i);
            let input = b.tip();
            let skip = if halves { shortcut(&mut b, config.shortcut, &name, (before, out)) } else { input };
            b.at(input).conv2d_same(&format!("{name}.conv1"), inner, 3, if halves { 2 } else { 1 });
            b.batch_norm(&format!("{name}.bn1")).relu();
            b.conv2d_same(&format!("{name}.conv2"), out, 3, 1).batch_norm(&format!("{name}.bn2")).add(skip).relu();
            before = out;
        }
    }
    b.global_avg_pool().linear("fc", config.classes);
    Ok(b)
}

/// What a block adds to where it halves the image.
fn shortcut(b: &mut Builder, shortcut: Shortcut, block: &str, (before, out): (usize, usize)) -> NodeId {
    let name = format!("{block}.short");
    match shortcut {
        Shortcut::Padded => {
            let around = out - before;
            let pad = PadUnits { before: around / 2, after: around - around / 2 };
            b.layer(&format!("{name}.stride"), Stride { start: 0.into(), step: 2.into() });
            b.layer(&format!("{name}.pad"), pad).tip()
        }
        Shortcut::Projected => b.conv2d_same(&name, out, 1, 2).batch_norm(&format!("{name}.bn")).tip(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiply-accumulates and weights of convolutions and the linear layer, by hand: (in, out, kernel, side) of each.
    fn by_hand(n: usize, projected: bool) -> (usize, usize) {
        let mut convs = vec![(3, 16, 3, 32)];
        for (stage, out) in [16, 32, 64].into_iter().enumerate() {
            let side = 32 >> stage;
            let first = if stage == 0 { out } else { out / 2 };
            convs.push((first, out, 3, side));
            convs.extend(vec![(out, out, 3, side); 2 * n - 1]);
            if projected && stage > 0 {
                convs.push((first, out, 1, side));
            }
        }
        let each =
            convs.iter().map(|&(i, o, kernel, side)| (i * o * kernel * kernel * side * side, i * o * kernel * kernel));
        each.fold((640, 640), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    #[test]
    fn counts_are_those_of_the_tables() {
        // He et al. 2016, Table 6: 0.27, 0.46 and 0.85 M parameters.
        for (depth, millions) in [(20, 0.27), (32, 0.46), (56, 0.85)] {
            let cost = dense(&Config::cifar(depth)).unwrap().net().cost();
            assert_eq!((cost.macs(), cost.weights()), by_hand((depth - 2) / 6, false));
            assert!((cost.params() as f64 / 1e6 - millions).abs() < 0.01, "{}", cost.params());
        }
        let projected = Config { shortcut: Shortcut::Projected, ..Config::cifar(20) };
        let cost = dense(&projected).unwrap().net().cost();
        assert_eq!((cost.macs(), cost.weights()), by_hand(3, true));
        assert_eq!(cost.macs(), 40_813_184);
    }

    #[test]
    fn gates_are_inside_blocks_and_on_the_stream() {
        for shortcut in [Shortcut::Padded, Shortcut::Projected] {
            let config = Config { shortcut, ..Config::cifar(20) };
            // A stream that is padded is wider than that of the stage before, but holds the same channels.
            assert_eq!(l0(&config).unwrap().sets(), 9 + 3, "{shortcut:?}");
            assert_eq!(l0(&Config { whole_stream: true, ..config }).unwrap().sets(), 9, "{shortcut:?}");
        }
    }

    #[test]
    fn slim_sizes_are_those_that_gates_leave() {
        let slim = Config { stages: Some(vec![10, 20, 64]), inner: Some((1..=9).collect()), ..Config::cifar(20) };
        let cost = dense(&slim).unwrap().net().cost();
        let inner: usize = (1..=3).map(|n| 2 * 10 * n).sum();
        let second = 10 * 4 + 20 * 4 + 2 * 20 * (5 + 6);
        let third = 20 * 7 + 64 * 7 + 2 * 64 * (8 + 9);
        assert_eq!(cost.weights(), 9 * (3 * 10 + inner + second + third) + 640);
        let message = |config: &Config| dense(config).unwrap_err().to_string();
        assert!(
            message(&Config { inner: Some(vec![1]), ..slim.clone() })
                .contains("1 inner sizes for ResNet-20, expected 9")
        );
        assert!(
            message(&Config { stages: Some(vec![1, 2]), ..slim.clone() })
                .contains("2 stages for ResNet-20, expected 3")
        );
        assert!(message(&Config { stages: Some(vec![8, 4, 9]), ..slim }).contains("expected no fewer than before"));
        assert!(message(&Config { whole_stream: true, ..Config::cifar(20) }).contains("whole_stream is true"));
        assert!(message(&Config { depth: 21, ..Config::cifar(20) }).contains("ResNet: depth 21, expected 6 n + 2"));
    }
}
