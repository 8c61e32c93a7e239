//! Pictures as PNG, for places that show no SVG.

use std::path::Path;

use resvg::{tiny_skia, usvg};

use crate::{Error, Result};

/// Pixels for each unit of a picture: sharp on screens with twice the usual density.
const SCALE: f32 = 2.0;

/// Draws `svg`, which will lie at `path`, with the fonts of the machine; returns the bytes of a PNG.
///
/// # Errors
/// If the picture is none, is empty, or the machine has no font to write its labels in.
pub fn png(svg: &str, path: &Path) -> Result<Vec<u8>> {
    let problem = |problem: String| Error::Picture { path: path.to_path_buf(), problem };
    let mut options = usvg::Options::default();
    options.fontdb_mut().load_system_fonts();
    if options.fontdb.is_empty() {
        return Err(problem("the machine has no fonts; install one, as DejaVu Sans".into()));
    }
    // Whatever of a picture's list of families is there comes first; else any sans-serif font.
    let sans = options.fontdb.faces().find(|face| face.families.iter().any(|(name, _)| name.contains("Sans")));
    let family = sans.or(options.fontdb.faces().next()).map(|face| face.families[0].0.clone());
    if let Some(family) = family {
        options.fontdb_mut().set_sans_serif_family(family);
    }
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| problem(error.to_string()))?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| problem("it has no area".into()))?;
    let mut pixels =
        tiny_skia::Pixmap::new(size.width(), size.height()).ok_or_else(|| problem("it has no area".into()))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| problem(error.to_string()))
}
