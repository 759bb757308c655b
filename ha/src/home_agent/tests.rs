mod admission;
mod discovery;
mod hostile;

use super::*;
use crate::reception::{self, ANSWER_BURST};
use mma::auth::{Algorithm, AssociationTable, Key, NtpTime, Peer, ReplayPolicy, SecurityAssociation, Spi, WallClock};
use stack::addr::MacAddress;
use stack::machine::Transmit;
use stack::wire::ext::Chain;
use stack::wire::mobility::{
    BindingAcknowledgement, BindingErrorStatus, BindingUpdate, BindingUpdateFlags, Lifetime, parse,
};

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const LOCAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xcc, 0, 0, 0, 0, 0x10);
const OTHER_CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xcd, 0, 0, 0, 0, 0x10);
const PORT: PortId = PortId(1);
const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x10]);

fn association(octet: u8) -> SecurityAssociation {
    SecurityAssociation {
        spi: Spi::new(0x100).unwrap(),
        key: Key::new(&[octet; 16]).unwrap(),
        algorithm: Algorithm::HmacSha1_96,
    }
}

fn config(dad: HomeDad) -> Config {
    let mut associations = AssociationTable::new();
    // The second home address is of another prefix: a mistake of the operator that status 132 tells.
    for home_address in [HOME, LOCAL] {
        let home_address = Some(home_address);
        associations
            .insert(Peer { identifier: None, home_address, terminal: None, association: association(7) })
            .unwrap();
    }
    Config {
        max_lifetime: Duration::from_secs(600),
        max_bindings: 4,
        associations,
        ..Config::new(vec![HomeLink::new(PORT, "2001:db8:1::/64".parse().unwrap(), AGENT, dad)])
    }
}

/// A Binding Update in the making.
#[derive(Clone)]
struct Update {
    home_address: Ipv6Addr,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    option: bool,
    alternate: Option<Ipv6Addr>,
    sequence: u16,
    lifetime_secs: u64,
    flags: BindingUpdateFlags,
    options: MobilityOptions,
    key: Option<u8>,
}

impl Update {
    fn new(sequence: u16) -> Self {
        Update {
            home_address: HOME,
            source: LOCAL,
            destination: AGENT,
            option: true,
            alternate: Some(CARE_OF),
            sequence,
            lifetime_secs: 400,
            flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::HOME_REGISTRATION,
            options: MobilityOptions::default(),
            key: Some(7),
        }
    }

    fn from_home(sequence: u16) -> Self {
        Update { source: HOME, option: false, alternate: None, lifetime_secs: 0, ..Update::new(sequence) }
    }

    fn packet(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.alternate_care_of_address = self.alternate;
        let lifetime = Lifetime::at_most(Duration::from_secs(self.lifetime_secs));
        let update = BindingUpdate { sequence: self.sequence, flags: self.flags, lifetime, options };
        let care_of = self.alternate.unwrap_or(self.source);
        let message = match self.key {
            Some(key) => association(key).sign_update(update, care_of, self.home_address),
            None => MobilityMessage::from(update).emit(),
        };
        let mut builder = PacketBuilder::new(self.source, self.destination);
        if self.option {
            builder = builder.home_address(self.home_address);
        }
        builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
    }
}

fn meta() -> RxMeta {
    RxMeta { port: PORT, link_source: Some(MAC), link_multicast: false, tunnel: None }
}

fn drain(agent: &mut HomeAgent) -> Vec<Output<Event>> {
    core::iter::from_fn(|| agent.poll_output()).collect()
}

fn send(agent: &mut HomeAgent, now: Instant, update: &Update) -> Vec<Output<Event>> {
    agent.handle_packet(now, &meta(), &update.packet());
    drain(agent)
}

/// Reads a Binding Acknowledgement and checks its signature.
fn acknowledgement(output: &Output<Event>, care_of: Ipv6Addr) -> (BindingAcknowledgement, Ipv6Addr, Via, bool) {
    let Output::Transmit(Transmit { packet, via }) = output else { panic!("{output:?} is no packet") };
    let received = reception::receive(packet).unwrap();
    assert!(association(7).verify(received.bytes, care_of, HOME), "unsigned");
    let MobilityMessage::BindingAcknowledgement(message) = received.message.clone() else { panic!("no BA") };
    (message, received.destination, *via, received.final_destination != received.destination)
}

fn status_of(outputs: &[Output<Event>], care_of: Ipv6Addr) -> Status {
    let last = outputs.last().expect("there is an answer");
    acknowledgement(last, care_of).0.status
}

fn binding_set(care_of: Ipv6Addr) -> Output<Event> {
    Output::Table(TableUpdate::HomeBindingSet(HOME, HomeBinding { care_of, agent: AGENT, home_port: PORT }))
}

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

#[test]
fn registers_in_order_table_proxy_acknowledgement() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    let outputs = send(&mut agent, at(0), &Update::new(7));
    assert_eq!(outputs[0], binding_set(CARE_OF));
    assert_eq!(outputs[1], Output::Event(Event::ProxyStart { port: PORT, address: HOME }));
    assert_eq!(outputs[2], Output::Event(Event::Registered { home_address: HOME, care_of: CARE_OF }));
    let (message, destination, via, routed) = acknowledgement(&outputs[3], CARE_OF);
    assert_eq!((message.status, message.sequence, message.lifetime), (Status::ACCEPTED, 7, Lifetime(100)));
    // To where the update came from, not to the care-of address.
    assert_eq!((destination, via, routed), (LOCAL, Via::Route, true));
    assert_eq!(outputs.len(), 4);
    // A move: no second proxy, no detection.
    let moved = Update { alternate: Some(OTHER_CARE_OF), ..Update::new(8) };
    let outputs = send(&mut agent, at(1), &moved);
    assert_eq!(outputs[0], binding_set(OTHER_CARE_OF));
    assert!(!outputs.iter().any(|o| matches!(o, Output::Event(Event::ProxyStart { .. } | Event::DadWanted { .. }))));
    assert_eq!(agent.bindings().active(HOME).unwrap().care_of, OTHER_CARE_OF);
    assert_eq!(agent.remaining(at(101), HOME), Some(Duration::from_secs(300)));
}

#[test]
fn strict_detection_holds_back_everything() {
    let mut agent = HomeAgent::new(config(HomeDad::Strict));
    let outputs = send(&mut agent, at(0), &Update::new(7));
    assert_eq!(outputs, [Output::Event(Event::DadWanted { port: PORT, address: HOME })]);
    // The terminal did not wait; it even moved: no answer, no second detection.
    let again = Update { alternate: Some(OTHER_CARE_OF), ..Update::new(8) };
    assert_eq!(send(&mut agent, at(1), &again), []);
    // A replay in the meantime is refused as ever, by the number of the update that waits.
    let outputs = send(&mut agent, at(1), &Update::new(7));
    let refused = acknowledgement(outputs.last().unwrap(), CARE_OF).0;
    assert_eq!((refused.status, refused.sequence), (Status::SEQUENCE_OUT_OF_WINDOW, 8));
    agent.handle_command(at(1), Command::DadResult { port: PORT, address: HOME, unique: true });
    let outputs = drain(&mut agent);
    assert_eq!(outputs[0], binding_set(OTHER_CARE_OF));
    let (message, ..) = acknowledgement(outputs.last().unwrap(), OTHER_CARE_OF);
    assert_eq!((message.status, message.sequence), (Status::ACCEPTED, 8));
}

#[test]
fn strict_detection_of_a_duplicate() {
    let mut agent = HomeAgent::new(config(HomeDad::Strict));
    send(&mut agent, at(0), &Update::new(7));
    agent.handle_command(at(1), Command::DadResult { port: PORT, address: HOME, unique: false });
    let outputs = drain(&mut agent);
    assert_eq!(status_of(&outputs, CARE_OF), Status::DUPLICATE_ADDRESS);
    assert!(!outputs.iter().any(|o| matches!(o, Output::Table(_))));
    assert!(agent.bindings().is_empty());
}

#[test]
fn a_detection_that_is_lost_leaves_nothing() {
    let mut agent = HomeAgent::new(config(HomeDad::Strict));
    send(&mut agent, at(0), &Update::new(7));
    agent.handle_timeout(agent.poll_timeout().unwrap());
    let outputs = drain(&mut agent);
    assert_eq!(outputs[0], Output::Event(Event::DadCancel { port: PORT, address: HOME }));
    assert_eq!(status_of(&outputs, CARE_OF), Status::REASON_UNSPECIFIED);
    assert_eq!((agent.waiting().count(), agent.counters().detection_lost), (0, 1));
    assert!(matches!(send(&mut agent, at(9), &Update::new(8))[..], [Output::Event(Event::DadWanted { .. })]));
}

/// Nobody answers for the address any more, or looks for others that do.
const STOPPED: [Output<Event>; 3] = [
    Output::Table(TableUpdate::HomeBindingRemove(HOME)),
    Output::Event(Event::DadCancel { port: PORT, address: HOME }),
    Output::Event(Event::ProxyStop { port: PORT, address: HOME }),
];

#[test]
fn a_terminal_that_comes_home_is_not_taken_for_another_node() {
    let mut agent = HomeAgent::new(config(HomeDad::Optimistic));
    send(&mut agent, at(0), &Update::new(7));
    // Detection still runs: what the terminal says of its own address from now on is no claim of somebody else's.
    let outputs = send(&mut agent, at(0), &Update::from_home(8));
    assert_eq!(outputs[..3], STOPPED);
}

#[test]
fn optimistic_detection_revokes_later() {
    let mut agent = HomeAgent::new(config(HomeDad::Optimistic));
    let outputs = send(&mut agent, at(0), &Update::new(7));
    assert_eq!(outputs[0], Output::Event(Event::DadWanted { port: PORT, address: HOME }));
    assert_eq!(status_of(&outputs, CARE_OF), Status::ACCEPTED);
    agent.handle_command(at(1), Command::DadResult { port: PORT, address: HOME, unique: false });
    let outputs = drain(&mut agent);
    let Output::Transmit(Transmit { packet, .. }) = &outputs[0] else { panic!("no request") };
    let received = reception::receive(packet).unwrap();
    assert!(matches!(received.message, MobilityMessage::BindingRefreshRequest { .. }));
    assert_eq!((received.destination, received.final_destination), (CARE_OF, HOME));
    assert_eq!(outputs[1..4], STOPPED);
    assert!(agent.bindings().is_empty());
}

#[test]
fn an_address_that_was_revoked_is_looked_for_before_it_is_bound_again() {
    let mut agent = HomeAgent::new(config(HomeDad::Optimistic));
    let wanted = [Output::Event(Event::DadWanted { port: PORT, address: HOME })];
    let detected = |agent: &mut HomeAgent, now, unique| {
        agent.handle_command(now, Command::DadResult { port: PORT, address: HOME, unique });
        drain(agent)
    };
    send(&mut agent, at(0), &Update::new(7));
    detected(&mut agent, at(1), false);
    // The other node is still there: the answer to the refresh request is refused, not accepted and revoked again.
    for sequence in 8..10 {
        assert_eq!(send(&mut agent, at(2), &Update::new(sequence)), wanted);
        assert_eq!(status_of(&detected(&mut agent, at(3), false), CARE_OF), Status::DUPLICATE_ADDRESS);
        assert_eq!(agent.counters().revoked, 1);
    }
    // It has gone, and all is as before.
    assert_eq!(send(&mut agent, at(4), &Update::new(10)), wanted);
    assert_eq!(status_of(&detected(&mut agent, at(5), true), CARE_OF), Status::ACCEPTED);
    send(&mut agent, at(6), &Update::from_home(11));
    assert_eq!(status_of(&send(&mut agent, at(7), &Update::new(12)), CARE_OF), Status::ACCEPTED);
}

#[test]
fn deregistration_stops_at_once_and_remembers() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    send(&mut agent, at(0), &Update::new(7));
    let outputs = send(&mut agent, at(1), &Update::from_home(8));
    assert_eq!(outputs[..3], STOPPED);
    let former = HomeBinding { care_of: CARE_OF, agent: AGENT, home_port: PORT };
    assert_eq!(outputs[3], Output::Table(TableUpdate::FormerHomeBindingSet(HOME, former)));
    let (message, destination, via, routed) = acknowledgement(outputs.last().unwrap(), HOME);
    assert_eq!((message.status, message.lifetime), (Status::ACCEPTED, Lifetime::ZERO));
    assert_eq!((destination, via, routed), (HOME, Via::Route, false));
    // The update that was delayed on its way from the foreign link is refused (RFC 6275 §10.3.2).
    let outputs = send(&mut agent, at(2), &Update::new(7));
    assert_eq!(status_of(&outputs, CARE_OF), Status::SEQUENCE_OUT_OF_WINDOW);
    // The acknowledgement was lost: once more.
    assert_eq!(status_of(&send(&mut agent, at(2), &Update::from_home(9)), HOME), Status::ACCEPTED);
    assert_eq!(agent.bindings().get(HOME).unwrap().status, BindingStatus::Deregistered);
    agent.handle_timeout(at(12));
    assert!(agent.bindings().is_empty());
    assert_eq!(drain(&mut agent), [Output::Table(TableUpdate::FormerHomeBindingRemove(HOME))]);
}

/// What is under way from the former care-of address is taken for a while, and not at all where that is not wanted, where
/// the address is the same, or where the binding ends because it is not to be believed.
#[test]
fn the_former_care_of_address_is_remembered_for_a_while() {
    let formers = |outputs: &[Output<Event>]| -> Vec<TableUpdate> {
        let tables = outputs.iter().filter_map(|output| match output {
            Output::Table(update) => Some(update.clone()),
            _ => None,
        });
        let is_former = |update: &TableUpdate| {
            matches!(update, TableUpdate::FormerHomeBindingSet(..) | TableUpdate::FormerHomeBindingRemove(..))
        };
        tables.filter(is_former).collect()
    };
    let set = |care_of| TableUpdate::FormerHomeBindingSet(HOME, HomeBinding { care_of, agent: AGENT, home_port: PORT });
    let removed = TableUpdate::FormerHomeBindingRemove(HOME);
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    assert_eq!(formers(&send(&mut agent, at(0), &Update::new(7))), []);
    assert_eq!(formers(&send(&mut agent, at(1), &Update::new(8))), [], "a refresh");
    let moved = Update { alternate: Some(OTHER_CARE_OF), ..Update::new(9) };
    let outputs = send(&mut agent, at(2), &moved);
    assert_eq!(formers(&outputs), [set(CARE_OF)]);
    assert!(matches!(outputs[0], Output::Table(TableUpdate::HomeBindingSet(..))), "{outputs:?}");
    // Moved on before the time is over: only the last address before is remembered, from now on.
    let at_ms = |millis| Instant::ORIGIN + Duration::from_millis(millis);
    assert_eq!(formers(&send(&mut agent, at_ms(2_500), &Update::new(10))), [set(OTHER_CARE_OF)]);
    agent.handle_timeout(at_ms(3_499));
    assert_eq!(formers(&drain(&mut agent)), []);
    agent.handle_timeout(at_ms(3_500));
    assert_eq!(formers(&drain(&mut agent)), std::slice::from_ref(&removed));
    // The operator takes the binding away.
    send(&mut agent, at(4), &Update { alternate: Some(OTHER_CARE_OF), ..Update::new(11) });
    agent.handle_command(at(4), Command::Remove { home_address: HOME });
    assert_eq!(formers(&drain(&mut agent)), [removed]);

    let mut strict = HomeAgent::new(Config { former_care_of: Duration::ZERO, ..config(HomeDad::Off) });
    send(&mut strict, at(0), &Update::new(7));
    assert_eq!(formers(&send(&mut strict, at(1), &Update { alternate: Some(OTHER_CARE_OF), ..Update::new(8) })), []);
    assert_eq!(formers(&send(&mut strict, at(2), &Update::from_home(9))), []);
}

#[test]
fn refusal_at_home_goes_to_the_link_layer_address() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    let outputs = send(&mut agent, at(0), &Update::from_home(8));
    let (message, destination, via, routed) = acknowledgement(outputs.last().unwrap(), HOME);
    assert_eq!(message.status, Status::NOT_HOME_AGENT);
    assert_eq!((destination, via, routed), (HOME, Via::LinkAddress(PORT, MAC), false));
}

#[test]
fn deregistration_from_abroad() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    send(&mut agent, at(0), &Update::new(7));
    let away = Update { lifetime_secs: 0, ..Update::new(8) };
    let outputs = send(&mut agent, at(1), &away);
    let (message, destination, _, routed) = acknowledgement(outputs.last().unwrap(), CARE_OF);
    assert_eq!((message.status, destination, routed), (Status::ACCEPTED, LOCAL, true));
    assert!(agent.bindings().active(HOME).is_none());
}

#[test]
fn refusals() {
    let base = Update::new(7);
    let table: Vec<(&str, Update, Option<Status>)> = vec![
        ("no H bit", Update { flags: BindingUpdateFlags::ACKNOWLEDGE, ..base.clone() }, None),
        ("no authentication", Update { key: None, ..base.clone() }, None),
        ("no association", Update { home_address: CARE_OF, ..base.clone() }, None),
        ("wrong key", Update { key: Some(8), ..base.clone() }, Some(Status::AUTHENTICATION_FAILED)),
        ("multicast care-of address", Update { alternate: Some("ff35::1".parse().unwrap()), ..base.clone() }, None),
        ("link-local care-of address", Update { alternate: Some("fe80::1".parse().unwrap()), ..base.clone() }, None),
        ("registers without the option", Update { source: HOME, option: false, ..base.clone() }, None),
        ("another address of ours", Update { destination: CARE_OF, ..base.clone() }, {
            Some(Status::HOME_REGISTRATION_NOT_SUPPORTED)
        }),
        ("nothing to remove", Update { lifetime_secs: 0, ..base.clone() }, Some(Status::NOT_HOME_AGENT)),
    ];
    for (what, update, expected) in table {
        let mut agent = HomeAgent::new(config(HomeDad::Off));
        let outputs = send(&mut agent, at(0), &update);
        match expected {
            None => assert_eq!(outputs, [], "{what}"),
            Some(status) => assert_eq!(status_of(&outputs, CARE_OF), status, "{what}"),
        }
        assert!(!outputs.iter().any(|o| matches!(o, Output::Table(_))), "{what}");
        assert!(agent.bindings().is_empty() && agent.waiting().count() == 0, "{what}");
        assert_eq!(agent.poll_timeout(), None, "{what}");
    }
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    agent.handle_packet(at(0), &meta(), &Update { home_address: LOCAL, source: CARE_OF, ..base }.packet());
    assert!(
        drain(&mut agent)
            .contains(&Output::Event(Event::Rejected { home_address: LOCAL, status: Status::NOT_HOME_SUBNET }))
    );
}

#[test]
fn a_replay_is_refused_also_when_its_binding_is_gone() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    send(&mut agent, at(0), &Update::new(7));
    send(&mut agent, at(1), &Update::from_home(8));
    agent.handle_timeout(at(100));
    assert!(agent.bindings().is_empty());
    assert_eq!(status_of(&send(&mut agent, at(101), &Update::new(7)), CARE_OF), Status::SEQUENCE_OUT_OF_WINDOW);
    assert!(agent.bindings().is_empty());
}

#[test]
fn timestamps() {
    let mut config = config(HomeDad::Off);
    let clock = WallClock { at: Instant::ORIGIN, reads: NtpTime(0xe000_0000 << 32) };
    config.replay = ReplayPolicy::Timestamp { window: ReplayPolicy::DEFAULT_WINDOW, clock };
    let mut agent = HomeAgent::new(config);
    assert_eq!(status_of(&send(&mut agent, at(1), &Update::new(1)), CARE_OF), Status::MESSAGE_ID_REQUIRED);
    let stamped = |secs: u64, sequence| {
        let options = MobilityOptions { message_id: Some((0xe000_0000 + secs) << 32 | 5), ..Default::default() };
        Update { options, ..Update::new(sequence) }
    };
    let outputs = send(&mut agent, at(100), &stamped(1, 1));
    let answer = acknowledgement(outputs.last().unwrap(), CARE_OF).0;
    assert_eq!(answer.status, Status::ID_MISMATCH);
    assert_eq!(answer.options.message_id, Some((0xe000_0000 + 100) << 32 | 5));
    let outputs = send(&mut agent, at(100), &stamped(99, 1));
    let answer = acknowledgement(outputs.last().unwrap(), CARE_OF).0;
    assert_eq!((answer.status, answer.options.message_id), (Status::ACCEPTED, Some((0xe000_0000 + 99) << 32 | 5)));
    assert_eq!(status_of(&send(&mut agent, at(100), &stamped(99, 1)), CARE_OF), Status::ID_MISMATCH);
}

#[test]
fn lifetime_is_clamped_and_ends() {
    let mut config = config(HomeDad::Off);
    config.refresh_advice_percent = Some(50);
    let mut agent = HomeAgent::new(config);
    let outputs = send(&mut agent, at(0), &Update { lifetime_secs: 100_000, ..Update::new(7) });
    let (message, ..) = acknowledgement(outputs.last().unwrap(), CARE_OF);
    assert_eq!((message.lifetime, message.options.binding_refresh_advice), (Lifetime(150), Some(75)));
    // At three quarters, and half way to the end each time: refresh requests.
    assert_eq!(agent.poll_timeout(), Some(at(450)));
    let before = *agent.bindings().get(HOME).unwrap();
    agent.handle_timeout(at(450));
    assert!(matches!(drain(&mut agent)[..], [Output::Transmit(_)]));
    assert_eq!(*agent.bindings().get(HOME).unwrap(), before);
    assert_eq!(agent.poll_timeout(), Some(at(525)));
    while let Some(next) = agent.poll_timeout() {
        agent.handle_timeout(next);
    }
    let outputs = drain(&mut agent);
    let (last, before) = outputs.split_last().unwrap();
    assert_eq!(before[before.len() - 3..], STOPPED);
    assert_eq!(*last, Output::Event(Event::Ended { home_address: HOME, cause: EndCause::Expired }));
    assert!(agent.counters().tx_binding_refresh_request < 10);
}

#[test]
fn the_cache_is_bounded() {
    let mut config = config(HomeDad::Strict);
    config.max_bindings = 2;
    let home = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, n);
    for n in 0..4 {
        let home_address = Some(home(n));
        let peer = Peer { identifier: None, home_address, terminal: None, association: association(7) };
        config.associations.insert(peer).unwrap();
    }
    let mut agent = HomeAgent::new(config);
    let mut rejected = Vec::new();
    for n in 0..4 {
        let outputs = send(&mut agent, at(0), &Update { home_address: home(n), ..Update::new(1) });
        if let Some(Output::Event(Event::Rejected { status, .. })) = outputs.first() {
            rejected.push(*status);
        }
    }
    assert_eq!(rejected, [Status::INSUFFICIENT_RESOURCES; 2]);
    assert_eq!(agent.waiting().count(), 2);
}

#[test]
fn malformed_and_unknown_messages() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    let unknown = |kind: u8| {
        let message = vec![59, 0, kind, 0, 0, 0, 0, 0];
        PacketBuilder::new(LOCAL, AGENT).home_address(HOME).checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
    };
    agent.handle_packet(at(0), &meta(), &unknown(11));
    let outputs = drain(&mut agent);
    let [Output::Transmit(Transmit { packet, via: Via::Route })] = &outputs[..] else { panic!("{outputs:?}") };
    let chain = Chain::parse(packet).unwrap();
    let expected = MobilityMessage::BindingError { status: BindingErrorStatus::UNRECOGNIZED_TYPE, home_address: HOME };
    assert_eq!(parse(&packet[chain.upper_offset..]), Ok(expected));
    // A Binding Update too short for itself: Parameter Problem that points at the header length.
    agent.handle_packet(at(0), &meta(), &unknown(5));
    let outputs = drain(&mut agent);
    let [Output::Transmit(Transmit { packet, .. })] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(packet[40..42], [4, 0]);
    assert_eq!(packet[44..48], 65u32.to_be_bytes());
    // Each cut of a good packet, and each with a wrong octet in its message, changes nothing.
    let good = Update::new(7).packet();
    for cut in 0..good.len() {
        agent.handle_packet(at(0), &meta(), &good[..cut]);
        let mut wrong = good.clone();
        wrong[cut.max(64)] ^= 0x40;
        agent.handle_packet(at(0), &meta(), &wrong);
    }
    assert!(agent.bindings().is_empty());
    assert!(!drain(&mut agent).iter().any(|o| matches!(o, Output::Table(_))));
    // Answers to strangers are limited.
    for _ in 0..1000 {
        agent.handle_packet(at(1), &meta(), &unknown(11));
    }
    assert_eq!(drain(&mut agent).len(), ANSWER_BURST as usize);
    assert!(agent.counters().drop_rate_limit > 900);
}
