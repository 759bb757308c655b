//! The mesh of access routers: the old branch after a terminal that could not leave; a terminal with one radio whose next
//! router waits for it with its packets.

use crate::agreement::finish;
use crate::blocks::{FOREIGN_SITE, is_heard, is_settled};
use crate::world::{Draft, GROUP, Seen, Weather, World, over_seeds, weathers};
use drover::config::lab::Lab;
use drover::node::DroverNode;
use mma::auth::{Algorithm, Key, SiteKey, Spi};
use stack::rng::Rng;
use stack::sim::LinkId;
use stack::time::{Duration, Instant};
use stack::wire::mld::{Record, RecordType};
use stack::wire::mobility::handover::{
    self, HandoverInitiate, HandoverMessage, HandoverOptions, MulticastOption, is_handover,
};
use std::net::Ipv6Addr;

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0, 0, 1);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xb, 0, 0, 0, 1);
/// Last Listener Query Time of the mobility range.
const LLQT: Duration = Duration::from_millis(100);
/// What the way of a report, a message between the routers and their answers takes on links without weather.
const WAY: Duration = Duration::from_millis(5);
/// RETRANS_TIMER (RFC 4861 §10).
const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// The retransmissions of RFC 5568 §6.2.1.1, and the way in the worst weather.
const RETRIES: Duration = Duration::from_millis(800);

/// Octets of the key in [`lab`].
const KEY: [u8; 16] = [0x5c; 16];

/// Figure 5; `mesh` says whether its access routers talk to each other and the terminal of its moves.
fn lab(mesh: bool) -> Lab {
    draft(mesh).lab()
}

fn draft(mesh: bool) -> Draft {
    let mut draft = Draft::shipped("fig5");
    if mesh {
        let key = "5c".repeat(16);
        let config = |own: Ipv6Addr, peer: Ipv6Addr, prefix: &str| {
            format!(
                "[access_router.mesh]\naddress = \"{own}\"\nspi = 700\nalgorithm = \"hmac-sha256\"\nkey = \"{key}\"\n\
                 [[access_router.mesh.peer]]\naddress = \"{peer}\"\nprefixes = [\"{prefix}\"]\n"
            )
        };
        draft = draft
            .configure("a", &config(A, B, FOREIGN_SITE.access[1].prefix))
            .configure("b", &config(B, A, FOREIGN_SITE.access[0].prefix))
            .configure("mt", "mobile_terminal.report_moves = true");
    }
    draft
}

fn node<'w>(world: &'w World<'_>, name: &str) -> &'w DroverNode {
    world.worker(name).node()
}

fn mesh_counter(world: &World<'_>, name: &str, counter: &str) -> u64 {
    let counters = node(world, name).mesh().expect("a mesh").counters();
    counters.iter().find(|(other, _)| *other == counter).unwrap_or_else(|| panic!("{counter}")).1
}

fn pim_counter(world: &World<'_>, name: &str, counter: &str) -> u64 {
    let counters = node(world, name).pim().expect("a router").counters();
    counters.iter().find(|(other, _)| *other == counter).unwrap_or_else(|| panic!("{counter}")).1
}

/// When the router of this access link was first told, at `from` or later, that the group is wanted.
fn reported(world: &World<'_>, link: &str, from: Instant) -> Option<Instant> {
    let is_report = |s: &&Seen| s.link == link && s.from == "mt" && s.wants(GROUP) && !s.lost;
    world.seen_since(from).iter().find(is_report).map(|s| s.at)
}

/// When a router first pruned the group at `from` or later.
fn pruned(world: &World<'_>, router: &str, from: Instant) -> Option<Instant> {
    world.seen_since(from).iter().find(|s| s.from == router && s.prunes(GROUP)).map(|s| s.at)
}

/// The messages between the routers, at `from` or later.
fn between_routers(world: &World<'_>, from: Instant) -> Vec<Seen> {
    let is_one = |s: &Seen| s.is_mobility() && [(A, B), (B, A)].contains(&(s.source(), s.destination()));
    world.seen_since(from).into_iter().filter(is_one).collect()
}

/// A terminal that receives at A, from the weather of this seed.
fn settled<'l>(lab: &'l Lab, seed: u64, weather: Weather) -> World<'l> {
    let mut world = World::new(lab, seed, weather);
    world.run_until("both agents acknowledge", 30_000, is_settled);
    world.down(10, 100_000);
    let entered = world.now();
    world.run_until("packets come", 8_000, |world| is_heard(world, &FOREIGN_SITE.access[0], entered));
    world.run_ms(1_500);
    world
}

/// After a silent move the old branch goes about 100 ms after the report on the new link.
#[test]
fn the_old_branch_goes_with_the_report_on_the_new_link() {
    let lab = lab(true);
    let (mut longest, mut runs, mut late) = (Duration::ZERO, 0, 0);
    over_seeds(|seed| {
        for weather in weathers(seed) {
            let mut world = settled(&lab, seed, weather);
            let left = world.now();
            world.jump("mt", "radio-a", "radio-b", 50);
            world.run_until("the old branch is pruned", 5_000, |world| pruned(world, "a", left).is_some());
            let report = reported(&world, "radio-b", left).expect("it has moved");
            let life = pruned(&world, "a", left).expect("just seen") - report;
            // Where a neighbour solicitation is lost on the way all that goes that way waits for the next one.
            let most = if weather.is_fair() { LLQT + WAY } else { LLQT + RETRIES + RETRANS_TIMER * 3 };
            runs += 1;
            late += usize::from(life > LLQT + RETRIES);
            assert!(life >= LLQT && life <= most, "{life:?} in {weather:?}\n{}", world.story(40));
            if weather.is_fair() {
                longest = longest.max(life);
                let messages = between_routers(&world, left);
                // Each is seen on both links of the way.
                assert_eq!(messages.len(), 4, "one question, one answer\n{}", world.story(40));
                assert_eq!(mesh_counter(&world, "b", "tx-handover-initiate"), 1);
            }
            finish(&mut world);
        }
    });
    println!("with the leave relay the old branch lives {longest:?} at the most after the report on the new link");
    println!("in rough weather {late} of {runs} times longer than {:?}", LLQT + RETRIES);
    assert!(late * 10 <= runs.max(10), "{late} of {runs}");
}

/// Without it, it stays until the router's own questions find out.
#[test]
fn without_a_mesh_the_old_branch_stays_until_it_is_asked_for_in_vain() {
    let lab = lab(false);
    let mut world = settled(&lab, 10, Weather::Fair);
    let left = world.now();
    world.jump("mt", "radio-a", "radio-b", 50);
    world.run_until("the old branch is pruned", 120_000, |world| pruned(world, "a", left).is_some());
    let report = reported(&world, "radio-b", left).expect("it has moved");
    let life = pruned(&world, "a", left).expect("just seen") - report;
    println!("without the leave relay it lives {life:?}");
    assert!(life > LLQT * 50, "{life:?}");
    assert!(between_routers(&world, Instant::ORIGIN).is_empty());
    let plain =
        |s: &Seen| s.from != "mt" || s.records(GROUP).next().is_none() || !s.frame.windows(2).any(|o| o == b"DR");
    assert!(world.seen().iter().all(plain), "reports are as ever");
    finish(&mut world);
}

/// One radio: B joins while the terminal is at A, keeps what comes while it is nowhere, and sends it first. Nothing is lost,
/// out of order or there twice, whenever the break comes and as long as it is.
#[test]
fn a_terminal_with_one_radio_loses_nothing_where_its_next_router_waits_for_it() {
    let lab = lab(true);
    over_seeds(|seed| {
        let mut chance = Rng::new(seed);
        let mut world = World::new(&lab, seed, Weather::Fair);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        let flow = world.down(2, 5_000);
        let entered = world.now();
        world.run_until("packets come", 8_000, |world| is_heard(world, &FOREIGN_SITE.access[0], entered));
        world.run_ms(500 + chance.below(100));
        let asked = world.now();
        hand_over(&mut world, B);
        world.run_ms(50 + chance.below(400));
        let held = pim_counter(&world, "b", "pre-joins");
        assert_eq!((held, pim_counter(&world, "b", "pre-joins-met")), (1, 0));
        world.jump("mt", "radio-a", "radio-b", 50);
        world.run_ms(1_000);
        let under_way = world.now();
        world.run_ms(100);
        let summary = world.flow(flow).summary_between(asked, under_way);
        assert_eq!(
            (summary.lost, summary.duplicated, summary.reordered),
            (0, 0, 0),
            "{summary:?}\n{}",
            world.story(40)
        );
        assert_eq!(pim_counter(&world, "b", "pre-joins-met"), 1);
        assert_eq!(mesh_counter(&world, "a", "tx-handover-initiate"), 1);
        finish(&mut world);
    });
}

/// The same without: what comes while the terminal is nowhere is lost.
#[test]
fn a_terminal_with_one_radio_loses_the_gap_otherwise() {
    let lab = lab(false);
    let mut world = World::new(&lab, 10, Weather::Fair);
    world.run_until("both agents acknowledge", 30_000, is_settled);
    let flow = world.down(2, 5_000);
    let entered = world.now();
    world.run_until("packets come", 8_000, |world| is_heard(world, &FOREIGN_SITE.access[0], entered));
    world.run_ms(500);
    world.jump("mt", "radio-a", "radio-b", 50);
    world.run_ms(1_000);
    let summary = world.flow(flow).summary();
    println!("without pre-join a break of 50 ms loses {} packets of one each 2 ms", summary.lost);
    assert!(summary.lost >= 25, "{summary:?}");
}

/// A router in the weather of any seed: what it is asked for arrives in the end, or the terminal moves as ever.
#[test]
fn a_pre_join_in_any_weather_does_no_harm() {
    let lab = lab(true);
    over_seeds(|seed| {
        let mut world = settled(&lab, seed, Weather::Stormy);
        hand_over(&mut world, B);
        world.run_ms(300);
        world.jump("mt", "radio-a", "radio-b", 50);
        let moved = world.now();
        world.run_until("packets come by the new link", 8_000, |world| is_heard(world, &FOREIGN_SITE.access[1], moved));
        let met = pim_counter(&world, "b", "pre-joins-met");
        assert!(met == 1 || mesh_counter(&world, "b", "rx-handover-initiate") == 0, "{}", world.story(60));
        finish(&mut world);
    });
}

/// A terminal that does not come: B leaves when its time is over, and keeps nothing.
#[test]
fn a_terminal_that_does_not_come_is_not_waited_for_longer() {
    let lab = lab(true);
    over_seeds(|seed| {
        let mut world = settled(&lab, seed, Weather::Rough);
        hand_over(&mut world, B);
        let asked = world.now();
        let joined = |world: &World<'_>| pim_counter(world, "b", "pre-joins") == 1;
        world.run_until("B joins", 3_000, joined);
        let since = world.now();
        world.run_until("B leaves", 4_000, |world| pruned(world, "b", asked).is_some());
        let life = pruned(&world, "b", asked).expect("just seen") - since;
        assert!(life <= Duration::from_secs(2) + RETRIES, "{life:?}");
        assert_eq!(pim_counter(&world, "b", "pre-joins-lapsed"), 1);
        assert!(world.sends_through("mt", "radio-a"));
        finish(&mut world);
    });
}

fn hand_over(world: &mut World<'_>, to: Ipv6Addr) {
    let terminal = world.node("mt");
    assert!(world.sim.hand_over(terminal, to).expect("a terminal"), "there is a router to tell");
}

/// A message to A, as one who has this key would send it in the name of `from`.
fn message(world: &World<'_>, key: &[u8], from: Ipv6Addr, code: u8, kind: RecordType) -> Vec<u8> {
    let key = SiteKey {
        spi: Spi::new(700).expect("an SPI"),
        key: Key::new(key).expect("a key"),
        algorithm: Algorithm::HmacSha256_128,
    };
    let record = Record { kind, group: GROUP, sources: vec![FOREIGN_SITE.address] };
    let message = HandoverMessage::Initiate(HandoverInitiate {
        sequence: 1,
        assign_address: false,
        buffer: false,
        code,
        options: HandoverOptions {
            multicast: Some(MulticastOption { code: MulticastOption::MLDV2, records: vec![record] }),
            message_id: Some(drover::node::fixed_clock().read(world.now()).0),
            ..HandoverOptions::default()
        },
    });
    let signed = key.between(from, A).sign_handover(message, from, A);
    handover::packet(from, A, signed)
}

/// Who has no key does nothing; who has one, a router gone bad, costs a listener that is there two questions.
#[test]
fn forged_and_replayed_messages_take_nothing_from_a_listener_that_is_there() {
    let mut draft = draft(true);
    // Else what comes from terminals' links in the name of another router does not even come in.
    let ports = draft.config("a")["port"].as_array_mut().expect("ports");
    let radio = ports.iter_mut().find(|port| port["name"].as_str() == Some("radio")).expect("a radio link");
    radio.as_table_mut().expect("a table").insert("ingress_filter".into(), "open".into());
    let lab = draft.lab();
    over_seeds(|seed| {
        let mut world = settled(&lab, seed, Weather::Fair);
        let intruder = world.intruder("radio-a");
        let gone = HandoverInitiate::REACTIVE;
        let told = world.now();
        let forged = message(&world, &[1; 16], B, gone, RecordType::BlockOldSources);
        let strange = message(&world, &KEY, FOREIGN_SITE.address, gone, RecordType::BlockOldSources);
        for packet in [forged, strange] {
            world.intrude(intruder, "a", "radio-a", &packet);
            world.run_ms(20);
        }
        assert_eq!(mesh_counter(&world, "a", "drop-mesh-authentication"), 1);
        assert_eq!(mesh_counter(&world, "a", "drop-mesh-stranger"), 1);
        assert_eq!(mesh_counter(&world, "a", "listeners-gone"), 0);
        let good = message(&world, &KEY, B, gone, RecordType::BlockOldSources);
        for _ in 0..3 {
            world.intrude(intruder, "a", "radio-a", &good);
            world.run_ms(20);
        }
        assert_eq!(mesh_counter(&world, "a", "listeners-gone"), 1, "and not again by its repetitions");
        assert_eq!(mesh_counter(&world, "a", "drop-mesh-stale"), 2);
        world.run_ms(2_000);
        assert_eq!(pruned(&world, "a", told), None, "{}", world.story(40));
        assert!(world.sends_through("mt", "radio-a"));
        finish(&mut world);
    });
}

/// A router that starts anew, or was never there, is asked in vain for a while; the terminal moves all the same.
#[test]
fn a_router_that_is_down_or_has_started_anew_does_no_harm() {
    let lab = lab(true);
    over_seeds(|seed| {
        let mut world = settled(&lab, seed, Weather::Rough);
        let left = world.now();
        if seed % 2 == 0 {
            world.crash("a");
            world.jump("mt", "radio-a", "radio-b", 50);
            world.run_ms(2_500);
            assert_eq!(mesh_counter(&world, "b", "handover-unanswered"), 1, "{}", world.story(40));
            world.restart("a");
        } else {
            // What B has sent before tells nobody that it is another B now.
            world.jump("mt", "radio-a", "radio-b", 50);
            world.run_until("the old branch is pruned", 5_000, |world| pruned(world, "a", left).is_some());
            world.jump("mt", "radio-b", "radio-a", 50);
            world.run_until("and that at B", 5_000, |world| pruned(world, "b", left).is_some());
            world.crash("b");
            world.run_ms(500);
            world.restart("b");
            world.run_ms(3_000);
            let again = world.now();
            world.jump("mt", "radio-a", "radio-b", 50);
            world.run_until("after the restart too", 8_000, |world| pruned(world, "a", again).is_some());
        }
        let moved = world.now();
        world.run_until("packets come by the new link", 8_000, |world| is_heard(world, &FOREIGN_SITE.access[1], moved));
        finish(&mut world);
    });
}

/// Whoever loses every message of a kind for a time: the question, or the answer.
#[test]
fn lost_questions_and_answers_are_sent_again() {
    let lab = lab(true);
    for (seed, link) in [(10, "core-a"), (20, "core-b"), (30, "core-a"), (40, "core-b")] {
        let mut world = settled(&lab, seed, Weather::Fair);
        let left = world.now();
        let lossy: LinkId = world.link_id(link);
        world.jump("mt", "radio-a", "radio-b", 50);
        world.run_until("it is reported", 1_000, |world| reported(world, "radio-b", left).is_some());
        // Of what is sent from now on half is lost for a while.
        world.sim.network_mut().link_config_mut(lossy).loss_ppm = 500_000;
        world.run_ms(600);
        world.sim.network_mut().link_config_mut(lossy).loss_ppm = 0;
        world.run_until("the old branch is pruned", 5_000, |world| pruned(world, "a", left).is_some());
        let is_one = |s: &&Seen| s.is_mobility() && s.source() == B && is_handover(&s.frame[14 + 40..]);
        assert!(between_routers(&world, left).iter().filter(is_one).count() >= 1);
        assert_eq!(mesh_counter(&world, "b", "handover-unanswered"), 0);
        finish(&mut world);
    }
}
