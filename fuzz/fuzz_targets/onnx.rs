//! Networks in ONNX files, which anybody may have written.
#![no_main]

use l0_net::OnnxReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = OnnxReader::new().from_bytes(bytes);
});
