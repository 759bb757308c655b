//! A router of FRR: zebra and pim6d in a namespace, configured and looked at by vtysh. Dropping ends both.

use super::root;
use crate::room::{Room, Running, is_abandoned, until};
use serde_json::Value;
use std::fs;
use std::net::Ipv6Addr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// Where the daemons' directories are, as FRR sees it.
const RUN: &str = "/run";
/// An interface that pim6d makes for itself once it hears from zebra.
pub(crate) const REGISTER_INTERFACE: &str = "pim6reg";

/// What is declared first is dropped first: pim6d is a client of zebra's.
pub(crate) struct Frr {
    pim6d: Running,
    zebra: Running,
    directory: Sockets,
}

/// The directory of one router's sockets and process numbers, inside of FRR's.
pub(crate) struct Sockets(PathBuf);

impl Sockets {
    pub(crate) fn new(room: &Room, name: &str) -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(remove_abandoned);
        let path = root().join(RUN.trim_start_matches('/')).join(format!("{}-{name}", room.tag()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (user, group) = frr_ids();
        chown(&path, Some(user), Some(group)).expect("root may give a directory away");
        Sockets(path)
    }

    /// Starts a daemon of the router in the namespace of its name, and waits until it answers.
    pub(crate) fn start(&self, room: &Room, name: &str, program: &str) -> Running {
        let mut command = room.command(name, "chroot");
        command.arg(root()).arg(format!("/usr/lib/frr/{program}"));
        command.args(["-f", "/dev/null", "-P", "0", "--vty_socket", &self.inside("")]);
        command.args(["-i", &self.inside(&format!("{program}.pid"))]);
        command.args(["-z", &self.inside("zserv.api")]);
        let mut running = Running::spawn(command, room.directory(), &format!("{name}-{program}"));
        await_answer(self, program, &mut running);
        running
    }

    /// Gives a daemon these lines of configuration.
    pub(crate) fn configure(&self, daemon: &str, lines: &str) {
        fs::write(self.0.join("lines"), lines).expect("a file can be written");
        let said = vtysh(self, daemon, &["-f", &self.inside("lines")]);
        let said = said.unwrap_or_else(|| panic!("vtysh fails at {lines}"));
        assert!(!said.contains('%') && !said.contains("rror"), "{lines}\n{said}");
    }

    /// `show TOPIC json` of a daemon.
    pub(crate) fn show(&self, daemon: &str, topic: &str) -> Value {
        let command = format!("show {topic} json");
        let said = vtysh(self, daemon, &["-c", &command]).unwrap_or_else(|| panic!("vtysh fails: {command}"));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{command}: {error}: {said}"))
    }

    /// A path in it, as FRR sees it.
    fn inside(&self, file: &str) -> String {
        let name = self.0.file_name().expect("it has a name").to_str().expect("UTF-8");
        Path::new(RUN).join(name).join(file).display().to_string()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Takes away the directories of test processes that were killed.
fn remove_abandoned() {
    let entries = fs::read_dir(root().join(RUN.trim_start_matches('/'))).expect("FRR has it");
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_abandoned) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// User and group that the daemons run as.
fn frr_ids() -> (u32, u32) {
    let passwd = fs::read_to_string(root().join("etc/passwd")).expect("FRR's directory has users");
    let line = passwd.lines().find_map(|line| line.strip_prefix("frr:")).expect("FRR's package has made its user");
    let mut ids = line.split(':').skip(1).map(|id| id.parse().expect("a number"));
    (ids.next().expect("a user"), ids.next().expect("a group"))
}

impl Frr {
    /// Starts a router in the namespace of its name, whose interfaces have their addresses, with this configuration of
    /// pim6d, and waits until PIM runs on `interfaces`.
    pub(crate) fn start(room: &Room, name: &str, interfaces: &[&str], configuration: &str) -> Self {
        let directory = Sockets::new(room, name);
        let zebra = directory.start(room, name, "zebra");
        let pim6d = directory.start(room, name, "pim6d");
        let frr = Frr { pim6d, zebra, directory };
        let shown = |interface: &str| frr.show("ipv6 pim interface")[interface].clone();
        until("pim6d hears from zebra", || shown(REGISTER_INTERFACE).is_object().then_some(()));
        frr.configure(configuration);
        for interface in interfaces {
            until(&format!("PIM on {interface} of {name}"), || {
                let shown = shown(interface);
                let has_address = shown["address"].as_str().is_some_and(|address| address.starts_with("fe80:"));
                (shown["state"] == "up" && has_address).then_some(())
            });
        }
        frr
    }

    /// Gives pim6d these lines of configuration.
    pub(crate) fn configure(&self, lines: &str) {
        self.directory.configure("pim6d", lines);
    }

    /// `show TOPIC json` of pim6d.
    pub(crate) fn show(&self, topic: &str) -> Value {
        self.directory.show("pim6d", topic)
    }

    /// `show TOPIC` of pim6d, for what it has no JSON of.
    pub(crate) fn show_text(&self, topic: &str) -> String {
        let command = format!("show {topic}");
        vtysh(&self.directory, "pim6d", &["-c", &command]).unwrap_or_else(|| panic!("vtysh fails: {command}"))
    }

    /// Whether it has seen a packet come by the source's own tree.
    pub(crate) fn has_spt_bit(&self, source: Ipv6Addr, group: Ipv6Addr) -> bool {
        let flags = &self.show("ipv6 mroute")[group.to_string()][source.to_string()]["flags"];
        flags.as_str().is_some_and(|flags| flags.contains('T'))
    }

    /// Kills both daemons, so that they can tell nobody, and waits until they are gone.
    pub(crate) fn kill(&mut self) {
        for running in [&mut self.pim6d, &mut self.zebra] {
            running.signal(libc::SIGKILL);
            running.wait();
        }
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        for running in [&mut self.pim6d, &mut self.zebra] {
            if running.ended().is_none() {
                running.signal(libc::SIGTERM);
            }
        }
    }
}

/// Waits until vtysh reaches a daemon.
fn await_answer(directory: &Sockets, program: &str, running: &mut Running) {
    until(&format!("{program} answers"), || {
        let ended = running.ended();
        assert!(ended.is_none(), "{program} ended ({ended:?}): {}", running.err());
        vtysh(directory, program, &["-c", "show version"]).filter(|text| text.contains("FRRouting"))
    });
}

/// What a daemon says to vtysh; `None` where it does not answer.
fn vtysh(directory: &Sockets, daemon: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("chroot");
    command.arg(root()).args(["/usr/bin/vtysh", "--vty_socket", &directory.inside(""), "-d", daemon]).args(arguments);
    let output = command.output().expect("chroot runs");
    let text = [output.stdout, output.stderr].concat();
    output.status.success().then(|| String::from_utf8_lossy(&text).into_owned())
}
