//! State of one (S,G) or (*,G), made small: what most entries have none of is in a part of its own, and ports are 64 until
//! an entry has a higher one.

use super::any_source_key;
use super::way::Way;
use crate::assert::AssertState;
use crate::downstream::DownstreamState;
use crate::register::RegisterState;
use crate::rpf::{LinkNeighbor, RouteMetric, RpfInfo};
use crate::sg_rpt::{RptDownstream, RptUpstreamState};
use crate::upstream::UpstreamState;
use core::net::Ipv6Addr;
use stack::machine::PortId;
use stack::tables::{Accept, Mroute, MrouteKey, PortSet, RegisterTunnel, Watch};
use stack::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// State of one (S,G) or (*,G). Its timers are the router's, but for the join timer and the first expiry timer.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    tree: Tree,
    group: Ipv6Addr,
    root: Ipv6Addr,
    way: Arc<Way>,
    /// Interfaces in Join state below the 64th; so with the next two.
    joined: u64,
    members: u64,
    forward: u64,
    /// Where packets of the route have to come from that the forwarding table holds; `None` where it holds none.
    accept: Option<Accept>,
    watch: Watch,
    pub(crate) upstream: UpstreamState,
    upstream_neighbor: UpstreamNeighbor,
    /// [`NOT_RUNNING`] where it does not run.
    join_timer: Instant,
    /// Whose expiry timer it is.
    expiry_port: Option<PortId>,
    expiry: Instant,
    rare: Option<Box<Rare>>,
    /// What an (S,G) of an any-source group has beside that; none of (*,G) and of source-specific groups.
    pub(crate) shared: Option<Box<SharedState>>,
}

/// The join timer where it does not run.
const NOT_RUNNING: Instant = Instant::FAR_FUTURE;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tree {
    /// (S,G)
    Source,
    /// (*,G)
    Shared,
}

/// RPF', as it was last used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum UpstreamNeighbor {
    None,
    /// The one that the entry's way leads to.
    OfWay,
    /// The one that is noted in the rare part.
    Noted,
}

/// What few entries have anything of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Rare {
    /// Interfaces in Prune-Pending state.
    prune_pending: PortSet,
    /// The interfaces from the 64th on.
    joined: [u64; 3],
    members: [u64; 3],
    forward: [u64; 3],
    register: Option<RegisterTunnel>,
    /// Whether the route keeps packets that have no branch.
    hold: bool,
    upstream_neighbor: Option<LinkNeighbor>,
    upstream_by_assert: bool,
    pre_joined: bool,
    asserts: BTreeMap<PortId, AssertState>,
}

static NO_ASSERTS: BTreeMap<PortId, AssertState> = BTreeMap::new();

/// What is known of a source of a group that has a shared tree: (S,G,rpt) state, and how its packets come.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedState {
    /// SPTbit(S,G).
    pub(crate) spt_bit: bool,
    /// Whether KAT(S,G) runs.
    pub(crate) is_kept_alive: bool,
    /// Whether the next packet restarts KAT(S,G): the forwarding table is asked to tell of it.
    pub(crate) awaits_packet: bool,
    /// local_receiver_exclude(S,G,I).
    pub(crate) excluded: PortSet,
    pub(crate) rpt: RptDownstream,
    pub(crate) rpt_upstream: RptUpstreamState,
    /// Whether RPF'(S,G,rpt) was another router than RPF'(*,G) when last looked at.
    pub(crate) rpt_neighbor_differs: bool,
    pub(crate) register: RegisterState,
    /// The rendezvous point that it is registered with.
    pub(crate) registered_with: Option<Ipv6Addr>,
}

impl Entry {
    pub(super) fn new(key: MrouteKey, root: Ipv6Addr, way: Arc<Way>, shared: Option<Box<SharedState>>) -> Self {
        let is_shared_tree = key.source.is_unspecified();
        Entry {
            tree: if is_shared_tree { Tree::Shared } else { Tree::Source },
            group: key.group,
            root: if is_shared_tree { root } else { key.source },
            upstream_neighbor: match way.rpf.neighbor() {
                Some(_) => UpstreamNeighbor::OfWay,
                None => UpstreamNeighbor::None,
            },
            way,
            joined: 0,
            members: 0,
            forward: 0,
            accept: None,
            watch: Watch::Nothing,
            upstream: UpstreamState::NotJoined,
            join_timer: NOT_RUNNING,
            expiry_port: None,
            expiry: NOT_RUNNING,
            rare: None,
            shared,
        }
    }

    /// Source and group.
    pub(crate) fn key(&self) -> MrouteKey {
        match self.tree {
            Tree::Source => MrouteKey { source: self.root, group: self.group },
            Tree::Shared => any_source_key(self.group),
        }
    }

    /// What the tree grows towards: S, or RP(G); unspecified where the group has no rendezvous point any more.
    pub(crate) fn root(&self) -> Ipv6Addr {
        self.root
    }

    /// Of a (*,G) only: the root of an (S,G) is its source.
    pub(super) fn set_root(&mut self, root: Ipv6Addr) {
        debug_assert_eq!(self.tree, Tree::Shared);
        self.root = root;
    }

    /// Where the routes say that the root is.
    pub(crate) fn rpf(&self) -> RpfInfo {
        self.way.rpf
    }

    /// MRIB.pref(root) and MRIB.metric(root).
    pub(crate) fn metric(&self) -> RouteMetric {
        self.way.metric
    }

    /// Gives it another way; answers the former one. RPF' stays what it was last used as.
    pub(super) fn set_way(&mut self, way: Arc<Way>) -> Arc<Way> {
        let neighbor = self.upstream_neighbor();
        let former = core::mem::replace(&mut self.way, way);
        self.set_upstream_neighbor(neighbor);
        former
    }

    pub(super) fn into_way(self) -> Arc<Way> {
        self.way
    }

    pub(super) fn way(&self) -> &Arc<Way> {
        &self.way
    }

    /// Interfaces in Join state.
    pub(crate) fn joined(&self) -> PortSet {
        whole(self.joined, self.rare.as_ref().map(|rare| rare.joined))
    }

    pub(crate) fn set_joined(&mut self, ports: PortSet) {
        let [low, high @ ..] = ports.words();
        self.joined = low;
        self.set_rare(high != [0; 3], |rare| rare.joined = high);
    }

    /// Interfaces in Prune-Pending state.
    pub(crate) fn prune_pending(&self) -> PortSet {
        self.rare.as_ref().map_or(PortSet::EMPTY, |rare| rare.prune_pending)
    }

    pub(crate) fn set_prune_pending(&mut self, ports: PortSet) {
        self.set_rare(!ports.is_empty(), |rare| rare.prune_pending = ports);
    }

    /// local_receiver_include(S,G,I), local_receiver_include(*,G,I).
    pub(crate) fn members(&self) -> PortSet {
        whole(self.members, self.rare.as_ref().map(|rare| rare.members))
    }

    pub(crate) fn set_members(&mut self, ports: PortSet) {
        let [low, high @ ..] = ports.words();
        self.members = low;
        self.set_rare(high != [0; 3], |rare| rare.members = high);
    }

    pub(crate) fn downstream(&self, port: PortId) -> DownstreamState {
        if self.joined().contains(port) {
            DownstreamState::Join
        } else if self.prune_pending().contains(port) {
            DownstreamState::PrunePending
        } else {
            DownstreamState::NoInfo
        }
    }

    pub(crate) fn set_downstream(&mut self, port: PortId, state: DownstreamState) {
        let (mut joined, mut prune_pending) = (self.joined(), self.prune_pending());
        joined.remove(port);
        prune_pending.remove(port);
        match state {
            DownstreamState::NoInfo => {}
            DownstreamState::Join => {
                joined.insert(port);
            }
            DownstreamState::PrunePending => {
                prune_pending.insert(port);
            }
        }
        self.set_joined(joined);
        self.set_prune_pending(prune_pending);
    }

    /// RPF'(S,G), RPF'(*,G), as it was last used.
    pub(crate) fn upstream_neighbor(&self) -> Option<LinkNeighbor> {
        match self.upstream_neighbor {
            UpstreamNeighbor::None => None,
            UpstreamNeighbor::OfWay => self.way.rpf.neighbor(),
            UpstreamNeighbor::Noted => self.rare.as_ref().and_then(|rare| rare.upstream_neighbor),
        }
    }

    /// The join timer does not run: it is arranged by neighbour.
    pub(crate) fn set_upstream_neighbor(&mut self, neighbor: Option<LinkNeighbor>) {
        self.upstream_neighbor = match neighbor {
            None => UpstreamNeighbor::None,
            Some(_) if neighbor == self.way.rpf.neighbor() => UpstreamNeighbor::OfWay,
            Some(_) => UpstreamNeighbor::Noted,
        };
        let noted = neighbor.filter(|_| self.upstream_neighbor == UpstreamNeighbor::Noted);
        self.set_rare(noted.is_some(), |rare| rare.upstream_neighbor = noted);
    }

    /// Notes whether RPF' is the winner of an assert; answers whether it was.
    pub(crate) fn replace_upstream_by_assert(&mut self, by_assert: bool) -> bool {
        let was = self.rare.as_ref().is_some_and(|rare| rare.upstream_by_assert);
        self.set_rare(by_assert, |rare| rare.upstream_by_assert = by_assert);
        was
    }

    /// When JT(S,G), JT(*,G) expires; it runs while there is a neighbour to refresh.
    pub(crate) fn join_timer(&self) -> Option<Instant> {
        (self.join_timer != NOT_RUNNING).then_some(self.join_timer)
    }

    pub(super) fn set_join_timer(&mut self, at: Option<Instant>) {
        self.join_timer = at.unwrap_or(NOT_RUNNING);
    }

    /// The expiry timer that the entry holds itself.
    pub(crate) fn expiry(&self) -> Option<(PortId, Instant)> {
        self.expiry_port.map(|port| (port, self.expiry))
    }

    pub(super) fn set_expiry(&mut self, expiry: Option<(PortId, Instant)>) {
        self.expiry_port = expiry.map(|(port, _)| port);
        self.expiry = expiry.map_or(NOT_RUNNING, |(_, at)| at);
    }

    /// What the forwarding table holds.
    pub(crate) fn installed(&self) -> Option<Mroute> {
        let rare = self.rare.as_ref();
        Some(Mroute {
            accept: self.accept?,
            forward: whole(self.forward, rare.map(|rare| rare.forward)),
            register: rare.and_then(|rare| rare.register),
            watch: self.watch,
            hold: rare.is_some_and(|rare| rare.hold),
        })
    }

    pub(crate) fn set_installed(&mut self, mroute: Option<Mroute>) {
        let [low, high @ ..] = mroute.map_or([0; 4], |mroute| mroute.forward.words());
        let register = mroute.and_then(|mroute| mroute.register);
        let hold = mroute.is_some_and(|mroute| mroute.hold);
        self.accept = mroute.map(|mroute| mroute.accept);
        self.watch = mroute.map_or(Watch::Nothing, |mroute| mroute.watch);
        self.forward = low;
        self.set_rare(high != [0; 3] || register.is_some() || hold, |rare| {
            (rare.forward, rare.register, rare.hold) = (high, register, hold);
        });
    }

    /// The data plane watches for nothing any more.
    pub(crate) fn end_watch(&mut self) {
        self.watch = Watch::Nothing;
    }

    /// Interfaces whose assert state is not NoInfo.
    pub(crate) fn asserts(&self) -> &BTreeMap<PortId, AssertState> {
        self.rare.as_ref().map_or(&NO_ASSERTS, |rare| &rare.asserts)
    }

    /// `None` is NoInfo.
    pub(crate) fn set_assert(&mut self, port: PortId, state: Option<AssertState>) {
        self.set_rare(state.is_some(), |rare| {
            match state {
                Some(state) => rare.asserts.insert(port, state),
                None => rare.asserts.remove(&port),
            };
        });
    }

    /// Whether it is joined for a listener to come.
    pub(crate) fn is_pre_joined(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.pre_joined)
    }

    pub(crate) fn set_pre_joined(&mut self, pre_joined: bool) {
        self.set_rare(pre_joined, |rare| rare.pre_joined = pre_joined);
    }

    /// SPTbit(S,G). A source-specific group has no other tree, so that its bit is set as soon as the tree is joined
    /// (RFC 7761 §4.8.1).
    pub(crate) fn spt_bit(&self) -> bool {
        self.shared.as_ref().map_or(self.upstream == UpstreamState::Joined, |shared| shared.spt_bit)
    }

    /// KeepaliveTimer(S,G) is running
    pub(crate) fn is_kept_alive(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.is_kept_alive)
    }

    /// DownstreamJPState(S,G,VI) of the register tunnel is Join (RFC 7761 §4.4.1).
    pub(crate) fn has_register_tunnel(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.register == RegisterState::Join)
    }

    /// Changes the rare part, which is made where `needed` says that there is something to note, and goes with the last.
    fn set_rare(&mut self, needed: bool, change: impl FnOnce(&mut Rare)) {
        match &mut self.rare {
            None if needed => change(self.rare.insert(Box::default())),
            None => {}
            Some(rare) => {
                change(rare);
                if !needed && **rare == Rare::default() {
                    self.rare = None;
                }
            }
        }
    }
}

fn whole(low: u64, high: Option<[u64; 3]>) -> PortSet {
    let [a, b, c] = high.unwrap_or_default();
    PortSet::from_words([low, a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assert::AssertMetric;
    use proptest::prelude::*;

    fn neighbor(port: u8, last: u16) -> LinkNeighbor {
        LinkNeighbor { port: PortId(port), address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last) }
    }

    fn way(next_hop: Option<LinkNeighbor>) -> Arc<Way> {
        let rpf = next_hop.map_or(RpfInfo::Unreachable, |LinkNeighbor { port, address }| RpfInfo::Via {
            port,
            next_hop: address,
            neighbor: Some(address),
        });
        Arc::new(Way { rpf, metric: RouteMetric::default() })
    }

    /// The same state, as plain as can be.
    #[derive(Clone, PartialEq, Debug, Default)]
    struct Plain {
        joined: PortSet,
        prune_pending: PortSet,
        members: PortSet,
        upstream_neighbor: Option<LinkNeighbor>,
        by_assert: bool,
        pre_joined: bool,
        installed: Option<Mroute>,
        asserts: BTreeMap<PortId, AssertState>,
    }

    proptest! {
        /// Whatever is set is read again, and nothing rare is kept where nothing rare is noted.
        #[test]
        fn holds_what_it_is_told(
            operations in prop::collection::vec((0u8..10, any::<u8>(), any::<u16>(), any::<[u64; 4]>()), 0..80),
        ) {
            let key = MrouteKey { source: Ipv6Addr::LOCALHOST, group: Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 1) };
            let mut entry = Entry::new(key, key.source, way(None), None);
            let mut plain = Plain::default();
            for (operation, port, last, words) in operations {
                // Few ports are high, and what is set is taken back as often.
                let port = if last % 4 == 0 { port } else { port % 64 };
                let set = last % 3 != 0;
                let ports = if set { PortSet::from_words(words) } else { PortSet::EMPTY };
                match operation {
                    0 | 1 => {
                        use DownstreamState::{Join, NoInfo, PrunePending};
                        let state = [NoInfo, Join, PrunePending][usize::from(last % 3)];
                        entry.set_downstream(PortId(port), state);
                        plain.joined.remove(PortId(port));
                        plain.prune_pending.remove(PortId(port));
                        match state {
                            NoInfo => {}
                            Join => drop(plain.joined.insert(PortId(port))),
                            PrunePending => drop(plain.prune_pending.insert(PortId(port))),
                        }
                        prop_assert_eq!(entry.downstream(PortId(port)), state);
                    }
                    2 => {
                        entry.set_members(ports);
                        plain.members = ports;
                    }
                    3 => {
                        entry.set_joined(ports);
                        plain.joined = ports;
                    }
                    4 => drop(entry.set_way(way(set.then(|| neighbor(port % 2, last % 2))))),
                    5 => {
                        plain.upstream_neighbor = set.then(|| neighbor(port % 2, last % 2));
                        entry.set_upstream_neighbor(plain.upstream_neighbor);
                    }
                    6 => {
                        prop_assert_eq!(entry.replace_upstream_by_assert(set), plain.by_assert);
                        plain.by_assert = set;
                    }
                    8 => {
                        entry.set_pre_joined(set);
                        plain.pre_joined = set;
                    }
                    7 => {
                        let accept = [Accept::Port(PortId(port)), Accept::Local, Accept::RendezvousPoint];
                        let watch = [Watch::Nothing, Watch::NextPacket, Watch::Sources];
                        let address = Ipv6Addr::from_bits(words[0].into());
                        let tunnel = RegisterTunnel { source: address, rendezvous_point: address };
                        plain.installed = set.then(|| Mroute {
                            accept: accept[usize::from(port % 3)],
                            forward: ports,
                            register: (words[1] % 3 == 0).then_some(tunnel),
                            watch: watch[(words[2] % 3) as usize],
                            hold: words[3] % 2 == 0,
                        });
                        entry.set_installed(plain.installed);
                    }
                    _ => {
                        let (port, winner) = (PortId(port % 4), neighbor(0, last).address);
                        let lost = AssertState::Loser { winner, metric: AssertMetric::INFINITE };
                        let state = set.then_some(if last % 2 == 0 { AssertState::Winner } else { lost });
                        entry.set_assert(port, state);
                        match state {
                            Some(state) => drop(plain.asserts.insert(port, state)),
                            None => drop(plain.asserts.remove(&port)),
                        }
                    }
                }
                let now = Plain {
                    joined: entry.joined(),
                    prune_pending: entry.prune_pending(),
                    members: entry.members(),
                    upstream_neighbor: entry.upstream_neighbor(),
                    by_assert: entry.rare.as_ref().is_some_and(|rare| rare.upstream_by_assert),
                    pre_joined: entry.is_pre_joined(),
                    installed: entry.installed(),
                    asserts: entry.asserts().clone(),
                };
                prop_assert_eq!(&now, &plain);
                prop_assert!(entry.rare.as_deref() != Some(&Rare::default()));
            }
            prop_assert_eq!(entry.key(), key);
        }
    }
}
