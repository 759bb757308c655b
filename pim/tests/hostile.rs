//! Whatever arrives, a router neither panics nor holds more than its limits allow.

mod net;

use core::net::Ipv6Addr;
use net::link_local;
use pim::mld::{HostView, Membership, Version};
use pim::wire::{
    Assert, EncodedGroup, EncodedSource, GroupSet, Hello, JoinPrune, LanPruneDelay, Register, RegisterStop,
};
use pim::{
    Command, Config, Delivery, EntryView, Event, InterfaceConfig, Limits, LinkKind, MldConfig, Participation,
    RegisterState, RouteMetric, Router, RptDownstreamState,
};
use stack::addr::{ALL_PIM_ROUTERS, MacAddress, Prefix};
use stack::machine::{Machine, Output, PortId, RxMeta};
use stack::rng::Rng;
use stack::tables::{Accept, MrouteKey, Route, TableUpdate};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::checksum;
use stack::wire::ext::Chain;
use stack::wire::mld::{Message, Query, Record, RecordType, Report};
use std::collections::BTreeMap;

const LIMITS: Limits = Limits {
    sources: 8,
    entries: 16,
    neighbors: 4,
    groups_per_port: 20,
    groups_per_host: 6,
    sources_per_host: 9,
    sources_per_group: 5,
    hosts_per_group: 4,
    tracked_per_port: 30,
};

fn router() -> Router {
    let interfaces = (0..3).map(|port| {
        let port = PortId(port);
        InterfaceConfig {
            link: if port.0 == 0 { LinkKind::PointToPoint } else { LinkKind::Lan },
            participation: if port.0 == 2 { Participation::Passive } else { Participation::Active },
            mld: Some(MldConfig { delivery: Delivery::OnlyListener, ..MldConfig::default() }),
            ..InterfaceConfig::new(port, link_local(0, port), 1500)
        }
    });
    let mobility_ranges = ["ff35::/64", "ff15::/64"].map(|range| range.parse().unwrap()).to_vec();
    Router::new(Config { mobility_ranges, limits: LIMITS, ..Config::new(interfaces.collect(), 1) })
}

fn pick<const N: usize>(rng: &mut Rng, texts: [&str; N]) -> Ipv6Addr {
    texts[rng.below(N as u64) as usize].parse().unwrap()
}

fn host(rng: &mut Rng) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 7, rng.below(9) as u16)
}

fn group(rng: &mut Rng) -> Ipv6Addr {
    let ranges = ["ff35::", "ff35:0:1::", "ff15::", "ff02::", "ff3e::", "ff75:120:2001:db8::", "ff75:20:2001:db8::"];
    let first = pick(rng, ranges).segments();
    Ipv6Addr::new(first[0], first[1], first[2], first[3], 0, 0, 0, rng.below(9) as u16)
}

fn source(rng: &mut Rng) -> Ipv6Addr {
    pick(rng, ["2001:db8::1", "2001:db8::2", "2001:db8:1::1", "fd00::1", "fe80::1", "::", "ff02::1", "2001:db8::9"])
}

fn list<T>(rng: &mut Rng, most: u64, mut item: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    (0..rng.below(most + 1)).map(|_| item(rng)).collect()
}

/// A packet that makes sense.
fn sensible(rng: &mut Rng) -> Vec<u8> {
    let from = host(rng);
    let pim = |kind: u8, body: &dyn Fn(&mut Vec<u8>)| {
        let mut message = vec![0x20 | kind, 0, 0, 0];
        body(&mut message);
        PacketBuilder::new(from, ALL_PIM_ROUTERS).hop_limit(1).checksummed(103, message, 2)
    };
    match rng.below(9) {
        0 => {
            let small = |rng: &mut Rng| rng.below(4) as u16;
            let hello = Hello {
                holdtime: [None, Some(0), Some(5), Some(105), Some(0xffff)][rng.below(5) as usize],
                lan_prune_delay: (rng.below(2) == 0).then(|| LanPruneDelay {
                    tracking_support: rng.below(2) == 0,
                    propagation_delay_ms: small(rng) * 100,
                    override_interval_ms: small(rng) * 500,
                }),
                dr_priority: (rng.below(2) == 0).then(|| u32::from(small(rng))),
                generation_id: (rng.below(2) == 0).then(|| u32::from(small(rng))),
                addresses: list(rng, 3, source),
            };
            pim(0, &|into| hello.emit(into))
        }
        1 | 2 => {
            let sources = |rng: &mut Rng| {
                list(rng, 3, |rng| {
                    let shared = rng.below(3) == 0;
                    EncodedSource {
                        wildcard: shared || rng.below(9) == 0,
                        rpt: shared || rng.below(9) == 0,
                        ..EncodedSource::host(source(rng))
                    }
                })
            };
            let message = JoinPrune {
                upstream_neighbor: match rng.below(3) {
                    0 => host(rng),
                    port => link_local(0, PortId(port as u8)),
                },
                holdtime: [0, 1, 210, 0xffff][rng.below(4) as usize],
                groups: list(rng, 4, |rng| GroupSet {
                    group: EncodedGroup::host(group(rng)),
                    joined: sources(rng),
                    pruned: sources(rng),
                }),
            };
            pim(3, &|into| message.emit(into))
        }
        3 => {
            let group = if rng.below(3) == 0 { Ipv6Addr::UNSPECIFIED } else { group(rng) };
            let query = Query {
                group,
                max_response_delay: Duration::from_secs(1),
                suppress: rng.below(2) == 0,
                robustness: rng.below(8) as u8,
                query_interval: Duration::from_secs(rng.below(200)),
                sources: if group.is_unspecified() { Vec::new() } else { list(rng, 3, source) },
            };
            query.packet(from)
        }
        7 => {
            let message = Assert {
                group: group(rng),
                source: source(rng),
                rpt: rng.below(2) == 0,
                metric_preference: [0, 1, 110, Assert::INFINITE_PREFERENCE][rng.below(4) as usize],
                metric: [0, 5, Assert::INFINITE_METRIC][rng.below(3) as usize],
            };
            pim(5, &|into| message.emit(into))
        }
        8 => {
            let (from, to) = (source(rng), source(rng));
            let (source, group) = (source(rng), group(rng));
            let stop = rng.below(2) == 0;
            let mut message = vec![if stop { 0x22 } else { 0x21 }, 0, 0, 0];
            if stop {
                RegisterStop { group, source }.emit(&mut message);
            } else {
                Register::emit_null(source, group, &mut message);
            }
            PacketBuilder::new(from, to).checksummed(103, message, 2)
        }
        4 => {
            let group = group(rng);
            let message = match rng.below(3) {
                0 => Message::V1Query { group, max_response_delay: Duration::from_secs(1) },
                1 => Message::V1Report { group },
                _ => Message::V1Done { group },
            };
            message.packet(from)
        }
        _ => {
            let records = list(rng, 4, |rng| Record {
                kind: RecordType::new(1 + rng.below(6) as u8).unwrap(),
                group: group(rng),
                sources: list(rng, 4, source),
            });
            let report = Report { records: records.clone() };
            report.packets(from, 1500).pop().unwrap_or_else(|| pim(5, &|into| into.extend_from_slice(&[0; 30])))
        }
    }
}

/// Spoils some octets, and mends the checksum so that the damage is seen.
fn spoil(rng: &mut Rng, packet: &mut Vec<u8>) {
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(packet.len() as u64) as usize;
        packet[at] = match rng.below(3) {
            0 => 0xff,
            1 => 0,
            _ => rng.next_u64() as u8,
        };
    }
    if rng.below(4) == 0 {
        let cut = rng.below(packet.len() as u64 + 1) as usize;
        packet.truncate(cut);
        if packet.len() >= 40 {
            let length = (packet.len() - 40) as u16;
            packet[4..6].copy_from_slice(&length.to_be_bytes());
        }
    }
    let Ok(chain) = Chain::parse(packet) else { return };
    let Some(message) = packet.get(chain.upper_offset..).filter(|message| message.len() >= 4) else { return };
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    let sum = checksum::upper_layer(address(8), address(24), chain.upper, &message);
    packet[chain.upper_offset + 2..chain.upper_offset + 4].copy_from_slice(&sum.to_be_bytes());
}

fn check(router: &Router, seed: u64) {
    assert!(router.entry_count() <= LIMITS.entries, "seed {seed}");
    for interface in router.interfaces() {
        assert!(interface.neighbors <= LIMITS.neighbors, "seed {seed}");
    }
    for (_, querier) in router.queriers() {
        let groups: Vec<_> = querier.groups().collect();
        assert!(groups.len() <= LIMITS.groups_per_port, "seed {seed}");
        assert!(groups.iter().map(|group| group.hosts.len()).sum::<usize>() <= LIMITS.tracked_per_port);
        let mut named: BTreeMap<Ipv6Addr, (usize, usize)> = BTreeMap::new();
        for host in groups.iter().flat_map(|group| &group.hosts) {
            let (groups, sources) = named.entry(host.address).or_default();
            *groups += 1;
            *sources += host.sources.len() + host.excluded.len();
        }
        for (groups, sources) in named.into_values() {
            assert!(groups <= LIMITS.groups_per_host && sources <= LIMITS.sources_per_host, "seed {seed}");
        }
        for (group, source) in querier.excluded() {
            let member = |of| querier.is_member(group, of);
            assert!(member(Ipv6Addr::UNSPECIFIED) && !member(source), "seed {seed}: ({source}, {group}) is excluded");
            assert!(querier.is_excluded(group, source), "seed {seed}");
            let [first, second, ..] = group.segments();
            assert!((first & 0xfff0, second) != (0xff30, 0), "seed {seed}: {group} is source-specific");
        }
        for group in groups {
            assert!(group.sources.len() <= LIMITS.sources_per_group, "seed {seed}");
            assert!(group.hosts.len() <= LIMITS.hosts_per_group, "seed {seed}");
        }
    }
    for entry in router.entries() {
        let is_wanted = !entry.downstream.is_empty() || !entry.include.is_empty() || !entry.asserts.is_empty();
        let is_known = entry.shared.as_ref().is_some_and(|shared| {
            let is_sending = shared.keepalive.is_some() || shared.register != RegisterState::NoInfo;
            let is_pruned = !shared.rpt_downstream.is_empty() || !shared.excluded.is_empty();
            is_sending || is_pruned || shared.override_at.is_some()
        });
        assert!(is_wanted || is_known, "seed {seed}: an entry of which nothing is known: {entry:?}");
        if let Some(Accept::Port(port)) = entry.accept {
            assert!(!entry.forward.contains(port), "seed {seed}");
        }
    }
    let kept_alive = |entry: &EntryView| entry.shared.as_ref().is_some_and(|shared| shared.keepalive.is_some());
    assert!(router.entries().filter(kept_alive).count() <= LIMITS.sources + LIMITS.entries, "seed {seed}");
    for entry in router.entries() {
        let temporary = |(_, state): &(PortId, RptDownstreamState)| {
            matches!(state, RptDownstreamState::PruneTmp | RptDownstreamState::PrunePendingTmp)
        };
        let mut rpt = entry.shared.iter().flat_map(|shared| &shared.rpt_downstream).copied();
        assert_eq!(rpt.find(temporary), None, "seed {seed}: a state outlives its message");
    }
}

/// What the router has told.
#[derive(Default)]
struct Told {
    /// Of the members of its links.
    members: BTreeMap<(PortId, MrouteKey), Membership>,
    /// Of where groups are delivered.
    deliveries: BTreeMap<(PortId, Ipv6Addr), MacAddress>,
    /// How often a group had one listener.
    lone: usize,
}

/// Takes its output in: each change of a membership is one, and they add up to what its queriers know.
fn hear(router: &mut Router, told: &mut Told, seed: u64) {
    while let Some(output) = router.poll_output() {
        match output {
            Output::Event(Event::MembershipChanged { port, key, membership, .. }) => {
                let before = told.members.remove(&(port, key));
                let after = (membership != Membership::Left).then_some(membership);
                assert_ne!(before, after, "seed {seed}: {key:?} on {port:?}");
                told.members.extend(after.map(|after| ((port, key), after)));
            }
            Output::Table(TableUpdate::DeliverySet { port, group, link_address }) => {
                assert!(!link_address.is_multicast() && link_address != MacAddress::default(), "seed {seed}");
                let before = told.deliveries.insert((port, group), link_address);
                assert_ne!(before, Some(link_address), "seed {seed}");
                told.lone += 1;
            }
            Output::Table(TableUpdate::DeliveryRemove { port, group }) => {
                assert!(told.deliveries.remove(&(port, group)).is_some(), "seed {seed}");
            }
            _ => {}
        }
    }
    let key = |(group, source)| MrouteKey { source, group };
    let known: BTreeMap<(PortId, MrouteKey), Membership> = router
        .queriers()
        .flat_map(|(port, querier)| {
            let joined = querier.memberships().map(move |of| ((port, key(of)), Membership::Joined));
            joined.chain(querier.excluded().map(move |of| ((port, key(of)), Membership::Excluded)))
        })
        .collect();
    assert_eq!(told.members, known, "seed {seed}");
    let mut delivered = BTreeMap::new();
    for (port, querier) in router.queriers() {
        for group in querier.groups() {
            let listens = |host: &&HostView| host.exclude_until.is_some() || !host.sources.is_empty();
            let listeners = group.hosts.iter().filter(listens).count();
            let lone =
                group.delivery.is_none_or(|_| port == PortId(2) && listeners == 1 && group.version == Version::V2);
            assert!(lone, "seed {seed}: {group:?} on {port:?}");
            delivered.extend(group.delivery.map(|to| ((port, group.group), to)));
        }
    }
    assert_eq!(told.deliveries, delivered, "seed {seed}");
}

fn simulate(seed: u64) -> (usize, usize) {
    let mut rng = Rng::new(seed);
    let mut router = router();
    let mut now = Instant::ORIGIN;
    let mut most_entries = 0;
    let mut told = Told::default();
    for port in 0..3 {
        router.handle_command(now, Command::LinkUp(PortId(port)));
    }
    for _ in 0..400 {
        let port = PortId(rng.below(4) as u8);
        match rng.below(50) {
            0 => router.handle_command(now, Command::LinkDown(port)),
            1 => router.handle_command(now, Command::LinkUp(port)),
            2 => {
                let prefix = Prefix::new(source(&mut rng), [0, 32, 64, 128][rng.below(4) as usize]).unwrap();
                let route = match rng.below(5) {
                    0 => Route::Local,
                    1 => Route::OnLink(port),
                    2 => Route::Blackhole,
                    _ => Route::Via { port, next_hop: host(&mut rng) },
                };
                router.handle_command(now, Command::RouteSet(prefix, route));
            }
            5 => {
                let metric = RouteMetric { preference: rng.below(3) as u32, metric: rng.below(3) as u32 };
                let prefix = Prefix::new(source(&mut rng), [0, 32, 64, 128][rng.below(4) as usize]).unwrap();
                router.handle_command(now, Command::RouteMetric(prefix, metric));
            }
            6 => {
                let key = MrouteKey { source: source(&mut rng), group: group(&mut rng) };
                router.handle_command(now, Command::Register { from: source(&mut rng), to: source(&mut rng), key });
            }
            7..=11 => {
                let port = (rng.below(5) > 0).then_some(port);
                let (source, group) = (source(&mut rng), group(&mut rng));
                router.handle_command(now, Command::Data { port, source, group });
            }
            3 => router.handle_command(now, Command::RouteRemove(Prefix::host(source(&mut rng)))),
            4 => {
                let addresses = list(&mut rng, 2, source);
                let link_local = if rng.below(2) == 0 { link_local(0, port) } else { host(&mut rng) };
                router.handle_command(now, Command::AddressesChanged { port, link_local, addresses });
            }
            _ => {
                let mut packet = sensible(&mut rng);
                if rng.below(4) == 0 {
                    spoil(&mut rng, &mut packet);
                }
                let link_source = (rng.below(8) > 0)
                    .then(|| MacAddress([u8::from(rng.below(8) == 0), 0, 0, 0, 0, rng.below(3) as u8]));
                let meta = RxMeta { port, link_source, link_multicast: true, tunnel: None };
                router.handle_packet(now, &meta, &packet);
            }
        }
        hear(&mut router, &mut told, seed);
        check(&router, seed);
        most_entries = most_entries.max(router.entry_count());
        now += rng.duration(Duration::ZERO..Duration::from_millis(500));
        router.handle_timeout(now);
        assert!(router.poll_timeout().is_none_or(|at| at > now), "seed {seed}: a timer stays due");
    }
    router.handle_command(now, Command::Stop);
    assert_eq!((router.entry_count(), router.poll_timeout()), (0, None), "seed {seed}");
    hear(&mut router, &mut told, seed);
    (most_entries, told.lone)
}

#[test]
fn random_packets_and_commands_keep_the_invariants() {
    let (mut most_entries, mut all_lone) = (0, 0);
    for seed in 0..400 {
        match std::panic::catch_unwind(|| simulate(seed)) {
            Ok((entries, lone)) => (most_entries, all_lone) = (most_entries.max(entries), all_lone + lone),
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert_eq!(most_entries, LIMITS.entries, "the packets were too spoiled to reach the limit");
    assert!(all_lone > 100, "a group had one listener {all_lone} times");
}
