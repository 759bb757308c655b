//! A node as a process: its ports opened, its worker in a thread, the admin API beside it.

use super::{DroverNode, NodeEvent, show};
use crate::admin::{Command, Housekeeping, HousekeepingConfig};
use crate::config::resolved::{Attachment, NodeConfig, PollMode, PortConfig};
use crate::one_line::in_one_line;
use crate::state::{Keeper, NodeState};
use ::ha::mobile;
use ::mma::auth::{NtpTime, WallClock};
use ::mma::secret::SecretRng;
use anyhow::{Context, Result};
use stack::addr::Prefix;
use stack::packet::Pool;
use stack::pipeline::Dataplane;
use stack::port::netdevice::HostRoute;
use stack::port::{PacketPort, Port, PortError, PortInfo, TunOptions, TunPort, Umem, XdpOptions, XdpPort};
use stack::runtime::{self, Clock, Load, Worker, WorkerSpec};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Commands that wait for the worker at the most.
const COMMAND_QUEUE: usize = 64;
/// What programs behind a terminal's TUN device may send, so that two tunnels around it still fit an Ethernet.
const TUN_MTU: usize = 1400;

/// Runs a node until it is told to stop. Says `ready` on standard output when its ports are open, and the stages of a
/// terminal's handovers as they are reached: `handover-stage`, nanoseconds since 1970, the stage.
///
/// With `until_stdin_ends` it stops in order when standard input ends: who started it has gone.
///
/// # Errors
/// What keeps it from starting, with a remedy; that its worker broke off.
pub fn run(config: NodeConfig, seed: u64, until_stdin_ends: bool) -> Result<()> {
    let (commands, inbox) = crossbeam_channel::bounded::<Command>(COMMAND_QUEUE);
    let spec = WorkerSpec {
        name: config.name.clone(),
        cpu: config.worker.cpu,
        poll: match config.worker.poll {
            PollMode::Busy => runtime::PollMode::Busy,
            PollMode::Adaptive => runtime::PollMode::Adaptive,
        },
        load: Arc::new(Load::default()),
    };
    let (keeper, state) = match config.state_dir.as_deref() {
        Some(directory) => {
            let (keeper, state) = Keeper::open(directory, &config).context("node.state_dir")?;
            (Some(Arc::new(Mutex::new(keeper))), Some(state))
        }
        None => (None, None),
    };
    // What changes while the worker stops.
    let (last_changes, last) = crossbeam_channel::bounded(1);
    let housekeeping = HousekeepingConfig {
        state: keeper.clone(),
        socket: config.admin_socket.clone(),
        radios: radios(&config),
        signal_files: signal_files(&config),
        termination: true,
    };
    let origin = Clock.origin();
    let worker = runtime::spawn(
        spec,
        // The whole chain in one line: what failed, and why.
        move || assemble(&config, seed, state).map_err(|error| in_one_line(&error)),
        inbox,
        move |worker: &mut Worker<DroverNode>, now, command| match command {
            Command::Show { topic, reply } => {
                // Who asked may have gone.
                let _ = reply.try_send(show::show(worker, now, topic));
                ControlFlow::Continue(())
            }
            Command::Signal { port, dbm } => {
                worker.node_mut().set_signal(now, port, dbm);
                ControlFlow::Continue(())
            }
            Command::TakeChanges { reply } => {
                let _ = reply.try_send(worker.node_mut().take_changes());
                ControlFlow::Continue(())
            }
            Command::Stop => {
                worker.node_mut().stop(now);
                let _ = last_changes.try_send(worker.node_mut().take_changes());
                ControlFlow::Break(())
            }
        },
        move |_, event| {
            if let NodeEvent::Terminal(mobile::Event::HandoverStage { at, stage }) = event {
                let wall = origin + Duration::from_nanos(at.as_nanos());
                say(&format!("handover-stage {} {}", wall.as_nanos(), stage.name()));
            }
        },
    )?;
    let waker = worker.waker();
    let wake = Arc::new(move || waker.wake());
    if until_stdin_ends {
        let (commands, wake) = (commands.clone(), wake.clone());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            if commands.send(Command::Stop).is_ok() {
                wake();
            }
        });
    }
    let housekeeping = Housekeeping::start(housekeeping, commands, wake).context("admin.socket")?;
    say("ready");
    let ended = worker.join().map_err(|_| anyhow::anyhow!("the worker broke off"));
    // Nothing older is written after what comes last.
    drop(housekeeping);
    if let (Some(keeper), Ok(changes)) = (keeper, last.try_recv()) {
        keeper.lock().unwrap_or_else(PoisonError::into_inner).keep(&changes);
    }
    ended
}

/// A line on standard output; that nobody reads it is no error.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn radios(config: &NodeConfig) -> std::collections::BTreeMap<String, stack::machine::PortId> {
    let radios = config.mobile_terminal.iter().flat_map(|terminal| &terminal.radios);
    radios.map(|radio| (config.port(radio.port).name.clone(), radio.port)).collect()
}

fn signal_files(config: &NodeConfig) -> Vec<(stack::machine::PortId, std::path::PathBuf)> {
    let radios = config.mobile_terminal.iter().flat_map(|terminal| &terminal.radios);
    radios.filter_map(|radio| Some((radio.port, radio.signal_file.clone()?))).collect()
}

/// Opens the ports and makes the worker, in the thread where both will stay.
fn assemble(config: &NodeConfig, seed: u64, state: Option<NodeState>) -> Result<Worker<DroverNode>> {
    let pool = Pool::new(config.frames).context("cannot map the frames of the pool")?;
    let umem = Umem::new(&pool);
    let mut ports: Vec<Box<dyn Port>> = Vec::new();
    for port in &config.ports {
        let opened = open(config, port, &umem);
        ports.push(opened.with_context(|| format!("port[{}].interface", port.id.0))?);
    }
    let infos: Vec<PortInfo> = ports.iter().map(|port| port.info().clone()).collect();
    let (secrets, clock) = (kernel_secrets()?, system_clock());
    let node = match state {
        Some(state) => DroverNode::resume(config, &infos, seed, secrets, clock, state)?,
        None => DroverNode::new(config, &infos, seed, secrets, clock)?,
    };
    let dataplane = Dataplane::new(DroverNode::dataplane_config(config, seed), pool, &infos);
    Ok(Worker::new(dataplane, node, ports))
}

fn open(config: &NodeConfig, port: &PortConfig, umem: &Umem) -> Result<Box<dyn Port>, PortError> {
    Ok(match &port.attachment {
        Attachment::AfXdp { interface } => Box::new(XdpPort::open(umem, interface, XdpOptions::default())?),
        Attachment::AfPacket { interface } => {
            // The kernel has the address of the programs, and sees every packet that such a port sees.
            if config.programs_address().is_some() && kernel_speaks_ipv6(interface) {
                return Err(PortError::KernelAnswers(interface.clone()));
            }
            Box::new(PacketPort::open(interface, false)?)
        }
        Attachment::Tun { interface } => {
            let mtu = port.mtu.map_or(TUN_MTU, usize::from);
            let programs = config.programs_address().filter(|_| config.programs_port() == Some(port.id));
            let addresses = port.addresses.iter().map(|address| (address.address, address.prefix.length()));
            let programs_address = programs.map(|address| (address, 128));
            // What programs of this host send goes through the node.
            let routes = programs.map(|_| HostRoute::to(Prefix::DEFAULT));
            Box::new(TunPort::open(TunOptions {
                name: interface.clone(),
                mtu,
                addresses: addresses.chain(programs_address).collect(),
                routes: routes.into_iter().collect(),
            })?)
        }
        Attachment::Link { link } => return Err(PortError::NoSuchInterface(link.clone())),
    })
}

/// Whether the kernel takes IPv6 packets from this interface. One that is not there is another error's business.
fn kernel_speaks_ipv6(interface: &str) -> bool {
    let setting = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    std::fs::read_to_string(setting).is_ok_and(|disabled| disabled.trim() == "0")
}

/// The time of day, as timestamps of Mobile IP need it.
fn system_clock() -> WallClock {
    WallClock { at: stack::time::Instant::ORIGIN, reads: NtpTime::from_unix(Clock.origin()) }
}

/// Secrets that no one else has, however `seed` was chosen. The device waits where the kernel has none to give yet.
fn kernel_secrets() -> Result<SecretRng> {
    const DEVICE: &str = "/dev/random";
    let mut seed = [0; SecretRng::SEED_LEN];
    let read = std::fs::File::open(DEVICE).and_then(|mut device| device.read_exact(&mut seed));
    read.with_context(|| format!("{DEVICE} cannot be read, and secrets come from there"))?;
    Ok(SecretRng::new(seed))
}
