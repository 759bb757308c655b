//! What a candidate rendezvous point tells the bootstrap router of each zone (RFC 5059 §3.2).

use super::config::CandidateRp;
use super::zone::{ScopeZone, scope_of};
use crate::wire::{CANDIDATE_RP_LEN, CandidateRpAdvertisement, EncodedGroup, HEADER_LEN};
use core::net::Ipv6Addr;
use stack::addr::{Prefix, Scope};
use stack::wire::ipv6;

/// The group ranges to offer in a zone: each in the zone of its scope, where that is known, or else to the domain; and of
/// ranges that hold several scopes the part of each known zone, too.
pub(crate) fn ranges_for(groups: &[Prefix], zone: ScopeZone, is_known: impl Fn(Scope) -> bool) -> Vec<Prefix> {
    match zone {
        ScopeZone::Domain => groups.iter().copied().filter(|&range| !scope_of(range).is_some_and(&is_known)).collect(),
        ScopeZone::Scope(scope) => {
            let mut ranges: Vec<Prefix> =
                groups.iter().copied().filter(|&range| scope_of(range) == Some(scope)).collect();
            let of_scope = |flags: u16| {
                let first = 0xff00 | flags << 4 | u16::from(scope.value());
                Prefix::new(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), 16)
            };
            let wide = |range: &Prefix| groups.iter().any(|r| r.length() < 16 && r.contains(range.address()));
            ranges.extend((0..16).filter_map(of_scope).filter(wide));
            ranges.sort();
            ranges.dedup();
            ranges
        }
    }
}

/// Whether this router is at the border of the zone for which it advertises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ZonePlace {
    Inside,
    AtBorder,
}

/// The messages that offer these ranges, each short enough for every link.
pub(crate) fn advertisements(
    candidate: &CandidateRp,
    ranges: &[Prefix],
    holdtime: u16,
    place: ZonePlace,
) -> Vec<CandidateRpAdvertisement> {
    const PER_MESSAGE: usize =
        (ipv6::MINIMUM_MTU - ipv6::HEADER_LEN - HEADER_LEN - CANDIDATE_RP_LEN) / EncodedGroup::LEN;
    let encoded = |range: &Prefix| EncodedGroup {
        address: range.address(),
        mask_length: range.length(),
        bidirectional: false,
        scope_zone: place == ZonePlace::AtBorder,
    };
    let message = |ranges: &[Prefix]| CandidateRpAdvertisement {
        priority: candidate.priority,
        holdtime,
        address: candidate.address,
        ranges: ranges.iter().map(encoded).collect(),
    };
    ranges.chunks(PER_MESSAGE).map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_go_to_the_zone_of_their_scope() {
        let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Prefix>>();
        let site = ScopeZone::Scope(Scope::SITE_LOCAL);
        let groups = prefixes(&["ff15:1::/32", "ff1e::/16", "ff30::/12"]);
        let knows_site = |scope| scope == Scope::SITE_LOCAL;
        assert_eq!(ranges_for(&groups, ScopeZone::Domain, |_| false), groups);
        assert_eq!(ranges_for(&groups, ScopeZone::Domain, knows_site), prefixes(&["ff1e::/16", "ff30::/12"]));
        assert_eq!(ranges_for(&groups, site, knows_site), prefixes(&["ff15:1::/32", "ff35::/16"]));
        let all = ranges_for(&prefixes(&["ff00::/8"]), site, knows_site);
        assert_eq!(all.len(), 16);
        assert!(all.iter().all(|&range| scope_of(range) == Some(Scope::SITE_LOCAL)));
        let other = ScopeZone::Scope(Scope::new(4).unwrap());
        assert_eq!(ranges_for(&prefixes(&["ff15::/16"]), other, |_| true), []);
    }

    #[test]
    fn no_message_is_longer_than_every_link_carries() {
        let candidate = CandidateRp::new("2001:db8::1".parse().unwrap(), Vec::new());
        let ranges: Vec<Prefix> =
            (0..130u16).map(|last| Prefix::host(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, last))).collect();
        let messages = advertisements(&candidate, &ranges, 150, ZonePlace::AtBorder);
        assert_eq!(messages.iter().map(|message| message.ranges.len()).collect::<Vec<_>>(), [60, 60, 10]);
        assert!(messages.iter().flat_map(|message| &message.ranges).all(|range| range.scope_zone));
        let mut octets = Vec::new();
        messages[0].emit(&mut octets);
        assert!(octets.len() + 44 <= 1280);
        assert!(advertisements(&candidate, &[], 150, ZonePlace::Inside).is_empty());
    }
}
