//! What the file of a recipe says, and what is wrong with one.

use anyhow::{Context, Result, bail, ensure};
use l0::Objective;
use l0_data::DataSpec;
use l0_train::Training;
use serde::{Deserialize, Serialize};

use super::text::{lines_before, nearest};
use super::unread;
use crate::earlier::{StartRow, Taught};
use crate::{Architecture, Recipe, old, published};

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
    /// The row whose networks it begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<StartRow>,
    /// The row whose networks it learns from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    teacher: Option<Taught>,
}

/// The recipe as a file with a table for each group of settings.
pub(super) fn written(recipe: &Recipe) -> Result<String> {
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
        start: recipe.start,
        teacher: recipe.teacher,
    };
    Ok(format!("# A recipe, as --print-config writes one and --config reads it.\n\n{}", toml::to_string(&file)?))
}

/// What a file says, checked; `name` if it states none.
///
/// # Errors
/// If it has an unknown key (the nearest known one is named), a value out of range (the range is given), or no name.
pub(crate) fn recipe_of(text: &str, name: Option<String>) -> Result<Recipe> {
    ensure!(!old::is_old(text), "{}", old::HOW_TO_CHANGE);
    let file: File = toml::from_str(text).map_err(|error| anyhow::anyhow!(explained_of_recipe(text, &error)))?;
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
        start: file.start,
        teacher: file.teacher,
        reference: file.published.map(published).transpose()?,
        scaled_down: file.scaled_down,
    };
    recipe.check()?;
    Ok(recipe)
}

/// How serde and toml say that a table has a key beside the one that is a choice.
const SECOND_CHOICE: [&str; 2] = ["map with a single key", "wanted exactly 1 element"];

/// The same as [`explained`] of the file of a recipe, where a second choice in a table is a thing of its own.
fn explained_of_recipe(text: &str, error: &toml::de::Error) -> String {
    let is_second = SECOND_CHOICE.iter().any(|words| error.message().contains(words));
    let unread = if is_second { unread::too_many::<File>(text) } else { None };
    unread.map_or_else(|| explained(text, error), |unread| unread.explained(text))
}

/// How serde says what toml says of a key of a variant: "unexpected keys in table: a, available keys: b, c".
fn reworded(message: &str) -> String {
    let parts =
        message.strip_prefix("unexpected keys in table: ").and_then(|rest| rest.split_once(", available keys: "));
    parts.map_or_else(
        || message.to_string(),
        |(found, known)| {
            format!("unknown field `{found}`, expected `{}`", known.split(", ").collect::<Vec<_>>().join("`, `"))
        },
    )
}

/// What is wrong and in which line; of an unknown key or word also which known one is the nearest.
pub(crate) fn explained(text: &str, error: &toml::de::Error) -> String {
    let mut message = reworded(error.message().trim()).replace('\n', ", ");
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
    // The place of a key in a table that is read twice is that of the table: then look for the key itself from there
    // on.
    let start = error.span().map_or(0, |span| span.start);
    let of_span = lines_before(text, start);
    let key_of = |line: &'_ str| {
        line.trim_start_matches([' ', '\t', '[']).split([' ', '\t', '=', ']', '.']).next() == quoted.first().copied()
    };
    let of_key = || text.lines().skip(of_span).position(key_of).map(|lines| of_span + lines);
    let line = if is_unknown { of_key() } else { None }.unwrap_or(of_span);
    format!("line {}: {message}", line + 1)
}
