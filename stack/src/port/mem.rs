//! `mem`: a port in memory. Its other end, a [`MemEnd`], is held by the simulator or by a test.
//!
//! A frame crosses with one copy: out of the octets that were pushed into a frame of the pool, or out of the frame into
//! the octets that are popped. Both queues are bounded.

use super::{ETHERNET_HEADER_LEN, LinkState, Medium, Port, PortCounters, PortInfo};
use crate::addr::MacAddress;
use crate::packet::{Batch, Pool};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::rc::Rc;

/// Frames that wait in a direction unless [`MemEnd::set_capacity`] says otherwise.
pub const DEFAULT_CAPACITY: usize = 1024;

/// The end of the wire that a worker polls.
#[derive(Debug)]
pub struct MemPort {
    info: PortInfo,
    counters: PortCounters,
    wire: Rc<RefCell<Wire>>,
}

/// The other end of the wire.
#[derive(Debug, Clone)]
pub struct MemEnd {
    wire: Rc<RefCell<Wire>>,
}

#[derive(Debug)]
struct Wire {
    to_port: VecDeque<Vec<u8>>,
    from_port: VecDeque<Vec<u8>>,
    capacity: usize,
    mtu: usize,
    /// Octets of the largest frame beyond those of its packet.
    overhead: usize,
    link: LinkState,
    link_address: MacAddress,
    /// Frames that were lost on their way to the port.
    rx_dropped: u64,
}

impl MemPort {
    /// A port that looks like `info`, whose kind becomes `mem`, and its other end.
    pub fn new(info: PortInfo) -> (MemPort, MemEnd) {
        let wire = Rc::new(RefCell::new(Wire {
            to_port: VecDeque::new(),
            from_port: VecDeque::new(),
            capacity: DEFAULT_CAPACITY,
            mtu: info.mtu,
            overhead: if info.medium == Medium::Ethernet { ETHERNET_HEADER_LEN } else { 0 },
            link: info.link,
            link_address: info.link_address,
            rx_dropped: 0,
        }));
        let info = PortInfo { kind: "mem", ..info };
        (MemPort { info, counters: PortCounters::default(), wire: wire.clone() }, MemEnd { wire })
    }

    /// Ports that look like these, for a worker, and their other ends.
    pub fn all(infos: &[PortInfo]) -> (Vec<Box<dyn Port>>, Vec<MemEnd>) {
        let boxed = |info: &PortInfo| {
            let (port, end) = MemPort::new(info.clone());
            (Box::new(port) as Box<dyn Port>, end)
        };
        infos.iter().map(boxed).unzip()
    }
}

impl Wire {
    fn takes(&self, octets: usize) -> bool {
        (1..=self.mtu + self.overhead).contains(&octets)
    }
}

impl Port for MemPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn counters(&self) -> PortCounters {
        PortCounters { rx_dropped: self.counters.rx_dropped + self.wire.borrow().rx_dropped, ..self.counters }
    }

    fn rx_batch(&mut self, pool: &Pool, batch: &mut Batch) -> usize {
        let mut wire = self.wire.borrow_mut();
        self.info.link = wire.link;
        self.info.link_address = wire.link_address;
        self.info.mtu = wire.mtu;
        let mut received = 0;
        while !batch.is_full() {
            let Some(frame) = wire.to_port.front() else { break };
            // Without a free frame the rest waits, as it does in a device's ring.
            let Ok(packet) = pool.copy_of(frame) else { break };
            wire.to_port.pop_front();
            self.counters.rx_frames += 1;
            self.counters.rx_octets += packet.len() as u64;
            batch.push(packet);
            received += 1;
        }
        received
    }

    fn tx_batch(&mut self, batch: &mut Batch) {
        let mut wire = self.wire.borrow_mut();
        if wire.link == LinkState::Down {
            self.counters.tx_dropped += batch.len() as u64;
            batch.clear();
            return;
        }
        let mut taken = 0;
        for packet in batch.iter() {
            if !wire.takes(packet.len()) {
                self.counters.tx_dropped += 1;
            } else if wire.from_port.len() < wire.capacity {
                wire.from_port.push_back(packet.bytes().to_vec());
                self.counters.tx_frames += 1;
                self.counters.tx_octets += packet.len() as u64;
            } else {
                break;
            }
            taken += 1;
        }
        batch.drain(..taken);
    }

    fn poll_fd(&self) -> Option<RawFd> {
        None
    }
}

impl MemEnd {
    /// Gives the port a frame to receive; returns whether it was taken. It is lost, and counted by the port, where the
    /// link is down, the queue full, or the frame empty or larger than the port's MTU allows.
    pub fn push(&self, frame: impl Into<Vec<u8>>) -> bool {
        let frame = frame.into();
        let mut wire = self.wire.borrow_mut();
        let fits = wire.link == LinkState::Up && wire.to_port.len() < wire.capacity && wire.takes(frame.len());
        if fits {
            wire.to_port.push_back(frame);
        } else {
            wire.rx_dropped += 1;
        }
        fits
    }

    /// Takes the oldest frame that the port has sent.
    pub fn pop(&self) -> Option<Vec<u8>> {
        self.wire.borrow_mut().from_port.pop_front()
    }

    /// Frames that wait for [`MemEnd::pop`].
    pub fn sent(&self) -> usize {
        self.wire.borrow().from_port.len()
    }

    /// Frames that the port has not received yet.
    pub fn waiting(&self) -> usize {
        self.wire.borrow().to_port.len()
    }

    /// Gives the port another link-layer address, as when its interface comes back as another one.
    pub fn set_link_address(&self, address: MacAddress) {
        self.wire.borrow_mut().link_address = address;
    }

    /// Gives the port another MTU, in octets. What waits already stays.
    pub fn set_mtu(&self, mtu: usize) {
        self.wire.borrow_mut().mtu = mtu;
    }

    /// Takes the link up or down. Frames that the port has not received when it goes down are lost.
    pub fn set_link(&self, link: LinkState) {
        let mut wire = self.wire.borrow_mut();
        wire.link = link;
        if link == LinkState::Down {
            wire.rx_dropped += wire.to_port.len() as u64;
            wire.to_port.clear();
        }
    }

    /// Frames that may wait in a direction. What waits already stays.
    pub fn set_capacity(&self, frames: usize) {
        self.wire.borrow_mut().capacity = frames;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::MacAddress;
    use crate::packet::HEADROOM;

    fn port(medium: Medium) -> (MemPort, MemEnd) {
        let mac = if medium == Medium::Ip { [0; 6] } else { [2, 0, 0, 0, 0, 1] };
        MemPort::new(PortInfo {
            name: "m0".into(),
            kind: "",
            mode: String::new(),
            medium,
            link_address: MacAddress(mac),
            mtu: 1500,
            link: LinkState::Up,
            xdp: None,
        })
    }

    #[test]
    fn frames_arrive_in_order_behind_the_headroom() {
        let pool = Pool::new(8).unwrap();
        let (mut port, end) = port(Medium::Ethernet);
        for octet in 0..3u8 {
            assert!(end.push(vec![octet; 60]));
        }
        let mut batch = Batch::new();
        assert_eq!(port.rx_batch(&pool, &mut batch), 3);
        for (octet, packet) in batch.iter().enumerate() {
            assert_eq!((packet.bytes(), packet.headroom()), (&[octet as u8; 60][..], HEADROOM));
        }
        port.tx_batch(&mut batch);
        assert_eq!((batch.len(), pool.free_frames()), (0, 8));
        assert_eq!(end.pop().unwrap(), [0; 60]);
        assert_eq!(end.sent(), 2);
    }

    #[test]
    fn what_does_not_fit_stays() {
        let pool = Pool::new(8).unwrap();
        let (mut port, end) = port(Medium::Ip);
        end.set_capacity(2);
        let mut batch: Batch = (0..3u8).map(|octet| pool.copy_of(&[octet]).unwrap()).collect();
        port.tx_batch(&mut batch);
        assert_eq!(batch[0].bytes(), [2]);
        assert_eq!(end.pop().unwrap(), [0]);
        port.tx_batch(&mut batch);
        assert!(batch.is_empty());
        assert!(end.push(&[1][..]) && end.push(&[2][..]) && !end.push(&[3][..]));
        assert_eq!(port.counters().rx_dropped, 1);
    }

    #[test]
    fn a_link_that_is_down_drops_and_counts() {
        let pool = Pool::new(8).unwrap();
        let (mut port, end) = port(Medium::Ip);
        end.push(vec![1]);
        end.set_link(LinkState::Down);
        end.push(vec![2]);
        let mut batch = Batch::new();
        assert_eq!(port.rx_batch(&pool, &mut batch), 0);
        assert_eq!(port.info().link, LinkState::Down);
        batch.push(pool.copy_of(&[3]).unwrap());
        port.tx_batch(&mut batch);
        assert_eq!((port.counters().rx_dropped, port.counters().tx_dropped), (2, 1));
        assert_eq!((batch.len(), pool.free_frames(), end.sent()), (0, 8, 0));
        end.set_link(LinkState::Up);
        end.push(vec![4]);
        assert_eq!(port.rx_batch(&pool, &mut batch), 1);
        assert_eq!(port.info().link, LinkState::Up);
    }

    #[test]
    fn frames_wait_for_a_free_one() {
        let pool = Pool::new(1).unwrap();
        let (mut port, end) = port(Medium::Ip);
        end.push(vec![1]);
        end.push(vec![2]);
        let mut batch = Batch::new();
        assert_eq!(port.rx_batch(&pool, &mut batch), 1);
        batch.clear();
        assert_eq!(port.rx_batch(&pool, &mut batch), 1);
        assert_eq!(batch[0].bytes(), [2]);
    }

    #[test]
    fn frames_beyond_the_mtu_are_lost() {
        let pool = Pool::new(2).unwrap();
        let (mut port, end) = port(Medium::Ethernet);
        assert!(end.push(vec![0; 1514]) && !end.push(vec![0; 1515]) && !end.push(vec![]));
        let mut batch: Batch = [pool.copy_of(&[0; 1515]).unwrap()].into_iter().collect();
        port.tx_batch(&mut batch);
        assert_eq!((port.counters().rx_dropped, port.counters().tx_dropped, batch.len()), (2, 1, 0));
    }
}
