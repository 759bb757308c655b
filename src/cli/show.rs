//! `drover show`.

use super::table::render;
use super::{DONE, Socket, client_failed};
use crate::admin::{self, Query, Request, Topic, groups};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use stack::addr::Prefix;
use std::io::{self, Write};

/// The command line behind `show`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// What to show.
    subject: Subject,
    /// What of PIM, behind `pim`.
    #[arg(value_name = "OF PIM", required_if_eq("subject", "pim"))]
    of_pim: Option<OfPim>,
    /// Show these groups only: a group, or a prefix of groups.
    ///
    /// For mroutes, groups, pim tib, pim assert and pim mld.
    #[arg(long, value_name = "PREFIX", value_parser = groups)]
    group: Option<Prefix>,
    /// Show so many rows at the most, and say how many more there are [default: 1000 of a table by group, else all].
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// The first word behind `show`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Subject {
    Topic(Topic),
    Pim,
}

impl ValueEnum for Subject {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Subject::Topic(Topic::Neighbors),
            Subject::Topic(Topic::Routes),
            Subject::Topic(Topic::Bindings),
            Subject::Topic(Topic::Optimisations),
            Subject::Topic(Topic::Groups),
            Subject::Topic(Topic::Mroutes),
            Subject::Topic(Topic::Rp),
            Subject::Topic(Topic::Bsr),
            Subject::Topic(Topic::Terminals),
            Subject::Topic(Topic::Mesh),
            Subject::Topic(Topic::Counters),
            Subject::Topic(Topic::Ports),
            Subject::Topic(Topic::Workers),
            Subject::Pim,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Subject::Topic(topic) => (topic.name(), help(*topic)),
            Subject::Pim => ("pim", "The PIM router: one of the words behind it"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// The word behind `pim`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum OfPim {
    /// Its neighbours, with the options of their Hellos.
    Neighbors,
    /// Its interfaces: designated routers and queriers.
    Interfaces,
    /// The tree information base: all that is known of each (S,G) and (*,G).
    Tib,
    /// Which groups have which rendezvous points.
    Rp,
    /// The bootstrap routers of the scope zones.
    Bsr,
    /// The asserts that were won and lost.
    Assert,
    /// What each querier knows of the members on its link.
    Mld,
    /// What PIM and MLD have counted.
    Counters,
}

fn help(topic: Topic) -> &'static str {
    match topic {
        Topic::Neighbors => "Neighbours and PIM neighbours",
        Topic::Routes => "Unicast routes",
        Topic::Bindings => "Bindings of a mobility agent and of a home agent",
        Topic::Optimisations => "Correspondents that have, or are to have, the care-of addresses of terminals",
        Topic::Groups => "Multicast groups that hosts on the node's links are members of",
        Topic::Mroutes => "Multicast routes",
        Topic::Rp => "Which groups have which rendezvous points",
        Topic::Bsr => "The bootstrap routers of the scope zones",
        Topic::Terminals => "The mobile terminal of this node, and terminals that agents know",
        Topic::Mesh => "The mesh of access routers: peers, and groups joined for their terminals",
        Topic::Counters => "All counters",
        Topic::Ports => "The ports",
        Topic::Workers => "The worker loops",
        Topic::PimNeighbors
        | Topic::PimInterfaces
        | Topic::PimTib
        | Topic::PimAssert
        | Topic::PimMld
        | Topic::PimCounters => "Of PIM",
    }
}

impl Options {
    /// What is asked for; why not, where the words do not go together.
    fn query(&self) -> Result<Query, String> {
        let topic = match (self.subject, self.of_pim) {
            (Subject::Topic(topic), None) => topic,
            (Subject::Topic(topic), Some(_)) => return Err(format!("nothing stands behind `{}`", topic.name())),
            (Subject::Pim, None | Some(OfPim::Neighbors)) => Topic::PimNeighbors,
            (Subject::Pim, Some(OfPim::Interfaces)) => Topic::PimInterfaces,
            (Subject::Pim, Some(OfPim::Tib)) => Topic::PimTib,
            (Subject::Pim, Some(OfPim::Rp)) => Topic::Rp,
            (Subject::Pim, Some(OfPim::Bsr)) => Topic::Bsr,
            (Subject::Pim, Some(OfPim::Assert)) => Topic::PimAssert,
            (Subject::Pim, Some(OfPim::Mld)) => Topic::PimMld,
            (Subject::Pim, Some(OfPim::Counters)) => Topic::PimCounters,
        };
        Ok(Query { topic, group: self.group, limit: self.limit })
    }
}

/// Asks the node and prints the answer.
pub(super) fn show(options: Options) -> u8 {
    let query = match options.query() {
        Ok(query) => query,
        Err(why) => return super::senseless(&why),
    };
    let shown = match admin::ask(&options.socket.path(), &Request::Show(query)) {
        Ok(shown) => shown,
        Err(error) => return client_failed(&error),
    };
    // Who wants no row wants the number of them.
    let only_counts = shown.more > 0 && shown.value.as_array().is_some_and(Vec::is_empty);
    let mut text = match (options.json, only_counts) {
        (true, _) => format!("{:#}\n", shown.value),
        (false, true) => String::new(),
        (false, false) => render(&shown.value),
    };
    if shown.more > 0 {
        let narrower = if query.topic.is_by_group() { "--group PREFIX narrows it down, " } else { "" };
        let line = format!("and {} more: {narrower}--limit ROWS shows others\n", shown.more);
        // Beside JSON it would be none.
        if options.json {
            eprint!("drover: {line}");
        } else {
            text.push_str(&line);
        }
    }
    // A reader that has seen enough (`| head`) is no error.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    DONE
}

#[cfg(test)]
mod tests {
    use super::super::{Action, CommandLine};
    use super::*;
    use clap::Parser;

    fn query(words: &str) -> Option<Query> {
        let line = CommandLine::try_parse_from(["drover", "show"].into_iter().chain(words.split(' '))).ok()?;
        let Action::Show(options) = line.action else { panic!("{words}") };
        options.query().ok()
    }

    #[test]
    fn old_words_and_those_of_pim() {
        for topic in Topic::ALL {
            let words = topic.name().replace('-', " ");
            assert_eq!(query(&words), Some(topic.into()), "{words}");
        }
        assert_eq!((query("pim rp"), query("pim bsr")), (query("rp"), query("bsr")));
        for wrong in ["pim", "tib", "pim routes", "routes tib", "everything", "pim tib --group 2001:db8::/32"] {
            assert_eq!(query(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ranges_and_limits() {
        let asked = query("pim tib --group ff15::/16 --limit 5 --json").unwrap();
        assert_eq!((asked.group, asked.limit), (groups("ff15::/16").ok(), Some(5)));
    }
}
