//! A router of ours between two kernel hosts, whose link to one of them goes away while it runs, and comes back.

use crate::hosts::{Keys, RIGHT, connect, port, start_router, take_up};
use crate::room::{Node, Room, output, shared, until};

const NEW_ADDRESS: &str = "02:00:5e:00:00:77";

fn link(router: &Node, port_name: &str) -> String {
    port(router, port_name)["link"].as_str().expect("a link is up or down").to_owned()
}

fn a_port_comes_and_goes(kind: &str) {
    let mut room = Room::new();
    for name in ["left", "router", "right"] {
        room.add(name);
    }
    connect(&room, "left", 1);
    connect(&room, "right", 1);
    let mut router = start_router(&room, Keys { right: &format!("kind = \"{kind}\""), ..Keys::default() });
    let reaches = || until("the router forwards", || room.ping("left", &RIGHT.to_string()).then_some(()));
    let shows = |router: &Node, state: &str| until(state, || (link(router, "right") == state).then_some(()));
    shows(&router, "up");
    reaches();

    // The card is given another address: the node's own stay, and the kernel at the other end is told.
    let addresses = port(&router, "right")["addresses"].clone();
    room.ip("router", &["link", "set", "right0", "address", NEW_ADDRESS]);
    until("the host knows the address", || {
        let neighbor = output(room.command("right", "ip").args(["-6", "neighbor", "show", "2001:db8:2::1"]));
        neighbor.contains(NEW_ADDRESS).then_some(())
    });
    let right = port(&router, "right");
    assert_eq!((&right["addresses"], &right["link_address"]), (&addresses, &NEW_ADDRESS.into()));
    reaches();

    // The cable is pulled and put back.
    room.ip("right", &["link", "set", "eth0", "down"]);
    shows(&router, "down");
    assert_eq!(link(&router, "left"), "up", "the other port has nothing to do with it");
    take_up(&room, "right");
    shows(&router, "up");
    reaches();

    // The card is pulled, and another one, with another address, is put in its place.
    room.ip("router", &["link", "delete", "right0"]);
    shows(&router, "down");
    router.assert_running();
    connect(&room, "right", 1);
    shows(&router, "up");
    reaches();
    let right = port(&router, "right");
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
