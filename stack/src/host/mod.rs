//! A host as others know them: no mobility, no routing, one address, programs that ping, stream and transfer.
//!
//! smoltcp is the stack, over any [`Port`]: the far end of a simulated link, or a device. [`SimHost`] is a
//! correspondent node on its LAN ([`crate::port::Medium::Ethernet`]) or the programs behind a terminal's TUN port
//! ([`crate::port::Medium::Ip`]). Like a protocol machine it is told the time and says when it wants to run again.
//!
//! What it leaves out: path MTU discovery (smoltcp has none), so [`crate::port::PortInfo::mtu`] of its port has to be
//! what the path carries; router discovery, so its gateway is configured.

mod device;
mod echo;
pub mod flow;
mod refusal;
pub mod services;
mod stream;
mod transfer;

pub use echo::PingConfig;
pub use flow::{Flow, Summary};
pub use stream::{StreamConfig, StreamKey};
pub use transfer::{Progress, Role, TransferReport, TransferState};

use crate::addr;
use crate::packet::Pool;
use crate::port::mem::{MemEnd, MemPort};
use crate::port::{LinkState, Medium, Port, PortCounters, PortInfo};
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use core::net::Ipv6Addr;
use device::PortDevice;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv6Cidr};
use std::collections::BTreeMap;

/// Samples that one flow keeps; later ones are counted and not kept.
pub const MAX_SAMPLES: usize = 8_000_000;
/// Turns inside one [`SimHost::iterate`] before it returns to its driver with work left.
const MAX_ROUNDS: usize = 64;
/// Frames of a host's own pool: what its sockets can have under way, and more.
const POOL_FRAMES: u32 = 512;

/// Who a host is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostConfig {
    /// Its address.
    pub address: Ipv6Addr,
    /// How much of it is the prefix of its link.
    pub prefix_length: u8,
    /// Its router, by link-local address or one of the prefix. `None` behind a TUN port, where everything goes there.
    pub gateway: Option<Ipv6Addr>,
    /// For sequence numbers, ports and identifiers.
    pub seed: u64,
}

/// Names a flow, a stream or a transfer of one host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowId(pub usize);

/// A host.
pub struct SimHost {
    interface: Interface,
    device: PortDevice,
    sockets: SocketSet<'static>,
    pingers: Vec<echo::Pinger>,
    senders: Vec<stream::Sender>,
    receivers: BTreeMap<u16, stream::Receiver>,
    transfers: Vec<transfer::Transfer>,
    /// When smoltcp wants its next turn.
    stack_timeout: Option<Instant>,
    rng: Rng,
}

impl SimHost {
    /// A host on `port`, with frames from `pool`.
    pub fn new(port: Box<dyn Port>, pool: Pool, config: &HostConfig) -> Self {
        let mut rng = Rng::new(config.seed);
        let info = port.info().clone();
        let hardware = match info.medium {
            Medium::Ethernet => HardwareAddress::Ethernet(EthernetAddress(info.link_address.0)),
            Medium::Ip => HardwareAddress::Ip,
        };
        let mut device = PortDevice::new(port, pool, config.address);
        let mut interface_config = Config::new(hardware);
        interface_config.random_seed = rng.next_u64();
        let mut interface = Interface::new(interface_config, &mut device, device::to_smoltcp(Instant::ORIGIN));
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::Ipv6(Ipv6Cidr::new(config.address, config.prefix_length));
            addresses.push(own).expect("the list holds two");
            if info.medium == Medium::Ethernet {
                let identifier = info.link_address.interface_identifier();
                let link_local =
                    addr::with_interface_identifier(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), identifier);
                addresses.push(IpCidr::Ipv6(Ipv6Cidr::new(link_local, 64))).expect("the list holds two");
            }
        });
        // Behind a TUN port the gateway is never resolved; any address makes a default route.
        let gateway = config.gateway.unwrap_or(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
        interface.routes_mut().add_default_ipv6_route(gateway).expect("the table holds one");
        SimHost {
            interface,
            device,
            sockets: SocketSet::new(Vec::new()),
            pingers: Vec::new(),
            senders: Vec::new(),
            receivers: BTreeMap::new(),
            transfers: Vec::new(),
            stack_timeout: None,
            rng,
        }
    }

    /// A host with a `mem` port that looks like `info`, a pool of its own, and the far end of the port.
    ///
    /// # Errors
    /// What the pool says.
    pub fn in_memory(info: PortInfo, config: &HostConfig) -> std::io::Result<(Self, MemEnd)> {
        let pool = Pool::new(POOL_FRAMES)?;
        let (port, end) = MemPort::new(info);
        Ok((SimHost::new(Box::new(port), pool, config), end))
    }

    /// Sends echo requests.
    pub fn ping(&mut self, config: PingConfig) -> FlowId {
        let identifier = self.rng.next_u64() as u16;
        self.pingers.push(echo::Pinger::new(config, identifier, &mut self.sockets));
        FlowId(self.pingers.len() - 1)
    }

    /// The echo requests and replies of a [`SimHost::ping`].
    ///
    /// # Panics
    /// Where `id` is not one of this host's pings.
    pub fn ping_flow(&self, id: FlowId) -> &Flow {
        &self.pingers[id.0].flow
    }

    /// Sends a stream of UDP datagrams at a constant rate.
    pub fn send_stream(&mut self, config: StreamConfig) -> FlowId {
        let port = 49_152 + self.rng.below(16_384) as u16;
        self.senders.push(stream::Sender::new(config, port, &mut self.sockets));
        FlowId(self.senders.len() - 1)
    }

    /// What a [`SimHost::send_stream`] has sent.
    ///
    /// # Panics
    /// Where `id` is not one of this host's streams.
    pub fn sent_stream(&self, id: FlowId) -> &Flow {
        &self.senders[id.0].flow
    }

    /// Receives streams on a UDP port.
    pub fn receive_streams(&mut self, port: u16) {
        let sockets = &mut self.sockets;
        self.receivers.entry(port).or_insert_with(|| stream::Receiver::new(port, sockets));
    }

    /// What arrived of a stream at a port that [`SimHost::receive_streams`] opened.
    pub fn received_stream(&self, port: u16, key: StreamKey) -> Option<&Flow> {
        self.receivers.get(&port)?.flows.get(&key)
    }

    /// Every stream that has arrived at a port.
    pub fn received_streams(&self, port: u16) -> impl Iterator<Item = (StreamKey, &Flow)> {
        self.receivers.get(&port).into_iter().flat_map(|r| r.flows.iter().map(|(&key, flow)| (key, flow)))
    }

    /// Waits for one TCP connection on `port` and plays `role` on it.
    pub fn serve_transfer(&mut self, port: u16, role: Role) -> FlowId {
        self.transfers.push(transfer::Transfer::serve(port, role, &mut self.sockets));
        FlowId(self.transfers.len() - 1)
    }

    /// Opens a TCP connection at `start` and plays `role` on it.
    pub fn start_transfer(&mut self, destination: Ipv6Addr, port: u16, role: Role, start: Instant) -> FlowId {
        let local = 49_152 + self.rng.below(16_384) as u16;
        self.transfers.push(transfer::Transfer::start(destination, port, local, role, start, &mut self.sockets));
        FlowId(self.transfers.len() - 1)
    }

    /// How a transfer is doing.
    ///
    /// # Panics
    /// Where `id` is not one of this host's transfers.
    pub fn transfer(&self, id: FlowId) -> &TransferReport {
        &self.transfers[id.0].report
    }

    /// One turn: what is due, what was received, what is to send. Returns whether a frame moved or a program ran.
    pub fn iterate(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for _ in 0..MAX_ROUNDS {
            let mut busy = false;
            for pinger in &mut self.pingers {
                busy |= pinger.run(now, &mut self.sockets);
            }
            for sender in &mut self.senders {
                busy |= sender.run(now, &mut self.sockets);
            }
            for transfer in &mut self.transfers {
                busy |= transfer.run(now, &mut self.interface, &mut self.sockets);
            }
            let before = self.device.counters();
            self.interface.poll(device::to_smoltcp(now), &mut self.device, &mut self.sockets);
            self.device.flush();
            let after = self.device.counters();
            busy |= (before.rx_frames, before.tx_frames) != (after.rx_frames, after.tx_frames);
            for receiver in self.receivers.values_mut() {
                busy |= receiver.run(now, &mut self.sockets);
            }
            moved |= busy;
            if !busy {
                break;
            }
        }
        let at = self.interface.poll_at(device::to_smoltcp(now), &self.sockets);
        self.stack_timeout = at.map(|at| device::from_smoltcp(at).max(now));
        moved
    }

    /// When it wants its next turn.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let pings = self.pingers.iter().filter_map(echo::Pinger::poll_timeout);
        let streams = self.senders.iter().filter_map(stream::Sender::poll_timeout);
        let transfers = self.transfers.iter().filter_map(transfer::Transfer::poll_timeout);
        pings.chain(streams).chain(transfers).chain(self.stack_timeout).min()
    }

    /// Counters of its port.
    pub fn port_counters(&self) -> PortCounters {
        self.device.counters()
    }

    /// Frames of its pool that are neither free nor waiting in its device.
    pub fn unaccounted_frames(&self) -> usize {
        self.device.unaccounted_frames()
    }
}

/// What the port of a host looks like.
pub fn port_info(name: &str, medium: Medium, link_address: addr::MacAddress, mtu: usize) -> PortInfo {
    PortInfo {
        name: name.into(),
        kind: "mem",
        mode: String::new(),
        medium,
        link_address,
        mtu,
        link: LinkState::Up,
        xdp: None,
    }
}

/// When a program that acts every `interval` acts next after `count` times.
fn due(start: Instant, interval: Duration, done: u64, count: u64) -> Option<Instant> {
    let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).saturating_mul(done);
    (done < count).then(|| start + Duration::from_nanos(nanos))
}

impl crate::sim::SimNode for SimHost {
    fn iterate(&mut self, now: Instant) -> bool {
        SimHost::iterate(self, now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        SimHost::poll_timeout(self)
    }

    fn unaccounted_frames(&self) -> usize {
        SimHost::unaccounted_frames(self)
    }
}
