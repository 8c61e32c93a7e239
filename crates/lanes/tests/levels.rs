//! Every operation of the vectors of every level against the same on plain numbers.
#![allow(missing_docs)]

use l0_lanes::{Eight, Eights, Lanes, Level, Sixteen, at_best};
use l0_rng::{Purpose, Stream};

/// What each operation gives for some numbers.
#[derive(Debug, PartialEq)]
struct Results {
    arithmetic: [[f32; 8]; 5],
    choices: [[f32; 8]; 4],
    transposed: [[f32; 8]; 8],
    sum: f32,
    sixteen: [[f32; 16]; 4],
}

at_best! {
    fn all_operations(xs: &[[f32; 8]; 8], wide: &[[f32; 16]; 3]) -> Results as V: Eight {
        let [a, b, c] = [V::of(&xs[0]), V::of(&xs[1]), V::of(&xs[2])];
        let mut sum = a;
        sum += b;
        let rows = [a, b, c, V::of(&xs[3]), V::of(&xs[4]), V::of(&xs[5]), V::of(&xs[6]), V::of(&xs[7])];
        Results {
            arithmetic: [sum, a - b, a * b, -a, a.mul_add(b, c)].map(numbers),
            choices: [a.larger(b), a.smaller(b), a.above(b).choose(c, a), (a.at_most(b) | c.is_nan()).choose(c, V::zero())]
                .map(numbers),
            transposed: V::transpose(rows).map(numbers),
            sum: a.sum(),
            sixteen: sixteen(wide),
        }
    }

    fn sixteen(xs: &[[f32; 16]; 3]) -> [[f32; 16]; 4] as V: Sixteen {
        let [a, b, c] = [V::of(&xs[0]), V::of(&xs[1]), V::of(&xs[2])];
        let mut stored = Sixteen::splat(0.0);
        (a + b).store(&mut stored);
        [V::load(&stored), a - b, a * V::splat(3.0), a.mul_add(b, c)].map(|v| {
            let mut numbers = [0.0; 16];
            v.put(&mut numbers);
            numbers
        })
    }
}

/// By way of memory.
#[inline(always)]
fn numbers<V: Eights>(v: V) -> [f32; 8] {
    let (mut stored, mut numbers) = (Eight::splat(0.0), [0.0; 8]);
    v.store(&mut stored);
    V::load(&stored).put(&mut numbers);
    numbers
}

fn expected(xs: &[[f32; 8]; 8], wide: &[[f32; 16]; 3], mul_add: fn(f32, f32, f32) -> f32) -> Results {
    let [a, b, c, ..] = xs;
    let each = |f: &dyn Fn(usize) -> f32| std::array::from_fn(f);
    let each_wide = |f: &dyn Fn(f32, f32, f32) -> f32| std::array::from_fn(|i| f(wide[0][i], wide[1][i], wide[2][i]));
    Results {
        arithmetic: [
            each(&|i| a[i] + b[i]),
            each(&|i| a[i] - b[i]),
            each(&|i| a[i] * b[i]),
            each(&|i| -a[i]),
            each(&|i| mul_add(a[i], b[i], c[i])),
        ],
        choices: [
            each(&|i| if a[i] > b[i] { a[i] } else { b[i] }),
            each(&|i| if a[i] < b[i] { a[i] } else { b[i] }),
            each(&|i| if a[i] > b[i] { c[i] } else { a[i] }),
            each(&|i| if a[i] <= b[i] { c[i] } else { 0.0 }),
        ],
        transposed: std::array::from_fn(|j| std::array::from_fn(|i| xs[i][j])),
        sum: ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7])),
        sixteen: [
            each_wide(&|a, b, _| a + b),
            each_wide(&|a, b, _| a - b),
            each_wide(&|a, _, _| a * 3.0),
            each_wide(&|a, b, c| mul_add(a, b, c)),
        ],
    }
}

at_best! {
    /// The larger, the smaller, and where one is above, at most the other, or not a number.
    fn compared(a: &[f32; 8], b: &[f32; 8]) -> [[f32; 8]; 5] as V: Eight {
        let (a, b, one) = (V::of(a), V::of(b), V::splat(1.0));
        let chosen = |where_set: V| where_set.choose(one, V::zero());
        [a.larger(b), a.smaller(b), chosen(a.above(b)), chosen(a.at_most(b)), chosen(a.is_nan())].map(numbers)
    }
}

/// Zeros of both signs, and not a number on either side.
fn assert_special_numbers_are_kept_apart(level: Level) {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let (a, b) = ([nan, 1.0, nan, -0.0, 0.0, inf, -inf, 2.0], [1.0, nan, nan, 0.0, -0.0, -inf, -inf, 2.0]);
    let each = |f: &dyn Fn(f32, f32) -> f32| std::array::from_fn::<f32, 8, _>(|i| f(a[i], b[i]));
    let expected = [
        each(&|a, b| if a > b { a } else { b }),
        each(&|a, b| if a < b { a } else { b }),
        each(&|a, b| f32::from(u8::from(a > b))),
        each(&|a, b| f32::from(u8::from(a <= b))),
        each(&|a, _| f32::from(u8::from(a.is_nan()))),
    ];
    let bits = |all: [[f32; 8]; 5]| all.map(|numbers| numbers.map(f32::to_bits));
    assert_eq!(bits(compared(&a, &b)), bits(expected), "{level:?}");
}

/// In one test, since the level is that of the whole process.
#[test]
fn every_level_does_what_plain_numbers_do() {
    let mut stream = Stream::new(1, Purpose::Other, 0, 0, "lanes");
    for level in Level::available() {
        assert_eq!(Level::limit(level), level);
        let rounds_once = level > Level::Plain || cfg!(any(target_feature = "fma", target_arch = "aarch64"));
        let mul_add = if rounds_once { f32::mul_add } else { |a: f32, b: f32, c: f32| a * b + c };
        for _ in 0..100 {
            let xs: [[f32; 8]; 8] = std::array::from_fn(|_| stream.normals(8).try_into().unwrap());
            let wide: [[f32; 16]; 3] = std::array::from_fn(|_| stream.normals(16).try_into().unwrap());
            assert_eq!(all_operations(&xs, &wide), expected(&xs, &wide, mul_add), "{level:?}");
        }
        assert_special_numbers_are_kept_apart(level);
    }
}
