//! A data plane on a bench: frames go in, frames come out, and every counter is looked at.

#![allow(dead_code, unreachable_pub)]

use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::machine::{Notice, PortId, RxMeta, Transmit, Via};
use stack::packet::{BATCH_SIZE, Batch, Pool};
use stack::pipeline::{Counters, Dataplane, DataplaneConfig, Readers};
use stack::port::{LinkState, Medium, PortInfo};
use stack::tables::{Neighbor, Route, TableUpdate};
use stack::time::Instant;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;

pub const P0: PortId = PortId(0);
pub const P1: PortId = PortId(1);
pub const P2: PortId = PortId(2);
pub const MAC0: MacAddress = MacAddress([2, 0, 0, 0, 0, 0]);
pub const MAC1: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
pub const PEER: MacAddress = MacAddress([2, 0, 0, 0, 1, 0]);

pub const CN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);
pub const SELF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xff);
pub const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
pub const FRAMES: u32 = 512;

pub struct Bench {
    pub plane: Dataplane,
    pub pool: Pool,
    pub now: Instant,
    ports: usize,
    before: Counters,
    notices: Vec<Notice>,
    /// Whether nobody takes what the node is told.
    pub is_deaf: bool,
}

pub fn port(index: u8, medium: Medium, mtu: usize) -> PortInfo {
    PortInfo {
        name: format!("p{index}"),
        kind: "mem",
        mode: String::new(),
        medium,
        link_address: MacAddress([2, 0, 0, 0, 0, index]),
        mtu,
        link: LinkState::Up,
        xdp: None,
    }
}

/// The link-layer address that the bench gives a neighbour.
pub fn mac_of(address: Ipv6Addr) -> MacAddress {
    let o = address.octets();
    MacAddress([2, 1, 0, 0, o[14], o[15]])
}

pub fn frame(destination: MacAddress, source: MacAddress, packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend_from_slice(&destination.0);
    frame.extend_from_slice(&source.0);
    frame.extend_from_slice(&[0x86, 0xdd]);
    frame.extend_from_slice(packet);
    frame
}

pub fn udp(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, data: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0];
    datagram.extend_from_slice(data);
    let length = (datagram.len() as u16).to_be_bytes();
    datagram[4..6].copy_from_slice(&length);
    PacketBuilder::new(source, destination).hop_limit(hop_limit).checksummed(protocol::UDP, datagram, 6)
}

impl Bench {
    /// A router with Ethernet ports of MTU 1500 and the address [`SELF`].
    pub fn router(ports: u8) -> Self {
        Self::with(DataplaneConfig::default(), (0..ports).map(|i| port(i, Medium::Ethernet, 1500)).collect())
    }

    pub fn with(config: DataplaneConfig, ports: Vec<PortInfo>) -> Self {
        let pool = Pool::new(FRAMES).unwrap();
        let plane = Dataplane::new(config, pool.clone(), &ports);
        Self::of(plane, pool, ports.len())
    }

    /// The same with handles on its tables for a data plane beside it.
    pub fn first(config: DataplaneConfig, ports: &[PortInfo]) -> (Self, Readers) {
        let pool = Pool::new(FRAMES).unwrap();
        let (plane, mut readers) = Dataplane::first(config, pool.clone(), ports, 1);
        (Self::of(plane, pool, ports.len()), readers.remove(0))
    }

    fn of(plane: Dataplane, pool: Pool, ports: usize) -> Self {
        let before = plane.counters().clone();
        let notices = Vec::new();
        let mut bench = Bench { plane, pool, now: Instant::from_secs(100), ports, before, notices, is_deaf: false };
        bench.set_route(&format!("{SELF}/128"), Route::Local);
        bench
    }

    pub fn apply(&mut self, update: TableUpdate) {
        self.plane.apply(self.now, update);
        self.check();
        self.take_notices();
        self.check();
    }

    pub fn set_route(&mut self, prefix: &str, route: Route) {
        self.apply(TableUpdate::RouteSet(prefix.parse().unwrap(), route));
    }

    pub fn set_neighbor(&mut self, port: PortId, address: Ipv6Addr) {
        let neighbor = Neighbor { link_address: mac_of(address), notify_use: false };
        self.apply(TableUpdate::NeighborSet(port, address, neighbor));
    }

    /// Packets come in by an Ethernet port, from [`PEER`], to the port's address or the group's.
    pub fn receive(&mut self, port: PortId, packets: &[Vec<u8>]) {
        let frames: Vec<Vec<u8>> = packets
            .iter()
            .map(|packet| {
                let destination = Ipv6Addr::from(<[u8; 16]>::try_from(&packet[24..40]).unwrap());
                let to = if destination.is_multicast() {
                    MacAddress::of_multicast(destination)
                } else {
                    MacAddress([2, 0, 0, 0, 0, port.0])
                };
                frame(to, PEER, packet)
            })
            .collect();
        self.receive_frames(port, &frames);
    }

    pub fn receive_frames(&mut self, port: PortId, frames: &[Vec<u8>]) {
        for chunk in frames.chunks(BATCH_SIZE) {
            let mut batch: Batch = chunk.iter().map(|frame| self.pool.copy_of(frame).unwrap()).collect();
            self.plane.process(self.now, port, &mut batch);
            assert!(batch.is_empty());
            self.check();
            self.take_notices();
            self.check();
        }
    }

    pub fn transmit(&mut self, packet: Vec<u8>, via: Via) {
        self.plane.transmit(self.now, &Transmit { packet, via });
        self.check();
        self.take_notices();
        self.check();
    }

    pub fn sent(&mut self, port: PortId) -> Vec<Vec<u8>> {
        core::iter::from_fn(|| self.plane.outgoing(port).pop()).map(|packet| packet.bytes().to_vec()).collect()
    }

    /// What the node got.
    pub fn local(&mut self) -> Vec<(RxMeta, Vec<u8>)> {
        core::iter::from_fn(|| self.plane.poll_local().or_else(|| self.plane.poll_signalling()))
            .map(|(meta, packet)| (meta, packet.bytes().to_vec()))
            .collect()
    }

    pub fn notices(&mut self) -> Vec<Notice> {
        self.take_notices();
        core::mem::take(&mut self.notices)
    }

    /// Takes what the node is told, without an answer: packets that wait for one go on.
    fn take_notices(&mut self) {
        while !self.is_deaf
            && let Some(notice) = self.plane.poll_notice()
        {
            self.notices.push(notice);
        }
    }

    /// Every counter that has changed since the last call, and no other.
    pub fn expect_counters(&mut self, expected: &[(&str, u64)]) {
        let after = self.plane.counters().clone();
        let mut difference: Vec<(&str, u64)> = after.since(&self.before).collect();
        let mut expected = expected.to_vec();
        difference.sort();
        expected.sort();
        assert_eq!(difference, expected);
        self.before = after;
    }

    /// Packets and frames balance.
    pub fn check(&self) {
        assert!(self.plane.counters().is_balanced(), "{:?}", self.plane.counters());
        assert_eq!(self.pool.free_frames() + self.plane.held_frames(), FRAMES as usize);
        let _ = self.ports;
    }
}
