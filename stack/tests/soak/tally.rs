//! What was seen in a soak: every kind of packet, every end and every way have to be among it.

use super::oracle::{Frame, Outcome};
use super::packets::Kind;
use std::collections::BTreeMap;

/// What a packet comes to, and how often at least in every round.
const ENDS: [(&str, u64); 72] = [
    ("punt-hold", 500),
    ("hold-released", 200),
    ("drop-hold-let-go", 20),
    ("drop-hold-too-old", 300),
    ("drop-hold-too-many", 20),
    ("waited for a route", 200),
    ("unicast-deliveries", 500),
    ("plain", 10_000),
    ("in a tunnel", 8_000),
    ("in a register message", 300),
    ("in a register message, cut", 4),
    ("out of a register message", 500),
    ("told of an awaited packet", 300),
    ("told of a group without a route", 300),
    ("told of a wrong port", 300),
    ("told of a source", 100),
    ("told of a register message", 300),
    ("numbered", 1_000),
    ("fragment", 200),
    ("error", 5_000),
    ("error in a tunnel", 300),
    ("in a row", 5_000),
    ("many branches", 1_000),
    ("by a port beyond the first word", 20),
    ("local", 1_000),
    ("punt-neighbor", 3_000),
    ("icmp-error-address-unreachable", 1_000),
    ("icmp-error-beyond-scope", 200),
    ("icmp-error-header-field", 100),
    ("icmp-error-hop-limit", 500),
    ("icmp-error-next-header", 50),
    ("icmp-error-no-route", 500),
    ("icmp-error-option", 200),
    ("icmp-error-packet-too-big", 1_000),
    ("icmp-error-port-unreachable", 500),
    ("icmp-error-relayed", 100),
    ("drop-icmp-forbidden", 500),
    ("drop-binding-former-care-of", 50),
    ("drop-binding-forward-home-agent", 300),
    ("drop-binding-inner-source", 50),
    ("drop-binding-no-home-address", 500),
    ("drop-binding-tunnel-source", 300),
    ("drop-ethernet-not-ours", 50),
    ("drop-ethernet-short", 20),
    ("drop-ip6-input-destination", 200),
    ("drop-ip6-input-source", 200),
    ("drop-ip6-input-truncated", 200),
    ("drop-ip6-input-version", 100),
    ("drop-local-checksum", 20),
    ("drop-lookup-blackhole", 300),
    ("drop-lookup-link-local", 100),
    ("drop-lookup-link-multicast", 100),
    ("drop-multicast-hop-limit", 20),
    ("drop-multicast-link-local", 20),
    ("drop-multicast-no-branch", 300),
    ("drop-multicast-no-route", 1_000),
    ("drop-multicast-wrong-port", 500),
    ("drop-neighbor-removed", 100),
    ("drop-register-group", 50),
    ("drop-register-inner", 50),
    ("drop-register-loop", 5),
    ("drop-register-no-route", 100),
    ("drop-register-site-border", 20),
    ("drop-register-source", 50),
    ("drop-tunnel-access-identifier", 20),
    ("drop-tunnel-access-prefix", 100),
    ("drop-tunnel-care-of", 300),
    ("drop-tunnel-ecn", 300),
    ("drop-tunnel-inner", 300),
    ("drop-tunnel-link-scope", 50),
    ("drop-tunnel-not-bound", 100),
    ("drop-tunnel-not-active", 100),
];
/// What is not in every round, but in [`MANY_ROUNDS`].
const SELDOM: [&str; 10] = [
    "drop-icmp-rate-limit",
    "drop-binding-forwarded-twice",
    "drop-ip6-input-ingress-filter",
    "drop-ip6-input-site-border",
    "drop-tunnel-site-border",
    "drop-local-option",
    "drop-neighbor-queue-full",
    "drop-neighbor-table-full",
    "refused-updates",
    "refused-ports",
];
const MANY_ROUNDS: u64 = 5;
/// How large the tables have to become.
const PEAKS: [(&str, usize); 7] = [
    ("deliveries", 2_000),
    ("routes", 15_000),
    ("mroutes", 15_000),
    ("mma-bindings", 15_000),
    ("home-bindings", 15_000),
    ("optimised-pairs", 2_000),
    ("neighbours", 4_000),
];

#[derive(Default, Debug)]
pub(crate) struct Tally {
    /// Packets that a data plane beside the first has sent on.
    pub(crate) by_second: u64,
    pub(crate) updates: u64,
    pub(crate) packets: u64,
    /// Packets that were drawn, and those of them whose end is not modelled.
    pub(crate) drawn: u64,
    pub(crate) unknown: u64,
    pub(crate) frames: u64,
    pub(crate) notices: u64,
    kinds: BTreeMap<Kind, u64>,
    ends: BTreeMap<&'static str, u64>,
    peaks: BTreeMap<&'static str, usize>,
}

impl Tally {
    /// A packet came in.
    pub(crate) fn packet(&mut self, kind: Kind, outcome: &Outcome) {
        self.packets += 1;
        *self.kinds.entry(kind).or_default() += 1;
        if outcome.frames.len() > 3 {
            self.end("many branches");
        }
    }

    /// This came of packets and updates, and so many frames were sent.
    pub(crate) fn outcome(&mut self, outcome: &Outcome, sent: usize) {
        self.frames += sent as u64;
        outcome.ends.iter().for_each(|end| self.end(end));
        outcome.frames.iter().for_each(|frame| self.frame(frame));
        outcome.local.iter().for_each(|_| self.end("local"));
    }

    fn frame(&mut self, frame: &Frame) {
        let marks = &frame.marks;
        self.end(match marks.labels.len() {
            0 if marks.is_error => "error",
            0 => "plain",
            1 if marks.is_error => "error in a tunnel",
            1 => "in a tunnel",
            _ => "in two tunnels",
        });
        if marks.fragment.is_some() {
            self.end("fragment");
        }
        if marks.is_registered {
            self.end(if marks.fragment.is_some() { "in a register message, cut" } else { "in a register message" });
        }
        if marks.was_registered {
            self.end("out of a register message");
        }
        if marks.sequence.is_some() {
            self.end("numbered");
        }
        if marks.train.is_some() {
            self.end("in a row");
        }
        if frame.port >= 64 {
            self.end("by a port beyond the first word");
        }
    }

    pub(crate) fn end(&mut self, end: &'static str) {
        *self.ends.entry(end).or_default() += 1;
    }

    pub(crate) fn peak(&mut self, sizes: &[(&'static str, usize)]) {
        for &(table, size) in sizes {
            let peak = self.peaks.entry(table).or_default();
            *peak = size.max(*peak);
        }
    }

    /// Everything was there, and often, in so many rounds.
    pub(crate) fn assert_is_plausible(&self, rounds: u64) {
        assert!(rounds < 2 || self.by_second >= 5_000 * (rounds / 2), "the second has sent on {}", self.by_second);
        let at_least = |what: &dyn core::fmt::Debug, count: u64, least: u64| {
            assert!(count >= least * rounds, "{what:?}: {count} in {rounds} rounds, and not {least} each");
        };
        at_least(&"packets", self.packets, 100_000);
        at_least(&"updates", self.updates, 300_000);
        at_least(&"frames", self.frames, 30_000);
        assert!(self.unknown * 200 < self.drawn, "{} of {} are not modelled", self.unknown, self.drawn);
        for (kind, _) in Kind::ALL {
            at_least(&kind, self.kinds.get(&kind).copied().unwrap_or(0), 500);
        }
        for (end, least) in ENDS {
            at_least(&end, self.ends.get(end).copied().unwrap_or(0), least);
        }
        if rounds >= MANY_ROUNDS {
            for end in SELDOM {
                assert!(self.ends.contains_key(end), "{end} was not seen in {rounds} rounds");
            }
        }
        for (table, least) in PEAKS {
            assert!(self.peaks[table] >= least, "{table} had {} entries at the most", self.peaks[table]);
        }
    }

    pub(crate) fn add(&mut self, other: Tally) {
        self.updates += other.updates;
        self.packets += other.packets;
        self.drawn += other.drawn;
        self.unknown += other.unknown;
        self.frames += other.frames;
        self.notices += other.notices;
        self.by_second += other.by_second;
        other.kinds.into_iter().for_each(|(kind, count)| *self.kinds.entry(kind).or_default() += count);
        other.ends.into_iter().for_each(|(end, count)| *self.ends.entry(end).or_default() += count);
        self.peak(&other.peaks.into_iter().collect::<Vec<_>>());
    }
}
