//! Echo requests, answered in the frame that they came in (RFC 4443 §4.2).

use crate::pipeline::{Counter, Dataplane, Job, Meta, header};
use crate::wire::ipv6::{self, HEADER_LEN, protocol};
use crate::wire::{build, checksum};

const ECHO_REPLY: u8 = 129;

/// Turns a request whose checksum was verified into the reply, ready to be looked up. Extension headers of the request
/// are left away.
pub(crate) fn answer(plane: &mut Dataplane, job: &mut Job, upper_offset: usize) -> Result<(), Counter> {
    let bytes = job.packet.bytes();
    let (asker, asked) = (header::source(bytes), header::destination(bytes));
    let traffic_class = header::traffic_class(bytes) & !3;
    // A request to a group is answered by the address that the asker can speak to.
    let source = if asked.is_multicast() {
        plane.source_for(asker, job.meta.port).ok_or(Counter::DropIcmpNoSource)?
    } else {
        asked
    };
    if !crate::addr::is_unicast(asker) {
        return Err(Counter::DropIcmpForbidden);
    }
    job.packet.trim_front(upper_offset);
    let message = job.packet.bytes_mut();
    message[0] = ECHO_REPLY;
    message[2..4].fill(0);
    let sum = checksum::upper_layer(source, asker, protocol::ICMPV6, message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = ipv6::Header {
        traffic_class,
        flow_label: 0,
        payload_length: message.len() as u16,
        next_header: protocol::ICMPV6,
        hop_limit: build::DEFAULT_HOP_LIMIT,
        source,
        destination: asker,
    };
    header.emit(job.packet.prepend::<HEADER_LEN>());
    job.meta = Meta::own_again(&job.meta);
    plane.count(Counter::EchoReplies);
    Ok(())
}
