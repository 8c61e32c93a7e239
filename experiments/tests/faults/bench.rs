//! A place to break things in: data, runs of a small network, and what must be equal afterwards.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use l0_data::idx::Idx;
use l0_data::{Digits, Split};
use l0_experiments::artifact;
use l0_record::{EpochRow, Run, read_run};
use tempfile::TempDir;

/// A built program.
pub(crate) fn program(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop(); // deps
    path.pop();
    path.join(name)
}

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
        let digits = Digits { train: images, test: 100, seed: 5 }.draw().unwrap();
        write_idx(&digits.train, &bench.data(), "train");
        write_idx(&digits.test, &bench.data(), "t10k");
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
        let mut command = quiet(Command::new(program("reproduce-mnist")));
        command.args(self.args(&self.path(out)));
        command
    }

    /// The command that goes on with the run below `out`, and names nothing but its folder.
    pub(crate) fn resume(&self, out: &str) -> Command {
        let mut command = quiet(Command::new(program("reproduce-mnist")));
        command.arg("--resume").arg(self.run(out)).arg("--data").arg(self.data());
        command
    }

    /// The same command through a line of shell, which finds it in `"$@"` and `extra` in `"$0"`.
    pub(crate) fn through_shell(&self, script: &str, extra: &Path, out: &Path) -> Command {
        let mut command = quiet(Command::new("sh"));
        command.arg("-c").arg(script).arg(extra).arg(program("reproduce-mnist")).args(self.args(out));
        command
    }

    /// Trains to the end.
    pub(crate) fn finish(&self, out: &str) -> Ending {
        ok(&mut self.command(out));
        Ending::of(&self.run(out))
    }

    /// Stops a run by a signal once it has done so many epochs.
    pub(crate) fn stop_after(&self, out: &str, epochs: usize, signal: &str) -> Output {
        let child = self.command(out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.wait_for_rows(out, epochs);
        send(&child, signal);
        child.wait_with_output().unwrap()
    }

    /// Waits until the run has so many rows.
    pub(crate) fn wait_for_rows(&self, out: &str, rows: usize) {
        let path = self.run(out).join("metrics.jsonl");
        while std::fs::read(&path).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count()) < rows {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn quiet(mut command: Command) -> Command {
    command.env_remove("L0_DATA").env_remove("RUST_LOG").env("RAYON_NUM_THREADS", "2").env("L0_DEVICE", "cpu");
    command
}

fn write_idx(split: &Split, folder: &Path, stem: &str) {
    let images = Idx { dims: vec![split.len(), 28, 28], data: split.images().to_vec() };
    let labels = Idx { dims: vec![split.len()], data: split.labels().iter().map(|&label| label as u8).collect() };
    std::fs::write(folder.join(format!("{stem}-images-idx3-ubyte")), images.to_bytes()).unwrap();
    std::fs::write(folder.join(format!("{stem}-labels-idx1-ubyte")), labels.to_bytes()).unwrap();
}

/// Runs a command that must succeed; what it said.
pub(crate) fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    said(&output)
}

/// Runs a command that must end with an error that says all of `messages`, and no panic.
pub(crate) fn fails(command: &mut Command, messages: &[&str]) {
    let output = command.output().unwrap();
    refused(&output, messages);
}

/// Checks that a program ended with an error that says all of `messages`, and no panic.
pub(crate) fn refused(output: &Output, messages: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    messages.iter().for_each(|message| assert!(said.contains(message), "expected {message:?} in:\n{said}"));
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) fn send(child: &Child, signal: &str) {
    ok(Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()));
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
