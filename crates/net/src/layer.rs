//! The kinds of layer a network is made of, and the shapes between them.

use serde::{Deserialize, Serialize};

use crate::{Error, Margins, Result};

/// What a BatchNorm makes of a feature map that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedMaps {
    /// What the formula says: a constant, `shift` in training and `shift - mean * scale / sqrt(var + eps)` afterwards.
    Constant,
    /// A closed map stays zero, and leaves the statistics alone. A map can then not be closed for some examples alone:
    /// [`Net::forward`](crate::Net::forward) refuses a [`Mask::PerExample`](crate::Mask::PerExample) on such maps.
    Zero,
}

/// One layer; widths of inputs follow from what it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// What the network is given, without the batch: (features,) or (c, h, w).
    Input {
        /// The shape of one example.
        shape: Vec<usize>,
    },
    /// `ys = xs W^T + b`.
    Linear {
        /// Number of output features.
        out: usize,
        /// Whether there is a b.
        bias: bool,
    },
    /// Cross-correlation with a square kernel.
    Conv2d {
        /// Number of output channels.
        out: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Step of the kernel.
        stride: usize,
        /// Zeros added on each side.
        padding: usize,
        /// Whether there is a bias.
        bias: bool,
    },
    /// Batch normalisation per unit. A batch of one example of features, or of an image of one position, becomes its
    /// shift, teaches the running mean, and leaves the running variance as it is.
    BatchNorm {
        /// Added to the variance.
        eps: f64,
        /// Weight of the newest batch in the running statistics.
        momentum: f64,
        /// What becomes of closed maps.
        closed: ClosedMaps,
    },
    /// `max(0, x)`.
    Relu,
    /// Largest value of windows that lie side by side.
    MaxPool2d {
        /// Side of the window.
        size: usize,
    },
    /// Mean of each channel: (c, h, w) -> (c,).
    AvgPool,
    /// (c, h, w) -> (c h w,).
    Flatten,
    /// In training, units are zero with probability `p` and scaled by 1 / (1 - p) otherwise.
    Dropout {
        /// The share of values dropped.
        p: f64,
    },
    /// The sum of two inputs of equal shape, which then share one space of units.
    Add,
    /// Passes its input on under a space of its own. Before a sum it keeps the space of a branch apart from the one that
    /// the terms share: a unit closed before it leaves the sum, and a unit closed behind it leaves all terms.
    Identity,
    /// The listed units of its input, in this order.
    Take {
        /// Indices of units.
        units: Vec<u32>,
    },
    /// Adds a constant per unit, or one per unit and position.
    Bias {
        /// Whether positions of a channel have constants of their own.
        per_position: bool,
    },
    /// Adds constants per unit that differ between positions only near the edges of the image.
    Border {
        /// How far the edges reach.
        margins: Margins,
    },
}

impl Layer {
    /// The layer's name in tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Linear { .. } => "linear",
            Self::Conv2d { .. } => "conv2d",
            Self::BatchNorm { .. } => "batch norm",
            Self::Relu => "relu",
            Self::MaxPool2d { .. } => "max pool",
            Self::AvgPool => "average pool",
            Self::Flatten => "flatten",
            Self::Dropout { .. } => "dropout",
            Self::Add => "add",
            Self::Identity => "identity",
            Self::Take { .. } => "take",
            Self::Bias { .. } => "bias",
            Self::Border { .. } => "border",
        }
    }

    /// Whether the layer is a linear map of its input: a linear layer or a convolution.
    pub fn is_affine(&self) -> bool {
        matches!(self, Self::Linear { .. } | Self::Conv2d { .. })
    }

    /// How many inputs the layer reads.
    pub fn arity(&self) -> usize {
        match self {
            Self::Input { .. } => 0,
            Self::Add => 2,
            _ => 1,
        }
    }

    /// The shape of the layer's output for inputs of these shapes. `node` names the layer in errors.
    ///
    /// # Errors
    /// If the layer does not accept such an input.
    pub fn output(&self, node: &str, inputs: &[Shape]) -> Result<Shape> {
        if inputs.len() != self.arity() {
            let (kind, arity) = (self.kind(), self.arity());
            return Err(Error::layer(node, format!("{kind} reads {arity} inputs, found {}", inputs.len())));
        }
        let shape = self.shape(node, inputs)?;
        if !shape.is_sane() {
            let limit = Shape::LIMIT;
            return Err(Error::layer(node, format!("makes {shape}, expected {limit} values for an example at most")));
        }
        Ok(shape)
    }

    fn shape(&self, node: &str, inputs: &[Shape]) -> Result<Shape> {
        let wrong = |expected: &str, found: Shape| {
            Error::layer(node, format!("{} expects {expected}, found {found}", self.kind()))
        };
        match (self, inputs) {
            (Self::Input { shape }, _) => Shape::of(shape).ok_or_else(|| {
                Error::layer(
                    node,
                    format!(
                        "an input is (features) or (c, h, w), all positive and of reasonable size, found {shape:?}"
                    ),
                )
            }),
            (Self::Linear { out, .. }, [Shape::Features(_)]) if *out > 0 => Ok(Shape::Features(*out)),
            (Self::Linear { .. }, [found]) => Err(wrong("(features) and one output or more", *found)),
            (Self::Conv2d { out, kernel, stride, padding, .. }, [Shape::Image(_, h, w)]) => {
                // Descriptions come from files: no number in them may overflow.
                let side = |n: usize| {
                    let padded = padding.checked_mul(2)?.checked_add(n)?;
                    Some(padded.checked_sub(*kernel)?.checked_div(*stride)? + 1)
                };
                match (side(*h), side(*w)) {
                    (Some(h), Some(w)) if *out > 0 && padding < kernel => Ok(Shape::Image(*out, h, w)),
                    _ => Err(wrong(
                        &format!(
                            "an image no smaller than its {kernel}x{kernel} kernel, a stride of 1 or more (is {stride}), \
                             padding below the kernel's side (is {padding}) and one output or more (is {out})"
                        ),
                        inputs[0],
                    )),
                }
            }
            (Self::MaxPool2d { size }, [Shape::Image(c, h, w)]) if *size > 0 && h / size > 0 && w / size > 0 => {
                Ok(Shape::Image(*c, h / size, w / size))
            }
            (Self::AvgPool, [Shape::Image(c, ..)]) => Ok(Shape::Features(*c)),
            (Self::Flatten, [Shape::Image(c, h, w)]) => Ok(Shape::Features(c * h * w)),
            (Self::Conv2d { .. } | Self::MaxPool2d { .. } | Self::AvgPool | Self::Flatten, [found]) => {
                Err(wrong("a large enough image (c, h, w)", *found))
            }
            (Self::Add, [a, b]) if a == b => Ok(*a),
            (Self::Add, [a, b]) => Err(Error::layer(node, format!("add expects equal shapes, found {a} and {b}"))),
            (Self::Dropout { p }, [shape]) if (0.0..1.0).contains(p) => Ok(*shape),
            (Self::Dropout { p }, _) => Err(Error::layer(node, format!("dropout expects 0 <= p < 1, found {p}"))),
            (Self::Take { units }, [shape]) => {
                if let Some(unit) = units.iter().find(|&&u| u as usize >= shape.units()) {
                    return Err(wrong(&format!("more units than its largest index {unit}"), *shape));
                }
                if units.is_empty() {
                    Err(wrong("one unit to take or more", *shape))
                } else {
                    Ok(shape.with_units(units.len()))
                }
            }
            (Self::Border { margins }, [shape]) => match shape {
                Shape::Image(_, h, w) if margins.fit(*h, *w) => Ok(*shape),
                _ => Err(wrong(&format!("an image larger than its margins {margins:?}"), *shape)),
            },
            (Self::BatchNorm { eps, momentum, .. }, [shape]) if *eps > 0.0 && (0.0..=1.0).contains(momentum) => {
                Ok(*shape)
            }
            (Self::BatchNorm { eps, momentum, .. }, _) => Err(Error::layer(
                node,
                format!("batch norm expects eps > 0 and 0 <= momentum <= 1, found {eps} and {momentum}"),
            )),
            (_, [shape, ..]) => Ok(*shape),
            (_, []) => unreachable!("only an input has no inputs, and arity was checked"),
        }
    }
}

/// The shape of one example on an edge of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// (features,)
    Features(usize),
    /// (c, h, w)
    Image(usize, usize, usize),
}

impl Shape {
    /// Largest number of values an example may have: descriptions come from files.
    const LIMIT: usize = 1 << 28;

    fn of(dims: &[usize]) -> Option<Self> {
        let size = dims.iter().try_fold(1usize, |size, &d| size.checked_mul(d))?;
        match *dims {
            _ if size == 0 || size > Self::LIMIT => None,
            [n] => Some(Self::Features(n)),
            [c, h, w] => Some(Self::Image(c, h, w)),
            _ => None,
        }
    }

    /// Whether an example has a number of values that can be computed with.
    fn is_sane(self) -> bool {
        let size = self.dims().iter().try_fold(1usize, |size, &d| size.checked_mul(d));
        size.is_some_and(|size| size <= Self::LIMIT)
    }

    /// Number of units: features or channels.
    pub fn units(self) -> usize {
        match self {
            Self::Features(n) | Self::Image(n, ..) => n,
        }
    }

    /// Number of positions of each unit: 1, or h w.
    pub fn positions(self) -> usize {
        match self {
            Self::Features(_) => 1,
            Self::Image(_, h, w) => h * w,
        }
    }

    /// The same shape with another number of units.
    pub fn with_units(self, units: usize) -> Self {
        match self {
            Self::Features(_) => Self::Features(units),
            Self::Image(_, h, w) => Self::Image(units, h, w),
        }
    }

    /// The dimensions.
    pub fn dims(self) -> Vec<usize> {
        match self {
            Self::Features(n) => vec![n],
            Self::Image(c, h, w) => vec![c, h, w],
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Features(n) => write!(f, "({n})"),
            Self::Image(c, h, w) => write!(f, "({c}, {h}, {w})"),
        }
    }
}
