//! One address test: Home Test Init and Home Test, or the same for a care-of address (RFC 6275 §11.6).

use super::retransmission::Retransmission;
use crate::return_routability::KeygenToken;
use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};

/// How long a token may be used (RFC 6275 §12).
pub(super) const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(210);

/// An init cookie.
pub(super) type Cookie = [u8; 8];

/// Where one address test stands.
#[derive(Debug)]
pub(super) enum Test {
    /// Not asked.
    Idle,
    /// Asked, or about to be.
    Asking(Asking),
    /// Answered; the token may have grown old.
    Answered(Token),
}

/// A question and its repetitions.
#[derive(Debug)]
pub(super) struct Asking {
    /// Of the last Test Init that was sent; an older one's is no answer to it.
    pub(super) cookie: Option<Cookie>,
    pub(super) retransmission: Retransmission,
    /// When the last one was sent.
    pub(super) sent_at: Instant,
}

/// What a test brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) token: KeygenToken,
    pub(super) nonce_index: u16,
    /// The address that was tested.
    pub(super) address: Ipv6Addr,
    /// Counted from the question, so that it never is later than what the correspondent thinks.
    pub(super) fresh_until: Instant,
}

impl Test {
    /// The token of this address, where it may still be used.
    pub(super) fn token(&self, now: Instant, address: Ipv6Addr) -> Option<&Token> {
        match self {
            Test::Answered(token) if token.address == address && now < token.fresh_until => Some(token),
            _ => None,
        }
    }

    /// The cookie that an answer has to bring.
    pub(super) fn cookie(&self) -> Option<&Cookie> {
        match self {
            Test::Asking(asking) => asking.cookie.as_ref(),
            _ => None,
        }
    }

    /// The question is answered; nothing else is from now on.
    pub(super) fn answer(&mut self, token: KeygenToken, nonce_index: u16, address: Ipv6Addr) {
        if let Test::Asking(asking) = self {
            let fresh_until = asking.sent_at + MAX_TOKEN_LIFETIME;
            *self = Test::Answered(Token { token, nonce_index, address, fresh_until });
        }
    }
}
