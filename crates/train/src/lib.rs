//! The training loop, optimisers, averaging, schedules and evaluation.
