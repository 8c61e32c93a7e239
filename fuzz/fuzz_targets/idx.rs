//! IDX files, plain and compressed.
#![no_main]

use std::path::Path;

use l0_data::idx::Idx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for rank in [1, 3] {
        if let Ok(idx) = Idx::parse(bytes, rank, Path::new("fuzz.idx")) {
            assert_eq!(idx.dims.iter().product::<usize>(), idx.data.len());
        }
    }
});
