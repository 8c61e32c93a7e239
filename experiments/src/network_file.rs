//! Networks in files, ONNX or our own, told apart by the endings of their names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::Device;
use clap::Args;
use l0_net::{Card, Kind, Model, OnnxProblem, OnnxReader, read_card};
use serde::Serialize;

use crate::artifact::{card_of_onnx, load_gated};
#[cfg(feature = "hub")]
use crate::{cli, progress::Downloads};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// ONNX.
    Onnx,
    /// A plain network of ours.
    Network,
    /// A network of ours with its gates.
    Gated,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Onnx => "ONNX",
            Self::Network => "a network file",
            Self::Gated => "a gated network, before compaction",
        })
    }
}

/// A network and the file it lies in.
#[derive(Debug, Clone)]
pub struct NetworkFile {
    /// What the file is.
    pub format: Format,
    /// Its size, with that of the files beside it in which values are.
    pub bytes: u64,
    /// The network, without gates.
    pub model: Model,
    /// What the file says of it; of ONNX what its input and output are called, and which data it is for if it is a file
    /// of ours.
    pub card: Card,
}

/// Whether a file is ONNX, by its name.
///
/// # Errors
/// If it is neither that nor a network file.
pub fn is_onnx(path: &Path) -> Result<bool> {
    match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("onnx") => Ok(true),
        Some("safetensors") => Ok(false),
        _ => bail!("{}: expected the name of a .onnx or a .safetensors file", path.display()),
    }
}

/// The plain network in a file of ours, and what the file says of it.
///
/// # Errors
/// If the file is of another kind, or cannot be read.
pub fn of_ours(path: &Path) -> Result<(Model, Card)> {
    ensure!(
        !is_onnx(path)?,
        "{0}: an ONNX file, which does not record what is wanted here; give the .safetensors file that was written with it, or \
         make one: `just convert {0} {1}`",
        path.display(),
        path.with_extension("safetensors").display()
    );
    Ok(Model::load(path, &Device::Cpu)?)
}

/// How large an image a network reads, where its file does not say.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct InputSize {
    /// Height and width of the input, where an ONNX file leaves them open.
    #[arg(long, value_name = "HxW", value_parser = input_size)]
    pub input_size: Option<(usize, usize)>,
}

impl InputSize {
    /// That for one of several files, of which those of ours say their own.
    ///
    /// # Errors
    /// As [`is_onnx`].
    pub fn of(&self, path: &Path) -> Result<Option<(usize, usize)>> {
        Ok(if is_onnx(path)? { self.input_size } else { None })
    }
}

/// Reads "HxW".
///
/// # Errors
/// If it is no such text.
fn input_size(text: &str) -> std::result::Result<(usize, usize), String> {
    let side = |side: &str| side.trim().parse().ok().filter(|&side: &usize| side > 0);
    let sides = text.split_once(['x', 'X']).and_then(|(h, w)| side(h).zip(side(w)));
    sides.ok_or_else(|| format!("{text:?} is no height and width, as 224x224"))
}

/// Where a network lies: what is on the Hub, as "hub:owner/name/file.onnx", in its cache, fetched and checked if it is
/// not there.
///
/// # Errors
/// If it cannot be fetched, or this program was built without the Hub.
pub fn found(path: &Path) -> Result<PathBuf> {
    match path.to_str().and_then(|text| text.strip_prefix("hub:")) {
        Some(name) => fetched(name),
        None => Ok(path.to_path_buf()),
    }
}

#[cfg(feature = "hub")]
fn fetched(name: &str) -> Result<PathBuf> {
    let file = l0_data::hub::HubFile::of_network(name).map_err(cli::advised)?;
    Ok(l0_data::hub::fetch(&file, &cli::hub_source(), &Downloads::default()).map_err(cli::advised)?.path)
}

#[cfg(not(feature = "hub"))]
fn fetched(name: &str) -> Result<PathBuf> {
    bail!("hub:{name}: this program was built without the Hub; build it with --features hub, or give a file")
}

/// What a network was refused for, with how to go on where `given` is one of the Hub of which values lie beside its file.
fn of_hub(given: &Path, error: l0_net::Error) -> anyhow::Error {
    let is_of_values = |problem: &OnnxProblem| matches!(problem, OnnxProblem::Tensor { .. });
    let is_of_values = matches!(&error, l0_net::Error::Onnx { problem, .. } if is_of_values(problem));
    let name = given.to_str().and_then(|text| text.strip_prefix("hub:")).filter(|_| is_of_values);
    let Some(name) = name else { return error.into() };
    let repo = name.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    anyhow!(
        "{error}; of the Hub the file of a network is fetched alone, without values beside it: get the whole with `hf \
         download {repo} --local-dir FOLDER`, and give the file there"
    )
}

/// The digest of the file of a network, with those beside it in which its values are.
///
/// # Errors
/// If one cannot be read.
pub fn digest(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    for part in parts(path)? {
        bytes.extend(std::fs::read(&part).with_context(|| part.display().to_string())?);
    }
    Ok(l0_files::sha256(&bytes))
}

/// The files that a network lies in: its own and, of ONNX, those beside it in which values are.
fn parts(path: &Path) -> Result<Vec<PathBuf>> {
    let beside = if is_onnx(path)? { l0_net::onnx_values(path)? } else { Vec::new() };
    Ok([vec![path.to_path_buf()], beside].concat())
}

/// Bytes of all files that a network lies in.
fn size_of(path: &Path) -> Result<u64> {
    let size = |part: &PathBuf| Ok(std::fs::metadata(part).with_context(|| part.display().to_string())?.len());
    parts(path)?.iter().map(size).sum()
}

impl NetworkFile {
    /// Reads a file, of the Hub too ([`found`]). `size` is the height and width of the input, where an ONNX file leaves
    /// them open.
    ///
    /// # Errors
    /// If it cannot be read or does not hold a network that this workspace knows; if a size is given for what has one.
    pub fn read(path: &Path, size: Option<(usize, usize)>) -> Result<Self> {
        let (given, path) = (path, &found(path)?);
        let onnx = is_onnx(path)?;
        if onnx {
            let reader = size.map_or(OnnxReader::new(), |(h, w)| OnnxReader::new().input_size(h, w));
            let (model, about) = reader.read_with_about(path).map_err(|error| of_hub(given, error))?;
            let card = card_of_onnx(&about)?;
            return Ok(Self { format: Format::Onnx, bytes: size_of(path)?, model, card });
        }
        ensure!(size.is_none(), "{}: it says the size of its input; leave --input-size out", path.display());
        let (kind, ..) = read_card(path)?;
        let (format, model, card) = match kind {
            Kind::Model => {
                let (model, card) = Model::load(path, &Device::Cpu)?;
                (Format::Network, model, card)
            }
            Kind::Gated => {
                let (network, weights, card) = load_gated(path)?;
                let format = if network.is_plain() { Format::Network } else { Format::Gated };
                (format, Model::new(network.net().clone(), weights)?, card)
            }
        };
        Ok(Self { format, bytes: size_of(path)?, model, card })
    }

    /// Reads the file of a network that has no gates, or none any more.
    ///
    /// # Errors
    /// As [`NetworkFile::read`], or if it has some.
    pub fn plain(path: &Path, size: Option<(usize, usize)>) -> Result<Self> {
        let read = Self::read(path, size)?;
        ensure!(
            read.format != Format::Gated,
            "{}: a network with its gates, before compaction; `just export` of the folder of its run writes the compact one: give that",
            path.display()
        );
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_height_and_width() {
        assert_eq!(input_size("224x160"), Ok((224, 160)));
        assert!(["", "224", "0x4", "4x-4", "4x4x4", "axb"].iter().all(|text| input_size(text).is_err()));
    }

    #[test]
    fn values_beside_a_network_of_the_hub_are_said_to_be_fetched_by_hand() {
        let error = |given: &str| {
            let problem = OnnxProblem::Tensor { tensor: "w".into(), problem: "its values are in a file".into() };
            let error = l0_net::Error::Onnx { file: "c.onnx".into(), problem: Box::new(problem) };
            of_hub(Path::new(given), error).to_string()
        };
        assert!(error("hub:a/b/onnx/c.onnx").contains("`hf download a/b --local-dir FOLDER`"));
        assert!(error("c.onnx").ends_with("its values are in a file"));
    }

    #[test]
    fn names_say_what_a_file_is() {
        assert!(is_onnx(Path::new("a/b.onnx")).unwrap() && !is_onnx(Path::new("b.safetensors")).unwrap());
        assert!(is_onnx(Path::new("b.pt")).unwrap_err().to_string().contains("b.pt: expected the name of a .onnx"));
    }
}
