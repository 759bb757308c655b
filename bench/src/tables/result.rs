//! Results of tables and what a page shows of them.

use super::{Plan, Table};
use crate::chart::{Axis, Chart, Curve, Scale};
use crate::report::Line;
use crate::statistics::{Costs, Percentiles, Spread};
use serde::Serialize;

const ENTRIES: Axis = Axis { label: "entries of the table", scale: Scale::Logarithmic };
const NANOS: Axis = Axis { label: "ns an operation", scale: Scale::Linear };
const OCTETS: Axis = Axis { label: "octets an entry", scale: Scale::Linear };
const QUANTILE: Axis = Axis { label: "quantile of operations", scale: Scale::Quantile };
const MICROS: Axis = Axis { label: "microseconds", scale: Scale::Logarithmic };

/// What is done to a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// From no entry to all, growth included.
    Fill,
    /// An entry into a table that has all others.
    Insert,
    /// A value for a key that is there.
    Replace,
    Delete,
    Lookup,
    /// A lookup, with updates between the batches.
    MixedLookup,
    /// An update between batches of lookups.
    MixedUpdate,
    /// A lookup by one of several threads.
    ReaderAlone,
    /// The same beside a thread that updates.
    ReaderBesideWriter,
    /// An update beside threads that look up.
    WriterBesideReaders,
    /// From the beginning of an insertion to the end of the first lookup on another core that finds the entry.
    Visible,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Fill => "fill",
            Operation::Insert => "insert",
            Operation::Replace => "replace",
            Operation::Delete => "delete",
            Operation::Lookup => "lookup",
            Operation::MixedLookup => "mixed-lookup",
            Operation::MixedUpdate => "mixed-update",
            Operation::ReaderAlone => "reader-alone",
            Operation::ReaderBesideWriter => "reader-beside-writer",
            Operation::WriterBesideReaders => "writer-beside-readers",
            Operation::Visible => "visible",
        }
    }

    fn is_lookup(self) -> bool {
        use Operation::{Lookup, MixedLookup, ReaderAlone, ReaderBesideWriter};
        matches!(self, Lookup | MixedLookup | ReaderAlone | ReaderBesideWriter)
    }
}

/// Figures of an operation beside those that every benchmark has. A packet is there one operation.
#[derive(Serialize)]
pub(crate) struct More {
    pub(crate) table: String,
    pub(crate) operation: &'static str,
    /// Threads that look up beside the writer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) readers: Option<u64>,
    /// Whether there were more threads than cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threads_share_cores: Option<bool>,
    /// Of the lookups beside a writer, the part that found their entry taken away for a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missed: Option<f64>,
    /// Nanoseconds of an update, or of a whole batch of lookups; timing included.
    pub(crate) latency_ns: Percentiles,
    /// The same by quantile.
    pub(crate) latency_curve: Vec<(f64, u64)>,
    /// Their mean.
    pub(crate) latency_mean_ns: f64,
    /// Of a fill the longest insertions: how many entries there were, and nanoseconds. What comes again at the same number
    /// is the table's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) longest: Option<Vec<(u32, u64)>>,
    /// Octets that an entry takes: the larger of the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) octets_per_entry: Option<f64>,
    /// Octets of the allocator that an entry takes; what is mapped is not among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allocated_octets_per_entry: Option<f64>,
    /// Octets by which the process has grown, an entry: what is mapped and touched, and what is allocated and was not
    /// free before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resident_octets_per_entry: Option<f64>,
}

/// The result of an operation.
///
/// # Panics
/// Without a repetition.
pub(crate) fn line(plan: Plan, operation: Operation, costs: &Costs) -> Line<More> {
    let table = plan.table.name();
    Line {
        path: format!("{table}/{}", operation.name()),
        entries: plan.entries.into(),
        groups: if matches!(plan.table, Table::Mfib | Table::Binding) { plan.entries.into() } else { 0 },
        branches: 1,
        packet_octets: operation.is_lookup().then_some(64),
        distribution: "uniform".to_owned(),
        ns_per_packet: Spread::of(&costs.medians).rounded(),
        instructions_per_packet: None,
        allocations_per_packet: costs.allocations as f64 / costs.operations as f64,
        packets: costs.operations,
        more: More {
            table,
            operation: operation.name(),
            readers: None,
            threads_share_cores: None,
            missed: None,
            latency_ns: costs.all.percentiles(),
            latency_curve: costs.all.curve(),
            latency_mean_ns: (costs.all.mean() * 10.0).round() / 10.0,
            longest: None,
            octets_per_entry: None,
            allocated_octets_per_entry: None,
            resident_octets_per_entry: None,
        },
    }
}

/// The charts of these results.
pub(crate) fn charts(lines: &[Line<More>]) -> Vec<Chart> {
    use Operation::{
        Delete, Fill, Insert, Lookup, MixedLookup, MixedUpdate, ReaderAlone, ReaderBesideWriter, Replace, Visible,
        WriterBesideReaders,
    };
    let of = |operations: &[Operation]| {
        let lines =
            lines.iter().filter(|line| operations.iter().any(|operation| operation.name() == line.more.operation));
        curves(lines, |line| Some(line.ns_per_packet.median))
    };
    // Of each table only the largest: the others would hide it.
    let is_largest = |line: &Line<More>| {
        lines.iter().all(|other| other.more.table != line.more.table || other.entries <= line.entries)
    };
    let updates = lines.iter().filter(|line| line.packet_octets.is_none() && is_largest(line));
    let latency = updates.map(|line| Curve {
        name: format!("{}, {}", line.path, line.entries),
        points: line.more.latency_curve.iter().map(|&(quantile, nanos)| (quantile, nanos as f64 / 1e3)).collect(),
    });
    let mut charts = Vec::new();
    for (title, operations) in [
        ("Lookups by table size", &[Lookup][..]),
        ("Lookups beside updates", &[MixedLookup, ReaderAlone, ReaderBesideWriter]),
        ("Updates by table size", &[Fill, Insert, Replace, Delete]),
        ("Updates beside lookups", &[MixedUpdate, WriterBesideReaders, Visible]),
    ] {
        charts.extend(Chart::curves(title, ENTRIES, NANOS, of(operations)));
    }
    charts.extend(Chart::curves("Latency of an update", QUANTILE, MICROS, latency.collect()));
    let octets = curves(lines.iter(), |line| line.more.octets_per_entry);
    charts.extend(Chart::curves("Memory by table size", ENTRIES, OCTETS, octets));
    charts
}

/// A curve over the sizes of the table for each path.
fn curves<'a>(lines: impl Iterator<Item = &'a Line<More>>, value: impl Fn(&Line<More>) -> Option<f64>) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for line in lines {
        let Some(value) = value(line) else { continue };
        let point = (line.entries as f64, value);
        match curves.iter_mut().find(|curve| curve.name == line.path) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name: line.path.clone(), points: vec![point] }),
        }
    }
    curves
}
