//! Emulated terminals: the group of each, the frames that they send, and the stream that is sent to each.

use super::site::SOURCE;
use crate::traffic::link::to_group;
use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::{HEADER_LEN, protocol};
use stack::wire::mld::{Record, RecordType, Report};

/// Octets of a packet of the stream, without the tunnel to the group.
pub(crate) const STREAM_OCTETS: usize = 64;
const MTU: usize = 1500;
/// The number of the first terminal.
const FIRST: u32 = 0x0100_0000;
/// What all groups have in front of the terminal's number.
const GROUPS: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0, 0);
const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x500, 0, 0, 0, 0, 0x100);

/// A terminal by its number, from zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Terminal(pub(crate) u32);

impl Terminal {
    /// The one whose group this is.
    pub(crate) fn of_group(group: Ipv6Addr) -> Option<Self> {
        let number = group.to_bits() as u32;
        (group.to_bits() ^ u128::from(number) == GROUPS.to_bits()).then(|| number.checked_sub(FIRST).map(Terminal))?
    }

    /// Its group.
    pub(crate) fn group(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(GROUPS.to_bits() | u128::from(self.number()))
    }

    /// The frame that joins its group from the source.
    pub(crate) fn join(self) -> Vec<u8> {
        self.report(RecordType::AllowNewSources)
    }

    /// The frame that answers a query for it.
    pub(crate) fn answer(self) -> Vec<u8> {
        self.report(RecordType::ModeIsInclude)
    }

    /// The frame that leaves it.
    pub(crate) fn leave(self) -> Vec<u8> {
        self.report(RecordType::BlockOldSources)
    }

    /// A packet of a correspondent in the tunnel to the group.
    pub(crate) fn stream(self) -> Vec<u8> {
        let [.., high, low] = self.group().segments();
        let home = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, high, low);
        let length = STREAM_OCTETS - HEADER_LEN;
        let mut datagram = vec![0x13, 0x89, 0x13, 0x89, 0, length as u8, 0, 0];
        datagram.resize(length, 0x5a);
        let inner = PacketBuilder::new(CORRESPONDENT, home).checksummed(protocol::UDP, datagram, 6);
        let packet = PacketBuilder::new(SOURCE, self.group()).payload(protocol::IPV6, &inner);
        to_group(&packet, MacAddress([2, 0, 0, 0, 0xff, 0]))
    }

    fn number(self) -> u32 {
        FIRST + self.0
    }

    fn report(self, kind: RecordType) -> Vec<u8> {
        let [.., high, low] = self.group().segments();
        let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0200, 0x5eff, high, low);
        let record = Record { kind, group: self.group(), sources: vec![SOURCE] };
        let packet = Report { records: vec![record] }.packets(from, MTU).remove(0);
        let [a, b, c, d] = self.number().to_be_bytes();
        to_group(&packet, MacAddress([2, 1, a, b, c, d]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_one_terminals() {
        for number in [0, 1, 65_535, 65_536, 131_071] {
            assert_eq!(Terminal::of_group(Terminal(number).group()), Some(Terminal(number)));
        }
        for other in ["ff02::16", "ff35::200:5eff:0:1", "ff35::200:5efe:100:0"] {
            assert_eq!(Terminal::of_group(other.parse().unwrap()), None, "{other}");
        }
    }
}
