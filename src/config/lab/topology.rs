//! The topology of a lab file: links, nodes and hosts, and how they hang together.

use super::raw::{RawChecks, RawFlow, RawHost, RawLabGeneral, RawLink, RawMove};
use super::{Lab, LabChecks, LabHost, LabLink, LabLinkKind, LabNode, LinkIndex};
use super::{base, script};
use crate::config::document::{Fault, Source, Tables};
use crate::config::raw::{Field, RawNode, RawNodeFile};
use crate::config::resolve::section::{Section, in_range, name, routable, span_of};
use crate::config::resolve::{self, Context, Place};
use crate::config::resolved::{Attachment, NodeConfig};
use core::ops::Range;
use core::time::Duration;
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Nodes, links, hosts and flows of a lab at the most, each.
const MAX_THINGS: usize = 256;
/// A day.
pub(super) const MAX_RUN_MS: i64 = 86_400_000;

/// What stands between the text and a node.
struct RawLabNode {
    section_path: String,
    span: Range<usize>,
    name: Field<String>,
    start: Field<String>,
    file: RawNodeFile,
    text: toml::Table,
}

/// Modes that a lab may be run in.
const MAX_MODES: usize = 8;

/// Reads a lab file; what is wrong is noted in `source`.
pub(super) fn lab<'a>(source: &Source<'a>, table: DeTable<'a>, directory: &Path) -> Option<Lab> {
    let (mut lab, modes) = one_lab(source, table.clone(), directory)?;
    let root = Section::new(source, "", 0..0);
    for (index, mode) in modes.iter().enumerate() {
        let key = format!("lab.modes[{index}]");
        if index >= MAX_MODES {
            let fault = Fault::new("these modes are too many", format!("give at most {MAX_MODES}"));
            return root.fault(key, mode.span(), fault);
        }
        if modes[..index].iter().any(|other| other.get_ref() == mode.get_ref()) {
            let fault = Fault::new(format!("\"{}\" stands above", mode.get_ref()), "name each mode once");
            return root.fault(key, mode.span(), fault);
        }
        let (mut variant, _) = one_lab(source, base::in_mode(&table, mode), directory)?;
        if mode.get_ref() != DEFAULT_MODE {
            variant.checks = LabChecks::of_baseline(variant.checks.flows_survive);
        }
        lab.modes.push((mode.get_ref().clone(), variant));
    }
    Some(lab)
}

/// The mode that the checks of movements are about.
const DEFAULT_MODE: &str = "multicast";

/// A lab as it stands in the file, and the modes that it is to be run in.
fn one_lab<'a>(source: &Source<'a>, table: DeTable<'a>, directory: &Path) -> Option<(Lab, Vec<Spanned<String>>)> {
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

    let modes = general.as_ref().and_then(|general| general.get_ref().modes.clone()).unwrap_or_default();
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
        modes: Vec::new(),
        checks: LabChecks::default(),
    };
    ends(&root, &lab, &link_spans);
    let flow_tables = root.tables("flow", &flows, |section, raw| script::flow(section, raw, &lab));
    let flows = unique_names(&root, "flow", &flows, |flow| &flow.name, flow_tables);
    let moves = script::moves(&root, &moves, &lab);
    let checks = match &checks {
        Some(table) => script::checks(&root.inner("checks", table.span()), table.get_ref(), &lab),
        None => Some(lab.checks.clone()),
    };
    (lab.flows, lab.moves, lab.checks) = (flows?, moves?, checks?);
    source.is_clean().then_some((lab, modes))
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
    let kinds = [("p2p", LabLinkKind::PointToPoint), ("lan", LabLinkKind::Lan)];
    let kind = section.choice("kind", &raw.kind, &kinds, LabLinkKind::default());
    let site = section.optional("site", &raw.site, |text| name(text));
    let delay = section.number("delay_us", &raw.delay_us, 0..=10_000_000, 0).map(Duration::from_micros);
    let jitter = section.number("jitter_us", &raw.jitter_us, 0..=10_000_000, 0).map(Duration::from_micros);
    let loss_ppm = section.or("loss_percent", &raw.loss_percent, (0, 0.0), |&percent| {
        if (0.0..=100.0).contains(&percent) {
            Ok((percent * 10_000.0).round() as u32)
        } else {
            Err(Fault::new(format!("{percent} percent cannot be lost"), "give 0.0 to 100.0"))
        }
    });
    Some(LabLink { name: link_name?, kind: kind?, site: site?, delay: delay?, jitter: jitter?, loss_ppm: loss_ppm? })
}

pub(super) fn link_by_name(
    section: &Section<'_, '_>,
    key: &str,
    span: Range<usize>,
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
fn ends(root: &Section<'_, '_>, lab: &Lab, spans: &[Range<usize>]) {
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
