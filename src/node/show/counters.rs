//! Counters, those that are not zero.

use super::super::snapshot::Counted;
use super::View;
use serde_json::{Map, Value};
use stack::pipeline::Counters;

impl View<'_> {
    pub(super) fn counters(&self) -> Value {
        let mut all = Map::new();
        let mut add = |name: &str, counters: Vec<(&'static str, u64)>| {
            all.insert(name.to_owned(), counted(counters.into_iter()));
        };
        add("dataplane", sum(self.reports.iter().map(|report| &report.counters)));
        if self.reports.len() > 1 {
            for (number, report) in self.reports.iter().enumerate() {
                add(&format!("worker-{number}"), report.counters.iter().collect());
            }
        }
        let sizes = self.worker.dataplane().table_sizes().map(|(name, size)| (name, size as u64));
        let of_kernel = self.node.kernel.iter().map(|kernel| ("kernel-routes", kernel.counters.routes()));
        add("tables", sizes.chain(of_kernel).collect());
        for Counted { part, counters } in self.node.counted(self.worker.lost_events()) {
            add(part, counters);
        }
        all.into()
    }

    /// Those of PIM and MLD alone.
    pub(super) fn pim_counters(&self) -> Value {
        counted(self.node.pim.iter().flat_map(|pim| pim.counters().iter()))
    }
}

fn counted(counters: impl Iterator<Item = (&'static str, u64)>) -> Value {
    let counted = counters.filter(|&(_, value)| value > 0);
    counted.map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<String, Value>>().into()
}

/// What several data planes have counted together.
fn sum<'a>(counters: impl Iterator<Item = &'a Counters>) -> Vec<(&'static str, u64)> {
    let mut total: Vec<(&'static str, u64)> = Counters::default().iter().collect();
    for counters in counters {
        for ((_, sum), (_, value)) in total.iter_mut().zip(counters.iter()) {
            *sum += value;
        }
    }
    total
}
