//! Multicast Listener Discovery: queries and reports of version 2 (RFC 3810 §5) and of version 1 (RFC 2710 §3).
//!
//! [`open`] makes the checks that listeners and routers share (RFC 3810 §6.2, §7.4): checksum, hop limit 1, link-local
//! source, Router Alert. [`Message::parse`] then reads the ICMPv6 message. Records of unknown type are skipped (§5.2.12),
//! auxiliary data (§5.2.10) and octets behind the message (§5.1.12, §5.2.11) ignored; where these are extensions (RFC
//! 9279), [`extension`] reads them.

pub mod extension;

use super::build::PacketBuilder;
use super::checksum;
use super::error::{WireError, WireErrorKind, address_at, octet, u16_at};
use super::ext::Chain;
use super::ipv6::{self, protocol};
use crate::addr::{self, ALL_MLDV2_ROUTERS, ALL_NODES, ALL_ROUTERS};
use crate::time::Duration;
use core::net::Ipv6Addr;
use extension::AccessRouter;

/// ICMPv6 type of a query, of both versions.
pub const TYPE_QUERY: u8 = 130;
/// ICMPv6 type of a version 1 report.
pub const TYPE_V1_REPORT: u8 = 131;
/// ICMPv6 type of a version 1 done.
pub const TYPE_V1_DONE: u8 = 132;
/// ICMPv6 type of a version 2 report.
pub const TYPE_REPORT: u8 = 143;

/// Records that are read from one report. A packet of 9,000 octets has no room for more.
pub const MAX_RECORDS: usize = 448;
/// Sources that are read from one message. A packet of 9,000 octets has no room for more.
pub const MAX_SOURCES: usize = 560;

/// The longest Maximum Response Delay that a version 1 query can say: it has no exponential form (RFC 3810 §8.3.1).
pub const MAX_V1_RESPONSE_DELAY: Duration = Duration::from_millis(u16::MAX as u64);

/// Octets of a version 1 message.
const V1_LEN: usize = 24;
/// Octets of a version 2 query without sources.
const QUERY_LEN: usize = 28;
/// Octets of a version 2 report without records.
const REPORT_LEN: usize = 8;
/// Octets of a record without sources.
const RECORD_LEN: usize = 20;
/// Octets in front of the ICMPv6 message: the IPv6 header and the Hop-by-Hop header with Router Alert.
const IN_FRONT_LEN: usize = ipv6::HEADER_LEN + 8;

/// An MLD message of either version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A version 2 query.
    Query(Query),
    /// A version 2 report.
    Report(Report),
    /// A version 1 query (RFC 2710 §3): of this group, or general where the group is unspecified.
    V1Query {
        /// The group, or unspecified.
        group: Ipv6Addr,
        /// Maximum Response Delay; on the wire [`MAX_V1_RESPONSE_DELAY`] at the most.
        max_response_delay: Duration,
    },
    /// A version 1 report.
    V1Report {
        /// The group.
        group: Ipv6Addr,
    },
    /// A version 1 done.
    V1Done {
        /// The group.
        group: Ipv6Addr,
    },
}

/// A version 2 query (RFC 3810 §5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The group; unspecified in a general query.
    pub group: Ipv6Addr,
    /// Maximum Response Delay; on the wire it is rounded down to what its code can say.
    pub max_response_delay: Duration,
    /// The S flag: routers do not lower their timers.
    pub suppress: bool,
    /// The querier's robustness variable, 1 to 7; 0 where it says none.
    pub robustness: u8,
    /// The querier's query interval; on the wire it is rounded down to what its code can say.
    pub query_interval: Duration,
    /// The sources that are asked for; none in a general and in a group-specific query.
    pub sources: Vec<Ipv6Addr>,
}

/// A version 2 report (RFC 3810 §5.2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The records whose type is known, in order.
    pub records: Vec<Record>,
}

/// A multicast address record (RFC 3810 §5.2.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// What it says.
    pub kind: RecordType,
    /// The group.
    pub group: Ipv6Addr,
    /// The sources.
    pub sources: Vec<Ipv6Addr>,
}

/// What a record says of its sources (RFC 3810 §5.2.12).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RecordType {
    /// `IS_IN`: only these are listened to.
    ModeIsInclude = 1,
    /// `IS_EX`: all but these are listened to.
    ModeIsExclude = 2,
    /// `TO_IN`: from now on only these are.
    ChangeToInclude = 3,
    /// `TO_EX`: from now on all but these are.
    ChangeToExclude = 4,
    /// `ALLOW`: these too.
    AllowNewSources = 5,
    /// `BLOCK`: these no longer.
    BlockOldSources = 6,
}

impl RecordType {
    /// The record type with this number.
    pub const fn new(value: u8) -> Option<Self> {
        Some(match value {
            1 => RecordType::ModeIsInclude,
            2 => RecordType::ModeIsExclude,
            3 => RecordType::ChangeToInclude,
            4 => RecordType::ChangeToExclude,
            5 => RecordType::AllowNewSources,
            6 => RecordType::BlockOldSources,
            _ => return None,
        })
    }

    /// Whether a record of this type that does not fit a report is cut instead of split (RFC 3810 §5.2.15).
    const fn is_exclude(self) -> bool {
        matches!(self, RecordType::ModeIsExclude | RecordType::ChangeToExclude)
    }
}

/// An MLD packet that passed the checks of [`open`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened<'a> {
    /// Source address, link-local.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// The ICMPv6 message.
    pub message: &'a [u8],
}

/// Why an MLD packet is not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// A header in front of the message is wrong.
    #[error("header: {0}")]
    Header(#[from] WireError),
    /// There is no ICMPv6 message with an MLD type.
    #[error("no MLD message")]
    NotMld,
    /// The hop limit is not 1: it may come from another link.
    #[error("hop limit is not 1")]
    HopLimit,
    /// The source address is not link-local (RFC 3810 §5.1.14, §5.2.13).
    #[error("source address is not link-local")]
    Source,
    /// The source address is unspecified: a host that has no address yet may report so, and no router listens to it
    /// (RFC 3810 §5.2.13, RFC 3590 §4).
    #[error("source address is unspecified")]
    Unspecified,
    /// Router Alert is missing.
    #[error("no Router Alert")]
    RouterAlert,
    /// The checksum does not hold.
    #[error("checksum wrong")]
    Checksum,
}

/// Whether an ICMPv6 message of this type belongs to MLD.
pub const fn is_mld(icmp_type: u8) -> bool {
    matches!(icmp_type, TYPE_QUERY | TYPE_V1_REPORT | TYPE_V1_DONE | TYPE_REPORT)
}

/// Checks what every MLD packet must fulfil before its message is looked at (RFC 3810 §6.2, §7.4). `packet` starts with
/// its IPv6 header.
///
/// # Errors
/// The first check that fails.
pub fn open(packet: &[u8]) -> Result<Opened<'_>, Refusal> {
    let header = ipv6::Header::parse(packet)?;
    let packet = &packet[..header.total_length()];
    let chain = Chain::parse(packet)?;
    let message = packet.get(chain.upper_offset..).unwrap_or_default();
    if chain.upper != protocol::ICMPV6 || chain.fragment.is_some() || !message.first().is_some_and(|&t| is_mld(t)) {
        return Err(Refusal::NotMld);
    }
    if header.hop_limit != 1 {
        return Err(Refusal::HopLimit);
    }
    if header.source.is_unspecified() {
        return Err(Refusal::Unspecified);
    }
    if !addr::is_link_local(header.source) {
        return Err(Refusal::Source);
    }
    if chain.router_alert.is_none() {
        return Err(Refusal::RouterAlert);
    }
    if !checksum::verify(header.source, header.destination, protocol::ICMPV6, message) {
        return Err(Refusal::Checksum);
    }
    Ok(Opened { source: header.source, destination: header.destination, message })
}

impl Message {
    /// Reads the ICMPv6 message `message`, type and checksum included; the checksum is [`open`]'s to verify.
    ///
    /// # Errors
    /// `Truncated`; `Length` for a query of 25 to 27 octets (RFC 3810 §8.1) and sources in a general query; `Value` for
    /// another ICMPv6 type, a group that is none, and a source that is not unicast; `TooMany` beyond [`MAX_RECORDS`] and
    /// [`MAX_SOURCES`].
    pub fn parse(message: &[u8]) -> Result<Self, WireError> {
        match octet(message, 0)? {
            TYPE_QUERY if message.len() == V1_LEN => Ok(Message::V1Query {
                group: group_or_unspecified_at(message, 8)?,
                max_response_delay: Duration::from_millis(u64::from(u16_at(message, 4)?)),
            }),
            TYPE_QUERY => Query::parse(message).map(Message::Query),
            TYPE_V1_REPORT => Ok(Message::V1Report { group: group_at(message, 8)? }),
            TYPE_V1_DONE => Ok(Message::V1Done { group: group_at(message, 8)? }),
            TYPE_REPORT => Report::parse(message).map(Message::Report),
            _ => Err(WireError::new(WireErrorKind::Value, 0)),
        }
    }

    /// The ICMPv6 message, its checksum zero.
    pub fn emit(&self) -> Vec<u8> {
        let v1 = |kind: u8, delay: u16, group: &Ipv6Addr| {
            let mut message = vec![kind, 0, 0, 0];
            message.extend_from_slice(&delay.to_be_bytes());
            message.extend_from_slice(&[0, 0]);
            message.extend_from_slice(&group.octets());
            message
        };
        match self {
            Message::Query(query) => query.emit(),
            Message::Report(report) => report.emit(),
            Message::V1Query { group, max_response_delay } => {
                v1(TYPE_QUERY, u16::try_from(max_response_delay.as_millis()).unwrap_or(u16::MAX), group)
            }
            Message::V1Report { group } => v1(TYPE_V1_REPORT, 0, group),
            Message::V1Done { group } => v1(TYPE_V1_DONE, 0, group),
        }
    }

    /// The packet with this message from the link-local address `source`, to where a message of its type goes (RFC 3810
    /// §5.1.15, §5.2.14; RFC 2710 §8).
    ///
    /// It has to fit the link's MTU; see [`max_query_sources`] and [`Report::packets`].
    pub fn packet(&self, source: Ipv6Addr) -> Vec<u8> {
        let destination = match self {
            Message::Query(Query { group, .. }) | Message::V1Query { group, .. } if group.is_unspecified() => ALL_NODES,
            Message::Query(Query { group, .. }) | Message::V1Query { group, .. } => *group,
            Message::V1Report { group } => *group,
            Message::V1Done { .. } => ALL_ROUTERS,
            Message::Report(_) => ALL_MLDV2_ROUTERS,
        };
        packet(source, destination, self.emit())
    }
}

impl Query {
    fn parse(message: &[u8]) -> Result<Self, WireError> {
        if (V1_LEN..QUERY_LEN).contains(&message.len()) {
            return Err(WireError::new(WireErrorKind::Length, message.len()));
        }
        let group = group_or_unspecified_at(message, 8)?;
        let flags = octet(message, 24)?;
        let count = usize::from(u16_at(message, 26)?);
        if group.is_unspecified() && count > 0 {
            return Err(WireError::new(WireErrorKind::Length, 26));
        }
        let mut left = MAX_SOURCES;
        Ok(Query {
            group,
            max_response_delay: max_response_delay(u16_at(message, 4)?),
            suppress: flags & 8 != 0,
            robustness: flags & 7,
            query_interval: query_interval(octet(message, 25)?),
            sources: sources(message, 26, QUERY_LEN, count, &mut left)?,
        })
    }

    fn emit(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(QUERY_LEN + 16 * self.sources.len());
        message.extend_from_slice(&[TYPE_QUERY, 0, 0, 0]);
        message.extend_from_slice(&max_response_code(self.max_response_delay).to_be_bytes());
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(&self.group.octets());
        // A robustness variable above 7 is sent as 0 (RFC 3810 §5.1.8).
        let robustness = if self.robustness > 7 { 0 } else { self.robustness };
        message
            .extend_from_slice(&[u8::from(self.suppress) << 3 | robustness, query_interval_code(self.query_interval)]);
        emit_sources(&mut message, &self.sources);
        message
    }

    /// Whether it asks for every group.
    pub fn is_general(&self) -> bool {
        self.group.is_unspecified()
    }

    /// The packet with this query from the link-local address `source`, to all nodes or to the group (RFC 3810 §5.1.15).
    ///
    /// The sources have to fit the link's MTU; see [`max_query_sources`].
    pub fn packet(&self, source: Ipv6Addr) -> Vec<u8> {
        let destination = if self.is_general() { ALL_NODES } else { self.group };
        packet(source, destination, self.emit())
    }
}

impl Report {
    fn parse(message: &[u8]) -> Result<Self, WireError> {
        let count = usize::from(u16_at(message, 6)?);
        if count > MAX_RECORDS {
            return Err(WireError::new(WireErrorKind::TooMany, 6));
        }
        let mut records = Vec::with_capacity(count.min((message.len() - REPORT_LEN) / RECORD_LEN));
        let mut left = MAX_SOURCES;
        let mut at = REPORT_LEN;
        for _ in 0..count {
            let (record, length) = Record::parse_limited(message, at, &mut left)?;
            records.extend(record);
            at += length;
        }
        Ok(Report { records })
    }

    fn emit(&self) -> Vec<u8> {
        let mut message = vec![TYPE_REPORT, 0, 0, 0, 0, 0];
        message.extend_from_slice(&(self.records.len() as u16).to_be_bytes());
        for record in &self.records {
            record.emit(&mut message);
        }
        message
    }

    /// The packets that report these records from the link-local address `source` on a link with this MTU, as few as
    /// will do; records that do not fit one are split or cut (RFC 3810 §5.2.15).
    pub fn packets(self, source: Ipv6Addr, mtu: usize) -> Vec<Vec<u8>> {
        self.packets_with(source, mtu, None)
    }

    /// The same with an extension in each of them.
    pub fn packets_with(self, source: Ipv6Addr, mtu: usize, router: Option<AccessRouter>) -> Vec<Vec<u8>> {
        let behind = router.map_or(0, |_| AccessRouter::WIRE_LEN);
        let room = mtu.max(ipv6::MINIMUM_MTU) - IN_FRONT_LEN - REPORT_LEN - behind;
        let packet = |report: Report| {
            let mut message = report.emit();
            if let Some(router) = router {
                message[4] |= extension::E_BIT;
                router.emit(&mut message);
            }
            packet(source, ALL_MLDV2_ROUTERS, message)
        };
        let per_record = (room - RECORD_LEN) / 16;
        let mut packets = Vec::new();
        let mut filling = Report::default();
        let mut used = 0;
        for record in self.records {
            let chunks = record.sources.len().div_ceil(per_record).max(1);
            let chunks = if record.kind.is_exclude() { 1 } else { chunks };
            for chunk in 0..chunks {
                let from = chunk * per_record;
                let to = record.sources.len().min(from + per_record);
                let part = Record { sources: record.sources[from..to].to_vec(), ..record };
                if used + part.wire_len() > room || filling.records.len() == MAX_RECORDS {
                    packets.push(packet(core::mem::take(&mut filling)));
                    used = 0;
                }
                used += part.wire_len();
                filling.records.push(part);
            }
        }
        if !filling.records.is_empty() {
            packets.push(packet(filling));
        }
        packets
    }
}

impl Record {
    /// Reads the record at the start of `bytes`; answers how long it is too. No record where its type is unknown.
    ///
    /// # Errors
    /// As [`Message::parse`].
    pub fn parse(bytes: &[u8]) -> Result<(Option<Self>, usize), WireError> {
        Record::parse_limited(bytes, 0, &mut { MAX_SOURCES })
    }

    fn parse_limited(message: &[u8], at: usize, left: &mut usize) -> Result<(Option<Self>, usize), WireError> {
        let kind = RecordType::new(octet(message, at)?);
        let auxiliary = 4 * usize::from(octet(message, at + 1)?);
        let count = usize::from(u16_at(message, at + 2)?);
        let length = RECORD_LEN + 16 * count + auxiliary;
        if message.len() < at + length {
            return Err(WireError::new(WireErrorKind::Truncated, message.len()));
        }
        let Some(kind) = kind else {
            return Ok((None, length));
        };
        let group = group_at(message, at + 4)?;
        let sources = sources(message, at + 2, at + RECORD_LEN, count, left)?;
        Ok((Some(Record { kind, group, sources }), length))
    }

    /// Appends the record.
    pub fn emit(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&[self.kind as u8, 0]);
        into.extend_from_slice(&(self.sources.len() as u16).to_be_bytes());
        into.extend_from_slice(&self.group.octets());
        for source in &self.sources {
            into.extend_from_slice(&source.octets());
        }
    }

    /// Octets of the record on the wire.
    pub fn wire_len(&self) -> usize {
        RECORD_LEN + 16 * self.sources.len()
    }
}

/// How many sources a query on a link with this MTU holds (RFC 3810 §5.1.10).
pub fn max_query_sources(mtu: usize) -> usize {
    (mtu.max(ipv6::MINIMUM_MTU) - IN_FRONT_LEN - QUERY_LEN) / 16
}

/// The Maximum Response Delay that a Maximum Response Code says (RFC 3810 §5.1.3).
pub const fn max_response_delay(code: u16) -> Duration {
    let millis = if code < 0x8000 { code as u64 } else { (code as u64 & 0xfff | 0x1000) << ((code >> 12 & 7) + 3) };
    Duration::from_millis(millis)
}

/// The code of the largest Maximum Response Delay that is not above `delay`.
pub const fn max_response_code(delay: Duration) -> u16 {
    let millis = delay.as_millis();
    if millis < 0x8000 {
        return millis as u16;
    }
    // mantissa | 0x1000 has its highest bit at 12: 15 bits are the least exponent.
    let exponent = 127 - millis.leading_zeros() - 12 - 3;
    if exponent > 7 { 0xffff } else { 0x8000 | (exponent as u16) << 12 | (millis >> (exponent + 3) & 0xfff) as u16 }
}

/// The query interval that a Querier's Query Interval Code says (RFC 3810 §5.1.9).
pub const fn query_interval(code: u8) -> Duration {
    let secs = if code < 0x80 { code as u64 } else { (code as u64 & 0xf | 0x10) << ((code >> 4 & 7) + 3) };
    Duration::from_secs(secs)
}

/// The code of the largest query interval that is not above `interval`.
pub const fn query_interval_code(interval: Duration) -> u8 {
    let secs = interval.as_secs();
    if secs < 0x80 {
        return secs as u8;
    }
    let exponent = 63 - secs.leading_zeros() - 4 - 3;
    if exponent > 7 { 0xff } else { 0x80 | (exponent as u8) << 4 | (secs >> (exponent + 3) & 0xf) as u8 }
}

/// The packet around an MLD message.
fn packet(source: Ipv6Addr, destination: Ipv6Addr, message: Vec<u8>) -> Vec<u8> {
    PacketBuilder::new(source, destination).hop_limit(1).router_alert(0).checksummed(protocol::ICMPV6, message, 2)
}

fn group_at(message: &[u8], at: usize) -> Result<Ipv6Addr, WireError> {
    let group = address_at(message, at)?;
    if group.is_multicast() { Ok(group) } else { Err(WireError::new(WireErrorKind::Value, at)) }
}

fn group_or_unspecified_at(message: &[u8], at: usize) -> Result<Ipv6Addr, WireError> {
    let group = address_at(message, at)?;
    if group.is_multicast() || group.is_unspecified() {
        Ok(group)
    } else {
        Err(WireError::new(WireErrorKind::Value, at))
    }
}

/// Reads `count` sources at `at`, whose number stands at `count_at`, and takes them off `left`.
fn sources(
    message: &[u8],
    count_at: usize,
    at: usize,
    count: usize,
    left: &mut usize,
) -> Result<Vec<Ipv6Addr>, WireError> {
    *left = left.checked_sub(count).ok_or(WireError::new(WireErrorKind::TooMany, count_at))?;
    (0..count)
        .map(|index| {
            let at = at + 16 * index;
            let source = address_at(message, at)?;
            if addr::is_unicast(source) { Ok(source) } else { Err(WireError::new(WireErrorKind::Value, at)) }
        })
        .collect()
}

fn emit_sources(message: &mut Vec<u8>, sources: &[Ipv6Addr]) {
    message.extend_from_slice(&(sources.len() as u16).to_be_bytes());
    for source in sources {
        message.extend_from_slice(&source.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smoltcp::wire::{MldAddressRecord, MldAddressRecordRepr, MldRecordType, MldRepr};

    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);
    const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
    const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10);

    fn join() -> Report {
        let record = Record { kind: RecordType::AllowNewSources, group: GROUP, sources: vec![SOURCE] };
        Report { records: vec![record] }
    }

    fn query() -> Query {
        Query {
            group: GROUP,
            max_response_delay: Duration::from_millis(100),
            suppress: true,
            robustness: 2,
            query_interval: Duration::from_secs(125),
            sources: vec![SOURCE],
        }
    }

    #[test]
    fn report_vector() {
        #[rustfmt::skip]
        let expected = [
            143, 0, 0, 0, 0, 0, 0, 1,
            5, 0, 0, 1,
            0xff, 0x35, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xff, 0xfe, 0x10, 0x00, 0x01,
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53,
        ];
        let message = Message::Report(join());
        assert_eq!(message.emit(), expected);
        assert_eq!(Message::parse(&expected), Ok(message));
        // Auxiliary data, an unknown record, octets behind the last record.
        let mut odd = expected.to_vec();
        odd[7] = 2;
        odd[9] = 1;
        odd.extend_from_slice(&[0xaa; 4]);
        odd.push(7);
        odd.extend_from_slice(&[0; 19]);
        odd.extend_from_slice(&[0xbb; 3]);
        assert_eq!(Message::parse(&odd), Ok(Message::Report(join())));
    }

    #[test]
    fn query_vector() {
        #[rustfmt::skip]
        let expected = [
            130, 0, 0, 0, 0, 100, 0, 0,
            0xff, 0x35, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xff, 0xfe, 0x10, 0x00, 0x01,
            0x0a, 125, 0, 1,
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53,
        ];
        let message = Message::Query(query());
        assert_eq!(message.emit(), expected);
        assert_eq!(Message::parse(&expected), Ok(message));
        // RFC 3810 §8.1: 24 octets are version 1, 25 to 27 nothing.
        assert!(matches!(Message::parse(&expected[..24]), Ok(Message::V1Query { group: GROUP, .. })));
        for length in 25..28 {
            assert_eq!(Message::parse(&expected[..length]).unwrap_err().kind, WireErrorKind::Length);
        }
        let mut general = expected;
        general[8..24].fill(0);
        assert_eq!(Message::parse(&general).unwrap_err(), WireError::new(WireErrorKind::Length, 26));
    }

    #[test]
    fn codes() {
        assert_eq!(max_response_delay(0x7fff), Duration::from_millis(32767));
        assert_eq!(max_response_delay(0x8000), Duration::from_millis(32768));
        assert_eq!(max_response_delay(0xffff), Duration::from_millis(0x1fff << 10));
        assert_eq!(max_response_code(Duration::MAX), 0xffff);
        assert_eq!(query_interval(0x7f), Duration::from_secs(127));
        assert_eq!(query_interval(0x80), Duration::from_secs(128));
        assert_eq!(query_interval(0xff), Duration::from_secs(31744));
        assert_eq!(query_interval_code(Duration::MAX), 0xff);
        for code in 0..=u16::MAX {
            assert_eq!(max_response_code(max_response_delay(code)), code);
            assert_eq!(max_response_code(max_response_delay(code) + Duration::from_micros(999)), code);
        }
        for code in 0..=u8::MAX {
            assert_eq!(query_interval_code(query_interval(code)), code);
        }
    }

    /// RFC 2710 §3.7: a version 1 host reads the first 24 octets of a query, and the code as milliseconds.
    #[test]
    fn version_1_hosts_read_queries_of_version_2() {
        for delay in [Duration::from_secs(10), Duration::from_millis(32_767), Duration::from_secs(40), Duration::MAX] {
            let general = Query { group: Ipv6Addr::UNSPECIFIED, max_response_delay: delay, sources: vec![], ..query() };
            let Ok(Message::V1Query { group, max_response_delay: read }) = Message::parse(&general.emit()[..V1_LEN])
            else {
                panic!()
            };
            assert!(group.is_unspecified());
            assert!(
                if delay.as_millis() < 0x8000 { read == delay } else { read < delay },
                "{delay:?} is read as {read:?}"
            );
        }
        for code in 0..=u16::MAX {
            let linear = Duration::from_millis(u64::from(code));
            assert!(linear <= max_response_delay(code), "{code:#x}: a host of version 1 would answer too late");
        }
    }

    #[test]
    fn messages_of_version_1_go_where_they_belong() {
        let (all, delay) = (Ipv6Addr::UNSPECIFIED, Duration::from_secs(10));
        for (message, destination, expected) in [
            (Message::V1Query { group: all, max_response_delay: delay }, ALL_NODES, [130, 0, 0, 0, 0x27, 0x10, 0, 0]),
            (Message::V1Query { group: GROUP, max_response_delay: delay }, GROUP, [130, 0, 0, 0, 0x27, 0x10, 0, 0]),
            (Message::V1Report { group: GROUP }, GROUP, [131, 0, 0, 0, 0, 0, 0, 0]),
            (Message::V1Done { group: GROUP }, ALL_ROUTERS, [132, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let packet = message.packet(HOST);
            let opened = open(&packet).unwrap();
            assert_eq!((opened.destination, opened.message.len()), (destination, V1_LEN), "{message:?}");
            assert_eq!(Message::parse(opened.message), Ok(message.clone()));
            assert_eq!(message.emit()[..8], expected);
        }
        let long = Message::V1Query { group: all, max_response_delay: Duration::from_secs(70) };
        let linear = Message::V1Query { group: all, max_response_delay: MAX_V1_RESPONSE_DELAY };
        assert_eq!(Message::parse(&long.emit()), Ok(linear));
    }

    #[test]
    fn open_checks_in_order() {
        let good = join().packets(HOST, 1500).remove(0);
        let opened = open(&good).unwrap();
        assert_eq!((opened.source, opened.destination), (HOST, ALL_MLDV2_ROUTERS));
        assert_eq!(Message::parse(opened.message), Ok(Message::Report(join())));
        assert!(open(&query().packet(HOST)).is_ok());

        let build = |source, hop_limit, alert: bool| {
            let builder = PacketBuilder::new(source, ALL_MLDV2_ROUTERS).hop_limit(hop_limit);
            let builder = if alert { builder.router_alert(0) } else { builder };
            builder.checksummed(protocol::ICMPV6, join().emit(), 2)
        };
        assert_eq!(open(&build(HOST, 2, true)), Err(Refusal::HopLimit));
        assert_eq!(open(&build(Ipv6Addr::UNSPECIFIED, 1, true)), Err(Refusal::Unspecified));
        assert_eq!(open(&build(SOURCE, 1, true)), Err(Refusal::Source));
        assert_eq!(open(&build(HOST, 1, false)), Err(Refusal::RouterAlert));
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(open(&flipped), Err(Refusal::Checksum));
        assert_eq!(open(&PacketBuilder::new(HOST, ALL_NODES).icmpv6(128, 0, &[0; 4])), Err(Refusal::NotMld));
        for cut in 0..good.len() {
            assert!(matches!(open(&good[..cut]), Err(Refusal::Header(_))));
        }
    }

    #[test]
    fn truncations_are_errors() {
        for message in [Message::Report(join()), Message::Query(query()), Message::V1Done { group: GROUP }] {
            let bytes = message.emit();
            for cut in 0..bytes.len() {
                match Message::parse(&bytes[..cut]) {
                    Err(error) => assert!(matches!(error.kind, WireErrorKind::Truncated | WireErrorKind::Length)),
                    Ok(other) => assert!(matches!(other, Message::V1Query { .. }) && cut == 24),
                }
            }
        }
    }

    #[test]
    fn hostile_numbers_are_refused() {
        let mut bytes = Message::Report(join()).emit();
        bytes[6..8].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(Message::parse(&bytes).unwrap_err(), WireError::new(WireErrorKind::TooMany, 6));
        let mut bytes = Message::Report(join()).emit();
        bytes[10..12].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(Message::parse(&bytes).unwrap_err().kind, WireErrorKind::Truncated);
        let mut bytes = Message::Query(query()).emit();
        bytes[26..28].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(Message::parse(&bytes).unwrap_err().kind, WireErrorKind::TooMany);
        let mut bytes = Message::Report(join()).emit();
        bytes[12] = 0x20;
        assert_eq!(Message::parse(&bytes).unwrap_err(), WireError::new(WireErrorKind::Value, 12));
        let mut bytes = Message::Report(join()).emit();
        bytes[28] = 0xff;
        assert_eq!(Message::parse(&bytes).unwrap_err(), WireError::new(WireErrorKind::Value, 28));
    }

    #[test]
    fn long_lists_are_split_and_exclude_lists_cut() {
        let sources: Vec<Ipv6Addr> = (1..=200u128).map(|n| Ipv6Addr::from_bits(SOURCE.to_bits() + n)).collect();
        for (kind, all) in [(RecordType::ChangeToInclude, true), (RecordType::ChangeToExclude, false)] {
            let record = Record { kind, group: GROUP, sources: sources.clone() };
            let small = Record { sources: vec![], ..record.clone() };
            let packets = Report { records: vec![record, small] }.packets(HOST, 1280);
            let mut told = Vec::new();
            for packet in &packets {
                assert!(packet.len() <= 1280);
                let Ok(Message::Report(report)) = Message::parse(open(packet).unwrap().message) else { panic!() };
                told.extend(report.records.into_iter().flat_map(|record| record.sources));
            }
            assert_eq!(told, if all { &sources[..] } else { &sources[..75] });
            assert_eq!(packets.len(), if all { 3 } else { 2 });
        }
        assert!(Report::default().packets(HOST, 1500).is_empty());
        assert_eq!(max_query_sources(1500), 89);
    }

    /// The listener is inverted in smoltcp; its message formats are right and serve as an oracle.
    #[test]
    fn agrees_with_smoltcp() {
        let bytes = Message::Report(join()).emit();
        let packet = smoltcp::wire::Icmpv6Packet::new_checked(&bytes[..]).unwrap();
        let MldRepr::Report { nr_mcast_addr_rcrds: 1, data } = MldRepr::parse(&packet).unwrap() else { panic!() };
        let record = MldAddressRecordRepr::parse(&MldAddressRecord::new_unchecked(data)).unwrap();
        assert_eq!((record.record_type, record.mcast_addr), (MldRecordType::AllowNewSources, GROUP));
        assert_eq!((record.num_srcs, record.payload), (1, &SOURCE.octets()[..]));

        let bytes = Message::Query(query()).emit();
        let packet = smoltcp::wire::Icmpv6Packet::new_checked(&bytes[..]).unwrap();
        let MldRepr::Query { max_resp_code, mcast_addr, s_flag, qrv, qqic, num_srcs, data } =
            MldRepr::parse(&packet).unwrap()
        else {
            panic!()
        };
        assert_eq!((max_resp_code, mcast_addr, s_flag, qrv, qqic, num_srcs), (100, GROUP, true, 2, 125, 1));
        assert_eq!(data, SOURCE.octets());
    }

    fn unicast() -> impl Strategy<Value = Ipv6Addr> {
        any::<u64>().prop_map(|low| Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low)))
    }

    fn multicast() -> impl Strategy<Value = Ipv6Addr> {
        any::<u64>().prop_map(|low| Ipv6Addr::from_bits(0xff35 << 112 | u128::from(low)))
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let record = (1..=6u8, multicast(), prop::collection::vec(unicast(), 0..8))
            .prop_map(|(kind, group, sources)| Record { kind: RecordType::new(kind).unwrap(), group, sources });
        let query = (multicast(), any::<(u16, bool, u8)>(), 0..8u8, prop::collection::vec(unicast(), 0..8)).prop_map(
            |(group, (code, suppress, interval), robustness, sources)| Query {
                group,
                max_response_delay: max_response_delay(code),
                suppress,
                robustness,
                query_interval: query_interval(interval),
                sources,
            },
        );
        prop_oneof![
            prop::collection::vec(record, 0..12).prop_map(|records| Message::Report(Report { records })),
            query.prop_map(Message::Query),
            multicast().prop_map(|group| Message::V1Report { group }),
            multicast().prop_map(|group| Message::V1Done { group }),
            (multicast(), any::<u16>()).prop_map(|(group, delay)| Message::V1Query {
                group,
                max_response_delay: Duration::from_millis(u64::from(delay))
            }),
        ]
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(message in any_message()) {
            prop_assert_eq!(Message::parse(&message.emit()), Ok(message));
        }

        #[test]
        fn never_panics(kind in prop::sample::select(vec![130u8, 131, 132, 143]), mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            let _ = Message::parse(&bytes);
            let _ = Record::parse(&bytes);
            let _ = open(&bytes);
        }

        #[test]
        fn a_changed_octet_never_panics(message in any_message(), at in any::<prop::sample::Index>(), value: u8) {
            let mut bytes = message.emit();
            let at = at.index(bytes.len());
            bytes[at] = value;
            if let Ok(read) = Message::parse(&bytes) {
                prop_assert_eq!(Message::parse(&read.emit()), Ok(read));
            }
        }
    }
}
