//! Writes the drawn digits as IDX files: `cargo run --release -p l0-data --example digits -- DIR [SEED]`.

use l0_data::idx::Idx;
use l0_data::{Digits, Split};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: digits DIR [SEED]")?;
    let seed = args.next().map_or(Ok(0), |seed| seed.parse())?;
    let start = std::time::Instant::now();
    let digits = Digits { seed, ..Digits::default() }.draw()?;
    println!("drawn in {:.2} s, sha256 {}", start.elapsed().as_secs_f64(), digits.digest()?);
    std::fs::create_dir_all(&dir)?;
    write(&digits.train, Path::new(&dir), "train")?;
    write(&digits.test, Path::new(&dir), "t10k")
}

fn write(split: &Split, dir: &Path, part: &str) -> Result<(), Box<dyn Error>> {
    let (_, h, w) = split.shape();
    let images = Idx { dims: vec![split.len(), h, w], data: split.images().to_vec() };
    let labels = split.labels().iter().map(|&label| label as u8).collect();
    let labels = Idx { dims: vec![split.len()], data: labels };
    std::fs::write(dir.join(format!("{part}-images-idx3-ubyte")), images.to_bytes())?;
    std::fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), labels.to_bytes())?;
    Ok(())
}
