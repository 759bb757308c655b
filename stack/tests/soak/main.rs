//! A soak of the data plane: table updates of every kind that a router, its PIM, a mobility agent and a home agent make, and
//! packets of every kind that come to such a node, both drawn at random. An oracle that is written from the RFCs and from
//! what `TableUpdate` says tells what has to become of each packet; every frame that leaves, every packet that the node is
//! given, every notice, every count and every frame of the pool is held against it.
//!
//! | file | what it is |
//! |---|---|
//! | `world` | ports and addresses, and what a round is told once |
//! | `updates`, `packets` | what is drawn |
//! | `model` | the tables as plain maps |
//! | `oracle/` | what has to become of one packet in a state of the model |
//! | `room` | which packets can share a batch, so that the order in it decides nothing |
//! | `compare` | frames against frames, but for what the data plane may choose: flow labels, numbers, identifications |
//! | `planes` | the data plane, or two of them, as two workers have |
//! | `driver` | the data plane and its model side by side |
//! | `tally` | what was seen, and how often it has to be |
//!
//! A round is a data plane of its own, with a configuration and a stream of random numbers that its seed says. Rounds follow
//! each other for two minutes, or for `DROVER_SOAK_SECONDS`; `DROVER_SEED=k` starts with the round that a failure named.
//!
//! Left out are the roles of a terminal and of a correspondent node, reassembly, and path MTUs that are learnt of others'
//! errors. Where these would decide, the packet is not given to the data plane, and counted.

mod chain;
mod compare;
mod driver;
mod job;
mod model;
mod octets;
mod oracle;
mod packets;
mod picks;
mod planes;
mod room;
mod tally;
mod updates;
mod world;

use driver::Round;
use std::time::{Duration, Instant};
use tally::Tally;

/// Steps of a round: updates, and a batch of packets.
const STEPS: u64 = 4_000;
const SECONDS: u64 = 120;

#[test]
fn every_packet_is_what_the_oracle_says() {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let limit = Duration::from_secs(number("DROVER_SOAK_SECONDS").unwrap_or(SECONDS));
    let (start, first) = (Instant::now(), number("DROVER_SEED").unwrap_or(0));
    let mut tally = Tally::default();
    let mut rounds = 0;
    while rounds == 0 || start.elapsed() < limit {
        tally.add(round(first + rounds, start));
        rounds += 1;
    }
    println!("{rounds} rounds: {tally:#?}");
    tally.assert_is_plausible(rounds);
}

/// A round that is always the same for its seed.
fn round(seed: u64, start: Instant) -> Tally {
    let told = Told(seed, start);
    let mut round = Round::new(seed);
    for step in 0..STEPS {
        round.step(step);
    }
    round.finish();
    drop(told);
    round.tally
}

/// Tells how to repeat a round that fails.
struct Told(u64, Instant);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was DROVER_SEED={}, after {:?}", self.0, self.1.elapsed());
        }
    }
}
