//! Small services that a node offers at an address of its own: echo, sink and source, as machines are driven: packets and
//! time in, packets out, no thread and no clock.
//!
//! They are what a correspondent without programs of its own has for its terminals to talk to (RFC 862, RFC 863; the
//! source sends what RFC 864 leaves open, octets counted round). smoltcp is the TCP and the UDP. Every service has so many
//! connections at the most; who does not finish a handshake makes room for others.
//!
//! Left out: path MTU discovery. Packets are no larger than every link carries less what a mobile node's headers take.

use super::device::{from_smoltcp, to_smoltcp};
use crate::machine::{Machine, Output, Outputs, RxMeta, Via};
use crate::time::{Duration, Instant};
use crate::wire::ipv6::MINIMUM_MTU;
use core::convert::Infallible;
use core::net::Ipv6Addr;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv6Cidr};
use std::collections::VecDeque;

/// Services of a node at the most.
pub const MAX_SERVICES: usize = 16;
/// Connections of a service at the most.
pub const MAX_CONNECTIONS: usize = 256;
/// Octets that wait in each direction of a connection.
const TCP_BUFFER: usize = 32 * 1024;
/// Datagrams that wait, at most, and the largest one.
const UDP_QUEUE: usize = 64;
const MAX_DATAGRAM: usize = 1500;
/// Packets that one turn may make before they are taken away.
const MAX_OUTGOING: usize = 64;
/// Turns for one packet or timeout; what is left is done at once again.
const MAX_ROUNDS: usize = 64;
/// A connection whose other side is silent for so long is given up.
const TIMEOUT: Duration = Duration::from_secs(120);
/// An idle connection is probed after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// A handshake that has not ended by this time makes room where it is needed.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Datagrams from lower ports are from services like these: two echoes would answer each other for ever.
const FIRST_CLIENT_PORT: u16 = 1024;
/// What the source sends is these numbers over and over.
const PERIOD: u64 = 251;

/// A service on a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Service {
    /// What it does.
    pub kind: ServiceKind,
    /// The TCP or UDP port.
    pub port: u16,
    /// Connections at the most, at least one; of no meaning for UDP.
    pub max_connections: usize,
}

/// What a service does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ServiceKind {
    /// Sends back what comes by TCP (RFC 862).
    TcpEcho,
    /// Sends datagrams back (RFC 862).
    UdpEcho,
    /// Takes what comes by TCP and throws it away (RFC 863).
    Sink,
    /// Sends by TCP for as long as somebody takes it (RFC 864).
    Source,
}

impl ServiceKind {
    /// Every kind.
    pub const ALL: [ServiceKind; 4] =
        [ServiceKind::TcpEcho, ServiceKind::UdpEcho, ServiceKind::Sink, ServiceKind::Source];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            ServiceKind::TcpEcho => "tcp-echo",
            ServiceKind::UdpEcho => "udp-echo",
            ServiceKind::Sink => "sink",
            ServiceKind::Source => "source",
        }
    }

    /// The port that IANA has given it.
    pub const fn well_known_port(self) -> u16 {
        match self {
            ServiceKind::TcpEcho | ServiceKind::UdpEcho => 7,
            ServiceKind::Sink => 9,
            ServiceKind::Source => 19,
        }
    }

    /// Whether it is one of UDP.
    pub const fn is_udp(self) -> bool {
        matches!(self, ServiceKind::UdpEcho)
    }
}

crate::counters! {
    /// What the services have done.
    Counters {
        /// Packets given to the services.
        rx = "rx",
        /// Packets sent.
        tx = "tx",
        /// Connections accepted.
        connections = "connections",
        /// Connections that made room for others: unfinished handshakes, and those that only waited for late packets.
        displaced = "connections-displaced",
        /// Octets received.
        rx_octets = "rx-octets",
        /// Octets sent.
        tx_octets = "tx-octets",
        /// Datagrams sent back.
        datagrams = "datagrams-echoed",
        /// Datagrams that were not: from a port of a service, or without room.
        datagrams_refused = "datagrams-refused",
    }
}

/// The services of one address.
///
/// In: [`Machine::handle_packet`] for TCP and UDP to the address, [`Machine::handle_timeout`]. Out:
/// [`Machine::poll_output`], which has nothing but packets.
pub struct ServiceHost {
    interface: Interface,
    queues: Queues,
    sockets: SocketSet<'static>,
    services: Vec<Running>,
    timeout: Option<Instant>,
    outputs: Outputs<Infallible>,
    counters: Counters,
}

struct Running {
    service: Service,
    connections: Vec<Connection>,
}

/// A socket of a service.
struct Connection {
    socket: SocketHandle,
    /// When somebody began to talk to it; `None`: it waits for that.
    since: Option<Instant>,
    /// Octets sent, for the source.
    sent: u64,
}

impl ServiceHost {
    /// Services at an address. `seed` makes sequence numbers unpredictable from outside.
    pub fn new(address: Ipv6Addr, services: &[Service], seed: u64) -> Self {
        let mut queues = Queues::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut queues, to_smoltcp(Instant::ORIGIN));
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::Ipv6(Ipv6Cidr::new(address, 128))).expect("the list holds one");
        });
        // Never resolved on a link without addresses; any address makes a default route.
        let gateway = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        interface.routes_mut().add_default_ipv6_route(gateway).expect("the table holds one");
        let mut sockets = SocketSet::new(Vec::new());
        let running = services.iter().map(|&service| Running::new(service, &mut sockets)).collect();
        ServiceHost {
            interface,
            queues,
            sockets,
            services: running,
            timeout: None,
            outputs: Outputs::new(),
            counters: Counters::default(),
        }
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Every service with its connections, those that wait for somebody left out.
    pub fn services(&self) -> impl Iterator<Item = (Service, usize)> + '_ {
        self.services.iter().map(|running| {
            let open = running.connections.iter().filter(|connection| connection.since.is_some());
            (running.service, open.count())
        })
    }

    fn run(&mut self, now: Instant) {
        let at = to_smoltcp(now);
        let mut settled = false;
        for _ in 0..MAX_ROUNDS {
            self.interface.poll(at, &mut self.queues, &mut self.sockets);
            let mut busy = !self.queues.outgoing.is_empty();
            for packet in self.queues.outgoing.drain(..) {
                self.counters.tx += 1;
                self.outputs.transmit(packet, Via::Route);
            }
            for running in &mut self.services {
                busy |= running.run(now, &mut self.sockets, &mut self.counters);
            }
            if !busy {
                settled = true;
                break;
            }
        }
        let next = self.interface.poll_at(at, &self.sockets).map(|next| from_smoltcp(next).max(now));
        self.timeout = if settled { next } else { Some(now) };
    }
}

impl Machine for ServiceHost {
    type Command = Infallible;
    type Event = Infallible;

    fn handle_packet(&mut self, now: Instant, _meta: &RxMeta, packet: &[u8]) {
        self.counters.rx += 1;
        self.queues.incoming = Some(packet.to_vec());
        self.run(now);
        // One that smoltcp did not take is lost, as in a full ring.
        self.queues.incoming = None;
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.timeout.is_some_and(|at| at <= now) {
            self.run(now);
        }
    }

    fn handle_command(&mut self, _now: Instant, command: Infallible) {
        match command {}
    }

    fn poll_output(&mut self) -> Option<Output<Infallible>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }
}

impl Running {
    fn new(service: Service, sockets: &mut SocketSet<'static>) -> Self {
        let mut running = Running { service, connections: Vec::new() };
        if service.kind.is_udp() {
            let buffer = || {
                udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; UDP_QUEUE], vec![0; UDP_QUEUE * MAX_DATAGRAM])
            };
            let mut socket = udp::Socket::new(buffer(), buffer());
            socket.bind(service.port).expect("the port is not zero");
            running.connections.push(Connection { socket: sockets.add(socket), since: None, sent: 0 });
        } else {
            running.listen(sockets);
        }
        running
    }

    fn listen(&mut self, sockets: &mut SocketSet<'static>) {
        let buffer = || tcp::SocketBuffer::new(vec![0; TCP_BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_timeout(Some(to_duration(TIMEOUT)));
        socket.set_keep_alive(Some(to_duration(KEEP_ALIVE)));
        socket.listen(self.service.port).expect("the port is not zero");
        self.connections.push(Connection { socket: sockets.add(socket), since: None, sent: 0 });
    }

    /// Moves what can be moved; whether anything was.
    fn run(&mut self, now: Instant, sockets: &mut SocketSet<'static>, counters: &mut Counters) -> bool {
        if self.service.kind.is_udp() {
            return self.echo_datagrams(sockets, counters);
        }
        let mut busy = false;
        for connection in &mut self.connections {
            let socket = sockets.get_mut::<tcp::Socket>(connection.socket);
            if connection.since.is_none() && !matches!(socket.state(), tcp::State::Listen) {
                connection.since = Some(now);
                counters.connections += 1;
                busy = true;
            }
            busy |= exchange(self.service.kind, socket, &mut connection.sent, counters);
        }
        self.connections.retain(|connection| {
            let closed = sockets.get::<tcp::Socket>(connection.socket).state() == tcp::State::Closed;
            if closed {
                sockets.remove(connection.socket);
            }
            !closed
        });
        if self.connections.iter().all(|connection| connection.since.is_some()) {
            if self.connections.len() >= self.service.max_connections.max(1) {
                self.displace(now, sockets, counters);
            }
            if self.connections.len() < self.service.max_connections.max(1) {
                self.listen(sockets);
                busy = true;
            }
        }
        busy
    }

    /// Takes the first connection away that is of no use any more, or not yet and for too long.
    fn displace(&mut self, now: Instant, sockets: &mut SocketSet<'static>, counters: &mut Counters) {
        let place = self.connections.iter().position(|connection| {
            let age = connection.since.map_or(Duration::ZERO, |since| now.since(since));
            match sockets.get::<tcp::Socket>(connection.socket).state() {
                tcp::State::TimeWait => true,
                tcp::State::SynReceived => age >= HANDSHAKE,
                _ => false,
            }
        });
        if let Some(place) = place {
            counters.displaced += 1;
            sockets.remove(self.connections.remove(place).socket);
        }
    }

    fn echo_datagrams(&self, sockets: &mut SocketSet<'static>, counters: &mut Counters) -> bool {
        let mut busy = false;
        for connection in &self.connections {
            let socket = sockets.get_mut::<udp::Socket>(connection.socket);
            while let Ok((datagram, from)) = socket.recv() {
                busy = true;
                let datagram = datagram.to_vec();
                counters.rx_octets += datagram.len() as u64;
                if from.endpoint.port >= FIRST_CLIENT_PORT && socket.send_slice(&datagram, from.endpoint).is_ok() {
                    counters.datagrams += 1;
                    counters.tx_octets += datagram.len() as u64;
                } else {
                    counters.datagrams_refused += 1;
                }
            }
        }
        busy
    }
}

/// One connection's turn; whether octets moved.
fn exchange(kind: ServiceKind, socket: &mut tcp::Socket<'_>, sent: &mut u64, counters: &mut Counters) -> bool {
    let mut received = 0;
    let before = *sent;
    match kind {
        ServiceKind::TcpEcho => {
            while socket.can_recv() && socket.can_send() {
                let room = socket.send_capacity() - socket.send_queue();
                let Ok(octets) = socket.recv(|data| (data.len().min(room), data[..data.len().min(room)].to_vec()))
                else {
                    break;
                };
                received += octets.len();
                *sent += socket.send_slice(&octets).unwrap_or(0) as u64;
            }
        }
        ServiceKind::Sink => {
            while socket.can_recv() {
                received += socket.recv(|data| (data.len(), data.len())).unwrap_or(0);
            }
        }
        ServiceKind::Source => {
            while socket.can_recv() {
                received += socket.recv(|data| (data.len(), data.len())).unwrap_or(0);
            }
            while socket.can_send() {
                let at = *sent;
                let written = socket.send(|room| {
                    room.iter_mut().zip(at..).for_each(|(octet, number)| *octet = (number % PERIOD) as u8);
                    (room.len(), room.len() as u64)
                });
                *sent += written.unwrap_or(0);
            }
        }
        ServiceKind::UdpEcho => {}
    }
    // The other side has sent all that it will. A source goes on for as long as that one listens.
    if socket.state() == tcp::State::CloseWait && !socket.can_recv() && kind != ServiceKind::Source {
        socket.close();
    }
    counters.rx_octets += received as u64;
    counters.tx_octets += *sent - before;
    received > 0 || *sent > before
}

const fn to_duration(duration: Duration) -> smoltcp::time::Duration {
    smoltcp::time::Duration::from_millis(duration.as_millis() as u64)
}

/// smoltcp's device: one packet in, a few out.
#[derive(Default)]
struct Queues {
    incoming: Option<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Sending<'q>(&'q mut VecDeque<Vec<u8>>);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sending<'_>)> {
        let packet = self.incoming.take()?;
        Some((Received(packet), Sending(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sending<'_>> {
        (self.outgoing.len() < MAX_OUTGOING).then_some(Sending(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        (capabilities.medium, capabilities.max_transmission_unit) = (Medium::Ip, MINIMUM_MTU);
        capabilities
    }
}

#[cfg(test)]
mod tests;
