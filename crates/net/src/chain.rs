//! A network as people write one in a file: a chain of layers, with named branches that join again.
//!
//! In TOML, with all that can be said:
//!
//! ```toml
//! layers = [
//!   { conv2d = 16, kernel = 3, padding = "same" }, "batch_norm", "relu",     # a name, or a table with the layer's main number
//!   { repeat = 2, layers = [
//!     { add = {                                                              # branches from here, joined by add, mul or concat
//!       body = [{ conv2d = 16, kernel = 3, padding = "same" }, "batch_norm"],
//!       shortcut = [],                                                       # what is here, as it is
//!     } },
//!     "relu",
//!   ] },
//!   { depthwise = 3, stride = 2, padding = "same", name = "half" },
//!   { type = "leaky_relu", slope = 0.1 },                                    # any layer as network files have it
//!   "global_pool",
//!   { linear = "outputs" },                                                  # as many as there are classes
//! ]
//! ```
//!
//! `{ concat = "half" }` joins what is here with an earlier layer that has a name.

mod draft;
mod step;

use self::draft::Draft;
pub use self::step::Chain;
use crate::{ClosedChannels, Net, Result, Shape};

impl Chain {
    /// The network for examples of a shape, with so many outputs wherever the chain says `"outputs"`; normalisations
    /// that do not say what becomes of closed channels take `closed`.
    ///
    /// A layer without a name is called by its kind and number, within a branch after the join and the branch:
    /// `add2.body.conv1`. A convolution or linear layer has a bias unless it says otherwise, or a batch normalisation
    /// follows at once.
    ///
    /// # Errors
    /// If a layer does not accept what it reads, a name is unknown or stands twice, or there are too many layers.
    pub fn build(&self, input: Shape, outputs: usize, closed: ClosedChannels) -> Result<Net> {
        let mut draft = Draft::new(input, outputs, closed);
        draft.chain(self, "", "")?;
        draft.finish()
    }
}

#[cfg(test)]
mod tests;
