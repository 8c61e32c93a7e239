//! Pictures that a person hands to `predict`.
#![no_main]

use std::io::Cursor;

use l0_experiments::picture;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for shape in [(1, 28, 28), (3, 32, 32)] {
        if let Ok(pixels) = picture::decode(Cursor::new(bytes), shape) {
            assert_eq!(pixels.len(), shape.0 * shape.1 * shape.2);
        }
    }
});
