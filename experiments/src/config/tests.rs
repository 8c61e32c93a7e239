use super::*;
use proptest::prelude::*;

fn lenet5() -> String {
    written(&recipes::named("lenet5-l0-sep").unwrap()).unwrap()
}

fn refused(text: &str, message: &str) {
    let error = format!("{:#}", parse(text.as_bytes()).unwrap_err());
    assert!(error.contains(message), "expected {message:?}, found {error:?}");
}

fn edited(from: &str, to: &str) -> String {
    let text = lenet5();
    assert!(text.contains(from), "{text}");
    text.replacen("\"lenet5-l0-sep\"", "\"mine\"", 1).replacen(from, to, 1)
}

#[test]
fn every_recipe_is_written_and_read() {
    for recipe in recipes::all() {
        let text = print(&recipe).unwrap();
        assert_eq!(parse(text.as_bytes()).unwrap(), recipe, "{text}");
        assert_eq!(parse(written(&recipe).unwrap().as_bytes()).unwrap(), recipe);
        let short = recipe.with_epochs(7);
        assert_eq!(parse(print(&short).unwrap().as_bytes()).unwrap(), short);
    }
}

#[test]
fn a_file_without_a_name_is_called_as_it_is_and_stands_beside_no_published_row() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("mine.toml");
    let of_file = recipes::file_of(&recipes::named("wrn-16-1-con-0.5").unwrap()).unwrap();
    std::fs::write(&path, of_file.replace("epochs = 20", "epochs = 21")).unwrap();
    let mine = read(&path).unwrap();
    assert_eq!((mine.name.as_str(), mine.reference, mine.scaled_down), ("mine", None, None));
    refused(of_file, "line 1: missing field `name`");
    let wrong = of_file.replace("density-0.5", "density-5").replace("title =", "name = \"mine\"\ntitle =");
    refused(
        &wrong,
        "no published row has the id \"gallego2022/cifar10/density-5\"; did you mean \"gallego2022/cifar10/density-0.5\"?",
    );
}

#[test]
fn a_run_knows_its_recipe() {
    for recipe in recipes::all() {
        let header = RunHeader {
            title: recipe.title.clone(),
            curve: recipe.curve.clone(),
            reference: recipe.reference.clone(),
            scaled_down: recipe.scaled_down.clone(),
            ..RunHeader::new(&recipe.name, 1, recipe.config())
        };
        assert_eq!(of_run(&header).unwrap(), recipe);
    }
    let unknown = "its settings are none that this program knows: ";
    let quickstart = recipes::quickstart().config();
    let without = |key: &str| {
        let mut config = quickstart.clone();
        config.as_object_mut().unwrap().remove(key);
        config
    };
    refused_header(without("architecture"), &format!("{unknown}missing field `architecture`"));
    let gates = "this network has gates, and no [objective] says what closes them: give it lambdas or a constraint";
    refused_header(without("objective"), gates);
    let mut number = quickstart.clone();
    number["data"] = 3.into();
    let error = format!("{:#}", of_run(&RunHeader::new("mine", 1, number)).unwrap_err());
    let message = "its data is 3: expected a name, or a table that says where it comes from";
    assert!(error.starts_with(message), "{error}");
}

fn refused_header(config: serde_json::Value, message: &str) {
    let error = format!("{:#}", of_run(&RunHeader::new("mine", 1, config)).unwrap_err());
    assert_eq!(error, message);
}

#[test]
fn unknown_keys_and_words_are_named_with_their_line_and_the_nearest_known_one() {
    let line = |text: &str, key: &str| text.lines().position(|line| line.starts_with(key)).unwrap() + 1;
    for (from, to, found, near) in [
        ("batch_size", "batchsize", "batchsize", "batch_size"),
        ("maps1", "map1", "map1", "maps1"),
        ("beta1", "betta1", "betta1", "beta1"),
        ("[training.schedule]", "[training.shedule]", "[training.shedule", "schedule"),
    ] {
        let text = edited(from, to);
        let (line, found) = (line(&text, found), found.rsplit('.').next().unwrap());
        refused(&text, &format!("unknown field `{found}`"));
        refused(&text, &format!("did you mean `{near}`?"));
        if !to.starts_with('[') {
            refused(&text, &format!("line {line}: "));
        }
    }
    let wrn = written(&recipes::named("wrn-16-1-l0-gates").unwrap()).unwrap();
    let (before, gates) = wrn.split_once("[training.gate_optimiser]").unwrap();
    let text = format!("{before}[training.gate_optimiser]{}", gates.replacen("momentum", "momentun", 1));
    refused(&text, &format!("line {}: unknown field `momentun`", line(&text, "momentun")));
    let (start, gates) = (before.lines().count(), gates.replacen("\"sgd\"", "\"adam\"", 1));
    let within = gates.lines().position(|line| line.starts_with("momentum")).unwrap();
    let text = format!("{before}[training.gate_optimiser]{gates}");
    refused(&text, &format!("line {}: unknown field `momentum`", start + within + 1));
    refused(&edited("\"minibatch\"", "\"minibach\""), "did you mean `minibatch`?");
    refused(&edited("\"lenet5\"", "\"lenet\""), "did you mean `lenet5`?");
    refused(&edited("\"mnist\"", "\"mnits\""), "known are mnist, cifar10");
    refused("name = ", "line 1: ");
    refused(&edited("epochs = 200", ""), "missing field `epochs`");
}

/// Every place of a recipe where a key can stand, as the table before it; `None` for the first one.
fn tables(text: &str) -> Vec<Option<&str>> {
    let headed = text.lines().filter(|line| line.starts_with('[')).map(Some);
    std::iter::once(None).chain(headed).collect()
}

#[test]
fn a_key_that_nothing_reads_is_refused_in_every_table_of_every_recipe() {
    for recipe in recipes::all() {
        let text = print(&Recipe { name: "mine".into(), ..recipe }).unwrap();
        for table in tables(&text) {
            let at = table.map_or(0, |table| text.find(table).unwrap() + table.len() + 1);
            let (before, after) = text.split_at(at);
            // What is wrong in the data is said of the whole of it.
            let of_data = text.find("[data]").filter(|_| table.is_some_and(|table| table.starts_with("[data")));
            let line = of_data.map_or(before.lines().count(), |at| text[..at].lines().count()) + 1;
            let data = of_data.map_or("", |_| "data = { name = \"mnist\" }: ");
            for nonsense in ["1 # it is", "{ kind = \"steps\", after = [1] }"] {
                let message = format!("line {line}: {data}unknown field `nonsense`");
                refused(&format!("{before}nonsense = {nonsense}\n{after}"), &message);
            }
        }
    }
}

#[test]
fn a_key_of_another_kind_comes_with_the_known_one_and_a_setting_at_its_usual_value_is_read() {
    let text =
        edited("[training.schedule]\nkind = \"constant\"", "[training.schedule]\nkind = \"constant\"\nfactor = 0.1");
    let line = text.lines().count();
    refused(&text, &format!("line {line}: unknown field `factor`, expected `kind`; did you mean `kind`?"));
    let usual = edited("l2 = \"attached\"\n", "");
    assert_eq!(parse(usual.as_bytes()).unwrap(), parse(edited("title", "title").as_bytes()).unwrap());
}

#[test]
fn values_out_of_range_come_with_the_range() {
    refused(&edited("epochs = 200", "epochs = 0"), "epochs is 0, expected 1 to 1000000");
    refused(&edited("epochs = 200", "epochs = -1"), "integer `-1`, expected a whole number of 0 or more");
    refused(&edited("average = 0.999", "average = 1.0"), "average is 1, expected 0 or more and below 1");
    refused(&edited("beta1 = 0.9", "beta1 = 1.5"), "beta1 is 1.5, expected 0 or more and below 1");
    refused(&edited("learning_rate = 0.001", "learning_rate = nan"), "learning_rate is NaN, expected a number above 0");
    refused(&edited("maps1 = 20", "maps1 = 0"), "maps1 is 0, expected 1 to 100000");
    refused(&edited("hidden = 500", "hidden = 200000000"), "hidden is 200000000, expected 1 to 100000");
    refused(&edited("hidden = 500", "hidden = 90000").replace("maps2 = 50", "maps2 = 90000"), "parameters, expected 1");
    refused(&edited("[1, 28, 28]", "[1, 28000, 28000]"), "image has 784000000 values, expected 1 to 1000000");
    refused(&edited("per-weight = 10.0", "per-weight = -1.0"), "lambda must be finite and at least 0, found -1");
}

#[test]
fn a_network_that_is_not_for_the_data_is_refused() {
    let colours = "for images of (1, 28, 28), classes (10); cifar10 has images of (3, 32, 32), classes (10)";
    refused(&edited("\"mnist\"", "\"cifar10\""), colours);
    let wrn = written(&recipes::named("wrn-16-1-con-0.5").unwrap()).unwrap();
    let wrn = wrn.replacen("\"wrn-16-1-con-0.5\"", "\"mine\"", 1);
    refused(&wrn.replace("classes = 10", "classes = 5"), "classes (5); cifar10 has");
    refused(
        &wrn.replace("gating = \"l0\"", "gating = \"dense\""),
        "an [objective] closes gates, and this network has none",
    );
    refused(&edited("per-weight = 10.0", "per-weight = 10.0\n[objective.constraint]"), "missing field");
    let neither = lenet5().replace("\"lenet5-l0-sep\"", "\"mine\"").replace("[[objective.lambdas]]", "[[unread]]");
    refused(&neither, "neither `lambdas` nor a `constraint`; give one of them");
}

#[test]
fn the_name_of_a_published_row_is_not_for_another() {
    let text = lenet5().replacen("per-weight = 10.0", "per-weight = 9.0", 1);
    refused(&text, "lenet5-l0-sep is the name of a recipe with other settings");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn damaged_files_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        number in prop_oneof![any::<i64>().prop_map(|n| n.to_string()), any::<f64>().prop_map(|x| format!("{x:?}"))],
        at in any::<prop::sample::Index>(),
    ) {
        let mut bytes = lenet5().into_bytes();
        let length = bytes.len();
        changes.iter().for_each(|(at, byte)| bytes[at.index(length)] = *byte);
        let _ = parse(&bytes);
        // Any number in the place of another.
        let text = edited("title", "title");
        let numbers: Vec<usize> = text.match_indices("= ").map(|(at, _)| at + 2).collect();
        let at = numbers[at.index(numbers.len())];
        let end = at + text[at..].find('\n').unwrap();
        let _ = parse(format!("{}{number}{}", &text[..at], &text[end..]).as_bytes());
    }
}
