//! What happens on a lab's topology: flows, movements, and what has to hold.

use super::raw::{RawChecks, RawFlow, RawMove, RawPlaces};
use super::topology::{MAX_RUN_MS, link_by_name};
use super::{
    Announced, Endpoint, FlowKind, HostIndex, Lab, LabChecks, LabFlow, LabMove, LinkIndex, MoveMode, NodeIndex,
};
use crate::config::document::Fault;
use crate::config::raw::Field;
use crate::config::resolve::section::{Section, in_range, name, span_of, word};
use core::ops::Range;
use core::time::Duration;
use toml::Spanned;

/// Movements of a lab at the most.
const MAX_MOVES: usize = 100_000;

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
    if lab.nodes[index].programs().is_some() {
        return Some(Endpoint::Node(NodeIndex(index)));
    }
    let fault = if lab.nodes[index].config.mobile_terminal.is_some() {
        let what = format!("the terminal \"{name}\" has no TUN device for programs");
        Fault::new(what, "give it a port of kind \"tun\" and name that in tun")
    } else {
        Fault::new(format!("\"{name}\" is a router"), "name a host or a terminal")
    };
    section.fault(key, value.span(), fault)
}

pub(super) fn flow(section: &Section<'_, '_>, raw: &RawFlow, lab: &Lab) -> Option<LabFlow> {
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
    announced: Option<Announced>,
    path: String,
    span: Range<usize>,
}

pub(super) fn moves(root: &Section<'_, '_>, raw: &[Spanned<RawMove>], lab: &Lab) -> Option<Vec<LabMove>> {
    let planned = root.tables("move", raw, |section, raw| movements(section, raw, lab))?;
    let mut planned: Vec<Planned> = planned.into_iter().flatten().collect();
    if planned.len() > MAX_MOVES {
        let fault =
            Fault::new(format!("{} movements are too many", planned.len()), format!("give at most {MAX_MOVES}"));
        return root.fault("move", planned[MAX_MOVES].span.clone(), fault);
    }
    planned.sort_by_key(|movement| (movement.at, movement.terminal));
    let mut places: Vec<Option<LinkIndex>> = lab.nodes.iter().map(|node| node.start).collect();
    let mut moves = Vec::new();
    for planned in planned {
        let from = places[planned.terminal.0]?;
        let section = Section::new(root.source, planned.path.clone(), planned.span.clone());
        if from == planned.to {
            let what =
                format!("at {} ms the terminal is on \"{}\" already", planned.at.as_millis(), lab.links[from.0].name);
            return section.fault("to", section.span.clone(), Fault::new(what, "name another link"));
        }
        places[planned.terminal.0] = Some(planned.to);
        let Planned { at, terminal, to, mode, announced, .. } = planned;
        moves.push(LabMove { at, terminal, from, to, mode, announced });
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
    let modes =
        [("make_before_break", MoveMode::MakeBeforeBreak), ("break_before_make", MoveMode::BreakBeforeMake { gap })];
    let mode = section.choice("mode", &raw.mode, &modes, MoveMode::MakeBeforeBreak);
    if let (Some(MoveMode::MakeBeforeBreak), Some(value)) = (mode, &raw.break_ms) {
        let fault = Fault::new("a make-before-break movement has no gap", "remove the key, or change the mode");
        section.fault::<()>("break_ms", value.span(), fault);
    }
    let before = section.optional("announce_ms", &raw.announce_ms, |&before| {
        in_range::<u64>(before, 1..=60_000).map(Duration::from_millis)
    });
    let before = before?;
    let announced = match before {
        Some(before) => Some(announcements(section, raw, lab, (terminal, at?, mode?), before, &places)?),
        None => None,
    };
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
    let place = places.iter().enumerate().cycle();
    let planned = (0..count).zip(place).map(|(index, (place, to))| Planned {
        at: at + every.unwrap_or_default() * index as u32,
        terminal,
        to: *to,
        mode,
        announced: announced.as_ref().map(|of_places| of_places[place]),
        path: section.path.clone(),
        span: span.clone(),
    });
    Some(planned.collect())
}

/// What the terminal says before a movement to each of these links; the first is made at this time, in this mode.
fn announcements(
    section: &Section<'_, '_>,
    raw: &RawMove,
    lab: &Lab,
    (terminal, at, mode): (NodeIndex, Duration, MoveMode),
    before: Duration,
    places: &[LinkIndex],
) -> Option<Vec<Announced>> {
    let wrong = |what: String, remedy: &str| {
        section.fault("announce_ms", span_of(section, &raw.announce_ms), Fault::new(what, remedy))
    };
    if mode == MoveMode::MakeBeforeBreak {
        let what = "a make-before-break movement needs no announcement".to_owned();
        return wrong(what, "remove the key, or change the mode");
    }
    if before > at {
        return wrong(format!("{} ms before is before the start", before.as_millis()), "give at_ms or less");
    }
    let terminal = &lab.nodes[terminal.0];
    if !terminal.config.mobile_terminal.as_ref().is_some_and(|config| config.report_moves) {
        let what = format!("the terminal \"{}\" does not say how it moves", terminal.name);
        return wrong(what, "give it mobile_terminal.report_moves = true");
    }
    let router_on = |link: LinkIndex| {
        lab.nodes.iter().find_map(|node| {
            let port = node.port_on(link)?;
            let access = node.config.access_router.as_ref()?;
            access.ports.iter().find(|access| access.port == port)?;
            Some(node.config.port(port).addresses.first()?.address)
        })
    };
    if let Some(link) = places.iter().find(|&&link| router_on(link).is_none()) {
        return wrong(format!("the link \"{}\" has no access router", lab.links[link.0].name), "remove the key");
    }
    places.iter().map(|&link| Some(Announced { before, router: router_on(link)? })).collect()
}

pub(super) fn checks(section: &Section<'_, '_>, raw: &RawChecks, lab: &Lab) -> Option<LabChecks> {
    let count = |key, field| section.number(key, field, 0..=i64::MAX, 0_u64).map(Some);
    let most = |key, field| section.optional(key, field, |&most| in_range::<u64>(most, 0..=i64::MAX));
    let millis = |key, field, longest| {
        section.optional(key, field, |&millis| in_range::<u64>(millis, 0..=longest).map(Duration::from_millis))
    };
    let lost = count("make_before_break_lost_max", &raw.make_before_break_lost_max);
    let duplicated = count("make_before_break_duplicated_max", &raw.make_before_break_duplicated_max);
    let slack = millis("break_before_make_slack_ms", &raw.break_before_make_slack_ms, 60_000);
    let announced_lost = most("announced_lost_max", &raw.announced_lost_max);
    let between_lost = most("inter_site_lost_max", &raw.inter_site_lost_max);
    let between_duplicated = most("inter_site_duplicated_max", &raw.inter_site_duplicated_max);
    let between_slack = millis("inter_site_slack_ms", &raw.inter_site_slack_ms, 60_000);
    let forwarding_ends = millis("forwarding_ends_ms", &raw.forwarding_ends_ms, MAX_RUN_MS);
    let optimised = section.optional("route_optimised_min_percent", &raw.route_optimised_min_percent, |&percent| {
        in_range::<u8>(percent, 0..=100)
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
        flows_survive: section.flag("flows_survive", &raw.flows_survive, true),
        make_before_break_lost_max: lost?,
        make_before_break_duplicated_max: duplicated?,
        break_before_make_slack: slack?,
        announced_lost_max: announced_lost?,
        intra_site_silent: section.flag("intra_site_silent", &raw.intra_site_silent, true),
        bindings_unchanged: section.flag("bindings_unchanged", &raw.bindings_unchanged, true),
        join_prune_links: links?,
        border_silent: section.flag("border_silent", &raw.border_silent, true),
        inter_site_lost_max: between_lost?,
        inter_site_duplicated_max: between_duplicated?,
        inter_site_slack: between_slack?,
        forwarding_ends: forwarding_ends?,
        forwarded_once: section.flag("forwarded_once", &raw.forwarded_once, true),
        route_optimised_min_percent: optimised?,
    })
}
