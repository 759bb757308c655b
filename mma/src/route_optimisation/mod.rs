//! Route optimisation, the initiator's side: return routability and correspondent registration (RFC 6275 §11.6, §11.7.2
//! to §11.7.4, §11.8) for one home address or for very many.
//!
//! A mobility agent has one [`Optimiser`] for the terminals that it serves, a terminal one for itself. It holds no
//! address, no socket and no clock: its owner tells what care-of address a home address has, which correspondents sent
//! packets and by which way, what mobility messages came, and when time has come; it carries out the [`Action`]s.
//!
//! Whoever can send packets to a home address can make its owner ask questions. So what is asked is bounded: pairs in
//! all and for each home address, first attempts a second, messages a second to one correspondent (`pacing`), attempts
//! before a pair is left alone, and what is remembered of failures. When a limit is reached, packets go on coming
//! through the home agent; nothing else is lost.
//!
//! A correspondent that shares a key with the terminal is sent one Binding Update and no question (RFC 4449).
//!
//! Left out: correspondents that are mobile themselves are asked at the address that they speak with; Alternate Care-of
//! Address options, for the update always comes from the care-of address.

mod action;
mod config;
mod counters;
mod pacing;
mod reception;
mod registration;
mod retransmission;
mod sending;
mod test;

pub use action::{Action, Optimisation};
pub use config::{Config, PreconfiguredPeer};
pub use counters::Counters;
pub use reception::{Arrival, Claim, Path};

use crate::return_routability::PreconfiguredKey;
use crate::secret::SecretRng;
use core::net::Ipv6Addr;
use pacing::{Kind, Pacing};
use registration::{Bound, Goal, Pair, Phase, Registration};
use retransmission::{Due, MAX_BINDACK_TIMEOUT};
use stack::addr;
use stack::machine::CorrespondentWay;
use stack::rate::TokenBucket;
use stack::time::{Duration, Instant, Timers};
use stack::wire::mobility::Lifetime;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The longest lifetime of a binding that rests on return routability (RFC 6275 §12).
pub const MAX_RR_BINDING_LIFETIME: Duration = Duration::from_secs(420);

/// What is known of a correspondent, for showing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// Home address; `None` where it is all of them.
    pub home_address: Option<Ipv6Addr>,
    /// Correspondent.
    pub correspondent: Ipv6Addr,
    /// `testing`, `updating`, `deleting`, `optimised`, `failed`, or `unable` of who knows no Mobile IPv6.
    pub state: &'static str,
    /// The care-of address that the correspondent has.
    pub care_of: Option<Ipv6Addr>,
    /// When that binding ends, or the memory of the failure.
    pub until: Option<Instant>,
}

/// Where the terminal with a home address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Location {
    /// At this care-of address, which it has until then.
    Away { care_of: Ipv6Addr, until: Instant },
    /// At home, or on its way there.
    Home,
}

#[derive(Clone, Copy, Debug)]
struct Home {
    location: Location,
    registrations: usize,
}

/// A key that is shared, and the last sequence number used with it.
#[derive(Debug)]
struct Preconfigured {
    key: PreconfiguredKey,
    sequence: u16,
}

/// The initiator.
///
/// - in: [`Optimiser::set_care_of`], [`Optimiser::return_home`], [`Optimiser::drop_home_address`],
///   [`Optimiser::delete`], [`Optimiser::delete_foreign`], [`Optimiser::handle_correspondent`], [`Optimiser::handle_message`],
///   [`Optimiser::handle_icmp_error`], [`Optimiser::handle_timeout`];
/// - out: [`Optimiser::poll_action`] until it is empty, after each of them; [`Optimiser::poll_timeout`].
#[derive(Debug)]
pub struct Optimiser {
    config: Config,
    preconfigured: BTreeMap<Pair, Preconfigured>,
    secrets: SecretRng,
    homes: BTreeMap<Ipv6Addr, Home>,
    registrations: BTreeMap<Pair, Registration>,
    /// Correspondents and home addresses for which a Care-of Test is waited for: its destination does not name the home
    /// address where several share a care-of address. Pacing keeps them few for each correspondent.
    asked: BTreeSet<Pair>,
    /// Pairs that failed, and until when they are left alone.
    failed: Timers<Pair>,
    /// Correspondents that know no Mobile IPv6, and until when that is believed.
    unable: Timers<Ipv6Addr>,
    pacing: Pacing,
    starts: TokenBucket,
    timers: Timers<Pair>,
    counters: Counters,
    actions: VecDeque<Action>,
}

/// How a registration ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Nothing was sent any more.
    Lapsed,
    /// The correspondent deleted it, or nothing was there to delete.
    Deleted,
    /// The owner has no use for it.
    Dropped,
    /// Nobody answered.
    Unanswered,
    /// The correspondent refused.
    Refused,
    /// The correspondent knows no Mobile IPv6.
    Unable,
    /// The correspondent cannot be reached.
    Unreachable,
}

impl Optimiser {
    /// An initiator that has nothing to do yet.
    pub fn new(mut config: Config, secrets: SecretRng) -> Self {
        let preconfigured = core::mem::take(&mut config.preconfigured)
            .into_iter()
            .map(|peer| ((peer.home_address, peer.correspondent), Preconfigured { key: peer.key, sequence: 0 }))
            .collect();
        Optimiser {
            preconfigured,
            secrets,
            homes: BTreeMap::new(),
            registrations: BTreeMap::new(),
            asked: BTreeSet::new(),
            failed: Timers::new(),
            unable: Timers::new(),
            pacing: Pacing::default(),
            starts: TokenBucket::per_second(config.max_starts_per_sec, config.max_starts_per_sec),
            timers: Timers::new(),
            counters: Counters::default(),
            actions: VecDeque::new(),
            config,
        }
    }

    /// The last sequence number that an earlier run wrote down ([`Action::KeepSequence`]). Returns whether a key is
    /// configured for this pair.
    pub fn restore_sequence(&mut self, home_address: Ipv6Addr, correspondent: Ipv6Addr, last: u16) -> bool {
        match self.preconfigured.get_mut(&(home_address, correspondent)) {
            Some(preconfigured) => {
                preconfigured.sequence = last;
                true
            }
            None => false,
        }
    }

    /// The home address has this care-of address, registered until then. Where it is another one than before, all
    /// correspondents that have the old one are told, and meanwhile reached through the home agent.
    pub fn set_care_of(&mut self, now: Instant, home_address: Ipv6Addr, care_of: Ipv6Addr, until: Instant) {
        let location = Location::Away { care_of, until };
        let home = self.homes.entry(home_address).or_insert(Home { location, registrations: 0 });
        let before = core::mem::replace(&mut home.location, location);
        if before == location || matches!(before, Location::Away { care_of: before, .. } if before == care_of) {
            return;
        }
        for pair in self.pairs_of(home_address) {
            let Some(mut registration) = self.take(pair) else { continue };
            self.unbind(pair, &mut registration);
            registration.begin(Goal::Bind);
            self.advance(now, pair, registration);
        }
    }

    /// The terminal is at home: all correspondents that have a care-of address are asked to forget it, with a home test
    /// alone (RFC 6275 §11.6.1).
    pub fn return_home(&mut self, now: Instant, home_address: Ipv6Addr) {
        let Some(home) = self.homes.get_mut(&home_address) else { return };
        home.location = Location::Home;
        for pair in self.pairs_of(home_address) {
            self.delete(now, pair.0, pair.1);
        }
    }

    /// Asks the correspondent to forget the care-of address, where it has one or may have.
    pub fn delete(&mut self, now: Instant, home_address: Ipv6Addr, correspondent: Ipv6Addr) {
        let pair = (home_address, correspondent);
        let Some(mut registration) = self.take(pair) else { return };
        if registration.goal == Goal::Delete {
            return self.advance(now, pair, registration);
        }
        let told = matches!(&registration.phase, Phase::Updating(update) if update.first.is_some());
        if registration.bound.is_none() && !told {
            return self.end(now, pair, registration, End::Dropped);
        }
        self.unbind(pair, &mut registration);
        registration.begin(Goal::Delete);
        self.advance(now, pair, registration);
    }

    /// Asks a correspondent to forget a care-of address that somebody else has told it: a mobility agent, for the
    /// terminal that is at home now.
    pub fn delete_foreign(&mut self, now: Instant, home_address: Ipv6Addr, correspondent: Ipv6Addr) {
        let pair = (home_address, correspondent);
        let home = self.homes.entry(home_address).or_insert(Home { location: Location::Home, registrations: 0 });
        home.location = Location::Home;
        if self.registrations.contains_key(&pair) {
            return self.delete(now, home_address, correspondent);
        }
        let refused = if correspondent == home_address || !addr::is_routable_unicast(correspondent) {
            &mut self.counters.refused_address
        } else if !self.config.allows(correspondent) {
            &mut self.counters.refused_policy
        } else if self.registrations.len() >= self.config.max_registrations {
            &mut self.counters.refused_full
        } else if home.registrations >= self.config.max_per_home_address {
            &mut self.counters.refused_share
        } else if !self.starts.take(now) {
            &mut self.counters.refused_rate
        } else {
            home.registrations += 1;
            let mut registration = Registration::new(self.first_sequence(pair));
            registration.begin(Goal::Delete);
            return self.advance(now, pair, registration);
        };
        *refused += 1;
    }

    /// The home address is no longer the owner's business: nothing more is sent for it.
    pub fn drop_home_address(&mut self, now: Instant, home_address: Ipv6Addr) {
        for pair in self.pairs_of(home_address) {
            if let Some(registration) = self.take(pair) {
                self.end(now, pair, registration, End::Dropped);
            }
        }
        self.homes.remove(&home_address);
    }

    /// A packet of a correspondent, which is no signalling, came for the home address by this way (RFC 6275 §11.7.2).
    pub fn handle_correspondent(
        &mut self,
        now: Instant,
        home_address: Ipv6Addr,
        correspondent: Ipv6Addr,
        way: CorrespondentWay,
    ) {
        let pair = (home_address, correspondent);
        if let Some(mut registration) = self.take(pair) {
            match way {
                CorrespondentWay::Optimised => {
                    if let Some(care_of) = registration.note_seen(now) {
                        self.tell(pair, Optimisation::On { care_of });
                    }
                }
                CorrespondentWay::HomeAgent | CorrespondentWay::Forwarded => {
                    let resting = matches!(registration.phase, Phase::Resting);
                    if resting && registration.is_lost(now) {
                        self.counters.lost += 1;
                        registration.begin(Goal::Bind);
                    }
                }
            }
            self.advance(now, pair, registration);
        } else if way != CorrespondentWay::Optimised && self.may_start(now, pair) {
            let sequence = self.first_sequence(pair);
            if let Some(home) = self.homes.get_mut(&home_address) {
                home.registrations += 1;
            }
            self.advance(now, pair, Registration::new(sequence));
        }
    }

    /// Time has come to `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.forget_failures(now);
        while let Some(pair) = self.timers.pop_expired(now) {
            if let Some(registration) = self.take(pair) {
                self.advance(now, pair, registration);
            }
        }
    }

    /// What the owner has to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Optimiser::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What is known of correspondents, failures last.
    pub fn views(&self) -> impl Iterator<Item = View> + '_ {
        let live = self.registrations.iter().map(|(&(home_address, correspondent), registration)| {
            let state = match (&registration.phase, registration.goal) {
                (_, Goal::Delete) => "deleting",
                (Phase::Testing, _) => "testing",
                (Phase::Updating(_), _) => "updating",
                (Phase::Resting, _) => "optimised",
            };
            let bound = registration.bound;
            View {
                home_address: Some(home_address),
                correspondent,
                state,
                care_of: bound.map(|bound| bound.care_of),
                until: bound.map(|bound| bound.expires_at),
            }
        });
        let remembered = |home_address, correspondent, state, until| View {
            home_address,
            correspondent,
            state,
            care_of: None,
            until: Some(until),
        };
        let failed = self.failed.iter().map(move |((home_address, correspondent), until)| {
            remembered(Some(home_address), correspondent, "failed", until)
        });
        let unable =
            self.unable.iter().map(move |(correspondent, until)| remembered(None, correspondent, "unable", until));
        live.chain(failed).chain(unable)
    }

    /// Whether a pair may be tried for the first time, or again after it failed.
    fn may_start(&mut self, now: Instant, pair: Pair) -> bool {
        let (home_address, correspondent) = pair;
        self.forget_failures(now);
        let Some(&Home { location: Location::Away { care_of, until }, registrations }) = self.homes.get(&home_address)
        else {
            return false;
        };
        let refused = if correspondent == home_address
            || correspondent == care_of
            || self.config.nowhere.iter().any(|prefix| prefix.contains(correspondent))
            || !addr::is_routable_unicast(correspondent)
            || until.since(now) < Lifetime(1).duration()
        {
            &mut self.counters.refused_address
        } else if !self.config.allows(correspondent) {
            &mut self.counters.refused_policy
        } else if self.failed.is_running(pair) || self.unable.is_running(correspondent) {
            &mut self.counters.refused_failed
        } else if self.registrations.len() >= self.config.max_registrations {
            &mut self.counters.refused_full
        } else if registrations >= self.config.max_per_home_address {
            &mut self.counters.refused_share
        } else if self.pacing.delay(now, correspondent) > MAX_BINDACK_TIMEOUT || !self.starts.take(now) {
            &mut self.counters.refused_rate
        } else {
            return true;
        };
        *refused += 1;
        false
    }

    /// The number before that of the first update: the last one with a preconfigured key, otherwise random.
    fn first_sequence(&mut self, pair: Pair) -> u16 {
        match self.preconfigured.get(&pair) {
            Some(preconfigured) => preconfigured.sequence,
            None => self.secrets.next_u16(),
        }
    }

    fn forget_failures(&mut self, now: Instant) {
        while self.failed.pop_expired(now).is_some() {}
        while self.unable.pop_expired(now).is_some() {}
    }

    /// Does what is to be done for a pair now, and keeps it until something is to be done again, or ends it.
    fn advance(&mut self, now: Instant, pair: Pair, mut registration: Registration) {
        match self.run(now, pair, &mut registration) {
            Ok(deadline) => {
                self.timers.set(pair, deadline);
                if registration.care_of.cookie().is_some() {
                    self.asked.insert((pair.1, pair.0));
                }
                self.registrations.insert(pair, registration);
            }
            Err(end) => self.end(now, pair, registration, end),
        }
    }

    /// When the pair is to be looked at again.
    fn run(&mut self, now: Instant, pair: Pair, registration: &mut Registration) -> Result<Instant, End> {
        loop {
            let lapses_at = match &registration.bound {
                Some(bound) if now >= bound.expires_at => {
                    self.unbind(pair, registration);
                    Instant::FAR_FUTURE
                }
                Some(Bound { doubt: Some(until), .. }) if now >= *until => {
                    self.counters.lost += 1;
                    self.unbind(pair, registration);
                    if matches!(registration.phase, Phase::Resting) {
                        registration.begin(Goal::Bind);
                    }
                    Instant::FAR_FUTURE
                }
                Some(bound) => bound.doubt.unwrap_or(bound.expires_at).min(bound.expires_at),
                None => Instant::FAR_FUTURE,
            };
            let deadline = match &mut registration.phase {
                Phase::Resting => match registration.bound {
                    None => return Err(End::Lapsed),
                    Some(bound) if now < bound.refresh_at => bound.refresh_at,
                    Some(_) if registration.is_flowing(now) => {
                        registration.begin(Goal::Bind);
                        continue;
                    }
                    Some(bound) => bound.expires_at,
                },
                Phase::Testing => match self.ask(now, pair, registration)? {
                    Some(deadline) => deadline,
                    None => {
                        registration.phase = Phase::Updating(self.compose(now, pair, registration)?);
                        continue;
                    }
                },
                Phase::Updating(update) => {
                    let pacing = &mut self.pacing;
                    match update.retransmission.poll(now, || pacing.reserve(now, pair.1, Kind::Update)) {
                        Due::Wait(deadline) => deadline,
                        // What was asked for in vain: the correspondent forgets in time by itself.
                        Due::Unanswered if registration.goal == Goal::Delete => return Err(End::Dropped),
                        Due::Unanswered => return Err(End::Unanswered),
                        Due::Send => {
                            self.send_update(now, pair, registration);
                            continue;
                        }
                    }
                }
            };
            return Ok(deadline.min(lapses_at));
        }
    }

    /// The correspondent is not to be thought to have a binding any more.
    fn unbind(&mut self, (home_address, correspondent): Pair, registration: &mut Registration) {
        if registration.unbind() {
            self.tell((home_address, correspondent), Optimisation::Off);
        }
    }

    fn tell(&mut self, (home_address, correspondent): Pair, state: Optimisation) {
        self.actions.push_back(Action::Optimised { home_address, correspondent, state });
    }

    /// Takes a registration out of the table, to be put back by [`Optimiser::advance`] or not.
    fn take(&mut self, pair: Pair) -> Option<Registration> {
        let registration = self.registrations.remove(&pair)?;
        self.asked.remove(&(pair.1, pair.0));
        Some(registration)
    }

    /// Ends a registration that was taken out.
    fn end(&mut self, now: Instant, pair: Pair, mut registration: Registration, end: End) {
        self.timers.cancel(pair);
        self.unbind(pair, &mut registration);
        if let Some(home) = self.homes.get_mut(&pair.0) {
            home.registrations -= 1;
        }
        let until = now + self.config.failure_memory;
        let limit = self.config.max_failures;
        match end {
            End::Dropped => {}
            End::Lapsed => self.counters.lapsed += 1,
            End::Deleted => self.counters.deleted += 1,
            End::Unable => {
                self.counters.failed_unable += 1;
                remember(&mut self.unable, limit, pair.1, until);
            }
            End::Unanswered | End::Refused | End::Unreachable => {
                *match end {
                    End::Unanswered => &mut self.counters.failed_unanswered,
                    End::Refused => &mut self.counters.failed_refused,
                    _ => &mut self.counters.failed_unreachable,
                } += 1;
                remember(&mut self.failed, limit, pair, until);
            }
        }
    }

    /// The care-of address of a home address that is away.
    fn care_of(&self, home_address: Ipv6Addr) -> Option<Ipv6Addr> {
        match self.homes.get(&home_address)?.location {
            Location::Away { care_of, .. } => Some(care_of),
            Location::Home => None,
        }
    }

    fn pairs_of(&self, home_address: Ipv6Addr) -> Vec<Pair> {
        let last = Ipv6Addr::from_bits(u128::MAX);
        let range = (home_address, Ipv6Addr::UNSPECIFIED)..=(home_address, last);
        self.registrations.range(range).map(|(&pair, _)| pair).collect()
    }
}

/// Remembers a failure; the one that ends first makes room.
fn remember<K: Ord + Copy>(failures: &mut Timers<K>, limit: usize, key: K, until: Instant) {
    while failures.len() >= limit.max(1) && failures.pop_expired(Instant::FAR_FUTURE).is_some() {}
    failures.set(key, until);
}

#[cfg(test)]
mod tests;
