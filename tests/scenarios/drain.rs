//! Routers and agents that are taken out of service: terminals go elsewhere and lose nothing.

use crate::agreement::finish;
use crate::blocks::{FOREIGN_SITE, is_heard, is_settled};
use crate::world::{Draft, GROUP, Weather, World, over_seeds};
use drover::node::{Remaining, Service};

/// Does this to a node, and says what it still carries.
fn set(world: &mut World<'_>, node: &str, service: Service) -> Option<Remaining> {
    let index = world.node(node);
    world.sim.set_service(index, service).expect("the node runs")
}

#[test]
fn a_drained_access_router_is_left_without_a_loss() {
    let lab = Draft::shipped("fig5").lab();
    over_seeds(|seed| {
        let [a, b] = FOREIGN_SITE.access;
        let mut world = World::new(&lab, seed, Weather::Fair);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        let entered = world.now();
        let flow = world.down(5, 1_000);
        world.run_until("packets come through A", 8_000, |world| is_heard(world, &a, entered));
        // B is in reach, and no reason to leave A.
        world.signal("mt", b.link, -75);
        world.attach("mt", b.link);
        world.run_ms(1_500);
        assert!(world.sends_through("mt", a.link));

        let drained = world.now();
        assert_eq!(set(&mut world, "a", Service::Drain), Some(Remaining { bindings: 0, groups: 1 }));
        world.run_until("the terminal goes to B", 2_000, |world| world.sends_through("mt", b.link));
        world.run_until("A carries nothing", 3_000, |world| drover::node::remaining(world.worker("a")).is_nothing());
        world.run_ms(4_000);
        let seen = world.seen_since(drained);
        assert!(seen.iter().any(|s| s.link == b.uplink && s.from == "b" && s.joins(GROUP)), "B has joined");
        assert!(!seen.iter().any(|s| s.is_mobility()), "nobody is told of it");
        // Who comes now does not find A.
        world.detach("mt", a.link);
        world.run_ms(200);
        world.signal("mt", a.link, -40);
        world.attach("mt", a.link);
        world.run_ms(2_000);
        assert!(world.sends_through("mt", b.link), "A is near, and drained");

        assert!(set(&mut world, "a", Service::Resume).is_some());
        world.run_until("the terminal comes back to A", 5_000, |world| world.sends_through("mt", a.link));
        world.run_ms(1_000);
        finish(&mut world);
        let summary = world.flow(flow).summary();
        assert_eq!((summary.sent, summary.received, summary.duplicated), (1_000, 1_000, 0), "{summary:?}");
    });
}

#[test]
fn a_drained_agent_keeps_its_terminals_and_takes_no_others() {
    let lab = Draft::shipped("fig5").lab();
    over_seeds(|seed| {
        let mut world = World::new(&lab, seed, Weather::Fair);
        world.run_until("both agents acknowledge", 30_000, is_settled);
        assert_eq!(set(&mut world, "mma1", Service::Drain), Some(Remaining { bindings: 1, groups: 0 }));
        let entered = world.now();
        let flow = world.down(10, 200);
        world.run_until("packets come", 8_000, |world| is_heard(world, &FOREIGN_SITE.access[0], entered));
        world.run_ms(3_000);
        let summary = world.flow(flow).summary();
        assert_eq!((summary.sent, summary.received), (200, 200), "{summary:?}");
        // A terminal that comes anew, with nothing bound, is refused until the agent serves again.
        world.crash("mma1");
        world.run_ms(100);
        world.restart("mma1");
        set(&mut world, "mma1", Service::Drain);
        world.crash("mt");
        world.run_ms(100);
        world.restart("mt");
        world.run_ms(10_000);
        assert_eq!(world.agent("mma1").bindings().count(), 0);
        assert!(world.agent("mma1").counters().refused_draining > 0);
        set(&mut world, "mma1", Service::Resume);
        // Who was refused does not ask again for ten minutes; who comes anew does.
        world.crash("mt");
        world.run_ms(100);
        world.restart("mt");
        world.run_until("the agent takes it", 60_000, |world| world.agent("mma1").bindings().count() == 1);
    });
}

#[test]
fn others_have_nothing_to_drain() {
    let lab = Draft::shipped("fig5").lab();
    let mut world = World::new(&lab, 1, Weather::Fair);
    for node in ["ha", "backbone", "core", "mt"] {
        assert_eq!(set(&mut world, node, Service::Drain), None, "{node}");
    }
}
