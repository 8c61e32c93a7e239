//! How values are distributed, in bins of equal width, and how far a grid for them should reach.

use l0_net::Grid;

/// Bins; a grid has 256 numbers, so that a step of it is several bins.
const BINS: usize = 4096;
/// How much of the range is tried by the mean squared error, in hundredths.
const TRIED: std::ops::RangeInclusive<usize> = 20..=100;

/// Counts of values between the least and the largest.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    pub(crate) least: f32,
    pub(crate) most: f32,
    /// Bins in a distance of 1.
    per_bin: f32,
    zeros: u64,
    counts: Vec<u64>,
}

/// The ends of no values at all.
pub(crate) const NO_ENDS: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);

/// The ends of two lots of values together; not a number if one of them is none.
pub(crate) fn joined(a: (f32, f32), b: (f32, f32)) -> (f32, f32) {
    match [a.0, a.1, b.0, b.1].iter().any(|end| end.is_nan()) {
        true => (f32::NAN, f32::NAN), // f32::min and f32::max would pass over it
        false => (a.0.min(b.0), a.1.max(b.1)),
    }
}

/// The least and the largest of some values; not a number if one is none.
pub(crate) fn ends(values: &[f32]) -> (f32, f32) {
    values.iter().fold(NO_ENDS, |ends, &x| joined(ends, (x, x)))
}

/// How many bins come before the one in which the sum of the counts exceeds `beyond`.
fn before(counts: impl Iterator<Item = u64>, beyond: f64) -> usize {
    let sums = counts.scan(0u64, |sum, count| {
        *sum += count;
        Some(*sum)
    });
    sums.take_while(|&sum| sum as f64 <= beyond).count()
}

impl Histogram {
    pub(crate) fn new((least, most): (f32, f32)) -> Self {
        let per_bin = BINS as f32 / (most - least).max(f32::MIN_POSITIVE);
        Self { least, most, per_bin, zeros: 0, counts: vec![0; BINS] }
    }

    /// The bin of a value between the ends.
    fn bin(&self, x: f32) -> usize {
        (((x - self.least) * self.per_bin) as usize).min(BINS - 1)
    }

    /// Counts some more values. Those that are 0, half of them behind a ReLU, every grid holds: they are counted apart,
    /// since none has an error.
    pub(crate) fn add(&mut self, values: &[f32]) {
        for &x in values {
            match x == 0.0 {
                true => self.zeros += 1,
                false => {
                    let bin = self.bin(x);
                    self.counts[bin] += 1;
                }
            }
        }
    }

    /// The value in the middle of a bin.
    fn value(&self, bin: usize) -> f32 {
        self.least + (bin as f32 + 0.5) / BINS as f32 * (self.most - self.least)
    }

    /// The ends between which all but so many of a hundred values lie, on either side: of more than 50, they never
    /// cross, for zeros count where they stand among the others.
    pub(crate) fn percentile(&self, percent: f64) -> (f32, f32) {
        let mut counts = self.counts.clone();
        if self.zeros > 0 {
            counts[self.bin(0.0)] += self.zeros;
        }
        let beyond = counts.iter().sum::<u64>() as f64 * (1.0 - percent / 100.0);
        let first = before(counts.iter().copied(), beyond);
        let last = BINS - before(counts.iter().rev().copied(), beyond);
        let edge = |bin: usize| self.least + bin as f32 / BINS as f32 * (self.most - self.least);
        (edge(first), edge(last))
    }

    /// The ends, each the same share of what they are, for which rounding to the grid has the least mean squared error.
    pub(crate) fn least_mean_squared_error(&self) -> (f32, f32) {
        let shrunk = |hundredths: usize| {
            let share = hundredths as f32 / 100.0;
            (self.least * share, self.most * share)
        };
        let error =
            |(least, most): (f32, f32)| Grid::reaching(least, most).map_or(f64::INFINITY, |grid| self.error(grid));
        let tried = TRIED.map(|hundredths| (error(shrunk(hundredths)), hundredths));
        let best = tried.fold((f64::INFINITY, 100), |best, tried| if tried.0 <= best.0 { tried } else { best });
        shrunk(best.1)
    }

    /// The sum of the squared errors of rounding to a grid.
    fn error(&self, grid: Grid) -> f64 {
        let error = |(bin, &count): (usize, &u64)| {
            let x = self.value(bin);
            count as f64 * f64::from(grid.nearest(x) - x).powi(2)
        };
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(error).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::new(ends(values));
        histogram.add(values);
        histogram
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let values: Vec<f32> = (0..10_000).map(|i| ((i * 7919) % 10_000) as f32 - 2_000.0).collect();
        let (least, most) = histogram(&values).percentile(99.0);
        assert!((least + 1_900.0).abs() < 5.0 && (most - 7_899.0).abs() < 5.0, "{least} {most}");
        assert_eq!(histogram(&values).percentile(100.0), (-2_000.0, 7_999.0));
    }

    #[test]
    fn percentiles_count_zeros_where_they_stand_among_the_values() {
        let sparse = |values: std::ops::RangeInclusive<i32>, zeros: usize| {
            let values: Vec<f32> = values.map(|x| x as f32).chain(std::iter::repeat_n(0.0, zeros)).collect();
            histogram(&values).percentile(91.0)
        };
        // Eight or nine of the hundred values lie beyond either end, as 9 of 100 come out in floats.
        let (least, most) = sparse(1..=10, 90);
        assert!(least == 0.0 && (most - 2.0).abs() < 0.01, "{least} {most}");
        let (least, most) = sparse(-10..=-1, 90);
        assert!((least + 2.0).abs() < 0.01 && (0.0..0.01).contains(&most), "{least} {most}");
        // Zeros alone are left between the ends.
        let (least, most) = sparse(1..=5, 95);
        assert!(least == 0.0 && (0.0..0.01).contains(&most), "{least} {most}");
        assert!(Grid::reaching(least, most).is_some());
        assert_eq!(histogram(&[0.0; 10]).percentile(91.0), (0.0, 0.0));
    }

    #[test]
    fn an_outlier_is_cut_off_where_that_costs_less_than_coarser_steps() {
        let mut values: Vec<f32> = (0..100_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        values.push(4.0);
        let (_, most) = histogram(&values).least_mean_squared_error();
        // The error of every choice, of the values themselves.
        let error = |most: f32| {
            let grid = Grid::reaching(0.0, most).unwrap();
            values.iter().map(|x| f64::from(grid.nearest(*x) - x).powi(2)).sum::<f64>()
        };
        let best = (20..=100).map(|share| error(4.0 * share as f32 / 100.0)).fold(f64::INFINITY, f64::min);
        assert!(error(most) < 1.02 * best && most < 4.0, "{most}");
    }

    #[test]
    fn what_is_no_number_is_told_wherever_it_stands() {
        for place in 0..3 {
            let mut values = [1.0, -3.0, 2.0];
            assert_eq!(ends(&values), (-3.0, 2.0));
            values[place] = f32::NAN;
            let (least, most) = ends(&values);
            assert!(least.is_nan() && most.is_nan(), "{place}");
            let mut both = [-3.0, 2.0, 1.0, 4.0];
            assert_eq!(joined((both[0], both[1]), (both[2], both[3])), (-3.0, 4.0));
            both[place] = f32::NAN;
            let (least, most) = joined((both[0], both[1]), (both[2], both[3]));
            assert!(least.is_nan() && most.is_nan(), "{place}");
        }
        assert_eq!(joined(NO_ENDS, (1.0, 2.0)), (1.0, 2.0));
        assert_eq!(histogram(&[0.0, 0.0]).least_mean_squared_error(), (0.0, 0.0));
    }
}
