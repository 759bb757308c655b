//! A host's part of router discovery and address autoconfiguration (RFC 4861 §6.3, RFC 4862 §5.5).
//!
//! The addresses that it forms are taken into use by [`super::NeighborDiscovery`]; [`super::Discovery`] carries the
//! commands and events between the two.

use super::neighbor::Dad;
use crate::addr::MacAddress;
use crate::machine::{Notice, PortId};
use crate::time::Duration;
use crate::wire::nd::RouterAdvertisement;
use core::net::Ipv6Addr;

/// What the machine is set up with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Seed of its random numbers.
    pub seed: u64,
    /// The ports on which this node is a host.
    pub ports: Vec<PortConfig>,
}

/// One port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortConfig {
    /// The port.
    pub port: PortId,
    /// Its link-layer address.
    pub link_address: MacAddress,
    /// How routers are looked for.
    pub solicitation: Solicitation,
    /// How addresses come into use.
    pub dad: Dad,
    /// The low 64 bits of its addresses.
    pub interface_identifier: InterfaceIdentifier,
    /// Whether this machine sets the default route.
    pub default_route: DefaultRoute,
    /// Routers at the most; further ones are reported and not kept.
    pub max_routers: usize,
    /// On-link prefixes at the most, and as many autonomous addresses.
    pub max_prefixes: usize,
}

/// How routers are looked for when the link comes up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Solicitation {
    /// At once, again after this long, doubling up to RTR_SOLICITATION_INTERVAL, as often as RFC 4861 §6.3.7 says.
    Fast {
        /// The first interval.
        interval: Duration,
    },
    /// With the delays of RFC 4861 §6.3.7.
    Rfc,
    /// Not at all: advertisements come by themselves.
    Silent,
}

/// The low 64 bits of the addresses of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterfaceIdentifier {
    /// Made from the link-layer address (RFC 4291 appendix A).
    ModifiedEui64,
    /// This one, on every link alike: a mobility agent knows its terminal by it.
    Fixed(u64),
}

/// Who sets the default route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultRoute {
    /// This machine, to the best router it knows (RFC 4861 §6.3.6, RFC 4191 §3.2).
    Best,
    /// Somebody else, by the events: a mobile terminal.
    Elsewhere,
}

/// What the node may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// A notice of the data plane: links that come up and go down.
    Notice(Notice),
    /// Looks for routers now.
    Solicit(PortId),
    /// From [`super::NeighborDiscovery`].
    Neighbor(super::neighbor::Event),
}

/// What the node is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// For [`super::NeighborDiscovery`].
    Neighbor(super::neighbor::Command),
    /// A router advertised itself. Table updates of what it said stand before this.
    RouterAdvertised {
        /// The link.
        port: PortId,
        /// Its link-local address.
        router: Ipv6Addr,
        /// Its link-layer address: what it says, or else where the frame came from.
        link_address: Option<MacAddress>,
        /// What it said: lifetime, preference, prefixes, MAP options, home agent information, interval.
        advertisement: Box<RouterAdvertisement>,
    },
    /// A router is no longer one: its lifetime ended, it said so, it stopped answering or the link went down.
    RouterLost {
        /// The link.
        port: PortId,
        /// Its link-local address.
        router: Ipv6Addr,
    },
    /// An address may be used. Comes twice for an optimistic one.
    AddressUsable {
        /// The link.
        port: PortId,
        /// The address, link-local ones too.
        address: Ipv6Addr,
        /// Whether detection still runs (RFC 4429).
        optimistic: bool,
    },
    /// Another node has the address; it is not used.
    AddressDuplicate {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// The address is no longer preferred: nothing new should start with it (RFC 4862 §5.5.4).
    AddressDeprecated {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// The address is gone: its lifetime ended or the link went down.
    AddressRemoved {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
}
