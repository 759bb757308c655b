//! What a page shows of the data plane.

use super::run::More;
use crate::chart::{Axis, Chart, Curve, Scale};
use crate::report::Line;

const OCTETS: Axis = Axis { label: "octets of the innermost packet", scale: Scale::Linear };
const ENTRIES: Axis = Axis { label: "entries of the table", scale: Scale::Logarithmic };
const QUANTILE: Axis = Axis { label: "quantile of batches", scale: Scale::Quantile };
const RATE: Axis = Axis { label: "million packets a second", scale: Scale::Linear };
const NANOS: Axis = Axis { label: "ns a packet", scale: Scale::Linear };
const BATCH_MICROS: Axis = Axis { label: "microseconds a batch", scale: Scale::Logarithmic };

/// The charts of these results.
pub(crate) fn charts(lines: &[Line<More>]) -> Vec<Chart> {
    let by_size = curves(
        lines,
        |line| {
            let mix = if line.more.size == "imix" { ", mix" } else { "" };
            format!("{}, {} entries{mix}", label(line), line.entries)
        },
        |line| Some((line.packet_octets? as f64, line.more.packets_per_second.median / 1e6)),
    );
    let by_entries = curves(
        lines,
        |line| format!("{}, {}", label(line), line.more.size),
        |line| Some((line.entries as f64, line.ns_per_packet.median)),
    );
    let latency = lines.iter().map(|line| Curve {
        name: format!("{}, {}, {}", label(line), line.entries, line.more.size),
        points: line.more.batch_curve.iter().map(|&(quantile, nanos)| (quantile, nanos as f64 / 1e3)).collect(),
    });
    let mut charts = Chart::curves("Throughput by size", OCTETS, RATE, by_size);
    charts.extend(Chart::curves("Cost by table size", ENTRIES, NANOS, by_entries));
    charts.extend(Chart::curves("Latency of a batch", QUANTILE, BATCH_MICROS, latency.collect()));
    charts
}

/// What a curve's lines have in common.
fn label(line: &Line<More>) -> String {
    let branches = if line.branches > 1 { format!(" ×{}", line.branches) } else { String::new() };
    let distribution = if line.distribution == "uniform" { "" } else { " zipf" };
    let packets_in = if line.more.packets_in == "cache" { "" } else { " cold" };
    let workers = if line.more.workers > 1 { format!(", {} workers", line.more.workers) } else { String::new() };
    format!("{}{branches}{distribution}{packets_in}{workers}", line.path)
}

/// A curve for each name, in the order in which names come, its points from left to right.
fn curves(
    lines: &[Line<More>],
    name: impl Fn(&Line<More>) -> String,
    point: impl Fn(&Line<More>) -> Option<(f64, f64)>,
) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for line in lines {
        let Some(point) = point(line) else { continue };
        let name = name(line);
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name, points: vec![point] }),
        }
    }
    for curve in &mut curves {
        curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    curves
}
