//! Instructions that this thread executes outside the kernel, where the machine counts them and the kernel lets us see.
//!
//! Virtual machines mostly have no such counter, and `perf_event_paranoid` may forbid it; then there is none.

use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;

/// `PERF_TYPE_HARDWARE`.
const TYPE_HARDWARE: u32 = 0;
/// `PERF_COUNT_HW_INSTRUCTIONS`.
const INSTRUCTIONS: u64 = 1;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;
/// Bits `exclude_kernel` and `exclude_hv`.
const EXCLUDE: u64 = 1 << 5 | 1 << 6;
/// Empty sections that are counted to know what counting costs.
const SAMPLES: usize = 1001;

/// The first published version of the kernel's `struct perf_event_attr`, which every later one takes.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    config1: u64,
}

/// The counter, if there is one.
pub(crate) struct Instructions {
    counter: Option<File>,
    /// What a section with nothing in it counts.
    empty: u64,
}

impl Instructions {
    /// Asks the kernel.
    pub(crate) fn probe() -> Self {
        let mut this = Instructions { counter: open(), empty: 0 };
        let mut samples: Vec<u64> = (0..SAMPLES).filter_map(|_| Some(this.count(|| ())?.1)).collect();
        samples.sort_unstable();
        match samples.get(SAMPLES / 2) {
            Some(&median) => this.empty = median,
            None => this.counter = None,
        }
        this
    }

    /// Whether there is a counter.
    pub(crate) fn is_there(&self) -> bool {
        self.counter.is_some()
    }

    /// Runs `section`; answers what it did with the instructions it took, without those of counting them.
    pub(crate) fn count<T>(&self, section: impl FnOnce() -> T) -> Option<(T, u64)> {
        let before = self.read()?;
        let result = section();
        let after = self.read()?;
        Some((result, after.wrapping_sub(before).saturating_sub(self.empty)))
    }

    fn read(&self) -> Option<u64> {
        let mut value = [0; 8];
        let mut counter = self.counter.as_ref()?;
        counter.read_exact(&mut value).ok()?;
        Some(u64::from_ne_bytes(value))
    }
}

fn open() -> Option<File> {
    let size = size_of::<Attributes>() as u32;
    let attributes =
        Attributes { kind: TYPE_HARDWARE, size, config: INSTRUCTIONS, flags: EXCLUDE, ..Attributes::default() };
    let (this_thread, every_core, no_group): (libc::pid_t, libc::c_int, libc::c_int) = (0, -1, -1);
    // SAFETY: the structure has the layout and the size that it states and outlives the call, which only reads it.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            this_thread,
            every_core,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    // SAFETY: the kernel has just given this descriptor to us, and to nobody else.
    (fd >= 0).then(|| unsafe { File::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_work_is_more_instructions_where_they_are_counted() {
        assert_eq!(size_of::<Attributes>(), 64);
        let counter = Instructions::probe();
        let work = |steps: u64| (0..steps).fold(1u64, |value, step| std::hint::black_box(value.wrapping_mul(step | 1)));
        match (counter.count(|| work(1000)), counter.count(|| work(100_000))) {
            (Some((_, few)), Some((_, many))) => assert!(1000 < few && few * 10 < many, "{few}, {many}"),
            (None, None) => assert!(!counter.is_there()),
            _ => panic!("the counter comes and goes"),
        }
    }
}
