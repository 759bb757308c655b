//! What was on a network's links, as tshark tells it: PIM messages, and which datagrams were where.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Command;

/// What tshark is asked for, in the order of the columns.
const FIELDS: [&str; 19] = [
    "frame.time_epoch",
    "frame.interface_name",
    "ipv6.src",
    "pim.type",
    "pim.upstream_neighbor_ip6",
    "pim.numjoins",
    "pim.numprunes",
    "pim.prune_ip6",
    "pim.source_addr.flags.r",
    "pim.register_flag.null_register",
    "pim.rpt",
    "pim.metric_pref",
    "pim.metric",
    "pim.dr_priority",
    "pim.generation_id",
    "pim.propagation_delay",
    "pim.override_interval",
    "pim.address_list_ip6",
    "udp.payload",
];
const HELLO: &str = "0";
const REGISTER: &str = "1";
const REGISTER_STOP: &str = "2";
const JOIN_PRUNE: &str = "3";
const ASSERT: &str = "5";

/// What was on the links.
pub(crate) struct Seen {
    /// In the order in which they were seen.
    pub(crate) messages: Vec<Message>,
    datagrams: BTreeMap<u64, Vec<u16>>,
    /// Those in Register messages.
    registered: BTreeMap<u64, Vec<u16>>,
}

/// A PIM message.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    /// Seconds since 1970.
    pub(crate) at: f64,
    pub(crate) link: u16,
    pub(crate) source: Ipv6Addr,
    pub(crate) body: Body,
}

/// What a message says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Body {
    Hello(Hello),
    JoinPrune {
        upstream_neighbor: Ipv6Addr,
        joins: u32,
        prunes: u32,
        /// Sources that are pruned off the shared tree.
        rpt_prunes: Vec<Ipv6Addr>,
    },
    Register {
        is_null: bool,
    },
    RegisterStop,
    Assert {
        rpt: bool,
        preference: u32,
        metric: u32,
    },
    Other,
}

/// The options of a Hello; those that are missing are `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hello {
    pub(crate) dr_priority: Option<u32>,
    pub(crate) generation_id: Option<u32>,
    pub(crate) propagation_delay_ms: Option<u32>,
    pub(crate) override_interval_ms: Option<u32>,
    pub(crate) addresses: Vec<Ipv6Addr>,
}

impl Seen {
    pub(crate) fn read(file: &Path) -> Self {
        let mut command = Command::new("tshark");
        command.args(["-n", "-r"]).arg(file).args(["-Y", "pim || udp"]);
        command.args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
        for field in FIELDS {
            command.args(["-e", field]);
        }
        let mut seen = Seen { messages: Vec::new(), datagrams: BTreeMap::new(), registered: BTreeMap::new() };
        for line in crate::room::output(&mut command).lines() {
            seen.add(line);
        }
        seen
    }

    fn add(&mut self, line: &str) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [
            at,
            link,
            source,
            kind,
            upstream,
            joins,
            prunes,
            pruned,
            rpt_flags,
            null_register,
            rpt,
            preference,
            metric,
            priority,
            generation,
            propagation,
            interval,
            addresses,
            payload,
        ] = columns[..]
        else {
            panic!("tshark printed {line}");
        };
        let link = link.strip_prefix('l').and_then(|link| link.parse().ok()).expect("links are captured");
        let first = |column: &str| column.split(',').next().unwrap_or_default().to_owned();
        let sum = |column: &str| column.split(',').filter_map(|count| count.parse::<u32>().ok()).sum();
        let kind = first(kind);
        if let Ok(number) = u64::from_str_radix(payload, 16) {
            let seen = if kind == REGISTER { &mut self.registered } else { &mut self.datagrams };
            seen.entry(number).or_default().push(link);
        }
        let body = match kind.as_str() {
            "" => return,
            HELLO => Body::Hello(Hello {
                dr_priority: number(priority),
                generation_id: number(generation),
                propagation_delay_ms: number(propagation),
                override_interval_ms: number(interval),
                addresses: addresses.split(',').filter_map(|address| address.parse().ok()).collect(),
            }),
            JOIN_PRUNE => Body::JoinPrune {
                upstream_neighbor: upstream.parse().expect("there is one"),
                joins: sum(joins),
                prunes: sum(prunes),
                rpt_prunes: rpt_prunes(joins, prunes, pruned, rpt_flags),
            },
            REGISTER => Body::Register { is_null: flag(null_register) },
            REGISTER_STOP => Body::RegisterStop,
            ASSERT => Body::Assert {
                rpt: flag(rpt),
                preference: number(preference).expect("there is one"),
                metric: number(metric).expect("there is one"),
            },
            _ => Body::Other,
        };
        let at = at.parse().expect("a time");
        self.messages.push(Message { at, link, source: first(source).parse().expect("an address"), body });
    }

    /// The links that a datagram was seen on, once for each time, in order of the links.
    pub(crate) fn links_of(&self, number: u64) -> Vec<u16> {
        let mut links = self.datagrams.get(&number).cloned().unwrap_or_default();
        links.sort_unstable();
        links
    }

    /// The links that a datagram was seen on in a Register message, likewise.
    pub(crate) fn links_of_registered(&self, number: u64) -> Vec<u16> {
        let mut links = self.registered.get(&number).cloned().unwrap_or_default();
        links.sort_unstable();
        links
    }

    /// The Join/Prune messages of a router to another one, with joins and prunes: when, and how many of each.
    pub(crate) fn join_prunes(&self, from: Ipv6Addr, to: Ipv6Addr) -> impl Iterator<Item = (f64, u32, u32)> {
        self.messages.iter().filter_map(move |message| match message.body {
            Body::JoinPrune { upstream_neighbor, joins, prunes, .. }
                if message.source == from && upstream_neighbor == to =>
            {
                Some((message.at, joins, prunes))
            }
            _ => None,
        })
    }

    /// The sources that a router has pruned off another one's shared trees, once for each time.
    pub(crate) fn rpt_prunes(&self, from: Ipv6Addr, to: Ipv6Addr) -> impl Iterator<Item = Ipv6Addr> {
        let pruned = self.messages.iter().filter_map(move |message| match &message.body {
            Body::JoinPrune { upstream_neighbor, rpt_prunes, .. }
                if message.source == from && *upstream_neighbor == to =>
            {
                Some(rpt_prunes)
            }
            _ => None,
        });
        pruned.flatten().copied()
    }

    /// The Asserts of a router on a link: when, whether of the shared tree, preference and metric.
    pub(crate) fn asserts(&self, from: Ipv6Addr, link: u16) -> impl Iterator<Item = (f64, bool, u32, u32)> {
        self.messages.iter().filter_map(move |message| match message.body {
            Body::Assert { rpt, preference, metric } if message.source == from && message.link == link => {
                Some((message.at, rpt, preference, metric))
            }
            _ => None,
        })
    }

    /// The Hellos of a router on a link.
    pub(crate) fn hellos(&self, from: Ipv6Addr, link: u16) -> impl Iterator<Item = (f64, &Hello)> {
        self.messages.iter().filter_map(move |message| match &message.body {
            Body::Hello(hello) if message.source == from && message.link == link => Some((message.at, hello)),
            _ => None,
        })
    }
}

/// The pruned sources of a Join/Prune message that have the RPT bit and are no (*,G). A message has for each of its groups
/// joins, then prunes, and tshark lists the counts of all groups, their prunes, and the bits of joins and prunes in order.
fn rpt_prunes(joins: &str, prunes: &str, pruned: &str, flags: &str) -> Vec<Ipv6Addr> {
    let counts = |column: &str| column.split(',').filter_map(|count| count.parse().ok()).collect::<Vec<usize>>();
    let mut flags = flags.split(',').map(flag);
    let mut pruned = pruned.split(',');
    let mut found = Vec::new();
    for (joins, prunes) in counts(joins).into_iter().zip(counts(prunes)) {
        flags.by_ref().take(joins).for_each(drop);
        for _ in 0..prunes {
            let source = pruned.next().expect("as many as are counted");
            if flags.next().expect("each has them") {
                found.push(source.parse().expect("an address"));
            }
        }
    }
    found
}

/// A bit as tshark prints it.
fn flag(text: &str) -> bool {
    matches!(text.split(',').next(), Some("1" | "True"))
}

/// A number as tshark prints it, which is in hexadecimal for some fields.
fn number(text: &str) -> Option<u32> {
    let text = text.split(',').next()?;
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u32::from_str_radix(digits, 16).ok())
}
