//! Trains rows that begin with the networks of other rows or learn from them, and these networks before them.
//!
//! The earlier runs lie below the same OUT. One that is finished there is not trained again, and one that another
//! process is training is waited for.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use l0_data::Dataset;
use l0_files::sha256;
use l0_net::Model;
use l0_record::{RunFolder, RunHeader, StartedFrom, read_run, run_path};
use l0_train::{Finished, Teacher};

use crate::cli::HELD_OUT;
use crate::device::Compute;
use crate::earlier::{StartRow, Taught, share_of};
use crate::onward::Start;
use crate::session::{Began, Lessons};
use crate::{Recipe, artifact, config, old, recipes, session, sweep};

/// How often one looks after a run that another process is training.
const GLANCE: Duration = Duration::from_secs(1);

/// Trains in `path`, OUT/ROW/seed-N, as [`session::train_on`] does; a row that begins with others or learns from them
/// after these. `start` is what a command line says that it begins with.
///
/// # Errors
/// As [`session::train_on`], or if an earlier network cannot be trained or read.
pub fn train(
    recipe: &Recipe,
    seed: u64,
    start: Option<&Start>,
    data: &Dataset,
    path: &Path,
    compute: &Compute,
    stop: &AtomicBool,
) -> Result<Option<Finished>> {
    let (mut own_start, mut lessons) = (None, None);
    let needs_start = recipe.start.is_some() && start.is_none();
    if (needs_start || recipe.teacher.is_some()) && !session::is_finished(path) {
        before(recipe, seed)?; // what is wrong with one is said before another is trained
        let run = Run { recipe, seed, data, path, compute, stop };
        run.check_folder()?;
        if let (Some(row), true) = (&recipe.start, needs_start) {
            own_start = Some(run.start(row)?);
        }
        if let Some(taught) = &recipe.teacher {
            lessons = Some(run.lessons(taught)?);
        }
    }
    let began = Began { start: start.or(own_start.as_ref()), lessons: lessons.as_ref() };
    session::train_on(recipe, seed, began, data, path, compute, stop)
}

/// The runs that come before one of `recipe`, row and seed: what it begins with, then its teachers.
///
/// # Errors
/// If there is no such row, or it is not one for this.
pub fn before(recipe: &Recipe, seed: u64) -> Result<Vec<(Recipe, u64)>> {
    let mut all = Vec::new();
    if let Some(row) = &recipe.start {
        all.push((row_to_begin_with(row, recipe)?, seed));
    }
    if let Some(taught) = &recipe.teacher {
        let row = row_to_learn_from(taught, recipe)?;
        all.extend(taught.seeds(seed).map(|seed| (row.clone(), seed)));
    }
    Ok(all)
}

/// The row that trains the networks which `recipe` begins with.
fn row_to_begin_with(start: &StartRow, recipe: &Recipe) -> Result<Recipe> {
    let (row, own) = (named(&start.row, "begin with")?, recipe.architecture.network()?);
    let given = row.architecture.network()?;
    ensure!(given.is_plain(), "{} has gates, and its networks are pruned already; begin with a row without", row.name);
    let [own, given] = [own.net().parameters(), given.net().parameters()];
    let unlike = own.iter().find(|one| !given.contains(one)).or_else(|| given.iter().find(|one| !own.contains(one)));
    if let Some((parameter, _, shape)) = unlike {
        bail!(
            "{} begins with {}, a network of other layers (one of them alone has a {parameter} of {shape:?}); name a row of \
             the same network",
            recipe.name,
            row.name
        );
    }
    Ok(beside(row, start.share_of_epochs, recipe))
}

/// The row that trains the teachers of `recipe`.
fn row_to_learn_from(taught: &Taught, recipe: &Recipe) -> Result<Recipe> {
    Ok(beside(named(&taught.row, "learn from")?, taught.share_of_epochs, recipe))
}

/// A row of the workspace that comes after no other.
fn named(name: &str, to: &str) -> Result<Recipe> {
    let row = recipes::named(name).with_context(|| match recipes::nearest(name) {
        Some(nearest) => format!("no row is called {name:?}, to {to}; did you mean {nearest}?"),
        None => format!("no row is called {name:?}, to {to}"),
    })?;
    let earlier = row.start.as_ref().map(|start| &start.row).or(row.teacher.as_ref().map(|taught| &taught.row));
    match earlier {
        Some(earlier) => bail!("{name} comes after {earlier} itself, and cannot be one to {to}"),
        None => Ok(row),
    }
}

/// An earlier row as a row wants it: for a share of its epochs, on the same data, and tested on held-out images as that
/// row is, which would else have learnt from them.
fn beside(earlier: Recipe, share: Option<f64>, row: &Recipe) -> Recipe {
    let epochs = share_of(earlier.training.epochs, share);
    let earlier = earlier.with_epochs(epochs);
    let is_alike = earlier.data.origin == row.data.origin;
    let earlier = if is_alike { earlier } else { earlier.on(row.data.clone()) };
    let mut caveats = row.scaled_down.iter().flat_map(|said| said.split("; "));
    match caveats.find(|part| part.contains(HELD_OUT)) {
        Some(held_out) => earlier.with_caveat(held_out),
        None => earlier,
    }
}

/// A run that others come before.
struct Run<'a> {
    recipe: &'a Recipe,
    seed: u64,
    data: &'a Dataset,
    path: &'a Path,
    compute: &'a Compute,
    stop: &'a AtomicBool,
}

impl Run<'_> {
    /// The header of the run in its folder, if it has begun.
    fn header(&self) -> Result<Option<RunHeader>> {
        Ok(self.path.join("run.json").exists().then(|| read_run(self.path)).transpose()?.map(|run| run.header))
    }

    /// Refuses a folder that is another run's before hours are spent on an earlier one.
    fn check_folder(&self) -> Result<()> {
        match self.header()? {
            Some(header) => {
                let header = RunHeader { config: old::upgraded(&header.config), ..header };
                Ok(header.check_config(self.path, &self.recipe.config())?)
            }
            None => Ok(RunFolder::check_free(self.path)?),
        }
    }

    /// The values that it begins with: those in its folder, or else those of the earlier run.
    fn start(&self, row: &StartRow) -> Result<Start> {
        let begun = self.header()?.and_then(|header| header.started_from);
        if let Some(from) = begun.as_ref().filter(|_| Start::is_in(self.path)) {
            return Start::of(self.path, from);
        }
        let (run, header) = self.trained(&row_to_begin_with(row, self.recipe)?, self.seed)?;
        let start = Start::by_recipe(&run, &header, &config::of_run(&header)?)?;
        if let Some(from) = begun {
            let (found, expected) = (&start.from.sha256, &from.sha256);
            ensure!(
                found == expected,
                "{} has values with sha256 {found}, the run in {} began with {expected}; give it another --out",
                run.display(),
                self.path.display()
            );
        }
        tracing::info!("{} seed {} begins with {}", self.recipe.name, self.seed, start.from.run);
        Ok(start)
    }

    /// The networks that it learns from.
    fn lessons(&self, taught: &Taught) -> Result<Lessons> {
        let earlier = row_to_learn_from(taught, self.recipe)?;
        let (mut models, mut from) = (Vec::new(), Vec::new());
        for seed in taught.seeds(self.seed) {
            let (run, header) = self.trained(&earlier, seed)?;
            let (model, bytes) = compact(&run, &header)?;
            models.push(model);
            let (run, epochs) = (format!("{}/seed-{seed}", earlier.name), earlier.training.epochs);
            from.push(StartedFrom { run, epochs, sha256: sha256(&bytes), ..StartedFrom::default() });
        }
        tracing::info!("{} seed {} learns from {}", self.recipe.name, self.seed, names(&from));
        Ok(Lessons { teacher: Teacher::mean_of(models, taught.distillation())?, from })
    }

    /// The finished run of an earlier row, which is trained now where there is none, with its header.
    fn trained(&self, earlier: &Recipe, seed: u64) -> Result<(PathBuf, RunHeader)> {
        let path = std::path::absolute(self.path)?;
        let out = path.ancestors().nth(2).unwrap_or(&path);
        let run = run_path(out, &earlier.name, seed)?;
        let shown = run.display();
        self.train_earlier(earlier, seed, &run).with_context(|| format!("{} seed {seed}, in {shown}", earlier.name))?;
        let found = read_run(&run)?.header;
        let [is, has_to_be] = [&found.scaled_down, &earlier.scaled_down]
            .map(|said| said.as_deref().unwrap_or("tested on the test images"));
        ensure!(is == has_to_be, "the run in {shown} was {is}; here it has to be {has_to_be}: choose another --out");
        let file = artifact::gated_path(&run);
        ensure!(
            file.exists(),
            "the run in {shown} is finished, but {} is gone (git keeps none); put it there, or choose another --out",
            file.display()
        );
        Ok((run, found))
    }

    fn train_earlier(&self, earlier: &Recipe, seed: u64, run: &Path) -> Result<()> {
        // Its images are varied as its own row says.
        let augment = earlier.data.options.augment.or(earlier.data.known().and_then(|known| known.augment()));
        let is_alike = earlier.data.origin == self.recipe.data.origin;
        let own = (is_alike && augment != self.data.augment).then(|| Dataset {
            augment,
            source: Some(earlier.data.clone()),
            ..self.data.clone()
        });
        let data = own.as_ref().unwrap_or(self.data);
        let mut told = false;
        loop {
            match session::train_on(earlier, seed, Began::default(), data, run, self.compute, self.stop) {
                Err(error) if sweep::is_taken(&error) => {
                    if self.stop.load(Ordering::Relaxed) {
                        return Err(error);
                    }
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!("waiting for another process, which trains {} seed {seed}", earlier.name);
                    }
                    std::thread::sleep(GLANCE);
                }
                done => return done.map(drop),
            }
        }
    }
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
    fn every_row_comes_after_rows_that_there_are() {
        for recipe in recipes::all() {
            let earlier = before(&recipe, 1).unwrap();
            assert_eq!(earlier.is_empty(), recipe.start.is_none() && recipe.teacher.is_none(), "{}", recipe.name);
        }
    }

    #[test]
    fn earlier_rows_are_shortened_and_tested_as_the_row_is() {
        let pruned = recipes::named("resnet20-pruned-macs-0.5").unwrap();
        let of = |recipe: &Recipe| {
            let (earlier, seed) = before(recipe, 3).unwrap().remove(0);
            (earlier.name, seed, earlier.training.epochs, earlier.scaled_down.unwrap())
        };
        let whole = "60 epochs in place of 164";
        assert_eq!(of(&pruned), ("resnet20-dense".into(), 3, 60, whole.into()));
        let held_out = format!("tested on 10 {HELD_OUT}");
        let short = pruned.clone().with_epochs(20).with_caveat(&held_out);
        assert_eq!(of(&short), ("resnet20-dense".into(), 3, 20, format!("{whole}; 20 of 60 epochs; {held_out}")));
        assert_eq!(of(&pruned.with_epochs(90)).2, 60);
        let taught = recipes::named("mlp-taught-0.035").unwrap();
        let taught =
            Recipe { teacher: taught.teacher.clone().map(|teacher| Taught { networks: 3, ..teacher }), ..taught };
        assert_eq!(before(&taught, 2).unwrap().into_iter().map(|(_, seed)| seed).collect::<Vec<u64>>(), [4, 5, 6]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let begins = |row: &str, with: &str| {
            let start = Some(StartRow { row: with.into(), share_of_epochs: None });
            let recipe = Recipe { start, teacher: None, ..recipes::named(row).unwrap() };
            format!("{:#}", before(&recipe, 1).unwrap_err())
        };
        let nearest = begins("resnet20-con-macs-0.5", "resnet20-dens");
        assert_eq!(nearest, "no row is called \"resnet20-dens\", to begin with; did you mean resnet20-dense?");
        let deeper = begins("resnet20-con-macs-0.5", "resnet56-dense");
        assert!(deeper.contains("a network of other layers (one of them alone has a stage1.block4.conv1"), "{deeper}");
        assert!(begins("resnet20-dense", "resnet20-con-macs-0.5").contains("has gates"));
        let later = begins("lenet5-dense", "lenet5-taught-0.09");
        assert_eq!(later, "lenet5-taught-0.09 comes after lenet5-teacher itself, and cannot be one to begin with");
    }
}
