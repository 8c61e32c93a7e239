//! Elementary functions of `f32` without branches, so that a loop over them becomes vector instructions: within
//! [`map`](crate::map) always, in a loop of your own if it is compiled for a CPU with multiply-adds.
//!
//! Errors are stated in units in the last place of the exact result (1 ulp is 2^-23 of its power of two), and tests
//! hold them over all of `f32`. Not a number stays so. The polynomials interpolate their function at Chebyshev's nodes.

use std::f32::consts::{FRAC_2_SQRT_PI, LOG2_E};

/// Adding it leaves the nearest integer in the last bits of the sum.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23

/// ln 2 in two parts: products of the first with integers below 2^9 are exact.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

/// e^x: within 2 ulp, and within the last bit where the result is below 2^-126.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = limited(x, -104.0, 89.0); // beyond, the result is 0 or infinite
    let rounded = x.mul_add(LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x)); // x = n ln 2 + r
    let rest = polynomial(r, [0.5, 0.166_665_73, 0.041_666_55, 0.008_363_774, 0.001_392_692_7]);
    let y = (rest * r).mul_add(r, r) + 1.0;
    let power = (rounded.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = power >> 1; // 2^power itself may be too large or too small for a number
    y * two_to(half) * two_to(power.wrapping_sub(half))
}

/// Hyperbolic tangent: within 3 ulp.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let (size, square) = (x.abs(), x * x);
    let rest = polynomial(square, [-0.333_333_3, 0.133_327_7, -0.053_850_91, 0.020_997_18, -0.006_096_714]);
    let near = (rest * square).mul_add(x, x);
    let far = (1.0 - 2.0 / (exp(2.0 * size) + 1.0)).copysign(x);
    if size < 0.625 { near } else { far }
}

/// `1 / (1 + e^-x)`: within 4 ulp, and within 4 of the last bits where the result is below 2^-126.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    let above = if x < 0.0 { small } else { 1.0 };
    above / (1.0 + small)
}

/// The error function, `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to x: within 3 ulp.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let (size, square) = (limited(x.abs(), 0.0, 4.0), x * x); // from 4 on it rounds to 1
    let near = x * polynomial(
        square,
        [FRAC_2_SQRT_PI, -0.376_126_26, 0.112_835_95, -0.026_854_211, 0.005_189_087_4, -0.000_801_686_4, 7.875_875e-5],
    );
    // 1 - erf(x) = e^-q(x) with a smooth q.
    let q = polynomial(
        size,
        [
            -0.000_320_138_06,
            1.130_233_4,
            0.631_826_04,
            0.110_080_086,
            -0.026_421_137,
            0.004_759_596,
            -0.000_596_805_6,
            4.605_804e-5,
            -1.637_151_4e-6,
        ],
    );
    let far = (1.0 - exp(-q)).copysign(x);
    if size < 1.0 { near } else { far }
}

/// `low` to `high`; not a number stays so.
#[inline(always)]
fn limited(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `c[0] + c[1] x + c[2] x^2 + ..`.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let (mut sum, mut at) = (coefficients[N - 1], N - 1);
    while at > 0 {
        at -= 1;
        sum = sum.mul_add(x, coefficients[at]);
    }
    sum
}

/// 2^n for n from -126 to 127.
#[inline(always)]
fn two_to(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` in ulps over numbers of all sizes and signs; below 2^-126 in its last bits.
    fn largest_error(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let mut largest = 0f64;
        for bits in (0..=f32::INFINITY.to_bits()).step_by(4001) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let (found, expected) = (f(x), exact(f64::from(x)));
                if found.is_infinite() && expected as f32 == found {
                    continue;
                }
                let ulp = expected.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor().exp2() / f64::from(1 << 23);
                let error = (f64::from(found) - expected).abs() / ulp;
                assert!(error.is_finite(), "f({x:e}) is {found:e}, expected {expected:e}");
                largest = largest.max(error);
            }
        }
        largest
    }

    /// By its series, or as 1 minus a continued fraction; good to 1e-13.
    fn exact_erf(x: f64) -> f64 {
        let size = x.abs();
        if size < 2.5 {
            let mut term = x;
            let mut sum = x;
            for n in 1..100 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            return sum * std::f64::consts::FRAC_2_SQRT_PI;
        }
        let fraction = (1..200).rev().fold(0.0, |below, n| f64::from(n) / 2.0 / (size + below));
        (1.0 - (-size * size).exp() / (size + fraction) * std::f64::consts::FRAC_2_SQRT_PI / 2.0).copysign(x)
    }

    #[test]
    fn errors_are_as_stated() {
        let sigmoid64 = |x: f64| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
        let errors = [
            ("exp", 2.0, largest_error(exp, f64::exp)),
            ("tanh", 3.0, largest_error(tanh, f64::tanh)),
            ("sigmoid", 4.0, largest_error(sigmoid, sigmoid64)),
            ("erf", 3.0, largest_error(erf, exact_erf)),
        ];
        for (name, stated, found) in errors {
            assert!(found <= stated, "{name}: an error of {found} ulp, stated are {stated}");
            println!("{name}: {found:.2} ulp");
        }
    }

    #[test]
    fn not_a_number_stays_so_and_ends_are_exact() {
        for f in [exp, tanh, sigmoid, erf] {
            assert!(f(f32::NAN).is_nan());
        }
        let ends = |f: fn(f32) -> f32| [f(f32::NEG_INFINITY), f(f32::INFINITY)];
        assert_eq!([ends(exp), ends(tanh)], [[0.0, f32::INFINITY], [-1.0, 1.0]]);
        assert_eq!([ends(sigmoid), ends(erf)], [[0.0, 1.0], [-1.0, 1.0]]);
        assert_eq!([exp(0.0), tanh(0.0), sigmoid(0.0), erf(0.0)], [1.0, 0.0, 0.5, 0.0]);
    }
}
