//! The function of each number that ends a step.

use l0_net::Activation;

use crate::layout::Layout;

/// What is done to each number that a step makes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum After {
    Nothing,
    /// Done by the steps themselves, as a largest value of 0 and the number: see [`After::least`].
    Relu,
    Each(Activation),
    /// Below 0 times a slope for each channel.
    Slopes(Vec<f32>),
}

impl From<Activation> for After {
    fn from(activation: Activation) -> Self {
        if activation == Activation::Relu { Self::Relu } else { Self::Each(activation) }
    }
}

impl After {
    /// The least value that a number is stored with.
    pub(crate) fn least(&self) -> f32 {
        if *self == Self::Relu { 0.0 } else { f32::NEG_INFINITY }
    }

    /// What is left to be done to an image when all its numbers are stored.
    pub(crate) fn finish(&self, layout: &Layout, ys: &mut [f32]) {
        match self {
            Self::Nothing | Self::Relu => {}
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
