//! Putting a generated text between the markers of a document that people write.

use std::fs;
use std::path::Path;

use l0_files::{At, Existing};

use crate::{Error, Result};

/// Replaces what stands between `<!-- NAME:start -->` and `<!-- NAME:end -->`.
///
/// `None` if the document does not hold this pair of markers, once and in order.
fn spliced(document: &str, name: &str, text: &str) -> Option<String> {
    let (start, end) = (format!("<!-- {name}:start -->"), format!("<!-- {name}:end -->"));
    let (before, rest) = document.split_once(&start)?;
    let (_, after) = rest.split_once(&end)?;
    let again = before.contains(&end) || after.contains(&start) || after.contains(&end);
    (!again).then(|| format!("{before}{start}\n\n{}\n\n{end}{after}", text.trim()))
}

/// Replaces what stands between the markers `name` of the file at `path`, which is left alone if
/// it already says so.
///
/// # Errors
/// If the file cannot be read or written, or does not hold the markers once and in order.
pub fn splice(path: impl AsRef<Path>, name: &str, text: &str) -> Result<()> {
    let path = path.as_ref();
    let document = fs::read_to_string(path).at("read", path)?;
    match spliced(&document, name, text) {
        None => Err(Error::Marker { path: path.to_path_buf(), name: name.into() }),
        Some(same) if same == document => Ok(()),
        Some(changed) => Ok(l0_files::write(path, changed.as_bytes(), Existing::Replace)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "a\n<!-- x:start -->\n\nold\n\n<!-- x:end -->\nb\n";

    #[test]
    fn what_surrounds_the_markers_stays() {
        assert_eq!(spliced(README, "x", "new").unwrap(), README.replace("old", "new"));
        assert_eq!(spliced(README, "x", "old\n").unwrap(), README);
        let (readme, expected) = ("<!-- t:start -->old<!-- t:end -->", "<!-- t:start -->\n\nnew\n\n<!-- t:end -->");
        assert_eq!(spliced(readme, "t", "new").unwrap(), expected);
    }

    fn check_refused(document: &str) {
        assert_eq!(spliced(document, "x", "new"), None, "{document}");
    }

    #[test]
    fn markers_that_do_not_pair_are_refused() {
        check_refused("nothing");
        check_refused("<!-- x:start --> no end");
        check_refused("<!-- x:end --> <!-- x:start -->");
        check_refused("<!-- y:start --><!-- y:end -->");
        check_refused(&README.repeat(2));
    }

    #[test]
    fn a_file_without_markers_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("README.md");
        fs::write(&path, "hand-written").unwrap();
        let error = splice(&path, "table1", "x").unwrap_err().to_string();
        assert!(error.contains("README.md") && error.contains("<!-- table1:start -->"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "hand-written");
    }
}
