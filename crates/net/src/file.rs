//! Files that describe themselves: safetensors whose metadata holds the network's description.
//!
//! A file loads without any knowledge of its architecture. Its metadata are strings under these keys:
//!
//! | key | content |
//! | --- | --- |
//! | `format`, `version` | `l0-net` and the version of this format |
//! | `kind` | `model`: a plain network; `checkpoint`: a network with its gates, before compaction |
//! | `net` | the description, JSON |
//! | `kept` | of a model: the units left of each layer, JSON |
//! | `gates` | of a gated network: where the gates are, JSON that this crate does not read |
//! | `card` | where it comes from and what was verified of it ([`Card`]), JSON |
//! | `sha256` | of everything above and of all tensors, whatever their order in the file |
//!
//! The digest makes damage and changes noticed; it is no signature. Other programs may save a file again as long as
//! they keep its metadata. Reading trusts no number in a file: the tensors are checked against the description, and
//! both against the size of the file, before room is made for them. Equal contents make equal files, byte for byte.

mod card;
mod checksum;
mod header;
mod kind;
mod problem;
mod read;
mod write;

use std::io::Read;
use std::path::Path;

use candle_core::Device;

use crate::{Error, Model, Net, Result, Weights};

pub use card::Card;
pub use kind::Kind;
pub use l0_files::Existing;
pub use problem::FileProblem;

/// A network with its gates, before compaction: its values, those of its gates and where these are.
#[derive(Debug, Clone)]
pub struct GatedModel {
    /// The description.
    pub net: Net,
    /// A value for every parameter of the description, and what the gates add.
    pub weights: Weights,
    /// Where the gates are; meaningless to this crate.
    pub gates: serde_json::Value,
}

impl Model {
    /// Writes the network: to a temporary file beside `path`, which is synced and then renamed.
    ///
    /// # Errors
    /// If the file cannot be written, or exists and is to be kept.
    pub fn save(&self, path: impl AsRef<Path>, card: &Card, existing: Existing) -> Result<()> {
        write::save(path.as_ref(), &self.to_bytes(card)?, existing)
    }

    /// The bytes of the file that [`save`](Self::save) writes.
    ///
    /// # Errors
    /// If a parameter is missing, of another shape or not f32.
    pub fn to_bytes(&self, card: &Card) -> Result<Vec<u8>> {
        let weights = self.weights.of_net(&self.net)?;
        let named = weights.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        write::bytes(Kind::Model, &self.net, named, ("kept", serde_json::to_string(&self.kept)?), card)
    }

    /// Reads a network and its card.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold exactly what its description asks for; the message names the tensor.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<(Self, Card)> {
        read::open(path.as_ref(), |file, size, name| Self::read(file, size, name, device))
    }

    /// Reads a network and its card from the bytes of a file.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<(Self, Card)> {
        Self::read(&mut &bytes[..], bytes.len() as u64, "these bytes", device)
    }

    fn read(file: &mut dyn Read, size: u64, name: &str, device: &Device) -> Result<(Self, Card)> {
        let mut read = || {
            let contents = read::contents(file, size, Kind::Model, device)?;
            let kept = contents.header.kept()?;
            let model = Self { net: contents.header.net, weights: contents.weights, kept };
            Ok((model, contents.header.card))
        };
        read().map_err(|problem| Error::file(name, problem))
    }
}

impl GatedModel {
    /// Writes the network as [`Model::save`] does.
    ///
    /// # Errors
    /// If the file cannot be written, or exists and is to be kept.
    pub fn save(&self, path: impl AsRef<Path>, card: &Card, existing: Existing) -> Result<()> {
        write::save(path.as_ref(), &self.to_bytes(card)?, existing)
    }

    /// The bytes of the file that [`save`](Self::save) writes.
    ///
    /// # Errors
    /// If a parameter is missing, of another shape or not f32.
    pub fn to_bytes(&self, card: &Card) -> Result<Vec<u8>> {
        self.weights.check(&self.net)?;
        let named = self.weights.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        write::bytes(Kind::Gated, &self.net, named, ("gates", self.gates.to_string()), card)
    }

    /// Reads a gated network and its card. Tensors that the description does not ask for are the gates'.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<(Self, Card)> {
        read::open(path.as_ref(), |file, size, name| Self::read(file, size, name, device))
    }

    /// Reads a gated network and its card from the bytes of a file.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<(Self, Card)> {
        Self::read(&mut &bytes[..], bytes.len() as u64, "these bytes", device)
    }

    fn read(file: &mut dyn Read, size: u64, name: &str, device: &Device) -> Result<(Self, Card)> {
        let mut read = || {
            let contents = read::contents(file, size, Kind::Gated, device)?;
            let gates = contents.header.gates()?;
            Ok((Self { net: contents.header.net, weights: contents.weights, gates }, contents.header.card))
        };
        read().map_err(|problem| Error::file(name, problem))
    }
}

/// Writes any bytes as [`Model::save`] writes its own: to a temporary file beside `path`, synced and then renamed.
///
/// # Errors
/// If the file cannot be written, or exists and is to be kept.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8], existing: Existing) -> Result<()> {
    write::save(path.as_ref(), bytes, existing)
}

/// What a file holds, and its card, without its tensors.
///
/// # Errors
/// If the file cannot be read or is not one of this format.
pub fn read_card(path: impl AsRef<Path>) -> Result<(Kind, Net, Card)> {
    read::open(path.as_ref(), |file, size, name| {
        let read = header::Header::read(file, size).map_err(|problem| Error::file(name, problem))?;
        Ok((read.kind, read.net, read.card))
    })
}
