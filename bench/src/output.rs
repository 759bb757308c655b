//! Where a run goes: what is printed, and two files, its JSON and its page.

use crate::chart::Chart;
use crate::page;
use crate::report::Report;
use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

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
        let data = self.keep(&format!("{}-{}", report.benchmark, report.machine.stamp()), &json)?;
        let page = data.with_extension("html");
        fs::write(&page, page::page(report, charts)?).with_context(|| format!("cannot write {}", page.display()))?;
        eprintln!("{} and {}", data.display(), page.display());
        end_quietly_when_nobody_reads();
        if self.json {
            println!("{json}");
        } else {
            print(report);
        }
        Ok(())
    }

    /// Writes the run to a file of this name, or where others have it, of one with a number behind it.
    fn keep(&self, name: &str, json: &str) -> Result<PathBuf> {
        for number in 1.. {
            let again = if number == 1 { String::new() } else { format!("-{number}") };
            let path = self.out.join(format!("{name}{again}.json"));
            match fs::File::create_new(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                file => {
                    let written = file.and_then(|mut file| file.write_all(json.as_bytes()));
                    return written.map(|()| path.clone()).with_context(|| format!("cannot write {}", path.display()));
                }
            }
        }
        unreachable!("there is a number that no file has")
    }
}

/// Before the results are printed, which is the last that is done: who has read enough of them is no error.
pub(crate) fn end_quietly_when_nobody_reads() {
    // SAFETY: no handler is installed; the default is to end.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
