//! A line of a state file.

use ::mma::auth::ReplayFloor;
use core::net::Ipv6Addr;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A home address and a correspondent.
pub(super) type Pair = (Ipv6Addr, Ipv6Addr);

/// One fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Record {
    /// What was accepted last of a home address.
    Floor(Ipv6Addr, ReplayFloor),
    /// Nothing is remembered of it any more.
    NoFloor(Ipv6Addr),
    /// A terminal may have used the numbers up to this one with a peer.
    Sequence(Ipv6Addr, u16),
    /// The terminal has no use for this peer any more.
    NoSequence(Ipv6Addr),
    /// An agent may have used the numbers up to this one with a preconfigured key.
    KeySequence(Pair, u16),
    /// No key is shared by these two any more.
    NoKeySequence(Pair),
    /// The last timestamp that a terminal used.
    Timestamp(u64),
    /// Whether the home agent may have a binding.
    HomeBinding(bool),
    /// The home agent that the terminal has found.
    HomeAgent(Ipv6Addr),
    /// It knows none that it has found.
    NoHomeAgent,
}

impl Record {
    /// As text, without checksum and end of line.
    fn words(&self) -> String {
        match self {
            Record::Floor(home_address, ReplayFloor { sequence, message_id: None }) => {
                format!("floor {home_address} {sequence}")
            }
            Record::Floor(home_address, ReplayFloor { sequence, message_id: Some(timestamp) }) => {
                format!("floor {home_address} {sequence} {timestamp}")
            }
            Record::NoFloor(home_address) => format!("no-floor {home_address}"),
            Record::Sequence(peer, sequence) => format!("sequence {peer} {sequence}"),
            Record::NoSequence(peer) => format!("no-sequence {peer}"),
            Record::KeySequence((home_address, correspondent), sequence) => {
                format!("key-sequence {home_address} {correspondent} {sequence}")
            }
            Record::NoKeySequence((home_address, correspondent)) => {
                format!("no-key-sequence {home_address} {correspondent}")
            }
            Record::Timestamp(timestamp) => format!("timestamp {timestamp}"),
            Record::HomeBinding(true) => "home-binding yes".into(),
            Record::HomeBinding(false) => "home-binding no".into(),
            Record::HomeAgent(agent) => format!("home-agent {agent}"),
            Record::NoHomeAgent => "no-home-agent".into(),
        }
    }

    pub(super) fn parse(words: &str) -> Option<Self> {
        let words: Vec<&str> = words.split(' ').collect();
        Some(match words[..] {
            ["floor", home_address, sequence] => {
                let sequence = sequence.parse().ok()?;
                Record::Floor(home_address.parse().ok()?, ReplayFloor { sequence, message_id: None })
            }
            ["floor", home_address, sequence, timestamp] => {
                let (sequence, message_id) = (sequence.parse().ok()?, Some(timestamp.parse().ok()?));
                Record::Floor(home_address.parse().ok()?, ReplayFloor { sequence, message_id })
            }
            ["no-floor", home_address] => Record::NoFloor(home_address.parse().ok()?),
            ["sequence", peer, sequence] => Record::Sequence(peer.parse().ok()?, sequence.parse().ok()?),
            ["no-sequence", peer] => Record::NoSequence(peer.parse().ok()?),
            ["key-sequence", home_address, correspondent, sequence] => {
                let pair = (home_address.parse().ok()?, correspondent.parse().ok()?);
                Record::KeySequence(pair, sequence.parse().ok()?)
            }
            ["no-key-sequence", home_address, correspondent] => {
                Record::NoKeySequence((home_address.parse().ok()?, correspondent.parse().ok()?))
            }
            ["timestamp", timestamp] => Record::Timestamp(timestamp.parse().ok()?),
            ["home-binding", "yes"] => Record::HomeBinding(true),
            ["home-binding", "no"] => Record::HomeBinding(false),
            ["home-agent", agent] => Record::HomeAgent(agent.parse().ok()?),
            ["no-home-agent"] => Record::NoHomeAgent,
            _ => return None,
        })
    }
}

/// Appends a line with its checksum.
pub(super) fn write_line(text: &mut String, words: &str) {
    let _ = writeln!(text, "{words} *{:08x}", checksum(words));
}

pub(super) fn write_record(text: &mut String, record: &Record) {
    write_line(text, &record.words());
}

/// A line without its end, if its checksum holds.
pub(super) fn read_line(line: &str) -> Option<&str> {
    let (words, sum) = line.rsplit_once(" *")?;
    (u32::from_str_radix(sum, 16).ok()? == checksum(words)).then_some(words)
}

/// FNV-1a, 32 bits: finds what a disk or an editor did, not an attacker.
fn checksum(words: &str) -> u32 {
    words.bytes().fold(0x811c_9dc5, |sum, octet| (sum ^ u32::from(octet)).wrapping_mul(0x0100_0193))
}

/// What the records of a file come to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Image {
    pub(super) floors: BTreeMap<Ipv6Addr, ReplayFloor>,
    pub(super) sequences: BTreeMap<Ipv6Addr, u16>,
    pub(super) key_sequences: BTreeMap<Pair, u16>,
    pub(super) timestamp: Option<u64>,
    pub(super) has_home_binding: bool,
    pub(super) home_agent: Option<Ipv6Addr>,
}

impl Image {
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Floor(home_address, floor) => drop(self.floors.insert(home_address, floor)),
            Record::NoFloor(home_address) => drop(self.floors.remove(&home_address)),
            Record::Sequence(peer, sequence) => drop(self.sequences.insert(peer, sequence)),
            Record::NoSequence(peer) => drop(self.sequences.remove(&peer)),
            Record::KeySequence(pair, sequence) => drop(self.key_sequences.insert(pair, sequence)),
            Record::NoKeySequence(pair) => drop(self.key_sequences.remove(&pair)),
            Record::Timestamp(timestamp) => self.timestamp = Some(timestamp),
            Record::HomeBinding(has) => self.has_home_binding = has,
            Record::HomeAgent(agent) => self.home_agent = Some(agent),
            Record::NoHomeAgent => self.home_agent = None,
        }
    }

    /// The records that make it.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let floors = self.floors.iter().map(|(&home_address, &floor)| Record::Floor(home_address, floor));
        let sequences = self.sequences.iter().map(|(&peer, &sequence)| Record::Sequence(peer, sequence));
        let keys = self.key_sequences.iter().map(|(&pair, &sequence)| Record::KeySequence(pair, sequence));
        let binding = self.has_home_binding.then_some(Record::HomeBinding(true));
        let home = binding.into_iter().chain(self.home_agent.map(Record::HomeAgent));
        floors.chain(sequences).chain(keys).chain(self.timestamp.map(Record::Timestamp)).chain(home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back() {
        let home_address = "2001:db8::55".parse().unwrap();
        for record in [
            Record::Floor(home_address, ReplayFloor { sequence: 65_535, message_id: None }),
            Record::Floor(home_address, ReplayFloor { sequence: 0, message_id: Some(u64::MAX) }),
            Record::NoFloor(home_address),
            Record::Sequence(home_address, 7),
            Record::NoSequence(home_address),
            Record::KeySequence((home_address, "2001:db8::9".parse().unwrap()), 65_535),
            Record::NoKeySequence((home_address, "2001:db8::9".parse().unwrap())),
            Record::Timestamp(1 << 40),
            Record::HomeBinding(true),
            Record::HomeBinding(false),
            Record::HomeAgent(home_address),
            Record::NoHomeAgent,
        ] {
            let mut text = String::new();
            write_record(&mut text, &record);
            let line = text.strip_suffix('\n').unwrap();
            assert_eq!(read_line(line).and_then(Record::parse), Some(record));
            // No octet of it can be another.
            for at in 0..line.len() {
                let mut wrong = line.as_bytes().to_vec();
                wrong[at] ^= 1;
                assert_eq!(std::str::from_utf8(&wrong).ok().and_then(read_line), None, "{line} at {at}");
            }
        }
        for unknown in [
            "",
            "floor",
            "floor 2001:db8::1 65536",
            "floor x 1",
            "home-binding maybe",
            "sequence ::1 -1",
            "key-sequence ::1 7",
        ] {
            assert_eq!(Record::parse(unknown), None, "{unknown}");
        }
    }
}
