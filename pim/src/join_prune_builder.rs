//! Packs joins and prunes into as few Join/Prune messages as a link's MTU allows (RFC 7761 §4.9.5.2).

use crate::rpf::LinkNeighbor;
use crate::wire::{
    EncodedGroup, EncodedSource, GROUP_SET_LEN, GroupSet, HEADER_LEN, JOIN_PRUNE_LEN, JoinPrune, MAX_GROUP_SETS,
    SOURCE_LEN,
};
use core::net::Ipv6Addr;
use stack::tables::MrouteKey;
use stack::wire::ipv6;
use std::collections::BTreeMap;

/// What is asked of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    Join,
    Prune,
}

/// What is asked for, of one group. In the order in which a message is filled: what must not be split comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Subject {
    /// (*,G)
    Any,
    /// (S,G,rpt)
    Rpt(Ipv6Addr),
    /// (S,G)
    Source(Ipv6Addr),
}

/// The requests for one neighbour, by group, then subject.
pub(crate) type Requests = BTreeMap<(Ipv6Addr, Subject), Request>;

/// Requests that wait for the end of the present call. Of two for the same subject the last counts: a message must not hold
/// both (RFC 7761 §4.9.5.1).
#[derive(Debug, Default)]
pub(crate) struct JoinPruneBuilder {
    /// In the order in which the neighbours were first asked, which is not many at a time.
    waiting: Vec<(LinkNeighbor, Requests)>,
}

impl JoinPruneBuilder {
    /// Of an (S,G), or of a (*,G), whose source is unspecified.
    pub(crate) fn add(&mut self, to: LinkNeighbor, key: MrouteKey, request: Request) {
        let subject = if key.source.is_unspecified() { Subject::Any } else { Subject::Source(key.source) };
        self.add_subject(to, key.group, subject, request);
    }

    /// Of an (S,G,rpt).
    pub(crate) fn add_rpt(&mut self, to: LinkNeighbor, key: MrouteKey, request: Request) {
        self.add_subject(to, key.group, Subject::Rpt(key.source), request);
    }

    fn add_subject(&mut self, to: LinkNeighbor, group: Ipv6Addr, subject: Subject, request: Request) {
        let index = self.waiting.iter().position(|(neighbor, _)| *neighbor == to).unwrap_or_else(|| {
            self.waiting.push((to, Requests::new()));
            self.waiting.len() - 1
        });
        self.waiting[index].1.insert((group, subject), request);
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

/// The messages that carry these requests, each as full as can be. `named` is the rendezvous point that a request of (*,G)
/// names.
///
/// A Join(*,G) and the Prunes(S,G,rpt) that go with it are in one message; where that has no room for all of them, those of
/// the lowest sources (§4.9.5.2).
pub(crate) fn pack(
    upstream_neighbor: Ipv6Addr,
    holdtime: u16,
    mtu: usize,
    requests: &Requests,
    named: impl Fn(Ipv6Addr, Request) -> Ipv6Addr,
) -> Vec<JoinPrune> {
    let room = room(mtu);
    let empty = || JoinPrune { upstream_neighbor, holdtime, groups: Vec::new() };
    let mut messages = Vec::new();
    let (mut filling, mut length) = (empty(), JOIN_PRUNE_LEN);
    let most_together = (room - JOIN_PRUNE_LEN - GROUP_SET_LEN) / SOURCE_LEN;
    let mut requests = requests.iter().peekable();
    while let Some((&(group, subject), &request)) = requests.next() {
        let is_together = |next: &Subject| subject == Subject::Any && matches!(next, Subject::Rpt(_));
        let mut sources = vec![(encoded(subject, || named(group, request)), request)];
        while let Some((&(_, next), &request)) =
            requests.next_if(|((other, next), _)| *other == group && request == Request::Join && is_together(next))
        {
            if sources.len() < most_together {
                sources.push((encoded(next, || named(group, request)), request));
            }
        }
        let continues = filling.groups.last().is_some_and(|set| set.group.address == group);
        let needed = sources.len() * SOURCE_LEN + if continues { 0 } else { GROUP_SET_LEN };
        if length + needed > room || (!continues && filling.groups.len() == MAX_GROUP_SETS) {
            messages.push(core::mem::replace(&mut filling, empty()));
            length = JOIN_PRUNE_LEN;
        }
        if filling.groups.last().is_none_or(|set| set.group.address != group) {
            filling.groups.push(GroupSet { group: EncodedGroup::host(group), joined: Vec::new(), pruned: Vec::new() });
            length += GROUP_SET_LEN;
        }
        let Some(set) = filling.groups.last_mut() else { continue };
        length += sources.len() * SOURCE_LEN;
        for (source, request) in sources {
            match request {
                Request::Join => set.joined.push(source),
                Request::Prune => set.pruned.push(source),
            }
        }
    }
    if !filling.is_empty() {
        messages.push(filling);
    }
    messages
}

fn encoded(subject: Subject, rendezvous_point: impl Fn() -> Ipv6Addr) -> EncodedSource {
    match subject {
        Subject::Any => EncodedSource::rendezvous_point(rendezvous_point()),
        Subject::Rpt(source) => EncodedSource { rpt: true, ..EncodedSource::host(source) },
        Subject::Source(source) => EncodedSource::host(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_point(_group: Ipv6Addr, _request: Request) -> Ipv6Addr {
        Ipv6Addr::UNSPECIFIED
    }

    /// A Join(*,G) stands in one message with its Prunes(S,G,rpt), as many as have room, lowest sources first; what else
    /// there is of the group need not.
    #[test]
    fn a_shared_tree_is_not_split() {
        let group = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);
        let source = |number: u16| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number);
        for (others, pruned, joined, messages) in [(30, 5, 40, 2), (0, 80, 0, 1), (0, 10, 60, 2), (20, 60, 0, 2)] {
            let mut wanted = requests(others, 1);
            wanted.insert((group, Subject::Any), Request::Join);
            wanted.extend((0..pruned).map(|number| ((group, Subject::Rpt(source(number))), Request::Prune)));
            wanted.extend((0..joined).map(|number| ((group, Subject::Source(source(number))), Request::Join)));
            let packed = pack(Ipv6Addr::LOCALHOST, 210, 1500, &wanted, |_, _| source(99));
            assert_eq!(packed.len(), messages, "{others} {pruned} {joined}");
            assert!(packed.iter().all(|message| message.len() <= room(1500)));
            let sets = packed.iter().flat_map(|message| &message.groups).filter(|set| set.group.address == group);
            let together: Vec<_> = sets.filter(|set| set.joined.iter().any(|source| source.wildcard)).collect();
            let [set] = together[..] else { panic!("{together:?}") };
            assert_eq!(set.joined[0], EncodedSource::rendezvous_point(source(99)));
            let most = (room(1500) - JOIN_PRUNE_LEN - GROUP_SET_LEN) / SOURCE_LEN - 1;
            let expected = (0..pruned.min(most as u16)).map(source);
            assert!(set.pruned.iter().map(|source| source.address).eq(expected));
            assert!(set.pruned.iter().all(|source| source.rpt && !source.wildcard));
        }
    }

    fn requests(groups: u16, sources: u16) -> Requests {
        let mut requests = Requests::new();
        for group in 0..groups {
            for source in 0..sources {
                let request = if (group + source) % 3 == 0 { Request::Prune } else { Request::Join };
                let group = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, group);
                let source = Subject::Source(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, source));
                requests.insert((group, source), request);
            }
        }
        requests
    }

    #[test]
    fn messages_are_full_and_say_everything_once() {
        for mtu in [0, 1280, 1500, 9000] {
            for (groups, sources) in [(1, 1), (1, 1000), (26, 1), (27, 1), (28, 1), (300, 1), (700, 1), (40, 7)] {
                let requests = requests(groups, sources);
                let messages = pack(Ipv6Addr::LOCALHOST, 210, mtu, &requests, no_point);
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
                            assert_eq!(
                                said.insert((set.group.address, Subject::Source(source.address)), request),
                                None
                            );
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
        assert_eq!(pack(Ipv6Addr::LOCALHOST, 210, 1500, &requests(32, 1), no_point).len(), 1);
        assert_eq!(pack(Ipv6Addr::LOCALHOST, 210, 1500, &requests(33, 1), no_point).len(), 2);
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
