//! Hostile octets into the parsers of this crate: the property of the fuzz target, over seeded mutants of good messages,
//! a bounded number of them.

#[path = "../../fuzz/properties/mutate.rs"]
#[allow(dead_code, reason = "shared with tests that use other parts of it")]
mod mutate;
#[path = "../../fuzz/properties/pim.rs"]
mod properties;

#[test]
fn parsers_keep_their_promises() {
    mutate::run("pim", 1, 50_000, &properties::samples(), mutate::mutate, properties::message);
}

#[test]
fn every_cut_of_every_sample() {
    for sample in properties::samples() {
        (0..=sample.len()).for_each(|cut| properties::message(&sample[..cut]));
    }
}
