//! The generator: an XDP program that makes frames inside the kernel and sends them to an interface, at a pace.
//!
//! `BPF_PROG_TEST_RUN` with live frames runs it on pages of its own, so that making a frame costs less than any device
//! takes for it. Pages come back as whoever had them left them: the program writes all headers anew. In C, for each frame:
//!
//! ```c
//! if (number == limit) return XDP_DROP;
//! if (number % train == 0) {                          // the others of a train follow the first at once
//!     for (i = 0; i < SPINS && (now = bpf_ktime_get_ns() << 8) < due; i++);
//!     if (now < due) return XDP_DROP;                 // not yet: the next run goes on waiting
//!     if (now - due > LATE << 8) held_up += now - due, due = now;    // not caught up with
//!     due += interval;                                // of trains
//! }
//! bpf_xdp_adjust_tail(ctx, length of this number's size - length of the largest);
//! headers, sequence number and time, each with its complement;
//! number++;
//! return bpf_redirect(interface of this number's way, 0);
//! ```

use super::assembler::{Assembler, Condition, Label, Operation, Width, pieces};
use super::bpf::{Program, Shared};
use super::traffic::{Flow, SEAL_LEN, Template};
use anyhow::{Context, Result, ensure};
use std::sync::atomic::Ordering;

/// Looks at the clock before a run gives up waiting: some tens of microseconds, in which nothing else of the core's
/// deferred work is done.
const SPINS: i32 = 1024;
/// Nanoseconds by which a train may be late before all that follow it are put off.
const LATE_NS: u64 = 100_000;
/// Fractions of a nanosecond in which times are reckoned, in bits.
const FRACTION: i32 = 8;
/// Runs for a call that waits for slow frames.
const MAX_CALLS: u32 = 1_000_000;

const KTIME_GET_NS: i32 = 5;
const REDIRECT: i32 = 23;
const XDP_ADJUST_TAIL: i32 = 65;
const XDP_DROP: i32 = 1;

// Offsets in `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;

/// Words that the program and this process share.
const NUMBER: usize = 0;
const DUE: usize = 1;
const INTERVAL: usize = 2;
const PUT_OFF: usize = 3;
const FIRST: usize = 4;
const LAST: usize = 5;
const LIMIT: usize = 6;
const TRAIN: usize = 7;
const HELD_UP: usize = 8;
const WORDS: usize = 9;

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) frames: u64,
    /// Times that the generator was so late that all that followed was put off.
    pub(super) put_off: u64,
    /// From the first frame to the last.
    pub(super) nanos: u64,
    /// Of these, how long it was held up in all.
    pub(super) held_up_nanos: u64,
}

impl Sent {
    /// Frames a second while the generator was not held up.
    pub(super) fn rate(&self) -> f64 {
        let nanos = self.nanos.saturating_sub(self.held_up_nanos);
        if nanos == 0 { 0.0 } else { (self.frames - 1) as f64 * 1e9 / nanos as f64 }
    }
}

/// A generator of one kind of traffic.
pub(super) struct Generator {
    program: Program,
    state: Shared,
    largest: Vec<u8>,
}

impl Generator {
    /// `cycle` says of each frame in turn which flow and which size it is; `interfaces` where the frames of a flow go.
    pub(super) fn new(flows: &[Flow], cycle: &[(usize, usize)], interfaces: &[u32]) -> Result<Self> {
        let state = Shared::new(WORDS * 8).context("memory shared with the generator")?;
        let templates = flows.iter().flat_map(|flow| &flow.offered);
        let largest = templates.max_by_key(|template| template.frame.len()).context("no flow")?.frame.clone();
        let program = Program::load(&instructions(&state, flows, cycle, interfaces, largest.len()))?;
        Ok(Generator { program, state, largest })
    }

    /// Sends so many frames, at `rate` a second or as fast as they can be made, `train` at a time, 1 to 256.
    pub(super) fn send(&self, frames: u64, rate: Option<f64>, train: u32) -> Result<Sent> {
        let state = self.state.words();
        state.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let interval = rate.map_or(0.0, |rate| f64::from(1 << FRACTION) * 1e9 / rate * f64::from(train));
        state[INTERVAL].store(interval as u64, Ordering::Relaxed);
        state[LIMIT].store(frames, Ordering::Relaxed);
        state[TRAIN].store(train.into(), Ordering::Relaxed);
        for _ in 0..MAX_CALLS {
            let left = frames - state[NUMBER].load(Ordering::Acquire).min(frames);
            if left == 0 {
                break;
            }
            self.program
                .run(&self.largest, u32::try_from(left)?, train.min(left as u32))
                .context("running the generator (BPF_PROG_TEST_RUN)")?;
        }
        let sent = state[NUMBER].load(Ordering::Acquire);
        ensure!(sent == frames, "the generator sent {sent} of {frames} frames");
        let [last, first, put_off, held_up] =
            [LAST, FIRST, PUT_OFF, HELD_UP].map(|word| state[word].load(Ordering::Relaxed));
        Ok(Sent { frames, put_off, nanos: last - first, held_up_nanos: held_up >> FRACTION })
    }
}

// Registers that outlive calls.
const CONTEXT: u8 = 6;
const STATE: u8 = 7;
const NOW: u8 = 8;
const DUE_AT: u8 = 9;
/// Where on the stack the count of looks at the clock is.
const LOOKS: i16 = -8;

const fn word(number: usize) -> i16 {
    number as i16 * 8
}

fn instructions(
    state: &Shared,
    flows: &[Flow],
    cycle: &[(usize, usize)],
    interfaces: &[u32],
    largest: usize,
) -> Vec<u64> {
    let mut p = Assembler::default();
    let [drop, due, paced, spin, punctual, late, on_time] = core::array::from_fn(|_| p.label());
    p.register(Operation::Move, CONTEXT, 1);
    p.map_value(STATE, state.descriptor());
    p.load(Width::Eight, 1, STATE, word(NUMBER));
    p.load(Width::Eight, 2, STATE, word(LIMIT));
    p.jump_register(Condition::GreaterOrEqual, 1, 2, drop);
    now(&mut p);
    p.load(Width::Eight, DUE_AT, STATE, word(DUE));
    p.load(Width::Eight, 1, STATE, word(INTERVAL));
    p.jump_immediate(Condition::Equal, 1, 0, due);
    p.load(Width::Eight, 1, STATE, word(NUMBER));
    p.load(Width::Eight, 2, STATE, word(TRAIN));
    p.register(Operation::Modulo, 1, 2);
    p.jump_immediate(Condition::NotEqual, 1, 0, due);
    p.jump_immediate(Condition::NotEqual, DUE_AT, 0, paced);
    p.register(Operation::Move, DUE_AT, NOW);
    p.place(paced);
    p.immediate(Operation::Move, 1, 0);
    p.store(Width::Eight, 10, LOOKS, 1);
    p.place(spin);
    p.jump_register(Condition::GreaterOrEqual, NOW, DUE_AT, punctual);
    now(&mut p);
    p.load(Width::Eight, 1, 10, LOOKS);
    p.immediate(Operation::Add, 1, 1);
    p.store(Width::Eight, 10, LOOKS, 1);
    p.jump_immediate(Condition::Greater, 1, SPINS, drop);
    p.jump(spin);
    p.place(punctual);
    p.register(Operation::Move, 1, NOW);
    p.register(Operation::Subtract, 1, DUE_AT);
    p.jump_immediate(Condition::GreaterOrEqual, 1, (LATE_NS << FRACTION) as i32, late);
    p.jump(on_time);
    p.place(late);
    p.load(Width::Eight, 5, STATE, word(HELD_UP));
    p.register(Operation::Add, 5, 1);
    p.store(Width::Eight, STATE, word(HELD_UP), 5);
    p.register(Operation::Move, DUE_AT, NOW);
    increment(&mut p, PUT_OFF);
    p.place(on_time);
    p.load(Width::Eight, 1, STATE, word(INTERVAL));
    p.register(Operation::Add, DUE_AT, 1);
    p.store(Width::Eight, STATE, word(DUE), DUE_AT);
    p.place(due);
    p.immediate(Operation::ShiftRight, NOW, FRACTION);
    p.load(Width::Eight, DUE_AT, STATE, word(NUMBER));
    let later = p.label();
    p.jump_immediate(Condition::NotEqual, DUE_AT, 0, later);
    p.store(Width::Eight, STATE, word(FIRST), NOW);
    p.place(later);
    p.store(Width::Eight, STATE, word(LAST), NOW);
    p.immediate(Operation::Modulo, DUE_AT, cycle.len() as i32);
    let mut kinds = cycle.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    let labels: Vec<Label> = kinds.iter().map(|_| p.label()).collect();
    for (place, kind) in cycle.iter().enumerate() {
        let label = kinds.iter().position(|other| other == kind).expect("it is one of them");
        p.jump_immediate(Condition::Equal, DUE_AT, place as i32, labels[label]);
    }
    p.place(drop);
    p.give(XDP_DROP);
    for (&(flow, size), &label) in kinds.iter().zip(&labels) {
        p.place(label);
        emit(&mut p, &flows[flow].offered[size], largest, drop);
        p.immediate(Operation::Move, 1, interfaces[flow] as i32);
        p.immediate(Operation::Move, 2, 0);
        p.call(REDIRECT);
        p.exit();
    }
    p.finish()
}

/// Makes the frame and counts it.
fn emit(p: &mut Assembler, template: &Template, largest: usize, drop: Label) {
    let shorter = template.frame.len() as i32 - largest as i32;
    if shorter < 0 {
        p.register(Operation::Move, 1, CONTEXT);
        p.immediate(Operation::Move, 2, shorter);
        p.call(XDP_ADJUST_TAIL);
        p.jump_immediate(Condition::NotEqual, 0, 0, drop);
    }
    p.load(Width::Four, 2, CONTEXT, DATA);
    p.load(Width::Four, 3, CONTEXT, DATA_END);
    p.register(Operation::Move, 4, 2);
    p.immediate(Operation::Add, 4, (template.head + SEAL_LEN) as i32);
    p.jump_register(Condition::Greater, 4, 3, drop);
    for (at, width, value) in pieces(&template.frame[..template.head]) {
        p.constant(5, value);
        p.store(width, 2, at, 5);
    }
    let seal = template.head as i16;
    p.load(Width::Eight, 5, STATE, word(NUMBER));
    for (at, source) in [(seal, 5), (seal + 8, NOW)] {
        p.register(Operation::Move, 0, source);
        p.store(Width::Four, 2, at, 0);
        p.immediate(Operation::Xor, 0, -1);
        p.store(Width::Four, 2, at + 4, 0);
    }
    increment(p, NUMBER);
}

fn increment(p: &mut Assembler, number: usize) {
    p.load(Width::Eight, 5, STATE, word(number));
    p.immediate(Operation::Add, 5, 1);
    p.store(Width::Eight, STATE, word(number), 5);
}

/// [`NOW`] is the time.
fn now(p: &mut Assembler) {
    p.call(KTIME_GET_NS);
    p.immediate(Operation::ShiftLeft, 0, FRACTION);
    p.register(Operation::Move, NOW, 0);
}
