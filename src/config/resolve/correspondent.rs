//! `[correspondent_node]`.

use super::super::document::Fault;
use super::super::raw::{RawCorrespondentNode, RawPreconfiguredKey, RawService};
use super::super::resolved::{Attachment, CorrespondentNodeConfig, PortConfig, PreconfiguredKeyConfig, Programs};
use super::association::{PreconfiguredFields, preconfigured_key};
use super::port_by_name;
use super::section::{Section, routable, span_of, unicast_prefix, word};
use core::net::Ipv6Addr;
use stack::host::services::{MAX_CONNECTIONS, MAX_SERVICES, Service, ServiceKind};
use stack::tables::HomeAddressPolicy;
use std::collections::BTreeSet;
use std::path::Path;
use toml::Spanned;

/// MAX_RR_BINDING_LIFETIME (RFC 6275 §12).
const MAX_LIFETIME_SECS: i64 = 420;
const MIN_LIFETIME_SECS: i64 = 4;
const DEFAULT_BINDINGS: usize = 4096;
const MAX_BINDINGS: i64 = 65_536;
const DEFAULT_CONNECTIONS: usize = 16;

/// Reads `[correspondent_node]`. `own` are the addresses of the node, `agents` those that agents of this node have.
pub(super) fn correspondent_node(
    section: &Section<'_, '_>,
    raw: &RawCorrespondentNode,
    ports: &[PortConfig],
    own: &[Ipv6Addr],
    agents: &[Ipv6Addr],
    directory: &Path,
) -> Option<CorrespondentNodeConfig> {
    let remedy = "give an address of this node as address = \"2001:db8:0:1::10\"";
    let address = section.required("address", &raw.address, remedy, |text| {
        let address = routable(text)?;
        if !own.contains(&address) {
            let what = format!("{address} is not an address of this node");
            Err(Fault::new(what, "add it to a port's addresses or to [node] loopback"))
        } else if agents.contains(&address) {
            let what = format!("{address} is the address of an agent on this node");
            Err(Fault::new(what, "give the correspondent another address"))
        } else {
            Ok(address)
        }
    });
    let policy = policy(section, raw);
    let lifetime = section.secs(
        "max_lifetime_secs",
        &raw.max_lifetime_secs,
        MIN_LIFETIME_SECS..=MAX_LIFETIME_SECS,
        MAX_LIFETIME_SECS as u64,
    );
    let max_bindings = section.number("max_bindings", &raw.max_bindings, 1..=MAX_BINDINGS, DEFAULT_BINDINGS);
    let home_prefixes = section.list("home_prefixes", &raw.home_prefixes, |text| unicast_prefix(text));
    let keys = preconfigured_keys(section, &raw.preconfigured_key, directory);
    let programs = programs(section, raw, ports);
    Some(CorrespondentNodeConfig {
        address: address?,
        policy: policy?,
        max_lifetime: lifetime?,
        max_bindings: max_bindings?,
        home_prefixes: home_prefixes?,
        preconfigured_keys: keys?,
        programs: programs?,
    })
}

fn policy(section: &Section<'_, '_>, raw: &RawCorrespondentNode) -> Option<HomeAddressPolicy> {
    #[derive(Clone, Copy, PartialEq)]
    enum Policy {
        CareOf,
        Site,
        Bound,
    }
    let words = [("rfc6275", Policy::CareOf), ("site", Policy::Site), ("patent", Policy::Bound)];
    let policy = section.choice("home_address_option", &raw.home_address_option, &words, Policy::CareOf)?;
    match (policy, &raw.sites) {
        (Policy::Site, Some(sites)) if !sites.is_empty() => {
            section.list("sites", sites, |text| unicast_prefix(text)).map(HomeAddressPolicy::Prefixes)
        }
        (Policy::Site, _) => section
            .missing("sites", "list the access prefixes that terminals send from as sites = [\"2001:db8:1::/48\"]"),
        (_, Some(sites)) => {
            let span = sites.first().map_or(section.span.clone(), Spanned::span);
            let what = "only the policy \"site\" looks at sites";
            section.fault("sites", span, Fault::new(what, "remove the key, or give home_address_option = \"site\""))
        }
        (Policy::CareOf, None) => Some(HomeAddressPolicy::CareOf),
        (Policy::Bound, None) => Some(HomeAddressPolicy::Bound),
    }
}

fn programs(section: &Section<'_, '_>, raw: &RawCorrespondentNode, ports: &[PortConfig]) -> Option<Programs> {
    let Some(tun) = &raw.tun else { return services(section, &raw.service).map(Programs::Services) };
    if let Some(service) = raw.service.first() {
        let what = "behind a TUN device the programs of this host answer";
        let remedy = "remove the service, or tun";
        return section.fault("service[0]", service.span(), Fault::new(what, remedy));
    }
    let port = port_by_name(section, "tun", &raw.tun, ports)?;
    if let Attachment::Tun { .. } = port.attachment {
        return Some(Programs::Tun(port.id));
    }
    let what = format!("the port \"{}\" is of kind \"{}\"", port.name, port.attachment.kind());
    section.fault("tun", tun.span(), Fault::new(what, "name a port of kind \"tun\""))
}

fn services(section: &Section<'_, '_>, raw: &[Spanned<RawService>]) -> Option<Vec<Service>> {
    if let Some(table) = raw.get(MAX_SERVICES) {
        let what = format!("{} services are too many", raw.len());
        return section.fault("service", table.span(), Fault::new(what, format!("give at most {MAX_SERVICES}")));
    }
    let mut taken = BTreeSet::new();
    section.tables("service", raw, |section, raw: &RawService| {
        let words = ServiceKind::ALL.map(|kind| (kind.name(), kind));
        let remedy = "say what it does as kind = \"tcp-echo\"";
        let kind = section.required("kind", &raw.kind, remedy, |text| word(text, &words))?;
        let number = section.number("transport_port", &raw.transport_port, 1..=65_535, kind.well_known_port())?;
        let connections =
            section.number("max_connections", &raw.max_connections, 1..=MAX_CONNECTIONS as i64, DEFAULT_CONNECTIONS)?;
        if !taken.insert((kind.is_udp(), number)) {
            let what = format!("the port {number} is taken by a service above");
            let fault = Fault::new(what, "give each service a port of its own");
            return section.fault("transport_port", span_of(section, &raw.transport_port), fault);
        }
        Some(Service { kind, port: number, max_connections: connections })
    })
}

fn preconfigured_keys(
    section: &Section<'_, '_>,
    raw: &[Spanned<RawPreconfiguredKey>],
    directory: &Path,
) -> Option<Vec<PreconfiguredKeyConfig>> {
    let mut terminals = BTreeSet::new();
    let mut keys = BTreeSet::new();
    section.tables("preconfigured_key", raw, |section, raw| {
        let remedy = "give the terminal's home address as home_address = \"2001:db8:100::55\"";
        let home_address = section.required("home_address", &raw.home_address, remedy, |text| {
            let address = routable(text)?;
            if terminals.insert(address) {
                Ok(address)
            } else {
                Err(Fault::new(format!("{address} is listed above"), "give each terminal one key"))
            }
        });
        let fields = PreconfiguredFields {
            key: &raw.key,
            key_file: &raw.key_file,
            home_nonce: &raw.home_nonce,
            care_of_nonce: &raw.care_of_nonce,
        };
        preconfigured_key(section, home_address, &fields, &mut keys, directory)
    })
}
