use l0::{Estimator, Fit};
use l0_data::{Digits, Scale, Split, Table};
use l0_train::Optimiser;

use super::*;

const MLP: &str = "layers = [{ linear = 8 }, \"relu\", { linear = \"outputs\" }]\n";

fn example(name: &str) -> Described {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/networks").join(name)).unwrap()
}

/// A data set of `n` rows of two columns, of three classes or of a number.
fn table(n: usize, is_number: bool) -> Dataset {
    let target =
        |i: usize| if is_number { format!("{}", (i * 7919 % 1000) as f64 / 7.0) } else { format!("c{}", i % 3) };
    let rows: String = (0..n).map(|i| format!("{},{},{}\n", i % 17, i % 5, target(i))).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.csv");
    std::fs::write(&path, format!("a,b,label\n{rows}")).unwrap();
    let data = Table::open(&path).unwrap().split(0.2, 0).unwrap();
    Dataset { source: Some("rows.csv".parse().unwrap()), ..data }
}

fn refused(text: &str, expected: &str) {
    let said = match parse(text.as_bytes(), "mine") {
        Err(error) => format!("{error:#}"),
        Ok(described) => format!("{:#}", described.recipe(&table(60, false), None).unwrap_err()),
    };
    assert!(said.contains(expected), "expected {expected:?}, found {said:?}");
}

#[test]
fn every_example_says_in_its_head_how_to_train_it_and_becomes_a_network() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/networks");
    let mut names: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().to_string_lossy().into()).collect();
    names.sort();
    assert_eq!(names, ["lenet.toml", "mlp.toml", "mobilenet.toml", "resnet.toml"]);
    for name in &names {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let (head, _) = text.split_once("\n\n").unwrap();
        assert!(head.starts_with("# ") && text.contains(&format!("just train examples/networks/{name} ")), "{name}");
    }
    let sizes = |name: &str, shape| example(name).net(shape, 2).unwrap().cost().params();
    assert_eq!(sizes("mlp.toml", Shape::Features(30)), 31 * 64 + 65 * 64 + 65 * 2);
    assert_eq!(sizes("lenet.toml", Shape::Image(1, 28, 28)), 26 * 20 + (500 + 1) * 50 + 801 * 500 + 501 * 2);
    let photograph = Shape::Image(3, 64, 64);
    assert!((150_000..200_000).contains(&sizes("resnet.toml", photograph)), "{}", sizes("resnet.toml", photograph));
    assert!((20_000..60_000).contains(&sizes("mobilenet.toml", photograph)));
}

#[test]
fn the_usual_is_said_in_full_and_follows_from_the_number_of_examples() {
    let described = parse(MLP.as_bytes(), "mine").unwrap();
    let recipe = described.recipe(&table(60, false), None).unwrap();
    assert_eq!((recipe.training.epochs, recipe.training.batch_size, recipe.training.frozen_epochs), (100, 32, 0));
    assert_eq!((recipe.name.as_str(), &recipe.objective), ("mine", &None));
    let numbers = described.recipe(&table(60, true), Some(7)).unwrap();
    assert_eq!(numbers.training.epochs, 7);
    assert_eq!(numbers.architecture.network().unwrap().net().cost().params(), 3 * 8 + 9);
    // Written out and read back, as --print-config and --config do.
    let again = crate::config::parse(crate::config::print(&recipe).unwrap().as_bytes()).unwrap();
    assert_eq!(again, recipe);
}

#[test]
fn gates_are_brought_to_half_of_the_weights_unless_the_file_says_otherwise() {
    let of = |rest: &str| {
        let text = format!("gates = \"prunable\"\n{MLP}{rest}");
        parse(text.as_bytes(), "mine").unwrap().recipe(&table(400, false), None).unwrap()
    };
    let usual = of("");
    let constraint = usual.objective.as_ref().unwrap().constraint().unwrap().clone();
    assert_eq!((&constraint.targets, usual.training.frozen_epochs), (&l0::Targets::Model(0.5), 50));
    assert_eq!(constraint.learning_rate, 12.0 / (100.0 * 10.0));
    assert_eq!(usual.training.gate_optimiser, Optimiser::adam(0.02));
    let macs = of("[objective]\nmacs = 0.25\n").objective.unwrap();
    assert_eq!(macs.constraint().unwrap().quantity, l0::Quantity::Macs);
    assert_eq!((usual.training.estimator, constraint.fit), (Estimator::Mean, Fit::Fill(l0::Filling::default())));
    // Never frozen, they are read by top-k, and nothing is filled in; a constraint of one's own is filled, too.
    let free = of("[training]\nfrozen_epochs = 0\n");
    let fit = |recipe: &Recipe| recipe.objective.as_ref().unwrap().constraint().unwrap().fit;
    assert_eq!((free.training.estimator, fit(&free)), (Estimator::TopK, Fit::Lower));
    let unfilled = "[objective]\nconstraint = { quantity = \"weights\", learning_rate = 0.1, restart = true, targets = { model = 0.5 } }\n";
    let own = of(unfilled);
    assert_eq!((own.training.estimator, fit(&own)), (Estimator::Mean, fit(&usual)));
    let described = parse(format!("gates = \"prunable\"\n{MLP}").as_bytes(), "mine").unwrap();
    let by_top_k = Changes { estimator: Some(Estimator::TopK), ..Changes::default() };
    let by_top_k = described.changed(&table(400, false), &by_top_k).unwrap();
    assert_eq!(
        (by_top_k.training.estimator, fit(&by_top_k), by_top_k.name.as_str()),
        (Estimator::TopK, Fit::Lower, "mine-top-k")
    );
    let priced = of("[objective]\nlambdas = [{ per-weight = 0.1 }]\n[training]\nestimator = \"median\"\n");
    assert_eq!((priced.objective.unwrap().lambdas().len(), priced.training.estimator), (1, Estimator::Median));
    let sgd = of("[training]\noptimiser = { kind = \"sgd\", learning_rate = 0.1 }\nepochs = 3\n");
    assert_eq!(sgd.training.optimiser, Optimiser::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true });
    assert_eq!((sgd.training.epochs, sgd.training.frozen_epochs), (3, 1));
    // Another target keeps the step of the multipliers, which is for this many steps.
    let other = usual.held_as("mine", l0::Targets::Model(0.2), l0::Quantity::Weights);
    assert_eq!(other.objective.unwrap().constraint().unwrap().learning_rate, constraint.learning_rate);
}

#[test]
fn what_has_no_meaning_is_refused() {
    refused("layers = [\n  \"relu\",\n  \"rleu\",\n]\n", "there is no layer \"rleu\"");
    refused(&format!("gate = 1\n{MLP}"), "line 1: unknown field `gate`");
    refused(&format!("{MLP}[objective]\ndensity = 0.5\n"), "this network has none: say gates");
    refused(&format!("gates = \"prunable\"\n{MLP}[objective]\ndensity = 0.5\nmacs = 0.5\n"), "choose one");
    refused(&format!("gates = \"prunable\"\n{MLP}[objective]\ndensity = 1.5\n"), "in (0, 1]");
    let closing = |said: &str| format!("gates = \"prunable\"\n{MLP}[objective]\n{said}\n");
    refused(&closing("lambda = 0.1"), "unknown field `lambda`, expected one of density, macs, lambdas, ");
    refused(&closing("lambdas = [0.1]"), "lambdas = [0.1], expected a list as [{ per-weight = 0.1 }]");
    refused(&format!("{MLP}[training]\nepoch = 3\n"), "[training]: unknown field `epoch`");
    refused(&format!("{MLP}[training]\nepochs = 0\n"), "epochs is 0, expected 1 to ");
    refused(
        &format!("{MLP}[training]\nschedule = {{ kind = \"constant\", after = [30] }}\n"),
        "schedule: unknown field `after` of the kind \"constant\"",
    );
    refused(&format!("loss = \"squared_error\"\n{MLP}"), "rows has classes to predict");
    refused(&format!("name = \"a/b\"\n{MLP}"), "cannot name a folder of runs");
    refused(&format!("name = \"mlp-l0\"\n{MLP}"), "the name of a recipe");
    refused("layers = [{ linear = 7 }]\n", "the network is for rows of (2), outputs (7)");
    refused("layers = [{ conv2d = 7, kernel = 3 }]\n", "\"conv1\"");
}

#[test]
fn pictures_become_images_as_the_file_says_where_their_owner_does_not() {
    let described = example("resnet.toml");
    let at = |data: Option<&str>, image_size| {
        described.data(&DataArgs { data: data.map(Into::into), image_size, ..DataArgs::default() })
    };
    let spec = at(Some("./photos"), None).unwrap();
    assert_eq!((spec.options.size, spec.options.augment.map(|augment| augment.flip)), (Some(64), Some(true)));
    assert_eq!(at(Some("./photos"), Some(32)).unwrap().options.size, Some(32));
    assert_eq!(at(Some("cifar10"), None).unwrap(), l0_data::Benchmark::Cifar10.into());
    assert!(at(None, None).unwrap_err().to_string().contains("name it with --data"));
}

#[test]
fn known_data_stands_in_a_table_of_the_networks_own_name() {
    let digits = Digits { train: 40, test: 10, seed: 1 }.draw().unwrap();
    let data = Dataset { source: Some(l0_data::Benchmark::Digits.into()), ..digits };
    let recipe = example("lenet.toml").recipe(&data, None).unwrap();
    assert_eq!(recipe.architecture.title(&recipe.data.title()), "lenet on drawn digits");
    let split = Split::regression(vec![0.0; 8], vec![0.0; 4], 2, Scale { mean: 0.0, std: 1.0 });
    assert_eq!(split.unwrap().classes(), 0);
}
