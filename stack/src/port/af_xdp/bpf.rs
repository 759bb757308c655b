//! bpf(2): maps, a program, its attachment. Constants from linux/bpf.h.

use crate::port::watch::owned;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const BPF_MAP_CREATE: i32 = 0;
const BPF_MAP_UPDATE_ELEM: i32 = 2;
const BPF_PROG_LOAD: i32 = 5;
const BPF_LINK_CREATE: i32 = 28;

const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;

/// An LPM trie gets its memory entry by entry.
const BPF_F_NO_PREALLOC: u32 = 1;

/// Kinds of map.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum MapKind {
    LpmTrie = 11,
    Xsk = 17,
}

/// Where in the kernel the program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Hook {
    /// On the frame, behind the stack's allocation of a buffer for it. Any driver.
    Generic = 1 << 1,
    /// In the driver.
    Native = 1 << 2,
}

fn bpf<T>(command: i32, attributes: &mut T) -> io::Result<i64> {
    // SAFETY: `attributes` is a structure laid out as the command wants it, of the size given; the pointers in it are
    // to memory that outlives the call, which holds on to none of it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, core::ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn bpf_fd<T>(command: i32, attributes: &mut T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    // SAFETY: the commands that come here return a new descriptor; a negative result has left with an error.
    unsafe { owned(fd as i32) }
}

pub(super) fn create_map(kind: MapKind, key: u32, value: u32, entries: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    }
    let flags = if matches!(kind, MapKind::LpmTrie) { BPF_F_NO_PREALLOC } else { 0 };
    let mut attributes =
        Attributes { map_type: kind as u32, key_size: key, value_size: value, max_entries: entries, map_flags: flags };
    bpf_fd(BPF_MAP_CREATE, &mut attributes)
}

/// Sets the element `key` of a map whose keys and values are as long as these.
pub(super) fn update_element(map: &OwnedFd, key: &[u8], value: &[u8]) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        map_fd: u32,
        padding: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let mut attributes = Attributes {
        map_fd: map.as_raw_fd() as u32,
        padding: 0,
        key: key.as_ptr() as u64,
        value: value.as_ptr() as u64,
        flags: 0,
    };
    bpf(BPF_MAP_UPDATE_ELEM, &mut attributes).map(drop)
}

/// Loads an XDP program.
pub(super) fn load_program(instructions: &[u64]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        prog_name: [u8; 16],
        prog_ifindex: u32,
        expected_attach_type: u32,
    }
    // The program calls no helper that asks for a licence; the kernel asks for a text.
    let license = c"none";
    let mut attributes = Attributes {
        prog_type: BPF_PROG_TYPE_XDP,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"drover\0\0\0\0\0\0\0\0\0\0",
        prog_ifindex: 0,
        expected_attach_type: BPF_XDP,
    };
    bpf_fd(BPF_PROG_LOAD, &mut attributes)
}

/// Attaches a program to an interface for as long as the returned descriptor is open.
pub(super) fn attach(program: &OwnedFd, interface: u32, hook: Hook) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        prog_fd: u32,
        target_ifindex: u32,
        attach_type: u32,
        flags: u32,
    }
    let program: RawFd = program.as_raw_fd();
    let mut attributes =
        Attributes { prog_fd: program as u32, target_ifindex: interface, attach_type: BPF_XDP, flags: hook as u32 };
    bpf_fd(BPF_LINK_CREATE, &mut attributes)
}
