//! The tables of a report.

use crate::{Align, Collection, Group, Machine, Outcome, Reference, Run, Status, Summary, Table};

const NONE: &str = "–";

/// A network's recipes, under each the published row that it repeats, then what others published.
pub fn versus_table(network: &str, groups: &[Group], references: &[Reference]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("", Left),
        ("seeds", Right),
        ("error %", Right),
        ("architecture", Left),
        ("weights kept %", Right),
        ("MACs kept %", Right),
        ("minutes", Right),
    ]);
    for group in groups.iter().filter(|group| group.finished().count() > 0) {
        table.push(own_row(group));
        if let Some(row) = &group.header().reference {
            table.push_muted(published_row(&format!("↳ {}", source(row)), row));
        }
    }
    let repeated = |row: &&Reference| groups.iter().any(|group| group.header().reference.as_ref() == Some(row));
    for row in references.iter().filter(|row| row.network == network && !repeated(row)) {
        table.push_muted(published_row(&format!("{}, {}", row.label, source(row)), row));
    }
    table
}

fn own_row(group: &Group) -> Vec<String> {
    let outcome = |value: fn(&Outcome) -> Option<f64>| group.summary(|run| value(&run.header.outcome));
    vec![
        marked(group),
        group.finished().count().to_string(),
        outcome(|o| o.test_error_percent).rounded(2),
        architecture(&group.architecture()),
        share(&outcome(Outcome::weights_kept_percent)),
        share(&outcome(Outcome::macs_kept_percent)),
        outcome(|o| o.train_seconds.map(|seconds| seconds / 60.0)).rounded(1),
    ]
}

fn published_row(label: &str, row: &Reference) -> Vec<String> {
    let percent = |x: Option<f64>| share(&Summary::of(x));
    vec![
        label.into(),
        String::new(),
        number(row.error_percent, 2),
        architecture(&row.architecture),
        percent(row.weights_kept_percent),
        percent(row.macs_kept_percent),
        String::new(),
    ]
}

fn source(row: &Reference) -> &str {
    if row.source.is_empty() { "published" } else { &row.source }
}

/// A share in percent; below one it takes a second digit to say something.
fn share(percent: &Summary) -> String {
    percent.rounded(if percent.mean < 1.0 { 2 } else { 1 })
}

/// A label with a sign if there is something to know about the runs.
fn marked(group: &Group) -> String {
    let sign = if group.header().caveat().is_some() { " *" } else { "" };
    format!("{}{sign}", group.label())
}

/// Every value that a group's means are made of.
pub fn values_table(groups: &[Group]) -> Table {
    use Align::{Left, Right};
    let columns = [
        ("", Left),
        ("error % of every seed", Left),
        ("expected density %", Right),
        ("parameters kept %", Right),
        ("peak memory, MB", Right),
    ];
    let mut table = Table::new(columns);
    for group in groups.iter().filter(|group| group.finished().count() > 0) {
        let outcome = |value: fn(&Outcome) -> Option<f64>| group.summary(|run| value(&run.header.outcome));
        table.push([
            marked(group),
            outcome(|o| o.test_error_percent).listed(2),
            outcome(|o| o.expected_density.map(|share| 100.0 * share)).rounded(1),
            outcome(|o| o.params_kept_percent()).rounded(1),
            outcome(|o| o.peak_memory_bytes.map(|bytes| bytes as f64 / 1e6)).rounded(0),
        ]);
    }
    table
}

/// Every run, finished or not, with its date and the number of its machine in the list below it.
pub fn runs_table(collection: &Collection) -> Table {
    use Align::{Left, Right};
    let columns = [
        ("run", Left),
        ("seed", Right),
        ("error %", Right),
        ("architecture", Left),
        ("epochs", Right),
        ("date", Left),
        ("revision", Left),
        ("machine", Right),
        ("status", Left),
    ];
    let mut table = Table::new(columns);
    let machines = machines(collection);
    for run in &collection.runs {
        table.push(run_row(collection, run, &machines));
    }
    table
}

fn run_row(collection: &Collection, run: &Run, machines: &[Machine]) -> Vec<String> {
    let header = &run.header;
    let name = run.path.strip_prefix(&collection.root).unwrap_or(&run.path);
    let machine = machines.iter().position(|machine| *machine == header.machine);
    vec![
        name.display().to_string(),
        header.seed.to_string(),
        number(header.outcome.test_error_percent, 2),
        architecture(&header.outcome.architecture),
        run.rows.last().map_or(0, |row| row.epoch).to_string(),
        header.start.chars().take(10).collect(),
        header.revision.chars().take(9).collect(),
        machine.map_or(String::new(), |index| (index + 1).to_string()),
        status(run),
    ]
}

fn status(run: &Run) -> String {
    let header = &run.header;
    let word = match (header.status, &header.message) {
        (Status::Failed, Some(message)) => format!("failed: {message}"),
        (status, _) => status.word().to_string(),
    };
    match header.caveat() {
        Some(caveat) => format!("{word}; {caveat}"),
        None => word,
    }
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

fn number(x: Option<f64>, digits: usize) -> String {
    x.map_or(NONE.into(), |x| format!("{x:.digits$}"))
}

fn architecture(layers: &[usize]) -> String {
    let layers: Vec<String> = layers.iter().map(usize::to_string).collect();
    if layers.is_empty() { NONE.into() } else { layers.join("-") }
}
