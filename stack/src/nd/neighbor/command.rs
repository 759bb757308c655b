//! What Neighbor Discovery is asked and what it tells.

use crate::addr::MacAddress;
use crate::machine::{Notice, PortId};
use core::net::Ipv6Addr;

/// How an address comes into use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dad {
    /// At once, without detection.
    Off,
    /// At once, with the restrictions of RFC 4429 until detection is through. Only for hosts.
    Optimistic,
    /// After detection (RFC 4862 §5.4).
    Strict,
}

/// Where packets to an own address go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// To this node: a [`crate::tables::Route::Local`] is set while the address is usable.
    Local,
    /// Where the routes say: only solicitations are answered. For a home address that stands on a TUN port.
    Routed,
}

/// What the node may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// A notice of the data plane. Those that do not concern neighbours or links are ignored.
    Notice(Notice),
    /// Takes an own address into use; [`Event::AddressUsable`] or [`Event::AddressDuplicate`] follow, at the earliest when
    /// the link is up.
    AddAddress {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
        /// How it comes into use.
        dad: Dad,
        /// Where its packets go.
        delivery: Delivery,
    },
    /// Takes an anycast address into use that other nodes of the link may have too (RFC 4861 §7.2.7): no detection, no
    /// unsolicited advertisements, and answers that do not override.
    AddAnycast {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// Takes it out of use.
    RemoveAddress {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// Tells the link where an own address is: [`super::MAX_NEIGHBOR_ADVERTISEMENT`] unsolicited advertisements that
    /// override (RFC 4861 §7.2.6; a terminal back home, RFC 6275 §11.5.5).
    Announce {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// Answers for another node's address from now on, and tells the link so (RFC 6275 §10.4.1).
    AddProxy {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// No longer does.
    RemoveProxy {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// Finds out whether any node on the link has an address (RFC 6275 §10.3.1); [`Event::DadDone`] follows.
    Dad {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
        /// Comes back in the event.
        token: u64,
    },
    /// No longer wants to know; no event follows. Where nothing was wanted, or the answer was given, nothing happens.
    CancelDad {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
        /// What was given with it.
        token: u64,
    },
    /// An upper layer knows that packets reach this neighbour (RFC 4861 §7.3.1).
    Confirm {
        /// The link.
        port: PortId,
        /// The neighbour.
        address: Ipv6Addr,
    },
}

/// What the node is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// An own address is in use. Comes twice for an optimistic one: at once, and when detection found no other.
    AddressUsable {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
        /// Whether detection still runs (RFC 4429).
        optimistic: bool,
    },
    /// Another node has this address; it is out of use here.
    AddressDuplicate {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// What [`Command::Dad`] found out.
    DadDone {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
        /// What was given with the command.
        token: u64,
        /// What was found.
        outcome: DadOutcome,
    },
    /// A neighbour no longer answers.
    NeighborUnreachable {
        /// The link.
        port: PortId,
        /// The neighbour.
        address: Ipv6Addr,
        /// Whether it was a router.
        is_router: bool,
    },
    /// A neighbour that was a router says it is none (RFC 4861 §7.3.3).
    NoLongerRouter {
        /// The link.
        port: PortId,
        /// The neighbour.
        address: Ipv6Addr,
    },
    /// Another node says that it has an address that this node proxies.
    ProxyContested {
        /// The link.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
        /// Where that node is.
        link_address: Option<MacAddress>,
    },
}

/// What duplicate address detection found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DadOutcome {
    /// No node answered.
    Unique,
    /// A node has the address or wants it.
    Duplicate,
    /// It was not tried: the port is not known here or too many detections run.
    NotTried,
}
