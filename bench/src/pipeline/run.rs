//! Traffic over a path, and what it costs.

use super::cold::PacketsIn;
use super::crew::Presence;
use super::frame::Frame;
use super::path::Path;
use crate::allocations;
use crate::processor::{Counts, Processor};
use crate::report::Line;
use crate::statistics::{Costs, Durations, Percentiles, Spread};
use crate::traffic::popularity::Popularity;
use crate::traffic::size::Size;
use anyhow::Result;
use serde::Serialize;
use stack::packet::Batch;
use std::time::Instant;

/// How packets are sent.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Packets of a repetition.
    pub(crate) packets: u64,
    /// Packets that go through the data plane together.
    pub(crate) batch: u64,
    /// Nanoseconds that timing a batch costs.
    pub(crate) clock_ns: f64,
}

/// A worker's packet takes this long at least, in nanoseconds: less is the clock's grain.
const LEAST_NANOS: f64 = 0.1;

/// A path's figures beside those that every benchmark has. Nanoseconds a packet are there those of each repetition's
/// median batch: what else runs on the machine interrupts some batches, and not the median one. Of several workers they
/// are what a packet takes one of them while all are at work.
#[derive(Serialize)]
pub(crate) struct More {
    /// Data planes over the same tables, each on a core of its own.
    pub(crate) workers: u64,
    /// Of all workers together, by each repetition's median batches.
    pub(crate) packets_per_second: Spread,
    /// Of several workers what a packet takes each, the first one first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worker_ns_per_packet: Option<Vec<Spread>>,
    /// Of several workers what it takes the first while the others are idle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alone_ns_per_packet: Option<Spread>,
    /// Of several workers how many times as much all do as the first alone, in the same repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scaling: Option<Spread>,
    /// Octets of the innermost packet, or the mix.
    pub(crate) size: String,
    /// Octets with tunnels and Ethernet, of a mix the mean.
    pub(crate) frame_octets: u64,
    /// Where packets are when the data plane begins with them.
    pub(crate) packets_in: &'static str,
    /// Octets that the tables have taken.
    pub(crate) state_octets: u64,
    /// User-space cycles of the core's clock; null where the kernel does not offer the counter.
    pub(crate) cycles_per_packet: Option<f64>,
    /// Of each repetition the mean over all batches, interruptions included.
    pub(crate) mean_ns_per_packet: Spread,
    /// Nanoseconds of whole batches, timing included.
    pub(crate) batch_ns: Percentiles,
    /// The same by quantile.
    pub(crate) batch_curve: Vec<(f64, u64)>,
}

/// One kind of traffic over a path.
pub(crate) struct Run {
    size: Size,
    /// One for each size.
    frames: Vec<Frame>,
    popularity: Popularity,
    packets_in: PacketsIn,
    packets: u64,
    allocations: u64,
    nanos_per_packet: Vec<f64>,
    mean_nanos_per_packet: Vec<f64>,
    batches: Durations,
    /// Instructions and cycles, and of how many packets.
    counts: Option<(Counts, u64)>,
}

impl Run {
    pub(crate) fn new(path: &Path, size: Size, popularity: Popularity, packets_in: PacketsIn) -> Self {
        Run {
            size,
            frames: size.octets().iter().map(|&octets| path.frame(octets)).collect(),
            popularity,
            packets_in,
            packets: 0,
            allocations: 0,
            nanos_per_packet: Vec::new(),
            mean_nanos_per_packet: Vec::new(),
            batches: Durations::new(),
            counts: None,
        }
    }

    /// Packets that are not timed.
    pub(crate) fn warm_up(&mut self, path: &mut Path, sent: &mut u64, packets: u64, batch: u64) -> Result<()> {
        self.pass(path, sent, (packets, batch), Path::process)?;
        path.check(*sent)
    }

    /// One repetition. The caches belong to another path when it begins, so that an eighth more goes ahead untimed.
    pub(crate) fn repeat(&mut self, path: &mut Path, sent: &mut u64, pace: Pace) -> Result<()> {
        self.repeat_with(path, sent, pace, |_| Ok(()))
    }

    /// One repetition, in which something happens before each batch that is not timed here.
    pub(crate) fn repeat_with(
        &mut self,
        path: &mut Path,
        sent: &mut u64,
        pace: Pace,
        between: impl FnMut(&mut Path) -> Result<()>,
    ) -> Result<()> {
        self.pass(path, sent, (pace.packets / 8, pace.batch), Path::process)?;
        self.time(path, sent, pace, between)?;
        path.check(*sent)
    }

    /// One repetition while other workers have theirs: what is not timed goes on until all have begun and until all have
    /// ended, so that none has the memory to itself.
    pub(super) fn repeat_among(
        &mut self,
        path: &mut Path,
        sent: &mut u64,
        pace: Pace,
        mut presence: Presence,
    ) -> Result<()> {
        self.pass(path, sent, (pace.packets / 8, pace.batch), Path::process)?;
        while !presence.all_have_begun() {
            self.pass(path, sent, (pace.batch, pace.batch), Path::process)?;
        }
        self.time(path, sent, pace, |_| Ok(()))?;
        while !presence.all_have_ended() {
            self.pass(path, sent, (pace.batch, pace.batch), Path::process)?;
        }
        path.check(*sent)
    }

    /// What is timed of a repetition.
    fn time(
        &mut self,
        path: &mut Path,
        sent: &mut u64,
        pace: Pace,
        mut between: impl FnMut(&mut Path) -> Result<()>,
    ) -> Result<()> {
        let Pace { packets, batch, clock_ns } = pace;
        let mut batches = Durations::new();
        let (mut nanos, mut allocations) = (0, 0);
        let mut happened = Ok(());
        self.pass(path, sent, (packets, batch), |path, batch, out| {
            if happened.is_ok() {
                happened = between(path);
            }
            let before = allocations::count();
            let started = Instant::now();
            path.process(batch, out);
            let taken = started.elapsed().as_nanos() as u64;
            allocations += allocations::count() - before;
            batches.record(taken);
            nanos += taken;
        })?;
        happened?;
        let median = batches.percentiles().p50 as f64 - clock_ns;
        self.nanos_per_packet.push(median.max(0.0) / batch.min(packets) as f64);
        let total = nanos as f64 - batches.len() as f64 * clock_ns;
        self.mean_nanos_per_packet.push(total.max(0.0) / packets as f64);
        self.batches.add(&batches);
        self.packets += packets;
        self.allocations += allocations;
        Ok(())
    }

    /// Counts instructions and cycles of so many packets, by system calls around each batch, for which reason nothing is
    /// timed.
    pub(crate) fn count(&mut self, path: &mut Path, sent: &mut u64, processor: &Processor, pace: Pace) -> Result<()> {
        if !processor.is_there() {
            return Ok(());
        }
        let mut counts = Counts::ZERO;
        self.pass(path, sent, (pace.packets, pace.batch), |path, batch, out| {
            counts = counts.and(processor.count(|| path.process(batch, out)).1);
        })?;
        self.counts = Some((counts, pace.packets));
        path.check(*sent)
    }

    /// Makes so many packets and gives them in batches to `measure`, which takes each batch through the path.
    fn pass(
        &mut self,
        path: &mut Path,
        sent: &mut u64,
        (packets, size): (u64, u64),
        mut measure: impl FnMut(&mut Path, &mut Batch, &mut Batch),
    ) -> Result<()> {
        let (mut batch, mut out) = (Batch::new(), Batch::new());
        let mut left = packets;
        while left > 0 {
            for _ in 0..size.min(left) {
                let frame = &self.frames[self.size.of_packet(*sent)];
                path.generate(&mut batch, frame, self.popularity.next_entry(), *sent as u32)?;
                *sent += 1;
            }
            left -= batch.len() as u64;
            self.packets_in.put(&batch);
            measure(path, &mut batch, &mut out);
        }
        Ok(())
    }

    /// What the packets have cost, and each batch.
    pub(crate) fn costs(&self) -> Costs {
        Costs {
            medians: self.nanos_per_packet.clone(),
            all: self.batches.clone(),
            allocations: self.allocations,
            operations: self.packets,
        }
    }

    /// What the median batch of each repetition took, a packet.
    fn nanos(&self) -> impl Iterator<Item = f64> {
        self.nanos_per_packet.iter().map(|nanos| nanos.max(LEAST_NANOS))
    }
}

/// The figures of a kind of traffic.
///
/// # Panics
/// Before the first repetition, and without a worker.
pub(super) fn line(path: &Path, state_octets: u64, workers: &[&Run], alone: Option<&Run>) -> Line<More> {
    let (first, count) = (workers[0], workers.len() as f64);
    let repetitions = first.nanos_per_packet.len();
    let by_repetition = |of: &dyn Fn(usize) -> f64| (0..repetitions).map(of).collect::<Vec<f64>>();
    let rates =
        by_repetition(&|repetition| workers.iter().filter_map(|run| Some(1e9 / run.nanos().nth(repetition)?)).sum());
    let means = by_repetition(&|repetition| {
        workers.iter().map(|run| run.mean_nanos_per_packet[repetition]).sum::<f64>() / count
    });
    let nanos: Vec<f64> = rates.iter().map(|rate| count * 1e9 / rate).collect();
    let scaling = alone.map(|alone| {
        let ratios: Vec<f64> = rates.iter().zip(alone.nanos()).map(|(rate, nanos)| rate * nanos / 1e9).collect();
        Spread::of(&ratios)
    });
    let counted = |of: fn(&Counts) -> Option<u64>| {
        let (counts, packets) = alone.unwrap_or(first).counts.as_ref()?;
        Some(of(counts)? as f64 / *packets as f64)
    };
    let (mut batches, mut packets, mut allocations) = (Durations::new(), 0, 0);
    for run in workers {
        batches.add(&run.batches);
        packets += run.packets;
        allocations += run.allocations;
    }
    // All headers have one length, so that the mean goes through them.
    let headers = first.frames[0].octets().len() as f64 - f64::from(first.size.octets()[0]);
    Line {
        path: path.name(),
        entries: path.entries.into(),
        groups: path.groups(),
        branches: path.branches.into(),
        packet_octets: Some(first.size.mean_octets().round() as u64),
        distribution: first.popularity.name(),
        ns_per_packet: Spread::of(&nanos).rounded(),
        instructions_per_packet: counted(|counts| counts.instructions),
        allocations_per_packet: allocations as f64 / packets as f64,
        packets,
        more: More {
            workers: workers.len() as u64,
            packets_per_second: Spread::of(&rates).rounded(),
            worker_ns_per_packet: alone
                .map(|_| workers.iter().map(|run| Spread::of(&run.nanos_per_packet).rounded()).collect()),
            alone_ns_per_packet: alone.map(|alone| Spread::of(&alone.nanos_per_packet).rounded()),
            scaling,
            size: first.size.to_string(),
            frame_octets: (first.size.mean_octets() + headers).round() as u64,
            packets_in: first.packets_in.name(),
            state_octets,
            cycles_per_packet: counted(|counts| counts.cycles),
            mean_ns_per_packet: Spread::of(&means).rounded(),
            batch_ns: batches.percentiles(),
            batch_curve: batches.curve(),
        },
    }
}
