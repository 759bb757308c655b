//! One movement script under several modes of the terminals, side by side.

use super::report::{Handover, Report, order, table};
use serde::Serialize;
use std::fmt::{self, Write};

/// A lab that was run once for each mode.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// What each mode costs, by kind of movement.
    pub comparison: Vec<Line>,
    /// The runs, in order.
    pub runs: Vec<Run>,
}

/// A run in one mode.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Run {
    /// The mode.
    pub mode: String,
    /// What was found.
    pub report: Report,
}

/// What the movements of one kind cost in one mode. Those whose old link breaks first stand apart: the time without any
/// link, which is the same for every mode, would hide what the modes differ in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Line {
    /// `intra-site`, `inter-site` or `home`.
    pub kind: &'static str,
    /// Whether the old link stayed until the new one carried.
    pub make_before_break: bool,
    /// The mode.
    pub mode: String,
    /// How many movements there were.
    pub movements: u64,
    /// The middle one of their interruptions, microseconds.
    pub interruption_p50_us: u64,
    /// The longest.
    pub interruption_max_us: u64,
    /// Packets lost in all of them.
    pub lost: u64,
    /// Packets delivered twice.
    pub duplicated: u64,
    /// Signalling messages on the terminal's links: MLD reports and Mobility Header messages.
    pub signalling_at_terminal: u64,
    /// Mobility Header messages at mobility and home agents.
    pub signalling_at_agents: u64,
    /// Signalling messages outside of the terminal's site, once a link.
    pub signalling_outside_site: u64,
}

const KINDS: [&str; 3] = ["intra-site", "inter-site", "home"];

/// What the heads of the table mean.
pub(super) const LEGEND: &str = "order: whether the new link is made or the old one breaks first; p50, max: interruption; \
    terminal, agents, outside: signalling messages on the terminal's links, at mobility and home agents, and outside of the \
    terminal's site";

impl Comparison {
    /// What these runs say.
    pub fn new(runs: Vec<Run>) -> Self {
        let kinds = KINDS.iter().flat_map(|&kind| [(kind, true), (kind, false)]);
        let lines =
            kinds.flat_map(|(kind, make_first)| runs.iter().filter_map(move |run| Line::of(kind, make_first, run)));
        Comparison { comparison: lines.collect(), runs }
    }

    /// Whether every check of every run held.
    pub fn ok(&self) -> bool {
        self.runs.iter().all(|run| run.report.ok())
    }

    /// The reports of the runs and the table of all.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        for run in &self.runs {
            writeln!(out, "---- {}\n\n{}", run.mode, run.report.to_text())?;
        }
        writeln!(out, "---- comparison\n")?;
        table(out, &self.rows())?;
        writeln!(out, "\n{LEGEND}")
    }

    /// The table of kinds and modes, its heads first.
    pub(super) fn rows(&self) -> Vec<[String; 11]> {
        let mut rows = vec![
            ["kind", "order", "mode", "movements", "p50", "max", "lost", "dup", "terminal", "agents", "outside"]
                .map(str::to_owned),
        ];
        for line in &self.comparison {
            rows.push([
                line.kind.to_owned(),
                order(line.make_before_break).to_owned(),
                line.mode.clone(),
                line.movements.to_string(),
                format!("{:.3} ms", line.interruption_p50_us as f64 / 1e3),
                format!("{:.3} ms", line.interruption_max_us as f64 / 1e3),
                line.lost.to_string(),
                line.duplicated.to_string(),
                line.signalling_at_terminal.to_string(),
                line.signalling_at_agents.to_string(),
                line.signalling_outside_site.to_string(),
            ]);
        }
        rows
    }
}

impl Line {
    fn of(kind: &'static str, make_before_break: bool, run: &Run) -> Option<Self> {
        let all = run.report.handovers.iter();
        let handovers: Vec<&Handover> =
            all.filter(|h| h.kind == kind && h.make_before_break == make_before_break).collect();
        let mut interruptions: Vec<u64> = handovers.iter().map(|handover| handover.interruption_us).collect();
        interruptions.sort_unstable();
        let sum = |what: fn(&Handover) -> u64| handovers.iter().map(|handover| what(handover)).sum();
        Some(Line {
            kind,
            make_before_break,
            mode: run.mode.clone(),
            movements: handovers.len() as u64,
            interruption_p50_us: *interruptions.get(interruptions.len().checked_sub(1)? / 2)?,
            interruption_max_us: *interruptions.last()?,
            lost: sum(|h| h.lost),
            duplicated: sum(|h| h.duplicated),
            signalling_at_terminal: sum(|h| {
                let count = &h.signalling;
                count.mld + count.mobility_to_mma + count.mobility_to_home_agent + count.mobility_to_correspondent
            }),
            signalling_at_agents: sum(|h| h.signalling.at_agents),
            signalling_outside_site: sum(|h| h.signalling.outside_site),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::report::Signalling;
    use std::collections::BTreeMap;

    fn handover(kind: &'static str, make_before_break: bool, interruption_us: u64) -> Handover {
        Handover {
            at_us: 0,
            terminal: "mt".to_owned(),
            kind,
            from: "a".to_owned(),
            to: "b".to_owned(),
            make_before_break,
            interruption_us,
            sent: 100,
            lost: 2,
            duplicated: 1,
            reordered: 0,
            forwarded: 0,
            route_optimised_percent: None,
            signalling: Signalling { mld: 1, pim: 5, mobility_to_mma: 2, at_agents: 3, ..Signalling::default() },
            stages_us: BTreeMap::new(),
        }
    }

    fn run(mode: &str, handovers: Vec<Handover>) -> Run {
        let (nodes, flows, checks) = (Vec::new(), Vec::new(), Vec::new());
        Run { mode: mode.to_owned(), report: Report { backend: "sim", seed: 1, nodes, handovers, flows, checks } }
    }

    #[test]
    fn movements_are_compared_with_their_like() {
        let first = vec![
            handover("intra-site", true, 5),
            handover("intra-site", true, 1),
            handover("intra-site", true, 3),
            handover("intra-site", false, 50),
            handover("inter-site", true, 7),
        ];
        let second = vec![handover("intra-site", true, 9), handover("intra-site", false, 60)];
        let comparison = Comparison::new(vec![run("multicast", first), run("mipv6", second)]);
        let lines = comparison.comparison.iter();
        let told = lines.map(|line| {
            let order = (line.kind, line.make_before_break, line.mode.as_str());
            (order, line.movements, line.interruption_p50_us, line.interruption_max_us)
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                (("intra-site", true, "multicast"), 3, 3, 5),
                (("intra-site", true, "mipv6"), 1, 9, 9),
                (("intra-site", false, "multicast"), 1, 50, 50),
                (("intra-site", false, "mipv6"), 1, 60, 60),
                (("inter-site", true, "multicast"), 1, 7, 7),
            ]
        );
        let line = &comparison.comparison[0];
        assert_eq!((line.lost, line.duplicated), (6, 3));
        assert_eq!((line.signalling_at_terminal, line.signalling_at_agents, line.signalling_outside_site), (9, 9, 0));

        let text = comparison.to_text();
        let (_, table) = text.split_once("---- comparison\n\n").expect("it ends with the comparison");
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows[2],
            ["intra-site", "make", "first", "mipv6", "1", "0.009", "ms", "0.009", "ms", "2", "1", "3", "3", "0"]
        );
    }
}
