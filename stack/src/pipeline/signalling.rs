//! PIM and MLD packets that wait for the node, by the port that they came in by.
//!
//! The node takes them from the ports by turns, so that nobody on one link keeps others' waiting for more than one packet
//! each. Of one port they stay in order.

use crate::machine::{PortId, RxMeta};
use crate::packet::Packet;
use std::collections::VecDeque;

/// The queues of all ports.
pub(super) struct SignallingQueues {
    ports: Vec<VecDeque<(RxMeta, Packet)>>,
    /// Whose turn it is.
    next: usize,
    waiting: usize,
    port_limit: usize,
    limit: usize,
}

impl SignallingQueues {
    /// Queues for so many packets each, and for no more than `limit` together.
    pub(super) fn new(ports: usize, port_limit: usize, limit: usize) -> Self {
        let queues = (0..ports).map(|_| VecDeque::with_capacity(port_limit.min(limit)));
        SignallingQueues { ports: queues.collect(), next: 0, waiting: 0, port_limit, limit }
    }

    /// Whether a packet that came in there would find no room.
    pub(super) fn is_full(&self, port: PortId) -> bool {
        let queue = self.ports.get(usize::from(port.0));
        self.waiting >= self.limit || queue.is_none_or(|queue| queue.len() >= self.port_limit)
    }

    /// Whether packets wait that came in there, and so many more might not find room.
    pub(super) fn is_nearly_full(&self, port: PortId, more: usize) -> bool {
        let waiting = self.ports.get(usize::from(port.0)).map_or(0, VecDeque::len);
        waiting > 0 && (self.waiting + more > self.limit || waiting + more > self.port_limit)
    }

    /// A packet waits. There has to be room.
    pub(super) fn push(&mut self, meta: RxMeta, packet: Packet) {
        debug_assert!(!self.is_full(meta.port));
        self.waiting += 1;
        self.ports[usize::from(meta.port.0)].push_back((meta, packet));
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<(RxMeta, Packet)> {
        if self.waiting == 0 {
            return None;
        }
        let ports = self.ports.len();
        let turns = (0..ports).map(|after| (self.next + after) % ports);
        let port = turns.into_iter().find(|&port| !self.ports[port].is_empty())?;
        self.next = (port + 1) % ports;
        self.waiting -= 1;
        self.ports[port].pop_front()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Pool;

    fn meta(port: u8) -> RxMeta {
        RxMeta { port: PortId(port), link_source: None, link_multicast: true, tunnel: None }
    }

    #[test]
    fn ports_take_turns_and_each_stays_in_order() {
        let pool = Pool::new(16).unwrap();
        let mut queues = SignallingQueues::new(3, 4, 7);
        for (port, name) in [(0, b'a'), (0, b'b'), (0, b'c'), (2, b'd'), (2, b'e'), (1, b'f')] {
            queues.push(meta(port), pool.copy_of(&[name]).unwrap());
        }
        assert_eq!(queues.len(), 6);
        let order = core::iter::from_fn(|| queues.pop()).map(|(_, packet)| packet.bytes()[0]);
        assert_eq!(order.collect::<Vec<_>>(), b"afdbec");
        assert_eq!(queues.len(), 0);
    }

    #[test]
    fn a_port_has_its_part_and_all_have_no_more_than_there_is() {
        let pool = Pool::new(16).unwrap();
        let mut queues = SignallingQueues::new(3, 2, 5);
        for port in [0, 0, 1, 1] {
            assert!(!queues.is_full(PortId(port)));
            queues.push(meta(port), pool.copy_of(&[0]).unwrap());
        }
        assert_eq!([0, 1, 2, 3].map(|port| queues.is_full(PortId(port))), [true, true, false, true]);
        queues.push(meta(2), pool.copy_of(&[0]).unwrap());
        assert!(queues.is_full(PortId(2)));
        assert!([0, 1, 2].iter().all(|&port| queues.is_nearly_full(PortId(port), 1)));
        queues.pop();
        assert!(!queues.is_nearly_full(PortId(0), 1) && queues.is_nearly_full(PortId(0), 2));
        assert!(!queues.is_full(PortId(2)) && !queues.is_full(PortId(0)) && queues.is_full(PortId(1)));
    }
}
