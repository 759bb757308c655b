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

/// A way to make hostile octets out of good ones.
pub(crate) type Mutation = fn(&mut Rng, &[u8]) -> Vec<u8>;

/// Feeds `property` with the samples and with `rounds` mutants of them. What a panic came from is printed where it is
/// short; the seed and the round find it again.
pub(crate) fn run(name: &str, seed: u64, rounds: u32, samples: &[Vec<u8>], mutation: Mutation, property: fn(&[u8])) {
    let feed = |round: u32, input: &[u8]| {
        if std::panic::catch_unwind(|| property(input)).is_err() {
            let shown = if input.len() < 256 { format!("{input:02x?}") } else { format!("{} octets", input.len()) };
            panic!("{name} fails with seed {seed} in round {round} on {shown}");
        }
    };
    samples.iter().for_each(|sample| feed(0, sample));
    let mut rng = Rng::new(seed);
    for round in 1..=rounds {
        let sample = &samples[rng.below(samples.len() as u64) as usize];
        feed(round, &mutation(&mut rng, sample));
    }
}

/// A text that differs from `sample` in some of its lines: gone, doubled, swapped, or with another value.
pub(crate) fn mutate_lines(rng: &mut Rng, sample: &[u8]) -> Vec<u8> {
    const VALUES: [&str; 16] = [
        "0",
        "-1",
        "18446744073709551615",
        "1e308",
        "nan",
        "\"\"",
        "\"::\"",
        "\"ff35::1\"",
        "\"2001:db8::/129\"",
        "\"\\u0000\\u001b\"",
        "[]",
        "[[]]",
        "{}",
        "true",
        "1979-05-27",
        "\"\"\"\n\"\"\"",
    ];
    let mut lines: Vec<Vec<u8>> = sample.split(|&octet| octet == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..=rng.below(3) {
        let (at, other) = (rng.below(lines.len() as u64) as usize, rng.below(lines.len() as u64) as usize);
        let value = VALUES[rng.below(VALUES.len() as u64) as usize];
        match rng.below(5) {
            0 => lines.swap(at, other),
            1 => lines[at] = lines[other].clone(),
            2 => lines.insert(at, lines[other].clone()),
            3 if lines.len() > 1 => {
                lines.remove(at);
            }
            _ => {
                let key = lines[at].iter().position(|&octet| octet == b'=').map_or(0, |equals| equals + 1);
                lines[at].truncate(key);
                lines[at].extend_from_slice(value.as_bytes());
            }
        }
    }
    lines.join(&b'\n')
}
