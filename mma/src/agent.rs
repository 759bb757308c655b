//! The agent's machine: Mobility Header messages in; table updates, acknowledgements and events out.
//!
//! The order of what is done with a message is that of RFC 6275 §9.2 (framing), RFC 4285 §5 and §6 (authenticity, then
//! freshness), and then `registration`. A binding stands in the output before the acknowledgement that tells of it.

use crate::auth::{
    Authenticated, AuthenticationError, NtpTime, ReplayError, ReplayFloor, ReplayGuard, SecurityAssociation, WallClock,
};
use crate::binding::{Binding, BindingTable};
use crate::care_of_pool::CareOfPool;
use crate::config::Config;
use crate::counters::Counters;
use crate::registration::{self, Admission, Gre, Refusal, Request, Terms};
use core::net::Ipv6Addr;
use stack::addr::{self, Prefix};
use stack::machine::{Machine, Output, Outputs, RxMeta, Via};
use stack::rate::TokenBucket;
use stack::rng::Rng;
use stack::tables::{MmaService, Route, TableUpdate};
use stack::time::{Duration, Instant, Timers};
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::option::{AddressPrefix, GreKey, Subscription};
use stack::wire::mobility::{
    self, BindingAcknowledgement, BindingAcknowledgementFlags, BindingErrorStatus, BindingUpdate, BindingUpdateFlags,
    CHECKSUM_AT, Lifetime, MobilityMessage, MobilityOptions, Status,
};

/// What a node may ask of the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Take no new terminals; those that are bound may stay. [`Event::Drained`] tells when the last is gone.
    Drain,
    /// Take new terminals again.
    Resume,
    /// Remove all bindings and take no new terminals.
    Stop,
    /// Remove the binding of this home address.
    Revoke(Ipv6Addr),
    /// This node's time of day now, for timestamps.
    SetClock(NtpTime),
}

/// Who removed a binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removal {
    /// The terminal, by a Binding Update with lifetime zero.
    Terminal,
    /// The operator, by [`Command::Revoke`].
    Operator,
    /// The agent that stops.
    Stop,
}

/// What the agent tells its node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A terminal is bound that was not.
    Registered {
        /// Its home address.
        home_address: Ipv6Addr,
        /// Its care-of address.
        care_of: Ipv6Addr,
        /// Its group.
        group: Ipv6Addr,
        /// Its home agent.
        home_agent: Ipv6Addr,
        /// Where it registered from.
        access_address: Ipv6Addr,
        /// For how long.
        lifetime: Duration,
    },
    /// A bound terminal registered again.
    Refreshed {
        /// Its home address.
        home_address: Ipv6Addr,
        /// Where it registered from.
        access_address: Ipv6Addr,
        /// For how long.
        lifetime: Duration,
    },
    /// A Binding Update was refused.
    Refused {
        /// The home address that it named.
        home_address: Ipv6Addr,
        /// The status of the answer.
        status: Status,
        /// Why.
        reason: Refusal,
    },
    /// A binding's lifetime ran out.
    Expired {
        /// Its home address.
        home_address: Ipv6Addr,
        /// Its care-of address.
        care_of: Ipv6Addr,
        /// Its group.
        group: Ipv6Addr,
    },
    /// A binding was removed.
    Deregistered {
        /// Its home address.
        home_address: Ipv6Addr,
        /// Its care-of address.
        care_of: Ipv6Addr,
        /// Its group.
        group: Ipv6Addr,
        /// By whom.
        by: Removal,
    },
    /// The agent takes no new terminals and the last one is gone.
    Drained,
}

/// The Mobility Management Agent.
///
/// Give it the Mobility Header packets to its address with [`Machine::handle_packet`]; its [`Machine::poll_output`] has
/// first, before any packet, the routes to its own addresses and the service that the data plane offers for it.
/// [`MobilityManagementAgent::bindings`], [`MobilityManagementAgent::counters`] and their neighbours are for showing.
#[derive(Debug)]
pub struct MobilityManagementAgent {
    config: Config,
    admission: Admission,
    bindings: BindingTable,
    care_of_pool: CareOfPool,
    replay: ReplayGuard,
    error_limit: TokenBucket,
    rng: Rng,
    /// Ends of bindings, by home address.
    timers: Timers<Ipv6Addr>,
    counters: Counters,
    outputs: Outputs<Event>,
}

/// A packet on its way through the agent.
struct Received<'a> {
    packet: &'a [u8],
    source: Ipv6Addr,
    /// The home address of a Home Address option.
    home_address_option: Option<Ipv6Addr>,
    /// Where the Mobility Header starts.
    offset: usize,
}

impl<'a> Received<'a> {
    fn message(&self) -> &'a [u8] {
        &self.packet[self.offset..]
    }

    /// Without the option the terminal speaks with its home address (RFC 6275 §9.5.1).
    fn home_address(&self) -> Ipv6Addr {
        self.home_address_option.unwrap_or(self.source)
    }
}

/// How a Binding Update is answered.
struct Answer<'a> {
    association: &'a SecurityAssociation,
    /// The care-of address that the update was signed with.
    care_of: Ipv6Addr,
    status: Status,
    sequence: u16,
    lifetime: Lifetime,
    options: MobilityOptions,
}

impl MobilityManagementAgent {
    /// An agent with a configuration for which [`Config::validate`] holds.
    pub fn new(config: Config, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let own = [config.address, config.source];
        let care_of_pool = CareOfPool::new(config.care_of, own, config.quarantine, config.max_quarantined, rng.fork());
        let mut outputs = Outputs::new();
        outputs.table(TableUpdate::RouteSet(config.care_of.prefix(), Route::CareOf));
        outputs.table(TableUpdate::RouteSet(Prefix::host(config.address), Route::Local));
        if config.source != config.address {
            outputs.table(TableUpdate::RouteSet(Prefix::host(config.source), Route::Local));
        }
        outputs.table(TableUpdate::MmaServiceSet(MmaService {
            address: config.address,
            access_prefixes: config.access_prefixes.clone(),
            peers: Vec::new(),
            chain: false,
        }));
        MobilityManagementAgent {
            admission: Admission::Open,
            bindings: BindingTable::default(),
            care_of_pool,
            replay: ReplayGuard::new(config.replay, config.max_replay_floors),
            error_limit: TokenBucket::per_second(config.max_errors_per_sec, config.max_errors_per_sec),
            rng,
            timers: Timers::new(),
            counters: Counters::default(),
            outputs,
            config,
        }
    }

    /// The bindings, by home address.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter()
    }

    /// The binding of a home address.
    pub fn binding(&self, home_address: Ipv6Addr) -> Option<&Binding> {
        self.bindings.find(home_address)
    }

    /// How many care-of addresses are kept back.
    pub fn quarantined(&self) -> usize {
        self.care_of_pool.kept_back()
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What replay protection remembers, to be written down.
    pub fn replay_floors(&self) -> impl Iterator<Item = (Ipv6Addr, ReplayFloor)> + '_ {
        self.replay.floors()
    }

    /// Remembers again what an earlier run wrote down; returns how many entries found no room.
    pub fn restore_replay_floors(&mut self, floors: impl IntoIterator<Item = (Ipv6Addr, ReplayFloor)>) -> usize {
        self.replay.restore(floors)
    }

    fn receive(&mut self, now: Instant, packet: &[u8]) {
        let (Ok(header), Ok(chain)) = (ipv6::Header::parse(packet), Chain::parse(packet)) else {
            self.counters.drop_header += 1;
            return;
        };
        if chain.fragment.is_some_and(|fragment| !fragment.is_atomic()) {
            self.counters.drop_fragment += 1;
            return;
        }
        let upper_end = header.total_length();
        if chain.upper != protocol::MOBILITY || chain.upper_offset > upper_end {
            self.counters.drop_header += 1;
            return;
        }
        // A type 2 routing header is for terminals (RFC 6275 §6.4.1).
        if header.destination != self.config.address || chain.type2_routing.is_some() {
            self.counters.drop_destination += 1;
            return;
        }
        let received = Received {
            packet: &packet[..upper_end],
            source: header.source,
            home_address_option: chain.home_address.map(|option| option.home_address),
            offset: chain.upper_offset,
        };
        if !addr::is_routable_unicast(received.source) || !addr::is_routable_unicast(received.home_address()) {
            self.counters.drop_source += 1;
            return;
        }
        let message = received.message();
        if !mobility::verify_checksum(received.home_address(), header.destination, message) {
            self.counters.drop_checksum += 1;
            return;
        }
        let parsed = match mobility::parse(message) {
            Ok(parsed) => parsed,
            Err(error) => {
                match mobility::parameter_problem_pointer(error) {
                    Some(pointer) => {
                        self.counters.drop_framing += 1;
                        self.send_parameter_problem(now, &received, pointer);
                    }
                    None => self.counters.drop_malformed += 1,
                }
                return;
            }
        };
        self.counters.count_received(&parsed);
        match parsed {
            MobilityMessage::BindingUpdate(update) => self.update(now, &received, update),
            MobilityMessage::Unknown { .. } => self.send_binding_error(now, &received),
            _ => {}
        }
    }

    fn update(&mut self, now: Instant, received: &Received<'_>, update: BindingUpdate) {
        let (home_address, source) = (received.home_address(), received.source);
        let care_of = update.options.alternate_care_of_address.unwrap_or(source);
        // RFC 6275 §6.1.7: dropped in silence.
        if !addr::is_routable_unicast(care_of) {
            self.counters.drop_source += 1;
            return;
        }
        let authenticated = match self.config.associations.authenticate(
            received.message(),
            update.options.identifier.as_ref(),
            home_address,
            care_of,
            source,
        ) {
            Ok(authenticated) => authenticated,
            Err(AuthenticationError::Missing) => {
                self.counters.drop_unauthenticated += 1;
                return;
            }
            Err(AuthenticationError::NoAssociation) => {
                self.counters.drop_no_association += 1;
                return;
            }
            Err(AuthenticationError::Mismatch { association }) => {
                let refusal = Refusal::AuthenticationFailed;
                self.note_refused(home_address, refusal);
                if !self.error_limit.take(now) {
                    self.counters.answer_rate_limited += 1;
                    return;
                }
                let answer = Answer {
                    association: &association,
                    care_of,
                    status: refusal.status(),
                    sequence: update.sequence,
                    lifetime: Lifetime::ZERO,
                    options: MobilityOptions::default(),
                };
                self.acknowledge(received, answer);
                return;
            }
        };
        if authenticated.care_of != care_of {
            self.counters.authenticated_by_source += 1;
        }
        let mut answer = Answer {
            association: &authenticated.association,
            care_of: authenticated.care_of,
            status: Status::ACCEPTED,
            sequence: update.sequence,
            lifetime: Lifetime::ZERO,
            options: MobilityOptions { message_id: update.options.message_id, ..MobilityOptions::default() },
        };
        // Whose home address it is comes first: nobody moves another terminal's sequence number on.
        let judged = registration::check_owner(&self.bindings, &authenticated, home_address)
            .and_then(|()| {
                let (sequence, message_id) = (update.sequence, update.options.message_id);
                self.replay.admit(now, home_address, sequence, message_id).map_err(|error| {
                    match error {
                        ReplayError::Sequence { last } => answer.sequence = last,
                        ReplayError::MessageIdMismatch { answer: timestamp } => {
                            answer.options.message_id = Some(timestamp);
                        }
                        ReplayError::MessageIdRequired | ReplayError::TableFull => {}
                    }
                    Refusal::from(error)
                })
            })
            .and_then(|()| {
                registration::judge(
                    &self.config,
                    &self.bindings,
                    self.admission,
                    &authenticated,
                    home_address,
                    source,
                    &update,
                )
            })
            .and_then(|request| match request {
                Request::Deregister => Ok(None),
                Request::Register(terms) => self.bind(now, &authenticated, received, &update, terms).map(Some),
            });
        match judged {
            Ok(None) => self.remove(now, home_address, Removed::By(Removal::Terminal)),
            Ok(Some(granted)) => {
                answer.status = granted.status;
                answer.lifetime = granted.lifetime;
                answer.options.gre_key = granted.gre_key;
                answer.options.addresses = vec![AddressPrefix::new_care_of(granted.care_of)];
                let source = Some(self.config.source);
                answer.options.subscriptions = vec![Subscription { group: granted.group, source }];
            }
            Err(refusal) => {
                answer.status = refusal.status();
                self.note_refused(home_address, refusal);
            }
        }
        // RFC 6275 §9.5.4: what is accepted is acknowledged where that was asked for; what is refused, always.
        if update.flags.contains(BindingUpdateFlags::ACKNOWLEDGE) || !answer.status.is_accepted() {
            self.acknowledge(received, answer);
        }
    }

    /// Makes or refreshes the binding. A refresh leaves care-of address and GRE key as they are, and the data plane
    /// alone where nothing changes for it.
    fn bind(
        &mut self,
        now: Instant,
        authenticated: &Authenticated,
        received: &Received<'_>,
        update: &BindingUpdate,
        terms: Terms,
    ) -> Result<Granted, Refusal> {
        let (home_address, access_address) = (received.home_address(), received.source);
        let bound = self.bindings.find(home_address);
        let bound_key = bound.and_then(|binding| binding.gre_key);
        let care_of = match bound {
            Some(binding) => binding.care_of,
            None => self.care_of_pool.assign(now, home_address, access_address)?,
        };
        let gre_key = match terms.gre {
            Gre::Granted => bound_key.or_else(|| Some(self.rng.next_u64() as u32)),
            Gre::No | Gre::NotRequired => None,
        };
        let lifetime = terms.lifetime.duration();
        let binding = Binding {
            home_address,
            care_of,
            group: terms.group,
            home_agent: terms.home_agent,
            gre_key,
            access_address,
            sequence: update.sequence,
            principal: authenticated.principal.clone(),
            expires_at: now + lifetime,
        };
        self.timers.set(home_address, binding.expires_at);
        let entry = binding.entry(self.config.source);
        let replaced = self.bindings.insert(binding);
        if replaced.as_ref().is_none_or(|replaced| replaced.entry(self.config.source) != entry) {
            self.outputs.table(TableUpdate::MmaBindingSet(home_address, entry));
        }
        self.counters.group_regranted += u64::from(terms.regranted);
        if replaced.is_some() {
            self.counters.refreshed += 1;
            self.outputs.event(Event::Refreshed { home_address, access_address, lifetime });
        } else {
            self.counters.registered += 1;
            let (group, home_agent) = (terms.group, terms.home_agent);
            self.outputs.event(Event::Registered {
                home_address,
                care_of,
                group,
                home_agent,
                access_address,
                lifetime,
            });
        }
        Ok(Granted {
            status: if terms.gre == Gre::NotRequired { Status::GRE_KEY_NOT_REQUIRED } else { Status::ACCEPTED },
            care_of,
            group: terms.group,
            gre_key: gre_key.map(|key| GreKey { key: Some(key) }),
            lifetime: terms.lifetime,
        })
    }

    /// Removes a binding, where there is one.
    fn remove(&mut self, now: Instant, home_address: Ipv6Addr, why: Removed) {
        let Some(Binding { care_of, group, .. }) = self.bindings.remove(home_address) else { return };
        self.timers.cancel(home_address);
        self.outputs.table(TableUpdate::MmaBindingRemove(home_address));
        self.counters.quarantine_cut_short += self.care_of_pool.release(now, home_address, care_of);
        match why {
            Removed::Expired => {
                self.counters.expired += 1;
                self.outputs.event(Event::Expired { home_address, care_of, group });
            }
            Removed::By(by) => {
                *match by {
                    Removal::Terminal => &mut self.counters.deregistered,
                    Removal::Operator | Removal::Stop => &mut self.counters.revoked,
                } += 1;
                self.outputs.event(Event::Deregistered { home_address, care_of, group, by });
            }
        }
        self.tell_if_drained();
    }

    fn tell_if_drained(&mut self) {
        if self.admission == Admission::Draining && self.bindings.len() == 0 {
            self.outputs.event(Event::Drained);
        }
    }

    /// Counts a refusal and tells of it.
    fn note_refused(&mut self, home_address: Ipv6Addr, reason: Refusal) {
        self.counters.count_refused(reason);
        self.outputs.event(Event::Refused { home_address, status: reason.status(), reason });
    }

    /// Sends an acknowledgement to where the update came from, through a type 2 routing header where it had a Home
    /// Address option (RFC 6275 §9.5.4).
    fn acknowledge(&mut self, received: &Received<'_>, answer: Answer<'_>) {
        *if answer.status.is_accepted() {
            &mut self.counters.tx_acknowledgement_accepted
        } else {
            &mut self.counters.tx_acknowledgement_refused
        } += 1;
        let acknowledgement = BindingAcknowledgement {
            status: answer.status,
            flags: BindingAcknowledgementFlags::default(),
            sequence: answer.sequence,
            lifetime: answer.lifetime,
            options: answer.options,
        };
        let message = answer.association.sign_acknowledgement(acknowledgement, answer.care_of, received.home_address());
        let mut packet = PacketBuilder::new(self.config.address, received.source);
        if let Some(home_address) = received.home_address_option {
            packet = packet.type2_routing(home_address);
        }
        self.outputs.transmit(packet.checksummed(protocol::MOBILITY, message, CHECKSUM_AT), Via::Route);
    }

    /// Status 2: the type of the message is not known (RFC 6275 §9.3.3).
    fn send_binding_error(&mut self, now: Instant, received: &Received<'_>) {
        if !self.error_limit.take(now) {
            self.counters.answer_rate_limited += 1;
            return;
        }
        self.counters.tx_binding_error += 1;
        let message = MobilityMessage::BindingError {
            status: BindingErrorStatus::UNRECOGNIZED_TYPE,
            home_address: received.home_address_option.unwrap_or(Ipv6Addr::UNSPECIFIED),
        };
        let packet = PacketBuilder::new(self.config.address, received.source);
        self.outputs.transmit(packet.checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT), Via::Route);
    }

    /// Code 0, pointing into the Mobility Header, to the packet's source (RFC 6275 §9.2, RFC 4443 §3.4).
    fn send_parameter_problem(&mut self, now: Instant, received: &Received<'_>, pointer: usize) {
        const PARAMETER_PROBLEM: u8 = 4;
        const ICMPV6_HEADER_LEN: usize = 8;
        if !self.error_limit.take(now) {
            self.counters.answer_rate_limited += 1;
            return;
        }
        self.counters.tx_parameter_problem += 1;
        let room = ipv6::MINIMUM_MTU - ipv6::HEADER_LEN - ICMPV6_HEADER_LEN;
        let quoted = &received.packet[..received.packet.len().min(room)];
        let pointer = (received.offset + pointer) as u32;
        let body = [&pointer.to_be_bytes(), quoted].concat();
        let packet = PacketBuilder::new(self.config.address, received.source);
        self.outputs.transmit(packet.icmpv6(PARAMETER_PROBLEM, 0, &body), Via::Route);
    }
}

/// Why a binding goes.
enum Removed {
    Expired,
    By(Removal),
}

/// What an accepted registration got.
struct Granted {
    status: Status,
    care_of: Ipv6Addr,
    group: Ipv6Addr,
    gre_key: Option<GreKey>,
    lifetime: Lifetime,
}

impl Machine for MobilityManagementAgent {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, _meta: &RxMeta, packet: &[u8]) {
        self.receive(now, packet);
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(home_address) = self.timers.pop_expired(now) {
            self.remove(now, home_address, Removed::Expired);
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Drain => {
                self.admission = Admission::Draining;
                self.tell_if_drained();
            }
            Command::Resume => self.admission = Admission::Open,
            Command::Stop => {
                self.admission = Admission::Draining;
                if self.bindings.len() == 0 {
                    self.outputs.event(Event::Drained);
                }
                while let Some(home_address) = self.bindings.first() {
                    self.remove(now, home_address, Removed::By(Removal::Stop));
                }
            }
            Command::Revoke(home_address) => self.remove(now, home_address, Removed::By(Removal::Operator)),
            Command::SetClock(reads) => self.replay.set_clock(WallClock { at: now, reads }),
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
