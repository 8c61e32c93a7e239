//! The recipes of the workspace: a file for each below `experiments/recipes`, embedded in the programs.
//!
//! The name of the file is the name of the row, its folder says which program trains it, and its head says what is
//! claimed, by whom, and what was measured. A new experiment is a new file.

use std::sync::LazyLock;

use crate::config::file::recipe_of;
use crate::{Gating, Recipe};

/// Folder, name and text of every file, as the build script found them.
const FILES: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// How large the experiments on CIFAR are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// WRN-16-1 for 20 epochs, and two rows at twice its width: about four hours on two cores. Scaled down, and said so
    /// wherever a run is shown.
    Cpu,
    /// ResNet-20 and ResNet-56 for 60 epochs, the networks that the tables of structured pruning compare methods on; rows
    /// that are pruned begin with the dense one and have 60 epochs more. For a ResNet-20 an hour to one and a half for 60
    /// epochs on one core, or a few minutes on a GPU.
    Tables,
    /// WRN-28-10 for 50 epochs: six minutes a row on an H200. Said to be shorter wherever a run is shown.
    Gpu,
    /// WRN-28-10 for 200 epochs, as in the paper: for a GPU.
    Paper,
}

/// A recipe, and the file that it is.
#[derive(Debug)]
struct Embedded {
    folder: &'static str,
    text: &'static str,
    recipe: Recipe,
}

/// All of them, in the order in which they are trained.
static EMBEDDED: LazyLock<Vec<Embedded>> = LazyLock::new(|| {
    let read = |&(folder, name, text): &(&'static str, &str, &'static str)| {
        let recipe = recipe_of(text, Some(name.into()));
        let recipe = recipe.unwrap_or_else(|error| panic!("recipes/{folder}/{name}.toml: {error:#}"));
        Embedded { folder, text, recipe }
    };
    let mut all: Vec<Embedded> = FILES.iter().map(read).collect();
    all.sort_by_cached_key(|embedded| order(&embedded.recipe));
    all
});

/// Smaller networks first, and of one network first those without gates, then those that are priced.
fn order(recipe: &Recipe) -> (String, usize, u8, String) {
    let params = recipe.architecture.network().map_or(0, |network| network.net().cost().params());
    let is_held = recipe.objective.as_ref().is_some_and(|objective| objective.constraint().is_some());
    let kind = match recipe.architecture.gating() {
        Gating::Dense => 0,
        Gating::Dropout => 1,
        Gating::L0 if !is_held => 2,
        Gating::L0 => 3,
    };
    (recipe.data.to_string(), params, kind, recipe.name.clone())
}

fn of_folder(folder: &str) -> Vec<Recipe> {
    EMBEDDED.iter().filter(|embedded| embedded.folder == folder).map(|embedded| embedded.recipe.clone()).collect()
}

/// The rows of Table 1 of the paper and those of our own beside them, in the order of `just reproduce-mnist`.
pub fn mnist() -> Vec<Recipe> {
    of_folder("mnist")
}

/// The rows of Table 2 and Figure 4 of the paper at the size of a profile, or those of the tables of structured
/// pruning.
pub fn cifar(profile: Profile) -> Vec<Recipe> {
    of_folder(match profile {
        Profile::Cpu => "cifar/cpu",
        Profile::Tables => "cifar/tables",
        Profile::Gpu => "cifar/gpu",
        Profile::Paper => "cifar/paper",
    })
}

/// Every recipe that can be named on a command line.
pub fn all() -> Vec<Recipe> {
    EMBEDDED.iter().map(|embedded| embedded.recipe.clone()).collect()
}

/// The recipe with this name.
pub fn named(name: &str) -> Option<Recipe> {
    EMBEDDED.iter().map(|embedded| &embedded.recipe).find(|recipe| recipe.name == name).cloned()
}

/// The name that is most like this one.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    crate::config::nearest(name, &EMBEDDED.iter().map(|embedded| embedded.recipe.name.as_str()).collect::<Vec<_>>())
}

/// The gated LeNet-5 on digits that the program draws.
///
/// # Panics
/// If its file is gone, which a test rules out.
pub fn quickstart() -> Recipe {
    named("quickstart").expect("recipes/quickstart.toml is one of the files")
}

/// The file of a recipe that is just as it says.
pub fn file_of(recipe: &Recipe) -> Option<&'static str> {
    EMBEDDED.iter().find(|embedded| embedded.recipe == *recipe).map(|embedded| embedded.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;

    #[test]
    fn every_file_is_a_recipe_of_a_program() {
        let of = [Profile::Cpu, Profile::Tables, Profile::Gpu, Profile::Paper].map(cifar);
        let rows = [mnist(), vec![quickstart()]].into_iter().chain(of);
        assert_eq!(rows.map(|rows| rows.len()).collect::<Vec<usize>>(), [22, 1, 9, 7, 4, 10]);
        assert_eq!(all().len(), FILES.len());
    }

    #[test]
    fn a_file_says_what_is_claimed_and_which_command_trains_it() {
        for &(folder, name, text) in FILES {
            let (head, _) = text.split_once("\n\n").unwrap();
            assert!(head.lines().all(|line| line.starts_with('#')), "{folder}/{name}");
            let command = if name == "quickstart" { "cargo quickstart".into() } else { format!(" {name} ") };
            assert!(head.contains(&command), "{folder}/{name}: its head does not say how to train it");
            assert_eq!(file_of(&named(name).unwrap()), Some(text));
        }
    }

    #[test]
    fn a_row_stands_beside_the_published_one_that_it_states() {
        let error = |name: &str| named(name).unwrap().reference.and_then(|row| row.error_percent);
        assert_eq!(error("lenet5-l0-sep"), published::row("louizos2018/table1/lenet5-separate").unwrap().error_percent);
        assert_eq!((error("wrn-16-1-con-0.5"), error("wrn-28-10-c100-dense")), (Some(4.02), Some(21.18)));
        assert_eq!(error("wrn-16-1-con-0.25"), None);
    }
}
