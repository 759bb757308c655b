//! What comes back: Home Test, Care-of Test, Binding Acknowledgement, Binding Refresh Request, Binding Error (RFC 6275
//! §11.6.2, §11.7.3, §11.7.4, §11.3.6) and ICMPv6 errors about what was sent.
//!
//! A message that answers nothing that is under way is not the initiator's: its owner may have somebody else to give it
//! to. Cookies are compared in a time that does not depend on them.

use super::registration::{Goal, Pair, Phase, Registration, Update};
use super::test::Test;
use super::{Action, End, Location, Optimisation, Optimiser};
use crate::auth::is_after;
use crate::return_routability::KeygenToken;
use crate::secret;
use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::{self, BindingAcknowledgement, BindingErrorStatus, MobilityMessage, Status, TestAnswer};

/// How a message came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Source: the correspondent.
    pub source: Ipv6Addr,
    /// Destination of the IPv6 header: a home address or a care-of address.
    pub destination: Ipv6Addr,
    /// The home address of a type 2 routing header.
    pub home_address: Option<Ipv6Addr>,
    /// By which way.
    pub path: Path,
}

/// By which way a message came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// Not in a tunnel.
    Direct,
    /// In a tunnel from the home agent of the home address to its care-of address.
    HomeAgent,
}

/// Whose a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Claim {
    /// The initiator's, who has done what there was to do.
    Ours,
    /// Not the initiator's: nothing has changed.
    NotOurs,
}

impl Optimiser {
    /// A mobility message, `message` from its Mobility Header on, whose checksum was verified.
    pub fn handle_message(&mut self, now: Instant, arrival: &Arrival, message: &[u8]) -> Claim {
        let Ok(parsed) = mobility::parse(message) else { return Claim::NotOurs };
        let claim = match parsed {
            MobilityMessage::HomeTest(answer) => self.home_test(now, arrival, &answer),
            MobilityMessage::CareOfTest(answer) => self.care_of_test(now, arrival, &answer),
            MobilityMessage::BindingAcknowledgement(acknowledgement) => {
                self.acknowledgement(now, arrival, &acknowledgement, message)
            }
            MobilityMessage::BindingRefreshRequest { .. } => self.refresh_request(now, arrival),
            MobilityMessage::BindingError { status, home_address } => {
                self.binding_error(now, arrival, status, home_address)
            }
            _ => Claim::NotOurs,
        };
        self.counters.rx_unmatched += u64::from(claim == Claim::NotOurs);
        claim
    }

    /// An ICMPv6 error from `source` of this type and code that quotes `quoted`, from an IPv6 header on.
    pub fn handle_icmp_error(&mut self, now: Instant, source: Ipv6Addr, kind: u8, code: u8, quoted: &[u8]) -> Claim {
        const DESTINATION_UNREACHABLE: u8 = 1;
        const PARAMETER_PROBLEM: u8 = 4;
        const UNRECOGNIZED_NEXT_HEADER: u8 = 1;
        const UNRECOGNIZED_OPTION: u8 = 2;
        let Some((pair, correspondent)) = self.quoted_pair(quoted) else { return Claim::NotOurs };
        let end = match (kind, code) {
            (DESTINATION_UNREACHABLE, _) => End::Unreachable,
            // Only the correspondent itself can tell that it does not understand.
            (PARAMETER_PROBLEM, UNRECOGNIZED_NEXT_HEADER | UNRECOGNIZED_OPTION) if source == correspondent => {
                End::Unable
            }
            _ => return Claim::NotOurs,
        };
        self.counters.rx_icmp_error += 1;
        if let Some(registration) = self.take(pair) {
            self.end(now, pair, registration, end);
        }
        Claim::Ours
    }

    /// Which pair the quoted packet is of, where it is one that was sent last.
    fn quoted_pair(&self, quoted: &[u8]) -> Option<(Pair, Ipv6Addr)> {
        let header = ipv6::Header::parse(quoted).ok()?;
        let chain = Chain::parse(quoted).ok()?;
        if chain.upper != protocol::MOBILITY {
            return None;
        }
        let (source, correspondent) = (header.source, header.destination);
        let home_address = chain.home_address.map_or(source, |option| option.home_address);
        let named = (home_address, correspondent);
        let pair = match mobility::parse(quoted.get(chain.upper_offset..)?).ok()? {
            MobilityMessage::HomeTestInit { cookie } => {
                let asked = self.registrations.get(&named)?.home.cookie()?;
                secret::equal(asked, &cookie).then_some(named)
            }
            MobilityMessage::CareOfTestInit { cookie } => self.asked_pair(correspondent, source, &cookie),
            MobilityMessage::BindingUpdate(update) => {
                let registration = self.registrations.get(&named)?;
                let sent = matches!(&registration.phase, Phase::Updating(sent) if sent.first.is_some());
                (sent && update.sequence == registration.sequence).then_some(named)
            }
            _ => None,
        };
        Some((pair?, correspondent))
    }

    /// The pair whose Care-of Test Init went from this care-of address to this correspondent with this cookie.
    fn asked_pair(&self, correspondent: Ipv6Addr, care_of: Ipv6Addr, cookie: &[u8; 8]) -> Option<Pair> {
        let last = Ipv6Addr::from_bits(u128::MAX);
        let range = (correspondent, Ipv6Addr::UNSPECIFIED)..=(correspondent, last);
        let mut pairs = self.asked.range(range).map(|&(correspondent, home_address)| (home_address, correspondent));
        pairs.find(|pair| {
            self.care_of(pair.0) == Some(care_of)
                && self
                    .registrations
                    .get(pair)
                    .and_then(|registration| registration.care_of.cookie())
                    .is_some_and(|asked| secret::equal(asked, cookie))
        })
    }

    /// RFC 6275 §11.6.2: to the home address, in the tunnel from the home agent; at home as it is.
    fn home_test(&mut self, now: Instant, arrival: &Arrival, answer: &TestAnswer) -> Claim {
        let pair = (arrival.destination, arrival.source);
        let expected = match self.homes.get(&pair.0).map(|home| home.location) {
            Some(Location::Away { .. }) => Path::HomeAgent,
            Some(Location::Home) => Path::Direct,
            None => return Claim::NotOurs,
        };
        let asked = self.registrations.get(&pair).and_then(|registration| registration.home.cookie());
        let matches = asked.is_some_and(|asked| secret::equal(asked, &answer.cookie));
        if arrival.path != expected || arrival.home_address.is_some() || !matches {
            return Claim::NotOurs;
        }
        self.counters.rx_home_test += 1;
        if let Some(mut registration) = self.take(pair) {
            registration.home.answer(KeygenToken(answer.token), answer.nonce_index, pair.0);
            self.advance(now, pair, registration);
        }
        Claim::Ours
    }

    /// RFC 6275 §11.6.2: to the care-of address that is in use.
    fn care_of_test(&mut self, now: Instant, arrival: &Arrival, answer: &TestAnswer) -> Claim {
        if arrival.path != Path::Direct || arrival.home_address.is_some() {
            return Claim::NotOurs;
        }
        let Some(pair) = self.asked_pair(arrival.source, arrival.destination, &answer.cookie) else {
            return Claim::NotOurs;
        };
        self.counters.rx_care_of_test += 1;
        if let Some(mut registration) = self.take(pair) {
            registration.care_of.answer(KeygenToken(answer.token), answer.nonce_index, arrival.destination);
            self.advance(now, pair, registration);
        }
        Claim::Ours
    }

    /// RFC 6275 §11.7.3.
    fn acknowledgement(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        acknowledgement: &BindingAcknowledgement,
        message: &[u8],
    ) -> Claim {
        let pair = (arrival.home_address.unwrap_or(arrival.destination), arrival.source);
        let Some(registration) = self.registrations.get(&pair) else { return Claim::NotOurs };
        let Phase::Updating(update) = &registration.phase else { return Claim::NotOurs };
        let Some((first, sent_at)) = update.first else { return Claim::NotOurs };
        if arrival.path != Path::Direct || arrival.destination != update.source {
            return Claim::NotOurs;
        }
        // With status 135 the number is the correspondent's own.
        let resumes = acknowledgement.status == Status::SEQUENCE_OUT_OF_WINDOW;
        let since_first = acknowledgement.sequence.wrapping_sub(first);
        if !resumes && since_first > registration.sequence.wrapping_sub(first) {
            return Claim::NotOurs;
        }
        if !is_nonce_expired(acknowledgement.status) && !update.key.verify(message, update.care_of, pair.1) {
            self.counters.rx_unauthentic += 1;
            return Claim::NotOurs;
        }
        // An acknowledgement that a preconfigured key has signed is authentic for ever: a number that is not ahead is an
        // old one. To follow it would use numbers again (RFC 4449 §4). A correspondent that has refused the last number
        // has one that is ahead of it, whatever the initiator began with.
        let is_behind = acknowledgement.sequence != registration.sequence
            && !is_after(acknowledgement.sequence, registration.sequence);
        if resumes && is_behind {
            self.counters.sequence_behind += 1;
            return Claim::Ours;
        }
        let (care_of, sent) = (update.care_of, update.lifetime);
        self.counters.rx_acknowledgement += 1;
        let Some(mut registration) = self.take(pair) else { return Claim::Ours };
        if acknowledgement.status.is_accepted() {
            let lifetime = acknowledgement.lifetime.min(sent).duration();
            self.accepted(now, pair, registration, care_of, sent_at, lifetime);
        } else if let Some(end) = self.refused(&mut registration, acknowledgement) {
            self.end(now, pair, registration, end);
        } else {
            self.advance(now, pair, registration);
        }
        Claim::Ours
    }

    fn accepted(
        &mut self,
        now: Instant,
        pair: Pair,
        mut registration: Registration,
        care_of: Ipv6Addr,
        sent_at: Instant,
        lifetime: Duration,
    ) {
        if registration.goal == Goal::Delete {
            return self.end(now, pair, registration, End::Deleted);
        }
        if lifetime.is_zero() {
            return self.end(now, pair, registration, End::Refused);
        }
        if registration.accept(now, care_of, sent_at, lifetime) {
            self.counters.bound += 1;
            let (home_address, correspondent) = pair;
            let state = Optimisation::On { care_of };
            self.actions.push_back(Action::Optimised { home_address, correspondent, state });
        } else {
            self.counters.refreshed += 1;
        }
        self.advance(now, pair, registration);
    }

    /// What a refusal means: the end, or another attempt with what the correspondent told.
    fn refused(&mut self, registration: &mut Registration, acknowledgement: &BindingAcknowledgement) -> Option<End> {
        let refused = if registration.goal == Goal::Delete { End::Dropped } else { End::Refused };
        if !registration.correct() {
            return Some(refused);
        }
        match acknowledgement.status {
            Status::SEQUENCE_OUT_OF_WINDOW => {
                self.counters.sequence_resumed += 1;
                registration.sequence = acknowledgement.sequence;
            }
            status if is_nonce_expired(status) => {
                self.counters.nonces_expired += 1;
                if status != Status::EXPIRED_CARE_OF_NONCE {
                    registration.home = Test::Idle;
                }
                if status != Status::EXPIRED_HOME_NONCE {
                    registration.care_of = Test::Idle;
                }
            }
            _ => return Some(refused),
        }
        registration.begin(registration.goal);
        None
    }

    /// RFC 6275 §11.7.4: only where there is a binding and it is used. Anybody can send one, so a binding that is new
    /// is not made again.
    fn refresh_request(&mut self, now: Instant, arrival: &Arrival) -> Claim {
        let pair = (arrival.home_address.unwrap_or(arrival.destination), arrival.source);
        let Some(registration) = self.registrations.get(&pair) else { return Claim::NotOurs };
        if registration.bound.is_none() {
            return Claim::NotOurs;
        }
        self.counters.rx_refresh_request += 1;
        let wanted = matches!(registration.phase, Phase::Resting)
            && registration.is_flowing(now)
            && !registration.is_recent(now);
        if wanted && let Some(mut registration) = self.take(pair) {
            registration.begin(Goal::Bind);
            self.advance(now, pair, registration);
        }
        Claim::Ours
    }

    /// RFC 6275 §11.3.6: a binding that is not there is made again; a correspondent that does not know the message that
    /// waits for its answer is left alone. Nobody has authenticated either, so while packets show that the binding is
    /// there the first only has the terminal's packets go by the home agent, until a packet shows it again or none does.
    fn binding_error(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        status: BindingErrorStatus,
        home_address: Ipv6Addr,
    ) -> Claim {
        let correspondent = arrival.source;
        let named = if home_address.is_unspecified() { arrival.destination } else { home_address };
        let pair = (named, correspondent);
        match status {
            BindingErrorStatus::UNKNOWN_BINDING => {
                let Some(registration) = self.registrations.get(&pair) else { return Claim::NotOurs };
                if registration.bound.is_none() || self.care_of(named) != Some(arrival.destination) {
                    return Claim::NotOurs;
                }
                self.counters.rx_binding_error += 1;
                let is_progressing = registration.is_progressing(now);
                let Some(mut registration) = self.take(pair) else { return Claim::Ours };
                if !is_progressing {
                    self.counters.lost += 1;
                    self.unbind(pair, &mut registration);
                    registration.begin(Goal::Bind);
                } else if registration.doubt(now) {
                    self.counters.doubted += 1;
                    self.tell(pair, Optimisation::Off);
                }
                self.advance(now, pair, registration);
                Claim::Ours
            }
            BindingErrorStatus::UNRECOGNIZED_TYPE => {
                let last = Ipv6Addr::from_bits(u128::MAX);
                let mut asked = self.asked.range((correspondent, Ipv6Addr::UNSPECIFIED)..=(correspondent, last));
                let by_care_of = asked
                    .find(|&&(_, home_address)| self.care_of(home_address) == Some(arrival.destination))
                    .map(|&(correspondent, home_address)| (home_address, correspondent));
                let pair = by_care_of.unwrap_or(pair);
                let waits = self.registrations.get(&pair).is_some_and(|registration| match &registration.phase {
                    Phase::Testing => registration.home.cookie().or(registration.care_of.cookie()).is_some(),
                    Phase::Updating(Update { first, .. }) => first.is_some(),
                    Phase::Resting => false,
                });
                if !waits {
                    return Claim::NotOurs;
                }
                self.counters.rx_binding_error += 1;
                if let Some(registration) = self.take(pair) {
                    self.end(now, pair, registration, End::Unable);
                }
                Claim::Ours
            }
            _ => Claim::NotOurs,
        }
    }
}

/// Without tokens that it knows the correspondent cannot authenticate what it says (RFC 6275 §9.5.4).
const fn is_nonce_expired(status: Status) -> bool {
    matches!(status, Status::EXPIRED_HOME_NONCE | Status::EXPIRED_CARE_OF_NONCE | Status::EXPIRED_NONCES)
}
