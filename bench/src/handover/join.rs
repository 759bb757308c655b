//! How long an access router takes from a terminal's report to its Join, on the wire: the process `drover run` on a core of
//! its own, AF_XDP, a veth pair on either side.
//!
//! ```text
//!   core router ---- near  access router  far ---- terminals
//! ```
//! Core router and terminals are packet sockets of the thread that measures. A sample begins before the system call that
//! sends the report, and ends when the thread, which does nothing but look, has the Join in its hands: what the kernel
//! does for either frame, both system calls and the thread's next look are in it.

use super::OverInterfaces;
use super::message::Message;
use super::site::{ABOVE, Place, text_of};
use super::stage::{Stage, Stages};
use super::stopwatch::Clock;
use super::terminal::Terminal;
use crate::progress::Progress;
use crate::traffic::link::to_group;
use crate::wire::node::{self, Node};
use crate::wire::stage::{self, Preference, transmit};
use anyhow::{Context, Result, bail, ensure};
use core::net::Ipv6Addr;
use pim::wire::{HOLDTIME_FOREVER, Hello, MessageType};
use stack::addr::MacAddress;
use stack::packet::{Batch, Pool};
use stack::port::{PacketPort, Port};
use stack::time::Duration;
use std::path::Path;
use std::time::Instant;

/// Frames of the pool of the thread that measures.
const FRAMES: u32 = 1024;
/// How long something may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a frame may be under way before it is sent again.
const AGAIN: Duration = Duration::from_millis(200);
/// Terminals that come and go by turns, beside those that stay.
const GUESTS: u32 = 16;
/// Blocks of arrivals.
const BLOCKS: u32 = 8;
/// The core router on the link that is measured at.
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100);
const ROUTER_LINK_ADDRESS: MacAddress = MacAddress([2, 0, 0, 0, 1, 0]);

/// What has gone upstream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Join,
    Prune,
}

struct Bed {
    pool: Pool,
    upstream: PacketPort,
    radio: PacketPort,
    repeated: u64,
}

/// Measures so many arrivals at an access router with so many terminals, in namespaces of the run's own. The calling thread
/// is in one of them from then on, and on the first of the cores.
///
/// # Errors
/// Where that is not permitted, with the remedy; where there is one core, or no such program.
pub(crate) fn run(
    program: &Path,
    terminals: u32,
    arrivals: u32,
    preference: Preference,
    progress: &Progress,
) -> Result<OverInterfaces> {
    if let Some(absence) = node::absence(program) {
        bail!(absence);
    }
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [own, .., its] = &cores[..] else {
        bail!("the router spins on a core of its own, and this process may use one")
    };
    let stage = stage::Stage::make(preference)?;
    let mut node = Node::start(program, &configuration(&stage, its.id, terminals + GUESTS)?, &stage)?;
    let measured = node.await_ready().and_then(|()| {
        let mode = node.mode()?;
        node.is_asked_no_more();
        stage::confine(0, &[own.id])?;
        preference.give(0);
        let mut bed = Bed {
            pool: Pool::new(FRAMES).context("cannot map the frames of a pool")?,
            upstream: PacketPort::open(&stage.generator.name, true)?,
            radio: PacketPort::open(&stage.sink.name, true)?,
            repeated: 0,
        };
        let stages = bed.measure(terminals, arrivals, progress)?;
        Ok(OverInterfaces { stages, mode, repeated: bed.repeated })
    });
    let stopped = node.stop();
    let joins = measured?;
    stopped.map(|()| joins)
}

impl Bed {
    fn measure(&mut self, terminals: u32, arrivals: u32, progress: &Progress) -> Result<Stages> {
        // The first Join needs the neighbour.
        let first = Terminal(terminals);
        self.until(first, Said::Join, |bed| {
            transmit(&mut bed.upstream, &bed.pool, [hello()])?;
            bed.report(first.join())
        })?;
        self.until(first, Said::Prune, |bed| bed.report(first.leave()))?;
        for terminal in (0..terminals).map(Terminal) {
            self.until(terminal, Said::Join, |bed| bed.report(terminal.join()))?;
            progress.step();
        }
        let mut stages = Stages::new();
        let warm = arrivals.div_ceil(10);
        for number in 0..warm + arrivals {
            let guest = Terminal(terminals + number % GUESTS);
            let join = self.until(guest, Said::Join, |bed| bed.report(guest.join()))?;
            let prune = self.until(guest, Said::Prune, |bed| bed.report(guest.leave()))?;
            progress.step();
            if number < warm {
                continue;
            }
            stages.record(Stage::Join, join, 0.0);
            stages.record(Stage::Prune, prune, 0.0);
            if (number - warm + 1).is_multiple_of(arrivals.div_ceil(BLOCKS)) {
                stages.end_block();
            }
        }
        stages.end_block();
        Ok(stages)
    }

    /// What passes until this is said of the terminal upstream, from before `ask` on.
    fn until(
        &mut self,
        terminal: Terminal,
        what: Said,
        mut ask: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<Duration> {
        let began = Instant::now();
        let mut asked = Clock::Wall.now();
        let start = asked;
        ask(self)?;
        loop {
            let heard = self.look(terminal, what)?;
            let now = Clock::Wall.now();
            if heard {
                return Ok(now - start);
            }
            ensure!(began.elapsed() < PATIENCE, "nothing has come of a report within {} s", PATIENCE.as_secs());
            if now - asked >= AGAIN {
                asked = now;
                self.repeated += 1;
                ask(self)?;
            }
        }
    }

    /// Looks at what has come: whether this was said of the terminal. Queries are answered.
    fn look(&mut self, terminal: Terminal, what: Said) -> Result<bool> {
        let mut batch = Batch::new();
        self.upstream.rx_batch(&self.pool, &mut batch);
        let heard = batch.iter().any(|frame| match Message::of(frame.bytes()) {
            Message::JoinPrune { joins, prunes } => match what {
                Said::Join => joins.contains(&terminal),
                Said::Prune => prunes.contains(&terminal),
            },
            _ => false,
        });
        drop(batch);
        if heard {
            return Ok(true);
        }
        let mut batch = Batch::new();
        self.radio.rx_batch(&self.pool, &mut batch);
        let answers: Vec<Vec<u8>> = batch
            .iter()
            .filter_map(|frame| match Message::of(frame.bytes()) {
                Message::Query(Some(asked), _) if asked != terminal => Some(asked.answer()),
                _ => None,
            })
            .collect();
        drop(batch);
        transmit(&mut self.radio, &self.pool, answers)?;
        Ok(false)
    }

    fn report(&mut self, frame: Vec<u8>) -> Result<()> {
        transmit(&mut self.radio, &self.pool, [frame])
    }
}

/// The access router of the site, with the stage's interfaces and a core of its own.
fn configuration(stage: &stage::Stage, core: usize, terminals: u32) -> Result<String> {
    let text = text_of(Place::Access(0), terminals);
    let places = [
        ("[node]\n", format!("[node]\ncpu = {core}\npoll = \"busy\"\n")),
        ("interface = \"p0\"", format!("interface = \"{}\"", stage.near.name)),
        ("interface = \"p1\"", format!("interface = \"{}\"", stage.far.name)),
    ];
    places.into_iter().try_fold(text, |text, (from, to)| {
        ensure!(text.contains(from), "the site's file has no {from:?}");
        Ok(text.replacen(from, &to, 1))
    })
}

/// The core router's Hello, by which its address in the router's route is known for a neighbour's (RFC 7761 §4.3.4).
fn hello() -> Vec<u8> {
    let hello =
        Hello { holdtime: Some(HOLDTIME_FOREVER), generation_id: Some(1), addresses: vec![ABOVE], ..Hello::default() };
    let packet = pim::wire::packet(ROUTER, MessageType::Hello, |body| hello.emit(body));
    to_group(&packet, ROUTER_LINK_ADDRESS)
}
