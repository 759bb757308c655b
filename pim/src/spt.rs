//! What packets tell: keepalive timers, the switch from the shared tree to the source's, and asserts (RFC 7761 §4.2).
//!
//! The data plane forwards by what the tables say and tells of three kinds of packets: those that no route matches, those
//! that came elsewhere than their route accepts, and, of routes that ask for it, those that it forwarded.
//!
//! ```text
//! On receipt of data from S to G on interface iif:
//!   DirectlyConnected(S) and iif == RPF_interface(S)                  : restart KAT(S,G)
//!   iif == RPF_interface(S), Joined, inherited_olist(S,G) != NULL     : restart KAT(S,G)
//!   Update_SPTbit(S,G,iif)
//!   iif == RPF_interface(S) and SPTbit(S,G)                           : forwarded
//!   iif == RPF_interface(RP(G)) and not SPTbit(S,G)                   : forwarded; CheckSwitchToSpt(S,G)
//!   else, iif in the outgoing interfaces                              : Assert
//! ```

use crate::config::is_routable_group;
use crate::instance::{Router, TimerKey};
use crate::olist::{Trees, minus, union};
use crate::register::RegisterState;
use crate::rpf::RpfInfo;
use crate::tib::{SharedState, any_source_key};
use crate::upstream::UpstreamState;
use core::net::Ipv6Addr;
use stack::addr::{self, Prefix};
use stack::machine::PortId;
use stack::tables::{Accept, Mroute, MrouteKey, PortSet, Watch};
use stack::time::{Duration, Instant};

/// SwitchToSptDesired(S,G): which groups' sources get a tree of their own at the routers of their members (RFC 7761 §4.2.1)
/// and at the rendezvous point (§4.4.2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum SptSwitchover {
    /// With the first packet, but for groups of one terminal each: their only source is the agent.
    #[default]
    Immediate,
    /// With the first packet.
    Always,
    /// Never.
    Never,
    /// Those of these ranges, with the first packet.
    Groups(Vec<Prefix>),
}

impl SptSwitchover {
    fn is_desired(&self, mobility_ranges: &[Prefix], group: Ipv6Addr) -> bool {
        let within = |ranges: &[Prefix]| ranges.iter().any(|range| range.contains(group));
        match self {
            SptSwitchover::Immediate => !within(mobility_ranges),
            SptSwitchover::Always => true,
            SptSwitchover::Never => false,
            SptSwitchover::Groups(ranges) => within(ranges),
        }
    }

    /// Without it every packet of such a group comes in a Register message for ever.
    pub(crate) fn is_desired_at_rendezvous_point(&self, group: Ipv6Addr) -> bool {
        self.is_desired(&[], group)
    }
}

/// Part of Keepalive_Period for which a source that was heard is not listened for again: so much too early its state can
/// go.
const KEEPALIVE_GRAIN_DIVISOR: u32 = 7;

impl Router {
    /// A packet of (S,G) that came in by `iif`, or that this node sent or had out of a Register message.
    pub(crate) fn data_arrives(&mut self, now: Instant, iif: Option<PortId>, source: Ipv6Addr, group: Ipv6Addr) {
        if !addr::is_routable_unicast(source) || !is_routable_group(group) {
            return;
        }
        let key = MrouteKey { source, group };
        if !self.config.is_ssm(group) {
            self.shared_data_arrives(now, iif, key);
        }
        let trees = self.trees(key);
        let tree = if trees.spt_bit() { trees.source } else { trees.shared };
        let is_expected = tree.is_none_or(|entry| entry.rpf().accept().is_none() || comes_by(entry.rpf(), iif));
        if let Some(port) = iif.filter(|_| !is_expected) {
            self.data_on_outgoing_port(now, key, port);
        }
    }

    fn shared_data_arrives(&mut self, now: Instant, iif: Option<PortId>, key: MrouteKey) {
        let rpf = self.way(key.source, key.group).rpf;
        let from_source = comes_by(rpf, iif);
        let directly_connected = self.directly_connected(key.source);
        let trees = self.trees(key);
        let is_joined = trees.source.is_some_and(|entry| entry.upstream == UpstreamState::Joined);
        if let Some(port) = directly_connected.filter(|_| from_source) {
            // A source that neither we are to register nor anybody wants from us is none of our business.
            let registers = self.i_am_dr_of(port) && self.rendezvous_point(key.group).is_some_and(|p| !self.is_own(p));
            if registers || !trees.inherited_olist_sg().is_empty() {
                self.restart_keepalive(now, key, self.config.keepalive_period);
            }
        } else if from_source && is_joined && !trees.inherited_olist_sg().is_empty() {
            self.restart_keepalive(now, key, self.config.keepalive_period);
        }
        if from_source {
            self.update_spt_bit(now, key);
        }
        self.check_switch_to_spt(now, iif, key);
    }

    /// Update_SPTbit(S,G,iif), iif being RPF_interface(S): the bit is set where JoinDesired(S,G) AND (DirectlyConnected(S)
    /// OR RPF_interface(S) != RPF_interface(RP(G)) OR inherited_olist(S,G,rpt) == NULL OR (RPF'(S,G) == RPF'(*,G) AND
    /// RPF'(S,G) != NULL) OR I_Am_Assert_Loser(S,G,iif))
    fn update_spt_bit(&mut self, now: Instant, key: MrouteKey) {
        let trees = self.trees(key);
        let Some(entry) = trees.source else { return };
        let rpf_interface = entry.rpf().interface();
        let shared_interface = trees.shared.and_then(|entry| entry.rpf().interface());
        let has_come = rpf_interface != shared_interface
            || rpf_interface.is_some_and(|port| entry.assert_winner(port).is_some())
            || self.needs_no_proof(key);
        if has_come && trees.join_desired_sg() {
            self.set_spt_bit(now, key);
        }
    }

    /// Whether the source's tree cannot be told from the shared one, or nobody would miss the shared one: the bit is then
    /// set without a packet, as §4.2.2 leaves open.
    pub(crate) fn needs_no_proof(&self, key: MrouteKey) -> bool {
        let trees = self.trees(key);
        let neighbor = trees.rpf_neighbor_sg();
        trees.inherited_olist_sg_rpt().is_empty()
            || neighbor.is_some() && neighbor == trees.rpf_neighbor_any()
            || self.directly_connected(key.source).is_some()
    }

    fn set_spt_bit(&mut self, now: Instant, key: MrouteKey) {
        let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut()) else { return };
        if !core::mem::replace(&mut shared.spt_bit, true) {
            self.settle(now, key);
        }
    }

    /// CheckSwitchToSpt(S,G), of a packet that came by the shared tree: KAT(S,G) starts where (pim_include(*,G)
    /// (-) pim_exclude(S,G) (+) pim_include(S,G)) != NULL AND SwitchToSptDesired(S,G)
    fn check_switch_to_spt(&mut self, now: Instant, iif: Option<PortId>, key: MrouteKey) {
        let trees = self.trees(key);
        let by_shared_tree = trees.shared.is_some_and(|entry| comes_by(entry.rpf(), iif));
        if !by_shared_tree || trees.spt_bit() || self.is_own(key.source) {
            return;
        }
        if self.switches_to_spt(trees, key.group) {
            self.restart_keepalive(now, key, self.config.keepalive_period);
        }
    }

    /// (pim_include(*,G) (-) pim_exclude(S,G) (+) pim_include(S,G)) != NULL AND SwitchToSptDesired(S,G)
    fn switches_to_spt(&self, trees: Trees<'_>, group: Ipv6Addr) -> bool {
        let members = union(minus(trees.pim_include_any(), trees.pim_exclude()), trees.pim_include_sg());
        !members.is_empty() && self.config.spt_switchover.is_desired(&self.config.mobility_ranges, group)
    }

    /// KAT(S,G) := `period`. Makes the entry where there is none.
    pub(crate) fn restart_keepalive(&mut self, now: Instant, key: MrouteKey, period: Duration) {
        if self.tib.get(key).is_none() && self.kept_alive >= self.config.limits.sources {
            self.counters.drop_source_limit += 1;
            return;
        }
        if !self.ensure_entry(key) {
            return;
        }
        let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut()) else { return };
        if !core::mem::replace(&mut shared.is_kept_alive, true) {
            self.kept_alive += 1;
        }
        shared.awaits_packet = false;
        let (expires, listens) = (now + period, now + period / KEEPALIVE_GRAIN_DIVISOR);
        let timer = TimerKey::Keepalive(key);
        if self.timers.deadline(timer).is_none_or(|at| at < expires) {
            self.timers.set(timer, expires);
        }
        self.timers.set(TimerKey::AwaitPacket(key), listens);
        if let Some(entry) = self.tib.get_mut(key) {
            // The data plane has cleared it.
            entry.end_watch();
        }
        self.settle(now, key);
    }

    /// No packet of (S,G) came for Keepalive_Period.
    pub(crate) fn keepalive_expires(&mut self, now: Instant, key: MrouteKey) {
        let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut()) else { return };
        if core::mem::replace(&mut shared.is_kept_alive, false) {
            self.kept_alive -= 1;
        }
        shared.awaits_packet = false;
        self.timers.cancel(TimerKey::AwaitPacket(key));
        self.settle(now, key);
    }

    /// From now on the next packet of (S,G) is of interest again.
    pub(crate) fn await_packet(&mut self, now: Instant, key: MrouteKey) {
        let Some(shared) = self.tib.get_mut(key).and_then(|entry| entry.shared.as_mut()) else { return };
        shared.awaits_packet = shared.is_kept_alive;
        if !shared.is_kept_alive {
            return;
        }
        // Once more where it was lost that a packet came.
        self.timers.set(TimerKey::AwaitPacket(key), now + self.config.keepalive_period / KEEPALIVE_GRAIN_DIVISOR);
        if let Some(entry) = self.tib.get_mut(key) {
            entry.end_watch();
        }
        self.settle(now, key);
    }

    /// What the data plane has to do with packets of (S,G), beside the (*,G) route that it has: `None` where that is all.
    pub(crate) fn mroute_sg(&self, key: MrouteKey) -> Option<Mroute> {
        let trees = self.trees(key);
        let entry = trees.source?;
        let Some(state) = &entry.shared else {
            let (olist, hold) = (trees.immediate_olist_sg(), trees.holds_sg());
            let is_wanted = hold || !olist.is_empty();
            return if is_wanted { Some(Mroute { hold, ..mroute(entry.rpf().accept()?, olist) }) } else { None };
        };
        // A packet that takes this route starts KAT(S,G), or restarts it.
        let watch = if state.awaits_packet || !state.is_kept_alive { Watch::NextPacket } else { Watch::Nothing };
        let of_source = state.spt_bit || self.is_first_hop(key, state);
        let hold = trees.holds_sg();
        let mroute = if of_source {
            mroute(entry.rpf().accept()?, trees.inherited_olist_sg())
        } else {
            let shared = trees.shared?;
            let olist = trees.inherited_olist_sg_rpt();
            if olist == trees.immediate_olist_any() {
                return None;
            }
            let watch = if self.switches_to_spt(trees, key.group) { watch } else { Watch::Nothing };
            return Some(Mroute { watch, hold, ..mroute(shared.rpf().accept_shared()?, olist) });
        };
        Some(Mroute { register: self.register_tunnel(key), watch, hold, ..mroute })
    }

    /// What the data plane has to do with packets of G that have no route of their own.
    pub(crate) fn mroute_any(&self, key: MrouteKey) -> Option<Mroute> {
        let trees = self.trees(key);
        let (entry, olist, hold) = (trees.shared?, trees.immediate_olist_any(), trees.holds_any());
        if olist.is_empty() && !hold {
            return None;
        }
        let switches = self.switches_to_spt(trees, key.group);
        // A source on the link that the shared tree comes by is the designated router's to register.
        let registers = entry
            .rpf()
            .interface()
            .and_then(|port| self.interfaces.get(&port))
            .is_some_and(|interface| interface.config.link == crate::config::LinkKind::Lan && interface.i_am_dr());
        let watch = if switches || registers { Watch::Sources } else { Watch::Nothing };
        Some(Mroute { watch, hold, ..mroute(entry.rpf().accept_shared()?, olist) })
    }

    /// Whether the packets of (S,G) come to us first, and a machine of ours wants to know of them.
    fn is_first_hop(&self, key: MrouteKey, state: &SharedState) -> bool {
        state.register != RegisterState::NoInfo || state.is_kept_alive && self.directly_connected(key.source).is_some()
    }

    /// What is known of one (S,G), or of a (*,G).
    pub(crate) fn trees(&self, key: MrouteKey) -> Trees<'_> {
        let source = if key.source.is_unspecified() { None } else { self.tib.get(key) };
        // A source-specific group has no shared tree.
        let shared = match source {
            Some(entry) if entry.shared.is_none() => None,
            _ => self.tib.get(any_source_key(key.group)),
        };
        Trees { interfaces: &self.interfaces, shared, source }
    }
}

/// Whether a packet that came in by `iif`, or is this node's own or out of a Register message, comes from there.
fn comes_by(rpf: RpfInfo, iif: Option<PortId>) -> bool {
    match rpf.accept() {
        Some(Accept::Port(port)) => iif == Some(port),
        Some(Accept::Local | Accept::RendezvousPoint) => iif.is_none(),
        None => false,
    }
}

fn mroute(accept: Accept, mut olist: PortSet) -> Mroute {
    if let Accept::Port(iif) = accept {
        olist.remove(iif);
    }
    Mroute::new(accept, olist)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_groups_switch() {
        let ranges: Vec<Prefix> = vec!["ff75:520::/32".parse().unwrap()];
        let terminal: Ipv6Addr = "ff75:520:2001:db8::1".parse().unwrap();
        let other: Ipv6Addr = "ff15::1".parse().unwrap();
        let listed = SptSwitchover::Groups(vec!["ff15::/16".parse().unwrap()]);
        for (policy, of_terminal, of_other, at_rendezvous_point) in [
            (SptSwitchover::Immediate, false, true, true),
            (SptSwitchover::Always, true, true, true),
            (SptSwitchover::Never, false, false, false),
            (listed, false, true, false),
        ] {
            assert_eq!(policy.is_desired(&ranges, terminal), of_terminal, "{policy:?}");
            assert_eq!(policy.is_desired(&ranges, other), of_other, "{policy:?}");
            assert_eq!(policy.is_desired_at_rendezvous_point(terminal), at_rendezvous_point, "{policy:?}");
        }
    }
}
