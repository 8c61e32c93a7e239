//! Which spaces of a network are to be pruned: all that can be, or those of some layers.

use crate::error::listed;
use crate::pattern::Pattern;
use crate::{Error, Layer, Net, NodeId, Result, SpaceId};

/// The spaces of a network whose units are to be pruned: to begin with, all that [can be](Net::prunable).
///
/// Layers are chosen by name. A star stands for any part of a name: `layer3.*` is all layers whose names begin so.
/// Layers that share their units are pruned together or not at all, so the name of one speaks for all of them. As text,
/// it has a line for each space: its units, and the layers that share them.
///
/// ```
/// use l0_net::{Builder, Prunable};
/// let mut b = Builder::image("image", 3, 32, 32);
/// let stream = b.conv2d_same("stem", 16, 3, 1).relu().tip();
/// b.conv2d_same("block1.conv1", 24, 3, 1).relu().conv2d_same("block1.conv2", 16, 3, 1).add(stream).relu();
/// b.conv2d_same("block2.conv1", 32, 3, 2).global_avg_pool().linear("fc", 10);
/// let net = b.build()?;
/// assert_eq!(Prunable::of(&net).only(&["block*"])?.except(&["block2.*"])?.to_string(), "\
///     16 units of stem, block1.conv2\n\
///     24 units of block1.conv1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Prunable<'a> {
    net: &'a Net,
    spaces: Vec<SpaceId>,
}

impl<'a> Prunable<'a> {
    /// All that can be.
    pub fn of(net: &'a Net) -> Self {
        Self { net, spaces: net.prunable() }
    }

    /// Of these, the units of the layers with these names.
    ///
    /// # Errors
    /// If no layer has one of the names, none of its units can be pruned, or no space is left.
    pub fn only<S: AsRef<str>>(self, names: &[S]) -> Result<Self> {
        let mut chosen = Vec::new();
        for name in names {
            let spaces = self.spaces_of(name.as_ref())?;
            let before = chosen.len();
            chosen.extend(spaces.iter().filter(|&&space| self.net.unprunable()[space].is_none()));
            if chosen.len() == before {
                return Err(self.stays(name.as_ref(), spaces[0]));
            }
        }
        self.kept(|space| chosen.contains(space))
    }

    /// Of these, all but the units of the layers with these names.
    ///
    /// # Errors
    /// If no layer has one of the names, or no space is left.
    pub fn except<S: AsRef<str>>(self, names: &[S]) -> Result<Self> {
        let named = names.iter().map(|name| self.spaces_of(name.as_ref())).collect::<Result<Vec<_>>>()?.concat();
        self.kept(|space| !named.contains(space))
    }

    /// Of these, the spaces in which nothing is added up: in a residual network all but its stream, the channels that
    /// shortcuts carry past the blocks.
    ///
    /// # Errors
    /// If no space is left.
    pub fn without_sums(self) -> Result<Self> {
        let net = self.net;
        let is_sum = |id: &NodeId| matches!(net.node(*id).layer, Layer::Add(_));
        let sums: Vec<SpaceId> = (0..net.nodes().len()).filter(is_sum).map(|id| net.space(id)).collect();
        self.kept(|space| !sums.contains(space))
    }

    /// The network.
    pub fn net(&self) -> &'a Net {
        self.net
    }

    /// The spaces, in order.
    pub fn spaces(&self) -> &[SpaceId] {
        &self.spaces
    }

    /// The spaces of the layers that a name stands for: one or more.
    fn spaces_of(&self, name: &str) -> Result<Vec<SpaceId>> {
        let nodes = self.net.nodes().iter().enumerate();
        let named = nodes.filter(|(_, node)| Pattern::new(name).found(&node.name).is_some());
        let spaces: Vec<SpaceId> = named.map(|(id, _)| self.net.space(id)).collect();
        match spaces.is_empty() {
            true => Err(Error::unknown("layer", name, self.net.nodes().iter().map(|node| node.name.as_str()))),
            false => Ok(spaces),
        }
    }

    fn stays(&self, name: &str, space: SpaceId) -> Error {
        let reason = self.net.unprunable()[space].map_or(String::new(), |reason| reason.to_string());
        Error::layer(name, format!("none of its units can be pruned: they are {reason}"))
    }

    fn kept(self, keep: impl Fn(&SpaceId) -> bool) -> Result<Self> {
        let spaces: Vec<SpaceId> = self.spaces.iter().copied().filter(keep).collect();
        match spaces.is_empty() {
            false => Ok(Self { spaces, ..self }),
            true => {
                let sets: Vec<String> = self.spaces.iter().map(|&space| format!("({})", self.layers(space))).collect();
                let expected = format!("one or more of {}; layers that share their units go together", listed(&sets));
                Err(Error::Count { what: "sets of layers to prune", found: 0, expected })
            }
        }
    }

    /// The layers that make the units of a space or have weights for them.
    fn layers(&self, space: SpaceId) -> String {
        let name = |id: NodeId| self.net.node(id).name.clone();
        listed(&self.net.makers(space).into_iter().map(name).collect::<Vec<_>>())
    }
}

impl std::fmt::Display for Prunable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |&space: &SpaceId| format!("{} units of {}", self.net.spaces()[space].units, self.layers(space));
        f.write_str(&self.spaces.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;
    use crate::layers::PadUnits;

    /// "stem" and "a.conv2" share their channels; "a.conv1" and "b.conv1" have their own, "fc" has the classes.
    fn net() -> Net {
        let mut b = Builder::image("image", 3, 8, 8);
        let stream = b.conv2d_same("stem", 4, 3, 1).relu().tip();
        b.conv2d_same("a.conv1", 5, 3, 1).relu().conv2d_same("a.conv2", 4, 3, 1).add(stream).relu();
        b.conv2d_same("b.conv1", 6, 3, 1).global_avg_pool().linear("fc", 2);
        b.build().unwrap()
    }

    fn units(chosen: Result<Prunable<'_>>) -> Result<Vec<usize>> {
        let chosen = chosen?;
        Ok(chosen.spaces().iter().map(|&space| chosen.net().spaces()[space].units).collect())
    }

    #[test]
    fn a_name_speaks_for_all_layers_that_share_its_units() -> Result<()> {
        let net = net();
        let all = || Prunable::of(&net);
        assert_eq!(units(Ok(all()))?, [4, 5, 6]);
        assert_eq!(units(all().only(&["a.conv2"]))?, [4], "and so for the stem");
        assert_eq!(units(all().except(&["a.conv2"]))?, [5, 6]);
        assert_eq!(units(all().only(&["b.*", "a.*"]))?, [4, 5, 6]);
        assert_eq!(units(all().only(&["*conv1"])?.except(&["a.*"]))?, [6]);
        assert_eq!(units(all().except(&["fc"]))?, [4, 5, 6], "which stays anyway");
        Ok(())
    }

    #[test]
    fn only_additions_make_a_stream() -> Result<()> {
        let net = net();
        let all = || Prunable::of(&net);
        assert_eq!(units(all().without_sums())?, [5, 6]);
        let none = all().only(&["stem"])?.without_sums().unwrap_err().to_string();
        assert!(none.contains("expected one or more of (stem, a.conv2)"), "{none}");
        // Neither what stands side by side nor what is scaled by a gate of the network's own.
        let mut b = Builder::image("image", 3, 8, 8);
        let left = b.conv2d_same("left", 4, 3, 1).relu().tip();
        let right = b.conv2d_same("right", 5, 3, 1).relu().tip();
        b.at(left).concat(&[right]).conv2d_same("mix", 6, 1, 1).global_avg_pool().linear("fc", 2);
        let dense = b.build()?;
        assert_eq!(units(Prunable::of(&dense).without_sums())?, units(Ok(Prunable::of(&dense)))?);
        // Of a shortcut that zeros make wider, both sides are of the stream.
        let mut b = Builder::image("image", 3, 8, 8);
        let stem = b.conv2d_same("stem", 4, 3, 1).relu().tip();
        let wider = b.layer("pad", PadUnits { before: 2, after: 2 }).tip();
        b.at(stem)
            .conv2d_same("inner", 7, 3, 1)
            .relu()
            .conv2d_same("outer", 8, 3, 1)
            .add(wider)
            .relu()
            .global_avg_pool();
        b.linear("fc", 2);
        let padded = b.build()?;
        assert_eq!(units(Prunable::of(&padded).without_sums())?, [4, 7]);
        Ok(())
    }

    #[test]
    fn what_names_nothing_or_leaves_nothing_is_refused() {
        let net = net();
        let refused = |chosen: Result<Prunable<'_>>| chosen.unwrap_err().to_string();
        let all = || Prunable::of(&net);
        let unknown = "there is no layer \"a.conv*x\"; nearest of 11 are a.conv1, a.conv2, b.conv1";
        assert_eq!(refused(all().only(&["a.conv*x"])), unknown);
        assert_eq!(refused(all().except(&["stem", "a.conv*x"])), unknown);
        let stays = "node \"fc\": none of its units can be pruned: they are the network's output";
        assert_eq!(refused(all().only(&["stem", "fc"])), stays);
        let none = "found 0 sets of layers to prune, expected one or more of (stem, a.conv2); layers that share their units \
                    go together";
        assert_eq!(refused(all().only(&["stem"]).and_then(|chosen| chosen.except(&["a.conv2"]))), none);
        assert!(
            refused(all().only::<&str>(&[])).contains("expected one or more of (stem, a.conv2), (a.conv1), (b.conv1)")
        );
    }
}
