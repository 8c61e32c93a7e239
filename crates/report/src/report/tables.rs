//! The tables of a report.

use std::path::Path;

use l0_record::{Machine, Outcome, Reference, Run, RunHeader, StartedFrom, Status};

use crate::measure::{Measure, digits};
use crate::{Align, Collection, Group, Spread, Summary, Table};

/// What stands where there is no number.
pub(super) const NONE: &str = "–";

/// A network's recipes, under each the published row that it repeats, once for all its settings; then what others
/// published.
pub(super) fn versus_table(network: &str, groups: &[Group], references: &[Reference]) -> Table {
    use Align::{Left, Right};
    let measure = Measure::of(groups);
    let mut columns = vec![("", Left), ("seeds", Right)];
    columns.extend(measure.columns().iter().map(|name| (*name, Right)));
    columns.extend([("architecture", Left), ("weights kept %", Right), ("MACs kept %", Right)]);
    let mut table = Table::new(columns);
    let sources = sources(network, groups, references);
    let shown: Vec<&Group> = groups.iter().filter(|group| group.finished().count() > 0).collect();
    let mut reference: Option<&Reference> = None;
    let publish = |table: &mut Table, row: Option<&Reference>| {
        let Some(row) = row else { return };
        let label =
            if row.network == network { "↳ published".into() } else { format!("↳ published, {}", row.network) };
        table.push_muted(published_row(measure, &label, row, &sources));
    };
    for group in shown {
        // Those from scratch belong to the row above them, as what was published does.
        if !group.from_scratch_below && !reference.is_some_and(|row| group.repeats(row)) {
            publish(&mut table, std::mem::replace(&mut reference, group.header().reference.as_ref()));
        }
        table.push(own_row(measure, group));
    }
    publish(&mut table, reference);
    for row in others(network, groups, references) {
        let label = if row.network == network { row.label.clone() } else { format!("{}, {}", row.network, row.label) };
        table.push_muted(published_row(measure, &label, row, &sources));
    }
    table
}

fn own_row(measure: Measure, group: &Group) -> Vec<String> {
    let outcome = |value: fn(&Outcome) -> Option<f64>| group.summary(|run| value(&run.header.outcome));
    let mut cells = vec![group.marked_label(), group.finished().count().to_string()];
    cells.extend(measure.cells(group));
    cells.push(units_left(group));
    cells.extend([Outcome::weights_kept_percent, Outcome::macs_kept_percent].map(|kept| share(&outcome(kept))));
    cells
}

fn published_row(measure: Measure, label: &str, row: &Reference, sources: &[&str]) -> Vec<String> {
    let percent = |x: Option<f64>| share(&Summary::of(x));
    let source = sources.iter().position(|source| *source == row.source);
    let mut cells = vec![source.map_or(label.into(), |index| format!("{label} {}", note_sign(index))), String::new()];
    cells.extend(match measure {
        Measure::Error => vec![number(row.error_percent, 2)],
        Measure::Rmse => vec![String::new(); measure.columns().len()],
    });
    cells.push(architecture(&row.architecture));
    cells.extend([row.weights_kept_percent, row.macs_kept_percent].map(percent));
    cells
}

/// The published rows that no run repeats: of this network, and of the larger ones that it stands for.
fn others<'a>(network: &str, groups: &[Group], references: &'a [Reference]) -> Vec<&'a Reference> {
    let repeated = |row: &Reference| groups.iter().any(|group| group.repeats(row));
    let stands_for = |group: &Group| group.header().reference.as_ref().map(|row| row.network.clone());
    let larger: Vec<String> = groups.iter().filter_map(stands_for).collect();
    let beside = |row: &&Reference| row.network == network || larger.contains(&row.network);
    references.iter().filter(beside).filter(|row| !repeated(row)).collect()
}

/// Who published the rows of a table, each once, in the order of the signs that the rows bear.
pub(super) fn sources<'a>(network: &str, groups: &[Group<'a>], references: &'a [Reference]) -> Vec<&'a str> {
    let repeated = groups.iter().filter_map(|group| group.header().reference.as_ref());
    let mut sources: Vec<&str> = Vec::new();
    for row in repeated.chain(others(network, groups, references)) {
        if !row.source.is_empty() && !sources.contains(&row.source.as_str()) {
            sources.push(&row.source);
        }
    }
    sources
}

/// The sign of a note, counted from 0: ¹, ², ³ and so on.
pub(super) fn note_sign(index: usize) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    (index + 1).to_string().bytes().map(|digit| RAISED[usize::from(digit - b'0')]).collect()
}

/// A share in percent; below one it takes a second digit to say something.
pub(super) fn share(percent: &Summary) -> String {
    percent.rounded(if percent.mean < 1.0 { 2 } else { 1 })
}

/// Every value that a group's means are made of.
pub(super) fn values_table(groups: &[Group]) -> Table {
    use Align::{Left, Right};
    let measure = Measure::of(groups);
    let of_every_seed = format!("{} of every seed", measure.columns()[0]);
    let columns = [
        ("", Left),
        (of_every_seed.as_str(), Left),
        ("expected L0 %", Right),
        ("parameters expected %", Right),
        ("parameters kept %", Right),
        ("ms a step of every seed", Left),
        ("examples a step", Right),
        ("peak memory, MB", Right),
    ];
    let mut table = Table::new(columns);
    for group in groups.iter().filter(|group| group.finished().count() > 0) {
        let outcome = |value: fn(&Outcome) -> Option<f64>| group.summary(|run| value(&run.header.outcome));
        table.push([
            group.marked_label(),
            measure.listed(group),
            outcome(|o| o.expected_density.map(|share| 100.0 * share)).rounded(1),
            group.summary(expected_params_percent).rounded(1),
            outcome(|o| o.params_kept_percent()).rounded(1),
            group.summary(step_ms).listed(1),
            batch_size(group).map_or(NONE.into(), |examples| examples.to_string()),
            outcome(|o| o.peak_memory_bytes.map(|bytes| bytes as f64 / 1e6)).rounded(0),
        ]);
    }
    table
}

/// Parameters that the gates are expected to leave at the end of a run: what a density of parameters is asked of.
fn expected_params_percent(run: &Run) -> Option<f64> {
    let expected = run.rows.last()?.expected_params?;
    Some(100.0 * expected / run.header.outcome.params_total? as f64)
}

/// What a training step of a run took: the median of its epochs, which a busy machine moves less than a sum.
fn step_ms(run: &Run) -> Option<f64> {
    let times: Vec<f64> = run.rows.iter().filter_map(|row| row.step_ms).collect();
    (!times.is_empty()).then(|| Spread::of(times).median)
}

/// How many examples a step of these runs takes, where their settings say it.
fn batch_size(group: &Group) -> Option<u64> {
    group.header().config.pointer("/training/batch_size")?.as_u64()
}

/// Every run, finished or not, with its date and the number of its machine in the list below it.
pub(super) fn runs_table(collection: &Collection) -> Table {
    use Align::{Left, Right};
    let has_numbers = collection.runs.iter().any(|run| run.header.outcome.test_rmse.is_some());
    let mut columns = vec![("run", Left), ("seed", Right), ("error %", Right)];
    columns.extend(has_numbers.then_some(("RMSE", Right)));
    columns.extend([
        ("architecture", Left),
        ("epochs", Right),
        ("date", Left),
        ("revision", Left),
        ("machine", Right),
        ("status", Left),
    ]);
    let mut table = Table::new(columns);
    let machines = machines(collection);
    for run in &collection.runs {
        let mut cells = run_row(collection, run, &machines);
        let rmse = Summary::of(run.header.outcome.test_rmse);
        cells.splice(3..3, has_numbers.then(|| rmse.rounded(digits(&rmse))));
        table.push(cells);
    }
    table
}

fn run_row(collection: &Collection, run: &Run, machines: &[Machine]) -> Vec<String> {
    let header = &run.header;
    let machine = machines.iter().position(|machine| *machine == header.machine);
    vec![
        below(collection, &run.path),
        header.seed.to_string(),
        number(header.outcome.test_error_percent, 2),
        architecture(&header.outcome.architecture),
        run.rows.last().map_or(0, |row| row.epoch).to_string(),
        header.start.chars().take(10).collect(),
        revisions(header),
        machine.map_or(String::new(), |index| (index + 1).to_string()),
        status(collection, run),
    ]
}

/// The code that a run was trained by: of one that was resumed, all of it in its order.
fn revisions(header: &RunHeader) -> String {
    let resumed = header.resumed.iter().map(|resumed| &resumed.revision);
    let mut all: Vec<String> = std::iter::once(&header.revision).chain(resumed).map(|one| revision(one)).collect();
    all.dedup();
    all.join(" then ")
}

/// The first digits of a commit, and whether the checkout differed from it.
fn revision(revision: &str) -> String {
    match revision.split_once('-') {
        Some((commit, mark)) => format!("{commit:.9}, {mark}"),
        None => format!("{revision:.9}"),
    }
}

/// A folder as it is called below that of the collection.
fn below(collection: &Collection, path: &Path) -> String {
    path.strip_prefix(&collection.root).unwrap_or(path).display().to_string()
}

fn status(collection: &Collection, run: &Run) -> String {
    let header = &run.header;
    let mut word = match (header.status, &header.message) {
        (Status::Failed, Some(message)) => format!("failed: {message}"),
        (status, _) => status.word().to_string(),
    };
    if let Some(later) = collection.repeated.get(&run.path) {
        word += &format!(", repeated in {}", below(collection, later));
    }
    let remark = collection.remarks.get(&run.path).cloned();
    std::iter::once(word)
        .chain(taught_by(collection, run))
        .chain(remark)
        .chain(header.caveat())
        .collect::<Vec<_>>()
        .join("; ")
}

/// The networks that a run learnt from, with the first digits of the digests of their files. One that was trained again
/// may be another network under the same name; runs of earlier versions do not record the digest of the values, by which
/// one could tell.
fn taught_by(collection: &Collection, run: &Run) -> Option<String> {
    let all = || collection.runs.iter().flat_map(|run| &run.header.taught_by);
    let named = |teacher: &StartedFrom| {
        let is_other = |other: &StartedFrom| other.run == teacher.run && !other.has_values_of(teacher);
        let mark = if all().any(is_other) { ", not the only file of that name" } else { "" };
        format!("{} ({:.9}{mark})", teacher.run, teacher.sha256)
    };
    let teachers: Vec<String> = run.header.taught_by.iter().map(named).collect();
    (!teachers.is_empty()).then(|| format!("taught by {}", teachers.join(", ")))
}

/// The machines of all runs, each once.
pub(super) fn machines(collection: &Collection) -> Vec<Machine> {
    let mut machines: Vec<Machine> = Vec::new();
    for run in &collection.runs {
        if !machines.contains(&run.header.machine) {
            machines.push(run.header.machine.clone());
        }
    }
    machines
}

pub(super) fn number(x: Option<f64>, digits: usize) -> String {
    x.map_or(NONE.into(), |x| format!("{x:.digits$}"))
}

/// What stands before units left that are the mean of seeds that do not agree.
const MEAN: char = '≈';

/// What that sign means, where some of the groups bear it.
pub(super) fn mean_note(groups: &[Group]) -> Option<String> {
    let is_mean = |group: &Group| !group.agrees_on_units() && !group.architecture().is_empty();
    groups.iter().any(is_mean).then(|| format!("{MEAN} units left: the mean of the seeds, rounded"))
}

/// The units left of a group, layer by layer.
pub(super) fn units_left(group: &Group) -> String {
    let units = group.architecture();
    let text = architecture(&units);
    if units.is_empty() || group.agrees_on_units() { text } else { format!("{MEAN} {text}") }
}

fn architecture(layers: &[usize]) -> String {
    let layers: Vec<String> = layers.iter().map(usize::to_string).collect();
    if layers.is_empty() { NONE.into() } else { layers.join("-") }
}
