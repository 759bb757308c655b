//! What a run looks like: what follows what, how long each stage takes, what comes of movements, and what they send.

use super::lab::LabMore;
use super::message::Signalling;
use super::result::{More, StageMore};
use crate::chart::{Axis, Chart, Curve, Row, Scale};
use crate::report::Line;

const QUANTILE: Axis = Axis { label: "quantile of movements", scale: Scale::Quantile };
const MICROS: Axis = Axis { label: "microseconds", scale: Scale::Logarithmic };
const INTERRUPTION: Axis = Axis { label: "interruption, milliseconds", scale: Scale::Linear };
const DISTANCE: Axis = Axis { label: "delay of a link between sites, milliseconds", scale: Scale::Linear };

/// The drawings and tables of these results.
pub(crate) fn charts(lines: &[Line<More>]) -> Vec<Chart> {
    let mut charts = site_charts(lines);
    charts.extend(lab_charts(lines));
    charts
}

fn site_charts(lines: &[Line<More>]) -> Vec<Chart> {
    let stage = |line: &Line<More>| if let More::Stage(stage) = &line.more { Some(stage.clone()) } else { None };
    let stages: Vec<StageMore> = lines.iter().filter_map(stage).collect();
    let mut charts = Vec::new();
    let rows: Vec<Row> = ["moves", "arrivals"].into_iter().filter_map(|scenario| row(&stages, scenario)).collect();
    if !rows.is_empty() {
        charts.push(Chart::timeline("Stages one after the other, medians, links without length", rows));
    }
    let mut scenarios: Vec<&str> = stages.iter().map(|stage| stage.scenario).collect();
    scenarios.dedup();
    for scenario in scenarios {
        let of_it = stages.iter().filter(|stage| stage.scenario == scenario);
        let curve = |stage: &StageMore| Curve {
            name: stage.stage.to_owned(),
            points: stage.ns_curve.iter().map(|&(quantile, nanos)| (quantile, nanos as f64 / 1e3)).collect(),
        };
        charts.extend(Chart::curves(&format!("Latency: {scenario}"), QUANTILE, MICROS, of_it.map(curve).collect()));
    }
    let (heads, rows) = outcomes(lines);
    if !rows.is_empty() {
        charts.push(Chart::table("What came of movements", heads, rows));
    }
    let (heads, rows) = loads(lines);
    if !rows.is_empty() {
        charts.push(Chart::table("Load and signalling of the routers", heads, rows));
    }
    charts
}

/// The stages of one scenario: up to the router where the branch begins, and the packet's way down.
fn row(stages: &[StageMore], scenario: &str) -> Option<Row> {
    let median = |name: &str| {
        let stage = stages.iter().find(|stage| (stage.scenario, stage.stage) == (scenario, name));
        stage.map(|stage| (name.to_owned(), stage.ns.p50 as f64 / 1e3))
    };
    let (tree, packet) = (median("tree")?, median("first-packet")?);
    let up = ["access", "crossover", "core", "root"].into_iter().filter_map(median);
    let down = ("packet".to_owned(), (packet.1 - tree.1).max(0.0));
    Some(Row { name: scenario.to_owned(), stages: up.chain([down]).collect() })
}

/// Heads of a table, and its rows.
pub(super) type Table = (Vec<&'static str>, Vec<Vec<String>>);

/// What each router's core took for a movement, and what it sent and was sent.
pub(super) fn loads(lines: &[Line<More>]) -> Table {
    let heads = vec![
        "router",
        "us a movement",
        "busy %",
        "waiting",
        "reports",
        "queries",
        "mld octets",
        "join/prunes",
        "octets",
        "joins",
        "prunes",
    ];
    let row = |line: &Line<More>| {
        let (busy, waiting, counts) = match &line.more {
            More::Router(router) => (router.busy, Some(router.waiting_max), router.signalling),
            More::Site(site) => (None, None, site.signalling),
            More::Stage(_) | More::Lab(_) => return None,
        };
        let Signalling { reports, report_octets, queries, query_octets, .. } = counts;
        Some(vec![
            line.path.clone(),
            format!("{:.2}", line.ns_per_packet.median / 1e3),
            busy.map_or("-".to_owned(), |busy| format!("{:.2}", busy * 100.0)),
            waiting.map_or("-".to_owned(), |waiting| waiting.to_string()),
            reports.to_string(),
            queries.to_string(),
            (report_octets + query_octets).to_string(),
            counts.join_prunes.to_string(),
            counts.join_prune_octets.to_string(),
            counts.joins.to_string(),
            counts.prunes.to_string(),
        ])
    };
    (heads, lines.iter().filter_map(row).collect())
}

/// What came of the movements of each scenario.
pub(super) fn outcomes(lines: &[Line<More>]) -> Table {
    let heads = vec![
        "scenario",
        "movements",
        "ended",
        "lost",
        "streamed",
        "received",
        "copies",
        "routes checked",
        "wrong",
        "drops",
    ];
    let row = |line: &Line<More>| {
        let More::Site(site) = &line.more else { return None };
        let counts = [
            site.movements,
            site.ended,
            site.lost,
            site.streamed,
            site.received,
            site.copies,
            site.routes_checked,
            site.routes_wrong,
            site.drops,
        ];
        Some([site.scenario.to_owned()].into_iter().chain(counts.map(|count| count.to_string())).collect())
    };
    (heads, lines.iter().filter_map(row).collect())
}

/// What terminals saw of movements in the lab, and what was sent for one.
pub(super) fn labs(lines: &[Line<More>]) -> Table {
    let heads = vec![
        "movement",
        "order",
        "mode",
        "outside ms",
        "movements",
        "p50 ms",
        "p99 ms",
        "max ms",
        "lost",
        "dup",
        "reord",
        "forw",
        "mld",
        "pim",
        "to mma",
        "to ha",
        "to cn",
        "agents",
        "outside",
    ];
    let row = |lab: &LabMore| {
        let each = |count: u64| format!("{:.2}", count as f64 / lab.movements as f64);
        let count = &lab.signalling;
        let mut row = vec![
            lab.kind.to_owned(),
            lab.order.to_owned(),
            lab.mode.clone(),
            lab.outside_ms.map_or("-".to_owned(), |delay| delay.to_string()),
            lab.movements.to_string(),
        ];
        row.extend([lab.ns.p50, lab.ns.p99, lab.ns.max].map(|nanos| format!("{:.1}", nanos as f64 / 1e6)));
        row.extend([lab.lost, lab.duplicated, lab.reordered, lab.forwarded].map(each));
        row.extend([count.mld, count.pim, count.mobility_to_mma, count.mobility_to_home_agent].map(each));
        row.extend([count.mobility_to_correspondent, count.at_agents, count.outside_site].map(each));
        row
    };
    (heads, of_labs(lines).map(row).collect())
}

fn of_labs(lines: &[Line<More>]) -> impl Iterator<Item = &LabMore> {
    lines.iter().filter_map(|line| if let More::Lab(lab) = &line.more { Some(lab) } else { None })
}

fn lab_charts(lines: &[Line<More>]) -> Vec<Chart> {
    let mut charts = Vec::new();
    let mut groups: Vec<(&str, &str)> = of_labs(lines).map(|lab| (lab.kind, lab.order)).collect();
    groups.sort_unstable();
    groups.dedup();
    for (kind, order) in groups {
        let of_it = || of_labs(lines).filter(|lab| (lab.kind, lab.order) == (kind, order));
        let near = of_it().filter(|lab| lab.outside_ms.is_none());
        let curve = |lab: &LabMore| Curve {
            name: lab.mode.clone(),
            points: lab.ns_curve.iter().map(|&(quantile, nanos)| (quantile, nanos as f64 / 1e6)).collect(),
        };
        let title = format!("Interruption: {kind}, {order}");
        charts.extend(Chart::curves(&title, QUANTILE, INTERRUPTION, near.map(curve).collect()));
        let mut modes: Vec<&str> = of_it().map(|lab| lab.mode.as_str()).collect();
        modes.sort_unstable();
        modes.dedup();
        let curves: Vec<Curve> = modes
            .into_iter()
            .map(|mode| {
                let far = of_it().filter(|lab| lab.mode == mode);
                let point = |lab: &LabMore| Some((f64::from(lab.outside_ms?), lab.ns.p50 as f64 / 1e6));
                Curve { name: mode.to_owned(), points: far.filter_map(point).collect() }
            })
            .collect();
        let title = format!("Median interruption by distance: {kind}, {order}");
        charts.extend(Chart::curves(&title, DISTANCE, INTERRUPTION, curves));
    }
    let (heads, rows) = labs(lines);
    if !rows.is_empty() {
        charts.push(Chart::table("What terminals see; packets and messages of a movement", heads, rows));
    }
    charts
}
