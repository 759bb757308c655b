//! Routes and addresses of the kernel as a router of ours has them, put there by `ip`.

use crate::room::{Node, Room, output, shared, until};
use serde_json::Value;
use std::fmt::Write;

/// Two hosts around a router whose kernel speaks IPv6 on the ports' interfaces.
fn room(kind: &str, tables: &str, more: &str) -> (Node, Room) {
    let mut room = Room::new();
    for name in ["left", "router", "right"] {
        room.add(name);
    }
    connect(&room, "left", 1);
    connect(&room, "right", 2);
    let mut text = format!("[node]\nname = \"router\"\n[admin]\nsocket = \"{}\"\n", room.socket("router").display());
    for (host, number) in [("left", 1), ("right", 2)] {
        let _ = writeln!(text, "[[port]]\nname = \"{host}\"\ninterface = \"{host}0\"\nkind = \"{kind}\"");
        let _ = writeln!(text, "addresses = [\"2001:db8:{number}::1/64\"]");
        if kind == "af_xdp" {
            text.push_str("kernel = []\n");
        }
    }
    let mut node = room.start("router", &format!("{text}{tables}\n{more}"));
    node.await_ready();
    (node, room)
}

/// Connects a host with the router.
fn connect(room: &Room, host: &str, number: u16) {
    let near = format!("{host}0");
    room.veth(("router", &near), (host, "eth0"));
    room.ip("router", &["link", "set", &near, "up"]);
    room.ip(host, &["link", "set", "eth0", "address", &format!("02:00:00:00:01:0{number}")]);
    room.ip(host, &["link", "set", "eth0", "up"]);
    room.ip(host, &["address", "add", &format!("2001:db8:{number}::2/64"), "dev", "eth0", "nodad"]);
    room.ip(host, &["-6", "route", "add", "default", "via", &format!("2001:db8:{number}::1")]);
    output(room.command(host, crate::room::DROVER).args(["offload-off", "eth0"]));
}

fn route(node: &Node, prefix: &str) -> Option<Value> {
    let answer = node.ask(&["show", "routes", "--json", "--limit", "10000"]);
    let rows: Vec<Value> = serde_json::from_slice(&answer.stdout).expect("it is JSON");
    rows.into_iter().find(|row| row["prefix"] == prefix)
}

/// Waits until the node's route of a prefix has these columns; `None`: until there is none.
fn await_route(node: &Node, prefix: &str, wanted: Option<[&str; 3]>) {
    until(&format!("{prefix} is {wanted:?}"), || {
        let found = route(node, prefix);
        let found =
            found.as_ref().map(|row| ["origin", "action", "next_hop"].map(|key| row[key].as_str().unwrap_or("-")));
        (found == wanted).then_some(())
    });
}

fn follows_the_kernel(kind: &str) {
    let backup = "[[route]]\nprefix = \"2001:db8:a::/48\"\nblackhole = true\npreference = 200\n\
                  [[route]]\nprefix = \"2001:db8:b::/48\"\nunreachable = true\n";
    let (mut node, room) = room(kind, "[kernel]\ntables = [254, 77]", backup);
    let ip = |arguments: &str| room.ip("router", &arguments.split(' ').collect::<Vec<_>>());
    let via = |origin, hop| Some([origin, "via", hop]);

    await_route(&node, "2001:db8:a::/48", Some(["static", "blackhole", "-"]));
    ip("-6 route add 2001:db8:a::/48 via fe80::9 dev left0 proto ospf metric 20");
    await_route(&node, "2001:db8:a::/48", via("ospf", "fe80::9"));
    let worth = route(&node, "2001:db8:a::/48").map(|row| (row["preference"].clone(), row["metric"].clone()));
    assert_eq!(worth, Some((110.into(), 20.into())));
    // What the file says counts where it is worth as much or more.
    ip("-6 route add 2001:db8:b::/48 via fe80::9 dev left0 proto bgp");
    ip("-6 route replace 2001:db8:a::/48 via fe80::8 dev right0 proto ospf metric 20");
    await_route(&node, "2001:db8:a::/48", via("ospf", "fe80::8"));
    await_route(&node, "2001:db8:b::/48", Some(["static", "unreachable", "-"]));
    // A better one of another protocol, and one of the second table, which waits.
    ip("-6 route add 2001:db8:a::/48 via fe80::7 dev left0 proto 99 metric 5");
    await_route(&node, "2001:db8:a::/48", via("openr", "fe80::7"));
    ip("-6 route add 2001:db8:a::/48 via fe80::6 dev left0 proto static metric 1 table 77");
    ip("-6 route del 2001:db8:a::/48 metric 5");
    await_route(&node, "2001:db8:a::/48", via("ospf", "fe80::8"));
    ip("-6 route del 2001:db8:a::/48 metric 20");
    await_route(&node, "2001:db8:a::/48", via("static", "fe80::6"));
    ip("-6 route flush table 77");
    await_route(&node, "2001:db8:a::/48", Some(["static", "blackhole", "-"]));

    // Several next hops: one of them, and the other one when that is gone.
    ip("-6 route add 2001:db8:c::/48 proto ospf nexthop via fe80::1 dev left0 nexthop via fe80::2 dev left0");
    let both = [via("ospf", "fe80::1"), via("ospf", "fe80::2")];
    let chosen = until("one of both", || {
        let found = route(&node, "2001:db8:c::/48")?;
        both.iter().position(|wanted| wanted.is_some_and(|[.., hop]| found["next_hop"] == hop))
    });
    ip(&format!("-6 route del 2001:db8:c::/48 via fe80::{} dev left0", chosen + 1));
    await_route(&node, "2001:db8:c::/48", both[1 - chosen]);
    ip("nexthop add id 5 via fe80::3 dev right0");
    ip("-6 route add 2001:db8:d::/48 nhid 5 proto bgp");
    await_route(&node, "2001:db8:d::/48", via("bgp", "fe80::3"));
    ip("nexthop replace id 5 via fe80::4 dev right0");
    await_route(&node, "2001:db8:d::/48", via("bgp", "fe80::4"));
    ip("-6 route add prohibit 2001:db8:e::/48 proto static");
    await_route(&node, "2001:db8:e::/48", Some(["static", "unreachable", "-"]));
    ip("-6 route add 2001:db8:f::/48 dev lo proto static");
    ip("-6 route add 2001:db8:f0::/48 via fe80::9 dev left0 proto static table 78");

    // The kernel's own links and addresses.
    ip("address add 2001:db8:77::7/64 dev right0 nodad");
    await_route(&node, "2001:db8:77::/64", Some(["kernel", "on-link", "-"]));
    await_route(&node, "2001:db8:77::7/128", Some(["kernel", "blackhole", "-"]));
    ip("address del 2001:db8:77::7/64 dev right0");
    await_route(&node, "2001:db8:77::/64", None);
    await_route(&node, "2001:db8:77::7/128", None);
    assert!(node.counter("kernel", "ignored-other-interface") > 0 && node.counter("kernel", "ignored-table") > 0);
    assert_eq!(route(&node, "2001:db8:f::/48"), None);

    // A route that leads a packet somewhere, as long as there is a carrier; the kernel keeps it longer.
    ip("-6 route add 2001:db8:20::/48 via 2001:db8:2::2 dev right0 onlink proto ospf");
    room.ip("right", &["address", "add", "2001:db8:20::5/128", "dev", "lo", "nodad"]);
    await_route(&node, "2001:db8:20::/48", via("ospf", "2001:db8:2::2"));
    until("it leads there", || room.ping("left", "2001:db8:20::5").then_some(()));
    room.ip("right", &["link", "set", "eth0", "down"]);
    await_route(&node, "2001:db8:20::/48", None);
    let kept = output(room.command("router", "ip").args(["-6", "route", "show", "2001:db8:20::/48"]));
    assert!(kept.contains("linkdown"), "{kept}");
    room.ip("right", &["link", "set", "eth0", "up"]);
    await_route(&node, "2001:db8:20::/48", via("ospf", "2001:db8:2::2"));

    // What is there already when a node starts.
    assert!(node.end().success());
    let (mut node, _) =
        (room.start("router", &std::fs::read_to_string(room.directory().file("router.toml")).unwrap()), ());
    node.await_ready();
    await_route(&node, "2001:db8:20::/48", via("ospf", "2001:db8:2::2"));
    await_route(&node, "2001:db8:e::/48", Some(["static", "unreachable", "-"]));
    assert!(node.end().success());
}

#[test]
fn routes_of_the_kernel_are_followed_by_ports_on_af_xdp() {
    let Some(_shared) = shared() else { return };
    follows_the_kernel("af_xdp");
}

#[test]
fn routes_of_the_kernel_are_followed_by_ports_that_the_kernel_shares() {
    let Some(_shared) = shared() else { return };
    follows_the_kernel("af_packet");
}

#[test]
fn a_full_table_comes_and_goes_while_packets_pass() {
    const COUNT: u32 = 100_000;
    let Some(_shared) = shared() else { return };
    let (mut node, room) = room("af_xdp", "[kernel]", "");
    until("packets pass", || room.ping("left", "2001:db8:2::2").then_some(()));
    // Longer than both the table's coming and its going; each packet is answered for as long as it lasts.
    let mut ping = room.command("left", "ping");
    ping.args(["-6", "-n", "-q", "-i", "0.01", "-W", "1", "2001:db8:2::2"]);
    let mut ping = crate::room::Running::spawn(ping, room.directory(), "ping");
    let batch = |operation: &str| {
        let mut lines = String::new();
        for number in 0..COUNT {
            let (high, low) = (number >> 16, number & 0xffff);
            let _ = writeln!(lines, "route {operation} 2001:db9:{high:x}:{low:x}::/64 via fe80::9 dev left0 proto bgp");
        }
        let file = room.directory().write("batch", &lines);
        output(room.command("router", "ip").args(["-6", "-batch"]).arg(file));
    };
    let routes = || node.counter("tables", "kernel-routes");
    let few = routes();
    batch("add");
    until("all routes are there", || (routes() == few + u64::from(COUNT)).then_some(()));
    let rows = node.ask(&["show", "routes", "--limit", "5"]);
    let said = String::from_utf8_lossy(&rows.stdout).into_owned();
    assert!(said.contains(&format!("and {} more", u64::from(COUNT) - 5 + tables(&node) - u64::from(COUNT))), "{said}");
    room.ip("router", &["-6", "route", "flush", "proto", "bgp"]);
    until("they are gone", || (routes() == few).then_some(()));
    ping.signal(libc::SIGINT);
    ping.wait();
    let said = ping.out();
    assert!(said.contains(" 0% packet loss"), "{said}");
    node.assert_running();
}

fn tables(node: &Node) -> u64 {
    node.show("counters")["tables"]["routes"].as_u64().unwrap_or(0)
}

/// The columns of a port that say what is the kernel's.
fn kernels(node: &Node, port: &str) -> [String; 3] {
    let rows = node.rows("ports");
    let row = rows.iter().find(|row| row["name"] == port).expect("there is such a port");
    ["kernel", "kernel_shared", "kernel_frames"].map(|key| row[key].as_str().unwrap_or_default().to_owned())
}

#[test]
fn what_is_for_the_kernel_reaches_it_by_a_port_on_af_xdp() {
    const KERNELS: &str = "2001:db8:1::99";
    let Some(_shared) = shared() else { return };
    let (mut node, room) = room("af_xdp", "", "");
    until("the node itself answers", || room.ping("left", "2001:db8:1::1").then_some(()));
    assert!(room.ping("left", "2001:db8:2::2"), "and forwards");
    assert!(!room.ping("left", KERNELS));
    let link_local = until("the kernel's link-local address is known", || {
        let [kernel, shared, _] = kernels(&node, "left");
        (kernel.starts_with("fe80::") && !kernel.contains(' ') && shared.is_empty()).then_some(kernel)
    });
    assert!(room.ping("left", &format!("{link_local}%eth0")), "the kernel answers");

    room.ip("router", &["address", "add", &format!("{KERNELS}/64"), "dev", "left0", "nodad"]);
    until("the kernel answers", || room.ping("left", KERNELS).then_some(()));
    let [kernel, _, frames] = kernels(&node, "left");
    assert_eq!(kernel, format!("{KERNELS} {link_local}"));
    assert!(frames.contains("addresses:") && frames.contains("solicitations:"), "{frames}");
    // An address that both have is the node's.
    room.ip("router", &["address", "add", "2001:db8:1::1/64", "dev", "left0", "nodad"]);
    until("both have it", || (kernels(&node, "left")[1] == "2001:db8:1::1").then_some(()));
    let before = kernels(&node, "left")[2].clone();
    assert!(room.ping("left", "2001:db8:1::1"));
    let requests = |frames: &str| frames.split(' ').find(|word| word.starts_with("addresses:")).map(str::to_owned);
    assert_eq!(requests(&kernels(&node, "left")[2]), requests(&before), "the node answers");

    // With another interface of the name all is as before.
    room.ip("router", &["link", "delete", "left0"]);
    until("it is gone", || (kernels(&node, "left")[0].is_empty()).then_some(()));
    connect(&room, "left", 1);
    room.ip("router", &["address", "add", &format!("{KERNELS}/64"), "dev", "left0", "nodad"]);
    until("the kernel answers again", || room.ping("left", KERNELS).then_some(()));
    until("and so does the node", || room.ping("left", "2001:db8:1::1").then_some(()));

    room.ip("router", &["address", "del", &format!("{KERNELS}/64"), "dev", "left0"]);
    until("nobody has it any more", || (!kernels(&node, "left")[0].contains(KERNELS)).then_some(()));
    assert!(!room.ping("left", KERNELS));
    node.assert_running();
}
