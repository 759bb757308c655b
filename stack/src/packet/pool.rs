use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::NonNull;
use std::io;
use std::rc::Rc;

/// Octets of a frame, headroom included: one AF_XDP chunk, which holds an MTU of 3,000 octets and more.
pub const FRAME_LEN: usize = 4096;
/// Octets kept free in front of a received frame: the 256 that the kernel wants for XDP, and room for two
/// encapsulations and an Ethernet header (40 + 40 + 14) behind them.
pub const HEADROOM: usize = 512;
/// Octets from one frame to the next: an odd number of cache lines. At a power of two the headers of all frames would
/// share a few sets of the processor's caches and drive each other out within a batch.
pub(crate) const FRAME_STRIDE: usize = FRAME_LEN + 64;
/// Mappings are whole huge pages where the machine has some reserved.
const HUGE_PAGE: usize = 2 << 20;

/// The frames of one worker: one mapping, which is also the UMEM of the worker's AF_XDP ports.
///
/// Cloning a pool gives another handle on the same frames. A pool is not shared between threads.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    memory: NonNull<u8>,
    /// Octets of the mapping.
    mapped: usize,
    /// Whether it is made of reserved huge pages.
    huge: bool,
    frames: u32,
    free: UnsafeCell<Vec<u32>>,
}

/// No frame is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no frame is free in the pool")]
pub struct PoolExhausted;

impl Pool {
    /// Maps `frames` frames: on huge pages where the machine has enough of them reserved, else on others, for which huge
    /// ones are asked for and not required.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn new(frames: u32) -> io::Result<Self> {
        let length = (frames as usize * FRAME_STRIDE).max(FRAME_STRIDE);
        let reserved = length.next_multiple_of(HUGE_PAGE);
        let (memory, mapped, huge) = match map(reserved, libc::MAP_HUGETLB | libc::MAP_HUGE_2MB) {
            Ok(memory) => (memory, reserved, true),
            Err(_) => {
                let memory = map(length, 0)?;
                // SAFETY: the range is the mapping made above. The advice may be refused, which changes nothing.
                unsafe { libc::madvise(memory.as_ptr().cast(), length, libc::MADV_HUGEPAGE) };
                (memory, length, false)
            }
        };
        let free = (0..frames).rev().collect();
        Ok(Pool(Rc::new(Inner { memory, mapped, huge, frames, free: UnsafeCell::new(free) })))
    }

    /// Whether the frames stand on reserved huge pages, so that a device reaches those that lie across a page's end.
    pub fn is_on_huge_pages(&self) -> bool {
        self.0.huge
    }

    /// How many frames there are.
    pub fn frames(&self) -> u32 {
        self.0.frames
    }

    /// How many frames are free. Those in a port's rings or in packets are not.
    pub fn free_frames(&self) -> usize {
        // SAFETY: `free` is only touched inside the methods of this type, none of which lends it out or calls back, and
        // the pool stays on one thread (`Rc`).
        unsafe { (*self.0.free.get()).len() }
    }

    /// Takes a free frame as an empty packet behind [`HEADROOM`].
    ///
    /// # Errors
    /// [`PoolExhausted`] where none is free.
    pub fn take(&self) -> Result<Packet, PoolExhausted> {
        self.take_frame().map(|frame| self.packet(frame, HEADROOM, 0)).ok_or(PoolExhausted)
    }

    /// A packet with a copy of `bytes`.
    ///
    /// # Errors
    /// [`PoolExhausted`] where no frame is free or `bytes` is longer than a frame has room for.
    pub fn copy_of(&self, bytes: &[u8]) -> Result<Packet, PoolExhausted> {
        if bytes.len() > FRAME_LEN - HEADROOM {
            return Err(PoolExhausted);
        }
        let mut packet = self.take()?;
        packet.end = packet.start + bytes.len() as u16;
        packet.bytes_mut().copy_from_slice(bytes);
        Ok(packet)
    }

    /// Start of the mapping, for registering it as a UMEM.
    pub(crate) fn memory(&self) -> (NonNull<u8>, usize) {
        (self.0.memory, self.0.frames as usize * FRAME_STRIDE)
    }

    /// Takes a free frame out of the pool for a port's fill ring.
    pub(crate) fn take_frame(&self) -> Option<u32> {
        // SAFETY: as in `free_frames`.
        unsafe { (*self.0.free.get()).pop() }
    }

    /// Gives back a frame that was taken by [`Pool::take_frame`] or [`Packet::into_frame`].
    pub(crate) fn give_frame(&self, frame: u32) {
        debug_assert!(frame < self.0.frames);
        // SAFETY: as in `free_frames`. The list has room for every frame since it was built, so nothing is allocated.
        unsafe { (*self.0.free.get()).push(frame) };
    }

    /// The packet of `length` octets at `start` in a frame that was taken by [`Pool::take_frame`].
    ///
    /// # Panics
    /// Where the octets are not all in the frame.
    pub(crate) fn packet(&self, frame: u32, start: usize, length: usize) -> Packet {
        assert!(frame < self.0.frames && start + length <= FRAME_LEN);
        Packet { pool: self.clone(), frame, start: start as u16, end: (start + length) as u16 }
    }

    /// Whether `packet` lives in this pool.
    pub(crate) fn owns(&self, packet: &Packet) -> bool {
        Rc::ptr_eq(&self.0, &packet.pool.0)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("frames", &self.frames()).field("free", &self.free_frames()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the mapping of `Pool::new`; no packet is left, each holds an `Rc` of this.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.mapped) };
    }
}

/// An anonymous mapping of `length` octets.
fn map(length: usize, flags: libc::c_int) -> io::Result<NonNull<u8>> {
    // SAFETY: a fresh anonymous mapping, no address asked for; the result is checked.
    let memory = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(memory.cast()).ok_or_else(|| io::Error::other("mmap returned null"))
}

/// One packet in one frame: move-only, and dropping it gives the frame back to its pool.
pub struct Packet {
    pool: Pool,
    frame: u32,
    start: u16,
    end: u16,
}

impl Packet {
    /// The octets.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the frame belongs to this packet alone, `start..end` is in it, and `&self` lasts as long as the slice.
        unsafe { core::slice::from_raw_parts(self.at(self.start), usize::from(self.end - self.start)) }
    }

    /// The octets, to change.
    #[inline(always)]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` is the only handle on the frame.
        unsafe { core::slice::from_raw_parts_mut(self.at(self.start), usize::from(self.end - self.start)) }
    }

    /// Number of octets.
    #[inline(always)]
    pub fn len(&self) -> usize {
        usize::from(self.end - self.start)
    }

    /// Whether there is none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Octets free in front.
    #[inline(always)]
    pub fn headroom(&self) -> usize {
        usize::from(self.start)
    }

    /// Makes room for `N` octets in front and lends them out. They hold what was there.
    ///
    /// # Panics
    /// Without that much headroom: the caller checked [`Packet::headroom`] or knows what it put in front before.
    #[inline(always)]
    pub fn prepend<const N: usize>(&mut self) -> &mut [u8; N] {
        assert!(usize::from(self.start) >= N, "no headroom for {N} octets");
        self.start -= N as u16;
        self.bytes_mut().first_chunk_mut().expect("N octets were prepended")
    }

    /// Takes `length` octets off the front.
    ///
    /// # Panics
    /// Where there are fewer.
    #[inline(always)]
    pub fn trim_front(&mut self, length: usize) {
        assert!(length <= self.len());
        self.start += length as u16;
    }

    /// Cuts the packet to its first `length` octets; longer than it is, it stays.
    #[inline(always)]
    pub fn truncate(&mut self, length: usize) {
        if length < self.len() {
            self.end = self.start + length as u16;
        }
    }

    /// Makes the packet `length` octets long; new octets hold what was there.
    ///
    /// # Panics
    /// Where the frame ends before.
    #[inline(always)]
    pub fn set_len(&mut self, length: usize) {
        assert!(usize::from(self.start) + length <= FRAME_LEN);
        self.end = self.start + length as u16;
    }

    /// A copy in a frame of its own, with the same headroom.
    ///
    /// # Errors
    /// [`PoolExhausted`] where no frame is free.
    pub fn try_clone(&self) -> Result<Packet, PoolExhausted> {
        let frame = self.pool.take_frame().ok_or(PoolExhausted)?;
        let mut copy = self.pool.packet(frame, usize::from(self.start), self.len());
        copy.bytes_mut().copy_from_slice(self.bytes());
        Ok(copy)
    }

    /// The pool that the frame came from.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Gives up the packet and keeps its frame out of the pool: number, offset of the first octet in it, length. For a
    /// port's send ring; [`Pool::give_frame`] takes the frame back.
    pub(crate) fn into_frame(self) -> (u32, usize, usize) {
        let parts = (self.frame, usize::from(self.start), self.len());
        let mut this = core::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped nor used again, so the handle on the pool is dropped once.
        unsafe { core::ptr::drop_in_place(&mut this.pool) };
        parts
    }

    #[inline(always)]
    fn at(&self, offset: u16) -> *mut u8 {
        // SAFETY: `frame` is below `frames` and `offset` at most FRAME_LEN, both since `Pool::packet`.
        unsafe { self.pool.0.memory.as_ptr().add(self.frame as usize * FRAME_STRIDE + usize::from(offset)) }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        self.pool.give_frame(self.frame);
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet").field("frame", &self.frame).field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back() {
        let pool = Pool::new(3).unwrap();
        let mut first = pool.copy_of(b"payload").unwrap();
        assert_eq!(pool.free_frames(), 2);
        first.prepend::<4>().copy_from_slice(b"head");
        assert_eq!(first.bytes(), b"headpayload");
        first.trim_front(4);
        first.truncate(3);
        assert_eq!(first.bytes(), b"pay");
        let copy = first.try_clone().unwrap();
        drop(first);
        assert_eq!(copy.bytes(), b"pay");
        let _third = pool.take().unwrap();
        let _second = pool.take().unwrap();
        assert!(pool.take().is_err() && copy.try_clone().is_err());
        let (frame, offset, length) = copy.into_frame();
        assert_eq!((offset, length), (HEADROOM, 3));
        assert_eq!(pool.free_frames(), 0);
        pool.give_frame(frame);
        assert_eq!(pool.free_frames(), 1);
    }

    #[test]
    fn a_packet_longer_than_a_frame_is_refused() {
        let pool = Pool::new(1).unwrap();
        assert!(pool.copy_of(&[0; FRAME_LEN]).is_err());
        assert_eq!(pool.free_frames(), 1);
    }
}
