//! The rendezvous point of a group, RP(G) (RFC 7761 §4.7.1): the one that the group's address names (RFC 3956), and none
//! else.
//!
//! The data of a source reach the shared tree where the source is an address of the rendezvous point itself, as a mobility
//! agent is of its terminals' groups: it then is first-hop router and rendezvous point in one, and its data go out by
//! (*,G) without a Register (§4.2). A rendezvous point for sources elsewhere would have to take Register messages (§4.4):
//! these are counted and refused.

use crate::instance::Router;
use core::net::Ipv6Addr;
use stack::addr;
use stack::tables::MrouteKey;

impl Router {
    /// RP(G).
    pub(crate) fn rendezvous_point(&self, group: Ipv6Addr) -> Option<Ipv6Addr> {
        if self.config.is_ssm(group) { None } else { addr::embedded_rp(group).ok() }
    }

    /// What the tree of `key` grows towards: S, or RP(G).
    pub(crate) fn root(&self, key: MrouteKey) -> Option<Ipv6Addr> {
        if key.source.is_unspecified() { self.rendezvous_point(key.group) } else { Some(key.source) }
    }
}
