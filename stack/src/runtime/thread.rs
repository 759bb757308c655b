use super::cpu::{self, CpuError};
use super::idle::{Idle, Next, PollMode};
use super::worker::Progress;
use super::{Bell, Clock};
use crate::port::Port;
use crate::port::wait::{Waits, Waker};
use crate::time::Instant;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Commands carried out between two turns at the most.
const MAX_COMMANDS: usize = 16;
/// Turns that a worker takes at the end to get rid of what is to be sent.
const LAST_TURNS: usize = 64;

/// What a worker's thread drives: turns until it is told to stop.
pub trait Turns {
    /// What is reported.
    type Event;

    /// One turn.
    fn iterate(&mut self, now: Instant) -> Progress;

    /// The next event, in order.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When the next turn is wanted although nothing comes in.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether frames wait that a port did not take: the next turn should not wait long.
    fn has_backlog(&mut self) -> bool;

    /// Whether something waits that other workers have left.
    fn has_mail(&self) -> bool;

    /// The ports in order.
    fn ports(&self) -> impl Iterator<Item = &dyn Port>;
}

/// How a worker's thread is to run.
#[derive(Clone, Debug, Default)]
pub struct WorkerSpec {
    /// Name of the thread; the kernel keeps 15 octets of it.
    pub name: String,
    /// The core to pin it to; any where it is absent.
    pub cpu: Option<usize>,
    /// What it does while nothing happens.
    pub poll: PollMode,
    /// Where it counts its turns: a clone, given away before, shows them.
    pub load: Arc<Load>,
    /// What wakes it, where other workers have it; else one of its own.
    pub bell: Option<Bell>,
    /// Whether it takes its first turn only after [`WorkerHandle::release`].
    pub hold: bool,
}

/// What a worker has been doing since it started.
#[derive(Debug, Default)]
pub struct Load {
    turns: AtomicU64,
    busy_turns: AtomicU64,
    sleeps: AtomicU64,
    commands: AtomicU64,
    stalls: AtomicU64,
}

impl Load {
    /// Turns, turns in which something happened, sleeps, commands, and how often it was found standing still, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("turns", self.turns.load(Ordering::Relaxed)),
            ("turns-busy", self.busy_turns.load(Ordering::Relaxed)),
            ("sleeps", self.sleeps.load(Ordering::Relaxed)),
            ("commands", self.commands.load(Ordering::Relaxed)),
            ("stalls", self.stalls.load(Ordering::Relaxed)),
        ]
        .into_iter()
    }

    /// Turns that it has taken.
    pub(super) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// It was found standing still.
    pub(super) fn note_stall(&self) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }

    /// Only the worker writes these, so that nothing has to be locked for it.
    fn add(counter: &AtomicU64, more: u64) {
        counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError<E> {
    /// What its builder said.
    #[error("{0}")]
    Build(E),
    /// It cannot be pinned.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// There is no thread, or no descriptor, to be had.
    #[error("starting a worker thread: {0}")]
    Thread(#[from] io::Error),
    /// Its builder panicked.
    #[error("the worker thread ended before it had started")]
    Panicked,
}

/// A running worker. Dropping the handle lets it run on.
#[derive(Debug)]
pub struct WorkerHandle {
    thread: JoinHandle<()>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    gate: Sender<()>,
}

impl WorkerHandle {
    /// Wakes the worker, after something was put into its command channel.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Lets a worker begin that was held.
    pub fn release(&self) {
        let _ = self.gate.try_send(());
    }

    /// Has the worker end after its next turn.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.release();
        self.waker.wake();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until it has ended: stopped, or broken off by a command.
    ///
    /// # Errors
    /// What it panicked with.
    pub fn join(self) -> std::thread::Result<()> {
        self.thread.join()
    }
}

/// Starts a worker in a thread of its own.
///
/// `build` makes it there, since frames and ports stay on one thread. Between two turns `on_command` is given what comes
/// by `commands`, and ends the worker by [`ControlFlow::Break`], after what is to be sent has left; `on_event` is given
/// what the node reports. Who sends a command calls [`WorkerHandle::waker`] after it.
///
/// # Errors
/// [`SpawnError`], the builder's error among them.
pub fn spawn<W, C, E>(
    spec: WorkerSpec,
    build: impl FnOnce() -> Result<W, E> + Send + 'static,
    commands: Receiver<C>,
    mut on_command: impl FnMut(&mut W, Instant, C) -> ControlFlow<()> + Send + 'static,
    mut on_event: impl FnMut(Instant, W::Event) + Send + 'static,
) -> Result<WorkerHandle, SpawnError<E>>
where
    W: Turns,
    C: Send + 'static,
    E: Send + 'static,
{
    let bell = spec.bell.map_or_else(Bell::new, Ok)?;
    let waker = bell.waker();
    let stop = Arc::new(AtomicBool::new(false));
    let (started, outcome) = bounded(1);
    let (gate, released) = bounded(1);
    if !spec.hold {
        let _ = gate.try_send(());
    }
    let (waits, stopped) = (Waits::new(waker.clone()), stop.clone());
    let thread = std::thread::Builder::new().name(spec.name.clone()).spawn(move || {
        let pinned = spec.cpu.map_or(Ok(()), cpu::pin).map_err(SpawnError::Cpu);
        match pinned.and_then(|()| build().map_err(SpawnError::Build)) {
            Ok(worker) => {
                // Who started the thread waits for this; if it is gone there is nobody to stop the worker either.
                if started.send(Ok(())).is_ok() && released.recv().is_ok() {
                    let idle = Idle::new(spec.poll);
                    let mut thread = Thread { worker, waits, bell, stopped, load: spec.load, idle };
                    thread.run(&commands, &mut on_command, &mut on_event);
                }
            }
            Err(error) => drop(started.send(Err(error))),
        }
    })?;
    match outcome.recv() {
        Ok(Ok(())) => Ok(WorkerHandle { thread, waker, stop, gate }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(SpawnError::Panicked),
    }
}

struct Thread<W> {
    worker: W,
    waits: Waits,
    bell: Bell,
    stopped: Arc<AtomicBool>,
    load: Arc<Load>,
    idle: Idle,
}

impl<W: Turns> Thread<W> {
    fn run<C>(
        &mut self,
        commands: &Receiver<C>,
        on_command: &mut impl FnMut(&mut W, Instant, C) -> ControlFlow<()>,
        on_event: &mut impl FnMut(Instant, W::Event),
    ) {
        loop {
            let now = Clock.now();
            let mut flow = ControlFlow::Continue(());
            let mut carried_out = 0;
            while carried_out < MAX_COMMANDS
                && flow.is_continue()
                && let Ok(command) = commands.try_recv()
            {
                flow = on_command(&mut self.worker, now, command);
                carried_out += 1;
            }
            let idle = self.turn(now, on_event) && carried_out == 0;
            Load::add(&self.load.commands, carried_out as u64);
            if flow.is_break() || self.stopped.load(Ordering::Acquire) {
                self.finish(on_event);
                return;
            }
            let restless = self.worker.has_backlog() || self.worker.ports().any(|port| port.poll_fd().is_none());
            if let Next::Sleep(time) = self.idle.next(now, idle, self.worker.poll_timeout(), restless)
                && commands.is_empty()
            {
                self.bell.doze();
                if !self.worker.has_mail() {
                    Load::add(&self.load.sleeps, 1);
                    self.waits.wait(self.worker.ports().filter_map(Port::poll_fd), time);
                }
                self.bell.rise();
            }
        }
    }

    /// One turn; whether nothing happened in it.
    fn turn(&mut self, now: Instant, on_event: &mut impl FnMut(Instant, W::Event)) -> bool {
        let progress = self.worker.iterate(now);
        let mut idle = progress.is_idle();
        while let Some(event) = self.worker.poll_event() {
            on_event(now, event);
            idle = false;
        }
        Load::add(&self.load.turns, 1);
        Load::add(&self.load.busy_turns, u64::from(!idle));
        idle
    }

    /// Sends what is still to be sent.
    fn finish(&mut self, on_event: &mut impl FnMut(Instant, W::Event)) {
        for _ in 0..LAST_TURNS {
            self.turn(Clock.now(), on_event);
            if !self.worker.has_backlog() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Notice, Output, RxMeta};
    use crate::node::Node;
    use crate::packet::Pool;
    use crate::pipeline::{Dataplane, DataplaneConfig};
    use crate::runtime::{Heartbeat, Worker};
    use crate::time::Duration;
    use crossbeam_channel::unbounded;
    use std::collections::VecDeque;

    /// Reports each timer that has run.
    #[derive(Default)]
    struct Clockwork {
        at: Option<Instant>,
        reports: VecDeque<Instant>,
    }

    impl Node for Clockwork {
        type Event = Instant;

        fn handle_packet(&mut self, _: Instant, _: &RxMeta, _: &[u8]) {}

        fn handle_notice(&mut self, _: Instant, _: Notice) {}

        fn handle_timeout(&mut self, now: Instant) {
            if self.at.is_some_and(|at| at <= now) {
                self.reports.extend(self.at.take());
            }
        }

        fn poll_output(&mut self) -> Option<Output<Instant>> {
            self.reports.pop_front().map(Output::Event)
        }

        fn poll_timeout(&self) -> Option<Instant> {
            self.at
        }
    }

    enum Command {
        Ask(Sender<Instant>),
        RunIn(Duration),
        /// Says that it has begun, and goes on when there is something to receive.
        StandStill(Sender<()>, Receiver<()>),
        End,
    }

    fn worker() -> Result<Worker<Clockwork>, &'static str> {
        let pool = Pool::new(4).map_err(|_| "no memory")?;
        let dataplane = Dataplane::new(DataplaneConfig::default(), pool, &[]);
        Ok(Worker::new(dataplane, Clockwork::default(), Vec::new()))
    }

    fn start(poll: PollMode, load: &Arc<Load>) -> (WorkerHandle, Sender<Command>, Receiver<Instant>) {
        let (commands, receiver) = unbounded();
        let (events, reported) = unbounded();
        let spec = WorkerSpec { name: "test".into(), poll, load: load.clone(), ..WorkerSpec::default() };
        let on_command = |worker: &mut Worker<Clockwork>, now: Instant, command| {
            match command {
                Command::Ask(reply) => reply.send(now).unwrap(),
                Command::RunIn(time) => worker.node_mut().at = Some(now + time),
                Command::StandStill(begun, end) => {
                    begun.send(()).unwrap();
                    end.recv().unwrap();
                }
                Command::End => return ControlFlow::Break(()),
            }
            ControlFlow::Continue(())
        };
        let on_event = move |_, event| events.send(event).unwrap();
        let handle = spawn(spec, worker, receiver, on_command, on_event).unwrap();
        (handle, commands, reported)
    }

    fn count(load: &Load, name: &str) -> u64 {
        load.iter().find(|(counter, _)| *counter == name).unwrap().1
    }

    #[test]
    fn commands_and_timers_wake_a_worker_that_sleeps() {
        let load = Arc::default();
        let (handle, commands, reported) = start(PollMode::Adaptive, &load);
        for _ in 0..3 {
            while count(&load, "sleeps") == 0 {
                std::thread::yield_now();
            }
            let (reply, answer) = bounded(1);
            commands.send(Command::Ask(reply)).unwrap();
            handle.waker().wake();
            let before = answer.recv().unwrap();
            commands.send(Command::RunIn(Duration::from_millis(3))).unwrap();
            handle.waker().wake();
            assert!(reported.recv().unwrap() >= before + Duration::from_millis(3));
        }
        assert!(!handle.is_finished());
        commands.send(Command::End).unwrap();
        handle.waker().wake();
        handle.join().unwrap();
        assert_eq!(count(&load, "commands"), 7);
        assert!(count(&load, "turns") >= count(&load, "turns-busy") && count(&load, "turns-busy") >= 3);
    }

    #[test]
    fn a_busy_worker_never_sleeps_and_stops_when_told() {
        let load = Arc::default();
        let (handle, commands, reported) = start(PollMode::Busy, &load);
        commands.send(Command::RunIn(Duration::from_millis(1))).unwrap();
        reported.recv().unwrap();
        handle.stop();
        handle.join().unwrap();
        assert_eq!(count(&load, "sleeps"), 0);
        assert!(commands.send(Command::End).is_err());
    }

    #[test]
    fn a_held_worker_waits_until_it_is_released_or_stopped() {
        for stops in [false, true] {
            let load = Arc::default();
            let spec = WorkerSpec { load: Arc::clone(&load), hold: true, ..WorkerSpec::default() };
            let (commands, inbox) = bounded::<Command>(1);
            let (answer, answered) = bounded(1);
            let on_command = move |_: &mut Worker<Clockwork>, _, _| {
                answer.send(()).unwrap();
                ControlFlow::Break(())
            };
            let handle = spawn(spec, worker, inbox, on_command, |_, _| {}).unwrap();
            commands.send(Command::End).unwrap();
            handle.waker().wake();
            assert_eq!((answered.try_recv().is_ok(), count(&load, "turns")), (false, 0));
            if stops {
                handle.stop();
            } else {
                handle.release();
            }
            answered.recv().unwrap();
            handle.join().unwrap();
        }
    }

    /// Looks a few times, each time after the worker has had as long as it takes to wake; what the last look says.
    fn look(heartbeat: &mut Heartbeat, load: &Load, at: &mut Instant, expects_turns: bool) -> Option<Duration> {
        let mut last = None;
        for _ in 0..4 {
            let before = count(load, "turns");
            *at += Duration::from_secs(1);
            last = heartbeat.silence(*at);
            while expects_turns && count(load, "turns") == before {
                std::thread::yield_now();
            }
        }
        last
    }

    #[test]
    fn a_worker_that_sleeps_has_a_heartbeat_and_one_that_stands_still_has_none() {
        for poll in [PollMode::Adaptive, PollMode::Busy] {
            let load = Arc::default();
            let (handle, commands, _reported) = start(poll, &load);
            let mut heartbeat = Heartbeat::new(load.clone(), handle.waker());
            let mut at = Instant::from_secs(1);
            // Nothing at all comes in: every turn of one that sleeps is for a look.
            assert_eq!(look(&mut heartbeat, &load, &mut at, true), None);
            assert!(heartbeat.is_steady());

            let ((begun, begins), (go_on, end)) = (bounded(1), bounded(1));
            commands.send(Command::StandStill(begun, end)).unwrap();
            handle.waker().wake();
            begins.recv().unwrap();
            // The first of these looks may find turns from before, and expects one more then.
            let silence = look(&mut heartbeat, &load, &mut at, false).unwrap();
            assert!(silence >= Duration::from_secs(3) && !heartbeat.is_steady(), "{silence:?}");
            at += Duration::from_secs(1);
            assert_eq!(heartbeat.silence(at), Some(silence + Duration::from_secs(1)), "it grows");

            go_on.send(()).unwrap();
            while heartbeat.silence(at).is_some() {
                std::thread::yield_now();
            }
            assert_eq!(look(&mut heartbeat, &load, &mut at, true), None);
            assert!(heartbeat.is_steady());
            handle.stop();
            handle.join().unwrap();
        }
    }

    /// Who looks has stood still as long as the worker, as when the whole process was stopped.
    #[test]
    fn one_look_that_misses_a_turn_proves_nothing() {
        let load = Arc::<Load>::default();
        let mut heartbeat = Heartbeat::new(load, Waker::new().unwrap());
        assert_eq!(heartbeat.silence(Instant::from_secs(1)), None);
        assert_eq!(heartbeat.silence(Instant::from_secs(100)), None);
        assert!(!heartbeat.is_steady());
        assert_eq!(heartbeat.silence(Instant::from_secs(101)), Some(Duration::from_secs(100)));
    }

    #[test]
    fn why_a_worker_did_not_start_is_told() {
        let start = |cpu, build: fn() -> Result<Worker<Clockwork>, &'static str>| {
            let (_, commands) = unbounded::<Command>();
            let spec = WorkerSpec { cpu, ..WorkerSpec::default() };
            spawn(spec, build, commands, |_, _, _| ControlFlow::Break(()), |_, _| {}).map(|_| ()).unwrap_err()
        };
        assert!(matches!(start(None, || Err("no ports")), SpawnError::Build("no ports")));
        assert!(matches!(start(Some(1_000_000), worker), SpawnError::Cpu(CpuError { wanted: 1_000_000, .. })));
        assert!(matches!(start(None, || panic!("a builder that panics")), SpawnError::Panicked));
    }
}
