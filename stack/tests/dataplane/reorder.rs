//! The order of a group's tunnel where numbers were agreed.

use super::*;
use stack::time::Duration;

const KEY: u32 = 5;
const DELAY: Duration = Duration::from_millis(5);

fn inner(n: u32) -> Vec<u8> {
    udp(CN, HOME, 9, &n.to_be_bytes())
}

fn numbered(n: u32) -> Vec<u8> {
    gre(SOURCE, GROUP, KEY, n, &inner(n))
}

fn receive(bench: &mut Bench, port: stack::machine::PortId, numbers: impl IntoIterator<Item = u32>) {
    let packets: Vec<_> = numbers.into_iter().map(numbered).collect();
    bench.receive(port, &packets);
}

/// The numbers of the packets that the programs got.
fn delivered(bench: &mut Bench) -> Vec<u32> {
    let number = |packet: Vec<u8>| u32::from_be_bytes(packet[48..52].try_into().unwrap());
    bench.sent(P2).into_iter().map(number).collect()
}

fn wait(bench: &mut Bench, time: Duration) {
    bench.now += time;
    bench.plane.handle_timeout(bench.now);
    bench.check();
}

/// A terminal that has just heard the group on both links: numbers 0 and 1.
fn between_two_links() -> Bench {
    let mut bench = terminal_with_key(KEY);
    receive(&mut bench, P0, [0]);
    receive(&mut bench, P1, [1]);
    assert_eq!(delivered(&mut bench), [0, 1]);
    bench.notices();
    bench.expect_counters(&[("rx", 2), ("terminal-received", 2), ("output", 2)]);
    bench
}

#[test]
fn what_is_ahead_waits_until_the_gap_fills() {
    let mut bench = between_two_links();
    receive(&mut bench, P1, [5, 6, 4]);
    assert_eq!(delivered(&mut bench), [0; 0]);
    assert_eq!(bench.plane.poll_timeout(), Some(bench.now + DELAY));
    bench.expect_counters(&[("rx", 3), ("terminal-received", 3), ("punt-reorder", 3)]);
    // The slower link: what it repeats, what is missing, and one more in the same batch.
    receive(&mut bench, P0, [1, 2, 3, 4, 7]);
    assert_eq!(delivered(&mut bench), [2, 3, 4, 5, 6, 7]);
    assert_eq!((bench.plane.poll_timeout(), bench.plane.held_frames()), (None, 0));
    bench.expect_counters(&[
        ("rx", 5),
        ("terminal-received", 3),
        ("drop-terminal-duplicate", 2),
        ("resumed", 3),
        ("output", 6),
    ]);
}

#[test]
fn order_holds_in_batches_of_every_size() {
    for size in [1u32, 7, 63, 64] {
        let mut bench = between_two_links();
        // Every packet of the batch waits for one that comes last.
        receive(&mut bench, P1, 3..3 + size);
        assert_eq!(delivered(&mut bench), [0; 0]);
        receive(&mut bench, P0, [2]);
        assert_eq!(delivered(&mut bench), (2..3 + size).collect::<Vec<_>>());
        // Two at a time in the wrong order, all in one batch.
        let numbers: Vec<_> = (3 + size..3 + 2 * size).collect();
        receive(&mut bench, P1, numbers.chunks(2).flat_map(|pair| pair.iter().rev().copied()));
        assert_eq!(delivered(&mut bench), numbers);
        assert_eq!(bench.plane.held_frames(), 0);
    }
}

#[test]
fn a_lost_packet_is_waited_for_only_so_long() {
    let mut bench = between_two_links();
    receive(&mut bench, P1, [3]);
    wait(&mut bench, Duration::from_millis(2));
    receive(&mut bench, P1, [4, 6]);
    wait(&mut bench, Duration::from_millis(2));
    assert_eq!(delivered(&mut bench), [0; 0]);
    assert_eq!(bench.plane.poll_timeout(), Some(bench.now + Duration::from_millis(1)));
    wait(&mut bench, Duration::from_millis(1));
    assert_eq!(delivered(&mut bench), [3, 4], "what is next goes with it");
    wait(&mut bench, Duration::from_millis(2));
    assert_eq!(delivered(&mut bench), [6]);
    // Too late for its place, and still delivered; once.
    receive(&mut bench, P0, [2, 5, 2]);
    assert_eq!(delivered(&mut bench), [2, 5]);
    bench.expect_counters(&[
        ("rx", 6),
        ("terminal-received", 5),
        ("punt-reorder", 3),
        ("resumed", 3),
        ("reorder-timeouts", 2),
        ("drop-terminal-duplicate", 1),
        ("output", 5),
    ]);
}

#[test]
fn one_link_that_keeps_the_order_pays_nothing_for_losses() {
    let mut bench = terminal_with_key(KEY);
    let numbers: Vec<_> = (0..400).filter(|n| n % 10 != 9).collect();
    receive(&mut bench, P0, numbers.iter().copied());
    assert_eq!(delivered(&mut bench), numbers);
    assert_eq!(bench.plane.poll_timeout(), None);
    bench.expect_counters(&[("rx", 360), ("terminal-received", 360), ("output", 360)]);
}

#[test]
fn one_link_that_does_not_keep_the_order_is_put_right_from_then_on() {
    let mut bench = terminal_with_key(KEY);
    receive(&mut bench, P0, [0, 2, 1]);
    assert_eq!(delivered(&mut bench), [0, 2, 1], "nobody could know");
    receive(&mut bench, P0, [4, 3, 6, 5]);
    assert_eq!(delivered(&mut bench), [3, 4, 5, 6]);
    // A second without disorder, and losses are free again.
    wait(&mut bench, Duration::from_secs(1));
    receive(&mut bench, P0, [8, 9]);
    assert_eq!(delivered(&mut bench), [8, 9]);
}

#[test]
fn a_second_after_the_other_link_was_heard_losses_are_free_again() {
    let mut bench = between_two_links();
    wait(&mut bench, Duration::from_millis(999));
    receive(&mut bench, P1, [3]);
    assert_eq!(delivered(&mut bench), [0; 0]);
    wait(&mut bench, DELAY);
    assert_eq!(delivered(&mut bench), [3]);
    receive(&mut bench, P1, [5]);
    assert_eq!(delivered(&mut bench), [5]);
}

#[test]
fn with_no_delay_what_comes_twice_is_all_that_matters() {
    let config = DataplaneConfig {
        forwarding: Forwarding::Host,
        host_ports: PortSet::single(P2),
        reorder_delay: Duration::ZERO,
        ..DataplaneConfig::default()
    };
    let ports = vec![port(0, Medium::Ethernet, 1500), port(1, Medium::Ethernet, 1500), port(2, Medium::Ip, 1500)];
    let mut bench = Bench::with(config, ports);
    bench.set_route(&format!("{HOME}/128"), Route::OnLink(P2));
    let reception = GroupReception { source: SOURCE, gre_key: Some(KEY), care_of: CARE_OF, home_address: HOME };
    bench.apply(TableUpdate::GroupReceptionSet(GROUP, reception));
    receive(&mut bench, P0, [0, 3]);
    receive(&mut bench, P1, [2, 3, 1, 9]);
    assert_eq!(delivered(&mut bench), [0, 3, 2, 1, 9]);
    assert_eq!(bench.plane.poll_timeout(), None);
}

#[test]
fn no_more_wait_than_the_limit() {
    let mut bench = between_two_links();
    receive(&mut bench, P1, 3..67);
    bench.expect_counters(&[("rx", 64), ("terminal-received", 64), ("punt-reorder", 64)]);
    // The sixty-fifth: number 2 is given up, and all go on.
    receive(&mut bench, P1, [67]);
    assert_eq!(delivered(&mut bench), (3..68).collect::<Vec<_>>());
    bench.expect_counters(&[
        ("rx", 1),
        ("terminal-received", 1),
        ("reorder-overflows", 1),
        ("resumed", 64),
        ("output", 65),
    ]);
    // Only as many gaps as must be.
    receive(&mut bench, P1, (0..65).map(|n| 69 + 2 * n));
    assert_eq!(delivered(&mut bench), [69]);
    bench.expect_counters(&[
        ("rx", 65),
        ("terminal-received", 65),
        ("punt-reorder", 65),
        ("reorder-overflows", 1),
        ("resumed", 1),
        ("output", 1),
    ]);
    assert_eq!(bench.plane.held_frames(), 64);
}

#[test]
fn what_waits_goes_on_when_the_reception_ends() {
    let key = MrouteKey { source: SOURCE, group: GROUP };
    let other_key = GroupReception { source: SOURCE, gre_key: Some(6), care_of: CARE_OF, home_address: HOME };
    for end in [TableUpdate::GroupReceptionRemove(key), TableUpdate::GroupReceptionSet(GROUP, other_key)] {
        let mut bench = between_two_links();
        receive(&mut bench, P1, [4, 6, 3]);
        assert_eq!(bench.plane.held_frames(), 3);
        bench.apply(end);
        assert_eq!(delivered(&mut bench), [3, 4, 6]);
        assert_eq!((bench.plane.poll_timeout(), bench.plane.held_frames()), (None, 0));
    }
}

#[test]
fn two_groups_wait_each_for_its_own() {
    let mut bench = between_two_links();
    let other: Ipv6Addr = "2001:db8:402::1".parse().unwrap();
    let reception = GroupReception { source: other, gre_key: Some(7), care_of: FAR, home_address: HOME };
    bench.apply(TableUpdate::GroupReceptionSet(GROUP, reception));
    let from_other = |n: u32| gre(other, GROUP, 7, n, &inner(1000 + n));
    bench.receive(P0, &[from_other(0)]);
    bench.receive(P1, &[from_other(2), numbered(3)]);
    assert_eq!(delivered(&mut bench), [1000]);
    bench.receive(P0, &[from_other(1)]);
    assert_eq!(delivered(&mut bench), [1001, 1002]);
    wait(&mut bench, DELAY);
    assert_eq!(delivered(&mut bench), [3]);
}

#[test]
fn one_packet_with_a_wrong_number_blinds_nobody() {
    let mut bench = terminal_with_key(KEY);
    receive(&mut bench, P0, 0..10);
    bench.receive(P0, &[gre(SOURCE, GROUP, KEY, 1 << 30, &inner(0))]);
    receive(&mut bench, P0, 10..20);
    assert_eq!(delivered(&mut bench), (0..20).collect::<Vec<_>>());
    bench.expect_counters(&[("rx", 21), ("terminal-received", 20), ("output", 20), ("drop-terminal-far", 1)]);
    // Within the window it is taken, and the true ones after it.
    receive(&mut bench, P0, [1000]);
    receive(&mut bench, P0, 20..100);
    assert_eq!(delivered(&mut bench), [1000].into_iter().chain(20..100).collect::<Vec<_>>());
    // The agent starts anew: what comes in a row is believed.
    receive(&mut bench, P0, 1 << 20..(1 << 20) + 10);
    assert_eq!(delivered(&mut bench), ((1 << 20) + 3..(1 << 20) + 10).collect::<Vec<_>>());
    // Another key is another sender.
    bench.receive(P0, &[gre(SOURCE, GROUP, KEY + 1, (1 << 20) + 10, &inner(0))]);
    assert_eq!(delivered(&mut bench), [0; 0]);
}

#[test]
fn a_restart_lets_go_what_waited_before_it() {
    let mut bench = between_two_links();
    receive(&mut bench, P1, [3]);
    receive(&mut bench, P1, 50_000..50_005);
    assert_eq!(delivered(&mut bench), [3, 50_003, 50_004]);
    assert_eq!(bench.plane.held_frames(), 0);
}

#[test]
fn signalling_keeps_its_place() {
    let mut bench = between_two_links();
    let signalling = PacketBuilder::new(CN, HOME).checksummed(protocol::MOBILITY, vec![59, 0, 0, 0, 0, 0, 0, 0], 4);
    bench.receive(P1, &[gre(SOURCE, GROUP, KEY, 3, &signalling), numbered(4)]);
    assert!(bench.local().is_empty());
    receive(&mut bench, P0, [2]);
    assert_eq!(bench.local().into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), [signalling]);
    assert_eq!(delivered(&mut bench), [2, 4]);
}

#[test]
fn a_bad_packet_leaves_no_gap() {
    let mut bench = between_two_links();
    let not_ours = gre(SOURCE, GROUP, KEY, 2, &udp(CN, FAR, 9, b"x"));
    bench.receive(P1, &[numbered(3), not_ours, numbered(4)]);
    assert_eq!(delivered(&mut bench), [3, 4]);
}

/// Whatever two links do with the packets, each is delivered once, and in order where the skew is less than the delay.
#[test]
fn any_mix_of_two_links_is_delivered_once_and_in_order() {
    let seeds = std::env::var("DROVER_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(50u64);
    for seed in 0..seeds {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let mut bench = terminal_with_key(KEY);
        let skew = random(5);
        // Each link loses its own part; what one loses the other has.
        let mut arrivals: Vec<(u64, u8, u32)> = Vec::new();
        for number in 0..200u32 {
            let sent = u64::from(number);
            let on = random(4);
            if on != 0 {
                arrivals.push((sent, 0, number));
            }
            if on != 1 {
                arrivals.push((sent + skew, 1, number));
            }
        }
        arrivals.sort();
        // The terminal has heard both.
        receive(&mut bench, P1, [u32::MAX - 1]);
        receive(&mut bench, P0, [u32::MAX]);
        delivered(&mut bench);
        let start = bench.now;
        let mut got = Vec::new();
        for (at, port, number) in arrivals {
            let at = start + Duration::from_millis(at);
            while let Some(deadline) = bench.plane.poll_timeout().filter(|&deadline| deadline < at) {
                bench.now = deadline;
                wait(&mut bench, Duration::ZERO);
            }
            bench.now = at;
            receive(&mut bench, stack::machine::PortId(port), [number]);
            got.extend(delivered(&mut bench));
        }
        wait(&mut bench, DELAY);
        got.extend(delivered(&mut bench));
        assert_eq!(got, (0..200).collect::<Vec<_>>(), "seed {seed}, skew {skew} ms");
        assert_eq!(bench.plane.held_frames(), 0);
    }
}
