//! Rules for values whose names in a file differ from a description's.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::str::FromStr;

use crate::pattern::Pattern;
use crate::{Error, Result};

/// Names of one form become names of another, as in `module.*=*` or `features.*.conv.weight=conv*.weight`.
///
/// Each star left of the equals sign stands for any part of a name, as little as it can from the left, and comes again
/// in the place of the star that is as many-eth on the right. Of several rules a name follows the first whose form it
/// has, and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    from: String,
    to: String,
}

/// A value, its names and the rule that it followed.
struct Moved<T> {
    name: String,
    to: String,
    rule: Option<usize>,
    value: T,
}

impl Rename {
    /// Names of the form `from` become `to`.
    ///
    /// # Errors
    /// If one is empty, or both do not have as many stars.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Result<Self> {
        let rule = Self { from: from.into(), to: to.into() };
        let [stars, wanted] = [&rule.from, &rule.to].map(|text| Pattern::new(text).stars());
        if rule.from.is_empty() || rule.to.is_empty() {
            return Err(rule.wrong("a side is empty, expected FROM=TO, as in module.*=*"));
        }
        match stars == wanted {
            true => Ok(rule),
            false => Err(rule.wrong(format!("has {wanted} stars on the right, expected {stars} as on the left"))),
        }
    }

    /// Values under their new names.
    ///
    /// # Errors
    /// If a rule is followed by no name, or two names become one.
    pub fn all<T>(rules: &[Self], named: HashMap<String, T>) -> Result<HashMap<String, T>> {
        let moved = |(name, value): (String, T)| {
            let to = rules.iter().enumerate().find_map(|(i, rule)| Some((Some(i), rule.of(&name)?)));
            let (rule, to) = to.unwrap_or_else(|| (None, name.clone()));
            Moved { name, to, rule, value }
        };
        let mut all: Vec<Moved<T>> = named.into_iter().map(moved).collect();
        all.sort_unstable_by(|a, b| (&a.to, &a.name).cmp(&(&b.to, &b.name)));
        for pair in all.windows(2).filter(|pair| pair[0].to == pair[1].to) {
            let problem = format!("both {:?} and {:?} become {:?}", pair[0].name, pair[1].name, pair[0].to);
            let rule = pair[0].rule.or(pair[1].rule).map(|i| &rules[i]);
            rule.map_or(Ok(()), |rule| Err(rule.wrong(problem)))?;
        }
        let followed = |i: usize| all.iter().any(|moved| moved.rule == Some(i));
        if let Some(i) = (0..rules.len()).find(|&i| !followed(i)) {
            let known = Error::known(&rules[i].from, all.iter().map(|moved| moved.name.as_str()));
            let before = if i > 0 { " and is not renamed before" } else { "" };
            return Err(rules[i].wrong(format!("no name has the form {:?}{before}; {known}", rules[i].from)));
        }
        Ok(all.into_iter().map(|moved| (moved.to, moved.value)).collect())
    }

    /// The new name, if the rule speaks of this one.
    fn of(&self, name: &str) -> Option<String> {
        Some(Pattern::new(&self.to).filled(&Pattern::new(&self.from).found(name)?))
    }

    fn wrong(&self, problem: impl Into<String>) -> Error {
        Error::Rename { rule: self.to_string(), problem: problem.into() }
    }
}

impl FromStr for Rename {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (from, to) = text.split_once('=').unwrap_or((text, ""));
        Self::new(from, to)
    }
}

impl Display for Rename {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(rules: &[&str], names: &[&str]) -> Result<Vec<String>> {
        let rules = rules.iter().map(|rule| rule.parse()).collect::<Result<Vec<_>>>()?;
        let named = names.iter().map(|&name| (name.to_string(), name)).collect();
        let mut all: Vec<String> =
            Rename::all(&rules, named)?.into_iter().map(|(to, from)| format!("{from}>{to}")).collect();
        all.sort();
        Ok(all)
    }

    #[test]
    fn a_name_follows_the_first_rule_of_its_form() -> Result<()> {
        let names = ["m.f.0.weight", "m.f.3.weight", "m.fc.bias", "n"];
        let expected = ["m.f.0.weight>conv0.weight", "m.f.3.weight>conv3.weight", "m.fc.bias>fc.bias", "n>n"];
        assert_eq!(renamed(&["m.f.*=conv*", "m.*=*"], &names)?, expected);
        assert_eq!(renamed(&["a=b", "b=a"], &["a", "b"])?, ["a>b", "b>a"], "each is renamed once");
        assert_eq!(renamed(&[], &["a"])?, ["a>a"]);
        Ok(())
    }

    #[test]
    fn rules_that_do_nothing_or_lose_something_are_refused() {
        let refused = |rules: &[&str], names: &[&str]| renamed(rules, names).unwrap_err().to_string();
        let both = "rename \"*.a=x\": has 0 stars on the right, expected 1 as on the left";
        assert_eq!(refused(&["*.a=x"], &[]), both);
        assert!(refused(&["module."], &[]).contains("a side is empty, expected FROM=TO"));
        let none = "rename \"moduel.*=*\": no name has the form \"moduel.*\"; there is module.a";
        assert_eq!(refused(&["moduel.*=*"], &["module.a"]), none);
        assert!(refused(&["*=y*", "a=b"], &["a"]).contains("\"a=b\": no name has the form"), "the first took it");
        let two = "rename \"m.*=*\": both \"a\" and \"m.a\" become \"a\"";
        assert_eq!(refused(&["m.*=*"], &["a", "m.a"]), two);
        assert!(refused(&["a=z"], &["a", "z"]).starts_with("rename \"a=z\": both"), "in whatever order they come");
    }
}
