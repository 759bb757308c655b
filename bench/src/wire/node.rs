//! A node of the appliance as a process, `drover run`, with a configuration file made for it.

use super::stage::{Stage, on_thread};
use super::{process, testpmd};
use anyhow::{Context, Result, anyhow, bail, ensure};
use drover::admin::{Request, Topic, request};
use serde_json::Value;
use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What it says when its ports are open.
const READY: &str = "ready";
/// How long it may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(15);
/// Octets of what it complains about that are kept at the most.
const MAX_COMPLAINT: u64 = 4096;

/// Directories so far, of which each node has its own.
static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

/// Where the program is: where it was said, or else beside this one.
pub(crate) fn program(named: Option<&Path>) -> PathBuf {
    match named {
        Some(named) => testpmd::find(named).unwrap_or_else(|| named.to_owned()),
        None => std::env::current_exe().unwrap_or_default().with_file_name("drover"),
    }
}

/// Why there is no such program; none where there is.
pub(crate) fn absence(program: &Path) -> Option<String> {
    let remedy = "cargo build --release -p drover, or name the program with --drover";
    (!program.is_file()).then(|| format!("there is no {}: {remedy}", program.display()))
}

/// A running node.
pub(crate) struct Node {
    process: Process,
    socket: PathBuf,
    /// Where its file and its socket are.
    directory: Option<Directory>,
}

impl Node {
    /// Starts a node in the device's namespace of the stage. The configuration has no `[admin]`.
    pub(crate) fn start(program: &Path, configuration: &str, stage: &Stage) -> Result<Self> {
        let directory = Directory::new()?;
        let (socket, file) = (directory.0.join("admin.sock"), directory.0.join("device.toml"));
        let text = format!("{configuration}\n[admin]\nsocket = \"{}\"\n", socket.display());
        fs::write(&file, text).with_context(|| format!("{}", file.display()))?;
        let mut command = Command::new(program);
        command.arg("run").arg(&file).arg("--until-stdin-ends");
        Ok(Node { process: Process::start(command, stage)?, socket, directory: Some(directory) })
    }

    /// Waits until its ports are open.
    pub(crate) fn await_ready(&mut self) -> Result<()> {
        self.process.await_ready()
    }

    /// The rows of one of its tables.
    pub(crate) fn rows(&self, topic: Topic) -> Result<Vec<Value>> {
        match request(&self.socket, &Request::Show(topic.into())).map_err(|error| anyhow!("{error}"))? {
            Value::Array(rows) => Ok(rows),
            other => bail!("the appliance answered {other} where a table was asked for"),
        }
    }

    /// How its ports reach their interfaces.
    pub(crate) fn mode(&self) -> Result<String> {
        let ports = self.rows(Topic::Ports)?;
        let modes: Vec<&str> = ports.iter().filter_map(|row| row["mode"].as_str()).collect();
        Ok(modes.join("; "))
    }

    /// It has read its file, and nobody will ask it anything: its directory can go.
    pub(crate) fn is_asked_no_more(&mut self) {
        self.directory = None;
    }

    /// Has it end in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.end()
    }
}

/// The process of a node. It ends with this, in order by SIGTERM, and with this program by the end of its standard input.
struct Process {
    child: Child,
    said: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
    has_ended: bool,
}

impl Process {
    /// Starts it in the device's namespace.
    fn start(mut command: Command, stage: &Stage) -> Result<Self> {
        let door = stage.door()?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = on_thread(move || {
            door.enter_preferred()?;
            command.spawn().with_context(|| format!("starting {}", command.get_program().display()))
        })?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let said = process::lines(out.context("its standard output")?);
        let complaints = Some(complaints(err.context("its standard error output")?));
        Ok(Process { child, said, complaints, has_ended: false })
    }

    fn await_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            match self.said.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
                Ok(line) if line == READY => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!("the appliance is not ready after {} s", PATIENCE.as_secs()),
                // It has closed its output, and has ended, or is about to.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        process::await_end(&mut self.child, "the appliance", PATIENCE.saturating_sub(started.elapsed()))?;
        bail!("the appliance does not start: {}", self.complaint())
    }

    /// Has it end in order.
    fn end(&mut self) -> Result<()> {
        if self.has_ended {
            return Ok(());
        }
        self.has_ended = true;
        if self.child.try_wait().context("waiting for the appliance")?.is_none() {
            // SAFETY: no pointer is passed; the child has not been waited for, so that its number is its own.
            unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        }
        let status = process::await_end(&mut self.child, "the appliance", PATIENCE)?;
        ensure!(status.success(), "the appliance ended with {status}: {}", self.complaint());
        Ok(())
    }

    /// What it has complained about, when it has ended.
    fn complaint(&mut self) -> String {
        let text = self.complaints.take().and_then(|complaints| complaints.join().ok()).unwrap_or_default();
        text.trim().replace('\n', "; ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The beginning of what it complains about, until it ends.
fn complaints(err: ChildStderr) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut err = BufReader::new(err);
        let mut octets = Vec::new();
        let _ = err.by_ref().take(MAX_COMPLAINT).read_to_end(&mut octets);
        let _ = std::io::copy(&mut err, &mut std::io::sink());
        String::from_utf8_lossy(&octets).into_owned()
    })
}

/// A directory for the node's files, gone with this.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self> {
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("drover-bench-{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_beside_this_one_unless_it_is_named() {
        let beside = program(None);
        assert_eq!(beside.parent(), std::env::current_exe().unwrap().parent());
        assert_eq!(beside.file_name(), Some("drover".as_ref()));
        assert_eq!(program(Some(Path::new("/nowhere/drover"))), Path::new("/nowhere/drover"));
        assert!(program(Some(Path::new("sh"))).is_absolute(), "looked for in PATH");
    }
}
