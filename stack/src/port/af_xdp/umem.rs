//! The frames of a worker's pool as the memory of its AF_XDP sockets, and which of them are in the kernel's hands.
//!
//! Every frame that a socket is given is noted under that socket, and comes back only from the ring that it belongs to.
//! So an address that the kernel makes up touches no packet, and closing a socket finds every frame that it had,
//! wherever in the kernel it was.

use crate::packet::{FRAME_LEN, FRAME_STRIDE, Packet, Pool};
use core::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;

/// Addresses in descriptors of memory whose frames stand anywhere (`XSK_UNALIGNED_BUF_OFFSET_SHIFT`).
const OFFSET_SHIFT: u32 = 48;
const ADDRESS_MASK: u64 = (1 << OFFSET_SHIFT) - 1;

/// The frames of one worker, shared by all its AF_XDP ports. Clones are handles on the same.
#[derive(Clone, Debug)]
pub struct Umem(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    /// For each frame: 0 where it is not in the kernel's hands, otherwise its [`Lent`].
    lent: Box<[Cell<u32>]>,
    /// Bound sockets that have this memory registered.
    sockets: RefCell<Vec<Registered>>,
    /// Frames that each of them may have to receive into.
    share: Cell<u32>,
    next_socket: Cell<u32>,
}

/// A socket with this memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registered {
    pub(super) fd: RawFd,
    pub(super) zero_copy: bool,
}

/// To which socket a frame was given, and by which ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lent(u32);

impl Umem {
    /// The frames of `pool`. Nothing is registered before the first port is opened.
    pub fn new(pool: &Pool) -> Self {
        Umem(Rc::new(Inner {
            pool: pool.clone(),
            lent: vec![Cell::new(0); pool.frames() as usize].into(),
            sockets: RefCell::default(),
            share: Cell::new(share(pool, 1)),
            next_socket: Cell::new(1),
        }))
    }

    /// The pool.
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Frames that the kernel has.
    pub fn lent_frames(&self) -> usize {
        self.0.lent.iter().filter(|lent| lent.get() != 0).count()
    }

    /// Marks for the frames of a new socket: those to receive into and those to send.
    pub(super) fn new_socket(&self) -> (Lent, Lent) {
        // 2³⁰ sockets in a worker's life; the numbers of the first are free again by then.
        let number = self.0.next_socket.get();
        self.0.next_socket.set((number + 1) % (1 << 30) + u32::from(number + 1 == 1 << 30));
        (Lent(number << 1), Lent(number << 1 | 1))
    }

    /// Sockets to share the registration of.
    pub(super) fn registered(&self) -> Vec<Registered> {
        self.0.sockets.borrow().clone()
    }

    pub(super) fn add(&self, socket: Registered) {
        self.change(|sockets| sockets.push(socket));
    }

    pub(super) fn remove(&self, fd: RawFd) {
        self.change(|sockets| sockets.retain(|socket| socket.fd != fd));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Registered>)) {
        let mut sockets = self.0.sockets.borrow_mut();
        change(&mut sockets);
        self.0.share.set(share(&self.0.pool, sockets.len()));
    }

    /// How many frames a socket may have to receive into: half of the pool, in equal parts, so that the other half is
    /// there for what is on its way and for what the node sends itself.
    pub(super) fn share(&self) -> u32 {
        self.0.share.get()
    }

    /// Takes a free frame for a fill ring; its address.
    pub(super) fn lend_free(&self, to: Lent) -> Option<u64> {
        let frame = self.0.pool.take_frame()?;
        self.0.lent[frame as usize].set(to.0);
        Some(u64::from(frame) * FRAME_STRIDE as u64)
    }

    /// Takes `packet` apart for a send ring: address and length. It must be of this pool.
    pub(super) fn lend_packet(&self, packet: Packet, to: Lent) -> (u64, u32) {
        let (frame, start, length) = packet.into_frame();
        self.0.lent[frame as usize].set(to.0);
        (u64::from(frame) * FRAME_STRIDE as u64 + start as u64, length as u32)
    }

    /// The packet that the kernel has put at `address`; `None` where it was not given that frame to receive into, or
    /// where the packet would not lie in it.
    pub(super) fn received(&self, address: u64, length: u32, from: Lent) -> Option<Packet> {
        let (frame, start) = self.take_back(address, from)?;
        if length == 0 || start + length as usize > FRAME_LEN {
            self.0.pool.give_frame(frame);
            return None;
        }
        Some(self.0.pool.packet(frame, start, length as usize))
    }

    /// Returns the frame of a completed send to the pool; whether it was one.
    pub(super) fn completed(&self, address: u64, from: Lent) -> bool {
        self.take_back(address, from).map(|(frame, _)| self.0.pool.give_frame(frame)).is_some()
    }

    fn take_back(&self, address: u64, from: Lent) -> Option<(u32, usize)> {
        // The kernel names the start that it was given and, in the upper bits, how far from there the octets are.
        let address = (address & ADDRESS_MASK) + (address >> OFFSET_SHIFT);
        let frame = u32::try_from(address / FRAME_STRIDE as u64).ok()?;
        let lent = self.0.lent.get(frame as usize)?;
        if lent.get() != from.0 {
            return None;
        }
        lent.set(0);
        Some((frame, (address % FRAME_STRIDE as u64) as usize))
    }

    /// Frames marked `to`.
    pub(super) fn count(&self, to: Lent) -> u32 {
        self.0.lent.iter().filter(|lent| lent.get() == to.0).count() as u32
    }

    /// Returns all frames marked `from` to the pool; how many. Their socket is closed, so that the kernel writes into
    /// none of them any more.
    pub(super) fn reclaim(&self, from: Lent) -> usize {
        let mut found = 0;
        for (frame, lent) in self.0.lent.iter().enumerate() {
            if lent.get() == from.0 {
                lent.set(0);
                self.0.pool.give_frame(frame as u32);
                found += 1;
            }
        }
        found
    }
}

fn share(pool: &Pool, sockets: usize) -> u32 {
    (pool.frames() / 2 / sockets.max(1) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::HEADROOM;
    use proptest::prelude::*;

    #[test]
    fn only_what_was_lent_comes_back_and_once() {
        let pool = Pool::new(4).unwrap();
        let umem = Umem::new(&pool);
        let (receive, send) = umem.new_socket();
        let (other, _) = umem.new_socket();
        let address = umem.lend_free(receive).unwrap();
        let at = address + HEADROOM as u64;
        let as_received = address | (HEADROOM as u64) << OFFSET_SHIFT;
        assert!(umem.received(at, 60, other).is_none());
        assert!(!umem.completed(at, send));
        let packet = umem.received(as_received, 60, receive).unwrap();
        assert_eq!((packet.headroom(), packet.len()), (HEADROOM, 60));
        assert!(umem.received(at, 60, receive).is_none());
        let (address, length) = umem.lend_packet(packet, send);
        assert_eq!((address, length, pool.free_frames()), (at, 60, 3));
        assert!(umem.completed(address, send) && !umem.completed(address, send));
        assert_eq!(pool.free_frames(), 4);
    }

    #[test]
    fn a_packet_that_leaves_its_frame_is_refused_and_its_frame_kept() {
        let pool = Pool::new(2).unwrap();
        let umem = Umem::new(&pool);
        let (receive, _) = umem.new_socket();
        for (offset, length) in [(0, 0), (0, FRAME_LEN as u32 + 1), (4000, 97), (0, u32::MAX)] {
            let address = umem.lend_free(receive).unwrap();
            assert!(umem.received(address + offset, length, receive).is_none());
            assert_eq!(pool.free_frames(), 2);
        }
    }

    #[test]
    fn half_of_the_pool_is_shared_by_the_sockets() {
        let umem = Umem::new(&Pool::new(64).unwrap());
        assert_eq!(umem.share(), 32);
        (0..3).for_each(|fd| umem.add(Registered { fd, zero_copy: false }));
        assert_eq!(umem.share(), 10);
        (0..3).for_each(|fd| umem.remove(fd));
        (0..100).for_each(|fd| umem.add(Registered { fd, zero_copy: false }));
        assert_eq!(umem.share(), 1);
    }

    #[test]
    fn closing_finds_every_frame() {
        let pool = Pool::new(8).unwrap();
        let umem = Umem::new(&pool);
        let (receive, send) = umem.new_socket();
        let (other, _) = umem.new_socket();
        assert!((0..3).all(|_| umem.lend_free(receive).is_some()));
        umem.lend_packet(pool.take().unwrap(), send);
        umem.lend_free(other).unwrap();
        assert_eq!((umem.lent_frames(), umem.reclaim(receive), umem.reclaim(send)), (5, 3, 1));
        assert_eq!((pool.free_frames(), umem.reclaim(other)), (7, 1));
    }

    proptest! {
        #[test]
        fn whatever_the_kernel_says_frames_balance(said in proptest::collection::vec((any::<u64>(), 0u64..40_000, any::<u32>(), any::<bool>()), 0..64)) {
            let pool = Pool::new(8).unwrap();
            let umem = Umem::new(&pool);
            let (receive, send) = umem.new_socket();
            assert!((0..4).all(|_| umem.lend_free(receive).is_some()));
            umem.lend_packet(pool.take().unwrap(), send);
            let mut packets = Vec::new();
            for (wild, near, length, complete) in said {
                for address in [wild, near] {
                    if complete {
                        umem.completed(address, send);
                    } else {
                        packets.extend(umem.received(address, length % 5000, receive));
                    }
                }
            }
            prop_assert_eq!(pool.free_frames() + umem.lent_frames() + packets.len(), 8);
            drop(packets);
            umem.reclaim(receive);
            umem.reclaim(send);
            prop_assert_eq!(pool.free_frames(), 8);
        }
    }
}
