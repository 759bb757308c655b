#![no_main]

#[path = "../properties/reassembly.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::fragments(input));
