//! `[kernel]` and `port.kernel`.

use super::super::document::Fault;
use super::super::raw::{RawKernel, RawPort};
use super::super::resolved::{Attachment, PortConfig};
use super::Place;
use super::section::{Section, in_range, unicast_prefix};
use crate::kernel::{KernelConfig, LOCAL_TABLE, protocol};
use stack::addr::is_link_local;
use stack::port::{KernelRule, MAX_RULES, PROTOCOLS};
use std::collections::{BTreeMap, BTreeSet};

/// Routing tables at the most.
const MAX_TABLES: usize = 16;
/// Prefixes at the most.
const MAX_ROUTES: i64 = 1 << 20;

/// Reads `[kernel]`.
pub(super) fn kernel(
    section: &Section<'_, '_>,
    raw: &RawKernel,
    ports: &[PortConfig],
    terminal: bool,
    place: Place,
) -> Option<KernelConfig> {
    if let Place::LabFile = place {
        let what = "the kernel of a lab's node has no routes";
        return section.fault_here(Fault::new(what, "give the routes as [[node.config.route]]"));
    }
    if terminal {
        let what = "a terminal's routes are those of the access router that it chooses";
        return section.fault_here(Fault::new(what, "remove this table"));
    }
    if !ports.iter().any(|port| has_interface(&port.attachment)) {
        let what = "no port has an interface that the kernel could have routes over";
        return section.fault_here(Fault::new(what, "remove this table, or add such a port"));
    }
    let tables = match &raw.tables {
        Some(tables) => {
            let read = |&table: &i64| match in_range::<u32>(table, 1..=i64::from(u32::MAX))? {
                LOCAL_TABLE => {
                    let what = "table 255 holds the kernel's own addresses, which is no matter of routes";
                    Err(Fault::new(what, "give that of a routing daemon, as 254"))
                }
                table => Ok(table),
            };
            section.list("tables", tables, read).and_then(|read| match tables.get(MAX_TABLES) {
                Some(beyond) => {
                    let what = format!("{} tables are too many", tables.len());
                    section.fault("tables", beyond.span(), Fault::new(what, format!("give at most {MAX_TABLES}")))
                }
                None if read.is_empty() => {
                    let what = "no table is followed";
                    section.fault("tables", section.span.clone(), Fault::new(what, "give one as tables = [254]"))
                }
                None => Some(read),
            })
        }
        None => {
            section.by_default("tables", vec![i64::from(KernelConfig::MAIN_TABLE)]);
            Some(vec![KernelConfig::MAIN_TABLE])
        }
    };
    let tables = tables.and_then(|read| {
        let mut seen = BTreeSet::new();
        match read.iter().position(|table| !seen.insert(*table)) {
            Some(index) => {
                let span = raw.tables.as_ref().map_or(section.span.clone(), |tables| tables[index].span());
                let fault = Fault::new("this table is given already", "give each table once");
                section.fault(format_args!("tables[{index}]"), span, fault)
            }
            None => Some(read),
        }
    });
    let protocols = match &raw.protocols {
        Some(names) => {
            section.list("protocols", names, |text| by_name(text)).map(|list| Some(list.into_iter().collect()))
        }
        None => Some(None),
    };
    let mut preferences = Some(BTreeMap::new());
    for (name, value) in &raw.preferences {
        let read = by_name(name)
            .and_then(|number| Ok((number, in_range(*value.get_ref(), 0..=i64::from(protocol::MAX_PREFERENCE))?)));
        match (read, &mut preferences) {
            (Ok((number, preference)), Some(preferences)) => drop(preferences.insert(number, preference)),
            (Ok(_), None) => {}
            (Err(fault), _) => preferences = section.fault(format_args!("preferences.{name}"), value.span(), fault),
        }
    }
    let default = KernelConfig::DEFAULT_MAX_ROUTES;
    let max_routes = section.number("max_routes", &raw.max_routes, 1..=MAX_ROUTES, default);
    Some(KernelConfig { tables: tables?, protocols: protocols?, preferences: preferences?, max_routes: max_routes? })
}

fn has_interface(attachment: &Attachment) -> bool {
    matches!(attachment, Attachment::AfXdp { .. } | Attachment::AfPacket { .. })
}

fn by_name(text: &str) -> Result<u8, Fault> {
    protocol::by_name(text).ok_or_else(|| {
        let names = protocol::names().collect::<Vec<_>>().join(", ");
        Fault::new(format!("\"{text}\" is no protocol of routes"), format!("give a number to 255, or one of {names}"))
    })
}

/// Reads `port.kernel`.
pub(super) fn rules(
    section: &Section<'_, '_>,
    raw: &RawPort,
    attachment: Option<&Attachment>,
    place: Place,
) -> Option<Option<Vec<KernelRule>>> {
    let Some(given) = &raw.kernel else { return Some(None) };
    let refuse = |what: &str, remedy: &str| section.fault("kernel", given.span(), Fault::new(what, remedy));
    match attachment {
        _ if matches!(place, Place::LabFile) => {
            return refuse("in a lab the kernel has no part in a port", "remove the key");
        }
        Some(Attachment::AfPacket { .. }) => {
            return refuse("the kernel has its own copy of all that comes to a port of this kind", "remove the key");
        }
        Some(Attachment::AfXdp { .. }) | None => {}
        Some(_) => return refuse("only ports of kind \"af_xdp\" leave packets to the kernel", "remove the key"),
    }
    let read = section.list("kernel", given.get_ref(), |text| rule(text))?;
    if read.len() > MAX_RULES {
        let what = format!("{} rules are too many", read.len());
        return section.fault("kernel", given.span(), Fault::new(what, format!("give at most {MAX_RULES}")));
    }
    let mut seen = BTreeSet::new();
    if let Some(index) = read.iter().position(|rule| !seen.insert(*rule)) {
        let fault = Fault::new(format!("{} is given already", read[index]), "give each rule once");
        return section.fault(format_args!("kernel[{index}]"), given.get_ref()[index].span(), fault);
    }
    Some(Some(read))
}

/// Upper-layer protocols that the node itself speaks, or that stand for no upper layer: 0, 43, 44 and 60 are extension headers.
const TAKEN: [(u8, &str); 8] = [
    (0, "the hop-by-hop options of Multicast Listener Discovery"),
    (43, "the routing header of Mobile IPv6"),
    (44, "a fragment's header, behind which there may be anything"),
    (58, "ICMPv6, of which the kernel gets what is for it"),
    (60, "the destination options of Mobile IPv6"),
    (103, "PIM"),
    (135, "the mobility header"),
    (59, "nothing at all"),
];

/// `"ospf"`, `"89"`, `"tcp/22"` or a prefix of destinations.
fn rule(text: &str) -> Result<KernelRule, Fault> {
    let remedy = || {
        let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
        format!("give a protocol ({}, or a number to 255), tcp/PORT, udp/PORT, or a prefix", names.join(", "))
    };
    let protocol = |number: u8| match TAKEN.iter().find(|(taken, _)| *taken == number) {
        Some((_, what)) => Err(Fault::new(format!("{number} is {what}, which is the node's"), remedy())),
        None => Ok(KernelRule::Protocol(number)),
    };
    if let Some((_, number)) = PROTOCOLS.iter().find(|(name, _)| *name == text) {
        return protocol(*number);
    }
    if let Ok(number) = text.parse() {
        return protocol(number);
    }
    for (name, number) in [("tcp/", 6), ("udp/", 17)] {
        if let Some(port) = text.strip_prefix(name) {
            return match port.parse() {
                Ok(port) if port > 0 => Ok(KernelRule::Port(number, port)),
                _ => Err(Fault::new(format!("\"{port}\" is no port"), "give 1 to 65535")),
            };
        }
    }
    if !text.contains('/') || !text.contains(':') {
        return Err(Fault::new(format!("\"{text}\" is no rule of what is the kernel's"), remedy()));
    }
    let prefix = unicast_prefix(text)?;
    if prefix.length() == 0 || is_link_local(prefix.address()) {
        let what = format!("{prefix} has addresses of the node in it");
        return Err(Fault::new(what, "give a routable prefix that is the kernel's alone"));
    }
    Ok(KernelRule::Prefix(prefix))
}

#[cfg(test)]
mod tests {
    use crate::config::parse;
    use std::path::Path;

    /// What is said about a file with these lines in its port and these tables behind it.
    fn said(port: &str, tables: &str) -> String {
        let text = format!("[node]\nname = \"x\"\n[[port]]\nname = \"a\"\ninterface = \"eth0\"\n{port}\n{tables}\n");
        parse("x.toml", &text, Path::new(""))
            .map_or_else(|error| error.to_string(), |config| format!("{:?}", config.kernel))
    }

    #[test]
    fn what_follows_the_kernel() {
        assert_eq!(said("", ""), "None");
        let all = said("", "[kernel]");
        assert!(all.contains("tables: [254]") && all.contains("protocols: None") && all.contains("262144"), "{all}");
        let some =
            said("", "[kernel]\ntables = [10, 254]\nprotocols = [\"ospf\", \"77\"]\npreferences = { ospf = 30 }");
        assert!(some.contains("[10, 254]") && some.contains("{77, 188}") && some.contains("{188: 30}"), "{some}");
        for (tables, wanted) in [
            ("tables = [255]", "x.toml:8: kernel.tables[0]: table 255 holds the kernel's own addresses"),
            ("tables = [254, 254]", "x.toml:8: kernel.tables[1]: this table is given already; give each table once"),
            ("tables = []", "kernel.tables: no table is followed; give one as tables = [254]"),
            ("tables = [0]", "x.toml:8: kernel.tables[0]: 0 is too small; give 1 to 4294967295"),
            (
                "protocols = [\"opsf\"]",
                "x.toml:8: kernel.protocols[0]: \"opsf\" is no protocol of routes; give a number",
            ),
            ("preferences = { ospf = -1 }", "x.toml:8: kernel.preferences.ospf: -1 is too small; give 0 to 2147483646"),
            ("max_routes = 0", "x.toml:8: kernel.max_routes: 0 is too small; give 1 to 1048576"),
        ] {
            let complaint = said("", &format!("[kernel]\n{tables}"));
            assert!(complaint.contains(wanted), "{complaint}");
        }
        let tun = "[node]\nname = \"x\"\n[[port]]\nname = \"a\"\nkind = \"tun\"\ninterface = \"t\"\n[kernel]\n";
        let complaint = parse("x.toml", tun, Path::new("")).map(drop).unwrap_err().to_string();
        assert!(complaint.contains("x.toml:7: kernel: no port has an interface"), "{complaint}");
    }

    #[test]
    fn what_is_the_kernels_of_a_port() {
        let rules = |port: &str| {
            let text = format!("[node]\nname = \"x\"\n[[port]]\nname = \"a\"\ninterface = \"eth0\"\n{port}\n");
            let config = parse("x.toml", &text, Path::new("")).map_err(|error| error.to_string());
            config.map(|config| {
                config.ports[0].kernel.as_ref().map(|rules| rules.iter().map(ToString::to_string).collect::<Vec<_>>())
            })
        };
        assert_eq!(rules(""), Ok(None));
        assert_eq!(rules("kernel = []"), Ok(Some(Vec::new())));
        let given = "kernel = [\"ospf\", \"50\", \"tcp/179\", \"udp/521\", \"2001:db8:9::/64\"]";
        let read = ["ospf", "esp", "tcp/179", "udp/521", "2001:db8:9::/64"].map(str::to_owned);
        assert_eq!(rules(given), Ok(Some(read.to_vec())));
        for (given, wanted) in [
            ("\"opsf\"", "x.toml:6: port[0].kernel[0]: \"opsf\" is no rule of what is the kernel's; give a protocol"),
            ("\"103\"", "port[0].kernel[0]: 103 is PIM, which is the node's"),
            ("\"tcp/0\"", "port[0].kernel[0]: \"0\" is no port; give 1 to 65535"),
            ("\"ospf\", \"89\"", "port[0].kernel[1]: ospf is given already; give each rule once"),
            ("\"fe80::/64\"", "port[0].kernel[0]: fe80::/64 has addresses of the node in it"),
            ("\"ff02::5/128\"", "port[0].kernel[0]: ff02::5/128 is a multicast prefix"),
        ] {
            let complaint = rules(&format!("kernel = [{given}]")).unwrap_err();
            assert!(complaint.contains(wanted), "{complaint}");
        }
        for (kind, wanted) in [("af_packet", "the kernel has its own copy"), ("tun", "only ports of kind")] {
            let complaint = rules(&format!("kind = \"{kind}\"\nkernel = []")).unwrap_err();
            assert!(complaint.contains(wanted), "{complaint}");
        }
    }
}
