//! Packets of a group's tunnel in the order of their sequence numbers (RFC 2890 §2.2), where that order can be had.
//!
//! While a terminal moves, two links deliver the same group, one somewhat behind the other. A packet from the faster
//! link then comes before those that are still on their way by the slower one, and waits for them: until they are there,
//! or for [`super::DataplaneConfig::reorder_delay`] at the most. A number that is missing because its packet was lost
//! looks the same, so that packets wait only while there is a reason to think that the missing ones are late: data came
//! by another port than the last, or a late packet came, less than [`WATCH`] ago. On one link that keeps the order a
//! loss costs nothing.
//!
//! Nothing is ever dropped here: what comes too late is delivered late.

use super::counters::Counter;
use super::vector::{Job, Lane, Vector};
use super::{Counters, Dataplane};
use crate::machine::PortId;
use crate::tables::MrouteKey;
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// How long after a sign of disorder packets wait for those before them.
const WATCH: Duration = Duration::from_secs(1);
/// Packets of one group that wait at the most.
const LIMIT: usize = 64;

/// The order of one group's tunnel.
#[derive(Default)]
pub(super) struct Order {
    /// The number that is next.
    next: u32,
    last_port: Option<PortId>,
    watch_until: Option<Instant>,
    /// What waits, in order, all of it behind a gap.
    held: VecDeque<Held>,
}

struct Held {
    sequence: u32,
    until: Instant,
    job: Job,
    lane: Lane,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// It goes on.
    Now,
    /// It goes on, and then do those that waited for it.
    NowAndOthers,
    /// Others have to make room.
    Full,
    /// It is the first of new numbers: those before it go on first.
    Anew,
    /// It waits.
    Later,
}

impl Order {
    /// A packet came by this port, whether it was seen before or not.
    #[inline(always)]
    pub(super) fn came_by(&mut self, port: Option<PortId>, now: Instant) {
        if port != self.last_port {
            if self.last_port.is_some() {
                self.watch_until = Some(now + WATCH);
            }
            self.last_port = port;
        }
    }

    /// The turn of a packet that was not seen before.
    #[inline(always)]
    pub(super) fn turn(&mut self, sequence: u32, now: Instant, delay: Duration) -> Turn {
        if sequence == self.next {
            self.next = sequence.wrapping_add(1);
            let waits = self.held.front().is_some_and(|held| held.sequence == self.next);
            return if waits { Turn::NowAndOthers } else { Turn::Now };
        }
        if sequence.wrapping_sub(self.next) > 1 << 31 {
            // DEVIATION RFC 2890 §2.2: delivered late and not dropped, since most applications can use it.
            self.watch_until = Some(now + WATCH);
            return Turn::Now;
        }
        let watches = self.watch_until.is_some_and(|until| now < until) && !delay.is_zero();
        if !watches && self.held.is_empty() {
            self.next = sequence.wrapping_add(1);
            return Turn::Now;
        }
        if self.held.len() >= LIMIT { Turn::Full } else { Turn::Later }
    }

    fn hold(&mut self, held: Held) {
        let next = self.next;
        let place =
            self.held.partition_point(|other| other.sequence.wrapping_sub(next) < held.sequence.wrapping_sub(next));
        self.held.insert(place, held);
    }

    /// The first that waits, if it is next.
    fn take_next(&mut self) -> Option<Held> {
        self.held.front().filter(|held| held.sequence == self.next)?;
        self.take_first()
    }

    /// The first that waits: what comes before it is no longer waited for.
    fn take_first(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.next = held.sequence.wrapping_add(1);
        Some(held)
    }

    /// When the first has waited long enough.
    fn deadline(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.until).min()
    }

    /// How many go on because the last of them has waited long enough.
    fn due(&self, now: Instant) -> usize {
        self.held.iter().rposition(|held| held.until <= now).map_or(0, |last| last + 1)
    }
}

/// Which groups have packets that wait, and how many those are.
#[derive(Default)]
pub(super) struct Reorders {
    groups: Vec<MrouteKey>,
    held: usize,
    /// Packets that waited are in the queue of packets that were made on the way: later ones go behind them.
    queued: bool,
}

impl Reorders {
    /// Packets that wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Nothing is in the queue any more.
    pub(super) fn queue_is_empty(&mut self) {
        self.queued = false;
    }
}

/// Lets a packet of a group's tunnel go on to `lane`: behind those that waited and have their turn now.
#[inline(always)]
pub(super) fn forward(plane: &mut Dataplane, vector: &mut Vector, place: u8, lane: Lane) {
    if plane.reorders.queued {
        let job = vector.take(place);
        plane.pending.push_back((job, lane));
    } else {
        vector.next(place, lane);
    }
}

/// Lets a packet wait.
pub(super) fn hold(plane: &mut Dataplane, key: MrouteKey, sequence: u32, job: Job, lane: Lane) {
    let until = plane.now + plane.config.reorder_delay;
    let Some(group) = plane.groups.get_mut(key.group, key.source) else {
        return plane.discard(job, Counter::DropTerminalSource);
    };
    if group.order.held.is_empty() {
        plane.reorders.groups.push(key);
    }
    plane.reorders.held += 1;
    group.order.hold(Held { sequence, until, job, lane });
    plane.counters.add(Counter::PuntReorder);
}

/// Lets those go on that are in the way of a packet whose turn is [`Turn::Full`] or [`Turn::Anew`], and answers its turn.
#[cold]
pub(super) fn make_way(plane: &mut Dataplane, key: MrouteKey, sequence: u32, turn: Turn) -> Turn {
    if turn == Turn::Anew {
        release(plane, key, usize::MAX);
    } else {
        plane.counters.add(Counter::ReorderOverflows);
        release(plane, key, 1);
    }
    let (now, delay) = (plane.now, plane.config.reorder_delay);
    match plane.groups.get_mut(key.group, key.source) {
        Some(group) if turn == Turn::Anew => {
            group.order.next = sequence.wrapping_add(1);
            Turn::Now
        }
        Some(group) => group.order.turn(sequence, now, delay),
        None => Turn::Now,
    }
}

/// Lets those go on that are next.
pub(super) fn release_next(plane: &mut Dataplane, key: MrouteKey) {
    release(plane, key, 0);
}

/// Lets all go on that waited in an order that is no longer the group's.
pub(super) fn release_order(plane: &mut Dataplane, key: MrouteKey, mut order: Order) {
    while let Some(held) = order.take_first() {
        queue(&mut plane.pending, &mut plane.counters, &mut plane.reorders, held);
    }
    plane.reorders.groups.retain(|&group| group != key);
}

/// Lets the first `count` go on, and those that are next behind them.
fn release(plane: &mut Dataplane, key: MrouteKey, count: usize) {
    let Some(group) = plane.groups.get_mut(key.group, key.source) else { return };
    let order = &mut group.order;
    if order.held.is_empty() {
        return;
    }
    for _ in 0..count.min(order.held.len()) {
        if let Some(held) = order.take_first() {
            queue(&mut plane.pending, &mut plane.counters, &mut plane.reorders, held);
        }
    }
    while let Some(held) = order.take_next() {
        queue(&mut plane.pending, &mut plane.counters, &mut plane.reorders, held);
    }
    if order.held.is_empty() {
        plane.reorders.groups.retain(|&group| group != key);
    }
}

fn queue(pending: &mut VecDeque<(Job, Lane)>, counters: &mut Counters, reorders: &mut Reorders, held: Held) {
    counters.add(Counter::Resumed);
    reorders.held -= 1;
    reorders.queued = true;
    pending.push_back((held.job, held.lane));
}

/// When the next packet has waited long enough.
pub(super) fn next_deadline(plane: &Dataplane) -> Option<Instant> {
    let order = |key: &MrouteKey| plane.groups.get(key.group, key.source).map(|group| &group.order);
    plane.reorders.groups.iter().filter_map(|key| order(key)?.deadline()).min()
}

/// Gives up the gaps whose time is over.
pub(super) fn expire(plane: &mut Dataplane) {
    for index in (0..plane.reorders.groups.len()).rev() {
        let key = plane.reorders.groups[index];
        let due = plane.groups.get(key.group, key.source).map_or(0, |group| group.order.due(plane.now));
        if due > 0 {
            plane.counters.add(Counter::ReorderTimeouts);
            release(plane, key, due);
        }
    }
}
