//! Recipes as files: `--print-config` writes one, `--config` reads it back, and a mistake is named with its line.

mod unread;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use l0_data::DataSpec;
use l0_record::RunHeader;
use l0_train::Training;
use serde::{Deserialize, Serialize};

use crate::{Model, Recipe, published, recipes};

/// What a file says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The file's own name if it is missing.
    name: Option<String>,
    title: Option<String>,
    curve: Option<String>,
    /// The published row it repeats, by its [id](crate::published).
    published: Option<String>,
    /// In what its runs are smaller than the published one.
    scaled_down: Option<String>,
    data: DataSpec,
    model: Model,
    training: Training,
}

/// The recipe as a file: an embedded one as it is, below its name.
///
/// # Errors
/// None in practice: every recipe has a form in TOML.
pub fn print(recipe: &Recipe) -> Result<String> {
    if let Some(text) = recipes::file_of(recipe) {
        let (head, settings) = text.split_once("\n\n").unwrap_or(("", text));
        return Ok(format!("{head}\n\nname = {:?}\n{settings}", recipe.name));
    }
    written(recipe)
}

/// The recipe as a file with a table for each group of settings.
fn written(recipe: &Recipe) -> Result<String> {
    let recipe = recipe.clone();
    let file = File {
        name: Some(recipe.name),
        title: Some(recipe.title),
        curve: recipe.curve,
        published: None,
        scaled_down: None,
        data: recipe.data,
        model: recipe.model,
        training: recipe.training,
    };
    Ok(format!("# A recipe, as --print-config writes one and --config reads it.\n\n{}", toml::to_string(&file)?))
}

/// Reads a recipe from a file; one that states no name has that of the file.
///
/// # Errors
/// If the file cannot be read; if it has an unknown key (the nearest known one is named), a value out of range (the range
/// is given), or the name of a recipe that is another.
pub fn read(path: &Path) -> Result<Recipe> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    parse_named(&bytes, name).with_context(|| path.display().to_string())
}

/// Reads a recipe from the bytes of a file, which state its name.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8]) -> Result<Recipe> {
    parse_named(bytes, None)
}

fn parse_named(bytes: &[u8], name: Option<String>) -> Result<Recipe> {
    let text = std::str::from_utf8(bytes).context("is not text in UTF-8")?;
    let recipe = recipe_of(text, name)?;
    let stated = recipe.reference.is_some() || recipe.scaled_down.is_some();
    match known(&recipe)? {
        Some(known) => Ok(known),
        None if stated => {
            // With settings of its own it is neither what was published nor that made smaller.
            tracing::warn!("{}: `published` and `scaled_down` are for the recipes of this workspace", recipe.name);
            Ok(Recipe { reference: None, scaled_down: None, ..recipe })
        }
        None => Ok(recipe),
    }
}

/// A recipe of this workspace from its file.
///
/// # Errors
/// As [`read`].
pub(crate) fn embedded(name: &str, text: &str) -> Result<Recipe> {
    recipe_of(text, Some(name.into()))
}

/// What a file says, checked; `name` if it states none.
fn recipe_of(text: &str, name: Option<String>) -> Result<Recipe> {
    let file: File = toml::from_str(text).map_err(|error| anyhow::anyhow!(explained(text, &error)))?;
    if let Some(unread) = unread::first(text, &file) {
        bail!("{}", unread.explained(text));
    }
    let name = file.name.or(name).context("line 1: missing field `name`")?;
    let published = |id: String| published::row(&id).with_context(|| published::unknown(&id));
    let recipe = Recipe {
        title: file.title.unwrap_or_else(|| name.clone()),
        name,
        curve: file.curve,
        data: file.data,
        model: file.model,
        training: file.training,
        reference: file.published.map(published).transpose()?,
        scaled_down: file.scaled_down,
    };
    recipe.check()?;
    Ok(recipe)
}

/// A recipe with the name of a published one must be it, the number of epochs aside: else its runs would pass for those.
fn known(recipe: &Recipe) -> Result<Option<Recipe>> {
    let Some(known) = recipes::named(&recipe.name) else { return Ok(None) };
    let known = known.with_epochs(recipe.training.epochs);
    ensure!(
        known.config() == recipe.config(),
        "{} is the name of a recipe with other settings (--print-config shows them); give this one a name of its own",
        recipe.name
    );
    Ok(Some(known))
}

/// The recipe that a run was made by.
///
/// # Errors
/// If its header holds something else.
pub fn of_run(header: &RunHeader) -> Result<Recipe> {
    let entry = |key: &str| header.config.get(key).cloned().with_context(|| format!("its config has no {key:?}"));
    let recipe = Recipe {
        name: header.recipe.clone(),
        title: header.title().into(),
        curve: header.curve.clone(),
        data: data_of(entry("data")?)?,
        model: serde_json::from_value(entry("model")?).context("its model")?,
        training: serde_json::from_value(entry("training")?).context("its training")?,
        reference: header.reference.clone(),
        scaled_down: header.scaled_down.clone(),
    };
    recipe.check()?;
    Ok(recipe)
}

fn data_of(written: serde_json::Value) -> Result<DataSpec> {
    let said = format!("its data is {written}, expected a name, or a table that says where it comes from");
    serde_json::from_value(written).context(said)
}

/// How serde and toml say that a table has a key beside the one that is a choice.
const SECOND_CHOICE: [&str; 2] = ["map with a single key", "wanted exactly 1 element"];

/// What is wrong and in which line; of an unknown key or word also which known one is the nearest.
fn explained(text: &str, error: &toml::de::Error) -> String {
    if SECOND_CHOICE.iter().any(|words| error.message().contains(words))
        && let Some(unread) = unread::too_many::<File>(text)
    {
        return unread.explained(text);
    }
    let mut message = error.message().trim().replace('\n', ", ");
    for kind in ["u64", "usize", "u32"] {
        message = message.replace(&format!("expected {kind}"), "expected a whole number of 0 or more");
    }
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let is_unknown = error.message().starts_with("unknown");
    if let (true, [found, known @ ..]) = (is_unknown, quoted.as_slice())
        && let Some(nearest) = nearest(found, known)
    {
        message = format!("{message}; did you mean `{nearest}`?");
    }
    // The place of a key in a table that is read twice is that of the table: then look for the key itself from there on.
    let start = error.span().map_or(0, |span| span.start);
    let of_span = lines_before(text, start);
    let key_of = |line: &'_ str| {
        line.trim_start_matches([' ', '\t', '[']).split([' ', '\t', '=', ']', '.']).next() == quoted.first().copied()
    };
    let of_key = || text.lines().skip(of_span).position(key_of).map(|lines| of_span + lines);
    let line = if is_unknown { of_key() } else { None }.unwrap_or(of_span);
    format!("line {}: {message}", line + 1)
}

fn lines_before(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().min_by_key(|known| strsim::damerau_levenshtein(found, known)).copied()
}

#[cfg(test)]
mod tests {
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
        refused_header(serde_json::json!({ "data": "mnist" }), "its config has no \"model\"");
        refused_header(
            serde_json::json!({ "data": 3 }),
            "its data is 3, expected a name, or a table that says where it comes from",
        );
    }

    fn refused_header(config: serde_json::Value, message: &str) {
        let error = of_run(&RunHeader::new("mine", 1, config)).unwrap_err().to_string();
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
                let line = before.lines().count() + 1;
                refused(
                    &format!("{before}nonsense = 1 # it is\n{after}"),
                    &format!("line {line}: unknown field `nonsense`"),
                );
                let deep = format!("{before}nonsense = {{ kind = \"steps\", after = [1] }}\n{after}");
                refused(&deep, &format!("line {line}: unknown field `nonsense`"));
            }
        }
    }

    #[test]
    fn a_key_of_another_kind_comes_with_the_known_one_and_a_setting_at_its_usual_value_is_read() {
        let text = edited(
            "[training.schedule]\nkind = \"constant\"",
            "[training.schedule]\nkind = \"constant\"\nfactor = 0.1",
        );
        let line = text.lines().count();
        refused(&text, &format!("line {line}: unknown field `factor`, expected `kind`; did you mean `kind`?"));
        let wrn = recipes::named("wrn-16-1-l0-gates").unwrap();
        let printed = print(&Recipe { name: "mine".into(), ..wrn }).unwrap().replace("l2 = \"detached\"\n", "");
        let usual = printed.replacen("[model]\n", "[model]\nl2 = \"attached\"\n", 1);
        assert!(!printed.contains("l2 = ") && usual.contains("l2 = \"attached\""), "{usual}");
        assert_eq!(parse(usual.as_bytes()).unwrap(), parse(printed.as_bytes()).unwrap());
    }

    #[test]
    fn values_out_of_range_come_with_the_range() {
        refused(&edited("epochs = 200", "epochs = 0"), "epochs is 0, expected 1 to 1000000");
        refused(&edited("epochs = 200", "epochs = -1"), "integer `-1`, expected a whole number of 0 or more");
        refused(&edited("average = 0.999", "average = 1.0"), "average is 1, expected 0 or more and below 1");
        refused(&edited("beta1 = 0.9", "beta1 = 1.5"), "beta1 is 1.5, expected 0 or more and below 1");
        refused(
            &edited("learning_rate = 0.001", "learning_rate = nan"),
            "learning_rate is NaN, expected a number above 0",
        );
        refused(&edited("maps1 = 20", "maps1 = 0"), "maps1 is 0, expected 1 to 100000");
        refused(&edited("hidden = 500", "hidden = 200000000"), "hidden is 200000000, expected 1 to 100000");
        refused(
            &edited("hidden = 500", "hidden = 90000").replace("maps2 = 50", "maps2 = 90000"),
            "parameters, expected 1",
        );
        refused(&edited("[1, 28, 28]", "[1, 28000, 28000]"), "image has 784000000 values, expected 1 to 1000000");
        refused(&edited("per-weight = 10.0", "per-weight = -1.0"), "lambda is -1, expected a number of 0 or more");
    }

    #[test]
    fn a_network_that_is_not_for_the_data_is_refused() {
        let colours = "for images of (1, 28, 28), classes (10); cifar10 has images of (3, 32, 32), classes (10)";
        refused(&edited("\"mnist\"", "\"cifar10\""), colours);
        let wrn = written(&recipes::named("wrn-16-1-con-0.5").unwrap()).unwrap();
        let wrn = wrn.replacen("\"wrn-16-1-con-0.5\"", "\"mine\"", 1);
        refused(&wrn.replace("classes = 10", "classes = 5"), "classes (5); cifar10 has");
        let dense = wrn
            .replace("kind = \"l0\"", "kind = \"dense\"")
            .replace("[[model.gating.lambdas]]\nper-weight = 0.0\n", "");
        refused(&dense, "a constraint holds gates to a density, and this network has none");
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
}
