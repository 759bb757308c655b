//! Neighbor Discovery messages (RFC 4861 §4) with the options of Mobile IPv6 (RFC 6275 §7.1 to §7.4), HMIPv6 (RFC 5380
//! §5), router preference (RFC 4191 §2.2) and the nonce of enhanced DAD (RFC 7527 §4).
//!
//! [`open`] makes every validity check of RFC 4861 §6.1, §7.1 and §8.1 and reads the message; only that a Redirect comes
//! from the current first hop is its receiver's to check. Options that are unknown, that do not belong to the message or
//! that break their own format are kept as [`RawOption`]; one of length zero condemns the message. Fragments are refused
//! (RFC 6980 §5).

use super::build::PacketBuilder;
use super::checksum;
use super::error::{WireError, WireErrorKind, address_at, array, octet, slice, u16_at, u32_at};
use super::ext::Chain;
use super::ipv6::{self, protocol};
use crate::addr::{self, MacAddress, Prefix};
use crate::time::{Duration, Instant};
use core::net::Ipv6Addr;

/// ICMPv6 type of a Router Solicitation.
pub const TYPE_ROUTER_SOLICITATION: u8 = 133;
/// ICMPv6 type of a Router Advertisement.
pub const TYPE_ROUTER_ADVERTISEMENT: u8 = 134;
/// ICMPv6 type of a Neighbor Solicitation.
pub const TYPE_NEIGHBOR_SOLICITATION: u8 = 135;
/// ICMPv6 type of a Neighbor Advertisement.
pub const TYPE_NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// ICMPv6 type of a Redirect.
pub const TYPE_REDIRECT: u8 = 137;

/// Hop limit of every Neighbor Discovery packet.
pub const HOP_LIMIT: u8 = 255;
/// Options that are read from one message; a message with more is refused.
pub const MAX_OPTIONS: usize = 64;
/// A lifetime in seconds that does not end.
pub const INFINITE_LIFETIME_SECS: u32 = u32::MAX;

/// Option types.
pub mod option {
    /// Source Link-Layer Address.
    pub const SOURCE_LINK_ADDRESS: u8 = 1;
    /// Target Link-Layer Address.
    pub const TARGET_LINK_ADDRESS: u8 = 2;
    /// Prefix Information.
    pub const PREFIX_INFORMATION: u8 = 3;
    /// Redirected Header.
    pub const REDIRECTED_HEADER: u8 = 4;
    /// MTU.
    pub const MTU: u8 = 5;
    /// Advertisement Interval (RFC 6275 §7.3).
    pub const ADVERTISEMENT_INTERVAL: u8 = 7;
    /// Home Agent Information (RFC 6275 §7.4).
    pub const HOME_AGENT_INFORMATION: u8 = 8;
    /// Nonce (RFC 3971 §5.3.2, RFC 7527 §4.1).
    pub const NONCE: u8 = 14;
    /// Mobility Anchor Point (RFC 5380 §5).
    pub const MAP: u8 = 23;
}

/// A Neighbor Discovery message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// RFC 4861 §4.1.
    RouterSolicitation(RouterSolicitation),
    /// RFC 4861 §4.2.
    RouterAdvertisement(RouterAdvertisement),
    /// RFC 4861 §4.3.
    NeighborSolicitation(NeighborSolicitation),
    /// RFC 4861 §4.4.
    NeighborAdvertisement(NeighborAdvertisement),
    /// RFC 4861 §4.5.
    Redirect(Redirect),
}

/// A Router Solicitation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouterSolicitation {
    /// Link-layer address of the sender.
    pub source_link_address: Option<MacAddress>,
    /// Options beside those above.
    pub other: Vec<RawOption>,
}

/// A Router Advertisement.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouterAdvertisement {
    /// Hop limit for hosts to use; 0 where the router has no opinion.
    pub current_hop_limit: u8,
    /// The M flag: addresses by DHCPv6.
    pub managed: bool,
    /// The O flag: other configuration by DHCPv6.
    pub other_configuration: bool,
    /// The H flag: the router is a home agent on this link (RFC 6275 §7.1).
    pub home_agent: bool,
    /// How it compares to other default routers.
    pub preference: RouterPreference,
    /// How long it is a default router; 0 where it is none.
    pub lifetime_secs: u16,
    /// Reachable Time; 0 where the router has no opinion.
    pub reachable_time_millis: u32,
    /// Retrans Timer; 0 where the router has no opinion.
    pub retransmit_timer_millis: u32,
    /// Link-layer address of the router.
    pub source_link_address: Option<MacAddress>,
    /// MTU of the link.
    pub mtu: Option<u32>,
    /// Prefixes.
    pub prefixes: Vec<PrefixInformation>,
    /// Longest time between two unsolicited advertisements.
    pub advertisement_interval_millis: Option<u32>,
    /// What the home agent says about itself; only with [`RouterAdvertisement::home_agent`].
    pub home_agent_information: Option<HomeAgentInformation>,
    /// Mobility anchor points, which the agents of this project are to a terminal.
    pub maps: Vec<MapOption>,
    /// Options beside those above.
    pub other: Vec<RawOption>,
}

/// A Neighbor Solicitation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighborSolicitation {
    /// Whose link-layer address is asked for.
    pub target: Ipv6Addr,
    /// Link-layer address of the sender.
    pub source_link_address: Option<MacAddress>,
    /// Tells a looped-back probe of this node from another node's.
    pub nonce: Option<[u8; 6]>,
    /// Options beside those above.
    pub other: Vec<RawOption>,
}

/// A Neighbor Advertisement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighborAdvertisement {
    /// The R flag: the sender is a router.
    pub router: bool,
    /// The S flag: it answers a solicitation.
    pub solicited: bool,
    /// The O flag: it overrides what is cached.
    pub override_cached: bool,
    /// Whose link-layer address is told.
    pub target: Ipv6Addr,
    /// Link-layer address of the target.
    pub target_link_address: Option<MacAddress>,
    /// Options beside those above.
    pub other: Vec<RawOption>,
}

/// A Redirect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// The better first hop.
    pub target: Ipv6Addr,
    /// For this destination.
    pub destination: Ipv6Addr,
    /// Link-layer address of the target.
    pub target_link_address: Option<MacAddress>,
    /// Options beside those above, the redirected header among them.
    pub other: Vec<RawOption>,
}

/// A Prefix Information option (RFC 4861 §4.6.2, RFC 6275 §7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixInformation {
    /// The Prefix field: an address with the prefix, that of the router with
    /// [`PrefixInformation::router_address`].
    pub address: Ipv6Addr,
    /// Leading bits that are the prefix, 0 to 128.
    pub prefix_length: u8,
    /// The L flag: addresses with the prefix are on the link.
    pub on_link: bool,
    /// The A flag: hosts form addresses with the prefix.
    pub autonomous: bool,
    /// The R flag: the Prefix field holds an address of the router.
    pub router_address: bool,
    /// How long the prefix is valid; see [`INFINITE_LIFETIME_SECS`].
    pub valid_lifetime_secs: u32,
    /// How long addresses with the prefix are preferred; see [`INFINITE_LIFETIME_SECS`].
    pub preferred_lifetime_secs: u32,
}

impl PrefixInformation {
    /// The prefix.
    pub const fn prefix(&self) -> Prefix {
        match Prefix::new(self.address, self.prefix_length) {
            Some(prefix) => prefix,
            None => Prefix::host(self.address),
        }
    }

    pub(super) fn emit(&self, bytes: &mut Vec<u8>) {
        let flags = u8::from(self.on_link) << 7 | u8::from(self.autonomous) << 6 | u8::from(self.router_address) << 5;
        bytes.extend_from_slice(&[option::PREFIX_INFORMATION, 4, self.prefix_length, flags]);
        bytes.extend_from_slice(&self.valid_lifetime_secs.to_be_bytes());
        bytes.extend_from_slice(&self.preferred_lifetime_secs.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.address.octets());
    }
}

/// How a default router compares to others (RFC 4191 §2.1), from low to high.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum RouterPreference {
    /// Below the usual.
    Low,
    /// The usual.
    #[default]
    Medium,
    /// Above the usual.
    High,
}

/// A Home Agent Information option (RFC 6275 §7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HomeAgentInformation {
    /// Higher is better; 0 is the default.
    pub preference: u16,
    /// How long the router serves as home agent; never 0.
    pub lifetime_secs: u16,
}

/// A MAP option (RFC 5380 §5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapOption {
    /// Hops to the anchor point, 1 to 15.
    pub distance: u8,
    /// 0 to 15, higher is better; an anchor with 0 takes no new terminals.
    pub preference: u8,
    /// The R flag: the anchor point allocates the regional care-of address (RFC 4877 §9).
    pub allocates_address: bool,
    /// How long it is valid; 0 where it no longer serves.
    pub valid_lifetime_secs: u32,
    /// A global address of the anchor point.
    pub address: Ipv6Addr,
}

/// An option as it is on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawOption {
    /// Its type.
    pub kind: u8,
    /// What stands behind its length: `8n - 2` octets.
    pub data: Vec<u8>,
}

/// The instant at which a lifetime that is told now ends.
pub fn lifetime_end(now: Instant, lifetime_secs: u32) -> Instant {
    if lifetime_secs == INFINITE_LIFETIME_SECS {
        Instant::FAR_FUTURE
    } else {
        now + Duration::from_secs(u64::from(lifetime_secs))
    }
}

/// A Neighbor Discovery packet that passed every check of [`open`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// What it says.
    pub message: Message,
}

/// Why a Neighbor Discovery packet is discarded in silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// A header in front of the message is wrong.
    #[error("header: {0}")]
    Header(WireError),
    /// There is no message of Neighbor Discovery, or it is a fragment or has a mobility header in front.
    #[error("no message of Neighbor Discovery")]
    NotNeighborDiscovery,
    /// The hop limit is not 255: it may come from another link.
    #[error("hop limit is not 255")]
    HopLimit,
    /// The checksum does not hold.
    #[error("checksum wrong")]
    Checksum,
    /// The ICMPv6 code is not 0.
    #[error("code is not 0")]
    Code,
    /// The message is too short, or an option has length zero or does not fit.
    #[error("message: {0}")]
    Message(WireError),
    /// The message must not have this source address.
    #[error("source address not allowed")]
    Source,
    /// The message must not have this destination address.
    #[error("destination address not allowed")]
    Destination,
    /// The message must not have this target.
    #[error("target not allowed")]
    Target,
    /// An option or a flag is not allowed with these addresses.
    #[error("option or flag not allowed with these addresses")]
    Combination,
}

/// Whether an ICMPv6 message of this type belongs to Neighbor Discovery.
pub const fn is_neighbor_discovery(icmp_type: u8) -> bool {
    matches!(icmp_type, TYPE_ROUTER_SOLICITATION..=TYPE_REDIRECT)
}

/// Checks and reads a Neighbor Discovery packet, which starts with its IPv6 header.
///
/// # Errors
/// The first check that fails; the packet is then discarded in silence.
pub fn open(packet: &[u8]) -> Result<Opened, Refusal> {
    let header = ipv6::Header::parse(packet).map_err(Refusal::Header)?;
    let packet = &packet[..header.total_length()];
    let chain = Chain::parse(packet).map_err(Refusal::Header)?;
    let bytes = packet.get(chain.upper_offset..).unwrap_or_default();
    let mobile = chain.home_address.is_some() || chain.type2_routing.is_some();
    let ours = chain.upper == protocol::ICMPV6 && bytes.first().is_some_and(|&kind| is_neighbor_discovery(kind));
    if !ours || mobile || chain.fragment.is_some() {
        return Err(Refusal::NotNeighborDiscovery);
    }
    if header.hop_limit != HOP_LIMIT {
        return Err(Refusal::HopLimit);
    }
    if !checksum::verify(header.source, header.destination, protocol::ICMPV6, bytes) {
        return Err(Refusal::Checksum);
    }
    if bytes.get(1).is_some_and(|&code| code != 0) {
        return Err(Refusal::Code);
    }
    let message = Message::parse(bytes).map_err(Refusal::Message)?;
    validate(&message, header.source, header.destination)?;
    Ok(Opened { source: header.source, destination: header.destination, message })
}

/// The validity checks that concern the message together with its addresses (RFC 4861 §6.1, §7.1, §8.1).
fn validate(message: &Message, source: Ipv6Addr, destination: Ipv6Addr) -> Result<(), Refusal> {
    if source.is_multicast() || source.is_loopback() {
        return Err(Refusal::Source);
    }
    match message {
        Message::RouterSolicitation(solicitation) => {
            if source.is_unspecified() && solicitation.source_link_address.is_some() {
                return Err(Refusal::Combination);
            }
        }
        Message::RouterAdvertisement(_) => {
            if !addr::is_link_local(source) {
                return Err(Refusal::Source);
            }
        }
        Message::NeighborSolicitation(solicitation) => {
            if !addr::is_unicast(solicitation.target) {
                return Err(Refusal::Target);
            }
            if source.is_unspecified() {
                if !is_solicited_node(destination) {
                    return Err(Refusal::Destination);
                }
                if solicitation.source_link_address.is_some() {
                    return Err(Refusal::Combination);
                }
            }
        }
        Message::NeighborAdvertisement(advertisement) => {
            if !addr::is_unicast(advertisement.target) {
                return Err(Refusal::Target);
            }
            if destination.is_multicast() && advertisement.solicited {
                return Err(Refusal::Combination);
            }
        }
        Message::Redirect(redirect) => {
            if !addr::is_link_local(source) {
                return Err(Refusal::Source);
            }
            if redirect.destination.is_multicast() {
                return Err(Refusal::Destination);
            }
            if !addr::is_link_local(redirect.target) && redirect.target != redirect.destination {
                return Err(Refusal::Target);
            }
        }
    }
    Ok(())
}

/// Whether the address is in `ff02::1:ff00:0/104` (RFC 4291 §2.7.1).
pub const fn is_solicited_node(address: Ipv6Addr) -> bool {
    let first = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).to_bits();
    address.to_bits() >> 24 == first >> 24
}

impl Message {
    /// Reads the ICMPv6 message `bytes`, type and checksum included. Addresses, code and checksum are [`open`]'s to check.
    ///
    /// # Errors
    /// `Truncated`; `Length` for an option of length zero or one that does not fit; `TooMany` beyond [`MAX_OPTIONS`];
    /// `Value` for another ICMPv6 type.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        match octet(bytes, 0)? {
            TYPE_ROUTER_SOLICITATION => {
                slice(bytes, 0, 8)?;
                let mut message = RouterSolicitation::default();
                for_each_option(bytes, 8, |kind, data| {
                    let known = kind == option::SOURCE_LINK_ADDRESS;
                    if !known || !set_once(&mut message.source_link_address, link_address(data)) {
                        message.other.push(RawOption::new(kind, data));
                    }
                })?;
                Ok(Message::RouterSolicitation(message))
            }
            TYPE_ROUTER_ADVERTISEMENT => RouterAdvertisement::parse(bytes).map(Message::RouterAdvertisement),
            TYPE_NEIGHBOR_SOLICITATION => {
                let target = address_at(bytes, 8)?;
                let mut message =
                    NeighborSolicitation { target, source_link_address: None, nonce: None, other: Vec::new() };
                for_each_option(bytes, 24, |kind, data| {
                    let known = match kind {
                        option::SOURCE_LINK_ADDRESS => set_once(&mut message.source_link_address, link_address(data)),
                        option::NONCE => set_once(&mut message.nonce, data.try_into().ok()),
                        _ => false,
                    };
                    if !known {
                        message.other.push(RawOption::new(kind, data));
                    }
                })?;
                Ok(Message::NeighborSolicitation(message))
            }
            TYPE_NEIGHBOR_ADVERTISEMENT => {
                let target = address_at(bytes, 8)?;
                let flags = octet(bytes, 4)?;
                let mut message = NeighborAdvertisement {
                    router: flags & 0x80 != 0,
                    solicited: flags & 0x40 != 0,
                    override_cached: flags & 0x20 != 0,
                    target,
                    target_link_address: None,
                    other: Vec::new(),
                };
                for_each_option(bytes, 24, |kind, data| {
                    let known = kind == option::TARGET_LINK_ADDRESS;
                    if !known || !set_once(&mut message.target_link_address, link_address(data)) {
                        message.other.push(RawOption::new(kind, data));
                    }
                })?;
                Ok(Message::NeighborAdvertisement(message))
            }
            TYPE_REDIRECT => {
                let (target, destination) = (address_at(bytes, 8)?, address_at(bytes, 24)?);
                let mut message = Redirect { target, destination, target_link_address: None, other: Vec::new() };
                for_each_option(bytes, 40, |kind, data| {
                    let known = kind == option::TARGET_LINK_ADDRESS;
                    if !known || !set_once(&mut message.target_link_address, link_address(data)) {
                        message.other.push(RawOption::new(kind, data));
                    }
                })?;
                Ok(Message::Redirect(message))
            }
            _ => Err(WireError::new(WireErrorKind::Value, 0)),
        }
    }

    /// The ICMPv6 message, its checksum zero.
    pub fn emit(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        let others = match self {
            Message::RouterSolicitation(message) => {
                bytes.extend_from_slice(&[TYPE_ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
                emit_link_address(&mut bytes, option::SOURCE_LINK_ADDRESS, message.source_link_address);
                &message.other
            }
            Message::RouterAdvertisement(message) => {
                message.emit(&mut bytes);
                &message.other
            }
            Message::NeighborSolicitation(message) => {
                bytes.extend_from_slice(&[TYPE_NEIGHBOR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
                bytes.extend_from_slice(&message.target.octets());
                emit_link_address(&mut bytes, option::SOURCE_LINK_ADDRESS, message.source_link_address);
                if let Some(nonce) = message.nonce {
                    bytes.extend_from_slice(&[option::NONCE, 1]);
                    bytes.extend_from_slice(&nonce);
                }
                &message.other
            }
            Message::NeighborAdvertisement(message) => {
                let flags = u8::from(message.router) << 7
                    | u8::from(message.solicited) << 6
                    | u8::from(message.override_cached) << 5;
                bytes.extend_from_slice(&[TYPE_NEIGHBOR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0]);
                bytes.extend_from_slice(&message.target.octets());
                emit_link_address(&mut bytes, option::TARGET_LINK_ADDRESS, message.target_link_address);
                &message.other
            }
            Message::Redirect(message) => {
                bytes.extend_from_slice(&[TYPE_REDIRECT, 0, 0, 0, 0, 0, 0, 0]);
                bytes.extend_from_slice(&message.target.octets());
                bytes.extend_from_slice(&message.destination.octets());
                emit_link_address(&mut bytes, option::TARGET_LINK_ADDRESS, message.target_link_address);
                &message.other
            }
        };
        for other in others {
            other.emit(&mut bytes);
        }
        bytes
    }

    /// The packet with this message.
    pub fn packet(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        PacketBuilder::new(source, destination).hop_limit(HOP_LIMIT).checksummed(protocol::ICMPV6, self.emit(), 2)
    }
}

impl RouterAdvertisement {
    fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        slice(bytes, 0, 16)?;
        let flags = octet(bytes, 5)?;
        let lifetime_secs = u16_at(bytes, 6)?;
        let mut message = RouterAdvertisement {
            current_hop_limit: octet(bytes, 4)?,
            managed: flags & 0x80 != 0,
            other_configuration: flags & 0x40 != 0,
            home_agent: flags & 0x20 != 0,
            // RFC 4191 §2.2: the reserved value means medium, and without a lifetime the field means nothing.
            preference: match flags >> 3 & 3 {
                1 if lifetime_secs > 0 => RouterPreference::High,
                3 if lifetime_secs > 0 => RouterPreference::Low,
                _ => RouterPreference::Medium,
            },
            lifetime_secs,
            reachable_time_millis: u32_at(bytes, 8)?,
            retransmit_timer_millis: u32_at(bytes, 12)?,
            ..RouterAdvertisement::default()
        };
        for_each_option(bytes, 16, |kind, data| {
            if !message.read_option(kind, data) {
                message.other.push(RawOption::new(kind, data));
            }
        })?;
        Ok(message)
    }

    /// Takes an option in; `false` where it is not one that this message knows, or is one that breaks its format.
    fn read_option(&mut self, kind: u8, data: &[u8]) -> bool {
        match kind {
            option::SOURCE_LINK_ADDRESS => set_once(&mut self.source_link_address, link_address(data)),
            option::PREFIX_INFORMATION => prefix_information(data).map(|prefix| self.prefixes.push(prefix)).is_some(),
            option::MTU if data.len() == 6 => set_once(&mut self.mtu, u32_at(data, 2).ok()),
            option::ADVERTISEMENT_INTERVAL if data.len() == 6 => {
                set_once(&mut self.advertisement_interval_millis, u32_at(data, 2).ok())
            }
            option::HOME_AGENT_INFORMATION if data.len() == 6 && self.home_agent => {
                let information = home_agent_information(data).filter(|information| information.lifetime_secs > 0);
                set_once(&mut self.home_agent_information, information)
            }
            option::MAP => map_option(data).map(|map| self.maps.push(map)).is_some(),
            _ => false,
        }
    }

    fn emit(&self, bytes: &mut Vec<u8>) {
        let preference = match self.preference {
            _ if self.lifetime_secs == 0 => 0,
            RouterPreference::Low => 3,
            RouterPreference::Medium => 0,
            RouterPreference::High => 1,
        };
        let flags = u8::from(self.managed) << 7
            | u8::from(self.other_configuration) << 6
            | u8::from(self.home_agent) << 5
            | preference << 3;
        bytes.extend_from_slice(&[TYPE_ROUTER_ADVERTISEMENT, 0, 0, 0, self.current_hop_limit, flags]);
        bytes.extend_from_slice(&self.lifetime_secs.to_be_bytes());
        bytes.extend_from_slice(&self.reachable_time_millis.to_be_bytes());
        bytes.extend_from_slice(&self.retransmit_timer_millis.to_be_bytes());
        emit_link_address(bytes, option::SOURCE_LINK_ADDRESS, self.source_link_address);
        if let Some(mtu) = self.mtu {
            bytes.extend_from_slice(&[option::MTU, 1, 0, 0]);
            bytes.extend_from_slice(&mtu.to_be_bytes());
        }
        for prefix in &self.prefixes {
            prefix.emit(bytes);
        }
        if let Some(interval) = self.advertisement_interval_millis {
            bytes.extend_from_slice(&[option::ADVERTISEMENT_INTERVAL, 1, 0, 0]);
            bytes.extend_from_slice(&interval.to_be_bytes());
        }
        if let Some(information) = self.home_agent_information.filter(|_| self.home_agent) {
            bytes.extend_from_slice(&[option::HOME_AGENT_INFORMATION, 1, 0, 0]);
            bytes.extend_from_slice(&information.preference.to_be_bytes());
            bytes.extend_from_slice(&information.lifetime_secs.to_be_bytes());
        }
        for map in &self.maps {
            let first = map.distance << 4 | map.preference & 0xf;
            bytes.extend_from_slice(&[option::MAP, 3, first, u8::from(map.allocates_address) << 7]);
            bytes.extend_from_slice(&map.valid_lifetime_secs.to_be_bytes());
            bytes.extend_from_slice(&map.address.octets());
        }
    }
}

impl RawOption {
    fn new(kind: u8, data: &[u8]) -> Self {
        RawOption { kind, data: data.to_vec() }
    }

    fn emit(&self, bytes: &mut Vec<u8>) {
        let units = (self.data.len() + 2).div_ceil(8).min(255);
        let end = bytes.len() + 8 * units;
        bytes.extend_from_slice(&[self.kind, units as u8]);
        bytes.extend_from_slice(&self.data[..self.data.len().min(8 * units - 2)]);
        bytes.resize(end, 0);
    }
}

/// Calls `read` with type and contents of every option that stands at `at`.
pub(super) fn for_each_option(bytes: &[u8], at: usize, mut read: impl FnMut(u8, &[u8])) -> Result<(), WireError> {
    let mut at = at;
    for _ in 0..MAX_OPTIONS {
        if at >= bytes.len() {
            return Ok(());
        }
        let kind = octet(bytes, at)?;
        let length = 8 * usize::from(octet(bytes, at + 1)?);
        if length == 0 || at + length > bytes.len() {
            return Err(WireError::new(WireErrorKind::Length, at + 1));
        }
        read(kind, slice(bytes, at + 2, length - 2)?);
        at += length;
    }
    if at >= bytes.len() { Ok(()) } else { Err(WireError::new(WireErrorKind::TooMany, at)) }
}

/// The Ethernet address of a link-layer address option (RFC 2464 §6).
fn link_address(data: &[u8]) -> Option<MacAddress> {
    let octets: [u8; 6] = data.try_into().ok()?;
    Some(MacAddress(octets)).filter(|address| !address.is_multicast())
}

/// Fills `field` where it is empty; answers whether it did.
fn set_once<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    let fills = field.is_none() && value.is_some();
    if fills {
        *field = value;
    }
    fills
}

pub(super) fn prefix_information(data: &[u8]) -> Option<PrefixInformation> {
    let data: &[u8; 30] = data.try_into().ok()?;
    let flags = data[1];
    Some(PrefixInformation {
        address: address_at(data, 14).ok()?,
        prefix_length: Some(data[0]).filter(|&length| length <= 128)?,
        on_link: flags & 0x80 != 0,
        autonomous: flags & 0x40 != 0,
        router_address: flags & 0x20 != 0,
        valid_lifetime_secs: u32_at(data, 2).ok()?,
        preferred_lifetime_secs: u32_at(data, 6).ok()?,
    })
}

fn home_agent_information(data: &[u8]) -> Option<HomeAgentInformation> {
    let [_, _, p0, p1, l0, l1] = array::<6>(data, 0).ok()?;
    Some(HomeAgentInformation { preference: u16::from_be_bytes([p0, p1]), lifetime_secs: u16::from_be_bytes([l0, l1]) })
}

fn map_option(data: &[u8]) -> Option<MapOption> {
    let data: &[u8; 22] = data.try_into().ok()?;
    let map = MapOption {
        distance: data[0] >> 4,
        preference: data[0] & 0xf,
        allocates_address: data[1] & 0x80 != 0,
        valid_lifetime_secs: u32_at(data, 2).ok()?,
        address: address_at(data, 6).ok()?,
    };
    (map.distance > 0 && addr::is_routable_unicast(map.address)).then_some(map)
}

fn emit_link_address(bytes: &mut Vec<u8>, kind: u8, address: Option<MacAddress>) {
    if let Some(address) = address {
        bytes.extend_from_slice(&[kind, 1]);
        bytes.extend_from_slice(&address.0);
    }
}

#[cfg(test)]
mod tests;
