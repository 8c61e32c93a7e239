//! Puts the revision of the checkout into the programs: a run records what it was built from, wherever it is started.
//! And lists the recipes, for the programs to embed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the programs are made of, as seen from this package.
const SOURCES: [&str; 6] = ["../Cargo.toml", "../Cargo.lock", "../crates", "../models", "src", "recipes"];

fn main() {
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    // Grows with every commit and checkout; a checkout without one is looked at again with the sources.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    println!("cargo::rustc-env=L0_REVISION={}", revision().unwrap_or_default());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names a folder for what is generated"));
    std::fs::write(out.join("recipes.rs"), recipes()).expect("what is generated can be written");
}

/// The recipes as a slice of (folder, name, text), in the order of their paths.
fn recipes() -> String {
    let root = Path::new("recipes").canonicalize().expect("there are recipes");
    let mut files = Vec::new();
    list(&root, &mut files);
    files.sort();
    let entry = |file: &PathBuf| {
        let folder = file.parent().and_then(|folder| folder.strip_prefix(&root).ok());
        let folder = folder.map(|folder| folder.to_string_lossy().replace('\\', "/")).unwrap_or_default();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        format!("({folder:?}, {name:?}, include_str!({file:?})),\n")
    };
    format!("&[\n{}]", files.iter().map(entry).collect::<String>())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of recipes can be read") {
        let path = entry.expect("a folder of recipes can be read").path();
        if path.is_dir() {
            list(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
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
