//! In which numbers a network is trained.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};

use crate::{Error, Result};

/// The numbers that activations are computed in. Parameters, their averages and moments are f32 in each of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// f32 throughout: what a CPU computes in.
    #[default]
    F32,
    /// f32, but convolutions on a GPU may round their factors to the 10 bits of TF32.
    Tf32,
    /// bf16, on a GPU: 8 bits, half the memory.
    Bf16,
}

impl Precision {
    /// Every precision, the finest first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    /// Its name: f32, tf32 or bf16.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    /// The type of images and activations.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 | Self::Tf32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }

    /// Computes in this precision from now on, in the whole process.
    ///
    /// # Errors
    /// If `device` does not: all but CUDA compute in f32 alone.
    pub fn apply(self, device: &Device) -> Result<()> {
        if self != Self::F32 && !device.is_cuda() {
            let device = l0_ops::device::name(device)?;
            return Err(Error::config("precision", self, format!("f32: the device {device} computes in nothing else")));
        }
        l0_ops::device::allow_tf32(self == Self::Tf32);
        Ok(())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| format!("{text:?} is no precision; known are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_told_the_known_ones() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "fp16".parse::<Precision>().unwrap_err();
        assert_eq!(error, "\"fp16\" is no precision; known are f32, tf32, bf16");
    }

    #[test]
    fn a_cpu_computes_in_f32_alone() {
        Precision::F32.apply(&Device::Cpu).unwrap();
        let error = Precision::Bf16.apply(&Device::Cpu).unwrap_err().to_string();
        assert_eq!(error, "precision is bf16, expected f32: the device cpu computes in nothing else");
    }
}
