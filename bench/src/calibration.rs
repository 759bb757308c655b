//! How fast the machine is at two things that do not change with the code: a loop of arithmetic, and loads that depend on
//! each other in memory of several sizes. Runs on other machines, or on this one in a worse minute, can be related by it.

use crate::machine;
use crate::statistics::Spread;
use serde::Serialize;
use stack::rng::Rng;
use std::fmt;
use std::hint::black_box;
use std::time::Instant;

/// Octets between two places of a chain: two cache lines, which processors fetch together.
const STRIDE: usize = 128;
/// Steps of the loop of arithmetic.
const LOOP_STEPS: u32 = 1_000_000;
/// Loads of one probe.
const LOADS: u32 = 50_000;
/// The block that no cache holds is within these.
const MISSING_OCTETS: core::ops::Range<usize> = 64 << 20..512 << 20;

/// What the probes said over a run.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Calibration {
    /// Nanoseconds a step of a loop in which each multiplication waits for the one before.
    integer_loop_ns: Spread,
    /// Nanoseconds a dependent load in 256 KiB.
    load_256_kib_ns: Spread,
    /// Nanoseconds a dependent load in 4 MiB.
    load_4_mib_ns: Spread,
    /// Nanoseconds a dependent load in 64 MiB.
    load_64_mib_ns: Spread,
    /// Nanoseconds a dependent load that misses the caches: in the first block that is at least four times as large as the
    /// last level.
    dependent_load_ns: Spread,
    /// Octets of that block.
    dependent_load_octets: usize,
}

/// Memory to probe, and what was found so far. The last block is the one that no cache holds.
pub(crate) struct Probes {
    chains: [Chain; 4],
    loops: Vec<f64>,
    loads: [Vec<f64>; 4],
}

impl Probes {
    pub(crate) fn new() -> Self {
        let missing = (machine::last_level_cache_octets() * 4).next_power_of_two();
        let missing = missing.clamp(MISSING_OCTETS.start, MISSING_OCTETS.end);
        Probes {
            chains: [256 << 10, 4 << 20, 64 << 20, missing].map(Chain::new),
            loops: Vec::new(),
            loads: [const { Vec::new() }; 4],
        }
    }

    /// Probes once, for some ten milliseconds.
    pub(crate) fn probe(&mut self) {
        self.loops.push(integer_loop());
        for (chain, loads) in self.chains.iter_mut().zip(&mut self.loads) {
            loads.push(chain.follow());
        }
    }

    /// # Panics
    /// Before the first probe.
    pub(crate) fn finish(&self) -> Calibration {
        let [small, middle, large, missing] = self.loads.each_ref().map(|loads| Spread::of(loads).rounded());
        Calibration {
            integer_loop_ns: Spread::of(&self.loops),
            load_256_kib_ns: small,
            load_4_mib_ns: middle,
            load_64_mib_ns: large,
            dependent_load_ns: missing,
            dependent_load_octets: self.chains[3].places.len() * STRIDE,
        }
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "integer loop {:.2} ns a step", self.integer_loop_ns.median)?;
        let loads = [("256 KiB", self.load_256_kib_ns), ("4 MiB", self.load_4_mib_ns), ("64 MiB", self.load_64_mib_ns)];
        let missing = format!("{} MiB", self.dependent_load_octets >> 20);
        for (size, Spread { median, min, max }) in loads.into_iter().chain([(&*missing, self.dependent_load_ns)]) {
            write!(f, "; a dependent load in {size} {median:.1} ns [{min:.1}-{max:.1}]")?;
        }
        Ok(())
    }
}

fn integer_loop() -> f64 {
    let started = Instant::now();
    let mut value = black_box(0x9e37_79b9_7f4a_7c15u64);
    for _ in 0..LOOP_STEPS {
        value = value.wrapping_mul(value | 1);
    }
    black_box(value);
    started.elapsed().as_nanos() as f64 / f64::from(LOOP_STEPS)
}

/// One random cycle through all places of a block of memory: each says which is next.
struct Chain {
    places: Vec<[u32; STRIDE / 4]>,
    at: u32,
}

impl Chain {
    fn new(octets: usize) -> Self {
        let count = octets / STRIDE;
        let mut order: Vec<u32> = (0..count as u32).collect();
        let mut rng = Rng::new(1);
        // Exchanging only with places before keeps the permutation one cycle (Sattolo).
        for index in (1..count).rev() {
            order.swap(index, rng.below(index as u64) as usize);
        }
        let places = order.iter().map(|&next| {
            let mut place = [0; STRIDE / 4];
            place[0] = next;
            place
        });
        Chain { places: places.collect(), at: 0 }
    }

    fn follow(&mut self) -> f64 {
        let started = Instant::now();
        let mut at = self.at;
        for _ in 0..LOADS {
            at = self.places[at as usize][0];
        }
        self.at = black_box(at);
        started.elapsed().as_nanos() as f64 / f64::from(LOADS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_one_cycle() {
        let chain = Chain::new(64 * STRIDE);
        let mut at = 0;
        for step in 1..=64 {
            at = chain.places[at as usize][0];
            assert_eq!(at == 0, step == 64);
        }
    }
}
