//! How the terminal's packets leave: natively at home, in a tunnel, or directly with a Home Address option.
//!
//! A correspondent that refuses the option, by Binding Error or ICMPv6 Parameter Problem, is reached by the tunnel for a
//! while, whatever the mode.

use super::config::UplinkMode;
use super::event::Event;
use super::router_choice::RouterKey;
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::machine::Outputs;
use stack::tables::{Route, TableUpdate, Uplink};
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Correspondents remembered as refusing the Home Address option.
pub(super) const MAX_REFUSING: usize = 256;

/// Where packets can go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Nowhere.
    Down,
    /// The terminal is at home.
    Native(RouterKey),
    /// From a temporary address, in a tunnel to this peer or directly.
    Away { router: RouterKey, source: Ipv6Addr, peer: Ipv6Addr, care_of: Ipv6Addr },
    /// The same to an anchor point: in that tunnel is the one from the regional address to the home agent.
    Nested { router: RouterKey, source: Ipv6Addr, peer: Ipv6Addr, care_of: Ipv6Addr, home_agent: Ipv6Addr },
}

/// What the data plane was told.
#[derive(Clone, Debug)]
pub(super) struct Uplinks {
    home_address: Ipv6Addr,
    mode: UplinkMode,
    /// Correspondents that take the option, as the operator says.
    direct: Vec<Ipv6Addr>,
    /// Correspondents that refuse it, and until when that is remembered.
    refusing: BTreeMap<Ipv6Addr, Instant>,
    /// Correspondents that have a binding to this care-of address.
    optimised: BTreeMap<Ipv6Addr, Ipv6Addr>,
    installed: Option<Uplink>,
    exceptions: BTreeMap<Ipv6Addr, Uplink>,
    default_route: Option<RouterKey>,
}

impl Uplinks {
    pub(super) fn new(home_address: Ipv6Addr, mode: UplinkMode, direct: Vec<Ipv6Addr>) -> Self {
        Uplinks {
            home_address,
            mode,
            direct,
            refusing: BTreeMap::new(),
            optimised: BTreeMap::new(),
            installed: None,
            exceptions: BTreeMap::new(),
            default_route: None,
        }
    }

    /// How packets leave now.
    pub(super) const fn installed(&self) -> Option<Uplink> {
        self.installed
    }

    /// Correspondents that refuse the Home Address option, and until when that is remembered.
    pub(super) fn refusing(&self) -> impl Iterator<Item = (Ipv6Addr, Instant)> {
        self.refusing.iter().map(|(&correspondent, &until)| (correspondent, until))
    }

    /// Whether packets to this correspondent carry a Home Address option now.
    pub(super) fn is_direct(&self, correspondent: Ipv6Addr) -> bool {
        let uplink = self.exceptions.get(&correspondent).or(self.installed.as_ref());
        matches!(uplink, Some(Uplink::Direct { .. }))
    }

    /// The correspondent refuses the option. Where the memory is full, the refusal that would be forgotten first is.
    pub(super) fn refuse(&mut self, now: Instant, correspondent: Ipv6Addr, memory: Duration) {
        if self.refusing.len() >= MAX_REFUSING && !self.refusing.contains_key(&correspondent) {
            let first = self.refusing.iter().min_by_key(|&(_, until)| until).map(|(&address, _)| address);
            first.map(|first| self.refusing.remove(&first));
        }
        self.refusing.insert(correspondent, now + memory);
    }

    /// The correspondent has a binding to this care-of address; `None`: it has none any more.
    pub(super) fn optimise(&mut self, correspondent: Ipv6Addr, care_of: Option<Ipv6Addr>) {
        match care_of {
            Some(care_of) => self.optimised.insert(correspondent, care_of),
            None => self.optimised.remove(&correspondent),
        };
    }

    /// Forgets what is old; the answer is when there is something to forget next.
    pub(super) fn forget(&mut self, now: Instant) -> Option<Instant> {
        self.refusing.retain(|_, until| *until > now);
        self.refusing.values().min().copied()
    }

    /// Tells the data plane what has changed.
    pub(super) fn update(&mut self, way: Way, outputs: &mut Outputs<Event>) {
        let home_address = self.home_address;
        let router = match way {
            Way::Down => None,
            Way::Native(router) | Way::Away { router, .. } | Way::Nested { router, .. } => Some(router),
        };
        if router != self.default_route {
            self.default_route = router;
            outputs.table(match router {
                Some(RouterKey { port, router }) => {
                    TableUpdate::RouteSet(Prefix::DEFAULT, Route::Via { port, next_hop: router })
                }
                None => TableUpdate::RouteRemove(Prefix::DEFAULT),
            });
        }
        let uplink = self.uplink(way, self.mode == UplinkMode::Direct);
        if self.installed != Some(uplink) {
            self.installed = Some(uplink);
            outputs.table(TableUpdate::UplinkSet(home_address, uplink));
        }
        let wanted = self.wanted_exceptions(way);
        for (&correspondent, _) in
            self.exceptions.iter().filter(|(correspondent, _)| !wanted.contains_key(*correspondent))
        {
            outputs.table(TableUpdate::UplinkExceptionRemove { home_address, correspondent });
        }
        for (&correspondent, &uplink) in &wanted {
            if self.exceptions.get(&correspondent) != Some(&uplink) {
                outputs.table(TableUpdate::UplinkExceptionSet { home_address, correspondent, uplink });
            }
        }
        self.exceptions = wanted;
    }

    fn wanted_exceptions(&self, way: Way) -> BTreeMap<Ipv6Addr, Uplink> {
        let (Way::Away { care_of: present, .. } | Way::Nested { care_of: present, .. }) = way else {
            return BTreeMap::new();
        };
        let mut wanted = self.configured_exceptions(way);
        // What a correspondent has agreed to goes before what is believed of it.
        for (&correspondent, _) in self.optimised.iter().filter(|&(_, care_of)| *care_of == present) {
            wanted.insert(correspondent, optimised(way));
        }
        wanted
    }

    fn configured_exceptions(&self, way: Way) -> BTreeMap<Ipv6Addr, Uplink> {
        match self.mode {
            UplinkMode::Direct => {
                self.refusing.keys().map(|&correspondent| (correspondent, self.uplink(way, false))).collect()
            }
            UplinkMode::Mma => BTreeMap::new(),
            UplinkMode::Auto => self
                .direct
                .iter()
                .filter(|correspondent| !self.refusing.contains_key(*correspondent))
                .map(|&correspondent| (correspondent, self.uplink(way, true)))
                .collect(),
        }
    }

    fn uplink(&self, way: Way, direct: bool) -> Uplink {
        match way {
            Way::Down => Uplink::Down,
            Way::Native(RouterKey { port, router }) => Uplink::Native { port, router },
            Way::Away { router: RouterKey { port, router }, source, .. }
            | Way::Nested { router: RouterKey { port, router }, source, .. }
                if direct =>
            {
                Uplink::Direct { port, router, source }
            }
            Way::Away { router: RouterKey { port, router }, source, peer, .. } => {
                Uplink::Tunnel { port, router, source, peer }
            }
            Way::Nested { router: RouterKey { port, router }, source, peer, care_of, home_agent } => {
                Uplink::NestedTunnel { port, router, source, peer, care_of, home_agent }
            }
        }
    }
}

/// How packets leave to a correspondent with a binding: from the care-of address, with a Home Address option.
const fn optimised(way: Way) -> Uplink {
    match way {
        Way::Down => Uplink::Down,
        Way::Native(RouterKey { port, router }) => Uplink::Native { port, router },
        Way::Away { router: RouterKey { port, router }, source, peer, care_of }
        | Way::Nested { router: RouterKey { port, router }, source, peer, care_of, .. } => {
            if source.to_bits() == care_of.to_bits() {
                Uplink::Direct { port, router, source }
            } else {
                Uplink::OptimisedTunnel { port, router, source, peer, care_of }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::machine::{Output, PortId};

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
    const LOCAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10);
    const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
    const FRIEND: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);
    const ROUTER: RouterKey = RouterKey { port: PortId(1), router: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1) };
    const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 9);
    const AWAY: Way = Way::Away { router: ROUTER, source: LOCAL, peer: AGENT, care_of: CARE_OF };
    const TUNNEL: Uplink = Uplink::Tunnel { port: ROUTER.port, router: ROUTER.router, source: LOCAL, peer: AGENT };
    const DIRECT: Uplink = Uplink::Direct { port: ROUTER.port, router: ROUTER.router, source: LOCAL };

    fn update(uplinks: &mut Uplinks, way: Way) -> Vec<TableUpdate> {
        let mut outputs = Outputs::new();
        uplinks.update(way, &mut outputs);
        core::iter::from_fn(|| outputs.poll())
            .filter_map(|output| match output {
                Output::Table(TableUpdate::RouteSet(..) | TableUpdate::RouteRemove(..)) => None,
                Output::Table(update) => Some(update),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn auto_goes_by_the_tunnel_but_to_friends() {
        let mut uplinks = Uplinks::new(HOME, UplinkMode::Auto, vec![FRIEND]);
        assert_eq!(update(&mut uplinks, Way::Down), [TableUpdate::UplinkSet(HOME, Uplink::Down)]);
        let exception = TableUpdate::UplinkExceptionSet { home_address: HOME, correspondent: FRIEND, uplink: DIRECT };
        assert_eq!(update(&mut uplinks, AWAY), [TableUpdate::UplinkSet(HOME, TUNNEL), exception.clone()]);
        assert_eq!(update(&mut uplinks, AWAY), []);
        assert!(uplinks.is_direct(FRIEND) && !uplinks.is_direct(AGENT));
        // The friend turns out not to take it, for a while.
        uplinks.refuse(Instant::ORIGIN, FRIEND, Duration::from_secs(10));
        let removed = TableUpdate::UplinkExceptionRemove { home_address: HOME, correspondent: FRIEND };
        assert_eq!(update(&mut uplinks, AWAY), [removed]);
        assert_eq!(uplinks.forget(Instant::from_secs(9)), Some(Instant::from_secs(10)));
        assert_eq!(uplinks.forget(Instant::from_secs(10)), None);
        assert_eq!(update(&mut uplinks, AWAY), [exception]);
        let home = update(&mut uplinks, Way::Native(ROUTER));
        assert_eq!(home.len(), 2);
    }

    #[test]
    fn direct_falls_back_for_who_refuses() {
        let mut uplinks = Uplinks::new(HOME, UplinkMode::Direct, Vec::new());
        assert_eq!(update(&mut uplinks, AWAY), [TableUpdate::UplinkSet(HOME, DIRECT)]);
        uplinks.refuse(Instant::ORIGIN, FRIEND, Duration::from_secs(10));
        let expected = TableUpdate::UplinkExceptionSet { home_address: HOME, correspondent: FRIEND, uplink: TUNNEL };
        assert_eq!(update(&mut uplinks, AWAY), [expected]);
        assert!(!uplinks.is_direct(FRIEND));
    }

    /// RFC 5380 §6.1.1: from the address that the correspondent knows, as long as it is the terminal's.
    #[test]
    fn who_has_a_binding_is_spoken_to_from_the_care_of_address() {
        let mut uplinks = Uplinks::new(HOME, UplinkMode::Direct, Vec::new());
        uplinks.refuse(Instant::ORIGIN, FRIEND, Duration::from_secs(10));
        uplinks.optimise(FRIEND, Some(CARE_OF));
        let RouterKey { port, router } = ROUTER;
        let uplink = Uplink::OptimisedTunnel { port, router, source: LOCAL, peer: AGENT, care_of: CARE_OF };
        let expected = TableUpdate::UplinkExceptionSet { home_address: HOME, correspondent: FRIEND, uplink };
        assert_eq!(update(&mut uplinks, AWAY)[1..], [expected]);
        let elsewhere = Way::Away { router: ROUTER, source: LOCAL, peer: AGENT, care_of: LOCAL };
        let tunnel = TableUpdate::UplinkExceptionSet { home_address: HOME, correspondent: FRIEND, uplink: TUNNEL };
        assert_eq!(update(&mut uplinks, elsewhere), [tunnel]);
        uplinks.optimise(FRIEND, Some(LOCAL));
        let direct = TableUpdate::UplinkExceptionSet { home_address: HOME, correspondent: FRIEND, uplink: DIRECT };
        assert_eq!(update(&mut uplinks, elsewhere), [direct]);
        uplinks.optimise(FRIEND, None);
        assert_eq!(update(&mut uplinks, elsewhere).len(), 1);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut uplinks = Uplinks::new(HOME, UplinkMode::Direct, Vec::new());
        for n in 0..1000u32 {
            let correspondent = Ipv6Addr::from_bits(u128::from(n));
            uplinks.refuse(Instant::from_millis(u64::from(n)), correspondent, Duration::from_secs(10));
        }
        assert_eq!(uplinks.refusing().count(), MAX_REFUSING);
        assert!(uplinks.refusing().all(|(correspondent, _)| correspondent.to_bits() >= 1000 - MAX_REFUSING as u128));
    }
}
