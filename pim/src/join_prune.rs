//! Join/Prune messages that come in (RFC 7761 §4.5): what they say to us, and what we see others say to others.

use crate::assert::AssertEvent;
use crate::config::{self, LinkKind};
use crate::downstream::DownstreamEvent;
use crate::instance::Router;
use crate::join_prune_builder::Request;
use crate::rpf::LinkNeighbor;
use crate::sg_rpt::{RptDownstreamEvent, RptUpstreamEvent};
use crate::tib::any_source_key;
use crate::upstream::UpstreamEvent;
use crate::wire::{EncodedSource, GroupSet, JoinPrune};
use core::net::Ipv6Addr;
use stack::addr;
use stack::machine::PortId;
use stack::tables::MrouteKey;
use stack::time::Instant;
use std::collections::BTreeSet;

/// What another router sent to another one.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Join { holdtime: u16 },
    Prune,
}

/// What an entry of a source list is about.
#[derive(Clone, Copy, Debug)]
enum ListEntry {
    /// An (S,G) or (*,G).
    Tree(MrouteKey),
    /// An (S,G,rpt).
    Rpt(MrouteKey),
}

impl Router {
    /// A Join/Prune message: to us it feeds the downstream machines (§4.5.2), to another router the upstream ones
    /// (§4.5.5).
    pub(crate) fn handle_join_prune(&mut self, now: Instant, port: PortId, source: Ipv6Addr, message: &JoinPrune) {
        self.counters.rx_join_prune += 1;
        let Some(interface) = self.interfaces.get(&port) else { return };
        if !interface.neighbors.contains_key(&source) {
            self.counters.drop_unknown_neighbor += 1;
            return;
        }
        let to = message.upstream_neighbor;
        let point_to_point = interface.config.link == LinkKind::PointToPoint;
        let to_us = to == interface.config.link_local || (point_to_point && to.is_unspecified());
        if !to_us && point_to_point {
            return;
        }
        let target = LinkNeighbor { port, address: to };
        let mut temporary = Vec::new();
        for set in &message.groups {
            if !self.is_group_accepted(set) {
                self.counters.drop_group += 1;
            } else if to_us && self.is_filtered(port, set.group.address) {
                continue;
            } else if to_us {
                self.receive_group_set(now, port, message.holdtime, set, &mut temporary);
            } else {
                let join = Seen::Join { holdtime: message.holdtime };
                for (sources, seen) in [(&set.joined, join), (&set.pruned, Seen::Prune)] {
                    for source in sources {
                        self.see(now, target, set.group.address, source, seen);
                    }
                }
            }
        }
        for key in temporary {
            self.rpt_downstream_event(now, key, port, RptDownstreamEvent::EndOfMessage);
        }
    }

    /// Whether the interface's configuration keeps other routers from joining this group here.
    fn is_filtered(&mut self, port: PortId, group: Ipv6Addr) -> bool {
        let Some(interface) = self.interfaces.get(&port) else { return true };
        if interface.bounds(group) {
            self.counters.drop_boundary += 1;
        } else if !interface.takes_joins(group) {
            self.counters.drop_join_filter += 1;
        } else {
            return false;
        }
        true
    }

    /// A group set for us. The sources whose prunes the end of the message cancels go to `temporary`.
    fn receive_group_set(
        &mut self,
        now: Instant,
        port: PortId,
        holdtime: u16,
        set: &GroupSet,
        temporary: &mut Vec<MrouteKey>,
    ) {
        let group = set.group.address;
        let mut joins_any = false;
        for source in &set.joined {
            match self.list_entry_for_us(group, source, Request::Join) {
                None => {}
                Some(ListEntry::Rpt(key)) => self.rpt_downstream_event(now, key, port, RptDownstreamEvent::ReceiveJoin),
                Some(ListEntry::Tree(key)) => {
                    self.downstream_event(now, key, port, DownstreamEvent::ReceiveJoin { holdtime });
                    if key.source.is_unspecified() {
                        joins_any = true;
                        for key in self.tib.sources_of(group) {
                            if self.step_rpt_downstream(now, key, port, RptDownstreamEvent::ReceiveJoinAny) {
                                temporary.push(key);
                            }
                        }
                    }
                }
            }
        }
        let mut pruned = BTreeSet::new();
        for source in &set.pruned {
            match self.list_entry_for_us(group, source, Request::Prune) {
                None => {}
                Some(ListEntry::Rpt(key)) => {
                    pruned.insert(key);
                    self.rpt_downstream_event(now, key, port, RptDownstreamEvent::ReceivePrune { holdtime });
                }
                Some(ListEntry::Tree(key)) => self.downstream_event(now, key, port, DownstreamEvent::ReceivePrune),
            }
        }
        if joins_any {
            // Whoever joins here takes us for the forwarder of every source that it does not prune (§4.6.5, rule 7).
            for key in self.tib.sources_of(group).into_iter().filter(|key| !pruned.contains(key)) {
                if self.tib.get(key).is_some_and(|entry| entry.asserts().contains_key(&port)) {
                    self.assert_event(now, key, port, AssertEvent::ReceiveJoin, None);
                }
            }
        }
    }

    /// What another router asks of another one than us.
    fn see(&mut self, now: Instant, target: LinkNeighbor, group: Ipv6Addr, source: &EncodedSource, seen: Seen) {
        let key = MrouteKey { source: source.address, group };
        match (source.wildcard, source.rpt, seen) {
            (true, _, Seen::Join { holdtime }) => {
                self.see_upstream(now, target, any_source_key(group), UpstreamEvent::SeeJoin { holdtime });
            }
            // Whoever prunes the group means each source of it (§4.5.5).
            (true, _, Seen::Prune) => {
                self.see_upstream(now, target, any_source_key(group), UpstreamEvent::SeePrune);
                for key in self.tib.sources_of(group) {
                    self.see_upstream(now, target, key, UpstreamEvent::SeePrune);
                }
            }
            (false, true, Seen::Join { .. }) => self.see_rpt(now, target, key, RptUpstreamEvent::SeeJoin),
            (false, false, Seen::Join { holdtime }) => {
                self.see_upstream(now, target, key, UpstreamEvent::SeeJoin { holdtime });
            }
            (false, _, Seen::Prune) => {
                self.see_upstream(now, target, key, UpstreamEvent::SeePrune);
                self.see_rpt(now, target, key, RptUpstreamEvent::SeePrune);
            }
        }
    }

    fn see_upstream(&mut self, now: Instant, target: LinkNeighbor, key: MrouteKey, event: UpstreamEvent) {
        if self.tib.get(key).is_some_and(|entry| entry.upstream_neighbor() == Some(target)) {
            self.upstream_event(now, key, event);
        }
    }

    /// Of a source that goes by the shared tree nothing need be known before another router prunes it.
    fn see_rpt(&mut self, now: Instant, target: LinkNeighbor, key: MrouteKey, event: RptUpstreamEvent) {
        let trees = self.trees(key);
        if !trees.join_desired_any() || trees.rpf_neighbor_sg_rpt() != Some(target) {
            return;
        }
        let is_new = trees.source.is_none();
        if is_new {
            if event != RptUpstreamEvent::SeePrune || !addr::is_routable_unicast(key.source) || !self.ensure_entry(key)
            {
                return;
            }
            self.settle_rpt(now, key);
        }
        self.rpt_upstream_event(now, key, event);
        if is_new {
            self.settle(now, key);
        }
    }

    fn is_group_accepted(&self, set: &GroupSet) -> bool {
        set.group.mask_length == 128 && !set.group.bidirectional && config::is_routable_group(set.group.address)
    }

    /// What a source list entry for us is about; counts what is nothing.
    fn list_entry_for_us(&mut self, group: Ipv6Addr, source: &EncodedSource, request: Request) -> Option<ListEntry> {
        let is_source_wrong = source.mask_length != 128 || source.wildcard && !source.rpt;
        if is_source_wrong || !source.wildcard && !addr::is_routable_unicast(source.address) {
            self.counters.drop_join_prune_source += 1;
            return None;
        }
        let key = MrouteKey { source: source.address, group };
        if !source.rpt {
            return Some(ListEntry::Tree(key));
        }
        match self.rendezvous_point(group) {
            Some(_) if !source.wildcard => Some(ListEntry::Rpt(key)),
            // A prune counts whatever rendezvous point it names (§4.5.1).
            Some(rendezvous_point) if request == Request::Prune || rendezvous_point == source.address => {
                Some(ListEntry::Tree(any_source_key(group)))
            }
            Some(_) => {
                self.counters.drop_rendezvous_point_mismatch += 1;
                None
            }
            None if source.wildcard && request == Request::Prune => Some(ListEntry::Tree(any_source_key(group))),
            None => {
                self.counters.drop_no_rendezvous_point += 1;
                None
            }
        }
    }
}
