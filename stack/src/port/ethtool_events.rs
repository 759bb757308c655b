//! Being told that settings of network devices have changed, the number of their queues among them, by the generic
//! netlink family `ethtool` (linux/ethtool_netlink.h; Linux 5.7 and later). rtnetlink(7) tells nothing of queues.

use super::generic_netlink::Family;
use super::netlink::Socket;
use std::io;
use std::os::fd::RawFd;

/// Told of every change of every device in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct EthtoolEvents(Socket);

impl EthtoolEvents {
    /// # Errors
    /// ENOENT where the kernel has no such family.
    pub(super) fn open() -> io::Result<Self> {
        let group = Family::find(&Socket::open_generic()?, "ethtool")?.group("monitor")?;
        let events = Socket::generic_events()?;
        events.join(group)?;
        Ok(EthtoolEvents(events))
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.fd()
    }

    /// Reads what has come, as many datagrams as are said at the most; whether something has, or was lost. What it was is
    /// not looked at: changes are rare, and to count queues is quick.
    pub(super) fn read(&self, most: usize) -> bool {
        let mut told = false;
        for _ in 0..most {
            match self.0.receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // ENOBUFS says that some were lost.
                Ok(_) | Err(_) => told = true,
            }
        }
        told
    }
}
