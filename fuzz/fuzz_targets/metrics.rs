//! The rows of a run.
#![no_main]

use l0_record::{RunFolder, RunHeader, read_run};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static RUN: tempfile::TempDir = {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let header = RunHeader::new("fuzz", 1, Default::default());
        drop(RunFolder::create(folder.path().join("run"), &header).expect("a run"));
        folder
    };
}

fuzz_target!(|bytes: &[u8]| {
    RUN.with(|folder| {
        let run = folder.path().join("run");
        std::fs::write(run.join("metrics.jsonl"), bytes).expect("a file");
        let _ = read_run(&run);
    });
});
