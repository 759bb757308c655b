use super::*;
use crate::addr::ALL_NODES;
use crate::wire::nd::{INFINITE_LIFETIME_SECS, RouterPreference};
use proptest::prelude::*;

const PORT: PortId = PortId(0);
const SECOND_PORT: PortId = PortId(1);
const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);
const ROUTER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const OTHER_ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 9);
const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0xff, 0xfe00, 9);
const SECOND: Duration = Duration::from_secs(1);

fn prefix() -> Prefix {
    Prefix::of_link(ADDRESS)
}

fn information(valid: u32, preferred: u32) -> PrefixInformation {
    PrefixInformation {
        address: prefix().address(),
        prefix_length: 64,
        on_link: true,
        autonomous: true,
        router_address: false,
        valid_lifetime_secs: valid,
        preferred_lifetime_secs: preferred,
    }
}

fn advertisement(lifetime_secs: u16) -> RouterAdvertisement {
    RouterAdvertisement { lifetime_secs, prefixes: vec![information(86400, 14400)], ..RouterAdvertisement::default() }
}

struct Bed {
    host: HostAutoconfiguration,
    now: Instant,
}

fn usable(address: Ipv6Addr, optimistic: bool) -> Output<Event> {
    Output::Event(Event::AddressUsable { port: PORT, address, optimistic })
}

fn add(address: Ipv6Addr, dad: Dad) -> Output<Event> {
    let command = neighbor::Command::AddAddress { port: PORT, address, dad, delivery: Delivery::Local };
    Output::Event(Event::Neighbor(command))
}

fn remove(address: Ipv6Addr) -> Output<Event> {
    Output::Event(Event::Neighbor(neighbor::Command::RemoveAddress { port: PORT, address }))
}

fn removed(address: Ipv6Addr) -> Output<Event> {
    Output::Event(Event::AddressRemoved { port: PORT, address })
}

fn deprecated() -> Output<Event> {
    Output::Event(Event::AddressDeprecated { port: PORT, address: ADDRESS })
}

fn on_link(prefix: Prefix) -> Output<Event> {
    Output::Table(TableUpdate::RouteSet(prefix, Route::OnLink(PORT)))
}

fn off_link(prefix: Prefix) -> Output<Event> {
    Output::Table(TableUpdate::RouteRemove(prefix))
}

fn lost(router: Ipv6Addr) -> Output<Event> {
    Output::Event(Event::RouterLost { port: PORT, router })
}

fn default_via(next_hop: Ipv6Addr) -> Output<Event> {
    Output::Table(TableUpdate::RouteSet(Prefix::DEFAULT, Route::Via { port: PORT, next_hop }))
}

impl Bed {
    fn with(config: PortConfig) -> Self {
        let second = PortConfig { port: SECOND_PORT, ..config };
        let host = HostAutoconfiguration::new(Config { seed: 1, ports: vec![config, second] });
        let mut bed = Bed { host, now: Instant::from_secs(10) };
        bed.command(Command::Notice(Notice::LinkUp(PORT)));
        bed
    }

    /// A terminal whose link-local address is usable, and that has solicited.
    fn mobile() -> Self {
        let mut bed = Bed::with(PortConfig::mobile(PORT, MAC, InterfaceIdentifier::ModifiedEui64));
        bed.usable(LINK_LOCAL, false);
        bed.pass(Duration::ZERO);
        bed.said();
        bed
    }

    fn command(&mut self, command: Command) {
        self.host.handle_command(self.now, command);
    }

    fn usable(&mut self, address: Ipv6Addr, optimistic: bool) {
        self.command(Command::Neighbor(neighbor::Event::AddressUsable { port: PORT, address, optimistic }));
    }

    fn hear_on(&mut self, port: PortId, router: Ipv6Addr, said: RouterAdvertisement) {
        let meta = RxMeta { port, link_source: Some(ROUTER_MAC), link_multicast: true, tunnel: None };
        self.host.handle_packet(self.now, &meta, &Message::RouterAdvertisement(said).packet(router, ALL_NODES));
    }

    fn hear(&mut self, router: Ipv6Addr, said: RouterAdvertisement) {
        self.hear_on(PORT, router, said);
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.host.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.host.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn said(&mut self) -> Vec<Output<Event>> {
        core::iter::from_fn(|| self.host.poll_output()).collect()
    }

    /// What was said but that a router advertised itself.
    fn changes(&mut self) -> Vec<Output<Event>> {
        let mut said = self.said();
        said.retain(|output| !matches!(output, Output::Event(Event::RouterAdvertised { .. })));
        said
    }

    /// Times and sources of the solicitations in the time that passes.
    fn solicitations(&mut self, duration: Duration) -> Vec<(u64, Ipv6Addr, Option<MacAddress>)> {
        let start = self.now;
        let mut sent = Vec::new();
        while let Some(at) = self.host.poll_timeout().filter(|&at| at <= start + duration) {
            self.now = at;
            self.host.handle_timeout(at);
            for output in self.said() {
                let Output::Transmit(transmit) = output else { panic!("{output:?}") };
                let opened = open(&transmit.packet).unwrap();
                assert_eq!((opened.destination, transmit.via), (ALL_ROUTERS, Via::Link(PORT)));
                let Message::RouterSolicitation(message) = opened.message else { panic!() };
                sent.push((at.since(start).as_millis() as u64, opened.source, message.source_link_address));
            }
        }
        self.now = start + duration;
        sent
    }
}

#[test]
fn looks_for_routers_at_once() {
    let mut bed = Bed::with(PortConfig::mobile(PORT, MAC, InterfaceIdentifier::ModifiedEui64));
    assert_eq!(bed.said(), [add(LINK_LOCAL, Dad::Optimistic)]);
    // An optimistic address is not a source of solicitations with a link-layer address (RFC 4429 §3.2).
    bed.usable(LINK_LOCAL, true);
    assert_eq!(bed.said(), [usable(LINK_LOCAL, true)]);
    let sent = bed.solicitations(Duration::from_millis(400));
    assert_eq!(sent, [0, 100, 300].map(|at| (at, Ipv6Addr::UNSPECIFIED, None)));
    bed.usable(LINK_LOCAL, false);
    bed.said();
    let sent = bed.solicitations(60 * SECOND);
    let expected = [300, 1100, 2700, 5900, 9900, 13_900].map(|at| (at, LINK_LOCAL, Some(MAC)));
    assert_eq!(sent, expected);
    bed.command(Command::Solicit(PORT));
    assert_eq!(bed.solicitations(Duration::ZERO).len(), 1);
    bed.hear(ROUTER, advertisement(0));
    bed.said();
    assert_eq!(bed.solicitations(Duration::from_millis(150)).len(), 1);
    bed.hear(ROUTER, advertisement(1800));
    bed.said();
    assert_eq!(bed.solicitations(60 * SECOND), []);
}

/// RFC 4861 §6.3.7.
#[test]
fn looks_for_routers_by_the_book() {
    let mut bed = Bed::with(PortConfig::new(PORT, MAC));
    assert_eq!(bed.said(), [add(LINK_LOCAL, Dad::Strict)]);
    let sent = bed.solicitations(60 * SECOND);
    assert_eq!(sent.len(), 3);
    assert!(sent[0].0 < 1000 && sent[1].0 - sent[0].0 == 4000 && sent[2].0 - sent[1].0 == 4000);
    let mut silent = Bed::with(PortConfig { solicitation: Solicitation::Silent, ..PortConfig::new(PORT, MAC) });
    silent.said();
    silent.command(Command::Solicit(PORT));
    assert_eq!(silent.solicitations(60 * SECOND), []);
}

#[test]
fn takes_in_an_advertisement() {
    let mut bed = Bed::mobile();
    bed.hear(ROUTER, advertisement(1800));
    let told = Event::RouterAdvertised {
        port: PORT,
        router: ROUTER,
        link_address: Some(ROUTER_MAC),
        advertisement: Box::new(advertisement(1800)),
    };
    assert_eq!(bed.said(), [on_link(prefix()), add(ADDRESS, Dad::Optimistic), Output::Event(told)]);
    bed.usable(ADDRESS, true);
    bed.usable(ADDRESS, false);
    assert_eq!(bed.said(), [usable(ADDRESS, true), usable(ADDRESS, false)]);
    // The same again changes nothing.
    bed.hear(ROUTER, advertisement(1800));
    assert_eq!(bed.changes(), []);
    assert_eq!(bed.host.routers().count(), 1);
    assert_eq!(bed.host.on_link_prefixes().collect::<Vec<_>>(), [(PORT, prefix())]);
    let fixed = PortConfig::mobile(PORT, MAC, InterfaceIdentifier::Fixed(0x77));
    let mut bed = Bed::with(fixed);
    bed.hear(ROUTER, advertisement(1800));
    let address = with_interface_identifier(ADDRESS, 0x77);
    assert!(bed.said().contains(&add(address, Dad::Optimistic)));
}

#[test]
fn prefixes_that_nothing_is_made_of() {
    let good = information(86400, 14400);
    let bad = [
        PrefixInformation { address: LINK_LOCAL, ..good },
        PrefixInformation { address: ALL_NODES, ..good },
        PrefixInformation { prefix_length: 0, ..good },
        PrefixInformation { on_link: false, prefix_length: 48, ..good },
        PrefixInformation { on_link: false, prefix_length: 80, ..good },
        PrefixInformation { on_link: false, preferred_lifetime_secs: 90000, ..good },
    ];
    let mut bed = Bed::mobile();
    bed.hear(ROUTER, RouterAdvertisement { prefixes: bad.to_vec(), ..advertisement(1800) });
    assert_eq!((bed.changes(), bed.host.counters().drop_prefix), (vec![], 6));
    let none = [
        PrefixInformation { autonomous: false, on_link: false, ..good },
        PrefixInformation { valid_lifetime_secs: 0, preferred_lifetime_secs: 0, ..good },
    ];
    bed.hear(ROUTER, RouterAdvertisement { prefixes: none.to_vec(), ..advertisement(1800) });
    assert_eq!(bed.changes(), []);
    // On the link without addresses, and the other way round.
    let long = Prefix::new(ADDRESS, 80).unwrap();
    let prefixes = vec![PrefixInformation { prefix_length: 80, autonomous: false, ..good }];
    bed.hear(ROUTER, RouterAdvertisement { prefixes, ..advertisement(1800) });
    assert_eq!(bed.changes(), [on_link(long)]);
    let prefixes = vec![PrefixInformation { on_link: false, ..good }];
    bed.hear(ROUTER, RouterAdvertisement { prefixes, ..advertisement(1800) });
    assert_eq!(bed.changes(), [add(ADDRESS, Dad::Optimistic)]);
}

/// RFC 4862 §5.5.3 e: remaining lifetime, received lifetime, what becomes of it.
#[test]
fn two_hour_rule() {
    for (remaining, received, expected) in [
        (100_000, 7201, 7201),
        (100_000, 200_000, 200_000),
        (100_000, 3600, 7200),
        (100_000, 0, 7200),
        (7200, 3600, 7200),
        (3600, 1800, 3600),
        (3600, 0, 3600),
        (3600, 7200, 7200),
        (1800, 3600, 3600),
        (INFINITE_LIFETIME_SECS, 60, 7200),
    ] {
        let mut bed = Bed::mobile();
        let said = |valid| RouterAdvertisement { prefixes: vec![information(valid, 0)], ..advertisement(1800) };
        bed.hear(ROUTER, said(remaining));
        bed.hear(ROUTER, said(received));
        let info = bed.host.addresses().find(|info| info.address == ADDRESS).unwrap();
        assert_eq!(info.valid_until.since(bed.now), Duration::from_secs(expected), "{remaining} {received}");
    }
}

#[test]
fn lifetimes_end() {
    let mut bed = Bed::mobile();
    bed.hear(ROUTER, advertisement(1800));
    bed.usable(ADDRESS, false);
    bed.said();
    bed.pass(1800 * SECOND);
    assert_eq!(bed.said(), [lost(ROUTER)]);
    bed.pass(12_600 * SECOND);
    assert_eq!(bed.said(), [deprecated()]);
    bed.hear(ROUTER, advertisement(1800));
    assert_eq!(bed.changes(), [usable(ADDRESS, false)]);
    // Deprecated at once where the preferred lifetime is zero, once.
    for expected in [vec![deprecated()], vec![]] {
        let prefixes = vec![information(86400, 0)];
        bed.hear(ROUTER, RouterAdvertisement { prefixes, ..advertisement(1800) });
        assert_eq!(bed.changes(), expected);
    }
    bed.pass(86_400 * SECOND);
    assert_eq!(bed.said(), [lost(ROUTER), off_link(prefix()), remove(ADDRESS), removed(ADDRESS)]);
    let mut forever = Bed::mobile();
    let prefixes = vec![information(INFINITE_LIFETIME_SECS, INFINITE_LIFETIME_SECS)];
    forever.hear(ROUTER, RouterAdvertisement { prefixes, ..advertisement(1) });
    forever.pass(SECOND);
    forever.said();
    assert_eq!((forever.host.addresses().count(), forever.host.poll_timeout()), (2, None));
}

#[test]
fn routers_are_lost() {
    let unreachable = neighbor::Event::NeighborUnreachable { port: PORT, address: ROUTER, is_router: true };
    let host_now = neighbor::Event::NoLongerRouter { port: PORT, address: ROUTER };
    for event in [unreachable, host_now] {
        let mut bed = Bed::mobile();
        bed.hear(ROUTER, advertisement(1800));
        bed.said();
        bed.command(Command::Neighbor(event));
        bed.command(Command::Neighbor(event));
        assert_eq!(bed.said(), [lost(ROUTER)]);
    }
    let mut bed = Bed::mobile();
    bed.hear(ROUTER, advertisement(1800));
    bed.hear(ROUTER, advertisement(0));
    assert_eq!(bed.changes().last(), Some(&lost(ROUTER)));
    // The advertisement that ends it is told too, before.
    bed.hear(ROUTER, advertisement(0));
    assert_eq!(bed.said().len(), 1);
}

#[test]
fn the_best_router_is_the_default() {
    let mut bed = Bed::with(PortConfig::new(PORT, MAC));
    let said = |preference| RouterAdvertisement { preference, prefixes: vec![], ..advertisement(1800) };
    bed.said();
    bed.hear(OTHER_ROUTER, said(RouterPreference::Medium));
    assert_eq!(bed.changes(), [default_via(OTHER_ROUTER)]);
    bed.hear(ROUTER, said(RouterPreference::Medium));
    assert_eq!(bed.changes(), []);
    bed.hear(ROUTER, said(RouterPreference::High));
    assert_eq!(bed.changes(), [default_via(ROUTER)]);
    bed.hear(ROUTER, said(RouterPreference::Low));
    assert_eq!(bed.changes(), [default_via(OTHER_ROUTER)]);
    bed.command(Command::Neighbor(neighbor::Event::NeighborUnreachable {
        port: PORT,
        address: OTHER_ROUTER,
        is_router: true,
    }));
    assert_eq!(bed.changes(), [lost(OTHER_ROUTER), default_via(ROUTER)]);
    bed.command(Command::Notice(Notice::LinkDown(PORT)));
    let changes = bed.changes();
    assert_eq!(changes.first(), Some(&lost(ROUTER)));
    assert_eq!(changes.last(), Some(&Output::Table(TableUpdate::RouteRemove(Prefix::DEFAULT))));
}

#[test]
fn a_link_that_goes_takes_everything_along() {
    let mut bed = Bed::mobile();
    bed.hear(ROUTER, advertisement(1800));
    bed.usable(ADDRESS, true);
    bed.command(Command::Notice(Notice::LinkUp(SECOND_PORT)));
    bed.hear_on(SECOND_PORT, ROUTER, advertisement(1800));
    bed.said();
    bed.command(Command::Notice(Notice::LinkDown(PORT)));
    // The prefix is on the other link too.
    let moved = Output::Table(TableUpdate::RouteSet(prefix(), Route::OnLink(SECOND_PORT)));
    let gone = [remove(ADDRESS), removed(ADDRESS), remove(LINK_LOCAL), removed(LINK_LOCAL)];
    let expected: Vec<_> = [lost(ROUTER), moved].into_iter().chain(gone).collect();
    assert_eq!(bed.said(), expected);
    bed.hear(ROUTER, advertisement(1800));
    assert_eq!((bed.said(), bed.host.counters().drop_port), (vec![], 1));
    bed.command(Command::Notice(Notice::LinkUp(PORT)));
    assert_eq!(bed.said(), [add(LINK_LOCAL, Dad::Optimistic)]);
}

#[test]
fn duplicates() {
    let duplicate = |address| Command::Neighbor(neighbor::Event::AddressDuplicate { port: PORT, address });
    let told = |address| Output::Event(Event::AddressDuplicate { port: PORT, address });
    let mut bed = Bed::mobile();
    bed.hear(ROUTER, advertisement(1800));
    bed.said();
    bed.command(duplicate(ADDRESS));
    bed.command(duplicate(ADDRESS));
    assert_eq!(bed.said(), [told(ADDRESS)]);
    bed.hear(ROUTER, advertisement(1800));
    assert_eq!(bed.changes(), []);
    // The link-layer address itself is not unique: the port is of no use.
    bed.command(duplicate(LINK_LOCAL));
    assert_eq!(bed.said(), [told(LINK_LOCAL), lost(ROUTER), off_link(prefix())]);
    bed.hear(ROUTER, advertisement(1800));
    bed.command(Command::Solicit(PORT));
    assert_eq!((bed.said(), bed.solicitations(60 * SECOND)), (vec![], vec![]));
    bed.command(Command::Notice(Notice::LinkDown(PORT)));
    bed.command(Command::Notice(Notice::LinkUp(PORT)));
    assert_eq!(bed.said(), [add(LINK_LOCAL, Dad::Optimistic)]);
}

#[test]
fn hostile_advertisements_are_bounded() {
    let mut bed = Bed::mobile();
    for n in 0..200u16 {
        let prefixes = (0..20)
            .map(|m| PrefixInformation {
                address: Ipv6Addr::new(0x2001, 0xdb8, n, m, 0, 0, 0, 0),
                ..information(86400, 14400)
            })
            .collect();
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 0, 0, n);
        bed.hear(router, RouterAdvertisement { prefixes, ..advertisement(1800) });
    }
    assert_eq!(bed.host.routers().count(), 16);
    assert_eq!(bed.host.on_link_prefixes().count(), 16);
    assert_eq!(bed.host.addresses().count(), 17);
    assert_eq!(bed.host.counters().drop_router, 184);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is heard: the on-link and default routes are those of the lists, the addresses asked for are those kept,
    /// and when every link is down nothing is left.
    #[test]
    fn random_operations(steps in prop::collection::vec((0..8u8, 0..2u8, 0..3u16, any::<[bool; 2]>(), 0..5000u32, 0..4000u64), 1..100)) {
        let mut bed = Bed::with(PortConfig { max_prefixes: 2, max_routers: 2, ..PortConfig::new(PORT, MAC) });
        let mut routes = BTreeMap::new();
        let mut asked = std::collections::BTreeSet::new();
        let mut learn = |said: Vec<Output<Event>>, routes: &mut BTreeMap<Prefix, Route>| {
            for output in said {
                match output {
                    Output::Table(TableUpdate::RouteSet(prefix, route)) => drop(routes.insert(prefix, route)),
                    Output::Table(TableUpdate::RouteRemove(prefix)) => assert!(routes.remove(&prefix).is_some()),
                    Output::Event(Event::Neighbor(neighbor::Command::AddAddress { port, address, .. })) => {
                        assert!(asked.insert((port, address)));
                    }
                    Output::Event(Event::Neighbor(neighbor::Command::RemoveAddress { port, address })) => {
                        assert!(asked.remove(&(port, address)));
                    }
                    Output::Event(Event::AddressDuplicate { port, address }) => assert!(asked.remove(&(port, address))),
                    _ => {}
                }
            }
            asked.clone()
        };
        for (kind, port, who, flags, lifetime, millis) in steps {
            let port = PortId(port);
            let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1 + who);
            let address = with_interface_identifier(Ipv6Addr::new(0x2001, 0xdb8, who, 0, 0, 0, 0, 0), MAC.interface_identifier());
            match kind {
                0..=3 => {
                    let prefix = PrefixInformation {
                        address,
                        on_link: flags[0],
                        autonomous: flags[1],
                        ..information(lifetime, lifetime / 2)
                    };
                    let lifetime_secs = if kind == 0 { 0 } else { (lifetime / 3) as u16 };
                    bed.hear_on(port, router, RouterAdvertisement { prefixes: vec![prefix], ..advertisement(lifetime_secs) });
                }
                4 => bed.command(Command::Notice(Notice::LinkUp(port))),
                5 if flags[0] => bed.command(Command::Notice(Notice::LinkDown(port))),
                5 => bed.command(Command::Neighbor(neighbor::Event::AddressDuplicate { port, address })),
                6 => bed.command(Command::Neighbor(neighbor::Event::AddressUsable { port, address, optimistic: flags[0] })),
                _ => bed.command(Command::Neighbor(neighbor::Event::NeighborUnreachable { port, address: router, is_router: true })),
            }
            bed.pass(Duration::from_millis(millis * 1000));
            let asked = learn(bed.said(), &mut routes);
            let kept: std::collections::BTreeSet<_> = bed.host.addresses().map(|info| (info.port, info.address)).collect();
            prop_assert_eq!(asked, kept);
            let on_link: std::collections::BTreeSet<Prefix> = bed.host.on_link_prefixes().map(|(_, prefix)| prefix).collect();
            let routed: std::collections::BTreeSet<Prefix> = routes.keys().copied().filter(|&prefix| prefix != Prefix::DEFAULT).collect();
            prop_assert_eq!(on_link, routed);
            match routes.get(&Prefix::DEFAULT) {
                Some(&Route::Via { port, next_hop }) => {
                    prop_assert!(bed.host.routers().any(|info| (info.port, info.address) == (port, next_hop)));
                }
                other => {
                    prop_assert_eq!(other, None);
                    prop_assert_eq!(bed.host.routers().count(), 0);
                }
            }
        }
        for port in [PORT, SECOND_PORT] {
            bed.command(Command::Notice(Notice::LinkDown(port)));
        }
        prop_assert!(learn(bed.said(), &mut routes).is_empty() && routes.is_empty());
        prop_assert_eq!(bed.host.poll_timeout(), None);
    }

    #[test]
    fn hostile_packets(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bed = Bed::mobile();
        let meta = RxMeta { port: PORT, link_source: None, link_multicast: true, tunnel: None };
        bed.host.handle_packet(bed.now, &meta, &bytes);
        prop_assert_eq!(bed.said(), []);
    }
}
