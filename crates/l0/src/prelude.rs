//! The names that most programs need: `use l0::prelude::*;`.
//!
//! For a model written by hand: the layers, their configuration and penalty, two groups of variables, and the modules
//! of Candle that they implement. For a described network: its gates and its objective.

pub use candle_nn::{Conv2dConfig, Module, ModuleT};

pub use crate::{
    Constraint, Estimator, Filling, Fit, GatedLayer, GatedNet, Granularity, L0Conv2d, L0Linear, L2, Lambda,
    LayerConfig, Objective, Penalty, Placement, Pressure, Quantity, Sampling, Side, Targets, Vars, clamp_gates,
    l0_conv2d, l0_linear, shrink,
};
