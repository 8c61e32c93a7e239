//! Telling a file system that refuses from a server that does not deliver.

use hf_hub::HFError;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// What the file system said, if that is where an error of the client comes from.
pub(super) fn of_file_system(error: &HFError) -> Option<Error> {
    match error {
        HFError::Io(error) => Some(again(error.raw_os_error(), error.kind(), error.to_string())),
        // Its error is a text with a kind before it, and the kinds of the network are others.
        HFError::Xet { source, .. } => {
            let text = source.to_string();
            let said = text.strip_prefix("I/O error: ")?;
            let code = said.rsplit_once("(os error ").and_then(|(_, code)| code.trim_end_matches(')').parse().ok());
            Some(again(code, ErrorKind::Other, said.to_string()))
        }
        _ => None,
    }
}

fn again(code: Option<i32>, kind: ErrorKind, text: String) -> Error {
    code.map_or_else(|| Error::new(kind, text), Error::from_raw_os_error)
}

/// What to do about it. `folders` are those that were to be used.
pub(super) fn advice<'a>(cause: &Error, folders: impl IntoIterator<Item = &'a Path>) -> String {
    if let Some(path) = folders.into_iter().find_map(obstacle) {
        return format!("{} is not a folder: move it, or set HF_HOME or HF_HUB_CACHE to one", path.display());
    }
    let advice = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "make room there, or set HF_HOME or HF_HUB_CACHE to a folder on another disk"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "set HF_HOME or HF_HUB_CACHE to a folder in which this program may write"
        }
        _ => "set HF_HOME or HF_HUB_CACHE to another folder",
    };
    advice.to_string()
}

/// What stands in the way of a folder or of one that it lies in.
fn obstacle(folder: &Path) -> Option<PathBuf> {
    let there = folder.ancestors().find(|path| fs::symlink_metadata(path).is_ok())?;
    (!there.is_dir()).then(|| there.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hf_hub::XetOperation;

    fn said(error: &HFError) -> Option<(ErrorKind, String)> {
        of_file_system(error).map(|error| (error.kind(), error.to_string()))
    }

    #[test]
    fn a_file_system_is_told_from_a_network() {
        let full = HFError::Io(Error::from(ErrorKind::StorageFull));
        assert_eq!(said(&full), Some((ErrorKind::StorageFull, "no storage space".into())));
        let xet = |text: &str| HFError::xet(XetOperation::Download, Error::other(text.to_string()));
        let text = "No space left on device (os error 28)";
        #[cfg(target_os = "linux")]
        assert_eq!(said(&xet(&format!("I/O error: {text}"))), Some((ErrorKind::StorageFull, text.into())));
        assert_eq!(said(&xet("I/O error: gone")), Some((ErrorKind::Other, "gone".into())));
        assert_eq!(said(&xet(&format!("Network error: {text}"))), None);
        assert_eq!(said(&HFError::CacheNotEnabled), None);
    }

    #[test]
    fn advice_fits_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("file"), dir.path().join("folder"));
        fs::write(&file, "").unwrap();
        let said = |kind: ErrorKind, folder: &Path| advice(&Error::from(kind), [folder]);
        assert!(said(ErrorKind::StorageFull, &folder).starts_with("make room there"));
        assert!(said(ErrorKind::ReadOnlyFilesystem, &folder).contains("may write"));
        assert!(said(ErrorKind::PermissionDenied, &folder).contains("may write"));
        let not_a_folder = format!("{} is not a folder", file.display());
        assert!(said(ErrorKind::NotADirectory, &file.join("hub/blobs")).starts_with(&not_a_folder));
    }
}
