use super::*;
use crate::auth::{Algorithm, Key, SiteKey, Spi, WallClock};
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::rng::Rng;
use stack::wire::mobility::handover::HandoverOptions;

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0, 0, 1);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xb, 0, 0, 0, 1);
const STRANGER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xc, 0, 0, 0, 1);
const META: RxMeta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };

fn clock() -> WallClock {
    WallClock { at: Instant::ORIGIN, reads: NtpTime::from_unix(Duration::from_secs(1 << 30)) }
}

fn key() -> SiteKey {
    SiteKey { spi: Spi::new(700).unwrap(), key: Key::new(&[5; 32]).unwrap(), algorithm: Algorithm::HmacSha256_128 }
}

fn prefix(router: Ipv6Addr) -> Prefix {
    Prefix::new(router, 64).unwrap()
}

fn config(own: Ipv6Addr, peers: &[Ipv6Addr]) -> Config {
    let peers = peers.iter().map(|&address| Peer { address, prefixes: vec![prefix(address)] }).collect();
    Config::new(own, key(), clock(), peers)
}

fn sg(group: u16) -> MrouteKey {
    MrouteKey { source: STRANGER, group: Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, group) }
}

fn any(group: u16) -> MrouteKey {
    MrouteKey { source: Ipv6Addr::UNSPECIFIED, ..sg(group) }
}

/// What a machine has to say: packets, and events.
fn drain(mesh: &mut Mesh) -> (Vec<Vec<u8>>, Vec<Event>) {
    let (mut packets, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = mesh.poll_output() {
        match output {
            Output::Transmit(transmit) => packets.push(transmit.packet),
            Output::Event(event) => events.push(event),
            Output::Table(update) => panic!("{update:?}"),
        }
    }
    (packets, events)
}

/// Two routers of one mesh.
struct Pair {
    now: Instant,
    a: Mesh,
    b: Mesh,
}

impl Pair {
    fn new() -> Self {
        Pair { now: Instant::from_secs(1), a: Mesh::new(config(A, &[B]), 7), b: Mesh::new(config(B, &[A]), 65535) }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_secs(1) + Duration::from_millis(millis)
    }

    /// B is told of a terminal that came from A; the message for A.
    fn came(&mut self, keys: &[MrouteKey]) -> Vec<u8> {
        self.b.handle_command(self.now, Command::CameFrom { router: A, keys: keys.to_vec() });
        let (mut packets, events) = drain(&mut self.b);
        assert_eq!((packets.len(), events), (1, vec![]));
        packets.remove(0)
    }

    /// A gets a packet: its answers and events.
    fn give_a(&mut self, packet: &[u8]) -> (Vec<Vec<u8>>, Vec<Event>) {
        self.a.handle_packet(self.now, &META, packet);
        drain(&mut self.a)
    }

    fn give_b(&mut self, packet: &[u8]) -> (Vec<Vec<u8>>, Vec<Event>) {
        self.b.handle_packet(self.now, &META, packet);
        drain(&mut self.b)
    }

    fn tick_b(&mut self, millis: u64) -> (Vec<Vec<u8>>, Vec<Event>) {
        self.now = Self::at(millis);
        self.b.handle_timeout(self.now);
        drain(&mut self.b)
    }
}

fn message(packet: &[u8]) -> HandoverMessage {
    assert!(verify_checksum(
        Ipv6Addr::from(<[u8; 16]>::try_from(&packet[8..24]).unwrap()),
        Ipv6Addr::from(<[u8; 16]>::try_from(&packet[24..40]).unwrap()),
        &packet[40..]
    ));
    handover::parse(&packet[40..]).unwrap()
}

/// A message of a router that has the key, as it likes.
fn signed(from: Ipv6Addr, to: Ipv6Addr, message: HandoverInitiate) -> Vec<u8> {
    let signed = key().between(from, to).sign_handover(HandoverMessage::Initiate(message), from, to);
    handover::packet(from, to, signed)
}

fn initiate(now: Instant, code: u8, records: Vec<Record>) -> HandoverInitiate {
    HandoverInitiate {
        sequence: 9,
        assign_address: false,
        buffer: true,
        code,
        options: HandoverOptions {
            multicast: Some(MulticastOption { code: MulticastOption::MLDV2, records }),
            message_id: Some(clock().read(now).0),
            ..HandoverOptions::default()
        },
    }
}

#[test]
fn a_listener_that_has_come_is_gone_elsewhere() {
    let mut pair = Pair::new();
    let asked = pair.came(&[sg(1), any(2)]);
    let HandoverMessage::Initiate(sent) = message(&asked) else { panic!() };
    assert_eq!((sent.sequence, sent.code, sent.buffer), (65535, HandoverInitiate::REACTIVE, false));
    let records = sent.options.multicast.unwrap().records;
    let told: Vec<_> = records.iter().map(|record| (record.kind, record.group, record.sources.len())).collect();
    assert_eq!(told, [(RecordType::BlockOldSources, sg(1).group, 1), (RecordType::ChangeToInclude, sg(2).group, 0)]);
    let (answers, events) = pair.give_a(&asked);
    let gone = |key| Event::Gone { at: Pair::at(0), peer: B, key };
    assert_eq!(events, [gone(sg(1)), gone(any(2))]);
    let HandoverMessage::Acknowledge(answer) = message(&answers[0]) else { panic!() };
    let taken = MulticastAcknowledgement { status: MulticastStatus::TAKEN, refused: vec![] };
    assert_eq!((answer.sequence, answer.code), (65535, HandoverCode::ACCEPTED));
    assert_eq!(answer.options.multicast_acknowledgement, Some(taken));
    let (packets, events) = pair.give_b(&answers[0]);
    let acknowledged =
        Event::Acknowledged { at: pair.now, peer: A, purpose: Purpose::Gone, code: HandoverCode::ACCEPTED, refused: 0 };
    assert_eq!((packets, events), (vec![], vec![acknowledged]));
    // Nothing more is sent; the same answer again answers nothing.
    assert_eq!(pair.tick_b(5_000), (vec![], vec![]));
    pair.give_b(&answers[0]);
    assert_eq!(pair.b.counters().drop_unasked, 1);
}

/// Every state and event of a request: asked, sent again after 100, 200 and 400 ms, given up after 800 ms; answered in
/// each of these states by the answer to any of its sendings.
#[test]
fn a_request_is_sent_until_it_is_answered() {
    let times = [0, 100, 300, 700];
    let gives_up = 1_500;
    for answered_after in 0..=times.len() {
        let mut pair = Pair::new();
        let mut sent = vec![pair.came(&[sg(1)])];
        for &at in &times[1..answered_after.max(1)] {
            assert_eq!(pair.tick_b(at - 1), (vec![], vec![]), "{at}");
            let (mut packets, events) = pair.tick_b(at);
            assert_eq!((packets.len(), events), (1, vec![]), "{at}");
            sent.append(&mut packets);
        }
        if answered_after == 0 {
            // Never.
            for &at in &times[1..] {
                assert_eq!(pair.tick_b(at).0.len(), 1, "{at}");
            }
            let unanswered = Event::Unanswered { at: Pair::at(gives_up), peer: A, purpose: Purpose::Gone };
            assert_eq!(pair.tick_b(gives_up), (vec![], vec![unanswered]));
            assert_eq!((pair.b.counters().retransmitted, pair.b.counters().unanswered), (3, 1));
        } else {
            // The last sending arrives, its answer too.
            let (answers, events) = pair.give_a(sent.last().unwrap());
            assert_eq!((answers.len(), events.len()), (1, 1));
            assert_eq!(pair.give_b(&answers[0]).1.len(), 1);
        }
        assert_eq!(pair.b.peers().next().unwrap().requests, 0);
        assert_eq!(pair.tick_b(10_000), (vec![], vec![]));
    }
}

#[test]
fn a_lost_answer_is_given_again() {
    let mut pair = Pair::new();
    let first = pair.came(&[sg(1)]);
    let (late, _) = pair.give_a(&first);
    let again = pair.tick_b(100).0.remove(0);
    assert_ne!(again, first, "a timestamp of its own");
    let (answers, events) = pair.give_a(&again);
    assert_eq!(events.len(), 1);
    // The answer to the first sending is one too; that of the second comes too late then.
    assert_eq!(pair.give_b(&late[0]).1.len(), 1);
    assert_eq!(pair.give_b(&answers[0]).1.len(), 0);
}

#[test]
fn what_was_just_said_is_not_said_again() {
    let mut pair = Pair::new();
    pair.came(&[sg(1)]);
    let say = |pair: &mut Pair, keys: Vec<MrouteKey>| {
        pair.b.handle_command(pair.now, Command::CameFrom { router: A, keys });
        drain(&mut pair.b).0.len()
    };
    pair.now = Pair::at(50);
    assert_eq!(say(&mut pair, vec![sg(1)]), 0);
    assert_eq!(say(&mut pair, vec![sg(1), sg(2)]), 1);
    pair.tick_b(600);
    assert_eq!(say(&mut pair, vec![sg(1)]), 1, "it may have been there again");
    // A router of no peer's prefix.
    pair.b.handle_command(pair.now, Command::CameFrom { router: STRANGER, keys: vec![sg(3)] });
    assert_eq!((drain(&mut pair.b).0.len(), pair.b.counters().unknown_router), (0, 1));
    // An address of its link stands for a peer.
    let anycast = prefix(A).address();
    pair.b.handle_command(pair.now, Command::GoesTo { router: anycast, keys: vec![sg(3)] });
    assert_eq!(drain(&mut pair.b).0.len(), 1);
}

#[test]
fn a_pre_join_is_bounded() {
    let mut pair = Pair::new();
    let limits = Config { max_pre_joins: 3, max_pre_joins_per_peer: 2, ..config(B, &[A, STRANGER]) };
    pair.b = Mesh::new(limits, 1);
    let ask = |pair: &mut Pair, from: Ipv6Addr, groups: &[u16]| {
        pair.now += Duration::from_millis(1);
        let records = records(Purpose::PreJoin, &groups.iter().map(|&group| sg(group)).collect::<Vec<_>>());
        let packet = signed(from, B, initiate(pair.now, HandoverInitiate::PREDICTIVE, records));
        let (answers, events) = pair.give_b(&packet);
        let HandoverMessage::Acknowledge(answer) = message(&answers[0]) else { panic!() };
        let acknowledgement = answer.options.multicast_acknowledgement.unwrap();
        (answer.code, acknowledgement.status, acknowledgement.refused.len(), events.len())
    };
    let (accepted, full) = (HandoverCode::ACCEPTED, HandoverCode::INSUFFICIENT_RESOURCES);
    let (taken, unsupported) = (MulticastStatus::TAKEN, MulticastStatus::GROUP_UNSUPPORTED);
    assert_eq!(ask(&mut pair, A, &[1]), (accepted, taken, 0, 1));
    // Its own limit, of two; what it has is only prolonged.
    assert_eq!(ask(&mut pair, A, &[1, 2, 3]), (accepted, unsupported, 1, 2));
    assert_eq!(ask(&mut pair, A, &[3]), (full, unsupported, 1, 0));
    // That of all together, of three.
    assert_eq!(ask(&mut pair, STRANGER, &[1, 2]), (accepted, unsupported, 1, 1));
    assert_eq!(pair.b.pre_joins().count(), 3);
    assert_eq!((pair.b.counters().pre_joined, pair.b.counters().refused_limit), (3, 3));
    // They count until their time is over.
    let over = pair.now + Config::PRE_JOIN_LIFETIME;
    pair.now = over;
    pair.b.handle_timeout(over);
    assert_eq!(pair.b.pre_joins().count(), 0);
    assert_eq!(ask(&mut pair, A, &[3]), (accepted, taken, 0, 1));
}

#[test]
fn records_that_may_not_be_there_are_named() {
    use RecordType::*;
    let group = sg(1).group;
    for code in [HandoverInitiate::PREDICTIVE, HandoverInitiate::REACTIVE] {
        for kind in (1..=6).filter_map(RecordType::new) {
            for sources in [vec![], vec![STRANGER]] {
                let mut pair = Pair::new();
                let record = Record { kind, group, sources };
                let packet = signed(B, A, initiate(pair.now, code, vec![record.clone()]));
                let (answers, events) = pair.give_a(&packet);
                let is_good = match (code, kind) {
                    (HandoverInitiate::PREDICTIVE, ModeIsInclude | ModeIsExclude) => true,
                    (HandoverInitiate::REACTIVE, BlockOldSources) => true,
                    (HandoverInitiate::REACTIVE, ChangeToInclude) => record.sources.is_empty(),
                    _ => false,
                };
                let wants = match kind {
                    ModeIsInclude | BlockOldSources => record.sources.len(),
                    _ => 1,
                };
                assert_eq!(events.len(), if is_good { wants } else { 0 }, "{code} {record:?}");
                let HandoverMessage::Acknowledge(answer) = message(&answers[0]) else { panic!() };
                let refused = answer.options.multicast_acknowledgement.unwrap().refused;
                assert_eq!(refused, if is_good { vec![] } else { vec![record] });
            }
        }
    }
}

#[test]
fn what_no_router_routes_is_prohibited() {
    let mut pair = Pair::new();
    let link_local = Record { kind: RecordType::ModeIsExclude, group: "ff02::1:3".parse().unwrap(), sources: vec![] };
    let packet = signed(B, A, initiate(pair.now, HandoverInitiate::PREDICTIVE, vec![link_local.clone()]));
    let (answers, events) = pair.give_a(&packet);
    let HandoverMessage::Acknowledge(answer) = message(&answers[0]) else { panic!() };
    let status = MulticastStatus::ADMINISTRATIVELY_PROHIBITED;
    assert_eq!((answer.code, events.len()), (HandoverCode::ADMINISTRATIVELY_PROHIBITED, 0));
    let refused = Some(MulticastAcknowledgement { status, refused: vec![link_local] });
    assert_eq!(answer.options.multicast_acknowledgement, refused);
    // A report of IPv4.
    pair.now = Pair::at(1);
    let mut message_of_v4 = initiate(pair.now, HandoverInitiate::PREDICTIVE, vec![]);
    message_of_v4.options.multicast = Some(MulticastOption { code: 1, records: vec![] });
    let (answers, _) = pair.give_a(&signed(B, A, message_of_v4));
    let HandoverMessage::Acknowledge(answer) = message(&answers[0]) else { panic!() };
    let status = MulticastStatus::PAYLOAD_UNSUPPORTED;
    assert_eq!(answer.code, HandoverCode::REASON_UNSPECIFIED);
    assert_eq!(answer.options.multicast_acknowledgement, Some(MulticastAcknowledgement { status, refused: vec![] }));
}

#[test]
fn forged_replayed_and_strange_messages_do_nothing() {
    let mut pair = Pair::new();
    let good = pair.came(&[sg(1)]);
    let quiet = (vec![], vec![]);
    let mut good_message = good[40..].to_vec();
    good_message[4..6].fill(0);
    // Every octet of the message counts.
    for at in 40..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert_eq!(pair.give_a(&changed), quiet, "{at}");
        // With a checksum that holds.
        let mut mended = changed[40..].to_vec();
        mended[4..6].fill(0);
        if mended != good_message {
            assert_eq!(pair.give_a(&handover::packet(B, A, mended)), quiet, "{at}");
        }
    }
    for cut in 0..good.len() {
        assert_eq!(pair.give_a(&good[..cut]), quiet, "{cut}");
    }
    // A stranger who has the key, a peer in another's name, and the answer to nothing.
    let now = pair.now;
    let ask = || initiate(now, HandoverInitiate::REACTIVE, records(Purpose::Gone, &[sg(1)]));
    assert_eq!(pair.give_a(&signed(STRANGER, A, ask())), quiet);
    assert_eq!(pair.a.counters().drop_stranger, 1);
    let of_another_pair = key().between(B, STRANGER).sign_handover(HandoverMessage::Initiate(ask()), B, A);
    assert_eq!(pair.give_a(&handover::packet(B, A, of_another_pair)), quiet);
    // Turned round: what B sent to A is nothing that A sent.
    let turned = handover::packet(A, B, good[40..].to_vec());
    assert_eq!(pair.give_b(&turned), quiet);
    // Without a timestamp, with an old one, with one of the future.
    let before = pair.a.counters().drop_stale;
    for message_id in [None, Some(-8i64), Some(8)] {
        let mut stale = ask();
        stale.options.message_id = message_id.map(|secs| clock().read(pair.now).0.wrapping_add_signed(secs << 32));
        assert_eq!(pair.give_a(&signed(B, A, stale)), quiet, "{message_id:?}");
    }
    assert_eq!(pair.a.counters().drop_stale, before + 3);
    // The good one, once.
    assert_eq!(pair.give_a(&good).1.len(), 1);
    assert_eq!(pair.give_a(&good), quiet);
    assert_eq!(pair.a.counters().drop_stale, before + 4);
}

#[test]
fn a_router_that_starts_anew_is_understood() {
    let mut pair = Pair::new();
    let first = pair.came(&[sg(1)]);
    pair.give_a(&first);
    // B has forgotten its numbers, A what it has heard.
    pair.b = Mesh::new(config(B, &[A]), 65535);
    pair.now = Pair::at(1);
    let after = pair.came(&[sg(1)]);
    assert_eq!(pair.give_a(&after).1.len(), 1);
    pair.a = Mesh::new(config(A, &[B]), 1);
    pair.now = Pair::at(7_500);
    assert_eq!(pair.give_a(&after), (vec![], vec![]), "too old by then");
}

/// Two routers, many terminals, a path that loses, doubles and delays: every request ends, what is asked is told on the
/// other side as often as an answer was got at the least, and nothing stays.
#[test]
fn any_weather() {
    for seed in 0..200 {
        let mut chance = Rng::new(seed);
        let mut pair = Pair::new();
        let mut flying: Vec<(Instant, bool, Vec<u8>)> = Vec::new();
        let (mut told, mut answered, mut lost) = (0, 0, 0);
        let (quiet, end) = (pair.now + Duration::from_secs(15), pair.now + Duration::from_secs(20));
        let mut next_move = pair.now;
        while pair.now < end {
            if pair.now >= next_move && pair.now < quiet {
                next_move = pair.now + Duration::from_millis(chance.below(300));
                let keys = vec![sg(chance.below(40) as u16)];
                let command = match chance.below(2) {
                    0 => Command::CameFrom { router: A, keys },
                    _ => Command::GoesTo { router: A, keys },
                };
                pair.b.handle_command(pair.now, command);
            }
            pair.a.handle_timeout(pair.now);
            pair.b.handle_timeout(pair.now);
            let arrived: Vec<_> = flying.extract_if(.., |(at, ..)| *at <= pair.now).collect();
            for (_, to_a, packet) in arrived {
                let mesh = if to_a { &mut pair.a } else { &mut pair.b };
                mesh.handle_packet(pair.now, &META, &packet);
            }
            for (mesh, to_a) in [(&mut pair.a, false), (&mut pair.b, true)] {
                let (packets, events) = drain(mesh);
                for packet in packets {
                    for _ in 0..chance.below(3) {
                        let delay = Duration::from_millis(chance.below(150));
                        flying.push((pair.now + delay, to_a, packet.clone()));
                    }
                }
                for event in events {
                    match event {
                        Event::Gone { .. } | Event::PreJoin { .. } => told += 1,
                        Event::Acknowledged { .. } => answered += 1,
                        Event::Unanswered { .. } => lost += 1,
                    }
                }
            }
            pair.now += Duration::from_millis(5);
        }
        let counters = pair.b.counters();
        assert_eq!(pair.b.peers().next().unwrap().requests, 0, "seed {seed}");
        assert_eq!(counters.tx_initiate - counters.retransmitted, answered + lost, "seed {seed}");
        assert!(told >= answered && answered > 0, "seed {seed}: {told} told, {answered} answered");
        assert_eq!(pair.a.pre_joins().count(), 0, "seed {seed}");
    }
}
