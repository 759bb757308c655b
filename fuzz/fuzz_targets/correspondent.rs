#![no_main]

#[path = "../properties/mend.rs"]
#[allow(dead_code, reason = "shared with other targets")]
mod mend;
#[path = "../properties/correspondent.rs"]
#[allow(dead_code, reason = "shared with other targets")]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::packet(input));
