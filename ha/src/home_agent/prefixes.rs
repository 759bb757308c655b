//! The prefixes of the home link, told to terminals that are away (RFC 6275 §10.6).
//!
//! The list is what this router advertises, by configuration, and what other home agents of the link do. A terminal gets
//! it when it asks; and unasked some time after it has registered, and after the list has changed. What is told unasked is
//! repeated until the terminal asks in its turn, which acknowledges it.
//!
//! DEVIATION RFC 6275 §10.6.3: no IPsec. A solicitation is believed where it comes from the care-of address of a binding;
//! what it gains is no more than the public prefixes of the home link.

use super::*;
use stack::addr::Prefix;
use stack::wire::home_link::Message;
use stack::wire::ipv6;
use stack::wire::nd::{PrefixInformation, RouterAdvertisement, lifetime_end};

/// RFC 6275 §12 and §13.
const MAX_MOB_PFX_ADV_INTERVAL: Duration = Duration::from_secs(86_400);
const MIN_MOB_PFX_ADV_INTERVAL: Duration = Duration::from_secs(600);
const PREFIX_ADV_TIMEOUT: Duration = Duration::from_secs(3);
const PREFIX_ADV_RETRIES: u32 = 3;
/// RFC 6275 §6.8: no more than one a second to a terminal.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Prefixes of other home agents that are kept for a link.
const MAX_LEARNED: usize = 16;
/// Seconds by which a lifetime that runs down may be off.
const SLACK_SECS: u64 = 2;

/// A prefix that another home agent advertises.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learned {
    information: PrefixInformation,
    valid_until: Instant,
    preferred_until: Instant,
}

/// How far a terminal has been told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    /// When it was sent something last.
    last: Option<Instant>,
    /// How often it was sent what it has not acknowledged.
    attempts: u32,
}

impl HomeAgent {
    /// A registration was accepted: the terminal is told some time later, where it was not told before.
    pub(super) fn schedule_for(&mut self, now: Instant, home_address: Ipv6Addr) {
        let known = self.deliveries.get(&home_address);
        let unheard = known.is_none_or(|delivery| delivery.attempts > PREFIX_ADV_RETRIES);
        if self.config.prefix_advertisements && unheard {
            self.deliveries.insert(home_address, Delivery::default());
            self.schedule(now, home_address);
        }
    }

    pub(super) fn forget_delivery(&mut self, home_address: Ipv6Addr) {
        self.deliveries.remove(&home_address);
        self.timers.cancel(Timer::Prefixes(home_address));
    }

    /// RFC 6275 §10.6.2: RAND_ADV_DELAY from now, where nothing is to be sent before.
    fn schedule(&mut self, now: Instant, home_address: Ipv6Addr) {
        let preferred = self.link_of(home_address).map_or(u32::MAX, |link| link.lifetimes_secs().1);
        let longest = MAX_MOB_PFX_ADV_INTERVAL.min(Duration::from_secs(u64::from(preferred)));
        let spread = longest.as_millis().abs_diff(MIN_MOB_PFX_ADV_INTERVAL.as_millis()) as u64;
        let at = now + MIN_MOB_PFX_ADV_INTERVAL + Duration::from_millis(self.rng.below(spread.max(1)));
        let timer = Timer::Prefixes(home_address);
        if self.timers.deadline(timer).is_none_or(|deadline| deadline > at) {
            self.timers.set(timer, at);
        }
    }

    /// It is time to tell a terminal, or to tell it again.
    pub(super) fn advertise_unasked(&mut self, now: Instant, home_address: Ipv6Addr) {
        let (Some(&binding), Some(delivery)) =
            (self.cache.active(home_address), self.deliveries.get_mut(&home_address))
        else {
            return;
        };
        delivery.attempts += 1;
        delivery.last = Some(now);
        let next = match delivery.attempts {
            attempts if attempts <= PREFIX_ADV_RETRIES => PREFIX_ADV_TIMEOUT * (1 << (attempts - 1)),
            _ => MAX_MOB_PFX_ADV_INTERVAL,
        };
        self.timers.set(Timer::Prefixes(home_address), now + next);
        let identifier = self.rng.next_u64() as u16;
        self.send_prefixes(now, &binding, binding.care_of, identifier);
    }

    /// A terminal asks, or acknowledges what it was told.
    pub(super) fn prefix_solicitation(
        &mut self,
        now: Instant,
        header: &ipv6::Header,
        home_address: Option<Ipv6Addr>,
        identifier: u16,
    ) {
        let binding = home_address.and_then(|home_address| self.cache.active(home_address)).copied();
        let believed = |binding: &Binding| binding.agent == header.destination && binding.care_of == header.source;
        let Some(binding) = binding.filter(believed) else {
            self.counters.drop_prefix_solicitation += 1;
            return;
        };
        if !self.config.prefix_advertisements {
            self.counters.drop_unexpected += 1;
            return;
        }
        let delivery = self.deliveries.entry(binding.home_address).or_default();
        if delivery.last.is_some_and(|last| now < last + MIN_INTERVAL) && delivery.attempts == 0 {
            self.counters.drop_rate_limit += 1;
            return;
        }
        let acknowledges = delivery.attempts > 0 && delivery.last.is_some_and(|last| now < last + MIN_INTERVAL);
        delivery.attempts = 0;
        self.timers.set(Timer::Prefixes(binding.home_address), now + MAX_MOB_PFX_ADV_INTERVAL);
        if acknowledges {
            // It has what it asks for.
            return;
        }
        delivery.last = Some(now);
        self.send_prefixes(now, &binding, header.source, identifier);
    }

    fn send_prefixes(&mut self, now: Instant, binding: &Binding, destination: Ipv6Addr, identifier: u16) {
        let prefixes = self.home_prefixes(now, binding.home_port);
        // There is no DHCPv6 for terminals away from home: M and O are clear (RFC 6275 §6.8).
        let message = Message::PrefixAdvertisement { identifier, managed: false, other_configuration: false, prefixes };
        let packet = message.packet(binding.agent, destination, Some(binding.home_address));
        self.counters.tx_prefix_advertisement += 1;
        self.outputs.transmit(packet, Via::Route);
    }

    /// Every prefix of a home link with what is left of its lifetimes (RFC 6275 §10.6.1).
    pub fn home_prefixes(&self, now: Instant, port: PortId) -> Vec<PrefixInformation> {
        let links = self.config.links.iter().filter(|link| link.port == port);
        let mut prefixes: Vec<PrefixInformation> = links.flat_map(|link| link.advertised.iter().copied()).collect();
        let learned = self.learned.range((port, Prefix::DEFAULT)..).take_while(|((on, _), _)| *on == port);
        for (_, known) in learned.filter(|(_, known)| known.valid_until > now) {
            prefixes.push(PrefixInformation {
                valid_lifetime_secs: left_secs(known.valid_until, now),
                preferred_lifetime_secs: left_secs(known.preferred_until, now),
                // The address in it is another router's.
                address: known.information.prefix().address(),
                router_address: false,
                ..known.information
            });
        }
        prefixes
    }

    /// Takes in what another home agent advertises; every terminal of the link is told of a change.
    pub(super) fn learn_prefixes(&mut self, now: Instant, port: PortId, advertisement: &RouterAdvertisement) {
        if !advertisement.home_agent {
            return;
        }
        self.learned.retain(|_, known| known.valid_until > now);
        let own = |prefix: Prefix| {
            let mut links = self.config.links.iter().filter(|link| link.port == port);
            links.any(|link| link.prefix == prefix || link.advertised.iter().any(|own| own.prefix() == prefix))
        };
        let told: Vec<_> = advertisement.prefixes.iter().filter(|told| !own(told.prefix())).copied().collect();
        let mut changed = false;
        for information in told {
            let key = (port, information.prefix());
            let told = Learned {
                information,
                valid_until: lifetime_end(now, information.valid_lifetime_secs),
                preferred_until: lifetime_end(now, information.preferred_lifetime_secs),
            };
            let is_new = !self.learned.contains_key(&key);
            if is_new && (information.valid_lifetime_secs == 0 || !addr::is_routable_unicast(key.1.address())) {
                continue;
            }
            if is_new && self.learned.len() >= MAX_LEARNED * self.config.links.len() {
                self.counters.prefixes_full += 1;
                continue;
            }
            changed |= self.learned.insert(key, told).is_none_or(|known| known.differs(&told));
        }
        if changed && self.config.prefix_advertisements {
            let here = self.cache.iter().filter(|b| b.home_port == port && b.status == BindingStatus::Active);
            let terminals: Vec<Ipv6Addr> = here.map(|binding| binding.home_address).collect();
            for home_address in terminals {
                self.deliveries.entry(home_address).or_default().attempts = 0;
                self.schedule(now, home_address);
            }
        }
    }
}

impl Learned {
    /// Whether something is told anew: flags, or a lifetime that neither stands still nor runs down with the time.
    fn differs(&self, told: &Learned) -> bool {
        let flags = |of: &PrefixInformation| (of.on_link, of.autonomous);
        let moved = |was: u32, is: u32, until: Instant, told_until: Instant| {
            let off = told_until.since(until).max(until.since(told_until));
            was != is && off > Duration::from_secs(SLACK_SECS)
        };
        let (was, is) = (&self.information, &told.information);
        flags(was) != flags(is)
            || moved(was.valid_lifetime_secs, is.valid_lifetime_secs, self.valid_until, told.valid_until)
            || moved(
                was.preferred_lifetime_secs,
                is.preferred_lifetime_secs,
                self.preferred_until,
                told.preferred_until,
            )
    }
}

fn left_secs(until: Instant, now: Instant) -> u32 {
    if until == Instant::FAR_FUTURE { u32::MAX } else { u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX) }
}
