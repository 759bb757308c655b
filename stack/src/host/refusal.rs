//! What an unmodified host says to an option that it does not know, such as the Home Address option of a mobile node:
//! Parameter Problem code 2 (RFC 8200 §4.2, RFC 4443 §3.4). smoltcp drops such packets in silence, and a mobile node
//! would never learn that it has to send otherwise.

use crate::icmpv6::{self, Cause};
use crate::packet::{Packet, Pool};
use crate::port::Medium;
use crate::wire::error::address_at;
use crate::wire::ext::Chain;
use crate::wire::{WireErrorKind, ethernet, ipv6};
use core::net::Ipv6Addr;

/// The answer to a frame with such an option, to be sent in its place; `None` where the frame is the host's to read.
pub(super) fn refuse(frame: &Packet, medium: Medium, own: Ipv6Addr, pool: &Pool) -> Option<Packet> {
    let link = match medium {
        Medium::Ethernet => Some(ethernet::Header::parse(frame.bytes()).ok()?),
        Medium::Ip => None,
    };
    if link.is_some_and(|link| link.ethertype != ethernet::ETHERTYPE_IPV6) {
        return None;
    }
    let octets = &frame.bytes()[link.map_or(0, |_| ethernet::HEADER_LEN)..];
    let header = ipv6::Header::parse(octets).ok()?;
    let packet = &octets[..header.total_length()];
    if address_at(packet, 24) != Ok(own) {
        return None;
    }
    let pointer = match Chain::parse(packet) {
        Ok(chain) => chain.home_address?.offset,
        Err(error) if error.kind == WireErrorKind::UnknownOption => error.offset,
        Err(_) => return None,
    };
    let cause = Cause::Option(u32::try_from(pointer).ok()?);
    if !icmpv6::is_allowed(packet, cause, link.is_some_and(|link| link.destination.is_multicast())) {
        return None;
    }
    let mut answer = icmpv6::build_error(pool, own, header.source, cause, packet)?;
    if let Some(link) = link {
        let back = ethernet::Header { destination: link.source, source: link.destination, ethertype: link.ethertype };
        back.emit(answer.prepend());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::MacAddress;
    use crate::wire::build::PacketBuilder;
    use crate::wire::ipv6::protocol;

    #[test]
    fn a_home_address_option_is_refused_where_it_stands() {
        let pool = Pool::new(4).unwrap();
        let [own, router, home]: [Ipv6Addr; 3] =
            ["2001:db8::10", "2001:db8::1", "2001:db8:1::5"].map(|a| a.parse().unwrap());
        let packet = PacketBuilder::new(router, own).home_address(home).payload(protocol::UDP, &[0; 8]);
        let macs = [1, 2].map(|last| MacAddress([2, 0, 0, 0, 0, last]));
        let mut frame = pool.copy_of(&packet).unwrap();
        let link = ethernet::Header { destination: macs[0], source: macs[1], ethertype: ethernet::ETHERTYPE_IPV6 };
        link.emit(frame.prepend());
        let answer = refuse(&frame, Medium::Ethernet, own, &pool).unwrap();
        let back = ethernet::Header::parse(answer.bytes()).unwrap();
        assert_eq!((back.destination, back.source), (macs[1], macs[0]));
        let error = &answer.bytes()[ethernet::HEADER_LEN..];
        assert_eq!(error[40..42], [4, 2]);
        assert_eq!(error[44..48], (46u32).to_be_bytes());
        assert_eq!(error[48..], packet);

        let plain = pool.copy_of(&PacketBuilder::new(router, own).payload(protocol::UDP, &[0; 8])).unwrap();
        assert!(refuse(&plain, Medium::Ip, own, &pool).is_none());
    }
}
