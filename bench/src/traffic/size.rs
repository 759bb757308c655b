//! Sizes of packets: one for all, or a mix.
//!
//! The mix is the "simple IMIX" of 7 small, 4 middle and 1 large packets, in an order of its own that is always the same,
//! as RFC 6985 asks for. On Ethernet with its checksum the two larger packets make frames of 594 and 1518 octets; the
//! smallest frame, of 64, has no room for IPv6, UDP and what the packets carry, so that the small packet is 64 octets
//! itself.

use std::fmt;
use std::str::FromStr;

/// Octets of the packets of the mix.
const MIX_OCTETS: [u16; 3] = [64, 576, 1500];
/// Which one is next; any 32 in a row, a usual batch, have 18 or 19 small ones, 10 or 11 middle ones, 2 or 3 large ones.
const MIX_ORDER: [usize; 12] = [0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 0, 1];

/// The smallest and the largest packet.
const MIN: u16 = 64;
const MAX: u16 = 1500;

/// What `--octets` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    /// All packets have so many octets.
    Fixed(u16),
    /// The mix.
    Imix,
}

impl Size {
    /// The sizes that occur, in octets of the innermost IPv6 packet.
    pub(crate) fn octets(&self) -> &[u16] {
        match self {
            Size::Fixed(octets) => core::slice::from_ref(octets),
            Size::Imix => &MIX_OCTETS,
        }
    }

    /// Which of them packet `number` has.
    pub(crate) fn of_packet(self, number: u64) -> usize {
        match self {
            Size::Fixed(_) => 0,
            Size::Imix => MIX_ORDER[(number % MIX_ORDER.len() as u64) as usize],
        }
    }

    /// The mean.
    pub(crate) fn mean_octets(self) -> f64 {
        match self {
            Size::Fixed(octets) => octets.into(),
            Size::Imix => {
                let sum: u32 = MIX_ORDER.iter().map(|&which| u32::from(MIX_OCTETS[which])).sum();
                f64::from(sum) / MIX_ORDER.len() as f64
            }
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Fixed(octets) => octets.fmt(f),
            Size::Imix => "imix".fmt(f),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "imix" => Ok(Size::Imix),
            Ok(octets) if (MIN..=MAX).contains(&octets) => Ok(Size::Fixed(octets)),
            _ => Err(format!("a size is imix or from {MIN} to {MAX} octets")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_seven_four_and_one() {
        for start in [0, 5, 1 << 40] {
            let mut counts = [0; 3];
            (start..start + 12).for_each(|number| counts[Size::Imix.of_packet(number)] += 1);
            assert_eq!(counts, [7, 4, 1]);
        }
        assert_eq!(Size::Imix.octets().iter().map(|octets| octets + 18).collect::<Vec<_>>(), [82, 594, 1518]);
        assert_eq!(Size::Imix.mean_octets().round(), 354.0);
    }

    #[test]
    fn batches_of_the_mix_are_alike() {
        for start in 0..12 {
            let mut counts = [0; 3];
            (start..start + 32).for_each(|number| counts[Size::Imix.of_packet(number)] += 1);
            assert!(matches!(counts, [18 | 19, 10 | 11, 2 | 3]), "{counts:?}");
        }
    }

    #[test]
    fn sizes_are_read_and_written_alike() {
        for text in ["64", "1500", "imix"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["63", "1501", "mix", "", "-64", "70000"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert_eq!((Size::Fixed(100).of_packet(7), Size::Fixed(100).octets()), (0, &[100][..]));
    }
}
