//! The site of figure 5: as labs for these tests, and standing in namespaces, for a test to do with it what it will.

use crate::room::{Node, Room, until};
use drover::config::lab::{Lab, load_lab};
use drover::config::resolved::{Attachment, PortConfig};
use std::collections::BTreeMap;

/// Where all links are.
const WIRE: &str = "wire";

/// The topology of figure 5 without its movements and checks.
pub(crate) fn topology() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/lab/fig5.toml");
    let text = std::fs::read_to_string(file).expect("the lab file can be read");
    let (topology, _) = text.split_once("[[move]]").expect("the lab file has movements");
    topology.to_owned()
}

/// The topology with groups that name the agent as their rendezvous point.
pub(crate) fn topology_with_rendezvous_point() -> String {
    let right = topology();
    let agent = "[node.config.mma]\n";
    let group = "group = { layout = \"embedded\", prefix = \"2001:db8:200::/48\" }\n";
    let text = right.replace(agent, &format!("{agent}{group}"));
    assert_ne!(text, right, "the lab file has an agent");
    text
}

/// The group that the agent has granted.
pub(crate) fn granted_group(site: &Site) -> String {
    let group = until("the terminal's group", || {
        let bindings = site.node("mma1").rows("bindings");
        Some(bindings.first()?["group"].as_str()?.to_owned())
    });
    assert!(group.starts_with("ff75:130:2001:db8:200:"), "{group}");
    group
}

/// A lab of a second and a half with one movement.
pub(crate) fn short_lab() -> String {
    lab("join_prune_links = [\"core-a\", \"core-b\"]")
}

/// The same, with a check that cannot hold: the branch to where the terminal goes needs a Join there.
pub(crate) fn failing_lab() -> String {
    lab("join_prune_links = [\"core-a\"]")
}

fn lab(checks: &str) -> String {
    let topology = topology();
    let text = topology.replace("duration_ms = 14000", "duration_ms = 1500");
    assert_ne!(text, topology, "the lab file says how long it runs");
    format!("{text}[[move]]\nterminal = \"mt\"\nto = \"radio-b\"\nat_ms = 500\n\n[checks]\n{checks}\n")
}

/// The site with all its nodes running, the terminal on link `radio-a`. What is declared first is dropped first.
pub(crate) struct Site {
    nodes: BTreeMap<String, Node>,
    room: Room,
    lab: Lab,
}

impl Site {
    /// Starts the topology of a lab file.
    pub(crate) fn new(text: &str) -> Self {
        Site::with_workers(text, 1)
    }

    /// The same with so many workers on each node that forwards, and as many queues at every interface.
    pub(crate) fn with_workers(text: &str, workers: usize) -> Self {
        let mut room = Room::with_queues(workers);
        let lab = load_lab(&room.directory().write("site.toml", text)).unwrap_or_else(|error| panic!("{error}"));
        room.add(WIRE);
        for index in 0..lab.links.len() {
            let bridge = format!("link{index}");
            room.ip(WIRE, &["link", "add", &bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"]);
            room.sysctl(WIRE, &format!("net/ipv6/conf/{bridge}/disable_ipv6"), "1");
            room.ip(WIRE, &["link", "set", &bridge, "up"]);
        }
        let mut site = Site { nodes: BTreeMap::new(), room, lab };
        for index in 0..site.lab.nodes.len() {
            site.connect_node(index);
        }
        for host in site.lab.hosts.clone() {
            let link = site.lab.links[host.link.0].name.clone();
            let address = format!("{}/{}", host.address.address, host.address.prefix.length());
            site.add_host(&host.name, &link, &address);
            site.room
                .ip(&host.name, &["-6", "route", "add", "default", "via", &host.gateway.to_string(), "dev", "eth0"]);
        }
        site.carrier("mt", "radio-b", false);
        for node in &site.lab.nodes {
            let mut text = node.node_file(|port| ("af_xdp", interface(port)), &site.room.socket(&node.name));
            if node.config.forwards() {
                text = text.replacen("[node]\n", &format!("[node]\nworkers = {workers}\n"), 1);
            }
            site.nodes.insert(node.name.clone(), site.room.start(&node.name, &text));
        }
        site.nodes.values_mut().for_each(Node::await_ready);
        site.node("mt").signal("radio-a", "-50");
        site
    }

    fn connect_node(&mut self, index: usize) {
        let node = &self.lab.nodes[index];
        self.room.add(&node.name);
        for (port, link) in node.config.ports.iter().zip(&node.links) {
            let Some(link) = link else { continue };
            let interface = interface(port);
            self.room.plug(&node.name, &interface, WIRE, &format!("link{}", link.0));
            self.room.prepare_port(&node.name, &interface);
        }
    }

    /// Adds a host with nothing of ours on a link.
    pub(crate) fn add_host(&mut self, name: &str, link: &str, address: &str) {
        self.room.add(name);
        self.room.plug(name, "eth0", WIRE, &self.bridge(link));
        self.room.ip(name, &["link", "set", "eth0", "up"]);
        self.room.ip(name, &["address", "add", address, "dev", "eth0", "nodad"]);
        // The checksums of what it sends are otherwise left to a device that ports on AF_XDP do not have.
        crate::room::output(self.room.command(name, crate::room::DROVER).args(["offload-off", "eth0"]));
    }

    fn bridge(&self, link: &str) -> String {
        let index = self.lab.links.iter().position(|known| known.name == link).expect("the lab has the link");
        format!("link{index}")
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    pub(crate) fn node(&self, name: &str) -> &Node {
        &self.nodes[name]
    }

    /// Ends a node in order, so that another router can take its place.
    pub(crate) fn end_node(&mut self, name: &str) {
        let mut node = self.nodes.remove(name).expect("the site has the node");
        assert!(node.end().success());
    }

    pub(crate) fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// Connects or disconnects the port of a node on a link.
    pub(crate) fn carrier(&self, node: &str, link: &str, up: bool) {
        let known = self.lab.nodes.iter().find(|known| known.name == node).expect("the lab has the node");
        let port = known.config.ports.iter().find(|port| port.name == link).expect("its port has the link's name");
        let wire_end = Room::wire_end(node, &interface(port));
        self.room.ip(WIRE, &["link", "set", &wire_end, if up { "up" } else { "down" }]);
    }

    /// Waits until the terminal has registered with its mobility agent and its home agent.
    pub(crate) fn await_registration(&self) {
        for agent in ["mma1", "ha"] {
            until(&format!("a binding at {agent}"), || (!self.node(agent).rows("bindings").is_empty()).then_some(()));
        }
    }
}

fn interface(port: &PortConfig) -> String {
    match &port.attachment {
        Attachment::Link { .. } => format!("p{}", port.id.0),
        other => other.name().to_owned(),
    }
}
