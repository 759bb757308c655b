//! Hostile octets out of good ones: what the tests that run without a fuzzer feed the parsers.

use stack::rng::Rng;

/// Numbers that length fields and counters are tried with.
const EDGES: [u8; 9] = [0, 1, 2, 7, 8, 0x7f, 0x80, 0xfe, 0xff];
/// Octets of the longest input.
const LONGEST: usize = 4096;

/// Octets that differ from `sample` in one to four places, are cut, grown, or have nothing to do with it.
pub(crate) fn mutate(rng: &mut Rng, sample: &[u8]) -> Vec<u8> {
    let mut octets = sample.to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(octets.len() as u64) as usize;
        match rng.below(8) {
            0..3 if !octets.is_empty() => octets[at] ^= 1 << rng.below(8),
            3 | 4 if !octets.is_empty() => octets[at] = EDGES[rng.below(EDGES.len() as u64) as usize],
            5 => octets.truncate(at),
            6 if !octets.is_empty() => {
                // A part of it once more, as options repeat.
                let length = 1 + rng.below(octets.len() as u64 - at as u64) as usize;
                let part = octets[at..at + length].to_vec();
                octets.splice(at..at, part);
            }
            _ => {
                let length = rng.below(64);
                octets.extend((0..length).map(|_| rng.next_u64() as u8));
            }
        }
    }
    octets.truncate(LONGEST);
    octets
}

/// Feeds `property` with `rounds` mutants of `samples` and the samples themselves. What a panic came from is printed.
pub(crate) fn run(name: &str, seed: u64, rounds: u32, samples: &[Vec<u8>], property: fn(&[u8])) {
    let mut rng = Rng::new(seed);
    let feed = |input: &[u8]| {
        let outcome = std::panic::catch_unwind(|| property(input));
        assert!(outcome.is_ok(), "{name} fails on {input:02x?}");
    };
    samples.iter().for_each(|sample| feed(sample));
    for _ in 0..rounds {
        let sample = &samples[rng.below(samples.len() as u64) as usize];
        feed(&mutate(&mut rng, sample));
    }
}
