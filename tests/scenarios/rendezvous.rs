//! A bootstrap router and a candidate rendezvous point among the nodes of a site: what each router knows of them, as
//! `drover show bsr` and `drover show rp` say it. The candidate's advertisements and the messages go through the data
//! planes of the nodes.

use crate::world::{Draft, Weather, World, weathers};
use drover::admin::Topic;
use drover::node;
use serde_json::Value;

fn rows(world: &World<'_>, name: &str, topic: Topic) -> Vec<Value> {
    let shown = node::show(world.worker(name), world.now(), topic);
    shown.as_array().expect("an array").clone()
}

#[test]
fn every_router_of_a_site_learns_the_rendezvous_point() {
    let candidate = "[router.candidate_bsr]\nport = \"core\"\npriority = 70\nhash_mask_length = 120";
    let offer = "[router.candidate_rp]\nport = \"mma1\"\ngroups = [\"ff15::/16\"]\npriority = 3";
    let fixed = "[[router.static_rp]]\naddress = \"2001:db8:200::5\"\ngroups = [\"ff1e::/16\"]\noverride = true";
    let lab = Draft::shipped("fig5").configure("mma1", candidate).configure("core", offer);
    let lab = lab.configure("a", "router.bootstrap = true").configure("a", fixed).lab();
    // b takes no part in it.
    for seed in 0..8 {
        for weather in weathers(seed) {
            let mut world = World::new(&lab, seed, weather);
            world.run_until("a has learned it", 200_000, |world| rows(world, "a", Topic::Rp).len() == 3);
            let elected = rows(&world, "mma1", Topic::Bsr);
            assert_eq!(
                (&elected[0]["state"], &elected[0]["zone"]),
                (&"elected".into(), &"domain".into()),
                "{elected:?}"
            );
            let address = elected[0]["address"].clone();
            assert!(address.as_str().is_some_and(|address| address.starts_with("2001:db8:200:")), "{elected:?}");
            for name in ["core", "a"] {
                let seen = rows(&world, name, Topic::Bsr);
                assert_eq!(seen.len(), 1, "{seen:?}");
                assert_eq!(
                    (&seen[0]["state"], &seen[0]["address"]),
                    (&"accept preferred".into(), &address),
                    "{seen:?}"
                );
                assert_eq!((&seen[0]["priority"], &seen[0]["hash_mask_length"]), (&70.into(), &120.into()), "{seen:?}");
                assert!(seen[0]["remaining_secs"].as_u64().is_some_and(|left| left <= 130), "{seen:?}");
            }
            let learned = rows(&world, "a", Topic::Rp).into_iter().find(|row| row["from"] == "bsr").expect("learned");
            assert_eq!((&learned["groups"], &learned["priority"]), (&"ff15::/16".into(), &3.into()), "{learned}");
            assert_eq!((&learned["zone"], &learned["holdtime_secs"]), (&"domain".into(), &150.into()), "{learned}");
            let fixed = rows(&world, "a", Topic::Rp).into_iter().find(|row| row["from"] == "static, overrides");
            assert_eq!(fixed.expect("static")["rendezvous_point"], "2001:db8:200::5");
            let embedded = &rows(&world, "b", Topic::Rp)[0];
            assert_eq!((&embedded["from"], &embedded["groups"]), (&"embedded".into(), &"ff70::/12".into()));
            assert!(rows(&world, "b", Topic::Bsr).is_empty());
            if weather == Weather::Fair {
                let pim = node::show(world.worker("b"), world.now(), Topic::Counters)["pim"].clone();
                assert!(pim["drop-pim-bootstrap-disabled"].as_u64() > Some(0), "{pim}");
            }
        }
    }
}
