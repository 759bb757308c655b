//! Binding Updates to the home agent: the tests of RFC 6275 §9.5.1 and §10.3.1 in their order, registration,
//! de-registration (§10.3.2), and the acknowledgement (§9.5.4).
//!
//! Authentication comes before all tests whose outcome is told to the sender, so that a stranger learns nothing and
//! changes nothing.

use super::detection::link_local_of;
use super::*;
use mma::auth::{AuthenticationError, ReplayError, SecurityAssociation};
use stack::addr::MacAddress;
use stack::wire::mobility::option::MobileNodeIdentifier;
use stack::wire::mobility::{
    BindingAcknowledgement, BindingAcknowledgementFlags, BindingUpdate, BindingUpdateFlags, Lifetime,
};

/// A Binding Update that was authenticated.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) home_address: Ipv6Addr,
    pub(super) sequence: u16,
    /// The key that it was signed with; the answer is signed with the same.
    association: SecurityAssociation,
    /// The care-of address that its authentication covers; so does that of the answer.
    signed_care_of: Ipv6Addr,
    has_home_address_option: bool,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    care_of: Ipv6Addr,
    lifetime: Lifetime,
    /// The L bit.
    pub(super) link_local: bool,
    message_id: Option<u64>,
    identifier: Option<MobileNodeIdentifier>,
    /// Port and link-layer address that it came from, where it did not come through a tunnel.
    link_source: Option<(PortId, MacAddress)>,
}

impl HomeAgent {
    pub(super) fn handle_binding_update(
        &mut self,
        now: Instant,
        meta: &RxMeta,
        received: &Received<'_>,
        update: &BindingUpdate,
    ) {
        let home_address = received.home_address();
        let is_home_registration = update.flags.contains(BindingUpdateFlags::HOME_REGISTRATION);
        if !is_home_registration && self.cache.active(home_address).is_none() {
            self.counters.drop_no_home_registration += 1;
            return;
        }
        if !addr::is_routable_unicast(home_address)
            || !addr::is_unicast(received.source)
            || update.options.nonce_indices.is_some()
        {
            self.counters.drop_invalid += 1;
            return;
        }
        let care_of = update.options.alternate_care_of_address.unwrap_or(received.source);
        let removes = update.lifetime.is_zero() || care_of == home_address;
        if !addr::is_routable_unicast(care_of) {
            self.counters.drop_care_of += 1;
            return;
        }
        if received.home_address_option.is_none() && !removes {
            self.counters.drop_invalid += 1;
            return;
        }
        let Some(mut request) = self.authenticate(now, meta, received, update, care_of) else {
            return;
        };
        // Of a home address that is of no home link nothing is remembered, for it cannot be bound.
        if self.link_of(home_address).is_some() {
            let in_use = |address| self.cache.get(address).is_some() || self.waiting.contains_key(&address);
            if let Err(error) = self.replay.admit(now, home_address, update.sequence, request.message_id, in_use) {
                return self.reject_replay(now, &mut request, error);
            }
        } else if !self.may_answer(now) {
            return;
        }
        if !is_home_registration {
            self.counters.reject_type_change += 1;
            return self.reject(&request, Status::REGISTRATION_TYPE_CHANGE, request.sequence);
        }
        if !self.config.links.iter().any(|link| link.address == received.destination) {
            self.counters.reject_not_agent += 1;
            return self.reject(&request, Status::HOME_REGISTRATION_NOT_SUPPORTED, request.sequence);
        }
        // A prefix that is about to be invalid is none any more (RFC 6275 §10.6.4).
        let serves = |link: &&HomeLink| {
            link.address == received.destination && u64::from(link.lifetimes_secs().0) >= Lifetime::UNIT_SECS
        };
        let Some(link) = self.link_of(home_address).filter(serves) else {
            self.counters.reject_not_home_subnet += 1;
            return self.reject(&request, Status::NOT_HOME_SUBNET, request.sequence);
        };
        let (port, agent, dad) = (link.port, link.address, link.dad);
        if removes {
            self.deregister(now, &request, port, agent);
        } else {
            match self.admit(&request) {
                Ok(()) => self.begin_registration(now, request, port, dad),
                Err(status) => self.reject(&request, status, request.sequence),
            }
        }
    }

    /// What the operator, or common sense, has against a registration. Packets tunnelled to an address of a home link
    /// would be intercepted again.
    fn admit(&mut self, request: &Request) -> Result<(), Status> {
        let config = &self.config;
        let at_home = config.links.iter().any(|link| link.prefix.contains(request.care_of));
        if at_home || config.own.contains(&request.care_of) {
            self.counters.reject_care_of += 1;
            return Err(Status::INVALID_CARE_OF_ADDRESS);
        }
        let mut allowed = config.care_of_prefixes.iter();
        let elsewhere = !config.care_of_prefixes.is_empty() && !allowed.any(|prefix| prefix.contains(request.care_of));
        if elsewhere || config.denied.contains(&request.home_address) {
            self.counters.reject_prohibited += 1;
            return Err(Status::ADMINISTRATIVELY_PROHIBITED);
        }
        Ok(())
    }

    /// RFC 4285 §5: no key, no authentication option: silence. A code that does not hold: status 146.
    fn authenticate(
        &mut self,
        now: Instant,
        meta: &RxMeta,
        received: &Received<'_>,
        update: &BindingUpdate,
        care_of: Ipv6Addr,
    ) -> Option<Request> {
        let home_address = received.home_address();
        let identifier = update.options.identifier.as_ref();
        let authentic =
            self.config.associations.authenticate(received.bytes, identifier, home_address, care_of, received.source);
        let failed = authentic.is_err();
        let (association, signed_care_of) = match authentic {
            Ok(authenticated) => (authenticated.association, authenticated.care_of),
            Err(AuthenticationError::Mismatch { association }) => (association, care_of),
            Err(AuthenticationError::Missing | AuthenticationError::NoAssociation) => {
                self.counters.drop_no_association += 1;
                return None;
            }
        };
        let request = Request {
            home_address,
            sequence: update.sequence,
            association,
            signed_care_of,
            has_home_address_option: received.home_address_option.is_some(),
            source: received.source,
            destination: received.destination,
            care_of,
            lifetime: update.lifetime,
            link_local: update.flags.contains(BindingUpdateFlags::LINK_LOCAL_COMPATIBILITY),
            message_id: update.options.message_id,
            identifier: update.options.identifier.clone(),
            link_source: meta.link_source.filter(|_| meta.tunnel.is_none()).map(|address| (meta.port, address)),
        };
        if failed {
            self.counters.reject_authentication += 1;
            if self.may_answer(now) {
                self.reject(&request, Status::AUTHENTICATION_FAILED, request.sequence);
            }
            return None;
        }
        self.counters.signed_by_source += u64::from(signed_care_of != care_of);
        Some(request)
    }

    fn reject_replay(&mut self, now: Instant, request: &mut Request, error: ReplayError) {
        let mut sequence = request.sequence;
        match error {
            ReplayError::Sequence { last } => {
                self.counters.reject_sequence += 1;
                sequence = last;
            }
            ReplayError::MessageIdRequired => self.counters.reject_timestamp += 1,
            ReplayError::MessageIdMismatch { answer } => {
                self.counters.reject_timestamp += 1;
                request.message_id = Some(answer);
            }
            ReplayError::TableFull => self.counters.reject_resources += 1,
        }
        if !self.replay.may_answer(now, request.home_address) {
            self.counters.drop_rate_limit += 1;
            return;
        }
        self.reject(request, error.status(), sequence);
    }

    /// The link that a home address belongs to.
    pub(super) fn link_of(&self, home_address: Ipv6Addr) -> Option<&HomeLink> {
        self.config.links.iter().find(|link| link.prefix.contains(home_address))
    }
}

/// Registration, de-registration and their answers.
impl HomeAgent {
    fn begin_registration(&mut self, now: Instant, request: Request, port: PortId, dad: HomeDad) {
        let home_address = request.home_address;
        if let Some(waiting) = self.waiting.get_mut(&home_address) {
            // Nothing is started twice and nothing is answered yet: the answer will be to the last update.
            self.counters.while_detecting += 1;
            waiting.request = Request { link_local: waiting.request.link_local, ..request };
            return;
        }
        if !self.cache.has_room_for(home_address, self.waiting.len()) {
            self.counters.reject_resources += 1;
            return self.reject(&request, Status::INSUFFICIENT_RESOURCES, request.sequence);
        }
        if request.link_local && !self.claim_link_local(port, home_address) {
            self.counters.reject_duplicate += 1;
            return self.reject(&request, Status::DUPLICATE_ADDRESS, request.sequence);
        }
        let dad = match dad {
            HomeDad::Optimistic if self.contested.contains(&home_address) => HomeDad::Strict,
            dad => dad,
        };
        let known = self.cache.active(home_address).is_some();
        match dad {
            HomeDad::Strict if !known => self.detect(now, &request, port, true),
            HomeDad::Optimistic if !known => {
                self.detect(now, &request, port, false);
                self.register(now, &request);
            }
            _ => self.register(now, &request),
        }
    }

    pub(super) fn register(&mut self, now: Instant, request: &Request) {
        let home_address = request.home_address;
        let Some(link) = self.link_of(home_address) else {
            return;
        };
        let (port, (valid, preferred)) = (link.port, link.lifetimes_secs());
        let [valid, preferred] = [valid, preferred].map(|secs| Lifetime::at_most(Duration::from_secs(u64::from(secs))));
        let longest = Lifetime::at_most(self.config.max_lifetime).min(valid);
        let lifetime = request.lifetime.min(longest).max(Lifetime(1));
        // RFC 6275 §10.3.1: the prefix is or will be deprecated, or ends with the binding.
        let is_ending = preferred < lifetime || valid <= lifetime && valid < Lifetime(u16::MAX);
        let status = if is_ending { Status::ACCEPTED_PREFIX_DISCOVERY } else { Status::ACCEPTED };
        let link_local = request.link_local.then(|| link_local_of(home_address));
        let binding = Binding {
            home_address,
            care_of: request.care_of,
            agent: link.address,
            home_port: link.port,
            sequence: request.sequence,
            link_local,
            lifetime: lifetime.duration(),
            status: BindingStatus::Active,
        };
        let before = self.cache.active(home_address).copied();
        self.cache.set(binding, now + lifetime.duration());
        self.timers.set(Timer::Expiry(home_address), now + lifetime.duration());
        self.timers.set(Timer::Refresh(home_address), now + lifetime.duration() * 3 / 4);
        let (care_of, agent, home_port) = (binding.care_of, binding.agent, binding.home_port);
        self.outputs.table(TableUpdate::HomeBindingSet(home_address, HomeBinding { care_of, agent, home_port }));
        if let Some(before) = before.filter(|before| before.care_of != care_of) {
            self.remember_former(now, &before);
        }
        if before.is_none() {
            self.outputs.event(Event::ProxyStart { port: home_port, address: home_address });
        }
        match (before.and_then(|before| before.link_local), link_local) {
            (None, Some(address)) => self.outputs.event(Event::ProxyStart { port, address }),
            (Some(address), None) => {
                self.outputs.event(Event::ProxyStop { port, address });
                self.give_up_link_local(port, home_address);
            }
            _ => {}
        }
        self.schedule_for(now, home_address);
        self.counters.registered += 1;
        self.outputs.event(Event::Registered { home_address, care_of });
        let advice = self.config.refresh_advice_percent.map(|percent| {
            let units = u32::from(lifetime.0) * u32::from(percent) / 100;
            // RFC 6275 §6.2.4: less than the lifetime.
            units.min(u32::from(lifetime.0) - 1) as u16
        });
        self.acknowledge(request, status, request.sequence, lifetime, advice.filter(|&units| units > 0));
    }

    fn deregister(&mut self, now: Instant, request: &Request, port: PortId, agent: Ipv6Addr) {
        let home_address = request.home_address;
        let entry = self.cache.get(home_address).copied();
        let waiting = self.stop_waiting(port, home_address).is_some();
        if entry.is_none() && !waiting {
            self.counters.reject_no_binding += 1;
            return self.reject(request, Status::NOT_HOME_AGENT, request.sequence);
        }
        if let Some(binding) = entry.filter(|binding| binding.status == BindingStatus::Active) {
            self.stop_intercepting(&binding);
            self.remember_former(now, &binding);
            self.counters.deregistered += 1;
            self.outputs.event(Event::Ended { home_address, cause: EndCause::Deregistered });
        }
        let held = Binding {
            home_address,
            care_of: home_address,
            agent,
            home_port: port,
            sequence: request.sequence,
            link_local: None,
            lifetime: Duration::ZERO,
            status: BindingStatus::Deregistered,
        };
        let until = now + self.config.deregistration_hold;
        self.cache.set(held, until);
        self.timers.set(Timer::Expiry(home_address), until);
        self.acknowledge(request, Status::ACCEPTED, request.sequence, Lifetime::ZERO, None);
    }

    pub(super) fn reject(&mut self, request: &Request, status: Status, sequence: u16) {
        self.outputs.event(Event::Rejected { home_address: request.home_address, status });
        self.acknowledge(request, status, sequence, Lifetime::ZERO, None);
    }

    /// To where the update came from, through a type 2 routing header where it carried a Home Address option
    /// (RFC 6275 §9.5.4). A terminal on its home link that is refused is reached by its link-layer address, since its
    /// packets are still intercepted (§10.3.2).
    fn acknowledge(
        &mut self,
        request: &Request,
        status: Status,
        sequence: u16,
        lifetime: Lifetime,
        refresh_advice: Option<u16>,
    ) {
        let options = MobilityOptions {
            binding_refresh_advice: refresh_advice,
            identifier: request.identifier.clone(),
            message_id: request.message_id,
            ..MobilityOptions::default()
        };
        let home_address = request.home_address;
        let flags = BindingAcknowledgementFlags::default();
        let acknowledgement = BindingAcknowledgement { status, flags, sequence, lifetime, options };
        let message = request.association.sign_acknowledgement(acknowledgement, request.signed_care_of, home_address);
        let mut builder = PacketBuilder::new(request.destination, request.source);
        if request.has_home_address_option {
            builder = builder.type2_routing(home_address);
        }
        let packet = builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT);
        let home_port = self.link_of(home_address).map(|link| link.port);
        let via = match request.link_source {
            Some((port, address))
                if !request.has_home_address_option && !status.is_accepted() && Some(port) == home_port =>
            {
                Via::LinkAddress(port, address)
            }
            _ => Via::Route,
        };
        match status.is_accepted() {
            true => self.counters.tx_accepted += 1,
            false => self.counters.tx_rejected += 1,
        }
        self.outputs.transmit(packet, via);
    }
}
