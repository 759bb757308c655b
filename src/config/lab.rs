//! A lab file: a topology, the traffic on it, the movements of its terminals, and what has to hold.
//!
//! A node of the lab is configured by the same tables as a node file, under `[node.config]`; its ports name links of
//! the lab in place of interfaces. [`LabNode::node_file`] turns one into the node file of a process of its own.

use super::document::{ConfigError, Fault, Source, Tables};
use super::raw::{
    Field, RawChecks, RawFlow, RawHost, RawLabGeneral, RawLink, RawMove, RawNode, RawNodeFile, RawPlaces,
};
use super::resolve::section::{Section, flag, in_range, name, routable, span_of, word};
use super::resolve::{self, Context, Place};
use super::resolved::{Attachment, InterfaceAddress, NodeConfig, PortConfig};
use super::{finish, read};
use core::net::Ipv6Addr;
use core::time::Duration;
use serde::Deserialize;
use stack::machine::PortId;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

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
    /// Programs behind the TUN device of a terminal, at its home address.
    Terminal(NodeIndex),
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
    /// Movements within a site send no Mobility Header and nothing out of the site.
    pub intra_site_silent: bool,
    /// Movements within a site leave the binding tables of mobility and home agents as they were.
    pub bindings_unchanged: bool,
    /// The only links where movements within a site may cause Joins and Prunes: those up to the crossover router.
    pub join_prune_links: Option<Vec<LinkIndex>>,
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

    /// Whether the home link of this terminal is `link`: the link of its home agent's home port.
    pub fn is_home(&self, terminal: NodeIndex, link: LinkIndex) -> bool {
        let Some(terminal) = &self.nodes[terminal.0].config.mobile_terminal else { return false };
        self.nodes.iter().any(|node| {
            let agent = node.config.home_agent.as_ref().filter(|agent| agent.address == terminal.home_agent);
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
            Endpoint::Terminal(node) => {
                let terminal = self.nodes[node.0].config.mobile_terminal.as_ref();
                terminal.map_or(Ipv6Addr::UNSPECIFIED, |terminal| terminal.home_address)
            }
        }
    }
}

impl LabNode {
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
            toml::Value::String(path) if key == "key_file" || key == "signal_file" => {
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
    parse_lab(&file, &text, path.parent().unwrap_or(Path::new("")))
}

/// Reads the lab file `text`, which messages call `file`; relative paths in it start at `directory`.
pub fn parse_lab(file: &str, text: &str, directory: &Path) -> Result<Lab, ConfigError> {
    let source = Source::new(file, text);
    let lab = source.parse().and_then(|table| read_lab(&source, table.into_inner(), directory));
    finish(source, lab)
}

/// Whether a TOML text is a lab file rather than a node file: it has a table `[lab]`.
pub fn is_lab(text: &str) -> bool {
    DeTable::parse(text).is_ok_and(|table| table.get_ref().contains_key("lab"))
}

/// Nodes, links, hosts and flows of a lab at the most, each.
const MAX_THINGS: usize = 256;
/// Movements of a lab at the most.
const MAX_MOVES: usize = 100_000;
const MAX_RUN_MS: i64 = 86_400_000;

/// What stands between the text and a node.
struct RawLabNode {
    section_path: String,
    span: core::ops::Range<usize>,
    name: Field<String>,
    start: Field<String>,
    file: RawNodeFile,
    text: toml::Table,
}

fn read_lab<'a>(source: &Source<'a>, table: DeTable<'a>, directory: &Path) -> Option<Lab> {
    let mut tables = Tables::new(source, "", table);
    let general = tables.one::<RawLabGeneral>("lab");
    let links = tables.many::<RawLink>("link");
    let nodes: Vec<RawLabNode> =
        tables.elements("node").into_iter().filter_map(|(path, value)| raw_node(source, path, value)).collect();
    let hosts = tables.many::<RawHost>("host");
    let flows = tables.many::<RawFlow>("flow");
    let moves = tables.many::<RawMove>("move");
    let checks = tables.one::<RawChecks>("checks");
    tables.refuse_rest();
    if !source.is_clean() {
        return None;
    }
    let root = Section::new(source, "", 0..0);
    for (key, count) in [("link", links.len()), ("node", nodes.len()), ("host", hosts.len()), ("flow", flows.len())] {
        if count > MAX_THINGS {
            let fault = Fault::new(format!("{count} are too many"), format!("give at most {MAX_THINGS}"));
            return root.fault(key, 0..0, fault);
        }
    }

    let general = read_general(&root, &general);
    let link_spans: Vec<_> = links.iter().map(Spanned::span).collect();
    let links = unique_names(&root, "link", &links, |link| &link.name, root.tables("link", &links, link))?;
    let nodes = read_nodes(&root, nodes, &links, directory)?;
    let hosts = unique_names(
        &root,
        "host",
        &hosts,
        |host| &host.name,
        root.tables("host", &hosts, |section, raw| host(section, raw, &links)),
    )?;
    let (lab_name, seed, settle, duration) = general?;
    let mut lab = Lab {
        name: lab_name,
        seed,
        settle,
        duration,
        links,
        nodes,
        hosts,
        flows: Vec::new(),
        moves: Vec::new(),
        checks: LabChecks {
            flows_survive: true,
            make_before_break_lost_max: Some(0),
            make_before_break_duplicated_max: Some(0),
            break_before_make_slack: None,
            intra_site_silent: true,
            bindings_unchanged: true,
            join_prune_links: None,
        },
    };
    ends(&root, &lab, &link_spans);
    let flow_tables = root.tables("flow", &flows, |section, raw| flow(section, raw, &lab));
    let flows = unique_names(&root, "flow", &flows, |flow| &flow.name, flow_tables);
    let moves = read_moves(&root, &moves, &lab);
    let checks = match &checks {
        Some(table) => read_checks(&root.inner("checks", table.span()), table.get_ref(), &lab),
        None => Some(lab.checks.clone()),
    };
    (lab.flows, lab.moves, lab.checks) = (flows?, moves?, checks?);
    source.is_clean().then_some(lab)
}

fn raw_node<'a>(source: &Source<'a>, path: String, value: Spanned<DeValue<'a>>) -> Option<RawLabNode> {
    let span = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        source.report(span, path, Fault::new("this is not a table", "write [[node]]"));
        return None;
    };
    let mut tables = Tables::new(source, path.clone(), table);
    let name = tables.one("name");
    let start = tables.one("start");
    let config = tables.value("config");
    tables.refuse_rest();
    let config_path = format!("{path}.config");
    let (text, table) = match config {
        None => {
            let remedy = format!(
                "configure the node as in a node file, under [{}]",
                config_path.replace("[", "").replace("]", "")
            );
            source.report(span, config_path, Fault::new("this key is missing", remedy));
            return None;
        }
        Some(value) => {
            let text = toml::Table::deserialize(ValueDeserializer::from(value.clone())).unwrap_or_default();
            let span = value.span();
            let DeValue::Table(table) = value.into_inner() else {
                source.report(span, config_path, Fault::new("this is not a table", "write [node.config]"));
                return None;
            };
            (text, table)
        }
    };
    let file = resolve::raw_node_file(Tables::new(source, config_path, table));
    Some(RawLabNode { section_path: path, span, name, start, file, text })
}

type General = (String, u64, Duration, Duration);

fn read_general(root: &Section<'_, '_>, table: &Field<RawLabGeneral>) -> Option<General> {
    let Some(table) = table else {
        return root.missing("lab", "begin the file with [lab] and name = \"…\" in it");
    };
    let section = root.inner("lab", table.span());
    let raw = table.get_ref();
    let remedy = "give the lab a name as name = \"fig5\"";
    let lab_name = section.required("name", &raw.name, remedy, |text| {
        let lab_name = name(text)?;
        let what = || format!("\"{text}\" is too long to be part of interface names");
        if lab_name.len() <= MAX_LAB_NAME { Ok(lab_name) } else { Err(Fault::new(what(), "give at most 8 letters")) }
    });
    let seed = section.number("seed", &raw.seed, 0..=i64::MAX, 1_u64);
    let settle = section.millis("settle_ms", &raw.settle_ms, 0..=600_000, 5_000);
    let remedy = "say how long traffic runs as duration_ms = 10000";
    let duration = section.required("duration_ms", &raw.duration_ms, remedy, |&millis| {
        in_range::<u64>(millis, 1..=MAX_RUN_MS).map(Duration::from_millis)
    });
    Some((lab_name?, seed?, settle?, duration?))
}

/// Letters of a lab's name.
const MAX_LAB_NAME: usize = 8;

fn unique_names<R, T>(
    root: &Section<'_, '_>,
    key: &str,
    raw: &[Spanned<R>],
    name_of: impl Fn(&R) -> &Field<String>,
    things: Option<Vec<T>>,
) -> Option<Vec<T>> {
    let mut sound = true;
    for (index, table) in raw.iter().enumerate() {
        let Some(own) = name_of(table.get_ref()) else { continue };
        let same = |other: &Spanned<R>| name_of(other.get_ref()).as_ref().is_some_and(|o| o.get_ref() == own.get_ref());
        if raw[..index].iter().any(same) {
            let fault = Fault::new(format!("the name \"{}\" is taken above", own.get_ref()), "give each its own name");
            root.fault::<()>(format_args!("{key}[{index}].name"), own.span(), fault);
            sound = false;
        }
    }
    things.filter(|_| sound)
}

fn link(section: &Section<'_, '_>, raw: &RawLink) -> Option<LabLink> {
    let link_name = section.required("name", &raw.name, "give the link a name as name = \"core-a\"", |text| name(text));
    let kind = section.or("kind", &raw.kind, LabLinkKind::default(), |text| {
        word(text, &[("p2p", LabLinkKind::PointToPoint), ("lan", LabLinkKind::Lan)])
    });
    let site = section.optional("site", &raw.site, |text| name(text));
    let delay = section.number("delay_us", &raw.delay_us, 0..=10_000_000, 0).map(Duration::from_micros);
    let jitter = section.number("jitter_us", &raw.jitter_us, 0..=10_000_000, 0).map(Duration::from_micros);
    let loss_ppm = section.or("loss_percent", &raw.loss_percent, 0, |&percent| {
        if (0.0..=100.0).contains(&percent) {
            Ok((percent * 10_000.0).round() as u32)
        } else {
            Err(Fault::new(format!("{percent} percent cannot be lost"), "give 0.0 to 100.0"))
        }
    });
    Some(LabLink { name: link_name?, kind: kind?, site: site?, delay: delay?, jitter: jitter?, loss_ppm: loss_ppm? })
}

fn link_by_name(
    section: &Section<'_, '_>,
    key: &str,
    span: core::ops::Range<usize>,
    name: &str,
    links: &[LabLink],
) -> Option<LinkIndex> {
    match links.iter().position(|link| link.name == name) {
        Some(index) => Some(LinkIndex(index)),
        None => {
            let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
            let remedy = format!("name one of the links: {}", names.join(", "));
            section.fault(key, span, Fault::new(format!("there is no link \"{name}\""), remedy))
        }
    }
}

fn read_nodes(
    root: &Section<'_, '_>,
    raw: Vec<RawLabNode>,
    links: &[LabLink],
    directory: &Path,
) -> Option<Vec<LabNode>> {
    let mut nodes: Vec<LabNode> = Vec::new();
    for mut raw in raw {
        let section = Section::new(root.source, raw.section_path.clone(), raw.span.clone());
        let node_name =
            section.required("name", &raw.name, "give the node a name as name = \"core\"", |text| name(text));
        let Some(node_name) = node_name else { continue };
        if nodes.iter().any(|node| node.name == node_name) {
            let fault = Fault::new(format!("the name \"{node_name}\" is taken above"), "give each node its own name");
            section.fault::<()>("name", span_of(&section, &raw.name), fault);
            continue;
        }
        // The node's name stands once, on the node of the lab.
        let general = raw.file.node.get_or_insert_with(|| Spanned::new(raw.span.clone(), RawNode::default()));
        if let Some(second) = &general.get_ref().name {
            let fault = Fault::new("a node of a lab has its name above its tables", "remove the key");
            section.fault::<()>("config.node.name", second.span(), fault);
            continue;
        }
        let span = span_of(&section, &raw.name);
        *general = Spanned::new(
            general.span(),
            RawNode { name: Some(Spanned::new(span, node_name.clone())), ..core::mem::take(general.get_mut()) },
        );
        let config_section = section.inner("config", raw.span.clone());
        let context = Context { directory, place: Place::LabFile };
        let Some(mut config) = resolve::node(&config_section, &raw.file, context) else { continue };
        let Some(on) = links_of(&config_section, &raw.file, &mut config, links) else { continue };
        let start = match (&raw.start, &config.mobile_terminal) {
            (Some(start), Some(_)) => match link_by_name(&section, "start", start.span(), start.get_ref(), links) {
                Some(link) if on.contains(&Some(link)) => Some(link),
                Some(_) => {
                    let what = format!("no port of this terminal is on the link \"{}\"", start.get_ref());
                    section.fault("start", start.span(), Fault::new(what, "name the link of one of its ports"))
                }
                None => continue,
            },
            (None, Some(_)) => section.missing("start", "say where the terminal is at first as start = \"LINK\""),
            (Some(start), None) => {
                let fault = Fault::new("only terminals have a place at the start", "remove the key");
                section.fault("start", start.span(), fault)
            }
            (None, None) => None,
        };
        let text = raw.text;
        nodes.push(LabNode { name: node_name, config, links: on, start, text, directory: directory.to_owned() });
    }
    root.source.is_clean().then_some(nodes)
}

/// The link of each port; a port on a point-to-point link is point-to-point.
fn links_of(
    section: &Section<'_, '_>,
    raw: &RawNodeFile,
    config: &mut NodeConfig,
    links: &[LabLink],
) -> Option<Vec<Option<LinkIndex>>> {
    let mut on = Vec::new();
    for (index, (port, raw)) in config.ports.iter_mut().zip(&raw.port).enumerate() {
        let section = section.inner(format_args!("port[{index}]"), raw.span());
        let link = match &port.attachment {
            Attachment::Link { link } => {
                let span = span_of(&section, &raw.get_ref().link);
                let found = link_by_name(&section, "link", span, link, links)?;
                port.point_to_point = links[found.0].kind == LabLinkKind::PointToPoint;
                Some(found)
            }
            _ => None,
        };
        on.push(link);
    }
    Some(on)
}

fn host(section: &Section<'_, '_>, raw: &RawHost, links: &[LabLink]) -> Option<LabHost> {
    let host_name = section.required("name", &raw.name, "give the host a name as name = \"cn\"", |text| name(text));
    let link = match &raw.link {
        Some(link) => link_by_name(section, "link", link.span(), link.get_ref(), links),
        None => section.missing("link", "name the link that the host is on"),
    };
    let remedy = "give its address as address = \"2001:db8:c::10/64\"";
    let address = section.required("address", &raw.address, remedy, |text| resolve::interface_address(text));
    let remedy = "give its default router as gateway = \"2001:db8:c::1\"";
    let gateway = section.required("gateway", &raw.gateway, remedy, |text| {
        let gateway = routable(text)?;
        match address {
            Some(own) if !own.prefix.contains(gateway) || own.address == gateway => {
                let what = format!("{gateway} is not another address in {}", own.prefix);
                Err(Fault::new(what, "give the router's address on the host's link"))
            }
            _ => Ok(gateway),
        }
    });
    Some(LabHost { name: host_name?, link: link?, address: address?, gateway: gateway? })
}

/// Checks that point-to-point links have two ends and no link has none.
fn ends(root: &Section<'_, '_>, lab: &Lab, spans: &[core::ops::Range<usize>]) {
    for (index, link) in lab.links.iter().enumerate() {
        let nodes = lab.nodes.iter().flat_map(|node| &node.links).filter(|on| **on == Some(LinkIndex(index)));
        let ends = nodes.count() + lab.hosts.iter().filter(|host| host.link == LinkIndex(index)).count();
        let fault = match link.kind {
            LabLinkKind::PointToPoint if ends != 2 => "attach two ports or hosts to it, or give kind = \"lan\"",
            LabLinkKind::Lan if ends == 0 => "attach ports or hosts to it, or remove it",
            _ => continue,
        };
        let what = format!("the link \"{}\" has {ends} end{}", link.name, if ends == 1 { "" } else { "s" });
        root.fault::<()>(format_args!("link[{index}]"), spans[index].clone(), Fault::new(what, fault));
    }
}

fn endpoint(section: &Section<'_, '_>, key: &str, field: &Field<String>, lab: &Lab) -> Option<Endpoint> {
    let Some(value) = field else {
        return section.missing(key, "name a host or a terminal");
    };
    let name = value.get_ref();
    if let Some(index) = lab.hosts.iter().position(|host| host.name == *name) {
        return Some(Endpoint::Host(HostIndex(index)));
    }
    let Some(index) = lab.nodes.iter().position(|node| node.name == *name) else {
        let fault = Fault::new(format!("there is no host or terminal \"{name}\""), "name a host or a terminal");
        return section.fault(key, value.span(), fault);
    };
    match &lab.nodes[index].config.mobile_terminal {
        Some(terminal) if terminal.tun.is_some() => Some(Endpoint::Terminal(NodeIndex(index))),
        Some(_) => {
            let what = format!("the terminal \"{name}\" has no TUN device for programs");
            section.fault(key, value.span(), Fault::new(what, "give it a port of kind \"tun\" and name that in tun"))
        }
        None => {
            let fault = Fault::new(format!("\"{name}\" is a router"), "name a host or a terminal");
            section.fault(key, value.span(), fault)
        }
    }
}

fn flow(section: &Section<'_, '_>, raw: &RawFlow, lab: &Lab) -> Option<LabFlow> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Ping,
        Udp,
        Tcp,
    }
    let flow_name = section.required("name", &raw.name, "give the flow a name as name = \"voice\"", |text| name(text));
    let words = [("ping", Kind::Ping), ("udp", Kind::Udp), ("tcp", Kind::Tcp)];
    let kind = section.required("kind", &raw.kind, "give \"ping\", \"udp\" or \"tcp\"", |text| word(text, &words));
    let from = endpoint(section, "from", &raw.from, lab);
    let to = endpoint(section, "to", &raw.to, lab);
    if let (Some(from), Some(to)) = (from, to)
        && from == to
    {
        let fault = Fault::new("the flow ends where it starts", "name another host or terminal");
        return section.fault("to", span_of(section, &raw.to), fault);
    }
    let kind = kind?;
    let foreign: &[(&str, &Field<i64>)] = match kind {
        Kind::Tcp => &[("rate_pps", &raw.rate_pps), ("payload_len", &raw.payload_len)],
        _ => &[("rate_kbps", &raw.rate_kbps)],
    };
    for (key, field) in foreign {
        if let Some(value) = field {
            section.fault::<()>(key, value.span(), Fault::new("this kind of flow does not use this key", "remove it"));
        }
    }
    let kind = match kind {
        Kind::Ping | Kind::Udp => {
            let (pps, len) = if kind == Kind::Ping { (10, 56) } else { (1_000, 160) };
            let rate_pps = section.number("rate_pps", &raw.rate_pps, 1..=1_000_000, pps);
            // The sequence number, the time and the flow have to fit; so has the packet in all tunnels.
            let payload_len = section.number("payload_len", &raw.payload_len, 32..=1_100, len);
            let (rate_pps, payload_len) = (rate_pps?, payload_len?);
            if kind == Kind::Ping {
                FlowKind::Ping { rate_pps, payload_len }
            } else {
                FlowKind::Udp { rate_pps, payload_len }
            }
        }
        Kind::Tcp => {
            let rate_kbps =
                section.optional("rate_kbps", &raw.rate_kbps, |&kbps| in_range::<u32>(kbps, 8..=100_000_000));
            FlowKind::Tcp { rate_kbps: rate_kbps? }
        }
    };
    Some(LabFlow { name: flow_name?, kind, from: from?, to: to? })
}

/// A movement before it is known where the terminal comes from.
struct Planned {
    at: Duration,
    terminal: NodeIndex,
    to: LinkIndex,
    mode: MoveMode,
    path: String,
    span: core::ops::Range<usize>,
}

fn read_moves(root: &Section<'_, '_>, raw: &[Spanned<RawMove>], lab: &Lab) -> Option<Vec<LabMove>> {
    let planned = root.tables("move", raw, |section, raw| movements(section, raw, lab))?;
    let mut planned: Vec<Planned> = planned.into_iter().flatten().collect();
    if planned.len() > MAX_MOVES {
        let fault =
            Fault::new(format!("{} movements are too many", planned.len()), format!("give at most {MAX_MOVES}"));
        return root.fault("move", planned[MAX_MOVES].span.clone(), fault);
    }
    planned.sort_by_key(|movement| (movement.at, movement.terminal));
    let mut at: Vec<Option<LinkIndex>> = lab.nodes.iter().map(|node| node.start).collect();
    let mut moves = Vec::new();
    for planned in planned {
        let from = at[planned.terminal.0]?;
        let section = Section::new(root.source, planned.path, planned.span);
        if from == planned.to {
            let what =
                format!("at {} ms the terminal is on \"{}\" already", planned.at.as_millis(), lab.links[from.0].name);
            return section.fault("to", section.span.clone(), Fault::new(what, "name another link"));
        }
        at[planned.terminal.0] = Some(planned.to);
        moves.push(LabMove { at: planned.at, terminal: planned.terminal, from, to: planned.to, mode: planned.mode });
    }
    Some(moves)
}

fn movements(section: &Section<'_, '_>, raw: &RawMove, lab: &Lab) -> Option<Vec<Planned>> {
    let terminal = match &raw.terminal {
        None => section.missing("terminal", "name the terminal that moves"),
        Some(name) => match lab.nodes.iter().position(|node| node.name == *name.get_ref() && node.start.is_some()) {
            Some(index) => Some(NodeIndex(index)),
            None => {
                let fault = Fault::new(format!("there is no terminal \"{}\"", name.get_ref()), "name a terminal");
                section.fault("terminal", name.span(), fault)
            }
        },
    };
    let names: &[String] = match raw.to.as_ref().map(Spanned::get_ref) {
        None => return section.missing("to", "name the link that it moves to, or a list of links in turn"),
        Some(RawPlaces::One(name)) => std::slice::from_ref(name),
        Some(RawPlaces::Several(names)) => names,
    };
    let span = span_of(section, &raw.to);
    if names.is_empty() {
        return section.fault("to", span, Fault::new("the list is empty", "name at least one link"));
    }
    let places: Option<Vec<LinkIndex>> =
        names.iter().map(|name| link_by_name(section, "to", span.clone(), name, &lab.links)).collect();
    let (terminal, places) = (terminal?, places?);
    if let Some(place) = places.iter().find(|place| lab.nodes[terminal.0].port_on(**place).is_none()) {
        let what = format!("no port of the terminal is on the link \"{}\"", lab.links[place.0].name);
        return section.fault("to", span, Fault::new(what, "name the link of one of its ports"));
    }
    let longest = lab.duration.as_millis() as i64;
    let at = section.required("at_ms", &raw.at_ms, "say when, after traffic started, as at_ms = 1000", |&at| {
        in_range::<u64>(at, 0..=longest).map(Duration::from_millis)
    });
    let gap = section.millis("break_ms", &raw.break_ms, 0..=60_000, 20)?;
    let mode = section.or("mode", &raw.mode, MoveMode::MakeBeforeBreak, |text| {
        let break_before_make = MoveMode::BreakBeforeMake { gap };
        word(text, &[("make_before_break", MoveMode::MakeBeforeBreak), ("break_before_make", break_before_make)])
    });
    if let (Some(MoveMode::MakeBeforeBreak), Some(value)) = (mode, &raw.break_ms) {
        let fault = Fault::new("a make-before-break movement has no gap", "remove the key, or change the mode");
        section.fault::<()>("break_ms", value.span(), fault);
    }
    let count = section.number("repeat", &raw.repeat, 1..=MAX_MOVES as i64, places.len());
    let every = section.optional("every_ms", &raw.every_ms, |&every| {
        in_range::<u64>(every, 1..=MAX_RUN_MS).map(Duration::from_millis)
    });
    let (at, mode, count, every) = (at?, mode?, count?, every?);
    if count > 1 && every.is_none() {
        return section.missing("every_ms", "say how long after one another the movements are");
    }
    let last = at + every.unwrap_or_default() * u32::try_from(count - 1).unwrap_or(u32::MAX);
    if last > lab.duration {
        let what = format!("the last of {count} movements is at {} ms, after the end", last.as_millis());
        let fault = Fault::new(what, format!("let them end by lab.duration_ms = {longest}"));
        return section.fault("repeat", span_of(section, &raw.repeat), fault);
    }
    let place = places.iter().cycle();
    let planned = (0..count).zip(place).map(|(index, to)| Planned {
        at: at + every.unwrap_or_default() * index as u32,
        terminal,
        to: *to,
        mode,
        path: section.path.clone(),
        span: span.clone(),
    });
    Some(planned.collect())
}

fn read_checks(section: &Section<'_, '_>, raw: &RawChecks, lab: &Lab) -> Option<LabChecks> {
    let count = |key, field| section.number(key, field, 0..=i64::MAX, 0_u64).map(Some);
    let lost = count("make_before_break_lost_max", &raw.make_before_break_lost_max);
    let duplicated = count("make_before_break_duplicated_max", &raw.make_before_break_duplicated_max);
    let slack = section.optional("break_before_make_slack_ms", &raw.break_before_make_slack_ms, |&slack| {
        in_range::<u64>(slack, 0..=60_000).map(Duration::from_millis)
    });
    let links = match &raw.join_prune_links {
        None => Some(None),
        Some(names) => {
            let find = |name: &Spanned<String>| {
                link_by_name(section, "join_prune_links", name.span(), name.get_ref(), &lab.links)
            };
            names.iter().map(find).collect::<Option<Vec<_>>>().map(Some)
        }
    };
    Some(LabChecks {
        flows_survive: flag(&raw.flows_survive, true),
        make_before_break_lost_max: lost?,
        make_before_break_duplicated_max: duplicated?,
        break_before_make_slack: slack?,
        intra_site_silent: flag(&raw.intra_site_silent, true),
        bindings_unchanged: flag(&raw.bindings_unchanged, true),
        join_prune_links: links?,
    })
}
