//! What a Binding Update to the agent asks for, and whether it gets it.
//!
//! A terminal registers with A and M set, its home address in a Home Address option, its temporary address as source
//! and its group in an Active Multicast Subscription option (RFC 7161). The same without a group is an RFC 5380
//! registration with a mobility anchor point, which is not served; without a group but with an alternate care-of
//! address it asks for forwarding after a move, which is not served either. Lifetime zero removes the binding.

use crate::auth::{Authenticated, ReplayError};
use crate::binding::BindingTable;
use crate::care_of_pool::NoCareOf;
use crate::config::{Config, GrePolicy};
use core::net::Ipv6Addr;
use stack::addr::Eui64;
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
            | Refusal::AccessPrefix
            | Refusal::NoHomeAgent
            | Refusal::Owner
            | Refusal::Terminal => Status::ADMINISTRATIVELY_PROHIBITED,
            Refusal::GroupTaken | Refusal::CareOfTaken => Status::DUPLICATE_ADDRESS,
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

/// A home address that is bound is that of the terminal that bound it.
pub(crate) fn check_owner(
    bindings: &BindingTable,
    authenticated: &Authenticated,
    home_address: Ipv6Addr,
) -> Result<(), Refusal> {
    match bindings.find(home_address) {
        Some(binding) if binding.principal != authenticated.principal => Err(Refusal::Owner),
        _ => Ok(()),
    }
}

/// Judges a Binding Update that came from `access_address`. Nothing changes.
pub(crate) fn judge(
    config: &Config,
    bindings: &BindingTable,
    admission: Admission,
    authenticated: &Authenticated,
    home_address: Ipv6Addr,
    access_address: Ipv6Addr,
    update: &BindingUpdate,
) -> Result<Request, Refusal> {
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
    let subscription = match (&options.subscriptions[..], options.alternate_care_of_address) {
        (&[subscription], _) => subscription,
        ([], Some(_)) => return Err(Refusal::Forwarding),
        ([], None) => return Err(Refusal::MapMode),
        _ => return Err(Refusal::SeveralGroups),
    };
    // A terminal at home has no use for a care-of address; one elsewhere speaks from where it is.
    let elsewhere = options.alternate_care_of_address.is_some_and(|care_of| care_of != access_address);
    if elsewhere || access_address == home_address {
        return Err(Refusal::CareOf);
    }
    if !config.is_access_address(access_address) {
        return Err(Refusal::AccessPrefix);
    }
    let home_agent = config.home_agent(home_address).ok_or(Refusal::NoHomeAgent)?;
    let group = grant_group(config, bindings, authenticated.terminal, home_address, subscription.group)?;
    admit(config, bindings, admission, home_address)?;
    Ok(Request::Register(Terms {
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
    }))
}

/// All layouts have the EUI-64 in the low half, so that a terminal that comes from a site with another layout gets the
/// group that is its own here.
fn grant_group(
    config: &Config,
    bindings: &BindingTable,
    terminal: Option<Eui64>,
    home_address: Ipv6Addr,
    asked: Ipv6Addr,
) -> Result<Ipv6Addr, Refusal> {
    let asked_for = Eui64(asked.to_bits() as u64);
    if asked_for == Eui64(0) || terminal.is_some_and(|terminal| terminal != asked_for) {
        return Err(Refusal::Terminal);
    }
    let group = config.layout.group(asked_for);
    match bindings.owner_of(group) {
        Some(owner) if owner != home_address => Err(Refusal::GroupTaken),
        _ => Ok(group),
    }
}

/// A terminal that is bound may stay; a new one needs room.
fn admit(
    config: &Config,
    bindings: &BindingTable,
    admission: Admission,
    home_address: Ipv6Addr,
) -> Result<(), Refusal> {
    match (bindings.find(home_address), admission) {
        (Some(_), _) => Ok(()),
        (None, Admission::Draining) => Err(Refusal::Draining),
        (None, Admission::Open) if bindings.len() >= config.max_bindings => Err(Refusal::Full),
        (None, Admission::Open) => Ok(()),
    }
}
