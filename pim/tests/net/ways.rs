//! Unicast routes of a network: the shortest ways over the links that are up.

use super::{LinkId, Net, NodeId};
use stack::machine::PortId;
use std::collections::BTreeMap;

/// Hops to the nearest of `roots` over transit links that are up, and the way: the link and the next node. Among equal ways the next node
/// with the lowest number wins, so that the routers of one link agree.
pub fn ways(net: &Net, transit: &[LinkId], roots: &[NodeId]) -> BTreeMap<NodeId, (usize, Option<(LinkId, NodeId)>)> {
    let mut found = roots.iter().map(|&root| (root, (0, None))).collect::<BTreeMap<_, _>>();
    for hops in 1.. {
        let mut next: BTreeMap<NodeId, (NodeId, LinkId)> = BTreeMap::new();
        for &link in transit {
            let up = || net.links[link].ends.iter().filter(|(node, _)| !net.links[link].down.contains(node));
            for &(node, _) in up().filter(|(node, _)| !found.contains_key(node)) {
                for &(via, _) in up().filter(|(via, _)| found.get(via).is_some_and(|&(h, _)| h == hops - 1)) {
                    let way = (via, link);
                    next.entry(node).and_modify(|best| *best = way.min(*best)).or_insert(way);
                }
            }
        }
        if next.is_empty() {
            break;
        }
        found.extend(next.into_iter().map(|(node, (via, link))| (node, (hops, Some((link, via))))));
    }
    found
}

/// The port of a node on a link.
pub fn port_on(net: &Net, node: NodeId, link: LinkId) -> PortId {
    net.links[link].ends.iter().find(|end| end.0 == node).unwrap().1
}
