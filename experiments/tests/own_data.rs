//! The programs on data of somebody's own: networks that files describe, on folders of pictures and tables.
#![allow(missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{Device, Tensor};
use l0_net::{Builder, Card, Existing, Model, Params};
use l0_record::{RunHeader, Status, read_run};

/// A LeNet for the smallest pictures, with gates.
const LENET: &str = r#"
gates = "prunable"
layers = [
    { conv2d = 6, kernel = 3, padding = "same", name = "conv1" }, "batch_norm", "relu", { max_pool2d = 2 },
    { add = { body = [{ conv2d = 6, kernel = 3, padding = "same" }, "batch_norm"], shortcut = [] } }, "relu",
    "global_pool", { linear = "outputs" },
]
[training]
epochs = 24
batch_size = 8
optimiser = { learning_rate = 0.02 }
"#;

const MLP: &str = "layers = [{ linear = 16 }, \"relu\", { linear = \"outputs\" }]\n[training]\nepochs = 60\noptimiser = { learning_rate = 0.02 }\n";

fn program(name: &str, folder: &Path) -> Command {
    let mut command = common::program(name);
    command.current_dir(folder);
    command
}

/// What a program says, on both its outputs, in `folder`.
fn ok(folder: &Path, name: &str, args: &[&str]) -> String {
    common::said(&common::ok(program(name, folder).args(args)))
}

fn fails(folder: &Path, name: &str, args: &[&str], message: &str) {
    common::fails(program(name, folder).args(args), &[message]);
}

fn picture(path: &Path, colour: [u8; 3], shade: u8) {
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, 20, 16);
    encoder.set_color(png::ColorType::Rgb);
    let pixels: Vec<u8> = (0..320).flat_map(|_| colour.map(|part| part.saturating_add(shade))).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

/// Red and blue pictures in a folder whose name has a space and a letter that is not ASCII, with a stray file.
fn photos(folder: &Path) -> PathBuf {
    let photos = folder.join("meine Fotos ä");
    for (class, colour) in [("blau", [10, 20, 180]), ("rot", [180, 20, 10])] {
        std::fs::create_dir_all(photos.join(class)).unwrap();
        (0..20).for_each(|i| picture(&photos.join(class).join(format!("{i}.png")), colour, 3 * i));
    }
    std::fs::write(photos.join("rot/notes.txt"), "not a picture").unwrap();
    photos
}

fn header(run: &Path) -> RunHeader {
    read_run(run).unwrap().header
}

#[test]
fn a_described_network_learns_pictures_is_pruned_and_names_what_it_sees() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    photos(folder);
    std::fs::write(folder.join("net.toml"), LENET).unwrap();
    let args = ["net.toml", "--data", "meine Fotos ä", "--image-size", "16", "--out", "runs"];
    let said = ok(folder, "train", &args);
    assert!(said.contains("1 file skipped") && said.contains("notes.txt"), "{said}");
    assert!(said.contains("net seed 1: error 0.00 %"), "{said}");
    let run = folder.join("runs/net/seed-1");
    let found = header(&run);
    let record = found.data.record.clone().unwrap();
    assert_eq!((found.status, &record["class_names"]), (Status::Finished, &serde_json::json!(["blau", "rot"])));
    assert_eq!(record["from_run"], "../../../meine Fotos ä");
    assert!(found.outcome.weights_kept_percent().unwrap() < 60.0, "{:?}", found.outcome);
    assert!(found.network.starts_with("net on meine Fotos ä ("), "{}", found.network);
    assert!(ok(folder, "train", &args).contains("finished before"));

    // From another folder, where the data is not beside the program.
    let elsewhere = folder.join("runs");
    assert!(ok(&elsewhere, "export", &["net/seed-1", "--onnx"]).contains("0 predictions changed"));
    let verified = ok(&elsewhere, "verify", &["net/seed-1/compact.safetensors"]);
    assert!(verified.contains("test error 0.00 %") && verified.contains("equal to the gated network"), "{verified}");
    picture(&folder.join("new.png"), [170, 30, 30], 0);
    let model = ["--model", "runs/net/seed-1/compact.safetensors"];
    assert!(ok(folder, "predict", &[&model[..], &["new.png"]].concat()).starts_with("new.png: rot ("));
    let report = ok(folder, "report", &["runs"]);
    let table = std::fs::read_to_string(folder.join("runs/REPORT.md")).unwrap();
    assert!(table.contains("## net on meine Fotos ä") && !table.contains("↳ published"), "{report}\n{table}");

    std::fs::copy(run.join("compact.safetensors"), folder.join("alone.safetensors")).unwrap();
    std::fs::create_dir(folder.join("far")).unwrap();
    fails(&folder.join("far"), "verify", &["../alone.safetensors"], "--data names the folder or file of the data");
}

#[test]
fn a_run_on_data_of_ones_own_goes_on_from_another_folder_bit_for_bit() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    photos(folder);
    std::fs::write(folder.join("net.toml"), LENET).unwrap();
    let args = |out| ["net.toml", "--data", "meine Fotos ä", "--image-size", "16", "--out", out];
    ok(folder, "train", &args("whole"));
    ok(folder, "train", &args("parts"));
    let (whole, parts) = (folder.join("whole/net/seed-1"), folder.join("parts/net/seed-1"));
    let longer = |run: &Path| ["--continue-from".into(), run.display().to_string(), "--epochs".into(), "2".into()];
    let further = |run: &Path, from: &Path| ok(from, "train", &longer(run).each_ref().map(String::as_str));
    further(&whole, folder);
    further(&parts, &folder.join("meine Fotos ä"));
    let gated = |out: &str| {
        let (gated, _) = l0_net::GatedModel::load(
            folder.join(out).join("net-24-then-2/seed-1/gated.safetensors"),
            &candle_core::Device::Cpu,
        )
        .unwrap();
        let values = gated.weights.iter().map(|(_, t)| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        values.flatten().map(f32::to_bits).collect::<Vec<u32>>()
    };
    assert_eq!(gated("whole"), gated("parts"));
}

#[test]
fn a_table_of_numbers_is_learnt_and_predicted_in_its_own_unit() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    // 100 + 3 width - 2 height, with names in quotes, semicolons and decimal commas, as a spreadsheet writes it.
    let row = |i: usize| {
        let (width, height) = ((i * 37 % 50) as f64 / 10.0, (i * 23 % 40) as f64 / 10.0);
        let price = 100.0 + 3.0 * width - 2.0 * height;
        format!("{width:.1};{height:.1};{price:.1}\n").replace('.', ",")
    };
    let rows: String = (0..300).map(row).collect();
    std::fs::write(folder.join("prices.csv"), format!("\u{feff}\"width\";\"height\";\"price\"\n{rows}")).unwrap();
    std::fs::write(folder.join("mlp.toml"), MLP).unwrap();
    let args = ["mlp.toml", "--data", "prices.csv", "--label", "price", "--out", "runs"];
    let said = ok(folder, "train", &args);
    assert!(said.contains("mlp seed 1: RMSE ") && !said.contains("error"), "{said}");
    let run = folder.join("runs/mlp/seed-1");
    let outcome = header(&run).outcome;
    assert!(outcome.test_rmse.unwrap() < 2.0 && outcome.test_r2.unwrap() > 0.8, "{outcome:?}");
    assert_eq!(outcome.test_error_percent, None);
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"test_rmse\"") && !metrics.contains("error_percent"), "{metrics}");

    // Held to several densities, once it has gates.
    let swept = ["--data", "prices.csv", "--label", "price", "--targets", "0.3,0.6", "--epochs", "4"];
    fails(folder, "sweep", &[&["mlp.toml"], &swept[..]].concat(), "the file of a network says gates = \"prunable\"");
    std::fs::write(folder.join("gated.toml"), format!("gates = \"prunable\"\n{MLP}")).unwrap();
    let said = ok(folder, "sweep", &[&["gated.toml"], &swept[..], &["--jobs", "2"]].concat());
    assert!(said.contains("gated-con-0.3 seed 1: RMSE ") && said.contains("gated-con-0.6 seed 1"), "{said}");
    let settings = |run: &str| header(&folder.join("results/sweeps/gated-on-prices").join(run)).config;
    let held = settings("gated-con-0.3/seed-1");
    // What closes gates on the command line takes the place of the file's, and other settings follow from it.
    let priced = format!("gates = \"prunable\"\n{MLP}[objective]\nlambdas = [{{ per-weight = 9.0 }}]\n");
    std::fs::write(folder.join("gated.toml"), priced).unwrap();
    ok(folder, "sweep", &[&["gated.toml"], &swept[..], &["--index", "0"]].concat());
    assert_eq!(settings("gated-con-0.3/seed-1"), held);
    let price = ["gated.toml", "--data", "prices.csv", "--label", "price", "--lambdas", "0.1", "--epochs", "4"];
    ok(folder, "sweep", &price);
    let priced = settings("gated-lambda-0.1/seed-1");
    std::fs::write(folder.join("gated.toml"), format!("gates = \"prunable\"\n{MLP}")).unwrap();
    ok(folder, "sweep", &price);
    assert_eq!(settings("gated-lambda-0.1/seed-1"), priced);
    fails(folder, "sweep", &["gated.toml", "--data", "prices.csv", "--label", "price", "--lambdas", "-1,2"], "lambda");
    let recipe = ok(folder, "reproduce-mnist", &["mlp-l0", "--print-config"]);
    std::fs::write(folder.join("recipe.toml"), recipe).unwrap();
    assert!(ok(folder, "train", &["recipe.toml", "--epochs", "3", "--print-config"]).contains("name = \"mlp-l0\""));
    fails(folder, "train", &["recipe.toml", "recipe.toml", "--data", "digits"], "mlp-l0-on-digits is asked for twice");
    assert!(ok(folder, "sweep", &["recipe.toml", "--targets", "0.2", "--list"]).contains("mlp-con-0.2 seed 1"));
    fails(folder, "predict", &["prices.csv"], "a table, and the network reads pictures");
    let listed = ok(folder, "sweep", &[&["gated.toml"], &swept[..], &["--list"]].concat());
    assert!(listed.matches(" finished, RMSE ").count() == 2, "{listed}");

    // From scratch it has the units that were kept, however gates are read.
    for estimator in ["mean", "top-k"] {
        let wide = "layers = [{ linear = 256 }, \"relu\", { linear = \"outputs\" }]\n[objective]\ndensity = 0.1\n";
        let text = format!("gates = \"prunable\"\n{wide}[training]\nepochs = 4\nestimator = \"{estimator}\"\n");
        std::fs::write(folder.join(format!("{estimator}.toml")), text).unwrap();
        let file = format!("{estimator}.toml");
        let said = ok(folder, "train", &[&file, "--data", "prices.csv", "--label", "price", "--out", "runs"]);
        let is_lowered = said.contains("lowered so far with the others");
        assert!(said.contains("gates are frozen: ") && is_lowered == (estimator == "top-k"), "{said}");
        let run = format!("runs/{estimator}/seed-1");
        let scratch = ok(folder, "train", &["--scratch", &run]);
        let again = header(&folder.join(format!("runs/{estimator}-scratch/seed-1"))).outcome.architecture;
        assert_eq!(again, header(&folder.join(run)).outcome.architecture, "{scratch}");
    }
    let twice = "gates = \"prunable\"\nlayers = [{ linear = 9 }, { linear = \"outputs\" }]\n[objective]\nconstraint = { quantity = \"weights\", \
                 learning_rate = 0.1, restart = true, targets = { model = 0.5 }, fit = { fill = { multiple = 1 } } }\n[training]\nestimator = \"top-k\"\n";
    std::fs::write(folder.join("twice.toml"), twice).unwrap();
    fails(
        folder,
        "train",
        &["twice.toml", "--data", "prices.csv", "--label", "price"],
        "the estimator top-k chooses among the gates again",
    );

    // Whole numbers that would be classes are none for a network with one output.
    let years: String = (0..300).map(|i| format!("{}.5;{}.25;{}\n", i % 40, i % 30, 1990 + i % 20)).collect();
    std::fs::write(folder.join("years.csv"), format!("width;height;price\n{years}")).unwrap();
    plain(2, 1).save(folder.join("brought.safetensors"), &Card::default(), Existing::Keep).unwrap();
    let args = ["brought.safetensors", "--data", "years.csv", "--label", "price", "--epochs", "2", "--out", "pruned"];
    let said = ok(folder, "prune", &args);
    assert!(said.contains("the network has one output: the labels are numbers to predict"), "{said}");
    // What is guessed, what will be done, and how far it has come are said where nobody looks at a bar, too.
    let guess =
        "brought.safetensors does not record its normalisation; using the mean and standard deviation of the training";
    assert!(said.contains(guess) && said.contains("60 of 300 examples held out to test on"), "{said}");
    assert!(
        said.contains("240 training and 60 test examples in batches of 16, Adam; gates learn for 1 of 2"),
        "{said}"
    );
    assert!(said.contains("epoch   2 of 2  test RMSE "), "{said}");
    let page = std::fs::read_to_string(folder.join("pruned/brought/macs-0.5-seed1/index.html")).unwrap();
    assert!(page.contains("60 of 300 examples held out to test on") && page.contains("columns standardised"), "{page}");
    // Columns and numbers may be left as they are, which is another run, and guesses nothing.
    let none = [&args[..], &["--normalise", "none"]].concat();
    fails(folder, "prune", &none, "another --data or --normalise");
    let said = ok(folder, "prune", &[&none[..], &["--target-macs", "0.6"]].concat());
    assert!(!said.contains("does not record its normalisation"), "{said}");
    let config = header(&folder.join("pruned/brought/macs-0.6-seed1")).config;
    assert_eq!(config["normalise"]["mean"], serde_json::json!([0.0, 0.0]));
    fails(
        folder,
        "prune",
        &[&args[..], &["--task", "classes"]].concat(),
        "give a network with an output for each class",
    );
    fails(folder, "prune", &["runs/mean/seed-1/gated.safetensors", "--data", "years.csv"], "a network with its gates");

    let exported = ok(folder, "export", &["runs/mlp/seed-1"]);
    assert!(exported.contains("test RMSE ") && exported.contains("largest difference"), "{exported}");
    let file = "runs/mlp/seed-1/compact.safetensors";
    assert!(ok(folder, "verify", &[file]).contains("test RMSE "));
    let measured = ok(folder, "bench-model", &["--rounds", "1", file]);
    assert!(measured.contains("RMSE") && !measured.contains("error %"), "{measured}");
    ok(folder, "report", &["runs"]);
    let report = std::fs::read_to_string(folder.join("runs/REPORT.md")).unwrap();
    assert!(report.contains(" RMSE |") && report.contains("R²"), "{report}");

    // Columns in another order, one that is not known, and a missing value.
    std::fs::write(folder.join("new.csv"), "height,colour,width\n1.0,red,2.0\n,blue,2.0\n").unwrap();
    std::fs::write(folder.join("more.csv"), "width,height\n2.0,1.0\n").unwrap();
    let both = ok(folder, "predict", &["--model", file, "new.csv", "more.csv"]);
    assert!(both.contains("new.csv: row 2: ") && both.contains("more.csv: row 1: "), "{both}");
    std::fs::write(folder.join("more.csv"), "width,height\n2.0,1.0\n2.0,inf\n").unwrap();
    fails(folder, "predict", &["--model", file, "more.csv"], "more.csv: inf in column height of row 2");
    std::fs::write(folder.join("more.csv"), "width,height\n").unwrap();
    fails(folder, "predict", &["--model", file, "more.csv"], "more.csv: 0 rows of 2 columns");
    let said = ok(folder, "predict", &["--model", file, "new.csv"]);
    let number = |row: &str| -> f64 {
        let line = said.lines().find(|line| line.starts_with(row)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!((number("row 1: ") - 104.0).abs() < 4.0 && (number("row 2: ") - 102.1).abs() < 4.0, "{said}");
    assert!(said.contains("missing values, the mean of the training rows in their place: height (1)"), "{said}");
    std::fs::write(folder.join("new.csv"), "height,depth\n1.0,2.0\n").unwrap();
    fails(folder, "predict", &["--model", file, "new.csv"], "no column: width");
    fails(folder, "predict", &["--model", file, "mlp.toml"], "mlp.toml");
    fails(
        folder,
        "predict",
        &["--model", file, "new.png"],
        "new.png: a picture, and the network reads rows of a table",
    );
    fails(folder, "predict", &["--model", file, "runs"], "runs: a folder; name the tables in it");
    if !cfg!(feature = "hub") {
        std::fs::write(folder.join("new.parquet"), "PAR1").unwrap();
        fails(folder, "predict", &["--model", file, "new.parquet"], "or build this program with --features hub");
    }
    let args = ["brought.safetensors", "--data", "years.csv", "--label", "price", "--distill", "--temperature", "2"];
    fails(folder, "prune", &args, "--temperature is about the probabilities of classes");
}

#[test]
fn a_table_of_classes_answers_with_their_names() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let kind = |i: usize| if i % 7 < 3 { "small" } else { "large" };
    let rows: String = (0..200).map(|i| format!("{},{},{}\n", i % 7, i % 3, kind(i))).collect();
    std::fs::write(folder.join("kinds.csv"), format!("size,other,kind\n{rows}")).unwrap();
    std::fs::write(folder.join("mlp.toml"), MLP).unwrap();
    let said = ok(folder, "train", &["mlp.toml", "--data", "kinds.csv", "--out", "runs", "--seeds", "2"]);
    assert!(said.contains("mlp seed 2: error 0.00 %"), "{said}");
    ok(folder, "export", &["runs/mlp/seed-2"]);
    std::fs::write(folder.join("new.csv"), "size,other\n0,1\n6,2\n").unwrap();
    let said = ok(folder, "predict", &["--model", "runs/mlp/seed-2/compact.safetensors", "new.csv"]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("row 1: small (") && lines[1].starts_with("row 2: large ("), "{said}");
    // Probabilities are those of the network's own softmax: one more softmax gives 73 % of two classes at most.
    std::fs::write(
        folder.join("soft.toml"),
        MLP.replace("{ linear = \"outputs\" }", "{ linear = \"outputs\" }, \"softmax\""),
    )
    .unwrap();
    ok(folder, "train", &["soft.toml", "--data", "kinds.csv", "--out", "runs"]);
    ok(folder, "export", &["runs/soft/seed-1"]);
    let said = ok(folder, "predict", &["--model", "runs/soft/seed-1/compact.safetensors", "new.csv"]);
    let behind = |line: &str| line.split_once('(').unwrap().1.to_string();
    let percent = |line: &str| -> f64 { behind(line).split(' ').next().unwrap().parse().unwrap() };
    assert!(said.lines().all(|line| percent(line) > 90.0), "{said}");

    // What was trained is pruned on other rows by the numbers that it learnt to read.
    let far: String = (0..200).map(|i| format!("{},{},{}\n", 5 + i % 7, i % 3, kind(i))).collect();
    std::fs::write(folder.join("far.csv"), format!("size,other,kind\n{far}")).unwrap();
    let trained = "runs/mlp/seed-2/compact.safetensors";
    let few = ["--epochs", "2", "--out", "pruned", "--data"];
    assert!([Some(0), Some(3)].contains(&prunes(folder, &[&[trained], &few[..], &["far.csv"]].concat())));
    let pruned = header(&folder.join("pruned/mlp/macs-0.5-seed1")).config;
    let record = header(&folder.join("runs/mlp/seed-2")).data.record.unwrap();
    assert_eq!(pruned["normalise"], record["normalise"]);

    // Who tells apart other classes, or reads other numbers, is no teacher.
    plain(2, 2).save(folder.join("plain.safetensors"), &Card::default(), Existing::Keep).unwrap();
    let taught = format!("--distill={trained}");
    let taught = |data| [&["plain.safetensors", taught.as_str()], &few[..], &[data]].concat();
    fails(folder, "prune", &taught("far.csv"), "normalised otherwise");
    let others = rows.replace("small", "tiny").replace("large", "vast");
    std::fs::write(folder.join("names.csv"), format!("size,other,kind\n{others}")).unwrap();
    fails(folder, "prune", &taught("names.csv"), "tells apart large, small, in this order, the data has tiny, vast");
}

/// The exit code of a pruning, which may miss its target.
fn prunes(folder: &Path, args: &[&str]) -> Option<i32> {
    program("prune", folder).args(args).output().unwrap().status.code()
}

/// A small network for rows, without training.
fn plain(columns: usize, outputs: usize) -> Model {
    let mut b = Builder::features("row", columns);
    b.linear("fc1", 8).relu().linear("fc2", outputs);
    let net = b.build().unwrap();
    let weights = Params::init(&net, 1, &Device::Cpu).unwrap().detached();
    Model::new(net, weights).unwrap()
}

/// Columns without names are told by their numbers.
#[test]
fn rows_of_an_array_are_pruned_to_a_few_inputs() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let xs: Vec<f32> = (0..1200).map(|i| ((i * 37) % 101) as f32 / 10.0).collect();
    let ys: Vec<u8> = xs.chunks(6).map(|row| u8::from(row[0] > row[3])).collect();
    let xs = Tensor::from_vec(xs, (200, 6), &Device::Cpu).unwrap();
    let ys = Tensor::from_vec(ys, 200, &Device::Cpu).unwrap();
    let arrays = std::collections::HashMap::from([("x_train".to_string(), xs), ("y_train".to_string(), ys)]);
    candle_core::safetensors::save(&arrays, folder.join("rows.safetensors")).unwrap();
    plain(6, 2).save(folder.join("plain.safetensors"), &Card::default(), Existing::Keep).unwrap();
    let args = ["plain.safetensors", "--data", "rows.safetensors", "--target-inputs", "2", "--epochs", "4"];
    let said = ok(folder, "prune", &[&args[..], &["--out", "pruned"]].concat());
    assert!(said.contains("asked for 2 inputs, got 2") && said.contains("reads 2 columns: "), "{said}");
    std::fs::write(folder.join("new.csv"), "1,2,3,4,5,6\n").unwrap();
    let model = ["--model", "pruned/plain/inputs-2-seed1/compact.safetensors", "new.csv"];
    fails(folder, "predict", &model, "rows of an array, whose columns have no names");
}

#[test]
fn what_cannot_be_trained_is_said_before_anything_is_written() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    photos(folder);
    std::fs::write(folder.join("net.toml"), LENET).unwrap();
    std::fs::write(folder.join("wrong.toml"), LENET.replace("kernel = 3", "kernle = 3")).unwrap();
    fails(folder, "train", &[], "name the file of a network");
    fails(folder, "train", &["net.toml"], "nothing says what net is trained on");
    fails(folder, "train", &["nowhere.toml", "--data", "digits"], "cannot read nowhere.toml");
    fails(folder, "train", &["net.toml", "--data", "./nowhere"], "./nowhere is not there");
    fails(folder, "train", &["wrong.toml", "--data", "digits"], "unknown field `kernle`");
    std::fs::create_dir(folder.join("far")).unwrap();
    std::fs::write(folder.join("far/net.toml"), LENET).unwrap();
    let twice = ["net.toml", "far/net.toml", "--data", "meine Fotos ä", "--image-size", "16"];
    fails(folder, "train", &twice, "net is asked for twice");
    std::fs::write(folder.join("one.csv"), "a,b,label\n1,2,x\n3,4,x\n5,6,x\n").unwrap();
    fails(folder, "train", &["net.toml", "--data", "one.csv"], "1 classes in column label");
    std::fs::write(folder.join("two.csv"), "a,b,label\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n").unwrap();
    fails(folder, "train", &["net.toml", "--data", "two.csv"], "conv1");
    fails(folder, "train", &["net.toml", "--data", "two.csv", "--label", "c"], "its columns are a, b, label");
    let stray: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!stray.iter().any(|name| name == "results" || name == "runs"), "{stray:?}");
}
