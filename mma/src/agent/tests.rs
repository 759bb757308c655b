use super::*;
use crate::auth::{Algorithm, Key, Peer, ReplayPolicy, SiteKey, Spi};
use crate::{CareOfMode, GrePolicy, HomeAgent};
use proptest::prelude::{prop, prop_assert, proptest};
use stack::addr::{Eui64, GroupLayout, Scope};
use stack::machine::PortId;
use stack::tables::{BindingState, MmaBinding};
use stack::wire::error::WireErrorKind;
use stack::wire::mobility::option::{Authentication, MobileNodeIdentifier};
use std::collections::{BTreeMap, BTreeSet};

const LAYOUT: GroupLayout = GroupLayout::Ssm { scope: Scope::SITE_LOCAL };
const META: RxMeta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);
const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const MINUTE: Duration = Duration::from_secs(60);

fn care_of_prefix() -> Prefix {
    "2001:db8:f:c0a::/64".parse().unwrap()
}

fn home(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x100 + n)
}

/// On access link `link`, with interface identifier `n`.
fn access(link: u16, n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0xa00 + link, 0, 0, 0, n)
}

fn group(n: u64) -> Ipv6Addr {
    LAYOUT.group(Eui64(0x0200_5eff_fe00_0000 | n))
}

fn association(n: u16) -> SecurityAssociation {
    let key = Key::new(&[n as u8 + 1; 16]).unwrap();
    SecurityAssociation { spi: Spi::new(256 + u32::from(n)).unwrap(), key, algorithm: Algorithm::HmacSha1_96 }
}

fn config() -> Config {
    let mut config = Config::new(AGENT, CareOfMode::Assigned { prefix: care_of_prefix() }, LAYOUT);
    config.source = SOURCE;
    config.access_prefixes = vec![Prefix::of_link(access(1, 0)), Prefix::of_link(access(2, 0))];
    config.home_agents = vec![HomeAgent { prefix: "2001:db8:1::/48".parse().unwrap(), agent: HOME_AGENT }];
    for n in 0..16 {
        let peer = Peer { identifier: None, home_address: Some(home(n)), terminal: None, association: association(n) };
        config.associations.insert(peer).unwrap();
    }
    config
}

/// A terminal that builds Binding Updates.
#[derive(Clone)]
struct Terminal {
    home_address: Ipv6Addr,
    access_address: Ipv6Addr,
    group: Ipv6Addr,
    association: SecurityAssociation,
    sequence: u16,
}

impl Terminal {
    fn new(n: u16) -> Self {
        Terminal {
            home_address: home(n),
            access_address: access(1, n + 1),
            group: group(u64::from(n) + 1),
            association: association(n),
            sequence: 100,
        }
    }

    fn update(&mut self) -> BindingUpdate {
        self.sequence = self.sequence.wrapping_add(1);
        BindingUpdate {
            sequence: self.sequence,
            flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION,
            lifetime: Lifetime::at_most(Duration::from_secs(600)),
            options: MobilityOptions {
                subscriptions: vec![Subscription { group: self.group, source: Some(AGENT) }],
                ..MobilityOptions::default()
            },
        }
    }

    fn deregistration(&mut self) -> BindingUpdate {
        BindingUpdate { lifetime: Lifetime::ZERO, options: MobilityOptions::default(), ..self.update() }
    }

    fn packet(&self, update: BindingUpdate) -> Vec<u8> {
        let care_of = update.options.alternate_care_of_address.unwrap_or(self.access_address);
        let message = self.association.sign_update(update, care_of, self.home_address);
        self.packet_of(message)
    }

    fn packet_of(&self, message: Vec<u8>) -> Vec<u8> {
        PacketBuilder::new(self.access_address, AGENT).home_address(self.home_address).checksummed(
            protocol::MOBILITY,
            message,
            CHECKSUM_AT,
        )
    }

    /// Reads an acknowledgement as this terminal would, which verifies all of it.
    fn read(&self, packet: &[u8]) -> BindingAcknowledgement {
        let header = ipv6::Header::parse(packet).unwrap();
        assert_eq!((header.source, header.destination), (AGENT, self.access_address));
        let chain = Chain::parse(packet).unwrap();
        assert_eq!(chain.type2_routing.unwrap().home_address, self.home_address);
        let message = &packet[chain.upper_offset..];
        assert!(mobility::verify_checksum(AGENT, self.home_address, message));
        assert!(self.association.verify(message, self.access_address, self.home_address));
        match mobility::parse(message) {
            Ok(MobilityMessage::BindingAcknowledgement(acknowledgement)) => acknowledgement,
            other => panic!("no acknowledgement: {other:?}"),
        }
    }
}

/// An agent and what a node makes of its output.
struct Bench {
    agent: MobilityManagementAgent,
    now: Instant,
    entries: BTreeMap<Ipv6Addr, MmaBinding>,
}

impl Bench {
    fn new(config: Config) -> Self {
        assert_eq!(config.validate(), Ok(()));
        let mut bench = Bench {
            agent: MobilityManagementAgent::new(config, 1),
            now: Instant::from_secs(10),
            entries: BTreeMap::new(),
        };
        bench.drain();
        bench
    }

    fn give(&mut self, packet: &[u8]) -> Vec<Output<Event>> {
        self.agent.handle_packet(self.now, &META, packet);
        self.drain()
    }

    fn command(&mut self, command: Command) -> Vec<Output<Event>> {
        self.agent.handle_command(self.now, command);
        self.drain()
    }

    fn pass(&mut self, time: Duration) -> Vec<Output<Event>> {
        self.now += time;
        self.agent.handle_timeout(self.now);
        self.drain()
    }

    fn drain(&mut self) -> Vec<Output<Event>> {
        let outputs: Vec<_> = core::iter::from_fn(|| self.agent.poll_output()).collect();
        for output in &outputs {
            match output {
                Output::Table(TableUpdate::MmaBindingSet(home_address, entry)) => {
                    self.entries.insert(*home_address, *entry);
                }
                Output::Table(TableUpdate::MmaBindingRemove(home_address)) => {
                    assert!(self.entries.remove(home_address).is_some(), "removed what was not there");
                }
                _ => {}
            }
        }
        self.check();
        outputs
    }

    /// What holds after every step.
    fn check(&self) {
        let source = self.agent.config.source;
        let bound: BTreeMap<_, _> = self.agent.bindings().map(|b| (b.home_address, b.entry(source))).collect();
        assert_eq!(bound, self.entries, "the table updates give the bindings");
        let groups: BTreeSet<_> = self.agent.bindings().map(|b| b.group).collect();
        assert_eq!(groups.len(), bound.len(), "each group has one terminal");
        let care_ofs: BTreeSet<_> = self.agent.bindings().map(|b| b.care_of).collect();
        if !matches!(self.agent.config.care_of, CareOfMode::Shared { .. }) {
            assert_eq!(care_ofs.len(), bound.len(), "each care-of address has one terminal");
        }
        for binding in self.agent.bindings() {
            assert!(self.agent.config.care_of.prefix().contains(binding.care_of));
            assert!(self.agent.config.layout.range().contains(binding.group));
            assert_eq!(self.agent.timers.deadline(binding.home_address), Some(binding.expires_at));
        }
        assert_eq!(self.agent.timers.len(), bound.len());
    }

    /// Gives an update and reads the one acknowledgement.
    fn ask(&mut self, terminal: &Terminal, update: BindingUpdate) -> BindingAcknowledgement {
        let outputs = self.give(&terminal.packet(update));
        let packets = sent(&outputs);
        assert_eq!(packets.len(), 1, "one acknowledgement: {outputs:?}");
        terminal.read(packets[0])
    }

    fn register(&mut self, terminal: &mut Terminal) -> BindingAcknowledgement {
        let update = terminal.update();
        self.ask(terminal, update)
    }

    fn counter(&self, name: &str) -> u64 {
        self.agent.counters().iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no counter {name}")).1
    }
}

fn sent(outputs: &[Output<Event>]) -> Vec<&[u8]> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Transmit(transmit) => Some(&transmit.packet[..]),
            _ => None,
        })
        .collect()
}

fn care_of(acknowledgement: &BindingAcknowledgement) -> Ipv6Addr {
    match acknowledgement.options.addresses[..] {
        [AddressPrefix { code: AddressPrefix::NEW_CARE_OF_ADDRESS, prefix_length: 128, address }] => address,
        ref other => panic!("no care-of address: {other:?}"),
    }
}

#[test]
fn starts_with_its_routes_and_its_service() {
    let mut agent = MobilityManagementAgent::new(config(), 1);
    let outputs: Vec<_> = core::iter::from_fn(|| agent.poll_output()).collect();
    let access_prefixes = agent.config().access_prefixes.clone();
    assert_eq!(
        outputs,
        [
            Output::Table(TableUpdate::RouteSet(care_of_prefix(), Route::CareOf)),
            Output::Table(TableUpdate::RouteSet(Prefix::host(AGENT), Route::Local)),
            Output::Table(TableUpdate::RouteSet(Prefix::host(SOURCE), Route::Local)),
            Output::Table(TableUpdate::MmaServiceSet(MmaService {
                address: AGENT,
                access_prefixes,
                peers: Vec::new(),
                chain: false
            })),
        ]
    );
}

#[test]
fn binding_then_event_then_acknowledgement() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let update = terminal.update();
    let outputs = bench.give(&terminal.packet(update));
    let [Output::Table(TableUpdate::MmaBindingSet(bound, entry)), Output::Event(event), Output::Transmit(transmit)] =
        &outputs[..]
    else {
        panic!("not in order: {outputs:?}");
    };
    let acknowledgement = terminal.read(&transmit.packet);
    let care_of = care_of(&acknowledgement);
    assert_eq!(*bound, terminal.home_address);
    let expected = MmaBinding {
        care_of,
        group: terminal.group,
        source: SOURCE,
        home_agent: HOME_AGENT,
        gre_key: None,
        access_identifier: 1,
        optimise: false,
        state: BindingState::Active,
    };
    assert_eq!(*entry, expected);
    assert_eq!(
        *event,
        Event::Registered {
            home_address: terminal.home_address,
            care_of,
            group: terminal.group,
            home_agent: HOME_AGENT,
            access_address: terminal.access_address,
            lifetime: Duration::from_secs(600),
        }
    );
    assert_eq!(acknowledgement.status, Status::ACCEPTED);
    assert_eq!(acknowledgement.sequence, terminal.sequence);
    assert_eq!(acknowledgement.lifetime, Lifetime(150));
    let granted = Subscription { group: terminal.group, source: Some(SOURCE) };
    assert_eq!(acknowledgement.options.subscriptions, [granted]);
    assert_eq!(transmit.via, Via::Route);
}

#[test]
fn a_refresh_changes_nothing_but_lifetime_and_sequence() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let mut update = terminal.update();
    update.options.gre_key = Some(GreKey { key: None });
    let first = bench.ask(&terminal, update);
    let key = first.options.gre_key.unwrap().key.unwrap();
    bench.pass(MINUTE);
    let mut update = terminal.update();
    update.options.gre_key = Some(GreKey { key: None });
    let outputs = bench.give(&terminal.packet(update));
    let [Output::Event(Event::Refreshed { .. }), Output::Transmit(transmit)] = &outputs[..] else {
        panic!("the data plane is left alone: {outputs:?}");
    };
    let second = terminal.read(&transmit.packet);
    assert_eq!(care_of(&second), care_of(&first));
    assert_eq!(second.options.gre_key, Some(GreKey { key: Some(key) }));
    assert_eq!(bench.agent.binding(terminal.home_address).unwrap().remaining(bench.now), Duration::from_secs(600));

    // From another link of the site: the anti-spoof identifier follows, all else stays.
    terminal.access_address = access(2, 77);
    let mut update = terminal.update();
    update.options.gre_key = Some(GreKey { key: None });
    let third = bench.ask(&terminal, update);
    assert_eq!(care_of(&third), care_of(&first));
    let entry = bench.entries[&terminal.home_address];
    assert_eq!((entry.access_identifier, entry.gre_key, entry.group), (77, Some(key), terminal.group));

    // A terminal that no longer asks for GRE does not get it.
    let fourth = bench.register(&mut terminal);
    assert_eq!(fourth.options.gre_key, None);
    assert_eq!(bench.entries[&terminal.home_address].gre_key, None);
}

#[test]
fn what_is_refused_and_how() {
    type Change = fn(&mut Terminal, &mut BindingUpdate);
    let table: &[(&str, Status, Change)] = &[
        ("refused-authentication", Status::AUTHENTICATION_FAILED, |t, _| t.association.key = association(9).key),
        ("refused-sequence", Status::SEQUENCE_OUT_OF_WINDOW, |_, u| u.sequence = u.sequence.wrapping_sub(1)),
        ("refused-home-registration", Status::HOME_REGISTRATION_NOT_SUPPORTED, |_, u| {
            u.flags = u.flags | BindingUpdateFlags::HOME_REGISTRATION;
        }),
        ("refused-not-map", Status::ADMINISTRATIVELY_PROHIBITED, |_, u| u.flags = BindingUpdateFlags::ACKNOWLEDGE),
        ("refused-map-mode", Status::ADMINISTRATIVELY_PROHIBITED, |_, u| u.options.subscriptions.clear()),
        ("refused-forwarding", Status::ADMINISTRATIVELY_PROHIBITED, |_, u| {
            u.options.subscriptions.clear();
            u.options.alternate_care_of_address = Some(access(7, 7));
        }),
        ("refused-several-groups", Status::REASON_UNSPECIFIED, |_, u| {
            let second = Subscription { group: group(50), source: None };
            u.options.subscriptions.push(second);
        }),
        ("refused-care-of", Status::INVALID_CARE_OF_ADDRESS, |_, u| {
            u.options.alternate_care_of_address = Some(access(1, 99));
        }),
        ("refused-access-prefix", Status::ADMINISTRATIVELY_PROHIBITED, |t, _| t.access_address = access(3, 1)),
        ("refused-terminal", Status::ADMINISTRATIVELY_PROHIBITED, |_, u| {
            u.options.subscriptions[0].group = LAYOUT.group(Eui64(0));
        }),
        ("refused-group-taken", Status::DUPLICATE_ADDRESS, |_, u| u.options.subscriptions[0].group = group(16)),
        ("refused-gre-required", Status::GRE_KEY_REQUIRED, |_, u| u.options.gre_key = None),
    ];
    for (counter, status, change) in table {
        // Each against an agent that has the terminal already, and against one that has not.
        for bound in [true, false] {
            if !bound && *counter == "refused-sequence" {
                continue;
            }
            let mut config = config();
            config.gre = GrePolicy::Required;
            let mut bench = Bench::new(config);
            let mut other = Terminal::new(15);
            let mut terminal = Terminal::new(0);
            let ask_gre = |mut update: BindingUpdate| {
                update.options.gre_key = Some(GreKey { key: None });
                update
            };
            let update = ask_gre(other.update());
            assert_eq!(bench.ask(&other, update).status, Status::ACCEPTED);
            if bound {
                let update = ask_gre(terminal.update());
                assert_eq!(bench.ask(&terminal, update).status, Status::ACCEPTED);
            }
            let before: Vec<_> = bench.agent.bindings().cloned().collect();
            let mut update = ask_gre(terminal.update());
            let right = terminal.association.clone();
            change(&mut terminal, &mut update);
            let sequence = update.sequence;
            let signed_as = update.options.alternate_care_of_address.unwrap_or(terminal.access_address);
            let outputs = bench.give(&terminal.packet(update));
            let [Output::Event(Event::Refused { status: told, .. }), Output::Transmit(transmit)] = &outputs[..] else {
                panic!("{counter}: {outputs:?}");
            };
            // Refusals are signed with the key that the agent has for the terminal.
            let chain = Chain::parse(&transmit.packet).unwrap();
            let message = &transmit.packet[chain.upper_offset..];
            assert!(right.verify(message, signed_as, terminal.home_address), "{counter}");
            let Ok(MobilityMessage::BindingAcknowledgement(acknowledgement)) = mobility::parse(message) else {
                panic!("{counter}: no acknowledgement");
            };
            assert_eq!((acknowledgement.status, *told), (*status, *status), "{counter}");
            assert_eq!(acknowledgement.lifetime, Lifetime::ZERO);
            assert!(acknowledgement.options.addresses.is_empty() && acknowledgement.options.subscriptions.is_empty());
            assert_eq!(acknowledgement.sequence, sequence);
            assert_eq!(bench.counter(counter), 1, "{counter}");
            let after: Vec<_> = bench.agent.bindings().cloned().collect();
            assert_eq!(before, after, "{counter}");
        }
    }
}

#[test]
fn what_is_dropped_in_silence() {
    let mut terminal = Terminal::new(0);
    let update = terminal.update();
    let good = terminal.packet(update.clone());
    let elsewhere = PacketBuilder::new(terminal.access_address, SOURCE)
        .home_address(terminal.home_address)
        .checksummed(protocol::MOBILITY, MobilityMessage::from(update.clone()).emit(), CHECKSUM_AT);
    let routed = PacketBuilder::new(terminal.access_address, AGENT).type2_routing(terminal.home_address).checksummed(
        protocol::MOBILITY,
        MobilityMessage::from(update.clone()).emit(),
        CHECKSUM_AT,
    );
    let unsigned = terminal.packet_of(MobilityMessage::from(update.clone()).emit());
    let mut stranger = terminal.clone();
    stranger.home_address = home(99);
    let mut reserved = update.clone();
    reserved.options.authentication =
        Some(Authentication { subtype: Authentication::MN_HA, spi: 3, data: vec![0; 12] });
    let mut wrong_sum = good.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    let link_local = Terminal { access_address: "fe80::1".parse().unwrap(), ..terminal.clone() };
    let mut multicast = update.clone();
    multicast.options.alternate_care_of_address = Some(terminal.group);
    // The subscription names a unicast address as group.
    let mut malformed = MobilityMessage::from(update.clone()).emit();
    malformed[24] = 0x20;
    let acknowledgement = MobilityMessage::from(BindingAcknowledgement {
        status: Status::ACCEPTED,
        flags: BindingAcknowledgementFlags::default(),
        sequence: 1,
        lifetime: Lifetime(1),
        options: MobilityOptions::default(),
    });
    let table: &[(&str, Vec<u8>)] = &[
        ("drop-mobility-header", good[..39].to_vec()),
        ("drop-mobility-header", PacketBuilder::new(terminal.access_address, AGENT).icmpv6(128, 0, &[0; 4])),
        ("drop-mobility-destination", elsewhere),
        ("drop-mobility-destination", routed),
        ("drop-mobility-source", link_local.packet(update.clone())),
        ("drop-mobility-source", terminal.packet(multicast)),
        ("drop-mobility-checksum", wrong_sum),
        ("drop-mobility-malformed", terminal.packet_of(malformed)),
        ("drop-update-unauthenticated", unsigned),
        ("drop-update-no-association", stranger.packet(update.clone())),
        ("drop-update-no-association", terminal.packet_of(MobilityMessage::from(reserved).emit())),
        ("rx-unexpected", terminal.packet_of(acknowledgement.emit())),
    ];
    for (counter, packet) in table {
        let mut bench = Bench::new(config());
        assert_eq!(bench.give(packet), [], "{counter}");
        assert_eq!(bench.counter(counter), 1, "{counter}");
    }
}

#[test]
fn unknown_types_get_a_binding_error() {
    let mut config = config();
    config.max_errors_per_sec = 2;
    let mut bench = Bench::new(config);
    let terminal = Terminal::new(0);
    let packet = terminal.packet_of(MobilityMessage::Unknown { kind: 13 }.emit());
    let outputs = bench.give(&packet);
    let answer = sent(&outputs)[0];
    let header = ipv6::Header::parse(answer).unwrap();
    assert_eq!((header.source, header.destination), (AGENT, terminal.access_address));
    let expected = MobilityMessage::BindingError {
        status: BindingErrorStatus::UNRECOGNIZED_TYPE,
        home_address: terminal.home_address,
    };
    assert!(mobility::verify_checksum(AGENT, terminal.access_address, &answer[40..]));
    assert_eq!(mobility::parse(&answer[40..]), Ok(expected));
    assert_eq!(bench.give(&packet).len(), 1);
    assert_eq!(bench.give(&packet).len(), 0);
    assert_eq!(bench.counter("answer-rate-limited"), 1);
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.give(&packet).len(), 1);
}

#[test]
fn bad_framing_gets_a_parameter_problem() {
    for (at, value, pointer, kind) in [(0, 6, 64, WireErrorKind::Value), (1, 0, 65, WireErrorKind::Length)] {
        let mut bench = Bench::new(config());
        let mut terminal = Terminal::new(0);
        let mut message = MobilityMessage::from(terminal.update()).emit();
        message[at] = value;
        if at == 1 {
            message.truncate(8);
        }
        assert_eq!(mobility::parse(&message).unwrap_err().kind, kind);
        let packet = terminal.packet_of(message);
        let outputs = bench.give(&packet);
        let answer = sent(&outputs)[0];
        assert_eq!(answer[40..42], [4, 0]);
        assert_eq!(u32::from_be_bytes(*answer[44..].first_chunk().unwrap()), pointer);
        assert_eq!(answer[48..], packet[..]);
        assert_eq!((bench.counter("drop-mobility-framing"), bench.counter("tx-parameter-problem")), (1, 1));
    }
}

#[test]
fn a_replayed_update_is_refused_also_when_its_binding_is_gone() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let update = terminal.update();
    let packet = terminal.packet(update);
    assert_eq!(terminal.read(sent(&bench.give(&packet))[0]).status, Status::ACCEPTED);
    let status_of_replay = |bench: &mut Bench| {
        let acknowledgement = terminal.read(sent(&bench.give(&packet))[0]);
        assert_eq!(acknowledgement.sequence, terminal.sequence);
        acknowledgement.status
    };
    assert_eq!(status_of_replay(&mut bench), Status::SEQUENCE_OUT_OF_WINDOW);
    bench.pass(MINUTE * 20);
    assert_eq!(bench.agent.bindings().count(), 0);
    assert_eq!(status_of_replay(&mut bench), Status::SEQUENCE_OUT_OF_WINDOW);
    // What an agent wrote down serves the next one.
    let floors: Vec<_> = bench.agent.replay_floors().collect();
    let mut next = Bench::new(config());
    assert_eq!(next.agent.restore_replay_floors(floors), 0);
    assert_eq!(status_of_replay(&mut next), Status::SEQUENCE_OUT_OF_WINDOW);
}

#[test]
fn sequence_numbers_wrap() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    terminal.sequence = 65_534;
    for expected in [65_535, 0, 1] {
        let acknowledgement = bench.register(&mut terminal);
        assert_eq!((acknowledgement.status, acknowledgement.sequence), (Status::ACCEPTED, expected));
    }
}

#[test]
fn timestamps_in_place_of_sequence_numbers() {
    let clock = WallClock { at: Instant::from_secs(10), reads: NtpTime::from_unix(Duration::from_secs(1_800_000_000)) };
    let mut config = config();
    config.replay = ReplayPolicy::Timestamp { window: ReplayPolicy::DEFAULT_WINDOW, clock };
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    assert_eq!(bench.register(&mut terminal).status, Status::MESSAGE_ID_REQUIRED);
    let mut at = |bench: &mut Bench, timestamp: u64| {
        let mut update = terminal.update();
        update.sequence = 7;
        update.options.message_id = Some(timestamp);
        let acknowledgement = bench.ask(&terminal, update);
        (acknowledgement.status, acknowledgement.options.message_id.unwrap())
    };
    let here = clock.reads.0;
    assert_eq!(at(&mut bench, here + 5), (Status::ACCEPTED, here + 5));
    assert_eq!(at(&mut bench, here + 5), (Status::ID_MISMATCH, here + 5));
    assert_eq!(at(&mut bench, here + 6), (Status::ACCEPTED, here + 6));
    let far = here + (60 << 32) + 9;
    assert_eq!(at(&mut bench, far), (Status::ID_MISMATCH, here + 9));
    bench.pass(MINUTE);
    assert_eq!(at(&mut bench, far), (Status::ACCEPTED, far));
    bench.command(Command::SetClock(NtpTime(far + (100 << 32))));
    assert_eq!(at(&mut bench, far + (99 << 32)), (Status::ACCEPTED, far + (99 << 32)));
}

#[test]
fn wrong_keys_are_answered_at_a_limited_rate_and_install_nothing() {
    let mut config = config();
    config.max_errors_per_sec = 3;
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    terminal.association.key = association(9).key;
    let mut answered = 0;
    for _ in 0..10 {
        let update = terminal.update();
        let outputs = bench.give(&terminal.packet(update));
        assert!(!outputs.iter().any(|output| matches!(output, Output::Table(_))));
        answered += sent(&outputs).len();
    }
    assert_eq!((answered, bench.counter("refused-authentication")), (3, 10));
    assert_eq!(bench.counter("answer-rate-limited"), 7);
    assert_eq!(bench.agent.bindings().count(), 0);
    // The failures have not moved the sequence number on.
    let mut right = Terminal::new(0);
    right.sequence = 0;
    assert_eq!(bench.register(&mut right).status, Status::ACCEPTED);
}

#[test]
fn the_second_terminal_with_an_eui64_gets_134() {
    let mut bench = Bench::new(config());
    let (mut first, mut second) = (Terminal::new(0), Terminal::new(1));
    second.group = first.group;
    assert_eq!(bench.register(&mut first).status, Status::ACCEPTED);
    assert_eq!(bench.register(&mut second).status, Status::DUPLICATE_ADDRESS);
    let update = first.deregistration();
    assert_eq!(bench.ask(&first, update).status, Status::ACCEPTED);
    assert_eq!(bench.register(&mut second).status, Status::ACCEPTED);
    // A terminal may change its group for a free one; its old group is free then.
    second.group = group(200);
    assert_eq!(bench.register(&mut second).status, Status::ACCEPTED);
    assert_eq!(bench.register(&mut first).status, Status::ACCEPTED);
}

#[test]
fn an_eui64_that_is_bound_to_a_terminal_is_no_other_s() {
    let mut config = config();
    let peer = Peer {
        identifier: None,
        home_address: Some(home(40)),
        terminal: Some(Eui64(0x0200_5eff_fe00_0028)),
        association: association(40),
    };
    config.associations.insert(peer).unwrap();
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(40);
    assert_eq!(bench.register(&mut terminal).status, Status::ADMINISTRATIVELY_PROHIBITED);
    assert_eq!(bench.counter("refused-terminal"), 1);
    terminal.group = group(0x28);
    assert_eq!(bench.register(&mut terminal).status, Status::ACCEPTED);
}

#[test]
fn a_terminal_from_a_site_with_another_layout_gets_its_group_here() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let here = terminal.group;
    let asm = GroupLayout::Asm { scope: Scope::SITE_LOCAL, site_id: 9 };
    terminal.group = asm.group(LAYOUT.terminal(here).unwrap());
    let acknowledgement = bench.register(&mut terminal);
    assert_eq!(acknowledgement.options.subscriptions, [Subscription { group: here, source: Some(SOURCE) }]);
    assert_eq!(bench.counter("group-regranted"), 1);
}

#[test]
fn home_addresses_belong_to_who_bound_them() {
    let mut config = config();
    let site_key =
        SiteKey { spi: Spi::new(900).unwrap(), key: Key::new(&[0x55; 32]).unwrap(), algorithm: Algorithm::default() };
    config.associations = config.associations.with_site_key(site_key.clone());
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    bench.register(&mut terminal);
    let identifier = MobileNodeIdentifier::nai("thief@example.org");
    let mut thief = Terminal { association: site_key.derive(&identifier), sequence: 20_000, ..terminal.clone() };
    for mut update in [thief.update(), thief.deregistration()] {
        update.options.identifier = Some(identifier.clone());
        assert_eq!(bench.ask(&thief, update).status, Status::ADMINISTRATIVELY_PROHIBITED);
    }
    assert_eq!(bench.counter("refused-owner"), 2);
    // Nor has the thief moved the sequence number on.
    assert_eq!(bench.register(&mut terminal).status, Status::ACCEPTED);
    // A home address of its own is fine.
    thief.home_address = home(60);
    thief.group = group(600);
    let mut update = thief.update();
    update.options.identifier = Some(identifier);
    assert_eq!(bench.ask(&thief, update).status, Status::ACCEPTED);
}

#[test]
fn home_addresses_without_home_agent_are_refused() {
    let mut config = config();
    config.home_agents[0].prefix = "2001:db8:9::/48".parse().unwrap();
    let mut bench = Bench::new(config);
    assert_eq!(bench.register(&mut Terminal::new(0)).status, Status::ADMINISTRATIVELY_PROHIBITED);
    assert_eq!(bench.counter("refused-home-agent"), 1);
}

#[test]
fn limits() {
    let mut small = config();
    small.max_bindings = 2;
    small.max_replay_floors = 4;
    let mut bench = Bench::new(small);
    let mut terminals: Vec<_> = (0..6).map(Terminal::new).collect();
    let statuses: Vec<_> = terminals.iter_mut().map(|t| bench.register(t).status).collect();
    let full = Status::INSUFFICIENT_RESOURCES;
    assert_eq!(statuses, [Status::ACCEPTED, Status::ACCEPTED, full, full, full, full]);
    assert_eq!((bench.counter("refused-full"), bench.counter("refused-replay-memory")), (2, 2));
    // Those that are there may stay.
    assert_eq!(bench.register(&mut terminals[0]).status, Status::ACCEPTED);

    let mut config = config();
    config.max_lifetime = Duration::from_secs(99);
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    assert_eq!(bench.register(&mut terminal).lifetime, Lifetime(24));
    let mut update = terminal.update();
    update.lifetime = Lifetime(1);
    assert_eq!(bench.ask(&terminal, update).lifetime, Lifetime(1));
    assert_eq!(bench.agent.poll_timeout(), Some(bench.now + Duration::from_secs(4)));
}

#[test]
fn a_binding_ends_with_its_lifetime() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let care_of = care_of(&bench.register(&mut terminal));
    let end = bench.now + Duration::from_secs(600);
    assert_eq!(bench.agent.poll_timeout(), Some(end));
    assert_eq!(bench.pass(Duration::from_millis(599_999)), []);
    let home_address = terminal.home_address;
    assert_eq!(
        bench.pass(Duration::from_millis(1)),
        [
            Output::Table(TableUpdate::MmaBindingRemove(home_address)),
            Output::Event(Event::Expired { home_address, care_of, group: terminal.group }),
        ]
    );
    assert_eq!((bench.agent.poll_timeout(), bench.agent.quarantined()), (None, 1));
}

#[test]
fn deregistration_removes_before_it_acknowledges() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let care_of = care_of(&bench.register(&mut terminal));
    let update = terminal.deregistration();
    let outputs = bench.give(&terminal.packet(update));
    let home_address = terminal.home_address;
    let by = Removal::Terminal;
    assert_eq!(outputs[0], Output::Table(TableUpdate::MmaBindingRemove(home_address)));
    assert_eq!(outputs[1], Output::Event(Event::Deregistered { home_address, care_of, group: terminal.group, by }));
    let acknowledgement = terminal.read(sent(&outputs)[0]);
    assert_eq!((acknowledgement.status, acknowledgement.lifetime), (Status::ACCEPTED, Lifetime::ZERO));
    // Its acknowledgement was lost: asked again, it is granted again.
    let update = terminal.deregistration();
    let outputs = bench.give(&terminal.packet(update));
    assert_eq!((outputs.len(), terminal.read(sent(&outputs)[0]).status), (1, Status::ACCEPTED));

    // The address is the terminal's again when it comes back, and for a time nobody else's.
    for n in 1..10 {
        assert_ne!(super::tests::care_of(&bench.register(&mut Terminal::new(n))), care_of);
    }
    assert_eq!(super::tests::care_of(&bench.register(&mut terminal)), care_of);
}

#[test]
fn deregistration_from_home_has_no_home_address_option() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    bench.register(&mut terminal);
    let update = terminal.deregistration();
    let home_address = terminal.home_address;
    let message = terminal.association.sign_update(update, home_address, home_address);
    let packet = PacketBuilder::new(home_address, AGENT).checksummed(protocol::MOBILITY, message, CHECKSUM_AT);
    let outputs = bench.give(&packet);
    let answer = sent(&outputs)[0];
    let chain = Chain::parse(answer).unwrap();
    assert_eq!((chain.type2_routing, ipv6::Header::parse(answer).unwrap().destination), (None, home_address));
    assert!(terminal.association.verify(&answer[chain.upper_offset..], home_address, home_address));
    assert_eq!(bench.agent.bindings().count(), 0);
}

#[test]
fn a_terminal_at_home_does_not_register() {
    let mut config = config();
    config.access_prefixes.push(Prefix::of_link(home(0)));
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(0);
    terminal.access_address = terminal.home_address;
    assert_eq!(bench.register(&mut terminal).status, Status::INVALID_CARE_OF_ADDRESS);
}

#[test]
fn no_acknowledgement_where_none_was_asked_for() {
    let mut bench = Bench::new(config());
    let mut terminal = Terminal::new(0);
    let mut update = terminal.update();
    update.flags = BindingUpdateFlags::MAP_REGISTRATION;
    assert_eq!(sent(&bench.give(&terminal.packet(update))).len(), 0);
    assert_eq!(bench.agent.bindings().count(), 1);
    // A refusal is told all the same.
    let mut update = terminal.update();
    update.flags = BindingUpdateFlags::MAP_REGISTRATION;
    update.options.subscriptions.clear();
    assert_eq!(sent(&bench.give(&terminal.packet(update))).len(), 1);
}

#[test]
fn stateless_and_shared_care_of_addresses() {
    let mut config_stateless = config();
    config_stateless.care_of = CareOfMode::Stateless { prefix: care_of_prefix() };
    let mut bench = Bench::new(config_stateless);
    let mut terminal = Terminal::new(0);
    let expected = addr::with_interface_identifier(care_of_prefix().address(), 1);
    assert_eq!(care_of(&bench.register(&mut terminal)), expected);
    terminal.access_address = access(2, 44);
    assert_eq!(care_of(&bench.register(&mut terminal)), expected);
    let mut other = Terminal::new(1);
    other.access_address = access(2, 1);
    assert_eq!(bench.register(&mut other).status, Status::DUPLICATE_ADDRESS);
    assert_eq!(bench.counter("refused-care-of-taken"), 1);

    let shared = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 9);
    let mut config_shared = config();
    config_shared.care_of = CareOfMode::Shared { address: shared };
    let mut bench = Bench::new(config_shared);
    for n in 0..4 {
        assert_eq!(care_of(&bench.register(&mut Terminal::new(n))), shared);
    }
}

#[test]
fn gre_by_policy() {
    for (policy, asked, status, granted) in [
        (GrePolicy::Off, false, Status::ACCEPTED, false),
        (GrePolicy::Off, true, Status::GRE_KEY_NOT_REQUIRED, false),
        (GrePolicy::Offered, false, Status::ACCEPTED, false),
        (GrePolicy::Offered, true, Status::ACCEPTED, true),
        (GrePolicy::Required, false, Status::GRE_KEY_REQUIRED, false),
        (GrePolicy::Required, true, Status::ACCEPTED, true),
    ] {
        let mut config = config();
        config.gre = policy;
        let mut bench = Bench::new(config);
        let mut terminal = Terminal::new(0);
        let mut update = terminal.update();
        update.options.gre_key = asked.then_some(GreKey { key: None });
        let acknowledgement = bench.ask(&terminal, update);
        assert_eq!(acknowledgement.status, status);
        assert_eq!(acknowledgement.options.gre_key.and_then(|gre| gre.key).is_some(), granted);
        let entry = bench.entries.get(&terminal.home_address);
        let key = acknowledgement.options.gre_key.and_then(|gre| gre.key);
        assert_eq!(entry.and_then(|entry| entry.gre_key), key);
    }
}

#[test]
fn drain_resume_revoke_stop() {
    let mut bench = Bench::new(config());
    let mut terminals: Vec<_> = (0..4).map(Terminal::new).collect();
    for terminal in &mut terminals[..3] {
        bench.register(terminal);
    }
    assert_eq!(bench.command(Command::Drain), []);
    assert_eq!(bench.register(&mut terminals[3]).status, Status::INSUFFICIENT_RESOURCES);
    assert_eq!(bench.register(&mut terminals[0]).status, Status::ACCEPTED);
    bench.command(Command::Resume);
    assert_eq!(bench.register(&mut terminals[3]).status, Status::ACCEPTED);
    let outputs = bench.command(Command::Revoke(home(3)));
    assert_eq!(outputs[0], Output::Table(TableUpdate::MmaBindingRemove(home(3))));
    assert!(matches!(outputs[1], Output::Event(Event::Deregistered { by: Removal::Operator, .. })));
    assert_eq!(bench.command(Command::Revoke(home(3))), []);
    let outputs = bench.command(Command::Stop);
    assert_eq!(outputs.len(), 7);
    assert_eq!(outputs[6], Output::Event(Event::Drained));
    assert_eq!(bench.register(&mut terminals[0]).status, Status::INSUFFICIENT_RESOURCES);
    assert_eq!(bench.command(Command::Drain), [Output::Event(Event::Drained)]);
}

/// What a reference model, a few lines long, says of one update.
#[derive(Default)]
struct Model {
    bound: BTreeMap<Ipv6Addr, (Ipv6Addr, Instant)>,
    floors: BTreeMap<Ipv6Addr, u16>,
}

impl Model {
    fn expect(&mut self, now: Instant, terminal: &Terminal, update: &BindingUpdate, limit: usize) -> Status {
        let home_address = terminal.home_address;
        self.expire(now);
        if let Some(&last) = self.floors.get(&home_address)
            && !(1..0x8000).contains(&update.sequence.wrapping_sub(last))
        {
            return Status::SEQUENCE_OUT_OF_WINDOW;
        }
        self.floors.insert(home_address, update.sequence);
        if update.lifetime.is_zero() {
            self.bound.remove(&home_address);
            return Status::ACCEPTED;
        }
        if terminal.access_address.segments()[3] > 0xa02 {
            return Status::ADMINISTRATIVELY_PROHIBITED;
        }
        let group = update.options.subscriptions[0].group;
        if self.bound.iter().any(|(home, (taken, _))| *taken == group && *home != home_address) {
            return Status::DUPLICATE_ADDRESS;
        }
        if !self.bound.contains_key(&home_address) && self.bound.len() >= limit {
            return Status::INSUFFICIENT_RESOURCES;
        }
        self.bound.insert(home_address, (group, now + update.lifetime.duration()));
        Status::ACCEPTED
    }

    fn expire(&mut self, now: Instant) {
        self.bound.retain(|_, (_, end)| *end > now);
    }
}

#[test]
fn agrees_with_a_reference_model_under_random_operations() {
    const LIMIT: usize = 6;
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut config = config();
        config.max_bindings = LIMIT;
        config.max_quarantined = 3;
        config.max_lifetime = Duration::from_secs(400);
        config.care_of = match seed % 3 {
            0 => CareOfMode::Assigned { prefix: "2001:db8:f:c0a::/112".parse().unwrap() },
            1 => CareOfMode::Assigned { prefix: care_of_prefix() },
            _ => CareOfMode::Shared { address: home(0xff) },
        };
        let mut bench = Bench::new(config);
        let mut model = Model::default();
        let mut terminals: Vec<_> = (0..10).map(Terminal::new).collect();
        let mut past: Vec<(Terminal, BindingUpdate)> = Vec::new();
        for _ in 0..400 {
            let terminal = &mut terminals[rng.below(10) as usize];
            let (terminal, update) = match rng.below(20) {
                0 => {
                    bench.pass(Duration::from_secs(rng.below(500)));
                    model.expire(bench.now);
                    continue;
                }
                1 => {
                    bench.command(Command::Revoke(terminal.home_address));
                    model.bound.remove(&terminal.home_address);
                    continue;
                }
                2 => {
                    let mut forged = terminal.clone();
                    forged.association.key = association(200).key;
                    let update = forged.update();
                    assert!(!bench.give(&forged.packet(update)).iter().any(|o| matches!(o, Output::Table(_))));
                    continue;
                }
                3 | 4 if !past.is_empty() => past[rng.below(past.len() as u64) as usize].clone(),
                5..=8 => {
                    let update = terminal.deregistration();
                    (terminal.clone(), update)
                }
                kind => {
                    terminal.access_address = access(1 + rng.below(3) as u16, 1 + rng.below(1000) as u16);
                    if kind == 9 {
                        terminal.group = group(1 + rng.below(12));
                    }
                    let mut update = terminal.update();
                    update.lifetime = Lifetime(1 + rng.below(100) as u16);
                    update.options.gre_key = (rng.below(2) == 0).then_some(GreKey { key: None });
                    (terminal.clone(), update)
                }
            };
            let had = bench.agent.binding(terminal.home_address).map(|b| b.care_of);
            let expected = model.expect(bench.now, &terminal, &update, LIMIT);
            let acknowledgement = bench.ask(&terminal, update.clone());
            assert_eq!(acknowledgement.status, expected, "seed {seed}");
            if expected == Status::ACCEPTED && !update.lifetime.is_zero() {
                let now_has = care_of(&acknowledgement);
                assert!(had.is_none_or(|had| had == now_has), "a refresh keeps the care-of address");
            }
            past.push((terminal, update));
            let modelled: Vec<_> = model.bound.iter().map(|(home, (group, end))| (*home, *group, *end)).collect();
            let bound: Vec<_> = bench.agent.bindings().map(|b| (b.home_address, b.group, b.expires_at)).collect();
            assert_eq!(bound, modelled, "seed {seed}");
            assert!(bench.agent.quarantined() <= 3);
        }
        bench.command(Command::Stop);
        assert!(bench.entries.is_empty());
    }
}

proptest! {
    #[test]
    fn a_damaged_update_never_panics_and_never_binds(at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut terminal = Terminal::new(0);
        let update = terminal.update();
        let good = terminal.packet(update);
        let mut damaged = good.clone();
        let at = at.index(damaged.len());
        damaged[at] = value;
        let mut bench = Bench::new(config());
        bench.give(&damaged);
        // Traffic class, flow label, hop limit and the padding of the Home Address option may say what they like, and
        // the header that holds that option may pass for the Hop-by-Hop header.
        let label = at < 4 && damaged[0] >> 4 == 6;
        let harmless = damaged == good || label || at == 6 && value == 0 || at == 7 || (42..46).contains(&at);
        prop_assert!(harmless || bench.agent.bindings().count() == 0, "octet {} as {}", at, value);
        bench.give(&good[..cut.index(good.len())]);
    }
}
