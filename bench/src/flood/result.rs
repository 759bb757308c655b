//! Results of floods.

use super::kind::Kind;
use crate::chart::{Axis, Chart, Curve, Scale};
use crate::report::Line;
use serde::Serialize;

const RATE: Axis = Axis { label: "frames a second", scale: Scale::Logarithmic };
const SLOWER: Axis = Axis { label: "per cent", scale: Scale::Linear };

/// When a flood is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// From its first frame on: nothing has been refused yet
    Begins,
    /// When it has gone on for so long that limits hold it
    GoesOn,
}

impl Phase {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Phase::Begins => "begins",
            Phase::GoesOn => "goes-on",
        }
    }
}

/// Figures beside those that every benchmark has. A packet is one of the stream.
#[derive(Serialize)]
pub(crate) struct More {
    pub(crate) kind: Kind,
    pub(crate) phase: Phase,
    /// Frames of the flood a second.
    pub(crate) rate: u32,
    /// Nanoseconds of a packet of the stream without the flood, the median.
    pub(crate) calm_ns_per_packet: f64,
    /// By how much longer a packet takes: the median over pairs of sections.
    pub(crate) slower: f64,
    /// Frames of the flood that the router received, and that found the port's ring full.
    pub(crate) flood_frames: u64,
    pub(crate) not_taken: u64,
    /// (S,G) and (*,G) entries, groups of MLD on all ports, and PIM neighbours at the end.
    pub(crate) trees: u64,
    pub(crate) groups_listened_to: u64,
    pub(crate) neighbors: u64,
    /// What was refused in this phase, by counter, most first.
    pub(crate) refused: Vec<(String, u64)>,
}

/// The table of a page.
pub(crate) fn charts(lines: &[Line<More>]) -> Vec<Chart> {
    let heads =
        vec!["flood", "a second", "phase", "calm ns", "ns", "slower %", "trees", "groups", "neighbours", "refused"];
    let mut curves: Vec<Curve> = Vec::new();
    for line in lines.iter().filter(|line| line.more.phase == Phase::GoesOn) {
        let (name, point) = (line.more.kind.name(), (f64::from(line.more.rate), (line.more.slower * 100.0).max(0.0)));
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name, points: vec![point] }),
        }
    }
    let mut charts = Chart::curves("How much longer a packet takes while a flood goes on", RATE, SLOWER, curves);
    charts.push(Chart::table(
        "What a packet of the stream takes during a flood",
        heads,
        lines.iter().map(row).collect(),
    ));
    charts
}

/// The cells of a result.
pub(crate) fn row(line: &Line<More>) -> Vec<String> {
    let more = &line.more;
    let refused = more.refused.first().map_or("-".to_owned(), |(name, count)| format!("{name} {count}"));
    vec![
        more.kind.name(),
        more.rate.to_string(),
        more.phase.name().to_owned(),
        format!("{:.1}", more.calm_ns_per_packet),
        format!("{:.1}", line.ns_per_packet.median),
        format!("{:.1}", more.slower * 100.0),
        more.trees.to_string(),
        more.groups_listened_to.to_string(),
        more.neighbors.to_string(),
        refused,
    ]
}
