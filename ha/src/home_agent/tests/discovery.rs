//! Home agents of the link, and its prefixes (RFC 6275 §10.5, §10.6).

use super::*;
use stack::wire::checksum;
use stack::wire::home_link::{MAX_ADDRESSES, Message, home_agents_anycast};
use stack::wire::nd::{self, HomeAgentInformation, PrefixInformation, RouterAdvertisement};

const OTHER_ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xb);
const OTHER_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xb);

fn anycast() -> Ipv6Addr {
    home_agents_anycast("2001:db8:1::/64".parse().unwrap())
}

fn prefix(address: Ipv6Addr) -> PrefixInformation {
    PrefixInformation {
        address,
        prefix_length: 64,
        on_link: true,
        autonomous: true,
        router_address: true,
        valid_lifetime_secs: 1_000_000,
        preferred_lifetime_secs: 5_000,
    }
}

/// Another home agent speaks.
fn advertisement(addresses: &[Ipv6Addr], information: Option<(u16, u16)>) -> RouterAdvertisement {
    let information = information.map(|(preference, lifetime_secs)| HomeAgentInformation { preference, lifetime_secs });
    RouterAdvertisement {
        home_agent: true,
        lifetime_secs: 1_800,
        prefixes: addresses.iter().map(|&address| prefix(address)).collect(),
        home_agent_information: information,
        ..RouterAdvertisement::default()
    }
}

fn hear(agent: &mut HomeAgent, now: Instant, router: Ipv6Addr, advertisement: RouterAdvertisement) {
    let packet = nd::Message::RouterAdvertisement(advertisement).packet(router, "ff02::1".parse().unwrap());
    agent.handle_packet(now, &meta(), &packet);
}

fn ask(agent: &mut HomeAgent, now: Instant, identifier: u16) -> Vec<Ipv6Addr> {
    let request = Message::AddressRequest { identifier }.packet(LOCAL, anycast(), None);
    agent.handle_packet(now, &meta(), &request);
    let outputs = drain(agent);
    let [Output::Transmit(Transmit { packet, via: Via::Route })] = &outputs[..] else { panic!("{outputs:?}") };
    let chain = Chain::parse(packet).unwrap();
    assert_eq!((&packet[8..24], &packet[24..40]), (&AGENT.octets()[..], &LOCAL.octets()[..]));
    assert!(checksum::verify(AGENT, LOCAL, protocol::ICMPV6, &packet[chain.upper_offset..]));
    match Message::parse(&packet[chain.upper_offset..]) {
        Ok(Message::AddressReply { identifier: told, agents }) if told == identifier => agents,
        other => panic!("{other:?}"),
    }
}

/// The advertisement in these outputs: where to, and what.
fn told(outputs: &[Output<Event>]) -> Option<(Ipv6Addr, Vec<PrefixInformation>)> {
    outputs.iter().find_map(|output| {
        let Output::Transmit(Transmit { packet, .. }) = output else { return None };
        let chain = Chain::parse(packet).unwrap();
        if chain.upper != protocol::ICMPV6 {
            return None;
        }
        assert_eq!(chain.type2_routing.unwrap().home_address, HOME);
        assert!(checksum::verify(AGENT, HOME, protocol::ICMPV6, &packet[chain.upper_offset..]));
        let Ok(Message::PrefixAdvertisement { prefixes, managed: false, other_configuration: false, .. }) =
            Message::parse(&packet[chain.upper_offset..])
        else {
            panic!("no advertisement");
        };
        Some((Ipv6Addr::from(*packet[24..].first_chunk().unwrap()), prefixes))
    })
}

fn solicitation(source: Ipv6Addr) -> Vec<u8> {
    Message::PrefixSolicitation { identifier: 5 }.packet(source, AGENT, Some(HOME))
}

fn telling() -> HomeAgent {
    let mut config = config(HomeDad::Off);
    config.prefix_advertisements = true;
    config.max_lifetime = Duration::from_secs(262_140);
    config.links[0].advertised = vec![prefix(AGENT)];
    HomeAgent::new(config)
}

#[test]
fn alone_it_names_itself() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    assert_eq!(agent.anycast_addresses().collect::<Vec<_>>(), [(PORT, anycast())]);
    assert_eq!(ask(&mut agent, at(0), 7), [AGENT]);
}

#[test]
fn the_list_is_ordered_by_preference_and_equals_by_chance() {
    let mut config = config(HomeDad::Off);
    config.links[0].preference = 5;
    let mut agent = HomeAgent::new(config);
    let others = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x100 + n);
    for (n, preference) in [(1, 9), (2, 9), (3, 0)] {
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n);
        hear(&mut agent, at(0), router, advertisement(&[others(n), others(n + 10)], Some((preference, 100))));
    }
    let mut seen = BTreeSet::new();
    for n in 0..40 {
        let agents = ask(&mut agent, at(0) + Duration::from_millis(60 * u64::from(n)), n);
        assert_eq!(agents.len(), 7);
        let best: BTreeSet<_> = agents[..4].iter().copied().collect();
        assert_eq!(best, BTreeSet::from([others(1), others(11), others(2), others(12)]));
        assert_eq!(agents[4], AGENT);
        assert_eq!(BTreeSet::from([agents[5], agents[6]]), BTreeSet::from([others(3), others(13)]));
        seen.insert(agents);
    }
    assert!(seen.len() >= 8, "{} orders", seen.len());
}

#[test]
fn an_entry_lives_as_long_as_it_says() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    let both = BTreeSet::from([AGENT, OTHER_AGENT]);
    let names = |agent: &mut HomeAgent, secs| ask(agent, at(secs), 1).into_iter().collect::<BTreeSet<_>>();
    // The option's lifetime goes before the router's.
    hear(&mut agent, at(0), OTHER_ROUTER, advertisement(&[OTHER_AGENT], Some((0, 50))));
    assert_eq!((names(&mut agent, 49), names(&mut agent, 50)), (both.clone(), BTreeSet::from([AGENT])));
    // Without the option the router's counts, and preference 0.
    hear(&mut agent, at(60), OTHER_ROUTER, advertisement(&[OTHER_AGENT], None));
    assert_eq!(names(&mut agent, 1_859), both);
    assert_eq!(
        agent.home_agents(PORT).map(|(router, other)| (router, other.preference)).collect::<Vec<_>>(),
        [(OTHER_ROUTER, 0)]
    );
    // An advertisement without the H bit, or with lifetime zero, takes it out.
    for last in [
        RouterAdvertisement { home_agent: false, ..advertisement(&[OTHER_AGENT], None) },
        RouterAdvertisement { lifetime_secs: 0, ..advertisement(&[OTHER_AGENT], None) },
    ] {
        hear(&mut agent, at(2_000), OTHER_ROUTER, advertisement(&[OTHER_AGENT], None));
        hear(&mut agent, at(2_001), OTHER_ROUTER, last);
        assert_eq!(names(&mut agent, 2_002), BTreeSet::from([AGENT]));
    }
    // An address lives as long as its prefix.
    let mut short = advertisement(&[OTHER_AGENT], None);
    short.prefixes[0].valid_lifetime_secs = 20;
    hear(&mut agent, at(3_000), OTHER_ROUTER, short);
    assert_eq!((names(&mut agent, 3_019), names(&mut agent, 3_020)), (both, BTreeSet::from([AGENT])));
}

#[test]
fn what_is_no_home_agent_s_is_not_listed() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    // Without R the prefix is no address; a packet from another link, from a tunnel or with a hop limit is none of this.
    let mut no_address = advertisement(&[OTHER_AGENT], None);
    no_address.prefixes[0].router_address = false;
    hear(&mut agent, at(0), OTHER_ROUTER, no_address);
    let good = nd::Message::RouterAdvertisement(advertisement(&[OTHER_AGENT], None));
    let mut packet = good.packet(OTHER_ROUTER, "ff02::1".parse().unwrap());
    agent.handle_packet(at(0), &RxMeta { port: PortId(7), ..meta() }, &packet);
    let tunnel = stack::machine::TunnelMeta { source: CARE_OF, destination: AGENT };
    agent.handle_packet(at(0), &RxMeta { tunnel: Some(tunnel), ..meta() }, &packet);
    packet[7] = 254;
    agent.handle_packet(at(0), &meta(), &packet);
    assert_eq!(ask(&mut agent, at(0), 1), [AGENT]);
    assert_eq!(agent.counters().drop_malformed, 1);
}

#[test]
fn the_list_and_the_reply_are_bounded() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    for n in 0..200 {
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, n);
        let addresses: Vec<_> = (0..20).map(|a| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, n, a, 1)).collect();
        hear(&mut agent, at(0), router, advertisement(&addresses, None));
    }
    assert_eq!((agent.home_agents(PORT).count(), agent.counters().agents_full), (64, 136));
    assert!(agent.home_agents(PORT).all(|(_, other)| other.addresses().count() == 8));
    assert_eq!(ask(&mut agent, at(0), 1).len(), MAX_ADDRESSES);
}

#[test]
fn requests_that_are_not_answered() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    let request = Message::AddressRequest { identifier: 1 };
    let mut wrong_sum = request.packet(LOCAL, anycast(), None);
    wrong_sum[42] ^= 1;
    for packet in [
        request.packet(LOCAL, AGENT, None),
        request.packet("fe80::1".parse().unwrap(), anycast(), None),
        Message::AddressReply { identifier: 1, agents: vec![AGENT] }.packet(LOCAL, anycast(), None),
        wrong_sum,
        request.packet(LOCAL, anycast(), None)[..47].to_vec(),
    ] {
        agent.handle_packet(at(0), &meta(), &packet);
        assert_eq!(drain(&mut agent), []);
    }
    // Answers are limited, since anybody can have them sent to anybody.
    for _ in 0..100 {
        agent.handle_packet(at(1), &meta(), &request.packet(LOCAL, anycast(), None));
    }
    assert_eq!(drain(&mut agent).len(), ANSWER_BURST as usize);
}

#[test]
fn a_terminal_that_asks_is_told_the_prefixes() {
    let mut agent = telling();
    send(&mut agent, at(0), &Update { alternate: Some(CARE_OF), ..Update::new(1) });
    agent.handle_packet(at(10), &meta(), &solicitation(CARE_OF));
    assert_eq!(told(&drain(&mut agent)), Some((CARE_OF, vec![prefix(AGENT)])));
    // Once a second.
    agent.handle_packet(at(10), &meta(), &solicitation(CARE_OF));
    assert_eq!(drain(&mut agent), []);
    agent.handle_packet(at(11), &meta(), &solicitation(CARE_OF));
    assert!(told(&drain(&mut agent)).is_some());
    // From elsewhere, without a binding, or where the operator does not want it: not.
    agent.handle_packet(at(20), &meta(), &solicitation(LOCAL));
    send(&mut agent, at(21), &Update::from_home(2));
    agent.handle_packet(at(22), &meta(), &solicitation(CARE_OF));
    assert_eq!(drain(&mut agent), []);
    assert_eq!(agent.counters().drop_prefix_solicitation, 2);
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    send(&mut agent, at(0), &Update::new(1));
    agent.handle_packet(at(1), &meta(), &solicitation(CARE_OF));
    assert_eq!(drain(&mut agent), []);
}

/// Runs the agent until nothing is due by `end`; when it told the terminal what.
fn run(agent: &mut HomeAgent, end: Instant) -> Vec<(Instant, Vec<PrefixInformation>)> {
    let mut all = Vec::new();
    while let Some(next) = agent.poll_timeout().filter(|&next| next <= end) {
        agent.handle_timeout(next);
        all.extend(told(&drain(agent)).map(|(_, prefixes)| (next, prefixes)));
    }
    all
}

#[test]
fn a_terminal_that_does_not_ask_is_told_some_time_and_again_until_it_does() {
    let mut agent = telling();
    send(&mut agent, at(0), &Update { lifetime_secs: 9_000, ..Update::new(1) });
    let sent = run(&mut agent, at(8_000));
    let times: Vec<_> = sent.iter().map(|(when, _)| when.as_nanos() / 1_000_000_000).collect();
    // Between MinMobPfxAdvInterval and the preferred lifetime, then after 3, 6 and 12 s more.
    assert_eq!(sent.len(), 4, "{times:?}");
    assert!((600..5_000).contains(&times[0]), "{times:?}");
    assert_eq!([times[1] - times[0], times[2] - times[1], times[3] - times[2]], [3, 6, 12]);
    // What is acknowledged is not sent again.
    let mut agent = telling();
    send(&mut agent, at(0), &Update { lifetime_secs: 9_000, ..Update::new(1) });
    let first = agent.poll_timeout().unwrap();
    agent.handle_timeout(first);
    assert!(told(&drain(&mut agent)).is_some());
    agent.handle_packet(first + Duration::from_millis(100), &meta(), &solicitation(CARE_OF));
    assert_eq!(told(&drain(&mut agent)), None, "no two in a second");
    assert_eq!(run(&mut agent, at(8_000)), []);
}

#[test]
fn a_prefix_of_another_home_agent_is_told_when_it_comes_changes_and_goes() {
    let mut agent = telling();
    send(&mut agent, at(0), &Update { lifetime_secs: 262_140, ..Update::new(1) });
    let first = agent.poll_timeout().unwrap();
    agent.handle_timeout(first);
    drain(&mut agent);
    agent.handle_packet(first + Duration::from_millis(1), &meta(), &solicitation(CARE_OF));
    let new: Ipv6Addr = "2001:db8:7::b".parse().unwrap();
    let mut now = first;
    let mut next = |agent: &mut HomeAgent, advertisement: RouterAdvertisement| {
        now += Duration::from_secs(10);
        hear(agent, now, OTHER_ROUTER, advertisement);
        let sent = run(agent, now + Duration::from_secs(5_000));
        let prefixes = sent.first().map(|(_, prefixes)| prefixes.clone());
        now += Duration::from_secs(5_001);
        agent.handle_packet(now, &meta(), &solicitation(CARE_OF));
        drain(agent);
        prefixes
    };
    let long = |valid_lifetime_secs| {
        let mut long = advertisement(&[new], None);
        long.prefixes[0].valid_lifetime_secs = valid_lifetime_secs;
        long
    };
    let told = next(&mut agent, long(1_000_000)).expect("a new prefix is told");
    let [own, learned] = &told[..] else { panic!("{told:?}") };
    assert_eq!(*own, prefix(AGENT));
    // What is left of it, and no address of a router that the terminal has nothing to do with.
    assert_eq!((learned.address, learned.router_address), ("2001:db8:7::".parse().unwrap(), false));
    assert!((995_000..1_000_000).contains(&learned.valid_lifetime_secs), "{learned:?}");
    // The same again, and one that has run down with the time, are no news.
    assert_eq!(next(&mut agent, long(1_000_000)), None);
    assert_eq!(next(&mut agent, long(1_000_000 - 5_011)), None);
    let told = next(&mut agent, long(500_000)).expect("a changed lifetime is told");
    assert!(told[1].valid_lifetime_secs <= 500_000);
    assert_eq!(next(&mut agent, long(0)).expect("that it is gone is told"), [prefix(AGENT)]);
}
