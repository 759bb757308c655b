use super::*;
use crate::wire::nd::RouterSolicitation;

const PORT: PortId = PortId(1);
const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const HOST_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
const SECOND: Duration = Duration::from_secs(1);

fn map() -> MapOption {
    MapOption { distance: 1, preference: 9, allocates_address: false, valid_lifetime_secs: 600, address: AGENT }
}

fn config() -> PortConfig {
    let prefix = PrefixInformation {
        address: AGENT,
        prefix_length: 64,
        on_link: true,
        autonomous: true,
        router_address: true,
        valid_lifetime_secs: 86400,
        preferred_lifetime_secs: 14400,
    };
    PortConfig { prefixes: vec![prefix], ..PortConfig::new(PORT, MAC) }
}

/// When an advertisement left, in milliseconds, whither, and what it said.
type Sent = (u64, Ipv6Addr, Via, RouterAdvertisement);

struct Bed {
    advertiser: RouterAdvertiser,
    now: Instant,
}

impl Bed {
    fn new(config: PortConfig) -> Self {
        let advertiser = RouterAdvertiser::new(Config { seed: 5, ports: vec![config] });
        let mut bed = Bed { advertiser, now: Instant::from_secs(1) };
        bed.command(Command::Start { port: PORT, source: ROUTER });
        bed
    }

    fn command(&mut self, command: Command) {
        self.advertiser.handle_command(self.now, command);
    }

    fn solicit(&mut self, source: Ipv6Addr, link: Option<MacAddress>) {
        let message = Message::RouterSolicitation(RouterSolicitation { source_link_address: link, other: vec![] });
        let meta = RxMeta { port: PORT, link_source: Some(HOST_MAC), link_multicast: true, tunnel: None };
        self.advertiser.handle_packet(self.now, &meta, &message.packet(source, ALL_ROUTERS));
    }

    fn pass(&mut self, duration: Duration) -> Vec<Sent> {
        let start = self.now;
        let end = start + duration;
        let mut sent = Vec::new();
        loop {
            while let Some(output) = self.advertiser.poll_output() {
                let Output::Transmit(transmit) = output else { continue };
                let opened = open(&transmit.packet).unwrap();
                assert_eq!(opened.source, ROUTER);
                assert!(transmit.packet.len() <= 1280);
                let Message::RouterAdvertisement(said) = opened.message else { panic!() };
                sent.push((self.now.since(start).as_millis() as u64, opened.destination, transmit.via, said));
            }
            let Some(at) = self.advertiser.poll_timeout().filter(|&at| at <= end) else { break };
            self.now = at;
            self.advertiser.handle_timeout(at);
        }
        self.now = end;
        sent
    }
}

#[test]
fn starts_quickly_and_goes_on_slowly() {
    let mut bed = Bed::new(config());
    let sent = bed.pass(40 * SECOND);
    let times: Vec<u64> = sent.iter().map(|sent| sent.0).collect();
    assert_eq!(times, [0, 16_000, 32_000]);
    assert!(sent.iter().all(|sent| (sent.1, sent.2) == (ALL_NODES, Via::Link(PORT))));
    let said = &sent[0].3;
    assert_eq!((said.source_link_address, said.lifetime_secs, &said.prefixes), (Some(MAC), 1800, &config().prefixes));
    assert!(!said.home_agent && said.mtu.is_none() && said.advertisement_interval_millis.is_none());
    let rest = bed.pass(6000 * SECOND);
    assert!((10..=31).contains(&rest.len()), "{}", rest.len());
    for pair in rest.windows(2) {
        assert!((198_000..=600_000).contains(&(pair[1].0 - pair[0].0)));
    }
    let mut outputs = RouterAdvertiser::new(Config { seed: 5, ports: vec![config()] });
    outputs.handle_command(Instant::ORIGIN, Command::Start { port: PORT, source: ROUTER });
    assert_eq!(outputs.poll_output(), Some(Output::Table(TableUpdate::LinkGroupJoin(PORT, ALL_ROUTERS))));
}

/// RFC 6275 §7: the shortest intervals, and what a home agent says about itself.
#[test]
fn mobile_intervals_and_home_agent() {
    let information = HomeAgentInformation { preference: 3, lifetime_secs: 900 };
    let mut bed = Bed::new(PortConfig {
        min_interval: Duration::from_millis(30),
        max_interval: Duration::from_millis(70),
        interval_option: true,
        link_mtu: Some(1420),
        home_agent: HomeAgent::With(information),
        maps: vec![map()],
        ..config()
    });
    let sent = bed.pass(5 * SECOND);
    assert!((80..=125).contains(&sent.len()), "{}", sent.len());
    for pair in sent.windows(2) {
        assert!((29..=71).contains(&(pair[1].0 - pair[0].0)));
    }
    let said = &sent[0].3;
    assert_eq!(said.advertisement_interval_millis, Some(90));
    assert_eq!((said.home_agent, said.home_agent_information), (true, Some(information)));
    assert_eq!((said.mtu, &said.maps[..]), (Some(1420), &[map()][..]));
    // What the link does not take is not said, and what it does is, up to what was configured.
    for (link, expected) in [(1400, 1400), (100, 1280), (1500, 1420)] {
        bed.command(Command::Mtu(PORT, link));
        assert_eq!(bed.pass(SECOND).last().unwrap().3.mtu, Some(expected));
    }
}

/// RFC 4861 §6.2.6.
#[test]
fn solicitations_are_answered_to_all_and_not_too_often() {
    let mut bed = Bed::new(config());
    bed.pass(50 * SECOND);
    bed.solicit(HOST, Some(HOST_MAC));
    bed.solicit(Ipv6Addr::UNSPECIFIED, None);
    let sent = bed.pass(3 * SECOND);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].0 <= 500 && sent[0].1 == ALL_NODES);
    for _ in 0..20 {
        bed.solicit(HOST, Some(HOST_MAC));
        let sent = bed.pass(SECOND / 2);
        assert!(sent.len() <= 1);
    }
    assert!(bed.advertiser.counters().tx_multicast <= 4 + 4);
    // A solicitation never delays what is to be sent sooner.
    let due = bed.advertiser.poll_timeout().unwrap();
    bed.solicit(HOST, None);
    assert!(bed.advertiser.poll_timeout().unwrap() <= due);
}

#[test]
fn mobile_terminals_are_answered_at_once() {
    let mut bed = Bed::new(PortConfig { solicited: Solicited::Immediate, ..config() });
    bed.pass(50 * SECOND);
    for (source, link, destination) in [
        (HOST, Some(MacAddress([2, 0, 0, 0, 0, 7])), HOST),
        (HOST, None, HOST),
        (Ipv6Addr::UNSPECIFIED, None, ALL_NODES),
    ] {
        bed.solicit(source, link);
        let sent = bed.pass(Duration::ZERO);
        let via = Via::LinkAddress(PORT, link.unwrap_or(HOST_MAC));
        assert_eq!((sent.len(), sent[0].1, sent[0].2), (1, destination, via));
    }
    for _ in 0..3 * MAX_IMMEDIATE_PER_SECOND {
        bed.solicit(HOST, None);
    }
    assert_eq!(bed.pass(Duration::ZERO).len() as u32, MAX_IMMEDIATE_PER_SECOND - 3);
    assert!(bed.advertiser.counters().immediate_exceeded > 0);
    // Those beyond are answered together.
    assert_eq!(bed.pass(3 * SECOND).len(), 1);
    bed.solicit(HOST, None);
    assert_eq!(bed.pass(Duration::ZERO).len(), 1);
}

#[test]
fn maps_come_and_go() {
    let mut bed = Bed::new(config());
    bed.pass(50 * SECOND);
    bed.command(Command::SetMap { port: PORT, map: map() });
    let sent = bed.pass(Duration::ZERO);
    assert_eq!((sent.len(), &sent[0].3.maps[..]), (1, &[map()][..]));
    bed.command(Command::SetMap { port: PORT, map: map() });
    assert_eq!(bed.pass(SECOND), []);
    // Changed within the rate limit: told when it allows.
    bed.command(Command::SetMap { port: PORT, map: MapOption { preference: 1, ..map() } });
    let sent = bed.pass(2 * SECOND);
    assert_eq!((sent.len(), sent[0].0, sent[0].3.maps[0].preference), (1, 2000, 1));
    bed.pass(50 * SECOND);
    bed.command(Command::WithdrawMap { port: PORT, address: AGENT });
    let sent = bed.pass(2000 * SECOND);
    let lifetimes: Vec<Option<u32>> =
        sent.iter().map(|s| s.3.maps.first().map(|map| map.valid_lifetime_secs)).collect();
    assert_eq!((lifetimes[0], sent[0].0), (Some(0), 0));
    assert_eq!(lifetimes[..4], [Some(0), Some(0), Some(0), None]);
    bed.command(Command::WithdrawMap { port: PORT, address: AGENT });
    assert_eq!(bed.pass(Duration::ZERO), []);
    for impossible in [MapOption { distance: 0, ..map() }, MapOption { address: HOST, ..map() }] {
        bed.command(Command::SetMap { port: PORT, map: impossible });
    }
    bed.command(Command::SetMap { port: PortId(7), map: map() });
    assert_eq!(bed.advertiser.counters().drop_command, 3);
    for n in 1..=30 {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, n);
        bed.command(Command::SetMap { port: PORT, map: MapOption { address, ..map() } });
    }
    assert_eq!(bed.advertiser.advertisement(PORT).unwrap().maps.len(), MAX_MAPS);
    bed.pass(100 * SECOND);
}

/// RFC 4861 §6.2.5.
#[test]
fn ceases_with_lifetime_zero() {
    let mut bed = Bed::new(PortConfig { maps: vec![map()], ..config() });
    bed.pass(50 * SECOND);
    bed.command(Command::Shutdown);
    let sent = bed.pass(1000 * SECOND);
    assert_eq!(sent.iter().map(|sent| sent.0).collect::<Vec<_>>(), [0, 3000, 6000]);
    assert!(sent.iter().all(|sent| sent.3.lifetime_secs == 0 && sent.3.maps[0].valid_lifetime_secs == 0));
    assert_eq!(bed.advertiser.poll_timeout(), None);
    bed.solicit(HOST, None);
    assert_eq!((bed.pass(SECOND), bed.advertiser.counters().drop_port), (vec![], 1));
    bed.command(Command::Start { port: PORT, source: ROUTER });
    assert_eq!(bed.pass(Duration::ZERO)[0].3.maps, [map()]);
    bed.command(Command::LinkDown(PORT));
    assert_eq!((bed.pass(1000 * SECOND), bed.advertiser.poll_timeout()), (vec![], None));
}

/// A drained router says good-bye and begins nowhere, whatever its links do, until it serves again.
#[test]
fn a_drained_router_is_silent_until_it_resumes() {
    let mut bed = Bed::new(PortConfig { maps: vec![map()], ..config() });
    bed.pass(50 * SECOND);
    bed.command(Command::Drain);
    let sent = bed.pass(1000 * SECOND);
    assert_eq!(sent.iter().map(|sent| sent.0).collect::<Vec<_>>(), [0, 3000, 6000]);
    assert!(sent.iter().all(|sent| sent.3.lifetime_secs == 0 && sent.3.maps[0].valid_lifetime_secs == 0));
    bed.solicit(HOST, None);
    bed.command(Command::LinkDown(PORT));
    bed.command(Command::Start { port: PORT, source: ROUTER });
    bed.solicit(HOST, None);
    assert_eq!(bed.pass(1000 * SECOND), vec![]);
    bed.command(Command::Resume);
    let again = bed.pass(Duration::ZERO);
    assert!(again[0].3.lifetime_secs > 0 && again[0].3.maps == [map()]);

    // In the middle of its good-byes it serves at once, and says no more of them.
    bed.pass(1000 * SECOND);
    bed.command(Command::Drain);
    assert_eq!(bed.pass(Duration::ZERO)[0].3.lifetime_secs, 0);
    bed.command(Command::Resume);
    let sent = bed.pass(1000 * SECOND);
    assert!(sent.len() > 1 && sent.iter().all(|sent| sent.3.lifetime_secs > 0));

    // Where the link is down there is nothing to resume.
    bed.command(Command::Drain);
    bed.pass(1000 * SECOND);
    bed.command(Command::LinkDown(PORT));
    bed.command(Command::Resume);
    assert_eq!(bed.pass(1000 * SECOND), vec![]);
}

#[test]
fn contradictions_are_counted() {
    let mut bed = Bed::new(config());
    let mut hear = |change: &dyn Fn(&mut RouterAdvertisement)| {
        let mut other = bed.advertiser.advertisement(PORT).unwrap();
        change(&mut other);
        let meta = RxMeta { port: PORT, link_source: Some(HOST_MAC), link_multicast: true, tunnel: None };
        let packet = Message::RouterAdvertisement(other).packet(HOST, ALL_NODES);
        bed.advertiser.handle_packet(bed.now, &meta, &packet);
        bed.advertiser.counters().inconsistent
    };
    assert_eq!(hear(&|_| {}), 0);
    assert_eq!(hear(&|other| other.current_hop_limit = 0), 0);
    assert_eq!(hear(&|other| other.prefixes.clear()), 0);
    assert_eq!(hear(&|other| other.current_hop_limit = 7), 1);
    assert_eq!(hear(&|other| other.prefixes[0].valid_lifetime_secs = 7), 2);
    assert_eq!(hear(&|other| other.managed = true), 3);
}
