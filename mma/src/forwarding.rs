//! Whether packets are forwarded to where a terminal has moved to (RFC 5380 §8; patent fig. 6 to 9).
//!
//! The terminal asks from its new link, which is none of this site, by a Binding Update with its new care-of address as
//! Alternate Care-of Address, without a group, for a time that is its lifetime. At home it gives its home address in that
//! place and speaks from there. Then only what correspondents send to the old care-of address is sent on: what the home
//! agent still tunnels would come back to this agent, as long as that one has not been told.

use crate::registration::{Case, Refusal};
use core::net::Ipv6Addr;
use stack::tables::BindingState;
use stack::wire::mobility::Lifetime;

/// What is granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Forwarding {
    /// Where packets go.
    pub(crate) to: Ipv6Addr,
    /// Whether those of the home agent's tunnel do too.
    pub(crate) from_home_agent: bool,
    /// For how long at the most.
    pub(crate) lifetime: Lifetime,
}

/// Judges a request to forward to `to`.
pub(crate) fn judge(case: &Case<'_>, to: Ipv6Addr) -> Result<Forwarding, Refusal> {
    let &Case { config, home_address, source, .. } = case;
    if config.peers.is_empty() && to != home_address {
        return Err(Refusal::Forwarding);
    }
    match case.bindings.find(home_address) {
        Some(binding) if binding.state != BindingState::Anchor => {}
        _ => return Err(Refusal::NoBinding),
    }
    if config.is_own(to) {
        return Err(Refusal::ForwardLoop);
    }
    // Who is at home speaks with the home address.
    if to == home_address && source != home_address {
        return Err(Refusal::CareOf);
    }
    if to != home_address && !config.is_peer(to) {
        return Err(Refusal::ForwardTarget);
    }
    Ok(Forwarding {
        to,
        from_home_agent: to != home_address,
        lifetime: case.update.lifetime.min(Lifetime::at_most(config.max_forward)),
    })
}
