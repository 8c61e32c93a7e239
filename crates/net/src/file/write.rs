//! Writing: the bytes of a file, and how they reach the disk whole or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use l0_files::Existing;
use serde_json::{Map, Value, json};

use super::checksum::{self, Stored};
use super::header::{FORMAT, LIMIT, VERSION};
use super::{Card, FileProblem, Kind};
use crate::weights::expect_f32;
use crate::{Error, Net, Result};

/// The bytes of a file with these tensors and one more entry that belongs to its kind.
pub(super) fn bytes(
    kind: Kind,
    net: &Net,
    named: Vec<(String, Tensor)>,
    own: (&str, String),
    card: &Card,
) -> Result<Vec<u8>> {
    let entries = [
        ("format", FORMAT.to_string()),
        ("version", VERSION.to_string()),
        ("kind", kind.tag().to_string()),
        ("net", serde_json::to_string(net)?),
        ("card", serde_json::to_string(card)?),
        own,
    ];
    let mut entries: BTreeMap<String, String> = entries.map(|(key, value)| (key.to_string(), value)).into();
    let stored = |(name, value): (String, Tensor)| -> Result<Stored> {
        Ok(Stored { shape: value.dims().to_vec(), bytes: values(&name, &value)?, name })
    };
    let mut tensors = named.into_iter().map(stored).collect::<Result<Vec<_>>>()?;
    checksum::sort(&mut tensors, net);
    entries.insert("sha256".into(), checksum::digest(&entries, &tensors));
    let (mut infos, mut data) = (Map::new(), Vec::new());
    for Stored { name, shape, bytes } in &tensors {
        let start = data.len();
        data.extend(bytes);
        infos.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] }));
    }
    let mut header = Map::from_iter([("__metadata__".to_string(), json!(entries))]);
    header.extend(infos);
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' '); // so that the tensors are aligned
    if header.len() as u64 > LIMIT {
        let problem = format!("makes a header of {} bytes, files may have {LIMIT}", header.len());
        return Err(Error::layer("the description", problem));
    }
    Ok([&(header.len() as u64).to_le_bytes(), header.as_slice(), &data].concat())
}

/// The values of a tensor, little-endian.
fn values(name: &str, value: &Tensor) -> Result<Vec<u8>> {
    expect_f32(name, value)?;
    let values = value.detach().flatten_all()?.to_vec1::<f32>()?;
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Writes beside `path`, syncs and renames: `path` is the old file or the new one, never half of it.
pub(super) fn save(path: &Path, bytes: &[u8], existing: Existing) -> Result<()> {
    let name = path.display().to_string();
    l0_files::write(path, bytes, existing).map_err(|error| match error.cause.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Exists(name),
        _ => Error::file(&name, FileProblem::Write(error.cause)),
    })
}
