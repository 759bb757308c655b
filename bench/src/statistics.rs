//! Figures out of samples.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Empty sections that are timed to know what timing costs.
const CLOCK_SAMPLES: usize = 20_001;
/// Nanoseconds that a histogram can hold; longer samples count as this.
const MAX_NANOS: u64 = 10_000_000_000;

/// The quantiles of a curve, from the median on closer and closer to the maximum.
const CURVE: [f64; 12] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 1.0];

/// The middle of some samples and how far they lie apart.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// # Panics
    /// Without samples.
    pub(crate) fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Spread { median, min: sorted[0], max: sorted[sorted.len() - 1] }
    }

    /// Every figure rounded to a tenth.
    pub(crate) fn rounded(self) -> Self {
        let round = |value: f64| (value * 10.0).round() / 10.0;
        Spread { median: round(self.median), min: round(self.min), max: round(self.max) }
    }
}

/// Percentiles of durations.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    /// 99.9 per cent.
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

/// Durations in nanoseconds, to three digits.
#[derive(Clone)]
pub(crate) struct Durations(Histogram<u64>);

impl Durations {
    pub(crate) fn new() -> Self {
        Durations(Histogram::new_with_bounds(1, MAX_NANOS, 3).expect("the bounds are constants that fit each other"))
    }

    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos.max(1));
    }

    /// Adds the samples of `other`.
    pub(crate) fn add(&mut self, other: &Durations) {
        self.0.add(&other.0).expect("both cover the same range");
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: self.0.max() }
    }

    /// Quantiles from 0 to 1 with their durations.
    pub(crate) fn curve(&self) -> Vec<(f64, u64)> {
        CURVE.iter().map(|&quantile| (quantile, self.0.value_at_quantile(quantile))).collect()
    }

    /// The mean, zero without samples.
    pub(crate) fn mean(&self) -> f64 {
        self.0.mean()
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }
}

/// What an operation took, over some repetitions.
pub(crate) struct Costs {
    /// Medians of the repetitions, what timing costs taken off, an operation.
    pub(crate) medians: Vec<f64>,
    /// Each update, or each batch of lookups.
    pub(crate) all: Durations,
    pub(crate) allocations: u64,
    pub(crate) operations: u64,
}

impl Costs {
    pub(crate) fn new() -> Self {
        Costs { medians: Vec::new(), all: Durations::new(), allocations: 0, operations: 0 }
    }

    /// Adds what another thread has.
    pub(crate) fn add(&mut self, other: &Costs) {
        self.medians.extend(&other.medians);
        self.all.add(&other.all);
        self.allocations += other.allocations;
        self.operations += other.operations;
    }

    /// Adds a repetition in which every sample is of so many operations.
    pub(crate) fn add_repetition(
        &mut self,
        samples: &Durations,
        operations_each: u64,
        allocations: u64,
        clock_ns: f64,
    ) {
        if samples.len() > 0 {
            let median = (samples.percentiles().p50 as f64 - clock_ns).max(0.0);
            self.medians.push(median / operations_each as f64);
            self.all.add(samples);
            self.allocations += allocations;
            self.operations += samples.len() * operations_each;
        }
    }
}

/// Nanoseconds between two looks at the clock with nothing between them: what timing a section costs.
pub(crate) fn clock_nanos() -> f64 {
    let samples: Vec<f64> = (0..CLOCK_SAMPLES)
        .map(|_| {
            let started = Instant::now();
            started.elapsed().as_nanos() as f64
        })
        .collect();
    Spread::of(&samples).median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread() {
        let Spread { median, min, max } = Spread::of(&[3.0, 1.0, 2.0]);
        assert_eq!((median, min, max), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of(&[1.0, 2.0]).median, 1.5);
    }

    #[test]
    fn percentiles() {
        let mut durations = Durations::new();
        (1..=100).for_each(|nanos| durations.record(nanos));
        durations.record(u64::MAX);
        let Percentiles { p50, p99, p999, max } = durations.percentiles();
        assert_eq!((p50, p99, durations.len()), (51, 100, 101));
        assert!(p999 >= MAX_NANOS && max >= MAX_NANOS);
        let curve = durations.curve();
        assert_eq!((curve[0], curve[3]), ((0.0, 1), (0.5, 51)));
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
    }
}
