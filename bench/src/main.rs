//! Benchmarks of Drover: what a packet costs in the data plane, what its tables and trees cost, and how long handovers
//! take; and what has changed from one run to another.
//!
//! Everything runs in one process; all but `wire` and a part of `handover` in memory. See README.md for what is measured, what is not, and figures.

mod allocations;
mod calibration;
mod chart;
mod compare;
mod flood;
mod handover;
mod machine;
mod memory;
mod output;
mod page;
mod pipeline;
mod processor;
mod progress;
mod report;
mod statistics;
mod tables;
mod traffic;
mod trees;
mod wire;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Benchmarks of Drover.
#[derive(Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What a packet costs on each path of the data plane, without ports
    Pipeline(pipeline::Options),
    /// What the data plane's tables cost: lookups, updates, both together, memory
    Tables(tables::Options),
    /// What a router's multicast trees cost: joins, refreshes, expiry, memory
    Trees(trees::Options),
    /// How long handovers take and what they cost: many terminals, at a rate, in storms, over AF_XDP, and in the lab
    Handover(handover::Options),
    /// What floods of signalling do to the packets that a router forwards, and to its tables
    Flood(flood::Options),
    /// What a device forwards over interfaces, and how long a packet takes; beside a bare loop and Linux (needs root)
    Wire(wire::Options),
    /// What has changed from one run to another beyond the noise; exit code 1 where something has become slower
    Compare(compare::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Pipeline(options) => pipeline::main(&options)?,
        Command::Tables(options) => tables::main(&options)?,
        Command::Trees(options) => trees::main(&options)?,
        Command::Handover(options) => handover::main(&options)?,
        Command::Flood(options) => flood::main(&options)?,
        Command::Wire(options) => wire::main(&options)?,
        Command::Compare(options) => {
            let slower = compare::main(&options)?;
            return Ok(ExitCode::from(u8::from(slower)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
