//! In which order an epoch visits its examples.

use l0_rng::{Purpose, Stream};

/// The order in which epoch `epoch` of a run with this seed visits `n` images: every index once.
///
/// ```
/// let order = l0_data::order(1, 0, 5);
/// assert_eq!(order, l0_data::order(1, 0, 5));
/// assert_ne!(l0_data::order(1, 0, 500), l0_data::order(1, 1, 500));
/// ```
pub fn order(seed: u64, epoch: u64, n: usize) -> Vec<u32> {
    Stream::new(seed, Purpose::Order, epoch, 0, "order").permutation(n)
}
