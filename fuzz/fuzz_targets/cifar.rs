//! The binary files of CIFAR.
#![no_main]

use std::path::Path;

use l0_data::cifar::{Format, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::Cifar10, Format::Cifar100] {
        let _ = parse(bytes, format, Path::new("fuzz.bin"));
    }
});
