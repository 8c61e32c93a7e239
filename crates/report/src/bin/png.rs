//! Figures of the report as PNG, for a README: `png FIGURE.svg...` writes each one beside its file.
//!
//! A program of its own, because what it takes to draw letters has no place in the programs that train.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use l0_files::{Existing, write};

fn main() -> ExitCode {
    let pictures: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if pictures.is_empty() {
        eprintln!("usage: png PICTURE.svg...");
        return ExitCode::from(2);
    }
    for svg in pictures {
        match draw(&svg) {
            Ok(png) => println!("{}", png.display()),
            Err(problem) => {
                eprintln!("error: {problem}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn draw(svg: &Path) -> Result<PathBuf, String> {
    let text = std::fs::read_to_string(svg).map_err(|error| format!("cannot read {}: {error}", svg.display()))?;
    let path = svg.with_extension("png");
    let bytes = l0_report::plot::png(&text, &path).map_err(|error| error.to_string())?;
    write(&path, &bytes, Existing::Replace).map_err(|error| error.to_string())?;
    Ok(path)
}
