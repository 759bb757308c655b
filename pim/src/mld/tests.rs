//! The router's tables of RFC 3810 §7 as data, held against a querier and against a router that is none: every filter
//! mode with every type of record, and with every combination of lists out of three sources.

use super::{FilterMode, GroupView, LinkRouters, Membership, Querier, QuerierState, Reporter};
use crate::config::{Config, InterfaceConfig, Limits, MldConfig};
use crate::counters::Counters;
use FilterMode::{Exclude, Include};
use RecordType::{
    AllowNewSources as ALLOW, BlockOldSources as BLOCK, ChangeToExclude as TO_EX, ChangeToInclude as TO_IN,
    ModeIsExclude as IS_EX, ModeIsInclude as IS_IN,
};
use core::net::Ipv6Addr;
use stack::machine::PortId;
use stack::rng::Rng;
use stack::time::{Duration, Instant};
use stack::wire::mld::{self, Message, Query, Record, RecordType, Report};
use std::collections::BTreeMap;

/// Multicast Address Listening Interval and Last Listener Query Time with the default values (§9.4, §9.10).
const MALI: Duration = Duration::from_secs(260);
const LLQT: Duration = Duration::from_secs(2);
const LLQI: Duration = Duration::from_secs(1);

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);
const OWN: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, 0);
const LOWER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);
const LOWEST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const HIGHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 2, 0);
const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 7, 0, 1);

/// Sources, a bit each.
type Set = u8;
/// How many there are.
const SOURCES: u8 = 3;
const ALL: Set = (1 << SOURCES) - 1;

fn address(source: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(source) + 1)
}

fn addresses(set: Set) -> Vec<Ipv6Addr> {
    (0..SOURCES).filter(|source| set >> source & 1 == 1).map(address).collect()
}

fn set_of(addresses: impl IntoIterator<Item = Ipv6Addr>) -> Set {
    addresses.into_iter().map(|address| 1 << (address.segments()[7] - 1)).sum()
}

/// Whether the router asks, or another one does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Querier,
    NonQuerier,
}

/// A query as it left: after so long, the S flag, its sources; the general ones are left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    at: Duration,
    suppress: bool,
    sources: Set,
}

fn asked(at: Duration, suppress: bool, sources: Set) -> Asked {
    Asked { at, suppress, sources }
}

/// A router on a link.
struct Bed {
    querier: Querier,
    counters: Counters,
    now: Instant,
    /// What its changes add up to.
    told: BTreeMap<Ipv6Addr, Membership>,
}

impl Bed {
    fn new(role: Role, mld: &MldConfig) -> Self {
        let interface = InterfaceConfig::new(PortId(0), OWN, 1500);
        let limits = Limits { sources_per_group: 200, ..Limits::default() };
        let config = Config { limits, ..Config::new(Vec::new(), 1) };
        let mut querier = Querier::new(&config, &interface, mld, Rng::new(7));
        querier.start(Instant::ORIGIN);
        let mut bed = Bed { querier, counters: Counters::default(), now: Instant::ORIGIN, told: BTreeMap::new() };
        if role == Role::NonQuerier {
            bed.hear_query(LOWER, Ipv6Addr::UNSPECIFIED, false, 0);
        }
        bed
    }

    /// Time passes; the queries for the group that leave, as from `start`.
    fn run_until(&mut self, start: Instant, end: Instant) -> Vec<Asked> {
        let mut queries = Vec::new();
        loop {
            while let Some(packet) = self.querier.poll_packet() {
                let opened = mld::open(&packet).unwrap();
                let Ok(Message::Query(query)) = Message::parse(opened.message) else { panic!("no query") };
                if query.group == GROUP {
                    assert_eq!((opened.destination, query.max_response_delay), (GROUP, LLQI));
                    queries.push(asked(self.now - start, query.suppress, set_of(query.sources)));
                }
            }
            let Some(at) = self.querier.poll_timeout().filter(|&at| at <= end) else { break };
            self.now = at;
            self.querier.handle_timeout(at);
        }
        self.now = end;
        queries
    }

    fn hear(&mut self, kind: RecordType, sources: Set) {
        let record = Record { kind, group: GROUP, sources: addresses(sources) };
        let report = Report { records: vec![record] };
        let reporter = Reporter::new(HOST, None);
        self.querier.handle_report(self.now, reporter, &report, LinkRouters::Alone, &mut self.counters);
    }

    fn hear_query(&mut self, from: Ipv6Addr, group: Ipv6Addr, suppress: bool, sources: Set) {
        let query = Query {
            group,
            max_response_delay: LLQI,
            suppress,
            robustness: 2,
            query_interval: Duration::from_secs(125),
            sources: addresses(sources),
        };
        self.querier.handle_query(self.now, from, &query, &mut self.counters);
    }

    fn view(&self) -> Option<GroupView> {
        self.querier.groups().next()
    }

    /// Whether packets of this source would be forwarded (§7.3).
    fn forwards(&self, source: u8) -> bool {
        let Some(view) = self.view() else { return false };
        let record = view.sources.iter().find(|record| record.address == address(source));
        match view.mode {
            Include => record.is_some(),
            Exclude => record.is_none_or(|record| record.expires.is_some()),
        }
    }

    /// What the router knows: mode, Include or Requested List, Exclude List. No record is INCLUDE of nothing.
    fn state(&self) -> State {
        let Some(view) = self.view() else { return State { mode: Include, x: 0, y: 0 } };
        let of = |running: bool| {
            set_of(
                view.sources.iter().filter(|source| source.expires.is_some() == running).map(|source| source.address),
            )
        };
        State { mode: view.mode, x: of(true), y: of(false) }
    }

    /// What the router has told so far, of all sources (the unspecified address) and of each; every change is one.
    fn told(&mut self) -> &BTreeMap<Ipv6Addr, Membership> {
        while let Some(change) = self.querier.poll_change() {
            let before = self.told.remove(&change.source);
            let after = (change.membership != Membership::Left).then_some(change.membership);
            assert_ne!(before, after, "{change:?}");
            self.told.extend(after.map(|after| (change.source, after)));
        }
        &self.told
    }

    fn source_timer(&self, source: u8) -> Option<Instant> {
        let view = self.view()?;
        view.sources.iter().find(|record| record.address == address(source))?.expires
    }

    fn filter_timer(&self) -> Option<Instant> {
        self.view()?.filter_timer
    }
}

/// INCLUDE (x), or EXCLUDE (x,y).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct State {
    mode: FilterMode,
    x: Set,
    y: Set,
}

impl State {
    /// local_receiver_include(*,G,I) as the unspecified address, local_receiver_include(S,G,I) and
    /// local_receiver_exclude(S,G,I) (RFC 7761 §4.1.5).
    fn memberships(self) -> BTreeMap<Ipv6Addr, Membership> {
        let all = (self.mode == Exclude).then_some(Ipv6Addr::UNSPECIFIED);
        let joined = all.into_iter().chain(addresses(self.x)).map(|source| (source, Membership::Joined));
        joined.chain(addresses(self.y).into_iter().map(|source| (source, Membership::Excluded))).collect()
    }
}

fn include(x: Set) -> State {
    State { mode: Include, x, y: 0 }
}

fn exclude(x: Set, y: Set) -> State {
    State { mode: Exclude, x, y }
}

fn states() -> impl Iterator<Item = State> {
    let lists = (0..=ALL).flat_map(|x| (0..=ALL).map(move |y| (x, y))).filter(|(x, y)| x & y == 0);
    (0..=ALL).map(include).chain(lists.map(|(x, y)| exclude(x, y)))
}

/// A router in this state, whose filter timer was set at [`FILTER_SET`] and its source timers at [`SOURCES_SET`].
fn in_state(role: Role, state: State) -> Bed {
    let mut bed = Bed::new(role, &MldConfig::default());
    bed.run_until(Instant::ORIGIN, FILTER_SET);
    if state.mode == Exclude {
        bed.hear(TO_EX, state.y);
    }
    bed.run_until(Instant::ORIGIN, SOURCES_SET);
    bed.hear(ALLOW, state.x);
    bed.run_until(Instant::ORIGIN, NOW);
    assert_eq!(bed.state(), state);
    bed
}

const FILTER_SET: Instant = Instant::from_secs(100);
const SOURCES_SET: Instant = Instant::from_secs(110);
/// When the record comes.
const NOW: Instant = Instant::from_secs(200);

/// What a timer is set to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Timer {
    /// What it was.
    Kept,
    Mali,
    /// What the filter timer has left.
    Filter,
}

/// The lists of a state and of the record: `x` is the Include List or the Requested List, `y` the Exclude List.
struct Lists {
    x: Set,
    y: Set,
    b: Set,
}

/// A line of a table.
struct Row {
    section: &'static str,
    mode: FilterMode,
    kind: RecordType,
    /// The new state.
    becomes: fn(&Lists) -> State,
    /// These sources' timers are set; the others keep theirs, and those of the new Exclude List have none.
    sets: fn(&Lists) -> Set,
    to: Timer,
    filter: Timer,
    /// Q(MA,X): these are asked for.
    asks: fn(&Lists) -> Set,
    /// Q(MA).
    asks_for_group: bool,
}

const NOTHING: fn(&Lists) -> Set = |_| 0;

#[rustfmt::skip]
const TABLE: [Row; 12] = [
    Row { section: "7.4.1", mode: Include, kind: IS_IN, becomes: |l| include(l.x | l.b),
          sets: |l| l.b, to: Timer::Mali, filter: Timer::Kept, asks: NOTHING, asks_for_group: false },
    Row { section: "7.4.1", mode: Include, kind: IS_EX, becomes: |l| exclude(l.x & l.b, l.b & !l.x),
          sets: NOTHING, to: Timer::Kept, filter: Timer::Mali, asks: NOTHING, asks_for_group: false },
    Row { section: "7.4.1", mode: Exclude, kind: IS_IN, becomes: |l| exclude(l.x | l.b, l.y & !l.b),
          sets: |l| l.b, to: Timer::Mali, filter: Timer::Kept, asks: NOTHING, asks_for_group: false },
    Row { section: "7.4.1", mode: Exclude, kind: IS_EX, becomes: |l| exclude(l.b & !l.y, l.y & l.b),
          sets: |l| l.b & !l.x & !l.y, to: Timer::Mali, filter: Timer::Mali, asks: NOTHING, asks_for_group: false },
    Row { section: "7.4.2", mode: Include, kind: ALLOW, becomes: |l| include(l.x | l.b),
          sets: |l| l.b, to: Timer::Mali, filter: Timer::Kept, asks: NOTHING, asks_for_group: false },
    Row { section: "7.4.2", mode: Include, kind: BLOCK, becomes: |l| include(l.x),
          sets: NOTHING, to: Timer::Kept, filter: Timer::Kept, asks: |l| l.x & l.b, asks_for_group: false },
    Row { section: "7.4.2", mode: Include, kind: TO_EX, becomes: |l| exclude(l.x & l.b, l.b & !l.x),
          sets: NOTHING, to: Timer::Kept, filter: Timer::Mali, asks: |l| l.x & l.b, asks_for_group: false },
    Row { section: "7.4.2", mode: Include, kind: TO_IN, becomes: |l| include(l.x | l.b),
          sets: |l| l.b, to: Timer::Mali, filter: Timer::Kept, asks: |l| l.x & !l.b, asks_for_group: false },
    Row { section: "7.4.2", mode: Exclude, kind: ALLOW, becomes: |l| exclude(l.x | l.b, l.y & !l.b),
          sets: |l| l.b, to: Timer::Mali, filter: Timer::Kept, asks: NOTHING, asks_for_group: false },
    Row { section: "7.4.2", mode: Exclude, kind: BLOCK, becomes: |l| exclude(l.x | l.b & !l.y, l.y),
          sets: |l| l.b & !l.x & !l.y, to: Timer::Filter, filter: Timer::Kept,
          asks: |l| l.b & !l.y, asks_for_group: false },
    Row { section: "7.4.2", mode: Exclude, kind: TO_EX, becomes: |l| exclude(l.b & !l.y, l.y & l.b),
          sets: |l| l.b & !l.x & !l.y, to: Timer::Filter, filter: Timer::Mali,
          asks: |l| l.b & !l.y, asks_for_group: false },
    Row { section: "7.4.2", mode: Exclude, kind: TO_IN, becomes: |l| exclude(l.x | l.b, l.y & !l.b),
          sets: |l| l.b, to: Timer::Mali, filter: Timer::Kept, asks: |l| l.x & !l.b, asks_for_group: true },
];

/// One line with one choice of lists.
fn check(role: Role, row: &Row, state: State, b: Set) {
    let lists = Lists { x: state.x, y: state.y, b };
    let what = format!("§{} {role:?} {state:?} {:?} {b:03b}", row.section, row.kind);
    let mut bed = in_state(role, state);
    bed.hear(row.kind, b);
    let expected = (row.becomes)(&lists);
    assert_eq!(bed.state(), expected, "{what}");
    assert_eq!(*bed.told(), expected.memberships(), "{what}: told");

    // The querier lowers the timers of what it asks for, and asks again (§7.6.3); another router waits for its queries.
    let (asks, asks_for_group) = match role {
        Role::Querier => ((row.asks)(&lists), row.asks_for_group),
        Role::NonQuerier => (0, false),
    };
    let filter_before = FILTER_SET + MALI;
    let filter = match row.filter {
        _ if expected.mode == Include => None,
        Timer::Kept if asks_for_group => Some(NOW + LLQT),
        Timer::Kept | Timer::Filter => Some(filter_before),
        Timer::Mali => Some(NOW + MALI),
    };
    assert_eq!(bed.filter_timer(), filter, "{what}: filter timer");
    for source in 0..SOURCES {
        let bit = 1 << source;
        let timer = match row.to {
            _ if expected.x & bit == 0 => None,
            _ if asks & bit != 0 => Some(NOW + LLQT),
            Timer::Mali if (row.sets)(&lists) & bit != 0 => Some(NOW + MALI),
            Timer::Filter if (row.sets)(&lists) & bit != 0 => Some(filter_before),
            _ => Some(SOURCES_SET + MALI),
        };
        assert_eq!(bed.source_timer(source), timer, "{what}: timer of {source}");
    }
    let round = |at: Duration| {
        let group = asks_for_group.then_some(asked(at, false, 0));
        group.into_iter().chain((asks != 0).then_some(asked(at, false, asks)))
    };
    let queries = bed.run_until(NOW, NOW + LLQT);
    assert_eq!(queries, round(Duration::ZERO).chain(round(LLQI)).collect::<Vec<_>>(), "{what}: queries");

    // Nobody has answered.
    let left = expected.x & !asks;
    let silence = match expected.mode {
        Exclude if !asks_for_group => exclude(left, expected.y | asks),
        _ => include(left),
    };
    assert_eq!(bed.state(), silence, "{what}: after silence");
    assert_eq!(*bed.told(), silence.memberships(), "{what}: told after silence");
    for source in 0..SOURCES {
        let excluded = silence.y >> source & 1 == 1;
        assert_eq!(bed.querier.is_excluded(GROUP, address(source)), excluded, "{what}: {source} after silence");
    }
    bed.querier.stop();
    assert_eq!(*bed.told(), BTreeMap::new(), "{what}: the link is down");
}

/// §7.4.1, §7.4.2 with §7.6.3, §7.2.3 and §7.5.
#[test]
fn every_state_and_record() {
    let mut cases = 0;
    for state in states() {
        for kind in [IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK] {
            let mut rows = TABLE.iter().filter(|row| row.mode == state.mode && row.kind == kind);
            let (Some(row), None) = (rows.next(), rows.next()) else { panic!("{state:?} {kind:?} has not one row") };
            for b in 0..=ALL {
                for role in [Role::Querier, Role::NonQuerier] {
                    check(role, row, state, b);
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, (8 + 27) * 6 * 8 * 2);
}

/// §7.2.2 and §7.5: mode, whether the filter timer has run out, requested sources, and what becomes of it.
#[test]
fn the_filter_timer() {
    let before = FILTER_SET + (MALI - Duration::from_millis(1));
    for (section, state, until, expected, forwards_others) in [
        ("7.2.2 in INCLUDE mode it is not used", include(0b001), FILTER_SET + MALI, include(0b001), false),
        ("7.2.2 while it runs there is a listener", exclude(0b001, 0b010), before, exclude(0b001, 0b010), true),
        ("7.2.2 at zero, nothing requested", exclude(0, 0b010), FILTER_SET + MALI, include(0), false),
        ("7.2.2 at zero, nothing in either list", exclude(0, 0), FILTER_SET + MALI, include(0), false),
        ("7.5 at zero the requested sources stay", exclude(0b001, 0b010), FILTER_SET + MALI, include(0b001), false),
        ("7.5 at zero with all requested", exclude(ALL, 0), FILTER_SET + MALI, include(ALL), false),
    ] {
        for role in [Role::Querier, Role::NonQuerier] {
            let mut bed = in_state(role, state);
            assert_eq!(bed.run_until(NOW, until), [], "§{section}");
            assert_eq!(
                (bed.state(), bed.forwards(2)),
                (expected, forwards_others || expected.x & 0b100 != 0),
                "§{section}"
            );
            assert_eq!(bed.filter_timer().is_some(), expected.mode == Exclude, "§{section}");
            assert_eq!(bed.view().is_none(), expected == include(0), "§{section}: the record");
        }
    }
}

/// §7.2.3: mode, whether a source's timer runs, has run out, or whether there is no record of it, and whether its packets
/// are forwarded.
#[test]
fn the_source_timers() {
    let (running, over) = (SOURCES_SET + MALI / 2, SOURCES_SET + MALI);
    // Source 0 is the one looked at; in EXCLUDE mode the filter timer is refreshed so that it outlives the source.
    for (section, state, at, expected, forwards) in [
        ("7.2.3 INCLUDE, running", include(0b001), running, include(0b001), true),
        ("7.2.3 INCLUDE, zero: the record goes, and the group's", include(0b001), over, include(0), false),
        ("7.2.3 INCLUDE, no record", include(0b010), running, include(0b010), false),
        ("7.2.3 EXCLUDE, running", exclude(0b001, 0b010), running, exclude(0b001, 0b010), true),
        ("7.2.3 EXCLUDE, zero: to the Exclude List", exclude(0b001, 0b010), over, exclude(0, 0b011), false),
        ("7.2.3 EXCLUDE, in the Exclude List", exclude(0, 0b001), running, exclude(0, 0b001), false),
        ("7.2.3 EXCLUDE, no record", exclude(0, 0b010), running, exclude(0, 0b010), true),
    ] {
        for role in [Role::Querier, Role::NonQuerier] {
            let mut bed = in_state(role, state);
            if state.mode == Exclude {
                bed.hear(IS_EX, state.x | state.y);
            }
            assert_eq!(bed.run_until(NOW, at), [], "§{section}");
            assert_eq!((bed.state(), bed.forwards(0)), (expected, forwards), "§{section}");
            assert_eq!(*bed.told(), expected.memberships(), "§{section}");
            assert_eq!(bed.view().is_none(), expected == include(0), "§{section}: the record");
        }
    }
    let mut bed = in_state(Role::Querier, include(0b001));
    bed.hear(ALLOW, 0b010);
    bed.run_until(NOW, over);
    assert_eq!(bed.state(), include(0b010), "§7.2.3 INCLUDE, zero: other records keep the group's");
}

/// §7.6.1: which timers a query lowers, in either role, and whatever its sender.
#[test]
fn queries_lower_timers() {
    let (kept, low) = (None, Some(LLQT));
    let none = Ipv6Addr::UNSPECIFIED;
    for (section, state, group, suppress, sources, filter, source_0) in [
        ("7.6.1 Q(MA)", exclude(0b001, 0b010), GROUP, false, 0, low, kept),
        ("7.6.1 Q(MA) in INCLUDE mode", include(0b001), GROUP, false, 0, kept, kept),
        ("7.6.1 Q(MA,A)", exclude(0b001, 0b010), GROUP, false, 0b001, kept, low),
        ("7.6.1 Q(MA,A) in INCLUDE mode", include(0b001), GROUP, false, 0b001, kept, low),
        ("7.6.1 Q(MA,A) of others", exclude(0b001, 0b010), GROUP, false, 0b110, kept, kept),
        ("7.6.1 Q(MA) with S", exclude(0b001, 0b010), GROUP, true, 0, kept, kept),
        ("7.6.1 Q(MA,A) with S", exclude(0b001, 0b010), GROUP, true, 0b001, kept, kept),
        ("7.6.1 Q(MA,A) with S in INCLUDE mode", include(0b001), GROUP, true, 0b001, kept, kept),
        ("5.1.13 general", exclude(0b001, 0b010), none, false, 0, kept, kept),
        ("5.1.13 general in INCLUDE mode", include(0b001), none, false, 0, kept, kept),
    ] {
        for role in [Role::Querier, Role::NonQuerier] {
            for from in [LOWER, HIGHER] {
                let mut bed = in_state(role, state);
                let before = (bed.filter_timer(), bed.source_timer(0));
                bed.hear_query(from, group, suppress, sources);
                let lowered =
                    |low: Option<Duration>, before: Option<Instant>| low.map_or(before, |low| Some(NOW + low));
                let expected = (lowered(filter, before.0), lowered(source_0, before.1));
                assert_eq!((bed.filter_timer(), bed.source_timer(0)), expected, "§{section}, {role:?} from {from}");
                assert_eq!(bed.state(), state, "§{section}");
                // A second one never raises them.
                bed.run_until(NOW, NOW + LLQI);
                bed.hear_query(from, group, suppress, sources);
                assert_eq!((bed.filter_timer(), bed.source_timer(0)), expected, "§{section}, again");
            }
        }
    }
    // A source of the Exclude List stays there, and one without a record gets none.
    let mut bed = in_state(Role::NonQuerier, exclude(0, 0b010));
    bed.hear_query(LOWER, GROUP, false, 0b011);
    assert_eq!(bed.state(), exclude(0, 0b010));
}

/// §7.6.2: state, event, new state, and whether the Other Querier Present timer is set anew (§9.5).
#[test]
fn the_election() {
    let other = |querier| QuerierState::NonQuerier { querier, robustness: 2, query_interval: Duration::from_secs(125) };
    let querier = QuerierState::Querier { startup_left: 0 };
    let starting = QuerierState::Querier { startup_left: 1 };
    let timeout = Duration::from_secs(2 * 125 + 5);
    // The same interface identifier with other bits in front of it is not lower.
    let same = Ipv6Addr::from_bits(OWN.to_bits() - (1 << 64));
    for (section, before, from, after, is_timer_set) in [
        ("7.6.2 starting, lower", starting, LOWER, other(LOWER), true),
        ("7.6.2 starting, higher", starting, HIGHER, starting, false),
        ("7.6.2 querier, lower", querier, LOWER, other(LOWER), true),
        ("7.6.2 querier, higher", querier, HIGHER, querier, false),
        ("7.6.2 querier, itself", querier, OWN, querier, false),
        ("7.6.2 querier, lower in front of the identifier", querier, same, querier, false),
        ("7.6.2 another, the same again", other(LOWER), LOWER, other(LOWER), true),
        ("7.6.2 another, a lower one", other(LOWER), LOWEST, other(LOWEST), true),
        ("7.6.2 another, one that is higher than it, and lower", other(LOWEST), LOWER, other(LOWER), true),
        ("7.6.2 another, higher", other(LOWER), HIGHER, other(LOWER), false),
        ("link down, lower", QuerierState::Stopped, LOWER, QuerierState::Stopped, false),
    ] {
        let mut bed = Bed::new(Role::Querier, &MldConfig::default());
        let set = Instant::from_secs(if before == starting { 10 } else { 200 });
        bed.run_until(Instant::ORIGIN, set);
        match before {
            QuerierState::NonQuerier { querier, .. } => bed.hear_query(querier, Ipv6Addr::UNSPECIFIED, false, 0),
            QuerierState::Stopped => bed.querier.stop(),
            QuerierState::Querier { .. } => (),
        }
        assert_eq!(bed.querier.state(), before, "§{section}");
        let now = set + Duration::from_secs(5);
        bed.run_until(Instant::ORIGIN, now);
        bed.hear_query(from, Ipv6Addr::UNSPECIFIED, false, 0);
        assert_eq!(bed.querier.state(), after, "§{section}");
        if let QuerierState::NonQuerier { .. } = after {
            let ends = if is_timer_set { now } else { set } + timeout;
            assert_eq!(bed.querier.poll_timeout(), Some(ends), "§{section}: it asks no more, and waits so long");
            bed.querier.handle_timeout(ends);
            assert_eq!(bed.querier.state(), starting, "§{section}: the timer expires");
            assert_eq!(bed.querier.poll_timeout(), Some(ends + Duration::from_secs(125) / 4), "§9.6");
        }
    }
}

/// §7.6.3.1: each question for the group is repeated, and suppresses others' timers where somebody has answered.
#[test]
fn questions_for_a_group() {
    let half = LLQI / 2;
    for (section, answer, second, after) in [
        ("nobody answers", None, asked(LLQI, false, 0), include(0)),
        ("an EXCLUDE listener answers", Some((IS_EX, 0)), asked(LLQI, true, 0), exclude(0, 0)),
        ("a listener to one source answers", Some((IS_IN, 0b001)), asked(LLQI, false, 0), include(0b001)),
    ] {
        let mut bed = in_state(Role::Querier, exclude(0, 0));
        bed.hear(TO_IN, 0);
        let mut queries = bed.run_until(NOW, NOW + half);
        if let Some((kind, sources)) = answer {
            bed.hear(kind, sources);
        }
        queries.extend(bed.run_until(NOW, NOW + LLQT * 2));
        assert_eq!(queries, [asked(Duration::ZERO, false, 0), second], "§7.6.3.1 {section}");
        assert_eq!(bed.state(), after, "§7.6.3.1 {section}");
    }
}

/// §7.6.3.2: of the sources that are asked for again, those that somebody wants go into one query with the S flag, the
/// others into one without.
#[test]
fn questions_for_sources() {
    let half = LLQI / 2;
    let first = asked(Duration::ZERO, false, 0b011);
    for (section, answer, second, after) in [
        ("nobody answers", 0, vec![asked(LLQI, false, 0b011)], 0b100),
        ("one is wanted", 0b001, vec![asked(LLQI, true, 0b001), asked(LLQI, false, 0b010)], 0b101),
        ("both are wanted", 0b011, vec![asked(LLQI, true, 0b011)], 0b111),
    ] {
        let mut bed = in_state(Role::Querier, include(ALL));
        bed.hear(BLOCK, 0b011);
        let mut queries = bed.run_until(NOW, NOW + half);
        bed.hear(IS_IN, answer);
        queries.extend(bed.run_until(NOW, NOW + LLQT * 2));
        assert_eq!(queries, [&[first][..], &second].concat(), "§7.6.3.2 {section}");
        assert_eq!(bed.state(), include(after), "§7.6.3.2 {section}");
    }
    // Beside a question for the group, the one with the S flag is left out.
    let mut bed = in_state(Role::Querier, exclude(0b011, 0));
    bed.hear(TO_IN, 0);
    let mut queries = bed.run_until(NOW, NOW + half);
    bed.hear(IS_IN, 0b001);
    queries.extend(bed.run_until(NOW, NOW + LLQT));
    let group = |at| asked(at, false, 0);
    assert_eq!(queries, [group(Duration::ZERO), first, group(LLQI), asked(LLQI, false, 0b010)]);
    assert_eq!(bed.state(), include(0b001));
}

/// §7.4.2: what is asked for while other questions are under way goes out with them, and what is asked for twice keeps its
/// rounds.
#[test]
fn questions_are_merged() {
    let third = LLQI / 4;
    let mut bed = in_state(Role::Querier, include(ALL));
    bed.hear(BLOCK, 0b001);
    let mut queries = bed.run_until(NOW, NOW + third);
    bed.hear(BLOCK, 0b010);
    queries.extend(bed.run_until(NOW, NOW + LLQT * 2));
    let expected = [(Duration::ZERO, 0b001), (third, 0b011), (third + LLQI, 0b010)];
    assert_eq!(queries, expected.map(|(at, sources)| asked(at, false, sources)));
    assert_eq!(bed.state(), include(0b100));

    // Hosts repeat their records (§6.1).
    let mut bed = in_state(Role::Querier, exclude(0b001, 0));
    let mut queries = Vec::new();
    for repeat in 0..4 {
        bed.hear(TO_IN, 0);
        queries.extend(bed.run_until(NOW, NOW + third * (repeat + 1)));
    }
    queries.extend(bed.run_until(NOW, NOW + LLQT * 2));
    let round = |at| [asked(at, false, 0), asked(at, false, 0b001)];
    assert_eq!(queries, [round(Duration::ZERO), round(LLQI)].concat());
    assert_eq!(bed.state(), include(0));
}

/// §7.1: what was under way ends where another router turns out to be the querier.
#[test]
fn another_querier_goes_on_asking() {
    let mut bed = in_state(Role::Querier, include(0b011));
    bed.hear(BLOCK, 0b001);
    let mut queries = bed.run_until(NOW, NOW + LLQI / 2);
    bed.hear_query(LOWER, Ipv6Addr::UNSPECIFIED, false, 0);
    bed.hear(IS_IN, 0b001);
    queries.extend(bed.run_until(NOW, NOW + LLQT));
    assert_eq!(queries, [asked(Duration::ZERO, false, 0b001)]);
    assert_eq!(bed.state(), include(0b011));
    // Much later this router asks again, for what is asked for then alone.
    bed.run_until(NOW, NOW + LLQT + Duration::from_secs(50));
    bed.hear(ALLOW, 0b111);
    bed.run_until(NOW, NOW + Duration::from_secs(256));
    let start = bed.now;
    bed.hear(BLOCK, 0b100);
    let queries = bed.run_until(start, start + LLQT);
    assert_eq!(queries, [asked(Duration::ZERO, false, 0b100), asked(LLQI, false, 0b100)]);
}

/// §9.9: Last Listener Query Count questions, Last Listener Query Interval apart.
#[test]
fn as_many_questions_as_configured() {
    for count in [1, 2, 5] {
        let mld = MldConfig { last_listener_query_count: Some(count), ..MldConfig::default() };
        let mut bed = Bed::new(Role::Querier, &mld);
        bed.run_until(Instant::ORIGIN, FILTER_SET);
        bed.hear(ALLOW, 0b001);
        bed.hear(BLOCK, 0b001);
        let times: Vec<Duration> = (0..u32::from(count)).map(|round| LLQI * round).collect();
        let end = FILTER_SET + LLQI * u32::from(count);
        let queries = bed.run_until(FILTER_SET, FILTER_SET + (LLQI * u32::from(count) - Duration::from_millis(1)));
        assert_eq!(queries.iter().map(|query| query.at).collect::<Vec<_>>(), times);
        assert_eq!(bed.state(), include(0b001));
        bed.run_until(FILTER_SET, end);
        assert_eq!(bed.state(), include(0), "§9.10: over after the count times the interval");
    }
}

/// §5.1.10: a query for more sources than a packet of the link holds is split.
#[test]
fn long_lists_of_questions_are_split() {
    let sources: Vec<Ipv6Addr> = (0..100).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, n)).collect();
    let mut bed = Bed::new(Role::Querier, &MldConfig::default());
    while bed.querier.poll_packet().is_some() {}
    for kind in [ALLOW, BLOCK] {
        let report = Report { records: vec![Record { kind, group: GROUP, sources: sources.clone() }] };
        bed.querier.handle_report(bed.now, Reporter::new(HOST, None), &report, LinkRouters::Alone, &mut bed.counters);
    }
    let mut lists = Vec::new();
    while let Some(packet) = bed.querier.poll_packet() {
        assert!(packet.len() <= 1500);
        let Ok(Message::Query(query)) = Message::parse(mld::open(&packet).unwrap().message) else { panic!() };
        lists.push(query.sources);
    }
    assert_eq!(lists.iter().map(Vec::len).collect::<Vec<_>>(), [89, 11]);
    assert_eq!(lists.concat(), sources);
}

/// §5.1.8, §5.1.9, §9: what the querier says of itself counts, and what is configured where it says nothing.
#[test]
fn what_the_querier_says_is_adopted() {
    let own = MldConfig { robustness: 3, query_interval: Duration::from_secs(100), ..MldConfig::default() };
    let response = own.query_response_interval;
    for (robustness, query_interval, adopted) in
        [(0, 0, (3, 100)), (0, 20, (3, 20)), (5, 0, (5, 100)), (7, 31_744, (7, 31_744)), (1, 1, (1, 1))]
    {
        let mut bed = Bed::new(Role::Querier, &own);
        let query = Query {
            group: Ipv6Addr::UNSPECIFIED,
            max_response_delay: response,
            suppress: true,
            robustness,
            query_interval: Duration::from_secs(query_interval),
            sources: Vec::new(),
        };
        bed.querier.handle_query(bed.now, LOWER, &query, &mut bed.counters);
        let (robustness, query_interval) = (adopted.0, Duration::from_secs(adopted.1));
        assert_eq!(bed.querier.state(), QuerierState::NonQuerier { querier: LOWER, robustness, query_interval });
        let times = query_interval * u32::from(robustness);
        assert_eq!(bed.querier.poll_timeout(), Some(bed.now + times + response / 2), "§9.5, whatever the S flag is");
        bed.hear(TO_EX, 0);
        assert_eq!(bed.filter_timer(), Some(bed.now + times + response), "§9.4");
        bed.hear_query(LOWER, GROUP, false, 0);
        // That query says 2.
        assert_eq!(bed.filter_timer(), Some(bed.now + LLQI * 2), "§9.9, §9.10");
    }
}

/// §9.6, §9.7: as many general queries as the Robustness Variable, a quarter of the Query Interval apart, then one each.
#[test]
fn the_startup_queries() {
    for robustness in [1, 2, 7] {
        let mld = MldConfig { robustness, ..MldConfig::default() };
        let mut bed = Bed::new(Role::Querier, &mld);
        let (mut times, mut queries) = (Vec::new(), Vec::new());
        while times.len() < usize::from(robustness) + 2 {
            while let Some(packet) = bed.querier.poll_packet() {
                queries.push(packet);
                times.push(bed.now - Instant::ORIGIN);
            }
            bed.now = bed.querier.poll_timeout().unwrap();
            bed.querier.handle_timeout(bed.now);
        }
        let interval = mld.query_interval;
        let quick = u32::from(robustness) - 1;
        let startup = (0..=quick).map(|n| interval / 4 * n);
        let later = (1..=2).map(|n| interval / 4 * quick + interval * n);
        assert_eq!(times, startup.chain(later).collect::<Vec<_>>());
        let Ok(Message::Query(query)) = Message::parse(mld::open(&queries[0]).unwrap().message) else { panic!() };
        assert!(query.is_general() && !query.suppress);
        assert_eq!(
            (query.robustness, query.query_interval, query.max_response_delay),
            (robustness, interval, mld.query_response_interval)
        );
        assert!(queries.iter().all(|other| *other == queries[0]));
    }
}
