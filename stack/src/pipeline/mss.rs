//! TCP's Maximum Segment Size in packets that enter or leave a tunnel (RFC 9293 §3.7.1), lowered where a configuration
//! asks for it.
//!
//! Path MTU discovery works without it: entrances answer with Packet Too Big and pass on what routers inside a tunnel
//! say. This is for paths on which a filter swallows those answers. The checksum is adjusted by the difference
//! (RFC 1624), so that a segment that was broken stays so.

use super::Dataplane;
use super::counters::Counter;
use crate::icmpv6;
use crate::wire::gre;
use crate::wire::ipv6::{HEADER_LEN, protocol};

/// What one packet of a connection can have in front of it on its way: a tunnel header, GRE with key and sequence
/// number, and the header with the home address when the correspondent has a binding by then. The segment size is
/// agreed once, before that is known. A terminal that is its own agent has two tunnel headers, which are more.
const OVERHEAD: usize = HEADER_LEN + gre::KEY_SEQUENCE_LEN + super::home_address::ROUTING_LEN;
/// IPv6 and TCP headers without options (RFC 6691 §2).
const HEADERS: usize = HEADER_LEN + TCP_LEN;
const TCP_LEN: usize = 20;
const SYN: u8 = 0x02;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// Lowers the option in the packet that starts at `at`, where it is a SYN, to what passes a tunnel with this path MTU.
#[cold]
pub(super) fn clamp(plane: &mut Dataplane, packet: &mut [u8], at: usize, path_mtu: usize) {
    let most = path_mtu.saturating_sub(OVERHEAD.max(at) + HEADERS).min(usize::from(u16::MAX)) as u16;
    if lower(&mut packet[at..], most) {
        plane.counters.add(Counter::MssClamped);
    }
}

/// Answers whether it had to.
fn lower(packet: &mut [u8], most: u16) -> bool {
    let Some((protocol::TCP, tcp_at)) = icmpv6::upper_layer(packet) else { return false };
    let Some(segment) = packet.get_mut(tcp_at..) else { return false };
    if segment.len() < TCP_LEN || segment[13] & SYN == 0 {
        return false;
    }
    let Some(at) = option_at(segment) else { return false };
    let old = u16::from_be_bytes([segment[at], segment[at + 1]]);
    if old <= most {
        return false;
    }
    segment[at..at + 2].copy_from_slice(&most.to_be_bytes());
    // At an odd octet the value lies across two words of the sum, its halves exchanged.
    let word = |value: u16| if at.is_multiple_of(2) { value } else { value.swap_bytes() };
    let sum = u16::from_be_bytes([segment[16], segment[17]]);
    segment[16..18].copy_from_slice(&adjusted(sum, word(old), word(most)).to_be_bytes());
    true
}

/// Where the option's value stands.
fn option_at(segment: &[u8]) -> Option<usize> {
    let end = 4 * usize::from(segment[12] >> 4);
    let options = segment.get(..end)?;
    let mut at = TCP_LEN;
    while at < end {
        match options[at] {
            END_OF_OPTIONS => return None,
            NO_OPERATION => at += 1,
            MAXIMUM_SEGMENT_SIZE if options.get(at + 1) == Some(&4) && at + 4 <= end => return Some(at + 2),
            _ => at += usize::from(*options.get(at + 1).filter(|&&length| length >= 2)?),
        }
    }
    None
}

/// The checksum after one of its words has changed (RFC 1624 §3).
const fn adjusted(sum: u16, old: u16, new: u16) -> u16 {
    let mut total = !sum as u32 + !old as u32 + new as u32;
    total = (total & 0xffff) + (total >> 16);
    total = (total & 0xffff) + (total >> 16);
    !(total as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::build::PacketBuilder;
    use crate::wire::checksum;
    use core::net::Ipv6Addr;
    use proptest::prelude::*;

    const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);

    fn segment(flags: u8, options: &[u8]) -> Vec<u8> {
        let mut segment = vec![0x12, 0x34, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0, flags, 0xff, 0xff, 0, 0, 0, 0];
        segment.extend_from_slice(options);
        segment.resize(segment.len().next_multiple_of(4), END_OF_OPTIONS);
        segment[12] = (segment.len() << 2) as u8;
        segment.extend_from_slice(b"data");
        segment
    }

    fn verified(packet: &[u8], at: usize) -> bool {
        checksum::verify(A, B, protocol::TCP, &packet[at..])
    }

    #[test]
    fn only_what_is_too_large_in_a_syn_is_lowered() {
        let mss = |value: u16| [&[2, 4][..], &value.to_be_bytes()].concat();
        for (flags, options, expected) in [
            (SYN, mss(1440), Some(1384)),
            (SYN | 0x10, mss(1440), Some(1384)),
            (SYN, mss(1384), None),
            (SYN, mss(536), None),
            (0x10, mss(1440), None),
            (SYN, [&[NO_OPERATION][..], &mss(9000)].concat(), Some(1384)),
            (SYN, [&[8, 10, 0, 0, 0, 0, 0, 0, 0, 0][..], &mss(1500)].concat(), Some(1384)),
            (SYN, [&[END_OF_OPTIONS][..], &mss(1440)].concat(), None),
            (SYN, vec![2, 3, 9, 9], None),
            (SYN, vec![8, 0, 2, 4, 9, 9], None),
            (SYN, vec![8, 1, 2, 4, 9, 9], None),
            (SYN, vec![8], None),
            (SYN, vec![1, 1, 1, 2], None),
        ] {
            let before = PacketBuilder::new(A, B).checksummed(protocol::TCP, segment(flags, &options), 16);
            let mut after = before.clone();
            assert_eq!(lower(&mut after, 1384), expected.is_some(), "{options:?}");
            assert!(verified(&after, 40), "{options:?}");
            if let Some(expected) = expected {
                let at = option_at(&after[40..]).unwrap() + 40;
                assert_eq!(u16::from_be_bytes([after[at], after[at + 1]]), expected);
            } else {
                assert_eq!(after, before);
            }
        }
    }

    #[test]
    fn it_is_found_behind_a_home_address_and_not_in_later_fragments() {
        let syn = segment(SYN, &[2, 4, 0x05, 0xa0]);
        let mut behind = PacketBuilder::new(A, B).home_address(A).checksummed(protocol::TCP, syn.clone(), 16);
        assert!(lower(&mut behind, 1300) && verified(&behind, 64));
        let later = [&[protocol::TCP, 0, 0, 8, 0, 0, 0, 1][..], &syn].concat();
        assert!(!lower(&mut PacketBuilder::new(A, B).payload(protocol::FRAGMENT, &later), 1300));
        let short = PacketBuilder::new(A, B).payload(protocol::TCP, &syn[..19]);
        assert!(!lower(&mut short.clone(), 1300));
        // Options that are longer than the packet.
        let beyond = [&[protocol::TCP, 90][..], &syn].concat();
        assert!(!lower(&mut PacketBuilder::new(A, B).payload(protocol::DESTINATION_OPTIONS, &beyond), 1300));
    }

    proptest! {
        #[test]
        fn the_checksum_holds_wherever_the_option_stands(padding in 0usize..8, value: u16, most: u16, seed: u32) {
            let mut options = vec![NO_OPERATION; padding];
            options.extend_from_slice(&[2, 4]);
            options.extend_from_slice(&value.to_be_bytes());
            let mut message = segment(SYN, &options);
            message[4..8].copy_from_slice(&seed.to_be_bytes());
            let mut packet = PacketBuilder::new(A, B).checksummed(protocol::TCP, message, 16);
            prop_assert_eq!(lower(&mut packet, most), value > most);
            prop_assert!(verified(&packet, 40));
        }

        #[test]
        fn any_octets_are_survived(octets in prop::collection::vec(any::<u8>(), 0..80), most: u16) {
            lower(&mut PacketBuilder::new(A, B).payload(protocol::TCP, &octets), most);
        }
    }
}
