//! Draining: a node that is to be taken out of service sends its terminals elsewhere first.
//!
//! An access router says that it is no router any more (RFC 4861 §6.2.5), with MAP options of lifetime zero (RFC 5380 §10),
//! so that terminals join elsewhere, and serves those that are still there; a mobility agent takes no new terminals and keeps
//! those that it has. Nothing that is carried is cut. It lasts until the node resumes or ends.

use super::DroverNode;
use serde::{Deserialize, Serialize};
use stack::machine::Machine;
use stack::nd::{advertiser, discovery};
use stack::runtime::Worker;
use stack::time::Instant;

/// Whether a node takes new terminals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// It does.
    Resume,
    /// It does not, and sends those away that it has.
    Drain,
}

/// What a node still carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Remaining {
    /// Bindings of the mobility agent, those included that forward to another agent for a while.
    pub bindings: u64,
    /// Terminals' groups that have members on the node's links.
    pub groups: u64,
}

impl Remaining {
    /// Whether there is nothing left.
    pub fn is_nothing(self) -> bool {
        self == Remaining::default()
    }
}

impl DroverNode {
    /// Takes no new terminals, or does again. Returns whether the node is one that terminals use: others have nothing to drain.
    pub fn set_service(&mut self, now: Instant, service: Service) -> bool {
        let serves = self.mma.is_some() || self.pim.as_ref().is_some_and(|pim| pim.queriers().next().is_some());
        if !serves {
            return false;
        }
        let (advertiser, agent) = match service {
            Service::Drain => (advertiser::Command::Drain, ::mma::Command::Drain),
            Service::Resume => (advertiser::Command::Resume, ::mma::Command::Resume),
        };
        self.discovery.handle_command(now, discovery::Command::Advertiser(advertiser));
        if let Some(mma) = &mut self.mma {
            mma.handle_command(now, agent);
        }
        self.settle(now);
        true
    }
}

/// What the node of this worker still carries.
pub fn remaining(worker: &Worker<DroverNode>) -> Remaining {
    let sizes = worker.dataplane().table_sizes();
    let bindings = sizes.filter(|(name, _)| *name == "mma-bindings").map(|(_, size)| size as u64).sum();
    let groups = worker.node().pim.iter().map(|pim| {
        let of_range = |range: &stack::addr::Prefix| {
            let groups = |(_, querier): (_, &pim::mld::Querier)| {
                querier.addresses_from(range.address()).take_while(|&group| range.contains(group)).count()
            };
            pim.queriers().map(groups).sum::<usize>()
        };
        pim.mobility_ranges().iter().map(of_range).sum::<usize>() as u64
    });
    Remaining { bindings, groups: groups.sum() }
}
