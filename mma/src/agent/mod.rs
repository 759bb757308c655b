//! The agent's machine: Mobility Header messages in; table updates, acknowledgements and events out.
//!
//! The order of what is done with a message is that of RFC 6275 §9.2 (framing, `reception`), RFC 4285 §5 and §6
//! (authenticity, then freshness, `update`), and then `registration`. A binding stands in the output before the
//! acknowledgement that tells of it.

mod acknowledgement;
mod anchor;
mod binding;
mod event;
mod forwarding;
mod optimisation;
mod reception;
mod update;

pub use event::{Command, Event, Removal};

use crate::auth::{ReplayFloor, ReplayGuard, WallClock};
use crate::binding::{Binding, BindingTable};
use crate::care_of_pool::CareOfPool;
use crate::config::{Anchor, Config, RouteOptimisation};
use crate::counters::Counters;
use crate::registration::Admission;
use crate::route_optimisation::{self, Optimiser};
use crate::secret::SecretRng;
use binding::Removed;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::machine::{Machine, Output, Outputs, RxMeta};
use stack::rate::TokenBucket;
use stack::rng::Rng;
use stack::tables::{MmaService, Route, TableUpdate};
use stack::time::{Instant, Timers};

/// The Mobility Management Agent.
///
/// Give it the Mobility Header packets to its address with [`Machine::handle_packet`], and what is
/// [for one of its bindings](MobilityManagementAgent::is_for_binding); its [`Machine::poll_output`] has
/// first, before any packet, the routes to its own addresses and the service that the data plane offers for it.
/// [`MobilityManagementAgent::bindings`], [`MobilityManagementAgent::counters`] and their neighbours are for showing.
#[derive(Debug)]
pub struct MobilityManagementAgent {
    config: Config,
    admission: Admission,
    bindings: BindingTable,
    care_of_pool: CareOfPool,
    replay: ReplayGuard,
    error_limit: TokenBucket,
    rng: Rng,
    /// `None` where correspondents are told nothing.
    optimiser: Option<Optimiser>,
    /// Ends of bindings, by home address.
    timers: Timers<Ipv6Addr>,
    counters: Counters,
    outputs: Outputs<Event>,
}

impl MobilityManagementAgent {
    /// An agent with a configuration for which [`Config::validate`] holds. Cookies come from `secrets`, all else that is
    /// random from `seed`.
    pub fn new(config: Config, seed: u64, secrets: SecretRng) -> Self {
        let mut rng = Rng::new(seed);
        let own = [config.address, config.source];
        let care_of_pool = CareOfPool::new(config.care_of, own, config.quarantine, config.max_quarantined, rng.fork());
        let mut outputs = Outputs::new();
        outputs.table(TableUpdate::RouteSet(config.care_of.prefix(), Route::CareOf));
        if let Anchor::Prefix(prefix) = config.anchor
            && prefix != config.care_of.prefix()
        {
            outputs.table(TableUpdate::RouteSet(prefix, Route::CareOf));
        }
        outputs.table(TableUpdate::RouteSet(Prefix::host(config.address), Route::Local));
        if config.source != config.address {
            outputs.table(TableUpdate::RouteSet(Prefix::host(config.source), Route::Local));
        }
        outputs.table(TableUpdate::MmaServiceSet(MmaService {
            address: config.address,
            access_prefixes: config.access_prefixes.clone(),
            peers: config.peers.clone(),
            chain: config.forward_chain,
        }));
        let optimiser = match &config.route_optimisation {
            RouteOptimisation::Off => None,
            RouteOptimisation::On(limits) => {
                let mut limits = limits.clone();
                limits.nowhere.extend(config.own_prefixes());
                Some(Optimiser::new(limits, secrets))
            }
        };
        MobilityManagementAgent {
            optimiser,
            admission: Admission::Open,
            bindings: BindingTable::default(),
            care_of_pool,
            replay: ReplayGuard::new(config.replay, config.max_replay_floors),
            error_limit: TokenBucket::per_second(config.max_errors_per_sec, config.max_errors_per_sec),
            rng,
            timers: Timers::new(),
            counters: Counters::default(),
            outputs,
            config,
        }
    }

    /// The bindings, by home address.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter()
    }

    /// The binding of a home address.
    pub fn binding(&self, home_address: Ipv6Addr) -> Option<&Binding> {
        self.bindings.find(home_address)
    }

    /// The home address whose terminal has this group.
    pub fn owner_of(&self, group: Ipv6Addr) -> Option<Ipv6Addr> {
        self.bindings.owner_of(group)
    }

    /// How many care-of addresses are kept back.
    pub fn quarantined(&self) -> usize {
        self.care_of_pool.kept_back()
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What is known of correspondents.
    pub fn optimisations(&self) -> impl Iterator<Item = route_optimisation::View> + '_ {
        self.optimiser.iter().flat_map(Optimiser::views)
    }

    /// The counters of route optimisation, where there is any.
    pub fn optimisation_counters(&self) -> Option<&route_optimisation::Counters> {
        self.optimiser.as_ref().map(Optimiser::counters)
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What replay protection remembers, to be written down.
    pub fn replay_floors(&self) -> impl Iterator<Item = (Ipv6Addr, ReplayFloor)> + '_ {
        self.replay.floors()
    }

    /// Remembers again what an earlier run wrote down; returns how many entries found no room.
    pub fn restore_replay_floors(&mut self, floors: impl IntoIterator<Item = (Ipv6Addr, ReplayFloor)>) -> usize {
        self.replay.restore(floors)
    }

    /// Notes from now on what replay protection remembers anew.
    pub fn note_replay_changes(&mut self) {
        self.replay.note_changes();
    }

    /// What replay protection remembers anew since the last call; `None`: nothing any more.
    pub fn take_replay_changes(&mut self) -> Vec<(Ipv6Addr, Option<ReplayFloor>)> {
        self.replay.take_changes()
    }
}

impl Machine for MobilityManagementAgent {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        self.receive(now, meta, packet);
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(home_address) = self.timers.pop_expired(now) {
            self.remove(now, home_address, Removed::Expired);
        }
        self.optimise(|optimiser| optimiser.handle_timeout(now));
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Drain => {
                self.admission = Admission::Draining;
                self.tell_if_drained();
            }
            Command::Resume => self.admission = Admission::Open,
            Command::Stop => {
                self.admission = Admission::Draining;
                if self.bindings.len() == 0 {
                    self.outputs.event(Event::Drained);
                }
                while let Some(home_address) = self.bindings.first() {
                    self.remove(now, home_address, Removed::By(Removal::Stop));
                }
            }
            Command::Revoke(home_address) => self.remove(now, home_address, Removed::By(Removal::Operator)),
            Command::Correspondent { home_address, correspondent, way } => {
                self.optimise(|optimiser| optimiser.handle_correspondent(now, home_address, correspondent, way));
            }
            Command::SetClock(reads) => self.replay.set_clock(WallClock { at: now, reads }),
        }
    }

    fn poll_output(&mut self) -> Option<Output<Event>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let optimiser = self.optimiser.as_ref().and_then(Optimiser::poll_timeout);
        self.timers.next_deadline().into_iter().chain(optimiser).min()
    }
}

#[cfg(test)]
mod tests;
