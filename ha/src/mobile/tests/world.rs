//! A terminal, two mobility agents and a home agent on one virtual clock, with a network between them that loses,
//! duplicates and reorders. The data plane is a model: what the machines put in its tables.

use super::super::*;
use crate::home_agent::{self, HomeAgent, HomeDad, HomeLink, MAX_DELETE_BCE_TIMEOUT};
use crate::reception;
use mma::auth::{Algorithm, AssociationTable, Key, Peer, ReplayPolicy, SecurityAssociation, Spi};
use mma::secret::SecretRng;
use mma::{CareOfMode, MobilityManagementAgent};
use stack::addr::{Eui64, GroupLayout, Scope};
use stack::machine::{Transmit, Via};
use stack::rng::Rng;
use stack::tables::{BindingState, HomeBinding, MmaBinding, MrouteKey, TunnelReception};
use stack::wire::home_link::home_agents_anycast;
use stack::wire::ipv6;
use stack::wire::mobility::{BindingUpdate, BindingUpdateFlags, MobilityMessage};

pub(super) const HOME_ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x99);
pub(super) const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
pub(super) const EUI: Eui64 = Eui64(0x0200_5eff_fe10_0001);
pub(super) const TUN: PortId = PortId(9);

/// Addresses of the two mobility agents.
pub(super) const AGENTS: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 0x52, 0, 0, 0, 0, 1)];

/// A router and its link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    pub(super) key: RouterKey,
    /// Its link's number, in its prefix.
    pub(super) net: u16,
    /// Index of its site's agent.
    pub(super) site: Option<usize>,
    pub(super) is_home: bool,
}

const fn spot(port: u8, net: u16, site: Option<usize>, is_home: bool) -> Spot {
    let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, net);
    Spot { key: RouterKey { port: PortId(port), router }, net, site, is_home }
}

/// Two routers of site 0 on two ports, one of site 1, one without an agent, and home.
pub(super) const A: Spot = spot(0, 0xa, Some(0), false);
pub(super) const B: Spot = spot(1, 0xb, Some(0), false);
pub(super) const C: Spot = spot(2, 0xc, Some(1), false);
pub(super) const P: Spot = spot(3, 0xd, None, false);
pub(super) const H: Spot = spot(4, 1, None, true);
pub(super) const SPOTS: [Spot; 5] = [A, B, C, P, H];

impl Spot {
    pub(super) fn prefix(&self) -> Prefix {
        let high = if self.is_home { 1 } else { 0xf000 | self.net };
        Prefix::of_link(Ipv6Addr::new(0x2001, 0xdb8, high, 0, 0, 0, 0, 0))
    }

    pub(super) fn address(&self) -> Ipv6Addr {
        addr::with_interface_identifier(self.prefix().address(), EUI.modified())
    }

    pub(super) fn link_local(&self) -> Ipv6Addr {
        addr::with_interface_identifier(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), EUI.modified())
    }

    pub(super) fn advertisement(&self) -> RouterAdvertisement {
        let lifetime = Duration::from_secs(100_000);
        let agents =
            self.site.map(|site| AdvertisedAgent { address: AGENTS[site], preference: 10, distance: 1, lifetime });
        RouterAdvertisement {
            port: self.key.port,
            router: self.key.router,
            lifetime: Duration::from_secs(60_000),
            prefixes: vec![AdvertisedPrefix { prefix: self.prefix(), lifetime }],
            agents: agents.into_iter().collect(),
            home_agents: Vec::new(),
            address: Some(self.prefix().address()),
        }
    }
}

use stack::addr;

pub(super) fn association(octet: u8) -> SecurityAssociation {
    SecurityAssociation {
        spi: Spi::new(0x100).unwrap(),
        key: Key::new(&[octet; 16]).unwrap(),
        algorithm: Algorithm::HmacSha1_96,
    }
}

pub(super) fn terminal_config() -> Config {
    let radio = |spot: &Spot| Radio { port: spot.key.port, initial_signal_dbm: Some(-90), cost_db: 0 };
    Config {
        home_address: HOME_ADDRESS,
        home_prefix: H.prefix(),
        home_agent: Some(HOME_AGENT),
        home_association: association(1),
        agent_association: association(2),
        identifier: None,
        clock: None,
        eui64: EUI,
        group_layout: GroupLayout::Ssm { scope: Scope::SITE_LOCAL },
        radios: SPOTS.iter().map(radio).collect(),
        tun: Some(TUN),
        mode: Mode::Multicast,
        route_optimisation: RouteOptimisation::Mma,
        uplink: UplinkMode::Auto,
        route_optimisation_with: Vec::new(),
        direct_correspondents: Vec::new(),
        gre: true,
        report_moves: false,
        router_choice: Default::default(),
        timers: Timing::default(),
        restored: Restored::default(),
    }
}

/// Where an agent's care-of addresses are.
fn care_of_prefix(agent: Ipv6Addr) -> Prefix {
    let care_of = addr::with_interface_identifier(agent, 0);
    Prefix::new(Ipv6Addr::from_bits(care_of.to_bits() | 0xc0a << 64), 64).unwrap()
}

fn agent_config(site: usize, replay: ReplayPolicy) -> mma::Config {
    let prefix = care_of_prefix(AGENTS[site]);
    let layout = GroupLayout::Ssm { scope: Scope::SITE_LOCAL };
    let mut config = mma::Config::new(AGENTS[site], CareOfMode::Assigned { prefix }, layout);
    config.access_prefixes = SPOTS.iter().filter(|s| s.site == Some(site)).map(Spot::prefix).collect();
    config.replay = replay;
    config.anchor = mma::Anchor::Prefix(Prefix::of_link(AGENTS[site]));
    config.peers = AGENTS.map(care_of_prefix).to_vec();
    config.home_agents = vec![mma::HomeAgent { prefix: H.prefix(), agent: HOME_AGENT }];
    let home_address = Some(HOME_ADDRESS);
    config
        .associations
        .insert(Peer { identifier: None, home_address, terminal: Some(EUI), association: association(2) })
        .unwrap();
    config
}

fn home_config(dad: HomeDad, replay: ReplayPolicy) -> home_agent::Config {
    let mut associations = AssociationTable::new();
    let home_address = Some(HOME_ADDRESS);
    associations.insert(Peer { identifier: None, home_address, terminal: None, association: association(1) }).unwrap();
    home_agent::Config {
        max_lifetime: Duration::from_secs(3600),
        deregistration_hold: MAX_DELETE_BCE_TIMEOUT,
        max_bindings: 10,
        refresh_advice_percent: None,
        associations,
        replay,
        ..home_agent::Config::new(vec![HomeLink::new(PortId(0), H.prefix(), HOME_AGENT, dad)])
    }
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) loss_percent: u64,
    pub(super) duplicate_percent: u64,
    /// One way, in microseconds.
    pub(super) delay_us: (u64, u64),
}

pub(super) const FAIR: Weather = Weather { loss_percent: 0, duplicate_percent: 0, delay_us: (2_000, 2_000) };
pub(super) const FOUL: Weather = Weather { loss_percent: 25, duplicate_percent: 15, delay_us: (500, 60_000) };

enum Arrival {
    ToTerminal(PortId, Vec<u8>),
    ToAgent(usize, Vec<u8>),
    ToHomeAgent(Vec<u8>),
    DadDone,
    Data(PortId),
    Addresses(Spot),
}

/// A Binding Update that the terminal sent.
#[derive(Clone, Debug)]
pub(super) struct SentUpdate {
    pub(super) at: Instant,
    pub(super) to: Ipv6Addr,
    pub(super) source: Ipv6Addr,
    pub(super) update: BindingUpdate,
}

/// What the data planes would know.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) uplink: Option<Uplink>,
    pub(super) exceptions: BTreeMap<Ipv6Addr, Uplink>,
    pub(super) receptions: BTreeMap<MrouteKey, GroupReception>,
    pub(super) tunnels: Vec<TunnelReception>,
    pub(super) care_of: BTreeSet<Ipv6Addr>,
    pub(super) home: Option<HomeBinding>,
    pub(super) agents: [Option<MmaBinding>; 2],
    /// Bindings of regional addresses.
    pub(super) anchors: [Option<MmaBinding>; 2],
}

impl Tables {
    fn binding(&mut self, site: usize, bound: Ipv6Addr) -> &mut Option<MmaBinding> {
        if bound == HOME_ADDRESS { &mut self.agents[site] } else { &mut self.anchors[site] }
    }
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) weather: Weather,
    rng: Rng,
    queue: BTreeMap<(Instant, u64), Arrival>,
    serial: u64,
    pub(super) terminal: MobileTerminal,
    pub(super) agents: [MobilityManagementAgent; 2],
    pub(super) home: HomeAgent,
    pub(super) tables: Tables,
    pub(super) links_up: BTreeMap<PortId, bool>,
    pub(super) joined: BTreeMap<(PortId, Ipv6Addr), Vec<Ipv6Addr>>,
    pub(super) claimed: Option<PortId>,
    pub(super) updates: Vec<SentUpdate>,
    pub(super) events: Vec<(Instant, Event)>,
    /// Whether a constant stream of data comes down.
    pub(super) has_data: bool,
    proxied: bool,
}

impl World {
    pub(super) fn new(seed: u64, dad: HomeDad, config: Config) -> Self {
        Self::with_replay(seed, dad, config, ReplayPolicy::Sequence)
    }

    pub(super) fn with_replay(seed: u64, dad: HomeDad, config: Config, replay: ReplayPolicy) -> Self {
        let agent = |site| {
            let secrets = SecretRng::simulated(seed + site as u64);
            MobilityManagementAgent::new(agent_config(site, replay), seed + site as u64, secrets)
        };
        let mut world = World {
            now: Instant::from_secs(1),
            weather: FAIR,
            rng: Rng::new(seed),
            queue: BTreeMap::new(),
            serial: 0,
            terminal: MobileTerminal::new(config, SecretRng::simulated(1)),
            agents: [agent(0), agent(1)],
            home: HomeAgent::new(home_config(dad, replay)),
            tables: Tables::default(),
            links_up: BTreeMap::new(),
            joined: BTreeMap::new(),
            claimed: None,
            updates: Vec::new(),
            events: Vec::new(),
            has_data: true,
            proxied: false,
        };
        world.drain();
        world
    }

    pub(super) fn link_up(&mut self, spot: Spot) {
        self.links_up.insert(spot.key.port, true);
        self.command(Command::LinkUp(spot.key.port));
        let delay = Duration::from_micros(1_000 + self.rng.below(20_000));
        self.schedule(delay, Arrival::Addresses(spot));
    }

    pub(super) fn link_down(&mut self, spot: Spot) {
        self.links_up.insert(spot.key.port, false);
        self.command(Command::LinkDown(spot.key.port));
    }

    pub(super) fn is_up(&self, port: PortId) -> bool {
        self.links_up.get(&port).copied().unwrap_or(false)
    }

    pub(super) fn signal(&mut self, spot: Spot, dbm: i16) {
        self.command(Command::Signal { port: spot.key.port, dbm });
    }

    /// Makes this spot the best by far.
    pub(super) fn prefer(&mut self, spot: Spot) {
        for other in SPOTS {
            self.signal(other, if other == spot { -40 } else { -90 });
        }
    }

    pub(super) fn command(&mut self, command: Command) {
        self.terminal.handle_command(self.now, command);
        self.drain();
    }

    fn schedule(&mut self, delay: Duration, arrival: Arrival) {
        self.serial += 1;
        self.queue.insert((self.now + delay, self.serial), arrival);
    }

    fn carry(&mut self, arrival: impl Fn() -> Arrival) {
        let copies = if self.rng.below(100) < self.weather.loss_percent {
            0
        } else {
            1 + u64::from(self.rng.below(100) < self.weather.duplicate_percent)
        };
        for _ in 0..copies {
            let (low, high) = self.weather.delay_us;
            let delay = Duration::from_micros(low + self.rng.below(high - low + 1));
            self.schedule(delay, arrival());
        }
    }

    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let timeouts = [
                self.queue.keys().next().map(|&(at, _)| at),
                self.terminal.poll_timeout(),
                self.agents[0].poll_timeout(),
                self.agents[1].poll_timeout(),
                self.home.poll_timeout(),
            ];
            let Some(next) = timeouts.into_iter().flatten().min().filter(|&next| next <= end) else { break };
            assert!(next >= self.now || self.queue.keys().next().is_none_or(|&(at, _)| at >= self.now));
            self.now = self.now.max(next);
            if let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let arrival = entry.remove();
                self.arrive(arrival);
            } else {
                self.terminal.handle_timeout(self.now);
                self.agents.iter_mut().for_each(|agent| agent.handle_timeout(self.now));
                self.home.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = end;
    }

    fn arrive(&mut self, arrival: Arrival) {
        let meta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };
        match arrival {
            Arrival::ToTerminal(port, packet) if self.is_up(port) => {
                self.terminal.handle_packet(self.now, &RxMeta { port, ..meta }, &packet);
            }
            Arrival::ToTerminal(..) => {}
            Arrival::ToAgent(site, packet) => self.agents[site].handle_packet(self.now, &meta, &packet),
            Arrival::ToHomeAgent(packet) => self.home.handle_packet(self.now, &meta, &packet),
            Arrival::DadDone => {
                // Whoever still answers for the address on the home link is a duplicate.
                let unique = self.claimed.is_none();
                let result = home_agent::Command::DadResult { port: PortId(0), address: HOME_ADDRESS, unique };
                self.home.handle_command(self.now, result);
            }
            Arrival::Data(port) => self.data(port),
            Arrival::Addresses(spot) => {
                let port = spot.key.port;
                if self.is_up(port) {
                    self.command(Command::AddressUsable { port, address: spot.link_local() });
                    self.command(Command::RouterAdvertised(spot.advertisement()));
                    self.command(Command::AddressUsable { port, address: spot.address() });
                }
            }
        }
    }

    /// The first packet of the group through a port that has joined it.
    fn data(&mut self, port: PortId) {
        let group = GroupLayout::Ssm { scope: Scope::SITE_LOCAL }.group(EUI).unwrap();
        let sources = self.joined.get(&(port, group)).cloned().unwrap_or_default();
        let comes = sources.iter().any(|&source| {
            let site = AGENTS.iter().position(|&agent| agent == source).unwrap();
            self.tables.agents[site]
                .is_some_and(|binding| self.tables.home.is_some_and(|home| home.care_of == binding.care_of))
                && self.tables.receptions.contains_key(&MrouteKey { source, group })
        });
        if comes && self.is_up(port) {
            self.command(Command::GroupData { port, group });
        }
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.terminal.poll_output() {
            match output {
                Output::Transmit(transmit) => self.carry_from_terminal(transmit),
                Output::Table(update) => self.terminal_table(update),
                Output::Event(event) => self.terminal_event(event),
            }
        }
        for site in 0..2 {
            while let Some(output) = self.agents[site].poll_output() {
                match output {
                    Output::Transmit(transmit) => self.carry_from_agent(transmit),
                    Output::Table(TableUpdate::MmaBindingSet(bound, binding)) => {
                        *self.tables.binding(site, bound) = Some(binding);
                    }
                    Output::Table(TableUpdate::MmaBindingRemove(bound)) => *self.tables.binding(site, bound) = None,
                    Output::Table(_) | Output::Event(_) => {}
                }
            }
        }
        while let Some(output) = self.home.poll_output() {
            match output {
                Output::Transmit(transmit) => self.carry_from_agent(transmit),
                Output::Table(TableUpdate::HomeBindingSet(_, binding)) => self.tables.home = Some(binding),
                Output::Table(TableUpdate::HomeBindingRemove(_)) => self.tables.home = None,
                Output::Table(_) => {}
                Output::Event(home_agent::Event::DadWanted { .. }) => {
                    self.schedule(Duration::from_secs(1), Arrival::DadDone);
                }
                Output::Event(home_agent::Event::ProxyStart { .. }) => self.proxied = true,
                Output::Event(home_agent::Event::ProxyStop { .. }) => self.proxied = false,
                Output::Event(_) => {}
            }
        }
    }

    fn carry_from_terminal(&mut self, transmit: Transmit) {
        let Via::NextHop(port, router) = transmit.via else { panic!("{:?} leaves by no router", transmit.via) };
        let spot = SPOTS.into_iter().find(|spot| spot.key.port == port).unwrap();
        assert_eq!(spot.key.router, router);
        let packet = transmit.packet;
        let header = ipv6::Header::parse(&packet).unwrap();
        // Ingress filter: the source is of the link.
        assert!(spot.prefix().contains(header.source), "{} on {spot:?}", header.source);
        let is_question = header.destination == home_agents_anycast(H.prefix());
        if is_question {
            assert!(!spot.is_home && header.next_header == ipv6::protocol::ICMPV6);
        } else if let MobilityMessage::BindingUpdate(update) = reception::receive(&packet).unwrap().message {
            self.check_update(&update, header.source, header.destination);
            let (at, to, source) = (self.now, header.destination, header.source);
            self.updates.push(SentUpdate { at, to, source, update });
        }
        if !self.is_up(port) {
            return;
        }
        if is_question || header.destination == HOME_AGENT {
            self.carry(|| Arrival::ToHomeAgent(packet.clone()));
        } else if let Some(site) = AGENTS.iter().position(|&agent| agent == destination(&packet)) {
            self.carry(|| Arrival::ToAgent(site, packet.clone()));
        }
    }

    /// What must never be sent.
    fn check_update(&self, update: &BindingUpdate, source: Ipv6Addr, to: Ipv6Addr) {
        assert!(update.options.authentication.is_some());
        let earlier = self.updates.iter().rev().find(|sent| sent.to == to);
        if let Some(earlier) = earlier {
            assert_ne!(earlier.update.sequence, update.sequence, "a number used twice");
        }
        if to == HOME_AGENT {
            assert!(update.flags.contains(BindingUpdateFlags::HOME_REGISTRATION));
            if let Some(care_of) = update.options.alternate_care_of_address {
                // HOME never before the agent has granted the address.
                let granted = self.tables.receptions.values().any(|reception| reception.care_of == care_of);
                let plain = self.tables.tunnels.iter().any(|tunnel| tunnel.local == care_of);
                assert!(granted || plain, "{care_of} was not granted");
                assert!(self.claimed.is_none(), "the home address is still answered for");
            } else {
                assert_eq!(source, HOME_ADDRESS);
            }
        } else {
            assert!(update.flags.contains(BindingUpdateFlags::MAP_REGISTRATION));
            // Forwarding is asked for to an address that is the terminal's, and never together with a group.
            if let Some(care_of) = update.options.alternate_care_of_address {
                assert!(update.options.subscriptions.is_empty() && !update.lifetime.is_zero());
                assert!(self.tables.care_of.contains(&care_of) || care_of == HOME_ADDRESS);
            }
        }
    }

    fn terminal_table(&mut self, update: TableUpdate) {
        match update {
            TableUpdate::GroupReceptionSet(group, reception) => {
                assert!(AGENTS.contains(&reception.source));
                assert_eq!(reception.home_address, HOME_ADDRESS);
                self.tables.receptions.insert(MrouteKey { source: reception.source, group }, reception);
                self.rearm();
            }
            TableUpdate::GroupReceptionRemove(key) => assert!(self.tables.receptions.remove(&key).is_some()),
            TableUpdate::TunnelReceptionSet(tunnel) => self.tables.tunnels.push(tunnel),
            TableUpdate::TunnelReceptionRemove(tunnel) => self.tables.tunnels.retain(|known| *known != tunnel),
            TableUpdate::UplinkSet(home_address, uplink) => {
                assert_eq!(home_address, HOME_ADDRESS);
                self.tables.uplink = Some(uplink);
            }
            TableUpdate::UplinkExceptionSet { correspondent, uplink, .. } => {
                self.tables.exceptions.insert(correspondent, uplink);
            }
            TableUpdate::UplinkExceptionRemove { correspondent, .. } => {
                assert!(self.tables.exceptions.remove(&correspondent).is_some());
            }
            TableUpdate::CareOfSet(care_of, home_address) => {
                assert_eq!(home_address, HOME_ADDRESS);
                assert!(self.tables.care_of.insert(care_of));
            }
            TableUpdate::CareOfRemove(care_of) => assert!(self.tables.care_of.remove(&care_of)),
            TableUpdate::RouteSet(..) | TableUpdate::RouteRemove(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn rearm(&mut self) {
        if self.has_data {
            for (port, _) in self.joined.keys().copied().collect::<Vec<_>>() {
                self.schedule(Duration::from_micros(1_500), Arrival::Data(port));
            }
        }
    }

    fn terminal_event(&mut self, event: Event) {
        match &event {
            Event::Join { port, group, sources } => {
                assert!(self.is_up(*port));
                self.joined.insert((*port, *group), sources.clone());
                self.rearm();
            }
            Event::Leave { port, group } => {
                assert!(self.joined.remove(&(*port, *group)).is_some(), "left what was not joined");
            }
            Event::HomeAddressClaim { port, .. } => {
                assert_eq!(self.claimed, None);
                self.claimed = Some(*port);
            }
            Event::HomeAddressRelease { port, .. } => {
                assert_eq!(self.claimed, Some(*port));
                self.claimed = None;
            }
            _ => {}
        }
        self.events.push((self.now, event));
    }

    fn carry_from_agent(&mut self, transmit: Transmit) {
        let to = destination(&transmit.packet);
        let packet = transmit.packet;
        let local = SPOTS.into_iter().find(|spot| spot.address() == to);
        let port = if let Some(spot) = local {
            Some(spot.key.port)
        } else if to == HOME_ADDRESS {
            self.claimed
        } else {
            // To a care-of address of a mobility agent: by the group.
            self.joined.keys().next().map(|&(port, _)| port)
        };
        if let Some(port) = port {
            self.carry(|| Arrival::ToTerminal(port, packet.clone()));
        }
    }

    /// Updates sent since.
    pub(super) fn updates_since(&self, since: Instant) -> Vec<&SentUpdate> {
        self.updates.iter().filter(|sent| sent.at >= since).collect()
    }

    pub(super) fn handovers(&self) -> Vec<HandoverKind> {
        let kind = |(_, event): &(Instant, Event)| match event {
            Event::HandoverStarted { kind, .. } => Some(*kind),
            _ => None,
        };
        self.events.iter().filter_map(kind).collect()
    }

    fn is_active(&self, site: usize) -> bool {
        self.tables.agents[site].is_some_and(|binding| binding.state == BindingState::Active)
    }

    /// Everything that was kept for a site left is gone again.
    #[track_caller]
    pub(super) fn assert_forwarding_over(&self) {
        let present: BTreeSet<Ipv6Addr> = self.terminal.site().care_of.into_iter().collect();
        assert_eq!(self.tables.care_of, present);
        assert_eq!(self.terminal.former_sites().count(), 0);
        let site = match self.terminal.site().site {
            Site::Agent(agent) => AGENTS.iter().position(|&known| known == agent),
            _ => None,
        };
        for other in (0..2).filter(|&other| Some(other) != site) {
            assert_eq!((self.tables.agents[other], self.tables.anchors[other]), (None, None));
        }
        let anchored = AGENTS.into_iter().filter(|_| self.tables.anchors.iter().any(Option::is_some));
        let remotes: BTreeSet<Ipv6Addr> = anchored.chain([HOME_AGENT]).collect();
        assert!(self.tables.tunnels.iter().all(|tunnel| remotes.contains(&tunnel.remote)));
    }

    /// Everything agrees that the terminal is at this spot, behind an anchor point where there is one.
    #[track_caller]
    pub(super) fn assert_anchored_at(&self, spot: Spot) {
        let Some(site) = spot.site else { return self.assert_settled_at(spot) };
        let RouterKey { port, router } = spot.key;
        let (anchor, local) = (AGENTS[site], spot.address());
        let regional = addr::with_interface_identifier(anchor, EUI.modified());
        assert_eq!(self.terminal.current_router(), Some(spot.key));
        assert!(!self.terminal.is_registering(), "still registering");
        let binding = self.tables.anchors[site].expect("the anchor point has a binding");
        assert_eq!((binding.care_of, binding.group, binding.state), (regional, local, BindingState::Anchor));
        assert_eq!(self.tables.agents[site], None);
        assert_eq!(self.tables.home.map(|home| home.care_of), Some(regional));
        let uplink = Uplink::NestedTunnel {
            port,
            router,
            source: local,
            peer: anchor,
            care_of: regional,
            home_agent: HOME_AGENT,
        };
        assert_eq!(self.tables.uplink, Some(uplink));
        assert!(self.joined.is_empty() && self.tables.receptions.is_empty() && self.claimed.is_none());
        let wanted = [
            TunnelReception { remote: anchor, local, home_address: regional },
            TunnelReception { remote: HOME_AGENT, local: regional, home_address: HOME_ADDRESS },
        ];
        assert!(wanted.iter().all(|tunnel| self.tables.tunnels.contains(tunnel)), "{:?}", self.tables.tunnels);
        assert_eq!(self.tables.tunnels.len(), 2, "{:?}", self.tables.tunnels);
    }

    /// Everything agrees that the terminal is at this spot.
    #[track_caller]
    pub(super) fn assert_settled_at(&self, spot: Spot) {
        let group = GroupLayout::Ssm { scope: Scope::SITE_LOCAL }.group(EUI).unwrap();
        let port = spot.key.port;
        assert_eq!(self.terminal.current_router(), Some(spot.key));
        assert!(!self.terminal.is_registering(), "still registering");
        let RouterKey { router, .. } = spot.key;
        match spot.site {
            Some(site) => {
                let agent = AGENTS[site];
                let binding = self.tables.agents[site].expect("the agent has a binding");
                assert_eq!(self.tables.home.map(|home| home.care_of), Some(binding.care_of));
                assert!(self.proxied);
                let source = spot.address();
                assert_eq!(self.tables.uplink, Some(Uplink::Tunnel { port, router, source, peer: agent }));
                assert_eq!(self.joined.clone().into_iter().collect::<Vec<_>>(), [((port, group), vec![agent])]);
                let reception = self.tables.receptions[&MrouteKey { source: agent, group }];
                assert_eq!((reception.care_of, reception.gre_key), (binding.care_of, binding.gre_key));
                assert!(reception.gre_key.is_some());
                assert_eq!(self.tables.receptions.len(), 1);
                assert!(!self.is_active(1 - site), "the old agent was told");
                assert!(self.tables.care_of.contains(&binding.care_of));
                assert!(self.tables.tunnels.is_empty() && self.claimed.is_none());
            }
            None => {
                assert!(self.joined.is_empty() && self.tables.receptions.is_empty());
                assert!(!self.is_active(0) && !self.is_active(1));
                if spot.is_home {
                    assert_eq!(self.tables.home, None);
                    assert_eq!(self.tables.uplink, Some(Uplink::Native { port, router }));
                    assert_eq!(self.claimed, Some(port));
                    assert!(!self.proxied);
                    assert!(self.tables.tunnels.iter().all(|tunnel| tunnel.local == HOME_ADDRESS));
                } else {
                    let source = spot.address();
                    assert_eq!(self.tables.home.map(|home| home.care_of), Some(source));
                    assert_eq!(self.tables.uplink, Some(Uplink::Tunnel { port, router, source, peer: HOME_AGENT }));
                    assert!(self.tables.tunnels.iter().all(|tunnel| tunnel.local == source));
                    assert!(self.tables.tunnels.iter().any(|tunnel| tunnel.remote == HOME_AGENT));
                    assert!(self.claimed.is_none());
                }
            }
        }
    }
}

fn destination(packet: &[u8]) -> Ipv6Addr {
    ipv6::Header::parse(packet).unwrap().destination
}
