//! The patent's figures in namespaces, every claim read from the captures by tshark: what is on which link, and what is not.

use crate::captures::{
    BINDING_ACKNOWLEDGEMENT, BINDING_UPDATE, CARE_OF_TEST, CARE_OF_TEST_INIT, Frame, HOME_TEST, HOME_TEST_INIT,
    MLD_REPORT,
};
use crate::labs::{AGENT, CORRESPONDENT, GROUP, HOME_ADDRESS, HOME_AGENT, MARGIN, Move, PEER, Run, SECOND};
use crate::room::alone;
use crate::transfer::assert_connected;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

/// The report has what it is to have, and every check in it holds.
fn assert_report(report: &Value, moves_min: usize) {
    let keys = |value: &Value| -> BTreeSet<String> { value.as_object().expect("an object").keys().cloned().collect() };
    let words = |text: &str| -> BTreeSet<String> { text.split(' ').map(str::to_owned).collect() };
    assert_eq!(keys(report), words("backend seed nodes handovers flows checks"));
    assert_eq!(report["backend"], "netns");
    for node in report["nodes"].as_array().expect("a list") {
        assert_eq!(keys(node), words("name role"));
    }
    let handovers = report["handovers"].as_array().expect("a list");
    assert!(handovers.len() >= moves_min, "{} movements", handovers.len());
    for handover in handovers {
        let wanted = "at_us terminal kind from to make_before_break interruption_us sent lost duplicated reordered \
                      forwarded route_optimised_percent signalling stages_us";
        assert_eq!(keys(handover), words(&wanted.split_whitespace().collect::<Vec<_>>().join(" ")));
        let wanted = "mld pim mobility_to_mma mobility_to_home_agent mobility_to_correspondent at_agents outside_site";
        assert_eq!(keys(&handover["signalling"]), words(wanted));
        let stages = handover["stages_us"].as_object().expect("an object");
        assert!(stages.contains_key("first_data") || handover["kind"] == "home", "{handover}");
        if handover["make_before_break"] == true && handover["kind"] == "intra-site" {
            assert_eq!((&handover["lost"], &handover["duplicated"]), (&0.into(), &0.into()), "{handover}");
        }
    }
    let flows = report["flows"].as_array().expect("a list");
    let kinds: BTreeSet<&str> = flows.iter().filter_map(|flow| flow["kind"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["ping", "tcp", "udp"]));
    for flow in flows {
        assert_eq!(keys(flow), words("name kind sent received lost duplicated survived"));
        assert_eq!((&flow["survived"], &flow["duplicated"]), (&true.into(), &0.into()), "{flow}");
    }
    let checks = report["checks"].as_array().expect("a list");
    assert!(!checks.is_empty());
    for check in checks {
        assert_eq!(keys(check), words("name ok detail"));
        assert_eq!(check["ok"], true, "{check}");
    }
}

/// Every frame on every link is sound; only links to sites where the terminal never is are `idle`.
fn assert_sound(run: &Run, idle: &[&str]) {
    for (link, frames) in &run.captures {
        assert!(!frames.is_empty() || idle.contains(&link.as_str()), "nothing was captured on {link}");
        let faults: Vec<&String> = frames.iter().filter_map(|frame| frame.fault.as_ref()).collect();
        assert!(faults.is_empty(), "{} faults on {link}, the first: {}", faults.len(), faults[0]);
    }
}

/// The movements within the site: what they cost on the wire, and what they do not.
fn assert_silent_moves(run: &Run, site: &[&str], branches: &[(&str, &str)]) {
    let moves = run.moves();
    let within: Vec<&Move> = moves.iter().filter(|movement| movement.intra_site).collect();
    assert!(within.len() >= 10, "{} movements within the site", within.len());
    // A report counts time from before the first probe is sent.
    let (from, until) = (within[0].at - SECOND, run.last_sent);
    for (link, frame) in run.between(from, until) {
        assert_eq!(frame.mobility, None, "a Mobility Header on {link}: {frame:?}");
        if frame.join_prune {
            assert!(branches.iter().any(|&(_, branch)| branch == link), "a Join/Prune on {link}: {frame:?}");
        }
        if !site.contains(&link) {
            assert!(!frame.is_mld() && !frame.protocols.contains("pim"), "signalling out of the site: {frame:?}");
        }
        if frame.is_mld() || frame.join_prune {
            let ends = frame.sources.iter().chain(&frame.destinations);
            assert!(ends.clone().all(|end| ![HOME_AGENT, CORRESPONDENT].contains(end)), "{frame:?}");
        }
    }
    for movement in within {
        let (_, branch) = branches.iter().find(|(radio, _)| *radio == movement.to).expect("it is one of the branches");
        let (from, until) = (movement.at - MARGIN, movement.until - MARGIN);
        let reports = run.on(&movement.to, from, until).iter().filter(|frame| frame.icmp == Some(MLD_REPORT)).count();
        assert!(reports > 0, "the terminal says nothing on {} at {}", movement.to, movement.at);
        if movement.make_before_break {
            assert!(run.on(branch, from, until).iter().any(|frame| frame.join_prune), "nothing is joined on {branch}");
        }
        // The overlap ends half a second after the movement.
        let there = |link: &str| {
            let frames = run.on(link, movement.at + SECOND * 7 / 10, until);
            frames.iter().filter(|frame| frame.is_to(GROUP)).count()
        };
        assert!(there(&movement.to) > 50, "{} packets on {}", there(&movement.to), movement.to);
        if movement.make_before_break {
            assert_eq!(there(&movement.from), 0, "packets on {}, which was left", movement.from);
        }
    }
}

/// Of what the correspondent was seen to send, a program on the terminal had each once, as long as one link was there;
/// its TCP connection was one and the same to the end.
fn assert_delivered(run: &Run) {
    let mut seen = BTreeSet::new();
    for movement in run.moves().iter().filter(|movement| movement.intra_site && movement.make_before_break) {
        for frame in run.on("cn-bb", movement.at, movement.until - MARGIN) {
            if frame.is_from(CORRESPONDENT) && frame.udp_port.is_some() {
                seen.extend(frame.probe);
            }
        }
    }
    assert!(seen.len() > 5000, "{} probes", seen.len());
    let wrong: Vec<_> =
        seen.iter().map(|number| (number, run.received.get(number))).filter(|(_, n)| *n != Some(&1)).collect();
    assert!(wrong.is_empty(), "{} of {} probes were not delivered once: {wrong:?}", wrong.len(), seen.len());
    assert_connected(run, "cn-bb");
}

/// The terminal is away from home when traffic begins; 12 movements within the foreign site (S2).
#[test]
fn figure_5() {
    let Some(_alone) = alone() else { return };
    let run = Run::new("fig5");
    assert_report(&run.report, 10);
    assert_sound(&run, &[]);
    let site = ["mma1-core", "core-a", "core-b", "radio-a", "radio-b"];
    assert_silent_moves(&run, &site, &[("radio-a", "core-a"), ("radio-b", "core-b")]);
    assert_delivered(&run);
    assert_routers_report(&run);
}

/// Switches of the core hear from each router which groups of the link it listens to, and air has none of that.
fn assert_routers_report(run: &Run) {
    const ALL_PIM_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xd);
    let is_solicited = |group: &Ipv6Addr| group.octets().starts_with(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
    for link in ["core-a", "core-b", "mma1-core"] {
        let mut reports: BTreeMap<Ipv6Addr, BTreeSet<Ipv6Addr>> = BTreeMap::new();
        for frame in run.captures[link].iter().filter(|frame| frame.is_of_link()) {
            reports.entry(frame.sources[0]).or_default().extend(&frame.reported);
        }
        let of_routers = reports.values().filter(|groups| groups.contains(&ALL_PIM_ROUTERS));
        let heard: Vec<_> = of_routers.filter(|groups| groups.iter().any(is_solicited)).collect();
        assert_eq!(heard.len(), 2, "on {link}: {reports:?}");
    }
    for link in ["radio-a", "radio-b"] {
        let from_router = |frame: &&Frame| frame.is_of_link() && frame.reported.contains(&ALL_PIM_ROUTERS);
        assert_eq!(run.captures[link].iter().filter(from_router).count(), 0, "on {link}");
    }
}

/// At home (S0), from there to a subnet (S1), and between subnets (S2).
#[test]
fn figure_4() {
    let Some(_alone) = alone() else { return };
    let run = Run::new("fig4");
    assert_report(&run.report, 11);
    assert_sound(&run, &[]);
    let moves = run.moves();
    assert_eq!((moves[0].from.as_str(), moves[0].to.as_str()), ("home", "radio-a"));

    let leaves_home = moves[0].at - MARGIN;
    assert_at_home(&run, leaves_home);

    // S1: one registration with the mobility agent, then one with the home agent, and the group.
    let (from, until) = (leaves_home, moves[1].at - SECOND);
    let agent = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1);
    assert_registered(&run.on("radio-a", from, until), agent);
    assert_tunnelled(&run.on("core-ha", from, until), CARE_OF[0]);

    // S2.
    let site = ["mmah-core", "core-ha", "core-a", "core-c", "home", "radio-a", "radio-c"];
    assert_silent_moves(&run, &site, &[("radio-a", "core-a"), ("radio-c", "core-c")]);
    assert_delivered(&run);
}

/// S0: an ordinary host. Nobody speaks of mobility, nothing is in a tunnel, nothing goes to a group.
fn assert_at_home(run: &Run, leaves_home: u64) {
    for (link, frame) in run.between(0, leaves_home) {
        assert!(frame.mobility.is_none() && !frame.join_prune && !frame.is_tunnelled(), "on {link}: {frame:?}");
        assert!(!frame.destinations.contains(&GROUP), "on {link}: {frame:?}");
    }
    let at_home = run.on("home", run.first_sent, leaves_home);
    let plain = |frame: &&&Frame| frame.protocols == "eth:ethertype:ipv6:udp:data";
    let to_home = at_home.iter().filter(plain).filter(|frame| frame.destinations == [HOME_ADDRESS]).count();
    assert!(to_home > 400, "{to_home} packets come as to any host");
}

/// On a link that the terminal has come to: it registers with the mobility agent, then with the home agent, each once and
/// as nobody's former terminal; it joins its group, and what the agent sends it goes there.
fn assert_registered(on_radio: &[&Frame], agent: Ipv6Addr) {
    let exchanged: Vec<(u8, Ipv6Addr)> = on_radio
        .iter()
        .filter_map(|frame| match frame.mobility? {
            BINDING_UPDATE => Some((BINDING_UPDATE, *frame.destinations.first()?)),
            kind => Some((kind, *frame.sources.first()?)),
        })
        .collect();
    assert_eq!(
        exchanged,
        [
            (BINDING_UPDATE, agent),
            (BINDING_ACKNOWLEDGEMENT, agent),
            (BINDING_UPDATE, HOME_AGENT),
            (BINDING_ACKNOWLEDGEMENT, HOME_AGENT),
        ]
    );
    assert!(on_radio.iter().all(|frame| frame.update_lifetime != Some(0)), "a binding is given up");
    let joined = on_radio.iter().position(|frame| frame.icmp == Some(MLD_REPORT)).expect("the group is joined");
    let from_agent: Vec<usize> = (0..on_radio.len()).filter(|&index| on_radio[index].is_from(agent)).collect();
    let data = from_agent.iter().filter(|&&index| on_radio[index].is_tunnelled());
    assert!(data.clone().all(|&index| on_radio[index].is_to(GROUP) && index > joined), "what the agent sends");
    assert!(data.clone().count() > 500, "{} packets to the group", data.count());
}

/// On the home agent's link: it is told of the terminal first, then it tunnels to the care-of address at the mobility
/// agent, and nowhere else.
fn assert_tunnelled(at_home_agent: &[&Frame], care_of: [u16; 4]) {
    let told = at_home_agent.iter().position(|frame| frame.mobility == Some(BINDING_UPDATE));
    let told = told.expect("the home agent is told");
    let tunnels = at_home_agent.iter().enumerate();
    let mut tunnels = tunnels.filter(|(_, frame)| frame.is_tunnelled() && frame.is_from(HOME_AGENT)).peekable();
    assert!(tunnels.peek().is_some());
    for (index, frame) in tunnels {
        assert!(index > told && frame.destinations[0].segments()[..4] == care_of, "a tunnel: {frame:?}");
    }
}

/// The prefixes of the care-of addresses of the home site and of the two foreign ones.
const CARE_OF: [[u16; 4]; 3] =
    [[0x2001, 0xdb8, 0x100, 0xc0a], [0x2001, 0xdb8, 0x200, 0xc0a], [0x2001, 0xdb8, 0x300, 0xc0a]];

fn care_of(address: &Ipv6Addr) -> Option<[u16; 4]> {
    CARE_OF.into_iter().find(|prefix| address.segments()[..4] == prefix[..])
}

/// A lab with three sites: its report and its captures hold, no site's group or routing protocol leaves it, the TCP
/// connection lasts, and the correspondent of ours has sent straight to care-of addresses of these sites.
fn assert_between_sites(lab: &str, moves: usize, optimised: &[usize]) -> Run {
    let run = Run::new(lab);
    assert_report(&run.report, moves);
    assert_sound(&run, if optimised.contains(&2) { &[] } else { &["bb-mma2"] });
    assert_connected(&run, "cn-bb");
    assert_connected(&run, "peer-bb");
    for outside in ["cn-bb", "peer-bb", "bb-mmah", "bb-mma1", "bb-mma2"] {
        for frame in &run.captures[outside] {
            assert!(!frame.protocols.contains("pim"), "PIM on {outside}: {frame:?}");
            assert!(!frame.destinations.contains(&GROUP), "the group on {outside}: {frame:?}");
        }
    }
    let sent = run.captures["peer-bb"].iter().filter(|frame| frame.udp_port.is_some());
    let straight: BTreeSet<_> = sent.filter_map(|frame| care_of(frame.destinations.first()?)).collect();
    let wanted: BTreeSet<_> = optimised.iter().map(|&site| CARE_OF[site]).collect();
    assert_eq!(straight, wanted, "where the correspondent sends straight to");
    // What an agent forwards goes from its care-of address to another one, or home, and has one header more.
    for (link, frame) in run.between(0, u64::MAX) {
        if let (Some(from), Some(to)) = (frame.sources.first().and_then(care_of), frame.destinations.first()) {
            assert!(care_of(to) != Some(from), "forwarded to itself on {link}: {frame:?}");
        }
    }
    run
}

/// Third aspect: to another foreign site and back (S3).
#[test]
fn figure_6() {
    let Some(_alone) = alone() else { return };
    assert_between_sites("fig6", 6, &[1, 2]);
}

/// Fourth aspect: home (S4); nothing is sent to the group there.
#[test]
fn figure_7() {
    let Some(_alone) = alone() else { return };
    let run = assert_between_sites("fig7", 4, &[1]);
    assert!(run.captures["home"].iter().all(|frame| !frame.destinations.contains(&GROUP)));
}

/// Fifth aspect: to another subnet of the home site (S5), whose two agents are one node.
#[test]
fn figure_8() {
    let Some(_alone) = alone() else { return };
    assert_between_sites("fig8", 4, &[0, 1]);
}

/// Sixth aspect: from there to a foreign site (S6).
#[test]
fn figure_9() {
    let Some(_alone) = alone() else { return };
    assert_between_sites("fig9", 3, &[0, 1]);
}

/// Seventh aspect: from home to a foreign site, where no agent knows the terminal yet, nor any other does (S7).
#[test]
fn figure_10() {
    let Some(_alone) = alone() else { return };
    let run = assert_between_sites("fig10", 2, &[1]);
    let moves = run.moves();
    assert_eq!((moves[0].from.as_str(), moves[0].to.as_str()), ("home", "radio-a"));
    let (leaves_home, moves_on) = (moves[0].at - MARGIN, moves[1].at - MARGIN);
    assert_at_home(&run, leaves_home);

    // Lines 1 to 4: the agent, the home agent, the home agent's tunnel, the group, whose branch is joined first.
    assert_registered(&run.on("radio-a", leaves_home, moves_on), AGENT);
    assert_tunnelled(&run.on("coreh-ha", leaves_home, moves_on), CARE_OF[1]);
    let branch = run.on("core1-a", leaves_home, moves_on);
    let joined = branch.iter().position(|frame| frame.join_prune).expect("the branch is joined");
    let first = branch.iter().position(|frame| frame.is_to(GROUP)).expect("the group is on the branch");
    assert!(joined < first, "the group before its Join");
    // Lines 5 and 6.
    assert_optimised(&run.on("peer-bb", leaves_home, u64::MAX));
    assert_nobody_was_left(&run);
    assert_lost_at_home(&run, leaves_home, run.last_sent - MARGIN);
    assert!(run.on("home", moves_on, u64::MAX).iter().all(|frame| !frame.destinations.contains(&HOME_ADDRESS)));

    // Within the site: nobody speaks of mobility, and the group is on the other branch.
    for (link, frame) in run.between(moves_on, u64::MAX) {
        assert_eq!(frame.mobility, None, "a Mobility Header on {link}: {frame:?}");
    }
    let there = run.on("radio-b", moves[1].at + MARGIN, moves[1].until);
    assert!(there.iter().filter(|frame| frame.is_to(GROUP)).count() > 500);
}

/// On the link of the correspondent of ours: the agent of foreign site 1 shows it that it may, by both tests, and tells it
/// the care-of address; from its acknowledgement on it sends there, and nothing to the home address.
fn assert_optimised(at_peer: &[&Frame]) {
    let first = |kind: u8| {
        let place = at_peer.iter().position(|frame| frame.mobility == Some(kind));
        place.unwrap_or_else(|| panic!("there is no message of type {kind}"))
    };
    for (test_init, test) in [(HOME_TEST_INIT, HOME_TEST), (CARE_OF_TEST_INIT, CARE_OF_TEST)] {
        assert!(first(test_init) < first(test) && first(test) < first(BINDING_UPDATE), "{test_init} before {test}");
    }
    let accepted = first(BINDING_ACKNOWLEDGEMENT);
    assert!(first(BINDING_UPDATE) < accepted);
    for frame in at_peer {
        let Some(kind) = frame.mobility else { continue };
        let known = (HOME_TEST_INIT..=BINDING_ACKNOWLEDGEMENT).contains(&kind);
        let ends = (frame.sources.first().copied(), frame.destinations.first().copied());
        let (Some(terminal), Some(PEER)) = (if frame.is_from(PEER) { (ends.1, ends.0) } else { ends }) else {
            panic!("not of the correspondent: {frame:?}");
        };
        let by_home_address = [HOME_TEST_INIT, HOME_TEST].contains(&kind) && terminal == HOME_ADDRESS;
        let by_care_of_address = ![HOME_TEST_INIT, HOME_TEST].contains(&kind) && care_of(&terminal) == Some(CARE_OF[1]);
        assert!(known && (by_home_address || by_care_of_address), "{frame:?}");
    }
    let sent: Vec<_> =
        at_peer[accepted..].iter().filter(|frame| frame.is_from(PEER) && frame.udp_port.is_some()).collect();
    assert!(sent.len() > 3000, "{} packets", sent.len());
    let wrong = sent.iter().find(|frame| frame.destinations.first().and_then(care_of) != Some(CARE_OF[1]));
    assert!(wrong.is_none(), "{wrong:?}");
}

/// There is no former agent: updates go to the agent of foreign site 1, the home agent and the correspondent, none gives a
/// binding up, and nothing is forwarded: no link carries a tunnel in a tunnel, or one from an agent to another.
fn assert_nobody_was_left(run: &Run) {
    for (link, frame) in run.between(0, u64::MAX) {
        if frame.mobility == Some(BINDING_UPDATE) {
            let told = [AGENT, HOME_AGENT, PEER].iter().any(|agent| frame.is_to(*agent));
            assert!(told && frame.update_lifetime > Some(0), "an update on {link}: {frame:?}");
        }
        let ends = [frame.sources.first(), frame.destinations.first()];
        assert!(!ends.into_iter().all(|end| end.and_then(care_of).is_some()), "forwarded on {link}: {frame:?}");
        let headers = frame.protocols.split(':').filter(|protocol| *protocol == "ipv6").count();
        assert!(headers <= 2 || frame.is_error(), "a tunnel in a tunnel on {link}: {frame:?}");
    }
    let handovers = run.report["handovers"].as_array().expect("a list");
    assert!(handovers.iter().all(|handover| handover["forwarded"] == 0));
}

/// Of what the unmodified correspondent sent in this time, a program on the terminal had each once, but for what the home
/// agent had sent to the home link as long as nobody had told it otherwise.
fn assert_lost_at_home(run: &Run, from: u64, until: u64) {
    let probes = |frames: &[&Frame]| -> BTreeSet<u64> {
        let sent = frames.iter().filter(|frame| frame.is_from(CORRESPONDENT) && frame.udp_port.is_some());
        sent.filter_map(|frame| frame.probe).collect()
    };
    let sent = probes(&run.on("cn-bb", from, until));
    assert!(sent.len() > 3000, "{} probes", sent.len());
    let at_home = probes(&run.on("home", 0, u64::MAX));
    let times = |probe: &u64| run.received.get(probe).copied().unwrap_or(0);
    let wrong: Vec<_> =
        sent.iter().filter(|probe| times(probe) > 1 || times(probe) == 0 && !at_home.contains(probe)).collect();
    assert!(wrong.is_empty(), "{} of {} probes were not delivered once: {wrong:?}", wrong.len(), sent.len());
}

/// All movements in one run: a TCP connection between kernel programs lasts from home by two foreign sites and another
/// subnet of the home site to home again.
#[test]
fn tour() {
    let Some(_alone) = alone() else { return };
    assert_between_sites("tour", 5, &[0, 1, 2]);
}
