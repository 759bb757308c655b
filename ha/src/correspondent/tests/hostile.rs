//! Messages of those who should not send them: every type, forged, replayed, cut, without right.

use super::*;
use stack::rng::Rng;
use std::collections::BTreeSet;

/// What a message of a type gets that a correspondent has no use for.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Expected {
    Silence,
    ParameterProblem,
    BindingError,
}

#[test]
fn messages_of_every_type_are_answered_as_is_due() {
    let answer = TestAnswer { nonce_index: 1, cookie: [1; 8], token: [2; 8] };
    let refresh = MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() };
    let acknowledgement = BindingAcknowledgement {
        status: Status::ACCEPTED,
        flags: Default::default(),
        sequence: 1,
        lifetime: Lifetime(9),
        options: MobilityOptions::default(),
    };
    let status = BindingErrorStatus::UNKNOWN_BINDING;
    let unsigned = BindingUpdate {
        sequence: 1,
        flags: BindingUpdateFlags::ACKNOWLEDGE,
        lifetime: Lifetime(105),
        options: MobilityOptions::default(),
    };
    let short = |kind: u8| vec![59, 0, kind, 0, 0, 0, 0, 0];
    let wrong_protocol = |message: &MobilityMessage| {
        let mut octets = message.emit();
        octets[0] = protocol::UDP;
        octets
    };
    let error = |home_address| MobilityMessage::BindingError { status, home_address }.emit();
    use Expected::{BindingError, ParameterProblem, Silence};
    let cases = [
        ("refresh request", refresh.emit(), Silence),
        ("home test", MobilityMessage::HomeTest(answer).emit(), Silence),
        ("care-of test", MobilityMessage::CareOfTest(answer).emit(), Silence),
        ("update without authorisation", MobilityMessage::from(unsigned).emit(), Silence),
        ("acknowledgement", MobilityMessage::from(acknowledgement).emit(), Silence),
        ("binding error", error(HOME), Silence),
        ("type 8", short(8), BindingError),
        ("heartbeat", short(13), BindingError),
        ("type 255", short(255), BindingError),
        ("short home test init", short(1), ParameterProblem),
        ("short care-of test init", short(2), ParameterProblem),
        ("short home test", short(3), ParameterProblem),
        ("short update", short(5), ParameterProblem),
        ("short acknowledgement", short(6), ParameterProblem),
        ("short binding error", short(7), ParameterProblem),
        (
            "payload behind a home test init",
            wrong_protocol(&MobilityMessage::HomeTestInit { cookie: [0; 8] }),
            ParameterProblem,
        ),
        ("payload behind a refresh request", wrong_protocol(&refresh), ParameterProblem),
    ];
    for (name, message, expected) in cases {
        let mut bench = Bench::new();
        bench.bound(HOME, CARE_OF);
        let answers = bench.packet(&mobility(PacketBuilder::new(OTHER_CARE_OF, CORRESPONDENT), message.clone()));
        let got = match answers.packets.first() {
            None => Silence,
            Some(packet) => match Chain::parse(packet).unwrap().upper {
                protocol::ICMPV6 => {
                    assert_eq!(packet[40..42], [4, 0], "{name}");
                    ParameterProblem
                }
                _ => {
                    let status = BindingErrorStatus::UNRECOGNIZED_TYPE;
                    let home_address = Ipv6Addr::UNSPECIFIED;
                    let expected = MobilityMessage::BindingError { status, home_address };
                    assert_eq!(answers.message(), (OTHER_CARE_OF, None, expected), "{name}");
                    BindingError
                }
            },
        };
        assert_eq!(got, expected, "{name}");
        assert!(answers.tables.is_empty() && answers.events.is_empty(), "{name}");
        assert_eq!(bench.care_of(HOME), Some(CARE_OF), "{name}");
        // Cut anywhere, with or without a checksum that holds: never more than a Parameter Problem.
        for cut in 0..message.len() {
            let cut = message[..cut].to_vec();
            let packet = match cut.len() >= CHECKSUM_AT + 2 {
                true => mobility(PacketBuilder::new(OTHER_CARE_OF, CORRESPONDENT), cut),
                false => PacketBuilder::new(OTHER_CARE_OF, CORRESPONDENT).payload(protocol::MOBILITY, &cut),
            };
            assert!(bench.packet(&packet).tables.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_forged_update_is_not_answered() {
    let mut bench = Bench::new();
    let terminal = bench.bound(HOME, CARE_OF);
    let thief = bench.terminal(Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 1, 0, 0, 0, 1), OTHER_CARE_OF);
    let stolen = |lifetime| {
        // Own tokens, another's home address.
        let theft = Terminal { home_address: HOME, ..thief };
        theft.update(2, lifetime)
    };
    let mut no_authenticator = terminal.message(2, 105);
    no_authenticator.options.binding_authorization_data = None;
    let mut no_nonces = terminal.message(2, 105);
    no_nonces.options.nonce_indices = None;
    let mut group = terminal.message(2, 105);
    let address = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 1);
    group.options.alternate_care_of_address = Some(address);
    let group = terminal.key().sign_update(group, address, CORRESPONDENT);
    let padded = {
        let mut message = terminal.sign(terminal.message(2, 105));
        message[1] += 1;
        message.extend_from_slice(&[1, 6, 0, 0, 0, 0, 0, 0]);
        message
    };
    let cases = [
        ("another's home address", stolen(105)),
        ("deletion of another's binding", stolen(0)),
        ("no authenticator", terminal.carry(MobilityMessage::from(no_authenticator).emit())),
        ("no nonce indices", terminal.carry(terminal.sign(no_nonces))),
        ("deletion signed as an update", {
            let message = terminal.key().sign_update(terminal.message(2, 0), CARE_OF, CORRESPONDENT);
            terminal.carry(message)
        }),
        ("update signed as a deletion", {
            let message = terminal.deletion_key().sign_update(terminal.message(2, 105), CARE_OF, CORRESPONDENT);
            terminal.carry(message)
        }),
        ("care-of address that is a group", terminal.carry(group)),
        ("padding behind the authenticator", terminal.carry(padded)),
        ("for another correspondent", {
            let message = terminal.key().sign_update(terminal.message(2, 105), CARE_OF, OTHER_CARE_OF);
            terminal.carry(message)
        }),
    ];
    for (name, packet) in cases {
        assert!(bench.packet(&packet).is_silent(), "{name}");
        assert_eq!((bench.care_of(HOME), bench.node.bindings().len()), (Some(CARE_OF), 1), "{name}");
    }
    // Every bit of a good one.
    let good = terminal.update(2, 105);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut packet = good.clone();
            packet[at] ^= 1 << bit;
            let answers = bench.packet(&packet);
            // Version, traffic class and flow label, hop limit, and the padding in front of the Home Address option.
            let uncovered = at < 4 || at == 7 || (42..46).contains(&at);
            assert!(answers.tables.is_empty() || uncovered, "octet {at} bit {bit}");
            if !answers.tables.is_empty() {
                // The update was the terminal's all the same.
                assert_eq!(answers.tables, [bound_to(HOME, CARE_OF)]);
                bench = Bench::new();
                bench.bound(HOME, CARE_OF);
            }
        }
    }
}

#[test]
fn replays_change_nothing() {
    let mut bench = Bench::new();
    let terminal = bench.bound(HOME, CARE_OF);
    let mut seen = vec![terminal.update(1, 105)];
    for sequence in 2..20 {
        seen.push(terminal.update(sequence, 105));
        bench.packet(seen.last().unwrap());
    }
    for packet in seen {
        let answers = bench.packet(&packet);
        assert_eq!((answers.status(), answers.acknowledgement().sequence), (Status::SEQUENCE_OUT_OF_WINDOW, 19));
        assert!(answers.tables.is_empty());
    }
}

/// Mutants of everything that a correspondent is sent, over time and across handovers: what is bound was authorised, memory
/// is bounded, one packet is never answered by two, and what the data plane has is what the cache has.
#[test]
fn no_mutant_makes_a_binding_or_grows_the_node() {
    let limit = 4;
    let mut bench = Bench::with(Config { max_bindings: limit, ..Config::new(CORRESPONDENT) });
    let mut rng = Rng::new(11);
    let mut authorised = BTreeSet::new();
    let mut table: BTreeMap<Ipv6Addr, Ipv6Addr> = BTreeMap::new();
    let mut samples: Vec<Vec<u8>> = Vec::new();
    let mut sequence = 0_u16;
    let follow = |table: &mut BTreeMap<Ipv6Addr, Ipv6Addr>, answers: &Answers, bench: &Bench| {
        for update in &answers.tables {
            match update {
                TableUpdate::CorrespondentBindingSet(home, binding) => drop(table.insert(*home, binding.care_of)),
                TableUpdate::CorrespondentBindingRemove(home) => drop(table.remove(home)),
                other => panic!("{other:?}"),
            }
        }
        let cache: BTreeMap<_, _> = bench.node.bindings().iter().map(|b| (b.home_address, b.care_of)).collect();
        assert_eq!(*table, cache);
        assert!(bench.node.bindings().entries() <= 2 * limit && bench.node.bindings().len() <= limit);
        assert!(bench.node.unreachable.len() <= limit && bench.node.nonces.len() <= 240);
        assert!(!answers.table_after_packet);
    };
    for round in 0..20_000_u32 {
        if round % 100 == 0 {
            let host = 1 + rng.below(12) as u16;
            let home = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, host);
            let care_of = Ipv6Addr::new(0x2001, 0xdb8, 1 + rng.below(3) as u16, 0xc, 0, 0, 0, host);
            let passed = bench.pass(rng.below(25));
            follow(&mut table, &passed, &bench);
            let terminal = bench.terminal(home, care_of);
            sequence = sequence.wrapping_add(1);
            let good = terminal.update(sequence, if rng.below(4) == 0 { 0 } else { 1 + rng.below(105) as u16 });
            authorised.insert((home, care_of));
            let answers = bench.packet(&good);
            follow(&mut table, &answers, &bench);
            let error = [&[0; 4], &PacketBuilder::new(CORRESPONDENT, care_of).type2_routing(home).payload(17, &[])[..]];
            samples = vec![
                mobility(
                    PacketBuilder::new(home, CORRESPONDENT),
                    MobilityMessage::HomeTestInit { cookie: [9; 8] }.emit(),
                ),
                mobility(
                    PacketBuilder::new(care_of, CORRESPONDENT),
                    MobilityMessage::CareOfTestInit { cookie: [9; 8] }.emit(),
                ),
                PacketBuilder::new(care_of, CORRESPONDENT).home_address(home).payload(protocol::UDP, &[1; 8]),
                PacketBuilder::new(care_of, CORRESPONDENT).icmpv6(1, 0, &error.concat()),
                terminal.update(sequence.wrapping_add(1), 0),
                good,
            ];
        }
        let mut packet = samples[rng.below(samples.len() as u64) as usize].clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(packet.len() as u64) as usize;
            packet[at] ^= 1 << rng.below(8);
        }
        if rng.below(8) == 0 {
            packet.truncate(rng.below(packet.len() as u64) as usize);
        }
        // Half of them with a checksum that holds, so that what is behind it is looked at.
        if rng.below(2) == 0 {
            repair_checksum(&mut packet);
        }
        let answers = bench.packet(&packet);
        assert!(answers.packets.len() <= 1, "{packet:02x?}");
        follow(&mut table, &answers, &bench);
        for binding in bench.node.bindings().iter() {
            assert!(authorised.contains(&(binding.home_address, binding.care_of)), "{binding:?} by {packet:02x?}");
        }
    }
    assert!(bench.node.counters().drop_authenticator > 100, "the mutants got as far as the authenticator");
}

fn repair_checksum(packet: &mut [u8]) {
    let Ok(chain) = Chain::parse(packet) else { return };
    let Ok(header) = ipv6::Header::parse(packet) else { return };
    let at = chain.upper_offset + CHECKSUM_AT;
    if chain.upper != protocol::MOBILITY || at + 2 > packet.len() {
        return;
    }
    let source = chain.home_address.map_or(header.source, |option| option.home_address);
    packet[at..at + 2].fill(0);
    let length = packet.len().min(chain.upper_offset + 8 + 8 * usize::from(packet[chain.upper_offset + 1]));
    let message = &packet[chain.upper_offset..length];
    let sum = stack::wire::checksum::upper_layer(source, header.destination, protocol::MOBILITY, message);
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}
