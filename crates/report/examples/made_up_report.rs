//! Fills a folder with runs that nobody ran and writes a report on them, to look at.
//!
//! `cargo run --release -p l0-report --example made_up_report -- FOLDER`

#[path = "../tests/made_up/mod.rs"]
mod made_up;

use std::path::PathBuf;

use l0_report::Collection;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root: PathBuf = std::env::args_os().nth(1).ok_or("give an empty folder")?.into();
    for dish in made_up::dishes() {
        for seed in 1..=3 {
            dish.cook(&root, seed, 200)?;
        }
    }
    for path in made_up::report().write(&Collection::read(&root)?, &root)? {
        println!("{}", path.display());
    }
    Ok(())
}
