//! Benchmarks of Drover: what a packet costs in the data plane, and how long a router takes to join a tree.
//!
//! Everything runs in one process, in memory. See README.md for what is measured, what is not, and figures.

mod allocations;
mod calibration;
mod handover;
mod machine;
mod pipeline;
mod statistics;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde::Serialize;

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

/// What `--json` prints: one object a run.
#[derive(Serialize)]
struct Report<Method, Line> {
    benchmark: &'static str,
    machine: machine::Machine,
    calibration: calibration::Calibration,
    method: Method,
    results: Vec<Line>,
}

impl<Method: Serialize, Line: Serialize> Report<Method, Line> {
    fn print_json(&self) -> Result<()> {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Pipeline(options) => pipeline::main(&options),
        Command::Handover(options) => handover::main(&options),
    }
}
