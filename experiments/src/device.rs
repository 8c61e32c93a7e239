//! What a program computes on: the CPU, or a GPU that it was built for.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use candle_core::Device;
use clap::Args;
use l0_record::{Machine, RunHeader, machine};
use l0_train::Precision;

/// A device, as a command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceName {
    /// The processor.
    Cpu,
    /// The GPU with this number, counted from 0.
    Cuda(usize),
    /// A GPU of Apple's.
    Metal,
}

impl DeviceName {
    /// What the program was built for.
    pub fn usual() -> Self {
        match () {
            () if cfg!(feature = "cuda") => Self::Cuda(0),
            () if cfg!(feature = "metal") => Self::Metal,
            () => Self::Cpu,
        }
    }

    /// The device.
    ///
    /// # Errors
    /// If the machine has none of this name, or the program was not built for it.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(_) if !cfg!(feature = "cuda") => bail!(self.not_built("cuda")),
            Self::Metal if !cfg!(feature = "metal") => bail!(self.not_built("metal")),
            Self::Cuda(ordinal) => l0_ops::device::cuda(ordinal).with_context(|| format!("cannot use {self}")),
            Self::Metal => Device::new_metal(0).with_context(|| format!("cannot use {self}")),
        }
    }

    fn not_built(self, feature: &str) -> String {
        format!(
            "cannot use {self}: this program was built without the feature {feature}; build it with --features \
             {feature}, or use --device cpu"
        )
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let unknown =
            || format!("{text:?} is no device; known are cpu, cuda, cuda:N (the GPU number N, from 0) and metal");
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            None if text == "metal" => Ok(Self::Metal),
            Some(("cuda", ordinal)) => ordinal.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

/// Which device a program is to use.
#[derive(Debug, Clone, Args)]
pub struct DeviceArgs {
    /// What computes: cpu, cuda, or cuda:N for the GPU number N, from 0. If not given, the GPU where the program was
    /// built for one.
    #[arg(long, env = "L0_DEVICE", value_name = "NAME")]
    device: Option<DeviceName>,
}

impl DeviceArgs {
    /// The device that was asked for, or else that which the program was built for.
    pub fn name(&self) -> DeviceName {
        self.device.unwrap_or_else(DeviceName::usual)
    }
}

/// On which device two networks are compared.
#[derive(Debug, Clone, Args)]
pub struct VerificationArgs {
    /// What computes both networks when they are compared: cpu, cuda, or cuda:N for the GPU number N, from 0.
    #[arg(long, env = "L0_DEVICE", value_name = "NAME", default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
}

/// With what a program trains.
#[derive(Debug, Clone, Args)]
pub struct ComputeArgs {
    /// On which device.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// The numbers that activations are computed in: f32, or on a GPU also tf32 or bf16. If not given, f32, or those of
    /// the run being resumed.
    #[arg(long, value_name = "NAME")]
    pub precision: Option<Precision>,
}

impl ComputeArgs {
    /// Opens the device, to compute with so many threads beside it.
    ///
    /// # Errors
    /// If it cannot be used, or does not compute in this precision.
    pub fn open(&self, threads: usize) -> Result<Compute> {
        let (name, precision) = (self.device.name(), self.precision.unwrap_or_default());
        let device = name.open()?;
        precision.apply(&device).with_context(|| format!("cannot train on {name}"))?;
        Ok(Compute { device, precision, threads })
    }

    /// The same for a run that goes on, in its own precision if none is asked for.
    ///
    /// # Errors
    /// As [`ComputeArgs::open`], or if its precision is none that this program knows.
    pub fn open_for(&self, run: &RunHeader, threads: usize) -> Result<Compute> {
        let own = || run.machine.precision().parse::<Precision>().map_err(anyhow::Error::msg);
        let precision = Some(self.precision.map_or_else(own, Ok)?);
        Self { precision, ..self.clone() }.open(threads)
    }
}

/// What a run is computed by, and in which numbers.
#[derive(Debug, Clone)]
pub struct Compute {
    /// Where its values are.
    pub device: Device,
    /// The numbers that its activations are computed in.
    pub precision: Precision,
    /// Threads of the CPU.
    pub threads: usize,
}

impl Compute {
    #[cfg(test)]
    pub(crate) fn cpu(threads: usize) -> Self {
        Self { device: Device::Cpu, precision: Precision::F32, threads }
    }

    /// As a record names it: beside the CPU the accelerator, if there is one, and its precision.
    ///
    /// # Errors
    /// If the driver does not tell the accelerator's name.
    pub fn machine(&self) -> Result<Machine> {
        let here = machine(self.threads);
        if self.device.is_cpu() {
            return Ok(here);
        }
        let accelerator = Some(l0_ops::device::name(&self.device)?);
        Ok(Machine { accelerator, precision: Some(self.precision.to_string()), ..here })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_known_by_their_names() {
        let names = [("cpu", DeviceName::Cpu), ("cuda:0", DeviceName::Cuda(0)), ("cuda:3", DeviceName::Cuda(3))];
        for (text, name) in names {
            assert_eq!((text.parse(), name.to_string().as_str()), (Ok(name), text));
        }
        assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
        for text in ["gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "metal:1", ""] {
            let error = text.parse::<DeviceName>().unwrap_err();
            assert!(error.starts_with(&format!("{text:?} is no device; known are cpu, cuda, cuda:N")), "{error}");
        }
    }

    #[test]
    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    fn a_device_that_the_program_was_not_built_for_is_refused_with_the_feature() {
        assert_eq!(DeviceName::usual(), DeviceName::Cpu);
        let error = DeviceName::Cuda(1).open().unwrap_err().to_string();
        assert!(error.starts_with("cannot use cuda:1: this program was built without the feature cuda"), "{error}");
        assert!(DeviceName::Metal.open().unwrap_err().to_string().contains("--features metal, or use --device cpu"));
    }

    #[test]
    fn a_run_goes_on_in_its_own_precision_unless_another_is_asked_for() {
        let args = |precision| {
            let device = DeviceArgs { device: Some(DeviceName::Cpu) };
            ComputeArgs { device, precision }
        };
        let mut run = RunHeader::new("wrn", 1, serde_json::json!({}));
        assert_eq!(args(None).open_for(&run, 1).unwrap().precision, Precision::F32);
        run.machine.precision = Some("bf16".into());
        let error = format!("{:#}", args(None).open_for(&run, 1).unwrap_err());
        assert!(error.starts_with("cannot train on cpu: precision is bf16, expected f32"), "{error}");
        assert_eq!(args(Some(Precision::F32)).open_for(&run, 1).unwrap().precision, Precision::F32);
        assert_eq!(Compute::cpu(2).machine().unwrap(), machine(2));
    }
}
