//! What `drover show` and `drover signal` say of running nodes, as tables and as JSON.

use crate::room::{ask, shared, until};
use crate::site::{Site, topology};
use serde_json::Value;

const HOME_ADDRESS: &str = "2001:db8:100:1::55";
const GROUP: &str = "ff35::200:5eff:fe10:55";
const AGENT: &str = "2001:db8:200::1";
const TABLES: [&str; 16] = [
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
    "pim neighbors",
    "pim interfaces",
    "pim tib",
    "pim assert",
    "pim mld",
];

fn row(site: &Site, node: &str, topic: &str, holds: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{topic} of {node}"), || site.node(node).rows(topic).into_iter().find(|row| holds(row)))
}

/// The rows of a node's table as a table to read has them: a line each, below the names of the columns.
fn assert_table(site: &Site, node: &str, topic: &str) {
    let words: Vec<&str> = ["show"].into_iter().chain(topic.split(' ')).collect();
    let answer = site.node(node).ask(&words);
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
    if !topic.ends_with("neighbors") {
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

/// What `drover explain` of a node says, and its exit status.
fn explained(site: &Site, node: &str, words: &[&str]) -> (Option<i32>, String) {
    let answer = site.node(node).ask(&[&["explain"], words].concat());
    assert_eq!(String::from_utf8_lossy(&answer.stderr), "", "{node}");
    (answer.status.code(), String::from_utf8(answer.stdout).expect("UTF-8"))
}

/// Waits until the last line of a node's explanation holds this; all that it says then.
fn await_verdict(site: &Site, node: &str, about: &str, verdict: &str) -> String {
    until(&format!("{node} says of {about}: {verdict}"), || {
        let (status, text) = explained(site, node, &[about]);
        let last = text.lines().last().expect("there is a verdict");
        assert_eq!(status, Some(i32::from(last.starts_with("missing here: "))), "{text}");
        last.contains(verdict).then_some(text)
    })
}

/// The way of a terminal's packets, followed from agent to access router: as it is, and broken by a link, by a router and at
/// its end.
#[test]
fn a_broken_path_is_explained_from_node_to_node() {
    let Some(_shared) = shared() else { return };
    let mut site = Site::new(&topology());
    site.await_registration();
    until("data", || site.room().ping("cn", HOME_ADDRESS).then_some(()));
    let whole = "nothing is missing here: packets leave";
    await_verdict(
        &site,
        "ha",
        HOME_ADDRESS,
        &format!("{whole} in the tunnel from 2001:db8:100:1::1 to 2001:db8:200:c0a:"),
    );
    let agent =
        await_verdict(&site, "mma1", HOME_ADDRESS, &format!("{whole} by core towards routers that have joined"));
    assert!(agent.contains(&format!("ok    mma     they go to its group {GROUP} from {AGENT}")), "{agent}");
    await_verdict(&site, "mma1", GROUP, whole);
    await_verdict(&site, "core", GROUP, &format!("{whole} by a towards routers that have joined"));
    await_verdict(&site, "a", GROUP, &format!("{whole} by radio towards members"));

    // The far end of the access router's link is unplugged.
    site.carrier("a", "core", false);
    let neighbor = "missing here: no PIM neighbour";
    let text = await_verdict(&site, "a", GROUP, neighbor);
    assert!(text.contains("the link of core is down"), "{text}");
    site.carrier("a", "core", true);
    await_verdict(&site, "a", GROUP, whole);
    // The router between stops.
    site.end_node("core");
    let text = await_verdict(&site, "a", GROUP, neighbor);
    assert!(text.contains("no Hello has come from it"), "{text}");
    let nobody = format!("missing here: nobody here wants {GROUP}");
    await_verdict(&site, "mma1", HOME_ADDRESS, &nobody);
    // What never was.
    await_verdict(&site, "a", "ff15::1", "missing here: no rendezvous point for ff15::1");
    let unknown = "2001:db8:100:1::99";
    await_verdict(
        &site,
        "mma1",
        unknown,
        &format!("missing here: {unknown} has no binding at the mobility agent {AGENT}"),
    );
    await_verdict(&site, "ha", unknown, &format!("missing here: {unknown} has no binding at this home agent"));

    let answer = site.node("a").ask(&["explain", GROUP, "--json"]);
    let json: Value = serde_json::from_slice(&answer.stdout).expect("it is JSON");
    assert!(json["verdict"].as_str().is_some_and(|verdict| verdict.starts_with(neighbor)), "{json}");
    assert!(json["steps"].as_array().is_some_and(|steps| steps.iter().any(|step| step["standing"] == "missing")));
    let refused = site.node("mt").ask(&["explain", GROUP]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("this node is no multicast router"));
}

/// `drover drain` empties an access router, as far as terminals have another one, and says what is left.
#[test]
fn a_drained_router_says_what_it_still_carries() {
    let Some(_shared) = shared() else { return };
    let site = Site::new(&topology());
    site.await_registration();
    until("data", || site.room().ping("cn", HOME_ADDRESS).then_some(()));
    let drain = |node: &str, words: &[&str]| {
        let answer = site.node(node).ask(&[&["drain"], words].concat());
        (answer.status.code(), String::from_utf8_lossy(&answer.stdout).into_owned())
    };
    // The terminal has no other router in reach and is served.
    assert_eq!(drain("a", &[]), (Some(0), "draining: 0 bindings, 1 groups of terminals\n".to_owned()));
    assert_eq!(drain("a", &["--wait", "1"]), (Some(1), "draining: 0 bindings, 1 groups of terminals\n".to_owned()));
    assert_eq!(drain("a", &["--resume"]), (Some(0), "serving: 0 bindings, 1 groups of terminals\n".to_owned()));
    assert_eq!(drain("b", &["--wait", "60"]), (Some(0), "draining: 0 bindings, 0 groups of terminals\n".to_owned()));
    assert_eq!(drain("mma1", &[]).1, "draining: 1 bindings, 0 groups of terminals\n");
    assert_eq!(drain("core", &[]).0, Some(1));
    until("data still", || site.room().ping("cn", HOME_ADDRESS).then_some(()));
}
