//! The system's allocator with a count: what is said not to allocate can be seen not to.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static OCTETS: Cell<i64> = const { Cell::new(0) };
}

/// Allocations of this thread so far; a block that grows counts as one more.
pub(crate) fn count() -> u64 {
    ALLOCATIONS.get()
}

/// Octets that this thread has allocated so far less those that it has given back; what one thread allocates and another
/// frees makes this negative in the other.
pub(crate) fn octets() -> i64 {
    OCTETS.get()
}

fn took(octets: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get().wrapping_add(1));
    OCTETS.set(OCTETS.get().wrapping_add(octets as i64));
}

fn gave(octets: usize) {
    OCTETS.set(OCTETS.get().wrapping_sub(octets as i64));
}

// SAFETY: everything is handed on to the system's allocator; the counts are constant-initialised cells without destructor,
// which neither allocate nor unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gave(layout.size());
        took(size);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_allocates() {
        let before = count();
        let boxed = std::hint::black_box(Box::new(1u64));
        assert_eq!((*boxed, count() - before), (1, 1));
    }

    #[test]
    fn octets_come_and_go() {
        let before = octets();
        let mut list = std::hint::black_box(Vec::<u64>::with_capacity(100));
        assert_eq!(octets() - before, 800);
        list.reserve_exact(200);
        assert_eq!(octets() - before, 1600);
        drop(list);
        assert_eq!(octets(), before);
    }
}
