//! Whose folder it is: runs are never mixed, and never written by two.

use std::path::Path;
use std::process::Stdio;

use crate::bench::{Bench, fails, ok, program, send};

/// Every file below a folder and its bytes.
fn everything(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                all.push((path.clone(), std::fs::read(path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_folder_of_another_run_is_refused_and_left_alone() {
    let bench = Bench::small(20);
    bench.stop_after("runs", 1, "INT");
    let run = bench.run("runs");
    let unchanged = |command: &mut std::process::Command, messages: &[&str]| {
        let before = everything(&bench.path("runs"));
        fails(command, messages);
        assert!(everything(&bench.path("runs")) == before, "the folder was changed");
    };

    // Of other settings.
    let mut command = program("reproduce-mnist");
    let data = bench.data().display().to_string();
    command.args(["mlp-l0", "--epochs", "21", "--data", &data, "--out"]).arg(bench.path("runs"));
    let message =
        "is a run with config.training.epochs = 20, but 21 was asked for; use the stored value, or a new folder";
    unchanged(&mut command, &[message]);

    // Of other data.
    let other = Bench::new("mlp-l0", 200, 20);
    let mut command = program("reproduce-mnist");
    let data = other.data().display().to_string();
    command.args(["mlp-l0", "--epochs", "20", "--data", &data, "--out"]).arg(bench.path("runs"));
    unchanged(&mut command, &["is a run with data.sha256 = "]);

    // Of another seed, moved to where this one belongs.
    std::fs::rename(&run, run.with_file_name("seed-2")).unwrap();
    let mut command = bench.command("runs");
    command.args(["--seed", "2"]);
    unchanged(&mut command, &["is a run with seed = 1, but 2 was asked for"]);

    // Of nobody.
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("thesis.tex"), "mine").unwrap();
    fails(&mut bench.command("runs"), &["already holds thesis.tex; choose a new folder"]);
    assert_eq!(std::fs::read_to_string(run.join("thesis.tex")).unwrap(), "mine");
    assert!(!run.join("run.json").exists());
}

#[test]
fn a_second_process_is_refused_while_the_first_lives() {
    let bench = Bench::small(12);
    let undisturbed = bench.finish("whole");
    let mut first = bench.command("runs").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    bench.wait_for_rows("runs", 1);
    send(&first, "STOP"); // it holds the folder for as long as this test likes
    fails(&mut bench.command("runs"), &["error: another process is writing to", "wait for it or stop it"]);
    send(&first, "CONT");
    assert!(first.wait().unwrap().success());
    undisturbed.is(&crate::bench::Ending::of(&bench.run("runs")));
    assert!(ok(&mut bench.command("runs")).contains("finished before"));
}
