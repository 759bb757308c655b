//! The packets in the pipeline and the lanes in which they wait for a stage.
//!
//! Packets do not move from stage to stage: they stay in their places, and a lane is a list of places.

use super::home_address;
use crate::addr::MacAddress;
use crate::machine::{PortId, RxMeta, TunnelMeta};
use crate::packet::{BATCH_SIZE, Packet};
use crate::tables::{AdjacencyIndex, Slot};
use arrayvec::ArrayVec;

/// Places of a vector, in the order in which the packets came.
pub(super) type Places = ArrayVec<u8, BATCH_SIZE>;

/// Who is responsible for a packet's hop limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Another node sent it: forwarding it costs a hop.
    Received,
    /// This node sent it, put its outer header in front, or is where it ends.
    Own,
    /// It came out of a Register message and has not found its route yet: forwarding it costs a hop, too.
    Registered,
}

/// What is known about a packet beside its octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    /// Where it came in, or the link of its link-local addresses.
    pub(crate) port: Option<PortId>,
    pub(crate) link_source: Option<MacAddress>,
    pub(crate) link_multicast: bool,
    /// The tunnel that it left last.
    pub(crate) tunnel: Option<TunnelMeta>,
    pub(crate) origin: Origin,
    /// Octets of the outer headers that this node put in front.
    pub(crate) outer: u8,
    /// Headers that this node put into a program's packet.
    pub(super) inserted: Inserted,
    /// Times that it was looked up.
    pub(crate) passes: u8,
    /// Whether it has waited for the node's answer to what it was told of the packet.
    pub(super) told: bool,
    /// What the lookup found.
    pub(super) found: Found,
}

impl Meta {
    /// A packet of this node.
    pub(crate) const OWN: Meta = Meta {
        port: None,
        link_source: None,
        link_multicast: false,
        tunnel: None,
        origin: Origin::Own,
        outer: 0,
        inserted: Inserted::NOTHING,
        passes: 0,
        told: false,
        found: Found::Nothing,
    };

    /// A packet of this node that came of a received one: same link, and the same count of lookups.
    pub(crate) fn own_again(received: &Meta) -> Self {
        Meta { port: received.port, passes: received.passes, ..Meta::OWN }
    }

    /// As a machine sees it.
    pub(crate) fn rx(&self) -> RxMeta {
        RxMeta {
            port: self.port.unwrap_or(PortId(0)),
            link_source: self.link_source,
            link_multicast: self.link_multicast,
            tunnel: self.tunnel,
        }
    }
}

/// Headers with a home address that this node put into a packet whose sender is to hear of it as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Inserted {
    /// A type 2 routing header.
    pub(super) routing: bool,
    /// A Home Address option.
    pub(super) option: bool,
}

impl Inserted {
    pub(super) const NOTHING: Inserted = Inserted { routing: false, option: false };

    /// Their octets.
    pub(super) fn octets(self) -> usize {
        usize::from(self.routing) * home_address::ROUTING_LEN + usize::from(self.option) * home_address::OPTION_LEN
    }
}

/// What a lookup found, for the stage that follows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Nothing,
    /// A neighbour.
    Adjacency(AdjacencyIndex),
    /// A link.
    Link(PortId),
    /// An entry of the stage's table.
    Entry(Slot),
}

/// A packet on its way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) packet: Packet,
    pub(crate) meta: Meta,
}

/// Stages that have a lane: those that a packet can come to from more than one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    Input,
    Lookup,
    Multicast,
    Binding,
    HomeAgent,
    Uplink,
    Local,
    Tunnel,
    Terminal,
    Unicast,
}

const LANES: usize = Lane::Unicast as usize + 1;

/// Up to [`BATCH_SIZE`] packets.
pub(super) struct Vector {
    jobs: [Option<Job>; BATCH_SIZE],
    used: usize,
    lanes: [Places; LANES],
}

impl Vector {
    pub(super) fn new() -> Self {
        Vector { jobs: [const { None }; BATCH_SIZE], used: 0, lanes: [const { Places::new_const() }; LANES] }
    }

    /// Whether no more packets fit.
    pub(super) fn is_full(&self) -> bool {
        self.used == BATCH_SIZE
    }

    /// Puts a packet in at a lane; the vector is not full.
    #[inline(always)]
    pub(super) fn start(&mut self, job: Job, lane: Lane) {
        self.jobs[self.used] = Some(job);
        self.lanes[lane as usize].push(self.used as u8);
        self.used += 1;
    }

    /// Takes what waits in a lane.
    #[inline(always)]
    pub(super) fn lane(&mut self, lane: Lane) -> Places {
        core::mem::take(&mut self.lanes[lane as usize])
    }

    /// Lets a packet wait for a stage.
    #[inline(always)]
    pub(super) fn next(&mut self, place: u8, lane: Lane) {
        self.lanes[lane as usize].push(place);
    }

    /// The packet at a place.
    #[inline(always)]
    pub(super) fn job(&mut self, place: u8) -> &mut Job {
        self.jobs[usize::from(place)].as_mut().expect("a place stands in a lane only while its packet is there")
    }

    /// Takes the packet out: here its way ends.
    #[inline(always)]
    pub(super) fn take(&mut self, place: u8) -> Job {
        self.jobs[usize::from(place)].take().expect("a place stands in a lane only while its packet is there")
    }

    /// Whether no lane holds a packet.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_empty())
    }

    /// Makes room for the next packets.
    pub(super) fn reset(&mut self) {
        debug_assert!(self.jobs.iter().all(Option::is_none), "every packet has ended");
        self.used = 0;
    }
}
