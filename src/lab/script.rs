//! The movements of a lab as steps in time, the same for both backends.

use crate::config::lab::{Announced, Lab, LinkIndex, MoveMode, NodeIndex};
use core::net::Ipv6Addr;
use core::time::Duration;

/// How long both links are up in a make-before-break movement, as long as the next movement is not closer.
const OVERLAP: Duration = Duration::from_millis(500);

/// The signal of a link that a terminal is close to, and of one that it leaves, in dBm.
pub(crate) struct Signals;

impl Signals {
    /// Close.
    pub(crate) const NEAR: i16 = -50;
    /// Fading.
    pub(crate) const FAR: i16 = -85;
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The agents' tables are looked at: a movement's time begins or ends.
    Snapshot,
    /// A movement is made.
    MoveMade {
        /// Index in [`Lab::moves`].
        index: usize,
    },
    /// A terminal's port is connected.
    Attach {
        /// Who.
        terminal: NodeIndex,
        /// Where.
        link: LinkIndex,
    },
    /// A terminal's port is disconnected.
    Detach {
        /// Who.
        terminal: NodeIndex,
        /// Where.
        link: LinkIndex,
    },
    /// The signal of a link changes.
    Signal {
        /// Who hears it.
        terminal: NodeIndex,
        /// Where.
        link: LinkIndex,
        /// Its strength.
        dbm: i16,
    },
    /// A terminal tells its access router which one is next.
    HandOver {
        /// Who.
        terminal: NodeIndex,
        /// An address of the next one.
        to: Ipv6Addr,
    },
}

/// All steps in order of time, counted from the start of traffic.
pub(crate) fn script(lab: &Lab) -> Vec<(Duration, Step)> {
    let mut steps = Vec::new();
    for (index, movement) in lab.moves.iter().enumerate() {
        let (terminal, from, to) = (movement.terminal, movement.from, movement.to);
        let next = lab.moves[index + 1..].iter().find(|later| later.terminal == terminal);
        let room = next.map_or(lab.duration, |next| next.at).saturating_sub(movement.at);
        if let Some(Announced { before, router }) = movement.announced {
            steps.push((movement.at.saturating_sub(before), Step::HandOver { terminal, to: router }));
        }
        let mut step = |after: Duration, step: Step| steps.push((movement.at + after, step));
        step(Duration::ZERO, Step::Snapshot);
        step(Duration::ZERO, Step::MoveMade { index });
        let near = Step::Signal { terminal, link: to, dbm: Signals::NEAR };
        match movement.mode {
            MoveMode::MakeBeforeBreak => {
                step(Duration::ZERO, near);
                step(Duration::ZERO, Step::Attach { terminal, link: to });
                step(Duration::ZERO, Step::Signal { terminal, link: from, dbm: Signals::FAR });
                step(OVERLAP.min(room * 3 / 4), Step::Detach { terminal, link: from });
            }
            MoveMode::BreakBeforeMake { gap } => {
                step(Duration::ZERO, Step::Detach { terminal, link: from });
                // A radio that has lost its router says so, however late the carrier is seen to have gone.
                step(Duration::ZERO, Step::Signal { terminal, link: from, dbm: Signals::FAR });
                step(gap, near);
                step(gap, Step::Attach { terminal, link: to });
            }
        }
    }
    // Steps of one instant stay in the order in which they were written.
    steps.sort_by_key(|&(at, _)| at);
    steps
}
