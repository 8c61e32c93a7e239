//! The lenet5 network of the paper, gated.
