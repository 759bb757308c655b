//! Instructions of BPF programs by name, and jumps to places that are named later.
//!
//! So that building needs no compiler for BPF. The codes are those of linux/bpf_common.h and linux/bpf.h.

/// Registers: r0 has results, r1 to r5 arguments, r6 to r9 outlive calls, r10 points behind the stack frame.
pub(super) type Register = u8;

/// A place to jump to.
#[derive(Clone, Copy)]
pub(super) struct Label(usize);

/// Octets that an instruction reads or writes.
#[derive(Clone, Copy)]
pub(super) enum Width {
    Two,
    Four,
    Eight,
}

impl Width {
    /// A value of all ones.
    pub(super) const fn all(self) -> u64 {
        match self {
            Width::Two => 0xffff,
            Width::Four => 0xffff_ffff,
            Width::Eight => u64::MAX,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Width::Four => 0x00,
            Width::Two => 0x08,
            Width::Eight => 0x18,
        }
    }
}

/// What is done with two operands.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Operation {
    Add = 0x00,
    Subtract = 0x10,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Modulo = 0x90,
    Xor = 0xa0,
    Move = 0xb0,
}

/// When a jump is taken; all comparisons are unsigned.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Condition {
    Equal = 0x10,
    Greater = 0x20,
    GreaterOrEqual = 0x30,
    NotEqual = 0x50,
}

const ALU64: u8 = 0x07;
const ALU32: u8 = 0x04;
const JUMP: u8 = 0x05;
const REGISTER: u8 = 0x08;
const LOAD: u8 = 0x61;
const STORE: u8 = 0x63;
const LOAD_WIDE: u8 = 0x18;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// As the source register of [`LOAD_WIDE`]: the address of the value of a map of one element.
const MAP_VALUE: u8 = 2;

/// A program being written.
#[derive(Default)]
pub(super) struct Assembler {
    instructions: Vec<u64>,
    /// Where each label is.
    labels: Vec<Option<usize>>,
    /// Jumps and their labels.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// A label that is placed later.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label is here.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    fn push(&mut self, code: u8, dst: Register, src: Register, offset: i16, immediate: i32) {
        let low = u64::from(code) | u64::from(src << 4 | dst) << 8 | u64::from(offset as u16) << 16;
        self.instructions.push(low | u64::from(immediate as u32) << 32);
    }

    /// `dst = dst operation immediate`, in 64 bits.
    pub(super) fn immediate(&mut self, operation: Operation, dst: Register, immediate: i32) {
        self.push(ALU64 | operation as u8, dst, 0, 0, immediate);
    }

    /// `dst = dst operation src`, in 64 bits.
    pub(super) fn register(&mut self, operation: Operation, dst: Register, src: Register) {
        self.push(ALU64 | REGISTER | operation as u8, dst, src, 0, 0);
    }

    /// `dst = dst operation src`, in 32 bits, the upper half cleared.
    pub(super) fn register32(&mut self, operation: Operation, dst: Register, src: Register) {
        self.push(ALU32 | REGISTER | operation as u8, dst, src, 0, 0);
    }

    /// `dst = dst operation immediate`, in 32 bits, the upper half cleared.
    pub(super) fn immediate32(&mut self, operation: Operation, dst: Register, immediate: i32) {
        self.push(ALU32 | operation as u8, dst, 0, 0, immediate);
    }

    /// `dst = *(base + offset)`.
    pub(super) fn load(&mut self, width: Width, dst: Register, base: Register, offset: i16) {
        self.push(LOAD | width.bits(), dst, base, offset, 0);
    }

    /// `*(base + offset) = src`.
    pub(super) fn store(&mut self, width: Width, base: Register, offset: i16, src: Register) {
        self.push(STORE | width.bits(), base, src, offset, 0);
    }

    /// `dst = value`, all 64 bits.
    pub(super) fn constant(&mut self, dst: Register, value: u64) {
        self.push(LOAD_WIDE, dst, 0, 0, value as i32);
        self.push(0, 0, 0, 0, (value >> 32) as i32);
    }

    /// `dst` points at the value of the map of this descriptor.
    pub(super) fn map_value(&mut self, dst: Register, map: i32) {
        self.push(LOAD_WIDE, dst, MAP_VALUE, 0, map);
        self.push(0, 0, 0, 0, 0);
    }

    /// `r0 = helper(r1, …, r5)`.
    pub(super) fn call(&mut self, helper: i32) {
        self.push(CALL, 0, 0, 0, helper);
    }

    /// Returns r0.
    pub(super) fn exit(&mut self) {
        self.push(EXIT, 0, 0, 0, 0);
    }

    /// Returns `value`.
    pub(super) fn give(&mut self, value: i32) {
        self.immediate(Operation::Move, 0, value);
        self.exit();
    }

    /// Goes to `label`.
    pub(super) fn jump(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP, 0, 0, 0, 0);
    }

    /// Goes to `label` where `dst condition src`.
    pub(super) fn jump_register(&mut self, condition: Condition, dst: Register, src: Register, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP | REGISTER | condition as u8, dst, src, 0, 0);
    }

    /// Goes to `label` where `dst condition immediate`.
    pub(super) fn jump_immediate(&mut self, condition: Condition, dst: Register, immediate: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP | condition as u8, dst, 0, 0, immediate);
    }

    /// The program.
    ///
    /// # Panics
    /// Where a jump has no place to go, or one too far away.
    pub(super) fn finish(mut self) -> Vec<u64> {
        for (at, label) in self.jumps {
            let to = self.labels[label.0].expect("every label that is jumped to has a place");
            let offset = i16::try_from(to as i64 - at as i64 - 1).expect("programs are short");
            self.instructions[at] |= u64::from(offset as u16) << 16;
        }
        self.instructions
    }
}

/// Octets in pieces of eight, four and two, with the place of each; an odd one at the end is left out.
pub(super) fn pieces(octets: &[u8]) -> Vec<(i16, Width, u64)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for (length, width) in [(8, Width::Eight), (4, Width::Four), (2, Width::Two)] {
        while octets.len() - at >= length {
            let mut value = [0; 8];
            value[..length].copy_from_slice(&octets[at..at + length]);
            pieces.push((at as i16, width, u64::from_le_bytes(value)));
            at += length;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_go_where_their_labels_are() {
        let mut program = Assembler::default();
        let (back, end) = (program.label(), program.label());
        program.place(back);
        program.constant(1, 0x0102_0304_0506_0708);
        program.jump_immediate(Condition::Equal, 1, 7, end);
        program.jump(back);
        program.place(end);
        program.give(1);
        let expected = [
            0x0506_0708_0000_0118,
            0x0102_0304_0000_0000,
            0x0000_0007_0001_0115,
            0x0000_0000_fffc_0005,
            0x0000_0001_0000_00b7,
            0x95,
        ];
        assert_eq!(program.finish(), expected);
    }
}
