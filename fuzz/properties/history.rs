//! An input that is a history: things that happen to a machine one after the other.
//!
//! Each is an octet that says what happens, a length of two octets, and that many octets about it. What the octets say
//! is each property's own.

use stack::rng::Rng;

/// What can happen to a machine of Mobile IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// A packet comes in.
    Packet,
    /// A packet with a checksum that holds.
    Summed,
    /// A packet whose message its sender signs.
    Signed,
    /// The same, with a sequence number that follows the last.
    Fresh,
    /// A packet out of a tunnel.
    Tunnelled,
    /// The one that the machine has asked last answers.
    Answer,
    /// Time passes: tenths of a second in two octets.
    Time,
    /// The node says something.
    Command,
}

impl What {
    const ALL: [What; 8] = [
        What::Packet,
        What::Summed,
        What::Signed,
        What::Fresh,
        What::Tunnelled,
        What::Answer,
        What::Time,
        What::Command,
    ];

    const fn of(octet: u8) -> Self {
        Self::ALL[octet as usize % Self::ALL.len()]
    }
}

/// The steps of a history in turn; the last one may be cut short.
pub(crate) fn steps(mut input: &[u8]) -> impl Iterator<Item = (What, &[u8])> {
    core::iter::from_fn(move || {
        let (&[what, high, low], rest) = input.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (octets, rest) = rest.split_at(length);
        input = rest;
        Some((What::of(what), octets))
    })
}

/// Appends a step.
pub(crate) fn append(history: &mut Vec<u8>, what: What, octets: &[u8]) {
    let place = What::ALL.iter().position(|&known| known == what).unwrap_or_default();
    let length = u16::try_from(octets.len()).unwrap_or(u16::MAX);
    history.push(place as u8);
    history.extend_from_slice(&length.to_be_bytes());
    history.extend_from_slice(&octets[..usize::from(length)]);
}

/// Another history made of `sample`: some of its steps are gone, doubled, swapped or of another kind, and `octets` changes
/// some of what they say.
pub(crate) fn mutate(rng: &mut Rng, sample: &[u8], octets: fn(&mut Rng, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut steps: Vec<(What, Vec<u8>)> = steps(sample).map(|(what, octets)| (what, octets.to_vec())).collect();
    for _ in 0..=rng.below(6) {
        if steps.is_empty() {
            break;
        }
        let (at, other) = (rng.below(steps.len() as u64) as usize, rng.below(steps.len() as u64) as usize);
        match rng.below(8) {
            0 => drop(steps.remove(at)),
            1 => steps.insert(other, steps[at].clone()),
            2 => steps.swap(at, other),
            3 | 4 => steps[at].0 = What::of(rng.next_u64() as u8),
            _ => steps[at].1 = octets(rng, &steps[at].1),
        }
    }
    let mut history = Vec::new();
    for (what, octets) in steps {
        append(&mut history, what, &octets);
    }
    history
}

/// What a fuzzer tries next where it is not to mutate octets as it does by itself: now and then one of the `samples`, else
/// another history made of `input`.
pub(crate) fn start_or_mutate(
    seed: u32,
    input: &[u8],
    samples: fn() -> Vec<Vec<u8>>,
    octets: fn(&mut Rng, &[u8]) -> Vec<u8>,
) -> Option<Vec<u8>> {
    let mut rng = Rng::new(u64::from(seed));
    match rng.below(8) {
        0..2 => None,
        2 => {
            let mut samples = samples();
            let place = rng.below(samples.len() as u64) as usize;
            Some(mutate(&mut rng, &samples.swap_remove(place), octets))
        }
        _ => Some(mutate(&mut rng, input, octets)),
    }
}
