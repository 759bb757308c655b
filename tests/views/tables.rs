//! `drover show` in parts and ranges.

use crate::bench::{BESIDE, Bench, SOURCE, UPSTREAM, Wire, group};
use drover::admin::{Query, Topic, groups};
use serde_json::Value;
use stack::time::Duration;

const GROUPS: u16 = 150;

/// Four hosts on the link, each in some of the groups; every third group is forwarded by the other router.
fn busy() -> Bench {
    let mut bench = Bench::new("");
    bench.hello(Wire::Core, UPSTREAM, 1);
    for host in 0..4 {
        bench.report(host, (0..GROUPS).filter(|number| number % 4 == host).map(group), Some(SOURCE));
    }
    bench
}

/// Trees are shown as they come to hand where there are more than wanted, groups of hosts from the first on; both in order.
fn assert_some_of(all: &[Value], shown: &Value, count: usize, topic: Topic) {
    let shown = shown.as_array().expect("a table");
    let places: Vec<_> = shown.iter().map(|row| all.iter().position(|other| other == row)).collect();
    let in_order = places.iter().flatten().is_sorted_by(|a, b| a < b);
    assert!(shown.len() == count && !places.contains(&None) && in_order, "{} {count}: {places:?}", topic.name());
    if !topic.is_of_trees() {
        assert_eq!(shown[..], all[..count], "{} {count}", topic.name());
    }
}

#[test]
fn large_tables_come_in_parts_that_make_the_whole() {
    let bench = busy();
    for topic in [Topic::Groups, Topic::Mroutes, Topic::PimTib, Topic::PimMld] {
        let all = bench.rows(topic);
        let in_order: Vec<Value> = (0..GROUPS).map(|number| group(number).to_string().into()).collect();
        assert_eq!(all.iter().map(|row| row["group"].clone()).collect::<Vec<_>>(), in_order, "{}", topic.name());
        for limit in [0, 1, 31, 32, 33, 149, 150, 151] {
            let page = bench.show(Query { limit: Some(limit), ..topic.into() });
            let shown = all.len().min(limit);
            assert_some_of(&all, &page.value, shown, topic);
            assert_eq!((page.more, page.next), ((all.len() - shown) as u64, None), "{} {limit}", topic.name());
        }
        let range = Query { group: groups("ff3e::8000:40/124").ok(), limit: None, topic };
        let page = bench.show(range);
        assert_eq!((page.value, page.more), (Value::from(&all[0x40..0x50]), 0), "{}", topic.name());
        let page = bench.show(Query { limit: Some(3), ..range });
        assert_some_of(&all[0x40..0x50], &page.value, 3, topic);
        assert_eq!(page.more, 13, "{}", topic.name());
        let one = bench.show(Query { group: groups("ff3e::8000:41").ok(), limit: None, topic });
        assert_eq!((one.value, one.more), (Value::from(&all[0x41..0x42]), 0), "{}", topic.name());
    }
}

#[test]
fn a_tree_is_shown_with_its_states() {
    let mut bench = Bench::new("");
    let row = |bench: &Bench| bench.rows(Topic::PimTib).into_iter().next().expect("a tree");
    bench.report(0, [group(1)].into_iter(), Some(SOURCE));
    let unjoined = row(&bench);
    assert_eq!((&unjoined["rpf_port"], &unjoined["next_hop"]), (&"core".into(), &"fe80::1".into()), "{unjoined}");
    assert_eq!((&unjoined["rpf_neighbor"], &unjoined["join_secs"]), (&Value::Null, &Value::Null), "{unjoined}");
    bench.hello(Wire::Core, UPSTREAM, 1);
    bench.data(Wire::Core, SOURCE, group(1));
    bench.pass(Duration::from_secs(10));
    let joined = row(&bench);
    assert_eq!((&joined["upstream"], &joined["join_secs"]), (&"joined".into(), &50.into()), "{joined}");
    assert_eq!((&joined["rpf_neighbor"], &joined["members"]), (&"fe80::1".into(), &"hosts".into()), "{joined}");
    assert_eq!((&joined["in"], &joined["out"]), (&"core".into(), &"hosts".into()), "{joined}");
    assert_eq!((&joined["packets"], &joined["spt"], &joined["downstream"]), (&1.into(), &Value::Null, &"".into()));
    let neighbor = &bench.rows(Topic::PimNeighbors)[0];
    assert_eq!((&neighbor["since_secs"], &neighbor["remaining_secs"]), (&10.into(), &95.into()), "{neighbor}");
    let interfaces = bench.rows(Topic::PimInterfaces);
    assert_eq!((&interfaces[0]["pim"], &interfaces[0]["neighbors"]), (&true.into(), &1.into()), "{interfaces:?}");
    assert_eq!((&interfaces[1]["pim"], &interfaces[1]["designated_here"]), (&false.into(), &true.into()));
    assert_eq!(interfaces[1]["querier"], interfaces[1]["address"], "{interfaces:?}");
    let member = &bench.rows(Topic::PimMld)[0];
    assert_eq!((&member["mode"], &member["hosts"]), (&"include".into(), &"fe80::1:0".into()), "{member}");
    assert_eq!(member["sources"], "2001:db8:a::5 250 s", "{member}");
    let counters = bench.show(Topic::PimCounters).value;
    assert_eq!((&counters["rx-hello"], &counters["tx-join"]), (&1.into(), &1.into()), "{counters}");
    assert_eq!(counters, bench.show(Topic::Counters).value["pim"]);
}

#[test]
fn a_lost_assert_is_shown_with_its_winner() {
    let mut bench = Bench::new("[[router.port]]\nname = \"hosts\"\npassive = false\n");
    bench.hello(Wire::Core, UPSTREAM, 1);
    bench.hello(Wire::Hosts, BESIDE, 0);
    bench.report(0, (1..=3).map(group), Some(SOURCE));
    assert!(bench.rows(Topic::PimAssert).is_empty());
    bench.assert_against(SOURCE, group(2));
    bench.pass(Duration::from_secs(5));
    let rows = bench.rows(Topic::PimAssert);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&row["port"], &row["group"]), (&"hosts".into(), &group(2).to_string().into()), "{row}");
    assert_eq!((&row["state"], &row["winner"]), (&"loser".into(), &BESIDE.to_string().into()), "{row}");
    assert_eq!((&row["preference"], &row["metric"], &row["remaining_secs"]), (&0.into(), &0.into(), &175.into()));
    let asked = Query { group: groups("ff3e::8000:3").ok(), ..Topic::PimAssert.into() };
    assert_eq!(bench.show(asked).value, Value::Array(Vec::new()));
    let tree = &bench.rows(Topic::PimTib)[1];
    assert_eq!((&tree["asserts"], &tree["members"]), (&"hosts lost".into(), &"".into()), "{tree}");
}
