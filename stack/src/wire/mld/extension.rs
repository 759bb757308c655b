//! Extensions of MLDv2 messages (RFC 9279): what follows the records of a report whose E bit is set.
//!
//! ```text
//! | Extension Type                | Extension Length              |
//! | Extension Value ...
//! ```
//!
//! The extension of this project, [`AccessRouter`], is of the type that is kept for experiments. Nobody owns it, so that
//! its value begins with a mark:
//!
//! ```text
//! | 65534                         | 20                            |
//! | "D"           | "R"           | Subtype       | Reserved, 0   |
//! | IPv6 address, 16 octets
//! ```
//!
//! Subtype 1 stands in State Change Reports of a terminal that has come from another access router and could not leave
//! its groups there; 2 in Current State Reports of one that is about to go to another. In queries, and with other lengths
//! or subtypes, it is not understood.

use super::{RECORD_LEN, REPORT_LEN};
use crate::addr;
use crate::wire::error::{WireError, WireErrorKind, address_at, octet, slice, u16_at};
use core::net::Ipv6Addr;

/// The Extension Type that is kept for experiments.
pub const TYPE_EXPERIMENTAL: u16 = 65534;
/// The bit of a report's first reserved octet that says that there are extensions.
pub(super) const E_BIT: u8 = 0x80;
/// Octets in front of the value.
const HEADER_LEN: usize = 4;
/// The mark of this project.
const MARK: [u8; 2] = *b"DR";

/// The extensions of one message, which passed the checks of RFC 9279 §5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extensions<'a>(&'a [u8]);

/// One extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extension<'a> {
    /// Extension Type.
    pub kind: u16,
    /// Extension Value.
    pub value: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// Those of a version 2 report, type and checksum included, that [`super::Message::parse`] has read. None where the E
    /// bit is not set.
    ///
    /// # Errors
    /// `Truncated` for records or an extension longer than the message, or for fewer octets behind the last extension
    /// than another one has; for no extension at all. All of them are to be ignored then, and the records are not.
    pub fn of_report(message: &'a [u8]) -> Result<Self, WireError> {
        if octet(message, 4)? & E_BIT == 0 {
            return Ok(Extensions(&[]));
        }
        let mut at = REPORT_LEN;
        for _ in 0..u16_at(message, 6)? {
            let (auxiliary, sources) = (octet(message, at + 1)?, u16_at(message, at + 2)?);
            at += RECORD_LEN + 16 * usize::from(sources) + 4 * usize::from(auxiliary);
        }
        let extensions = message.get(at..).ok_or(WireError::new(WireErrorKind::Truncated, message.len()))?;
        let mut walked = 0;
        loop {
            walked += HEADER_LEN + usize::from(u16_at(extensions, walked + 2).map_err(|error| error.shift(at))?);
            if walked == extensions.len() {
                return Ok(Extensions(extensions));
            }
            if walked > extensions.len() {
                return Err(WireError::new(WireErrorKind::Truncated, message.len()));
            }
        }
    }

    /// Each of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Extension<'a>> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let (kind, length) = (u16_at(self.0, at).ok()?, usize::from(u16_at(self.0, at + 2).ok()?));
            let value = slice(self.0, at + HEADER_LEN, length).ok()?;
            at += HEADER_LEN + length;
            Some(Extension { kind, value })
        })
    }

    /// The first [`AccessRouter`] among them.
    pub fn access_router(self) -> Option<AccessRouter> {
        self.iter().find_map(AccessRouter::parse)
    }
}

/// What a terminal says of an access router that is not the one of the link: an address of it, or the Subnet-Router
/// anycast address (RFC 4291 §2.6.1) of one of its links.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AccessRouter {
    /// The terminal has come from there and could not leave.
    Previous(Ipv6Addr),
    /// The terminal is about to go there.
    Candidate(Ipv6Addr),
}

impl AccessRouter {
    /// Octets on the wire.
    pub const WIRE_LEN: usize = HEADER_LEN + MARK.len() + 2 + 16;

    /// Its address.
    pub const fn address(self) -> Ipv6Addr {
        match self {
            AccessRouter::Previous(address) | AccessRouter::Candidate(address) => address,
        }
    }

    fn parse(extension: Extension<'_>) -> Option<Self> {
        let Extension { kind: TYPE_EXPERIMENTAL, value } = extension else { return None };
        let value = value.strip_prefix(&MARK).filter(|_| value.len() == Self::WIRE_LEN - HEADER_LEN)?;
        let address = address_at(value, 2).ok().filter(|&address| addr::is_routable_unicast(address))?;
        match value[0] {
            1 => Some(AccessRouter::Previous(address)),
            2 => Some(AccessRouter::Candidate(address)),
            _ => None,
        }
    }

    pub(super) fn emit(self, message: &mut Vec<u8>) {
        let (subtype, address) = match self {
            AccessRouter::Previous(address) => (1, address),
            AccessRouter::Candidate(address) => (2, address),
        };
        message.extend_from_slice(&TYPE_EXPERIMENTAL.to_be_bytes());
        message.extend_from_slice(&((Self::WIRE_LEN - HEADER_LEN) as u16).to_be_bytes());
        message.extend_from_slice(&[MARK[0], MARK[1], subtype, 0]);
        message.extend_from_slice(&address.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mld::{Message, Record, RecordType, Report, open};
    use proptest::prelude::*;

    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);
    const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
    const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10);
    const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0xa, 0, 0, 0, 1);

    fn report(sources: usize) -> Report {
        let sources = vec![SOURCE; sources];
        Report { records: vec![Record { kind: RecordType::AllowNewSources, group: GROUP, sources }] }
    }

    /// The ICMPv6 message of the first packet that reports this.
    fn message(report: Report, router: AccessRouter) -> Vec<u8> {
        let packets = report.packets_with(HOST, 1280, Some(router));
        open(&packets[0]).unwrap().message.to_vec()
    }

    #[test]
    fn report_with_a_previous_router() {
        let sent = message(report(1), AccessRouter::Previous(ROUTER));
        #[rustfmt::skip]
        let behind = [
            0xff, 0xfe, 0, 20, b'D', b'R', 1, 0,
            0x20, 0x01, 0x0d, 0xb8, 0x02, 0, 0, 0x0a, 0, 0, 0, 0, 0, 0, 0, 1,
        ];
        assert_eq!((sent[4], &sent[44..]), (E_BIT, &behind[..]));
        assert_eq!(Message::parse(&sent), Ok(Message::Report(report(1))));
        let extensions = Extensions::of_report(&sent).unwrap();
        assert_eq!(extensions.access_router(), Some(AccessRouter::Previous(ROUTER)));
        assert_eq!(extensions.iter().count(), 1);
    }

    #[test]
    fn without_the_bit_there_are_none() {
        let mut sent = message(report(1), AccessRouter::Candidate(ROUTER));
        sent[4] = 0;
        assert_eq!(Extensions::of_report(&sent).unwrap().iter().count(), 0);
        let plain = report(1).packets(HOST, 1280);
        assert_eq!(plain, report(1).packets_with(HOST, 1280, None));
        assert_eq!(open(&plain[0]).unwrap().message[4], 0);
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        let good = message(report(1), AccessRouter::Candidate(ROUTER));
        let behind = |octets: &[u8]| {
            let mut sent = good[..44].to_vec();
            sent.extend_from_slice(octets);
            Extensions::of_report(&sent).map(|extensions| (extensions.iter().count(), extensions.access_router())).ok()
        };
        let mine = &good[44..];
        let candidate = Some(AccessRouter::Candidate(ROUTER));
        assert_eq!(behind(mine), Some((1, candidate)));
        // A No-op (RFC 9279 §4) and one that nobody knows in front of it.
        assert_eq!(behind(&[&[0, 0, 0, 2, 7, 7, 0x12, 0x34, 0, 0], mine].concat()), Some((3, candidate)));
        // Of another mark, subtype, length, or with an address that is none.
        for (at, value) in [(4, b'X'), (6, 3), (8, 0xff), (0, 0xfe)] {
            let mut other = mine.to_vec();
            other[at] = value;
            assert_eq!(behind(&other), Some((1, None)), "{at}");
        }
        assert_eq!(behind(&[&[0xff, 0xfe, 0, 3], &mine[4..7]].concat()), Some((1, None)));
        // None at all, one that is cut, octets behind the last: all of them are void.
        assert_eq!(behind(&[]), None);
        assert_eq!(behind(&mine[..23]), None);
        assert_eq!(behind(&[mine, &[0, 0, 0]].concat()), None);
        for cut in 0..44 {
            assert!(Extensions::of_report(&good[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn every_packet_of_a_report_has_it_and_fits() {
        let packets = report(200).packets_with(HOST, 1280, Some(AccessRouter::Previous(ROUTER)));
        assert!(packets.len() > 2);
        let mut sources = 0;
        for packet in packets {
            assert!(packet.len() <= 1280);
            let message = open(&packet).unwrap().message;
            let Ok(Message::Report(report)) = Message::parse(message) else { panic!() };
            sources += report.records.iter().map(|record| record.sources.len()).sum::<usize>();
            let extensions = Extensions::of_report(message).unwrap();
            assert_eq!(extensions.access_router(), Some(AccessRouter::Previous(ROUTER)));
        }
        assert_eq!(sources, 200);
    }

    proptest! {
        #[test]
        fn a_flipped_octet_never_panics(at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
            let mut sent = message(report(3), AccessRouter::Previous(ROUTER));
            let at = at.index(sent.len());
            sent[at] = value;
            let cut = cut.index(sent.len() + 1);
            if let Ok(extensions) = Extensions::of_report(&sent[..cut]) {
                prop_assert!(extensions.iter().map(|extension| 4 + extension.value.len()).sum::<usize>() <= cut);
            }
        }
    }
}
