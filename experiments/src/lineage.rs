//! Trains rows that begin with the networks of other rows or learn from them, and these networks before them.
//!
//! The earlier runs lie below the same OUT. One that is finished there is not trained again, and one that another
//! process is training is waited for.

use std::path::{Component, Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use l0_data::{DataSpec, Dataset, Options};
use l0_files::sha256;
use l0_net::Model;
use l0_record::{RunFolder, RunHeader, StartedFrom, read_run, run_path};
use l0_train::{Finished, Teacher};

use crate::cli::HELD_OUT;
use crate::earlier::{Taught, share_of};
use crate::failures::Stopped;
use crate::onward::Start;
use crate::session::{Began, Lessons, ToTrain};
use crate::{Recipe, artifact, config, old, recipes, session, sweep};

/// How often one looks after a run that another process is training.
const GLANCE: Duration = Duration::from_secs(1);

/// Trains in the run's folder as [`session::train_on`] does; a row that begins with others or learns from them
/// after these. `start` is what a command line says that it begins with.
///
/// # Errors
/// As [`session::train_on`], or if an earlier network cannot be trained or read.
pub fn train(run: &ToTrain, start: Option<&Start>) -> Result<Option<Finished>> {
    let recipe = run.recipe;
    let (mut own_start, mut lessons) = (None, None);
    let needs_start = recipe.start.is_some() && start.is_none();
    if (needs_start || recipe.teacher.is_some()) && !session::is_finished(run.path) {
        run.check_folder()?;
        // Before another is trained: what is wrong with one of the rows, and what the folder holds already.
        let begun = if needs_start { run.begun()? } else { None };
        let row = (needs_start && begun.is_none()).then(|| row_to_begin_with(recipe)).transpose()?.flatten();
        let teacher = row_to_learn_from(recipe)?;
        own_start = begun.map_or_else(|| row.map(|row| run.start(&row)).transpose(), |begun| Ok(Some(begun)))?;
        lessons = teacher.map(|(taught, row)| run.lessons(taught, &row)).transpose()?;
    }
    let began = Began { start: start.or(own_start.as_ref()), lessons: lessons.as_ref() };
    session::train_on(run, began)
}

/// The runs that come before one of `recipe`, row and seed: what it begins with, then its teachers, each of them once.
///
/// # Errors
/// If there is no such row, or it is not one for this.
pub fn before(recipe: &Recipe, seed: u64) -> Result<Vec<(Recipe, u64)>> {
    let mut all: Vec<(Recipe, u64)> = row_to_begin_with(recipe)?.map(|row| (row, seed)).into_iter().collect();
    if let Some((taught, row)) = row_to_learn_from(recipe)? {
        let begins_with = all.first().cloned();
        let taught_by = taught.seeds(seed).map(|seed| (row.clone(), seed));
        all.extend(taught_by.filter(|run| begins_with.as_ref() != Some(run)));
    }
    Ok(all)
}

/// The row that trains the networks which `recipe` begins with, if it begins with any.
fn row_to_begin_with(recipe: &Recipe) -> Result<Option<Recipe>> {
    let Some(start) = &recipe.start else { return Ok(None) };
    let (row, own) = (named(&start.row, "begin with")?, recipe.architecture.network()?);
    let given = row.architecture.network()?;
    ensure!(given.is_plain(), "{} has gates, and its networks are pruned already; begin with a row without", row.name);
    ensure!(
        own.is_plain() || recipe.training.frozen_epochs < recipe.training.epochs,
        "training.frozen_epochs of {} is {}, expected fewer than its {} epochs: {} hands over no gates, so some epochs are \
         needed to learn them",
        recipe.name,
        recipe.training.frozen_epochs,
        recipe.training.epochs,
        row.name
    );
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
    Ok(Some(beside(row, start.share_of_epochs, recipe)))
}

/// The row that trains the teachers of `recipe`, if it has any, and what it learns from them.
fn row_to_learn_from(recipe: &Recipe) -> Result<Option<(&Taught, Recipe)>> {
    let Some(taught) = &recipe.teacher else { return Ok(None) };
    Ok(Some((taught, beside(named(&taught.row, "learn from")?, taught.share_of_epochs, recipe))))
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
    let earlier = seeing(earlier, &row.data);
    let mut caveats = row.scaled_down.iter().flat_map(|said| said.split("; "));
    match caveats.find(|part| part.contains(HELD_OUT)) {
        Some(held_out) => earlier.with_caveat(held_out),
        None => earlier,
    }
}

/// An earlier row on the numbers that a row sees. Of the same images it varies them as it says itself, and is as much
/// shorter than published as it was.
fn seeing(earlier: Recipe, data: &DataSpec) -> Recipe {
    if earlier.data.origin != data.origin {
        return earlier.on(data.clone());
    }
    let options = Options { augment: earlier.data.options.augment, ..data.options.clone() };
    let scaled_down = earlier.scaled_down.clone();
    match (DataSpec { options, ..data.clone() }) {
        same if same == earlier.data => earlier,
        other => Recipe { scaled_down, ..earlier.on(other) },
    }
}

/// What a run needs that others come before.
impl ToTrain<'_> {
    /// The header of the run in its folder, if it has begun; another one that makes way for it is none of its own.
    fn header(&self) -> Result<Option<RunHeader>> {
        let found = self.path.join("run.json").exists().then(|| read_run(self.path)).transpose()?.map(|run| run.header);
        match found {
            Some(header) if RunFolder::makes_way(self.path) => Ok(self.is_own(&header)?.then_some(header)),
            found => Ok(found),
        }
    }

    /// Whether a header is that of this run, as far as that is known before the runs that come before it.
    fn is_own(&self, header: &RunHeader) -> Result<bool> {
        let is_named_so = header.recipe == self.recipe.name && header.seed == self.seed;
        let has_settings = old::check_config(self.path, header, &self.recipe.config()).is_ok();
        Ok(is_named_so && has_settings && header.check_data(self.path, &session::data_id(self.data)?).is_ok())
    }

    /// Refuses a folder that is another run's, which does not make way, before hours are spent on an earlier one.
    fn check_folder(&self) -> Result<()> {
        match self.header()? {
            Some(header) => Ok(old::check_config(self.path, &header, &self.recipe.config())?),
            None if RunFolder::makes_way(self.path) => Ok(()),
            None => Ok(RunFolder::check_free(self.path)?),
        }
    }

    /// The values that lie in its folder since it began; it needs no other run any more.
    fn begun(&self) -> Result<Option<Start>> {
        let from = self.header()?.and_then(|header| header.started_from).filter(|_| Start::is_in(self.path));
        from.map(|from| Start::of(self.path, &from)).transpose()
    }

    /// The values of the earlier run, those that it began with if it has begun.
    fn start(&self, row: &Recipe) -> Result<Start> {
        let begun = self.header()?.and_then(|header| header.started_from);
        begun.as_ref().map_or(Ok(()), |from| self.check_kept(row, self.seed, "begins with", from))?;
        let (run, header) = self.trained(row, self.seed, "begins with")?;
        let start = Start::by_recipe(&run, &header, &config::of_run(&header)?)?;
        if let Some(from) = begun {
            let (found, expected) = (&start.from.sha256, &from.sha256);
            ensure!(
                start.from.has_values_of(&from),
                "{} has values with sha256 {found}, the run in {} began with {expected}; give it another --out",
                run.display(),
                self.path.display()
            );
        }
        tracing::info!("{} seed {} begins with {}", self.recipe.name, self.seed, start.from.run);
        Ok(start)
    }

    /// The networks that it learns from.
    fn lessons(&self, taught: &Taught, earlier: &Recipe) -> Result<Lessons> {
        let (mut models, mut from) = (Vec::new(), Vec::new());
        let begun = self.header()?.map_or(Vec::new(), |header| header.taught_by);
        for (seed, from) in taught.seeds(self.seed).zip(&begun) {
            self.check_kept(earlier, seed, "learns from", from)?;
        }
        for seed in taught.seeds(self.seed) {
            let (run, header) = self.trained(earlier, seed, "learns from")?;
            let Network { model, sha256, values } = compact(&run, &header)?;
            models.push(model);
            let (run, epochs) = (format!("{}/seed-{seed}", earlier.name), earlier.training.epochs);
            from.push(StartedFrom { run, epochs, sha256, values: Some(values), ..StartedFrom::default() });
        }
        tracing::info!("{} seed {} learns from {}", self.recipe.name, self.seed, names(&from));
        Ok(Lessons { teacher: Teacher::mean_of(models, taught.distillation())?, from })
    }

    /// The finished run of an earlier row, which is trained now where there is none, with its header. `relation` is what
    /// this row does with it: "begins with".
    fn trained(&self, earlier: &Recipe, seed: u64, relation: &str) -> Result<(PathBuf, RunHeader)> {
        let run = self.folder_of(earlier, seed)?;
        check_caveat(&run, earlier)?;
        self.train_earlier(earlier, seed, &run).with_context(|| {
            let (row, epochs, shown) = (&earlier.name, earlier.training.epochs, run.display());
            format!("{row} seed {seed} of {epochs} epochs, which {} {relation}, in {shown}", self.recipe.name)
        })?;
        let file = artifact::gated_path(&run);
        ensure!(
            file.exists(),
            "the run in {} is finished, but {} is gone (git keeps none); put it there, or choose another --out",
            run.display(),
            file.display()
        );
        let header = read_run(&run)?.header;
        Ok((run, header))
    }

    /// The folder of an earlier run, beside that of this one.
    fn folder_of(&self, earlier: &Recipe, seed: u64) -> Result<PathBuf> {
        let path = without_dots(&std::path::absolute(self.path)?);
        let out = path.ancestors().nth(2).unwrap_or(&path);
        Ok(run_path(out, &earlier.name, seed)?)
    }

    /// Refuses to train an earlier run again of which this one has had the network already: on another machine it may
    /// come to other values, and the hours would be lost.
    fn check_kept(&self, earlier: &Recipe, seed: u64, relation: &str, from: &StartedFrom) -> Result<()> {
        let file = artifact::gated_path(&self.folder_of(earlier, seed)?);
        ensure!(
            file.exists() || RunFolder::makes_way(self.path),
            "the run in {} {relation} {}, whose network (sha256 {}) is gone from {}: put it there, or choose another --out",
            self.path.display(),
            from.run,
            from.sha256,
            file.display()
        );
        Ok(())
    }

    fn train_earlier(&self, earlier: &Recipe, seed: u64, run: &Path) -> Result<()> {
        // Its images are varied as its own row says.
        let augment = earlier.data.options.augment.or(earlier.data.known().and_then(|known| known.augment()));
        let own = (augment != self.data.augment).then(|| Dataset {
            augment,
            source: Some(earlier.data.clone()),
            ..self.data.clone()
        });
        let data = own.as_ref().unwrap_or(self.data);
        loop {
            let first = ToTrain { recipe: earlier, seed, data, path: run, ..*self };
            match session::train_on(&first, Began::default()) {
                Err(error) if sweep::is_taken(&error) => {
                    tracing::info!("waiting for another process, which trains {} seed {seed}", earlier.name);
                    self.wait_for(run)?;
                }
                done => return done.map(drop),
            }
        }
    }

    /// Waits until no other process is at work on a run.
    fn wait_for(&self, run: &Path) -> Result<()> {
        while RunFolder::is_locked(run) {
            if self.stop.load(Ordering::Relaxed) {
                bail!(Stopped);
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}

/// A path without `..`, as it is written: where OUT is must not depend on what is there already, or is a link.
fn without_dots(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut so_far, part| {
        match part {
            Component::ParentDir => drop(so_far.pop()),
            part => so_far.push(part),
        }
        so_far
    })
}

/// Refuses the run in a folder if it was not tested as an earlier row has to be: on images that were held out, or on
/// those for testing.
fn check_caveat(run: &Path, earlier: &Recipe) -> Result<()> {
    if !run.join("run.json").exists() || RunFolder::makes_way(run) {
        return Ok(());
    }
    let found = read_run(run)?.header;
    let [is, has_to_be] =
        [&found.scaled_down, &earlier.scaled_down].map(|said| said.as_deref().unwrap_or("tested on the test images"));
    ensure!(
        is == has_to_be,
        "the run in {} was {is}; here it has to be {has_to_be}: choose another --out",
        run.display()
    );
    Ok(())
}

fn names(from: &[StartedFrom]) -> String {
    from.iter().map(|from| from.run.as_str()).collect::<Vec<_>>().join(", ")
}

/// The compact network that a finished run left, with the digests of its gated network: of the file, and of the values.
struct Network {
    model: Model,
    sha256: String,
    values: String,
}

fn compact(run: &Path, header: &RunHeader) -> Result<Network> {
    let file = artifact::gated_path(run);
    let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
    let (network, weights, _) = artifact::load_gated(run)?;
    let estimator = config::of_run(header)?.training.estimator;
    let model = network.net().compact(&weights, &network.test_masks(&weights, estimator)?)?;
    Ok(Network { model, sha256: sha256(&bytes), values: artifact::digest_of_values(&weights)? })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use l0_data::Digits;
    use l0_record::{EpochRow, START};

    use super::*;
    use crate::device::Compute;
    use crate::earlier::StartRow;

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
        assert_eq!(before(&pruned, 3).unwrap().len(), 1, "it learns from the network that it begins with");
        assert_eq!(of(&pruned.with_epochs(90)).2, 60);
        let taught = recipes::named("mlp-taught-0.035").unwrap();
        let taught =
            Recipe { teacher: taught.teacher.clone().map(|teacher| Taught { networks: 3, ..teacher }), ..taught };
        assert_eq!(before(&taught, 2).unwrap().into_iter().map(|(_, seed)| seed).collect::<Vec<u64>>(), [4, 5, 6]);
        assert_eq!(before(&taught, u64::MAX).unwrap().len(), 3);
    }

    #[test]
    fn earlier_rows_see_the_numbers_that_a_row_sees_and_vary_images_in_their_own_way() {
        let of = |data: &str| {
            let data = serde_json::from_str(data).unwrap();
            let row = Recipe { data, ..recipes::named("resnet20-pruned-macs-0.5").unwrap() };
            before(&row, 1).unwrap().remove(0).0.data
        };
        let own = recipes::named("resnet20-dense").unwrap().data;
        assert_eq!(of(r#"{ "name": "cifar10", "augment": { "pad": 1, "flip": true } }"#), own);
        let otherwise = of(r#"{ "name": "cifar10", "normalise": "imagenet", "augment": { "pad": 1, "flip": true } }"#);
        assert_ne!(otherwise, own);
        assert!(otherwise.options.normalise.is_some() && otherwise.options.augment == own.options.augment);
    }

    #[test]
    fn a_run_that_failed_at_once_makes_way_for_other_settings_and_other_values_to_begin_with() {
        let temp = tempfile::tempdir().unwrap();
        let data = Digits { train: 20, test: 10, seed: 1 }.draw().unwrap();
        let row = recipes::named("resnet20-pruned-macs-0.5").unwrap();
        let (path, compute, stop) = (temp.path().join("seed-1"), Compute::cpu(1), AtomicBool::new(false));
        let (other, own) = (row.clone().with_epochs(2), row);
        let run = |recipe| ToTrain { recipe, seed: 1, data: &data, path: &path, compute: &compute, stop: &stop };
        let from = StartedFrom { run: "resnet20-dense/seed-1".into(), by_recipe: true, ..StartedFrom::default() };
        let header = RunHeader {
            data: session::data_id(&data).unwrap(),
            started_from: Some(from),
            ..RunHeader::new(&other.name, 1, other.config())
        };
        RunFolder::create(&path, &header).unwrap().fail("loss is NaN").unwrap();
        std::fs::write(path.join(START), "values of another training").unwrap();
        run(&own).check_folder().unwrap();
        assert!(run(&own).begun().unwrap().is_none(), "the values are the other run's");
        // The same again goes on with its own values, which are checked.
        run(&other).check_folder().unwrap();
        assert_eq!(run(&other).header().unwrap().unwrap().started_from, header.started_from);
        assert!(run(&other).begun().unwrap_err().to_string().contains("start.safetensors has sha256"));

        let mut folder = RunFolder::resume(&path, &header).unwrap();
        folder.append(&EpochRow { epoch: 1, ..EpochRow::default() }).unwrap();
        folder.fail("loss is NaN").unwrap();
        let error = run(&own).check_folder().unwrap_err().to_string();
        assert!(error.contains("is a run with config.training.epochs = 2, but 60 was asked for"), "{error}");
    }

    #[test]
    fn out_is_found_from_the_words_of_a_path() {
        assert_eq!(without_dots(Path::new("/out/begun/seed-2/../seed-1")), Path::new("/out/begun/seed-1"));
        assert_eq!(without_dots(Path::new("/../out/./row/seed-1")), Path::new("/out/row/seed-1"));
    }

    #[test]
    fn gates_need_epochs_to_learn_in_after_a_row_that_has_none() {
        let row = recipes::named("resnet20-pruned-macs-0.5").unwrap();
        let mut all = row.clone();
        all.training.frozen_epochs = all.training.epochs;
        let error = before(&all, 1).unwrap_err().to_string();
        assert!(error.contains("expected fewer than its 60 epochs: resnet20-dense hands over no gates"), "{error}");
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
