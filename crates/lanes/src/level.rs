//! Which instructions there are.

use std::sync::atomic::{AtomicU8, Ordering};

/// A level of instructions; each has those of the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the program was compiled for.
    Plain,
    /// AVX2 and multiply-adds: 16 vectors of eight numbers.
    Avx2,
    /// AVX-512, of which the 32 vectors count most.
    Avx512,
}

/// No level has been found yet.
const UNKNOWN: u8 = u8::MAX;

static LEVEL: AtomicU8 = AtomicU8::new(UNKNOWN);

impl Level {
    const ALL: [Self; 3] = [Self::Plain, Self::Avx2, Self::Avx512];

    /// The level that functions are computed by: the best of this CPU, unless [`limit`](Self::limit) says less.
    #[inline]
    pub fn current() -> Self {
        match LEVEL.load(Ordering::Relaxed) {
            UNKNOWN => Self::found(),
            level => Self::ALL[usize::from(level)],
        }
    }

    /// The best level, unless another thread has set one meanwhile.
    #[cold]
    fn found() -> Self {
        let best = Self::best(Self::Avx512);
        let set = LEVEL.compare_exchange(UNKNOWN, best as u8, Ordering::Relaxed, Ordering::Relaxed);
        set.map_or_else(|level| Self::ALL[usize::from(level)], |_| best)
    }

    /// Limits the whole process to `most`, and returns the level that it uses from then on: to compare levels. What is
    /// being computed meanwhile may use both.
    pub fn limit(most: Self) -> Self {
        let level = Self::best(most);
        LEVEL.store(level as u8, Ordering::Relaxed);
        level
    }

    fn best(most: Self) -> Self {
        Self::available().into_iter().filter(|level| *level <= most).max().unwrap_or(Self::Plain)
    }

    /// What is left, with the registers that there are, of a size that suits 32 vectors of eight numbers.
    pub fn share_of_32(self, size: usize) -> usize {
        size * self.registers() / 32
    }

    /// The levels that this CPU has.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|level| level.is_there()).collect()
    }

    /// Vectors of eight numbers that registers hold beside each other.
    pub const fn registers(self) -> usize {
        match self {
            Self::Plain => crate::vector::REGISTERS,
            Self::Avx2 => 16,
            Self::Avx512 => 32,
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn is_there(self) -> bool {
        let avx2 = || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        match self {
            Self::Plain => true,
            Self::Avx2 => avx2(),
            Self::Avx512 => avx2() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl"),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_there(self) -> bool {
        self == Self::Plain
    }
}
