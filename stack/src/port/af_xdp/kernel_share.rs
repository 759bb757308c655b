//! What of an interface's packets is the kernel's: rules for the XDP program, which change while it runs.
//!
//! A port that shares its interface leaves to the kernel
//!
//! - what goes to an address that the kernel has and the port has not, and solicitations (RFC 4861 §4.3) that ask for one;
//! - what goes to a prefix of the configuration;
//! - of what goes to a link-scope group, or to an address that both have, what a rule names by its upper-layer protocol, or
//!   by the destination port of TCP or UDP. Packets in transit have other destinations, so that no rule takes one of them.
//!
//! Both hear what all nodes of a link are told (ff02::1), and advertisements to an address that both have: the kernel gets the
//! frame, and the port a copy through a packet socket ([`KernelTap`]), since XDP cannot make two of one.
//!
//! Only the first Next Header is looked at, and that of a fragment: upper-layer protocols behind other extension headers are
//! the port's, and so are the ports of fragments.

use super::super::packet_socket;
use crate::addr::{self, Prefix};
use crate::packet::{Batch, Pool};
use crate::port::bpf::{self, MapKind};
use crate::wire::ethernet::HEADER_LEN;
use core::ffi::c_int;
use core::fmt;
use core::net::Ipv6Addr;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Addresses and prefixes that the program knows at the most.
pub(super) const MAX_ADDRESSES: usize = 1024;
/// Rules at the most.
pub const MAX_RULES: usize = 64;

/// All nodes of a link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The link's groups, of which rules name the kernel's.
const LINK_GROUPS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0);
const LINK_GROUPS_LENGTH: u8 = 16;

/// Where the program counts: the kinds of which there is always one, and the rules behind them.
pub(super) const COUNT_ADDRESS: u32 = 0;
pub(super) const COUNT_SOLICITATION: u32 = 1;
pub(super) const COUNT_BOTH: u32 = 2;
const COUNT_RULES: u32 = 3;
const COUNTERS: u32 = COUNT_RULES + MAX_RULES as u32;
/// The values of a destination of which rules decide, and of one that is the port's alone; others have the number of their
/// counter, plus one.
const RULES_DECIDE: u32 = 0;
pub(super) const OURS: u32 = i32::MAX as u32;

/// One rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum KernelRule {
    /// The upper-layer protocol with this number.
    Protocol(u8),
    /// The protocol with this number, TCP or UDP, to this port, which is not 0.
    Port(u8, u16),
    /// All packets to these destinations.
    Prefix(Prefix),
}

impl fmt::Display for KernelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            KernelRule::Protocol(number) => match PROTOCOLS.iter().find(|(_, known)| *known == number) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "{number}"),
            },
            KernelRule::Port(6, port) => write!(f, "tcp/{port}"),
            KernelRule::Port(_, port) => write!(f, "udp/{port}"),
            KernelRule::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

/// Upper-layer protocols with a name (IANA, Assigned Internet Protocol Numbers) that a rule may leave to the kernel.
pub const PROTOCOLS: [(&str, u8); 6] =
    [("tcp", 6), ("udp", 17), ("esp", 50), ("ospf", 89), ("vrrp", 112), ("sctp", 132)];

/// What of one interface is the kernel's. Clones are the same: one goes to the port, others follow the kernel's addresses
/// and look at the counters.
#[derive(Clone, Debug)]
pub struct KernelShare(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rules: Vec<KernelRule>,
    /// The port's own addresses.
    own: BTreeSet<Ipv6Addr>,
    /// Those of the kernel, as many as there is room for.
    kernel: BTreeSet<Ipv6Addr>,
    maps: Option<Maps>,
    /// What programs have counted that are gone.
    counted: Vec<u64>,
}

/// The maps of the program that is attached.
#[derive(Debug)]
pub(super) struct Maps {
    /// A value by the longest prefix of the destination.
    pub(super) destinations: OwnedFd,
    /// The number of a rule's counter, plus one, by protocol and port.
    pub(super) upper: OwnedFd,
    /// Packets left to the kernel.
    pub(super) counters: OwnedFd,
}

impl Maps {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Maps {
            destinations: bpf::create_map(MapKind::LpmTrie, 4 + 16, 4, MAX_ADDRESSES as u32)?,
            upper: bpf::create_map(MapKind::Hash, 4, 4, MAX_RULES as u32)?,
            counters: bpf::create_map(MapKind::Array, 4, 8, COUNTERS)?,
        })
    }

    pub(super) fn fds(&self) -> [RawFd; 3] {
        [self.destinations.as_raw_fd(), self.upper.as_raw_fd(), self.counters.as_raw_fd()]
    }

    fn set(&self, prefix: Prefix, value: u32) -> io::Result<()> {
        bpf::update_element(&self.destinations, &destination_key(prefix), &value.to_ne_bytes())
    }

    fn count(&self) -> Vec<u64> {
        (0..COUNTERS).map(|index| bpf::number_at(&self.counters, index).unwrap_or_default()).collect()
    }
}

fn destination_key(prefix: Prefix) -> [u8; 20] {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&u32::from(prefix.length()).to_ne_bytes());
    key[4..].copy_from_slice(&prefix.address().octets());
    key
}

/// As the program makes it: the port as it stands in the packet, then the protocol in the octet that a little-endian
/// machine puts first.
fn upper_key(protocol: u8, port: u16) -> [u8; 4] {
    (u32::from(port.to_be()) << 16 | u32::from(protocol)).to_ne_bytes()
}

impl State {
    /// What the destinations of the kernel's addresses, of prefixes and of groups are worth.
    fn destinations(&self) -> Vec<(Prefix, u32)> {
        let mut all = Vec::new();
        all.extend(Prefix::new(LINK_GROUPS, LINK_GROUPS_LENGTH).map(|groups| (groups, RULES_DECIDE)));
        all.push((Prefix::host(ALL_NODES), COUNT_BOTH + 1));
        for (number, rule) in (COUNT_RULES..).zip(&self.rules) {
            if let KernelRule::Prefix(prefix) = rule {
                all.push((*prefix, number + 1));
            }
        }
        let addresses = self.own.union(&self.kernel);
        all.extend(addresses.filter_map(|&address| Some((Prefix::host(address), self.worth(address)?))));
        all
    }

    /// What an address of the port or of the kernel is worth. One of the port's is that also where a prefix is the kernel's.
    fn worth(&self, address: Ipv6Addr) -> Option<u32> {
        match (self.own.contains(&address), self.kernel.contains(&address)) {
            (true, true) => Some(RULES_DECIDE),
            (true, false) => Some(OURS),
            (false, true) => Some(COUNT_ADDRESS + 1),
            (false, false) => None,
        }
    }

    /// Has the program know what an address is worth now.
    fn tell(&self, address: Ipv6Addr) -> io::Result<()> {
        let Some(maps) = &self.maps else { return Ok(()) };
        match self.worth(address) {
            Some(worth) => maps.set(Prefix::host(address), worth),
            None => match bpf::delete_element(&maps.destinations, &destination_key(Prefix::host(address))) {
                Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// How many of the kernel's addresses there is room for.
    fn room(&self) -> usize {
        MAX_ADDRESSES.saturating_sub(2 + self.rules.len() + self.own.len())
    }

    fn fill(&mut self, maps: &Maps) -> io::Result<()> {
        for (prefix, value) in self.destinations() {
            maps.set(prefix, value)?;
        }
        for (number, rule) in (COUNT_RULES..).zip(&self.rules) {
            let key = match *rule {
                KernelRule::Protocol(protocol) => upper_key(protocol, 0),
                KernelRule::Port(protocol, port) => upper_key(protocol, port),
                KernelRule::Prefix(_) => continue,
            };
            bpf::update_element(&maps.upper, &key, &(number + 1).to_ne_bytes())?;
        }
        Ok(())
    }
}

impl KernelShare {
    /// The port has the addresses `own`; rules beyond [`MAX_RULES`] have no effect.
    pub fn new(mut rules: Vec<KernelRule>, own: impl IntoIterator<Item = Ipv6Addr>) -> Self {
        rules.truncate(MAX_RULES);
        let own = own.into_iter().take(MAX_ADDRESSES / 2).collect();
        let counted = vec![0; COUNTERS as usize];
        KernelShare(Arc::new(Mutex::new(State { rules, own, kernel: BTreeSet::new(), maps: None, counted })))
    }

    /// The port has an address more.
    pub fn add_own(&self, address: Ipv6Addr) {
        let mut state = self.0.lock();
        if state.own.len() < MAX_ADDRESSES / 2 && state.own.insert(address) {
            // There is room: that of the kernel's addresses is limited by it.
            let _ = state.tell(address);
        }
    }

    /// The kernel has these addresses now: packets to them are its own from now on, and no others. Returns how many there
    /// was no room for.
    ///
    /// # Errors
    /// The kernel's, of changing a map; what was not changed is tried again with the next call.
    pub fn set_addresses(&self, addresses: impl IntoIterator<Item = Ipv6Addr>) -> io::Result<usize> {
        let mut state = self.0.lock();
        let mut wanted: BTreeSet<Ipv6Addr> = addresses.into_iter().collect();
        let too_many = wanted.len().saturating_sub(state.room());
        if too_many > 0 {
            wanted = wanted.into_iter().take(state.room()).collect();
        }
        let changed: Vec<Ipv6Addr> = state.kernel.symmetric_difference(&wanted).copied().collect();
        for address in changed {
            if !state.kernel.remove(&address) {
                state.kernel.insert(address);
            }
            if let Err(error) = state.tell(address) {
                if !state.kernel.remove(&address) {
                    state.kernel.insert(address);
                }
                return Err(error);
            }
        }
        Ok(too_many)
    }

    /// The addresses that are the kernel's alone, in order.
    pub fn addresses(&self) -> Vec<Ipv6Addr> {
        let state = self.0.lock();
        state.kernel.difference(&state.own).copied().collect()
    }

    /// The addresses that both have, in order.
    pub fn shared(&self) -> Vec<Ipv6Addr> {
        let state = self.0.lock();
        state.kernel.intersection(&state.own).copied().collect()
    }

    /// The rules in order.
    pub fn rules(&self) -> Vec<KernelRule> {
        self.0.lock().rules.clone()
    }

    /// Packets left to the kernel since the port was opened, by what they were left for.
    pub fn passed(&self) -> Vec<(String, u64)> {
        let state = self.0.lock();
        let mut total = state.counted.clone();
        if let Some(maps) = &state.maps {
            total.iter_mut().zip(maps.count()).for_each(|(total, more)| *total += more);
        }
        let kinds = ["addresses", "solicitations", "both"].map(str::to_owned);
        kinds.into_iter().chain(state.rules.iter().map(KernelRule::to_string)).zip(total).collect()
    }

    /// A program is about to be attached: fills its maps, which follow from now on.
    pub(super) fn open(&self, maps: Maps) -> io::Result<()> {
        let mut state = self.0.lock();
        state.close();
        state.fill(&maps)?;
        state.maps = Some(maps);
        Ok(())
    }

    /// The program is gone.
    pub(super) fn close(&self) {
        self.0.lock().close();
    }

    /// Whether a frame that the kernel was given is the port's as well.
    fn is_for_both(&self, frame: &[u8]) -> bool {
        let Some(destination) = frame.get(HEADER_LEN + 24..HEADER_LEN + 40) else { return false };
        let destination: [u8; 16] = destination.try_into().unwrap_or_default();
        let destination = Ipv6Addr::from(destination);
        destination == ALL_NODES
            || (frame.get(HEADER_LEN + 6) == Some(&ICMPV6)
                && frame.get(HEADER_LEN + 40) == Some(&NEIGHBOR_ADVERTISEMENT)
                && (addr::Scope::of(destination).is_some() || self.0.lock().own.contains(&destination)))
    }
}

impl State {
    fn close(&mut self) {
        if let Some(maps) = self.maps.take() {
            self.counted.iter_mut().zip(maps.count()).for_each(|(total, more)| *total += more);
        }
    }
}

/// Frames that the tap reads in one call, whether or not they are for both.
const READS: usize = 8;

/// Next Header values and types of what both hear.
const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;
pub(super) const NEIGHBOR_SOLICITATION: u8 = 135;
pub(super) const NEIGHBOR_ADVERTISEMENT: u8 = 136;

/// A packet socket for the frames that both the kernel and the port hear: ICMPv6 ones of those that the program has left to
/// the kernel.
#[derive(Debug)]
pub(super) struct KernelTap {
    socket: OwnedFd,
    share: KernelShare,
}

impl KernelTap {
    /// One that hears `interface` from now on.
    pub(super) fn open(interface: u32, share: KernelShare) -> io::Result<Self> {
        let socket = packet_socket::open()?;
        packet_socket::set_option(&socket, libc::PACKET_IGNORE_OUTGOING, &1i32)?;
        packet_socket::filter_next_headers(&socket, &[ICMPV6, HOP_BY_HOP])?;
        packet_socket::bind_ipv6(&socket, interface)?;
        Ok(KernelTap { socket, share })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Takes one frame at the most; its octets.
    pub(super) fn receive(&self, pool: &Pool, batch: &mut Batch, largest: usize) -> Option<usize> {
        if batch.is_full() {
            return None;
        }
        for _ in 0..READS {
            let mut packet = pool.take().ok()?;
            packet.set_len(largest);
            let (octets, flags) = (packet.bytes_mut(), libc::MSG_DONTWAIT | libc::MSG_TRUNC);
            // SAFETY: the octets of the packet.
            let length = unsafe { libc::recv(self.fd(), octets.as_mut_ptr().cast(), octets.len(), flags as c_int) };
            let length = usize::try_from(length).ok()?;
            if length <= largest && self.share.is_for_both(&packet.bytes()[..length]) {
                packet.truncate(length);
                batch.push(packet);
                return Some(length);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_that_both_have_are_the_ports() {
        let rules = vec![KernelRule::Protocol(89), KernelRule::Port(6, 22), KernelRule::Prefix(Prefix::DEFAULT)];
        let share = KernelShare::new(rules, [address("2001:db8::1"), address("fe80::1")]);
        let kernel = ["2001:db8::1", "2001:db8::9", "fe80::9"].map(address);
        assert_eq!(share.set_addresses(kernel).unwrap(), 0);
        assert_eq!(share.addresses(), ["2001:db8::9", "fe80::9"].map(address));
        assert_eq!(share.shared(), [address("2001:db8::1")]);
        share.add_own(address("2001:db8::9"));
        assert_eq!(share.addresses(), [address("fe80::9")]);
        let worth = |text: &str| {
            let of = share.0.lock().destinations();
            of.into_iter().rfind(|(prefix, _)| *prefix == text.parse().unwrap()).map(|(_, value)| value)
        };
        assert_eq!(worth("fe80::9/128"), Some(COUNT_ADDRESS + 1));
        assert_eq!((worth("2001:db8::9/128"), worth("ff02::/16")), (Some(RULES_DECIDE), Some(RULES_DECIDE)));
        assert_eq!(worth("fe80::1/128"), Some(OURS));
        assert_eq!((worth("::/0"), worth("ff02::1/128")), (Some(COUNT_RULES + 3), Some(COUNT_BOTH + 1)));
        let names: Vec<String> = share.passed().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["addresses", "solicitations", "both", "ospf", "tcp/22", "::/0"]);
    }

    #[test]
    fn more_addresses_than_there_is_room_for_are_refused() {
        let share = KernelShare::new(Vec::new(), [address("fe80::1")]);
        let many = (0..2000u128).map(|last| Ipv6Addr::from_bits(address("2001:db8::").to_bits() | last));
        let room = MAX_ADDRESSES - 3;
        assert_eq!(share.set_addresses(many).unwrap(), 2000 - room);
        assert_eq!(share.addresses().len(), room);
        assert_eq!(share.set_addresses([address("fe80::9")]).unwrap(), 0);
        assert_eq!(share.addresses(), [address("fe80::9")]);
    }
}
