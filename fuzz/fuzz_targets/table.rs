//! Tables in text files.
#![no_main]

use std::path::Path;

use l0_data::table::parse_csv;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(table) = parse_csv(bytes, Path::new("fuzz.csv")) {
        let columns = table.columns().count();
        if let Ok(data) = table.load() {
            assert_eq!(data.columns.len() + 1, columns);
        }
    }
});
