//! The workers beside the first: started after it, asked through it, stopped with it.

use super::report::{Placement, WorkerReport};
use super::{DroverNode, ports};
use crate::admin::{Command, Round, Wake};
use crate::config::resolved::{NodeConfig, PollMode};
use crate::one_line::in_one_line;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use stack::packet::Pool;
use stack::pipeline::{Dataplane, Readers};
use stack::port::{PortInfo, Umem, XdpShare};
use stack::runtime::{self, Bell, Forwarder, ToFirst, ToForwarder, Turns, WorkerHandle, WorkerSpec};
use std::ops::ControlFlow;

/// Questions that wait for a worker at the most.
const QUESTIONS: usize = 64;

/// What the first worker has made that another needs.
#[derive(Debug)]
pub(super) struct Shared {
    /// Its tables.
    pub(super) readers: Readers,
    /// Its ports.
    pub(super) infos: Vec<PortInfo>,
}

/// What connects the workers of a node, before any of them runs.
pub(super) struct Crew {
    /// For each worker its share of each port's queues.
    pub(super) shares: Vec<Vec<XdpShare>>,
    /// The first worker's ways to the others.
    pub(super) to_forwarders: Vec<ToForwarder>,
    /// The others.
    pub(super) forwarders: Vec<Recruit>,
}

/// A worker beside the first before it runs.
pub(super) struct Recruit {
    number: usize,
    shares: Vec<XdpShare>,
    bell: Bell,
    first: ToFirst,
    questions: (Sender<Round>, Receiver<Round>),
}

/// A way to ask a worker beside the first.
pub(super) struct Asker {
    questions: Sender<Round>,
    bell: Bell,
}

impl Asker {
    /// Sends the question on. Where that cannot be, nobody answers it, which who asked notices.
    pub(super) fn ask(&self, round: Round) {
        if self.questions.try_send(round).is_ok() {
            self.bell.waker().wake();
        }
    }
}

/// The way to the first worker.
#[derive(Clone)]
pub(super) struct First {
    pub(super) commands: Sender<Command>,
    pub(super) wake: Wake,
}

impl First {
    fn tell(&self, command: Command) {
        if self.commands.try_send(command).is_ok() {
            (self.wake)();
        }
    }
}

/// Has the node end in order when its worker ends, for whatever reason: what it would have forwarded goes nowhere.
struct EndsNode(First);

impl Drop for EndsNode {
    fn drop(&mut self) {
        // The first worker may be the reason.
        if self.0.commands.try_send(Command::Stop).is_ok() {
            (self.0.wake)();
        }
    }
}

impl Crew {
    /// The connections between the workers of this configuration.
    ///
    /// # Errors
    /// No descriptors are to be had.
    pub(super) fn new(config: &NodeConfig, first: &Bell) -> Result<Crew> {
        let count = config.workers.count;
        let mut shares = vec![Vec::new(); count];
        for _ in &config.ports {
            for (share, of_worker) in XdpShare::among(count as u32).into_iter().zip(&mut shares) {
                of_worker.push(share);
            }
        }
        let (mut to_forwarders, mut forwarders) = (Vec::new(), Vec::new());
        for (number, shares) in shares.iter().enumerate().skip(1) {
            let bell = Bell::new().context("no descriptor for a worker")?;
            let (to_forwarder, to_first) = runtime::crossing(first, &bell);
            to_forwarders.push(to_forwarder);
            let questions = bounded(QUESTIONS);
            forwarders.push(Recruit { number, shares: shares.clone(), bell, first: to_first, questions });
        }
        Ok(Crew { shares, to_forwarders, forwarders })
    }
}

impl Recruit {
    /// The way to ask it.
    pub(super) fn asker(&self) -> Asker {
        Asker { questions: self.questions.0.clone(), bell: self.bell.clone() }
    }
}

/// Where the worker of this number is to run.
pub(super) fn placement(config: &NodeConfig, number: usize) -> Placement {
    let core = config.workers.cpus.get(number).copied();
    let memory_node = core.and_then(runtime::numa_node);
    Placement { core, memory_node, poll: config.workers.poll, ..Placement::default() }
}

/// How its thread is to run.
pub(super) fn spec(name: String, placement: &Placement, bell: &Bell) -> WorkerSpec {
    WorkerSpec {
        name,
        cpu: placement.core,
        poll: match placement.poll {
            PollMode::Busy => runtime::PollMode::Busy,
            PollMode::Adaptive => runtime::PollMode::Adaptive,
        },
        load: placement.load.clone(),
        bell: Some(bell.clone()),
        hold: false,
    }
}

/// Starts the workers beside the first. Where one does not start, those before it are stopped.
///
/// # Errors
/// What keeps one from starting, with a remedy.
pub(super) fn start(
    config: &NodeConfig,
    seed: u64,
    recruits: Vec<Recruit>,
    shared: Vec<Shared>,
    first: &First,
) -> Result<Vec<WorkerHandle>> {
    let askers: Vec<Asker> = recruits.iter().skip(1).map(Recruit::asker).collect();
    let next = askers.into_iter().map(Some).chain(core::iter::once(None));
    let mut started = Vec::new();
    for ((recruit, shared), next) in recruits.into_iter().zip(shared).zip(next) {
        match start_one(config, seed, recruit, shared, next, first.clone()) {
            Ok(handle) => started.push(handle),
            Err(error) => {
                drop(stop(started));
                return Err(error);
            }
        }
    }
    Ok(started)
}

fn start_one(
    config: &NodeConfig,
    seed: u64,
    recruit: Recruit,
    shared: Shared,
    next: Option<Asker>,
    first: First,
) -> Result<WorkerHandle> {
    let Recruit { number, shares, bell, first: to_first, questions: (_, questions) } = recruit;
    let placement = placement(config, number);
    let spec = spec(format!("{}-{number}", config.name), &placement, &bell);
    let config = config.clone();
    let build = move || {
        let assembled = assemble(&config, seed, &shares, shared, to_first);
        assembled.map_err(|error| in_one_line(&error.context(format!("worker {number}"))))
    };
    let ends_node = EndsNode(first);
    let handle = runtime::spawn(
        spec,
        build,
        questions,
        move |forwarder: &mut Forwarder, _, mut round: Round| {
            round.reports.push(WorkerReport::new(&placement, forwarder.dataplane(), forwarder.ports()));
            match &next {
                Some(next) => next.ask(round),
                None => ends_node.0.tell(Command::Conclude(round)),
            }
            ControlFlow::Continue(())
        },
        |_, event| match event {},
    )?;
    Ok(handle)
}

/// Opens the ports and makes the worker, in the thread where both will stay.
fn assemble(
    config: &NodeConfig,
    seed: u64,
    shares: &[XdpShare],
    Shared { readers, infos }: Shared,
    first: ToFirst,
) -> Result<Forwarder> {
    let pool = Pool::new(config.frames).context("cannot map the frames of the pool")?;
    let ports = ports::open_beside(config, &Umem::new(&pool), shares, &infos, &first)?;
    let dataplane = Dataplane::beside(DroverNode::dataplane_config(config, seed), readers, pool, &infos);
    Ok(Forwarder::new(dataplane, ports, first))
}

/// Stops the workers beside the first.
///
/// # Errors
/// That one of them had broken off.
pub(super) fn stop(workers: Vec<WorkerHandle>) -> Result<()> {
    workers.iter().for_each(WorkerHandle::stop);
    let mut ended = Ok(());
    for worker in workers {
        if worker.join().is_err() {
            ended = Err(anyhow::anyhow!("a worker beside the first broke off"));
        }
    }
    ended
}
