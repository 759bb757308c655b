//! Where the authenticators of Binding Updates and Binding Acknowledgements stand, and of the messages between access
//! routers.
//!
//! What RFC 4285 authenticates: the care-of address, the home address, and the Mobility Header up to and including the
//! SPI of the authentication option, with the checksum zero (RFC 4285 §5.1).
//!
//! A signer emits the message with authentication data of the right length and any content, has [`locate`] find the
//! option, runs its code over the three parts of [`Span::mobility_data`] and writes the result to [`Span::data`]. A
//! verifier does the same with the message that it received and compares. RFC 6275 has an option of its own for return routability,
//! [`locate_authorization_data`]. Nothing here knows a key.
//!
//! Messages between access routers are about no home address: the addresses of sender and receiver stand in the places
//! of care-of address and home address.

use super::option::{Authentication, kind, walk};
use super::{CHECKSUM_AT, handover};
use core::net::Ipv6Addr;
use core::ops::Range;

/// Where the options of Binding Update and Binding Acknowledgement start.
const OPTIONS_AT: usize = 12;

/// Where an authentication option stands in a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// Octets of the message that are authenticated: all up to and including the SPI.
    pub covered: usize,
    /// Mobility security parameter index.
    pub spi: u32,
    /// The authentication data.
    pub data: Range<usize>,
}

/// Finds the MN-HA authentication option of a Binding Update, a Binding Acknowledgement or a message between access
/// routers, given from its Mobility Header on. `None` where there is none or the message is not well formed.
pub fn locate(message: &[u8]) -> Option<Span> {
    let (message, options_at) = match handover::is_handover(message) {
        true => (whole(message)?, handover::OPTIONS_AT),
        false => (binding_message(message)?, OPTIONS_AT),
    };
    walk(message, options_at).map_while(Result::ok).find_map(|raw| match (raw.kind, raw.data) {
        (kind::AUTHENTICATION, &[Authentication::MN_HA, a, b, c, d, ..]) => {
            let covered = raw.at + 2 + 5;
            Some(Span { covered, spi: u32::from_be_bytes([a, b, c, d]), data: covered..covered + raw.data.len() - 5 })
        }
        _ => None,
    })
}

/// Finds the authenticator of a Binding Authorization Data option (RFC 6275 §6.2.7) in a Binding Update or Binding
/// Acknowledgement, given from its Mobility Header on. `None` where there is none, it has another length than the 96
/// bits of return routability, anything follows it, padding too, or the message is not well formed.
pub fn locate_authorization_data(message: &[u8]) -> Option<Range<usize>> {
    const LENGTH: usize = 12;
    let message = binding_message(message)?;
    let last = walk(message, OPTIONS_AT).map_while(Result::ok).last()?;
    let data = last.at + 2..last.at + 2 + last.data.len();
    let found = last.kind == kind::BINDING_AUTHORIZATION_DATA && data.len() == LENGTH && data.end == message.len();
    found.then_some(data)
}

/// The message that a Mobility Header with options from [`OPTIONS_AT`] on says it is.
fn binding_message(message: &[u8]) -> Option<&[u8]> {
    let message = whole(message)?;
    matches!(message[2], super::kind::BINDING_UPDATE | super::kind::BINDING_ACKNOWLEDGEMENT).then_some(message)
}

/// As much as the Mobility Header says.
fn whole(message: &[u8]) -> Option<&[u8]> {
    message.get(..super::total_length(*message.get(1)?))
}

impl Span {
    /// The octets to authenticate, in order, given the message in which this option was found.
    ///
    /// # Panics
    /// Where `message` is not that message.
    pub fn mobility_data(&self, care_of: Ipv6Addr, home_address: Ipv6Addr, message: &[u8]) -> Vec<u8> {
        let mut data = Vec::with_capacity(32 + self.covered);
        data.extend_from_slice(&care_of.octets());
        data.extend_from_slice(&home_address.octets());
        data.extend_from_slice(&message[..self.covered]);
        data[32 + CHECKSUM_AT..32 + CHECKSUM_AT + 2].fill(0);
        data
    }
}
