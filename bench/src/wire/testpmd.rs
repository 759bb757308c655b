//! DPDK's testpmd as a device under test, with its AF_XDP ports: a program of its own, where it is installed.

use super::process;
use super::stage::{Stage, on_thread};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// What it says when it forwards.
const FORWARDS: &str = "start packet forwarding";
/// How long it may take to begin and to end.
const PATIENCE: Duration = Duration::from_secs(15);
/// Lines of an error.
const LAST_LINES: usize = 6;
/// Its memory, MiB, without huge pages, and its frames.
const MEMORY: &str = "256";
const FRAMES: &str = "16384";

/// A running testpmd.
pub(super) struct Testpmd {
    child: Child,
    /// It runs as long as this is open.
    input: Option<ChildStdin>,
}

/// Where a program is: a path, or a name to look for in PATH.
pub(super) fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories).map(|directory| directory.join(program)).find(|found| found.is_file())
}

impl Testpmd {
    /// Starts it, its control on the generator's core and its forwarding on the device's.
    pub(super) fn start(program: PathBuf, stage: &Stage, generator_core: usize, device_core: usize) -> Result<Self> {
        let door = stage.door()?;
        let links = stage.links();
        let mut command = Command::new(&program);
        command.args(["--lcores", &format!("0@{generator_core},1@{device_core}")]);
        command.args(["--no-pci", "--no-shconf", "--no-telemetry", "--no-huge", "-m", MEMORY]);
        for (number, interface) in [&stage.near, &stage.far].into_iter().enumerate() {
            command.args(["--vdev", &format!("net_af_xdp{number},iface={}", interface.name)]);
        }
        command.args(["--", "--forward-mode=mac", "--auto-start", "--total-num-mbufs", FRAMES]);
        command.arg(format!("--eth-peer=0,{}", links.generator)).arg(format!("--eth-peer=1,{}", links.sink));
        // Into a pipe it would not write before it has much to say.
        let (terminal, theirs) = terminal().context("a terminal for testpmd")?;
        command.stdin(Stdio::piped()).stdout(theirs.try_clone().context("a descriptor")?).stderr(theirs);
        let mut child = on_thread(move || {
            door.enter_preferred()?;
            command.spawn().with_context(|| format!("starting {}", program.display()))
        })?;
        let input = child.stdin.take();
        let lines = process::lines(terminal);
        let mut testpmd = Testpmd { child, input };
        match await_forwarding(&lines) {
            Ok(()) => Ok(testpmd),
            Err(error) => {
                testpmd.end()?;
                Err(error)
            }
        }
    }

    pub(super) fn stop(mut self) -> Result<()> {
        self.end()
    }

    /// Has it end, which takes its programs off the interfaces.
    fn end(&mut self) -> Result<()> {
        if let Some(mut input) = self.input.take() {
            // It may have ended by itself.
            let _ = input.write_all(b"\n");
        }
        process::await_end(&mut self.child, "testpmd", PATIENCE)?;
        Ok(())
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A terminal: our end, and that of a program.
fn terminal() -> io::Result<(File, OwnedFd)> {
    let (mut ours, mut theirs) = (-1, -1);
    let nothing = core::ptr::null_mut();
    // SAFETY: two places for descriptors; the other pointers may be null.
    let result =
        unsafe { libc::openpty(&mut ours, &mut theirs, nothing, core::ptr::null_mut(), core::ptr::null_mut()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: two descriptors that were just made and that nothing else owns.
    unsafe {
        // No other program that is started gets ours.
        libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(theirs, libc::F_SETFD, libc::FD_CLOEXEC);
        Ok((File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)))
    }
}

fn await_forwarding(lines: &Receiver<String>) -> Result<()> {
    let started = Instant::now();
    let mut said = Vec::new();
    while let Ok(line) = lines.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
        if line.contains(FORWARDS) {
            return Ok(());
        }
        said.push(line);
    }
    let last = said[said.len().saturating_sub(LAST_LINES)..].join("; ");
    bail!("testpmd does not forward: {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_path_and_by_name() {
        assert!(find(Path::new("sh")).is_some_and(|found| found.is_absolute()));
        assert_eq!(find(Path::new("there is no such program")), None);
        assert_eq!(find(Path::new("/nowhere/sh")), None);
    }
}
