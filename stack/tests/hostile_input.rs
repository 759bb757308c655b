//! Hostile octets into every parser of this crate: the properties of the fuzz targets, over seeded mutants of good
//! messages, a bounded number of them.

#[path = "../../fuzz/properties/mutate.rs"]
#[allow(dead_code, reason = "shared with tests that use other parts of it")]
mod mutate;
#[path = "../../fuzz/properties/wire.rs"]
mod wire;

const ROUNDS: u32 = 50_000;

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
