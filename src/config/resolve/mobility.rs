//! `[mma]`, `[home_agent]` and `[mobile_terminal]`.

use super::super::document::Fault;
use super::super::raw::{
    Field, RawAssociation, RawGre, RawHomeAgent, RawHomeAgentRange, RawMma, RawMobileTerminal, RawPreconfiguredPeer,
    RawRadio, RawTerminal,
};
use super::super::resolved::{
    AgentOptimisation, Attachment, CareOfMode, HomeAgentConfig, HomeDad, MmaConfig, MobileTerminalConfig, PortConfig,
    PreconfiguredKeyConfig, RadioConfig, SecurityAssociationConfig, ServedTerminal, TerminalMode, TerminalOptimisation,
    UplinkMode,
};
use super::association::{AssociationFields, PreconfiguredFields, association, preconfigured_key};
use super::routing::{AdvertisementDefaults, advertisement};
use super::section::{Section, eui64, in_range, routable, shown, span_of, unicast_prefix, word};
use super::{group, port_by_name};
use core::net::Ipv6Addr;
use core::time::Duration;
use mma::GrePolicy;
use stack::addr::Prefix;
use std::collections::BTreeSet;
use std::path::Path;
use toml::Spanned;

/// Lifetimes travel in units of four seconds in sixteen bits (RFC 6275 §6.1.7).
const LIFETIME_UNIT_SECS: i64 = 4;
/// How long the agent of a site that was left is asked to forward.
const DEFAULT_FORWARD_SECS: u64 = 32;
const MAX_FORWARD_SECS: i64 = 600;
const MAX_LIFETIME_SECS: i64 = 65_535 * LIFETIME_UNIT_SECS;
/// How long a mobility agent binds, unless told otherwise.
const DEFAULT_LIFETIME_SECS: u64 = 1_800;
/// MAX_RR_BINDING_LIFETIME (RFC 6275 §12): a correspondent may use an address for so long after it was released.
const QUARANTINE_SECS: u64 = 420;
/// For how long a former agent forwards at the most, where its operator says nothing else.
const DEFAULT_MAX_FORWARD_SECS: u64 = 120;
/// MAX_DELETE_BCE_TIMEOUT (RFC 6275 §12).
const DEREGISTRATION_HOLD_SECS: u64 = 10;
const NOBODY_IS_TOLD: &str = "with route_optimisation = \"off\" no correspondent is told anything";
const FORMER_CARE_OF_MS: u64 = ha::home_agent::FORMER_CARE_OF.as_millis() as u64;
/// The longest prefix that care-of addresses are chosen from.
const MAX_ASSIGNED_PREFIX: u8 = 112;
const DEFAULT_BINDINGS: usize = 65_536;
const MAX_BINDINGS: i64 = 4_194_304;

/// Reads `[mma]`.
pub(super) fn mobility_agent(
    section: &Section<'_, '_>,
    raw: &RawMma,
    ports: &[PortConfig],
    loopback: &[Ipv6Addr],
    directory: &Path,
) -> Option<MmaConfig> {
    let remedy = "give the agent's address, which [node] loopback lists too, as address = \"2001:db8:1::1\"";
    let address = section.required("address", &raw.address, remedy, |text| {
        let address = routable(text)?;
        if loopback.contains(&address) {
            Ok(address)
        } else {
            let what = format!("{address} is not a loopback address of this node");
            Err(Fault::new(what, format!("add it as [node] loopback = [\"{address}\"]")))
        }
    });
    let care_of = care_of(section, raw);
    let group_layout = group::layout(section, &raw.group);
    let own =
        ports.iter().flat_map(|port| port.addresses.iter().map(|own| own.address)).chain(loopback.iter().copied());
    if let (Some(layout), Some(table)) = (&group_layout, &raw.group)
        && let Some(rendezvous_point) = layout.rendezvous_point()
        && !own.into_iter().any(|address| address == rendezvous_point)
    {
        // Only there do the agent's data reach the shared tree without a Register.
        let what = format!("the rendezvous point {rendezvous_point} is no address of this node");
        let remedy = format!("add it as [node] loopback = [\"{rendezvous_point}\"] and route it here in the site");
        section.fault::<()>("group", table.span(), Fault::new(what, remedy));
    }
    let access_prefixes = match &raw.access_prefixes {
        Some(prefixes) if !prefixes.get_ref().is_empty() => {
            section.list("access_prefixes", prefixes.get_ref(), |text| unicast_prefix(text))
        }
        _ => section.missing("access_prefixes", "list the prefixes of the site's access links"),
    };
    let home_agents = home_agents(section, &raw.home_agent);
    let max_lifetime = lifetime(section, "max_lifetime_secs", &raw.max_lifetime_secs);
    let quarantine =
        section.secs("quarantine_secs", &raw.quarantine_secs, QUARANTINE_SECS as i64..=86_400, QUARANTINE_SECS);
    let max_bindings = section.number("max_bindings", &raw.max_bindings, 1..=MAX_BINDINGS, DEFAULT_BINDINGS);
    let gre = section.or("gre", &raw.gre, (GrePolicy::Offered, "offered"), |gre| match gre {
        RawGre::Flag(true) => Ok(GrePolicy::Offered),
        RawGre::Flag(false) => Ok(GrePolicy::Off),
        RawGre::Word(text) => {
            word(text, &[("off", GrePolicy::Off), ("offered", GrePolicy::Offered), ("required", GrePolicy::Required)])
        }
    });
    let peers = section.list("peers", &raw.peers, |text| unicast_prefix(text));
    let max_forward =
        section.secs("max_forward_secs", &raw.max_forward_secs, 4..=MAX_FORWARD_SECS, DEFAULT_MAX_FORWARD_SECS);
    let anchor = anchor(section, raw, address, ports);
    let words = [("mma", AgentOptimisation::Mma), ("off", AgentOptimisation::Off)];
    let route_optimisation =
        section.choice("route_optimisation", &raw.route_optimisation, &words, AgentOptimisation::default());
    let tells = route_optimisation != Some(AgentOptimisation::Off);
    let optimisation_with = optimisation_with(section, &raw.route_optimisation_with, tells);
    let has_home_agent = |address: Ipv6Addr| {
        let serves = |agents: &Vec<mma::HomeAgent>| agents.iter().any(|agent| agent.prefix.contains(address));
        if home_agents.as_ref().is_none_or(serves) {
            Ok(())
        } else {
            let what = format!("{address} has no home agent here");
            Err(Fault::new(what, "add the one of its home prefix as [[mma.home_agent]]"))
        }
    };
    let is_told = |correspondent: Ipv6Addr| match &optimisation_with {
        _ if !tells => Err(Fault::new(NOBODY_IS_TOLD, "remove the key, or route_optimisation")),
        Some(with) if !with.is_empty() && !with.iter().any(|prefix| prefix.contains(correspondent)) => Err(Fault::new(
            format!("{correspondent} is in no prefix of route_optimisation_with, so that it is told nothing"),
            "add its prefix there, or remove the key",
        )),
        _ => Ok(()),
    };
    let preconfigured_keys = preconfigured_keys(section, &raw.preconfigured_key, directory, has_home_agent, is_told);
    let site_key = match &raw.site_key {
        None => Some(None),
        key => shared_key(section, "site_key", key, directory).map(Some),
    };
    let terminals = terminals(section, &raw.terminal, directory, Agent::Mobility, has_home_agent);

    for (index, terminal) in raw.terminal.iter().enumerate() {
        let key = format_args!("terminal[{index}].eui64");
        group::check_identifier(section, key, &terminal.get_ref().eui64, group_layout.as_ref());
        if let Some(denied) = &terminal.get_ref().denied {
            let fault = Fault::new("only a home agent denies terminals", "take the terminal out of [[mma.terminal]]");
            section.fault::<()>(format_args!("terminal[{index}].denied"), denied.span(), fault);
        }
    }
    if let (Some(care_of), Some(access)) = (care_of, &access_prefixes) {
        let (key, field) = match care_of {
            CareOfMode::Shared(_) => ("care_of_address", &raw.care_of_address),
            _ => ("care_of_prefix", &raw.care_of_prefix),
        };
        let ours = match care_of {
            CareOfMode::Assigned(prefix) | CareOfMode::Stateless(prefix) => prefix,
            CareOfMode::Shared(address) => Prefix::host(address),
        };
        let links = ports.iter().flat_map(|port| port.addresses.iter().map(|address| address.prefix));
        if let Some(other) = access.iter().copied().chain(links).find(|other| overlap(*other, ours)) {
            let what = format!("{ours} is also used on a link, as {other}");
            let remedy = "give care-of addresses a prefix of their own, routed to this node";
            section.fault::<()>(key, span_of(section, field), Fault::new(what, remedy));
        }
    }
    Some(MmaConfig {
        address: address?,
        care_of: care_of?,
        group_layout: group_layout?,
        access_prefixes: access_prefixes?,
        home_agents: home_agents?,
        terminals: terminals?,
        site_key: site_key?,
        gre: gre?,
        peers: peers?,
        max_forward: max_forward?,
        forward_chain: section.flag("forward_chain", &raw.forward_chain, false),
        anchor: anchor?,
        route_optimisation: route_optimisation?,
        route_optimisation_with: optimisation_with?,
        preconfigured_keys: preconfigured_keys?,
        max_lifetime: max_lifetime?,
        quarantine: quarantine?,
        max_bindings: max_bindings?,
    })
}

/// The correspondents that are told care-of addresses, where any are.
fn optimisation_with(section: &Section<'_, '_>, raw: &[Spanned<String>], tells: bool) -> Option<Vec<Prefix>> {
    match raw.first() {
        Some(first) if !tells => {
            let fault = Fault::new(NOBODY_IS_TOLD, "remove one of the two keys");
            section.fault("route_optimisation_with", first.span(), fault)
        }
        _ => section.list("route_optimisation_with", raw, |text| unicast_prefix(text)),
    }
}

/// A key is that of one terminal and one correspondent (RFC 4449 §4).
fn preconfigured_keys(
    section: &Section<'_, '_>,
    raw: &[Spanned<RawPreconfiguredPeer>],
    directory: &Path,
    has_home_agent: impl Fn(Ipv6Addr) -> Result<(), Fault>,
    is_told: impl Fn(Ipv6Addr) -> Result<(), Fault>,
) -> Option<Vec<(Ipv6Addr, PreconfiguredKeyConfig)>> {
    let (mut pairs, mut keys) = (BTreeSet::new(), BTreeSet::new());
    section.tables("preconfigured_key", raw, |section, raw| {
        let remedy = "give the terminal's home address as home_address = \"2001:db8:100:1::55\"";
        let home_address = section.required("home_address", &raw.home_address, remedy, |text| {
            let address = routable(text)?;
            has_home_agent(address).map(|()| address)
        });
        let remedy = "give the address of who shares the key as correspondent = \"2001:db8:d::10\"";
        let correspondent = section.required("correspondent", &raw.correspondent, remedy, |text| {
            let address = routable(text)?;
            is_told(address)?;
            if home_address.is_none_or(|home_address| pairs.insert((home_address, address))) {
                Ok(address)
            } else {
                Err(Fault::new("the two have a key above", "give each terminal one key for each correspondent"))
            }
        });
        let fields = PreconfiguredFields {
            key: &raw.key,
            key_file: &raw.key_file,
            home_nonce: &raw.home_nonce,
            care_of_nonce: &raw.care_of_nonce,
        };
        let key = preconfigured_key(section, home_address, &fields, &mut keys, directory)?;
        Some((correspondent?, key))
    })
}

/// Regional addresses are made of the /64 of the agent's address, which terminals know from the MAP option.
fn anchor(
    section: &Section<'_, '_>,
    raw: &RawMma,
    address: Option<Ipv6Addr>,
    ports: &[PortConfig],
) -> Option<mma::Anchor> {
    if !section.flag("anchor", &raw.anchor, false) {
        return Some(mma::Anchor::Off);
    }
    let prefix = Prefix::of_link(address?);
    let links = ports.iter().flat_map(|port| port.addresses.iter().map(|address| address.prefix));
    if let Some(other) = links.into_iter().find(|other| overlap(*other, prefix)) {
        let what = format!("{prefix}, of which regional addresses would be, is also used on a link, as {other}");
        let remedy = "give the agent an address in a /64 of its own, routed to this node";
        return section.fault("anchor", span_of(section, &raw.anchor), Fault::new(what, remedy));
    }
    Some(mma::Anchor::Prefix(prefix))
}

fn home_agents(section: &Section<'_, '_>, raw: &[Spanned<RawHomeAgentRange>]) -> Option<Vec<mma::HomeAgent>> {
    if raw.is_empty() {
        let remedy = "name the home agents that may tunnel to this agent as [[mma.home_agent]] with address = \"…\"";
        return section.missing("home_agent", remedy);
    }
    let mut seen = BTreeSet::new();
    section.tables("home_agent", raw, |section, raw| {
        let remedy = "give the home agent's address as address = \"2001:db8:100:1::1\"";
        let agent = section.required("address", &raw.address, remedy, |text| routable(text))?;
        let prefix = section.or("prefix", &raw.prefix, shown(Prefix::of_link(agent)), |text| unicast_prefix(text))?;
        if !seen.insert(prefix) {
            let fault = Fault::new(format!("{prefix} has a home agent above"), "give each prefix one home agent");
            return section.fault("prefix", span_of(section, &raw.prefix), fault);
        }
        Some(mma::HomeAgent { prefix, agent })
    })
}

fn overlap(a: Prefix, b: Prefix) -> bool {
    a.contains(b.address()) || b.contains(a.address())
}

fn care_of(section: &Section<'_, '_>, raw: &RawMma) -> Option<CareOfMode> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mode {
        Assigned,
        Stateless,
        Shared,
    }
    let modes = [("assigned", Mode::Assigned), ("stateless", Mode::Stateless), ("shared", Mode::Shared)];
    let mode = section.choice("care_of", &raw.care_of, &modes, Mode::Assigned)?;
    if mode == Mode::Shared {
        if let Some(prefix) = &raw.care_of_prefix {
            let what = "the mode \"shared\" has one address, not a prefix";
            return section.fault("care_of_prefix", prefix.span(), Fault::new(what, "give care_of_address"));
        }
        let remedy = "give the one care-of address as care_of_address = \"2001:db8:1:c::1\"";
        let address = section.required("care_of_address", &raw.care_of_address, remedy, |text| routable(text));
        return address.map(CareOfMode::Shared);
    }
    if let Some(address) = &raw.care_of_address {
        let what = "only the mode \"shared\" has one address";
        return section.fault("care_of_address", address.span(), Fault::new(what, "give care_of_prefix"));
    }
    let remedy = "give the prefix of care-of addresses as care_of_prefix = \"2001:db8:1:c::/64\"";
    let prefix = section.required("care_of_prefix", &raw.care_of_prefix, remedy, |text| {
        let prefix = unicast_prefix(text)?;
        let longest = if mode == Mode::Assigned { MAX_ASSIGNED_PREFIX } else { 64 };
        if (64..=longest).contains(&prefix.length()) {
            Ok(prefix)
        } else {
            let what = format!("{prefix} has {} bits", prefix.length());
            let remedy = if longest == 64 { "give a prefix of 64 bits" } else { "give a prefix of 64 to 112 bits" };
            Err(Fault::new(what, remedy))
        }
    })?;
    Some(if mode == Mode::Assigned { CareOfMode::Assigned(prefix) } else { CareOfMode::Stateless(prefix) })
}

fn lifetime(section: &Section<'_, '_>, key: &str, field: &Field<i64>) -> Option<Duration> {
    let range = LIFETIME_UNIT_SECS..=MAX_LIFETIME_SECS;
    section.secs(key, field, range, DEFAULT_LIFETIME_SECS)
}

/// Whose terminals are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Agent {
    Mobility,
    Home,
}

fn terminals(
    section: &Section<'_, '_>,
    raw: &[Spanned<RawTerminal>],
    directory: &Path,
    agent: Agent,
    fits: impl Fn(Ipv6Addr) -> Result<(), Fault>,
) -> Option<Vec<ServedTerminal>> {
    let mut seen = BTreeSet::new();
    let mut replay = None;
    section.tables("terminal", raw, |section, raw| {
        let remedy = "give the terminal's home address as home_address = \"2001:db8:100::55\"";
        let home_address = section.required("home_address", &raw.home_address, remedy, |text| {
            let address = routable(text)?;
            fits(address)?;
            if seen.insert(address) {
                Ok(address)
            } else {
                Err(Fault::new(format!("{address} is listed above"), "list each terminal once"))
            }
        });
        let eui64 = section.optional("eui64", &raw.eui64, |text| eui64(text));
        let fields = AssociationFields {
            spi: &raw.spi,
            algorithm: &raw.algorithm,
            key: &raw.key,
            key_file: &raw.key_file,
            replay: Some(&raw.replay),
        };
        let association = association(section, &fields, directory);
        if let Some(association) = &association
            && *replay.get_or_insert(association.replay) != association.replay
        {
            let what = "one agent protects all its terminals in the same way";
            let remedy = "give the same replay to all terminals";
            return section.fault("replay", span_of(section, &raw.replay), Fault::new(what, remedy));
        }
        let denied = section.only_where(agent == Agent::Home).flag("denied", &raw.denied, false);
        Some(ServedTerminal { home_address: home_address?, association: association?, eui64: eui64?, denied })
    })
}

/// Reads `[home_agent]`.
pub(super) fn home_agent(
    section: &Section<'_, '_>,
    raw: &RawHomeAgent,
    ports: &[PortConfig],
    directory: &Path,
) -> Option<HomeAgentConfig> {
    let port = port_by_name(section, "port", &raw.port, ports)?;
    if let Attachment::Tun { .. } = port.attachment {
        let what = format!("the port \"{}\" is a TUN device, not a home link", port.name);
        return section.fault("port", span_of(section, &raw.port), Fault::new(what, "name an Ethernet port"));
    }
    let remedy = "give the agent's address on the home link as address = \"2001:db8:100::1\"";
    let own = section.required("address", &raw.address, remedy, |text| {
        let address = routable(text)?;
        port.addresses.iter().find(|own| own.address == address).copied().ok_or_else(|| {
            let what = format!("{address} is not an address of the port \"{}\"", port.name);
            Fault::new(what, "add it to the port's addresses")
        })
    })?;
    let words = [("strict", HomeDad::Strict), ("optimistic", HomeDad::Optimistic), ("off", HomeDad::Off)];
    let dad = section.choice("dad", &raw.dad, &words, HomeDad::default());
    let max_lifetime = lifetime(section, "max_lifetime_secs", &raw.max_lifetime_secs);
    let hold =
        section.secs("deregistration_hold_secs", &raw.deregistration_hold_secs, 0..=3_600, DEREGISTRATION_HOLD_SECS);
    let former = section.millis("former_care_of_ms", &raw.former_care_of_ms, 0..=10_000, FORMER_CARE_OF_MS);
    let max_bindings = section.number("max_bindings", &raw.max_bindings, 1..=MAX_BINDINGS, DEFAULT_BINDINGS);
    let care_of_prefixes = section.list("care_of_prefixes", &raw.care_of_prefixes, |text| unicast_prefix(text));
    let defaults = AdvertisementDefaults { fast_solicited: false, home_agent: true };
    let advertisement = advertisement(section, &raw.ra, port, defaults);
    let terminals = terminals(section, &raw.terminal, directory, Agent::Home, |address| {
        if !own.prefix.contains(address) {
            let what = format!("{address} is not in the home prefix {}", own.prefix);
            Err(Fault::new(what, "give an address of the home link"))
        } else if ports.iter().any(|port| port.addresses.iter().any(|own| own.address == address)) {
            Err(Fault::new(format!("{address} is this node's own"), "give the terminal another address"))
        } else {
            Ok(())
        }
    });
    Some(HomeAgentConfig {
        port: port.id,
        prefix: own.prefix,
        address: own.address,
        dad: dad?,
        terminals: terminals?,
        max_lifetime: max_lifetime?,
        deregistration_hold: hold?,
        former_care_of: former?,
        max_bindings: max_bindings?,
        care_of_prefixes: care_of_prefixes?,
        prefix_advertisements: section.flag("prefix_advertisements", &raw.prefix_advertisements, false),
        advertisement: advertisement?,
    })
}

/// The longest prefix with an anycast address of its home agents (RFC 2526 §2).
const MAX_ANYCAST_PREFIX: u8 = 121;
/// Radio ports of a terminal at the most.
const MAX_RADIOS: usize = 8;
/// Repeats of a report at the most.
const MAX_REPEATS: usize = 7;
/// When a report is repeated, where a lost one costs packets: sooner than the second of RFC 3810 §9.11.
const REPORT_REPEATS_MS: [u64; 3] = [10, 50, 200];

/// Reads `[mobile_terminal]`.
pub(super) fn mobile_terminal(
    section: &Section<'_, '_>,
    raw: &RawMobileTerminal,
    ports: &[PortConfig],
    directory: &Path,
) -> Option<MobileTerminalConfig> {
    let remedy = "give the address that programs use as home_address = \"2001:db8:100::55\"";
    let home_address = section.required("home_address", &raw.home_address, remedy, |text| routable(text))?;
    let link = Prefix::of_link(home_address);
    let home_prefix = section.or("home_prefix", &raw.home_prefix, shown(link), |text| {
        let prefix = unicast_prefix(text)?;
        if prefix.contains(home_address) {
            Ok(prefix)
        } else {
            let what = format!("the home address {home_address} is not in {prefix}");
            Err(Fault::new(what, format!("give {link}, or another home_address")))
        }
    });
    let remedy = "give the home agent's address as home_agent = \"2001:db8:100::1\", or \"discover\"";
    let home_agent = section.required("home_agent", &raw.home_agent, remedy, |text| {
        let prefix = home_prefix.unwrap_or(link);
        if text == "discover" {
            if prefix.length() <= MAX_ANYCAST_PREFIX {
                return Ok(None);
            }
            let what = format!("{prefix} has no room for the anycast address of its home agents");
            return Err(Fault::new(what, "give the home agent's address"));
        }
        if text.parse::<Ipv6Addr>().is_err() {
            let what = format!("\"{text}\" is not an IPv6 address");
            return Err(Fault::new(what, "give the home agent's address, or \"discover\""));
        }
        let address = routable(text)?;
        if address == home_address || !prefix.contains(address) {
            let what = format!("{address} is not another address in the home prefix {prefix}");
            Err(Fault::new(what, "give the agent's address on the home link"))
        } else {
            Ok(Some(address))
        }
    });
    let remedy = "give the EUI-64 of the terminal's radio as eui64 = \"02-00-5e-ff-fe-10-00-01\"";
    let eui64 = section.required("eui64", &raw.eui64, remedy, |text| eui64(text));
    let group_layout = group::layout(section, &raw.group);
    group::check_identifier(section, "eui64", &raw.eui64, group_layout.as_ref());
    let home_agent_association = shared_key(section, "home_agent_association", &raw.home_agent_association, directory);
    let mma_association = shared_key(section, "mma_association", &raw.mma_association, directory);
    let tun = match &raw.tun {
        None => Some(None),
        Some(_) => tun_port(section, &raw.tun, ports).map(Some),
    };
    let radios = radios(section, raw, ports, directory);
    let modes = [
        ("multicast", TerminalMode::Multicast),
        ("hmipv6", TerminalMode::Hierarchical),
        ("mipv6", TerminalMode::Plain),
    ];
    let mode = section.choice("mode", &raw.mode, &modes, TerminalMode::default());
    let words =
        [("mma", TerminalOptimisation::Mma), ("mt", TerminalOptimisation::Mt), ("off", TerminalOptimisation::Off)];
    let optimisation =
        section.choice("route_optimisation", &raw.route_optimisation, &words, TerminalOptimisation::default());
    let tells = optimisation != Some(TerminalOptimisation::Off);
    let optimisation_with = optimisation_with(section, &raw.route_optimisation_with, tells);
    let words = [("direct", UplinkMode::Direct), ("mma", UplinkMode::Mma), ("auto", UplinkMode::Auto)];
    let uplink = section.choice("uplink", &raw.uplink, &words, UplinkMode::default());
    let direct = section.list("direct_correspondents", &raw.direct_correspondents, |text| routable(text));
    let lifetime = lifetime(section, "lifetime_secs", &raw.lifetime_secs);
    let forward_by_default = (Duration::from_secs(DEFAULT_FORWARD_SECS), DEFAULT_FORWARD_SECS as i64);
    let forward = section.or("forward_secs", &raw.forward_secs, forward_by_default, |&secs| {
        let secs = in_range::<u64>(secs, 0..=MAX_FORWARD_SECS)?;
        if secs.is_multiple_of(LIFETIME_UNIT_SECS as u64) {
            Ok(Duration::from_secs(secs))
        } else {
            Err(Fault::new(format!("{secs} is no multiple of {LIFETIME_UNIT_SECS}"), "give 32"))
        }
    });
    let hysteresis = section.number("hysteresis_db", &raw.hysteresis_db, 0..=40, 6_u8);
    let weight = section.number("signal_weight_percent", &raw.signal_weight_percent, 1..=100, 25_u8);
    let minimum = section.number("minimum_signal_dbm", &raw.minimum_signal_dbm, -150..=0, -110_i16);
    let period = section.millis("signal_period_ms", &raw.signal_period_ms, 1..=10_000, 50);
    let dwell = section.millis("minimum_dwell_ms", &raw.minimum_dwell_ms, 0..=60_000, 1_000);
    let reorder_delay = section.millis("reorder_ms", &raw.reorder_ms, 0..=100, 5);
    let overlap = section.millis("overlap_ms", &raw.overlap_ms, 0..=60_000, 500);
    let leave_delay = section.millis("leave_delay_ms", &raw.leave_delay_ms, 0..=60_000, 100);
    let repeats = match &raw.report_repeats_ms {
        None => Some(REPORT_REPEATS_MS.map(Duration::from_millis).to_vec()),
        Some(repeats) if repeats.len() > MAX_REPEATS => {
            let what = format!("{} repeats are too many", repeats.len());
            let fault = Fault::new(what, format!("give at most {MAX_REPEATS}"));
            section.fault("report_repeats_ms", repeats[MAX_REPEATS].span(), fault)
        }
        Some(repeats) => section.list("report_repeats_ms", repeats, |&repeat| {
            in_range::<u64>(repeat, 1..=10_000).map(Duration::from_millis)
        }),
    };
    Some(MobileTerminalConfig {
        home_address,
        home_prefix: home_prefix?,
        home_agent: home_agent?,
        home_agent_association: home_agent_association?,
        mma_association: mma_association?,
        eui64: eui64?,
        group_layout: group_layout?,
        radios: radios?,
        tun: tun?,
        mode: mode?,
        route_optimisation: optimisation?,
        route_optimisation_with: optimisation_with?,
        uplink: uplink?,
        reorder_delay: reorder_delay?,
        direct_correspondents: direct?,
        gre: section.flag("gre", &raw.gre, true),
        report_moves: section.flag("report_moves", &raw.report_moves, false),
        lifetime: lifetime?,
        forward: forward?,
        hysteresis_db: hysteresis?,
        signal_weight_percent: weight?,
        minimum_signal_dbm: minimum?,
        signal_period: period?,
        minimum_dwell: dwell?,
        overlap: overlap?,
        leave_delay: leave_delay?,
        report_repeats: repeats?,
    })
}

fn shared_key(
    section: &Section<'_, '_>,
    key: &str,
    field: &Field<RawAssociation>,
    directory: &Path,
) -> Option<SecurityAssociationConfig> {
    let Some(table) = field else {
        let remedy = format!("add [{}] with spi and key_file", section.child(key));
        return section.missing(key, &remedy);
    };
    let raw = table.get_ref();
    let fields = AssociationFields {
        spi: &raw.spi,
        algorithm: &raw.algorithm,
        key: &raw.key,
        key_file: &raw.key_file,
        replay: Some(&raw.replay),
    };
    association(&section.inner(key, table.span()), &fields, directory)
}

fn tun_port(section: &Section<'_, '_>, field: &Field<String>, ports: &[PortConfig]) -> Option<stack::machine::PortId> {
    let port = port_by_name(section, "tun", field, ports)?;
    match port.attachment {
        Attachment::Tun { .. } => Some(port.id),
        _ => {
            let what = format!("the port \"{}\" is of kind \"{}\"", port.name, port.attachment.kind());
            section.fault("tun", span_of(section, field), Fault::new(what, "name a port of kind \"tun\""))
        }
    }
}

fn radios(
    section: &Section<'_, '_>,
    raw: &RawMobileTerminal,
    ports: &[PortConfig],
    directory: &Path,
) -> Option<Vec<RadioConfig>> {
    if raw.radio.is_empty() {
        return section.missing("radio", "name the radio ports as [[mobile_terminal.radio]] with port = \"…\"");
    }
    if let Some(table) = raw.radio.get(MAX_RADIOS) {
        let what = format!("{} radios are too many", raw.radio.len());
        return section.fault("radio", table.span(), Fault::new(what, format!("give at most {MAX_RADIOS}")));
    }
    let mut named = BTreeSet::new();
    section.tables("radio", &raw.radio, |section, raw: &RawRadio| {
        let port = port_by_name(section, "port", &raw.port, ports)?;
        if let Attachment::Tun { .. } = port.attachment {
            let what = format!("the port \"{}\" is a TUN device", port.name);
            return section.fault("port", span_of(section, &raw.port), Fault::new(what, "name an Ethernet port"));
        }
        if !named.insert(port.id) {
            let fault = Fault::new("this port has a table above", "write one table a radio");
            return section.fault("port", span_of(section, &raw.port), fault);
        }
        let initial = section.optional("signal_dbm", &raw.signal_dbm, |&dbm| in_range::<i16>(dbm, -150..=0));
        let cost = section.number("cost_db", &raw.cost_db, 0..=100, 0_i16);
        Some(RadioConfig {
            port: port.id,
            signal_file: raw.signal_file.as_ref().map(|file| directory.join(file.get_ref())),
            initial_signal_dbm: initial?,
            cost_db: cost?,
        })
    })
}
