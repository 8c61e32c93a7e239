//! A run's folder: what it refuses, and what survives a stop.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use l0_record::{
    DataId, EpochRow, Error, Named, Outcome, RunFolder, RunHeader, START, StartedFrom, Status, find_runs, read_run,
};
use serde_json::json;
use tempfile::TempDir;

fn header() -> RunHeader {
    let data = DataId { name: "mnist".into(), sha256: "ab".into(), ..DataId::default() };
    let start = "2026-11-22T10:00:00Z".into();
    RunHeader { data, start, ..RunHeader::new("mlp-l0", 1, json!({ "epochs": 3, "adam": { "lr": 0.001 } })) }
}

fn row(epoch: u64) -> EpochRow {
    EpochRow { epoch, step: 600 * epoch, train_loss: 1.0 / epoch as f64, ..EpochRow::default() }
}

fn place() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("2026-11-22/mlp-l0/seed-1");
    (temp, path)
}

/// A folder whose run was left after `epochs` without a word, as by a kill.
fn killed_after(path: &Path, epochs: u64) {
    let mut folder = RunFolder::create(path, &header()).unwrap();
    (1..=epochs).for_each(|epoch| folder.append(&row(epoch)).unwrap());
}

/// Everything in the folder that a person would read, names sorted.
fn contents(path: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != "run.json")
        .collect();
    files.sort();
    files
}

#[test]
fn a_run_is_read_back_as_it_was_written() {
    let (_temp, path) = place();
    let mut folder = RunFolder::create(&path, &header()).unwrap();
    (1..=3).for_each(|epoch| folder.append(&row(epoch)).unwrap());
    let gates: Named<Vec<f32>> = [("fc1".into(), vec![0.0, 0.5, 1.0])].into();
    folder.write_gates(&gates).unwrap();
    let outcome = Outcome { test_error_percent: Some(1.5), ..Outcome::default() };
    folder.finish(outcome.clone()).unwrap();

    let run = read_run(&path).unwrap();
    assert_eq!(run.header.status, Status::Finished);
    assert_eq!(run.header.outcome, outcome);
    assert_eq!(run.rows, [row(1), row(2), row(3)]);
    assert_eq!(run.gates, gates);
    assert!(run.warnings.is_empty() && run.header.end.is_some());
}

#[test]
fn gates_that_could_not_be_read_back_are_not_written() {
    let (_temp, path) = place();
    let folder = RunFolder::create(&path, &header()).unwrap();
    let gates: Named<Vec<f32>> = [("fc1".into(), vec![0.0, f32::NAN])].into();
    let error = folder.write_gates(&gates).unwrap_err().to_string();
    let problem = "gates.json: value 1 of fc1, from 0, is NaN, expected finite values of gates";
    assert!(error.starts_with("cannot write ") && error.ends_with(problem), "{error}");
    assert!(!path.join("gates.json").exists());
    read_run(&path).unwrap();
}

#[test]
fn a_row_is_on_disk_once_it_is_appended() {
    let (_temp, path) = place();
    let mut folder = RunFolder::create(&path, &header()).unwrap();
    folder.append(&row(1)).unwrap();
    assert_eq!(read_run(&path).unwrap().rows, [row(1)]);
}

#[test]
fn a_failed_run_tells_why() {
    let (_temp, path) = place();
    RunFolder::create(&path, &header()).unwrap().fail("loss is NaN at step 17").unwrap();
    let header = read_run(&path).unwrap().header;
    assert_eq!(header.status, Status::Failed);
    assert_eq!(header.message.as_deref(), Some("loss is NaN at step 17"));
}

#[test]
fn a_run_that_failed_before_its_first_epoch_makes_way_for_one_of_other_settings() {
    let other = || RunHeader { config: serde_json::json!({ "learning_rate": 0.5 }), ..header() };
    let failed = |rows: u64, checkpoints: bool| {
        let (temp, path) = place();
        let mut folder = RunFolder::create(&path, &header()).unwrap();
        (1..=rows).for_each(|epoch| folder.append(&row(epoch)).unwrap());
        folder.fail("loss is NaN").unwrap();
        if checkpoints {
            fs::create_dir(path.join("checkpoints")).unwrap();
        }
        (temp, RunFolder::resume(&path, &other()).map(|folder| folder.header().clone()))
    };
    let begun = failed(0, false).1.unwrap();
    assert_eq!((begun.status, begun.config, begun.message), (Status::Running, other().config, None));
    assert!(begun.resumed.is_empty());
    for (rows, checkpoints) in [(1, false), (0, true)] {
        let refused = failed(rows, checkpoints).1.unwrap_err();
        assert!(matches!(refused, Error::Differs { .. }), "{refused}");
    }
}

#[test]
fn a_folder_says_whether_its_run_makes_way() {
    let (_temp, path) = place();
    assert!(!RunFolder::makes_way(&path), "there is none");
    let folder = RunFolder::create(&path, &header()).unwrap();
    assert!(!RunFolder::makes_way(&path), "it is being trained");
    folder.fail("loss is NaN").unwrap();
    assert!(RunFolder::makes_way(&path));
    let mut folder = RunFolder::resume(&path, &header()).unwrap();
    folder.append(&row(1)).unwrap();
    folder.fail("loss is NaN").unwrap();
    assert!(!RunFolder::makes_way(&path), "it has an epoch");
}

#[test]
fn what_a_run_that_makes_way_left_is_not_taken_for_the_next_ones() {
    let (_temp, path) = place();
    let failed = |header: &RunHeader| {
        let folder = if path.exists() { RunFolder::resume(&path, header) } else { RunFolder::create(&path, header) };
        folder.unwrap().fail("loss is NaN").unwrap();
        contents(&path).into_iter().map(|(name, _)| name).collect::<Vec<String>>()
    };
    let first = failed(&header());
    fs::write(path.join(START), "values of another run").unwrap();
    fs::write(path.join("notes.txt"), "mine").unwrap();
    // The same run goes on with the values that it began with.
    let again = failed(&RunHeader { start: "2026-11-22T11:00:00Z".into(), ..header() });
    assert_eq!(again.len(), first.len() + 2, "{again:?}");
    // One of other settings has its own values, and its events under its own start.
    let config = json!({ "epochs": 3, "adam": { "lr": 0.0001 } });
    let other = failed(&RunHeader { start: "2026-11-22T11:00:00Z".into(), config, ..header() });
    let events =
        |names: &[String]| names.iter().filter(|name| name.starts_with("events.")).cloned().collect::<Vec<_>>();
    assert_eq!((events(&other).len(), events(&first).len()), (1, 1), "{other:?}");
    assert_ne!(events(&other), events(&first));
    assert!(other.contains(&"notes.txt".to_string()) && !other.contains(&START.to_string()), "{other:?}");
}

#[test]
fn a_folder_with_a_run_is_refused_and_left_as_it_is() {
    let (_temp, path) = place();
    killed_after(&path, 2);
    let before = contents(&path);
    let error = RunFolder::create(&path, &header()).unwrap_err();
    assert!(matches!(&error, Error::Taken { .. }), "{error}");
    assert!(error.to_string().contains("a run of mlp-l0, seed 1"), "{error}");
    assert_eq!(contents(&path), before);
}

#[test]
fn a_folder_with_anything_is_refused() {
    for name in ["thesis.txt", "thesis.tmp"] {
        let (_temp, path) = place();
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(name), "years of work").unwrap();
        let before = contents(&path);
        let error = RunFolder::create(&path, &header()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(contents(&path), before);
    }
}

#[test]
fn a_second_writer_is_refused() {
    let (_temp, path) = place();
    let first = RunFolder::create(&path, &header()).unwrap();
    assert!(matches!(RunFolder::create(&path, &header()), Err(Error::Locked { .. })));
    assert!(matches!(RunFolder::resume(&path, &header()), Err(Error::Locked { .. })));
    drop(first);
    RunFolder::resume(&path, &header()).unwrap();
}

#[test]
fn a_resumed_run_leaves_the_files_of_an_undisturbed_one() {
    let (_temp, undisturbed) = place();
    killed_after(&undisturbed, 5);
    let (_temp, path) = place();
    killed_after(&path, 4);
    let mut bytes = fs::read(path.join("metrics.jsonl")).unwrap();
    bytes.extend(br#"{"epoch":5,"st"#);
    fs::write(path.join("metrics.jsonl"), bytes).unwrap();

    fs::write(path.join("run.json.0123456789abcdef.tmp"), b"{ half").unwrap();

    let mut folder = RunFolder::resume(&path, &header()).unwrap();
    assert_eq!(folder.last_epoch(), 4);
    folder.truncate_after(2).unwrap();
    (3..=5).for_each(|epoch| folder.append(&row(epoch)).unwrap());
    assert_eq!(contents(&path), contents(&undisturbed));
    assert!(contents(&path).iter().any(|(name, _)| name.starts_with("events.out.tfevents.")));
    assert_eq!(folder.header().resumed.len(), 1);
}

#[test]
fn a_half_written_row_is_reported_and_left_out() {
    let (_temp, path) = place();
    killed_after(&path, 1);
    let mut bytes = fs::read(path.join("metrics.jsonl")).unwrap();
    bytes.extend(b"{\"epoch\":2");
    fs::write(path.join("metrics.jsonl"), bytes).unwrap();
    let run = read_run(&path).unwrap();
    assert_eq!(run.rows, [row(1)]);
    assert!(run.warnings[0].contains("10 bytes"), "{:?}", run.warnings);
}

#[test]
fn rows_are_never_repeated() {
    let (_temp, path) = place();
    killed_after(&path, 2);
    let mut folder = RunFolder::resume(&path, &header()).unwrap();
    assert!(matches!(folder.append(&row(2)), Err(Error::Order { last: 2, next: 2, .. })));
    folder.append(&row(3)).unwrap();
}

#[test]
fn rows_that_a_checkpoint_needs_are_missed_aloud() {
    let (_temp, path) = place();
    killed_after(&path, 2);
    let error = RunFolder::resume(&path, &header()).unwrap().truncate_after(3).unwrap_err();
    assert!(error.to_string().contains("ends at epoch 2, but the checkpoint is of epoch 3"), "{error}");
}

#[test]
fn a_run_killed_before_its_first_row_can_go_on() {
    let (_temp, path) = place();
    killed_after(&path, 0);
    fs::remove_file(path.join("metrics.jsonl")).unwrap();
    let mut folder = RunFolder::resume(&path, &header()).unwrap();
    folder.truncate_after(0).unwrap();
    folder.append(&row(1)).unwrap();
    assert_eq!(read_run(&path).unwrap().rows, [row(1)]);
}

fn check_refused(change: impl Fn(&mut RunHeader), expected: &str) {
    let (_temp, path) = place();
    killed_after(&path, 1);
    let mut other = header();
    change(&mut other);
    let error = RunFolder::resume(&path, &other).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn another_run_is_not_resumed() {
    check_refused(|h| h.recipe = "mlp-dense".into(), "recipe = mlp-l0, but mlp-dense was asked for");
    check_refused(|h| h.seed = 2, "seed = 1, but 2 was asked for");
    check_refused(|h| h.data.sha256 = "cd".into(), "data.sha256 = ab, but cd was asked for; give the same data");
    check_refused(|h| h.config["adam"]["lr"] = json!(0.002), "config.adam.lr = 0.001, but 0.002");
    check_refused(|h| h.config["warm"] = json!(true), "config.warm = nothing, but true");
    check_refused(|h| h.machine.precision = Some("bf16".into()), "machine.precision = f32, but bf16 was asked for");
}

#[test]
fn values_are_known_by_themselves_where_their_file_says_something_else() {
    let of = |file: &str, values: Option<&str>| StartedFrom {
        sha256: file.into(),
        values: values.map(str::to_string),
        ..StartedFrom::default()
    };
    let begun = |from: &StartedFrom| RunHeader { started_from: Some(from.clone()), ..header() };
    let taught = |from: &StartedFrom| RunHeader { taught_by: vec![from.clone()], ..header() };
    let resumed = |begun: &RunHeader, asked: &RunHeader| {
        let (_temp, path) = place();
        drop(RunFolder::create(&path, begun).unwrap());
        RunFolder::resume(&path, asked).map(|folder| folder.header().clone()).map_err(|error| error.to_string())
    };
    let (own, again) = (of("aa", Some("01")), of("bb", Some("01")));
    assert_eq!(resumed(&begun(&own), &begun(&again)).unwrap().started_from, Some(own.clone()));
    assert_eq!(resumed(&taught(&own), &taught(&again)).unwrap().taught_by, std::slice::from_ref(&own));
    // A run of before knows the file alone.
    resumed(&begun(&of("aa", None)), &begun(&own)).unwrap();
    for (stored, asked) in [(&own, of("bb", Some("02"))), (&of("aa", None), again.clone()), (&own, of("bb", None))] {
        let error = resumed(&begun(stored), &begun(&asked)).unwrap_err();
        assert!(error.contains("started_from = aa, but bb was asked for; begin with the same values"), "{error}");
        assert!(resumed(&taught(stored), &taught(&asked)).unwrap_err().contains("taught_by"));
    }
}

#[test]
fn a_resumption_that_its_rows_refuse_leaves_the_folder_as_it_is() {
    let (_temp, path) = place();
    killed_after(&path, 2);
    fs::write(path.join("metrics.jsonl"), "{\"epoch\":1}\nnot a row\n").unwrap();
    let before = (fs::read(path.join("run.json")).unwrap(), contents(&path));
    let error = RunFolder::resume(&path, &header()).unwrap_err();
    assert!(matches!(error, Error::Parse { .. }), "{error}");
    assert_eq!((fs::read(path.join("run.json")).unwrap(), contents(&path)), before);
}

/// As a run records its data, with means and standard deviations in the record or beside it.
#[test]
fn the_same_data_with_another_normalisation_is_other_data() {
    let of = |mean: f32| json!({ "mean": [mean], "std": [255.0] });
    let beside = |mean: f32| DataId { normalise: Some(of(mean)), ..header().data };
    let within = |mean: f32| DataId { record: Some(json!({ "normalise": of(mean) })), ..header().data };
    let resumed = |begun: DataId, asked: DataId| {
        let (_temp, path) = place();
        drop(RunFolder::create(&path, &RunHeader { data: begun, ..header() }).unwrap());
        let asked = RunHeader { data: asked, ..header() };
        RunFolder::resume(&path, &asked).map(|_| ()).map_err(|error| error.to_string())
    };
    for (begun, asked) in [(beside(0.0), beside(0.1)), (within(0.0), within(0.1)), (beside(0.0), within(0.1))] {
        let error = resumed(begun, asked).unwrap_err();
        assert!(error.contains("data.normalise.mean = [0.0], but [0.1"), "{error}");
        assert!(error.ends_with("normalise as it was recorded, or choose a new folder"), "{error}");
    }
    // What a number loses on its way to a file and back is no difference, and runs of before do not say it.
    for (begun, asked) in [(beside(0.1), within(0.1)), (header().data, beside(0.1)), (within(0.1), header().data)] {
        resumed(begun, asked).unwrap();
    }
}

#[test]
fn a_newer_revision_may_go_on_and_is_noted() {
    let (_temp, path) = place();
    killed_after(&path, 1);
    let newer = RunHeader { revision: "fedcba9".into(), ..header() };
    drop(RunFolder::resume(&path, &newer).unwrap());
    assert_eq!(read_run(&path).unwrap().header.resumed[0].revision, "fedcba9");
}

#[test]
fn what_is_known_of_the_data_now_counts_when_a_run_goes_on() {
    let (_temp, path) = place();
    killed_after(&path, 1);
    let mut now = header();
    now.data.caveat = Some("not MNIST: other test images".into());
    now.network = "MLP on other data".into();
    let stored = RunFolder::resume(&path, &now).unwrap().header().clone();
    assert_eq!((stored.data, stored.network, stored.reference), (now.data, now.network, None));
}

#[test]
fn a_finished_run_has_nothing_to_resume() {
    let (_temp, path) = place();
    RunFolder::create(&path, &header()).unwrap().finish(Outcome::default()).unwrap();
    assert!(matches!(RunFolder::resume(&path, &header()), Err(Error::Finished { .. })));
}

#[test]
fn a_folder_without_a_run_says_so() {
    let temp = tempfile::tempdir().unwrap();
    assert!(matches!(read_run(temp.path()), Err(Error::NoRun { .. })));
    let error = RunFolder::resume(temp.path().join("nowhere"), &header()).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn runs_are_found_at_any_depth_in_order() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["b/seed-2", "a", "b/seed-1", ".hidden/run", "scratch/run"] {
        drop(RunFolder::create(temp.path().join(name), &header()).unwrap());
    }
    let found = find_runs(temp.path()).unwrap();
    let expected = ["a", "b/seed-1", "b/seed-2"].map(|name| temp.path().join(name));
    assert_eq!(found, expected);
    assert_eq!(find_runs(temp.path().join("scratch")).unwrap().len(), 1);
}

/// A run that has just finished drops its checkpoints while a report or a sweep looks around.
#[test]
fn a_folder_that_goes_while_runs_are_looked_for_is_passed_over() {
    let temp = tempfile::tempdir().unwrap();
    let run = temp.path().join("a");
    drop(RunFolder::create(&run, &header()).unwrap());
    let (checkpoints, is_done) = (run.join("checkpoints"), AtomicBool::new(false));
    let found: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                fs::create_dir(&checkpoints).unwrap();
                fs::remove_dir(&checkpoints).unwrap();
            }
        });
        let found = (0..1000).map(|_| find_runs(temp.path())).collect();
        is_done.store(true, Ordering::Relaxed);
        found
    });
    found.into_iter().for_each(|found| assert_eq!(found.unwrap(), std::slice::from_ref(&run)));
    let error = find_runs(temp.path().join("nowhere")).unwrap_err().to_string();
    assert!(error.starts_with("cannot list ") && error.contains("nowhere"), "{error}");
}

/// Where a process of few bytes for each file is to write: the helper below does nothing without it.
#[cfg(target_os = "linux")]
const FOLDER: &str = "L0_RECORD_TEST_FOLDER";

#[cfg(target_os = "linux")]
#[test]
#[ignore = "a part of the next test, in a process of its own"]
fn rows_are_appended_until_one_finds_no_room() {
    let Some(path) = std::env::var_os(FOLDER) else { return };
    let mut folder = RunFolder::create(PathBuf::from(path), &header()).unwrap();
    // Counts of many digits have as many in a row, and 4 bytes in the events: so it is the rows that find no room.
    let open: Named<u64> = (0..30).map(|layer| (format!("{layer:02}"), u64::MAX)).collect();
    let row = |epoch| EpochRow { epoch, open: open.clone(), ..EpochRow::default() };
    let error = (1..1000).find_map(|epoch| folder.append(&row(epoch)).err()).expect("room for a few rows alone");
    let error = error.to_string();
    assert!(error.starts_with("cannot append to ") && error.contains("metrics.jsonl"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_full_disk_lets_through_of_a_row_is_taken_back() {
    let (_temp, path) = place();
    let limited = "trap '' XFSZ; ulimit -f 16; exec \"$0\" --ignored --exact rows_are_appended_until_one_finds_no_room";
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-c", limited]).arg(std::env::current_exe().unwrap()).env(FOLDER, &path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let rows = fs::read(path.join("metrics.jsonl")).unwrap();
    assert!(!rows.len().is_multiple_of(512), "the limit is, so that there was room for a piece");
    assert!(rows.ends_with(b"}\n"));
    let run = read_run(&path).unwrap();
    assert!(run.rows.len() > 1 && run.warnings.is_empty(), "{:?}", run.warnings);
}
