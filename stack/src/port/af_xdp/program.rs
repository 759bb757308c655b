//! The XDP program in front of a port: what is ours goes to the socket of its queue, the rest to the kernel.
//!
//! It is assembled here by hand, so that building needs no compiler for BPF. In C it would be:
//!
//! ```c
//! if (data + 14 > data_end || *(u16 *)(data + 12) != htons(ETH_P_IPV6)) return XDP_PASS;
//! if (data + 54 <= data_end) {                  // shorter ones are ours too: the pipeline counts them
//!     struct { u32 length; u8 address[16]; } key = { 128, destination address };
//!     if (bpf_map_lookup_elem(&kernel, &key)) return XDP_PASS;
//! }
//! return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
//! ```
//!
//! `kernel` is a trie of destination prefixes that the kernel keeps: none, unless the configuration narrows what is ours.

use super::share::Steering;
use crate::addr::Prefix;
use crate::port::bpf::{self, Hook, MapKind};
use crate::wire::ethernet::{ETHERTYPE_IPV6, HEADER_LEN};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Prefixes that can be left to the kernel.
pub(super) const MAX_KERNEL_PREFIXES: usize = 256;

/// A loaded program on an interface. Dropping it takes it off.
#[derive(Debug)]
pub(super) struct Program {
    sockets: Arc<OwnedFd>,
    hook: Hook,
    _link: OwnedFd,
}

impl Program {
    /// Loads the program for `queues` queues and attaches it, natively where the driver can and `generic` does not
    /// forbid it, otherwise generically.
    pub(super) fn attach(interface: u32, queues: u32, generic: bool, kernel: &[Prefix]) -> io::Result<Self> {
        let sockets = bpf::create_map(MapKind::Xsk, 4, 4, queues)?;
        let rules = bpf::create_map(MapKind::LpmTrie, 4 + 16, 4, MAX_KERNEL_PREFIXES as u32)?;
        for prefix in kernel {
            let mut key = [0; 20];
            key[..4].copy_from_slice(&u32::from(prefix.length()).to_ne_bytes());
            key[4..].copy_from_slice(&prefix.address().octets());
            bpf::update_element(&rules, &key, &1u32.to_ne_bytes())?;
        }
        let instructions = instructions(sockets.as_raw_fd(), rules.as_raw_fd());
        let program = bpf::load_program(&instructions, &mut [])?;
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
        Ok(Program { sockets: Arc::new(sockets), hook, _link: link })
    }

    /// What those need to know who serve its queues, of which the interface has so many.
    pub(super) fn steering(&self, interface: u32, queues: u32) -> Steering {
        Steering { interface, queues, hook: self.hook, sockets: Arc::clone(&self.sockets) }
    }
}

// Instruction codes of linux/bpf_common.h and linux/bpf.h.
const LOAD_U16: u8 = 0x69; // dst = *(u16 *)(src + offset)
const LOAD_U32: u8 = 0x61; // dst = *(u32 *)(src + offset)
const STORE_U32: u8 = 0x63; // *(u32 *)(dst + offset) = src
const STORE_U32_IMMEDIATE: u8 = 0x62; // *(u32 *)(dst + offset) = immediate
const LOAD_MAP: u8 = 0x18; // dst = the map of descriptor immediate; two slots
const MOVE: u8 = 0xbf; // dst = src
const MOVE_IMMEDIATE: u8 = 0xb7; // dst = immediate
const ADD_IMMEDIATE: u8 = 0x07; // dst += immediate
const JUMP_GREATER: u8 = 0x2d; // if dst > src, skip offset instructions
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

/// Octets of the frame up to the end of the IPv6 header.
const IPV6_END: i32 = HEADER_LEN as i32 + 40;
/// Octets of the frame up to the destination address.
const DESTINATION: i16 = HEADER_LEN as i16 + 24;
/// Where the key lies in the stack frame that r10 points behind: 4 octets of length, 16 of address.
const KEY: i16 = -24;

/// One instruction, as a little-endian machine lays it out.
const fn op(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> u64 {
    let low = code as u64 | ((src << 4 | dst) as u64) << 8 | (offset as u16 as u64) << 16;
    low | (immediate as u32 as u64) << 32
}

const LENGTH: usize = 34;
/// Where jumps go.
const REDIRECT: i16 = 26;
const PASS: i16 = 32;

/// The offset of a jump at `from` to `to`: how many instructions lie between them.
const fn jump(from: i16, to: i16) -> i16 {
    to - from - 1
}

#[rustfmt::skip]
fn instructions(sockets: RawFd, rules: RawFd) -> [u64; LENGTH] {
    const ETHERTYPE: i32 = ETHERTYPE_IPV6.to_be() as i32;
    [
        /*  0 */ op(MOVE, 6, 1, 0, 0),                                  // r6 = ctx, kept over calls
        /*  1 */ op(LOAD_U32, 2, 6, DATA, 0),                           // r2 = data
        /*  2 */ op(LOAD_U32, 3, 6, DATA_END, 0),                       // r3 = data_end
        /*  3 */ op(MOVE, 4, 2, 0, 0),
        /*  4 */ op(ADD_IMMEDIATE, 4, 0, 0, HEADER_LEN as i32),
        /*  5 */ op(JUMP_GREATER, 4, 3, jump(5, PASS), 0),              // no whole Ethernet header
        /*  6 */ op(LOAD_U16, 5, 2, 12, 0),
        /*  7 */ op(JUMP_NOT_EQUAL_IMMEDIATE, 5, 0, jump(7, PASS), ETHERTYPE),
        /*  8 */ op(MOVE, 4, 2, 0, 0),
        /*  9 */ op(ADD_IMMEDIATE, 4, 0, 0, IPV6_END),
        /* 10 */ op(JUMP_GREATER, 4, 3, jump(10, REDIRECT), 0),         // no whole IPv6 header
        /* 11 */ op(STORE_U32_IMMEDIATE, 10, 0, KEY, 128),              // the key, on the stack
        /* 12 */ op(LOAD_U32, 5, 2, DESTINATION, 0),
        /* 13 */ op(STORE_U32, 10, 5, KEY + 4, 0),
        /* 14 */ op(LOAD_U32, 5, 2, DESTINATION + 4, 0),
        /* 15 */ op(STORE_U32, 10, 5, KEY + 8, 0),
        /* 16 */ op(LOAD_U32, 5, 2, DESTINATION + 8, 0),
        /* 17 */ op(STORE_U32, 10, 5, KEY + 12, 0),
        /* 18 */ op(LOAD_U32, 5, 2, DESTINATION + 12, 0),
        /* 19 */ op(STORE_U32, 10, 5, KEY + 16, 0),
        /* 20 */ op(LOAD_MAP, 1, PSEUDO_MAP_FD, 0, rules),
        /* 21 */ op(0, 0, 0, 0, 0),
        /* 22 */ op(MOVE, 2, 10, 0, 0),
        /* 23 */ op(ADD_IMMEDIATE, 2, 0, 0, KEY as i32),
        /* 24 */ op(CALL, 0, 0, 0, MAP_LOOKUP_ELEM),
        /* 25 */ op(JUMP_NOT_EQUAL_IMMEDIATE, 0, 0, jump(25, PASS), 0), // the kernel's
        // REDIRECT
        /* 26 */ op(LOAD_MAP, 1, PSEUDO_MAP_FD, 0, sockets),
        /* 27 */ op(0, 0, 0, 0, 0),
        /* 28 */ op(LOAD_U32, 2, 6, RX_QUEUE_INDEX, 0),
        /* 29 */ op(MOVE_IMMEDIATE, 3, 0, 0, XDP_PASS),                 // where no socket serves the queue
        /* 30 */ op(CALL, 0, 0, 0, REDIRECT_MAP),
        /* 31 */ op(EXIT, 0, 0, 0, 0),
        // PASS
        /* 32 */ op(MOVE_IMMEDIATE, 0, 0, 0, XDP_PASS),
        /* 33 */ op(EXIT, 0, 0, 0, 0),
    ]
}
