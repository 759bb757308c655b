//! Outgoing interface lists of (S,G) and (*,G) state (RFC 7761 §4.1.5), as sets of ports.

use crate::tib::Entry;
use stack::machine::PortId;
use stack::tables::PortSet;

/// A (+) B: the ports of both.
pub(crate) fn union(a: PortSet, b: PortSet) -> PortSet {
    let (a, b) = (a.words(), b.words());
    PortSet::from_words(core::array::from_fn(|word| a[word] | b[word]))
}

impl Entry {
    /// joins(S,G), joins(*,G) := interfaces whose downstream state is Join or Prune-Pending
    pub(crate) fn joins(&self) -> PortSet {
        union(self.joined, self.prune_pending)
    }

    /// immediate_olist(S,G) := joins(S,G) (+) pim_include(S,G), and likewise of (*,G)
    ///
    /// lost_assert is empty.
    // DEVIATION RFC 7761 §4.8.2: there is no Assert machine, so that two routers that forward onto one link both go on.
    pub(crate) fn immediate_olist(&self) -> PortSet {
        union(self.joins(), self.include)
    }

    /// What packets are sent to: inherited_olist(S,G) (-) iif, of an (S,G) beside the (*,G) `any_source`; of a (*,G)
    /// immediate_olist(*,G) (-) iif. For source-specific groups the inherited list is the immediate one (§4.8.2).
    ///
    /// inherited_olist(S,G) := joins(*,G) (+) pim_include(*,G) (+) immediate_olist(S,G)
    // DEVIATION RFC 7761 §4.1.5: no router prunes a source off the shared tree, so that prunes(S,G,rpt) is empty, and
    // pim_exclude(S,G) is not looked at: a host that excludes some sources gets them and drops them itself.
    pub(crate) fn forward(&self, any_source: Option<&Entry>, iif: Option<PortId>) -> PortSet {
        let inherited = any_source.map_or(PortSet::EMPTY, Entry::immediate_olist);
        let mut olist = union(self.immediate_olist(), inherited);
        if let Some(iif) = iif {
            olist.remove(iif);
        }
        olist
    }
}
