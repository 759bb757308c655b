//! A router of ours between two kernel hosts, `left` and `right`, each on a link of its own.

use crate::room::{Node, Room};
use core::net::Ipv6Addr;
use serde_json::Value;

/// The address of the right host.
pub(crate) const RIGHT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);

/// Keys of the router's file beside its name, its socket, and the interfaces and addresses of its ports.
#[derive(Default)]
pub(crate) struct Keys<'a> {
    /// Of `[node]`.
    pub(crate) node: &'a str,
    /// Of the port on the left.
    pub(crate) left: &'a str,
    /// Of the port on the right, and whatever follows.
    pub(crate) right: &'a str,
}

/// Starts the router and waits until its ports are open.
pub(crate) fn start_router(room: &Room, keys: Keys<'_>) -> Node {
    let mut router = room.start("router", &router_file(room, keys));
    router.await_ready();
    router
}

/// The router's file.
pub(crate) fn router_file(room: &Room, keys: Keys<'_>) -> String {
    let Keys { node, left, right } = keys;
    let socket = room.socket("router");
    let socket = socket.display();
    let port = |name: &str, subnet: &str, keys: &str| {
        format!("[[port]]\nname = \"{name}\"\ninterface = \"{name}0\"\naddresses = [\"{subnet}::1/64\"]\n{keys}\n")
    };
    let ports = [port("left", "2001:db8:1", left), port("right", "2001:db8:2", right)].concat();
    format!("[node]\nname = \"router\"\n{node}\n[admin]\nsocket = \"{socket}\"\n{ports}")
}

/// Connects a host with a port of the router by a link with so many queues.
pub(crate) fn connect(room: &Room, host: &str, queues: usize) {
    let interface = format!("{host}0");
    room.veth_of(queues, (host, "eth0"), ("router", &interface));
    room.prepare_port("router", &interface);
    take_up(room, host);
}

/// Takes the host's end up, with its address and its route.
pub(crate) fn take_up(room: &Room, host: &str) {
    let subnet = if host == "left" { "2001:db8:1" } else { "2001:db8:2" };
    room.ip(host, &["link", "set", "eth0", "up"]);
    room.ip(host, &["address", "replace", &format!("{subnet}::2/64"), "dev", "eth0", "nodad"]);
    room.ip(host, &["-6", "route", "replace", "default", "via", &format!("{subnet}::1"), "dev", "eth0"]);
}

/// What is shown of a port.
pub(crate) fn port(router: &Node, name: &str) -> Value {
    router.rows("ports").into_iter().find(|row| row["name"] == name).expect("the port is shown")
}
