//! What a Binding Update to the agent asks for, and whether it gets it.
//!
//! A terminal registers with A and M set, its home address in a Home Address option, its temporary address as source
//! and its group in an Active Multicast Subscription option (RFC 7161). Without a group but with an alternate care-of
//! address it asks for forwarding after a move (`forwarding`); without either it registers with a mobility anchor point
//! (`anchor`). Lifetime zero removes the binding.

use crate::anchor;
use crate::auth::{Authenticated, ReplayError};
use crate::binding::BindingTable;
use crate::care_of_pool::NoCareOf;
use crate::config::{Config, GrePolicy};
use crate::forwarding::{self, Forwarding};
use core::net::Ipv6Addr;
use stack::addr::{Eui64, GroupLayout};
use stack::tables::BindingState;
use stack::wire::mobility::option::Subscription;
use stack::wire::mobility::{BindingUpdate, BindingUpdateFlags, Lifetime, Status};

/// Why a Binding Update is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// The authentication data is wrong.
    #[error("authentication data wrong")]
    AuthenticationFailed,
    /// The sequence number is not after the last one.
    #[error("sequence number not after the last one")]
    Sequence,
    /// A timestamp is required.
    #[error("timestamp required")]
    TimestampRequired,
    /// The timestamp is not fresh.
    #[error("timestamp not fresh")]
    Timestamp,
    /// Replay protection has no room for one more home address.
    #[error("no room in replay protection")]
    ReplayMemory,
    /// The agent is no home agent.
    #[error("home registration")]
    HomeRegistration,
    /// The M flag is missing.
    #[error("no registration with a mobility agent")]
    NotMap,
    /// There is no group.
    #[error("no group")]
    MapMode,
    /// Forwarding is asked for.
    #[error("forwarding not served")]
    Forwarding,
    /// Forwarding to an address that is none of a peer.
    #[error("not forwarded to there")]
    ForwardTarget,
    /// Forwarding to an address of this agent's own.
    #[error("forwarding to the agent itself")]
    ForwardLoop,
    /// Forwarding for a home address without a binding.
    #[error("no binding")]
    NoBinding,
    /// The regional address is another terminal's, or this terminal has another one.
    #[error("regional address taken")]
    RegionalTaken,
    /// There are several groups.
    #[error("more than one group")]
    SeveralGroups,
    /// The alternate care-of address is not the source, or the source is the home address.
    #[error("no temporary address as source")]
    CareOf,
    /// The source is on no access link of the site.
    #[error("source not in an access prefix")]
    AccessPrefix,
    /// No home agent is configured for the home address.
    #[error("no home agent for this home address")]
    NoHomeAgent,
    /// The home address is bound by another terminal.
    #[error("home address of another terminal")]
    Owner,
    /// The group is not that of the terminal's EUI-64.
    #[error("group of another EUI-64")]
    Terminal,
    /// The terminal's EUI-64 has no group in this site's layout.
    #[error("no group for this EUI-64")]
    NoGroup,
    /// Another home address has the group.
    #[error("group taken by another home address")]
    GroupTaken,
    /// The stateless care-of address is another's.
    #[error("care-of address taken")]
    CareOfTaken,
    /// No care-of address is free.
    #[error("no care-of address free")]
    CareOfExhausted,
    /// There are as many bindings as there may be.
    #[error("limit of bindings reached")]
    Full,
    /// The agent takes no new terminals.
    #[error("agent is draining")]
    Draining,
    /// The terminal did not ask for GRE.
    #[error("GRE required")]
    GreRequired,
}

impl Refusal {
    /// Whether the update was seen before, or may have been.
    pub(crate) const fn is_of_replay(self) -> bool {
        matches!(self, Refusal::Sequence | Refusal::TimestampRequired | Refusal::Timestamp)
    }

    /// The status of the answer.
    pub const fn status(self) -> Status {
        match self {
            Refusal::AuthenticationFailed => Status::AUTHENTICATION_FAILED,
            Refusal::Sequence => Status::SEQUENCE_OUT_OF_WINDOW,
            Refusal::TimestampRequired => Status::MESSAGE_ID_REQUIRED,
            Refusal::Timestamp => Status::ID_MISMATCH,
            Refusal::HomeRegistration => Status::HOME_REGISTRATION_NOT_SUPPORTED,
            Refusal::SeveralGroups => Status::REASON_UNSPECIFIED,
            Refusal::CareOf => Status::INVALID_CARE_OF_ADDRESS,
            Refusal::NotMap
            | Refusal::MapMode
            | Refusal::Forwarding
            | Refusal::ForwardTarget
            | Refusal::ForwardLoop
            | Refusal::AccessPrefix
            | Refusal::NoHomeAgent
            | Refusal::Owner
            | Refusal::Terminal
            | Refusal::NoGroup => Status::ADMINISTRATIVELY_PROHIBITED,
            Refusal::NoBinding => Status::NOT_HOME_AGENT,
            Refusal::GroupTaken | Refusal::CareOfTaken | Refusal::RegionalTaken => Status::DUPLICATE_ADDRESS,
            Refusal::ReplayMemory | Refusal::CareOfExhausted | Refusal::Full | Refusal::Draining => {
                Status::INSUFFICIENT_RESOURCES
            }
            Refusal::GreRequired => Status::GRE_KEY_REQUIRED,
        }
    }
}

impl From<ReplayError> for Refusal {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Sequence { .. } => Refusal::Sequence,
            ReplayError::MessageIdRequired => Refusal::TimestampRequired,
            ReplayError::MessageIdMismatch { .. } => Refusal::Timestamp,
            ReplayError::TableFull => Refusal::ReplayMemory,
        }
    }
}

impl From<NoCareOf> for Refusal {
    fn from(error: NoCareOf) -> Self {
        match error {
            NoCareOf::Taken => Refusal::CareOfTaken,
            NoCareOf::Exhausted => Refusal::CareOfExhausted,
        }
    }
}

/// Whether new terminals are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    Open,
    Draining,
}

/// What a Binding Update that is authentic and fresh asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// Remove the binding.
    Deregister,
    /// Make or refresh it.
    Register(Terms),
    /// Forward for a while.
    Forward(Forwarding),
    /// Bind a regional address to the on-link address.
    Anchor(Lifetime),
}

/// What a terminal is granted, but for the care-of address and the GRE key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Terms {
    pub(crate) group: Ipv6Addr,
    /// Whether the group is another than the terminal asked for.
    pub(crate) regranted: bool,
    pub(crate) home_agent: Ipv6Addr,
    pub(crate) lifetime: Lifetime,
    pub(crate) gre: Gre,
}

/// What becomes of GRE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gre {
    /// Not asked for.
    No,
    /// Asked for, not granted: status 2.
    NotRequired,
    /// Granted.
    Granted,
}

/// A Binding Update that is authentic, and what it is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) config: &'a Config,
    pub(crate) bindings: &'a BindingTable,
    pub(crate) admission: Admission,
    pub(crate) authenticated: &'a Authenticated,
    pub(crate) home_address: Ipv6Addr,
    /// The source of the packet.
    pub(crate) source: Ipv6Addr,
    pub(crate) update: &'a BindingUpdate,
}

/// A home address that is bound is that of the terminal that bound it, and a terminal has one regional address.
pub(crate) fn check_owner(
    bindings: &BindingTable,
    authenticated: &Authenticated,
    home_address: Ipv6Addr,
) -> Result<(), Refusal> {
    match bindings.find(home_address) {
        Some(binding) if binding.principal == authenticated.principal => Ok(()),
        Some(binding) if binding.state == BindingState::Anchor => Err(Refusal::RegionalTaken),
        Some(_) => Err(Refusal::Owner),
        None => Ok(()),
    }
}

/// Judges a Binding Update that is fresh. Nothing changes.
pub(crate) fn judge(case: &Case<'_>) -> Result<Request, Refusal> {
    let &Case { config, update, .. } = case;
    if update.flags.contains(BindingUpdateFlags::HOME_REGISTRATION) {
        return Err(Refusal::HomeRegistration);
    }
    if !update.flags.contains(BindingUpdateFlags::MAP_REGISTRATION) {
        return Err(Refusal::NotMap);
    }
    if update.lifetime.is_zero() {
        return Ok(Request::Deregister);
    }
    let options = &update.options;
    match (&options.subscriptions[..], options.alternate_care_of_address) {
        (&[subscription], _) => register(case, subscription).map(Request::Register),
        ([], _) if config.anchors(case.home_address) => anchor::judge(case).map(Request::Anchor),
        ([], Some(to)) => forwarding::judge(case, to).map(Request::Forward),
        ([], None) => Err(Refusal::MapMode),
        _ => Err(Refusal::SeveralGroups),
    }
}

fn register(case: &Case<'_>, subscription: Subscription) -> Result<Terms, Refusal> {
    let &Case { config, bindings, authenticated, home_address, source, update, .. } = case;
    let options = &update.options;
    // A terminal at home has no use for a care-of address; one elsewhere speaks from where it is.
    let elsewhere = options.alternate_care_of_address.is_some_and(|care_of| care_of != source);
    if elsewhere || source == home_address {
        return Err(Refusal::CareOf);
    }
    if !config.is_access_address(source) {
        return Err(Refusal::AccessPrefix);
    }
    let home_agent = config.home_agent(home_address).ok_or(Refusal::NoHomeAgent)?;
    let group = grant_group(config, bindings, authenticated.terminal, home_address, subscription.group)?;
    case.admit()?;
    Ok(Terms {
        group,
        regranted: group != subscription.group,
        home_agent,
        lifetime: update.lifetime.min(Lifetime::at_most(config.max_lifetime)),
        gre: match (config.gre, options.gre_key) {
            (GrePolicy::Required, None) => return Err(Refusal::GreRequired),
            (_, None) => Gre::No,
            (GrePolicy::Off, Some(_)) => Gre::NotRequired,
            (_, Some(_)) => Gre::Granted,
        },
    })
}

impl Case<'_> {
    /// A terminal that is bound may stay; a new one needs room.
    pub(crate) fn admit(&self) -> Result<(), Refusal> {
        match (self.bindings.find(self.home_address), self.admission) {
            (Some(_), _) => Ok(()),
            (None, Admission::Draining) => Err(Refusal::Draining),
            (None, Admission::Open) if self.bindings.len() >= self.config.max_bindings => Err(Refusal::Full),
            (None, Admission::Open) => Ok(()),
        }
    }
}

/// Every layout says whose a group is, so that a terminal that comes from a site with another layout gets the group that
/// is its own here.
fn grant_group(
    config: &Config,
    bindings: &BindingTable,
    terminal: Option<Eui64>,
    home_address: Ipv6Addr,
    asked: Ipv6Addr,
) -> Result<Ipv6Addr, Refusal> {
    let asked_for = GroupLayout::terminal_of(asked).ok_or(Refusal::Terminal)?;
    if terminal.is_some_and(|terminal| terminal != asked_for) {
        return Err(Refusal::Terminal);
    }
    let group = config.layout.group(asked_for).ok_or(Refusal::NoGroup)?;
    match bindings.owner_of(group) {
        Some(owner) if owner != home_address => Err(Refusal::GroupTaken),
        _ => Ok(group),
    }
}
