//! Tables, figures and documents made from the runs that `l0-record` keeps.
//!
//! [`Collection`] reads all runs below a folder, and [`Collection::groups`] puts together what differs in nothing but
//! the seed. From groups come figures ([`figures`], drawn by [`plot`]) and, with tables, the whole [`Report`].
//!
//! - *Everything is computed on reading.* A mean, a share or a rank can then not disagree with the numbers it was made
//!   from.
//! - *Nothing is guessed.* A file of another format ends a report with an error that names it; of two finished runs
//!   that differ in nothing the later one counts, and the list of runs says so of the other.
//!
//! The crate knows no tensor, no recipe and no distribution: published numbers arrive as
//! [`Reference`](l0_record::Reference)s, the curves of the gate as points ([`figures::GateCurves`]).

mod collection;
mod error;
pub mod figures;
mod growth;
mod measure;
pub mod plot;
mod report;
mod splice;
mod summary;
mod table;
mod timing;

pub use collection::{Collection, Group, notes};
pub use error::{Error, Result};
pub use growth::{Growth, GrowthCurve, GrowthPoint, Quantity};
pub use report::Report;
pub use splice::splice;
pub use summary::Summary;
pub use table::{Align, Table};
pub use timing::{PeerTiming, Spread, Timing, Timings};
