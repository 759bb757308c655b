//! Benchmarks of Drover: what a packet costs in the data plane, and how long a router takes to join a tree.
//!
//! Everything runs in one process, in memory. See README.md for what is measured, what is not, and figures.

mod allocations;
mod calibration;
mod handover;
mod instructions;
mod machine;
mod memory;
mod pipeline;
mod report;
mod statistics;

use anyhow::Result;
use clap::{Parser, Subcommand};

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
    /// How long a router takes from a report or a Join to its own Join
    Handover(handover::Options),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Pipeline(options) => pipeline::main(&options),
        Command::Handover(options) => handover::main(&options),
    }
}
