//! The mesh of a site's access routers: what they tell each other of terminals that move between them (RFC 5568 §6.2.1,
//! RFC 7411).
//!
//! ```text
//!   terminal        access router B                  access router A        terminal
//!   has come    ─── report, "from A" ──► CameFrom                           could not leave A
//!                                        HI, reactive, BLOCK (S,G) ───────► Gone: a query; silence ends the branch
//!                                        ◄─────────────────────────── HAck
//!
//!   terminal        access router A                  access router B
//!   will go     ─── report, "to B" ────► GoesTo
//!                                        HI, predictive, U, IS_IN (S,G) ──► PreJoin: joined, no port, packets are kept
//!                                        ◄─────────────────────────── HAck
//! ```
//!
//! The machine knows nothing of queriers and trees: it finds the peer, asks until it is acknowledged ([`request`]), and
//! tells the node what a peer has asked for. Nothing in a message is believed that could not be tried: a listener that is
//! said to be gone is asked for, a group that is joined beforehand is left again when nobody comes.
//!
//! Each pair of routers has a key (RFC 4285 in place of IPsec), derived from that of the mesh; a message is fresh where its
//! timestamp is near this router's time of day and later than all before it of that peer. So neither a lost message nor a
//! router that starts anew needs an exchange of its own.
//!
//! Left out: addresses and prefixes of the terminal, tunnels between the routers (RFC 5568 §4), the messages between
//! terminal and router (FBU, PrRtAdv; what a terminal has to say stands in its MLD reports).

mod config;
mod counters;
mod request;

pub use config::{Config, Peer};
pub use counters::Counters;
pub use request::{HI_RETRIES, INITIAL_TIMEOUT, Purpose};

use crate::auth::{NtpTime, ReplayGuard, ReplayPolicy, SecurityAssociation};
use core::net::Ipv6Addr;
use request::Request;
use stack::addr::{self, Scope};
use stack::machine::{Machine, Output, Outputs, RxMeta, Via};
use stack::tables::MrouteKey;
use stack::time::{Duration, Instant, Timers};
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mld::{Record, RecordType};
use stack::wire::mobility::handover::{
    self, HandoverAcknowledge, HandoverCode, HandoverInitiate, HandoverMessage, HandoverOptions,
    MulticastAcknowledgement, MulticastOption, MulticastStatus,
};
use stack::wire::mobility::verify_checksum;
use std::collections::BTreeMap;

/// Sources and groups that one message asks for: records of one source each fit an option.
const KEYS_A_MESSAGE: usize = handover::MAX_RECORDS_LEN / 36;
/// A terminal repeats its report, and each of them says what the first one did: for so long it is not asked again.
const REPEAT_TIME: Duration = Duration::from_millis(500);

/// What the node tells the mesh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A terminal that listens here to these says that it has come from another router and could not leave there.
    CameFrom {
        /// An address of the router.
        router: Ipv6Addr,
        /// Sources and groups; the unspecified source is all.
        keys: Vec<MrouteKey>,
    },
    /// A terminal that listens here to these says that it is about to go to another router.
    GoesTo {
        /// An address of the router.
        router: Ipv6Addr,
        /// Sources and groups; the unspecified source is all.
        keys: Vec<MrouteKey>,
    },
}

/// What the mesh tells the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A listener has come to a peer: whoever else listens on the links of this router is to be asked whether it is there.
    Gone {
        /// When.
        at: Instant,
        /// The peer.
        peer: Ipv6Addr,
        /// What it listened to.
        key: MrouteKey,
    },
    /// A listener is about to come from a peer: join, and keep what comes until it is there.
    PreJoin {
        /// When.
        at: Instant,
        /// The peer.
        peer: Ipv6Addr,
        /// What it listens to.
        key: MrouteKey,
        /// How long it is waited for.
        until: Instant,
    },
    /// A peer has answered what it was asked for.
    Acknowledged {
        /// When.
        at: Instant,
        /// The peer.
        peer: Ipv6Addr,
        /// What for.
        purpose: Purpose,
        /// How.
        code: HandoverCode,
        /// What it did not take.
        refused: usize,
    },
    /// A peer does not answer.
    Unanswered {
        /// When.
        at: Instant,
        /// The peer.
        peer: Ipv6Addr,
        /// What it was asked for.
        purpose: Purpose,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The request with this sequence number has no answer.
    Retransmit(u16),
    /// The terminal of a peer has not come, or is here: it counts no more.
    PreJoin(Ipv6Addr, MrouteKey),
    /// What was asked last may be asked again.
    Said(Ipv6Addr, Purpose, MrouteKey),
}

/// Another router, and how it is spoken with.
#[derive(Debug)]
struct Neighbor {
    peer: Peer,
    association: SecurityAssociation,
}

/// A peer, to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerView {
    /// Its address.
    pub address: Ipv6Addr,
    /// Requests that wait for its answer.
    pub requests: usize,
    /// Pre-joins that it has asked for.
    pub pre_joins: usize,
}

/// One access router's part in the mesh.
///
/// In: [`Machine::handle_packet`] with what [`handover::is_handover`] says of, to [`Mesh::address`];
/// [`Machine::handle_timeout`], [`Machine::handle_command`]. Out: [`Machine::poll_output`] after each of them.
#[derive(Debug)]
pub struct Mesh {
    config: Config,
    neighbors: BTreeMap<Ipv6Addr, Neighbor>,
    replay: ReplayGuard,
    next_sequence: u16,
    last_message_id: u64,
    requests: BTreeMap<u16, Request>,
    /// Pre-joins of peers, and until when each counts.
    pre_joins: BTreeMap<(Ipv6Addr, MrouteKey), Instant>,
    timers: Timers<Timer>,
    outputs: Outputs<Event>,
    counters: Counters,
}

impl Mesh {
    /// A router that has heard of nobody. The first sequence number is any.
    pub fn new(config: Config, first_sequence: u16) -> Self {
        let neighbor = |peer: &Peer| {
            let association = config.key.between(config.address, peer.address);
            (peer.address, Neighbor { peer: peer.clone(), association })
        };
        let window = ReplayPolicy::DEFAULT_WINDOW;
        let policy = ReplayPolicy::Timestamp { window, clock: config.clock };
        Mesh {
            neighbors: config.peers.iter().map(neighbor).collect(),
            replay: ReplayGuard::new(policy, config.peers.len()),
            next_sequence: first_sequence,
            last_message_id: 0,
            requests: BTreeMap::new(),
            pre_joins: BTreeMap::new(),
            timers: Timers::new(),
            outputs: Outputs::new(),
            counters: Counters::default(),
            config,
        }
    }

    /// The address by which the others know this router.
    pub const fn address(&self) -> Ipv6Addr {
        self.config.address
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The peers, by address.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> {
        self.neighbors.keys().map(|&address| PeerView {
            address,
            requests: self.requests.values().filter(|request| request.peer == address).count(),
            pre_joins: self.pre_joins_of(address),
        })
    }

    /// Pre-joins of peers, and until when each counts against their limits.
    pub fn pre_joins(&self) -> impl Iterator<Item = (Ipv6Addr, MrouteKey, Instant)> {
        self.pre_joins.iter().map(|(&(peer, key), &until)| (peer, key, until))
    }

    fn pre_joins_of(&self, peer: Ipv6Addr) -> usize {
        let first = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: Ipv6Addr::UNSPECIFIED };
        self.pre_joins.range((peer, first)..).take_while(|((of, _), _)| *of == peer).count()
    }

    /// The peer that has this address, or an access link with it: the one with the longest prefix.
    fn peer_of(&self, router: Ipv6Addr) -> Option<Ipv6Addr> {
        if self.neighbors.contains_key(&router) {
            return Some(router);
        }
        let prefixes = self
            .neighbors
            .iter()
            .flat_map(|(&address, neighbor)| neighbor.peer.prefixes.iter().map(move |prefix| (address, prefix)));
        let longest = prefixes.filter(|(_, prefix)| prefix.contains(router)).max_by_key(|(_, prefix)| prefix.length());
        longest.map(|(address, _)| address)
    }

    /// Asks the router that a terminal has named.
    fn ask(&mut self, now: Instant, router: Ipv6Addr, purpose: Purpose, keys: Vec<MrouteKey>) {
        let Some(peer) = self.peer_of(router) else {
            self.counters.unknown_router += 1;
            return;
        };
        let is_new = |key: &MrouteKey| !self.timers.is_running(Timer::Said(peer, purpose, *key));
        let keys: Vec<MrouteKey> = keys.into_iter().filter(is_new).collect();
        for keys in keys.chunks(KEYS_A_MESSAGE) {
            // What was said lately is bounded with what waits.
            let most = self.config.max_requests * KEYS_A_MESSAGE + self.pre_joins.len();
            let has_room = self.requests.len() < self.config.max_requests && self.timers.len() < most;
            let Some(sequence) = self.free_sequence().filter(|_| has_room) else {
                self.counters.drop_request_limit += 1;
                return;
            };
            for &key in keys {
                self.timers.set(Timer::Said(peer, purpose, key), now + REPEAT_TIME);
            }
            self.requests.insert(sequence, Request::new(peer, purpose, keys.to_vec()));
            self.send(now, sequence);
        }
    }

    fn free_sequence(&mut self) -> Option<u16> {
        let free = (0..=u16::MAX)
            .map(|ahead| self.next_sequence.wrapping_add(ahead))
            .take(self.requests.len() + 1)
            .find(|sequence| !self.requests.contains_key(sequence))?;
        self.next_sequence = free.wrapping_add(1);
        Some(free)
    }

    /// Sends a request, for the first time or again.
    fn send(&mut self, now: Instant, sequence: u16) {
        let message_id = self.next_message_id(now);
        let Some(request) = self.requests.get_mut(&sequence) else { return };
        let Some(neighbor) = self.neighbors.get(&request.peer) else { return };
        let timeout = request.send(message_id);
        self.timers.set(Timer::Retransmit(sequence), now + timeout);
        let records = records(request.purpose, &request.keys);
        let message = HandoverInitiate {
            sequence,
            assign_address: false,
            buffer: request.purpose == Purpose::PreJoin,
            code: match request.purpose {
                Purpose::PreJoin => HandoverInitiate::PREDICTIVE,
                Purpose::Gone => HandoverInitiate::REACTIVE,
            },
            // DEVIATION RFC 5568 §6.2.1.1: no link-layer address of the terminal; its report makes it known.
            options: HandoverOptions {
                multicast: Some(MulticastOption { code: MulticastOption::MLDV2, records }),
                message_id: Some(message_id),
                ..HandoverOptions::default()
            },
        };
        let (own, peer) = (self.config.address, request.peer);
        let message = neighbor.association.sign_handover(HandoverMessage::Initiate(message), own, peer);
        self.counters.tx_initiate += 1;
        self.outputs.transmit(handover::packet(own, peer, message), Via::Route);
    }

    /// The time of day, later than all that were used before.
    fn next_message_id(&mut self, now: Instant) -> u64 {
        let NtpTime(read) = self.config.clock.read(now);
        self.last_message_id = read.max(self.last_message_id + 1);
        self.last_message_id
    }

    fn request_timer_expires(&mut self, now: Instant, sequence: u16) {
        let Some(request) = self.requests.get(&sequence) else { return };
        if request.may_send() {
            self.counters.retransmitted += 1;
            return self.send(now, sequence);
        }
        let Some(Request { peer, purpose, .. }) = self.requests.remove(&sequence) else { return };
        self.counters.unanswered += 1;
        self.outputs.event(Event::Unanswered { at: now, peer, purpose });
    }

    fn receive(&mut self, now: Instant, packet: &[u8]) {
        let (Ok(header), Ok(chain)) = (ipv6::Header::parse(packet), Chain::parse(packet)) else {
            self.counters.drop_header += 1;
            return;
        };
        let (source, destination) = (header.source, header.destination);
        let bytes = packet.get(chain.upper_offset..header.total_length()).unwrap_or_default();
        let is_plain = chain.upper == protocol::MOBILITY
            && chain.fragment.is_none()
            && chain.home_address.is_none()
            && chain.type2_routing.is_none()
            && destination == self.config.address;
        if !is_plain {
            self.counters.drop_header += 1;
            return;
        }
        let Some(neighbor) = self.neighbors.get(&source) else {
            self.counters.drop_stranger += 1;
            return;
        };
        if !verify_checksum(source, destination, bytes) {
            self.counters.drop_checksum += 1;
            return;
        }
        let Ok(message) = handover::parse(bytes) else {
            self.counters.drop_malformed += 1;
            return;
        };
        if !neighbor.association.verify(bytes, source, destination) {
            self.counters.drop_authentication += 1;
            return;
        }
        match message {
            HandoverMessage::Initiate(message) => self.initiated(now, source, message),
            HandoverMessage::Acknowledge(message) => self.acknowledged(now, source, message),
        }
    }

    /// A peer asks, and is answered whatever becomes of it.
    fn initiated(&mut self, now: Instant, peer: Ipv6Addr, message: HandoverInitiate) {
        let HandoverInitiate { sequence, code, options, .. } = message;
        if self.replay.admit(now, peer, sequence, options.message_id, |_| true).is_err() {
            self.counters.drop_stale += 1;
            return;
        }
        self.counters.rx_initiate += 1;
        let purpose = match code {
            HandoverInitiate::PREDICTIVE => Some(Purpose::PreJoin),
            HandoverInitiate::REACTIVE => Some(Purpose::Gone),
            _ => None,
        };
        let (code, answer) = match (purpose, options.multicast) {
            (Some(purpose), Some(option)) if option.is_mld() => self.carry_out(now, peer, purpose, &option.records),
            (_, option) => {
                self.counters.refused_payload += 1;
                let status = MulticastStatus::PAYLOAD_UNSUPPORTED;
                let answer = option.map(|_| MulticastAcknowledgement { status, refused: Vec::new() });
                (HandoverCode::REASON_UNSPECIFIED, answer)
            }
        };
        let answer = HandoverAcknowledge {
            sequence,
            code,
            options: HandoverOptions {
                multicast_acknowledgement: answer,
                message_id: options.message_id,
                ..HandoverOptions::default()
            },
        };
        let Some(neighbor) = self.neighbors.get(&peer) else { return };
        let own = self.config.address;
        let message = neighbor.association.sign_handover(HandoverMessage::Acknowledge(answer), own, peer);
        self.counters.tx_acknowledge += 1;
        self.outputs.transmit(handover::packet(own, peer, message), Via::Route);
    }

    /// Does what the records ask for; answers what was not done and why (RFC 7411 §5.4).
    fn carry_out(
        &mut self,
        now: Instant,
        peer: Ipv6Addr,
        purpose: Purpose,
        records: &[Record],
    ) -> (HandoverCode, Option<MulticastAcknowledgement>) {
        let (mut refused, mut status, mut taken) = (Vec::new(), MulticastStatus::TAKEN, 0usize);
        for record in records {
            let Some(keys) = keys(purpose, record) else {
                self.counters.refused_record += 1;
                status = status.max(MulticastStatus::GROUP_UNSUPPORTED);
                refused.push(record.clone());
                continue;
            };
            let mut not_taken = Vec::new();
            for key in keys {
                match self.carry_out_one(now, peer, purpose, key) {
                    Ok(()) => taken += 1,
                    Err(why) => {
                        status = status.max(why);
                        not_taken.push(key.source);
                    }
                }
            }
            if !not_taken.is_empty() {
                not_taken.retain(|source| !source.is_unspecified());
                refused.push(Record { sources: not_taken, ..*record });
            }
        }
        let code = match (taken, status) {
            (1.., _) | (_, MulticastStatus::TAKEN) => HandoverCode::ACCEPTED,
            (_, MulticastStatus::ADMINISTRATIVELY_PROHIBITED) => HandoverCode::ADMINISTRATIVELY_PROHIBITED,
            _ => HandoverCode::INSUFFICIENT_RESOURCES,
        };
        (code, Some(MulticastAcknowledgement { status, refused }))
    }

    fn carry_out_one(
        &mut self,
        now: Instant,
        peer: Ipv6Addr,
        purpose: Purpose,
        key: MrouteKey,
    ) -> Result<(), MulticastStatus> {
        let is_routed = Scope::of(key.group).is_some_and(|scope| scope > Scope::LINK_LOCAL)
            && (key.source.is_unspecified() || addr::is_routable_unicast(key.source));
        if !is_routed {
            self.counters.refused_scope += 1;
            return Err(MulticastStatus::ADMINISTRATIVELY_PROHIBITED);
        }
        match purpose {
            Purpose::Gone => {
                self.counters.gone += 1;
                self.outputs.event(Event::Gone { at: now, peer, key });
            }
            Purpose::PreJoin => {
                if !self.pre_joins.contains_key(&(peer, key)) {
                    let is_full = self.pre_joins.len() >= self.config.max_pre_joins
                        || self.pre_joins_of(peer) >= self.config.max_pre_joins_per_peer;
                    if is_full {
                        self.counters.refused_limit += 1;
                        return Err(MulticastStatus::GROUP_UNSUPPORTED);
                    }
                    self.counters.pre_joined += 1;
                }
                let until = now + self.config.pre_join_lifetime;
                self.pre_joins.insert((peer, key), until);
                self.timers.set(Timer::PreJoin(peer, key), until);
                self.outputs.event(Event::PreJoin { at: now, peer, key, until });
            }
        }
        Ok(())
    }

    fn acknowledged(&mut self, now: Instant, peer: Ipv6Addr, message: HandoverAcknowledge) {
        let HandoverAcknowledge { sequence, code, options } = message;
        let request = self.requests.get(&sequence);
        if !request.is_some_and(|request| request.is_answered_by(peer, options.message_id)) {
            self.counters.drop_unasked += 1;
            return;
        }
        let Some(Request { purpose, .. }) = self.requests.remove(&sequence) else { return };
        self.timers.cancel(Timer::Retransmit(sequence));
        self.counters.rx_acknowledge += 1;
        let refused = options.multicast_acknowledgement.map_or(0, |answer| answer.refused.len());
        self.counters.refused_by_peer += u64::from(refused > 0 || !code.is_accepted());
        self.outputs.event(Event::Acknowledged { at: now, peer, purpose, code, refused });
    }
}

/// The records that ask for this.
///
/// DEVIATION RFC 7411 §5.3: what a listener has left is said in the records of a State Change Report.
fn records(purpose: Purpose, keys: &[MrouteKey]) -> Vec<Record> {
    let mut sources: BTreeMap<(Ipv6Addr, bool), Vec<Ipv6Addr>> = BTreeMap::new();
    for key in keys {
        let any = key.source.is_unspecified();
        let of_group = sources.entry((key.group, any)).or_default();
        of_group.extend(Some(key.source).filter(|_| !any));
    }
    let kind = |any| match (purpose, any) {
        (Purpose::PreJoin, false) => RecordType::ModeIsInclude,
        (Purpose::PreJoin, true) => RecordType::ModeIsExclude,
        (Purpose::Gone, false) => RecordType::BlockOldSources,
        (Purpose::Gone, true) => RecordType::ChangeToInclude,
    };
    sources.into_iter().map(|((group, any), sources)| Record { kind: kind(any), group, sources }).collect()
}

/// What a record asks for; `None` where it may not stand in such a message.
fn keys(purpose: Purpose, record: &Record) -> Option<Vec<MrouteKey>> {
    let group = record.group;
    let all = || Some(vec![MrouteKey { source: Ipv6Addr::UNSPECIFIED, group }]);
    let each = || Some(record.sources.iter().map(|&source| MrouteKey { source, group }).collect());
    match (purpose, record.kind) {
        (Purpose::PreJoin, RecordType::ModeIsInclude) | (Purpose::Gone, RecordType::BlockOldSources) => each(),
        (Purpose::PreJoin, RecordType::ModeIsExclude) => all(),
        (Purpose::Gone, RecordType::ChangeToInclude) if record.sources.is_empty() => all(),
        _ => None,
    }
}

impl Machine for Mesh {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, _meta: &RxMeta, packet: &[u8]) {
        self.receive(now, packet);
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                Timer::Retransmit(sequence) => self.request_timer_expires(now, sequence),
                Timer::PreJoin(peer, key) => {
                    self.pre_joins.remove(&(peer, key));
                }
                Timer::Said(..) => {}
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::CameFrom { router, keys } => self.ask(now, router, Purpose::Gone, keys),
            Command::GoesTo { router, keys } => self.ask(now, router, Purpose::PreJoin, keys),
        }
    }

    fn poll_output(&mut self) -> Option<Output<Event>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }
}

#[cfg(test)]
mod tests;
