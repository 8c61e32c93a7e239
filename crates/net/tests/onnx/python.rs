//! The files in onnxruntime, and in ONNX's own checker, where a Python with both is installed.

use std::path::Path;
use std::process::{Command, Output};

use candle_core::{Device, Tensor};

use crate::cases::common::{difference, random_input};
use crate::cases::{BATCHES, Case, cases};

/// A Python with onnx and onnxruntime: `$L0_PYTHON`, else python3.
fn python() -> Option<String> {
    let python = std::env::var("L0_PYTHON").unwrap_or_else(|_| "python3".into());
    let probe = Command::new(&python).args(["-c", "import onnx, onnxruntime, numpy"]).output();
    probe.is_ok_and(|output| output.status.success()).then_some(python)
}

fn write(case: &Case, folder: &Path) -> std::io::Result<()> {
    std::fs::write(folder.join(format!("{}.onnx", case.name)), &case.file)?;
    BATCHES.iter().try_for_each(|&batch| {
        let values: Vec<f32> = random_input(&case.net, 5, batch).flatten_all().unwrap().to_vec1().unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(folder.join(format!("{}.{batch}.in", case.name)), bytes)
    })
}

fn check(case: &Case, folder: &Path, batch: usize) {
    let bytes = std::fs::read(folder.join(format!("{}.{batch}.out", case.name))).unwrap();
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let ours = case.forward(&random_input(&case.net, 5, batch));
    let theirs = Tensor::from_vec(values, ours.dims(), &Device::Cpu).unwrap();
    let difference = difference(&ours, &theirs);
    assert!(difference < 1e-4, "{} at batch {batch} differs by {difference}", case.name);
}

#[test]
fn onnxruntime_agrees() {
    let Some(python) = python() else {
        println!("skipped: no Python with onnx and onnxruntime; set L0_PYTHON to one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let cases = cases();
    cases.iter().for_each(|case| write(case, folder.path()).unwrap());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnx/check.py");
    let Output { status, stdout, stderr } = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    assert_eq!(stdout.iter().filter(|&&b| b == b'\n').count(), cases.len());
    cases.iter().for_each(|case| BATCHES.iter().for_each(|&batch| check(case, folder.path(), batch)));
}
