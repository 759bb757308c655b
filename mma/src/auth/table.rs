//! Whose security association it is: found by the terminal's identifier (RFC 4283) or home address, and the SPI.

use super::association::{SecurityAssociation, Spi};
use super::site_key::SiteKey;
use core::net::Ipv6Addr;
use stack::addr::{self, Eui64};
use stack::wire::mobility::Status;
use stack::wire::mobility::authentication::locate;
use stack::wire::mobility::option::MobileNodeIdentifier;
use std::collections::BTreeMap;

/// Who a message was authenticated as.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Principal {
    /// A terminal known by its identifier.
    Identifier(MobileNodeIdentifier),
    /// A terminal known by its home address.
    HomeAddress(Ipv6Addr),
}

/// A terminal that this agent knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its identifier; without one it is known by its home address.
    pub identifier: Option<MobileNodeIdentifier>,
    /// The only home address that it may register; any where it has an identifier and this is `None`.
    pub home_address: Option<Ipv6Addr>,
    /// The only EUI-64 whose group it may have; any where this is `None`.
    pub terminal: Option<Eui64>,
    /// What it shares with this agent.
    pub association: SecurityAssociation,
}

/// Why a terminal cannot be added.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PeerError {
    /// Nothing to find it by.
    #[error("a terminal has an identifier or a home address")]
    Anonymous,
    /// There is one with the same name and SPI.
    #[error("there is another terminal of this name with SPI {}", .0.value())]
    Duplicate(Spi),
}

/// The security associations of an agent.
#[derive(Clone, Debug, Default)]
pub struct AssociationTable {
    peers: BTreeMap<(Principal, Spi), Peer>,
    /// Who has an EUI-64, by the interface identifier that it makes.
    by_interface: BTreeMap<(u64, Spi), Owner>,
    by_spi: BTreeMap<Spi, Owner>,
    site_key: Option<SiteKey>,
}

/// Whose something is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Owner {
    One(Principal),
    Several,
}

/// Who a Binding Update says that it is from.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The identifier (RFC 4283).
    pub identifier: Option<&'a MobileNodeIdentifier>,
    /// What stands in the place of the home address.
    pub home_address: Ipv6Addr,
    /// Whether that is a regional address (RFC 5380 §6), which no terminal is known by: it is then found by its EUI-64,
    /// which the interface identifier is made of, and the SPI, or by the SPI alone where nobody else has it.
    pub regional: bool,
}

/// A message that its terminal has signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authenticated {
    /// Who.
    pub principal: Principal,
    /// The only EUI-64 whose group it may have.
    pub terminal: Option<Eui64>,
    /// With what; answers are signed with the same.
    pub association: SecurityAssociation,
    /// The care-of address that the authentication data is made of; answers are signed with the same.
    pub care_of: Ipv6Addr,
}

/// Why a message is not authentic.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// It has no authentication option.
    #[error("no authentication option")]
    Missing,
    /// Nothing is shared with its sender.
    #[error("no security association")]
    NoAssociation,
    /// The authentication data is wrong.
    #[error("wrong authentication data")]
    Mismatch {
        /// The association with which it should have been signed, and the answer is.
        association: SecurityAssociation,
    },
}

impl AuthenticationError {
    /// The status of the answer; `None` where the message is dropped in silence (RFC 4285 §5, §5.1.1).
    pub const fn status(&self) -> Option<Status> {
        match self {
            AuthenticationError::Missing | AuthenticationError::NoAssociation => None,
            AuthenticationError::Mismatch { .. } => Some(Status::AUTHENTICATION_FAILED),
        }
    }
}

impl AssociationTable {
    /// No terminal is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Terminals with an identifier that are not in the table have an association derived from `site_key`.
    pub fn with_site_key(mut self, site_key: SiteKey) -> Self {
        self.site_key = Some(site_key);
        self
    }

    /// Adds a terminal.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn insert(&mut self, peer: Peer) -> Result<(), PeerError> {
        let principal = match (&peer.identifier, peer.home_address) {
            (Some(identifier), _) => Principal::Identifier(identifier.clone()),
            (None, Some(home_address)) => Principal::HomeAddress(home_address),
            (None, None) => return Err(PeerError::Anonymous),
        };
        let spi = peer.association.spi;
        if self.peers.contains_key(&(principal.clone(), spi)) {
            return Err(PeerError::Duplicate(spi));
        }
        let one = || Owner::One(principal.clone());
        if let Some(terminal) = peer.terminal {
            let entry = self.by_interface.entry((terminal.modified(), spi));
            entry.and_modify(|owner| *owner = Owner::Several).or_insert_with(one);
        }
        self.by_spi.entry(spi).and_modify(|owner| *owner = Owner::Several).or_insert_with(one);
        self.peers.insert((principal, spi), peer);
        Ok(())
    }

    /// How many terminals the table holds, those of the site key not counted.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Verifies a Binding Update, given from its Mobility Header on, with the identifier and the home address that it
    /// names. RFC 4285 §5.1 says "care-of address" where a message may have two: `care_of` is the one to expect, and
    /// `source`, the source of the packet, is taken as well.
    ///
    /// # Errors
    /// See [`AuthenticationError`].
    pub fn authenticate(
        &self,
        message: &[u8],
        identifier: Option<&MobileNodeIdentifier>,
        home_address: Ipv6Addr,
        care_of: Ipv6Addr,
        source: Ipv6Addr,
    ) -> Result<Authenticated, AuthenticationError> {
        self.authenticate_as(message, Named { identifier, home_address, regional: false }, care_of, source)
    }

    /// The same for an anchor point.
    ///
    /// # Errors
    /// See [`AuthenticationError`].
    pub fn authenticate_as(
        &self,
        message: &[u8],
        named: Named<'_>,
        care_of: Ipv6Addr,
        source: Ipv6Addr,
    ) -> Result<Authenticated, AuthenticationError> {
        let span = locate(message).ok_or(AuthenticationError::Missing)?;
        let spi = Spi::new(span.spi).map_err(|_| AuthenticationError::NoAssociation)?;
        let Named { identifier, home_address, regional } = named;
        let found = self.find(identifier, home_address, spi).or_else(|| {
            let interface = addr::interface_identifier(home_address);
            regional.then(|| self.find_regional(interface, spi)).flatten()
        });
        let (principal, terminal, association) = found.ok_or(AuthenticationError::NoAssociation)?;
        let candidates = [care_of, source];
        let candidates = if care_of == source { &candidates[..1] } else { &candidates[..] };
        match candidates.iter().find(|c| association.verify_span(&span, message, **c, home_address)) {
            Some(&care_of) => Ok(Authenticated { principal, terminal, association, care_of }),
            None => Err(AuthenticationError::Mismatch { association }),
        }
    }

    /// A terminal whose EUI-64 is known has the regional address that is made of it and no other.
    fn find_regional(&self, interface: u64, spi: Spi) -> Option<(Principal, Option<Eui64>, SecurityAssociation)> {
        let owner = self.by_interface.get(&(interface, spi)).or_else(|| self.by_spi.get(&spi))?;
        let Owner::One(principal) = owner else { return None };
        let key = (principal.clone(), spi);
        let peer = self.peers.get(&key)?;
        let fits = peer.terminal.is_none_or(|terminal| terminal.modified() == interface);
        fits.then(|| (key.0, peer.terminal, peer.association.clone()))
    }

    fn find(
        &self,
        identifier: Option<&MobileNodeIdentifier>,
        home_address: Ipv6Addr,
        spi: Spi,
    ) -> Option<(Principal, Option<Eui64>, SecurityAssociation)> {
        let by_identifier = identifier.map(|identifier| Principal::Identifier(identifier.clone()));
        for principal in by_identifier.into_iter().chain([Principal::HomeAddress(home_address)]) {
            let key = (principal, spi);
            if let Some(peer) = self.peers.get(&key) {
                let allowed = peer.home_address.is_none_or(|only| only == home_address);
                return allowed.then(|| (key.0, peer.terminal, peer.association.clone()));
            }
        }
        let (site_key, identifier) = (self.site_key.as_ref()?, identifier?);
        let principal = Principal::Identifier(identifier.clone());
        (site_key.spi == spi).then(|| (principal, None, site_key.derive(identifier)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::association::{Algorithm, Key};
    use super::*;
    use stack::wire::mobility::{BindingUpdate, BindingUpdateFlags, Lifetime, MobilityOptions};

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const OTHER_HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x11);
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
    const LOCAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 0x10);

    fn association(spi: u32, octet: u8) -> SecurityAssociation {
        SecurityAssociation {
            spi: Spi::new(spi).unwrap(),
            key: Key::new(&[octet; 16]).unwrap(),
            algorithm: Algorithm::HmacSha1_96,
        }
    }

    fn update() -> BindingUpdate {
        BindingUpdate {
            sequence: 1,
            flags: BindingUpdateFlags::ACKNOWLEDGE,
            lifetime: Lifetime(1),
            options: MobilityOptions::default(),
        }
    }

    #[test]
    fn found_by_identifier_or_home_address_and_spi() {
        let mut table = AssociationTable::new();
        let by_home = Peer {
            identifier: None,
            home_address: Some(HOME),
            terminal: Some(Eui64(5)),
            association: association(256, 1),
        };
        let nai = MobileNodeIdentifier::nai("mt@example.org");
        let by_identifier = Peer {
            identifier: Some(nai.clone()),
            home_address: Some(HOME),
            terminal: None,
            association: association(257, 2),
        };
        table.insert(by_home.clone()).unwrap();
        table.insert(by_identifier.clone()).unwrap();
        assert_eq!(table.insert(by_home), Err(PeerError::Duplicate(Spi::new(256).unwrap())));
        assert_eq!(
            table.insert(Peer { identifier: None, home_address: None, ..by_identifier }),
            Err(PeerError::Anonymous)
        );

        let signed = association(256, 1).sign_update(update(), CARE_OF, HOME);
        let found = table.authenticate(&signed, None, HOME, CARE_OF, CARE_OF).unwrap();
        assert_eq!((found.principal, found.terminal), (Principal::HomeAddress(HOME), Some(Eui64(5))));
        let signed = association(257, 2).sign_update(update(), CARE_OF, HOME);
        assert!(table.authenticate(&signed, Some(&nai), HOME, CARE_OF, CARE_OF).is_ok());
        // Without its identifier it is not found; another home address is not its own; another key does not fit.
        assert_eq!(table.authenticate(&signed, None, HOME, CARE_OF, CARE_OF), Err(AuthenticationError::NoAssociation));
        let signed = association(257, 2).sign_update(update(), CARE_OF, OTHER_HOME);
        assert_eq!(
            table.authenticate(&signed, Some(&nai), OTHER_HOME, CARE_OF, CARE_OF),
            Err(AuthenticationError::NoAssociation)
        );
        let signed = association(257, 3).sign_update(update(), CARE_OF, HOME);
        let error = table.authenticate(&signed, Some(&nai), HOME, CARE_OF, CARE_OF).unwrap_err();
        assert_eq!(error.status(), Some(Status::AUTHENTICATION_FAILED));
        let unsigned = stack::wire::mobility::MobilityMessage::from(update()).emit();
        assert_eq!(table.authenticate(&unsigned, None, HOME, CARE_OF, CARE_OF), Err(AuthenticationError::Missing));
    }

    #[test]
    fn either_care_of_address_is_taken_and_named() {
        let mut table = AssociationTable::new();
        let association = association(256, 1);
        let peer =
            Peer { identifier: None, home_address: Some(HOME), terminal: None, association: association.clone() };
        table.insert(peer).unwrap();
        for care_of in [CARE_OF, LOCAL] {
            let signed = association.sign_update(update(), care_of, HOME);
            assert_eq!(table.authenticate(&signed, None, HOME, CARE_OF, LOCAL).unwrap().care_of, care_of);
        }
    }

    #[test]
    fn a_regional_address_is_found_by_its_eui64_or_a_spi_of_its_own() {
        let mut table = AssociationTable::new();
        let peer = |n: u16, spi, terminal| Peer {
            identifier: None,
            home_address: Some(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, n)),
            terminal,
            association: association(spi, n as u8),
        };
        // Three share an SPI, one of them without an EUI-64; a fourth has an SPI of its own.
        table.insert(peer(1, 256, Some(Eui64(0x0200_5eff_fe00_0001)))).unwrap();
        table.insert(peer(2, 256, Some(Eui64(0x0200_5eff_fe00_0002)))).unwrap();
        table.insert(peer(3, 256, None)).unwrap();
        table.insert(peer(4, 257, None)).unwrap();
        table.insert(peer(5, 258, Some(Eui64(0x0200_5eff_fe00_0005)))).unwrap();
        let found = |spi, octet, interface: u64, regional| {
            let home_address = addr::with_interface_identifier(CARE_OF, interface);
            let signed = association(spi, octet).sign_update(update(), LOCAL, home_address);
            let named = Named { identifier: None, home_address, regional };
            table.authenticate_as(&signed, named, LOCAL, LOCAL).map(|found| found.principal)
        };
        let principal = |n| Ok(Principal::HomeAddress(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, n)));
        let nobody = Err(AuthenticationError::NoAssociation);
        assert_eq!(found(256, 1, 0x5eff_fe00_0001, true), principal(1));
        assert_eq!(found(256, 2, 0x5eff_fe00_0002, true), principal(2));
        assert!(matches!(found(256, 2, 0x5eff_fe00_0001, true), Err(AuthenticationError::Mismatch { .. })));
        assert_eq!(found(256, 3, 0x77, true), nobody);
        assert_eq!(found(257, 4, 0x77, true), principal(4));
        assert_eq!(found(258, 5, 0x77, true), nobody);
        assert_eq!(found(256, 1, 0x5eff_fe00_0001, false), nobody);
    }

    #[test]
    fn site_key_serves_identifiers_that_are_not_in_the_table() {
        let site =
            SiteKey { spi: Spi::new(500).unwrap(), key: Key::new(&[9; 32]).unwrap(), algorithm: Algorithm::default() };
        let table = AssociationTable::new().with_site_key(site.clone());
        let nai = MobileNodeIdentifier::nai("new@example.org");
        let signed = site.derive(&nai).sign_update(update(), CARE_OF, HOME);
        let found = table.authenticate(&signed, Some(&nai), HOME, CARE_OF, CARE_OF).unwrap();
        assert_eq!(found.principal, Principal::Identifier(nai));
        let other = MobileNodeIdentifier::nai("other@example.org");
        assert!(table.authenticate(&signed, Some(&other), HOME, CARE_OF, CARE_OF).is_err());
        assert!(table.authenticate(&signed, None, HOME, CARE_OF, CARE_OF).is_err());
    }
}
