//! `[[port]]` and `[[route]]`.

use super::super::document::Fault;
use super::super::raw::{RawNodeFile, RawPort, RawRoute, RawWordOrPrefixes};
use super::super::resolved::{Attachment, InterfaceAddress, PortConfig, RouteTarget, StaticRoute};
use super::kernel;
use super::section::{Section, address, in_range, interface, name, prefix, span_of, unicast_prefix, word};
use super::{Place, port_by_name};
use core::net::Ipv6Addr;
use pim::RouteMetric;
use stack::addr::{Prefix, is_link_local, is_routable_unicast};
use stack::machine::{MAX_PORTS, PortId};
use stack::packet::{FRAME_LEN, HEADROOM};
use stack::tables::IngressFilter;
use std::collections::BTreeMap;
use toml::Spanned;

/// The smallest MTU of IPv6 (RFC 8200 §5).
pub(crate) const MIN_MTU: i64 = 1280;
/// The largest IPv6 packet that a frame holds behind the headroom for two encapsulations and an Ethernet header.
pub(crate) const MAX_MTU: i64 = (FRAME_LEN - HEADROOM - ETHERNET_HEADER_LEN) as i64;
const ETHERNET_HEADER_LEN: usize = 14;
/// The longest that a call may poll a device, in µs.
const MAX_BUSY_POLL_US: i64 = 10_000;

/// Reads all ports. A port in `advertised` accepts only its own prefixes as sources unless it says otherwise.
pub(super) fn ports(
    root: &Section<'_, '_>,
    raw: &[Spanned<RawPort>],
    advertised: &[&str],
    place: Place,
) -> Option<Vec<PortConfig>> {
    if raw.len() > MAX_PORTS {
        let remedy = format!("give at most {MAX_PORTS}");
        return root.fault(
            "port",
            raw[MAX_PORTS].span(),
            Fault::new(format!("{} ports are too many", raw.len()), remedy),
        );
    }
    let mut number = 0..;
    let ports = root.tables("port", raw, |section, raw| {
        let id = PortId(u8::try_from(number.next().unwrap_or_default()).unwrap_or_default());
        port(section, raw, id, advertised, place)
    })?;
    unique(root, raw, &ports)?;
    Some(ports)
}

fn port(section: &Section<'_, '_>, raw: &RawPort, id: PortId, advertised: &[&str], place: Place) -> Option<PortConfig> {
    let port_name = section.required("name", &raw.name, "give the port a name as name = \"uplink\"", |text| name(text));
    let attachment = attachment(section, raw, place);
    let addresses = section.list("addresses", &raw.addresses, |text| interface_address(text));
    let mtu = section.optional("mtu", &raw.mtu, |&mtu| in_range::<u16>(mtu, MIN_MTU..=MAX_MTU));
    let link_local = section.optional("link_local", &raw.link_local, |text| {
        let address = address(text)?;
        let fits = is_link_local(address) && address.segments()[1..4] == [0, 0, 0];
        let what = || format!("{address} is not a link-local address");
        if fits { Ok(address) } else { Err(Fault::new(what(), "give one as fe80::1")) }
    });
    let site_border = section.flag("site_border", &raw.site_border, false);
    let kernel = kernel::rules(section, raw, attachment.as_ref(), place);

    let (port_name, addresses) = (port_name?, addresses?);
    let ingress_filter = match &raw.ingress_filter {
        Some(filter) => ingress_filter(section, filter),
        None if advertised.contains(&port_name.as_str()) => {
            Some(IngressFilter::Prefixes(addresses.iter().map(|address| address.prefix).collect()))
        }
        None => Some(IngressFilter::Open),
    };
    Some(PortConfig {
        id,
        name: port_name,
        attachment: attachment?,
        addresses,
        mtu: mtu?,
        link_local: link_local?,
        site_border,
        point_to_point: section.flag("point_to_point", &raw.point_to_point, false),
        ingress_filter: ingress_filter?,
        kernel: kernel?,
    })
}

fn attachment(section: &Section<'_, '_>, raw: &RawPort, place: Place) -> Option<Attachment> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        AfXdp,
        AfPacket,
        Tun,
        Mem,
    }
    let words = [("af_xdp", Kind::AfXdp), ("af_packet", Kind::AfPacket), ("tun", Kind::Tun), ("mem", Kind::Mem)];
    let kind = section.optional("kind", &raw.kind, |text| word(text, &words))?;
    if kind.is_none() && !matches!(place, Place::LabFile) {
        section.by_default("kind", "af_xdp");
    }
    let is_af_xdp = matches!(kind, None | Some(Kind::AfXdp)) && !matches!(place, Place::LabFile);
    let busy_poll_us = busy_poll_us(section, raw, is_af_xdp)?;
    if let Place::LabFile = place
        && kind != Some(Kind::Tun)
    {
        if let Some(kind) = &raw.kind {
            let what = format!("a lab chooses the kind of its ports; \"{}\" has no effect", kind.get_ref());
            return section.fault("kind", kind.span(), Fault::new(what, "remove the key, or give \"tun\""));
        }
        if let Some(interface) = &raw.interface {
            let what = "ports of a lab are attached to links";
            return section.fault("interface", interface.span(), Fault::new(what, "give link = \"NAME\" in its place"));
        }
        let remedy = "name a link of this lab file as link = \"core-a\"";
        return section.required("link", &raw.link, remedy, |text| name(text)).map(|link| Attachment::Link { link });
    }
    if let Some(link) = &raw.link {
        let remedy = "give interface = \"NAME\" in its place";
        return section.fault("link", link.span(), Fault::new("links exist only in lab files", remedy));
    }
    if kind == Some(Kind::Mem) {
        let what = "a port of kind \"mem\" joins nodes of one process, of which a node file has one";
        return section.fault(
            "kind",
            span_of(section, &raw.kind),
            Fault::new(what, "use it through a lab file's links"),
        );
    }
    let remedy = match kind {
        Some(Kind::Tun) => "name the device that is made as interface = \"home0\"",
        _ => "name the network interface as interface = \"eth0\"",
    };
    let interface = section.required("interface", &raw.interface, remedy, |text| interface(text))?;
    Some(match kind {
        Some(Kind::AfPacket) => Attachment::AfPacket { interface },
        Some(Kind::Tun) => Attachment::Tun { interface },
        _ => Attachment::AfXdp { interface, busy_poll_us },
    })
}

/// How long calls poll the device of a port of this kind, which is 0 where the file does not say, or has nothing to say.
fn busy_poll_us(section: &Section<'_, '_>, raw: &RawPort, is_af_xdp: bool) -> Option<u32> {
    let section = &section.only_where(is_af_xdp);
    let micros = section.or("busy_poll_us", &raw.busy_poll_us, (0, 0), |&us| in_range(us, 0..=MAX_BUSY_POLL_US))?;
    match &raw.busy_poll_us {
        Some(given) if !is_af_xdp => {
            let what = "only ports of kind \"af_xdp\" poll their device";
            section.fault("busy_poll_us", given.span(), Fault::new(what, "remove the key"))
        }
        _ => Some(micros),
    }
}

fn ingress_filter(section: &Section<'_, '_>, raw: &Spanned<RawWordOrPrefixes>) -> Option<IngressFilter> {
    let (words, remedy) = ([("open", IngressFilter::Open)], "give \"open\" or a list of prefixes");
    section.word_or_prefixes("ingress_filter", raw, words, IngressFilter::Prefixes, unicast_prefix, remedy)
}

/// `2001:db8::1/64`
pub(crate) fn interface_address(text: &str) -> Result<InterfaceAddress, Fault> {
    let fault =
        || Fault::new(format!("\"{text}\" is not an address with a prefix length"), "write it as in 2001:db8:1::1/64");
    let (text, length) = text.split_once('/').ok_or_else(fault)?;
    let address: Ipv6Addr = text.parse().map_err(|_| fault())?;
    let length: u8 = length.parse().map_err(|_| fault())?;
    let prefix = Prefix::new(address, length).filter(|prefix| prefix.length() > 0).ok_or_else(fault)?;
    if is_link_local(address) {
        let what = format!("{address} is link-local");
        return Err(Fault::new(what, "leave it out, or give it as link_local"));
    }
    if !is_routable_unicast(address) {
        return Err(Fault::new(format!("{address} is not a unicast address"), "give one as 2001:db8:1::1/64"));
    }
    // RFC 6164 §5.1: on a /127 both addresses are nodes'.
    if prefix.length() < 127 && prefix.address() == address {
        let what = format!("{address} is the subnet-router anycast address of {prefix}");
        return Err(Fault::new(what, "give an address with a non-zero interface identifier"));
    }
    Ok(InterfaceAddress { address, prefix })
}

fn unique(root: &Section<'_, '_>, raw: &[Spanned<RawPort>], ports: &[PortConfig]) -> Option<()> {
    let mut sound = Some(());
    for (index, port) in ports.iter().enumerate() {
        let section = root.inner(format_args!("port[{index}]"), raw[index].span());
        let raw = raw[index].get_ref();
        if ports[..index].iter().any(|other| other.name == port.name) {
            let what = format!("the name \"{}\" is taken by a port above", port.name);
            sound =
                section.fault("name", span_of(&section, &raw.name), Fault::new(what, "give each port its own name"));
        }
        let same = |other: &&PortConfig| other.attachment.name() == port.attachment.name();
        if let Some(other) = ports[..index].iter().find(same) {
            let (key, field) = match port.attachment {
                Attachment::Link { .. } => ("link", &raw.link),
                _ => ("interface", &raw.interface),
            };
            let what = format!("\"{}\" is used by the port \"{}\"", port.attachment.name(), other.name);
            sound = section.fault(key, span_of(&section, field), Fault::new(what, "use it once"));
        }
    }
    sound
}

/// Checks that no address is given twice in a node.
pub(super) fn addresses_are_unique(
    root: &Section<'_, '_>,
    raw: &RawNodeFile,
    ports: &[PortConfig],
    loopback: &[Ipv6Addr],
) -> Option<()> {
    let mut seen = BTreeMap::new();
    let mut sound = Some(());
    let mut look = |address: Ipv6Addr, path: String, span| {
        if let Some(first) = seen.insert(address, path.clone()) {
            let what = format!("{address} is given at {first} already");
            sound = root.fault(path, span, Fault::new(what, "give each address once"));
        }
    };
    for (index, (port, raw)) in ports.iter().zip(&raw.port).enumerate() {
        for (place, (address, raw)) in port.addresses.iter().zip(&raw.get_ref().addresses).enumerate() {
            look(address.address, format!("port[{index}].addresses[{place}]"), raw.span());
        }
    }
    if let Some(node) = &raw.node {
        for (place, (address, raw)) in loopback.iter().zip(&node.get_ref().loopback).enumerate() {
            look(*address, format!("node.loopback[{place}]"), raw.span());
        }
    }
    sound
}

/// Reads all static routes.
pub(super) fn routes(
    root: &Section<'_, '_>,
    raw: &[Spanned<RawRoute>],
    ports: &[PortConfig],
) -> Option<Vec<StaticRoute>> {
    let mut seen = BTreeMap::new();
    let mut index = 0;
    root.tables("route", raw, |section, raw| {
        let route = route(section, raw, ports);
        index += 1;
        let route = route?;
        if let Some(first) = seen.insert(route.prefix, index - 1) {
            let what = format!("{} has a route at route[{first}] already", route.prefix);
            return section.fault(
                "prefix",
                span_of(section, &raw.prefix),
                Fault::new(what, "give each prefix one route"),
            );
        }
        Some(route)
    })
}

fn route(section: &Section<'_, '_>, raw: &RawRoute, ports: &[PortConfig]) -> Option<StaticRoute> {
    let destination = section.required("prefix", &raw.prefix, "give the destinations as prefix = \"::/0\"", |text| {
        let prefix = prefix(text)?;
        if prefix.address().is_multicast() || is_link_local(prefix.address()) {
            let what = format!("{prefix} is not routed by this table");
            return Err(Fault::new(what, "give a routable unicast prefix"));
        }
        Ok(prefix)
    });
    let (blackhole, unreachable) =
        (section.flag("blackhole", &raw.blackhole, false), section.flag("unreachable", &raw.unreachable, false));
    let ways = usize::from(blackhole) + usize::from(unreachable) + usize::from(raw.port.is_some());
    if ways != 1 {
        let what = if ways == 0 { "this route leads nowhere" } else { "this route leads to several places" };
        let remedy = "give port with via, port alone, blackhole = true or unreachable = true";
        return section.fault_here(Fault::new(what, remedy));
    }
    let target = if blackhole || unreachable {
        if let Some(via) = &raw.via {
            return section.fault("via", via.span(), Fault::new("this route goes to no router", "remove the key"));
        }
        Some(if blackhole { RouteTarget::Blackhole } else { RouteTarget::Unreachable })
    } else {
        let port = port_by_name(section, "port", &raw.port, ports);
        let next_hop = section.optional("via", &raw.via, |text| address(text));
        let (port, next_hop) = (port?, next_hop?);
        match next_hop {
            None => Some(RouteTarget::OnLink(port.id)),
            Some(next_hop) if reachable_on(port, next_hop) => Some(RouteTarget::Via { port: port.id, next_hop }),
            Some(next_hop) => {
                let what = format!("{next_hop} is not on the link of the port \"{}\"", port.name);
                let remedy = "give the router's link-local address, or one in a prefix of the port";
                section.fault("via", span_of(section, &raw.via), Fault::new(what, remedy))
            }
        }
    };
    let preference = section.number("preference", &raw.preference, 0..=i64::from(i32::MAX) - 1, 1);
    let metric = section.number("metric", &raw.metric, 0..=i64::from(u32::MAX) - 1, 0);
    let metric = RouteMetric { preference: preference?, metric: metric? };
    Some(StaticRoute { prefix: destination?, target: target?, metric })
}

fn reachable_on(port: &PortConfig, next_hop: Ipv6Addr) -> bool {
    let own = port.addresses.iter().any(|address| address.address == next_hop) || port.link_local == Some(next_hop);
    let near = is_link_local(next_hop) || port.addresses.iter().any(|address| address.prefix.contains(next_hop));
    near && !own
}

#[cfg(test)]
mod tests {
    use super::super::super::resolved::Attachment;
    use crate::config::lab::parse_lab;
    use crate::config::parse;
    use std::path::Path;

    /// What is said about `keys` in the fifth line of a router's file: the port's attachment, or the mistake.
    fn said(keys: &str) -> Result<Attachment, String> {
        let text = format!("[node]\nname = \"x\"\n[[port]]\nname = \"a\"\n{keys}\ninterface = \"eth0\"\n");
        match parse("x.toml", &text, Path::new("")) {
            Ok(mut config) => Ok(config.ports.remove(0).attachment),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_port_polls_its_device_where_that_is_asked_for() {
        let polling = |busy_poll_us| Ok(Attachment::AfXdp { interface: "eth0".to_owned(), busy_poll_us });
        assert_eq!(said(""), polling(0));
        assert_eq!(said("busy_poll_us = 0"), polling(0));
        assert_eq!(said("busy_poll_us = 20"), polling(20));
        let mistake = |line: u32, what: &str| Err(format!("x.toml:{line}: port[0].busy_poll_us: {what}"));
        assert_eq!(said("busy_poll_us = -1"), mistake(5, "-1 is too small; give 0 to 10000"));
        assert_eq!(said("busy_poll_us = 10001"), mistake(5, "10001 is too large; give 0 to 10000"));
        let only = "only ports of kind \"af_xdp\" poll their device; remove the key";
        for kind in ["af_packet", "tun"] {
            assert_eq!(said(&format!("kind = \"{kind}\"\nbusy_poll_us = 20")), mistake(6, only));
        }
    }

    #[test]
    fn ports_of_a_lab_poll_no_device() {
        let (file, radio) = ("lab/ports.toml", "link = \"a\"\n");
        let text = format!("[[node]]\nname = \"r\"\n[[node.config.port]]\nname = \"p\"\n{radio}busy_poll_us = 20\n");
        let complaint = parse_lab(file, &text, Path::new("")).map(|_| ()).unwrap_err().to_string();
        let wanted = "lab/ports.toml:6: node[0].config.port[0].busy_poll_us: only ports of kind \"af_xdp\" poll";
        assert!(complaint.contains(wanted), "{complaint}");
    }
}
