//! Movements between sites as they have to look on the wire: who is told what, in which order, what is forwarded, and
//! what must not be sent.

use crate::blocks::{Mode, Site, check_entry};
use crate::world::{Draft, GROUP, HOME, HOME_AGENT, PEER, Seen, Stream, World, is_in};
use stack::rng::Rng;
use stack::time::{Duration, Instant};
use stack::wire::mobility::BindingUpdateFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

/// How long agents of sites that were left forward, in seconds.
pub(crate) const FORWARD_SECS: u64 = 8;

/// The labs with three sites, the terminal at first on this link.
fn three_sites(start: &str) -> Draft {
    Draft::shipped("tour").start("mt", start).configure("mt", &format!("mobile_terminal.forward_secs = {FORWARD_SECS}"))
}

/// The same with route optimisation as this word says.
pub(crate) fn three_sites_with(start: &str, route_optimisation: &str) -> Draft {
    with_route_optimisation(three_sites(start), route_optimisation)
}

/// With this word for route optimisation at all three agents.
pub(crate) fn with_route_optimisation(draft: Draft, route_optimisation: &str) -> Draft {
    let word = format!("mma.route_optimisation = \"{route_optimisation}\"");
    ["mmah", "mma1", "mma2"].iter().fold(draft, |draft, agent| draft.configure(agent, &word))
}

/// Where the terminal is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// On the home link.
    Home,
    /// On an access link of a site.
    In(&'static Site, usize),
}

impl Place {
    pub(crate) fn link(&self) -> &'static str {
        match self {
            Place::Home => "home",
            Place::In(site, access) => site.access[*access].link,
        }
    }

    fn site(&self) -> Option<&'static Site> {
        match self {
            Place::Home => None,
            Place::In(site, _) => Some(site),
        }
    }
}

/// Whether the terminal has told everybody that it is here, and has their answers.
pub(crate) fn is_registered_at(world: &World<'_>, place: &Place) -> bool {
    let terminal = world.terminal("mt");
    let told = terminal.home_registration().map(|granted| granted.care_of);
    let is_here = match place {
        Place::Home => told.is_none() && terminal.site().care_of.is_none(),
        Place::In(site, _) => {
            let granted = terminal.agent_registration().map(|granted| granted.care_of);
            granted.is_some_and(|care_of| is_in(care_of, site.care_of)) && told == granted
        }
    };
    is_here && !terminal.is_registering() && world.sends_through("mt", place.link())
}

/// Takes the terminal from one place to another and waits until everybody has answered and packets of these streams come
/// there. Returns when it moved.
pub(crate) fn go(
    world: &mut World<'_>,
    from: Place,
    to: Place,
    mode: Mode,
    streams: &[Stream],
    chance: &mut Rng,
) -> Instant {
    let moved = world.now();
    match mode {
        Mode::MakeFirst => world.approach("mt", from.link(), to.link()),
        Mode::BreakFirst => world.jump("mt", from.link(), to.link(), 20 + chance.below(60)),
    }
    world.run_until("everybody knows where the terminal is", 60_000, |world| is_registered_at(world, &to));
    if mode == Mode::MakeFirst {
        if from.site().is_some() {
            let leaves = |s: &Seen| s.from == "mt" && s.link == from.link() && s.leaves(GROUP);
            let has_left = |world: &World<'_>| world.has_seen_since(moved, leaves);
            world.run_until("the terminal leaves the old link", 5_000, has_left);
        }
        world.run_ms(50);
        world.detach("mt", from.link());
    }
    let arrived = world.now();
    for stream in streams {
        let passes = |world: &World<'_>| world.flow(*stream).summary_between(arrived, world.now()).received > 0;
        world.run_until("packets come to the new place", 20_000, passes);
    }
    world.run_ms(300);
    moved
}

/// The node that is the home agent.
pub(crate) fn home_agent_node(world: &World<'_>) -> &'static str {
    if world.lab.nodes.iter().any(|node| node.name == "ha") { "ha" } else { "mmah" }
}

/// What a movement between sites may put on the wire, and in which order. `old` is the care-of address in the site that
/// was left. Returns the new one.
pub(crate) fn check_move(
    world: &World<'_>,
    moved: Instant,
    (from, to): (Place, Place),
    mode: Mode,
    old: Option<Ipv6Addr>,
) -> Option<Ipv6Addr> {
    let seen = world.seen_since(moved);
    let old_agent = from.site().map(|site| site.address);
    let to_old = |s: &Seen| s.from == "mt" && s.is_mobility() && Some(s.destination()) == old_agent;
    let to_correspondent = |s: &Seen| s.from == "mt" && s.is_mobility() && s.destination() == PEER;
    // On the link that is left the group is given up, and nothing else.
    let is_leave = |s: &Seen| s.link == from.link() && s.records(GROUP).next().is_some();
    if let Some(joined) = seen.iter().find(|s| is_leave(s) && s.at > moved + Duration::from_secs(2) && s.wants(GROUP)) {
        panic!("wanted where it is left: {joined}");
    }
    // REG and HOME, or the end of the home agent's binding.
    let others: Vec<Seen> =
        seen.iter().filter(|s| !to_old(s) && !to_correspondent(s) && !is_leave(s)).cloned().collect();
    let care_of = match to {
        Place::In(site, _) => Some(check_entry(&others, site)),
        Place::Home => {
            check_return(&others);
            None
        }
    };
    assert!(care_of.is_none() || !seen.iter().any(to_correspondent), "its agent does that");
    let told_home = home_agent_accepts(world, &seen);
    if let (Some(site), Some(old)) = (from.site(), old) {
        // Where nothing comes by the old link any more, what is under way is wanted at once.
        let not_before = if mode == Mode::MakeFirst || care_of.is_none() { told_home } else { moved };
        check_farewell(&seen, site, care_of.unwrap_or(HOME), not_before);
        check_forwarding(&seen, site, old, care_of.unwrap_or(HOME));
        // The home agent has been told.
        let late = |s: &&Seen| s.from == home_agent_node(world) && s.at > told_home && s.headers().len() == 2;
        let late = seen.iter().filter(late).find(|s| s.headers()[0] == (HOME_AGENT, old));
        assert!(late.is_none(), "the home agent still tunnels to the old care-of address: {}", late.expect("one"));
    } else {
        assert!(!seen.iter().any(to_old), "nobody is to be left");
    }
    check_sources(&seen);
    care_of
}

/// When the home agent has accepted the first update.
pub(crate) fn home_agent_accepts(world: &World<'_>, seen: &[Seen]) -> Instant {
    let node = home_agent_node(world);
    let accepts = |s: &&Seen| {
        s.from == node && s.source() == HOME_AGENT && s.acknowledgement().is_some_and(|a| a.status.is_accepted())
    };
    seen.iter().find(accepts).expect("the home agent acknowledges").at
}

/// Coming home: the home agent's binding is ended by an update from the home address itself, and nothing is joined.
fn check_return(seen: &[Seen]) {
    let updates: Vec<&Seen> = seen.iter().filter(|s| s.from == "mt" && s.update().is_some()).collect();
    assert!(!updates.is_empty(), "nobody is told");
    for sent in updates {
        let update = sent.update().expect("it is one");
        assert_eq!((sent.source(), sent.destination()), (HOME, HOME_AGENT), "{sent}");
        assert_eq!(sent.home_address_option(), None, "at home there is no option: {sent}");
        let flags = BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::HOME_REGISTRATION;
        assert!(update.flags.contains(flags) && !update.flags.contains(BindingUpdateFlags::MAP_REGISTRATION), "{sent}");
        assert!(update.lifetime.duration().is_zero(), "{sent}");
        assert_eq!(sent.link, "home", "{sent}");
    }
    let joins = seen.iter().find(|s| s.link == "home" && (s.wants(GROUP) || s.destination() == GROUP));
    assert!(joins.is_none(), "the group on the home link: {}", joins.expect("one"));
}

/// De-registration with forwarding: with the new care-of address or the home address, for a bounded time, and no
/// group in it; after the new agent has granted its care-of address, and not before this time.
fn check_farewell(seen: &[Seen], old: &Site, to: Ipv6Addr, not_before: Instant) {
    let updates: Vec<&Seen> =
        seen.iter().filter(|s| s.from == "mt" && s.is_mobility() && s.destination() == old.address).collect();
    assert!(!updates.is_empty(), "the old agent is not told");
    for sent in updates {
        let update = sent.update().expect("a Binding Update");
        assert!(sent.at >= not_before, "before the home agent has answered: {sent}");
        let flags = BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION;
        assert!(
            update.flags.contains(flags) && !update.flags.contains(BindingUpdateFlags::HOME_REGISTRATION),
            "{sent}"
        );
        assert!(update.options.subscriptions.is_empty(), "it wants the group: {sent}");
        assert!(update.options.authentication.is_some(), "{sent}");
        assert_eq!(update.options.alternate_care_of_address, Some(to), "{sent}");
        assert!(update.lifetime.duration() <= Duration::from_secs(FORWARD_SECS), "{sent}");
        if to == HOME {
            assert_eq!((sent.source(), sent.home_address_option()), (HOME, None), "{sent}");
        } else {
            assert_eq!(sent.home_address_option(), Some(HOME), "{sent}");
            assert!(!is_in(sent.source(), old.care_of), "{sent}");
        }
    }
}

/// What is forwarded: by the old agent alone, to the one place where it was asked to, from when it has said so, for no
/// longer than was asked, each packet once; and from then on the old agent sends nothing to the group.
fn check_forwarding(seen: &[Seen], old: &Site, care_of: Ipv6Addr, to: Ipv6Addr) {
    let said = |s: &&Seen| {
        s.from == old.agent && s.source() == old.address && s.acknowledgement().is_some_and(|a| a.status.is_accepted())
    };
    let said: Vec<Instant> = seen.iter().filter(said).map(|s| s.at).collect();
    let (Some(&first), Some(&last)) = (said.first(), said.last()) else { panic!("the old agent does not answer") };
    let mut ways: BTreeMap<u64, BTreeSet<(Ipv6Addr, Ipv6Addr)>> = BTreeMap::new();
    for s in seen {
        if s.from == old.agent && s.source() == old.address && s.destination() == GROUP {
            assert!(s.at <= first, "the old agent multicasts: {s}");
        }
        let [outer, _, ..] = s.headers()[..] else { continue };
        if outer.0 == care_of && outer.1 != HOME_AGENT {
            assert_eq!(outer.1, to, "forwarded elsewhere: {s}");
            assert!(s.headers().len() == 2, "a third header: {s}");
            assert!(s.at >= first, "forwarded before it was said: {s}");
            let end = last + Duration::from_secs(FORWARD_SECS) + Duration::from_millis(50);
            assert!(s.at <= end, "forwarded too long: {s}");
            ways.entry(s.what.fingerprint(&s.frame)).or_default().insert(outer);
        }
    }
    assert!(ways.values().all(|ways| ways.len() == 1), "a packet is forwarded twice");
}

/// Nothing leaves the terminal with an address of another link.
fn check_sources(seen: &[Seen]) {
    for s in seen.iter().filter(|s| s.from == "mt" && !s.link.ends_with("-tun")) {
        let source = s.source();
        if source.is_unspecified() || source.is_unicast_link_local() {
            continue;
        }
        let prefix = match s.link.strip_prefix("radio-") {
            None => "2001:db8:100:1::/64".to_owned(),
            Some(letter) => {
                let site = match letter {
                    "a" | "b" => 2,
                    "c" | "d" => 3,
                    _ => 1,
                };
                format!("2001:db8:{site}00:{letter}::/64")
            }
        };
        assert!(is_in(source, &prefix), "from an address of another link: {s}");
    }
}

/// How many packets were forwarded from one care-of address to another place, each counted once.
pub(crate) fn forwarded(seen: &[Seen], care_of: Ipv6Addr) -> usize {
    all_forwarded(seen, care_of).len()
}

/// Fingerprints of those packets.
pub(crate) fn all_forwarded(seen: &[Seen], care_of: Ipv6Addr) -> BTreeSet<u64> {
    let forwarded = seen.iter().filter(|s| {
        let headers = s.headers();
        headers.len() > 1 && headers[0].0 == care_of && headers[0].1 != HOME_AGENT
    });
    forwarded.map(|s| s.what.fingerprint(&s.frame)).collect()
}

/// Whether the correspondent of ours has sent straight to this care-of address since.
pub(crate) fn sends_straight(world: &World<'_>, care_of: Ipv6Addr, since: Instant) -> bool {
    world.has_seen_since(since, |s| {
        s.from == "peer" && s.link == "peer-bb" && s.is_data(PEER, HOME) && s.headers() == [(PEER, care_of)]
    })
}

/// RO(m, peer): the tests and the update, from the care-of address of the agent and never from the terminal; afterwards
/// the correspondent sends straight, and the home agent sees none of it.
pub(crate) fn check_route_optimisation(world: &World<'_>, since: Instant, care_of: Ipv6Addr) {
    let seen = world.seen_since(since);
    let messages: Vec<&Seen> = seen.iter().filter(|s| s.is_mobility() && s.link == "peer-bb").collect();
    let update =
        messages.iter().find(|s| s.update().is_some() && s.source() == care_of).expect("the agent tells the peer");
    let told = update.update().expect("it is one");
    assert_eq!(update.home_address_option(), Some(HOME), "{update}");
    assert!(!told.flags.contains(BindingUpdateFlags::HOME_REGISTRATION), "{update}");
    assert!(told.lifetime.duration() <= Duration::from_secs(420), "{update}");
    for s in &messages {
        assert!([HOME, care_of, PEER].contains(&s.source()) || s.at < update.at, "who tests here: {s}");
    }
    let first = seen.iter().find(|s| s.from == "peer" && s.headers() == [(PEER, care_of)] && s.is_data(PEER, HOME));
    let first = first.expect("the peer sends straight").at;
    let around = seen
        .iter()
        .find(|s| s.from == "peer" && s.at > first && s.headers() == [(PEER, HOME)] && s.is_data(PEER, HOME));
    assert!(around.is_none(), "by way of the home agent: {}", around.expect("one"));
    for s in seen.iter().filter(|s| s.from == "peer" && s.is_data(PEER, HOME) && s.headers() == [(PEER, care_of)]) {
        assert_eq!(s.routing_header(), Some(HOME), "{s}");
    }
}

/// Between the sites nothing of multicast is spoken (S15), but for what routers listen to of the link itself.
pub(crate) fn check_backbone(world: &World<'_>) {
    let inside = |s: &Seen| world.lab.link_named(&s.link).is_none_or(|link| world.lab.links[link.0].site.is_some());
    let speaks = |s: &Seen| {
        s.joins(GROUP) || s.prunes(GROUP) || s.records(GROUP).next().is_some() || s.destination().is_multicast()
    };
    let is_of_link = |s: &Seen| s.what.class() == stack::inspect::Class::Nd || s.reports_the_link();
    let found = world.find(|s| !inside(s) && speaks(s) && !is_of_link(s));
    assert!(found.is_none(), "{}", found.expect("one"));
}
