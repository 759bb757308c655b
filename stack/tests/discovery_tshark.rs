//! tshark reads what the Neighbor Discovery and MLD code writes. Without tshark on the machine the test says so and
//! passes.

use stack::addr::{ALL_NODES, ALL_ROUTERS, MacAddress, solicited_node};
use stack::port::{Medium, PcapWriter};
use stack::time::{Duration, Instant};
use stack::wire::mld::{Query, Record, RecordType, Report};
use stack::wire::nd::{
    HomeAgentInformation, INFINITE_LIFETIME_SECS, MapOption, Message, NeighborAdvertisement, NeighborSolicitation,
    PrefixInformation, Redirect, RouterAdvertisement, RouterPreference, RouterSolicitation,
};
use std::io::Write;
use std::net::Ipv6Addr;
use std::process::{Command, Stdio};

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 1);
const MAC: MacAddress = MacAddress([2, 0, 0x5e, 0x10, 0, 1]);

fn advertisement() -> RouterAdvertisement {
    RouterAdvertisement {
        current_hop_limit: 64,
        home_agent: true,
        preference: RouterPreference::High,
        lifetime_secs: 1800,
        source_link_address: Some(MAC),
        mtu: Some(1460),
        prefixes: vec![PrefixInformation {
            address: GLOBAL,
            prefix_length: 64,
            on_link: true,
            autonomous: true,
            router_address: true,
            valid_lifetime_secs: INFINITE_LIFETIME_SECS,
            preferred_lifetime_secs: 604_800,
        }],
        advertisement_interval_millis: Some(90),
        home_agent_information: Some(HomeAgentInformation { preference: 7, lifetime_secs: 900 }),
        maps: vec![MapOption {
            distance: 2,
            preference: 9,
            allocates_address: false,
            valid_lifetime_secs: 3600,
            address: GLOBAL,
        }],
        ..RouterAdvertisement::default()
    }
}

fn packets() -> Vec<Vec<u8>> {
    let solicitation = |link, nonce| {
        let message = NeighborSolicitation { target: GLOBAL, source_link_address: link, nonce, other: vec![] };
        Message::NeighborSolicitation(message)
    };
    let answer = NeighborAdvertisement {
        router: true,
        solicited: true,
        override_cached: true,
        target: GLOBAL,
        target_link_address: Some(MAC),
        other: vec![],
    };
    let redirect = Redirect { target: ROUTER, destination: GLOBAL, target_link_address: Some(MAC), other: vec![] };
    let solicit = |link| Message::RouterSolicitation(RouterSolicitation { source_link_address: link, other: vec![] });
    let query = |group, sources| Query {
        group,
        max_response_delay: Duration::from_millis(100),
        suppress: false,
        robustness: 2,
        query_interval: Duration::from_secs(20),
        sources,
    };
    let kinds = (1..=6).filter_map(RecordType::new);
    let records = kinds.map(|kind| Record { kind, group: GROUP, sources: vec![GLOBAL] }).collect();
    let mut packets = vec![
        solicit(Some(MAC)).packet(HOST, ALL_ROUTERS),
        solicit(None).packet(Ipv6Addr::UNSPECIFIED, ALL_ROUTERS),
        Message::RouterAdvertisement(advertisement()).packet(ROUTER, ALL_NODES),
        solicitation(Some(MAC), None).packet(HOST, solicited_node(GLOBAL)),
        solicitation(None, Some([1, 2, 3, 4, 5, 6])).packet(Ipv6Addr::UNSPECIFIED, solicited_node(GLOBAL)),
        Message::NeighborAdvertisement(answer).packet(GLOBAL, HOST),
        Message::Redirect(redirect).packet(ROUTER, HOST),
        query(Ipv6Addr::UNSPECIFIED, vec![]).packet(ROUTER),
        query(GROUP, vec![]).packet(ROUTER),
        query(GROUP, vec![GLOBAL]).packet(ROUTER),
    ];
    packets.extend(Report { records }.packets(HOST, 1500));
    packets
}

/// A capture of bare IPv6 packets.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = PcapWriter::new(&mut file, Medium::Ip, Duration::ZERO).expect("memory takes it");
    for packet in packets {
        writer.write(Instant::ORIGIN, packet).expect("memory takes it");
    }
    file
}

fn tshark(arguments: &[&str]) -> Option<String> {
    let child = Command::new("tshark")
        .args(["-r", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("left out: there is no tshark on this machine");
        return None;
    };
    child.stdin.take().expect("stdin is a pipe").write_all(&capture(&packets())).expect("tshark reads");
    let output = child.wait_with_output().expect("tshark ends");
    assert!(output.status.success(), "tshark failed");
    Some(String::from_utf8(output.stdout).expect("tshark writes text"))
}

#[test]
fn tshark_finds_nothing_wrong() {
    let Some(malformed) = tshark(&["-Y", "_ws.malformed || _ws.expert.severity >= \"Warning\""]) else { return };
    assert_eq!(malformed, "");
    let types = tshark(&["-T", "fields", "-e", "icmpv6.type", "-e", "icmpv6.checksum.status"]).unwrap();
    let types: Vec<&str> = types.lines().collect();
    let expected = [133, 133, 134, 135, 135, 136, 137, 130, 130, 130, 143];
    assert_eq!(types, expected.map(|kind| format!("{kind}\t1")));
}

#[test]
fn tshark_reads_the_same_values() {
    let fields = [
        "icmpv6.nd.ra.flag.h",
        "icmpv6.nd.ra.flag.prf",
        "icmpv6.nd.ra.router_lifetime",
        "icmpv6.opt.mtu",
        "icmpv6.opt.prefix.flag.r",
        "icmpv6.opt.advertisement_interval",
        "icmpv6.opt.home_agent_preference",
        "icmpv6.opt.home_agent_lifetime",
        "icmpv6.opt.map.distance",
        "icmpv6.opt.map.preference",
        "icmpv6.opt.map.valid_lifetime",
        "icmpv6.opt.map.global_address",
    ];
    let mut arguments = vec!["-Y", "icmpv6.type == 134", "-T", "fields"];
    arguments.extend(fields.iter().flat_map(|&field| ["-e", field]));
    let Some(values) = tshark(&arguments) else { return };
    let values: Vec<&str> = values.trim_end().split('\t').collect();
    let truth = |value: &str| matches!(value, "1" | "True");
    assert!(truth(values[0]) && truth(values[4]), "{values:?}");
    let rest: Vec<&str> = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11].map(|index| values[index]).to_vec();
    assert_eq!(rest, ["1", "1800", "1460", "90", "7", "900", "2", "9", "3600", "2001:db8:1::1"]);
    let records = tshark(&["-Y", "icmpv6.type == 143", "-T", "fields", "-e", "icmpv6.mldr.mar.record_type"]).unwrap();
    assert_eq!(records.trim_end(), "1,2,3,4,5,6");
}
