//! What hosts can make a querier hold: each of them little, whatever it says, and all of them together no more than the
//! port has room for.

mod net;

use core::net::Ipv6Addr;
use net::Net;
use net::site::{P0, access};
use pim::mld::GroupView;
use pim::{Config, Counters, Limits};
use stack::time::Duration;
use stack::wire::mld::{Record, RecordType, Report};

const LIMITS: Limits = Limits {
    sources: 100,
    entries: 1000,
    neighbors: 4,
    groups_per_port: 20,
    groups_per_host: 4,
    sources_per_host: 10,
    sources_per_group: 6,
    hosts_per_group: 3,
    tracked_per_port: 24,
};

fn router() -> Net {
    let mut net = Net::default();
    net.add_node(Config { limits: LIMITS, ..Config::new(vec![access(0, P0)], 1) });
    net.add_link(&[(0, P0)]);
    net.link_up_all();
    net
}

fn host(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 7, 0, 0, number)
}

fn group(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, number)
}

fn sources(numbers: core::ops::Range<u16>) -> Vec<Ipv6Addr> {
    numbers.map(|number| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number + 1)).collect()
}

fn say(net: &mut Net, from: u16, kind: RecordType, about: u16, numbers: core::ops::Range<u16>) {
    let record = Record { kind, group: group(about), sources: sources(numbers) };
    for packet in (Report { records: vec![record] }).packets(host(from), 1500) {
        net.inject(0, P0, &packet);
    }
}

fn groups(net: &Net) -> Vec<GroupView> {
    net.nodes[0].router.queriers().next().unwrap().1.groups().collect()
}

fn counters(net: &Net) -> &Counters {
    net.nodes[0].router.counters()
}

/// How many sources are kept of a group; nothing where there is no such group.
fn kept(net: &Net, about: u16) -> usize {
    groups(net).into_iter().find(|view| view.group == group(about)).map_or(0, |view| view.sources.len())
}

#[test]
fn one_host_cannot_use_up_the_port() {
    let mut net = router();
    for about in 0..1000 {
        say(&mut net, 1, RecordType::ChangeToExclude, about, 0..0);
    }
    assert_eq!((groups(&net).len(), counters(&net).drop_mld_host_limit), (4, 996));
    for about in 2000..2004 {
        say(&mut net, 2, RecordType::AllowNewSources, about, 0..1);
    }
    assert_eq!(groups(&net).len(), 8, "others find room");
    // What it leaves makes room for another one.
    say(&mut net, 1, RecordType::ChangeToInclude, 0, 0..0);
    say(&mut net, 1, RecordType::ChangeToExclude, 4, 0..0);
    net.run_for(Duration::from_secs(3));
    assert_eq!(groups(&net).len(), 8);
    assert!(groups(&net).iter().any(|view| view.group == group(4)));
}

#[test]
fn hosts_together_end_at_the_ports_limit() {
    let mut net = router();
    for from in 0..100 {
        say(&mut net, from, RecordType::AllowNewSources, from, 0..1);
    }
    assert_eq!((groups(&net).len(), counters(&net).drop_mld_port_limit), (20, 80));

    // Where no more hosts can be tracked, no more groups are taken: nothing would bound their hosts.
    let mut net = router();
    for from in 0..12 {
        for about in [from / 3, 100 + from / 3] {
            say(&mut net, from, RecordType::AllowNewSources, about, 0..1);
        }
    }
    assert_eq!((groups(&net).len(), counters(&net).drop_mld_port_limit), (8, 0));
    say(&mut net, 50, RecordType::AllowNewSources, 200, 0..1);
    assert_eq!((groups(&net).len(), counters(&net).drop_mld_port_limit), (8, 1));
    say(&mut net, 50, RecordType::AllowNewSources, 0, 1..2);
    assert_eq!((kept(&net, 0), counters(&net).mld_untracked_hosts), (2, 1), "groups that are there are open to all");
}

#[test]
fn a_group_keeps_so_many_sources() {
    let mut net = router();
    say(&mut net, 1, RecordType::AllowNewSources, 0, 0..4);
    say(&mut net, 2, RecordType::AllowNewSources, 0, 4..7);
    assert_eq!((kept(&net, 0), counters(&net).drop_mld_source_limit), (4, 1));
    say(&mut net, 2, RecordType::AllowNewSources, 0, 2..6);
    assert_eq!((kept(&net, 0), counters(&net).drop_mld_source_limit), (6, 1));
    // The list of a record in EXCLUDE mode replaces the old ones.
    say(&mut net, 3, RecordType::ChangeToExclude, 0, 3..9);
    assert_eq!((kept(&net, 0), counters(&net).drop_mld_source_limit), (6, 1));
    say(&mut net, 3, RecordType::ChangeToExclude, 0, 3..10);
    assert_eq!((kept(&net, 0), counters(&net).drop_mld_source_limit), (6, 2));
}

#[test]
fn a_host_names_so_many_sources() {
    use RecordType::{
        AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude, ModeIsInclude,
    };
    for kind in [AllowNewSources, ModeIsInclude, ChangeToInclude, ChangeToExclude, ModeIsExclude] {
        let mut net = router();
        for about in 0..4 {
            say(&mut net, 1, kind, about, 0..5);
        }
        let all: usize = (0..4).map(|about| kept(&net, about)).sum();
        assert_eq!((all, counters(&net).drop_mld_host_source_limit), (10, 2), "{kind:?}");
        // To say the same again costs nothing, and another host has room of its own.
        say(&mut net, 1, kind, 0, 0..5);
        say(&mut net, 2, kind, 3, 0..5);
        assert_eq!((kept(&net, 3), counters(&net).drop_mld_host_source_limit), (5, 2), "{kind:?}");
        // A shorter list makes room for another one.
        say(&mut net, 1, ChangeToExclude, 0, 0..0);
        say(&mut net, 1, ChangeToExclude, 2, 0..5);
        assert_eq!((kept(&net, 2), counters(&net).drop_mld_host_source_limit), (5, 2), "{kind:?}");
    }
    // What it does not want counts too, where the groups of others have to keep it.
    let mut net = router();
    for about in 0..4 {
        say(&mut net, 2, ChangeToExclude, about, 0..0);
        say(&mut net, 1, BlockOldSources, about, 0..5);
    }
    let all: usize = (0..4).map(|about| kept(&net, about)).sum();
    assert_eq!((all, counters(&net).drop_mld_host_source_limit), (10, 2));
    // Where they keep it already it is noted of the host as far as there is room.
    let mut net = router();
    for about in 0..4 {
        say(&mut net, 2 + about / 2, ChangeToExclude, about, 0..5);
        say(&mut net, 1, AllowNewSources, about, 5..6);
        say(&mut net, 1, BlockOldSources, about, 0..5);
    }
    let hosts = groups(&net).into_iter().flat_map(|view| view.hosts).filter(|view| view.address == host(1));
    assert_eq!(hosts.map(|host| host.sources.len() + host.excluded.len()).sum::<usize>(), 10);
    assert_eq!(groups(&net).len(), 4);
}

#[test]
fn who_has_reached_its_limits_can_leave() {
    let mut net = router();
    for about in 0..4 {
        say(&mut net, 1, RecordType::AllowNewSources, about, 0..5);
    }
    say(&mut net, 1, RecordType::AllowNewSources, 0, 5..6);
    assert_eq!((groups(&net).len(), counters(&net).drop_mld_host_source_limit), (2, 3));
    let dropped = *counters(&net);
    say(&mut net, 1, RecordType::BlockOldSources, 0, 0..60);
    say(&mut net, 1, RecordType::ChangeToInclude, 1, 0..1);
    net.run_for(Duration::from_secs(3));
    assert_eq!((kept(&net, 0), kept(&net, 1)), (0, 1));
    assert_eq!(counters(&net).drop_mld_source_limit, dropped.drop_mld_source_limit);
    assert_eq!(counters(&net).drop_mld_host_source_limit, dropped.drop_mld_host_source_limit);
    say(&mut net, 1, RecordType::AllowNewSources, 2, 0..6);
    assert_eq!(kept(&net, 2), 6);
}

#[test]
fn silence_makes_room() {
    let mut net = router();
    for about in 0..4 {
        say(&mut net, 1, RecordType::AllowNewSources, about, 0..2);
    }
    say(&mut net, 1, RecordType::ChangeToExclude, 3, 0..4);
    net.run_for(Duration::from_secs(260));
    assert_eq!(groups(&net), []);
    for about in 10..14 {
        say(&mut net, 1, RecordType::AllowNewSources, about, 0..2);
    }
    say(&mut net, 1, RecordType::AllowNewSources, 10, 2..4);
    assert_eq!((groups(&net).len(), kept(&net, 10)), (4, 4));
    assert_eq!((counters(&net).drop_mld_host_limit, counters(&net).drop_mld_host_source_limit), (0, 0));
}

/// Records for other hosts' groups leave no trace of who sent them, so that nobody is kept from leaving at once.
#[test]
fn who_asks_for_nothing_is_not_tracked() {
    let mut net = router();
    say(&mut net, 1, RecordType::AllowNewSources, 0, 0..1);
    for from in 2..100 {
        say(&mut net, from, RecordType::ChangeToInclude, 0, 0..0);
        say(&mut net, from, RecordType::BlockOldSources, 0, 0..1);
        say(&mut net, from, RecordType::BlockOldSources, 1, 0..1);
    }
    let hosts: Vec<Ipv6Addr> = groups(&net).iter().flat_map(|view| &view.hosts).map(|host| host.address).collect();
    assert_eq!((hosts, counters(&net).mld_untracked_hosts), (vec![host(1)], 0));
}
