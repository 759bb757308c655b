//! The hash function of RFC 7761 §4.7.2, which spreads the groups of a range over its rendezvous points, in the same way at
//! every router.

use core::net::Ipv6Addr;
use stack::addr::Prefix;

/// The hash mask length where nobody says another one (RFC 7761 §4.7.2).
pub(crate) const HASH_MASK_LENGTH: u8 = 126;

/// Value(G,M,C): of the rendezvous points that are otherwise alike, the one with the highest value is the group's.
pub(crate) fn value(group: Ipv6Addr, hash_mask_length: u8, rendezvous_point: Ipv6Addr) -> u32 {
    let masked = Prefix::new(group, hash_mask_length).map_or(group, Prefix::address);
    // What leaves 32 bits does not reach the lower 31 any more.
    let step = |value: u32| MULTIPLIER.wrapping_mul(value).wrapping_add(INCREMENT);
    step(step(digest(masked)) ^ digest(rendezvous_point)) & 0x7fff_ffff
}

const MULTIPLIER: u32 = 1_103_515_245;
const INCREMENT: u32 = 12_345;

/// The exclusive or of the address's 32-bit words, which for IPv4-compatible addresses is the IPv4 address.
fn digest(address: Ipv6Addr) -> u32 {
    let bits = address.to_bits();
    (0..4).fold(0, |digest, word| digest ^ (bits >> (32 * word)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn digests() {
        // RFC 7761 §4.7.2's example: 3ffe0b00 ^ 0c180001 ^ 10.
        assert_eq!(digest(at("3ffe:b00:c18:1::10")), 0x33e6_0b11);
        assert_eq!(digest(at("::192.0.2.1")), 0xc000_0201);
    }

    /// Computed with unbounded integers, as the RFC writes it:
    ///
    /// ```python
    /// def digest(a): return a >> 96 ^ a >> 64 & 2**32-1 ^ a >> 32 & 2**32-1 ^ a & 2**32-1
    /// def value(g, m, c):
    ///     g &= (2**m - 1) << 128 - m
    ///     return (1103515245 * ((1103515245 * digest(g) + 12345) ^ digest(c)) + 12345) % 2**31
    /// ```
    #[test]
    fn values() {
        for (group, mask, rendezvous_point, expected) in [
            ("ff15::1", 126, "2001:db8::1", 923_230_137),
            ("ff15::1", 126, "2001:db8::2", 2_086_292_224),
            ("ff15::3", 126, "2001:db8::1", 923_230_137),
            ("ff15::4", 126, "2001:db8::1", 1_600_356_349),
            ("ff15::1", 128, "2001:db8::1", 1_958_520_428),
            ("ff15::1", 0, "2001:db8::1", 306_470_841),
            ("ff1e:0:0:1234:5678:9abc:def0:1111", 126, "3ffe:b00:c18:1::10", 1_564_943_769),
        ] {
            assert_eq!(value(at(group), mask, at(rendezvous_point)), expected, "{group}/{mask} {rendezvous_point}");
        }
    }
}
