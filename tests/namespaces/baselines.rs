//! One script of movements with the patent's handover, with Hierarchical Mobile IPv6 (RFC 5380) and with plain Mobile IPv6
//! (RFC 6275), in namespaces: who is told of a movement within a site, how far that is heard, and how data arrive.

use crate::captures::{BINDING_ACKNOWLEDGEMENT, BINDING_UPDATE, Frame, MLD_REPORT};
use crate::labs::{AGENT, GROUP, HOME_AGENT, MARGIN, Run};
use crate::room::alone;
use serde_json::Value;
use std::net::Ipv6Addr;

/// The terminal's links in foreign site 1, the site's border, the home agent's link and the correspondent's.
const LINKS: [&str; 5] = ["radio-a", "radio-b", "bb-mma1", "coreh-ha", "cn-bb"];
/// The prefixes of the temporary addresses on the two links of site 1.
const ACCESS: [[u16; 4]; 2] = [[0x2001, 0xdb8, 0x200, 0xa], [0x2001, 0xdb8, 0x200, 0xb]];
/// For how long a terminal has no link where the old one breaks first, and both links where it does not.
const BREAK_US: u64 = 50_000;
const OVERLAP_US: u64 = 500_000;

fn number(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap_or_else(|| panic!("{key} is a number: {line}"))
}

/// The comparison has a line for each mode and each kind of movement, and says what the modes differ in.
fn assert_compared(comparison: &Value, modes: &[&str; 3]) {
    let lines = comparison["comparison"].as_array().expect("a list");
    let wanted =
        [(("intra-site", true), 4), (("intra-site", false), 4), (("inter-site", true), 2), (("inter-site", false), 1)];
    assert_eq!(lines.len(), wanted.len() * modes.len());
    for (three, ((kind, make_before_break), movements)) in lines.chunks(modes.len()).zip(wanted) {
        for (line, mode) in three.iter().zip(modes) {
            assert_eq!((&line["mode"], &line["kind"]), (&(*mode).into(), &kind.into()), "{line}");
            assert_eq!((&line["make_before_break"], number(line, "movements")), (&make_before_break.into(), movements));
            let (middle, longest) = (number(line, "interruption_p50_us"), number(line, "interruption_max_us"));
            assert!(middle <= longest, "{line}");
            if make_before_break {
                assert!(longest < OVERLAP_US, "both links are there for so long: {line}");
            } else {
                assert!(longest > BREAK_US / 2 && number(line, "lost") > 0, "what flew during the break: {line}");
            }
            assert_eq!(number(line, "duplicated"), 0, "{line}");
            assert!(number(line, "signalling_at_terminal") > 0, "{line}");
        }
        let [multicast, hierarchical, plain] = [0, 1, 2].map(|mode| &three[mode]);
        let (agents, outside) = ("signalling_at_agents", "signalling_outside_site");
        if kind == "intra-site" {
            // The patent's point: the routers of the site alone; the anchor point; the home agent.
            assert_eq!((number(multicast, agents), number(multicast, outside)), (0, 0), "{multicast}");
            assert_eq!((number(hierarchical, agents), number(hierarchical, outside)), (2 * movements, 0));
            assert!(number(plain, agents) == 2 * movements && number(plain, outside) >= 2 * movements, "{plain}");
        } else {
            assert!(three.iter().all(|line| number(line, agents) > 0 && number(line, outside) > 0));
        }
    }
}

/// Whether it is a datagram of the correspondent in a tunnel, on a link of the terminal.
fn is_data(frame: &Frame) -> bool {
    frame.is_tunnelled() && frame.udp_port.is_some()
}

fn is_on_access_link(address: Ipv6Addr) -> bool {
    ACCESS.iter().any(|prefix| address.segments()[..4] == prefix[..])
}

/// The movements within the site, read from the captures: `told` is who hears of each by a Binding Update, and `carries`
/// what data have around them on the terminal's links.
fn assert_moves_within_the_site(run: &Run, told: Option<Ipv6Addr>, carries: impl Fn(&Frame) -> bool) {
    let moves = run.moves();
    let within: Vec<_> = moves.iter().filter(|movement| movement.intra_site).collect();
    assert_eq!(within.len(), 8);
    for movement in within {
        let (from, until) = (movement.at - MARGIN, movement.until - MARGIN);
        let place = format!("to {} at {} ms", movement.to, (movement.at - run.first_sent) / 1_000_000);
        let on_radio = run.on(&movement.to, from, until);
        let messages: Vec<(u8, Ipv6Addr)> = on_radio
            .iter()
            .filter_map(|frame| match frame.mobility? {
                BINDING_UPDATE => Some((BINDING_UPDATE, frame.destinations[0])),
                kind => Some((kind, frame.sources[0])),
            })
            .collect();
        match told {
            Some(agent) => {
                assert_eq!(messages, [(BINDING_UPDATE, agent), (BINDING_ACKNOWLEDGEMENT, agent)], "{place}");
                assert!(on_radio.iter().all(|frame| frame.update_lifetime != Some(0)), "{place}");
            }
            None => {
                assert!(on_radio.iter().any(|frame| frame.icmp == Some(MLD_REPORT)), "{place}: no report");
                for (link, frame) in run.between(from, until) {
                    assert_eq!(frame.mobility, None, "{place}, on {link}: {frame:?}");
                }
            }
        }
        // Data come as this mode has them, and are there soon after the movement.
        let data: Vec<_> = on_radio.iter().filter(|frame| is_data(frame)).collect();
        assert!(data.len() > 200, "{place}: {} packets", data.len());
        let wrong = data.iter().find(|frame| !carries(frame));
        assert!(wrong.is_none(), "{place}: {wrong:?}");
    }
}

#[test]
fn one_script_in_three_modes() {
    let Some(_alone) = alone() else { return };
    let (comparison, runs) = Run::compare("baselines", &LINKS);
    assert_compared(&comparison, &["multicast", "hmipv6", "mipv6"]);
    for (mode, run) in &runs {
        let first_move = run.moves()[0].at - MARGIN;
        let leaves_site = run.moves().iter().find(|movement| !movement.intra_site).expect("some do").at - MARGIN;
        // Whether a link hears of the movements within the site.
        let hears = |link: &str| run.on(link, first_move, leaves_site).iter().any(|frame| frame.mobility.is_some());
        assert_eq!(hears("radio-a"), mode != "multicast", "{mode}");
        for link in ["bb-mma1", "coreh-ha"] {
            assert_eq!(hears(link), mode == "mipv6", "{mode}, {link}");
        }
        assert!(!hears("cn-bb"), "{mode}: the correspondent is an unmodified host");
        let of_group = |frame: &Frame| frame.join_prune || frame.destinations.contains(&GROUP);
        assert_eq!(run.between(0, u64::MAX).any(|(_, frame)| of_group(frame)), mode == "multicast", "{mode}");
        for (link, frames) in &run.captures {
            assert!(!frames.is_empty(), "{mode}: nothing was captured on {link}");
            let fault = frames.iter().find_map(|frame| frame.fault.as_ref());
            assert!(fault.is_none(), "{mode}, {link}: {fault:?}");
        }
        match mode.as_str() {
            "multicast" => assert_moves_within_the_site(run, None, |frame| frame.is_from(AGENT) && frame.is_to(GROUP)),
            // Two tunnels, the home agent's to the regional address in that of the anchor point.
            "hmipv6" => assert_moves_within_the_site(run, Some(AGENT), |frame| {
                frame.is_from(AGENT) && is_on_access_link(frame.destinations[0]) && frame.sources[1] == HOME_AGENT
            }),
            _ => assert_moves_within_the_site(run, Some(HOME_AGENT), |frame| {
                frame.is_from(HOME_AGENT) && is_on_access_link(frame.destinations[0])
            }),
        }
    }
}
