//! A clock that jumps: no row, no value and no decision depends on the time of day.

use std::path::{Path, PathBuf};
use std::process::Command;

use l0_record::read_run;

use crate::bench::{Bench, Ending, ok, program};

/// Builds a library that makes the time of day jump by years with every look at it; `None` where that cannot be done.
fn jumping_clock(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("libclock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/jumping_clock.rs");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-o"]).arg(&library).arg(source);
    let built = cfg!(target_os = "linux") && rustc.output().is_ok_and(|output| output.status.success());
    if !built {
        eprintln!("skipped: the library that moves the clock cannot be built here");
    }
    built.then_some(library)
}

#[test]
fn a_clock_that_jumps_changes_nothing_but_times() {
    let bench = Bench::small(4);
    let Some(clock) = jumping_clock(&bench.data()) else { return };
    ok(bench.command("jumping").env("LD_PRELOAD", &clock));
    let read = read_run(bench.run("jumping")).unwrap();
    let year = |time: &str| time[..4].parse::<u32>().unwrap();
    let end = read.header.end.as_deref().unwrap();
    assert!(year(end) != year(&read.header.start), "the clock stood still: {} and {end}", read.header.start);
    let seconds: Vec<f64> = read.rows.iter().map(|row| row.seconds).collect();
    assert!(seconds.iter().all(|&s| (0.0..3600.0).contains(&s)) && seconds.is_sorted(), "{seconds:?}");
    bench.finish("steady").is(&Ending::of(&bench.run("jumping")));
}

/// A run from the future, as after a clock was put right, goes on.
#[test]
fn a_run_that_began_in_the_future_goes_on() {
    let bench = Bench::small(12);
    bench.stop_after("parts", 2, "INT");
    let header = bench.run("parts").join("run.json");
    let text = std::fs::read_to_string(&header).unwrap();
    let start = read_run(bench.run("parts")).unwrap().header.start;
    std::fs::write(&header, text.replace(&start, "2199-01-01T00:00:00Z")).unwrap();
    bench.finish("whole").is(&bench.finish("parts"));
    let readme = bench.path("README.md");
    std::fs::write(&readme, "<!-- results:start -->\n<!-- results:end -->\n").unwrap();
    ok(program("report").arg(bench.path("parts")).arg("--readme").arg(readme));
}
