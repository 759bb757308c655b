//! Where everything is: the ports of the router under test, its own addresses, and the ranges that the other addresses of
//! a soak are drawn from.

use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::pipeline::{DataplaneConfig, Limits, TunnelDscp};
use stack::port::{LinkState, Medium, PortInfo};
use stack::rng::Rng;
use stack::tables::PortSet;
use stack::time::Duration;

/// Ports, the last few of which have a number that does not fit into one word of a bitmap.
pub(crate) const PORTS: u8 = 68;
/// Ports that packets come in by and routes lead to.
pub(crate) const BUSY_PORTS: u8 = 8;
/// The border of the site.
pub(crate) const BORDER: u8 = 5;
/// Links of terminals: groups may go to their only listener there.
pub(crate) const RADIOS: [u8; 5] = [0, 2, BORDER, 6, 66];
/// The link of the home agent's home addresses.
pub(crate) const HOME_PORT: u8 = 3;
pub(crate) const FRAMES: u32 = 8192;
/// How long routes keep packets.
pub(crate) const HOLD_TIME: Duration = Duration::from_millis(100);
pub(crate) const MINIMUM_MTU: usize = 1280;

pub(crate) const AGENT: Ipv6Addr = address(0x201, 0, 1);
pub(crate) const OTHER_AGENT: Ipv6Addr = address(0x201, 0, 2);
pub(crate) const SELF: Ipv6Addr = address(0, 0, 0xff);
/// An anycast address, from which nobody speaks.
pub(crate) const ANYCAST: Ipv6Addr = address(7, 0, 0);
pub(crate) const SOURCES: [Ipv6Addr; 3] = [address(0x202, 0, 1), address(0x202, 0, 2), address(0x202, 1, 1)];
/// This node as a home agent.
pub(crate) const HOME_AGENTS: [Ipv6Addr; 2] = [address(0x110, 0, 1), address(0x111, 0, 1)];

/// `2001:db8:site::high:low`.
pub(crate) const fn address(site: u16, high: u32, low: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | (site as u128) << 80 | (high as u128) << 32 | low as u128)
}

/// The mobility agent's care-of addresses.
pub(crate) fn care_of(number: u64) -> Ipv6Addr {
    address(0x200, 0, number as u32)
}

/// Care-of addresses of agents of other sites.
pub(crate) fn foreign(number: u64) -> Ipv6Addr {
    address(0x400 + (number % 4) as u16, 0, 0x100 + number as u32)
}

/// Home addresses of the mobility agent's terminals.
pub(crate) fn visitor(number: u64) -> Ipv6Addr {
    address(0x1000 + (number % 5) as u16, 0, 0x1_0000 + number as u32)
}

/// The home agents of those.
pub(crate) fn foreign_agent(number: u64) -> Ipv6Addr {
    address(0x1000 + (number % 5) as u16, 0, 1)
}

/// Home addresses of the home agent.
pub(crate) fn homed(number: u64) -> Ipv6Addr {
    address(0x110 + (number % 2) as u16, 0, 0x1_0000 + number as u32)
}

/// A terminal's address on a link of the site.
pub(crate) fn on_access_link(link: u64, identifier: u64) -> Ipv6Addr {
    let high = address(0x300, 0, 0).to_bits() >> 64 | u128::from(link % 4);
    Ipv6Addr::from_bits(high << 64 | u128::from(identifier))
}

/// The interface identifier of a terminal.
pub(crate) fn identifier(number: u64) -> u64 {
    0x0200_5eff_fe00_0000 | number & 0xff_ffff
}

/// A group of this scope.
pub(crate) fn group(scope: u8, number: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xff30 << 112 | u128::from(scope) << 112 | u128::from(number) | 0x5eff << 48)
}

/// Routers and hosts with link-local addresses.
pub(crate) fn neighbor(number: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfe80 << 112 | 0x5000 | u128::from(number))
}

/// The link-layer address of a port.
pub(crate) fn mac(port: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, port]
}

/// The link-local address that a port's link-layer address makes (RFC 4291 appendix A).
pub(crate) fn own_link_local(port: u8) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac(port);
    let identifier = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(identifier))
}

/// What a round is told once.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) mtus: Vec<usize>,
    pub(crate) dscp: TunnelDscp,
    pub(crate) express: bool,
    pub(crate) registers: bool,
    /// Data planes beside each other.
    pub(crate) workers: u8,
    pub(crate) has_border: bool,
    pub(crate) limits: Limits,
    pub(crate) errors_per_second: u32,
    pub(crate) error_burst: u32,
    pub(crate) seed: u64,
}

impl Shape {
    /// That of a round: every fourth is without the express way, every other one has two data planes.
    pub(crate) fn new(seed: u64, rng: &mut Rng) -> Self {
        let usual = [1500, 1500, 1500, 1500, 1400, 1500, 1280, 1500];
        let mtus = (0..PORTS).map(|port| usual[usize::from(port) % usual.len()]).collect();
        let limits = Limits {
            routes: 22_000,
            neighbors: 6_000,
            unresolved_neighbors: [700, 2_000, 4_000][rng.below(3) as usize],
            waiting_packets: 256,
            mroutes: 18_000,
            held_packets: 40,
            held_packets_of_route: 5,
            deliveries: 3_000,
            mma_bindings: 18_000,
            optimised_pairs: 4_000,
            home_bindings: 18_000,
            ..Limits::default()
        };
        Shape {
            mtus,
            dscp: match rng.below(4) {
                0 | 1 => TunnelDscp::Inner,
                2 => TunnelDscp::Uniform,
                _ => TunnelDscp::Fixed(11),
            },
            express: seed % 4 != 3,
            registers: seed % 8 != 5,
            workers: if seed.is_multiple_of(2) { 2 } else { 1 },
            has_border: rng.below(4) > 0,
            limits,
            errors_per_second: 2_000,
            error_burst: 100,
            seed: rng.next_u64(),
        }
    }

    pub(crate) fn is_border(&self, port: u8) -> bool {
        self.has_border && port == BORDER
    }

    pub(crate) fn config(&self) -> DataplaneConfig {
        let border = [stack::machine::PortId(BORDER)];
        DataplaneConfig {
            site_border: border.into_iter().filter(|_| self.has_border).collect::<PortSet>(),
            unicast_delivery: RADIOS.map(stack::machine::PortId).into_iter().collect(),
            express: self.express,
            registers: self.registers,
            tunnel_dscp: self.dscp,
            hold_time: HOLD_TIME,
            icmp_errors_per_second: self.errors_per_second,
            icmp_error_burst: self.error_burst,
            limits: self.limits,
            seed: self.seed,
            ..DataplaneConfig::default()
        }
    }

    pub(crate) fn ports(&self) -> Vec<PortInfo> {
        let port = |(number, &mtu): (u8, &usize)| PortInfo {
            name: format!("p{number}"),
            kind: "mem",
            mode: String::new(),
            medium: Medium::Ethernet,
            link_address: MacAddress(mac(number)),
            mtu,
            link: LinkState::Up,
            xdp: None,
        };
        (0..).zip(&self.mtus).map(port).collect()
    }
}
