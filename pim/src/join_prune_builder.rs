//! Packs joins and prunes into as few Join/Prune messages as a link's MTU allows (RFC 7761 §4.9.5.2).

use crate::rpf::LinkNeighbor;
use crate::wire::{
    EncodedGroup, EncodedSource, GROUP_SET_LEN, GroupSet, HEADER_LEN, JOIN_PRUNE_LEN, JoinPrune, MAX_GROUP_SETS,
    SOURCE_LEN,
};
use core::net::Ipv6Addr;
use stack::addr;
use stack::tables::MrouteKey;
use stack::wire::ipv6;
use std::collections::BTreeMap;

/// What is asked of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    Join,
    Prune,
}

/// The requests for one neighbour, by group, then source: the unspecified address is (*,G).
pub(crate) type Requests = BTreeMap<(Ipv6Addr, Ipv6Addr), Request>;

/// Requests that wait for the end of the present call. Of two for the same (S,G) the last counts: a message must not hold
/// both (RFC 7761 §4.9.5.1).
#[derive(Debug, Default)]
pub(crate) struct JoinPruneBuilder {
    /// In the order in which the neighbours were first asked, which is not many at a time.
    waiting: Vec<(LinkNeighbor, Requests)>,
}

impl JoinPruneBuilder {
    pub(crate) fn add(&mut self, to: LinkNeighbor, key: MrouteKey, request: Request) {
        let index = self.waiting.iter().position(|(neighbor, _)| *neighbor == to).unwrap_or_else(|| {
            self.waiting.push((to, Requests::new()));
            self.waiting.len() - 1
        });
        self.waiting[index].1.insert((key.group, key.source), request);
    }

    /// Takes all that waits.
    pub(crate) fn take(&mut self) -> Vec<(LinkNeighbor, Requests)> {
        core::mem::take(&mut self.waiting)
    }
}

/// Octets that a message's body has on a link with this MTU.
fn room(mtu: usize) -> usize {
    mtu.max(ipv6::MINIMUM_MTU) - ipv6::HEADER_LEN - HEADER_LEN
}

/// How many joins of one source to a group each fill a packet.
pub(crate) fn joins_per_packet(mtu: usize) -> usize {
    ((room(mtu) - JOIN_PRUNE_LEN) / (GROUP_SET_LEN + SOURCE_LEN)).min(MAX_GROUP_SETS)
}

/// The messages that carry these requests, each as full as can be.
pub(crate) fn pack(upstream_neighbor: Ipv6Addr, holdtime: u16, mtu: usize, requests: &Requests) -> Vec<JoinPrune> {
    let room = room(mtu);
    let empty = || JoinPrune { upstream_neighbor, holdtime, groups: Vec::new() };
    let mut messages = Vec::new();
    let (mut filling, mut length) = (empty(), JOIN_PRUNE_LEN);
    for (&(group, source), &request) in requests {
        let source = if source.is_unspecified() {
            // Only groups that name their rendezvous point come to have a (*,G).
            let Ok(rendezvous_point) = addr::embedded_rp(group) else { continue };
            EncodedSource::rendezvous_point(rendezvous_point)
        } else {
            EncodedSource::host(source)
        };
        let continues = filling.groups.last().is_some_and(|set| set.group.address == group);
        let needed = if continues { SOURCE_LEN } else { GROUP_SET_LEN + SOURCE_LEN };
        if length + needed > room || (!continues && filling.groups.len() == MAX_GROUP_SETS) {
            messages.push(core::mem::replace(&mut filling, empty()));
            length = JOIN_PRUNE_LEN;
        }
        if filling.groups.last().is_none_or(|set| set.group.address != group) {
            filling.groups.push(GroupSet { group: EncodedGroup::host(group), joined: Vec::new(), pruned: Vec::new() });
            length += GROUP_SET_LEN;
        }
        let Some(set) = filling.groups.last_mut() else { continue };
        match request {
            Request::Join => set.joined.push(source),
            Request::Prune => set.pruned.push(source),
        }
        length += SOURCE_LEN;
    }
    if !filling.is_empty() {
        messages.push(filling);
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(groups: u16, sources: u16) -> Requests {
        let mut requests = Requests::new();
        for group in 0..groups {
            for source in 0..sources {
                let request = if (group + source) % 3 == 0 { Request::Prune } else { Request::Join };
                let key =
                    (Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, group), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, source));
                requests.insert(key, request);
            }
        }
        requests
    }

    #[test]
    fn messages_are_full_and_say_everything_once() {
        for mtu in [0, 1280, 1500, 9000] {
            for (groups, sources) in [(1, 1), (1, 1000), (26, 1), (27, 1), (28, 1), (300, 1), (700, 1), (40, 7)] {
                let requests = requests(groups, sources);
                let messages = pack(Ipv6Addr::LOCALHOST, 210, mtu, &requests);
                let mut said = Requests::new();
                let mut left = requests.len();
                for (index, message) in messages.iter().enumerate() {
                    assert!(message.len() <= room(mtu) && message.groups.len() <= MAX_GROUP_SETS);
                    if index + 1 < messages.len() {
                        let full = message.len() + GROUP_SET_LEN + SOURCE_LEN > room(mtu);
                        assert!(full || message.groups.len() == MAX_GROUP_SETS, "mtu {mtu}, {groups} by {sources}");
                    }
                    for set in &message.groups {
                        assert!(!set.joined.is_empty() || !set.pruned.is_empty());
                        let joined = set.joined.iter().map(|s| (s, Request::Join));
                        for (source, request) in joined.chain(set.pruned.iter().map(|s| (s, Request::Prune))) {
                            assert_eq!(said.insert((set.group.address, source.address), request), None);
                            left -= 1;
                        }
                    }
                }
                assert_eq!((said, left), (requests, 0));
            }
        }
    }

    #[test]
    fn one_packet_of_joins() {
        assert_eq!(joins_per_packet(1280), 27);
        assert_eq!(joins_per_packet(1500), 32);
        assert_eq!(pack(Ipv6Addr::LOCALHOST, 210, 1500, &requests(32, 1)).len(), 1);
        assert_eq!(pack(Ipv6Addr::LOCALHOST, 210, 1500, &requests(33, 1)).len(), 2);
        assert_eq!(joins_per_packet(65_535), MAX_GROUP_SETS);
    }

    #[test]
    fn the_last_request_counts() {
        let mut builder = JoinPruneBuilder::default();
        let to = LinkNeighbor { port: stack::machine::PortId(0), address: Ipv6Addr::LOCALHOST };
        let key = MrouteKey { source: Ipv6Addr::LOCALHOST, group: Ipv6Addr::LOCALHOST };
        builder.add(to, key, Request::Join);
        builder.add(to, key, Request::Prune);
        let taken = builder.take();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].1.values().collect::<Vec<_>>(), [&Request::Prune]);
        assert!(builder.take().is_empty());
    }
}
