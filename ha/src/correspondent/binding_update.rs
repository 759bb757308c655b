//! Binding Updates to a correspondent: the tests of RFC 6275 §9.5.1, bindings made (§9.5.2) and deleted (§9.5.3), the
//! acknowledgement (§9.5.4); the same with a preconfigured key (RFC 4449).
//!
//! What an update is authorised by is found first, because an answer about its sequence number has to be authenticated
//! too; what is not authentic is dropped in silence. Only four things are said without a key: that nonces are too old
//! (136 to 138, §9.5.4), and that home registrations are none of this node's business (131, 139). Whom the operator wants to
//! have bindings comes next (129).

use super::cache::{Room, Spent};
use super::{Authorisation, Binding, CorrespondentNode, EndCause, Event, MAX_RR_BINDING_LIFETIME};
use crate::reception::Received;
use core::net::Ipv6Addr;
use mma::return_routability::BindingManagementKey;
use stack::addr;
use stack::machine::Via;
use stack::time::Instant;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::option::NonceIndices;
use stack::wire::mobility::{
    BindingAcknowledgement, BindingAcknowledgementFlags, BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime,
    MobilityMessage, MobilityOptions, Status,
};

/// An authentic Binding Update.
struct Request<'r> {
    received: &'r Received<'r>,
    update: &'r BindingUpdate,
    home_address: Ipv6Addr,
    care_of: Ipv6Addr,
    /// The care-of address that its authenticator covers; so does that of the answer.
    signed_care_of: Ipv6Addr,
    key: BindingManagementKey,
    authorisation: Authorisation,
}

/// Why a Binding Update is not looked at further.
enum Unauthorised {
    /// In silence.
    Missing,
    /// With this status.
    Nonces(Status),
}

impl CorrespondentNode {
    pub(super) fn handle_binding_update(&mut self, now: Instant, received: &Received<'_>, update: &BindingUpdate) {
        self.counters.rx_binding_update += 1;
        if !self.updates.take(now, received.source) {
            self.counters.drop_update_rate_limit += 1;
            return;
        }
        let home_address = received.home_address();
        if !addr::is_routable_unicast(home_address) {
            self.counters.drop_source += 1;
            return;
        }
        let care_of = update.options.alternate_care_of_address.unwrap_or(received.source);
        if !addr::is_routable_unicast(care_of) {
            self.counters.drop_care_of += 1;
            return;
        }
        if update.flags.contains(BindingUpdateFlags::HOME_REGISTRATION) {
            return self.refuse_home_registration(now, received, update);
        }
        let removes = update.lifetime.is_zero() || care_of == home_address;
        let (key, authorisation) = match self.key_of(now, update, home_address, care_of, removes) {
            Ok(found) => found,
            Err(Unauthorised::Missing) => {
                self.counters.drop_unauthorised += 1;
                return;
            }
            Err(Unauthorised::Nonces(status)) => {
                self.counters.reject_nonce += 1;
                return self.reject_without_key(now, received, update, status);
            }
        };
        // RFC 6275 §6.2.7: where the update deletes, the home address stands in the place of the care-of address.
        let signed_care_of = if removes { home_address } else { care_of };
        if !key.verify(received.bytes, signed_care_of, self.config.address) {
            self.counters.drop_authenticator += 1;
            return;
        }
        let request = Request { received, update, home_address, care_of, signed_care_of, key, authorisation };
        let allowed = &self.config.home_prefixes;
        if !allowed.is_empty() && !allowed.iter().any(|prefix| prefix.contains(home_address)) {
            self.counters.reject_policy += 1;
            return self.reject(&request, Status::ADMINISTRATIVELY_PROHIBITED, update.sequence);
        }
        let last = match authorisation {
            Authorisation::Preconfigured => self.sequences.get(&home_address).copied(),
            Authorisation::ReturnRoutability(_) => self.cache.last_sequence(home_address),
        };
        if let Some(last) = last.filter(|&last| !follows(last, update.sequence)) {
            self.counters.reject_sequence += 1;
            return self.reject(&request, Status::SEQUENCE_OUT_OF_WINDOW, last);
        }
        if authorisation == Authorisation::Preconfigured {
            self.counters.sequence_wrapped += u64::from(last.is_some_and(|last| last > update.sequence));
            self.sequences.insert(home_address, update.sequence);
            self.outputs.event(Event::SequenceUsed { home_address, sequence: update.sequence });
        }
        if removes {
            self.delete(now, &request);
        } else {
            self.cache_binding(now, &request);
        }
    }

    /// The key that the update has to be signed with.
    fn key_of(
        &mut self,
        now: Instant,
        update: &BindingUpdate,
        home_address: Ipv6Addr,
        care_of: Ipv6Addr,
        removes: bool,
    ) -> Result<(BindingManagementKey, Authorisation), Unauthorised> {
        // RFC 4449 §4: where there is a key nothing else will do, so that nobody is talked into less. Nonce indices that
        // stand there all the same are ignored (§3).
        if let Some(key) = self.config.preconfigured.get(&home_address) {
            let key = if removes { key.deletion_key(home_address) } else { key.management_key(home_address, care_of) };
            return Ok((key, Authorisation::Preconfigured));
        }
        let indices = update.options.nonce_indices.ok_or(Unauthorised::Missing)?;
        if update.options.binding_authorization_data.is_none() {
            return Err(Unauthorised::Missing);
        }
        let home = self.nonces.find(now, indices.home);
        let home_token = home.map(|nonce| nonce.key.home_token(home_address, &nonce.value));
        let authorisation = Authorisation::ReturnRoutability(indices);
        if removes {
            let token = home_token.ok_or(Unauthorised::Nonces(Status::EXPIRED_HOME_NONCE))?;
            return Ok((BindingManagementKey::for_deletion(token), authorisation));
        }
        let care_of_nonce = self.nonces.find(now, indices.care_of);
        let care_of_token = care_of_nonce.map(|nonce| nonce.key.care_of_token(care_of, &nonce.value));
        match (home_token, care_of_token) {
            (Some(_), Some(_)) if self.cache.is_spent(now, home_address, care_of, indices) => {
                self.counters.spent_nonces += 1;
                Err(Unauthorised::Nonces(Status::EXPIRED_NONCES))
            }
            (Some(home), Some(care_of)) => Ok((BindingManagementKey::new(home, care_of), authorisation)),
            (None, Some(_)) => Err(Unauthorised::Nonces(Status::EXPIRED_HOME_NONCE)),
            (Some(_), None) => Err(Unauthorised::Nonces(Status::EXPIRED_CARE_OF_NONCE)),
            (None, None) => Err(Unauthorised::Nonces(Status::EXPIRED_NONCES)),
        }
    }

    fn cache_binding(&mut self, now: Instant, request: &Request<'_>) {
        let home_address = request.home_address;
        match self.cache.room_for(now, home_address) {
            Room::Free => {}
            Room::Replacing(idle) => self.end(now, idle, EndCause::Replaced),
            Room::None { ask } => {
                for candidate in ask {
                    self.ask_for_use(now, candidate);
                }
                self.counters.reject_resources += 1;
                return self.reject(request, Status::INSUFFICIENT_RESOURCES, request.update.sequence);
            }
        }
        let longest = match request.authorisation {
            Authorisation::ReturnRoutability(_) => self.config.max_lifetime.min(MAX_RR_BINDING_LIFETIME),
            Authorisation::Preconfigured => self.config.max_lifetime,
        };
        let lifetime = request.update.lifetime.min(Lifetime::at_most(longest).max(Lifetime(1)));
        let duration = lifetime.duration();
        self.bind(
            now,
            Binding {
                home_address,
                care_of: request.care_of,
                sequence: request.update.sequence,
                lifetime: duration,
                expires_at: now + duration,
                authorisation: request.authorisation,
            },
        );
        self.accept(request, lifetime);
    }

    /// RFC 6275 §9.5.3: what was used to make the binding is not used again with the same addresses. An update that finds
    /// nothing to delete changes nothing.
    fn delete(&mut self, now: Instant, request: &Request<'_>) {
        let home_address = request.home_address;
        if let Some(&Binding { care_of, authorisation, .. }) = self.cache.get(home_address) {
            let spent = match authorisation {
                Authorisation::ReturnRoutability(nonces) => self.spend(now, care_of, nonces),
                Authorisation::Preconfigured => None,
            };
            self.cache.note_deletion(now, home_address, request.update.sequence, spent);
            self.end(now, home_address, EndCause::Deleted);
        }
        self.accept(request, Lifetime::ZERO);
    }

    fn spend(&mut self, now: Instant, care_of: Ipv6Addr, nonces: NonceIndices) -> Option<Spent> {
        let [home_until, care_of_until] = [nonces.home, nonces.care_of]
            .map(|index| self.nonces.find(now, index).map(super::nonce::Nonce::expires_at));
        self.nonces.spend(nonces.home);
        self.nonces.spend(nonces.care_of);
        Some(Spent { care_of, nonces, until: home_until?.min(care_of_until?) })
    }

    /// Home registrations (RFC 6275 §9.5.1, §10.3.1). They would be authenticated by other means than those of this node,
    /// so that the answer is not.
    fn refuse_home_registration(&mut self, now: Instant, received: &Received<'_>, update: &BindingUpdate) {
        if update.options.nonce_indices.is_some() {
            self.counters.drop_unauthorised += 1;
            return;
        }
        let status = match self.cache.get(received.home_address()) {
            Some(_) => Status::REGISTRATION_TYPE_CHANGE,
            None => Status::HOME_REGISTRATION_NOT_SUPPORTED,
        };
        *match status {
            Status::REGISTRATION_TYPE_CHANGE => &mut self.counters.reject_type_change,
            _ => &mut self.counters.reject_home_registration,
        } += 1;
        self.reject_without_key(now, received, update, status);
    }

    /// §9.5.4: what is accepted is acknowledged where that was asked for.
    fn accept(&mut self, request: &Request<'_>, lifetime: Lifetime) {
        if request.update.flags.contains(BindingUpdateFlags::ACKNOWLEDGE) {
            self.counters.tx_accepted += 1;
            self.acknowledge(request, Status::ACCEPTED, request.update.sequence, lifetime);
        }
    }

    /// What is rejected is acknowledged always.
    fn reject(&mut self, request: &Request<'_>, status: Status, sequence: u16) {
        self.counters.tx_rejected += 1;
        self.outputs.event(Event::Rejected { home_address: request.home_address, status });
        self.acknowledge(request, status, sequence, Lifetime::ZERO);
    }

    fn acknowledge(&mut self, request: &Request<'_>, status: Status, sequence: u16, lifetime: Lifetime) {
        let acknowledgement = answer(status, sequence, lifetime);
        let message = request.key.sign_acknowledgement(acknowledgement, request.signed_care_of, self.config.address);
        self.send_acknowledgement(request.received, message);
    }

    /// A stranger can provoke it, so that there is a limit.
    fn reject_without_key(&mut self, now: Instant, received: &Received<'_>, update: &BindingUpdate, status: Status) {
        if !self.may_answer(now) {
            return;
        }
        self.counters.tx_rejected += 1;
        let home_address = received.home_address();
        self.outputs.event(Event::Rejected { home_address, status });
        let acknowledgement = answer(status, update.sequence, Lifetime::ZERO);
        self.send_acknowledgement(received, MobilityMessage::from(acknowledgement).emit());
    }

    /// To where the update came from, through a type 2 routing header where it carried a Home Address option (§9.5.4).
    fn send_acknowledgement(&mut self, received: &Received<'_>, message: Vec<u8>) {
        let mut builder = PacketBuilder::new(self.config.address, received.source);
        if let Some(home_address) = received.home_address_option {
            builder = builder.type2_routing(home_address);
        }
        self.outputs.transmit(builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT), Via::Route);
    }
}

fn answer(status: Status, sequence: u16, lifetime: Lifetime) -> BindingAcknowledgement {
    let flags = BindingAcknowledgementFlags::default();
    BindingAcknowledgement { status, flags, sequence, lifetime, options: MobilityOptions::default() }
}

/// Whether a sequence number is after the last one, modulo 2^16 (RFC 6275 §9.5.1).
const fn follows(last: u16, sequence: u16) -> bool {
    let ahead = sequence.wrapping_sub(last);
    ahead != 0 && ahead < 0x8000
}
