//! Members of groups on the node's links, as MLD has told of them, and groups that the node itself receives.

use super::pager::Pager;
use super::{View, words};
use crate::admin::{Page, Part, Position};
use core::net::Ipv6Addr;
use pim::mld::{GroupView, HostView, Querier};
use serde_json::{Value, json};
use stack::machine::PortId;

impl View<'_> {
    /// Members, and behind them what is received.
    pub(super) fn groups(&self, part: &Part) -> Page {
        let mut pager = Pager::new(part);
        let received_from = match part.from {
            Position::Reception(from) => from,
            _ => {
                self.members(part, &mut pager, |port, _, view| self.group_row(port, view));
                Ipv6Addr::UNSPECIFIED
            }
        };
        for (group, reception, packets) in
            self.worker.dataplane().groups().filter(|(group, ..)| *group >= received_from)
        {
            if !pager.goes_on(Position::Reception(group)) {
                break;
            }
            pager.offer(group, || {
                json!({
                    "port": null,
                    "group": group,
                    "mode": "received",
                    "version": null,
                    "sources": reception.source.to_string(),
                    "hosts": null,
                    "delivery": null,
                    "packets": packets,
                })
            });
        }
        pager.finish()
    }

    /// Members, with the timers of RFC 3810 §7.2 and the querier.
    pub(super) fn mld(&self, part: &Part) -> Page {
        let mut pager = Pager::new(part);
        self.members(part, &mut pager, |port, querier, view| {
            let mut row = self.group_row(port, view);
            let until = |at| match self.secs_until(at) {
                Value::Null => "excluded".to_owned(),
                secs => format!("{secs} s"),
            };
            let sources = view.sources.iter().map(|source| format!("{} {}", source.address, until(source.expires)));
            row["sources"] = sources.collect::<Vec<_>>().join(", ").into();
            row["remaining_secs"] = self.secs_until(view.filter_timer);
            row["querier"] = querier.querier_address().to_string().into();
            if let Some(row) = row.as_object_mut() {
                row.shift_remove("packets");
            }
            row
        });
        pager.finish()
    }

    /// Offers the groups of all links from where the part begins.
    fn members(&self, part: &Part, pager: &mut Pager<'_>, row: impl Fn(PortId, &Querier, &GroupView) -> Value) {
        let (first_port, first_group) = match part.from {
            Position::Member(port, group) => (port, group),
            _ => (PortId(0), Ipv6Addr::UNSPECIFIED),
        };
        let range = part.group;
        for (port, querier) in
            self.node.pim.iter().flat_map(pim::Router::queriers).filter(|&(port, _)| port >= first_port)
        {
            let from = if port == first_port { first_group } else { Ipv6Addr::UNSPECIFIED };
            let from = from.max(range.map_or(Ipv6Addr::UNSPECIFIED, |range| range.address()));
            // They are in order, so that the range is in one piece.
            for group in querier.addresses_from(from).take_while(|&group| part.includes(group)) {
                if !pager.goes_on(Position::Member(port, group)) {
                    return;
                }
                pager.offer(group, || querier.group(group).map_or(Value::Null, |view| row(port, querier, &view)));
            }
        }
    }

    fn group_row(&self, port: PortId, view: &GroupView) -> Value {
        let listens = |host: &&HostView| host.exclude_until.is_some() || !host.sources.is_empty();
        let delivery = self.worker.dataplane().delivery(port, view.group);
        json!({
            "port": self.port(port),
            "group": view.group,
            "mode": if view.is_include() { "include" } else { "exclude" },
            "version": view.version.number(),
            "sources": words(view.sources.iter().map(|source| source.address)),
            "hosts": words(view.hosts.iter().filter(listens).map(|host| host.address)),
            "delivery": delivery.map_or_else(|| "group".to_owned(), |listener| listener.to_string()),
            "packets": null,
        })
    }
}
