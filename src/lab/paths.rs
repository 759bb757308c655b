//! The ways that programs' packets took, as the headers around them tell: forwarded by the agent of a site that was left,
//! straight to the care-of address, and past the border of a site.

use super::observe::{Form, PacketSeen, Wire};
use crate::config::lab::{Endpoint, Lab, LinkIndex, NodeIndex};
use crate::config::resolved::{CareOfMode, MmaConfig};
use ::mma::Anchor;
use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// The packets of a run and what the lab file says of the addresses on them.
pub(super) struct Paths<'a> {
    lab: &'a Lab,
    wire: &'a Wire,
    /// By the number of a form.
    forms: Vec<&'a Form>,
    /// By the number of a form: who forwards where.
    forwarding: Vec<Option<(NodeIndex, Ipv6Addr)>>,
}

impl<'a> Paths<'a> {
    pub(super) fn new(lab: &'a Lab, wire: &'a Wire) -> Self {
        let mut forms: Vec<(&u32, &Form)> = wire.forms().iter().map(|(form, number)| (number, form)).collect();
        forms.sort_unstable_by_key(|(number, _)| **number);
        let forms: Vec<&Form> = forms.into_iter().map(|(_, form)| form).collect();
        let forwarding = forms.iter().map(|form| forwarder(lab, form)).collect();
        Paths { lab, wire, forms, forwarding }
    }

    /// How many packets agents sent on to another agent, or home, each counted once.
    pub(super) fn forwarded(&self, from: Instant, until: Instant) -> u64 {
        let forwarded = self.wire.packets_between(from, until).iter().filter(|packet| self.is_forwarded(packet));
        forwarded.map(|packet| packet.identity).collect::<BTreeSet<u64>>().len() as u64
    }

    /// When the last packet was forwarded in this time.
    pub(super) fn last_forwarded(&self, from: Instant, until: Instant) -> Option<Instant> {
        let packets = self.wire.packets_between(from, until);
        packets.iter().rev().find(|packet| self.is_forwarded(packet)).map(|packet| packet.at)
    }

    /// How many packets two agents forwarded, or one to two places. What its source has sent again, as TCP does, may be
    /// forwarded again: a packet may have taken as many ways at any time as it had been sent until then.
    pub(super) fn forwarded_twice(&self) -> u64 {
        #[derive(Default)]
        struct Story {
            sent: usize,
            ways: BTreeSet<(NodeIndex, Ipv6Addr)>,
            twice: bool,
        }
        let origins = self.origins();
        let mut stories = BTreeMap::<u64, Story>::new();
        for packet in self.wire.packets_between(Instant::ORIGIN, Instant::from_nanos(u64::MAX)) {
            if let Some(way) = self.forwarding[packet.form as usize] {
                let story = stories.entry(packet.identity).or_default();
                story.ways.insert(way);
                story.twice |= story.ways.len() > story.sent.max(1);
            } else if self.is_sent(packet, &origins) {
                stories.entry(packet.identity).or_default().sent += 1;
            }
        }
        stories.values().filter(|story| story.twice).count() as u64
    }

    /// Where packets of programs begin their way: at every link of their endpoint, with its address.
    fn origins(&self) -> BTreeSet<(LinkIndex, Ipv6Addr)> {
        let ends = self.lab.flows.iter().flat_map(|flow| [flow.from, flow.to]);
        let links = |end| match end {
            Endpoint::Host(_) => self.lab.first_link_of(end).into_iter().collect(),
            Endpoint::Node(node) => self.lab.nodes[node.0].links.iter().flatten().copied().collect::<Vec<_>>(),
        };
        ends.flat_map(|end| links(end).into_iter().map(move |link| (link, self.lab.address_of(end)))).collect()
    }

    /// Whether a packet is seen where its source sends it. On a link of hosts a packet in a tunnel is one that somebody
    /// else sends on; a terminal has tunnels of its own.
    fn is_sent(&self, packet: &PacketSeen, origins: &BTreeSet<(LinkIndex, Ipv6Addr)>) -> bool {
        let form = self.forms[packet.form as usize];
        let source = form.home_address_option.unwrap_or(form.inner.unwrap_or(form.outer).0);
        let of_terminal = || self.lab.terminals().any(|t| self.lab.address_of(Endpoint::Node(t)) == source);
        origins.contains(&(packet.link, source)) && (form.inner.is_none() || of_terminal())
    }

    fn is_forwarded(&self, packet: &PacketSeen) -> bool {
        self.forwarding[packet.form as usize].is_some()
    }

    /// Of the packets that were sent to a terminal's programs, how many in a hundred went straight to its care-of
    /// address; `None` where nothing was sent.
    pub(super) fn optimised_percent(&self, terminal: NodeIndex, from: Instant, until: Instant) -> Option<u8> {
        let home_address = self.lab.address_of(Endpoint::Node(terminal));
        let flows = self.lab.flows.iter().filter(|flow| flow.to == Endpoint::Node(terminal));
        let sources: BTreeSet<(LinkIndex, Ipv6Addr)> = flows
            .filter_map(|flow| Some((self.lab.first_link_of(flow.from)?, self.lab.address_of(flow.from))))
            .collect();
        let (mut all, mut optimised) = (0_u64, 0_u64);
        for packet in self.wire.packets_between(from, until) {
            let form = self.forms[packet.form as usize];
            if form.inner.is_some() || !sources.contains(&(packet.link, form.outer.0)) {
                continue;
            }
            let straight = form.routing_header == Some(home_address);
            all += u64::from(straight || form.outer.1 == home_address);
            optimised += u64::from(straight);
        }
        // Of so many packets, a hundred times as many can be counted.
        (all > 0).then(|| (optimised * 100 / all) as u8)
    }

    /// The headers of packets outside of a site that were there from `moved` to `until` and not from `before` to `moved`.
    pub(super) fn new_outside(
        &self,
        site: Option<&str>,
        before: Instant,
        moved: Instant,
        until: Instant,
    ) -> BTreeSet<(LinkIndex, Form)> {
        let outside = |from, until| -> BTreeSet<(LinkIndex, u32)> {
            let packets = self.wire.packets_between(from, until).iter();
            let outside = packets.filter(|packet| self.lab.links[packet.link.0].site.as_deref() != site);
            outside.map(|packet| (packet.link, packet.form)).collect()
        };
        let known = outside(before, moved);
        let new = outside(moved, until);
        new.difference(&known).map(|&(link, form)| (link, *self.forms[form as usize])).collect()
    }

    /// How long after the beginning of this time packets were still forwarded.
    pub(super) fn forwarding_lasts(&self, from: Instant, until: Instant) -> Duration {
        self.last_forwarded(from, until).map_or(Duration::ZERO, |last| last.since(from))
    }
}

/// Who forwards a packet of this form, and where to: from a care-of address of one agent to that of another, or to a
/// terminal's home address; from an anchor point to where its site has no access link (RFC 5380 §8).
fn forwarder(lab: &Lab, form: &Form) -> Option<(NodeIndex, Ipv6Addr)> {
    form.inner?;
    let (source, destination) = form.outer;
    if let Some((anchor, mma)) = anchor_at(lab, source) {
        let elsewhere = !destination.is_multicast() && !mma.access_prefixes.iter().any(|p| p.contains(destination));
        return elsewhere.then_some((anchor, destination));
    }
    let from = agent_of(lab, source)?;
    let to_another = agent_of(lab, destination).is_some_and(|to| to != from);
    let to_home = lab.terminals().any(|terminal| lab.address_of(Endpoint::Node(terminal)) == destination);
    (to_another || to_home).then_some((from, destination))
}

/// The anchor point whose address this is.
fn anchor_at(lab: &Lab, address: Ipv6Addr) -> Option<(NodeIndex, &MmaConfig)> {
    let agents = lab.nodes.iter().enumerate().filter_map(|(index, node)| Some((index, node.config.mma.as_ref()?)));
    let mut anchors = agents.filter(|(_, mma)| mma.address == address && matches!(mma.anchor, Anchor::Prefix(_)));
    anchors.next().map(|(index, mma)| (NodeIndex(index), mma))
}

/// The agent whose care-of address this is.
pub(super) fn agent_of(lab: &Lab, address: Ipv6Addr) -> Option<NodeIndex> {
    let owns = |care_of: CareOfMode| match care_of {
        CareOfMode::Assigned(prefix) | CareOfMode::Stateless(prefix) => prefix.contains(address),
        CareOfMode::Shared(shared) => shared == address,
    };
    let agents = lab.nodes.iter().enumerate();
    let mut agents = agents.filter(|(_, node)| node.config.mma.as_ref().is_some_and(|mma| owns(mma.care_of)));
    agents.next().map(|(index, _)| NodeIndex(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lab::load_lab;
    use stack::wire::build::PacketBuilder;
    use stack::wire::ipv6::protocol;
    use std::path::Path;

    /// A TCP segment that is sent by its source, or forwarded by an agent to an address, at these milliseconds.
    fn forwarded_twice(story: &[(u64, Option<(&str, &str)>)]) -> u64 {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/lab/fig6.toml");
        let lab = load_lab(&file).expect("a shipped lab");
        let flow = lab.flows.iter().find(|flow| matches!(flow.to, Endpoint::Node(_))).expect("a flow to the terminal");
        let link = lab.first_link_of(flow.from).expect("a link");
        let elsewhere = (0..lab.links.len()).map(LinkIndex).find(|&other| other != link).expect("another");
        let segment = [&[0x13, 0x89, 0x13, 0x8a, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0x10, 0, 0, 0, 0, 0][..], b"data"];
        let segment = PacketBuilder::new(lab.address_of(flow.from), lab.address_of(flow.to)).checksummed(
            protocol::TCP,
            segment.concat(),
            16,
        );
        let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address");
        let mut wire = Wire::default();
        for &(millis, forwarding) in story {
            let (link, packet) = match forwarding {
                None => (link, segment.clone()),
                Some((agent, to)) => {
                    let outer = PacketBuilder::new(address(agent), address(to));
                    (elsewhere, outer.payload(protocol::IPV6, &segment))
                }
            };
            let frame = [&[0; 12][..], &[0x86, 0xdd], &packet].concat();
            wire.note(Instant::from_millis(millis), link, &frame);
        }
        assert!(wire.malformed().is_empty() && wire.frames() == story.len() as u64);
        let paths = Paths::new(&lab, &wire);
        assert_eq!(paths.forwarded(Instant::ORIGIN, Instant::from_secs(1)), 1);
        paths.forwarded_twice()
    }

    #[test]
    fn what_is_sent_again_may_be_forwarded_again() {
        let first = Some(("2001:db8:200:c0a::1", "2001:db8:300:c0a::1"));
        let second = Some(("2001:db8:300:c0a::1", "2001:db8:100:c0a::1"));
        let home = Some(("2001:db8:200:c0a::1", "2001:db8:100:1::55"));
        // On two links of one way, and once more when the source has sent it once more.
        assert_eq!(forwarded_twice(&[(0, None), (5, first), (6, first)]), 0);
        assert_eq!(forwarded_twice(&[(0, None), (5, first), (200, None), (205, second)]), 0);
        // By two agents, by one to two places; although it is sent again later.
        assert_eq!(forwarded_twice(&[(0, None), (5, first), (9, second)]), 1);
        assert_eq!(forwarded_twice(&[(0, None), (5, first), (9, home)]), 1);
        assert_eq!(forwarded_twice(&[(0, None), (5, first), (9, home), (200, None), (205, home)]), 1);
        assert_eq!(forwarded_twice(&[(0, None), (5, first), (200, None), (205, second), (209, home)]), 1);
        // Nobody has seen it being sent.
        assert_eq!(forwarded_twice(&[(5, first), (9, second)]), 1);
    }

    #[test]
    fn agents_forward_to_other_sites_and_home() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/lab/baselines.toml");
        let lab = load_lab(&file).expect("a shipped lab");
        let mma1 = lab.nodes.iter().position(|node| node.name == "mma1").map(NodeIndex);
        let by_mma1 = |source: &str, destination: &str| {
            let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address");
            let inner = (address("2001:db8:c::10"), address("2001:db8:100:1::55"));
            let outer = (address(source), address(destination));
            let form = Form { outer, inner: Some(inner), home_address_option: None, routing_header: None };
            let by = forwarder(&lab, &form);
            assert!(by.is_none_or(|(by, to)| Some(by) == mma1 && to == outer.1), "{by:?}");
            assert_eq!(forwarder(&lab, &Form { inner: None, ..form }), None, "in no tunnel");
            by.is_some()
        };
        // Between care-of addresses of two agents, and to the home address.
        assert!(by_mma1("2001:db8:200:c0a::1", "2001:db8:300:c0a::1"));
        assert!(by_mma1("2001:db8:200:c0a::1", "2001:db8:100:1::55"));
        assert!(!by_mma1("2001:db8:200:c0a::1", "2001:db8:200:c0a::2"));
        assert!(!by_mma1("2001:db8:100:1::1", "2001:db8:200:c0a::1"), "the home agent's tunnel");
        // From an anchor point to an access link of another site, and not to one of its own, nor to a group.
        assert!(by_mma1("2001:db8:200::1", "2001:db8:300:c::55"));
        assert!(!by_mma1("2001:db8:200::1", "2001:db8:200:a::55"));
        assert!(!by_mma1("2001:db8:200::1", "ff35::200:5eff:fe10:55"));
        assert!(!by_mma1("2001:db8:200:a::55", "2001:db8:200::1"), "a terminal's own tunnel");
    }
}
