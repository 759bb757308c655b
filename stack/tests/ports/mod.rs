//! What the tests of ports share: network namespaces, veths in them, and the far end of a port.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::Once;

/// Runs `test` in a thread with a network namespace of its own, which is gone with the thread, however that ends. Where
/// that is not permitted the test is left out, and one line for all of them says so; it fails with `DROVER_REQUIRE_NETNS=1`.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let result = std::thread::spawn(move || {
        // SAFETY: no pointer is passed; only this thread moves to the new namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } < 0 {
            let error = io::Error::last_os_error();
            assert!(
                std::env::var_os("DROVER_REQUIRE_NETNS").is_none_or(|value| value != "1"),
                "network namespaces are required (DROVER_REQUIRE_NETNS=1) and not to be had: {error}"
            );
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                let line =
                    "left out, as they need root: the tests of ports in network namespaces (af_xdp, af_packet, tun)\n";
                let _ = io::stderr().write_all(line.as_bytes());
            });
            return;
        }
        run("ip", &["link", "set", "lo", "up"]);
        test();
    })
    .join();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a program in this thread's namespace; it must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    output(program, arguments);
}

/// What a program prints in this thread's namespace; it must succeed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

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
}

/// A packet socket on an interface: the far end of a veth, seen by a program that shares no code with the ports.
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
