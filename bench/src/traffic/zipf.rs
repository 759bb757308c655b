//! Numbers from 1 to n of which k is drawn with a probability proportional to k to the power of -s: the popularity of
//! terminals and destinations, few of which have most of the traffic.
//!
//! Rejection-inversion (Hörmann and Derflinger, 1996): the area below the continuous hat is inverted, and what the hat has
//! too much is rejected. No table is needed, which would drive what is measured out of the cache.

use stack::rng::Rng;

/// Draws for one number at the most. More than two of three are taken, so that a number needs so many with a probability
/// below 1e-30; then the last one is taken.
const MAX_DRAWS: u32 = 64;

/// The distribution.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    count: f64,
    exponent: f64,
    /// The integral of the hat to one and a half, less one; and to the end.
    first: f64,
    last: f64,
    /// Candidates so far below their point are taken without a look at the hat.
    sure: f64,
}

impl Zipf {
    /// Numbers from 1 to `count`; `exponent` is above zero and finite.
    pub(crate) fn new(count: u32, exponent: f64) -> Self {
        let count = f64::from(count.max(1));
        let mut zipf = Zipf { count, exponent, first: 0.0, last: 0.0, sure: 0.0 };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(count + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.hat(2.0));
        zipf
    }

    /// The next number.
    pub(crate) fn sample(&self, rng: &mut Rng) -> u32 {
        let mut number = 1;
        for _ in 0..MAX_DRAWS {
            let taken;
            (number, taken) = self.draw(rng);
            if taken {
                break;
            }
        }
        number
    }

    /// A number, and whether it is taken.
    fn draw(&self, rng: &mut Rng) -> (u32, bool) {
        // 53 random bits are a number from 0 to 1, 1 not included.
        let unit = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let area = self.last + unit * (self.first - self.last);
        let point = self.inverse(area);
        let number = (point + 0.5).floor().clamp(1.0, self.count);
        let taken = number - point <= self.sure || area >= self.integral(number + 0.5) - self.hat(number);
        (number as u32, taken)
    }

    fn hat(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The hat's integral from 1 to x, without a pole at an exponent of one.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let t = (1.0 - self.exponent) * log;
        log * if t.abs() > 1e-8 { t.exp_m1() / t } else { 1.0 + t / 2.0 * (1.0 + t / 3.0) }
    }

    fn inverse(&self, area: f64) -> f64 {
        // Rounding may lead below the pole.
        let t = (area * (1.0 - self.exponent)).max(-1.0);
        (area * if t.abs() > 1e-8 { t.ln_1p() / t } else { 1.0 - t * (0.5 - t / 3.0) }).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each number comes, against its probability.
    #[test]
    fn every_number_comes_as_often_as_it_should() {
        const DRAWS: u32 = 400_000;
        for exponent in [0.3, 0.9, 1.0, 1.1, 2.5] {
            for count in [1u32, 2, 3, 20, 200] {
                let zipf = Zipf::new(count, exponent);
                let mut rng = Rng::new(u64::from(count));
                let mut seen = vec![0u32; count as usize];
                for _ in 0..DRAWS {
                    seen[zipf.sample(&mut rng) as usize - 1] += 1;
                }
                let weights: Vec<f64> = (1..=count).map(|k| f64::from(k).powf(-exponent)).collect();
                let sum: f64 = weights.iter().sum();
                // Pearson's statistic has the mean n - 1 and the variance 2(n - 1): six standard deviations.
                let statistic: f64 = (weights.iter().zip(&seen))
                    .map(|(weight, &seen)| {
                        let expected = weight / sum * f64::from(DRAWS);
                        (f64::from(seen) - expected).powi(2) / expected
                    })
                    .sum();
                let freedom = f64::from(count - 1);
                let bound = freedom + 6.0 * (2.0 * freedom).sqrt() + 1e-9;
                assert!(statistic <= bound, "{statistic} of {count} numbers, exponent {exponent}");
            }
        }
    }

    #[test]
    fn more_than_two_of_three_draws_are_taken() {
        for exponent in [0.01, 0.5, 1.0, 1.5, 3.0, 10.0] {
            for count in [1, 2, 3, 10, 1000, 10_000_000] {
                let (zipf, mut rng) = (Zipf::new(count, exponent), Rng::new(1));
                let taken = (0..10_000).filter(|_| zipf.draw(&mut rng).1).count();
                assert!(taken > 6_667, "{taken} of 10,000 with {count} numbers, exponent {exponent}");
            }
        }
    }

    #[test]
    fn numbers_stay_in_their_range() {
        for exponent in [0.01, 0.99, 1.0, 1.0 + 1e-9, 8.0] {
            for count in [1, 2, 10_000_000] {
                let zipf = Zipf::new(count, exponent);
                let mut rng = Rng::new(5);
                let (mut least, mut most) = (u32::MAX, 0);
                for _ in 0..20_000 {
                    let number = zipf.sample(&mut rng);
                    (least, most) = (least.min(number), most.max(number));
                }
                assert!(least >= 1 && most <= count, "{least} to {most} of {count}, exponent {exponent}");
                assert!(exponent < 0.5 || least == 1);
            }
        }
    }
}
