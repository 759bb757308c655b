//! The blocks that scenarios are made of: REG, HOME, JOIN, DOWN-HA and UP, as they have to look on the wire, and moves
//! inside a site.

use crate::world::{CN, GROUP, HOME, HOME_AGENT, PIM_PERIOD, Seen, World, is_in};
use stack::inspect::{Kind, pim};
use stack::rng::Rng;
use stack::time::{Duration, Instant};
use stack::wire::mobility::BindingUpdateFlags;
use stack::wire::mobility::option::{AddressPrefix, Subscription};
use std::net::Ipv6Addr;

/// All MLDv2-capable routers (RFC 3810 §5.2.14).
pub(crate) const MLD_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// How a site's groups are rooted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Root {
    /// At the agent as their source.
    Source,
    /// At a rendezvous point that the group names: the agent's node.
    RendezvousPoint {
        /// Its address.
        address: Ipv6Addr,
        /// The terminal's group there.
        group: Ipv6Addr,
    },
}

/// A site with a mobility agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    /// The agent's node.
    pub(crate) agent: &'static str,
    /// The agent's address, source of all groups.
    pub(crate) address: Ipv6Addr,
    /// Its care-of addresses.
    pub(crate) care_of: &'static str,
    /// The access links.
    pub(crate) access: [Access; 2],
    /// The link between the agent and the router where all paths part.
    pub(crate) trunk: &'static str,
    /// That router.
    pub(crate) core: &'static str,
    /// Where the trees of its groups begin.
    pub(crate) root: Root,
}

/// An access link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// The link of terminals.
    pub(crate) link: &'static str,
    /// Its prefix.
    pub(crate) prefix: &'static str,
    /// Its router.
    pub(crate) router: &'static str,
    /// The link between its router and the core.
    pub(crate) uplink: &'static str,
}

/// The home site of figure 4.
pub(crate) const HOME_SITE: Site = Site {
    agent: "mmah",
    address: Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1),
    care_of: "2001:db8:100:c0a::/64",
    access: [
        Access { link: "radio-a", prefix: "2001:db8:100:a::/64", router: "a", uplink: "core-a" },
        Access { link: "radio-c", prefix: "2001:db8:100:c::/64", router: "c", uplink: "core-c" },
    ],
    trunk: "mmah-core",
    core: "core",
    root: Root::Source,
};

/// The foreign site of figure 5.
pub(crate) const FOREIGN_SITE: Site = Site {
    agent: "mma1",
    address: Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 1),
    care_of: "2001:db8:200:c0a::/64",
    access: [
        Access { link: "radio-a", prefix: "2001:db8:200:a::/64", router: "a", uplink: "core-a" },
        Access { link: "radio-b", prefix: "2001:db8:200:b::/64", router: "b", uplink: "core-b" },
    ],
    trunk: "mma1-core",
    core: "core",
    root: Root::Source,
};

/// The home site of the labs with three sites.
pub(crate) const HOME_OF_THREE: Site = Site {
    agent: "mmah",
    address: Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1),
    care_of: "2001:db8:100:c0a::/64",
    access: [
        Access { link: "radio-e", prefix: "2001:db8:100:e::/64", router: "e", uplink: "coreh-e" },
        Access { link: "radio-f", prefix: "2001:db8:100:f::/64", router: "f", uplink: "coreh-f" },
    ],
    trunk: "mmah-coreh",
    core: "coreh",
    root: Root::Source,
};

/// Their first foreign site.
pub(crate) const FIRST_OF_THREE: Site = Site {
    agent: "mma1",
    address: Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 1),
    care_of: "2001:db8:200:c0a::/64",
    access: [
        Access { link: "radio-a", prefix: "2001:db8:200:a::/64", router: "a", uplink: "core1-a" },
        Access { link: "radio-b", prefix: "2001:db8:200:b::/64", router: "b", uplink: "core1-b" },
    ],
    trunk: "mma1-core1",
    core: "core1",
    root: Root::Source,
};

/// Their second foreign site.
pub(crate) const SECOND_OF_THREE: Site = Site {
    agent: "mma2",
    address: Ipv6Addr::new(0x2001, 0xdb8, 0x300, 0, 0, 0, 0, 1),
    care_of: "2001:db8:300:c0a::/64",
    access: [
        Access { link: "radio-c", prefix: "2001:db8:300:c::/64", router: "c", uplink: "core2-c" },
        Access { link: "radio-d", prefix: "2001:db8:300:d::/64", router: "d", uplink: "core2-d" },
    ],
    trunk: "mma2-core2",
    core: "core2",
    root: Root::Source,
};

impl Site {
    /// The terminal's group.
    pub(crate) const fn group(&self) -> Ipv6Addr {
        match self.root {
            Root::Source => GROUP,
            Root::RendezvousPoint { group, .. } => group,
        }
    }

    /// Whether joins and prunes are of the tree that the site's groups have, and members name what is its root.
    fn check_tree(&self, s: &Seen) {
        for tree in s.trees(self.group()) {
            let found = (tree.source, tree.wildcard, tree.rendezvous);
            match self.root {
                Root::Source => assert_eq!(found, (self.address, false, false), "{s}"),
                Root::RendezvousPoint { address, .. } => assert_eq!(found, (address, true, true), "{s}"),
            }
        }
        if let Root::RendezvousPoint { .. } = self.root {
            assert!(s.records(self.group()).all(|record| record.sources.is_empty()), "{s}");
            assert!(s.records(GROUP).next().is_none() && s.trees(GROUP).next().is_none(), "not granted: {s}");
            assert!(!matches!(s.what.kind, Kind::Pim(pim::Message::Register)), "{s}");
        }
    }

    fn access_of(&self, link: &str) -> Option<&Access> {
        self.access.iter().find(|access| access.link == link)
    }

    fn is_local(&self, link: &str, address: Ipv6Addr) -> bool {
        self.access_of(link).is_some_and(|access| is_in(address, access.prefix))
    }
}

/// Whether both agents have acknowledged and data come to the terminal's programs.
pub(crate) fn is_settled(world: &World<'_>) -> bool {
    let terminal = world.terminal("mt");
    !terminal.is_registering() && terminal.home_registration().is_some() && terminal.agent_registration().is_some()
}

/// Whether a packet of the correspondent came through this access link at `since` or later.
pub(crate) fn is_heard(world: &World<'_>, access: &Access, since: Instant) -> bool {
    let capture = world.sim.network().capture();
    let router = world.id(access.router);
    let link = world.link_id(access.link);
    let frames = capture.between(since, world.now());
    frames.iter().any(|f| f.link == link && f.from == router && f.copies > 0 && f.describe().is_tunnelled())
}

/// REG(m), HOME(c) and JOIN(r) of a terminal that has entered a site, the care-of address granted. Nothing else of
/// mobility left the terminal, and everything in this order.
pub(crate) fn check_entry(seen: &[Seen], site: &Site) -> Ipv6Addr {
    let updates: Vec<&Seen> = seen.iter().filter(|s| s.from == "mt" && s.is_mobility()).collect();
    let (to_agent, others): (Vec<&Seen>, Vec<&Seen>) =
        updates.into_iter().partition(|s| s.destination() == site.address);
    let (to_home, others): (Vec<&Seen>, Vec<&Seen>) = others.into_iter().partition(|s| s.destination() == HOME_AGENT);
    assert!(others.is_empty(), "to neither agent: {}", others[0]);
    assert!(!to_agent.is_empty() && !to_home.is_empty(), "no registration");

    for sent in &to_agent {
        let update = sent.update().expect("a Binding Update");
        assert!(
            update.flags.contains(BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION),
            "{sent}"
        );
        assert!(!update.flags.contains(BindingUpdateFlags::HOME_REGISTRATION), "{sent}");
        assert_eq!(sent.home_address_option(), Some(HOME), "{sent}");
        assert!(site.is_local(&sent.link, sent.source()), "not from the link's prefix: {sent}");
        assert_eq!(update.options.subscriptions.len(), 1, "{sent}");
        assert!([GROUP, site.group()].contains(&update.options.subscriptions[0].group), "{sent}");
        assert_eq!(update.options.alternate_care_of_address, None, "{sent}");
        assert!(update.options.authentication.is_some(), "{sent}");
    }

    let grants: Vec<&Seen> = seen
        .iter()
        .filter(|s| {
            s.from == site.agent
                && s.source() == site.address
                // A correspondent's that answers what is settled already may be in the tunnel to the group.
                && !s.what.is_tunnelled()
                && s.acknowledgement().is_some_and(|a| a.status.is_accepted())
        })
        .collect();
    let granted = grants.first().expect("the mobility agent acknowledges");
    let options = &granted.acknowledgement().expect("it is one").options;
    let [AddressPrefix { code: AddressPrefix::NEW_CARE_OF_ADDRESS, prefix_length: 128, address: care_of }] =
        options.addresses[..]
    else {
        panic!("no care-of address: {granted}")
    };
    assert!(is_in(care_of, site.care_of), "{care_of}");
    for grant in &grants {
        let acknowledgement = grant.acknowledgement().expect("it is one");
        assert_eq!(grant.routing_header(), Some(HOME), "{grant}");
        assert_eq!(acknowledgement.options.addresses, options.addresses, "{grant}");
        let source = (site.root == Root::Source).then_some(site.address);
        let subscription = Subscription { group: site.group(), source };
        assert_eq!(acknowledgement.options.subscriptions, [subscription], "{grant}");
    }

    for sent in &to_home {
        let update = sent.update().expect("a Binding Update");
        assert!(sent.at >= granted.at, "before the mobility agent had acknowledged: {sent}");
        assert!(
            update.flags.contains(BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::HOME_REGISTRATION),
            "{sent}"
        );
        assert!(!update.flags.contains(BindingUpdateFlags::MAP_REGISTRATION), "{sent}");
        assert_eq!(sent.home_address_option(), Some(HOME), "{sent}");
        assert_eq!(update.options.alternate_care_of_address, Some(care_of), "{sent}");
        assert!(site.is_local(&sent.link, sent.source()), "{sent}");
        assert!(update.lifetime <= granted.acknowledgement().expect("it is one").lifetime, "outlives it: {sent}");
    }
    let told =
        seen.iter().find(|s| s.source() == HOME_AGENT && s.acknowledgement().is_some_and(|a| a.status.is_accepted()));
    let told = told.expect("the home agent acknowledges");
    assert_eq!(told.routing_header(), Some(HOME), "{told}");
    assert!(site.access.iter().any(|access| is_in(told.destination(), access.prefix)), "not to where it is: {told}");

    let joined = seen.iter().find(|s| s.from == "mt" && s.wants(site.group())).expect("the terminal joins");
    assert!(joined.at >= granted.at, "before the group was granted: {joined}");
    check_reports(seen, site);
    care_of
}

/// Every report of the terminal for its group: to the routers of one of the site's access links, for the agent alone.
pub(crate) fn check_reports(seen: &[Seen], site: &Site) {
    if let Root::RendezvousPoint { .. } = site.root {
        seen.iter().for_each(|s| site.check_tree(s));
    }
    for report in seen.iter().filter(|s| s.records(site.group()).next().is_some()) {
        assert_eq!(report.from, "mt", "{report}");
        assert_eq!(report.destination(), MLD_ROUTERS, "{report}");
        assert!(report.source().is_unicast_link_local(), "{report}");
        assert!(site.access_of(&report.link).is_some(), "{report}");
        assert!(
            report.records(site.group()).all(|record| record.sources.iter().all(|s| *s == site.address)),
            "{report}"
        );
    }
}

/// DOWN-HA(m): natively to the home agent, in its tunnel to the care-of address, and to the group. No packet takes
/// another form: no unicast to the terminal's place, no third header. Returns how many were seen in the home agent's
/// tunnel: none where it is the mobility agent's node.
pub(crate) fn check_down(seen: &[Seen], site: &Site, care_of: Ipv6Addr) -> usize {
    let (mut tunnelled, mut multicast) = (0, 0);
    for packet in seen.iter().filter(|s| s.is_data(CN, HOME) && !s.link.ends_with("-tun")) {
        match packet.headers()[..] {
            [_] => assert!(site.access_of(&packet.link).is_none(), "natively on an access link: {packet}"),
            [outer, _] if outer == (HOME_AGENT, care_of) => {
                assert!(site.access_of(&packet.link).is_none(), "{packet}");
                tunnelled += 1;
            }
            [outer, _] if outer == (site.address, site.group()) => {
                assert!(
                    packet.link == site.trunk
                        || site.access.iter().any(|a| [a.link, a.uplink].contains(&&*packet.link))
                );
                multicast += 1;
            }
            _ => panic!("in another form: {packet}"),
        }
    }
    assert!(multicast > 0, "none to the group");
    tunnelled
}

/// UP through the mobility agent: from an address of the link where it is sent, never the home address; the agent sends
/// on from the care-of address to the home agent, and that natively. Returns the links of sending, in order.
pub(crate) fn check_up(seen: &[Seen], site: &Site, care_of: Ipv6Addr) -> Vec<String> {
    let mut links: Vec<String> = Vec::new();
    for packet in seen.iter().filter(|s| s.is_data(HOME, CN) && !s.link.ends_with("-tun")) {
        match packet.headers()[..] {
            [_] => assert!(site.access_of(&packet.link).is_none(), "natively on an access link: {packet}"),
            [(care, agent), _] if (care, agent) == (care_of, HOME_AGENT) => {
                assert!(site.access_of(&packet.link).is_none(), "{packet}");
            }
            [(local, agent), _] if agent == site.address => {
                assert!(site.access.iter().any(|access| is_in(local, access.prefix)), "{packet}");
                if packet.from == "mt" {
                    assert!(site.is_local(&packet.link, local), "from another link's address: {packet}");
                    if links.last().is_none_or(|last| packet.link != last.as_str()) {
                        links.push(packet.link.to_string());
                    }
                }
            }
            _ => panic!("in another form: {packet}"),
        }
    }
    links
}

/// How the terminal changes links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Both links are up for a while.
    MakeFirst,
    /// The old link is gone for a moment before the new one is there.
    BreakFirst,
}

/// Whether neither the terminal nor an agent waits for an answer, and would ask again.
fn nobody_waits(world: &World<'_>) -> bool {
    let agents = world.lab.nodes.iter().filter(|node| node.config.mma.is_some());
    let waits = |state| ["testing", "updating", "deleting"].contains(&state);
    !world.terminal("mt").is_registering()
        && agents.flat_map(|node| world.agent(&node.name).optimisations()).all(|view| !waits(view.state))
}

/// Moves the terminal inside its site and checks what that may cause: a report on the new link, Joins and Prunes between
/// the access routers and where their paths part, and nothing anywhere else.
pub(crate) fn move_within(
    world: &mut World<'_>,
    site: &Site,
    from: &Access,
    to: &Access,
    mode: Mode,
    chance: &mut Rng,
) {
    // What is still on its way is not of this move.
    let is_quiet = |world: &World<'_>| {
        let since = world.now().since(Instant::ORIGIN).saturating_sub(Duration::from_millis(300));
        !world.has_seen_since(Instant::ORIGIN + since, Seen::is_mobility) && nobody_waits(world)
    };
    world.run_until("signalling has come to rest", 8_000, is_quiet);
    let (before, moved) = (world.bindings(), world.now());
    match mode {
        Mode::MakeFirst => world.approach("mt", from.link, to.link),
        Mode::BreakFirst => world.jump("mt", from.link, to.link, 20 + chance.below(60)),
    }
    let uses = |world: &World<'_>| world.sends_through("mt", to.link);
    world.run_until("the terminal sends through its new router", 8_000, uses);
    world.run_until("packets come through the new router", 8_000, |world| is_heard(world, to, moved));
    if mode == Mode::MakeFirst {
        let leaves = |s: &Seen| s.from == "mt" && s.link == from.link && s.leaves(site.group());
        let has_left = |world: &World<'_>| world.has_seen_since(moved, leaves);
        world.run_until("the terminal leaves the old link", 2_000, has_left);
        world.run_ms(50);
        world.detach("mt", from.link);
    }
    world.run_ms(300);

    assert_eq!(world.bindings(), before, "the move changed a binding");
    let seen = world.seen_since(moved);
    for s in &seen {
        assert!(!(s.is_mobility()), "a move within the site sent {s}");
        let site_of = |link: &str| world.lab.links[world.lab.link_named(link)?.0].site.as_deref();
        let outside = world.lab.link_named(&s.link).is_some() && site_of(&s.link).is_none();
        if site_of(&s.link).is_some() && site_of(&s.link) != site_of(site.trunk) {
            // A site that was left forgets in its own time.
            assert_ne!(s.from, "mt", "in another site: {s}");
            continue;
        }
        let signalling = s.joins(site.group()) || s.prunes(site.group()) || s.records(site.group()).next().is_some();
        assert!(!(outside && signalling), "outside the site: {s}");
        if s.joins(site.group()) || s.prunes(site.group()) {
            let between = site.access.iter().any(|access| s.link == access.uplink);
            // Where the new router's Join is lost and the old router prunes, nobody wants the group for a period.
            let arrived = |j: &Seen| {
                j.link == to.uplink && j.from == to.router && j.joins(site.group()) && !j.lost && j.at < s.at
            };
            let wanted = s.joins(site.group()) || !seen.iter().any(arrived);
            assert!(between || s.link == site.trunk && wanted, "beyond where the paths part: {s}\n{}", world.story(25));
        }
    }
    check_reports(&seen, site);
    let report = seen.iter().find(|s| s.wants(site.group()) && s.link == to.link).expect("a report on the new link");
    // The new router joins, unless it did so before and has not noticed that the terminal was away.
    let asked =
        |s: &Seen| s.link == to.uplink && s.from == to.router && (s.joins(site.group()) || s.prunes(site.group()));
    let all = world.seen();
    let last = all.iter().rev().find(|s| asked(s)).expect("the new router joins");
    assert!(last.joins(site.group()), "{last}");
    let was_joined = all.iter().rfind(|s| s.at < report.at && asked(s)).is_some_and(|s| s.joins(site.group()));
    assert!(was_joined || last.at >= report.at, "{last}");
    check_trunk(&all, site);
}

/// The router where the paths part says again that it wants the group, once a period, and nothing in between: a move
/// behind it causes no Join of its own. A root that it hears anew after several lost Hellos it greets and tells again
/// (RFC 7761 §4.3.1, §4.5.5).
fn check_trunk(seen: &[Seen], site: &Site) {
    let greets = |s: &Seen| {
        let is_hello = |h: &&Seen| h.link == site.trunk && h.from == site.core && h.at == s.at && h.is_hello();
        seen.iter().any(|h| is_hello(&h))
    };
    let from_core = seen.iter().filter(|s| s.link == site.trunk && s.from == site.core);
    let messages: Vec<&Seen> = from_core.filter(|s| s.joins(site.group()) || s.prunes(site.group())).collect();
    for pair in messages.windows(2).filter(|pair| pair.iter().all(|s| s.joins(site.group()))) {
        let apart: Duration = pair[1].at - pair[0].at;
        assert!(apart * 10 >= PIM_PERIOD * 9 || greets(pair[1]), "a Join of its own after {apart:?}: {}", pair[1]);
    }
}
