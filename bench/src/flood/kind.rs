//! What a flood is made of: frames of which no two are alike.

use crate::handover::site::SOURCE;
use crate::traffic::link::{framed, to_group};
use clap::ValueEnum;
use core::net::Ipv6Addr;
use pim::wire::{
    EncodedGroup, EncodedSource, GroupSet, Hello, JoinPrune, MessageType, Register, packet, unicast_packet,
};
use serde::Serialize;
use stack::addr::MacAddress;
use stack::rng::Rng;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mld::{Record, RecordType, Report};

/// Seconds that a Hello and a join hold.
const HOLDTIME_SECS: u16 = 210;
/// Records of a report, and joins of a message, where they are full.
const FULL: usize = 32;
const MTU: usize = 1500;
/// Of the routers that register.
const ROUTER_LINK_ADDRESS: MacAddress = MacAddress([2, 0, 0, 1, 2, 0]);

/// A kind of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// MLD reports of hosts that nobody knows, each for a group of its own
    Reports,
    /// The same with 32 groups each
    FullReports,
    /// Joins of a neighbour, each for a source and group of its own
    Joins,
    /// The same with 32 each
    FullJoins,
    /// Hellos of routers that nobody knows
    Hellos,
    /// Register messages with data to the rendezvous point, each of a source and group of its own
    Registers,
    /// The same without data
    NullRegisters,
    /// Multicast packets of a link's hosts, each of a source and group of its own
    Data,
}

/// The link that a flood comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum From {
    Radio,
    Lan,
}

/// The router under it, as others on its links know it.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Its link-local address and its link-layer address on the LAN.
    pub(crate) link_local: Ipv6Addr,
    pub(crate) link_address: MacAddress,
    /// The rendezvous point's.
    pub(crate) rendezvous_point: Ipv6Addr,
    /// The prefix of the LAN.
    pub(crate) lan: Ipv6Addr,
}

impl Kind {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(crate) fn from(self) -> From {
        match self {
            Kind::Reports | Kind::FullReports => From::Radio,
            _ => From::Lan,
        }
    }

    /// The next frame of it.
    pub(crate) fn frame(self, target: &Target, rng: &mut Rng) -> Vec<u8> {
        let count = if matches!(self, Kind::FullReports | Kind::FullJoins) { FULL } else { 1 };
        match self {
            Kind::Reports | Kind::FullReports => {
                let record = |rng: &mut Rng| Record {
                    kind: RecordType::AllowNewSources,
                    group: source_specific(rng),
                    sources: vec![SOURCE],
                };
                let records = (0..count).map(|_| record(rng)).collect();
                let packet = Report { records }.packets(link_local(rng), MTU).remove(0);
                to_group(&packet, link_address(rng))
            }
            Kind::Joins | Kind::FullJoins => {
                let set = |rng: &mut Rng| GroupSet {
                    group: EncodedGroup::host(source_specific(rng)),
                    joined: vec![EncodedSource::host(SOURCE)],
                    pruned: Vec::new(),
                };
                let groups = (0..count).map(|_| set(rng)).collect();
                let message = JoinPrune { upstream_neighbor: target.link_local, holdtime: HOLDTIME_SECS, groups };
                of_router(NEIGHBOR, MessageType::JoinPrune, |body| message.emit(body))
            }
            Kind::Hellos => hello(link_local(rng), rng.next_u64() as u32, Vec::new()),
            Kind::Registers | Kind::NullRegisters => {
                let (source, group) = (host(rng, Ipv6Addr::new(0x2001, 0xdb8, 0x300, 0, 0, 0, 0, 0)), any_source(rng));
                let packet =
                    unicast_packet(host(rng, target.lan), target.rendezvous_point, MessageType::Register, |message| {
                        match self {
                            Kind::NullRegisters => Register::emit_null(source, group, message),
                            _ => {
                                message.extend([0; 4]);
                                message.extend(datagram(source, group));
                            }
                        }
                    });
                framed(&packet, target.link_address, ROUTER_LINK_ADDRESS)
            }
            Kind::Data => to_group(&datagram(host(rng, target.lan), any_source(rng)), link_address(rng)),
        }
    }
}

/// The neighbour on the LAN.
pub(crate) const NEIGHBOR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x200);

/// A router's Hello.
pub(crate) fn hello(from: Ipv6Addr, generation_id: u32, addresses: Vec<Ipv6Addr>) -> Vec<u8> {
    let hello =
        Hello { holdtime: Some(HOLDTIME_SECS), generation_id: Some(generation_id), addresses, ..Hello::default() };
    of_router(from, MessageType::Hello, |body| hello.emit(body))
}

fn of_router(from: Ipv6Addr, kind: MessageType, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let [.., a, b] = from.octets();
    to_group(&packet(from, kind, body), MacAddress([2, 0, 0, 1, a, b]))
}

/// A multicast packet of 64 octets.
fn datagram(source: Ipv6Addr, group: Ipv6Addr) -> Vec<u8> {
    let mut datagram = vec![0x13, 0x89, 0x13, 0x89, 0, 24, 0, 0];
    datagram.resize(24, 0x5a);
    PacketBuilder::new(source, group).checksummed(protocol::UDP, datagram, 6)
}

fn source_specific(rng: &mut Rng) -> Ipv6Addr {
    host(rng, Ipv6Addr::new(0xff3e, 0, 0, 0, 0, 0, 0, 0))
}

fn any_source(rng: &mut Rng) -> Ipv6Addr {
    host(rng, Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0))
}

fn link_local(rng: &mut Rng) -> Ipv6Addr {
    host(rng, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0))
}

/// An address with this prefix of 64 bits; never with the small numbers that routers have.
fn host(rng: &mut Rng, prefix: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.to_bits() | u128::from(rng.next_u64() | 1 << 63))
}

fn link_address(rng: &mut Rng) -> MacAddress {
    let [a, b, c, d, ..] = rng.next_u64().to_be_bytes();
    MacAddress([2, 2, a, b, c, d])
}
