//! Loads a folder of pictures: `cargo run --release -p l0-data --example images -- FOLDER [SIZE]`.

use l0_data::{ImageFolder, Silent};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("name a folder")?;
    let folder = ImageFolder::open(dir)?;
    let folder = match args.next() {
        Some(size) => folder.resize(size.parse()?),
        None => folder,
    };
    let start = Instant::now();
    let data = folder.load(&Silent)?;
    let seconds = start.elapsed().as_secs_f64();
    let (train, test) = (data.train.len(), data.test.len());
    println!("{}: {train} + {test} images of {:?} in {seconds:.1} s", data.name, data.train.shape());
    data.notes.iter().for_each(|note| println!("{note}"));
    Ok(())
}
