//! PIM messages (RFC 7761 §4.9), IPv6 only.

mod address;
mod assert;
mod bootstrap;
mod candidate_rp;
mod hello;
mod join_prune;
mod register;

pub use address::{EncodedGroup, EncodedSource, EncodedUnicast};
pub use assert::Assert;
pub use bootstrap::{
    BOOTSTRAP_LEN, Bootstrap, MAX_RP_RANGES, MAX_RPS_PER_RANGE, RP_ENTRY_LEN, RP_RANGE_LEN, RpEntry, RpRange,
};
pub use candidate_rp::{CANDIDATE_RP_LEN, CandidateRpAdvertisement};
pub use hello::{HOLDTIME_FOREVER, Hello, LanPruneDelay, MAX_SECONDARY_ADDRESSES};
pub use join_prune::{GROUP_SET_LEN, GroupSet, JOIN_PRUNE_LEN, JoinPrune, MAX_GROUP_SETS, SOURCE_LEN};
pub use register::{Register, RegisterStop};

use core::net::Ipv6Addr;
use stack::addr::ALL_PIM_ROUTERS;
use stack::wire::build::PacketBuilder;
use stack::wire::error::{WireError, WireErrorKind, octet, slice};
use stack::wire::{checksum, ipv6::protocol};

/// Octets of the header of every PIM message.
pub const HEADER_LEN: usize = 4;
/// The version of the protocol.
pub const VERSION: u8 = 2;
/// The N bit of a Bootstrap message, in the second octet of its header (RFC 5059 §4.1).
const NO_FORWARD: u8 = 0x80;
/// Octets of a Register message that its checksum covers (§4.9).
const REGISTER_CHECKSUM_LEN: usize = 8;

/// Type of a PIM message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageType {
    /// Type 0.
    Hello,
    /// Type 1.
    Register,
    /// Type 2.
    RegisterStop,
    /// Type 3.
    JoinPrune,
    /// Type 4.
    Bootstrap,
    /// Type 5.
    Assert,
    /// Type 8.
    CandidateRpAdvertisement,
}

impl MessageType {
    /// The type field.
    pub const fn value(self) -> u8 {
        match self {
            MessageType::Hello => 0,
            MessageType::Register => 1,
            MessageType::RegisterStop => 2,
            MessageType::JoinPrune => 3,
            MessageType::Bootstrap => 4,
            MessageType::Assert => 5,
            MessageType::CandidateRpAdvertisement => 8,
        }
    }

    /// The type with this value; `None` for those of PIM-DM and for unknown ones.
    pub const fn new(value: u8) -> Option<Self> {
        Some(match value {
            0 => MessageType::Hello,
            1 => MessageType::Register,
            2 => MessageType::RegisterStop,
            3 => MessageType::JoinPrune,
            4 => MessageType::Bootstrap,
            5 => MessageType::Assert,
            8 => MessageType::CandidateRpAdvertisement,
            _ => return None,
        })
    }

    /// Whether messages of this type go to ALL-PIM-ROUTERS and stay on the link (the table of §4.9).
    pub const fn is_link_local(self) -> bool {
        matches!(self, MessageType::Hello | MessageType::JoinPrune | MessageType::Bootstrap | MessageType::Assert)
    }
}

/// A PIM message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Hello (§4.9.2).
    Hello(Hello),
    /// Register (§4.9.3).
    Register(Register),
    /// Register-Stop (§4.9.4).
    RegisterStop(RegisterStop),
    /// Join/Prune (§4.9.5).
    JoinPrune(JoinPrune),
    /// Assert (§4.9.6).
    Assert(Assert),
    /// Bootstrap (RFC 5059 §4.1).
    Bootstrap(Bootstrap),
    /// Candidate-RP-Advertisement (RFC 5059 §4.2).
    CandidateRpAdvertisement(CandidateRpAdvertisement),
}

impl Message {
    /// Reads a message: what follows the IPv6 header and its extension headers of a packet with these addresses.
    ///
    /// # Errors
    /// `Version` for a version other than 2, `Value` for an unknown type, `Checksum`, and what the body's parser says.
    pub fn parse(source: Ipv6Addr, destination: Ipv6Addr, bytes: &[u8]) -> Result<Self, WireError> {
        let first = octet(bytes, 0)?;
        if first >> 4 != VERSION {
            return Err(WireError::new(WireErrorKind::Version, 0));
        }
        let kind = MessageType::new(first & 0xf).ok_or(WireError::new(WireErrorKind::Value, 0))?;
        slice(bytes, 0, HEADER_LEN)?;
        let verifies = |covered| checksum::verify(source, destination, protocol::PIM, covered);
        let is_right = match kind {
            // Some cover the whole message (§4.9.3).
            MessageType::Register => verifies(slice(bytes, 0, REGISTER_CHECKSUM_LEN)?) || verifies(bytes),
            _ => verifies(bytes),
        };
        if !is_right {
            return Err(WireError::new(WireErrorKind::Checksum, 2));
        }
        let body = &bytes[HEADER_LEN..];
        match kind {
            MessageType::Hello => Hello::parse(body).map(Message::Hello),
            MessageType::Register => Register::parse(body).map(Message::Register),
            MessageType::RegisterStop => RegisterStop::parse(body).map(Message::RegisterStop),
            MessageType::JoinPrune => JoinPrune::parse(body).map(Message::JoinPrune),
            MessageType::Assert => Assert::parse(body).map(Message::Assert),
            MessageType::Bootstrap => Bootstrap::parse(bytes[1] & NO_FORWARD != 0, body).map(Message::Bootstrap),
            MessageType::CandidateRpAdvertisement => {
                CandidateRpAdvertisement::parse(body).map(Message::CandidateRpAdvertisement)
            }
        }
        .map_err(|error| error.shift(HEADER_LEN))
    }
}

/// The packet of a Bootstrap message to ALL-PIM-ROUTERS.
pub(crate) fn bootstrap_packet(source: Ipv6Addr, message: &Bootstrap) -> Vec<u8> {
    let flags = if message.no_forward { NO_FORWARD } else { 0 };
    let mut octets = vec![VERSION << 4 | MessageType::Bootstrap.value(), flags, 0, 0];
    message.emit(&mut octets);
    PacketBuilder::new(source, ALL_PIM_ROUTERS).hop_limit(1).traffic_class(INTERNETWORK_CONTROL).checksummed(
        protocol::PIM,
        octets,
        2,
    )
}

/// The packet of a Candidate-RP-Advertisement to the bootstrap router.
pub(crate) fn candidate_rp_packet(source: Ipv6Addr, bsr: Ipv6Addr, message: &CandidateRpAdvertisement) -> Vec<u8> {
    let mut octets = vec![VERSION << 4 | MessageType::CandidateRpAdvertisement.value(), 0, 0, 0];
    message.emit(&mut octets);
    PacketBuilder::new(source, bsr).traffic_class(INTERNETWORK_CONTROL).checksummed(protocol::PIM, octets, 2)
}

/// A whole packet to ALL-PIM-ROUTERS, hop limit 1, with a message of this type and body.
pub fn packet(source: Ipv6Addr, kind: MessageType, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = vec![VERSION << 4 | kind.value(), 0, 0, 0];
    body(&mut message);
    PacketBuilder::new(source, ALL_PIM_ROUTERS).hop_limit(1).traffic_class(INTERNETWORK_CONTROL).checksummed(
        protocol::PIM,
        message,
        2,
    )
}

/// A whole packet from here to another router of the domain, as far away as it may be, with a message of this type and
/// body. The checksum covers the whole message.
pub fn unicast_packet(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    kind: MessageType,
    body: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut message = vec![VERSION << 4 | kind.value(), 0, 0, 0];
    body(&mut message);
    let builder = PacketBuilder::new(source, destination).traffic_class(INTERNETWORK_CONTROL);
    if kind == MessageType::Register {
        // The checksum is that of the first octets alone (§4.9.3).
        let sum = checksum::upper_layer(source, destination, protocol::PIM, &message[..REGISTER_CHECKSUM_LEN]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        return builder.payload(protocol::PIM, &message);
    }
    builder.checksummed(protocol::PIM, message, 2)
}

/// DSCP CS6, network control (RFC 4594 §3.1), as a traffic class.
const INTERNETWORK_CONTROL: u8 = 0xc0;

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn hello_packet() -> Vec<u8> {
        let hello = Hello { holdtime: Some(105), generation_id: Some(7), ..Hello::default() };
        packet(SOURCE, MessageType::Hello, |b| hello.emit(b))
    }

    #[test]
    fn header_of_a_packet() {
        let packet = hello_packet();
        assert_eq!(&packet[..8], [0x6c, 0, 0, 0, 0, 18, 103, 1]);
        assert_eq!(packet[40], 0x20);
        assert!(matches!(Message::parse(SOURCE, ALL_PIM_ROUTERS, &packet[40..]), Ok(Message::Hello(_))));
    }

    #[test]
    fn refuses_version_type_and_checksum() {
        let message = hello_packet()[40..].to_vec();
        let error = |m: &[u8]| Message::parse(SOURCE, ALL_PIM_ROUTERS, m).unwrap_err().kind;
        for (octet, kind) in
            [(0x10, WireErrorKind::Version), (0x26, WireErrorKind::Value), (0x2f, WireErrorKind::Value)]
        {
            let mut bad = message.clone();
            bad[0] = octet;
            assert_eq!(error(&bad), kind);
        }
        for at in 1..message.len() {
            let mut bad = message.clone();
            bad[at] ^= 1;
            assert_eq!(error(&bad), WireErrorKind::Checksum, "octet {at}");
        }
        for cut in 0..message.len() {
            assert!(Message::parse(SOURCE, ALL_PIM_ROUTERS, &message[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_register_is_checked_over_eight_octets_or_over_all() {
        let (to, group) = (Ipv6Addr::LOCALHOST, "ff15::1".parse().unwrap());
        let packet = unicast_packet(SOURCE, to, MessageType::Register, |b| Register::emit_null(SOURCE, group, b));
        assert_eq!((packet[6], packet[7], packet[40]), (103, 64, 0x21));
        let mut register = packet[40..].to_vec();
        assert_eq!(checksum::upper_layer(SOURCE, to, protocol::PIM, &register[..8]), 0);
        let expected = Ok(Message::Register(Register { is_null: true, source: SOURCE, group }));
        assert_eq!(Message::parse(SOURCE, to, &register), expected);
        register[2..4].copy_from_slice(&[0, 0]);
        assert_eq!(Message::parse(SOURCE, to, &register).unwrap_err().kind, WireErrorKind::Checksum);
        let sum = checksum::upper_layer(SOURCE, to, protocol::PIM, &register);
        register[2..4].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(Message::parse(SOURCE, to, &register), expected);
    }
}
