//! What a node asks of the agent, and what the agent tells it.

use crate::auth::NtpTime;
use crate::registration::Refusal;
use crate::route_optimisation::Optimisation;
use core::net::Ipv6Addr;
use stack::machine::CorrespondentWay;
use stack::time::Duration;
use stack::wire::mobility::Status;

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
    /// The data plane has seen a packet of a correspondent ([`stack::machine::Notice::Correspondent`]).
    Correspondent {
        /// The home address.
        home_address: Ipv6Addr,
        /// The correspondent.
        correspondent: Ipv6Addr,
        /// How it came.
        way: CorrespondentWay,
    },
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
    /// A terminal without a group is bound that was not (RFC 5380).
    Anchored {
        /// Its regional address.
        regional_address: Ipv6Addr,
        /// Its on-link address.
        access_address: Ipv6Addr,
        /// For how long.
        lifetime: Duration,
    },
    /// A terminal has moved on, and its packets are forwarded.
    Forwarding {
        /// Its home address.
        home_address: Ipv6Addr,
        /// Its care-of address here.
        care_of: Ipv6Addr,
        /// Its new care-of address, or its home address.
        to: Ipv6Addr,
        /// For how long.
        lifetime: Duration,
    },
    /// The time of forwarding is over, and with it the binding.
    ForwardingEnded {
        /// Its home address.
        home_address: Ipv6Addr,
        /// The care-of address that it had here.
        care_of: Ipv6Addr,
        /// Where its packets went.
        to: Ipv6Addr,
    },
    /// A correspondent has a terminal's care-of address, or is not to be thought to have it any more.
    Optimised {
        /// The terminal's home address.
        home_address: Ipv6Addr,
        /// The correspondent.
        correspondent: Ipv6Addr,
        /// Whether it has.
        state: Optimisation,
    },
    /// A sequence number is used with a preconfigured key: to be written down before any later packet of this agent
    /// leaves (RFC 4449 §4).
    PreconfiguredSequence {
        /// The terminal's home address.
        home_address: Ipv6Addr,
        /// The correspondent.
        correspondent: Ipv6Addr,
        /// The number.
        sequence: u16,
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
