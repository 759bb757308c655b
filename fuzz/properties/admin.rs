//! What holds of the admin socket whatever a client says: each line has one answer, in order, a request is carried out once
//! and what is none not at all, a line without end is refused, and the next client is served.

use crossbeam_channel::{Receiver, unbounded};
use drover::admin::{
    Answer, Command, Housekeeping, HousekeepingConfig, MAX_REQUEST_LEN, Page, Part, Query, Question, Request, ToWorker,
    Topic, WatchConfig, groups, request,
};
use drover::metrics::Exposition;
use drover::node::{Remaining, Service, Snapshot};
use drover::state::Changes;
use serde_json::{Value, json};
use stack::addr::is_routable_unicast;
use stack::machine::PortId;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv6Addr;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);
const RADIO: &str = "radio-a";

/// A node's housekeeping and what stands for its worker, which says what it was told.
struct Node {
    socket: PathBuf,
    housekeeping: Option<Housekeeping>,
    worker: Option<JoinHandle<Vec<Told>>>,
}

/// What a worker is told.
#[derive(Clone, PartialEq, Debug)]
enum Told {
    Show(Part),
    Snapshot,
    Drain(Service),
    Explain(Question),
    Signal(Option<i16>),
    Handover(Ipv6Addr),
    Stop,
}

impl Node {
    fn start() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("drover-hostile-{}-{number}.sock", std::process::id()));
        let (commands, received) = unbounded();
        let config = HousekeepingConfig {
            socket: Some(socket.clone()),
            radios: BTreeMap::from([(RADIO.to_owned(), PortId(3))]),
            signal_files: Vec::new(),
            state: None,
            kernel: None,
            started: UNIX_EPOCH,
            termination: false,
            watch: WatchConfig::default(),
        };
        let housekeeping =
            Housekeeping::start(config, ToWorker::new(commands, Arc::new(|| {}))).expect("there is room");
        let worker = std::thread::spawn(move || work(&received));
        Node { socket, housekeeping: Some(housekeeping), worker: Some(worker) }
    }

    /// What the worker was told until the end.
    fn end(mut self) -> Vec<Told> {
        drop(self.housekeeping.take());
        assert!(!self.socket.exists());
        self.worker.take().expect("it was started").join().expect("it ends")
    }
}

/// What the worker says that it has counted.
fn snapshot() -> Snapshot {
    Snapshot {
        name: "node".into(),
        roles: Vec::new(),
        machines: Vec::new(),
        tables: Vec::new(),
        ports: Vec::new(),
        workers: Vec::new(),
    }
}

fn work(received: &Receiver<Command>) -> Vec<Told> {
    let mut told = Vec::new();
    for command in received {
        told.push(match command {
            Command::Show { part, reply } => {
                let _ = reply.send(Page::whole(json!(part.topic.name())));
                Told::Show(part)
            }
            Command::Snapshot { reply } => {
                let _ = reply.send(snapshot());
                Told::Snapshot
            }
            Command::Explain { question, reply } => {
                let _ = reply.send(Ok(json!(question.about)));
                Told::Explain(question)
            }
            Command::Signal { port, dbm } => {
                assert_eq!(port, PortId(3));
                Told::Signal(dbm)
            }
            Command::Handover { to, reply } => {
                let _ = reply.send(true);
                Told::Handover(to)
            }
            Command::Drain { service, reply } => {
                let _ = reply.send(Some(Remaining::default()));
                Told::Drain(service)
            }
            Command::TakeChanges { reply } => {
                let _ = reply.send(Changes::default());
                continue;
            }
            Command::Conclude(_) => unreachable!("workers alone say that"),
            Command::Kernel(_) => unreachable!("nothing is followed"),
            Command::Stop => Told::Stop,
        });
    }
    told
}

/// What a line is to be answered and what the worker is to be told; `None`: that it is refused, in one line.
fn expected(line: &[u8]) -> (Option<Value>, Vec<Told>) {
    match Request::parse(line) {
        Ok(request) => {
            let emitted = request.emit();
            assert_eq!(Request::parse(&emitted[..emitted.len() - 1]), Ok(request.clone()));
            match request {
                Request::Show(query) if query.refusal().is_some() => (None, Vec::new()),
                Request::Show(query) => (Some(json!(query.topic.name())), vec![Told::Show(Part::first(query))]),
                Request::Explain { about, source } => {
                    let question = Question { about, source, sources: Vec::new(), more_sources: 0 };
                    let sought = question.to_find_sources().map(|query| Told::Show(Part::first(query)));
                    (Some(json!(about)), sought.into_iter().chain([Told::Explain(question)]).collect())
                }
                Request::Drain(service) => (Some(json!(Remaining::default())), vec![Told::Drain(service)]),
                Request::Signal { port, dbm } if port == RADIO && dbm.is_none_or(|dbm| (-150..=0).contains(&dbm)) => {
                    (Some(Value::Null), vec![Told::Signal(dbm)])
                }
                Request::Signal { .. } => (None, Vec::new()),
                Request::Handover { to } if is_routable_unicast(to) => (Some(Value::Null), vec![Told::Handover(to)]),
                Request::Handover { .. } => (None, Vec::new()),
                Request::Metrics(true) => {
                    (Some(Exposition::new(snapshot(), UNIX_EPOCH).text().into()), vec![Told::Snapshot])
                }
                Request::Metrics(false) => (Some(Value::Null), Vec::new()),
                Request::Stop(stop) => (Some(Value::Null), stop.then_some(Told::Stop).into_iter().collect()),
            }
        }
        Err(why) => {
            assert!(!why.is_empty());
            (None, Vec::new())
        }
    }
}

/// What one client says.
pub(crate) fn client(input: &[u8]) {
    let node = Node::start();
    let mut stream = UnixStream::connect(&node.socket).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    // Who is closed for saying too much does not get rid of the rest.
    let written = stream.write_all(input).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answers = Vec::new();
    match stream.read_to_end(&mut answers) {
        Ok(_) => {}
        Err(error) => assert!(written.is_err() || error.kind() == ErrorKind::ConnectionReset, "{error}"),
    }
    let mut answers = answers.split_inclusive(|&octet| octet == b'\n');
    let mut told = Vec::new();
    for line in input.split_inclusive(|&octet| octet == b'\n') {
        let whole = line.strip_suffix(b"\n");
        let is_too_long = whole.unwrap_or(line).len() > MAX_REQUEST_LEN;
        if whole.is_none() && !is_too_long {
            break;
        }
        // The rest of one who is closed may be lost with the answers to what came before.
        let Some(answer) = answers.next() else {
            assert!(input.len() > MAX_REQUEST_LEN, "a line has no answer");
            break;
        };
        let answer = Answer::parse(answer.strip_suffix(b"\n").expect("an answer is a line")).expect("and JSON");
        if is_too_long {
            assert!(matches!(answer, Answer::Error(_)));
            break;
        }
        let (value, tells) = expected(line);
        match value {
            Some(value) => assert_eq!(answer, Answer::Ok(value)),
            None => assert!(matches!(answer, Answer::Error(_)), "{answer:?}"),
        }
        told.extend(tells);
    }
    assert_eq!(answers.next(), None, "an answer to nothing");
    let next = request(&node.socket, &Request::Show(Topic::Ports.into())).expect("the next client is served");
    assert_eq!(next, json!("ports"));
    told.push(Told::Show(Part::first(Topic::Ports.into())));
    let really = node.end();
    assert!(really == told || input.len() > MAX_REQUEST_LEN, "{really:?} in place of {told:?}");
}

/// What good clients say.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let requests = [
        Request::Show(Topic::Mroutes.into()),
        Request::Show(Query { topic: Topic::PimTib, group: groups("ff15::/16").ok(), limit: Some(20) }),
        Request::Show(Query { topic: Topic::Routes, group: groups("ff15::1").ok(), limit: None }),
        Request::Explain { about: "ff15::1".parse().expect("an address"), source: None },
        Request::Signal { port: RADIO.into(), dbm: Some(-70) },
        Request::Show(Topic::Counters.into()),
        Request::Handover { to: "2001:db8:200:b::1".parse().expect("an address") },
        Request::Handover { to: "fe80::1".parse().expect("an address") },
        Request::Signal { port: RADIO.into(), dbm: None },
        Request::Signal { port: "radio-b".into(), dbm: Some(7) },
        Request::Stop(true),
        Request::Stop(false),
    ];
    let lines: Vec<Vec<u8>> = requests.iter().map(Request::emit).collect();
    vec![lines.concat(), lines[0].clone(), [&lines[1][..], b"\n{}\nshow\n", &lines[2]].concat()]
}
