//! The election of the designated router of a link (RFC 7761 §4.3.2).

use crate::neighbor::Neighbor;
use core::net::Ipv6Addr;

/// DR(I): the primary address of the designated router among ourselves and `neighbors`.
///
/// Priorities count only where every neighbour sends one; then, or among equals, the higher address wins.
pub(crate) fn designated_router<'a>(
    own_address: Ipv6Addr,
    own_priority: u32,
    neighbors: impl Iterator<Item = &'a Neighbor> + Clone,
) -> Ipv6Addr {
    let priorities_count = neighbors.clone().all(|neighbor| neighbor.dr_priority.is_some());
    let metric = |priority: u32, address| (if priorities_count { priority } else { 0 }, address);
    neighbors
        .map(|neighbor| metric(neighbor.dr_priority.unwrap_or(0), neighbor.primary_address))
        .fold(metric(own_priority, own_address), Ord::max)
        .1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Hello;
    use stack::time::Instant;

    fn address(last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last)
    }

    fn neighbor(last: u16, dr_priority: Option<u32>) -> Neighbor {
        Neighbor::new(address(last), &Hello { dr_priority, ..Hello::default() }, Instant::ORIGIN)
    }

    #[test]
    fn election() {
        // Our priority at address 5, the neighbours, the winner.
        type Case = (u32, &'static [(u16, Option<u32>)], u16);
        let cases: [Case; 9] = [
            (1, &[], 5),
            (1, &[(4, Some(1))], 5),
            (1, &[(6, Some(1))], 6),
            (2, &[(6, Some(1))], 5),
            (1, &[(4, Some(2))], 4),
            (0, &[(4, Some(0))], 5),
            // One neighbour without a priority switches to addresses alone.
            (9, &[(6, None), (4, Some(99))], 6),
            (9, &[(4, None)], 5),
            (1, &[(4, Some(u32::MAX)), (3, Some(u32::MAX)), (6, Some(7))], 4),
        ];
        for (own, others, winner) in cases {
            let neighbors: Vec<_> = others.iter().map(|&(last, priority)| neighbor(last, priority)).collect();
            let elected = designated_router(address(5), own, neighbors.iter());
            assert_eq!(elected, address(winner), "own {own}, others {others:?}");
        }
    }
}
