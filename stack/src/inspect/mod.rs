//! What a captured frame is: its headers from the outside in, and the kind of its message.
//!
//! [`describe`] serves reports and checks, in the simulator and on captures of real interfaces alike. It takes nothing
//! on trust: lengths and checksums are verified, and what does not hold is [`Kind::Malformed`]. It knows the wire formats
//! and no state of any node, so a description is also a second opinion on what a node has sent.
//!
//! PIM (RFC 7761 §4.9) is read as far as its type, and Join/Prune as far as who is asked for what ([`pim`]). What it
//! leaves out: the contents of ND messages beside the target, of ICMPv6 errors beside their type, of IPv4 and of what a
//! fragment holds.

pub mod pim;

use crate::addr::Scope;
use crate::port::Medium;
use crate::wire::error::{WireError, WireErrorKind, address_at, octet, u16_at};
use crate::wire::ext::Chain;
use crate::wire::ipv6::{self, protocol};
use crate::wire::mobility::handover::{self, HandoverInitiate, HandoverMessage};
use crate::wire::mobility::{self, MobilityMessage};
use crate::wire::{checksum, ethernet, gre, home_link, mld, nd};
use core::fmt;
use core::hash::Hasher;
use core::net::Ipv6Addr;
use std::hash::DefaultHasher;

/// IPv6 headers inside each other that are looked at; what more of them hold is [`Kind::Other`].
pub const MAX_LAYERS: usize = 4;

/// What a frame is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// Its Ethernet header, where the link has one.
    pub link: Option<ethernet::Header>,
    /// Its IPv6 headers from the outside in.
    pub layers: Vec<Layer>,
    /// The message behind the last of them.
    pub kind: Kind,
}

/// An IPv6 header and what stands between it and the next, or the upper layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// Octet of the frame at which it starts.
    pub offset: usize,
    /// The header.
    pub header: ipv6::Header,
    /// Its extension headers.
    pub chain: Chain,
    /// The GRE header behind it.
    pub gre: Option<gre::Header>,
}

/// Kinds of messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Neighbour discovery (RFC 4861).
    Nd {
        /// Which message.
        message: Nd,
        /// The target of a solicitation, an advertisement or a redirect.
        target: Option<Ipv6Addr>,
    },
    /// MLD of either version.
    Mld(mld::Message),
    /// PIM.
    Pim(pim::Message),
    /// A Mobility Header message.
    Mobility(MobilityMessage),
    /// What one access router tells another (RFC 5568).
    Handover(HandoverMessage),
    /// Home agent discovery or home prefixes (RFC 6275 §6.5 to §6.8).
    HomeLink(home_link::Message),
    /// An ICMPv6 error (RFC 4443 §2.1).
    Icmpv6Error {
        /// ICMPv6 type, below 128.
        kind: u8,
        /// ICMPv6 code.
        code: u8,
    },
    /// An echo request or reply.
    Echo {
        /// Which of the two.
        request: bool,
        /// Identifier.
        identifier: u16,
        /// Sequence number.
        sequence: u16,
    },
    /// UDP or TCP.
    Data {
        /// [`protocol::UDP`] or [`protocol::TCP`].
        protocol: u8,
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// A part of a packet.
    Fragment {
        /// The protocol that the fragment header names.
        upper: u8,
        /// Where its octets belong in the packet.
        offset: u16,
        /// Whether more follow.
        more: bool,
    },
    /// Another protocol over IPv6, or another ICMPv6 message.
    Other {
        /// Next header.
        protocol: u8,
    },
    /// No IPv6.
    Foreign {
        /// EtherType.
        ethertype: u16,
    },
    /// What does not hold.
    Malformed {
        /// Next header of what is malformed; `None` for the frame or the IPv6 header itself.
        protocol: Option<u8>,
        /// What is wrong, `offset` counted from the start of the frame.
        error: WireError,
    },
}

/// Messages of neighbour discovery.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Nd {
    /// Router Solicitation.
    RouterSolicitation,
    /// Router Advertisement.
    RouterAdvertisement,
    /// Neighbor Solicitation.
    NeighborSolicitation,
    /// Neighbor Advertisement.
    NeighborAdvertisement,
    /// Redirect.
    Redirect,
}

/// Kinds of messages by what they are for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Neighbour discovery.
    Nd,
    /// Group membership.
    Mld,
    /// Multicast routing.
    Pim,
    /// Mobility Header, and the ICMPv6 messages of Mobile IPv6.
    Mobility,
    /// ICMPv6 errors.
    Icmpv6Error,
    /// What applications send, echo included.
    Data,
    /// What is none of these.
    Other,
    /// What does not hold.
    Malformed,
}

impl Class {
    /// Name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Nd => "nd",
            Class::Mld => "mld",
            Class::Pim => "pim",
            Class::Mobility => "mobility",
            Class::Icmpv6Error => "icmpv6-error",
            Class::Data => "data",
            Class::Other => "other",
            Class::Malformed => "malformed",
        }
    }
}

/// What `frame`, captured on a link of this medium, is.
pub fn describe(frame: &[u8], medium: Medium) -> Description {
    let mut description = Description { link: None, layers: Vec::new(), kind: Kind::Other { protocol: 0 } };
    let offset = match medium {
        Medium::Ip => 0,
        Medium::Ethernet => match ethernet::Header::parse(frame) {
            Err(error) => {
                description.kind = Kind::Malformed { protocol: None, error };
                return description;
            }
            Ok(header) => {
                description.link = Some(header);
                if header.ethertype != ethernet::ETHERTYPE_IPV6 {
                    description.kind = Kind::Foreign { ethertype: header.ethertype };
                    return description;
                }
                ethernet::HEADER_LEN
            }
        },
    };
    description.kind = description.walk(frame, offset);
    description
}

impl Description {
    /// The outermost IPv6 header.
    pub fn outer(&self) -> Option<&Layer> {
        self.layers.first()
    }

    /// The innermost IPv6 header.
    pub fn inner(&self) -> Option<&Layer> {
        self.layers.last()
    }

    /// Whether there is an IPv6 header inside another.
    pub fn is_tunnelled(&self) -> bool {
        self.layers.len() > 1
    }

    /// What its message is for.
    pub fn class(&self) -> Class {
        match self.kind {
            Kind::Nd { .. } => Class::Nd,
            Kind::Mld(_) => Class::Mld,
            Kind::Pim(_) => Class::Pim,
            Kind::Mobility(_) | Kind::Handover(_) | Kind::HomeLink(_) => Class::Mobility,
            Kind::Icmpv6Error { .. } => Class::Icmpv6Error,
            Kind::Echo { .. } | Kind::Data { .. } | Kind::Fragment { .. } => Class::Data,
            Kind::Other { .. } | Kind::Foreign { .. } => Class::Other,
            Kind::Malformed { .. } => Class::Malformed,
        }
    }

    /// The GRE sequence number of the tunnel that it is in.
    pub fn gre_sequence(&self) -> Option<u32> {
        self.layers.iter().find_map(|layer| layer.gre?.sequence)
    }

    /// The multicast destinations of its headers that have this scope.
    pub fn groups_of_scope(&self, scope: Scope) -> impl Iterator<Item = Ipv6Addr> {
        let destinations = self.layers.iter().map(|layer| layer.header.destination);
        destinations.filter(move |&destination| Scope::of(destination) == Some(scope))
    }

    /// The innermost packet of the frame that this describes.
    pub fn inner_packet<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let Some(layer) = self.inner() else { return &[] };
        frame.get(layer.offset..layer.offset + layer.header.total_length()).unwrap_or_default()
    }

    /// What stays the same of the innermost packet on its way: all of it but hop limit and ECN (RFC 3168). Two frames
    /// with the same identity carry the same packet, or one that nobody can tell from it.
    pub fn identity(&self, frame: &[u8]) -> Vec<u8> {
        let mut packet = self.inner_packet(frame).to_vec();
        if let Some(header) = packet.first_chunk_mut::<{ ipv6::HEADER_LEN }>() {
            header[1] &= !0x30;
            header[7] = 0;
        }
        packet
    }

    /// A number for [`Description::identity`]: the same for the same packet, and for two packets only by an accident that
    /// nobody will see.
    pub fn fingerprint(&self, frame: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        let packet = self.inner_packet(frame);
        match packet.split_first_chunk::<{ ipv6::HEADER_LEN }>() {
            Some((header, rest)) => {
                let mut header = *header;
                header[1] &= !0x30;
                header[7] = 0;
                hasher.write(&header);
                hasher.write(rest);
            }
            None => hasher.write(packet),
        }
        hasher.finish()
    }

    /// Walks the headers that start at `offset`; the kind of message at their end.
    fn walk(&mut self, frame: &[u8], mut offset: usize) -> Kind {
        loop {
            let bytes = frame.get(offset..).unwrap_or_default();
            let malformed = |protocol, error: WireError, by| Kind::Malformed { protocol, error: error.shift(by) };
            let header = match ipv6::Header::parse(bytes) {
                Ok(header) => header,
                Err(error) => return malformed(None, error, offset),
            };
            let packet = &bytes[..header.total_length()];
            let chain = match Chain::parse(packet) {
                Ok(chain) => chain,
                Err(error) => return malformed(Some(header.next_header), error, offset),
            };
            self.layers.push(Layer { offset, header, chain, gre: None });
            if let Some(fragment) = chain.fragment.filter(|fragment| !fragment.is_atomic()) {
                return Kind::Fragment { upper: chain.upper, offset: fragment.fragment_offset, more: fragment.more };
            }
            let upper = &packet[chain.upper_offset.min(packet.len())..];
            let next = match chain.upper {
                protocol::IPV6 => Ok(0),
                protocol::GRE => gre::Header::parse(upper).map(|gre| {
                    if let Some(layer) = self.layers.last_mut() {
                        layer.gre = Some(gre);
                    }
                    gre.length
                }),
                _ => {
                    let ends = Ends::of(&header, &chain);
                    let kind = ends.message(chain.upper, upper);
                    return kind.unwrap_or_else(|e| malformed(Some(chain.upper), e, offset + chain.upper_offset));
                }
            };
            match next {
                Err(error) => return malformed(Some(chain.upper), error, offset + chain.upper_offset),
                Ok(length) => offset += chain.upper_offset + length,
            }
            let carries_ipv6 =
                self.layers.last().is_some_and(|layer| layer.gre.is_none_or(|gre| gre.protocol == gre::PROTOCOL_IPV6));
            if !carries_ipv6 || self.layers.len() == MAX_LAYERS {
                return Kind::Other { protocol: chain.upper };
            }
        }
    }
}

/// The addresses of a packet as its two ends see them.
struct Ends {
    source: Ipv6Addr,
    destination: Ipv6Addr,
}

impl Ends {
    fn of(header: &ipv6::Header, chain: &Chain) -> Self {
        let routed = chain.type2_routing.filter(|routing| routing.segments_left > 0);
        Ends {
            source: chain.home_address.map_or(header.source, |option| option.home_address),
            destination: routed.map_or(header.destination, |routing| routing.home_address),
        }
    }

    fn message(&self, upper: u8, message: &[u8]) -> Result<Kind, WireError> {
        Ok(match upper {
            protocol::ICMPV6 => {
                self.verify(upper, message, 2)?;
                icmpv6(message)?
            }
            protocol::MOBILITY => {
                u16_at(message, mobility::CHECKSUM_AT)?;
                let parsed = match handover::is_handover(message) {
                    true => Kind::Handover(handover::parse(message)?),
                    false => Kind::Mobility(mobility::parse(message)?),
                };
                if !mobility::verify_checksum(self.source, self.destination, message) {
                    return Err(WireError::new(WireErrorKind::Checksum, mobility::CHECKSUM_AT));
                }
                parsed
            }
            protocol::PIM => {
                let parsed = pim::Message::parse(message)?;
                self.verify(upper, &message[..parsed.checksummed(message.len())], 2)?;
                Kind::Pim(parsed)
            }
            protocol::UDP | protocol::TCP => {
                let minimum = if upper == protocol::UDP { 8 } else { 20 };
                octet(message, minimum - 1)?;
                self.verify(upper, message, if upper == protocol::UDP { 6 } else { 16 })?;
                Kind::Data { protocol: upper, source: u16_at(message, 0)?, destination: u16_at(message, 2)? }
            }
            _ => Kind::Other { protocol: upper },
        })
    }

    fn verify(&self, upper: u8, message: &[u8], checksum_at: usize) -> Result<(), WireError> {
        u16_at(message, checksum_at)?;
        if checksum::verify(self.source, self.destination, upper, message) {
            Ok(())
        } else {
            Err(WireError::new(WireErrorKind::Checksum, checksum_at))
        }
    }
}

fn icmpv6(message: &[u8]) -> Result<Kind, WireError> {
    const ECHO_REQUEST: u8 = 128;
    const ECHO_REPLY: u8 = 129;
    let kind = octet(message, 0)?;
    let described = |message, target| Ok(Kind::Nd { message, target });
    match kind {
        0..128 => Ok(Kind::Icmpv6Error { kind, code: octet(message, 1)? }),
        ECHO_REQUEST | ECHO_REPLY => Ok(Kind::Echo {
            request: kind == ECHO_REQUEST,
            identifier: u16_at(message, 4)?,
            sequence: u16_at(message, 6)?,
        }),
        mld::TYPE_QUERY | mld::TYPE_V1_REPORT | mld::TYPE_V1_DONE | mld::TYPE_REPORT => {
            mld::Message::parse(message).map(Kind::Mld)
        }
        kind if home_link::is_home_link(kind) => home_link::Message::parse(message).map(Kind::HomeLink),
        nd::TYPE_ROUTER_SOLICITATION => described(Nd::RouterSolicitation, None),
        nd::TYPE_ROUTER_ADVERTISEMENT => described(Nd::RouterAdvertisement, None),
        nd::TYPE_NEIGHBOR_SOLICITATION => described(Nd::NeighborSolicitation, Some(address_at(message, 8)?)),
        nd::TYPE_NEIGHBOR_ADVERTISEMENT => described(Nd::NeighborAdvertisement, Some(address_at(message, 8)?)),
        nd::TYPE_REDIRECT => described(Nd::Redirect, Some(address_at(message, 8)?)),
        _ => Ok(Kind::Other { protocol: protocol::ICMPV6 }),
    }
}

impl fmt::Display for Description {
    /// One line: the headers from the outside in, then the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for layer in &self.layers {
            write!(f, "{} > {} ", layer.header.source, layer.header.destination)?;
            if let Some(option) = layer.chain.home_address {
                write!(f, "(home {}) ", option.home_address)?;
            }
            if let Some(routing) = layer.chain.type2_routing {
                write!(f, "(to home {}) ", routing.home_address)?;
            }
            match layer.gre {
                Some(gre::Header { key, sequence, .. }) => {
                    write!(f, "gre")?;
                    key.map_or(Ok(()), |key| write!(f, " key {key}"))?;
                    sequence.map_or(Ok(()), |sequence| write!(f, " sequence {sequence}"))?;
                    write!(f, " | ")?;
                }
                None if layer.chain.upper == protocol::IPV6 => write!(f, "| ")?,
                None => {}
            }
        }
        write!(f, "{}", self.kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Nd { message, target } => {
                write!(f, "nd {message:?}")?;
                target.map_or(Ok(()), |target| write!(f, " {target}"))
            }
            Kind::Mld(mld::Message::Report(report)) => {
                write!(f, "mld report")?;
                report.records.iter().try_for_each(|r| write!(f, " {:?}({}, {:?})", r.kind, r.group, r.sources))
            }
            Kind::Mld(mld::Message::Query(query)) => write!(f, "mld query {}", query.group),
            Kind::Mld(message) => write!(f, "mld {message:?}"),
            Kind::Pim(message) => write!(f, "pim {message}"),
            Kind::HomeLink(home_link::Message::AddressRequest { .. }) => write!(f, "home agent address request"),
            Kind::HomeLink(home_link::Message::AddressReply { agents, .. }) => {
                write!(f, "home agent address reply")?;
                agents.iter().try_for_each(|agent| write!(f, " {agent}"))
            }
            Kind::HomeLink(home_link::Message::PrefixSolicitation { .. }) => write!(f, "mobile prefix solicitation"),
            Kind::HomeLink(home_link::Message::PrefixAdvertisement { prefixes, .. }) => {
                write!(f, "mobile prefix advertisement")?;
                prefixes.iter().try_for_each(|prefix| write!(f, " {}", prefix.prefix()))
            }
            Kind::Mobility(MobilityMessage::BindingUpdate(update)) => {
                write!(f, "binding update {} {:?} {:?}", update.sequence, update.flags, update.lifetime.duration())
            }
            Kind::Mobility(MobilityMessage::BindingAcknowledgement(answer)) => {
                write!(f, "binding acknowledgement {} {}", answer.sequence, answer.status)
            }
            Kind::Mobility(message) => write!(f, "mobility {message:?}"),
            Kind::Handover(HandoverMessage::Initiate(message)) => {
                let mode = match message.code {
                    HandoverInitiate::PREDICTIVE => "predictive",
                    HandoverInitiate::REACTIVE => "reactive",
                    _ => "of an unknown code",
                };
                write!(
                    f,
                    "handover initiate {} {mode}{}",
                    message.sequence,
                    if message.buffer { ", keep" } else { "" }
                )?;
                let records = message.options.multicast.iter().flat_map(|option| &option.records);
                records.into_iter().try_for_each(|record| write!(f, " {:?} {}", record.kind, record.group))
            }
            Kind::Handover(HandoverMessage::Acknowledge(answer)) => {
                write!(f, "handover acknowledge {} code {}", answer.sequence, answer.code.0)
            }
            Kind::Icmpv6Error { kind, code } => write!(f, "icmpv6 error {kind} code {code}"),
            Kind::Echo { request, identifier, sequence } => {
                write!(f, "echo {} {identifier} {sequence}", if *request { "request" } else { "reply" })
            }
            Kind::Data { protocol, source, destination } => {
                write!(f, "{} {source} > {destination}", if *protocol == protocol::UDP { "udp" } else { "tcp" })
            }
            Kind::Fragment { upper, offset, more } => {
                write!(f, "fragment of protocol {upper} at {offset}{}", if *more { ", more" } else { "" })
            }
            Kind::Other { protocol } => write!(f, "protocol {protocol}"),
            Kind::Foreign { ethertype } => write!(f, "ethertype {ethertype:#06x}"),
            Kind::Malformed { protocol: Some(protocol), error } => write!(f, "malformed protocol {protocol}: {error}"),
            Kind::Malformed { protocol: None, error } => write!(f, "malformed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
