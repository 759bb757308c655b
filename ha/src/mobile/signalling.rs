//! Mobility Headers to and from the terminal's peers, and the errors that correspondents send.
//!
//! Binding Updates leave by the router that the terminal uses, from its address there, with its home address in a Home
//! Address option; those to the agent of a site to be entered leave by the router there. At home they carry the home
//! address as source (RFC 6275 §11.5.5).

use super::attachment::Subscription;
use super::event::Event;
use super::event::Stage;
use super::registration::{Answer, Granted, Ignored, Registration, Sent, Wish};
use super::router_choice::RouterKey;
use super::{AgentSite, MAX_PEERS, MobileTerminal, Place, Service, Timer, Who};
use crate::reception::{self, Received, Refusal};
use core::net::Ipv6Addr;
use mma::auth::{NtpTime, WallClock};
use mma::route_optimisation::Claim;
use stack::addr;
use stack::machine::{TunnelMeta, Via};
use stack::tables::GroupReception;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::checksum;
use stack::wire::error::u32_at;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::option::{AddressPrefix, GreKey, Subscription as SubscriptionOption};
use stack::wire::mobility::{
    BindingAcknowledgement, BindingErrorStatus, BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime,
    MobilityMessage, MobilityOptions, Status,
};

/// ICMPv6 Parameter Problem, and its code for an option that is not recognised (RFC 4443 §3.4).
const PARAMETER_PROBLEM: u8 = 4;
const UNRECOGNIZED_OPTION: u8 = 2;
/// A registration that was acknowledged this recently is not asked for again because somebody says that it is missing.
const FRESH: Duration = Duration::from_secs(1);

/// By which router a message leaves, and from which address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Path {
    router: RouterKey,
    source: Ipv6Addr,
}

impl MobileTerminal {
    fn peers(&self) -> Vec<Who> {
        let formers = self.formers.keys().map(|&key| Who::Former(key));
        [Who::Candidate, Who::Agent, Who::Home].into_iter().chain(formers).collect()
    }

    /// Sends every update that is due and has a way.
    pub(super) fn flush(&mut self, now: Instant) {
        for who in self.peers() {
            let Some((true, wish)) =
                self.registration(who).map(|registration| (registration.is_due(), registration.wish))
            else {
                continue;
            };
            let (Some(wish), Some(path)) = (wish, self.path(who)) else { continue };
            let Some(registration) = self.registration(who) else { continue };
            if registration.may_send(now) {
                self.send(now, who, wish, path);
            } else {
                self.counters.update_rate_limited += 1;
                self.timers.set_no_later(Timer::Retransmit(who), now + Duration::from_millis(334));
            }
        }
    }

    fn path(&self, who: Who) -> Option<Path> {
        let home_address = self.config.home_address;
        if who == Who::Home {
            self.home_agent()?;
        }
        let away = |router: RouterKey| self.links.temporary_address(router).map(|source| Path { router, source });
        match (who, &self.place) {
            (Who::Candidate, _) => away(self.target?),
            (Who::Agent, Place::Agent(site)) if site.group().is_none() => {
                away(self.target?).filter(|path| site.registration.wish == Some(Wish::Local(path.source)))
            }
            (Who::Home, _) if self.home.wish == Some(Wish::Removal) => {
                let router = self.target.filter(|target| self.claimed == Some(target.port))?;
                Some(Path { router, source: home_address })
            }
            // At home there is no other care-of address to be told of.
            (Who::Home, Place::Home) => None,
            (Who::Former(_), Place::Home) => {
                let router = self.current.filter(|&current| self.links.is_alive(current))?;
                Some(Path { router, source: home_address })
            }
            _ => away(self.current?),
        }
    }

    fn send(&mut self, now: Instant, who: Who, wish: Wish, path: Path) {
        let Some(registration) = self.registration(who) else { return };
        let (peer, bound, is_repeated) = (registration.peer, registration.bound, registration.attempts() > 0);
        let sequence = self.sequences.get(&peer).map_or(1, |last| last.wrapping_add(1));
        self.remember_sequence(peer, sequence);
        let message_id = self.clock.map(|clock| {
            let time_of_day = clock.read(now).0;
            self.last_message_id.map_or(time_of_day, |last| time_of_day.max(last.wrapping_add(1)))
        });
        self.last_message_id = message_id.or(self.last_message_id);
        let mut options =
            MobilityOptions { identifier: self.config.identifier.clone(), message_id, ..MobilityOptions::default() };
        let mut lifetime = self.config.timers.lifetime;
        let mut care_of = path.source;
        match wish {
            Wish::Group => {
                let layout = &self.config.group_layout;
                let source = layout.is_source_specific().then_some(peer);
                let group = layout.group(self.config.eui64);
                options.subscriptions.extend(group.map(|group| SubscriptionOption { group, source }));
                options.gre_key = self.config.gre.then_some(GreKey { key: None });
            }
            Wish::CareOf(address) => {
                options.alternate_care_of_address = Some(address);
                care_of = address;
                lifetime = self.home_lifetime(now);
                self.has_home_binding = true;
            }
            Wish::Local(_) => {}
            Wish::Forward(to) => {
                options.alternate_care_of_address = Some(to);
                care_of = to;
            }
            Wish::Removal => {}
        }
        let lifetime = match wish {
            Wish::Removal => Lifetime::ZERO,
            Wish::Forward(_) | Wish::Local(_) if matches!(who, Who::Former(_)) => self.forward_lifetime(now, who),
            _ => Lifetime::at_most(lifetime).max(Lifetime(1)),
        };
        self.former_asked(now, who, lifetime);
        let (association, purpose) = match who {
            Who::Home => (&self.config.home_association, BindingUpdateFlags::HOME_REGISTRATION),
            _ => (&self.config.agent_association, BindingUpdateFlags::MAP_REGISTRATION),
        };
        let flags = BindingUpdateFlags::ACKNOWLEDGE | purpose;
        let update = BindingUpdate { sequence, flags, lifetime, options };
        let message = association.sign_update(update, care_of, bound);
        let mut builder = PacketBuilder::new(path.source, peer);
        if path.source != bound {
            builder = builder.home_address(bound);
        }
        let packet = builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT);
        let has_home_binding = self.has_home_binding;
        self.outputs.event(Event::Persist { peer, sequence, message_id, has_home_binding });
        self.outputs.transmit(packet, Via::NextHop(path.router.port, path.router.router));
        match who {
            Who::Home => self.counters.tx_home_update += 1,
            _ => self.counters.tx_agent_update += 1,
        }
        self.counters.tx_retransmission += u64::from(is_repeated);
        let timing = self.config.timers;
        let sent = Sent { at: now, sequence, message_id, lifetime, signed_care_of: care_of };
        // Only the home agent has duplicate address detection to do, for a home address that it does not know.
        let first = who == Who::Home && self.home.granted().is_none();
        if let Some(registration) = self.registration(who) {
            let timeout = registration.sent(sent, first, &timing);
            self.timers.set(Timer::Retransmit(who), now + timeout);
        }
    }

    fn remember_sequence(&mut self, peer: Ipv6Addr, sequence: u16) {
        if self.sequences.len() >= MAX_PEERS && !self.sequences.contains_key(&peer) {
            let in_use: Vec<_> =
                self.peers().into_iter().filter_map(|who| self.registration(who).map(|known| known.peer)).collect();
            let unused = self.sequences.keys().copied().find(|known| !in_use.contains(known));
            unused.map(|unused| self.sequences.remove(&unused));
        }
        self.sequences.insert(peer, sequence);
    }

    /// No acknowledgement has come in time.
    pub(super) fn retransmit(&mut self, now: Instant, who: Who) {
        let timing = self.config.timers;
        let limit = timing.agent_attempts;
        let Some(registration) = self.registration(who) else { return };
        let (peer, attempts) = (registration.peer, registration.attempts());
        let has_backed_off = registration.has_backed_off(&timing);
        match who {
            Who::Candidate if attempts >= limit => {
                self.counters.agent_lost += 1;
                self.candidate = None;
                self.outputs.event(Event::RegistrationLost { peer });
                self.refuse_agent(now, peer);
            }
            Who::Former(key) if attempts >= limit => self.former_lost(key),
            Who::Home if has_backed_off && self.home_agent_lost() => {}
            _ => {
                self.registration(who).into_iter().for_each(Registration::repeat);
            }
        }
    }

    /// A packet to the terminal.
    pub(super) fn receive(&mut self, now: Instant, packet: &[u8], tunnel: Option<TunnelMeta>) {
        match reception::receive(packet) {
            Ok(received) if !self.is_of_peer(received.source) && self.claim_answer(now, &received, tunnel) => {}
            Ok(received) => match &received.message {
                MobilityMessage::BindingAcknowledgement(message) => self.acknowledged(now, &received, message),
                MobilityMessage::BindingRefreshRequest { .. } => self.refresh_requested(now, &received),
                MobilityMessage::BindingError { status, home_address } => {
                    self.counters.rx_binding_error += 1;
                    self.binding_error(now, received.source, *status, *home_address);
                }
                MobilityMessage::Unknown { .. } => {
                    self.counters.drop_unknown_type += 1;
                    self.answer_unknown(now, &received);
                }
                _ => self.counters.drop_unexpected += 1,
            },
            Err(Refusal::NotMobility) => self.error(now, packet),
            Err(Refusal::Checksum) => self.counters.drop_checksum += 1,
            Err(Refusal::Malformed { .. }) => self.counters.drop_malformed += 1,
        }
    }

    fn is_of_peer(&mut self, source: Ipv6Addr) -> bool {
        let peers = self.peers();
        peers.into_iter().any(|who| self.registration(who).is_some_and(|registration| registration.peer == source))
    }

    /// An ICMPv6 error about a question or an update for a correspondent, or about a packet of a program.
    fn error(&mut self, now: Instant, packet: &[u8]) {
        let is_optimisers = read_error(packet).is_some_and(|error| {
            let optimiser = &mut self.correspondents.optimiser;
            optimiser.handle_icmp_error(now, error.source, error.kind, error.code, error.quoted) == Claim::Ours
        });
        if !is_optimisers {
            self.parameter_problem(now, packet);
        }
    }

    fn answer_unknown(&mut self, now: Instant, received: &Received<'_>) {
        let Some(router) = self.current else { return };
        if !self.links.is_own(received.destination) {
            return;
        }
        let Some(answer) = reception::unrecognized_type(received) else { return };
        if self.answers.take(now) {
            self.counters.tx_binding_error += 1;
            self.outputs.transmit(answer, Via::NextHop(router.port, router.router));
        } else {
            self.counters.drop_rate_limit += 1;
        }
    }

    /// RFC 6275 §11.7.3.
    fn acknowledged(&mut self, now: Instant, received: &Received<'_>, message: &BindingAcknowledgement) {
        self.counters.rx_acknowledgement += 1;
        let mut ignored = None;
        let mut is_bound = received.final_destination == self.config.home_address;
        let attempts_max = self.config.timers.agent_attempts;
        for who in self.peers() {
            let association = match who {
                Who::Home => &self.config.home_association,
                _ => &self.config.agent_association,
            }
            .clone();
            let Some(registration) =
                self.registration(who).filter(|registration| registration.bound == received.final_destination)
            else {
                continue;
            };
            is_bound = true;
            if registration.peer != received.source {
                continue;
            }
            match registration.judge(message, received.bytes, &association) {
                Answer::Ignored(why) => {
                    // Home agent and mobility agent may be one node: the answer may be to the other.
                    if ignored != Some(Ignored::Unauthentic) {
                        ignored = Some(why);
                    }
                    continue;
                }
                Answer::Accepted(sent) => self.accepted(now, who, sent, message),
                Answer::Sequence(last) => {
                    registration.repeat();
                    self.counters.rx_sequence += 1;
                    self.sequences.insert(received.source, last);
                }
                Answer::Clock(seconds) => {
                    registration.repeat();
                    self.counters.rx_clock += 1;
                    self.correct_clock(now, seconds);
                }
                // Whoever forges an update with this number gets such an answer for us, signed by our peer: it is
                // believed when all attempts have come to nothing.
                Answer::Refused(Status::AUTHENTICATION_FAILED) if registration.attempts() < attempts_max => {
                    self.counters.rx_authentication_failed += 1;
                }
                Answer::Refused(status) => self.refused(now, who, status),
            }
            return;
        }
        match ignored {
            _ if !is_bound => self.counters.drop_home_address += 1,
            Some(Ignored::Unauthentic) => self.counters.drop_unauthentic += 1,
            Some(Ignored::Unexpected) => self.counters.drop_unmatched += 1,
            None => self.counters.drop_unexpected += 1,
        }
    }

    fn correct_clock(&mut self, now: Instant, seconds: u32) {
        if let Some(clock) = self.clock {
            let fraction = clock.read(now).0 & 0xffff_ffff;
            self.clock = Some(WallClock { at: now, reads: NtpTime(u64::from(seconds) << 32 | fraction) });
            self.last_message_id = None;
        }
    }

    fn accepted(&mut self, now: Instant, who: Who, sent: Sent, message: &BindingAcknowledgement) {
        self.timers.cancel(Timer::Retransmit(who));
        match who {
            Who::Candidate => {
                if let Some((registration, _)) = self.candidate.take() {
                    let agent = registration.peer;
                    if registration.wish == Some(Wish::Group) && message.options.subscriptions.is_empty() {
                        // It did what RFC 5380 says, for an address that is none of its own. That is no use.
                        self.unwanted(now, (agent, registration.bound));
                        self.take_for_anchor(now, agent);
                        return;
                    }
                    match self.grant(registration, sent, message) {
                        Some(site) => self.entered_site(now, site),
                        None => self.refuse_agent(now, agent),
                    }
                }
            }
            Who::Agent => self.agent_refreshed(now, sent, message),
            Who::Home => self.home_accepted(now, sent, message),
            Who::Former(key) => self.former_accepted(now, key, sent, message),
        }
    }

    /// What the agent has granted, where it can be used.
    fn grant(
        &mut self,
        mut registration: Registration,
        sent: Sent,
        message: &BindingAcknowledgement,
    ) -> Option<AgentSite> {
        let options = &message.options;
        if let Some(Wish::Local(local)) = registration.wish {
            let care_of = registration.bound;
            registration.accept(sent, message, care_of);
            if registration.granted().is_some() {
                return Some(AgentSite { registration, care_of, service: Service::Anchor { local } });
            }
            self.counters.drop_grant += 1;
            return None;
        }
        let care_of = options
            .addresses
            .iter()
            .find(|entry| entry.code == AddressPrefix::NEW_CARE_OF_ADDRESS && entry.prefix_length == 128)
            .map(|entry| entry.address)
            .filter(|&care_of| addr::is_routable_unicast(care_of) && care_of != self.config.home_address);
        let granted = options.subscriptions.first().filter(|granted| is_beyond_link(granted.group));
        if let (Some(care_of), Some(granted)) = (care_of, granted) {
            let agent = registration.peer;
            registration.accept(sent, message, care_of);
            if registration.granted().is_some() {
                let subscription = Subscription { group: granted.group, source: granted.source };
                let reception = GroupReception {
                    source: granted.source.unwrap_or(agent),
                    gre_key: options.gre_key.and_then(|gre| gre.key),
                    care_of,
                    home_address: self.config.home_address,
                };
                let service = Service::Group { subscription, reception };
                return Some(AgentSite { registration, care_of, service });
            }
        }
        self.counters.drop_grant += 1;
        None
    }

    /// A refresh changes nothing, unless the agent has lost its memory and grants something else.
    fn agent_refreshed(&mut self, now: Instant, sent: Sent, message: &BindingAcknowledgement) {
        let Place::Agent(site) = &self.place else { return };
        let (agent, before) = (site.registration.peer, (**site).clone());
        let Some(site) = self.grant(before.registration, sent, message) else {
            return self.lose_agent(now, agent);
        };
        let Some(&Granted { refresh, expires, .. }) = site.registration.granted() else { return };
        self.timers.set(Timer::Refresh(Who::Agent), refresh);
        self.timers.set(Timer::Expiry(Who::Agent), expires);
        let local = match site.service {
            Service::Anchor { local } => Some(local),
            Service::Group { subscription, reception } => {
                if site.service != before.service {
                    self.attachment.receive(subscription.group, reception, &mut self.outputs);
                }
                None
            }
        };
        // The stage of a move by way of an anchor point is told where its address changes.
        self.place =
            Place::Agent(Box::new(AgentSite { service: local.map_or(site.service, |_| before.service), ..site }));
        if let Some(local) = local {
            self.local_address_acknowledged(now, local);
        }
        if core::mem::take(&mut self.home_after_agent) && !self.home.is_outstanding() {
            self.home.ask_again();
        }
    }

    fn home_accepted(&mut self, now: Instant, sent: Sent, message: &BindingAcknowledgement) {
        self.home_agents.serves();
        match self.home.wish {
            Some(Wish::CareOf(care_of)) => {
                self.home.accept(sent, message, care_of);
                match self.home.granted() {
                    Some(&Granted { refresh, expires, .. }) => {
                        self.timers.set(Timer::Refresh(Who::Home), refresh);
                        self.timers.set(Timer::Expiry(Who::Home), expires);
                        self.tell_correspondents(now, care_of, expires);
                    }
                    None => self.counters.drop_grant += 1,
                }
                self.stage(now, Stage::HomeRegistered);
            }
            _ => self.home_removed(now),
        }
    }

    /// The home agent has no binding any more: the terminal is home.
    fn home_removed(&mut self, now: Instant) {
        self.forget_home_registration();
        // Where the terminal has gone on in the meantime, the next wish tells the home agent.
        if let Some(target) = self.target.filter(|target| self.claimed == Some(target.port)) {
            self.stage(now, Stage::HomeRegistered);
            self.announce_home();
            self.arrived_home(now, target);
        }
    }

    /// The home agent has nothing of the terminal, and nothing is asked of it.
    pub(super) fn forget_home_registration(&mut self) {
        self.home.forget();
        (self.has_home_binding, self.is_home_address_taken) = (false, false);
        for timer in [Timer::Retransmit(Who::Home), Timer::Refresh(Who::Home), Timer::Expiry(Who::Home)] {
            self.timers.cancel(timer);
        }
    }

    fn refused(&mut self, now: Instant, who: Who, status: Status) {
        self.counters.rx_refusal += 1;
        let Some(registration) = self.registration(who) else { return };
        let peer = registration.peer;
        registration.rest();
        self.timers.cancel(Timer::Retransmit(who));
        match who {
            Who::Home if self.home.wish == Some(Wish::Removal) && status == Status::NOT_HOME_AGENT => {
                if self.is_home_address_taken {
                    // By somebody else, then: it is looked for again before it is used.
                    self.release_home();
                }
                return self.home_removed(now);
            }
            Who::Home => self.home_agent_refused(now, status),
            // An anchor point knows only addresses of its own prefix (RFC 6275 §10.3.1).
            Who::Candidate if status == Status::NOT_HOME_SUBNET && !self.is_anchor(peer) => {
                self.candidate = None;
                self.take_for_anchor(now, peer);
            }
            Who::Candidate => {
                self.candidate = None;
                self.refuse_agent(now, peer);
            }
            Who::Agent => self.lose_agent(now, peer),
            Who::Former(key) => self.former_refused(key),
        }
        self.outputs.event(Event::RegistrationRefused { peer, status });
    }

    /// Only a peer that has a binding may ask for it (RFC 6275 §11.7.4).
    fn refresh_requested(&mut self, now: Instant, received: &Received<'_>) {
        if !self.ask_again_if_stale(now, received.source) {
            self.counters.drop_unexpected += 1;
            return;
        }
        self.counters.rx_refresh_request += 1;
    }

    fn ask_again_if_stale(&mut self, now: Instant, peer: Ipv6Addr) -> bool {
        let mut any = false;
        for who in [Who::Agent, Who::Home] {
            let Some(registration) = self.registration(who).filter(|registration| registration.peer == peer) else {
                continue;
            };
            let Some(granted) = registration.granted() else { continue };
            any = true;
            let is_fresh = now < granted.asked + FRESH;
            if !registration.is_outstanding() && !is_fresh {
                registration.ask_again();
            }
        }
        any
    }

    /// RFC 6275 §11.3.6: a correspondent does not take the Home Address option; or the mobility agent has lost the
    /// binding, and is told again.
    fn binding_error(&mut self, now: Instant, source: Ipv6Addr, status: BindingErrorStatus, home_address: Ipv6Addr) {
        let is_ours = status == BindingErrorStatus::UNKNOWN_BINDING && home_address == self.config.home_address;
        if is_ours && self.uplinks.is_direct(source) {
            self.refuse_direct(now, source);
        } else if !is_ours || !self.ask_again_if_stale(now, source) {
            self.counters.drop_error += 1;
        }
    }

    /// ICMPv6 Parameter Problem, code 2, that points at the Home Address option of a packet of ours.
    fn parameter_problem(&mut self, now: Instant, packet: &[u8]) {
        let Some((source, pointer, quoted)) = read_parameter_problem(packet) else {
            self.counters.drop_not_mobility += 1;
            return;
        };
        self.counters.rx_parameter_problem += 1;
        let is_ours = |header: &QuotedHeader| {
            self.links.is_own(header.source)
                && header.home_address == Some((pointer, self.config.home_address))
                && header.destination == source
                && self.uplinks.is_direct(source)
        };
        match quoted_header(quoted).filter(is_ours) {
            Some(_) => self.refuse_direct(now, source),
            None => self.counters.drop_error += 1,
        }
    }

    fn refuse_direct(&mut self, now: Instant, correspondent: Ipv6Addr) {
        self.counters.uplink_refused += 1;
        self.uplinks.refuse(now, correspondent, self.config.timers.refusal_memory);
    }
}

/// Groups of link scope and below are not forwarded to anybody.
fn is_beyond_link(group: Ipv6Addr) -> bool {
    addr::Scope::of(group).is_some_and(|scope| scope > addr::Scope::LINK_LOCAL)
}

/// An ICMPv6 error.
struct IcmpError<'a> {
    source: Ipv6Addr,
    kind: u8,
    code: u8,
    parameter: u32,
    quoted: &'a [u8],
}

fn read_error(packet: &[u8]) -> Option<IcmpError<'_>> {
    let header = ipv6::Header::parse(packet).ok()?;
    let packet = &packet[..header.total_length()];
    let chain = Chain::parse(packet).ok()?;
    let message = packet.get(chain.upper_offset..).filter(|message| message.len() >= 8)?;
    let is_whole = chain.upper == protocol::ICMPV6
        && checksum::verify(header.source, header.destination, protocol::ICMPV6, message);
    let error = IcmpError {
        source: header.source,
        kind: message[0],
        code: message[1],
        parameter: u32_at(message, 4).ok()?,
        quoted: &message[8..],
    };
    is_whole.then_some(error)
}

/// Source, pointer and quotation of a Parameter Problem with code 2.
fn read_parameter_problem(packet: &[u8]) -> Option<(Ipv6Addr, usize, &[u8])> {
    let error = read_error(packet)?;
    let is_right = error.kind == PARAMETER_PROBLEM && error.code == UNRECOGNIZED_OPTION;
    let pointer = usize::try_from(error.parameter).ok()?;
    is_right.then_some((error.source, pointer, error.quoted))
}

/// What a quotation says of the packet. It may be cut off behind its extension headers.
struct QuotedHeader {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    /// Where the Home Address option stands, and what it says.
    home_address: Option<(usize, Ipv6Addr)>,
}

fn quoted_header(quoted: &[u8]) -> Option<QuotedHeader> {
    let mut whole = quoted.to_vec();
    // The length field counts what was cut off too.
    let length = u16::try_from(quoted.len().checked_sub(ipv6::HEADER_LEN)?).ok()?;
    whole[4..6].copy_from_slice(&length.to_be_bytes());
    let header = ipv6::Header::parse(&whole).ok()?;
    let chain = Chain::parse(&whole).ok()?;
    Some(QuotedHeader {
        source: header.source,
        destination: header.destination,
        home_address: chain.home_address.map(|option| (option.offset, option.home_address)),
    })
}
