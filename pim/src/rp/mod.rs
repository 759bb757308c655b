//! The rendezvous point of a group, RP(G) (RFC 7761 §4.7.1), out of all that names one.
//!
//! Source-specific groups have none. Groups of `ff70::/12` have the one that their address names (RFC 3956), which counts
//! before every other, and where it names none they have none. For all others count, in this order: static ones that
//! override, those that a bootstrap router names (RFC 5059), static ones. Of each kind the longest range of groups decides,
//! then the lowest priority value, the hash and the highest address.
//!
//! Where a source is an address of the rendezvous point itself, as a mobility agent is of its terminals' groups, its data
//! go out by (*,G) without a Register (§4.2): it is first-hop router and rendezvous point in one.

mod bsr;
mod choice;
mod hash;
mod static_rp;
mod view;

pub use bsr::{BsrBoundary, BsrConfig, BsrState, BsrView, CandidateBsr, CandidateRp, ScopeZone, UnicastBootstrap};
pub use static_rp::{StaticPrecedence, StaticRp};
pub use view::{RpMappingView, RpSource};

use crate::config::Config;
use crate::instance::Router;
use crate::tib::Entry;
use bsr::Bsr;
use choice::Choice;
use core::net::Ipv6Addr;
use stack::addr::{self, Prefix};
use stack::machine::PortId;
use stack::rng::Rng;
use stack::tables::MrouteKey;
use stack::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// What a router is told about rendezvous points. Those that groups name are known without configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RpConfig {
    /// Those that the configuration names.
    pub statics: Vec<StaticRp>,
    /// The bootstrap router mechanism; `None` where this router takes no part in it.
    pub bsr: Option<BsrConfig>,
    /// Groups that name an address of this router have no rendezvous point here: it does not act as one that has not been
    /// told to (RFC 3956 §10).
    pub refuse_embedded: bool,
}

/// What a router knows of rendezvous points.
#[derive(Debug)]
pub(crate) struct RendezvousPoints {
    statics: Vec<StaticRp>,
    pub(crate) bsr: Option<Bsr>,
    /// Links with a new neighbour that is to be told of the bootstrap routers after the next Hello.
    pub(crate) owing: BTreeSet<PortId>,
    /// The rendezvous points that groups have had up to the present call: their trees are pruned by this name.
    pub(crate) former: BTreeMap<Ipv6Addr, Ipv6Addr>,
}

impl RendezvousPoints {
    pub(crate) fn new(config: &Config) -> Self {
        let scope = |boundary| match boundary {
            BsrBoundary::Scope(scope) => Some(scope),
            BsrBoundary::Open | BsrBoundary::Closed => None,
        };
        let border = config.interfaces.iter().filter_map(|interface| scope(interface.bsr_boundary)).max();
        // A seed of its own: what this draws does not change what the other machines draw.
        let rng = Rng::new(config.seed ^ SEED);
        RendezvousPoints {
            statics: config.rendezvous_points.statics.clone(),
            bsr: config.rendezvous_points.bsr.clone().map(|bsr| Bsr::new(bsr, border, rng)),
            owing: BTreeSet::new(),
            former: BTreeMap::new(),
        }
    }

    fn lookup(&self, group: Ipv6Addr) -> Option<Ipv6Addr> {
        if EMBEDDED_RANGE.contains(group) {
            return addr::embedded_rp(group).ok();
        }
        let of = |precedence| static_rp::lookup(&self.statics, precedence, group);
        let learned = || self.bsr.as_ref().map_or(Choice::NoRange, |bsr| bsr.lookup(group));
        let by_precedence: [&dyn Fn() -> Choice; 3] =
            [&|| of(StaticPrecedence::OverridesLearned), &learned, &|| of(StaticPrecedence::BehindLearned)];
        match by_precedence.iter().map(|choice| choice()).find(|&choice| choice != Choice::NoRange) {
            Some(Choice::RendezvousPoint(address)) => Some(address),
            Some(Choice::Bidirectional | Choice::NoRange) | None => None,
        }
    }
}

/// What the seed of this machine differs by.
const SEED: u64 = 0x5059_7761_3956_0407;
/// `ff70::/12`: groups that name their rendezvous point (RFC 3956 §3).
pub const EMBEDDED_RANGE: Prefix = match Prefix::new(Ipv6Addr::new(0xff70, 0, 0, 0, 0, 0, 0, 0), 12) {
    Some(prefix) => prefix,
    None => unreachable!(),
};

impl Router {
    /// RP(G).
    pub fn rendezvous_point(&self, group: Ipv6Addr) -> Option<Ipv6Addr> {
        if self.config.is_ssm(group) {
            return None;
        }
        let refused = self.config.rendezvous_points.refuse_embedded && EMBEDDED_RANGE.contains(group);
        self.rendezvous_points.lookup(group).filter(|&point| !(refused && self.is_own(point)))
    }

    /// What the tree of `key` grows towards: S, or RP(G).
    pub(crate) fn root(&self, key: MrouteKey) -> Option<Ipv6Addr> {
        if key.source.is_unspecified() { self.rendezvous_point(key.group) } else { Some(key.source) }
    }

    /// Mappings have changed (RFC 7761 §4.7.1): every shared tree whose rendezvous point is another one now, or none, moves
    /// there; members of groups that had none and have one now are taken on.
    pub(crate) fn rendezvous_points_changed(&mut self, now: Instant) {
        for key in self.tib.keys_where(|entry| entry.key().source.is_unspecified()) {
            let root = self.tib.get(key).map(Entry::root);
            if root != Some(self.root(key).unwrap_or(Ipv6Addr::UNSPECIFIED)) {
                self.reroot(now, key);
            }
        }
        let mut waiting = Vec::new();
        for (port, querier) in self.queriers() {
            for (group, source) in querier.memberships() {
                let key = MrouteKey { source, group };
                let included = || self.tib.get(key).is_some_and(|entry| entry.members().contains(port));
                if source.is_unspecified() && self.root(key).is_some() && !included() {
                    waiting.push((port, key));
                }
            }
        }
        for (port, key) in waiting {
            self.membership_changed(now, port, key);
        }
        // Sources whose rendezvous point is another one register there.
        for key in self.tib.keys_where(|entry| entry.shared.is_some()) {
            self.settle(now, key);
        }
    }
}
