//! The other side of the comparison: a Python program that is told what to time, and answers with milliseconds.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

/// The Python program that does the same work.
pub(crate) struct Peer {
    _child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Of PyTorch.
    pub(crate) version: String,
}

impl Peer {
    pub(crate) fn start(python: &str) -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/peer.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {python}"))?;
        let requests = child.stdin.take().context("the peer has no input")?;
        let mut answers = BufReader::new(child.stdout.take().context("the peer has no output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let hello: Value = serde_json::from_str(&line).with_context(|| format!("{python} has no torch"))?;
        let version = hello["torch"].as_str().unwrap_or("unknown").to_string();
        Ok(Self { _child: child, requests, answers, version })
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Result<Vec<f64>> {
        writeln!(self.requests, "{request}").and_then(|()| self.requests.flush()).context("the peer has ended")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).with_context(|| format!("the peer cannot do {request}"))?;
        Ok(answer["ms"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect())
    }
}
