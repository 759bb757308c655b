//! A lab file: a topology, the traffic on it, the movements of its terminals, and what has to hold.
//!
//! A node of the lab is configured by the same tables as a node file, under `[node.config]`; its ports name links of
//! the lab in place of interfaces. [`LabNode::node_file`] turns one into the node file of a process of its own.

mod base;
mod raw;
mod script;
mod topology;

use super::document::ConfigError;
use super::resolved::{Attachment, InterfaceAddress, NodeConfig, PortConfig};
use super::{finish, other_kind, read};
use core::net::Ipv6Addr;
use core::time::Duration;
use serde::Deserialize;
use stack::machine::PortId;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// A lab.
#[derive(Clone, PartialEq, Debug)]
pub struct Lab {
    /// Its name: a word for reports and interface names.
    pub name: String,
    /// The seed of every random choice, unless the command line gives another.
    pub seed: u64,
    /// Time for terminals to register before traffic and movements start.
    pub settle: Duration,
    /// How long traffic runs; movements are counted from its start.
    pub duration: Duration,
    /// The links.
    pub links: Vec<LabLink>,
    /// The nodes.
    pub nodes: Vec<LabNode>,
    /// Hosts without anything of ours.
    pub hosts: Vec<LabHost>,
    /// The traffic.
    pub flows: Vec<LabFlow>,
    /// The movements, each once, in order of time.
    pub moves: Vec<LabMove>,
    /// What has to hold.
    pub checks: LabChecks,
    /// The same lab for each mode of its terminals that it is to be run in; empty where it is run once, as it stands.
    pub modes: Vec<(String, Lab)>,
}

/// Index of a link in [`Lab::links`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkIndex(pub usize);

/// Index of a node in [`Lab::nodes`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeIndex(pub usize);

/// Index of a host in [`Lab::hosts`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostIndex(pub usize);

/// A link.
#[derive(Clone, PartialEq, Debug)]
pub struct LabLink {
    /// Its name.
    pub name: String,
    /// How many ends it has.
    pub kind: LabLinkKind,
    /// The site that it belongs to; `None` for the backbone.
    pub site: Option<String>,
    /// From one end to another, in the simulation.
    pub delay: Duration,
    /// Up to this much more, evenly spread, in the simulation.
    pub jitter: Duration,
    /// Chance that a frame is lost in the simulation, in parts per million.
    pub loss_ppm: u32,
}

/// How many ends a link has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LabLinkKind {
    /// Two.
    #[default]
    PointToPoint,
    /// Any number.
    Lan,
}

/// A node.
#[derive(Clone, PartialEq, Debug)]
pub struct LabNode {
    /// Its name.
    pub name: String,
    /// Its configuration; the attachment of its ports is [`Attachment::Link`] or [`Attachment::Tun`].
    pub config: NodeConfig,
    /// The link of each port, in the order of ports; `None` for TUN devices.
    pub links: Vec<Option<LinkIndex>>,
    /// Terminals: the link where it is at the start.
    pub start: Option<LinkIndex>,
    text: toml::Table,
    directory: PathBuf,
}

/// A host without anything of ours: an unmodified correspondent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabHost {
    /// Its name.
    pub name: String,
    /// Its link.
    pub link: LinkIndex,
    /// Its address.
    pub address: InterfaceAddress,
    /// Its default router.
    pub gateway: Ipv6Addr,
}

/// Where traffic starts or ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// Programs of a host.
    Host(HostIndex),
    /// Programs behind the TUN device of a node: of a terminal, at its home address.
    Node(NodeIndex),
}

/// Traffic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabFlow {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: FlowKind,
    /// Who sends; of a TCP flow, who connects and sends.
    pub from: Endpoint,
    /// Who receives.
    pub to: Endpoint,
}

/// What traffic is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowKind {
    /// Echo requests at a constant rate, and their replies.
    Ping {
        /// Requests a second.
        rate_pps: u32,
        /// Octets behind the ICMPv6 header.
        payload_len: u16,
    },
    /// Numbered datagrams at a constant rate.
    Udp {
        /// Datagrams a second.
        rate_pps: u32,
        /// Octets behind the UDP header.
        payload_len: u16,
    },
    /// One TCP connection for the whole run.
    Tcp {
        /// As much as there is room for, where absent.
        rate_kbps: Option<u32>,
    },
}

/// One movement of one terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabMove {
    /// When, after traffic started.
    pub at: Duration,
    /// Who.
    pub terminal: NodeIndex,
    /// The link before.
    pub from: LinkIndex,
    /// The link after.
    pub to: LinkIndex,
    /// How.
    pub mode: MoveMode,
    /// How long before, and of which access router, the terminal tells the present one.
    pub announced: Option<Announced>,
}

/// What a terminal says before it moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announced {
    /// How long before.
    pub before: Duration,
    /// An address of the access router that it goes to.
    pub router: Ipv6Addr,
}

/// How a terminal changes links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveMode {
    /// Both links are up for a while.
    MakeBeforeBreak,
    /// The old link is gone for this long before the new one is there.
    BreakBeforeMake {
        /// How long neither is up.
        gap: Duration,
    },
}

/// What has to hold for the run to be good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabChecks {
    /// Every flow ends as it should: TCP connections last, datagrams arrive after the last movement.
    pub flows_survive: bool,
    /// Datagrams that a make-before-break movement within a site may lose.
    pub make_before_break_lost_max: Option<u64>,
    /// Datagrams that the terminal's programs may see twice at such a movement.
    pub make_before_break_duplicated_max: Option<u64>,
    /// How much longer than its gap a break-before-make movement within a site may interrupt a flow.
    pub break_before_make_slack: Option<Duration>,
    /// Datagrams that an announced movement within a site may lose.
    pub announced_lost_max: Option<u64>,
    /// Movements within a site send no Mobility Header and nothing out of the site.
    pub intra_site_silent: bool,
    /// Movements within a site leave the binding tables of mobility and home agents as they were.
    pub bindings_unchanged: bool,
    /// The only links where movements within a site may cause Joins and Prunes: those up to the crossover router.
    pub join_prune_links: Option<Vec<LinkIndex>>,
    /// Movements within a site change nothing outside of it: no Mobility Header, PIM or MLD message there, and no other
    /// headers around programs' packets.
    pub border_silent: bool,
    /// Datagrams that a make-before-break movement to another site, or home, may lose.
    pub inter_site_lost_max: Option<u64>,
    /// Datagrams that the terminal's programs may see twice at such a movement.
    pub inter_site_duplicated_max: Option<u64>,
    /// How much longer than its gap a break-before-make movement to another site, or home, may interrupt a flow.
    pub inter_site_slack: Option<Duration>,
    /// How long after a movement the agent of the site that was left may forward.
    pub forwarding_ends: Option<Duration>,
    /// No packet is forwarded by two agents.
    pub forwarded_once: bool,
    /// How much of what comes for a terminal in another site comes straight to its care-of address in the second half of
    /// each movement's time, in percent.
    pub route_optimised_min_percent: Option<u8>,
}

impl LabChecks {
    /// What has to hold where terminals do without mobility agents or without groups, for comparison.
    pub(super) fn of_baseline(flows_survive: bool) -> Self {
        LabChecks {
            flows_survive,
            make_before_break_lost_max: None,
            make_before_break_duplicated_max: None,
            intra_site_silent: false,
            bindings_unchanged: false,
            border_silent: false,
            forwarded_once: false,
            ..LabChecks::default()
        }
    }
}

impl Default for LabChecks {
    /// What is checked where the lab file says nothing.
    fn default() -> Self {
        LabChecks {
            flows_survive: true,
            make_before_break_lost_max: Some(0),
            make_before_break_duplicated_max: Some(0),
            break_before_make_slack: None,
            announced_lost_max: None,
            intra_site_silent: true,
            bindings_unchanged: true,
            join_prune_links: None,
            border_silent: true,
            inter_site_lost_max: None,
            inter_site_duplicated_max: None,
            inter_site_slack: None,
            forwarding_ends: None,
            forwarded_once: true,
            route_optimised_min_percent: None,
        }
    }
}

impl Lab {
    /// The link with this name.
    pub fn link_named(&self, name: &str) -> Option<LinkIndex> {
        self.links.iter().position(|link| link.name == name).map(LinkIndex)
    }

    /// The terminals.
    pub fn terminals(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(|(_, node)| node.config.mobile_terminal.is_some()).map(|(index, _)| NodeIndex(index))
    }

    /// Whether the home link of this terminal is `link`: the one where a home agent of its home prefix stands.
    pub fn is_home(&self, terminal: NodeIndex, link: LinkIndex) -> bool {
        let Some(terminal) = &self.nodes[terminal.0].config.mobile_terminal else { return false };
        self.nodes.iter().any(|node| {
            let agent = node.config.home_agent.as_ref().filter(|agent| agent.prefix.contains(terminal.home_address));
            agent.is_some_and(|agent| node.links[usize::from(agent.port.0)] == Some(link))
        })
    }

    /// `home`, `intra-site` or `inter-site`, as the terminal's position before and after say.
    pub fn kind_of(&self, movement: &LabMove) -> &'static str {
        let site = |link: LinkIndex| self.links[link.0].site.as_deref();
        if self.is_home(movement.terminal, movement.to) {
            "home"
        } else if self.is_home(movement.terminal, movement.from)
            || site(movement.from).is_none()
            || site(movement.from) != site(movement.to)
        {
            "inter-site"
        } else {
            "intra-site"
        }
    }

    /// The addresses of an endpoint's programs.
    pub fn address_of(&self, endpoint: Endpoint) -> Ipv6Addr {
        match endpoint {
            Endpoint::Host(host) => self.hosts[host.0].address.address,
            Endpoint::Node(node) => self.nodes[node.0].programs().map_or(Ipv6Addr::UNSPECIFIED, |(_, address)| address),
        }
    }

    /// The link that an endpoint's packets leave it by; of several, the first.
    pub fn first_link_of(&self, endpoint: Endpoint) -> Option<LinkIndex> {
        match endpoint {
            Endpoint::Host(host) => Some(self.hosts[host.0].link),
            Endpoint::Node(node) => self.nodes[node.0].links.iter().flatten().copied().next(),
        }
    }
}

impl LabNode {
    /// The TUN port where programs are, and the address that they use.
    pub fn programs(&self) -> Option<(PortId, Ipv6Addr)> {
        Some((self.config.programs_port()?, self.config.programs_address()?))
    }

    /// The port on this link.
    pub fn port_on(&self, link: LinkIndex) -> Option<PortId> {
        let index = self.links.iter().position(|on| *on == Some(link))?;
        u8::try_from(index).ok().map(PortId)
    }

    /// The text of a node file for this node alone: `interface_of` gives the kind and the interface of each port that is
    /// on a link, `admin_socket` where the admin API is.
    pub fn node_file(
        &self,
        interface_of: impl Fn(&PortConfig) -> (&'static str, String),
        admin_socket: &Path,
    ) -> String {
        use toml::Value;
        let mut text = self.text.clone();
        absolute_paths(&mut text, &self.directory);
        if let Some(Value::Array(ports)) = text.get_mut("port") {
            for (table, port) in ports.iter_mut().filter_map(Value::as_table_mut).zip(&self.config.ports) {
                if let Attachment::Link { .. } = port.attachment {
                    let (kind, interface) = interface_of(port);
                    table.remove("link");
                    table.insert("kind".into(), kind.into());
                    table.insert("interface".into(), interface.into());
                    table.insert("point_to_point".into(), port.point_to_point.into());
                }
            }
        }
        let general = text.entry("node").or_insert_with(|| Value::Table(toml::Table::new()));
        if let Some(general) = general.as_table_mut() {
            general.insert("name".into(), self.name.as_str().into());
        }
        let socket = admin_socket.to_string_lossy().into_owned();
        text.insert("admin".into(), Value::Table(toml::Table::from_iter([("socket".into(), socket.into())])));
        text.to_string()
    }
}

/// Makes the paths of files that a node's tables name independent of where its node file stands.
fn absolute_paths(table: &mut toml::Table, directory: &Path) {
    for (key, value) in table.iter_mut() {
        match value {
            toml::Value::String(path) if ["key_file", "signal_file", "state_dir"].contains(&key.as_str()) => {
                let joined = directory.join(&*path);
                *path = std::path::absolute(&joined).unwrap_or(joined).to_string_lossy().into_owned();
            }
            toml::Value::Table(table) => absolute_paths(table, directory),
            toml::Value::Array(values) => {
                values.iter_mut().filter_map(toml::Value::as_table_mut).for_each(|t| absolute_paths(t, directory));
            }
            _ => {}
        }
    }
}

/// Reads the lab file at `path`.
pub fn load_lab(path: &Path) -> Result<Lab, ConfigError> {
    let file = path.display().to_string();
    let text = read(path)?;
    if is_node(&text) {
        return Err(other_kind(&file, "this is a node file", "run it with `drover run`, or name a lab file"));
    }
    parse_lab(&file, &text, path.parent().unwrap_or(Path::new("")))
}

/// Reads the lab file `text`, which messages call `file`; relative paths in it start at `directory`.
pub fn parse_lab(file: &str, text: &str, directory: &Path) -> Result<Lab, ConfigError> {
    let files = base::Files::read(file, text, directory)?;
    let source = files.source();
    let lab = base::table(&source).and_then(|table| topology::lab(&source, table, directory));
    finish(source, lab)
}

/// The lab file at `path` as one table, the files that it is based on laid under it, before anything in it is judged.
pub fn load_table(path: &Path) -> Result<toml::Table, ConfigError> {
    let file = path.display().to_string();
    let text = read(path)?;
    let files = base::Files::read(&file, &text, path.parent().unwrap_or(Path::new("")))?;
    let source = files.source();
    let table = base::table(&source).map(|mut table| {
        if let Some(toml::de::DeValue::Table(general)) = table.get_mut("lab").map(toml::Spanned::get_mut) {
            general.remove("base");
        }
        let value = toml::Spanned::new(0..0, toml::de::DeValue::Table(table));
        toml::Table::deserialize(toml::de::ValueDeserializer::from(value)).unwrap_or_default()
    });
    finish(source, table)
}

/// Whether a TOML text is a lab file rather than a node file: it has a table `[lab]`.
pub fn is_lab(text: &str) -> bool {
    DeTable::parse(text).is_ok_and(|table| table.get_ref().contains_key("lab"))
}

/// Whether it is certainly the other: a lab file has no table `[node]`, but several `[[node]]`.
fn is_node(text: &str) -> bool {
    let is_node =
        |table: &DeTable| !table.contains_key("lab") && table.get("node").is_some_and(|n| n.get_ref().is_table());
    DeTable::parse(text).is_ok_and(|table| is_node(table.get_ref()))
}
