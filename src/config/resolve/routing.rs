//! `[router]`, `[access_router]` and router advertisements.

use super::super::document::Fault;
use super::super::raw::{
    Field, RawAccessRouter, RawAdvertisedPrefix, RawAdvertisement, RawHold, RawMap, RawMld, RawPimPort, RawRouter,
    RawWordOrPrefixes,
};
use super::super::resolved::{
    AccessPort, AccessRouterConfig, AdvertisedHomeAgent, AdvertisedMap, AdvertisedPrefix, Attachment, HoldConfig,
    MldConfig, PimPort, PortConfig, RouterAdvertisementConfig, RouterConfig,
};
use super::port_by_name;
use super::ports::{MAX_MTU, MIN_MTU};
use super::rendezvous::{OwnAddresses, rendezvous_points, zone_scope};
use super::section::{Section, in_range, multicast_prefix, prefix, routable, shown, span_of, unicast_prefix};
use core::net::Ipv6Addr;
use core::time::Duration;
use pim::Delivery;
use pim::mld::Version;
use pim::{BsrBoundary, EMBEDDED_RANGE, SptSwitchover};
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::pipeline::Limits;
use stack::wire::mld::MAX_V1_RESPONSE_DELAY;
use std::collections::BTreeSet;
use toml::Spanned;

/// Entries of the multicast table where a file says nothing, and at the most.
const DEFAULT_ENTRIES: usize = 65_536;
const MAX_ENTRIES: i64 = 4_194_304;
/// Groups of one host, and sources that it names, where a file says nothing.
const DEFAULT_HOST_GROUPS: usize = 64;
const DEFAULT_HOST_SOURCES: usize = 256;

/// Reads `[router]`. Every Ethernet port that is no site border takes part; `[[router.port]]` changes single ones.
pub(super) fn router(
    section: &Section<'_, '_>,
    raw: &RawRouter,
    ports: &[PortConfig],
    loopback: &[Ipv6Addr],
    advertised: &[&str],
    mobility_range: Prefix,
) -> Option<RouterConfig> {
    let ssm_ranges = section.list("ssm_ranges", &raw.ssm_ranges, |text| multicast_prefix(text));
    // An agent whose terminals' groups name their rendezvous point is that.
    let serves_embedded = EMBEDDED_RANGE.contains(mobility_range.address());
    let mobility_range =
        section.or("mobility_range", &raw.mobility_range, shown(mobility_range), |text| multicast_prefix(text));
    let period = section.secs("join_prune_period_secs", &raw.join_prune_period_secs, 1..=18_000, 60);
    let suppression = section.secs("register_suppression_secs", &raw.register_suppression_secs, 11..=18_000, 60);
    let max_entries = section.number("max_entries", &raw.max_entries, 1..=MAX_ENTRIES, DEFAULT_ENTRIES);
    // Whoever sends, or registers, leaves room for those who join.
    let half = max_entries.map_or(1, |entries: usize| (entries / 2).max(1));
    let max_sources = section.number("max_sources", &raw.max_sources, 1..=MAX_ENTRIES, half);
    let spt_switchover = match &raw.spt_switchover {
        Some(policy) => spt_switchover(section, policy),
        None => {
            section.by_default("spt_switchover", "immediate");
            Some(SptSwitchover::default())
        }
    };
    let own = OwnAddresses { ports, loopback };
    let rendezvous_points =
        rendezvous_points(section, raw, own, ssm_ranges.as_deref().unwrap_or_default(), serves_embedded);
    let mut named = BTreeSet::new();
    let changed = section.tables("port", &raw.port, |section, raw| {
        let port = port_by_name(section, "name", &raw.name, ports)?;
        once(section, "name", &raw.name, &mut named, port.id)?;
        if port.site_border || is_tun(port) {
            let what = format!("no PIM is spoken on the port \"{}\": it is a site border or a TUN device", port.name);
            return section.fault("name", span_of(section, &raw.name), Fault::new(what, "remove this table"));
        }
        pim_port(section, raw, port.id, advertised.contains(&port.name.as_str()))
    });
    let changed = changed?;
    let taking_part = ports.iter().filter(|port| !port.site_border && !is_tun(port));
    let nothing = RawPimPort::default();
    let mut tables = changed.len();
    let ports = taking_part
        .map(|port| match changed.iter().find(|changed| changed.port == port.id) {
            Some(changed) => Some(changed.clone()),
            None => {
                let section = section.inner(format_args!("port[{tables}]"), section.span.clone());
                tables += 1;
                section.by_default("name", port.name.as_str());
                pim_port(&section, &nothing, port.id, advertised.contains(&port.name.as_str()))
            }
        })
        .collect::<Option<Vec<_>>>();
    Some(RouterConfig {
        ssm_ranges: ssm_ranges?,
        mobility_range: mobility_range?,
        join_prune_period: period?,
        register_suppression_time: suppression?,
        max_entries: max_entries?,
        max_sources: max_sources?,
        spt_switchover: spt_switchover?,
        rendezvous_points: rendezvous_points?,
        ports: ports?,
    })
}

fn spt_switchover(section: &Section<'_, '_>, raw: &Spanned<RawWordOrPrefixes>) -> Option<SptSwitchover> {
    let words =
        [("immediate", SptSwitchover::Immediate), ("always", SptSwitchover::Always), ("never", SptSwitchover::Never)];
    let remedy = "give \"immediate\", \"always\", \"never\" or a list of prefixes of groups";
    section.word_or_prefixes("spt_switchover", raw, words, SptSwitchover::Groups, multicast_prefix, remedy)
}

fn pim_port(section: &Section<'_, '_>, raw: &RawPimPort, port: PortId, terminals: bool) -> Option<PimPort> {
    let passive = section.flag("passive", &raw.passive, terminals);
    let section = &section.only_where(!passive);
    let dr_priority = section.number::<u32>("dr_priority", &raw.dr_priority, 0..=i64::from(u32::MAX), 1);
    let hello_period = section.secs("hello_period_secs", &raw.hello_period_secs, 1..=18_000, 30);
    let propagation = section.millis("propagation_delay_ms", &raw.propagation_delay_ms, 0..=32_767, 500);
    let override_interval = section.millis("override_interval_ms", &raw.override_interval_ms, 0..=65_535, 2_500);
    let neighbors = match &raw.neighbors {
        Some(list) => section.list("neighbors", list, |text| prefix(text)).map(Some),
        None => Some(None),
    };
    let joins = match &raw.joins {
        Some(list) => section.list("joins", list, |text| multicast_prefix(text)).map(Some),
        None => Some(None),
    };
    let boundary = section.list("boundary", &raw.boundary, |text| multicast_prefix(text));
    let scope_boundary = section.optional("bsr_scope_boundary", &raw.bsr_scope_boundary, |&scope| zone_scope(scope));
    let bsr_boundary = match (section.flag("bsr_boundary", &raw.bsr_boundary, false), scope_boundary?) {
        (true, Some(_)) => {
            let what = "bsr_boundary keeps the messages of all scopes in";
            let fault = Fault::new(what, "remove this key, or bsr_boundary");
            return section.fault("bsr_scope_boundary", span_of(section, &raw.bsr_scope_boundary), fault);
        }
        (true, None) => BsrBoundary::Closed,
        (false, Some(scope)) => BsrBoundary::Scope(scope),
        (false, None) => BsrBoundary::Open,
    };
    Some(PimPort {
        port,
        passive,
        dr_priority: dr_priority?,
        hello_period: hello_period?,
        hello_at_once: section.flag("hello_at_once", &raw.hello_at_once, false),
        propagation_delay: propagation?,
        override_interval: override_interval?,
        neighbors: neighbors?,
        joins: joins?,
        boundary: boundary?,
        bsr_boundary,
    })
}

fn is_tun(port: &PortConfig) -> bool {
    matches!(port.attachment, Attachment::Tun { .. })
}

fn once(
    section: &Section<'_, '_>,
    key: &str,
    field: &Field<String>,
    named: &mut BTreeSet<PortId>,
    port: PortId,
) -> Option<()> {
    if named.insert(port) {
        return Some(());
    }
    let fault = Fault::new("this port has a table above", "write one table a port");
    section.fault(key, span_of(section, field), fault)
}

/// Reads `[access_router]`, but for its mesh.
pub(super) fn access_router(
    section: &Section<'_, '_>,
    raw: &RawAccessRouter,
    ports: &[PortConfig],
    router: Option<&RouterConfig>,
    immediate_leave: Prefix,
) -> Option<AccessRouterConfig> {
    if raw.port.is_empty() {
        let remedy = "name the terminals' links as [[access_router.port]] with name = \"…\"";
        return section.missing("port", remedy);
    }
    let mut named = BTreeSet::new();
    let ports = section.tables("port", &raw.port, |section, raw| {
        let port = port_by_name(section, "name", &raw.name, ports)?;
        once(section, "name", &raw.name, &mut named, port.id)?;
        if is_tun(port) {
            let what = format!("the port \"{}\" is a TUN device, not a link of terminals", port.name);
            return section.fault("name", span_of(section, &raw.name), Fault::new(what, "name an Ethernet port"));
        }
        let defaults = AdvertisementDefaults { fast_solicited: true, home_agent: false };
        let advertisement = advertisement(section, &raw.ra, port, defaults);
        let mld = mld(section, &raw.mld, immediate_leave);
        let delivery = delivery(section, &raw.unicast_delivery, port, router, mld.as_ref());
        Some(AccessPort { port: port.id, advertisement: advertisement?, mld: mld?, delivery: delivery? })
    })?;
    let hold = hold(section, &raw.hold);
    Some(AccessRouterConfig { ports, hold: hold?, mesh: None })
}

/// How packets of terminals that are expected are kept. What one group keeps leaves at once, so that it has to fit into the
/// queue of a port.
fn hold(section: &Section<'_, '_>, field: &Field<RawHold>) -> Option<HoldConfig> {
    let default = HoldConfig::default();
    let nothing = RawHold::default();
    let raw = field.as_ref().map_or(&nothing, Spanned::get_ref);
    let section = &section.inner("hold", span_of(section, field));
    let time = section.millis("time_ms", &raw.time_ms, 0..=1000, default.time.as_millis() as u64);
    let packets = section.number("packets", &raw.packets, 1..=1 << 20, default.packets);
    let most = Limits::default().output_queue as i64 / 2;
    let of_group = section.number("packets_of_group", &raw.packets_of_group, 1..=most, default.packets_of_group);
    Some(HoldConfig { time: time?, packets: packets?, packets_of_group: of_group? })
}

/// To which link-layer address terminals' groups go. Who listens has to be known: hosts of version 1 are not, nor are the
/// members behind another router.
fn delivery(
    section: &Section<'_, '_>,
    field: &Field<bool>,
    port: &PortConfig,
    router: Option<&RouterConfig>,
    mld: Option<&MldConfig>,
) -> Option<Delivery> {
    if !section.flag("unicast_delivery", field, false) {
        return Some(Delivery::Group);
    }
    let wrong = |what: String, remedy: &str| {
        section.fault("unicast_delivery", span_of(section, field), Fault::new(what, remedy))
    };
    if mld.is_some_and(|mld| mld.version == Version::V1) {
        return wrong("a querier of version 1 does not know who listens".to_owned(), "give mld_version = 2, or false");
    }
    if router.is_some_and(|router| router.ports.iter().any(|pim| pim.port == port.id && !pim.passive)) {
        let what = format!("PIM is spoken on the port \"{}\", where other routers may want a group", port.name);
        return wrong(what, "give passive = true in its [[router.port]], or false");
    }
    Some(Delivery::OnlyListener)
}

/// What an advertisement holds where the file says nothing.
#[derive(Clone, Copy)]
pub(super) struct AdvertisementDefaults {
    /// Answer solicitations at once and to the sender alone.
    pub(super) fast_solicited: bool,
    /// Carry the Home Agent Information option, the H bit, the interval option and whole addresses in prefixes.
    pub(super) home_agent: bool,
}

/// MinRtrAdvInterval at the least (RFC 6275 §7.5) and at the most (RFC 4861 §6.2.1).
const MIN_INTERVAL_MS: i64 = 30;
const MAX_INTERVAL_MS: i64 = 1_800_000;
/// AdvDefaultLifetime at the most (RFC 4861 §6.2.1).
const MAX_ROUTER_LIFETIME_SECS: i64 = 9_000;
/// Defaults of RFC 4861 §6.2.1.
const VALID_LIFETIME_SECS: u64 = 2_592_000;
const PREFERRED_LIFETIME_SECS: u64 = 604_800;
/// Entries of an advertisement: they have to fit into 1,280 octets together.
const MAX_ADVERTISED: usize = 16;

pub(super) fn advertisement(
    section: &Section<'_, '_>,
    field: &Field<RawAdvertisement>,
    port: &PortConfig,
    defaults: AdvertisementDefaults,
) -> Option<RouterAdvertisementConfig> {
    let nothing = RawAdvertisement::default();
    let raw = field.as_ref().map_or(&nothing, Spanned::get_ref);
    let section = &section.inner("ra", span_of(section, field));

    let max_interval = section.millis("max_interval_ms", &raw.max_interval_ms, 70..=MAX_INTERVAL_MS, 600_000);
    // RFC 4861 §6.2.1: a third of the maximum by default, three quarters of it at the most.
    let third = max_interval.map_or(MIN_INTERVAL_MS as u64, |max| (max.as_millis() as u64 / 3).max(30));
    let highest = max_interval.map_or(MAX_INTERVAL_MS, |max| max.as_millis() as i64 * 3 / 4);
    let min_interval = section.millis("min_interval_ms", &raw.min_interval_ms, MIN_INTERVAL_MS..=highest, third);
    let lifetime = max_interval.map_or(1_800, |max| (3 * max.as_secs()).clamp(3, MAX_ROUTER_LIFETIME_SECS as u64));
    let lifetime =
        section.secs("router_lifetime_secs", &raw.router_lifetime_secs, 0..=MAX_ROUTER_LIFETIME_SECS, lifetime);
    if let (Some(lifetime), Some(max)) = (lifetime, max_interval)
        && !lifetime.is_zero()
        && lifetime < max
    {
        let what = format!("{} s is shorter than max_interval_ms", lifetime.as_secs());
        let remedy = format!("give 0 or {} to {MAX_ROUTER_LIFETIME_SECS}", max.as_millis().div_ceil(1000));
        section.fault::<()>(
            "router_lifetime_secs",
            span_of(section, &raw.router_lifetime_secs),
            Fault::new(what, remedy),
        );
    }
    let hop_limit = section.number("hop_limit", &raw.hop_limit, 0..=255, 64);
    let link_mtu = section.optional("link_mtu", &raw.link_mtu, |&mtu| {
        in_range::<u16>(mtu, MIN_MTU..=i64::from(port.mtu.unwrap_or(MAX_MTU as u16)))
    });
    let reachable = section.millis("reachable_time_ms", &raw.reachable_time_ms, 0..=3_600_000, 0);
    let retransmit = section.millis("retransmit_timer_ms", &raw.retransmit_timer_ms, 0..=i64::from(u32::MAX), 0);

    let prefixes = match &raw.prefix {
        Some(prefixes) => {
            limited(section, "prefix", prefixes)?;
            section.tables("prefix", prefixes, |section, raw| advertised_prefix(section, raw, port, defaults))
        }
        None => Some(port.addresses.iter().filter_map(|address| own_prefix(address.prefix, port, defaults)).collect()),
    };
    limited(section, "map", &raw.map)?;
    let maps = section.tables("map", &raw.map, advertised_map);
    let of_home_agent = &section.only_where(defaults.home_agent);
    let preference = of_home_agent.number("home_agent_preference", &raw.home_agent_preference, 0..=32_767, 0_i16);
    let agent_lifetime = lifetime.map_or(1, |lifetime| lifetime.as_secs()).max(1);
    let agent_lifetime =
        of_home_agent.secs("home_agent_lifetime_secs", &raw.home_agent_lifetime_secs, 1..=65_535, agent_lifetime);
    if !defaults.home_agent {
        for (key, field) in [
            ("home_agent_preference", &raw.home_agent_preference),
            ("home_agent_lifetime_secs", &raw.home_agent_lifetime_secs),
        ] {
            if let Some(value) = field {
                let what = "only a home agent's advertisements say this";
                section.fault::<()>(key, value.span(), Fault::new(what, "move the key to [home_agent.ra]"));
            }
        }
    }
    Some(RouterAdvertisementConfig {
        min_interval: min_interval?,
        max_interval: max_interval?,
        fast_solicited: section.flag("fast_solicited", &raw.fast_solicited, defaults.fast_solicited),
        router_lifetime: lifetime?,
        hop_limit: hop_limit?,
        link_mtu: link_mtu?,
        reachable_time: reachable?,
        retransmit_timer: retransmit?,
        interval_option: section.flag("interval_option", &raw.interval_option, true),
        prefixes: prefixes?,
        maps: maps?,
        home_agent: match (defaults.home_agent, preference?, agent_lifetime?) {
            (true, preference, lifetime) => Some(AdvertisedHomeAgent { preference, lifetime }),
            (false, ..) => None,
        },
    })
}

fn limited<T>(section: &Section<'_, '_>, key: &str, tables: &[Spanned<T>]) -> Option<()> {
    match tables.get(MAX_ADVERTISED) {
        None => Some(()),
        Some(table) => {
            let what = format!("{} entries do not fit into one advertisement", tables.len());
            section.fault(key, table.span(), Fault::new(what, format!("give at most {MAX_ADVERTISED}")))
        }
    }
}

/// A prefix of the port itself with the defaults of RFC 4861; one that is not 64 bits long cannot form addresses.
fn own_prefix(prefix: Prefix, port: &PortConfig, defaults: AdvertisementDefaults) -> Option<AdvertisedPrefix> {
    let own = port.addresses.iter().find(|address| address.prefix == prefix)?;
    Some(AdvertisedPrefix {
        prefix,
        on_link: true,
        autonomous: prefix.length() == 64,
        router_address: defaults.home_agent.then_some(own.address),
        valid_lifetime: Duration::from_secs(VALID_LIFETIME_SECS),
        preferred_lifetime: Duration::from_secs(PREFERRED_LIFETIME_SECS),
    })
}

fn advertised_prefix(
    section: &Section<'_, '_>,
    raw: &RawAdvertisedPrefix,
    port: &PortConfig,
    defaults: AdvertisementDefaults,
) -> Option<AdvertisedPrefix> {
    let remedy = "give the prefix as prefix = \"2001:db8:a::/64\"";
    let prefix = section.required("prefix", &raw.prefix, remedy, |text| unicast_prefix(text));
    let longest = i64::from(u32::MAX);
    let valid = section.secs("valid_lifetime_secs", &raw.valid_lifetime_secs, 0..=longest, VALID_LIFETIME_SECS);
    let preferred_default = valid.map_or(PREFERRED_LIFETIME_SECS, |valid| valid.as_secs().min(PREFERRED_LIFETIME_SECS));
    let highest = valid.map_or(longest, |valid| valid.as_secs() as i64);
    let preferred =
        section.secs("preferred_lifetime_secs", &raw.preferred_lifetime_secs, 0..=highest, preferred_default);
    let prefix = prefix?;
    let autonomous = section.flag("autonomous", &raw.autonomous, prefix.length() == 64);
    if autonomous && prefix.length() != 64 {
        let what = format!("terminals cannot make an address from a prefix of {} bits", prefix.length());
        let remedy = "give a prefix of 64 bits, or autonomous = false";
        return section.fault("autonomous", span_of(section, &raw.autonomous), Fault::new(what, remedy));
    }
    let router_address = if section.flag("router_address", &raw.router_address, defaults.home_agent) {
        match port.addresses.iter().find(|address| address.prefix == prefix) {
            Some(own) => Some(own.address),
            None => {
                let what = format!("the port \"{}\" has no address in {prefix}", port.name);
                let remedy = "give the port one, or router_address = false";
                return section.fault(
                    "router_address",
                    span_of(section, &raw.router_address),
                    Fault::new(what, remedy),
                );
            }
        }
    } else {
        None
    };
    Some(AdvertisedPrefix {
        prefix,
        on_link: section.flag("on_link", &raw.on_link, true),
        autonomous,
        router_address,
        valid_lifetime: valid?,
        preferred_lifetime: preferred?,
    })
}

fn advertised_map(section: &Section<'_, '_>, raw: &RawMap) -> Option<AdvertisedMap> {
    let remedy = "give the mobility agent's address as address = \"2001:db8:1::1\"";
    let address = section.required("address", &raw.address, remedy, |text| routable(text));
    let distance = section.number("distance", &raw.distance, 1..=15, 1);
    let preference = section.number("preference", &raw.preference, 0..=15, 15);
    let lifetime = section.secs("lifetime_secs", &raw.lifetime_secs, 0..=i64::from(u32::MAX), 86_400);
    Some(AdvertisedMap { address: address?, distance: distance?, preference: preference?, lifetime: lifetime? })
}

fn mld(section: &Section<'_, '_>, field: &Field<RawMld>, immediate_leave: Prefix) -> Option<MldConfig> {
    let nothing = RawMld::default();
    let raw = field.as_ref().map_or(&nothing, Spanned::get_ref);
    let section = &section.inner("mld", span_of(section, field));
    let version = section.number("mld_version", &raw.mld_version, 1..=2, 2);
    let version = version.map(|version: u8| if version == 1 { Version::V1 } else { Version::V2 });
    let robustness = section.number("robustness", &raw.robustness, 1..=7, 2);
    // QQIC reaches 31,744 s (RFC 3810 §5.1.9); the response code 8,387,584 ms, and it is shorter than the interval. The
    // response code of version 1 is plain milliseconds (§8.3.1).
    let interval = section.millis("query_interval_ms", &raw.query_interval_ms, 1_000..=31_744_000, 125_000);
    let longest = if version == Some(Version::V1) { MAX_V1_RESPONSE_DELAY.as_millis() as i64 } else { 8_387_584 };
    let highest = interval.map_or(longest, |interval| (interval.as_millis() as i64 - 1).min(longest));
    let response = section.millis(
        "query_response_interval_ms",
        &raw.query_response_interval_ms,
        1..=highest,
        10_000.min(highest as u64 / 2),
    );
    let last =
        section.millis("last_listener_query_interval_ms", &raw.last_listener_query_interval_ms, 1..=longest, 1_000);
    // The Robustness Variable where nothing is said (§9.9), which may be that of another querier.
    let count = match &raw.last_listener_query_count {
        Some(_) => section.number("last_listener_query_count", &raw.last_listener_query_count, 1..=7, 2).map(Some),
        None => Some(None),
    };
    let immediate_leave = match &raw.immediate_leave {
        Some(ranges) => section.list("immediate_leave", ranges, |text| multicast_prefix(text)),
        None => Some(vec![immediate_leave]),
    };
    let mobility = mobility_mld(section, raw);
    let max_groups = section.number("max_groups", &raw.max_groups, 1..=1_048_576, 4_096);
    let max_sources = section.number("max_sources", &raw.max_sources, 1..=65_536, 64);
    let max_groups_per_host =
        section.number("max_groups_per_host", &raw.max_groups_per_host, 1..=1_048_576, DEFAULT_HOST_GROUPS);
    let max_sources_per_host =
        section.number("max_sources_per_host", &raw.max_sources_per_host, 1..=1_048_576, DEFAULT_HOST_SOURCES);
    Some(MldConfig {
        version: version?,
        robustness: robustness?,
        query_interval: interval?,
        query_response_interval: response?,
        last_listener_query_interval: last?,
        last_listener_query_count: count?,
        immediate_leave: immediate_leave?,
        mobility: mobility?,
        max_groups: max_groups?,
        max_sources: max_sources?,
        max_groups_per_host: max_groups_per_host?,
        max_sources_per_host: max_sources_per_host?,
    })
}

/// Timers of groups that belong to one terminal each. A query for such a group is answered by one host alone, so that a
/// short response interval costs nothing.
fn mobility_mld(section: &Section<'_, '_>, raw: &RawMld) -> Option<pim::MobilityMld> {
    let default = pim::MobilityMld::default();
    let millis = |duration: Duration| duration.as_millis() as u64;
    let interval = section.millis(
        "mobility_query_interval_ms",
        &raw.mobility_query_interval_ms,
        100..=31_744_000,
        millis(default.query_interval),
    );
    let highest = interval.map_or(8_387_584, |interval| (interval.as_millis() as i64 - 1).min(8_387_584));
    let response = section.millis(
        "mobility_query_response_interval_ms",
        &raw.mobility_query_response_interval_ms,
        1..=highest,
        millis(default.query_response_interval).min(highest as u64 / 2),
    );
    let last = section.millis(
        "mobility_last_listener_query_interval_ms",
        &raw.mobility_last_listener_query_interval_ms,
        1..=8_387_584,
        millis(default.last_listener_query_interval),
    );
    let count = section.number(
        "mobility_last_listener_query_count",
        &raw.mobility_last_listener_query_count,
        1..=7,
        default.last_listener_query_count,
    );
    Some(pim::MobilityMld {
        query_interval: interval?,
        query_response_interval: response?,
        last_listener_query_interval: last?,
        last_listener_query_count: count?,
    })
}
