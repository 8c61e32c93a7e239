//! Files: written whole or not at all, known by their digests, and as protocol buffers.
//!
//! What every crate that writes needs, once: [`write()`] for a file that has its name only once it is whole, [`sha256`]
//! to tell its bytes from others, [`Message`] for the two formats here that are protocol buffers (ONNX and the event
//! files of TensorBoard), and [`At`] for errors that say what was tried on which file.

mod digest;
mod durable;
mod error;
mod protobuf;

pub use digest::{Sha256, sha256};
pub use durable::{Existing, is_unfinished, remove, remove_unfinished, write};
pub use error::{At, Error, Result};
pub use protobuf::Message;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
