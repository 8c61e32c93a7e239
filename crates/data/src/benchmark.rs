//! The data sets that the tables of published rows are of, and the digits that stand in for them.

use crate::{Augment, Error, Normalise, Result};
use std::fmt;
use std::str::FromStr;

/// The data sets that are known by name, their contents by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Benchmark {
    /// Handwritten digits, 60,000 + 10,000 images of 1x28x28, 10 classes.
    Mnist,
    /// 50,000 + 10,000 colour images of 3x32x32, 10 classes.
    Cifar10,
    /// 50,000 + 10,000 colour images of 3x32x32, 100 classes.
    Cifar100,
    /// Digits drawn by the program ([`Digits::default`](crate::Digits::default)), 1x28x28, 10 classes.
    Digits,
}

impl Benchmark {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mnist, Self::Cifar10, Self::Cifar100, Self::Digits];

    /// The name as written on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Digits => "digits",
        }
    }

    /// The name as people write it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Mnist => "MNIST",
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
            Self::Digits => "drawn digits",
        }
    }

    /// Channels, height and width of an image.
    pub fn shape(self) -> (usize, usize, usize) {
        match self {
            Self::Mnist | Self::Digits => (1, 28, 28),
            Self::Cifar10 | Self::Cifar100 => (3, 32, 32),
        }
    }

    /// Number of classes.
    pub fn classes(self) -> usize {
        match self {
            Self::Mnist | Self::Digits | Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    /// The normalisation that the paper's experiments use.
    pub fn normalise(self) -> Normalise {
        match self {
            Self::Mnist | Self::Digits => Normalise::unit(),
            Self::Cifar10 => Normalise::cifar10(),
            Self::Cifar100 => Normalise::cifar100(),
        }
    }

    /// The augmentation that the paper's experiments use in training.
    pub fn augment(self) -> Option<Augment> {
        match self {
            Self::Mnist | Self::Digits => None,
            Self::Cifar10 | Self::Cifar100 => Some(Augment::cifar()),
        }
    }
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Benchmark {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::Argument(format!("no data set is called {text:?}; known are {known}"))
        })
    }
}
