//! A sweep: one recipe at several settings and seeds, as a list of runs that any number of processes may work off.

mod jobs;
mod point;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use l0_record::{DataId, Error as RecordError, RunFolder, run_path};
use l0_report::Report;
use l0_train::Precision;

use crate::rows::Changes;
use crate::{Recipe, asked, published};

pub use jobs::side_by_side;
pub use point::{ELSEWHERE, Point};

/// The settings of a sweep, in the order in which they were given.
///
/// # Errors
/// If one does not fit the recipe or is given twice.
pub fn settings(recipe: &Recipe, each: &[Changes]) -> Result<Vec<Recipe>> {
    let rows = each.iter().map(|changes| changes.apply(recipe)).collect::<Result<Vec<Recipe>>>()?;
    check_distinct(&rows)?;
    Ok(rows)
}

/// Checks that each row has a name, and so a folder, of its own.
///
/// # Errors
/// If two have the same.
pub fn check_distinct(rows: &[Recipe]) -> Result<()> {
    for (index, row) in rows.iter().enumerate() {
        ensure!(
            rows[..index].iter().all(|other| other.name != row.name),
            "{} is asked for twice; leave one out, or give it another `name` in its file",
            row.name
        );
    }
    Ok(())
}

/// The runs: all settings with the first seed, then all with the second, and so on, so that a sweep cut short still
/// covers its range.
///
/// # Errors
/// If a name cannot be that of a folder.
pub fn points(settings: &[Recipe], seeds: &[u64], out: &Path) -> Result<Vec<Point>> {
    let mut points = Vec::with_capacity(settings.len() * seeds.len());
    for &seed in seeds {
        for recipe in settings {
            let path = run_path(out, &recipe.name, seed)?;
            points.push(Point { recipe: recipe.clone(), seed, path });
        }
    }
    Ok(points)
}

/// Checks that every run of the list that was begun, and does not make way for another, is on this data and in this
/// precision.
///
/// # Errors
/// If one is on other data, in another precision, or with other settings.
pub fn check_begun(points: &[Point], data: &DataId, precision: Precision) -> Result<()> {
    for point in points {
        if let Some(run) = point.run()?
            && !RunFolder::makes_way(&point.path)
        {
            run.header.check_data(&point.path, data)?;
            run.header.check_precision(&point.path, precision.name())?;
        }
    }
    Ok(())
}

/// The one run of the list that a process is to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Its index, from 0.
    pub index: usize,
    /// The variable of the environment that says so, if it was not the command line.
    pub variable: Option<&'static str>,
}

/// Which run of the list this process is to make: as the command line says, or a scheduler of job arrays (Slurm,
/// Kubernetes), all counting from 0; `None` for all of them.
///
/// # Errors
/// If the number is not one, or past the end of the list; a variable is named, for it may be one that was left over.
pub fn chosen(
    asked: Option<usize>,
    environment: impl Fn(&str) -> Option<String>,
    runs: usize,
) -> Result<Option<Chosen>> {
    let scheduler = || {
        ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"]
            .into_iter()
            .find_map(|name| environment(name).map(|value| (name, value)))
    };
    let (index, variable) = match (asked, scheduler()) {
        (Some(index), _) => (index, None),
        (None, Some((name, value))) => match value.parse() {
            Ok(index) => (index, Some(name)),
            Err(_) => bail!("{name} is {value:?}, expected the index of a run, from 0; {}", way_out(name)),
        },
        (None, None) => return Ok(None),
    };
    if index >= runs {
        let says = variable.map_or(String::new(), |name| format!(", which {name} asks for"));
        let way_out = variable.map_or(String::new(), |name| format!("; {}", way_out(name)));
        bail!("there is no run {index}{says}: the sweep has {runs}, counted from 0 (--list shows them){way_out}");
    }
    Ok(Some(Chosen { index, variable }))
}

/// What helps whoever is not a task of an array.
pub fn way_out(variable: &str) -> String {
    format!("outside of a job array, `unset {variable}` first to make all runs")
}

/// Whether an error says that another process is at work on that very run.
pub fn is_taken(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(RecordError::Locked { .. })))
}

/// Writes tables and figures of the runs below `out` into it, and returns where the Pareto figures are.
///
/// # Errors
/// If a run cannot be read or a file not be written.
pub fn report(title: &str, out: &Path) -> Result<Vec<PathBuf>> {
    let collection = asked::collection(out)?;
    let report = Report {
        title: title.into(),
        introduction: "Every run of the sweep; errors are those of the last epoch.".into(),
        command: "just sweep".into(),
        references: published::rows(),
        gates: None,
        growth: None,
    };
    let files = report.write(&collection, out)?;
    let is_picture = |file: &PathBuf| file.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("pareto"));
    Ok(files.into_iter().filter(is_picture).collect())
}

#[cfg(test)]
mod tests {
    use l0_record::{EpochRow, Outcome, RunHeader, Status};

    use super::*;
    use crate::recipes;

    fn row(name: &str) -> Recipe {
        recipes::mnist().into_iter().find(|row| row.name == name).unwrap()
    }

    fn target(share: f64) -> Changes {
        Changes { target: Some(share), ..Changes::default() }
    }

    #[test]
    fn every_setting_comes_before_the_next_seed() {
        let settings = settings(&row("mlp-l0"), &[target(0.1), target(0.2)]).unwrap();
        let points = points(&settings, &[1, 2], Path::new("out")).unwrap();
        let names: Vec<String> = points.iter().map(Point::name).collect();
        assert_eq!(names, ["mlp-con-0.1 seed 1", "mlp-con-0.2 seed 1", "mlp-con-0.1 seed 2", "mlp-con-0.2 seed 2"]);
        assert_eq!(points[3].path, Path::new("out/mlp-con-0.2/seed-2"));
    }

    #[test]
    fn a_setting_is_asked_for_once() {
        let error = settings(&row("mlp-l0"), &[target(0.1), target(0.1)]).unwrap_err().to_string();
        assert!(error.starts_with("mlp-con-0.1 is asked for twice; "), "{error}");
    }

    #[test]
    fn a_finished_run_with_other_settings_or_data_is_not_taken_for_this_one() {
        let root = tempfile::tempdir().unwrap();
        let point = |row: Recipe| points(&[row], &[1], root.path()).unwrap().remove(0);
        let (short, whole) = (point(row("mlp-l0").with_epochs(2)), point(row("mlp-l0")));
        assert_eq!(short.status().unwrap(), None);
        let header = RunHeader::new("mlp-l0", 1, short.recipe.config());
        RunFolder::create(&short.path, &header).unwrap().finish(Outcome::default()).unwrap();
        assert_eq!(short.status().unwrap(), Some(Status::Finished));
        let error = whole.status().unwrap_err().to_string();
        assert!(error.contains("training.epochs"), "{error}");
        let data = |sha256: &str| DataId { sha256: sha256.into(), ..DataId::default() };
        let short = [short];
        check_begun(&short, &DataId { caveat: Some("not MNIST".into()), ..data("") }, Precision::F32).unwrap();
        let error = check_begun(&short, &data(""), Precision::Tf32).unwrap_err().to_string();
        assert!(error.contains("is a run with machine.precision = f32, but tf32 was asked for"), "{error}");
        let error = check_begun(&short, &data("ab"), Precision::F32).unwrap_err().to_string();
        assert!(error.contains("is a run with data.sha256 = "), "{error}");
    }

    #[test]
    fn a_run_that_failed_at_once_does_not_stop_a_sweep_of_other_settings_or_data() {
        let root = tempfile::tempdir().unwrap();
        let point = |row: Recipe| points(&[row], &[1], root.path()).unwrap().remove(0);
        let (short, whole) = ([point(row("mlp-l0").with_epochs(2))], [point(row("mlp-l0"))]);
        let data = |sha256: &str| DataId { sha256: sha256.into(), ..DataId::default() };
        let header = RunHeader { data: data("ab"), ..RunHeader::new("mlp-l0", 1, short[0].recipe.config()) };
        RunFolder::create(&short[0].path, &header).unwrap().fail("loss is NaN").unwrap();
        assert_eq!((short[0].status().unwrap(), whole[0].status().unwrap()), (Some(Status::Failed), None));
        assert_eq!(whole[0].state().unwrap(), "not begun");
        for points in [&short, &whole] {
            check_begun(points, &data("cd"), Precision::Tf32).unwrap();
        }

        let mut folder = RunFolder::resume(&short[0].path, &header).unwrap();
        folder.append(&EpochRow { epoch: 1, ..EpochRow::default() }).unwrap();
        folder.fail("loss is NaN").unwrap();
        let error = whole[0].status().unwrap_err().to_string();
        assert!(error.contains("is a run with config.training.epochs = 2, but 200 was asked for"), "{error}");
        check_begun(&short, &data("cd"), Precision::F32).unwrap_err();
    }

    #[test]
    fn a_job_array_says_which_run_is_meant() {
        let none = |_: &str| None;
        let slurm = |name: &str| (name == "SLURM_ARRAY_TASK_ID").then(|| "3".to_string());
        let by = |index, variable| Some(Chosen { index, variable });
        assert_eq!(chosen(None, none, 4).unwrap(), None);
        assert_eq!(chosen(None, slurm, 4).unwrap(), by(3, Some("SLURM_ARRAY_TASK_ID")));
        assert_eq!(chosen(Some(1), slurm, 4).unwrap(), by(1, None));
        let refused = |asked, environment: &dyn Fn(&str) -> Option<String>| {
            chosen(asked, environment, 3).unwrap_err().to_string()
        };
        assert_eq!(refused(Some(3), &slurm), "there is no run 3: the sweep has 3, counted from 0 (--list shows them)");
        let left_over = refused(None, &slurm);
        assert!(left_over.starts_with("there is no run 3, which SLURM_ARRAY_TASK_ID asks for"), "{left_over}");
        assert!(left_over.contains("`unset SLURM_ARRAY_TASK_ID`"), "{left_over}");
        let word = refused(None, &|_| Some("x".into()));
        assert!(
            word.contains("SLURM_ARRAY_TASK_ID is \"x\"") && word.contains("`unset SLURM_ARRAY_TASK_ID`"),
            "{word}"
        );
    }
}
