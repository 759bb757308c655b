//! Network namespaces of one test, the programs in them and their files. Dropping takes everything away, also when the
//! test fails.

use serde_json::Value;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv6Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const DROVER: &str = env!("CARGO_BIN_EXE_drover");
/// What names of these tests' namespaces start with; `drover lab` takes away none of them.
const TAG: &str = "drovertest";
/// How long anything that has to happen may take, on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks at a condition.
const TICK: Duration = Duration::from_millis(20);
/// What the tests call beside `ip`: the program, and the package that has it.
const PROGRAMS: [(&str, &str); 5] =
    [("ip", "iproute2"), ("ping", "iputils-ping"), ("iperf3", "iperf3"), ("tshark", "tshark"), ("ethtool", "ethtool")];

/// The machine: tests whose timing matters have it for themselves.
static MACHINE: RwLock<()> = RwLock::new(());

/// Held by tests whose timing does not matter.
pub(crate) type Shared = RwLockReadGuard<'static, ()>;
/// Held by tests whose timing matters.
pub(crate) type Alone = RwLockWriteGuard<'static, ()>;

/// Leave to use namespaces, beside other tests. `None`: they are not to be had, and a line has said so.
pub(crate) fn shared() -> Option<Shared> {
    permitted().then(|| MACHINE.read().unwrap_or_else(PoisonError::into_inner))
}

/// Leave to use namespaces, with no other test running.
pub(crate) fn alone() -> Option<Alone> {
    permitted().then(|| MACHINE.write().unwrap_or_else(PoisonError::into_inner))
}

fn permitted() -> bool {
    static LACK: OnceLock<Option<String>> = OnceLock::new();
    let Some(lack) = LACK.get_or_init(lack) else { return true };
    assert!(
        std::env::var_os("DROVER_REQUIRE_NETNS").is_none_or(|value| value != "1"),
        "network namespaces are required (DROVER_REQUIRE_NETNS=1) and not to be had: {lack}"
    );
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let line = format!(
            "left out, {lack}: the tests of the program in network namespaces (figures, kernel hosts, links, mistakes, \
             interruption, views)\n"
        );
        // Past the harness, which would keep it to itself.
        let _ = io::stderr().write_all(line.as_bytes());
    });
    false
}

/// What this machine lacks for these tests.
fn lack() -> Option<String> {
    let lacking = PROGRAMS
        .iter()
        .find(|(program, _)| Command::new(program).arg("--version").stdin(Stdio::null()).output().is_err());
    if let Some((program, package)) = lacking {
        return Some(format!("as `{program}` is missing (package {package})"));
    }
    // SAFETY: no pointer is passed; only the thread that ends at once moves to the new namespace.
    let unshared = thread::spawn(|| match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    });
    match unshared.join().expect("the thread has no panic") {
        Ok(()) => {
            remove_abandoned();
            None
        }
        Err(error) => Some(format!("as they need root ({error})")),
    }
}

/// Takes away what test processes left that were killed, with the programs that did not end by that.
fn remove_abandoned() {
    for name in namespaces().iter().filter(|name| is_abandoned(name)) {
        for pid in output(Command::new("ip").args(["netns", "pids", name])).lines() {
            let Ok(pid) = pid.parse() else { continue };
            // SAFETY: no pointer is passed; what runs in that namespace was started by tests.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        let _ = Command::new("ip").args(["netns", "del", name]).output();
    }
}

/// Whether this is the name of something that a test process made which is no more.
pub(crate) fn is_abandoned(name: &str) -> bool {
    let pid = name.strip_prefix(TAG).and_then(|rest| rest.strip_prefix('-')?.split('-').next()?.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// The names of all network namespaces of the machine.
pub(crate) fn namespaces() -> Vec<String> {
    let listing = output(Command::new("ip").args(["netns", "list"]));
    listing.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// What a program prints on standard output; it must succeed.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Looks until `look` finds something.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look)
}

/// The same for what may take so long by itself.
pub(crate) fn until_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain: {what}", patience.as_secs());
        thread::sleep(TICK);
    }
}

/// A directory of a test's own.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{TAG}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("a temporary directory can be made");
        Directory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Namespaces, and a directory.
pub(crate) struct Room {
    tag: String,
    namespaces: Vec<String>,
    directory: Directory,
    queues: usize,
}

impl Room {
    pub(crate) fn new() -> Self {
        Room::with_queues(1)
    }

    /// A room whose interfaces have so many queues in each direction.
    pub(crate) fn with_queues(queues: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Room {
            tag: format!("{TAG}-{}-{number}", std::process::id()),
            namespaces: Vec::new(),
            directory: Directory::new(),
            queues,
        }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Makes a namespace, whose kernel takes addresses as its own without a second of detection.
    pub(crate) fn add(&mut self, name: &str) {
        let namespace = self.namespace(name);
        output(Command::new("ip").args(["netns", "add", &namespace]));
        self.namespaces.push(namespace);
        self.ip(name, &["link", "set", "lo", "up"]);
        self.sysctl(name, "net/ipv6/conf/default/accept_dad", "0");
        self.sysctl(name, "net/ipv6/conf/default/router_solicitations", "0");
    }

    /// What the names of its namespaces start with.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.tag)
    }

    /// Runs `ip` in a namespace.
    pub(crate) fn ip(&self, name: &str, arguments: &[&str]) {
        output(Command::new("ip").args(["-n", &self.namespace(name)]).args(arguments));
    }

    /// Makes a veth between two namespaces, down at both ends.
    pub(crate) fn veth(&self, near: (&str, &str), far: (&str, &str)) {
        self.veth_of(self.queues, near, far);
    }

    /// The same with so many queues in each direction.
    pub(crate) fn veth_of(&self, queues: usize, near: (&str, &str), far: (&str, &str)) {
        let far_namespace = self.namespace(far.0);
        let queues = queues.to_string();
        let end = ["numrxqueues", &queues, "numtxqueues", &queues];
        let add = [&["link", "add", near.1], &end[..], &["type", "veth", "peer", "name", far.1]].concat();
        self.ip(near.0, &[&add[..], &end[..], &["netns", &far_namespace]].concat());
    }

    /// Makes an interface whose other end, up, is a port of a bridge in another namespace.
    pub(crate) fn plug(&self, name: &str, interface: &str, wire: &str, bridge: &str) {
        let end = Room::wire_end(name, interface);
        self.veth((name, interface), (wire, &end));
        self.sysctl(wire, &format!("net/ipv6/conf/{end}/disable_ipv6"), "1");
        self.ip(wire, &["link", "set", &end, "master", bridge]);
        self.ip(wire, &["link", "set", &end, "up"]);
    }

    /// The name of that other end.
    pub(crate) fn wire_end(name: &str, interface: &str) -> String {
        format!("{name}-{interface}")
    }

    /// An interface for a port of ours: up, and the kernel silent on it.
    pub(crate) fn prepare_port(&self, name: &str, interface: &str) {
        self.sysctl(name, &format!("net/ipv6/conf/{interface}/disable_ipv6"), "1");
        self.ip(name, &["link", "set", interface, "up"]);
    }

    pub(crate) fn sysctl(&self, name: &str, key: &str, value: &str) {
        let path = format!("/proc/sys/{key}");
        self.within(name, || std::fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Runs `work` in a thread in a namespace; sockets that it makes stay there.
    pub(crate) fn within<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.namespace(name));
        let namespace = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let done = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // SAFETY: no pointer is passed; only this thread moves.
                let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(entered, 0, "{}", io::Error::last_os_error());
                work()
            });
            thread.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A program in a namespace.
    pub(crate) fn command(&self, name: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(name)]).arg(program);
        command
    }

    /// Whether all of three pings in a namespace are answered.
    pub(crate) fn ping(&self, name: &str, address: &str) -> bool {
        let mut ping = self.command(name, "ping");
        ping.args(["-6", "-n", "-q", "-c", "3", "-i", "0.1", "-W", "1", address]);
        ping.output().expect("ping runs").status.success()
    }

    /// Starts a node in the namespace of its name, with this file.
    pub(crate) fn start(&self, name: &str, text: &str) -> Node {
        self.start_with_seed(name, text, 7)
    }

    /// The same with the seed of all its random choices, such as its generation identifiers.
    pub(crate) fn start_with_seed(&self, name: &str, text: &str, seed: u64) -> Node {
        self.start_in(name, text, seed, &[])
    }

    /// The same with variables in its environment, as a service manager sets them.
    pub(crate) fn start_service(&self, name: &str, text: &str, variables: &[(&str, &str)]) -> Node {
        self.start_in(name, text, 7, variables)
    }

    fn start_in(&self, name: &str, text: &str, seed: u64, variables: &[(&str, &str)]) -> Node {
        let file = self.directory.write(&format!("{name}.toml"), text);
        let mut command = self.command(name, DROVER);
        command.arg("run").arg(file).args(["--until-stdin-ends", "--seed", &seed.to_string()]);
        command.envs(variables.iter().copied());
        Node { running: Running::spawn(command, &self.directory, name), socket: self.socket(name) }
    }

    /// Where the node of a namespace listens.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.directory.file(&format!("{name}.sock"))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

/// The index of an interface in this thread's namespace.
pub(crate) fn interface_index(name: &str) -> u32 {
    let text = CString::new(name).expect("a name");
    // SAFETY: a C string.
    let index = unsafe { libc::if_nametoindex(text.as_ptr()) };
    assert!(index > 0, "{name} exists");
    index
}

/// A running program, ended with this.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// Starts a program; what it prints goes to `NAME.out` and `NAME.err`.
    pub(crate) fn spawn(mut command: Command, directory: &Directory, name: &str) -> Self {
        let (out, err) = (directory.file(&format!("{name}.out")), directory.file(&format!("{name}.err")));
        command.stdin(Stdio::piped());
        command.stdout(File::create(&out).expect("a file can be made"));
        command.stderr(File::create(&err).expect("a file can be made"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Running { child, out, err }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(crate) fn out(&self) -> String {
        std::fs::read_to_string(&self.out).expect("its output can be read")
    }

    pub(crate) fn err(&self) -> String {
        std::fs::read_to_string(&self.err).expect("its complaints can be read")
    }

    /// Its status, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is a child of this process")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: no pointer is passed; the child has not been waited for, so that its number is its own.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0, "{}", io::Error::last_os_error());
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("a program ends", || self.ended())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(3);
        while self.ended().is_none() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(TICK);
        }
    }
}

/// A running node.
pub(crate) struct Node {
    running: Running,
    socket: PathBuf,
}

impl Node {
    /// Waits until its ports are open.
    pub(crate) fn await_ready(&mut self) {
        let Node { running, .. } = self;
        until("a node is ready", || {
            let ended = running.ended();
            assert!(ended.is_none(), "a node ended ({ended:?}): {}", running.err());
            running.out().lines().any(|line| line == "ready").then_some(())
        });
    }

    /// What the command line says about the node.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        ask(&self.socket, arguments)
    }

    /// A topic, of one word or two, as JSON.
    pub(crate) fn show(&self, topic: &str) -> Value {
        let words: Vec<&str> = ["show", "--json"].into_iter().chain(topic.split(' ')).collect();
        let answer = self.ask(&words);
        assert!(answer.status.success(), "show {topic}: {}", String::from_utf8_lossy(&answer.stderr));
        serde_json::from_slice(&answer.stdout).expect("it is JSON")
    }

    /// A topic, which is a table, row by row.
    pub(crate) fn rows(&self, topic: &str) -> Vec<Value> {
        let Value::Array(rows) = self.show(topic) else { panic!("{topic} is a table") };
        rows
    }

    /// What it does with packets of a source to a group; of the shared tree where the source is the unspecified address.
    pub(crate) fn mroute(&self, source: Ipv6Addr, group: Ipv6Addr) -> Option<Value> {
        let (source, group) = (source.to_string(), group.to_string());
        self.rows("mroutes").into_iter().find(|route| route["source"] == source && route["group"] == group)
    }

    /// One counter; those that are zero are not shown.
    pub(crate) fn counter(&self, part: &str, name: &str) -> u64 {
        self.show("counters")[part][name].as_u64().unwrap_or(0)
    }

    /// Tells a terminal a signal strength.
    pub(crate) fn signal(&self, port: &str, dbm: &str) {
        let answer = self.ask(&["signal", port, dbm]);
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    }

    /// Has it end in order, and waits until it has.
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.end_by(libc::SIGTERM)
    }

    /// The same by another signal.
    pub(crate) fn end_by(&mut self, signal: i32) -> ExitStatus {
        self.running.signal(signal);
        self.running.wait()
    }

    /// Kills it, so that it can put nothing in order, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.running.signal(libc::SIGKILL);
        self.running.wait();
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// Its status, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.running.ended()
    }

    /// Sends it a signal.
    pub(crate) fn send_signal(&self, signal: i32) {
        self.running.signal(signal);
    }

    /// What it has said on standard error.
    pub(crate) fn complaints(&self) -> String {
        self.running.err()
    }

    /// That it still runs.
    pub(crate) fn assert_running(&mut self) {
        let ended = self.running.ended();
        assert!(ended.is_none(), "a node ended ({ended:?}): {}", self.running.err());
    }
}

/// `drover ARGUMENTS --socket SOCKET`.
pub(crate) fn ask(socket: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(DROVER);
    command.args(arguments).arg("--socket").arg(socket);
    command.output().expect("drover runs")
}
