//! The machine that the figures belong to, and when they were taken.

use crate::memory;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// What stands beside every result.
#[derive(Clone, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    /// Cores that this process may use.
    cores: usize,
    memory_mib: u64,
    /// The last level, as far as the kernel tells; shared with others perhaps.
    last_level_cache_kib: usize,
    kernel: String,
    /// Transparent huge pages, as the kernel is set.
    huge_pages: String,
    /// Processes that wanted to run in the last minute, before the benchmark started.
    load: f64,
    /// UTC.
    date: String,
    /// Whether the code was built with optimisation; figures of other builds say nothing.
    optimised: bool,
    /// Seconds since 1970.
    #[serde(skip)]
    seconds: u64,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn here() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Machine {
            cpu: cpu_model().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory::total_octets() >> 20,
            last_level_cache_kib: last_level_cache_octets() >> 10,
            kernel: read_trimmed("/proc/sys/kernel/osrelease").unwrap_or_default(),
            huge_pages: huge_pages().unwrap_or_else(|| "unknown".to_owned()),
            load: read_trimmed("/proc/loadavg")
                .and_then(|text| text.split(' ').next()?.parse().ok())
                .unwrap_or_default(),
            date: date(seconds),
            optimised: !cfg!(debug_assertions),
            seconds,
        }
    }

    /// When the run began, as part of a file's name.
    pub(crate) fn stamp(&self) -> String {
        let date = self.date.trim_end_matches(" UTC").replace(' ', "-").replace(':', "");
        format!("{date}{:02}", self.seconds % 60)
    }

    /// Whether the figures say anything.
    pub(crate) fn is_optimised(&self) -> bool {
        self.optimised
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, memory_mib, last_level_cache_kib, kernel, huge_pages, load, date, optimised, .. } =
            self;
        write!(f, "{cpu}, {cores} cores, {memory_mib} MiB, last-level cache {last_level_cache_kib} KiB, ")?;
        write!(f, "Linux {kernel}, huge pages {huge_pages}, load {load:.1}, {date}")?;
        if *optimised { Ok(()) } else { f.write_str(", NOT OPTIMISED: build with --release") }
    }
}

fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Octets of the largest cache that the first core sees; zero where the kernel does not tell.
pub(crate) fn last_level_cache_octets() -> usize {
    let sizes = (0..8).filter_map(|index| {
        let text = read_trimmed(&format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size"))?;
        Some(text.strip_suffix('K')?.parse::<usize>().ok()? * 1024)
    });
    sizes.max().unwrap_or(0)
}

/// The word in brackets.
fn huge_pages() -> Option<String> {
    let text = read_trimmed("/sys/kernel/mm/transparent_hugepage/enabled")?;
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn read_trimmed(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// `seconds` since 1970 as a date and time of the Gregorian calendar, UTC.
fn date(seconds: u64) -> String {
    let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let february = days_of_year(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02} UTC", days + 1, of_day / 3600, of_day / 60 % 60)
}

fn days_of_year(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    365 + u64::from(leap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_in_order_and_have_no_spaces() {
        let at = |seconds| Machine { seconds, date: date(seconds), ..Machine::here() }.stamp();
        assert_eq!(at(951_782_400 + 3661), "2000-02-29-010101");
        assert!(at(951_782_400) < at(951_782_401) && at(59) < at(60));
    }

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400 + 3661), "2000-02-29 01:01 UTC");
        assert_eq!(date(1_798_761_599), "2026-12-31 23:59 UTC");
    }
}
