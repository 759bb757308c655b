//! What ports get from the kernel, what they show of it, and what they leave behind when their node is killed.

use crate::hosts::{Keys, connect, port, start_router};
use crate::room::{Node, Room, output, shared, until};
use serde_json::json;

/// A router with its ports; the hosts `left` and `right` are the kernel's.
fn router() -> (Node, Room) {
    let mut room = Room::new();
    for name in ["left", "router", "right", "third"] {
        room.add(name);
    }
    connect(&room, "left", 1);
    connect(&room, "right", 1);
    room.veth(("third", "eth0"), ("router", "shared0"));
    room.prepare_port("router", "shared0");
    room.ip("third", &["link", "set", "eth0", "up"]);
    // A link with jumbo frames.
    room.ip("router", &["link", "set", "right0", "mtu", "9000"]);
    room.ip("right", &["link", "set", "eth0", "mtu", "9000"]);
    (start(&room), room)
}

fn start(room: &Room) -> Node {
    let shared = "[[port]]\nname = \"shared\"\ninterface = \"shared0\"\nkind = \"af_packet\"";
    start_router(room, Keys { left: "busy_poll_us = 20", right: shared, ..Keys::default() })
}

#[test]
fn ports_show_what_driver_and_kernel_give() {
    let Some(_shared) = shared() else { return };
    let (mut router, room) = router();
    until("the router forwards", || room.ping("left", "2001:db8:2::2").then_some(()));
    let given = ["xdp", "zero_copy", "need_wakeup", "busy_poll_us", "queues", "interface_mtu", "mtu"];
    // Nothing is behind a veth, and the worker is not pinned.
    let places = ["memory_node", "workers", "worker_cores", "worker_nodes"];
    let shows = |name: &str| {
        let row = port(&router, name);
        // What depends on the kernel's age, or on the machine.
        for key in ["polls_device", "multi_buffer", "huge_pages"] {
            assert_eq!(row[key].is_boolean(), row["kind"] == "af_xdp", "{key}: {row}");
        }
        assert_eq!(json!(places.map(|key| row[key].clone())), json!([null, "0", "-", "-"]));
        given.map(|key| row[key].clone())
    };
    assert_eq!(json!(shows("left")), json!(["native", false, true, 20, 1, 1500, 1500]));
    // A packet has one frame, and that the room for so much.
    assert_eq!(json!(shows("right")), json!(["native", false, true, 0, 1, 9000, 3570]));
    assert_eq!(json!(shows("shared")), json!([null, null, null, null, null, null, 1500]));
    let mode = port(&router, "left")["mode"].as_str().expect("a text").to_owned();
    assert!(mode.starts_with("native, copy, need-wakeup, busy poll 20 µs"), "{mode}");

    // What is longer is lost on its way in, where it shows.
    assert_eq!(port(&router, "right")["rx_dropped"], 0);
    let mut ping = room.command("right", "ping");
    let asked = ping.args(["-6", "-c", "2", "-i", "0.05", "-W", "0.2", "-s", "5000", "2001:db8:2::1"]).output();
    assert!(!asked.expect("ping runs").status.success());
    assert_eq!(port(&router, "right")["rx_dropped"], 2);
    assert!(room.ping("left", "2001:db8:2::2"));
    assert!(router.end().success());
}

#[test]
fn a_killed_node_leaves_its_interfaces_as_they_were() {
    let Some(_shared) = shared() else { return };
    let (mut router, room) = router();
    let states = || {
        ["left0", "right0", "shared0"].map(|interface| {
            let text = output(room.command("router", "ip").args(["-d", "link", "show", interface]));
            assert!(text.contains("promiscuity 0"), "{text}");
            (text.contains("allmulti 1"), text.contains("prog/xdp"))
        })
    };
    assert_eq!(states(), [(true, true), (true, true), (true, false)]);
    router.kill();
    until("the kernel has closed all", || (states() == [(false, false); 3]).then_some(()));
    // The next node finds nothing in its way.
    let mut next = start(&room);
    assert_eq!(states(), [(true, true), (true, true), (true, false)]);
    // Whoever started it has gone away.
    assert!(next.end_by(libc::SIGHUP).success());
    until("all is as before", || (states() == [(false, false); 3]).then_some(()));
}
