//! How long both networks take: in `infer`, and in onnxruntime where Python has it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use l0_net::Model;
use l0_prune::latencies;

use crate::cli;

/// How long onnxruntime may take for all of its turns: a second, as a rule.
const PATIENCE: Duration = Duration::from_secs(120);

/// Milliseconds of one example on one thread, before and after: of each the fastest turn.
pub(super) type Milliseconds = (f64, f64);

/// Times both in `infer`, in turns.
///
/// # Errors
/// If a network does not run.
pub(super) fn infer(before: &Model, after: &Model) -> Result<Milliseconds> {
    Ok(latencies([before, after])?.into())
}

/// Times two ONNX files in turns, one thread, one example: milliseconds of the fastest turn, a line each.
const SCRIPT: &str = r#"
import sys, time
import numpy, onnxruntime
def opened(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    xs = numpy.random.default_rng(1).random([1] + given.shape[1:], dtype=numpy.float32)
    return session, {given.name: xs}, []
files = [opened(path) for path in sys.argv[1:]]
for turn in range(61):
    for session, feed, times in files:
        calls, start = 0, time.thread_time()
        while time.thread_time() - start < 0.005:
            session.run(None, feed)
            calls += 1
        if turn:
            times.append((time.thread_time() - start) * 1e3 / calls)
print(*[min(times) for *_, times in files])
"#;

/// Times both files in onnxruntime; nothing where there is no Python with it.
pub(super) fn onnxruntime(before: &Path, after: &Path) -> Option<Milliseconds> {
    let python = cli::variable("L0_PYTHON").unwrap_or_else(|| "python3".into());
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .args([before, after])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begin = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if begin.elapsed() > PATIENCE {
            tracing::warn!("onnxruntime gave no times within {} s, and is ended", PATIENCE.as_secs());
            child.kill().ok();
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let mut times = said.split_whitespace().map(|time| time.parse().ok());
    Some((times.next()??, times.next()??))
}
