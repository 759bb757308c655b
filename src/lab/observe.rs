//! What either backend saw, in one form: the rest of the lab does not know which it was.

use super::sim::mac_owner;
use crate::config::lab::{Lab, LinkIndex, MoveMode, NodeIndex};
use core::net::Ipv6Addr;
use serde_json::Value;
use stack::host::Flow;
use stack::inspect::{self, Class, Description, Kind, Nd};
use stack::port::Medium;
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Messages that are noted for whoever looks at a run, and counted nowhere.
const MAX_BYSTANDERS: usize = 200_000;

/// A run as it was seen from outside the nodes.
pub(crate) struct Observations {
    /// When traffic started; movements count from here.
    pub(crate) started: Instant,
    /// When traffic had ended.
    pub(crate) ended: Instant,
    /// When each movement of the lab was made, in the lab's order.
    pub(crate) moves: Vec<MoveSeen>,
    /// What became of each flow of the lab, in the lab's order.
    pub(crate) flows: Vec<FlowSeen>,
    /// What was captured on the links.
    pub(crate) wire: Wire,
    /// The binding tables of all agents: before the first movement, then at the end of each movement's time.
    pub(crate) bindings: Vec<BTreeMap<String, Value>>,
    /// What the terminals told of their handovers.
    pub(crate) stages: Vec<StageSeen>,
    /// Further findings of the backend: what has to hold whatever the lab file says.
    pub(crate) findings: Vec<crate::lab::report::Check>,
}

/// A movement as it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MoveSeen {
    /// When.
    pub(crate) at: Instant,
    /// How long the terminal had no link, at the most: a machine with other things to do takes its time to give it the
    /// new one. Zero where that was there first.
    pub(crate) without_link: Duration,
}

impl MoveSeen {
    /// A movement that begins. The new link is there already, or is so as soon as that is said.
    pub(crate) const fn new(at: Instant) -> Self {
        MoveSeen { at, without_link: Duration::ZERO }
    }
}

/// Says that the terminal has its new link, as part of the latest of its movements.
pub(crate) fn link_made(lab: &Lab, moves: &mut [MoveSeen], terminal: NodeIndex, at: Instant) {
    let latest = moves.iter_mut().zip(&lab.moves).rev().find(|(_, movement)| movement.terminal == terminal);
    if let Some((seen, movement)) = latest
        && let MoveMode::BreakBeforeMake { .. } = movement.mode
    {
        seen.without_link = at.since(seen.at);
    }
}

/// What became of a flow.
pub(crate) enum FlowSeen {
    /// Packets with numbers.
    Packets(Flow),
    /// A TCP transfer.
    Transfer {
        /// Octets handed over by the sender.
        sent: u64,
        /// Octets that arrived.
        received: u64,
        /// Whether the connection lasted to the end.
        survived: bool,
    },
}

/// The last part of a run, in which a flow has to be alive to have survived: the last second, of a run of less than ten
/// seconds the last tenth.
pub(crate) fn closing_part(lab: &Lab) -> Duration {
    Duration::from_secs(1).min(lab.duration / 10)
}

/// A stage of a handover that a terminal has reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StageSeen {
    /// Who.
    pub(crate) terminal: NodeIndex,
    /// When.
    pub(crate) at: Instant,
    /// What.
    pub(crate) stage: &'static str,
}

/// Signalling messages that were captured, what became of programs' packets, and how many frames there were in all.
#[derive(Default)]
pub(crate) struct Wire {
    messages: Vec<Message>,
    malformed: Vec<Message>,
    bystanders: Vec<Message>,
    packets: Vec<PacketSeen>,
    forms: BTreeMap<Form, u32>,
    frames: u64,
}

/// A captured packet of programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PacketSeen {
    /// When.
    pub(crate) at: Instant,
    /// On which link.
    pub(crate) link: LinkIndex,
    /// The headers around it: the value of its [`Form`] in [`Wire::forms`].
    pub(crate) form: u32,
    /// The same for the same packet, wherever it is seen between two tunnels' ends.
    pub(crate) identity: u64,
    /// Who put it on the link.
    pub(crate) sender: Option<Station>,
    /// Whom it is for there; `None` for a group's packets.
    pub(crate) receiver: Option<Station>,
}

/// A node or a host of the lab, as link-layer addresses tell: first the nodes in their order, then the hosts in theirs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Station(pub(crate) u8);

impl Station {
    /// All of a lab; beyond 256 they have no link-layer addresses of their own.
    pub(crate) fn all(lab: &Lab) -> impl Iterator<Item = Station> {
        (0..=u8::MAX).take(lab.nodes.len() + lab.hosts.len()).map(Station)
    }

    /// Its name in the lab file.
    pub(crate) fn name(self, lab: &Lab) -> &str {
        let index = usize::from(self.0);
        let host = || lab.hosts.get(index.checked_sub(lab.nodes.len())?).map(|host| host.name.as_str());
        lab.nodes.get(index).map(|node| node.name.as_str()).or_else(host).unwrap_or("?")
    }

    /// The links that its ports are on.
    pub(crate) fn links(self, lab: &Lab) -> Vec<LinkIndex> {
        let index = usize::from(self.0);
        match lab.nodes.get(index) {
            Some(node) => node.links.iter().flatten().copied().collect(),
            None => lab.hosts.get(index - lab.nodes.len()).map(|host| host.link).into_iter().collect(),
        }
    }

    /// The terminal that it is.
    pub(crate) fn terminal(self, lab: &Lab) -> Option<NodeIndex> {
        let node = lab.nodes.get(usize::from(self.0))?;
        node.config.mobile_terminal.is_some().then_some(NodeIndex(usize::from(self.0)))
    }
}

/// The headers in front of what a program sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Form {
    /// Source and destination of the outermost header.
    pub(crate) outer: (Ipv6Addr, Ipv6Addr),
    /// Source and destination of the innermost header, where there is more than one.
    pub(crate) inner: Option<(Ipv6Addr, Ipv6Addr)>,
    /// What a Home Address option in the innermost header names.
    pub(crate) home_address_option: Option<Ipv6Addr>,
    /// What a type 2 routing header in the innermost header names.
    pub(crate) routing_header: Option<Ipv6Addr>,
}

impl Form {
    fn of(what: &Description) -> Option<Self> {
        let ends = |layer: &inspect::Layer| (layer.header.source, layer.header.destination);
        let (outer, inner) = (what.outer()?, what.inner()?);
        Some(Form {
            outer: ends(outer),
            inner: (what.layers.len() > 1).then(|| ends(inner)),
            home_address_option: inner.chain.home_address.map(|option| option.home_address),
            routing_header: inner.chain.type2_routing.map(|routing| routing.home_address),
        })
    }
}

/// A captured message.
pub(crate) struct Message {
    /// When.
    pub(crate) at: Instant,
    /// On which link.
    pub(crate) link: LinkIndex,
    /// What it is.
    pub(crate) what: Description,
    /// The same for the same message, on all links that it crosses.
    pub(crate) identity: u64,
}

impl Message {
    /// Who put it on the link.
    pub(crate) fn sender(&self) -> Option<Station> {
        self.what.link.as_ref().and_then(|header| mac_owner(header.source)).map(Station)
    }

    /// Whom it is for there; `None` for a group's messages.
    pub(crate) fn receiver(&self) -> Option<Station> {
        self.what.link.as_ref().and_then(|header| mac_owner(header.destination)).map(Station)
    }
}

impl Wire {
    /// Takes note of a frame that was put on a link.
    pub(crate) fn note(&mut self, at: Instant, link: LinkIndex, frame: &[u8]) {
        self.frames += 1;
        let what = inspect::describe(frame, Medium::Ethernet);
        let identity = what.fingerprint(frame);
        match what.class() {
            Class::Mld | Class::Pim | Class::Mobility => self.messages.push(Message { at, link, what, identity }),
            Class::Malformed => self.malformed.push(Message { at, link, what, identity }),
            Class::Data => {
                let Some(form) = Form::of(&what) else { return };
                let next = u32::try_from(self.forms.len()).unwrap_or(u32::MAX);
                let form = *self.forms.entry(form).or_insert(next);
                let station = |mac| mac_owner(mac).map(Station);
                let ends = what.link.as_ref().map(|header| (station(header.source), station(header.destination)));
                let (sender, receiver) = ends.unwrap_or_default();
                self.packets.push(PacketSeen { at, link, form, identity, sender, receiver });
            }
            Class::Nd | Class::Icmpv6Error if self.bystanders.len() < MAX_BYSTANDERS && tells_of_movement(&what) => {
                self.bystanders.push(Message { at, link, what, identity });
            }
            Class::Nd | Class::Icmpv6Error | Class::Other => {}
        }
    }

    /// Puts what was noted link by link in order of time.
    pub(crate) fn sort(&mut self) {
        self.messages.sort_by_key(|message| message.at);
        self.bystanders.sort_by_key(|message| message.at);
        self.packets.sort_by_key(|packet| packet.at);
    }

    /// The packets of programs at `from` or later and before `until`.
    pub(crate) fn packets_between(&self, from: Instant, until: Instant) -> &[PacketSeen] {
        let start = self.packets.partition_point(|packet| packet.at < from);
        let end = self.packets.partition_point(|packet| packet.at < until);
        &self.packets[start..end.max(start)]
    }

    /// The forms that packets of programs had on any link, and the number of each.
    pub(crate) fn forms(&self) -> &BTreeMap<Form, u32> {
        &self.forms
    }

    /// The signalling messages at `from` or later and before `until`.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |message| message.at >= from && message.at < until)
    }

    /// What the report does not count, at `from` or later and before `until`: router discovery, neighbours that announce
    /// themselves to all, and ICMPv6 errors.
    pub(crate) fn bystanders(&self, from: Instant, until: Instant) -> impl Iterator<Item = &Message> {
        self.bystanders.iter().filter(move |message| message.at >= from && message.at < until)
    }

    /// Frames that do not hold.
    pub(crate) fn malformed(&self) -> &[Message] {
        &self.malformed
    }

    /// All frames.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }
}

/// Whether a message of neighbour discovery, or an error, is of use to whoever looks at a movement: not the resolution of
/// single addresses.
fn tells_of_movement(what: &Description) -> bool {
    match what.kind {
        Kind::Nd { message: Nd::RouterSolicitation | Nd::RouterAdvertisement, .. } => true,
        Kind::Nd { message: Nd::NeighborAdvertisement, .. } => {
            what.outer().is_some_and(|outer| outer.header.destination.is_multicast())
        }
        Kind::Nd { .. } => false,
        _ => true,
    }
}

/// The roles of a lab's node, joined for people.
pub(crate) fn role_of(lab: &Lab, node: NodeIndex) -> String {
    let roles = lab.nodes[node.0].config.roles();
    if roles.is_empty() { "router".to_owned() } else { roles.join("+") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lab::load_lab;
    use std::path::Path;

    #[test]
    fn a_break_lasts_until_the_new_link_is_there() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/lab/fig5.toml");
        let lab = load_lab(&file).expect("a shipped lab");
        let breaks_first = |movement: &crate::config::lab::LabMove| movement.mode != MoveMode::MakeBeforeBreak;
        let index = lab.moves.iter().position(breaks_first).expect("a movement whose old link breaks first");
        let terminal = lab.moves[index].terminal;
        let mut moves: Vec<MoveSeen> = (0..=index).map(|at| MoveSeen::new(Instant::from_secs(at as u64))).collect();
        let made = moves[index].at + Duration::from_millis(70);

        // The one before it has both links for a while.
        link_made(&lab, &mut moves[..index], terminal, made);
        assert!(moves.iter().all(|seen| seen.without_link.is_zero()));
        link_made(&lab, &mut moves, NodeIndex(usize::MAX), made);
        assert!(moves.iter().all(|seen| seen.without_link.is_zero()));
        link_made(&lab, &mut moves, terminal, made);
        assert_eq!(moves[index].without_link, Duration::from_millis(70));
        assert!(moves[..index].iter().all(|seen| seen.without_link.is_zero()));
    }
}
