//! Traffic over a path, and what it costs.

use super::cold::PacketsIn;
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

/// A path's figures beside those that every benchmark has. Nanoseconds a packet are there those of each repetition's
/// median batch: what else runs on the machine interrupts some batches, and not the median one.
#[derive(Serialize)]
pub(crate) struct More {
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
        mut between: impl FnMut(&mut Path) -> Result<()>,
    ) -> Result<()> {
        let Pace { packets, batch, clock_ns } = pace;
        self.pass(path, sent, (packets / 8, batch), Path::process)?;
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
        path.check(*sent)
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

    /// The figures.
    ///
    /// # Panics
    /// Before the first repetition.
    pub(crate) fn line(&self, path: &Path, state_octets: u64) -> Line<More> {
        let counted = |of: fn(&Counts) -> Option<u64>| {
            let (counts, packets) = self.counts.as_ref()?;
            Some(of(counts)? as f64 / *packets as f64)
        };
        // All headers have one length, so that the mean goes through them.
        let headers = self.frames[0].octets().len() as f64 - f64::from(self.size.octets()[0]);
        Line {
            path: path.name(),
            entries: path.entries.into(),
            groups: path.groups(),
            branches: path.branches.into(),
            packet_octets: Some(self.size.mean_octets().round() as u64),
            distribution: self.popularity.name(),
            ns_per_packet: Spread::of(&self.nanos_per_packet).rounded(),
            instructions_per_packet: counted(|counts| counts.instructions),
            allocations_per_packet: self.allocations as f64 / self.packets as f64,
            packets: self.packets,
            more: More {
                size: self.size.to_string(),
                frame_octets: (self.size.mean_octets() + headers).round() as u64,
                packets_in: self.packets_in.name(),
                state_octets,
                cycles_per_packet: counted(|counts| counts.cycles),
                mean_ns_per_packet: Spread::of(&self.mean_nanos_per_packet).rounded(),
                batch_ns: self.batches.percentiles(),
                batch_curve: self.batches.curve(),
            },
        }
    }
}
