//! What the tests of the programs share: how a program is started, what it must say, and data for it.
#![allow(dead_code, reason = "each of the tests that include this file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use l0_data::idx::Idx;
use l0_data::{Digits, Split};

/// What the programs read of the environment: no test depends on what it is where the test runs.
const VARIABLES: [&str; 12] = [
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "JOB_COMPLETION_INDEX",
    "L0_DATA",
    "L0_DEVICE",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "RUST_LOG",
    "SLURM_ARRAY_TASK_ID",
];

/// Where a built program lies.
pub(crate) fn path_of(program: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop(); // deps
    path.pop();
    path.join(program)
}

/// A built program, on the CPU, with two threads and without a Python.
pub(crate) fn program(name: &str) -> Command {
    undisturbed(Command::new(path_of(name)))
}

/// The same of any command that starts one.
pub(crate) fn undisturbed(mut command: Command) -> Command {
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.env("RAYON_NUM_THREADS", "2").env("L0_DEVICE", "cpu").env("L0_PYTHON", "no-python");
    command
}

/// Runs a command that must succeed.
pub(crate) fn ok(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    output
}

/// Runs a command that must end with an error that says all of `messages`, and no panic.
pub(crate) fn fails(command: &mut Command, messages: &[&str]) {
    let output = command.output().unwrap();
    refused(&output, messages);
}

/// Checks that a program ended with an error of its own (1) or of its command line (2), which says all of `messages`.
pub(crate) fn refused(output: &Output, messages: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{}\n{}", output.status, said(output));
    messages.iter().for_each(|message| assert!(err.contains(message), "expected {message:?} in:\n{err}"));
}

/// What a program says on standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it says on both outputs.
pub(crate) fn said(output: &Output) -> String {
    stdout(output) + &String::from_utf8_lossy(&output.stderr)
}

/// Drawn digits as the IDX files of MNIST.
pub(crate) fn digits_folder(folder: &Path, digits: Digits) {
    let digits = digits.draw().unwrap();
    write_idx(&digits.train, folder, "train");
    write_idx(&digits.test, folder, "t10k");
}

fn write_idx(split: &Split, folder: &Path, stem: &str) {
    let images = Idx { dims: vec![split.len(), 28, 28], data: split.images().to_vec() };
    let labels = Idx { dims: vec![split.len()], data: split.labels().iter().map(|&label| label as u8).collect() };
    std::fs::write(folder.join(format!("{stem}-images-idx3-ubyte")), images.to_bytes()).unwrap();
    std::fs::write(folder.join(format!("{stem}-labels-idx1-ubyte")), labels.to_bytes()).unwrap();
}
