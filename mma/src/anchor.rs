//! Registration with a mobility anchor point without a group (RFC 5380 §6): a regional address is bound to an on-link one.
//!
//! The terminal makes its regional address of the /64 of the agent's address and its interface identifier, and names it
//! in the Home Address option. The anchor point does not know the home address. The terminal registers again with each
//! move inside the site, and from another site where it asks for its packets to be sent on (RFC 5380 §8).

use crate::registration::{Case, Refusal};
use stack::wire::mobility::Lifetime;

/// Judges a registration; the lifetime that is granted.
pub(crate) fn judge(case: &Case<'_>) -> Result<Lifetime, Refusal> {
    let &Case { config, source, update, .. } = case;
    // RFC 5380 §6.1: the on-link address is the source, an alternate one is not needed.
    let elsewhere = update.options.alternate_care_of_address.is_some_and(|care_of| care_of != source);
    if elsewhere || config.is_own(source) {
        return Err(Refusal::CareOf);
    }
    let bound = case.bindings.find(case.home_address).is_some();
    let limit = match () {
        () if config.is_access_address(source) => config.max_lifetime,
        () if bound && config.is_peer(source) => config.max_forward,
        () => return Err(Refusal::AccessPrefix),
    };
    match case.bindings.regional_address_of(&case.authenticated.principal) {
        Some(other) if other != case.home_address => return Err(Refusal::RegionalTaken),
        _ => {}
    }
    case.admit()?;
    Ok(update.lifetime.min(Lifetime::at_most(limit)))
}
