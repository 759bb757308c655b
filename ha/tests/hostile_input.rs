//! Hostile packets into the machines of this crate: the property of the fuzz target, over seeded mutants of good packets,
//! a bounded number of them.

#[path = "../../fuzz/properties/mutate.rs"]
#[allow(dead_code, reason = "shared with tests that use other parts of it")]
mod mutate;
#[path = "../../fuzz/properties/correspondent.rs"]
mod properties;

#[test]
fn a_correspondent_keeps_its_promises() {
    mutate::run("correspondent", 1, 20_000, &properties::samples(), mutate::mutate, properties::packet);
}

#[test]
fn every_cut_of_every_sample() {
    for sample in properties::samples() {
        (0..=sample.len()).for_each(|cut| properties::packet(&sample[..cut]));
    }
}
