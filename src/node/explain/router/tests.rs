//! A router that has all it needs, and what is said for each thing that it may lack.

use super::super::findings::{Explanation, Standing};
use super::*;
use pim::mld::{FilterMode, HostView, SourceView, Version};
use pim::{
    AssertMetric, AssertState, DownstreamState, DownstreamView, LinkNeighbor, RegisterState, RptDownstreamState,
    RptUpstreamState, SharedView, UpstreamState,
};
use stack::machine::PortId;
use stack::tables::{Accept, PortSet};

const CORE: PortId = PortId(0);
const HOSTS: PortId = PortId(1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff3e, 0, 0, 0, 0, 0, 0x8000, 1);
const ANY_SOURCE_GROUP: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 5);
const POINT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
const ANY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
const UPSTREAM: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const OTHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xff);
const OWN: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const NOW: Instant = Instant::from_secs(100);

fn interface(port: PortId, neighbors: usize, querier: Option<Ipv6Addr>) -> PortView {
    let interface = InterfaceView {
        port,
        link_local: OWN,
        is_up: true,
        is_pim_enabled: true,
        designated_router: OWN,
        generation_id: 1,
        neighbors,
        querier,
    };
    PortView { interface, bounds: false, takes_joins: true, members: None }
}

fn members(group: Ipv6Addr, sources: &[Ipv6Addr]) -> GroupView {
    let mode = if sources.is_empty() { FilterMode::Exclude } else { FilterMode::Include };
    let until = Instant::from_secs(300);
    GroupView {
        group,
        mode,
        filter_timer: None,
        version: Version::V2,
        sources: sources.iter().map(|&address| SourceView { address, expires: Some(until) }).collect(),
        hosts: vec![HostView {
            address: "fe80::77".parse().unwrap(),
            exclude_until: Some(until),
            sources: Vec::new(),
            excluded: Vec::new(),
        }],
        delivery: None,
    }
}

fn tree(source: Ipv6Addr, group: Ipv6Addr, root: Ipv6Addr) -> TreeView {
    let key = MrouteKey { source, group };
    let rpf = RpfInfo::Via { port: CORE, next_hop: UPSTREAM, neighbor: Some(UPSTREAM) };
    let entry = EntryView {
        key,
        root,
        rpf,
        upstream: UpstreamState::Joined,
        join_timer: Some(Instant::from_secs(140)),
        downstream: Vec::new(),
        include: PortSet::single(HOSTS),
        upstream_neighbor: Some(LinkNeighbor { port: CORE, address: UPSTREAM }),
        asserts: Vec::new(),
        shared: None,
        accept: Some(Accept::Port(CORE)),
        forward: PortSet::single(HOSTS),
        pre_joined_until: None,
    };
    let route = Some(Route::Via { port: CORE, next_hop: UPSTREAM });
    TreeView { key, root, route, rpf, entry: Some(entry), packets: Some(5) }
}

/// A member of a source-specific group on one link, the source behind a router on the other, and packets.
fn whole() -> RouterView {
    let mut hosts = interface(HOSTS, 0, Some(OWN));
    hosts.members = Some(members(GROUP, &[SOURCE]));
    RouterView {
        now: NOW,
        names: PortNames(vec!["core".into(), "hosts".into()]),
        group: GROUP,
        source: None,
        is_source_specific: true,
        rendezvous_point: None,
        mapping: None,
        ports: vec![interface(CORE, 1, None), hosts],
        trees: vec![tree(SOURCE, GROUP, SOURCE)],
        more_sources: 0,
        counters: Counters::default(),
        wrong_port_drops: 0,
    }
}

/// The same with a rendezvous point in place of the source.
fn whole_shared() -> RouterView {
    let mut view = whole();
    view.group = ANY_SOURCE_GROUP;
    view.is_source_specific = false;
    view.rendezvous_point = Some(POINT);
    view.mapping = Some(RpMappingView {
        groups: "ff15::/16".parse().unwrap(),
        rendezvous_point: Some(POINT),
        source: RpSource::Static(StaticPrecedence::BehindLearned),
        bidirectional: false,
        priority: None,
        holdtime: None,
        expires: None,
    });
    view.ports[1].members = Some(members(ANY_SOURCE_GROUP, &[]));
    view.trees = vec![tree(ANY, ANY_SOURCE_GROUP, POINT)];
    view
}

fn entry(view: &mut RouterView) -> &mut EntryView {
    view.trees[0].entry.as_mut().unwrap()
}

fn verdict(view: &RouterView) -> String {
    let found = explain(view);
    Explanation::new(found.all, &found.ways).verdict
}

fn of(view: &RouterView, standing: Standing) -> Vec<(String, String)> {
    let found = explain(view).all.into_iter().filter(|finding| finding.standing == standing);
    found.map(|finding| (finding.what, finding.remedy.unwrap_or_default())).collect()
}

/// The one thing that is missing, which the verdict repeats.
#[track_caller]
fn assert_missing(view: &RouterView, what: &str, remedy: &str) {
    let missing = of(view, Standing::Missing);
    let [(said, advised)] = &missing[..] else { panic!("{missing:#?}") };
    assert_eq!(said, what);
    assert!(advised.contains(remedy), "{advised}");
    assert_eq!(verdict(view), format!("missing here: {what}"));
}

#[track_caller]
fn assert_noted(view: &RouterView, what: &str) {
    let noted = of(view, Standing::Note);
    assert!(noted.iter().any(|(said, _)| said == what), "{noted:#?}");
    assert_eq!(of(view, Standing::Missing), []);
}

#[test]
fn a_whole_tree() {
    assert_eq!(verdict(&whole()), "nothing is missing here: packets leave by hosts towards members");
    let steps: Vec<String> = of(&whole(), Standing::There).into_iter().map(|(what, _)| what).collect();
    assert_eq!(
        steps,
        [
            "PIM is spoken on core (1 neighbour), hosts (no neighbour)",
            "ff3e::8000:1 is source-specific and needs no rendezvous point",
            "members on hosts: fe80::77 want 2001:db8:a::5; this router is the querier",
            "this router forwards to the members on hosts",
            "2001:db8:a::5 is behind the neighbour fe80::1 on core",
            "the tree of 2001:db8:a::5 is joined at fe80::1 on core, the next Join leaves in 40 s",
            "5 packets of the tree of 2001:db8:a::5 have come by core",
        ]
    );
    assert_eq!(of(&whole(), Standing::Note), []);
    let shared = of(&whole_shared(), Standing::There);
    assert_eq!(shared[1].0, "the rendezvous point of ff15::1 is 2001:db8::9, says [[router.static_rp]]");
    assert!(shared[2].0.contains("want all sources"), "{shared:?}");
    assert_eq!(verdict(&whole_shared()), "nothing is missing here: packets leave by hosts towards members");
}

#[test]
fn no_packet_yet() {
    let mut view = whole();
    view.trees[0].packets = Some(0);
    assert_noted(&view, "no packet of the tree of 2001:db8:a::5 has come by core yet");
    assert_eq!(
        verdict(&view),
        "nothing is missing here: packets leave by hosts towards members, once some come: ask fe80::1 on core next"
    );
}

#[test]
fn a_group_of_the_link() {
    let view = RouterView { group: "ff02::5".parse().unwrap(), ..whole() };
    assert_missing(&view, "ff02::5 stays on its link: no router forwards it", "wider scope");
}

#[test]
fn no_route() {
    let mut view = whole();
    (view.trees[0].route, view.trees[0].rpf) = (None, RpfInfo::Unreachable);
    (entry(&mut view).upstream_neighbor, entry(&mut view).accept) = (None, None);
    assert_missing(&view, "no route to 2001:db8:a::5", "add a [[route]]");
    let mut view = whole_shared();
    (view.trees[0].route, view.trees[0].rpf) = (None, RpfInfo::Unreachable);
    (entry(&mut view).upstream_neighbor, entry(&mut view).accept) = (None, None);
    assert_missing(&view, "no route to 2001:db8::9, the rendezvous point of ff15::1", "add a [[route]]");
    view.trees[0].route = Some(Route::Blackhole);
    assert_missing(&view, "the route to 2001:db8::9, the rendezvous point of ff15::1 leads nowhere", "port and via");
}

#[test]
fn a_boundary_on_the_way() {
    let mut view = whole();
    view.trees[0].rpf = RpfInfo::Unreachable;
    (entry(&mut view).upstream_neighbor, entry(&mut view).accept) = (None, None);
    assert_missing(&view, "the way to 2001:db8:a::5 is by core, which ff3e::8000:1 does not pass", "boundary");
    let mut view = whole();
    view.ports[1].bounds = true;
    assert_missing(&view, "ff3e::8000:1 does not pass hosts", "boundary");
}

#[test]
fn no_neighbor() {
    let mut view = whole();
    view.trees[0].rpf = RpfInfo::Via { port: CORE, next_hop: UPSTREAM, neighbor: None };
    entry(&mut view).upstream_neighbor = None;
    let what = "no PIM neighbour fe80::1 on core, the next hop to 2001:db8:a::5";
    assert_missing(&view, what, "no Hello has come from it");
    view.counters.drop_neighbor_filter = 3;
    assert_missing(&view, what, "[[router.port]] neighbors");
    view.ports[0].interface.is_pim_enabled = false;
    assert_missing(&view, what, "core speaks no PIM");
    view.ports[0].interface.is_up = false;
    assert_missing(&view, what, "the link of core is down");
    let mut view = whole_shared();
    view.trees[0].rpf = RpfInfo::OnLink(CORE);
    entry(&mut view).upstream_neighbor = None;
    let what =
        "2001:db8::9, the rendezvous point of ff15::1, is on the link of core and no neighbour there has the address";
    assert_missing(&view, what, "its Hello has to list the address");
}

#[test]
fn no_rendezvous_point() {
    let mut view = whole_shared();
    let mapping = view.mapping.take();
    (view.rendezvous_point, view.trees[0].entry, view.trees[0].root) = (None, None, ANY);
    assert_eq!(of(&view, Standing::Missing)[0].0, "no rendezvous point for ff15::1");
    assert!(of(&view, Standing::Missing)[0].1.contains("[[router.static_rp]]"));
    view.mapping = mapping.map(|mapping| RpMappingView { bidirectional: true, ..mapping });
    assert_eq!(of(&view, Standing::Missing)[0].0, "ff15::1 is in ff15::/16, a range of bidirectional PIM");
    view.mapping = mapping.map(|mapping| RpMappingView { source: RpSource::Embedded, ..mapping });
    assert!(of(&view, Standing::Missing)[0].0.contains("names no rendezvous point"));
}

#[test]
fn nobody_wants_it() {
    let mut view = whole();
    view.ports[1].members = None;
    (entry(&mut view).upstream, entry(&mut view).include) = (UpstreamState::NotJoined, PortSet::EMPTY);
    entry(&mut view).forward = PortSet::EMPTY;
    let what = "nobody here wants ff3e::8000:1: no member on any port, no router that has joined";
    assert_missing(&view, what, "members report on hosts");
    view.ports[1].interface.querier = None;
    assert_missing(&view, what, "[[access_router.port]]");
    let join = DownstreamView {
        port: HOSTS,
        state: DownstreamState::Join,
        expires: Some(Instant::from_secs(300)),
        prune_pending: None,
    };
    let joined = entry(&mut view);
    (joined.upstream, joined.forward, joined.downstream) = (UpstreamState::Joined, PortSet::single(HOSTS), vec![join]);
    assert_eq!(verdict(&view), "nothing is missing here: packets leave by hosts towards routers that have joined");
    let joined = "routers on hosts have joined the tree of 2001:db8:a::5, for 200 s";
    assert!(of(&view, Standing::There).iter().any(|(what, _)| what == joined));
}

#[test]
fn a_listener_is_expected() {
    let mut view = whole();
    view.ports[1].members = None;
    let entry = entry(&mut view);
    (entry.include, entry.forward) = (PortSet::EMPTY, PortSet::EMPTY);
    entry.pre_joined_until = Some(Instant::from_secs(102));
    let what = format!(
        "another access router has said that a listener of {} is about to come here, within 2 s: packets wait for it",
        view.trees[0].name()
    );
    assert_noted(&view, &what);
}

#[test]
fn another_source_is_wanted() {
    let mut view = whole();
    view.source = Some(POINT);
    view.trees = vec![TreeView { entry: None, packets: None, ..tree(POINT, GROUP, POINT) }];
    assert_missing(&view, "the members on hosts do not want 2001:db8::9", "join the group with that source");
}

#[test]
fn nobody_names_a_source() {
    let mut view = whole();
    view.trees.clear();
    view.ports[1].members = None;
    let missing = of(&view, Standing::Missing);
    assert_eq!(missing[1].0, "ff3e::8000:1 is source-specific, and nobody here names a source");
    assert!(missing[1].1.contains("--source"), "{missing:?}");
}

#[test]
fn members_are_the_business_of_another_router() {
    let mut view = whole();
    view.ports[1].interface.designated_router = OTHER;
    view.trees[0].entry = None;
    assert_noted(&view, "fe80::ff is the designated router on hosts, and forwards there: ask it");
    assert_eq!(verdict(&view), "nothing is missing here, and nothing is sent");
    let mut view = whole();
    let metric = AssertMetric { rpt: false, preference: 0, metric: 20, address: OTHER };
    entry(&mut view).asserts =
        vec![(HOSTS, AssertState::Loser { winner: OTHER, metric }, Some(Instant::from_secs(200)))];
    entry(&mut view).forward = PortSet::EMPTY;
    assert_noted(&view, "fe80::ff has won the assert on hosts, and forwards there: ask it");
    let lost =
        "fe80::ff has won the assert of the tree of 2001:db8:a::5 on hosts, with preference 0 and metric 20, for 100 s";
    assert_noted(&view, lost);
    let mut view = whole();
    view.ports[1].interface.designated_router = OTHER;
    entry(&mut view).asserts = vec![(HOSTS, AssertState::Winner, None)];
    assert_eq!(verdict(&view), "nothing is missing here: packets leave by hosts towards members");
}

#[test]
fn an_assert_upstream_decides_whom_to_join() {
    let mut view = whole();
    entry(&mut view).upstream_neighbor = Some(LinkNeighbor { port: CORE, address: OTHER });
    let said = of(&view, Standing::There);
    assert!(said.iter().any(|(what, _)| what.contains("joined at fe80::ff on core, which has won the assert there")));
}

#[test]
fn no_entry() {
    let mut view = whole();
    view.trees[0].entry = None;
    assert_missing(&view, "there is no entry of the tree of 2001:db8:a::5", "drop-pim-*");
    view.counters.drop_entry_limit = 1;
    let what = "there is no entry of the tree of 2001:db8:a::5: as many as may be are taken";
    assert_missing(&view, what, "router.max_entries");
}

#[test]
fn no_entry_in_the_data_plane() {
    let mut view = whole();
    view.trees[0].packets = None;
    assert_missing(&view, "the data plane has no entry of the tree of 2001:db8:a::5", "mroutes of tables");
}

#[test]
fn sources_beside_a_shared_tree() {
    let shared = SharedView {
        spt_bit: true,
        keepalive: None,
        register: RegisterState::Prune,
        rpt_upstream: RptUpstreamState::Pruned,
        rpt_downstream: vec![(HOSTS, RptDownstreamState::Prune)],
        excluded: PortSet::EMPTY,
        override_at: None,
    };
    let mut view = whole_shared();
    let mut own = tree(SOURCE, ANY_SOURCE_GROUP, SOURCE);
    own.entry.as_mut().unwrap().shared = Some(shared.clone());
    view.trees.push(own);
    assert_noted(&view, "routers on hosts have pruned 2001:db8:a::5 off the shared tree");
    let said: Vec<String> = of(&view, Standing::There).into_iter().map(|(what, _)| what).collect();
    assert!(said.contains(&"packets of 2001:db8:a::5 are taken from its own tree".to_owned()), "{said:#?}");
    assert!(said.iter().any(|what| what.starts_with("the rendezvous point has stopped the Register messages")));
    view.trees[1].entry = None;
    assert_noted(&view, "2001:db8:a::5 has no state here: its packets come by the shared tree");

    // The first hop of a source that nobody else is behind.
    let mut first = whole_shared();
    first.ports[1].members = None;
    let mut own = tree(SOURCE, ANY_SOURCE_GROUP, SOURCE);
    let state = own.entry.as_mut().unwrap();
    state.shared = Some(SharedView { register: RegisterState::Join, spt_bit: false, ..shared });
    (state.forward, state.include) = (PortSet::EMPTY, PortSet::EMPTY);
    first.trees = vec![TreeView { entry: None, packets: None, ..tree(ANY, ANY_SOURCE_GROUP, POINT) }, own];
    first.trees[0].packets = None;
    assert!(verdict(&first).contains("packets of 2001:db8:a::5 leave in Register messages"), "{}", verdict(&first));
}

#[test]
fn limits_and_filters() {
    let mut view = whole();
    view.counters.drop_mld_host_limit = 4;
    view.ports[0].takes_joins = false;
    view.wrong_port_drops = 7;
    view.more_sources = 2;
    assert_noted(&view, "4 reports were beyond the groups of their host, of all groups");
    assert_noted(&view, "7 packets came by a port that their route does not accept, of all groups");
    assert_noted(&view, "routers on core may not join ff3e::8000:1");
    assert_noted(&view, "2 more sources are not looked at: name one with --source");
    view.ports[0].interface.is_up = false;
    assert_noted(&view, "these links are down: core");
    for port in &mut view.ports {
        port.interface.is_pim_enabled = false;
    }
    assert_noted(&view, "no port that is up speaks PIM");
}
