//! The messages around a movement: who sent what to whom, and when.
//!
//! A message that routers pass on is one exchange, over all the links that it crosses; the same message from the same
//! sender again, such as a Router Advertisement a moment later, is the same exchange told again. Advertisements that no
//! terminal is there to hear are left out.

use super::offset_us;
use super::place::Places;
use super::trail::{Hop, trails};
use crate::config::lab::LinkIndex;
use crate::lab::observe::{Message, Station, Wire};
use stack::inspect::{Kind, Nd, pim};
use stack::time::Instant;
use stack::wire::mld::{self, RecordType};
use stack::wire::mobility::MobilityMessage;
use stack::wire::mobility::handover::{HandoverInitiate, HandoverMessage};
use std::collections::BTreeMap;

/// Exchanges of a movement at the most.
pub(crate) const MAX_EXCHANGES: usize = 80;
/// Letters of what is told of a message.
const MAX_DECODED: usize = 600;

/// What a message is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Purpose {
    /// Router discovery and neighbours that announce themselves.
    Discovery,
    /// Group membership.
    Membership,
    /// Multicast routing.
    Routing,
    /// Mobile IPv6.
    Mobility,
    /// Access routers among themselves.
    Handover,
    /// ICMPv6 errors.
    Error,
}

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Exchange {
    /// When it was sent, microseconds after the movement.
    pub(crate) at_us: i64,
    /// When it was seen last of the links that it crossed.
    pub(crate) last_us: i64,
    /// Who sent it.
    pub(crate) sender: Station,
    /// Who passed it on, in order; twice who did so twice, as before and after a tunnel's end.
    pub(crate) through: Vec<Station>,
    /// Who has it in the end.
    pub(crate) receivers: Vec<Station>,
    /// The links that it crossed.
    pub(crate) links: Vec<LinkIndex>,
    /// How often it was sent again, and when last.
    pub(crate) again: Option<(u64, i64)>,
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// What it is, in a few words.
    pub(crate) headline: String,
    /// What it is, with all headers and fields that are read.
    pub(crate) decoded: String,
}

/// The exchanges from `begin` to `until` around a movement that was made `at`, and how many more there were than there is
/// room for.
pub(super) fn exchanges(
    wire: &Wire,
    places: &Places<'_>,
    begin: Instant,
    at: Instant,
    until: Instant,
) -> (Vec<Exchange>, usize) {
    let mut messages: Vec<(&Message, Station)> = wire
        .between(begin, until)
        .chain(wire.bystanders(begin, until))
        .filter_map(|message| Some((message, message.sender()?)))
        .collect();
    messages.sort_by_key(|(message, _)| message.at);
    let mut same = BTreeMap::<u64, Vec<Sent<'_>>>::new();
    for (number, (message, sender)) in messages.into_iter().enumerate() {
        let all = same.entry(message.identity).or_default();
        if let Some(known) = all.iter_mut().find(|sent| sent.hop.sender == sender && sent.message.link == message.link)
        {
            known.again = Some((known.again.map_or(0, |(count, _)| count) + 1, offset_us(at, message.at)));
            continue;
        }
        let receivers = match message.receiver() {
            Some(receiver) => vec![receiver],
            None => places.listeners(message.link, sender, message.at),
        };
        if !receivers.is_empty() || !matches!(message.what.kind, Kind::Nd { .. }) {
            all.push(Sent { number, message, hop: Hop { sender, receivers }, again: None });
        }
    }
    let mut ways: Vec<Vec<&Sent<'_>>> = Vec::new();
    for all in same.values() {
        let hops: Vec<Hop> = all.iter().map(|sent| sent.hop.clone()).collect();
        ways.extend(trails(&hops).into_iter().map(|trail| trail.into_iter().map(|hop| &all[hop]).collect()));
    }
    // In order of time.
    ways.sort_by_key(|way| way.iter().map(|sent| sent.number).min());
    let left_out = ways.len().saturating_sub(MAX_EXCHANGES);
    (ways.iter().take(MAX_EXCHANGES).filter_map(|way| exchange(at, way)).collect(), left_out)
}

/// A message on one link.
struct Sent<'a> {
    /// Among all messages, in order of time.
    number: usize,
    message: &'a Message,
    hop: Hop,
    /// How often it was sent there again, and when last.
    again: Option<(u64, i64)>,
}

fn exchange(at: Instant, way: &[&Sent<'_>]) -> Option<Exchange> {
    let (first, last) = (way.first()?, way.last()?);
    let times = || way.iter().map(|sent| offset_us(at, sent.message.at));
    let (purpose, headline) = headline(&first.message.what.kind);
    let mut decoded = first.message.what.to_string();
    if decoded.len() > MAX_DECODED {
        decoded = decoded.chars().take(MAX_DECODED).chain("…".chars()).collect();
    }
    Some(Exchange {
        at_us: times().min()?,
        last_us: times().max()?,
        sender: first.hop.sender,
        through: way.iter().skip(1).map(|sent| sent.hop.sender).collect(),
        receivers: last.hop.receivers.clone(),
        links: way.iter().map(|sent| sent.message.link).collect(),
        again: first.again,
        purpose,
        headline,
        decoded,
    })
}

/// What a message is, in a few words.
fn headline(kind: &Kind) -> (Purpose, String) {
    match kind {
        Kind::Nd { message, .. } => (
            Purpose::Discovery,
            match message {
                Nd::RouterSolicitation => "Router Solicitation",
                Nd::RouterAdvertisement => "Router Advertisement",
                Nd::NeighborSolicitation => "Neighbor Solicitation",
                Nd::NeighborAdvertisement => "Neighbor Advertisement to all",
                Nd::Redirect => "Redirect",
            }
            .to_owned(),
        ),
        Kind::Mld(message) => (Purpose::Membership, membership(message)),
        Kind::Pim(message) => (Purpose::Routing, routing(message)),
        Kind::Mobility(message) => (Purpose::Mobility, mobility(message)),
        Kind::HomeLink(_) => (Purpose::Mobility, kind.to_string()),
        Kind::Handover(HandoverMessage::Initiate(message)) => {
            let mode = match message.code {
                HandoverInitiate::PREDICTIVE => "predictive",
                HandoverInitiate::REACTIVE => "reactive",
                _ => "of an unknown code",
            };
            let keep = if message.buffer { ", keep packets" } else { "" };
            (Purpose::Handover, format!("Handover Initiate {}, {mode}{keep}", message.sequence))
        }
        Kind::Handover(HandoverMessage::Acknowledge(answer)) => {
            (Purpose::Handover, format!("Handover Acknowledge {}, code {}", answer.sequence, answer.code.0))
        }
        Kind::Icmpv6Error { kind, code } => {
            let name = match kind {
                1 => "Destination Unreachable",
                2 => "Packet Too Big",
                3 => "Time Exceeded",
                4 => "Parameter Problem",
                _ => "ICMPv6 error",
            };
            (Purpose::Error, format!("{name}, type {kind}, code {code}"))
        }
        _ => (Purpose::Error, kind.to_string()),
    }
}

fn membership(message: &mld::Message) -> String {
    match message {
        mld::Message::Report(report) => {
            let records = report.records.iter().map(|record| {
                let group = record.group;
                match (record.kind, record.sources.is_empty()) {
                    (RecordType::AllowNewSources, _) | (RecordType::ChangeToInclude, false) => format!("join {group}"),
                    (RecordType::ChangeToExclude, _) => format!("join {group}"),
                    (RecordType::BlockOldSources, _) | (RecordType::ChangeToInclude, true) => format!("leave {group}"),
                    (RecordType::ModeIsInclude | RecordType::ModeIsExclude, _) => format!("has {group}"),
                }
            });
            format!("MLD report: {}", some(records))
        }
        mld::Message::Query(query) if query.group.is_unspecified() => "MLD query, general".to_owned(),
        mld::Message::Query(query) => format!("MLD query {}", query.group),
        mld::Message::V1Query { .. } => "MLDv1 query".to_owned(),
        mld::Message::V1Report { group } => format!("MLDv1 report {}", *group),
        _ => "MLDv1 done".to_owned(),
    }
}

fn routing(message: &pim::Message) -> String {
    let pim::Message::JoinPrune(asked) = message else { return format!("PIM {message}") };
    let tree = |tree: &pim::Tree| {
        let source = if tree.wildcard { "*".to_owned() } else { tree.source.to_string() };
        format!("({source}, {})", tree.group)
    };
    let part = |verb: &str, trees: &[pim::Tree]| {
        (!trees.is_empty()).then(|| format!("{verb} {}", some(trees.iter().map(tree))))
    };
    let parts: Vec<String> = [part("Join", &asked.joins), part("Prune", &asked.prunes)].into_iter().flatten().collect();
    format!("PIM {}", parts.join(", "))
}

fn mobility(message: &MobilityMessage) -> String {
    match message {
        MobilityMessage::BindingRefreshRequest { .. } => "Binding Refresh Request".to_owned(),
        MobilityMessage::HomeTestInit { .. } => "Home Test Init".to_owned(),
        MobilityMessage::CareOfTestInit { .. } => "Care-of Test Init".to_owned(),
        MobilityMessage::HomeTest(_) => "Home Test".to_owned(),
        MobilityMessage::CareOfTest(_) => "Care-of Test".to_owned(),
        MobilityMessage::BindingUpdate(update) => {
            let lifetime = update.lifetime.duration();
            if lifetime.is_zero() {
                format!("Binding Update {}, removes", update.sequence)
            } else {
                format!("Binding Update {}, {} s", update.sequence, lifetime.as_secs())
            }
        }
        MobilityMessage::BindingAcknowledgement(answer) => {
            format!("Binding Acknowledgement {}, {}", answer.sequence, answer.status)
        }
        MobilityMessage::BindingError { status, .. } => format!("Binding Error, {status:?}"),
        MobilityMessage::Unknown { kind } => format!("Mobility Header {kind}"),
    }
}

/// The first two, and how many more.
fn some(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    match all.len() {
        0 => "nothing".to_owned(),
        1 | 2 => all.join(", "),
        more => format!("{}, {} and {} more", all[0], all[1], more - 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lab::{Lab, load_lab};
    use crate::lab::sim::mac;
    use stack::wire::build::PacketBuilder;
    use stack::wire::ipv6::protocol;
    use std::path::Path;

    const AT_SECS: u64 = 6;

    struct Captures {
        lab: Lab,
        wire: Wire,
    }

    impl Captures {
        fn new() -> Self {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/lab/fig5.toml");
            Captures { lab: load_lab(&file).expect("a shipped lab"), wire: Wire::default() }
        }

        fn station(&self, name: &str) -> Station {
            Station::all(&self.lab).find(|station| station.name(&self.lab) == name).expect("it is there")
        }

        /// A packet on a link, milliseconds after the movement, to one station or to all.
        fn note(&mut self, millis: u64, from: &str, link: &str, to: Option<&str>, packet: &[u8]) {
            let of = |name: &str| mac(usize::from(self.station(name).0), 0).0;
            let to = to.map_or([0x33, 0x33, 0, 0, 0, 1], of);
            let frame = [&to[..], &of(from), &[0x86, 0xdd], packet].concat();
            let link = self.lab.link_named(link).expect("it is there");
            self.wire.note(Instant::from_millis(AT_SECS * 1000 + millis), link, &frame);
        }

        fn exchanges(&mut self) -> (Vec<Exchange>, usize) {
            self.wire.sort();
            assert!(self.wire.malformed().is_empty());
            let places = Places::new(&self.lab, Instant::from_secs(5));
            let at = Instant::from_secs(AT_SECS);
            exchanges(&self.wire, &places, at, at, Instant::from_secs(AT_SECS + 10))
        }

        fn names(&self, stations: &[Station]) -> Vec<&str> {
            stations.iter().map(|station| station.name(&self.lab)).collect()
        }
    }

    fn packet(upper: u8, message: Vec<u8>, checksum_at: usize) -> Vec<u8> {
        let address = |text: &str| text.parse().expect("an address");
        PacketBuilder::new(address("2001:db8:200:a::55"), address("2001:db8:100:1::1")).checksummed(
            upper,
            message,
            checksum_at,
        )
    }

    /// A Home Test Init with this cookie.
    fn test_init(cookie: u8) -> Vec<u8> {
        packet(protocol::MOBILITY, [&[59, 1, 1, 0, 0, 0, 0, 0][..], &[cookie; 8]].concat(), 4)
    }

    /// A Router Advertisement.
    fn advertisement() -> Vec<u8> {
        packet(protocol::ICMPV6, [&[134, 0, 0, 0][..], &[64; 12]].concat(), 2)
    }

    #[test]
    fn what_routers_pass_on_is_one_exchange() {
        let mut captures = Captures::new();
        let tunnel =
            PacketBuilder::new("2001:db8::1".parse().expect("an address"), "2001:db8::2".parse().expect("an address"));
        let inside = tunnel.payload(protocol::IPV6, &test_init(1));
        captures.note(1, "mt", "radio-a", Some("a"), &test_init(1));
        captures.note(2, "a", "core-a", Some("core"), &test_init(1));
        captures.note(2, "mt", "radio-a", Some("a"), &test_init(2));
        captures.note(4, "core", "mma1-core", Some("mma1"), &inside);
        captures.note(5, "mma1", "mma1-core", Some("core"), &test_init(1));
        captures.note(6, "core", "core-b", Some("b"), &test_init(1));
        // Sent again a second later; what becomes of it is told with the first.
        captures.note(1_100, "mt", "radio-a", Some("a"), &test_init(1));
        captures.note(1_101, "a", "core-a", Some("core"), &test_init(1));
        let (exchanges, left_out) = captures.exchanges();
        assert_eq!((exchanges.len(), left_out), (2, 0));
        let first = &exchanges[0];
        assert_eq!((first.at_us, first.last_us, first.again), (1_000, 6_000, Some((1, 1_100_000))));
        assert_eq!(captures.names(&first.through), ["a", "core", "mma1", "core"]);
        assert_eq!(captures.names(&first.receivers), ["b"]);
        assert_eq!((first.purpose, first.headline.as_str()), (Purpose::Mobility, "Home Test Init"));
        assert!(first.decoded.contains("2001:db8:200:a::55 > 2001:db8:100:1::1"));
        assert_eq!(captures.names(&exchanges[1].receivers), ["a"]);
    }

    #[test]
    fn advertisements_are_told_once_and_only_where_a_terminal_hears_them() {
        let mut captures = Captures::new();
        for millis in [10, 310, 610] {
            captures.note(millis, "b", "radio-b", None, &advertisement());
        }
        // The terminal leaves the old link half a second after the movement.
        captures.note(700, "a", "radio-a", None, &advertisement());
        let (exchanges, _) = captures.exchanges();
        assert_eq!(exchanges.len(), 1);
        assert_eq!((exchanges[0].at_us, exchanges[0].again), (10_000, Some((2, 610_000))));
        assert_eq!((exchanges[0].purpose, captures.names(&exchanges[0].receivers)), (Purpose::Discovery, vec!["mt"]));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let mut captures = Captures::new();
        for cookie in 0..=u8::MAX {
            captures.note(u64::from(cookie), "mt", "radio-a", Some("a"), &test_init(cookie));
        }
        let (exchanges, left_out) = captures.exchanges();
        assert_eq!((exchanges.len(), left_out), (MAX_EXCHANGES, 256 - MAX_EXCHANGES));
    }

    #[test]
    fn of_many_the_first_are_named() {
        let names = |count: usize| some((0..count).map(|number| number.to_string()));
        assert_eq!([names(0), names(1), names(2), names(5)], ["nothing", "0", "0, 1", "0, 1 and 3 more"]);
    }
}
