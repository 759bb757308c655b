use super::crossing::{Task, ToFirst};
use crate::machine::PortId;
use crate::packet::{Batch, Pool};
use crate::port::wait::Waker;
use crate::port::{Port, PortCounters, PortInfo, XdpPort};
use std::io;
use std::os::fd::RawFd;

/// A forwarder's port on an interface that the first worker alone has open: what is sent goes by that one, and nothing
/// comes in.
#[derive(Debug)]
pub struct RelayPort {
    port: PortId,
    info: PortInfo,
    first: ToFirst,
    /// Never rung: there is nothing to wait for.
    silence: Waker,
}

impl RelayPort {
    /// The port with this number, which is `info` at the first worker.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub fn new(port: PortId, info: PortInfo, first: ToFirst) -> io::Result<Self> {
        let info = PortInfo { kind: "relay", mode: "sends by the first worker".to_owned(), xdp: None, ..info };
        Ok(RelayPort { port, info, first, silence: Waker::new()? })
    }
}

impl Port for RelayPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    /// Nothing: the first worker's port counts what leaves.
    fn counters(&self) -> PortCounters {
        PortCounters::default()
    }

    fn rx_batch(&mut self, _: &Pool, _: &mut Batch) -> usize {
        0
    }

    fn tx_batch(&mut self, batch: &mut Batch) {
        let gone = batch.iter().take_while(|frame| self.first.send(Task::Send(self.port), frame.bytes())).count();
        if gone > 0 {
            self.first.ring();
        }
        batch.drain(..gone);
    }

    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.silence.fd())
    }
}

/// A forwarder's port on an interface by AF_XDP: by its own queues while the interface has some for it, otherwise by the
/// first worker.
#[derive(Debug)]
pub struct SharedPort {
    own: XdpPort,
    relay: RelayPort,
}

impl SharedPort {
    /// Of the forwarder's own part of an interface, and the way by the first worker.
    pub fn new(own: XdpPort, relay: RelayPort) -> Self {
        SharedPort { own, relay }
    }
}

impl Port for SharedPort {
    fn info(&self) -> &PortInfo {
        if self.own.is_open() { self.own.info() } else { self.relay.info() }
    }

    fn counters(&self) -> PortCounters {
        self.own.counters()
    }

    fn rx_batch(&mut self, pool: &Pool, batch: &mut Batch) -> usize {
        self.own.rx_batch(pool, batch)
    }

    fn tx_batch(&mut self, batch: &mut Batch) {
        if self.own.is_open() {
            self.own.tx_batch(batch);
        } else {
            self.relay.tx_batch(batch);
        }
    }

    fn poll_fd(&self) -> Option<RawFd> {
        self.own.poll_fd()
    }
}
