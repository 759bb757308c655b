//! The baselines that the same program is compared with: HMIPv6 (RFC 5380) and Mobile IPv6 (RFC 6275), on figure 5.

use crate::agreement::finish;
use crate::world::{Draft, Weather, World, over_seeds};
use ha::mobile::movement::Site;

/// Moves between the two access routers; what flows both ways afterwards arrives once, and the terminal is registered
/// as it should be.
fn moves_with_traffic(draft: Draft, is_right: fn(Site) -> bool) {
    let lab = draft.start("mt", "radio-a").lab();
    over_seeds(|seed| {
        let mut world = World::new(&lab, seed, Weather::Fair);
        let registered = |world: &World<'_>| {
            let terminal = world.terminal("mt");
            !terminal.is_registering() && terminal.home_registration().is_some() && is_right(terminal.site().site)
        };
        world.run_until("registered", 30_000, registered);
        for (from, to) in [("radio-a", "radio-b"), ("radio-b", "radio-a")] {
            world.run_ms(2_000);
            world.jump("mt", from, to, 20);
            world.run_until("registered again", 30_000, |world| registered(world) && world.sends_through("mt", to));
            // What was kept of the old link is gone, the neighbours are known.
            world.run_ms(1_000);
            assert!(world.terminal("mt").joined().next().is_none(), "a group was joined");
            let streams = [world.down(10, 50), world.up(10, 50)];
            world.run_ms(3_000);
            for stream in streams {
                let summary = world.flow(stream).summary();
                assert_eq!((summary.sent, summary.lost, summary.duplicated), (50, 0, 0), "{summary:?}");
            }
        }
        finish(&mut world);
    });
}

#[test]
fn hmipv6_moves_within_the_domain_of_an_anchor_point() {
    let draft = Draft::shipped("fig5")
        .configure("mma1", "mma.anchor = true")
        .configure("mt", "mobile_terminal.mode = \"hmipv6\"");
    moves_with_traffic(draft, |site| matches!(site, Site::Agent(_)));
}

#[test]
fn mobile_ipv6_moves_without_an_agent() {
    let draft = Draft::shipped("fig5").configure("mt", "mobile_terminal.mode = \"mipv6\"");
    moves_with_traffic(draft, |site| site == Site::Plain);
}
