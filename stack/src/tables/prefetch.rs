//! A hint to the processor that memory will be read soon.

/// Asks for the cache line that `at` points to. Never faults and changes nothing that a program can see.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: a prefetch reads nothing architecturally: any address is allowed.
        unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
