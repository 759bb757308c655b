//! Rendezvous points: `[[router.static_rp]]`, `[router.candidate_bsr]` and `[router.candidate_rp]`.

use super::super::document::Fault;
use super::super::raw::{Field, RawCandidateBsr, RawCandidateRp, RawRouter, RawStaticRp};
use super::super::resolved::PortConfig;
use super::port_by_name;
use super::section::{Section, flag, in_range, multicast_prefix, prefix, routable, span_of};
use core::net::Ipv6Addr;
use pim::{
    BsrConfig, CandidateBsr, CandidateRp, EMBEDDED_RANGE, RpConfig, StaticPrecedence, StaticRp, UnicastBootstrap,
};
use stack::addr::{Prefix, Scope, is_routable_unicast};
use std::collections::BTreeSet;
use toml::Spanned;

/// Tables, ranges and scopes of one list at the most.
const MAX_STATIC: usize = 256;
const MAX_RANGES: usize = 256;
/// C_RP_Adv_Period at the most: 2.5 times as much has to fit 16 bits of seconds.
const MAX_INTERVAL_SECS: i64 = 26_214;
/// Bits of a group up to the end of its scope.
const SCOPE_BITS: u8 = 16;

/// This node's addresses that others can reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnAddresses<'a> {
    pub(super) ports: &'a [PortConfig],
    pub(super) loopback: &'a [Ipv6Addr],
}

impl OwnAddresses<'_> {
    fn of_port(port: &PortConfig) -> impl Iterator<Item = Ipv6Addr> {
        port.addresses.iter().map(|own| own.address).filter(|&address| is_routable_unicast(address))
    }

    fn all(self) -> impl Iterator<Item = Ipv6Addr> {
        self.loopback.iter().copied().chain(self.ports.iter().flat_map(Self::of_port))
    }
}

pub(super) fn rendezvous_points(
    section: &Section<'_, '_>,
    raw: &RawRouter,
    own: OwnAddresses<'_>,
    ssm_ranges: &[Prefix],
    serves_embedded: bool,
) -> Option<RpConfig> {
    let few = match raw.static_rp.get(MAX_STATIC) {
        None => Some(()),
        Some(table) => {
            let what = format!("{} static rendezvous points are too many", raw.static_rp.len());
            section.fault("static_rp", table.span(), Fault::new(what, format!("give at most {MAX_STATIC}")))
        }
    };
    let statics = section.tables("static_rp", &raw.static_rp, |section, raw| static_rp(section, raw, ssm_ranges));
    let candidate_bsr =
        inner(section, "candidate_bsr", &raw.candidate_bsr, |section, raw| candidate_bsr(section, raw, own));
    let candidate_rp =
        inner(section, "candidate_rp", &raw.candidate_rp, |section, raw| candidate_rp(section, raw, own, ssm_ranges));
    let is_candidate = raw.candidate_bsr.is_some() || raw.candidate_rp.is_some();
    if let Some(bootstrap) = raw.bootstrap.as_ref().filter(|bootstrap| is_candidate && !bootstrap.get_ref()) {
        let what = "a candidate takes part in the bootstrap router mechanism";
        let remedy = "give true, or remove candidate_bsr and candidate_rp";
        return section.fault("bootstrap", bootstrap.span(), Fault::new(what, remedy));
    }
    let takes_part = flag(&raw.bootstrap, is_candidate);
    if let Some(unicast) = raw.unicast_bootstrap.as_ref().filter(|unicast| *unicast.get_ref() && !takes_part) {
        let what = "this router takes no part in the bootstrap router mechanism";
        return section.fault(
            "unicast_bootstrap",
            unicast.span(),
            Fault::new(what, "give bootstrap = true, or false here"),
        );
    }
    let unicast = if flag(&raw.unicast_bootstrap, false) { UnicastBootstrap::Accept } else { UnicastBootstrap::Refuse };
    let (candidate_bsr, candidate_rp) = (candidate_bsr?, candidate_rp?);
    few?;
    let bsr = BsrConfig { unicast, candidate_bsr, candidate_rp, ..BsrConfig::default() };
    Some(RpConfig {
        statics: statics?,
        bsr: takes_part.then_some(bsr),
        refuse_embedded: !flag(&raw.embedded_rp, serves_embedded),
    })
}

fn static_rp(section: &Section<'_, '_>, raw: &RawStaticRp, ssm_ranges: &[Prefix]) -> Option<StaticRp> {
    let remedy = "give the rendezvous point as address = \"2001:db8::5\"";
    let address = section.required("address", &raw.address, remedy, |text| routable(text));
    let groups = match &raw.groups {
        Some(groups) => ranges(section, groups, ssm_ranges),
        None => section.missing("groups", "give the groups that it serves as groups = [\"ff15::/16\"]"),
    };
    let overrides = flag(&raw.r#override, false);
    let precedence = if overrides { StaticPrecedence::OverridesLearned } else { StaticPrecedence::BehindLearned };
    Some(StaticRp { address: address?, groups: groups?, precedence })
}

fn candidate_bsr(section: &Section<'_, '_>, raw: &RawCandidateBsr, own: OwnAddresses<'_>) -> Option<CandidateBsr> {
    let address = own_address(section, &raw.address, &raw.port, own);
    let priority = section.number("priority", &raw.priority, 0..=255, CandidateBsr::PRIORITY);
    let default = CandidateBsr::new(Ipv6Addr::UNSPECIFIED);
    let mask = section.number("hash_mask_length", &raw.hash_mask_length, 0..=128, default.hash_mask_length);
    let scopes = section.list("scopes", &raw.scopes, |&scope| zone_scope(scope));
    let accept = section.list("candidate_rps", &raw.candidate_rps, |text| prefix(text));
    Some(CandidateBsr {
        address: address?,
        priority: priority?,
        hash_mask_length: mask?,
        scopes: scopes?,
        accept: accept?,
    })
}

fn candidate_rp(
    section: &Section<'_, '_>,
    raw: &RawCandidateRp,
    own: OwnAddresses<'_>,
    ssm_ranges: &[Prefix],
) -> Option<CandidateRp> {
    let address = own_address(section, &raw.address, &raw.port, own);
    let groups = match &raw.groups {
        Some(groups) => ranges(section, groups, ssm_ranges),
        None => Some(vec![ALL_GROUPS]),
    };
    let priority = section.number("priority", &raw.priority, 0..=255, CandidateRp::PRIORITY);
    let default = CandidateRp::C_RP_ADV_PERIOD.as_secs();
    let interval = section.secs("interval_secs", &raw.interval_secs, 1..=MAX_INTERVAL_SECS, default);
    Some(CandidateRp { address: address?, groups: groups?, priority: priority?, interval: interval? })
}

/// The scope of a zone: wider than a link, and narrower than all there is.
pub(super) fn zone_scope(scope: i64) -> Result<Scope, Fault> {
    let value = in_range::<u8>(scope, 3..=14)?;
    Scope::new(value).ok_or_else(|| Fault::new(format!("{value} is no scope"), "give 3 to 14"))
}

/// An address by which others know this node: the one named, or the first of the port.
fn own_address(
    section: &Section<'_, '_>,
    address: &Field<String>,
    port: &Field<String>,
    own: OwnAddresses<'_>,
) -> Option<Ipv6Addr> {
    match (address, port) {
        (None, None) => section.missing("address", "give one of this node's as address = \"2001:db8::5\", or a port"),
        (Some(_), Some(port)) => {
            let what = "the address is given, so that no port is asked for one";
            section.fault("port", port.span(), Fault::new(what, "give one of address and port"))
        }
        (Some(text), None) => {
            let address = section.required("address", address, "", |text| routable(text))?;
            if own.all().any(|other| other == address) {
                return Some(address);
            }
            let what = format!("{address} is not an address of this node");
            let remedy = "give one of a port's addresses or of node.loopback";
            section.fault("address", text.span(), Fault::new(what, remedy))
        }
        (None, Some(_)) => {
            let found = port_by_name(section, "port", port, own.ports)?;
            let first = OwnAddresses::of_port(found).next();
            first.or_else(|| {
                let what = format!("the port \"{}\" has no address that others can reach", found.name);
                section.fault("port", span_of(section, port), Fault::new(what, "give the port one, or an address here"))
            })
        }
    }
}

fn ranges(section: &Section<'_, '_>, groups: &Spanned<Vec<Spanned<String>>>, ssm: &[Prefix]) -> Option<Vec<Prefix>> {
    let count = groups.get_ref().len();
    if !(1..=MAX_RANGES).contains(&count) {
        let what = format!("{count} ranges of groups are too {}", if count == 0 { "few" } else { "many" });
        return section.fault("groups", groups.span(), Fault::new(what, format!("give 1 to {MAX_RANGES}")));
    }
    let mut seen = BTreeSet::new();
    section.list("groups", groups.get_ref(), |text| {
        let range = multicast_prefix(text)?;
        let within = |other: &Prefix| other.length() <= range.length() && other.contains(range.address());
        if within(&EMBEDDED_RANGE) {
            let what = format!("groups of {range} name their rendezvous points themselves");
            return Err(Fault::new(what, "give groups outside of ff70::/12"));
        }
        let is_ssm = range.length() >= 32 && range.address().segments()[0] & 0xfff0 == 0xff30;
        if is_ssm && range.address().segments()[1] == 0 || ssm.iter().any(within) {
            let what = format!("groups of {range} are source-specific and have no rendezvous point");
            return Err(Fault::new(what, "give groups of any-source multicast"));
        }
        // Of a range of many scopes the wider ones are served.
        let scope = Scope::of(range.address()).filter(|_| range.length() >= SCOPE_BITS);
        if scope.is_some_and(|scope| scope <= Scope::LINK_LOCAL) {
            let what = format!("no router forwards groups of {range}");
            return Err(Fault::new(what, "give groups of a scope wider than a link, 3 to f"));
        }
        if !seen.insert(range) {
            return Err(Fault::new(format!("{range} is named twice"), "name each range once"));
        }
        Ok(range)
    })
}

const ALL_GROUPS: Prefix = range(0xff00, 8);

const fn range(first: u16, length: u8) -> Prefix {
    match Prefix::new(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), length) {
        Some(prefix) => prefix,
        None => unreachable!(),
    }
}

fn inner<T, U>(
    section: &Section<'_, '_>,
    key: &str,
    field: &Field<T>,
    read: impl FnOnce(&Section<'_, '_>, &T) -> Option<U>,
) -> Option<Option<U>> {
    match field {
        Some(table) => read(&section.inner(key, table.span()), table.get_ref()).map(Some),
        None => Some(None),
    }
}
