//! The services against hosts like those of the simulator, and against who does not play by the rules.

use super::super::{FlowId, HostConfig, Role, SimHost, StreamConfig, TransferState, port_info};
use super::*;
use crate::addr::MacAddress;
use crate::machine::{PortId, Transmit};
use crate::port::mem::MemEnd;
use crate::wire::build::PacketBuilder;
use crate::wire::ipv6::{HEADER_LEN, protocol};

const SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const CLIENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
const META: RxMeta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };

fn service(kind: ServiceKind) -> Service {
    Service { kind, port: kind.well_known_port(), max_connections: 2 }
}

/// A host with programs, the services, and nothing between them.
struct Pair {
    client: SimHost,
    end: MemEnd,
    server: ServiceHost,
    now: Instant,
}

impl Pair {
    fn new(kind: ServiceKind) -> Self {
        let info = port_info("p", crate::port::Medium::Ip, MacAddress::default(), 1500);
        let config = HostConfig { address: CLIENT, prefix_length: 128, gateway: None, seed: 3 };
        let (client, end) = SimHost::in_memory(info, &config).unwrap();
        let server = ServiceHost::new(SERVER, &[service(kind)], 4);
        Pair { client, end, server, now: Instant::from_secs(1) }
    }

    /// Lets both run for a time.
    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now <= until {
            let mut busy = self.client.iterate(self.now);
            while let Some(packet) = self.end.pop() {
                self.server.handle_packet(self.now, &META, &packet);
                busy = true;
            }
            self.server.handle_timeout(self.now);
            while let Some(Output::Transmit(Transmit { packet, via })) = self.server.poll_output() {
                assert!(via == Via::Route && packet.len() <= MINIMUM_MTU);
                assert!(self.end.push(packet));
                busy = true;
            }
            // A way there and back takes a millisecond, or a fast source would never see the time pass.
            let step = self.now + Duration::from_millis(1);
            let next = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
            self.now = if busy { step } else { next.map_or(until, |next| next).max(step) };
        }
        self.now = until;
    }

    fn start(&mut self, kind: ServiceKind, role: Role) -> FlowId {
        self.client.start_transfer(SERVER, kind.well_known_port(), role, self.now)
    }
}

#[test]
fn a_sink_takes_everything_and_closes_when_the_sender_does() {
    let mut pair = Pair::new(ServiceKind::Sink);
    let id = pair.start(ServiceKind::Sink, Role::Send(1_000_000));
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.client.transfer(id).state, TransferState::Finished);
    assert_eq!(pair.server.counters().rx_octets, 1_000_000);
    assert_eq!(pair.server.services().collect::<Vec<_>>(), [(service(ServiceKind::Sink), 0)]);
}

#[test]
fn a_source_sends_what_a_receiver_expects_for_as_long_as_it_listens() {
    let mut pair = Pair::new(ServiceKind::Source);
    let id = pair.start(ServiceKind::Source, Role::Receive);
    pair.run(Duration::from_millis(200));
    let report = pair.client.transfer(id).clone();
    assert!(report.octets > 100_000 && report.corrupt == 0, "{report:?}");
    assert_eq!(pair.server.services().next().unwrap().1, 1);
}

#[test]
fn what_is_echoed_is_what_was_sent() {
    let mut server = ServiceHost::new(SERVER, &[service(ServiceKind::TcpEcho)], 4);
    let mut peer = Peer::new(40_000, 7);
    peer.connect(&mut server, Instant::from_secs(1));
    let octets: Vec<u8> = (0..3000_u32).map(|n| (n % 241) as u8).collect();
    for chunk in octets.chunks(700) {
        peer.send(&mut server, Instant::from_secs(1), chunk);
    }
    assert_eq!(peer.received, octets);
    peer.finish(&mut server, Instant::from_secs(2));
    assert_eq!(server.services().next().unwrap().1, 0, "closed on both sides");
}

#[test]
fn datagrams_come_back_to_programs_and_not_to_services() {
    let mut pair = Pair::new(ServiceKind::UdpEcho);
    pair.client.send_stream(StreamConfig {
        destination: SERVER,
        port: 7,
        stream: 1,
        start: pair.now,
        interval: Duration::from_millis(10),
        count: 20,
        octets: 100,
    });
    pair.run(Duration::from_secs(1));
    assert_eq!((pair.server.counters().datagrams, pair.server.counters().tx_octets), (20, 2000));
    let datagram = |port: u16| {
        let mut message = vec![0; 12];
        message[..2].copy_from_slice(&port.to_be_bytes());
        message[2..6].copy_from_slice(&[0, 7, 0, 12]);
        PacketBuilder::new(CLIENT, SERVER).checksummed(protocol::UDP, message, 6)
    };
    pair.server.handle_packet(pair.now, &META, &datagram(7));
    assert!(pair.server.poll_output().is_none());
    assert_eq!(pair.server.counters().datagrams_refused, 1);
    pair.server.handle_packet(pair.now, &META, &datagram(1024));
    let Some(Output::Transmit(answer)) = pair.server.poll_output() else { panic!("no answer") };
    assert_eq!(answer.packet[HEADER_LEN..HEADER_LEN + 4], [0, 7, 4, 0]);
}

#[test]
fn a_port_without_service_is_refused() {
    let mut pair = Pair::new(ServiceKind::TcpEcho);
    let id = pair.client.start_transfer(SERVER, 9, Role::Send(10), pair.now);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.client.transfer(id).state, TransferState::Broken);
}

#[test]
fn connections_are_bounded_and_unfinished_handshakes_make_room() {
    let mut server = ServiceHost::new(SERVER, &[service(ServiceKind::Sink)], 4);
    let start = Instant::from_secs(1);
    for port in 0..1000 {
        Peer::new(10_000 + port, 9).open(&mut server, start);
    }
    assert_eq!((server.services().next().unwrap().1, server.sockets.iter().count()), (2, 2));
    let later = start + HANDSHAKE;
    server.timeout = Some(later);
    server.handle_timeout(later);
    let mut peer = Peer::new(40_000, 9);
    peer.connect(&mut server, later);
    peer.send(&mut server, later, b"taken");
    assert_eq!(server.counters().rx_octets, 5);
    assert!(server.sockets.iter().count() <= 2);
}

#[test]
fn mutants_do_not_grow_the_services() {
    let services: Vec<Service> = ServiceKind::ALL.into_iter().map(service).collect();
    let mut server = ServiceHost::new(SERVER, &services, 4);
    let mut rng = crate::rng::Rng::new(5);
    let mut now = Instant::from_secs(1);
    for _ in 0..20_000 {
        now += Duration::from_millis(rng.below(20));
        let mut peer = Peer::new(1000 + rng.below(60_000) as u16, [7, 9, 19][rng.below(3) as usize]);
        peer.next = rng.next_u64() as u32;
        peer.expected = rng.next_u64() as u32;
        let payload = vec![7; rng.below(64) as usize];
        let mut packet = peer.segment(rng.below(64) as u8, &payload);
        if rng.below(2) == 0 {
            let at = rng.below(packet.len() as u64) as usize;
            packet[at] ^= 1 << rng.below(8);
        }
        server.handle_packet(now, &META, &packet);
        let mut answers = 0;
        while server.poll_output().is_some() {
            answers += 1;
        }
        assert!(answers <= MAX_OUTGOING * MAX_ROUNDS && server.sockets.iter().count() <= 3 * 2 + 1);
        server.handle_timeout(now);
        while server.poll_output().is_some() {}
    }
}

/// The other end of a connection, by hand.
struct Peer {
    source: u16,
    destination: u16,
    next: u32,
    expected: u32,
    received: Vec<u8>,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

impl Peer {
    fn new(source: u16, destination: u16) -> Self {
        Peer { source, destination, next: 1000, expected: 0, received: Vec::new() }
    }

    fn segment(&self, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        message.extend_from_slice(&self.source.to_be_bytes());
        message.extend_from_slice(&self.destination.to_be_bytes());
        message.extend_from_slice(&self.next.to_be_bytes());
        message.extend_from_slice(&self.expected.to_be_bytes());
        message.extend_from_slice(&[5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        message.extend_from_slice(payload);
        PacketBuilder::new(CLIENT, SERVER).checksummed(protocol::TCP, message, 16)
    }

    fn exchange(&mut self, server: &mut ServiceHost, now: Instant, flags: u8, payload: &[u8]) {
        server.handle_packet(now, &META, &self.segment(flags, payload));
        self.next = self.next.wrapping_add(payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
        let mut heard = false;
        loop {
            while let Some(Output::Transmit(Transmit { packet, .. })) = server.poll_output() {
                let segment = &packet[HEADER_LEN..];
                let number = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
                let data = &segment[usize::from(segment[12] >> 4) * 4..];
                if segment[13] & SYN != 0 {
                    self.expected = number.wrapping_add(1);
                } else if number == self.expected {
                    self.received.extend_from_slice(data);
                    self.expected = number.wrapping_add(data.len() as u32 + u32::from(segment[13] & FIN != 0));
                    heard |= !data.is_empty() || segment[13] & FIN != 0;
                }
            }
            if !core::mem::take(&mut heard) {
                return;
            }
            server.handle_packet(now, &META, &self.segment(ACK, &[]));
        }
    }

    fn open(&mut self, server: &mut ServiceHost, now: Instant) {
        self.exchange(server, now, SYN, &[]);
    }

    fn connect(&mut self, server: &mut ServiceHost, now: Instant) {
        self.open(server, now);
        self.exchange(server, now, ACK, &[]);
    }

    fn send(&mut self, server: &mut ServiceHost, now: Instant, payload: &[u8]) {
        self.exchange(server, now, ACK, payload);
    }

    fn finish(&mut self, server: &mut ServiceHost, now: Instant) {
        self.exchange(server, now, ACK | FIN, &[]);
    }
}
