//! Hostile packets into the machines of this crate: the properties of the fuzz targets, over seeded mutants of good
//! packets, and of histories that go well, a bounded number of them.

#[path = "../../fuzz/properties/correspondent.rs"]
mod correspondent;
#[path = "../../fuzz/properties/history.rs"]
#[allow(dead_code, reason = "shared with the fuzz targets")]
mod history;
#[path = "../../fuzz/properties/home_agent.rs"]
mod home_agent;
#[path = "../../fuzz/properties/mend.rs"]
mod mend;
#[path = "../../fuzz/properties/mutate.rs"]
#[allow(dead_code, reason = "shared with tests that use other parts of it")]
mod mutate;
#[path = "../../fuzz/properties/samples.rs"]
mod samples;
#[path = "../../fuzz/properties/terminal.rs"]
mod terminal;

use stack::rng::Rng;

const HISTORIES: u32 = 5_000;

fn mutation(rng: &mut Rng, sample: &[u8]) -> Vec<u8> {
    history::mutate(rng, sample, mutate::mutate)
}

fn cut(samples: &[Vec<u8>], property: fn(&[u8])) {
    for sample in samples {
        (0..=sample.len()).for_each(|cut| property(&sample[..cut]));
    }
}

#[test]
fn a_correspondent_keeps_its_promises() {
    mutate::run("correspondent", 1, 20_000, &correspondent::samples(), mutate::mutate, correspondent::packet);
}

#[test]
fn a_home_agent_keeps_its_promises() {
    mutate::run("home agent", 1, HISTORIES, &home_agent::samples(), mutation, home_agent::history);
}

#[test]
fn a_terminal_keeps_its_promises() {
    mutate::run("terminal", 1, HISTORIES, &terminal::samples(), mutation, terminal::history);
}

#[test]
fn every_cut_of_every_sample() {
    cut(&correspondent::samples(), correspondent::packet);
    cut(&home_agent::samples(), home_agent::history);
    cut(&terminal::samples(), terminal::history);
}
