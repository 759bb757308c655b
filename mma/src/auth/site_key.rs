//! Keys derived from one key of the site, or of a mesh of access routers: HKDF with SHA-256 (RFC 5869) over the terminal's
//! identifier, or over the addresses of two routers.

use super::association::{Algorithm, Key, SecurityAssociation, Spi};
use core::net::Ipv6Addr;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use stack::wire::mobility::option::MobileNodeIdentifier;

/// Tells these keys from others that may be derived of the same secret.
const LABEL: &[u8] = b"drover mn-ha";
/// The same of the keys of pairs of routers.
const PAIR_LABEL: &[u8] = b"drover mesh";

/// The key of a site, from which each terminal's is derived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SiteKey {
    /// The SPI of all associations that are derived.
    pub spi: Spi,
    /// The key of the site. Terminals do not have it.
    pub key: Key,
    /// The algorithm of all associations that are derived.
    pub algorithm: Algorithm,
}

impl SiteKey {
    /// The association of the terminal with this identifier: HKDF(key, label ‖ subtype ‖ identifier), 16 octets for
    /// HMAC_SHA1 as RFC 4285 §5.1 has them, 32 for HMAC-SHA-256.
    pub fn derive(&self, identifier: &MobileNodeIdentifier) -> SecurityAssociation {
        self.expand(&[LABEL, &[identifier.subtype], &identifier.value].concat())
    }

    /// The association of two routers, whichever of them is `one`: HKDF(key, label ‖ lower address ‖ higher address).
    pub fn between(&self, one: Ipv6Addr, other: Ipv6Addr) -> SecurityAssociation {
        self.expand(&[PAIR_LABEL, &one.min(other).octets(), &one.max(other).octets()].concat())
    }

    fn expand(&self, info: &[u8]) -> SecurityAssociation {
        let block = hkdf(&[0; 32], self.key.octets(), info);
        let length = match self.algorithm {
            Algorithm::HmacSha1_96 => 16,
            Algorithm::HmacSha256_128 => 32,
        };
        let key = Key::new(&block[..length]).expect("16 octets are enough");
        SecurityAssociation { spi: self.spi, key, algorithm: self.algorithm }
    }
}

/// The first block of HKDF-SHA-256 (RFC 5869 §2.2, §2.3): up to 32 octets.
fn hkdf(salt: &[u8], key: &[u8], info: &[u8]) -> [u8; 32] {
    let pseudorandom_key = hmac_sha256(salt, &[key]);
    hmac_sha256(&pseudorandom_key, &[info, &[1]])
}

fn hmac_sha256(key: &[u8], data: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in data {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_5869_appendix_a_1() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let expected = [
            0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36, 0x2f, 0x2a, 0x2d, 0x2d,
            0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56, 0xec, 0xc4, 0xc5, 0xbf,
        ];
        assert_eq!(hkdf(&salt, &[0x0b; 22], &info), expected);
    }

    #[test]
    fn identifiers_have_keys_of_their_own() {
        let spi = Spi::new(300).unwrap();
        let key = Key::new(&[1; 32]).unwrap();
        let site = SiteKey { spi, key, algorithm: Algorithm::HmacSha1_96 };
        let one = site.derive(&MobileNodeIdentifier::nai("one@example.org"));
        assert_eq!(one, site.derive(&MobileNodeIdentifier::nai("one@example.org")));
        assert_ne!(one.key, site.derive(&MobileNodeIdentifier::nai("two@example.org")).key);
        let other_kind = MobileNodeIdentifier { subtype: 2, value: b"one@example.org".to_vec() };
        assert_ne!(one.key, site.derive(&other_kind).key);
    }

    #[test]
    fn pairs_of_routers_have_keys_of_their_own() {
        let (spi, key) = (Spi::new(300).unwrap(), Key::new(&[1; 32]).unwrap());
        let mesh = SiteKey { spi, key, algorithm: Algorithm::HmacSha256_128 };
        let router = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        assert_eq!(mesh.between(router(1), router(2)), mesh.between(router(2), router(1)));
        assert_ne!(mesh.between(router(1), router(2)).key, mesh.between(router(1), router(3)).key);
    }
}
