//! Streams: UDP datagrams at a constant rate, each with its number and the time at which it was sent.

use super::{Flow, due};
use crate::time::{Duration, Instant};
use crate::wire::error::{array, u32_at};
use core::net::Ipv6Addr;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint};
use std::collections::BTreeMap;

/// Octets that every datagram has: stream, sequence number, time.
const HEADER: usize = 20;
/// Datagrams that wait in a socket, at most.
const QUEUE: usize = 256;
/// Streams that a receiver tells apart, at most; it drops those of others.
const MAX_STREAMS: usize = 1024;
/// The largest datagram that a receiver takes.
const MAX_DATAGRAM: usize = 2048;

/// What to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamConfig {
    /// Where to.
    pub destination: Ipv6Addr,
    /// UDP port there.
    pub port: u16,
    /// Tells this stream from others at the receiver.
    pub stream: u32,
    /// When the first datagram leaves.
    pub start: Instant,
    /// How long after it the second.
    pub interval: Duration,
    /// How many.
    pub count: u64,
    /// Octets of a datagram, 20 at least.
    pub octets: usize,
}

/// A stream as its receiver knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamKey {
    /// Source address of its datagrams.
    pub source: Ipv6Addr,
    /// [`StreamConfig::stream`].
    pub stream: u32,
}

pub(super) struct Sender {
    config: StreamConfig,
    socket: SocketHandle,
    done: u64,
    pub(super) flow: Flow,
}

impl Sender {
    pub(super) fn new(config: StreamConfig, port: u16, sockets: &mut SocketSet<'static>) -> Self {
        let config = StreamConfig { octets: config.octets.max(HEADER), ..config };
        let socket = sockets.add(socket(port, config.octets));
        Sender { config, socket, done: 0, flow: Flow::default() }
    }

    pub(super) fn run(&mut self, now: Instant, sockets: &mut SocketSet<'static>) -> bool {
        let socket = sockets.get_mut::<udp::Socket>(self.socket);
        let mut busy = false;
        while self.poll_timeout().is_some_and(|at| at <= now) {
            busy = true;
            let to = IpEndpoint::new(IpAddress::Ipv6(self.config.destination), self.config.port);
            // A full queue loses the datagram, as a network would.
            if let Ok(datagram) = socket.send(self.config.octets, to) {
                datagram.fill(0);
                datagram[..4].copy_from_slice(&self.config.stream.to_be_bytes());
                datagram[4..12].copy_from_slice(&self.done.to_be_bytes());
                datagram[12..HEADER].copy_from_slice(&now.as_nanos().to_be_bytes());
            }
            self.flow.sent(self.done, now);
            self.done += 1;
        }
        busy
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        due(self.config.start, self.config.interval, self.done, self.config.count)
    }
}

pub(super) struct Receiver {
    socket: SocketHandle,
    pub(super) flows: BTreeMap<StreamKey, Flow>,
}

impl Receiver {
    pub(super) fn new(port: u16, sockets: &mut SocketSet<'static>) -> Self {
        Receiver { socket: sockets.add(socket(port, MAX_DATAGRAM)), flows: BTreeMap::new() }
    }

    pub(super) fn run(&mut self, now: Instant, sockets: &mut SocketSet<'static>) -> bool {
        let socket = sockets.get_mut::<udp::Socket>(self.socket);
        let mut busy = false;
        while let Ok((datagram, meta)) = socket.recv() {
            busy = true;
            let IpAddress::Ipv6(source) = meta.endpoint.addr;
            let (Ok(stream), Ok(sequence), Ok(sent_at)) =
                (u32_at(datagram, 0), array::<8>(datagram, 4), array::<8>(datagram, 12))
            else {
                continue;
            };
            let key = StreamKey { source, stream };
            if self.flows.len() < MAX_STREAMS || self.flows.contains_key(&key) {
                let flow = self.flows.entry(key).or_default();
                let sent_at = Instant::from_nanos(u64::from_be_bytes(sent_at));
                flow.received_sent_at(u64::from_be_bytes(sequence), sent_at, now);
            }
        }
        busy
    }
}

fn socket(port: u16, octets: usize) -> udp::Socket<'static> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; QUEUE], vec![0; QUEUE * octets]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(port).expect("a new socket takes any port but zero");
    socket
}
