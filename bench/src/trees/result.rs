//! Results of trees and what a page shows of them.

use super::site::Tally;
use crate::chart::{Axis, Chart, Curve, Scale};
use crate::report::Line;
use crate::statistics::Spread;
use serde::Serialize;

const ENTRIES: Axis = Axis { label: "(S,G) entries", scale: Scale::Logarithmic };
const NANOS: Axis = Axis { label: "ns an entry", scale: Scale::Linear };
const OCTETS: Axis = Axis { label: "octets an entry", scale: Scale::Linear };
const MICROS: Axis = Axis { label: "microseconds", scale: Scale::Logarithmic };

/// What happens to all entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// A neighbour joins, and the joins go on upstream.
    Join,
    /// It joins what it has joined already.
    Rejoin,
    /// The router refreshes its own joins, in this period after the first.
    Refresh(u32),
    /// The upstream neighbour has lost its state.
    Restart,
    /// The sources are behind another neighbour.
    Reroute,
    /// The joins of the neighbour run out.
    Expire,
}

impl Operation {
    fn name(self) -> String {
        match self {
            Operation::Join => "join".to_owned(),
            Operation::Rejoin => "rejoin".to_owned(),
            Operation::Refresh(period) => format!("refresh-{period}"),
            Operation::Restart => "restart".to_owned(),
            Operation::Reroute => "reroute".to_owned(),
            Operation::Expire => "expire".to_owned(),
        }
    }
}

/// Figures of an operation beside those that every benchmark has. A packet is there one entry.
#[derive(Serialize)]
pub(crate) struct More {
    pub(crate) operation: String,
    pub(crate) sources: u32,
    /// Calls of the machine.
    pub(crate) calls: usize,
    /// Nanoseconds of the longest, its answers taken.
    pub(crate) longest_call_ns: u64,
    /// Join/Prune messages sent.
    pub(crate) messages: u64,
    pub(crate) joins: u64,
    pub(crate) prunes: u64,
    /// Joins and prunes in each message; zero without messages.
    pub(crate) requests_per_message: f64,
    pub(crate) most_messages_in_a_call: u64,
    /// Of the seconds of the virtual clock.
    pub(crate) most_messages_in_a_second: u64,
    /// Octets of the allocator that an entry takes, at the most while it is refreshed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allocated_octets_per_entry: Option<f64>,
    /// Octets by which the process has grown then, an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resident_octets_per_entry: Option<f64>,
}

/// The result of an operation on `count` entries.
pub(crate) fn line(entries: u32, sources: u32, operation: Operation, tally: &Tally, count: u32) -> Line<More> {
    let parts = tally.parts();
    let each = |nanos: &u64| *nanos as f64 * parts.len() as f64 / f64::from(count);
    let Spread { min, max, .. } = Spread::of(&parts.iter().map(each).collect::<Vec<_>>());
    // Calls differ by orders of magnitude, so that only all of them together say what an entry costs.
    let mean = parts.iter().sum::<u64>() as f64 / f64::from(count);
    let requests = (tally.joins + tally.prunes) as f64 / tally.messages.max(1) as f64;
    Line {
        path: operation.name(),
        entries: entries.into(),
        groups: entries.into(),
        branches: 1,
        packet_octets: None,
        distribution: format!("{sources} sources"),
        ns_per_packet: Spread { median: mean, min, max }.rounded(),
        instructions_per_packet: None,
        allocations_per_packet: tally.allocations as f64 / f64::from(count),
        packets: count.into(),
        more: More {
            operation: operation.name(),
            sources,
            calls: tally.calls.len(),
            longest_call_ns: tally.calls.iter().copied().max().unwrap_or(0),
            messages: tally.messages,
            joins: tally.joins,
            prunes: tally.prunes,
            requests_per_message: (requests * 10.0).round() / 10.0,
            most_messages_in_a_call: tally.most_messages_in_a_call,
            most_messages_in_a_second: tally.most_messages_in_a_second,
            allocated_octets_per_entry: None,
            resident_octets_per_entry: None,
        },
    }
}

/// The charts of these results.
pub(crate) fn charts(lines: &[Line<More>]) -> Vec<Chart> {
    let mut charts = Vec::new();
    charts.extend(Chart::curves(
        "Cost by number of entries",
        ENTRIES,
        NANOS,
        curves(lines, |line| Some(line.ns_per_packet.median)),
    ));
    charts.extend(Chart::curves(
        "Longest call",
        ENTRIES,
        MICROS,
        curves(lines, |line| Some(line.more.longest_call_ns as f64 / 1e3)),
    ));
    charts.extend(Chart::curves("Memory", ENTRIES, OCTETS, curves(lines, |line| line.more.allocated_octets_per_entry)));
    charts
}

/// A curve over the number of entries for each operation and number of sources.
fn curves(lines: &[Line<More>], value: impl Fn(&Line<More>) -> Option<f64>) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for line in lines {
        let Some(value) = value(line) else { continue };
        let (name, point) = (format!("{}, {}", line.path, line.distribution), (line.entries as f64, value));
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name, points: vec![point] }),
        }
    }
    curves
}
