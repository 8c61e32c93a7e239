//! A place to break things in: data, runs of a small network, and what must be equal afterwards.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use l0_data::Digits;
use l0_experiments::artifact;
use l0_record::{EpochRow, Run, read_run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::common::{self, digits_folder, path_of, undisturbed};
pub(crate) use crate::common::{fails, program, refused, said};

/// A temporary folder with drawn digits in the files of MNIST.
pub(crate) struct Bench {
    temp: TempDir,
    row: &'static str,
    epochs: u64,
}

impl Bench {
    pub(crate) fn new(row: &'static str, images: usize, epochs: u64) -> Self {
        let bench = Self { temp: tempfile::tempdir().unwrap(), row, epochs };
        std::fs::create_dir(bench.data()).unwrap();
        digits_folder(&bench.data(), Digits { train: images, test: 100, seed: 5 });
        bench
    }

    /// An MLP and 300 images: an epoch is three steps.
    pub(crate) fn small(epochs: u64) -> Self {
        Self::new("mlp-l0", 300, epochs)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.temp.path().join("data")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// The folder of the run below `out`.
    pub(crate) fn run(&self, out: &str) -> PathBuf {
        self.path(out).join(self.row).join("seed-1")
    }

    /// The arguments that train the row below a folder.
    pub(crate) fn args(&self, out: &Path) -> Vec<String> {
        let (data, out) = (self.data().display().to_string(), out.display().to_string());
        let args = [self.row, "--data", &data, "--epochs", &self.epochs.to_string(), "--out", &out];
        args.map(String::from).to_vec()
    }

    /// The command that trains the row below `out`.
    pub(crate) fn command(&self, out: &str) -> Command {
        let mut command = program("reproduce-mnist");
        command.args(self.args(&self.path(out)));
        command
    }

    /// The command that goes on with the run below `out`, and names nothing but its folder.
    pub(crate) fn resume(&self, out: &str) -> Command {
        let mut command = program("reproduce-mnist");
        command.arg("--resume").arg(self.run(out)).arg("--data").arg(self.data());
        command
    }

    /// The same command through a line of shell, which finds it in `"$@"` and `extra` in `"$0"`.
    pub(crate) fn through_shell(&self, script: &str, extra: &Path, out: &Path) -> Command {
        let mut command = undisturbed(Command::new("sh"));
        command.arg("-c").arg(script).arg(extra).arg(path_of("reproduce-mnist")).args(self.args(out));
        command
    }

    /// Trains to the end.
    pub(crate) fn finish(&self, out: &str) -> Ending {
        ok(&mut self.command(out));
        Ending::of(&self.run(out))
    }

    /// Stops a run by a signal once it has done so many epochs, and before it has done all.
    pub(crate) fn stop_after(&self, out: &str, epochs: usize, signal: &str) -> Output {
        let child = self.command(out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.wait_for_rows(out, epochs);
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        refused(&output, &["error: interrupted in epoch"]);
        output
    }

    /// Waits until the run has so many rows.
    pub(crate) fn wait_for_rows(&self, out: &str, rows: usize) {
        let path = self.run(out).join("metrics.jsonl");
        while std::fs::read(&path).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count()) < rows {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Runs a command that must succeed; what it said.
pub(crate) fn ok(command: &mut Command) -> String {
    said(&common::ok(command))
}

/// Sends a signal, as "INT", to a process.
pub(crate) fn send(child: &Child, signal: &str) {
    let signal: Signal = format!("SIG{signal}").parse().unwrap();
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// All that a finished run leaves, but for what a clock measured.
#[derive(PartialEq)]
pub(crate) struct Ending {
    rows: Vec<EpochRow>,
    bits: Vec<(String, Vec<u32>)>,
    run: Run,
}

impl Ending {
    pub(crate) fn of(path: &Path) -> Self {
        let mut run = read_run(path).unwrap();
        assert!(run.warnings.is_empty(), "{:?}", run.warnings);
        let rows = run.rows.drain(..).map(|row| EpochRow { seconds: 0.0, step_ms: None, ..row }).collect();
        let (_, weights, _) = artifact::load_gated(path).unwrap();
        let values = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let bits = weights.iter().map(|(name, t)| (name.to_string(), values(t).iter().map(|v| v.to_bits()).collect()));
        let bits = bits.collect();
        // Where, when and by whom it was trained is no part of what it came to.
        let header = l0_record::RunHeader {
            outcome: l0_record::Outcome { train_seconds: None, peak_memory_bytes: None, ..run.header.outcome },
            status: run.header.status,
            config: run.header.config,
            ..l0_record::RunHeader::default()
        };
        assert!(!path.join("checkpoints").exists(), "a finished run keeps its checkpoints");
        Self { rows, bits, run: Run { header, path: PathBuf::new(), ..run } }
    }

    /// Checks that another run came to the same, bit for bit.
    pub(crate) fn is(&self, other: &Self) {
        assert_eq!(self.rows, other.rows);
        assert!(self.bits == other.bits, "the final values differ");
        assert!(self == other, "gates, settings or outcome differ");
    }
}
