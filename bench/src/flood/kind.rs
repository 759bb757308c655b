//! What a flood is made of: frames of which no two are alike.

use crate::handover::site::SOURCE;
use crate::handover::terminal::framed;
use clap::ValueEnum;
use core::net::Ipv6Addr;
use pim::wire::{EncodedGroup, EncodedSource, GroupSet, Hello, JoinPrune, MessageType, Register, VERSION};
use serde::Serialize;
use stack::addr::{ALL_PIM_ROUTERS, MacAddress};
use stack::rng::Rng;
use stack::wire::build::PacketBuilder;
use stack::wire::checksum;
use stack::wire::ethernet::{ETHERTYPE_IPV6, HEADER_LEN as ETHERNET_LEN, Header};
use stack::wire::ipv6::protocol;
use stack::wire::mld::{Record, RecordType, Report};

/// Seconds that a Hello and a join hold.
const HOLDTIME_SECS: u16 = 210;
/// Records of a report, and joins of a message, where they are full.
const FULL: usize = 32;
const MTU: usize = 1500;
/// The PIM header and the flags of a Register.
const REGISTER_CHECKSUM_LEN: usize = 8;

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
                framed(link_address(rng), &packet)
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
                let mut message = vec![VERSION << 4 | MessageType::Register.value(), 0, 0, 0];
                if self == Kind::NullRegisters {
                    Register::emit_null(source, group, &mut message);
                } else {
                    message.extend([0; 4]);
                    message.extend(datagram(source, group));
                }
                let router = host(rng, target.lan);
                register(router, target, message)
            }
            Kind::Data => framed(link_address(rng), &datagram(host(rng, target.lan), any_source(rng))),
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
    let mut message = vec![VERSION << 4 | kind.value(), 0, 0, 0];
    body(&mut message);
    let packet = PacketBuilder::new(from, ALL_PIM_ROUTERS).hop_limit(1).checksummed(protocol::PIM, message, 2);
    let [.., a, b] = from.octets();
    framed(MacAddress([2, 0, 0, 1, a, b]), &packet)
}

/// A Register to the rendezvous point; its checksum is of the PIM header and the flags (RFC 7761 §4.9).
fn register(from: Ipv6Addr, target: &Target, mut message: Vec<u8>) -> Vec<u8> {
    let to = target.rendezvous_point;
    let sum = checksum::upper_layer(from, to, protocol::PIM, &message[..REGISTER_CHECKSUM_LEN]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let packet = PacketBuilder::new(from, to).payload(protocol::PIM, &message);
    let header =
        Header { destination: target.link_address, source: MacAddress([2, 0, 0, 1, 2, 0]), ethertype: ETHERTYPE_IPV6 };
    let mut frame = vec![0; ETHERNET_LEN];
    header.emit(frame.first_chunk_mut().expect("fourteen octets"));
    frame.extend_from_slice(&packet);
    frame
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
