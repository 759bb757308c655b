//! Transfers: bulk data over one TCP connection, one side sending, the other checking every octet.

use super::MAX_SAMPLES;
use crate::time::{Duration, Instant};
use core::net::Ipv6Addr;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{IpAddress, IpEndpoint};

/// Octets that wait in each direction.
const BUFFER: usize = 128 * 1024;
/// The octets sent are these numbers over and over; a prime, so that lost segments show.
const PERIOD: u64 = 251;
/// How often a sender with a rate hands over what is due.
const PACE: Duration = Duration::from_millis(5);

/// Which side of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Sends this many octets and closes. `u64::MAX` sends as long as the connection lives.
    Send(u64),
    /// Sends at this rate, or as fast as the connection takes it, and closes at `until`.
    Stream {
        /// Octets a second; `None` is no limit.
        octets_per_sec: Option<u64>,
        /// When it closes.
        until: Instant,
    },
    /// Receives until the other side closes.
    Receive,
}

/// What has become of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferState {
    /// No connection yet.
    Waiting,
    /// Octets can flow.
    Open,
    /// The sender has closed, the receiver has everything.
    Finished,
    /// The connection was refused, reset or given up before everything was there.
    Broken,
}

/// How much had arrived, or was acknowledged, at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// When.
    pub at: Instant,
    /// Octets since the start.
    pub octets: u64,
}

/// How a transfer is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferReport {
    /// What has become of it.
    pub state: TransferState,
    /// When the connection opened.
    pub opened: Option<Instant>,
    /// When it finished or broke.
    pub ended: Option<Instant>,
    /// Sender: octets given to TCP. Receiver: octets that arrived.
    pub octets: u64,
    /// Receiver: octets that were not what was sent.
    pub corrupt: u64,
    /// Receiver: each arrival. Sender: each time that TCP took more.
    pub progress: Vec<Progress>,
}

impl TransferReport {
    /// Whether the connection lives or did all it had to.
    pub fn survived(&self) -> bool {
        matches!(self.state, TransferState::Open | TransferState::Finished) && self.corrupt == 0
    }
}

pub(super) struct Transfer {
    role: Role,
    socket: SocketHandle,
    /// A connection that is still to be opened.
    dial: Option<(Instant, IpEndpoint, u16)>,
    /// When a stream has to be looked at again.
    due: Option<Instant>,
    pub(super) report: TransferReport,
}

impl Transfer {
    pub(super) fn serve(port: u16, role: Role, sockets: &mut SocketSet<'static>) -> Self {
        let mut socket = socket();
        // Port zero is refused, and then the connection never comes, as everywhere.
        let _ = socket.listen(port);
        Transfer { role, socket: sockets.add(socket), dial: None, due: None, report: waiting() }
    }

    pub(super) fn start(
        destination: Ipv6Addr,
        port: u16,
        local: u16,
        role: Role,
        start: Instant,
        sockets: &mut SocketSet<'static>,
    ) -> Self {
        let dial = Some((start, IpEndpoint::new(IpAddress::Ipv6(destination), port), local));
        Transfer { role, socket: sockets.add(socket()), dial, due: None, report: waiting() }
    }

    pub(super) fn run(&mut self, now: Instant, interface: &mut Interface, sockets: &mut SocketSet<'static>) -> bool {
        let socket = sockets.get_mut::<tcp::Socket>(self.socket);
        if let Some((_, remote, local)) = self.dial.take_if(|&mut (at, ..)| at <= now) {
            if socket.connect(interface.context(), remote, local).is_err() {
                self.end(now, TransferState::Broken);
            }
            return true;
        }
        self.due = match self.role {
            Role::Stream { octets_per_sec, until } if now < until => {
                Some(octets_per_sec.map_or(until, |_| (now + PACE).min(until)))
            }
            _ => None,
        };
        match self.report.state {
            TransferState::Waiting if socket.may_send() || socket.may_recv() => {
                self.report.state = TransferState::Open;
                self.report.opened = Some(now);
                self.exchange(now, sockets);
                true
            }
            TransferState::Waiting => {
                let refused = self.dial.is_none() && !socket.is_open();
                if refused {
                    self.end(now, TransferState::Broken);
                }
                refused
            }
            TransferState::Open => self.exchange(now, sockets),
            TransferState::Finished | TransferState::Broken => false,
        }
    }

    fn exchange(&mut self, now: Instant, sockets: &mut SocketSet<'static>) -> bool {
        let socket = sockets.get_mut::<tcp::Socket>(self.socket);
        let before = self.report.octets;
        match self.role {
            Role::Send(_) | Role::Stream { .. } => {
                let (total, last) = self.allowance(now);
                while self.report.octets < total && socket.can_send() {
                    let first = self.report.octets;
                    let sent = socket.send(|room| {
                        let length = room.len().min(usize::try_from(total - first).unwrap_or(usize::MAX));
                        for (octet, offset) in room[..length].iter_mut().zip(first..) {
                            *octet = (offset % PERIOD) as u8;
                        }
                        (length, length)
                    });
                    self.report.octets += sent.unwrap_or(0) as u64;
                }
                if last && self.report.octets >= total && socket.may_send() {
                    socket.close();
                }
            }
            Role::Receive => {
                while socket.can_recv() {
                    let first = self.report.octets;
                    let received = socket.recv(|octets| {
                        let wrong = octets.iter().zip(first..).filter(|&(&o, at)| u64::from(o) != at % PERIOD);
                        (octets.len(), (octets.len(), wrong.count()))
                    });
                    let (length, wrong) = received.unwrap_or((0, 0));
                    self.report.octets += length as u64;
                    self.report.corrupt += wrong as u64;
                }
                if socket.state() == tcp::State::CloseWait {
                    socket.close();
                    self.end(now, TransferState::Finished);
                }
            }
        }
        if self.report.octets != before && self.report.progress.len() < MAX_SAMPLES {
            self.report.progress.push(Progress { at: now, octets: self.report.octets });
        }
        if self.report.state == TransferState::Open {
            let (total, last) = self.allowance(now);
            let all_sent = last && self.report.octets >= total;
            match socket.state() {
                tcp::State::FinWait2 | tcp::State::TimeWait if all_sent => self.end(now, TransferState::Finished),
                tcp::State::Closed => self.end(now, TransferState::Broken),
                _ => {}
            }
        }
        self.report.octets != before || self.report.state != TransferState::Open
    }

    /// How many octets may have been sent by `now`, and whether there will be no more. A receiver sends none.
    fn allowance(&self, now: Instant) -> (u64, bool) {
        match self.role {
            Role::Send(total) => (total, true),
            Role::Stream { until, .. } if now >= until => (self.report.octets, true),
            Role::Stream { octets_per_sec: None, .. } => (u64::MAX, false),
            Role::Stream { octets_per_sec: Some(rate), .. } => {
                let open = self.report.opened.map_or(Duration::ZERO, |opened| now.since(opened));
                ((open.as_secs_f64() * rate as f64) as u64, false)
            }
            Role::Receive => (0, false),
        }
    }

    fn end(&mut self, now: Instant, state: TransferState) {
        self.report.state = state;
        self.report.ended = Some(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.dial.map(|(at, ..)| at).or(self.due)
    }
}

fn waiting() -> TransferReport {
    TransferReport {
        state: TransferState::Waiting,
        opened: None,
        ended: None,
        octets: 0,
        corrupt: 0,
        progress: Vec::new(),
    }
}

fn socket() -> tcp::Socket<'static> {
    tcp::Socket::new(tcp::SocketBuffer::new(vec![0; BUFFER]), tcp::SocketBuffer::new(vec![0; BUFFER]))
}
