//! Networks and checkpoints in safetensors files that describe themselves.
#![no_main]

use candle_core::Device;
use l0_net::{GatedModel, Model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Model::from_bytes(bytes, &Device::Cpu);
    let _ = GatedModel::from_bytes(bytes, &Device::Cpu);
});
