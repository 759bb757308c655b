//! What is found out about a device with frames of one size.

use super::device::Device;
use super::trial::Trial;
use crate::report::Line;
use crate::statistics::{Durations, Percentiles, Spread};
use crate::traffic::size::Size;
use serde::Serialize;

/// A device's figures beside those that every benchmark has. Nanoseconds a packet are there those at overload.
#[derive(Serialize)]
pub(super) struct More {
    pub(super) device: String,
    /// Octets of the innermost packet, or the mix.
    pub(super) size: String,
    /// Octets with tunnels and Ethernet, of a mix the mean.
    frame_octets: u64,
    /// How the device reaches its interfaces.
    mode: String,
    /// Ways that frames go at once.
    directions: u32,
    /// Frames a second that came while as many were offered as could be made.
    pub(super) rate_pps: Spread,
    /// Frames a second that were offered then.
    offered_pps: Spread,
    /// The highest rate at which no more was lost than is tolerated; null where there was none.
    pub(super) throughput_pps: Option<Spread>,
    /// Rates in comparison with the reflector's in the same run; null where it was not asked for.
    pub(super) ratio_to_reflector: Option<f64>,
    pub(super) throughput_ratio_to_reflector: Option<f64>,
    /// Whether the device's calls of an allocator are counted; where they are not, the number of them says nothing.
    allocations_known: bool,
    /// Frames of trials below the throughput, where time was measured.
    offered: u64,
    lost: u64,
    /// Frames in those and at overload.
    duplicated: u64,
    reordered: u64,
    corrupted: u64,
    /// Frames at the sink that were not of the run.
    foreign: u64,
    /// Times that the generator was held up and put off what followed, and the part of the time that this took.
    put_off: u64,
    held_up: f64,
    pub(super) latency: Vec<Latency>,
}

/// Times from the generator to the sink at a part of the throughput.
#[derive(Serialize)]
pub(super) struct Latency {
    pub(super) percent_of_throughput: u32,
    pub(super) offered_pps: f64,
    lost: u64,
    pub(super) latency_ns: Percentiles,
    pub(super) latency_curve: Vec<(f64, u64)>,
}

/// Figures of a device and size over repetitions.
pub(super) struct Figures {
    pub(super) device: Device,
    pub(super) size: Size,
    mode: String,
    frame_octets: u64,
    directions: u32,
    rates: Vec<f64>,
    offered_rates: Vec<f64>,
    throughputs: Vec<f64>,
    loads: Vec<Load>,
    packets: u64,
    allocations: u64,
    allocations_known: bool,
    offered: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    corrupted: u64,
    foreign: u64,
    put_off: u64,
    nanos: u64,
    held_up_nanos: u64,
}

struct Load {
    percent: u32,
    rates: Vec<f64>,
    lost: u64,
    nanos: Durations,
}

impl Figures {
    pub(super) fn new(device: Device, size: Size) -> Self {
        Figures {
            device,
            size,
            mode: String::new(),
            frame_octets: 0,
            directions: 1,
            rates: Vec::new(),
            offered_rates: Vec::new(),
            throughputs: Vec::new(),
            loads: Vec::new(),
            packets: 0,
            allocations: 0,
            allocations_known: false,
            offered: 0,
            lost: 0,
            duplicated: 0,
            reordered: 0,
            corrupted: 0,
            foreign: 0,
            put_off: 0,
            nanos: 0,
            held_up_nanos: 0,
        }
    }

    /// How the device works; `headers` are octets in front of the innermost packet.
    pub(super) fn describe(&mut self, mode: &str, headers: usize, directions: usize) {
        self.mode = mode.to_owned();
        self.frame_octets = (self.size.mean_octets() + headers as f64).round() as u64;
        self.directions = directions as u32;
    }

    pub(super) fn add_overload(&mut self, trial: &Trial) {
        self.rates.push(trial.delivered_rate);
        self.offered_rates.push(trial.sent.rate());
        self.packets += trial.delivered;
        self.add_oddities(trial);
    }

    pub(super) fn add_allocations(&mut self, allocations: Option<u64>) {
        self.allocations += allocations.unwrap_or(0);
        self.allocations_known |= allocations.is_some();
    }

    pub(super) fn add_throughput(&mut self, rate: f64) {
        self.throughputs.push(rate);
    }

    pub(super) fn add_latency(&mut self, percent: u32, trial: &Trial) {
        let index = match self.loads.iter().position(|load| load.percent == percent) {
            Some(index) => index,
            None => {
                self.loads.push(Load { percent, rates: Vec::new(), lost: 0, nanos: Durations::new() });
                self.loads.len() - 1
            }
        };
        let load = &mut self.loads[index];
        load.rates.push(trial.sent.rate());
        load.lost += trial.lost();
        load.nanos.add(&trial.nanos);
        self.packets += trial.delivered;
        self.offered += trial.sent.frames;
        self.lost += trial.lost();
        self.add_oddities(trial);
    }

    fn add_oddities(&mut self, trial: &Trial) {
        self.duplicated += trial.duplicated;
        self.reordered += trial.reordered;
        self.corrupted += trial.corrupted;
        self.foreign += trial.foreign;
        self.put_off += trial.sent.put_off;
        self.nanos += trial.sent.nanos;
        self.held_up_nanos += trial.sent.held_up_nanos;
    }

    /// The rate at overload and the throughput, medians.
    pub(super) fn medians(&self) -> (f64, Option<f64>) {
        (Spread::of(&self.rates).median, self.throughput().map(|throughput| throughput.median))
    }

    fn throughput(&self) -> Option<Spread> {
        (!self.throughputs.is_empty()).then(|| whole(Spread::of(&self.throughputs)))
    }

    /// The figures, in comparison with those of the reflector with the same size.
    pub(super) fn line(&self, reflector: Option<(f64, Option<f64>)>) -> Line<More> {
        let nanos: Vec<f64> = self.rates.iter().map(|rate| 1e9 / rate).collect();
        let (rate, throughput) = self.medians();
        let ratio = |own: f64, other: f64| (own / other * 1000.0).round() / 1000.0;
        let latency = self.loads.iter().filter(|load| load.nanos.len() > 0).map(|load| Latency {
            percent_of_throughput: load.percent,
            offered_pps: Spread::of(&load.rates).median.round(),
            lost: load.lost,
            latency_ns: load.nanos.percentiles(),
            latency_curve: load.nanos.curve(),
        });
        Line {
            path: format!("wire/{}{}", self.device.name(), if self.directions > 1 { "/both" } else { "" }),
            entries: 1,
            groups: self.device.groups(),
            branches: 1,
            packet_octets: Some(self.size.mean_octets().round() as u64),
            distribution: "uniform".to_owned(),
            ns_per_packet: Spread::of(&nanos).rounded(),
            instructions_per_packet: None,
            allocations_per_packet: self.allocations as f64 / self.packets as f64,
            packets: self.packets,
            more: More {
                device: self.device.name(),
                size: self.size.to_string(),
                frame_octets: self.frame_octets,
                mode: self.mode.clone(),
                directions: self.directions,
                rate_pps: whole(Spread::of(&self.rates)),
                offered_pps: whole(Spread::of(&self.offered_rates)),
                throughput_pps: self.throughput(),
                ratio_to_reflector: reflector.map(|(other, _)| ratio(rate, other)),
                throughput_ratio_to_reflector: reflector.and_then(|(_, other)| Some(ratio(throughput?, other?))),
                allocations_known: self.allocations_known,
                offered: self.offered,
                lost: self.lost,
                duplicated: self.duplicated,
                reordered: self.reordered,
                corrupted: self.corrupted,
                foreign: self.foreign,
                put_off: self.put_off,
                held_up: (self.held_up_nanos as f64 / self.nanos.max(1) as f64 * 1000.0).round() / 1000.0,
                latency: latency.collect(),
            },
        }
    }
}

/// Without fractions.
fn whole(spread: Spread) -> Spread {
    Spread { median: spread.median.round(), min: spread.min.round(), max: spread.max.round() }
}
