//! Semantic fragmentation: a Bootstrap message as several that fit the link, each understood alone (RFC 5059 §4.1.1).

use crate::wire::{BOOTSTRAP_LEN, Bootstrap, HEADER_LEN, MAX_RP_RANGES, RP_ENTRY_LEN, RP_RANGE_LEN, RpRange};
use stack::wire::ipv6;

/// The messages of one tag that say what `message` says, each no longer than a packet of `mtu` octets holds. A range is
/// only divided where it alone is longer.
pub(crate) fn fragments(message: &Bootstrap, mtu: usize) -> Vec<Bootstrap> {
    let room = mtu.max(ipv6::MINIMUM_MTU) - ipv6::HEADER_LEN - HEADER_LEN;
    let is_scoped = message.ranges.first().is_some_and(|first| first.group.scope_zone);
    let empty = || Bootstrap { ranges: Vec::new(), ..*message };
    let mut fragments = Vec::new();
    let (mut filling, mut length) = (empty(), BOOTSTRAP_LEN);
    let per_fragment = (room - BOOTSTRAP_LEN - RP_RANGE_LEN) / RP_ENTRY_LEN;
    let pieces = message.ranges.iter().flat_map(|range| {
        let pieces = range.rps.chunks(per_fragment).map(|rps| RpRange { rps: rps.to_vec(), ..*range });
        pieces.chain(range.rps.is_empty().then(|| range.clone()))
    });
    for mut piece in pieces {
        if length + piece.len() > room || filling.ranges.len() == MAX_RP_RANGES {
            fragments.push(core::mem::replace(&mut filling, empty()));
            length = BOOTSTRAP_LEN;
        }
        // The first range of every fragment names the zone.
        piece.group.scope_zone = is_scoped && filling.ranges.is_empty();
        length += piece.len();
        filling.ranges.push(piece);
    }
    if !filling.ranges.is_empty() || fragments.is_empty() {
        fragments.push(filling);
    }
    fragments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{EncodedGroup, RpEntry};
    use core::net::Ipv6Addr;

    fn message(ranges: u16, rps: u8, scope_zone: bool) -> Bootstrap {
        let range = |index: u16| RpRange {
            group: EncodedGroup {
                mask_length: 32,
                scope_zone: scope_zone && index == 0,
                ..EncodedGroup::host(Ipv6Addr::new(0xff15, index, 0, 0, 0, 0, 0, 0))
            },
            rp_count: rps,
            rps: (0..rps)
                .map(|last| RpEntry { address: u128::from(last).into(), holdtime: 150, priority: 0 })
                .collect(),
        };
        Bootstrap {
            no_forward: true,
            fragment_tag: 7,
            hash_mask_length: 126,
            bsr_priority: 64,
            bsr_address: Ipv6Addr::LOCALHOST,
            ranges: (0..ranges).map(range).collect(),
        }
    }

    #[test]
    fn fragments_fit_and_say_the_same() {
        for mtu in [0, 1280, 1500, 9000] {
            let room = mtu.max(1280) - 44;
            for (ranges, rps, scope_zone) in [
                (0, 0, false),
                (1, 0, true),
                (1, 255, true),
                (200, 1, false),
                (200, 3, true),
                (3, 60, false),
                (1024, 0, true),
            ] {
                let message = message(ranges, rps, scope_zone);
                let fragments = fragments(&message, mtu);
                let case = format!("mtu {mtu}, {ranges} ranges of {rps}");
                assert!(fragments.iter().all(|fragment| fragment.len() <= room), "{case}");
                assert!(fragments.iter().all(|fragment| Bootstrap { ranges: vec![], ..fragment.clone() }
                    == Bootstrap { ranges: vec![], ..message.clone() }));
                for fragment in &fragments {
                    for (index, range) in fragment.ranges.iter().enumerate() {
                        assert_eq!(range.group.scope_zone, scope_zone && index == 0, "{case}");
                    }
                }
                // A range that fits one fragment is in one.
                let mut said: Vec<RpRange> = Vec::new();
                for range in fragments.iter().flat_map(|fragment| &fragment.ranges) {
                    match said.last_mut().filter(|last| last.group.address == range.group.address) {
                        Some(last) => {
                            assert!(message.ranges[0].len() + BOOTSTRAP_LEN > room, "{case}: divided in vain");
                            last.rps.extend(&range.rps);
                        }
                        None => said.push(range.clone()),
                    }
                }
                for (said, range) in said.iter_mut().zip(&message.ranges) {
                    said.group.scope_zone = range.group.scope_zone;
                }
                assert_eq!(said, message.ranges, "{case}");
            }
        }
    }

    #[test]
    fn a_message_that_fits_stays_as_it_is() {
        let whole = message(10, 2, true);
        assert_eq!(fragments(&whole, 1500), [whole]);
        assert_eq!(fragments(&message(200, 1, false), 1280).len(), 8);
    }
}
