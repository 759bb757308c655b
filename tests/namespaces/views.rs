//! What `drover show` and `drover signal` say of running nodes, as tables and as JSON.

use crate::room::{ask, shared, until};
use crate::site::{Site, topology};
use serde_json::Value;

const HOME_ADDRESS: &str = "2001:db8:100:1::55";
const GROUP: &str = "ff35::200:5eff:fe10:55";
const AGENT: &str = "2001:db8:200::1";
const TABLES: [&str; 11] = [
    "neighbors",
    "routes",
    "bindings",
    "optimisations",
    "groups",
    "mroutes",
    "rp",
    "bsr",
    "terminals",
    "ports",
    "workers",
];

fn row(site: &Site, node: &str, topic: &str, holds: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{topic} of {node}"), || site.node(node).rows(topic).into_iter().find(|row| holds(row)))
}

/// The rows of a node's table as a table to read has them: a line each, below the names of the columns.
fn assert_table(site: &Site, node: &str, topic: &str) {
    let answer = site.node(node).ask(&["show", topic]);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let text = String::from_utf8(answer.stdout).expect("UTF-8");
    let rows = site.node(node).rows(topic);
    let Some(Value::Object(first)) = rows.first() else { return };
    let mut lines = text.lines();
    let head = lines.next().expect("there is a line with the columns' names").to_lowercase();
    for name in first.keys() {
        assert!(
            head.contains(&name.replace('_', " ")) || head.contains(name),
            "{topic} of {node} lacks {name}: {head}"
        );
    }
    // Neighbours come and go between two looks.
    if topic != "neighbors" {
        assert_eq!(lines.count(), rows.len(), "{topic} of {node}: {text}");
    }
}

#[test]
fn running_nodes_show_what_they_have() {
    let Some(_shared) = shared() else { return };
    let site = Site::new(&topology());
    site.await_registration();
    until("data", || site.room().ping("cn", HOME_ADDRESS).then_some(()));

    let binding = row(&site, "mma1", "bindings", |row| row["home_address"] == HOME_ADDRESS);
    assert_eq!((&binding["agent"], &binding["group"]), (&"mma".into(), &GROUP.into()), "{binding}");
    assert!(binding["care_of"].as_str().is_some_and(|address| address.starts_with("2001:db8:200:c0a:")), "{binding}");
    assert!(binding["remaining_secs"].as_u64().is_some_and(|left| (1..=1800).contains(&left)), "{binding}");
    let at_home = row(&site, "ha", "bindings", |row| row["home_address"] == HOME_ADDRESS);
    assert_eq!((&at_home["agent"], &at_home["care_of"]), (&"home-agent".into(), &binding["care_of"]), "{at_home}");

    let neighbor = |port: &str| row(&site, "core", "neighbors", |row| row["port"] == port && row["pim"] == true);
    for port in ["mma1", "a", "b"] {
        assert!(neighbor(port)["address"].as_str().is_some_and(|address| address.starts_with("fe80::")));
    }
    let route = row(&site, "backbone", "routes", |row| row["prefix"] == "2001:db8:100::/48");
    assert_eq!(
        (&route["action"], &route["port"], &route["next_hop"]),
        (&"via".into(), &"ha".into(), &"2001:db8:0:1::2".into())
    );
    let route = row(&site, "mma1", "routes", |row| row["action"] == "care-of");
    assert!(route["prefix"].as_str().is_some_and(|prefix| prefix.starts_with("2001:db8:200:c0a:")), "{route}");

    let group = row(&site, "a", "groups", |row| row["group"] == GROUP);
    assert_eq!(
        (&group["port"], &group["mode"], &group["sources"]),
        (&"radio".into(), &"include".into(), &AGENT.into())
    );
    let received = row(&site, "mt", "groups", |row| row["group"] == GROUP && row["mode"] == "received");
    assert!(received["packets"].as_u64() >= Some(3), "{received}");
    for (node, way_in, way_out) in [("mma1", "local", "core"), ("core", "mma1", "a"), ("a", "core", "radio")] {
        let route = row(&site, node, "mroutes", |row| row["group"] == GROUP);
        assert_eq!(
            (&route["source"], &route["in"], &route["out"]),
            (&AGENT.into(), &way_in.into(), &way_out.into()),
            "{route}"
        );
        assert!(route["packets"].as_u64() >= Some(3), "{route}");
    }
    let terminal = row(&site, "mt", "terminals", |row| row["port"] == "radio-a");
    assert_eq!((&terminal["home_address"], &terminal["mma"]), (&HOME_ADDRESS.into(), &AGENT.into()), "{terminal}");
    assert_eq!((&terminal["joined"], &terminal["sends_here"]), (&true.into(), &true.into()), "{terminal}");
    assert_eq!(terminal["signal_dbm"], -50, "{terminal}");

    let known = row(&site, "mma1", "terminals", |row| row["home_address"] == HOME_ADDRESS);
    assert_eq!((&known["care_of"], &known["group"]), (&binding["care_of"], &GROUP.into()), "{known}");

    for node in site.node_names() {
        for topic in TABLES {
            assert_table(&site, node, topic);
        }
        let counters = site.node(node).show("counters");
        let dataplane = counters["dataplane"].as_object().unwrap_or_else(|| panic!("{node}: {counters}"));
        assert!(dataplane.values().all(|value| value.as_u64() > Some(0)) && !dataplane.is_empty(), "{counters}");
        let text = String::from_utf8(site.node(node).ask(&["show", "counters"]).stdout).expect("UTF-8");
        assert!(dataplane.keys().all(|name| text.contains(name.as_str())), "{text}");
        for port in site.node(node).rows("ports") {
            let expected = if port["name"] == "radio-b" { "down" } else { "up" };
            assert_eq!(port["link"], expected, "{node}: {port}");
            let kind = if port["name"] == "programs" { "tun" } else { "af_xdp" };
            assert_eq!(port["kind"], kind, "{node}: {port}");
            assert_eq!((port["xdp"] == "native", port["xdp"].is_null()), (kind != "tun", kind == "tun"), "{port}");
        }
    }

    // The terminal is told of a better router, and goes there.
    site.carrier("mt", "radio-b", true);
    site.node("mt").signal("radio-b", "-40");
    site.node("mt").signal("radio-a", "-90");
    let there = row(&site, "mt", "terminals", |row| row["port"] == "radio-b" && row["sends_here"] == true);
    assert_eq!((&there["joined"], &there["signal_dbm"]), (&true.into(), &(-40).into()), "{there}");
    row(&site, "core", "mroutes", |row| row["group"] == GROUP && row["out"] == "b");
    assert!(site.room().ping("cn", HOME_ADDRESS));

    let refused = site.node("mt").ask(&["signal", "radio-x", "-40"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("radio-a") && said.contains("radio-b") && said.lines().count() == 1, "{said}");
    let nobody = ask(&site.room().socket("nobody"), &["show", "ports"]);
    assert_eq!(nobody.status.code(), Some(3));
}
