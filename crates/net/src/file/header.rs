//! The header of a file: what it says of itself, checked before anything else is read.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use safetensors::tensor::{Dtype, Metadata};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Card, FileProblem, Kind};
use crate::net::MOST_LAYERS;
use crate::{Kept, Net, Result};

pub(super) const FORMAT: &str = "l0-net";
pub(super) const VERSION: &str = "1";
/// The most bytes a header may have.
pub(super) const LIMIT: u64 = 16 << 20;
/// The most bytes a file may have: a sparse one claims any size without taking room.
const LARGEST: u64 = 8 << 30;

pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) net: Net,
    pub(super) card: Card,
    /// All strings of the metadata but the digest.
    pub(super) entries: BTreeMap<String, String>,
    pub(super) sha256: String,
    pub(super) tensors: Metadata,
}

impl Header {
    /// Reads the header of a file of `size` bytes and checks that it fits: the rest is then tensors, no more and no
    /// less.
    pub(super) fn read(file: &mut dyn Read, size: u64) -> Result<Self, FileProblem> {
        let mut length = [0; 8];
        if size > LARGEST {
            return Err(FileProblem::Large { found: size, limit: LARGEST });
        }
        if size < 8 {
            return Err(FileProblem::Size { found: size, expected: 8 });
        }
        file.read_exact(&mut length)?;
        let found = u64::from_le_bytes(length);
        if found > LIMIT {
            return Err(FileProblem::Header { found, limit: LIMIT });
        }
        if found > size - 8 {
            return Err(FileProblem::Size { found: size, expected: 8 + found });
        }
        let mut header = vec![0; found as usize]; // no more than LIMIT, and no more than the file has
        file.read_exact(&mut header)?;
        let tensors: Metadata =
            serde_json::from_slice(&header).map_err(|e| FileProblem::Foreign(format!("its header is wrong: {e}")))?;
        let expected = (tensors.data_len() as u64).checked_add(8 + found);
        match expected {
            Some(expected) if expected == size => Self::parse(tensors),
            expected => Err(FileProblem::Size { found: size, expected: expected.unwrap_or(u64::MAX) }),
        }
    }

    fn parse(tensors: Metadata) -> Result<Self, FileProblem> {
        let metadata: HashMap<String, String> = tensors.metadata().clone().unwrap_or_default();
        let mut entries: BTreeMap<String, String> = metadata.into_iter().collect();
        match entries.get("format") {
            Some(format) if format == FORMAT => {}
            Some(format) => return Err(FileProblem::Foreign(format!("its format is {format:?}, expected {FORMAT:?}"))),
            None => {
                let problem = "its metadata has no entry \"format\", which a copy of the tensors alone lacks";
                return Err(FileProblem::Foreign(problem.into()));
            }
        }
        let version = entry(&entries, "version")?;
        if version != VERSION {
            return Err(FileProblem::Version { found: version.into(), expected: VERSION.into() });
        }
        let kind = entry(&entries, "kind")?;
        let kind = Kind::ALL.into_iter().find(|known| known.tag() == kind);
        let kind = kind.ok_or_else(|| wrong("kind", "is neither model nor checkpoint"))?;
        let nodes: Vec<crate::Node> = json(&entries, "net")?;
        if nodes.len() > MOST_LAYERS {
            return Err(wrong("net", format!("has {} layers, expected {MOST_LAYERS} at most", nodes.len())));
        }
        let net = Net::new(nodes).map_err(|e| wrong("net", e.to_string()))?;
        let card = json(&entries, "card")?;
        let sha256 = entry(&entries, "sha256")?.to_string();
        entries.remove("sha256");
        Ok(Self { kind, net, card, entries, sha256, tensors })
    }

    /// What a model says of the network it was compacted from.
    pub(super) fn kept(&self) -> Result<Vec<Kept>, FileProblem> {
        let kept: Vec<Kept> = json(&self.entries, "kept")?;
        let ascending = |units: &[u32]| units.windows(2).all(|pair| pair[0] < pair[1]);
        let fits = |kept: &&Kept| {
            let units = kept.units.as_deref().unwrap_or_default();
            ascending(units) && units.last().is_none_or(|&last| (last as usize) < kept.of)
        };
        match kept.iter().find(|kept| !fits(kept)) {
            None => Ok(kept),
            Some(Kept { layer, of, .. }) => {
                Err(wrong("kept", format!("units of {layer:?} are not ascending indices below {of}")))
            }
        }
    }

    /// Where the gates of a gated network are.
    pub(super) fn gates(&self) -> Result<Value, FileProblem> {
        json(&self.entries, "gates")
    }

    /// Checks that each tensor is f32 and has the shape that the description asks for, that none is missing, and, in a
    /// model, that there is no other.
    pub(super) fn check_tensors(&self) -> Result<(), FileProblem> {
        let found = self.tensors.tensors();
        let expected: BTreeMap<String, Vec<usize>> =
            self.net.parameters().into_iter().map(|(name, _, shape)| (name, shape)).collect();
        for (name, shape) in &expected {
            match found.get(name) {
                None => return Err(FileProblem::Missing { tensor: name.clone(), expected: shape.clone() }),
                Some(info) if info.shape != *shape => {
                    let (tensor, found, expected) = (name.clone(), info.shape.clone(), shape.clone());
                    return Err(FileProblem::Shape { tensor, found, expected });
                }
                Some(_) => {}
            }
        }
        for tensor in self.tensors.offset_keys() {
            let info = found[&tensor];
            if info.dtype != Dtype::F32 {
                return Err(FileProblem::Dtype { tensor, found: info.dtype.to_string() });
            }
            if self.kind == Kind::Model && !expected.contains_key(&tensor) {
                let known = expected.into_keys().collect::<Vec<_>>().join(", ");
                return Err(FileProblem::Extra { tensor, found: info.shape.clone(), known });
            }
        }
        Ok(())
    }
}

fn wrong(key: &'static str, problem: impl Into<String>) -> FileProblem {
    FileProblem::Entry { key, problem: problem.into() }
}

fn entry<'a>(entries: &'a BTreeMap<String, String>, key: &'static str) -> Result<&'a str, FileProblem> {
    entries.get(key).map(String::as_str).ok_or_else(|| wrong(key, "it is missing"))
}

fn json<T: DeserializeOwned>(entries: &BTreeMap<String, String>, key: &'static str) -> Result<T, FileProblem> {
    serde_json::from_str(entry(entries, key)?).map_err(|e| wrong(key, e.to_string()))
}
