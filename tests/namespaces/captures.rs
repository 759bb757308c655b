//! Capture files as tshark reads them: nothing here knows what our own code makes of a packet.

use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Command;

/// What tshark is asked for, in the order of the columns.
const FIELDS: [&str; 13] = [
    "frame.time_epoch",
    "frame.protocols",
    "ipv6.src",
    "ipv6.dst",
    "mip6.mhtype",
    "pim.type",
    "icmpv6.type",
    "udp.dstport",
    "udp.payload",
    "tcp.dstport",
    "tcp.flags",
    "_ws.expert.severity",
    "_ws.expert.message",
];
/// The severity `Error` in Wireshark's numbers.
const ERROR: u32 = 0x0080_0000;
const JOIN_PRUNE: &str = "3";
const TCP_SYN: u16 = 0x02;
const TCP_RST: u16 = 0x04;
const TCP_ACK: u16 = 0x10;

/// A frame of a capture.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Nanoseconds since 1970.
    pub(crate) at: u64,
    /// The names of all layers, joined by colons.
    pub(crate) protocols: String,
    /// Source addresses, outermost first.
    pub(crate) sources: Vec<Ipv6Addr>,
    /// Destination addresses, outermost first.
    pub(crate) destinations: Vec<Ipv6Addr>,
    /// Type of a Mobility Header.
    pub(crate) mobility: Option<u8>,
    /// Whether it is a PIM Join/Prune message.
    pub(crate) join_prune: bool,
    /// Type of an ICMPv6 message.
    pub(crate) icmp: Option<u8>,
    /// Destination port of a datagram.
    pub(crate) udp_port: Option<u16>,
    /// Number of a probe of the lab, where it is one.
    pub(crate) probe: Option<u64>,
    /// Destination port of a segment.
    pub(crate) tcp_port: Option<u16>,
    tcp_flags: u16,
    /// What tshark holds against it.
    pub(crate) fault: Option<String>,
}

impl Frame {
    /// Whether it is an MLD message.
    pub(crate) fn is_mld(&self) -> bool {
        matches!(self.icmp, Some(130..=132 | 143))
    }

    /// Whether it carries a packet in a tunnel.
    pub(crate) fn is_tunnelled(&self) -> bool {
        self.protocols.contains("ipv6:ipv6:") || self.protocols.contains(":gre")
    }

    /// Whether it asks for a TCP connection.
    pub(crate) fn opens_connection(&self) -> bool {
        self.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN
    }

    /// Whether it breaks off a TCP connection.
    pub(crate) fn resets_connection(&self) -> bool {
        self.tcp_flags & TCP_RST != 0
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
    let [at, protocols, sources, destinations, mobility, pim, icmp, udp_port, payload, tcp_port, flags, severity, said] =
        columns[..]
    else {
        panic!("tshark printed {line}");
    };
    let first = |column: &str| column.split(',').next().unwrap_or_default().to_owned();
    let severities = severity.split(',').filter_map(|severity| severity.parse::<u32>().ok());
    let bad = severities.max() >= Some(ERROR) || protocols.contains("_ws.malformed") || said.contains("checksum");
    Frame {
        at: nanos(at),
        protocols: protocols.to_owned(),
        sources: addresses(sources),
        destinations: addresses(destinations),
        mobility: first(mobility).parse().ok(),
        join_prune: first(pim) == JOIN_PRUNE,
        icmp: first(icmp).parse().ok(),
        udp_port: first(udp_port).parse().ok(),
        probe: payload.get(..16).and_then(|mark| u64::from_str_radix(mark, 16).ok()),
        tcp_port: first(tcp_port).parse().ok(),
        tcp_flags: u16::from_str_radix(first(flags).trim_start_matches("0x"), 16).unwrap_or(0),
        fault: bad.then(|| line.to_owned()),
    }
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
