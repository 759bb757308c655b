#![no_main]

#[path = "../properties/history.rs"]
mod history;
#[path = "../properties/mend.rs"]
#[allow(dead_code, reason = "shared with other targets")]
mod mend;
#[path = "../properties/mutate.rs"]
#[allow(dead_code, reason = "shared with other targets")]
mod mutate;
#[path = "../properties/terminal.rs"]
mod properties;
#[path = "../properties/samples.rs"]
mod samples;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::history(input));

libfuzzer_sys::fuzz_mutator!(|input: &mut [u8], size: usize, longest: usize, seed: u32| {
    let mutated = history::start_or_mutate(seed, &input[..size], properties::samples, mutate::mutate);
    match mutated.filter(|history| history.len() <= longest) {
        Some(history) => {
            input[..history.len()].copy_from_slice(&history);
            history.len()
        }
        None => libfuzzer_sys::fuzzer_mutate(input, size, longest),
    }
});
