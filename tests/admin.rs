//! The admin socket from outside: a client, the housekeeping thread and a worker that answers.

use crossbeam_channel::{Receiver, unbounded};
use drover::admin::{
    Answer, ClientError, Command, Housekeeping, HousekeepingConfig, Listener, ListenerError, MAX_REQUEST_LEN, Page,
    Part, Position, Query, Request, ToWorker, Topic, WatchConfig, ask as ask_for, groups, request,
};
use drover::metrics::MetricsServer;
use drover::node::{Counted, Remaining, Service, Snapshot};
use drover::state::Changes;
use serde_json::{Value, json};
use stack::machine::PortId;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// A directory of this test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("drover-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(socket: &Path, signal_files: Vec<(PortId, PathBuf)>) -> (Housekeeping, Receiver<Command>) {
    let (commands, received) = unbounded();
    let config = HousekeepingConfig {
        socket: Some(socket.to_owned()),
        radios: BTreeMap::from([("radio-a".to_owned(), PortId(0)), ("radio-b".to_owned(), PortId(1))]),
        signal_files,
        state: None,
        kernel: None,
        started: UNIX_EPOCH,
        termination: false,
        watch: WatchConfig::default(),
    };
    (Housekeeping::start(config, ToWorker::new(commands, Arc::new(|| {}))).unwrap(), received)
}

/// Little, with a name that has to be escaped.
fn snapshot() -> Snapshot {
    Snapshot {
        name: "a \"node\"".into(),
        roles: vec!["router", "mma"],
        machines: vec![Counted { part: "pim", counters: vec![("rx-hello", 7), ("tx-hello", 0)] }],
        tables: vec![("mroutes", 3)],
        ports: Vec::new(),
        workers: Vec::new(),
    }
}

/// The only access router that there is somebody to tell of.
const NEXT: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0xb, 0, 0, 0, 1);

/// Answers like a worker until it is told to stop; returns the signals that it was told.
fn work(received: &Receiver<Command>) -> Vec<(PortId, Option<i16>)> {
    let mut signals = Vec::new();
    loop {
        match received.recv().unwrap() {
            Command::Show { part, reply } => reply.send(Page::whole(json!([{ "topic": part.topic.name() }]))).unwrap(),
            Command::Snapshot { reply } => reply.send(snapshot()).unwrap(),
            Command::Explain { question, reply } => reply.send(Err(format!("nothing of {}", question.about))).unwrap(),
            Command::Signal { port, dbm } => signals.push((port, dbm)),
            Command::Drain { service, reply } => {
                reply.send((service == Service::Drain).then_some(Remaining { bindings: 3, groups: 0 })).unwrap();
            }
            Command::Handover { to, reply } => reply.send(to == NEXT).unwrap(),
            Command::TakeChanges { reply } => reply.send(Changes::default()).unwrap(),
            Command::Conclude(_) => unreachable!("workers alone say that"),
            Command::Kernel(_) => unreachable!("nothing is followed"),
            Command::Stop => return signals,
        }
    }
}

#[test]
fn a_client_gets_what_the_worker_answers() {
    let directory = Directory::new("admin-answers");
    let socket = directory.0.join("node.sock");
    let (housekeeping, received) = start(&socket, Vec::new());
    let worker = std::thread::spawn(move || work(&received));

    for topic in Topic::ALL {
        assert_eq!(request(&socket, &Request::Show(topic.into())).unwrap(), json!([{ "topic": topic.name() }]));
    }
    let explain = Request::Explain { about: "ff15::1".parse().unwrap(), source: None };
    assert_eq!(request(&socket, &explain).unwrap_err().to_string(), "nothing of ff15::1");
    let signal = |port: &str, dbm| request(&socket, &Request::Signal { port: port.into(), dbm });
    assert_eq!(signal("radio-b", Some(-61)).unwrap(), Value::Null);
    assert_eq!(signal("radio-a", None).unwrap(), Value::Null);
    let refused = |result: Result<Value, ClientError>| result.unwrap_err().to_string();
    assert_eq!(
        refused(signal("radio-c", Some(-61))),
        "there is no radio port \"radio-c\"; name one of radio-a, radio-b"
    );
    assert_eq!(refused(signal("radio-a", Some(7))), "a signal strength is -150 to 0 dBm");
    let handover = |to: &str| request(&socket, &Request::Handover { to: to.parse().unwrap() });
    assert_eq!(handover(&NEXT.to_string()).unwrap(), Value::Null);
    assert!(refused(handover("2001:db8::1")).starts_with("there is no router to tell"));
    assert_eq!(refused(handover("fe80::1")), "fe80::1 is no address of a router; give a routable unicast one");
    let drain = |service| request(&socket, &Request::Drain(service));
    assert_eq!(drain(Service::Drain).unwrap(), json!({"bindings": 3, "groups": 0}));
    assert!(refused(drain(Service::Resume)).starts_with("no terminals use this node"));
    request(&socket, &Request::Stop(true)).unwrap();
    assert_eq!(worker.join().unwrap(), [(PortId(1), Some(-61)), (PortId(0), None)]);
    assert_eq!(refused(request(&socket, &Request::Show(Topic::Ports.into()))), "the node takes no commands any more");

    drop(housekeeping);
    assert!(!socket.exists());
    assert!(matches!(request(&socket, &Request::Show(Topic::Ports.into())), Err(ClientError::Connect(..))));
}

/// A worker shows a table of many rows a few at a time; the client has as many as it wants, and hears of the others.
#[test]
fn a_large_table_is_asked_for_in_parts() {
    const ROWS: u64 = 5000;
    const PART: u64 = 700;
    let directory = Directory::new("admin-parts");
    let socket = directory.0.join("node.sock");
    let (_housekeeping, received) = start(&socket, Vec::new());
    let worker = std::thread::spawn(move || {
        let mut parts = 0;
        for command in received {
            let Command::Show { part: Part { from, rows, .. }, reply } = command else { return parts };
            let from = match from {
                Position::Reception(address) => address.to_bits() as u64,
                _ => 0,
            };
            let (to, shown) = (ROWS.min(from + PART), PART.min(rows as u64));
            let value = (from..to.min(from + shown)).collect();
            let next = (to < ROWS).then(|| Position::Reception(u128::from(to).into()));
            reply.send(Page { value, more: (to - from).saturating_sub(shown), next }).unwrap();
            parts += 1;
        }
        parts
    });
    for (limit, shown) in [(None, 1000), (Some(0), 0), (Some(1500), 1500), (Some(9999), ROWS)] {
        let answer = ask_for(&socket, &Request::Show(Query { limit, ..Topic::PimTib.into() })).unwrap();
        assert_eq!((answer.value, answer.more), ((0..shown).collect::<Vec<u64>>().into(), ROWS - shown), "{limit:?}");
    }
    let refused = |query| request(&socket, &Request::Show(query)).unwrap_err().to_string();
    let group = groups("ff15::/16").ok();
    assert!(refused(Query { group, ..Topic::Routes.into() }).starts_with("routes is not by group"));
    assert!(refused(Query { limit: Some(1 << 20), ..Topic::PimTib.into() }).starts_with("a limit is at most 10000"));
    request(&socket, &Request::Stop(true)).unwrap();
    assert_eq!(worker.join().unwrap(), 4 * ROWS.div_ceil(PART));
}

#[test]
fn requests_of_one_client_are_answered_in_order() {
    let directory = Directory::new("admin-order");
    let socket = directory.0.join("node.sock");
    let (_housekeeping, received) = start(&socket, Vec::new());
    let worker = std::thread::spawn(move || work(&received));
    // Another client that says half a request and nothing more.
    let mut silent = UnixStream::connect(&socket).unwrap();
    silent.write_all(b"{\"show\":").unwrap();

    let mut stream = UnixStream::connect(&socket).unwrap();
    let topics = [Topic::Routes, Topic::Ports, Topic::Counters];
    let lines: Vec<u8> = topics.iter().flat_map(|&topic| Request::Show(topic.into()).emit()).collect();
    stream.write_all(&lines).unwrap();
    stream.write_all(b"nonsense\n").unwrap();
    stream.write_all(&Request::Stop(true).emit()).unwrap();
    let mut answers = BufReader::new(stream).lines().map(|line| Answer::parse(line.unwrap().as_bytes()).unwrap());
    for topic in topics {
        assert_eq!(answers.next(), Some(Answer::Ok(json!([{ "topic": topic.name() }]))));
    }
    assert!(matches!(answers.next(), Some(Answer::Error(why)) if why.starts_with("this is no request")));
    assert_eq!(answers.next(), Some(Answer::Ok(Value::Null)));
    worker.join().unwrap();
}

#[test]
fn a_request_without_end_is_refused_and_its_client_closed() {
    let directory = Directory::new("admin-long");
    let socket = directory.0.join("node.sock");
    let (_housekeeping, _received) = start(&socket, Vec::new());
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(&[b'x'; MAX_REQUEST_LEN + 1]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, format!("{{\"error\":\"a request has at most {MAX_REQUEST_LEN} octets\"}}\n"));
}

/// Asks, and has the answer of [`work`].
fn ask(stream: &mut UnixStream, topic: Topic) {
    stream.write_all(&Request::Show(topic.into()).emit()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert_eq!(Answer::parse(line.as_bytes()), Ok(Answer::Ok(json!([{ "topic": topic.name() }]))));
}

/// Those that say nothing, or half a request, keep nobody out: the one that has been idle for the longest time goes.
#[test]
fn idle_clients_make_room_for_new_ones() {
    const MOST: usize = 64;
    let directory = Directory::new("admin-idle");
    let socket = directory.0.join("node.sock");
    let (_housekeeping, received) = start(&socket, Vec::new());
    let worker = std::thread::spawn(move || work(&received));
    let mut idle: Vec<UnixStream> = (0..MOST).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    // Once the last has its answer all are connected; the first asks then, and so is not the first to go.
    for asks in [MOST - 1, 0] {
        ask(&mut idle[asks], Topic::Ports);
    }
    for half in &mut idle[MOST / 2..MOST - 1] {
        half.write_all(b"{\"show\":").unwrap();
    }

    assert_eq!(request(&socket, &Request::Show(Topic::Routes.into())).unwrap(), json!([{ "topic": "routes" }]));
    let mut said = String::new();
    idle[1].read_to_string(&mut said).unwrap();
    let Ok(Answer::Error(why)) = Answer::parse(said.as_bytes()) else { panic!("{said}") };
    assert_eq!(why, format!("{MOST} clients are connected, and this one was idle for the longest time"));
    // As many others have their answers, one after the other, although they stay.
    let stays = |_| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        ask(&mut stream, Topic::Groups);
        stream
    };
    let _staying: Vec<UnixStream> = (0..MOST).map(stays).collect();
    for closed in &mut idle {
        closed.read_to_string(&mut said).unwrap();
    }
    request(&socket, &Request::Stop(true)).unwrap();
    worker.join().unwrap();
}

#[test]
fn signal_strength_comes_from_a_file() {
    let directory = Directory::new("admin-signal");
    let file = directory.0.join("signal");
    std::fs::write(&file, "-48\n").unwrap();
    let (_housekeeping, received) = start(&directory.0.join("node.sock"), vec![(PortId(1), file.clone())]);
    let next = || match received.recv().unwrap() {
        Command::Signal { port, dbm } => (port, dbm),
        other => panic!("{other:?}"),
    };
    assert_eq!(next(), (PortId(1), Some(-48)));
    std::fs::write(&file, "-80\n").unwrap();
    assert_eq!(next(), (PortId(1), Some(-80)));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(next(), (PortId(1), None));
}

#[test]
fn the_socket_is_private_and_taken_over_only_from_the_dead() {
    let directory = Directory::new("admin-socket");
    let socket = directory.0.join("node.sock");
    let first = Listener::bind(&socket).unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 1, "nothing else is left");
    assert!(matches!(Listener::bind(&socket), Err(ListenerError::InUse(_))));
    drop(first);
    assert!(!socket.exists());

    // A process that died leaves its socket behind.
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let second = Listener::bind(&socket).unwrap();
    assert!(UnixStream::connect(&socket).is_ok());

    // Somebody else's socket in its place is not removed.
    std::fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    drop(second);
    assert!(socket.exists());

    let file = directory.0.join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Listener::bind(&file), Err(ListenerError::NoSocket(_))));
    assert!(matches!(Listener::bind(&directory.0.join("none/below/x.sock")), Err(ListenerError::Io { .. })));
    // The directory itself is made where it is missing.
    drop(Listener::bind(&directory.0.join("none/x.sock")).unwrap());
}

/// Of the text, lines without comments.
fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

const SAMPLES: [&str; 5] = [
    "drover_node_info{name=\"a \\\"node\\\"\",roles=\"router mma\",version=\"0.1.0\"} 1",
    "drover_start_time_seconds 0.0",
    "drover_machine_events_total{machine=\"pim\",counter=\"rx-hello\"} 7",
    "drover_machine_events_total{machine=\"pim\",counter=\"tx-hello\"} 0",
    "drover_table_entries{table=\"mroutes\"} 3",
];

#[test]
fn metrics_are_text_on_the_socket() {
    let directory = Directory::new("admin-metrics");
    let socket = directory.0.join("node.sock");
    let (_housekeeping, received) = start(&socket, Vec::new());
    std::thread::spawn(move || work(&received));
    let text = request(&socket, &Request::Metrics(true)).unwrap();
    assert_eq!(samples(text.as_str().unwrap()), SAMPLES);
    assert!(text.as_str().unwrap().ends_with("\n# EOF\n"));
}

/// What a server says to this, with its head and its body.
fn http(server: &MetricsServer, sent: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(sent).unwrap();
    answer_of(stream)
}

fn answer_of(mut stream: TcpStream) -> (String, String) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (head.into(), body.into())
}

#[test]
fn metrics_are_served_by_http() {
    let (commands, received) = unbounded();
    let worker = ToWorker::new(commands, Arc::new(|| {}));
    let listener = MetricsServer::bind("[::1]:0".parse().unwrap()).unwrap();
    let server = MetricsServer::start(listener, UNIX_EPOCH, worker.clone()).unwrap();
    let node = std::thread::spawn(move || work(&received));

    // Clients that say nothing, or half of it, are in nobody's way.
    let mut half = TcpStream::connect(server.address()).unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: a").unwrap();
    let silent: Vec<TcpStream> = (0..14).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let (head, body) = http(&server, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert_eq!(samples(&body), SAMPLES);
    // One more than there may be finds no place, and those who have theirs keep it.
    let _last = TcpStream::connect(server.address()).unwrap();
    assert_eq!(answer_of(TcpStream::connect(server.address()).unwrap()), Default::default());
    half.write_all(b"\r\n\r\n").unwrap();
    assert_eq!(samples(&answer_of(half).1), SAMPLES);
    drop(silent);

    let status = |sent: &[u8]| http(&server, sent).0.lines().next().unwrap_or_default().to_owned();
    let (head, body) = http(&server, b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK") && body.is_empty(), "{head}");
    assert_eq!(status(b"GET /secrets HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
    let post = [b"POST /metrics HTTP/1.1\r\nContent-Length: 100000\r\n\r\n".as_slice(), &[b'x'; 100_000]].concat();
    assert_eq!(status(&post), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(status(&[b'x'; 20_000]), "HTTP/1.1 431 Request Header Fields Too Large");

    worker.tell(Command::Stop);
    node.join().unwrap();
    assert_eq!(status(b"GET /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 503 Service Unavailable");
    let taken = MetricsServer::bind(server.address()).unwrap_err().to_string();
    assert!(taken.contains("give metrics.listen an address of this host that is free"), "{taken}");
}
