//! Which spaces of units can be pruned, and which layers share them.

use crate::layers::Reads;
use crate::{Net, NodeId, SpaceId};

/// Why no unit of a space can be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unprunable {
    /// They are what the network is given.
    Input,
    /// They are what the network is asked for, or become that unit by unit.
    Output,
    /// A convolution in groups that is not depthwise makes or reads them: its groups must stay equal in size.
    Grouped,
    /// They are factors of the channels of an image, as in squeeze-and-excitation, and go with these.
    Factor,
    /// No layer has weights for them: they are units of other spaces, put together, picked or spread.
    Derived,
}

impl std::fmt::Display for Unprunable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Input => "the network's input",
            Self::Output => "the network's output",
            Self::Grouped => "made or read by a convolution in groups",
            Self::Factor => "factors of channels, which go with these",
            Self::Derived => "units of other spaces",
        })
    }
}

impl Net {
    /// Of the nodes of a space, those that make its units or hold weights for them, in order.
    pub fn makers(&self, space: SpaceId) -> Vec<NodeId> {
        let makes = |&id: &NodeId| self.makes_space(id) || self.node(id).layer.is_affine();
        (0..self.nodes().len()).filter(|&id| self.space(id) == space).filter(makes).collect()
    }

    /// A letter for every space of more than one of [`Net::makers`], in order: a unit pruned there is taken from all of
    /// them.
    pub fn couplings(&self) -> Vec<Option<String>> {
        let mut next = (0..).map(letters);
        (0..self.spaces().len()).map(|space| (self.makers(space).len() > 1).then(|| next.next())?).collect()
    }

    /// For every space, what speaks against pruning its units; nothing for those that can be pruned. A depthwise
    /// convolution does not speak against it: it has the space of what feeds it.
    pub fn unprunable(&self) -> Vec<Option<Unprunable>> {
        let mut reasons = vec![Some(Unprunable::Derived); self.spaces().len()];
        self.affine().filter(|&id| self.makes_space(id)).for_each(|id| reasons[self.space(id)] = None);
        for id in (0..self.nodes().len()).filter(|&id| matches!(self.reads(id), Reads::Groups(_))) {
            reasons[self.space(id)] = Some(Unprunable::Grouped);
            self.node(id).inputs.iter().for_each(|&input| reasons[self.space(input)] = Some(Unprunable::Grouped));
        }
        for id in (0..self.nodes().len()).filter(|&id| *self.reads(id) == Reads::Same && !self.makes_space(id)) {
            let spaces = self.node(id).inputs.iter().map(|&input| self.space(input));
            spaces.filter(|&space| space != self.space(id)).for_each(|space| reasons[space] = Some(Unprunable::Factor));
        }
        for id in self.become_output() {
            reasons[self.space(id)] = Some(Unprunable::Output);
        }
        reasons[self.space(0)] = Some(Unprunable::Input);
        reasons
    }

    /// The spaces whose units can be pruned: those that nothing [speaks against](Net::unprunable).
    pub fn prunable(&self) -> Vec<SpaceId> {
        let reasons = self.unprunable().into_iter().enumerate();
        reasons.filter_map(|(space, reason)| reason.is_none().then_some(space)).collect()
    }

    /// Whether the units of a space are outputs of the network, or become some one by one, under whatever space.
    pub fn is_output(&self, space: SpaceId) -> bool {
        self.become_output().into_iter().any(|id| self.space(id) == space)
    }

    /// The nodes whose units become those of the output one by one, or as a softmax does, which has one for each of
    /// them.
    fn become_output(&self) -> Vec<NodeId> {
        let mut become_output = vec![false; self.nodes().len()];
        become_output[self.output()] = true;
        for id in (0..=self.output()).rev() {
            if become_output[id] && (self.reads(id).is_unit_by_unit() || !self.node(id).layer.is_affine()) {
                self.node(id).inputs.iter().for_each(|&input| become_output[input] = true);
            }
        }
        (0..=self.output()).filter(|&id| become_output[id]).collect()
    }
}

/// A, B, ..., Z, AA, AB, ...
fn letters(n: usize) -> String {
    let before = if n < 26 { String::new() } else { letters(n / 26 - 1) };
    format!("{before}{}", char::from(b'A' + (n % 26) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Conv2d, Softmax, Take};
    use crate::{Builder, Result};

    /// The first layers of the spaces that can be pruned.
    fn prunable(net: &Net) -> Vec<&str> {
        net.prunable().into_iter().map(|space| net.spaces()[space].name.as_str()).collect()
    }

    fn reason(net: &Net, layer: &str) -> Option<Unprunable> {
        net.unprunable()[net.space(net.find(layer).unwrap())]
    }

    #[test]
    fn hidden_layers_are_pruned_and_not_what_is_given_or_asked_for() -> Result<()> {
        let mut b = Builder::image("image", 1, 8, 8);
        b.conv2d("conv", 4, 3).relu().flatten("features").linear("fc1", 5).relu().linear("fc2", 3).layer("p", Softmax);
        let net = b.build()?;
        assert_eq!(prunable(&net), ["conv", "fc1"]);
        assert_eq!(reason(&net, "image"), Some(Unprunable::Input));
        assert_eq!(reason(&net, "features"), Some(Unprunable::Derived));
        assert_eq!(reason(&net, "fc2"), Some(Unprunable::Output), "its units are the softmax's");
        Ok(())
    }

    #[test]
    fn a_sum_couples_and_a_depthwise_convolution_goes_with_what_feeds_it() -> Result<()> {
        let mut b = Builder::image("image", 3, 8, 8);
        let stem = b.conv2d_same("stem", 4, 3, 1).relu().tip();
        b.conv2d_same("expand", 8, 1, 1).relu().layer("depthwise", Conv2d::new(8, 3).padding(1).groups(8)).relu();
        b.conv2d_same("project", 4, 1, 1).add(stem).global_avg_pool().linear("fc", 2);
        let net = b.build()?;
        assert_eq!(prunable(&net), ["stem", "expand"]);
        let makers = |layer: &str| net.makers(net.space(net.find(layer).unwrap()));
        assert_eq!(makers("stem"), [net.find("stem")?, net.find("project")?]);
        assert_eq!(makers("depthwise"), [net.find("expand")?, net.find("depthwise")?]);
        let named = ["image", "stem", "expand", "fc"].map(|l| net.couplings()[net.space(net.find(l).unwrap())].clone());
        assert_eq!(named, [None, Some("A".into()), Some("B".into()), None]);
        Ok(())
    }

    #[test]
    fn after_the_letters_come_pairs_of_them() {
        assert_eq!([0, 25, 26, 27, 701, 702].map(letters), ["A", "Z", "AA", "AB", "ZZ", "AAA"]);
    }

    #[test]
    fn parts_of_a_concatenation_are_pruned_each_by_itself() -> Result<()> {
        let mut b = Builder::image("image", 3, 8, 8);
        let first = b.conv2d_same("first", 4, 3, 1).tip();
        b.conv2d_same("second", 6, 3, 1)
            .concat(&[first])
            .conv2d_same("third", 5, 3, 1)
            .global_avg_pool()
            .linear("fc", 2);
        let net = b.build()?;
        assert_eq!(prunable(&net), ["first", "second", "third"]);
        assert_eq!(reason(&net, "concat3"), Some(Unprunable::Derived));
        Ok(())
    }

    #[test]
    fn what_becomes_the_output_unit_by_unit_stays() -> Result<()> {
        let mut b = Builder::image("image", 3, 8, 8);
        let first = b.conv2d_same("first", 4, 3, 1).tip();
        b.conv2d_same("second", 6, 3, 1).concat(&[first]).layer("some", Take { units: vec![1, 8] }).flatten("values");
        let net = b.build()?;
        assert_eq!(prunable(&net), [""; 0]);
        assert!(["first", "second", "some", "values"].iter().all(|l| reason(&net, l) == Some(Unprunable::Output)));
        Ok(())
    }

    #[test]
    fn factors_go_with_their_channels() -> Result<()> {
        let mut b = Builder::image("image", 3, 8, 8);
        let image = b.conv2d_same("conv", 6, 3, 1).tip();
        b.global_avg_pool()
            .linear("squeeze", 2)
            .relu()
            .linear("excite", 6)
            .mul(image)
            .global_avg_pool()
            .linear("fc", 2);
        let net = b.build()?;
        assert_eq!(prunable(&net), ["conv", "squeeze"]);
        assert_eq!(reason(&net, "excite"), Some(Unprunable::Factor));
        Ok(())
    }

    #[test]
    fn groups_and_what_is_added_to_the_input_stay() -> Result<()> {
        let mut b = Builder::image("image", 4, 8, 8);
        let image = b.tip();
        b.conv2d_same("same", 4, 3, 1).add(image).conv2d_same("read", 6, 3, 1).relu();
        b.layer("grouped", Conv2d::new(4, 3).groups(2)).relu().conv2d("last", 5, 3).global_avg_pool().linear("fc", 2);
        let net = b.build()?;
        assert_eq!(prunable(&net), ["last"]);
        assert_eq!(reason(&net, "same"), Some(Unprunable::Input));
        assert_eq!(
            (reason(&net, "read"), reason(&net, "grouped")),
            (Some(Unprunable::Grouped), Some(Unprunable::Grouped))
        );
        Ok(())
    }
}
