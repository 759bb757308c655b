//! Correspondents that have a binding: those that the terminal tells its care-of address itself, and those that a
//! mobility agent has told, which the terminal asks to forget when it is home (RFC 6275 §11.5.5, §11.6, §11.7.2).
//!
//! The questions and updates are [`Optimiser`]'s; here is by which way they leave. Behind a mobility agent they leave in
//! its tunnel: what has the home address as source goes on to the home agent, what has the care-of address goes out from
//! there (RFC 5380 §12.2).

use super::config::RouteOptimisation;
use super::{MobileTerminal, Place};
use core::net::Ipv6Addr;
use mma::route_optimisation::{
    Action, Arrival, Claim, Config, MAX_RR_BINDING_LIFETIME, Optimisation, Optimiser, Path, View,
};
use mma::secret::SecretRng;
use stack::addr::Prefix;
use stack::machine::{CorrespondentWay, TunnelMeta, Via};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use std::collections::BTreeMap;

/// Correspondents remembered that a mobility agent has told.
pub(super) const MAX_SEEN: usize = 64;
/// Correspondents of one terminal that are asked or told.
const MAX_REGISTRATIONS: usize = 64;
/// A correspondent that was asked to forget is not asked again for this long.
const DELETION_PAUSE: Duration = Duration::from_secs(60);

/// What the terminal knows of its correspondents.
#[derive(Debug)]
pub(super) struct Correspondents {
    mode: RouteOptimisation,
    pub(super) optimiser: Optimiser,
    /// Correspondents that have a binding which a mobility agent made, and when a packet showed that last.
    seen: BTreeMap<Ipv6Addr, Instant>,
    /// Those that were asked to forget it, and when.
    asked: BTreeMap<Ipv6Addr, Instant>,
}

impl Correspondents {
    pub(super) fn new(mode: RouteOptimisation, with: Vec<Prefix>, secrets: SecretRng) -> Self {
        let limits = Config {
            max_registrations: MAX_REGISTRATIONS,
            max_per_home_address: MAX_REGISTRATIONS,
            max_failures: 4 * MAX_REGISTRATIONS,
            correspondents: with,
            ..Config::default()
        };
        Correspondents {
            mode,
            optimiser: Optimiser::new(limits, secrets),
            seen: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }
}

/// Where there is no room the oldest makes some.
fn note(memory: &mut BTreeMap<Ipv6Addr, Instant>, correspondent: Ipv6Addr, now: Instant) {
    if memory.len() >= MAX_SEEN && !memory.contains_key(&correspondent) {
        let oldest = memory.iter().min_by_key(|&(_, at)| at).map(|(&address, _)| address);
        oldest.map(|oldest| memory.remove(&oldest));
    }
    memory.insert(correspondent, now);
}

impl MobileTerminal {
    /// What is known of correspondents that the terminal has asked or told something itself.
    pub fn correspondents(&self) -> impl Iterator<Item = View> {
        self.correspondents.optimiser.views()
    }

    /// Correspondents that a mobility agent has told, and when a packet showed that last.
    pub fn agents_correspondents(&self) -> impl Iterator<Item = (Ipv6Addr, Instant)> {
        self.correspondents.seen.iter().map(|(&correspondent, &at)| (correspondent, at))
    }

    /// The counters of route optimisation.
    pub const fn optimisation_counters(&self) -> &mma::route_optimisation::Counters {
        self.correspondents.optimiser.counters()
    }

    /// A packet of a correspondent came by this way.
    pub(super) fn correspondent_seen(&mut self, now: Instant, correspondent: Ipv6Addr, way: CorrespondentWay) {
        let home_address = self.config.home_address;
        match (self.correspondents.mode, way) {
            (RouteOptimisation::Off, _) | (RouteOptimisation::Mma, CorrespondentWay::HomeAgent) => {}
            (RouteOptimisation::Mma, _) => {
                note(&mut self.correspondents.seen, correspondent, now);
                if matches!(self.place, Place::Home) {
                    self.delete_seen(now);
                }
            }
            (RouteOptimisation::Mt, _) => {
                self.correspondents.optimiser.handle_correspondent(now, home_address, correspondent, way);
            }
        }
    }

    /// The home agent has registered this care-of address.
    pub(super) fn tell_correspondents(&mut self, now: Instant, care_of: Ipv6Addr, until: Instant) {
        if self.correspondents.mode == RouteOptimisation::Mt {
            self.correspondents.optimiser.set_care_of(now, self.config.home_address, care_of, until);
        }
    }

    /// The terminal is home.
    pub(super) fn correspondents_may_forget(&mut self, now: Instant) {
        match self.correspondents.mode {
            RouteOptimisation::Mt => self.correspondents.optimiser.return_home(now, self.config.home_address),
            RouteOptimisation::Mma => self.delete_seen(now),
            RouteOptimisation::Off => {}
        }
    }

    /// The terminal leaves home: bindings that agents make from here on are not to be deleted.
    pub(super) fn correspondents_may_keep(&mut self, now: Instant) {
        self.correspondents.asked.clear();
        if self.correspondents.mode == RouteOptimisation::Mma {
            self.correspondents.optimiser.drop_home_address(now, self.config.home_address);
        }
    }

    fn delete_seen(&mut self, now: Instant) {
        let home_address = self.config.home_address;
        for (correspondent, at) in core::mem::take(&mut self.correspondents.seen) {
            let asked = self.correspondents.asked.get(&correspondent);
            let pauses = asked.is_some_and(|&asked| now.since(asked) < DELETION_PAUSE);
            // A binding that rests on return routability is over by itself after this time.
            if pauses || now.since(at) >= MAX_RR_BINDING_LIFETIME {
                continue;
            }
            note(&mut self.correspondents.asked, correspondent, now);
            self.correspondents.optimiser.delete_foreign(now, home_address, correspondent);
        }
    }

    /// A message that may be a correspondent's answer.
    pub(super) fn claim_answer(
        &mut self,
        now: Instant,
        received: &crate::reception::Received<'_>,
        tunnel: Option<TunnelMeta>,
    ) -> bool {
        let home_address = self.config.home_address;
        // The home agent's tunnel is the only one, outside of a mobility agent's, in which something comes to the home
        // address while the terminal is away; what an agent of a former site sends home is the correspondent's own.
        let is_tunnelled = tunnel.is_some() && !matches!(self.place, Place::Home);
        let arrival = Arrival {
            source: received.source,
            destination: received.destination,
            home_address: Some(received.final_destination).filter(|&end| end != received.destination),
            path: if is_tunnelled && received.destination == home_address { Path::HomeAgent } else { Path::Direct },
        };
        self.correspondents.optimiser.handle_message(now, &arrival, received.bytes) == Claim::Ours
    }

    /// Carries out what the initiator wants.
    pub(super) fn run_optimiser(&mut self, now: Instant) {
        if self.correspondents.optimiser.poll_timeout().is_some_and(|at| at <= now) {
            self.correspondents.optimiser.handle_timeout(now);
        }
        let mut changed = false;
        while let Some(action) = self.correspondents.optimiser.poll_action() {
            match action {
                Action::Optimised { correspondent, state, .. } => {
                    let care_of = match state {
                        Optimisation::On { care_of } => Some(care_of),
                        Optimisation::Off => None,
                    };
                    self.uplinks.optimise(correspondent, care_of);
                    changed = true;
                }
                // No keys are shared with correspondents here.
                Action::KeepSequence { .. } => {}
                Action::SendHomeTestInit { .. } | Action::SendCareOfTestInit { .. } | Action::SendUpdate { .. } => {
                    action.packet().into_iter().for_each(|packet| self.send_to_correspondent(&action, packet));
                }
            }
        }
        if changed {
            self.update_uplink();
        }
    }

    /// By which tunnels a packet leaves is a question of its source. Where it cannot leave, it is sent again later.
    fn send_to_correspondent(&mut self, action: &Action, packet: Vec<u8>) {
        let home_address = self.config.home_address;
        let Some(router) = self.current.filter(|&current| self.links.is_alive(current)) else { return };
        let source = match action {
            Action::SendHomeTestInit { .. } => home_address,
            Action::SendCareOfTestInit { care_of, .. } => *care_of,
            Action::SendUpdate { source, .. } => *source,
            Action::Optimised { .. } | Action::KeepSequence { .. } => return,
        };
        let local = self.links.temporary_address(router);
        let home_agent = self.home_agent();
        let packet = match (&self.place, local) {
            (Place::Home, _) if source == home_address => packet,
            (Place::Plain(care_of), _) if source == *care_of => packet,
            (Place::Plain(care_of), _) if source == home_address => {
                let Some(home_agent) = home_agent else { return };
                enter(*care_of, home_agent, &packet)
            }
            (Place::Agent(site), Some(local)) if source == site.care_of => {
                enter(local, site.registration.peer, &packet)
            }
            (Place::Agent(site), Some(local)) if source == home_address => {
                let inner = match (site.group(), home_agent) {
                    (Some(_), _) => packet,
                    (None, Some(home_agent)) => enter(site.care_of, home_agent, &packet),
                    (None, None) => return,
                };
                enter(local, site.registration.peer, &inner)
            }
            _ => return,
        };
        self.outputs.transmit(packet, Via::NextHop(router.port, router.router));
    }
}

fn enter(source: Ipv6Addr, destination: Ipv6Addr, inner: &[u8]) -> Vec<u8> {
    PacketBuilder::new(source, destination).payload(protocol::IPV6, inner)
}
