//! What must hold of every run, whatever it was about. Each check reads the capture, not the nodes' own counters, and
//! answers with what it found wrong: nothing where all is well.
//!
//! That no node loses frames is [`super::Network::unaccounted_frames`]; that nothing is delivered twice is
//! [`crate::host::Summary::duplicated`].

use super::capture::{Capture, Captured};
use super::link::LinkId;
use super::node::NodeId;
use crate::addr::Scope;
use crate::inspect::{Class, Kind};
use crate::time::Instant;
use core::fmt;
use core::net::Ipv6Addr;
use std::collections::{BTreeMap, BTreeSet};

/// Something that must not be, seen on a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// When.
    pub at: Instant,
    /// Where.
    pub link: LinkId,
    /// Who sent the frame.
    pub from: NodeId,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} link {} node {}: {}", self.at, self.link.0, self.from.0, self.what)
    }
}

impl Captured {
    fn finding(&self, what: String) -> Finding {
        Finding { at: self.at, link: self.link, from: self.from, what }
    }
}

/// Packets to groups of `scope` on links that are not `inside` its zone (RFC 4007 §9).
pub fn scope_leaks(capture: &Capture, scope: Scope, inside: impl Fn(LinkId) -> bool) -> Vec<Finding> {
    let outside = capture.frames().iter().filter(|captured| !inside(captured.link));
    outside
        .filter_map(|captured| {
            let description = captured.describe();
            let group = description.groups_of_scope(scope).next()?;
            Some(captured.finding(format!("group {group} outside its zone: {description}")))
        })
        .collect()
}

/// Messages that do not hold.
pub fn malformed(capture: &Capture) -> Vec<Finding> {
    let described = capture.frames().iter().map(|captured| (captured, captured.describe()));
    described
        .filter(|(_, description)| matches!(description.kind, Kind::Malformed { .. }))
        .map(|(captured, description)| captured.finding(description.to_string()))
        .collect()
}

/// Packets that one node sent on one link with more than `passes` different hop limits: they went round. Packets that
/// were sent again by their source, or copied by a link, come with the hop limit that they had.
pub fn loops(capture: &Capture, passes: usize) -> Vec<Finding> {
    let mut seen: BTreeMap<(LinkId, NodeId, u64), BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut findings = Vec::new();
    for captured in capture.frames() {
        let description = captured.describe();
        if description.class() != Class::Data {
            continue;
        }
        let limits = description.layers.iter().map(|layer| layer.header.hop_limit).collect();
        let key = (captured.link, captured.from, description.fingerprint(&captured.frame));
        let passed = seen.entry(key).or_default();
        if passed.insert(limits) && passed.len() == passes + 1 {
            findings.push(captured.finding(format!("went round more than {passes} times: {description}")));
        }
    }
    findings
}

/// Data packets to `destination` on the link `arrival` that were never on the link `origin`: something on the way has
/// changed them. Hop limit and ECN may change.
pub fn altered(capture: &Capture, destination: Ipv6Addr, origin: LinkId, arrival: LinkId) -> Vec<Finding> {
    let data = |link| {
        let described = capture.on(link).map(|captured| (captured, captured.describe()));
        described.filter(|(_, description)| {
            description.class() == Class::Data
                && description.inner().is_some_and(|layer| layer.header.destination == destination)
        })
    };
    let known: BTreeSet<u64> =
        data(origin).map(|(captured, description)| description.fingerprint(&captured.frame)).collect();
    data(arrival)
        .filter(|(captured, description)| !known.contains(&description.fingerprint(&captured.frame)))
        .map(|(captured, description)| captured.finding(format!("not as it was sent: {description}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::PortId;
    use crate::port::Medium;
    use crate::wire::build::PacketBuilder;
    use crate::wire::ipv6::protocol;

    const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 1);

    fn capture(frames: &[(usize, Vec<u8>)]) -> Capture {
        let mut capture = Capture::default();
        for (link, frame) in frames {
            capture.record(Captured {
                at: Instant::ORIGIN,
                link: LinkId(*link),
                medium: Medium::Ip,
                from: NodeId(0),
                port: PortId(0),
                copies: 1,
                frame: frame.as_slice().into(),
                described: Default::default(),
            });
        }
        capture
    }

    fn echo(hop_limit: u8, sequence: u8) -> Vec<u8> {
        PacketBuilder::new(A, B).hop_limit(hop_limit).icmpv6(128, 0, &[0, 1, 0, sequence])
    }

    fn tunnel(hop_limit: u8, inner: &[u8]) -> Vec<u8> {
        PacketBuilder::new(B, GROUP).hop_limit(hop_limit).payload(protocol::IPV6, inner)
    }

    #[test]
    fn a_group_outside_its_zone() {
        let capture = capture(&[(0, tunnel(9, &echo(9, 1))), (1, tunnel(8, &echo(9, 1))), (1, echo(9, 1))]);
        let findings = scope_leaks(&capture, Scope::SITE_LOCAL, |link| link == LinkId(0));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].link, LinkId(1));
        assert!(scope_leaks(&capture, Scope::SITE_LOCAL, |_| true).is_empty());
        assert!(scope_leaks(&capture, Scope::GLOBAL, |_| false).is_empty());
    }

    #[test]
    fn a_packet_that_goes_round() {
        let plain: Vec<_> = (0..4).map(|pass| (0, echo(60 - pass, 1))).collect();
        assert_eq!(loops(&capture(&plain), 2).len(), 1);
        assert_eq!(loops(&capture(&plain), 3).len(), 1);
        assert!(loops(&capture(&plain), 4).is_empty());
        // The outer header alone goes down where nobody takes it off.
        let outer: Vec<_> = (0..4).map(|pass| (0, tunnel(60 - pass, &echo(60, 1)))).collect();
        assert_eq!(loops(&capture(&outer), 2).len(), 1);
        let again: Vec<_> = (0..9).map(|_| (0, echo(60, 1))).collect();
        assert!(loops(&capture(&again), 1).is_empty());
        let others: Vec<_> = (0..9).map(|n| (0, echo(60 - n, n))).collect();
        assert!(loops(&capture(&others), 1).is_empty());
    }

    #[test]
    fn a_packet_that_was_changed() {
        let mut changed = echo(50, 2);
        changed[7] = 1;
        let capture = capture(&[
            (0, echo(64, 1)),
            (0, echo(64, 2)),
            (1, tunnel(64, &echo(62, 1))),
            (1, changed),
            (1, echo(62, 3)),
            (1, PacketBuilder::new(B, A).icmpv6(129, 0, &[0; 4])),
        ]);
        let findings = altered(&capture, B, LinkId(0), LinkId(1));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.ends_with("echo request 1 3"), "{}", findings[0].what);
    }

    #[test]
    fn a_checksum_that_does_not_hold() {
        let mut broken = echo(64, 1);
        broken[42] ^= 1;
        let findings = malformed(&capture(&[(0, echo(64, 1)), (0, broken)]));
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].to_string().ends_with("malformed protocol 58: checksum wrong at octet 42"),
            "{}",
            findings[0]
        );
    }
}
