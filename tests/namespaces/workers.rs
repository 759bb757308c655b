//! Nodes with two workers: both forward, over one set of tables, and what one cannot do the other does.

use crate::hosts::{self, Keys, RIGHT, port, start_router};
use crate::room::{DROVER, Node, Room, output, shared, until};
use crate::site::{Site, topology};
use serde_json::Value;
use std::net::{Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ECHO_PORT: u16 = 7007;
/// Flows with source ports of their own, which the kernel spreads over the queues.
const FLOWS: usize = 32;
const HOME_ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x55);

/// Connects a host whose datagrams come whole.
fn connect(room: &Room, host: &str, queues: usize) {
    hosts::connect(room, host, queues);
    // The checksums of what it sends are otherwise left to a device that ports on AF_XDP do not have.
    output(room.command(host, DROVER).args(["offload-off", "eth0"]));
}

/// A router between two kernel hosts.
fn router(right_queues: usize) -> (Node, Room) {
    let mut room = Room::new();
    for name in ["left", "router", "right"] {
        room.add(name);
    }
    connect(&room, "left", 2);
    connect(&room, "right", right_queues);
    (start(&room), room)
}

fn start(room: &Room) -> Node {
    start_router(room, Keys { node: "workers = 2", ..Keys::default() })
}

/// Between the hosts beside the router.
fn converse(room: &Room, rounds: u32) {
    converse_between(room, "left", ("right", RIGHT), rounds);
}

/// Sends `rounds` datagrams in each of many flows from a host, each after the answer to the one before it from the other
/// host. Every answer comes, and is that to what was asked.
fn converse_between(room: &Room, from: &str, to: (&str, Ipv6Addr), rounds: u32) {
    let done = AtomicBool::new(false);
    let echo = room.within(to.0, || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, ECHO_PORT)).expect("a socket"));
    echo.set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut octets = [0; 1500];
            while !done.load(Ordering::Relaxed) {
                if let Ok((length, from)) = echo.recv_from(&mut octets) {
                    echo.send_to(&octets[..length], from).expect("it is sent");
                }
            }
        });
        let asked = std::panic::catch_unwind(|| {
            let bind = || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a socket");
            let sockets: Vec<UdpSocket> = room.within(from, || (0..FLOWS).map(|_| bind()).collect());
            for round in 0..rounds {
                for (flow, socket) in sockets.iter().enumerate() {
                    let question = [round.to_be_bytes(), (flow as u32).to_be_bytes()].concat();
                    socket.send_to(&question, (to.1, ECHO_PORT)).expect("it is sent");
                }
                for (flow, socket) in sockets.iter().enumerate() {
                    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
                    let mut answer = [0; 64];
                    let length = socket.recv(&mut answer).unwrap_or_else(|_| panic!("no answer: {round} of {flow}"));
                    assert_eq!(answer[..length], [round.to_be_bytes(), (flow as u32).to_be_bytes()].concat());
                }
            }
        });
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = asked {
            std::panic::resume_unwind(panic);
        }
    });
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))
}

#[test]
fn both_workers_forward() {
    let Some(_shared) = shared() else { return };
    let (mut router, room) = router(2);
    converse(&room, 1);
    let before = router.rows("workers");
    converse(&room, 100);
    let after = router.rows("workers");
    assert_eq!(after.len(), 2);
    let forwarded: Vec<u64> =
        before.iter().zip(&after).map(|(before, after)| number(after, "output") - number(before, "output")).collect();
    assert!(forwarded.iter().all(|&packets| packets >= 100), "both have flows: {forwarded:?}");
    assert!(forwarded.iter().sum::<u64>() >= 2 * 100 * FLOWS as u64, "there and back: {forwarded:?}");
    // Neighbours are resolved: only what is stale, or the node's own, goes over.
    let handed_over = number(&after[1], "handed_over") - number(&before[1], "handed_over");
    assert!(handed_over < forwarded[1] / 10, "{handed_over} of {}", forwarded[1]);
    assert_eq!(number(&after[1], "handover_drops"), 0);
    for name in ["left", "right"] {
        let port = port(&router, name);
        assert_eq!(
            (&port["workers"], &port["queues"], port["mode"].as_str().is_some_and(|m| m.ends_with("2 queues"))),
            (&"0 1".into(), &2.into(), true)
        );
        assert!(number(&port, "rx_frames") >= 100 * FLOWS as u64 && number(&port, "rx_dropped") == 0, "{port}");
    }
    // The counters of both are one, and stand there singly.
    let counters = router.show("counters");
    let of = |part: &str| counters[part]["output"].as_u64().unwrap_or(0);
    assert_eq!(of("dataplane"), of("worker-0") + of("worker-1"));
    assert!(router.end().success());
}

#[test]
fn both_workers_outlive_their_interface() {
    let Some(_shared) = shared() else { return };
    let (mut router, room) = router(2);
    converse(&room, 20);
    room.ip("router", &["link", "delete", "right0"]);
    until("the port is down", || (port(&router, "right")["link"] == "down").then_some(()));
    connect(&room, "right", 2);
    until("the router forwards", || room.ping("left", &RIGHT.to_string()).then_some(()));
    until("both workers have it again", || (number(&port(&router, "right"), "reopened") >= 2).then_some(()));
    let before = router.rows("workers");
    converse(&room, 50);
    let after = router.rows("workers");
    for (before, after) in before.iter().zip(&after) {
        assert!(number(after, "output") >= number(before, "output") + 50, "{after}");
    }
    router.assert_running();
}

#[test]
fn a_worker_without_a_queue_sends_by_the_first() {
    let Some(_shared) = shared() else { return };
    let (mut router, room) = router(1);
    converse(&room, 50);
    assert_eq!(port(&router, "left")["workers"], "0 1");
    assert_eq!(port(&router, "right")["workers"], "0");
    let workers = router.rows("workers");
    assert!(number(&workers[1], "output") >= 50, "{:?}", workers[1]);
    assert!(router.counter("worker-0", "relayed") >= 50);
    assert!(router.end().success());
}

/// The whole site with two workers at every node that forwards: a terminal registers, correspondents reach it over either
/// worker, and it moves.
#[test]
fn a_site_of_two_workers_each() {
    let Some(_shared) = shared() else { return };
    let site = Site::with_workers(&topology(), 2);
    site.await_registration();
    let reached = || until("data", || site.room().ping("cn", &HOME_ADDRESS.to_string()).then_some(()));
    reached();
    let converse = |rounds| converse_between(site.room(), "cn", ("mt", HOME_ADDRESS), rounds);
    converse(20);
    // The kernels between the nodes spread what they forward anew.
    let ways = [("ha", "home-intercepted"), ("mma1", "binding-to-group"), ("core", "output"), ("a", "output")];
    for (node, name) in ways {
        for worker in ["worker-0", "worker-1"] {
            assert!(site.node(node).counter(worker, name) >= 20, "{name} of {worker} of {node}");
        }
    }
    for (node, name) in [("mma1", "tunnel-to-home-agent"), ("ha", "tunnel-exit")] {
        assert!(site.node(node).counter("worker-1", name) > 0, "{name} of {node}");
    }
    site.node("mt").signal("radio-a", "-90");
    site.carrier("mt", "radio-b", true);
    site.node("mt").signal("radio-b", "-50");
    until("the new branch", || {
        let routes = site.node("core").rows("mroutes");
        routes
            .iter()
            .any(|row| row["out"].as_str().is_some_and(|ports| ports.split(' ').any(|port| port == "b")))
            .then_some(())
    });
    reached();
    site.carrier("mt", "radio-a", false);
    converse(20);
}

fn await_workers(router: &Node, name: &str, workers: &str) {
    until(&format!("{name} is served by {workers}"), || (port(router, name)["workers"] == workers).then_some(()));
}

/// One end of a link has other queues than before: those that are there are served, and a worker without one sends by the
/// first.
#[test]
fn an_interface_comes_back_with_another_number_of_queues() {
    let Some(_shared) = shared() else { return };
    let served = |queues| if queues == 2 { "0 1" } else { "0" };
    for start in [2, 1] {
        let (mut router, room) = router(start);
        await_workers(&router, "right", served(start));
        converse(&room, 5);
        for queues in [3 - start, start] {
            room.ip("router", &["link", "delete", "right0"]);
            until("the port is down", || (port(&router, "right")["link"] == "down").then_some(()));
            connect(&room, "right", queues);
            until("the router forwards", || room.ping("left", &RIGHT.to_string()).then_some(()));
            await_workers(&router, "right", served(queues));
            converse(&room, 10);
        }
        assert!(router.end().success());
    }
}

#[test]
fn queues_that_are_taken_into_use_are_served() {
    let Some(_shared) = shared() else { return };
    let mut room = Room::new();
    for name in ["left", "router", "right"] {
        room.add(name);
    }
    let set = |name: &str, interface: &str, queues: &str| {
        output(room.command(name, "ethtool").args(["-L", interface, "rx", queues, "tx", queues]));
    };
    connect(&room, "left", 2);
    connect(&room, "right", 2);
    set("right", "eth0", "1");
    set("router", "right0", "1");
    let mut router = start(&room);
    await_workers(&router, "right", "0");
    converse(&room, 5);
    set("router", "right0", "2");
    set("right", "eth0", "2");
    await_workers(&router, "right", "0 1");
    until("the router forwards", || room.ping("left", &RIGHT.to_string()).then_some(()));
    converse(&room, 10);
    assert!(router.end().success());
}

/// A smaller MTU is answered with Packet Too Big by whichever worker has the packet, and a larger one is used.
#[test]
fn a_change_of_the_mtu_is_taken() {
    let Some(_shared) = shared() else { return };
    let (mut router, room) = router(2);
    converse(&room, 5);
    let ping = |octets: &str| {
        let mut ping = room.command("left", "ping");
        let answer =
            ping.args(["-6", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", octets, &RIGHT.to_string()]).output();
        String::from_utf8_lossy(&answer.expect("ping runs").stdout).into_owned()
    };
    let set = |mtu: u64| {
        room.ip("router", &["link", "set", "right0", "mtu", &mtu.to_string()]);
        room.ip("right", &["link", "set", "eth0", "mtu", &mtu.to_string()]);
        until("the MTU is shown", || (number(&port(&router, "right"), "mtu") == mtu).then_some(()));
        room.ip("left", &["-6", "route", "flush", "cache"]);
    };
    set(1300);
    until("Packet Too Big", || ping("1380").contains("mtu=1300").then_some(()));
    set(1500);
    until("an answer", || ping("1380").contains(" 0% packet loss").then_some(()));
    converse(&room, 5);
    assert!(router.end().success());
}
