//! All runs below a folder, and those of them that belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use l0_record::compare::{Difference, differences, settled, shown};
use l0_record::{DataId, Reference, Run, RunHeader, Status, find_runs, read_run};
use serde_json::{Value, json};

use crate::{Result, Summary};

/// All runs below a folder.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    /// The folder they lie below.
    pub root: PathBuf,
    /// The runs, in the order of their folders.
    pub runs: Vec<Run>,
    /// Folders of finished runs that were repeated, as someone does who reproduces a row beside ours, each with the
    /// folder of the repetition. A seed counts once: the latest run does.
    pub repeated: BTreeMap<PathBuf, PathBuf>,
    /// What someone who knows the recipes has to say of single runs, by their folders; none on reading. It stands
    /// beside the run in the list of runs, and under the table that it counts in.
    pub remarks: BTreeMap<PathBuf, String>,
    /// The folders of runs with the settings that their recipe has now, as someone who knows the recipes can tell; none on
    /// reading. Of several settings of a recipe, short tables show these.
    pub own_settings: BTreeSet<PathBuf>,
}

impl Collection {
    /// Reads every run below `root`.
    ///
    /// # Errors
    /// If a folder or a file cannot be read, or a file is of another format.
    pub fn read(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref().to_path_buf();
        let runs = find_runs(&root)?.iter().map(read_run).collect::<std::result::Result<Vec<_>, _>>()?;
        let repeated = repeated(&runs);
        Ok(Self { root, runs, repeated, ..Self::default() })
    }

    /// Runs that differ in nothing but the seed, group by group, by recipe, without those that were repeated.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: BTreeMap<(String, String), Vec<&Run>> = BTreeMap::new();
        for run in self.runs.iter().filter(|run| !self.repeated.contains_key(&run.path)) {
            let key = (run.header.recipe.clone(), identity(&run.header));
            groups.entry(key).or_default().push(run);
        }
        let mut groups: Vec<Group> = groups.into_values().map(Group::new).collect();
        let told_apart: Vec<_> = groups.iter().map(|group| group.told_apart(&groups)).collect();
        for (group, settings) in groups.iter_mut().zip(told_apart) {
            group.settings = settings;
        }
        give_letters(&mut groups);
        with_from_scratch_below(groups)
    }

    /// The remarks on the finished runs of these groups, a line for each group that has some.
    pub(crate) fn remarks_on(&self, groups: &[Group]) -> Vec<String> {
        let remark = |run: &&Run| Some(format!("seed {}: {}", run.header.seed, self.remarks.get(&run.path)?));
        let remarks = groups.iter().map(|group| (group.full_label(), group.finished().collect::<Vec<&Run>>()));
        let remarks = remarks.map(|(label, runs)| (label, runs.iter().filter_map(remark).collect::<Vec<_>>()));
        remarks
            .filter(|(_, said)| !said.is_empty())
            .map(|(label, said)| format!("{label}, {}", said.join("; ")))
            .collect()
    }

    /// Whether these runs have the settings that their recipe has now.
    pub(crate) fn is_own(&self, group: &Group) -> bool {
        group.runs.iter().any(|run| self.own_settings.contains(&run.path))
    }

    /// What a person should know about the files.
    pub fn warnings(&self) -> Vec<String> {
        self.runs.iter().flat_map(|run| run.warnings.iter().cloned()).collect()
    }
}

/// Most characters of settings that stand in a label; longer ones go into a note.
const SETTINGS_IN_LABEL: usize = 40;

/// Gives the groups with many settings a letter, a, b and so on for each network: a table is of one.
fn give_letters(groups: &mut [Group]) {
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for group in groups.iter_mut().filter(|group| group.settings.join(", ").len() > SETTINGS_IN_LABEL) {
        let index = used.entry(&group.header().network).or_default();
        group.letter = Some(letters(*index));
        *index += 1;
    }
}

/// a to z, then aa, ab and so on.
fn letters(index: usize) -> String {
    let last = char::from(b'a' + (index % 26) as u8);
    if index < 26 { last.into() } else { letters(index / 26 - 1) + &last.to_string() }
}

/// The groups with each that was trained from scratch directly below the one whose units it has, if that is among them.
pub(crate) fn with_from_scratch_below(groups: Vec<Group>) -> Vec<Group> {
    let (mut from_scratch, pruned): (Vec<Group>, Vec<Group>) =
        groups.into_iter().partition(|group| group.header().is_from_scratch());
    let mut arranged = Vec::new();
    for group in pruned {
        let is_of_it = |other: &mut Group| group.finished().count() > 0 && other.has_units_of(&group);
        let below: Vec<Group> = from_scratch.extract_if(.., is_of_it).collect();
        arranged.push(group);
        arranged.extend(below.into_iter().map(|below| Group { from_scratch_below: true, ..below }));
    }
    for group in from_scratch {
        let at = arranged.partition_point(|other| other.header().recipe <= group.header().recipe);
        arranged.insert(at, Group { from_scratch_below: false, ..group });
    }
    arranged
}

/// The finished runs for which there is a later one of the same seed and identity, with that one.
fn repeated(runs: &[Run]) -> BTreeMap<PathBuf, PathBuf> {
    let mut finished: Vec<&Run> = runs.iter().filter(|run| run.header.status == Status::Finished).collect();
    finished.sort_by_key(|run| (run.header.start.as_str(), run.path.as_path()));
    let key = |run: &Run| (run.header.seed, identity(&run.header));
    let latest: BTreeMap<_, _> = finished.iter().map(|run| (key(run), &run.path)).collect();
    let counting = finished.iter().map(|run| (run.path.clone(), latest[&key(run)].clone()));
    counting.filter(|(path, latest)| path != latest).collect()
}

/// Everything but the seed that makes two runs the same measurement, as text.
fn identity(header: &RunHeader) -> String {
    let RunHeader { recipe, network, data, scaled_down, synthetic, .. } = header;
    let (data, config) = (wherever(data), seedless(&header.config));
    let identity = (recipe, network, data, scaled_down, synthetic, config, header.machine.precision());
    serde_json::to_string(&identity).unwrap_or_default()
}

/// What tells data from other data: not where its files lie, nor where from a run sees them.
fn wherever(data: &DataId) -> Value {
    json!([data.name, data.sha256, data.caveat])
}

/// The settings without the seed, and without the path of the data.
fn seedless(config: &Value) -> Value {
    let mut config = settled(config);
    if let Value::Object(settings) = &mut config {
        settings.remove("seed");
        if let Some(Value::Object(data)) = settings.get_mut("data") {
            ["folder", "file"].into_iter().for_each(|path| drop(data.remove(path)));
        }
    }
    config
}

/// What is measured, with these settings, as text; whatever the recipe is called.
fn measured_as(header: &RunHeader, config: &Value) -> String {
    let RunHeader { network, data, scaled_down, synthetic, .. } = header;
    serde_json::to_string(&(network, wherever(data), scaled_down, synthetic, config, header.machine.precision()))
        .unwrap_or_default()
}

/// What a run from scratch has in common with the one whose units it has: all but what it begins with, and that its
/// gates stand still, which is why those of top-k are read one by one, by the mean.
fn family(header: &RunHeader) -> String {
    let mut config = seedless(&header.config);
    if let Value::Object(settings) = &mut config {
        settings.remove("start");
        if let Some(Value::Object(training)) = settings.get_mut("training") {
            training.remove("frozen_epochs");
            if let Some(estimator) = training.get_mut("estimator").filter(|estimator| **estimator == "top-k") {
                *estimator = "mean".into();
            }
        }
    }
    measured_as(header, &config)
}

/// What the rows of a curve have in common: all but the densities or the lambdas that they are held to. Of these the kind
/// counts: one for the network, or one for each layer.
fn untargeted(header: &RunHeader) -> String {
    let mut config = seedless(&header.config);
    if let Some(Value::Object(objective)) = config.get_mut("objective") {
        if let Some(lambdas) = objective.get_mut("lambdas") {
            *lambdas = json!(lambdas.as_array().map(Vec::len));
        }
        if let Some(targets) = objective.get_mut("constraint").and_then(|constraint| constraint.get_mut("targets")) {
            *targets = json!(targets.as_object().map(|kind| kind.keys().cloned().collect::<Vec<String>>()));
        }
    }
    measured_as(header, &config)
}

/// The settings by which a label tells groups apart.
fn told(header: &RunHeader) -> Value {
    let mut config = seedless(&header.config);
    if let Value::Object(settings) = &mut config {
        settings.insert("data".into(), header.data.name.clone().into());
        settings.insert("precision".into(), header.machine.precision().into());
    }
    config
}

/// Runs that differ in nothing but the seed.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// All of them, in the order of their seeds.
    pub runs: Vec<&'a Run>,
    /// What tells this group from others in a table: the settings in which it differs from those of its recipe, as
    /// `epochs = 30`; before them the recipe's name, if another one has its title.
    pub settings: Vec<String>,
    /// What stands for the settings where they are many, and is explained by one of the [`notes`].
    pub letter: Option<String>,
    /// Whether it was trained from scratch and stands below the group that kept its units.
    pub(crate) from_scratch_below: bool,
}

impl<'a> Group<'a> {
    pub(crate) fn new(mut runs: Vec<&'a Run>) -> Self {
        runs.sort_by_key(|run| run.header.seed);
        Self { runs, settings: Vec::new(), letter: None, from_scratch_below: false }
    }

    /// What the runs have in common.
    pub fn header(&self) -> &'a RunHeader {
        &self.runs[0].header
    }

    /// The recipe as a table calls it, with the settings that tell it from its like, or with their letter; a group that
    /// was trained from scratch below the one that kept its units is called no more than that.
    pub fn label(&self) -> String {
        self.called(if self.from_scratch_below { "↳ from scratch" } else { self.header().title() })
    }

    /// All that its runs have in common with those that are held to another density or lambda, as text.
    pub(crate) fn all_but_its_target(&self) -> String {
        untargeted(self.header())
    }

    /// The label, wherever the group stands.
    fn full_label(&self) -> String {
        self.called(self.header().title())
    }

    /// Whether it was trained from scratch with the units that the other kept.
    fn has_units_of(&self, other: &Group) -> bool {
        let (own, pruned) = (self.header(), other.header());
        own.from_scratch_after() == Some(&pruned.recipe) && family(own) == family(pruned)
    }

    fn called(&self, title: &str) -> String {
        let settings = self.short_settings();
        if settings.is_empty() { title.into() } else { format!("{title} ({settings})") }
    }

    /// The settings, or their letter; nothing if there are none.
    pub(crate) fn short_settings(&self) -> String {
        self.letter.clone().unwrap_or_else(|| self.settings.join(", "))
    }

    /// The label, with a star if there is a [caveat](RunHeader::caveat) to look for.
    pub fn marked_label(&self) -> String {
        let star = if self.header().caveat().is_some() { " *" } else { "" };
        self.label() + star
    }

    /// The runs that reached their end: only these count.
    pub fn finished(&self) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().copied().filter(|run| run.header.status == Status::Finished)
    }

    /// Whether the runs repeat this published row.
    pub fn repeats(&self, row: &Reference) -> bool {
        let names = |row: &Reference| (row.network.clone(), row.label.clone(), row.source.clone());
        self.header().reference.as_ref().map(names) == Some(names(row))
    }

    /// A number of every finished run that has it.
    pub fn summary(&self, value: impl Fn(&Run) -> Option<f64>) -> Summary {
        Summary::of(self.finished().filter_map(value))
    }

    /// The units left at test time, layer by layer: the mean over the finished runs, rounded.
    /// Empty if they do not agree on the number of layers.
    pub fn architecture(&self) -> Vec<usize> {
        let all: Vec<&[usize]> = self.finished().map(|run| &run.header.outcome.architecture[..]).collect();
        let layers = all.first().map_or(0, |first| first.len());
        if all.iter().any(|one| one.len() != layers) {
            return Vec::new();
        }
        let mean = |layer: usize| Summary::of(all.iter().map(|one| one[layer] as f64)).mean;
        (0..layers).map(|layer| mean(layer).round() as usize).collect()
    }

    /// Whether all finished runs kept the same units, so that their mean is what each of them kept.
    pub(crate) fn agrees_on_units(&self) -> bool {
        let mut all = self.finished().map(|run| &run.header.outcome.architecture);
        let first = all.next();
        all.all(|one| Some(one) == first)
    }

    fn told_apart(&self, all: &[Group]) -> Vec<String> {
        let own = told(self.header());
        let (recipe, row) = (&self.header().recipe, |group: &Group| (group.header().network.clone(), group.label()));
        let namesake = |other: &Group| other.header().recipe != *recipe && row(other) == row(self);
        let name = all.iter().any(namesake).then(|| recipe.clone());
        let mut settings = BTreeMap::new();
        let like = |other: &&Group| other.header().recipe == self.header().recipe;
        for other in all.iter().filter(like) {
            for Difference { path, left, .. } in differences(&own, &told(other.header())) {
                let setting = left.map_or(format!("no {path}"), |value| format!("{path} = {}", shown(Some(&value))));
                settings.insert(path, setting);
            }
        }
        name.into_iter().chain(settings.into_values()).collect()
    }
}

/// What stands below a table or figure of these groups: what the letters in their labels mean, then all caveats.
pub fn notes(groups: &[Group]) -> Vec<String> {
    let settings =
        groups.iter().filter_map(|group| Some(format!("({}) {}", group.letter.as_ref()?, group.settings.join(", "))));
    settings.chain(caveats(groups)).collect()
}

/// What must be said about some of the groups, each thing once, with the groups it is true of.
pub(crate) fn caveats(groups: &[Group]) -> Vec<String> {
    let mut said: Vec<(String, Vec<&Group>)> = Vec::new();
    for group in groups {
        let Some(caveat) = group.header().caveat() else { continue };
        match said.iter_mut().find(|(known, _)| *known == caveat) {
            Some((_, of)) => of.push(group),
            None => said.push((caveat, vec![group])),
        }
    }
    // One thing is true of all from scratch, or else each is called by its full name.
    let kinds = said.iter().filter(|(_, of)| of.iter().any(|group| group.from_scratch_below)).count();
    let label = |group: &Group| if kinds > 1 { group.full_label() } else { group.label() };
    let sentence = |(caveat, of): (String, Vec<&Group>)| {
        let mut labels: Vec<String> = of.iter().map(|group| label(group)).collect();
        labels.dedup();
        match of.len() == groups.len() {
            true => format!("* {caveat}"),
            false => format!("* {}: {caveat}", labels.join("; ")),
        }
    };
    said.into_iter().map(sentence).collect()
}
