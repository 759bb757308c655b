//! Hostile packets into a mobility agent, those of its terminals among them, and into an access router of a mesh: the
//! properties of the fuzz targets, over seeded mutants of what goes well, a bounded number of them.

#[path = "../../fuzz/properties/agent.rs"]
mod agent;
#[path = "../../fuzz/properties/history.rs"]
#[allow(dead_code, reason = "shared with the fuzz targets")]
mod history;
#[path = "../../fuzz/properties/mend.rs"]
#[allow(dead_code, reason = "shared with properties of other machines")]
mod mend;
#[path = "../../fuzz/properties/mesh.rs"]
mod mesh;
#[path = "../../fuzz/properties/mutate.rs"]
#[allow(dead_code, reason = "shared with tests that use other parts of it")]
mod mutate;
#[path = "../../fuzz/properties/samples.rs"]
mod samples;

use stack::rng::Rng;

#[test]
fn an_agent_keeps_its_promises() {
    let mutation = |rng: &mut Rng, sample: &[u8]| history::mutate(rng, sample, mutate::mutate);
    mutate::run("agent", 1, 20_000, &agent::samples(), mutation, agent::history);
}

#[test]
fn a_router_of_a_mesh_keeps_its_promises() {
    mutate::run("mesh", 1, 20_000, &mesh::samples(), mutate::mutate, mesh::message);
    for sample in mesh::samples() {
        (0..=sample.len()).for_each(|cut| mesh::message(&sample[..cut]));
    }
}

#[test]
fn every_cut_of_every_history() {
    for sample in agent::samples() {
        (0..=sample.len()).for_each(|cut| agent::history(&sample[..cut]));
    }
}
