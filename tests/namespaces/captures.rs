//! Capture files as tshark reads them: nothing here knows what our own code makes of a packet.

use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Command;

/// What tshark is asked for, in the order of the columns.
const FIELDS: [&str; 17] = [
    "frame.time_epoch",
    "frame.protocols",
    "ipv6.src",
    "ipv6.dst",
    "mip6.mhtype",
    "mip6.bu.lifetime",
    "pim.type",
    "icmpv6.type",
    "icmpv6.mldr.mar.multicast_address",
    "udp.dstport",
    "udp.payload",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "tcp.len",
    "_ws.expert.severity",
    "_ws.expert.message",
];
/// The severity `Error` in Wireshark's numbers.
const ERROR: u32 = 0x0080_0000;
/// Types of ICMPv6 messages from here on are no errors (RFC 4443 §2.1).
const ICMP_INFORMATIONAL: u8 = 128;
const JOIN_PRUNE: &str = "3";
const TCP_SYN: u16 = 0x02;
const TCP_RST: u16 = 0x04;
const TCP_ACK: u16 = 0x10;

/// Types of Mobility Header messages (RFC 6275 §6.1).
pub(crate) const HOME_TEST_INIT: u8 = 1;
pub(crate) const CARE_OF_TEST_INIT: u8 = 2;
pub(crate) const HOME_TEST: u8 = 3;
pub(crate) const CARE_OF_TEST: u8 = 4;
pub(crate) const BINDING_UPDATE: u8 = 5;
pub(crate) const BINDING_ACKNOWLEDGEMENT: u8 = 6;
/// Those between access routers (RFC 5568 §6.2.1).
pub(crate) const HANDOVER_INITIATE: u8 = 14;
pub(crate) const HANDOVER_ACKNOWLEDGE: u8 = 15;
/// Type of an MLD report (RFC 3810 §5.2).
pub(crate) const MLD_REPORT: u8 = 143;

/// A frame of a capture.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// Nanoseconds since 1970.
    pub(crate) at: u64,
    /// The names of all layers, joined by colons.
    pub(crate) protocols: String,
    /// Source addresses, outermost first.
    pub(crate) sources: Vec<Ipv6Addr>,
    /// Destination addresses, outermost first.
    pub(crate) destinations: Vec<Ipv6Addr>,
    /// Type of a Mobility Header message; of one that an ICMPv6 error quotes there is none.
    pub(crate) mobility: Option<u8>,
    /// Lifetime of a Binding Update, in units of four seconds.
    pub(crate) update_lifetime: Option<u16>,
    /// Whether it is a PIM Join/Prune message.
    pub(crate) join_prune: bool,
    /// Type of an ICMPv6 message.
    pub(crate) icmp: Option<u8>,
    /// Groups of an MLD report.
    pub(crate) reported: Vec<Ipv6Addr>,
    /// Destination port of a datagram.
    pub(crate) udp_port: Option<u16>,
    /// Number of a probe of the lab, where it is one.
    pub(crate) probe: Option<u64>,
    /// The TCP header; of one that an ICMPv6 error quotes there is none.
    pub(crate) segment: Option<Segment>,
    /// What tshark holds against it.
    pub(crate) fault: Option<String>,
}

impl Frame {
    /// Whether it is an MLD message, and not a report of groups that end with the link.
    pub(crate) fn is_mld(&self) -> bool {
        matches!(self.icmp, Some(130..=132 | 143)) && !self.is_of_link()
    }

    /// Whether it reports groups that end with the link, and no others.
    pub(crate) fn is_of_link(&self) -> bool {
        !self.reported.is_empty() && self.reported.iter().all(|group| group.segments()[0] == 0xff02)
    }

    /// Whether it is an ICMPv6 error, which quotes another packet.
    pub(crate) fn is_error(&self) -> bool {
        self.icmp.is_some_and(|icmp| icmp < ICMP_INFORMATIONAL)
    }

    /// Whether it carries a packet in a tunnel.
    pub(crate) fn is_tunnelled(&self) -> bool {
        self.protocols.contains("ipv6:ipv6:") || self.protocols.contains(":gre")
    }

    /// Whether its outermost header leads to this address.
    pub(crate) fn is_to(&self, address: Ipv6Addr) -> bool {
        self.destinations.first() == Some(&address)
    }

    /// Whether its outermost header comes from this address.
    pub(crate) fn is_from(&self, address: Ipv6Addr) -> bool {
        self.sources.first() == Some(&address)
    }
}

/// A TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) flags: u16,
    /// Octets behind the header.
    pub(crate) payload_len: usize,
}

impl Segment {
    /// Source and destination.
    pub(crate) fn ports(&self) -> (u16, u16) {
        (self.source, self.destination)
    }

    /// Whether it asks for a connection.
    pub(crate) fn opens_connection(&self) -> bool {
        self.flags & (TCP_SYN | TCP_ACK) == TCP_SYN
    }

    /// Whether it breaks off a connection.
    pub(crate) fn resets_connection(&self) -> bool {
        self.flags & TCP_RST != 0
    }
}

/// All frames of a capture file, in order, every checksum verified.
pub(crate) fn read(file: &Path) -> Vec<Frame> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
    // A segment that the kernel has sent again is no fault of the wire.
    command.args(["-o", "tcp.desegment_tcp_streams:FALSE", "-r"]).arg(file);
    command.args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    crate::room::output(&mut command).lines().map(frame).collect()
}

fn frame(line: &str) -> Frame {
    let columns: Vec<&str> = line.split('\t').collect();
    let [
        at,
        protocols,
        sources,
        destinations,
        mobility,
        lifetime,
        pim,
        icmp,
        reported,
        udp_port,
        payload,
        tcp_source,
        tcp_destination,
        tcp_flags,
        tcp_len,
        severity,
        said,
    ] = columns[..]
    else {
        panic!("tshark printed {line}");
    };
    let first = |column: &str| column.split(',').next().unwrap_or_default().to_owned();
    let severities = severity.split(',').filter_map(|severity| severity.parse::<u32>().ok());
    let bad = severities.max() >= Some(ERROR) || protocols.contains("_ws.malformed") || said.contains("checksum");
    let segment = || {
        let flags = u16::from_str_radix(first(tcp_flags).strip_prefix("0x")?, 16).ok()?;
        let (source, destination) = (first(tcp_source).parse().ok()?, first(tcp_destination).parse().ok()?);
        Some(Segment { source, destination, flags, payload_len: first(tcp_len).parse().ok()? })
    };
    let mut frame = Frame {
        at: nanos(at),
        protocols: protocols.to_owned(),
        sources: addresses(sources),
        destinations: addresses(destinations),
        mobility: first(mobility).parse().ok(),
        update_lifetime: first(lifetime).parse().ok(),
        join_prune: first(pim) == JOIN_PRUNE,
        icmp: first(icmp).parse().ok(),
        reported: addresses(reported),
        udp_port: first(udp_port).parse().ok(),
        probe: payload.get(..16).and_then(|mark| u64::from_str_radix(mark, 16).ok()),
        segment: segment(),
        fault: bad.then(|| line.to_owned()),
    };
    if frame.is_error() {
        (frame.mobility, frame.update_lifetime, frame.segment) = (None, None, None);
    }
    frame
}

fn addresses(column: &str) -> Vec<Ipv6Addr> {
    column.split(',').filter_map(|address| address.parse().ok()).collect()
}

/// `1700000000.123456789` in nanoseconds.
fn nanos(text: &str) -> u64 {
    let (secs, fraction) = text.split_once('.').expect("a time has a fraction");
    let number = |text: &str| text.parse::<u64>().expect("a time is made of numbers");
    number(secs) * 1_000_000_000 + number(&format!("{fraction:0<9}")[..9])
}
