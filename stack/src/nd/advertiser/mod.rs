//! The Router Advertisements of a router (RFC 4861 §6.2), with what RFC 6275 §7 and RFC 5380 §5 add.
//!
//! A port advertises from [`Command::Start`] on: at once, [`MAX_INITIAL_RTR_ADVERTISEMENTS`] times quickly, then at random
//! intervals. On links of mobile terminals [`Solicited::Immediate`] answers a solicitation in the same turn and to the
//! solicitor's link-layer address alone, so that finding a router costs one round trip.
//!
//! Left out: prefix lifetimes that count down in real time (RFC 4861 §6.2.1 AdvValidLifetime, second variant), and
//! advertisements split over several packets: [`MAX_PREFIXES`] and [`MAX_MAPS`] keep them below the smallest MTU.

#[cfg(test)]
mod tests;

use crate::addr::{self, ALL_NODES, ALL_ROUTERS, MacAddress};
use crate::machine::{Machine, Output, Outputs, PortId, RxMeta, Via};
use crate::rng::Rng;
use crate::tables::TableUpdate;
use crate::time::{Duration, Instant, Timers};
use crate::wire::ipv6::MINIMUM_MTU;
use crate::wire::nd::{
    HomeAgentInformation, MapOption, Message, Opened, PrefixInformation, Refusal, RouterAdvertisement,
    RouterPreference, open,
};
use core::convert::Infallible;
use core::net::Ipv6Addr;
use std::collections::BTreeMap;

/// MAX_INITIAL_RTR_ADVERTISEMENTS.
pub const MAX_INITIAL_RTR_ADVERTISEMENTS: u32 = 3;
/// MAX_INITIAL_RTR_ADVERT_INTERVAL.
pub const MAX_INITIAL_RTR_ADVERT_INTERVAL: Duration = Duration::from_secs(16);
/// MAX_FINAL_RTR_ADVERTISEMENTS; withdrawn MAP options are sent as often.
pub const MAX_FINAL_RTR_ADVERTISEMENTS: u32 = 3;
/// MIN_DELAY_BETWEEN_RAS.
pub const MIN_DELAY_BETWEEN_RAS: Duration = Duration::from_secs(3);
/// MAX_RA_DELAY_TIME.
pub const MAX_RA_DELAY_TIME: Duration = Duration::from_millis(500);
/// Prefixes that are advertised on one port; with [`MAX_MAPS`] MAP options they fit the smallest MTU.
pub const MAX_PREFIXES: usize = 16;
/// MAP options that are advertised on one port.
pub const MAX_MAPS: usize = 16;
/// Solicitations of one port that are answered at once in one second; beyond, the answer goes to all nodes and is delayed.
pub const MAX_IMMEDIATE_PER_SECOND: u32 = 1000;

/// What the machine is set up with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Seed of its random numbers.
    pub seed: u64,
    /// The ports on which this router advertises.
    pub ports: Vec<PortConfig>,
}

/// One port (RFC 4861 §6.2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortConfig {
    /// The port.
    pub port: PortId,
    /// Its link-layer address.
    pub link_address: MacAddress,
    /// MinRtrAdvInterval; RFC 6275 §7.5 allows 30 ms.
    pub min_interval: Duration,
    /// MaxRtrAdvInterval; RFC 6275 §7.5 allows 70 ms.
    pub max_interval: Duration,
    /// MinDelayBetweenRAs (RFC 6275 §13): [`MIN_DELAY_BETWEEN_RAS`], or less where the intervals are less.
    pub min_delay_between: Duration,
    /// How solicitations are answered.
    pub solicited: Solicited,
    /// AdvManagedFlag.
    pub managed: bool,
    /// AdvOtherConfigFlag.
    pub other_configuration: bool,
    /// Router preference (RFC 4191).
    pub preference: RouterPreference,
    /// AdvDefaultLifetime.
    pub lifetime_secs: u16,
    /// AdvCurHopLimit.
    pub current_hop_limit: u8,
    /// AdvReachableTime.
    pub reachable_time_millis: u32,
    /// AdvRetransTimer.
    pub retransmit_timer_millis: u32,
    /// AdvLinkMTU; `None` sends no MTU option.
    pub link_mtu: Option<u32>,
    /// Whether the Advertisement Interval option is sent (RFC 6275 §7.3).
    pub interval_option: bool,
    /// AdvPrefixList, at most [`MAX_PREFIXES`].
    pub prefixes: Vec<PrefixInformation>,
    /// MAP options, at most [`MAX_MAPS`].
    pub maps: Vec<MapOption>,
    /// Whether the router is a home agent here.
    pub home_agent: HomeAgent,
}

/// How solicitations are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Solicited {
    /// With the random delay and the rate limit of RFC 4861 §6.2.6, to all nodes.
    Rfc,
    /// At once and to the solicitor alone, for links of mobile terminals.
    Immediate,
}

/// Whether the router is a home agent on a link (RFC 6275 §7.1, §7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HomeAgent {
    /// It is none.
    No,
    /// It is one, with the default preference and lifetime: H flag alone.
    Default,
    /// It is one, with this option.
    With(HomeAgentInformation),
}

/// What the node may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// The port's link is up and this is its link-local address: begins to advertise.
    Start {
        /// The port.
        port: PortId,
        /// Source of the advertisements.
        source: Ipv6Addr,
    },
    /// The link is down: stops without a word.
    LinkDown(PortId),
    /// The port has another link-layer address: the next advertisements tell it.
    LinkAddress(PortId, MacAddress),
    /// The port's link takes packets of so many octets: what the next advertisements say is no more than that.
    Mtu(PortId, usize),
    /// Ceases to be a router on the port: final advertisements with lifetime zero (RFC 4861 §6.2.5).
    Cease(PortId),
    /// Ceases on every port.
    Shutdown,
    /// Ceases on every port, and begins nowhere, until [`Command::Resume`].
    Drain,
    /// Begins again where it would have, had it not been for [`Command::Drain`].
    Resume,
    /// Advertises this MAP option on a port, in place of one with the same address, and says so at once.
    SetMap {
        /// The port.
        port: PortId,
        /// The option.
        map: MapOption,
    },
    /// Withdraws the MAP option with this address: it is sent with lifetime zero in the next
    /// [`MAX_FINAL_RTR_ADVERTISEMENTS`] advertisements to all nodes, the first at once, then left out.
    WithdrawMap {
        /// The port.
        port: PortId,
        /// The anchor point.
        address: Ipv6Addr,
    },
}

impl PortConfig {
    /// The defaults of RFC 4861 §6.2.1, with nothing to advertise but itself.
    pub fn new(port: PortId, link_address: MacAddress) -> Self {
        PortConfig {
            port,
            link_address,
            min_interval: Duration::from_secs(198),
            max_interval: Duration::from_secs(600),
            min_delay_between: MIN_DELAY_BETWEEN_RAS,
            solicited: Solicited::Rfc,
            managed: false,
            other_configuration: false,
            preference: RouterPreference::Medium,
            lifetime_secs: 1800,
            current_hop_limit: 64,
            reachable_time_millis: 0,
            retransmit_timer_millis: 0,
            link_mtu: None,
            interval_option: false,
            prefixes: Vec::new(),
            maps: Vec::new(),
            home_agent: HomeAgent::No,
        }
    }
}

crate::counters! {
    /// What was received, sent and refused.
    Counters {
        /// Router Solicitations received.
        rx_router_solicitation = "rx-ra-router-solicitation",
        /// Advertisements sent to all nodes.
        tx_multicast = "tx-ra-multicast",
        /// Advertisements sent to one solicitor.
        tx_unicast = "tx-ra-unicast",
        /// Advertisements of other routers that contradict ours (RFC 4861 §6.2.7).
        inconsistent = "ra-inconsistent",
        /// Solicitations that were not answered at once because there were too many.
        immediate_exceeded = "ra-immediate-exceeded",
        /// Solicitations on ports that do not advertise, or through a tunnel.
        drop_port = "drop-ra-port",
        /// Packets that are not valid; Neighbor Discovery counts them by reason.
        drop_invalid = "drop-ra-invalid",
        /// Commands refused: unknown port, impossible option, limit reached.
        drop_command = "drop-ra-command",
    }
}

/// The Router Advertisements of a node, all its ports.
#[derive(Debug)]
pub struct RouterAdvertiser {
    ports: BTreeMap<PortId, Port>,
    timers: Timers<PortId>,
    rng: Rng,
    outputs: Outputs<Infallible>,
    counters: Counters,
    service: Service,
}

/// Whether hosts are to use this router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Service {
    Open,
    Drained,
}

/// One port.
#[derive(Debug)]
struct Port {
    config: PortConfig,
    state: State,
    /// Octets of a packet that the link takes, where they are known.
    widest: u32,
    /// Withdrawn MAP options that are still to be told, and how often.
    withdrawn: Vec<(MapOption, u32)>,
    last_multicast: Option<Instant>,
    /// Advertisements that are still to come quickly.
    initial_left: u32,
    /// The second in which solicitations are counted, and how many came.
    immediate: (Instant, u32),
}

/// Whether a port advertises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Silent,
    /// It would advertise, but the router is drained.
    Held {
        source: Ipv6Addr,
    },
    Advertising {
        source: Ipv6Addr,
    },
    Ceasing {
        source: Ipv6Addr,
        left: u32,
    },
}

impl RouterAdvertiser {
    /// The machine; no port advertises yet.
    pub fn new(config: Config) -> Self {
        let ports = config.ports.into_iter().map(|mut config| {
            config.prefixes.truncate(MAX_PREFIXES);
            config.maps.truncate(MAX_MAPS);
            let port = Port {
                state: State::Silent,
                widest: u32::MAX,
                withdrawn: Vec::new(),
                last_multicast: None,
                initial_left: 0,
                immediate: (Instant::ORIGIN, 0),
                config,
            };
            (port.config.port, port)
        });
        RouterAdvertiser {
            ports: ports.collect(),
            timers: Timers::new(),
            rng: Rng::new(config.seed),
            outputs: Outputs::new(),
            counters: Counters::default(),
            service: Service::Open,
        }
    }

    /// What was received, sent and refused.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What a port advertises; `None` where it does not.
    pub fn advertisement(&self, port: PortId) -> Option<RouterAdvertisement> {
        let port = self.ports.get(&port)?;
        matches!(port.state, State::Advertising { .. }).then(|| port.advertisement())
    }

    /// Whether this port is to advertise.
    pub fn has_port(&self, port: PortId) -> bool {
        self.ports.contains_key(&port)
    }

    /// A packet that another machine has opened already; otherwise as [`Machine::handle_packet`].
    pub fn handle_opened(&mut self, now: Instant, meta: &RxMeta, opened: &Result<Opened, Refusal>) {
        let Ok(opened) = opened else {
            self.counters.drop_invalid += 1;
            return;
        };
        match &opened.message {
            Message::RouterSolicitation(solicitation) => {
                self.counters.rx_router_solicitation += 1;
                let link_address = solicitation.source_link_address.or(meta.link_source);
                if meta.tunnel.is_some() || !self.solicited(now, meta.port, opened.source, link_address) {
                    self.counters.drop_port += 1;
                }
            }
            Message::RouterAdvertisement(other) if meta.tunnel.is_none() => {
                let Some(port) = self.ports.get(&meta.port) else { return };
                self.counters.inconsistent += u64::from(contradict(&port.advertisement(), other));
            }
            _ => {}
        }
    }

    /// Answers a solicitation; `false` where the port does not advertise.
    fn solicited(&mut self, now: Instant, id: PortId, solicitor: Ipv6Addr, link: Option<MacAddress>) -> bool {
        let Some(port) = self.ports.get_mut(&id) else { return false };
        let State::Advertising { source } = port.state else { return false };
        if port.config.solicited == Solicited::Immediate
            && let Some(link) = link
        {
            if now.since(port.immediate.0) >= Duration::from_secs(1) {
                port.immediate = (now, 0);
            }
            port.immediate.1 += 1;
            if port.immediate.1 <= MAX_IMMEDIATE_PER_SECOND {
                // DEVIATION RFC 4861 §6.2.6: no random delay, and a solicitor without an address is answered by a frame to
                // it alone that holds a packet to all nodes (RFC 6085 §3). One terminal comes at a time.
                let destination = if solicitor.is_unspecified() { ALL_NODES } else { solicitor };
                let packet = Message::RouterAdvertisement(port.advertisement()).packet(source, destination);
                self.outputs.transmit(packet, Via::LinkAddress(id, link));
                self.counters.tx_unicast += 1;
                return true;
            }
            self.counters.immediate_exceeded += 1;
        }
        let delay = self.rng.duration(Duration::ZERO..MAX_RA_DELAY_TIME);
        let earliest = port.last_multicast.map_or(now, |last| (last + port.config.min_delay_between).max(now));
        self.timers.set_no_later(id, earliest + delay);
        true
    }

    fn start(&mut self, now: Instant, id: PortId, source: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id).filter(|_| addr::is_link_local(source)) else {
            self.counters.drop_command += 1;
            return;
        };
        if port.state == (State::Advertising { source }) {
            return;
        }
        if self.service == Service::Drained {
            // Final advertisements go on, from wherever they were begun.
            if matches!(port.state, State::Silent | State::Held { .. }) {
                port.state = State::Held { source };
            }
            return;
        }
        port.state = State::Advertising { source };
        port.initial_left = MAX_INITIAL_RTR_ADVERTISEMENTS;
        self.outputs.table(TableUpdate::LinkGroupJoin(id, ALL_ROUTERS));
        self.advertise(now, id);
    }

    fn link_down(&mut self, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let before = core::mem::replace(&mut port.state, State::Silent);
        if !matches!(before, State::Silent | State::Held { .. }) {
            self.outputs.table(TableUpdate::LinkGroupLeave(id, ALL_ROUTERS));
        }
        port.withdrawn.clear();
        port.last_multicast = None;
        self.timers.cancel(id);
    }

    fn cease(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let State::Advertising { source } = port.state else { return };
        port.state = State::Ceasing { source, left: MAX_FINAL_RTR_ADVERTISEMENTS };
        self.advertise(now, id);
    }

    fn cease_everywhere(&mut self, now: Instant) {
        let ports: Vec<PortId> = self.ports.keys().copied().collect();
        for port in ports {
            self.cease(now, port);
        }
    }

    fn resume(&mut self, now: Instant) {
        self.service = Service::Open;
        let ports: Vec<(PortId, State)> = self.ports.iter().map(|(&id, port)| (id, port.state)).collect();
        for (id, state) in ports {
            if let State::Held { source } | State::Ceasing { source, .. } = state {
                self.start(now, id, source);
            }
        }
    }

    fn set_map(&mut self, now: Instant, id: PortId, map: MapOption) {
        let possible =
            (1..=15).contains(&map.distance) && map.preference <= 15 && addr::is_routable_unicast(map.address);
        let Some(port) = self.ports.get_mut(&id).filter(|_| possible) else {
            self.counters.drop_command += 1;
            return;
        };
        port.withdrawn.retain(|(withdrawn, _)| withdrawn.address != map.address);
        let has_room = port.config.maps.len() + port.withdrawn.len() < MAX_MAPS;
        match port.config.maps.iter_mut().find(|known| known.address == map.address) {
            Some(known) if *known == map => return,
            Some(known) => *known = map,
            None if has_room => port.config.maps.push(map),
            None => {
                self.counters.drop_command += 1;
                return;
            }
        }
        self.changed(now, id);
    }

    fn withdraw_map(&mut self, now: Instant, id: PortId, address: Ipv6Addr) {
        let Some(port) = self.ports.get_mut(&id) else {
            self.counters.drop_command += 1;
            return;
        };
        let Some(index) = port.config.maps.iter().position(|map| map.address == address) else { return };
        let map = port.config.maps.remove(index);
        if !matches!(port.state, State::Silent | State::Held { .. }) {
            port.withdrawn.push((MapOption { valid_lifetime_secs: 0, ..map }, MAX_FINAL_RTR_ADVERTISEMENTS));
        }
        self.changed(now, id);
    }

    /// What is advertised has changed: it is told as when the port began, as soon as the rate limit lets it (RFC 4861
    /// §6.2.4).
    fn changed(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if !matches!(port.state, State::Advertising { .. }) {
            return;
        }
        port.initial_left = MAX_INITIAL_RTR_ADVERTISEMENTS;
        match port.last_multicast.map(|last| last + port.config.min_delay_between) {
            Some(earliest) if earliest > now => self.timers.set_no_later(id, earliest),
            _ => self.advertise(now, id),
        }
    }

    /// Sends an advertisement to all nodes and draws the time of the next.
    fn advertise(&mut self, now: Instant, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let source = match port.state {
            State::Silent | State::Held { .. } => return,
            State::Advertising { source } | State::Ceasing { source, .. } => source,
        };
        let packet = Message::RouterAdvertisement(port.advertisement()).packet(source, ALL_NODES);
        self.outputs.transmit(packet, Via::Link(id));
        self.counters.tx_multicast += 1;
        port.last_multicast = Some(now);
        port.withdrawn.retain_mut(|(_, left)| {
            *left -= 1;
            *left > 0
        });
        match &mut port.state {
            State::Ceasing { left, .. } => {
                *left -= 1;
                if *left == 0 {
                    port.state = match self.service {
                        Service::Open => State::Silent,
                        Service::Drained => State::Held { source },
                    };
                    self.timers.cancel(id);
                    self.outputs.table(TableUpdate::LinkGroupLeave(id, ALL_ROUTERS));
                } else {
                    self.timers.set(id, now + port.config.min_delay_between);
                }
            }
            _ => {
                let mut interval = self.rng.duration(port.config.min_interval..port.config.max_interval);
                port.initial_left = port.initial_left.saturating_sub(1);
                if port.initial_left > 0 {
                    interval = interval.min(MAX_INITIAL_RTR_ADVERT_INTERVAL);
                }
                self.timers.set(id, now + interval);
            }
        }
    }
}

impl Port {
    /// What is advertised now.
    fn advertisement(&self) -> RouterAdvertisement {
        let config = &self.config;
        let ceasing = matches!(self.state, State::Ceasing { .. });
        let withdrawn = self.withdrawn.iter().map(|&(map, _)| map);
        let maps = config
            .maps
            .iter()
            .map(|&map| MapOption { valid_lifetime_secs: if ceasing { 0 } else { map.valid_lifetime_secs }, ..map });
        let interval_millis = u32::try_from(config.max_interval.as_millis()).unwrap_or(u32::MAX);
        // RFC 6275 §7.5: 20 ms more below 200 ms, for the scheduling of both ends.
        let interval_millis = if interval_millis < 200 { interval_millis + 20 } else { interval_millis };
        RouterAdvertisement {
            current_hop_limit: config.current_hop_limit,
            managed: config.managed,
            other_configuration: config.other_configuration,
            home_agent: config.home_agent != HomeAgent::No,
            preference: if ceasing { RouterPreference::Medium } else { config.preference },
            lifetime_secs: if ceasing { 0 } else { config.lifetime_secs },
            reachable_time_millis: config.reachable_time_millis,
            retransmit_timer_millis: config.retransmit_timer_millis,
            source_link_address: Some(config.link_address),
            mtu: config.link_mtu.map(|mtu| mtu.min(self.widest).max(MINIMUM_MTU as u32)),
            prefixes: config.prefixes.clone(),
            advertisement_interval_millis: config.interval_option.then_some(interval_millis),
            home_agent_information: match config.home_agent {
                HomeAgent::With(information) => Some(information),
                HomeAgent::No | HomeAgent::Default => None,
            },
            maps: maps.chain(withdrawn).collect(),
            other: Vec::new(),
        }
    }
}

/// Whether another router says of the link what contradicts this one (RFC 4861 §6.2.7).
fn contradict(ours: &RouterAdvertisement, other: &RouterAdvertisement) -> bool {
    let differ = |a: u32, b: u32| a != 0 && b != 0 && a != b;
    let lifetimes = |prefix: &PrefixInformation| (prefix.valid_lifetime_secs, prefix.preferred_lifetime_secs);
    ours.managed != other.managed
        || ours.other_configuration != other.other_configuration
        || differ(u32::from(ours.current_hop_limit), u32::from(other.current_hop_limit))
        || differ(ours.reachable_time_millis, other.reachable_time_millis)
        || differ(ours.retransmit_timer_millis, other.retransmit_timer_millis)
        || differ(ours.mtu.unwrap_or(0), other.mtu.unwrap_or(0))
        || ours.prefixes.iter().any(|our| {
            other.prefixes.iter().any(|their| their.prefix() == our.prefix() && lifetimes(their) != lifetimes(our))
        })
}

impl Machine for RouterAdvertiser {
    type Command = Command;
    type Event = Infallible;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        self.handle_opened(now, meta, &open(packet));
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(id) = self.timers.pop_expired(now) {
            self.advertise(now, id);
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Start { port, source } => self.start(now, port, source),
            Command::LinkDown(port) => self.link_down(port),
            Command::LinkAddress(port, address) => {
                if let Some(port) = self.ports.get_mut(&port) {
                    port.config.link_address = address;
                }
            }
            Command::Mtu(port, mtu) => {
                if let Some(port) = self.ports.get_mut(&port) {
                    port.widest = u32::try_from(mtu).unwrap_or(u32::MAX);
                }
            }
            Command::Cease(port) => self.cease(now, port),
            Command::Shutdown => self.cease_everywhere(now),
            Command::Drain => {
                self.service = Service::Drained;
                self.cease_everywhere(now);
            }
            Command::Resume => self.resume(now),
            Command::SetMap { port, map } => self.set_map(now, port, map),
            Command::WithdrawMap { port, address } => self.withdraw_map(now, port, address),
        }
    }

    fn poll_output(&mut self) -> Option<Output<Infallible>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }
}
