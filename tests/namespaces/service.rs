//! A node as a service: what it tells the manager that started it (sd_notify), and what becomes of that when a worker
//! stands still.

use crate::hosts::{self, Keys, router_file};
use crate::room::{Node, Room, shared, until};
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// What the manager wants to hear something within.
const WATCHDOG_TIME: Duration = Duration::from_secs(2);
/// What it sees of the node.
const STATUS: &str = "STATUS=router: router; ports left, right";

/// The manager's socket.
struct Manager(UnixDatagram);

impl Manager {
    /// The next message, if one comes within this time.
    fn next_within(&self, time: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(time)).expect("a time");
        let mut octets = [0; 4096];
        match self.0.recv(&mut octets) {
            Ok(length) => Some(String::from_utf8(octets[..length].to_vec()).expect("UTF-8")),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// All messages that come until one is like this, which is the last.
    fn until(&self, what: &str, is_it: impl Fn(&str) -> bool) -> Vec<String> {
        let mut messages = Vec::new();
        until(what, || {
            messages.push(self.next_within(Duration::from_millis(100))?);
            messages.last().is_some_and(|message| is_it(message)).then_some(())
        });
        messages
    }
}

/// A router with two workers between two hosts.
fn room() -> (Room, String) {
    let mut room = Room::new();
    for name in ["left", "router", "right"] {
        room.add(name);
    }
    hosts::connect(&room, "left", 2);
    hosts::connect(&room, "right", 2);
    let file = router_file(&room, Keys { node: "workers = 2", right: "[router]", ..Keys::default() });
    (room, file)
}

#[test]
fn the_manager_hears_when_a_node_is_ready_and_when_it_begins_to_end() {
    let Some(_shared) = shared() else { return };
    let (room, file) = room();
    let path = room.directory().file("notify");
    let abstract_name = format!("{}-notify", room.tag());
    let at_name = SocketAddr::from_abstract_name(&abstract_name).expect("a short name");
    let managers = [
        (path.to_str().expect("UTF-8").to_owned(), UnixDatagram::bind(&path)),
        // Abstract names are those of a network namespace.
        (format!("@{abstract_name}"), room.within("router", || UnixDatagram::bind_addr(&at_name))),
    ];
    for (address, socket) in managers {
        let manager = Manager(socket.expect("a socket"));
        let mut router = room.start_service("router", &file, &[("NOTIFY_SOCKET", &address)]);
        assert_eq!(manager.until("it is ready", |_| true), [format!("READY=1\n{STATUS}")]);
        // By then it answers, and forwards.
        assert!(router.rows("ports").iter().all(|port| port["link"] == "up"));
        assert_eq!(router.rows("workers").len(), 2);
        assert!(router.end().success());
        let messages = manager.until("it ends", |message| message.starts_with("STOPPING=1\n"));
        assert_eq!(messages.len(), 1, "nobody has asked for more: {messages:?}");
        assert_eq!(manager.next_within(Duration::from_millis(1)), None);
        assert_eq!(router.complaints(), "");
    }
}

#[test]
fn a_manager_that_is_not_there_is_told_of_and_one_that_cannot_be_is_refused() {
    let Some(_shared) = shared() else { return };
    let (room, file) = room();
    let nowhere = room.directory().file("nowhere");
    let variables = [("NOTIFY_SOCKET", nowhere.to_str().expect("UTF-8")), ("WATCHDOG_USEC", "100000")];
    let mut router = room.start_service("router", &file, &variables);
    router.await_ready();
    until("a line", || router.complaints().contains("the service manager cannot be told").then_some(()));
    assert!(router.end().success());
    assert_eq!(router.complaints().lines().count(), 1, "{}", router.complaints());

    for (name, value) in [("NOTIFY_SOCKET", "vsock:2:1"), ("WATCHDOG_USEC", "soon")] {
        let mut router = room.start_service("router", &file, &[(name, value)]);
        let status = until("it ends", || router.ended());
        assert_eq!(status.code(), Some(3));
        let said = router.complaints();
        assert!(said.contains(&format!("{name} is \"{value}\": ")) && said.lines().count() == 1, "{said}");
    }
}

/// A thread of a process that stands still until this is dropped, as if it hung in a loop or a call.
struct Halted(libc::pid_t);

impl Halted {
    fn thread(node: &Node, name: &str) -> Self {
        let tasks = format!("/proc/{}/task", node.pid());
        let tid = std::fs::read_dir(&tasks).expect("the node runs").flatten().find_map(|task| {
            let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
            (comm.trim_end() == name).then(|| task.file_name().to_str()?.parse().ok())?
        });
        let tid: libc::pid_t = tid.unwrap_or_else(|| panic!("a thread {name}"));
        // SAFETY: no memory of either process is touched; the thread is attached to, stopped and waited for.
        unsafe {
            let mut status = 0;
            for request in [libc::PTRACE_SEIZE, libc::PTRACE_INTERRUPT] {
                let done = libc::ptrace(request, tid, 0usize, 0usize);
                assert_eq!(done, 0, "{}", io::Error::last_os_error());
            }
            assert_eq!(libc::waitpid(tid, &raw mut status, libc::__WALL), tid, "{}", io::Error::last_os_error());
        }
        Halted(tid)
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        // SAFETY: this thread has attached to that one, which is stopped.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, 0usize, 0usize) };
    }
}

#[test]
fn a_worker_that_stands_still_ends_the_messages_of_the_watchdog() {
    let Some(_shared) = shared() else { return };
    let (room, file) = room();
    let path = room.directory().file("notify");
    let manager = Manager(UnixDatagram::bind(&path).expect("a socket"));
    let time = WATCHDOG_TIME.as_micros().to_string();
    let variables = [("NOTIFY_SOCKET", path.to_str().expect("UTF-8")), ("WATCHDOG_USEC", &time)];
    let mut router = room.start_service("router", &file, &variables);
    manager.until("it is ready", |message| message == format!("READY=1\n{STATUS}"));
    let well = |message: &str| message == "WATCHDOG=1";
    for (number, thread) in [(1, "router-1"), (0, "router")] {
        // Workers sleep, since nothing comes, and all is well.
        for _ in 0..3 {
            assert!(manager.until("all is well", well).len() <= 2);
        }
        let halted = Halted::thread(&router, thread);
        let since = Instant::now();
        let stalled = format!("worker {number} (thread {thread}, no core of its own) has taken no turn for ");
        manager.until("the manager sees it", |message| message.starts_with(&format!("STATUS={stalled}")));
        assert!(since.elapsed() >= WATCHDOG_TIME / 2, "it is given time");
        assert_eq!(manager.next_within(WATCHDOG_TIME), None, "the manager ends the node now");
        assert_eq!(router.complaints().matches(&stalled).count(), 1, "once: {}", router.complaints());
        let refused = router.ask(&["show", "workers"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("drover: the node does not answer: {stalled}")), "{said}");

        drop(halted);
        manager.until("it is as before", |message| message == STATUS);
        manager.until("all is well again", well);
        assert!(router.complaints().contains(&format!("(thread {thread}, no core of its own) takes turns again")));
        let workers = router.rows("workers");
        assert_eq!(workers[number]["stalls"], 1, "{workers:?}");
    }
    assert_eq!(router.complaints().lines().count(), 4, "{}", router.complaints());
    assert!(router.end().success());
    manager.until("it ends", |message| message.starts_with("STOPPING=1\n"));
}

/// A process that was stopped as a whole, and goes on, has no worker that stands still.
#[test]
fn a_process_that_was_stopped_is_not_a_worker_that_stands_still() {
    let Some(_shared) = shared() else { return };
    let (room, file) = room();
    let path = room.directory().file("notify");
    let manager = Manager(UnixDatagram::bind(&path).expect("a socket"));
    let variables = [("NOTIFY_SOCKET", path.to_str().expect("UTF-8")), ("WATCHDOG_USEC", "200000")];
    let mut router = room.start_service("router", &file, &variables);
    manager.until("all is well", |message| message == "WATCHDOG=1");
    for _ in 0..5 {
        router.send_signal(libc::SIGSTOP);
        // What was on its way, then silence for longer than a worker may have.
        while manager.next_within(Duration::from_millis(300)).is_some() {}
        router.send_signal(libc::SIGCONT);
        manager.until("all is well", |message| message == "WATCHDOG=1");
    }
    assert_eq!(router.complaints(), "");
    assert!(router.rows("workers").iter().all(|worker| worker["stalls"] == 0));
    assert!(router.end().success());
}
