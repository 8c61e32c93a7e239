//! The digest of a file: of what it says and holds, not of how that lies in it.

use std::collections::{BTreeMap, HashMap};

use l0_files::Sha256;

use crate::Net;

/// A tensor as it lies in a file.
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Its values, little-endian.
    pub(super) bytes: Vec<u8>,
}

/// Puts tensors into the order in which they are written and their digest is taken: that of the description, then those
/// that it does not know, by the layer whose name theirs begins with and by name.
pub(super) fn sort(tensors: &mut [Stored], net: &Net) {
    let known: HashMap<String, usize> = net.parameters().into_iter().map(|(name, ..)| name).zip(0..).collect();
    let layers: HashMap<&str, usize> = net.nodes().iter().map(|node| node.name.as_str()).zip(0..).collect();
    let layer = |name: &str| name.rsplit_once('.').and_then(|(layer, _)| layers.get(layer).copied());
    tensors.sort_by_cached_key(|Stored { name, .. }| match known.get(name) {
        Some(&place) => (place, 0, String::new()),
        None => (usize::MAX, layer(name).unwrap_or(usize::MAX), name.clone()),
    });
}

/// sha256, lower-case hex, of a file's entries and of its tensors in this order: each with its length before it, so
/// that nothing can move between them.
pub(super) fn digest(entries: &BTreeMap<String, String>, tensors: &[Stored]) -> String {
    let mut sum = Sha256::new();
    let mut add = |bytes: &[u8]| {
        sum.update(&(bytes.len() as u64).to_le_bytes());
        sum.update(bytes);
    };
    for (key, value) in entries {
        add(key.as_bytes());
        add(value.as_bytes());
    }
    for Stored { name, shape, bytes } in tensors {
        add(name.as_bytes());
        add(format!("{shape:?}").as_bytes());
        add(bytes);
    }
    sum.hex()
}
