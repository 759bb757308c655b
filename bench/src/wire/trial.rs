//! Trials: so many frames at a rate, and what became of each; and the search for the highest rate at which none is lost.

use super::generator::{Generator, Sent};
use super::sink::{Counted, RECORDS, Records, Sink};
use super::stage::Stage;
use super::traffic::{Flow, cycle};
use crate::statistics::Durations;
use crate::traffic::size::Size;
use anyhow::{Result, ensure};
use std::thread;
use std::time::{Duration, Instant};

/// How long nothing has to come after the last frame was sent before what is missing is lost.
const SETTLE: Duration = Duration::from_millis(50);
/// The least frames of a trial.
const MIN_FRAMES: u64 = 64;
/// What is to be sent in this time goes together, as a NIC under load hands on what has come: one frame at a time below
/// 200,000 a second, eight at 800,000.
pub(super) const TRAIN_TIME: Duration = Duration::from_micros(10);
/// Frames that go together at the most, and at overload.
const MAX_TRAIN: u32 = 64;
/// Frames a second that no generator makes, for bounding a trial at overload in advance.
const OVERLOAD: f64 = 6e6;
/// By how much what is offered may fall short of the rate that is asked for.
const SHORTFALL: f64 = 0.02;
/// The search ends when the rates between which the limit lies are so close, as a part of the higher one.
const RESOLUTION: f64 = 0.01;
/// Steps of a search at the most.
const MAX_STEPS: u32 = 12;

/// What a trial has shown.
pub(super) struct Trial {
    pub(super) sent: Sent,
    /// Frames that came at least once.
    pub(super) delivered: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    pub(super) corrupted: u64,
    /// Frames that were not of the run.
    pub(super) foreign: u64,
    /// Frames that came a second, while they came.
    pub(super) delivered_rate: f64,
    pub(super) nanos: Durations,
}

impl Trial {
    pub(super) fn lost(&self) -> u64 {
        self.sent.frames - self.delivered
    }
}

/// How rates are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Criterion {
    /// How long frames are sent in a trial.
    pub(super) time: Duration,
    /// The part of the frames that may be lost.
    pub(super) tolerance: f64,
    /// A rate is passed where one of so many trials passes.
    pub(super) tries: u32,
}

/// Generator and sinks around a device.
pub(super) struct Bed<'a> {
    generator: Generator,
    sinks: [Sink; 2],
    records: &'a Records,
    /// Whether every trial is told of.
    show: bool,
}

impl<'a> Bed<'a> {
    /// For these flows, of which the first goes forth.
    pub(super) fn new(stage: &Stage, flows: &[Flow], size: Size, records: &'a Records, show: bool) -> Result<Self> {
        let interfaces = [stage.generator.index, stage.sink.index];
        let sinks = [
            // Interfaces of this machine have a kernel behind them that is in other networks, too.
            Sink::attach(stage.sink.index, flows.first(), records, stage.is_made())?,
            Sink::attach(stage.generator.index, flows.get(1), records, stage.is_made())?,
        ];
        let generator = Generator::new(flows, &cycle(flows.len(), size), &interfaces)?;
        Ok(Bed { generator, sinks, records, show })
    }

    /// Frames for the time of a trial at a rate.
    fn frames(rate: f64, time: Duration) -> u64 {
        ((rate * time.as_secs_f64()) as u64).clamp(MIN_FRAMES, RECORDS as u64)
    }

    /// Sends for a time at a rate.
    pub(super) fn at(&self, rate: f64, time: Duration) -> Result<Trial> {
        let train = ((rate * TRAIN_TIME.as_secs_f64()) as u32).clamp(1, MAX_TRAIN);
        self.trial(Self::frames(rate, time), Some(rate), train)
    }

    /// Sends as fast as can be.
    pub(super) fn overload(&self, time: Duration) -> Result<Trial> {
        self.trial(Self::frames(OVERLOAD, time), None, MAX_TRAIN)
    }

    /// Sends, waits for what is on its way, and looks at every frame.
    fn trial(&self, frames: u64, rate: Option<f64>, train: u32) -> Result<Trial> {
        self.records.clear(frames);
        self.sinks.iter().for_each(Sink::clear);
        let sent = self.generator.send(frames, rate, train)?;
        let counted = self.settled(frames);
        let (mut delivered, mut copies, mut durations) = (0, 0, Durations::new());
        for (nanos, came) in self.records.iter(frames) {
            copies += u64::from(came);
            if came > 0 {
                delivered += 1;
                durations.record(nanos.into());
            }
        }
        let sum = |of: fn(&Counted) -> u64| counted.iter().map(of).sum::<u64>();
        let rate_of = |counted: &Counted| match (counted.received, counted.nanos) {
            (0 | 1, _) | (_, 0) => 0.0,
            (received, nanos) => (received - 1) as f64 * 1e9 / nanos as f64,
        };
        let trial = Trial {
            sent,
            delivered,
            duplicated: copies - delivered,
            reordered: sum(|counted| counted.reordered),
            corrupted: sum(|counted| counted.corrupted),
            foreign: sum(|counted| counted.foreign),
            delivered_rate: counted.iter().map(rate_of).sum(),
            nanos: durations,
        };
        if self.show {
            let percentiles = trial.nanos.percentiles();
            eprintln!(
                "{} frames, {} together, offered {:.0}/s of {}, held up {} times; {} lost, {} otherwise, {:.0}/s came, \
                 p50 {} ns, p99 {} ns",
                frames,
                train,
                sent.rate(),
                rate.map_or("all".to_owned(), |rate| format!("{rate:.0}/s")),
                sent.put_off,
                trial.lost(),
                trial.corrupted,
                trial.delivered_rate,
                percentiles.p50,
                percentiles.p99
            );
        }
        Ok(trial)
    }

    /// What the sinks have when all has come, or nothing comes any more.
    fn settled(&self, frames: u64) -> [Counted; 2] {
        let mut counted = self.counted();
        let mut changed = Instant::now();
        let all = |counted: &[Counted; 2]| counted.iter().map(|sink| sink.received + sink.corrupted).sum::<u64>();
        while all(&counted) < frames && changed.elapsed() < SETTLE {
            thread::sleep(Duration::from_millis(1));
            let now = self.counted();
            if all(&now) != all(&counted) {
                changed = Instant::now();
            }
            counted = now;
        }
        counted
    }

    fn counted(&self) -> [Counted; 2] {
        [self.sinks[0].counted(), self.sinks[1].counted()]
    }

    /// The highest rate below `most` at which no more is lost than is tolerated; none where there is no such rate.
    pub(super) fn search(&self, most: f64, criterion: &Criterion) -> Result<Option<f64>> {
        let (mut passed, mut failed) = (0.0, most);
        for _ in 0..MAX_STEPS {
            if failed - passed < most * RESOLUTION {
                break;
            }
            let rate = (passed + failed) / 2.0;
            if self.passes(rate, criterion)? { passed = rate } else { failed = rate }
        }
        Ok((passed > 0.0).then_some(passed))
    }

    fn passes(&self, rate: f64, criterion: &Criterion) -> Result<bool> {
        for _ in 0..criterion.tries {
            let trial = self.at(rate, criterion.time)?;
            ensure!(trial.corrupted == 0, "{} frames came otherwise than they should have", trial.corrupted);
            let tolerated = (trial.sent.frames as f64 * criterion.tolerance) as u64;
            if trial.lost() <= tolerated && trial.sent.rate() >= rate * (1.0 - SHORTFALL) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
