//! From what was seen to what is reported: a line a handover, a line a flow, and whether what had to hold did.

use super::observe::{FlowSeen, Form, Message, Observations, closing_part, role_of};
use super::paths::{Paths, agent_of};
use super::report::{Check, Flow as FlowLine, Handover, NodeLine, Report, Signalling};
use crate::config::lab::{Endpoint, FlowKind, Lab, LabMove, LinkIndex, MoveMode, NodeIndex};
use core::net::Ipv6Addr;
use stack::addr::Scope;
use stack::host::Flow;
use stack::inspect::{Class, Kind, pim};
use stack::pipeline::DataplaneConfig;
use stack::time::{Duration, Instant};
use stack::wire::mld;
use std::collections::{BTreeMap, BTreeSet};

/// Added to the time that packets are under way, for those that were lost and would have taken longer.
const UNDER_WAY_MARGIN: Duration = Duration::from_millis(20);
/// A flow that is slower has its last part made longer, to hold so many packets: links may lose some.
const CLOSING_PACKETS: u32 = 5;
/// No packet is under way for longer.
const MAX_UNDER_WAY: Duration = Duration::from_millis(500);

/// The report of a run.
pub(crate) fn report(lab: &Lab, backend: &'static str, seed: u64, seen: &Observations) -> Report {
    let mut nodes: Vec<NodeLine> = (0..lab.nodes.len())
        .map(|index| NodeLine { name: lab.nodes[index].name.clone(), role: role_of(lab, NodeIndex(index)) })
        .collect();
    nodes.extend(lab.hosts.iter().map(|host| NodeLine { name: host.name.clone(), role: "host".to_owned() }));
    let paths = Paths::new(lab, &seen.wire);
    let handovers: Vec<Handover> = (0..lab.moves.len()).map(|index| handover(lab, seen, &paths, index)).collect();
    let flows =
        lab.flows.iter().zip(&seen.flows).map(|(flow, seen_flow)| flow_line(lab, seen, flow, seen_flow)).collect();
    let mut report = Report { backend, seed, nodes, handovers, flows, checks: Vec::new() };
    report.checks = checks(lab, seen, &paths, &report);
    report
}

/// Packets a second of a flow that has numbers.
pub(super) fn rate_of(kind: FlowKind) -> Option<u32> {
    match kind {
        FlowKind::Ping { rate_pps, .. } | FlowKind::Udp { rate_pps, .. } => Some(rate_pps),
        FlowKind::Tcp { .. } => None,
    }
}

fn kind_name(kind: FlowKind) -> &'static str {
    match kind {
        FlowKind::Ping { .. } => "ping",
        FlowKind::Udp { .. } => "udp",
        FlowKind::Tcp { .. } => "tcp",
    }
}

/// The datagrams that tell how a terminal fares: the fastest flow with numbers towards it.
fn witness<'a>(lab: &Lab, seen: &'a Observations, terminal: NodeIndex) -> Option<(&'a Flow, u32)> {
    let index = witness_index(lab, seen, terminal)?;
    match &seen.flows[index] {
        FlowSeen::Packets(packets) => Some((packets, rate_of(lab.flows[index].kind)?)),
        FlowSeen::Transfer { .. } => None,
    }
}

/// Which flow [`witness`] is, in the lab's order.
pub(super) fn witness_index(lab: &Lab, seen: &Observations, terminal: NodeIndex) -> Option<usize> {
    let flows = lab.flows.iter().zip(&seen.flows).enumerate();
    let numbered = flows.filter_map(|(index, (flow, seen))| match seen {
        FlowSeen::Packets(_) if flow.to == Endpoint::Node(terminal) => Some((index, rate_of(flow.kind)?)),
        FlowSeen::Packets(_) | FlowSeen::Transfer { .. } => None,
    });
    numbered.max_by_key(|&(_, rate)| rate).map(|(index, _)| index)
}

/// The time that is counted with a movement: from it to the same terminal's next one.
pub(super) fn span(lab: &Lab, seen: &Observations, index: usize) -> (Instant, Instant) {
    let terminal = lab.moves[index].terminal;
    let next = (index + 1..lab.moves.len()).find(|&later| lab.moves[later].terminal == terminal);
    (seen.moves[index].at, next.map_or(seen.ended + MAX_UNDER_WAY, |next| seen.moves[next].at))
}

/// When the packets were sent that are counted with a movement: those that were under way when it was made, and all
/// later ones but those that were under way at the next.
pub(super) fn sent_span(lab: &Lab, seen: &Observations, index: usize, flow: &Flow) -> (Instant, Instant) {
    let (from, until) = span(lab, seen, index);
    let lead = under_way(flow);
    let earlier = |at: Instant| Instant::ORIGIN + at.since(Instant::ORIGIN).saturating_sub(lead);
    (earlier(from), earlier(until))
}

/// How long packets of a flow are under way, but for one in a hundred that was held up.
fn under_way(flow: &Flow) -> Duration {
    let sent: BTreeMap<u64, Instant> = flow.all_sent().iter().map(|sample| (sample.sequence, sample.at)).collect();
    let delays = flow.all_received().iter().filter_map(|got| Some(got.at.since(*sent.get(&got.sequence)?)));
    let mut delays: Vec<Duration> = delays.collect();
    delays.sort_unstable();
    let usual = delays.get(delays.len() * 99 / 100).copied().unwrap_or_default();
    (usual + UNDER_WAY_MARGIN).min(MAX_UNDER_WAY)
}

fn handover(lab: &Lab, seen: &Observations, paths: &Paths<'_>, index: usize) -> Handover {
    let movement = &lab.moves[index];
    let at = seen.moves[index].at;
    let (from, until) = span(lab, seen, index);
    let (mut summary, mut interruption) = (Default::default(), Duration::ZERO);
    if let Some((flow, rate)) = witness(lab, seen, movement.terminal) {
        let (first, last) = sent_span(lab, seen, index, flow);
        summary = flow.summary_between(first, last);
        // A silence that begins with the next movement is that one's.
        let window = until.since(at).saturating_sub(UNDER_WAY_MARGIN);
        interruption = flow.interruption(at, window, Duration::from_secs(1) / rate);
    }
    let stages = seen.stages.iter().filter(|stage| stage.terminal == movement.terminal);
    let mut stages_us = BTreeMap::new();
    for stage in stages.filter(|stage| stage.at >= at && stage.at < until) {
        stages_us.entry(stage.stage).or_insert(micros(stage.at.since(at)));
    }
    Handover {
        at_us: micros(at.since(seen.started)),
        terminal: lab.nodes[movement.terminal.0].name.clone(),
        kind: lab.kind_of(movement),
        from: lab.links[movement.from.0].name.clone(),
        to: lab.links[movement.to.0].name.clone(),
        make_before_break: movement.mode == MoveMode::MakeBeforeBreak,
        interruption_us: micros(interruption),
        sent: summary.sent,
        lost: summary.lost,
        duplicated: summary.duplicated,
        reordered: summary.reordered,
        forwarded: paths.forwarded(from, until),
        route_optimised_percent: paths.optimised_percent(movement.terminal, from + until.since(from) / 2, until),
        signalling: signalling(lab, movement, seen.wire.between(from, until)),
        stages_us,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn signalling<'a>(lab: &Lab, movement: &LabMove, messages: impl Iterator<Item = &'a Message>) -> Signalling {
    let mut count = Signalling::default();
    let radios: BTreeSet<LinkIndex> = lab.nodes[movement.terminal.0].links.iter().flatten().copied().collect();
    let site = lab.links[movement.to.0].site.as_deref();
    let mmas: BTreeSet<Ipv6Addr> =
        lab.nodes.iter().filter_map(|node| Some(node.config.mma.as_ref()?.address)).collect();
    let agents: BTreeSet<Ipv6Addr> =
        lab.nodes.iter().filter_map(|node| Some(node.config.home_agent.as_ref()?.address)).collect();
    // The agents that an address belongs to, by their links.
    let agent_links = |end: &Ipv6Addr| {
        let by_care_of = agent_of(lab, *end);
        let by_address = lab.nodes.iter().position(|node| {
            let config = &node.config;
            config.mma.as_ref().is_some_and(|mma| mma.address == *end)
                || config.home_agent.as_ref().is_some_and(|agent| agent.address == *end)
        });
        by_care_of.or(by_address.map(NodeIndex)).map(|node| &lab.nodes[node.0].links)
    };
    for message in messages {
        let report = is_report(message);
        let join_prune = matches!(message.what.kind, Kind::Pim(pim::Message::JoinPrune(_)));
        let mobility = message.what.class() == Class::Mobility;
        if (report || join_prune || mobility) && lab.links[message.link.0].site.as_deref() != site {
            count.outside_site += 1;
        }
        count.pim += u64::from(join_prune);
        if mobility && let Some(outer) = message.what.outer() {
            let ends = [outer.header.source, outer.header.destination];
            let at_its_end = |links: &Vec<Option<LinkIndex>>| links.contains(&Some(message.link));
            count.at_agents += u64::from(ends.iter().filter_map(agent_links).any(at_its_end));
        }
        if !radios.contains(&message.link) {
            continue;
        }
        count.mld += u64::from(report);
        if mobility && let Some(outer) = message.what.outer() {
            let ends = [outer.header.source, outer.header.destination];
            if ends.iter().any(|end| mmas.contains(end)) {
                count.mobility_to_mma += 1;
            } else if ends.iter().any(|end| agents.contains(end)) {
                count.mobility_to_home_agent += 1;
            } else {
                count.mobility_to_correspondent += 1;
            }
        }
    }
    count
}

fn flow_line(lab: &Lab, seen: &Observations, flow: &crate::config::lab::LabFlow, what: &FlowSeen) -> FlowLine {
    let (name, kind) = (flow.name.clone(), kind_name(flow.kind));
    match what {
        FlowSeen::Transfer { sent, received, survived } => FlowLine {
            name,
            kind,
            sent: *sent,
            received: *received,
            lost: sent.saturating_sub(*received),
            duplicated: 0,
            survived: *survived,
        },
        FlowSeen::Packets(packets) => {
            let all = packets.summary();
            FlowLine {
                name,
                kind,
                sent: all.sent,
                received: all.received,
                lost: all.lost,
                duplicated: all.duplicated,
                survived: is_alive_at_end(lab, seen, rate_of(flow.kind), packets),
            }
        }
    }
}

/// Whether packets arrived of those that were sent in the last part of the run, and after the last movement where that is
/// later: where links lose, some of them; otherwise half of them at least.
fn is_alive_at_end(lab: &Lab, seen: &Observations, rate: Option<u32>, packets: &Flow) -> bool {
    let last_move = lab.moves.iter().zip(&seen.moves).next_back().map_or(seen.started, |(movement, made)| {
        made.at
            + match movement.mode {
                MoveMode::BreakBeforeMake { gap } => gap,
                MoveMode::MakeBeforeBreak => Duration::ZERO,
            }
    });
    let few = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * CLOSING_PACKETS / rate);
    let part = closing_part(lab).max(few).min(seen.ended.since(seen.started));
    let begin = seen.started + (seen.ended.since(seen.started) - part);
    // Programs that started late end late.
    let closing = packets.summary_between(begin.max(last_move), Instant::from_nanos(u64::MAX));
    let loses = lab.links.iter().any(|link| link.loss_ppm > 0);
    closing.received > 0 && (loses || closing.received * 2 >= closing.sent)
}

fn checks(lab: &Lab, seen: &Observations, paths: &Paths<'_>, report: &Report) -> Vec<Check> {
    let wanted = &lab.checks;
    let mut checks = seen.findings.clone();
    let mut check = |name: &str, ok: bool, detail: String| checks.push(Check { name: name.to_owned(), ok, detail });
    let within_site: Vec<(usize, &Handover)> =
        report.handovers.iter().enumerate().filter(|(_, handover)| handover.kind == "intra-site").collect();
    let between_sites: Vec<(usize, &Handover)> =
        report.handovers.iter().enumerate().filter(|(_, handover)| handover.kind != "intra-site").collect();

    check(
        "frames on the wire hold",
        seen.wire.malformed().is_empty() && seen.wire.frames() > 0,
        match seen.wire.malformed().first() {
            None => format!("{} captured, none malformed", seen.wire.frames()),
            Some(first) => format!(
                "{} of {} malformed, the first on {}: {:?}",
                seen.wire.malformed().len(),
                seen.wire.frames(),
                lab.links[first.link.0].name,
                first.what.kind
            ),
        },
    );
    if wanted.flows_survive {
        let dead: Vec<&str> = report.flows.iter().filter(|f| !f.survived).map(|f| f.name.as_str()).collect();
        let detail =
            if dead.is_empty() { format!("all {}", report.flows.len()) } else { format!("not {}", dead.join(", ")) };
        check("flows survive", dead.is_empty(), detail);
    }
    type Count = fn(&Handover) -> u64;
    let (lost, duplicated): (Count, Count) = (|h| h.lost, |h| h.duplicated);
    for (name, handovers, most, count) in [
        ("make before break loses nothing", &within_site, wanted.make_before_break_lost_max, lost),
        ("make before break delivers nothing twice", &within_site, wanted.make_before_break_duplicated_max, duplicated),
        ("make before break between sites loses nothing", &between_sites, wanted.inter_site_lost_max, lost),
        (
            "make before break between sites delivers nothing twice",
            &between_sites,
            wanted.inter_site_duplicated_max,
            duplicated,
        ),
    ] {
        let Some(most) = most else { continue };
        let made_first = handovers.iter().filter(|(_, handover)| handover.make_before_break);
        let worst = made_first.clone().map(|(_, handover)| count(handover)).max().unwrap_or(0);
        check(name, worst <= most, format!("worst of {} movements: {worst}, allowed {most}", made_first.count()));
    }
    for (name, handovers, slack) in [
        ("break before make loses what flew during the break", &within_site, wanted.break_before_make_slack),
        ("break before make between sites loses what flew during the break", &between_sites, wanted.inter_site_slack),
    ] {
        let Some(slack) = slack else { continue };
        let (mut worst, mut longest) = (Duration::ZERO, Duration::ZERO);
        let mut scattered = 0;
        for &(index, handover) in handovers {
            let MoveMode::BreakBeforeMake { .. } = lab.moves[index].mode else { continue };
            let gap = seen.moves[index].without_link;
            longest = longest.max(gap);
            worst = worst.max(Duration::from_micros(handover.interruption_us).saturating_sub(gap));
            scattered += lost_elsewhere(lab, seen, index, gap + slack);
        }
        check(
            name,
            worst <= slack && scattered == 0,
            format!(
                "longest interruption beyond the break {:.1} ms, allowed {:.1} ms; longest break {:.1} ms; \
                 {scattered} packets lost outside it",
                worst.as_secs_f64() * 1e3,
                slack.as_secs_f64() * 1e3,
                longest.as_secs_f64() * 1e3
            ),
        );
    }
    if let Some(most) = wanted.announced_lost_max {
        let announced = within_site.iter().filter(|&&(index, _)| lab.moves[index].announced.is_some());
        // Of what comes in a longer break the next router has given the first packets up.
        let is_short = |index: usize| seen.moves[index].without_link <= DataplaneConfig::default().hold_time * 3 / 4;
        let (short, long): (Vec<_>, Vec<_>) = announced.partition(|&&(index, _)| is_short(index));
        let worst = short.iter().map(|(_, handover)| handover.lost + handover.duplicated).max().unwrap_or(0);
        check(
            "an announced movement loses and doubles nothing",
            worst <= most,
            format!(
                "worst of {} movements: {worst}, allowed {most}; {} more whose break was longer than packets are held",
                short.len(),
                long.len()
            ),
        );
    }
    if wanted.intra_site_silent {
        let loud: u64 = within_site.iter().map(|(_, handover)| beyond_the_site(&handover.signalling)).sum();
        let detail =
            format!("{loud} messages to agents, correspondents or out of the site in {} movements", within_site.len());
        check("movements within a site are silent outside it", loud == 0, detail);
    }
    if wanted.bindings_unchanged {
        let changed =
            within_site.iter().filter(|&&(index, _)| seen.bindings.get(index) != seen.bindings.get(index + 1));
        let changed = changed.count();
        let entries: usize = seen.bindings.iter().map(|tables| tables.values().map(entries).sum()).max().unwrap_or(0);
        check(
            "movements within a site leave the bindings as they were",
            changed == 0 && entries > 0 && seen.bindings.len() == lab.moves.len() + 1,
            format!("{changed} of {} movements changed one of up to {entries} entries", within_site.len()),
        );
    }
    if let Some(allowed) = &wanted.join_prune_links {
        let mut elsewhere = BTreeMap::<&str, u64>::new();
        for &(index, _) in &within_site {
            let (from, until) = span(lab, seen, index);
            let messages = seen.wire.between(from, until);
            for message in messages.filter(|m| matches!(m.what.kind, Kind::Pim(pim::Message::JoinPrune(_)))) {
                if !allowed.contains(&message.link) {
                    *elsewhere.entry(lab.links[message.link.0].name.as_str()).or_default() += 1;
                }
            }
        }
        check(
            "joins and prunes end at the crossover router",
            elsewhere.is_empty(),
            if elsewhere.is_empty() { "none beyond it".to_owned() } else { format!("beyond it: {elsewhere:?}") },
        );
    }
    if wanted.border_silent {
        let mut loud = 0;
        let mut new = Vec::new();
        for &(index, _) in &within_site {
            let site = lab.links[lab.moves[index].to.0].site.as_deref();
            let (from, until) = span(lab, seen, index);
            let outside = |message: &&Message| lab.links[message.link.0].site.as_deref() != site;
            loud += seen.wire.between(from, until).filter(outside).filter(|m| is_signalling(m)).count();
            let before = if index == 0 { seen.started } else { seen.moves[index - 1].at };
            new.extend(paths.new_outside(site, before, from, until));
        }
        let described = |(link, form): &(LinkIndex, Form)| {
            format!("{} > {} on {}", form.outer.0, form.outer.1, lab.links[link.0].name)
        };
        check(
            "movements within a site change nothing at its border",
            loud == 0 && new.is_empty(),
            match new.first() {
                None => format!("{loud} messages, no new header in {} movements", within_site.len()),
                Some(first) => format!("{loud} messages, {} new headers, such as {}", new.len(), described(first)),
            },
        );
    }
    if wanted.forwarded_once {
        let twice = paths.forwarded_twice();
        check("no packet is forwarded twice", twice == 0, format!("{twice} packets"));
    }
    if let Some(most) = wanted.forwarding_ends {
        let lasts = |&(index, _): &(usize, &Handover)| {
            let (from, until) = span(lab, seen, index);
            paths.forwarding_lasts(from, until)
        };
        let longest = between_sites.iter().map(lasts).max().unwrap_or_default();
        check(
            "forwarding ends",
            longest <= most,
            format!(
                "the last packet {:.3} s after a movement, allowed {:.3} s",
                longest.as_secs_f64(),
                most.as_secs_f64()
            ),
        );
    }
    if let Some(least) = wanted.route_optimised_min_percent {
        let away = between_sites.iter().filter(|(_, handover)| handover.kind != "home");
        let percents: Vec<u8> = away.filter_map(|(_, handover)| handover.route_optimised_percent).collect();
        let worst = percents.iter().min().copied();
        check(
            "correspondents send straight to the care-of address",
            worst.is_some_and(|worst| worst >= least),
            format!("least of {} movements: {} %, wanted {least} %", percents.len(), worst.unwrap_or(0)),
        );
    }
    checks
}

/// Whether it is an MLD report of a group that reaches beyond the link. Of the others only the link's own switches hear.
fn is_report(message: &Message) -> bool {
    let Kind::Mld(mld::Message::Report(report)) = &message.what.kind else { return false };
    report.records.iter().any(|record| Scope::of(record.group).is_some_and(|scope| scope > Scope::LINK_LOCAL))
}

/// Whether it is an MLD report, a PIM Join/Prune or a Mobility Header message.
fn is_signalling(message: &Message) -> bool {
    let join_prune = matches!(message.what.kind, Kind::Pim(pim::Message::JoinPrune(_)));
    is_report(message) || join_prune || message.what.class() == Class::Mobility
}

fn beyond_the_site(count: &Signalling) -> u64 {
    count.mobility_to_mma + count.mobility_to_home_agent + count.mobility_to_correspondent + count.outside_site
}

fn entries(table: &serde_json::Value) -> usize {
    table.as_array().map_or(0, Vec::len)
}

/// Packets of the movement's time that were lost although they were not sent in the break, which with its
/// consequences lasted `length`.
fn lost_elsewhere(lab: &Lab, seen: &Observations, index: usize, length: Duration) -> u64 {
    let Some((flow, _)) = witness(lab, seen, lab.moves[index].terminal) else { return 0 };
    let (from, until) = sent_span(lab, seen, index, flow);
    let after = seen.moves[index].at + length;
    let all = flow.summary_between(from, until).lost;
    all - flow.summary_between(from, after.min(until)).lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lab::load_lab;
    use crate::lab::observe::{MoveSeen, Wire};
    use stack::host::flow::Sample;
    use std::path::Path;

    /// What was seen of a run of a lab in which nothing but one flow is looked at.
    fn seen(lab: &Lab) -> Observations {
        let started = Instant::ORIGIN + lab.settle;
        Observations {
            started,
            ended: started + lab.duration,
            moves: lab.moves.iter().map(|movement| MoveSeen::new(started + movement.at)).collect(),
            flows: Vec::new(),
            wire: Wire::default(),
            bindings: Vec::new(),
            stages: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// A packet every `interval` for the whole run; those arrive that `arrives` says, 5 ms later.
    fn flow(seen: &Observations, interval: Duration, arrives: impl Fn(Instant) -> bool) -> Flow {
        let times = (0..).map(|number| seen.started + interval * number).take_while(|&at| at < seen.ended);
        let sent: Vec<Sample> = times.zip(0..).map(|(at, sequence)| Sample { at, sequence }).collect();
        let arrived = sent.iter().filter(|sample| arrives(sample.at));
        let received = arrived.map(|sample| Sample { at: sample.at + Duration::from_millis(5), ..*sample });
        Flow::new(sent.clone(), received.collect::<Vec<_>>())
    }

    #[test]
    fn a_flow_survives_that_is_alive_at_its_end() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/lab/fig6.toml");
        let mut lab = load_lab(&file).expect("a shipped lab");
        for rate in [1_000, 20, 4] {
            let seen = seen(&lab);
            let last_move = seen.moves.last().expect("it moves").at;
            let interval = Duration::from_secs(1) / rate;
            let survives = |lab: &Lab, arrives: &dyn Fn(Instant) -> bool| {
                is_alive_at_end(lab, &seen, Some(rate), &flow(&seen, interval, arrives))
            };
            assert!(survives(&lab, &|_| true), "{rate}");
            assert!(!survives(&lab, &|_| false), "{rate}");
            // What came before is of no account, nor what came when the terminal had moved and then stopped.
            assert!(survives(&lab, &|at| at > last_move), "{rate}");
            assert!(!survives(&lab, &|at| at < last_move + interval + Duration::from_millis(10)), "{rate}");
            // Links that lose let some pass.
            let end = seen.ended;
            let few = |at: Instant| at < last_move || end.since(at) < interval * 2;
            assert!(!survives(&lab, &few), "{rate}");
            lab.links[0].loss_ppm = 1;
            assert!(survives(&lab, &few), "{rate}");
            lab.links[0].loss_ppm = 0;
            // A program that has stopped sends nothing that could arrive.
            let stopped = flow(&seen, interval, |_| true);
            let half = seen.started + lab.duration / 2;
            let stopped = Flow::new(
                stopped.all_sent().iter().copied().filter(|sample| sample.at < half),
                stopped.all_received().iter().copied().filter(|sample| sample.at < half),
            );
            assert!(!is_alive_at_end(&lab, &seen, Some(rate), &stopped), "{rate}");
        }
    }
}
