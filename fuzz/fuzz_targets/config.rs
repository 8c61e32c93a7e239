//! Recipes, and networks that somebody describes, in files.
#![no_main]

use l0_experiments::{config, described};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(described) = described::parse(bytes, "fuzz") {
        let _ = described.net(l0_net::Shape::Image(3, 16, 16), 10);
    }
    if let Ok(recipe) = config::parse(bytes) {
        let text = config::print(&recipe).expect("what was read can be written");
        assert_eq!(config::parse(text.as_bytes()).expect("what was written can be read").config(), recipe.config());
    }
});
