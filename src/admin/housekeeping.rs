//! The housekeeping thread: admin clients, signal-strength files, the kernel's routes, termination signals and the watch over
//! the workers, on one mio poll.
//!
//! It is the only thread beside the workers and never touches a packet. A client is answered in order, one request at a
//! time; one that does not read its answers is not read from, one that sends nonsense is told so and closed. Where there
//! are too many, the one that has been idle for the longest time makes room for a new one.

use super::listener::Listener;
use super::protocol::{Answer, MAX_REQUEST_LEN, Request};
use super::query::{Page, Query, Question, gather};
use super::signal_file::SignalFile;
use super::to_worker::{NO_COMMANDS, ToWorker};
use super::watch::{Watch, WatchConfig};
use super::{Command, ListenerError};
use crate::kernel::Follower;
use crate::metrics::Exposition;
use crate::node::Service;
use crate::state::Keeper;
use crossbeam_channel::Sender;
use mio::net::UnixStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use stack::addr::is_routable_unicast;
use stack::machine::PortId;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// How often signal-strength files are looked at.
const SIGNAL_FILE_PERIOD: Duration = Duration::from_millis(50);
/// How often what has changed is written down.
const STATE_PERIOD: Duration = Duration::from_secs(1);
/// Clients at a time.
const MAX_CLIENTS: usize = 64;
/// Time between two lines about clients that were closed for others.
const DISPLACED_PERIOD: Duration = Duration::from_secs(60);
/// Octets read from a client in one go.
const READ_LEN: usize = 4096;

const LISTENER: Token = Token(0);
const TERMINATION: Token = Token(1);
const STOP: Token = Token(2);
const KERNEL: Token = Token(3);
const FIRST_CLIENT: usize = 4;

/// What the thread looks after.
pub struct HousekeepingConfig {
    /// Where clients connect; nowhere if absent.
    pub socket: Option<PathBuf>,
    /// Radio ports by name.
    pub radios: BTreeMap<String, PortId>,
    /// Signal-strength files of radio ports.
    pub signal_files: Vec<(PortId, PathBuf)>,
    /// Where what outlasts a restart is written.
    pub state: Option<Arc<Mutex<Keeper>>>,
    /// What follows the kernel's routes and addresses.
    pub kernel: Option<Follower>,
    /// When the process started.
    pub started: SystemTime,
    /// Whether SIGTERM, SIGINT and SIGHUP become [`Command::Stop`]; the process-wide handlers are set by this.
    pub termination: bool,
    /// Whether workers take turns, and who hears of it.
    pub watch: WatchConfig,
}

/// The running thread. Dropping it ends the thread and removes the socket.
#[derive(Debug)]
pub struct Housekeeping {
    thread: Option<JoinHandle<()>>,
    waker: mio::Waker,
}

impl Housekeeping {
    /// Makes the socket and starts the thread.
    ///
    /// # Errors
    /// See [`ListenerError`].
    pub fn start(config: HousekeepingConfig, worker: ToWorker) -> Result<Self, ListenerError> {
        let path = config.socket.clone().unwrap_or_default();
        let mut listener = config.socket.as_deref().map(Listener::bind).transpose()?;
        let failed = |source| ListenerError::Io { path: path.clone(), source };
        let poll = Poll::new().map_err(failed)?;
        let waker = mio::Waker::new(poll.registry(), STOP).map_err(failed)?;
        if let Some(listener) = &mut listener {
            poll.registry().register(&mut listener.socket, LISTENER, Interest::READABLE).map_err(failed)?;
        }
        if let Some(kernel) = &config.kernel {
            let interest = Interest::READABLE;
            poll.registry().register(&mut SourceFd(&kernel.fd()), KERNEL, interest).map_err(failed)?;
        }
        let termination = if config.termination {
            let mut receiver = termination_stream().map_err(failed)?;
            poll.registry().register(&mut receiver, TERMINATION, Interest::READABLE).map_err(failed)?;
            Some(receiver)
        } else {
            None
        };
        let signal_files = config.signal_files.into_iter().map(|(port, path)| SignalFile::new(port, path)).collect();
        let mut housekeeper = Housekeeper {
            poll,
            listener,
            termination,
            signal_files,
            radios: config.radios,
            clients: BTreeMap::new(),
            next_client: FIRST_CLIENT,
            exchanges: 0,
            displaced: 0,
            next_remark: Instant::now(),
            state: config.state,
            kernel: config.kernel,
            next_state: Instant::now() + STATE_PERIOD,
            started: config.started,
            worker,
            watch: Watch::new(config.watch),
        };
        let thread = std::thread::Builder::new().name("housekeeping".into());
        let thread = thread.spawn(move || housekeeper.run()).map_err(failed)?;
        Ok(Housekeeping { thread: Some(thread), waker })
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A stream that becomes readable when SIGTERM, SIGINT or SIGHUP arrives. A second one ends the process on the spot.
fn termination_stream() -> io::Result<UnixStream> {
    let (sender, receiver) = std::os::unix::net::UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    let second = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&second))?;
        signal_hook::flag::register(signal, Arc::clone(&second))?;
        pipe::register(signal, sender.try_clone()?)?;
    }
    Ok(UnixStream::from_std(receiver))
}

struct Housekeeper {
    poll: Poll,
    listener: Option<Listener>,
    termination: Option<UnixStream>,
    signal_files: Vec<SignalFile>,
    radios: BTreeMap<String, PortId>,
    clients: BTreeMap<usize, Client>,
    next_client: usize,
    /// Counts connections and answers that were taken, to know who has been idle for the longest time.
    exchanges: u64,
    /// Clients that were closed for others since the last line about it.
    displaced: u64,
    next_remark: Instant,
    state: Option<Arc<Mutex<Keeper>>>,
    next_state: Instant,
    kernel: Option<Follower>,
    started: SystemTime,
    worker: ToWorker,
    watch: Watch,
}

impl Housekeeper {
    fn run(&mut self) {
        let mut events = Events::with_capacity(64);
        let period = (!self.signal_files.is_empty()).then_some(SIGNAL_FILE_PERIOD);
        loop {
            self.watch_signal_files();
            let until_state = self.keep_state();
            let until_look = self.watch.look();
            let until_kernel = self.follow_kernel();
            let wait = period.into_iter().chain(until_state).chain(until_look).chain(until_kernel).min();
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
                Ok(()) => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    TERMINATION => self.terminate(),
                    STOP => return,
                    // It is read from in every turn of this loop.
                    KERNEL => {}
                    Token(client) => self.serve(client),
                }
            }
        }
    }

    fn watch_signal_files(&mut self) {
        for file in &mut self.signal_files {
            if let Some(dbm) = file.poll() {
                self.worker.tell(Command::Signal { port: file.port, dbm });
            }
        }
    }

    /// Writes down what has changed, where it is time for that; how long until it is again.
    fn keep_state(&mut self) -> Option<Duration> {
        let keeper = self.state.as_ref()?;
        let now = Instant::now();
        if now >= self.next_state {
            self.next_state = now + STATE_PERIOD;
            if let Ok(changes) = self.ask(|reply| Command::TakeChanges { reply }) {
                keeper.lock().unwrap_or_else(PoisonError::into_inner).keep(&changes);
            }
        }
        Some(self.next_state.saturating_duration_since(Instant::now()))
    }

    /// Gives the worker what is new in the kernel, as far as it has room; how long until it is tried again.
    fn follow_kernel(&mut self) -> Option<Duration> {
        let worker = &self.worker;
        self.kernel.as_mut()?.turn(|batch| worker.offer(batch), |line| eprintln!("drover: {line}"))
    }

    /// Gives the worker a command that it answers. Where it is known to stand still nobody waits for it.
    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Result<T, String> {
        let stalled = || self.watch.stalled().map(|stalled| format!("the node does not answer: {stalled}"));
        if self.watch.is_first_stalled()
            && let Some(stalled) = stalled()
        {
            return Err(stalled);
        }
        self.worker.ask(command).map_err(|why| stalled().unwrap_or(why))
    }

    fn terminate(&mut self) {
        if let Some(stream) = &mut self.termination {
            let mut octets = [0; 16];
            while stream.read(&mut octets).is_ok_and(|read| read > 0) {}
        }
        self.worker.tell(Command::Stop);
    }

    fn accept(&mut self) {
        // WouldBlock ends the loop, and so does running out of descriptors: the next connection wakes us again.
        while let Some(Ok((mut stream, _))) = self.listener.as_ref().map(|listener| listener.socket.accept()) {
            if self.clients.len() >= MAX_CLIENTS {
                // Some may have gone that the poll has not told of yet.
                let known: Vec<usize> = self.clients.keys().copied().collect();
                known.into_iter().for_each(|client| self.serve(client));
            }
            while self.clients.len() >= MAX_CLIENTS {
                self.displace();
            }
            let token = self.next_client;
            self.next_client += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, Token(token), interest).is_ok() {
                self.exchanges += 1;
                self.clients.insert(token, Client::new(stream, self.exchanges));
                self.serve(token);
            }
        }
    }

    /// Closes the client that has been idle for the longest time.
    fn displace(&mut self) {
        let longest = self.clients.iter().min_by_key(|(_, client)| client.last_exchange);
        let Some(mut client) = longest.map(|(&token, _)| token).and_then(|token| self.clients.remove(&token)) else {
            return;
        };
        // Behind a part of an answer it would only be more of that.
        if client.outbox.is_empty() {
            let why = format!("{MAX_CLIENTS} clients are connected, and this one was idle for the longest time");
            let _ = client.stream.write(&Answer::Error(why).emit());
        }
        let _ = self.poll.registry().deregister(&mut client.stream);
        self.displaced += 1;
        let now = Instant::now();
        if now >= self.next_remark {
            self.next_remark = now + DISPLACED_PERIOD;
            let closed = core::mem::take(&mut self.displaced);
            eprintln!(
                "drover: admin.socket: {MAX_CLIENTS} clients are connected, as many as may be; new ones take the place of those \
                 idle for the longest time ({closed} since the last such line, of which there is one a minute at the most)"
            );
        }
    }

    fn serve(&mut self, token: usize) {
        let Some(mut client) = self.clients.remove(&token) else { return };
        let keep = loop {
            let waiting = client.outbox.len();
            let written = client.write_out();
            if client.outbox.len() < waiting {
                self.exchanges += 1;
                client.last_exchange = self.exchanges;
            }
            match written {
                Written::All => {}
                Written::Blocked => break true,
                Written::Closed => break false,
            }
            if client.closing {
                break false;
            }
            match client.next_line() {
                Line::Complete(line) => {
                    let answer = self.answer(&line);
                    client.outbox.extend_from_slice(&answer.emit());
                }
                Line::TooLong => {
                    let why = format!("a request has at most {MAX_REQUEST_LEN} octets");
                    client.outbox.extend_from_slice(&Answer::Error(why).emit());
                    client.closing = true;
                }
                Line::Blocked => break true,
                Line::Closed => break false,
            }
        };
        if keep {
            self.clients.insert(token, client);
        } else {
            let _ = self.poll.registry().deregister(&mut client.stream);
        }
    }

    fn answer(&self, line: &[u8]) -> Answer {
        match Request::parse(line) {
            Err(why) => Answer::Error(why),
            Ok(Request::Show(query)) => self.show(query).unwrap_or_else(Answer::Error),
            Ok(Request::Explain { about, source }) => {
                let question = Question { about, source, sources: Vec::new(), more_sources: 0 };
                self.explain(question).map_or_else(Answer::Error, Answer::Ok)
            }
            Ok(Request::Signal { port, dbm }) => match self.radios.get(&port) {
                Some(&id) if dbm.is_none_or(|dbm| (-150..=0).contains(&dbm)) => {
                    if self.worker.tell(Command::Signal { port: id, dbm }) {
                        Answer::Ok(Value::Null)
                    } else {
                        Answer::Error(NO_COMMANDS.into())
                    }
                }
                Some(_) => Answer::Error("a signal strength is -150 to 0 dBm".into()),
                None if self.radios.is_empty() => Answer::Error("this node has no radio ports".into()),
                None => {
                    let names: Vec<&str> = self.radios.keys().map(String::as_str).collect();
                    Answer::Error(format!("there is no radio port \"{port}\"; name one of {}", names.join(", ")))
                }
            },
            Ok(Request::Metrics(true)) => self.metrics().map_or_else(Answer::Error, Answer::Ok),
            Ok(Request::Metrics(false)) => Answer::Ok(Value::Null),
            Ok(Request::Drain(service)) => self.drain(service).map_or_else(Answer::Error, Answer::Ok),
            Ok(Request::Handover { to }) => self.hand_over(to),
            Ok(Request::Stop(true)) => {
                self.worker.tell(Command::Stop);
                Answer::Ok(Value::Null)
            }
            Ok(Request::Stop(false)) => Answer::Ok(Value::Null),
        }
    }
}

impl Housekeeper {
    /// Has the worker show something, part by part.
    fn hand_over(&self, to: Ipv6Addr) -> Answer {
        if self.radios.is_empty() {
            return Answer::Error("this node is no terminal".into());
        }
        if !is_routable_unicast(to) {
            return Answer::Error(format!("{to} is no address of a router; give a routable unicast one"));
        }
        match self.ask(|reply| Command::Handover { to, reply }) {
            Ok(true) => Answer::Ok(Value::Null),
            Ok(false) => Answer::Error(
                "there is no router to tell: the terminal has joined no group, or mobile_terminal.report_moves is false"
                    .into(),
            ),
            Err(why) => Answer::Error(why),
        }
    }

    fn show(&self, query: Query) -> Result<Answer, String> {
        if let Some(why) = query.refusal() {
            return Err(why);
        }
        let page = self.gather(query)?;
        Ok(match page.more {
            0 => Answer::Ok(page.value),
            more => Answer::Part { rows: page.value, more },
        })
    }

    /// Has the worker explain something, once it has found the sources.
    fn explain(&self, mut question: Question) -> Result<Value, String> {
        if let Some(query) = question.to_find_sources() {
            question.learn_sources(&self.gather(query)?);
        }
        self.ask(|reply| Command::Explain { question, reply })?
    }

    fn drain(&self, service: Service) -> Result<Value, String> {
        let remaining = self.ask(|reply| Command::Drain { service, reply })?;
        let remaining = remaining.ok_or("no terminals use this node: drain mobility agents and access routers")?;
        serde_json::to_value(remaining).map_err(|error| error.to_string())
    }

    /// All that can be measured, as OpenMetrics text.
    fn metrics(&self) -> Result<Value, String> {
        let snapshot = self.ask(|reply| Command::Snapshot { reply })?;
        Ok(Exposition::new(snapshot, self.started).text().into())
    }

    fn gather(&self, query: Query) -> Result<Page, String> {
        gather(query, |part| self.ask(|reply| Command::Show { part, reply }))
    }
}

struct Client {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    closing: bool,
    /// When it last took an answer, or connected, in exchanges of all clients.
    last_exchange: u64,
}

enum Line {
    Complete(Vec<u8>),
    TooLong,
    Blocked,
    Closed,
}

enum Written {
    All,
    Blocked,
    Closed,
}

impl Client {
    fn new(stream: UnixStream, last_exchange: u64) -> Self {
        Client { stream, inbox: Vec::new(), outbox: Vec::new(), closing: false, last_exchange }
    }

    /// Takes the next request, reading more octets where none is complete.
    fn next_line(&mut self) -> Line {
        loop {
            if let Some(end) = self.inbox.iter().position(|&octet| octet == b'\n') {
                let mut line: Vec<u8> = self.inbox.drain(..=end).collect();
                line.pop();
                return if line.len() > MAX_REQUEST_LEN { Line::TooLong } else { Line::Complete(line) };
            }
            if self.inbox.len() > MAX_REQUEST_LEN {
                return Line::TooLong;
            }
            let mut octets = [0; READ_LEN];
            match self.stream.read(&mut octets) {
                Ok(0) => return Line::Closed,
                Ok(read) => self.inbox.extend_from_slice(&octets[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Line::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Line::Closed,
            }
        }
    }

    fn write_out(&mut self) -> Written {
        let mut done = 0;
        let result = loop {
            if done == self.outbox.len() {
                break Written::All;
            }
            match self.stream.write(&self.outbox[done..]) {
                Ok(0) => break Written::Closed,
                Ok(written) => done += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Written::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break Written::Closed,
            }
        };
        self.outbox.drain(..done);
        result
    }
}
