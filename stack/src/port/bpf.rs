//! bpf(2): maps, an XDP program, its attachment, and running it on frames of its own. Constants from linux/bpf.h. What
//! fails answers with the kernel's error.

use crate::port::watch::owned;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const BPF_MAP_CREATE: i32 = 0;
const BPF_MAP_LOOKUP_ELEM: i32 = 1;
const BPF_MAP_UPDATE_ELEM: i32 = 2;
const BPF_MAP_DELETE_ELEM: i32 = 3;
const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_TEST_RUN: i32 = 10;
const BPF_LINK_CREATE: i32 = 28;

const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;

/// An LPM trie gets its memory entry by entry.
const BPF_F_NO_PREALLOC: u32 = 1;
/// The elements can be mapped into a process.
const BPF_F_MMAPABLE: u32 = 1 << 10;
/// The program takes frames that lie in several pieces.
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
/// Frames go where the program sends them, instead of back to the caller.
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;

/// Kinds of map.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum MapKind {
    /// Values by key.
    Hash = 1,
    /// An array, to be mapped into this process.
    Array = 2,
    /// Values by longest prefix.
    LpmTrie = 11,
    /// AF_XDP sockets by queue.
    Xsk = 17,
}

/// Where in the kernel the program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Hook {
    /// On the frame, behind the stack's allocation of a buffer for it. Any driver.
    Generic = 1 << 1,
    /// In the driver.
    Native = 1 << 2,
}

impl Hook {
    /// `native` or `generic`.
    pub const fn name(self) -> &'static str {
        match self {
            Hook::Generic => "generic",
            Hook::Native => "native",
        }
    }
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

/// Makes a map; lengths of keys and values are octets.
///
/// # Errors
/// The kernel's.
pub fn create_map(kind: MapKind, key: u32, value: u32, entries: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    }
    let flags = match kind {
        MapKind::Array => BPF_F_MMAPABLE,
        MapKind::LpmTrie => BPF_F_NO_PREALLOC,
        MapKind::Hash | MapKind::Xsk => 0,
    };
    let mut attributes =
        Attributes { map_type: kind as u32, key_size: key, value_size: value, max_entries: entries, map_flags: flags };
    bpf_fd(BPF_MAP_CREATE, &mut attributes)
}

/// What the commands about one element of a map are told.
#[repr(C)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl Element {
    fn new(map: &OwnedFd, key: &[u8], value: u64) -> Self {
        Element { map_fd: map.as_raw_fd() as u32, padding: 0, key: key.as_ptr() as u64, value, flags: 0 }
    }
}

/// Sets the element `key` of a map whose keys and values are as long as these.
///
/// # Errors
/// The kernel's.
pub fn update_element(map: &OwnedFd, key: &[u8], value: &[u8]) -> io::Result<()> {
    bpf(BPF_MAP_UPDATE_ELEM, &mut Element::new(map, key, value.as_ptr() as u64)).map(drop)
}

/// Removes the element `key` of a map whose keys are as long as this.
///
/// # Errors
/// The kernel's: ENOENT where there is none.
pub fn delete_element(map: &OwnedFd, key: &[u8]) -> io::Result<()> {
    bpf(BPF_MAP_DELETE_ELEM, &mut Element::new(map, key, 0)).map(drop)
}

/// The element at an index of a [`MapKind::Array`] of 64-bit numbers.
///
/// # Errors
/// The kernel's: ENOENT behind the end.
pub fn number_at(map: &OwnedFd, index: u32) -> io::Result<u64> {
    let mut value = 0u64;
    let key = index.to_ne_bytes();
    bpf(BPF_MAP_LOOKUP_ELEM, &mut Element::new(map, &key, (&raw mut value) as u64))?;
    Ok(value)
}

/// Loads an XDP program. Where there is room in `log`, the verifier writes there what it thinks of it, which makes loading
/// fail where it has more to say.
///
/// # Errors
/// The kernel's.
pub fn load_program(instructions: &[u64], log: &mut [u8]) -> io::Result<OwnedFd> {
    load(instructions, log, 0)
}

/// Loads an XDP program that may be given frames in several pieces, of which it sees the first.
///
/// # Errors
/// The kernel's: EINVAL where it knows no such frames (before 5.18).
pub fn load_program_for_fragments(instructions: &[u64]) -> io::Result<OwnedFd> {
    load(instructions, &mut [], BPF_F_XDP_HAS_FRAGS)
}

fn load(instructions: &[u64], log: &mut [u8], flags: u32) -> io::Result<OwnedFd> {
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
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        kern_version: 0,
        prog_flags: flags,
        prog_name: *b"drover\0\0\0\0\0\0\0\0\0\0",
        prog_ifindex: 0,
        expected_attach_type: BPF_XDP,
    };
    bpf_fd(BPF_PROG_LOAD, &mut attributes)
}

/// Attaches a program to an interface for as long as the returned descriptor is open.
///
/// # Errors
/// The kernel's.
pub fn attach(program: &OwnedFd, interface: u32, hook: Hook) -> io::Result<OwnedFd> {
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

/// Runs a program `times` on frames that begin as `frame`; where it sends them, they go. Frames are handed on when so many
/// have been made as `train` says, 1 to 256.
///
/// # Errors
/// The kernel's; a signal is one.
pub fn run(program: &OwnedFd, frame: &[u8], times: u32, train: u32) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        prog_fd: u32,
        retval: u32,
        data_size_in: u32,
        data_size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        ctx_size_in: u32,
        ctx_size_out: u32,
        ctx_in: u64,
        ctx_out: u64,
        flags: u32,
        cpu: u32,
        batch_size: u32,
        padding: u32,
    }
    let mut attributes = Attributes {
        prog_fd: program.as_raw_fd() as u32,
        retval: 0,
        data_size_in: frame.len() as u32,
        data_size_out: 0,
        data_in: frame.as_ptr() as u64,
        data_out: 0,
        repeat: times,
        duration: 0,
        ctx_size_in: 0,
        ctx_size_out: 0,
        ctx_in: 0,
        ctx_out: 0,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        cpu: 0,
        batch_size: train,
        padding: 0,
    };
    bpf(BPF_PROG_TEST_RUN, &mut attributes).map(drop)
}
