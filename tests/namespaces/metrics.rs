//! Metrics of a node with two workers, by HTTP and by `drover metrics`.

use crate::hosts::{self, Keys, start_router};
use crate::room::{Node, Room, shared, until};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

const LISTEN: &str = "[::1]:9464";

/// A router between two kernel hosts.
fn router() -> (Node, Room) {
    let mut room = Room::new();
    for name in ["left", "router", "right"] {
        room.add(name);
    }
    hosts::connect(&room, "left", 2);
    hosts::connect(&room, "right", 2);
    let metrics = format!("[metrics]\nlisten = \"{LISTEN}\"");
    (start_router(&room, Keys { node: "workers = 2", right: &metrics, ..Keys::default() }), room)
}

/// What the router serves.
fn scrape(room: &Room) -> String {
    let mut answer = String::new();
    let mut stream = room.within("router", || TcpStream::connect(LISTEN).expect("metrics are served"));
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: router\r\n\r\n").expect("it is sent");
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    body.to_owned()
}

/// The samples of a text by name and labels, each of which stands there once and belongs to a family that is described.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            family = about.split(' ').next().expect("a name").to_owned();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&family), "{line} is not of {family}");
            let (name, value) = line.rsplit_once(' ').expect("a value");
            assert!(samples.insert(name.to_owned(), value.parse().expect("a number")).is_none(), "{name} stands twice");
        }
    }
    assert!(text.ends_with("\n# EOF\n"));
    samples
}

/// The sum of those whose names begin and whose labels are like this.
fn sum(samples: &BTreeMap<String, f64>, family: &str, label: &str) -> f64 {
    let of = samples.iter().filter(|(name, _)| name.starts_with(&format!("{family}{{")) && name.contains(label));
    of.map(|(_, value)| value).sum()
}

#[test]
fn metrics_count_what_is_forwarded() {
    let Some(_shared) = shared() else { return };
    let (mut router, room) = router();
    until("the router forwards", || room.ping("left", "2001:db8:2::2").then_some(()));
    let outputs = |samples: &_| sum(samples, "drover_dataplane_packets_total", "counter=\"output\"");
    let before = samples(&scrape(&room));
    assert!(room.ping("left", "2001:db8:2::2"));
    let after = samples(&scrape(&room));
    // Three pings and their answers.
    assert!(outputs(&after) >= outputs(&before) + 6.0, "{} {}", outputs(&before), outputs(&after));
    let sent = |samples: &_| sum(samples, "drover_port_frames_total", "port=\"right\",interface=\"right0\"");
    assert!(sent(&after) >= sent(&before) + 6.0, "{} {}", sent(&before), sent(&after));
    for worker in ["0", "1"] {
        let turns = format!("drover_worker_activity_total{{worker=\"{worker}\",core=\"-\",kind=\"turns\"}}");
        assert!(after[&turns] >= before[&turns], "{turns}");
    }
    // Whatever has not happened yet is there too.
    assert_eq!(after["drover_dataplane_packets_total{worker=\"1\",counter=\"drop-tunnel-ecn\"}"], 0.0);
    assert_eq!(after["drover_node_info{name=\"router\",roles=\"\",version=\"0.1.0\"}"], 1.0);
    assert!(after["drover_start_time_seconds"] > 1.7e9);

    let asked = router.ask(&["metrics"]);
    assert!(asked.status.success());
    let by_socket = samples(&String::from_utf8(asked.stdout).expect("UTF-8"));
    assert_eq!(by_socket.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(router.end().success());
}
