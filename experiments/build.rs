//! Puts the revision of the checkout into the programs: a run records what it was built from, wherever it is started.

use std::path::Path;
use std::process::Command;

/// What the programs are made of, as seen from this package.
const SOURCES: [&str; 5] = ["../Cargo.toml", "../Cargo.lock", "../crates", "../models", "src"];

fn main() {
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    // Grows with every commit and checkout; a checkout without one is looked at again with the sources.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    println!("cargo::rustc-env=L0_REVISION={}", revision().unwrap_or_default());
}

/// The commit, with a mark if the sources were changed since; none outside of a checkout of this workspace.
fn revision() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "build.rs"])?; // the workspace may lie unpacked in someone else's checkout
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&[&["status", "--porcelain", "--untracked-files=no", "--"][..], &SOURCES].concat())?;
    Some(if changes.is_empty() { head } else { head + "-changed" })
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
