use super::super::message::{Ignored, Message, Presence, RouteNews, messages};
use super::*;

const MAIN: u32 = 254;
const OSPF: u8 = 188;
const ETH0: u32 = 2;
const ETH1: u32 = 3;
const OTHER: u32 = 9;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn config() -> KernelConfig {
    KernelConfig { tables: vec![MAIN, 10], max_routes: 100, ..KernelConfig::default() }
}

/// A mirror that knows two ports' interfaces and another one.
fn mirror(config: KernelConfig) -> Mirror {
    let ports = [("eth0", 0), ("eth1", 1)].map(|(name, port)| (name.to_owned(), PortId(port)));
    let mut mirror = Mirror::new(config, ports.into(), [address("2001:db8:1::1")], Arc::default());
    mirror.begin_dump();
    for (index, name) in [(ETH0, "eth0"), (ETH1, "eth1"), (OTHER, "mgmt0")] {
        assert!(!mirror.take(link(index, name, true), true));
    }
    assert!(!mirror.end_dump());
    mirror
}

fn link(index: u32, name: &str, running: bool) -> Message {
    Message::Link { presence: Presence::There, index, name: Some(name.to_owned()), running }
}

fn via(interface: u32, last: u16) -> Hop {
    Hop { interface, way: Way::Via(gateway(last)), protocol: OSPF }
}

fn gateway(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last)
}

fn news(to: &str, metric: u32, hops: Vec<Hop>) -> RouteNews {
    RouteNews { table: MAIN, prefix: prefix(to), metric, protocol: OSPF, replaces: true, hops: Ok(hops) }
}

fn there(to: &str, metric: u32, hops: Vec<Hop>) -> Message {
    Message::Route(Presence::There, news(to, metric, hops))
}

fn gone(to: &str, metric: u32, hops: Vec<Hop>) -> Message {
    Message::Route(Presence::Gone, news(to, metric, hops))
}

/// All changes for the worker: prefix, and where it leads.
fn changes(mirror: &mut Mirror) -> Vec<(String, Option<Route>)> {
    let mut all = Vec::new();
    while mirror.has_changes() {
        all.extend(mirror.changes(2).into_iter().filter_map(|change| match change {
            KernelChange::Route(prefix, route) => Some((prefix.to_string(), route.map(|route| route.route))),
            KernelChange::Addresses(..) => None,
        }));
    }
    all
}

fn route(port: u8, last: u16) -> Option<Route> {
    Some(Route::Via { port: PortId(port), next_hop: gateway(last) })
}

fn only(prefix: &str, route: Option<Route>) -> Vec<(String, Option<Route>)> {
    vec![(prefix.to_owned(), route)]
}

#[test]
fn the_lowest_metric_of_the_first_table_counts() {
    let mut mirror = mirror(config());
    let net = "2001:db8:5::/48";
    mirror.take(there(net, 20, vec![via(ETH0, 1)]), false);
    assert_eq!(changes(&mut mirror), only(net, route(0, 1)));
    mirror.take(there(net, 30, vec![via(ETH1, 2)]), false);
    let second = RouteNews { table: 10, ..news(net, 1, vec![via(ETH1, 3)]) };
    mirror.take(Message::Route(Presence::There, second), false);
    assert_eq!(changes(&mut mirror), [], "what the worker knows is still right");
    mirror.take(gone(net, 20, vec![via(ETH0, 1)]), false);
    assert_eq!(changes(&mut mirror), only(net, route(1, 2)));
    mirror.take(gone(net, 30, vec![via(ETH1, 2)]), false);
    assert_eq!(changes(&mut mirror), only(net, route(1, 3)));
    let second = RouteNews { table: 10, ..news(net, 1, vec![]) };
    mirror.take(Message::Route(Presence::Gone, second), false);
    assert_eq!(changes(&mut mirror), only(net, None));
}

#[test]
fn what_comes_and_goes_before_the_worker_asks_is_no_change() {
    let mut mirror = mirror(config());
    for _ in 0..1000 {
        mirror.take(there("2001:db8:5::/48", 20, vec![via(ETH0, 1)]), false);
        mirror.take(gone("2001:db8:5::/48", 20, vec![]), false);
    }
    assert_eq!(changes(&mut mirror), []);
}

#[test]
fn several_next_hops_share_prefixes_and_lose_only_their_own() {
    let mut mirror = mirror(config());
    let nets: Vec<String> = (1..=64).map(|number| format!("2001:db8:{number:x}::/48")).collect();
    for net in &nets {
        mirror.take(there(net, 20, vec![via(ETH0, 1), via(ETH1, 2)]), false);
    }
    let before = changes(&mut mirror);
    let by_first = before.iter().filter(|(_, to)| *to == route(0, 1)).count();
    assert!((16..=48).contains(&by_first), "{by_first}");
    // The carrier of one is lost: the kernel says no more than that.
    assert!(mirror.take(link(ETH1, "eth1", false), false));
    let after = changes(&mut mirror);
    assert_eq!(after.len(), nets.len() - by_first);
    assert!(after.iter().all(|(_, to)| *to == route(0, 1)));
    mirror.take(link(ETH1, "eth1", true), false);
    assert_eq!(changes(&mut mirror).len(), nets.len() - by_first, "as before");
    // A sibling goes, and comes back.
    mirror.take(gone(&nets[0], 20, vec![via(ETH0, 1)]), false);
    mirror.take(gone(&nets[1], 20, vec![via(ETH1, 2)]), false);
    let [first, second] = [0, 1].map(|net| mirror.best(prefix(&nets[net])).map(|best| best.route));
    assert_eq!([first, second], [route(1, 2), route(0, 1)]);
    let joins = RouteNews { replaces: false, ..news(&nets[1], 20, vec![via(ETH1, 2)]) };
    mirror.take(Message::Route(Presence::There, joins), false);
    assert_eq!(
        mirror.best(prefix(&nets[1])).map(|best| best.route),
        before.iter().find(|(net, _)| *net == nets[1]).unwrap().1
    );
}

#[test]
fn what_leads_nowhere_for_the_node_is_counted() {
    let config = KernelConfig { protocols: Some([OSPF].into()), ..config() };
    let mut mirror = mirror(config);
    mirror.take(there("2001:db8:5::/48", 20, vec![via(OTHER, 1)]), false);
    mirror.take(there("fe80::/64", 20, vec![via(ETH0, 1)]), false);
    mirror.take(there("ff00::/8", 20, vec![via(ETH0, 1)]), false);
    let of = |change: fn(&mut RouteNews)| {
        let mut news = news("2001:db8:6::/48", 20, vec![via(ETH0, 1)]);
        change(&mut news);
        Message::Route(Presence::There, news)
    };
    mirror.take(of(|news| news.protocol = 2), false);
    mirror.take(of(|news| news.table = 77), false);
    mirror.take(of(|news| news.table = LOCAL_TABLE), false);
    mirror.take(of(|news| news.hops = Err(Ignored::Kind)), false);
    mirror.take(of(|news| news.hops = Err(Ignored::Object)), false);
    assert_eq!(changes(&mut mirror), []);
    let counted: Vec<u64> =
        mirror.counters.iter().filter(|(name, _)| name.starts_with("ignored")).map(|(_, n)| n).collect();
    assert_eq!(counted, [1; 5]);
    for (way, route) in [(Way::Blackhole, Route::Blackhole), (Way::Unreachable, Route::Unreachable)] {
        let hop = Hop { interface: 0, way, protocol: OSPF };
        mirror.take(there("2001:db8:7::/48", 20, vec![hop]), false);
        assert_eq!(changes(&mut mirror), only("2001:db8:7::/48", Some(route)));
    }
    // One of ours is replaced by one of another protocol.
    mirror.take(
        Message::Route(Presence::There, RouteNews { protocol: 2, ..news("2001:db8:7::/48", 20, vec![via(ETH0, 1)]) }),
        false,
    );
    assert_eq!(changes(&mut mirror), only("2001:db8:7::/48", None));
}

#[test]
fn a_dump_takes_away_what_it_does_not_have() {
    let mut mirror = mirror(config());
    for net in ["2001:db8:5::/48", "2001:db8:6::/48"] {
        mirror.take(there(net, 20, vec![via(ETH0, 1)]), false);
    }
    changes(&mut mirror);
    mirror.begin_dump();
    mirror.take(link(ETH0, "eth0", true), true);
    mirror.take(link(ETH1, "eth1", true), true);
    mirror.take(there("2001:db8:6::/48", 20, vec![via(ETH0, 1)]), true);
    // Both come by themselves meanwhile, and the dump has something older of one of them.
    mirror.take(there("2001:db8:7::/48", 20, vec![via(ETH1, 2)]), false);
    mirror.take(there("2001:db8:8::/48", 20, vec![via(ETH1, 2)]), false);
    mirror.take(there("2001:db8:8::/48", 20, vec![via(ETH0, 9)]), true);
    assert!(mirror.end_dump(), "another one tells whether that was right");
    let mut found = changes(&mut mirror);
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let wanted = [("2001:db8:5::/48", None), ("2001:db8:7::/48", route(1, 2)), ("2001:db8:8::/48", route(1, 2))];
    assert_eq!(found, wanted.map(|(net, to)| (net.to_owned(), to)));
    // The interface was made anew: its routes were of the old one.
    mirror.begin_dump();
    mirror.take(link(12, "eth0", true), true);
    mirror.take(there("2001:db8:6::/48", 20, vec![via(12, 1)]), true);
    assert!(!mirror.end_dump());
    let found: BTreeMap<String, Option<Route>> = changes(&mut mirror).into_iter().collect();
    assert_eq!(found, [("2001:db8:7::/48".to_owned(), None), ("2001:db8:8::/48".to_owned(), None)].into());
}

#[test]
fn an_interface_that_becomes_a_ports_is_asked_for() {
    let mut mirror = mirror(config());
    assert!(mirror.take(link(OTHER, "eth1", true), false));
    assert!(mirror.take(Message::Link { presence: Presence::Gone, index: ETH1, name: None, running: false }, false));
    assert!(!mirror.take(link(77, "new0", true), false));
}

#[test]
fn there_are_as_many_routes_as_there_is_room_for() {
    let mut mirror = mirror(KernelConfig { max_routes: 8, ..config() });
    let net = |number: u16| format!("2001:db8:{number:x}::/48");
    for number in 0..10 {
        mirror.take(there(&net(number), 20, vec![via(ETH0, 1)]), false);
    }
    assert_eq!((changes(&mut mirror).len(), mirror.counters.refused_routes.value()), (8, 2));
    assert!(mirror.refused && !mirror.has_room_again());
    for number in 0..2 {
        mirror.take(gone(&net(number), 20, vec![]), false);
    }
    assert!(mirror.has_room_again());
}

#[test]
fn the_kernels_addresses_are_told_by_port() {
    let mut mirror = mirror(config());
    let news = |presence, index, text| Message::Address { presence, index, address: address(text) };
    for (index, text) in [(ETH0, "fe80::9"), (ETH0, "2001:db8:1::1"), (OTHER, "fe80::8"), (OTHER, "2001:db8:9::9")] {
        mirror.take(news(Presence::There, index, text), false);
    }
    assert!(mirror.take_address_news() && !mirror.take_address_news());
    // That of a link is good there alone, others reach the kernel everywhere.
    assert_eq!(
        mirror.reached_by(PortId(0)).collect::<BTreeSet<_>>(),
        ["fe80::9", "2001:db8:1::1", "2001:db8:9::9"].map(address).into()
    );
    assert_eq!(
        mirror.reached_by(PortId(1)).collect::<BTreeSet<_>>(),
        ["2001:db8:1::1", "2001:db8:9::9"].map(address).into()
    );
    let told = mirror.changes(10);
    assert!(told.contains(&KernelChange::Addresses(PortId(0), vec![address("fe80::9")])), "{told:?}");
    let is_hosts = |change: &KernelChange| matches!(change, KernelChange::Route(prefix, Some(_)) if *prefix == Prefix::host(address("2001:db8:9::9")));
    assert!(told.iter().any(is_hosts) && told.len() == 2, "{told:?}");
    mirror.take(news(Presence::Gone, OTHER, "2001:db8:9::9"), false);
    assert_eq!(changes(&mut mirror), only("2001:db8:9::9/128", None));
}

/// What ever comes out of a netlink socket is survived, and read no further than it goes.
#[test]
fn reading_never_panics() {
    let attribute = |kind: u16, value: &[u8]| {
        let mut octets = [((4 + value.len()) as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
        octets.extend(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    };
    let message = |kind: u16, body: &[u8]| {
        let length = (16 + body.len()) as u32;
        let mut octets = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        octets.extend(body);
        octets
    };
    let destination = address("2001:db8:5::").octets();
    let hop = [&[28, 0, 0, 0, 2, 0, 0, 0][..], &attribute(5, &gateway(1).octets())].concat();
    let of_route = [
        &[10, 48, 0, 0, 254, OSPF, 0, 1, 0, 0, 0, 0][..],
        &attribute(1, &destination),
        &attribute(6, &20u32.to_ne_bytes()),
        &attribute(9, &[hop.clone(), hop].concat()),
    ]
    .concat();
    let of_link =
        [&[0; 4][..], &2u32.to_ne_bytes(), &0x10043u32.to_ne_bytes(), &[0; 4], &attribute(3, b"eth0\0")].concat();
    let of_address = [&[10, 64, 0, 0, 2, 0, 0, 0][..], &attribute(1, &gateway(7).octets())].concat();
    let whole = [message(16, &of_link), message(20, &of_address), message(24, &of_route)].concat();
    let read = |octets: &[u8]| {
        let mut all = Vec::new();
        messages(octets, |message| all.push(message));
        all
    };
    let all = read(&whole);
    assert!(
        matches!(&all[0], Message::Link { index: 2, running: true, name: Some(name), .. } if name == "eth0"),
        "{all:?}"
    );
    assert!(matches!(all[1], Message::Address { index: 2, address, .. } if address == gateway(7)), "{all:?}");
    let wanted = RouteNews { replaces: false, ..news("2001:db8:5::/48", 20, vec![via(ETH0, 1); 2]) };
    assert_eq!(all[2], Message::Route(Presence::There, wanted));
    for length in 0..whole.len() {
        read(&whole[..length]);
    }
    let mut state = 1u32;
    for _ in 0..20_000 {
        let mut octets = whole.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (state >> 8) as usize % octets.len();
            octets[at] = state as u8 ^ (state >> 24) as u8;
        }
        read(&octets);
    }
}
