//! How much multicast signalling the node's machines are given: so many PIM and so many MLD packets a second of each port,
//! whoever sends them. What is beyond is dropped and counted, before it costs more than this: a flood on one port holds up
//! neither the packets that are forwarded nor what the other ports' routers and hosts have to say, and a flood of reports
//! not what the routers of the same link say.
//!
//! The machines' own limits bound what is kept; this bounds the work.

use super::config::DataplaneConfig;
use super::counters::Counter;
use crate::machine::PortId;
use crate::rate::TokenBucket;
use crate::time::Instant;

/// Signalling of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signalling {
    Pim,
    Mld,
}

/// The buckets of every port.
pub(super) struct Policer {
    ports: Vec<[TokenBucket; 2]>,
}

impl Policer {
    pub(super) fn new(config: &DataplaneConfig, ports: usize) -> Self {
        let bucket = || TokenBucket::per_second(config.signalling_per_second, config.signalling_burst);
        Policer { ports: (0..ports).map(|_| [bucket(), bucket()]).collect() }
    }

    /// Takes a packet that came in there; the counter of its end where there are too many.
    #[inline]
    pub(super) fn take(&mut self, now: Instant, port: Option<PortId>, kind: Signalling) -> Result<(), Counter> {
        let Some(buckets) = port.and_then(|port| self.ports.get_mut(usize::from(port.0))) else { return Ok(()) };
        let (bucket, beyond) = match kind {
            Signalling::Pim => (&mut buckets[0], Counter::DropLocalPimLimit),
            Signalling::Mld => (&mut buckets[1], Counter::DropLocalMldLimit),
        };
        if bucket.take(now) { Ok(()) } else { Err(beyond) }
    }
}
