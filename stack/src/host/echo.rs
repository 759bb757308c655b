//! The pinger: ICMPv6 echo requests at a constant rate (RFC 4443 §4.1). Replies to others' requests are smoltcp's.

use super::{Flow, due};
use crate::time::{Duration, Instant};
use core::net::Ipv6Addr;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp;
use smoltcp::wire::{Icmpv6Packet, Icmpv6Repr, IpAddress};

/// Requests that wait in the socket, at most, and replies.
const QUEUE: usize = 64;

/// What to ping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PingConfig {
    /// Whom.
    pub destination: Ipv6Addr,
    /// When the first request leaves.
    pub start: Instant,
    /// How long after it the second.
    pub interval: Duration,
    /// How many, 65,536 at most: the sequence number has 16 bits.
    pub count: u64,
    /// Octets behind the sequence number.
    pub payload: usize,
}

pub(super) struct Pinger {
    config: PingConfig,
    identifier: u16,
    socket: SocketHandle,
    done: u64,
    pub(super) flow: Flow,
}

impl Pinger {
    pub(super) fn new(config: PingConfig, identifier: u16, sockets: &mut SocketSet<'static>) -> Self {
        let config = PingConfig { count: config.count.min(1 << 16), ..config };
        let buffer = || {
            let octets = vec![0; QUEUE * (config.payload + 8)];
            icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; QUEUE], octets)
        };
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(identifier)).expect("a new socket is not bound");
        let socket = sockets.add(socket);
        Pinger { config, identifier, socket, done: 0, flow: Flow::default() }
    }

    pub(super) fn run(&mut self, now: Instant, sockets: &mut SocketSet<'static>) -> bool {
        let socket = sockets.get_mut::<icmp::Socket>(self.socket);
        let mut busy = false;
        while let Ok((message, source)) = socket.recv() {
            busy = true;
            let packet = Icmpv6Packet::new_checked(message);
            let parsed = packet.and_then(|packet| {
                let (source, own) = (self.config.destination, Ipv6Addr::UNSPECIFIED);
                Icmpv6Repr::parse(&source, &own, &packet, &ChecksumCapabilities::ignored())
            });
            if let Ok(Icmpv6Repr::EchoReply { ident, seq_no, .. }) = parsed
                && ident == self.identifier
                && source == IpAddress::Ipv6(self.config.destination)
            {
                self.flow.received(seq_no.into(), now);
            }
        }
        while self.poll_timeout().is_some_and(|at| at <= now) {
            busy = true;
            let data = vec![0; self.config.payload];
            let request = Icmpv6Repr::EchoRequest { ident: self.identifier, seq_no: self.done as u16, data: &data };
            // A full queue loses the request, as a network would.
            if let Ok(octets) = socket.send(request.buffer_len(), self.config.destination.into()) {
                // smoltcp computes the checksum when it knows the source address.
                let unknown = Ipv6Addr::UNSPECIFIED;
                let mut packet = Icmpv6Packet::new_unchecked(octets);
                request.emit(&unknown, &unknown, &mut packet, &ChecksumCapabilities::ignored());
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
