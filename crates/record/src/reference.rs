//! What others measured.

use serde::{Deserialize, Serialize};

/// A published row: what somebody reported for a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The network it is about, as [`RunHeader::network`](crate::RunHeader::network) names it.
    pub network: String,
    /// The method, as `BC-GNJ`.
    pub label: String,
    /// Who reported it and where, as `Louizos et al. 2018, Table 1`.
    pub source: String,
    /// Test error in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_percent: Option<f64>,
    /// What remains, layer by layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architecture: Vec<usize>,
    /// Weights kept, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_kept_percent: Option<f64>,
    /// Multiply-accumulates kept, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs_kept_percent: Option<f64>,
    /// Whether single weights were removed, not units: a row of another kind, whose layers stay as wide.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unstructured: bool,
}
