//! What a PIM router is told at its start.

use crate::mld::Version;
use crate::register::REGISTER_PROBE_TIME;
use crate::rp::{BsrBoundary, RpConfig};
pub use crate::spt::SptSwitchover;
use core::net::Ipv6Addr;
use stack::addr::{Prefix, Scope};
use stack::machine::PortId;
use stack::time::Duration;

/// Configuration of a [`crate::Router`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The interfaces, each port once.
    pub interfaces: Vec<InterfaceConfig>,
    /// Source-specific ranges beside `ff3x::/32`.
    pub ssm_ranges: Vec<Prefix>,
    /// Ranges of groups that belong to one terminal each: explicit tracking, immediate leave and the short timers of
    /// [`MobilityMld`] apply to them.
    pub mobility_ranges: Vec<Prefix>,
    /// t_periodic (RFC 7761 §4.11): joins are refreshed so often; receivers hold them 3.5 times as long.
    pub join_prune_period: Duration,
    /// Keepalive_Period (RFC 7761 §4.11): the state of a source that sends nothing for so long is forgotten.
    pub keepalive_period: Duration,
    /// Register_Suppression_Time (RFC 7761 §4.11), more than 10 s: after a Register-Stop a designated router asks the
    /// rendezvous point again in half to one and a half times of it, 5 s less. At a rendezvous point it is to be the
    /// largest of the routers that register there, whose sources' state it holds for three times of it.
    pub register_suppression_time: Duration,
    /// Whose sources get a tree of their own.
    pub spt_switchover: SptSwitchover,
    /// The address that Register messages are sent from; `None` is one of the interface towards the rendezvous point.
    pub register_source: Option<Ipv6Addr>,
    /// Rendezvous points beside those that groups name.
    pub rendezvous_points: RpConfig,
    /// Limits on the state that others can make this router hold.
    pub limits: Limits,
    /// What is done with what terminals say of their moves.
    pub terminal_moves: TerminalMoves,
    /// Seed of the generation identifiers and of the timers that the RFC randomises. Another one at each start of the
    /// process: neighbours know a restart by another generation identifier (RFC 7761 §4.3.1).
    pub seed: u64,
}

impl Config {
    /// t_periodic (RFC 7761 §4.11).
    pub const JOIN_PRUNE_PERIOD: Duration = Duration::from_secs(60);

    /// Keepalive_Period (RFC 7761 §4.11).
    pub const KEEPALIVE_PERIOD: Duration = Duration::from_secs(210);

    /// Register_Suppression_Time (RFC 7761 §4.11).
    pub const REGISTER_SUPPRESSION_TIME: Duration = Duration::from_secs(60);

    /// Interfaces with the RFCs' defaults and no mobility range.
    pub fn new(interfaces: Vec<InterfaceConfig>, seed: u64) -> Self {
        Config {
            interfaces,
            ssm_ranges: Vec::new(),
            mobility_ranges: Vec::new(),
            join_prune_period: Config::JOIN_PRUNE_PERIOD,
            keepalive_period: Config::KEEPALIVE_PERIOD,
            register_suppression_time: Config::REGISTER_SUPPRESSION_TIME,
            spt_switchover: SptSwitchover::default(),
            register_source: None,
            rendezvous_points: RpConfig::default(),
            limits: Limits::default(),
            terminal_moves: TerminalMoves::Ignored,
            seed,
        }
    }

    /// RP_Keepalive_Period := 3 * Register_Suppression_Time + Register_Probe_Time (RFC 7761 §4.11)
    pub(crate) fn rp_keepalive_period(&self) -> Duration {
        self.register_suppression_time * 3 + REGISTER_PROBE_TIME
    }

    /// Whether members of this group name their sources (RFC 4607): `ff3x::/32` and the configured ranges.
    pub fn is_ssm(&self, group: Ipv6Addr) -> bool {
        is_ssm(&self.ssm_ranges, group)
    }
}

/// Whether this group is in `ff3x::/32` or one of `ranges`.
pub(crate) fn is_ssm(ranges: &[Prefix], group: Ipv6Addr) -> bool {
    let segments = group.segments();
    (segments[0] & 0xfff0 == 0xff30 && segments[1] == 0) || ranges.iter().any(|range| range.contains(group))
}

/// Whether a group's packets may be routed at all: wider than a link.
pub(crate) fn is_routable_group(group: Ipv6Addr) -> bool {
    Scope::of(group).is_some_and(|scope| scope > Scope::LINK_LOCAL)
}

/// Whether a group stays within the site.
pub(crate) fn is_site_scoped(group: Ipv6Addr) -> bool {
    Scope::of(group).is_some_and(|scope| scope <= Scope::SITE_LOCAL)
}

/// What is done with the extension of reports in which terminals name their previous or their next access router
/// ([`stack::wire::mld::extension::AccessRouter`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TerminalMoves {
    /// Nothing.
    Ignored,
    /// The node is told ([`crate::Event::ListenerMoves`]).
    Told,
}

/// How many routers the link of an interface has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// Any number: prunes wait for others to override them, joins are suppressed where another router sends them.
    Lan,
    /// One neighbour: prunes act at once, nothing is suppressed.
    PointToPoint,
}

/// Whether an interface speaks PIM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Participation {
    /// It does.
    Active,
    /// It sends and hears no PIM message, and is the designated router of its link.
    Passive,
}

/// When the first Hello leaves after the link came up, and the Hello that greets a new neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstHello {
    /// At once.
    Fast,
    /// After rand(0, Triggered_Hello_Delay), as RFC 7761 §4.3.1 has it.
    Random,
}

/// Which side of the site's border an interface is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Border {
    /// Within the site.
    Inside,
    /// It leads out of the site: no PIM message passes, and no group of site scope or narrower.
    SiteBorder,
}

/// Whether a router on a LAN holds back a join that it sees another one send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinSuppression {
    /// It does, as RFC 7761 §4.5.5 has it.
    Enabled,
    /// It does not where all its neighbours agree (the T bit, §4.3.3).
    Disabled,
}

/// One interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceConfig {
    /// Its port.
    pub port: PortId,
    /// Its link-local address: the router's primary address on the link.
    pub link_local: Ipv6Addr,
    /// Its other addresses: the Address List of its Hellos.
    pub addresses: Vec<Ipv6Addr>,
    /// The largest IPv6 packet, in octets.
    pub mtu: usize,
    /// Priority in the election of the designated router.
    pub dr_priority: u32,
    /// Hello_Period.
    pub hello_period: Duration,
    /// Holdtime of its Hellos, whole seconds below 65,535.
    pub hello_holdtime: Duration,
    /// Propagation_Delay, below 32,768 ms.
    pub propagation_delay: Duration,
    /// Override_Interval, below 65,536 ms.
    pub override_interval: Duration,
    /// Triggered_Hello_Delay.
    pub triggered_hello_delay: Duration,
    /// Its link.
    pub link: LinkKind,
    /// Whether it speaks PIM.
    pub participation: Participation,
    /// When it first speaks.
    pub first_hello: FirstHello,
    /// Where it leads.
    pub border: Border,
    /// Which Bootstrap messages stay on one side of it.
    pub bsr_boundary: BsrBoundary,
    /// Whether joins are suppressed.
    pub join_suppression: JoinSuppression,
    /// Whose Hellos are heard: routers with these addresses; `None` is all.
    pub neighbors: Option<Vec<Prefix>>,
    /// Which groups other routers may join and prune here; `None` is all.
    pub joins: Option<Vec<Prefix>>,
    /// Groups that do not pass here: nobody joins them by this interface, and they are joined by no way that leads over it.
    pub boundary: Vec<Prefix>,
    /// The MLD querier on its link; `None` where there are no hosts.
    pub mld: Option<MldConfig>,
}

impl InterfaceConfig {
    /// Hello_Period (RFC 7761 §4.11).
    pub const HELLO_PERIOD: Duration = Duration::from_secs(30);
    /// Default_Hello_Holdtime (RFC 7761 §4.11).
    pub const DEFAULT_HELLO_HOLDTIME: Duration = Duration::from_secs(105);
    /// Propagation_delay_default (RFC 7761 §4.11).
    pub const PROPAGATION_DELAY_DEFAULT: Duration = Duration::from_millis(500);
    /// t_override_default (RFC 7761 §4.11).
    pub const OVERRIDE_DEFAULT: Duration = Duration::from_millis(2500);
    /// Triggered_Hello_Delay (RFC 7761 §4.11).
    pub const TRIGGERED_HELLO_DELAY: Duration = Duration::from_secs(5);

    /// A LAN inside the site with the RFC's defaults, without MLD.
    pub fn new(port: PortId, link_local: Ipv6Addr, mtu: usize) -> Self {
        InterfaceConfig {
            port,
            link_local,
            addresses: Vec::new(),
            mtu,
            dr_priority: 1,
            hello_period: Self::HELLO_PERIOD,
            hello_holdtime: Self::DEFAULT_HELLO_HOLDTIME,
            propagation_delay: Self::PROPAGATION_DELAY_DEFAULT,
            override_interval: Self::OVERRIDE_DEFAULT,
            triggered_hello_delay: Self::TRIGGERED_HELLO_DELAY,
            link: LinkKind::Lan,
            participation: Participation::Active,
            first_hello: FirstHello::Random,
            border: Border::Inside,
            bsr_boundary: BsrBoundary::Open,
            join_suppression: JoinSuppression::Enabled,
            neighbors: None,
            joins: None,
            boundary: Vec::new(),
            mld: None,
        }
    }
}

/// The MLD querier of one interface (RFC 3810 §9).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MldConfig {
    /// The version that it asks in: [`Version::V1`] where a router on the link knows no other (RFC 3810 §8.3.1).
    pub version: Version,
    /// Robustness Variable, 1 to 7.
    pub robustness: u8,
    /// Query Interval.
    pub query_interval: Duration,
    /// Query Response Interval, below the query interval.
    pub query_response_interval: Duration,
    /// Last Listener Query Interval.
    pub last_listener_query_interval: Duration,
    /// Last Listener Query Count; `None` is the Robustness Variable in force (§9.9).
    pub last_listener_query_count: Option<u8>,
    /// What applies to groups of [`Config::mobility_ranges`] instead.
    pub mobility: MobilityMld,
    /// How groups of these ranges are delivered. On an interface that speaks PIM always [`Delivery::Group`]: another router
    /// there may want the group, too.
    pub delivery: Delivery,
}

/// To which link-layer address the packets of a group go on a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// To the group's own (RFC 2464 §7).
    Group,
    /// To that of the group's only listener, where there is one alone and it is known (RFC 6085).
    OnlyListener,
}

impl Default for MldConfig {
    fn default() -> Self {
        MldConfig {
            version: Version::V2,
            robustness: 2,
            query_interval: Duration::from_secs(125),
            query_response_interval: Duration::from_secs(10),
            last_listener_query_interval: Duration::from_secs(1),
            last_listener_query_count: None,
            mobility: MobilityMld::default(),
            delivery: Delivery::Group,
        }
    }
}

/// MLD timers of groups that belong to one terminal each.
///
/// A general query cannot be limited to a range, so that such groups are asked for one by one, each
/// [`MobilityMld::query_interval`] after its last report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MobilityMld {
    /// Time after its last report at which a group is asked for.
    pub query_interval: Duration,
    /// Maximum Response Delay of these queries.
    pub query_response_interval: Duration,
    /// Last Listener Query Interval.
    pub last_listener_query_interval: Duration,
    /// Last Listener Query Count.
    pub last_listener_query_count: u8,
}

impl Default for MobilityMld {
    fn default() -> Self {
        MobilityMld {
            query_interval: Duration::from_secs(30),
            query_response_interval: Duration::from_secs(1),
            last_listener_query_interval: Duration::from_millis(100),
            last_listener_query_count: 1,
        }
    }
}

/// Limits on state. What goes beyond is refused and counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// (S,G) and (*,G) entries. Each of a source-specific group takes about 140 octets with its timers and one downstream
    /// interface, and 81 in the forwarding table; a further downstream interface takes some 170.
    pub entries: usize,
    /// (S,G) entries of sources that send: those that a packet or a Register message made.
    pub sources: usize,
    /// PIM neighbours of one interface.
    pub neighbors: usize,
    /// MLD groups of one port.
    pub groups_per_port: usize,
    /// MLD groups that one host of a port is in.
    pub groups_per_host: usize,
    /// Sources that one host of a port names in all its groups, wanted and unwanted ones.
    pub sources_per_host: usize,
    /// Sources of one MLD group on one port.
    pub sources_per_group: usize,
    /// Hosts that are tracked for one MLD group on one port; with more the group is left by queries.
    pub hosts_per_group: usize,
    /// Hosts that are tracked on one port, counted once for each of their groups.
    pub tracked_per_port: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            entries: 1_000_000,
            sources: 65_536,
            neighbors: 64,
            groups_per_port: 65_536,
            groups_per_host: 64,
            sources_per_host: 256,
            sources_per_group: 64,
            hosts_per_group: 256,
            tracked_per_port: 131_072,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let config = Config { ssm_ranges: vec!["ff7e:140::/32".parse().unwrap()], ..Config::new(Vec::new(), 0) };
        for (group, ssm) in [("ff35::1", true), ("ff3e::8000:1", true), ("ff35:1::1", false), ("ff15::1", false)] {
            assert_eq!(config.is_ssm(group.parse().unwrap()), ssm, "{group}");
        }
        assert!(config.is_ssm("ff7e:140::5".parse().unwrap()));
        assert!(!is_routable_group("ff02::16".parse().unwrap()) && is_routable_group("ff05::1".parse().unwrap()));
        assert!(is_site_scoped("ff35::1".parse().unwrap()) && !is_site_scoped("ff38::1".parse().unwrap()));
    }
}
