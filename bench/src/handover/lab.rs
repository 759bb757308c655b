//! Movements within and between whole sites as a terminal sees them, by the lab's simulation and its judge: interruption,
//! loss, duplicates and signalling, under every mode of the lab file, run again with other seeds and other distances.
//!
//! The lab's clock is a virtual one on which nodes take no time, so that what is seen here is the protocols' and the links'
//! and does not depend on the machine. Every run has its movements at other moments, the same ones for all modes.

use super::result::More;
use crate::progress::Progress;
use crate::report::Line;
use crate::statistics::{Percentiles, Spread};
use anyhow::{Context, Result};
use drover::config::lab::{Lab, MoveMode, load_lab};
use drover::lab::report::{Handover, Signalling};
use drover::lab::{self, Backend};
use serde::Serialize;
use stack::rng::Rng;
use stack::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A movement is made later than the file says by up to this, or up to a quarter of the time to the next if that is less:
/// as often as not between two packets, and at any time between two advertisements.
const SHIFT: Duration = Duration::from_millis(200);
const KINDS: [&str; 3] = ["intra-site", "inter-site", "home"];
/// Quantiles of a curve.
const CURVE: [f64; 9] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0];

/// What movements of one kind, in one order, mode and distance, cost a terminal. A packet is a movement; nanoseconds are
/// those of the interruption, by the lab's clock.
#[derive(Serialize)]
pub(crate) struct LabMore {
    pub(crate) kind: &'static str,
    /// `make-first` or `break-first`: whether the new link is made or the old one breaks first.
    pub(crate) order: &'static str,
    pub(crate) mode: String,
    /// One-way delay of the links outside of all sites, milliseconds; null where it is the file's.
    pub(crate) outside_ms: Option<u32>,
    pub(crate) runs: u32,
    pub(crate) movements: u64,
    /// The longest time without link in the script.
    pub(crate) without_link_ns: u64,
    pub(crate) ns: Percentiles,
    /// The same by quantile.
    pub(crate) ns_curve: Vec<(f64, u64)>,
    /// Packets of the fastest stream with constant rate, all movements together.
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Packets that the agent of a site that was left sent on.
    pub(crate) forwarded: u64,
    /// Messages of all movements together.
    pub(crate) signalling: Signalling,
    /// When a stage was reached after a movement began, and how many reached it.
    pub(crate) stages: BTreeMap<&'static str, StageReached>,
}

/// When a stage of a handover was reached.
#[derive(Serialize)]
pub(crate) struct StageReached {
    pub(crate) movements: usize,
    pub(crate) ns: Spread,
}

/// What the labs said.
pub(crate) struct Labs {
    pub(crate) lines: Vec<Line<More>>,
    /// Checks of the lab file that did not hold, with mode and seed.
    pub(crate) failed: Vec<String>,
}

/// A lab file, ready to be run.
pub(crate) struct Plan {
    modes: Vec<(String, Lab)>,
    runs: u32,
    outside_ms: Vec<Option<u32>>,
}

impl Plan {
    /// Reads the lab file; it is run so many times in every mode at every distance.
    pub(crate) fn new(file: &Path, runs: u32, outside_ms: &[u32]) -> Result<Self> {
        let lab = load_lab(file).map_err(anyhow::Error::new).with_context(|| {
            format!("no lab to be had from {}; name one with --lab, or leave it out with --parts", file.display())
        })?;
        let modes = if lab.modes.is_empty() { vec![(lab.name.clone(), lab)] } else { lab.modes };
        let distances = core::iter::once(None).chain(outside_ms.iter().copied().map(Some));
        Ok(Plan { modes, runs, outside_ms: distances.collect() })
    }

    /// How many runs that are.
    pub(crate) fn steps(&self) -> u64 {
        self.modes.len() as u64 * u64::from(self.runs) * self.outside_ms.len() as u64
    }

    /// Runs everything.
    pub(crate) fn run(&self, progress: &Progress) -> Result<Labs> {
        let mut labs = Labs { lines: Vec::new(), failed: Vec::new() };
        for &outside_ms in &self.outside_ms {
            for (mode, lab) in &self.modes {
                progress.begin(|| match outside_ms {
                    None => format!("lab, {mode}"),
                    Some(delay) => format!("lab, {mode}, {delay} ms between sites"),
                });
                let mut handovers = Vec::new();
                for seed in 1..=u64::from(self.runs) {
                    let lab = variant(lab, seed, outside_ms);
                    let report = lab::run(&lab, Backend::Sim, seed, None, &AtomicBool::new(false))?;
                    let failed = report.checks.iter().filter(|check| !check.ok);
                    labs.failed.extend(failed.map(|check| {
                        let distance = outside_ms.map_or(String::new(), |delay| format!(" at {delay} ms"));
                        format!("{mode}{distance}, seed {seed}: {}: {}", check.name, check.detail)
                    }));
                    let breaks = lab.moves.iter().map(|movement| match movement.mode {
                        MoveMode::BreakBeforeMake { gap } => gap,
                        MoveMode::MakeBeforeBreak => Duration::ZERO,
                    });
                    handovers.extend(report.handovers.into_iter().zip(breaks));
                    progress.step();
                }
                let group = Group { mode, outside_ms, runs: self.runs, terminals: lab.terminals().count() as u64 };
                labs.lines.extend(group.lines(&handovers));
            }
        }
        Ok(labs)
    }
}

/// The lab with its movements at other moments, and with another distance between the sites.
fn variant(lab: &Lab, seed: u64, outside_ms: Option<u32>) -> Lab {
    let mut lab = lab.clone();
    let mut rng = Rng::new(seed);
    let ends: Vec<Duration> = (0..lab.moves.len())
        .map(|index| {
            let movement = &lab.moves[index];
            let next = lab.moves[index + 1..].iter().find(|later| later.terminal == movement.terminal);
            next.map_or(lab.duration, |next| next.at)
        })
        .collect();
    for (movement, end) in lab.moves.iter_mut().zip(ends) {
        let room = SHIFT.min(end.saturating_sub(movement.at) / 4);
        if !room.is_zero() {
            movement.at += rng.duration(Duration::ZERO..room);
        }
    }
    lab.moves.sort_by_key(|movement| movement.at);
    if let Some(delay) = outside_ms {
        for link in lab.links.iter_mut().filter(|link| link.site.is_none()) {
            link.delay = Duration::from_millis(delay.into());
        }
        // What is allowed beyond a break is the file's, for the distances that it has.
        (lab.checks.break_before_make_slack, lab.checks.inter_site_slack) = (None, None);
        (lab.checks.inter_site_lost_max, lab.checks.inter_site_duplicated_max) = (None, None);
        lab.checks.forwarding_ends = None;
    }
    lab
}

/// What the movements of some runs have in common.
struct Group<'a> {
    mode: &'a str,
    outside_ms: Option<u32>,
    runs: u32,
    terminals: u64,
}

impl Group<'_> {
    /// A line for each kind of movement and order that there is.
    fn lines(&self, handovers: &[(Handover, Duration)]) -> Vec<Line<More>> {
        let kinds = KINDS.iter().flat_map(|&kind| [(kind, true), (kind, false)]);
        kinds.filter_map(|(kind, make_first)| self.line(handovers, kind, make_first)).collect()
    }

    fn line(&self, handovers: &[(Handover, Duration)], kind: &'static str, make_first: bool) -> Option<Line<More>> {
        let of_it =
            |(handover, _): &&(Handover, Duration)| handover.kind == kind && handover.make_before_break == make_first;
        let chosen: Vec<&(Handover, Duration)> = handovers.iter().filter(of_it).collect();
        let mut interruptions: Vec<u64> = chosen.iter().map(|(handover, _)| handover.interruption_us * 1000).collect();
        interruptions.sort_unstable();
        let last = interruptions.len().checked_sub(1)?;
        // The smallest that so many do not exceed.
        let at = |quantile: f64| {
            let count = (quantile * interruptions.len() as f64).ceil() as usize;
            interruptions[count.clamp(1, last + 1) - 1]
        };
        let sum = |what: fn(&Handover) -> u64| chosen.iter().map(|(handover, _)| what(handover)).sum();
        let order = if make_first { "make-first" } else { "break-first" };
        let distance = self.outside_ms.map_or(String::new(), |delay| format!("/{delay}ms"));
        let samples: Vec<f64> = interruptions.iter().map(|&nanos| nanos as f64).collect();
        Some(Line {
            path: format!("lab/{kind}/{order}/{}{distance}", self.mode),
            entries: self.terminals,
            groups: if self.mode == "multicast" { self.terminals } else { 0 },
            branches: 1,
            packet_octets: None,
            distribution: "uniform".to_owned(),
            ns_per_packet: Spread::of(&samples),
            instructions_per_packet: None,
            allocations_per_packet: 0.0,
            packets: interruptions.len() as u64,
            more: More::Lab(LabMore {
                kind,
                order,
                mode: self.mode.to_owned(),
                outside_ms: self.outside_ms,
                runs: self.runs,
                movements: interruptions.len() as u64,
                without_link_ns: chosen.iter().map(|(_, gap)| gap.as_nanos() as u64).max().unwrap_or(0),
                ns: Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: interruptions[last] },
                ns_curve: CURVE.iter().map(|&quantile| (quantile, at(quantile))).collect(),
                sent: sum(|h| h.sent),
                lost: sum(|h| h.lost),
                duplicated: sum(|h| h.duplicated),
                reordered: sum(|h| h.reordered),
                forwarded: sum(|h| h.forwarded),
                signalling: Signalling {
                    mld: sum(|h| h.signalling.mld),
                    pim: sum(|h| h.signalling.pim),
                    mobility_to_mma: sum(|h| h.signalling.mobility_to_mma),
                    mobility_to_home_agent: sum(|h| h.signalling.mobility_to_home_agent),
                    mobility_to_correspondent: sum(|h| h.signalling.mobility_to_correspondent),
                    at_agents: sum(|h| h.signalling.at_agents),
                    outside_site: sum(|h| h.signalling.outside_site),
                },
                stages: stages(&chosen),
            }),
        })
    }
}

fn stages(handovers: &[&(Handover, Duration)]) -> BTreeMap<&'static str, StageReached> {
    let mut reached: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for (&stage, &micros) in handovers.iter().flat_map(|(handover, _)| &handover.stages_us) {
        reached.entry(stage).or_default().push(micros as f64 * 1e3);
    }
    let spread = |samples: Vec<f64>| StageReached { movements: samples.len(), ns: Spread::of(&samples) };
    reached.into_iter().map(|(stage, samples)| (stage, spread(samples))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handover(kind: &'static str, interruption_us: u64, lost: u64) -> (Handover, Duration) {
        let handover = Handover {
            at_us: 0,
            terminal: "mt".to_owned(),
            kind,
            from: "a".to_owned(),
            to: "b".to_owned(),
            make_before_break: false,
            interruption_us,
            sent: 100,
            lost,
            duplicated: 1,
            reordered: 0,
            forwarded: 0,
            route_optimised_percent: None,
            signalling: Signalling { mld: 2, ..Signalling::default() },
            stages_us: BTreeMap::from([("link", 7)]),
        };
        (handover, Duration::from_millis(50))
    }

    #[test]
    fn movements_of_a_kind_are_put_together() {
        let group = Group { mode: "multicast", outside_ms: Some(20), runs: 3, terminals: 1 };
        let handovers = [handover("intra-site", 52_000, 4), handover("inter-site", 9, 0), handover("intra-site", 0, 1)];
        let lines = group.lines(&handovers);
        let paths: Vec<&str> = lines.iter().map(|line| line.path.as_str()).collect();
        assert_eq!(paths, ["lab/intra-site/break-first/multicast/20ms", "lab/inter-site/break-first/multicast/20ms"]);
        let More::Lab(more) = &lines[0].more else { panic!("it is none of a lab") };
        let LabMore { ns, lost, duplicated, movements, signalling, stages, without_link_ns, .. } = more;
        assert_eq!((ns.p50, ns.p99, ns.max), (0, 52_000_000, 52_000_000));
        assert_eq!((*lost, *duplicated, *movements, signalling.mld), (5, 2, 2, 4));
        assert_eq!((stages["link"].movements, stages["link"].ns.median), (2, 7000.0));
        assert_eq!(*without_link_ns, 50_000_000);
        assert_eq!(lines[0].ns_per_packet, Spread { median: 26_000_000.0, min: 0.0, max: 52_000_000.0 });
    }

    #[test]
    fn a_variant_has_the_same_movements_at_other_times() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/lab/baselines.toml");
        let plan = Plan::new(&file, 2, &[30]).unwrap();
        assert_eq!((plan.modes.len(), plan.steps()), (3, 12));
        let (_, lab) = &plan.modes[0];
        let [one, other] = [1, 2].map(|seed| variant(lab, seed, None));
        assert_ne!(one.moves, other.moves);
        for changed in [&one, &other] {
            for (changed, movement) in changed.moves.iter().zip(&lab.moves) {
                assert_eq!((changed.from, changed.to, changed.mode), (movement.from, movement.to, movement.mode));
                assert!(movement.at <= changed.at && changed.at < movement.at + SHIFT);
            }
        }
        assert_eq!(one.moves, variant(&plan.modes[2].1, 1, Some(30)).moves, "the same in every mode");
        let far = variant(lab, 1, Some(30));
        let delays = |lab: &Lab, outside: bool| -> Vec<Duration> {
            lab.links.iter().filter(|link| link.site.is_none() == outside).map(|link| link.delay).collect()
        };
        assert!(delays(&far, true).iter().all(|&delay| delay == Duration::from_millis(30)));
        assert_eq!(delays(&far, false), delays(lab, false));
    }
}
