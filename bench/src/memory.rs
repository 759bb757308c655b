//! Memory of this process and of the machine, as the kernel tells it.

use std::fs;

/// Octets of memory that this process has touched and not given back: heap, tables and frames alike. Where the kernel
/// gives huge pages, it grows by these.
pub(crate) fn resident_octets() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&text, "VmRSS:")
}

/// Octets that processes could still have without swapping.
pub(crate) fn available_octets() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    field(&text, "MemAvailable:")
}

/// Octets of memory of the machine.
pub(crate) fn total_octets() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    field(&text, "MemTotal:")
}

/// The value of a line `name   number kB`; zero where there is none.
fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_ascii_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_resident() {
        // Other tests of this process come and go meanwhile: only what is here now is known.
        let touched = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(resident_octets() >= 64 << 20);
        assert!(total_octets() > available_octets() && available_octets() > 0);
        drop(touched);
    }

    #[test]
    fn fields() {
        assert_eq!(field("MemFree:  1 kB\nMemAvailable:    2048 kB\n", "MemAvailable:"), 2 << 20);
        assert_eq!(field("MemFree:  1 kB\n", "MemAvailable:"), 0);
    }
}
