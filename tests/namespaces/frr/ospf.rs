//! The unicast side of our routers by FRR: zebra and ospf6d in the same namespaces, on the interfaces that are our ports on
//! AF_XDP. OSPFv3 goes to the kernel by a port, its routes come to us by netlink, and both forwarding and trees follow them.
//!
//! ```text
//!                      l2, the short way
//!   source ── l1 ── r1 ───────────────── r2 ── l5 ── listener
//!                    └─ l3 ── r3 ── l4 ──┘
//! ```
//! Link `n` is 2001:db8:n::/64, of which router `r` has ::r, and hosts have ::1000. The kernels have the same addresses, so
//! that OSPF tells of the links, and link-local addresses of their own.

use super::router::Sockets;
use super::shared_with_frr;
use super::traffic::{Receiver, Sender, assert_each_comes_once, await_traffic};
use crate::room::{DROVER, Node, Room, Running, output, until};
use serde_json::Value;
use std::fmt::Write;
use std::io::{Read, Write as _};
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const WIRE: &str = "wire";
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0x8000, 0x1234);
/// The links of each router, and which of them has hosts.
const ROUTERS: [(u16, &[u16], Option<u16>); 3] =
    [(1, &[1, 2, 3], Some(1)), (2, &[2, 4, 5], Some(5)), (3, &[3, 4], None)];
/// OSPF's timers, in seconds.
const HELLO: u64 = 1;
const DEAD: u64 = 4;
/// Where a program of a router's kernel listens.
const SERVICE: u16 = 2222;

/// A router: what is declared first is dropped first.
struct Router {
    node: Node,
    ospf6d: Running,
    zebra: Running,
    sockets: Sockets,
}

impl Drop for Router {
    fn drop(&mut self) {
        for running in [&mut self.ospf6d, &mut self.zebra] {
            if running.ended().is_none() {
                running.signal(libc::SIGTERM);
            }
        }
    }
}

fn name(router: u16) -> String {
    format!("r{router}")
}

fn link(number: u16) -> String {
    format!("l{number}")
}

fn address(link: u16, last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, link, 0, 0, 0, 0, last)
}

fn prefix(link: u16) -> String {
    format!("2001:db8:{link:x}::/64")
}

/// The file of one of ours.
fn file(room: &Room, number: u16, links: &[u16], with_hosts: Option<u16>) -> String {
    let name = name(number);
    let mut text = format!("[node]\nname = \"{name}\"\n[admin]\nsocket = \"{}\"\n", room.socket(&name).display());
    text.push_str("[kernel]\nprotocols = [\"ospf\"]\n[router]\n");
    for &number_of_link in links {
        let (port, own) = (link(number_of_link), address(number_of_link, number));
        let _ = writeln!(text, "[[port]]\nname = \"{port}\"\ninterface = \"{port}\"\naddresses = [\"{own}/64\"]");
        let _ = writeln!(text, "kernel = [\"ospf\", \"tcp/{SERVICE}\"]");
        let passive = with_hosts == Some(number_of_link);
        let keys = if passive { "passive = true" } else { "hello_at_once = true" };
        let _ = writeln!(text, "[[router.port]]\nname = \"{port}\"\n{keys}");
    }
    if let Some(number_of_link) = with_hosts {
        let _ = writeln!(text, "[[access_router.port]]\nname = \"{}\"", link(number_of_link));
    }
    text
}

/// The configuration of ospf6d.
fn ospf_lines(number: u16, links: &[u16], with_hosts: Option<u16>) -> String {
    let mut text = format!("router ospf6\n ospf6 router-id 10.0.0.{number}\nexit\n");
    for &number_of_link in links {
        let _ = writeln!(text, "interface {}\n ipv6 ospf6 area 0\n ipv6 ospf6 cost 10", link(number_of_link));
        if with_hosts == Some(number_of_link) {
            text.push_str(" ipv6 ospf6 passive\n");
        } else {
            let _ = writeln!(text, " ipv6 ospf6 network point-to-point\n ipv6 ospf6 hello-interval {HELLO}");
            let _ = writeln!(text, " ipv6 ospf6 dead-interval {DEAD}");
        }
        text.push_str("exit\n");
    }
    text
}

fn start(room: &mut Room, number: u16, links: &[u16], with_hosts: Option<u16>) -> Router {
    let name = name(number);
    room.add(&name);
    for &number_of_link in links {
        let interface = link(number_of_link);
        room.plug(&name, &interface, WIRE, &interface);
        room.ip(&name, &["link", "set", &interface, "up"]);
        // That the kernel, too, sends what a port of ours takes.
        output(room.command(&name, DROVER).args(["offload-off", &interface]));
        let own = format!("{}/64", address(number_of_link, number));
        room.ip(&name, &["address", "add", &own, "dev", &interface, "nodad"]);
    }
    let mut node = room.start(&name, &file(room, number, links, with_hosts));
    node.await_ready();
    let sockets = Sockets::new(room, &name);
    let zebra = sockets.start(room, &name, "zebra");
    let ospf6d = sockets.start(room, &name, "ospf6d");
    sockets.configure("ospf6d", &ospf_lines(number, links, with_hosts));
    Router { node, ospf6d, zebra, sockets }
}

fn add_host(room: &mut Room, name: &str, number_of_link: u16, router: u16) -> Ipv6Addr {
    room.add(name);
    room.plug(name, "eth0", WIRE, &link(number_of_link));
    room.sysctl(name, "net/ipv6/conf/eth0/accept_ra", "0");
    room.ip(name, &["link", "set", "eth0", "up"]);
    let own = address(number_of_link, 0x1000);
    room.ip(name, &["address", "add", &format!("{own}/64"), "dev", "eth0", "nodad"]);
    let gateway = address(number_of_link, router).to_string();
    room.ip(name, &["-6", "route", "add", "default", "via", &gateway]);
    output(room.command(name, DROVER).args(["offload-off", "eth0"]));
    own
}

impl Router {
    /// The states of its OSPF neighbours.
    fn ospf_states(&self) -> Vec<String> {
        let shown = self.sockets.show("ospf6d", "ipv6 ospf6 neighbor");
        let neighbors = shown["neighbors"].as_array().into_iter().flatten();
        neighbors.map(|neighbor| neighbor["state"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Whether it is adjacent to so many.
    fn is_full(&self, count: usize) -> bool {
        let states = self.ospf_states();
        states.len() == count && states.iter().all(|state| state.starts_with("Full"))
    }

    fn route(&self, to: &str) -> Option<Value> {
        self.node.rows("routes").into_iter().find(|row| row["prefix"] == to)
    }

    /// Waits until its route to a link leads over another one.
    fn await_route(&self, what: &str, to: u16, over: u16) {
        until(what, || {
            let route = self.route(&prefix(to))?;
            (route["origin"] == "ospf" && route["port"] == link(over)).then_some(())
        });
    }

    /// Frames that a port has left to the kernel as OSPF's.
    fn ospf_frames(&self, number_of_link: u16) -> u64 {
        let rows = self.node.rows("ports");
        let row = rows.iter().find(|row| row["name"] == link(number_of_link)).expect("there is such a port");
        let counted = row["kernel_frames"].as_str().unwrap_or_default().to_owned();
        let mut words = counted.split(' ').filter_map(|word| word.strip_prefix("ospf:")?.parse().ok());
        words.next().unwrap_or(0)
    }
}

/// A program of a router's kernel answers a host by the address that both have, on the port's interface.
fn assert_service(room: &Room, router: u16, host: &str, to: Ipv6Addr) {
    let listener =
        room.within(&name(router), || TcpListener::bind((Ipv6Addr::UNSPECIFIED, SERVICE)).expect("it is free"));
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).expect("something is asked");
        stream.write_all(&asked).expect("it can be answered");
    });
    room.within(host, || {
        let address = SocketAddrV6::new(to, SERVICE, 0, 0).into();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).expect("it is reached");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket can be that");
        stream.write_all(b"ping").expect("it can be asked");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"ping");
    });
    answering.join().expect("it has answered");
}

#[test]
fn ospf_of_frrs_runs_the_underlay_of_our_routers() {
    let Some(_shared) = shared_with_frr() else { return };
    let mut room = Room::new();
    room.add(WIRE);
    for number in 1..=5 {
        let bridge = link(number);
        room.ip(WIRE, &["link", "add", &bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"]);
        room.sysctl(WIRE, &format!("net/ipv6/conf/{bridge}/disable_ipv6"), "1");
        room.ip(WIRE, &["link", "set", &bridge, "up"]);
    }
    let source = add_host(&mut room, "source", 1, 1);
    let listening = add_host(&mut room, "listener", 5, 2);
    let [r1, r2, r3] = ROUTERS.map(|(number, links, with_hosts)| start(&mut room, number, links, with_hosts));
    for router in [&r1, &r2, &r3] {
        until("OSPF neighbours are adjacent", || router.is_full(2).then_some(()));
    }
    r1.await_route("the listener's link is behind the short way", 5, 2);
    r2.await_route("the source's link is behind the short way", 1, 2);
    let route = r2.route(&prefix(1)).expect("it is there");
    let next_hop: Ipv6Addr = route["next_hop"].as_str().and_then(|text| text.parse().ok()).expect("an address");
    assert!(next_hop.segments()[0] == 0xfe80 && route["preference"] == 110, "{route}");
    assert_eq!(r2.route(&prefix(5)).expect("it is there")["origin"], "connected");
    // The neighbour that PIM knows has another address, and has said that this one is its own as well.
    until("PIM knows the next hop", || {
        let rows = r2.node.rows("pim neighbors").into_iter();
        let here = rows.filter(|row| row["port"] == link(2));
        here.filter(|row| row.to_string().contains(&next_hop.to_string()))
            .find(|row| row["address"] != next_hop.to_string())
    });

    let to_listener = listening.to_string();
    until("packets come to the listener's host and back", || room.ping("source", &to_listener).then_some(()));
    let mut sender = Sender::new(&room, "source", GROUP);
    let listener = Receiver::join_source(&room, "listener", GROUP, source);
    await_traffic("what is sent comes to the listener", &mut sender, &[&listener]);
    assert_each_comes_once(&mut sender, &[&listener]);
    assert_eq!(r2.node.mroute(source, GROUP).expect("there is a tree")["in"], link(2));
    assert_service(&room, 1, "source", address(1, 1));

    // Adjacencies last while packets pass, for longer than they would without Hellos.
    let before = [r1.ospf_frames(2), r2.ospf_frames(2), r3.ospf_frames(4)];
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(DEAD + 2 * HELLO) {
        assert_each_comes_once(&mut sender, &[&listener]);
        for router in [&r1, &r2, &r3] {
            assert!(router.is_full(2), "{:?}", router.ospf_states());
        }
    }
    let after = [r1.ospf_frames(2), r2.ospf_frames(2), r3.ospf_frames(4)];
    assert!(before.iter().zip(after).all(|(&before, after)| after >= before + DEAD / HELLO), "{before:?} {after:?}");

    // The short way breaks at r1's end. At the other one nobody sees that but by OSPF.
    room.ip(WIRE, &["link", "set", &Room::wire_end("r1", &link(2)), "down"]);
    r1.await_route("the listener's link is behind the long way", 5, 3);
    r2.await_route("the source's link is behind the long way", 1, 4);
    await_traffic("what is sent comes by the long way", &mut sender, &[&listener]);
    assert_each_comes_once(&mut sender, &[&listener]);
    assert_eq!(r2.node.mroute(source, GROUP).expect("there is a tree")["in"], link(4));
    assert!(room.ping("source", &to_listener), "unicast packets take the long way, too");

    // And is whole again.
    room.ip(WIRE, &["link", "set", &Room::wire_end("r1", &link(2)), "up"]);
    r1.await_route("the listener's link is behind the short way again", 5, 2);
    r2.await_route("the source's link is behind the short way again", 1, 2);
    until("the tree is back", || (r2.node.mroute(source, GROUP)?["in"] == link(2)).then_some(()));
    await_traffic("what is sent comes by the short way", &mut sender, &[&listener]);
    assert_each_comes_once(&mut sender, &[&listener]);

    // The daemon ends: what it has put into the kernel goes, and so it does here.
    r2.zebra.signal(libc::SIGTERM);
    until("the routes of OSPF are gone", || {
        (!r2.node.rows("routes").iter().any(|row| row["origin"] == "ospf")).then_some(())
    });
}
