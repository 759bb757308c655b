//! bpf(2) as a generator and a sink need it: maps in this process's memory, programs, running one on frames of its own.
//! Constants from linux/bpf.h.

use anyhow::{Context, Result, bail};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64};

const BPF_MAP_CREATE: i32 = 0;
const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_TEST_RUN: i32 = 10;
const BPF_LINK_CREATE: i32 = 28;

const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_F_MMAPABLE: u32 = 1 << 10;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
/// Frames go where the program sends them, instead of back to the caller.
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;

/// Octets of the verifier's words that are kept for an error.
const LOG_LEN: usize = 1 << 18;

fn bpf<T>(command: i32, attributes: &mut T) -> io::Result<i64> {
    // SAFETY: `attributes` is a structure laid out as the command wants it, of the size given; the pointers in it are to
    // memory that outlives the call, which holds on to none of it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, core::ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn bpf_fd<T>(command: i32, attributes: &mut T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    // SAFETY: the commands that come here return a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Memory that programs of the kernel and this process share: an array map of one element.
pub(super) struct Shared {
    map: OwnedFd,
    memory: *mut libc::c_void,
    octets: usize,
}

impl Shared {
    /// So many octets, zero.
    pub(super) fn new(octets: usize) -> io::Result<Self> {
        #[repr(C)]
        struct Attributes {
            map_type: u32,
            key_size: u32,
            value_size: u32,
            max_entries: u32,
            map_flags: u32,
        }
        let mut attributes = Attributes {
            map_type: BPF_MAP_TYPE_ARRAY,
            key_size: 4,
            value_size: octets as u32,
            max_entries: 1,
            map_flags: BPF_F_MMAPABLE,
        };
        let map = bpf_fd(BPF_MAP_CREATE, &mut attributes)?;
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
        // The programs call no helper that asks for a licence; the kernel asks for a text.
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
            prog_name: *b"drover_bench\0\0\0\0",
            prog_ifindex: 0,
            expected_attach_type: BPF_XDP,
        };
        let error = match bpf_fd(BPF_PROG_LOAD, &mut attributes) {
            Ok(program) => return Ok(Program(program)),
            Err(error) => error,
        };
        if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) && !may_load() {
            bail!("loading an XDP program is not permitted ({error}): run as root, or grant CAP_NET_ADMIN and CAP_BPF");
        }
        let mut log = vec![0u8; LOG_LEN];
        (attributes.log_level, attributes.log_size, attributes.log_buf) = (1, LOG_LEN as u32, log.as_mut_ptr() as u64);
        let _ = bpf_fd(BPF_PROG_LOAD, &mut attributes);
        let said = String::from_utf8_lossy(&log);
        let said: Vec<&str> = said.trim_end_matches('\0').lines().rev().take(8).collect();
        bail!("the kernel refuses an XDP program: {error}: {}", said.into_iter().rev().collect::<Vec<_>>().join("; "))
    }

    /// Attaches it in the driver of an interface, for as long as what is returned lives.
    pub(super) fn attach(&self, interface: u32) -> Result<OwnedFd> {
        #[repr(C)]
        struct Attributes {
            prog_fd: u32,
            target_ifindex: u32,
            attach_type: u32,
            flags: u32,
        }
        let mut attributes = Attributes {
            prog_fd: self.0.as_raw_fd() as u32,
            target_ifindex: interface,
            attach_type: BPF_XDP,
            flags: XDP_FLAGS_DRV_MODE,
        };
        bpf_fd(BPF_LINK_CREATE, &mut attributes)
            .with_context(|| format!("attaching an XDP program to interface {interface}"))
    }

    /// Runs it `times` on frames that begin as `frame`; where it sends them, they go. Frames are handed on when so many
    /// have been made as `train` says, 1 to 256.
    ///
    /// # Errors
    /// The kernel's; a signal is one.
    pub(super) fn run(&self, frame: &[u8], times: u32, train: u32) -> io::Result<()> {
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
            prog_fd: self.0.as_raw_fd() as u32,
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
}

/// Whether this process may load programs at all: the smallest one tells.
fn may_load() -> bool {
    // SAFETY: no pointer is passed.
    unsafe { libc::geteuid() == 0 }
}
