#![no_main]

#[path = "../properties/mutate.rs"]
#[allow(dead_code, reason = "shared with other targets")]
mod mutate;
#[path = "../properties/admin.rs"]
mod properties;

use stack::rng::Rng;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::client(input));

libfuzzer_sys::fuzz_mutator!(|input: &mut [u8], size: usize, longest: usize, seed: u32| {
    let mut rng = Rng::new(u64::from(seed));
    let mutated = match rng.below(8) {
        0..4 => return libfuzzer_sys::fuzzer_mutate(input, size, longest),
        4 => {
            let samples = properties::samples();
            let place = rng.below(samples.len() as u64) as usize;
            mutate::mutate_lines(&mut rng, &samples[place])
        }
        _ => mutate::mutate_lines(&mut rng, &input[..size]),
    };
    let length = mutated.len().min(longest);
    input[..length].copy_from_slice(&mutated[..length]);
    length
});
