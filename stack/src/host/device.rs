//! smoltcp's device over a port.

use super::refusal::refuse;
use crate::packet::{Batch, Packet, Pool};
use crate::port::{Medium, Port, PortCounters};
use crate::time::Instant;
use core::net::Ipv6Addr;
use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};

/// A port as smoltcp sees it.
pub(super) struct PortDevice {
    port: Box<dyn Port>,
    pool: Pool,
    /// Frames that smoltcp has not taken yet, the next one last.
    received: Batch,
    outgoing: Batch,
    /// Frames that smoltcp wanted to send while none was free.
    refused: u64,
    /// The host's address.
    own: Ipv6Addr,
}

pub(super) fn to_smoltcp(at: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}

pub(super) fn from_smoltcp(at: smoltcp::time::Instant) -> Instant {
    Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
}

impl PortDevice {
    pub(super) fn new(port: Box<dyn Port>, pool: Pool, own: Ipv6Addr) -> Self {
        PortDevice { port, pool, received: Batch::new(), outgoing: Batch::new(), refused: 0, own }
    }

    /// Hands what waits to the port.
    pub(super) fn flush(&mut self) {
        if !self.outgoing.is_empty() {
            self.port.tx_batch(&mut self.outgoing);
        }
    }

    pub(super) fn counters(&self) -> PortCounters {
        let counters = self.port.counters();
        PortCounters { tx_dropped: counters.tx_dropped + self.refused, ..counters }
    }

    /// Meaningful between turns and for a pool that nobody else and no ring of the port takes frames from.
    pub(super) fn unaccounted_frames(&self) -> usize {
        self.pool.frames() as usize - self.pool.free_frames() - self.received.len() - self.outgoing.len()
    }

    fn has_room(&mut self) -> bool {
        if self.outgoing.is_full() {
            self.flush();
        }
        !self.outgoing.is_full()
    }
}

impl Device for PortDevice {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sending<'_>)> {
        if self.received.is_empty() {
            self.port.rx_batch(&self.pool, &mut self.received);
            self.received.reverse();
        }
        let medium = self.port.info().medium;
        let packet = loop {
            // An answer has to fit before the question is taken.
            if !self.has_room() {
                return None;
            }
            let packet = self.received.pop()?;
            match refuse(&packet, medium, self.own, &self.pool) {
                Some(answer) => self.outgoing.push(answer),
                None => break packet,
            }
        };
        Some((Received(packet), Sending { pool: &self.pool, outgoing: &mut self.outgoing, refused: &mut self.refused }))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sending<'_>> {
        if !self.has_room() || self.pool.free_frames() == 0 {
            return None;
        }
        Some(Sending { pool: &self.pool, outgoing: &mut self.outgoing, refused: &mut self.refused })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let info = self.port.info();
        let mut capabilities = DeviceCapabilities::default();
        (capabilities.medium, capabilities.max_transmission_unit) = match info.medium {
            Medium::Ethernet => (smoltcp::phy::Medium::Ethernet, info.mtu + crate::wire::ethernet::HEADER_LEN),
            Medium::Ip => (smoltcp::phy::Medium::Ip, info.mtu),
        };
        capabilities
    }
}

/// A received frame.
pub(super) struct Received(Packet);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0.bytes())
    }
}

/// Room for a frame.
pub(super) struct Sending<'a> {
    pool: &'a Pool,
    outgoing: &'a mut Batch,
    refused: &'a mut u64,
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let Ok(mut packet) = self.pool.take() else {
            // smoltcp has to write somewhere; the frame is lost as in a full ring.
            *self.refused += 1;
            return write(&mut vec![0; length]);
        };
        packet.set_len(length);
        packet.bytes_mut().fill(0);
        let result = write(packet.bytes_mut());
        self.outgoing.push(packet);
        result
    }
}
