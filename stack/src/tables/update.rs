use crate::addr::{MacAddress, Prefix};
use crate::machine::PortId;
use core::net::Ipv6Addr;

/// A change of a table. `Set` inserts or replaces; removing what is not there is no error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TableUpdate {
    /// A unicast route.
    RouteSet(Prefix, Route),
    /// The route is gone.
    RouteRemove(Prefix),
    /// A neighbour's link-layer address. Packets that waited for it leave now.
    NeighborSet(PortId, Ipv6Addr, Neighbor),
    /// The neighbour is gone.
    NeighborRemove(PortId, Ipv6Addr),
    /// Address resolution failed: packets that waited are answered with Destination Unreachable code 3 and dropped.
    NeighborFailed(PortId, Ipv6Addr),
    /// A link-layer multicast group that this node wants to hear as a host or router on this link (beside those in
    /// `GroupReceptionSet` and the multicast routes): solicited-node groups and the like. Packets to it go to the node.
    LinkGroupJoin(PortId, Ipv6Addr),
    /// The node no longer listens.
    LinkGroupLeave(PortId, Ipv6Addr),
    /// A multicast route.
    MrouteSet(MrouteKey, Mroute),
    /// The multicast route is gone.
    MrouteRemove(MrouteKey),
    /// A group has one listener on a link, whose link-layer address is this: packets that are routed there are sent to it,
    /// and not to the address of the group (RFC 6085). What the node itself sends to the group still goes to all. Refused
    /// for ports that are not in [`crate::pipeline::DataplaneConfig::unicast_delivery`], and for what is no group or no
    /// unicast address.
    DeliverySet {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
        /// The listener's address: a unicast one.
        link_address: MacAddress,
    },
    /// Packets of the group go to the group's own link-layer address again.
    DeliveryRemove {
        /// The link.
        port: PortId,
        /// The group.
        group: Ipv6Addr,
    },
    /// Mobility agent: the binding of a home address.
    MmaBindingSet(Ipv6Addr, MmaBinding),
    /// The binding is gone.
    MmaBindingRemove(Ipv6Addr),
    /// Mobility agent: where it takes reverse tunnels.
    MmaServiceSet(MmaService),
    /// Mobility agent: this correspondent has a binding of this home address to the agent's care-of address. What the
    /// terminal sends to it through the reverse tunnel leaves from the care-of address with a Home Address option. It holds
    /// as long as the binding has the care-of address that it has now, and is refused where there is no binding.
    OptimisedSet {
        /// The home address.
        home_address: Ipv6Addr,
        /// The correspondent.
        correspondent: Ipv6Addr,
    },
    /// The correspondent is reached through the home agent again.
    OptimisedRemove {
        /// The home address.
        home_address: Ipv6Addr,
        /// The correspondent.
        correspondent: Ipv6Addr,
    },
    /// Correspondent node: the role, and whose Home Address options it believes.
    CorrespondentSet(Correspondent),
    /// Correspondent node: the binding of a home address (RFC 6275 §9.1).
    CorrespondentBindingSet(Ipv6Addr, CorrespondentBinding),
    /// The binding is gone: packets go to the home address.
    CorrespondentBindingRemove(Ipv6Addr),
    /// Home agent: the binding of a home address; its packets are intercepted.
    HomeBindingSet(Ipv6Addr, HomeBinding),
    /// The binding is gone: packets for the home address go to the home link again.
    HomeBindingRemove(Ipv6Addr),
    /// Home agent: the binding that a home address had a moment ago, whose reverse tunnel is still left. One for each home
    /// address, the last.
    FormerHomeBindingSet(Ipv6Addr, HomeBinding),
    /// The reverse tunnel of the former binding is no longer left.
    FormerHomeBindingRemove(Ipv6Addr),
    /// Mobile terminal: its group, which is a tunnel entrance pointing here. The group and [`GroupReception::source`]
    /// are the key: between two sites the terminal receives the same group from both agents for a while.
    GroupReceptionSet(Ipv6Addr, GroupReception),
    /// The group is no longer received from this source.
    GroupReceptionRemove(MrouteKey),
    /// Mobile terminal: a unicast tunnel that it leaves (plain Mobile IPv6, or the home agent's to a home-link address).
    TunnelReceptionSet(TunnelReception),
    /// The tunnel is no longer left.
    TunnelReceptionRemove(TunnelReception),
    /// Mobile terminal: a care-of address, present or former, with the home address that it stands for. Packets that
    /// come to it out of a tunnel with a type 2 routing header are the terminal's (RFC 6275 §6.4).
    CareOfSet(Ipv6Addr, Ipv6Addr),
    /// The care-of address is no longer the terminal's.
    CareOfRemove(Ipv6Addr),
    /// Mobile terminal: how packets with this source address leave.
    UplinkSet(Ipv6Addr, Uplink),
    /// Mobile terminal: how packets from this home address to this correspondent leave.
    UplinkExceptionSet {
        /// The home address.
        home_address: Ipv6Addr,
        /// The correspondent.
        correspondent: Ipv6Addr,
        /// How.
        uplink: Uplink,
    },
    /// The correspondent is treated as all others again.
    UplinkExceptionRemove {
        /// The home address.
        home_address: Ipv6Addr,
        /// The correspondent.
        correspondent: Ipv6Addr,
    },
    /// What sources a port accepts (BCP 38).
    IngressFilterSet(PortId, IngressFilter),
}

/// What happens to packets with a prefix as destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// They go to this router.
    Via {
        /// On this link.
        port: PortId,
        /// The router's address, usually link-local.
        next_hop: Ipv6Addr,
    },
    /// Their destination is on this link.
    OnLink(PortId),
    /// They are for this node.
    Local,
    /// They are to a care-of address of the mobility agent on this node: looked up by home address.
    CareOf,
    /// They are answered with Destination Unreachable code 0.
    Unreachable,
    /// They are dropped and counted.
    Blackhole,
}

/// A neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbor {
    /// Its link-layer address.
    pub link_address: MacAddress,
    /// Tell the node, once, when a packet is sent to it.
    pub notify_use: bool,
}

/// Key of a multicast route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MrouteKey {
    /// The source; unspecified for (*,G).
    pub source: Ipv6Addr,
    /// The group.
    pub group: Ipv6Addr,
}

/// Where packets of a multicast route have to come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accept {
    /// From this port, the RPF interface.
    Port(PortId),
    /// From this node itself: it is the source.
    Local,
    /// From this node itself or out of a Register message to it: it is the rendezvous point (RFC 7761 §4.4.2).
    RendezvousPoint,
}

/// What a route tells of the packets that take it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watch {
    /// Nothing.
    Nothing,
    /// Its next packet, and then nothing until the route is set again: [`crate::machine::Notice::MulticastSeen`]. For
    /// keepalive timers.
    NextPacket,
    /// Whatever source it has packets of, each source once in a while. For (*,G).
    Sources,
}

/// The register tunnel of a designated router (RFC 7761 §4.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegisterTunnel {
    /// The designated router's address: the source of its Register messages.
    pub source: Ipv6Addr,
    /// RP(G), their destination.
    pub rendezvous_point: Ipv6Addr,
}

/// A multicast route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mroute {
    /// The RPF check.
    pub accept: Accept,
    /// The outgoing ports. A packet never leaves by the port it came in by.
    pub forward: PortSet,
    /// Where packets go in Register messages beside that.
    pub register: Option<RegisterTunnel>,
    /// What it tells.
    pub watch: Watch,
    /// Whether packets that it accepts, and that have no branch to leave by, are kept for a while: they leave by the ports
    /// that the route is given in time.
    pub hold: bool,
}

impl Mroute {
    /// A route without a register tunnel that tells nothing and keeps nothing.
    pub const fn new(accept: Accept, forward: PortSet) -> Self {
        Mroute { accept, forward, register: None, watch: Watch::Nothing, hold: false }
    }
}

/// A set of ports.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PortSet([u64; 4]);

impl PortSet {
    /// No port.
    pub const EMPTY: PortSet = PortSet([0; 4]);

    /// This one port.
    pub fn single(port: PortId) -> Self {
        let mut set = PortSet::EMPTY;
        set.insert(port);
        set
    }

    /// Adds a port; returns whether it is new.
    pub fn insert(&mut self, port: PortId) -> bool {
        let (word, bit) = (usize::from(port.0 >> 6), 1 << (port.0 & 63));
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Takes a port out; returns whether it was there.
    pub fn remove(&mut self, port: PortId) -> bool {
        let (word, bit) = (usize::from(port.0 >> 6), 1 << (port.0 & 63));
        let there = self.0[word] & bit != 0;
        self.0[word] &= !bit;
        there
    }

    /// Whether the port is there.
    pub const fn contains(&self, port: PortId) -> bool {
        self.0[(port.0 >> 6) as usize] & 1 << (port.0 & 63) != 0
    }

    /// How many ports.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// The ports in order.
    pub fn iter(&self) -> impl Iterator<Item = PortId> + use<> {
        let words = self.0;
        (0..4u8).flat_map(move |index| {
            let mut word = words[usize::from(index)];
            core::iter::from_fn(move || {
                let bit = word.trailing_zeros();
                word &= word.checked_sub(1)?;
                Some(PortId(index << 6 | bit as u8))
            })
        })
    }

    /// The set as four words, port 0 the lowest bit of the first.
    pub const fn words(&self) -> [u64; 4] {
        self.0
    }

    /// The set of these words.
    pub const fn from_words(words: [u64; 4]) -> Self {
        PortSet(words)
    }
}

impl FromIterator<PortId> for PortSet {
    fn from_iter<I: IntoIterator<Item = PortId>>(ports: I) -> Self {
        let mut set = PortSet::EMPTY;
        for port in ports {
            set.insert(port);
        }
        set
    }
}

impl core::fmt::Debug for PortSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter().map(|port| port.0)).finish()
    }
}

/// What a mobility agent does with packets for a home address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindingState {
    /// They go to the terminal's group.
    Active,
    /// They go to another agent's care-of address (patent fig. 6 line 7), or to the terminal at home.
    Forward {
        /// Where.
        to: Ipv6Addr,
        /// Whether packets that came through the home agent's tunnel are forwarded too; dropped and counted otherwise.
        from_home_agent: bool,
    },
    /// Mobility anchor point without a group (RFC 5380 §6.2): the key of the binding is [`MmaBinding::care_of`], the
    /// regional address, and whatever is sent there goes in a tunnel to [`MmaBinding::group`], which is the terminal's
    /// on-link address and no group. [`MmaBinding::home_agent`] is not looked at.
    Anchor,
}

/// A binding of the mobility agent, looked up by home address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MmaBinding {
    /// The care-of address; packets through the home agent's tunnel must be addressed to it.
    pub care_of: Ipv6Addr,
    /// The terminal's group.
    pub group: Ipv6Addr,
    /// Source address of the packets to the group.
    pub source: Ipv6Addr,
    /// The home agent: the only accepted tunnel entrance, and where reverse traffic is tunnelled to.
    pub home_agent: Ipv6Addr,
    /// GRE key (RFC 5845) where key and sequence number were agreed.
    pub gre_key: Option<u32>,
    /// Interface identifier that the outer source of a reverse tunnel must have.
    pub access_identifier: u64,
    /// Whether the node wants to know the correspondents ([`crate::machine::Notice::Correspondent`]).
    pub optimise: bool,
    /// What becomes of packets.
    pub state: BindingState,
}

/// Where the mobility agent takes reverse tunnels and from whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MmaService {
    /// The agent's address.
    pub address: Ipv6Addr,
    /// The site's access prefixes: outer sources of reverse tunnels are in one of them.
    pub access_prefixes: Vec<Prefix>,
    /// Care-of prefixes of the agents of other sites that may forward packets of terminals that came from there.
    pub peers: Vec<Prefix>,
    /// Whether what a peer has forwarded may be forwarded once more.
    pub chain: bool,
}

/// What a correspondent node does with Home Address options.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Correspondent {
    /// The node's address: source of what it sends to terminals, destination of what it takes from them.
    pub address: Ipv6Addr,
    /// Whose options are believed.
    pub policy: HomeAddressPolicy,
}

/// From where a packet with a Home Address option has to come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HomeAddressPolicy {
    /// From the care-of address that the home address is bound to (RFC 6275 §9.3.1).
    CareOf,
    /// From there, or, where the home address is bound, from one of these prefixes.
    Prefixes(Vec<Prefix>),
    /// From anywhere, where the home address is bound: the patent's uplink.
    Bound,
}

/// A binding of a correspondent node, looked up by home address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CorrespondentBinding {
    /// The node's address that the binding was made with.
    pub local: Ipv6Addr,
    /// The care-of address.
    pub care_of: Ipv6Addr,
}

/// A binding of the home agent, looked up by home address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HomeBinding {
    /// The primary care-of address.
    pub care_of: Ipv6Addr,
    /// The home agent's address, source of the tunnel.
    pub agent: Ipv6Addr,
    /// The home link.
    pub home_port: PortId,
}

/// Whose packets a terminal takes out of its group's tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupReception {
    /// The only accepted outer source.
    pub source: Ipv6Addr,
    /// GRE key where key and sequence number were agreed; packets seen twice are then delivered once.
    pub gre_key: Option<u32>,
    /// The care-of address, for type 2 routing headers.
    pub care_of: Ipv6Addr,
    /// The home address: the only accepted inner destination.
    pub home_address: Ipv6Addr,
}

/// A unicast tunnel that ends on this terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TunnelReception {
    /// The only accepted outer source.
    pub remote: Ipv6Addr,
    /// The outer destination, an address of this node.
    pub local: Ipv6Addr,
    /// The only accepted inner destination.
    pub home_address: Ipv6Addr,
}

/// How a terminal's packets leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Uplink {
    /// Not at all for now: they are dropped and counted.
    Down,
    /// As they are, to this router: the terminal is at home.
    Native {
        /// On this link.
        port: PortId,
        /// The router.
        router: Ipv6Addr,
    },
    /// From the temporary address with a Home Address option (patent fig. 4: directly).
    Direct {
        /// On this link.
        port: PortId,
        /// The router.
        router: Ipv6Addr,
        /// The temporary address, LCoA.
        source: Ipv6Addr,
    },
    /// In a tunnel from the temporary address to the mobility agent or the home agent.
    Tunnel {
        /// On this link.
        port: PortId,
        /// The router.
        router: Ipv6Addr,
        /// The temporary address, LCoA.
        source: Ipv6Addr,
        /// The other end.
        peer: Ipv6Addr,
    },
    /// In such a tunnel, inside of which they come from the care-of address with a Home Address option: the
    /// correspondent has a binding (RFC 5380 §12).
    OptimisedTunnel {
        /// On this link.
        port: PortId,
        /// The router.
        router: Ipv6Addr,
        /// The temporary address, LCoA.
        source: Ipv6Addr,
        /// The other end.
        peer: Ipv6Addr,
        /// The care-of address.
        care_of: Ipv6Addr,
    },
    /// In a tunnel from the temporary address to a mobility anchor point, and inside of it in one from the regional
    /// address to the home agent (RFC 5380 §6.1, §12.2).
    NestedTunnel {
        /// On this link.
        port: PortId,
        /// The router.
        router: Ipv6Addr,
        /// The temporary address, LCoA.
        source: Ipv6Addr,
        /// The anchor point.
        peer: Ipv6Addr,
        /// The regional address, RCoA.
        care_of: Ipv6Addr,
        /// The home agent.
        home_agent: Ipv6Addr,
    },
}

/// What source addresses a port accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IngressFilter {
    /// Any unicast address.
    Open,
    /// Link-local and unspecified ones, and those with one of these prefixes.
    Prefixes(Vec<Prefix>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_set() {
        let mut set: PortSet = [PortId(3), PortId(0), PortId(255), PortId(64)].into_iter().collect();
        assert!(!set.insert(PortId(64)));
        assert_eq!(set.iter().map(|p| p.0).collect::<Vec<_>>(), [0, 3, 64, 255]);
        assert!(set.remove(PortId(0)) && !set.contains(PortId(0)));
        assert_eq!(set.len(), 3);
        assert_eq!(PortSet::from_words(set.words()), set);
    }
}
