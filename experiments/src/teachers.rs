//! Trains rows that learn from other networks of this workspace, and these networks before them.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use l0_data::Dataset;
use l0_files::sha256;
use l0_net::Model;
use l0_record::{RunHeader, StartedFrom, read_run, run_path};
use l0_train::{Finished, Teacher};

use crate::cli::HELD_OUT;
use crate::device::Compute;
use crate::onward::Start;
use crate::session::{Began, Lessons};
use crate::taught::Taught;
use crate::{Recipe, artifact, config, recipes, session};

/// Trains in `path`, OUT/ROW/seed-N, as [`session::train_on`] does; a row that learns from others after these.
///
/// # Errors
/// As [`session::train_on`], or if a teacher cannot be trained or read.
pub fn train(
    recipe: &Recipe,
    seed: u64,
    start: Option<&Start>,
    data: &Dataset,
    path: &Path,
    compute: &Compute,
    stop: &AtomicBool,
) -> Result<Option<Finished>> {
    let lessons = if session::is_finished(path) { None } else { lessons(recipe, seed, data, path, compute, stop)? };
    session::train_on(recipe, seed, Began { start, lessons: lessons.as_ref() }, data, path, compute, stop)
}

/// The row that trains the teachers.
fn row_of(taught: &Taught) -> Result<Recipe> {
    let row =
        recipes::named(&taught.row).with_context(|| format!("no row is called {:?}, to learn from", taught.row))?;
    ensure!(row.teacher.is_none(), "{} learns from another row itself; learn from that one", taught.row);
    let epochs = taught.epochs_of(row.training.epochs);
    Ok(row.with_epochs(epochs))
}

/// The teachers of `pupil`, whose run is in `path`, OUT/ROW/seed-N: the finished runs of their row below the same OUT, which are
/// trained now where there are none.
///
/// # Errors
/// If a teacher cannot be trained or read.
fn lessons(
    pupil: &Recipe,
    seed: u64,
    data: &Dataset,
    path: &Path,
    compute: &Compute,
    stop: &AtomicBool,
) -> Result<Option<Lessons>> {
    let Some(taught) = &pupil.teacher else { return Ok(None) };
    let path = std::path::absolute(path)?;
    let out = path.ancestors().nth(2).unwrap_or(&path);
    let recipe = row_of(taught)?;
    let is_alike = recipe.data.origin == pupil.data.origin;
    let recipe = if is_alike { recipe } else { recipe.on(pupil.data.clone()) };
    // Its images are varied as its own row says.
    let varied = recipe.data.options.augment.or(recipe.data.known().and_then(|known| known.augment()));
    let own = (is_alike && varied != data.augment).then(|| Dataset {
        augment: varied,
        source: Some(recipe.data.clone()),
        ..data.clone()
    });
    let data = own.as_ref().unwrap_or(data);
    // Tested on held-out images as the pupil is: else it would have learnt from them.
    let held_out = pupil.scaled_down.iter().flat_map(|said| said.split("; ")).find(|part| part.contains(HELD_OUT));
    let recipe = held_out.into_iter().fold(recipe, |recipe, part| recipe.with_caveat(part));
    let (mut models, mut from) = (Vec::new(), Vec::new());
    for seed in taught.seeds(seed) {
        let run = run_path(out, &recipe.name, seed)?;
        let finished = session::train_on(&recipe, seed, Began::default(), data, &run, compute, stop);
        finished.with_context(|| format!("the teacher, {} seed {seed}, in {}", recipe.name, run.display()))?;
        let found = read_run(&run)?.header;
        ensure!(
            found.scaled_down == recipe.scaled_down,
            "the teacher in {} was {}, its pupil is {}; choose another --out",
            run.display(),
            said(found.scaled_down.as_ref()),
            said(recipe.scaled_down.as_ref())
        );
        let (model, bytes) = trained(&run, &found)?;
        models.push(model);
        let run = format!("{}/seed-{seed}", recipe.name);
        from.push(StartedFrom { run, epochs: recipe.training.epochs, sha256: sha256(&bytes), from_scratch: false });
    }
    tracing::info!("{} seed {seed} learns from {}", pupil.name, names(&from));
    Ok(Some(Lessons { teacher: Teacher::mean_of(models, taught.distillation())?, from }))
}

fn said(of: Option<&String>) -> &str {
    of.map_or("tested on the test images", String::as_str)
}

fn names(from: &[StartedFrom]) -> String {
    from.iter().map(|from| from.run.as_str()).collect::<Vec<_>>().join(", ")
}

/// The compact network that a finished run left, and the bytes of its file.
fn trained(run: &Path, header: &RunHeader) -> Result<(Model, Vec<u8>)> {
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
            recipe.teacher.iter().for_each(|taught| drop(row_of(taught).unwrap()));
        }
        let taught =
            |row: &str| Taught { row: row.into(), networks: 3, share_of_epochs: None, temperature: 4.0, share: 0.5 };
        let shortened = taught("lenet5-dropout").with_epochs(200, 20).with_epochs(20, 10);
        assert_eq!(row_of(&shortened).unwrap().training.epochs, 10);
        assert_eq!(shortened.with_epochs(10, 1000).share_of_epochs, None);
        assert_eq!((taught("x").seeds(1), taught("x").seeds(2)), (1..=3, 4..=6));
        let error = row_of(&taught("lenet5-dropuot")).unwrap_err().to_string();
        assert_eq!(error, "no row is called \"lenet5-dropuot\", to learn from");
    }
}
