//! A packet with a Mobility Header as it comes in, and what is wrong with its form (RFC 6275 §9.2).

use super::MobilityManagementAgent;
use core::net::Ipv6Addr;
use stack::addr;
use stack::machine::{RxMeta, Via};
use stack::time::Instant;
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::{self, BindingErrorStatus, CHECKSUM_AT, MobilityMessage};

/// A packet on its way through the agent.
pub(super) struct Received<'a> {
    pub(super) packet: &'a [u8],
    pub(super) source: Ipv6Addr,
    /// The home address of a Home Address option.
    pub(super) home_address_option: Option<Ipv6Addr>,
    /// Where the Mobility Header starts.
    pub(super) offset: usize,
}

impl<'a> Received<'a> {
    pub(super) fn message(&self) -> &'a [u8] {
        &self.packet[self.offset..]
    }

    /// Without the option the terminal speaks with its home address (RFC 6275 §9.5.1).
    pub(super) fn home_address(&self) -> Ipv6Addr {
        self.home_address_option.unwrap_or(self.source)
    }
}

impl MobilityManagementAgent {
    pub(super) fn receive(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        let (Ok(header), Ok(chain)) = (ipv6::Header::parse(packet), Chain::parse(packet)) else {
            self.counters.drop_header += 1;
            return;
        };
        if chain.fragment.is_some_and(|fragment| !fragment.is_atomic()) {
            self.counters.drop_fragment += 1;
            return;
        }
        let upper_end = header.total_length();
        if self.is_for_binding(meta, header.destination) {
            self.receive_for_binding(now, meta, &header, &chain, &packet[..upper_end.min(packet.len())]);
            return;
        }
        if chain.upper != protocol::MOBILITY || chain.upper_offset > upper_end {
            self.counters.drop_header += 1;
            return;
        }
        // A type 2 routing header is for terminals (RFC 6275 §6.4.1).
        if header.destination != self.config.address || chain.type2_routing.is_some() {
            self.counters.drop_destination += 1;
            return;
        }
        let received = Received {
            packet: &packet[..upper_end],
            source: header.source,
            home_address_option: chain.home_address.map(|option| option.home_address),
            offset: chain.upper_offset,
        };
        if !addr::is_routable_unicast(received.source) || !addr::is_routable_unicast(received.home_address()) {
            self.counters.drop_source += 1;
            return;
        }
        let message = received.message();
        if !mobility::verify_checksum(received.home_address(), header.destination, message) {
            self.counters.drop_checksum += 1;
            return;
        }
        let parsed = match mobility::parse(message) {
            Ok(parsed) => parsed,
            Err(error) => {
                match mobility::parameter_problem_pointer(error) {
                    Some(pointer) => {
                        self.counters.drop_framing += 1;
                        self.send_parameter_problem(now, &received, pointer);
                    }
                    None => self.counters.drop_malformed += 1,
                }
                return;
            }
        };
        self.counters.count_received(&parsed);
        match parsed {
            MobilityMessage::BindingUpdate(update) => self.update(now, &received, update),
            MobilityMessage::Unknown { .. } => self.send_binding_error(now, &received),
            _ => {}
        }
    }

    /// Status 2: the type of the message is not known (RFC 6275 §9.3.3).
    fn send_binding_error(&mut self, now: Instant, received: &Received<'_>) {
        if !self.error_limit.take(now) {
            self.counters.answer_rate_limited += 1;
            return;
        }
        self.counters.tx_binding_error += 1;
        let message = MobilityMessage::BindingError {
            status: BindingErrorStatus::UNRECOGNIZED_TYPE,
            home_address: received.home_address_option.unwrap_or(Ipv6Addr::UNSPECIFIED),
        };
        let packet = PacketBuilder::new(self.config.address, received.source);
        self.outputs.transmit(packet.checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT), Via::Route);
    }

    /// Code 0, pointing into the Mobility Header, to the packet's source (RFC 6275 §9.2, RFC 4443 §3.4).
    fn send_parameter_problem(&mut self, now: Instant, received: &Received<'_>, pointer: usize) {
        const PARAMETER_PROBLEM: u8 = 4;
        const ICMPV6_HEADER_LEN: usize = 8;
        if !self.error_limit.take(now) {
            self.counters.answer_rate_limited += 1;
            return;
        }
        self.counters.tx_parameter_problem += 1;
        let room = ipv6::MINIMUM_MTU - ipv6::HEADER_LEN - ICMPV6_HEADER_LEN;
        let quoted = &received.packet[..received.packet.len().min(room)];
        let pointer = (received.offset + pointer) as u32;
        let body = [&pointer.to_be_bytes(), quoted].concat();
        let packet = PacketBuilder::new(self.config.address, received.source);
        self.outputs.transmit(packet.icmpv6(PARAMETER_PROBLEM, 0, &body), Via::Route);
    }
}
