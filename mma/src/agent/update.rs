//! A Binding Update: authenticity and freshness (RFC 4285 §5, §6) before all else, then what `registration` says, then
//! the answer.

use super::MobilityManagementAgent;
use super::acknowledgement::Answer;
use super::binding::{Granted, Removed};
use super::event::{Event, Removal};
use super::reception::Received;
use crate::auth::{AuthenticationError, Named, ReplayError};
use crate::registration::{self, Case, Refusal, Request};
use core::net::Ipv6Addr;
use stack::addr;
use stack::time::Instant;
use stack::wire::mobility::option::{AddressPrefix, Subscription};
use stack::wire::mobility::{BindingUpdate, BindingUpdateFlags, Lifetime, MobilityOptions, Status};

/// What came of a Binding Update.
enum Outcome {
    Deregistered,
    Registered(Granted),
    /// Only the lifetime is to be told.
    Moved {
        lifetime: Lifetime,
    },
}

impl MobilityManagementAgent {
    pub(super) fn update(&mut self, now: Instant, received: &Received<'_>, update: BindingUpdate) {
        let (home_address, source) = (received.home_address(), received.source);
        let care_of = update.options.alternate_care_of_address.unwrap_or(source);
        // RFC 6275 §6.1.7: dropped in silence.
        if !addr::is_routable_unicast(care_of) {
            self.counters.drop_source += 1;
            return;
        }
        let named = Named {
            identifier: update.options.identifier.as_ref(),
            home_address,
            regional: self.config.is_regional(home_address),
        };
        let authenticated = match self.config.associations.authenticate_as(received.message(), named, care_of, source) {
            Ok(authenticated) => authenticated,
            Err(AuthenticationError::Missing) => {
                self.counters.drop_unauthenticated += 1;
                return;
            }
            Err(AuthenticationError::NoAssociation) => {
                self.counters.drop_no_association += 1;
                return;
            }
            Err(AuthenticationError::Mismatch { association }) => {
                let refusal = Refusal::AuthenticationFailed;
                self.note_refused(home_address, refusal);
                if !self.error_limit.take(now) {
                    self.counters.answer_rate_limited += 1;
                    return;
                }
                let answer = Answer {
                    association: &association,
                    care_of,
                    status: refusal.status(),
                    sequence: update.sequence,
                    lifetime: Lifetime::ZERO,
                    options: MobilityOptions::default(),
                };
                self.acknowledge(received, answer);
                return;
            }
        };
        if authenticated.care_of != care_of {
            self.counters.authenticated_by_source += 1;
        }
        let mut answer = Answer {
            association: &authenticated.association,
            care_of: authenticated.care_of,
            status: Status::ACCEPTED,
            sequence: update.sequence,
            lifetime: Lifetime::ZERO,
            options: MobilityOptions { message_id: update.options.message_id, ..MobilityOptions::default() },
        };
        // Whose home address it is comes first: nobody moves another terminal's sequence number on. Of one that nothing can
        // be bound to, whoever asks, nothing is remembered.
        let is_served = self.config.serves(home_address);
        let judged = registration::check_owner(&self.bindings, &authenticated, home_address)
            .and_then(|()| {
                if !is_served {
                    return Ok(());
                }
                let (sequence, message_id) = (update.sequence, update.options.message_id);
                let is_bound = |home_address| self.bindings.find(home_address).is_some();
                self.replay.admit(now, home_address, sequence, message_id, is_bound).map_err(|error| {
                    match error {
                        ReplayError::Sequence { last } => answer.sequence = last,
                        ReplayError::MessageIdMismatch { answer: timestamp } => {
                            answer.options.message_id = Some(timestamp);
                        }
                        ReplayError::MessageIdRequired | ReplayError::TableFull => {}
                    }
                    Refusal::from(error)
                })
            })
            .and_then(|()| {
                registration::judge(&Case {
                    config: &self.config,
                    bindings: &self.bindings,
                    admission: self.admission,
                    authenticated: &authenticated,
                    home_address,
                    source,
                    update: &update,
                })
            })
            .and_then(|request| match request {
                Request::Deregister => Ok(Outcome::Deregistered),
                Request::Register(terms) => {
                    self.bind(now, &authenticated, received, &update, terms).map(Outcome::Registered)
                }
                Request::Forward(granted) => {
                    self.forward(now, received, &update, granted).map(|lifetime| Outcome::Moved { lifetime })
                }
                Request::Anchor(lifetime) => self
                    .bind_anchor(now, &authenticated, received, &update, lifetime)
                    .map(|()| Outcome::Moved { lifetime }),
            });
        match judged {
            Ok(Outcome::Deregistered) => self.remove(now, home_address, Removed::By(Removal::Terminal)),
            Ok(Outcome::Moved { lifetime }) => answer.lifetime = lifetime,
            Ok(Outcome::Registered(granted)) => {
                answer.status = granted.status;
                answer.lifetime = granted.lifetime;
                answer.options.gre_key = granted.gre_key;
                answer.options.addresses = vec![AddressPrefix::new_care_of(granted.care_of)];
                // To a shared tree the terminal names no source (EXCLUDE of none).
                let source = self.config.layout.is_source_specific().then_some(self.config.source);
                answer.options.subscriptions = vec![Subscription { group: granted.group, source }];
            }
            Err(refusal) => {
                answer.status = refusal.status();
                self.note_refused(home_address, refusal);
                let may_answer = match (is_served, refusal.is_of_replay()) {
                    (true, true) => self.replay.may_answer(now, home_address),
                    (true, false) => true,
                    (false, _) => self.error_limit.take(now),
                };
                if !may_answer {
                    self.counters.answer_rate_limited += 1;
                    return;
                }
            }
        }
        // RFC 6275 §9.5.4: what is accepted is acknowledged where that was asked for; what is refused, always.
        if update.flags.contains(BindingUpdateFlags::ACKNOWLEDGE) || !answer.status.is_accepted() {
            self.acknowledge(received, answer);
        }
    }

    /// Counts a refusal and tells of it.
    fn note_refused(&mut self, home_address: Ipv6Addr, reason: Refusal) {
        self.counters.count_refused(reason);
        self.outputs.event(Event::Refused { home_address, status: reason.status(), reason });
    }
}
