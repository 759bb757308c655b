//! Care-of addresses that cannot be reached (RFC 6275 §9.3.4): one error may be about a moment, or forged by somebody who
//! guesses; those that go on end the binding.

use super::{CorrespondentNode, EndCause};
use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};
use stack::wire::error::address_at;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{HEADER_LEN, protocol};

/// Destination Unreachable (RFC 4443 §3.1), and its code that comes from the terminal itself: it was reached.
const UNREACHABLE: u8 = 1;
const PORT_UNREACHABLE: u8 = 4;
/// Octets in front of the packet that an error quotes.
const ERROR_HEADER_LEN: usize = 8;
/// So many errors
const PERSISTENT: u32 = 3;
/// within this time,
const WINDOW: Duration = Duration::from_secs(10);
/// no two of them closer than this, are persistent.
const SPACING: Duration = Duration::from_secs(1);

/// Errors about packets to one care-of address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreachable {
    first: Instant,
    last: Instant,
    count: u32,
}

impl CorrespondentNode {
    /// `message` is an ICMPv6 message from its type on, whose checksum the data plane has verified.
    pub(super) fn handle_icmpv6(&mut self, now: Instant, message: &[u8]) {
        let (&[UNREACHABLE, code, ..], Some(quoted)) = (message, message.get(ERROR_HEADER_LEN..)) else {
            self.counters.drop_not_ours += 1;
            return;
        };
        let Some(home_address) = self.quoted_home_address(quoted).filter(|_| code != PORT_UNREACHABLE) else {
            self.counters.drop_not_ours += 1;
            return;
        };
        self.counters.rx_unreachable += 1;
        let seen = self.unreachable.entry(home_address).or_insert(Unreachable { first: now, last: now, count: 1 });
        if now.since(seen.first) > WINDOW {
            *seen = Unreachable { first: now, last: now, count: 1 };
        } else if now.since(seen.last) >= SPACING {
            (seen.last, seen.count) = (now, seen.count + 1);
        }
        if seen.count >= PERSISTENT {
            self.end(now, home_address, EndCause::Unreachable);
        }
    }

    /// The home address of the quoted packet, where it is one that this node can have sent by a binding that it has.
    fn quoted_home_address(&self, quoted: &[u8]) -> Option<Ipv6Addr> {
        if quoted.len() < HEADER_LEN || quoted[0] >> 4 != 6 {
            return None;
        }
        let (source, destination) = (address_at(quoted, 8).ok()?, address_at(quoted, 24).ok()?);
        let chain = Chain::parse(quoted).ok()?;
        let routing = chain.type2_routing.filter(|routing| routing.segments_left == 1)?;
        let binding = self.cache.get(routing.home_address)?;
        // An acknowledgement goes to where its update came from, bound or not.
        let is_data = chain.upper != protocol::MOBILITY;
        (is_data && source == self.config.address && destination == binding.care_of).then_some(routing.home_address)
    }
}
