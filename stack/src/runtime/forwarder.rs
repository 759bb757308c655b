//! A worker beside the first one: its own queues of the ports, its own frames, the tables of the first.
//!
//! A turn learns what the first worker has told, reads every port once, sends on what goes the express way, and hands the
//! rest to the first worker, whose stages and machines decide about it. It never waits for anybody.

use super::crossing::{Task, ToFirst};
use super::ports::Ports;
use super::thread::Turns;
use super::worker::Progress;
use crate::machine::PortId;
use crate::packet::Batch;
use crate::pipeline::Dataplane;
use crate::port::Port;
use crate::time::Instant;

/// News that are learnt in a turn at the most.
const MAX_NEWS: usize = 256;

/// A worker that forwards, and has no node.
pub struct Forwarder {
    dataplane: Dataplane,
    ports: Ports,
    batch: Batch,
    first: ToFirst,
}

impl Forwarder {
    /// A forwarder; `dataplane` is one beside the first worker's ([`Dataplane::beside`]), and `ports` are in the order of
    /// the first worker's, one for one.
    pub fn new(dataplane: Dataplane, ports: Vec<Box<dyn Port>>, first: ToFirst) -> Self {
        Forwarder { dataplane, ports: Ports::new(ports), batch: Batch::new(), first }
    }

    /// The data plane.
    pub fn dataplane(&self) -> &Dataplane {
        &self.dataplane
    }

    /// Frames that the forwarder holds: in the data plane, and waiting for a port.
    pub fn held_frames(&self) -> usize {
        self.dataplane.held_frames() + self.ports.held_frames()
    }

    fn hand_over(&mut self, port: PortId) {
        let task = Task::Receive(port);
        let given = self.batch.iter().take_while(|frame| self.first.send(task, frame.bytes())).count();
        if given > 0 {
            self.first.ring();
            self.dataplane.count_handed_over(given);
            self.batch.drain(..given);
        }
        if !self.batch.is_empty() {
            self.dataplane.drop_unhanded(&mut self.batch);
        }
    }
}

impl Turns for Forwarder {
    type Event = core::convert::Infallible;

    fn iterate(&mut self, now: Instant) -> Progress {
        let mut progress = Progress::default();
        for _ in 0..MAX_NEWS {
            let Some(news) = self.first.hear() else { break };
            self.dataplane.hear(now, news);
            progress.heard += 1;
        }
        for index in 0..self.ports.len() {
            let port = PortId(index as u8);
            progress.received += self.ports.receive(port, self.dataplane.pool(), &mut self.batch);
            while self.ports.change(port).is_some() {
                self.dataplane.update_port(port, self.ports.info(port));
            }
            if !self.batch.is_empty() {
                self.dataplane.forward(now, port, &mut self.batch);
                if !self.batch.is_empty() {
                    self.hand_over(port);
                }
            }
        }
        for index in 0..self.ports.len() {
            let port = PortId(index as u8);
            progress.sent += self.ports.send(port, self.dataplane.outgoing(port));
        }
        progress
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn has_backlog(&mut self) -> bool {
        (0..self.ports.len())
            .map(|index| PortId(index as u8))
            .any(|port| self.ports.has_backlog(port) || !self.dataplane.outgoing(port).is_empty())
    }

    fn has_mail(&self) -> bool {
        self.first.has_mail()
    }

    fn ports(&self) -> impl Iterator<Item = &dyn Port> {
        self.ports.iter()
    }
}
