//! Pictures that a person hands to `predict`.
#![no_main]

use l0_data::Benchmark;
use l0_experiments::picture::{self, Invert};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for dataset in [Benchmark::Mnist, Benchmark::Cifar10] {
        let shape = dataset.shape();
        if let Ok(picture) = picture::decode(bytes, shape) {
            assert_eq!(picture.pixels.len(), shape.0 * shape.1 * shape.2);
            if let Ok(reading) = picture.reading(dataset, Invert::Auto) {
                assert_eq!(reading.pixels.len(), picture.pixels.len());
            }
        }
    }
});
