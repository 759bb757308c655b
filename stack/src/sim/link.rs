//! Links: who hears a frame, when, and whether at all.

use super::node::NodeId;
use crate::addr::MacAddress;
use crate::machine::PortId;
use crate::port::Medium;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, VecDeque};

/// A link of a [`super::Network`], in the order in which links were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub usize);

/// A port of a node.
pub(super) type Place = (NodeId, PortId);

/// Who hears a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// The one other end.
    PointToPoint,
    /// Everybody else, whatever the link-layer address.
    Hub,
    /// The port behind which the destination was seen; everybody else for groups and for who was not seen yet.
    Switch,
}

/// What a link is like. Chances are in parts per million, drawn for each receiver of a frame on its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// Who hears a frame.
    pub kind: LinkKind,
    /// What frames look like, on the wire and in captures.
    pub medium: Medium,
    /// From the last octet sent to the last octet received.
    pub delay: Duration,
    /// Up to this much more delay, evenly spread. Frames overtake each other where they are closer than this.
    pub jitter: Duration,
    /// Chance that a frame is lost.
    pub loss_ppm: u32,
    /// Chance that a frame arrives twice.
    pub duplicate_ppm: u32,
    /// Bits a second that each sender may put on the link; `None` is no limit.
    pub rate_bps: Option<u64>,
    /// Frames that may wait for a rate-limited sender; more are refused.
    pub queue_frames: usize,
    /// Whether its frames are captured.
    pub capture: bool,
}

impl Default for LinkConfig {
    /// A point-to-point Ethernet link without delay that loses nothing.
    fn default() -> Self {
        LinkConfig {
            kind: LinkKind::PointToPoint,
            medium: Medium::Ethernet,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss_ppm: 0,
            duplicate_ppm: 0,
            rate_bps: None,
            queue_frames: 1000,
            capture: true,
        }
    }
}

impl LinkConfig {
    /// A point-to-point link with this delay.
    pub fn point_to_point(delay: Duration) -> Self {
        LinkConfig { delay, ..LinkConfig::default() }
    }

    /// A switched link with this delay.
    pub fn lan(delay: Duration) -> Self {
        LinkConfig { kind: LinkKind::Switch, delay, ..LinkConfig::default() }
    }

    /// The wire between a TUN port and the programs behind it: bare IPv6 packets, no delay.
    pub fn tun() -> Self {
        LinkConfig { medium: Medium::Ip, ..LinkConfig::default() }
    }
}

/// Counters of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkCounters {
    /// Frames that were put on the link.
    pub sent: u64,
    /// Octets of those frames.
    pub sent_octets: u64,
    /// Copies that reached a port.
    pub delivered: u64,
    /// Copies lost by chance.
    pub lost: u64,
    /// Copies made by chance.
    pub duplicated: u64,
    /// Copies that a partition kept back.
    pub partitioned: u64,
    /// Frames that found the sender's queue full.
    pub refused_queue: u64,
    /// Frames sent while the link was down.
    pub refused_down: u64,
    /// Copies whose receiver had left, or gone down, before they came.
    pub missed: u64,
    /// Copies that the receiving port did not take: its queue was full or they were larger than its MTU.
    pub refused_port: u64,
}

impl LinkCounters {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("sent", self.sent),
            ("sent-octets", self.sent_octets),
            ("delivered", self.delivered),
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("partitioned", self.partitioned),
            ("refused-queue", self.refused_queue),
            ("refused-down", self.refused_down),
            ("missed", self.missed),
            ("refused-port", self.refused_port),
        ]
        .into_iter()
    }
}

/// A link and its state.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) config: LinkConfig,
    pub(super) up: bool,
    pub(super) counters: LinkCounters,
    /// Who is attached, in the order of nodes and ports.
    pub(super) members: BTreeMap<Place, Member>,
    /// [`LinkKind::Switch`]: behind which port an address was seen.
    learned: BTreeMap<MacAddress, Place>,
    rng: Rng,
}

/// A port on a link.
#[derive(Debug)]
pub(super) struct Member {
    /// Frames that were under way before the port was attached, or while it was down, do not reach it.
    pub(super) since: u64,
    /// When the sender has put its last frame on the link.
    free_at: Instant,
    /// When the frames that wait for that leave.
    departures: VecDeque<Instant>,
}

impl Member {
    pub(super) fn new(since: u64) -> Self {
        Member { since, free_at: Instant::ORIGIN, departures: VecDeque::new() }
    }

    /// When a frame of `octets` that is handed over at `now` has left, or `None` where the queue is full.
    fn departure(&mut self, config: &LinkConfig, now: Instant, octets: usize) -> Option<Instant> {
        let Some(rate) = config.rate_bps else { return Some(now) };
        while self.departures.front().is_some_and(|&at| at <= now) {
            self.departures.pop_front();
        }
        if self.departures.len() >= config.queue_frames {
            return None;
        }
        let nanos = octets as u128 * 8 * 1_000_000_000 / u128::from(rate.max(1));
        let took = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(now) + took;
        self.departures.push_back(self.free_at);
        Some(self.free_at)
    }
}

/// A copy of a frame on its way.
pub(super) struct Copy {
    pub(super) to: Place,
    pub(super) at: Instant,
}

impl Link {
    pub(super) fn new(name: String, config: LinkConfig, rng: Rng) -> Self {
        let (counters, members, learned) = (LinkCounters::default(), BTreeMap::new(), BTreeMap::new());
        Link { name, config, up: true, counters, members, learned, rng }
    }

    /// Forgets where the addresses behind `place` were seen.
    pub(super) fn forget(&mut self, place: Place) {
        self.learned.retain(|_, &mut seen| seen != place);
    }

    /// Puts a frame on the link, which is up and has `from` attached: the copies that will arrive, and whether the
    /// frame got on the link at all.
    pub(super) fn carry(
        &mut self,
        now: Instant,
        from: Place,
        frame: &[u8],
        separated: impl Fn(NodeId, NodeId) -> bool,
    ) -> Option<Vec<Copy>> {
        let member = self.members.get_mut(&from)?;
        let Some(departure) = member.departure(&self.config, now, frame.len()) else {
            self.counters.refused_queue += 1;
            return None;
        };
        self.counters.sent += 1;
        self.counters.sent_octets += frame.len() as u64;
        let mut copies = Vec::new();
        for to in self.receivers(from, frame) {
            if separated(from.0, to.0) {
                self.counters.partitioned += 1;
                continue;
            }
            if self.chance(self.config.loss_ppm) {
                self.counters.lost += 1;
                continue;
            }
            copies.push(Copy { to, at: self.arrival(departure) });
            if self.chance(self.config.duplicate_ppm) {
                self.counters.duplicated += 1;
                copies.push(Copy { to, at: self.arrival(departure) });
            }
        }
        Some(copies)
    }

    fn receivers(&mut self, from: Place, frame: &[u8]) -> Vec<Place> {
        if self.config.kind == LinkKind::Switch
            && self.config.medium == Medium::Ethernet
            && let Some(&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5]) = frame.first_chunk::<12>()
        {
            let source = MacAddress([s0, s1, s2, s3, s4, s5]);
            if !source.is_multicast() {
                self.learned.insert(source, from);
            }
            match self.learned.get(&MacAddress([d0, d1, d2, d3, d4, d5])) {
                Some(&to) if to == from => return Vec::new(),
                Some(&to) => return vec![to],
                None => {}
            }
        }
        self.members.keys().copied().filter(|&place| place != from).collect()
    }

    fn arrival(&mut self, departure: Instant) -> Instant {
        departure + self.config.delay + self.rng.duration(Duration::ZERO..self.config.jitter)
    }

    /// Draws nothing where there is no chance, so that links without faults do not depend on the seed.
    fn chance(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.rng.below(1_000_000) < u64::from(ppm)
    }
}
