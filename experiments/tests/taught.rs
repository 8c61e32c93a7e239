//! Rows that learn from other rows: these are trained first, where they were not.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use l0_record::{Status, read_run};

fn train(args: &[&str]) -> Output {
    let mut path = std::env::current_exe().unwrap();
    path.pop(); // deps
    path.pop();
    let mut command = Command::new(path.join("train"));
    command.env_remove("L0_DATA").env("RAYON_NUM_THREADS", "2").env("L0_DEVICE", "cpu").args(args).output().unwrap()
}

fn ok(args: &[&str]) -> String {
    let output = train(args);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}\n{err}");
    err + &String::from_utf8_lossy(&output.stdout)
}

fn fails(args: &[&str], said: &str) {
    let output = train(args);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && err.contains(said), "{args:?}: {:?}\n{err}", output.status);
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
    // A run that is over asks for no teacher; with another teacher it would be another run.
    fs::remove_dir_all(&teacher).unwrap();
    ok(&args);
    assert!(!teacher.exists());
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
