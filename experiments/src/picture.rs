//! Pictures that a person hands to `predict`.

mod file;
mod reading;

pub use file::{Picture, decode, read};
pub use reading::{Invert, Reading};
