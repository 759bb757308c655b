//! The Debian package: made by `packaging/deb` of the program under test, installed in a bare Debian 13 that
//! `.ci/debian-root` has put into a directory, run there as its unit runs it, removed and purged. And its unit: what systemd
//! says of it, and that a node needs each capability that it grants.

use crate::room::{DROVER, Directory, PATIENCE, Room, Running, Shared, is_abandoned, shared, until};
use crate::site::short_lab;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

const UNIT: &str = include_str!("../../packaging/drover@.service");
/// What makes a package, and in which package it is.
const TOOLS: [(&str, &str); 3] = [
    ("cargo-deb", "`cargo install --locked cargo-deb`"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("systemd-analyze", "systemd"),
];
/// A user that owns nothing.
const NOBODY: u32 = 65534;

/// Leave to use namespaces and make packages, beside other tests. `None`: that is not to be had, and a line has said so.
fn shared_with_debian() -> Option<Shared> {
    let shared = shared()?;
    let debian = debian();
    let missing = TOOLS.iter().find(|(program, _)| !is_there(program));
    let lack = match missing {
        Some((program, package)) => format!("as `{program}` is missing ({package})"),
        None if !debian.join("usr/bin/dpkg").exists() => {
            format!("as there is no Debian in {} (as root, `.ci/debian-root` puts it there)", debian.display())
        }
        None => return Some(shared),
    };
    assert!(
        std::env::var_os("DROVER_REQUIRE_NETNS").is_none_or(|value| value != "1"),
        "packages are required (DROVER_REQUIRE_NETNS=1) and not to be had, {lack}"
    );
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        // Past the harness, which would keep it to itself.
        let _ = io::stderr().write_all(format!("left out, {lack}: the tests of the Debian package\n").as_bytes());
    });
    None
}

/// Whether a program is to be had: by PATH, or where `.ci/run` puts it.
fn is_there(program: &str) -> bool {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin").join(program);
    own.exists() || Command::new(program).arg("--version").output().is_ok()
}

/// The directory that holds Debian, as `.ci/debian-root` has it.
fn debian() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian-root");
    std::env::var_os("DROVER_DEBIAN_ROOT").filter(|path| !path.is_empty()).map_or_else(default, PathBuf::from)
}

/// The values of a key of the unit.
fn unit(key: &str) -> Vec<&'static str> {
    let values = UNIT.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let values: Vec<&str> = values.flat_map(str::split_whitespace).collect();
    assert!(!values.is_empty(), "{key} is in the unit");
    values
}

/// The capabilities that the unit grants.
fn capabilities() -> Vec<&'static str> {
    let granted = unit("AmbientCapabilities");
    assert_eq!(granted, unit("CapabilityBoundingSet"));
    granted
}

/// Arguments of setpriv(1) for a user with these capabilities and nothing else.
fn privileges(user: &str, capabilities: &[&str]) -> Vec<String> {
    let names = capabilities.iter().map(|name| name.strip_prefix("CAP_").expect("a name").to_lowercase());
    let set: String = std::iter::once("-all".to_owned()).chain(names.map(|name| format!(",+{name}"))).collect();
    let mut arguments: Vec<String> = ["--reuid", user, "--regid", user].map(str::to_owned).to_vec();
    arguments.extend(["--clear-groups", "--no-new-privs"].map(str::to_owned));
    for kind in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        arguments.extend([kind.to_owned(), set.clone()]);
    }
    arguments
}

/// A Debian of one test's own.
struct Root(PathBuf);

impl Root {
    fn new(room: &Room) -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(remove_abandoned);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(room.tag());
        let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(debian()).arg(&path).status();
        assert!(copied.expect("cp runs").success());
        Root(path)
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside.trim_start_matches('/'))
    }

    fn run(&self, command: &[&str]) -> Output {
        let mut chroot = Command::new("chroot");
        chroot.arg(&self.0).args(command).env("PATH", "/usr/sbin:/usr/bin").env("DEBIAN_FRONTEND", "noninteractive");
        chroot.output().expect("chroot runs")
    }

    /// What a program prints that succeeds.
    fn output(&self, command: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(command);
        assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("UTF-8")
    }

    /// Owner, group and mode of a file.
    fn owner(&self, path: &str) -> String {
        self.output(&["stat", "-c", "%U:%G %a", path]).trim().to_owned()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Takes away the directories of test processes that were killed.
fn remove_abandoned() {
    for entry in std::fs::read_dir(env!("CARGO_TARGET_TMPDIR")).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_abandoned) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Makes the package of the program under test.
fn package() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut making = Command::new(root.join("packaging/deb"));
    let made = making.args(["--program", DROVER]).output().expect("packaging/deb can be run");
    let (said, why) = (String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
    assert!(made.status.success(), "{why}");
    let path = said.lines().last().expect("it says where the package is");
    root.join(path)
}

/// Files of the repository in a directory with this extension.
fn shipped(directory: &str, extension: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let names = std::fs::read_dir(path).expect("it is there").map(|entry| entry.expect("a file").file_name());
    let names = names.filter_map(|name| name.into_string().ok());
    names.filter(|name| name.ends_with(extension)).collect()
}

/// A node as its operator writes it: a port to a host.
const NODE: &str = "[node]\nname = \"own\"\nframes = 256\nstate_dir = \"/var/lib/drover/own\"\n\
                    [admin]\nsocket = \"/run/drover/own.sock\"\n\
                    [[port]]\nname = \"lan\"\ninterface = \"eth0\"\naddresses = [\"2001:db8:1::1/64\"]\n[router]\n";

#[test]
fn the_package_is_installed_run_and_removed() {
    let Some(_shared) = shared_with_debian() else { return };
    let mut room = Room::new();
    let package = package();
    let root = Root::new(&room);
    std::fs::copy(&package, root.path("/drover.deb")).expect("it can be copied");
    // Its dependencies are met by a bare Debian.
    root.output(&["dpkg", "--install", "/drover.deb"]);
    assert_eq!(root.run(&["dpkg", "--audit"]).stdout, b"");

    let listed = root.output(&["dpkg", "--listfiles", "drover"]);
    let files: BTreeSet<&str> = listed.lines().collect();
    let samples = shipped("configs", ".toml");
    let mut expected: Vec<String> = samples.iter().map(|name| format!("/etc/drover/{name}")).collect();
    expected.extend(shipped("configs/lab", ".toml").iter().map(|name| format!("/usr/share/drover/lab/{name}")));
    expected.extend(["alerts.yml", "dashboard.json"].map(|name| format!("/usr/share/drover/monitoring/{name}")));
    expected.extend(shipped("docs", ".md").iter().map(|name| format!("/usr/share/doc/drover/{name}")));
    for path in [
        "/usr/bin/drover",
        "/usr/lib/systemd/system/drover@.service",
        "/usr/share/man/man1/drover.1.gz",
        "/usr/share/man/man1/drover-run.1.gz",
        "/usr/share/bash-completion/completions/drover",
        "/usr/share/zsh/vendor-completions/_drover",
        "/usr/share/fish/vendor_completions.d/drover.fish",
    ] {
        expected.push(path.to_owned());
    }
    for path in &expected {
        let there = files.contains(path.as_str()) || files.contains(format!("{path}.gz").as_str());
        assert!(there, "{path} is in the package: {listed}");
    }
    let conffiles = root.output(&["dpkg-query", "--show", "--showformat", "${Conffiles}", "drover"]);
    let conffiles: BTreeSet<&str> = conffiles.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let in_etc: BTreeSet<&str> =
        files.iter().copied().filter(|path| path.ends_with(".toml") && path.starts_with("/etc")).collect();
    assert_eq!((conffiles.len(), &conffiles), (samples.len(), &in_etc));
    assert_eq!(root.owner("/etc/drover"), "root:drover 750");
    assert_eq!(root.owner("/usr/bin/drover"), "root:root 755");
    assert_eq!(root.output(&["drover", "--version"]), format!("drover {}\n", env!("CARGO_PKG_VERSION")));
    let bash = "source /usr/share/bash-completion/completions/drover && complete -p drover";
    assert!(root.output(&["bash", "-c", bash]).contains("-F _drover"));

    // The examples: good, but for keys that everybody has.
    assert!(root.output(&["drover", "check", "/etc/drover/router.toml"]).contains(": good: "));
    let warned = root.run(&["drover", "check", "/etc/drover/mma.toml"]);
    assert!(warned.status.success() && String::from_utf8_lossy(&warned.stderr).starts_with("warning: "), "{warned:?}");
    let lab = root.path("/root/short.toml");
    std::fs::write(lab, short_lab()).expect("it can be written");
    assert!(root.output(&["drover", "check", "/root/short.toml"]).contains(": good: "));

    run(&mut room, &root);

    // Installed again, as by an upgrade: what the operator has changed stays.
    let changed = root.path("/etc/drover/router.toml");
    let text = std::fs::read_to_string(&changed).expect("it is there") + "# changed\n";
    std::fs::write(&changed, &text).expect("it can be written");
    std::fs::set_permissions(root.path("/etc/drover"), PermissionsExt::from_mode(0o700)).expect("it is root's");
    root.output(&["dpkg", "--install", "/drover.deb"]);
    assert_eq!(std::fs::read_to_string(&changed).expect("it is there"), text);
    assert_eq!(root.owner("/etc/drover"), "root:drover 700");

    root.output(&["dpkg", "--remove", "drover"]);
    let exists = |path: &str| root.path(path).exists();
    for gone in ["/usr/bin/drover", "/usr/lib/systemd/system/drover@.service", "/usr/share/man/man1/drover.1.gz"] {
        assert!(!exists(gone), "{gone}");
    }
    assert!(samples.iter().all(|name| exists(&format!("/etc/drover/{name}"))));
    assert!(exists("/etc/drover/own.toml") && exists("/var/lib/drover/own"));
    // As `systemctl enable` leaves it.
    let wants = root.path("/etc/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&wants).expect("a directory can be made");
    std::os::unix::fs::symlink("/usr/lib/systemd/system/drover@.service", wants.join("drover@own.service"))
        .expect("a link");

    root.output(&["dpkg", "--purge", "drover"]);
    assert!(samples.iter().all(|name| !exists(&format!("/etc/drover/{name}"))));
    assert!(!exists("/var/lib/drover") && !wants.join("drover@own.service").is_symlink());
    assert!(exists("/etc/drover/own.toml"), "what the package has not brought stays");
}

/// Runs a node in the installed system, as its unit would, between a start and an end in order.
fn run(room: &mut Room, root: &Root) {
    for name in ["host", "node"] {
        room.add(name);
    }
    room.veth(("node", "eth0"), ("host", "eth0"));
    room.prepare_port("node", "eth0");
    room.ip("host", &["link", "set", "eth0", "up"]);
    room.ip("host", &["address", "add", "2001:db8:1::2/64", "dev", "eth0", "nodad"]);
    std::fs::write(root.path("/etc/drover/own.toml"), NODE).expect("it can be written");
    let [user] = unit("User")[..] else { panic!("one user") };
    let ids = root.output(&["id", "-u", user]) + &root.output(&["id", "-g", user]);
    let ids: Vec<u32> = ids.lines().map(|id| id.parse().expect("a number")).collect();
    // What systemd makes for the unit.
    for (key, parent) in [("RuntimeDirectory", "/run"), ("StateDirectory", "/var/lib")] {
        for name in unit(key) {
            let path = root.path(&format!("{parent}/{name}"));
            std::fs::create_dir_all(&path).expect("a directory can be made");
            chown(&path, Some(ids[0]), Some(ids[1])).expect("root may give it away");
        }
    }
    let notify = root.path("/run/notify");
    let manager = UnixDatagram::bind(&notify).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time");
    std::fs::set_permissions(&notify, PermissionsExt::from_mode(0o666)).expect("it is this process's own");
    let next = || {
        let mut octets = [0; 4096];
        let length = manager.recv(&mut octets).expect("the manager hears something");
        String::from_utf8(octets[..length].to_vec()).expect("UTF-8")
    };

    let mut command = room.command("node", "chroot");
    command.arg(&root.0).arg("setpriv").args(privileges(user, &capabilities()));
    command.args(unit("ExecStart").iter().map(|word| word.replace("%i", "own")));
    command.env("NOTIFY_SOCKET", "/run/notify").env("WATCHDOG_USEC", "1000000").env("PATH", "/usr/sbin:/usr/bin");
    let mut node = Running::spawn(command, room.directory(), "own");
    until("it is ready", || {
        let ended = node.ended();
        assert!(ended.is_none(), "it ended ({ended:?}): {}", node.err());
        node.out().lines().any(|line| line == "ready").then_some(())
    });
    let mut ready = next();
    while ready == "WATCHDOG=1" {
        ready = next();
    }
    assert_eq!(ready, "READY=1\nSTATUS=own: router; ports lan");
    assert_eq!(next(), "WATCHDOG=1");
    let ports = root.output(&["drover", "show", "ports", "--json", "--socket", "/run/drover/own.sock"]);
    assert!(ports.contains("\"kind\": \"af_xdp\"") && ports.contains("\"link\": \"up\""), "{ports}");
    assert!(room.ping("host", "2001:db8:1::1"), "it answers");
    assert_eq!(root.owner("/run/drover/own.sock"), "drover:drover 600");
    assert_eq!(root.owner("/var/lib/drover/own"), "drover:drover 700");

    node.signal(libc::SIGTERM);
    let mut last = next();
    while last == "WATCHDOG=1" {
        last = next();
    }
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
    assert!(node.wait().success());
    assert_eq!(node.err(), "");
}

#[test]
fn a_node_needs_each_capability_of_the_unit_and_no_other() {
    let Some(_shared) = shared() else { return };
    let mut room = Room::new();
    for name in ["host", "node"] {
        room.add(name);
    }
    room.veth(("node", "eth0"), ("host", "eth0"));
    room.prepare_port("node", "eth0");
    // Where the program stands, nobody may be allowed to look.
    let directory = Directory::new();
    let program = directory.file("drover");
    std::fs::copy(DROVER, &program).expect("the program can be copied");
    let socket = directory.file("own.sock");
    let text = NODE
        .replace("state_dir = \"/var/lib/drover/own\"\n", "")
        .replace("/run/drover/own.sock", &socket.display().to_string());
    let file = directory.write("own.toml", &text);
    for path in [directory.path(), &program] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("it is this process's own");
    }
    chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("root may give it away");

    let start = |capabilities: &[&str], name: &str| {
        let mut command = room.command("node", "setpriv");
        command.args(privileges(&NOBODY.to_string(), capabilities)).arg(&program).arg("run").arg(&file);
        Running::spawn(command, room.directory(), name)
    };
    let granted = capabilities();
    assert_eq!(granted.len(), 3, "{granted:?}");
    let mut node = start(&granted, "all");
    until("it is ready", || {
        let ended = node.ended();
        assert!(ended.is_none(), "it ended ({ended:?}): {}", node.err());
        node.out().lines().any(|line| line == "ready").then_some(())
    });
    node.signal(libc::SIGTERM);
    assert!(node.wait().success());
    for without in &granted {
        let others: Vec<&str> = granted.iter().copied().filter(|name| name != without).collect();
        let mut node = start(&others, without);
        assert_eq!(node.wait().code(), Some(3), "without {without}");
        assert!(
            node.err().contains("is not permitted: run as root, or grant CAP_"),
            "without {without}: {}",
            node.err()
        );
    }
}

/// A file of the unit that systemd can look at where the program is not installed.
fn unit_file(directory: &Directory) -> PathBuf {
    let start = UNIT.lines().find(|line| line.starts_with("ExecStart=")).expect("it starts something");
    directory.write("drover@own.service", &UNIT.replace(start, "ExecStart=/bin/true"))
}

#[test]
fn systemd_understands_the_unit_and_finds_it_confined() {
    let Some(_shared) = shared_with_debian() else { return };
    let directory = Directory::new();
    let file = unit_file(&directory);
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&file).output().expect("systemd-analyze runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    assert_eq!(analyze(&["verify", "--man=no"]), (true, String::new()));
    // 3.0 of 10, which is everything.
    let (is_below, said) = analyze(&["security", "--offline=true", "--no-pager", "--threshold=30"]);
    assert!(is_below, "{said}");
}

/// Mistakes do not mend themselves, and what may is not tried for ever.
#[test]
fn the_unit_gives_up() {
    for status in ["1", "2"] {
        assert!(unit("RestartPreventExitStatus").contains(&status), "{status}");
    }
    assert!(!unit("RestartPreventExitStatus").contains(&"3"), "an interface may come");
    let number = |key: &str| unit(key)[0].trim_end_matches("min").parse::<u32>().expect("a number");
    assert!(number("StartLimitBurst") * number("RestartSec") < number("StartLimitIntervalSec") * 60);
}

#[test]
fn what_the_container_is_made_of_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("packaging/Containerfile")).expect("it is there");
    let mut copied = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(to), from) = (words.last(), &words[..words.len() - 1]) else { panic!("{line}") };
        if from[0].starts_with("--from=build") {
            assert_eq!(from[1..], ["/drover/target/release/drover"]);
            assert_eq!(*to, "/usr/bin/drover");
            continue;
        }
        for path in from {
            assert!(root.join(path).exists(), "{path}");
            copied.insert(*path);
        }
    }
    // All members of the workspace, or cargo does not begin.
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("it is there");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).expect("there are members");
    let members = members.split('"').skip(1).step_by(2).filter(|member| *member != ".");
    for needed in members.chain(["Cargo.toml", "Cargo.lock", "src"]) {
        assert!(copied.contains(needed), "{needed}");
    }
    let granted = capabilities();
    for name in granted {
        assert!(text.contains(&format!("--cap-add {}", name.trim_start_matches("CAP_"))), "{name}");
    }
}
