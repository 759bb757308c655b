//! What is sent: Test Inits (RFC 6275 §11.6.1) and Binding Updates (§11.7.2).

use super::pacing::Kind;
use super::registration::{Goal, Pair, Phase, Registration, Update};
use super::retransmission::{Due, Retransmission};
use super::test::{Asking, Test};
use super::{Action, End, Location, MAX_RR_BINDING_LIFETIME, Optimiser};
use crate::return_routability::BindingManagementKey;
use stack::time::Instant;
use stack::wire::mobility::option::NonceIndices;
use stack::wire::mobility::{BindingUpdate, BindingUpdateFlags, Lifetime, MobilityOptions};

impl Optimiser {
    /// Asks for the tokens that are missing. Returns when to look again, `None` where none is.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        pair: Pair,
        registration: &mut Registration,
    ) -> Result<Option<Instant>, End> {
        if self.preconfigured.contains_key(&pair) {
            return Ok(None);
        }
        let (home_address, correspondent) = pair;
        let gives_up = if registration.goal == Goal::Delete { End::Dropped } else { End::Unanswered };
        let location = self.homes.get(&home_address).ok_or(End::Dropped)?.location;
        let mut tests = vec![(Kind::HomeTestInit, &mut registration.home, home_address)];
        if registration.goal == Goal::Bind {
            let Location::Away { care_of, .. } = location else { return Err(End::Dropped) };
            tests.push((Kind::CareOfTestInit, &mut registration.care_of, care_of));
        }
        let mut look_again = None;
        for (kind, test, address) in tests {
            if test.token(now, address).is_some() {
                continue;
            }
            if !matches!(test, Test::Asking(_)) {
                *test = Test::Asking(Asking { cookie: None, retransmission: Retransmission::new(now), sent_at: now });
            }
            let Test::Asking(asking) = test else { continue };
            let wait = loop {
                let pacing = &mut self.pacing;
                match asking.retransmission.poll(now, || pacing.reserve(now, correspondent, kind)) {
                    Due::Wait(at) => break at,
                    Due::Unanswered => return Err(gives_up),
                    Due::Send => {
                        let cookie = self.secrets.octets();
                        asking.cookie = Some(cookie);
                        asking.sent_at = now;
                        self.actions.push_back(if kind == Kind::HomeTestInit {
                            self.counters.tx_home_test_init += 1;
                            Action::SendHomeTestInit { home_address, correspondent, cookie }
                        } else {
                            self.counters.tx_care_of_test_init += 1;
                            Action::SendCareOfTestInit { care_of: address, correspondent, cookie }
                        });
                    }
                }
            };
            look_again = Some(look_again.map_or(wait, |before: Instant| before.min(wait)));
        }
        Ok(look_again)
    }

    /// The Binding Update that the tokens, or the key that is shared, allow.
    pub(super) fn compose(&self, now: Instant, pair: Pair, registration: &Registration) -> Result<Update, End> {
        let home_address = pair.0;
        let location = self.homes.get(&home_address).ok_or(End::Dropped)?.location;
        let preconfigured = self.preconfigured.get(&pair);
        let home = registration.home.token(now, home_address);
        let retransmission = Retransmission::new(now);
        Ok(match (registration.goal, location) {
            (Goal::Delete, _) => {
                let (key, nonces) = match (preconfigured, home) {
                    (Some(peer), _) => (peer.key.deletion_key(home_address), None),
                    // The care-of nonce is not looked at (RFC 6275 §11.7.2).
                    (None, Some(home)) => (BindingManagementKey::for_deletion(home.token), Some((home.nonce_index, 0))),
                    (None, None) => return Err(End::Dropped),
                };
                let source = match location {
                    Location::Away { care_of, .. } => care_of,
                    Location::Home => home_address,
                };
                let lifetime = Lifetime::ZERO;
                Update { key, source, care_of: home_address, nonces, lifetime, first: None, retransmission }
            }
            (Goal::Bind, Location::Home) => return Err(End::Dropped),
            (Goal::Bind, Location::Away { care_of, until }) => {
                let left = until.since(now);
                let (key, nonces, limit) = match (preconfigured, home, registration.care_of.token(now, care_of)) {
                    (Some(peer), ..) => (peer.key.management_key(home_address, care_of), None, left),
                    (None, Some(home), Some(test)) => {
                        let key = BindingManagementKey::new(home.token, test.token);
                        (key, Some((home.nonce_index, test.nonce_index)), left.min(MAX_RR_BINDING_LIFETIME))
                    }
                    (None, ..) => return Err(End::Dropped),
                };
                let lifetime = Lifetime::at_most(limit);
                if lifetime.is_zero() {
                    return Err(End::Dropped);
                }
                Update { key, source: care_of, care_of, nonces, lifetime, first: None, retransmission }
            }
        })
    }

    /// Sends the update with the next sequence number: no two have the same, repetitions neither.
    pub(super) fn send_update(&mut self, now: Instant, pair: Pair, registration: &mut Registration) {
        let Phase::Updating(update) = &mut registration.phase else { return };
        let (home_address, correspondent) = pair;
        registration.sequence = registration.sequence.wrapping_add(1);
        let sequence = registration.sequence;
        update.first.get_or_insert((sequence, now));
        if let Some(preconfigured) = self.preconfigured.get_mut(&pair) {
            self.counters.preconfigured_wrapped += u64::from(sequence < preconfigured.sequence);
            preconfigured.sequence = sequence;
            self.actions.push_back(Action::KeepSequence { home_address, correspondent, sequence });
        }
        let nonce_indices = update.nonces.map(|(home, care_of)| NonceIndices { home, care_of });
        let message = BindingUpdate {
            sequence,
            flags: BindingUpdateFlags::ACKNOWLEDGE,
            lifetime: update.lifetime,
            options: MobilityOptions { nonce_indices, ..MobilityOptions::default() },
        };
        let message = update.key.sign_update(message, update.care_of, correspondent);
        *if update.lifetime.is_zero() { &mut self.counters.tx_deletion } else { &mut self.counters.tx_update } += 1;
        self.actions.push_back(Action::SendUpdate { home_address, source: update.source, correspondent, message });
    }
}
