use clap::Parser;
use clap::error::ErrorKind;
use l0_record::{Outcome, RunFolder, RunHeader};

use super::*;

fn row(name: &str) -> Recipe {
    recipes::mnist().into_iter().find(|row| row.name == name).unwrap()
}

fn error(name: &str, changes: &Changes) -> String {
    changes.apply(&row(name)).unwrap_err().to_string()
}

#[test]
fn a_change_of_a_recipe_that_someone_wrote_does_not_pass_for_a_published_row() {
    let mine = Recipe { name: "mine".into(), title: "with less decay".into(), reference: None, ..row("mlp-l0") };
    let at = |target: f64| Changes { target: Some(target), ..Changes::default() };
    let held = at(0.2).apply(&mine).unwrap();
    assert_eq!((held.name.as_str(), held.reference), ("mine-con-0.2", None));
    assert_eq!(held.title, "with less decay, constrained L0, density 0.2");
    let macs = Changes { target_macs: Some(0.2), ..Changes::default() }.apply(&mine).unwrap();
    assert_eq!((held.curve.as_deref(), macs.curve.as_deref()), (Some("mine-con"), Some("mine-con-macs")));
    let median = Changes { estimator: Some(Estimator::Median), ..Changes::default() }.apply(&mine).unwrap();
    assert_eq!(median.name, "mine-median");
    let priced = Changes { lambdas: vec![0.2], ..Changes::default() }.apply(&mine).unwrap();
    assert_eq!((&*priced.name, &*priced.title), ("mine-lambda-0.2", "with less decay, L0, lambda = 0.2/N"));
    let mlp = Recipe { name: "mlp".into(), ..mine.clone() };
    let error = at(0.2).apply(&mlp).unwrap_err().to_string();
    assert_eq!(error, "mlp would be called mlp-con-0.2 now, the name of another row; call it otherwise");
    let longer = Recipe { name: "mlp-con".into(), ..mine };
    assert_eq!(at(0.3).apply(&longer).unwrap().name, "mlp-con-con-0.3");
}

#[test]
fn a_row_of_drawn_images_does_not_pass_for_one_of_mnist() {
    let held =
        Changes { target: Some(0.1), ..Changes::default() }.apply(&recipes::named("quickstart").unwrap()).unwrap();
    assert_eq!((held.name.as_str(), held.reference), ("quickstart-con-0.1", None));
    assert_ne!(held.curve, row("lenet5-con-0.1").curve);
}

#[test]
fn epochs_are_applied_to_what_the_other_changes_make() {
    let short = |row: &Recipe, target| Changes { epochs: Some(10), target, ..Changes::default() }.apply(row).unwrap();
    let rows = recipes::cifar(recipes::Profile::Cpu);
    let named = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    assert_eq!(short(named("wrn-16-1-l0-0.001"), Some(0.5)), short(named("wrn-16-1-con-0.5"), None));
}

#[test]
fn a_run_beside_others_goes_on_where_it_was_interrupted_and_else_takes_a_free_folder() {
    let root = tempfile::tempdir().unwrap();
    let (row, path) = (row("mlp-l0"), root.path().join("seed-1"));
    let begin =
        |path: &Path, row: &Recipe| RunFolder::create(path, &RunHeader::new(&row.name, 1, row.config())).unwrap();
    let place = |row: &Recipe| {
        let place = place_beside(&path, row, Precision::F32);
        place.strip_prefix(root.path()).unwrap().display().to_string()
    };
    assert_eq!(place(&row), "seed-1");
    let folder = begin(&path, &row);
    assert_eq!(place(&row), "seed-1.2", "someone is at it");
    drop(folder);
    assert_eq!(place(&row), "seed-1");
    let shorter = row.clone().with_epochs(3);
    assert_eq!(place(&shorter), "seed-1.2", "other settings are another run");
    begin(&root.path().join("seed-1.2"), &shorter).finish(Outcome::default()).unwrap();
    assert_eq!((place(&shorter), place(&row)), ("seed-1.3".into(), "seed-1".into()));
}

#[test]
fn the_folder_of_an_earlier_day_is_gone_on_with() {
    let root = tempfile::tempdir().unwrap();
    let (open, done) = (row("mlp-l0"), row("mlp-dense"));
    let begin = |day: &str, row: &Recipe| {
        let path = run_path(root.path().join(day), &row.name, 1).unwrap();
        RunFolder::create(path, &RunHeader::new(&row.name, 1, row.config())).unwrap()
    };
    drop(begin("2026-01-05", &open));
    begin("2026-01-06", &done).finish(Outcome::default()).unwrap();
    let f32 = Precision::F32;
    let found = |row: &Recipe, seed| unfinished(root.path(), &[(row.clone(), seed)], f32).unwrap();
    assert_eq!(found(&open, 1), Some(root.path().join("2026-01-05")));
    assert_eq!((found(&open, 2), found(&done, 1)), (None, None));
    assert_eq!(unfinished(root.path(), &[(open.clone(), 1)], Precision::Bf16).unwrap(), None);
    assert_eq!(found(&open.with_epochs(3), 1), None, "a run with other settings is another run");
    assert_eq!(unfinished(&root.path().join("no"), &[(done.clone(), 1)], f32).unwrap(), None);
}

#[test]
fn changes_that_do_not_fit_are_named() {
    let target = |share| Changes { target: Some(share), ..Changes::default() };
    assert!(error("mlp-dense", &target(0.2)).starts_with("mlp-dense has no gates, so a target density means nothing"));
    assert!(error("mlp-l0", &target(1.5)).contains("in (0, 1]"), "{}", error("mlp-l0", &target(1.5)));
    let priced = Changes { lambdas: vec![0.1], ..Changes::default() };
    assert!(error("mlp-con-0.2", &priced).starts_with("mlp-con-0.2 is held to a density"));
    let layers = Changes { targets: vec![0.5, 0.5], ..Changes::default() };
    assert!(error("lenet5-l0", &layers).starts_with("found 2 target densities, expected 4"));
    let lambdas = Changes { lambdas: vec![0.1, 0.2], ..Changes::default() };
    assert!(error("mlp-l0", &lambdas).starts_with("found 2 lambdas, expected 1 for all layers or 3"));
}

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    rows: RowArgs,
}

#[test]
fn how_data_is_read_is_not_said_of_a_run_that_has_recorded_it() {
    let parse = |words: &[&str]| CommandLine::try_parse_from(["train"].iter().chain(words));
    let options: [&[&str]; 5] = [
        &["--normalise", "imagenet"],
        &["--mean", "0.5", "--std", "0.5"],
        &["--image-size", "64"],
        &["--label", "price"],
        &["--task", "classes"],
    ];
    for begin in
        [&["--resume", "seed-1"][..], &["--continue-from", "seed-1", "--epochs", "2"], &["--scratch", "seed-1"]]
    {
        for option in options {
            let error = parse(&[begin, option].concat()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{error}");
        }
        let there = [begin, &["--data", "elsewhere", "--validation", "10"]].concat();
        assert_eq!(parse(&there).unwrap().rows.data.data.as_deref(), Some("elsewhere"));
    }
}
