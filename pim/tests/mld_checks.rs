//! What a router looks at before it listens to an MLD message (RFC 3810 §5.1.14, §5.2.13, §7.4, §7.6, §8.1).

mod net;

use core::net::Ipv6Addr;
use net::Net;
use net::site::{P0, access};
use pim::mld::QuerierState;
use pim::{Config, Counters};
use stack::addr::{ALL_MLDV2_ROUTERS, ALL_NODES};
use stack::time::Duration;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mld::{Message, Query, Record, RecordType, Report};

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);
/// Lower than the router's own, and a host's.
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const UNSPECIFIED: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

fn router() -> Net {
    let mut net = Net::default();
    net.add_node(Config::new(vec![access(0, P0)], 1));
    net.add_link(&[(0, P0)]);
    net.link_up_all();
    net
}

fn query(group: Ipv6Addr) -> Message {
    Message::Query(Query {
        group,
        max_response_delay: Duration::from_secs(1),
        suppress: false,
        robustness: 2,
        query_interval: Duration::from_secs(125),
        sources: Vec::new(),
    })
}

fn report() -> Message {
    let record = Record { kind: RecordType::ChangeToExclude, group: GROUP, sources: Vec::new() };
    Message::Report(Report { records: vec![record] })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Alert {
    Present,
    Absent,
}

fn packet(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, alert: Alert, message: Vec<u8>) -> Vec<u8> {
    let builder = PacketBuilder::new(source, destination).hop_limit(hop_limit);
    let builder = if alert == Alert::Present { builder.router_alert(0) } else { builder };
    builder.checksummed(protocol::ICMPV6, message, 2)
}

/// Whether a packet changed who asks, and whether it changed what is listened to.
fn effect(net: &Net) -> (bool, bool) {
    let (_, querier) = net.nodes[0].router.queriers().next().unwrap();
    (matches!(querier.state(), QuerierState::NonQuerier { .. }), querier.groups().next().is_some())
}

#[test]
fn what_fails_a_check_changes_nothing_and_is_counted() {
    use Alert::{Absent, Present};
    let v1 = Message::V1Report { group: GROUP };
    let messages = [(query(UNSPECIFIED), ALL_NODES), (report(), ALL_MLDV2_ROUTERS), (v1, GROUP)];
    type Count = fn(&Counters) -> u64;
    for (source, hop_limit, alert, counter) in [
        (LOCAL, 2, Present, (|c| c.drop_mld_hop_limit) as Count),
        (LOCAL, 255, Present, |c| c.drop_mld_hop_limit),
        (LOCAL, 0, Present, |c| c.drop_mld_hop_limit),
        (GLOBAL, 1, Present, |c| c.drop_mld_source),
        (Ipv6Addr::LOCALHOST, 1, Present, |c| c.drop_mld_source),
        (GROUP, 1, Present, |c| c.drop_mld_source),
        // The router's own, by a loop of the link or from somebody who pretends.
        (net::link_local(0, P0), 1, Present, |c| c.drop_mld_source),
        // A host before duplicate address detection; its membership is heard when it has an address.
        (UNSPECIFIED, 1, Present, |c| c.drop_mld_unspecified_source),
        (LOCAL, 1, Absent, |c| c.drop_mld_router_alert),
    ] {
        let mut net = router();
        for (message, destination) in &messages {
            net.inject(0, P0, &packet(source, *destination, hop_limit, alert, message.emit()));
        }
        assert_eq!(effect(&net), (false, false), "{source} {hop_limit} {alert:?}");
        assert_eq!(counter(net.nodes[0].router.counters()), 3, "{source} {hop_limit} {alert:?}");
    }
    let mut net = router();
    for (message, destination) in &messages {
        let mut packet = packet(LOCAL, *destination, 1, Present, message.emit());
        *packet.last_mut().unwrap() ^= 1;
        net.inject(0, P0, &packet);
    }
    assert_eq!((effect(&net), net.nodes[0].router.counters().drop_mld_checksum), ((false, false), 3));

    let mut net = router();
    for (message, destination) in &messages {
        net.inject(0, P0, &packet(LOCAL, *destination, 1, Present, message.emit()));
    }
    assert_eq!(effect(&net), (true, true), "as they are meant");
}

/// §8.1: 24 octets are version 1, 28 and more version 2, and what is neither is nothing.
#[test]
fn queries_of_odd_lengths_are_none() {
    for length in 4..28 {
        let mut net = router();
        let message = query(UNSPECIFIED).emit()[..length].to_vec();
        net.inject(0, P0, &packet(LOCAL, ALL_NODES, 1, Alert::Present, message));
        let counters = net.nodes[0].router.counters();
        assert_eq!(effect(&net).0, length == 24, "{length} octets");
        assert_eq!((counters.rx_mld_v1_query, counters.rx_mld_query), (u64::from(length == 24), 0));
        assert_eq!(counters.drop_mld_malformed, u64::from(length != 24), "{length} octets");
    }
}

/// §5.1.15, §5.2.14: a message may be sent to any address of the router, to look at it.
#[test]
fn any_destination_will_do() {
    let own = net::link_local(0, P0);
    for destination in [own, ALL_NODES, ALL_MLDV2_ROUTERS, GROUP] {
        let mut net = router();
        for message in [query(UNSPECIFIED), report()] {
            net.inject(0, P0, &packet(LOCAL, destination, 1, Alert::Present, message.emit()));
        }
        assert_eq!(effect(&net), (true, true), "to {destination}");
    }
}

/// §5.1.4, §5.1.12, §5.2.1, §5.2.10 to §5.2.12: reserved fields, data behind, auxiliary data and unknown records are
/// read over.
#[test]
fn what_later_versions_may_add_is_read_over() {
    let mut general = query(UNSPECIFIED).emit();
    general[6..8].fill(0xff);
    general[24] |= 0xf0;
    general.extend_from_slice(&[0xaa; 9]);
    let mut report = report().emit();
    report[4..6].fill(0xff);
    report[7] = 2;
    report[9] = 1;
    report.extend_from_slice(&[0xaa; 4]);
    report.extend_from_slice(&[77, 0, 0, 0]);
    report.extend_from_slice(&GROUP.octets());
    report.extend_from_slice(&[0xbb; 5]);
    let mut net = router();
    for message in [general, report] {
        net.inject(0, P0, &packet(LOCAL, ALL_NODES, 1, Alert::Present, message));
    }
    assert_eq!(effect(&net), (true, true));
    assert_eq!(net.nodes[0].router.counters().drop_mld_malformed, 0);
}
