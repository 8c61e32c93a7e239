//! Writing the documents of a report, and what they may replace.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use l0_files::{At, Existing};

use super::content::{Report, SIGNATURE};
use super::{markdown, page};
use crate::{Collection, Error, Result};

impl Report {
    /// Writes `REPORT.md`, `report.html` and `figures/*.svg` into a folder, and returns their names. Figures that it
    /// wrote there before, of runs that are gone or called otherwise by now, are removed.
    ///
    /// # Errors
    /// If a file cannot be written, or would replace one that no report wrote; then nothing is.
    pub fn write(&self, collection: &Collection, folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let folder = folder.as_ref();
        let pictures = folder.join("figures");
        fs::create_dir_all(&pictures).at("create the folder", &pictures)?;
        let (sections, general) = (self.sections(collection), self.general());
        let of_networks = sections.iter().flat_map(|section| &section.figures);
        let all = of_networks.chain(general.iter().map(|part| &part.figure));
        let mut documents: Vec<(PathBuf, String)> =
            all.map(|figure| (pictures.join(format!("{}.svg", figure.name)), self.signed(&figure.svg()))).collect();
        let markdown = markdown::document(self, collection, &sections, &general);
        documents.push((folder.join("REPORT.md"), self.signed(&markdown)));
        let page = page::document(self, collection, &sections, &general);
        documents.push((folder.join("report.html"), self.signed(&page)));
        documents.iter().try_for_each(|(path, _)| check_ours(path))?;
        for (path, text) in &documents {
            l0_files::write(path, text.as_bytes(), Existing::Replace)?;
        }
        self.remove_stale(&pictures, &documents)?;
        Ok(documents.into_iter().map(|(path, _)| path).collect())
    }

    /// Removes the figures that bear the report's own line and are no longer among its documents.
    fn remove_stale(&self, pictures: &Path, documents: &[(PathBuf, String)]) -> Result<()> {
        let current: BTreeSet<&PathBuf> = documents.iter().map(|(path, _)| path).collect();
        let own = self.signed("");
        for entry in fs::read_dir(pictures).at("list", pictures)? {
            let path = entry.at("list", pictures)?.path();
            let is_stale = path.extension().is_some_and(|extension| extension == "svg") && !current.contains(&path);
            if is_stale && fs::read(&path).is_ok_and(|bytes| bytes.starts_with(own.as_bytes())) {
                l0_files::remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Checks that what stands at `path`, if anything does, was written by a report.
fn check_ours(path: &Path) -> Result<()> {
    match fs::read(path) {
        Ok(bytes) if !bytes.starts_with(SIGNATURE.as_bytes()) => Err(Error::NotOurs { path: path.to_path_buf() }),
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Ok(Err(cause).at("read", path)?),
        _ => Ok(()),
    }
}
