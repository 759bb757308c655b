//! Groups that go to their only listener's link-layer address (RFC 6085): who that is, as reports come and go.

mod net;

use core::net::Ipv6Addr;
use net::Net;
use net::site::{P0, access};
use pim::mld::{GroupView, Version};
use pim::{Command, Config, Delivery, InterfaceConfig, Limits, MldConfig, Participation};
use stack::addr::MacAddress;
use stack::rng::Rng;
use stack::time::Duration;
use stack::wire::mld::{Message, Record, RecordType, Report};
use std::collections::{BTreeMap, BTreeSet};

/// Of the mobility range: with one source each, and with any.
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 1);
const SHARED: Ipv6Addr = Ipv6Addr::new(0xff15, 1, 0, 0, 0, 0, 0, 1);
/// Of no such range.
const ORDINARY: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);
const ALLOW: RecordType = RecordType::AllowNewSources;
const BLOCK: RecordType = RecordType::BlockOldSources;
const TO_IN: RecordType = RecordType::ChangeToInclude;
const TO_EX: RecordType = RecordType::ChangeToExclude;

const MLD: fn() -> MldConfig = || MldConfig { delivery: Delivery::OnlyListener, ..MldConfig::default() };

fn source(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number)
}

fn host(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 7, 0, 0, number)
}

fn mac(number: u16) -> MacAddress {
    let [a, b] = number.to_be_bytes();
    MacAddress([2, 0, 0, 7, a, b])
}

fn link_with(interface: InterfaceConfig, limits: Limits) -> Net {
    let mut net = Net::default();
    let mobility_ranges = ["ff35::/64", "ff15:1::/64"].map(|range| range.parse().unwrap()).to_vec();
    net.add_node(Config { mobility_ranges, limits, ..Config::new(vec![interface], 1) });
    net.add_link(&[(0, P0)]);
    net.link_up_all();
    net
}

/// A link of hosts alone.
fn link() -> Net {
    let interface = InterfaceConfig { mld: Some(MLD()), participation: Participation::Passive, ..access(0, P0) };
    link_with(interface, Limits::default())
}

/// What a host with this number and link-layer address says of some sources.
fn say_from(net: &mut Net, link: Option<MacAddress>, from: u16, kind: RecordType, group: Ipv6Addr, sources: &[u16]) {
    let record = Record { kind, group, sources: sources.iter().copied().map(source).collect() };
    let report = Message::Report(Report { records: vec![record] });
    net.inject_from(0, P0, link, &report.packet(host(from)));
}

fn say(net: &mut Net, from: u16, kind: RecordType, group: Ipv6Addr, sources: &[u16]) {
    say_from(net, Some(mac(from)), from, kind, group, sources);
}

fn view(net: &Net, group: Ipv6Addr) -> Option<GroupView> {
    net.nodes[0].router.queriers().next().unwrap().1.groups().find(|view| view.group == group)
}

/// Where the data plane delivers a group; the querier says the same.
fn delivered(net: &Net, group: Ipv6Addr) -> Option<MacAddress> {
    let to = net.nodes[0].deliveries.get(&(P0, group)).copied();
    assert_eq!(view(net, group).and_then(|view| view.delivery), to);
    to
}

#[test]
fn one_listener_has_the_group_and_two_share_it() {
    for (group, join, leave, sources) in [(GROUP, ALLOW, BLOCK, &[1][..]), (SHARED, TO_EX, TO_IN, &[])] {
        let mut net = link();
        say(&mut net, 1, join, group, sources);
        assert_eq!(delivered(&net, group), Some(mac(1)));
        say(&mut net, 1, join, group, sources);
        assert_eq!(delivered(&net, group), Some(mac(1)), "and said once");
        // It is for both from the second one's report on, before anything else is sent or received.
        say(&mut net, 2, join, group, sources);
        assert_eq!(delivered(&net, group), None);
        say(&mut net, 1, leave, group, sources);
        assert_eq!(delivered(&net, group), Some(mac(2)), "the first has left");
        say(&mut net, 2, leave, group, sources);
        assert_eq!((delivered(&net, group), view(&net, group)), (None, None));
    }
}

#[test]
fn listeners_to_different_sources_are_two() {
    let mut net = link();
    say(&mut net, 1, ALLOW, GROUP, &[1]);
    say(&mut net, 2, ALLOW, GROUP, &[2]);
    assert_eq!(delivered(&net, GROUP), None);
    say(&mut net, 2, BLOCK, GROUP, &[2]);
    assert_eq!(delivered(&net, GROUP), Some(mac(1)));
}

/// A host that wants nothing of the group is none of its listeners, whatever it excludes.
#[test]
fn who_only_excludes_does_not_count() {
    let mut net = link();
    say(&mut net, 1, TO_EX, SHARED, &[]);
    say(&mut net, 2, BLOCK, SHARED, &[1]);
    assert_eq!(view(&net, SHARED).unwrap().hosts.len(), 2);
    assert_eq!(delivered(&net, SHARED), Some(mac(1)));
}

#[test]
fn the_link_layer_address_is_that_of_the_last_report() {
    let mut net = link();
    say(&mut net, 1, ALLOW, GROUP, &[1]);
    say(&mut net, 1, TO_EX, SHARED, &[]);
    // All groups of the host follow at once.
    say_from(&mut net, Some(mac(9)), 1, ALLOW, GROUP, &[1]);
    assert_eq!((delivered(&net, GROUP), delivered(&net, SHARED)), (Some(mac(9)), Some(mac(9))));
    for unusable in
        [None, Some(MacAddress::default()), Some(MacAddress::BROADCAST), Some(MacAddress([1, 0, 0, 0, 0, 1]))]
    {
        say_from(&mut net, unusable, 1, ALLOW, GROUP, &[1]);
        assert_eq!((delivered(&net, GROUP), delivered(&net, SHARED)), (None, None), "{unusable:?}");
        say(&mut net, 1, ALLOW, GROUP, &[1]);
        assert_eq!((delivered(&net, GROUP), delivered(&net, SHARED)), (Some(mac(1)), Some(mac(1))));
    }
    // Another host's address says nothing of this one.
    say(&mut net, 2, ALLOW, GROUP, &[1]);
    say_from(&mut net, Some(mac(8)), 2, BLOCK, GROUP, &[1]);
    assert_eq!((delivered(&net, GROUP), delivered(&net, SHARED)), (Some(mac(1)), Some(mac(1))));
}

/// RFC 2710 §4: of hosts of version 1 one speaks for all.
#[test]
fn a_host_of_version_1_may_be_any_number() {
    let mut net = link();
    say(&mut net, 1, TO_EX, SHARED, &[]);
    let start = net.now;
    let older = Message::V1Report { group: SHARED }.packet(host(2));
    net.inject_from(0, P0, Some(mac(2)), &older);
    assert_eq!((delivered(&net, SHARED), view(&net, SHARED).unwrap().version), (None, Version::V1));
    // The only one that is heard is of version 1, too.
    let mut net_of_one = link();
    net_of_one.inject_from(0, P0, Some(mac(2)), &older);
    assert_eq!(view(&net_of_one, SHARED).unwrap().hosts.len(), 1);
    assert_eq!(delivered(&net_of_one, SHARED), None);
    // It is not heard any more: its group is asked for every 30 s, and it is forgotten when it has not answered for two
    // of these and a response interval.
    let listening_interval = Duration::from_secs(2 * 30 + 1);
    while net.now < start + listening_interval {
        net.run_for(Duration::from_secs(20));
        say(&mut net, 1, RecordType::ModeIsExclude, SHARED, &[]);
        let is_over = net.now > start + listening_interval;
        assert_eq!(delivered(&net, SHARED), is_over.then_some(mac(1)), "at {:?}", net.now);
    }
}

#[test]
fn a_listener_that_is_not_tracked_may_be_there() {
    let limits = Limits { hosts_per_group: 2, groups_per_host: 2, sources_per_host: 3, ..Limits::default() };
    let interface = InterfaceConfig { mld: Some(MLD()), participation: Participation::Passive, ..access(0, P0) };
    let bed = || link_with(interface.clone(), limits);
    let other = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 2);

    let mut net = bed();
    for from in 1..=3 {
        say(&mut net, from, ALLOW, GROUP, &[1]);
    }
    for from in 2..=3 {
        say(&mut net, from, BLOCK, GROUP, &[1]);
    }
    assert_eq!(view(&net, GROUP).unwrap().hosts.len(), 1);
    assert_eq!(delivered(&net, GROUP), None, "one host too many was there");

    // A host beyond its own limits listens all the same.
    let refused: [(&[Ipv6Addr], &[u16]); 2] = [(&[SHARED, ORDINARY], &[1]), (&[SHARED], &[1, 2, 3])];
    for (full, sources) in refused {
        let mut net = bed();
        say(&mut net, 1, ALLOW, GROUP, &[1]);
        say(&mut net, 1, ALLOW, other, &[1]);
        for &group in full {
            say(&mut net, 2, ALLOW, group, sources);
        }
        assert_eq!(delivered(&net, GROUP), Some(mac(1)));
        say(&mut net, 2, ALLOW, GROUP, &[1]);
        assert_eq!(view(&net, GROUP).unwrap().hosts.len(), 1);
        assert_eq!((delivered(&net, GROUP), delivered(&net, other)), (None, Some(mac(1))), "{full:?}");
        // Nor is the other one believed to be the last.
        say(&mut net, 1, BLOCK, GROUP, &[1]);
        assert!(view(&net, GROUP).is_some());
    }
    // What is refused of a host that is tracked makes no further listener.
    let mut net = bed();
    say(&mut net, 1, ALLOW, GROUP, &[1, 2, 3]);
    say(&mut net, 1, ALLOW, GROUP, &[4]);
    assert_eq!(delivered(&net, GROUP), Some(mac(1)));
}

#[test]
fn only_where_it_is_configured_and_for_the_mobility_range() {
    let passive = Participation::Passive;
    for (mld, participation, group, is_delivered) in [
        (MLD(), passive, GROUP, true),
        (MLD(), passive, SHARED, true),
        (MLD(), passive, ORDINARY, false),
        (MldConfig::default(), passive, GROUP, false),
        // Another router of the link could want the group.
        (MLD(), Participation::Active, GROUP, false),
        (MldConfig { version: Version::V1, ..MLD() }, passive, SHARED, false),
    ] {
        let what = format!("{mld:?}, {participation:?}, {group}");
        let interface = InterfaceConfig { mld: Some(mld), participation, ..access(0, P0) };
        let mut net = link_with(interface, Limits::default());
        say(&mut net, 1, ALLOW, group, &[1]);
        assert!(view(&net, group).is_some());
        assert_eq!(delivered(&net, group), is_delivered.then_some(mac(1)), "{what}");
    }
}

#[test]
fn nothing_stays_of_a_listener_that_vanishes_or_of_a_link_that_is_down() {
    let mut net = link();
    say(&mut net, 1, ALLOW, GROUP, &[1]);
    net.run_for(Duration::from_secs(2 * 30));
    assert_eq!(delivered(&net, GROUP), Some(mac(1)));
    net.run_for(Duration::from_secs(1));
    assert_eq!((delivered(&net, GROUP), view(&net, GROUP)), (None, None));

    say(&mut net, 1, ALLOW, GROUP, &[1]);
    say(&mut net, 1, TO_EX, SHARED, &[]);
    assert_eq!(net.nodes[0].deliveries.len(), 2);
    net.command(0, Command::LinkDown(P0));
    assert!(net.nodes[0].deliveries.is_empty());
    net.command(0, Command::LinkUp(P0));
    say(&mut net, 1, ALLOW, GROUP, &[1]);
    assert_eq!(delivered(&net, GROUP), Some(mac(1)));

    // Of two listeners one vanishes: the other is the only one when the group is asked for after that.
    say(&mut net, 2, ALLOW, GROUP, &[1]);
    let start = net.now;
    while delivered(&net, GROUP).is_none() {
        net.run_for(Duration::from_secs(10));
        say(&mut net, 1, RecordType::ModeIsInclude, GROUP, &[1]);
        assert!(net.now <= start + Duration::from_secs(70), "after its listening interval");
    }
    assert!(net.now > start + Duration::from_secs(60));
    assert_eq!(delivered(&net, GROUP), Some(mac(1)));
}

/// Hosts come, go and change their link-layer addresses: at each moment the only listener of a group, where that is
/// known, has it alone.
#[test]
fn whatever_hosts_say_the_only_listener_has_it() {
    let groups = [GROUP, SHARED, Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 2)];
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let mut net = link();
        let mut wants: BTreeMap<Ipv6Addr, BTreeSet<(u16, u16)>> = BTreeMap::new();
        let mut links: BTreeMap<u16, Option<MacAddress>> = (1..=4).map(|from| (from, Some(mac(from)))).collect();
        for _ in 0..150 {
            let (from, wanted) = (1 + rng.below(4) as u16, 1 + rng.below(2) as u16);
            let group = groups[rng.below(3) as usize];
            if rng.below(6) == 0 {
                links.insert(from, [None, Some(mac(from)), Some(mac(from + 16))][rng.below(3) as usize]);
            }
            let of_group = wants.entry(group).or_default();
            let kind = match rng.below(2) {
                0 => {
                    of_group.insert((from, wanted));
                    ALLOW
                }
                _ => {
                    of_group.remove(&(from, wanted));
                    BLOCK
                }
            };
            let is_heard = kind == ALLOW || of_group.iter().any(|&(other, _)| other == from);
            say_from(&mut net, links[&from], from, kind, group, &[wanted]);
            net.run_for(Duration::from_millis(rng.below(20)));
            // The others say where they are, so that the model needs no memory of it.
            if !is_heard {
                continue;
            }
            for other in groups {
                let listeners: BTreeSet<u16> = wants.get(&other).into_iter().flatten().map(|&(from, _)| from).collect();
                let expected = match listeners.iter().collect::<Vec<_>>()[..] {
                    [only] if *only == from => links[only],
                    [only] => {
                        let own = wants[&other].iter().find(|&&(from, _)| from == *only).unwrap().1;
                        say_from(&mut net, links[only], *only, ALLOW, other, &[own]);
                        links[only]
                    }
                    _ => None,
                };
                assert_eq!(delivered(&net, other), expected, "seed {seed}: {other} of {listeners:?}");
            }
        }
    }
}
