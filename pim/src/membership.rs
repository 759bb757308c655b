//! What MLD says about members: local_receiver_include and local_receiver_exclude of RFC 7761 §4.1.5.

use crate::config::TerminalMoves;
use crate::instance::{Event, Router, TimerKey};
use crate::interface::Interface;
use crate::mld::{DeliveryChange, LinkRouters, OlderMessage, Querier, Reporter, VersionMismatch};
use crate::tib::Entry;
use core::net::Ipv6Addr;
use stack::machine::{PortId, RxMeta, Via};
use stack::tables::{MrouteKey, PortSet, TableUpdate};
use stack::time::Instant;
use stack::wire::mld::extension::Extensions;
use stack::wire::mld::{self, Refusal};

impl Router {
    pub(crate) fn querier_mut(&mut self, port: PortId) -> Option<&mut Querier> {
        self.interfaces.get_mut(&port)?.mld.as_mut()
    }

    /// An ICMPv6 packet whose message has an MLD type.
    pub(crate) fn handle_mld(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        let port = meta.port;
        let opened = match mld::open(packet) {
            Ok(opened) => opened,
            Err(refusal) => {
                *match refusal {
                    Refusal::Header(_) | Refusal::NotMld => &mut self.counters.drop_mld_header,
                    Refusal::HopLimit => &mut self.counters.drop_mld_hop_limit,
                    Refusal::Source => &mut self.counters.drop_mld_source,
                    Refusal::Unspecified => &mut self.counters.drop_mld_unspecified_source,
                    Refusal::RouterAlert => &mut self.counters.drop_mld_router_alert,
                    Refusal::Checksum => &mut self.counters.drop_mld_checksum,
                } += 1;
                return;
            }
        };
        let Some(interface) = self.interfaces.get_mut(&port) else { return };
        // Nobody else has the router's own address: a loop of the link, or somebody who pretends.
        if opened.source == interface.config.link_local {
            self.counters.drop_mld_source += 1;
            return;
        }
        let routers = if interface.neighbors.is_empty() { LinkRouters::Alone } else { LinkRouters::Several };
        let Some(querier) = &mut interface.mld else {
            self.counters.drop_mld_no_querier += 1;
            return;
        };
        let reporter = Reporter::new(opened.source, meta.link_source);
        let mut moves = None;
        match mld::Message::parse(opened.message) {
            Ok(mld::Message::Query(query)) => {
                self.counters.rx_mld_query += 1;
                querier.handle_query(now, opened.source, &query, &mut self.counters);
            }
            Ok(mld::Message::Report(report)) => {
                self.counters.rx_mld_report += 1;
                querier.handle_report(now, reporter, &report, routers, &mut self.counters);
                moves = match self.config.terminal_moves {
                    TerminalMoves::Told => self.moves(now, port, reporter.address, &report, opened.message),
                    TerminalMoves::Ignored => None,
                };
            }
            Ok(mld::Message::V1Query { group, .. }) => {
                self.counters.rx_mld_v1_query += 1;
                querier.handle_v1_query(now, opened.source, group, &mut self.counters);
            }
            Ok(mld::Message::V1Report { group }) => {
                self.counters.rx_mld_v1_report += 1;
                let report = OlderMessage::Report;
                querier.handle_older_message(now, reporter, group, report, routers, &mut self.counters);
            }
            Ok(mld::Message::V1Done { group }) => {
                self.counters.rx_mld_v1_done += 1;
                let done = OlderMessage::Done;
                querier.handle_older_message(now, reporter, group, done, routers, &mut self.counters);
            }
            Err(_) => self.counters.drop_mld_malformed += 1,
        }
        self.drain_querier(now, port);
        if let Some(moves) = moves {
            self.outputs.event(moves);
        }
    }

    /// What a host that was heard says of its moves. Extensions that do not hold together are ignored, the records that they
    /// came with are not (RFC 9279 §5).
    fn moves(
        &mut self,
        now: Instant,
        port: PortId,
        listener: Ipv6Addr,
        report: &mld::Report,
        message: &[u8],
    ) -> Option<Event> {
        let router = Extensions::of_report(message).ok()?.access_router()?;
        let querier = self.interfaces.get(&port)?.mld.as_ref()?;
        let heard = querier.heard_of(now, listener, report).into_iter();
        let keys: Vec<MrouteKey> = heard.map(|(group, source)| MrouteKey { source, group }).collect();
        if keys.is_empty() {
            self.counters.mld_moves_unheard += 1;
            return None;
        }
        self.counters.mld_moves_told += 1;
        Some(Event::ListenerMoves { at: now, port, listener, router, keys })
    }

    /// A listener of this has come to another access router.
    pub(crate) fn listener_gone(&mut self, now: Instant, key: MrouteKey) {
        let mut is_asked = false;
        for port in self.interfaces.keys().copied().collect::<Vec<_>>() {
            let Some(querier) = self.querier_mut(port) else { continue };
            if querier.listener_gone(now, key.group, key.source) {
                is_asked = true;
                self.drain_querier(now, port);
            }
        }
        self.counters.mld_gone_asked += u64::from(is_asked);
        self.counters.mld_gone_unknown += u64::from(!is_asked);
    }

    /// Takes what the querier has to say, and its next deadline.
    pub(crate) fn drain_querier(&mut self, now: Instant, port: PortId) {
        while let Some(DeliveryChange { group, to }) = self.querier_mut(port).and_then(Querier::poll_delivery) {
            self.outputs.table(match to {
                Some(link_address) => TableUpdate::DeliverySet { port, group, link_address },
                None => TableUpdate::DeliveryRemove { port, group },
            });
        }
        while let Some(change) = self.querier_mut(port).and_then(Querier::poll_change) {
            let key = MrouteKey { source: change.source, group: change.group };
            self.outputs.event(Event::MembershipChanged { at: now, port, key, membership: change.membership });
            self.membership_changed(now, port, key);
        }
        if let Some(VersionMismatch { router, version }) = self.querier_mut(port).and_then(Querier::poll_mismatch) {
            self.outputs.event(Event::MldVersionMismatch { at: now, port, address: router, version });
        }
        while let Some(packet) = self.querier_mut(port).and_then(Querier::poll_packet) {
            self.counters.tx_mld_query += 1;
            self.outputs.transmit(packet, Via::Link(port));
        }
        match self.querier_mut(port).and_then(|querier| querier.poll_timeout()) {
            Some(at) => self.timers.set(TimerKey::Mld(port), at),
            None => {
                self.timers.cancel(TimerKey::Mld(port));
            }
        }
    }

    /// The designated router changed: takes every member's source on, or lets go of them; and the sources on the link too.
    pub(crate) fn designated_router_changed(&mut self, now: Instant, port: PortId) {
        if let Some(querier) = self.interfaces.get(&port).and_then(|interface| interface.mld.as_ref()) {
            let members: Vec<(Ipv6Addr, Ipv6Addr)> = querier.memberships().chain(querier.excluded()).collect();
            for (group, source) in members {
                self.membership_changed(now, port, MrouteKey { source, group });
            }
        }
        let concerns = |entry: &Entry| {
            let shared = entry.shared.as_ref();
            entry.members().contains(port)
                || shared.is_some_and(|shared| shared.excluded.contains(port))
                || shared.is_some() && entry.rpf().interface() == Some(port)
        };
        for key in self.tib.keys_where(concerns) {
            self.settle(now, key);
        }
    }

    /// local_receiver_include(S,G,I) or local_receiver_exclude(S,G,I) may have changed. The entry is made where this router
    /// is the designated one.
    pub(crate) fn membership_changed(&mut self, now: Instant, port: PortId, key: MrouteKey) {
        let Some(interface) = self.interfaces.get(&port) else { return };
        let (is_member, is_excluded) = local_receivers(interface, key);
        if interface.bounds(key.group) {
            self.counters.drop_boundary += 1;
        }
        let is_new = self.tib.get(key).is_none();
        if (is_member || is_excluded) && interface.is_designated() && !self.ensure_entry(key) {
            return;
        }
        if is_member {
            self.meet_pre_join(key);
        }
        // A new entry has heard of its members already.
        if self.learn_port(port, key, is_member, is_excluded) || is_new {
            self.settle(now, key);
        }
    }

    /// What the queriers know of a new entry: of those links too on which another router is the designated one.
    pub(crate) fn learn_members(&mut self, key: MrouteKey) {
        let of_port = |(&port, interface): (&PortId, &Interface)| {
            let (is_member, is_excluded) = local_receivers(interface, key);
            (is_member || is_excluded).then_some((port, is_member, is_excluded))
        };
        let known: Vec<_> = self.interfaces.iter().filter_map(of_port).collect();
        for (port, is_member, is_excluded) in known {
            self.learn_port(port, key, is_member, is_excluded);
        }
    }

    /// Whether anything is new.
    fn learn_port(&mut self, port: PortId, key: MrouteKey, is_member: bool, is_excluded: bool) -> bool {
        let set = |set: &mut PortSet, is: bool| if is { set.insert(port) } else { set.remove(port) };
        let Some(entry) = self.tib.get_mut(key) else { return false };
        let mut members = entry.members();
        let mut changed = set(&mut members, is_member);
        if changed {
            entry.set_members(members);
        }
        if let Some(shared) = &mut entry.shared {
            changed |= set(&mut shared.excluded, is_excluded);
        }
        changed
    }
}

/// local_receiver_include(S,G,I) or local_receiver_include(*,G,I), and local_receiver_exclude(S,G,I)
fn local_receivers(interface: &Interface, key: MrouteKey) -> (bool, bool) {
    let Some(querier) = interface.mld.as_ref().filter(|_| !interface.bounds(key.group)) else { return (false, false) };
    (querier.is_member(key.group, key.source), querier.is_excluded(key.group, key.source))
}
