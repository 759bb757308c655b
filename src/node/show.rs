//! What `drover show` gets to see, as JSON: an array of flat objects a table, an object of objects for counters.

use super::DroverNode;
use super::report::{Placement, WorkerReport};
use crate::admin::Topic;
use crate::config::resolved::PollMode;
use ::ha::correspondent::Authorisation;
use ::ha::mobile::movement::Site;
use core::net::Ipv6Addr;
use pim::{BsrState, RpSource, ScopeZone, StaticPrecedence};
use serde_json::{Map, Value, json};
use stack::machine::PortId;
use stack::nd::Entry;
use stack::pipeline::{Counter, Counters};
use stack::port::{PortCounters, XdpGiven};
use stack::runtime::Worker;
use stack::tables::{Accept, BindingState, PortSet, Route};
use stack::time::Instant;

/// Shows a topic of a node at this time whose only worker is this one.
pub fn show(worker: &Worker<DroverNode>, now: Instant, topic: Topic) -> Value {
    let report = WorkerReport::new(&Placement::default(), worker.dataplane(), worker.ports());
    show_all(worker, now, topic, &[report])
}

/// Shows a topic of a node at this time whose first worker is this one; `reports` are those of all workers, this one's
/// first.
pub fn show_all(worker: &Worker<DroverNode>, now: Instant, topic: Topic, reports: &[WorkerReport]) -> Value {
    let view = View { worker, node: worker.node(), now, reports };
    match topic {
        Topic::Neighbors => view.neighbors(),
        Topic::Routes => view.routes(),
        Topic::Bindings => view.bindings(),
        Topic::Optimisations => view.optimisations(),
        Topic::Groups => view.groups(),
        Topic::Mroutes => view.mroutes(),
        Topic::Rp => view.rendezvous_points(),
        Topic::Bsr => view.bootstrap_routers(),
        Topic::Terminals => view.terminals(),
        Topic::Counters => view.counters(),
        Topic::Ports => view.ports(),
        Topic::Workers => view.workers(),
    }
}

/// The bindings without what changes by itself: two of these are equal, to the octet, where no agent's table has changed.
pub fn stable_bindings(worker: &Worker<DroverNode>) -> Value {
    keep_what_stays(show(worker, Instant::ORIGIN, Topic::Bindings))
}

/// Takes out of what [`Topic::Bindings`] shows the remaining lifetimes, and bindings that forward, which end in their own
/// time.
pub fn keep_what_stays(mut bindings: Value) -> Value {
    if let Some(rows) = bindings.as_array_mut() {
        rows.retain(|row| row["status"] != "forward");
    }
    for binding in bindings.as_array_mut().into_iter().flatten() {
        if let Some(binding) = binding.as_object_mut() {
            binding.remove("remaining_secs");
        }
    }
    bindings
}

struct View<'a> {
    worker: &'a Worker<DroverNode>,
    node: &'a DroverNode,
    now: Instant,
    reports: &'a [WorkerReport],
}

impl View<'_> {
    fn port(&self, port: PortId) -> &str {
        self.node.ports.get(usize::from(port.0)).map_or("?", |port| &port.name)
    }

    fn port_names(&self, ports: PortSet) -> String {
        ports.iter().map(|port| self.port(port)).collect::<Vec<_>>().join(" ")
    }

    fn neighbors(&self) -> Value {
        let pim = |port: PortId, address: Ipv6Addr| {
            let mut neighbors = self.node.pim.iter().flat_map(pim::Router::neighbors);
            neighbors.find(|view| view.port == port && view.neighbor.primary_address == address)
        };
        let row = |port: PortId, address: Ipv6Addr, entry: Option<Entry>, multicast: Option<pim::NeighborView<'_>>| {
            let hello = multicast.as_ref().map(|view| view.neighbor);
            let prune_delay = hello.and_then(|hello| hello.lan_prune_delay);
            json!({
                "port": self.port(port),
                "address": address,
                "link_address": entry.as_ref().and_then(|entry| entry.link_address).map(|mac| mac.to_string()),
                "state": entry.as_ref().map(|entry| format!("{:?}", entry.state).to_lowercase()),
                "router": entry.is_none_or(|entry| entry.is_router),
                "pim": multicast.is_some(),
                "designated_router": multicast.as_ref().is_some_and(|view| view.is_designated_router),
                "dr_priority": hello.and_then(|hello| hello.dr_priority),
                "generation_id": hello.and_then(|hello| hello.generation_id),
                "propagation_delay_ms": prune_delay.map(|delay| delay.propagation_delay_ms),
                "override_interval_ms": prune_delay.map(|delay| delay.override_interval_ms),
                "addresses": hello.map(|hello| words(hello.secondary_addresses.iter().copied())),
            })
        };
        let mut rows: Vec<Value> = Vec::new();
        for neighbor in self.node.discovery.neighbor().neighbors() {
            let multicast = pim(neighbor.port, neighbor.address);
            rows.push(row(neighbor.port, neighbor.address, Some(neighbor.entry), multicast));
        }
        for view in self.node.pim.iter().flat_map(pim::Router::neighbors) {
            let (port, address) = (view.port, view.neighbor.primary_address);
            if self.node.discovery.neighbor().neighbor(port, address).is_none() {
                rows.push(row(port, address, None, Some(view)));
            }
        }
        rows.into()
    }

    fn routes(&self) -> Value {
        let row = |(prefix, route): (stack::addr::Prefix, Route)| {
            let (action, port, next_hop) = match route {
                Route::Via { port, next_hop } => ("via", Some(port), Some(next_hop)),
                Route::OnLink(port) => ("on-link", Some(port), None),
                Route::Local => ("local", None, None),
                Route::CareOf => ("care-of", None, None),
                Route::Unreachable => ("unreachable", None, None),
                Route::Blackhole => ("blackhole", None, None),
            };
            json!({
                "prefix": prefix.to_string(),
                "action": action,
                "port": port.map(|port| self.port(port)),
                "next_hop": next_hop,
            })
        };
        self.worker.dataplane().routes().map(row).collect()
    }

    fn bindings(&self) -> Value {
        let mut rows: Vec<Value> = Vec::new();
        for binding in self.node.mma.iter().flat_map(|mma| mma.bindings()) {
            let (status, to) = match binding.state {
                BindingState::Active => ("active", None),
                BindingState::Anchor => ("anchor", None),
                BindingState::Forward { to, .. } => ("forward", Some(to)),
            };
            rows.push(json!({
                "agent": "mma",
                "home_address": binding.home_address,
                "care_of": binding.care_of,
                "group": (status != "anchor").then_some(binding.group),
                "home_agent": (status != "anchor").then_some(binding.home_agent),
                "gre_key": binding.gre_key,
                "registered_from": binding.access_address,
                "sequence": binding.sequence,
                "status": status,
                "forward_to": to,
                "remaining_secs": binding.remaining(self.now).as_secs(),
            }));
        }
        let agent = self.node.home_agent.as_ref();
        for binding in agent.iter().flat_map(|agent| agent.bindings().iter()) {
            let remaining = agent.and_then(|agent| agent.remaining(self.now, binding.home_address));
            rows.push(json!({
                "agent": "home-agent",
                "home_address": binding.home_address,
                "care_of": binding.care_of,
                "group": null,
                "home_agent": binding.agent,
                "gre_key": null,
                "registered_from": null,
                "sequence": binding.sequence,
                "status": format!("{:?}", binding.status).to_lowercase(),
                "forward_to": null,
                "remaining_secs": remaining.map(|remaining| remaining.as_secs()),
            }));
        }
        for binding in self.node.correspondent.iter().flat_map(|node| node.bindings().iter()) {
            rows.push(json!({
                "agent": "correspondent",
                "home_address": binding.home_address,
                "care_of": binding.care_of,
                "group": null,
                "home_agent": null,
                "gre_key": null,
                "registered_from": null,
                "sequence": binding.sequence,
                "status": match binding.authorisation {
                    Authorisation::ReturnRoutability(_) => "return routability",
                    Authorisation::Preconfigured => "preconfigured key",
                },
                "remaining_secs": binding.expires_at.since(self.now).as_secs(),
            }));
        }
        rows.into()
    }

    fn optimisations(&self) -> Value {
        let row = |view: ::mma::route_optimisation::View| {
            json!({
                "by": "mma",
                "home_address": view.home_address,
                "correspondent": view.correspondent,
                "state": view.state,
                "care_of": view.care_of,
                "remaining_secs": view.until.map(|until| until.since(self.now).as_secs()),
            })
        };
        self.node.mma.iter().flat_map(|mma| mma.optimisations()).map(row).collect()
    }

    fn groups(&self) -> Value {
        let mut rows: Vec<Value> = Vec::new();
        for (port, querier) in self.node.pim.iter().flat_map(pim::Router::queriers) {
            for group in querier.groups() {
                let listens = |host: &&pim::mld::HostView| host.exclude_until.is_some() || !host.sources.is_empty();
                let hosts = words(group.hosts.iter().filter(listens).map(|host| host.address));
                let sources = words(group.sources.iter().map(|source| source.address));
                rows.push(json!({
                    "port": self.port(port),
                    "group": group.group,
                    "mode": if group.is_include() { "include" } else { "exclude" },
                    "version": group.version.number(),
                    "sources": sources,
                    "hosts": hosts,
                    "delivery": self.worker.dataplane().delivery(port, group.group)
                        .map_or_else(|| "group".to_owned(), |listener| listener.to_string()),
                    "packets": null,
                }));
            }
        }
        for (group, reception, packets) in self.worker.dataplane().groups() {
            rows.push(json!({
                "port": null,
                "group": group,
                "mode": "received",
                "version": null,
                "sources": reception.source.to_string(),
                "hosts": null,
                "delivery": null,
                "packets": packets,
            }));
        }
        rows.into()
    }

    fn mroutes(&self) -> Value {
        let routes = self.worker.dataplane().mroutes().map(|(key, route, packets)| {
            let state = self.node.pim.as_ref().and_then(|pim| pim.entry(key));
            json!({
                "source": key.source,
                "group": key.group,
                "in": match route.accept {
                    Accept::Port(port) => self.port(port),
                    Accept::Local => "local",
                    Accept::RendezvousPoint => "local and registers",
                },
                "out": self.port_names(route.forward),
                "register": route.register.map(|tunnel| tunnel.rendezvous_point),
                "upstream": state.as_ref().map(|state| format!("{:?}", state.upstream).to_lowercase()),
                "joined": state.as_ref().map(|state| {
                    state.downstream.iter().map(|view| self.port(view.port)).collect::<Vec<_>>().join(" ")
                }),
                "members": state.as_ref().map(|state| self.port_names(state.include)),
                "packets": packets,
            })
        });
        routes.collect()
    }

    fn rendezvous_points(&self) -> Value {
        let row = |mapping: pim::RpMappingView| {
            let (source, zone) = match mapping.source {
                RpSource::Embedded => ("embedded", None),
                RpSource::Static(StaticPrecedence::BehindLearned) => ("static", None),
                RpSource::Static(StaticPrecedence::OverridesLearned) => ("static, overrides", None),
                RpSource::Bsr(zone) => ("bsr", Some(zone_name(zone))),
            };
            json!({
                "groups": mapping.groups.to_string(),
                "rendezvous_point": mapping.rendezvous_point,
                "from": source,
                "zone": zone,
                "protocol": if mapping.bidirectional { "bidirectional" } else { "sparse" },
                "priority": mapping.priority,
                "holdtime_secs": mapping.holdtime.map(|holdtime| holdtime.as_secs()),
                "remaining_secs": mapping.expires.map(|expires| expires.since(self.now).as_secs()),
            })
        };
        self.node.pim.iter().flat_map(pim::Router::rp_mappings).map(row).collect()
    }

    fn bootstrap_routers(&self) -> Value {
        let row = |view: pim::BsrView| {
            json!({
                "zone": zone_name(view.zone),
                "state": match view.state {
                    BsrState::NoInfo => "no info",
                    BsrState::AcceptAny => "accept any",
                    BsrState::AcceptPreferred => "accept preferred",
                    BsrState::Candidate => "candidate",
                    BsrState::Pending => "pending",
                    BsrState::Elected => "elected",
                },
                "address": view.address,
                "priority": view.priority,
                "hash_mask_length": view.hash_mask_length,
                "since_secs": self.now.since(view.since).as_secs(),
                "remaining_secs": view.expires.map(|expires| expires.since(self.now).as_secs()),
                "zone_remaining_secs": view.zone_expires.map(|expires| expires.since(self.now).as_secs()),
            })
        };
        self.node.pim.iter().flat_map(pim::Router::bsr).map(row).collect()
    }

    fn terminals(&self) -> Value {
        let Some(terminal) = &self.node.terminal else { return self.known_terminals() };
        let site = terminal.site();
        let (place, agent) = match site.site {
            Site::Nowhere => ("nowhere", None),
            Site::Home => ("home", None),
            Site::Agent(agent) => ("site of an agent", Some(agent)),
            Site::Plain => ("plain mobile ip", None),
        };
        let former = terminal.former_sites().map(|former| {
            let to = former.forwards_to.map_or_else(String::new, |to| format!(" to {to}"));
            let standing = format!("{:?}", former.standing).to_lowercase();
            let left = former.until.since(self.now).as_secs();
            format!("{} {standing}{to} {left} s", former.care_of.unwrap_or(former.agent))
        });
        let former = former.collect::<Vec<_>>().join(", ");
        let own = terminal.correspondents().map(|view| format!("{} {}", view.correspondent, view.state));
        let agents = terminal.agents_correspondents().map(|(correspondent, _)| format!("{correspondent} by the agent"));
        let correspondents = own.chain(agents).collect::<Vec<_>>().join(", ");
        let rows = terminal.links().map(|(port, link)| {
            json!({
                "home_address": terminal.home_address(),
                "place": place,
                "mma": agent,
                "home_agent": terminal.home_agent(),
                "care_of": site.care_of,
                "group": site.subscription.map(|subscription| subscription.group),
                "port": self.port(port),
                "signal_dbm": link.signal_dbm(),
                "routers": words(link.routers().map(|(router, _)| router)),
                "addresses": words(link.addresses()),
                "joined": terminal.joined().any(|(on, _)| on == port),
                "left": former,
                "correspondents": correspondents,
                "sends_here": terminal.current_router().is_some_and(|current| current.port == port),
            })
        });
        rows.collect()
    }

    /// Those that are registered with the agents of this node.
    fn known_terminals(&self) -> Value {
        let row = |place: &str, home_address: Ipv6Addr, care_of: Ipv6Addr, group: Option<Ipv6Addr>| json!({ "home_address": home_address, "place": place, "care_of": care_of, "group": group });
        let here = self.node.mma.iter().flat_map(|mma| mma.bindings());
        let here = here.map(|known| match known.state {
            BindingState::Active => row("this site", known.home_address, known.care_of, Some(known.group)),
            BindingState::Anchor => row("this site", known.home_address, known.care_of, None),
            BindingState::Forward { .. } => row("moved on", known.home_address, known.care_of, None),
        });
        let away = self.node.home_agent.iter().flat_map(|agent| agent.bindings().iter());
        let away = away.map(|known| row("away from home", known.home_address, known.care_of, None));
        here.chain(away).collect()
    }

    fn counters(&self) -> Value {
        let mut all = Map::new();
        let mut add = |name: &str, counters: Vec<(&'static str, u64)>| {
            let counted: Map<String, Value> =
                counters.into_iter().filter(|&(_, value)| value > 0).map(|(n, v)| (n.to_owned(), v.into())).collect();
            all.insert(name.to_owned(), counted.into());
        };
        let node = self.node;
        add("dataplane", sum(self.reports.iter().map(|report| &report.counters)));
        if self.reports.len() > 1 {
            for (number, report) in self.reports.iter().enumerate() {
                add(&format!("worker-{number}"), report.counters.iter().collect());
            }
        }
        add("tables", self.worker.dataplane().table_sizes().map(|(name, size)| (name, size as u64)).collect());
        add("node", vec![("unclaimed", node.unclaimed), ("lost-events", self.worker.lost_events())]);
        add("discovery", node.discovery.counters().collect());
        if let Some(machine) = &node.listener {
            add("mld-listener", machine.counters().iter().collect());
        }
        if let Some(machine) = &node.pim {
            add("pim", machine.counters().iter().collect());
        }
        if let Some(machine) = &node.mma {
            let optimisation = machine.optimisation_counters().into_iter().flat_map(|counters| counters.iter());
            add("mma", machine.counters().iter().chain(optimisation).collect());
        }
        if let Some(machine) = &node.home_agent {
            add("home-agent", machine.counters().iter().collect());
        }
        if let Some(machine) = &node.terminal {
            add("mobile-terminal", machine.counters().iter().collect());
            add("mobile-terminal-optimisation", machine.optimisation_counters().iter().collect());
        }
        if let Some(machine) = &node.correspondent {
            add("correspondent-node", machine.counters().iter().collect());
        }
        if let Some(machine) = &node.services {
            add("services", machine.counters().iter().collect());
        }
        all.into()
    }

    /// The addresses that the node uses on a port.
    fn addresses(&self, port: PortId) -> impl Iterator<Item = Ipv6Addr> {
        let own = self.node.discovery.neighbor().addresses();
        own.filter(move |address| address.port == port).map(|address| address.address)
    }

    /// Each port with what all workers have counted there.
    fn ports(&self) -> Value {
        let rows = self.worker.ports().zip(&self.node.ports).enumerate().map(|(index, (port, known))| {
            let info = port.info();
            let of_workers = || self.reports.iter().filter_map(move |report| report.ports.get(index));
            let total =
                |count: fn(&PortCounters) -> u64| of_workers().map(|(_, counters)| count(counters)).sum::<u64>();
            let served = |say: fn(usize, &Placement) -> Option<usize>| {
                let reports = self.reports.iter().enumerate();
                let serving =
                    reports.filter(|(_, report)| report.ports.get(index).is_some_and(|(i, _)| i.kind != "relay"));
                let said = serving.map(|(number, report)| say(number, &report.placement));
                said.map(|value| value.map_or("-".to_owned(), |value| value.to_string())).collect::<Vec<_>>().join(" ")
            };
            // The queues that all workers serve together.
            let own_queues = of_workers().filter_map(|(info, _)| Some(info.xdp?.own_queues)).sum();
            let given = info.xdp.map(|given| XdpGiven { own_queues, ..given });
            let xdp = given.as_ref();
            json!({
                "name": known.name,
                "interface": info.name,
                "kind": info.kind,
                "mode": xdp.map_or_else(|| info.mode.clone(), XdpGiven::to_string),
                "xdp": xdp.map(|given| given.hook.name()),
                "zero_copy": xdp.map(|given| given.zero_copy),
                "need_wakeup": xdp.map(|given| given.need_wakeup),
                "busy_poll_us": xdp.map(|given| given.busy_poll_us),
                "polls_device": xdp.map(|given| given.polls_device),
                "multi_buffer": xdp.map(|given| given.multi_buffer),
                "huge_pages": xdp.map(|given| given.huge_pages),
                "queues": xdp.map(|given| given.queues),
                "memory_node": xdp.and_then(|given| given.memory_node),
                "workers": served(|number, _| Some(number)),
                "worker_cores": served(|_, placement| placement.core),
                "worker_nodes": served(|_, placement| placement.memory_node),
                "link": format!("{:?}", info.link).to_lowercase(),
                "link_address": info.link_address.to_string(),
                "addresses": words(self.addresses(known.id)),
                "mtu": known.mtu_limit.map_or(info.mtu, |limit| info.mtu.min(usize::from(limit))),
                "interface_mtu": xdp.map(|given| given.interface_mtu),
                "rx_frames": total(|counters| counters.rx_frames),
                "rx_octets": total(|counters| counters.rx_octets),
                "rx_dropped": total(|counters| counters.rx_dropped),
                "tx_frames": total(|counters| counters.tx_frames),
                "tx_octets": total(|counters| counters.tx_octets),
                "tx_dropped": total(|counters| counters.tx_dropped),
                "reopened": total(|counters| counters.reopened),
            })
        });
        rows.collect()
    }

    fn workers(&self) -> Value {
        let rows = self.reports.iter().enumerate().map(|(number, report)| {
            let placement = &report.placement;
            let mut row = json!({
                "worker": number,
                "core": placement.core,
                "memory_node": placement.memory_node,
                "poll": match placement.poll {
                    PollMode::Busy => "busy",
                    PollMode::Adaptive => "adaptive",
                },
                "frames": report.frames,
                "free_frames": report.free_frames,
                "huge_pages": report.huge_pages,
                "rx": report.counters.get(Counter::Rx),
                "output": report.counters.get(Counter::Output),
                "handed_over": report.counters.get(Counter::HandedOver),
                "handover_drops": report.counters.get(Counter::DropHandoverFull),
            });
            for (name, value) in placement.load.iter() {
                row[name.replace('-', "_")] = value.into();
            }
            row
        });
        rows.collect()
    }
}

/// What several data planes have counted together.
fn sum<'a>(counters: impl Iterator<Item = &'a Counters>) -> Vec<(&'static str, u64)> {
    let mut total: Vec<(&'static str, u64)> = Counters::default().iter().collect();
    for counters in counters {
        for ((_, sum), (_, value)) in total.iter_mut().zip(counters.iter()) {
            *sum += value;
        }
    }
    total
}

fn zone_name(zone: ScopeZone) -> String {
    match zone {
        ScopeZone::Domain => "domain".to_owned(),
        ScopeZone::Scope(scope) => format!("scope {}", scope.value()),
    }
}

fn words(addresses: impl Iterator<Item = Ipv6Addr>) -> String {
    addresses.map(|address| address.to_string()).collect::<Vec<_>>().join(" ")
}
