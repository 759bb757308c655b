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

/// Has a socket hear the IPv6 frames of `interface` from now on.
pub(super) fn bind_ipv6(socket: &OwnedFd, interface: u32) -> io::Result<()> {
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_IPV6 as u16).to_be();
    address.sll_ifindex = interface as c_int;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `address` is a sockaddr_ll of the length given.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has a socket hear only Ethernet frames of which the IPv6 header has one of these Next Header values.
pub(super) fn filter_next_headers(socket: &OwnedFd, values: &[u8]) -> io::Result<()> {
    const LOAD_OCTET: u16 = 0x30; // A = octet at k
    const JUMP_EQUAL: u16 = 0x15; // if A == k skip jt, else jf
    const RETURN: u16 = 0x06; // accept k octets
    const NEXT_HEADER: u32 = 14 + 6;
    let mut filter = vec![libc::sock_filter { code: LOAD_OCTET, jt: 0, jf: 0, k: NEXT_HEADER }];
    for (index, &value) in values.iter().enumerate() {
        // To the last instruction, over the tests that are left and the refusal behind them.
        let left = (values.len() - index) as u8;
        filter.push(libc::sock_filter { code: JUMP_EQUAL, jt: left, jf: 0, k: value.into() });
    }
    filter.push(libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: 0 });
    filter.push(libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: u32::MAX });
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
    // SAFETY: `program` is a sock_fprog of the length given, and points at as many instructions as it says.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const program).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
