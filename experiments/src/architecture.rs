//! Architectures of the experiments: which network, how large, and whether it has gates.

use anyhow::{Result, bail, ensure};
use l0::{GatedNet, Quantity, Targets};
use l0_net::Net;
use l0_record::Reference;
use serde::{Deserialize, Serialize};

use crate::published;

/// The width they do it at. The fewer maps, the more the loss should hang on each of them and the further a minibatch
/// throw its gate: at this rate, what WRN-16-1 kept of its first blocks showed no order
/// (docs/decisions/042-targets.md).
const GATE_RATE_WIDTH: f64 = 10.0;

/// More units than any layer here has.
const LARGEST_SIZE: u64 = 100_000;

/// More values than any image here has.
const MOST_PIXELS: u64 = 1_000_000;

/// How a network is kept from using all of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gating {
    /// Not at all.
    Dense,
    /// By dropout.
    Dropout,
    /// By L0 gates.
    L0,
}

/// An architecture with its sizes, and whether its units have gates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Architecture {
    /// A multilayer perceptron.
    Mlp {
        /// Its sizes.
        sizes: l0_mlp::Config,
        /// Its gates.
        gating: Gating,
    },
    /// A LeNet-5.
    Lenet5 {
        /// Its sizes.
        sizes: l0_lenet5::Config,
        /// Its gates.
        gating: Gating,
    },
    /// A Wide ResNet.
    WideResnet {
        /// Its sizes, and what becomes of its closed maps.
        sizes: l0_wide_resnet::Config,
        /// Its gates.
        gating: Gating,
    },
    /// A residual network of the tables on CIFAR.
    Resnet {
        /// Its sizes, and its shortcuts.
        sizes: l0_resnet::Config,
        /// Its gates.
        gating: Gating,
    },
    /// A network that somebody described layer by layer.
    Layers {
        /// What it is called.
        name: String,
        /// Its layers.
        net: Net,
        /// Its gates: on every space that can shrink.
        gating: Gating,
        /// The chance of a gate to be closed at first.
        droprate: f64,
    },
}

impl Architecture {
    /// The network.
    ///
    /// # Errors
    /// If a size is 0, or is none that this architecture can have.
    pub fn network(&self) -> Result<GatedNet> {
        Ok(match self {
            Self::Mlp { sizes, gating } => match gating {
                Gating::Dense => l0_mlp::dense(sizes)?,
                Gating::Dropout => l0_mlp::dropout(sizes)?,
                Gating::L0 => l0_mlp::l0(sizes)?,
            },
            Self::Lenet5 { sizes, gating } => match gating {
                Gating::Dense => l0_lenet5::dense(sizes)?,
                Gating::Dropout => l0_lenet5::dropout(sizes)?,
                Gating::L0 => l0_lenet5::l0(sizes)?,
            },
            Self::WideResnet { sizes, gating } => match gating {
                Gating::Dense => l0_wide_resnet::dense(sizes)?,
                Gating::Dropout => l0_wide_resnet::dropout(sizes)?,
                Gating::L0 => l0_wide_resnet::l0(sizes)?,
            },
            Self::Resnet { sizes, gating } => match gating {
                Gating::Dense => l0_resnet::dense(sizes)?,
                Gating::Dropout => bail!("a ResNet has no dropout; gating is dense or l0"),
                Gating::L0 => l0_resnet::l0(sizes)?,
            },
            Self::Layers { net, gating: Gating::L0, droprate, .. } => GatedNet::prunable(net.clone(), *droprate)?,
            Self::Layers { net, .. } => GatedNet::new(net.clone(), &[])?,
        })
    }

    /// Checks what can be checked before a network of these sizes is built: they may come from a file.
    pub(crate) fn check_sizes(&self) -> Result<()> {
        let value = serde_json::to_value(self)?;
        let sizes = value["sizes"].as_object().into_iter().flatten();
        for (name, size) in sizes {
            let each = size.as_array().map_or(std::slice::from_ref(size), Vec::as_slice);
            let each: Vec<u64> = each.iter().filter_map(serde_json::Value::as_u64).collect();
            for size in &each {
                ensure!((1..=LARGEST_SIZE).contains(size), "{name} is {size}, expected 1 to {LARGEST_SIZE}");
            }
            let pixels = each.iter().fold(1, |product: u64, size| product.saturating_mul(*size));
            ensure!(name != "image" || pixels <= MOST_PIXELS, "image has {pixels} values, expected 1 to {MOST_PIXELS}");
        }
        Ok(())
    }

    /// How it is kept from using all of itself.
    pub fn gating(&self) -> Gating {
        match self {
            Self::Mlp { gating, .. }
            | Self::Lenet5 { gating, .. }
            | Self::WideResnet { gating, .. }
            | Self::Resnet { gating, .. }
            | Self::Layers { gating, .. } => *gating,
        }
    }

    /// How many times narrower a Wide ResNet is than the one whose published gates learn 60 times as fast as its
    /// weights; 1 for other networks.
    pub(crate) fn narrowness(&self) -> f64 {
        match self {
            Self::WideResnet { sizes, .. } => GATE_RATE_WIDTH / sizes.width as f64,
            _ => 1.0,
        }
    }

    /// What the name of a row begins with.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Mlp { .. } => "mlp".into(),
            Self::Lenet5 { .. } => "lenet5".into(),
            Self::Layers { name, .. } => name.clone(),
            Self::WideResnet { sizes, .. } => {
                let classes = if sizes.classes == 10 { String::new() } else { format!("-c{}", sizes.classes) };
                format!("wrn-{}-{}{classes}", sizes.depth, sizes.width)
            }
            Self::Resnet { sizes, .. } => format!("resnet{}", sizes.depth),
        }
    }

    /// What a table calls it where it was trained on a data set that people write so.
    pub fn title(&self, data: &str) -> String {
        match self {
            Self::WideResnet { sizes: l0_wide_resnet::Config { classes, .. }, .. }
            | Self::Resnet { sizes: l0_resnet::Config { classes, .. }, .. } => {
                format!("{} on CIFAR-{classes}", self.title_alone())
            }
            Self::Layers { name, .. } => format!("{name} on {data}"),
            _ => self.title_alone(),
        }
    }

    /// The same without the data.
    pub(crate) fn title_alone(&self) -> String {
        match self {
            Self::Mlp { sizes, .. } => {
                let (c, h, w) = sizes.image;
                let hidden = sizes.hidden.iter().map(|units| format!("-{units}")).collect::<String>();
                format!("MLP {}{hidden}", c * h * w)
            }
            Self::Lenet5 { sizes, .. } if *sizes == l0_lenet5::lenet5_caffe() => published::LENET5.into(),
            Self::Lenet5 { sizes, .. } => format!("LeNet-5 {}-{}-{}", sizes.maps1, sizes.maps2, sizes.hidden),
            Self::WideResnet { sizes, .. } => {
                let inner = sizes.inner.as_ref().map_or(String::new(), |inner| format!(" ({})", joined(inner, "-")));
                format!("WRN-{}-{}{inner}", sizes.depth, sizes.width)
            }
            Self::Resnet { sizes, .. } => {
                let slim = sizes.stages.iter().chain(&sizes.inner).map(|sizes| joined(sizes, "-"));
                let slim = joined(&slim.collect::<Vec<_>>(), "; ");
                let slim = if slim.is_empty() { slim } else { format!(" ({slim})") };
                format!("ResNet-{}{slim}", sizes.depth)
            }
            Self::Layers { name, .. } => name.clone(),
        }
    }

    /// What published rows of this network are found below, by its [id](crate::published): a Wide ResNet stands for
    /// WRN-28-10.
    fn family(&self) -> Option<&'static str> {
        match self {
            Self::Mlp { sizes, .. } => (*sizes == l0_mlp::lenet_300_100()).then_some("mlp"),
            Self::Lenet5 { sizes, .. } => (*sizes == l0_lenet5::lenet5_caffe()).then_some("lenet5"),
            Self::WideResnet { sizes, .. } if sizes.classes == 100 => Some("cifar100"),
            Self::WideResnet { .. } => Some("cifar10"),
            Self::Resnet { .. } | Self::Layers { .. } => None,
        }
    }

    /// The published row of this network held to these shares.
    pub(crate) fn published(&self, targets: &Targets, quantity: Quantity) -> Option<Reference> {
        let shares = match (targets, quantity) {
            (Targets::Model(one), Quantity::Weights) => format!("density-{one}"),
            (Targets::Layers(each), _) => format!("layers-{}", joined(each, "-")),
            (Targets::Model(_), Quantity::Macs) => return None,
        };
        published::row(&format!("gallego2022/{}/{shares}", self.family()?))
    }
}

/// Values side by side.
pub(crate) fn joined<T: ToString>(values: &[T], separator: &str) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}
