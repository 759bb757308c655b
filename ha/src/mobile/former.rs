//! Sites that the terminal has left: what their agents are asked to do with packets that still arrive there, and how
//! long these are taken (PROTOCOL D12, D13; the precedent is RFC 5380 §8).
//!
//! The agent of a site is told when the home agent knows the new place, or at once where nothing comes from the old site
//! any more: forward to the new care-of address, or home, for a while. One that does not forward is told to forget the
//! terminal. One that does not answer is given up; nothing else depends on it. Until forwarding is over, the care-of
//! address of the old site stays the terminal's.

use super::registration::{Registration, Sent, Wish};
use super::{AgentSite, MobileTerminal, Place, Timer, Who};
use core::net::Ipv6Addr;
use stack::tables::{TableUpdate, TunnelReception};
use stack::time::{Duration, Instant};
use stack::wire::mobility::{BindingAcknowledgement, Lifetime};
use std::collections::BTreeSet;

/// Sites left that are remembered.
pub(super) const MAX_FORMER: usize = 4;

/// How far an agent has been told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Not yet.
    Waiting,
    /// It has been asked.
    Asked,
    /// It forwards.
    Forwarding,
}

/// A site that the terminal has left, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormerSite {
    /// Its agent.
    pub agent: Ipv6Addr,
    /// The care-of address there; `None` where none was granted.
    pub care_of: Option<Ipv6Addr>,
    /// How far the agent has been told.
    pub standing: Standing,
    /// Where it is asked to forward to.
    pub forwards_to: Option<Ipv6Addr>,
    /// Until when the care-of address is kept, as far as that is known.
    pub until: Instant,
}

/// A site that the terminal has left.
#[derive(Clone, Debug)]
pub(super) struct Former {
    pub(super) registration: Registration,
    care_of: Option<Ipv6Addr>,
    standing: Standing,
    /// When forwarding that was granted ends.
    deadline: Option<Instant>,
    /// When the agent has nothing for the terminal any more, whatever it was told.
    until: Instant,
    left: Instant,
}

impl Former {
    fn new(now: Instant, agent: Ipv6Addr, care_of: Option<Ipv6Addr>, until: Instant) -> Self {
        let registration = Registration::idle(agent);
        Former { registration, care_of, standing: Standing::Waiting, deadline: None, until, left: now }
    }

    /// How long the agent is to forward: what is left of what it granted, or the whole time.
    fn lifetime(&self, now: Instant, forward: Duration) -> Lifetime {
        let left = self.deadline.map_or(forward, |deadline| deadline.since(now));
        Lifetime::at_most(left).max(Lifetime(1))
    }

    /// Asks for what is due where the terminal's packets now go `to`.
    fn ask(&mut self, now: Instant, to: Ipv6Addr, forward: Duration) {
        let wish = match self.care_of {
            Some(_) if !forward.is_zero() => Wish::Forward(to),
            _ => Wish::Removal,
        };
        match self.standing {
            Standing::Waiting => {
                self.registration.ask(wish);
                self.registration.ask_again();
            }
            // It forwards to nobody: that holds wherever the terminal goes.
            Standing::Asked if self.registration.wish == Some(Wish::Removal) => {}
            Standing::Asked => self.registration.ask(wish),
            Standing::Forwarding => {
                let is_worth_it = self.deadline.is_some_and(|deadline| deadline.since(now) >= Lifetime(1).duration());
                if self.registration.wish == Some(wish) || !is_worth_it {
                    return;
                }
                self.registration.ask(wish);
            }
        }
        self.standing = Standing::Asked;
    }
}

impl MobileTerminal {
    /// The sites that the terminal has left and whose agents may still have something for it.
    pub fn former_sites(&self) -> impl Iterator<Item = FormerSite> {
        self.formers.iter().map(|(&agent, former)| FormerSite {
            agent,
            care_of: former.care_of,
            standing: former.standing,
            forwards_to: match former.registration.wish {
                Some(Wish::Forward(to)) => Some(to),
                _ => None,
            },
            until: former.until,
        })
    }

    /// The terminal has left this site. Its agent is told later.
    pub(super) fn left_site(&mut self, now: Instant, site: &AgentSite) {
        let until = site.registration.granted().map_or(now, |granted| granted.expires);
        self.add_former(Former::new(now, site.registration.peer, Some(site.care_of), until));
    }

    /// An agent was asked for a place that is not wanted any more. It may have granted it.
    pub(super) fn unwanted(&mut self, now: Instant, agent: Ipv6Addr) {
        match self.formers.get_mut(&agent) {
            Some(former) => former.standing = Standing::Waiting,
            None => self.add_former(Former::new(now, agent, None, now + self.config.timers.lifetime)),
        }
    }

    /// The agent is asked for a place again: nothing that was sent before may overtake that.
    pub(super) fn recall_former(&mut self, agent: Ipv6Addr) {
        if let Some(former) = self.formers.get_mut(&agent)
            && former.standing == Standing::Asked
        {
            former.registration.rest();
            former.standing = Standing::Waiting;
            self.timers.cancel(Timer::Retransmit(Who::Former(agent)));
            self.timers.set(Timer::Former(agent), former.until);
        }
    }

    /// The terminal has another place: what the agents were asked for holds no more.
    pub(super) fn recall_formers(&mut self) {
        let forward_elsewhere = |former: &Former| former.registration.wish != Some(Wish::Removal);
        let agents: Vec<_> =
            self.formers.iter().filter(|(_, former)| forward_elsewhere(former)).map(|(&agent, _)| agent).collect();
        for agent in agents {
            self.recall_former(agent);
        }
    }

    fn add_former(&mut self, former: Former) {
        let agent = former.registration.peer;
        self.forget_former(agent);
        if self.formers.len() >= MAX_FORMER {
            let oldest = self.formers.iter().min_by_key(|(_, former)| former.left).map(|(&agent, _)| agent);
            self.counters.former_forgotten += 1;
            oldest.into_iter().for_each(|oldest| self.forget_former(oldest));
        }
        self.timers.set(Timer::Former(agent), former.until);
        self.formers.insert(agent, former);
    }

    /// The agent has nothing for the terminal any more, or is its agent again.
    pub(super) fn forget_former(&mut self, agent: Ipv6Addr) {
        self.timers.cancel(Timer::Former(agent));
        self.timers.cancel(Timer::Retransmit(Who::Former(agent)));
        if let Some(Former { care_of: Some(care_of), .. }) = self.formers.remove(&agent) {
            self.attachment.leave_tunnels_from(care_of, &mut self.outputs);
        }
    }

    /// Where packets for the terminal should go from a site that it has left.
    const fn forward_target(&self) -> Option<Ipv6Addr> {
        match &self.place {
            Place::Nowhere => None,
            Place::Home => Some(self.config.home_address),
            Place::Agent(site) => Some(site.care_of),
            Place::Plain(care_of) => Some(*care_of),
        }
    }

    /// Tells the agents of the sites left.
    pub(super) fn tell_former_sites(&mut self, now: Instant) {
        let Some(to) = self.forward_target() else { return };
        let candidate = self.candidate.as_ref().map(|(registration, _)| registration.peer);
        let forward = self.config.timers.forward;
        for (&agent, former) in self.formers.iter_mut().filter(|(agent, _)| Some(**agent) != candidate) {
            former.ask(now, to, forward);
            if former.standing == Standing::Asked {
                self.timers.cancel(Timer::Former(agent));
            }
        }
    }

    /// Whether an agent of a site left has to be told, or has not answered.
    pub(super) fn has_untold_former(&self) -> bool {
        self.formers.values().any(|former| former.standing != Standing::Forwarding)
    }

    /// For how long an agent is asked to forward.
    pub(super) fn forward_lifetime(&self, now: Instant, who: Who) -> Lifetime {
        let forward = self.config.timers.forward;
        match who {
            Who::Former(agent) => {
                self.formers.get(&agent).map_or(Lifetime::ZERO, |former| former.lifetime(now, forward))
            }
            _ => Lifetime::ZERO,
        }
    }

    /// A request is out: what it may make come is taken for as long as it may come.
    pub(super) fn former_asked(&mut self, now: Instant, who: Who, lifetime: Lifetime) {
        if let Who::Former(agent) = who
            && let Some(former) = self.formers.get_mut(&agent)
        {
            former.until = now + lifetime.duration() + self.config.timers.retransmission;
        }
    }

    pub(super) fn former_accepted(
        &mut self,
        now: Instant,
        agent: Ipv6Addr,
        sent: Sent,
        message: &BindingAcknowledgement,
    ) {
        let Some(former) = self.formers.get_mut(&agent) else { return };
        let lifetime = message.lifetime.min(sent.lifetime);
        if !matches!(former.registration.wish, Some(Wish::Forward(_))) || lifetime.is_zero() {
            return self.forget_former(agent);
        }
        former.registration.rest();
        former.standing = Standing::Forwarding;
        // The agent began before its answer came.
        former.until = now + lifetime.duration();
        former.deadline = Some(former.until);
        self.timers.set(Timer::Former(agent), former.until);
    }

    /// An agent that does not forward is told to forget the terminal.
    pub(super) fn former_refused(&mut self, agent: Ipv6Addr) {
        match self.formers.get_mut(&agent) {
            Some(former) if matches!(former.registration.wish, Some(Wish::Forward(_))) => {
                self.counters.forwarding_refused += 1;
                former.registration.ask(Wish::Removal);
            }
            _ => self.forget_former(agent),
        }
    }

    /// The agent does not answer. It may have heard.
    pub(super) fn former_lost(&mut self, agent: Ipv6Addr) {
        self.counters.agent_lost += 1;
        if let Some(former) = self.formers.get_mut(&agent) {
            former.registration.rest();
            former.standing = Standing::Forwarding;
            former.deadline = Some(former.until);
            self.timers.set(Timer::Former(agent), former.until);
        }
    }

    /// Tells the data plane which care-of addresses are the terminal's.
    pub(super) fn own_care_of_addresses(&mut self) {
        let present = match &self.place {
            Place::Agent(site) => Some(site.care_of),
            Place::Plain(care_of) => Some(*care_of),
            Place::Home | Place::Nowhere => None,
        };
        let wanted: BTreeSet<Ipv6Addr> =
            self.formers.values().filter_map(|former| former.care_of).chain(present).collect();
        for &care_of in wanted.difference(&self.care_of_addresses) {
            self.outputs.table(TableUpdate::CareOfSet(care_of, self.config.home_address));
        }
        for &care_of in self.care_of_addresses.difference(&wanted) {
            self.outputs.table(TableUpdate::CareOfRemove(care_of));
        }
        self.care_of_addresses = wanted;
    }

    /// The tunnels by which agents of sites left reach the terminal where no agent serves it.
    pub(super) fn forwarding_tunnels(&self) -> Vec<TunnelReception> {
        let home_address = self.config.home_address;
        let local = match &self.place {
            Place::Home => home_address,
            Place::Plain(care_of) => *care_of,
            Place::Agent(_) | Place::Nowhere => return Vec::new(),
        };
        let remotes = self.formers.values().filter_map(|former| former.care_of);
        remotes.map(|remote| TunnelReception { remote, local, home_address }).collect()
    }

    /// Takes packets out of them.
    pub(super) fn receive_forwarded(&mut self) {
        for tunnel in self.forwarding_tunnels() {
            self.attachment.receive_tunnel(tunnel, &mut self.outputs);
        }
    }
}
