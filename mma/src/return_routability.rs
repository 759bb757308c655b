//! Return routability: what correspondent and initiator compute (RFC 6275 §5.2, §6.2.7), and the same with what they
//! were configured with in place of tests (RFC 4449).
//!
//! ```text
//! home keygen token    = First(64, HMAC_SHA1(Kcn, home address | nonce | 0))
//! care-of keygen token = First(64, HMAC_SHA1(Kcn, care-of address | nonce | 1))
//! Kbm                  = SHA-1(home keygen token | care-of keygen token)      of the home keygen token alone to delete
//! authenticator        = First(96, HMAC_SHA1(Kbm, care-of address | correspondent | MH Data))
//! ```
//!
//! MH Data is the message without the authenticator, its checksum zero. Who asks whom, and when, stands with the
//! machines.

use crate::secret::SecretRng;
use core::fmt;
use core::net::Ipv6Addr;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use stack::wire::mobility::authentication::locate_authorization_data;
use stack::wire::mobility::{BindingAcknowledgement, BindingUpdate, CHECKSUM_AT, MobilityMessage};

/// A keygen token, as Home Test and Care-of Test carry it (RFC 6275 §5.2.3). Its debug output shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeygenToken(pub [u8; 8]);

/// A node key Kcn (RFC 6275 §5.2.1), or the key that two peers were configured with (RFC 4449 §3). Its debug output
/// shows nothing of it.
#[derive(Clone)]
pub struct NodeKey(Vec<u8>);

/// A binding management key Kbm (RFC 6275 §5.2.5). Its debug output shows nothing of it.
#[derive(Clone)]
pub struct BindingManagementKey([u8; 20]);

/// What two peers were configured with for one home address in place of return routability (RFC 4449 §3). No other two
/// nodes have the same key (§4).
#[derive(Clone, Debug)]
pub struct PreconfiguredKey {
    /// Kcn.
    pub node_key: NodeKey,
    /// The nonce of the home keygen token.
    pub home_nonce: Vec<u8>,
    /// The nonce of the care-of keygen token.
    pub care_of_nonce: Vec<u8>,
}

/// A node key is too short.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a node key has 20 octets or more, not {0}")]
pub struct ShortNodeKey(pub usize);

impl NodeKey {
    /// Octets of a node key (RFC 6275 §5.2.1); a configured one may be longer (RFC 4449 §3).
    pub const LEN: usize = 20;

    /// A fresh key.
    pub fn generate(secrets: &mut SecretRng) -> Self {
        NodeKey(secrets.octets::<{ Self::LEN }>().to_vec())
    }

    /// A configured key.
    ///
    /// # Errors
    /// [`ShortNodeKey`] below [`NodeKey::LEN`].
    pub fn new(octets: &[u8]) -> Result<Self, ShortNodeKey> {
        if octets.len() < Self::LEN { Err(ShortNodeKey(octets.len())) } else { Ok(NodeKey(octets.to_vec())) }
    }

    /// The home keygen token of a home address.
    pub fn home_token(&self, home_address: Ipv6Addr, nonce: &[u8]) -> KeygenToken {
        self.token(home_address, nonce, 0)
    }

    /// The care-of keygen token of a care-of address.
    pub fn care_of_token(&self, care_of: Ipv6Addr, nonce: &[u8]) -> KeygenToken {
        self.token(care_of, nonce, 1)
    }

    /// The last octet keeps one kind of token from being taken for the other.
    fn token(&self, address: Ipv6Addr, nonce: &[u8], kind: u8) -> KeygenToken {
        let mac = hmac_sha1(&self.0, &[&address.octets(), nonce, &[kind]]).finalize().into_bytes();
        KeygenToken(*mac.first_chunk().expect("a MAC has 20 octets"))
    }
}

impl BindingManagementKey {
    /// The key that makes or changes a binding.
    pub fn new(home: KeygenToken, care_of: KeygenToken) -> Self {
        BindingManagementKey(Sha1::new().chain_update(home.0).chain_update(care_of.0).finalize().into())
    }

    /// The key that deletes a binding: the care-of address has no part in it.
    pub fn for_deletion(home: KeygenToken) -> Self {
        BindingManagementKey(Sha1::digest(home.0).into())
    }

    /// The Binding Update from its Mobility Header on, signed; its checksum is zero. `care_of` is the care-of address
    /// that will be registered: the Alternate Care-of Address where the update has one, else the source of the packet;
    /// the home address in one that deletes.
    pub fn sign_update(&self, mut update: BindingUpdate, care_of: Ipv6Addr, correspondent: Ipv6Addr) -> Vec<u8> {
        update.options.binding_authorization_data = Some([0; 12]);
        self.fill(update.into(), care_of, correspondent)
    }

    /// The Binding Acknowledgement from its Mobility Header on, signed; its checksum is zero. `care_of` is that of the
    /// Binding Update.
    pub fn sign_acknowledgement(
        &self,
        mut acknowledgement: BindingAcknowledgement,
        care_of: Ipv6Addr,
        correspondent: Ipv6Addr,
    ) -> Vec<u8> {
        acknowledgement.options.binding_authorization_data = Some([0; 12]);
        self.fill(acknowledgement.into(), care_of, correspondent)
    }

    /// Whether `message`, from its Mobility Header on, was signed with this key for these addresses and its
    /// authorization data is the last thing in it (RFC 6275 §11.7.3). Takes the same time whatever the authenticator
    /// is.
    pub fn verify(&self, message: &[u8], care_of: Ipv6Addr, correspondent: Ipv6Addr) -> bool {
        locate_authorization_data(message).is_some_and(|at| {
            let mac = self.authenticator(&message[..at.start], care_of, correspondent);
            mac.verify_truncated_left(&message[at]).is_ok()
        })
    }

    fn fill(&self, message: MobilityMessage, care_of: Ipv6Addr, correspondent: Ipv6Addr) -> Vec<u8> {
        let mut message = message.emit();
        let at = locate_authorization_data(&message).expect("the option was put in the message");
        let mac = self.authenticator(&message[..at.start], care_of, correspondent).finalize().into_bytes();
        message[at].copy_from_slice(&mac[..12]);
        message
    }

    /// Over all that stands before the authenticator.
    fn authenticator(&self, covered: &[u8], care_of: Ipv6Addr, correspondent: Ipv6Addr) -> Hmac<Sha1> {
        let (before, after) = covered.split_at(CHECKSUM_AT);
        hmac_sha1(&self.0, &[&care_of.octets(), &correspondent.octets(), before, &[0; 2], &after[2..]])
    }
}

impl PreconfiguredKey {
    /// The key that makes or changes the binding of a home address to a care-of address.
    pub fn management_key(&self, home_address: Ipv6Addr, care_of: Ipv6Addr) -> BindingManagementKey {
        let care_of = self.node_key.care_of_token(care_of, &self.care_of_nonce);
        BindingManagementKey::new(self.node_key.home_token(home_address, &self.home_nonce), care_of)
    }

    /// The key that deletes the binding of a home address.
    pub fn deletion_key(&self, home_address: Ipv6Addr) -> BindingManagementKey {
        BindingManagementKey::for_deletion(self.node_key.home_token(home_address, &self.home_nonce))
    }
}

fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha1> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

impl fmt::Debug for KeygenToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeygenToken(..)")
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

impl fmt::Debug for BindingManagementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BindingManagementKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::wire::mobility::option::NonceIndices;
    use stack::wire::mobility::{
        BindingAcknowledgementFlags, BindingUpdateFlags, Lifetime, MobilityOptions, Status, parse,
    };

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
    const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 0xc);
    const HOME_NONCE: [u8; 8] = [0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8];
    const CARE_OF_NONCE: [u8; 8] = [0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8];

    /// Kcn is 00 01 .. 13.
    fn node_key() -> NodeKey {
        NodeKey::new(&core::array::from_fn::<u8, 20, _>(|octet| octet as u8)).unwrap()
    }

    fn tokens() -> (KeygenToken, KeygenToken) {
        (node_key().home_token(HOME, &HOME_NONCE), node_key().care_of_token(CARE_OF, &CARE_OF_NONCE))
    }

    fn update(sequence: u16, lifetime: u16, nonce_indices: Option<NonceIndices>) -> BindingUpdate {
        BindingUpdate {
            sequence,
            flags: BindingUpdateFlags::ACKNOWLEDGE,
            lifetime: Lifetime(lifetime),
            options: MobilityOptions { nonce_indices, ..MobilityOptions::default() },
        }
    }

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    // The values of the next four tests were computed from the formulas by another implementation of SHA-1 and HMAC.

    #[test]
    fn tokens_and_keys_of_rfc_6275_section_5_2_5() {
        let (home, care_of) = tokens();
        assert_eq!(hex(&home.0), "839855c449b2a741");
        assert_eq!(hex(&care_of.0), "e8e65b1635403b96");
        let key = BindingManagementKey::new(home, care_of);
        assert_eq!(hex(&key.0), "08e7011a5cfc321aa3ac945a8a7a2dc377ee90d1");
        assert_eq!(hex(&BindingManagementKey::for_deletion(home).0), "b5644b510da0629eaf383794195aa79f0c01688d");
    }

    #[test]
    fn updates_are_authenticated_as_rfc_6275_section_6_2_7() {
        let (home, care_of) = tokens();
        let nonces = NonceIndices { home: 7, care_of: 9 };
        let message = BindingManagementKey::new(home, care_of).sign_update(
            update(0x1234, 105, Some(nonces)),
            CARE_OF,
            CORRESPONDENT,
        );
        assert_eq!(message[..20], [59, 3, 5, 0, 0, 0, 0x12, 0x34, 0x80, 0, 0, 105, 4, 4, 0, 7, 0, 9, 5, 12]);
        assert_eq!(hex(&message[20..]), "f0567e7336b90cdc4464d068");
        let nonces = NonceIndices { home: 7, care_of: 0 };
        let message =
            BindingManagementKey::for_deletion(home).sign_update(update(0x1235, 0, Some(nonces)), HOME, CORRESPONDENT);
        assert_eq!(hex(&message[20..]), "b355af91bd88460851f69ecd");
    }

    #[test]
    fn acknowledgements_are_authenticated_alike() {
        let (home, care_of) = tokens();
        let acknowledgement = BindingAcknowledgement {
            status: Status::ACCEPTED,
            flags: BindingAcknowledgementFlags::default(),
            sequence: 0x1234,
            lifetime: Lifetime(105),
            options: MobilityOptions::default(),
        };
        let key = BindingManagementKey::new(home, care_of);
        let message = key.sign_acknowledgement(acknowledgement, CARE_OF, CORRESPONDENT);
        assert_eq!(message[..20], [59, 3, 6, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 105, 1, 4, 0, 0, 0, 0, 5, 12]);
        assert_eq!(hex(&message[20..]), "2015d2201a776994cdc39568");
        assert!(key.verify(&message, CARE_OF, CORRESPONDENT));
    }

    #[test]
    fn preconfigured_keys_of_rfc_4449() {
        let octets: [u8; 24] = core::array::from_fn(|octet| 100 + octet as u8);
        let shared = PreconfiguredKey {
            node_key: NodeKey::new(&octets).unwrap(),
            home_nonce: HOME_NONCE.to_vec(),
            care_of_nonce: CARE_OF_NONCE.to_vec(),
        };
        let key = shared.management_key(HOME, CARE_OF);
        assert_eq!(hex(&key.0), "6b830837c1712b19e01101dd32df9a5ab2fd3999");
        assert_eq!(hex(&shared.deletion_key(HOME).0), "5275b76b86829e16eb970a14ef670385e802a741");
        let message = key.sign_update(update(0x1234, 105, None), CARE_OF, CORRESPONDENT);
        // No Nonce Indices option (§3), so padding stands in its place.
        assert_eq!(message[12..20], [1, 4, 0, 0, 0, 0, 5, 12]);
        assert_eq!(hex(&message[20..]), "276a10ed92a0870e09e87ef5");
        assert!(key.verify(&message, CARE_OF, CORRESPONDENT));
    }

    #[test]
    fn every_bit_counts_but_those_of_the_checksum() {
        let (home, care_of) = tokens();
        let key = BindingManagementKey::new(home, care_of);
        let nonces = Some(NonceIndices { home: 1, care_of: 2 });
        let message = key.sign_update(update(1, 105, nonces), CARE_OF, CORRESPONDENT);
        assert!(key.verify(&message, CARE_OF, CORRESPONDENT));
        assert!(!key.verify(&message, HOME, CORRESPONDENT));
        assert!(!key.verify(&message, CARE_OF, HOME));
        assert!(!BindingManagementKey::for_deletion(home).verify(&message, CARE_OF, CORRESPONDENT));
        for at in 0..message.len() {
            for bit in 0..8 {
                let mut changed = message.clone();
                changed[at] ^= 1 << bit;
                let checksum = (CHECKSUM_AT..CHECKSUM_AT + 2).contains(&at);
                assert_eq!(key.verify(&changed, CARE_OF, CORRESPONDENT), checksum, "octet {at} bit {bit}");
            }
        }
        for length in 0..message.len() {
            assert!(!key.verify(&message[..length], CARE_OF, CORRESPONDENT), "{length} octets");
        }
    }

    #[test]
    fn nothing_may_follow_the_authenticator() {
        let (home, care_of) = tokens();
        let key = BindingManagementKey::new(home, care_of);
        let mut message = key.sign_update(update(1, 105, None), CARE_OF, CORRESPONDENT);
        message[1] += 1;
        let padding_at = message.len();
        message.extend_from_slice(&[1, 6, 0, 0, 0, 0, 0, 0]);
        // Signed again for its new length, so that only the padding is wrong.
        let mac = key.authenticator(&message[..padding_at - 12], CARE_OF, CORRESPONDENT).finalize().into_bytes();
        message[padding_at - 12..padding_at].copy_from_slice(&mac[..12]);
        assert!(parse(&message).is_ok());
        assert!(!key.verify(&message, CARE_OF, CORRESPONDENT));
    }

    #[test]
    fn refuses_short_keys_and_shows_no_secret() {
        assert_eq!(NodeKey::new(&[0; 19]).unwrap_err(), ShortNodeKey(19));
        let (home, care_of) = tokens();
        let key = BindingManagementKey::new(home, care_of);
        assert_eq!(
            format!("{:?} {home:?} {key:?}", node_key()),
            "NodeKey(..) KeygenToken(..) BindingManagementKey(..)"
        );
        let mut secrets = SecretRng::simulated(1);
        let (one, other) = (NodeKey::generate(&mut secrets), NodeKey::generate(&mut secrets));
        assert_ne!(one.home_token(HOME, &HOME_NONCE), other.home_token(HOME, &HOME_NONCE));
    }
}
