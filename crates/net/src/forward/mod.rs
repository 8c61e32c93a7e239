//! The forward pass of a masked network: the sub-network of open units is run, exactly.
//!
//! The walk over the graph is in `run`. What the layers of a pass share is in `pass`, what flows along an edge in `flow`,
//! how layers act unit by unit in `units`, linear maps in `affine`, what normalisations learn in `statistics`; what a
//! layer does is in its file in `layers`.

mod affine;
mod flow;
mod pass;
mod run;
mod statistics;
mod units;

pub(crate) use self::affine::Block;
pub(crate) use self::flow::{Flow, beside, part, scatter, sum, within};
pub(crate) use self::pass::{At, Pass};
pub use self::pass::{Mode, Output, StatisticsUpdate};
