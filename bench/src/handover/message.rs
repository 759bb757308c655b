//! What frames mean that go between the routers and terminals of a site, and how many of each kind there are.

use super::site::SOURCE;
use super::terminal::Terminal;
use core::net::Ipv6Addr;
use core::ops::{Add, Sub};
use serde::Serialize;
use stack::inspect::{self, Kind, pim};
use stack::port::Medium;
use stack::time::Duration;
use stack::wire::mld::{self, RecordType};

/// What a frame means here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Message {
    /// A terminal joins its group.
    Report(Terminal),
    /// A terminal answers that it listens.
    Answer(Terminal),
    /// A terminal leaves its group.
    Leave(Terminal),
    /// Who of them still listens? Without terminal: who at all?
    Query(Option<Terminal>, Duration),
    /// The trees of these terminals are asked for, or no longer.
    JoinPrune { joins: Vec<Terminal>, prunes: Vec<Terminal> },
    /// A packet of a terminal's stream.
    Stream(Terminal),
    /// Hellos, advertisements and the like.
    Other,
}

impl Message {
    pub(crate) fn of(frame: &[u8]) -> Self {
        let what = inspect::describe(frame, Medium::Ethernet);
        let found = match &what.kind {
            Kind::Mld(mld::Message::Report(report)) => report.records.first().and_then(|record| {
                let terminal = Terminal::of_group(record.group)?;
                Some(match record.kind {
                    RecordType::AllowNewSources => Message::Report(terminal),
                    RecordType::BlockOldSources => Message::Leave(terminal),
                    _ => Message::Answer(terminal),
                })
            }),
            Kind::Mld(mld::Message::Query(query)) if query.is_general() => {
                Some(Message::Query(None, query.max_response_delay))
            }
            Kind::Mld(mld::Message::Query(query)) => {
                Terminal::of_group(query.group).map(|terminal| Message::Query(Some(terminal), query.max_response_delay))
            }
            Kind::Pim(pim::Message::JoinPrune(message)) => {
                let of = |trees: &[pim::Tree]| {
                    let ours = trees.iter().filter(|tree| tree.source == SOURCE);
                    ours.filter_map(|tree| Terminal::of_group(tree.group)).collect()
                };
                Some(Message::JoinPrune { joins: of(&message.joins), prunes: of(&message.prunes) })
            }
            Kind::Data { .. } => {
                let outer: Option<Ipv6Addr> = what.outer().map(|layer| layer.header.destination);
                outer.and_then(Terminal::of_group).map(Message::Stream)
            }
            _ => None,
        };
        found.unwrap_or(Message::Other)
    }
}

/// Signalling messages at a router, octets with their Ethernet headers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub(crate) struct Signalling {
    /// MLD reports that it has received: joining, leaving, answers.
    pub(crate) reports: u64,
    pub(crate) report_octets: u64,
    /// MLD queries that it has sent.
    pub(crate) queries: u64,
    pub(crate) query_octets: u64,
    /// Join/Prune messages that it has sent, refreshes among them, and what is in them.
    pub(crate) join_prunes: u64,
    pub(crate) join_prune_octets: u64,
    pub(crate) joins: u64,
    pub(crate) prunes: u64,
}

impl Signalling {
    /// Takes note of a message that the router has received.
    pub(crate) fn note_received(&mut self, message: &Message, octets: usize) {
        if let Message::Report(_) | Message::Answer(_) | Message::Leave(_) = message {
            self.reports += 1;
            self.report_octets += octets as u64;
        }
    }

    /// Takes note of a message that the router has sent.
    pub(crate) fn note_sent(&mut self, message: &Message, octets: usize) {
        match message {
            Message::Query(..) => {
                self.queries += 1;
                self.query_octets += octets as u64;
            }
            Message::JoinPrune { joins, prunes } => {
                self.join_prunes += 1;
                self.join_prune_octets += octets as u64;
                self.joins += joins.len() as u64;
                self.prunes += prunes.len() as u64;
            }
            _ => {}
        }
    }
}

impl Signalling {
    fn combined(self, other: Signalling, by: fn(u64, u64) -> u64) -> Signalling {
        Signalling {
            reports: by(self.reports, other.reports),
            report_octets: by(self.report_octets, other.report_octets),
            queries: by(self.queries, other.queries),
            query_octets: by(self.query_octets, other.query_octets),
            join_prunes: by(self.join_prunes, other.join_prunes),
            join_prune_octets: by(self.join_prune_octets, other.join_prune_octets),
            joins: by(self.joins, other.joins),
            prunes: by(self.prunes, other.prunes),
        }
    }
}

impl Add for Signalling {
    type Output = Signalling;

    fn add(self, other: Signalling) -> Signalling {
        self.combined(other, u64::add)
    }
}

impl Sub for Signalling {
    type Output = Signalling;

    fn sub(self, earlier: Signalling) -> Signalling {
        self.combined(earlier, u64::sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_terminals_mean_what_they_were_made_for() {
        let terminal = Terminal(70_000);
        let mut counts = Signalling::default();
        for (frame, message) in [
            (terminal.join(), Message::Report(terminal)),
            (terminal.answer(), Message::Answer(terminal)),
            (terminal.leave(), Message::Leave(terminal)),
            (terminal.stream(), Message::Stream(terminal)),
        ] {
            assert_eq!(Message::of(&frame), message);
            counts.note_received(&message, frame.len());
        }
        // Ethernet, IPv6, Hop-by-Hop, report, record with a source.
        assert_eq!((counts.reports, counts.report_octets), (3, 3 * (14 + 40 + 8 + 8 + 20 + 16)));
        assert_eq!(terminal.stream().len(), 14 + 40 + 64);
        assert_eq!(Message::of(&[0; 60]), Message::Other);
    }
}
