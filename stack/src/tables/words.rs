//! The memory of a table: mapped, and not touched before it is used.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;

/// Tables at least this large ask for huge pages: below, they would cost more memory than they save misses.
const HUGE_PAGE_THRESHOLD: usize = 8 << 20;

/// Words of zeroed memory, aligned to a page.
pub(super) struct Words {
    memory: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the memory is owned by this value and only ever accessed as atomics.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// `count` words of zero.
    pub(super) fn new(count: usize) -> Self {
        let bytes = count.max(1) * 8;
        // SAFETY: a fresh anonymous mapping, no address asked for; the result is checked.
        let memory = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        let layout = core::alloc::Layout::array::<u64>(count.max(1)).expect("a table smaller than the address space");
        if memory == libc::MAP_FAILED {
            std::alloc::handle_alloc_error(layout);
        }
        if bytes >= HUGE_PAGE_THRESHOLD {
            // SAFETY: the range is the mapping made above. The advice may be refused, which changes nothing.
            unsafe { libc::madvise(memory, bytes, libc::MADV_HUGEPAGE) };
        }
        match NonNull::new(memory.cast()) {
            Some(memory) => Words { memory, count },
            None => std::alloc::handle_alloc_error(layout),
        }
    }

    /// The word of this index, which is below the count.
    #[inline(always)]
    pub(super) fn at(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < self.count);
        // SAFETY: the table makes every index of a slot or a bucket number below what the array was built for; zeroed
        // memory is a valid `AtomicU64`.
        unsafe { &*self.memory.as_ptr().add(index) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`; nothing refers to it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.count.max(1) * 8) };
    }
}
