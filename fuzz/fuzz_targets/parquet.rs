//! Parquet files of the Hub, and the pictures in them.
#![no_main]

use std::path::Path;
use std::sync::Once;

use l0_data::{Benchmark, Options, hub};
use libfuzzer_sys::fuzz_target;

static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    // The crate `parquet` panics on some files, which ours catches; libFuzzer's hook would end the process before that.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let _ = hub::parse_pictures(bytes.to_vec(), &Options::default(), Path::new("fuzz.parquet"));
    for name in [Benchmark::Mnist, Benchmark::Cifar100] {
        let _ = hub::parquet::parse(bytes.to_vec(), name, Path::new("fuzz.parquet"));
    }
});
