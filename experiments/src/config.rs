//! Recipes as files: `--print-config` writes one, `--config` reads it back, and a mistake is named with its line.

pub(crate) mod file;
mod text;
mod unread;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use l0_data::DataSpec;
use l0_record::RunHeader;

pub(crate) use self::file::explained as line_of;
use self::file::{recipe_of, written};
pub(crate) use self::text::nearest;
use crate::recipe::Settings;
use crate::{Recipe, old, recipes};

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

/// Reads a recipe from a file; one that states no name has that of the file.
///
/// # Errors
/// If the file cannot be read; if it has an unknown key (the nearest known one is named), a value out of range (the
/// range is given), or the name of a recipe that is another.
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

/// Whether a text is that of a recipe, not that of a network which somebody describes.
pub(crate) fn is_recipe(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("architecture"))
}

/// Whether a file is that of a recipe.
pub fn is_recipe_file(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| is_recipe(&text))
}

/// A recipe with the name of a published one must be it, the number of epochs aside: else its runs would pass for
/// those.
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
/// If its header holds something else, as that of a pruning does, which no recipe made.
pub fn of_run(header: &RunHeader) -> Result<Recipe> {
    let of_network = header.config.get("brought").map(|brought| &brought["file"]);
    if let Some(network) = of_network {
        bail!(
            "it is the pruning of a network that was brought, {network}: `just prune` goes on with it, when it is given the \
             same again, and prunes its compact.onnx further"
        );
    }
    let config = old::upgraded(&header.config);
    let Settings { data, architecture, objective, training, start, teacher } =
        serde_json::from_value(config).context("its settings are none that this program knows")?;
    let recipe = Recipe {
        name: header.recipe.clone(),
        title: header.title().into(),
        curve: header.curve.clone(),
        data: data_of(data)?,
        architecture,
        objective,
        training,
        start,
        teacher,
        reference: header.reference.clone(),
        scaled_down: header.scaled_down.clone(),
    };
    recipe.check()?;
    Ok(recipe)
}

fn data_of(written: serde_json::Value) -> Result<DataSpec> {
    let said = format!("its data is {written}");
    serde_json::from_value(written).context(said)
}

#[cfg(test)]
mod tests;
