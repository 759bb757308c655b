//! What became of the packets of a flow: lost, duplicated, reordered (RFC 4737 §3), and for how long none came.
//!
//! A [`Flow`] is filled by the programs of [`super::SimHost`], or from the log of real programs; what is computed from
//! it does not depend on where it came from. A packet is known by its sequence number. Only its first copy counts as
//! received; the others are duplicates.

use super::MAX_SAMPLES;
use crate::time::{Duration, Instant};
use std::collections::BTreeSet;

/// A packet at one of the two ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Its sequence number.
    pub sequence: u64,
}

/// The packets of a flow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flow {
    sent: Vec<Sample>,
    received: Vec<Sample>,
    /// Per received packet, when it was sent according to itself; in the order of `received`.
    sent_at: Vec<Option<Instant>>,
    refused: u64,
}

/// What became of the packets of a flow, or of a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Packets sent.
    pub sent: u64,
    /// Of those, packets that arrived at least once.
    pub received: u64,
    /// Of those, packets that never arrived.
    pub lost: u64,
    /// Copies that arrived after the first.
    pub duplicated: u64,
    /// First copies that arrived after one with a higher number.
    pub reordered: u64,
}

/// A time in which nothing arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The last arrival before it.
    pub start: Instant,
    /// The first arrival after it; where none came, the last time at which a packet was sent.
    pub end: Instant,
}

impl Gap {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.end - self.start
    }
}

impl Flow {
    /// A flow of these packets, in any order.
    pub fn new(sent: impl IntoIterator<Item = Sample>, received: impl IntoIterator<Item = Sample>) -> Self {
        let mut flow = Flow::default();
        let mut sent: Vec<Sample> = sent.into_iter().collect();
        let mut received: Vec<Sample> = received.into_iter().collect();
        // Stable: packets of one instant stay in the order in which they were seen.
        sent.sort_by_key(|sample| sample.at);
        received.sort_by_key(|sample| sample.at);
        sent.iter().for_each(|sample| flow.sent(sample.sequence, sample.at));
        received.iter().for_each(|sample| flow.received(sample.sequence, sample.at));
        flow
    }

    /// Records a packet that was sent. Time does not go back between calls.
    pub fn sent(&mut self, sequence: u64, at: Instant) {
        if self.sent.len() < MAX_SAMPLES {
            self.sent.push(Sample { at, sequence });
        } else {
            self.refused += 1;
        }
    }

    /// Records a packet that arrived. Time does not go back between calls.
    pub fn received(&mut self, sequence: u64, at: Instant) {
        self.record(sequence, None, at);
    }

    /// Records a packet that arrived and says when it was sent.
    pub fn received_sent_at(&mut self, sequence: u64, sent_at: Instant, at: Instant) {
        self.record(sequence, Some(sent_at), at);
    }

    /// The flow of what one end sent and the other received.
    pub fn join(sender: &Flow, receiver: &Flow) -> Flow {
        Flow {
            sent: sender.sent.clone(),
            received: receiver.received.clone(),
            sent_at: receiver.sent_at.clone(),
            refused: sender.refused + receiver.refused,
        }
    }

    /// The packets sent, in order.
    pub fn all_sent(&self) -> &[Sample] {
        &self.sent
    }

    /// The packets that arrived, copies included, in order.
    pub fn all_received(&self) -> &[Sample] {
        &self.received
    }

    /// Packets that were not recorded for want of room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// One-way delays of the packets that said when they were sent, in the order of their arrival.
    pub fn delays(&self) -> impl Iterator<Item = Duration> {
        self.received.iter().zip(&self.sent_at).filter_map(|(sample, sent_at)| Some(sample.at - (*sent_at)?))
    }

    /// What became of all packets.
    pub fn summary(&self) -> Summary {
        self.summary_of(|_| true)
    }

    /// What became of the packets sent at `from` or later and before `until`.
    pub fn summary_between(&self, from: Instant, until: Instant) -> Summary {
        let sent = self.sent.iter().filter(|sample| from <= sample.at && sample.at < until);
        let chosen: BTreeSet<u64> = sent.map(|sample| sample.sequence).collect();
        self.summary_of(|sequence| chosen.contains(&sequence))
    }

    fn summary_of(&self, chosen: impl Fn(u64) -> bool) -> Summary {
        let sent: BTreeSet<u64> = self.sent.iter().map(|sample| sample.sequence).filter(|&s| chosen(s)).collect();
        let mut summary = Summary { sent: sent.len() as u64, ..Summary::default() };
        let mut seen = BTreeSet::new();
        let mut highest = None;
        for sequence in self.received.iter().map(|sample| sample.sequence) {
            let first = seen.insert(sequence);
            let late = highest > Some(sequence);
            highest = highest.max(Some(sequence));
            if !sent.contains(&sequence) {
                continue;
            }
            summary.received += u64::from(first);
            summary.duplicated += u64::from(!first);
            summary.reordered += u64::from(first && late);
        }
        summary.lost = summary.sent - summary.received;
        summary
    }

    /// The longest time without an arrival that has a part in the time from `from` to `from + window`. Before the first
    /// arrival of the flow nothing is expected. `None` where no such time is.
    pub fn longest_gap(&self, from: Instant, window: Duration) -> Option<Gap> {
        let until = from + window;
        let mut seen = BTreeSet::new();
        let arrivals = self.received.iter().filter(|sample| seen.insert(sample.sequence)).map(|sample| sample.at);
        let arrivals: Vec<Instant> = arrivals.collect();
        let last_sent = self.sent.last().map(|sample| sample.at);
        let ends = arrivals.iter().copied().skip(1).chain(last_sent);
        let gaps = arrivals.iter().zip(ends).map(|(&start, end)| Gap { start, end });
        let overlapping = gaps.filter(|gap| gap.start < gap.end && gap.start <= until && from <= gap.end);
        // The first of the longest.
        overlapping.reduce(|best, gap| if gap.length() > best.length() { gap } else { best })
    }

    /// How long a flow that has a packet every `interval` was interrupted by what happened at `at`, looked for until
    /// `window` later: the longest gap without the interval that is always there.
    pub fn interruption(&self, at: Instant, window: Duration, interval: Duration) -> Duration {
        self.longest_gap(at, window).map_or(Duration::ZERO, |gap| gap.length().saturating_sub(interval))
    }

    fn record(&mut self, sequence: u64, sent_at: Option<Instant>, at: Instant) {
        if self.received.len() < MAX_SAMPLES {
            self.received.push(Sample { at, sequence });
            self.sent_at.push(sent_at);
        } else {
            self.refused += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn samples(of: &[(u64, u64)]) -> Vec<Sample> {
        of.iter().map(|&(sequence, millis)| Sample { at: at(millis), sequence }).collect()
    }

    /// A packet every 10 ms from 0; these arrive, 1 ms later unless said otherwise.
    fn flow(count: u64, received: &[(u64, u64)]) -> Flow {
        let sent: Vec<(u64, u64)> = (0..count).map(|sequence| (sequence, sequence * 10)).collect();
        Flow::new(samples(&sent), samples(received))
    }

    #[test]
    fn counts_what_became_of_packets() {
        let flow = flow(6, &[(0, 1), (2, 21), (1, 22), (2, 23), (4, 41), (9, 42)]);
        let expected = Summary { sent: 6, received: 4, lost: 2, duplicated: 1, reordered: 1 };
        assert_eq!(flow.summary(), expected);
        let expected = Summary { sent: 2, received: 2, lost: 0, duplicated: 1, reordered: 1 };
        assert_eq!(flow.summary_between(at(10), at(30)), expected);
        assert_eq!(flow.summary_between(at(60), at(99)), Summary::default());
    }

    #[test]
    fn a_late_copy_is_a_duplicate_and_not_reordered() {
        assert_eq!(flow(3, &[(0, 1), (1, 11), (0, 12), (2, 21)]).summary().reordered, 0);
    }

    #[test]
    fn interruption_is_the_longest_gap_without_the_interval() {
        let arrivals: Vec<(u64, u64)> =
            (0..10).filter(|s| !(4..7).contains(s)).map(|sequence| (sequence, sequence * 10 + 1)).collect();
        let flow = flow(10, &arrivals);
        let (window, interval) = (Duration::from_millis(20), Duration::from_millis(10));
        // 31 to 71 ms.
        assert_eq!(flow.longest_gap(at(35), window).unwrap().length(), Duration::from_millis(40));
        assert_eq!(flow.interruption(at(35), window, interval), Duration::from_millis(30));
        // The gap began in the window, or before it.
        assert_eq!(flow.interruption(at(15), window, interval), Duration::from_millis(30));
        assert_eq!(flow.interruption(at(70), window, interval), Duration::from_millis(30));
        // Another part of the flow was not interrupted.
        assert_eq!(flow.interruption(at(0), window, interval), Duration::ZERO);
        assert_eq!(flow.interruption(at(75), window, interval), Duration::ZERO);
    }

    #[test]
    fn a_flow_that_never_comes_back_is_interrupted_until_its_end() {
        let flow = flow(10, &[(0, 1), (1, 11)]);
        let gap = flow.longest_gap(at(20), Duration::from_millis(5)).unwrap();
        assert_eq!((gap.start, gap.end), (at(11), at(90)));
        assert_eq!(self::flow(10, &[]).longest_gap(at(20), Duration::from_secs(1)), None);
    }

    #[test]
    fn copies_do_not_end_a_gap() {
        let flow = flow(5, &[(0, 1), (0, 15), (0, 25), (4, 41)]);
        assert_eq!(flow.interruption(at(5), Duration::from_millis(10), Duration::from_millis(10)).as_millis(), 30);
    }

    #[test]
    fn knows_delays() {
        let mut flow = Flow::default();
        flow.received_sent_at(0, at(5), at(7));
        flow.received(1, at(8));
        assert_eq!(flow.delays().collect::<Vec<_>>(), [Duration::from_millis(2)]);
    }
}
