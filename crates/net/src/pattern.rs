//! Names with stars in them, each of which stands for any part of a name.

/// Such a name, as "features.*.weight".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pattern<'a>(&'a str);

impl<'a> Pattern<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text)
    }

    pub(crate) fn stars(self) -> usize {
        self.0.matches('*').count()
    }

    /// What each star stands for in `name`, if the whole of it fits: as little as it can, from the left.
    pub(crate) fn found(self, name: &str) -> Option<Vec<&str>> {
        let mut parts = self.0.split('*');
        let mut name = name.strip_prefix(parts.next()?)?;
        let Some(last) = parts.next_back() else { return name.is_empty().then(Vec::new) };
        let mut found = Vec::new();
        for part in parts {
            let at = name.find(part)?;
            found.push(&name[..at]);
            name = &name[at + part.len()..];
        }
        found.push(name.strip_suffix(last)?);
        Some(found)
    }

    /// The name in which each star is one of `found`.
    pub(crate) fn filled(self, found: &[&str]) -> String {
        let stars = found.iter().copied().map(Some).chain(std::iter::repeat(None));
        self.0.split('*').zip(stars).flat_map(|(part, star)| [part, star.unwrap_or_default()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
        Pattern::new(pattern).found(name)
    }

    #[test]
    fn stars_stand_for_any_part_and_the_rest_for_itself() {
        assert_eq!(found("conv1", "conv1"), Some(vec![]));
        assert_eq!(found("conv1", "conv10"), None);
        assert_eq!(found("conv*", "conv10"), Some(vec!["10"]));
        assert_eq!(found("conv*", "conv"), Some(vec![""]));
        assert_eq!(found("*.weight", "a.b.weight"), Some(vec!["a.b"]));
        assert_eq!(found("layer*.conv*.weight", "layer1.0.conv2.weight"), Some(vec!["1.0", "2"]));
        assert_eq!(found("*.*", "a.b.c"), Some(vec!["a", "b.c"]), "as little as it can, from the left");
        assert_eq!((found("aba*ba", "aba"), found("a*b*c", "acb"), found("", "a")), (None, None, None));
        assert_eq!(found("é*", "éa"), Some(vec!["a"]));
    }

    #[test]
    fn a_name_is_filled_in() {
        assert_eq!(Pattern::new("stage*.c*").filled(&["1.0", "2"]), "stage1.0.c2");
        assert_eq!(Pattern::new("plain").filled(&[]), "plain");
    }
}
