//! Which entry the next packet belongs to.

use super::zipf::Zipf;
use clap::ValueEnum;
use stack::rng::Rng;

/// A prime above every number of entries, so that multiples of it go through all of them.
const SPREAD: u64 = 2_654_435_761;

/// How it is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Distribution {
    /// Every entry alike
    Uniform,
    /// The k-th most popular with a probability proportional to k to the power of minus the exponent
    Zipf,
}

/// A source of entries.
pub(crate) struct Popularity {
    entries: u32,
    zipf: Option<(Zipf, f64)>,
    rng: Rng,
}

impl Popularity {
    /// Numbers below `entries`.
    pub(crate) fn new(distribution: Distribution, exponent: f64, entries: u32, seed: u64) -> Self {
        let zipf = match distribution {
            Distribution::Uniform => None,
            Distribution::Zipf => Some((Zipf::new(entries, exponent), exponent)),
        };
        Popularity { entries, zipf, rng: Rng::new(seed) }
    }

    /// Its name in results.
    pub(crate) fn name(&self) -> String {
        match &self.zipf {
            None => "uniform".to_owned(),
            Some((_, exponent)) => format!("zipf({exponent})"),
        }
    }

    /// The entry of the next packet. Which entries are popular has nothing to do with where they stand.
    pub(crate) fn next_entry(&mut self) -> u32 {
        match &self.zipf {
            None => self.rng.below(self.entries.into()) as u32,
            Some((zipf, _)) => scatter(zipf.sample(&mut self.rng) - 1, self.entries),
        }
    }
}

fn scatter(rank: u32, entries: u32) -> u32 {
    (u64::from(rank) * SPREAD % u64::from(entries)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_all_of_the_entries() {
        for entries in [1, 2, 7, 1000, 4096] {
            let mut all: Vec<u32> = (0..entries).map(|rank| scatter(rank, entries)).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..entries));
        }
    }

    #[test]
    fn few_entries_have_most_of_the_packets() {
        let share = |distribution| {
            let mut popularity = Popularity::new(distribution, 1.0, 1000, 3);
            let mut seen = [0u32; 1000];
            (0..20_000).for_each(|_| seen[popularity.next_entry() as usize] += 1);
            seen.sort_unstable_by_key(|&count| std::cmp::Reverse(count));
            seen[..100].iter().sum::<u32>()
        };
        // A tenth of the entries: the sum of 1/k to 100 by that to 1000 is 0.69.
        assert!((13_000..15_000).contains(&share(Distribution::Zipf)));
        assert!((2_000..3_500).contains(&share(Distribution::Uniform)));
    }

    #[test]
    fn names() {
        assert_eq!(Popularity::new(Distribution::Uniform, 1.0, 5, 1).name(), "uniform");
        assert_eq!(Popularity::new(Distribution::Zipf, 0.99, 5, 1).name(), "zipf(0.99)");
    }
}
