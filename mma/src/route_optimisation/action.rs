//! What an initiator has its owner do.

use core::net::Ipv6Addr;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::{CHECKSUM_AT, MobilityMessage};

/// What the owner has to do, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send a Home Test Init: from the home address, through the tunnel to the home agent where the terminal is away.
    SendHomeTestInit {
        /// Source.
        home_address: Ipv6Addr,
        /// Destination.
        correspondent: Ipv6Addr,
        /// Home init cookie.
        cookie: [u8; 8],
    },
    /// Send a Care-of Test Init from the care-of address.
    SendCareOfTestInit {
        /// Source.
        care_of: Ipv6Addr,
        /// Destination.
        correspondent: Ipv6Addr,
        /// Care-of init cookie.
        cookie: [u8; 8],
    },
    /// Send a Binding Update.
    SendUpdate {
        /// Home address, for a Home Address option unless it is the source.
        home_address: Ipv6Addr,
        /// Source: the care-of address, or the home address at home.
        source: Ipv6Addr,
        /// Destination.
        correspondent: Ipv6Addr,
        /// The message from its Mobility Header on, signed; its checksum is zero.
        message: Vec<u8>,
    },
    /// The correspondent has a binding, or is not to be thought to have one any more.
    Optimised {
        /// Home address.
        home_address: Ipv6Addr,
        /// Correspondent.
        correspondent: Ipv6Addr,
        /// Whether it has.
        state: Optimisation,
    },
    /// The sequence number with a preconfigured key, to be written down before the next action is carried out
    /// (RFC 4449 §4).
    KeepSequence {
        /// Home address.
        home_address: Ipv6Addr,
        /// Correspondent.
        correspondent: Ipv6Addr,
        /// The number that is used.
        sequence: u16,
    },
}

/// Whether a correspondent has a binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Optimisation {
    /// To this care-of address.
    On {
        /// Care-of address.
        care_of: Ipv6Addr,
    },
    /// None.
    Off,
}

impl Action {
    /// The packet to send, complete; that of a Home Test Init is still to be tunnelled. `None` where nothing is sent.
    pub fn packet(&self) -> Option<Vec<u8>> {
        let (builder, message) = match self {
            &Action::SendHomeTestInit { home_address, correspondent, cookie } => {
                (PacketBuilder::new(home_address, correspondent), MobilityMessage::HomeTestInit { cookie }.emit())
            }
            &Action::SendCareOfTestInit { care_of, correspondent, cookie } => {
                (PacketBuilder::new(care_of, correspondent), MobilityMessage::CareOfTestInit { cookie }.emit())
            }
            Action::SendUpdate { home_address, source, correspondent, message } => {
                let builder = PacketBuilder::new(*source, *correspondent);
                let away = source != home_address;
                (if away { builder.home_address(*home_address) } else { builder }, message.clone())
            }
            Action::Optimised { .. } | Action::KeepSequence { .. } => return None,
        };
        Some(builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT))
    }
}
