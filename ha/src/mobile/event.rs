//! What the terminal is told, and what it tells.

use super::router_choice::RouterKey;
use core::net::Ipv6Addr;
use mma::auth::WallClock;
use stack::addr::Prefix;
use stack::machine::{CorrespondentWay, PortId};
use stack::time::{Duration, Instant};
use stack::wire::mobility::Status;

/// A router advertisement on a radio port, as far as it concerns a terminal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterAdvertisement {
    /// The port.
    pub port: PortId,
    /// The router's link-local address.
    pub router: Ipv6Addr,
    /// Router lifetime; zero: no default router any more.
    pub lifetime: Duration,
    /// The prefixes of the link.
    pub prefixes: Vec<AdvertisedPrefix>,
    /// The mobility agents (MAP option, RFC 5380 §5).
    pub agents: Vec<AdvertisedAgent>,
    /// Addresses of the router itself, where it is a home agent (H and R bits, RFC 6275 §7.1, §7.2).
    pub home_agents: Vec<Ipv6Addr>,
    /// An address by which other routers know this one, where it says anything of which one could be made.
    pub address: Option<Ipv6Addr>,
}

/// A prefix in a router advertisement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdvertisedPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// Valid lifetime.
    pub lifetime: Duration,
}

/// A mobility agent in a router advertisement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdvertisedAgent {
    /// Its address.
    pub address: Ipv6Addr,
    /// Pref, 0 to 15.
    pub preference: u8,
    /// Dist, 0 to 15.
    pub distance: u8,
    /// Valid lifetime; zero: the agent is gone.
    pub lifetime: Duration,
}

/// What the node tells the terminal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A router advertisement came in.
    RouterAdvertised(RouterAdvertisement),
    /// The router does not answer any more, or its lifetime is over.
    RouterLost {
        /// The port.
        port: PortId,
        /// The router's link-local address.
        router: Ipv6Addr,
    },
    /// An address of the node on a radio port can be used: preferred or optimistic (RFC 4429), link-local or not.
    AddressUsable {
        /// The port.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// An address of the node can no longer be used.
    AddressRemoved {
        /// The port.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
    },
    /// The link came up.
    LinkUp(PortId),
    /// The link went down. Its routers are forgotten, its addresses are not usable until they are said to be again.
    LinkDown(PortId),
    /// The signal of a radio port.
    Signal {
        /// The port.
        port: PortId,
        /// Strength in dBm.
        dbm: i16,
    },
    /// The first packet of a group through this port ([`stack::machine::Notice::GroupData`]).
    GroupData {
        /// The port.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
    },
    /// A packet of a correspondent came ([`stack::machine::Notice::Correspondent`]).
    Correspondent {
        /// The correspondent.
        correspondent: Ipv6Addr,
        /// How it came.
        way: CorrespondentWay,
    },
    /// The terminal is about to lose its router and to come to the one with this address, or with a link in whose prefix it
    /// is.
    GoesTo(Ipv6Addr),
    /// The time of day, where agents want timestamps.
    Clock(WallClock),
}

/// What the terminal tells the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// MLD listener: this is the membership on this link from now on, report it at once. Comes again for a group where
    /// its sources change.
    Join {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
        /// The sources to hear; none: all.
        sources: Vec<Ipv6Addr>,
    },
    /// MLD listener: end the membership on this link.
    Leave {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
    },
    /// MLD listener: reports of this link name this router from now on, which the terminal could not leave; none: not any
    /// more.
    CameFrom {
        /// The link.
        port: PortId,
        /// An address of the router.
        router: Option<Ipv6Addr>,
    },
    /// MLD listener: tell the router of this link that the terminal is about to go to this one.
    GoesTo {
        /// The link.
        port: PortId,
        /// An address of the router.
        router: Ipv6Addr,
    },
    /// Neighbour discovery: the terminal is at home, answer for the home address on this link.
    HomeAddressClaim {
        /// The home link.
        port: PortId,
        /// The home address.
        address: Ipv6Addr,
        /// Whether duplicate address detection is due. It must not be done while the home agent still answers for the
        /// address (RFC 6275 §11.5.5).
        detect_duplicates: bool,
    },
    /// Neighbour discovery: tell all nodes of the link that the home address is here again (RFC 6275 §11.5.5).
    HomeAddressAnnounce {
        /// The home link.
        port: PortId,
        /// The home address.
        address: Ipv6Addr,
    },
    /// Neighbour discovery: the terminal leaves home, do not answer for the home address any more.
    HomeAddressRelease {
        /// The home link.
        port: PortId,
        /// The home address.
        address: Ipv6Addr,
    },
    /// Write this down before the packet that follows leaves, so that numbers are never used twice.
    Persist {
        /// The peer.
        peer: Ipv6Addr,
        /// The last sequence number used with it.
        sequence: u16,
        /// The last timestamp used with any peer.
        message_id: Option<u64>,
        /// Whether the home agent may have a binding from here on.
        has_home_binding: bool,
    },
    /// A move to another router begins.
    HandoverStarted {
        /// When.
        at: Instant,
        /// What kind of move.
        kind: HandoverKind,
        /// The router used so far.
        from: Option<RouterKey>,
        /// The router to be used.
        to: RouterKey,
        /// Whether the old link still works.
        make_before_break: bool,
    },
    /// The move that began last has come to a stage.
    HandoverStage {
        /// When; for what happened before the move began, before it.
        at: Instant,
        /// Which.
        stage: Stage,
    },
    /// The move that began last is over.
    HandoverEnded {
        /// When.
        at: Instant,
        /// What kind of move.
        kind: HandoverKind,
        /// Whether it reached its router; otherwise another move took its place, or the router was lost.
        completed: bool,
    },
    /// A peer has refused a Binding Update.
    RegistrationRefused {
        /// The peer.
        peer: Ipv6Addr,
        /// Why.
        status: Status,
    },
    /// A peer does not answer.
    RegistrationLost {
        /// The peer.
        peer: Ipv6Addr,
    },
}

/// Kinds of moves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HandoverKind {
    /// Within the site of one mobility agent.
    IntraSite,
    /// To the site of another mobility agent, or of none.
    InterSite,
    /// To the home link.
    Home,
}

impl HandoverKind {
    /// The kind in reports.
    pub const fn name(self) -> &'static str {
        match self {
            HandoverKind::IntraSite => "intra-site",
            HandoverKind::InterSite => "inter-site",
            HandoverKind::Home => "home",
        }
    }
}

/// Stages of a move.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// The new link came up.
    Link,
    /// The new router was heard.
    RouterAdvertisement,
    /// The join was reported on the new link.
    Report,
    /// The first packet came through the new link.
    FirstData,
    /// Packets leave through the new router.
    Uplink,
    /// The mobility agent has acknowledged.
    Registered,
    /// The home agent has acknowledged.
    HomeRegistered,
    /// The group was left on the old link.
    LeftOld,
}

impl Stage {
    /// Every stage.
    const ALL: [Stage; 8] = [
        Stage::Link,
        Stage::RouterAdvertisement,
        Stage::Report,
        Stage::FirstData,
        Stage::Uplink,
        Stage::Registered,
        Stage::HomeRegistered,
        Stage::LeftOld,
    ];

    /// The stage that reports call so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// The stage in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Link => "link",
            Stage::RouterAdvertisement => "ra",
            Stage::Report => "report",
            Stage::FirstData => "first_data",
            Stage::Uplink => "uplink",
            Stage::Registered => "registered",
            Stage::HomeRegistered => "home_registered",
            Stage::LeftOld => "left_old",
        }
    }
}
