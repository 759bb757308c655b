//! Following the kernel: its IPv6 routes become the node's, so that a routing daemon (FRR, BIRD) runs the unicast side of a
//! router that forwards past the kernel; and its addresses, so that what is for the kernel reaches it (`[kernel]`,
//! `port.kernel`; docs/decisions/0027).
//!
//! ```text
//!   rtnetlink ─► housekeeping thread: mirror ─ changes, some at a time (Command::Kernel) ─► worker: node, tables, PIM
//!                                       └─ the kernel's addresses ─► maps of the ports' XDP programs
//! ```
//! Nothing here blocks the worker, and nothing is lost: the mirror knows what the worker has been told, has one batch of
//! changes on its way at a time, and says what has become of a prefix, not each thing that has happened to it. Where the
//! kernel had more to tell than there was room for, everything is asked for again.

mod counters;
mod message;
mod mirror;
pub mod protocol;
mod socket;

pub use counters::Counters;
pub(crate) use mirror::LOCAL_TABLE;

use core::net::Ipv6Addr;
use message::{Message, messages};
use mirror::Mirror;
use pim::RouteMetric;
use socket::{RouteSocket, Subject};
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::port::KernelShare;
use stack::tables::Route;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Datagrams of a socket that are read in one turn.
const DATAGRAMS_A_TURN: usize = 16;
/// Changes that the worker is given between two of its turns at the most.
const CHANGES_A_BATCH: usize = 64;
/// How soon it is looked again whether the worker has taken a batch.
const BATCH_PERIOD: Duration = Duration::from_millis(1);
/// Between two dumps: at the least, and where something changes during each of them.
const DUMP_PERIOD: Duration = Duration::from_millis(100);
const MAX_DUMP_PERIOD: Duration = Duration::from_secs(30);
/// Between two lines about routes.
const REMARK_PERIOD: Duration = Duration::from_secs(60);

/// What is followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelConfig {
    /// Numbers of routing tables: of two with a route of the same prefix the first counts. None: addresses are followed alone.
    pub tables: Vec<u32>,
    /// The only protocols, RTPROT_*, whose routes are taken; `None` is all.
    pub protocols: Option<BTreeSet<u8>>,
    /// What routes are worth, by protocol, where it is not [`protocol::preference`]: the lower wins.
    pub preferences: BTreeMap<u8, u32>,
    /// Prefixes at the most.
    pub max_routes: usize,
}

impl KernelConfig {
    /// Prefixes at the most where the configuration says nothing.
    pub const DEFAULT_MAX_ROUTES: usize = 262_144;
    /// RT_TABLE_MAIN.
    pub const MAIN_TABLE: u32 = 254;
}

impl Default for KernelConfig {
    /// No table.
    fn default() -> Self {
        KernelConfig {
            tables: Vec::new(),
            protocols: None,
            preferences: BTreeMap::new(),
            max_routes: KernelConfig::DEFAULT_MAX_ROUTES,
        }
    }
}

/// A route of the kernel as the node takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelRoute {
    /// Where it leads.
    pub route: Route,
    /// Who has put it there, RTPROT_*.
    pub protocol: u8,
    /// What it is worth.
    pub metric: RouteMetric,
}

/// Something that the worker has to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KernelChange {
    /// The kernel's route of a prefix, or that it has none.
    Route(Prefix, Option<KernelRoute>),
    /// The addresses that the kernel has on a port's interface and the node has not.
    Addresses(PortId, Vec<Ipv6Addr>),
}

/// Changes on their way to the worker.
#[derive(Debug)]
pub struct KernelBatch {
    /// In order.
    pub changes: Vec<KernelChange>,
    taken: Arc<AtomicBool>,
}

impl Drop for KernelBatch {
    /// The worker has taken it: there may be another one.
    fn drop(&mut self) {
        self.taken.store(true, Ordering::Release);
    }
}

/// A port whose interface is followed.
#[derive(Clone, Debug)]
pub struct FollowedPort {
    /// Its number.
    pub port: PortId,
    /// Its interface.
    pub interface: String,
    /// What of its packets is the kernel's, where something is.
    pub share: Option<KernelShare>,
}

/// Follows the kernel of this network namespace. See the module.
pub struct Follower {
    mirror: Mirror,
    ports: Vec<FollowedPort>,
    counters: Arc<Counters>,
    events: RouteSocket,
    /// What is being asked for, and where.
    dump: Option<(RouteSocket, Subject)>,
    /// Whether the kernel drops what it has to tell: once it has begun to, it does so until nothing waits any more.
    overrun: bool,
    /// When everything is asked for next.
    next_dump: Option<Instant>,
    dump_period: Duration,
    /// What the worker had no room for.
    unsent: Option<KernelBatch>,
    /// Whether the worker has taken the last batch.
    taken: Arc<AtomicBool>,
    shares_behind: bool,
    next_remark: Instant,
    remarked: u64,
}

impl Follower {
    /// Begins to listen. `own` are the node's addresses.
    ///
    /// # Errors
    /// The kernel's refusal of a socket.
    pub fn open(
        config: KernelConfig,
        ports: Vec<FollowedPort>,
        own: impl IntoIterator<Item = Ipv6Addr>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let by_interface = ports.iter().map(|port| (port.interface.clone(), port.port)).collect();
        Ok(Follower {
            mirror: Mirror::new(config, by_interface, own, Arc::clone(&counters)),
            ports,
            counters,
            events: RouteSocket::listening()?,
            dump: None,
            overrun: false,
            next_dump: Some(Instant::now()),
            dump_period: DUMP_PERIOD,
            unsent: None,
            taken: Arc::new(AtomicBool::new(true)),
            shares_behind: false,
            next_remark: Instant::now(),
            remarked: 0,
        })
    }

    /// The descriptor that is readable when the kernel tells of a change.
    pub fn fd(&self) -> RawFd {
        self.events.fd()
    }

    /// Reads some of what the kernel says, and has `give` give the worker what it does not know; `give` returns what there
    /// was no room for. How long until the next turn is wanted although the kernel tells nothing.
    pub fn turn(
        &mut self,
        mut give: impl FnMut(KernelBatch) -> Result<(), KernelBatch>,
        mut say: impl FnMut(String),
    ) -> Option<Duration> {
        let now = Instant::now();
        let more = self.listen(now) | self.ask(now);
        if self.mirror.take_address_news() || self.shares_behind {
            self.share_addresses(&mut say);
        }
        let waits = self.hand_over(&mut give);
        self.remark(now, &mut say);
        if self.mirror.has_room_again() && self.dump.is_none() && self.next_dump.is_none() {
            self.dump_in(now, MAX_DUMP_PERIOD);
        }
        if more {
            return Some(Duration::ZERO);
        }
        let dump = self.next_dump.map(|at| at.saturating_duration_since(Instant::now()));
        [dump, waits.then_some(BATCH_PERIOD), self.dump.is_some().then_some(BATCH_PERIOD)].into_iter().flatten().min()
    }

    /// Whether more waits.
    fn listen(&mut self, now: Instant) -> bool {
        for _ in 0..DATAGRAMS_A_TURN {
            let mirror = &mut self.mirror;
            let mut wanted = false;
            match self.events.receive() {
                Ok(datagram) => messages(datagram, |message| {
                    wanted |= message == Message::Overrun || mirror.take(message, false);
                }),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if core::mem::take(&mut self.overrun) {
                        self.dump_in(now, DUMP_PERIOD);
                    }
                    return false;
                }
                Err(_) => {
                    // Some were lost, or one was too long: only all of it helps.
                    self.counters.overruns.add(1);
                    self.overrun = true;
                    self.dump = None;
                }
            }
            if wanted {
                self.dump_in(now, DUMP_PERIOD);
            }
        }
        true
    }

    fn dump_in(&mut self, now: Instant, time: Duration) {
        let at = now + time;
        self.next_dump = Some(self.next_dump.map_or(at, |next| next.min(at)));
    }

    /// Goes on with what is asked for, or begins where it is time to. Whether more waits.
    fn ask(&mut self, now: Instant) -> bool {
        if self.dump.is_none() && !self.overrun && self.next_dump.is_some_and(|at| at <= now) {
            self.next_dump = None;
            self.counters.dumps.add(1);
            self.mirror.begin_dump();
            let asked = RouteSocket::asking().and_then(|socket| socket.ask(Subject::Links).map(|()| socket));
            match asked {
                Ok(socket) => self.dump = Some((socket, Subject::Links)),
                Err(_) => self.give_up(now),
            }
        }
        for _ in 0..DATAGRAMS_A_TURN {
            let Some((socket, subject)) = &mut self.dump else { return false };
            let (mirror, mut done, mut refused) = (&mut self.mirror, false, false);
            match socket.receive() {
                Ok(datagram) => messages(datagram, |message| match message {
                    Message::Done => done = true,
                    Message::Refused(_) | Message::Overrun => refused = true,
                    message => {
                        mirror.take(message, true);
                    }
                }),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => refused = true,
            }
            let next = match subject {
                Subject::Links => Some(Subject::Addresses),
                Subject::Addresses => Some(Subject::Routes),
                Subject::Routes => None,
            };
            match next {
                _ if refused => self.give_up(now),
                _ if !done => {}
                Some(next) => match socket.ask(next) {
                    Ok(()) => *subject = next,
                    Err(_) => self.give_up(now),
                },
                None => {
                    self.dump = None;
                    if self.mirror.end_dump() {
                        self.dump_in(now, self.dump_period);
                        self.dump_period = (self.dump_period * 2).min(MAX_DUMP_PERIOD);
                    } else {
                        self.dump_period = DUMP_PERIOD;
                    }
                }
            }
        }
        true
    }

    /// What is asked for is not to be had now.
    fn give_up(&mut self, now: Instant) {
        self.counters.refused_dumps.add(1);
        self.dump = None;
        self.dump_in(now, self.dump_period);
        self.dump_period = (self.dump_period * 2).min(MAX_DUMP_PERIOD);
    }

    /// Tells the ports' programs the kernel's addresses.
    fn share_addresses(&mut self, say: &mut impl FnMut(String)) {
        self.shares_behind = false;
        for FollowedPort { port, interface, share } in &self.ports {
            let Some(share) = share else { continue };
            match share.set_addresses(self.mirror.reached_by(*port)) {
                Ok(0) => {}
                Ok(too_many) => {
                    self.counters.refused_addresses.add(too_many as u64);
                    say(format!(
                        "port[{}].kernel: the kernel has {too_many} addresses more than the {interface} can tell apart; \
                         leave a prefix of them to it instead",
                        port.0
                    ));
                }
                Err(_) => self.shares_behind = true,
            }
        }
    }

    /// Whether something still has to be handed over.
    fn hand_over(&mut self, give: &mut impl FnMut(KernelBatch) -> Result<(), KernelBatch>) -> bool {
        if self.unsent.is_none() && self.taken.load(Ordering::Acquire) && self.mirror.has_changes() {
            let changes = self.mirror.changes(CHANGES_A_BATCH);
            if !changes.is_empty() {
                self.counters.changes.add(changes.len() as u64);
                self.unsent = Some(KernelBatch { changes, taken: Arc::clone(&self.taken) });
            }
        }
        if let Some(batch) = self.unsent.take() {
            self.taken.store(false, Ordering::Release);
            if let Err(batch) = give(batch) {
                self.counters.full.add(1);
                self.unsent = Some(batch);
            }
        }
        self.unsent.is_some() || self.mirror.has_changes() || self.shares_behind
    }

    /// Says what the operator has to put right.
    fn remark(&mut self, now: Instant, say: &mut impl FnMut(String)) {
        let (refused, objects) = (self.counters.refused_routes.value(), self.counters.ignored_object.value());
        if refused + objects == self.remarked || now < self.next_remark {
            return;
        }
        self.remarked = refused + objects;
        self.next_remark = now + REMARK_PERIOD;
        if objects > 0 {
            say("kernel: routes name next hops by objects that the kernel does not spell out; \
                 `sysctl -w net.ipv4.nexthop_compat_mode=1` has it do so"
                .to_owned());
        }
        if refused > 0 {
            say(format!(
                "kernel.max_routes: the kernel has more routes than the node takes, which go without ({refused} until now); \
                 give a larger number, or fewer tables or protocols"
            ));
        }
    }
}
