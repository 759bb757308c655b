//! The machine room: network namespaces for nodes, and one more, the wire, in which every link is a bridge.
//!
//! Nodes see one end of a veth pair each; the other end is a port of the link's bridge in the wire namespace. What
//! crosses a link can therefore be captured on the wire, outside every node, by ordinary packet sockets, although the
//! nodes' own ends are bypassed by AF_XDP. Setting the wire's end down takes the carrier away from the node's.

use anyhow::{Context, Result, bail};
use stack::addr::MacAddress;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What names of this program's namespaces start with.
const TAG: &str = "drover";

/// Namespaces and links that this process made; dropping it takes them away.
pub(super) struct Fabric {
    tag: String,
    nodes: Vec<String>,
    /// Name in the wire namespace of the other end of a node's interface.
    wire_ends: BTreeMap<(String, String), String>,
}

impl Fabric {
    /// Makes the wire namespace, after taking away what processes that no longer run have left behind.
    pub(super) fn new() -> Result<Self> {
        remove_abandoned()?;
        let fabric =
            Fabric { tag: format!("{TAG}-{}", std::process::id()), nodes: Vec::new(), wire_ends: BTreeMap::new() };
        let wire = fabric.wire();
        ip(&["netns", "add", &wire])?;
        fabric.quiet_ipv6(&wire)?;
        Ok(fabric)
    }

    /// Makes a link.
    pub(super) fn add_link(&mut self, link: &str) -> Result<()> {
        ip_batch(
            &self.wire(),
            &format!(
                "link add name {link} type bridge forward_delay 0 mcast_snooping 0\n\
                 link set dev {link} up\n"
            ),
        )
    }

    /// Makes a node's namespace. `kernel_ipv6` leaves the kernel's IPv6 on: the node is a plain host.
    pub(super) fn add_node(&mut self, node: &str, kernel_ipv6: bool) -> Result<()> {
        let namespace = self.namespace(node);
        ip(&["netns", "add", &namespace])?;
        self.nodes.push(node.to_owned());
        if kernel_ipv6 {
            self.sysctl(&namespace, "net/ipv6/conf/default/accept_dad", "0")?;
            self.sysctl(&namespace, "net/ipv6/conf/default/router_solicitations", "0")?;
        }
        ip_batch(&namespace, "link set dev lo up\n")
    }

    /// Connects an interface of a node with a link. `kernel_ipv6` as for the node; a Drover node's interfaces are
    /// silent on the kernel's side.
    pub(super) fn attach(
        &mut self,
        node: &str,
        interface: &str,
        link: &str,
        mac: MacAddress,
        mtu: usize,
        kernel_ipv6: bool,
    ) -> Result<()> {
        let (wire, namespace) = (self.wire(), self.namespace(node));
        let wire_interface = format!("w{}", self.wire_ends.len());
        ip_batch(
            &wire,
            &format!(
                "link add name {wire_interface} mtu {mtu} type veth peer name {interface} mtu {mtu} address {mac} netns {namespace}\n\
                 link set dev {wire_interface} master {link}\n\
                 link set dev {wire_interface} up\n"
            ),
        )?;
        if !kernel_ipv6 {
            self.sysctl(&namespace, &format!("net/ipv6/conf/{interface}/disable_ipv6"), "1")?;
        }
        ip_batch(&namespace, &format!("link set dev {interface} up\n"))?;
        self.wire_ends.insert((node.to_owned(), interface.to_owned()), wire_interface);
        Ok(())
    }

    /// Gives a kernel host its address and its default route.
    pub(super) fn configure_host(&self, node: &str, interface: &str, address: &str, gateway: &str) -> Result<()> {
        ip_batch(
            &self.namespace(node),
            &format!(
                "address add {address} dev {interface} nodad\n\
                 route add default via {gateway} dev {interface}\n"
            ),
        )
    }

    /// Connects or disconnects a node's interface: its carrier comes and goes.
    pub(super) fn set_carrier(&self, node: &str, interface: &str, up: bool) -> Result<()> {
        let wire_end = self.wire_ends.get(&(node.to_owned(), interface.to_owned()));
        let wire_end = wire_end.with_context(|| format!("{node} has no interface {interface}"))?;
        ip_batch(&self.wire(), &format!("link set dev {wire_end} {}\n", if up { "up" } else { "down" }))
    }

    /// A program that runs in a node's namespace.
    pub(super) fn command(&self, node: &str, program: impl AsRef<Path>) -> Command {
        command_in(&self.namespace(node), program.as_ref())
    }

    /// A program that runs in the wire namespace.
    pub(super) fn wire_command(&self, program: impl AsRef<Path>) -> Command {
        command_in(&self.wire(), program.as_ref())
    }

    fn wire(&self) -> String {
        format!("{}-wire", self.tag)
    }

    fn namespace(&self, node: &str) -> String {
        format!("{}-node-{node}", self.tag)
    }

    fn quiet_ipv6(&self, namespace: &str) -> Result<()> {
        self.sysctl(namespace, "net/ipv6/conf/all/disable_ipv6", "1")?;
        self.sysctl(namespace, "net/ipv6/conf/default/disable_ipv6", "1")
    }

    fn sysctl(&self, namespace: &str, key: &str, value: &str) -> Result<()> {
        let mut child = command_in(namespace, Path::new("tee"))
            .arg(format!("/proc/sys/{key}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start tee")?;
        child.stdin.take().context("tee has no standard input")?.write_all(value.as_bytes())?;
        if !child.wait()?.success() {
            bail!("cannot set {key} to {value} in {namespace}");
        }
        Ok(())
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        // Best effort and in full: one that cannot be removed does not keep the others.
        for node in &self.nodes {
            report_failure(ip(&["netns", "del", &self.namespace(node)]));
        }
        report_failure(ip(&["netns", "del", &self.wire()]));
    }
}

fn report_failure(result: Result<Output>) {
    if let Err(error) = result {
        eprintln!("drover: {error:#}");
    }
}

/// Takes away the namespaces of labs whose process has ended without doing so, and the programs that still run there.
/// Another lab that starts at the same time may be faster: what has gone already is no error.
fn remove_abandoned() -> Result<()> {
    let listing = ip(&["netns", "list"])?;
    for line in String::from_utf8_lossy(&listing.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let Some((pid, _)) = name.strip_prefix(TAG).and_then(|rest| rest.strip_prefix('-')?.split_once('-')) else {
            continue;
        };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            if let Ok(inside) = ip(&["netns", "pids", name]) {
                let pids = String::from_utf8_lossy(&inside.stdout).split_whitespace().map(str::to_owned).collect();
                end(pids);
            }
            let _ = ip(&["netns", "del", name]);
        }
    }
    Ok(())
}

fn end(pids: Vec<String>) {
    if !pids.is_empty() {
        // Those that end by themselves in this moment are no error either.
        let _ = Command::new("kill").args(pids).stderr(Stdio::null()).status();
    }
}

fn command_in(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    apart(&mut command);
    command
}

/// Keeps the keyboard's Ctrl-C from a program: the lab hears it, and ends its programs in order.
fn apart(command: &mut Command) {
    command.process_group(0);
}

fn ip(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new("ip");
    apart(command.args(arguments));
    let output = command.output().context("cannot start `ip`; install iproute2")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}

fn ip_batch(namespace: &str, commands: &str) -> Result<()> {
    let mut command = Command::new("ip");
    apart(command.args(["-6", "-n", namespace, "-batch", "-"]));
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot start `ip`; install iproute2")?;
    child.stdin.take().context("ip has no standard input")?.write_all(commands.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "ip -n {namespace}: {} (commands: {})",
            said.trim().replace('\n', "; "),
            commands.trim().replace('\n', "; ")
        );
    }
    Ok(())
}
