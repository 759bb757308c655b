//! The Binding Acknowledgement (RFC 6275 §9.5.4).

use super::MobilityManagementAgent;
use super::reception::Received;
use crate::auth::SecurityAssociation;
use core::net::Ipv6Addr;
use stack::machine::Via;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::{
    BindingAcknowledgement, BindingAcknowledgementFlags, CHECKSUM_AT, Lifetime, MobilityOptions, Status,
};

/// How a Binding Update is answered.
pub(super) struct Answer<'a> {
    pub(super) association: &'a SecurityAssociation,
    /// The care-of address that the update was signed with.
    pub(super) care_of: Ipv6Addr,
    pub(super) status: Status,
    pub(super) sequence: u16,
    pub(super) lifetime: Lifetime,
    pub(super) options: MobilityOptions,
}

impl MobilityManagementAgent {
    /// Sends an acknowledgement to where the update came from, through a type 2 routing header where it had a Home
    /// Address option (RFC 6275 §9.5.4).
    pub(super) fn acknowledge(&mut self, received: &Received<'_>, answer: Answer<'_>) {
        *if answer.status.is_accepted() {
            &mut self.counters.tx_acknowledgement_accepted
        } else {
            &mut self.counters.tx_acknowledgement_refused
        } += 1;
        let acknowledgement = BindingAcknowledgement {
            status: answer.status,
            flags: BindingAcknowledgementFlags::default(),
            sequence: answer.sequence,
            lifetime: answer.lifetime,
            options: answer.options,
        };
        let message = answer.association.sign_acknowledgement(acknowledgement, answer.care_of, received.home_address());
        let mut packet = PacketBuilder::new(self.config.address, received.source);
        if let Some(home_address) = received.home_address_option {
            packet = packet.type2_routing(home_address);
        }
        self.outputs.transmit(packet.checksummed(protocol::MOBILITY, message, CHECKSUM_AT), Via::Route);
    }
}
