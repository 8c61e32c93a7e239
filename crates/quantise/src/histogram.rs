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
    zeros: u64,
    counts: Vec<u64>,
}

/// The least and the largest of some values; not a number if one is none.
pub(crate) fn ends(values: &[f32]) -> (f32, f32) {
    let start = (f32::INFINITY, f32::NEG_INFINITY);
    values.iter().fold(start, |(least, most), &x| match x.is_nan() || least.is_nan() {
        true => (f32::NAN, f32::NAN),
        false => (least.min(x), most.max(x)),
    })
}

/// The bin in which the sum of the counts exceeds `beyond`.
fn inside<'a>(mut counts: impl Iterator<Item = (usize, &'a u64)>, beyond: f64) -> Option<usize> {
    let mut sum = 0;
    let found = counts.find(|(_, count)| {
        sum += **count;
        sum as f64 > beyond
    });
    found.map(|(bin, _)| bin)
}

impl Histogram {
    pub(crate) fn new((least, most): (f32, f32)) -> Self {
        Self { least, most, zeros: 0, counts: vec![0; BINS] }
    }

    /// Counts some more values. Those that are 0, half of them behind a ReLU, every grid holds.
    pub(crate) fn add(&mut self, values: &[f32]) {
        let per_bin = BINS as f32 / (self.most - self.least).max(f32::MIN_POSITIVE);
        for &x in values {
            match x == 0.0 {
                true => self.zeros += 1,
                false => self.counts[(((x - self.least) * per_bin) as usize).min(BINS - 1)] += 1,
            }
        }
    }

    /// The value in the middle of a bin.
    fn value(&self, bin: usize) -> f32 {
        self.least + (bin as f32 + 0.5) / BINS as f32 * (self.most - self.least)
    }

    /// The ends between which all but so many of a hundred values lie, on either side.
    pub(crate) fn percentile(&self, percent: f64) -> (f32, f32) {
        let beyond = (self.counts.iter().sum::<u64>() + self.zeros) as f64 * (1.0 - percent / 100.0);
        let first = inside(self.counts.iter().enumerate(), beyond);
        let last = inside(self.counts.iter().enumerate().rev(), beyond);
        let edge = |bin: usize| self.least + bin as f32 / BINS as f32 * (self.most - self.least);
        (first.map_or(0.0, edge), last.map_or(0.0, |bin| edge(bin + 1)))
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
    fn what_is_no_number_is_told() {
        assert!(ends(&[1.0, f32::NAN, 2.0]).0.is_nan());
        assert_eq!(ends(&[1.0, -3.0, 2.0]), (-3.0, 2.0));
        assert_eq!(histogram(&[0.0, 0.0]).least_mean_squared_error(), (0.0, 0.0));
    }
}
