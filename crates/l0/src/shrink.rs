//! Smaller layers for a model written by hand: what is left of a [`candle_nn`] layer when units beside it go.
//!
//! A layer keeps the inputs that the layer before it still makes, and the outputs that the layer after it still reads;
//! [`GatedLayer::kept`](crate::GatedLayer::kept) says which units a gated layer leaves, and
//! [`L0Linear::shrunk`](crate::L0Linear::shrunk) and [`L0Conv2d::shrunk`](crate::L0Conv2d::shrunk) make it plain and
//! small. Units are numbered from 0 and come in the order in which they are listed. Results are detached: they share no
//! gradient with the layer that they were made of.
//!
//! What is left computes the same as long as an input that goes is 0, and an output that goes is read by none. A channel
//! that is not [kept](crate::GatedLayer::kept) is 0, and stays 0 through ReLU and pooling; a [`BatchNorm`] behind it
//! makes a constant of it, which is 0 only by chance. A described network ([`GatedNet`](crate::GatedNet)) takes care of
//! all of that by itself.

use candle_core::{Result, Tensor, bail};
use candle_nn::{BatchNorm, Conv2d, Linear};

/// Of a linear layer the inputs and outputs in the lists: weight (outputs, inputs), bias (outputs,).
///
/// # Errors
/// If a list is empty or names a unit that the layer does not have.
pub fn linear(layer: &Linear, inputs: &[u32], outputs: &[u32]) -> Result<Linear> {
    let weight = take(&take(layer.weight(), 0, outputs, "outputs")?, 1, inputs, "inputs")?;
    Ok(Linear::new(weight, layer.bias().map(|bias| take(bias, 0, outputs, "outputs")).transpose()?))
}

/// Of a convolution the input and output channels in the lists: weight (outputs, inputs, k, k), bias (outputs,).
///
/// # Errors
/// As for [`linear`], or if the convolution is of several groups.
pub fn conv2d(layer: &Conv2d, inputs: &[u32], outputs: &[u32]) -> Result<Conv2d> {
    let config = *layer.config();
    if config.groups != 1 {
        bail!("cannot take channels of a convolution of {} groups, expected 1", config.groups)
    }
    let weight = take(layer.weight(), 0, outputs, "output channels")?;
    let weight = take(&weight, 1, inputs, "input channels")?;
    let bias = layer.bias().map(|bias| take(bias, 0, outputs, "output channels")).transpose()?;
    Ok(Conv2d::new(weight, bias, config))
}

/// Of a batch norm, one that subtracts the mean as they do by default, the channels in the list, with their statistics.
///
/// # Errors
/// If the list is empty or names a channel that the layer does not have.
pub fn batch_norm(layer: &BatchNorm, kept: &[u32]) -> Result<BatchNorm> {
    let part = |values: &Tensor| take(values, 0, kept, "channels");
    let (mean, var, n) = (part(layer.running_mean())?, part(layer.running_var())?, kept.len());
    let (eps, momentum) = (layer.eps(), layer.momentum());
    match layer.weight_and_bias() {
        Some((weight, bias)) => BatchNorm::new_with_momentum(n, mean, var, part(weight)?, part(bias)?, eps, momentum),
        None => BatchNorm::new_no_bias_with_momentum(n, mean, var, eps, momentum),
    }
}

/// The features that channels become when images of so many `positions` (h w) are flattened: each channel is a run of
/// as many features.
///
/// # Errors
/// If a feature has a number above 32 bits.
pub fn flattened(channels: &[u32], positions: usize) -> Result<Vec<u32>> {
    let mut features = Vec::new();
    for &channel in channels {
        let start = u64::from(channel).checked_mul(positions as u64);
        let run = start.and_then(|start| {
            let end = start.checked_add(positions as u64)?;
            Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
        });
        let Some(run) = run else {
            bail!("channel {channel} of {positions} positions has features above 2^32, expected fewer")
        };
        features.extend(run);
    }
    Ok(features)
}

/// The slices of `xs` along `dim` in a list.
fn take(xs: &Tensor, dim: usize, kept: &[u32], what: &str) -> Result<Tensor> {
    let n = xs.dim(dim)?;
    if kept.is_empty() {
        bail!("nothing is to be kept of {n} {what}: a layer needs at least 1")
    }
    if let Some(unit) = kept.iter().find(|&&unit| unit as usize >= n) {
        bail!("unit {unit} is to be kept of {n} {what}, expected 0 to {}", n.saturating_sub(1))
    }
    xs.detach().index_select(&Tensor::new(kept, xs.device())?, dim)
}

#[cfg(test)]
mod tests;
