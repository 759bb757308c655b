//! What came out against what had to come out, octet by octet.

use super::octets;
use super::oracle::Frame;
use core::net::Ipv6Addr;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Flow labels that are remembered at the most.
const FLOWS: usize = 50_000;

/// What the data plane has chosen so far.
#[derive(Default)]
pub(crate) struct Chosen {
    /// The flow label of each flow in a tunnel: the same for all its packets (RFC 6438 §3).
    labels: HashMap<(Ipv6Addr, Ipv6Addr, u32), u32>,
}

/// What was learnt from frames that match.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    /// ICMPv6 errors.
    pub(crate) errors: u64,
    /// The sequence number of each packet that has one, by the terminal and the packet.
    pub(crate) sequences: BTreeMap<(Ipv6Addr, u64), u32>,
}

/// What few frames of a batch have in common: the port, the length and the last octet, which is always data.
fn fingerprint(port: u8, octets: &[u8]) -> (u8, usize, Option<u8>) {
    (port, octets.len(), octets.last().copied())
}

impl Chosen {
    /// Matches what came out of the ports with what had to; answers what was learnt, or what is wrong. Errors may be
    /// missing where `may_lack` says so.
    pub(crate) fn compare(
        &mut self,
        expected: &[Frame],
        sent: &[(u8, Vec<u8>)],
        may_lack_errors: bool,
    ) -> Result<Seen, String> {
        let mut open: HashMap<_, Vec<&Frame>> = HashMap::new();
        for frame in expected.iter().rev() {
            open.entry(fingerprint(frame.port, &frame.octets)).or_default().push(frame);
        }
        let mut seen = Seen::default();
        let mut trains = BTreeMap::new();
        let mut fragments: BTreeMap<u64, u32> = BTreeMap::new();
        for (port, octets) in sent {
            let like = open.get_mut(&fingerprint(*port, octets));
            let found = like.and_then(|like| {
                let place = like.iter().rposition(|frame| masked(frame, octets) == frame.octets)?;
                Some(like.remove(place))
            });
            let Some(frame) = found else {
                return Err(unexpected(expected, *port, octets));
            };
            self.check_labels(frame, octets)?;
            if let Some(sequence) = frame.marks.sequence {
                let number = word(octets, octets.len() - sequence.from_end);
                let before = seen.sequences.insert((sequence.home_address, sequence.ticket), number);
                if before.is_some_and(|before| before != number) {
                    return Err(format!("branches of one packet have the numbers {before:?} and {number}"));
                }
            }
            if let Some(group) = frame.marks.fragment {
                let number = word(octets, fragment_header(octets) + 4);
                if fragments.insert(group, number).is_some_and(|before| before != number) {
                    return Err("fragments of one packet have several identifications".into());
                }
            }
            seen.errors += u64::from(frame.marks.is_error);
            if let (Some(train), None, false) = (frame.marks.train, frame.marks.fragment, frame.marks.is_error)
                && let Some(before) = trains.insert((*port, train, frame.marks.is_registered), frame.marks.serial)
                && before > frame.marks.serial
            {
                return Err(format!("packet {} of a row overtook packet {before}", frame.marks.serial));
            }
        }
        if fragments.values().collect::<BTreeSet<_>>().len() != fragments.len() {
            return Err("fragments of several packets have one identification".into());
        }
        match open.into_values().flatten().find(|frame| !(may_lack_errors && frame.marks.is_error)) {
            Some(missing) => Err(format!(
                "port {} lacks a frame that came of packet {}:\n{}",
                missing.port,
                missing.marks.serial,
                dump(&missing.octets)
            )),
            None => Ok(seen),
        }
    }

    /// The labels of tunnels: never zero, and one a flow.
    fn check_labels(&mut self, frame: &Frame, octets: &[u8]) -> Result<(), String> {
        if self.labels.len() > FLOWS {
            self.labels.clear();
        }
        for &(outer, inner) in &frame.marks.labels {
            let label = octets::label(&octets[octets.len() - outer..]);
            if label == 0 {
                return Err(format!("a tunnel without a flow label:\n{}", dump(octets)));
            }
            if inner > 0 && frame.marks.fragment.is_none() {
                let inner = &octets[octets.len() - inner..];
                let flow = (octets::source(inner), octets::destination(inner), octets::label(inner));
                let before = *self.labels.entry(flow).or_insert(label);
                if before != label {
                    return Err(format!("one flow has the labels {before:#x} and {label:#x}"));
                }
            }
        }
        Ok(())
    }

    /// Flow labels that differ, and the flows that have them.
    pub(crate) fn spread(&self) -> (usize, usize) {
        (self.labels.values().collect::<BTreeSet<_>>().len(), self.labels.len())
    }
}

fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets[at..at + 4].try_into().expect("four octets"))
}

/// Where the Fragment header of a frame stands.
fn fragment_header(octets: &[u8]) -> usize {
    let (mut kind, mut at) = (octets[14 + 6], 14 + octets::HEADER);
    while kind != octets::next::FRAGMENT {
        (kind, at) = (octets[at], at + 8 + 8 * usize::from(octets[at + 1]));
    }
    at
}

/// The frame without what the data plane chose.
fn masked(expected: &Frame, octets: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    let length = octets.len();
    for &(outer, _) in &expected.marks.labels {
        let at = length - outer;
        octets[at + 1] &= 0xf0;
        octets[at + 2..at + 4].fill(0);
    }
    if let Some(sequence) = expected.marks.sequence {
        octets[length - sequence.from_end..][..4].fill(0);
    }
    if expected.marks.fragment.is_some() {
        let at = fragment_header(&expected.octets);
        octets[at + 4..at + 8].fill(0);
    }
    octets
}

fn unexpected(expected: &[Frame], port: u8, octets: &[u8]) -> String {
    let near = expected.iter().max_by_key(|frame| {
        let alike = frame.octets.iter().rev().zip(octets.iter().rev()).take_while(|(a, b)| a == b).count();
        (alike, frame.port == port)
    });
    let near = near.map_or("nothing".into(), |frame| {
        let is_like = octets.len() == frame.octets.len() && masked(frame, octets) == frame.octets;
        let came = if is_like { "which came already" } else { "which is not like it" };
        let (port, length, marks) = (frame.port, frame.octets.len(), &frame.marks);
        format!("port {port}, {length} octets, {came}, {marks:?}:\n{}", dump(&frame.octets))
    });
    format!("port {port} sent {} octets that nobody expected:\n{}the nearest is {near}", octets.len(), dump(octets))
}

pub(crate) fn dump(octets: &[u8]) -> String {
    let shown = &octets[..octets.len().min(14 + 160)];
    let (ethernet, packet) = shown.split_at(shown.len().min(14));
    let line = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(" ");
    let lines = core::iter::once(ethernet).chain(packet.chunks(16)).map(|octets| format!("  {}\n", line(octets)));
    lines.collect()
}
