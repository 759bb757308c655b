//! The groups of its own links that a node listens to, as it reports them there (RFC 3810 §6, RFC 4861 §7.2.1, RFC 4862
//! §5.4.2): solicited-node groups, all routers, all PIM routers, all MLDv2 routers. A switch that snoops sends a group only
//! to where it was asked for, or where a router is known to be (RFC 4541 §3).
//!
//! Not on links of terminals, and not by terminals, which report the groups of their traffic alone.

use super::{DroverNode, NodePort};
use crate::config::resolved::NodeConfig;
use stack::machine::{Machine, Notice};
use stack::mld_listener::UNSOLICITED_REPORT_INTERVAL;
use stack::mld_listener::{Command, Config, Filter, MldListener, ROBUSTNESS_VARIABLE, Retransmission};
use stack::port::Medium;
use stack::tables::{PortSet, TableUpdate};
use stack::time::Instant;

/// Ports on which the node reports what it listens to of the link.
pub(super) fn ports(config: &NodeConfig, ports: &[NodePort]) -> PortSet {
    // DEVIATION RFC 3810 §6, RFC 4861 §7.2.1: nothing of the link is reported where terminals are, neither by them nor by
    // their access router, since the air is for their traffic. The router is the querier there, to which a switch sends every
    // group (RFC 4541 §2.1.2); towards terminals a switch that snoops has to let groups of the link through.
    if config.mobile_terminal.is_some() {
        return PortSet::EMPTY;
    }
    let access: &[_] = config.access_router.as_ref().map_or(&[], |access| &access.ports);
    let is_of_terminals = |port: &NodePort| access.iter().any(|access| access.port == port.id);
    let reports = |port: &&NodePort| port.medium == Medium::Ethernet && !is_of_terminals(port);
    ports.iter().filter(reports).map(|port| port.id).collect()
}

/// The listener of a node that is no terminal. It is silent until the links come up.
pub(super) fn listener(config: &NodeConfig, ports: &[NodePort], reported: PortSet, seed: u64) -> MldListener {
    let own = ports.iter().filter(|port| reported.contains(port.id));
    let mut listener = MldListener::new(Config {
        seed,
        robustness: ROBUSTNESS_VARIABLE,
        retransmission: Retransmission::Random(UNSOLICITED_REPORT_INTERVAL),
        mtu: own.clone().map(|port| port.mtu).min().unwrap_or(stack::wire::ipv6::MINIMUM_MTU),
        max_groups: DroverNode::dataplane_config(config, seed).limits.link_groups,
        max_sources: 0,
    });
    for port in own {
        listener.handle_command(Instant::ORIGIN, Command::Notice(Notice::LinkDown(port.id)));
        let source = Command::SetSource { port: port.id, address: port.link_local };
        listener.handle_command(Instant::ORIGIN, source);
    }
    listener
}

/// What the listener is to report of an update; nothing where it is about something else, or on another port.
pub(super) fn command(update: &TableUpdate, reported: PortSet) -> Option<Command> {
    match *update {
        TableUpdate::LinkGroupJoin(port, group) if reported.contains(port) => {
            Some(Command::Join { port, group, filter: Filter::any() })
        }
        TableUpdate::LinkGroupLeave(port, group) if reported.contains(port) => Some(Command::Leave { port, group }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::node::fixed_clock;
    use ::mma::secret::SecretRng;
    use core::net::Ipv6Addr;
    use stack::addr::{ALL_NODES, MacAddress, solicited_node};
    use stack::machine::{Output, PortId, RxMeta, Transmit, Via};
    use stack::node::Node;
    use stack::port::{LinkState, PortInfo};
    use stack::time::Duration;
    use stack::wire::mld::{Message, Query, Record, RecordType, open};
    use std::collections::BTreeSet;
    use std::path::Path;

    const CORE: PortId = PortId(0);
    const RADIO: PortId = PortId(1);
    const NEIGHBOR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);

    fn access_router() -> DroverNode {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/access-router.toml");
        let config = config::load(Path::new(file), config::PublishedKeys::Taken).expect("a shipped file");
        let info = |port: u8| PortInfo {
            name: format!("m{port}"),
            kind: "mem",
            mode: String::new(),
            medium: Medium::Ethernet,
            link_address: MacAddress([2, 0, 0, 0, 0, port]),
            mtu: 1500,
            link: LinkState::Up,
            xdp: None,
        };
        let ports: Vec<_> = (0..config.ports.len() as u8).map(info).collect();
        DroverNode::new(&config, &ports, 7, SecretRng::simulated(7), fixed_clock()).expect("a sound configuration")
    }

    /// What the node has reported since it was last asked, by port.
    fn reported(node: &mut DroverNode) -> Vec<(PortId, Vec<Record>)> {
        let mut reports = Vec::new();
        while let Some(output) = node.poll_output() {
            if let Output::Transmit(Transmit { packet, via: Via::Link(port) }) = output
                && let Ok(opened) = open(&packet)
                && let Ok(Message::Report(report)) = Message::parse(opened.message)
            {
                reports.push((port, report.records));
            }
        }
        reports
    }

    fn groups(reports: &[(PortId, Vec<Record>)], kind: RecordType) -> BTreeSet<Ipv6Addr> {
        assert!(reports.iter().all(|(port, _)| *port == CORE), "{reports:?}");
        let records = reports.iter().flat_map(|(_, records)| records);
        records.filter(|record| record.kind == kind).map(|record| record.group).collect()
    }

    #[test]
    fn a_router_reports_what_it_listens_to_of_its_links_and_answers_queries() {
        let mut node = access_router();
        assert_eq!(reported(&mut node), [], "nothing is sent before the link is there");
        let now = Instant::from_secs(1);
        for port in [CORE, RADIO] {
            node.handle_notice(now, Notice::LinkUp(port));
        }
        let own = node.ports()[0].link_local;
        let joined = groups(&reported(&mut node), RecordType::ChangeToExclude);
        let all_pim_routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xd);
        assert!(joined.contains(&solicited_node(own)) && joined.contains(&all_pim_routers), "{joined:?}");
        assert!(!joined.contains(&ALL_NODES));

        // Once more, each in a second of its own choice.
        let mut again = BTreeSet::new();
        while let Some(at) = node.poll_timeout().filter(|&at| at <= now + UNSOLICITED_REPORT_INTERVAL) {
            node.handle_timeout(at);
            again.append(&mut groups(&reported(&mut node), RecordType::ChangeToExclude));
        }
        assert_eq!(again, joined);

        let now = Instant::from_secs(3);
        let query = Query {
            group: Ipv6Addr::UNSPECIFIED,
            max_response_delay: Duration::from_secs(1),
            suppress: false,
            robustness: 2,
            query_interval: Duration::from_secs(125),
            sources: Vec::new(),
        };
        let packet = Message::Query(query).packet(NEIGHBOR);
        for port in [CORE, RADIO] {
            let meta = RxMeta { port, link_source: None, link_multicast: true, tunnel: None };
            node.handle_packet(now, &meta, &packet);
        }
        let mut answered = BTreeSet::new();
        while let Some(at) = node.poll_timeout().filter(|&at| at <= now + Duration::from_secs(1)) {
            node.handle_timeout(at);
            answered.append(&mut groups(&reported(&mut node), RecordType::ModeIsExclude));
        }
        assert_eq!(answered, joined);

        // A switch that was off has forgotten all of them.
        node.handle_notice(now, Notice::LinkDown(CORE));
        node.handle_notice(now, Notice::LinkUp(CORE));
        assert_eq!(groups(&reported(&mut node), RecordType::ChangeToExclude), joined);
        node.stop(now);
        assert!(groups(&reported(&mut node), RecordType::ChangeToInclude).contains(&all_pim_routers));
    }
}
