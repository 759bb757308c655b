//! Axes: where values stand on a drawing, and which of them are labelled.

/// An axis from one value to another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Scale {
    from: f64,
    until: f64,
    /// Pixels where it begins and ends.
    pixels: (f64, f64),
}

impl Scale {
    pub(super) fn new(from: f64, until: f64, pixels: (f64, f64)) -> Self {
        Scale { from, until: if until > from { until } else { from + 1.0 }, pixels }
    }

    /// Where a value stands; what is outside stands at an end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let part = ((value - self.from) / (self.until - self.from)).clamp(0.0, 1.0);
        self.pixels.0 + part * (self.pixels.1 - self.pixels.0)
    }

    /// The values that have a label, about `count` of them.
    pub(super) fn ticks(&self, count: u32) -> Vec<f64> {
        let step = step(self.until - self.from, count);
        let first = (self.from / step).ceil();
        let numbers = (0..=count * 3).map(|number| (first + f64::from(number)) * step);
        // What adding has rounded is not shown, nor a zero below zero.
        numbers.take_while(|&value| value <= self.until + step * 1e-6).map(|value| rounded(value) + 0.0).collect()
    }
}

/// The least of 1, 2 and 5 times a power of ten of which `count` reach as far as `length`.
pub(super) fn step(length: f64, count: u32) -> f64 {
    let least = (length / f64::from(count.max(1))).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(power * 10.0)
}

/// A number as an attribute or a label: without what nobody sees.
pub(super) fn number(value: f64) -> String {
    format!("{}", (value * 10.0).round() / 10.0 + 0.0)
}

/// A label of an axis.
pub(super) fn label(value: f64) -> String {
    format!("{}", rounded(value))
}

fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (length, count, expected) in
            [(10.0, 5, 2.0), (55.0, 6, 10.0), (0.7, 7, 0.1), (1.0, 1, 1.0), (210.0, 8, 50.0)]
        {
            assert_eq!(rounded(step(length, count)), expected, "{length} in {count}");
        }
        assert!(step(0.0, 5) > 0.0);
    }

    #[test]
    fn labels_lie_within() {
        let scale = Scale::new(-60.0, 210.0, (40.0, 580.0));
        assert_eq!(scale.ticks(6), [-50.0, 0.0, 50.0, 100.0, 150.0, 200.0]);
        assert_eq!((scale.at(-60.0), scale.at(210.0), scale.at(1e9)), (40.0, 580.0, 580.0));
        assert_eq!(scale.ticks(6).into_iter().map(label).collect::<Vec<_>>()[1], "0");
        let nothing = Scale::new(0.0, 0.0, (0.0, 10.0));
        assert!(nothing.at(0.0) == 0.0 && nothing.ticks(4).len() >= 2);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!((number(1.04), number(-0.01), number(7.0)), ("1".to_owned(), "0".to_owned(), "7".to_owned()));
    }
}
