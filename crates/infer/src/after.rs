//! The function of each number that ends a step.

use l0_lanes::Eights;
use l0_net::Activation;

use crate::layout::Layout;

/// The least and the largest value of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) least: f32,
    pub(crate) most: f32,
}

impl Bounds {
    pub(crate) const NONE: Self = Self { least: f32::NEG_INFINITY, most: f32::INFINITY };
    const RELU: Self = Self { least: 0.0, ..Self::NONE };

    /// `value`, held to the bounds; not a number stays so. Unlike `f32::max` and `f32::min` a single instruction each.
    #[inline(always)]
    pub(crate) fn hold(&self, value: f32) -> f32 {
        let value = if self.least > value { self.least } else { value };
        if self.most < value { self.most } else { value }
    }

    /// The same for eight numbers.
    #[inline(always)]
    pub(crate) fn hold_all<V: Eights>(&self, values: V) -> V {
        V::splat(self.most).smaller(V::splat(self.least).larger(values))
    }
}

/// What is done to each number that a step makes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum After {
    /// Done by the steps themselves, as they store it.
    Held(Bounds),
    Each(Activation),
    /// Below 0 times a slope for each channel.
    Slopes(Vec<f32>),
}

impl From<Activation> for After {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Relu => Self::Held(Bounds::RELU),
            Activation::Clip { min, max } => Self::Held(Bounds { least: min, most: max }),
            other => Self::Each(other),
        }
    }
}

impl After {
    pub(crate) const NOTHING: Self = Self::Held(Bounds::NONE);
    pub(crate) const RELU: Self = Self::Held(Bounds::RELU);

    /// What a number is stored within.
    pub(crate) fn bounds(&self) -> Bounds {
        if let Self::Held(bounds) = self { *bounds } else { Bounds::NONE }
    }

    /// What is left to be done to an image when all its numbers are stored.
    pub(crate) fn finish(&self, layout: &Layout, ys: &mut [f32]) {
        match self {
            Self::Held(_) => {}
            Self::Each(activation) if layout.is_bare() => activation.apply(&mut ys[..layout.len()]),
            Self::Each(activation) => layout.rows().for_each(|at| activation.apply(&mut ys[at..at + layout.w])),
            Self::Slopes(slopes) => {
                for (row, at) in layout.rows().enumerate() {
                    let slope = slopes[row / layout.h];
                    ys[at..at + layout.w].iter_mut().for_each(|y| *y = if *y > 0.0 { *y } else { slope * *y });
                }
            }
        }
    }
}
