//! A run from close up: the ways of packets, the messages and the fate of each packet around every movement.
//!
//! The report says how much; this says what, for pages. It is made from the same observations and is bounded: of long runs
//! the movements that cost most, and of each movement the time around it. What is left out is counted.

pub(crate) mod messages;
pub(crate) mod packets;
mod place;
mod trail;
pub(crate) mod ways;

use super::judge;
use super::observe::{FlowSeen, Observations};
use super::report::{Handover, Report};
use crate::config::lab::{Endpoint, Lab};
use messages::Exchange;
use packets::{Fates, Stripe, Window};
use place::Places;
use stack::time::{Duration, Instant};
use ways::{Tracer, Ways};

/// Movements that are looked at. Of more, those that interrupted longest, lost or doubled most.
pub(crate) const MAX_MOVEMENTS: usize = 48;
/// Where the messages of a movement begin, before it or before it is announced.
const LEAD: Duration = Duration::from_millis(5);

/// A run from close up.
pub(crate) struct Closeup {
    /// The movements that are looked at, in order of time.
    pub(crate) movements: Vec<Movement>,
    /// Each numbered flow over the whole run.
    pub(crate) stripes: Vec<Stripe>,
    /// How long traffic ran.
    pub(crate) duration: Duration,
}

/// A movement from close up.
pub(crate) struct Movement {
    /// Which of the report's.
    pub(crate) index: usize,
    /// The ways of packets to the terminal.
    pub(crate) ways: Ways,
    /// The messages of its time, in order.
    pub(crate) messages: Vec<Exchange>,
    /// Messages that are left out for want of room.
    pub(crate) messages_left_out: usize,
    /// What became of the packets of its witness, the flow that the report tells of.
    pub(crate) packets: Option<Window>,
}

impl Closeup {
    /// The run that was observed so, and of which this is the report.
    pub(crate) fn new(lab: &Lab, seen: &Observations, report: &Report) -> Self {
        let chosen = choose(&report.handovers);
        let places = Places::new(lab, seen.started);
        let tracer = Tracer::new(lab, &seen.wire);
        let fates: Vec<Option<Fates>> = seen
            .flows
            .iter()
            .map(|flow| match flow {
                FlowSeen::Packets(packets) => Some(Fates::of(packets)),
                FlowSeen::Transfer { .. } => None,
            })
            .collect();
        let movement = |&index: &usize| {
            let movement = &lab.moves[index];
            let at = seen.moves[index].at;
            let until = judge::span(lab, seen, index).1;
            let next = (index + 1..lab.moves.len()).find(|&later| lab.moves[later].terminal == movement.terminal);
            let (begin, end) = (prelude(lab, seen, index), next.map_or(until, |next| prelude(lab, seen, next)));
            let (messages, messages_left_out) = messages::exchanges(&seen.wire, &places, begin, at, end);
            let packets = judge::witness_index(lab, seen, movement.terminal).and_then(|flow| {
                let FlowSeen::Packets(witness) = &seen.flows[flow] else { return None };
                let interval = Duration::from_secs(1) / judge::rate_of(lab.flows[flow].kind)?;
                let (first, last) = judge::sent_span(lab, seen, index, witness);
                let silence = Duration::from_micros(report.handovers[index].interruption_us);
                let name = lab.flows[flow].name.clone();
                Some(fates[flow].as_ref()?.around(name, at, first..last, interval, silence))
            });
            let before = (0..index).rev().find(|&earlier| lab.moves[earlier].terminal == movement.terminal);
            let since = before.map_or(seen.started, |earlier| seen.moves[earlier].at);
            let ways = tracer.around(movement, since, at, until.min(seen.ended));
            Movement { index, ways, messages, messages_left_out, packets }
        };
        let stripes = lab.flows.iter().zip(&fates).filter_map(|(flow, fates)| {
            let towards = match flow.to {
                Endpoint::Host(host) => &lab.hosts[host.0].name,
                Endpoint::Node(node) => &lab.nodes[node.0].name,
            };
            Some(fates.as_ref()?.stripe(flow.name.clone(), towards.clone(), seen.started, lab.duration))
        });
        Closeup { movements: chosen.iter().map(movement).collect(), stripes: stripes.collect(), duration: lab.duration }
    }
}

/// The movements that are looked at, in order of time.
fn choose(handovers: &[Handover]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..handovers.len()).collect();
    // Stable: of those that are alike, the earlier.
    order.sort_by_key(|&index| {
        let handover = &handovers[index];
        core::cmp::Reverse((handover.lost + handover.duplicated, handover.interruption_us))
    });
    order.truncate(MAX_MOVEMENTS);
    order.sort_unstable();
    order
}

/// When the messages of a movement begin.
fn prelude(lab: &Lab, seen: &Observations, index: usize) -> Instant {
    let announced = lab.moves[index].announced.map_or(Duration::ZERO, |announced| announced.before);
    Instant::ORIGIN + seen.moves[index].at.since(Instant::ORIGIN).saturating_sub(announced + LEAD)
}

/// Microseconds from `at` to `time`, which may be earlier.
fn offset_us(at: Instant, time: Instant) -> i64 {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    if time >= at { micros(time.since(at)) } else { -micros(at.since(time)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::report::Signalling;
    use std::collections::BTreeMap;

    fn handover(interruption_us: u64, lost: u64) -> Handover {
        Handover {
            at_us: 0,
            terminal: "mt".to_owned(),
            kind: "intra-site",
            from: "a".to_owned(),
            to: "b".to_owned(),
            make_before_break: true,
            interruption_us,
            sent: 100,
            lost,
            duplicated: 0,
            reordered: 0,
            forwarded: 0,
            route_optimised_percent: None,
            signalling: Signalling::default(),
            stages_us: BTreeMap::new(),
        }
    }

    #[test]
    fn of_many_movements_those_are_chosen_that_cost_most() {
        let mut handovers = vec![handover(0, 0); MAX_MOVEMENTS + 2];
        handovers[MAX_MOVEMENTS] = handover(5, 0);
        handovers[MAX_MOVEMENTS + 1] = handover(0, 1);
        let chosen = choose(&handovers);
        assert_eq!(chosen.len(), MAX_MOVEMENTS);
        assert!(chosen.is_sorted() && chosen.ends_with(&[MAX_MOVEMENTS, MAX_MOVEMENTS + 1]));
        assert_eq!(choose(&handovers[..3]), [0, 1, 2]);
    }

    #[test]
    fn times_may_be_earlier() {
        let at = Instant::from_millis(5);
        assert_eq!((offset_us(at, Instant::from_millis(7)), offset_us(at, Instant::from_millis(4))), (2000, -1000));
    }
}
