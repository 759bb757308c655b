//! A router of ours between two kernel hosts, whose link to one of them goes away while it runs, and comes back.

use crate::room::{Node, Room, shared, until};

const ROUTER: &str = r#"
[node]
name = "router"

[admin]
socket = "SOCKET"

[[port]]
name = "left"
interface = "left0"
addresses = ["2001:db8:1::1/64"]

[[port]]
name = "right"
interface = "right0"
kind = "KIND"
addresses = ["2001:db8:2::1/64"]
"#;

const RIGHT: &str = "2001:db8:2::2";

/// Connects a host with a port of the router.
fn connect(room: &Room, host: &str, interface: &str, subnet: &str) {
    room.veth((host, "eth0"), ("router", interface));
    room.prepare_port("router", interface);
    take_up(room, host, subnet);
}

fn take_up(room: &Room, host: &str, subnet: &str) {
    room.ip(host, &["link", "set", "eth0", "up"]);
    room.ip(host, &["address", "replace", &format!("{subnet}::2/64"), "dev", "eth0", "nodad"]);
    room.ip(host, &["-6", "route", "replace", "default", "via", &format!("{subnet}::1"), "dev", "eth0"]);
}

fn link(router: &Node, port: &str) -> String {
    let rows = router.rows("ports");
    let row = rows.iter().find(|row| row["name"] == port).expect("the port is shown");
    row["link"].as_str().expect("a link is up or down").to_owned()
}

fn a_port_comes_and_goes(kind: &str) {
    let mut room = Room::new();
    for name in ["left", "router", "right"] {
        room.add(name);
    }
    connect(&room, "left", "left0", "2001:db8:1");
    connect(&room, "right", "right0", "2001:db8:2");
    let socket = room.socket("router");
    let text = ROUTER.replace("SOCKET", socket.to_str().expect("UTF-8")).replace("KIND", kind);
    let mut router = room.start("router", &text);
    router.await_ready();
    let reaches = || until("the router forwards", || room.ping("left", RIGHT).then_some(()));
    let shows = |router: &Node, state: &str| until(state, || (link(router, "right") == state).then_some(()));
    shows(&router, "up");
    reaches();

    // The cable is pulled and put back.
    room.ip("right", &["link", "set", "eth0", "down"]);
    shows(&router, "down");
    assert_eq!(link(&router, "left"), "up", "the other port has nothing to do with it");
    take_up(&room, "right", "2001:db8:2");
    shows(&router, "up");
    reaches();

    // The card is pulled, and another one, with another address, is put in its place.
    room.ip("router", &["link", "delete", "right0"]);
    shows(&router, "down");
    router.assert_running();
    connect(&room, "right", "right0", "2001:db8:2");
    shows(&router, "up");
    reaches();
    let rows = router.rows("ports");
    let right = rows.iter().find(|row| row["name"] == "right").expect("the port is shown");
    assert!(right["reopened"].as_u64() >= Some(1), "{right}");
    router.assert_running();
}

#[test]
fn a_router_outlives_its_af_xdp_interface() {
    let Some(_shared) = shared() else { return };
    a_port_comes_and_goes("af_xdp");
}

#[test]
fn a_router_outlives_its_af_packet_interface() {
    let Some(_shared) = shared() else { return };
    a_port_comes_and_goes("af_packet");
}
