//! Where cookies, node keys, nonces and sequence numbers come from: a generator whose output tells nothing of what it
//! has given out or will give out.
//!
//! Counter mode over HMAC-SHA-256: block n is HMAC(key, label ‖ n). The key is 32 octets that somebody else drew: the
//! kernel for a node that runs, the seed of the run in a simulation.

use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Octets of a block, and of a seed.
const BLOCK_LEN: usize = 32;
/// What is given out.
const DRAW: &[u8] = b"draw";
/// The keys of generators that were forked.
const FORK: &[u8] = b"fork";
/// The key of a simulated node's generator.
const SIMULATION: &[u8] = b"drover simulation";

/// A generator of secrets. It cannot be cloned, so that nothing is given out twice; its debug output shows nothing of
/// it.
pub struct SecretRng {
    key: [u8; BLOCK_LEN],
    /// Blocks used. 2^64 of them last longer than any node.
    counter: u64,
}

impl SecretRng {
    /// Octets of a seed.
    pub const SEED_LEN: usize = BLOCK_LEN;

    /// The generator of a seed that nobody else knows.
    pub const fn new(seed: [u8; Self::SEED_LEN]) -> Self {
        SecretRng { key: seed, counter: 0 }
    }

    /// The generator of a simulated node, whose secrets are no secrets: the same seed gives the same run.
    pub fn simulated(seed: u64) -> Self {
        SecretRng::new(block(SIMULATION, DRAW, seed))
    }

    /// A generator of its own for another machine: what one of the two gives out tells nothing of the other's.
    pub fn fork(&mut self) -> SecretRng {
        SecretRng::new(self.next_block(FORK))
    }

    /// The next `N` octets.
    pub fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        for part in octets.chunks_mut(BLOCK_LEN) {
            part.copy_from_slice(&self.next_block(DRAW)[..part.len()]);
        }
        octets
    }

    /// The next 16 bits.
    pub fn next_u16(&mut self) -> u16 {
        u16::from_be_bytes(self.octets())
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from_be_bytes(self.octets())
    }

    fn next_block(&mut self, label: &[u8]) -> [u8; BLOCK_LEN] {
        let block = block(&self.key, label, self.counter);
        self.counter += 1;
        block
    }
}

/// Whether two secrets are the same, in a time that does not depend on where they differ.
pub fn equal<const N: usize>(one: &[u8; N], other: &[u8; N]) -> bool {
    let difference = one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b));
    core::hint::black_box(difference) == 0
}

fn block(key: &[u8], label: &[u8], counter: u64) -> [u8; BLOCK_LEN] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(label);
    mac.update(&counter.to_be_bytes());
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for SecretRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretRng(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn counting() -> SecretRng {
        SecretRng::new(core::array::from_fn(|octet| octet as u8))
    }

    /// HMAC-SHA-256 under the key 00 01 .. 1f of `draw` and 0, `draw` and 1, and of `draw` and 0 under that of `fork`
    /// and 2, as another implementation has them.
    #[test]
    fn known_blocks() {
        let mut rng = counting();
        let expected: [u8; 40] = [
            0x68, 0xf1, 0x00, 0xb4, 0xd0, 0x15, 0x08, 0x5c, 0x06, 0x18, 0x10, 0xd7, 0xc4, 0xc7, 0xcf, 0x3d, 0x49, 0x95,
            0xf7, 0x3b, 0x24, 0x0b, 0xc4, 0xe4, 0xba, 0xf2, 0xaa, 0xe5, 0x90, 0x2a, 0x57, 0x63, 0x1a, 0x11, 0xfa, 0x03,
            0x35, 0xbb, 0xc4, 0x6f,
        ];
        assert_eq!(rng.octets::<40>(), expected);
        let mut fork = rng.fork();
        assert_eq!(fork.octets(), [0x18, 0x16, 0xae, 0xdc, 0x61, 0x02, 0x54, 0xa8]);
    }

    #[test]
    fn gives_nothing_out_twice() {
        let mut rng = SecretRng::simulated(7);
        let (mut fork, mut other) = (rng.fork(), SecretRng::simulated(8));
        let mut seen = BTreeSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(rng.next_u64()) && seen.insert(fork.next_u64()) && seen.insert(other.next_u64()));
        }
        let mut again = SecretRng::simulated(7);
        again.fork();
        assert!(seen.contains(&again.next_u64()), "the same seed gives the same run");
    }

    #[test]
    fn equal_is_every_octet() {
        let cookie = *b"a cookie";
        assert!(equal(&cookie, b"a cookie"));
        for at in 0..8 {
            let mut other = cookie;
            other[at] ^= 1;
            assert!(!equal(&cookie, &other));
        }
    }

    #[test]
    fn shows_no_secret() {
        assert_eq!(format!("{:?}", counting()), "SecretRng(..)");
    }
}
