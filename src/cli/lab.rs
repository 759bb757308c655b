//! `drover lab`, and the programs that a lab in namespaces runs.

use super::{DONE, REFUSED, UNAVAILABLE, say};
use crate::config::lab::{Lab, load_lab};
use crate::lab::comparison::{Comparison, Run};
use crate::lab::netns::{Interrupted, probe};
use crate::lab::report::Report;
use crate::lab::{self, Backend};
use crate::one_line::in_one_line;
use anyhow::Result;
use clap::{Args, Subcommand};
use core::net::{Ipv6Addr, SocketAddrV6};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Args, Debug)]
pub(super) struct Options {
    /// The lab file.
    file: PathBuf,
    /// In one process, on a virtual clock: no privileges, the same result for the same seed.
    #[arg(long, conflicts_with = "netns")]
    sim: bool,
    /// As processes in network namespaces with AF_XDP, kernel hosts and real programs. Needs root. [default for root]
    #[arg(long)]
    netns: bool,
    /// Print the report as one JSON object on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
    /// Seed in place of the file's.
    #[arg(long)]
    seed: Option<u64>,
    /// Leave the captures of all links, and in namespaces the logs of all programs, in this directory.
    #[arg(long, value_name = "DIR")]
    keep_captures: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(super) enum ProbeEnd {
    /// Sends numbered datagrams at a constant rate.
    Send { source: Ipv6Addr, to: SocketAddrV6, rate_pps: u32, payload_len: usize, count: u64, log: PathBuf },
    /// Receives them until standard input ends.
    Receive { at: SocketAddrV6, log: PathBuf },
}

impl ProbeEnd {
    pub(super) fn run(self) -> Result<()> {
        match self {
            ProbeEnd::Send { source, to, rate_pps, payload_len, count, log } => {
                probe::send(source, to, rate_pps, payload_len, count, &log)
            }
            ProbeEnd::Receive { at, log } => probe::receive(at, &log),
        }
    }
}

/// The status of a program of the lab.
pub(super) fn finish(result: Result<()>) -> u8 {
    match result {
        Ok(()) => DONE,
        Err(error) => {
            eprintln!("drover: {}", in_one_line(&error));
            UNAVAILABLE
        }
    }
}

/// Runs a lab; 0 only where every check holds.
pub(super) fn run(options: &Options) -> u8 {
    let lab = match load_lab(&options.file) {
        Ok(lab) => lab,
        Err(error) => {
            eprintln!("{error}");
            return REFUSED;
        }
    };
    let backend = match (options.sim, options.netns) {
        (true, _) => Backend::Sim,
        (_, true) => Backend::Netns,
        _ => Backend::best(),
    };
    if backend == Backend::Sim && !options.sim {
        eprintln!("drover: not root, so this is the simulation; as root, the same command runs real processes");
    }
    match run_lab(&lab, backend, options) {
        Ok(found) => {
            let text = if options.json { found.to_json() + "\n" } else { found.to_text() };
            say(&text, if found.ok() { DONE } else { REFUSED })
        }
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("drover: interrupted; everything that the lab made is gone");
            REFUSED
        }
        Err(error) => {
            eprintln!("drover: {}: {}", options.file.display(), in_one_line(&error));
            UNAVAILABLE
        }
    }
}

/// What came of a lab: of one run, or of one for each mode.
enum Found {
    Once(Report),
    Modes(Comparison),
}

impl Found {
    fn ok(&self) -> bool {
        match self {
            Found::Once(report) => report.ok(),
            Found::Modes(comparison) => comparison.ok(),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Found::Once(report) => report.to_text(),
            Found::Modes(comparison) => comparison.to_text(),
        }
    }

    fn to_json(&self) -> String {
        let json = match self {
            Found::Once(report) => serde_json::to_string(report),
            Found::Modes(comparison) => serde_json::to_string(comparison),
        };
        // A report holds nothing that JSON cannot say.
        json.unwrap_or_default()
    }
}

fn run_lab(lab: &Lab, backend: Backend, options: &Options) -> Result<Found> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The simulation does not heed it; there is nothing to take away either, and the second one ends the process at
        // once. In namespaces it must not: what the first one began would be left half done.
        if backend == Backend::Sim {
            signal_hook::flag::register_conditional_shutdown(signal, i32::from(REFUSED), interrupted.clone())?;
        }
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let keep = options.keep_captures.as_deref();
    let seed = options.seed.unwrap_or(lab.seed);
    if lab.modes.is_empty() {
        return lab::run(lab, backend, seed, keep, &interrupted).map(Found::Once);
    }
    let runs = lab.modes.iter().map(|(mode, lab)| {
        let keep = keep.map(|directory| directory.join(mode));
        let report = lab::run(lab, backend, seed, keep.as_deref(), &interrupted)?;
        Ok(Run { mode: mode.clone(), report })
    });
    Ok(Found::Modes(Comparison::new(runs.collect::<Result<_>>()?)))
}
