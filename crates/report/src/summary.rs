//! A handful of measurements in two numbers, none of them lost.

use std::fmt;

/// Measurements with their mean and standard deviation.
///
/// ```
/// let errors = l0_report::Summary::of([1.4, 1.5, 1.6]);
/// assert_eq!(errors.to_string(), "1.50 ± 0.10");
/// assert_eq!(errors.values, [1.4, 1.5, 1.6]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Every value, in the order given.
    pub values: Vec<f64>,
    /// Their mean; not a number if there are none.
    pub mean: f64,
    /// The standard deviation of the population they are a sample of (n - 1); `None` below two values.
    pub std: Option<f64>,
}

impl Summary {
    /// Summarises the values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Self { values, mean, std }
    }

    /// The number of values.
    pub fn n(&self) -> usize {
        self.values.len()
    }

    /// Mean and standard deviation with so many digits after the point; a dash if there are no values.
    pub fn rounded(&self, digits: usize) -> String {
        match (self.n(), self.std) {
            (0, _) => "–".into(),
            (_, None) => format!("{:.digits$}", half_up(self.mean)),
            (_, Some(std)) => format!("{:.digits$} ± {:.digits$}", half_up(self.mean), half_up(std)),
        }
    }

    /// Every value with so many digits, as `1.52, 1.48`.
    pub fn listed(&self, digits: usize) -> String {
        let texts: Vec<String> = self.values.iter().map(|&value| format!("{:.digits$}", half_up(value))).collect();
        texts.join(", ")
    }
}

/// A number that is rounded up where its decimal digits end in a half: 0.475, for which the nearest number in binary is
/// below it, is 0.48.
fn half_up(x: f64) -> f64 {
    x * (1.0 + 1e-12)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.rounded(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // python3 -c "import statistics as s; x = [1.52, 1.48, 1.61, 1.4]; print(s.mean(x), s.stdev(x))"
    #[test]
    fn known_values() {
        let summary = Summary::of([1.52, 1.48, 1.61, 1.4]);
        assert!((summary.mean - 1.5025).abs() < 1e-12);
        assert!((summary.std.unwrap() - 0.08732124598286492).abs() < 1e-12);
    }

    #[test]
    fn one_value_has_no_deviation_and_none_no_mean() {
        assert_eq!(Summary::of([1.4]).to_string(), "1.40");
        assert_eq!(Summary::of([]).to_string(), "–");
    }

    #[test]
    fn half_of_a_digit_is_rounded_up() {
        assert_eq!(Summary::of([0.52, 0.43]).to_string(), "0.48 ± 0.06");
        assert_eq!(Summary::of([10.0, 10.15]).to_string(), "10.08 ± 0.11");
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        assert_eq!(Summary::of([1.0, f64::NAN]).to_string(), "NaN ± NaN");
    }

    #[test]
    fn moving_all_values_moves_the_mean_alone() {
        let values = [0.3, 1.7, 2.2];
        let (here, there) = (Summary::of(values), Summary::of(values.map(|value| value + 5.0)));
        assert!((there.mean - here.mean - 5.0).abs() < 1e-12);
        assert!((there.std.unwrap() - here.std.unwrap()).abs() < 1e-12);
    }
}
