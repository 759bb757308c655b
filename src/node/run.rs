//! A node as a process: its ports opened, its workers in threads, the admin API beside them.

use super::kernel::KernelSide;
use super::report::WorkerReport;
use super::snapshot::Snapshot;
use super::workers::{self, Asker, Crew, Shared};
use super::{DroverNode, NodeEvent, drain, explain, ports, remarks, show};
use crate::admin::{
    Command, Housekeeping, HousekeepingConfig, Notifier, Part, Round, ToWorker, Wake, Wanted, WatchConfig, complain,
    watchdog_time,
};
use crate::config::resolved::NodeConfig;
use crate::kernel::Follower;
use crate::metrics::MetricsServer;
use crate::one_line::in_one_line;
use crate::state::{Keeper, NodeState};
use ::ha::mobile;
use ::mma::auth::{NtpTime, WallClock};
use ::mma::secret::SecretRng;
use anyhow::{Context, Result};
use stack::packet::Pool;
use stack::pipeline::Dataplane;
use stack::port::{PortInfo, Umem, XdpShare};
use stack::runtime::{self, Bell, Clock, ToForwarder, Worker, WorkerSpec};
use stack::time::Instant;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Commands that wait for the worker at the most.
const COMMAND_QUEUE: usize = 64;
/// Ports that are named in the status of a service.
const PORTS_IN_STATUS: usize = 16;

/// Runs a node until it is told to stop. Says `ready` on standard output when its ports are open, and the stages of a
/// terminal's handovers as they are reached: `handover-stage`, nanoseconds since 1970, the stage. Says on standard error
/// what the operator of a router has to put right. A service manager that started it is told when it is ready and when it
/// begins to end, and again and again that all workers take turns.
///
/// With `until_stdin_ends` it stops in order when standard input ends: who started it has gone.
///
/// # Errors
/// What keeps it from starting, with a remedy; that its worker broke off.
pub fn run(config: NodeConfig, seed: u64, until_stdin_ends: bool) -> Result<()> {
    let started = SystemTime::now();
    let notifier = Notifier::from_environment()?.map(Arc::new);
    let watchdog_time = watchdog_time()?;
    // What may be taken already is, before any port is.
    let metrics = config.metrics.map(MetricsServer::bind).transpose().context("metrics.listen")?;
    let (commands, inbox) = crossbeam_channel::bounded::<Command>(COMMAND_QUEUE);
    let placement = workers::placement(&config, 0);
    let bell = Bell::new().context("no descriptor for the worker")?;
    let spec = WorkerSpec { hold: true, ..workers::spec(workers::thread_name(&config, 0), &placement, &bell) };
    let crew = Crew::new(&config, &bell)?;
    let is_stopping = Arc::new(AtomicBool::new(false));
    let first = workers::watched(&config, 0, &placement, &bell);
    let beside = crew.forwarders.iter().map(|recruit| recruit.watched(&config));
    let watch = WatchConfig {
        workers: core::iter::once(first).chain(beside).collect(),
        notifier: notifier.clone(),
        status: status(&config),
        watchdog_time,
        is_stopping: is_stopping.clone(),
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
    let kernel = config.follows_kernel().then(|| KernelSide::new(&config));
    let followed = match &kernel {
        Some(side) => {
            let kernel = config.kernel.clone().unwrap_or_default();
            // Link-local addresses of ports are known when they are open.
            let own = config.addresses().chain(config.ports.iter().filter_map(|port| port.link_local));
            let follower = Follower::open(kernel, side.followed(&config), own, Arc::clone(&side.counters));
            Some(follower.context("kernel: no netlink socket")?)
        }
        None => None,
    };
    let housekeeping = HousekeepingConfig {
        kernel: followed,
        state: keeper.clone(),
        socket: config.admin_socket.clone(),
        radios: radios(&config),
        signal_files: signal_files(&config),
        started,
        termination: true,
        watch,
    };
    let origin = Clock.origin();
    let (shared, of_first) = crossbeam_channel::bounded(1);
    let Crew { shares, to_forwarders, forwarders } = crew;
    let next = forwarders.first().map(workers::Recruit::asker);
    let waker = bell.waker();
    let wake: Wake = Arc::new(move || waker.wake());
    let (node_config, of_events) = (config.clone(), config.clone());
    let of_stop = notifier.clone();
    let worker = runtime::spawn(
        spec,
        // The whole chain in one line: what failed, and why.
        move || {
            let assembled = assemble(&node_config, seed, state, &shares[0], to_forwarders, kernel);
            let (worker, for_others) = assembled.map_err(|error| in_one_line(&error))?;
            // Who started this thread waits for it.
            let _ = shared.try_send(for_others);
            Ok::<_, String>(worker)
        },
        inbox,
        move |worker: &mut Worker<DroverNode>, now, command| match command {
            Command::Show { part, reply } if part.topic.is_of_all_workers() => {
                let report = WorkerReport::new(&placement, worker.dataplane(), worker.ports());
                let round = Round { wanted: Wanted::Page { topic: part.topic, reply }, reports: vec![report] };
                pass_on(worker, now, next.as_ref(), round);
                ControlFlow::Continue(())
            }
            Command::Show { part, reply } => {
                // Who asked may have gone.
                let _ = reply.try_send(show::show_part(worker, now, &part, &[]));
                ControlFlow::Continue(())
            }
            Command::Snapshot { reply } => {
                let report = WorkerReport::new(&placement, worker.dataplane(), worker.ports());
                let round = Round { wanted: Wanted::Snapshot(reply), reports: vec![report] };
                pass_on(worker, now, next.as_ref(), round);
                ControlFlow::Continue(())
            }
            Command::Conclude(round) => {
                conclude(worker, now, round);
                ControlFlow::Continue(())
            }
            Command::Explain { question, reply } => {
                let explained = explain::explain(worker, now, &question);
                let _ = reply.try_send(explained.map(|explanation| explanation.to_json()));
                ControlFlow::Continue(())
            }
            Command::Signal { port, dbm } => {
                worker.node_mut().set_signal(now, port, dbm);
                ControlFlow::Continue(())
            }
            Command::Handover { to, reply } => {
                let _ = reply.try_send(worker.node_mut().hand_over(now, to));
                ControlFlow::Continue(())
            }
            Command::Drain { service, reply } => {
                let serves = worker.node_mut().set_service(now, service);
                let _ = reply.try_send(serves.then(|| drain::remaining(worker)));
                ControlFlow::Continue(())
            }
            Command::Kernel(batch) => {
                worker.node_mut().handle_kernel(now, &batch.changes);
                ControlFlow::Continue(())
            }
            Command::TakeChanges { reply } => {
                let _ = reply.try_send(worker.node_mut().take_changes());
                ControlFlow::Continue(())
            }
            Command::Stop => {
                is_stopping.store(true, Ordering::Relaxed);
                of_stop.iter().for_each(|notifier| notifier.stopping());
                worker.node_mut().stop(now);
                let _ = last_changes.try_send(worker.node_mut().take_changes());
                ControlFlow::Break(())
            }
        },
        move |_, event| match event {
            NodeEvent::Terminal(mobile::Event::HandoverStage { at, stage }) => {
                let wall = origin + Duration::from_nanos(at.as_nanos());
                say(&format!("handover-stage {} {}", wall.as_nanos(), stage.name()));
            }
            NodeEvent::Pim(pim::Event::MldVersionMismatch { port, address, version, .. }) => {
                let (port, version) = (&of_events.port(port).name, version.number());
                complain(&format!(
                    "{port}: the router {address} asks in MLD version {version}; let all routers of the link ask in the \
                     same, this one by access_router.port.mld.mld_version"
                ));
            }
            _ => (),
        },
    )?;
    // The others are there before this one says anything, so that they hear the answers.
    let first = workers::First { commands: commands.clone(), wake: wake.clone() };
    let shared = of_first.try_recv().unwrap_or_default();
    let crew = match workers::start(&config, seed, forwarders, shared, &first) {
        Ok(crew) => crew,
        Err(error) => {
            worker.stop();
            let _ = worker.join();
            return Err(error);
        }
    };
    worker.release();
    if until_stdin_ends {
        let (commands, wake) = (commands.clone(), wake.clone());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            if commands.send(Command::Stop).is_ok() {
                wake();
            }
        });
    }
    let to_worker = ToWorker::new(commands, wake);
    let metrics = metrics.map(|listener| MetricsServer::start(listener, started, to_worker.clone()));
    let metrics = metrics.transpose().context("metrics.listen")?;
    let housekeeping = Housekeeping::start(housekeeping, to_worker).context("admin.socket")?;
    say("ready");
    notifier.iter().for_each(|notifier| notifier.ready(&status(&config)));
    let ended = worker.join().map_err(|_| anyhow::anyhow!("the worker broke off"));
    let ended = ended.and(workers::stop(crew));
    drop(metrics);
    // Nothing older is written after what comes last.
    drop(housekeeping);
    if let (Some(keeper), Ok(changes)) = (keeper, last.try_recv()) {
        keeper.lock().unwrap_or_else(PoisonError::into_inner).keep(&changes);
    }
    ended
}

/// Has the next worker add its report, where there is one.
fn pass_on(worker: &Worker<DroverNode>, now: Instant, next: Option<&Asker>, round: Round) {
    match next {
        Some(next) => next.ask(round),
        None => conclude(worker, now, round),
    }
}

/// Answers what all workers were asked. Who asked may have gone.
fn conclude(worker: &Worker<DroverNode>, now: Instant, Round { wanted, reports }: Round) {
    match wanted {
        Wanted::Page { topic, reply } => {
            let _ = reply.try_send(show::show_part(worker, now, &Part::first(topic.into()), &reports));
        }
        Wanted::Snapshot(reply) => {
            let _ = reply.try_send(Snapshot::new(worker, reports));
        }
    }
}

/// What people see of the node beside its unit's name: its roles and its ports.
fn status(config: &NodeConfig) -> String {
    let roles = config.roles();
    let roles = if roles.is_empty() { "no role".to_owned() } else { roles.join(" + ") };
    let ports: Vec<&str> = config.ports.iter().take(PORTS_IN_STATUS).map(|port| port.name.as_str()).collect();
    let more = match config.ports.len().saturating_sub(PORTS_IN_STATUS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}: {roles}; ports {}{more}", config.name, ports.join(", "))
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

/// Opens the ports and makes the first worker, in the thread where both will stay, with what the others need of it.
fn assemble(
    config: &NodeConfig,
    seed: u64,
    state: Option<NodeState>,
    shares: &[XdpShare],
    others: Vec<ToForwarder>,
    kernel: Option<KernelSide>,
) -> Result<(Worker<DroverNode>, Vec<Shared>)> {
    let pool = Pool::new(config.frames).context("cannot map the frames of the pool")?;
    let kernel_shares = kernel.as_ref().map(|kernel| kernel.shares.as_slice()).unwrap_or_default();
    let ports = ports::open_all(config, &Umem::new(&pool), shares, kernel_shares)?;
    let infos: Vec<PortInfo> = ports.iter().map(|port| port.info().clone()).collect();
    let placements: Vec<_> = (0..config.workers.count).map(|number| workers::placement(config, number)).collect();
    for remark in remarks::remarks(&infos, &placements) {
        complain(&remark);
    }
    let (secrets, clock) = (kernel_secrets()?, system_clock());
    let mut node = match state {
        Some(state) => DroverNode::resume(config, &infos, seed, secrets, clock, state)?,
        None => DroverNode::new(config, &infos, seed, secrets, clock)?,
    };
    if let Some(kernel) = kernel {
        node.set_kernel_side(kernel);
    }
    let (dataplane, readers) = Dataplane::first(DroverNode::dataplane_config(config, seed), pool, &infos, others.len());
    let shared = readers.into_iter().map(|readers| Shared { readers, infos: infos.clone() }).collect();
    Ok((Worker::new(dataplane, node, ports).with_forwarders(others).with_clock(|| Clock.now()), shared))
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
