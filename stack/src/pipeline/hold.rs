//! Packets of a route that keeps them: for a terminal that is expected here, and is not heard yet.
//!
//! A candidate access router has joined the terminal's group in advance ([`Mroute::hold`]). What comes before the terminal
//! is there finds no branch, and waits in the route's ring, as it came: the newest
//! [`super::Limits::held_packets_of_route`] packets, none longer than [`super::DataplaneConfig::hold_time`], and of all
//! routes together no more than [`super::Limits::held_packets`]. The oldest gives way. When the route gets a port, they
//! leave by it before the next packet is looked at, in order; when it no longer keeps packets, or ends, they are dropped.
//!
//! Packets of a route that keeps them go through the stages of the first worker, whoever received them. They go on doing so
//! for a while after others have left here, so that none that another worker received overtakes those that it handed over
//! before ([`Holds::linger`]).

mod rings;

use super::counters::Counter;
use super::vector::Job;
use super::{Dataplane, DataplaneConfig, multicast};
use crate::tables::{Mfib, Mroute, MrouteKey, Slot};
use crate::time::Instant;
use rings::{Number, Rings};
use std::collections::VecDeque;

/// The part of the pool that packets may be held in.
const POOL_SHARE: usize = 8;
/// Routes whose packets go on taking the stages at the most.
const MAX_LINGERING: usize = 256;

/// Packets that wait for a branch of their route.
pub(super) struct Holds {
    rings: Rings<Job>,
    /// Routes that packets have left, and until when their packets take the stages.
    lingering: VecDeque<(Instant, MrouteKey)>,
}

impl Holds {
    pub(super) fn new(config: &DataplaneConfig, frames: usize, seed: u64) -> Self {
        let limit = config.limits.held_packets.min((frames / POOL_SHARE).max(1));
        let limit = if config.hold_time.is_zero() { 0 } else { limit };
        let rings = Rings::new(limit, config.limits.held_packets_of_route, seed);
        Holds { rings, lingering: VecDeque::new() }
    }

    /// Packets that wait.
    pub(super) fn held(&self) -> usize {
        self.rings.len()
    }

    /// Whether any packet may wait.
    pub(super) fn has_room(&self) -> bool {
        self.rings.has_room()
    }

    /// When the first has waited long enough, or a route is again as others.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let lingers = self.lingering.front().map(|&(until, _)| until);
        self.rings.oldest().map(|(_, until)| until).into_iter().chain(lingers).min()
    }
}

/// Keeps a packet of the route at `slot`.
#[cold]
pub(super) fn hold(plane: &mut Dataplane, slot: Slot, job: Job) {
    let until = plane.now + plane.config.hold_time;
    plane.counters.add(Counter::PuntHold);
    let given_up = match plane.holds.rings.push(plane.mfib.key_at(slot), job, until) {
        Ok(displaced) => displaced,
        Err(job) => Some(job),
    };
    if let Some(job) = given_up {
        plane.counters.add(Counter::WaitedInVain);
        plane.discard(job, Counter::DropHoldTooMany);
    }
}

/// A route was set: what it holds leaves by its ports, or goes on waiting where it still keeps packets.
pub(super) fn settle(plane: &mut Dataplane, name: MrouteKey, route: &Mroute) {
    if plane.holds.lingering.iter().any(|(_, other)| *other == name) {
        plane.mfib.set_staged(name, true);
    }
    let key = Mfib::key(name.source, name.group);
    if plane.holds.rings.first_of(&key).is_none() {
        return;
    }
    expire(plane);
    let mut has_released = false;
    let mut next = plane.holds.rings.first_of(&key);
    while let Some(number) = next {
        next = plane.holds.rings.after(number);
        let can_leave = |job: &Job| !multicast::branches_of(plane, job, route).is_empty();
        if plane.holds.rings.get(number).is_some_and(can_leave) {
            has_released = true;
            release(plane, number, route);
        } else if !route.hold {
            give_up(plane, number, Counter::DropHoldLetGo);
        }
    }
    if has_released && plane.has_others && !route.hold {
        linger(plane, name);
    }
}

/// A route was removed: what it holds is dropped.
pub(super) fn forget(plane: &mut Dataplane, name: MrouteKey) {
    let key = Mfib::key(name.source, name.group);
    while let Some(number) = plane.holds.rings.first_of(&key) {
        give_up(plane, number, Counter::DropHoldLetGo);
    }
}

/// Drops what has waited too long, and lets routes be as others again.
pub(super) fn expire(plane: &mut Dataplane) {
    while let Some((number, _)) = plane.holds.rings.oldest().filter(|&(_, until)| until <= plane.now) {
        give_up(plane, number, Counter::DropHoldTooOld);
    }
    while plane.holds.lingering.front().is_some_and(|&(until, _)| until <= plane.now) {
        end_lingering(plane);
    }
}

fn release(plane: &mut Dataplane, number: Number, route: &Mroute) {
    if let Some(job) = plane.holds.rings.take(number) {
        plane.counters.add(Counter::Resumed);
        plane.counters.add(Counter::HoldReleased);
        multicast::send_held(plane, job, route);
    }
}

fn give_up(plane: &mut Dataplane, number: Number, reason: Counter) {
    if let Some(job) = plane.holds.rings.take(number) {
        plane.counters.add(Counter::WaitedInVain);
        plane.discard(job, reason);
    }
}

/// Packets of the route take the stages for as long again as they could have been held: what other workers have handed over
/// by now is behind those that have left, and before those that they receive from now on.
fn linger(plane: &mut Dataplane, name: MrouteKey) {
    plane.holds.lingering.retain(|(_, other)| *other != name);
    if plane.holds.lingering.len() >= MAX_LINGERING {
        end_lingering(plane);
    }
    plane.mfib.set_staged(name, true);
    plane.holds.lingering.push_back((plane.now + plane.config.hold_time, name));
}

fn end_lingering(plane: &mut Dataplane) {
    if let Some((_, name)) = plane.holds.lingering.pop_front() {
        plane.mfib.set_staged(name, false);
    }
}
