//! Prunes an ONNX file to half of its multiply-accumulates, on a folder of pictures in one folder for each class:
//! `cargo run --release -p l0-prune --example prune -- model.onnx photos small.onnx`.

use l0_data::ImageFolder;
use l0_net::{OnnxReader, Shape};
use l0_prune::{Prune, Target};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, photos, out] = args.as_slice() else {
        return Err("expected three paths: MODEL.onnx PHOTOS OUT.onnx".into());
    };
    let (model, about) = OnnxReader::new().read_with_about(model)?;
    let Shape::Image(_, side, _) = model.net.shape(0) else {
        return Err("the network reads no images".into());
    };
    let data = ImageFolder::open(photos)?.resize(side).split(0.2, 1)?; // a fifth is tested on
    let pruned = Prune::model(model).target(Target::Macs(0.5)).epochs(10).train(&data)?;
    println!("{pruned}\n{}", pruned.model.summary());
    pruned.save_onnx(out, &about)?; // input and output are called as they were
    Ok(())
}
