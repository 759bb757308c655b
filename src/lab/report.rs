//! What a lab run found, as one JSON object and as a table to read.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

/// The findings of a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// `sim` or `netns`.
    pub backend: &'static str,
    /// The seed of every random choice that was the lab's own.
    pub seed: u64,
    /// The nodes that took part.
    pub nodes: Vec<NodeLine>,
    /// The movements, in order.
    pub handovers: Vec<Handover>,
    /// The traffic, whole run.
    pub flows: Vec<Flow>,
    /// What had to hold, and whether it did.
    pub checks: Vec<Check>,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NodeLine {
    /// Its name in the lab file.
    pub name: String,
    /// Its roles, joined by `+`.
    pub role: String,
}

/// One movement of one terminal.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Handover {
    /// When it was made, microseconds since the traffic started.
    pub at_us: u64,
    /// Who moved.
    pub terminal: String,
    /// `intra-site`, `inter-site` or `home`.
    pub kind: &'static str,
    /// The link before; empty where there was none.
    pub from: String,
    /// The link after.
    pub to: String,
    /// Whether the old link stayed until the new one carried.
    pub make_before_break: bool,
    /// Longest silence beyond the packet interval, microseconds; of the flow with constant bit rate.
    pub interruption_us: u64,
    /// Packets of that flow sent until the next movement.
    pub sent: u64,
    /// Of these, never received.
    pub lost: u64,
    /// Of these, received again.
    pub duplicated: u64,
    /// Of these, received after a later one.
    pub reordered: u64,
    /// Packets that the agent of a site that was left sent on to another agent, or home, until the next movement.
    pub forwarded: u64,
    /// Of the packets sent to the terminal in the second half of the time until the next movement, how many in a hundred
    /// went straight to its care-of address.
    pub route_optimised_percent: Option<u8>,
    /// Messages until the next movement, counted in the captures.
    pub signalling: Signalling,
    /// When each stage was reached, microseconds after the movement was made.
    pub stages_us: BTreeMap<&'static str, u64>,
}

/// Signalling messages by kind and by place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Signalling {
    /// MLD reports of the terminal.
    pub mld: u64,
    /// PIM Join/Prune messages, each link crossed counted once.
    pub pim: u64,
    /// Mobility Header messages between the terminal and an MMA.
    pub mobility_to_mma: u64,
    /// Mobility Header messages between the terminal and its home agent.
    pub mobility_to_home_agent: u64,
    /// Mobility Header messages to or from a correspondent.
    pub mobility_to_correspondent: u64,
    /// Mobility Header messages that mobility and home agents sent or were sent, each counted at each agent.
    pub at_agents: u64,
    /// Mobility Header, PIM and MLD messages on links outside the terminal's site.
    pub outside_site: u64,
}

/// One flow, whole run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Flow {
    /// Its name in the lab file.
    pub name: String,
    /// `ping`, `udp` or `tcp`.
    pub kind: &'static str,
    /// Packets sent; octets of a TCP transfer.
    pub sent: u64,
    /// Packets, or octets, received.
    pub received: u64,
    /// Never received.
    pub lost: u64,
    /// Received again.
    pub duplicated: u64,
    /// Whether it ran to its end.
    pub survived: bool,
}

/// One thing that had to hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// What, in a few words.
    pub name: String,
    /// Whether it did.
    pub ok: bool,
    /// The figures.
    pub detail: String,
}

/// What the shorter heads of the table of movements mean.
pub(super) const HANDOVER_LEGEND: &str = "forw: packets forwarded by the agent that was left; optim: of the packets to the \
    terminal in the second half of the time, those that go straight to the care-of address\n\
    mld, pim, mma, ha, cn, agents, outside: signalling messages seen on the wire until the next movement";

impl Report {
    /// Whether every check held.
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    /// The table to read.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "backend {}, seed {}, {} nodes", self.backend, self.seed, self.nodes.len())?;
        for node in &self.nodes {
            writeln!(out, "  {:<12} {}", node.name, node.role)?;
        }
        writeln!(out)?;
        table(out, &self.handover_rows())?;
        writeln!(out, "\n{HANDOVER_LEGEND}\n")?;
        table(out, &self.flow_rows())?;
        writeln!(out)?;
        for check in &self.checks {
            writeln!(out, "{}  {}: {}", if check.ok { "ok  " } else { "FAIL" }, check.name, check.detail)?;
        }
        Ok(())
    }

    /// The table of movements, its heads first.
    pub(super) fn handover_rows(&self) -> Vec<[String; 19]> {
        let mut rows = vec![
            [
                "at",
                "terminal",
                "kind",
                "from -> to",
                "mode",
                "interruption",
                "sent",
                "lost",
                "dup",
                "reord",
                "forw",
                "optim",
                "mld",
                "pim",
                "mma",
                "ha",
                "cn",
                "agents",
                "outside",
            ]
            .map(str::to_owned),
        ];
        for h in &self.handovers {
            let s = &h.signalling;
            rows.push([
                format!("{:.3} s", h.at_us as f64 / 1e6),
                h.terminal.clone(),
                h.kind.to_owned(),
                format!("{} -> {}", if h.from.is_empty() { "-" } else { &h.from }, h.to),
                order(h.make_before_break).to_owned(),
                format!("{:.3} ms", h.interruption_us as f64 / 1e3),
                h.sent.to_string(),
                h.lost.to_string(),
                h.duplicated.to_string(),
                h.reordered.to_string(),
                h.forwarded.to_string(),
                h.route_optimised_percent.map_or("-".to_owned(), |percent| format!("{percent} %")),
                s.mld.to_string(),
                s.pim.to_string(),
                s.mobility_to_mma.to_string(),
                s.mobility_to_home_agent.to_string(),
                s.mobility_to_correspondent.to_string(),
                s.at_agents.to_string(),
                s.outside_site.to_string(),
            ]);
        }
        rows
    }

    /// The table of flows, its heads first.
    pub(super) fn flow_rows(&self) -> Vec<[String; 7]> {
        let mut rows = vec![["flow", "kind", "sent", "received", "lost", "duplicated", "survived"].map(str::to_owned)];
        for flow in &self.flows {
            rows.push([
                flow.name.clone(),
                flow.kind.to_owned(),
                flow.sent.to_string(),
                flow.received.to_string(),
                flow.lost.to_string(),
                flow.duplicated.to_string(),
                if flow.survived { "yes" } else { "NO" }.to_owned(),
            ]);
        }
        rows
    }
}

/// Which of a movement's two links comes or goes first, in words.
pub(super) const fn order(make_before_break: bool) -> &'static str {
    if make_before_break { "make first" } else { "break first" }
}

/// Rows in columns.
pub(super) fn table<const N: usize>(out: &mut String, rows: &[[String; N]]) -> fmt::Result {
    let widths: [usize; N] =
        core::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for row in rows {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}
