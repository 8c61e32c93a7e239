//! The instruction sets of x86-64 that a program finds when it runs.

use std::arch::x86_64::{
    __m256, __m512, _CMP_GT_OQ, _CMP_LE_OQ, _CMP_UNORD_Q, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps,
    _mm_shuffle_ps, _mm256_add_ps, _mm256_blendv_ps, _mm256_castps256_ps128, _mm256_cmp_ps, _mm256_extractf128_ps,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_or_ps,
    _mm256_permute2f128_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_sub_ps,
    _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm256_xor_ps, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mul_ps, _mm512_set1_ps, _mm512_storeu_ps, _mm512_sub_ps,
};
use std::ops::{Add, AddAssign, BitOr, Mul, Neg, Sub};

use crate::vector::{Eights, Lanes, Vectors};
use crate::{Eight, Sixteen};

/// AVX2 and multiply-adds.
#[derive(Debug, Clone, Copy)]
pub struct Avx2;

/// AVX-512; vectors of eight numbers have twice the registers, but are the same.
#[derive(Debug, Clone, Copy)]
pub struct Avx512;

impl Vectors for Avx2 {
    type Eight = V8;
    type Sixteen = Pair;
}

impl Vectors for Avx512 {
    type Eight = V8;
    type Sixteen = V16;
}

/// Eight numbers. Only [`at_best!`](crate::at_best) names it, in functions that are called where there is AVX2.
#[derive(Debug, Clone, Copy)]
pub struct V8(__m256);

/// Sixteen numbers, of which the same holds.
#[derive(Debug, Clone, Copy)]
pub struct Pair([V8; 2]);

/// Sixteen numbers. Only [`at_best!`](crate::at_best) names it, in functions that are called where there is AVX-512.
#[derive(Debug, Clone, Copy)]
pub struct V16(__m512);

macro_rules! arithmetic {
    ($vector:ident, $($trait:ident $method:ident $instruction:ident),*) => {$(
        impl $trait for $vector {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: vectors are used only where the CPU has their instructions.
                Self(unsafe { $instruction(self.0, other.0) })
            }
        }
    )*};
}

arithmetic!(V8, Add add _mm256_add_ps, Sub sub _mm256_sub_ps, Mul mul _mm256_mul_ps, BitOr bitor _mm256_or_ps);
arithmetic!(V16, Add add _mm512_add_ps, Sub sub _mm512_sub_ps, Mul mul _mm512_mul_ps);

macro_rules! in_halves {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Pair {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let ([a, b], [c, d]) = (self.0, other.0);
                Self([a.$method(c), b.$method(d)])
            }
        }
    )*};
}

in_halves!(Add add, Sub sub, Mul mul);

macro_rules! lanes {
    ($vector:ident, $n:literal, $stored:ident, $splat:ident, $load:ident, $store:ident, $mul_add:ident) => {
        impl Lanes<$n> for $vector {
            type Stored = $stored;

            #[inline(always)]
            fn load(from: &$stored) -> Self {
                Self::of(from.as_array())
            }

            #[inline(always)]
            fn store(self, to: &mut $stored) {
                self.put(to.as_mut_array());
            }

            #[inline(always)]
            fn splat(x: f32) -> Self {
                // SAFETY: vectors are used only where the CPU has their instructions.
                Self(unsafe { $splat(x) })
            }

            #[inline(always)]
            fn of(numbers: &[f32; $n]) -> Self {
                // SAFETY: as above, and the array has the numbers that are read.
                Self(unsafe { $load(numbers.as_ptr()) })
            }

            #[inline(always)]
            fn put(self, to: &mut [f32; $n]) {
                // SAFETY: as above, and the array has room for the numbers that are written.
                unsafe { $store(to.as_mut_ptr(), self.0) }
            }

            #[inline(always)]
            fn mul_add(self, by: Self, plus: Self) -> Self {
                // SAFETY: vectors are used only where the CPU has their instructions.
                Self(unsafe { $mul_add(self.0, by.0, plus.0) })
            }
        }
    };
}

lanes!(V8, 8, Eight, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
lanes!(V16, 16, Sixteen, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);

/// The two halves of sixteen numbers.
#[inline(always)]
fn halves(numbers: &[f32; 16]) -> [&[f32; 8]; 2] {
    let (halves, _) = numbers.as_chunks();
    [&halves[0], &halves[1]]
}

impl Lanes<16> for Pair {
    type Stored = Sixteen;

    #[inline(always)]
    fn load(from: &Sixteen) -> Self {
        Self::of(from.as_array())
    }

    #[inline(always)]
    fn store(self, to: &mut Sixteen) {
        self.put(to.as_mut_array());
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([V8::splat(x); 2])
    }

    #[inline(always)]
    fn of(numbers: &[f32; 16]) -> Self {
        let [low, high] = halves(numbers);
        Self([V8::of(low), V8::of(high)])
    }

    #[inline(always)]
    fn put(self, to: &mut [f32; 16]) {
        let (halves, _) = to.as_chunks_mut();
        self.0[0].put(&mut halves[0]);
        self.0[1].put(&mut halves[1]);
    }

    #[inline(always)]
    fn mul_add(self, by: Self, plus: Self) -> Self {
        let ([a, b], [c, d], [e, f]) = (self.0, by.0, plus.0);
        Self([a.mul_add(c, e), b.mul_add(d, f)])
    }
}

impl AddAssign for V8 {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Neg for V8 {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: vectors are used only where the CPU has their instructions.
        Self(unsafe { _mm256_xor_ps(self.0, _mm256_set1_ps(-0.0)) })
    }
}

/// The two lower of four places of two vectors, or the two higher ones.
const LOW: i32 = 0b01_00_01_00;
const HIGH: i32 = 0b11_10_11_10;

/// Eight vectors of four rows each, in two halves, to vectors of all eight rows.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(v: [__m256; 8]) -> [__m256; 8] {
    let pairs = |a: usize| (_mm256_unpacklo_ps(v[a], v[a + 1]), _mm256_unpackhi_ps(v[a], v[a + 1]));
    let ((a, b), (c, d), (e, f), (g, h)) = (pairs(0), pairs(2), pairs(4), pairs(6));
    let upper = [
        _mm256_shuffle_ps::<LOW>(a, c),
        _mm256_shuffle_ps::<HIGH>(a, c),
        _mm256_shuffle_ps::<LOW>(b, d),
        _mm256_shuffle_ps::<HIGH>(b, d),
    ];
    let lower = [
        _mm256_shuffle_ps::<LOW>(e, g),
        _mm256_shuffle_ps::<HIGH>(e, g),
        _mm256_shuffle_ps::<LOW>(f, h),
        _mm256_shuffle_ps::<HIGH>(f, h),
    ];
    [
        _mm256_permute2f128_ps::<0x20>(upper[0], lower[0]),
        _mm256_permute2f128_ps::<0x20>(upper[1], lower[1]),
        _mm256_permute2f128_ps::<0x20>(upper[2], lower[2]),
        _mm256_permute2f128_ps::<0x20>(upper[3], lower[3]),
        _mm256_permute2f128_ps::<0x31>(upper[0], lower[0]),
        _mm256_permute2f128_ps::<0x31>(upper[1], lower[1]),
        _mm256_permute2f128_ps::<0x31>(upper[2], lower[2]),
        _mm256_permute2f128_ps::<0x31>(upper[3], lower[3]),
    ]
}

/// The sum of eight numbers, in the order that the trait says.
#[inline]
#[target_feature(enable = "avx2")]
fn sum(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<0b01>(two, two)))
}

impl Eights for V8 {
    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: here and below, vectors are used only where the CPU has their instructions.
        Self(unsafe { _mm256_setzero_ps() })
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn above(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn at_most(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_cmp_ps::<_CMP_LE_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn is_nan(self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0) })
    }

    #[inline(always)]
    fn choose(self, set: Self, unset: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_blendv_ps(unset.0, set.0, self.0) })
    }

    #[inline(always)]
    fn transpose([a, b, c, d, e, f, g, h]: [Self; 8]) -> [Self; 8] {
        // SAFETY: as above.
        let [a, b, c, d, e, f, g, h] = unsafe { transpose([a.0, b.0, c.0, d.0, e.0, f.0, g.0, h.0]) };
        [Self(a), Self(b), Self(c), Self(d), Self(e), Self(f), Self(g), Self(h)]
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: as above.
        unsafe { sum(self.0) }
    }
}
