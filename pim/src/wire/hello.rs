//! The Hello message (RFC 7761 §4.9.2): options only.
//!
//! ```text
//! | type (2) | length (2) | value (length) | ...
//! ```

use super::address::EncodedUnicast;
use core::net::Ipv6Addr;
use stack::wire::error::{WireError, WireErrorKind, slice, u16_at, u32_at};

/// A holdtime that never runs out.
pub const HOLDTIME_FOREVER: u16 = 0xffff;
/// More secondary addresses than this in one Hello make it hostile.
pub const MAX_SECONDARY_ADDRESSES: usize = 128;

mod option {
    pub(super) const HOLDTIME: u16 = 1;
    pub(super) const LAN_PRUNE_DELAY: u16 = 2;
    pub(super) const DR_PRIORITY: u16 = 19;
    pub(super) const GENERATION_ID: u16 = 20;
    pub(super) const ADDRESS_LIST: u16 = 24;
}

/// The LAN Prune Delay option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LanPruneDelay {
    /// The T bit: the sender can do without join suppression.
    pub tracking_support: bool,
    /// Propagation_Delay in milliseconds, 15 bits.
    pub propagation_delay_ms: u16,
    /// Override_Interval in milliseconds.
    pub override_interval_ms: u16,
}

/// A Hello message. An option that is absent is `None`; of an option that stands twice the last counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hello {
    /// Seconds for which the sender stays a neighbour; 0 is goodbye, [`HOLDTIME_FOREVER`] is for ever.
    pub holdtime: Option<u16>,
    /// What it wants of prunes.
    pub lan_prune_delay: Option<LanPruneDelay>,
    /// Its priority in the election of the designated router.
    pub dr_priority: Option<u32>,
    /// Changes when it starts anew.
    pub generation_id: Option<u32>,
    /// Its other addresses on the link; empty where it has none.
    pub addresses: Vec<Ipv6Addr>,
}

impl Hello {
    /// Reads the body of a message, behind the PIM header.
    ///
    /// # Errors
    /// `Truncated` for an option that does not fit, `Length` for a known option of a wrong length, `Value` for an
    /// address list that is not of IPv6, `TooMany` beyond [`MAX_SECONDARY_ADDRESSES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut hello = Hello::default();
        let mut at = 0;
        while at < bytes.len() {
            let (kind, length) = (u16_at(bytes, at)?, usize::from(u16_at(bytes, at + 2)?));
            let value_at = at + 4;
            let value = slice(bytes, value_at, length)?;
            let expect = |expected: usize| {
                if length == expected { Ok(()) } else { Err(WireError::new(WireErrorKind::Length, at + 2)) }
            };
            match kind {
                option::HOLDTIME => {
                    expect(2)?;
                    hello.holdtime = Some(u16_at(value, 0)?);
                }
                option::LAN_PRUNE_DELAY => {
                    expect(4)?;
                    let first = u16_at(value, 0)?;
                    hello.lan_prune_delay = Some(LanPruneDelay {
                        tracking_support: first & 0x8000 != 0,
                        propagation_delay_ms: first & 0x7fff,
                        override_interval_ms: u16_at(value, 2)?,
                    });
                }
                option::DR_PRIORITY => {
                    expect(4)?;
                    hello.dr_priority = Some(u32_at(value, 0)?);
                }
                option::GENERATION_ID => {
                    expect(4)?;
                    hello.generation_id = Some(u32_at(value, 0)?);
                }
                option::ADDRESS_LIST => {
                    if length % EncodedUnicast::LEN != 0 {
                        return Err(WireError::new(WireErrorKind::Length, at + 2));
                    }
                    if length / EncodedUnicast::LEN > MAX_SECONDARY_ADDRESSES {
                        return Err(WireError::new(WireErrorKind::TooMany, at + 2));
                    }
                    hello.addresses = (0..length)
                        .step_by(EncodedUnicast::LEN)
                        .map(|offset| EncodedUnicast::parse(value, offset).map(|a| a.0))
                        .collect::<Result<_, _>>()
                        .map_err(|error| error.shift(value_at))?;
                }
                _ => {}
            }
            at = value_at + length;
        }
        Ok(hello)
    }

    /// Appends the body of the message.
    ///
    /// # Panics
    /// With more than [`MAX_SECONDARY_ADDRESSES`] addresses: the caller configured them.
    pub fn emit(&self, into: &mut Vec<u8>) {
        assert!(self.addresses.len() <= MAX_SECONDARY_ADDRESSES, "the address list fits the option");
        let mut option = |kind: u16, length: usize, value: &dyn Fn(&mut Vec<u8>)| {
            into.extend_from_slice(&kind.to_be_bytes());
            into.extend_from_slice(&(length as u16).to_be_bytes());
            value(into);
        };
        if let Some(holdtime) = self.holdtime {
            option(option::HOLDTIME, 2, &|into| into.extend_from_slice(&holdtime.to_be_bytes()));
        }
        if let Some(delay) = self.lan_prune_delay {
            option(option::LAN_PRUNE_DELAY, 4, &|into| {
                let first = delay.propagation_delay_ms & 0x7fff | u16::from(delay.tracking_support) << 15;
                into.extend_from_slice(&first.to_be_bytes());
                into.extend_from_slice(&delay.override_interval_ms.to_be_bytes());
            });
        }
        if let Some(priority) = self.dr_priority {
            option(option::DR_PRIORITY, 4, &|into| into.extend_from_slice(&priority.to_be_bytes()));
        }
        if let Some(id) = self.generation_id {
            option(option::GENERATION_ID, 4, &|into| into.extend_from_slice(&id.to_be_bytes()));
        }
        if !self.addresses.is_empty() {
            option(option::ADDRESS_LIST, EncodedUnicast::LEN * self.addresses.len(), &|into| {
                for &address in &self.addresses {
                    EncodedUnicast(address).emit(into);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole() -> Hello {
        Hello {
            holdtime: Some(105),
            lan_prune_delay: Some(LanPruneDelay {
                tracking_support: true,
                propagation_delay_ms: 500,
                override_interval_ms: 2500,
            }),
            dr_priority: Some(1),
            generation_id: Some(0x1234_5678),
            addresses: vec!["2001:db8::1".parse().unwrap()],
        }
    }

    #[test]
    fn vector() {
        #[rustfmt::skip]
        let expected = [
            0, 1, 0, 2, 0, 105,
            0, 2, 0, 4, 0x81, 0xf4, 0x09, 0xc4,
            0, 19, 0, 4, 0, 0, 0, 1,
            0, 20, 0, 4, 0x12, 0x34, 0x56, 0x78,
            0, 24, 0, 18, 2, 0, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        ];
        let mut emitted = Vec::new();
        whole().emit(&mut emitted);
        assert_eq!(emitted, expected);
        assert_eq!(Hello::parse(&expected), Ok(whole()));
    }

    #[test]
    fn unknown_options_are_skipped() {
        let bytes = [0, 18, 0, 1, 9, 0xfd, 0xe9, 0, 0, 0, 1, 0, 2, 0, 7];
        assert_eq!(Hello::parse(&bytes), Ok(Hello { holdtime: Some(7), ..Hello::default() }));
    }

    #[test]
    fn every_cut_is_refused_or_shorter() {
        let mut bytes = Vec::new();
        whole().emit(&mut bytes);
        let ends = [0, 6, 14, 22, 30, 52];
        for cut in 0..=bytes.len() {
            assert_eq!(Hello::parse(&bytes[..cut]).is_ok(), ends.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for kind in [1u8, 2, 19, 20, 24] {
            for length in 0..40u8 {
                let mut bytes = vec![0, kind, 0, length];
                bytes.extend(core::iter::repeat_n([2, 0], usize::from(length)).flatten().take(usize::from(length)));
                let right = match kind {
                    1 => length == 2,
                    24 => length % 18 == 0,
                    _ => length == 4,
                };
                assert_eq!(Hello::parse(&bytes).is_ok(), right, "option {kind} of length {length}");
            }
        }
        let length = (MAX_SECONDARY_ADDRESSES + 1) * 18;
        let mut bytes = vec![0, 24, (length >> 8) as u8, length as u8];
        bytes.resize(4 + length, 0);
        assert_eq!(Hello::parse(&bytes).unwrap_err().kind, WireErrorKind::TooMany);
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Hello::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(
            holdtime in any::<Option<u16>>(),
            delay in any::<Option<(bool, u16, u16)>>(),
            dr_priority in any::<Option<u32>>(),
            generation_id in any::<Option<u32>>(),
            addresses in proptest::collection::vec(any::<u128>().prop_map(Ipv6Addr::from), 0..MAX_SECONDARY_ADDRESSES),
        ) {
            let lan_prune_delay = delay.map(|(tracking_support, p, override_interval_ms)| LanPruneDelay {
                tracking_support, propagation_delay_ms: p & 0x7fff, override_interval_ms,
            });
            let hello = Hello { holdtime, lan_prune_delay, dr_priority, generation_id, addresses };
            let mut bytes = Vec::new();
            hello.emit(&mut bytes);
            prop_assert_eq!(Hello::parse(&bytes), Ok(hello));
        }
    }
}
