//! The correspondent node's side of bindings: whose Home Address options are believed, and the care-of address of each
//! home address that is bound (RFC 6275 §9.1).

use super::hash::{HashTable, Slot, TableFull};
use super::{Correspondent, CorrespondentBinding, HomeAddressPolicy};
use crate::addr::{halves, whole};
use core::net::Ipv6Addr;
use core::sync::atomic::Ordering;

/// The role, where the node has it, and its bindings. The owner's word of an entry says whether its use was told.
pub(crate) struct Correspondents {
    role: Option<Correspondent>,
    bindings: HashTable<2, 4, 1>,
}

impl Correspondents {
    /// No role yet, and room for up to `limit` bindings.
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        Correspondents { role: None, bindings: HashTable::new(limit, seed) }
    }

    /// Takes the role.
    pub(crate) fn set_role(&mut self, role: Correspondent) {
        self.role = Some(role);
    }

    /// Whether packets to this address are those of the role.
    #[inline(always)]
    pub(crate) fn serves(&self, address: Ipv6Addr) -> bool {
        self.role.as_ref().is_some_and(|role| role.address == address)
    }

    /// Whether no home address is bound.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Number of bindings.
    pub(crate) fn len(&self) -> usize {
        self.bindings.len()
    }

    /// The node's address, where it has the role.
    pub(crate) fn address(&self) -> Option<Ipv6Addr> {
        self.role.as_ref().map(|role| role.address)
    }

    /// The binding of a home address, where it was made with `local`.
    #[inline]
    pub(crate) fn find(&self, home_address: Ipv6Addr, local: Ipv6Addr) -> Option<(Slot, CorrespondentBinding)> {
        let slot = self.bindings.find(&halves(home_address))?;
        let binding = decode(self.bindings.entry(slot).1);
        (binding.local == local).then_some((slot, binding))
    }

    /// The binding that makes a packet to `local` from `source`, with this home address in its option, believable.
    #[inline]
    pub(crate) fn believes(&self, home_address: Ipv6Addr, source: Ipv6Addr, local: Ipv6Addr) -> Option<Slot> {
        let (slot, binding) = self.find(home_address, local)?;
        let believed = binding.care_of == source
            || match &self.role.as_ref()?.policy {
                HomeAddressPolicy::CareOf => false,
                HomeAddressPolicy::Prefixes(prefixes) => prefixes.iter().any(|prefix| prefix.contains(source)),
                HomeAddressPolicy::Bound => true,
            };
        believed.then_some(slot)
    }

    /// Remembers that the binding is used; whether that is news since it was set.
    #[inline(always)]
    pub(crate) fn is_first_use(&self, slot: Slot) -> bool {
        let told = self.bindings.side_word(slot, 0);
        told.load(Ordering::Relaxed) == 0 && {
            told.store(1, Ordering::Relaxed);
            true
        }
    }

    /// Sets a binding; its use is news again.
    pub(crate) fn insert(&mut self, home_address: Ipv6Addr, binding: &CorrespondentBinding) -> Result<(), TableFull> {
        let ([l0, l1], [c0, c1]) = (halves(binding.local), halves(binding.care_of));
        let slot = self.bindings.insert(halves(home_address), [l0, l1, c0, c1])?;
        self.bindings.side_word(slot, 0).store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Removes a binding.
    pub(crate) fn remove(&mut self, home_address: Ipv6Addr) -> bool {
        self.bindings.remove(&halves(home_address))
    }

    /// Every binding in order of home address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, CorrespondentBinding)> {
        let mut all: Vec<_> = self.bindings.iter().map(|(_, [a, b], value)| (whole([a, b]), decode(value))).collect();
        all.sort_by_key(|&(home_address, _)| home_address);
        all.into_iter()
    }
}

#[inline(always)]
fn decode([l0, l1, c0, c1]: [u64; 4]) -> CorrespondentBinding {
    CorrespondentBinding { local: whole([l0, l1]), care_of: whole([c0, c1]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);
    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
    const NEAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 0x10);
    const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 4, 0, 0, 0, 0, 0x10);

    #[test]
    fn each_policy_believes_what_it_says() {
        let near = HomeAddressPolicy::Prefixes(vec!["2001:db8:3::/48".parse().unwrap()]);
        for (policy, believed) in [
            (HomeAddressPolicy::CareOf, [true, false, false]),
            (near, [true, true, false]),
            (HomeAddressPolicy::Bound, [true, true, true]),
        ] {
            let mut table = Correspondents::new(4, 1);
            table.set_role(Correspondent { address: LOCAL, policy });
            for from in [CARE_OF, NEAR, FAR] {
                assert!(table.believes(HOME, from, LOCAL).is_none(), "without a binding nobody is believed");
            }
            table.insert(HOME, &CorrespondentBinding { local: LOCAL, care_of: CARE_OF }).unwrap();
            assert_eq!([CARE_OF, NEAR, FAR].map(|from| table.believes(HOME, from, LOCAL).is_some()), believed);
            assert!(table.believes(HOME, CARE_OF, FAR).is_none(), "the binding was made with another address");
        }
    }

    #[test]
    fn use_is_news_once_after_every_set() {
        let mut table = Correspondents::new(4, 1);
        let binding = CorrespondentBinding { local: LOCAL, care_of: CARE_OF };
        for _ in 0..2 {
            table.insert(HOME, &binding).unwrap();
            let (slot, found) = table.find(HOME, LOCAL).unwrap();
            assert_eq!(found, binding);
            assert_eq!([table.is_first_use(slot), table.is_first_use(slot)], [true, false]);
        }
        assert!(table.remove(HOME) && table.is_empty() && table.find(HOME, LOCAL).is_none());
    }
}
