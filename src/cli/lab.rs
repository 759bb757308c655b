//! `drover lab`, and the programs that a lab in namespaces runs.

use super::{DONE, REFUSED, UNAVAILABLE, say};
use crate::config::lab::{Lab, load_lab};
use crate::lab::closeup::Closeup;
use crate::lab::comparison::{Comparison, Run};
use crate::lab::html::{Page, View};
use crate::lab::netns::{Interrupted, probe};
use crate::lab::report::Report;
use crate::lab::{self, Backend};
use crate::one_line::in_one_line;
use anyhow::Result;
use clap::{Args, Subcommand};
use core::net::{Ipv6Addr, SocketAddrV6};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
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
    /// Write the run as one page to this file: ways, messages and packets around every movement, and the report.
    ///
    /// The page needs nothing else, no network and no script. What it shows is described in docs/lab.md.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
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
    // Made before the run: after a long one it would be late to hear that it cannot be.
    let mut page = match options.html.as_deref().map(|file| (file, File::create(file))) {
        None => None,
        Some((file, Ok(page))) => Some((file, page)),
        Some((file, Err(error))) => return page_fault(file, &error),
    };
    match run_lab(&lab, backend, options) {
        Ok(found) => {
            if let Some((file, page)) = &mut page
                && let Err(error) = page.write_all(found.to_html(&lab, options).as_bytes())
            {
                return page_fault(file, &error);
            }
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

fn page_fault(file: &Path, error: &io::Error) -> u8 {
    eprintln!("drover: {}: the page cannot be written: {error}", file.display());
    UNAVAILABLE
}

/// What came of a lab: of one run, or of one for each mode. Beside each report what a page shows, where one is wanted.
enum Found {
    Once(Report, Option<Closeup>),
    Modes(Comparison, Vec<Option<Closeup>>),
}

impl Found {
    fn ok(&self) -> bool {
        match self {
            Found::Once(report, _) => report.ok(),
            Found::Modes(comparison, _) => comparison.ok(),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Found::Once(report, _) => report.to_text(),
            Found::Modes(comparison, _) => comparison.to_text(),
        }
    }

    fn to_json(&self) -> String {
        let json = match self {
            Found::Once(report, _) => serde_json::to_string(report),
            Found::Modes(comparison, _) => serde_json::to_string(comparison),
        };
        // A report holds nothing that JSON cannot say.
        json.unwrap_or_default()
    }

    fn to_html(&self, lab: &Lab, options: &Options) -> String {
        let (comparison, views) = match self {
            Found::Once(report, closeup) => {
                let views = closeup.iter().map(|closeup| View { mode: None, lab, report, closeup });
                (None, views.collect())
            }
            Found::Modes(comparison, closeups) => {
                let views =
                    lab.modes.iter().zip(&comparison.runs).zip(closeups).filter_map(|(((_, lab), run), closeup)| {
                        Some(View { mode: Some(&run.mode), lab, report: &run.report, closeup: closeup.as_ref()? })
                    });
                (Some(comparison), views.collect::<Vec<_>>())
            }
        };
        let (backend, seed) = views.first().map_or(("sim", lab.seed), |view| (view.report.backend, view.report.seed));
        let command = format!("drover lab {} --{backend} --seed {seed}", options.file.display());
        Page { name: &lab.name, command, views, comparison, json: &self.to_json() }.to_html()
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
    let seed = options.seed.unwrap_or(lab.seed);
    let run = |lab: &Lab, keep: Option<&Path>| -> Result<(Report, Option<Closeup>)> {
        if options.html.is_some() {
            return lab::run_closely(lab, backend, seed, keep, &interrupted)
                .map(|(report, closeup)| (report, Some(closeup)));
        }
        lab::run(lab, backend, seed, keep, &interrupted).map(|report| (report, None))
    };
    let keep = options.keep_captures.as_deref();
    if lab.modes.is_empty() {
        return run(lab, keep).map(|(report, closeup)| Found::Once(report, closeup));
    }
    let (mut runs, mut closeups) = (Vec::new(), Vec::new());
    for (mode, lab) in &lab.modes {
        let keep = keep.map(|directory| directory.join(mode));
        let (report, closeup) = run(lab, keep.as_deref())?;
        runs.push(Run { mode: mode.clone(), report });
        closeups.push(closeup);
    }
    Ok(Found::Modes(Comparison::new(runs), closeups))
}
