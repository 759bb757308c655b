//! What a device under test forwards from one interface to another, and how long a packet takes: Drover's worker and its
//! process, a bare AF_XDP loop, and Linux, with the same frames from the same generator.
//!
//! ```text
//!   generator ---- near  device  far ---- sink
//! ```
//!
//! Interfaces and namespaces are made for the run ([`stage`]) unless they are named. The devices take turns within each
//! repetition, so that a bad minute of the machine meets all of them.

mod appliance;
mod assembler;
mod bpf;
mod charts;
mod device;
mod forwarder;
mod generator;
mod kernel;
pub(crate) mod node;
mod process;
mod reflector;
mod result;
mod sink;
pub(crate) mod stage;
mod testpmd;
mod traffic;
mod trial;

use crate::calibration::Probes;
use crate::machine::Machine;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::Report;
use crate::statistics::Spread;
use crate::traffic::size::Size;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use device::{Device, Places};
use result::{Figures, More};
use serde::Serialize;
use sink::Records;
use stage::{Preference, Stage};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use traffic::Flow;
use trial::{Bed, Criterion, TRAIN_TIME, Trial};

/// Frames a second, and how long, before anything is measured: all of them have to arrive as they should.
const FIRST_RATE: f64 = 50_000.0;
const FIRST_TIME: Duration = Duration::from_millis(20);
/// Trials before that at the most, for a device that is slow to begin.
const FIRST_TRIES: u32 = 20;
/// How far above the rate at overload the search for the throughput begins.
const SEARCH_ABOVE: f64 = 1.25;
/// Parts of the throughput at which times are measured, in per cent.
const LOADS: [u32; 3] = [10, 50, 90];

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Devices under test; all that can be had where absent
    #[arg(long, value_delimiter = ',')]
    devices: Vec<Device>,
    /// Octets of the innermost IPv6 packet, from 64 to 1500, or imix; tunnels and Ethernet come on top
    #[arg(long, value_delimiter = ',', default_value = "64,1500,imix")]
    octets: Vec<Size>,
    /// Seconds that a trial sends, 0.01 to 60
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    trial: f64,
    /// Repetitions of everything; the median over them is the result
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// The part of the frames that may be lost at a rate that still counts as without loss, 0 to 0.5
    #[arg(long, default_value_t = 0.0, value_parser = part)]
    tolerance: f64,
    /// A rate counts as without loss where one of so many trials is
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10))]
    tries: u32,
    /// Send in both directions at once, to devices that forward unicast
    #[arg(long)]
    both: bool,
    /// Run generator and device before everything else on their cores (SCHED_FIFO): others get next to nothing
    #[arg(long)]
    real_time: bool,
    /// Tell of every trial on the standard error output
    #[arg(long)]
    show_trials: bool,
    /// Interfaces of this machine instead of some made for the run: the generator's, the device's two, the sink's
    #[arg(long, value_delimiter = ',', value_name = "A,B,C,D")]
    interfaces: Vec<String>,
    /// The core of generator and sink; the first that this process may use where absent
    #[arg(long)]
    generator_core: Option<usize>,
    /// The device's core; the last that this process may use where absent
    #[arg(long)]
    device_core: Option<usize>,
    /// DPDK's program
    #[arg(long, default_value = "dpdk-testpmd", value_name = "PROGRAM")]
    testpmd: PathBuf,
    /// The appliance's program; the one beside this program where absent
    #[arg(long, value_name = "PROGRAM")]
    drover: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.01, 60.0)
}

fn part(text: &str) -> Result<f64, String> {
    within(text, 0.0, 0.5)
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("from {least} to {most}")),
    }
}

/// How the figures came to be.
#[derive(Serialize)]
struct Method {
    trial_seconds: f64,
    repetitions: u32,
    tolerance: f64,
    tries: u32,
    /// What is to be sent in this time goes together.
    train_us: u64,
    generator_core: usize,
    device_core: usize,
    /// Whether generator and device had to share a core.
    cores_shared: bool,
    real_time: bool,
    interfaces: String,
    /// Devices that could not be had, and why.
    absent: Vec<Absent>,
}

#[derive(Serialize)]
struct Absent {
    device: String,
    reason: String,
}

/// Measures and prints.
pub(crate) fn main(options: &Options) -> Result<()> {
    options.output.prepare()?;
    // The thread moves to another namespace and another core.
    thread::scope(|scope| scope.spawn(|| measure(options)).join())
        .map_err(|_| anyhow::anyhow!("the thread that measures broke off"))?
}

fn measure(options: &Options) -> Result<()> {
    let machine = Machine::here();
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    let core = |asked: Option<usize>, found: Option<&core_affinity::CoreId>| {
        asked.or(found.map(|id| id.id)).context("the system does not tell which cores this process may use")
    };
    let (generator_core, device_core) =
        (core(options.generator_core, allowed.first())?, core(options.device_core, allowed.last())?);
    let preference = if options.real_time { Preference::RealTime } else { Preference::Nice };
    let stage = match &options.interfaces[..] {
        [] => Stage::make(preference)?,
        named => Stage::of_interfaces(named, preference)?,
    };
    let drover = node::program(options.drover.as_deref());
    let places = Places { stage: &stage, generator_core, device_core, testpmd: &options.testpmd, drover: &drover };
    let (devices, absent) = devices(options, &places)?;
    let mut probes = Probes::new();
    preference.give(0);
    let all: Vec<usize> = allowed.iter().map(|id| id.id).collect();
    let records = Records::new()?;
    let mut figures: Vec<Figures> =
        options.octets.iter().flat_map(|&size| devices.iter().map(move |&device| Figures::new(device, size))).collect();
    let progress = Progress::new(figures.len() as u64 * u64::from(options.repetitions));
    for _ in 0..options.repetitions {
        probes.probe();
        for figures in &mut figures {
            progress.begin(|| format!("{} {}", figures.device.name(), figures.size));
            turn(options, &places, &all, &records, figures)
                .with_context(|| format!("{} with {} octets", figures.device.name(), figures.size))?;
            progress.step();
        }
    }
    probes.probe();
    drop(progress);
    let reflector = |size: Size| {
        figures.iter().find(|other| other.device == Device::Reflector && other.size == size).map(Figures::medians)
    };
    let report = Report {
        benchmark: "wire",
        machine,
        calibration: probes.finish(),
        method: Method {
            trial_seconds: options.trial,
            repetitions: options.repetitions,
            tolerance: options.tolerance,
            tries: options.tries,
            train_us: TRAIN_TIME.as_micros() as u64,
            generator_core,
            device_core,
            cores_shared: generator_core == device_core,
            real_time: options.real_time,
            interfaces: match options.interfaces.is_empty() {
                true => "veth, made for the run".to_owned(),
                false => options.interfaces.join(","),
            },
            absent,
        },
        results: figures.iter().map(|figures| figures.line(reflector(figures.size))).collect(),
    };
    options.output.publish(&report, &charts::charts(&report.results), print)
}

/// Those that are asked for and can be had, and those that cannot.
fn devices(options: &Options, places: &Places<'_>) -> Result<(Vec<Device>, Vec<Absent>)> {
    let asked = if options.devices.is_empty() { Device::value_variants() } else { &options.devices };
    let (mut devices, mut absent) = (Vec::new(), Vec::new());
    for &device in asked {
        match device.absence(places) {
            None if devices.contains(&device) => {}
            None => devices.push(device),
            Some(reason) => absent.push(Absent { device: device.name(), reason }),
        }
    }
    let reasons = || absent.iter().map(|absent| format!("{}: {}", absent.device, absent.reason)).collect::<Vec<_>>();
    ensure!(!devices.is_empty(), "none of the devices can be had: {}", reasons().join("; "));
    Ok((devices, absent))
}

/// One repetition of a device with one size.
fn turn(
    options: &Options,
    places: &Places<'_>,
    cores: &[usize],
    records: &Records,
    figures: &mut Figures,
) -> Result<()> {
    let (device, size) = (figures.device, figures.size);
    let (stage, links) = (places.stage, places.stage.links());
    let flows: Vec<Flow> =
        device.ways(options.both).iter().map(|&way| Flow::new(device.service(), way, &links, size)).collect();
    // A thread begins with the cores of the one that starts it.
    stage::confine(0, cores)?;
    let running = device.start(places)?;
    let measured = Bed::new(stage, &flows, size, records, options.show_trials).and_then(|bed| {
        stage::confine(0, &[places.generator_core])?;
        begin(&bed)?;
        let headers = flows[0].offered[0].frame.len() - usize::from(size.octets()[0]);
        figures.describe(running.mode(), headers, flows.len());
        let before = running.allocations()?;
        trials(options, &bed, figures)?;
        figures.add_allocations(running.allocations()?.zip(before).map(|(after, before)| after - before));
        Ok(())
    });
    let stopped = running.stop();
    measured.and(stopped)
}

/// Waits until every frame comes as it should.
fn begin(bed: &Bed<'_>) -> Result<()> {
    let mut last: Option<Trial> = None;
    for _ in 0..FIRST_TRIES {
        let trial = bed.at(FIRST_RATE, FIRST_TIME)?;
        if trial.lost() == 0 && trial.duplicated == 0 && trial.corrupted == 0 {
            return Ok(());
        }
        last = Some(trial);
    }
    let trial = last.context("no trial")?;
    anyhow::bail!(
        "the device does not forward: of {} frames {} came as they should, {} otherwise, {} twice",
        trial.sent.frames,
        trial.delivered,
        trial.corrupted,
        trial.duplicated
    )
}

fn trials(options: &Options, bed: &Bed<'_>, figures: &mut Figures) -> Result<()> {
    let time = Duration::from_secs_f64(options.trial);
    let overload = bed.overload(time)?;
    ensure!(overload.delivered_rate > 0.0, "nothing came while as much was offered as could be made");
    figures.add_overload(&overload);
    let criterion = Criterion { time, tolerance: options.tolerance, tries: options.tries };
    let most = (overload.delivered_rate * SEARCH_ABOVE).min(overload.sent.rate());
    let Some(throughput) = bed.search(most, &criterion)? else { return Ok(()) };
    figures.add_throughput(throughput);
    for percent in LOADS {
        figures.add_latency(percent, &bed.at(throughput * f64::from(percent) / 100.0, time)?);
    }
    Ok(())
}

fn print(report: &Report<Method, More>) {
    let Method { trial_seconds, repetitions, tolerance, tries, generator_core, device_core, cores_shared, .. } =
        report.method;
    println!("{}", report.machine);
    println!("{}", report.calibration);
    println!(
        "{repetitions} repetitions, devices by turns, trials of {trial_seconds} s, loss tolerated: {tolerance}, one of \
         {tries} trials has to pass; generator and sink on core {generator_core}, device on core {device_core}{}{}; {}",
        if cores_shared { " (SHARED)" } else { "" },
        if report.method.real_time { ", before everything else" } else { "" },
        report.method.interfaces
    );
    for Absent { device, reason } in &report.method.absent {
        println!("without {device}: {reason}");
    }
    println!(
        "\n{:<17} {:>6} {:>8} {:>17} {:>6} {:>10} {:>17} {:>6} {:>5} {:>9} {:>9} {:>9} {:>9}",
        "device",
        "octets",
        "overload",
        "[min-max] kpps",
        "ratio",
        "no loss",
        "[min-max] kpps",
        "ratio",
        "load",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "max us"
    );
    let kilo = |rate: f64| format!("{:.0}", rate / 1e3);
    let spread = |Spread { min, max, .. }| format!("[{}-{}]", kilo(min), kilo(max));
    let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
    for line in &report.results {
        let more = &line.more;
        print!(
            "{:<17} {:>6} {:>8} {:>17} {:>6} {:>10} {:>17} {:>6}",
            more.device,
            more.size,
            kilo(more.rate_pps.median),
            spread(more.rate_pps),
            ratio(more.ratio_to_reflector),
            more.throughput_pps.map_or("-".to_owned(), |throughput| kilo(throughput.median)),
            more.throughput_pps.map_or("-".to_owned(), spread),
            ratio(more.throughput_ratio_to_reflector),
        );
        for (index, latency) in more.latency.iter().enumerate() {
            let micros = |nanos: u64| format!("{:.1}", nanos as f64 / 1e3);
            let nanos = latency.latency_ns;
            println!(
                "{:>width$} {:>9} {:>9} {:>9} {:>9}",
                format!("{}%", latency.percent_of_throughput),
                micros(nanos.p50),
                micros(nanos.p99),
                micros(nanos.p999),
                micros(nanos.max),
                width = if index == 0 { 6 } else { 100 }
            );
        }
        if more.latency.is_empty() {
            println!();
        }
    }
    println!(
        "\noverload: frames that arrive while as many are offered as can be made; no loss: the highest rate at which no \
         more is lost than is tolerated;\nratio: to the reflector in this run; load: per cent of the throughput at which \
         times from generator to sink were taken"
    );
}
