//! Disks that are full and folders that cannot be written: an error that names the file, and nothing lost.

use std::path::Path;
use std::process::Command;

use l0_record::{Status, read_run};

use crate::bench::{Bench, Ending, fails, ok, refused, said};
use crate::common::undisturbed;

/// Fails where a file would grow beyond half a megabyte, as on a full disk: a row fits, a checkpoint does not.
const SMALL_FILES: &str = "trap '' XFSZ; ulimit -f 1000; exec \"$@\"";

fn checkpoints(run: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn a_checkpoint_that_finds_no_room_ends_the_run_and_the_last_good_one_stays() {
    let bench = Bench::small(12);
    let undisturbed = bench.finish("whole");
    bench.stop_after("parts", 2, "INT");
    let before = checkpoints(&bench.run("parts"));
    let mut command = bench.through_shell(SMALL_FILES, Path::new("sh"), &bench.path("parts"));
    fails(&mut command, &["error: ", "checkpoints/epoch-", "File too large"]);
    let read = read_run(bench.run("parts")).unwrap();
    assert_eq!(read.header.status, Status::Failed);
    assert!(read.header.message.unwrap().contains("File too large"));
    assert!(checkpoints(&bench.run("parts")) == before, "the checkpoints changed, or a piece of one was left");
    undisturbed.is(&bench.finish("parts"));
}

/// As [`SMALL_FILES`] with a real file system of a few megabytes, where this is allowed. `$0` holds the runs; a copy of
/// them goes in and out, for the file system is gone with the process.
const SMALL_DISK: &str = "mkdir -p \"$0\" \"$0.disk\" && mount -t tmpfs -o size=9m tmpfs \"$0.disk\" || exit 77
    cp -r \"$0/.\" \"$0.disk\"
    \"$@\"; code=$?
    cp -r \"$0.disk/.\" \"$0\"; exit $code";

#[test]
fn a_full_disk_ends_the_run_and_the_last_good_checkpoint_stays() {
    let bench = Bench::small(6);
    let runs = bench.path("runs");
    let mut inner = bench.through_shell(SMALL_DISK, &runs, &bench.path("runs.disk"));
    let Some(output) = in_own_namespace(&mut inner) else { return };
    // Two checkpoints of 4.3 MB fit, the third, written before the first is dropped, does not.
    refused(&output, &["error: ", "checkpoints/epoch-", "No space left on device"]);
    assert_eq!(read_run(bench.run("runs")).unwrap().header.status, Status::Failed);
    assert!(checkpoints(&bench.run("runs")).len() == 2);
    bench.finish("whole").is(&bench.finish("runs"));
}

/// Mounts nothing, but for a file system that nobody can write to.
const READ_ONLY: &str = "mkdir -p \"$0\" && mount -t tmpfs -o ro tmpfs \"$0\" || exit 77; exec \"$@\"";

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let bench = Bench::small(2);
    let out = bench.path("runs");
    let mut inner = bench.through_shell(READ_ONLY, &out, &out);
    if let Some(output) = in_own_namespace(&mut inner) {
        refused(&output, &["error: cannot create the folder", "runs", "Read-only file system"]);
    }
    std::fs::write(bench.path("file"), "not a folder").unwrap();
    fails(&mut bench.command("file"), &["error: cannot create the folder", "file"]);
    assert_eq!(std::fs::read_to_string(bench.path("file")).unwrap(), "not a folder");
}

/// A folder that was taken away is not made again by a run that goes on: it would have lost its rows.
#[test]
fn rows_that_are_gone_are_noticed() {
    let bench = Bench::small(12);
    bench.stop_after("parts", 3, "INT");
    std::fs::write(bench.run("parts").join("metrics.jsonl"), "").unwrap();
    fails(&mut bench.command("parts"), &["metrics.jsonl ends at epoch 0, but the checkpoint is of epoch"]);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_with_a_word() {
    let bench = Bench::small(12);
    bench.stop_after("parts", 3, "INT");
    let newest = checkpoints(&bench.run("parts")).pop().unwrap().0;
    let path = bench.run("parts").join("checkpoints").join(&newest);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let said = ok(&mut bench.command("parts"));
    assert!(said.contains(&newest) && said.contains("falling back to "), "{said}");
    bench.finish("whole").is(&Ending::of(&bench.run("parts")));
}

/// Runs a command where it may mount; `None`, and a word, where the machine does not allow it.
fn in_own_namespace(inner: &mut Command) -> Option<std::process::Output> {
    let mut command = undisturbed(Command::new("unshare"));
    command.arg("-rm").arg(inner.get_program()).args(inner.get_args());
    let output = command.output().ok();
    let output = output.filter(|output| output.status.code() != Some(77) && !said(output).starts_with("unshare:"));
    if output.is_none() {
        eprintln!("skipped: this machine does not let a test mount a file system (unshare -rm)");
    }
    output
}
