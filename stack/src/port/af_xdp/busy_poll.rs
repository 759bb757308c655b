//! Busy polling: the device is served in the calls of the socket, and not by interrupts beside them.
//!
//! A call for receiving or sending then runs the driver's polling function (NAPI) once, for a batch at the most, on this
//! core. The device's interrupts stay off between calls only where its `napi_defer_hard_irqs` and `gro_flush_timeout`
//! say so. Which function that is, a socket has to know. Up to Linux 6.12 it learns that from the first frame that comes;
//! later it is told when it is bound, where the driver says which function serves the queue, and at first only without
//! copies. Where it does not know, calls poll nothing, and interrupts serve it.

use crate::packet::BATCH_SIZE;
use core::ffi::c_int;
use std::os::fd::RawFd;

// asm-generic/socket.h
const SO_BUSY_POLL: c_int = 46;
const SO_INCOMING_NAPI_ID: c_int = 56;
const SO_PREFER_BUSY_POLL: c_int = 69;
const SO_BUSY_POLL_BUDGET: c_int = 70;

/// Asks for busy polling on an AF_XDP socket; the µs that the kernel has taken, 0 where it does not do it: it is built
/// without, older than 5.11, or does not let this process.
pub(super) fn ask_for(fd: RawFd, micros: u32) -> u32 {
    set(fd, SO_PREFER_BUSY_POLL, 1);
    set(fd, SO_BUSY_POLL, c_int::try_from(micros).unwrap_or(c_int::MAX));
    set(fd, SO_BUSY_POLL_BUDGET, BATCH_SIZE as c_int);
    let preferred = get(fd, SO_PREFER_BUSY_POLL).is_some_and(|preferred| preferred != 0);
    if preferred { get(fd, SO_BUSY_POLL).and_then(|micros| u32::try_from(micros).ok()).unwrap_or(0) } else { 0 }
}

/// Whether the kernel knows what to poll for this socket.
pub(super) fn has_device(fd: RawFd) -> bool {
    get(fd, SO_INCOMING_NAPI_ID).is_some_and(|number| number > 0)
}

/// What was refused shows when it is read back.
fn set(fd: RawFd, option: c_int, value: c_int) {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` is as long as is said.
    unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const value).cast(), length) };
}

fn get(fd: RawFd, option: c_int) -> Option<c_int> {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` is as long as is said, and any octets are an int.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, option, (&raw mut value).cast(), &mut length) };
    (result == 0).then_some(value)
}
