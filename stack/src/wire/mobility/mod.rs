//! The Mobility Header and its messages (RFC 6275 §6.1).
//!
//! ```text
//!  0               1               2               3
//! | Payload Proto | Header Len    | MH Type       | Reserved      |
//! | Checksum                      | Message Data ...
//! ```
//!
//! [`parse`] and [`MobilityMessage::emit`] work from the Mobility Header on. The checksum covers the addresses of the
//! packet, so it is verified by [`verify_checksum`] and filled in by
//! [`PacketBuilder::checksummed`](super::build::PacketBuilder::checksummed). The options stand in [`option`], what RFC
//! 4285 authenticates in [`authentication`].
//!
//! The messages between access routers stand in [`handover`] and are [`MobilityMessage::Unknown`] here. Left out: the
//! others of RFC 5568, those of RFC 5846, 5847 and later; they are that too.

pub mod authentication;
mod field;
pub mod handover;
pub mod option;

pub use field::{BindingAcknowledgementFlags, BindingErrorStatus, BindingUpdateFlags, Lifetime, Status};
pub use option::MobilityOptions;

use super::error::{WireError, WireErrorKind, address_at, array, octet, slice, u16_at};
use super::{checksum, ipv6::protocol};
use core::net::Ipv6Addr;

/// Octets of the shortest Mobility Header, and the unit of its length field.
pub const UNIT: usize = 8;
/// Where the checksum stands.
pub const CHECKSUM_AT: usize = 4;

/// MH Type values (RFC 6275 §6.1.1).
pub mod kind {
    /// Binding Refresh Request.
    pub const BINDING_REFRESH_REQUEST: u8 = 0;
    /// Home Test Init.
    pub const HOME_TEST_INIT: u8 = 1;
    /// Care-of Test Init.
    pub const CARE_OF_TEST_INIT: u8 = 2;
    /// Home Test.
    pub const HOME_TEST: u8 = 3;
    /// Care-of Test.
    pub const CARE_OF_TEST: u8 = 4;
    /// Binding Update.
    pub const BINDING_UPDATE: u8 = 5;
    /// Binding Acknowledgement.
    pub const BINDING_ACKNOWLEDGEMENT: u8 = 6;
    /// Binding Error.
    pub const BINDING_ERROR: u8 = 7;
    /// Handover Initiate (RFC 5568 §6.2.1.1).
    pub const HANDOVER_INITIATE: u8 = 14;
    /// Handover Acknowledge (RFC 5568 §6.2.1.2).
    pub const HANDOVER_ACKNOWLEDGE: u8 = 15;
}

/// A Mobility Header message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MobilityMessage {
    /// The correspondent asks for a fresh Binding Update (RFC 6275 §6.1.2).
    BindingRefreshRequest {
        /// Mobility options.
        options: MobilityOptions,
    },
    /// Return routability through the home address (§6.1.3).
    HomeTestInit {
        /// Home init cookie.
        cookie: [u8; 8],
    },
    /// Return routability through the care-of address (§6.1.4).
    CareOfTestInit {
        /// Care-of init cookie.
        cookie: [u8; 8],
    },
    /// Answer to Home Test Init (§6.1.5).
    HomeTest(TestAnswer),
    /// Answer to Care-of Test Init (§6.1.6).
    CareOfTest(TestAnswer),
    /// A terminal's new binding (§6.1.7).
    BindingUpdate(BindingUpdate),
    /// What became of a Binding Update (§6.1.8).
    BindingAcknowledgement(BindingAcknowledgement),
    /// A packet that needs a binding, or understanding, that is not there (§6.1.9).
    BindingError {
        /// What is wrong.
        status: BindingErrorStatus,
        /// The home address of the packet; unspecified where it had none.
        home_address: Ipv6Addr,
    },
    /// A message that this stack does not know: answered by Binding Error status 2 (§9.2).
    Unknown {
        /// MH Type.
        kind: u8,
    },
}

/// Home Test or Care-of Test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TestAnswer {
    /// The nonce from which the token was made.
    pub nonce_index: u16,
    /// The cookie of the question.
    pub cookie: [u8; 8],
    /// Keygen token.
    pub token: [u8; 8],
}

/// Binding Update (RFC 6275 §6.1.7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindingUpdate {
    /// Sequence number, compared modulo 2^16 (§9.5.1).
    pub sequence: u16,
    /// Flags.
    pub flags: BindingUpdateFlags,
    /// Lifetime that the terminal asks for; zero removes the binding.
    pub lifetime: Lifetime,
    /// Mobility options.
    pub options: MobilityOptions,
}

/// Binding Acknowledgement (RFC 6275 §6.1.8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindingAcknowledgement {
    /// Whether the update was accepted, or why not.
    pub status: Status,
    /// Flags.
    pub flags: BindingAcknowledgementFlags,
    /// That of the Binding Update; with status 135 the last one accepted.
    pub sequence: u16,
    /// Lifetime granted.
    pub lifetime: Lifetime,
    /// Mobility options.
    pub options: MobilityOptions,
}

impl From<BindingUpdate> for MobilityMessage {
    fn from(message: BindingUpdate) -> Self {
        MobilityMessage::BindingUpdate(message)
    }
}

impl From<BindingAcknowledgement> for MobilityMessage {
    fn from(message: BindingAcknowledgement) -> Self {
        MobilityMessage::BindingAcknowledgement(message)
    }
}

/// Reads the message at the start of `message`. What stands behind the length that the header gives is ignored, as RFC
/// 8200 §4.7 asks. The checksum is not looked at; see [`verify_checksum`].
///
/// # Errors
/// The order is that of RFC 6275 §9.2: an unknown type is no error but [`MobilityMessage::Unknown`]; `Value` at 0 for
/// a payload protocol other than 59; `Length` at 1 for a header too short for its type; these two are answered with
/// ICMPv6 Parameter Problem ([`parameter_problem_pointer`]). `Truncated` for a message shorter than it says, and the
/// errors of [`MobilityOptions::parse`].
pub fn parse(message: &[u8]) -> Result<MobilityMessage, WireError> {
    let (payload_protocol, header_length, kind) = (octet(message, 0)?, octet(message, 1)?, octet(message, 2)?);
    let minimum = match kind {
        kind::BINDING_REFRESH_REQUEST => 0,
        kind::HOME_TEST_INIT | kind::CARE_OF_TEST_INIT => 1,
        kind::BINDING_UPDATE | kind::BINDING_ACKNOWLEDGEMENT => 1,
        kind::HOME_TEST | kind::CARE_OF_TEST | kind::BINDING_ERROR => 2,
        _ => return Ok(MobilityMessage::Unknown { kind }),
    };
    if payload_protocol != protocol::NONE {
        return Err(WireError::new(WireErrorKind::Value, 0));
    }
    if header_length < minimum {
        return Err(WireError::new(WireErrorKind::Length, 1));
    }
    let message = slice(message, 0, total_length(header_length))?;
    Ok(match kind {
        kind::BINDING_REFRESH_REQUEST => {
            MobilityMessage::BindingRefreshRequest { options: MobilityOptions::parse(message, 8)? }
        }
        kind::HOME_TEST_INIT => MobilityMessage::HomeTestInit { cookie: array(message, 8)? },
        kind::CARE_OF_TEST_INIT => MobilityMessage::CareOfTestInit { cookie: array(message, 8)? },
        kind::HOME_TEST => MobilityMessage::HomeTest(TestAnswer::parse(message)?),
        kind::CARE_OF_TEST => MobilityMessage::CareOfTest(TestAnswer::parse(message)?),
        kind::BINDING_UPDATE => MobilityMessage::BindingUpdate(BindingUpdate {
            sequence: u16_at(message, 6)?,
            flags: BindingUpdateFlags(u16_at(message, 8)?),
            lifetime: Lifetime(u16_at(message, 10)?),
            options: MobilityOptions::parse(message, 12)?,
        }),
        kind::BINDING_ACKNOWLEDGEMENT => MobilityMessage::BindingAcknowledgement(BindingAcknowledgement {
            status: Status(octet(message, 6)?),
            flags: BindingAcknowledgementFlags(octet(message, 7)?),
            sequence: u16_at(message, 8)?,
            lifetime: Lifetime(u16_at(message, 10)?),
            options: MobilityOptions::parse(message, 12)?,
        }),
        _ => MobilityMessage::BindingError {
            status: BindingErrorStatus(octet(message, 6)?),
            home_address: address_at(message, 8)?,
        },
    })
}

/// Whether the checksum of the message at the start of `message` holds. The addresses are those that the packet's ends
/// see: the home address in place of the one that a Home Address option or a type 2 routing header swaps (RFC 6275
/// §6.1.1). A message shorter than it says does not hold.
pub fn verify_checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> bool {
    octet(message, 1)
        .and_then(|header_length| slice(message, 0, total_length(header_length)))
        .is_ok_and(|message| checksum::verify(source, destination, protocol::MOBILITY, message))
}

/// Where the ICMPv6 Parameter Problem, code 0, that answers this error of [`parse`] points, counted from the Mobility
/// Header; `None` for errors that are dropped in silence (RFC 6275 §9.2).
pub const fn parameter_problem_pointer(error: WireError) -> Option<usize> {
    match (error.kind, error.offset) {
        (WireErrorKind::Value, 0) => Some(0),
        (WireErrorKind::Length, 1) => Some(1),
        _ => None,
    }
}

const fn total_length(header_length: u8) -> usize {
    UNIT + UNIT * header_length as usize
}

impl TestAnswer {
    fn parse(message: &[u8]) -> Result<Self, WireError> {
        Ok(TestAnswer { nonce_index: u16_at(message, 6)?, cookie: array(message, 8)?, token: array(message, 16)? })
    }

    fn emit(&self, message: &mut Vec<u8>) {
        message[6..8].copy_from_slice(&self.nonce_index.to_be_bytes());
        message.extend_from_slice(&self.cookie);
        message.extend_from_slice(&self.token);
    }
}

impl MobilityMessage {
    /// MH Type.
    pub const fn kind(&self) -> u8 {
        match self {
            MobilityMessage::BindingRefreshRequest { .. } => kind::BINDING_REFRESH_REQUEST,
            MobilityMessage::HomeTestInit { .. } => kind::HOME_TEST_INIT,
            MobilityMessage::CareOfTestInit { .. } => kind::CARE_OF_TEST_INIT,
            MobilityMessage::HomeTest(_) => kind::HOME_TEST,
            MobilityMessage::CareOfTest(_) => kind::CARE_OF_TEST,
            MobilityMessage::BindingUpdate(_) => kind::BINDING_UPDATE,
            MobilityMessage::BindingAcknowledgement(_) => kind::BINDING_ACKNOWLEDGEMENT,
            MobilityMessage::BindingError { .. } => kind::BINDING_ERROR,
            MobilityMessage::Unknown { kind } => *kind,
        }
    }

    /// The message from the Mobility Header on, with a checksum of zero, padded to a multiple of eight octets.
    ///
    /// # Panics
    /// Where the options are longer than the header can say, 2,040 octets: the caller chose them.
    pub fn emit(&self) -> Vec<u8> {
        let mut message = vec![protocol::NONE, 0, self.kind(), 0, 0, 0, 0, 0];
        match self {
            MobilityMessage::BindingRefreshRequest { options } => options.emit(&mut message),
            MobilityMessage::HomeTestInit { cookie } | MobilityMessage::CareOfTestInit { cookie } => {
                message.extend_from_slice(cookie);
            }
            MobilityMessage::HomeTest(answer) | MobilityMessage::CareOfTest(answer) => answer.emit(&mut message),
            MobilityMessage::BindingUpdate(update) => {
                message[6..8].copy_from_slice(&update.sequence.to_be_bytes());
                message.extend_from_slice(&update.flags.0.to_be_bytes());
                message.extend_from_slice(&update.lifetime.0.to_be_bytes());
                update.options.emit(&mut message);
            }
            MobilityMessage::BindingAcknowledgement(acknowledgement) => {
                message[6] = acknowledgement.status.0;
                message[7] = acknowledgement.flags.0;
                message.extend_from_slice(&acknowledgement.sequence.to_be_bytes());
                message.extend_from_slice(&acknowledgement.lifetime.0.to_be_bytes());
                acknowledgement.options.emit(&mut message);
            }
            MobilityMessage::BindingError { status, home_address } => {
                message[6] = status.0;
                message.extend_from_slice(&home_address.octets());
            }
            MobilityMessage::Unknown { .. } => {}
        }
        let units = message.len().div_ceil(UNIT);
        option::pad(&mut message, units * UNIT);
        message[1] = u8::try_from(units - 1).expect("a message fits its length field");
        message
    }
}

#[cfg(test)]
mod tests;
