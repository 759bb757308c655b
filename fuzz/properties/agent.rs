//! What holds of a mobility agent whatever it is sent, by terminals that it knows too: nothing is bound that was not asked
//! for by the holder of its key with a number that was not used before, what it keeps has its limits, and the data
//! plane is told all of it and nothing else.

use crate::history::{self, What, steps};
use crate::mend::{self, Opened};
use crate::samples;
use core::net::Ipv6Addr;
use mma::auth::{Algorithm, Key, Peer, SecurityAssociation, SiteKey, Spi};
use mma::return_routability::{BindingManagementKey, NodeKey, PreconfiguredKey};
use mma::route_optimisation::{self, PreconfiguredPeer};
use mma::secret::SecretRng;
use mma::{Anchor, Binding, CareOfMode, Command, Config, Event, HomeAgent, MobilityManagementAgent, RouteOptimisation};
use stack::addr::{Eui64, GroupLayout, Prefix, Scope};
use stack::machine::{CorrespondentWay, Machine, Output, PortId, RxMeta, TunnelMeta, Via};
use stack::tables::{MmaBinding, TableUpdate};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::{HEADER_LEN, Header, protocol};
use stack::wire::mobility::option::{GreKey, MobileNodeIdentifier, Subscription};
use stack::wire::mobility::{
    self, BindingAcknowledgement, BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime, MobilityMessage,
    MobilityOptions, Status, TestAnswer,
};
use std::collections::{BTreeMap, BTreeSet};

const LAYOUT: GroupLayout = GroupLayout::Ssm { scope: Scope::SITE_LOCAL };
const META: RxMeta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);
const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0xc0a, 0, 0, 0, 0);
/// A care-of address at the agent of another site.
const ELSEWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0xc0a, 0, 0, 0, 1);
/// Shares a key with the first terminal.
const FRIEND: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0xc);

/// Terminals with a key of their own.
const TERMINALS: u16 = 4;
const MAX_BINDINGS: usize = 3;
const MAX_QUARANTINED: usize = 2;
const MAX_FLOORS: usize = 6;
const MAX_CORRESPONDENTS: usize = 3;
const MAX_FAILURES: usize = 2;
const ERRORS_PER_SEC: u32 = 10;
/// Longer than anything is bound, kept back or remembered.
const LONG: Duration = Duration::from_secs(8_000);

const fn home(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x100 + n)
}

const fn access(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0xa, 0, 0, 0, n)
}

/// The address of terminal `n` with the anchor point.
const fn regional(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0x5eff, 0xfe00, n)
}

const fn eui64(n: u16) -> Eui64 {
    Eui64(0x0200_5eff_fe00_0000 | n as u64)
}

fn association(n: u16) -> SecurityAssociation {
    let key = Key::new(&[n as u8 + 1; 16]).expect("16 octets");
    SecurityAssociation { spi: Spi::new(256).expect("not reserved"), key, algorithm: Algorithm::HmacSha1_96 }
}

fn site_key() -> SiteKey {
    let key = Key::new(&[9; 32]).expect("32 octets");
    SiteKey { spi: Spi::new(500).expect("not reserved"), key, algorithm: Algorithm::HmacSha256_128 }
}

/// What each correspondent computes with; one of them shares it with the first terminal.
fn correspondents_key() -> PreconfiguredKey {
    let node_key = NodeKey::new(&[0x4b; 20]).expect("20 octets");
    PreconfiguredKey { node_key, home_nonce: vec![1], care_of_nonce: vec![2] }
}

fn config() -> Config {
    let mut config = Config::new(AGENT, CareOfMode::Assigned { prefix: Prefix::of_link(CARE_OF) }, LAYOUT);
    config.source = SOURCE;
    config.access_prefixes = vec![Prefix::of_link(access(0))];
    config.home_agents = vec![HomeAgent { prefix: Prefix::of_link(home(0)), agent: HOME_AGENT }];
    for n in 0..TERMINALS {
        let home_address = Some(home(n));
        let peer = Peer { identifier: None, home_address, terminal: Some(eui64(n)), association: association(n) };
        config.associations.insert(peer).expect("nobody twice");
    }
    config.associations = config.associations.with_site_key(site_key());
    config.peers = vec![Prefix::of_link(ELSEWHERE)];
    config.anchor = Anchor::Prefix(Prefix::of_link(AGENT));
    config.route_optimisation = RouteOptimisation::On(route_optimisation::Config {
        max_registrations: MAX_CORRESPONDENTS,
        max_per_home_address: 2,
        max_failures: MAX_FAILURES,
        preconfigured: vec![PreconfiguredPeer {
            home_address: home(0),
            correspondent: FRIEND,
            key: correspondents_key(),
        }],
        ..route_optimisation::Config::default()
    });
    config.max_bindings = MAX_BINDINGS;
    config.max_quarantined = MAX_QUARANTINED;
    config.max_replay_floors = MAX_FLOORS;
    config.max_errors_per_sec = ERRORS_PER_SEC;
    config
}

/// The key of who says that it has this home address or identifier.
fn association_of(update: &BindingUpdate, home_address: Ipv6Addr) -> Option<SecurityAssociation> {
    let own = (0..TERMINALS).find(|&n| [home(n), regional(n)].contains(&home_address));
    own.map(association).or_else(|| update.options.identifier.as_ref().map(|named| site_key().derive(named)))
}

/// The home address of a Binding Update that the holder of a key has sent, and its number.
fn authentic(packet: &[u8]) -> Option<(Ipv6Addr, u16)> {
    let opened = Opened::of(packet)?;
    let update = opened.update()?;
    let derived = update.options.identifier.as_ref().map(|named| site_key().derive(named));
    let mut keys = (0..TERMINALS).map(association).chain(derived);
    keys.any(|key| opened.is_update_signed_by(&key)).then_some((opened.home_address(), update.sequence))
}

struct Subject {
    agent: MobilityManagementAgent,
    now: Instant,
    /// What the data plane was told.
    entries: BTreeMap<Ipv6Addr, MmaBinding>,
    optimised: BTreeSet<(Ipv6Addr, Ipv6Addr)>,
    sequence: u16,
    /// What correspondents were asked last.
    asked: Asked,
    /// Answers to messages that nobody has signed.
    errors: u64,
}

/// The last of each kind of question to correspondents.
#[derive(Default)]
struct Asked {
    care_of_test: Option<Question<[u8; 8]>>,
    home_test: Option<Question<[u8; 8]>>,
    update: Option<Question<u16>>,
}

/// A question to a correspondent: cookie or number.
#[derive(Clone, Copy)]
struct Question<T> {
    correspondent: Ipv6Addr,
    home_address: Ipv6Addr,
    care_of: Ipv6Addr,
    what: T,
}

/// What came of an input.
#[derive(Default)]
struct Outcome {
    /// The agent's own packets, and those of terminals and correspondents that it hands on or asks.
    answers: u64,
    others: u64,
}

impl Subject {
    fn new() -> Self {
        let config = config();
        assert_eq!(config.validate(), Ok(()));
        let agent = MobilityManagementAgent::new(config, 1, SecretRng::simulated(1));
        let (entries, optimised) = (BTreeMap::new(), BTreeSet::new());
        let now = Instant::from_secs(1_000);
        let mut subject = Subject { agent, now, entries, optimised, sequence: 0, asked: Asked::default(), errors: 0 };
        subject.outcome(None);
        subject
    }

    fn counted(&self) -> u64 {
        let correspondents =
            self.agent.optimisation_counters().into_iter().flat_map(route_optimisation::Counters::iter);
        self.agent.counters().iter().chain(correspondents).map(|(_, count)| count).sum()
    }

    fn bindings(&self) -> Vec<Binding> {
        self.agent.bindings().cloned().collect()
    }

    /// Reads what the agent says to `packet`.
    fn outcome(&mut self, packet: Option<&[u8]>) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    let header = Header::parse(&transmit.packet).expect("what leaves is whole");
                    assert_eq!(header.total_length(), transmit.packet.len());
                    match transmit.via {
                        Via::Terminal(home_address) => {
                            assert!(self.agent.binding(home_address).is_some(), "{home_address} is not bound");
                            assert!(packet.is_some_and(|packet| packet.starts_with(&transmit.packet)));
                            outcome.others += 1;
                        }
                        via => {
                            assert_eq!(via, Via::Route);
                            assert!(transmit.packet.len() <= 1280, "{} octets", transmit.packet.len());
                            outcome.answers += u64::from(header.source == AGENT);
                            outcome.others += u64::from(header.source != AGENT);
                            let given = self.agent.bindings().any(|binding| binding.care_of == header.source);
                            assert!(given || header.source == AGENT, "{header:?}");
                        }
                    }
                    self.remember(&transmit.packet);
                }
                Output::Table(update) => self.apply(&update),
                Output::Event(Event::Refused { status, .. }) => assert!(!status.is_accepted()),
                Output::Event(_) => {}
            }
        }
        self.check();
        outcome
    }

    /// Remembers what a correspondent is asked, a Home Test Init in its tunnel too.
    fn remember(&mut self, packet: &[u8]) {
        let header = Header::parse(packet).expect("it was parsed");
        let (inner, care_of) = match header.next_header {
            protocol::IPV6 => (&packet[HEADER_LEN..], header.source),
            _ => (packet, header.source),
        };
        let Some(opened) = Opened::of(inner).filter(|_| care_of != AGENT) else { return };
        let (correspondent, home_address) = (opened.destination, opened.home_address());
        match mobility::parse(opened.message) {
            Ok(MobilityMessage::HomeTestInit { cookie: what }) => {
                self.asked.home_test = Some(Question { correspondent, home_address, care_of, what });
            }
            Ok(MobilityMessage::CareOfTestInit { cookie: what }) => {
                self.asked.care_of_test = Some(Question { correspondent, home_address, care_of, what });
            }
            Ok(MobilityMessage::BindingUpdate(update)) => {
                let what = update.sequence;
                self.asked.update = Some(Question { correspondent, home_address, care_of, what });
            }
            _ => {}
        }
    }

    fn apply(&mut self, update: &TableUpdate) {
        match *update {
            TableUpdate::MmaBindingSet(home_address, entry) => {
                self.entries.insert(home_address, entry);
            }
            TableUpdate::MmaBindingRemove(home_address) => {
                assert!(self.entries.remove(&home_address).is_some(), "{home_address} was not there");
            }
            TableUpdate::OptimisedSet { home_address, correspondent } => {
                self.optimised.insert((home_address, correspondent));
            }
            TableUpdate::OptimisedRemove { home_address, correspondent } => {
                assert!(self.optimised.remove(&(home_address, correspondent)), "{correspondent} was not there");
            }
            TableUpdate::RouteSet(..) | TableUpdate::MmaServiceSet(_) => {}
            ref other => panic!("{other:?} is no business of an agent"),
        }
    }

    fn check(&self) {
        let agent = &self.agent;
        let told: Vec<_> = self.entries.iter().map(|(&home, entry)| (home, entry.care_of, entry.group)).collect();
        let bound: Vec<_> = agent.bindings().map(|b| (b.home_address, b.care_of, b.group)).collect();
        assert_eq!(told, bound, "the data plane knows the bindings");
        assert!(bound.len() <= MAX_BINDINGS, "{} bindings", bound.len());
        assert!(agent.quarantined() <= MAX_QUARANTINED, "{} kept back", agent.quarantined());
        assert!(agent.replay_floors().count() <= MAX_FLOORS);
        assert!(agent.optimisations().count() <= MAX_CORRESPONDENTS + MAX_FAILURES);
        assert!(self.optimised.iter().all(|(home_address, _)| self.entries.contains_key(home_address)));
        let care_ofs: BTreeSet<_> = bound.iter().map(|&(_, care_of, _)| care_of).collect();
        assert_eq!(care_ofs.len(), bound.len(), "each care-of address has one terminal");
    }

    fn packet(&mut self, meta: &RxMeta, packet: &[u8]) {
        let (before, optimised, counted) = (self.bindings(), self.optimised.clone(), self.counted());
        let floors: BTreeMap<_, _> = self.agent.replay_floors().collect();
        let fresh = authentic(packet).filter(|(home_address, sequence)| {
            floors.get(home_address).is_none_or(|floor| (1..0x8000).contains(&sequence.wrapping_sub(floor.sequence)))
        });
        let answered = self.is_answer(packet);
        self.agent.handle_packet(self.now, meta, packet);
        let outcome = self.outcome(Some(packet));
        assert!(self.counted() > counted, "it is not counted: {packet:02x?}");
        let asker = fresh.map(|(home_address, _)| home_address);
        assert!(outcome.answers <= 1, "{} answers", outcome.answers);
        // Who asks may be bound, and its correspondents told; each other input is handed on or brings one question more.
        let most = if fresh.is_some() { 2 * MAX_CORRESPONDENTS as u64 } else { 2 };
        assert!(outcome.others <= most, "{} packets", outcome.others);
        let of_others = |bindings: Vec<Binding>| -> Vec<Binding> {
            bindings.into_iter().filter(|binding| Some(binding.home_address) != asker).collect()
        };
        assert_eq!(of_others(self.bindings()), of_others(before), "a binding changes that nobody has asked for");
        let of_others = |floors: BTreeMap<Ipv6Addr, _>| -> Vec<_> {
            floors.into_iter().filter(|(home_address, _)| Some(*home_address) != asker).collect()
        };
        if asker.is_none() {
            assert_eq!(of_others(self.agent.replay_floors().collect()), of_others(floors));
            self.errors += outcome.answers;
            assert!(answered || self.optimised.is_subset(&optimised), "a correspondent is taken for one that knows");
        }
    }

    /// Whether it is what a correspondent answers that has the key for it.
    fn is_answer(&self, packet: &[u8]) -> bool {
        let Some(Question { correspondent, home_address, care_of, .. }) = self.asked.update else { return false };
        let keys = [correspondents_key().management_key(home_address, care_of)];
        let keys = keys.into_iter().chain([correspondents_key().deletion_key(home_address)]);
        let signed = |opened: &Opened<'_>, key: BindingManagementKey| {
            [care_of, home_address].iter().any(|care_of| key.verify(opened.message, *care_of, correspondent))
        };
        Opened::of(packet).is_some_and(|opened| keys.into_iter().any(|key| signed(&opened, key)))
    }

    /// A correspondent answers what it was asked last: tests first, then a Binding Update, with this status and number, or
    /// so that it is not authentic.
    fn answer(&mut self, octets: &[u8]) {
        let at = |place: usize| octets.get(place).copied().unwrap_or_default();
        let key = correspondents_key();
        let (packet, tunnel, care_of) = if let Some(asked) = self.asked.care_of_test.take() {
            let token = key.node_key.care_of_token(asked.care_of, &key.care_of_nonce).0;
            let test = MobilityMessage::CareOfTest(TestAnswer { nonce_index: 2, cookie: asked.what, token });
            let builder = PacketBuilder::new(asked.correspondent, asked.care_of);
            (builder.checksummed(protocol::MOBILITY, test.emit(), CHECKSUM_AT), None, asked.care_of)
        } else if let Some(asked) = self.asked.home_test.take() {
            let token = key.node_key.home_token(asked.home_address, &key.home_nonce).0;
            let test = MobilityMessage::HomeTest(TestAnswer { nonce_index: 1, cookie: asked.what, token });
            let tunnel = TunnelMeta { source: HOME_AGENT, destination: asked.care_of };
            let builder = PacketBuilder::new(asked.correspondent, asked.home_address);
            (builder.checksummed(protocol::MOBILITY, test.emit(), CHECKSUM_AT), Some(tunnel), asked.home_address)
        } else if let Some(asked) = self.asked.update {
            let acknowledgement = BindingAcknowledgement {
                status: Status(at(0)),
                flags: Default::default(),
                sequence: asked.what.wrapping_add(u16::from(at(1))),
                lifetime: Lifetime(u16::from_be_bytes([at(2), at(3)])),
                options: MobilityOptions::default(),
            };
            let signing = key.management_key(asked.home_address, asked.care_of);
            let mut message = signing.sign_acknowledgement(acknowledgement, asked.care_of, asked.correspondent);
            if at(4) & 1 == 1 {
                message.last_mut().into_iter().for_each(|octet| *octet ^= 1);
            }
            let builder = PacketBuilder::new(asked.correspondent, asked.care_of).type2_routing(asked.home_address);
            (builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT), None, asked.care_of)
        } else {
            return;
        };
        // Where the address is nobody's any more, the packet does not come here.
        let meta = RxMeta { tunnel, ..META };
        if self.agent.is_for_binding(&meta, care_of) {
            self.packet(&meta, &packet);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.agent.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.agent.handle_timeout(self.now);
            self.outcome(None);
            assert!(self.agent.poll_timeout().is_none_or(|next| next > at), "what is due is done");
        }
        self.now = end;
    }

    fn command(&mut self, octets: &[u8]) {
        let at = |place: usize| octets.get(place).copied().unwrap_or_default();
        let home_address = home(u16::from(at(1)) % (TERMINALS + 1));
        let correspondent = if at(2) == 0 { FRIEND } else { Ipv6Addr::from_bits(FRIEND.to_bits() + u128::from(at(2))) };
        let way = match at(3) % 3 {
            0 => CorrespondentWay::HomeAgent,
            1 => CorrespondentWay::Forwarded,
            _ => CorrespondentWay::Optimised,
        };
        let command = match at(0) % 6 {
            0 => Command::Drain,
            1 => Command::Resume,
            2 => Command::Revoke(home_address),
            _ => Command::Correspondent { home_address, correspondent, way },
        };
        self.agent.handle_command(self.now, command);
        self.outcome(None);
    }

    fn sign(&self, packet: &[u8], sequence: Option<u16>) -> Option<Vec<u8>> {
        mend::signed_update(packet, |mut update, care_of, home_address| {
            update.sequence = sequence.unwrap_or(update.sequence);
            let association = association_of(&update, home_address)?;
            Some(association.sign_update(update, care_of, home_address))
        })
    }

    fn step(&mut self, what: What, octets: &[u8]) {
        match what {
            What::Packet => self.packet(&META, octets),
            What::Summed => self.packet(&META, &mend::summed(octets)),
            What::Signed => {
                let packet = self.sign(octets, None).unwrap_or_else(|| octets.to_vec());
                self.packet(&META, &packet);
            }
            What::Fresh => {
                self.sequence = self.sequence.wrapping_add(1);
                let packet = self.sign(octets, Some(self.sequence)).unwrap_or_else(|| octets.to_vec());
                self.packet(&META, &packet);
            }
            What::Tunnelled => {
                let Some(binding) = self.agent.bindings().next() else { return };
                let tunnel = TunnelMeta { source: binding.home_agent, destination: binding.care_of };
                let packet = mend::summed(octets);
                self.packet(&RxMeta { tunnel: Some(tunnel), ..META }, &packet);
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

/// A history of an agent.
pub(crate) fn history(input: &[u8]) {
    let mut subject = Subject::new();
    let start = subject.now;
    for (what, octets) in steps(input) {
        subject.step(what, octets);
    }
    // Who has no key gets so many answers and no more; those of replays have a limit of their own.
    let replays = subject.agent.counters().refused_sequence;
    let seconds = subject.now.since(start).as_secs() + 1;
    let most = u64::from(ERRORS_PER_SEC) * (seconds + 1) + replays;
    assert!(subject.errors <= most, "{} answers to strangers in {seconds} s", subject.errors);
    // What is not asked for again ends.
    subject.pass(LONG);
    subject.agent.handle_timeout(subject.now);
    subject.outcome(None);
    assert!(subject.entries.is_empty() && subject.optimised.is_empty());
    assert_eq!(subject.agent.optimisations().count(), 0, "nobody is remembered for ever");
}

/// Histories that go well.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let update = |flags: BindingUpdateFlags, lifetime: u16, options: MobilityOptions| BindingUpdate {
        sequence: 0,
        flags: BindingUpdateFlags::ACKNOWLEDGE | flags,
        lifetime: Lifetime(lifetime),
        options,
    };
    let group = |n: u16| {
        let subscriptions =
            vec![Subscription { group: LAYOUT.group(eui64(n)).expect("a group of any EUI-64"), source: Some(AGENT) }];
        MobilityOptions { subscriptions, ..MobilityOptions::default() }
    };
    let packet = |n: u16, home_address: Ipv6Addr, update: BindingUpdate| {
        let builder = PacketBuilder::new(access(0x100 + n), AGENT).home_address(home_address);
        builder.checksummed(protocol::MOBILITY, MobilityMessage::from(update).emit(), CHECKSUM_AT)
    };
    let map = BindingUpdateFlags::MAP_REGISTRATION;
    let register = |n: u16| packet(n, home(n), update(map, 150, group(n)));
    let leave = |n: u16| packet(n, home(n), update(map, 0, MobilityOptions::default()));
    let forward = |n: u16| {
        let alternate_care_of_address = Some(ELSEWHERE);
        packet(n, home(n), update(map, 8, MobilityOptions { alternate_care_of_address, ..MobilityOptions::default() }))
    };
    let anchor = |n: u16| packet(n, regional(n), update(map, 150, MobilityOptions::default()));
    let of_site_key = |n: u16| {
        let identifier = Some(MobileNodeIdentifier::nai(&format!("terminal-{n}@example.org")));
        let gre_key = Some(GreKey { key: None });
        packet(n, home(n), update(map, 150, MobilityOptions { identifier, gre_key, ..group(n) }))
    };
    let history = |of: &[(What, Vec<u8>)]| {
        let mut history = Vec::new();
        of.iter().for_each(|(what, octets)| history::append(&mut history, *what, octets));
        history
    };
    let seconds = |seconds: u16| (What::Time, (10 * seconds).to_be_bytes().to_vec());
    let seen = (What::Command, vec![3, 0, 0, 0]);
    let stranger_seen = |n: u8| (What::Command, vec![3, n, 1, 0]);
    let accept = (What::Answer, vec![0, 0, 0, 100]);
    let strangers: Vec<(What, Vec<u8>)> = samples::unsigned(home(0), map, 256)
        .into_iter()
        .map(|message| {
            let builder = PacketBuilder::new(access(0x100), AGENT).home_address(home(0));
            (What::Summed, builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT))
        })
        .collect();
    let from_friend = |message: MobilityMessage, to| {
        PacketBuilder::new(FRIEND, to).checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT)
    };
    let refresh = MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() };
    vec![
        history(&[(What::Fresh, register(0)), seconds(300), (What::Fresh, register(0)), (What::Fresh, leave(0))]),
        history(&[
            (What::Fresh, register(0)),
            (What::Fresh, register(1)),
            (What::Fresh, of_site_key(7)),
            (What::Fresh, of_site_key(8)),
            (What::Fresh, leave(1)),
            (What::Fresh, of_site_key(9)),
            seconds(1),
            (What::Fresh, leave(0)),
        ]),
        history(&[(What::Fresh, register(1)), (What::Fresh, forward(1)), seconds(40), (What::Fresh, register(1))]),
        history(&[(What::Fresh, anchor(2)), (What::Fresh, register(2)), seconds(9), (What::Fresh, anchor(2))]),
        history(&[
            (What::Fresh, register(1)),
            stranger_seen(1),
            accept.clone(),
            accept.clone(),
            (What::Answer, vec![0, 0, 0, 100, 1]),
            accept.clone(),
            (What::Tunnelled, from_friend(refresh.clone(), home(1))),
            (What::Fresh, leave(1)),
            accept.clone(),
            seconds(100),
        ]),
        history(&[
            (What::Fresh, register(0)),
            seen.clone(),
            accept.clone(),
            (What::Tunnelled, from_friend(refresh, home(0))),
            seconds(200),
            (What::Answer, vec![135, 9, 0, 0]),
            accept,
            (What::Fresh, forward(0)),
            seconds(60),
        ]),
        history(&[(What::Fresh, register(3)), (What::Command, vec![0]), (What::Fresh, register(2)), seconds(700)]),
        history(&[&[(What::Fresh, register(0)), seen][..], &strangers[..], &[(What::Signed, leave(0))][..]].concat()),
    ]
}
