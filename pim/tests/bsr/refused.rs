//! What is refused.

use super::*;

#[test]
fn what_is_refused_is_counted() {
    let mut domain = Domain::row(4).boundary(2, 1, BsrBoundary::Scope(Scope::SITE_LOCAL));
    domain.configs[3].rendezvous_points.bsr = None;
    let mut net = domain.build();
    net.link_up_all();
    net.run_for(Duration::from_secs(70));
    let (own, neighbor) = (link_local(1, PortId(0)), link_local(0, PortId(0)));
    let stranger = group("fe80::77");
    let good = message();
    let with = |range: RpRange| Bootstrap { ranges: vec![range], ..message() };
    let scoped = |text: &str| {
        let zone = EncodedGroup { scope_zone: true, ..encoded(text) };
        with(RpRange { group: zone, rp_count: 0, rps: vec![] })
    };
    let rp = |rp: Ipv6Addr| {
        with(RpRange { rps: vec![RpEntry { address: rp, holdtime: 150, priority: 0 }], ..message().ranges[0].clone() })
    };
    let quick = Bootstrap { no_forward: true, ..message() };
    let advertisement = CandidateRpAdvertisement { priority: 0, holdtime: 150, address: address(0), ranges: vec![] };
    let hello = || pim_packet(stranger, 0, |into| Hello { holdtime: Some(105), ..Hello::default() }.emit(into));
    let cases: Vec<(NodeId, u8, Vec<u8>, &str)> = vec![
        (1, 0, bootstrap_packet(stranger, &good), "drop-pim-unknown-neighbor"),
        (1, 1, bootstrap_packet(link_local(2, PortId(0)), &good), "drop-pim-bootstrap-rpf"),
        (1, 0, bootstrap_packet(address(0), &good), "drop-pim-source"),
        (1, 0, bootstrap_packet(own, &good), "drop-pim-source"),
        (1, 0, bootstrap_to(neighbor, ALL_PIM_ROUTERS, 2, &good), "drop-pim-hop-limit"),
        (1, 0, bootstrap_packet(neighbor, &quick), "drop-pim-bootstrap-not-starting"),
        (1, 0, bootstrap_to(neighbor, own, 1, &quick), "drop-pim-bootstrap-unicast"),
        (1, 0, bootstrap_packet(neighbor, &scoped("ff00::/8")), "drop-pim-bootstrap-scope"),
        (1, 0, bootstrap_packet(neighbor, &scoped("ff02::/16")), "drop-pim-bootstrap-scope"),
        (2, 1, bootstrap_packet(link_local(3, PortId(0)), &scoped("ff05::/16")), "drop-pim-bootstrap-boundary"),
        (
            1,
            0,
            bootstrap_packet(neighbor, &Bootstrap { bsr_address: neighbor, ..message() }),
            "drop-pim-bootstrap-address",
        ),
        (
            1,
            0,
            bootstrap_packet(
                neighbor,
                &with(RpRange { group: encoded("2001:db8::/32"), ..message().ranges[0].clone() }),
            ),
            "drop-pim-rp-range",
        ),
        (1, 0, bootstrap_packet(neighbor, &rp(neighbor)), "drop-pim-rp-address"),
        (3, 0, bootstrap_packet(link_local(2, PortId(1)), &good), "drop-pim-bootstrap-disabled"),
        (1, 0, candidate_rp_packet(address(0), own, &advertisement), "drop-pim-destination"),
        (3, 0, candidate_rp_packet(address(0), address(3), &advertisement), "drop-pim-bootstrap-disabled"),
    ];
    for (node, port, packet, counter) in cases {
        let before = count(&net, node, counter);
        net.inject(node, PortId(port), &packet);
        assert_eq!(count(&net, node, counter), before + 1, "{counter}");
        assert_eq!(mapped(&net, group("ff1e::1")), [None; 4], "{counter}");
    }
    // A neighbour whose way is not the one to the bootstrap router says nothing that counts.
    net.inject(1, PortId(0), &hello());
    net.inject(1, PortId(0), &bootstrap_packet(stranger, &good));
    assert_eq!(mapped(&net, group("ff1e::1")), [None; 4]);
    net.inject(1, PortId(0), &bootstrap_packet(neighbor, &good));
    net.run_for(DELAY * 3);
    assert_eq!(mapped(&net, group("ff1e::1")), [None, Some(address(0)), Some(address(0)), None]);
    // One who is no better than the current one.
    let worse = Bootstrap { bsr_priority: 1, ..message() };
    net.inject(1, PortId(0), &bootstrap_packet(neighbor, &worse));
    assert_eq!(domain_view(&net, 1).priority, Some(1), "of the current one itself a lower priority counts");
}

#[test]
fn unicast_messages_are_taken_where_that_is_configured() {
    for (unicast, taken) in [(UnicastBootstrap::Refuse, false), (UnicastBootstrap::Accept, true)] {
        let mut domain = Domain::row(2);
        domain.bsr(1).unicast = unicast;
        let mut net = domain.build();
        net.link_up_all();
        net.run_for(Duration::from_secs(5));
        let (own, neighbor) = (link_local(1, PortId(0)), link_local(0, PortId(0)));
        net.inject(1, PortId(0), &bootstrap_to(neighbor, group("fe80::99"), 1, &message()));
        assert_eq!(net.nodes[1].router.rendezvous_point(group("ff1e::1")), None);
        net.inject(1, PortId(0), &bootstrap_to(neighbor, own, 64, &message()));
        assert_eq!(net.nodes[1].router.rendezvous_point(group("ff1e::1")).is_some(), taken);
    }
}

#[test]
fn candidates_are_taken_by_the_elected_router_and_as_its_list_says() {
    let mut domain = Domain::row(3).candidate_bsr(1, 64).candidate_bsr(0, 10);
    domain.bsr(1).candidate_bsr.as_mut().unwrap().accept = vec![Prefix::host(address(2))];
    let mut net = domain.start();
    let offer = |node: NodeId, ranges: Vec<EncodedGroup>| CandidateRpAdvertisement {
        priority: 0,
        holdtime: 150,
        address: address(node),
        ranges,
    };
    let say = |net: &mut Net, to: NodeId, message: &CandidateRpAdvertisement| {
        net.inject(to, PortId(0), &candidate_rp_packet(address(2), address(to), message));
    };
    say(&mut net, 0, &offer(2, vec![]));
    assert_eq!(count(&net, 0, "drop-pim-candidate-rp-not-elected"), 1);
    say(&mut net, 1, &offer(0, vec![]));
    assert_eq!(count(&net, 1, "drop-pim-candidate-rp-address"), 1);
    say(&mut net, 1, &offer(2, vec![encoded("2001:db8::/32")]));
    assert_eq!(count(&net, 1, "drop-pim-rp-range"), 1);
    // No range stands for all groups.
    say(&mut net, 1, &offer(2, vec![]));
    net.run_for(BS_MIN_INTERVAL + DELAY * 2);
    assert_eq!(mapped(&net, group("ff1e::1")), vec![Some(address(2)); 3]);
}

/// Whatever neighbours say, state is bounded and time goes on.
#[test]
fn random_messages_keep_the_limits() {
    const LIMIT: usize = 30;
    let mut domain =
        Domain::row(3).candidate_bsr(1, 64).scopes(1, &[Scope::SITE_LOCAL]).candidate_rp(1, 0, &["ff00::/8"]);
    domain.bsr(1).max_mappings = LIMIT;
    domain.bsr(1).unicast = UnicastBootstrap::Accept;
    let mut net = domain.build();
    net.link_up_all();
    net.run_for(Duration::from_secs(5));
    let mut rng = Rng::new(5059);
    let range = |rng: &mut Rng| {
        let first = [0xff00u16, 0xff1e, 0xff15, 0xff05, 0xff08, 0xff02, 0x2001][rng.below(7) as usize];
        let mask_length = [8u8, 16, 32, 128, 0, 15][rng.below(6) as usize];
        EncodedGroup {
            address: Ipv6Addr::new(first, rng.below(40) as u16, 0, 0, 0, 0, 0, 0),
            mask_length,
            bidirectional: rng.below(9) == 0,
            scope_zone: rng.below(3) == 0,
        }
    };
    for _ in 0..20_000 {
        let from = rng.below(3) as usize;
        let port = PortId(rng.below(2) as u8);
        let source = if port.0 == 0 { link_local(0, PortId(0)) } else { link_local(2, PortId(0)) };
        let packet = if rng.below(3) == 0 {
            let count = rng.below(9);
            let message = CandidateRpAdvertisement {
                priority: rng.below(3) as u8,
                holdtime: [0, 1, 150, 0xffff][rng.below(4) as usize],
                address: address(rng.below(60) as NodeId),
                ranges: (0..count).map(|_| range(&mut rng)).collect(),
            };
            candidate_rp_packet(address(from), address(1), &message)
        } else {
            let count = rng.below(9);
            let ranges = (0..count).map(|_| {
                let rps: Vec<_> = (0..rng.below(5))
                    .map(|_| RpEntry {
                        address: address(rng.below(20) as NodeId),
                        holdtime: [0, 1, 150, 0xffff][rng.below(4) as usize],
                        priority: rng.below(3) as u8,
                    })
                    .collect();
                RpRange { group: range(&mut rng), rp_count: rps.len() as u8 + rng.below(2) as u8 * 3, rps }
            });
            let message = Bootstrap {
                ranges: ranges.collect(),
                no_forward: false,
                fragment_tag: 0,
                hash_mask_length: 126,
                bsr_priority: 0,
                bsr_address: address(0),
            };
            let message = Bootstrap {
                no_forward: rng.below(4) == 0,
                fragment_tag: rng.below(3) as u16,
                hash_mask_length: rng.below(129) as u8,
                bsr_priority: [0, 63, 64, 255][rng.below(4) as usize],
                bsr_address: address(from),
                ..message
            };
            let to = if rng.below(5) == 0 { link_local(1, port) } else { ALL_PIM_ROUTERS };
            bootstrap_to(source, to, 1, &message)
        };
        net.inject(1, port, &packet);
        if rng.below(10) == 0 {
            net.run_for(Duration::from_secs(rng.below(90)));
        }
        let router: &Router = &net.nodes[1].router;
        assert!(router.bsr().count() <= 13);
        for zone in router.bsr() {
            let learned = router.rp_mappings().filter(|mapping| mapping.source == RpSource::Bsr(zone.zone)).count();
            assert!(learned <= LIMIT, "{learned} mappings");
        }
        assert!(router.poll_timeout().is_none_or(|at| at >= net.now));
    }
    assert!(count(&net, 1, "drop-pim-rp-mapping-limit") > 0);
    assert!(net.now > Instant::from_secs(10_000));
}
