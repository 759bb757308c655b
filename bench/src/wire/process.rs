//! What is the same for every program that runs as a device under test.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that wait to be read at the most; those above are lost.
const MAX_LINES: usize = 1024;
/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// What a program says, line by line, for as long as it runs.
pub(super) fn lines(said: impl Read + Send + 'static) -> Receiver<String> {
    let (give, lines) = sync_channel(MAX_LINES);
    thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            // Read on, or the program would wait.
            let _ = give.try_send(line);
        }
    });
    lines
}

/// Waits until a program has ended that has been told to, or has closed its output.
///
/// # Errors
/// Where it has not after `patience`, and is killed. `name` is the program's.
pub(super) fn await_end(child: &mut Child, name: &str, patience: Duration) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("waiting for {name}"))? {
            return Ok(status);
        }
        if started.elapsed() > patience {
            child.kill().with_context(|| format!("ending {name}"))?;
            child.wait().with_context(|| format!("waiting for {name}"))?;
            bail!("{name} did not end within {} s", patience.as_secs());
        }
        thread::sleep(LOOK);
    }
}
