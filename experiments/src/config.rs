//! Recipes as files: `--print-config` writes one, `--config` reads it back, and a mistake is named with its line.

mod unread;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use l0::Objective;
use l0_data::DataSpec;
use l0_record::RunHeader;
use l0_train::Training;
use serde::{Deserialize, Serialize};

use crate::recipe::Settings;
use crate::{Architecture, Recipe, old, published, recipes};

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
    architecture: Architecture,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objective: Option<Objective>,
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
        architecture: recipe.architecture,
        objective: recipe.objective,
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
    ensure!(!old::is_old(text), "{}", old::HOW_TO_CHANGE);
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
        architecture: file.architecture,
        objective: file.objective,
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
    let config = old::upgraded(&header.config);
    let Settings { data, architecture, objective, training } =
        serde_json::from_value(config).context("its settings are none that this program knows")?;
    let recipe = Recipe {
        name: header.recipe.clone(),
        title: header.title().into(),
        curve: header.curve.clone(),
        data: data_of(data)?,
        architecture,
        objective,
        training,
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
mod tests;
