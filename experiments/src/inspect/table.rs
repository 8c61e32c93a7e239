//! An inspection as text.

use std::fmt::{Display, Formatter, Result};

use l0_net::Plan;

use super::{Inspection, SpaceRow};

impl Display for Inspection {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (input, output) = self.shapes();
        writeln!(f, "{}: {}, {} bytes", self.file, self.format, self.bytes)?;
        let (now, before) = (self.cost, self.cost_before);
        let of = |before: Option<usize>| before.map_or(String::new(), |before| format!(" of {before}"));
        let (params, macs) = (of(before.map(|cost| cost.params)), of(before.map(|cost| cost.macs)));
        writeln!(f, "reads {input}, gives {output}; {}{params} parameters, {}{macs} MACs\n", now.params, now.macs)?;
        writeln!(f, "{}", self.net.summary(&Plan::full(&self.net)))?;
        let rows = |prunable: bool| -> Vec<[String; 3]> {
            self.spaces.iter().filter(|space| space.prunable == prunable).map(row).collect()
        };
        listed(f, "Units that can be pruned, and the layers that share them:", &rows(true))?;
        listed(f, "Units that stay:", &rows(false))?;
        let pruned = self.kept.iter().filter(|kept| kept.len() < kept.of);
        let kept = pruned.map(|kept| [String::new(), format!("{} / {}", kept.len(), kept.of), kept.layer.clone()]);
        listed(f, "Left of the layers that were pruned:", &kept.collect::<Vec<_>>())
    }
}

/// Letter, units, layers and reason of a space.
fn row(space: &SpaceRow) -> [String; 3] {
    let mut layers = if space.makers.is_empty() { space.name.clone() } else { space.makers.join(", ") };
    if let Some(because) = &space.because {
        layers += &format!(": {because}");
    }
    [space.coupled.clone().unwrap_or_default(), space.units.to_string(), layers]
}

/// Rows below a heading, if there are any: two columns that are as wide as they must be, and one that ends where it
/// ends.
fn listed(f: &mut Formatter<'_>, heading: &str, rows: &[[String; 3]]) -> Result {
    if rows.is_empty() {
        return Ok(());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (letters, numbers) = (width(0), width(1));
    writeln!(f, "{heading}")?;
    rows.iter()
        .try_for_each(|[letter, number, layers]| writeln!(f, "  {letter:<letters$} {number:>numbers$}  {layers}"))?;
    writeln!(f)
}
