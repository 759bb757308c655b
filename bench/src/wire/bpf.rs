//! What a generator and a sink make of bpf(2): maps in this process's memory, and programs whose refusal is explained.

use anyhow::{Context, Result, bail};
use stack::port::bpf::{self, Hook, MapKind};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Octets of the verifier's words that are kept for an error.
const LOG_LEN: usize = 1 << 18;

/// Memory that programs of the kernel and this process share: an array map of one element.
pub(super) struct Shared {
    map: OwnedFd,
    memory: *mut libc::c_void,
    octets: usize,
}

impl Shared {
    /// So many octets, zero.
    pub(super) fn new(octets: usize) -> io::Result<Self> {
        let map = bpf::create_map(MapKind::Array, 4, octets as u32, 1)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choosing; the result is checked.
        let memory =
            unsafe { libc::mmap(core::ptr::null_mut(), octets, protection, libc::MAP_SHARED, map.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Shared { map, memory, octets })
    }

    /// For [`super::assembler::Assembler::map_value`].
    pub(super) fn descriptor(&self) -> i32 {
        self.map.as_raw_fd()
    }

    /// As words of 64 bits.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, lives as long as `self`, and is only ever accessed through atomics here.
        unsafe { core::slice::from_raw_parts(self.memory.cast(), self.octets / size_of::<AtomicU64>()) }
    }

    /// As words of 32 bits.
    pub(super) fn halves(&self) -> &[AtomicU32] {
        // SAFETY: as for `words`.
        unsafe { core::slice::from_raw_parts(self.memory.cast(), self.octets / size_of::<AtomicU32>()) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; the slices into it have ended with the borrow of `self`.
        unsafe { libc::munmap(self.memory, self.octets) };
    }
}

/// A loaded XDP program.
pub(super) struct Program(OwnedFd);

impl Program {
    /// Loads it.
    ///
    /// # Errors
    /// With the end of what the verifier says, where it refuses the program.
    pub(super) fn load(instructions: &[u64]) -> Result<Self> {
        let error = match bpf::load_program(instructions, &mut []) {
            Ok(program) => return Ok(Program(program)),
            Err(error) => error,
        };
        if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) && !may_load() {
            bail!("loading an XDP program is not permitted ({error}): run as root, or grant CAP_NET_ADMIN and CAP_BPF");
        }
        let mut log = vec![0u8; LOG_LEN];
        let _ = bpf::load_program(instructions, &mut log);
        let said = String::from_utf8_lossy(&log);
        let said: Vec<&str> = said.trim_end_matches('\0').lines().rev().take(8).collect();
        bail!("the kernel refuses an XDP program: {error}: {}", said.into_iter().rev().collect::<Vec<_>>().join("; "))
    }

    /// Attaches it in the driver of an interface, for as long as what is returned lives.
    pub(super) fn attach(&self, interface: u32) -> Result<OwnedFd> {
        bpf::attach(&self.0, interface, Hook::Native)
            .with_context(|| format!("attaching an XDP program to interface {interface}"))
    }

    /// Runs it `times` on frames that begin as `frame`; where it sends them, they go. Frames are handed on when so many
    /// have been made as `train` says, 1 to 256.
    ///
    /// # Errors
    /// The kernel's; a signal is one.
    pub(super) fn run(&self, frame: &[u8], times: u32, train: u32) -> io::Result<()> {
        bpf::run(&self.0, frame, times, train)
    }
}

/// Whether this process may load programs at all: the smallest one tells.
fn may_load() -> bool {
    // SAFETY: no pointer is passed.
    unsafe { libc::geteuid() == 0 }
}
