//! Congestion marks in tunnels (RFC 6040): normal mode where one begins, the whole of figure 4 where it ends.
//!
//! A packet that leaves one tunnel and enters the next, as at a mobility agent, meets both in this order, so that a mark
//! on either side of it is kept. Combinations that no sender makes today are counted; counting is all that there is to
//! suppress (§4.2).

use super::counters::Counter;

/// Not ECN-capable.
pub(crate) const NOT_ECT: u8 = 0b00;
/// ECN-capable.
pub(crate) const ECT_1: u8 = 0b01;
/// ECN-capable.
pub(crate) const ECT_0: u8 = 0b10;
/// Congestion experienced.
pub(crate) const CE: u8 = 0b11;

/// What the outer header of a tunnel says about a packet with this inner codepoint (RFC 6040 §4.1, normal mode).
#[inline(always)]
pub(crate) const fn at_entry(inner: u8) -> u8 {
    inner & 3
}

/// What becomes of a packet at the end of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AtExit {
    /// Its codepoint from here on; `None` where it has to be dropped.
    pub(crate) ecn: Option<u8>,
    /// The counter of combinations that are not used today.
    pub(crate) unused: Option<Counter>,
}

/// What becomes of a packet that leaves a tunnel (RFC 6040 figure 4).
#[inline(always)]
pub(crate) const fn at_exit(inner: u8, outer: u8) -> AtExit {
    let ecn = match (inner & 3, outer & 3) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (CE, _) | (_, CE) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    };
    let unused = match (inner & 3, outer & 3) {
        (NOT_ECT, ECT_0 | ECT_1 | CE) | (CE, ECT_1) => Some(Counter::EcnUnusedDangerous),
        (ECT_1, ECT_0) => Some(Counter::EcnUnused),
        _ => None,
    };
    AtExit { ecn, unused }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [u8; 4] = [NOT_ECT, ECT_0, ECT_1, CE];

    #[test]
    fn an_outer_header_takes_the_inner_codepoint() {
        assert_eq!(ALL.map(at_entry), ALL);
    }

    #[test]
    fn the_end_of_a_tunnel_follows_figure_4_of_rfc_6040() {
        let fine = |ecn| (Some(ecn), None);
        let odd = |ecn| (Some(ecn), Some(Counter::EcnUnused));
        let dangerous = |ecn| (ecn, Some(Counter::EcnUnusedDangerous));
        for (inner, expected) in [
            (NOT_ECT, [fine(NOT_ECT), dangerous(Some(NOT_ECT)), dangerous(Some(NOT_ECT)), dangerous(None)]),
            (ECT_0, [fine(ECT_0), fine(ECT_0), fine(ECT_1), fine(CE)]),
            (ECT_1, [fine(ECT_1), odd(ECT_1), fine(ECT_1), fine(CE)]),
            (CE, [fine(CE), fine(CE), dangerous(Some(CE)), fine(CE)]),
        ] {
            let found = ALL.map(|outer| at_exit(inner, outer)).map(|exit| (exit.ecn, exit.unused));
            assert_eq!(found, expected, "inner {inner:02b}");
        }
    }

    #[test]
    fn a_mark_of_either_tunnel_survives_the_way_through_an_agent() {
        for (inner, first, second) in [(ECT_0, CE, ECT_0), (ECT_0, ECT_0, CE), (ECT_1, CE, ECT_1), (CE, CE, CE)] {
            let between = at_exit(inner, first).ecn.unwrap();
            let outer = at_entry(between);
            let marked = if second == CE { CE } else { outer };
            assert_eq!(at_exit(between, marked).ecn, Some(CE), "{inner:02b} {first:02b} {second:02b}");
        }
    }
}
