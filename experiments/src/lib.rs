//! Recipes and command line of the experiments.
