//! Outgoing interface lists of (S,G) state (RFC 7761 §4.1.5), as sets of ports.

use crate::tib::SgEntry;
use stack::machine::PortId;
use stack::tables::PortSet;

/// A (+) B: the ports of both.
pub(crate) fn union(a: PortSet, b: PortSet) -> PortSet {
    let (a, b) = (a.words(), b.words());
    PortSet::from_words(core::array::from_fn(|word| a[word] | b[word]))
}

impl SgEntry {
    /// joins(S,G) := interfaces whose downstream state is Join or Prune-Pending
    pub(crate) fn joins(&self) -> PortSet {
        union(self.joined, self.prune_pending)
    }

    /// immediate_olist(S,G) := joins(S,G) (+) pim_include(S,G)
    ///
    /// lost_assert(S,G) is empty.
    // DEVIATION RFC 7761 §4.8.2: there is no (S,G) Assert machine, so that two routers that forward onto one link both go on.
    pub(crate) fn immediate_olist(&self) -> PortSet {
        union(self.joins(), self.include)
    }

    /// What packets are sent to: immediate_olist(S,G) (-) iif. For source-specific groups the inherited list is the same
    /// (§4.8.2).
    pub(crate) fn forward(&self, iif: Option<PortId>) -> PortSet {
        let mut olist = self.immediate_olist();
        if let Some(iif) = iif {
            olist.remove(iif);
        }
        olist
    }
}
