//! OpenMetrics text (version 1.0.0) of a node's numbers.
//!
//! Counters of machines are one family with the machine and the counter as labels, because which there are depends on the
//! roles; docs/counters.md says what each counts. Counters are there from the start on, zeros included, so that the first
//! increment is seen as one.

use crate::node::{Counted, PortNames, Snapshot, WorkerReport};
use core::fmt;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use stack::port::PortCounters;
use std::time::{SystemTime, UNIX_EPOCH};

/// A node's numbers at one moment.
#[derive(Debug)]
pub struct Exposition {
    snapshot: Snapshot,
    started: SystemTime,
}

/// What is counted of the frames of a port.
type OfPort = fn(&PortCounters) -> u64;
/// What is known of a worker.
type OfWorker = fn(&WorkerReport) -> u64;

impl Exposition {
    /// Those of a node whose process started then.
    pub fn new(snapshot: Snapshot, started: SystemTime) -> Self {
        Exposition { snapshot, started }
    }

    /// The text, with its end.
    pub fn text(self) -> String {
        let mut registry = Registry::with_prefix("drover");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Text that grows in memory is always taken.
        let _ = text::encode(&mut text, &registry);
        text
    }

    fn node(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let about = "What this node is";
        let mut family = encoder.encode_descriptor("node_info", about, None, MetricType::Gauge)?;
        let (name, roles) = (self.snapshot.name.as_str(), self.snapshot.roles.join(" "));
        let labels = [("name", name), ("roles", &roles), ("version", env!("CARGO_PKG_VERSION"))];
        ConstGauge::new(1_u64).encode(family.encode_family(&labels)?)?;

        let about = "When the process started, in seconds since 1970";
        let family = encoder.encode_descriptor("start_time_seconds", about, None, MetricType::Gauge)?;
        let since_1970 = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        ConstGauge::new(since_1970.as_secs_f64()).encode(family)
    }

    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let about = "Packets and what became of them in the data plane of a worker";
        let mut family = encoder.encode_descriptor("dataplane_packets", about, None, MetricType::Counter)?;
        for (number, worker) in self.workers() {
            for (name, value) in worker.counters.iter() {
                count(&mut family, [("worker", &number), ("counter", name)], value)?;
            }
        }
        let about = "Messages and events of the protocol machines";
        let mut family = encoder.encode_descriptor("machine_events", about, None, MetricType::Counter)?;
        for Counted { part, counters } in &self.snapshot.machines {
            for &(name, value) in counters {
                count(&mut family, [("machine", part), ("counter", name)], value)?;
            }
        }
        Ok(())
    }

    fn tables(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor("table_entries", "Entries of tables", None, MetricType::Gauge)?;
        for &(table, entries) in &self.snapshot.tables {
            gauge(&mut family, [("table", table)], entries)?;
        }
        Ok(())
    }

    fn ports(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let families: [(&str, &str, OfPort, OfPort); 3] = [
            ("port_frames", "Frames of a port", |port| port.rx_frames, |port| port.tx_frames),
            ("port_octets", "Octets of frames of a port", |port| port.rx_octets, |port| port.tx_octets),
            (
                "port_frames_dropped",
                "Frames that found no room at a port",
                |port| port.rx_dropped,
                |port| port.tx_dropped,
            ),
        ];
        for (name, about, received, sent) in families {
            let mut family = encoder.encode_descriptor(name, about, None, MetricType::Counter)?;
            self.each_port(|port, worker, counters| {
                for (direction, of) in [("receive", received), ("transmit", sent)] {
                    let labels = [
                        ("port", port.name.as_str()),
                        ("interface", port.interface.as_str()),
                        ("worker", worker),
                        ("direction", direction),
                    ];
                    count(&mut family, labels, of(counters))?;
                }
                Ok(())
            })?;
        }
        let about = "Times that a port was opened again because its interface had gone or changed";
        let mut family = encoder.encode_descriptor("port_reopened", about, None, MetricType::Counter)?;
        self.each_port(|port, worker, counters| {
            let labels = [("port", port.name.as_str()), ("interface", port.interface.as_str()), ("worker", worker)];
            count(&mut family, labels, counters.reopened)
        })
    }

    fn load(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let about = "What a worker did: turns, turns in which something happened, sleeps, commands";
        let mut family = encoder.encode_descriptor("worker_activity", about, None, MetricType::Counter)?;
        for (number, worker) in self.workers() {
            let core = worker.placement.core.map_or_else(|| "-".to_owned(), |core| core.to_string());
            for (kind, value) in worker.placement.load.iter() {
                count(&mut family, [("worker", number.as_str()), ("core", &core), ("kind", kind)], value)?;
            }
        }
        let frames: [(&str, &str, OfWorker); 2] = [
            ("worker_frames", "Frames of a worker's pool", |worker| worker.frames.into()),
            ("worker_free_frames", "Frames of a worker's pool that hold no packet", |worker| worker.free_frames as u64),
        ];
        for (name, about, of) in frames {
            let mut family = encoder.encode_descriptor(name, about, None, MetricType::Gauge)?;
            for (number, worker) in self.workers() {
                gauge(&mut family, [("worker", number.as_str())], of(worker))?;
            }
        }
        Ok(())
    }

    fn workers(&self) -> impl Iterator<Item = (String, &WorkerReport)> {
        self.snapshot.workers.iter().enumerate().map(|(number, worker)| (number.to_string(), worker))
    }

    /// Each port with what each worker has counted there.
    fn each_port(&self, mut visit: impl FnMut(&PortNames, &str, &PortCounters) -> fmt::Result) -> fmt::Result {
        for (number, worker) in self.workers() {
            for (port, (_, counters)) in self.snapshot.ports.iter().zip(&worker.ports) {
                visit(port, &number, counters)?;
            }
        }
        Ok(())
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.node(&mut encoder)?;
        self.counters(&mut encoder)?;
        self.tables(&mut encoder)?;
        self.ports(&mut encoder)?;
        self.load(&mut encoder)
    }
}

fn count<const N: usize>(family: &mut MetricEncoder<'_>, labels: [(&str, &str); N], value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(family.encode_family(&labels)?)
}

fn gauge<const N: usize>(family: &mut MetricEncoder<'_>, labels: [(&str, &str); N], value: u64) -> fmt::Result {
    ConstGauge::new(value).encode(family.encode_family(&labels)?)
}
