//! Where a run's folder lies.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The folder of a run below a folder of runs: `ROOT/lenet5-l0-sep/seed-1`.
///
/// # Errors
/// If the recipe's name cannot name a folder.
pub fn run_path(root: impl AsRef<Path>, recipe: &str, seed: u64) -> Result<PathBuf> {
    if !is_plain(recipe) {
        return Err(Error::Name { name: recipe.into() });
    }
    Ok(root.as_ref().join(recipe).join(format!("seed-{seed}")))
}

/// `path`, or else the first of `path.2`, `path.3`, …, where nothing is, or a folder that `serves`.
pub fn free_path(path: impl AsRef<Path>, serves: impl Fn(&Path) -> bool) -> PathBuf {
    let path = path.as_ref();
    let numbered = |n: u64| {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{n}"));
        path.with_file_name(name)
    };
    let mut candidates = std::iter::once(path.to_path_buf()).chain((2..u64::MAX).map(numbered));
    candidates.find(|candidate| !candidate.exists() || serves(candidate)).unwrap_or_else(|| path.to_path_buf())
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_by_recipe_and_seed() {
        let path = run_path("results/mnist", "lenet5-l0-sep", 1).unwrap();
        assert_eq!(path, Path::new("results/mnist/lenet5-l0-sep/seed-1"));
    }

    #[test]
    fn a_name_cannot_leave_the_root() {
        for name in ["", "..", "../x", "a/b", ".hidden", "a b", "/etc"] {
            assert!(run_path("results", name, 1).is_err(), "{name}");
        }
    }

    #[test]
    fn a_second_run_of_the_day_has_its_own_folder() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("seed-1");
        assert_eq!(free_path(&path, |_| false), path);
        std::fs::create_dir(&path).unwrap();
        assert_eq!(free_path(&path, |_| false), root.path().join("seed-1.2"));
        assert_eq!(free_path(&path, |there| there == path), path);
    }
}
