//! What a glance at a frame tells.

use crate::machine::PortId;
use crate::pipeline::header::{self, address, halves, word};
use crate::pipeline::{Dataplane, ecn};
use crate::tables::Link;
use crate::wire::ethernet;
use crate::wire::ipv6::{HEADER_LEN, protocol};

/// Where the IPv6 header is, and the one in it.
pub(super) const OUTER: usize = ethernet::HEADER_LEN;
pub(super) const INNER: usize = OUTER + HEADER_LEN;
/// Where the packet inside ends its header.
pub(super) const INNER_END: usize = INNER + HEADER_LEN;

/// A frame at a glance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// An ordinary packet to this unicast address, in a frame for this node.
    Unicast([u64; 2]),
    /// One to a group of more than the link, which nobody on this node hears: its source and group.
    Group([u64; 4]),
    /// Anything else.
    Other,
}

/// What is the same for all frames of a batch.
pub(super) struct Arrival<'a> {
    link: &'a Link,
    /// The port's address in the upper 48 bits.
    ours: u64,
    /// The narrowest scope of groups that may come in here.
    narrowest: u64,
    groups: bool,
}

impl<'a> Arrival<'a> {
    pub(super) fn new(plane: &Dataplane, link: &'a Link, port: PortId) -> Self {
        let [a, b, c, d, e, f] = link.link_address.0;
        Arrival {
            link,
            ours: u64::from_be_bytes([a, b, c, d, e, f, 0, 0]),
            narrowest: if plane.config.site_border.contains(port) { 6 } else { 3 },
            groups: plane.groups.is_empty() && !link.hears_beyond_link(),
        }
    }

    /// Looks at a frame. Behind this its IPv6 header is whole, and so is the packet.
    #[inline(always)]
    pub(super) fn look(&self, frame: &[u8]) -> Look {
        let Some(header) = frame.first_chunk::<INNER>() else { return Look::Other };
        let plain = word(header, 8) & 0xffff_f000 == u64::from(ethernet::ETHERTYPE_IPV6) << 16 | 0x6000
            && header[6] & 1 == 0
            && header[OUTER + 6] != protocol::HOP_BY_HOP
            && is_ordinary(word(header, OUTER + 8))
            && frame.len() >= end_of(header, OUTER);
        if !plain || !self.link.accepts(address(header, OUTER + 8)) {
            return Look::Other;
        }
        let [high, low] = halves(header, OUTER + 24);
        if is_ordinary(high) {
            let ours = word(header, 0) & !0xffff == self.ours;
            return if ours { Look::Unicast([high, low]) } else { Look::Other };
        }
        let [a, b] = halves(header, OUTER + 8);
        let fits = high >> 56 == 0xff && self.groups && header[0] & 1 != 0 && high >> 48 & 0xf >= self.narrowest;
        if fits { Look::Group([a, b, high, low]) } else { Look::Other }
    }
}

/// Whether an address with this first half may be a packet's source beyond its link, or a unicast destination: not
/// unspecified, loopback, link-local or a group. Those between link-local ones and groups, which nobody has any more (RFC
/// 3879), are left to the stages.
#[inline(always)]
pub(super) fn is_ordinary(high: u64) -> bool {
    high.wrapping_sub(1) < (0xfe80 << 48) - 1
}

/// Whether the address with this first half is a group that reaches beyond its link.
#[inline(always)]
pub(super) fn is_wide_group(high: u64) -> bool {
    high >> 56 == 0xff && high >> 48 & 0xf > 2
}

/// Where the packet that starts at `at` ends.
#[inline(always)]
pub(super) fn end_of(frame: &[u8], at: usize) -> usize {
    at + header::total_length(&frame[at..])
}

/// Whether an ordinary packet stands right behind the IPv6 header and can be taken out, or given another outer header,
/// without anybody being told.
#[inline(always)]
pub(super) fn is_plain_tunnel(frame: &[u8; INNER_END]) -> bool {
    frame[OUTER + 6] == protocol::IPV6
        && frame[INNER] >> 4 == 6
        && end_of(frame, INNER) <= end_of(frame, OUTER)
        && is_ordinary(word(frame, INNER + 8))
        && is_ordinary(word(frame, INNER + 24))
        && {
            let exit =
                ecn::at_exit(header::traffic_class(&frame[INNER..]) & 3, header::traffic_class(&frame[OUTER..]) & 3);
            exit.ecn.is_some() && exit.unused.is_none()
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_ordinary_address_is_neither_of_the_others(bits: u128, kind in 0..4u8) {
            let bits = match kind {
                0 => bits >> 64,
                1 => bits >> 9 | 0xfe80 << 112,
                2 => bits | 0xff << 120,
                _ => bits,
            };
            let address = Ipv6Addr::from_bits(bits);
            let others = address.is_multicast() || address.is_loopback() || address.is_unspecified()
                || crate::addr::is_link_local(address);
            let ordinary = is_ordinary((bits >> 64) as u64);
            // Addresses whose first half is zero, and fec0::/10, are left to the stages, whatever they are.
            prop_assert!(!(others && ordinary));
            prop_assert!(ordinary || others || bits >> 64 == 0 || bits >> 118 == 0xfec0 >> 6);
        }
    }
}
