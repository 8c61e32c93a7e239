//! Fetches a data set and says what came: `cargo run --release -p l0-data --features hub --example fetch -- mnist`.
//! Uses HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and L0_DATA as the experiments do.

use l0_data::{DataSpec, Source, load};
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut name: DataSpec = args.next().ok_or("usage: fetch NAME [SIZE]")?.parse()?;
    name.options.size = args.next().map(|size| size.parse()).transpose()?;
    let source = Source {
        dir: std::env::var_os("L0_DATA").map(PathBuf::from),
        offline: std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| value != "0" && !value.is_empty()),
        ..Source::default()
    };
    let start = Instant::now();
    let data = load(name.clone(), &source, &progress()).inspect_err(|error| {
        eprintln!("{error}\n({:.1} s)", start.elapsed().as_secs_f64());
    });
    let Ok(data) = data else { std::process::exit(1) };
    let (train, test, seconds) = (data.train.len(), data.test.len(), start.elapsed().as_secs_f64());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{name}: {train} + {test} images in {seconds:.1} s, sha256 {}", data.digest()?)?;
    writeln!(out, "classes {:?}", data.train.class_names())?;
    for file in &data.files {
        writeln!(out, "{}  {}", file.sha256, file.path.display())?;
    }
    Ok(())
}

#[cfg(feature = "hub")]
fn progress() -> impl l0_data::Progress {
    l0_data::hub::Bar::default()
}

#[cfg(not(feature = "hub"))]
fn progress() -> impl l0_data::Progress {
    l0_data::Silent
}
