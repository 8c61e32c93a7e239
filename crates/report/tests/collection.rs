//! Runs that belong together, and runs that must not be put together.

use std::fs;
use std::path::Path;

use l0_record::{DataId, Outcome, RunFolder, RunHeader, StartedFrom};
use l0_report::{Collection, Report, notes};
use serde_json::{Value, json};

fn header(recipe: &str, seed: u64, config: Value) -> RunHeader {
    RunHeader { network: "LeNet-300-100".into(), ..RunHeader::new(recipe, seed, config) }
}

fn finished(root: &Path, name: &str, header: RunHeader, error: f64, architecture: &[usize]) {
    let folder = RunFolder::create(root.join(name), &header).unwrap();
    let architecture = architecture.to_vec();
    folder.finish(Outcome { test_error_percent: Some(error), architecture, ..Outcome::default() }).unwrap();
}

#[test]
fn seeds_are_summed_up_and_settings_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let config = |seed: u64, epochs: u64| json!({ "seed": seed, "epochs": epochs });
    finished(root.path(), "a", header("mlp-l0", 2, config(2, 200)), 1.4, &[210, 90]);
    finished(root.path(), "b", header("mlp-l0", 1, config(1, 200)), 1.6, &[213, 91]);
    finished(root.path(), "c", header("mlp-l0", 1, config(1, 30)), 2.0, &[300, 95]);
    finished(root.path(), "d", header("mlp-dense", 1, config(1, 200)), 1.7, &[]);

    let collection = Collection::read(root.path()).unwrap();
    let groups = collection.groups();
    let labels: Vec<String> = groups.iter().map(|group| group.label()).collect();
    assert_eq!(labels, ["mlp-dense", "mlp-l0 (epochs = 200)", "mlp-l0 (epochs = 30)"]);
    let namesake = RunHeader { title: "mlp-dense".into(), ..header("mine", 1, json!({})) };
    finished(root.path(), "e", namesake, 1.7, &[]);
    let labels: Vec<String> =
        Collection::read(root.path()).unwrap().groups().iter().map(|group| group.label()).collect();
    assert_eq!(labels[..2], ["mlp-dense (mine)", "mlp-dense (mlp-dense)"]);
    let errors = groups[1].summary(|run| run.header.outcome.test_error_percent);
    assert_eq!(errors.values, [1.6, 1.4]);
    assert_eq!(errors.to_string(), "1.50 ± 0.14");
    assert_eq!(groups[1].architecture(), [212, 91]);
}

/// Which device computed a run makes no difference to it, but for rounding; in which numbers it did, may.
#[test]
fn runs_in_other_numbers_are_a_group_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let on_a_gpu = |seed, precision: &str| {
        let mut header = header("wrn", seed, json!({}));
        header.machine.accelerator = Some("a GPU".into());
        header.machine.precision = Some(precision.into());
        header
    };
    finished(root.path(), "a", header("wrn", 1, json!({})), 4.0, &[]);
    finished(root.path(), "b", on_a_gpu(2, "f32"), 4.1, &[]);
    finished(root.path(), "c", on_a_gpu(1, "bf16"), 4.2, &[]);
    let collection = Collection::read(root.path()).unwrap();
    let groups = collection.groups();
    let seeds = |index: usize| groups[index].runs.iter().map(|run| run.header.seed).collect::<Vec<u64>>();
    let labels: Vec<String> = groups.iter().map(|group| group.label()).collect();
    assert_eq!(labels, ["wrn (precision = bf16)", "wrn (precision = f32)"]);
    assert_eq!((seeds(0), seeds(1)), (vec![1], vec![1, 2]));
    assert!(collection.repeated.is_empty());
}

#[test]
fn many_settings_are_a_letter_with_a_note() {
    let root = tempfile::tempdir().unwrap();
    let old = json!({ "constraint": { "learning_rate": 1e-4 }, "frozen_epochs": 2 });
    let new = json!({ "constraint": { "learning_rate": 1e-3 }, "frozen_epochs": 14, "l2": "detached" });
    finished(root.path(), "a", header("con-0.5", 1, old), 13.7, &[]);
    finished(root.path(), "b", header("con-0.5", 1, new), 13.6, &[]);
    let collection = Collection::read(root.path()).unwrap();
    let groups = collection.groups();
    let labels: Vec<String> = groups.iter().map(|group| group.label()).collect();
    assert_eq!(labels, ["con-0.5 (a)", "con-0.5 (b)"]);
    let expected = [
        "(a) constraint.learning_rate = 0.0001, frozen_epochs = 2, no l2",
        "(b) constraint.learning_rate = 0.001, frozen_epochs = 14, l2 = detached",
    ];
    assert_eq!(notes(&groups), expected);
}

#[test]
fn from_scratch_stands_below_the_row_whose_units_it_has() {
    let root = tempfile::tempdir().unwrap();
    let from_scratch = |recipe: &str, of: &str| {
        let from = StartedFrom { run: format!("{of}/seed-1"), from_scratch: true, ..StartedFrom::default() };
        RunHeader { started_from: Some(from), ..header(recipe, 1, json!({})) }
    };
    let labels = || {
        let collection = Collection::read(root.path()).unwrap();
        let groups = collection.groups();
        let labels: Vec<String> = groups.iter().map(|group| group.label()).collect();
        (labels, notes(&groups))
    };
    finished(root.path(), "a", header("con-0.5", 1, json!({})), 1.4, &[]);
    finished(root.path(), "b", header("con-0.5-more", 1, json!({})), 1.3, &[]);
    finished(root.path(), "c", from_scratch("con-0.5-scratch", "con-0.5"), 1.5, &[]);
    finished(root.path(), "d", from_scratch("con-0.5-more-scratch", "con-0.5-more"), 1.6, &[]);
    let (rows, said) = labels();
    assert_eq!(rows, ["con-0.5", "↳ from scratch", "con-0.5-more", "↳ from scratch"]);
    assert_eq!(said, ["* ↳ from scratch: only the units that pruning kept, with new values from the start"]);

    // Of two settings of a row it has the units of that with its own; what is not finished left none.
    finished(root.path(), "e", header("con-0.5", 1, json!({ "epochs": 9 })), 1.4, &[]);
    RunFolder::create(root.path().join("f"), &header("con-0.7", 1, json!({}))).unwrap();
    let small = RunHeader { scaled_down: Some("small".into()), ..from_scratch("con-0.7-scratch", "con-0.7") };
    finished(root.path(), "g", small, 1.7, &[]);
    let (rows, said) = labels();
    let settings = ["con-0.5 (no epochs)", "con-0.5 (epochs = 9)"].map(String::from);
    let at = settings.map(|row| rows.iter().position(|found| *found == row).unwrap());
    assert_eq!(rows[at[0] + 1], "↳ from scratch", "{rows:?}");
    assert_ne!(rows.get(at[1] + 1).map(String::as_str), Some("↳ from scratch"), "{rows:?}");
    assert!(rows.contains(&"con-0.7-scratch".into()), "{rows:?}");
    let kept = "only the units that pruning kept, with new values from the start";
    assert_eq!(said, [format!("* ↳ from scratch: {kept}"), format!("* con-0.7-scratch: scaled down: small; {kept}")]);

    // Where not the same is to be said of all of them, the notes call them by their names.
    let small = |header| RunHeader { scaled_down: Some("small".into()), ..header };
    finished(root.path(), "h", small(header("con-0.7", 2, json!({}))), 1.7, &[]);
    let (rows, said) = labels();
    assert_eq!(rows.iter().filter(|row| *row == "↳ from scratch").count(), 3, "{rows:?}");
    assert_eq!(said[0], format!("* con-0.5-scratch; con-0.5-more-scratch: {kept}"));
    assert_eq!(said[2], format!("* con-0.7-scratch: scaled down: small; {kept}"));
}

/// Top-k reads gates beside each other; those that stand still from the start are read one by one.
#[test]
fn from_scratch_stands_below_its_row_whatever_reads_its_gates() {
    let root = tempfile::tempdir().unwrap();
    let read_by =
        |estimator: &str, frozen: u64| json!({ "training": { "estimator": estimator, "frozen_epochs": frozen } });
    let from = StartedFrom { run: "con-0.5/seed-1".into(), from_scratch: true, ..StartedFrom::default() };
    let scratch = RunHeader { started_from: Some(from), ..header("con-0.5-scratch", 1, read_by("mean", 9)) };
    finished(root.path(), "a", header("con-0.5", 1, read_by("top-k", 0)), 1.4, &[]);
    finished(root.path(), "b", scratch, 1.5, &[]);
    let collection = Collection::read(root.path()).unwrap();
    let labels: Vec<String> = collection.groups().iter().map(|group| group.label()).collect();
    assert_eq!(labels, ["con-0.5", "↳ from scratch"]);
}

#[test]
fn seeds_belong_together_wherever_their_data_lies() {
    let root = tempfile::tempdir().unwrap();
    let on = |seed: u64, path: &str, digest: &str| {
        let data = DataId {
            name: "photos".into(),
            sha256: digest.into(),
            record: Some(json!({ "from_run": format!("../{path}"), "source": { "folder": path } })),
            ..DataId::default()
        };
        RunHeader { data, ..header("resnet", seed, json!({ "data": { "folder": path, "size": 32 } })) }
    };
    finished(root.path(), "a", on(1, "photos", "00"), 1.4, &[]);
    finished(root.path(), "b/more", on(2, "./photos", "00"), 1.5, &[]);
    finished(root.path(), "c", on(3, "photos", "01"), 1.6, &[]);
    let collection = Collection::read(root.path()).unwrap();
    let seeds: Vec<usize> = collection.groups().iter().map(|group| group.runs.len()).collect();
    assert_eq!(seeds, [2, 1]);
}

#[test]
fn a_run_that_did_not_finish_does_not_count() {
    let root = tempfile::tempdir().unwrap();
    finished(root.path(), "a", header("mlp-l0", 1, json!({})), 1.4, &[]);
    let failed = RunFolder::create(root.path().join("b"), &header("mlp-l0", 2, json!({}))).unwrap();
    failed.fail("loss is NaN at step 17").unwrap();
    let collection = Collection::read(root.path()).unwrap();
    let groups = collection.groups();
    assert_eq!((groups[0].runs.len(), groups[0].finished().count()), (2, 1));
}

#[test]
fn of_a_measurement_that_was_repeated_the_latest_counts() {
    let root = tempfile::tempdir().unwrap();
    let on = |day: &str| RunHeader { start: format!("{day}T12:00:00Z"), ..header("mlp-l0", 1, json!({ "lr": 0.1 })) };
    finished(root.path(), "b", on("2026-01-05"), 1.4, &[]);
    finished(root.path(), "a", on("2026-01-06"), 1.5, &[]);
    RunFolder::create(root.path().join("c"), &on("2026-01-07")).unwrap();
    let collection = Collection::read(root.path()).unwrap();
    let repeated: Vec<_> = collection.repeated.iter().collect();
    assert_eq!(repeated, [(&root.path().join("b"), &root.path().join("a"))]);
    let groups = collection.groups();
    assert_eq!(groups[0].summary(|run| run.header.outcome.test_error_percent).values, [1.5]);
    Report::default().write(&collection, root.path()).unwrap();
    let report = fs::read_to_string(root.path().join("REPORT.md")).unwrap();
    assert!(report.contains("finished, repeated in a"), "{report}");
}

#[test]
fn other_data_or_a_smaller_run_is_another_measurement() {
    let root = tempfile::tempdir().unwrap();
    let plain = header("mlp-l0", 1, json!({}));
    let small = RunHeader { scaled_down: Some("10 epochs".into()), ..plain.clone() };
    let mut drawn = RunHeader { synthetic: Some("drawn digits".into()), ..plain.clone() };
    drawn.data.name = "digits".into();
    for (name, header) in [("plain", plain), ("small", small), ("drawn", drawn)] {
        finished(root.path(), name, header, 1.4, &[]);
    }
    assert_eq!(Collection::read(root.path()).unwrap().groups().len(), 3);
}

#[test]
fn a_later_format_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    finished(root.path(), "a", header("mlp-l0", 1, json!({})), 1.4, &[]);
    let path = root.path().join("a/run.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 7");
    fs::write(&path, text).unwrap();
    let error = Collection::read(root.path()).unwrap_err().to_string();
    assert!(error.contains("run.json has format 7, this program reads format 1"), "{error}");
}

#[test]
fn layers_that_do_not_agree_have_no_mean() {
    let root = tempfile::tempdir().unwrap();
    finished(root.path(), "a", header("mlp-l0", 1, json!({})), 1.4, &[3, 2, 1]);
    finished(root.path(), "b", header("mlp-l0", 2, json!({})), 1.4, &[3, 2]);
    let collection = Collection::read(root.path()).unwrap();
    assert!(collection.groups()[0].architecture().is_empty());
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = Collection::read("no/such/results").unwrap_err().to_string();
    assert!(error.contains("no/such/results"), "{error}");
}
