//! Instructions and cycles of this thread outside the kernel, where the machine counts them and the kernel lets us see.
//!
//! Virtual machines mostly have no such counters, and `perf_event_paranoid` may forbid them; then there are none.

use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;

/// `PERF_TYPE_HARDWARE`.
const TYPE_HARDWARE: u32 = 0;
/// `PERF_COUNT_HW_CPU_CYCLES`.
const CYCLES: u64 = 0;
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

/// What a section took; none where there is no counter.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) instructions: Option<u64>,
    pub(crate) cycles: Option<u64>,
}

impl Counts {
    /// What two sections took.
    pub(crate) fn and(self, other: Counts) -> Counts {
        let sum = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a + b);
        Counts { instructions: sum(self.instructions, other.instructions), cycles: sum(self.cycles, other.cycles) }
    }

    /// What nothing took.
    pub(crate) const ZERO: Counts = Counts { instructions: Some(0), cycles: Some(0) };
}

/// The counters that there are.
pub(crate) struct Processor {
    instructions: Counter,
    cycles: Counter,
}

impl Processor {
    /// Asks the kernel.
    pub(crate) fn probe() -> Self {
        let mut this = Processor {
            instructions: Counter::new(TYPE_HARDWARE, INSTRUCTIONS),
            cycles: Counter::new(TYPE_HARDWARE, CYCLES),
        };
        let samples: Vec<Counts> = (0..SAMPLES).map(|_| this.count(|| ()).1).collect();
        let median = |of: fn(&Counts) -> Option<u64>| {
            let mut counts: Vec<u64> = samples.iter().filter_map(of).collect();
            counts.sort_unstable();
            counts.get(counts.len() / 2).copied().unwrap_or(0)
        };
        this.instructions.empty = median(|counts| counts.instructions);
        this.cycles.empty = median(|counts| counts.cycles);
        this
    }

    /// Whether anything is counted.
    pub(crate) fn is_there(&self) -> bool {
        self.instructions.file.is_some() || self.cycles.file.is_some()
    }

    /// Runs `section`; answers what it did with what it took, without what counting takes.
    pub(crate) fn count<T>(&self, section: impl FnOnce() -> T) -> (T, Counts) {
        let (cycles, instructions) = (self.cycles.read(), self.instructions.read());
        let result = section();
        // The counter that began last ends first.
        let instructions = self.instructions.since(instructions);
        let cycles = self.cycles.since(cycles);
        (result, Counts { instructions, cycles })
    }
}

/// A counter of the kernel, if there is one.
struct Counter {
    file: Option<File>,
    /// What a section with nothing in it counts.
    empty: u64,
}

impl Counter {
    /// A counter of what this thread does outside the kernel, which counts from now on.
    fn new(kind: u32, config: u64) -> Self {
        let size = size_of::<Attributes>() as u32;
        let attributes = Attributes { kind, size, config, flags: EXCLUDE, ..Attributes::default() };
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
        let file = (fd >= 0).then(|| unsafe { File::from_raw_fd(fd as i32) });
        Counter { file, empty: 0 }
    }

    fn read(&self) -> Option<u64> {
        let mut value = [0; 8];
        let mut file = self.file.as_ref()?;
        file.read_exact(&mut value).ok()?;
        Some(u64::from_ne_bytes(value))
    }

    fn since(&self, before: Option<u64>) -> Option<u64> {
        let now = self.read()?;
        Some(now.wrapping_sub(before?).saturating_sub(self.empty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kernels that let us count at all have the time of a thread as a counter, whatever the processor counts.
    #[test]
    fn a_counter_counts_what_happens_between_two_looks() {
        const TYPE_SOFTWARE: u32 = 1;
        const TASK_CLOCK: u64 = 1;
        assert_eq!(size_of::<Attributes>(), 64);
        let counter = Counter::new(TYPE_SOFTWARE, TASK_CLOCK);
        let before = counter.read();
        let started = std::time::Instant::now();
        while started.elapsed().as_millis() < 5 {}
        match counter.since(before) {
            Some(nanos) => assert!(0 < nanos && nanos < 60_000_000_000, "{nanos}"),
            None => assert!(before.is_none(), "the counter goes away"),
        }
    }

    #[test]
    fn more_work_is_more_instructions_where_they_are_counted() {
        let processor = Processor::probe();
        let work = |steps: u64| (0..steps).fold(1u64, |value, step| std::hint::black_box(value.wrapping_mul(step | 1)));
        let [few, many] = [1000, 100_000].map(|steps| processor.count(|| work(steps)).1);
        match (few.instructions, many.instructions) {
            (Some(few), Some(many)) => assert!(1000 < few && few * 10 < many, "{few}, {many}"),
            (None, None) => assert!(processor.instructions.file.is_none()),
            _ => panic!("the counter comes and goes"),
        }
        assert_eq!(processor.is_there(), few.instructions.is_some() || few.cycles.is_some());
        let none = Counts::default();
        assert_eq!(Counts::ZERO.and(few).instructions, few.instructions);
        assert_eq!(few.and(none).cycles, None);
    }
}
