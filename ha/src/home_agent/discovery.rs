//! ICMPv6 at the home agent: the advertisements of other home agents, and requests for home agent addresses (RFC 6275
//! §10.5). Prefixes are in `prefixes`.

use super::*;
use stack::wire::checksum;
use stack::wire::ext::Chain;
use stack::wire::home_link::{self, Message, home_agents_anycast};
use stack::wire::ipv6;
use stack::wire::nd;

impl HomeAgent {
    /// A packet whose upper layer is ICMPv6.
    pub(super) fn handle_icmpv6(&mut self, now: Instant, meta: &RxMeta, packet: &[u8], chain: &Chain) {
        let Ok(header) = ipv6::Header::parse(packet) else {
            self.counters.drop_not_mobility += 1;
            return;
        };
        let packet = &packet[..header.total_length()];
        let message = packet.get(chain.upper_offset..).unwrap_or_default();
        if message.first() == Some(&nd::TYPE_ROUTER_ADVERTISEMENT) {
            return self.router_advertisement(now, meta, packet);
        }
        let home_address = chain.home_address.map(|option| option.home_address);
        let source = home_address.unwrap_or(header.source);
        if !checksum::verify(source, header.destination, protocol::ICMPV6, message) {
            self.counters.drop_checksum += 1;
            return;
        }
        match Message::parse(message) {
            Err(_) => self.counters.drop_malformed += 1,
            Ok(Message::AddressRequest { identifier }) => {
                self.counters.rx_address_request += 1;
                self.address_request(now, &header, identifier);
            }
            Ok(Message::PrefixSolicitation { identifier }) => {
                self.counters.rx_prefix_solicitation += 1;
                self.prefix_solicitation(now, &header, home_address, identifier);
            }
            Ok(Message::AddressReply { .. } | Message::PrefixAdvertisement { .. }) => {
                self.counters.drop_unexpected += 1;
            }
        }
    }

    /// RFC 6275 §10.5.1: straight to whoever asks, since nobody knows yet who that is.
    fn address_request(&mut self, now: Instant, header: &ipv6::Header, identifier: u16) {
        let asked = |link: &&HomeLink| home_agents_anycast(link.prefix) == header.destination;
        let Some(link) = self.config.links.iter().find(asked) else {
            self.counters.drop_unexpected += 1;
            return;
        };
        let (port, own) = (link.port, (link.address, link.preference));
        if !addr::is_routable_unicast(header.source) || header.source == own.0 {
            self.counters.drop_invalid += 1;
            return;
        }
        if !self.may_answer(now) {
            return;
        }
        let list = self.agents.entry(port).or_default();
        list.forget(now);
        let agents = list.addresses(own, &mut self.rng);
        self.counters.tx_address_reply += 1;
        let reply = Message::AddressReply { identifier, agents };
        self.outputs.transmit(reply.packet(own.0, header.source, None), Via::Route);
    }

    /// Another router of a home link speaks.
    fn router_advertisement(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]) {
        let here = self.config.links.iter().any(|link| link.port == meta.port) && meta.tunnel.is_none();
        let Ok(nd::Opened { source, message: nd::Message::RouterAdvertisement(advertisement), .. }) = nd::open(packet)
        else {
            self.counters.drop_malformed += 1;
            return;
        };
        if !here {
            return;
        }
        self.counters.rx_router_advertisement += u64::from(advertisement.home_agent);
        let list = self.agents.entry(meta.port).or_default();
        if !list.take(now, source, &advertisement) {
            self.counters.agents_full += 1;
        }
        self.learn_prefixes(now, meta.port, &advertisement);
    }

    /// The Home Agents List of a home link, this agent not in it.
    pub fn home_agents(&self, port: PortId) -> impl Iterator<Item = (Ipv6Addr, &OtherAgent)> {
        self.agents.get(&port).into_iter().flat_map(HomeAgentsList::iter)
    }

    /// The anycast addresses of its home links, which the node delivers here.
    pub fn anycast_addresses(&self) -> impl Iterator<Item = (PortId, Ipv6Addr)> {
        self.config.links.iter().map(|link| (link.port, home_agents_anycast(link.prefix)))
    }
}

/// Whether the home agent wants ICMPv6 messages of this type.
pub const fn wants(icmp_type: u8) -> bool {
    matches!(
        icmp_type,
        nd::TYPE_ROUTER_ADVERTISEMENT | home_link::TYPE_ADDRESS_REQUEST | home_link::TYPE_PREFIX_SOLICITATION
    )
}
