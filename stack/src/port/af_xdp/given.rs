//! What driver and kernel give a port, found out by trying and asking.

use crate::port::bpf::Hook;
use crate::port::netdev_family::XdpFeatures;
use crate::port::watch::owned;
use core::fmt;
use std::io;
use std::os::fd::AsRawFd;

/// What driver and kernel give an AF_XDP port. [`Display`](fmt::Display) writes it for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XdpGiven {
    /// Where the XDP program runs.
    pub hook: Hook,
    /// Whether frames reach all of the port's sockets without being copied.
    pub zero_copy: bool,
    /// Whether the kernel says when it has to be called.
    pub need_wakeup: bool,
    /// How long a call polls the device where it may wait, in µs, as the kernel has taken it; 0 for no polling.
    pub busy_poll_us: u32,
    /// Whether calls do poll the device: the kernel knows by which number (NAPI), of one of the port's sockets at least.
    /// Where it does not, interrupts serve them as without [`busy_poll_us`](XdpGiven::busy_poll_us).
    pub polls_device: bool,
    /// Whether frames in several pieces could be had. The port takes none: a packet lies in one frame.
    pub multi_buffer: bool,
    /// Whether the frames stand on reserved huge pages.
    pub huge_pages: bool,
    /// Receive queues of the interface.
    pub queues: u32,
    /// Those that are this port's.
    pub own_queues: u32,
    /// The interface's MTU in octets, which may be more than that of the port: longer packets are lost on the way in,
    /// and counted as such.
    pub interface_mtu: usize,
    /// The memory node that the interface's device is attached to; `None` where it has no device, or where that belongs to
    /// none.
    pub memory_node: Option<usize>,
}

impl fmt::Display for XdpGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hook.name())?;
        f.write_str(if self.zero_copy { ", zero-copy" } else { ", copy" })?;
        if self.need_wakeup {
            f.write_str(", need-wakeup")?;
        }
        if self.busy_poll_us > 0 {
            let without = if self.polls_device { "" } else { " without a device" };
            write!(f, ", busy poll {} µs{without}", self.busy_poll_us)?;
        }
        if self.own_queues == self.queues {
            write!(f, ", {}", self.queues)?;
        } else {
            write!(f, ", {} of {}", self.own_queues, self.queues)?;
        }
        f.write_str(if self.queues == 1 { " queue" } else { " queues" })
    }
}

/// Whether a socket on this interface could have frames in several pieces.
pub(super) fn multi_buffer(interface: u32, hook: Hook, zero_copy: bool) -> bool {
    let offers = |offers: fn(&XdpFeatures) -> bool| XdpFeatures::of(interface).is_ok_and(|features| offers(&features));
    let in_driver = match (hook, zero_copy) {
        // The kernel makes one piece of a frame before a program of this kind sees it, whatever the driver.
        (Hook::Generic, _) => true,
        (Hook::Native, false) => offers(XdpFeatures::has_multi_buffer),
        (Hook::Native, true) => offers(XdpFeatures::has_multi_buffer_without_copy),
    };
    in_driver && kernel_knows_multi_buffer().unwrap_or(false)
}

/// Whether bind(2) knows XDP_USE_SG (Linux 6.6 and later). It looks at the flags before it looks for the interface, so
/// that one without interface finds out and leaves nothing behind.
fn kernel_knows_multi_buffer() -> io::Result<bool> {
    // SAFETY: no pointer is passed; `owned` checks the result.
    let fd = unsafe { owned(libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0)) }?;
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_USE_SG,
        sxdp_ifindex: i32::MAX as u32,
        sxdp_queue_id: 0,
        sxdp_shared_umem_fd: 0,
    };
    let length = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    // SAFETY: `address` is a sockaddr_xdp of the length given.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    Ok(result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENODEV))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_reads_as_a_line() {
        let least = XdpGiven {
            hook: Hook::Generic,
            zero_copy: false,
            need_wakeup: false,
            busy_poll_us: 0,
            polls_device: false,
            multi_buffer: true,
            huge_pages: false,
            queues: 1,
            own_queues: 1,
            interface_mtu: 1500,
            memory_node: None,
        };
        assert_eq!(least.to_string(), "generic, copy, 1 queue");
        let most = XdpGiven {
            hook: Hook::Native,
            zero_copy: true,
            need_wakeup: true,
            busy_poll_us: 20,
            polls_device: true,
            queues: 4,
            own_queues: 2,
            ..least
        };
        assert_eq!(most.to_string(), "native, zero-copy, need-wakeup, busy poll 20 µs, 2 of 4 queues");
        let unknown = XdpGiven { busy_poll_us: 5, ..least };
        assert_eq!(unknown.to_string(), "generic, copy, busy poll 5 µs without a device, 1 queue");
    }
}
