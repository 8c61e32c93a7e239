//! What the files of a pruning are called in its run folder.

/// The network as it was brought, as a .safetensors file.
pub const BROUGHT: &str = "brought.safetensors";
/// The same as ONNX.
pub const BROUGHT_ONNX: &str = "brought.onnx";
/// The compact network as a .safetensors file.
pub const COMPACT: &str = "compact.safetensors";
/// The same as ONNX.
pub const ONNX: &str = "compact.onnx";
/// The page that compares both.
pub const PAGE: &str = "index.html";
