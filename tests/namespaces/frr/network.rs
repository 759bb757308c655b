//! Networks of routers of both kinds: links that are bridges in a namespace of their own, kernel hosts, and a capture of
//! every link that tshark reads at the end.
//!
//! Link `n` is 2001:db8:n::/64, and each router's interface there is named after the link. Router `n` is fe80::n and
//! 2001:db8:LINK::n on each of its links, and 2001:db8::n on none where it has a loopback address.

use super::router::{Frr, REGISTER_INTERFACE};
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
    /// Whether it has an address that belongs to no link.
    pub(crate) has_loopback: bool,
    /// The rendezvous point of [`ANY_SOURCE_GROUPS`], by its number.
    pub(crate) rendezvous_point: Option<u16>,
    routes: Vec<Route>,
    /// Lines of the configuration of multicast: keys of `[router]`, or commands under `router pim6`.
    pub(crate) multicast: String,
    /// Lines of configuration beside those and those of interfaces.
    pub(crate) more: String,
}

/// The way to a link or to a router's loopback address.
#[derive(Clone, Debug)]
struct Route {
    to: String,
    /// The link that it leads over.
    over: u16,
    /// The next router.
    router: u16,
    next_hop: NextHop,
    worth: Worth,
}

/// What a router says of its route in an Assert: the lower one wins, the preference first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Worth {
    pub(crate) preference: u8,
    pub(crate) metric: u32,
}

impl Worth {
    /// The kernel's metric that zebra takes apart into both.
    fn kernel_metric(self) -> u32 {
        u32::from(self.preference) << 24 | self.metric
    }
}

/// What a route has that nothing is said of.
const USUAL_WORTH: Worth = Worth { preference: 1, metric: 0 };
/// Groups whose rendezvous point is configured.
pub(crate) const ANY_SOURCE_GROUPS: &str = "ff15::/16";

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
    pub(crate) hello_period_secs: u16,
    /// LAN prune delay: propagation delay and override interval, in milliseconds.
    pub(crate) prune_delay: (u16, u16),
}

impl Interface {
    /// A link with routers only.
    pub(crate) fn to_routers(link: u16) -> Self {
        let (has_hosts, has_routers, prune_delay) = (false, true, (500, 2500));
        Interface { link, has_hosts, has_routers, dr_priority: 1, hello_period_secs: 30, prune_delay }
    }

    /// A link with hosts only.
    pub(crate) fn to_hosts(link: u16) -> Self {
        Interface { has_hosts: true, has_routers: false, ..Interface::to_routers(link) }
    }
}

impl Plan {
    pub(crate) fn new(kind: Kind, number: u16, interfaces: Vec<Interface>) -> Self {
        let (routes, multicast, more) = (Vec::new(), String::new(), String::new());
        Plan { kind, number, interfaces, has_loopback: false, rendezvous_point: None, routes, multicast, more }
    }

    /// Adds a route to link `to` by way of router `router` on link `over`.
    pub(crate) fn route(self, to: u16, over: u16, router: u16, next_hop: NextHop) -> Self {
        self.route_worth(prefix(to), over, router, next_hop, USUAL_WORTH)
    }

    /// Adds a route to the loopback address of router `to` by way of router `router` on link `over`.
    pub(crate) fn route_to_router(self, to: u16, over: u16, router: u16, next_hop: NextHop) -> Self {
        self.route_worth(format!("{}/128", loopback(to)), over, router, next_hop, USUAL_WORTH)
    }

    /// Adds a route to a prefix that is worth so much.
    pub(crate) fn route_worth(mut self, to: String, over: u16, router: u16, next_hop: NextHop, worth: Worth) -> Self {
        self.routes.push(Route { to, over, router, next_hop, worth });
        self
    }

    /// All addresses that it sends from.
    fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        let on_links = self.interfaces.iter().map(|leg| address(leg.link, self.number));
        on_links.chain([link_local(self.number)]).chain(self.has_loopback.then_some(loopback(self.number)))
    }

    pub(crate) fn name(&self) -> String {
        format!("r{}", self.number)
    }

    /// Its configuration as one of ours.
    fn drover_file(&self, room: &Room) -> String {
        let name = self.name();
        let socket = room.socket(&name);
        let mut text = format!("[node]\nname = \"{name}\"\n");
        if self.has_loopback {
            let _ = writeln!(text, "loopback = [\"{}\"]", loopback(self.number));
        }
        let _ = writeln!(text, "[admin]\nsocket = \"{}\"", socket.display());
        for Interface { link, .. } in &self.interfaces {
            let (name, own, global) = (interface(*link), link_local(self.number), address(*link, self.number));
            let _ = writeln!(text, "[[port]]\nname = \"{name}\"\ninterface = \"{name}\"");
            let _ = writeln!(text, "link_local = \"{own}\"\naddresses = [\"{global}/64\"]");
        }
        for route in &self.routes {
            let (to, over, via) = (&route.to, interface(route.over), route.via());
            let Worth { preference, metric } = route.worth;
            let _ = writeln!(text, "[[route]]\nprefix = \"{to}\"\nport = \"{over}\"\nvia = \"{via}\"");
            let _ = writeln!(text, "preference = {preference}\nmetric = {metric}");
        }
        let _ = writeln!(text, "[router]\n{}", self.multicast);
        if let Some(point) = self.rendezvous_point.map(loopback) {
            let groups = ANY_SOURCE_GROUPS;
            let _ = writeln!(text, "[[router.static_rp]]\naddress = \"{point}\"\ngroups = [\"{groups}\"]");
        }
        for leg in &self.interfaces {
            let Interface { link, has_routers, dr_priority, hello_period_secs, prune_delay, .. } = leg;
            let (name, (propagation, interval)) = (interface(*link), prune_delay);
            let _ = writeln!(text, "[[router.port]]\nname = \"{name}\"\npassive = {}", !has_routers);
            let _ = writeln!(text, "dr_priority = {dr_priority}\nhello_at_once = {has_routers}");
            let _ = writeln!(text, "hello_period_secs = {hello_period_secs}");
            let _ = writeln!(text, "propagation_delay_ms = {propagation}\noverride_interval_ms = {interval}");
        }
        for Interface { link, .. } in self.interfaces.iter().filter(|interface| interface.has_hosts) {
            let _ = writeln!(text, "[[access_router.port]]\nname = \"{}\"", interface(*link));
        }
        text + &self.more
    }

    /// Its configuration as one of FRR's.
    fn frr_lines(&self) -> String {
        let mut text = format!("{}router pim6\n{}", self.more, self.multicast);
        if let Some(point) = self.rendezvous_point.map(loopback) {
            let _ = writeln!(text, " rp {point} {ANY_SOURCE_GROUPS}");
        }
        text.push_str("exit\n");
        if self.has_loopback {
            text.push_str("interface lo\n ipv6 pim\nexit\n");
        }
        for Interface { link, has_hosts, dr_priority, hello_period_secs, .. } in &self.interfaces {
            let _ = writeln!(text, "interface {}\n ipv6 pim\n ipv6 pim drpriority {dr_priority}", interface(*link));
            let _ = writeln!(text, " ipv6 pim hello {hello_period_secs}");
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

/// The address of a router that belongs to no link.
pub(crate) fn loopback(router: u16) -> Ipv6Addr {
    address(0, router)
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

    pub(crate) fn as_frr(&self) -> &Frr {
        let Router::Frr(frr) = self else { panic!("it is one of FRR's") };
        frr
    }

    pub(crate) fn as_drover(&self) -> &Node {
        let Router::Drover(node) = self else { panic!("it is one of ours") };
        node
    }

    /// The interfaces that it sends a source's datagrams to a group out of.
    /// Those of the shared tree are of the unspecified address.
    pub(crate) fn branches(&self, source: Ipv6Addr, group: Ipv6Addr) -> BTreeSet<String> {
        match self {
            Router::Drover(node) => {
                let route = node.mroute(source, group);
                let out = route.as_ref().and_then(|route| route["out"].as_str());
                out.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
            }
            Router::Frr(frr) => {
                let shown = frr.show("ipv6 mroute");
                let source = if source.is_unspecified() { "*".to_owned() } else { source.to_string() };
                let route = &shown[group.to_string()][source];
                let out = route["oil"].as_object().into_iter().flatten();
                // FRR's own interface is there to have Registers made, or new sources told.
                let links = out.filter(|(name, _)| *name != REGISTER_INTERFACE);
                links
                    .filter(|(_, state)| state["outboundInterface"].is_string())
                    .map(|(name, _)| name.clone())
                    .collect()
            }
        }
    }

    /// Whether it has a route of its own for a source's datagrams to a group.
    pub(crate) fn has_mroute(&self, source: Ipv6Addr, group: Ipv6Addr) -> bool {
        match self {
            Router::Drover(node) => node.mroute(source, group).is_some(),
            Router::Frr(frr) => frr.show("ipv6 mroute")[group.to_string()][source.to_string()].is_object(),
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
    /// Routers that were killed.
    gone: BTreeSet<u16>,
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
        let (routers, plans, gone) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Network { routers, plans, gone, capture, captured, links, room }
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
            if plan.has_loopback {
                let own = format!("{}/128", loopback(plan.number));
                self.room.ip(&name, &["address", "add", &own, "dev", "lo", "nodad"]);
            }
            for route in &plan.routes {
                self.kernel_route(&name, "add", route);
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

    /// Kills a router, so that it can tell nobody, and has its kernel forward nothing either.
    pub(crate) fn kill(&mut self, number: u16) {
        match self.router(number) {
            Router::Drover(node) => node.kill(),
            Router::Frr(frr) => frr.kill(),
        }
        let plan = &self.plans[&number];
        for leg in &plan.interfaces {
            self.room.ip(&plan.name(), &["link", "set", &interface(leg.link), "down"]);
        }
        self.gone.insert(number);
    }

    /// Has all routes of one of FRR's routers lead over another one on the same link.
    pub(crate) fn reroute(&self, number: u16, to: u16) {
        let plan = &self.plans[&number];
        assert_eq!(plan.kind, Kind::Frr, "ours have the routes of their files");
        for route in &plan.routes {
            self.kernel_route(&plan.name(), "del", route);
            self.kernel_route(&plan.name(), "add", &Route { router: to, ..route.clone() });
        }
    }

    fn kernel_route(&self, name: &str, operation: &str, route: &Route) {
        let (via, over) = (route.via().to_string(), interface(route.over));
        let metric = route.worth.kernel_metric().to_string();
        let arguments = ["-6", "route", operation, &route.to, "via", &via, "dev", &over, "metric", &metric];
        self.room.ip(name, &arguments);
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
        for (number, router) in &mut self.routers {
            if let Router::Drover(node) = router
                && !self.gone.contains(number)
            {
                node.assert_running();
            }
        }
        self.await_captured();
        self.capture.signal(libc::SIGINT);
        assert!(self.capture.wait().success(), "{}", self.capture.err());
        let frames = captures::read(&self.captured);
        for plan in self.plans.values().filter(|plan| plan.kind == Kind::Drover) {
            let sent = |frame: &&Frame| plan.addresses().any(|own| frame.is_from(own));
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
