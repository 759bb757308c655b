//! Who has put a route into the kernel: numbers and names of rtnetlink(7), RTPROT_*, and of the routing daemons that have
//! numbers of their own there.

use pim::RouteMetric;

/// RTPROT_KERNEL: links of the kernel's addresses.
pub const KERNEL: u8 = 2;

/// Number, name, and what a route is worth where two routers compare theirs (RFC 7761 §4.6.3): the administrative distances
/// that are usual, of which the lower wins.
const PROTOCOLS: [(u8, &str, u32); 21] = [
    (1, "redirect", 200),
    (KERNEL, "kernel", 0),
    (3, "boot", 1),
    (4, "static", 1),
    (9, "ra", 150),
    (11, "zebra", 1),
    (12, "bird", 110),
    (16, "dhcp", 150),
    (18, "keepalived", 1),
    (42, "babel", 100),
    (84, "ovn", 150),
    (99, "openr", 115),
    (186, "bgp", 20),
    (187, "isis", 115),
    (188, "ospf", 110),
    (189, "rip", 120),
    (192, "eigrp", 90),
    (193, "ldp", 200),
    (194, "sharp", 150),
    (195, "pbr", 200),
    (196, "frr-static", 1),
];
/// Of those without a name.
const OTHER_PREFERENCE: u32 = 200;

/// The name of a protocol, or its number.
pub fn name(number: u8) -> String {
    let known = PROTOCOLS.iter().find(|(known, ..)| *known == number);
    known.map_or_else(|| number.to_string(), |(_, name, _)| (*name).to_owned())
}

/// The protocol of a name or number.
pub fn by_name(text: &str) -> Option<u8> {
    let known = PROTOCOLS.iter().find(|(_, name, _)| *name == text).map(|&(number, ..)| number);
    known.or_else(|| text.parse().ok())
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|(_, name, _)| *name)
}

/// What a route of a protocol is worth where the configuration says nothing.
pub fn preference(number: u8) -> u32 {
    PROTOCOLS.iter().find(|(known, ..)| *known == number).map_or(OTHER_PREFERENCE, |&(.., preference)| preference)
}

/// The largest preference of a route (RFC 7761 §4.9.6 leaves it 31 bits, of which all ones are no route).
pub const MAX_PREFERENCE: u32 = i32::MAX as u32 - 1;

/// The metric of PIM, which has one value fewer than the kernel's.
pub(super) fn worth(preference: u32, metric: u32) -> RouteMetric {
    RouteMetric { preference, metric: metric.min(u32::MAX - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for name in names() {
            assert_eq!(by_name(name).map(super::name).as_deref(), Some(name));
        }
        assert_eq!((by_name("77"), name(77)), (Some(77), "77".to_owned()));
        assert_eq!((by_name("256"), by_name("opsf")), (None, None));
        assert!(preference(by_name("ospf").unwrap()) > preference(by_name("bgp").unwrap()));
    }
}
