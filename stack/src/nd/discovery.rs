//! The three machines of Neighbor Discovery behind one door: packets, notices and what one has to tell another go where
//! they belong.

use super::advertiser::{self, RouterAdvertiser};
use super::host::{self, HostAutoconfiguration};
use super::neighbor::{self, NeighborDiscovery};
use crate::addr;
use crate::machine::{Machine, Notice, Output, Outputs, PortId, RxMeta};
use crate::time::Instant;
use crate::wire::nd::{Message, open};
use core::net::Ipv6Addr;

/// What the machines are set up with. Every port with a link-layer address stands in `neighbor`, and in one of the others
/// where it advertises or is autoconfigured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Neighbours and own addresses.
    pub neighbor: neighbor::Config,
    /// Router Advertisements.
    pub advertiser: advertiser::Config,
    /// Autoconfiguration.
    pub host: host::Config,
}

/// What the node may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// A notice of the data plane, whatever it is about.
    Notice(Notice),
    /// For [`NeighborDiscovery`].
    Neighbor(neighbor::Command),
    /// For [`RouterAdvertiser`]. It starts by itself when the link-local address of its port is usable.
    Advertiser(advertiser::Command),
    /// For [`HostAutoconfiguration`].
    Host(host::Command),
}

/// What the node is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// By [`NeighborDiscovery`]; of addresses only those that the node added itself.
    Neighbor(neighbor::Event),
    /// By [`HostAutoconfiguration`]; never [`host::Event::Neighbor`].
    Host(host::Event),
}

/// Neighbor Discovery of a node.
#[derive(Debug)]
pub struct Discovery {
    neighbor: NeighborDiscovery,
    advertiser: RouterAdvertiser,
    host: HostAutoconfiguration,
    outputs: Outputs<Event>,
}

impl Discovery {
    /// The machines with every link down.
    pub fn new(config: Config) -> Self {
        Discovery {
            neighbor: NeighborDiscovery::new(config.neighbor),
            advertiser: RouterAdvertiser::new(config.advertiser),
            host: HostAutoconfiguration::new(config.host),
            outputs: Outputs::new(),
        }
    }

    /// Neighbours and own addresses.
    pub fn neighbor(&self) -> &NeighborDiscovery {
        &self.neighbor
    }

    /// Router Advertisements.
    pub fn advertiser(&self) -> &RouterAdvertiser {
        &self.advertiser
    }

    /// Autoconfiguration.
    pub fn host(&self) -> &HostAutoconfiguration {
        &self.host
    }

    /// Names and values of all counters.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let own = self.neighbor.counters().iter().chain(self.advertiser.counters().iter());
        own.chain(self.host.counters().iter())
    }

    /// Carries what the machines say to the node and to each other until they have nothing more to say.
    fn carry(&mut self, now: Instant) {
        loop {
            if let Some(output) = self.neighbor.poll_output() {
                match output {
                    Output::Event(event) => self.neighbor_event(now, event),
                    other => self.pass_on(other),
                }
            } else if let Some(output) = self.host.poll_output() {
                match output {
                    Output::Event(host::Event::Neighbor(command)) => self.neighbor.handle_command(now, command),
                    Output::Event(event) => self.outputs.event(Event::Host(event)),
                    other => self.pass_on(other),
                }
            } else if let Some(output) = self.advertiser.poll_output() {
                self.pass_on(output);
            } else if self.host.poll_timeout().is_some_and(|at| at <= now) {
                // A solicitation that is due at once leaves at once.
                self.host.handle_timeout(now);
            } else {
                return;
            }
        }
    }

    fn neighbor_event(&mut self, now: Instant, event: neighbor::Event) {
        match event {
            neighbor::Event::AddressUsable { port, address, optimistic: false } => {
                self.start_advertising(now, port, address);
            }
            neighbor::Event::NeighborUnreachable { .. } | neighbor::Event::NoLongerRouter { .. } => {
                self.host.handle_command(now, host::Command::Neighbor(event));
            }
            _ => {}
        }
        match event {
            neighbor::Event::AddressUsable { port, address, .. }
            | neighbor::Event::AddressDuplicate { port, address }
                if self.host.owns(port, address) =>
            {
                self.host.handle_command(now, host::Command::Neighbor(event));
            }
            event => self.outputs.event(Event::Neighbor(event)),
        }
    }

    fn start_advertising(&mut self, now: Instant, port: PortId, source: Ipv6Addr) {
        if addr::is_link_local(source) && self.advertiser.has_port(port) {
            self.advertiser.handle_command(now, advertiser::Command::Start { port, source });
        }
    }

    fn notice(&mut self, now: Instant, notice: Notice) {
        self.neighbor.handle_command(now, neighbor::Command::Notice(notice));
        self.carry(now);
        self.host.handle_command(now, host::Command::Notice(notice));
        match notice {
            Notice::LinkDown(port) => self.advertiser.handle_command(now, advertiser::Command::LinkDown(port)),
            Notice::LinkAddress(port, address) => {
                self.advertiser.handle_command(now, advertiser::Command::LinkAddress(port, address));
            }
            Notice::Mtu(port, mtu) => self.advertiser.handle_command(now, advertiser::Command::Mtu(port, mtu)),
            Notice::LinkUp(port) => {
                if let Some(source) = self.neighbor.link_local(port) {
                    self.start_advertising(now, port, source);
                }
            }
            _ => {}
        }
    }

    fn pass_on<E>(&mut self, output: Output<E>) {
        match output {
            Output::Transmit(transmit) => self.outputs.transmit(transmit.packet, transmit.via),
            Output::Table(update) => self.outputs.table(update),
            Output::Event(_) => {}
        }
    }
}

impl Machine for Discovery {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        let opened = open(packet);
        self.neighbor.handle_opened(now, meta, &opened);
        self.carry(now);
        if let Ok(message) = opened.as_ref().map(|opened| &opened.message) {
            if matches!(message, Message::RouterSolicitation(_) | Message::RouterAdvertisement(_))
                && self.advertiser.has_port(meta.port)
            {
                self.advertiser.handle_opened(now, meta, &opened);
            }
            if matches!(message, Message::RouterAdvertisement(_)) && self.host.has_port(meta.port) {
                self.host.handle_opened(now, meta, &opened);
            }
            self.carry(now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.neighbor.handle_timeout(now);
        self.carry(now);
        self.host.handle_timeout(now);
        self.advertiser.handle_timeout(now);
        self.carry(now);
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Notice(notice) => self.notice(now, notice),
            Command::Neighbor(command) => self.neighbor.handle_command(now, command),
            Command::Advertiser(command) => self.advertiser.handle_command(now, command),
            Command::Host(command) => self.host.handle_command(now, command),
        }
        self.carry(now);
    }

    fn poll_output(&mut self) -> Option<Output<Event>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.neighbor.poll_timeout(), self.host.poll_timeout(), self.advertiser.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }
}

#[cfg(test)]
mod tests;
