//! Route optimisation in the terminals' names (scenario S2.3): what the agent sends, takes and leaves alone.

use super::*;
use crate::config::RouteOptimisation;
use crate::return_routability::{BindingManagementKey, NodeKey};
use crate::route_optimisation::{self, Optimisation};
use stack::machine::{CorrespondentWay, Transmit, TunnelMeta};
use stack::wire::mobility::TestAnswer;

const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0xc);

fn optimising() -> Config {
    let route_optimisation = RouteOptimisation::On(route_optimisation::Config::default());
    Config { route_optimisation, ..config() }
}

/// An agent with terminal 1 bound, and that terminal's care-of address.
fn bound(config: Config) -> (Bench, Ipv6Addr) {
    let mut bench = Bench::new(config);
    let mut terminal = Terminal::new(1);
    let update = terminal.update();
    bench.give(&terminal.packet(update));
    let care_of = bench.agent.binding(home(1)).unwrap().care_of;
    (bench, care_of)
}

fn seen(bench: &mut Bench, way: CorrespondentWay) -> Vec<Output<Event>> {
    bench.command(Command::Correspondent { home_address: home(1), correspondent: PEER, way })
}

/// The packets among the outputs.
fn sent(outputs: &[Output<Event>]) -> Vec<Transmit> {
    let packet = |output: &Output<Event>| match output {
        Output::Transmit(transmit) => Some(transmit.clone()),
        _ => None,
    };
    outputs.iter().filter_map(packet).collect()
}

fn tunnel(source: Ipv6Addr, destination: Ipv6Addr) -> RxMeta {
    RxMeta { tunnel: Some(TunnelMeta { source, destination }), ..META }
}

fn message(packet: &[u8]) -> MobilityMessage {
    let chain = Chain::parse(packet).unwrap();
    assert_eq!(chain.upper, protocol::MOBILITY);
    mobility::parse(&packet[chain.upper_offset..]).unwrap()
}

fn packet(source: Ipv6Addr, destination: Ipv6Addr, message: &MobilityMessage) -> Vec<u8> {
    PacketBuilder::new(source, destination).checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT)
}

impl Bench {
    fn give_by(&mut self, meta: RxMeta, packet: &[u8]) -> Vec<Output<Event>> {
        self.agent.handle_packet(self.now, &meta, packet);
        self.drain()
    }
}

/// What a correspondent knows.
struct Peer {
    node_key: NodeKey,
}

impl Peer {
    fn new() -> Self {
        Peer { node_key: NodeKey::generate(&mut SecretRng::simulated(9)) }
    }

    fn home_test(&self, cookie: [u8; 8]) -> Vec<u8> {
        let token = self.node_key.home_token(home(1), b"n").0;
        packet(PEER, home(1), &MobilityMessage::HomeTest(TestAnswer { nonce_index: 1, cookie, token }))
    }

    fn care_of_test(&self, care_of: Ipv6Addr, cookie: [u8; 8]) -> Vec<u8> {
        let token = self.node_key.care_of_token(care_of, b"n").0;
        packet(PEER, care_of, &MobilityMessage::CareOfTest(TestAnswer { nonce_index: 1, cookie, token }))
    }

    fn acknowledgement(&self, care_of: Ipv6Addr, update: &BindingUpdate) -> Vec<u8> {
        let home_token = self.node_key.home_token(home(1), b"n");
        let key = BindingManagementKey::new(home_token, self.node_key.care_of_token(care_of, b"n"));
        let acknowledgement = BindingAcknowledgement {
            status: Status::ACCEPTED,
            flags: BindingAcknowledgementFlags::default(),
            sequence: update.sequence,
            lifetime: update.lifetime,
            options: MobilityOptions::default(),
        };
        let message = key.sign_acknowledgement(acknowledgement, care_of, PEER);
        let packet = PacketBuilder::new(PEER, care_of).type2_routing(home(1));
        packet.checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
    }
}

/// Runs the whole exchange; returns what the acknowledgement brought.
fn optimise(bench: &mut Bench, care_of: Ipv6Addr, way: CorrespondentWay) -> Vec<Output<Event>> {
    let peer = Peer::new();
    let questions = sent(&seen(bench, way));
    let [home_init, care_of_init] = &questions[..] else { panic!("two tests: {questions:?}") };
    assert!(questions.iter().all(|transmit| transmit.via == Via::Route));
    // Home Test Init: as the terminal would send it, through the tunnel to the home agent.
    let outer = ipv6::Header::parse(&home_init.packet).unwrap();
    assert_eq!((outer.source, outer.destination, outer.next_header), (care_of, HOME_AGENT, protocol::IPV6));
    let inner = &home_init.packet[ipv6::HEADER_LEN..];
    let header = ipv6::Header::parse(inner).unwrap();
    assert_eq!((header.source, header.destination), (home(1), PEER));
    let MobilityMessage::HomeTestInit { cookie: home_cookie } = message(inner) else { panic!("no HoTI") };
    let header = ipv6::Header::parse(&care_of_init.packet).unwrap();
    assert_eq!((header.source, header.destination), (care_of, PEER));
    let MobilityMessage::CareOfTestInit { cookie } = message(&care_of_init.packet) else { panic!("no CoTI") };

    assert_eq!(bench.give_by(META, &peer.care_of_test(care_of, cookie)), []);
    let updates = sent(&bench.give_by(tunnel(HOME_AGENT, care_of), &peer.home_test(home_cookie)));
    let [update] = &updates[..] else { panic!("one Binding Update: {updates:?}") };
    let (header, chain) = (ipv6::Header::parse(&update.packet).unwrap(), Chain::parse(&update.packet).unwrap());
    assert_eq!((header.source, header.destination, update.via), (care_of, PEER, Via::Route));
    assert_eq!(chain.home_address.unwrap().home_address, home(1));
    let MobilityMessage::BindingUpdate(update) = message(&update.packet) else { panic!("no update") };
    assert!(update.flags.contains(BindingUpdateFlags::ACKNOWLEDGE));
    assert!(!update.flags.contains(BindingUpdateFlags::MAP_REGISTRATION));
    bench.give_by(META, &peer.acknowledgement(care_of, &update))
}

#[test]
fn correspondents_are_told_the_care_of_address() {
    for way in [CorrespondentWay::HomeAgent, CorrespondentWay::Forwarded] {
        let (mut bench, care_of) = bound(optimising());
        assert!(bench.entries[&home(1)].optimise);
        let (home_address, correspondent) = (home(1), PEER);
        assert_eq!(
            optimise(&mut bench, care_of, way),
            [
                Output::Table(TableUpdate::OptimisedSet { home_address, correspondent }),
                Output::Event(Event::Optimised { home_address, correspondent, state: Optimisation::On { care_of } }),
            ]
        );
        let view = bench.agent.optimisations().next().unwrap();
        assert_eq!((view.home_address, view.correspondent, view.state), (Some(home(1)), PEER, "optimised"));
    }
}

/// What the agent gives out, or is, is no correspondent whatever a packet's source says.
#[test]
fn nobody_at_an_address_of_the_agents_is_asked() {
    let (mut bench, care_of) = bound(optimising());
    let next = Ipv6Addr::from_bits(care_of.to_bits() ^ 0xff);
    for correspondent in [AGENT, SOURCE, care_of, next] {
        let command = Command::Correspondent { home_address: home(1), correspondent, way: CorrespondentWay::HomeAgent };
        assert_eq!(bench.command(command), [], "{correspondent}");
    }
    assert_eq!(bench.agent.optimisation_counters().unwrap().refused_address, 4);
}

#[test]
fn off_means_off() {
    let (mut bench, care_of) = bound(config());
    assert!(!bench.entries[&home(1)].optimise);
    for way in [CorrespondentWay::HomeAgent, CorrespondentWay::Forwarded, CorrespondentWay::Optimised] {
        assert_eq!(seen(&mut bench, way), []);
    }
    // Whatever comes is the terminal's.
    let test = Peer::new().care_of_test(care_of, [1; 8]);
    let transmit = Transmit { packet: test.clone(), via: Via::Terminal(home(1)) };
    assert_eq!(sent(&bench.give_by(META, &test)), [transmit]);
}

/// Consumed where it answers the agent, handed on where it does not.
#[test]
fn answers_to_the_terminal_go_to_the_terminal() {
    let (mut bench, care_of) = bound(optimising());
    let peer = Peer::new();
    seen(&mut bench, CorrespondentWay::HomeAgent);
    let error = MobilityMessage::BindingError { status: BindingErrorStatus::UNKNOWN_BINDING, home_address: home(1) };
    let refresh = MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() };
    let update = BindingUpdate { sequence: 1, lifetime: Lifetime(10), ..Terminal::new(1).update() };
    let icmp = PacketBuilder::new(PEER, care_of).icmpv6(4, 1, &[&[0; 4][..], &peer.home_test([1; 8])].concat());
    let in_tunnel = tunnel(HOME_AGENT, care_of);
    for (meta, packet) in [
        (in_tunnel, peer.home_test([1; 8])),
        (in_tunnel, packet(PEER, home(1), &refresh)),
        (in_tunnel, packet(PEER, home(1), &error)),
        (META, peer.care_of_test(care_of, [1; 8])),
        (META, peer.acknowledgement(care_of, &update)),
        (META, packet(PEER, care_of, &error)),
        (META, icmp),
    ] {
        let transmit = Transmit { packet: packet.clone(), via: Via::Terminal(home(1)) };
        assert_eq!(bench.give_by(meta, &packet), [Output::Transmit(transmit)]);
    }
    assert_eq!(bench.agent.counters().passed_to_terminal, 7);
}

#[test]
fn home_tests_count_in_the_home_agents_tunnel_only() {
    let (mut bench, care_of) = bound(optimising());
    let questions = sent(&seen(&mut bench, CorrespondentWay::HomeAgent));
    let MobilityMessage::HomeTestInit { cookie } = message(&questions[0].packet[ipv6::HEADER_LEN..]) else {
        panic!("no HoTI")
    };
    let test = Peer::new().home_test(cookie);
    let elsewhere = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
    for meta in [tunnel(elsewhere, care_of), tunnel(HOME_AGENT, AGENT)] {
        bench.give_by(meta, &test);
    }
    assert_eq!(bench.agent.optimisation_counters().unwrap().rx_home_test, 0);
    let mut broken = test.clone();
    broken[ipv6::HEADER_LEN + CHECKSUM_AT] ^= 1;
    bench.give_by(tunnel(HOME_AGENT, care_of), &broken);
    assert_eq!(bench.agent.optimisation_counters().unwrap().rx_home_test, 0);
    bench.give_by(tunnel(HOME_AGENT, care_of), &test);
    assert_eq!(bench.agent.optimisation_counters().unwrap().rx_home_test, 1);
}

#[test]
fn errors_about_a_test_end_it() {
    let (mut bench, care_of) = bound(optimising());
    let questions = sent(&seen(&mut bench, CorrespondentWay::HomeAgent));
    let mut body = vec![0, 0, 0, 6];
    body.extend_from_slice(&questions[1].packet);
    let error = PacketBuilder::new(PEER, care_of).icmpv6(4, 1, &body);
    let mut broken = error.clone();
    broken[ipv6::HEADER_LEN + 2] ^= 1;
    assert_eq!(sent(&bench.give_by(META, &broken)).len(), 1, "not verified, so it is not ours");
    assert_eq!(bench.give_by(META, &error), []);
    assert_eq!(bench.agent.optimisation_counters().unwrap().failed_unable, 1);
    let views: Vec<_> = bench.agent.optimisations().collect();
    let [view] = views[..] else { panic!("{views:?}") };
    assert_eq!((view.home_address, view.correspondent, view.state), (None, PEER, "unable"));
    assert_eq!(seen(&mut bench, CorrespondentWay::HomeAgent), []);
}

/// The agent of a site that was left optimises no more; nor does one whose terminal is gone.
#[test]
fn ends_with_the_binding() {
    let to = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0xc0a, 0, 0, 0, 9);
    let (home_address, correspondent) = (home(1), PEER);
    let off = TableUpdate::OptimisedRemove { home_address, correspondent };
    let mut config = optimising();
    config.peers = vec![Prefix::of_link(to)];
    let (mut bench, care_of) = bound(config.clone());
    optimise(&mut bench, care_of, CorrespondentWay::HomeAgent);
    let mut terminal = Terminal { sequence: 200, ..Terminal::new(1) };
    let mut update = terminal.deregistration();
    update.lifetime = Lifetime(8);
    update.options.alternate_care_of_address = Some(to);
    let outputs = bench.give(&terminal.packet(update));
    assert!(outputs.contains(&Output::Table(off.clone())), "{outputs:?}");
    assert!(!bench.entries[&home(1)].optimise);
    assert_eq!(seen(&mut bench, CorrespondentWay::HomeAgent), []);
    assert_eq!(bench.agent.optimisations().count(), 0);

    let (mut bench, care_of) = bound(config);
    optimise(&mut bench, care_of, CorrespondentWay::HomeAgent);
    let update = terminal.deregistration();
    let outputs = bench.give(&terminal.packet(update));
    let at = |update: &TableUpdate| outputs.iter().position(|output| *output == Output::Table(update.clone()));
    assert!(at(&off).unwrap() < at(&TableUpdate::MmaBindingRemove(home(1))).unwrap());
    assert_eq!(bench.agent.poll_timeout(), None);
}

#[test]
fn tests_are_repeated_and_refreshed_in_time() {
    let (mut bench, _) = bound(optimising());
    seen(&mut bench, CorrespondentWay::HomeAgent);
    let at = bench.agent.poll_timeout().unwrap();
    assert_eq!(at, bench.now + Duration::from_secs(1));
    assert_eq!(sent(&bench.pass(Duration::from_secs(1))).len(), 2);
}
