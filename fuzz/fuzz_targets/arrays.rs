//! Arrays of images and labels: `.npz` and safetensors.
#![no_main]

use std::path::Path;

use l0_data::arrays;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((train, test, _)) = arrays::parse(bytes, Path::new("fuzz.npz")) {
        assert_eq!(train.dims(), test.dims());
    }
});
