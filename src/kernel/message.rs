//! What the kernel tells by rtnetlink(7), as far as it is of interest: links, IPv6 addresses, IPv6 routes.
//!
//! Of a link only the name and the flags are read, which every kernel writes alike.

use super::mirror::{Hop, Way};
use core::net::Ipv6Addr;
use netlink_packet_core::{
    DecodeError, NLM_F_DUMP_INTR, NLM_F_REPLACE, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN, NetlinkBuffer, NlasIterator,
    Parseable,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteType,
};
use stack::addr::Prefix;
use std::net::IpAddr;

// Of linux/rtnetlink.h and linux/if_link.h.
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
/// What an answer without its code is taken for (errno-base.h).
const EBADMSG: i32 = 74;
const IFINFO_LEN: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 1 << 16;

/// Whether something is there, or has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Presence {
    There,
    Gone,
}

/// Why a route is none of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ignored {
    Kind,
    Object,
}

/// A route as the kernel describes it: one of a prefix, a table and a metric.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RouteNews {
    pub(super) table: u32,
    pub(super) prefix: Prefix,
    pub(super) metric: u32,
    pub(super) protocol: u8,
    /// Whether what was there with this metric is replaced.
    pub(super) replaces: bool,
    pub(super) hops: Result<Vec<Hop>, Ignored>,
}

/// Something that the kernel says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    Link {
        presence: Presence,
        index: u32,
        name: Option<String>,
        running: bool,
    },
    Address {
        presence: Presence,
        index: u32,
        address: Ipv6Addr,
    },
    Route(Presence, RouteNews),
    /// A dump has ended.
    Done,
    /// A request is refused with an errno.
    Refused(i32),
    /// There was more than there was room for.
    Overrun,
    /// What makes no sense.
    Unreadable,
    /// The message before was of a dump during which something has changed.
    Interrupted,
}

/// Reads the messages of a datagram one after the other.
pub(super) fn messages(mut datagram: &[u8], mut each: impl FnMut(Message)) {
    while !datagram.is_empty() {
        let Ok(message) = NetlinkBuffer::new_checked(datagram) else { return each(Message::Unreadable) };
        let length = (message.length() as usize).next_multiple_of(4);
        let (kind, flags, payload) = (message.message_type(), message.flags(), message.payload());
        match read(kind, flags, payload) {
            Ok(Some(message)) => each(message),
            Ok(None) => {}
            Err(_) => each(Message::Unreadable),
        }
        if flags & NLM_F_DUMP_INTR != 0 {
            each(Message::Interrupted);
        }
        datagram = datagram.get(length..).unwrap_or_default();
    }
}

fn read(kind: u16, flags: u16, payload: &[u8]) -> Result<Option<Message>, DecodeError> {
    let presence =
        if matches!(kind, RTM_NEWLINK | RTM_NEWADDR | RTM_NEWROUTE) { Presence::There } else { Presence::Gone };
    match kind {
        NLMSG_DONE => Ok(Some(Message::Done)),
        NLMSG_OVERRUN => Ok(Some(Message::Overrun)),
        NLMSG_ERROR => {
            let code = payload.first_chunk().map_or(EBADMSG, |code| -i32::from_ne_bytes(*code));
            Ok((code != 0).then_some(Message::Refused(code)))
        }
        RTM_NEWLINK | RTM_DELLINK => link(presence, payload),
        RTM_NEWADDR | RTM_DELADDR => address(presence, payload),
        RTM_NEWROUTE | RTM_DELROUTE => {
            let message = RouteMessage::parse(payload)?;
            Ok(route(&message, flags & NLM_F_REPLACE != 0).map(|news| Message::Route(presence, news)))
        }
        _ => Ok(None),
    }
}

fn link(presence: Presence, payload: &[u8]) -> Result<Option<Message>, DecodeError> {
    let Some((fixed, attributes)) = payload.split_first_chunk::<IFINFO_LEN>() else {
        return Err("a link without its header".into());
    };
    // Bridges report their own side of a link in messages of the same type.
    if fixed[0] != 0 {
        return Ok(None);
    }
    let index = u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let flags = u32::from_ne_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    let mut name = None;
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        if attribute.kind() == IFLA_IFNAME {
            let text = attribute.value().split(|&octet| octet == 0).next().unwrap_or_default();
            name = core::str::from_utf8(text).ok().map(str::to_owned);
        }
    }
    let both = IFF_UP | IFF_LOWER_UP;
    Ok(Some(Message::Link { presence, index, name, running: flags & both == both }))
}

fn address(presence: Presence, payload: &[u8]) -> Result<Option<Message>, DecodeError> {
    let message = AddressMessage::parse(payload)?;
    if message.header.family != AddressFamily::Inet6 {
        return Ok(None);
    }
    // The own end of a link with two ends is called the local one.
    let (mut local, mut address) = (None, None);
    for attribute in message.attributes {
        match attribute {
            AddressAttribute::Local(IpAddr::V6(own)) => local = Some(own),
            AddressAttribute::Address(IpAddr::V6(own)) => address = Some(own),
            _ => {}
        }
    }
    let index = message.header.index;
    Ok(local.or(address).map(|address| Message::Address { presence, index, address }))
}

/// `None`: not a route of IPv6, or one that is made for a single destination and goes by itself.
fn route(message: &RouteMessage, replaces: bool) -> Option<RouteNews> {
    let header = &message.header;
    if header.address_family != AddressFamily::Inet6 || header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let mut news = RouteNews {
        table: header.table.into(),
        prefix: Prefix::DEFAULT,
        metric: 0,
        protocol: header.protocol.into(),
        replaces,
        hops: Ok(Vec::new()),
    };
    let mut destination = Ipv6Addr::UNSPECIFIED;
    let (mut interface, mut gateway, mut object, mut several) = (None, None, false, None);
    let mut plain = header.source_prefix_length == 0 && header.tos == 0;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => destination = *address,
            RouteAttribute::Gateway(RouteAddress::Inet6(address)) => gateway = Some(*address),
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::Priority(metric) => news.metric = *metric,
            RouteAttribute::Table(table) => news.table = *table,
            RouteAttribute::MultiPath(hops) => several = Some(hops),
            RouteAttribute::NhId(_) => object = true,
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) | RouteAttribute::Via(_) => plain = false,
            _ => {}
        }
    }
    news.prefix = Prefix::new(destination, header.destination_prefix_length)?;
    let protocol = news.protocol;
    let only = |way| Ok(vec![Hop { interface: 0, way, protocol }]);
    news.hops = match header.kind {
        _ if !plain => Err(Ignored::Kind),
        RouteType::Unicast => match (several, interface) {
            (Some(several), _) => Ok(several.iter().filter_map(|hop| next_hop(hop, protocol)).collect()),
            (None, Some(interface)) => {
                let dead = header.flags.contains(RouteFlags::Dead);
                let way = gateway.map_or(Way::OnLink, Way::Via);
                Ok((!dead).then_some(Hop { interface, way, protocol }).into_iter().collect())
            }
            (None, None) if object => Err(Ignored::Object),
            (None, None) => Err(Ignored::Kind),
        },
        RouteType::BlackHole => only(Way::Blackhole),
        RouteType::Unreachable | RouteType::Prohibit => only(Way::Unreachable),
        _ => Err(Ignored::Kind),
    };
    Some(news)
}

/// One of several next hops; nothing of one that is dead or is no IPv6 neighbour.
fn next_hop(hop: &RouteNextHop, protocol: u8) -> Option<Hop> {
    let mut way = Way::OnLink;
    for attribute in &hop.attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet6(address)) => way = Way::Via(*address),
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) | RouteAttribute::Via(_) => return None,
            _ => {}
        }
    }
    let dead = hop.flags.contains(RouteNextHopFlags::Dead);
    (!dead).then_some(Hop { interface: hop.interface_index, way, protocol })
}
