//! What a page shows of the devices.

use super::result::More;
use crate::chart::{Axis, Chart, Curve, Scale};
use crate::report::Line;

const OCTETS: Axis = Axis { label: "octets of the innermost packet", scale: Scale::Linear };
const RATE: Axis = Axis { label: "million packets a second", scale: Scale::Linear };
const QUANTILE: Axis = Axis { label: "quantile of packets", scale: Scale::Quantile };
const MICROS: Axis = Axis { label: "microseconds from generator to sink", scale: Scale::Logarithmic };

/// The charts of these results.
pub(super) fn charts(lines: &[Line<More>]) -> Vec<Chart> {
    let rates = by_size(lines, |line| Some(line.more.rate_pps.median));
    let throughputs = by_size(lines, |line| Some(line.more.throughput_pps?.median));
    let latency = lines.iter().flat_map(|line| {
        line.more.latency.iter().map(|latency| Curve {
            name: format!("{}, {}, {} %", line.more.device, line.more.size, latency.percent_of_throughput),
            points: latency.latency_curve.iter().map(|&(quantile, nanos)| (quantile, nanos as f64 / 1e3)).collect(),
        })
    });
    let mut charts = Chart::curves("Throughput without loss by size", OCTETS, RATE, throughputs);
    charts.extend(Chart::curves("Rate at overload by size", OCTETS, RATE, rates));
    charts.extend(Chart::curves("Latency at parts of the throughput", QUANTILE, MICROS, latency.collect()));
    charts
}

/// A curve for each device, its points from left to right; the mix is a curve of its own.
fn by_size(lines: &[Line<More>], rate: impl Fn(&Line<More>) -> Option<f64>) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for line in lines {
        let mix = if line.more.size == "imix" { ", mix" } else { "" };
        let name = format!("{}{mix}", line.more.device);
        let (Some(octets), Some(rate)) = (line.packet_octets, rate(line)) else { continue };
        let point = (octets as f64, rate / 1e6);
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
