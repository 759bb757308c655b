//! The memory of a table: cache lines in pieces of four sizes, at addresses that never change.
//!
//! All of it is mapped at the start and none of it touched, so that nothing is ever copied to make room, and a table
//! costs the pages that it uses. What is given back is kept in a list of its size, through its own first word.

use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

pub(super) const LINE_WORDS: usize = 8;

/// The part of the memory in front of which no huge pages are asked for: small tables cost small pages.
const SMALL_PAGES: usize = 2 << 20;
/// Mappings at least this large ask for huge pages.
const HUGE_PAGE_THRESHOLD: usize = 8 << 20;

/// What a piece of memory is for, which says how many lines it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Size {
    /// A narrow bucket or a skip.
    Line,
    /// A wide bucket.
    Pair,
    /// A node of four bits.
    Sixteen,
    /// A node of eight bits.
    TwoHundredFiftySix,
}

impl Size {
    pub(super) const ALL: [Size; 4] = [Size::Line, Size::Pair, Size::Sixteen, Size::TwoHundredFiftySix];

    /// How many lines.
    pub(super) const fn lines(self) -> usize {
        match self {
            Size::Line => 1,
            Size::Pair => 2,
            Size::Sixteen => 3,
            Size::TwoHundredFiftySix => 48,
        }
    }
}

/// Lines of zeros at first, read and written as words.
pub(super) struct Lines {
    words: Mapping,
    /// Lines that are or were in use.
    used: usize,
    /// For each size the first free piece (0 for none) and how many there are.
    free: [(usize, usize); 4],
}

impl Lines {
    /// So many lines, the first `taken` of them in use for good.
    pub(super) fn new(lines: usize, taken: usize) -> Self {
        Lines { words: Mapping::new(lines * LINE_WORDS), used: taken, free: [(0, 0); 4] }
    }

    /// A piece, zeroed.
    ///
    /// # Panics
    /// Where there is no room; see [`Lines::has_room_for`].
    pub(super) fn take(&mut self, size: Size) -> usize {
        let (first, count) = self.free[size as usize];
        if count == 0 {
            let line = self.used;
            self.used += size.lines();
            assert!(self.used * LINE_WORDS <= self.words.len(), "insertions ask for room first");
            return line;
        }
        let start = first * LINE_WORDS;
        self.free[size as usize] = (self.words[start] as usize, count - 1);
        self.words[start..start + size.lines() * LINE_WORDS].fill(0);
        first
    }

    /// Takes a piece back.
    pub(super) fn give_back(&mut self, line: usize, size: Size) {
        let (first, count) = self.free[size as usize];
        self.words[line * LINE_WORDS] = first as u64;
        self.free[size as usize] = (line, count + 1);
    }

    /// Whether so many pieces of each size can be taken.
    pub(super) fn has_room_for(&self, pieces: [usize; 4]) -> bool {
        let fresh = Size::ALL.map(|size| {
            let (_, free) = self.free[size as usize];
            pieces[size as usize].saturating_sub(free) * size.lines()
        });
        (self.used + fresh.iter().sum::<usize>()) * LINE_WORDS <= self.words.len()
    }

    /// Lines in use.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.used - Size::ALL.iter().map(|&size| self.free[size as usize].1 * size.lines()).sum::<usize>()
    }
}

impl Deref for Lines {
    type Target = [u64];

    #[inline(always)]
    fn deref(&self) -> &[u64] {
        &self.words
    }
}

impl DerefMut for Lines {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

/// Words of zeroed memory that the kernel gives page by page, aligned to a page.
struct Mapping {
    memory: NonNull<u64>,
    count: usize,
}

// SAFETY: the memory is owned by this value and reached through it alone.
unsafe impl Send for Mapping {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(count: usize) -> Self {
        let octets = count * 8;
        let layout = core::alloc::Layout::array::<u64>(count).expect("a table smaller than the address space");
        // SAFETY: a fresh anonymous mapping, no address asked for; the result is checked.
        let memory = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                octets,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            std::alloc::handle_alloc_error(layout);
        }
        if octets >= HUGE_PAGE_THRESHOLD {
            // SAFETY: the range is within the mapping made above. The advice may be refused, which changes nothing.
            unsafe { libc::madvise(memory.byte_add(SMALL_PAGES), octets - SMALL_PAGES, libc::MADV_HUGEPAGE) };
        }
        match NonNull::new(memory.cast()) {
            Some(memory) => Mapping { memory, count },
            None => std::alloc::handle_alloc_error(layout),
        }
    }
}

impl Deref for Mapping {
    type Target = [u64];

    #[inline(always)]
    fn deref(&self) -> &[u64] {
        // SAFETY: so many words were mapped, zeroed memory is valid for them, and it lives as long as `self`.
        unsafe { core::slice::from_raw_parts(self.memory.as_ptr(), self.count) }
    }
}

impl DerefMut for Mapping {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above, and `self` is borrowed for as long as the slice.
        unsafe { core::slice::from_raw_parts_mut(self.memory.as_ptr(), self.count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`; nothing refers to it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.count * 8) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_zeroed_and_are_used_again() {
        let mut lines = Lines::new(60, 2);
        let node = lines.take(Size::Sixteen);
        assert_eq!((node, lines.in_use()), (2, 5));
        lines[node * LINE_WORDS..][..24].fill(7);
        assert!(lines.has_room_for([2, 2, 0, 1]) && !lines.has_room_for([2, 3, 0, 1]));
        lines.give_back(node, Size::Sixteen);
        assert!(lines.has_room_for([2, 2, 1, 1]) && !lines.has_room_for([2, 2, 2, 1]));
        assert_eq!((lines.in_use(), lines.take(Size::Sixteen)), (2, node));
        assert!(lines[node * LINE_WORDS..][..24].iter().all(|&word| word == 0));
    }
}
