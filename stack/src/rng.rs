//! The random numbers of the machines: seeded, so that the same inputs give the same run.
//!
//! The generator is xoshiro256** (Blackman and Vigna), its state filled from the seed by SplitMix64. It spreads timers and
//! picks identifiers; it is not for keys.

use crate::time::Duration;
use core::ops::Range;

/// A seeded generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng([u64; 4]);

impl Rng {
    /// The generator of this seed. Every seed is a good one, zero too.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Rng(core::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }))
    }

    /// A generator of its own for another machine: what one of the two draws does not change what the other draws.
    pub fn fork(&mut self) -> Rng {
        Rng::new(self.next_u64())
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `n`; zero where `n` is zero.
    pub fn below(&mut self, n: u64) -> u64 {
        // The high half of a 128-bit product: its bias is below 2^-64 times n, which no timer notices.
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A time in `range`; its start where the range is empty.
    pub fn duration(&mut self, range: Range<Duration>) -> Duration {
        let width = range.end.saturating_sub(range.start);
        let nanos = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX);
        range.start + Duration::from_nanos(self.below(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers() {
        let (mut a, mut b, mut c) = (Rng::new(7), Rng::new(7), Rng::new(8));
        let drawn: Vec<u64> = (0..8).map(|_| a.next_u64()).collect();
        assert!(drawn.iter().all(|&x| x == b.next_u64()));
        assert_ne!(drawn[0], c.next_u64());
        let mut fork = a.fork();
        assert_ne!(fork.next_u64(), a.next_u64());
    }

    /// The published test vector of xoshiro256** with the state 1, 2, 3, 4.
    #[test]
    fn known_sequence() {
        let mut rng = Rng([1, 2, 3, 4]);
        assert_eq!([rng.next_u64(), rng.next_u64(), rng.next_u64()], [11520, 0, 1509978240]);
        // SplitMix64 from zero starts with this word.
        assert_eq!(Rng::new(0).0[0], 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn stays_in_its_range() {
        let mut rng = Rng::new(0);
        let range = Duration::from_millis(30)..Duration::from_millis(70);
        let mut seen = [false; 4];
        for _ in 0..1000 {
            assert!(range.contains(&rng.duration(range.clone())));
            seen[rng.below(4) as usize] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.duration(range.end..range.start), range.end);
    }
}
