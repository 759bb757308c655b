//! The data plane of a round, or two of them beside each other, as a node with two workers has them: batches come to either,
//! and what the second does not send on the first gets.

use super::world::{FRAMES, PORTS, Shape};
use stack::machine::{Notice, PortId, RxMeta};
use stack::packet::{Batch, Pool};
use stack::pipeline::{Counters, Dataplane};
use stack::rng::Rng;
use stack::tables::TableUpdate;
use stack::time::Instant;
use std::collections::VecDeque;

/// What was counted, by name, in one order.
pub(crate) type Counts = Vec<(&'static str, u64)>;

pub(crate) struct Planes {
    first: Dataplane,
    pool: Pool,
    second: Option<(Dataplane, Pool)>,
    rng: Rng,
    notices: VecDeque<Notice>,
}

impl Planes {
    /// For a round of this shape.
    pub(crate) fn new(shape: &Shape, mut rng: Rng) -> Self {
        let (config, ports) = (shape.config(), shape.ports());
        let pool = || Pool::new(FRAMES).expect("memory for the pool");
        let of_first = pool();
        let others = usize::from(shape.workers) - 1;
        let (first, readers) = Dataplane::first(config.clone(), of_first.clone(), &ports, others);
        let second = readers.into_iter().next().map(|readers| {
            let of_second = pool();
            (Dataplane::beside(config, readers, of_second.clone(), &ports), of_second)
        });
        Planes { first, pool: of_first, second, rng: rng.fork(), notices: VecDeque::new() }
    }

    /// The one that has the tables.
    pub(crate) fn first(&self) -> &Dataplane {
        &self.first
    }

    pub(crate) fn apply(&mut self, now: Instant, update: TableUpdate) {
        self.first.apply(now, update);
        self.take_notices();
        self.tell(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.first.handle_timeout(now);
        self.take_notices();
        self.tell(now);
    }

    /// Gives frames to one of the data planes.
    pub(crate) fn process<'a>(&mut self, now: Instant, port: PortId, frames: impl Iterator<Item = &'a [u8]>) {
        let mut batch = Batch::new();
        match &mut self.second {
            Some((second, pool)) if self.rng.below(2) == 0 => {
                let mut received: Batch = frames.map(|frame| pool.copy_of(frame).expect("a frame")).collect();
                second.forward(now, port, &mut received);
                batch.extend(received.drain(..).map(|left| self.first.take_over(left.bytes()).expect("a frame")));
                assert!(second.poll_local().is_none() && !second.has_signalling() && second.poll_notice().is_none());
            }
            _ => batch.extend(frames.map(|frame| self.pool.copy_of(frame).expect("a frame"))),
        }
        if !batch.is_empty() {
            self.first.process(now, port, &mut batch);
            assert!(batch.is_empty());
        }
        self.take_notices();
        self.tell(now);
    }

    fn tell(&mut self, now: Instant) {
        while let Some(news) = self.first.poll_news() {
            if let Some((second, _)) = &mut self.second {
                second.hear(now, news);
            }
        }
    }

    /// What has left, by port.
    pub(crate) fn sent(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut sent = Vec::new();
        let second = self.second.iter_mut().map(|(second, _)| second);
        for plane in second.chain([&mut self.first]) {
            for port in 0..PORTS {
                while let Some(packet) = plane.outgoing(PortId(port)).pop() {
                    sent.push((port, packet.bytes().to_vec()));
                }
            }
        }
        sent.sort_by_key(|&(port, _)| port);
        sent
    }

    pub(crate) fn poll_local(&mut self) -> Option<(RxMeta, Vec<u8>)> {
        self.first
            .poll_local()
            .or_else(|| self.first.poll_signalling())
            .map(|(meta, packet)| (meta, packet.bytes().to_vec()))
    }

    pub(crate) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Takes what the node is told, without an answer: packets that wait for one go on.
    fn take_notices(&mut self) {
        while let Some(notice) = self.first.poll_notice() {
            self.notices.push_back(notice);
        }
    }

    /// What both have counted together.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts: Counts = self.first.counters().iter().collect();
        if let Some((second, _)) = &self.second {
            for ((_, sum), (_, more)) in counts.iter_mut().zip(second.counters().iter()) {
                *sum += more;
            }
        }
        counts
    }

    /// Packets that the second has sent on.
    pub(crate) fn forwarded_by_second(&self) -> u64 {
        self.second.as_ref().map_or(0, |(second, _)| second.counters().get(stack::pipeline::Counter::Rx))
    }

    /// Whether every packet has ended once, and so many frames are held and all others free; what is not so.
    pub(crate) fn check(&self, waiting: usize) -> Result<(), String> {
        let balanced = |counters: &Counters| match counters.is_balanced() {
            true => Ok(()),
            false => Err(format!("the counters do not balance: {counters:?}")),
        };
        balanced(self.first.counters())?;
        let held = self.first.held_frames();
        if held != waiting || self.pool.free_frames() + held != FRAMES as usize {
            return Err(format!(
                "{held} frames are held and {} free; {waiting} wait or are kept",
                self.pool.free_frames()
            ));
        }
        let Some((second, pool)) = &self.second else { return Ok(()) };
        balanced(second.counters())?;
        match pool.free_frames() == FRAMES as usize && second.held_frames() == 0 {
            true => Ok(()),
            false => {
                Err(format!("the second has {} free frames and holds {}", pool.free_frames(), second.held_frames()))
            }
        }
    }
}
