//! The instruction sets of x86-64.

use std::arch::x86_64::{
    __m256i, _mm_cvtsi128_si64, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_si128, _mm256_cvtepi32_ps,
    _mm256_cvtps_epi32, _mm256_dpbusd_avx_epi32, _mm256_dpbusd_epi32, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_permutevar8x32_epi32, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_shuffle_epi8, _mm256_slli_epi16,
    _mm256_srai_epi16, _mm256_srli_epi16, _mm256_storeu_si256,
};

use crate::dot::{DEPTH, Dot, LANES};
use crate::emit::Emit;
use crate::range::Range;
use crate::tile::{Place, Tiles, tile};

/// The codes of eight sums.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn codes(sums: __m256i, scales: &[f32; LANES], range: &Range) -> [u8; LANES] {
    // SAFETY: 32 bytes are read of an array that has them.
    let scales = unsafe { _mm256_loadu_ps(scales.as_ptr()) };
    let steps = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scales);
    let steps = _mm256_min_ps(_mm256_max_ps(steps, _mm256_set1_ps(range.least)), _mm256_set1_ps(range.most));
    let codes = _mm256_add_epi32(_mm256_cvtps_epi32(steps), _mm256_set1_epi32(range.zero));
    // The lowest byte of each: four of them to the front of either half, then the halves beside each other.
    #[rustfmt::skip]
    let lowest = _mm256_setr_epi8(
        0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
        0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    );
    let halves = _mm256_setr_epi32(0, 4, 1, 1, 1, 1, 1, 1);
    let codes = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(codes, lowest), halves);
    _mm_cvtsi128_si64(_mm256_castsi256_si128(codes)).to_le_bytes()
}

macro_rules! vectors {
    () => {
        #[inline(always)]
        unsafe fn codes(sums: Self::Sums, scales: &[f32; LANES], range: &Range) -> [u8; LANES] {
            // SAFETY: the instructions are there, as the trait asks.
            unsafe { codes(sums, scales, range) }
        }

        #[inline(always)]
        unsafe fn sums(start: &[i32; LANES]) -> Self::Sums {
            // SAFETY: 32 bytes are read of an array that has them; the instructions are there, as the trait asks.
            unsafe { _mm256_loadu_si256(start.as_ptr().cast()) }
        }

        #[inline(always)]
        unsafe fn numbers(sums: Self::Sums) -> [i32; LANES] {
            let mut numbers = [0; LANES];
            // SAFETY: 32 bytes are written to an array that has them; the instructions are there, as the trait asks.
            unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast(), sums) };
            numbers
        }
    };
}

macro_rules! tiles {
    ($name:ident, $features:literal) => {
        impl Tiles for $name {
            unsafe fn tile<const P: usize, const N: usize>(place: Place<'_>, places: &[u32; P], emit: &mut impl Emit) {
                #[target_feature(enable = $features)]
                #[inline(never)] // alone, its sums stay in registers
                unsafe fn compiled<D: Dot, const P: usize, const N: usize>(
                    place: Place<'_>,
                    places: &[u32; P],
                    emit: &mut impl Emit,
                ) {
                    // SAFETY: as the trait asks.
                    unsafe { tile::<D, P, N>(place, places, emit) }
                }
                // SAFETY: the instructions are there, as the trait asks.
                unsafe { compiled::<Self, P, N>(place, places, emit) }
            }
        }
    };
}

macro_rules! vnni {
    ($(#[$doc:meta])* $name:ident, $add:ident, $features:literal) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl Dot for $name {
            type Sums = __m256i;
            type Inputs = __m256i;
            type Weights = __m256i;
            vectors!();

            #[inline(always)]
            unsafe fn inputs(codes: [u8; DEPTH]) -> Self::Inputs {
                // SAFETY: the instructions are there, as the trait asks.
                unsafe { _mm256_set1_epi32(i32::from_le_bytes(codes)) }
            }

            #[inline(always)]
            unsafe fn weights(codes: &[i8; LANES * DEPTH]) -> Self::Weights {
                // SAFETY: 32 bytes are read of an array that has them; the instructions are there, as the trait asks.
                unsafe { _mm256_loadu_si256(codes.as_ptr().cast()) }
            }

            #[inline(always)]
            unsafe fn add(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
                // SAFETY: the instructions are there, as the trait asks.
                unsafe { $add(sums, inputs, weights) }
            }
        }
        tiles!($name, $features);
    };
}

vnni! {
    /// VNNI with the encoding of AVX-512.
    Vnni, _mm256_dpbusd_epi32, "avx512vnni,avx512vl,avx2"
}
vnni! {
    /// VNNI with the encoding of AVX.
    AvxVnni, _mm256_dpbusd_avx_epi32, "avxvnni,avx2"
}

/// Codes as numbers of 16 bits, those at even places and those at odd ones.
#[derive(Clone, Copy)]
pub(crate) struct Halves(__m256i, __m256i);

/// AVX2: products of 16 bits, two of which are added to one of 32. Its instruction for products of 8 bits would cut off
/// sums of two beyond 16 bits.
pub(crate) struct Avx2;

impl Dot for Avx2 {
    type Sums = __m256i;
    type Inputs = Halves;
    type Weights = Halves;
    vectors!();

    #[inline(always)]
    unsafe fn inputs(codes: [u8; DEPTH]) -> Self::Inputs {
        // SAFETY: the instructions are there, as the trait asks.
        unsafe {
            let codes = _mm256_set1_epi32(i32::from_le_bytes(codes));
            Halves(_mm256_and_si256(codes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(codes))
        }
    }

    #[inline(always)]
    unsafe fn weights(codes: &[i8; LANES * DEPTH]) -> Self::Weights {
        // SAFETY: 32 bytes are read of an array that has them; the instructions are there, as the trait asks.
        unsafe {
            let codes = _mm256_loadu_si256(codes.as_ptr().cast());
            Halves(_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(codes)), _mm256_srai_epi16::<8>(codes))
        }
    }

    #[inline(always)]
    unsafe fn add(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        // SAFETY: the instructions are there, as the trait asks.
        unsafe {
            let even = _mm256_madd_epi16(inputs.0, weights.0);
            let odd = _mm256_madd_epi16(inputs.1, weights.1);
            _mm256_add_epi32(sums, _mm256_add_epi32(even, odd))
        }
    }
}

tiles!(Avx2, "avx2");
