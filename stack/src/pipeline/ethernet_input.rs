//! From frames to IPv6 packets (RFC 2464).

use super::counters::Counter;
use super::vector::{Found, Inserted, Job, Lane, Meta, Origin, Vector};
use super::{Counters, Dataplane};
use crate::machine::PortId;
use crate::packet::{Batch, Packet};
use crate::port::Medium;
use crate::tables::{Link, prefetch};
use crate::wire::ethernet::{self, ETHERTYPE_IPV6};

pub(super) fn run(plane: &mut Dataplane, port: PortId, batch: &mut Batch, vector: &mut Vector) {
    plane.counters.add_many(Counter::Rx, batch.len() as u64);
    let Some(link) = plane.links.get(usize::from(port.0)) else {
        plane.counters.add_many(Counter::DropOutputNoPort, batch.len() as u64);
        batch.clear();
        return;
    };
    for packet in batch.iter() {
        prefetch(packet.bytes().as_ptr());
    }
    for packet in batch.drain(..) {
        let mut meta = Meta {
            port: Some(port),
            link_source: None,
            link_multicast: false,
            tunnel: None,
            origin: Origin::Received,
            outer: 0,
            inserted: Inserted::NOTHING,
            passes: 0,
            told: false,
            found: Found::Nothing,
        };
        if let Some(packet) = frame(&mut plane.counters, link, packet, &mut meta) {
            vector.start(Job { packet, meta }, Lane::Input);
        }
    }
}

#[inline(always)]
fn frame(counters: &mut Counters, link: &Link, mut packet: Packet, meta: &mut Meta) -> Option<Packet> {
    if link.medium == Medium::Ip {
        return Some(packet);
    }
    let header = match ethernet::Header::parse(packet.bytes()) {
        Ok(header) => header,
        Err(error) => {
            let short = error.kind == crate::wire::WireErrorKind::Truncated;
            counters.add(if short { Counter::DropEthernetShort } else { Counter::DropEthernetSource });
            return None;
        }
    };
    if header.ethertype != ETHERTYPE_IPV6 {
        counters.add(Counter::DropEthernetType);
        return None;
    }
    meta.link_multicast = header.destination.is_multicast();
    if !meta.link_multicast && header.destination != link.link_address {
        counters.add(Counter::DropEthernetNotOurs);
        return None;
    }
    meta.link_source = Some(header.source);
    packet.trim_front(ethernet::HEADER_LEN);
    Some(packet)
}
