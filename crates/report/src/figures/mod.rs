//! The figures of a report, each a function of runs and published rows.
//!
//! A run that has no numbers for a figure is left out of it, and a figure that nobody has
//! numbers for is empty, which [`Figure::is_empty`](crate::plot::Figure::is_empty) tells.

mod constraint;
mod curves;
mod gates;
mod growth;
mod pareto;
mod shared;

pub use constraint::constraint;
pub use curves::{errors, open_units, work};
pub use gates::{GateCurves, gates_over_time, hard_concrete, input_gates};
pub use growth::growth;
pub use pareto::pareto;
