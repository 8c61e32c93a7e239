//! Trains rows that learn from other networks of this workspace or begin with them, and these networks before them.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use l0_data::Dataset;
use l0_files::sha256;
use l0_net::Model;
use l0_record::{RunHeader, StartedFrom, read_run, run_path};
use l0_train::{Finished, Teacher};

use crate::begun::{Begun, epochs_of};
use crate::cli::HELD_OUT;
use crate::device::Compute;
use crate::onward::Start;
use crate::session::{Began, Lessons};
use crate::taught::Taught;
use crate::{Recipe, artifact, config, recipes, session};

/// Trains in `path`, OUT/ROW/seed-N, as [`session::train_on`] does; a row that learns from others or begins with them after
/// these. `start` is what a command line says that it begins with.
///
/// # Errors
/// As [`session::train_on`], or if a network that comes before it cannot be trained or read.
pub fn train(
    recipe: &Recipe,
    seed: u64,
    start: Option<&Start>,
    data: &Dataset,
    path: &Path,
    compute: &Compute,
    stop: &AtomicBool,
) -> Result<Option<Finished>> {
    let row = Row { recipe, data, path, compute, stop };
    let (mut lessons, mut begun) = (None, None);
    if !session::is_finished(path) {
        let start_row = recipe.start.as_ref().filter(|_| start.is_none());
        let start_row = start_row.map(|start| row_to_begin_with(start, recipe)).transpose()?;
        let teachers =
            recipe.teacher.as_ref().map(|taught| Ok::<_, anyhow::Error>((taught, row_to_learn_from(taught)?)));
        let teachers = teachers.transpose()?; // what is wrong with either is said before the other is trained
        begun = start_row.map(|earlier| row.start(earlier, seed)).transpose()?;
        lessons = teachers.map(|(taught, earlier)| row.lessons(taught, earlier, seed)).transpose()?;
    }
    let began = Began { start: start.or(begun.as_ref()), lessons: lessons.as_ref() };
    session::train_on(recipe, seed, began, data, path, compute, stop)
}

/// The row that trains the teachers.
fn row_to_learn_from(taught: &Taught) -> Result<Recipe> {
    let row =
        recipes::named(&taught.row).with_context(|| format!("no row is called {:?}, to learn from", taught.row))?;
    ensure!(row.teacher.is_none(), "{} learns from another row itself; learn from that one", taught.row);
    ensure!(row.start.is_none(), "{} begins with another row; learn from that one", taught.row);
    let epochs = epochs_of(taught.share_of_epochs, row.training.epochs);
    Ok(row.with_epochs(epochs))
}

/// The row that trains the networks which `recipe` begins with.
fn row_to_begin_with(start: &Begun, recipe: &Recipe) -> Result<Recipe> {
    let Begun { row: name, share_of_epochs } = start;
    let row = recipes::named(name).with_context(|| format!("no row is called {name:?}, to begin with"))?;
    ensure!(row.start.is_none() && row.teacher.is_none(), "{name} comes after another row itself; begin with that one");
    let [own, given] = [recipe, &row].map(|recipe| recipe.architecture.network());
    let (own, given) = (own?, given?);
    let given = given.net().parameters();
    for (parameter, _, shape) in own.net().parameters() {
        let found = given.iter().find(|(name, ..)| *name == parameter).map(|(.., shape)| shape);
        let said = found.map_or("none".into(), |shape| format!("{shape:?}"));
        ensure!(
            found == Some(&shape),
            "{} begins with {name}, whose {parameter} is {said}, expected {shape:?}: name a row of the same network",
            recipe.name
        );
    }
    let epochs = epochs_of(*share_of_epochs, row.training.epochs);
    Ok(row.with_epochs(epochs))
}

/// A run that others come before.
struct Row<'a> {
    recipe: &'a Recipe,
    data: &'a Dataset,
    /// OUT/ROW/seed-N: the others are below the same OUT.
    path: &'a Path,
    compute: &'a Compute,
    stop: &'a AtomicBool,
}

impl Row<'_> {
    /// The networks that it learns from.
    fn lessons(&self, taught: &Taught, earlier: Recipe, seed: u64) -> Result<Lessons> {
        let (mut models, mut from) = (Vec::new(), Vec::new());
        for seed in taught.seeds(seed) {
            let (run, header) = self.trained(&earlier, seed).context("the teacher")?;
            let (model, bytes) = compact(&run, &header)?;
            models.push(model);
            let (run, epochs) = (format!("{}/seed-{seed}", header.recipe), earlier.training.epochs);
            from.push(StartedFrom { run, epochs, sha256: sha256(&bytes), ..StartedFrom::default() });
        }
        tracing::info!("{} seed {seed} learns from {}", self.recipe.name, names(&from));
        Ok(Lessons { teacher: Teacher::mean_of(models, taught.distillation())?, from })
    }

    /// The values that it begins with: those in its folder if it has begun.
    fn start(&self, earlier: Recipe, seed: u64) -> Result<Start> {
        let begun = self.path.join("run.json").exists().then(|| read_run(self.path)).transpose()?;
        if let Some(from) = begun.and_then(|run| run.header.started_from) {
            return Start::of(self.path, &from);
        }
        let (run, header) = self.trained(&earlier, seed).context("the network to begin with")?;
        tracing::info!("{} seed {seed} begins with {}/seed-{seed}", self.recipe.name, header.recipe);
        Start::by_recipe(&run, &header, &config::of_run(&header)?)
    }

    /// The finished run of a row that comes before, which is trained now where there is none, with its header.
    fn trained(&self, earlier: &Recipe, seed: u64) -> Result<(PathBuf, RunHeader)> {
        let path = std::path::absolute(self.path)?;
        let out = path.ancestors().nth(2).unwrap_or(&path);
        let is_alike = earlier.data.origin == self.recipe.data.origin;
        let earlier = if is_alike { earlier.clone() } else { earlier.clone().on(self.recipe.data.clone()) };
        // Its images are varied as its own row says.
        let varied = earlier.data.options.augment.or(earlier.data.known().and_then(|known| known.augment()));
        let own = (is_alike && varied != self.data.augment).then(|| Dataset {
            augment: varied,
            source: Some(earlier.data.clone()),
            ..self.data.clone()
        });
        let data = own.as_ref().unwrap_or(self.data);
        // Tested on held-out images as this row is: else it would have learnt from them.
        let caveats = self.recipe.scaled_down.iter().flat_map(|said| said.split("; "));
        let held_out = caveats.filter(|part| part.contains(HELD_OUT)).take(1);
        let earlier = held_out.fold(earlier, |earlier, part| earlier.with_caveat(part));
        let run = run_path(out, &earlier.name, seed)?;
        let finished = session::train_on(&earlier, seed, Began::default(), data, &run, self.compute, self.stop);
        finished.with_context(|| format!("{} seed {seed}, in {}", earlier.name, run.display()))?;
        let found = read_run(&run)?.header;
        ensure!(
            found.scaled_down == earlier.scaled_down,
            "the run in {} was {}, this one is {}; choose another --out",
            run.display(),
            said(found.scaled_down.as_ref()),
            said(earlier.scaled_down.as_ref())
        );
        Ok((run, found))
    }
}

fn said(of: Option<&String>) -> &str {
    of.map_or("tested on the test images", String::as_str)
}

fn names(from: &[StartedFrom]) -> String {
    from.iter().map(|from| from.run.as_str()).collect::<Vec<_>>().join(", ")
}

/// The compact network that a finished run left, and the bytes of its file.
fn compact(run: &Path, header: &RunHeader) -> Result<(Model, Vec<u8>)> {
    let file = artifact::gated_path(run);
    let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
    let (network, weights, _) = artifact::load_gated(run)?;
    let estimator = config::of_run(header)?.training.estimator;
    Ok((network.net().compact(&weights, &network.test_masks(&weights, estimator)?)?, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_taught_names_a_row_that_can_teach() {
        for recipe in recipes::all() {
            recipe.teacher.iter().for_each(|taught| drop(row_to_learn_from(taught).unwrap()));
            recipe.start.iter().for_each(|start| drop(row_to_begin_with(start, &recipe).unwrap()));
        }
        let taught =
            |row: &str| Taught { row: row.into(), networks: 3, share_of_epochs: None, temperature: 4.0, share: 0.5 };
        let shortened = taught("lenet5-dropout").with_epochs(200, 20).with_epochs(20, 10);
        assert_eq!(row_to_learn_from(&shortened).unwrap().training.epochs, 10);
        assert_eq!(shortened.with_epochs(10, 1000).share_of_epochs, None);
        assert_eq!((taught("x").seeds(1), taught("x").seeds(2)), (1..=3, 4..=6));
        let error = row_to_learn_from(&taught("lenet5-dropuot")).unwrap_err().to_string();
        assert_eq!(error, "no row is called \"lenet5-dropuot\", to learn from");
    }
}
