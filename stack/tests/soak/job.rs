//! A packet on its way through the oracle.

use super::octets;
use core::net::Ipv6Addr;
use stack::addr::MacAddress;

/// A packet, and what is known about it beside its octets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    /// From its IPv6 header on. Flow labels of tunnels, sequence numbers and fragment identifications are zero.
    pub(crate) packet: Vec<u8>,
    /// Where it came in, or what it came of.
    pub(crate) port: Option<u8>,
    pub(crate) link_source: Option<MacAddress>,
    pub(crate) link_multicast: bool,
    /// The tunnel that it left last.
    pub(crate) tunnel: Option<(Ipv6Addr, Ipv6Addr)>,
    /// This node sent it, or put an outer header in front.
    pub(crate) is_own: bool,
    /// Octets of the outer headers that this node put in front.
    pub(crate) outer: usize,
    /// It came out of a Register message and has not found its route yet.
    pub(crate) is_out_of_register: bool,
    /// This node put a Home Address option into it.
    pub(crate) has_option: bool,
    /// Times that it was looked up.
    pub(crate) passes: u8,
    pub(crate) marks: Marks,
    /// The call of the data plane in which it came to wait.
    pub(crate) waits_since: u64,
}

/// What only the data plane knows of a frame, and where it came from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// Outer headers whose flow label the data plane chooses: where they start and where the packet inside does, both
    /// counted from the end of the packet.
    pub(crate) labels: Vec<(usize, usize)>,
    pub(crate) sequence: Option<Sequence>,
    /// The outer packet of which it is a fragment.
    pub(crate) fragment: Option<u64>,
    /// It is in a Register message of this node.
    pub(crate) is_registered: bool,
    /// It came in one of others'.
    pub(crate) was_registered: bool,
    /// It is an ICMPv6 error or came of one.
    pub(crate) is_error: bool,
    /// It quotes a header whose flow label the data plane chose.
    pub(crate) quotes_label: bool,
    /// The input packet that it came of, by its number.
    pub(crate) serial: u64,
    /// The row of like packets that it is in.
    pub(crate) train: Option<u64>,
}

/// A GRE sequence number: where it stands, counted from the end of the packet, whose tunnel it is, and which packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    pub(crate) from_end: usize,
    pub(crate) home_address: Ipv6Addr,
    pub(crate) ticket: u64,
}

impl Job {
    pub(crate) fn source(&self) -> Ipv6Addr {
        octets::source(&self.packet)
    }

    pub(crate) fn destination(&self) -> Ipv6Addr {
        octets::destination(&self.packet)
    }

    /// Octets that this node put in front of the packet or into it, other than what it sends itself.
    pub(crate) fn added(&self) -> usize {
        self.outer + if self.has_option { 24 } else { 0 }
    }

    /// Takes the first octets away.
    pub(crate) fn strip(&mut self, octets: usize) {
        self.packet.drain(..octets);
        let length = self.packet.len();
        self.marks.labels.retain(|&(outer, _)| outer <= length);
        self.marks.sequence = self.marks.sequence.filter(|sequence| sequence.from_end <= length);
    }

    /// Takes off what this node added.
    pub(crate) fn restore(&mut self) {
        let outer = core::mem::take(&mut self.outer);
        self.strip(outer);
        self.take_option();
    }

    /// Takes out the Home Address option that this node put in right behind the IPv6 header.
    pub(crate) fn take_option(&mut self) {
        if core::mem::take(&mut self.has_option) {
            let home_address = octets::address(&self.packet, 48);
            self.packet[6] = self.packet[40];
            self.packet[8..24].copy_from_slice(&home_address.octets());
            self.packet.drain(40..64);
            octets::set_length(&mut self.packet);
        }
    }

    /// Puts 24 octets that start with the next header behind the IPv6 header.
    pub(crate) fn insert(&mut self, kind: u8, mut header: [u8; 24]) {
        header[0] = core::mem::replace(&mut self.packet[6], kind);
        self.packet.splice(40..40, header);
        octets::set_length(&mut self.packet);
    }

    /// A packet of this node that came of this one.
    pub(crate) fn own(&self, packet: Vec<u8>) -> Job {
        let marks = Marks { serial: self.marks.serial, ..Marks::default() };
        Job { packet, port: self.port, is_own: true, marks, ..Job::default() }
    }
}
