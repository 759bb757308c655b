//! Route optimisation goes along with every handover, and not with the first one alone.

use crate::between::{FIRST_A, HOME_E, Roamer, SECOND_C, With};
use crate::blocks::Mode;
use crate::roaming::{FORWARD_SECS, check_route_optimisation, forwarded, three_sites_with};
use crate::world::over_seeds;
use stack::time::{Duration, Instant};

/// Round the three sites and into the first one again, whose agent has served the terminal before: each agent tells the
/// correspondent in its turn.
#[test]
fn every_agent_in_turn_tells_the_correspondent() {
    let lab = three_sites_with("radio-a", "mma").lab();
    over_seeds(|seed| {
        let mut roamer = Roamer::start(&lab, seed, FIRST_A, With::Peer);
        roamer.await_optimised(Instant::ORIGIN);
        let ways = [SECOND_C, HOME_E, FIRST_A];
        for (way, to) in ways.into_iter().enumerate() {
            let mode = if (seed >> way) & 1 == 0 { Mode::MakeFirst } else { Mode::BreakFirst };
            let old = roamer.care_of.expect("registered");
            let moved = roamer.go(to, mode);
            roamer.await_optimised(moved);
            check_route_optimisation(&roamer.world, moved, roamer.care_of.expect("registered"));
            // The agent before has nothing to forward from then on.
            let optimised = roamer.world.now();
            roamer.world.run_ms(1_500);
            let late = roamer.world.seen_since(optimised + Duration::from_millis(200));
            assert_eq!(forwarded(&late, old), 0, "forwarded although the peer knows");
            roamer.world.run_ms(FORWARD_SECS * 1_000);
        }
        roamer.end();
    });
}
