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

    /// How many packets two agents forwarded, or one to two places.
    pub(super) fn forwarded_twice(&self) -> u64 {
        let mut by = BTreeMap::<u64, BTreeSet<(NodeIndex, Ipv6Addr)>>::new();
        for packet in self.wire.packets_between(Instant::ORIGIN, Instant::from_nanos(u64::MAX)) {
            if let Some(way) = self.forwarding[packet.form as usize] {
                by.entry(packet.identity).or_default().insert(way);
            }
        }
        by.values().filter(|ways| ways.len() > 1).count() as u64
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
    use std::path::Path;

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
