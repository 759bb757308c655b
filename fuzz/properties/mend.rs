//! What makes hostile octets good enough to be looked at further: checksums that hold, and signatures by who has the key.

use core::net::Ipv6Addr;
use mma::auth::SecurityAssociation;
use stack::wire::build::PacketBuilder;
use stack::wire::checksum;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{Header, protocol};
use stack::wire::mobility::{self, BindingUpdate, CHECKSUM_AT, MobilityMessage};

/// Where the checksum of an ICMPv6 message stands.
const ICMPV6_CHECKSUM_AT: usize = 2;

/// A packet with a Mobility Header, taken apart without a look at its checksum.
#[derive(Clone, Debug)]
pub(crate) struct Opened<'a> {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    home_address_option: Option<Ipv6Addr>,
    routed_to: Option<Ipv6Addr>,
    /// From the Mobility Header on.
    pub(crate) message: &'a [u8],
}

impl<'a> Opened<'a> {
    pub(crate) fn of(packet: &'a [u8]) -> Option<Self> {
        let header = Header::parse(packet).ok()?;
        let packet = &packet[..header.total_length()];
        let chain = Chain::parse(packet).ok()?;
        (chain.upper == protocol::MOBILITY).then_some(())?;
        Some(Opened {
            source: header.source,
            destination: header.destination,
            home_address_option: chain.home_address.map(|option| option.home_address),
            routed_to: chain.type2_routing.map(|routing| routing.home_address),
            message: packet.get(chain.upper_offset..)?,
        })
    }

    /// The home address of its sender.
    pub(crate) fn home_address(&self) -> Ipv6Addr {
        self.home_address_option.unwrap_or(self.source)
    }

    /// The home address of its receiver.
    pub(crate) fn bound(&self) -> Ipv6Addr {
        self.routed_to.unwrap_or(self.destination)
    }

    pub(crate) fn update(&self) -> Option<BindingUpdate> {
        match mobility::parse(self.message) {
            Ok(MobilityMessage::BindingUpdate(update)) => Some(update),
            _ => None,
        }
    }

    /// Whether the holder of the association has signed this Binding Update, for its care-of address or its source.
    pub(crate) fn is_update_signed_by(&self, association: &SecurityAssociation) -> bool {
        let care_of = self.update().and_then(|update| update.options.alternate_care_of_address);
        let signed_for = |care_of| association.verify(self.message, care_of, self.home_address());
        care_of.is_some_and(signed_for) || signed_for(self.source)
    }

    /// The same packet with another message.
    pub(crate) fn with(&self, message: Vec<u8>) -> Vec<u8> {
        let mut builder = PacketBuilder::new(self.source, self.destination);
        if let Some(home_address) = self.routed_to {
            builder = builder.type2_routing(home_address);
        }
        if let Some(home_address) = self.home_address_option {
            builder = builder.home_address(home_address);
        }
        builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
    }
}

/// The packet with a Binding Update that `sign` signs, as the holder of a key would send it: given the update, what it
/// registers and the home address. `None` where there is no Binding Update in it.
pub(crate) fn signed_update(
    packet: &[u8],
    sign: impl FnOnce(BindingUpdate, Ipv6Addr, Ipv6Addr) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let opened = Opened::of(packet)?;
    let update = opened.update()?;
    let care_of = update.options.alternate_care_of_address.unwrap_or(opened.source);
    Some(opened.with(sign(update, care_of, opened.home_address())?))
}

/// The packet with a checksum that holds, as far as it has one.
pub(crate) fn summed(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    mend_checksum(&mut packet);
    packet
}

fn mend_checksum(packet: &mut [u8]) {
    let (Ok(header), Ok(chain)) = (Header::parse(packet), Chain::parse(packet)) else { return };
    let (start, mut end) = (chain.upper_offset, header.total_length());
    let at = match chain.upper {
        protocol::MOBILITY => {
            let Some(&units) = packet.get(start + 1) else { return };
            end = start + 8 + 8 * usize::from(units);
            CHECKSUM_AT
        }
        protocol::ICMPV6 => ICMPV6_CHECKSUM_AT,
        _ => return,
    };
    if end > header.total_length() || start + at + 2 > end {
        return;
    }
    let source = chain.home_address.map_or(header.source, |option| option.home_address);
    let destination = match chain.type2_routing {
        Some(routing) if routing.segments_left > 0 => routing.home_address,
        _ => header.destination,
    };
    packet[start + at..start + at + 2].fill(0);
    let sum = checksum::upper_layer(source, destination, chain.upper, &packet[start..end]);
    packet[start + at..start + at + 2].copy_from_slice(&sum.to_be_bytes());
}
