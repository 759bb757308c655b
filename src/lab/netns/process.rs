//! The programs of a lab: started, watched, stopped; and the directory where they leave what they write.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at while it is waited for.
const TICK: Duration = Duration::from_millis(5);
/// Lines of a program's complaints that an error quotes.
const QUOTED_LINES: usize = 5;

/// A directory for files of one run.
pub(super) struct Workspace {
    directory: PathBuf,
    keep: bool,
}

impl Workspace {
    /// In `keep`, where it stays, or in a fresh temporary directory, which goes with this.
    pub(super) fn new(keep: Option<&Path>) -> Result<Self> {
        let directory = match keep {
            Some(directory) => std::path::absolute(directory)?,
            None => std::env::temp_dir().join(format!("drover-lab-{}", std::process::id())),
        };
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Workspace { directory, keep: keep.is_some() })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    pub(super) fn read(&self, name: &str) -> Result<String> {
        let path = self.path(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = std::fs::remove_dir_all(&self.directory)
        {
            eprintln!("drover: cannot remove {}: {error}", self.directory.display());
        }
    }
}

/// A running program. Its standard input stays open until it is to stop; dropping this ends it.
pub(super) struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    output: PathBuf,
    complaints: PathBuf,
}

impl Process {
    /// Starts a program; what it prints goes to `NAME.out` and `NAME.err`.
    pub(super) fn spawn(name: &str, mut command: Command, workspace: &Workspace) -> Result<Self> {
        let (output, complaints) = (workspace.path(&format!("{name}.out")), workspace.path(&format!("{name}.err")));
        let child = command
            .stdin(Stdio::piped())
            .stdout(File::create(&output)?)
            .stderr(File::create(&complaints)?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Process { name: name.to_owned(), child, status: None, output, complaints })
    }

    /// What it has printed so far.
    pub(super) fn output(&self) -> Result<String> {
        std::fs::read_to_string(&self.output).with_context(|| format!("cannot read {}", self.output.display()))
    }

    /// Waits until it has printed a line that starts with `start`.
    pub(super) fn await_line(&mut self, start: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            if self.output()?.lines().any(|line| line.starts_with(start)) {
                return Ok(());
            }
            self.check_running()?;
            if Instant::now() > deadline {
                bail!("{} was not ready after {} s{}", self.name, patience.as_secs(), self.quote());
            }
            thread::sleep(TICK);
        }
    }

    /// An error where it has ended although nobody told it to.
    pub(super) fn check_running(&mut self) -> Result<()> {
        match self.poll()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status}){}", self.name, self.quote()),
        }
    }

    /// Waits for it to end; returns whether with success.
    pub(super) fn wait(&mut self, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.poll()? {
                return Ok(status.success());
            }
            if Instant::now() > deadline {
                bail!("{} did not end within {} s{}", self.name, patience.as_secs(), self.quote());
            }
            thread::sleep(TICK);
        }
    }

    /// Waits for it to end with success.
    pub(super) fn expect_success(&mut self, patience: Duration) -> Result<()> {
        if self.wait(patience)? { Ok(()) } else { bail!("{} failed{}", self.name, self.quote()) }
    }

    /// Tells it to stop, by the end of its standard input, and waits until it has.
    pub(super) fn stop(&mut self, patience: Duration) -> Result<()> {
        drop(self.child.stdin.take());
        self.wait(patience).map(drop)
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    fn quote(&self) -> String {
        let text = std::fs::read_to_string(&self.complaints).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
        if last.is_empty() { String::new() } else { format!(": {}", last.join("; ")) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.poll() {
            // It ends in order where it can, and in any case.
            if self.stop(Duration::from_secs(2)).is_err() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}
