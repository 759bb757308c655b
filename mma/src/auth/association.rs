//! A mobility security association: SPI, key and algorithm (RFC 4285 §5.1), and what is done with it.
//!
//! DEVIATION RFC 5568 §10: messages between access routers are protected so, and not by IPsec.

use core::fmt;
use core::net::Ipv6Addr;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use stack::wire::mobility::authentication::{Span, locate};
use stack::wire::mobility::handover::HandoverMessage;
use stack::wire::mobility::option::Authentication;
use stack::wire::mobility::{BindingAcknowledgement, BindingUpdate, MobilityMessage, MobilityOptions};

/// A mobility security parameter index outside the reserved range (RFC 4285 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Spi(u32);

impl Spi {
    /// The lowest that two peers may agree on; 0 to 255 are reserved.
    pub const MINIMUM: u32 = 256;

    /// This index.
    ///
    /// # Errors
    /// [`AssociationError::ReservedSpi`] below [`Spi::MINIMUM`].
    pub const fn new(value: u32) -> Result<Self, AssociationError> {
        if value < Self::MINIMUM { Err(AssociationError::ReservedSpi(value)) } else { Ok(Spi(value)) }
    }

    /// As a number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// How authentication data is computed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Algorithm {
    /// The first 96 bits of HMAC_SHA1: what RFC 4285 §5.1 demands.
    #[default]
    HmacSha1_96,
    /// The first 128 bits of HMAC-SHA-256, for peers that agreed on it with their SPI.
    HmacSha256_128,
}

impl Algorithm {
    /// Octets of authentication data.
    pub const fn length(self) -> usize {
        match self {
            Algorithm::HmacSha1_96 => 12,
            Algorithm::HmacSha256_128 => 16,
        }
    }
}

/// A shared key. Its debug output shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// RFC 4285 §5.1 has keys of 16 octets; shorter ones are refused.
    pub const MINIMUM_LEN: usize = 16;

    /// A key of these octets.
    ///
    /// # Errors
    /// [`AssociationError::ShortKey`] below [`Key::MINIMUM_LEN`].
    pub fn new(octets: &[u8]) -> Result<Self, AssociationError> {
        if octets.len() < Self::MINIMUM_LEN {
            return Err(AssociationError::ShortKey(octets.len()));
        }
        Ok(Key(octets.to_vec()))
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Why a security association cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssociationError {
    /// The SPI is reserved.
    #[error("an SPI is 256 or more, not {0}")]
    ReservedSpi(u32),
    /// The key is too short.
    #[error("a key has 16 octets or more, not {0}")]
    ShortKey(usize),
}

/// What a terminal and an agent share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecurityAssociation {
    /// Its index.
    pub spi: Spi,
    /// Its key.
    pub key: Key,
    /// Its algorithm.
    pub algorithm: Algorithm,
}

impl SecurityAssociation {
    /// The Binding Update from its Mobility Header on, signed; its checksum is zero. `care_of` is the Alternate Care-of
    /// Address where the update has one, else the source of the packet.
    pub fn sign_update(&self, mut update: BindingUpdate, care_of: Ipv6Addr, home_address: Ipv6Addr) -> Vec<u8> {
        self.reserve(&mut update.options);
        self.fill(MobilityMessage::from(update).emit(), care_of, home_address)
    }

    /// The Binding Acknowledgement from its Mobility Header on, signed; its checksum is zero. `care_of` is that of the
    /// Binding Update.
    pub fn sign_acknowledgement(
        &self,
        mut acknowledgement: BindingAcknowledgement,
        care_of: Ipv6Addr,
        home_address: Ipv6Addr,
    ) -> Vec<u8> {
        self.reserve(&mut acknowledgement.options);
        self.fill(MobilityMessage::from(acknowledgement).emit(), care_of, home_address)
    }

    /// The message of one access router to another from its Mobility Header on, signed; its checksum is zero.
    pub fn sign_handover(&self, mut message: HandoverMessage, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        message.options_mut().authentication = Some(self.empty());
        self.fill(message.emit(), source, destination)
    }

    /// Whether `message`, from its Mobility Header on, was signed with this association for these addresses. Takes the
    /// same time whatever the authentication data is.
    pub fn verify(&self, message: &[u8], care_of: Ipv6Addr, home_address: Ipv6Addr) -> bool {
        locate(message).is_some_and(|span| self.verify_span(&span, message, care_of, home_address))
    }

    pub(super) fn verify_span(&self, span: &Span, message: &[u8], care_of: Ipv6Addr, home_address: Ipv6Addr) -> bool {
        let received = &message[span.data.clone()];
        let data = span.mobility_data(care_of, home_address, message);
        span.spi == self.spi.0
            && received.len() == self.algorithm.length()
            && match self.algorithm {
                Algorithm::HmacSha1_96 => self.hmac_sha1(&data).verify_truncated_left(received).is_ok(),
                Algorithm::HmacSha256_128 => self.hmac_sha256(&data).verify_truncated_left(received).is_ok(),
            }
    }

    /// Puts an authentication option of the right length, but no content, in `options`.
    fn reserve(&self, options: &mut MobilityOptions) {
        options.authentication = Some(self.empty());
    }

    fn empty(&self) -> Authentication {
        let data = vec![0; self.algorithm.length()];
        Authentication { subtype: Authentication::MN_HA, spi: self.spi.0, data }
    }

    fn fill(&self, mut message: Vec<u8>, care_of: Ipv6Addr, home_address: Ipv6Addr) -> Vec<u8> {
        let span = locate(&message).expect("the option was put in the message");
        let data = span.mobility_data(care_of, home_address, &message);
        let into = &mut message[span.data];
        let length = into.len();
        match self.algorithm {
            Algorithm::HmacSha1_96 => {
                into.copy_from_slice(&self.hmac_sha1(&data).finalize().into_bytes()[..length]);
            }
            Algorithm::HmacSha256_128 => {
                into.copy_from_slice(&self.hmac_sha256(&data).finalize().into_bytes()[..length]);
            }
        }
        message
    }

    fn hmac_sha1(&self, data: &[u8]) -> Hmac<Sha1> {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.key.0).expect("HMAC takes keys of any length");
        mac.update(data);
        mac
    }

    fn hmac_sha256(&self, data: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).expect("HMAC takes keys of any length");
        mac.update(data);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::wire::mobility::{
        BindingAcknowledgementFlags, BindingUpdateFlags, CHECKSUM_AT, Lifetime, Status, parse,
    };

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);

    fn association(algorithm: Algorithm) -> SecurityAssociation {
        SecurityAssociation { spi: Spi::new(0x100).unwrap(), key: Key::new(&[7; 16]).unwrap(), algorithm }
    }

    fn update() -> BindingUpdate {
        BindingUpdate {
            sequence: 1,
            flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION,
            lifetime: Lifetime(450),
            options: MobilityOptions::default(),
        }
    }

    #[test]
    fn authenticator_is_the_first_96_bits_of_hmac_sha1() {
        let message = association(Algorithm::HmacSha1_96).sign_update(update(), CARE_OF, HOME);
        // Header, sequence, flags and lifetime; one octet of padding; type, length, subtype, SPI.
        let covered = [59, 3, 5, 0, 0, 0, 0, 1, 0x88, 0, 0x01, 0xc2, 0, 9, 17, 1, 0, 0, 1, 0];
        assert_eq!(message[..20], covered);
        assert_eq!(message.len(), 32);
        let mut mac = Hmac::<Sha1>::new_from_slice(&[7; 16]).unwrap();
        for part in [&CARE_OF.octets()[..], &HOME.octets(), &covered] {
            mac.update(part);
        }
        assert_eq!(message[20..], mac.finalize().into_bytes()[..12]);
    }

    #[test]
    fn every_bit_counts_but_those_of_the_checksum() {
        for algorithm in [Algorithm::HmacSha1_96, Algorithm::HmacSha256_128] {
            let association = association(algorithm);
            let message = association.sign_update(update(), CARE_OF, HOME);
            assert!(association.verify(&message, CARE_OF, HOME));
            assert!(!association.verify(&message, HOME, HOME));
            assert!(!association.verify(&message, CARE_OF, CARE_OF));
            for at in 0..message.len() {
                for bit in 0..8 {
                    let mut changed = message.clone();
                    changed[at] ^= 1 << bit;
                    let checksum = (CHECKSUM_AT..CHECKSUM_AT + 2).contains(&at);
                    assert_eq!(association.verify(&changed, CARE_OF, HOME), checksum, "octet {at} bit {bit}");
                }
            }
            let other = SecurityAssociation { key: Key::new(&[8; 16]).unwrap(), ..association.clone() };
            assert!(!other.verify(&message, CARE_OF, HOME));
        }
    }

    #[test]
    fn acknowledgements_are_signed_alike() {
        let association = association(Algorithm::HmacSha1_96);
        let acknowledgement = BindingAcknowledgement {
            status: Status::ACCEPTED,
            flags: BindingAcknowledgementFlags::default(),
            sequence: 1,
            lifetime: Lifetime(1),
            options: MobilityOptions { message_id: Some(5), ..MobilityOptions::default() },
        };
        let message = association.sign_acknowledgement(acknowledgement, CARE_OF, HOME);
        assert!(association.verify(&message, CARE_OF, HOME));
        let MobilityMessage::BindingAcknowledgement(parsed) = parse(&message).unwrap() else { panic!("no BA") };
        assert_eq!(parsed.options.authentication.unwrap().spi, 0x100);
    }

    #[test]
    fn refuses_reserved_spis_and_short_keys() {
        assert_eq!(Spi::new(255), Err(AssociationError::ReservedSpi(255)));
        assert_eq!(Key::new(&[0; 15]), Err(AssociationError::ShortKey(15)));
        assert_eq!(format!("{:?}", Key::new(b"sixteen secret octets").unwrap()), "Key(..)");
    }
}
