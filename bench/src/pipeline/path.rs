//! The paths of the data plane that are measured: for each the tables, the packets, and where they have to end.

use super::frame::{Frame, nth};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use core::net::Ipv6Addr;
use stack::addr::{MacAddress, Prefix};
use stack::machine::PortId;
use stack::packet::{Batch, Pool};
use stack::pipeline::{Counter, Dataplane, DataplaneConfig, Forwarding, Limits};
use stack::port::{LinkState, Medium, PortInfo};
use stack::tables::{
    Accept, BindingState, GroupReception, HomeBinding, MmaBinding, MmaService, Mroute, MrouteKey, Neighbor, PortSet,
    Route, TableUpdate,
};
use stack::time::Instant;

/// Frames of the pool. Those that are used are the ones given back last, as with a port.
const FRAMES: u32 = 1024;
/// The largest packet on every link, so that 1,500 octets fit with two outer headers.
const MTU: usize = 1600;
/// Branches of a tree at the most.
pub(crate) const MAX_BRANCHES: u8 = 32;
/// Entries of a table at the most.
pub(crate) const MAX_ENTRIES: u32 = 1 << 22;
/// Routers behind which the routes are.
const NEXT_HOPS: u32 = 8;
/// The shortest prefix of [`Kind::UnicastLengths`].
const SHORTEST: u8 = 32;
/// How many lengths there are.
const LENGTHS: u32 = 25;
const GRE_KEY: u32 = 5;

const IN: PortId = PortId(0);
const OUT: PortId = PortId(1);
/// What stands for the terminal's TUN device.
const TUN: PortId = PortId(2);

const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);
const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x201, 0, 0, 0, 0, 1);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x202, 0, 0, 0, 0, 1);
const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 0);
const ACCESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x300, 0xa, 0x0200, 0x5eff, 0, 0);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0, 0);
const PEER: MacAddress = MacAddress([2, 0, 0, 0, 1, 0]);

/// A way through the data plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Unicast by /64 routes
    Unicast,
    /// Unicast by routes of 25 prefix lengths, /32 to /56
    UnicastLengths,
    /// Multicast by (S,G) routes
    Multicast,
    /// Mobility agent: home agent's tunnel to the terminal's group
    MmaGroup,
    /// The same with GRE, key and sequence number
    MmaGroupGre,
    /// Mobility agent: type 2 routing header to the terminal's group
    MmaRouted,
    /// Mobility agent: reverse tunnel of a terminal on to its home agent
    MmaReverse,
    /// Home agent: interception and tunnel to the care-of address
    HaIntercept,
    /// Home agent: reverse tunnel left, checked and forwarded
    HaReverse,
    /// Mobile terminal: its group's tunnel left
    Terminal,
    /// The same with GRE, key and sequence number
    TerminalGre,
}

impl Kind {
    /// As on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether the node is a host, which has one entry.
    pub(crate) fn is_terminal(self) -> bool {
        matches!(self, Kind::Terminal | Kind::TerminalGre)
    }
}

/// A path with its tables filled.
pub(crate) struct Path {
    pub(crate) kind: Kind,
    pub(crate) entries: u32,
    pub(crate) branches: u8,
    pub(crate) frame: Frame,
    plane: Dataplane,
    pool: Pool,
    /// What every packet has to be counted as.
    passes: Counter,
    leaves_by: Vec<PortId>,
}

impl Path {
    /// The path with tables of so many entries, and packets whose innermost IPv6 packet has so many octets.
    pub(crate) fn new(kind: Kind, entries: u32, branches: u8, octets: usize) -> Result<Self> {
        let forwarding = if kind.is_terminal() { Forwarding::Host } else { Forwarding::Router };
        let limit = entries + 16;
        let limits = Limits {
            routes: limit as usize,
            mroutes: limit,
            mma_bindings: limit,
            home_bindings: limit,
            ..Limits::default()
        };
        let config =
            DataplaneConfig { forwarding, host_ports: PortSet::single(TUN), limits, ..DataplaneConfig::default() };
        let mut ports: Vec<PortInfo> = (0..=branches.max(TUN.0)).map(port).collect();
        if forwarding == Forwarding::Host {
            ports[usize::from(TUN.0)].medium = Medium::Ip;
        }
        let pool = Pool::new(FRAMES)?;
        let mut path = Path {
            kind,
            entries,
            branches,
            frame: Frame::udp(CORRESPONDENT, nth(HOME, 0), octets),
            plane: Dataplane::new(config, pool.clone(), &ports),
            pool,
            passes: Counter::Output,
            leaves_by: vec![OUT],
        };
        path.frame = path.fill_tables(octets)?.on_ethernet(link_address(IN.0), PEER);
        ensure!(path.plane.counters().get(Counter::RefusedUpdates) == 0, "a table refused an entry");
        Ok(path)
    }

    /// Groups with a route each.
    pub(crate) fn groups(&self) -> u64 {
        match self.kind {
            Kind::Multicast | Kind::MmaGroup | Kind::MmaGroupGre | Kind::MmaRouted | Kind::MmaReverse => {
                self.entries.into()
            }
            Kind::Terminal | Kind::TerminalGre => 1,
            _ => 0,
        }
    }

    /// Fills the tables; answers the packets, as they are on a link without link-layer header.
    fn fill_tables(&mut self, octets: usize) -> Result<Frame> {
        let entries = 0..self.entries;
        let down = Frame::udp(CORRESPONDENT, nth(HOME, 0), octets).destination_varies();
        let up = Frame::udp(nth(HOME, 0), CORRESPONDENT, octets).source_varies();
        Ok(match self.kind {
            Kind::Unicast | Kind::UnicastLengths => {
                let mut destinations = Vec::new();
                for index in entries {
                    let (prefix, host) = self.unicast_prefix(index)?;
                    self.route(prefix, Route::Via { port: OUT, next_hop: router(index) });
                    destinations.push(host);
                }
                Frame::udp_to_each(CORRESPONDENT, destinations, octets)
            }
            Kind::Multicast => {
                self.leaves_by = (1..=self.branches).map(PortId).collect();
                let forward: PortSet = self.leaves_by.iter().copied().collect();
                for index in entries {
                    self.mroute(index, Mroute { accept: Accept::Port(IN), forward });
                }
                Frame::udp(SOURCE, nth(GROUP, 0), octets).destination_varies()
            }
            Kind::MmaGroup | Kind::MmaGroupGre | Kind::MmaRouted => {
                self.passes = Counter::BindingToGroup;
                self.mobility_agent();
                match self.kind {
                    Kind::MmaRouted => Frame::routed(CORRESPONDENT, nth(CARE_OF, 0), nth(HOME, 0), octets),
                    _ => down.tunnelled(HOME_AGENT, nth(CARE_OF, 0), None).outer_destination_varies(),
                }
            }
            Kind::MmaReverse => {
                self.passes = Counter::TunnelToHomeAgent;
                self.mobility_agent();
                up.tunnelled(nth(ACCESS, 0), AGENT, None).outer_source_varies()
            }
            Kind::HaIntercept => {
                self.passes = Counter::HomeIntercepted;
                self.home_agent();
                down
            }
            Kind::HaReverse => {
                self.passes = Counter::TunnelExit;
                self.home_agent();
                up.tunnelled(nth(CARE_OF, 0), HOME_AGENT, None).outer_source_varies()
            }
            Kind::Terminal | Kind::TerminalGre => {
                self.passes = Counter::TerminalReceived;
                self.leaves_by = vec![TUN];
                let gre_key = (self.kind == Kind::TerminalGre).then_some(GRE_KEY);
                let (care_of, home_address) = (nth(CARE_OF, 0), nth(HOME, 0));
                self.route(Prefix::host(home_address), Route::OnLink(TUN));
                let reception = GroupReception { source: SOURCE, gre_key, care_of, home_address };
                self.apply(TableUpdate::GroupReceptionSet(nth(GROUP, 0), reception));
                let inner = Frame::udp(CORRESPONDENT, home_address, octets);
                inner.tunnelled(SOURCE, nth(GROUP, 0), gre_key)
            }
        })
    }

    /// A prefix, far from that of the entry before, and an address in it.
    fn unicast_prefix(&self, index: u32) -> Result<(Prefix, Ipv6Addr)> {
        let length = match self.kind {
            Kind::UnicastLengths => SHORTEST + (index % LENGTHS) as u8,
            _ => 64,
        };
        let scattered = u128::from(index.wrapping_mul(0x9e37_79b1));
        let host = Ipv6Addr::from_bits(0x2a00 << 112 | scattered << 80 | 1);
        let prefix = Prefix::new(host, length).context("no such prefix length")?;
        Ok((prefix, host))
    }

    fn mobility_agent(&mut self) {
        let gre_key = (self.kind == Kind::MmaGroupGre).then_some(GRE_KEY);
        self.default_route();
        self.route(Prefix::of_link(CARE_OF), Route::CareOf);
        self.route(Prefix::host(AGENT), Route::Local);
        let access_prefixes = vec![Prefix::of_link(ACCESS)];
        self.apply(TableUpdate::MmaServiceSet(MmaService {
            address: AGENT,
            access_prefixes,
            peers: Vec::new(),
            chain: false,
        }));
        for index in 0..self.entries {
            self.mroute(index, Mroute { accept: Accept::Local, forward: PortSet::single(OUT) });
            let binding = MmaBinding {
                care_of: nth(CARE_OF, index),
                group: nth(GROUP, index),
                source: SOURCE,
                home_agent: HOME_AGENT,
                gre_key,
                access_identifier: nth(ACCESS, index).to_bits() as u64,
                optimise: false,
                state: BindingState::Active,
            };
            self.apply(TableUpdate::MmaBindingSet(nth(HOME, index), binding));
        }
    }

    fn home_agent(&mut self) {
        self.default_route();
        self.route(Prefix::host(HOME_AGENT), Route::Local);
        self.route(Prefix::of_link(HOME), Route::OnLink(TUN));
        for index in 0..self.entries {
            let binding = HomeBinding { care_of: nth(CARE_OF, index), agent: HOME_AGENT, home_port: TUN };
            self.apply(TableUpdate::HomeBindingSet(nth(HOME, index), binding));
        }
    }

    fn default_route(&mut self) {
        self.route(Prefix::DEFAULT, Route::Via { port: OUT, next_hop: router(0) });
    }

    fn route(&mut self, prefix: Prefix, route: Route) {
        if let Route::Via { port, next_hop } = route {
            let octet = next_hop.octets()[15];
            let neighbor = Neighbor { link_address: MacAddress([2, 0, 0, 0, 2, octet]), notify_use: false };
            self.apply(TableUpdate::NeighborSet(port, next_hop, neighbor));
        }
        self.apply(TableUpdate::RouteSet(prefix, route));
    }

    fn mroute(&mut self, index: u32, mroute: Mroute) {
        self.apply(TableUpdate::MrouteSet(MrouteKey { source: SOURCE, group: nth(GROUP, index) }, mroute));
    }

    fn apply(&mut self, update: TableUpdate) {
        self.plane.apply(Instant::ORIGIN, update);
    }

    /// Puts the packet of an entry into `batch`, as a port does.
    pub(crate) fn generate(&self, batch: &mut Batch, index: u32, sequence: u32) -> Result<()> {
        let mut packet = self.pool.copy_of(self.frame.octets())?;
        self.frame.fill(packet.bytes_mut(), index, sequence);
        batch.push(packet);
        Ok(())
    }

    /// What is measured: the packets go through the data plane, and what comes out is taken and given back to the pool.
    #[inline(never)]
    pub(crate) fn process(&mut self, batch: &mut Batch, out: &mut Batch) {
        self.plane.process(Instant::ORIGIN, IN, batch);
        for &port in &self.leaves_by {
            while self.plane.outgoing(port).fill(out) > 0 {
                out.clear();
            }
        }
    }

    /// Packets that have come out on the path, and those that should have after `packets`.
    ///
    /// # Errors
    /// Where a packet went astray: the figures would be those of another path.
    pub(crate) fn check(&self, packets: u64) -> Result<()> {
        let counters = self.plane.counters();
        let copies = self.leaves_by.len() as u64;
        let (passed, output) = (counters.get(self.passes), counters.get(Counter::Output));
        let passed = if self.passes == Counter::Output { passed / copies } else { passed };
        ensure!(
            (passed, output) == (packets, packets * copies) && counters.is_balanced(),
            "{:?}: {packets} packets should have left by {copies} ports; counters: {:?}",
            self.kind,
            counters.iter().filter(|&(_, value)| value > 0).collect::<Vec<_>>()
        );
        ensure!(self.pool.free_frames() == FRAMES as usize, "{:?}: frames are lost", self.kind);
        Ok(())
    }
}

fn port(number: u8) -> PortInfo {
    PortInfo {
        name: format!("p{number}"),
        kind: "mem",
        mode: String::new(),
        medium: Medium::Ethernet,
        link_address: link_address(number),
        mtu: MTU,
        link: LinkState::Up,
    }
}

fn link_address(port: u8) -> MacAddress {
    MacAddress([2, 0, 0, 0, 0, port])
}

fn router(index: u32) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100 + (index % NEXT_HOPS) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_every_path_and_size_end_where_they_should() {
        for &kind in Kind::value_variants() {
            for octets in [64, 100, 1500] {
                let mut path = Path::new(kind, if kind.is_terminal() { 1 } else { 50 }, 3, octets).unwrap();
                let (mut batch, mut out) = (Batch::new(), Batch::new());
                for index in 0..50 {
                    path.generate(&mut batch, index % path.entries, index).unwrap();
                }
                path.process(&mut batch, &mut out);
                path.check(50).unwrap();
            }
        }
    }
}
