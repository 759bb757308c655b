//! A flood of signalling ends in front of the machines.

use super::*;
use stack::addr::ALL_PIM_ROUTERS;
use stack::time::Duration;
use stack::wire::mld::{Record, RecordType, Report};

fn router() -> Bench {
    let config = DataplaneConfig { signalling_per_second: 10, signalling_burst: 4, ..DataplaneConfig::default() };
    let mut bench = Bench::with(config, (0..3).map(|index| port(index, Medium::Ethernet, 1500)).collect());
    for port in [P0, P1] {
        for group in [ALL_PIM_ROUTERS, stack::addr::ALL_MLDV2_ROUTERS] {
            bench.apply(TableUpdate::LinkGroupJoin(port, group));
        }
    }
    bench.apply(tree(Accept::Port(P0), &[P1]));
    bench
}

fn host() -> Ipv6Addr {
    "fe80::7".parse().unwrap()
}

fn report() -> Vec<u8> {
    let record = Record { kind: RecordType::ChangeToExclude, group: GROUP, sources: Vec::new() };
    Report { records: vec![record] }.packets(host(), 1500).remove(0)
}

fn hello() -> Vec<u8> {
    PacketBuilder::new(host(), ALL_PIM_ROUTERS).hop_limit(1).checksummed(protocol::PIM, vec![0x20, 0, 0, 0], 2)
}

/// Each port and each kind has its own share; what is forwarded has nothing to do with it.
#[test]
fn a_flood_on_one_port_ends_in_front_of_the_machines() {
    let mut bench = router();
    let flood = |packet: &dyn Fn() -> Vec<u8>| (0..50).map(|_| packet()).collect::<Vec<_>>();
    bench.receive(P0, &flood(&report));
    bench.receive(P0, &[hello(), udp(SOURCE, GROUP, 64, b"data")]);
    bench.receive(P1, &[report()]);
    assert_eq!((bench.local().len(), bench.sent(P1).len()), (4 + 1 + 1, 1));
    bench.expect_counters(&[("rx", 53), ("local", 6), ("drop-local-mld-limit", 46), ("output", 1)]);
    bench.receive(P0, &flood(&hello));
    assert_eq!(bench.local().len(), 3);
    bench.expect_counters(&[("rx", 50), ("local", 3), ("drop-local-pim-limit", 47)]);
    // It comes back with time.
    bench.now += Duration::from_millis(200);
    bench.receive(P0, &flood(&report));
    assert_eq!(bench.local().len(), 2);
}
