//! Hostile octets into every parser of this crate: the properties of the fuzz targets, over seeded mutants of good
//! messages, a bounded number of them.

#[path = "../../fuzz/properties/dataplane.rs"]
#[allow(dead_code, reason = "shared with the fuzz target")]
mod dataplane;
#[path = "../../fuzz/properties/mutate.rs"]
#[allow(dead_code, reason = "shared with tests that use other parts of it")]
mod mutate;
#[path = "../../fuzz/properties/reassembly.rs"]
mod reassembly;
#[path = "../../fuzz/properties/wire.rs"]
mod wire;

use stack::rng::Rng;

const ROUNDS: u32 = 50_000;
/// Histories of fragments.
const HISTORIES: u32 = 10_000;
/// Batches of one to 63 frames that a data plane is fed.
const BATCHES: u32 = 4_000;

#[test]
fn parsers_keep_their_promises() {
    for (seed, target) in (1..).zip(wire::TARGETS) {
        mutate::run(target.name, seed, ROUNDS, &(target.samples)(), mutate::mutate, target.property);
    }
}

#[test]
fn every_cut_of_every_sample() {
    for target in wire::TARGETS {
        for sample in (target.samples)() {
            (0..=sample.len()).for_each(|cut| (target.property)(&sample[..cut]));
        }
    }
}

#[test]
fn samples_are_good() {
    for frame in wire::frames() {
        let description = stack::inspect::describe(&frame, stack::port::Medium::Ethernet);
        assert_ne!(description.class(), stack::inspect::Class::Malformed, "{description}");
    }
}

#[test]
fn a_data_plane_loses_no_frame_to_hostile_ones() {
    let samples = dataplane::samples();
    for seed in 0..4 {
        let mut rng = Rng::new(seed);
        let mut subject = dataplane::Subject::new();
        for _ in 0..BATCHES {
            let count = 1 + rng.below(63);
            let pick = |rng: &mut Rng| samples[rng.below(samples.len() as u64) as usize].clone();
            let batch: Vec<Vec<u8>> = (0..count)
                .map(|_| {
                    let sample = pick(&mut rng);
                    if rng.below(3) == 0 { sample } else { mutate::mutate(&mut rng, &sample) }
                })
                .collect();
            subject.feed(&batch);
            if rng.below(2) == 0 {
                subject.disturb(&mut rng);
            }
            // Queues fill up, and what does not fit is dropped and counted.
            if rng.below(4) == 0 {
                subject.drain();
            }
        }
        subject.finish();
        assert!(subject.counted().len() > 60, "too few ways were taken: {:?}", subject.counted());
    }
}

#[test]
fn fragments_make_nothing_but_their_packet() {
    mutate::run("reassembly", 1, HISTORIES, &reassembly::samples(), mutate::mutate, reassembly::fragments);
}
