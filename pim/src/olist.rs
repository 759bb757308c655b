//! The state summarization macros of RFC 7761 §4.1.5, §4.5.4, §4.5.5, §4.5.7, §4.6.1, §4.6.2 and §4.6.5, as predicates
//! over what is known of one (S,G) and of the (*,G) beside it. Each has its definition beside it; `(+)` and `(-)` are union
//! and difference, from left to right.

use crate::assert::{AssertMetric, AssertState};
use crate::interface::Interface;
use crate::rpf::LinkNeighbor;
use crate::tib::Entry;
use core::net::Ipv6Addr;
use stack::machine::PortId;
use stack::tables::PortSet;
use std::collections::BTreeMap;

/// A (+) B
pub(crate) fn union(a: PortSet, b: PortSet) -> PortSet {
    zip(a, b, |a, b| a | b)
}

/// A (-) B
pub(crate) fn minus(a: PortSet, b: PortSet) -> PortSet {
    zip(a, b, |a, b| a & !b)
}

fn zip(a: PortSet, b: PortSet, operation: fn(u64, u64) -> u64) -> PortSet {
    let (a, b) = (a.words(), b.words());
    PortSet::from_words(core::array::from_fn(|word| operation(a[word], b[word])))
}

fn without(mut set: PortSet, port: Option<PortId>) -> PortSet {
    if let Some(port) = port {
        set.remove(port);
    }
    set
}

impl Entry {
    /// joins(S,G), joins(*,G) := interfaces whose downstream state is Join or Prune-Pending
    pub(crate) fn joins(&self) -> PortSet {
        union(self.joined(), self.prune_pending())
    }

    /// Interfaces on which the assert is lost.
    fn lost(&self) -> PortSet {
        let lost = |(_, state): &(&PortId, &AssertState)| matches!(state, AssertState::Loser { .. });
        self.asserts().iter().filter(lost).map(|(&port, _)| port).collect()
    }

    /// AssertWinner(S,G,I) == me, AssertWinner(*,G,I) == me
    pub(crate) fn won(&self, port: PortId) -> bool {
        self.asserts().get(&port) == Some(&AssertState::Winner)
    }

    /// I_Am_Assert_Loser(S,G,I), I_Am_Assert_Loser(*,G,I): the winner
    pub(crate) fn assert_winner(&self, port: PortId) -> Option<Ipv6Addr> {
        match self.asserts().get(&port) {
            Some(AssertState::Loser { winner, .. }) => Some(*winner),
            _ => None,
        }
    }

    /// RPF'(S,G) := AssertWinner(S,G,RPF_interface(S)) where that is lost, else NBR(RPF_interface(S), MRIB.next_hop(S));
    /// RPF'(*,G) likewise, with RP(G). With it, whether an assert says so.
    pub(crate) fn rpf_neighbor(&self) -> (Option<LinkNeighbor>, bool) {
        match self.rpf().interface().and_then(|port| Some(LinkNeighbor { port, address: self.assert_winner(port)? })) {
            Some(winner) => (Some(winner), true),
            None => (self.rpf().neighbor(), false),
        }
    }
}

/// What is known of one (S,G), and of the (*,G) beside it; or of a (*,G) alone.
#[derive(Clone, Copy)]
pub(crate) struct Trees<'a> {
    pub(crate) interfaces: &'a BTreeMap<PortId, Interface>,
    /// The (*,G).
    pub(crate) shared: Option<&'a Entry>,
    /// The (S,G).
    pub(crate) source: Option<&'a Entry>,
}

impl Trees<'_> {
    /// RPF_interface(RP(G)); none at the rendezvous point, where it is the register tunnel.
    fn rpf_interface_rp(&self) -> Option<PortId> {
        self.shared.and_then(|entry| entry.rpf().interface())
    }

    /// RPF_interface(S)
    fn rpf_interface_s(&self) -> Option<PortId> {
        self.source.and_then(|entry| entry.rpf().interface())
    }

    /// SPTbit(S,G)
    pub(crate) fn spt_bit(&self) -> bool {
        self.source.is_some_and(Entry::spt_bit)
    }

    fn i_am_dr(&self, port: PortId) -> bool {
        self.interfaces.get(&port).is_some_and(Interface::is_designated)
    }

    fn my_address(&self, port: PortId) -> Ipv6Addr {
        self.interfaces.get(&port).map_or(Ipv6Addr::UNSPECIFIED, |interface| interface.config.link_local)
    }

    /// ((I_am_DR(I) AND lost_assert(I) == FALSE) OR AssertWinner(I) == me), of the interfaces in `of`
    fn responsible(&self, entry: &Entry, lost_assert: PortSet, of: PortSet) -> PortSet {
        if entry.asserts().is_empty() {
            return of.iter().filter(|&port| self.i_am_dr(port)).collect();
        }
        of.iter().filter(|&port| self.i_am_dr(port) && !lost_assert.contains(port) || entry.won(port)).collect()
    }

    /// pim_include(*,G) := { I : ((I_am_DR(I) AND lost_assert(*,G,I) == FALSE) OR AssertWinner(*,G,I) == me)
    /// AND local_receiver_include(*,G,I) }
    pub(crate) fn pim_include_any(&self) -> PortSet {
        self.shared.map_or(PortSet::EMPTY, |entry| self.responsible(entry, self.lost_assert_any(), entry.members()))
    }

    /// pim_include(S,G) := { I : ((I_am_DR(I) AND lost_assert(S,G,I) == FALSE) OR AssertWinner(S,G,I) == me)
    /// AND local_receiver_include(S,G,I) }
    pub(crate) fn pim_include_sg(&self) -> PortSet {
        self.source.map_or(PortSet::EMPTY, |entry| self.responsible(entry, self.lost_assert_sg(), entry.members()))
    }

    /// pim_exclude(S,G) := { I : ((I_am_DR(I) AND lost_assert(*,G,I) == FALSE) OR AssertWinner(*,G,I) == me)
    /// AND local_receiver_exclude(S,G,I) }
    pub(crate) fn pim_exclude(&self) -> PortSet {
        let excluded = self.source.and_then(|entry| entry.shared.as_ref()).map_or(PortSet::EMPTY, |s| s.excluded);
        self.shared.map_or(PortSet::EMPTY, |entry| self.responsible(entry, self.lost_assert_any(), excluded))
    }

    /// joins(*,G)
    fn joins_any(&self) -> PortSet {
        self.shared.map_or(PortSet::EMPTY, Entry::joins)
    }

    /// joins(S,G)
    fn joins_sg(&self) -> PortSet {
        self.source.map_or(PortSet::EMPTY, Entry::joins)
    }

    /// prunes(S,G,rpt) := { I : DownstreamJPState(S,G,rpt,I) is Prune or PruneTmp }
    fn prunes_sg_rpt(&self) -> PortSet {
        self.source.and_then(|entry| entry.shared.as_ref()).map_or(PortSet::EMPTY, |shared| shared.rpt.prunes())
    }

    /// lost_assert(*,G) := { I : RPF_interface(RP(G)) != I AND AssertWinner(*,G,I) is another router }
    fn lost_assert_any(&self) -> PortSet {
        self.shared.map_or(PortSet::EMPTY, |entry| without(entry.lost(), self.rpf_interface_rp()))
    }

    /// lost_assert(S,G,rpt) := { I : NOT (RPF_interface(RP(G)) == I OR (RPF_interface(S) == I AND SPTbit(S,G)))
    /// AND AssertWinner(S,G,I) is another router }
    fn lost_assert_sg_rpt(&self) -> PortSet {
        let Some(entry) = self.source.filter(|entry| !entry.asserts().is_empty()) else { return PortSet::EMPTY };
        let lost = without(entry.lost(), self.rpf_interface_rp());
        if self.spt_bit() { without(lost, self.rpf_interface_s()) } else { lost }
    }

    /// lost_assert(S,G) := { I : RPF_interface(S) != I AND AssertWinner(S,G,I) is another router
    /// AND AssertWinnerMetric(S,G,I) is better than spt_assert_metric(S,I) }
    fn lost_assert_sg(&self) -> PortSet {
        let Some(entry) = self.source.filter(|entry| !entry.asserts().is_empty()) else { return PortSet::EMPTY };
        let is_lost = |(&port, state): (&PortId, &AssertState)| match state {
            AssertState::Loser { metric, .. } if metric.is_better_than(&self.spt_assert_metric(port)) => Some(port),
            _ => None,
        };
        without(entry.asserts().iter().filter_map(is_lost).collect(), self.rpf_interface_s())
    }

    /// immediate_olist(*,G) := joins(*,G) (+) pim_include(*,G) (-) lost_assert(*,G)
    pub(crate) fn immediate_olist_any(&self) -> PortSet {
        minus(union(self.joins_any(), self.pim_include_any()), self.lost_assert_any())
    }

    /// immediate_olist(S,G) := joins(S,G) (+) pim_include(S,G) (-) lost_assert(S,G); the register tunnel is no port
    pub(crate) fn immediate_olist_sg(&self) -> PortSet {
        minus(union(self.joins_sg(), self.pim_include_sg()), self.lost_assert_sg())
    }

    /// inherited_olist(S,G,rpt) := (joins(*,G) (-) prunes(S,G,rpt)) (+) (pim_include(*,G) (-) pim_exclude(S,G))
    /// (-) (lost_assert(*,G) (+) lost_assert(S,G,rpt))
    pub(crate) fn inherited_olist_sg_rpt(&self) -> PortSet {
        if self.shared.is_none() {
            return PortSet::EMPTY;
        }
        let joined = minus(self.joins_any(), self.prunes_sg_rpt());
        let included = minus(self.pim_include_any(), self.pim_exclude());
        minus(union(joined, included), union(self.lost_assert_any(), self.lost_assert_sg_rpt()))
    }

    /// inherited_olist(S,G) := inherited_olist(S,G,rpt) (+) joins(S,G) (+) pim_include(S,G) (-) lost_assert(S,G); the
    /// register tunnel is no port
    pub(crate) fn inherited_olist_sg(&self) -> PortSet {
        let wanted = union(union(self.inherited_olist_sg_rpt(), self.joins_sg()), self.pim_include_sg());
        minus(wanted, self.lost_assert_sg())
    }

    /// Whether a listener to all sources of the group is to come, and no interface leads to one that is there: packets of
    /// the shared tree are held for it.
    pub(crate) fn holds_any(&self) -> bool {
        self.shared.is_some_and(Entry::is_pre_joined) && self.immediate_olist_any().is_empty()
    }

    /// The same of a listener to the source, or to all of the group's, and of packets of (S,G).
    pub(crate) fn holds_sg(&self) -> bool {
        let is_pre_joined = |entry: Option<&Entry>| entry.is_some_and(Entry::is_pre_joined);
        (is_pre_joined(self.source) || is_pre_joined(self.shared)) && self.inherited_olist_sg().is_empty()
    }

    /// JoinDesired(*,G) := immediate_olist(*,G) != NULL OR a listener is to come
    pub(crate) fn join_desired_any(&self) -> bool {
        self.shared.is_some_and(Entry::is_pre_joined) || !self.immediate_olist_any().is_empty()
    }

    /// JoinDesired(S,G) := immediate_olist(S,G) != NULL OR (KeepaliveTimer(S,G) is running AND inherited_olist(S,G) != NULL)
    /// OR a listener is to come
    pub(crate) fn join_desired_sg(&self) -> bool {
        let Some(entry) = self.source else { return false };
        entry.has_register_tunnel()
            || entry.is_pre_joined()
            || !self.immediate_olist_sg().is_empty()
            || entry.is_kept_alive() && !self.inherited_olist_sg().is_empty()
    }

    /// PruneDesired(S,G,rpt) := RPTJoinDesired(G) AND (inherited_olist(S,G,rpt) == NULL
    /// OR (SPTbit(S,G) == TRUE AND RPF'(*,G) != RPF'(S,G))); RPTJoinDesired(G) := JoinDesired(*,G)
    pub(crate) fn prune_desired_sg_rpt(&self) -> bool {
        self.join_desired_any()
            && (self.inherited_olist_sg_rpt().is_empty()
                || self.spt_bit() && self.rpf_neighbor_any() != self.rpf_neighbor_sg())
    }

    /// RPF'(*,G)
    pub(crate) fn rpf_neighbor_any(&self) -> Option<LinkNeighbor> {
        self.shared.and_then(|entry| entry.rpf_neighbor().0)
    }

    /// RPF'(S,G)
    pub(crate) fn rpf_neighbor_sg(&self) -> Option<LinkNeighbor> {
        self.source.and_then(|entry| entry.rpf_neighbor().0)
    }

    /// RPF'(S,G,rpt) := AssertWinner(S,G,RPF_interface(RP(G))) where that is lost, else RPF'(*,G)
    pub(crate) fn rpf_neighbor_sg_rpt(&self) -> Option<LinkNeighbor> {
        let winner = self.rpf_interface_rp().and_then(|port| {
            let address = self.source?.assert_winner(port)?;
            Some(LinkNeighbor { port, address })
        });
        winner.or_else(|| self.rpf_neighbor_any())
    }

    /// Whether a Prune(S,G,rpt) goes with a Join(*,G) (§4.5.6): SPTbit(S,G) == TRUE AND RPF'(*,G) != RPF'(S,G), or
    /// SPTbit(S,G) == FALSE AND (inherited_olist(S,G,rpt) == NULL OR RPF'(*,G) != RPF'(S,G,rpt))
    pub(crate) fn is_pruned_with_join_any(&self) -> bool {
        if self.spt_bit() {
            return self.rpf_neighbor_any() != self.rpf_neighbor_sg();
        }
        self.inherited_olist_sg_rpt().is_empty() || self.rpf_neighbor_any() != self.rpf_neighbor_sg_rpt()
    }

    /// CouldAssert(S,G,I) := SPTbit(S,G) == TRUE AND RPF_interface(S) != I AND I in ((joins(*,G) (-) prunes(S,G,rpt))
    /// (+) (pim_include(*,G) (-) pim_exclude(S,G)) (-) lost_assert(*,G) (+) joins(S,G) (+) pim_include(S,G))
    pub(crate) fn could_assert_sg(&self, port: PortId) -> bool {
        if !self.spt_bit() || self.rpf_interface_s() == Some(port) {
            return false;
        }
        self.wants_from_shared(port) || self.joins_sg().contains(port) || self.pim_include_sg().contains(port)
    }

    /// I in ((joins(*,G) (-) prunes(S,G,rpt)) (+) (pim_include(*,G) (-) pim_exclude(S,G)) (-) lost_assert(*,G))
    fn wants_from_shared(&self, port: PortId) -> bool {
        let joined = minus(self.joins_any(), self.prunes_sg_rpt());
        let included = minus(self.pim_include_any(), self.pim_exclude());
        minus(union(joined, included), self.lost_assert_any()).contains(port)
    }

    /// CouldAssert(*,G,I) := I in (joins(*,G) (+) pim_include(*,G)) AND RPF_interface(RP(G)) != I
    pub(crate) fn could_assert_any(&self, port: PortId) -> bool {
        self.rpf_interface_rp() != Some(port) && union(self.joins_any(), self.pim_include_any()).contains(port)
    }

    /// AssertTrackingDesired(S,G,I) := I in ((joins(*,G) (-) prunes(S,G,rpt)) (+) (pim_include(*,G) (-) pim_exclude(S,G))
    /// (-) lost_assert(*,G) (+) joins(S,G)) OR (local_receiver_include(S,G,I) == TRUE AND (I_am_DR(I) OR
    /// AssertWinner(S,G,I) == me)) OR (RPF_interface(S) == I AND JoinDesired(S,G) == TRUE)
    /// OR (RPF_interface(RP(G)) == I AND JoinDesired(*,G) == TRUE AND SPTbit(S,G) == FALSE)
    pub(crate) fn assert_tracking_desired_sg(&self, port: PortId) -> bool {
        let is_member =
            self.source.is_some_and(|entry| entry.members().contains(port) && (self.i_am_dr(port) || entry.won(port)));
        self.wants_from_shared(port)
            || self.joins_sg().contains(port)
            || is_member
            || self.rpf_interface_s() == Some(port) && self.join_desired_sg()
            || self.rpf_interface_rp() == Some(port) && self.join_desired_any() && !self.spt_bit()
    }

    /// AssertTrackingDesired(*,G,I) := CouldAssert(*,G,I) OR (local_receiver_include(*,G,I) == TRUE AND (I_am_DR(I) OR
    /// AssertWinner(*,G,I) == me)) OR (RPF_interface(RP(G)) == I AND RPTJoinDesired(G))
    pub(crate) fn assert_tracking_desired_any(&self, port: PortId) -> bool {
        let is_member =
            self.shared.is_some_and(|entry| entry.members().contains(port) && (self.i_am_dr(port) || entry.won(port)));
        self.could_assert_any(port) || is_member || self.rpf_interface_rp() == Some(port) && self.join_desired_any()
    }

    /// spt_assert_metric(S,I) := { 0, MRIB.pref(S), MRIB.metric(S), my_ip_address(I) }
    pub(crate) fn spt_assert_metric(&self, port: PortId) -> AssertMetric {
        let metric = self.source.map(Entry::metric).unwrap_or_default();
        AssertMetric {
            rpt: false,
            preference: metric.preference,
            metric: metric.metric,
            address: self.my_address(port),
        }
    }

    /// rpt_assert_metric(G,I) := { 1, MRIB.pref(RP(G)), MRIB.metric(RP(G)), my_ip_address(I) }
    pub(crate) fn rpt_assert_metric(&self, port: PortId) -> AssertMetric {
        let metric = self.shared.map(Entry::metric).unwrap_or_default();
        AssertMetric { rpt: true, preference: metric.preference, metric: metric.metric, address: self.my_address(port) }
    }

    /// my_assert_metric(S,G,I) := spt_assert_metric(S,I) where CouldAssert(S,G,I), else rpt_assert_metric(G,I) where
    /// CouldAssert(*,G,I), else infinite_assert_metric()
    pub(crate) fn my_assert_metric(&self, port: PortId) -> AssertMetric {
        if self.could_assert_sg(port) {
            self.spt_assert_metric(port)
        } else if self.could_assert_any(port) {
            self.rpt_assert_metric(port)
        } else {
            AssertMetric::INFINITE
        }
    }
}
