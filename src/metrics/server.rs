//! HTTP/1.1 for monitoring systems (RFC 9112): `GET /metrics`, one request a connection, nothing else.
//!
//! A thread of its own, so that a scrape never waits for what the housekeeping thread does, nor the other way round. What a
//! client may cost is bounded: so many clients, so many octets of a request, so much time for all of it.

use super::Exposition;
use crate::admin::{Command, ToWorker};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Clients at a time; who comes then is closed at once.
const MAX_CLIENTS: usize = 16;
/// Octets of a request's head at the most.
const MAX_REQUEST_LEN: usize = 8192;
/// Header fields of a request at the most.
const MAX_FIELDS: usize = 64;
/// How long a connection may last.
const PATIENCE: Duration = Duration::from_secs(10);
const READ_LEN: usize = 4096;

const LISTENER: Token = Token(0);
const STOP: Token = Token(1);
const FIRST_CLIENT: usize = 2;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Why metrics cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The address is not this host's, or taken.
    #[error("{address}: {source}; give metrics.listen an address of this host that is free")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no thread, or no descriptor, to be had.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The running thread. Dropping it ends the thread and closes all connections.
#[derive(Debug)]
pub struct MetricsServer {
    thread: Option<JoinHandle<()>>,
    waker: mio::Waker,
    address: SocketAddr,
}

impl MetricsServer {
    /// Takes this address, before there is anything to serve.
    ///
    /// # Errors
    /// [`MetricsError::Bind`]
    pub fn bind(address: SocketAddr) -> Result<TcpListener, MetricsError> {
        TcpListener::bind(address).map_err(|source| MetricsError::Bind { address, source })
    }

    /// Serves what the workers of a process that started then have counted.
    ///
    /// # Errors
    /// [`MetricsError::Io`]
    pub fn start(mut listener: TcpListener, started: SystemTime, worker: ToWorker) -> Result<Self, MetricsError> {
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), STOP)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut server =
            Server { poll, listener, started, worker, clients: BTreeMap::new(), next_client: FIRST_CLIENT };
        let thread = std::thread::Builder::new().name("metrics".into()).spawn(move || server.run())?;
        Ok(MetricsServer { thread: Some(thread), waker, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    started: SystemTime,
    worker: ToWorker,
    clients: BTreeMap<usize, Client>,
    next_client: usize,
}

struct Client {
    stream: TcpStream,
    until: Instant,
    state: State,
}

/// What a connection has come to.
enum State {
    /// Its request so far.
    Reads(Vec<u8>),
    /// The answer, and how much of it has been written.
    Writes { answer: Vec<u8>, written: usize },
    /// All was said. The client closes first: what it sent and nobody read would take the answer with it
    /// (RFC 9112 §9.6).
    Lingers,
}

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Wait,
    Close,
}

impl Server {
    fn run(&mut self) {
        let mut events = Events::with_capacity(64);
        loop {
            let now = Instant::now();
            let late: Vec<usize> =
                self.clients.iter().filter(|(_, client)| client.until <= now).map(|(&token, _)| token).collect();
            late.into_iter().for_each(|token| drop(self.clients.remove(&token)));
            let wait = self.clients.values().map(|client| client.until.saturating_duration_since(now)).min();
            // At least until the time that is waited for has come.
            let wait = wait.map(|wait| wait + Duration::from_millis(1));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
                Ok(()) => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    STOP => return,
                    Token(client) => self.serve(client),
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            if self.clients.len() >= MAX_CLIENTS {
                // Some may have gone that the poll has not told of yet.
                let known: Vec<usize> = self.clients.keys().copied().collect();
                known.into_iter().for_each(|client| self.serve(client));
            }
            let token = self.next_client;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.clients.len() >= MAX_CLIENTS
                || self.poll.registry().register(&mut stream, Token(token), interest).is_err()
            {
                continue;
            }
            self.next_client += 1;
            let until = Instant::now() + PATIENCE;
            self.clients.insert(token, Client { stream, until, state: State::Reads(Vec::new()) });
            self.serve(token);
        }
    }

    fn serve(&mut self, token: usize) {
        let Some(mut client) = self.clients.remove(&token) else { return };
        let next = loop {
            match client.go_on() {
                Step::Wait => break Next::Wait,
                Step::Close => break Next::Close,
                Step::Another => {}
                Step::Answer(judged) => {
                    let answer = match judged {
                        Ok(body) => self.metrics(body),
                        Err(status) => response(status, PLAIN, status, Body::Sent),
                    };
                    client.state = State::Writes { answer, written: 0 };
                }
            }
        };
        if next == Next::Wait {
            self.clients.insert(token, client);
        }
    }

    fn metrics(&self, body: Body) -> Vec<u8> {
        match self.worker.ask(|reply| Command::Snapshot { reply }) {
            Ok(snapshot) => response("200 OK", OPEN_METRICS, &Exposition::new(snapshot, self.started).text(), body),
            Err(why) => response("503 Service Unavailable", PLAIN, &why, body),
        }
    }
}

/// What comes next of a connection.
enum Step {
    /// Nothing, until the client has done something.
    Wait,
    /// Its end.
    Close,
    /// Whatever its state says.
    Another,
    /// The answer to a request that is served, with or without the body; or the status of one that is not.
    Answer(Result<Body, &'static str>),
}

/// Whether the answer has its body: `HEAD` asks for the rest alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    Sent,
    LeftOut,
}

impl Client {
    fn go_on(&mut self) -> Step {
        match &mut self.state {
            State::Reads(request) => {
                let mut octets = [0; READ_LEN];
                match self.stream.read(&mut octets) {
                    Ok(0) => Step::Close,
                    Ok(read) => {
                        request.extend_from_slice(&octets[..read]);
                        judge(request).map_or(Step::Another, Step::Answer)
                    }
                    Err(error) => after(&error),
                }
            }
            State::Writes { answer, written } if *written < answer.len() => {
                match self.stream.write(&answer[*written..]) {
                    Ok(0) => Step::Close,
                    Ok(more) => {
                        *written += more;
                        Step::Another
                    }
                    Err(error) => after(&error),
                }
            }
            State::Writes { .. } => {
                self.state = State::Lingers;
                self.stream.shutdown(Shutdown::Write).map_or(Step::Close, |()| Step::Another)
            }
            State::Lingers => match self.stream.read(&mut [0; READ_LEN]) {
                Ok(0) => Step::Close,
                Ok(_) => Step::Another,
                Err(error) => after(&error),
            },
        }
    }
}

/// What comes next where reading or writing was not possible.
fn after(error: &io::Error) -> Step {
    match error.kind() {
        ErrorKind::WouldBlock => Step::Wait,
        ErrorKind::Interrupted => Step::Another,
        _ => Step::Close,
    }
}

/// What a request asks for, as soon as that is known.
fn judge(request: &[u8]) -> Option<Result<Body, &'static str>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(request) {
        Err(httparse::Error::TooManyHeaders) => Some(Err("431 Request Header Fields Too Large")),
        Err(_) => Some(Err("400 Bad Request")),
        Ok(httparse::Status::Partial) if request.len() > MAX_REQUEST_LEN => {
            Some(Err("431 Request Header Fields Too Large"))
        }
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => {
            let path = parsed.path.unwrap_or_default().split('?').next();
            Some(match (parsed.method, path) {
                (Some("GET"), Some("/metrics")) => Ok(Body::Sent),
                (Some("HEAD"), Some("/metrics")) => Ok(Body::LeftOut),
                (_, Some("/metrics")) => Err("405 Method Not Allowed"),
                _ => Err("404 Not Found"),
            })
        }
    }
}

fn response(status: &str, kind: &str, text: &str, body: Body) -> Vec<u8> {
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut octets = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        text.len()
    );
    if body == Body::Sent {
        octets.push_str(text);
    }
    octets.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X-A: b\r\n".repeat(MAX_FIELDS + 1));
        let long = format!("GET /metrics HTTP/1.1\r\nX-A: {}", "b".repeat(MAX_REQUEST_LEN));
        for (request, judged) in [
            ("", None),
            ("GET /met", None),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n", None),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Some(Ok(Body::Sent))),
            ("GET /metrics?name=rx HTTP/1.1\r\n\r\n", Some(Ok(Body::Sent))),
            ("HEAD /metrics HTTP/1.0\r\n\r\n", Some(Ok(Body::LeftOut))),
            ("POST /metrics HTTP/1.1\r\n\r\n", Some(Err("405 Method Not Allowed"))),
            ("GET / HTTP/1.1\r\n\r\n", Some(Err("404 Not Found"))),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", Some(Err("404 Not Found"))),
            ("\u{0}\u{1}\r\n\r\n", Some(Err("400 Bad Request"))),
            ("GET /metrics SPDY/9\r\n\r\n", Some(Err("400 Bad Request"))),
            (&many, Some(Err("431 Request Header Fields Too Large"))),
            (&long, Some(Err("431 Request Header Fields Too Large"))),
        ] {
            assert_eq!(judge(request.as_bytes()), judged, "{request:?}");
        }
    }
}
