//! However a lab ends, nothing of it stays: no namespace, no process, no file.

use crate::room::{DROVER, Directory, Running, alone, namespaces, until};
use crate::site::{failing_lab, short_lab};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// In the environment of a lab, and so of everything that it starts.
const MARK: &str = "DROVER_TEST_LAB";

/// A lab that was started, in a directory of its own.
struct Lab {
    running: Running,
    mark: String,
    directory: Rc<Directory>,
}

impl Lab {
    fn start(text: &str) -> Self {
        let directory = Rc::new(Directory::new());
        std::fs::create_dir(directory.file("tmp")).expect("a directory can be made");
        Lab::start_in(directory, text)
    }

    fn start_in(directory: Rc<Directory>, text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let file = directory.write("lab.toml", text);
        let mut command = Command::new(DROVER);
        command.arg("lab").arg(file).args(["--netns", "--json"]);
        command.env(MARK, &mark).env("TMPDIR", directory.file("tmp"));
        Lab { running: Running::spawn(command, &directory, "lab"), mark, directory }
    }

    fn temporary(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.file("tmp")).expect("it is there");
        entries.map(|entry| entry.expect("it is there").file_name().to_string_lossy().into_owned()).collect()
    }

    fn namespaces(&self) -> Vec<String> {
        let own = format!("drover-{}-", self.running.pid());
        namespaces().into_iter().filter(|name| name.starts_with(&own)).collect()
    }

    /// Its processes, itself included, by their environment.
    fn processes(&self) -> Vec<String> {
        let marked = format!("{MARK}={}", self.mark);
        let entries = std::fs::read_dir("/proc").expect("/proc is there").flatten();
        let processes = entries.map(|entry| entry.path()).filter(|path| {
            let environment = std::fs::read(path.join("environ")).unwrap_or_default();
            environment.split(|&octet| octet == 0).any(|variable| variable == marked.as_bytes())
        });
        processes.map(|path| command_line(&path)).collect()
    }

    /// Waits until traffic runs: all that a lab starts is there then.
    fn await_traffic(&mut self) {
        until("a lab has traffic", || {
            let ended = self.running.ended();
            assert!(ended.is_none(), "the lab ended ({ended:?}): {}{}", self.running.out(), self.running.err());
            let programs = self.processes();
            let wanted = ["ping -6", "iperf3 -6", "probe send"];
            wanted.iter().all(|wanted| programs.iter().any(|line| line.contains(wanted))).then_some(())
        });
        assert_eq!(self.namespaces().len(), 9, "seven nodes, a host and the wire");
        assert_eq!(self.temporary().len(), 1);
    }

    fn assert_gone(&self) {
        assert_eq!(self.processes(), [""; 0]);
        assert_eq!(self.namespaces(), [""; 0]);
        assert_eq!(self.temporary(), [""; 0]);
    }
}

fn command_line(process: &Path) -> String {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned()
}

#[test]
fn a_lab_that_is_interrupted_leaves_nothing() {
    let Some(_alone) = alone() else { return };
    let mut lab = Lab::start(&short_lab());
    lab.await_traffic();
    lab.running.signal(libc::SIGINT);
    let status = lab.running.wait();
    assert_eq!(status.code(), Some(1), "{}", lab.running.err());
    assert_eq!(lab.running.out(), "", "there is no report");
    assert_eq!(lab.running.err(), "drover: interrupted; everything that the lab made is gone\n");
    lab.assert_gone();
}

#[test]
fn a_lab_whose_checks_do_not_hold_fails_and_leaves_nothing() {
    let Some(_alone) = alone() else { return };
    let mut lab = Lab::start(&failing_lab());
    let status = lab.running.wait();
    assert_eq!(status.code(), Some(1), "{}", lab.running.err());
    let report: serde_json::Value = serde_json::from_str(&lab.running.out()).expect("it reports");
    let checks = report["checks"].as_array().expect("a list");
    let failed: Vec<&str> = checks.iter().filter(|c| c["ok"] == false).filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(failed, ["joins and prunes end at the crossover router"]);
    lab.assert_gone();
}

#[test]
fn what_a_lab_that_was_killed_leaves_is_taken_away_by_the_next() {
    let Some(_alone) = alone() else { return };
    let mut killed = Lab::start(&short_lab());
    killed.await_traffic();
    killed.running.signal(libc::SIGKILL);
    killed.running.wait();
    until("the programs of a lab end with it", || killed.processes().is_empty().then_some(()));
    assert_eq!(killed.namespaces().len(), 9, "nobody was there to take them away");

    assert_eq!(killed.temporary().len(), 1);

    let mut next = Lab::start_in(Rc::clone(&killed.directory), &short_lab());
    let status = next.running.wait();
    assert_eq!(status.code(), Some(0), "{}{}", next.running.out(), next.running.err());
    assert_eq!(killed.namespaces(), [""; 0]);
    next.assert_gone();
}
