//! PIM messages as far as a report needs them (RFC 7761 §4.9): types, and who is asked for which trees.

use crate::wire::error::{WireError, WireErrorKind, address_at, array, octet, slice, u16_at};
use core::fmt;
use core::net::Ipv6Addr;

/// Groups and sources that are read from one message.
pub const MAX_TREES: usize = 1024;

/// Octets of the header that all messages have.
const HEADER_LEN: usize = 4;
/// Address family IPv6 and native encoding.
const IPV6_NATIVE: [u8; 2] = [2, 0];
const TYPE_REGISTER: u8 = 1;

/// A PIM message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Hello (§4.9.2).
    Hello,
    /// Register (§4.9.3).
    Register,
    /// Register-Stop (§4.9.4).
    RegisterStop,
    /// Join/Prune (§4.9.5).
    JoinPrune(JoinPrune),
    /// Bootstrap (RFC 5059).
    Bootstrap,
    /// Assert (§4.9.6).
    Assert,
    /// Candidate-RP-Advertisement (RFC 5059).
    CandidateRp,
    /// A type that is not read.
    Other(u8),
}

/// Who is asked for which trees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinPrune {
    /// The neighbour that is asked.
    pub upstream: Ipv6Addr,
    /// For how long.
    pub holdtime_secs: u16,
    /// Trees that are asked for.
    pub joins: Vec<Tree>,
    /// Trees that are no longer asked for.
    pub prunes: Vec<Tree>,
}

/// A tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tree {
    /// The source, or the rendezvous point of a (*,G).
    pub source: Ipv6Addr,
    /// The group.
    pub group: Ipv6Addr,
    /// The W bit: (*,G).
    pub wildcard: bool,
    /// The R bit: the tree is that of the rendezvous point.
    pub rendezvous: bool,
}

impl Message {
    /// Reads a message without looking at its checksum.
    ///
    /// # Errors
    /// `Truncated`, `Version` for another one than 2, `Value` for another address family than IPv6 or another encoding
    /// than the native one, `Length` for masks longer than 128, `TooMany` beyond [`MAX_TREES`].
    pub fn parse(message: &[u8]) -> Result<Self, WireError> {
        let [first, ..] = array::<HEADER_LEN>(message, 0)?;
        if first >> 4 != 2 {
            return Err(WireError::new(WireErrorKind::Version, 0));
        }
        Ok(match first & 0xf {
            0 => Message::Hello,
            TYPE_REGISTER => Message::Register,
            2 => Message::RegisterStop,
            3 => Message::JoinPrune(JoinPrune::parse(message)?),
            4 => Message::Bootstrap,
            5 => Message::Assert,
            8 => Message::CandidateRp,
            other => Message::Other(other),
        })
    }

    /// Octets of a message of `length` that its checksum covers: of a Register, only the first eight (§4.9.3).
    pub fn checksummed(&self, length: usize) -> usize {
        if *self == Message::Register { length.min(8) } else { length }
    }
}

impl JoinPrune {
    fn parse(message: &[u8]) -> Result<Self, WireError> {
        family(message, HEADER_LEN)?;
        let upstream = address_at(message, HEADER_LEN + 2)?;
        let groups = octet(message, HEADER_LEN + 19)?;
        let holdtime_secs = u16_at(message, HEADER_LEN + 20)?;
        let mut parsed = JoinPrune { upstream, holdtime_secs, joins: Vec::new(), prunes: Vec::new() };
        let mut at = HEADER_LEN + 22;
        for _ in 0..groups {
            let (group, _) = encoded(message, at)?;
            let counts = [u16_at(message, at + 20)?, u16_at(message, at + 22)?];
            at += 24;
            for (count, prune) in counts.into_iter().zip([false, true]) {
                for _ in 0..count {
                    if parsed.joins.len() + parsed.prunes.len() == MAX_TREES {
                        return Err(WireError::new(WireErrorKind::TooMany, at));
                    }
                    let (source, flags) = encoded(message, at)?;
                    let tree = Tree { source, group, wildcard: flags & 2 != 0, rendezvous: flags & 1 != 0 };
                    if prune { &mut parsed.prunes } else { &mut parsed.joins }.push(tree);
                    at += 20;
                }
            }
        }
        Ok(parsed)
    }
}

/// An encoded group or source address (§4.9.1) and its flags.
fn encoded(message: &[u8], at: usize) -> Result<(Ipv6Addr, u8), WireError> {
    slice(message, at, 20)?;
    family(message, at)?;
    if octet(message, at + 3)? > 128 {
        return Err(WireError::new(WireErrorKind::Length, at + 3));
    }
    Ok((address_at(message, at + 4)?, octet(message, at + 2)?))
}

fn family(message: &[u8], at: usize) -> Result<(), WireError> {
    if array(message, at)? == IPV6_NATIVE { Ok(()) } else { Err(WireError::new(WireErrorKind::Value, at)) }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::JoinPrune(message) => {
                write!(f, "to {}", message.upstream)?;
                message.joins.iter().try_for_each(|tree| write!(f, " join {tree}"))?;
                message.prunes.iter().try_for_each(|tree| write!(f, " prune {tree}"))
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.wildcard, self.rendezvous) {
            (true, _) => write!(f, "(*, {})", self.group),
            (false, true) => write!(f, "({}, {}, rpt)", self.source, self.group),
            (false, false) => write!(f, "({}, {})", self.source, self.group),
        }
    }
}
