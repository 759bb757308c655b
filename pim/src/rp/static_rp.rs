//! Rendezvous points that the configuration names (RFC 7761 §4.7).

use super::choice::{Choice, choose};
use super::hash::HASH_MASK_LENGTH;
use core::net::Ipv6Addr;
use stack::addr::Prefix;

/// How a static rendezvous point stands to those that a bootstrap router names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StaticPrecedence {
    /// It counts for groups that no learned range holds.
    BehindLearned,
    /// It counts before all learned ones.
    OverridesLearned,
}

/// A static rendezvous point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StaticRp {
    /// Its address.
    pub address: Ipv6Addr,
    /// The groups that it serves.
    pub groups: Vec<Prefix>,
    /// How it stands to learned ones.
    pub precedence: StaticPrecedence,
}

/// RP(G) among those of one precedence. They have no priorities.
pub(crate) fn lookup(statics: &[StaticRp], precedence: StaticPrecedence, group: Ipv6Addr) -> Choice {
    let alike = || statics.iter().filter(|rp| rp.precedence == precedence);
    let longest_of = |rp: &StaticRp| rp.groups.iter().filter(|range| range.contains(group)).map(|r| r.length()).max();
    let Some(longest) = alike().filter_map(longest_of).max() else { return Choice::NoRange };
    let serving = alike().filter(|rp| longest_of(rp) == Some(longest)).map(|rp| (rp.address, 0));
    choose(group, HASH_MASK_LENGTH, serving).map_or(Choice::NoRange, Choice::RendezvousPoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_range_of_the_same_precedence() {
        let at = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let rp = |address: &str, groups: &[&str], precedence| StaticRp {
            address: at(address),
            groups: groups.iter().map(|range| range.parse().unwrap()).collect(),
            precedence,
        };
        use StaticPrecedence::{BehindLearned, OverridesLearned};
        let statics = [
            rp("2001:db8::1", &["ff00::/8", "ff15:1::/32"], BehindLearned),
            rp("2001:db8::2", &["ff15::/16"], BehindLearned),
            rp("2001:db8::3", &["ff15:2::/32"], OverridesLearned),
        ];
        for (group, behind, overrides) in [
            ("ff1e::1", Choice::RendezvousPoint(at("2001:db8::1")), Choice::NoRange),
            ("ff15::1", Choice::RendezvousPoint(at("2001:db8::2")), Choice::NoRange),
            ("ff15:1::1", Choice::RendezvousPoint(at("2001:db8::1")), Choice::NoRange),
            ("ff15:2::1", Choice::RendezvousPoint(at("2001:db8::2")), Choice::RendezvousPoint(at("2001:db8::3"))),
        ] {
            assert_eq!(lookup(&statics, BehindLearned, at(group)), behind, "{group}");
            assert_eq!(lookup(&statics, OverridesLearned, at(group)), overrides, "{group}");
        }
        assert_eq!(lookup(&[], BehindLearned, at("ff15::1")), Choice::NoRange);
    }
}
