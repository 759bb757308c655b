//! What holds of a home agent whatever it is sent, by terminals that it knows too: nothing is bound that was not asked for by
//! the holder of its key with a number that was not used before, what it keeps has its limits, the data plane is told all
//! of it and nothing else, and neighbour discovery speaks for those addresses that packets are intercepted for.

use crate::history::{self, What, steps};
use crate::mend::{self, Opened};
use crate::samples;
use core::net::Ipv6Addr;
use ha::binding::{Binding, BindingStatus};
use ha::home_agent::{Command, Config, Event, HomeAgent, HomeDad, HomeLink};
use mma::auth::{Algorithm, AssociationTable, Key, Peer, SecurityAssociation, Spi};
use stack::addr::{self, MacAddress, Prefix};
use stack::machine::{Machine, Output, PortId, RxMeta, TunnelMeta, Via};
use stack::tables::TableUpdate;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use stack::wire::home_link::{self, home_agents_anycast};
use stack::wire::ipv6::{Header, protocol};
use stack::wire::mobility::{
    BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime, MobilityMessage, MobilityOptions,
};
use stack::wire::nd;
use std::collections::{BTreeMap, BTreeSet};

const AGENTS: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 1, 1, 0, 0, 0, 1)];
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xcc, 0, 0, 0, 0, 0x10);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x10]);

/// Terminals, every other one of the second link.
const TERMINALS: u16 = 6;
const MAX_BINDINGS: usize = 3;
/// Home agents of a link, this one among them, and prefixes of other home agents on a link.
const MAX_AGENTS: usize = 64;
const MAX_LEARNED: usize = 16;
/// Answers that anybody can provoke: so many, and then so many a second.
const ANSWER_BURST: u64 = 20;
const ANSWERS_PER_SEC: u64 = 20;

const fn home(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, n % 2, 0, 0, 0, 0x100 + n)
}

fn association(n: u16) -> SecurityAssociation {
    let key = Key::new(&[n as u8 + 1; 16]).expect("16 octets");
    SecurityAssociation { spi: Spi::new(256).expect("not reserved"), key, algorithm: Algorithm::HmacSha1_96 }
}

fn config() -> Config {
    let mut associations = AssociationTable::new();
    for n in 0..TERMINALS {
        let home_address = Some(home(n));
        let peer = Peer { identifier: None, home_address, terminal: None, association: association(n) };
        associations.insert(peer).expect("nobody twice");
    }
    let link = |n: u8, dad| {
        let address = AGENTS[usize::from(n)];
        HomeLink::new(PortId(n), Prefix::of_link(address), address, dad)
    };
    Config {
        max_lifetime: Duration::from_secs(600),
        max_bindings: MAX_BINDINGS,
        refresh_advice_percent: Some(80),
        associations,
        own: AGENTS.into(),
        denied: [home(5)].into(),
        prefix_advertisements: true,
        ..Config::new(vec![link(0, HomeDad::Strict), link(1, HomeDad::Optimistic)])
    }
}

/// The home address of a Binding Update that the holder of its key has sent, and its number.
fn authentic(packet: &[u8]) -> Option<(Ipv6Addr, u16)> {
    let opened = Opened::of(packet)?;
    let update = opened.update()?;
    let owner = (0..TERMINALS).find(|&n| home(n) == opened.home_address())?;
    opened.is_update_signed_by(&association(owner)).then_some((home(owner), update.sequence))
}

/// Whether a packet is a message that no key is needed for: the advertisement of a router, a question of ICMPv6.
fn is_icmpv6(packet: &[u8]) -> bool {
    Chain::parse(packet).is_ok_and(|chain| chain.upper == protocol::ICMPV6)
}

struct Subject {
    agent: HomeAgent,
    now: Instant,
    /// What the data plane was told.
    intercepted: BTreeMap<Ipv6Addr, Ipv6Addr>,
    /// What neighbour discovery was told.
    proxied: BTreeSet<(PortId, Ipv6Addr)>,
    /// The detection that was wanted last.
    detecting: Option<(PortId, Ipv6Addr)>,
    sequence: u16,
    /// Answers to who has no key.
    answers: u64,
}

#[derive(Default)]
struct Outcome {
    tables: u64,
    packets: u64,
}

impl Subject {
    fn new() -> Self {
        Subject {
            agent: HomeAgent::new(config()),
            now: Instant::from_secs(1_000),
            intercepted: BTreeMap::new(),
            proxied: BTreeSet::new(),
            detecting: None,
            sequence: 0,
            answers: 0,
        }
    }

    fn counted(&self) -> u64 {
        self.agent.counters().iter().map(|(_, count)| count).sum()
    }

    fn outcome(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    let header = Header::parse(&transmit.packet).expect("what leaves is whole");
                    assert_eq!(header.total_length(), transmit.packet.len());
                    assert!(transmit.packet.len() <= 1280, "{} octets", transmit.packet.len());
                    assert!(matches!(transmit.via, Via::Route | Via::LinkAddress(..)), "{:?}", transmit.via);
                    outcome.packets += 1;
                }
                Output::Table(update) => {
                    self.apply(&update);
                    outcome.tables += 1;
                }
                Output::Event(event) => self.hear(event),
            }
        }
        self.check();
        outcome
    }

    fn apply(&mut self, update: &TableUpdate) {
        match *update {
            TableUpdate::HomeBindingSet(home_address, binding) => {
                self.intercepted.insert(home_address, binding.care_of);
            }
            TableUpdate::HomeBindingRemove(home_address) => {
                assert!(self.intercepted.remove(&home_address).is_some(), "{home_address} was not there");
            }
            // What is left of the care-of address before the present one.
            TableUpdate::FormerHomeBindingSet(..) | TableUpdate::FormerHomeBindingRemove(_) => {}
            ref other => panic!("{other:?} is no business of a home agent"),
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::ProxyStart { port, address } => {
                self.proxied.insert((port, address));
            }
            Event::ProxyStop { port, address } => {
                self.proxied.remove(&(port, address));
            }
            Event::DadWanted { port, address } => self.detecting = Some((port, address)),
            Event::Rejected { status, .. } => assert!(!status.is_accepted()),
            Event::DadCancel { .. } | Event::Registered { .. } | Event::Ended { .. } => {}
        }
    }

    fn check(&self) {
        let agent = &self.agent;
        let active = || agent.bindings().iter().filter(|binding| binding.status == BindingStatus::Active);
        let bound: BTreeMap<_, _> = active().map(|binding| (binding.home_address, binding.care_of)).collect();
        assert_eq!(self.intercepted, bound, "the data plane knows the bindings");
        let spoken_for: BTreeSet<_> = active()
            .flat_map(|binding| {
                let addresses = [Some(binding.home_address), binding.link_local];
                addresses.into_iter().flatten().map(|address| (binding.home_port, address))
            })
            .collect();
        assert_eq!(self.proxied, spoken_for, "neighbour discovery knows them too");
        let entries = agent.bindings().len() + agent.waiting().count();
        assert!(agent.bindings().len() <= MAX_BINDINGS, "{} bindings", agent.bindings().len());
        assert!(entries <= 2 * MAX_BINDINGS, "{entries} entries");
        assert!(agent.replay_floors().count() <= 2 * MAX_BINDINGS);
        for port in [PortId(0), PortId(1)] {
            assert!(agent.home_agents(port).count() <= MAX_AGENTS);
            assert!(agent.home_prefixes(self.now, port).len() <= 2 * MAX_LEARNED);
        }
    }

    fn packet(&mut self, meta: &RxMeta, packet: &[u8]) {
        let bindings = |agent: &HomeAgent, but: Option<Ipv6Addr>| -> Vec<Binding> {
            agent.bindings().iter().filter(|binding| Some(binding.home_address) != but).copied().collect()
        };
        let floors: BTreeMap<_, _> = self.agent.replay_floors().collect();
        let fresh = authentic(packet).filter(|(home_address, sequence)| {
            floors.get(home_address).is_none_or(|floor| (1..0x8000).contains(&sequence.wrapping_sub(floor.sequence)))
        });
        let asker = fresh.map(|(home_address, _)| home_address);
        let (before, counted) = (bindings(&self.agent, asker), self.counted());
        self.agent.handle_packet(self.now, meta, packet);
        let outcome = self.outcome();
        assert!(self.counted() > counted || is_icmpv6(packet), "it is not counted: {packet:02x?}");
        assert!(outcome.packets <= 1, "{} packets", outcome.packets);
        assert_eq!(bindings(&self.agent, asker), before, "a binding changes that nobody has asked for");
        if asker.is_none() {
            assert_eq!(outcome.tables, 0, "the data plane is told of it");
            assert_eq!(self.agent.replay_floors().collect::<BTreeMap<_, _>>(), floors);
            self.answers += outcome.packets;
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.agent.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.agent.handle_timeout(self.now);
            self.outcome();
            assert!(self.agent.poll_timeout().is_none_or(|next| next > at), "what is due is done");
        }
        self.now = end;
    }

    fn command(&mut self, octets: &[u8]) {
        let at = |place: usize| octets.get(place).copied().unwrap_or_default();
        let home_address = home(u16::from(at(1)) % TERMINALS);
        let port = PortId(at(1) % 2);
        let command = match at(0) % 6 {
            0 => Command::AddressConflict { port, address: home_address },
            1 => Command::Remove { home_address },
            2 => Command::DadResult { port, address: home_address, unique: at(2) % 2 == 0 },
            _ => {
                // The detection that was wanted last ends.
                let Some((port, address)) = self.detecting.take() else { return };
                Command::DadResult { port, address, unique: at(2) % 4 > 0 }
            }
        };
        self.agent.handle_command(self.now, command);
        self.outcome();
    }

    fn sign(packet: &[u8], sequence: Option<u16>) -> Option<Vec<u8>> {
        mend::signed_update(packet, |mut update, care_of, home_address| {
            update.sequence = sequence.unwrap_or(update.sequence);
            let owner = (0..TERMINALS).find(|&n| home(n) == home_address)?;
            Some(association(owner).sign_update(update, care_of, home_address))
        })
    }

    fn step(&mut self, what: What, octets: &[u8]) {
        // Of which link it comes, the last octet says.
        let port = PortId(octets.last().map_or(0, |octet| octet & 1));
        let meta = RxMeta { port, link_source: Some(MAC), link_multicast: false, tunnel: None };
        match what {
            What::Packet => self.packet(&meta, octets),
            What::Summed => self.packet(&meta, &mend::summed(octets)),
            What::Signed => {
                let packet = Self::sign(octets, None).unwrap_or_else(|| octets.to_vec());
                self.packet(&meta, &packet);
            }
            What::Fresh => {
                self.sequence = self.sequence.wrapping_add(1);
                let packet = Self::sign(octets, Some(self.sequence)).unwrap_or_else(|| octets.to_vec());
                self.packet(&meta, &packet);
            }
            What::Tunnelled => {
                let tunnel = Some(TunnelMeta { source: CARE_OF, destination: AGENTS[0] });
                self.packet(&RxMeta { tunnel, ..meta }, &mend::summed(octets));
            }
            What::Answer | What::Command => self.command(octets),
            What::Time => {
                let tenths = octets.first_chunk().map_or(0, |&tenths| u16::from_be_bytes(tenths));
                self.pass(Duration::from_millis(100 * u64::from(tenths)));
            }
        }
    }
}

/// A history of a home agent.
pub(crate) fn history(input: &[u8]) {
    let mut subject = Subject::new();
    let start = subject.now;
    for (what, octets) in steps(input) {
        subject.step(what, octets);
    }
    // Who has no key gets so many answers and no more; replays, and terminals that are bound and ask for prefixes, have a
    // limit of their own.
    let (seconds, counters) = (subject.now.since(start).as_secs() + 1, subject.agent.counters());
    let most = ANSWER_BURST + ANSWERS_PER_SEC * seconds + counters.reject_sequence + counters.tx_prefix_advertisement;
    assert!(subject.answers <= most, "{} answers to strangers in {seconds} s", subject.answers);
    // What is not asked for again ends.
    subject.pass(Duration::from_secs(700));
    assert!(subject.agent.bindings().is_empty() && subject.intercepted.is_empty() && subject.proxied.is_empty());
    assert_eq!(subject.agent.waiting().count(), 0);
}

/// Histories that go well.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let update = |n: u16, flags: BindingUpdateFlags, lifetime: u16| {
        let home_registration = BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::HOME_REGISTRATION;
        let (flags, options) = (home_registration | flags, MobilityOptions::default());
        let care_of = Ipv6Addr::from_bits(CARE_OF.to_bits() + u128::from(n));
        let message = BindingUpdate { sequence: 0, flags, lifetime: Lifetime(lifetime), options };
        let builder = PacketBuilder::new(care_of, AGENTS[usize::from(n % 2)]).home_address(home(n));
        builder.checksummed(protocol::MOBILITY, MobilityMessage::from(message).emit(), CHECKSUM_AT)
    };
    let register = |n: u16| (What::Fresh, update(n, BindingUpdateFlags::default(), 100));
    let with_link_local = |n: u16| (What::Fresh, update(n, BindingUpdateFlags::LINK_LOCAL_COMPATIBILITY, 100));
    let leave = |n: u16| (What::Fresh, update(n, BindingUpdateFlags::default(), 0));
    let seconds = |seconds: u16| (What::Time, (10 * seconds).to_be_bytes().to_vec());
    let unique = (What::Command, vec![3, 0, 1]);
    let prefix = nd::PrefixInformation {
        address: Ipv6Addr::new(0x2001, 0xdb8, 1, 7, 0, 0, 0, 9),
        prefix_length: 64,
        on_link: true,
        autonomous: true,
        router_address: true,
        valid_lifetime_secs: 600,
        preferred_lifetime_secs: 300,
    };
    let advertisement = nd::RouterAdvertisement {
        home_agent: true,
        lifetime_secs: 1_800,
        prefixes: vec![prefix],
        home_agent_information: Some(nd::HomeAgentInformation { preference: 1, lifetime_secs: 1_800 }),
        ..nd::RouterAdvertisement::default()
    };
    let advertised = nd::Message::RouterAdvertisement(advertisement).packet(ROUTER, addr::ALL_NODES);
    let anycast = home_agents_anycast(Prefix::of_link(AGENTS[0]));
    let question = home_link::Message::AddressRequest { identifier: 7 }.packet(CARE_OF, anycast, None);
    let solicitation =
        home_link::Message::PrefixSolicitation { identifier: 8 }.packet(CARE_OF, AGENTS[0], Some(home(0)));
    let strangers: Vec<(What, Vec<u8>)> = samples::unsigned(home(1), BindingUpdateFlags::HOME_REGISTRATION, 256)
        .into_iter()
        .map(|message| {
            let builder = PacketBuilder::new(CARE_OF, AGENTS[1]).home_address(home(1));
            (What::Summed, builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT))
        })
        .collect();
    let history = |of: &[(What, Vec<u8>)]| {
        let mut history = Vec::new();
        of.iter().for_each(|(what, octets)| history::append(&mut history, *what, octets));
        history
    };
    vec![
        history(&[register(0), unique.clone(), register(0), seconds(320), register(0), leave(0), seconds(11)]),
        history(&[
            with_link_local(0),
            unique.clone(),
            unique.clone(),
            with_link_local(1),
            register(3),
            register(5),
            seconds(6),
            leave(1),
            with_link_local(2),
            (What::Command, vec![3, 0, 0]),
        ]),
        history(&[register(1), (What::Command, vec![0, 1]), register(1), (What::Command, vec![1, 1]), seconds(401)]),
        history(&[
            register(0),
            unique,
            (What::Packet, advertised.clone()),
            (What::Packet, question),
            (What::Packet, solicitation.clone()),
            seconds(2),
            (What::Packet, solicitation),
            (What::Packet, advertised),
            seconds(390),
        ]),
        history(&[&[register(1)][..], &strangers[..], &[leave(1), register(2), seconds(6)][..]].concat()),
    ]
}
