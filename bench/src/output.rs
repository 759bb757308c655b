//! Where a run goes: what is printed, and two files, its JSON and its page.

use crate::chart::Chart;
use crate::page;
use crate::report::Report;
use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Options of every benchmark.
#[derive(Args)]
pub(crate) struct Output {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Directory for the run's JSON and its page, made where it does not exist
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    out: PathBuf,
}

impl Output {
    /// Makes the directory, so that a run is not lost for the lack of it.
    pub(crate) fn prepare(&self) -> Result<()> {
        fs::create_dir_all(&self.out).with_context(|| format!("cannot make {}", self.out.display()))
    }

    /// Prints the run, as JSON or by `print`, and writes the files.
    pub(crate) fn publish<Method: Serialize, More: Serialize>(
        &self,
        report: &Report<Method, More>,
        charts: &[Chart],
        print: impl FnOnce(&Report<Method, More>),
    ) -> Result<()> {
        let json = serde_json::to_string_pretty(report)?;
        if self.json {
            println!("{json}");
        } else {
            print(report);
        }
        let name = format!("{}-{}", report.benchmark, report.machine.stamp());
        let (data, page) = (self.out.join(format!("{name}.json")), self.out.join(format!("{name}.html")));
        write(&data, &json)?;
        write(&page, &page::page(report, charts)?)?;
        eprintln!("{} and {}", data.display(), page.display());
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
