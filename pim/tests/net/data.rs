//! Packets of sources: they take the multicast routes of each router they come to as the data plane does, take as long over
//! links as others, and the routers are told what the data plane tells.

use super::{Delivery, LinkId, Net, NodeId};
use core::net::Ipv6Addr;
use pim::Command;
use stack::machine::PortId;
use stack::tables::{Accept, MrouteKey, RegisterTunnel, Watch};
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;

/// More hops than a packet may have.
const HOP_LIMIT: u8 = 64;
/// A flow is told of so often.
const TOLD_AGAIN: Duration = Duration::from_secs(1);

/// How a packet comes to a router.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum From {
    Port(PortId),
    /// It is its own.
    Node,
    /// In a Register message from there.
    Register(Ipv6Addr),
}

#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub number: u64,
    pub key: MrouteKey,
    pub hop_limit: u8,
    was_told: bool,
}

#[derive(Default)]
pub struct Data {
    next: u64,
    /// How often each packet came to each link.
    pub arrivals: BTreeMap<u64, BTreeMap<LinkId, usize>>,
    /// Packets whose hop limit ended: they ran in a loop.
    pub loops: u64,
    /// Packets in Register messages.
    pub registered: u64,
    told: BTreeMap<(NodeId, From, MrouteKey, bool), Instant>,
}

impl Net {
    /// A host on the link, or where there is none the router itself, sends a packet. Answers its number.
    pub fn send(&mut self, at: Origin, key: MrouteKey) -> u64 {
        let number = self.data.next;
        self.data.next += 1;
        let packet = Packet { number, key, hop_limit: HOP_LIMIT, was_told: false };
        match at {
            Origin::Node(node) => self.data_arrives(node, From::Node, packet),
            Origin::Link(link) => self.put_on_link(link, None, packet),
        }
        number
    }

    /// How often the packet came to each link.
    pub fn arrivals(&self, number: u64) -> BTreeMap<LinkId, usize> {
        self.data.arrivals.get(&number).cloned().unwrap_or_default()
    }

    /// What came of the packets so far is of no interest any more.
    pub fn forget_data(&mut self) {
        self.data.arrivals.clear();
        self.data.told.clear();
        self.sent.clear();
    }

    fn put_on_link(&mut self, link: LinkId, sender: Option<NodeId>, packet: Packet) {
        *self.data.arrivals.entry(packet.number).or_default().entry(link).or_default() += 1;
        let hears = |node: &NodeId| Some(*node) != sender && !self.links[link].down.contains(node);
        let to: Vec<_> = self.links[link].ends.iter().copied().filter(|(node, _)| hears(node)).collect();
        for (node, port) in to {
            self.enqueue(Delivery::Data(node, From::Port(port), packet));
        }
    }

    pub(super) fn data_arrives(&mut self, node: NodeId, from: From, packet: Packet) {
        let key = packet.key;
        let port = if let From::Port(port) = from { Some(port) } else { None };
        if let From::Register(source) = from {
            let to = self.rendezvous_point(node, key.group);
            if self.is_told(node, from, key, true) {
                self.command(node, Command::Register { from: source, to, key });
            }
        }
        let any_source = MrouteKey { source: Ipv6Addr::UNSPECIFIED, ..key };
        let found = [key, any_source].into_iter().find(|key| self.nodes[node].mroutes.contains_key(key));
        let Some(found) = found else {
            return self.tell(node, from, packet);
        };
        let mroute = self.nodes[node].mroutes[&found];
        let is_accepted = match mroute.accept {
            Accept::Port(accepted) => port == Some(accepted),
            Accept::Local => from == From::Node,
            Accept::RendezvousPoint => port.is_none(),
        };
        if !is_accepted {
            return self.tell(node, from, packet);
        }
        if port.is_some() && packet.hop_limit == 0 {
            self.data.loops += 1;
            return;
        }
        let packet = Packet { hop_limit: packet.hop_limit.saturating_sub(1), was_told: false, ..packet };
        for out in mroute.forward.iter().filter(|&out| port != Some(out)) {
            let Some(link) = self.link_of(node, out) else { continue };
            if !self.links[link].down.contains(&node) {
                self.put_on_link(link, Some(node), packet);
            }
        }
        if let Some(RegisterTunnel { source, rendezvous_point }) = mroute.register {
            self.data.registered += 1;
            if let Some(&point) = self.owners.get(&rendezvous_point) {
                self.enqueue(Delivery::Data(point, From::Register(source), packet));
            }
        }
        match mroute.watch {
            Watch::Nothing => {}
            Watch::NextPacket => {
                if let Some(mroute) = self.nodes[node].mroutes.get_mut(&found) {
                    mroute.watch = Watch::Nothing;
                }
                self.command(node, Command::Data { port, source: key.source, group: key.group });
            }
            Watch::Sources => {
                if self.is_told(node, from, key, false) {
                    self.command(node, Command::Data { port, source: key.source, group: key.group });
                }
            }
        }
    }

    /// A packet that is told of takes the route that there is then.
    fn tell(&mut self, node: NodeId, from: From, packet: Packet) {
        let port = match from {
            From::Port(port) => Some(port),
            From::Node => None,
            From::Register(_) => return,
        };
        let MrouteKey { source, group } = packet.key;
        if !packet.was_told && self.is_told(node, from, packet.key, false) {
            self.command(node, Command::Data { port, source, group });
            self.data_arrives(node, from, Packet { was_told: true, ..packet });
        }
    }

    fn is_told(&mut self, node: NodeId, from: From, key: MrouteKey, register: bool) -> bool {
        let (now, name) = (self.now, (node, from, key, register));
        let told = self.data.told.get(&name).is_some_and(|&at| now < at + TOLD_AGAIN);
        if !told {
            self.data.told.insert(name, now);
        }
        !told
    }

    /// The address of the node that Register messages of this group go to.
    fn rendezvous_point(&self, node: NodeId, group: Ipv6Addr) -> Ipv6Addr {
        stack::addr::embedded_rp(group)
            .ok()
            .filter(|point| self.owners.get(point) == Some(&node))
            .unwrap_or_else(|| self.owners.iter().find(|(_, owner)| **owner == node).map(|(&a, _)| a).unwrap())
    }
}

/// Where a packet comes from.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    Link(LinkId),
    Node(NodeId),
}
