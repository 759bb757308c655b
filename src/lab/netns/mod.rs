//! A lab in network namespaces: every node a process of its own on AF_XDP, kernel hosts, and real programs for traffic.

mod fabric;
pub(crate) mod leash;
pub(crate) mod probe;
mod process;
pub(crate) mod tap;

use super::observe::{self, FlowSeen, MoveSeen, Observations, StageSeen, Wire};
use super::report::Check;
use super::script::{Signals, Step, script};
use super::sim::mac;
use crate::admin::{self, Request, Topic};
use crate::config::lab::{Endpoint, FlowKind, Lab, LabFlow, LinkIndex, MoveMode, NodeIndex};
use crate::config::resolved::{Attachment, PortConfig};
use crate::node;
use ::ha::mobile::Stage;
use anyhow::{Context, Result, bail};
use fabric::Fabric;
use process::{Process, Workspace};
use serde_json::Value;
use stack::host::Flow;
use stack::host::flow::Sample;
use stack::port::pcap::PcapReader;
use stack::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What the links carry, as an Ethernet does.
const LINK_MTU: usize = 1500;
/// Time for what is under way to arrive after traffic has ended.
const DRAIN: Duration = Duration::from_millis(1500);
/// How long a program may take to start, and to end once it is told to.
const PATIENCE: Duration = Duration::from_secs(20);
/// UDP port of probes, and TCP port of transfers; each flow has its own, counted up from here.
const FIRST_PORT: u16 = 5001;
/// How much later than in the script an old link is taken away at the most, where the new one does not carry yet.
const LATE_AT_MOST: Duration = Duration::from_millis(400);
/// How long a wait goes on before the keyboard is looked at.
const TICK: Duration = Duration::from_millis(20);

/// The end of a run that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// What a lab in namespaces needs of the machine; what it lacks, in one line.
pub(crate) fn missing(lab: &Lab) -> Option<String> {
    let mut programs = vec![("ip", "iproute2")];
    for flow in &lab.flows {
        match flow.kind {
            FlowKind::Ping { .. } => programs.push(("ping", "iputils-ping")),
            FlowKind::Tcp { .. } => programs.push(("iperf3", "iperf3")),
            FlowKind::Udp { .. } => {}
        }
    }
    let lacking = programs.iter().find(|(program, _)| Command::new(program).arg("-V").output().is_err());
    lacking.map(|(program, package)| format!("the program `{program}` is missing; install the package {package}"))
}

/// Runs the lab. `keep` is where captures and logs stay; otherwise they go with the run.
pub(crate) fn run(lab: &Lab, seed: u64, keep: Option<&Path>, interrupted: &AtomicBool) -> Result<Observations> {
    let workspace = Workspace::new(keep)?;
    let fabric = build(lab, interrupted)?;
    let room = Room { lab, seed, workspace, fabric, interrupted };
    room.run()
}

fn build(lab: &Lab, interrupted: &AtomicBool) -> Result<Fabric> {
    let mut fabric = Fabric::new()?;
    for (index, _) in lab.links.iter().enumerate() {
        fabric.add_link(&bridge(LinkIndex(index)))?;
    }
    for (index, node) in lab.nodes.iter().enumerate() {
        if interrupted.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        fabric.add_node(&node.name, false)?;
        for (number, port) in node.config.ports.iter().enumerate() {
            let Some(link) = node.links[number] else { continue };
            let mtu = port.mtu.map_or(LINK_MTU, usize::from);
            fabric.attach(&node.name, &interface(port), &bridge(link), mac(index, number), mtu, false)?;
        }
    }
    for (index, host) in lab.hosts.iter().enumerate() {
        fabric.add_node(&host.name, true)?;
        let mac = mac(lab.nodes.len() + index, 0);
        fabric.attach(&host.name, "eth0", &bridge(host.link), mac, LINK_MTU, true)?;
        let address = format!("{}/{}", host.address.address, host.address.prefix.length());
        fabric.configure_host(&host.name, "eth0", &address, &host.gateway.to_string())?;
    }
    Ok(fabric)
}

fn bridge(link: LinkIndex) -> String {
    format!("link{}", link.0)
}

fn interface(port: &PortConfig) -> String {
    match &port.attachment {
        Attachment::Link { .. } => format!("p{}", port.id.0),
        other => other.name().to_owned(),
    }
}

/// A lab that stands and can run. What is declared first is dropped first: the namespaces go after the processes in
/// them, the files last.
struct Room<'a> {
    lab: &'a Lab,
    seed: u64,
    fabric: Fabric,
    workspace: Workspace,
    interrupted: &'a AtomicBool,
}

/// The two ends of a flow, running.
enum Running {
    Ping(Process),
    Probe { sender: Process, receiver: Process },
    Transfer { client: Process, server: Process },
}

impl Room<'_> {
    fn run(&self) -> Result<Observations> {
        let lab = self.lab;
        for host in &lab.hosts {
            // The checksums of a kernel host are otherwise left to the device, which nodes on AF_XDP do not have.
            let status = self.drover(&host.name)?.args(["offload-off", "eth0"]).status()?;
            if !status.success() {
                bail!("cannot turn off checksum offload of {}", host.name);
            }
        }
        let mut tap = self.start_tap()?;
        self.take_terminals_to_their_start()?;
        let mut nodes = Vec::new();
        for index in 0..lab.nodes.len() {
            nodes.push(self.start_node(NodeIndex(index))?);
        }
        for (index, process) in nodes.iter_mut().enumerate() {
            self.await_node(NodeIndex(index), process)?;
        }
        for terminal in lab.terminals() {
            if let Some(start) = lab.nodes[terminal.0].start {
                self.take_step(&Step::Signal { terminal, link: start, dbm: Signals::NEAR })?;
            }
        }
        self.wait_until(now() + lab.settle)?;
        let mut receivers = self.start_receivers()?;
        let started = now();
        let mut running = self.start_senders(&mut receivers)?;
        let mut moves = Vec::new();
        let mut bindings = Vec::new();
        for (at, step) in script(lab) {
            self.wait_until(started + at)?;
            self.still_running(&mut nodes)?;
            match step {
                Step::MoveMade { .. } => moves.push(MoveSeen::new(now())),
                Step::Snapshot => bindings.push(self.bindings()?),
                Step::Detach { terminal, .. } => {
                    if let Some(made) = moves.last()
                        && lab.moves[moves.len() - 1].mode == MoveMode::MakeBeforeBreak
                    {
                        self.await_data_by_the_new_link(terminal, made.at, started + at + LATE_AT_MOST)?;
                    }
                    self.take_step(&step)?;
                }
                Step::Attach { terminal, .. } => {
                    self.take_step(&step)?;
                    observe::link_made(lab, &mut moves, terminal, now());
                }
                Step::Signal { .. } | Step::HandOver { .. } => self.take_step(&step)?,
            }
        }
        let ended = started + lab.duration;
        self.wait_until(ended)?;
        bindings.push(self.bindings()?);
        self.wait_until(ended + DRAIN)?;
        self.still_running(&mut nodes)?;
        let flows = running.iter_mut().zip(&lab.flows).map(|(run, flow)| self.finish_flow(run, flow, started));
        let flows = flows.collect::<Result<Vec<_>>>()?;
        let mut findings = self.findings(&mut nodes)?;
        tap.stop(PATIENCE)?;
        findings.push(complete(&tap.output()?)?);
        let stages = self.stages()?;
        Ok(Observations { started, ended, moves, flows, wire: self.wire()?, bindings, stages, findings })
    }

    fn take_terminals_to_their_start(&self) -> Result<()> {
        for terminal in self.lab.terminals() {
            let node = &self.lab.nodes[terminal.0];
            for &link in node.links.iter().flatten().filter(|&&link| node.start != Some(link)) {
                self.take_step(&Step::Detach { terminal, link })?;
            }
        }
        Ok(())
    }

    fn drover(&self, node: &str) -> Result<Command> {
        Ok(self.fabric.command(node, std::env::current_exe().context("cannot find this program")?))
    }

    /// A program that ends with the lab although it does not look at its standard input.
    fn foreign(&self, node: &str, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = self.drover(node)?;
        command.arg("leash").arg(program);
        Ok(command)
    }

    fn socket(&self, node: NodeIndex) -> std::path::PathBuf {
        self.workspace.path(&format!("{}.sock", self.lab.nodes[node.0].name))
    }

    /// Waits until the new link of a make-before-break movement carries: a machine that has others to serve may take
    /// its time to connect it.
    fn await_data_by_the_new_link(&self, terminal: NodeIndex, made: Instant, deadline: Instant) -> Result<()> {
        while now() < deadline {
            let stages = self.stages()?;
            if stages
                .iter()
                .any(|seen| seen.terminal == terminal && seen.at >= made && seen.stage == Stage::FirstData.name())
            {
                return Ok(());
            }
            self.wait_until(now() + TICK)?;
        }
        Ok(())
    }

    fn start_tap(&self) -> Result<Process> {
        let mut command = self.fabric.wire_command(std::env::current_exe().context("cannot find this program")?);
        command.arg("tap").arg(self.workspace.directory());
        for (index, link) in self.lab.links.iter().enumerate() {
            command.arg(format!("{}={}", link.name, bridge(LinkIndex(index))));
        }
        let mut tap = Process::spawn("tap", command, &self.workspace)?;
        tap.await_line("ready", PATIENCE)?;
        Ok(tap)
    }

    fn start_node(&self, index: NodeIndex) -> Result<Process> {
        let node = &self.lab.nodes[index.0];
        let text = node.node_file(|port| ("af_xdp", interface(port)), &self.socket(index));
        let file = self.workspace.write(&format!("{}.toml", node.name), &text)?;
        let mut command = self.drover(&node.name)?;
        command
            .arg("run")
            .arg(file)
            .arg("--until-stdin-ends")
            .arg("--seed")
            .arg(self.seed.wrapping_add(index.0 as u64).to_string());
        Process::spawn(&node.name, command, &self.workspace)
    }

    fn await_node(&self, index: NodeIndex, process: &mut Process) -> Result<()> {
        process.await_line("ready", PATIENCE)?;
        admin::request(&self.socket(index), &Request::Show(Topic::Ports.into()))?;
        Ok(())
    }

    fn still_running(&self, nodes: &mut [Process]) -> Result<()> {
        nodes.iter_mut().try_for_each(Process::check_running)
    }

    fn wait_until(&self, at: Instant) -> Result<()> {
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Interrupted.into());
            }
            let left = at.since(now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(TICK));
        }
    }

    fn take_step(&self, step: &Step) -> Result<()> {
        let place = |terminal: NodeIndex, link: LinkIndex| -> Result<(&str, &PortConfig)> {
            let node = &self.lab.nodes[terminal.0];
            let port = node.port_on(link).context("the terminal has no port on that link")?;
            Ok((&node.name, node.config.port(port)))
        };
        match *step {
            Step::Attach { terminal, link } => {
                let (node, port) = place(terminal, link)?;
                self.fabric.set_carrier(node, &interface(port), true)
            }
            Step::Detach { terminal, link } => {
                let (node, port) = place(terminal, link)?;
                self.fabric.set_carrier(node, &interface(port), false)
            }
            Step::Signal { terminal, link, dbm } => {
                let (_, port) = place(terminal, link)?;
                let request = Request::Signal { port: port.name.clone(), dbm: Some(dbm) };
                admin::request(&self.socket(terminal), &request)?;
                Ok(())
            }
            Step::HandOver { terminal, to } => {
                admin::request(&self.socket(terminal), &Request::Handover { to })?;
                Ok(())
            }
            Step::MoveMade { .. } | Step::Snapshot => Ok(()),
        }
    }

    fn bindings(&self) -> Result<BTreeMap<String, Value>> {
        let mut tables = BTreeMap::new();
        for (index, node) in self.lab.nodes.iter().enumerate() {
            if node.config.mma.is_some() || node.config.home_agent.is_some() {
                let bindings = admin::request(&self.socket(NodeIndex(index)), &Request::Show(Topic::Bindings.into()))?;
                tables.insert(node.name.clone(), node::keep_what_stays(bindings));
            }
        }
        Ok(tables)
    }

    fn endpoint(&self, endpoint: Endpoint) -> &str {
        match endpoint {
            Endpoint::Host(host) => &self.lab.hosts[host.0].name,
            Endpoint::Node(terminal) => &self.lab.nodes[terminal.0].name,
        }
    }

    fn start_receivers(&self) -> Result<Vec<Option<Process>>> {
        let flows = self.lab.flows.iter().enumerate();
        let receivers = flows.map(|(index, flow)| {
            let (node, address) = (self.endpoint(flow.to), self.lab.address_of(flow.to));
            let port = FIRST_PORT + index as u16;
            Ok(match flow.kind {
                FlowKind::Ping { .. } => None,
                FlowKind::Udp { .. } => {
                    let mut command = self.drover(node)?;
                    command.args(["probe", "receive"]).arg(format!("[{address}]:{port}"));
                    command.arg(self.workspace.path(&format!("{}.received", flow.name)));
                    let mut receiver = Process::spawn(&format!("{}-receiver", flow.name), command, &self.workspace)?;
                    receiver.await_line("ready", PATIENCE)?;
                    Some(receiver)
                }
                FlowKind::Tcp { .. } => {
                    let mut command = self.foreign(node, "iperf3")?;
                    command.args([
                        "-s",
                        "-1",
                        "-6",
                        "-p",
                        &port.to_string(),
                        "-B",
                        &address.to_string(),
                        "--forceflush",
                    ]);
                    let mut server = Process::spawn(&format!("{}-server", flow.name), command, &self.workspace)?;
                    server.await_line("Server listening", PATIENCE)?;
                    Some(server)
                }
            })
        });
        receivers.collect()
    }

    fn start_senders(&self, receivers: &mut [Option<Process>]) -> Result<Vec<Running>> {
        let lab = self.lab;
        let mut running = Vec::new();
        for (index, (flow, receiver)) in lab.flows.iter().zip(receivers).enumerate() {
            let node = self.endpoint(flow.from);
            let (source, destination) = (lab.address_of(flow.from), lab.address_of(flow.to));
            let port = FIRST_PORT + index as u16;
            let count = |rate: u32| ((lab.duration.as_secs_f64() * f64::from(rate)) as u64).to_string();
            running.push(match flow.kind {
                FlowKind::Ping { rate_pps, payload_len } => {
                    let mut command = self.foreign(node, "ping")?;
                    command.args(["-6", "-n", "-D", "-W", "1", "-i", &format!("{:.4}", 1.0 / f64::from(rate_pps))]);
                    command.args(["-c", &count(rate_pps), "-s", &payload_len.to_string(), "-I", &source.to_string()]);
                    command.arg(destination.to_string());
                    Running::Ping(Process::spawn(&flow.name, command, &self.workspace)?)
                }
                FlowKind::Udp { rate_pps, payload_len } => {
                    let mut command =
                        self.foreign(node, std::env::current_exe().context("cannot find this program")?)?;
                    command.args(["probe", "send", &source.to_string()]).arg(format!("[{destination}]:{port}"));
                    command.args([&rate_pps.to_string(), &payload_len.to_string(), &count(rate_pps)]);
                    command.arg(self.workspace.path(&format!("{}.sent", flow.name)));
                    let sender = Process::spawn(&format!("{}-sender", flow.name), command, &self.workspace)?;
                    Running::Probe { sender, receiver: receiver.take().context("a probe has a receiver")? }
                }
                FlowKind::Tcp { rate_kbps } => {
                    let mut command = self.foreign(node, "iperf3")?;
                    command.args(["-6", "-J", "-c", &destination.to_string(), "-p", &port.to_string()]);
                    command.args(["-B", &source.to_string(), "-t", &lab.duration.as_secs().max(1).to_string()]);
                    if let Some(rate) = rate_kbps {
                        command.args(["-b", &format!("{rate}K")]);
                    }
                    let client = Process::spawn(&flow.name, command, &self.workspace)?;
                    Running::Transfer { client, server: receiver.take().context("a transfer has a server")? }
                }
            });
        }
        Ok(running)
    }

    fn finish_flow(&self, running: &mut Running, flow: &LabFlow, started: Instant) -> Result<FlowSeen> {
        match running {
            Running::Ping(ping) => {
                ping.wait(PATIENCE)?;
                let FlowKind::Ping { rate_pps, .. } = flow.kind else { bail!("a ping is a ping") };
                Ok(FlowSeen::Packets(read_ping(&ping.output()?, started, rate_pps)?))
            }
            Running::Probe { sender, receiver } => {
                sender.expect_success(PATIENCE)?;
                receiver.stop(PATIENCE)?;
                let read = |end: &str| -> Result<Vec<Sample>> {
                    let marks = probe::read_log(&self.workspace.path(&format!("{}.{end}", flow.name)))?;
                    let sample = |(sequence, at)| Sample { at: Instant::from_nanos(at), sequence };
                    Ok(marks.into_iter().map(sample).collect())
                };
                Ok(FlowSeen::Packets(Flow::new(read("sent")?, read("received")?)))
            }
            Running::Transfer { client, server } => {
                let success = client.wait(PATIENCE)?;
                server.wait(PATIENCE)?;
                Ok(read_iperf3(&client.output()?, success))
            }
        }
    }

    fn findings(&self, nodes: &mut [Process]) -> Result<Vec<Check>> {
        let mut errors = Vec::new();
        for index in 0..self.lab.nodes.len() {
            let ports = admin::request(&self.socket(NodeIndex(index)), &Request::Show(Topic::Ports.into()))?;
            for port in ports.as_array().into_iter().flatten() {
                if port["kind"] == "af_xdp" {
                    continue;
                }
                if port["kind"] != "tun" {
                    errors.push(format!("{}: {} is {}", self.lab.nodes[index].name, port["name"], port["kind"]));
                }
            }
        }
        for node in nodes.iter_mut() {
            node.stop(PATIENCE)?;
            node.expect_success(PATIENCE)?;
        }
        Ok(vec![Check {
            name: "every router runs on AF_XDP and ends in order".to_owned(),
            ok: errors.is_empty(),
            detail: if errors.is_empty() { format!("{} processes", nodes.len()) } else { errors.join("; ") },
        }])
    }

    fn stages(&self) -> Result<Vec<StageSeen>> {
        let mut stages = Vec::new();
        for terminal in self.lab.terminals() {
            let log = self.workspace.read(&format!("{}.out", self.lab.nodes[terminal.0].name))?;
            for line in log.lines() {
                let mut words = line.split(' ');
                if words.next() == Some("handover-stage")
                    && let (Some(at), Some(stage)) = (words.next(), words.next())
                    && let (Ok(at), Some(stage)) = (at.parse(), Stage::from_name(stage))
                {
                    stages.push(StageSeen { terminal, at: Instant::from_nanos(at), stage: stage.name() });
                }
            }
        }
        Ok(stages)
    }

    fn wire(&self) -> Result<Wire> {
        let mut wire = Wire::default();
        for (index, link) in self.lab.links.iter().enumerate() {
            let path = self.workspace.path(&format!("{}.pcap", link.name));
            let mut reader = PcapReader::open(&path)?;
            let mut frame = Vec::new();
            while let Some(at) = reader.read(&mut frame)? {
                wire.note(at, LinkIndex(index), &frame);
            }
        }
        wire.sort();
        Ok(wire)
    }
}

/// The time of day as the programs of the lab note it.
fn now() -> Instant {
    Instant::from_nanos(probe::wall_nanos())
}

/// Whether all frames were captured, by the last line of what captured them.
fn complete(output: &str) -> Result<Check> {
    let dropped = output.lines().find_map(|line| line.strip_prefix(tap::DROPPED)?.parse::<u64>().ok());
    let dropped = dropped.context("what captures the links ended without a count")?;
    Ok(Check {
        name: "captures are complete".to_owned(),
        ok: dropped == 0,
        detail: format!("{dropped} frames came faster than they could be written"),
    })
}

/// Reads what ping printed with `-D`: `[1700000000.123456] 64 bytes from …: icmp_seq=7 ttl=60 time=1.2 ms`.
fn read_ping(output: &str, started: Instant, rate_pps: u32) -> Result<Flow> {
    let mut received = Vec::new();
    let mut sent = None;
    for line in output.lines() {
        if let Some((count, _)) = line.split_once(" packets transmitted") {
            sent = Some(count.trim().parse::<u64>().context("ping counts what it sent")?);
        }
        let stamp = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let number = line.split_once("icmp_seq=").and_then(|(_, rest)| rest.split_whitespace().next());
        if let (Some((stamp, _)), Some(number), true) = (stamp, number, line.contains("bytes from")) {
            let at: f64 = stamp.parse().context("ping stamps what it receives")?;
            let sequence: u64 = number.parse().context("ping numbers what it receives")?;
            received.push(Sample { at: Instant::from_nanos((at * 1e9) as u64), sequence });
        }
    }
    let sent = sent.with_context(|| format!("ping ended without a summary: {}", output.trim()))?;
    let interval = Duration::from_secs(1) / rate_pps;
    let time_of = |sequence: u64| started + interval * u32::try_from(sequence - 1).unwrap_or(u32::MAX);
    Ok(Flow::new((1..=sent).map(|sequence| Sample { at: time_of(sequence), sequence }), received))
}

/// Reads what iperf3 printed with `-J`. Its two ends tell each other over the same path what they have counted when the
/// time is over: it succeeds only where the path is alive at its end.
fn read_iperf3(output: &str, success: bool) -> FlowSeen {
    let report: Value = serde_json::from_str(output).unwrap_or(Value::Null);
    let octets = |which: &str| report["end"][which]["bytes"].as_u64().unwrap_or(0);
    let (sent, received) = (octets("sum_sent"), octets("sum_received"));
    FlowSeen::Transfer { sent, received, survived: success && report.get("error").is_none() && received > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ping() {
        let output = "PING 2001:db8::1 56 data bytes\n\
            [1700000000.500000] 64 bytes from 2001:db8::1: icmp_seq=1 ttl=60 time=1.20 ms\n\
            [1700000000.600000] 64 bytes from 2001:db8::1: icmp_seq=3 ttl=60 time=1.20 ms\n\
            [1700000000.610000] 64 bytes from 2001:db8::1: icmp_seq=3 ttl=60 time=1.20 ms (DUP!)\n\n\
            --- 2001:db8::1 ping statistics ---\n\
            3 packets transmitted, 2 received, +1 duplicates, 33% packet loss, time 100ms\n";
        let summary = read_ping(output, Instant::from_secs(1_700_000_000), 20).unwrap().summary();
        assert_eq!((summary.sent, summary.received, summary.lost, summary.duplicated), (3, 2, 1, 1));
        assert!(read_ping("connect: Network is unreachable\n", Instant::ORIGIN, 1).is_err());
    }

    #[test]
    fn captures_say_what_they_lack() {
        assert!(complete("ready\ndropped 0\n").is_ok_and(|check| check.ok));
        assert!(complete("ready\ndropped 12\n").is_ok_and(|check| !check.ok));
        assert!(complete("ready\n").is_err());
    }

    #[test]
    fn reads_iperf3() {
        let output = r#"{"end":{"sum_sent":{"bytes":1000},"sum_received":{"bytes":900}}}"#;
        let survived = |seen| matches!(seen, FlowSeen::Transfer { sent: 1000, received: 900, survived: true });
        assert!(survived(read_iperf3(output, true)));
        assert!(!survived(read_iperf3(output, false)));
        assert!(!survived(read_iperf3(r#"{"error":"connection refused"}"#, true)));
    }
}
