//! BS_Rand_Override (RFC 5059 §5): how long a candidate waits for a better one before it takes over.

use super::zone::Weight;
use stack::time::Duration;

/// Between 5 and 23 seconds: the better the candidate, the shorter. `stored` is the last bootstrap router.
pub(crate) fn bs_rand_override(own: Weight, stored: Option<Weight>) -> Duration {
    let stored = stored.unwrap_or(own);
    let best_priority = own.priority.max(stored.priority);
    let best_address = own.address.max(stored.address);
    let priority_delay = 2.0 * f64::from(1 + u16::from(best_priority - own.priority)).log2();
    let address_delay = if best_priority == own.priority {
        let difference = best_address.to_bits() - own.address.to_bits();
        (1.0 + difference as f64).log2() / 64.0
    } else {
        2.0 - own.address.to_bits() as f64 / (1u128 << 127) as f64
    };
    Duration::from_secs_f64(5.0 + priority_delay + address_delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `math.log2` after the RFC's pseudocode.
    #[test]
    fn the_better_the_shorter() {
        let weight = |priority, text: &str| Weight { priority, address: text.parse().unwrap() };
        for (own, stored, expected) in [
            (weight(64, "2001:db8::1"), None, 5.0),
            (weight(64, "2001:db8::1"), Some(weight(64, "2001:db8::1")), 5.0),
            (weight(64, "2001:db8::1"), Some(weight(64, "2001:db8::2")), 5.015_625),
            (weight(64, "2001:db8::1"), Some(weight(64, "2001:db8:1::1")), 6.25),
            (weight(64, "2001:db8::1"), Some(weight(65, "2001:db8::2")), 8.749_967_847),
            (weight(0, "::1"), Some(weight(255, "2001:db8::")), 23.0),
            (weight(255, "2001:db8::1"), Some(weight(0, "2001:db8::")), 5.0),
        ] {
            let delay = bs_rand_override(own, stored).as_secs_f64();
            assert!((delay - expected).abs() < 1e-6, "{own:?} {stored:?}: {delay} is not {expected}");
        }
    }
}
