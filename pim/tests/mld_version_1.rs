//! Hosts and routers of MLD version 1 beside a querier (RFC 3810 §8.3, RFC 2710).

mod net;

use core::net::Ipv6Addr;
use net::site::{P0, access};
use net::{Net, Sent};
use pim::mld::{GroupView, QuerierState, Version};
use pim::{Config, Event, InterfaceConfig, Limits, MldConfig};
use stack::time::{Duration, Instant};
use stack::wire::mld::{MAX_V1_RESPONSE_DELAY, Message, Query, Record, RecordType, Report};

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);
/// Of the mobility range.
const TERMINALS: Ipv6Addr = Ipv6Addr::new(0xff15, 1, 0, 0, 0, 0, 0, 1);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// Below and above the router's own interface identifier.
const LOWER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const HIGHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0xffff, 0, 0, 1);
const LISTENING_INTERVAL: Duration = Duration::from_secs(260);

fn host(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 7, 0, 0, last)
}

/// A router with one link of hosts.
fn link(mld: MldConfig, limits: Limits) -> Net {
    let interface = InterfaceConfig { mld: Some(mld), ..access(0, P0) };
    let mobility_ranges = vec!["ff15:1::/64".parse().unwrap()];
    let mut net = Net::default();
    net.add_node(Config { mobility_ranges, limits, ..Config::new(vec![interface], 1) });
    net.add_link(&[(0, P0)]);
    net.link_up_all();
    net
}

fn of_version(version: Version) -> Net {
    link(MldConfig { version, ..MldConfig::default() }, Limits::default())
}

fn hear(net: &mut Net, from: Ipv6Addr, message: &Message) {
    net.inject(0, P0, &message.packet(from));
}

fn report(net: &mut Net, from: Ipv6Addr, kind: RecordType, sources: &[Ipv6Addr]) {
    let record = Record { kind, group: GROUP, sources: sources.to_vec() };
    hear(net, from, &Message::Report(Report { records: vec![record] }));
}

fn view(net: &Net, group: Ipv6Addr) -> Option<GroupView> {
    net.nodes[0].router.queriers().next().unwrap().1.groups().find(|view| view.group == group)
}

fn state(net: &Net) -> QuerierState {
    net.nodes[0].router.queriers().next().unwrap().1.state()
}

/// The queries for groups that left since `start`, with their times in milliseconds after it.
fn asked(net: &Net, start: Instant) -> Vec<(u64, Message)> {
    let group = |sent: &Sent| match sent.mld()? {
        Message::Query(Query { group, .. }) | Message::V1Query { group, .. } if group.is_unspecified() => None,
        message => Some(((sent.at - start).as_millis() as u64, message)),
    };
    net.sent.iter().filter(|sent| sent.at >= start).filter_map(group).collect()
}

fn mismatches(net: &Net) -> Vec<(Ipv6Addr, Version)> {
    let told = |event: &Event| match *event {
        Event::MldVersionMismatch { port: P0, address, version, .. } => Some((address, version)),
        _ => None,
    };
    net.nodes[0].events.iter().filter_map(told).collect()
}

#[test]
fn a_report_is_for_all_sources_and_done_is_asked_about() {
    let mut net = of_version(Version::V2);
    hear(&mut net, host(1), &Message::V1Report { group: GROUP });
    let heard = view(&net, GROUP).unwrap();
    assert_eq!((heard.is_include(), heard.sources.len(), heard.version), (false, 0, Version::V1));
    assert_eq!(heard.filter_timer, Some(net.now + LISTENING_INTERVAL));

    net.run_for(Duration::from_secs(10));
    let start = net.now;
    hear(&mut net, host(1), &Message::V1Done { group: GROUP });
    net.run_for(Duration::from_millis(1_999));
    assert!(view(&net, GROUP).is_some(), "somebody may still answer");
    net.run_for(Duration::from_millis(1));
    assert_eq!(view(&net, GROUP), None);
    // The querier goes on to ask in version 2, which hosts of version 1 read too.
    let query = Message::Query(Query {
        group: GROUP,
        max_response_delay: Duration::from_secs(1),
        suppress: false,
        robustness: 2,
        query_interval: Duration::from_secs(125),
        sources: Vec::new(),
    });
    assert_eq!(asked(&net, start), [(0, query.clone()), (1_000, query)]);
}

#[test]
fn who_answers_stays() {
    let mut net = of_version(Version::V2);
    for last in [1, 2] {
        hear(&mut net, host(last), &Message::V1Report { group: GROUP });
    }
    hear(&mut net, host(1), &Message::V1Done { group: GROUP });
    net.run_for(Duration::from_millis(500));
    let heard_at = net.now;
    hear(&mut net, host(2), &Message::V1Report { group: GROUP });
    net.run_for(Duration::from_secs(5));
    assert_eq!(view(&net, GROUP).unwrap().filter_timer, Some(heard_at + LISTENING_INTERVAL));
}

#[test]
fn lists_of_excluded_sources_do_not_count_while_such_a_host_is_there() {
    let mut net = of_version(Version::V2);
    hear(&mut net, host(1), &Message::V1Report { group: GROUP });
    let start = net.now;
    report(&mut net, host(2), RecordType::BlockOldSources, &[SOURCE]);
    report(&mut net, host(2), RecordType::ChangeToExclude, &[SOURCE]);
    assert_eq!(view(&net, GROUP).unwrap().sources, []);
    assert_eq!(asked(&net, start), []);
    assert_eq!(net.nodes[0].router.counters().mld_v1_mode_ignored, 1);
    // Sources that are asked for by name are a listener's still.
    report(&mut net, host(2), RecordType::AllowNewSources, &[SOURCE]);
    assert_eq!(view(&net, GROUP).unwrap().sources.len(), 1);

    net.run_until(start + LISTENING_INTERVAL / 2);
    report(&mut net, host(2), RecordType::ChangeToExclude, &[]);
    net.run_until(start + (LISTENING_INTERVAL - Duration::from_millis(1)));
    assert_eq!(view(&net, GROUP).unwrap().version, Version::V1);
    net.run_for(Duration::from_millis(1));
    assert_eq!(view(&net, GROUP).unwrap().version, Version::V2, "no report of version 1 for so long");
    report(&mut net, host(2), RecordType::ChangeToExclude, &[SOURCE]);
    assert_eq!(view(&net, GROUP).unwrap().sources.len(), 1);
}

#[test]
fn done_in_a_group_of_version_2_is_counted() {
    let mut net = of_version(Version::V2);
    hear(&mut net, host(9), &Message::V1Done { group: GROUP });
    assert_eq!(view(&net, GROUP), None);
    report(&mut net, host(2), RecordType::ChangeToExclude, &[]);
    let start = net.now;
    hear(&mut net, host(9), &Message::V1Done { group: GROUP });
    assert_eq!(asked(&net, start), []);
    assert_eq!(net.nodes[0].router.counters().drop_mld_v1_done, 2);
}

/// A host that hears another one's report sends none itself (RFC 2710 §4): who is tracked may not be all.
#[test]
fn nobody_is_taken_for_the_last_listener_where_one_speaks_for_all() {
    let mut net = of_version(Version::V2);
    report(&mut net, host(3), RecordType::ChangeToExclude, &[]);
    hear(&mut net, host(1), &Message::V1Report { group: TERMINALS });
    let start = net.now;
    hear(&mut net, host(1), &Message::V1Done { group: TERMINALS });
    let queries = asked(&net, start);
    assert!(matches!(&queries[..], [(0, Message::Query(Query { group: TERMINALS, suppress: false, .. }))]));
    hear(&mut net, host(2), &Message::V1Report { group: TERMINALS });
    net.run_for(Duration::from_secs(2));
    assert!(view(&net, TERMINALS).is_some());
    assert_eq!(net.nodes[0].router.counters().mld_immediate_leaves, 0);
}

#[test]
fn source_specific_groups_have_no_such_listeners() {
    let mut net = of_version(Version::V2);
    let group = "ff35::1".parse().unwrap();
    let allow = Record { kind: RecordType::AllowNewSources, group, sources: vec![SOURCE] };
    hear(&mut net, host(2), &Message::Report(Report { records: vec![allow] }));
    let start = net.now;
    for message in [Message::V1Report { group }, Message::V1Done { group }] {
        hear(&mut net, host(1), &message);
    }
    let heard = view(&net, group).unwrap();
    assert_eq!((heard.is_include(), heard.version), (true, Version::V2));
    assert_eq!((asked(&net, start), net.nodes[0].router.counters().drop_mld_v1_ssm), (vec![], 2));
}

#[test]
fn a_link_of_version_1_is_asked_in_version_1() {
    let mut net = link(
        MldConfig {
            version: Version::V1,
            query_interval: Duration::from_secs(125),
            query_response_interval: Duration::from_secs(40),
            ..MldConfig::default()
        },
        Limits::default(),
    );
    net.run_for(Duration::from_secs(200));
    let general = Message::V1Query { group: Ipv6Addr::UNSPECIFIED, max_response_delay: Duration::from_secs(40) };
    let times: Vec<u64> = net
        .sent
        .iter()
        .filter_map(|sent| sent.mld().map(|message| (sent, message)))
        .map(|(sent, message)| {
            assert_eq!(message, general, "truncated behind the group, and the delay in plain milliseconds");
            sent.at.as_millis()
        })
        .collect();
    assert_eq!(times, [0, 31_250, 156_250]);
    assert!(MAX_V1_RESPONSE_DELAY > Duration::from_secs(40));

    hear(&mut net, host(1), &Message::V1Report { group: GROUP });
    assert_eq!(view(&net, GROUP).unwrap().version, Version::V1);
    let start = net.now;
    hear(&mut net, host(1), &Message::V1Done { group: GROUP });
    net.run_for(Duration::from_millis(2_000));
    let query = Message::V1Query { group: GROUP, max_response_delay: Duration::from_secs(1) };
    assert_eq!(asked(&net, start), [(0, query.clone()), (1_000, query.clone())]);
    assert_eq!(view(&net, GROUP), None);

    // Somebody answers: the second question would lower the timers of other routers again, and is not sent.
    hear(&mut net, host(1), &Message::V1Report { group: GROUP });
    let start = net.now;
    hear(&mut net, host(1), &Message::V1Done { group: GROUP });
    net.run_for(Duration::from_millis(500));
    hear(&mut net, host(2), &Message::V1Report { group: GROUP });
    net.run_for(Duration::from_secs(5));
    assert_eq!(asked(&net, start), [(0, query)]);
    assert!(view(&net, GROUP).is_some());
}

/// Version 1 has no question for sources: what is left runs out.
#[test]
fn on_a_link_of_version_1_sources_are_left_by_their_timers() {
    let mut net = of_version(Version::V1);
    report(&mut net, host(1), RecordType::AllowNewSources, &[SOURCE]);
    let start = net.now;
    report(&mut net, host(1), RecordType::ChangeToInclude, &[]);
    net.run_until(start + (LISTENING_INTERVAL - Duration::from_millis(1)));
    assert_eq!(view(&net, GROUP).unwrap().sources.len(), 1);
    net.run_for(Duration::from_millis(1));
    assert_eq!((view(&net, GROUP), asked(&net, start)), (None, vec![]));
}

#[test]
fn on_a_link_of_version_1_terminals_are_as_others() {
    let mut net = of_version(Version::V1);
    hear(&mut net, host(1), &Message::V1Report { group: TERMINALS });
    let start = net.now;
    net.run_for(Duration::from_secs(100));
    assert_eq!(asked(&net, start), [], "no group is asked for on its own");
    assert_eq!(view(&net, TERMINALS).unwrap().filter_timer, Some(start + LISTENING_INTERVAL));
}

/// The operator hears of routers that are configured otherwise, not more than once a minute; and one router asks.
#[test]
fn a_router_of_the_other_version_is_told_of_and_may_be_the_querier() {
    for (own, other) in [(Version::V2, Version::V1), (Version::V1, Version::V2)] {
        let mut net = of_version(own);
        let query = match other {
            Version::V1 => {
                Message::V1Query { group: Ipv6Addr::UNSPECIFIED, max_response_delay: Duration::from_secs(10) }
            }
            Version::V2 => Message::Query(Query {
                group: Ipv6Addr::UNSPECIFIED,
                max_response_delay: Duration::from_secs(10),
                suppress: false,
                robustness: 0,
                query_interval: Duration::ZERO,
                sources: Vec::new(),
            }),
        };
        for _ in 0..10 {
            hear(&mut net, HIGHER, &query);
            net.run_for(Duration::from_secs(1));
        }
        assert!(matches!(state(&net), QuerierState::Querier { .. }));
        assert_eq!(mismatches(&net), [(HIGHER, other)]);
        net.run_for(Duration::from_secs(50));
        hear(&mut net, LOWER, &query);
        assert_eq!(mismatches(&net), [(HIGHER, other), (LOWER, other)]);
        assert_eq!(net.nodes[0].router.counters().mld_version_mismatches, 11);
        let (robustness, query_interval) = (2, Duration::from_secs(125));
        assert_eq!(state(&net), QuerierState::NonQuerier { querier: LOWER, robustness, query_interval });
        net.run_for(Duration::from_secs(256));
        assert!(matches!(state(&net), QuerierState::Querier { .. }), "the other one fell silent");
    }
}

#[test]
fn routers_of_one_version_are_not_told_of() {
    let mut net = of_version(Version::V1);
    let group = Ipv6Addr::UNSPECIFIED;
    hear(&mut net, LOWER, &Message::V1Query { group, max_response_delay: Duration::from_secs(10) });
    assert!(matches!(state(&net), QuerierState::NonQuerier { querier: LOWER, .. }));
    assert_eq!((mismatches(&net), net.nodes[0].router.counters().mld_version_mismatches), (vec![], 0));

    // Its questions for a group lower the timer as those of version 2 do.
    hear(&mut net, host(1), &Message::V1Report { group: GROUP });
    hear(&mut net, LOWER, &Message::V1Query { group: GROUP, max_response_delay: Duration::ZERO });
    assert_eq!(view(&net, GROUP).unwrap().filter_timer, Some(net.now + Duration::from_secs(2)));
}

#[test]
fn a_flood_of_reports_ends_at_the_limits() {
    let limits = Limits { groups_per_host: 3, groups_per_port: 5, ..Limits::default() };
    let mut net = link(MldConfig::default(), limits);
    for from in 1..=3 {
        for last in 0..100 {
            let group = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, from, last);
            hear(&mut net, host(from), &Message::V1Report { group });
        }
    }
    let groups = net.nodes[0].router.queriers().next().unwrap().1.groups().count();
    let counters = net.nodes[0].router.counters();
    assert_eq!((groups, counters.rx_mld_v1_report), (5, 300));
    assert_eq!((counters.drop_mld_host_limit, counters.drop_mld_port_limit), (97, 198));
    net.run_for(LISTENING_INTERVAL);
    assert_eq!(net.nodes[0].router.queriers().next().unwrap().1.groups().count(), 0);
}
