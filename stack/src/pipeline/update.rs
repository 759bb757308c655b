//! Table updates, and what they set free.

use super::counters::Counter;
use super::vector::Job;
use super::{Dataplane, News, binding_tunnel, hold, output, reorder};
use crate::icmpv6::Cause;
use crate::machine::PortId;
use crate::port::Medium;
use crate::tables::{BindingState, Mfib, Mroute, MrouteKey, Route, TableFull, TableUpdate, Uplink};
use std::collections::VecDeque;

pub(super) fn apply(plane: &mut Dataplane, update: TableUpdate) {
    if let Some(port) = named_port(&update)
        && usize::from(port.0) >= plane.links.len()
    {
        return plane.counters.add(Counter::RefusedPorts);
    }
    let news = plane.news_of(&update);
    match change(plane, update) {
        Ok(()) => plane.news.extend(news),
        Err(TableFull) => plane.counters.add(Counter::RefusedUpdates),
    }
}

fn named_port(update: &TableUpdate) -> Option<PortId> {
    match update {
        TableUpdate::RouteSet(_, Route::Via { port, .. } | Route::OnLink(port))
        | TableUpdate::NeighborSet(port, ..)
        | TableUpdate::NeighborRemove(port, _)
        | TableUpdate::NeighborFailed(port, _)
        | TableUpdate::LinkGroupJoin(port, _)
        | TableUpdate::LinkGroupLeave(port, _)
        | TableUpdate::DeliverySet { port, .. }
        | TableUpdate::DeliveryRemove { port, .. }
        | TableUpdate::IngressFilterSet(port, _) => Some(*port),
        TableUpdate::UplinkSet(_, uplink) | TableUpdate::UplinkExceptionSet { uplink, .. } => match uplink {
            Uplink::Down => None,
            Uplink::Native { port, .. }
            | Uplink::Direct { port, .. }
            | Uplink::Tunnel { port, .. }
            | Uplink::OptimisedTunnel { port, .. }
            | Uplink::NestedTunnel { port, .. } => Some(*port),
        },
        TableUpdate::MrouteSet(_, mroute) => mroute.forward.iter().last(),
        _ => None,
    }
}

fn change(plane: &mut Dataplane, update: TableUpdate) -> Result<(), TableFull> {
    match update {
        TableUpdate::RouteSet(prefix, route) => {
            let links = &plane.links;
            let bare = |port: PortId| links[usize::from(port.0)].medium == Medium::Ip;
            plane.routes.set(prefix, route, &mut plane.neighbors, bare)?;
        }
        TableUpdate::RouteRemove(prefix) => plane.routes.remove(prefix, &mut plane.neighbors),
        TableUpdate::NeighborSet(port, address, neighbor) => {
            let rewrite = output::rewrite(neighbor.link_address, plane.links[usize::from(port.0)].link_address);
            let (index, waiting) = plane.neighbors.set(port, address, rewrite, neighbor.notify_use).ok_or(TableFull)?;
            for job in waiting {
                plane.counters.add(Counter::Resumed);
                output::to_adjacency(plane, job, index);
            }
        }
        TableUpdate::NeighborRemove(port, address) => {
            let waiting = plane.neighbors.forget(port, address);
            drop_all(plane, waiting);
        }
        TableUpdate::NeighborFailed(port, address) => {
            for mut job in plane.neighbors.forget(port, address) {
                plane.counters.add(Counter::WaitedInVain);
                // Inside a tunnel of this node it is the packet in it that did not get there.
                output::restore(&mut job);
                plane.icmp_error(job, Cause::AddressUnreachable);
            }
        }
        TableUpdate::LinkGroupJoin(port, group) => {
            let limit = plane.config.limits.link_groups;
            plane.links[usize::from(port.0)].join(group, limit)?;
            plane.groups.joined(group, port);
        }
        TableUpdate::LinkGroupLeave(port, group) => plane.links[usize::from(port.0)].leave(group),
        TableUpdate::MrouteSet(key, mroute) => {
            let before = plane.mfib.get(key);
            // Another branch has another path MTU: a larger packet is tried at once.
            if before.map(|before| before.forward) != Some(mroute.forward) && plane.path_mtus.forget(key.group) {
                plane.tell(News::PathMtuForgotten(key.group));
            }
            plane.mfib.insert(key, mroute)?;
            if before.map(|before| Mroute { watch: mroute.watch, ..before }) != Some(mroute) {
                plane.multicast_notices.forget(key);
            }
            hold::settle(plane, key, &mroute);
        }
        TableUpdate::MrouteRemove(key) => {
            if plane.mfib.remove(key) {
                plane.multicast_notices.forget(key);
                hold::forget(plane, key);
            }
        }
        TableUpdate::DeliverySet { port, group, link_address } => {
            let has_place = plane.config.unicast_delivery.contains(port);
            if !has_place || !group.is_multicast() || link_address.is_multicast() {
                return Err(TableFull);
            }
            plane.deliveries.insert(port, group, link_address)?;
        }
        TableUpdate::DeliveryRemove { port, group } => {
            plane.deliveries.remove(port, group);
        }
        TableUpdate::MmaBindingSet(home_address, binding) => {
            let route = Mfib::key(binding.source, binding.group);
            plane.mfib.prefetch_bucket(&route);
            plane.mma_bindings.prefetch_buckets(home_address, &binding);
            plane.mfib.prefetch_entry(&route);
            let slot = plane.mma_bindings.insert(home_address, &binding)?;
            // Where the tree stands already, the first packet finds it by the binding alone.
            if binding.state == BindingState::Active {
                binding_tunnel::find_route(plane, slot, binding.source, binding.group);
            }
        }
        TableUpdate::MmaBindingRemove(home_address) => {
            plane.mma_bindings.remove(home_address);
        }
        TableUpdate::MmaServiceSet(service) => plane.mma_service = Some(service),
        TableUpdate::CorrespondentSet(role) => plane.correspondents.set_role(role),
        TableUpdate::CorrespondentBindingSet(home_address, binding) => {
            plane.correspondents.insert(home_address, &binding)?;
        }
        TableUpdate::CorrespondentBindingRemove(home_address) => {
            plane.correspondents.remove(home_address);
        }
        TableUpdate::HomeBindingSet(home_address, binding) => plane.home_bindings.insert(home_address, &binding)?,
        TableUpdate::HomeBindingRemove(home_address) => {
            plane.home_bindings.remove(home_address);
        }
        TableUpdate::FormerHomeBindingSet(home_address, binding) => {
            plane.former_home_bindings.insert(home_address, &binding)?;
        }
        TableUpdate::FormerHomeBindingRemove(home_address) => {
            plane.former_home_bindings.remove(home_address);
        }
        TableUpdate::GroupReceptionSet(group, reception) => {
            if let Some(order) = plane.groups.set(group, reception)? {
                reorder::release_order(plane, MrouteKey { source: reception.source, group }, order);
            }
        }
        TableUpdate::GroupReceptionRemove(key) => {
            if let Some(order) = plane.groups.remove(key) {
                reorder::release_order(plane, key, order);
            }
        }
        TableUpdate::TunnelReceptionSet(tunnel) => plane.tunnels.set(tunnel)?,
        TableUpdate::TunnelReceptionRemove(tunnel) => plane.tunnels.remove(tunnel),
        TableUpdate::CareOfSet(care_of, home_address) => plane.care_of_addresses.set(care_of, home_address)?,
        TableUpdate::CareOfRemove(care_of) => plane.care_of_addresses.remove(care_of),
        TableUpdate::UplinkSet(source, uplink) => {
            // A tunnel by another link, router or address has another path.
            if let Uplink::Tunnel { peer, .. }
            | Uplink::OptimisedTunnel { peer, .. }
            | Uplink::NestedTunnel { peer, .. } = uplink
                && plane.uplinks.usual(source) != Some(uplink)
            {
                plane.path_mtus.forget(peer);
            }
            plane.uplinks.set(source, uplink)?;
        }
        TableUpdate::UplinkExceptionSet { home_address, correspondent, uplink } => {
            plane.uplinks.set_exception(home_address, correspondent, uplink)?;
        }
        TableUpdate::UplinkExceptionRemove { home_address, correspondent } => {
            plane.uplinks.remove_exception(home_address, correspondent);
        }
        TableUpdate::IngressFilterSet(port, filter) => plane.links[usize::from(port.0)].filter = filter,
        TableUpdate::OptimisedSet { home_address, correspondent } => {
            let binding = plane.mma_bindings.get(home_address).ok_or(TableFull)?;
            plane.optimised.insert(home_address, correspondent, binding.care_of)?;
        }
        TableUpdate::OptimisedRemove { home_address, correspondent } => {
            plane.optimised.remove(home_address, correspondent);
        }
    }
    Ok(())
}

fn drop_all(plane: &mut Dataplane, waiting: VecDeque<Job>) {
    for job in waiting {
        plane.counters.add(Counter::WaitedInVain);
        plane.discard(job, Counter::DropNeighborRemoved);
    }
}
