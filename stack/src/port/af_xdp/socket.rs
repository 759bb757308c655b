//! An AF_XDP socket: one queue of one interface, with its four rings.

use super::XdpOptions;
use super::busy_poll;
use super::ring::{Consumer, Producer};
use super::umem::{Lent, Registered, Umem};
use crate::packet::{Batch, FRAME_LEN, HEADROOM};
use crate::port::watch::owned;
use core::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Entries of each ring, a power of two.
const RING_SIZE: u32 = 2048;
/// What the kernel itself keeps free in front of a frame for XDP programs.
const XDP_PACKET_HEADROOM: usize = 256;
/// Fewer missing frames than this are not worth touching the fill ring for.
const REFILL: u32 = 32;
/// Frames to receive into that a socket gets when it is bound.
const FIRST_FILL: u32 = 32;
/// Frames that the kernel is asked to send in one call where it can be told; of itself it stops after 32.
const SEND_BUDGET: u32 = 256;
const XDP_MAX_TX_SKB_BUDGET: c_int = 9;

/// How to bind a socket.
#[derive(Clone, Copy)]
enum Binding {
    /// To the registration of this one.
    Share(Registered),
    /// With a registration of its own.
    Own(u16),
}

/// What a call for sending came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kick {
    /// Nothing is left, or nothing was to do.
    Done,
    /// Frames are left in the ring.
    Later,
    /// The interface takes none.
    Down,
}

#[derive(Debug)]
pub(super) struct Socket {
    fd: Option<OwnedFd>,
    umem: Umem,
    receive: Lent,
    send: Lent,
    fill: Producer<u64>,
    rx: Consumer<libc::xdp_desc>,
    tx: Producer<libc::xdp_desc>,
    completion: Consumer<u64>,
    /// Frames lent to receive into.
    to_receive: u32,
    /// How many that should be, where the pool has so many.
    receive_frames: u32,
    /// Frames lent to be sent.
    to_send: u32,
    zero_copy: bool,
    need_wakeup: bool,
    /// Whether calls poll the device, and for how many µs where they may wait.
    busy_poll_us: u32,
}

/// What was received.
#[derive(Clone, Copy, Default)]
pub(super) struct Received {
    pub(super) frames: usize,
    pub(super) octets: u64,
    /// Descriptors that made no sense.
    pub(super) invalid: u64,
}

impl Socket {
    /// Opens and binds a socket, zero-copy where `zero_copy` allows it and the driver offers it.
    pub(super) fn open(
        umem: &Umem,
        interface: u32,
        queue: u32,
        zero_copy: bool,
        options: &XdpOptions,
    ) -> io::Result<Socket> {
        let mut error = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
        for binding in attempts(umem, zero_copy) {
            match Socket::bind(umem, interface, queue, binding, options) {
                Ok(socket) => return Ok(socket),
                // The queue is taken, or this process may not: another flag would not change it.
                Err(last) if matches!(last.raw_os_error(), Some(libc::EBUSY | libc::EPERM | libc::ENODEV)) => {
                    return Err(last);
                }
                Err(last) => error = last,
            }
        }
        Err(error)
    }

    fn bind(umem: &Umem, interface: u32, queue: u32, binding: Binding, options: &XdpOptions) -> io::Result<Socket> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointer is passed; `owned` checks the result.
        let fd = unsafe { owned(libc::socket(libc::AF_XDP, kind, 0)) }?;
        let raw = fd.as_raw_fd();
        if matches!(binding, Binding::Own(_)) {
            register(raw, umem)?;
        }
        for ring in [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING, libc::XDP_TX_RING] {
            set_option(raw, ring, &RING_SIZE)?;
        }
        // Kernels that do not know it send 32 frames a call.
        let _ = set_option(raw, XDP_MAX_TX_SKB_BUDGET, &SEND_BUDGET);
        let offsets = offsets(raw)?;
        let fill = Producer::map(raw, libc::XDP_UMEM_PGOFF_FILL_RING, (&offsets.fr).into(), RING_SIZE)?;
        let completion = Consumer::map(raw, libc::XDP_UMEM_PGOFF_COMPLETION_RING, (&offsets.cr).into(), RING_SIZE)?;
        let rx = Consumer::map(raw, libc::XDP_PGOFF_RX_RING as u64, (&offsets.rx).into(), RING_SIZE)?;
        let tx = Producer::map(raw, libc::XDP_PGOFF_TX_RING as u64, (&offsets.tx).into(), RING_SIZE)?;
        let (flags, shared) = match binding {
            Binding::Share(with) => (libc::XDP_SHARED_UMEM, with.fd),
            Binding::Own(flags) => (flags, 0),
        };
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: shared as u32,
        };
        let length = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
        // SAFETY: `address` is a sockaddr_xdp of the length given.
        if unsafe { libc::bind(raw, (&raw const address).cast(), length) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let zero_copy = bound_with(raw) & libc::XDP_OPTIONS_ZEROCOPY != 0;
        let busy_poll_us = if options.busy_poll_us > 0 { busy_poll::ask_for(raw, options.busy_poll_us) } else { 0 };
        umem.add(Registered { fd: raw, zero_copy });
        let (receive, send) = umem.new_socket();
        let mut socket = Socket {
            fd: Some(fd),
            umem: umem.clone(),
            receive,
            send,
            need_wakeup: tx.needs_wakeup() || fill.needs_wakeup(),
            fill,
            rx,
            tx,
            completion,
            to_receive: 0,
            receive_frames: options.receive_frames.clamp(1, RING_SIZE),
            to_send: 0,
            zero_copy,
            busy_poll_us,
        };
        // The rest is given with the first turn, when it is known how many sockets share the pool.
        socket.refill(FIRST_FILL);
        Ok(socket)
    }

    pub(super) fn fd(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    pub(super) fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    pub(super) fn uses_need_wakeup(&self) -> bool {
        self.need_wakeup
    }

    pub(super) fn busy_poll_us(&self) -> u32 {
        self.busy_poll_us
    }

    /// Whether its calls poll the device.
    pub(super) fn polls_device(&self) -> bool {
        self.polls_busily() && busy_poll::has_device(self.fd())
    }

    /// Moves received frames into `batch`, and gives the kernel free ones instead.
    pub(super) fn receive(&mut self, batch: &mut Batch) -> Received {
        let received = self.take(batch);
        self.refill(self.umem.share());
        if received.frames > 0 || received.invalid > 0 || batch.is_full() {
            return received;
        }
        if self.polls_busily() {
            // The device is polled in the call, so that what it has is there now.
            self.call_to_receive();
            return self.take(batch);
        }
        if self.fill.needs_wakeup() {
            self.call_to_receive();
        }
        received
    }

    /// Whether this socket's calls are to poll the device.
    fn polls_busily(&self) -> bool {
        self.busy_poll_us > 0
    }

    /// Has the driver look at the fill ring, and the kernel poll the device where that is asked for.
    fn call_to_receive(&self) {
        // SAFETY: no buffer is passed.
        unsafe {
            libc::recvfrom(
                self.fd(),
                core::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                core::ptr::null_mut(),
                core::ptr::null_mut(),
            )
        };
    }

    /// Moves received frames into `batch`.
    fn take(&mut self, batch: &mut Batch) -> Received {
        let mut received = Received::default();
        let waiting = self.rx.available().min(batch.remaining_capacity() as u32);
        for _ in 0..waiting {
            let descriptor = self.rx.read();
            match self.umem.received(descriptor.addr, descriptor.len, self.receive) {
                Some(packet) => {
                    received.frames += 1;
                    received.octets += packet.len() as u64;
                    batch.push(packet);
                }
                None => received.invalid += 1,
            }
        }
        if waiting > 0 {
            self.rx.release();
            self.to_receive -= received.frames as u32;
        }
        if received.invalid > 0 {
            self.to_receive = self.umem.count(self.receive);
        }
        received
    }

    /// Gives the kernel free frames, until it has what was asked for at opening, or `share`.
    fn refill(&mut self, share: u32) {
        let wanted = self.receive_frames.min(share);
        let missing = wanted.saturating_sub(self.to_receive);
        if missing < REFILL.min(wanted.div_ceil(2)) {
            return;
        }
        let room = missing.min(self.fill.free(missing));
        let mut given = 0;
        while given < room {
            let Some(address) = self.umem.lend_free(self.receive) else { break };
            self.fill.write(address);
            given += 1;
        }
        if given > 0 {
            self.fill.publish();
            self.to_receive += given;
        }
    }

    /// Returns sent frames to the pool.
    pub(super) fn reap(&mut self) {
        if self.to_send == 0 {
            return;
        }
        let done = self.completion.available();
        for _ in 0..done {
            let address = self.completion.read();
            if self.umem.completed(address, self.send) {
                self.to_send -= 1;
            }
        }
        if done > 0 {
            self.completion.release();
        }
    }

    /// How many frames can be sent now, `wanted` or more if there is room for so many.
    pub(super) fn room(&mut self, wanted: usize) -> usize {
        self.tx.free(wanted as u32) as usize
    }

    /// Puts the first `count` frames of `batch`, which are of this pool and have room, into the ring.
    pub(super) fn send(&mut self, batch: &mut Batch, count: usize) {
        if count == 0 {
            return;
        }
        for packet in batch.drain(..count) {
            let (addr, len) = self.umem.lend_packet(packet, self.send);
            self.tx.write(libc::xdp_desc { addr, len, options: 0 });
        }
        self.to_send += count as u32;
        self.tx.publish();
    }

    /// Frames in the ring that the kernel has not taken.
    pub(super) fn unsent(&self) -> u32 {
        self.tx.outstanding()
    }

    /// Has the kernel send what is in the ring; how many frames it reported as lost is added to `lost`.
    pub(super) fn kick(&mut self, lost: &mut u64) -> Kick {
        let mut before = self.unsent();
        loop {
            if before == 0 || !(self.polls_busily() || self.tx.needs_wakeup()) {
                return Kick::Done;
            }
            // SAFETY: no buffer is passed; the call has the kernel look at the send ring.
            let result =
                unsafe { libc::sendto(self.fd(), core::ptr::null(), 0, libc::MSG_DONTWAIT, core::ptr::null(), 0) };
            let error = if result < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 };
            let left = self.unsent();
            match error {
                // All was sent, or a frame was sent and lost, or the kernel stopped after its own measure: once more,
                // as long as that goes on.
                0 | libc::EAGAIN | libc::EINTR => {}
                libc::EBUSY => *lost += 1,
                libc::ENETDOWN | libc::ENXIO | libc::ENODEV => return Kick::Down,
                _ => return Kick::Later,
            }
            if left == 0 {
                return Kick::Done;
            }
            if left >= before {
                return Kick::Later;
            }
            before = left;
        }
    }

    /// Frames that the kernel could not deliver here since the socket was bound.
    pub(super) fn lost(&self) -> u64 {
        // SAFETY: all zeros is a valid xdp_statistics.
        let mut statistics: libc::xdp_statistics = unsafe { core::mem::zeroed() };
        get_option(self.fd(), libc::XDP_STATISTICS, &mut statistics);
        statistics.rx_dropped.saturating_add(statistics.rx_ring_full)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.umem.remove(self.fd());
        // Once close(2) has returned the kernel receives into none of the socket's frames.
        drop(self.fd.take());
        self.umem.reclaim(self.receive);
        self.umem.reclaim(self.send);
    }
}

/// The ways to bind, best first: without copies with whom has that already, alone; then the same with copies.
fn attempts(umem: &Umem, zero_copy: bool) -> Vec<Binding> {
    let registered = umem.registered();
    let share = |zero_copy| registered.iter().find(|socket| socket.zero_copy == zero_copy).map(|&s| Binding::Share(s));
    let mut attempts = Vec::new();
    if zero_copy {
        attempts.extend(share(true));
        attempts.push(Binding::Own(libc::XDP_ZEROCOPY | libc::XDP_USE_NEED_WAKEUP));
    }
    attempts.extend(share(false));
    attempts.push(Binding::Own(libc::XDP_COPY | libc::XDP_USE_NEED_WAKEUP));
    attempts.push(Binding::Own(libc::XDP_COPY));
    attempts
}

/// Registers the pool's frames, which stand at no multiple of their size. Where the limit on locked memory is in the way, it is raised if that is allowed.
fn register(fd: RawFd, umem: &Umem) -> io::Result<()> {
    let (start, length) = umem.pool().memory();
    let registration = libc::xdp_umem_reg {
        addr: start.as_ptr() as u64,
        len: length as u64,
        chunk_size: FRAME_LEN as u32,
        headroom: (HEADROOM - XDP_PACKET_HEADROOM) as u32,
        flags: libc::XDP_UMEM_UNALIGNED_CHUNK_FLAG,
        tx_metadata_len: 0,
    };
    match set_option(fd, libc::XDP_UMEM_REG, &registration) {
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
            let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
            // SAFETY: `limit` is one rlimit.
            if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) } < 0 {
                return Err(error);
            }
            set_option(fd, libc::XDP_UMEM_REG, &registration)
        }
        other => other,
    }
}

fn offsets(fd: RawFd) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: all zeros is a valid xdp_mmap_offsets.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { core::mem::zeroed() };
    if get_option(fd, libc::XDP_MMAP_OFFSETS, &mut offsets) < size_of::<libc::xdp_mmap_offsets>() {
        // Kernels before 5.4 have no flags and no need-wakeup.
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    Ok(offsets)
}

fn bound_with(fd: RawFd) -> u32 {
    let mut options = libc::xdp_options { flags: 0 };
    get_option(fd, libc::XDP_OPTIONS, &mut options);
    options.flags
}

fn set_option<T>(fd: RawFd, option: c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is as long as is said.
    let result = unsafe { libc::setsockopt(fd, libc::SOL_XDP, option, (&raw const *value).cast::<c_void>(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads an option made of integers; how many octets of it the kernel knows.
fn get_option<T>(fd: RawFd, option: c_int, value: &mut T) -> usize {
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is as long as is said, and holds integers only, so that whatever is written is valid.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_XDP, option, (&raw mut *value).cast::<c_void>(), &mut length) };
    if result < 0 { 0 } else { length as usize }
}

#[cfg(test)]
mod tests {
    use super::super::ring::tests::Memory;
    use super::*;
    use crate::packet::Pool;
    use proptest::prelude::*;

    const FRAMES: u32 = 64;
    const RECEIVE: u32 = 16;

    /// The rings of a socket of which a test is the kernel; the socket itself is closed.
    struct Kernel {
        fill: Consumer<u64>,
        rx: Producer<libc::xdp_desc>,
        tx: Consumer<libc::xdp_desc>,
        completion: Producer<u64>,
        /// Kept as long as the rings.
        _memory: Vec<Memory>,
    }

    fn socket() -> (Socket, Kernel) {
        let umem = Umem::new(&Pool::new(FRAMES).unwrap());
        let mut memory: Vec<Memory> =
            [8, 8, 16, 16].iter().map(|&entry: &u32| Memory::new::<u8>(RING_SIZE * entry)).collect();
        let (receive, send) = umem.new_socket();
        let mut socket = Socket {
            fd: None,
            umem,
            receive,
            send,
            fill: memory[0].producer(RING_SIZE),
            completion: memory[1].consumer(RING_SIZE),
            rx: memory[2].consumer(RING_SIZE),
            tx: memory[3].producer(RING_SIZE),
            to_receive: 0,
            receive_frames: RECEIVE,
            to_send: 0,
            zero_copy: false,
            need_wakeup: false,
            busy_poll_us: 0,
        };
        socket.refill(FRAMES);
        let kernel = Kernel {
            fill: memory[0].consumer(RING_SIZE),
            completion: memory[1].producer(RING_SIZE),
            rx: memory[2].producer(RING_SIZE),
            tx: memory[3].consumer(RING_SIZE),
            _memory: memory,
        };
        (socket, kernel)
    }

    impl Kernel {
        fn deliver(&mut self, addr: u64, len: u32) {
            if self.rx.free(1) > 0 {
                self.rx.write(libc::xdp_desc { addr, len, options: 0 });
                self.rx.publish();
            }
        }

        fn complete(&mut self, address: u64) {
            if self.completion.free(1) > 0 {
                self.completion.write(address);
                self.completion.publish();
            }
        }
    }

    #[test]
    fn frames_go_round() {
        let (mut socket, mut kernel) = socket();
        let pool = socket.umem.pool().clone();
        let mut batch = Batch::new();
        for round in 0..1000u32 {
            while kernel.fill.available() > 0 {
                let address = kernel.fill.read();
                kernel.deliver(address + HEADROOM as u64, 60 + round % 100);
            }
            kernel.fill.release();
            assert!(socket.receive(&mut batch).invalid == 0);
            let count = batch.len();
            assert!(count > 0 && batch.iter().all(|packet| packet.len() == 60 + round as usize % 100));
            assert!(socket.room(count) >= count);
            socket.send(&mut batch, count);
            while kernel.tx.available() > 0 {
                let descriptor = kernel.tx.read();
                kernel.complete(descriptor.addr);
            }
            kernel.tx.release();
            socket.reap();
            assert_eq!(socket.to_send, 0);
            assert_eq!(pool.free_frames() as u32 + socket.to_receive, FRAMES);
        }
        drop(socket);
        assert_eq!(pool.free_frames() as u32, FRAMES);
    }

    proptest! {
        /// A kernel that says anything: wild addresses, frames that it was not given, the same ones twice.
        #[test]
        fn whatever_the_kernel_says_no_frame_is_lost_or_had_twice(
            said in proptest::collection::vec((0u8..6, any::<u64>(), 0u64..u64::from(FRAMES) * 4096 + 9000, 0u32..5000), 1..200)
        ) {
            let (mut socket, mut kernel) = socket();
            let pool = socket.umem.pool().clone();
            let (mut batch, mut held) = (Batch::new(), Vec::new());
            for (what, wild, near, length) in said {
                match what {
                    0 => kernel.deliver(near, length),
                    1 => kernel.deliver(wild, length),
                    2 if kernel.fill.available() > 0 => {
                        let address = kernel.fill.read();
                        kernel.deliver(address + near % 4096, length);
                    }
                    3 => kernel.complete(near),
                    4 if kernel.tx.available() > 0 => {
                        let address = kernel.tx.read().addr;
                        kernel.complete(address);
                        kernel.complete(address);
                    }
                    _ => {
                        socket.receive(&mut batch);
                        let count = socket.room(batch.len()).min(batch.len()) / 2;
                        socket.send(&mut batch, count);
                        held.extend(batch.drain(..));
                        socket.reap();
                    }
                }
                let lent = socket.umem.lent_frames();
                prop_assert_eq!(pool.free_frames() + lent + held.len() + batch.len(), FRAMES as usize);
                prop_assert_eq!(lent as u32, socket.to_receive + socket.to_send);
            }
            drop((socket, held, batch));
            prop_assert_eq!(pool.free_frames(), FRAMES as usize);
        }
    }
}
