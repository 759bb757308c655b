use super::*;
use crate::addr;
use core::net::Ipv6Addr;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What the table does, slowly.
#[derive(Default)]
struct Reference {
    map: BTreeMap<Prefix, u32>,
}

impl Reference {
    fn lookup(&self, address: Ipv6Addr) -> Option<u32> {
        (0..=128).rev().find_map(|length| self.map.get(&Prefix::new(address, length)?).copied())
    }
}

fn lookup(fib: &Fib, address: Ipv6Addr) -> Option<u32> {
    let mut value = [None];
    fib.lookup_batch(&[addr::halves(address)], &mut value);
    value[0]
}

/// The first and last addresses of a prefix, and their neighbours outside.
fn borders(prefix: Prefix) -> [Ipv6Addr; 5] {
    let first = prefix.address().to_bits();
    let last = first | u128::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
    [first, last, first.wrapping_sub(1), last.wrapping_add(1), first + (last - first) / 3].map(Ipv6Addr::from_bits)
}

fn is_as_new(fib: &Fib) -> bool {
    fib.lines.in_use() == Node::ROOT_LINES && fib.lines[..Node::ROOT_LINES * LINE_WORDS].iter().all(|&word| word == 0)
}

/// In their order, and so that those of one network stand together.
fn same(fib: &Fib, reference: &Reference, probes: &[Ipv6Addr]) -> Result<(), TestCaseError> {
    let mut sorted = probes.to_vec();
    sorted.sort_unstable();
    for chunk in probes.chunks(BATCH_SIZE).chain(sorted.chunks(BATCH_SIZE)) {
        let mut values = [None; BATCH_SIZE];
        let halves: Vec<_> = chunk.iter().map(|&address| addr::halves(address)).collect();
        fib.lookup_batch(&halves, &mut values);
        for (&address, value) in chunk.iter().zip(values) {
            prop_assert_eq!(value, reference.lookup(address), "{}", address);
        }
    }
    Ok(())
}

/// Few distinct bits, so that prefixes nest and meet.
fn nested() -> impl Strategy<Value = Prefix> {
    (prop::collection::vec(0u8..4, 16), 0u8..=128).prop_map(|(octets, length)| {
        let octets: [u8; 16] = core::array::from_fn(|i| octets[i] * if i % 2 == 0 { 0x55 } else { 0x40 });
        Prefix::new(octets.into(), length).unwrap()
    })
}

/// A long common beginning, then all bits: nodes become wide and narrow again. Lengths crowd around its end.
fn crowded() -> impl Strategy<Value = Prefix> {
    (prop_oneof![Just(16u32), Just(36), Just(40), Just(56), Just(62), Just(100)], any::<u16>(), 0u32..20).prop_map(
        |(shared, own, length)| {
            let begin = 0x2001_0db8_5a5a_5a5a_a5a5_a5a5_1234_5678_u128;
            let bits = begin >> (128 - shared) << (128 - shared) | u128::from(own) << (112 - shared);
            Prefix::new(Ipv6Addr::from_bits(bits), (shared + length).min(128) as u8).unwrap()
        },
    )
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    (any::<u128>(), 0u8..=128).prop_map(|(bits, length)| Prefix::new(Ipv6Addr::from_bits(bits), length).unwrap())
}

proptest! {
    #[test]
    fn matches_a_plain_map(
        prefixes in prop::collection::vec(prop_oneof![nested(), nested(), crowded(), crowded(), any_prefix()], 1..80),
        operations in prop::collection::vec((any::<prop::sample::Index>(), 0u32..1000, 0u8..5), 1..250),
    ) {
        let (mut fib, mut reference) = (Fib::new(prefixes.len()), Reference::default());
        let probes: Vec<_> = prefixes.iter().flat_map(|&prefix| borders(prefix)).collect();
        for (number, (which, value, operation)) in operations.iter().enumerate() {
            let prefix = *which.get(&prefixes);
            if *operation < 3 {
                prop_assert_eq!(fib.insert(prefix, *value), reference.map.insert(prefix, *value));
            } else {
                prop_assert_eq!(fib.remove(prefix), reference.map.remove(&prefix));
            }
            same(&fib, &reference, &borders(prefix))?;
            if number % 50 == 0 {
                same(&fib, &reference, &probes)?;
            }
        }
        same(&fib, &reference, &probes)?;
        for (prefix, value) in reference.map {
            prop_assert_eq!(fib.remove(prefix), Some(value));
        }
        prop_assert!(is_as_new(&fib), "an emptied table has given everything back");
    }
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A prefix as networks have them, of every length, often near to others.
    fn prefix(&mut self) -> Prefix {
        let (shape, own, length) = (self.next(), self.next(), self.next());
        let site = 0x2a00 << 112 | u128::from(own & 0xfff) << 84;
        let (bits, length) = match shape % 8 {
            0..3 => (0x2001_0db8 << 96 | u128::from(own as u32) << 64, 64),
            3..5 => (site | u128::from(own >> 16) << 20, 29 + (length % 36) as u8),
            5 => (site | u128::from(own >> 48 & 0x3ff), 118 + (length % 11) as u8),
            6 => (u128::from(own) << 64 | u128::from(length), (length % 129) as u8),
            _ => (site, 1 + (length % 48) as u8),
        };
        Prefix::new(Ipv6Addr::from_bits(bits), length).unwrap()
    }
}

/// Far more prefixes than a generated case has: filled, churned, halved, filled again and emptied.
#[test]
fn a_large_table_matches_a_plain_map_and_empties() {
    const PREFIXES: usize = 60_000;
    let mut numbers = Numbers(1);
    let (mut fib, mut reference) = (Fib::new(PREFIXES), Reference::default());
    let mut all: Vec<Prefix> = (0..PREFIXES).map(|_| numbers.prefix()).collect();
    let check = |fib: &Fib, reference: &Reference, some: &[Prefix]| {
        let probes: Vec<_> = some.iter().flat_map(|&prefix| borders(prefix)).collect();
        same(fib, reference, &probes).unwrap();
    };
    let mut most = 0;
    for round in 0..3 {
        for (value, &prefix) in all.iter().enumerate() {
            let value = value as u32 + round;
            assert_eq!(fib.insert(prefix, value), reference.map.insert(prefix, value));
        }
        check(&fib, &reference, &all[..10_000]);
        if round == 0 {
            most = fib.lines.in_use();
        }
        // What was taken apart is put together a little later, so that the shape depends on what was there before.
        assert!(fib.lines.in_use() < most + most / 50, "the same prefixes take the same memory");
        for _ in 0..PREFIXES / 2 {
            let prefix = all[numbers.next() as usize % PREFIXES];
            assert_eq!(fib.remove(prefix), reference.map.remove(&prefix));
        }
        check(&fib, &reference, &all[..10_000]);
    }
    for at in (1..PREFIXES).rev() {
        all.swap(at, numbers.next() as usize % (at + 1));
    }
    for (number, &prefix) in all.iter().enumerate() {
        assert_eq!(fib.remove(prefix), reference.map.remove(&prefix));
        if number % 10_000 == 0 {
            check(&fib, &reference, &all[number..number + 500]);
        }
    }
    assert!(is_as_new(&fib));
}

#[test]
fn a_lone_route_has_a_bucket_and_each_long_one_two_lines() {
    let mut fib = Fib::new(1);
    let in_use = |fib: &Fib| fib.lines.in_use() - Node::ROOT_LINES;
    fib.insert("2001:db8:1:2::/64".parse().unwrap(), 1);
    assert_eq!(in_use(&fib), 1);
    fib.insert("2001:db8:1:2::3/128".parse().unwrap(), 2);
    assert_eq!(in_use(&fib), 2);
    fib.insert("2001::/16".parse().unwrap(), 3);
    fib.insert("::/0".parse().unwrap(), 4);
    assert_eq!(in_use(&fib), 2);
    let value = |text: &str| lookup(&fib, text.parse().unwrap());
    assert_eq!(value("2001:db8:1:2::3"), Some(2));
    assert_eq!(value("2001:db8:1:2::4"), Some(1));
    assert_eq!(value("2001:db8:1:3::4"), Some(3));
    assert_eq!(value("2002::1"), Some(4));
}

#[test]
fn routes_of_a_site_are_behind_one_skip() {
    let mut fib = Fib::new(16);
    for subnet in 0..16u128 {
        fib.insert(Prefix::new(Ipv6Addr::from_bits(0x2001_0db8_0001 << 80 | subnet << 64), 64).unwrap(), 1);
    }
    // A skip to the last four bits of the subnet, a node, and all sixteen routes in it.
    assert_eq!(fib.lines.in_use() - Node::ROOT_LINES, 1 + 3);
    // One that leaves the skip early splits it.
    fib.insert("2001:db8:2::/48".parse().unwrap(), 2);
    assert_eq!(lookup(&fib, "2001:db8:2::1".parse().unwrap()), Some(2));
    assert_eq!(lookup(&fib, "2001:db8:1:f::1".parse().unwrap()), Some(1));
    assert_eq!(lookup(&fib, "2001:db8:1:1f::1".parse().unwrap()), None);
    fib.remove("2001:db8:2::/48".parse().unwrap());
    assert_eq!(fib.lines.in_use() - Node::ROOT_LINES, 1 + 3);
}

#[test]
fn a_full_node_decides_eight_bits_and_a_bucket_is_left_of_it() {
    let mut fib = Fib::new(256);
    let in_use = |fib: &Fib| fib.lines.in_use() - Node::ROOT_LINES;
    let subnet = |number: u128| Prefix::new(Ipv6Addr::from_bits(0x2001_0db8_0001 << 80 | number << 72), 56).unwrap();
    let around: Prefix = "2001:db8:1:4000::/51".parse().unwrap();
    fib.insert(around, 1000);
    (0..256).for_each(|number| assert_eq!(fib.insert(subnet(number), number as u32), None));
    assert_eq!(in_use(&fib), 1 + 48, "a skip and a node");
    for number in (3..256).rev() {
        assert_eq!(fib.remove(subnet(number)), Some(number as u32));
        let expected = (number >> 5 == 0x40 >> 5).then_some(1000);
        assert_eq!(lookup(&fib, subnet(number).address()), expected);
        assert_eq!(lookup(&fib, subnet(2).address()), Some(2));
    }
    assert_eq!(fib.remove(around), Some(1000));
    assert_eq!(in_use(&fib), 1, "a bucket");
    assert_eq!(lookup(&fib, subnet(1).address()), Some(1));
}

/// Where there is no room for whatever could come, the table says so before it is too late, and works on.
#[test]
fn says_when_it_is_full() {
    let mut numbers = Numbers(7);
    let (mut fib, mut reference) = (Fib::new(0), Reference::default());
    while fib.has_room() {
        let prefix = Prefix::new(Ipv6Addr::from_bits(u128::from(numbers.next()) << 64), 128).unwrap();
        fib.insert(prefix, 5);
        reference.map.insert(prefix, 5);
    }
    assert!(reference.map.len() > 1000);
    let probes: Vec<_> = reference.map.keys().flat_map(|&prefix| borders(prefix)).collect();
    same(&fib, &reference, &probes).unwrap();
    for prefix in reference.map.into_keys() {
        assert_eq!(fib.remove(prefix), Some(5));
    }
    assert!(is_as_new(&fib));
}

/// A branch that has a node at every nibble and no skip, down to what differs behind the first 64 bits.
#[test]
fn addresses_of_one_network_are_told_apart_by_a_lone_node() {
    let network = 0x2001_0db8_5a5a_5a5a << 64;
    let prefix = |bits: u128, length: u8| Prefix::new(Ipv6Addr::from_bits(bits), length).unwrap();
    let mut fib = Fib::new(100);
    let mut reference = Reference::default();
    let nibbles = (16..=64).step_by(4).flat_map(|depth| (1..=5).map(move |digit| (depth, digit)));
    for (value, (depth, digit)) in nibbles.enumerate() {
        let prefix = prefix(network ^ digit << (124 - depth), depth as u8 + 4);
        assert_eq!(fib.insert(prefix, value as u32), reference.map.insert(prefix, value as u32));
    }
    // The first has nothing below the node that decides the 17th nibble, the others have.
    let probes = [15_u128, 1, 2, 15, 3].map(|digit| Ipv6Addr::from_bits(network ^ digit << 60));
    same(&fib, &reference, &probes).unwrap();
    let reversed: Vec<_> = probes.into_iter().rev().collect();
    same(&fib, &reference, &reversed).unwrap();
}
