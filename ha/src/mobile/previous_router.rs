//! What a terminal tells its access routers of each other: the new one of the one that it could not leave, the present one
//! of the one that it is about to go to. Both stand in its MLD reports; a terminal that is not told to
//! does neither.

use super::event::Event;
use super::{MobileTerminal, RouterKey};
use core::net::Ipv6Addr;
use stack::machine::PortId;

/// The access router where the terminal was joined last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LastJoined {
    router: RouterKey,
    /// The address by which others know it.
    address: Ipv6Addr,
    /// Whether its link is gone with the membership.
    is_lost: bool,
}

impl MobileTerminal {
    /// Whether its reports say how it moves.
    pub const fn announces_moves(&self) -> bool {
        self.config.report_moves
    }

    /// Notes the router behind which the group is joined; its address may be known only now.
    pub(super) fn note_joined(&mut self, router: RouterKey) {
        let is_joined = self.attachment.joined().any(|(port, _)| port == router.port);
        if let Some(address) = self.links.router_address(router).filter(|_| is_joined && self.config.report_moves) {
            self.last_joined = Some(LastJoined { router, address, is_lost: false });
        }
    }

    /// A link goes down, and nobody on it hears that its memberships end.
    pub(super) fn lose_membership(&mut self, port: PortId) {
        if let Some(last) = self.last_joined.as_mut().filter(|last| last.router.port == port) {
            last.is_lost = true;
        }
        self.end_came_from(port);
    }

    /// The group is about to be joined on a link: its reports say where the terminal has been, where that has to be said.
    pub(super) fn say_where_from(&mut self, to: RouterKey) {
        let Some(last) = self.last_joined.filter(|last| last.is_lost && self.config.report_moves) else { return };
        if self.links.router_address(to) != Some(last.address) {
            self.named_on = Some(to.port);
            self.outputs.event(Event::CameFrom { port: to.port, router: Some(last.address) });
        }
    }

    /// The new link carries the group: the router that was left has been named.
    pub(super) fn end_came_from(&mut self, port: PortId) {
        if self.named_on == Some(port) {
            self.named_on = None;
            self.outputs.event(Event::CameFrom { port, router: None });
        }
    }

    /// Tells the present router which one is next.
    pub(super) fn goes_to(&mut self, router: Ipv6Addr) -> bool {
        let joined = self
            .attachment
            .joined()
            .map(|(port, _)| port)
            .find(|&port| self.current.is_some_and(|current| current.port == port && self.links.is_alive(current)));
        let Some(port) = joined.filter(|_| self.config.report_moves) else { return false };
        self.outputs.event(Event::GoesTo { port, router });
        true
    }
}
