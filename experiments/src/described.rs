//! The file of a network that somebody describes to have it trained: its layers, and as little else as they care to
//! say.
//!
//! [`read`] gives a [`Described`]; with data, it becomes a [`Recipe`] in which every setting is a number
//! ([`Described::recipe`]), so that a run records all of it and goes on as any other; [`Described::changed`] is that
//! with what a command line changes.

mod usual;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use l0::Estimator;
use l0_data::{Augment, DataSpec, Dataset, NormaliseBy, Task};
use l0_net::{Chain, ClosedChannels, Net, Shape};
use l0_train::Loss;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::architecture::{Architecture, Gating};
use crate::cli::{DataArgs, Validation};
use crate::config::{is_recipe, line_of};
use crate::rows::Changes;
use crate::session::check_folder_name;
use crate::{Recipe, recipes};

/// What a file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// What it is called; as its file if it does not say.
    #[serde(default)]
    name: String,
    title: Option<String>,
    data: Option<DataSpec>,
    /// How pictures become images where the data is of somebody's own and does not say.
    #[serde(default)]
    images: Images,
    loss: Option<Loss>,
    #[serde(default)]
    gates: Gates,
    /// The chance of a gate to be closed at first.
    droprate: Option<f64>,
    layers: Chain,
    #[serde(default)]
    objective: Option<Map<String, Value>>,
    #[serde(default)]
    training: Map<String, Value>,
}

/// What of a data set's options is about pictures.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Images {
    size: Option<usize>,
    channels: Option<usize>,
    augment: Option<Augment>,
    normalise: Option<NormaliseBy>,
}

/// Where gates are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Gates {
    /// Nowhere.
    #[default]
    None,
    /// On every space that can shrink.
    Prunable,
}

/// Reads the file of a network.
///
/// # Errors
/// If it cannot be read, or says something that has no meaning; the message says in which line.
pub fn read(path: &Path) -> Result<Described> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    parse(&bytes, &name).with_context(|| path.display().to_string())
}

/// The network that the bytes of a file describe; `name` if they say none.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], name: &str) -> Result<Described> {
    let text = std::str::from_utf8(bytes).context("is not text in UTF-8")?;
    ensure!(
        !is_recipe(text),
        "it is a recipe, as --print-config writes one, not the file of a network: `just train` and `just sweep` read it"
    );
    let described: Described = toml::from_str(text).map_err(|error| anyhow::anyhow!(line_of(text, &error)))?;
    let name = if described.name.is_empty() { name.to_string() } else { described.name.clone() };
    check_folder_name("name", &name)?;
    ensure!(recipes::named(&name).is_none(), "{name} is the name of a recipe of this workspace; call it otherwise");
    ensure!(
        described.gates == Gates::Prunable || (described.objective.is_none() && described.droprate.is_none()),
        "[objective] and droprate are about gates, and this network has none: say gates = \"prunable\", or leave them out"
    );
    Ok(Described { name, ..described })
}

impl Described {
    /// What the file says it is trained on, or what a command line says in its place.
    ///
    /// # Errors
    /// If neither says it, or what is said has no meaning.
    pub fn data(&self, args: &DataArgs) -> Result<DataSpec> {
        let own = match (&args.data, &self.data) {
            (_, Some(own)) => own.clone(),
            (Some(text), None) => text.parse()?,
            (None, None) => bail!(
                "nothing says what {} is trained on: name it with --data, or write data = \"...\" into the file",
                self.name
            ),
        };
        let mut spec = args.spec(&own)?;
        if spec.known().is_none() {
            let (has_pictures, is_table) = (spec.may_have_pictures(), spec.may_be_a_table());
            let (options, images) = (&mut spec.options, &self.images);
            if has_pictures {
                options.size = options.size.or(images.size);
                options.channels = options.channels.or(images.channels);
            }
            if has_pictures || !is_table {
                options.augment = options.augment.or(images.augment);
                options.normalise = options.normalise.take().or_else(|| images.normalise.clone());
            }
            if is_table {
                options.task = options.task.or(self.loss.map(|loss| match loss {
                    Loss::CrossEntropy => Task::Classes,
                    Loss::SquaredError => Task::Regression,
                }));
            }
        }
        Ok(spec.check()?)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The data that it is for; `loaded` is data at hand, which is taken if it is the same.
    ///
    /// # Errors
    /// As [`Described::data`], or if the data cannot be loaded.
    pub fn load(&self, args: &DataArgs, validation: &Validation, loaded: Option<Dataset>) -> Result<Dataset> {
        let spec = self.data(args)?;
        match loaded {
            Some(data) if data.source.as_ref() == Some(&spec) => Ok(data),
            _ => validation.applied(args.load(&spec)?),
        }
    }

    /// The network for examples of this shape, with so many outputs.
    ///
    /// # Errors
    /// If a layer does not accept what it reads.
    pub fn net(&self, example: Shape, outputs: usize) -> Result<Net> {
        let closed = if self.gates == Gates::Prunable { ClosedChannels::Zero } else { ClosedChannels::Constant };
        Ok(self.layers.build(example, outputs, closed)?)
    }

    /// Every setting for a training on this data: what the file does not say is the usual, for as many examples.
    /// `epochs` take the place of the file's.
    ///
    /// # Errors
    /// If the network is not for this data, or a setting has no meaning.
    pub fn recipe(&self, data: &Dataset, epochs: Option<u64>) -> Result<Recipe> {
        let (is_number, n) = (data.train.targets().is_some(), data.train.len());
        if let Some(loss) = self.loss {
            let (said, has) = (
                "a squared error is for numbers, a cross-entropy for classes",
                if is_number { "numbers" } else { "classes" },
            );
            ensure!(
                (loss == Loss::SquaredError) == is_number,
                "loss = {}, and {} has {has} to predict: {said}",
                serde_json::to_value(loss)?,
                data.name
            );
        }
        let net = self.net(Shape::of_example(&data.train.dims()), data.train.classes().max(1))?;
        let is_gated = self.gates == Gates::Prunable;
        let mut asked = self.training.clone();
        if let Some(epochs) = epochs {
            asked.insert("epochs".into(), epochs.into());
        }
        let is_held = is_gated && !self.objective.as_ref().is_some_and(|objective| objective.contains_key("lambdas"));
        let training = usual::training(asked, n, is_gated, is_held).context("[training]")?;
        let objective = is_gated.then(|| usual::objective(self.objective.clone().unwrap_or_default(), &training, n));
        let recipe = Recipe {
            name: self.name.clone(),
            title: self.title.clone().unwrap_or_else(|| self.name.clone()),
            curve: None,
            data: data.source.clone().context("data that was loaded has a source")?,
            architecture: Architecture::Layers {
                name: self.name.clone(),
                net,
                gating: if is_gated { Gating::L0 } else { Gating::Dense },
                droprate: self.droprate.unwrap_or(usual::DROPRATE),
            },
            objective: objective.transpose().context("[objective]")?,
            training,
            start: None,
            teacher: None,
            reference: None,
            scaled_down: None,
        };
        recipe.check()?;
        recipe.check_data(data)?;
        Ok(recipe)
    }

    /// The recipe for this data as a command line changes it. What closes gates there takes the place of what the file
    /// says of it, before other settings follow from it.
    ///
    /// # Errors
    /// As [`Described::recipe`] and [`Changes::apply`].
    pub fn changed(&self, data: &Dataset, changes: &Changes) -> Result<Recipe> {
        let mut described = self.clone();
        let objective = described.objective.get_or_insert_default();
        if changes.is_held() {
            objective.remove("lambdas");
        }
        if !changes.lambdas.is_empty() {
            ["density", "macs", "constraint"].iter().for_each(|key| drop(objective.remove(*key)));
            objective.insert("lambdas".into(), json!([{ "per-weight": 1.0 }])); // the command line has the numbers
        }
        let mut row = described.recipe(data, changes.epochs)?;
        if changes.estimator == Some(Estimator::TopK) && !self.says_fit() {
            row = row.lowered();
        }
        Changes { epochs: None, ..changes.clone() }.apply(&row) // the recipe has them already
    }

    /// Whether the file says how gates are brought within a target.
    fn says_fit(&self) -> bool {
        let constraint = self.objective.as_ref().and_then(|objective| objective.get("constraint"));
        constraint.is_some_and(|constraint| constraint.get("fit").is_some())
    }
}

#[cfg(test)]
mod tests;
