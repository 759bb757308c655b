//! One movement script under several modes of the terminals, side by side.

use super::report::{Handover, Report, table};
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

/// What the movements of one kind cost in one mode.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Line {
    /// `intra-site`, `inter-site` or `home`.
    pub kind: &'static str,
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

impl Comparison {
    /// What these runs say.
    pub fn new(runs: Vec<Run>) -> Self {
        let lines = KINDS.iter().flat_map(|kind| runs.iter().filter_map(|run| Line::of(kind, run)));
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
        let mut rows = vec![
            ["kind", "mode", "movements", "p50", "max", "lost", "dup", "terminal", "agents", "outside"]
                .map(str::to_owned),
        ];
        for line in &self.comparison {
            rows.push([
                line.kind.to_owned(),
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
        table(out, &rows)?;
        writeln!(
            out,
            "\np50, max: interruption; terminal, agents, outside: signalling messages on the terminal's links, at mobility and \
             home agents, and outside of the terminal's site"
        )
    }
}

impl Line {
    fn of(kind: &'static str, run: &Run) -> Option<Self> {
        let handovers: Vec<&Handover> = run.report.handovers.iter().filter(|h| h.kind == kind).collect();
        let mut interruptions: Vec<u64> = handovers.iter().map(|handover| handover.interruption_us).collect();
        interruptions.sort_unstable();
        let sum = |what: fn(&Handover) -> u64| handovers.iter().map(|handover| what(handover)).sum();
        Some(Line {
            kind,
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
