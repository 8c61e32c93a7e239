//! The real programs under faults: what `docs/faults.md` promises, one test for each of its lines.
#![allow(missing_docs)]
#![cfg(unix)]

mod bench;
mod clock;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod folders;
mod kill;
mod numbers;
