//! The forward pass of a masked network: the sub-network of open units is run, exactly.
//!
//! The walk over the graph is in `run`, with what the layers of a pass share in `pass`. What one layer is told of it is
//! in `at`, what flows along an edge in `flow`, how layers act unit by unit in `units`, linear maps in `affine`, what
//! normalisations learn in `statistics`; what a layer does is in its file in `layers`, which knows no network.

mod affine;
mod at;
mod flow;
mod pass;
mod run;
mod statistics;
mod units;

pub(crate) use self::affine::Block;
pub(crate) use self::at::At;
pub use self::at::{Mode, StatisticsUpdate};
pub(crate) use self::flow::{Flow, beside, part, product, scatter, sum, within};
pub use self::pass::Output;
pub(crate) use self::pass::Pass;
pub(crate) use self::run::Keep;
