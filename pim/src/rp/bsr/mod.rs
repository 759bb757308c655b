//! The bootstrap router mechanism (RFC 5059): election of a bootstrap router, candidates for it, candidate rendezvous
//! points, and the RP-Set that spreads through the domain.
//!
//! [`Bsr`] is the machine of all scope zones. It is given messages that passed the checks of the interfaces
//! ([`reception`]), and says what to send; how that reaches the links is [`forwarding`].

mod candidate_rp;
mod candidate_set;
mod config;
mod forwarding;
mod fragmentation;
mod override_delay;
mod reassembly;
mod reception;
mod rp_set;
mod state;
mod view;
mod zone;

pub use config::{BsrBoundary, BsrConfig, CandidateBsr, CandidateRp, UnicastBootstrap};
pub use state::BsrState;
pub use view::BsrView;
pub use zone::ScopeZone;

pub(crate) use rp_set::RangeProtocol;

use super::choice::Choice;
use crate::counters::Counters;
use crate::wire::{Bootstrap, CandidateRpAdvertisement, EncodedGroup, RpEntry, RpRange};
use candidate_rp::ZonePlace;
use candidate_set::{CandidateSet, Offer};
use core::net::Ipv6Addr;
use override_delay::bs_rand_override;
use stack::addr::{self, Prefix, Scope};
use stack::machine::PortId;
use stack::rng::Rng;
use stack::time::{Duration, Instant, Timers};
use state::{BsrAction, BsrEvent, transition};
use std::collections::{BTreeMap, VecDeque};
use zone::{Delivery, Taken, Weight, Zone, group_range, scope_of};

/// BS_Period (RFC 5059 §5).
pub(crate) const BS_PERIOD: Duration = Duration::from_secs(60);
/// BS_Timeout (RFC 5059 §5).
pub(crate) const BS_TIMEOUT: Duration = Duration::from_secs(130);
/// BS_Min_Interval (RFC 5059 §5).
const BS_MIN_INTERVAL: Duration = Duration::from_secs(10);
/// SZ_Timeout (RFC 5059 §5).
const SZ_TIMEOUT: Duration = Duration::from_secs(1300);
/// C_RP_Adv_Backoff, at the most (RFC 5059 §5).
const C_RP_ADV_BACKOFF: Duration = Duration::from_secs(3);
/// Advertisements to a new bootstrap router beside the first (RFC 5059 §3.2).
const REPEATED_ADVERTISEMENTS: u8 = 2;
/// The lowest BSR Priority.
const LOWEST_PRIORITY: u8 = 0;

/// What the machine has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BsrOutput {
    /// The message goes to all neighbours; it came in by `from`, or is this router's own.
    Flood { zone: ScopeZone, message: Bootstrap, from: Option<PortId> },
    /// The message goes to the bootstrap router.
    Advertise { bsr: Ipv6Addr, message: CandidateRpAdvertisement },
    /// Groups can have other rendezvous points now.
    RpSetChanged,
}

/// Timers of RFC 5059 §5.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum BsrTimer {
    /// The first GET(M,Z) to end.
    Mappings(ScopeZone),
    /// The first CGET(M,Z) to end.
    Candidates(ScopeZone),
    /// CRPT, for each zone.
    Advertise(ScopeZone),
    /// BST(Z).
    Bootstrap(ScopeZone),
    /// SZT(Z).
    ScopeZone(ScopeZone),
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Bsr {
    config: BsrConfig,
    /// The widest scope whose zone ends at an interface of this router.
    border: Option<Scope>,
    rng: Rng,
    started: Option<Instant>,
    zones: BTreeMap<ScopeZone, Zone>,
    /// Advertisements that are still to be repeated soon.
    repeats: BTreeMap<ScopeZone, u8>,
    timers: Timers<BsrTimer>,
    outputs: VecDeque<BsrOutput>,
}

impl Bsr {
    /// A machine that does not run yet. `border` is the widest scope whose zone ends at an interface.
    pub(crate) fn new(config: BsrConfig, border: Option<Scope>, rng: Rng) -> Self {
        let mut zones = BTreeMap::from([(ScopeZone::Domain, Zone::new(BsrState::AcceptAny, Instant::ORIGIN))]);
        if let Some(candidate) = &config.candidate_bsr {
            let scopes = candidate.scopes.iter().map(|&scope| ScopeZone::Scope(scope));
            for zone in scopes.chain([ScopeZone::Domain]) {
                zones.insert(zone, Zone::new(BsrState::Pending, Instant::ORIGIN));
            }
        }
        let (repeats, timers, outputs) = (BTreeMap::new(), Timers::new(), VecDeque::new());
        Bsr { config, border, rng, started: None, zones, repeats, timers, outputs }
    }

    /// The first link is up: candidates begin to wait for better ones.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.started.is_some() {
            return;
        }
        self.started = Some(now);
        for (&id, zone) in &mut self.zones {
            zone.since = now;
            if let Some(own) = own_weight(&self.config, id) {
                self.timers.set(BsrTimer::Bootstrap(id), now + bs_rand_override(own, None));
            }
        }
    }

    /// A Bootstrap message for this zone that a neighbour sent, and that came the way that `delivery` demands.
    pub(crate) fn handle_bootstrap(
        &mut self,
        now: Instant,
        from: PortId,
        id: ScopeZone,
        delivery: Delivery,
        message: &Bootstrap,
        counters: &mut Counters,
    ) {
        let recently = self.started.is_some_and(|started| now <= started + BS_PERIOD);
        if delivery == Delivery::Quick
            && (!recently || !self.zones.get(&id).is_none_or(|zone| zone.takes_quick(message)))
        {
            counters.drop_bootstrap_not_starting += 1;
            return;
        }
        let own = own_weight(&self.config, id);
        if own.is_some_and(|own| own.address == message.bsr_address) {
            // DEVIATION RFC 5059 §3.1.4: what this candidate said before it started anew is no message of another
            // bootstrap router, although its weight is the same. Its mappings are taken; the state stays.
            if self.zones.get(&id).is_some_and(|zone| zone.state == BsrState::Pending) {
                self.take(now, id, delivery, message, counters);
            }
            return;
        }
        let zone = self.zones.entry(id).or_insert_with(|| Zone::new(BsrState::NoInfo, now));
        let event = zone.event_of(message, own);
        let state = zone.state;
        let (next, action) = transition(zone.state, event);
        zone.state = next;
        match action {
            BsrAction::ForwardAndStore => {
                self.forward(id, from, delivery, message);
                self.store(now, id, state, delivery, message, counters);
            }
            BsrAction::Forward => self.forward(id, from, delivery, message),
            BsrAction::ForwardAndOverride => {
                self.forward(id, from, delivery, message);
                self.wait_for_better(now, id);
            }
            BsrAction::Originate => self.originate_soon(now, id),
            BsrAction::None => counters.bootstrap_not_preferred += 1,
            BsrAction::Override | BsrAction::RefreshAndForget | BsrAction::RemoveZone => {}
        }
    }

    /// An advertisement of a candidate rendezvous point to this router.
    pub(crate) fn handle_candidate_rp(
        &mut self,
        now: Instant,
        message: &CandidateRpAdvertisement,
        counters: &mut Counters,
    ) {
        let Some(candidate) = &self.config.candidate_bsr else {
            counters.drop_candidate_rp_not_elected += 1;
            return;
        };
        let accepted = candidate.accept.is_empty() || candidate.accept.iter().any(|p| p.contains(message.address));
        if !accepted || !addr::is_routable_unicast(message.address) {
            counters.drop_candidate_rp_address += 1;
            return;
        }
        let all = [EncodedGroup { mask_length: 8, ..EncodedGroup::host(ALL_GROUPS) }];
        let ranges = if message.ranges.is_empty() { &all[..] } else { &message.ranges };
        for &group in ranges {
            let Some(range) = group_range(group) else {
                counters.drop_rp_range += 1;
                continue;
            };
            let elected = |id: &ScopeZone| self.zones.get(id).is_some_and(|zone| zone.state == BsrState::Elected);
            let narrowest = scope_of(range).map(ScopeZone::Scope).filter(elected);
            let Some(id) = narrowest.or(Some(ScopeZone::Domain).filter(elected)) else {
                counters.drop_candidate_rp_not_elected += 1;
                continue;
            };
            let Some(zone) = self.zones.get_mut(&id) else { continue };
            let entry = RpEntry { address: message.address, holdtime: message.holdtime, priority: message.priority };
            let offered = (range, RangeProtocol::of(group.bidirectional));
            match zone.candidates.offer(now, offered, entry, self.config.max_mappings) {
                Offer::Refreshed => {}
                Offer::Changed => self.originate_with_more(now, id),
                Offer::TakenBack => self.originate_soon(now, id),
                Offer::BeyondLimit => counters.drop_rp_mapping_limit += 1,
            }
            self.arm_candidates(id);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, counters: &mut Counters) {
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                BsrTimer::Mappings(id) => self.mappings_expire(now, id),
                BsrTimer::Candidates(id) => {
                    if self.zones.get_mut(&id).is_some_and(|zone| zone.candidates.expire(now)) {
                        self.originate_soon(now, id);
                    }
                    self.arm_candidates(id);
                }
                BsrTimer::Advertise(id) => self.advertisement_timer_expires(now, id, counters),
                BsrTimer::Bootstrap(id) => self.zone_timer_expires(now, id, BsrEvent::BootstrapTimerExpires, counters),
                BsrTimer::ScopeZone(id) => self.zone_timer_expires(now, id, BsrEvent::ScopeZoneTimerExpires, counters),
            }
        }
    }

    /// Bows out: the candidacies are taken back, and who is elected leaves with the lowest priority (RFC 5059 §3.2, §3.3).
    pub(crate) fn stop(&mut self, now: Instant, counters: &mut Counters) {
        for id in self.zones.keys().copied().collect::<Vec<_>>() {
            self.advertise(now, id, 0, counters);
            if self.zones.get(&id).is_some_and(|zone| zone.state == BsrState::Elected) {
                self.originate(now, id, LOWEST_PRIORITY, counters);
            }
        }
        self.timers = Timers::new();
    }

    pub(crate) fn poll_output(&mut self) -> Option<BsrOutput> {
        self.outputs.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// What the learned mappings say about a group. Where a zone of its scope is known, only that zone's count (§1.3).
    pub(crate) fn lookup(&self, group: Ipv6Addr) -> Choice {
        let scoped = Scope::of(group).and_then(|scope| self.zones.get(&ScopeZone::Scope(scope)));
        let zone = scoped.or_else(|| self.zones.get(&ScopeZone::Domain));
        zone.map_or(Choice::NoRange, |zone| zone.rp_set.lookup(group, zone.hash_mask_length))
    }

    /// The messages that a new neighbour is told: of each zone the last one.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (ScopeZone, &Bootstrap)> {
        self.zones.iter().flat_map(|(&id, zone)| zone.stored.iter().map(move |message| (id, message)))
    }

    pub(crate) fn config(&self) -> &BsrConfig {
        &self.config
    }

    /// Forward BSM.
    fn forward(&mut self, zone: ScopeZone, from: PortId, delivery: Delivery, message: &Bootstrap) {
        if delivery == Delivery::Flooded {
            self.outputs.push_back(BsrOutput::Flood { zone, message: message.clone(), from: Some(from) });
        }
    }

    /// Store RP-Set; BST := BS_Timeout. The message's bootstrap router is the current one now.
    fn store(
        &mut self,
        now: Instant,
        id: ScopeZone,
        before: BsrState,
        delivery: Delivery,
        message: &Bootstrap,
        counters: &mut Counters,
    ) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let weight = Weight::of(message);
        let follows = matches!(before, BsrState::AcceptPreferred | BsrState::Candidate);
        let is_new = !follows || zone.current.is_none_or(|current| current.address != weight.address);
        zone.current = Some(weight);
        if is_new {
            zone.since = now;
        }
        if before == BsrState::Elected {
            zone.candidates = CandidateSet::default();
        }
        self.timers.set(BsrTimer::Bootstrap(id), now + BS_TIMEOUT);
        self.timers.cancel(BsrTimer::ScopeZone(id));
        self.arm_candidates(id);
        self.take(now, id, delivery, message, counters);
        if is_new {
            self.tell_new_bsr(now, id);
        }
    }

    /// Keeps the message, and takes its mappings.
    fn take(&mut self, now: Instant, id: ScopeZone, delivery: Delivery, message: &Bootstrap, counters: &mut Counters) {
        let limit = self.config.max_mappings;
        if let Some(zone) = self.zones.get_mut(&id) {
            zone.taken = Some(Taken::of(message, delivery));
            zone.keep(message, limit);
        }
        self.update_rp_set(now, id, message, counters);
    }

    /// Store RP-Set (RFC 5059 §3.1.5).
    fn update_rp_set(&mut self, now: Instant, id: ScopeZone, message: &Bootstrap, counters: &mut Counters) {
        let limit = self.config.max_mappings;
        let Some(zone) = self.zones.get_mut(&id).filter(|_| !message.is_empty()) else { return };
        let former_mask = core::mem::replace(&mut zone.hash_mask_length, message.hash_mask_length);
        let mut changed = former_mask != message.hash_mask_length && zone.rp_set.len() > 0;
        let added = zone.reassembly.add(message, limit);
        counters.drop_rp_range += added.refused;
        counters.drop_rp_mapping_limit += added.beyond_limit;
        for range in added.whole {
            if !id.holds(range.prefix) {
                counters.drop_rp_range += 1;
                continue;
            }
            let stored = zone.rp_set.replace(now, range.prefix, range.protocol, &range.rps, limit);
            counters.drop_rp_address += stored.refused;
            counters.drop_rp_mapping_limit += stored.beyond_limit;
            changed |= stored.changed;
        }
        self.arm_mappings(id);
        if changed {
            self.outputs.push_back(BsrOutput::RpSetChanged);
        }
    }

    fn mappings_expire(&mut self, now: Instant, id: ScopeZone) {
        if self.zones.get_mut(&id).is_some_and(|zone| zone.rp_set.expire(now)) {
            self.outputs.push_back(BsrOutput::RpSetChanged);
        }
        self.arm_mappings(id);
    }

    fn zone_timer_expires(&mut self, now: Instant, id: ScopeZone, event: BsrEvent, counters: &mut Counters) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let (next, action) = transition(zone.state, event);
        let before = core::mem::replace(&mut zone.state, next);
        match action {
            BsrAction::Override => {
                self.refresh(now, id, counters);
                self.wait_for_better(now, id);
            }
            BsrAction::RefreshAndForget => {
                self.refresh(now, id, counters);
                if let Some(zone) = self.zones.get_mut(&id) {
                    zone.current = None;
                    zone.since = now;
                }
                self.timers.cancel(BsrTimer::Advertise(id));
                if id != ScopeZone::Domain {
                    self.timers.set(BsrTimer::ScopeZone(id), now + SZ_TIMEOUT);
                }
            }
            BsrAction::RemoveZone => self.remove_zone(id),
            BsrAction::Originate => {
                let Some(own) = own_weight(&self.config, id) else { return };
                if before != BsrState::Elected {
                    zone.current = Some(own);
                    zone.since = now;
                    zone.candidates = CandidateSet::default();
                    self.tell_new_bsr(now, id);
                }
                self.originate(now, id, own.priority, counters);
            }
            BsrAction::None | BsrAction::ForwardAndStore | BsrAction::Forward | BsrAction::ForwardAndOverride => {}
        }
    }

    /// Refresh RP-Set: the last message counts as if it came now. It is told to nobody any more.
    fn refresh(&mut self, now: Instant, id: ScopeZone, counters: &mut Counters) {
        let stored = self.zones.get_mut(&id).map(|zone| core::mem::take(&mut zone.stored));
        for message in stored.into_iter().flatten() {
            self.update_rp_set(now, id, &message, counters);
        }
    }

    /// BST := BS_Rand_Override.
    fn wait_for_better(&mut self, now: Instant, id: ScopeZone) {
        let stored = self.zones.get(&id).and_then(|zone| zone.current);
        if let Some(own) = own_weight(&self.config, id) {
            self.timers.set(BsrTimer::Bootstrap(id), now + bs_rand_override(own, stored));
        }
    }

    fn remove_zone(&mut self, id: ScopeZone) {
        for timer in [BsrTimer::Mappings, BsrTimer::Candidates, BsrTimer::Advertise, BsrTimer::Bootstrap] {
            self.timers.cancel(timer(id));
        }
        self.repeats.remove(&id);
        if self.zones.remove(&id).is_some() {
            // Groups of this scope are the domain's now, whether or not the zone had mappings.
            self.outputs.push_back(BsrOutput::RpSetChanged);
        }
    }

    /// Originate BSM; BST := BS_Period.
    fn originate(&mut self, now: Instant, id: ScopeZone, priority: u8, counters: &mut Counters) {
        let Some(candidate) = &self.config.candidate_bsr else { return };
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let message = Bootstrap {
            no_forward: false,
            fragment_tag: self.rng.next_u64() as u16,
            hash_mask_length: candidate.hash_mask_length,
            bsr_priority: priority,
            bsr_address: candidate.address,
            ranges: zone_ranges(id, zone.candidates.take_ranges(now)),
        };
        zone.originated = Some(now);
        self.timers.set(BsrTimer::Bootstrap(id), now + BS_PERIOD);
        self.take(now, id, Delivery::Flooded, &message, counters);
        self.outputs.push_back(BsrOutput::Flood { zone: id, message, from: None });
    }

    /// Originates as soon as BS_Min_Interval allows.
    fn originate_soon(&mut self, now: Instant, id: ScopeZone) {
        let allowed = self.zones.get(&id).and_then(|zone| zone.originated).map_or(now, |at| at + BS_MIN_INTERVAL);
        self.timers.set_no_later(BsrTimer::Bootstrap(id), allowed.max(now));
    }

    /// Originates once others have had the time to advertise too (RFC 5059 §3.3).
    fn originate_with_more(&mut self, now: Instant, id: ScopeZone) {
        let allowed = self.zones.get(&id).and_then(|zone| zone.originated).map_or(now, |at| at + BS_MIN_INTERVAL);
        let at = if allowed > now { allowed } else { now + BS_MIN_INTERVAL };
        self.timers.set_no_later(BsrTimer::Bootstrap(id), at);
    }

    /// There is another bootstrap router: the candidate rendezvous point tells it soon, and more than once.
    fn tell_new_bsr(&mut self, now: Instant, id: ScopeZone) {
        if self.config.candidate_rp.is_some() {
            self.repeats.insert(id, REPEATED_ADVERTISEMENTS);
            let backoff = self.rng.duration(Duration::ZERO..C_RP_ADV_BACKOFF);
            self.timers.set(BsrTimer::Advertise(id), now + backoff);
        }
    }

    fn advertisement_timer_expires(&mut self, now: Instant, id: ScopeZone, counters: &mut Counters) {
        let Some(candidate) = &self.config.candidate_rp else { return };
        let (interval, holdtime) = (candidate.interval, candidate.holdtime());
        let next = match self.repeats.get_mut(&id) {
            Some(repeats @ 1..) => {
                *repeats -= 1;
                self.rng.duration(Duration::ZERO..C_RP_ADV_BACKOFF)
            }
            _ => interval,
        };
        self.timers.set(BsrTimer::Advertise(id), now + next);
        self.advertise(now, id, holdtime, counters);
    }

    /// Tells the zone's bootstrap router, which may be this one, what this router offers to serve.
    fn advertise(&mut self, now: Instant, id: ScopeZone, holdtime: u16, counters: &mut Counters) {
        let (Some(candidate), Some(zone)) = (&self.config.candidate_rp, self.zones.get(&id)) else { return };
        let has_bsr = matches!(zone.state, BsrState::AcceptPreferred | BsrState::Candidate | BsrState::Elected);
        let (is_own, Some(bsr)) = (zone.state == BsrState::Elected, zone.current.filter(|_| has_bsr)) else { return };
        let is_known = |scope| self.zones.contains_key(&ScopeZone::Scope(scope));
        let ranges = candidate_rp::ranges_for(&candidate.groups, id, is_known);
        let place = match (id, self.border) {
            (ScopeZone::Scope(scope), Some(border)) if scope <= border => ZonePlace::AtBorder,
            _ => ZonePlace::Inside,
        };
        for message in candidate_rp::advertisements(candidate, &ranges, holdtime, place) {
            if is_own {
                self.handle_candidate_rp(now, &message, counters);
            } else {
                self.outputs.push_back(BsrOutput::Advertise { bsr: bsr.address, message });
            }
        }
    }

    fn arm_mappings(&mut self, id: ScopeZone) {
        let next = self.zones.get(&id).and_then(|zone| zone.rp_set.next_expiry());
        arm(&mut self.timers, BsrTimer::Mappings(id), next);
    }

    fn arm_candidates(&mut self, id: ScopeZone) {
        let next = self.zones.get(&id).and_then(|zone| zone.candidates.next_expiry());
        arm(&mut self.timers, BsrTimer::Candidates(id), next);
    }
}

/// ff00::
const ALL_GROUPS: Ipv6Addr = Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0);

fn arm(timers: &mut Timers<BsrTimer>, timer: BsrTimer, at: Option<Instant>) {
    match at {
        Some(at) => timers.set(timer, at),
        None => {
            timers.cancel(timer);
        }
    }
}

/// This router's weight in a zone for which it is a candidate.
fn own_weight(config: &BsrConfig, id: ScopeZone) -> Option<Weight> {
    let candidate = config.candidate_bsr.as_ref()?;
    let stands = match id {
        ScopeZone::Domain => true,
        ScopeZone::Scope(scope) => candidate.scopes.contains(&scope),
    };
    stands.then_some(Weight { priority: candidate.priority, address: candidate.address })
}

/// The group ranges of a zone's message: in a scope zone the first has the Z bit, and one that has no rendezvous points does
/// not stand alone, which would say nothing of it (RFC 5059 §3.3, §3.1.5).
fn zone_ranges(id: ScopeZone, mut ranges: Vec<RpRange>) -> Vec<RpRange> {
    let ScopeZone::Scope(scope) = id else { return ranges };
    if ranges.len() < 2 && ranges.first().is_none_or(RpRange::is_empty) {
        let named = |flags: u16| {
            let first = 0xff00 | flags << 4 | u16::from(scope.value());
            Prefix::new(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), 16)
        };
        let taken = |range: &Prefix| ranges.iter().any(|other| group_range(other.group) == Some(*range));
        if let Some(name) = (0..2).filter_map(named).find(|range| !taken(range)) {
            let group = EncodedGroup { mask_length: name.length(), ..EncodedGroup::host(name.address()) };
            ranges.insert(0, RpRange { group, rp_count: 0, rps: Vec::new() });
        }
    }
    if let Some(first) = ranges.first_mut() {
        first.group.scope_zone = true;
    }
    ranges
}
