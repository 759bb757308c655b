//! The scenarios of the protocol in the simulator, each over many seeds with loss, reordering and delay on every link:
//! what is sent, by whom, in which order, and what must not be sent, read from what was captured on the links.
//!
//! `DROVER_SEEDS=n` runs n seeds in place of 200, `DROVER_SEED=k` the one that a failure named.

#[path = "scenarios/after_forwarding.rs"]
mod after_forwarding;
#[path = "scenarios/agreement.rs"]
mod agreement;
#[path = "scenarios/baselines.rs"]
mod baselines;
#[path = "scenarios/between.rs"]
mod between;
#[path = "scenarios/blocks.rs"]
mod blocks;
#[path = "scenarios/border.rs"]
mod border;
#[path = "scenarios/choice.rs"]
mod choice;
#[path = "scenarios/controls.rs"]
mod controls;
#[path = "scenarios/crashes.rs"]
mod crashes;
#[path = "scenarios/discovery.rs"]
mod discovery;
#[path = "scenarios/drain.rs"]
mod drain;
#[path = "scenarios/flood.rs"]
mod flood;
#[path = "scenarios/handover_after_handover.rs"]
mod handover_after_handover;
#[path = "scenarios/mesh.rs"]
mod mesh;
#[path = "scenarios/moves.rs"]
mod moves;
#[path = "scenarios/optimisation.rs"]
mod optimisation;
#[path = "scenarios/rendezvous.rs"]
mod rendezvous;
#[path = "scenarios/reproducible.rs"]
mod reproducible;
#[path = "scenarios/return_home.rs"]
mod return_home;
#[path = "scenarios/roaming.rs"]
mod roaming;
#[path = "scenarios/second_site.rs"]
mod second_site;
#[path = "scenarios/soft_state.rs"]
mod soft_state;
#[path = "scenarios/trees.rs"]
mod trees;
#[path = "scenarios/world.rs"]
mod world;
