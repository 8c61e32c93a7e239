//! The kinds of layer a network is made of. Each has a file of its own that says all that can be said of it without the
//! network around it, by implementing `Rules` (`rules.rs`). What is left of each in a compact network, which is made of
//! layers, `compact/walk.rs` says; other walks over a network ask the rules, and know no layer by name.

mod activation;
mod add;
mod avg_pool2d;
mod batch_norm;
mod bias;
mod border;
mod concat;
mod conv2d;
mod conv_transpose2d;
mod dropout;
mod facts;
mod flatten;
mod global_pool;
mod identity;
mod input;
mod linear;
mod max_pool2d;
mod mul;
mod pad;
mod pad_units;
mod prelu;
mod rules;
mod scale;
mod softmax;
mod stride;
mod take;
mod upsample;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use self::activation::Activation;
pub use self::batch_norm::ClosedChannels;
pub use self::border::Margins;
pub(crate) use self::facts::{Declared, Dependence, Init, Per, Reads, Sources, SpaceOf, Work};
pub use self::global_pool::PoolKind;
pub(crate) use self::rules::{LinearMap, Rules, wrong};
pub use self::upsample::UpsampleMode;
use crate::{Error, Result, Shape};

/// Lists the layers: the variant and what files call it.
macro_rules! layers {
    ($($(#[$doc:meta])* $module:ident::$layer:ident = $tag:literal,)*) => {
        $(pub use self::$module::$layer;)*

        /// One layer; widths of inputs follow from what it reads.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "type")]
        pub enum Layer {
            $($(#[$doc])* #[serde(rename = $tag)] $layer($layer),)*
            /// A function of each number by itself.
            #[serde(untagged)]
            Activation(Activation),
        }

        $(impl std::convert::From<$layer> for Layer {
            fn from(layer: $layer) -> Self {
                Self::$layer(layer)
            }
        })*

        impl Layer {
            /// What files call the layers that are not activations.
            const TAGS: &'static [&'static str] = &[$($tag),*];

            /// What is known of the layer.
            pub(crate) fn rules(&self) -> &dyn Rules {
                match self {
                    $(Self::$layer(layer) => layer,)*
                    Self::Activation(activation) => activation,
                }
            }

            /// The same, to change what compaction changes.
            pub(crate) fn rules_mut(&mut self) -> &mut dyn Rules {
                match self {
                    $(Self::$layer(layer) => layer,)*
                    Self::Activation(activation) => activation,
                }
            }

            /// The layer that a file calls `tag`, with these settings.
            fn parse(tag: &str, settings: Map<String, Value>) -> serde_json::Result<Self> {
                match tag {
                    $($tag => settings_of::<$layer>(tag, settings).map(Self::$layer),)*
                    _ => Activation::parse(tag, settings).map(Self::Activation),
                }
            }
        }
    };
}

layers! {
    /// What the network is given.
    input::Input = "input",
    /// `ys = xs W^T + b`.
    linear::Linear = "linear",
    /// Cross-correlation.
    conv2d::Conv2d = "conv2d",
    /// The gradient of a convolution, as a layer.
    conv_transpose2d::ConvTranspose2d = "conv_transpose2d",
    /// Batch normalisation per unit.
    batch_norm::BatchNorm = "batch_norm",
    /// ReLU with a learned slope below 0 for each unit.
    prelu::PRelu = "prelu",
    /// Largest value of windows.
    max_pool2d::MaxPool2d = "max_pool2d",
    /// Mean of windows.
    avg_pool2d::AvgPool2d = "avg_pool2d",
    /// Mean or largest value of each channel.
    global_pool::GlobalPool = "global_pool",
    /// (c, h, w) -> (c h w,).
    flatten::Flatten = "flatten",
    /// Zeros in training.
    dropout::Dropout = "dropout",
    /// The sum of inputs of equal shape.
    add::Add = "add",
    /// The product of two inputs.
    mul::Mul = "mul",
    /// The units of all inputs, one after the other.
    concat::Concat = "concat",
    /// A space of its own for what it reads.
    identity::Identity = "identity",
    /// The listed units.
    take::Take = "take",
    /// A factor and a constant for each unit.
    scale::Scale = "scale",
    /// Constants added to each unit.
    bias::Bias = "bias",
    /// Constants that differ near the edges of an image.
    border::Border = "border",
    /// Units that are 0 before and after those of the input.
    pad_units::PadUnits = "pad_units",
    /// Zero padding of an image.
    pad::Pad = "pad",
    /// Every so many rows and columns of an image.
    stride::Stride = "stride",
    /// A larger image.
    upsample::Upsample = "upsample",
    /// `exp(x) / sum of exp` over the units.
    softmax::Softmax = "softmax",
}

impl std::convert::From<Activation> for Layer {
    fn from(activation: Activation) -> Self {
        Self::Activation(activation)
    }
}

impl Layer {
    /// `max(0, x)`.
    #[allow(non_upper_case_globals)] // written as the other layers are
    pub const Relu: Self = Self::Activation(Activation::Relu);

    /// The layer's name in tables.
    pub fn kind(&self) -> &'static str {
        self.rules().kind()
    }

    /// What files call the layers.
    pub(crate) fn tags() -> Vec<&'static str> {
        [Self::TAGS, Activation::TAGS].concat()
    }

    /// Whether the layer has weights: a linear layer or a convolution.
    pub fn is_affine(&self) -> bool {
        self.rules().is_affine()
    }

    /// The shape of the layer's output for inputs of these shapes. `node` names the layer in errors.
    ///
    /// # Errors
    /// If the layer does not accept such an input.
    pub fn output(&self, node: &str, inputs: &[Shape]) -> Result<Shape> {
        let (rules, kind) = (self.rules(), self.kind());
        let (least, most) = rules.arity();
        if inputs.len() < least || inputs.len() > most {
            let expected =
                if most == usize::MAX { format!("{least} inputs or more") } else { format!("{least} inputs") };
            return Err(Error::layer(node, format!("{kind} reads {expected}, found {}", inputs.len())));
        }
        let shape = rules.shape(inputs).map_err(|problem| Error::layer(node, problem))?;
        if !shape.is_sane() {
            let limit = Shape::LIMIT;
            return Err(Error::layer(node, format!("makes {shape}, expected 1 to {limit} values for an example")));
        }
        Ok(shape)
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut settings = Map::deserialize(deserializer)?;
        let tag = match settings.remove("type") {
            Some(Value::String(tag)) => tag,
            Some(other) => return Err(D::Error::custom(format!("the type of a layer is a text, found {other}"))),
            None => return Err(D::Error::missing_field("type")),
        };
        // Files of version 1 call the mean of each channel so.
        let tag = if tag == "avg_pool" { "global_pool".into() } else { tag };
        if !Self::TAGS.contains(&tag.as_str()) && !Activation::TAGS.contains(&tag.as_str()) {
            let known = [Self::TAGS, Activation::TAGS].concat().join(", ");
            return Err(D::Error::custom(format!("there is no layer of type {tag:?}; there are {known}")));
        }
        Self::parse(&tag, settings).map_err(|error| D::Error::custom(format!("{tag}: {error}")))
    }
}

/// Settings from a file; a layer without any takes none.
fn settings_of<T: for<'de> Deserialize<'de>>(tag: &str, settings: Map<String, Value>) -> serde_json::Result<T> {
    if !settings.is_empty() {
        return serde_json::from_value(Value::Object(settings));
    }
    serde_json::from_value(Value::Null)
        .or_else(|_| serde_json::from_value(Value::Object(settings)))
        .map_err(|error| serde_json::Error::custom(format!("{error} of {tag}")))
}
