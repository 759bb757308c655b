//! One of the four rings that a socket shares with the kernel (Documentation/networking/af_xdp.rst).
//!
//! Both sides write one counter each, which only ever grows, modulo 2³²; entries between the consumer's and the
//! producer's belong to the consumer. What the other side writes is not trusted: a counter that is out of range is
//! taken for the nearest one in range, and what an entry says is checked by who reads it.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::os::fd::RawFd;

/// What of the ring's memory is where.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) producer: u64,
    pub(super) consumer: u64,
    pub(super) entries: u64,
    pub(super) flags: u64,
}

impl From<&libc::xdp_ring_offset> for Layout {
    fn from(offset: &libc::xdp_ring_offset) -> Self {
        Layout { producer: offset.producer, consumer: offset.consumer, entries: offset.desc, flags: offset.flags }
    }
}

/// A mapping of a descriptor.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `Ring::map`, to which only the ring that is dropped with it points.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[derive(Debug)]
struct Ring<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
    size: u32,
    _mapping: Option<Mapping>,
}

impl<T: Copy> Ring<T> {
    /// Maps the ring of `size` entries (a power of two) of socket `fd`.
    fn map(fd: RawFd, offset: u64, layout: Layout, size: u32) -> io::Result<Self> {
        let length = layout.entries as usize + size as usize * size_of::<T>();
        // SAFETY: a fresh mapping, no address asked for; the result is checked.
        let start = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                fd,
                offset as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or_else(|| io::Error::other("mmap returned null"))?;
        let mapping = Mapping { start, length };
        let inside = |at: u64, octets: usize, align: usize| {
            at.checked_add(octets as u64).is_some_and(|end| end <= length as u64) && at.is_multiple_of(align as u64)
        };
        if !(size.is_power_of_two()
            && [layout.producer, layout.consumer, layout.flags].iter().all(|&at| inside(at, 4, 4))
            && inside(layout.entries, size as usize * size_of::<T>(), align_of::<T>()))
        {
            return Err(io::Error::from_raw_os_error(libc::EPROTO));
        }
        // SAFETY: the offsets were checked to lie in the mapping, with room and alignment for what is there; a mapping
        // starts on a page. It lives as long as the ring, which keeps it.
        Ok(unsafe { Ring::new(start, layout, size, Some(mapping)) })
    }

    /// # Safety
    /// `start` must point at memory laid out as `layout` says, aligned and valid for as long as the ring, in which
    /// the counters and flags are only touched atomically.
    unsafe fn new(start: NonNull<u8>, layout: Layout, size: u32, mapping: Option<Mapping>) -> Self {
        // SAFETY: the offsets are inside, says the caller.
        unsafe {
            Ring {
                producer: start.add(layout.producer as usize).cast(),
                consumer: start.add(layout.consumer as usize).cast(),
                flags: start.add(layout.flags as usize).cast(),
                entries: start.add(layout.entries as usize).cast(),
                size,
                _mapping: mapping,
            }
        }
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: valid since `new`, and atomic on both sides.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    fn entry(&self, position: u32) -> *mut T {
        // SAFETY: masked by the size, which is a power of two, so inside the entries.
        unsafe { self.entries.as_ptr().add((position & (self.size - 1)) as usize) }
    }

    fn needs_wakeup(&self) -> bool {
        // SAFETY: as in `producer`.
        let flags = unsafe { self.flags.as_ref() };
        flags.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// A ring that this side fills: the fill ring, the send ring.
#[derive(Debug)]
pub(super) struct Producer<T> {
    ring: Ring<T>,
    /// Position of the next entry; written ones up to it are not published before [`Producer::publish`].
    next: u32,
    /// Entries known to be free.
    free: u32,
}

impl<T: Copy> Producer<T> {
    pub(super) fn map(fd: RawFd, offset: u64, layout: Layout, size: u32) -> io::Result<Self> {
        Ring::map(fd, offset, layout, size).map(Self::over)
    }

    fn over(ring: Ring<T>) -> Self {
        let next = ring.producer().load(Ordering::Relaxed);
        Producer { ring, next, free: 0 }
    }

    /// How many entries can be written, `wanted` or more if there are so many.
    pub(super) fn free(&mut self, wanted: u32) -> u32 {
        if self.free < wanted {
            self.free = self.ring.size - self.outstanding();
        }
        self.free
    }

    /// Entries, written here, that the kernel has not taken.
    pub(super) fn outstanding(&self) -> u32 {
        self.next.wrapping_sub(self.ring.consumer().load(Ordering::Acquire)).min(self.ring.size)
    }

    /// Writes the next entry. The caller has asked [`Producer::free`].
    pub(super) fn write(&mut self, value: T) {
        debug_assert!(self.free > 0);
        // SAFETY: inside the ring; what the kernel reads is published later, and it writes no entries of this ring.
        unsafe { self.ring.entry(self.next).write(value) };
        self.next = self.next.wrapping_add(1);
        self.free = self.free.saturating_sub(1);
    }

    /// Gives the kernel what was written.
    pub(super) fn publish(&self) {
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// Whether the kernel wants a system call before it looks at the ring.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring that this side empties: the receive ring, the completion ring.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    /// Position of the next entry to read.
    next: u32,
}

impl<T: Copy> Consumer<T> {
    pub(super) fn map(fd: RawFd, offset: u64, layout: Layout, size: u32) -> io::Result<Self> {
        Ring::map(fd, offset, layout, size).map(Self::over)
    }

    fn over(ring: Ring<T>) -> Self {
        let next = ring.consumer().load(Ordering::Relaxed);
        Consumer { ring, next }
    }

    /// How many entries wait.
    pub(super) fn available(&self) -> u32 {
        self.ring.producer().load(Ordering::Acquire).wrapping_sub(self.next).min(self.ring.size)
    }

    /// Reads the next entry. The caller has asked [`Consumer::available`].
    pub(super) fn read(&mut self) -> T {
        // SAFETY: inside the ring; plain integers, for which every bit pattern is valid. Volatile, as the kernel may
        // write there if it does not keep the rules.
        let value = unsafe { self.ring.entry(self.next).read_volatile() };
        self.next = self.next.wrapping_add(1);
        value
    }

    /// Gives the kernel back the entries that were read.
    pub(super) fn release(&self) {
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { producer: 0, consumer: 64, flags: 68, entries: 128 };

    /// Memory of a ring, with the kernel's side in the hands of a test.
    pub(crate) struct Memory(Box<[u64]>);

    impl Memory {
        pub(crate) fn new<T>(size: u32) -> Self {
            Memory(vec![0; (LAYOUT.entries as usize + size as usize * size_of::<T>()).div_ceil(8)].into())
        }

        fn ring<T: Copy>(&mut self, size: u32) -> Ring<T> {
            let start = NonNull::new(self.0.as_mut_ptr().cast()).unwrap();
            // SAFETY: `new` made room; the tests keep the memory longer than the ring.
            unsafe { Ring::new(start, LAYOUT, size, None) }
        }

        pub(crate) fn producer<T: Copy>(&mut self, size: u32) -> Producer<T> {
            Producer::over(self.ring(size))
        }

        pub(crate) fn consumer<T: Copy>(&mut self, size: u32) -> Consumer<T> {
            Consumer::over(self.ring(size))
        }
    }

    #[test]
    fn what_is_produced_is_consumed_in_order_over_the_wrap() {
        let mut memory = Memory::new::<u64>(4);
        let start = u32::MAX - 1;
        memory.ring::<u64>(4).producer().store(start, Ordering::Relaxed);
        memory.ring::<u64>(4).consumer().store(start, Ordering::Relaxed);
        let (mut producer, mut consumer) = (memory.producer::<u64>(4), memory.consumer::<u64>(4));
        for round in 0..3u64 {
            assert_eq!(producer.free(4), 4);
            (0..4).for_each(|n| producer.write(round * 10 + n));
            assert_eq!(consumer.available(), 0);
            producer.publish();
            assert_eq!((producer.free(1), producer.outstanding(), consumer.available()), (0, 4, 4));
            (0..4).for_each(|n| assert_eq!(consumer.read(), round * 10 + n));
            consumer.release();
            assert_eq!(producer.outstanding(), 0);
        }
    }

    #[test]
    fn counters_out_of_range_are_taken_for_the_nearest() {
        for hostile in [5, 1000, u32::MAX, 1 << 31] {
            let mut memory = Memory::new::<u64>(4);
            let mut producer = memory.producer::<u64>(4);
            let consumer = memory.consumer::<u64>(4);
            memory.ring::<u64>(4).producer().store(hostile, Ordering::Relaxed);
            assert_eq!(consumer.available(), 4);
            memory.ring::<u64>(4).consumer().store(hostile, Ordering::Relaxed);
            assert!(producer.free(1) <= 4 && producer.outstanding() <= 4);
        }
    }

    #[test]
    fn the_wakeup_flag_is_the_kernels() {
        let mut memory = Memory::new::<u64>(4);
        let producer = memory.producer::<u64>(4);
        assert!(!producer.needs_wakeup());
        let ring = memory.ring::<u64>(4);
        // SAFETY: valid, and atomic.
        unsafe { ring.flags.as_ref() }.store(libc::XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
        assert!(producer.needs_wakeup());
    }
}
