//! Fields of mobility messages: flags, lifetimes and statuses (RFC 6275 §6.1.7 to §6.1.9 and the documents that add to
//! them).

use core::fmt;
use core::ops::BitOr;
use core::time::Duration;

/// Flags of a Binding Update. Bits that are not named here are kept and mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BindingUpdateFlags(pub u16);

impl BindingUpdateFlags {
    /// A: an acknowledgement is asked for.
    pub const ACKNOWLEDGE: Self = Self(0x8000);
    /// H: home registration.
    pub const HOME_REGISTRATION: Self = Self(0x4000);
    /// L: the home address has the interface identifier of the link-local address.
    pub const LINK_LOCAL_COMPATIBILITY: Self = Self(0x2000);
    /// K: key management survives movement.
    pub const KEY_MANAGEMENT: Self = Self(0x1000);
    /// M: registration with a mobility anchor point (RFC 5380 §5).
    pub const MAP_REGISTRATION: Self = Self(0x0800);
    /// R: mobile router (RFC 3963).
    pub const MOBILE_ROUTER: Self = Self(0x0400);
    /// P: proxy registration (RFC 5213).
    pub const PROXY_REGISTRATION: Self = Self(0x0200);
    /// F: UDP encapsulation is forced (RFC 5555).
    pub const FORCE_UDP_ENCAPSULATION: Self = Self(0x0100);
    /// T: TLV header format (RFC 5845).
    pub const TLV_HEADER: Self = Self(0x0080);
    /// B: bulk binding update (RFC 6602).
    pub const BULK: Self = Self(0x0040);
    /// S: multicast subscription (RFC 7161).
    pub const SUBSCRIPTION: Self = Self(0x0020);
    /// D: delegation of prefixes (RFC 7148).
    pub const DELEGATION: Self = Self(0x0010);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for BindingUpdateFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for BindingUpdateFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        letters(f, u32::from(self.0), 16, "AHLKMRPFTBSD")
    }
}

/// Flags of a Binding Acknowledgement. Bits that are not named here are kept and mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BindingAcknowledgementFlags(pub u8);

impl BindingAcknowledgementFlags {
    /// K: key management survives movement.
    pub const KEY_MANAGEMENT: Self = Self(0x80);
    /// R: mobile router (RFC 3963).
    pub const MOBILE_ROUTER: Self = Self(0x40);
    /// P: proxy registration (RFC 5213).
    pub const PROXY_REGISTRATION: Self = Self(0x20);
    /// T: TLV header format (RFC 5845).
    pub const TLV_HEADER: Self = Self(0x10);
    /// B: bulk binding update (RFC 6602).
    pub const BULK: Self = Self(0x08);
    /// S: multicast subscription (RFC 7161).
    pub const SUBSCRIPTION: Self = Self(0x04);
    /// D: delegation of prefixes (RFC 7148).
    pub const DELEGATION: Self = Self(0x02);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for BindingAcknowledgementFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for BindingAcknowledgementFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        letters(f, u32::from(self.0), 8, "KRPTBSD")
    }
}

/// The set bits of a flag field of `width` bits: their letters, highest bit first, and a number for those without one.
fn letters(f: &mut fmt::Formatter<'_>, mut bits: u32, width: u32, names: &str) -> fmt::Result {
    for (index, letter) in (0..width).zip(names.chars()) {
        let bit = 1 << (width - 1 - index);
        if bits & bit != 0 {
            bits &= !bit;
            write!(f, "{letter}")?;
        }
    }
    if bits != 0 { write!(f, "+{bits:#x}") } else { Ok(()) }
}

/// A lifetime in units of four seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Lifetime(pub u16);

impl Lifetime {
    /// Removes the binding.
    pub const ZERO: Lifetime = Lifetime(0);
    /// Seconds in a unit.
    pub const UNIT_SECS: u64 = 4;

    /// The longest lifetime that is no longer than `duration`.
    pub const fn at_most(duration: Duration) -> Self {
        let units = duration.as_secs() / Self::UNIT_SECS;
        Lifetime(if units > u16::MAX as u64 { u16::MAX } else { units as u16 })
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * Self::UNIT_SECS)
    }

    /// Whether it is zero, which removes the binding.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Status of a Binding Acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub u8);

impl Status {
    /// Binding Update accepted.
    pub const ACCEPTED: Status = Status(0);
    /// Accepted, but prefix discovery is necessary.
    pub const ACCEPTED_PREFIX_DISCOVERY: Status = Status(1);
    /// Accepted; the GRE Key option was not needed (RFC 5845 §6.4).
    pub const GRE_KEY_NOT_REQUIRED: Status = Status(2);
    /// Reason unspecified.
    pub const REASON_UNSPECIFIED: Status = Status(128);
    /// Administratively prohibited.
    pub const ADMINISTRATIVELY_PROHIBITED: Status = Status(129);
    /// Insufficient resources.
    pub const INSUFFICIENT_RESOURCES: Status = Status(130);
    /// Home registration not supported.
    pub const HOME_REGISTRATION_NOT_SUPPORTED: Status = Status(131);
    /// Not home subnet.
    pub const NOT_HOME_SUBNET: Status = Status(132);
    /// Not home agent for this mobile node.
    pub const NOT_HOME_AGENT: Status = Status(133);
    /// Duplicate Address Detection failed.
    pub const DUPLICATE_ADDRESS: Status = Status(134);
    /// Sequence number out of window.
    pub const SEQUENCE_OUT_OF_WINDOW: Status = Status(135);
    /// Expired home nonce index.
    pub const EXPIRED_HOME_NONCE: Status = Status(136);
    /// Expired care-of nonce index.
    pub const EXPIRED_CARE_OF_NONCE: Status = Status(137);
    /// Expired nonces.
    pub const EXPIRED_NONCES: Status = Status(138);
    /// Registration type change disallowed.
    pub const REGISTRATION_TYPE_CHANGE: Status = Status(139);
    /// Mobile router operation not permitted (RFC 3963 §4.2).
    pub const MOBILE_ROUTER_NOT_PERMITTED: Status = Status(140);
    /// Invalid prefix (RFC 3963 §4.2).
    pub const INVALID_PREFIX: Status = Status(141);
    /// Not authorized for prefix (RFC 3963 §4.2).
    pub const NOT_AUTHORIZED_FOR_PREFIX: Status = Status(142);
    /// Forwarding setup failed (RFC 3963 §4.2).
    pub const FORWARDING_SETUP_FAILED: Status = Status(143);
    /// MIPV6-ID-MISMATCH: the timestamp is not fresh (RFC 4285 §6).
    pub const ID_MISMATCH: Status = Status(144);
    /// MIPV6-MESG-ID-REQD: a timestamp is required (RFC 4285 §6).
    pub const MESSAGE_ID_REQUIRED: Status = Status(145);
    /// MIPV6-AUTH-FAIL: authentication failed (RFC 4285 §5.1.1).
    pub const AUTHENTICATION_FAILED: Status = Status(146);
    /// A GRE Key option is required (RFC 5845 §6.4).
    pub const GRE_KEY_REQUIRED: Status = Status(163);
    /// Invalid care-of address (RFC 6275 §6.1.8).
    pub const INVALID_CARE_OF_ADDRESS: Status = Status(174);

    /// Whether the Binding Update was accepted.
    pub const fn is_accepted(self) -> bool {
        self.0 < 128
    }

    const fn name(self) -> &'static str {
        match self {
            Status::ACCEPTED => "accepted",
            Status::ACCEPTED_PREFIX_DISCOVERY => "accepted, prefix discovery necessary",
            Status::GRE_KEY_NOT_REQUIRED => "accepted, GRE key not required",
            Status::REASON_UNSPECIFIED => "reason unspecified",
            Status::ADMINISTRATIVELY_PROHIBITED => "administratively prohibited",
            Status::INSUFFICIENT_RESOURCES => "insufficient resources",
            Status::HOME_REGISTRATION_NOT_SUPPORTED => "home registration not supported",
            Status::NOT_HOME_SUBNET => "not home subnet",
            Status::NOT_HOME_AGENT => "not home agent for this mobile node",
            Status::DUPLICATE_ADDRESS => "duplicate address detection failed",
            Status::SEQUENCE_OUT_OF_WINDOW => "sequence number out of window",
            Status::EXPIRED_HOME_NONCE => "expired home nonce index",
            Status::EXPIRED_CARE_OF_NONCE => "expired care-of nonce index",
            Status::EXPIRED_NONCES => "expired nonces",
            Status::REGISTRATION_TYPE_CHANGE => "registration type change disallowed",
            Status::MOBILE_ROUTER_NOT_PERMITTED => "mobile router operation not permitted",
            Status::INVALID_PREFIX => "invalid prefix",
            Status::NOT_AUTHORIZED_FOR_PREFIX => "not authorized for prefix",
            Status::FORWARDING_SETUP_FAILED => "forwarding setup failed",
            Status::ID_MISMATCH => "timestamp mismatch",
            Status::MESSAGE_ID_REQUIRED => "timestamp required",
            Status::AUTHENTICATION_FAILED => "authentication failed",
            Status::GRE_KEY_REQUIRED => "GRE key required",
            Status::INVALID_CARE_OF_ADDRESS => "invalid care-of address",
            _ => "not named",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Status of a Binding Error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BindingErrorStatus(pub u8);

impl BindingErrorStatus {
    /// No binding for the Home Address option of a packet.
    pub const UNKNOWN_BINDING: Self = Self(1);
    /// An MH Type that is not known.
    pub const UNRECOGNIZED_TYPE: Self = Self(2);
}
