//! The rules by which parameters are updated.

/// One step of Adam (Kingma and Ba, 2015) as `torch.optim.Adam` takes it.
///
/// With `g = grad + weight_decay * param` and t the step: `m = beta1 m + (1 - beta1) g`,
/// `v = beta2 v + (1 - beta2) g^2`,
/// `param -= learning_rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// L2 coefficient, added to the gradient ("coupled").
    pub weight_decay: f64,
    /// Which step this is, the first being 1.
    pub step: u64,
}

/// What a moment that began at zero is divided by after so many steps.
pub(super) fn correction(beta: f64, step: u64) -> f64 {
    1.0 - beta.powf(step as f64)
}

/// One step of gradient descent with momentum as `torch.optim.SGD` takes it (without dampening).
///
/// With `g = grad + weight_decay * param`: `u = momentum u + g`, then `param -= learning_rate * d` with `d = u`, or
/// `d = g + momentum u` after Nesterov. From a velocity of zeros the first step equals PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the velocity.
    pub momentum: f64,
    /// L2 coefficient, added to the gradient ("coupled").
    pub weight_decay: f64,
    /// Look ahead along the velocity.
    pub nesterov: bool,
}

/// One step of Muon (Jordan et al. 2024), of weights that are matrices, as a share of the weight's norm (Bernstein et
/// al. 2020).
///
/// With `g = grad + weight_decay * param`: `u = momentum u + g`, `d = g + momentum u`, and o the orthogonal matrix nearest
/// to d (nearly: five iterations of a polynomial). Of the n numbers of the parameter for which d is not 0, which a gradient
/// or the weight decay has reached, `s = max(|param|, 0.001 sqrt(n))`, with the norm over them alone, and these n become
/// `(param - learning_rate * s / |o| * o) / sqrt(1 + learning_rate^2)`. All others stay as they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Muon {
    /// How far a step goes, as a share of the weight's norm.
    pub learning_rate: f64,
    /// Decay of the velocity.
    pub momentum: f64,
}
