//! What vectors of eight and of sixteen numbers can do, and those of the instructions that a program was compiled for.

use std::ops::{Add, AddAssign, BitOr, Mul, Neg, Sub};

use wide::{f32x8, f32x16};

use crate::{Eight, Sixteen};

/// The vectors of a level of instructions.
pub trait Vectors {
    /// Eight numbers.
    type Eight: Eights;
    /// Sixteen numbers.
    type Sixteen: Lanes<16, Stored = Sixteen>;
}

/// `N` numbers side by side. Operations are number by number, those of two terms rounded as `f32`'s are.
pub trait Lanes<const N: usize>: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// As they are in memory, at an address that is a multiple of their size.
    type Stored;

    /// Those in memory.
    fn load(from: &Self::Stored) -> Self;
    /// Writes them to memory.
    fn store(self, to: &mut Self::Stored);
    /// `x` in every place.
    fn splat(x: f32) -> Self;
    /// These numbers.
    fn of(numbers: &[f32; N]) -> Self;
    /// Writes them.
    fn put(self, to: &mut [f32; N]);
    /// `self by + plus`, rounded once where the CPU does so.
    fn mul_add(self, by: Self, plus: Self) -> Self;
}

/// Eight numbers side by side.
pub trait Eights: Lanes<8, Stored = Eight> + AddAssign + Neg<Output = Self> + BitOr<Output = Self> {
    /// Zeros.
    fn zero() -> Self;
    /// The larger of two; the second where they are equal or either is not a number.
    fn larger(self, other: Self) -> Self;
    /// The smaller of two; the second where they are equal or either is not a number.
    fn smaller(self, other: Self) -> Self;
    /// All bits set where `self > other`.
    fn above(self, other: Self) -> Self;
    /// All bits set where `self <= other`.
    fn at_most(self, other: Self) -> Self;
    /// All bits set where this is not a number.
    fn is_nan(self) -> Self;
    /// Where all bits of this are set the first, where none is the second.
    fn choose(self, set: Self, unset: Self) -> Self;
    /// Number j of vector i as number i of vector j.
    fn transpose(vectors: [Self; 8]) -> [Self; 8];
    /// The sum of all: first those four places apart, then those two apart.
    fn sum(self) -> f32;
}

/// The instructions that the program was compiled for.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

/// How many of them registers hold beside each other: without AVX, and on ARM, each takes two.
pub(crate) const REGISTERS: usize = if cfg!(target_feature = "avx512vl") {
    32
} else if cfg!(any(target_feature = "avx", target_arch = "aarch64")) {
    16
} else {
    8
};

impl Vectors for Plain {
    type Eight = f32x8;
    type Sixteen = f32x16;
}

macro_rules! lanes {
    ($vector:ident, $n:literal) => {
        impl Lanes<$n> for $vector {
            type Stored = Self;

            #[inline(always)]
            fn load(from: &Self) -> Self {
                *from
            }

            #[inline(always)]
            fn store(self, to: &mut Self) {
                *to = self;
            }

            #[inline(always)]
            fn splat(x: f32) -> Self {
                Self::splat(x)
            }

            #[inline(always)]
            fn of(numbers: &[f32; $n]) -> Self {
                Self::new(*numbers)
            }

            #[inline(always)]
            fn put(self, to: &mut [f32; $n]) {
                *to = self.to_array();
            }

            #[inline(always)]
            fn mul_add(self, by: Self, plus: Self) -> Self {
                Self::mul_add(self, by, plus)
            }
        }
    };
}

lanes!(f32x8, 8);
lanes!(f32x16, 16);

impl Eights for f32x8 {
    #[inline(always)]
    fn zero() -> Self {
        Self::ZERO
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        self.simd_gt(other).select(self, other)
    }

    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        self.simd_lt(other).select(self, other)
    }

    #[inline(always)]
    fn above(self, other: Self) -> Self {
        self.simd_gt(other)
    }

    #[inline(always)]
    fn at_most(self, other: Self) -> Self {
        self.simd_le(other)
    }

    #[inline(always)]
    fn is_nan(self) -> Self {
        Self::is_nan(self)
    }

    #[inline(always)]
    fn choose(self, set: Self, unset: Self) -> Self {
        self.select(set, unset)
    }

    #[inline(always)]
    fn transpose(vectors: [Self; 8]) -> [Self; 8] {
        Self::transpose(vectors)
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.to_array();
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}
