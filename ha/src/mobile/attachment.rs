//! The terminal's attachments: on which links it has joined its group, and what it takes out of tunnels.
//!
//! Joined on two links at once it receives through both. What was joined stays joined until [`Attachment::keep_only`]
//! says that the rest is no longer needed.

use super::event::Event;
use core::net::Ipv6Addr;
use stack::machine::{Outputs, PortId};
use stack::tables::{GroupReception, MrouteKey, TableUpdate, TunnelReception};
use std::collections::{BTreeMap, BTreeSet};

/// A group and how it is heard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Subscription {
    /// The group.
    pub group: Ipv6Addr,
    /// The only source that is joined; `None`: all are.
    pub source: Option<Ipv6Addr>,
}

/// Memberships and tunnel exits.
#[derive(Clone, Debug, Default)]
pub(super) struct Attachment {
    joined: BTreeSet<(PortId, Subscription)>,
    /// By group and source.
    receptions: BTreeMap<MrouteKey, GroupReception>,
    tunnels: Vec<TunnelReception>,
}

impl Attachment {
    /// Memberships, by port.
    pub(super) fn joined(&self) -> impl Iterator<Item = (PortId, Subscription)> {
        self.joined.iter().copied()
    }

    pub(super) fn is_joined(&self, port: PortId, subscription: Subscription) -> bool {
        self.joined.contains(&(port, subscription))
    }

    /// Joins; returns whether that is new.
    pub(super) fn join(&mut self, port: PortId, subscription: Subscription, outputs: &mut Outputs<Event>) -> bool {
        let new = self.joined.insert((port, subscription));
        if new {
            self.report(port, subscription.group, outputs);
        }
        new
    }

    /// The link is gone, and the membership with it.
    pub(super) fn link_down(&mut self, port: PortId, outputs: &mut Outputs<Event>) {
        let groups: BTreeSet<Ipv6Addr> = self.on_port(port).map(|subscription| subscription.group).collect();
        self.joined.retain(|&(joined, _)| joined != port);
        for group in groups {
            outputs.event(Event::Leave { port, group });
        }
    }

    /// Takes packets of this group out of their tunnel. Setting what is set makes the data plane tell of the first
    /// packet through each port again.
    pub(super) fn receive(&mut self, group: Ipv6Addr, reception: GroupReception, outputs: &mut Outputs<Event>) {
        self.receptions.insert(MrouteKey { source: reception.source, group }, reception);
        outputs.table(TableUpdate::GroupReceptionSet(group, reception));
    }

    /// Takes packets out of this unicast tunnel.
    pub(super) fn receive_tunnel(&mut self, tunnel: TunnelReception, outputs: &mut Outputs<Event>) {
        if !self.tunnels.contains(&tunnel) {
            self.tunnels.push(tunnel);
            outputs.table(TableUpdate::TunnelReceptionSet(tunnel));
        }
    }

    /// No packets come out of tunnels from here any more.
    pub(super) fn leave_tunnels_from(&mut self, remote: Ipv6Addr, outputs: &mut Outputs<Event>) {
        for tunnel in self.tunnels.extract_if(.., |tunnel| tunnel.remote == remote) {
            outputs.table(TableUpdate::TunnelReceptionRemove(tunnel));
        }
    }

    /// Nor out of tunnels to here, or for here.
    pub(super) fn leave_tunnels_to(&mut self, address: Ipv6Addr, outputs: &mut Outputs<Event>) {
        let is_it = |tunnel: &TunnelReception| tunnel.local == address || tunnel.home_address == address;
        for tunnel in self.tunnels.extract_if(.., |tunnel| is_it(tunnel)) {
            outputs.table(TableUpdate::TunnelReceptionRemove(tunnel));
        }
    }

    /// Whether a group is joined on another link than this.
    pub(super) fn is_joined_beyond(&self, port: PortId) -> bool {
        self.joined.iter().any(|&(joined, _)| joined != port)
    }

    /// Whether there is more than this.
    pub(super) fn has_more_than(&self, keep: &Keep) -> bool {
        self.joined.iter().any(|membership| !keep.has_membership(membership))
            || self.receptions.keys().any(|key| Some(*key) != keep.reception)
            || self.tunnels.iter().any(|tunnel| !keep.tunnels.contains(tunnel))
    }

    /// Leaves and removes everything but this; returns whether a membership was among it.
    pub(super) fn keep_only(&mut self, keep: &Keep, outputs: &mut Outputs<Event>) -> bool {
        let old: Vec<_> = self.joined.iter().copied().filter(|membership| !keep.has_membership(membership)).collect();
        for &(port, subscription) in &old {
            self.joined.remove(&(port, subscription));
        }
        let changed: BTreeSet<_> = old.iter().map(|&(port, subscription)| (port, subscription.group)).collect();
        for (port, group) in changed {
            self.report(port, group, outputs);
        }
        for key in self.receptions.keys().copied().filter(|&key| Some(key) != keep.reception).collect::<Vec<_>>() {
            self.receptions.remove(&key);
            outputs.table(TableUpdate::GroupReceptionRemove(key));
        }
        for tunnel in self.tunnels.extract_if(.., |tunnel| !keep.tunnels.contains(tunnel)) {
            outputs.table(TableUpdate::TunnelReceptionRemove(tunnel));
        }
        !old.is_empty()
    }

    /// Tells what the membership in a group on a link is.
    fn report(&self, port: PortId, group: Ipv6Addr, outputs: &mut Outputs<Event>) {
        let subscriptions: Vec<_> = self.on_port(port).filter(|subscription| subscription.group == group).collect();
        if subscriptions.is_empty() {
            outputs.event(Event::Leave { port, group });
        } else if subscriptions.iter().any(|subscription| subscription.source.is_none()) {
            outputs.event(Event::Join { port, group, sources: Vec::new() });
        } else {
            let sources = subscriptions.iter().filter_map(|subscription| subscription.source).collect();
            outputs.event(Event::Join { port, group, sources });
        }
    }

    fn on_port(&self, port: PortId) -> impl Iterator<Item = Subscription> {
        self.joined.iter().filter(move |&&(joined, _)| joined == port).map(|&(_, subscription)| subscription)
    }
}

/// What is needed where the terminal is now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Keep {
    pub(super) membership: Option<(PortId, Subscription)>,
    pub(super) reception: Option<MrouteKey>,
    pub(super) tunnels: Vec<TunnelReception>,
}

impl Keep {
    fn has_membership(&self, membership: &(PortId, Subscription)) -> bool {
        self.membership.as_ref() == Some(membership)
    }
}
