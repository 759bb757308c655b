//! What there is to see of rendezvous points.

use super::bsr::RangeProtocol;
use super::{BsrView, EMBEDDED_RANGE, ScopeZone, StaticPrecedence};
use crate::instance::Router;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::time::{Duration, Instant};

/// Where a mapping comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RpSource {
    /// The groups' addresses (RFC 3956).
    Embedded,
    /// The configuration.
    Static(StaticPrecedence),
    /// The bootstrap router of this zone (RFC 5059).
    Bsr(ScopeZone),
}

/// A mapping of a range of groups to a rendezvous point, to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RpMappingView {
    /// The range.
    pub groups: Prefix,
    /// The rendezvous point; `None` where each group names its own.
    pub rendezvous_point: Option<Ipv6Addr>,
    /// Where it comes from.
    pub source: RpSource,
    /// Whether the range is one of bidirectional PIM, whose groups have no rendezvous point here.
    pub bidirectional: bool,
    /// The lower, the better; `None` where there are no priorities.
    pub priority: Option<u8>,
    /// How long it was said to hold.
    pub holdtime: Option<Duration>,
    /// When it runs out.
    pub expires: Option<Instant>,
}

impl Router {
    /// The group-to-RP mappings: that of groups that name theirs, static ones, learned ones.
    pub fn rp_mappings(&self) -> impl Iterator<Item = RpMappingView> {
        let fixed = |groups, rendezvous_point, source| RpMappingView {
            groups,
            rendezvous_point,
            source,
            bidirectional: false,
            priority: None,
            holdtime: None,
            expires: None,
        };
        let statics = self.rendezvous_points.statics.iter().flat_map(move |rp| {
            rp.groups.iter().map(move |&groups| fixed(groups, Some(rp.address), RpSource::Static(rp.precedence)))
        });
        let learned = self.rendezvous_points.bsr.iter().flat_map(|bsr| bsr.mappings());
        let learned = learned.map(|(zone, groups, protocol, address, rp)| RpMappingView {
            groups,
            rendezvous_point: Some(address),
            source: RpSource::Bsr(zone),
            bidirectional: protocol == RangeProtocol::Bidirectional,
            priority: Some(rp.priority),
            holdtime: Some(Duration::from_secs(u64::from(rp.holdtime))),
            expires: Some(rp.expires),
        });
        core::iter::once(fixed(EMBEDDED_RANGE, None, RpSource::Embedded)).chain(statics).chain(learned)
    }

    /// The bootstrap routers, by scope zone; none where this router takes no part in the mechanism.
    pub fn bsr(&self) -> impl Iterator<Item = BsrView> {
        self.rendezvous_points.bsr.iter().flat_map(|bsr| bsr.views())
    }
}
