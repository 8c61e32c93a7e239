//! Colours that people with any kind of colour vision can tell apart.

/// The colour of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// One of the colours for what was measured here; they repeat after twelve.
    Own(usize),
    /// What a run repeats: the published row.
    Published,
    /// What stands in the background: the rows of others.
    Muted,
    /// What stands for itself, beside colours that mean something in common.
    Plain,
    /// What is only there to complete a picture.
    Pale,
}

/// Eight after Okabe and Ito, with their yellow darkened to be seen on white, and four more, each much lighter or
/// darker than those of its hue.
const OWN: [&str; 12] = [
    "#0072b2", "#d55e00", "#009e73", "#b5528f", "#3a9bd9", "#c98a00", "#6b4fa0", "#7a5c3e", "#7fb800", "#8f1d2c",
    "#00525a", "#ef9ac5",
];

impl Color {
    /// As CSS writes it.
    pub fn css(self) -> &'static str {
        match self {
            Self::Own(index) => OWN[index % OWN.len()],
            Self::Published => "#1f2933",
            Self::Muted => "#8a94a0",
            Self::Plain => "#8aa5bf",
            Self::Pale => "#d3d9df",
        }
    }
}

/// The steps of [`shade`].
pub(super) const SHADES: usize = 16;

/// Light to dark in equal steps of lightness, so that it also reads in grey.
const STOPS: [(f64, [f64; 3]); 5] = [
    (0.0, [244.0, 247.0, 250.0]),
    (0.25, [184.0, 214.0, 232.0]),
    (0.5, [92.0, 160.0, 200.0]),
    (0.75, [24.0, 98.0, 152.0]),
    (1.0, [8.0, 38.0, 78.0]),
];

/// The colour of a level from 0 to 1, light to dark, in a few steps.
pub fn shade(level: f64) -> String {
    let level = step(level) as f64 / (SHADES - 1) as f64;
    let upper = STOPS.iter().position(|stop| stop.0 >= level).unwrap_or(STOPS.len() - 1).max(1);
    let ((a, from), (b, to)) = (STOPS[upper - 1], STOPS[upper]);
    let mix = |i: usize| (from[i] + (to[i] - from[i]) * (level - a) / (b - a)).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
}

/// The step that a level falls into; what is not a number falls into the first.
pub(super) fn step(level: f64) -> usize {
    (level.clamp(0.0, 1.0) * (SHADES - 1) as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_shades_are_the_stops() {
        assert_eq!((shade(0.0), shade(1.0)), ("#f4f7fa".into(), "#08264e".into()));
        assert_eq!((shade(f64::NAN), shade(7.0)), (shade(0.0), shade(1.0)));
    }

    #[test]
    fn shades_darken() {
        let green = |level: f64| u8::from_str_radix(&shade(level)[3..5], 16).unwrap();
        let greens: Vec<u8> = (0..SHADES).map(|i| green(i as f64 / (SHADES - 1) as f64)).collect();
        assert!(greens.is_sorted_by(|a, b| a > b), "{greens:?}");
    }
}
