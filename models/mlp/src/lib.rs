//! The mlp network of the paper, gated.
