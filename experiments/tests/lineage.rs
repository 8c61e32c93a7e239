//! Rows that learn from other rows or begin with them: these are trained first, where they were not.
#![allow(missing_docs)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use l0_record::{RunFolder, Status, read_run};

fn train(args: &[&str]) -> Command {
    let mut command = common::program("train");
    command.args(args);
    command
}

fn ok(args: &[&str]) -> String {
    common::said(&common::ok(&mut train(args)))
}

fn fails(args: &[&str], said: &str) {
    common::fails(&mut train(args), &[said]);
}

/// The recipe of a small network that learns from one that `cargo quickstart` trains.
fn pupil(dir: &Path, teacher: &str) -> String {
    let text = format!(
        r#"
name = "pupil"
data = "digits"

[architecture]
kind = "mlp"
sizes = {{ image = [1, 28, 28], hidden = [20], classes = 10 }}
gating = "dense"

[training]
epochs = 40
batch_size = 100
weight_decay = 0.0
average = 0.0
sampling = "minibatch"
estimator = "mean"
frozen_epochs = 0
optimiser = {{ kind = "adam", learning_rate = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-8 }}
gate_optimiser = {{ kind = "adam", learning_rate = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-8 }}
schedule = {{ kind = "constant" }}

[teacher]
{teacher}
"#
    );
    let path = dir.join("pupil.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn teachers_are_trained_first_and_once() {
    let temp = tempfile::tempdir().unwrap();
    let file = pupil(temp.path(), "row = \"quickstart\"\ntemperature = 2.0\nshare = 0.5");
    let out = temp.path().join("out");
    // One epoch of 40: so is the teacher's.
    let args = ["--config", &file, "--epochs", "1", "--out", out.to_str().unwrap()];
    ok(&args);
    let (teacher, run) = (out.join("quickstart/seed-1"), out.join("pupil/seed-1"));
    let header = read_run(&run).unwrap().header;
    let digest = l0_files::sha256(&fs::read(teacher.join("gated.safetensors")).unwrap());
    let from: Vec<_> = header.taught_by.iter().map(|from| (from.run.as_str(), from.epochs, &from.sha256)).collect();
    assert_eq!(from, [("quickstart/seed-1", 1, &digest)]);
    assert_eq!(read_run(&teacher).unwrap().header.status, Status::Finished);
    // One that is tested on held-out images does not learn from a network that has seen them.
    let held_out = temp.path().join("held-out.toml");
    fs::write(&held_out, fs::read_to_string(&file).unwrap().replace("\"pupil\"", "\"held-out\"")).unwrap();
    let args_of = [held_out.to_str().unwrap(), "--epochs", "1", "--validation", "10", "--out", out.to_str().unwrap()];
    fails(&args_of, "tested on 10 training images that were held out: choose another --out");
    // A run that is over asks for no teacher; with another teacher it would be another run.
    fs::remove_dir_all(&teacher).unwrap();
    fs::create_dir(run.join("checkpoints")).unwrap(); // as where it was killed between its last two steps
    ok(&args);
    assert!(!teacher.exists() && !run.join("checkpoints").exists());
    let before = fs::read(run.join("metrics.jsonl")).unwrap();
    let other = pupil(temp.path(), "row = \"quickstart\"\ntemperature = 3.0\nshare = 0.5");
    fails(&["--config", &other, "--epochs", "1", "--out", out.to_str().unwrap()], "temperature");
    assert_eq!(fs::read(run.join("metrics.jsonl")).unwrap(), before);
}

#[test]
fn who_cannot_teach_is_said_before_training() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let refused = |teacher: &str, said: &str| {
        let file = pupil(temp.path(), teacher);
        fails(&["--config", &file, "--epochs", "1", "--out", out.to_str().unwrap()], said);
        assert!(!out.exists(), "{teacher}");
    };
    refused("row = \"quikstart\"\ntemperature = 2.0\nshare = 0.5", "no row is called \"quikstart\", to learn from");
    refused("row = \"quickstart\"\ntemperature = 0.0\nshare = 0.5", "temperature");
    refused("row = \"quickstart\"\nnetworks = 0\ntemperature = 2.0\nshare = 0.5", "networks is 0, expected 1 to 20");
    refused("row = \"quickstart\"\ntemperatur = 2.0\nshare = 0.5", "temperatur");
}

/// The recipe of `cargo quickstart` with another one's values to begin with.
fn begun(dir: &Path, start: &str) -> String {
    like_quickstart(dir, "begun", &format!("[start]\n{start}"))
}

fn like_quickstart(dir: &Path, name: &str, more: &str) -> String {
    let quickstart = include_str!("../recipes/quickstart.toml");
    let path = dir.join(name).with_extension("toml");
    fs::write(&path, format!("name = {name:?}\n{quickstart}\n{more}\n")).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn a_row_begins_with_the_networks_of_another() {
    let temp = tempfile::tempdir().unwrap();
    let file = begun(temp.path(), "row = \"lenet5-dense\"");
    let out = temp.path().join("out");
    let args = ["--config", &file, "--epochs", "1", "--out", out.to_str().unwrap()];
    ok(&args);
    let (first, run) = (out.join("lenet5-dense-on-digits/seed-1"), out.join("begun/seed-1"));
    let header = read_run(&run).unwrap().header;
    let bytes = fs::read(first.join("gated.safetensors")).unwrap();
    assert!(fs::read(run.join("start.safetensors")).unwrap() == bytes);
    let from = header.started_from.clone().unwrap();
    assert_eq!((from.run.as_str(), from.epochs, from.by_recipe), ("lenet5-dense-on-digits/seed-1", 5, true));
    assert!(
        header.caveat().unwrap().contains("begun with what lenet5-dense-on-digits left after 5 epochs"),
        "{header:?}"
    );
    // It begins with them: in its first epoch it errs less than one that begins with random values.
    let control = like_quickstart(temp.path(), "control", "");
    ok(&["--config", &control, "--epochs", "1", "--out", out.to_str().unwrap()]);
    let error = |run: &Path| read_run(run).unwrap().rows[0].train_error_percent.unwrap();
    let (begun, random) = (error(&run), error(&out.join("control/seed-1")));
    assert!(begun < 0.7 * random, "{begun} % and {random} %");

    // A run that was killed before it had its values takes them from the other again; not where these are other ones.
    fs::remove_dir_all(&run).unwrap();
    drop(RunFolder::create(&run, &header).unwrap());
    fs::rename(first.join("gated.safetensors"), first.join("kept")).unwrap();
    fails(&args, "gated.safetensors: put it there, or choose another --out");
    fs::rename(first.join("kept"), first.join("gated.safetensors")).unwrap();
    // Nor is it trained again where all of it is gone: the digest of its file would be another.
    fs::rename(&first, out.join("elsewhere")).unwrap();
    fails(&args, "begins with lenet5-dense-on-digits/seed-1, whose network");
    assert!(!first.exists());
    fs::rename(out.join("elsewhere"), &first).unwrap();
    ok(&["--resume", run.to_str().unwrap()]);
    assert!(fs::read(run.join("start.safetensors")).unwrap() == bytes);

    // It stands by itself: finished, it asks for no other run; from scratch and further it goes without it.
    fs::remove_dir_all(&first).unwrap();
    ok(&args);
    assert!(!first.exists());
    ok(&["--scratch", run.to_str().unwrap()]);
    let scratch = read_run(out.join("begun-scratch/seed-1")).unwrap().header;
    assert!(scratch.is_from_scratch() && scratch.config.get("start").is_none(), "{scratch:?}");
    ok(&["--continue-from", run.to_str().unwrap(), "--epochs", "1"]);
    let further = read_run(out.join("begun-1-then-1/seed-1")).unwrap().header;
    assert_eq!(further.started_from.unwrap().epochs, 6);
    let scratch = out.join("begun-scratch/seed-1");
    ok(&["--continue-from", scratch.to_str().unwrap(), "--epochs", "2"]);
    let further = read_run(out.join("begun-scratch-1-then-2/seed-1")).unwrap().header;
    assert_eq!(further.started_from.unwrap().epochs, 1);
    assert!(!first.exists());
}

/// What pruning left is fine-tuned: every gate is what it was, and the weights are not.
#[test]
fn gates_that_were_frozen_stay_frozen_in_a_run_that_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let file = like_quickstart(temp.path(), "frozen", "");
    let settled = fs::read_to_string(&file).unwrap().replace("frozen_epochs = 0", "frozen_epochs = 1");
    fs::write(&file, settled.replace("epochs = 40", "epochs = 2")).unwrap();
    let out = temp.path().join("out");
    ok(&["--config", &file, "--out", out.to_str().unwrap()]);
    let (first, further) = (out.join("frozen/seed-1"), out.join("frozen-2-then-3/seed-1"));
    ok(&["--continue-from", first.to_str().unwrap(), "--epochs", "3"]);
    let read = |run: &Path, name: &str| fs::read(run.join(name)).unwrap();
    assert!(read(&first, "gates.json") == read(&further, "gates.json"));
    assert!(read(&first, "gated.safetensors") != read(&further, "gated.safetensors"));
    let training = read_run(&further).unwrap().header.config["training"].clone();
    assert_eq!((&training["epochs"], &training["frozen_epochs"]), (&3.into(), &3.into()));
}

/// Of two processes whose rows come after the same one, the second waits for the first to train it.
#[test]
fn an_earlier_run_that_another_process_trains_is_waited_for() {
    let temp = tempfile::tempdir().unwrap();
    let file = begun(temp.path(), "row = \"lenet5-dense\"");
    let (one, other) = (temp.path().join("one"), temp.path().join("other"));
    let run = |out: &Path| train(&[&file, "--epochs", "1", "--out", out.to_str().unwrap()]);
    common::ok(&mut run(&one));
    let earlier = "lenet5-dense-on-digits/seed-1";
    let locked = RunFolder::create(other.join(earlier), &read_run(one.join(earlier)).unwrap().header).unwrap();
    let mut waiting = run(&other).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    let waits = "waiting for another process, which trains lenet5-dense-on-digits seed 1";
    assert!(said.any(|line| line.contains(waits)), "it ended without having waited");
    drop(locked);
    said.for_each(drop); // a pipe that nobody reads fills up
    assert!(waiting.wait().unwrap().success());
    let losses = |out: &Path| read_run(out.join("begun/seed-1")).unwrap().rows[0].train_loss;
    assert_eq!(losses(&one), losses(&other));
}

#[test]
fn what_none_can_begin_with_is_said_before_training() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let refused = |start: &str, said: &str| {
        let file = begun(temp.path(), start);
        fails(&["--config", &file, "--epochs", "1", "--out", out.to_str().unwrap()], said);
        assert!(!out.exists(), "{start}");
    };
    refused("row = \"quikstart\"", "no row is called \"quikstart\", to begin with");
    refused("row = \"mlp-dense\"", "a network of other layers");
    refused("row = \"lenet5-taught-0.09\"", "comes after lenet5-teacher itself, and cannot be one to begin with");
    refused("row = \"quickstart\"\nshare_of_epochs = 2.0", "start.share_of_epochs is 2, expected a share above 0");
    refused("row = \"quickstart\"\nseed = 2", "seed");
    let teacher = "[teacher]\nrow = \"lenet5-dense\"\ntemperature = 2.0\nshare = 0.5";
    refused(&format!("row = \"lenet5-dense\"\nshare_of_epochs = 0.5\n{teacher}"), "is trained once for both");
}
