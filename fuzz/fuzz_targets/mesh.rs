#![no_main]

#[path = "../properties/mesh.rs"]
#[allow(dead_code, reason = "shared with other targets")]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::message(input));
