//! Sequence numbers of Binding Updates (RFC 6275 §9.5.1): free running, compared modulo 2^16.

/// Whether `number` is greater than the last accepted one. The last number and the 32,768 before it are not.
pub const fn is_newer(number: u16, last: u16) -> bool {
    let ahead = number.wrapping_sub(last);
    ahead != 0 && ahead < 0x8000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        for stale in (0..=15).chain(32783..=65535) {
            assert!(!is_newer(stale, 15), "{stale}");
        }
        for fresh in 16..=32782 {
            assert!(is_newer(fresh, 15), "{fresh}");
        }
    }

    #[test]
    fn wraps_to_zero() {
        assert!(is_newer(0, 65535));
        assert!(!is_newer(65535, 0));
        assert!(!is_newer(0, 0x8000) && !is_newer(0x8000, 0));
    }
}
