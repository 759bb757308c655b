//! Multicast trees: the routes of the data plane, the tree information base that they come from, and its asserts.

use super::pager::Pager;
use super::{View, words};
use crate::admin::{Page, Part, Position};
use pim::{
    AssertState, DownstreamState, EntryRef, EntryView, RegisterState, RpfInfo, RptDownstreamState, RptUpstreamState,
    UpstreamState,
};
use serde_json::{Value, json};
use stack::machine::PortId;
use stack::tables::{Accept, Mroute, MrouteKey};
use stack::time::Instant;

impl View<'_> {
    /// What packets are forwarded by.
    pub(super) fn mroutes(&self, part: &Part) -> Page {
        self.trees(part, |pager, entry| {
            let key = entry.key();
            if let Some((route, packets)) = self.worker.dataplane().mroute(key) {
                pager.offer(key.group, || self.mroute_row(&entry.view(), &route, packets));
            }
        })
    }

    /// All that is known of each (S,G) and (*,G).
    pub(super) fn tib(&self, part: &Part) -> Page {
        self.trees(part, |pager, entry| pager.offer(entry.key().group, || self.tib_row(&entry.view())))
    }

    /// A row an interface with assert state.
    pub(super) fn asserts(&self, part: &Part) -> Page {
        self.trees(part, |pager, entry| {
            let key = entry.key();
            if entry.has_asserts() && part.includes(key.group) {
                for (port, state, expires) in entry.view().asserts {
                    pager.offer(key.group, || self.assert_row(key, port, &state, expires));
                }
            }
        })
    }

    fn trees(&self, part: &Part, mut show: impl FnMut(&mut Pager<'_>, EntryRef<'_>)) -> Page {
        let from = match part.from {
            Position::Tree(place) => place,
            _ => 0,
        };
        let mut pager = Pager::new(part);
        for (place, entry) in self.node.pim.iter().flat_map(|pim| pim.entries_from(from)) {
            if !pager.goes_on(Position::Tree(place)) {
                break;
            }
            if part.includes(entry.key().group) {
                show(&mut pager, entry);
            }
        }
        pager.finish()
    }

    fn mroute_row(&self, state: &EntryView, route: &Mroute, packets: u64) -> Value {
        json!({
            "source": state.key.source,
            "group": state.key.group,
            "in": self.accepted(route.accept),
            "out": self.branches(route),
            "register": route.register.map(|tunnel| tunnel.rendezvous_point),
            "upstream": upstream_state(state.upstream),
            "joined": state.downstream.iter().map(|view| self.port(view.port)).collect::<Vec<_>>().join(" "),
            "members": self.port_names(state.include),
            "packets": packets,
        })
    }

    fn tib_row(&self, state: &EntryView) -> Value {
        let key = state.key;
        let forwarding = self.worker.dataplane().mroute(key);
        let (way, next_hop) = match state.rpf {
            RpfInfo::Unreachable => ("unreachable", None),
            RpfInfo::Local => ("local", None),
            RpfInfo::OnLink(port) => (self.port(port), None),
            RpfInfo::Via { port, next_hop, .. } => (self.port(port), Some(next_hop)),
        };
        let downstream = state.downstream.iter().map(|view| {
            let (word, until) = match view.state {
                DownstreamState::NoInfo => ("no info", None),
                DownstreamState::Join => ("join", view.expires),
                DownstreamState::PrunePending => ("prune pending", view.prune_pending),
            };
            self.of_port(view.port, word, until)
        });
        let shared = state.shared.as_ref();
        let pruned = shared.iter().flat_map(|shared| &shared.rpt_downstream).map(|&(port, state)| {
            let word = match state {
                RptDownstreamState::NoInfo => "no info",
                RptDownstreamState::Prune | RptDownstreamState::PruneTmp => "prune",
                RptDownstreamState::PrunePending | RptDownstreamState::PrunePendingTmp => "prune pending",
            };
            self.of_port(port, word, None)
        });
        json!({
            "source": key.source,
            "group": key.group,
            "root": state.root,
            "rpf_port": way,
            "next_hop": next_hop,
            "rpf_neighbor": state.upstream_neighbor.map(|neighbor| neighbor.address),
            "upstream": upstream_state(state.upstream),
            "join_secs": self.secs_until(state.join_timer),
            "spt": shared.map(|shared| shared.spt_bit),
            "keepalive_secs": self.secs_until(shared.and_then(|shared| shared.keepalive)),
            "register": shared.map(|shared| register_state(shared.register)),
            "downstream": downstream.collect::<Vec<_>>().join(", "),
            "members": self.port_names(state.include),
            "excluded": shared.map(|shared| self.port_names(shared.excluded)),
            "rpt_upstream": shared.map(|shared| match shared.rpt_upstream {
                RptUpstreamState::NotJoined => "not joined",
                RptUpstreamState::Pruned => "pruned",
                RptUpstreamState::NotPruned => "not pruned",
            }),
            "rpt_downstream": shared.map(|_| pruned.collect::<Vec<_>>().join(", ")),
            "rpt_override_secs": self.secs_until(shared.and_then(|shared| shared.override_at)),
            "asserts": words(state.asserts.iter().map(|&(port, state, _)| match state {
                AssertState::Winner => format!("{} won", self.port(port)),
                AssertState::Loser { .. } => format!("{} lost", self.port(port)),
            })),
            "in": forwarding.map(|(route, _)| self.accepted(route.accept)),
            "out": forwarding.map(|(route, _)| self.branches(&route)),
            "expected_secs": self.secs_until(state.pre_joined_until),
            "packets": forwarding.map(|(_, packets)| packets),
        })
    }

    fn assert_row(&self, key: MrouteKey, port: PortId, state: &AssertState, expires: Option<Instant>) -> Value {
        let (word, winner, metric) = match state {
            AssertState::Winner => ("winner", None, None),
            AssertState::Loser { winner, metric } => ("loser", Some(*winner), Some(metric)),
        };
        json!({
            "port": self.port(port),
            "source": key.source,
            "group": key.group,
            "state": word,
            "winner": winner,
            "rpt": metric.map(|metric| metric.rpt),
            "preference": metric.map(|metric| metric.preference),
            "metric": metric.map(|metric| metric.metric),
            "remaining_secs": self.secs_until(expires),
        })
    }

    /// A port in a state, and for how long.
    fn of_port(&self, port: PortId, state: &str, until: Option<Instant>) -> String {
        let port = self.port(port);
        match self.secs_until(until) {
            Value::Null => format!("{port} {state}"),
            secs => format!("{port} {state} {secs} s"),
        }
    }

    /// The ports that packets leave by, or that they are kept for a listener to come.
    fn branches(&self, route: &Mroute) -> String {
        if route.hold { "held".to_owned() } else { self.port_names(route.forward) }
    }

    fn accepted(&self, accept: Accept) -> &str {
        match accept {
            Accept::Port(port) => self.port(port),
            Accept::Local => "local",
            Accept::RendezvousPoint => "local and registers",
        }
    }
}

fn upstream_state(state: UpstreamState) -> &'static str {
    match state {
        UpstreamState::NotJoined => "notjoined",
        UpstreamState::Joined => "joined",
    }
}

fn register_state(state: RegisterState) -> &'static str {
    match state {
        RegisterState::NoInfo => "no info",
        RegisterState::Join => "join",
        RegisterState::Prune => "prune",
        RegisterState::JoinPending => "join pending",
    }
}
