//! Which of the routers that a terminal hears it uses: the best by averaged signal, with hysteresis and a minimum time
//! between two changes of mind.
//!
//! Signal reports come when the radio or its operator sends them; between two of them the last one holds and counts again
//! every period. The average is exponentially weighted, so that one report is as good as a hundred equal ones and a
//! spike moves little. All numbers are integers: a run repeats bit for bit.

use core::net::Ipv6Addr;
use stack::machine::PortId;
use stack::time::{Duration, Instant};

/// A router on a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouterKey {
    /// The port.
    pub port: PortId,
    /// The router's link-local address.
    pub router: Ipv6Addr,
}

/// Units of [`SignalAverage`] and of scores in a decibel.
pub const UNITS_PER_DB: i32 = 256;

/// How a port's signal is averaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Averaging {
    /// Weight of a measurement in percent, 1 to 100. Default 25.
    pub weight_percent: u8,
    /// After this time a report that was not followed by another counts as measured again. Default 50 ms.
    pub period: Duration,
}

impl Default for Averaging {
    fn default() -> Self {
        Averaging { weight_percent: 25, period: Duration::from_millis(50) }
    }
}

/// The average of a port's signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignalAverage {
    average: i32,
    last: i32,
    measured: Instant,
}

impl SignalAverage {
    /// The first report is the average.
    pub fn new(now: Instant, dbm: i16) -> Self {
        let units = i32::from(dbm) * UNITS_PER_DB;
        SignalAverage { average: units, last: units, measured: now }
    }

    /// A report.
    pub fn report(&mut self, now: Instant, dbm: i16, averaging: &Averaging) {
        self.advance(now, averaging);
        self.last = i32::from(dbm) * UNITS_PER_DB;
        self.measured = now;
        self.step(averaging);
    }

    /// Brings the average up to `now`: the last report counts again for every period that is over.
    pub fn advance(&mut self, now: Instant, averaging: &Averaging) {
        if averaging.period.is_zero() {
            return;
        }
        let periods = (now - self.measured).as_nanos() / averaging.period.as_nanos();
        for _ in 0..periods {
            if self.is_settled() {
                self.measured = now;
                return;
            }
            self.measured += averaging.period;
            self.step(averaging);
        }
    }

    fn step(&mut self, averaging: &Averaging) {
        let difference = self.last - self.average;
        let change = difference * i32::from(averaging.weight_percent) / 100;
        // Where rounding would stop the average for ever, it has arrived.
        self.average = if change == 0 { self.last } else { self.average + change };
    }

    /// The average in [`UNITS_PER_DB`].
    pub const fn units(&self) -> i32 {
        self.average
    }

    /// The average in dBm, rounded down.
    pub const fn dbm(&self) -> i32 {
        self.average.div_euclid(UNITS_PER_DB)
    }

    /// When time alone changes the average next.
    pub fn next_change(&self, averaging: &Averaging) -> Option<Instant> {
        (!self.is_settled() && !averaging.period.is_zero()).then(|| self.measured + averaging.period)
    }

    const fn is_settled(&self) -> bool {
        self.average == self.last
    }
}

/// A router that could be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Which.
    pub key: RouterKey,
    /// Averaged signal of its port, in [`UNITS_PER_DB`].
    pub signal: i32,
    /// What using the port costs, as the operator says, in dB.
    pub cost_db: i16,
    /// The highest preference of a mobility agent that it advertises.
    pub agent_preference: u8,
    /// Whether it advertises the home prefix.
    pub is_home: bool,
}

/// How good a candidate is, in [`UNITS_PER_DB`]; more is better.
pub type Score = fn(&Candidate) -> i32;

/// The usual score: signal less cost.
pub fn by_signal(candidate: &Candidate) -> i32 {
    candidate.signal - i32::from(candidate.cost_db) * UNITS_PER_DB
}

/// How the choice is made.
#[derive(Clone, Copy, Debug)]
pub struct RouterChoiceConfig {
    /// The average.
    pub averaging: Averaging,
    /// Routers on ports whose average is below this are used only where there is no other, in dBm. Default -110.
    pub minimum_signal_dbm: i16,
    /// How much better than the present router another has to be, in dB. Default 6.
    pub hysteresis_db: u8,
    /// How long a router is kept against a better one. A lost link or router does not wait. Default 1 s.
    pub minimum_dwell: Duration,
    /// What is best. Default [`by_signal`].
    pub score: Score,
}

impl Default for RouterChoiceConfig {
    fn default() -> Self {
        RouterChoiceConfig {
            averaging: Averaging::default(),
            minimum_signal_dbm: -110,
            hysteresis_db: 6,
            minimum_dwell: Duration::from_secs(1),
            score: by_signal,
        }
    }
}

/// The choice and since when it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouterChoice {
    chosen: Option<RouterKey>,
    since: Instant,
}

/// The answer of [`RouterChoice::choose`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The router to use.
    pub chosen: Option<RouterKey>,
    /// When to ask again although nothing has happened: a better router waits for the end of the dwell time.
    pub again_at: Option<Instant>,
}

impl RouterChoice {
    /// Nothing is chosen.
    pub const fn new() -> Self {
        RouterChoice { chosen: None, since: Instant::ORIGIN }
    }

    /// The router chosen last.
    pub const fn chosen(&self) -> Option<RouterKey> {
        self.chosen
    }

    /// Chooses among the candidates. The present one stays unless it is not among them or another is better by more
    /// than the hysteresis and the dwell time is over. Of equals the lowest port and address wins.
    pub fn choose(&mut self, now: Instant, config: &RouterChoiceConfig, candidates: &[Candidate]) -> Verdict {
        let score = config.score;
        let floor = i32::from(config.minimum_signal_dbm) * UNITS_PER_DB;
        let heard = candidates.iter().any(|c| c.signal >= floor);
        let usable = || candidates.iter().filter(|c| !heard || c.signal >= floor);
        let best = usable().max_by_key(|c| (score(c), core::cmp::Reverse(c.key)));
        let Some(best) = best else {
            self.chosen = None;
            return Verdict { chosen: None, again_at: None };
        };
        let present = self.chosen.and_then(|key| usable().find(|c| c.key == key));
        let mut again_at = None;
        match present {
            None => self.take(now, best.key),
            Some(present) => {
                let margin = i32::from(config.hysteresis_db) * UNITS_PER_DB;
                let dwell_end = self.since + config.minimum_dwell;
                if score(best).saturating_sub(score(present)) > margin {
                    if now >= dwell_end {
                        self.take(now, best.key);
                    } else {
                        again_at = Some(dwell_end);
                    }
                }
            }
        }
        Verdict { chosen: self.chosen, again_at }
    }

    fn take(&mut self, now: Instant, key: RouterKey) {
        self.chosen = Some(key);
        self.since = now;
    }
}

impl Default for RouterChoice {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RouterKey = RouterKey { port: PortId(0), router: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xa) };
    const B: RouterKey = RouterKey { port: PortId(1), router: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xb) };

    fn candidate(key: RouterKey, signal: i32) -> Candidate {
        Candidate { key, signal, cost_db: 0, agent_preference: 10, is_home: false }
    }

    fn db(units: i32) -> i32 {
        units * UNITS_PER_DB
    }

    #[test]
    fn the_average_follows_a_step_and_settles() {
        let averaging = Averaging::default();
        let mut average = SignalAverage::new(Instant::ORIGIN, -80);
        average.report(Instant::from_secs(1), -60, &averaging);
        assert_eq!(average.dbm(), -75);
        assert_eq!(average.next_change(&averaging), Some(Instant::from_millis(1_050)));
        average.advance(Instant::from_millis(1_050), &averaging);
        // -75 and a quarter of 15.
        assert_eq!(average.units(), -75 * UNITS_PER_DB + 15 * UNITS_PER_DB / 4);
        average.advance(Instant::from_secs(30), &averaging);
        assert_eq!(average.dbm(), -60);
        assert_eq!(average.next_change(&averaging), None);
    }

    #[test]
    fn many_small_steps_are_one_large_one() {
        let averaging = Averaging::default();
        let mut once = SignalAverage::new(Instant::ORIGIN, -80);
        once.report(Instant::ORIGIN, -50, &averaging);
        let mut often = once;
        for millis in 1..=333 {
            often.advance(Instant::from_millis(millis), &averaging);
        }
        once.advance(Instant::from_millis(333), &averaging);
        assert_eq!(once, often);
    }

    #[test]
    fn with_full_weight_reports_count_at_once() {
        let averaging = Averaging { weight_percent: 100, ..Averaging::default() };
        let mut average = SignalAverage::new(Instant::ORIGIN, -80);
        average.report(Instant::ORIGIN, -42, &averaging);
        assert_eq!(average.dbm(), -42);
    }

    #[test]
    fn below_the_minimum_only_where_there_is_no_other() {
        let config = RouterChoiceConfig::default();
        let mut choice = RouterChoice::new();
        let weak = [candidate(A, db(-111))];
        assert_eq!(choice.choose(Instant::ORIGIN, &config, &weak).chosen, Some(A));
        // 2 dB better is enough where the present one is not heard any more.
        let both = [candidate(A, db(-111)), candidate(B, db(-109))];
        assert_eq!(choice.choose(Instant::from_millis(1), &config, &both).chosen, Some(B));
    }

    #[test]
    fn hysteresis_and_dwell_hold_the_present_router() {
        let config = RouterChoiceConfig::default();
        let mut choice = RouterChoice::new();
        let at = Instant::from_millis;
        assert_eq!(choice.choose(at(0), &config, &[candidate(A, db(-60))]).chosen, Some(A));
        // 6 dB are not more than 6 dB.
        let near = [candidate(A, db(-60)), candidate(B, db(-54))];
        assert_eq!(choice.choose(at(5_000), &config, &near), Verdict { chosen: Some(A), again_at: None });
        let better = [candidate(A, db(-60)), candidate(B, db(-53))];
        assert_eq!(choice.choose(at(5_000), &config, &better).chosen, Some(B));
        // Back so soon: after the dwell time only.
        let back = [candidate(A, db(-40)), candidate(B, db(-53))];
        let verdict = choice.choose(at(5_100), &config, &back);
        assert_eq!(verdict, Verdict { chosen: Some(B), again_at: Some(at(6_000)) });
        assert_eq!(choice.choose(at(6_000), &config, &back).chosen, Some(A));
    }

    #[test]
    fn a_lost_router_does_not_wait() {
        let config = RouterChoiceConfig::default();
        let mut choice = RouterChoice::new();
        choice.choose(Instant::ORIGIN, &config, &[candidate(A, db(-60)), candidate(B, db(-90))]);
        let verdict = choice.choose(Instant::from_millis(1), &config, &[candidate(B, db(-90))]);
        assert_eq!(verdict.chosen, Some(B));
        assert_eq!(choice.choose(Instant::from_millis(2), &config, &[]).chosen, None);
    }

    #[test]
    fn cost_and_other_criteria() {
        let mut config = RouterChoiceConfig::default();
        let mut dear = candidate(B, db(-50));
        dear.cost_db = 20;
        let candidates = [candidate(A, db(-60)), dear];
        assert_eq!(RouterChoice::new().choose(Instant::ORIGIN, &config, &candidates).chosen, Some(A));
        config.score = |candidate| i32::from(candidate.key.port.0);
        assert_eq!(RouterChoice::new().choose(Instant::ORIGIN, &config, &candidates).chosen, Some(B));
    }

    /// S9: two ports whose signals swing by ±3 dB against each other for a minute, at several periods.
    #[test]
    fn ping_pong() {
        let config = RouterChoiceConfig::default();
        for period_millis in [50, 200, 1_000, 5_000] {
            let mut choice = RouterChoice::new();
            let (mut a, mut b) = (SignalAverage::new(Instant::ORIGIN, -60), SignalAverage::new(Instant::ORIGIN, -60));
            let mut changes = 0;
            let mut previous = None;
            for millis in (0..60_000u64).step_by(10) {
                let now = Instant::from_millis(millis);
                if millis % period_millis == 0 {
                    let swing = if millis / period_millis % 2 == 0 { 3 } else { -3 };
                    a.report(now, -60 + swing, &config.averaging);
                    b.report(now, -60 - swing, &config.averaging);
                }
                a.advance(now, &config.averaging);
                b.advance(now, &config.averaging);
                let verdict = choice.choose(now, &config, &[candidate(A, a.units()), candidate(B, b.units())]);
                if previous.is_some() && verdict.chosen != previous {
                    changes += 1;
                }
                previous = verdict.chosen;
            }
            assert!(changes <= 1, "{changes} handovers at a period of {period_millis} ms");
        }
    }
}
