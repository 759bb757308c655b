//! Register messages with data (RFC 7761 §4.4): at the designated router into them, at the rendezvous point out of them.
//!
//! A message is an IPv6 header, eight octets of PIM and the data packet. To everything else in this pipeline it is a tunnel:
//! what does not fit its path is answered or cut as [`super::output`] does for all of them, its path MTU is learnt of others'
//! errors ([`crate::icmpv6::relay`]), and the traffic class is copied on the way in and on the way out (§4.4.1, §4.4.2),
//! whatever the DSCP of tunnels is.
//!
//! What comes out takes the multicast stage as [`Origin::Registered`]: only a route of a rendezvous point lets it in. So
//! nobody who can send a Register message speaks for an agent, whose trees take packets of this node alone. Messages
//! without data (Null-Register), and those that are not in order, are the node's.

use super::counters::Counter;
use super::tunnel_header::{emit, first_word, flow_label};
use super::vector::{Found, Job, Origin};
use super::{Dataplane, header, multicast_notice};
use crate::addr::{self, Scope, halves};
use crate::machine::Notice;
use crate::tables::{MrouteKey, RegisterTunnel, Target};
use crate::wire::checksum;
use crate::wire::ext::Chain;
use crate::wire::ipv6::{HEADER_LEN, protocol};
use core::net::Ipv6Addr;

/// Octets of PIM in front of the data.
const PIM_LEN: usize = 8;
/// Octets that a Register message puts in front of its data.
const FRONT_LEN: usize = HEADER_LEN + PIM_LEN;
/// PIM version 2, type 1.
const VERSION_TYPE: u8 = 0x21;
/// In the first octet behind the checksum: the N bit.
const NULL_REGISTER: u8 = 0x40;

/// Puts the packet, which has lost its hop, into a Register message; then it goes where its route says.
pub(super) fn enter(plane: &mut Dataplane, job: &mut Job, tunnel: &RegisterTunnel) -> Result<(), Counter> {
    let RegisterTunnel { source, rendezvous_point } = *tunnel;
    let data = job.packet.bytes();
    let mut value = [None];
    plane.routes.lookup_batch(&[halves(rendezvous_point)], &mut value);
    let egress = match value[0].map(Target::from_value) {
        Some(Target::Local) => return Err(Counter::DropRegisterLoop),
        Some(Target::Via(index)) => Some(plane.neighbors.resolution(index).0),
        Some(Target::OnLink(port)) => Some(port),
        _ => None,
    };
    if is_of_site(header::destination(data)) && egress.is_some_and(|port| plane.config.site_border.contains(port)) {
        return Err(Counter::DropRegisterSiteBorder);
    }
    if job.packet.headroom() < FRONT_LEN {
        return Err(Counter::DropTunnelHeadroom);
    }
    let (class, label) = (header::traffic_class(data), flow_label(data));
    *job.packet.prepend() = pim_header(source, rendezvous_point);
    let payload = job.packet.len() as u16;
    let first = first_word(class, label, payload, protocol::PIM);
    emit(job.packet.prepend(), first, halves(source), halves(rendezvous_point));
    // A packet of this node may stand behind an outer header already.
    job.meta.outer += FRONT_LEN as u8;
    (job.meta.origin, job.meta.tunnel, job.meta.found) = (Origin::Own, None, Found::Nothing);
    plane.counters.add(Counter::RegistersSent);
    Ok(())
}

/// The eight octets of PIM: their checksum is over them alone (§4.9.3).
fn pim_header(source: Ipv6Addr, destination: Ipv6Addr) -> [u8; PIM_LEN] {
    let mut header = [VERSION_TYPE, 0, 0, 0, 0, 0, 0, 0];
    let sum = checksum::upper_layer(source, destination, protocol::PIM, &header);
    header[2..4].copy_from_slice(&sum.to_be_bytes());
    header
}

/// What becomes of a PIM message to this node.
pub(super) enum Received {
    /// It is the node's.
    Node,
    /// Its data are on their way to a group.
    ToGroup,
    Drop(Counter),
}

/// Takes the data out of a Register message.
pub(super) fn receive(plane: &mut Dataplane, job: &mut Job, chain: &Chain) -> Received {
    let bytes = job.packet.bytes();
    let (from, to) = (header::source(bytes), header::destination(bytes));
    let takes = plane.config.registers
        && !to.is_multicast()
        && job.meta.tunnel.is_none()
        && chain.home_address.is_none()
        && bytes.get(chain.upper_offset..).is_some_and(|message| has_data(from, to, message));
    if !takes {
        return Received::Node;
    }
    if job.meta.origin == Origin::Own {
        return Received::Drop(Counter::DropRegisterLoop);
    }
    let at = chain.upper_offset + PIM_LEN;
    // Nobody routes what is from or to one link alone, and this node sends itself none by a link.
    if addr::is_link_local(to) || !addr::is_routable_unicast(from) || plane.routes.is_local(from) {
        return Received::Drop(Counter::DropRegisterSource);
    }
    let key = match data(plane, job, at) {
        Ok(key) => key,
        Err(reason) => return Received::Drop(reason),
    };
    multicast_notice::tell(plane, Notice::Register { from, to, key });
    plane.counters.add(Counter::RegistersReceived);
    let class = header::traffic_class(job.packet.bytes());
    job.packet.trim_front(at);
    header::set_traffic_class(job.packet.bytes_mut(), class);
    (job.meta.origin, job.meta.found, job.meta.link_multicast) = (Origin::Registered, Found::Nothing, false);
    Received::ToGroup
}

/// Whether it is a Register message with data. Its checksum may be over the whole message, too (§4.9.3).
fn has_data(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> bool {
    let Some(front) = message.first_chunk::<PIM_LEN>() else { return false };
    let holds = |octets| checksum::verify(from, to, protocol::PIM, octets);
    front[0] == VERSION_TYPE && front[4] & NULL_REGISTER == 0 && (holds(front) || holds(message))
}

/// Source and group of the data that start at `at`, or what is wrong with them.
fn data(plane: &Dataplane, job: &Job, at: usize) -> Result<MrouteKey, Counter> {
    let data = &job.packet.bytes()[at..];
    if data.len() < HEADER_LEN || data[0] >> 4 != 6 || header::total_length(data) != data.len() {
        return Err(Counter::DropRegisterInner);
    }
    let (source, group) = (header::source(data), header::destination(data));
    if Scope::of(group).is_none_or(|scope| scope <= Scope::LINK_LOCAL) {
        return Err(Counter::DropRegisterGroup);
    }
    if !addr::is_routable_unicast(source) || plane.routes.is_local(source) {
        return Err(Counter::DropRegisterSource);
    }
    if is_of_site(group) && plane.is_from_outside(job.meta.port) {
        return Err(Counter::DropRegisterSiteBorder);
    }
    Ok(MrouteKey { source, group })
}

/// Whether the site's border holds the group back (RFC 4007 §5).
fn is_of_site(group: Ipv6Addr) -> bool {
    Scope::of(group).is_some_and(|scope| scope <= Scope::SITE_LOCAL)
}

/// Where the data start in a quoted Register message of this node, at least their header: one with these addresses that
/// the route of its data has sent.
pub(crate) fn quoted_data(plane: &Dataplane, quoted: &[u8]) -> Option<usize> {
    let (protocol::PIM, at) = crate::icmpv6::upper_layer(quoted)? else { return None };
    let message = quoted.get(at..)?;
    let data = message.get(PIM_LEN..).filter(|data| data.len() >= HEADER_LEN && data[0] >> 4 == 6)?;
    let (source, group) = (header::source(data), header::destination(data));
    let any_source = || plane.mfib.get(MrouteKey { source: Ipv6Addr::UNSPECIFIED, group });
    let route = plane.mfib.get(MrouteKey { source, group }).or_else(any_source)?;
    let tunnel = RegisterTunnel { source: header::source(quoted), rendezvous_point: header::destination(quoted) };
    let is_ours = message[0] == VERSION_TYPE && message[4] & NULL_REGISTER == 0 && route.register == Some(tunnel);
    is_ours.then_some(at + PIM_LEN)
}
