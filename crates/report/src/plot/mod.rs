//! Plots as SVG text.
//!
//! A [`Figure`] is a white card with one or more [`Chart`]s, a title and one legend for all of
//! them; a chart is two [`Axis`] and marks in the order in which they are painted. The figure
//! lays itself out from estimates of the width of its text, so that nothing overlaps without a
//! font at hand, and it is readable on a light page and on a dark one because it brings its own
//! background. What cannot be drawn, as a loss that is not a number, leaves a gap.
//!
//! A [`Diagram`] is a graph of layers, each a bar as wide as it has units.

mod chart;
mod diagram;
mod draw;
mod figure;
mod label;
mod palette;
#[cfg(feature = "png")]
mod png;
mod scale;
mod svg;
mod text;

pub use chart::{Axis, Cell, Chart, Mark, Point, Series, Shape};
pub use diagram::{Block, Diagram};
pub use figure::{ColorBar, Figure};
pub use palette::{Color, shade};
#[cfg(feature = "png")]
pub use png::png;
pub(crate) use svg::escape;
pub use text::short;
