//! What a mobile terminal is told at the start.

use super::router_choice::RouterChoiceConfig;
use core::net::Ipv6Addr;
use mma::auth::{SecurityAssociation, WallClock};
use stack::addr::{Eui64, GroupLayout, Prefix};
use stack::machine::PortId;
use stack::time::Duration;
use stack::wire::mobility::option::MobileNodeIdentifier;

/// A mobile terminal.
#[derive(Clone, Debug)]
pub struct Config {
    /// The home address.
    pub home_address: Ipv6Addr,
    /// The prefix of the home link.
    pub home_prefix: Prefix,
    /// The home agent; `None`: the terminal finds one (RFC 6275 §11.4.1).
    pub home_agent: Option<Ipv6Addr>,
    /// The key shared with the home agent, whichever it is.
    pub home_association: SecurityAssociation,
    /// The key shared with the mobility agents.
    pub agent_association: SecurityAssociation,
    /// Who the terminal says it is (RFC 4283); it need not say so where agents know it by its home address.
    pub identifier: Option<MobileNodeIdentifier>,
    /// The time of day, where agents want timestamps (RFC 4285 §6).
    pub clock: Option<WallClock>,
    /// The identifier of the terminal in its group.
    pub eui64: Eui64,
    /// How the group is made; there has to be one for this identifier.
    pub group_layout: GroupLayout,
    /// The radio ports.
    pub radios: Vec<Radio>,
    /// The port where programs use the home address; `None`: on this node itself.
    pub tun: Option<PortId>,
    /// What mobility agents are used for.
    pub mode: Mode,
    /// Who tells correspondents the care-of address.
    pub route_optimisation: RouteOptimisation,
    /// The only correspondents with which that is done; all where there are none.
    pub route_optimisation_with: Vec<Prefix>,
    /// How packets leave while away from home.
    pub uplink: UplinkMode,
    /// Correspondents that take the Home Address option: reached directly where `uplink` is `Auto`.
    pub direct_correspondents: Vec<Ipv6Addr>,
    /// Whether GRE keys and sequence numbers are asked for, so that packets through two links are delivered once.
    pub gre: bool,
    /// Whether reports name the access router that the terminal has come from and could not leave, or is about to go to.
    pub report_moves: bool,
    /// Which router is used.
    pub router_choice: RouterChoiceConfig,
    /// Times and limits.
    pub timers: Timing,
    /// What an earlier run wrote down.
    pub restored: Restored,
}

/// A radio port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Radio {
    /// The port.
    pub port: PortId,
    /// Its signal as long as none is reported, in dBm; `None`: its routers are not used before one is.
    pub initial_signal_dbm: Option<i16>,
    /// What using it costs, in dB of signal.
    pub cost_db: i16,
}

/// What mobility agents are used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// They send to the terminal's group. One that turns out to know nothing of groups is used as in
    /// [`Mode::Hierarchical`].
    #[default]
    Multicast,
    /// They are mobility anchor points (RFC 5380): every move is told to them.
    Hierarchical,
    /// Nothing: Mobile IPv6 (RFC 6275).
    Plain,
}

/// Who tells correspondents the care-of address, and asks them to forget it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RouteOptimisation {
    /// The mobility agent tells, the terminal asks to forget when it is home.
    #[default]
    Mma,
    /// The terminal.
    Mt,
    /// Nobody.
    Off,
}

/// How a terminal's packets leave while it is away from home.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UplinkMode {
    /// From the temporary address with a Home Address option; by the tunnel to correspondents that refuse it.
    Direct,
    /// In a tunnel to the mobility agent.
    Mma,
    /// By the tunnel, and directly to correspondents that are known to take it.
    #[default]
    Auto,
}

/// Times and limits of a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Lifetime that is asked for. Default 1800 s.
    pub lifetime: Duration,
    /// InitialBindackTimeoutFirstReg (RFC 6275 §13): 1.5 s.
    pub first_registration: Duration,
    /// INITIAL_BINDACK_TIMEOUT (RFC 6275 §12): 1 s.
    pub retransmission: Duration,
    /// MAX_BINDACK_TIMEOUT (RFC 6275 §12): 32 s.
    pub max_retransmission: Duration,
    /// How long the first packet through the new link is waited for before the uplink changes, in a move that makes
    /// before it breaks. Default 500 ms.
    pub overlap: Duration,
    /// How long the old link is kept after the new one carries everything, for what is still on its way. Default
    /// 100 ms.
    pub leave_delay: Duration,
    /// How long the agent of a site that was left is asked to forward what still arrives there; zero: not at all.
    /// Default 32 s.
    pub forward: Duration,
    /// Updates to a mobility agent that does not answer before it counts as refusing. Default 5.
    pub agent_attempts: u32,
    /// How long an agent that refused, or a correspondent that refused the Home Address option, is remembered.
    /// Default 10 minutes.
    pub refusal_memory: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            lifetime: Duration::from_secs(1800),
            first_registration: Duration::from_millis(1500),
            retransmission: Duration::from_secs(1),
            max_retransmission: Duration::from_secs(32),
            overlap: Duration::from_millis(500),
            leave_delay: Duration::from_millis(100),
            forward: Duration::from_secs(32),
            agent_attempts: 5,
            refusal_memory: Duration::from_secs(600),
        }
    }
}

/// What the terminal wrote down before it was switched off ([`super::Event::Persist`]).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Restored {
    /// The last sequence number used with each peer.
    pub sequences: Vec<(Ipv6Addr, u16)>,
    /// The last timestamp used.
    pub message_id: Option<u64>,
    /// Whether the home agent may still have a binding.
    pub has_home_binding: bool,
    /// The home agent that was found, where none is configured.
    pub home_agent: Option<Ipv6Addr>,
}
