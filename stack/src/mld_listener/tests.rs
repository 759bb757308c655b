use super::*;
use crate::wire::mld::RecordType;
use proptest::prelude::*;
use std::collections::BTreeSet;

const PORT: PortId = PortId(2);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);
const OTHER: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 2);
const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10);
const QUERIER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn s(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)
}

fn include(sources: &[u16]) -> Filter {
    Filter::Include(sources.iter().map(|&n| s(n)).collect())
}

fn exclude(sources: &[u16]) -> Filter {
    Filter::Exclude(sources.iter().map(|&n| s(n)).collect())
}

struct Bed {
    listener: MldListener,
    now: Instant,
}

/// A record: type, group, sources.
type Told = (RecordType, Ipv6Addr, Vec<Ipv6Addr>);

impl Bed {
    fn new(retransmission: Retransmission) -> Self {
        let listener = MldListener::new(Config { retransmission, ..Config::mobile(3) });
        let mut bed = Bed { listener, now: Instant::from_secs(1) };
        bed.command(Command::SetSource { port: PORT, address: HOST });
        bed
    }

    fn mobile() -> Self {
        Bed::new(Config::mobile(3).retransmission)
    }

    fn command(&mut self, command: Command) {
        self.listener.handle_command(self.now, command);
    }

    fn join(&mut self, group: Ipv6Addr, filter: Filter) {
        self.command(Command::Join { port: PORT, group, filter });
    }

    fn leave(&mut self, group: Ipv6Addr) {
        self.command(Command::Leave { port: PORT, group });
    }

    fn receive(&mut self, packet: &[u8]) {
        let meta = RxMeta { port: PORT, link_source: None, link_multicast: true, tunnel: None };
        self.listener.handle_packet(self.now, &meta, packet);
    }

    fn query(&mut self, group: Ipv6Addr, sources: &[u16], delay_millis: u64) {
        let query = Query {
            group,
            max_response_delay: Duration::from_millis(delay_millis),
            suppress: false,
            robustness: 3,
            query_interval: Duration::from_secs(20),
            sources: sources.iter().map(|&n| s(n)).collect(),
        };
        self.receive(&query.packet(QUERIER));
    }

    /// Lets time pass; answers when reports left and what they said.
    fn pass(&mut self, duration: Duration) -> Vec<(u64, Vec<Told>)> {
        let start = self.now;
        let end = start + duration;
        let mut said = Vec::new();
        loop {
            let mut records = Vec::new();
            while let Some(output) = self.listener.poll_output() {
                let Output::Transmit(transmit) = output else { panic!("{output:?}") };
                assert_eq!(transmit.via, Via::Link(PORT));
                let opened = open(&transmit.packet).unwrap();
                assert_eq!(opened.source, HOST);
                let Ok(Message::Report(report)) = Message::parse(opened.message) else { panic!() };
                records.extend(report.records.into_iter().map(|r| (r.kind, r.group, r.sources)));
            }
            if !records.is_empty() {
                said.push((self.now.since(start).as_millis() as u64, records));
            }
            let Some(at) = self.listener.poll_timeout().filter(|&at| at <= end) else { break };
            self.now = at;
            self.listener.handle_timeout(at);
        }
        self.now = end;
        said
    }

    fn said(&mut self) -> Vec<Told> {
        self.pass(Duration::ZERO).into_iter().flat_map(|(_, records)| records).collect()
    }
}

fn told(kind: RecordType, sources: &[u16]) -> Told {
    (kind, GROUP, sources.iter().map(|&n| s(n)).collect())
}

const SECOND: Duration = Duration::from_secs(1);

use RecordType::{
    AllowNewSources as ALLOW, BlockOldSources as BLOCK, ChangeToExclude as TO_EX, ChangeToInclude as TO_IN,
    ModeIsExclude as IS_EX, ModeIsInclude as IS_IN,
};

#[test]
fn reports_at_once_and_again() {
    let mut bed = Bed::mobile();
    bed.join(GROUP, Filter::source(s(1)));
    let report = vec![told(ALLOW, &[1])];
    let times = [0, 10, 50, 200].map(|at| (at, report.clone()));
    assert_eq!(bed.pass(SECOND), times);
    bed.join(GROUP, Filter::source(s(1)));
    assert_eq!(bed.pass(SECOND), []);
    bed.leave(GROUP);
    let times = [0, 10, 50, 200].map(|at| (at, vec![told(BLOCK, &[1])]));
    assert_eq!(bed.pass(SECOND), times);
    assert_eq!(bed.listener.memberships().count(), 0);
    assert_eq!(bed.listener.poll_timeout(), None);
    assert_eq!(bed.listener.counters().tx_state_change, 8);
}

/// Reports are filled up to the MTU of their own link, as it is.
#[test]
fn reports_fit_the_mtu_that_was_told_last() {
    let mut bed = Bed::mobile();
    let sources: Vec<u16> = (0..64).collect();
    bed.join(GROUP, include(&sources));
    bed.join(OTHER, include(&sources[..16]));
    bed.pass(SECOND);
    let mut largest = |told: Option<(PortId, usize)>| {
        if let Some((port, mtu)) = told {
            bed.command(Command::Notice(Notice::Mtu(port, mtu)));
        }
        bed.query(Ipv6Addr::UNSPECIFIED, &[], 1);
        let at = bed.listener.poll_timeout().unwrap();
        bed.now = at;
        bed.listener.handle_timeout(at);
        let packets = core::iter::from_fn(|| bed.listener.poll_output());
        let lengths =
            packets.filter_map(|output| if let Output::Transmit(t) = output { Some(t.packet.len()) } else { None });
        lengths.max().expect("a report")
    };
    let whole = largest(Some((PORT, 1500)));
    assert!((1281..=1500).contains(&whole), "{whole}");
    assert_eq!(largest(Some((PORT, whole))), whole, "it just fits");
    let smaller = largest(Some((PORT, whole - 1)));
    assert!((1..whole).contains(&smaller), "{smaller}");
    assert_eq!(largest(Some((PortId(7), 1500))), smaller, "another port's");
    assert_eq!(largest(Some((PORT, 1500))), whole);
    // Below what every link of IPv6 has, it is taken for that.
    assert_eq!(largest(Some((PORT, 100))), largest(Some((PORT, 1280))));
}

#[test]
fn data_confirms_a_join_and_a_query_both() {
    let mut bed = Bed::mobile();
    bed.join(GROUP, Filter::source(s(1)));
    assert_eq!(bed.pass(Duration::from_millis(20)).len(), 2);
    bed.command(Command::Notice(Notice::GroupData { port: PORT, group: GROUP }));
    assert_eq!(bed.pass(SECOND), []);
    bed.leave(GROUP);
    bed.said();
    // Packets on their way say nothing about a leave.
    bed.command(Command::Confirm { port: PORT, group: GROUP });
    assert_eq!(bed.pass(Duration::from_millis(20)).len(), 1);
    bed.query(GROUP, &[1], 100);
    assert_eq!(bed.pass(SECOND), []);
    assert_eq!(bed.listener.poll_timeout(), None);
}

/// RFC 3810 §6.1: the table of state changes, from each state to each.
#[test]
fn state_change_table() {
    type Row = (Filter, Filter, Vec<Told>);
    let rows: Vec<Row> = vec![
        (Filter::NONE, include(&[1, 2]), vec![told(ALLOW, &[1, 2])]),
        (Filter::NONE, exclude(&[]), vec![told(TO_EX, &[])]),
        (include(&[1, 2]), include(&[2, 3]), vec![told(ALLOW, &[3]), told(BLOCK, &[1])]),
        (include(&[1]), include(&[1, 2]), vec![told(ALLOW, &[2])]),
        (exclude(&[1, 2]), exclude(&[2, 3]), vec![told(ALLOW, &[1]), told(BLOCK, &[3])]),
        (include(&[1]), exclude(&[2]), vec![told(TO_EX, &[2])]),
        (exclude(&[1]), include(&[2]), vec![told(TO_IN, &[2])]),
        (exclude(&[1]), Filter::NONE, vec![told(TO_IN, &[])]),
        (include(&[1]), Filter::NONE, vec![told(BLOCK, &[1])]),
        (exclude(&[1]), exclude(&[1]), vec![]),
    ];
    for (before, after, expected) in rows {
        let mut bed = Bed::mobile();
        bed.join(GROUP, before);
        bed.pass(SECOND);
        bed.join(GROUP, after);
        assert_eq!(bed.said(), expected);
    }
}

/// RFC 3810 §6.1: a change while an earlier one is still being repeated.
#[test]
fn changes_merge() {
    let mut bed = Bed::new(Retransmission::Random(SECOND));
    bed.join(GROUP, include(&[1]));
    assert_eq!(bed.said(), [told(ALLOW, &[1])]);
    bed.join(GROUP, include(&[1, 2]));
    assert_eq!(bed.said(), [told(ALLOW, &[1, 2])]);
    // Source 1 was told twice, source 2 once.
    let rest: Vec<_> = bed.pass(Duration::from_secs(5)).into_iter().map(|(_, records)| records).collect();
    assert_eq!(rest, [vec![told(ALLOW, &[2])]]);
    bed.join(GROUP, exclude(&[3]));
    assert_eq!(bed.said(), [told(TO_EX, &[3])]);
    bed.join(GROUP, exclude(&[4]));
    assert_eq!(bed.said(), [told(TO_EX, &[4])]);
    // The filter mode was told twice; what changed since follows, twice.
    let rest: Vec<_> = bed.pass(Duration::from_secs(5)).into_iter().map(|(_, records)| records).collect();
    assert_eq!(rest, vec![vec![told(ALLOW, &[3]), told(BLOCK, &[4])]; 2]);
    // Joined and left at once: the router is told that it is left, as often.
    bed.leave(GROUP);
    assert_eq!(bed.said(), [told(TO_IN, &[])]);
    assert_eq!(bed.pass(Duration::from_secs(5)).len(), 1);
}

/// RFC 3810 §6.2 and §6.3: what is answered to which query.
#[test]
fn answers_to_queries() {
    type Row = (Filter, &'static [u16], Option<Told>);
    let rows: [Row; 8] = [
        (include(&[1, 2]), &[], Some(told(IS_IN, &[1, 2]))),
        (exclude(&[1]), &[], Some(told(IS_EX, &[1]))),
        (include(&[1, 2]), &[2, 3], Some(told(IS_IN, &[2]))),
        (include(&[1, 2]), &[3], None),
        (exclude(&[1]), &[1, 2], Some(told(IS_IN, &[2]))),
        (exclude(&[1]), &[1], None),
        (exclude(&[]), &[1], Some(told(IS_IN, &[1]))),
        (include(&[1]), &[1], Some(told(IS_IN, &[1]))),
    ];
    for (filter, sources, expected) in rows {
        let mut bed = Bed::mobile();
        bed.join(GROUP, filter);
        bed.pass(SECOND);
        bed.query(GROUP, sources, 500);
        let said: Vec<Told> = bed.pass(Duration::from_millis(500)).into_iter().flat_map(|(_, r)| r).collect();
        assert_eq!(said, expected.into_iter().collect::<Vec<_>>());
    }
    let mut bed = Bed::mobile();
    bed.query(Ipv6Addr::UNSPECIFIED, &[], 500);
    bed.query(GROUP, &[], 500);
    assert_eq!((bed.pass(SECOND), bed.listener.poll_timeout()), (vec![], None));
    bed.join(GROUP, include(&[1]));
    bed.join(OTHER, Filter::any());
    bed.pass(SECOND);
    bed.query(Ipv6Addr::UNSPECIFIED, &[], 500);
    let said = bed.pass(Duration::from_millis(500));
    assert_eq!(said.len(), 1);
    // In the order of the groups.
    assert_eq!(said[0].1, [(IS_EX, OTHER, vec![]), told(IS_IN, &[1])]);
}

#[test]
fn pending_answers_merge() {
    let mut bed = Bed::mobile();
    bed.join(GROUP, include(&[1, 2, 3]));
    bed.pass(SECOND);
    // Rule 5: the sources of both queries, once.
    bed.query(GROUP, &[1], 500);
    bed.query(GROUP, &[3, 9], 500);
    let said = bed.pass(Duration::from_millis(500));
    assert_eq!((said.len(), &said[0].1[..]), (1, &[told(IS_IN, &[1, 3])][..]));
    // Rule 4: the whole group, once, whichever came first.
    for (first, second) in [(&[1][..], &[][..]), (&[], &[1])] {
        bed.query(GROUP, first, 500);
        bed.query(GROUP, second, 500);
        let said = bed.pass(Duration::from_millis(500));
        assert_eq!((said.len(), &said[0].1[..]), (1, &[told(IS_IN, &[1, 2, 3])][..]));
    }
    // Rule 1: a general answer that comes sooner does.
    bed.query(Ipv6Addr::UNSPECIFIED, &[], 1);
    bed.query(GROUP, &[], 1_000_000);
    let said = bed.pass(Duration::from_secs(2000));
    assert_eq!(said.len(), 1);
    // A list of sources without end is answered for the whole group.
    bed.query(GROUP, &(1..=80).collect::<Vec<u16>>(), 500);
    assert_eq!(bed.pass(Duration::from_millis(500))[0].1, [told(IS_IN, &[1, 2, 3])]);
}

#[test]
fn nothing_without_a_source_address() {
    let mut bed = Bed { listener: MldListener::new(Config::mobile(3)), now: Instant::ORIGIN };
    bed.join(GROUP, include(&[1]));
    bed.join(OTHER, Filter::any());
    bed.leave(OTHER);
    bed.query(GROUP, &[], 10);
    assert_eq!((bed.pass(SECOND), bed.listener.poll_timeout()), (vec![], None));
    bed.command(Command::SetSource { port: PORT, address: Ipv6Addr::UNSPECIFIED });
    bed.command(Command::SetSource { port: PORT, address: s(1) });
    assert_eq!((bed.said(), bed.listener.counters().drop_command), (vec![], 2));
    bed.command(Command::SetSource { port: PORT, address: HOST });
    assert_eq!(bed.pass(SECOND).len(), 4);
    bed.leave(GROUP);
    assert_eq!(bed.said(), [told(BLOCK, &[1])]);
    bed.command(Command::ClearSource(PORT));
    assert_eq!((bed.pass(SECOND), bed.listener.poll_timeout()), (vec![], None));
}

#[test]
fn a_link_that_comes_back_is_told_everything() {
    let mut bed = Bed::mobile();
    bed.join(GROUP, include(&[1]));
    bed.said();
    bed.command(Command::Notice(Notice::LinkDown(PORT)));
    assert_eq!(bed.pass(SECOND), []);
    bed.join(OTHER, Filter::any());
    bed.command(Command::Notice(Notice::LinkUp(PORT)));
    assert_eq!(bed.said(), [(TO_EX, OTHER, vec![]), told(ALLOW, &[1])]);
    bed.command(Command::Notice(Notice::LinkUp(PORT)));
    assert_eq!(bed.said(), []);
}

#[test]
fn the_querier_says_how_robust() {
    let mut bed = Bed::new(Retransmission::Random(SECOND));
    bed.join(GROUP, include(&[1]));
    assert_eq!(bed.pass(Duration::from_secs(5)).len(), 2);
    bed.query(Ipv6Addr::UNSPECIFIED, &[], 1);
    bed.pass(SECOND);
    bed.join(GROUP, include(&[1, 2]));
    assert_eq!(bed.pass(Duration::from_secs(5)).len(), 3);
}

#[test]
fn refused_packets_and_commands() {
    let mut bed = Bed::mobile();
    bed.join(ALL_NODES, Filter::any());
    bed.join("ff01::5".parse().unwrap(), Filter::any());
    bed.join(s(1), Filter::any());
    bed.join(GROUP, Filter::source(OTHER));
    bed.join(GROUP, include(&(1..=65).collect::<Vec<u16>>()));
    assert_eq!((bed.said(), bed.listener.counters().drop_command), (vec![], 5));
    for n in 0..300 {
        bed.join(Ipv6Addr::new(0xff35, 0, 0, 0, 1, 0, 0, n), Filter::any());
    }
    assert_eq!(bed.listener.counters().drop_command, 5 + 44);
    let query = Query {
        group: GROUP,
        max_response_delay: SECOND,
        suppress: false,
        robustness: 2,
        query_interval: SECOND,
        sources: vec![],
    };
    bed.receive(&query.packet(s(1)));
    bed.receive(&query.packet(Ipv6Addr::UNSPECIFIED));
    let mut far = query.packet(QUERIER);
    far[7] = 64;
    bed.receive(&far);
    let mut bad = query.packet(QUERIER);
    bad[50] ^= 1;
    bed.receive(&bad);
    let counters = bed.listener.counters();
    assert_eq!((counters.drop_source, counters.drop_hop_limit, counters.drop_checksum), (2, 1, 1));
    assert_eq!(counters.rx_group_query, 0);
}

/// What a router that hears every report believes (RFC 3810 §7.4, without timers).
#[derive(Default, Debug)]
struct RouterView(BTreeMap<Ipv6Addr, (bool, BTreeSet<Ipv6Addr>)>);

impl RouterView {
    fn hear(&mut self, (kind, group, sources): &Told) {
        let (exclude, list) = self.0.entry(*group).or_default();
        let sources: BTreeSet<Ipv6Addr> = sources.iter().copied().collect();
        match kind {
            IS_IN | TO_IN => (*exclude, *list) = (false, sources),
            IS_EX | TO_EX => (*exclude, *list) = (true, sources),
            ALLOW if *exclude => list.retain(|source| !sources.contains(source)),
            ALLOW => list.extend(sources),
            BLOCK if *exclude => list.extend(sources),
            BLOCK => list.retain(|source| !sources.contains(source)),
        }
        self.0.retain(|_, (exclude, list)| *exclude || !list.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is joined and left: a router that hears the reports knows exactly that.
    #[test]
    fn random_operations(random: bool, steps in prop::collection::vec((0..8u8, 0..3u16, prop::collection::btree_set(1..5u16, 0..4), 0..300u64), 1..60)) {
        let schedule = Config::mobile(1).retransmission;
        let mut bed = Bed::new(if random { Retransmission::Random(SECOND) } else { schedule });
        let mut router = RouterView::default();
        for (kind, group, sources, millis) in steps {
            let group = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, group);
            let list: Vec<u16> = sources.into_iter().collect();
            match kind {
                0..=2 => bed.join(group, include(&list)),
                3 => bed.join(group, exclude(&list)),
                4 => bed.leave(group),
                5 => bed.query(group, &[], millis),
                6 => bed.query(Ipv6Addr::UNSPECIFIED, &[], millis),
                _ => bed.command(Command::Confirm { port: PORT, group }),
            }
            for record in bed.pass(Duration::from_millis(millis)).into_iter().flat_map(|(_, records)| records) {
                router.hear(&record);
            }
            let wanted: BTreeMap<_, _> = bed.listener.memberships().map(|(_, group, filter)| {
                (group, (matches!(filter, Filter::Exclude(_)), filter.sources().clone()))
            }).collect();
            prop_assert_eq!(&router.0, &wanted);
        }
        bed.pass(Duration::from_secs(60));
        prop_assert_eq!(bed.listener.poll_timeout(), None);
    }

    #[test]
    fn hostile_packets(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bed = Bed::mobile();
        bed.receive(&bytes);
        prop_assert_eq!(bed.said(), []);
    }
}

/// The access router that each packet since the last call names, and how many records it has.
fn named(bed: &mut Bed) -> Vec<(Option<crate::wire::mld::extension::AccessRouter>, usize)> {
    let mut named = Vec::new();
    while let Some(output) = bed.listener.poll_output() {
        let Output::Transmit(transmit) = output else { continue };
        let message = open(&transmit.packet).unwrap().message;
        let Ok(Message::Report(report)) = Message::parse(message) else { panic!() };
        let extensions = crate::wire::mld::extension::Extensions::of_report(message).unwrap();
        named.push((extensions.access_router(), report.records.len()));
    }
    named
}

#[test]
fn reports_of_changes_name_the_router_before() {
    use crate::wire::mld::extension::AccessRouter::Previous;
    let mut bed = Bed::mobile();
    bed.command(Command::CameFrom { port: PORT, router: Some(s(0xa)) });
    bed.join(GROUP, include(&[1]));
    assert_eq!(named(&mut bed), [(Some(Previous(s(0xa))), 1)]);
    for expected in [Some(Previous(s(0xa))), None] {
        let at = bed.listener.poll_timeout().unwrap();
        bed.now = at;
        bed.listener.handle_timeout(at);
        assert_eq!(named(&mut bed), [(expected, 1)], "each repetition, as long as it holds");
        bed.command(Command::CameFrom { port: PORT, router: None });
    }
}

#[test]
fn the_next_router_is_named_in_reports_of_what_is_listened_to() {
    use crate::wire::mld::extension::AccessRouter::Candidate;
    let mut bed = Bed::mobile();
    bed.command(Command::GoesTo { port: PORT, router: s(0xb) });
    assert_eq!(named(&mut bed), [], "nothing is listened to");
    bed.join(GROUP, include(&[1]));
    bed.join(OTHER, exclude(&[]));
    for group in [GROUP, OTHER] {
        bed.command(Command::Confirm { port: PORT, group });
    }
    named(&mut bed);
    let start = bed.now;
    bed.command(Command::GoesTo { port: PORT, router: s(0xb) });
    let mut times = Vec::new();
    loop {
        let sent = named(&mut bed);
        if !sent.is_empty() {
            assert_eq!(sent, [(Some(Candidate(s(0xb))), 2)]);
            times.push((bed.now - start).as_millis());
        }
        let Some(at) = bed.listener.poll_timeout() else { break };
        bed.now = at;
        bed.listener.handle_timeout(at);
    }
    assert_eq!(times, [0, 10, 50, 200]);
    // A link that goes takes it along.
    bed.command(Command::GoesTo { port: PORT, router: s(0xb) });
    named(&mut bed);
    bed.command(Command::Notice(Notice::LinkDown(PORT)));
    assert_eq!(bed.listener.poll_timeout(), None);
}
