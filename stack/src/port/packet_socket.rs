//! packet(7) sockets: opening one, its options, and the multicast filter of an interface.

use super::watch::owned;
use core::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A packet socket that receives nothing before it is bound.
pub(super) fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointer is passed; `owned` checks the result.
    unsafe { owned(libc::socket(libc::AF_PACKET, kind, 0)) }
}

/// Has `interface` let all multicast through for as long as the returned socket is open: however the process ends, the
/// kernel restores the filter.
pub(super) fn allmulti(interface: u32) -> io::Result<OwnedFd> {
    let socket = open()?;
    join(&socket, interface, libc::PACKET_MR_ALLMULTI as u16)?;
    Ok(socket)
}

/// Adds a membership, PACKET_MR_*, that ends with the socket.
pub(super) fn join(socket: &OwnedFd, interface: u32, kind: u16) -> io::Result<()> {
    let membership =
        libc::packet_mreq { mr_ifindex: interface as c_int, mr_type: kind, mr_alen: 0, mr_address: [0; 8] };
    set_option(socket, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

pub(super) fn set_option<T>(socket: &OwnedFd, option: c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is as long as is said.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, (&raw const *value).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
