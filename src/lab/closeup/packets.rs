//! What became of each packet of a flow: around a movement one by one, over the whole run in parts.

use super::offset_us;
use core::ops::Range;
use stack::host::Flow;
use stack::time::{Duration, Instant};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// What is shown before a movement and after the last of what it cost, and packets at the least.
const MARGIN: Duration = Duration::from_millis(60);
const MARGIN_PACKETS: u32 = 8;
/// Windows end at multiples of this, so that those of several modes are alike.
const GRAIN: Duration = Duration::from_millis(50);
/// What a movement cost is looked for so long.
const MAX_AFTER: Duration = Duration::from_secs(2);
/// Packets of a window at the most.
pub(crate) const MAX_PACKETS: usize = 2000;
/// Copies of a packet after the first that are told; more are not counted either.
const MAX_COPIES: usize = 8;
/// Parts of a run.
pub(crate) const PARTS: usize = 400;

/// What became of every packet of a flow.
pub(super) struct Fates {
    /// In the order in which they were sent.
    sent: Vec<Fate>,
    /// When a packet came that had not come before, in order.
    arrivals: Vec<Instant>,
}

struct Fate {
    at: Instant,
    /// Where it arrived.
    arrived: Option<Arrived>,
}

struct Arrived {
    first: Instant,
    copies: Vec<Instant>,
    late: bool,
}

/// The packets of a flow around a movement.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Window {
    /// The flow.
    pub(crate) flow: String,
    /// The time that is shown, microseconds after the movement.
    pub(crate) from_us: i64,
    /// Its end.
    pub(crate) until_us: i64,
    /// The packets that were sent in it.
    pub(crate) packets: Vec<Packet>,
    /// The longest time without an arrival, where the report tells of one.
    pub(crate) silence_us: Option<(i64, i64)>,
    /// Packets of the movement's time that were sent after the window and were not delivered once and in order.
    pub(crate) elsewhere: u64,
}

/// A packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    /// When it was sent, microseconds after the movement.
    pub(crate) sent_us: i64,
    /// How long each of its copies was under way, microseconds; none where it was lost.
    pub(crate) delays_us: Vec<u64>,
    /// Whether one that was sent later arrived earlier.
    pub(crate) late: bool,
}

/// A flow over the whole run.
pub(crate) struct Stripe {
    /// Its name.
    pub(crate) flow: String,
    /// Whom it goes to.
    pub(crate) towards: String,
    /// Equal parts of the run, [`PARTS`] of them.
    pub(crate) parts: Vec<Part>,
}

/// A part of a run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Part {
    /// Packets sent in it.
    pub(crate) sent: u64,
    /// Of these, lost.
    pub(crate) lost: u64,
    /// Copies beyond the first.
    pub(crate) duplicated: u64,
    /// Those that a later one overtook.
    pub(crate) late: u64,
}

impl Fates {
    /// Of the packets of this flow; as the report's summary counts them.
    pub(super) fn of(flow: &Flow) -> Self {
        let mut arrived = BTreeMap::<u64, Arrived>::new();
        let mut arrivals = Vec::new();
        let mut highest = None;
        for got in flow.all_received() {
            match arrived.entry(got.sequence) {
                Entry::Vacant(vacant) => {
                    let late = highest > Some(got.sequence);
                    vacant.insert(Arrived { first: got.at, copies: Vec::new(), late });
                    arrivals.push(got.at);
                }
                Entry::Occupied(mut known) if known.get().copies.len() < MAX_COPIES => {
                    known.get_mut().copies.push(got.at);
                }
                Entry::Occupied(_) => {}
            }
            highest = highest.max(Some(got.sequence));
        }
        let mut seen = BTreeSet::new();
        let sent = flow.all_sent().iter().filter(|sample| seen.insert(sample.sequence));
        let sent = sent.map(|sample| Fate { at: sample.at, arrived: arrived.remove(&sample.sequence) });
        Fates { sent: sent.collect(), arrivals }
    }

    /// Those around a movement that was made `at`. The packets that were sent in `counted` are counted with it; one is sent
    /// every `interval`, and `silence` is what the report tells of.
    pub(super) fn around(
        &self,
        flow: String,
        at: Instant,
        counted: Range<Instant>,
        interval: Duration,
        silence: Duration,
    ) -> Window {
        let margin = MARGIN.max(interval * MARGIN_PACKETS);
        let until = counted.end;
        let silence_at = (!silence.is_zero()).then(|| self.silence(at, until, silence)).flatten();
        let part = |from: Instant, until: Instant| {
            let start = self.sent.partition_point(|fate| fate.at < from);
            let end = self.sent.partition_point(|fate| fate.at < until);
            &self.sent[start..end.max(start)]
        };
        let earlier = |time: Instant| Instant::ORIGIN + time.since(Instant::ORIGIN).saturating_sub(margin);
        let soon = until.min(at + MAX_AFTER);
        let costs = part(counted.start, soon).iter().filter(|fate| !fate.is_plain()).map(|fate| fate.at);
        let ends = costs.chain(silence_at.map(|(_, end)| end).filter(|&end| end < soon));
        let last = ends.max().map_or(at, |last| last.max(at));
        let length = (last.since(at) + margin + margin / 2).as_nanos().div_ceil(GRAIN.as_nanos());
        let length = GRAIN * u32::try_from(length).unwrap_or(u32::MAX);
        let (from, end) = (earlier(at), (at + length).min(until.max(at + margin)));
        let shown = part(from, end);
        let shown = &shown[..shown.len().min(MAX_PACKETS)];
        let end = if shown.len() == MAX_PACKETS { shown.last().map_or(end, |fate| fate.at) } else { end };
        let packet = |fate: &Fate| {
            let arrivals = fate.arrived.iter().flat_map(|arrived| [&arrived.first].into_iter().chain(&arrived.copies));
            let delays = arrivals.map(|got| u64::try_from(offset_us(fate.at, *got)).unwrap_or(0));
            let late = fate.arrived.as_ref().is_some_and(|arrived| arrived.late);
            Packet { sent_us: offset_us(at, fate.at), delays_us: delays.collect(), late }
        };
        Window {
            flow,
            from_us: offset_us(at, from),
            until_us: offset_us(at, end),
            packets: shown.iter().map(packet).collect(),
            silence_us: silence_at.map(|(start, end)| (offset_us(at, start), offset_us(at, end))),
            elsewhere: part(end, until).iter().filter(|fate| !fate.is_plain()).count() as u64,
        }
    }

    /// The first time without an arrival, of those that have a part after `at`, that is at least so long.
    fn silence(&self, at: Instant, until: Instant, length: Duration) -> Option<(Instant, Instant)> {
        let last = self.sent.last().map(|fate| fate.at);
        let ends = self.arrivals.iter().copied().skip(1).chain(last);
        let mut gaps = self.arrivals.iter().copied().zip(ends);
        gaps.find(|&(start, end)| end >= at && start <= until && end > start && end.since(start) >= length)
    }

    /// The whole run.
    pub(super) fn stripe(&self, flow: String, towards: String, started: Instant, duration: Duration) -> Stripe {
        let mut parts = vec![Part::default(); PARTS];
        for fate in &self.sent {
            let share = fate.at.since(started).as_nanos() * PARTS as u128 / duration.as_nanos().max(1);
            let part = &mut parts[usize::try_from(share).unwrap_or(PARTS).min(PARTS - 1)];
            part.sent += 1;
            match &fate.arrived {
                None => part.lost += 1,
                Some(arrived) => {
                    part.duplicated += arrived.copies.len() as u64;
                    part.late += u64::from(arrived.late);
                }
            }
        }
        Stripe { flow, towards, parts }
    }
}

impl Fate {
    /// Whether it arrived once, and none overtook it.
    fn is_plain(&self) -> bool {
        self.arrived.as_ref().is_some_and(|arrived| arrived.copies.is_empty() && !arrived.late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::host::flow::Sample;

    /// A packet a millisecond for 10 s from the origin, 5 ms under way.
    fn flow(lost: core::ops::Range<u64>, late: u64, twice: u64) -> Flow {
        let sample = |sequence: u64, millis: u64| Sample { at: Instant::from_millis(millis), sequence };
        let sent = (0..10_000).map(|number| sample(number, number));
        let kept = (0..10_000).filter(|number| !lost.contains(number));
        let mut received: Vec<Sample> =
            kept.map(|number| sample(number, number + if number == late { 8 } else { 5 })).collect();
        received.push(sample(twice, twice + 30));
        Flow::new(sent, received)
    }

    #[test]
    fn a_window_holds_what_the_movement_cost() {
        let flow = flow(2_000..2_050, 2_100, 2_120);
        let at = Instant::from_millis(2_000);
        let (until, millisecond) = (Instant::from_millis(3_000), Duration::from_millis(1));
        let silence = flow.interruption(at, Duration::from_millis(980), millisecond);
        let window = Fates::of(&flow).around("udp".to_owned(), at, at..until, millisecond, silence);
        assert_eq!((window.from_us, window.until_us), (-60_000, 120_000 + 90_000 + 40_000));
        assert_eq!(window.packets.len(), 310);
        assert_eq!(window.packets.iter().filter(|packet| packet.delays_us.is_empty()).count(), 50);
        let late: Vec<_> = window.packets.iter().filter(|packet| packet.late).map(|packet| packet.sent_us).collect();
        assert_eq!(late, [100_000]);
        let twice = window.packets.iter().find(|packet| packet.delays_us.len() > 1).expect("one came twice");
        assert_eq!((twice.sent_us, &twice.delays_us[..]), (120_000, &[5_000, 30_000][..]));
        // From the last that came to the first that came again.
        assert_eq!(window.silence_us, Some((4_000, 55_000)));
        assert_eq!(window.elsewhere, 0);
        // Nothing of what comes much later is shown, but it is counted.
        let window = Fates::of(&flow).around(
            "udp".to_owned(),
            Instant::ORIGIN,
            Instant::ORIGIN..until,
            millisecond,
            Duration::ZERO,
        );
        assert_eq!((window.silence_us, window.packets.len()), (None, 100));
        assert_eq!(window.elsewhere, 52);
        let window = Fates::of(&flow).around("udp".to_owned(), until, until..until, millisecond, Duration::ZERO);
        assert_eq!((window.packets.len(), window.elsewhere), (120, 0));
    }

    #[test]
    fn a_window_has_an_end() {
        let flow = flow(0..10_000, 0, 1);
        let (at, until) = (Instant::from_millis(100), Instant::from_secs(10));
        let micros = Duration::from_micros(1);
        let many = (0..20_000).map(|sequence| Sample { at: Instant::from_micros(sequence * 100), sequence });
        let dense = Fates::of(&Flow::new(many, []));
        let window = dense.around("udp".to_owned(), at, at..until, micros * 100, Duration::ZERO);
        assert_eq!(window.packets.len(), MAX_PACKETS);
        assert_eq!(window.elsewhere + MAX_PACKETS as u64 - 1, 20_000 - 400);
        let window = Fates::of(&flow).around("udp".to_owned(), at, at..until, micros * 1000, Duration::from_secs(9));
        assert!(window.packets.len() <= MAX_PACKETS && window.until_us <= 2_100_000);
    }

    #[test]
    fn a_stripe_counts_every_packet_once() {
        let flow = flow(2_000..2_050, 2_100, 2_120);
        let started = Instant::from_millis(10);
        let stripe = Fates::of(&flow).stripe("udp".to_owned(), "mt".to_owned(), started, Duration::from_secs(9));
        let sum = |what: fn(&Part) -> u64| stripe.parts.iter().map(what).sum::<u64>();
        let all = flow.summary();
        assert_eq!((sum(|p| p.sent), sum(|p| p.lost)), (all.sent, all.lost));
        assert_eq!((sum(|p| p.duplicated), sum(|p| p.late)), (all.duplicated, all.reordered));
    }
}
