//! Killed at any moment, and asked to stop at any moment: the run goes on as if nothing had been.

use std::process::Stdio;
use std::time::{Duration, Instant};

use l0_record::{Status, read_run};
use l0_rng::{Purpose, Stream};

use crate::bench::{Bench, Ending, ok, refused};

/// What the kills met.
#[derive(Debug, Default)]
struct Tally {
    /// Before the run had a header.
    unborn: u32,
    /// With a row that the newest checkpoint did not know, or a file half written.
    torn: u32,
    /// Between those.
    clean: u32,
    /// Runs that ended before their kill came, and were started anew elsewhere.
    rounds: u32,
}

impl Tally {
    fn count(&mut self, run: &std::path::Path) {
        let Ok(read) = read_run(run) else {
            assert!(!run.join("run.json").exists(), "a header was left half written");
            self.unborn += 1;
            return;
        };
        let names = |folder: &std::path::Path| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let checkpoints = names(&run.join("checkpoints"));
        let newest = checkpoints.iter().filter(|name| name.ends_with(".safetensors")).max();
        let epochs = newest.and_then(|name| name.get(6..11)?.parse::<usize>().ok()).unwrap_or(0);
        let mut all = checkpoints.iter().chain(&names(run)).cloned().collect::<Vec<_>>();
        all.retain(|name| name.ends_with(".tmp") || name.starts_with(".writing-"));
        if epochs != read.rows.len() || !read.warnings.is_empty() || !all.is_empty() {
            self.torn += 1;
        } else {
            self.clean += 1;
        }
    }
}

/// Kills a run so many times at random moments of it, then lets it end; all it leaves equals an undisturbed run.
fn torture(bench: &Bench, kills: u32) -> Tally {
    let begin = Instant::now();
    let undisturbed = bench.finish("whole");
    let whole = begin.elapsed();
    let mut moments = Stream::new(1, Purpose::Other, 0, 0, "kills");
    let mut tally = Tally::default();
    for _ in 0..kills {
        let out = format!("parts-{}", tally.rounds);
        // On average the kills come a little sooner than the run can end.
        let moment = whole.mul_f32(moments.range(0.0, 2.2 / kills as f32)) + Duration::from_millis(1);
        // The first command again, or the folder alone.
        let by_folder = bench.run(&out).join("run.json").exists() && moments.uniform() < 0.5;
        let mut command = if by_folder { bench.resume(&out) } else { bench.command(&out) };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        match status.code() {
            None => tally.count(&bench.run(&out)),
            Some(code) => {
                assert_eq!(code, 0);
                undisturbed.is(&Ending::of(&bench.run(&out)));
                tally.rounds += 1;
            }
        }
    }
    undisturbed.is(&bench.finish(&format!("parts-{}", tally.rounds)));
    tally.rounds += 1;
    let found = tally.unborn + tally.torn + tally.clean;
    let said = "before there was a run, {} while files were at odds, {} in between";
    let said = said.replacen("{}", &tally.torn.to_string(), 1).replacen("{}", &tally.clean.to_string(), 1);
    println!("{found} kills of {kills}: {} {said}; {} runs to the end", tally.unborn, tally.rounds);
    tally
}

#[test]
fn a_run_that_is_killed_again_and_again_is_undisturbed() {
    torture(&Bench::small(10), 5); // what five kills meet is chance; `just torture` asks for more of its twenty
}

/// The long form: `just torture`.
#[test]
#[ignore = "a few minutes: just torture"]
fn twenty_kills_of_each_network_change_nothing() {
    for (row, images, epochs) in [("mlp-l0", 2000, 60), ("lenet5-l0-sep", 600, 30)] {
        println!("{row}, {images} images, {epochs} epochs");
        let tally = torture(&Bench::new(row, images, epochs), 20);
        assert!(tally.unborn + tally.torn + tally.clean >= 18, "{tally:?}");
    }
}

#[test]
fn a_signal_stops_at_the_next_step_with_a_checkpoint() {
    let bench = Bench::new("mlp-l0", 2000, 4);
    let undisturbed = bench.finish("whole");
    for (signal, rows) in [("INT", 1), ("TERM", 2)] {
        let output = bench.stop_after("parts", rows, signal); // the command goes on by itself
        refused(&output, &["error: interrupted in epoch"]);
        let read = read_run(bench.run("parts")).unwrap();
        assert_eq!(read.header.status, Status::Interrupted);
        let checkpoints = std::fs::read_dir(bench.run("parts").join("checkpoints")).unwrap().count();
        assert!((1..=2).contains(&checkpoints), "{checkpoints} checkpoints");
    }
    let said = ok(&mut bench.resume("parts"));
    assert!(said.contains("going on after") && said.contains("mlp-l0 seed 1: error "), "{said}");
    undisturbed.is(&Ending::of(&bench.run("parts")));
    assert!(ok(&mut bench.resume("parts")).contains("finished before"));
    assert_eq!(read_run(bench.run("parts")).unwrap().header.resumed.len(), 2);
}
