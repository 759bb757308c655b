//! The messages between access routers (RFC 5568 §6.2.1) and the multicast options in them (RFC 7411 §5.3, §5.4).
//!
//! ```text
//!  0               1               2               3
//!                                  | Sequence #                    |      Handover Initiate: S, U;
//! |S|U| Reserved  | Code          | Mobility options ...                 Handover Acknowledge: neither
//!
//! | 60 | words | option code | reserved | 0, 0 | M | M multicast address records |
//! | 61 | words | 0           | status   | 0, 0 | M | those that were not taken   |
//! ```
//!
//! These two options give their length in 32-bit words behind their first four octets, where all other options give it in
//! octets behind their first two: only in these messages, and so only read here. [`parse`] stands beside
//! [`super::parse`], for which these messages are ones of a type that it does not know: a node that takes no part in
//! handovers answers them so (RFC 6275 §9.2).
//!
//! Left out: the options of RFC 5568 §6.4 for addresses and prefixes, which are skipped.

use super::super::build::PacketBuilder;
use super::super::error::{WireError, WireErrorKind, array, octet, slice, u16_at, u32_at};
use super::super::ipv6::protocol;
use super::super::mld::{MAX_RECORDS, Record};
use super::option::{Authentication, Raw, append, kind as option_kind, pad, walk};
use super::{CHECKSUM_AT, UNIT, kind, total_length};
use core::net::Ipv6Addr;

/// Where the options start.
pub(super) const OPTIONS_AT: usize = 10;
/// Octets of records that an option holds at the most, of the 1,020 that its length can say (RFC 7411 §5.5): with it, a
/// timestamp and an authenticator a message fits the smallest MTU.
pub const MAX_RECORDS_LEN: usize = 1000;
/// Octets in front of the records.
const PAYLOAD_HEADER_LEN: usize = 4;

/// Handover Initiate or Handover Acknowledge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandoverMessage {
    /// Of one access router to another.
    Initiate(HandoverInitiate),
    /// Its answer.
    Acknowledge(HandoverAcknowledge),
}

/// Handover Initiate (RFC 5568 §6.2.1.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandoverInitiate {
    /// Tells which answer is to which message.
    pub sequence: u16,
    /// S: an address is asked for.
    pub assign_address: bool,
    /// U: packets for the node are to be kept until it comes.
    pub buffer: bool,
    /// [`HandoverInitiate::PREDICTIVE`] or [`HandoverInitiate::REACTIVE`].
    pub code: u8,
    /// Its options.
    pub options: HandoverOptions,
}

impl HandoverInitiate {
    /// Code of a message about a node that has not left yet.
    pub const PREDICTIVE: u8 = 0;
    /// Code of a message about a node that has come to its new router already.
    pub const REACTIVE: u8 = 1;
}

/// Handover Acknowledge (RFC 5568 §6.2.1.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandoverAcknowledge {
    /// That of the message that is answered.
    pub sequence: u16,
    /// What became of it.
    pub code: HandoverCode,
    /// Its options.
    pub options: HandoverOptions,
}

/// Code of a Handover Acknowledge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HandoverCode(pub u8);

impl HandoverCode {
    /// Handover accepted.
    pub const ACCEPTED: Self = Self(0);
    /// Not accepted, reason unspecified.
    pub const REASON_UNSPECIFIED: Self = Self(128);
    /// Administratively prohibited.
    pub const ADMINISTRATIVELY_PROHIBITED: Self = Self(129);
    /// Insufficient resources.
    pub const INSUFFICIENT_RESOURCES: Self = Self(130);

    /// Whether the handover was accepted.
    pub const fn is_accepted(self) -> bool {
        self.0 < 128
    }
}

/// The options of these messages, each of which stands there once at the most.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HandoverOptions {
    /// Multicast Mobility Option (RFC 7411 §5.3).
    pub multicast: Option<MulticastOption>,
    /// Multicast Acknowledgement Option (RFC 7411 §5.4).
    pub multicast_acknowledgement: Option<MulticastAcknowledgement>,
    /// A timestamp in NTP format against replay (RFC 4285 §6).
    pub message_id: Option<u64>,
    /// Authenticator (RFC 4285 §5); it is the last option.
    pub authentication: Option<Authentication>,
}

/// What nodes listen to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MulticastOption {
    /// Kind of report: [`MulticastOption::MLDV2`], [`MulticastOption::MLDV2_OF_V1`], or one of IPv4.
    pub code: u8,
    /// The records whose type is known; none where the report is one of IPv4.
    pub records: Vec<Record>,
}

impl MulticastOption {
    /// Option code of an MLDv2 report.
    pub const MLDV2: u8 = 2;
    /// Option code of an MLDv2 report in place of version 1 messages.
    pub const MLDV2_OF_V1: u8 = 4;

    /// Whether its records are those of MLD.
    pub const fn is_mld(&self) -> bool {
        matches!(self.code, Self::MLDV2 | Self::MLDV2_OF_V1)
    }
}

/// What became of a Multicast Mobility Option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MulticastAcknowledgement {
    /// Why `refused` were.
    pub status: MulticastStatus,
    /// The records that were not taken.
    pub refused: Vec<Record>,
}

/// Status of a Multicast Acknowledgement Option.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MulticastStatus(pub u8);

impl MulticastStatus {
    /// All were taken. RFC 7411 §5.4 has no number for it, and does not leave the option out either.
    pub const TAKEN: Self = Self(0);
    /// The kind of report is not supported.
    pub const PAYLOAD_UNSUPPORTED: Self = Self(1);
    /// The groups are not served.
    pub const GROUP_UNSUPPORTED: Self = Self(2);
    /// The groups are prohibited.
    pub const ADMINISTRATIVELY_PROHIBITED: Self = Self(3);
}

/// Whether a message, given from its Mobility Header on, is of a type that [`parse`] reads.
pub fn is_handover(message: &[u8]) -> bool {
    matches!(message.get(2), Some(&(kind::HANDOVER_INITIATE | kind::HANDOVER_ACKNOWLEDGE)))
}

/// Reads the message at the start of `message`. What stands behind the length that the header gives is ignored. The
/// checksum is [`super::verify_checksum`]'s to look at.
///
/// # Errors
/// As [`super::parse`]; `Value` at 2 for another type, and `Length` for records that do not end with their option.
pub fn parse(message: &[u8]) -> Result<HandoverMessage, WireError> {
    let (payload_protocol, header_length, kind) = (octet(message, 0)?, octet(message, 1)?, octet(message, 2)?);
    if !is_handover(message) {
        return Err(WireError::new(WireErrorKind::Value, 2));
    }
    if payload_protocol != protocol::NONE {
        return Err(WireError::new(WireErrorKind::Value, 0));
    }
    if header_length < 1 {
        return Err(WireError::new(WireErrorKind::Length, 1));
    }
    let message = slice(message, 0, total_length(header_length))?;
    let (sequence, flags, code) = (u16_at(message, 6)?, octet(message, 8)?, octet(message, 9)?);
    let options = HandoverOptions::parse(message)?;
    Ok(match kind {
        kind::HANDOVER_INITIATE => HandoverMessage::Initiate(HandoverInitiate {
            sequence,
            assign_address: flags & ASSIGN_ADDRESS != 0,
            buffer: flags & BUFFER != 0,
            code,
            options,
        }),
        _ => HandoverMessage::Acknowledge(HandoverAcknowledge { sequence, code: HandoverCode(code), options }),
    })
}

const ASSIGN_ADDRESS: u8 = 0x80;
const BUFFER: u8 = 0x40;

impl HandoverMessage {
    /// Its options.
    pub fn options(&self) -> &HandoverOptions {
        match self {
            HandoverMessage::Initiate(message) => &message.options,
            HandoverMessage::Acknowledge(message) => &message.options,
        }
    }

    /// Its options, to be changed.
    pub fn options_mut(&mut self) -> &mut HandoverOptions {
        match self {
            HandoverMessage::Initiate(message) => &mut message.options,
            HandoverMessage::Acknowledge(message) => &mut message.options,
        }
    }

    /// The message from the Mobility Header on, with a checksum of zero, padded to a multiple of eight octets.
    ///
    /// # Panics
    /// Where records take more than an option's length can say, or the message more than its own: the caller chose them
    /// ([`MAX_RECORDS_LEN`]).
    pub fn emit(&self) -> Vec<u8> {
        let (kind, sequence, flags, code) = match self {
            HandoverMessage::Initiate(message) => {
                let assign_address = if message.assign_address { ASSIGN_ADDRESS } else { 0 };
                let buffer = if message.buffer { BUFFER } else { 0 };
                (kind::HANDOVER_INITIATE, message.sequence, assign_address | buffer, message.code)
            }
            HandoverMessage::Acknowledge(message) => (kind::HANDOVER_ACKNOWLEDGE, message.sequence, 0, message.code.0),
        };
        let [high, low] = sequence.to_be_bytes();
        let mut message = vec![protocol::NONE, 0, kind, 0, 0, 0, high, low, flags, code];
        self.options().emit(&mut message);
        message[1] = u8::try_from(message.len() / UNIT - 1).expect("a message fits its length field");
        message
    }
}

/// The packet with a message, given from its Mobility Header on, from one access router to the other.
pub fn packet(source: Ipv6Addr, destination: Ipv6Addr, message: Vec<u8>) -> Vec<u8> {
    PacketBuilder::new(source, destination).checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
}

impl HandoverOptions {
    fn parse(message: &[u8]) -> Result<Self, WireError> {
        let mut options = HandoverOptions::default();
        for raw in walk(message, OPTIONS_AT) {
            let raw = raw?;
            if options.authentication.is_some() {
                return Err(raw.value_error(0));
            }
            match raw.kind {
                option_kind::MULTICAST_MOBILITY => {
                    raw.once(options.multicast.is_some())?;
                    let code = raw.data[0];
                    let option = MulticastOption { code, records: Vec::new() };
                    let records = if option.is_mld() { records(&raw)? } else { Vec::new() };
                    options.multicast = Some(MulticastOption { records, ..option });
                }
                option_kind::MULTICAST_ACKNOWLEDGEMENT => {
                    raw.once(options.multicast_acknowledgement.is_some())?;
                    let status = MulticastStatus(raw.data[1]);
                    options.multicast_acknowledgement =
                        Some(MulticastAcknowledgement { status, refused: records(&raw)? });
                }
                option_kind::MESSAGE_ID => {
                    raw.set(&mut options.message_id, 8, |data| array(data, 0).map(u64::from_be_bytes))?;
                }
                option_kind::AUTHENTICATION => {
                    if raw.data.len() < 5 {
                        return Err(raw.length_error());
                    }
                    raw.set(&mut options.authentication, raw.data.len(), |data| {
                        Ok(Authentication { subtype: data[0], spi: u32_at(data, 1)?, data: data[5..].to_vec() })
                    })?;
                }
                _ => {}
            }
        }
        Ok(options)
    }

    fn emit(&self, message: &mut Vec<u8>) {
        if let Some(MulticastOption { code, records }) = &self.multicast {
            append_records(message, option_kind::MULTICAST_MOBILITY, [*code, 0], records);
        }
        if let Some(MulticastAcknowledgement { status, refused }) = &self.multicast_acknowledgement {
            append_records(message, option_kind::MULTICAST_ACKNOWLEDGEMENT, [0, status.0], refused);
        }
        if let Some(timestamp) = self.message_id {
            append(message, (8, 2), option_kind::MESSAGE_ID, &[&timestamp.to_be_bytes()]);
        }
        if let Some(authentication) = &self.authentication {
            authentication.emit(message);
        }
        pad(message, message.len().next_multiple_of(UNIT));
    }
}

/// The records of an option whose data starts with option code and status.
fn records(raw: &Raw<'_>) -> Result<Vec<Record>, WireError> {
    let payload = &raw.data[2..];
    let count = u16_at(payload, 2).map_err(|_| raw.length_error())?;
    if usize::from(count) > MAX_RECORDS {
        return Err(raw.value_error(6));
    }
    let mut records = Vec::new();
    let mut at = PAYLOAD_HEADER_LEN;
    for _ in 0..count {
        let (record, length) = Record::parse(&payload[at..]).map_err(|error| match error.kind {
            WireErrorKind::Truncated => raw.length_error(),
            _ => error.shift(raw.at + 4 + at),
        })?;
        records.extend(record);
        at += length;
    }
    if at == payload.len() { Ok(records) } else { Err(raw.length_error()) }
}

fn append_records(message: &mut Vec<u8>, kind: u8, [code, status]: [u8; 2], records: &[Record]) {
    pad(message, message.len().next_multiple_of(4));
    let words = (PAYLOAD_HEADER_LEN + records.iter().map(Record::wire_len).sum::<usize>()) / 4;
    let words = u8::try_from(words).expect("records fit the length field of their option");
    let count = records.len() as u16;
    message.extend_from_slice(&[kind, words, code, status, 0, 0]);
    message.extend_from_slice(&count.to_be_bytes());
    for record in records {
        record.emit(message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::authentication::locate;
    use super::*;
    use crate::wire::mld::RecordType;
    use proptest::prelude::*;

    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 1);
    const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

    fn record() -> Record {
        Record { kind: RecordType::ModeIsInclude, group: GROUP, sources: vec![AGENT] }
    }

    fn initiate() -> HandoverMessage {
        HandoverMessage::Initiate(HandoverInitiate {
            sequence: 0x0102,
            assign_address: false,
            buffer: true,
            code: HandoverInitiate::PREDICTIVE,
            options: HandoverOptions {
                multicast: Some(MulticastOption { code: MulticastOption::MLDV2, records: vec![record()] }),
                message_id: Some(0xe000_0000_8000_0000),
                authentication: Some(Authentication { subtype: 1, spi: 0x100, data: vec![0xab; 16] }),
                ..HandoverOptions::default()
            },
        })
    }

    #[rustfmt::skip]
    const INITIATE: [u8; 56] = [
        59, 11, 14, 0, 0, 0, 1, 2,
        0x40, 0, 1, 0, 60, 10, 2, 0, // U; PadN; Multicast Mobility Option of 10 words, MLDv2
        0, 0, 0, 1, 1, 0, 0, 1, // one record, MODE_IS_INCLUDE, of one source
        0xff, 0x35, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xff, 0xfe, 0x10, 0, 1,
        0x20, 0x01, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    ];

    #[test]
    fn initiate_vector() {
        let emitted = initiate().emit();
        assert_eq!(parse(&emitted), Ok(initiate()));
        assert_eq!(emitted[..56], INITIATE);
        assert_eq!(emitted[56..60], [1, 0, 10, 8], "a timestamp, at 8n+2");
        let span = locate(&emitted).unwrap();
        assert_eq!((span.spi, span.data.len()), (0x100, 16));
        assert_eq!(emitted[span.covered - 4..span.covered], [0, 0, 1, 0]);
        assert_eq!(emitted.len() % 8, 0);
        // Of types that everybody knows it is none.
        assert_eq!(super::super::parse(&emitted), Ok(super::super::MobilityMessage::Unknown { kind: 14 }));
    }

    #[test]
    fn acknowledge_names_what_was_refused() {
        let message = HandoverMessage::Acknowledge(HandoverAcknowledge {
            sequence: 7,
            code: HandoverCode::INSUFFICIENT_RESOURCES,
            options: HandoverOptions {
                multicast_acknowledgement: Some(MulticastAcknowledgement {
                    status: MulticastStatus::GROUP_UNSUPPORTED,
                    refused: vec![record(), Record { sources: Vec::new(), ..record() }],
                }),
                ..HandoverOptions::default()
            },
        });
        let emitted = message.emit();
        assert_eq!(emitted[..18], [59, 9, 15, 0, 0, 0, 0, 7, 0, 130, 1, 0, 61, 15, 0, 2, 0, 0]);
        assert_eq!(parse(&emitted), Ok(message));
    }

    #[test]
    fn hostile_messages() {
        use WireErrorKind::{Length, Truncated, Value};
        let with = |edit: &dyn Fn(&mut Vec<u8>)| {
            let mut message = initiate().emit();
            edit(&mut message);
            parse(&message).map_err(|error| (error.kind, error.offset))
        };
        assert_eq!(with(&|m| m[2] = 5), Err((Value, 2)));
        assert_eq!(with(&|m| m[0] = 6), Err((Value, 0)));
        assert_eq!(with(&|m| m[1] = 0), Err((Length, 1)));
        assert_eq!(with(&|m| m[1] += 1), Err((Truncated, initiate().emit().len())));
        // The option is longer than the message, or ends within its record, or behind it.
        assert_eq!(with(&|m| m[13] = 255), Err((Length, 13)));
        assert_eq!(with(&|m| m[13] = 9), Err((Length, 13)));
        assert_eq!(with(&|m| m[13] = 0), Err((Length, 13)));
        // More records than are there, a group that is none.
        assert_eq!(with(&|m| m[19] = 2), Err((Length, 13)));
        assert_eq!(with(&|m| m[18] = 0xff), Err((Value, 18)));
        assert_eq!(with(&|m| m[24] = 0x20), Err((Value, 24)));
        // Of IPv4 there are no records to read.
        let Ok(HandoverMessage::Initiate(message)) = with(&|m| (m[14], m[24]) = (1, 0)) else { panic!() };
        assert_eq!(message.options.multicast, Some(MulticastOption { code: 1, records: Vec::new() }));
        for cut in 0..initiate().emit().len() {
            assert!(parse(&initiate().emit()[..cut]).is_err(), "{cut}");
            assert_eq!(locate(&initiate().emit()[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn the_most_records_fit_the_smallest_mtu() {
        let records = vec![Record { sources: Vec::new(), ..record() }; MAX_RECORDS_LEN / 20];
        let HandoverMessage::Initiate(mut message) = initiate() else { panic!() };
        message.options.multicast = Some(MulticastOption { code: MulticastOption::MLDV2, records });
        let message = HandoverMessage::Initiate(message);
        assert_eq!(parse(&message.emit()), Ok(message.clone()));
        assert!(packet(AGENT, AGENT, message.emit()).len() <= crate::wire::ipv6::MINIMUM_MTU);
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let record = (1u8..=6, any::<u128>(), prop::collection::vec(1u128..1 << 100, 0..4)).prop_map(
            |(kind, group, sources)| Record {
                kind: RecordType::new(kind).unwrap(),
                group: Ipv6Addr::from_bits(group | 0xff << 120),
                sources: sources.into_iter().map(|source| Ipv6Addr::from_bits(source | 0x2001 << 112)).collect(),
            },
        );
        prop::collection::vec(record, 0..10)
    }

    prop_compose! {
        fn message()(
            sequence: u16,
            (assign_address, buffer, code, is_initiate) in any::<(bool, bool, u8, bool)>(),
            multicast in prop::option::of(records()),
            acknowledgement in prop::option::of((any::<u8>(), records())),
            message_id: Option<u64>,
            authentication in prop::option::of((any::<u8>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..40))),
        ) -> HandoverMessage {
            let options = HandoverOptions {
                multicast: multicast.map(|records| MulticastOption { code: MulticastOption::MLDV2, records }),
                multicast_acknowledgement: acknowledgement
                    .map(|(status, refused)| MulticastAcknowledgement { status: MulticastStatus(status), refused }),
                message_id,
                authentication: authentication.map(|(subtype, spi, data)| Authentication { subtype, spi, data }),
            };
            match is_initiate {
                true => HandoverMessage::Initiate(HandoverInitiate { sequence, assign_address, buffer, code, options }),
                false => {
                    HandoverMessage::Acknowledge(HandoverAcknowledge { sequence, code: HandoverCode(code), options })
                }
            }
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(message in message()) {
            let emitted = message.emit();
            prop_assert_eq!(emitted.len() % UNIT, 0);
            prop_assert_eq!(parse(&emitted), Ok(message));
            if let Some(span) = locate(&emitted) {
                prop_assert!(span.data.end <= emitted.len());
            }
            let packet = packet(AGENT, AGENT, emitted);
            prop_assert!(super::super::verify_checksum(AGENT, AGENT, &packet[40..]));
        }

        #[test]
        fn a_flipped_octet_never_panics(message in message(), at: prop::sample::Index, value: u8) {
            let mut bytes = message.emit();
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = locate(&bytes);
            if let Ok(message) = parse(&bytes) {
                prop_assert_eq!(parse(&message.emit()), Ok(message));
            }
        }
    }
}
