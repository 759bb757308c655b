use super::crossing::{Task, ToFirst};
use crate::machine::PortId;
use crate::packet::{Batch, Pool};
use crate::port::wait::Waker;
use crate::port::{Port, PortCounters, PortInfo};
use std::io;
use std::os::fd::RawFd;

/// A forwarder's port on an interface that the first worker alone has open: what is sent goes by that one, and nothing
/// comes in.
#[derive(Debug)]
pub struct RelayPort {
    port: PortId,
    info: PortInfo,
    first: ToFirst,
    counters: PortCounters,
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
        Ok(RelayPort { port, info, first, counters: PortCounters::default(), silence: Waker::new()? })
    }
}

impl Port for RelayPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn rx_batch(&mut self, _: &Pool, _: &mut Batch) -> usize {
        0
    }

    fn tx_batch(&mut self, batch: &mut Batch) {
        let gone = batch.iter().take_while(|frame| self.first.send(Task::Send(self.port), frame.bytes())).count();
        if gone > 0 {
            self.first.ring();
        }
        self.counters.tx_frames += gone as u64;
        self.counters.tx_octets += batch.drain(..gone).map(|frame| frame.len() as u64).sum::<u64>();
    }

    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.silence.fd())
    }
}
