//! The XDP program in front of a port: what is ours goes to the socket of its queue, the rest to the kernel.
//!
//! It is assembled here by hand, so that building needs no compiler for BPF. In C it would be:
//!
//! ```c
//! if (data + 14 > data_end || *(u16 *)(data + 12) != htons(ETH_P_IPV6)) return XDP_PASS;
//! if (data + 54 > data_end) goto redirect;        // shorter ones are ours too: the pipeline counts them
//! struct { u32 length; u8 address[16]; } key = { 128, destination address };
//! u32 *value = bpf_map_lookup_elem(&destinations, &key), counter;
//! if (!value || *value == OURS) goto redirect;    // in transit, or to an address of ours alone
//! if ((counter = *value)) goto pass;              // the kernel's
//! if (next_header == ICMPV6 && data + 78 <= data_end) {
//!     if (type == NEIGHBOR_ADVERTISEMENT) { counter = BOTH; goto pass; }
//!     if (type == NEIGHBOR_SOLICITATION) {
//!         key.address = target address;
//!         value = bpf_map_lookup_elem(&destinations, &key);
//!         if (value && *value == ADDRESS) { counter = SOLICITATION; goto pass; }
//!     }
//! }
//! u32 rule = next_header;
//! if (rule == FRAGMENT) {                         // all fragments of a packet say what they are of
//!     if (data + 62 > data_end) goto redirect;
//!     rule = *(u8 *)(data + 54);
//! }
//! if (!(value = bpf_map_lookup_elem(&upper, &rule))) {
//!     if ((next_header != TCP && next_header != UDP) || data + 58 > data_end) goto redirect;
//!     rule |= *(u16 *)(data + 56) << 16;          // the destination port, as it stands there
//!     if (!(value = bpf_map_lookup_elem(&upper, &rule))) goto redirect;
//! }
//! counter = *value;
//! pass:     counter -= 1;
//!           u64 *passed = bpf_map_lookup_elem(&counters, &counter);
//!           if (passed) __sync_fetch_and_add(passed, 1);
//!           return XDP_PASS;
//! redirect: return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
//! ```
//!
//! [`super::kernel_share`] keeps the maps, and says what is in them. They are empty where the kernel has no share.

use super::kernel_share::{
    COUNT_ADDRESS, COUNT_BOTH, COUNT_SOLICITATION, KernelShare, Maps, NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION,
    OURS,
};
use super::share::Steering;
use crate::port::bpf::{self, Hook, MapKind};
use crate::wire::ethernet::{ETHERTYPE_IPV6, HEADER_LEN};
use crate::wire::ipv6::protocol;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// A loaded program on an interface. Dropping it takes it off.
#[derive(Debug)]
pub(super) struct Program {
    sockets: Arc<OwnedFd>,
    hook: Hook,
    kernel: Option<KernelShare>,
    _link: OwnedFd,
}

impl Program {
    /// Loads the program for `queues` queues and attaches it, natively where the driver can and `generic` does not
    /// forbid it, otherwise generically.
    pub(super) fn attach(interface: u32, queues: u32, generic: bool, kernel: Option<&KernelShare>) -> io::Result<Self> {
        let sockets = bpf::create_map(MapKind::Xsk, 4, 4, queues)?;
        let maps = Maps::new()?;
        let instructions = instructions(sockets.as_raw_fd(), maps.fds());
        let program = bpf::load_program(&instructions, &mut [])?;
        if let Some(kernel) = kernel {
            kernel.open(maps)?;
        }
        let native = if generic {
            Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
        } else {
            bpf::attach(&program, interface, Hook::Native)
        };
        // Another program is there, or the interface has gone: another way would meet the same.
        let is_final =
            |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST | libc::ENODEV));
        // Where the MTU is more than a page, drivers take only programs for frames in several pieces. Those are too long
        // for a socket, where the kernel drops and counts them.
        let native = match native {
            Err(error) if !generic && !is_final(&error) => {
                let program = bpf::load_program_for_fragments(&instructions);
                program.and_then(|program| bpf::attach(&program, interface, Hook::Native))
            }
            other => other,
        };
        let (link, hook) = match native {
            Ok(link) => (link, Hook::Native),
            Err(error) if is_final(&error) => return Err(error),
            Err(_) => (bpf::attach(&program, interface, Hook::Generic)?, Hook::Generic),
        };
        Ok(Program { sockets: Arc::new(sockets), hook, kernel: kernel.cloned(), _link: link })
    }

    /// What those need to know who serve its queues, of which the interface has so many.
    pub(super) fn steering(&self, interface: u32, queues: u32) -> Steering {
        Steering { interface, queues, hook: self.hook, sockets: Arc::clone(&self.sockets) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(kernel) = &self.kernel {
            kernel.close();
        }
    }
}

// Instruction codes of linux/bpf_common.h and linux/bpf.h.
const LOAD_U8: u8 = 0x71; // dst = *(u8 *)(src + offset)
const LOAD_U16: u8 = 0x69; // dst = *(u16 *)(src + offset)
const LOAD_U32: u8 = 0x61; // dst = *(u32 *)(src + offset)
const STORE_U32: u8 = 0x63; // *(u32 *)(dst + offset) = src
const STORE_U32_IMMEDIATE: u8 = 0x62; // *(u32 *)(dst + offset) = immediate
const ATOMIC_U64: u8 = 0xdb; // *(u64 *)(dst + offset) += src, where the immediate is 0
const LOAD_MAP: u8 = 0x18; // dst = the map of descriptor immediate; two slots
const MOVE: u8 = 0xbf; // dst = src
const MOVE_IMMEDIATE: u8 = 0xb7; // dst = immediate
const ADD_IMMEDIATE: u8 = 0x07; // dst += immediate
const SHIFT_LEFT_IMMEDIATE: u8 = 0x67; // dst <<= immediate
const OR: u8 = 0x4f; // dst |= src
const JUMP: u8 = 0x05; // skip offset instructions
const JUMP_GREATER: u8 = 0x2d; // if dst > src, skip offset instructions
const JUMP_EQUAL_IMMEDIATE: u8 = 0x15; // if dst == immediate, skip offset instructions
const JUMP_NOT_EQUAL_IMMEDIATE: u8 = 0x55; // if dst != immediate, skip offset instructions
const CALL: u8 = 0x85; // r0 = helper immediate (r1 to r5)
const EXIT: u8 = 0x95; // return r0

/// As the source register of [`LOAD_MAP`].
const PSEUDO_MAP_FD: u8 = 1;
const MAP_LOOKUP_ELEM: i32 = 1;
const REDIRECT_MAP: i32 = 51;
const XDP_PASS: i32 = 2;

// Offsets in `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const RX_QUEUE_INDEX: i16 = 16;

// Offsets in the frame.
const ETHERTYPE: i16 = 12;
const NEXT_HEADER: i16 = HEADER_LEN as i16 + 6;
const DESTINATION: i16 = HEADER_LEN as i16 + 24;
/// The end of the IPv6 header, where the ICMPv6 type stands.
const UPPER: i16 = HEADER_LEN as i16 + 40;
const DESTINATION_PORT: i16 = UPPER + 2;
const TARGET: i16 = UPPER + 8;

// On the stack frame that r10 points behind: the key of a destination, 4 octets of length and 16 of address; and that of a
// rule or a counter.
const KEY: i16 = -24;
const NUMBER: i16 = -32;

// Registers that calls leave alone.
const CONTEXT: u8 = 6;
const FRAME: u8 = 7;
const END: u8 = 8;
const COUNTER: u8 = 9;

/// Where jumps go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Label {
    Rules,
    Protocol,
    Ports,
    Found,
    Count,
    Pass,
    Redirect,
}

/// Instructions that are being put together.
#[derive(Default)]
struct Assembler {
    instructions: Vec<u64>,
    jumps: Vec<(usize, Label)>,
    labels: Vec<(Label, usize)>,
}

impl Assembler {
    /// One instruction, as a little-endian machine lays it out.
    fn op(&mut self, code: u8, dst: u8, src: u8, offset: i16, immediate: i32) {
        let low = u64::from(code) | u64::from(src << 4 | dst) << 8 | u64::from(offset as u16) << 16;
        self.instructions.push(low | u64::from(immediate as u32) << 32);
    }

    fn jump(&mut self, code: u8, dst: u8, src: u8, immediate: i32, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.op(code, dst, src, 0, immediate);
    }

    fn label(&mut self, label: Label) {
        self.labels.push((label, self.instructions.len()));
    }

    /// Goes to `to` where the frame has fewer octets.
    fn need(&mut self, octets: i16, to: Label) {
        self.op(MOVE, 2, FRAME, 0, 0);
        self.op(ADD_IMMEDIATE, 2, 0, 0, octets.into());
        self.jump(JUMP_GREATER, 2, END, 0, to);
    }

    fn load_map(&mut self, register: u8, map: RawFd) {
        self.op(LOAD_MAP, register, PSEUDO_MAP_FD, 0, map);
        self.op(0, 0, 0, 0, 0);
    }

    /// r0 = what the map has for the key on the stack.
    fn look_up(&mut self, map: RawFd, key: i16) {
        self.load_map(1, map);
        self.op(MOVE, 2, 10, 0, 0);
        self.op(ADD_IMMEDIATE, 2, 0, 0, key.into());
        self.op(CALL, 0, 0, 0, MAP_LOOKUP_ELEM);
    }

    /// r0 = what the map has for the address in the frame.
    fn look_up_address(&mut self, map: RawFd, offset: i16) {
        for word in 0..4 {
            self.op(LOAD_U32, 5, FRAME, offset + 4 * word, 0);
            self.op(STORE_U32, 10, 5, KEY + 4 + 4 * word, 0);
        }
        self.look_up(map, KEY);
    }

    /// With the distances of all jumps: how many instructions lie between them and where they go.
    fn finish(mut self) -> Vec<u64> {
        for (from, to) in self.jumps {
            let target = self.labels.iter().find(|(label, _)| *label == to).map_or(0, |&(_, target)| target);
            let distance = target as i64 - from as i64 - 1;
            self.instructions[from] |= u64::from(distance as u16) << 16;
        }
        self.instructions
    }
}

fn instructions(sockets: RawFd, [destinations, upper, counters]: [RawFd; 3]) -> Vec<u64> {
    let ethertype = i32::from(ETHERTYPE_IPV6.to_be());
    let mut a = Assembler::default();
    a.op(MOVE, CONTEXT, 1, 0, 0);
    a.op(LOAD_U32, FRAME, CONTEXT, DATA, 0);
    a.op(LOAD_U32, END, CONTEXT, DATA_END, 0);
    a.need(HEADER_LEN as i16, Label::Pass);
    a.op(LOAD_U16, 5, FRAME, ETHERTYPE, 0);
    a.jump(JUMP_NOT_EQUAL_IMMEDIATE, 5, 0, ethertype, Label::Pass);
    a.need(UPPER, Label::Redirect);
    a.op(STORE_U32_IMMEDIATE, 10, 0, KEY, 128);
    a.look_up_address(destinations, DESTINATION);
    a.jump(JUMP_EQUAL_IMMEDIATE, 0, 0, 0, Label::Redirect);
    a.op(LOAD_U32, COUNTER, 0, 0, 0);
    a.jump(JUMP_EQUAL_IMMEDIATE, COUNTER, 0, OURS as i32, Label::Redirect);
    a.jump(JUMP_NOT_EQUAL_IMMEDIATE, COUNTER, 0, 0, Label::Count);

    a.op(LOAD_U8, 5, FRAME, NEXT_HEADER, 0);
    a.jump(JUMP_NOT_EQUAL_IMMEDIATE, 5, 0, protocol::ICMPV6.into(), Label::Rules);
    a.need(TARGET + 16, Label::Rules);
    a.op(LOAD_U8, 5, FRAME, UPPER, 0);
    a.op(MOVE_IMMEDIATE, COUNTER, 0, 0, COUNT_BOTH as i32 + 1);
    a.jump(JUMP_EQUAL_IMMEDIATE, 5, 0, NEIGHBOR_ADVERTISEMENT.into(), Label::Count);
    a.jump(JUMP_NOT_EQUAL_IMMEDIATE, 5, 0, NEIGHBOR_SOLICITATION.into(), Label::Rules);
    a.look_up_address(destinations, TARGET);
    a.jump(JUMP_EQUAL_IMMEDIATE, 0, 0, 0, Label::Rules);
    a.op(LOAD_U32, 5, 0, 0, 0);
    a.op(MOVE_IMMEDIATE, COUNTER, 0, 0, COUNT_SOLICITATION as i32 + 1);
    a.jump(JUMP_EQUAL_IMMEDIATE, 5, 0, COUNT_ADDRESS as i32 + 1, Label::Count);

    a.label(Label::Rules);
    a.op(LOAD_U8, 5, FRAME, NEXT_HEADER, 0);
    a.jump(JUMP_NOT_EQUAL_IMMEDIATE, 5, 0, protocol::FRAGMENT.into(), Label::Protocol);
    a.need(UPPER + 8, Label::Redirect);
    a.op(LOAD_U8, 5, FRAME, UPPER, 0);
    a.label(Label::Protocol);
    a.op(STORE_U32, 10, 5, NUMBER, 0);
    a.look_up(upper, NUMBER);
    a.jump(JUMP_NOT_EQUAL_IMMEDIATE, 0, 0, 0, Label::Found);
    a.op(LOAD_U8, 5, FRAME, NEXT_HEADER, 0);
    a.jump(JUMP_EQUAL_IMMEDIATE, 5, 0, protocol::TCP.into(), Label::Ports);
    a.jump(JUMP_NOT_EQUAL_IMMEDIATE, 5, 0, protocol::UDP.into(), Label::Redirect);
    a.label(Label::Ports);
    a.need(DESTINATION_PORT + 2, Label::Redirect);
    a.op(LOAD_U16, 4, FRAME, DESTINATION_PORT, 0);
    a.op(SHIFT_LEFT_IMMEDIATE, 4, 0, 0, 16);
    a.op(OR, 4, 5, 0, 0);
    a.op(STORE_U32, 10, 4, NUMBER, 0);
    a.look_up(upper, NUMBER);
    a.jump(JUMP_EQUAL_IMMEDIATE, 0, 0, 0, Label::Redirect);
    a.label(Label::Found);
    a.op(LOAD_U32, COUNTER, 0, 0, 0);

    a.label(Label::Count);
    a.op(ADD_IMMEDIATE, COUNTER, 0, 0, -1);
    a.op(STORE_U32, 10, COUNTER, NUMBER, 0);
    a.look_up(counters, NUMBER);
    a.jump(JUMP_EQUAL_IMMEDIATE, 0, 0, 0, Label::Pass);
    a.op(MOVE_IMMEDIATE, 1, 0, 0, 1);
    a.op(ATOMIC_U64, 0, 1, 0, 0);
    a.jump(JUMP, 0, 0, 0, Label::Pass);

    a.label(Label::Redirect);
    a.load_map(1, sockets);
    a.op(LOAD_U32, 2, CONTEXT, RX_QUEUE_INDEX, 0);
    a.op(MOVE_IMMEDIATE, 3, 0, 0, XDP_PASS); // where no socket serves the queue
    a.op(CALL, 0, 0, 0, REDIRECT_MAP);
    a.op(EXIT, 0, 0, 0, 0);

    a.label(Label::Pass);
    a.op(MOVE_IMMEDIATE, 0, 0, 0, XDP_PASS);
    a.op(EXIT, 0, 0, 0, 0);
    a.finish()
}
