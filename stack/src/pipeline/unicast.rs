//! A unicast packet that leaves by a neighbour or a link: it loses a hop where it is not our own.

use super::counters::Counter;
use super::vector::{Found, Lane, Origin, Vector};
use super::{Dataplane, header, output};
use crate::icmpv6::Cause;

pub(super) fn run(plane: &mut Dataplane, vector: &mut Vector) {
    for place in vector.lane(Lane::Unicast) {
        let mut job = vector.take(place);
        let egress = match job.meta.found {
            Found::Adjacency(index) => plane.neighbors.resolution(index).0,
            Found::Link(port) => port,
            Found::Nothing | Found::Entry(_) => {
                plane.discard(job, Counter::DropOutputNoPort);
                continue;
            }
        };
        let host = |port| plane.config.host_ports.contains(port);
        let costs_hop = job.meta.origin == Origin::Received && !host(egress) && !job.meta.port.is_some_and(host);
        if costs_hop && !header::hop(job.packet.bytes_mut()) {
            plane.icmp_error(job, Cause::HopLimit);
            continue;
        }
        match job.meta.found {
            Found::Adjacency(index) => output::to_adjacency(plane, job, index),
            _ => output::on_link(plane, job, egress),
        }
    }
}
