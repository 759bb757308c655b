//! What holds of a mobile terminal whatever strangers, routers, agents and correspondents send it: where it is registered
//! only a peer changes that has its key, what it keeps has its limits, it answers little, and no number leaves before it
//! was written down.

use crate::history::{self, What, steps};
use crate::mend::{self, Opened};
use crate::samples;
use core::net::Ipv6Addr;
use ha::mobile::{
    AdvertisedAgent, AdvertisedPrefix, Command, Config, Event, Granted, MobileTerminal, Mode, Radio, Restored,
    RouteOptimisation, RouterAdvertisement, SiteInfo, Subscription, Timing, UplinkMode,
};
use mma::auth::{Algorithm, Key, SecurityAssociation, Spi};
use mma::secret::SecretRng;
use stack::addr::{self, Eui64, GroupLayout, Prefix, Scope};
use stack::machine::{CorrespondentWay, Machine, Output, PortId, RxMeta, TunnelMeta};
use stack::tables::{MrouteKey, TableUpdate, TunnelReception, Uplink};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use stack::wire::home_link;
use stack::wire::ipv6::{HEADER_LEN, Header, protocol};
use stack::wire::mobility::option::{self, AddressPrefix};
use stack::wire::mobility::{
    self, BindingAcknowledgement, BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime, MobilityMessage,
    MobilityOptions, Status,
};
use stack::wire::nd;
use std::collections::{BTreeMap, BTreeSet};

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x99);
const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const AGENTS: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 0x52, 0, 0, 0, 0, 1)];
const CARE_OF: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0xc0a, 0, 0, 0, 9), Ipv6Addr::new(0x2001, 0xdb8, 0x52, 0xc0a, 0, 0, 0, 9)];
/// Takes the Home Address option.
const FRIEND: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);
const STRANGER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
const EUI: Eui64 = Eui64(0x0200_5eff_fe10_0001);
const LAYOUT: GroupLayout = GroupLayout::Ssm { scope: Scope::SITE_LOCAL };
/// Radio ports: one at each agent, one at home.
const RADIOS: u8 = 3;

fn key(octet: u8) -> SecurityAssociation {
    let key = Key::new(&[octet; 16]).expect("16 octets");
    SecurityAssociation { spi: Spi::new(256).expect("not reserved"), key, algorithm: Algorithm::HmacSha1_96 }
}

/// The key that the terminal shares with a peer.
fn key_of(peer: Ipv6Addr) -> SecurityAssociation {
    key(if Prefix::of_link(HOME).contains(peer) { 1 } else { 2 })
}

const fn router(port: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xa + port as u16)
}

fn prefix(port: u8) -> Prefix {
    let of_home = port % RADIOS == RADIOS - 1;
    let high = if of_home { 1 } else { 0xf000 | u16::from(port % RADIOS) };
    Prefix::of_link(Ipv6Addr::new(0x2001, 0xdb8, high, 0, 0, 0, 0, 0))
}

/// The terminal's address on a link.
fn local(port: u8) -> Ipv6Addr {
    addr::with_interface_identifier(prefix(port).address(), EUI.modified())
}

fn config(home_agent: Option<Ipv6Addr>) -> Config {
    let radio = |port| Radio { port: PortId(port), initial_signal_dbm: Some(-90), cost_db: 0 };
    Config {
        home_address: HOME,
        home_prefix: Prefix::of_link(HOME),
        home_agent,
        home_association: key(1),
        agent_association: key(2),
        identifier: None,
        clock: None,
        eui64: EUI,
        group_layout: LAYOUT,
        radios: (0..RADIOS).map(radio).collect(),
        tun: None,
        mode: Mode::Multicast,
        route_optimisation: RouteOptimisation::Mt,
        route_optimisation_with: Vec::new(),
        uplink: UplinkMode::Auto,
        direct_correspondents: vec![FRIEND],
        gre: true,
        report_moves: true,
        router_choice: Default::default(),
        timers: Timing::default(),
        restored: Restored::default(),
    }
}

/// What only a peer with a key changes.
#[derive(PartialEq, Debug)]
struct Standing {
    site: SiteInfo,
    joined: Vec<(PortId, Subscription)>,
    home: Option<Granted>,
    agent: Option<Granted>,
    uplink: Option<Uplink>,
}

/// A Binding Update that went to a home agent or mobility agent.
struct Asked {
    peer: Ipv6Addr,
    source: Ipv6Addr,
    bound: Ipv6Addr,
    care_of: Ipv6Addr,
    update: BindingUpdate,
}

struct Subject {
    terminal: MobileTerminal,
    now: Instant,
    /// The last to each peer.
    asked: BTreeMap<Ipv6Addr, Asked>,
    /// Identifier and source of the last question for home agents.
    question: Option<(u16, Ipv6Addr)>,
    /// The last number that was written down for each peer.
    written: BTreeMap<Ipv6Addr, u16>,
    receptions: BTreeSet<MrouteKey>,
    tunnels: Vec<TunnelReception>,
    care_of: BTreeSet<Ipv6Addr>,
}

#[derive(Default)]
struct Outcome {
    tables: Vec<TableUpdate>,
    packets: u64,
}

impl Subject {
    fn new(home_agent: Option<Ipv6Addr>) -> Self {
        let mut subject = Subject {
            terminal: MobileTerminal::new(config(home_agent), SecretRng::simulated(1)),
            now: Instant::from_secs(1_000),
            asked: BTreeMap::new(),
            question: None,
            written: BTreeMap::new(),
            receptions: BTreeSet::new(),
            tunnels: Vec::new(),
            care_of: BTreeSet::new(),
        };
        subject.outcome();
        subject
    }

    fn counted(&self) -> u64 {
        let correspondents = self.terminal.optimisation_counters().iter();
        self.terminal.counters().iter().chain(correspondents).map(|(_, count)| count).sum()
    }

    fn standing(&self) -> Standing {
        Standing {
            site: self.terminal.site(),
            joined: self.terminal.joined().collect(),
            home: self.terminal.home_registration().copied(),
            agent: self.terminal.agent_registration().copied(),
            uplink: self.terminal.uplink(),
        }
    }

    fn outcome(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some(output) = self.terminal.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    let header = Header::parse(&transmit.packet).expect("what leaves is whole");
                    assert_eq!(header.total_length(), transmit.packet.len());
                    assert!(transmit.packet.len() <= 1280, "{} octets", transmit.packet.len());
                    outcome.packets += 1;
                    self.remember(&transmit.packet);
                }
                Output::Table(update) => {
                    self.apply(&update);
                    outcome.tables.push(update);
                }
                Output::Event(Event::Persist { peer, sequence, .. }) => {
                    self.written.insert(peer, sequence);
                }
                Output::Event(_) => {}
            }
        }
        self.check();
        outcome
    }

    fn remember(&mut self, packet: &[u8]) {
        let header = Header::parse(packet).expect("it was parsed");
        if let Ok(home_link::Message::AddressRequest { identifier }) = home_link::Message::parse(&packet[HEADER_LEN..])
            && header.next_header == protocol::ICMPV6
        {
            self.question = Some((identifier, header.source));
        }
        let Some(opened) = Opened::of(packet) else { return };
        let Some(update) = opened.update() else { return };
        let (peer, source, bound) = (opened.destination, opened.source, opened.home_address());
        if update.options.authentication.is_some() {
            assert_eq!(self.written.get(&peer), Some(&update.sequence), "it was not written down");
            let care_of = update.options.alternate_care_of_address.unwrap_or(source);
            self.asked.insert(peer, Asked { peer, source, bound, care_of, update });
        }
    }

    fn apply(&mut self, update: &TableUpdate) {
        match *update {
            TableUpdate::GroupReceptionSet(group, reception) => {
                self.receptions.insert(MrouteKey { source: reception.source, group });
            }
            TableUpdate::GroupReceptionRemove(key) => assert!(self.receptions.remove(&key), "{key:?} was not there"),
            TableUpdate::TunnelReceptionSet(reception) => {
                if !self.tunnels.contains(&reception) {
                    self.tunnels.push(reception);
                }
            }
            TableUpdate::TunnelReceptionRemove(reception) => {
                let place = self.tunnels.iter().position(|known| *known == reception).expect("it was there");
                self.tunnels.remove(place);
            }
            TableUpdate::CareOfSet(care_of, home_address) => {
                assert_eq!(home_address, HOME);
                self.care_of.insert(care_of);
            }
            TableUpdate::CareOfRemove(care_of) => assert!(self.care_of.remove(&care_of), "{care_of} was not there"),
            TableUpdate::UplinkSet(home_address, _)
            | TableUpdate::UplinkExceptionSet { home_address, .. }
            | TableUpdate::UplinkExceptionRemove { home_address, .. } => assert_eq!(home_address, HOME),
            TableUpdate::RouteSet(..) | TableUpdate::RouteRemove(_) => {}
            ref other => panic!("{other:?} is no business of a terminal"),
        }
    }

    fn check(&self) {
        let terminal = &self.terminal;
        for (_, link) in terminal.links() {
            assert!(link.routers().count() <= 16 && link.addresses().count() <= 16);
        }
        assert!(terminal.refusing_agents().count() <= 32);
        assert!(terminal.refusing_correspondents().count() <= 256);
        assert!(terminal.correspondents().count() <= 64 + 256);
        assert!(terminal.agents_correspondents().count() <= 64);
        assert!(terminal.to_restore().sequences.len() <= 64);
        assert!(terminal.joined().count() <= 2 * usize::from(RADIOS));
        // One agent at a time, those that still forward, and the home agent.
        assert!(self.receptions.len() <= 8, "{:?}", self.receptions);
        assert!(self.tunnels.len() <= 32, "{:?}", self.tunnels);
        assert!(self.care_of.len() <= 16, "{:?}", self.care_of);
    }

    /// Whether a packet is an acknowledgement that a peer with a key has signed.
    fn is_authentic(&self, packet: &[u8]) -> bool {
        let Some(opened) = Opened::of(packet) else { return false };
        let signed_for = |care_of| {
            let verified = |key: SecurityAssociation| key.verify(opened.message, care_of, opened.bound());
            verified(key(1)) || verified(key(2))
        };
        let local = (0..RADIOS).map(local);
        self.asked.values().flat_map(|asked| [asked.care_of, asked.source]).chain(local).any(signed_for)
    }

    fn packet(&mut self, tunnel: Option<TunnelMeta>, packet: &[u8]) {
        if let Some(command) = advertised(packet) {
            return self.tell(command);
        }
        let (before, counted, authentic) = (self.standing(), self.counted(), self.is_authentic(packet));
        let meta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel };
        self.terminal.handle_packet(self.now, &meta, packet);
        let outcome = self.outcome();
        assert!(self.counted() > counted, "it is not counted: {packet:02x?}");
        assert!(outcome.packets <= if authentic { 8 } else { 3 }, "{} packets", outcome.packets);
        if authentic {
            return;
        }
        let mut after = self.standing();
        let is_tunnel_home = |uplink: Option<Uplink>| match uplink {
            Some(Uplink::Tunnel { peer: agent, .. } | Uplink::NestedTunnel { home_agent: agent, .. }) => {
                Prefix::of_link(HOME).contains(agent)
            }
            uplink => uplink == Some(Uplink::Down),
        };
        // Nobody signs the names of home agents: the tunnel may lead to another one, which serves who has its key.
        let names_agents = after.uplink != before.uplink && is_agents_named(packet) && is_tunnel_home(after.uplink);
        if names_agents {
            after.uplink = before.uplink;
        }
        assert_eq!(after, before, "{packet:02x?}");
        // A correspondent may say that it does not take the Home Address option.
        let is_unsigned = |update: &TableUpdate| match update {
            TableUpdate::UplinkExceptionSet { .. } | TableUpdate::UplinkExceptionRemove { .. } => true,
            _ => is_agents_named(packet),
        };
        assert!(outcome.tables.iter().all(is_unsigned), "{:?}", outcome.tables);
    }

    /// A peer answers what it was asked last.
    fn answer(&mut self, octets: &[u8]) {
        let at = |place: usize| octets.get(place).copied().unwrap_or_default();
        let Some(&peer) = [HOME_AGENT, AGENTS[0], AGENTS[1]].get(usize::from(at(0) % 4)) else {
            return self.name_agents(&octets[1..]);
        };
        let Some(asked) = self.asked.get(&peer) else { return };
        let status = Status(at(1));
        let mut options = MobilityOptions::default();
        let site = AGENTS.iter().position(|&agent| agent == peer).filter(|_| at(5) & 1 == 0 && status.is_accepted());
        if let Some(site) = site {
            options.addresses = vec![AddressPrefix::new_care_of(CARE_OF[site])];
            let source = (at(5) & 2 == 0).then_some(peer);
            options.subscriptions =
                vec![option::Subscription { group: LAYOUT.group(EUI).expect("a group of any EUI-64"), source }];
        }
        let acknowledgement = BindingAcknowledgement {
            status,
            flags: Default::default(),
            sequence: asked.update.sequence.wrapping_add(u16::from(at(2))),
            lifetime: Lifetime(u16::from_be_bytes([at(3), at(4)])),
            options,
        };
        let mut message = key_of(peer).sign_acknowledgement(acknowledgement, asked.care_of, asked.bound);
        if at(5) & 4 != 0 {
            // By somebody who has seen the question and has no key.
            message.iter_mut().rev().take(12).for_each(|octet| *octet ^= 0x5a);
        }
        let mut builder = PacketBuilder::new(asked.peer, asked.source);
        if asked.source != asked.bound {
            builder = builder.type2_routing(asked.bound);
        }
        let packet = builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT);
        self.packet(None, &packet);
    }

    /// Home agents are named to the terminal that has asked for them, with its identifier or another one.
    fn name_agents(&mut self, octets: &[u8]) {
        let at = |place: usize| octets.get(place).copied().unwrap_or_default();
        let Some((identifier, source)) = self.question else { return };
        let other = Ipv6Addr::from_bits(HOME_AGENT.to_bits() + u128::from(at(1)));
        let agents = [&[HOME_AGENT, other][..], &vec![STRANGER; usize::from(at(2) % 16)]].concat();
        let identifier = identifier.wrapping_add(u16::from(at(0)));
        let reply = home_link::Message::AddressReply { identifier, agents };
        self.packet(None, &reply.packet(HOME_AGENT, source, None));
    }

    fn tell(&mut self, command: Command) {
        self.terminal.handle_command(self.now, command);
        self.outcome();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.terminal.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.terminal.handle_timeout(self.now);
            self.outcome();
            assert!(self.terminal.poll_timeout().is_none_or(|next| next > at), "what is due is done");
        }
        self.now = end;
    }

    fn command(&mut self, octets: &[u8]) {
        let at = |place: usize| octets.get(place).copied().unwrap_or_default();
        let number = at(1) % (RADIOS + 1);
        let port = PortId(number);
        let correspondent = if at(2) & 1 == 0 { FRIEND } else { STRANGER };
        let way = match at(3) % 3 {
            0 => CorrespondentWay::HomeAgent,
            1 => CorrespondentWay::Forwarded,
            _ => CorrespondentWay::Optimised,
        };
        self.tell(match at(0) % 9 {
            0 => Command::LinkDown(port),
            1 => Command::RouterLost { port, router: router(number) },
            2 => Command::AddressRemoved { port, address: local(number) },
            3 => Command::Signal { port, dbm: -i16::from(at(2)) },
            4 => Command::GroupData { port, group: LAYOUT.group(EUI).expect("a group of any EUI-64") },
            5 => Command::Correspondent { correspondent, way },
            6 => Command::AddressRemoved { port, address: HOME },
            _ => return self.arrive(number),
        });
    }

    /// A link comes up and its router is heard.
    fn arrive(&mut self, number: u8) {
        let (port, lifetime) = (PortId(number), Duration::from_secs(9_000));
        let link_local = addr::with_interface_identifier(router(0), EUI.modified());
        let agent = AGENTS.get(usize::from(number)).copied();
        let agents = agent.map(|address| AdvertisedAgent { address, preference: 10, distance: 1, lifetime });
        for command in [
            Command::LinkUp(port),
            Command::AddressUsable { port, address: link_local },
            Command::RouterAdvertised(RouterAdvertisement {
                port,
                router: router(number),
                lifetime,
                prefixes: vec![AdvertisedPrefix { prefix: prefix(number), lifetime }],
                agents: agents.into_iter().collect(),
                home_agents: Vec::new(),
                address: None,
            }),
            Command::AddressUsable { port, address: local(number) },
        ] {
            self.tell(command);
        }
    }

    /// The packet with an acknowledgement that its source has signed, for what it was asked last.
    fn sign(&self, packet: &[u8], is_fresh: bool) -> Option<Vec<u8>> {
        let opened = Opened::of(packet)?;
        let asked = self.asked.get(&opened.source)?;
        let Ok(MobilityMessage::BindingAcknowledgement(mut acknowledgement)) = mobility::parse(opened.message) else {
            return None;
        };
        if is_fresh {
            acknowledgement.sequence = asked.update.sequence;
        }
        let message = key_of(asked.peer).sign_acknowledgement(acknowledgement, asked.care_of, opened.bound());
        Some(opened.with(message))
    }

    fn step(&mut self, what: What, octets: &[u8]) {
        match what {
            What::Packet => self.packet(None, octets),
            What::Summed => self.packet(None, &mend::summed(octets)),
            What::Signed | What::Fresh => {
                let packet = self.sign(octets, what == What::Fresh).unwrap_or_else(|| octets.to_vec());
                self.packet(None, &packet);
            }
            What::Tunnelled => {
                let destination = self.terminal.site().care_of.unwrap_or(CARE_OF[0]);
                self.packet(Some(TunnelMeta { source: HOME_AGENT, destination }), &mend::summed(octets));
            }
            What::Answer => self.answer(octets),
            What::Time => {
                let tenths = octets.first_chunk().map_or(0, |&tenths| u16::from_be_bytes(tenths));
                self.pass(Duration::from_millis(100 * u64::from(tenths)));
            }
            What::Command => self.command(octets),
        }
    }
}

/// Whether it is a Home Agent Address Discovery Reply.
fn is_agents_named(packet: &[u8]) -> bool {
    let Ok(chain) = Chain::parse(packet) else { return false };
    let message = packet.get(chain.upper_offset..).map(home_link::Message::parse);
    chain.upper == protocol::ICMPV6 && matches!(message, Some(Ok(home_link::Message::AddressReply { .. })))
}

/// What the node tells of a router advertisement, on the port that the last octet of its source says.
fn advertised(packet: &[u8]) -> Option<Command> {
    let opened = nd::open(packet).ok()?;
    let nd::Message::RouterAdvertisement(message) = opened.message else { return None };
    let secs = |secs: u32| Duration::from_secs(u64::from(secs));
    let agents = message.maps.iter().map(|map| AdvertisedAgent {
        address: map.address,
        preference: map.preference,
        distance: map.distance,
        lifetime: secs(map.valid_lifetime_secs),
    });
    let prefixes = message
        .prefixes
        .iter()
        .map(|prefix| AdvertisedPrefix { prefix: prefix.prefix(), lifetime: secs(prefix.valid_lifetime_secs) });
    Some(Command::RouterAdvertised(RouterAdvertisement {
        port: PortId(opened.source.octets()[15] % (RADIOS + 1)),
        router: opened.source,
        lifetime: secs(u32::from(message.lifetime_secs)),
        prefixes: prefixes.collect(),
        agents: agents.collect(),
        home_agents: message.prefixes.iter().filter(|prefix| prefix.router_address).map(|p| p.address).collect(),
        address: None,
    }))
}

/// A history of a terminal.
pub(crate) fn history(input: &[u8]) {
    // With a home agent that it knows, and with one that it has to find.
    for home_agent in [Some(HOME_AGENT), None] {
        run(Subject::new(home_agent), input);
    }
}

fn run(mut subject: Subject, input: &[u8]) {
    for (what, octets) in steps(input) {
        subject.step(what, octets);
    }
    // Without a link everything ends.
    for port in 0..RADIOS {
        subject.tell(Command::LinkDown(PortId(port)));
    }
    subject.pass(Duration::from_secs(300_000));
    assert_eq!(subject.terminal.joined().count(), 0);
    assert_eq!((subject.terminal.home_registration(), subject.terminal.agent_registration()), (None, None));
}

/// Histories that go well.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let arrive = |port: u8| (What::Command, vec![8, port]);
    let prefer = |port: u8| {
        let signal = |other: u8| (What::Command, vec![3, other, if other == port { 40 } else { 90 }]);
        [&(0..RADIOS).map(signal).collect::<Vec<_>>()[..], &[(What::Time, vec![0, 40])][..]].concat()
    };
    let accept = |peer: u8| (What::Answer, vec![peer, 0, 0, 1, 0, 0]);
    let seconds = |seconds: u16| (What::Time, (10 * seconds).to_be_bytes().to_vec());
    let data = |port: u8| (What::Command, vec![4, port]);
    let found = (What::Answer, vec![3, 0, 1, 2]);
    let settled = |port: u8| {
        [&[arrive(port)][..], &prefer(port), &[accept(1 + port), found.clone(), accept(0), data(port)]].concat()
    };
    let from = |source: Ipv6Addr, message: &[u8]| {
        let builder = PacketBuilder::new(source, local(0)).type2_routing(HOME);
        builder.checksummed(protocol::MOBILITY, message.to_vec(), CHECKSUM_AT)
    };
    let talk = |source: Ipv6Addr, what: What| -> Vec<(What, Vec<u8>)> {
        let messages = samples::unsigned(HOME, BindingUpdateFlags::HOME_REGISTRATION, 256);
        messages.iter().map(|message| (what, from(source, message))).collect()
    };
    let advertisement = nd::RouterAdvertisement {
        lifetime_secs: 1_800,
        prefixes: vec![nd::PrefixInformation {
            address: prefix(1).address(),
            prefix_length: 64,
            on_link: true,
            autonomous: true,
            router_address: false,
            valid_lifetime_secs: 600,
            preferred_lifetime_secs: 300,
        }],
        maps: vec![nd::MapOption {
            distance: 1,
            preference: 10,
            allocates_address: false,
            valid_lifetime_secs: 600,
            address: AGENTS[1],
        }],
        ..nd::RouterAdvertisement::default()
    };
    let advertised = nd::Message::RouterAdvertisement(advertisement).packet(router(1), addr::ALL_NODES);
    let refused = PacketBuilder::new(local(0), FRIEND).home_address(HOME).payload(protocol::UDP, &[0; 30]);
    let problem = PacketBuilder::new(FRIEND, local(0)).icmpv6(4, 2, &[&[0, 0, 0, 46][..], &refused].concat());
    let history = |of: &[(What, Vec<u8>)]| {
        let mut history = Vec::new();
        of.iter().for_each(|(what, octets)| history::append(&mut history, *what, octets));
        history
    };
    vec![
        history(&[&settled(0)[..], &talk(STRANGER, What::Summed), &talk(AGENTS[0], What::Fresh)].concat()),
        history(
            &[
                &settled(0)[..],
                &[arrive(1)],
                &prefer(1),
                &[
                    (What::Answer, vec![2, 0, 0, 1, 0, 4]),
                    accept(2),
                    accept(0),
                    data(1),
                    seconds(1),
                    accept(1),
                    seconds(40),
                ],
                &talk(HOME_AGENT, What::Signed),
            ]
            .concat(),
        ),
        history(&[&settled(0)[..], &[arrive(2)], &prefer(2), &[accept(0), accept(1), seconds(5)]].concat()),
        history(
            &[
                &settled(0)[..],
                &[(What::Packet, problem), (What::Packet, advertised), (What::Command, vec![5, 0, 1, 0])],
                &talk(FRIEND, What::Tunnelled),
                &[seconds(900), accept(1), accept(0), (What::Command, vec![0, 0]), seconds(10)],
            ]
            .concat(),
        ),
        history(&[&[arrive(0)][..], &prefer(0), &[(What::Answer, vec![1, 129]), accept(0), seconds(700)]].concat()),
    ]
}
