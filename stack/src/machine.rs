//! The contract of every protocol machine: no clock, no socket, no thread inside.
//!
//! A machine is given packets, timeouts and commands, each with the time at which they happen, and answers through one
//! ordered queue. The order is part of the contract: a table update that stands before a packet is visible before the
//! packet leaves. The worker loop and the simulator drive the same machines.

use crate::addr::MacAddress;
use crate::tables::TableUpdate;
use crate::time::Instant;
use core::net::Ipv6Addr;
use std::collections::VecDeque;

/// A port of this node, numbered in the order of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortId(pub u8);

/// The ports a node can have.
pub const MAX_PORTS: usize = 256;

/// What is known about a packet beside its octets when a machine is given it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RxMeta {
    /// The port that it came in by.
    pub port: PortId,
    /// Source address of its frame; `None` on ports without link-layer addresses.
    pub link_source: Option<MacAddress>,
    /// Whether its frame was sent to a group address.
    pub link_multicast: bool,
    /// The tunnel that it left on this node.
    pub tunnel: Option<TunnelMeta>,
}

/// The outer addresses of a packet that left a tunnel on this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TunnelMeta {
    /// Outer source.
    pub source: Ipv6Addr,
    /// Outer destination.
    pub destination: Ipv6Addr,
}

/// A packet to send: from its IPv6 header on, complete with checksums.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// The IPv6 packet.
    pub packet: Vec<u8>,
    /// Where it goes.
    pub via: Via,
}

/// Where a packet that this node originates goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// As the routing table, the bindings and the tunnels say, as if it had arrived here.
    Route,
    /// To its destination on this link: multicast by mapping, unicast by neighbour cache.
    Link(PortId),
    /// To its destination on this link, at this link-layer address.
    LinkAddress(PortId, MacAddress),
    /// To this neighbour on this link.
    NextHop(PortId, Ipv6Addr),
    /// To the terminal with this home address at the mobility agent of this node, as it is, whatever its destination:
    /// through the tunnel of the terminal's binding.
    Terminal(Ipv6Addr),
}

/// What a machine answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output<E> {
    /// Send a packet.
    Transmit(Transmit),
    /// Change a table of the data plane.
    Table(TableUpdate),
    /// Tell the node, which tells the machines that it concerns.
    Event(E),
}

/// The queue of a machine's answers, in order.
#[derive(Clone, Debug)]
pub struct Outputs<E>(VecDeque<Output<E>>);

impl<E> Default for Outputs<E> {
    fn default() -> Self {
        Outputs(VecDeque::new())
    }
}

impl<E> Outputs<E> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a packet.
    pub fn transmit(&mut self, packet: Vec<u8>, via: Via) {
        self.0.push_back(Output::Transmit(Transmit { packet, via }));
    }

    /// Appends a table update.
    pub fn table(&mut self, update: TableUpdate) {
        self.0.push_back(Output::Table(update));
    }

    /// Appends an event.
    pub fn event(&mut self, event: E) {
        self.0.push_back(Output::Event(event));
    }

    /// Takes the oldest answer.
    pub fn poll(&mut self) -> Option<Output<E>> {
        self.0.pop_front()
    }

    /// Whether no answer waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the data plane, or the port under it, has to tell the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The port's link came up, or the port was there and up at the start.
    LinkUp(PortId),
    /// The port's link went down.
    LinkDown(PortId),
    /// The port has another link-layer address: its interface came back as another one, or was given another. Stands
    /// before the [`Notice::LinkUp`] of a link that comes up with it.
    LinkAddress(PortId, MacAddress),
    /// The largest packet that the port takes is another, in octets.
    Mtu(PortId, usize),
    /// A packet waits for a neighbour whose link-layer address is not in the table. Once for each neighbour until it is
    /// set or failed.
    NeighborMissing {
        /// The link.
        port: PortId,
        /// The neighbour.
        address: Ipv6Addr,
    },
    /// A packet went to a neighbour whose table entry has [`crate::tables::Neighbor::notify_use`]; the data plane has
    /// cleared that flag (a stale neighbour goes to DELAY, RFC 4861 §7.3.3).
    NeighborUsed {
        /// The link.
        port: PortId,
        /// The neighbour.
        address: Ipv6Addr,
    },
    /// A multicast packet that no entry of the forwarding table matches. Each source and group by each port once a second,
    /// and at once after a change of its route (S,G); rate limited.
    MulticastMiss {
        /// Where it came in; `None` where this node is its source.
        port: Option<PortId>,
        /// Its source.
        source: Ipv6Addr,
        /// Its group.
        group: Ipv6Addr,
    },
    /// A multicast packet that came elsewhere than its route accepts. Likewise.
    MulticastWrongPort {
        /// Where it came in; `None` where this node is its source, or it came in a Register message.
        port: Option<PortId>,
        /// Its source.
        source: Ipv6Addr,
        /// Its group.
        group: Ipv6Addr,
    },
    /// A packet that its multicast route accepted and whose [`crate::tables::Watch`] asks for it. Likewise, but for the one
    /// that [`crate::tables::Watch::NextPacket`] asks for, which is always told of.
    MulticastSeen {
        /// Where it came in; `None` where this node is its source, or it came in a Register message.
        port: Option<PortId>,
        /// Its source.
        source: Ipv6Addr,
        /// Its group.
        group: Ipv6Addr,
    },
    /// A Register message with data came to an address of this node, whatever became of the data. Each source and group
    /// from each designated router likewise.
    Register {
        /// The designated router that sent it.
        from: Ipv6Addr,
        /// To whom it was sent.
        to: Ipv6Addr,
        /// Source and group of the data.
        key: crate::tables::MrouteKey,
    },
    /// The first packet of a terminal's group on this port since the reception entry was set or the port joined it.
    GroupData {
        /// Where it came in.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
    },
    /// A packet of a correspondent, not its signalling, for a home address: at a mobility agent whose binding asks for
    /// it, or at a terminal. Once in a while for each pair and way; rate limited.
    Correspondent {
        /// The home address.
        home_address: Ipv6Addr,
        /// The correspondent.
        correspondent: Ipv6Addr,
        /// How it came.
        way: CorrespondentWay,
    },
    /// A packet was sent by a correspondent node's binding, or taken because of it. Once after each
    /// [`crate::tables::TableUpdate::CorrespondentBindingSet`]: setting the same binding again asks anew (RFC 6275
    /// §9.5.5).
    CorrespondentBindingUsed {
        /// The home address.
        home_address: Ipv6Addr,
    },
}

/// How a correspondent's packet came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CorrespondentWay {
    /// In the home agent's tunnel: the correspondent has no binding.
    HomeAgent,
    /// From another agent, to that one's care-of address: the correspondent has an old binding.
    Forwarded,
    /// To the care-of address, with a type 2 routing header: the correspondent has the binding.
    Optimised,
}

/// A protocol machine.
pub trait Machine {
    /// What other parts of the node may ask of it.
    type Command;
    /// What it tells the node.
    type Event;

    /// A packet for this protocol: `packet` starts with an IPv6 header whose length was checked, and holds no more than
    /// the packet.
    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]);

    /// Time has come to `now`: every timer that is due runs.
    fn handle_timeout(&mut self, now: Instant);

    /// A command of the node.
    fn handle_command(&mut self, now: Instant, command: Self::Command);

    /// The next answer; call until it returns `None` after every `handle_*`.
    fn poll_output(&mut self) -> Option<Output<Self::Event>>;

    /// When `handle_timeout` wants to be called next.
    fn poll_timeout(&self) -> Option<Instant>;
}
