//! Where a layer stands in a network.

use crate::Shape;

/// What a layer is called, and the shapes of one example that it reads and makes: all that it has to know of the
/// network around it.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(crate) name: &'a str,
    pub(crate) inputs: Vec<Shape>,
    pub(crate) output: Shape,
}
