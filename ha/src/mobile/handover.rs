//! Moves: from where the terminal is to where it should be, one missing thing after the other.
//!
//! [`MobileTerminal::pursue`] runs after every input. Nothing in it waits for a particular message: it looks at what is
//! there (a usable address, a grant, the first packet through the new link) and does what has become possible. A move
//! that is overtaken by another one is thus no special case.

use super::attachment::{Keep, Subscription};
use super::event::{Event, HandoverKind, Stage};
use super::movement::{self, Movement, Site};
use super::registration::{Registration, Wish};
use super::router_choice::RouterKey;
use super::uplink::Way;
use super::{AgentSite, MobileTerminal, Mode, Place, Service, Timer, Who};
use core::net::Ipv6Addr;
use stack::addr;
use stack::machine::PortId;
use stack::tables::{MrouteKey, TunnelReception};
use stack::time::{Duration, Instant};

/// A move that is going on.
#[derive(Clone, Debug)]
pub(super) struct Handover {
    kind: HandoverKind,
    to: RouterKey,
    /// The first packet came through the new link.
    has_data: bool,
    /// It was waited for long enough.
    is_overlap_over: bool,
}

impl MobileTerminal {
    /// Brings the terminal closer to where it should be.
    pub(super) fn pursue(&mut self, now: Instant) {
        self.look(now);
        if let Some(target) = self.target {
            let refused = |agent: Ipv6Addr| self.refusing.contains_key(&agent);
            let (is_home, agents) = self.links.offers(now, target, refused);
            let agents = if self.config.mode == Mode::Plain { Vec::new() } else { agents };
            let movement = movement::decide(self.site().site, is_home, &agents);
            self.begin_handover_for(now, target, movement);
            match movement {
                Movement::Home => self.go_home(now, target),
                Movement::IntraSite => self.go_on_in_site(now, target),
                Movement::InterSite(agent) => self.enter_site(now, target, agent),
                Movement::Plain => self.go_plain(now, target),
            }
            let reached = match movement {
                Movement::Home => matches!(self.place, Place::Home),
                Movement::IntraSite => true,
                Movement::InterSite(_) => false,
                Movement::Plain => matches!(self.place, Place::Plain(_)),
            };
            self.update_uplink();
            self.flush(now);
            if reached && self.current == Some(target) {
                self.settle(now, target);
            }
        } else {
            self.update_uplink();
        }
        self.own_care_of_addresses();
        self.seek_home_agent(now);
        self.run_optimiser(now);
    }

    /// Chooses the router anew.
    fn look(&mut self, now: Instant) {
        let next = self.links.advance(now, &self.config.router_choice.averaging);
        self.refusing.retain(|_, until| *until > now);
        self.anchors.retain(|_, until| *until > now);
        let verdict = self.choice.choose(now, &self.config.router_choice, &self.links.candidates());
        let wake = [next, verdict.again_at, self.refusing.values().min().copied(), self.uplinks.forget(now)];
        match wake.into_iter().flatten().min() {
            Some(at) => self.timers.set(Timer::Look, at),
            None => {
                self.timers.cancel(Timer::Look);
            }
        }
        if verdict.chosen != self.target {
            self.target = verdict.chosen;
            self.end_handover(now, false);
            self.timers.cancel(Timer::Leave);
        }
    }

    fn begin_handover_for(&mut self, now: Instant, target: RouterKey, movement: Movement) {
        let kind = match movement {
            Movement::Home => HandoverKind::Home,
            Movement::IntraSite => HandoverKind::IntraSite,
            Movement::InterSite(_) | Movement::Plain => HandoverKind::InterSite,
        };
        let arrived = self.current == Some(target)
            && match movement {
                Movement::Home => matches!(self.place, Place::Home),
                Movement::IntraSite => true,
                Movement::InterSite(_) => false,
                Movement::Plain => matches!(self.place, Place::Plain(_)),
            };
        if self.handover.is_some() || arrived {
            return;
        }
        let make_before_break = self.current.is_some_and(|current| self.links.is_alive(current));
        self.counters.handovers += 1;
        self.handover = Some(Handover { kind, to: target, has_data: false, is_overlap_over: false });
        let from = self.current;
        self.outputs.event(Event::HandoverStarted { at: now, kind, from, to: target, make_before_break });
        let heard = self.links.router(target).map(|router| router.heard);
        let up_since = self.links.get(target.port).and_then(|link| link.up_since());
        if let Some(at) = up_since.filter(|_| from.is_none_or(|from| from.port != target.port)) {
            self.outputs.event(Event::HandoverStage { at, stage: Stage::Link });
        }
        if let Some(at) = heard {
            self.outputs.event(Event::HandoverStage { at, stage: Stage::RouterAdvertisement });
        }
        if kind == HandoverKind::IntraSite
            && let Place::Agent(site) = &self.place
            && let Some((subscription, reception)) = site.group()
        {
            // So that the first packet through the new link is told of, though the terminal may have been there before.
            self.attachment.receive(subscription.group, reception, &mut self.outputs);
            self.timers.set(Timer::Overlap, now + self.config.timers.overlap);
        }
    }

    fn end_handover(&mut self, now: Instant, completed: bool) {
        if let Some(handover) = self.handover.take() {
            self.timers.cancel(Timer::Overlap);
            self.end_came_from(handover.to.port);
            self.counters.handovers_completed += u64::from(completed);
            self.outputs.event(Event::HandoverEnded { at: now, kind: handover.kind, completed });
        }
    }

    pub(super) fn stage(&mut self, now: Instant, stage: Stage) {
        if self.handover.is_some() {
            self.outputs.event(Event::HandoverStage { at: now, stage });
        }
    }

    fn use_router(&mut self, now: Instant, target: RouterKey) {
        if self.current != Some(target) {
            self.current = Some(target);
            self.stage(now, Stage::Uplink);
        }
    }

    pub(super) fn group_data(&mut self, now: Instant, port: PortId, group: Ipv6Addr) {
        let subscribed = self.site().subscription.is_some_and(|subscription| subscription.group == group);
        if let Some(handover) = &mut self.handover
            && subscribed
            && handover.to.port == port
            && !handover.has_data
            && self.attachment.joined().any(|(joined, subscription)| joined == port && subscription.group == group)
        {
            handover.has_data = true;
            self.stage(now, Stage::FirstData);
            self.end_came_from(port);
        }
    }

    pub(super) fn overlap_over(&mut self) {
        if let Some(handover) = &mut self.handover {
            handover.is_overlap_over = true;
        }
    }

    /// The patent's move: join on the new link, receive through both, send through the new one when it works.
    fn go_on_in_site(&mut self, now: Instant, target: RouterKey) {
        self.drop_candidate(now);
        self.release_home();
        let Place::Agent(site) = &self.place else { return };
        let care_of = site.care_of;
        let subscription = match site.service {
            Service::Group { subscription, .. } => subscription,
            Service::Anchor { local } => return self.go_on_with_anchor(now, target, care_of, local),
        };
        self.join(now, target, subscription);
        self.ask_home(Wish::CareOf(care_of));
        let Some(current) = self.current.filter(|&current| current != target) else {
            return self.use_router_with_address(now, target);
        };
        let waits = self.handover.as_ref().is_some_and(|handover| !handover.has_data && !handover.is_overlap_over);
        if !self.links.is_alive(current) || current.port == target.port || !waits {
            self.use_router_with_address(now, target);
        }
    }

    /// RFC 5380 §6.1: every move is told to the anchor point; until it has acknowledged, the old link is used.
    fn go_on_with_anchor(&mut self, now: Instant, target: RouterKey, care_of: Ipv6Addr, acknowledged: Ipv6Addr) {
        let Some(address) = self.links.temporary_address(target) else { return };
        if let Place::Agent(site) = &mut self.place {
            site.registration.ask(Wish::Local(address));
        }
        // What the anchor point sends to the new address may come before its acknowledgement.
        self.receive_forwarded();
        self.ask_home(Wish::CareOf(care_of));
        if address == acknowledged {
            self.use_router(now, target);
        }
    }

    /// The anchor point sends to this address now.
    pub(super) fn local_address_acknowledged(&mut self, now: Instant, address: Ipv6Addr) {
        if let Place::Agent(site) = &mut self.place
            && let Service::Anchor { local } = &mut site.service
            && *local != address
        {
            *local = address;
            self.stage(now, Stage::Registered);
        }
    }

    fn use_router_with_address(&mut self, now: Instant, target: RouterKey) {
        if self.links.temporary_address(target).is_some() {
            self.use_router(now, target);
        }
    }

    fn join(&mut self, now: Instant, target: RouterKey, subscription: Subscription) {
        let port = target.port;
        // Reports from the unspecified address are ignored (RFC 3810 §5.2.13): a link-local one is needed.
        if self.links.get(port).is_some_and(|link| link.has_link_local()) {
            if !self.attachment.is_joined(port, subscription) {
                self.say_where_from(target);
            }
            if self.attachment.join(port, subscription, &mut self.outputs) {
                self.stage(now, Stage::Report);
            }
        }
        self.note_joined(target);
    }

    /// Asks the agent of the new site. All else follows when it has granted a care-of address.
    fn enter_site(&mut self, now: Instant, target: RouterKey, agent: Ipv6Addr) {
        if self.candidate.as_ref().is_some_and(|(registration, _)| registration.peer != agent) {
            self.drop_candidate(now);
        }
        let Some(address) = self.links.temporary_address(target) else { return };
        let (bound, wish) = match self.is_anchor(agent) {
            true => (addr::with_interface_identifier(agent, self.config.eui64.modified()), Wish::Local(address)),
            false => (self.config.home_address, Wish::Group),
        };
        if wish != Wish::Group && (bound == address || bound == self.config.home_address || bound == agent) {
            // An anchor point on the terminal's own link, or at home, is none.
            return self.refuse_agent(now, agent);
        }
        self.recall_former((agent, bound));
        let (registration, asked_from) =
            self.candidate.get_or_insert_with(|| (Registration::new(agent, bound, wish), None));
        if *asked_from != Some((target, address)) {
            if asked_from.is_some() {
                registration.ask(wish);
                registration.ask_again();
            }
            *asked_from = Some((target, address));
        }
    }

    /// The agent of the site to be entered is no longer wanted. Where it was asked it is told so.
    fn drop_candidate(&mut self, now: Instant) {
        if let Some((registration, _)) = self.candidate.take() {
            self.timers.cancel(Timer::Retransmit(Who::Candidate));
            let is_current = self.site().site == Site::Agent(registration.peer);
            if registration.was_asked() && !is_current {
                self.unwanted(now, (registration.peer, registration.bound));
            }
        }
    }

    /// The agent has granted what was asked: the terminal is in its site.
    pub(super) fn entered_site(&mut self, now: Instant, site: AgentSite) {
        let Some(target) = self.target else {
            // The last link is gone. The agent is told when there is another one.
            return self.left_site(now, &site);
        };
        self.stage(now, Stage::Registered);
        if let Some((subscription, reception)) = site.group() {
            self.attachment.receive(subscription.group, reception, &mut self.outputs);
        }
        self.forget_former((site.registration.peer, site.registration.bound));
        self.hold_uplink();
        self.leave_place(now, Place::Agent(Box::new(site)));
        self.timers.set(Timer::Overlap, now + self.config.timers.overlap);
        self.use_router(now, target);
        // The rest is as for a move inside the site.
        self.go_on_in_site(now, target);
    }

    /// Takes the new place; the agent of the old one is told when the home agent has acknowledged.
    pub(super) fn leave_place(&mut self, now: Instant, new: Place) {
        for timer in [Timer::Retransmit(Who::Agent), Timer::Refresh(Who::Agent), Timer::Expiry(Who::Agent)] {
            self.timers.cancel(timer);
        }
        self.home_after_agent = false;
        match core::mem::replace(&mut self.place, new) {
            Place::Agent(site) => self.left_site(now, &site),
            Place::Home => self.correspondents_may_keep(now),
            Place::Plain(_) | Place::Nowhere => {}
        }
        self.recall_formers();
        // Before anybody is told of the place.
        self.own_care_of_addresses();
        self.receive_forwarded();
        if let Place::Agent(site) = &self.place
            && let Some(granted) = site.registration.granted()
        {
            self.timers.set(Timer::Refresh(Who::Agent), granted.refresh);
            self.timers.set(Timer::Expiry(Who::Agent), granted.expires);
        }
    }

    /// Plain Mobile IPv6: the address on the link is the care-of address.
    fn go_plain(&mut self, now: Instant, target: RouterKey) {
        self.drop_candidate(now);
        let Some(care_of) = self.links.temporary_address(target) else { return };
        if let Some(tunnel) = self.plain_tunnel(care_of) {
            self.attachment.receive_tunnel(tunnel, &mut self.outputs);
        }
        if !matches!(self.place, Place::Plain(present) if present == care_of) {
            self.hold_uplink();
            self.leave_place(now, Place::Plain(care_of));
        }
        self.release_home();
        self.use_router(now, target);
        self.ask_home(Wish::CareOf(care_of));
    }

    pub(super) fn plain_tunnel(&self, local: Ipv6Addr) -> Option<TunnelReception> {
        let home_address = self.config.home_address;
        self.home_agent().map(|remote| TunnelReception { remote, local, home_address })
    }

    /// RFC 6275 §11.5.5. With no binding to remove there is nothing to say to anybody.
    fn go_home(&mut self, now: Instant, target: RouterKey) {
        self.drop_candidate(now);
        if matches!(self.place, Place::Home) {
            return self.use_router(now, target);
        }
        if !self.links.get(target.port).is_some_and(|link| link.has_link_local()) {
            return;
        }
        self.claim_home(target.port, !self.has_home_binding);
        if self.has_home_binding {
            self.ask_home(Wish::Removal);
        } else {
            // What was to be asked for elsewhere, and could not be sent yet, is not wanted any more.
            self.forget_home_registration();
            self.arrived_home(now, target);
        }
    }

    /// Somebody answers for the home address on the home link: the home agent for a binding that the terminal has
    /// forgotten (RFC 6275 §10.4.1), as far as the terminal can know. It is asked to remove it.
    pub(super) fn home_address_taken(&mut self, now: Instant) {
        self.claimed = None;
        self.is_home_address_taken = true;
        self.has_home_binding = true;
        if matches!(self.place, Place::Home) {
            self.leave_place(now, Place::Nowhere);
        }
    }

    /// Nobody has answered for the home address on the home link. A home agent that still has a binding, and whose answer
    /// was lost, hears of its terminal so.
    pub(super) fn home_address_free(&mut self) {
        if matches!(self.place, Place::Home) {
            self.announce_home();
        }
    }

    fn claim_home(&mut self, port: PortId, detect_duplicates: bool) {
        if self.claimed != Some(port) {
            self.release_home();
            self.claimed = Some(port);
            let address = self.config.home_address;
            self.outputs.event(Event::HomeAddressClaim { port, address, detect_duplicates });
        }
    }

    /// Before the home agent looks for duplicates of the home address, nobody else may answer for it.
    pub(super) fn release_home(&mut self) {
        if let Some(port) = self.claimed.take() {
            self.outputs.event(Event::HomeAddressRelease { port, address: self.config.home_address });
        }
    }

    /// The home agent has removed the binding, or there was none.
    pub(super) fn arrived_home(&mut self, now: Instant, target: RouterKey) {
        self.leave_place(now, Place::Home);
        self.use_router(now, target);
        self.correspondents_may_forget(now);
    }

    pub(super) fn announce_home(&mut self) {
        if let Some(port) = self.claimed {
            self.outputs.event(Event::HomeAddressAnnounce { port, address: self.config.home_address });
        }
    }

    fn ask_home(&mut self, wish: Wish) {
        if self.home.wish != Some(wish) {
            self.home_refused = false;
            self.home.ask(wish);
        }
    }

    /// The lifetime of a binding is over without an acknowledgement of its refresh.
    pub(super) fn registration_expired(&mut self, now: Instant, who: Who) {
        self.counters.expired += 1;
        match who {
            Who::Home => {
                self.home.expire();
                self.has_home_binding = self.home.is_outstanding();
            }
            Who::Agent => {
                if let Place::Agent(site) = &self.place {
                    let agent = site.registration.peer;
                    self.outputs.event(Event::RegistrationLost { peer: agent });
                    self.lose_agent(now, agent);
                }
            }
            Who::Candidate | Who::Former(_) => {}
        }
    }

    /// The agent of the present site no longer serves the terminal.
    pub(super) fn lose_agent(&mut self, now: Instant, agent: Ipv6Addr) {
        self.refuse_agent(now, agent);
        let bound = match &self.place {
            Place::Agent(site) => site.registration.bound,
            _ => self.config.home_address,
        };
        self.leave_place(now, Place::Nowhere);
        // Nothing comes through its group any more.
        self.attachment.keep_only(&Keep::default(), &mut self.outputs);
        self.forget_former((agent, bound));
    }

    /// The place is about to change: packets go on leaving by the old link as they do, until the home agent takes them
    /// from the new place.
    fn hold_uplink(&mut self) {
        if self.held_way().is_none() {
            self.held = self.current.map(|router| (router, self.way())).filter(|(_, way)| *way != Way::Down);
        }
    }

    /// The way by the old link, as long as it is there and the home agent has not acknowledged the new place: before that
    /// it refuses what comes from there (RFC 6275 §10.4.5).
    fn held_way(&self) -> Option<Way> {
        let (router, way) = self.held?;
        let is_another = self.current.is_some_and(|current| current.port != router.port);
        (is_another && self.links.is_alive(router) && !self.is_home_told()).then_some(way)
    }

    pub(super) fn update_uplink(&mut self) {
        let way = match self.held_way() {
            Some(way) => way,
            None => {
                self.held = None;
                self.way()
            }
        };
        self.uplinks.update(way, &mut self.outputs);
    }

    /// How packets leave from where the terminal is.
    fn way(&self) -> Way {
        match (self.current.filter(|&current| self.links.is_alive(current)), &self.place) {
            (None, _) | (_, Place::Nowhere) => Way::Down,
            (Some(router), Place::Home) => Way::Native(router),
            (Some(router), place) => match (self.links.temporary_address(router), place, self.home_agent()) {
                (Some(source), Place::Agent(site), _) if site.group().is_some() => {
                    Way::Away { router, source, peer: site.registration.peer, care_of: site.care_of }
                }
                (Some(source), Place::Agent(site), Some(home_agent)) => {
                    Way::Nested { router, source, peer: site.registration.peer, care_of: site.care_of, home_agent }
                }
                (Some(source), _, Some(peer)) => Way::Away { router, source, peer, care_of: source },
                (None, ..) | (_, _, None) => Way::Down,
            },
        }
    }

    /// Ends the move when everything goes through the new link, and gives up the old one shortly after.
    fn settle(&mut self, now: Instant, target: RouterKey) {
        let is_home_told = self.is_home_told();
        let receives = match self.site().subscription {
            Some(subscription) => {
                let waits = self.handover.as_ref().is_some_and(|h| !h.has_data && !h.is_overlap_over);
                !waits && self.attachment.is_joined(target.port, subscription)
            }
            None => true,
        };
        // Where nothing comes by an old link any more there is nothing to wait for.
        let is_broken = self.home.is_outstanding() && !self.attachment.is_joined_beyond(target.port);
        if is_home_told && receives || is_broken {
            self.tell_former_sites(now);
            self.flush(now);
        }
        if !is_home_told || !receives || self.timers.is_running(Timer::Leave) {
            return;
        }
        if self.attachment.has_more_than(&self.keep()) {
            self.timers.set(Timer::Leave, now + self.config.timers.leave_delay);
        } else {
            self.end_handover(now, true);
        }
    }

    /// Whether the home agent knows the place, or does not want to.
    fn is_home_told(&self) -> bool {
        self.home_refused
            || match &self.place {
                Place::Nowhere => false,
                Place::Home => true,
                Place::Agent(site) => self.is_registered_home(site.care_of),
                Place::Plain(care_of) => self.is_registered_home(*care_of),
            }
    }

    fn is_registered_home(&self, care_of: Ipv6Addr) -> bool {
        self.home.granted().is_some_and(|granted| granted.care_of == care_of)
    }

    fn keep(&self) -> Keep {
        match &self.place {
            Place::Agent(site) => {
                let group = site.group();
                Keep {
                    membership: self.target.zip(group).map(|(target, (subscription, _))| (target.port, subscription)),
                    reception: group.map(|(subscription, reception)| MrouteKey {
                        source: reception.source,
                        group: subscription.group,
                    }),
                    tunnels: [self.forwarding_tunnels(), self.present_anchor_tunnels()].concat(),
                }
            }
            Place::Plain(care_of) => {
                let tunnels = self.forwarding_tunnels().into_iter().chain(self.plain_tunnel(*care_of)).collect();
                Keep { tunnels, ..Keep::default() }
            }
            Place::Home => Keep { tunnels: self.forwarding_tunnels(), ..Keep::default() },
            Place::Nowhere => Keep::default(),
        }
    }

    pub(super) fn leave_old(&mut self, now: Instant) {
        let keep = self.keep();
        if self.attachment.keep_only(&keep, &mut self.outputs) {
            self.stage(now, Stage::LeftOld);
        }
        self.end_handover(now, true);
    }

    /// How long the home agent may be asked for: no longer than the mobility agent's binding (RFC 5380 §6.1).
    pub(super) fn home_lifetime(&self, now: Instant) -> Duration {
        let lifetime = self.config.timers.lifetime;
        match &self.place {
            Place::Agent(site) => {
                site.registration.granted().map_or(lifetime, |granted| lifetime.min(granted.expires - now))
            }
            _ => lifetime,
        }
    }
}
