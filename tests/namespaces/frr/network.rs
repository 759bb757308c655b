//! Networks of routers of both kinds: links that are bridges in a namespace of their own, kernel hosts, and a capture of
//! every link that tshark reads at the end.
//!
//! Link `n` is 2001:db8:n::/64, and each router's interface there is named after the link. Router `n` is fe80::n and
//! 2001:db8:LINK::n on each of its links.

use super::router::Frr;
use super::seen::Seen;
use crate::captures::{self, Frame};
use crate::room::{Node, Room, Running, interface_index, until};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;
use std::mem::zeroed;
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

/// Where all links are.
const WIRE: &str = "wire";
/// What the last frame of each link has in it.
const MARKER: &[u8] = b"nothing that is of interest comes after this";
/// An Ethernet type for experiments, which no router takes (IEEE 802, local experimental 1).
const EXPERIMENTAL: u16 = 0x88b5;
/// tshark's name for PIM.
const PIM: &str = "pim";

/// Whose a router is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Drover,
    Frr,
}

/// How a route names the next router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NextHop {
    LinkLocal,
    Global,
}

/// A router's place.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) number: u16,
    pub(crate) interfaces: Vec<Interface>,
    routes: Vec<Route>,
    /// Lines of configuration beside those of interfaces.
    pub(crate) more: String,
}

/// The way to a link.
#[derive(Clone, Debug)]
struct Route {
    to: u16,
    /// The link that it leads over.
    over: u16,
    /// The next router.
    router: u16,
    next_hop: NextHop,
}

impl Route {
    fn via(&self) -> Ipv6Addr {
        match self.next_hop {
            NextHop::LinkLocal => link_local(self.router),
            NextHop::Global => address(self.over, self.router),
        }
    }
}

/// A router's place on a link.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) link: u16,
    /// Whether hosts may join here.
    pub(crate) has_hosts: bool,
    /// Whether other routers are here.
    pub(crate) has_routers: bool,
    pub(crate) dr_priority: u32,
    /// LAN prune delay: propagation delay and override interval, in milliseconds.
    pub(crate) prune_delay: (u16, u16),
}

impl Interface {
    /// A link with routers only.
    pub(crate) fn to_routers(link: u16) -> Self {
        Interface { link, has_hosts: false, has_routers: true, dr_priority: 1, prune_delay: (500, 2500) }
    }

    /// A link with hosts only.
    pub(crate) fn to_hosts(link: u16) -> Self {
        Interface { has_hosts: true, has_routers: false, ..Interface::to_routers(link) }
    }
}

impl Plan {
    pub(crate) fn new(kind: Kind, number: u16, interfaces: Vec<Interface>) -> Self {
        Plan { kind, number, interfaces, routes: Vec::new(), more: String::new() }
    }

    /// Adds a route to link `to` by way of router `router` on link `over`.
    pub(crate) fn route(mut self, to: u16, over: u16, router: u16, next_hop: NextHop) -> Self {
        self.routes.push(Route { to, over, router, next_hop });
        self
    }

    pub(crate) fn name(&self) -> String {
        format!("r{}", self.number)
    }

    /// Its configuration as one of ours.
    fn drover_file(&self, room: &Room) -> String {
        let name = self.name();
        let socket = room.socket(&name);
        let mut text = format!("[node]\nname = \"{name}\"\n[admin]\nsocket = \"{}\"\n", socket.display());
        for Interface { link, .. } in &self.interfaces {
            let (name, own, global) = (interface(*link), link_local(self.number), address(*link, self.number));
            let _ = writeln!(text, "[[port]]\nname = \"{name}\"\ninterface = \"{name}\"");
            let _ = writeln!(text, "link_local = \"{own}\"\naddresses = [\"{global}/64\"]");
        }
        for route in &self.routes {
            let (to, over, via) = (prefix(route.to), interface(route.over), route.via());
            let _ = writeln!(text, "[[route]]\nprefix = \"{to}\"\nport = \"{over}\"\nvia = \"{via}\"");
        }
        text.push_str("[router]\n");
        for Interface { link, has_routers, dr_priority, prune_delay, .. } in &self.interfaces {
            let (name, (propagation, interval)) = (interface(*link), prune_delay);
            let _ = writeln!(text, "[[router.port]]\nname = \"{name}\"\npassive = {}", !has_routers);
            let _ = writeln!(text, "dr_priority = {dr_priority}\nhello_at_once = {has_routers}");
            let _ = writeln!(text, "propagation_delay_ms = {propagation}\noverride_interval_ms = {interval}");
        }
        for Interface { link, .. } in self.interfaces.iter().filter(|interface| interface.has_hosts) {
            let _ = writeln!(text, "[[access_router.port]]\nname = \"{}\"", interface(*link));
        }
        text + &self.more
    }

    /// Its configuration as one of FRR's.
    fn frr_lines(&self) -> String {
        let mut text = self.more.clone();
        for Interface { link, has_hosts, dr_priority, .. } in &self.interfaces {
            let _ = writeln!(text, "interface {}\n ipv6 pim\n ipv6 pim drpriority {dr_priority}", interface(*link));
            if *has_hosts {
                text.push_str(" ipv6 mld\n ipv6 mld query-max-response-time 10\n");
            }
            text.push_str("exit\n");
        }
        text
    }
}

/// The name of routers' interfaces on a link.
pub(crate) fn interface(link: u16) -> String {
    format!("l{link}")
}

pub(crate) fn prefix(link: u16) -> String {
    format!("2001:db8:{link:x}::/64")
}

pub(crate) fn address(link: u16, number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, link, 0, 0, 0, 0, number)
}

pub(crate) fn link_local(router: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, router)
}

/// A running router.
pub(crate) enum Router {
    Drover(Node),
    Frr(Frr),
}

impl Router {
    pub(crate) fn frr(&mut self) -> &mut Frr {
        let Router::Frr(frr) = self else { panic!("it is one of FRR's") };
        frr
    }

    /// The interfaces that it sends a source's datagrams to a group out of.
    pub(crate) fn branches(&self, source: Ipv6Addr, group: Ipv6Addr) -> BTreeSet<String> {
        match self {
            Router::Drover(node) => {
                let named = |route: &serde_json::Value| {
                    route["group"] == group.to_string() && route["source"] == source.to_string()
                };
                let routes = node.rows("mroutes");
                let out = routes.iter().find(|route| named(route)).and_then(|route| route["out"].as_str());
                out.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
            }
            Router::Frr(frr) => {
                let shown = frr.show("ipv6 mroute");
                let route = &shown[group.to_string()][source.to_string()];
                let out = route["oil"].as_object().into_iter().flatten();
                out.filter(|(_, state)| state["outboundInterface"].is_string()).map(|(name, _)| name.clone()).collect()
            }
        }
    }

    /// The primary addresses of its neighbours on a link.
    pub(crate) fn neighbors(&self, link: u16) -> BTreeSet<Ipv6Addr> {
        let addresses: Vec<String> = match self {
            Router::Drover(node) => {
                let rows = node.rows("neighbors").into_iter();
                let here = rows.filter(|row| row["port"] == interface(link) && row["pim"] == true);
                here.filter_map(|row| Some(row["address"].as_str()?.to_owned())).collect()
            }
            Router::Frr(frr) => {
                let shown = frr.show("ipv6 pim neighbor");
                let here = shown[interface(link)].as_object().into_iter().flatten();
                here.filter(|(_, state)| state["neighbor"].is_string()).map(|(address, _)| address.clone()).collect()
            }
        };
        addresses.iter().map(|address| address.parse().expect("an address")).collect()
    }
}

/// What is declared first is dropped first.
pub(crate) struct Network {
    pub(crate) routers: BTreeMap<u16, Router>,
    plans: BTreeMap<u16, Plan>,
    capture: Running,
    captured: PathBuf,
    links: u16,
    room: Room,
}

impl Network {
    /// Links 1 to `links`, with nothing on them.
    pub(crate) fn new(links: u16) -> Self {
        let mut room = Room::new();
        room.add(WIRE);
        for link in 1..=links {
            let bridge = interface(link);
            room.ip(WIRE, &["link", "add", &bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"]);
            room.sysctl(WIRE, &format!("net/ipv6/conf/{bridge}/disable_ipv6"), "1");
            room.ip(WIRE, &["link", "set", &bridge, "up"]);
        }
        let captured = room.directory().file("links.pcapng");
        let mut command = room.command(WIRE, "dumpcap");
        command.arg("-q").arg("-w").arg(&captured);
        for link in 1..=links {
            command.args(["-i", &interface(link)]);
        }
        let capture = Running::spawn(command, room.directory(), "dumpcap");
        // It opens the links first, and says the file's name when it has begun to write.
        until("the capture begins", || capture.err().contains("File:").then_some(()));
        Network { routers: BTreeMap::new(), plans: BTreeMap::new(), capture, captured, links, room }
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Adds a host with nothing of ours on a link; its address.
    pub(crate) fn add_host(&mut self, name: &str, link: u16) -> Ipv6Addr {
        let own = address(link, 0x1000);
        self.room.add(name);
        self.room.plug(name, "eth0", WIRE, &interface(link));
        self.room.sysctl(name, "net/ipv6/conf/eth0/accept_ra", "0");
        self.room.ip(name, &["link", "set", "eth0", "up"]);
        self.room.ip(name, &["address", "add", &format!("{own}/64"), "dev", "eth0", "nodad"]);
        // The checksums of what it sends are otherwise left to a device that ports on AF_XDP do not have.
        crate::room::output(self.room.command(name, crate::room::DROVER).args(["offload-off", "eth0"]));
        own
    }

    /// Adds a router and starts it.
    pub(crate) fn add_router(&mut self, plan: Plan) {
        let name = plan.name();
        self.room.add(&name);
        if plan.kind == Kind::Frr {
            self.room.sysctl(&name, "net/ipv6/conf/all/forwarding", "1");
        }
        for leg in &plan.interfaces {
            let interface = interface(leg.link);
            self.room.plug(&name, &interface, WIRE, &interface);
            match plan.kind {
                Kind::Drover => self.room.prepare_port(&name, &interface),
                Kind::Frr => {
                    self.room.ip(&name, &["link", "set", &interface, "addrgenmode", "none"]);
                    self.room.ip(&name, &["link", "set", &interface, "up"]);
                    for own in [link_local(plan.number), address(leg.link, plan.number)] {
                        self.room.ip(&name, &["address", "add", &format!("{own}/64"), "dev", &interface, "nodad"]);
                    }
                }
            }
        }
        if plan.kind == Kind::Frr {
            for route in &plan.routes {
                let (to, via, over) = (prefix(route.to), route.via().to_string(), interface(route.over));
                self.room.ip(&name, &["-6", "route", "add", &to, "via", &via, "dev", &over]);
            }
        }
        let number = plan.number;
        self.plans.insert(number, plan);
        self.start(number, 7);
    }

    /// Starts a router, for the first time or once more; the seed is for one of ours.
    pub(crate) fn start(&mut self, number: u16, seed: u64) {
        let plan = &self.plans[&number];
        self.routers.remove(&number);
        let router = match plan.kind {
            Kind::Drover => {
                let mut node = self.room.start_with_seed(&plan.name(), &plan.drover_file(&self.room), seed);
                node.await_ready();
                Router::Drover(node)
            }
            Kind::Frr => {
                let interfaces: Vec<String> = plan.interfaces.iter().map(|leg| interface(leg.link)).collect();
                let interfaces: Vec<&str> = interfaces.iter().map(String::as_str).collect();
                Router::Frr(Frr::start(&self.room, &plan.name(), &interfaces, &plan.frr_lines()))
            }
        };
        self.routers.insert(number, router);
    }

    pub(crate) fn router(&mut self, number: u16) -> &mut Router {
        self.routers.get_mut(&number).expect("there is such a router")
    }

    /// Waits until all routers of a link know each other.
    pub(crate) fn await_neighbors(&self, link: u16) {
        let here = |plan: &&Plan| plan.interfaces.iter().any(|leg| leg.link == link && leg.has_routers);
        let all: BTreeSet<u16> = self.plans.values().filter(here).map(|plan| plan.number).collect();
        for own in &all {
            let others: BTreeSet<Ipv6Addr> = all.iter().filter(|&other| other != own).map(|&n| link_local(n)).collect();
            until(&format!("neighbours of router {own} on link {link}"), || {
                (self.routers[own].neighbors(link) == others).then_some(())
            });
        }
    }

    /// Waits until a router sends a source's datagrams to a group out of these links and no others.
    pub(crate) fn await_branches(&self, router: u16, source: Ipv6Addr, group: Ipv6Addr, links: &[u16]) {
        let links: BTreeSet<String> = links.iter().map(|&link| interface(link)).collect();
        until(&format!("branches {links:?} of router {router}"), || {
            (self.routers[&router].branches(source, group) == links).then_some(())
        });
    }

    /// Ends the capture: tshark finds nothing wrong with any PIM or MLD packet that our routers sent, each of which sent
    /// some of the first kind. What was on the links.
    pub(crate) fn finish(mut self) -> Seen {
        for router in self.routers.values_mut() {
            if let Router::Drover(node) = router {
                node.assert_running();
            }
        }
        self.await_captured();
        self.capture.signal(libc::SIGINT);
        assert!(self.capture.wait().success(), "{}", self.capture.err());
        let frames = captures::read(&self.captured);
        for plan in self.plans.values().filter(|plan| plan.kind == Kind::Drover) {
            let sent = |frame: &&Frame| frame.is_from(link_local(plan.number));
            let is_pim = |frame: &Frame| frame.protocols.split(':').any(|layer| layer == PIM);
            assert!(frames.iter().filter(sent).any(is_pim), "{} has sent PIM messages", plan.name());
            for frame in frames.iter().filter(sent) {
                assert_eq!(frame.fault, None, "{} has sent this", plan.name());
            }
        }
        Seen::read(&self.captured)
    }

    /// Waits until all that has been on the links is in the file: what is captured is written in blocks.
    fn await_captured(&self) {
        let links = self.links;
        self.room.within(WIRE, || (1..=links).for_each(|link| send_marker(&interface(link))));
        until("the last frames are in the capture", || {
            let file = std::fs::read(&self.captured).expect("it can be read");
            let markers = file.windows(MARKER.len()).filter(|octets| *octets == MARKER).count();
            (markers >= usize::from(links)).then_some(())
        });
    }
}

/// Sends a frame with [`MARKER`] to a link, from this thread's namespace.
fn send_marker(link: &str) {
    // SAFETY: no pointer is passed; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0) };
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: a descriptor that was just made and that nothing else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut to: libc::sockaddr_ll = unsafe { zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_protocol = EXPERIMENTAL.to_be();
    to.sll_ifindex = interface_index(link) as i32;
    to.sll_halen = 6;
    // SAFETY: the octets of `MARKER`, and an address as long as is said.
    let sent = unsafe {
        let (address, length) = ((&raw const to).cast(), size_of::<libc::sockaddr_ll>() as u32);
        libc::sendto(socket.as_raw_fd(), MARKER.as_ptr().cast(), MARKER.len(), 0, address, length)
    };
    assert!(sent >= 0, "{}", io::Error::last_os_error());
}
