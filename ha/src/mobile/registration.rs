//! One registration: what a peer, a mobility agent or the home agent, is asked for, the Binding Updates that are out,
//! and what was granted (RFC 6275 §11.1, §11.7, §11.8).
//!
//! Every update has a sequence number of its own, retransmissions too, so an acknowledgement counts where it answers any
//! of those that asked for the same (the home agent may have taken the first and be busy with duplicate address
//! detection while the second comes). An update that asks for something else makes those before it void.

use super::Timing;
use core::net::Ipv6Addr;
use mma::auth::SecurityAssociation;
use stack::rate::TokenBucket;
use stack::time::{Duration, Instant};
use stack::wire::mobility::{BindingAcknowledgement, Lifetime, Status};

/// Updates that are remembered as unanswered. The timeout doubles, so these span more than four minutes.
const MAX_OUTSTANDING: usize = 8;
/// MAX_UPDATE_RATE (RFC 6275 §12): three a second.
const MAX_UPDATE_RATE: u32 = 3;
const UPDATE_INTERVAL: Duration = Duration::from_millis(334);

/// What a peer is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// A mobility agent: a care-of address, and that it sends to the group what arrives there.
    Group,
    /// The home agent: that it sends to this care-of address.
    CareOf(Ipv6Addr),
    /// A mobility anchor point: that it sends to this address on the terminal's link what arrives at the regional
    /// address (RFC 5380 §6.1).
    Local(Ipv6Addr),
    /// A mobility agent whose site was left: that it sends to this address what still arrives, for a while.
    Forward(Ipv6Addr),
    /// That the binding be removed.
    Removal,
}

/// An update that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) sequence: u16,
    pub(super) message_id: Option<u64>,
    pub(super) lifetime: Lifetime,
    /// The care-of address that its authentication covers.
    pub(super) signed_care_of: Ipv6Addr,
}

/// What was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Granted {
    /// The care-of address registered with the home agent; that given by a mobility agent.
    pub care_of: Ipv6Addr,
    /// When the update was sent.
    pub asked: Instant,
    /// The lifetime, which counts from then.
    pub lifetime: Duration,
    /// When it is over.
    pub expires: Instant,
    /// When it is asked for again.
    pub refresh: Instant,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It answers nothing that was asked, or is not authentic.
    Ignored(Ignored),
    /// The update was accepted.
    Accepted(Sent),
    /// The peer has seen a later sequence number: this one.
    Sequence(u16),
    /// The peer's time of day differs: the high half of its own.
    Clock(u32),
    /// The update was refused.
    Refused(Status),
}

/// Why an acknowledgement is ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ignored {
    /// Wrong authentication data, or none.
    Unauthentic,
    /// No update with its number waits for an answer.
    Unexpected,
}

/// A registration with one peer.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) peer: Ipv6Addr,
    /// The address that is bound: the home address, or the regional one with an anchor point.
    pub(super) bound: Ipv6Addr,
    /// `None`: nothing yet.
    pub(super) wish: Option<Wish>,
    outstanding: Vec<Sent>,
    /// When the next update goes out if no acknowledgement comes.
    timeout: Duration,
    attempts: u32,
    granted: Option<Granted>,
    rate: TokenBucket,
    /// Whether an update is to be sent as soon as there is a way.
    due: bool,
    /// Whether one was ever sent.
    was_asked: bool,
}

impl Registration {
    /// Nothing was sent yet.
    pub(super) fn new(peer: Ipv6Addr, bound: Ipv6Addr, wish: Wish) -> Self {
        Registration {
            peer,
            bound,
            wish: Some(wish),
            outstanding: Vec::new(),
            timeout: Duration::ZERO,
            attempts: 0,
            granted: None,
            due: true,
            was_asked: false,
            rate: TokenBucket::every(UPDATE_INTERVAL, MAX_UPDATE_RATE),
        }
    }

    /// Nothing is asked for until [`Registration::ask`].
    pub(super) fn idle(peer: Ipv6Addr, bound: Ipv6Addr) -> Self {
        Registration { due: false, wish: None, ..Registration::new(peer, bound, Wish::Removal) }
    }

    /// Asks for something: where it is something else than before, what is out counts no more and the back-off begins
    /// anew.
    pub(super) fn ask(&mut self, wish: Wish) {
        if self.wish != Some(wish) {
            self.wish = Some(wish);
            self.ask_again();
        }
    }

    /// Asks for the same anew: from another place, or to refresh it.
    pub(super) fn ask_again(&mut self) {
        self.rest();
        self.due = true;
    }

    /// Sends one more update of those that are out.
    pub(super) fn repeat(&mut self) {
        self.due = true;
    }

    /// Whether an update is to be sent as soon as there is a way.
    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    /// Sends nothing more and expects nothing.
    pub(super) fn rest(&mut self) {
        self.outstanding.clear();
        self.timeout = Duration::ZERO;
        self.attempts = 0;
        self.due = false;
    }

    /// Whether MAX_UPDATE_RATE lets one more update go.
    pub(super) fn may_send(&mut self, now: Instant) -> bool {
        self.rate.take(now)
    }

    /// An update was sent; the answer is how long to wait for its acknowledgement. `first`: the peer may take a second
    /// for duplicate address detection.
    pub(super) fn sent(&mut self, sent: Sent, first: bool, timing: &Timing) -> Duration {
        if self.outstanding.len() == MAX_OUTSTANDING {
            self.outstanding.remove(0);
        }
        self.outstanding.push(sent);
        self.attempts += 1;
        self.was_asked = true;
        self.due = false;
        self.timeout = match self.timeout.is_zero() {
            true if first => timing.first_registration,
            true => timing.retransmission,
            false => (self.timeout * 2).min(timing.max_retransmission),
        };
        self.timeout
    }

    /// Whether the timeout would come to MAX_BINDACK_TIMEOUT with one more update, after which the next home agent is
    /// asked (RFC 6275 §11.7.1).
    pub(super) fn has_backed_off(&self, timing: &Timing) -> bool {
        self.timeout * 2 >= timing.max_retransmission
    }

    /// Nothing is asked for, nothing is granted.
    pub(super) fn forget(&mut self) {
        self.rest();
        self.wish = None;
        self.granted = None;
    }

    /// Updates sent since the back-off began.
    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the peer may have something for the terminal, whatever was asked since.
    pub(super) const fn was_asked(&self) -> bool {
        self.was_asked
    }

    /// Whether an answer is awaited.
    pub(super) fn is_outstanding(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// What was granted last.
    pub(super) const fn granted(&self) -> Option<&Granted> {
        self.granted.as_ref()
    }

    /// The lifetime is over.
    pub(super) fn expire(&mut self) {
        self.granted = None;
    }

    /// Judges an acknowledgement, `bytes` from its Mobility Header on (RFC 6275 §11.7.3). Changes nothing.
    pub(super) fn judge(
        &self,
        acknowledgement: &BindingAcknowledgement,
        bytes: &[u8],
        association: &SecurityAssociation,
    ) -> Answer {
        let Some(latest) = self.outstanding.last() else {
            return Answer::Ignored(Ignored::Unexpected);
        };
        let authentic = |sent: &Sent| association.verify(bytes, sent.signed_care_of, self.bound);
        if acknowledgement.status == Status::SEQUENCE_OUT_OF_WINDOW {
            if !self.outstanding.iter().any(authentic) {
                return Answer::Ignored(Ignored::Unauthentic);
            }
            // A number that is not after ours is an old answer, or one to a copy of an update that was taken.
            return match is_after(acknowledgement.sequence, latest.sequence) {
                true => Answer::Sequence(acknowledgement.sequence),
                false => Answer::Ignored(Ignored::Unexpected),
            };
        }
        let Some(sent) = self.outstanding.iter().find(|sent| sent.sequence == acknowledgement.sequence) else {
            return Answer::Ignored(Ignored::Unexpected);
        };
        if !authentic(sent) {
            return Answer::Ignored(Ignored::Unauthentic);
        }
        if let Some(ours) = sent.message_id {
            // RFC 4285 §6: the timestamp comes back whole, or after a mismatch its low half.
            let theirs = acknowledgement.options.message_id;
            if acknowledgement.status == Status::ID_MISMATCH {
                return match theirs {
                    Some(theirs) if theirs as u32 == ours as u32 => Answer::Clock((theirs >> 32) as u32),
                    _ => Answer::Ignored(Ignored::Unexpected),
                };
            }
            if theirs.is_some_and(|theirs| theirs != ours) {
                return Answer::Ignored(Ignored::Unexpected);
            }
        }
        if acknowledgement.status.is_accepted() {
            Answer::Accepted(*sent)
        } else {
            Answer::Refused(acknowledgement.status)
        }
    }

    /// The peer has accepted `sent`: retransmission ends. The lifetime counts from when the update was sent
    /// (RFC 6275 §11.7.3); it is asked for again at half of it, or earlier where the peer advises so.
    pub(super) fn accept(&mut self, sent: Sent, acknowledgement: &BindingAcknowledgement, care_of: Ipv6Addr) {
        self.rest();
        let lifetime = acknowledgement.lifetime.min(sent.lifetime).duration();
        let advice = acknowledgement.options.binding_refresh_advice.map(|units| Lifetime(units).duration());
        let refresh = advice.filter(|advice| !advice.is_zero()).unwrap_or(lifetime / 2).min(lifetime / 2);
        let granted =
            Granted { care_of, asked: sent.at, lifetime, expires: sent.at + lifetime, refresh: sent.at + refresh };
        self.granted = Some(granted).filter(|_| !lifetime.is_zero());
    }
}

/// RFC 6275 §9.5.1, modulo 2^16.
const fn is_after(sequence: u16, last: u16) -> bool {
    let ahead = sequence.wrapping_sub(last);
    ahead != 0 && ahead < 0x8000
}

#[cfg(test)]
mod tests {
    use super::*;
    use mma::auth::{Algorithm, Key, Spi};
    use stack::wire::mobility::{BindingAcknowledgementFlags, MobilityMessage, MobilityOptions, parse};

    const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const LOCAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10);

    fn association(octet: u8) -> SecurityAssociation {
        SecurityAssociation {
            spi: Spi::new(0x100).unwrap(),
            key: Key::new(&[octet; 16]).unwrap(),
            algorithm: Algorithm::HmacSha1_96,
        }
    }

    fn sent(at: u64, sequence: u16) -> Sent {
        let at = Instant::from_secs(at);
        Sent { at, sequence, message_id: None, lifetime: Lifetime(100), signed_care_of: LOCAL }
    }

    fn acknowledgement(status: u8, sequence: u16, message_id: Option<u64>) -> BindingAcknowledgement {
        BindingAcknowledgement {
            status: Status(status),
            flags: BindingAcknowledgementFlags::default(),
            sequence,
            lifetime: Lifetime(50),
            options: MobilityOptions { message_id, ..MobilityOptions::default() },
        }
    }

    fn judge(registration: &Registration, acknowledgement: BindingAcknowledgement, key: u8) -> Answer {
        let bytes = association(key).sign_acknowledgement(acknowledgement, LOCAL, HOME);
        let MobilityMessage::BindingAcknowledgement(parsed) = parse(&bytes).unwrap() else { panic!("no BA") };
        registration.judge(&parsed, &bytes, &association(7))
    }

    #[test]
    fn the_timeout_doubles_to_its_limit() {
        let timing = Timing::default();
        let mut registration = Registration::new(PEER, HOME, Wish::CareOf(LOCAL));
        let millis: Vec<_> = (0..8).map(|n| registration.sent(sent(0, n), true, &timing).as_millis()).collect();
        assert_eq!(millis, [1500, 3000, 6000, 12000, 24000, 32000, 32000, 32000]);
        registration.ask(Wish::CareOf(PEER));
        assert_eq!(registration.sent(sent(0, 9), false, &timing), Duration::from_secs(1));
        assert_eq!(registration.attempts(), 1);
        // The same wish goes on as it was.
        registration.ask(Wish::CareOf(PEER));
        assert_eq!(registration.sent(sent(0, 10), false, &timing), Duration::from_secs(2));
    }

    #[test]
    fn any_update_for_the_same_may_be_answered() {
        let timing = Timing::default();
        let mut registration = Registration::new(PEER, HOME, Wish::CareOf(LOCAL));
        registration.sent(sent(0, 5), true, &timing);
        registration.sent(sent(2, 6), true, &timing);
        assert_eq!(judge(&registration, acknowledgement(0, 5, None), 7), Answer::Accepted(sent(0, 5)));
        assert_eq!(judge(&registration, acknowledgement(0, 6, None), 7), Answer::Accepted(sent(2, 6)));
        let ignored = Answer::Ignored(Ignored::Unexpected);
        assert_eq!(judge(&registration, acknowledgement(0, 4, None), 7), ignored);
        registration.ask(Wish::Removal);
        assert_eq!(judge(&registration, acknowledgement(0, 6, None), 7), ignored);
    }

    #[test]
    fn what_is_not_authentic_is_ignored_whatever_it_says() {
        let mut registration = Registration::new(PEER, HOME, Wish::Group);
        registration.sent(sent(0, 5), true, &Timing::default());
        for status in [0, 1, 128, 129, 134, 144, 146] {
            let answer = judge(&registration, acknowledgement(status, 5, None), 8);
            assert_eq!(answer, Answer::Ignored(Ignored::Unauthentic), "{status}");
        }
        let answer = judge(&registration, acknowledgement(135, 500, None), 8);
        assert_eq!(answer, Answer::Ignored(Ignored::Unauthentic));
    }

    #[test]
    fn sequence_numbers_only_go_forward() {
        let mut registration = Registration::new(PEER, HOME, Wish::Group);
        registration.sent(sent(0, 65_535), true, &Timing::default());
        assert_eq!(judge(&registration, acknowledgement(135, 3, None), 7), Answer::Sequence(3));
        for old in [65_535, 65_534, 0x7fff] {
            let answer = judge(&registration, acknowledgement(135, old, None), 7);
            assert_eq!(answer, Answer::Ignored(Ignored::Unexpected), "{old}");
        }
    }

    #[test]
    fn timestamps_match() {
        let mut registration = Registration::new(PEER, HOME, Wish::Group);
        let ours = 0x0000_0007_dead_beef;
        registration.sent(Sent { message_id: Some(ours), ..sent(0, 5) }, true, &Timing::default());
        assert!(matches!(judge(&registration, acknowledgement(0, 5, Some(ours)), 7), Answer::Accepted(_)));
        let ignored = Answer::Ignored(Ignored::Unexpected);
        assert_eq!(judge(&registration, acknowledgement(0, 5, Some(8)), 7), ignored);
        let theirs = 0x0000_0099_dead_beef;
        assert_eq!(judge(&registration, acknowledgement(144, 5, Some(theirs)), 7), Answer::Clock(0x99));
        assert_eq!(judge(&registration, acknowledgement(144, 5, Some(1)), 7), ignored);
    }

    #[test]
    fn lifetime_counts_from_the_update() {
        let mut registration = Registration::new(PEER, HOME, Wish::CareOf(LOCAL));
        registration.sent(sent(10, 5), true, &Timing::default());
        registration.accept(sent(10, 5), &acknowledgement(0, 5, None), LOCAL);
        let granted = *registration.granted().unwrap();
        assert_eq!(granted.expires, Instant::from_secs(210));
        assert_eq!(granted.refresh, Instant::from_secs(110));
        assert!(!registration.is_outstanding());
        let mut advised = acknowledgement(0, 5, None);
        advised.options.binding_refresh_advice = Some(10);
        registration.accept(sent(10, 5), &advised, LOCAL);
        assert_eq!(registration.granted().unwrap().refresh, Instant::from_secs(50));
    }
}
