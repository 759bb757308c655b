//! The sink: an XDP program that knows what frames have to look like, and notes when each of them came.
//!
//! It runs where a frame arrives, so that no ring and no thread of a sink can lose one or delay its time. In C, for each
//! frame:
//!
//! ```c
//! template = the one of this length, with a whole seal in front of it; otherwise { foreign++; return verdict; }
//! if ((headers ^ template) & mask) { corrupted++; return XDP_DROP; }
//! if (number < next) reordered++; else next = number + 1;
//! records[number % RECORDS].nanos = (u32)bpf_ktime_get_ns() - seal.nanos;
//! records[number % RECORDS].copies++;
//! received++, octets += length, first and last time;
//! return XDP_DROP;
//! ```

use super::assembler::{Assembler, Condition, Operation, Width, pieces};
use super::bpf::{Program, Shared};
use super::traffic::{Flow, SEAL_LEN, Template};
use anyhow::{Context, Result};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

/// Frames of a trial at the most, each of which has a record.
pub(super) const RECORDS: usize = 1 << 22;
/// Octets of a record: nanoseconds, and how often the frame came.
const RECORD_LEN: usize = 8;

const KTIME_GET_NS: i32 = 5;
const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
const DATA: i16 = 0;
const DATA_END: i16 = 4;

/// Words that a sink's program and this process share.
const NEXT: usize = 0;
const RECEIVED: usize = 1;
const CORRUPTED: usize = 2;
const FOREIGN: usize = 3;
const REORDERED: usize = 4;
const FIRST: usize = 5;
const LAST: usize = 6;
const WORDS: usize = 7;

/// The records of all sinks.
pub(super) struct Records(Shared);

impl Records {
    /// Empty ones.
    pub(super) fn new() -> Result<Self> {
        Ok(Records(Shared::new(RECORDS * RECORD_LEN).context("memory shared with the sinks")?))
    }

    /// Forgets the first so many.
    pub(super) fn clear(&self, frames: u64) {
        self.0.words()[..frames as usize].iter().for_each(|record| record.store(0, Ordering::Relaxed));
    }

    /// Of each of the first so many frames the nanoseconds that it took, and how often it came.
    pub(super) fn iter(&self, frames: u64) -> impl Iterator<Item = (u32, u32)> {
        let halves = self.0.halves()[..frames as usize * 2].chunks_exact(2);
        halves.map(|record| (record[0].load(Ordering::Relaxed), record[1].load(Ordering::Relaxed)))
    }
}

/// What a sink has counted.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counted {
    /// Frames as they should be.
    pub(super) received: u64,
    /// Frames of the run with another header than they should have.
    pub(super) corrupted: u64,
    /// Frames that are not of the run: what kernels say of themselves.
    pub(super) foreign: u64,
    /// Frames that came behind one of a higher number.
    pub(super) reordered: u64,
    /// From the first frame to the last.
    pub(super) nanos: u64,
}

/// A sink on an interface, as long as this lives.
pub(super) struct Sink {
    state: Shared,
    _link: OwnedFd,
}

impl Sink {
    /// A sink for the frames of a flow; none of them are expected where there is no flow. What is not of the run goes to the
    /// kernel where it may answer (`kernel_answers`), for who asks for a neighbour; else nobody gets it.
    pub(super) fn attach(interface: u32, flow: Option<&Flow>, records: &Records, kernel_answers: bool) -> Result<Self> {
        let state = Shared::new(WORDS * 8).context("memory shared with a sink")?;
        let templates = flow.map_or(&[][..], |flow| &flow.expected);
        let link = Program::load(&instructions(
            templates,
            &state,
            &records.0,
            if kernel_answers { XDP_PASS } else { XDP_DROP },
        ))?
        .attach(interface)?;
        Ok(Sink { state, _link: link })
    }

    /// Counts from zero again.
    pub(super) fn clear(&self) {
        self.state.words().iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// What has come.
    pub(super) fn counted(&self) -> Counted {
        let word = |number: usize| self.state.words()[number].load(Ordering::Acquire);
        Counted {
            received: word(RECEIVED),
            corrupted: word(CORRUPTED),
            foreign: word(FOREIGN),
            reordered: word(REORDERED),
            nanos: word(LAST).saturating_sub(word(FIRST)),
        }
    }
}

// Registers that outlive calls.
const STATE: u8 = 6;
const NUMBER: u8 = 7;
const TIME: u8 = 8;

const fn word(number: usize) -> i16 {
    number as i16 * 8
}

fn instructions(templates: &[Template], state: &Shared, records: &Shared, verdict: i32) -> Vec<u64> {
    let mut p = Assembler::default();
    let [good, corrupted, foreign, in_order, ordered, later] = core::array::from_fn(|_| p.label());
    p.map_value(STATE, state.descriptor());
    p.load(Width::Four, 2, 1, DATA);
    p.load(Width::Four, 3, 1, DATA_END);
    p.register(Operation::Move, 4, 3);
    p.register(Operation::Subtract, 4, 2);
    for template in templates {
        let next = p.label();
        p.jump_immediate(Condition::NotEqual, 4, template.frame.len() as i32, next);
        check(&mut p, template, [corrupted, foreign]);
        p.jump(good);
        p.place(next);
    }
    p.place(foreign);
    increment(&mut p, FOREIGN);
    p.give(verdict);
    if templates.is_empty() {
        return p.finish();
    }
    p.place(corrupted);
    increment(&mut p, CORRUPTED);
    p.give(XDP_DROP);
    p.place(good);
    p.call(KTIME_GET_NS);
    p.load(Width::Eight, 1, STATE, word(RECEIVED));
    p.jump_immediate(Condition::NotEqual, 1, 0, later);
    p.store(Width::Eight, STATE, word(FIRST), 0);
    p.place(later);
    p.store(Width::Eight, STATE, word(LAST), 0);
    increment(&mut p, RECEIVED);
    p.register32(Operation::Subtract, 0, TIME);
    p.load(Width::Eight, 1, STATE, word(NEXT));
    p.jump_register(Condition::GreaterOrEqual, NUMBER, 1, in_order);
    increment(&mut p, REORDERED);
    p.jump(ordered);
    p.place(in_order);
    p.register(Operation::Move, 1, NUMBER);
    p.immediate(Operation::Add, 1, 1);
    p.store(Width::Eight, STATE, word(NEXT), 1);
    p.place(ordered);
    p.map_value(1, records.descriptor());
    p.immediate(Operation::And, NUMBER, RECORDS as i32 - 1);
    p.immediate(Operation::ShiftLeft, NUMBER, RECORD_LEN.ilog2() as i32);
    p.register(Operation::Add, 1, NUMBER);
    p.store(Width::Four, 1, 0, 0);
    p.load(Width::Four, 2, 1, 4);
    p.immediate(Operation::Add, 2, 1);
    p.store(Width::Four, 1, 4, 2);
    p.give(XDP_DROP);
    p.finish()
}

/// Goes on with number and time where the frame at r2, up to r3, is sealed and as the template says.
fn check(p: &mut Assembler, template: &Template, [corrupted, foreign]: [super::assembler::Label; 2]) {
    p.register(Operation::Move, 5, 2);
    p.immediate(Operation::Add, 5, (template.head + SEAL_LEN) as i32);
    p.jump_register(Condition::Greater, 5, 3, foreign);
    let seal = template.head as i16;
    for (at, value) in [(seal, NUMBER), (seal + 8, TIME)] {
        p.load(Width::Four, value, 2, at);
        p.load(Width::Four, 5, 2, at + 4);
        p.immediate32(Operation::Xor, 5, -1);
        p.jump_register(Condition::NotEqual, 5, value, foreign);
    }
    let head = &template.frame[..template.head];
    for ((at, width, value), (_, _, mask)) in pieces(head).into_iter().zip(pieces(&template.mask)) {
        p.load(width, 0, 2, at);
        if mask != width.all() {
            p.constant(5, mask);
            p.register(Operation::And, 0, 5);
        }
        p.constant(5, value & mask);
        p.jump_register(Condition::NotEqual, 0, 5, corrupted);
    }
}

fn increment(p: &mut Assembler, number: usize) {
    p.load(Width::Eight, 5, STATE, word(number));
    p.immediate(Operation::Add, 5, 1);
    p.store(Width::Eight, STATE, word(number), 5);
}
