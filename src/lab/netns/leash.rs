//! Programs of a lab that know nothing of it, on a leash: they end with the lab, however it ends.

use super::probe::stdin_ended;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// How soon either end is noticed.
const TICK: Duration = Duration::from_millis(50);

/// Runs a program until it ends, or until standard input does: who holds it has gone. Returns whether it succeeded.
pub(crate) fn run(program: &[OsString]) -> Result<bool> {
    let (name, arguments) = program.split_first().context("no program is given")?;
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", name.to_string_lossy()))?;
    let ended = stdin_ended();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if ended.load(Ordering::Relaxed) {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(TICK);
    }
}
