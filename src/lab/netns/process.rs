//! The programs of a lab: started, watched, stopped; and the directory where they leave what they write.

use anyhow::{Context, Result, bail};
use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
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
            Some(directory) => {
                let directory = std::path::absolute(directory)?;
                std::fs::create_dir_all(&directory)
                    .map(|()| directory.clone())
                    .with_context(|| cannot_make(&directory))?
            }
            None => temporary(&std::env::temp_dir())?,
        };
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

fn cannot_make(directory: &Path) -> String {
    format!("cannot make {}", directory.display())
}

/// A directory in `parent` that nobody else can enter, or has made in advance. Those of labs whose process has ended
/// without removing its own go.
fn temporary(parent: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix("drover-lab-")?.split('-').next()?.parse().ok());
        if owner.is_some_and(|pid: u32| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Another lab that starts at the same time may be faster.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    for attempt in 0..1000 {
        let directory = parent.join(format!("drover-lab-{}-{attempt}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| cannot_make(&directory)),
        }
    }
    bail!("{} is full of directories of this process", parent.display())
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
        // Whoever watches the lab hears nothing of its nodes.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn temporary_directories_are_private_and_abandoned_ones_go() {
        let parent = std::env::temp_dir().join(format!("drover-workspace-test-{}", std::process::id()));
        // No process has a number as large as this.
        let abandoned = parent.join("drover-lab-4294967294");
        let other = parent.join("drover-lab-notes");
        std::fs::create_dir_all(abandoned.join("inside")).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        let made_in_advance = parent.join(format!("drover-lab-{}-0", std::process::id()));
        std::os::unix::fs::symlink(&other, &made_in_advance).unwrap();
        let directory = temporary(&parent).unwrap();
        assert_eq!(directory, parent.join(format!("drover-lab-{}-1", std::process::id())));
        assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(!abandoned.exists() && other.exists());
        std::fs::remove_dir_all(&parent).unwrap();
    }
}
