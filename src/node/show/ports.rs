//! Ports and workers.

use super::super::report::Placement;
use super::{View, words};
use crate::config::resolved::PollMode;
use core::net::Ipv6Addr;
use serde_json::{Value, json};
use stack::machine::PortId;
use stack::pipeline::Counter;
use stack::port::{KernelShare, PortCounters, XdpGiven};

impl View<'_> {
    /// The addresses that the node uses on a port.
    fn addresses(&self, port: PortId) -> impl Iterator<Item = Ipv6Addr> {
        let own = self.node.discovery.neighbor().addresses();
        own.filter(move |address| address.port == port).map(|address| address.address)
    }

    /// What of a port's packets is the kernel's.
    fn kernel_share(&self, port: usize) -> Option<&KernelShare> {
        self.node.kernel.as_ref()?.shares.get(port)?.as_ref()
    }

    /// Each port with what all workers have counted there.
    pub(super) fn ports(&self) -> Value {
        let rows = self.worker.ports().zip(&self.node.ports).enumerate().map(|(index, (port, known))| {
            let info = port.info();
            let of_workers = || self.reports.iter().filter_map(move |report| report.ports.get(index));
            let total =
                |count: fn(&PortCounters) -> u64| of_workers().map(|(_, counters)| count(counters)).sum::<u64>();
            let served = |say: fn(usize, &Placement) -> Option<usize>| {
                let reports = self.reports.iter().enumerate();
                let serving =
                    reports.filter(|(_, report)| report.ports.get(index).is_some_and(|(i, _)| i.kind != "relay"));
                let said = serving.map(|(number, report)| say(number, &report.placement));
                said.map(|value| value.map_or("-".to_owned(), |value| value.to_string())).collect::<Vec<_>>().join(" ")
            };
            // The queues that all workers serve together.
            let own_queues = of_workers().filter_map(|(info, _)| Some(info.xdp?.own_queues)).sum();
            let given = info.xdp.map(|given| XdpGiven { own_queues, ..given });
            let xdp = given.as_ref();
            json!({
                "name": known.name,
                "interface": info.name,
                "kind": info.kind,
                "mode": xdp.map_or_else(|| info.mode.clone(), XdpGiven::to_string),
                "xdp": xdp.map(|given| given.hook.name()),
                "zero_copy": xdp.map(|given| given.zero_copy),
                "need_wakeup": xdp.map(|given| given.need_wakeup),
                "busy_poll_us": xdp.map(|given| given.busy_poll_us),
                "polls_device": xdp.map(|given| given.polls_device),
                "multi_buffer": xdp.map(|given| given.multi_buffer),
                "huge_pages": xdp.map(|given| given.huge_pages),
                "queues": xdp.map(|given| given.queues),
                "memory_node": xdp.and_then(|given| given.memory_node),
                "workers": served(|number, _| Some(number)),
                "worker_cores": served(|_, placement| placement.core),
                "worker_nodes": served(|_, placement| placement.memory_node),
                "link": format!("{:?}", info.link).to_lowercase(),
                "link_address": info.link_address.to_string(),
                "addresses": words(self.addresses(known.id)),
                "kernel": self.kernel_share(index).map(|share| {
                    let addresses = share.addresses().into_iter().map(|address| address.to_string());
                    let rules = share.rules().into_iter().map(|rule| rule.to_string());
                    words(addresses.chain(rules))
                }),
                "kernel_shared": self.kernel_share(index).map(|share| words(share.shared().into_iter())),
                "kernel_frames": self.kernel_share(index).map(|share| {
                    let passed = share.passed().into_iter().filter(|(_, count)| *count > 0);
                    words(passed.map(|(what, count)| format!("{what}:{count}")))
                }),
                "mtu": known.mtu_limit.map_or(info.mtu, |limit| info.mtu.min(usize::from(limit))),
                "interface_mtu": xdp.map(|given| given.interface_mtu),
                "rx_frames": total(|counters| counters.rx_frames),
                "rx_octets": total(|counters| counters.rx_octets),
                "rx_dropped": total(|counters| counters.rx_dropped),
                "tx_frames": total(|counters| counters.tx_frames),
                "tx_octets": total(|counters| counters.tx_octets),
                "tx_dropped": total(|counters| counters.tx_dropped),
                "reopened": total(|counters| counters.reopened),
            })
        });
        rows.collect()
    }

    pub(super) fn workers(&self) -> Value {
        let rows = self.reports.iter().enumerate().map(|(number, report)| {
            let placement = &report.placement;
            let mut row = json!({
                "worker": number,
                "core": placement.core,
                "memory_node": placement.memory_node,
                "poll": match placement.poll {
                    PollMode::Busy => "busy",
                    PollMode::Adaptive => "adaptive",
                },
                "frames": report.frames,
                "free_frames": report.free_frames,
                "huge_pages": report.huge_pages,
                "rx": report.counters.get(Counter::Rx),
                "output": report.counters.get(Counter::Output),
                "handed_over": report.counters.get(Counter::HandedOver),
                "handover_drops": report.counters.get(Counter::DropHandoverFull),
            });
            for (name, value) in placement.load.iter() {
                row[name.replace('-', "_")] = value.into();
            }
            row
        });
        rows.collect()
    }
}
