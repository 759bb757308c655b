//! Which home agent the terminal registers with, where it is not told: dynamic home agent address discovery
//! (RFC 6275 §11.4.1; messages of §6.5 and §6.6).
//!
//! Away from home and without a home agent that serves it, the terminal asks the Mobile IPv6 Home-Agents anycast address
//! of its home prefix, from its address on the link. Of the agents that the answer names it tries one after the other:
//! the next where one refuses, or does not answer until its back-off has come to the end (§11.7.1). When none of them
//! was any good it begins with the first again, and asks besides. What it has found it keeps, whatever link it moves to,
//! and writes down with which it has a binding.
//!
//! Nothing authenticates the answer (§5.3, §15.5). Whoever can forge one can send the terminal from agent to agent, but
//! only to addresses of its home prefix, and none of them serves it without the key that terminal and home network
//! share: that key is the same for whichever agent it is. What is believed is bounded and checked by
//! [`HomeAgents::take_reply`].
//!
//! At home the terminal listens: home agents say that they are by the H bit of their advertisements, and their addresses
//! by the R bit (§7.1, §7.2).
//!
//! Left out: lifetimes of agents heard at home, which are found out to be gone when they do not answer.

use super::config::Config;
use super::event::{Event, RouterAdvertisement};
use super::registration::{Registration, Wish};
use super::{MobileTerminal, Place, Timer, Who};
use core::net::Ipv6Addr;
use mma::secret::SecretRng;
use stack::addr::{self, Prefix};
use stack::machine::{RxMeta, Via};
use stack::time::{Duration, Instant};
use stack::wire::checksum;
use stack::wire::error::octet;
use stack::wire::ext::Chain;
use stack::wire::home_link::{self, Message, home_agents_anycast};
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::Status;

/// INITIAL_DHAAD_TIMEOUT (RFC 6275 §12).
const INITIAL_DHAAD_TIMEOUT: Duration = Duration::from_secs(3);
/// DHAAD_RETRIES (RFC 6275 §12).
const DHAAD_RETRIES: u32 = 4;
/// Nobody has answered in time, or somebody has: for so long from then on nobody is asked from the same address, whatever
/// the agents that were named turn out to be good for.
const PAUSE: Duration = Duration::from_secs(60);
/// Home agents kept. The best come first, and who finds none of these serving asks again.
pub(super) const MAX_HOME_AGENTS: usize = 8;

/// A request for home agents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Search {
    /// Nobody was asked lately.
    Rest,
    /// The request is out.
    Asked { identifier: u16, source: Ipv6Addr, sent: u32, timeout: Duration, again: Instant },
    /// From this address nobody is asked before that time.
    Pause { source: Ipv6Addr, until: Instant },
}

/// Why a reply is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ReplyRefusal {
    /// No request is out from the address that it went to.
    Unasked,
    /// It has another identifier than the request.
    Identifier,
    /// It names nobody, or nobody who can be the terminal's home agent.
    Nobody,
}

/// Which home agents have failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failed {
    /// Others were not tried yet.
    One,
    /// All that are known; whether each of them because another node has the home address.
    All { is_duplicate: bool },
}

/// The home agents that the terminal knows.
#[derive(Debug)]
pub(super) struct HomeAgents {
    home_address: Ipv6Addr,
    home_prefix: Prefix,
    /// The best first.
    known: Vec<Ipv6Addr>,
    /// Which of them is used.
    at: usize,
    /// How many have failed, one after the other, and whether each of them because another node has the home address.
    failed: usize,
    is_duplicate: bool,
    /// Whether all have.
    is_doubtful: bool,
    search: Search,
    /// `None`: the home agent is configured.
    identifiers: Option<SecretRng>,
}

impl HomeAgents {
    /// The one that is configured; or the one that an earlier run has used, or none, and those that will be found.
    pub(super) fn new(config: &Config, secrets: &mut SecretRng) -> Self {
        let mut agents = HomeAgents {
            home_address: config.home_address,
            home_prefix: config.home_prefix,
            known: config.home_agent.into_iter().collect(),
            at: 0,
            failed: 0,
            is_duplicate: true,
            is_doubtful: false,
            search: Search::Rest,
            identifiers: config.home_agent.is_none().then(|| secrets.fork()),
        };
        if agents.identifiers.is_some() {
            agents.known = config.restored.home_agent.into_iter().filter(|&agent| agents.can_be(agent)).collect();
        }
        agents
    }

    /// The one that is used.
    pub(super) fn current(&self) -> Option<Ipv6Addr> {
        self.known.get(self.at).copied()
    }

    /// Whether this can be the address of a home agent.
    fn can_be(&self, agent: Ipv6Addr) -> bool {
        let anycast = [self.home_prefix.address(), home_agents_anycast(self.home_prefix)];
        self.home_prefix.contains(agent)
            && addr::is_routable_unicast(agent)
            && agent != self.home_address
            && !anycast.contains(&agent)
    }

    /// A home agent says at home that it is one.
    fn heard(&mut self, agent: Ipv6Addr) {
        let has_room = self.known.len() < MAX_HOME_AGENTS && !self.known.contains(&agent);
        if self.identifiers.is_some() && has_room && self.can_be(agent) {
            self.known.push(agent);
        }
    }

    /// The one that was found and is used.
    pub(super) fn found(&self) -> Option<Ipv6Addr> {
        self.current().filter(|_| self.identifiers.is_some())
    }

    /// The one that is used serves.
    pub(super) fn serves(&mut self) {
        self.begin_round();
        self.search = Search::Rest;
    }

    fn begin_round(&mut self) {
        (self.failed, self.is_duplicate, self.is_doubtful) = (0, true, false);
    }

    /// The one that is used does not serve: another is, where one is known. `is_duplicate`: because another node has the
    /// home address.
    fn fails(&mut self, is_duplicate: bool) -> Failed {
        self.at = (self.at + 1) % self.known.len().max(1);
        self.failed += 1;
        self.is_duplicate &= is_duplicate;
        if self.failed < self.known.len() {
            return Failed::One;
        }
        let all = Failed::All { is_duplicate: self.is_duplicate };
        self.begin_round();
        self.is_doubtful = true;
        all
    }

    /// The request that is to be sent now, where home agents are wanted and the terminal has this address away from home.
    fn ask(&mut self, now: Instant, source: Option<Ipv6Addr>) -> Option<Vec<u8>> {
        let is_wanted = self.known.is_empty() || self.is_doubtful;
        let (Some(identifiers), Some(source)) = (&mut self.identifiers, source.filter(|_| is_wanted)) else {
            // What comes after this was not asked for.
            if !matches!(self.search, Search::Pause { until, .. } if until > now) {
                self.search = Search::Rest;
            }
            return None;
        };
        let (identifier, sent, timeout) = match self.search {
            Search::Pause { source: from, until } if from == source && until > now => return None,
            Search::Asked { source: from, again, .. } if from == source && again > now => return None,
            Search::Asked { source: from, sent, .. } if from == source && sent > DHAAD_RETRIES => {
                self.search = Search::Pause { source, until: now + PAUSE };
                return None;
            }
            Search::Asked { source: from, identifier, sent, timeout, .. } if from == source => {
                (identifier, sent, timeout * 2)
            }
            _ => (identifiers.next_u16(), 0, INITIAL_DHAAD_TIMEOUT),
        };
        self.search = Search::Asked { identifier, source, sent: sent + 1, timeout, again: now + timeout };
        let request = Message::AddressRequest { identifier };
        Some(request.packet(source, home_agents_anycast(self.home_prefix), None))
    }

    /// When [`HomeAgents::ask`] has something to do next.
    fn wake(&self) -> Option<Instant> {
        match self.search {
            Search::Rest => None,
            Search::Asked { again, .. } => Some(again),
            Search::Pause { until, .. } => Some(until),
        }
    }

    /// Takes a reply that went to `destination`: the answer is how many of its addresses were left out, because they are
    /// not of the home prefix, cannot be a home agent's, or found no room.
    fn take_reply(
        &mut self,
        now: Instant,
        destination: Ipv6Addr,
        identifier: u16,
        named: &[Ipv6Addr],
    ) -> Result<usize, ReplyRefusal> {
        let Search::Asked { identifier: asked, source, .. } = self.search else { return Err(ReplyRefusal::Unasked) };
        if destination != source {
            return Err(ReplyRefusal::Unasked);
        }
        if identifier != asked {
            return Err(ReplyRefusal::Identifier);
        }
        let mut agents = Vec::new();
        for &agent in named {
            if agents.len() < MAX_HOME_AGENTS && self.can_be(agent) && !agents.contains(&agent) {
                agents.push(agent);
            }
        }
        if agents.is_empty() {
            return Err(ReplyRefusal::Nobody);
        }
        let left_out = named.len() - agents.len();
        // Those that have just failed come after the first that has not been tried.
        let (new, next) = (|agent: &Ipv6Addr| !self.known.contains(agent), self.current());
        let at = agents.iter().position(new).or_else(|| agents.iter().position(|&agent| Some(agent) == next));
        (self.known, self.at) = (agents, at.unwrap_or(0));
        self.begin_round();
        self.search = Search::Pause { source, until: now + PAUSE };
        Ok(left_out)
    }
}

impl MobileTerminal {
    /// The home agent, as far as the terminal knows one.
    pub fn home_agent(&self) -> Option<Ipv6Addr> {
        self.home_agents.current()
    }

    /// Asks for home agents, where the terminal is away from home and none serves it.
    pub(super) fn seek_home_agent(&mut self, now: Instant) {
        let is_away = matches!(self.place, Place::Agent(_) | Place::Plain(_));
        let router = self.current.filter(|&current| is_away && self.links.is_alive(current));
        let way = router.and_then(|router| Some((router, self.links.temporary_address(router)?)));
        if let Some(request) = self.home_agents.ask(now, way.map(|(_, source)| source))
            && let Some((router, _)) = way
        {
            self.counters.tx_discovery_request += 1;
            self.outputs.transmit(request, Via::NextHop(router.port, router.router));
        }
        match self.home_agents.wake() {
            Some(at) => self.timers.set(Timer::Discovery, at),
            None => {
                self.timers.cancel(Timer::Discovery);
            }
        }
    }

    /// A packet that says it is a Home Agent Address Discovery Reply.
    pub(super) fn discovery_reply(&mut self, now: Instant, meta: &RxMeta, packet: &[u8], chain: &Chain) {
        let Ok(header) = ipv6::Header::parse(packet) else {
            self.counters.drop_not_mobility += 1;
            return;
        };
        let message = packet.get(chain.upper_offset..header.total_length()).unwrap_or_default();
        if !checksum::verify(header.source, header.destination, protocol::ICMPV6, message) {
            self.counters.drop_checksum += 1;
            return;
        }
        let Ok(Message::AddressReply { identifier, agents }) = Message::parse(message) else {
            self.counters.drop_discovery_malformed += 1;
            return;
        };
        // The home agent answers the address that it was asked from, without a tunnel (§6.5).
        let taken = match meta.tunnel {
            None if addr::is_routable_unicast(header.source) => {
                self.home_agents.take_reply(now, header.destination, identifier, &agents)
            }
            _ => Err(ReplyRefusal::Unasked),
        };
        match taken {
            Ok(left_out) => {
                self.counters.rx_discovery_reply += 1;
                self.counters.drop_discovery_address += left_out as u64;
                self.follow_home_agent();
            }
            Err(ReplyRefusal::Unasked) => self.counters.drop_discovery_unasked += 1,
            Err(ReplyRefusal::Identifier) => self.counters.drop_discovery_identifier += 1,
            Err(ReplyRefusal::Nobody) => self.counters.drop_discovery_nobody += 1,
        }
    }

    /// A router of the home link may be a home agent.
    pub(super) fn hear_home_agents(&mut self, advertisement: &RouterAdvertisement) {
        advertisement.home_agents.iter().for_each(|&agent| self.home_agents.heard(agent));
        self.follow_home_agent();
    }

    /// What was asked of the last home agent is asked of the one that is used now.
    fn follow_home_agent(&mut self) {
        let Some(agent) = self.home_agents.current().filter(|&agent| agent != self.home.peer) else { return };
        let wish = self.home.wish;
        self.home = Registration::idle(agent, self.config.home_address);
        // What the last one has granted may still hold: its end is kept, nothing is asked of it any more.
        self.timers.cancel(Timer::Retransmit(Who::Home));
        self.timers.cancel(Timer::Refresh(Who::Home));
        self.home_refused = false;
        // Before it is told of the place, its tunnel ends there.
        if let Place::Plain(care_of) = self.place
            && let Some(tunnel) = self.plain_tunnel(care_of)
        {
            self.attachment.receive_tunnel(tunnel, &mut self.outputs);
        }
        self.receive_forwarded();
        wish.into_iter().for_each(|wish| self.home.ask(wish));
    }

    /// The home agent does not answer: another one is asked, where one is known. Returns whether that is so.
    pub(super) fn home_agent_lost(&mut self) -> bool {
        let peer = self.home.peer;
        self.home_agents.fails(false);
        self.follow_home_agent();
        if self.home.peer == peer {
            return false;
        }
        self.counters.home_agent_lost += 1;
        self.outputs.event(Event::RegistrationLost { peer });
        true
    }

    /// The home agent refuses: another one is asked, after InitialBindackTimeoutFirstReg where there is one that was not
    /// (RFC 6275 §11.4.1), and later where all were.
    pub(super) fn home_agent_refused(&mut self, now: Instant, status: Status) {
        let is_duplicate = status == Status::DUPLICATE_ADDRESS;
        let peer = self.home.peer;
        let failed = match self.home.wish {
            // Only the one that has the binding can remove it.
            Some(Wish::Removal) => Failed::All { is_duplicate },
            _ => self.home_agents.fails(is_duplicate),
        };
        self.follow_home_agent();
        self.counters.home_agent_lost += u64::from(self.home.peer != peer);
        self.home.rest();
        let timing = self.config.timers;
        let again = match failed {
            Failed::One => now + timing.first_registration,
            Failed::All { is_duplicate } => {
                self.home_refused = true;
                // A home address that another node has is not tried again, until the terminal moves.
                // DEVIATION RFC 6275 §11.7.1: by none of several home agents only when all say so; the other node may be
                // the one of them that was used before.
                if is_duplicate {
                    return;
                }
                now + timing.max_retransmission
            }
        };
        self.timers.set(Timer::Retransmit(Who::Home), again);
    }
}

/// Whether a packet is for [`MobileTerminal::discovery_reply`].
pub(super) fn is_reply(packet: &[u8], chain: &Chain) -> bool {
    chain.upper == protocol::ICMPV6
        && octet(packet, chain.upper_offset).is_ok_and(|kind| kind == home_link::TYPE_ADDRESS_REPLY)
}

/// Whether the terminal wants informational ICMPv6 messages of this type.
pub const fn wants(icmp_type: u8) -> bool {
    icmp_type == home_link::TYPE_ADDRESS_REPLY
}
