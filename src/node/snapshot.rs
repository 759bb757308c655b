//! What a node has counted and how full it is, at one moment: for metrics and for `drover show counters`. It is taken between
//! two turns of the worker, so that it holds numbers and names that are there already, and no text is made for it.

use super::DroverNode;
use super::report::WorkerReport;
use stack::pipeline::Counter;
use stack::runtime::Worker;

/// The counters of a machine, or of the data plane: the name of each, and its value since the start.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Which machine, as `drover show counters` names it.
    pub part: &'static str,
    /// Its counters.
    pub counters: Vec<(&'static str, u64)>,
}

/// A port's name and interface.
#[derive(Clone, Debug)]
pub struct PortNames {
    /// Its name in the file.
    pub name: String,
    /// The network interface.
    pub interface: String,
}

/// A node at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The node's name in its file.
    pub name: String,
    /// Its roles, as their tables are named.
    pub roles: Vec<&'static str>,
    /// What its machines have counted.
    pub machines: Vec<Counted>,
    /// Entries of tables.
    pub tables: Vec<(&'static str, u64)>,
    /// Its ports in order.
    pub ports: Vec<PortNames>,
    /// Its workers in order, the first one's first.
    pub workers: Vec<WorkerReport>,
}

impl Snapshot {
    /// That of a node whose first worker is this one; `workers` are the reports of all, this one's first.
    pub fn new(worker: &Worker<DroverNode>, workers: Vec<WorkerReport>) -> Self {
        let node = worker.node();
        let ports = worker.ports().zip(&node.ports);
        let ports =
            ports.map(|(port, known)| PortNames { name: known.name.clone(), interface: port.info().name.clone() });
        Snapshot {
            name: node.name.clone(),
            roles: node.roles.clone(),
            machines: node.counted(worker.lost_events()),
            tables: node.tables(worker).collect(),
            ports: ports.collect(),
            workers,
        }
    }
}

impl DroverNode {
    /// What each machine has counted. `lost_events` are those of the worker that nobody took.
    pub(super) fn counted(&self, lost_events: u64) -> Vec<Counted> {
        let mut all = vec![
            Counted { part: "node", counters: vec![("unclaimed", self.unclaimed), ("lost-events", lost_events)] },
            Counted { part: "discovery", counters: self.discovery.counters().collect() },
        ];
        let mut add = |part, counters| all.push(Counted { part, counters });
        if let Some(kernel) = &self.kernel {
            add("kernel", kernel.counters.iter().collect());
        }
        if let Some(machine) = &self.listener {
            add("mld-listener", machine.counters().iter().collect());
        }
        if let Some(machine) = &self.pim {
            add("pim", machine.counters().iter().collect());
        }
        if let Some(machine) = &self.mesh {
            add("mesh", machine.counters().iter().collect());
        }
        if let Some(machine) = &self.mma {
            let optimisation = machine.optimisation_counters().into_iter().flat_map(|counters| counters.iter());
            add("mma", machine.counters().iter().chain(optimisation).collect());
        }
        if let Some(machine) = &self.home_agent {
            add("home-agent", machine.counters().iter().collect());
        }
        if let Some(machine) = &self.terminal {
            add("mobile-terminal", machine.counters().iter().collect());
            add("mobile-terminal-optimisation", machine.optimisation_counters().iter().collect());
        }
        if let Some(machine) = &self.correspondent {
            add("correspondent-node", machine.counters().iter().collect());
        }
        if let Some(machine) = &self.services {
            add("services", machine.counters().iter().collect());
        }
        all
    }

    /// How many entries the tables have. Those that may be large are not walked for it.
    fn tables(&self, worker: &Worker<DroverNode>) -> impl Iterator<Item = (&'static str, u64)> {
        let of_dataplane = worker.dataplane().table_sizes().map(|(name, size)| (name, size as u64));
        let of_pim = self.pim.iter().flat_map(|pim| {
            let groups = pim.queriers().map(|(_, querier)| querier.group_count()).sum::<usize>();
            [
                ("pim-neighbors", pim.neighbors().count() as u64),
                ("pim-trees", pim.entry_count() as u64),
                ("mld-groups", groups as u64),
            ]
        });
        let of_kernel = self.kernel.iter().map(|kernel| ("kernel-routes", kernel.counters.routes()));
        of_dataplane.chain(of_pim).chain(of_kernel)
    }
}

/// What counters count, by the names of the parts that [`Snapshot::machines`] has, and `dataplane`. Each line of a text has a
/// space in front of it.
pub fn descriptions() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    const NODE: &[(&str, &str)] = &[
        ("unclaimed", " Packets for the node of a protocol that no machine of it speaks."),
        ("lost-events", " Events of machines that nobody took in time."),
    ];
    let discovery = [
        stack::nd::advertiser::Counters::DESCRIPTIONS,
        stack::nd::host::Counters::DESCRIPTIONS,
        stack::nd::neighbor::Counters::DESCRIPTIONS,
    ];
    let optimisation = mma::route_optimisation::Counters::DESCRIPTIONS;
    vec![
        ("dataplane", Counter::DESCRIPTIONS.to_vec()),
        ("node", NODE.to_vec()),
        ("discovery", discovery.concat()),
        ("kernel", crate::kernel::Counters::DESCRIPTIONS.to_vec()),
        ("mld-listener", stack::mld_listener::Counters::DESCRIPTIONS.to_vec()),
        ("pim", pim::Counters::DESCRIPTIONS.to_vec()),
        ("mesh", mma::mesh::Counters::DESCRIPTIONS.to_vec()),
        ("mma", [mma::Counters::DESCRIPTIONS, optimisation].concat()),
        ("home-agent", ha::home_agent::Counters::DESCRIPTIONS.to_vec()),
        ("mobile-terminal", ha::mobile::Counters::DESCRIPTIONS.to_vec()),
        ("mobile-terminal-optimisation", optimisation.to_vec()),
        ("correspondent-node", ha::correspondent::Counters::DESCRIPTIONS.to_vec()),
        ("services", stack::host::services::Counters::DESCRIPTIONS.to_vec()),
    ]
}
