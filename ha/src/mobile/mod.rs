//! The mobile terminal: chooses a router, finds out what kind of move that is, joins its group there, and registers
//! where that is necessary.
//!
//! Inside a site a move is a join on the new link and nothing else: no Mobility Header leaves, whatever happens. Into
//! another site the mobility agent is asked first, and when it has granted a care-of address the group
//! is joined and the home agent told (HOME); the old link and the old agent are given up when the home agent has
//! acknowledged; the old agent forwards for a while what still arrives there. Without a mobility agent it is plain Mobile
//! IPv6 (RFC 6275 §11). On the home link nothing of all this.
//!
//! The parts: [`router_choice`] and [`movement`] decide, without state of the network; `links` knows what is heard;
//! `registration` is one peer; `attachment` is what is received, `uplink` how packets leave; `handover` brings them
//! together: after every input it compares where the terminal is with where it should be and does what is missing.
//! `signalling` sends and receives Mobility Headers; `former` sees to the sites left.
//!
//! `discovery` finds home agents where none is configured; `correspondents` tells correspondents where the terminal is,
//! or asks them to forget it.
//!
//! Left out: keys shared with correspondents (RFC 4449), mobile prefix discovery (RFC 6275 §11.4.2).

mod attachment;
mod config;
mod correspondents;
mod counters;
mod discovery;
mod event;
mod former;
mod handover;
mod links;
pub mod movement;
mod previous_router;
mod registration;
pub mod router_choice;
mod signalling;
mod uplink;

pub use attachment::Subscription;
pub use config::{Config, Mode, Radio, Restored, RouteOptimisation, Timing, UplinkMode};
pub use counters::Counters;
pub use discovery::wants;
pub use event::{AdvertisedAgent, AdvertisedPrefix, Command, Event, HandoverKind, RouterAdvertisement, Stage};
pub use former::{FormerSite, Standing};
pub use links::{HeardRouter, Link};
pub use registration::Granted;

use attachment::Attachment;
use core::net::Ipv6Addr;
use correspondents::Correspondents;
use discovery::HomeAgents;
use former::Former;
use handover::Handover;
use links::Links;
use mma::auth::WallClock;
use mma::secret::SecretRng;
use movement::Site;
use previous_router::LastJoined;
use registration::Registration;
use router_choice::{RouterChoice, RouterKey};
use stack::addr::Prefix;
use stack::machine::{Machine, Output, Outputs, PortId, RxMeta};
use stack::rate::TokenBucket;
use stack::tables::{GroupReception, Route, TableUpdate, Uplink};
use stack::time::{Duration, Instant, Timers};
use stack::wire::ext::Chain;
use std::collections::{BTreeMap, BTreeSet};
use uplink::{Uplinks, Way};

/// Mobility agents remembered as refusing, or as knowing no groups.
const MAX_REFUSING_AGENTS: usize = 32;
/// Peers whose sequence numbers are kept.
const MAX_PEERS: usize = 64;
/// Answers that anybody can provoke: so many at once, and then one in [`ANSWER_INTERVAL`].
const ANSWER_BURST: u32 = 5;
const ANSWER_INTERVAL: Duration = Duration::from_millis(200);

/// Whom a registration is with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Who {
    /// The agent of a site that the terminal would enter.
    Candidate,
    /// The agent of the site where it is.
    Agent,
    /// The home agent.
    Home,
    /// An agent whose site it has left, and the address that was bound there.
    Former(FormerKey),
}

/// The agent of a site that was left, and the address that was bound there: the home address, or a regional one.
type FormerKey = (Ipv6Addr, Ipv6Addr);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// No acknowledgement has come.
    Retransmit(Who),
    /// What was granted should be asked for again.
    Refresh(Who),
    /// What was granted is over.
    Expiry(Who),
    /// The first packet through the new link has not come.
    Overlap,
    /// The old link is no longer needed.
    Leave,
    /// An agent whose site was left has nothing for the terminal any more.
    Former(FormerKey),
    /// Home agents are to be asked for.
    Discovery,
    /// Something known is out of date: a router, an average, a refusal.
    Look,
}

/// The site of a mobility agent where the terminal is registered.
#[derive(Clone, Debug)]
struct AgentSite {
    registration: Registration,
    care_of: Ipv6Addr,
    service: Service,
}

/// What a mobility agent does with packets for the terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Service {
    /// They go to its group.
    Group { subscription: Subscription, reception: GroupReception },
    /// They go in a tunnel to this address on its link.
    Anchor { local: Ipv6Addr },
}

impl AgentSite {
    const fn group(&self) -> Option<(Subscription, GroupReception)> {
        match self.service {
            Service::Group { subscription, reception } => Some((subscription, reception)),
            Service::Anchor { .. } => None,
        }
    }
}

/// Where the terminal is.
#[derive(Clone, Debug)]
enum Place {
    Nowhere,
    Home,
    Agent(Box<AgentSite>),
    /// With this address as care-of address.
    Plain(Ipv6Addr),
}

/// Where the terminal is, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SiteInfo {
    /// The kind of place.
    pub site: Site,
    /// The care-of address that the home agent is to use.
    pub care_of: Option<Ipv6Addr>,
    /// The group and its source.
    pub subscription: Option<Subscription>,
    /// The GRE key, where GRE was agreed.
    pub gre_key: Option<u32>,
}

/// A mobile terminal.
///
/// In: [`Machine::handle_command`] for what neighbour discovery, the radio and the data plane say;
/// [`Machine::handle_packet`] for packets to the terminal with a Mobility Header, for ICMPv6 errors and for what it
/// [`wants`]; [`Machine::handle_timeout`]. Out: [`Machine::poll_output`] after each of them, and after the constructor.
/// To look at: [`MobileTerminal::site`] and its neighbours.
#[derive(Debug)]
pub struct MobileTerminal {
    config: Config,
    links: Links,
    choice: RouterChoice,
    /// The router to be used.
    target: Option<RouterKey>,
    /// The router that is used.
    current: Option<RouterKey>,
    place: Place,
    /// The agent of the site to be entered, and with what address it was asked.
    candidate: Option<(Registration, Option<(RouterKey, Ipv6Addr)>)>,
    home: Registration,
    home_agents: HomeAgents,
    /// Sites left, by agent.
    formers: BTreeMap<FormerKey, Former>,
    /// What the data plane was told of care-of addresses.
    care_of_addresses: BTreeSet<Ipv6Addr>,
    /// Those of them at anchor points, where tunnels end.
    regional_addresses: BTreeSet<Ipv6Addr>,
    refusing: BTreeMap<Ipv6Addr, Instant>,
    /// Agents that know no groups, and until when that is remembered.
    anchors: BTreeMap<Ipv6Addr, Instant>,
    attachment: Attachment,
    uplinks: Uplinks,
    /// The way of packets by this router from before the last change of place.
    held: Option<(RouterKey, Way)>,
    handover: Option<Handover>,
    /// Where the terminal was joined last.
    last_joined: Option<LastJoined>,
    /// The link whose reports name the router before it.
    named_on: Option<PortId>,
    /// The home link on which neighbour discovery answers for the home address.
    claimed: Option<PortId>,
    /// An earlier run left a binding with the home agent, or the terminal has asked for one since.
    has_home_binding: bool,
    /// Somebody answered for the home address when the terminal came home.
    is_home_address_taken: bool,
    /// The home agent has refused what it was asked.
    home_refused: bool,
    /// The home agent is asked when the mobility agent has answered.
    home_after_agent: bool,
    sequences: BTreeMap<Ipv6Addr, u16>,
    last_message_id: Option<u64>,
    clock: Option<WallClock>,
    timers: Timers<Timer>,
    outputs: Outputs<Event>,
    counters: Counters,
    answers: TokenBucket,
    correspondents: Correspondents,
}

impl MobileTerminal {
    /// A terminal that knows nothing of where it is. Cookies are made of `secrets`.
    pub fn new(config: Config, mut secrets: SecretRng) -> Self {
        let home_agents = HomeAgents::new(&config, &mut secrets);
        let mut outputs = Outputs::new();
        let home_route = match config.tun {
            Some(port) => Route::OnLink(port),
            None => Route::Local,
        };
        outputs.table(TableUpdate::RouteSet(Prefix::host(config.home_address), home_route));
        let mut uplinks = Uplinks::new(config.home_address, config.uplink, config.direct_correspondents.clone());
        uplinks.update(Way::Down, &mut outputs);
        MobileTerminal {
            links: Links::new(&config),
            choice: RouterChoice::new(),
            target: None,
            current: None,
            place: Place::Nowhere,
            candidate: None,
            // Nothing is sent as long as there is no home agent.
            home: Registration::idle(home_agents.current().unwrap_or(Ipv6Addr::UNSPECIFIED), config.home_address),
            home_agents,
            formers: BTreeMap::new(),
            care_of_addresses: BTreeSet::new(),
            regional_addresses: BTreeSet::new(),
            refusing: BTreeMap::new(),
            anchors: BTreeMap::new(),
            attachment: Attachment::default(),
            uplinks,
            held: None,
            handover: None,
            last_joined: None,
            named_on: None,
            claimed: None,
            has_home_binding: config.restored.has_home_binding,
            is_home_address_taken: false,
            home_refused: false,
            home_after_agent: false,
            sequences: config.restored.sequences.iter().copied().take(MAX_PEERS).collect(),
            last_message_id: config.restored.message_id,
            clock: config.clock,
            timers: Timers::new(),
            outputs,
            counters: Counters::default(),
            answers: TokenBucket::every(ANSWER_INTERVAL, ANSWER_BURST),
            correspondents: Correspondents::new(
                config.route_optimisation,
                config.route_optimisation_with.clone(),
                secrets,
            ),
            config,
        }
    }

    /// The router through which packets leave.
    pub const fn current_router(&self) -> Option<RouterKey> {
        self.current
    }

    /// The router that the choice has fallen on.
    pub const fn target_router(&self) -> Option<RouterKey> {
        self.target
    }

    /// The home address.
    pub const fn home_address(&self) -> Ipv6Addr {
        self.config.home_address
    }

    /// Where the terminal is registered.
    pub fn site(&self) -> SiteInfo {
        let (site, care_of) = match &self.place {
            Place::Nowhere => (Site::Nowhere, None),
            Place::Home => (Site::Home, None),
            Place::Agent(site) => (Site::Agent(site.registration.peer), Some(site.care_of)),
            Place::Plain(care_of) => (Site::Plain, Some(*care_of)),
        };
        let agent = match &self.place {
            Place::Agent(site) => site.group(),
            _ => None,
        };
        SiteInfo {
            site,
            care_of,
            subscription: agent.map(|(subscription, _)| subscription),
            gre_key: agent.and_then(|(_, reception)| reception.gre_key),
        }
    }

    /// What the home agent has granted.
    pub const fn home_registration(&self) -> Option<&Granted> {
        self.home.granted()
    }

    /// What the mobility agent has granted.
    pub fn agent_registration(&self) -> Option<&Granted> {
        match &self.place {
            Place::Agent(site) => site.registration.granted(),
            _ => None,
        }
    }

    /// Whether a Binding Update waits for its acknowledgement, or to be sent.
    pub fn is_registering(&self) -> bool {
        let busy = |registration: &Registration| registration.is_due() || registration.is_outstanding();
        let agent = match &self.place {
            Place::Agent(site) => busy(&site.registration),
            _ => false,
        };
        agent || busy(&self.home) || self.candidate.is_some() || self.has_untold_former()
    }

    /// The radio ports and what is heard there.
    pub fn links(&self) -> impl Iterator<Item = (PortId, &Link)> {
        self.links.iter()
    }

    /// Memberships, by port.
    pub fn joined(&self) -> impl Iterator<Item = (PortId, Subscription)> {
        self.attachment.joined()
    }

    /// How packets leave now.
    pub const fn uplink(&self) -> Option<Uplink> {
        self.uplinks.installed()
    }

    /// Correspondents that refuse the Home Address option, and until when that is remembered.
    pub fn refusing_correspondents(&self) -> impl Iterator<Item = (Ipv6Addr, Instant)> {
        self.uplinks.refusing()
    }

    /// Mobility agents that refused, or did not answer, and until when that is remembered.
    pub fn refusing_agents(&self) -> impl Iterator<Item = (Ipv6Addr, Instant)> {
        self.refusing.iter().map(|(&agent, &until)| (agent, until))
    }

    /// What has to be written down, as [`Event::Persist`] says it bit by bit.
    pub fn to_restore(&self) -> Restored {
        Restored {
            sequences: self.sequences.iter().map(|(&peer, &sequence)| (peer, sequence)).collect(),
            message_id: self.last_message_id,
            has_home_binding: self.has_home_binding,
            home_agent: self.home_agents.found(),
        }
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn registration(&mut self, who: Who) -> Option<&mut Registration> {
        match who {
            Who::Candidate => self.candidate.as_mut().map(|(registration, _)| registration),
            Who::Agent => match &mut self.place {
                Place::Agent(site) => Some(&mut site.registration),
                _ => None,
            },
            Who::Home => Some(&mut self.home),
            Who::Former(key) => self.formers.get_mut(&key).map(|former| &mut former.registration),
        }
    }

    fn refuse_agent(&mut self, now: Instant, agent: Ipv6Addr) {
        remember(&mut self.refusing, agent, now + self.config.timers.refusal_memory);
    }

    /// The agent is a mobility anchor point that knows nothing of groups.
    fn take_for_anchor(&mut self, now: Instant, agent: Ipv6Addr) {
        self.counters.anchors_found += 1;
        remember(&mut self.anchors, agent, now + self.config.timers.refusal_memory);
    }

    fn is_anchor(&self, agent: Ipv6Addr) -> bool {
        self.config.mode == Mode::Hierarchical || self.anchors.contains_key(&agent)
    }

    fn run_timer(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Retransmit(who) => self.retransmit(now, who),
            Timer::Refresh(who) => self.refresh(now, who),
            Timer::Expiry(who) => self.registration_expired(now, who),
            Timer::Overlap => self.overlap_over(),
            Timer::Leave => self.leave_old(now),
            Timer::Former(key) => self.forget_former(key),
            Timer::Discovery | Timer::Look => {}
        }
    }

    fn refresh(&mut self, now: Instant, who: Who) {
        let lifetime = self.config.timers.lifetime;
        if who == Who::Home
            && let Place::Agent(site) = &mut self.place
            && site.registration.granted().is_some_and(|granted| granted.refresh <= now + lifetime / 8)
        {
            // The home agent's binding is not to outlive the mobility agent's (RFC 5380 §6.1): that one first.
            self.home_after_agent = true;
            if !site.registration.is_outstanding() {
                site.registration.ask_again();
            }
        } else if let Some(registration) = self.registration(who)
            && !registration.is_outstanding()
        {
            registration.ask_again();
        }
    }

    fn accept_command(&mut self, now: Instant, command: Command) -> bool {
        match command {
            Command::RouterAdvertised(advertisement) => {
                let is_taken = self.links.advertised(now, &advertisement);
                if is_taken {
                    self.hear_home_agents(&advertisement);
                }
                is_taken
            }
            Command::RouterLost { port, router } => {
                self.links.router_lost(port, router);
                true
            }
            Command::AddressUsable { port, address } => {
                if address == self.config.home_address && self.claimed == Some(port) {
                    self.home_address_free();
                    return false;
                }
                self.links.address_usable(port, address)
            }
            Command::AddressRemoved { port, address } => {
                if address == self.config.home_address && self.claimed == Some(port) && !self.is_home_address_taken {
                    self.home_address_taken(now);
                }
                self.links.address_removed(port, address);
                true
            }
            Command::LinkUp(port) => self.links.set_up(now, port),
            Command::LinkDown(port) => {
                self.lose_membership(port);
                self.attachment.link_down(port, &mut self.outputs);
                self.links.set_down(port)
            }
            Command::Signal { port, dbm } => self.links.signal(now, port, dbm, &self.config.router_choice.averaging),
            Command::GroupData { port, group } => {
                self.group_data(now, port, group);
                true
            }
            Command::Correspondent { correspondent, way } => {
                self.correspondent_seen(now, correspondent, way);
                true
            }
            Command::GoesTo(router) => self.goes_to(router),
            Command::Clock(clock) => {
                self.clock = Some(clock);
                true
            }
        }
    }
}

/// Where the memory is full, what would be forgotten first is.
fn remember(memory: &mut BTreeMap<Ipv6Addr, Instant>, agent: Ipv6Addr, until: Instant) {
    if memory.len() >= MAX_REFUSING_AGENTS && !memory.contains_key(&agent) {
        let first = memory.iter().min_by_key(|&(_, until)| until).map(|(&address, _)| address);
        first.map(|first| memory.remove(&first));
    }
    memory.insert(agent, until);
}

impl Machine for MobileTerminal {
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        match Chain::parse(packet) {
            Ok(chain) if discovery::is_reply(packet, &chain) => self.discovery_reply(now, meta, packet, &chain),
            _ => self.receive(now, packet, meta.tunnel),
        }
        self.pursue(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        let mut any = self.correspondents.optimiser.poll_timeout().is_some_and(|at| at <= now);
        while let Some(timer) = self.timers.pop_expired(now) {
            self.run_timer(now, timer);
            any = true;
        }
        if any {
            self.pursue(now);
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        if !self.accept_command(now, command) {
            self.counters.drop_command += 1;
        }
        self.pursue(now);
    }

    fn poll_output(&mut self) -> Option<Output<Event>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let optimiser = self.correspondents.optimiser.poll_timeout();
        [self.timers.next_deadline(), optimiser].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
