//! A veth, and its far end as a program sees it that shares no code with the ports.

use crate::namespace::{await_carrier, run};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Makes a veth from `near` to `far`, both up and without addresses, so that the kernel says nothing on it.
pub(crate) fn veth(near: &str, far: &str, more: &[&str]) {
    let mut arguments = vec!["link", "add", near];
    arguments.extend(more);
    arguments.extend(["type", "veth", "peer", "name", far]);
    run("ip", &arguments);
    for name in [near, far] {
        run("ip", &["link", "set", name, "addrgenmode", "none"]);
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").expect("IPv6 can be disabled");
        run("ip", &["link", "set", name, "up"]);
    }
    await_carrier(near);
    await_carrier(far);
}

/// A packet socket on an interface.
pub(crate) struct Wire(OwnedFd);

impl Wire {
    pub(crate) fn open(interface: &str) -> Wire {
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: no pointer is passed; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK, protocol.into()) };
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        // SAFETY: a descriptor that was just made and that nothing else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let name = std::ffi::CString::new(interface).expect("a name");
        // SAFETY: a C string.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        assert!(index > 0, "{interface} exists");
        // SAFETY: all zeros is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = index as i32;
        let one: i32 = 1;
        // SAFETY: the address and the option's value are as long as is said.
        unsafe {
            let length = size_of::<libc::sockaddr_ll>() as u32;
            assert_eq!(libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length), 0);
            let ignore = libc::PACKET_IGNORE_OUTGOING;
            assert_eq!(libc::setsockopt(fd.as_raw_fd(), libc::SOL_PACKET, ignore, (&raw const one).cast(), 4), 0);
        }
        Wire(fd)
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        // SAFETY: the octets of `frame`.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        assert_eq!(sent, frame.len() as isize, "{}", io::Error::last_os_error());
    }

    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 10_000];
        // SAFETY: the octets of `buffer`.
        let length = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        buffer.truncate(usize::try_from(length).ok()?);
        Some(buffer)
    }

    pub(crate) fn wait(&self) {
        wait(self.0.as_raw_fd());
    }
}

/// Waits until `fd` is readable. What is waited for always comes, so the limit is only against hanging.
pub(crate) fn wait(fd: i32) {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    let ready = unsafe { libc::poll(&mut poll, 1, 20_000) };
    assert!(ready > 0, "nothing came");
}
