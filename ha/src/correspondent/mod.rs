//! The correspondent node (RFC 6275 §9): tests terminals' addresses, keeps bindings of their home addresses, and has what
//! its programs send go to the care-of addresses.
//!
//! ```text
//!   Home Test Init, Care-of Test Init ─► test messages, from node key and nonce alone: nothing is remembered
//!   Binding Update ─► authorised by both tokens, or by a key (RFC 4449) ─► cache ─► data plane ─► acknowledgement
//!   a packet with a Home Address option that no binding allows ─► Binding Error
//!   Destination Unreachable about a packet to a care-of address, again and again ─► the binding ends
//! ```
//! Until a Binding Update is authorised nothing that comes in changes anything but counters, buckets and the present
//! nonce. Putting in and taking out of headers is the data plane's, as is the check of §9.3.1; what it refuses comes here
//! to be answered. It says once after each binding is set that the binding is used: who is used is asked to refresh
//! (§9.5.5), who is not makes room (§9.6).
//!
//! Left out: IPsec; a correspondent that is mobile itself.

mod binding_update;
mod cache;
mod config;
mod counters;
mod nonce;
mod rate;
mod test_init;
mod unreachable;

pub use cache::{Authorisation, Binding, BindingCache};
pub use config::{Config, MAX_RR_BINDING_LIFETIME, Rates};
pub use counters::Counters;
pub use nonce::{MAX_NONCE_LIFETIME, MAX_TOKEN_LIFETIME};
pub use rate::Rate;

use crate::reception::Reception;
use core::net::Ipv6Addr;
use mma::secret::SecretRng;
use nonce::Nonces;
use rate::SourceLimit;
use stack::addr;
use stack::machine::{Machine, Output, Outputs, RxMeta, Via};
use stack::tables::{Correspondent, CorrespondentBinding, TableUpdate};
use stack::time::{Duration, Instant, Timers};
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::{BindingErrorStatus, CHECKSUM_AT, MobilityMessage, MobilityOptions, Status};
use std::collections::BTreeMap;
use unreachable::Unreachable;

/// With less time than this left no refresh is asked for.
const MIN_REFRESH_TIME: Duration = Duration::from_secs(4);

/// What the node asks of the correspondent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// The data plane has seen a packet of this binding ([`stack::machine::Notice::CorrespondentBindingUsed`]).
    Used {
        /// The home address.
        home_address: Ipv6Addr,
    },
    /// Forget the binding of this home address, as an operator may want.
    Remove {
        /// The home address.
        home_address: Ipv6Addr,
    },
}

/// What the correspondent tells the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A binding was made, refreshed or moved.
    Bound {
        /// The home address.
        home_address: Ipv6Addr,
        /// The care-of address.
        care_of: Ipv6Addr,
        /// How long it lasts.
        lifetime: Duration,
    },
    /// A binding ended.
    Ended {
        /// The home address.
        home_address: Ipv6Addr,
        /// How.
        cause: EndCause,
    },
    /// A Binding Update was rejected.
    Rejected {
        /// The home address.
        home_address: Ipv6Addr,
        /// Why.
        status: Status,
    },
    /// The last sequence number used with a preconfigured key, to be written down (RFC 4449 §3). Stands before what
    /// follows from it.
    SequenceUsed {
        /// The home address.
        home_address: Ipv6Addr,
        /// The sequence number.
        sequence: u16,
    },
}

/// How a binding ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndCause {
    /// The terminal has deleted it.
    Deleted,
    /// Its lifetime is over.
    Expired,
    /// It was idle, and another needed the room.
    Replaced,
    /// The care-of address cannot be reached.
    Unreachable,
    /// The node has asked for it.
    Removed,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The data plane is to be asked whether the binding is used.
    Ask(Ipv6Addr),
    /// The terminal should have refreshed its binding.
    Refresh(Ipv6Addr),
    /// The binding's time is over.
    Expiry(Ipv6Addr),
    /// What the binding has left behind is no longer needed.
    Forget(Ipv6Addr),
}

/// The correspondent of a node.
///
/// In: [`Machine::handle_packet`] for packets to its address with a Mobility Header, for those with a Home Address
/// option that the data plane has refused, and for ICMPv6 errors; [`Machine::handle_command`] for what the data plane
/// says of bindings; [`Machine::handle_timeout`]. Out: [`Machine::poll_output`] after each of them. To look at:
/// [`CorrespondentNode::bindings`], [`CorrespondentNode::counters`].
pub struct CorrespondentNode {
    config: Config,
    nonces: Nonces,
    cache: BindingCache,
    /// Last sequence numbers of terminals with preconfigured keys, for as long as the node has its memory.
    sequences: BTreeMap<Ipv6Addr, u16>,
    unreachable: BTreeMap<Ipv6Addr, Unreachable>,
    timers: Timers<Timer>,
    outputs: Outputs<Event>,
    counters: Counters,
    tests: SourceLimit,
    updates: SourceLimit,
    reception: Reception,
}

impl CorrespondentNode {
    /// A correspondent without bindings.
    pub fn new(config: Config, mut secrets: SecretRng) -> Self {
        let Rates { all, prefix } = config.rates;
        let mut outputs = Outputs::new();
        let role = Correspondent { address: config.address, policy: config.policy.clone() };
        outputs.table(TableUpdate::CorrespondentSet(role));
        CorrespondentNode {
            tests: SourceLimit::new(all, prefix, &mut secrets),
            updates: SourceLimit::new(all, prefix, &mut secrets),
            nonces: Nonces::new(secrets),
            cache: BindingCache::new(config.max_bindings),
            sequences: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            timers: Timers::new(),
            outputs,
            counters: Counters::default(),
            reception: Reception::new(),
            config,
        }
    }

    /// Its address.
    pub const fn address(&self) -> Ipv6Addr {
        self.config.address
    }

    /// The bindings.
    pub const fn bindings(&self) -> &BindingCache {
        &self.cache
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Last sequence numbers used with preconfigured keys, to be written down (RFC 4449 §3).
    pub fn sequences(&self) -> impl Iterator<Item = (Ipv6Addr, u16)> + '_ {
        self.sequences.iter().map(|(&home_address, &sequence)| (home_address, sequence))
    }

    /// Restores what an earlier run wrote down; those of terminals without a key are ignored.
    pub fn restore_sequences(&mut self, sequences: impl IntoIterator<Item = (Ipv6Addr, u16)>) {
        let known =
            sequences.into_iter().filter(|(home_address, _)| self.config.preconfigured.contains_key(home_address));
        self.sequences.extend(known);
    }

    fn receive_mobility(&mut self, now: Instant, packet: &[u8]) {
        let tally = self.counters.tally();
        let Some(received) = self.reception.take(now, packet, tally, &mut self.outputs) else { return };
        let is_update = matches!(received.message, MobilityMessage::BindingUpdate(_));
        if received.has_routing || received.home_address_option.is_some() && !is_update {
            self.counters.drop_extension += 1;
            return;
        }
        if !addr::is_routable_unicast(received.source) {
            self.counters.drop_source += 1;
            return;
        }
        match &received.message {
            MobilityMessage::HomeTestInit { cookie } => self.answer_home_test_init(now, received.source, *cookie),
            MobilityMessage::CareOfTestInit { cookie } => {
                self.answer_care_of_test_init(now, received.source, *cookie);
            }
            MobilityMessage::BindingUpdate(update) => self.handle_binding_update(now, &received, update),
            MobilityMessage::BindingRefreshRequest { .. }
            | MobilityMessage::HomeTest(_)
            | MobilityMessage::CareOfTest(_)
            | MobilityMessage::BindingAcknowledgement(_)
            | MobilityMessage::BindingError { .. }
            | MobilityMessage::Unknown { .. } => self.counters.rx_unexpected += 1,
        }
    }

    /// A packet with a Home Address option that the data plane has refused (RFC 6275 §9.3.1, §9.3.3).
    fn answer_unbound(&mut self, now: Instant, source: Ipv6Addr, home_address: Ipv6Addr) {
        // It has waited for its turn behind the Binding Update that allows the next of its kind.
        if self.cache.get(home_address).is_some_and(|binding| binding.care_of == source) {
            self.counters.unbound_since_bound += 1;
            return;
        }
        self.counters.drop_unbound += 1;
        if !addr::is_unicast(source) || !self.may_answer(now) {
            return;
        }
        self.counters.tx_binding_error_unknown_binding += 1;
        let message = MobilityMessage::BindingError { status: BindingErrorStatus::UNKNOWN_BINDING, home_address };
        let builder = PacketBuilder::new(self.config.address, source);
        self.outputs.transmit(builder.checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT), Via::Route);
    }

    fn may_answer(&mut self, now: Instant) -> bool {
        self.reception.may_answer(now, &mut self.counters.drop_rate_limit)
    }

    /// Makes a binding, or changes it; the data plane has it before anything else is said.
    fn bind(&mut self, now: Instant, binding: Binding) {
        let Binding { home_address, care_of, lifetime, expires_at, .. } = binding;
        match self.cache.get(home_address).is_some() {
            true => self.counters.updated += 1,
            false => self.counters.bound += 1,
        }
        self.cache.set(now, binding);
        self.unreachable.remove(&home_address);
        self.timers.cancel(Timer::Forget(home_address));
        self.timers.set(Timer::Expiry(home_address), expires_at);
        self.timers.set(Timer::Ask(home_address), now + lifetime * 5 / 8);
        self.timers.set(Timer::Refresh(home_address), now + lifetime * 3 / 4);
        self.tell_dataplane(home_address, care_of);
        self.outputs.event(Event::Bound { home_address, care_of, lifetime });
    }

    /// Ends a binding, where there is one.
    fn end(&mut self, now: Instant, home_address: Ipv6Addr, cause: EndCause) {
        let Some((_, forget_at)) = self.cache.end(now, home_address) else { return };
        *match cause {
            EndCause::Deleted | EndCause::Removed => &mut self.counters.deleted,
            EndCause::Expired => &mut self.counters.expired,
            EndCause::Replaced => &mut self.counters.replaced,
            EndCause::Unreachable => &mut self.counters.unreachable,
        } += 1;
        self.unreachable.remove(&home_address);
        for timer in [Timer::Expiry(home_address), Timer::Ask(home_address), Timer::Refresh(home_address)] {
            self.timers.cancel(timer);
        }
        if let Some(at) = forget_at {
            self.timers.set(Timer::Forget(home_address), at);
        }
        self.outputs.table(TableUpdate::CorrespondentBindingRemove(home_address));
        self.outputs.event(Event::Ended { home_address, cause });
    }

    /// Sets a binding, or sets it again to learn whether it is used.
    fn tell_dataplane(&mut self, home_address: Ipv6Addr, care_of: Ipv6Addr) {
        let binding = CorrespondentBinding { local: self.config.address, care_of };
        self.outputs.table(TableUpdate::CorrespondentBindingSet(home_address, binding));
    }

    fn ask_for_use(&mut self, now: Instant, home_address: Ipv6Addr) {
        if let Some(&Binding { care_of, .. }) = self.cache.get(home_address) {
            self.cache.note_asked(now, home_address);
            self.tell_dataplane(home_address, care_of);
        }
    }

    /// Asks the terminal to refresh a binding that is in use, and again half way to the end as long as there is time for
    /// an answer (RFC 6275 §9.5.5). It goes to the home address (§6.1: no message but an acknowledgement has a routing
    /// header).
    fn ask_for_refresh(&mut self, now: Instant, home_address: Ipv6Addr) {
        let Some(left) = self.cache.get(home_address).map(|binding| binding.expires_at.since(now)) else { return };
        if left < MIN_REFRESH_TIME {
            return;
        }
        self.timers.set(Timer::Refresh(home_address), now + left / 2);
        if self.cache.is_used(home_address) {
            let message = MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() };
            let builder = PacketBuilder::new(self.config.address, home_address);
            self.counters.tx_binding_refresh_request += 1;
            self.outputs.transmit(builder.checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT), Via::Route);
        }
    }
}

impl Machine for CorrespondentNode {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, _meta: &RxMeta, packet: &[u8]) {
        let (Ok(header), Ok(chain)) = (ipv6::Header::parse(packet), Chain::parse(packet)) else {
            self.counters.drop_not_ours += 1;
            return;
        };
        if header.destination != self.config.address {
            self.counters.drop_not_ours += 1;
            return;
        }
        match chain {
            Chain { upper: protocol::MOBILITY, .. } => self.receive_mobility(now, packet),
            Chain { home_address: Some(option), .. } => {
                self.answer_unbound(now, header.source, option.home_address);
            }
            Chain { upper: protocol::ICMPV6, upper_offset, .. } => {
                self.handle_icmpv6(now, packet.get(upper_offset..header.total_length()).unwrap_or_default());
            }
            _ => self.counters.drop_not_ours += 1,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                Timer::Ask(home_address) => self.ask_for_use(now, home_address),
                Timer::Refresh(home_address) => self.ask_for_refresh(now, home_address),
                Timer::Expiry(home_address) => self.end(now, home_address, EndCause::Expired),
                Timer::Forget(home_address) => self.cache.forget(home_address),
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Used { home_address } => self.cache.note_used(now, home_address),
            Command::Remove { home_address } => self.end(now, home_address, EndCause::Removed),
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
