//! Duplicate address detection on behalf of terminals (RFC 6275 §10.3.1), of a home address and, with the L bit, of the
//! link-local address with the same interface identifier.

use super::*;

/// A registration that waits for detection.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    /// The addresses that nothing is known about yet.
    left: Vec<Ipv6Addr>,
}

/// The link-local address that the L bit asks to defend.
pub(super) fn link_local_of(home_address: Ipv6Addr) -> Ipv6Addr {
    let prefix = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
    addr::with_interface_identifier(prefix, addr::interface_identifier(home_address))
}

impl HomeAgent {
    /// The home address that one of a terminal's two addresses on its home link belongs to.
    pub(super) fn home_address_of(&self, port: PortId, address: Ipv6Addr) -> Ipv6Addr {
        self.link_locals.get(&(port, address)).copied().unwrap_or(address)
    }

    /// Claims the link-local address for a home address; `false` where another has it.
    pub(super) fn claim_link_local(&mut self, port: PortId, home_address: Ipv6Addr) -> bool {
        let owner = self.link_locals.entry((port, link_local_of(home_address))).or_insert(home_address);
        *owner == home_address
    }

    pub(super) fn give_up_link_local(&mut self, port: PortId, home_address: Ipv6Addr) {
        let key = (port, link_local_of(home_address));
        if self.link_locals.get(&key) == Some(&home_address) {
            self.link_locals.remove(&key);
        }
    }

    /// Has the link looked through; the answer to the request waits where it is told to.
    pub(super) fn detect(&mut self, now: Instant, request: &Request, port: PortId, waits: bool) {
        let home_address = request.home_address;
        let mut left = vec![home_address];
        left.extend(request.link_local.then(|| link_local_of(home_address)));
        for &address in &left {
            self.outputs.event(Event::DadWanted { port, address });
        }
        if waits {
            self.timers.set(Timer::Detection(home_address), now + DETECTION_TIMEOUT);
            self.waiting.insert(home_address, Waiting { request: request.clone(), left });
        }
    }

    /// Ends a wait; the request that waited.
    pub(super) fn stop_waiting(&mut self, port: PortId, home_address: Ipv6Addr) -> Option<Request> {
        let Waiting { request, left } = self.waiting.remove(&home_address)?;
        self.timers.cancel(Timer::Detection(home_address));
        for address in left {
            self.outputs.event(Event::DadCancel { port, address });
        }
        if self.cache.active(home_address).is_none() {
            self.give_up_link_local(port, home_address);
        }
        Some(request)
    }

    pub(super) fn dad_result(&mut self, now: Instant, port: PortId, address: Ipv6Addr, unique: bool) {
        let home_address = self.home_address_of(port, address);
        let Some(waiting) = self.waiting.get_mut(&home_address) else {
            if !unique {
                self.revoke(home_address);
            }
            return;
        };
        waiting.left.retain(|&left| left != address);
        if !unique {
            let Some(request) = self.stop_waiting(port, home_address) else { return };
            self.counters.reject_duplicate += 1;
            self.reject(&request, Status::DUPLICATE_ADDRESS, request.sequence);
        } else if waiting.left.is_empty() {
            let Some(Waiting { request, .. }) = self.waiting.remove(&home_address) else { return };
            self.timers.cancel(Timer::Detection(home_address));
            self.contested.remove(&home_address);
            self.register(now, &request);
        }
    }

    /// No result has come: neighbour discovery has lost it, and the terminal is told to try again.
    pub(super) fn detection_lost(&mut self, home_address: Ipv6Addr) {
        let Some(port) = self.link_of(home_address).map(|link| link.port) else { return };
        if let Some(request) = self.stop_waiting(port, home_address) {
            self.counters.detection_lost += 1;
            self.reject(&request, Status::REASON_UNSPECIFIED, request.sequence);
        }
    }
}
