//! From numbers to pixels, and the numbers worth a tick.

use super::chart::Axis;

/// Beyond this size numbers are not drawn: arithmetic on them would leave the floats.
const LARGEST: f64 = 1e100;

/// A way from numbers to pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    log: bool,
    whole: bool,
    /// The ends, already as logarithms if `log`.
    low: f64,
    high: f64,
    /// The pixels of the ends.
    pixels: (f64, f64),
}

impl Scale {
    /// A scale that shows the numbers, with some room around them unless the axis says otherwise.
    pub(super) fn over(numbers: impl Iterator<Item = f64>, &Axis { log, ends, tight, whole, .. }: &Axis) -> Self {
        let place = |x: f64| if log { x.log10() } else { x };
        let numbers = numbers.filter(|&x| drawable(x, log)).map(place);
        let (low, high) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        let given = |end: Option<f64>| end.filter(|&x| drawable(x, log)).map(place);
        let (from, to) = (given(ends.0), given(ends.1));
        let (low, high) = match (low.min(from.unwrap_or(low)), high.max(to.unwrap_or(high))) {
            (low, high) if low > high => (0.0, 1.0),
            (low, high) if high - low <= f64::EPSILON * 64.0 * high.abs() => spread(low, log),
            ends => ends,
        };
        let room = if tight { 0.0 } else { 0.05 * (high - low) };
        let (low, high) = (from.unwrap_or(low - room), to.unwrap_or(high + room));
        // An end that was given can lie beyond all numbers.
        let high = if high > low { high } else { spread(low, log).1 };
        Self { log, whole, low, high, pixels: (0.0, 1.0) }
    }

    /// The scale with its ends at these pixels.
    pub(super) fn at(self, low: f64, high: f64) -> Self {
        Self { pixels: (low, high), ..self }
    }

    /// The pixel of a number; `None` if it has none on this scale.
    pub(super) fn pixel(&self, x: f64) -> Option<f64> {
        let place = drawable(x, self.log).then(|| if self.log { x.log10() } else { x })?;
        let (from, to) = self.pixels;
        let share = (place - self.low) / (self.high - self.low);
        // A little beyond the ends is cut off by the picture; far beyond would break its numbers.
        Some(from + share.clamp(-10.0, 11.0) * (to - from))
    }

    /// The pixel of a number, or of the end that is nearest.
    pub(super) fn pixel_within(&self, x: f64) -> Option<f64> {
        let (a, b) = self.pixels;
        Some(self.pixel(x)?.clamp(a.min(b), a.max(b)))
    }

    /// Round numbers on the scale, about `wanted` of them.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<f64> {
        if self.log { self.log_ticks(wanted) } else { linear_ticks(self.low, self.high, wanted, self.whole) }
    }

    fn log_ticks(&self, wanted: usize) -> Vec<f64> {
        let decades = self.high.floor() - self.low.ceil() + 1.0;
        if decades > wanted as f64 {
            let exponents = linear_ticks(self.low.ceil(), self.high.floor(), wanted, true);
            return exponents.into_iter().map(|exponent| 10f64.powf(exponent)).collect();
        }
        for steps in [&[1.0][..], &[1.0, 3.0], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]] {
            let ticks = self.steps_of_decades(steps);
            if ticks.len() >= wanted.min(4) {
                return ticks;
            }
        }
        linear_ticks(10f64.powf(self.low), 10f64.powf(self.high), wanted, self.whole)
    }

    fn steps_of_decades(&self, steps: &[f64]) -> Vec<f64> {
        let decades = self.low.floor() as i64..=self.high.floor() as i64;
        let ticks = decades.flat_map(|e| steps.iter().map(move |step| step * 10f64.powi(e as i32)));
        let slack = 1e-9;
        let ticks = ticks.filter(|tick| (self.low - slack..=self.high + slack).contains(&tick.log10()));
        ticks.filter(|tick| !self.whole || tick.fract() == 0.0).collect()
    }
}

/// Whether a number has a place on such a scale.
pub(super) fn drawable(x: f64, log: bool) -> bool {
    let size = x.abs();
    size <= LARGEST && (!log || x > 0.0 && size >= 1.0 / LARGEST)
}

/// Some room around a number that stands alone.
fn spread(x: f64, log: bool) -> (f64, f64) {
    let room = if log {
        0.2
    } else if x == 0.0 {
        1.0
    } else {
        0.1 * x.abs()
    };
    (x - room, x + room)
}

fn linear_ticks(low: f64, high: f64, wanted: usize, whole: bool) -> Vec<f64> {
    let step = (high - low) / wanted.max(1) as f64;
    let step = if whole { round_step(step, &[1.0, 2.0, 5.0, 10.0]).max(1.0) } else { round_step(step, &ROUND) };
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    let count = (last - first).clamp(0.0, 4.0 * wanted as f64) as usize;
    // Multiplied, not added up: the tick at 0.3 is then the number 0.3, as far as a float can be.
    (0..=count).map(|i| (first + i as f64) * step + 0.0).collect()
}

const ROUND: [f64; 5] = [1.0, 2.0, 2.5, 5.0, 10.0];

/// The round number times a power of ten that is nearest, as ratios go.
fn round_step(step: f64, round: &[f64]) -> f64 {
    let step = step.max(f64::MIN_POSITIVE);
    let power = 10f64.powf(step.log10().floor());
    let off = |round: &f64| (round * power / step).ln().abs();
    round.iter().copied().min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn axis(log: bool) -> Axis {
        if log { Axis::log("") } else { Axis::linear("") }
    }

    fn check(numbers: &[f64], log: bool, expected: &[f64]) {
        let ticks = Scale::over(numbers.iter().copied(), &axis(log)).ticks(5);
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * b.abs();
        assert!(ticks.len() == expected.len() && ticks.iter().zip(expected).all(close), "{ticks:?}");
    }

    #[test]
    fn ticks_are_round() {
        check(&[0.0, 200.0], false, &[0.0, 50.0, 100.0, 150.0, 200.0]);
        check(&[0.0, 1.0], false, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        check(&[-0.13, 0.11], false, &[-0.1, -0.05, 0.0, 0.05, 0.1]);
        check(&[1.0, 10_000.0], true, &[1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        check(&[0.6, 12.0], true, &[1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn a_number_alone_has_room() {
        check(&[3.0], false, &[2.7, 2.8, 2.9, 3.0, 3.1, 3.2, 3.3]);
        assert!(!Scale::over([].into_iter(), &axis(true)).ticks(5).is_empty());
    }

    #[test]
    fn counts_have_whole_ticks() {
        let ticks = |last: f64| Scale::over([1.0, last].into_iter(), &Axis::count("")).ticks(6);
        assert_eq!(ticks(3.0), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(ticks(16.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0]);
        let ratios = |last: f64| Scale::over([1.0, last].into_iter(), &Axis::log("").whole()).ticks(5);
        assert_eq!(ratios(2.0), [1.0, 2.0]);
        assert_eq!(ratios(16.0), [1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn given_ends_hold() {
        let scale = Scale::over([3.0, 9.0].into_iter(), &axis(false).from(0.0).to(10.0)).at(100.0, 0.0);
        assert_eq!((scale.pixel(0.0), scale.pixel(10.0)), (Some(100.0), Some(0.0)));
        assert_eq!(scale.pixel_within(50.0), Some(0.0));
        let beyond = Scale::over([-1.05, -0.05].into_iter(), &axis(false).from(0.0)).at(0.0, 1.0);
        assert_eq!(beyond.pixel(0.0), Some(0.0));
    }

    proptest! {
        #[test]
        fn any_numbers_have_few_ticks_and_finite_pixels(numbers in prop::collection::vec(any::<f64>(), 0..9), log: bool) {
            let scale = Scale::over(numbers.iter().copied(), &axis(log)).at(0.0, 300.0);
            let ticks = scale.ticks(5);
            prop_assert!(ticks.len() <= 30, "{} ticks", ticks.len());
            for x in numbers.iter().chain(&ticks) {
                prop_assert!(scale.pixel(*x).is_none_or(f64::is_finite));
            }
        }
    }
}
