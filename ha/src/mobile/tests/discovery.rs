//! A terminal that finds its home agent by itself (RFC 6275 §11.4.1).

use super::super::*;
use super::script::{CARE_OF, OTHERS, Script};
use super::world::*;
use stack::rng::Rng;
use stack::wire::build::PacketBuilder;
use stack::wire::checksum;
use stack::wire::home_link::{self, MAX_ADDRESSES, Message, home_agents_anycast};
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::Status;

const SECOND: Ipv6Addr = OTHERS[0];
const THIRD: Ipv6Addr = OTHERS[1];
/// From P to each home agent.
const ASKED: &str = "LCoA-P > HAs: who is home agent?";
const ASKED_AGAIN: &str = "LCoA-P > HAs: who is home agent? again";
const TO_FIRST: &str = "LCoA-P > HA: BU(H) HoA at LCoA-P for 1800 s";
const TO_SECOND: &str = "LCoA-P > HA2: BU(H) HoA at LCoA-P for 1800 s";

fn config() -> Config {
    Config { home_agent: None, ..terminal_config() }
}

impl Script {
    /// What the home agents say to the last question.
    fn reply(&mut self, agents: &[Ipv6Addr]) -> Vec<String> {
        let (identifier, source) = self.question.expect("a question");
        self.packet(&reply(identifier, source, agents))
    }

    /// Time passes; what is sent after how many seconds.
    fn watch(&mut self, secs: u64) -> Vec<(u64, String)> {
        let start = self.now;
        let mut all = Vec::new();
        for _ in 0..secs * 2 {
            let answers = self.wait(500);
            all.extend(answers.into_iter().map(|words| (self.now.since(start).as_secs(), words)));
        }
        all
    }
}

fn reply(identifier: u16, to: Ipv6Addr, agents: &[Ipv6Addr]) -> Vec<u8> {
    Message::AddressReply { identifier, agents: agents.to_vec() }.packet(HOME_AGENT, to, None)
}

/// At P, and the question is out.
fn asking(config: Config) -> Script {
    let mut script = Script::new(config);
    let asked = script.up(P);
    assert_eq!(asked, ["inter-site move begins", "own LCoA-P", ASKED]);
    script
}

fn registered_with(agents: &[Ipv6Addr]) -> Script {
    let mut script = asking(config());
    script.reply(agents);
    script.accept(agents[0]);
    script.wait(1_000);
    assert_eq!(script.terminal.home_agent(), Some(agents[0]));
    assert!(!script.terminal.is_registering());
    script
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|words| (*words).to_owned()).collect()
}

#[test]
fn who_is_found_is_registered_with() {
    let mut script = asking(config());
    assert_eq!((script.terminal.home_agent(), script.terminal.uplink()), (None, Some(Uplink::Down)));
    assert!(script.terminal.is_registering());
    let found = ["receive HA2 => LCoA-P of HoA", "default by P", "send LCoA-P => HA2", TO_SECOND];
    assert_eq!(script.reply(&[SECOND, HOME_AGENT]), found);
    assert_eq!(script.accept(SECOND), ["move ends"]);
    assert_eq!(script.terminal.home_agent(), Some(SECOND));
    assert_eq!(script.terminal.counters().rx_discovery_reply, 1);
    // That holds wherever the terminal goes.
    assert_eq!(script.watch(600), []);
    script.down(P);
    script.up(A);
    assert!(script.grant(0).contains(&"LCoA-A > HA2: BU(H) HoA at CoA1 for 1800 s".to_owned()));
    script.accept(SECOND);
    script.wait(5_000);
    // The one that has the binding is asked to remove it.
    script.up(H);
    assert_eq!(script.prefer(H), ["home move begins", "claim HoA", "HoA > HA2: BU(H) HoA for 0 s"]);
    assert_eq!(script.accept(SECOND)[..1], ["announce HoA"]);
    assert_eq!(script.terminal.counters().tx_discovery_request, 1);
}

/// RFC 6275 §6.5, octet by octet.
#[test]
fn the_question() {
    let mut terminal = MobileTerminal::new(config(), SecretRng::simulated(1));
    let port = P.key.port;
    for command in [
        Command::LinkUp(port),
        Command::AddressUsable { port, address: P.link_local() },
        Command::RouterAdvertised(P.advertisement()),
        Command::AddressUsable { port, address: P.address() },
    ] {
        terminal.handle_command(Instant::from_secs(1), command);
    }
    let sent = core::iter::from_fn(|| terminal.poll_output()).find_map(|output| match output {
        Output::Transmit(transmit) => Some(transmit),
        _ => None,
    });
    let stack::machine::Transmit { packet, via } = sent.unwrap();
    assert_eq!(via, stack::machine::Via::NextHop(port, P.key.router));
    let header = ipv6::Header::parse(&packet).unwrap();
    assert_eq!((header.source, header.next_header, packet.len()), (P.address(), protocol::ICMPV6, 48));
    assert_eq!(header.destination, "2001:db8:1:0:fdff:ffff:ffff:fffe".parse::<Ipv6Addr>().unwrap());
    assert_eq!((packet[40], packet[41], &packet[46..]), (144, 0, &[0, 0][..]));
    assert!(checksum::verify(header.source, header.destination, protocol::ICMPV6, &packet[40..]));
}

/// RFC 6275 §11.4.1, §12: after 3, 6, 12 and 24 s more, then nobody has answered; and so again after a pause.
#[test]
fn asked_again_less_and_less_often() {
    let mut script = asking(config());
    let (first, _) = script.question.unwrap();
    let mut times = vec![(0, first)];
    for second in 1..=300 {
        for words in script.wait(1_000) {
            let (identifier, _) = script.question.unwrap();
            let is_repeated = times.iter().any(|&(_, known)| known == identifier);
            assert_eq!(words, if is_repeated { ASKED_AGAIN } else { ASKED });
            times.push((second, identifier));
        }
    }
    let (second, _) = script.question.unwrap();
    assert_ne!(first, second);
    let round = [0, 3, 9, 21, 45];
    // 48 s after the last one it is given up, for 60 s.
    let expected: Vec<_> = round.map(|at| (at, first)).into_iter().chain(round.map(|at| (153 + at, second))).collect();
    assert_eq!(times, expected);
    // From another address it is asked at once, and not from both.
    script.down(P);
    assert_eq!(script.question.unwrap().0, times.last().unwrap().1);
    let spot = Spot { net: 0xe, ..P };
    assert_eq!(script.up(spot).iter().filter(|words| words.contains("who is home agent?")).count(), 1);
    assert_eq!(script.question.unwrap().1, spot.address());
}

/// Behind a mobility agent the question is asked from the address on the link, and the agent's group is joined meanwhile.
#[test]
fn behind_a_mobility_agent() {
    let mut script = Script::new(config());
    script.up(A);
    let entered = [
        "receive G from MMA1",
        "own CoA1",
        "join G from MMA1 at A",
        "default by A",
        "send LCoA-A => MMA1",
        "LCoA-A > HAs: who is home agent?",
    ];
    assert_eq!(script.grant(0), entered);
    // A move within the site, of which nobody hears: what went to the old address is lost.
    script.up(B);
    script.prefer(B);
    let moved = script.data(B);
    assert_eq!(moved, ["default by B", "send LCoA-B => MMA1", "LCoA-B > HAs: who is home agent?"]);
    let asked = script.reply(&[HOME_AGENT]);
    assert!(asked.len() == 1 && asked[0].starts_with("LCoA-B > HA: BU(H) HoA at CoA1 for 179"), "{asked:?}");
    script.accept(HOME_AGENT);
    assert_eq!(script.terminal.home_registration().unwrap().care_of, CARE_OF[0]);
}

#[test]
fn behind_an_anchor_point() {
    let mut script = Script::new(Config { mode: Mode::Hierarchical, ..config() });
    script.up(A);
    let entered = script.accept(AGENTS[0]);
    assert_eq!(entered.last().unwrap(), "LCoA-A > HAs: who is home agent?");
    assert!(!entered.iter().any(|words| words.contains("HoA")), "{entered:?}");
    let found = [
        "receive HA => RCoA1 of HoA",
        "default by A",
        "send LCoA-A => MMA1 with RCoA1 => HA",
        "LCoA-A > HA: BU(H) HoA at RCoA1 for 1800 s",
    ];
    assert_eq!(script.reply(&[HOME_AGENT]), found);
}

/// RFC 6275 §11.4.1: in the order of the reply; the next where one refuses.
#[test]
fn who_refuses_is_followed_by_the_next() {
    let mut script = asking(config());
    script.reply(&[SECOND, THIRD, HOME_AGENT]);
    let refused = script.refuse(SECOND, Status::ADMINISTRATIVELY_PROHIBITED);
    assert_eq!(refused, ["receive HA3 => LCoA-P of HoA", "HA2 refuses: 129", "send LCoA-P => HA3"]);
    // InitialBindackTimeoutFirstReg later.
    assert_eq!(script.wait(1_499), [""; 0]);
    assert_eq!(script.wait(1), ["LCoA-P > HA3: BU(H) HoA at LCoA-P for 1800 s"]);
    script.refuse(THIRD, Status::INSUFFICIENT_RESOURCES);
    assert_eq!(script.wait(1_500), [TO_FIRST]);
    script.accept(HOME_AGENT);
    // The others' tunnels are no use.
    let left = script.wait(1_000);
    assert_eq!(left, ["forget HA2 => LCoA-P of HoA", "forget HA3 => LCoA-P of HoA", "move ends"]);
    assert_eq!(script.terminal.counters().home_agent_lost, 2);
    assert_eq!(script.terminal.counters().tx_discovery_request, 1);
}

/// RFC 6275 §11.7.1: the next where one does not answer until the time between two updates would be MAX_BINDACK_TIMEOUT.
#[test]
fn who_is_silent_is_followed_by_the_next() {
    let mut script = asking(config());
    assert_eq!(script.reply(&[HOME_AGENT, SECOND]).last().unwrap(), TO_FIRST);
    let told = script.watch(47);
    let updates: Vec<_> = told.iter().filter(|(_, words)| words == TO_FIRST).map(|&(at, _)| at).collect();
    assert_eq!(updates, [1, 4, 10, 22]);
    assert_eq!(
        told.iter().skip(4).cloned().collect::<Vec<_>>(),
        ["receive HA2 => LCoA-P of HoA", "HA does not answer", "send LCoA-P => HA2", TO_SECOND]
            .map(|words| (46, words.to_owned()))
    );
    // An answer that comes late is none: the other one is asked now.
    let asked = script.last_asked(HOME_AGENT);
    assert_eq!(script.answer(&asked, Status::ACCEPTED, asked.update.lifetime, Default::default()), [""; 0]);
    script.accept(SECOND);
    assert!(script.terminal.home_registration().is_some());
}

/// Who has granted a registration is asked first (RFC 6275 §11.4.1), then the others; what it still sends is taken until
/// one of them has accepted.
#[test]
fn a_home_agent_that_is_gone_is_replaced() {
    let mut script = registered_with(&[HOME_AGENT, SECOND]);
    let told = script.watch(900 + 31);
    let updates: Vec<_> = told.iter().filter(|(_, words)| words == TO_FIRST).map(|&(at, _)| at).collect();
    assert_eq!(updates, [899, 900, 902, 906, 914], "from half of the lifetime on");
    assert_eq!(told.last().unwrap(), &(930, TO_SECOND.to_owned()));
    assert!(script.terminal.home_registration().is_none());
    assert!(script.accept(SECOND).is_empty());
    assert_eq!(script.wait(1_000), ["forget HA => LCoA-P of HoA"]);
    // It was the last to know: nobody is asked.
    assert_eq!(script.terminal.counters().tx_discovery_request, 1);
}

/// Nobody serves: once more from the beginning after a while, and who else there is is asked.
#[test]
fn when_all_have_failed_they_are_asked_for_anew() {
    let mut script = asking(config());
    script.reply(&[HOME_AGENT, SECOND]);
    script.refuse(HOME_AGENT, Status::INSUFFICIENT_RESOURCES);
    script.wait(1_500);
    let all = script.refuse(SECOND, Status::INSUFFICIENT_RESOURCES);
    assert_eq!(all, ["HA2 refuses: 130", "send LCoA-P => HA"]);
    assert_eq!(script.wait(100), ["forget HA2 => LCoA-P of HoA", "move ends"]);
    // A reply came a moment ago: who is home agent is not asked again so soon.
    assert_eq!(script.wait(31_900), [TO_FIRST]);
    script.refuse(HOME_AGENT, Status::INSUFFICIENT_RESOURCES);
    script.wait(1_500);
    assert_eq!(script.watch(25).last().unwrap(), &(25, ASKED.to_owned()));
    // Whoever has not been tried comes first.
    let found = script.reply(&[SECOND, HOME_AGENT, THIRD]);
    assert_eq!(found.last().unwrap(), "LCoA-P > HA3: BU(H) HoA at LCoA-P for 1800 s");
    script.accept(THIRD);
    assert_eq!(
        script.watch(800),
        [(0, "forget HA => LCoA-P of HoA".into()), (0, "forget HA2 => LCoA-P of HoA".into())]
    );
}

/// RFC 6275 §11.7.1: with one home agent alone updates go on at the slowest rate. Who else there is is asked besides.
#[test]
fn the_only_home_agent_is_asked_on_and_on() {
    let mut script = asking(config());
    script.reply(&[HOME_AGENT]);
    let told = script.watch(46 + 3 * 32);
    let updates: Vec<_> = told.iter().filter(|(_, words)| words == TO_FIRST).map(|&(at, _)| at).collect();
    assert_eq!(updates, [1, 4, 10, 22, 46, 78, 110]);
    let questions: Vec<_> = told.iter().filter(|(_, words)| words.starts_with(ASKED)).map(|&(at, _)| at).collect();
    assert_eq!(questions, [60, 63, 69, 81, 105]);
    // The same again: nothing changes, and nobody is asked until it has failed once more.
    assert_eq!(script.reply(&[HOME_AGENT]), [""; 0]);
    script.accept(HOME_AGENT);
    assert_eq!(script.watch(800), []);
}

/// RFC 6275 §11.7.1: a home address that another node has is not tried again by anybody, until the terminal moves.
#[test]
fn a_home_address_that_is_taken_is_left_alone() {
    let mut script = asking(config());
    script.reply(&[HOME_AGENT, SECOND]);
    script.refuse(HOME_AGENT, Status::DUPLICATE_ADDRESS);
    script.wait(1_500);
    script.refuse(SECOND, Status::DUPLICATE_ADDRESS);
    script.watch(61);
    script.reply(&[HOME_AGENT, SECOND]);
    assert_eq!(script.watch(600), []);
    // Where the first was silent and only the second says so, it may be the first that keeps the address.
    let mut script = asking(config());
    script.reply(&[HOME_AGENT, SECOND]);
    script.watch(47);
    script.refuse(SECOND, Status::DUPLICATE_ADDRESS);
    assert!(script.watch(33).contains(&(32, TO_FIRST.to_owned())));
}

/// Only the home agent that has the binding can remove it.
#[test]
fn a_removal_that_is_refused_is_not_asked_of_another() {
    let mut script = registered_with(&[HOME_AGENT, SECOND]);
    script.up(H);
    script.prefer(H);
    script.refuse(HOME_AGENT, Status::INSUFFICIENT_RESOURCES);
    assert_eq!(script.watch(32), [(32, "HoA > HA: BU(H) HoA for 0 s".to_owned())]);
}

#[test]
fn hostile_replies() {
    let mut script = asking(config());
    let (identifier, source) = script.question.unwrap();
    let good = reply(identifier, source, &[HOME_AGENT]);
    let mut long = Message::AddressReply { identifier, agents: vec![HOME_AGENT; MAX_ADDRESSES] }.emit();
    long.extend_from_slice(&HOME_AGENT.octets());
    let long = PacketBuilder::new(HOME_AGENT, source).checksummed(protocol::ICMPV6, long, home_link::CHECKSUM_AT);
    let mut code = Message::AddressReply { identifier, agents: vec![HOME_AGENT] }.emit();
    code[1] = 1;
    let code = PacketBuilder::new(HOME_AGENT, source).checksummed(protocol::ICMPV6, code, home_link::CHECKSUM_AT);
    let half = Message::AddressReply { identifier, agents: vec![HOME_AGENT] }.emit()[..16].to_vec();
    let half = PacketBuilder::new(HOME_AGENT, source).checksummed(protocol::ICMPV6, half, home_link::CHECKSUM_AT);
    let mut sum = good.clone();
    sum[47] ^= 1;
    let foreign: Ipv6Addr = "2001:db8:2::1".parse().unwrap();
    let spoofed = |from: &str| {
        let message = Message::AddressReply { identifier, agents: vec![HOME_AGENT] };
        message.packet(from.parse().unwrap(), source, None)
    };
    let read = |script: &Script| {
        let c = *script.terminal.counters();
        let refused = [c.drop_discovery_unasked, c.drop_discovery_identifier, c.drop_discovery_nobody];
        [&refused[..], &[c.drop_discovery_malformed, c.drop_checksum]].concat()
    };
    let table: [(&str, Vec<u8>, usize); 15] = [
        ("another identifier", reply(identifier.wrapping_add(1), source, &[HOME_AGENT]), 1),
        ("to another address", reply(identifier, A.address(), &[HOME_AGENT]), 0),
        ("to the home address", reply(identifier, HOME_ADDRESS, &[HOME_AGENT]), 0),
        ("from a link-local address", spoofed("fe80::1"), 0),
        ("from nobody", spoofed("::"), 0),
        ("no address", reply(identifier, source, &[]), 2),
        ("of another prefix", reply(identifier, source, &[foreign]), 2),
        ("the home address", reply(identifier, source, &[HOME_ADDRESS]), 2),
        ("the anycast address", reply(identifier, source, &[home_agents_anycast(H.prefix())]), 2),
        ("the subnet's routers", reply(identifier, source, &[H.prefix().address()]), 2),
        ("a group", reply(identifier, source, &["ff02::1".parse().unwrap()]), 2),
        ("too many", long, 3),
        ("another code", code, 3),
        ("half an address", half, 3),
        ("a wrong checksum", sum, 4),
    ];
    for (what, packet, counter) in table {
        let mut expected = read(&script);
        expected[counter] += 1;
        assert_eq!(script.packet(&packet), [""; 0], "{what}");
        assert_eq!((read(&script), script.terminal.home_agent()), (expected, None), "{what}");
    }
    // Out of a tunnel.
    assert_eq!(script.tunnelled(HOME_AGENT, source, &good), [""; 0]);
    assert_eq!(script.terminal.home_agent(), None);
    // Every cut of a good one.
    for cut in 0..good.len() {
        assert_eq!(script.packet(&good[..cut]), [""; 0], "{cut}");
    }
    // The good one is taken once: the second is unasked, and so is what names somebody else.
    assert_eq!(script.packet(&good).last().unwrap(), TO_FIRST);
    let before = read(&script);
    assert_eq!(script.packet(&good), [""; 0]);
    assert_eq!(script.packet(&reply(identifier, source, &[SECOND])), [""; 0]);
    assert_eq!(read(&script)[0], before[0] + 2);
    assert_eq!(script.terminal.home_agent(), Some(HOME_AGENT));
}

/// Of a list only those are kept that can be home agents, each once, and no more than there is room for.
#[test]
fn addresses_that_are_left_out() {
    let mut script = asking(config());
    let foreign: Ipv6Addr = "2001:db8:2::1".parse().unwrap();
    script.reply(&[foreign, HOME_ADDRESS, SECOND, SECOND, HOME_AGENT]);
    assert_eq!(script.terminal.home_agent(), Some(SECOND));
    assert_eq!(script.terminal.counters().drop_discovery_address, 3);
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut script = asking(config());
        let agents: Vec<Ipv6Addr> = (0..=rng.below(MAX_ADDRESSES as u64))
            .map(|_| {
                Ipv6Addr::new(0x2001, 0xdb8, if rng.below(3) > 0 { 1 } else { 2 }, 0, 0, 0, 1, rng.below(40) as u16)
            })
            .take(MAX_ADDRESSES)
            .collect();
        script.reply(&agents);
        let mut good: Vec<Ipv6Addr> = Vec::new();
        for agent in agents.iter().filter(|agent| H.prefix().contains(**agent)) {
            if !good.contains(agent) {
                good.push(*agent);
            }
        }
        good.truncate(discovery::MAX_HOME_AGENTS);
        // Each is tried, in this order, and then the first again.
        for &agent in &good {
            assert_eq!(script.terminal.home_agent(), Some(agent));
            script.refuse(agent, Status::INSUFFICIENT_RESOURCES);
            script.wait(1_500);
        }
        assert_eq!(script.terminal.home_agent(), good.first().copied());
        let left_out = if good.is_empty() { 0 } else { agents.len() - good.len() };
        assert_eq!(script.terminal.counters().drop_discovery_address, left_out as u64);
    }
}

/// At home nobody is asked: home agents say that they are (RFC 6275 §7.1).
#[test]
fn at_home_it_hears_who_is_home_agent() {
    let mut script = Script::new(config());
    let mut advertisement = H.advertisement();
    let foreign: Ipv6Addr = "2001:db8:2::1".parse().unwrap();
    advertisement.home_agents = vec![foreign, HOME_ADDRESS, HOME_AGENT];
    script.up(H);
    assert_eq!(script.command(Command::RouterAdvertised(advertisement)), [""; 0]);
    assert_eq!((script.terminal.site().site, script.terminal.home_agent()), (Site::Home, Some(HOME_AGENT)));
    script.wait(5_000);
    script.up(P);
    assert!(script.prefer(P).contains(&TO_FIRST.to_owned()));
    assert_eq!(script.terminal.counters().tx_discovery_request, 0);
    // As many as there is room for, whoever else says so.
    for n in 0..100 {
        let mut advertisement = H.advertisement();
        advertisement.home_agents = vec![Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 2, n)];
        script.command(Command::RouterAdvertised(advertisement));
    }
    assert_eq!(script.terminal.home_agent(), Some(HOME_AGENT));
    for tried in 0..discovery::MAX_HOME_AGENTS {
        let agent = script.terminal.home_agent().unwrap();
        assert_eq!(agent == HOME_AGENT, tried == 0);
        script.refuse(agent, Status::INSUFFICIENT_RESOURCES);
        script.wait(1_500);
    }
    assert_eq!(script.terminal.home_agent(), Some(HOME_AGENT));
}

/// A configured home agent stays the only one, whatever is heard and however it answers.
#[test]
fn who_is_configured_has_no_rival() {
    let mut script = asking_nobody();
    let mut advertisement = H.advertisement();
    advertisement.home_agents = vec![SECOND];
    script.command(Command::RouterAdvertised(advertisement));
    script.packet(&reply(0, P.address(), &[SECOND]));
    script.refuse(HOME_AGENT, Status::INSUFFICIENT_RESOURCES);
    assert_eq!(script.watch(33).iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>(), [TO_FIRST]);
    script.watch(600);
    let counters = script.terminal.counters();
    assert_eq!((counters.tx_discovery_request, counters.home_agent_lost, counters.drop_discovery_unasked), (0, 0, 1));
    assert_eq!((script.terminal.home_agent(), script.terminal.to_restore().home_agent), (Some(HOME_AGENT), None));
}

fn asking_nobody() -> Script {
    let mut script = Script::new(terminal_config());
    assert_eq!(script.up(P).last().unwrap(), TO_FIRST);
    script
}

/// With which home agent it has a binding a terminal knows after a restart (RFC 6275 §11.7.1), away and at home.
#[test]
fn after_a_restart_it_knows_whom_it_found() {
    let script = registered_with(&[SECOND, HOME_AGENT]);
    let restored = script.terminal.to_restore();
    assert_eq!((restored.has_home_binding, restored.home_agent), (true, Some(SECOND)));
    let mut away = Script::new(Config { restored: restored.clone(), ..config() });
    assert_eq!(away.up(P).last().unwrap(), TO_SECOND);
    let mut home = Script::new(Config { restored: restored.clone(), ..config() });
    assert_eq!(home.up(H).last().unwrap(), "HoA > HA2: BU(H) HoA for 0 s");
    // Of another home prefix, as the configuration says now, it is none.
    let elsewhere = Restored { home_agent: Some("2001:db8:2::1".parse().unwrap()), ..restored.clone() };
    asking(Config { restored: elsewhere.clone(), ..config() });
    // At home with a binding somewhere, it waits to hear from a home agent.
    let mut home = Script::new(Config { restored: elsewhere, ..config() });
    assert_eq!(home.up(H), ["home move begins", "claim HoA"]);
    let mut advertisement = H.advertisement();
    advertisement.home_agents = vec![HOME_AGENT];
    assert_eq!(home.command(Command::RouterAdvertised(advertisement)), ["HoA > HA: BU(H) HoA for 0 s"]);
    assert_eq!(words(&["announce HoA"]), home.accept(HOME_AGENT)[..1]);
}
