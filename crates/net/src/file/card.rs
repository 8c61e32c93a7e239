//! Where a network comes from and what was verified of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Agreement;

/// What a file says of its network besides the network itself; every entry may be missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// The test-time estimator of the gates that closed units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator: Option<String>,
    /// Digest of the data that the network was trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Revision of the code that trained it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How training ended: names and values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outcome: BTreeMap<String, Value>,
    /// How far the network agrees with the masked one it was compacted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// Whether it was written although the agreement does not pass.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// Anything else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
}
