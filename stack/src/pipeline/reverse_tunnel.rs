//! The mobility agent's end of its terminals' reverse tunnels: who may come out there, and where the packet goes on.
//!
//! - From the home address: to the home agent in a tunnel from the care-of address (RFC 6275 §10.4.5 is met), the outer
//!   header overwritten. Or, where the correspondent has a binding, to it from the care-of address with a Home Address
//!   option (§9.3.1 is met).
//! - From the care-of address, of a terminal that optimises itself: as it is, where a Home Address option says so, and a
//!   Care-of Test Init and whatever is for the home agent (RFC 5380 §12.2).
//! - From a regional address of an anchor point (RFC 5380 §6.1, §6.2): as it is.
//!
//! The outer source has to be in an access prefix of the site with the terminal's interface identifier: the agent does not
//! know the terminal's address on its link, which changes without a word. An anchor point does. The inner destination has
//! to be of more than the link's scope (RFC 4291 §2.5.6: the home link is another link).

use super::counters::Counter;
use super::tunnel::{Next, upper_is_mobility};
use super::tunnel_header::{self, Outer};
use super::vector::{Found, Job, Origin};
use super::{Dataplane, header, home_address};
use crate::addr::{self, Scope};
use crate::icmpv6::{Cause, upper_layer};
use crate::machine::TunnelMeta;
use crate::tables::{BindingState, MmaBinding, MmaService};
use crate::wire::ext::Chain;
use crate::wire::ipv6::protocol;
use crate::wire::mobility::kind;
use core::net::Ipv6Addr;

/// Where the packet inside goes.
pub(super) enum Exit {
    /// To the home agent.
    ToHomeAgent(MmaBinding),
    /// To the correspondent, which has a binding.
    ToCorrespondent(MmaBinding),
    /// As it is.
    Out,
    /// As it is, out of the tunnel of a binding that has just been replaced or removed.
    OutOfFormerBinding,
}

/// The way of a packet that a terminal has tunnelled to the agent, or why it has none.
pub(super) fn exit(plane: &Dataplane, service: &MmaService, inner: &[u8], tunnel: TunnelMeta) -> Result<Exit, Counter> {
    let (source, destination) = (header::source(inner), header::destination(inner));
    let bound = plane.mma_bindings.get(source);
    if let Some(binding) = bound.filter(|binding| binding.state == BindingState::Anchor) {
        if tunnel.source != binding.group {
            return Err(Counter::DropTunnelOnLinkAddress);
        }
        return if leaves_the_link(destination) { Ok(Exit::Out) } else { Err(Counter::DropTunnelLinkScope) };
    }
    if !header::in_any(&service.access_prefixes, tunnel.source) {
        return Err(Counter::DropTunnelAccessPrefix);
    }
    let (binding, exit) = match bound {
        Some(binding) if is_optimised(plane, inner, &binding) => (binding, Exit::ToCorrespondent(binding)),
        Some(binding) => (binding, Exit::ToHomeAgent(binding)),
        None => (speaks_for_itself(plane, inner, source).ok_or(Counter::DropTunnelNotBound)?, Exit::Out),
    };
    if binding.state != BindingState::Active {
        return Err(Counter::DropTunnelNotActive);
    }
    if addr::interface_identifier(tunnel.source) != binding.access_identifier {
        return Err(Counter::DropTunnelAccessIdentifier);
    }
    if leaves_the_link(destination) { Ok(exit) } else { Err(Counter::DropTunnelLinkScope) }
}

/// Whether a packet to this destination means anything on another link than the sender's.
pub(super) fn leaves_the_link(destination: Ipv6Addr) -> bool {
    !addr::is_link_local(destination) && Scope::of(destination).is_none_or(|scope| scope > Scope::LINK_LOCAL)
}

/// Whether the packet's correspondent has a binding. Signalling is not sent with it: a Home Test Init has to go by the
/// home agent (RFC 6275 §11.6.1).
#[inline(always)]
fn is_optimised(plane: &Dataplane, inner: &[u8], binding: &MmaBinding) -> bool {
    !plane.optimised.is_empty()
        && plane.optimised.contains(header::source(inner), header::destination(inner), binding.care_of)
        && !upper_is_mobility(inner)
}

/// The binding of a terminal that speaks with its care-of address, where it may.
fn speaks_for_itself(plane: &Dataplane, inner: &[u8], care_of: Ipv6Addr) -> Option<MmaBinding> {
    if inner[6] == protocol::DESTINATION_OPTIONS
        && let Some(option) = Chain::parse(inner).ok().and_then(|chain| chain.home_address)
    {
        return plane.mma_bindings.get(option.home_address).filter(|binding| binding.care_of == care_of);
    }
    let binding = plane.mma_bindings.of_care_of(care_of)?;
    let care_of_test_init = matches!(upper_layer(inner), Some((protocol::MOBILITY, at))
        if inner.get(at + 2) == Some(&kind::CARE_OF_TEST_INIT));
    (care_of_test_init || header::destination(inner) == binding.home_agent).then_some(binding)
}

/// To the home agent, the outer header in the place of the terminal's, which ends at `at`.
pub(super) fn to_home_agent(plane: &mut Dataplane, job: &mut Job, at: usize, binding: &MmaBinding) -> Next {
    if header::hop(&mut job.packet.bytes_mut()[at..]) {
        return enter(plane, job, at, binding);
    }
    job.packet.trim_front(at);
    Next::IcmpError(Cause::HopLimit)
}

/// To the correspondent, the tunnel's header replaced by a Home Address option. Where the option cannot stand, the home
/// agent's way is open.
pub(super) fn to_correspondent(plane: &mut Dataplane, job: &mut Job, at: usize, binding: &MmaBinding) -> Next {
    let goes_on = header::hop(&mut job.packet.bytes_mut()[at..]);
    job.packet.trim_front(at);
    if !goes_on {
        return Next::IcmpError(Cause::HopLimit);
    }
    if home_address::insert_option(&mut job.packet, binding.care_of).is_err() {
        return enter(plane, job, 0, binding);
    }
    (job.meta.inserted.option, job.meta.outer) = (true, 0);
    (job.meta.origin, job.meta.tunnel, job.meta.found) = (Origin::Own, None, Found::Nothing);
    plane.counters.add(Counter::TunnelOptimised);
    Next::Lookup
}

/// Into the tunnel to the home agent.
fn enter(plane: &mut Dataplane, job: &mut Job, at: usize, binding: &MmaBinding) -> Next {
    let limit = tunnel_header::encapsulation_limit(&job.packet.bytes()[at..]);
    if let Some((limit_at, 0)) = limit {
        job.packet.trim_front(at);
        return Next::IcmpError(Cause::HeaderField(limit_at as u32));
    }
    let outer = Outer {
        source: binding.care_of,
        destination: binding.home_agent,
        gre: None,
        limit: limit.map(|(_, limit)| limit - 1),
        dscp: plane.config.tunnel_dscp,
    };
    match tunnel_header::replace(&mut job.packet, at, &outer) {
        Ok(length) => job.meta.outer = length,
        Err(tunnel_header::NoHeadroom) => return Next::Drop(Counter::DropTunnelHeadroom),
    }
    (job.meta.origin, job.meta.tunnel, job.meta.found) = (Origin::Own, None, Found::Nothing);
    plane.counters.add(Counter::TunnelToHomeAgent);
    Next::Lookup
}
