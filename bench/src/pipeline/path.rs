//! The paths of the data plane that are measured: for each the tables, the packets, and where they have to end.

use super::frame::{Frame, nth};
use crate::traffic::link::in_memory;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use core::net::Ipv6Addr;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use stack::addr::{MacAddress, Prefix};
use stack::machine::PortId;
use stack::packet::{Batch, Pool};
use stack::pipeline::{Counter, Dataplane, DataplaneConfig, Forwarding, Limits, News, Readers};
use stack::port::{Medium, PortInfo};
use stack::tables::{
    Accept, BindingState, GroupReception, HomeBinding, MmaBinding, MmaService, Mroute, MrouteKey, Neighbor, PortSet,
    Route, TableUpdate,
};
use stack::time::Instant;

/// Frames of the pool. Those that are used are the ones given back last, as with a port.
const FRAMES: u32 = 1024;
/// The largest packet on every link, so that 1,500 octets fit with two outer headers.
const MTU: usize = 1600;
/// Octets of the smallest packet.
const MIN_OCTETS: u16 = 64;
/// Branches of a tree at the most.
pub(crate) const MAX_BRANCHES: u8 = 32;
/// Entries of a table at the most.
pub(crate) const MAX_ENTRIES: u32 = 10_000_000;
/// Neighbours at the most, which is what a data plane takes.
pub(crate) const MAX_NEIGHBORS: u32 = (1 << 20) - 1 - SPARE;
/// Room in every table beside the entries that are looked up.
const SPARE: u32 = 16;
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
const ON_LINK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x400, 0, 0, 0, 0, 0);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0, 0);
const PEER: MacAddress = MacAddress([2, 0, 0, 0, 1, 0]);

/// A way through the data plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Unicast by /64 routes
    Unicast,
    /// Unicast by routes of 25 prefix lengths, /32 to /56
    UnicastLengths,
    /// Unicast to neighbours on the link
    OnLink,
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

    /// Whether a data plane beside the first can go it, which has the express way alone.
    pub(crate) fn is_express(self) -> bool {
        !self.is_terminal()
    }

    /// Whether every data plane has a table of its own of the entries; of all others they share one.
    pub(crate) fn is_told(self) -> bool {
        matches!(self, Kind::Unicast | Kind::UnicastLengths | Kind::OnLink)
    }
}

/// Whether packets on the common ways skip the data plane's stages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Ways {
    /// They do, as in the appliance
    Express,
    /// None does
    Stages,
}

/// A path with its tables.
pub(crate) struct Path {
    pub(crate) kind: Kind,
    pub(crate) entries: u32,
    pub(crate) branches: u8,
    ways: Ways,
    plane: Dataplane,
    pool: Pool,
    /// What every packet has to be counted as.
    passes: Counter,
    leaves_by: Vec<PortId>,
    /// Ways to the data planes beside this one.
    others: Vec<Sender<News>>,
    /// What is told by the one that this is beside.
    told: Option<Receiver<News>>,
    /// Packets that were for the data plane that this is beside.
    left: u64,
}

/// A path for another thread over the tables of a first one.
pub(crate) struct Seed {
    kind: Kind,
    entries: u32,
    branches: u8,
    readers: Readers,
    told: Receiver<News>,
}

impl Seed {
    /// The path, on the thread where it will stay.
    pub(crate) fn path(self) -> Result<Path> {
        let Seed { kind, entries, branches, readers, told } = self;
        let (config, ports) = configuration(kind, entries, branches, Ways::Express)?;
        let pool = Pool::new(FRAMES)?;
        let plane = Dataplane::beside(config, readers, pool.clone(), &ports);
        let mut path = Path::of(plane, pool, kind, entries, branches, Ways::Express);
        path.told = Some(told);
        Ok(path)
    }
}

/// News that wait for a data plane beside another at the most.
const NEWS: usize = 4096;

impl Path {
    /// The path with tables of so many entries.
    pub(crate) fn new(kind: Kind, entries: u32, branches: u8, ways: Ways) -> Result<Self> {
        let mut path = Self::without_entries(kind, entries, branches, ways)?;
        for index in 0..entries {
            path.apply(path.set_entry(index)?);
        }
        path.check_updates()?;
        Ok(path)
    }

    /// The path with room for so many entries, of which it has none yet: of what a packet needs only the entry that it
    /// belongs to is missing.
    pub(crate) fn without_entries(kind: Kind, entries: u32, branches: u8, ways: Ways) -> Result<Self> {
        let (config, ports) = configuration(kind, entries, branches, ways)?;
        let pool = Pool::new(FRAMES)?;
        let plane = Dataplane::new(config, pool.clone(), &ports);
        let mut path = Path::of(plane, pool, kind, entries, branches, ways);
        path.set_surroundings();
        path.check_updates()?;
        Ok(path)
    }

    /// The same beside which other threads have paths over its tables; `give` is given them before there is anything in
    /// the tables, for each takes what it is told from then on.
    pub(crate) fn first(
        kind: Kind,
        entries: u32,
        branches: u8,
        others: usize,
        mut give: impl FnMut(Seed) -> Result<()>,
    ) -> Result<Self> {
        let (config, ports) = configuration(kind, entries, branches, Ways::Express)?;
        let pool = Pool::new(FRAMES)?;
        let (plane, readers) = Dataplane::first(config, pool.clone(), &ports, others);
        let mut path = Path::of(plane, pool, kind, entries, branches, Ways::Express);
        for readers in readers {
            let (tell, told) = bounded(NEWS);
            path.others.push(tell);
            give(Seed { kind, entries, branches, readers, told })?;
        }
        path.set_surroundings();
        for index in 0..entries {
            path.apply(path.set_entry(index)?);
        }
        path.check_updates()?;
        Ok(path)
    }

    fn of(plane: Dataplane, pool: Pool, kind: Kind, entries: u32, branches: u8, ways: Ways) -> Self {
        let (passes, leaves_by) = match kind {
            Kind::Unicast | Kind::UnicastLengths | Kind::OnLink => (Counter::Output, vec![OUT]),
            Kind::Multicast => (Counter::Output, (1..=branches).map(PortId).collect()),
            Kind::MmaGroup | Kind::MmaGroupGre | Kind::MmaRouted => (Counter::BindingToGroup, vec![OUT]),
            Kind::MmaReverse => (Counter::TunnelToHomeAgent, vec![OUT]),
            Kind::HaIntercept => (Counter::HomeIntercepted, vec![OUT]),
            Kind::HaReverse => (Counter::TunnelExit, vec![OUT]),
            Kind::Terminal | Kind::TerminalGre => (Counter::TerminalReceived, vec![TUN]),
        };
        let (others, told, left) = (Vec::new(), None, 0);
        Path { kind, entries, branches, ways, plane, pool, passes, leaves_by, others, told, left }
    }

    /// As in results.
    pub(crate) fn name(&self) -> String {
        match self.ways {
            Ways::Express => self.kind.name(),
            Ways::Stages => format!("{}/stages", self.kind.name()),
        }
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

    /// What packets need beside the entry that they belong to.
    fn set_surroundings(&mut self) {
        match self.kind {
            Kind::Unicast | Kind::UnicastLengths => (0..NEXT_HOPS).for_each(|index| self.neighbor(router(index))),
            Kind::OnLink => self.apply(TableUpdate::RouteSet(Prefix::of_link(ON_LINK), Route::OnLink(OUT))),
            Kind::Multicast => {}
            Kind::MmaGroup | Kind::MmaGroupGre | Kind::MmaRouted | Kind::MmaReverse => {
                self.default_route();
                self.apply(TableUpdate::RouteSet(Prefix::of_link(CARE_OF), Route::CareOf));
                self.apply(TableUpdate::RouteSet(Prefix::host(AGENT), Route::Local));
                self.apply(TableUpdate::MmaServiceSet(MmaService {
                    address: AGENT,
                    access_prefixes: vec![Prefix::of_link(ACCESS)],
                    peers: Vec::new(),
                    chain: false,
                }));
                let mroute = Mroute::new(Accept::Local, PortSet::single(OUT));
                (0..self.entries).for_each(|index| self.apply(TableUpdate::MrouteSet(mroute_key(index), mroute)));
            }
            Kind::HaIntercept | Kind::HaReverse => {
                self.default_route();
                self.apply(TableUpdate::RouteSet(Prefix::host(HOME_AGENT), Route::Local));
                self.apply(TableUpdate::RouteSet(Prefix::of_link(HOME), Route::OnLink(TUN)));
            }
            Kind::Terminal | Kind::TerminalGre => {
                self.apply(TableUpdate::RouteSet(Prefix::host(nth(HOME, 0)), Route::OnLink(TUN)));
            }
        }
    }

    /// The update that makes an entry, or replaces it by its like.
    pub(crate) fn set_entry(&self, index: u32) -> Result<TableUpdate> {
        let gre_key = matches!(self.kind, Kind::MmaGroupGre | Kind::TerminalGre).then_some(GRE_KEY);
        Ok(match self.kind {
            Kind::Unicast | Kind::UnicastLengths => {
                TableUpdate::RouteSet(self.unicast_prefix(index)?, Route::Via { port: OUT, next_hop: router(index) })
            }
            Kind::OnLink => {
                let [a, b, c, d] = index.to_be_bytes();
                let neighbor = Neighbor { link_address: MacAddress([2, 3, a, b, c, d]), notify_use: false };
                TableUpdate::NeighborSet(OUT, nth(ON_LINK, index), neighbor)
            }
            Kind::Multicast => {
                let forward = self.leaves_by.iter().copied().collect();
                TableUpdate::MrouteSet(mroute_key(index), Mroute::new(Accept::Port(IN), forward))
            }
            Kind::MmaGroup | Kind::MmaGroupGre | Kind::MmaRouted | Kind::MmaReverse => {
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
                TableUpdate::MmaBindingSet(nth(HOME, index), binding)
            }
            Kind::HaIntercept | Kind::HaReverse => {
                let binding = HomeBinding { care_of: nth(CARE_OF, index), agent: HOME_AGENT, home_port: TUN };
                TableUpdate::HomeBindingSet(nth(HOME, index), binding)
            }
            Kind::Terminal | Kind::TerminalGre => {
                let (care_of, home_address) = (nth(CARE_OF, index), nth(HOME, index));
                let reception = GroupReception { source: SOURCE, gre_key, care_of, home_address };
                TableUpdate::GroupReceptionSet(nth(GROUP, index), reception)
            }
        })
    }

    /// The update that takes an entry away.
    pub(crate) fn remove_entry(&self, index: u32) -> Result<TableUpdate> {
        Ok(match self.kind {
            Kind::Unicast | Kind::UnicastLengths => TableUpdate::RouteRemove(self.unicast_prefix(index)?),
            Kind::OnLink => TableUpdate::NeighborRemove(OUT, nth(ON_LINK, index)),
            Kind::Multicast => TableUpdate::MrouteRemove(mroute_key(index)),
            Kind::MmaGroup | Kind::MmaGroupGre | Kind::MmaRouted | Kind::MmaReverse => {
                TableUpdate::MmaBindingRemove(nth(HOME, index))
            }
            Kind::HaIntercept | Kind::HaReverse => TableUpdate::HomeBindingRemove(nth(HOME, index)),
            Kind::Terminal | Kind::TerminalGre => TableUpdate::GroupReceptionRemove(mroute_key(index)),
        })
    }

    /// The packets, as they come in, whose innermost IPv6 packet has so many octets.
    pub(crate) fn frame(&self, octets: u16) -> Frame {
        let octets = usize::from(octets);
        let down = || Frame::udp(CORRESPONDENT, nth(HOME, 0), octets);
        let up = || Frame::udp(nth(HOME, 0), CORRESPONDENT, octets).source_varies();
        let frame = match self.kind {
            Kind::Unicast | Kind::UnicastLengths => Frame::udp_to_each(CORRESPONDENT, unicast_host, octets),
            Kind::OnLink => Frame::udp(CORRESPONDENT, nth(ON_LINK, 0), octets).destination_varies(),
            Kind::Multicast => Frame::udp(SOURCE, nth(GROUP, 0), octets).destination_varies(),
            Kind::MmaGroup | Kind::MmaGroupGre => {
                let inner = down().destination_varies();
                inner.tunnelled(HOME_AGENT, nth(CARE_OF, 0), None).outer_destination_varies()
            }
            Kind::MmaRouted => Frame::routed(CORRESPONDENT, nth(CARE_OF, 0), nth(HOME, 0), octets),
            Kind::MmaReverse => up().tunnelled(nth(ACCESS, 0), AGENT, None).outer_source_varies(),
            Kind::HaIntercept => down().destination_varies(),
            Kind::HaReverse => up().tunnelled(nth(CARE_OF, 0), HOME_AGENT, None).outer_source_varies(),
            Kind::Terminal => down().tunnelled(SOURCE, nth(GROUP, 0), None),
            Kind::TerminalGre => down().tunnelled(SOURCE, nth(GROUP, 0), Some(GRE_KEY)),
        };
        frame.on_ethernet(link_address(IN.0), PEER)
    }

    /// A prefix, far from that of the entry before.
    fn unicast_prefix(&self, index: u32) -> Result<Prefix> {
        let length = match self.kind {
            Kind::UnicastLengths => SHORTEST + (index % LENGTHS) as u8,
            _ => 64,
        };
        Prefix::new(unicast_host(index), length).context("no such prefix length")
    }

    fn default_route(&mut self) {
        self.neighbor(router(0));
        self.apply(TableUpdate::RouteSet(Prefix::DEFAULT, Route::Via { port: OUT, next_hop: router(0) }));
    }

    fn neighbor(&mut self, router: Ipv6Addr) {
        let link_address = MacAddress([2, 0, 0, 0, 2, router.octets()[15]]);
        self.apply(TableUpdate::NeighborSet(OUT, router, Neighbor { link_address, notify_use: false }));
    }

    /// Changes a table.
    pub(crate) fn apply(&mut self, update: TableUpdate) {
        self.plane.apply(Instant::ORIGIN, update);
        while let Some(news) = self.plane.poll_news() {
            // Whose thread has ended does not hear it.
            self.others.iter().for_each(|other| drop(other.send(news.clone())));
        }
    }

    /// Learns what the path that this is beside has told.
    #[inline]
    pub(crate) fn hear(&mut self) {
        if let Some(told) = &self.told {
            while let Ok(news) = told.try_recv() {
                self.plane.hear(Instant::ORIGIN, news);
            }
        }
    }

    /// Hears what is told until there is an order; none where nobody is left to give one.
    pub(crate) fn hear_until<T>(&mut self, orders: &Receiver<T>) -> Option<T> {
        while let Some(told) = &self.told {
            select! {
                recv(told) -> news => match news {
                    Ok(news) => self.plane.hear(Instant::ORIGIN, news),
                    Err(_) => break,
                },
                recv(orders) -> order => return order.ok(),
            }
        }
        orders.recv().ok()
    }

    /// Packets that did not take the path, for the tables lacked their entry for a moment.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// # Errors
    /// Where a table had no room for what it was told.
    pub(crate) fn check_updates(&self) -> Result<()> {
        ensure!(self.plane.counters().get(Counter::RefusedUpdates) == 0, "a table refused an entry");
        Ok(())
    }

    /// Puts the packet of an entry into `batch`, as a port does.
    pub(crate) fn generate(&self, batch: &mut Batch, frame: &Frame, index: u32, sequence: u32) -> Result<()> {
        let mut packet = self.pool.copy_of(frame.octets())?;
        frame.fill(packet.bytes_mut(), index, sequence);
        batch.push(packet);
        Ok(())
    }

    /// What is measured: the packets go through the data plane, and what comes out is taken and given back to the pool.
    #[inline(never)]
    pub(crate) fn process(&mut self, batch: &mut Batch, out: &mut Batch) {
        if self.told.is_some() {
            self.hear();
            self.plane.forward(Instant::ORIGIN, IN, batch);
            self.left += batch.len() as u64;
            batch.clear();
        } else {
            self.plane.process(Instant::ORIGIN, IN, batch);
        }
        for &port in &self.leaves_by {
            while self.plane.outgoing(port).fill(out) > 0 {
                out.clear();
            }
        }
    }

    /// Whether a packet of an entry takes the path, of which `frame` are the packets.
    pub(crate) fn takes(&mut self, frame: &Frame, index: u32) -> Result<bool> {
        let (mut batch, mut out) = (Batch::new(), Batch::new());
        let before = self.left;
        self.generate(&mut batch, frame, index, 0)?;
        self.process(&mut batch, &mut out);
        Ok(self.left == before)
    }

    /// Sends every entry one packet, so that what a table remembers of the first packet of an entry is there.
    pub(crate) fn touch_all(&mut self, sent: &mut u64) -> Result<()> {
        let frame = self.frame(MIN_OCTETS);
        let (mut batch, mut out) = (Batch::new(), Batch::new());
        for index in 0..self.entries {
            self.generate(&mut batch, &frame, index, *sent as u32)?;
            *sent += 1;
            if batch.is_full() || index + 1 == self.entries {
                self.process(&mut batch, &mut out);
            }
        }
        self.check(*sent)
    }

    /// Packets that have come out on the path, and those that should have after `packets`.
    ///
    /// # Errors
    /// Where a packet went astray: the figures would be those of another path.
    pub(crate) fn check(&self, packets: u64) -> Result<()> {
        let packets = packets - self.left;
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

/// The data plane of such a path, and its ports.
fn configuration(kind: Kind, entries: u32, branches: u8, ways: Ways) -> Result<(DataplaneConfig, Vec<PortInfo>)> {
    let forwarding = if kind.is_terminal() { Forwarding::Host } else { Forwarding::Router };
    let limit = entries + SPARE;
    let mut limits = Limits {
        routes: limit as usize,
        mroutes: limit,
        mma_bindings: limit,
        home_bindings: limit,
        ..Limits::default()
    };
    if kind == Kind::OnLink {
        ensure!(entries <= MAX_NEIGHBORS, "a data plane has {MAX_NEIGHBORS} neighbours at the most");
        limits.neighbors = limit;
    }
    let config = DataplaneConfig {
        forwarding,
        express: ways == Ways::Express,
        host_ports: PortSet::single(TUN),
        limits,
        ..DataplaneConfig::default()
    };
    let mut ports: Vec<PortInfo> = (0..=branches.max(TUN.0)).map(port).collect();
    if forwarding == Forwarding::Host {
        ports[usize::from(TUN.0)].medium = Medium::Ip;
    }
    Ok((config, ports))
}

/// An address in the prefix of an entry.
fn unicast_host(index: u32) -> Ipv6Addr {
    let scattered = u128::from(index.wrapping_mul(0x9e37_79b1));
    Ipv6Addr::from_bits(0x2a00 << 112 | scattered << 80 | 1)
}

fn mroute_key(index: u32) -> MrouteKey {
    MrouteKey { source: SOURCE, group: nth(GROUP, index) }
}

fn port(number: u8) -> PortInfo {
    in_memory(format!("p{number}"), link_address(number), MTU)
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

    fn send(path: &mut Path, octets: u16, indexes: impl Iterator<Item = u32>) {
        let frame = path.frame(octets);
        let (mut batch, mut out) = (Batch::new(), Batch::new());
        for index in indexes {
            path.generate(&mut batch, &frame, index, index).unwrap();
        }
        path.process(&mut batch, &mut out);
    }

    #[test]
    fn packets_of_every_path_and_size_end_where_they_should() {
        for (&kind, &ways) in
            Kind::value_variants().iter().flat_map(|kind| Ways::value_variants().iter().map(move |ways| (kind, ways)))
        {
            let entries = if kind.is_terminal() { 1 } else { 50 };
            let mut path = Path::new(kind, entries, 3, ways).unwrap();
            for (round, octets) in [64, 100, 1500].into_iter().enumerate() {
                // A terminal's sequence numbers go on, so that no packet comes twice.
                let first = 50 * round as u32;
                let frame = path.frame(octets);
                let (mut batch, mut out) = (Batch::new(), Batch::new());
                for number in first..first + 50 {
                    path.generate(&mut batch, &frame, number % entries, number).unwrap();
                }
                path.process(&mut batch, &mut out);
                path.check(u64::from(first) + 50).unwrap();
            }
        }
    }

    #[test]
    fn without_its_entry_a_packet_does_not_take_the_path() {
        for kind in
            [Kind::Unicast, Kind::UnicastLengths, Kind::OnLink, Kind::Multicast, Kind::MmaGroup, Kind::HaReverse]
        {
            let mut path = Path::new(kind, 20, 1, Ways::Express).unwrap();
            path.apply(path.remove_entry(7).unwrap());
            send(&mut path, 64, [6, 8].into_iter());
            path.check(2).unwrap();
            send(&mut path, 64, [7].into_iter());
            assert!(path.check(3).is_err(), "{kind:?}");
            let mut path = Path::without_entries(kind, 20, 1, Ways::Express).unwrap();
            for index in 0..20 {
                path.apply(path.set_entry(index).unwrap());
            }
            path.apply(path.remove_entry(7).unwrap());
            path.apply(path.set_entry(7).unwrap());
            path.touch_all(&mut 0).unwrap();
            send(&mut path, 64, 0..20);
            path.check(40).unwrap();
            path.check_updates().unwrap();
        }
    }
}
