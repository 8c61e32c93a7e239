//! What a network that is brought reads and gives, and how data is made to fit it.

use anyhow::{Result, ensure};
use l0_data::{DataSpec, Dataset, Origin};
use l0_net::{Net, Shape};

use crate::cli;

/// Refuses a network whose output is no row of numbers: no data has labels for each pixel.
///
/// # Errors
/// If it is one.
pub fn ensure_row(net: &Net) -> Result<()> {
    let gives = net.shape(net.output());
    let is_row = match gives {
        Shape::Features(_) => true,
        Shape::Image(_, h, w) => (h, w) == (1, 1),
    };
    ensure!(
        is_row,
        "the network gives {gives} for an example, expected a number for each class, or one number: no data here has labels \
         for each pixel, so it cannot be pruned; `just inspect` and `just convert` read it"
    );
    Ok(())
}

/// Pictures as the network reads them, of its size if that is a square, and grey or in colours; as the data says where it
/// says so.
#[must_use]
pub fn pictures_for(net: &Net, mut spec: DataSpec) -> DataSpec {
    let are_pictures = match &spec.origin {
        Origin::Folder(dir) => cli::holds_pictures(dir),
        Origin::Hub(_) => true,
        Origin::Known(_) | Origin::File(_) => false,
    };
    if let (true, Shape::Image(c, h, w)) = (are_pictures, net.shape(0)) {
        if h == w {
            spec.options.size.get_or_insert(h);
        }
        if matches!(c, 1 | 3) {
            spec.options.channels.get_or_insert(c);
        }
    }
    spec
}

/// What was chosen of the data, and by which numbers the network reads it, in words.
pub(super) fn said_of(data: &Dataset) -> String {
    let choices = data.choices.iter().cloned();
    choices.chain([numbers_of(data)]).collect::<Vec<_>>().join("; ")
}

fn numbers_of(data: &Dataset) -> String {
    let (mean, std) = data.normalise.constants();
    if data.train.is_table() {
        let is_none = mean.iter().all(|&mean| mean == 0.0) && std.iter().all(|&std| std == 1.0);
        let said = if is_none {
            "columns as they are"
        } else {
            "columns standardised, each by its own mean and standard deviation"
        };
        return said.into();
    }
    let of_one = |bytes: &[f32]| bytes.iter().map(|x| format!("{:.4}", x / 255.0)).collect::<Vec<_>>().join(", ");
    format!("pixels from 0 to 1 normalised by mean {} and standard deviation {}", of_one(mean), of_one(std))
}

#[cfg(test)]
mod tests {
    use l0_data::{Digits, Normalise, Options, Split};
    use l0_net::Builder;

    use super::*;

    fn network(channels: usize, has_pixels: bool) -> Net {
        let mut b = Builder::image("image", channels, 8, 8);
        b.conv2d_same("conv1", 2, 3, 1);
        if !has_pixels {
            b.flatten("features").linear("fc", 2);
        }
        b.build().unwrap()
    }

    #[test]
    fn pictures_are_made_as_large_and_as_colourful_as_the_network_reads_them() {
        let hub: DataSpec = "hub:someone/ants-bees".parse().unwrap();
        let options = |channels| pictures_for(&network(channels, false), hub.clone()).options;
        assert_eq!((options(1).size, options(1).channels), (Some(8), Some(1)));
        assert_eq!(options(3).channels, Some(3));
        assert_eq!(options(4).channels, None, "no picture has four");
        let chosen = Options { size: Some(16), channels: Some(3), ..Options::default() };
        let asked = DataSpec { options: chosen.clone(), ..hub.clone() };
        assert_eq!(pictures_for(&network(1, false), asked).options, chosen);
        let table: DataSpec = "table.csv".parse().unwrap();
        assert_eq!(pictures_for(&network(1, false), table.clone()), table);
    }

    #[test]
    fn a_network_that_labels_pixels_is_refused_and_told_what_reads_it() {
        assert!(ensure_row(&network(3, false)).is_ok());
        let said = ensure_row(&network(3, true)).unwrap_err().to_string();
        assert!(said.contains("labels for each pixel") && said.contains("`just inspect` and `just convert`"), "{said}");
    }

    #[test]
    fn the_numbers_that_data_is_read_by_are_said_as_they_are_typed() {
        let digits = Digits { train: 20, test: 10, seed: 1 }.draw().unwrap();
        let data = Dataset::new("digits", digits.train, digits.test, vec![]).unwrap();
        let read = |normalise| said_of(&Dataset { normalise, choices: vec!["so".into()], ..data.clone() });
        assert_eq!(
            read(Normalise::unit()),
            "so; pixels from 0 to 1 normalised by mean 0.0000 and standard deviation 1.0000"
        );
        assert_eq!(
            read(Normalise::mnist()),
            "so; pixels from 0 to 1 normalised by mean 0.1307 and standard deviation 0.3081"
        );
        let rows = || Split::rows(vec![1.0, 2.0, 3.0, 5.0], vec![0, 1], 2, 2).unwrap();
        let table = Dataset::new("table", rows(), rows(), vec![]).unwrap();
        assert_eq!(said_of(&table), "columns standardised, each by its own mean and standard deviation");
        let normalise = Normalise::new(vec![0.0; 2], vec![1.0; 2]).unwrap();
        assert_eq!(said_of(&Dataset { normalise, ..table }), "columns as they are");
    }
}
