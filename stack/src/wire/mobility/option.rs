//! Mobility options (RFC 6275 §6.2) and their padding.
//!
//! Options that are not named here are skipped. Emitting gives each option the alignment that its document asks for,
//! counted from the Mobility Header, and puts the two that have to be last at the end.

use super::super::error::{WireError, WireErrorKind, address_at, array, octet, slice, u16_at, u32_at};
use core::net::Ipv6Addr;

/// More options than this in one message, padding not counted, make it hostile.
pub const MAX_OPTIONS: usize = 32;

/// Mobility option types.
pub mod kind {
    /// One octet of padding.
    pub const PAD1: u8 = 0;
    /// Padding.
    pub const PADN: u8 = 1;
    /// Binding Refresh Advice (RFC 6275 §6.2.4).
    pub const BINDING_REFRESH_ADVICE: u8 = 2;
    /// Alternate Care-of Address (RFC 6275 §6.2.5).
    pub const ALTERNATE_CARE_OF_ADDRESS: u8 = 3;
    /// Nonce Indices (RFC 6275 §6.2.6).
    pub const NONCE_INDICES: u8 = 4;
    /// Binding Authorization Data (RFC 6275 §6.2.7).
    pub const BINDING_AUTHORIZATION_DATA: u8 = 5;
    /// Mobile Node Identifier (RFC 4283).
    pub const MOBILE_NODE_IDENTIFIER: u8 = 8;
    /// Mobility message authentication (RFC 4285 §5).
    pub const AUTHENTICATION: u8 = 9;
    /// Mobility message replay protection (RFC 4285 §6).
    pub const MESSAGE_ID: u8 = 10;
    /// GRE Key (RFC 5845 §6.1).
    pub const GRE_KEY: u8 = 33;
    /// IPv6 Address/Prefix (RFC 5568 §6.4.2; the number is that of its section 9, not of the figure).
    pub const ADDRESS_PREFIX: u8 = 34;
    /// Active Multicast Subscription, IPv6 (RFC 7161 §4.1).
    pub const ACTIVE_MULTICAST_SUBSCRIPTION: u8 = 57;
    /// Multicast Mobility Option (RFC 7411 §5.3), in messages between access routers alone.
    pub const MULTICAST_MOBILITY: u8 = 60;
    /// Multicast Acknowledgement Option (RFC 7411 §5.4), likewise.
    pub const MULTICAST_ACKNOWLEDGEMENT: u8 = 61;
}

/// The options of a message. Each of them stands there once at the most, except those in vectors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MobilityOptions {
    /// When to refresh, in units of four seconds.
    pub binding_refresh_advice: Option<u16>,
    /// The care-of address in place of the packet's source.
    pub alternate_care_of_address: Option<Ipv6Addr>,
    /// Which nonces the binding management key is made of.
    pub nonce_indices: Option<NonceIndices>,
    /// Who the terminal is.
    pub identifier: Option<MobileNodeIdentifier>,
    /// A timestamp in NTP format against replay.
    pub message_id: Option<u64>,
    /// GRE with key and sequence number is asked for or granted.
    pub gre_key: Option<GreKey>,
    /// Addresses and prefixes.
    pub addresses: Vec<AddressPrefix>,
    /// Multicast subscriptions.
    pub subscriptions: Vec<Subscription>,
    /// Authenticator of return routability; nothing follows it.
    pub binding_authorization_data: Option<[u8; 12]>,
    /// Authenticator of RFC 4285, subtype 1; it is the last option.
    pub authentication: Option<Authentication>,
}

/// Nonce Indices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NonceIndices {
    /// That of the home keygen token.
    pub home: u16,
    /// That of the care-of keygen token.
    pub care_of: u16,
}

/// Mobile Node Identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MobileNodeIdentifier {
    /// Kind of identifier; [`MobileNodeIdentifier::NAI`].
    pub subtype: u8,
    /// The identifier: 1 to 254 octets.
    pub value: Vec<u8>,
}

impl MobileNodeIdentifier {
    /// Subtype of a Network Access Identifier.
    pub const NAI: u8 = 1;

    /// A Network Access Identifier, `user@realm`.
    pub fn nai(text: &str) -> Self {
        MobileNodeIdentifier { subtype: Self::NAI, value: text.as_bytes().to_vec() }
    }
}

/// GRE Key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GreKey {
    /// The key; `None` where GRE is asked for or granted without one.
    pub key: Option<u32>,
}

/// IPv6 Address/Prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressPrefix {
    /// What it is; [`AddressPrefix::NEW_CARE_OF_ADDRESS`].
    pub code: u8,
    /// Length in bits, 0 to 128.
    pub prefix_length: u8,
    /// Address or prefix.
    pub address: Ipv6Addr,
}

impl AddressPrefix {
    /// Option-Code "Old Care-of Address".
    pub const OLD_CARE_OF_ADDRESS: u8 = 1;
    /// Option-Code "New Care-of Address".
    pub const NEW_CARE_OF_ADDRESS: u8 = 2;

    /// The care-of address that an agent assigns.
    pub const fn new_care_of(address: Ipv6Addr) -> Self {
        AddressPrefix { code: Self::NEW_CARE_OF_ADDRESS, prefix_length: 128, address }
    }
}

/// Active Multicast Subscription: a group, heard from one source or from any.
///
/// ```text
/// | 57 | length = 21 + 16 n | 143 | record type | 0 | n | group | source, where n = 1 |
/// ```
///
/// The record is that of MLDv2 (RFC 3810 §5.2.4): MODE_IS_INCLUDE {S} or MODE_IS_EXCLUDE {}.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The group.
    pub group: Ipv6Addr,
    /// The only source; `None` for any.
    pub source: Option<Ipv6Addr>,
}

impl Subscription {
    const MLDV2_REPORT: u8 = 143;
    const MODE_IS_INCLUDE: u8 = 1;
    const MODE_IS_EXCLUDE: u8 = 2;
}

/// Mobility message authentication.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authentication {
    /// Who authenticates; [`Authentication::MN_HA`].
    pub subtype: u8,
    /// Mobility security parameter index.
    pub spi: u32,
    /// Authentication data, 250 octets at the most.
    pub data: Vec<u8>,
}

impl Authentication {
    /// Subtype of the terminal and its agent (RFC 4285 §5.1).
    pub const MN_HA: u8 = 1;
    /// Subtype of the terminal and an AAA server (RFC 4285 §5.2).
    pub const MN_AAA: u8 = 2;
}

/// One option of a message: type, octet at which it starts, and data.
pub(super) struct Raw<'a> {
    pub(super) kind: u8,
    pub(super) at: usize,
    pub(super) data: &'a [u8],
}

/// Walks the options of `message` from `at` on, padding left out.
pub(super) fn walk(message: &[u8], mut at: usize) -> impl Iterator<Item = Result<Raw<'_>, WireError>> {
    let mut count = 0;
    let is_handover = super::handover::is_handover(message);
    core::iter::from_fn(move || {
        while at < message.len() {
            let (start, kind) = (at, message[at]);
            if kind == kind::PAD1 {
                at += 1;
                continue;
            }
            let is_in_words = is_handover && matches!(kind, kind::MULTICAST_MOBILITY | kind::MULTICAST_ACKNOWLEDGEMENT);
            let octets = |length: u8| if is_in_words { 2 + 4 * usize::from(length) } else { usize::from(length) };
            let data = octet(message, start + 1)
                .and_then(|length| slice(message, start + 2, octets(length)))
                .map_err(|_| WireError::new(WireErrorKind::Length, start + 1));
            at = data.map_or(message.len(), |data| start + 2 + data.len());
            if kind == kind::PADN && data.is_ok() {
                continue;
            }
            count += 1;
            return Some(match data {
                Ok(_) if count > MAX_OPTIONS => {
                    at = message.len();
                    Err(WireError::new(WireErrorKind::TooMany, start))
                }
                Ok(data) => Ok(Raw { kind, at: start, data }),
                Err(error) => Err(error),
            });
        }
        None
    })
}

impl MobilityOptions {
    /// Reads the options of `message`, a whole Mobility Header, from `at` on. Offsets of errors count from the
    /// Mobility Header.
    ///
    /// # Errors
    /// `Length` for an option that is longer than the message or whose length is not that of its type, `Value` for an
    /// option that stands there twice, follows the one that has to be last, or has a value that its document does not
    /// allow, `TooMany` beyond [`MAX_OPTIONS`].
    pub fn parse(message: &[u8], at: usize) -> Result<Self, WireError> {
        let mut options = MobilityOptions::default();
        let mut closed = false;
        for raw in walk(message, at) {
            let raw = raw?;
            // RFC 4285 §5: MN-HA authentication may be followed by MN-AAA authentication and by nothing else.
            let aaa = raw.kind == kind::AUTHENTICATION && raw.data.first() == Some(&Authentication::MN_AAA);
            if closed && !aaa {
                return Err(raw.value_error(0));
            }
            match raw.kind {
                kind::BINDING_REFRESH_ADVICE => {
                    raw.set(&mut options.binding_refresh_advice, 2, |d| u16_at(d, 0))?;
                }
                kind::ALTERNATE_CARE_OF_ADDRESS => {
                    raw.set(&mut options.alternate_care_of_address, 16, |d| address_at(d, 0))?;
                }
                kind::NONCE_INDICES => raw.set(&mut options.nonce_indices, 4, |d| {
                    Ok(NonceIndices { home: u16_at(d, 0)?, care_of: u16_at(d, 2)? })
                })?,
                kind::BINDING_AUTHORIZATION_DATA => {
                    raw.set(&mut options.binding_authorization_data, 12, |d| array(d, 0))?;
                    closed = true;
                }
                kind::MOBILE_NODE_IDENTIFIER => {
                    if raw.data.len() < 2 {
                        return Err(raw.length_error());
                    }
                    raw.set(&mut options.identifier, raw.data.len(), |d| {
                        Ok(MobileNodeIdentifier { subtype: d[0], value: d[1..].to_vec() })
                    })?;
                }
                kind::AUTHENTICATION => {
                    if raw.data.len() < 5 {
                        return Err(raw.length_error());
                    }
                    closed = true;
                    // Nobody here verifies MN-AAA authentication that stands behind MN-HA authentication.
                    if aaa && options.authentication.as_ref().is_some_and(|a| a.subtype != Authentication::MN_AAA) {
                        continue;
                    }
                    raw.set(&mut options.authentication, raw.data.len(), |d| {
                        Ok(Authentication { subtype: d[0], spi: u32_at(d, 1)?, data: d[5..].to_vec() })
                    })?;
                }
                kind::MESSAGE_ID => {
                    raw.set(&mut options.message_id, 8, |d| array(d, 0).map(u64::from_be_bytes))?;
                }
                kind::GRE_KEY => {
                    let key = match raw.data.len() {
                        2 => None,
                        6 => Some(u32_at(raw.data, 2)?),
                        _ => return Err(raw.length_error()),
                    };
                    raw.set(&mut options.gre_key, raw.data.len(), |_| Ok(GreKey { key }))?;
                }
                kind::ADDRESS_PREFIX => options.addresses.push(raw.address_prefix()?),
                // Another MLD type (RFC 7161 §4.1.2 has 131 and 132 too) is one that is not understood.
                kind::ACTIVE_MULTICAST_SUBSCRIPTION if raw.data.first() == Some(&Subscription::MLDV2_REPORT) => {
                    options.subscriptions.push(raw.subscription()?);
                }
                _ => {}
            }
        }
        Ok(options)
    }

    /// Appends the options to `message`, which starts with its Mobility Header, and pads it to a multiple of eight.
    pub(super) fn emit(&self, message: &mut Vec<u8>) {
        if let Some(interval) = self.binding_refresh_advice {
            append(message, (2, 0), kind::BINDING_REFRESH_ADVICE, &[&interval.to_be_bytes()]);
        }
        if let Some(address) = self.alternate_care_of_address {
            append(message, (8, 6), kind::ALTERNATE_CARE_OF_ADDRESS, &[&address.octets()]);
        }
        if let Some(nonces) = self.nonce_indices {
            let data: [&[u8]; 2] = [&nonces.home.to_be_bytes(), &nonces.care_of.to_be_bytes()];
            append(message, (2, 0), kind::NONCE_INDICES, &data);
        }
        if let Some(identifier) = &self.identifier {
            append(message, (1, 0), kind::MOBILE_NODE_IDENTIFIER, &[&[identifier.subtype], &identifier.value]);
        }
        if let Some(timestamp) = self.message_id {
            append(message, (8, 2), kind::MESSAGE_ID, &[&timestamp.to_be_bytes()]);
        }
        if let Some(GreKey { key }) = self.gre_key {
            match key {
                Some(key) => append(message, (4, 0), kind::GRE_KEY, &[&[0, 0], &key.to_be_bytes()]),
                None => append(message, (4, 0), kind::GRE_KEY, &[&[0, 0]]),
            }
        }
        for entry in &self.addresses {
            let head = [entry.code, entry.prefix_length];
            append(message, (8, 4), kind::ADDRESS_PREFIX, &[&head, &entry.address.octets()]);
        }
        for subscription in &self.subscriptions {
            subscription.emit(message);
        }
        if let Some(data) = &self.binding_authorization_data {
            append(message, (8, 2), kind::BINDING_AUTHORIZATION_DATA, &[data]);
        }
        if let Some(authentication) = &self.authentication {
            authentication.emit(message);
        }
        pad(message, message.len().next_multiple_of(super::UNIT));
    }
}

impl Subscription {
    fn emit(&self, message: &mut Vec<u8>) {
        let (record, count) = match self.source {
            Some(_) => (Self::MODE_IS_INCLUDE, 1),
            None => (Self::MODE_IS_EXCLUDE, 0),
        };
        let head = [Self::MLDV2_REPORT, record, 0, 0, count];
        let source = self.source.map(|source| source.octets());
        let source = source.as_ref().map_or(&[][..], |source| &source[..]);
        append(message, (8, 1), kind::ACTIVE_MULTICAST_SUBSCRIPTION, &[&head, &self.group.octets(), source]);
    }
}

impl Authentication {
    /// The option asks for 4n+1. Of those octets the one is chosen after which the message ends on a multiple of
    /// eight, where there is one, so that no padding follows the option that has to be last.
    pub(super) fn emit(&self, message: &mut Vec<u8>) {
        let ends_well = (8 - (2 + 5 + self.data.len()) % 8) % 8;
        let alignment = if ends_well % 4 == 1 { (8, ends_well) } else { (4, 1) };
        append(message, alignment, kind::AUTHENTICATION, &[&[self.subtype], &self.spi.to_be_bytes(), &self.data]);
    }
}

impl Raw<'_> {
    pub(super) fn length_error(&self) -> WireError {
        WireError::new(WireErrorKind::Length, self.at + 1)
    }

    pub(super) fn value_error(&self, offset: usize) -> WireError {
        WireError::new(WireErrorKind::Value, self.at + offset)
    }

    /// The error of an option that `is_there` already.
    pub(super) fn once(&self, is_there: bool) -> Result<(), WireError> {
        if is_there { Err(self.value_error(0)) } else { Ok(()) }
    }

    pub(super) fn set<T>(
        &self,
        field: &mut Option<T>,
        length: usize,
        read: impl FnOnce(&[u8]) -> Result<T, WireError>,
    ) -> Result<(), WireError> {
        if self.data.len() != length {
            return Err(self.length_error());
        }
        if field.is_some() {
            return Err(self.value_error(0));
        }
        *field = Some(read(self.data).map_err(|error| error.shift(self.at + 2))?);
        Ok(())
    }

    fn address_prefix(&self) -> Result<AddressPrefix, WireError> {
        let &[code, prefix_length, ..] = self.data else { return Err(self.length_error()) };
        if self.data.len() != 18 {
            return Err(self.length_error());
        }
        if prefix_length > 128 {
            return Err(self.value_error(3));
        }
        let address = address_at(self.data, 2).map_err(|error| error.shift(self.at + 2))?;
        Ok(AddressPrefix { code, prefix_length, address })
    }

    fn subscription(&self) -> Result<Subscription, WireError> {
        let &[_, record, auxiliary, high, low, ..] = self.data else { return Err(self.length_error()) };
        let count = usize::from(u16::from_be_bytes([high, low]));
        if self.data.len() != 21 + 16 * count {
            return Err(self.length_error());
        }
        if auxiliary != 0 {
            return Err(self.value_error(4));
        }
        let group = address_at(self.data, 5).map_err(|error| error.shift(self.at + 2))?;
        if !group.is_multicast() {
            return Err(self.value_error(7));
        }
        let source = match (record, count) {
            (Subscription::MODE_IS_INCLUDE, 1) => {
                Some(address_at(self.data, 21).map_err(|error| error.shift(self.at + 2))?)
            }
            (Subscription::MODE_IS_EXCLUDE, 0) => None,
            _ => return Err(self.value_error(3)),
        };
        Ok(Subscription { group, source })
    }
}

/// Appends an option at the next octet that is `residue` modulo `modulus`.
pub(super) fn append(message: &mut Vec<u8>, (modulus, residue): (usize, usize), kind: u8, data: &[&[u8]]) {
    let at = message.len();
    pad(message, at + (residue + modulus - at % modulus) % modulus);
    let length = data.iter().map(|part| part.len()).sum::<usize>();
    message.push(kind);
    message.push(u8::try_from(length).expect("an option fits its length field"));
    for part in data {
        message.extend_from_slice(part);
    }
}

/// Pads `message` to `length` octets with Pad1 or PadN.
pub(super) fn pad(message: &mut Vec<u8>, length: usize) {
    match length - message.len() {
        0 => {}
        1 => message.push(kind::PAD1),
        gap => {
            message.push(kind::PADN);
            message.push((gap - 2) as u8);
            message.resize(length, 0);
        }
    }
}
