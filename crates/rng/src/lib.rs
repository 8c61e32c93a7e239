//! Counter-based randomness: every draw is a pure function of (seed, purpose, epoch, step, name) and an index.
//!
//! Candle's CPU generator cannot be seeded, and a generator with hidden state would make draws depend on the order of
//! calls, the number of threads, or where a run was resumed. Here a [`Stream`] is addressed, not advanced into place:
//! name what the numbers are for and draw. The generator is SplitMix64 (Steele, Lea and Flood, 2014), whose n-th output
//! is a hash of `key + n * golden`; keys of different streams are hashed apart.
//!
//! ```
//! use l0_rng::{Purpose, Stream};
//! let draw = || Stream::new(7, Purpose::Gate, 3, 120, "conv1").uniform();
//! assert_eq!(draw(), draw());
//! assert_ne!(draw(), Stream::new(7, Purpose::Gate, 3, 121, "conv1").uniform());
//! ```

/// What a stream of numbers is for. Streams of different purposes never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial values of parameters.
    Init,
    /// The order of the examples in an epoch.
    Order,
    /// Crops, flips and the like.
    Augment,
    /// Noise of stochastic gates.
    Gate,
    /// Dropout masks.
    Dropout,
    /// Images drawn by the program.
    Digits,
    /// Anything else, told apart by the stream's name.
    Other,
}

/// An endless sequence of random numbers with an address.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of SplitMix64: a bijection of 64 bits in which every input bit reaches every output bit.
#[inline]
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// FNV-1a, to fold a name into a key.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3))
}

impl Stream {
    /// The stream with this address.
    pub fn new(seed: u64, purpose: Purpose, epoch: u64, step: u64, name: &str) -> Self {
        let parts = [purpose as u64, epoch, step, hash(name)];
        let key = parts.iter().fold(mix(seed ^ GOLDEN), |key, &part| mix(key.wrapping_add(GOLDEN) ^ mix(part)));
        Self { state: key }
    }

    /// What the numbers follow from: number i, counted from 1, is a hash of the key plus i times
    /// 0x9E3779B97F4A7C15. So a device can draw them by itself, in any order.
    pub fn key(&self) -> u64 {
        self.state
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number above 0 and at most 1, on a grid of 2^-24 below a half and of 2^-23 above; 1 itself comes once in 2^24
    /// draws, where the rounding of `f32` ends.
    #[inline]
    pub fn uniform(&mut self) -> f32 {
        ((self.bits() >> 40) as f32 + 0.5) * (1.0 / (1u64 << 24) as f32)
    }

    /// A number between `low` and `high`, which rounding may reach.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// An integer of 0..n. The bias of the multiplication is below n / 2^64.
    ///
    /// # Panics
    /// If `n` is 0: there is nothing to choose from.
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "cannot choose one of 0 values");
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// A standard normal number (Box and Muller's transform, in f64).
    #[inline]
    pub fn normal(&mut self) -> f32 {
        let grid = 1.0 / (1u64 << 53) as f64;
        let radius = ((self.bits() >> 11) as f64 + 0.5) * grid;
        let angle = ((self.bits() >> 11) as f64) * grid * std::f64::consts::TAU;
        ((-2.0 * radius.ln()).sqrt() * angle.cos()) as f32
    }

    /// `n` numbers as [`Stream::uniform`] draws them.
    pub fn uniforms(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.uniform()).collect()
    }

    /// `n` standard normal numbers.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal()).collect()
    }

    /// A random order of 0..n (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(step: u64, name: &str) -> Stream {
        Stream::new(1, Purpose::Other, 0, step, name)
    }

    #[test]
    fn every_part_of_the_address_matters() {
        let first = |mut s: Stream| s.bits();
        let base = first(Stream::new(1, Purpose::Init, 2, 3, "a"));
        for other in [
            Stream::new(2, Purpose::Init, 2, 3, "a"),
            Stream::new(1, Purpose::Gate, 2, 3, "a"),
            Stream::new(1, Purpose::Init, 3, 2, "a"),
            Stream::new(1, Purpose::Init, 2, 4, "a"),
            Stream::new(1, Purpose::Init, 2, 3, "b"),
        ] {
            assert_ne!(base, first(other));
        }
    }

    #[test]
    fn splitmix64_reference() {
        // Outputs of Vigna's splitmix64.c started from state 0.
        let mut s = Stream { state: 0 };
        assert_eq!([s.bits(), s.bits()], [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4]);
    }

    #[test]
    fn moments() {
        let n = 200_000;
        let u = stream(0, "u").uniforms(n);
        let mean = u.iter().sum::<f32>() / n as f32;
        assert!((mean - 0.5).abs() < 3e-3 && u.iter().all(|&u| u > 0.0 && u < 1.0));
        let z = stream(0, "z").normals(n);
        let var = z.iter().map(|z| z * z).sum::<f32>() / n as f32;
        assert!((var - 1.0).abs() < 0.015, "variance {var}");
    }

    #[test]
    fn a_permutation_has_every_index_once() {
        let mut order = stream(5, "order").permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &o)| i == o as usize));
    }
}

// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
