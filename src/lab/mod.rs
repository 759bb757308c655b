//! The lab: a whole topology on one machine, with movements and traffic, and a report of what became of it.
//!
//! ```text
//!   lab file ─► script ─┬─► sim: one process, virtual clock ──┬─► observations ─┬─► judge ─► report ─┬─► text, JSON
//!                       └─► netns: processes, AF_XDP, kernel ─┘                 └─► closeup ─────────┴─► html: a page
//! ```

pub(crate) mod closeup;
pub mod comparison;
pub(crate) mod html;
mod judge;
pub(crate) mod netns;
mod observe;
mod paths;
pub mod report;
mod script;
pub mod sim;

pub use script::Step;

use crate::config::lab::Lab;
use anyhow::{Result, bail};
use closeup::Closeup;
use observe::Observations;
use report::Report;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Where a lab runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// In one process, on a virtual clock.
    Sim,
    /// As processes in network namespaces.
    Netns,
}

impl Backend {
    /// The best that this process may use: namespaces for root.
    pub fn best() -> Self {
        if is_root() { Backend::Netns } else { Backend::Sim }
    }

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Sim => "sim",
            Backend::Netns => "netns",
        }
    }
}

/// Runs a lab and judges it. `keep` is where captures, and in namespaces logs, are left. `interrupted` ends a run in
/// namespaces early; everything that it made is taken away all the same.
///
/// # Errors
/// What keeps the lab from running; checks that do not hold are in the report.
pub fn run(lab: &Lab, backend: Backend, seed: u64, keep: Option<&Path>, interrupted: &AtomicBool) -> Result<Report> {
    let seen = carry_out(lab, backend, seed, keep, interrupted)?;
    Ok(judge::report(lab, backend.name(), seed, &seen))
}

/// The same, with what a page shows beside the report.
///
/// # Errors
/// Those of [`run`].
pub(crate) fn run_closely(
    lab: &Lab,
    backend: Backend,
    seed: u64,
    keep: Option<&Path>,
    interrupted: &AtomicBool,
) -> Result<(Report, Closeup)> {
    let seen = carry_out(lab, backend, seed, keep, interrupted)?;
    let report = judge::report(lab, backend.name(), seed, &seen);
    let closeup = Closeup::new(lab, &seen, &report);
    Ok((report, closeup))
}

fn carry_out(
    lab: &Lab,
    backend: Backend,
    seed: u64,
    keep: Option<&Path>,
    interrupted: &AtomicBool,
) -> Result<Observations> {
    match backend {
        Backend::Sim => sim::SimLab::new(lab, seed)?.run(keep),
        Backend::Netns => {
            if !is_root() {
                bail!("namespaces need root; run as root, or with --sim");
            }
            if let Some(lack) = netns::missing(lab) {
                bail!("{lack}, or run with --sim");
            }
            netns::run(lab, seed, keep, interrupted)
        }
    }
}

fn is_root() -> bool {
    // The owner of a process's own directory there is its effective user.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
