//! The choice of one rendezvous point out of those that serve the longest range of a group (RFC 7761 §4.7.1).

use super::hash;
use core::cmp::Reverse;
use core::net::Ipv6Addr;

/// What the mappings of one origin say about a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    /// No range holds it.
    NoRange,
    /// The longest range is one of bidirectional PIM, which is not spoken here: the group has no rendezvous point, and no
    /// other mapping counts (RFC 5059 §3.6).
    Bidirectional,
    /// RP(G).
    RendezvousPoint(Ipv6Addr),
}

/// Of rendezvous points and their priorities the one of this group: the lowest priority value, then the highest hash value,
/// then the highest address.
pub(crate) fn choose(
    group: Ipv6Addr,
    hash_mask_length: u8,
    rendezvous_points: impl Iterator<Item = (Ipv6Addr, u8)>,
) -> Option<Ipv6Addr> {
    let rank = |&(address, priority): &(Ipv6Addr, u8)| {
        (Reverse(priority), hash::value(group, hash_mask_length, address), address)
    };
    rendezvous_points.max_by_key(rank).map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn priority_then_hash_then_address() {
        let group = at("ff15::1");
        let chosen = |rps: &[(&str, u8)]| choose(group, 126, rps.iter().map(|&(text, priority)| (at(text), priority)));
        assert_eq!(chosen(&[]), None);
        // Values 923,230,137 and 2,086,292,224 (hash.rs).
        assert_eq!(chosen(&[("2001:db8::1", 5), ("2001:db8::2", 5)]), Some(at("2001:db8::2")));
        assert_eq!(chosen(&[("2001:db8::1", 4), ("2001:db8::2", 5)]), Some(at("2001:db8::1")));
        // The same words in another order: the same digest, and so the same value.
        let (low, high) = ("2001:db8:0:1:0:2::", "2001:db8:0:2:0:1::");
        assert_eq!(hash::value(group, 126, at(low)), hash::value(group, 126, at(high)));
        assert_eq!(chosen(&[(high, 5), (low, 5)]), Some(at(high)));
    }

    /// Groups that the hash mask tells apart are spread, more or less evenly as the function has it; those that it does not
    /// stay together.
    #[test]
    fn groups_are_spread() {
        let rps = [("2001:db8::1", 0), ("2001:db8::2", 0), ("2001:db8::3", 0), ("2001:db8::4", 0)]
            .map(|(text, priority)| (at(text), priority));
        let mut counts = [0; 4];
        for block in 0..1000u128 {
            let group = |last| Ipv6Addr::from_bits(at("ff15::").to_bits() | block << 2 | last);
            let chosen = choose(group(0), 126, rps.into_iter());
            for last in 1..4 {
                assert_eq!(choose(group(last), 126, rps.into_iter()), chosen);
            }
            counts[rps.iter().position(|rp| Some(rp.0) == chosen).unwrap()] += 1;
        }
        assert_eq!(counts, [26, 250, 475, 249]);
    }
}
