//! Bindings by home address: those of the mobility agent and those of the home agent.
//!
//! An entry of the mobility agent is two adjacent cache lines and holds all that a packet needs: the addresses of the
//! new outer header, the key, what to check, the sequence number of GRE, and where the (S,G) route stood last time.

use super::hash::{HashTable, Slot, TableFull};
use super::{BindingState, HomeBinding, MmaBinding};
use crate::addr::{halves, whole};
use crate::machine::PortId;
use core::net::Ipv6Addr;
use core::sync::atomic::Ordering;

const FLAG_KEY: u64 = 1 << 32;
const FLAG_FORWARD: u64 = 1 << 33;
const FLAG_FROM_HOME_AGENT: u64 = 1 << 34;
const FLAG_ANCHOR: u64 = 1 << 35;
const FLAG_OPTIMISE: u64 = 1 << 36;

/// Bindings of the mobility agent.
pub(crate) struct MmaBindings {
    by_home_address: HashTable<2, 12, 1>,
    /// The home address of a care-of address. Where several terminals share one, that of the last.
    by_care_of: HashTable<2, 2, 0>,
}

impl MmaBindings {
    /// An empty table for up to `limit` bindings.
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        MmaBindings { by_home_address: HashTable::new(limit, seed), by_care_of: HashTable::new(limit, seed) }
    }

    /// What [`MmaBindings::find_batch`] looks for.
    #[inline(always)]
    pub(crate) fn key(home_address: Ipv6Addr) -> [u64; 2] {
        halves(home_address)
    }

    /// Where each of `keys` stands.
    #[inline]
    pub(crate) fn find_batch(&self, keys: &[[u64; 2]], slots: &mut [Option<Slot>]) {
        self.by_home_address.find_batch(keys, slots);
    }

    /// Where each of `keys` stands, if it is there: [`MmaBindings::words`] says whether it is.
    #[inline]
    pub(crate) fn locate_batch(&self, keys: &[[u64; 2]], slots: &mut [Option<Slot>]) {
        self.by_home_address.locate_batch(keys, slots);
    }

    /// Where the binding of a home address stands.
    #[inline]
    pub(crate) fn find(&self, home_address: Ipv6Addr) -> Option<Slot> {
        self.by_home_address.find(&halves(home_address))
    }

    /// The binding of a home address.
    pub(crate) fn get(&self, home_address: Ipv6Addr) -> Option<MmaBinding> {
        self.by_home_address.get(&halves(home_address)).map(decode)
    }

    /// A handle for another thread.
    pub(crate) fn reader(&mut self) -> Self {
        MmaBindings { by_home_address: self.by_home_address.reader(), by_care_of: self.by_care_of.reader() }
    }

    /// The binding at `slot`; for the owner.
    #[inline(always)]
    pub(crate) fn binding(&self, slot: Slot) -> MmaBinding {
        decode(self.by_home_address.entry(slot).1)
    }

    /// The binding of the home address `key` as the words of its entry, where it stands at `slot`.
    #[inline(always)]
    pub(crate) fn words(&self, slot: Slot, key: &[u64; 2]) -> Option<BindingWords> {
        self.by_home_address.value_of(slot, key).map(BindingWords)
    }

    /// The next sequence number of the tunnel to the group (RFC 2890 §2.2: the first is 0). No two packets get the same,
    /// on whatever threads.
    #[inline(always)]
    pub(crate) fn next_sequence(&self, slot: Slot) -> u32 {
        // The number stands in the upper half, so that what it carries over is lost and touches nothing.
        (self.by_home_address.add(slot, 0, 1 << 32) >> 32) as u32
    }

    /// The sequence number that the next packet will have.
    pub(crate) fn sequence(&self, slot: Slot) -> u32 {
        (self.by_home_address.side_word(slot, 0).load(Ordering::Relaxed) >> 32) as u32
    }

    /// Where the multicast route of this binding stood when it was looked up last; the caller checks that it still does.
    #[inline(always)]
    pub(crate) fn route_hint(&self, slot: Slot) -> Slot {
        Slot(self.by_home_address.side_word(slot, 0).load(Ordering::Relaxed) as u32)
    }

    /// Remembers where the multicast route stands; the owner does.
    #[inline(always)]
    pub(crate) fn set_route_hint(&self, slot: Slot, route: Slot) {
        let before = self.route_hint(slot);
        // Only this half is added to, by the difference: the other may be counting meanwhile.
        self.by_home_address.add(slot, 0, u64::from(route.0).wrapping_sub(u64::from(before.0)));
    }

    /// The binding with this care-of address; of several that share it, the one that was set last.
    pub(crate) fn of_care_of(&self, care_of: Ipv6Addr) -> Option<MmaBinding> {
        self.by_home_address.get(&self.by_care_of.get(&halves(care_of))?).map(decode)
    }

    /// Asks for the cache lines where the lookups begin that setting this binding takes.
    pub(crate) fn prefetch_buckets(&self, home_address: Ipv6Addr, binding: &MmaBinding) {
        self.by_home_address.prefetch_bucket(&halves(home_address));
        self.by_care_of.prefetch_bucket(&halves(binding.care_of));
    }

    /// Sets a binding, and answers where it stands; the sequence number goes on where the binding was there.
    ///
    /// # Errors
    /// [`TableFull`].
    pub(crate) fn insert(&mut self, home_address: Ipv6Addr, binding: &MmaBinding) -> Result<Slot, TableFull> {
        let (key, care_of) = (halves(home_address), halves(binding.care_of));
        self.by_home_address.prefetch_entry(&key);
        self.by_care_of.prefetch_entry(&care_of);
        let before = self.by_home_address.get(&key).map(BindingWords);
        let slot = self.by_home_address.insert(key, encode(binding))?;
        if let Some(before) = before.filter(|before| before.care_of() != care_of) {
            self.forget_care_of(key, before.care_of());
        }
        self.by_care_of.insert(care_of, key)?;
        Ok(slot)
    }

    /// Removes a binding.
    pub(crate) fn remove(&mut self, home_address: Ipv6Addr) -> bool {
        let Some(binding) = self.get(home_address) else { return false };
        self.forget_care_of(halves(home_address), halves(binding.care_of));
        self.by_home_address.remove(&halves(home_address))
    }

    fn forget_care_of(&mut self, home_address: [u64; 2], care_of: [u64; 2]) {
        if self.by_care_of.get(&care_of) == Some(home_address) {
            self.by_care_of.remove(&care_of);
        }
    }

    /// Every binding in order of home address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, MmaBinding)> {
        let mut all: Vec<_> =
            self.by_home_address.iter().map(|(_, [a, b], value)| (whole([a, b]), decode(value))).collect();
        all.sort_by_key(|&(home_address, _)| home_address);
        all.into_iter()
    }

    /// Number of bindings.
    pub(crate) fn len(&self) -> usize {
        self.by_home_address.len()
    }
}

/// A binding as its words, for those who need only a few of them.
#[derive(Clone, Copy)]
pub(crate) struct BindingWords([u64; 12]);

impl BindingWords {
    #[inline(always)]
    pub(crate) fn is_active(&self) -> bool {
        self.0[11] & (FLAG_FORWARD | FLAG_ANCHOR) == 0
    }

    #[inline(always)]
    pub(crate) fn care_of(&self) -> [u64; 2] {
        [self.0[0], self.0[1]]
    }

    #[inline(always)]
    pub(crate) fn group(&self) -> [u64; 2] {
        [self.0[2], self.0[3]]
    }

    #[inline(always)]
    pub(crate) fn source(&self) -> [u64; 2] {
        [self.0[4], self.0[5]]
    }

    #[inline(always)]
    pub(crate) fn home_agent(&self) -> [u64; 2] {
        [self.0[6], self.0[7]]
    }

    #[inline(always)]
    pub(crate) fn access_identifier(&self) -> u64 {
        self.0[10]
    }

    #[inline(always)]
    pub(crate) fn gre_key(&self) -> Option<u32> {
        (self.0[11] & FLAG_KEY != 0).then_some(self.0[11] as u32)
    }

    #[inline(always)]
    pub(crate) fn optimise(&self) -> bool {
        self.0[11] & FLAG_OPTIMISE != 0
    }
}

fn encode(binding: &MmaBinding) -> [u64; 12] {
    let [c0, c1] = halves(binding.care_of);
    let [g0, g1] = halves(binding.group);
    let [s0, s1] = halves(binding.source);
    let [h0, h1] = halves(binding.home_agent);
    let mut flags = binding.gre_key.map_or(0, |key| FLAG_KEY | u64::from(key));
    if binding.optimise {
        flags |= FLAG_OPTIMISE;
    }
    let to = match binding.state {
        BindingState::Active => Ipv6Addr::UNSPECIFIED,
        BindingState::Anchor => {
            flags |= FLAG_ANCHOR;
            Ipv6Addr::UNSPECIFIED
        }
        BindingState::Forward { to, from_home_agent } => {
            flags |= FLAG_FORWARD | if from_home_agent { FLAG_FROM_HOME_AGENT } else { 0 };
            to
        }
    };
    let [t0, t1] = halves(to);
    [c0, c1, g0, g1, s0, s1, h0, h1, t0, t1, binding.access_identifier, flags]
}

#[inline(always)]
fn decode([c0, c1, g0, g1, s0, s1, h0, h1, t0, t1, access_identifier, flags]: [u64; 12]) -> MmaBinding {
    MmaBinding {
        care_of: whole([c0, c1]),
        group: whole([g0, g1]),
        source: whole([s0, s1]),
        home_agent: whole([h0, h1]),
        gre_key: (flags & FLAG_KEY != 0).then_some(flags as u32),
        access_identifier,
        optimise: flags & FLAG_OPTIMISE != 0,
        state: match flags & (FLAG_FORWARD | FLAG_ANCHOR) {
            0 => BindingState::Active,
            FLAG_ANCHOR => BindingState::Anchor,
            _ => BindingState::Forward { to: whole([t0, t1]), from_home_agent: flags & FLAG_FROM_HOME_AGENT != 0 },
        },
    }
}

/// Bindings of the home agent.
pub(crate) struct HomeBindings(HashTable<2, 5, 0>);

impl HomeBindings {
    /// An empty table for up to `limit` bindings.
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        HomeBindings(HashTable::new(limit, seed))
    }

    /// Whether there is none.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where each home address, of which the halves are given, stands.
    #[inline]
    pub(crate) fn find_batch(&self, keys: &[[u64; 2]], slots: &mut [Option<Slot>]) {
        self.0.find_batch(keys, slots);
    }

    /// Where each of `keys` stands, if it is there: [`HomeBindings::at`] says whether it is.
    #[inline]
    pub(crate) fn locate_batch(&self, keys: &[[u64; 2]], slots: &mut [Option<Slot>]) {
        self.0.locate_batch(keys, slots);
    }

    /// A handle for another thread.
    pub(crate) fn reader(&mut self) -> Self {
        HomeBindings(self.0.reader())
    }

    /// The binding of the home address `key`, where it stands at `slot`.
    #[inline(always)]
    pub(crate) fn at(&self, slot: Slot, key: &[u64; 2]) -> Option<HomeBinding> {
        self.0.value_of(slot, key).map(decode_home)
    }

    /// The binding at `slot`; for the owner.
    #[inline(always)]
    pub(crate) fn binding(&self, slot: Slot) -> HomeBinding {
        decode_home(self.0.entry(slot).1)
    }

    /// The binding of a home address.
    pub(crate) fn get(&self, home_address: Ipv6Addr) -> Option<HomeBinding> {
        self.0.get(&halves(home_address)).map(decode_home)
    }

    /// Sets a binding.
    ///
    /// # Errors
    /// [`TableFull`].
    pub(crate) fn insert(&mut self, home_address: Ipv6Addr, binding: &HomeBinding) -> Result<(), TableFull> {
        let ([c0, c1], [a0, a1]) = (halves(binding.care_of), halves(binding.agent));
        self.0.insert(halves(home_address), [c0, c1, a0, a1, u64::from(binding.home_port.0)]).map(|_| ())
    }

    /// Removes a binding.
    pub(crate) fn remove(&mut self, home_address: Ipv6Addr) -> bool {
        self.0.remove(&halves(home_address))
    }

    /// Every binding in order of home address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, HomeBinding)> {
        let mut all: Vec<_> = self.0.iter().map(|(_, [a, b], value)| (whole([a, b]), decode_home(value))).collect();
        all.sort_by_key(|&(home_address, _)| home_address);
        all.into_iter()
    }

    /// Number of bindings.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[inline(always)]
fn decode_home([c0, c1, a0, a1, port]: [u64; 5]) -> HomeBinding {
    HomeBinding { care_of: whole([c0, c1]), agent: whole([a0, a1]), home_port: PortId(port as u8) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn any_address() -> impl Strategy<Value = Ipv6Addr> {
        any::<u128>().prop_map(Ipv6Addr::from_bits)
    }

    fn any_binding() -> impl Strategy<Value = MmaBinding> {
        let state = prop_oneof![
            Just(BindingState::Active),
            Just(BindingState::Anchor),
            (any_address(), any::<bool>())
                .prop_map(|(to, from_home_agent)| BindingState::Forward { to, from_home_agent }),
        ];
        let flags = (any::<Option<u32>>(), any::<bool>());
        (any::<[u128; 4]>(), flags, any::<u64>(), state).prop_map(|(a, (gre_key, optimise), id, state)| {
            let [care_of, group, source, home_agent] = a.map(Ipv6Addr::from_bits);
            MmaBinding { care_of, group, source, home_agent, gre_key, access_identifier: id, optimise, state }
        })
    }

    proptest! {
        #[test]
        fn agent_bindings_match_a_plain_map(
            operations in prop::collection::vec((any::<bool>(), 1u16..20, any_binding()), 0..100),
        ) {
            let mut table = MmaBindings::new(32, 1);
            let mut map = BTreeMap::new();
            for (set, home, binding) in operations {
                let home = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, home);
                if set {
                    table.insert(home, &binding).unwrap();
                    map.insert(home, binding);
                } else {
                    prop_assert_eq!(table.remove(home), map.remove(&home).is_some());
                }
                prop_assert_eq!(table.get(home), map.get(&home).copied());
            }
            prop_assert_eq!(table.iter().collect::<Vec<_>>(), map.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn home_bindings_match_a_plain_map(
            operations in prop::collection::vec((any::<bool>(), 1u16..20, any::<[u128; 2]>(), any::<u8>()), 0..100),
        ) {
            let mut table = HomeBindings::new(32, 1);
            let mut map = BTreeMap::new();
            for (set, home, addresses, port) in operations {
                let home = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, home);
                let [care_of, agent] = addresses.map(Ipv6Addr::from_bits);
                let binding = HomeBinding { care_of, agent, home_port: PortId(port) };
                if set {
                    table.insert(home, &binding).unwrap();
                    map.insert(home, binding);
                } else {
                    prop_assert_eq!(table.remove(home), map.remove(&home).is_some());
                }
                prop_assert_eq!(table.get(home), map.get(&home).copied());
            }
            prop_assert_eq!(table.iter().collect::<Vec<_>>(), map.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_sequence_goes_on_while_the_binding_is_refreshed() {
        let home = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let binding = MmaBinding {
            care_of: home,
            group: home,
            source: home,
            home_agent: home,
            gre_key: Some(1),
            access_identifier: 0,
            optimise: false,
            state: BindingState::Active,
        };
        let mut table = MmaBindings::new(4, 1);
        table.insert(home, &binding).unwrap();
        let slot = table.find(home).unwrap();
        table.set_route_hint(slot, Slot(9));
        assert_eq!([table.next_sequence(slot), table.next_sequence(slot)], [0, 1]);
        table.insert(home, &binding).unwrap();
        assert_eq!((table.next_sequence(slot), table.route_hint(slot)), (2, Slot(9)));
        table.remove(home);
        table.insert(home, &binding).unwrap();
        assert_eq!(table.next_sequence(table.find(home).unwrap()), 0);
    }
}
