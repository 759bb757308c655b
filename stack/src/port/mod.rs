//! Ports: where frames enter and leave a worker.

mod af_packet;
mod af_xdp;
pub mod bpf;
mod error;
mod ethtool_events;
mod generic_netlink;
pub mod mem;
mod memory_node;
mod netdev_family;
pub mod netdevice;
mod netlink;
mod packet_socket;
pub mod pcap;
mod tun;
pub mod wait;
mod watch;

pub use af_packet::PacketPort;
pub use af_xdp::{KernelRule, KernelShare, MAX_RULES, PROTOCOLS, Umem, XdpGiven, XdpOptions, XdpPort, XdpShare};
pub use error::PortError;
pub use mem::{MemEnd, MemPort};
pub use pcap::{PcapPort, PcapReader, PcapWriter};
pub use tun::{TunOptions, TunPort};

use crate::addr::MacAddress;
use crate::packet::{Batch, Pool};
use crate::wire::ethernet::HEADER_LEN as ETHERNET_HEADER_LEN;
use std::os::fd::RawFd;

/// What frames on a port look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// Ethernet frames.
    Ethernet,
    /// Bare IPv6 packets.
    Ip,
}

/// Whether frames can pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkState {
    /// They can.
    Up,
    /// They cannot; the port tries to come back by itself.
    Down,
}

/// What a port is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortInfo {
    /// Name of the interface, or of the port where there is none.
    pub name: String,
    /// `af_xdp`, `af_packet`, `tun`, `mem` or `pcap`.
    pub kind: &'static str,
    /// What the driver gave, for people: `native, copy, need-wakeup`.
    pub mode: String,
    /// What frames look like.
    pub medium: Medium,
    /// Its link-layer address; zero on [`Medium::Ip`].
    pub link_address: MacAddress,
    /// The largest IPv6 packet, in octets.
    pub mtu: usize,
    /// Whether frames can pass.
    pub link: LinkState,
    /// What driver and kernel give; `None` on ports that are not `af_xdp`, or are not open.
    pub xdp: Option<XdpGiven>,
}

/// Counters of a port since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortCounters {
    /// Frames received.
    pub rx_frames: u64,
    /// Octets received.
    pub rx_octets: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Octets sent.
    pub tx_octets: u64,
    /// Frames that were lost on the way in: no free frame, ring full, longer than a frame has room for.
    pub rx_dropped: u64,
    /// Frames that were lost on the way out: link down, refused by the kernel.
    pub tx_dropped: u64,
    /// Times the port was opened again after its interface had gone.
    pub reopened: u64,
}

/// A place where frames enter and leave. Not shared between threads: one worker polls it.
pub trait Port {
    /// What it is now.
    fn info(&self) -> &PortInfo;

    /// Its counters.
    fn counters(&self) -> PortCounters;

    /// Takes received frames into `batch` until it is full or none waits; returns how many. Never blocks. The frames
    /// belong to the worker's pool. A link that went down or came back is found here and shows in [`Port::info`].
    fn rx_batch(&mut self, pool: &Pool, batch: &mut Batch) -> usize;

    /// Sends the frames of `batch` in order and takes them out of it; those that do not fit now stay, in order. One
    /// system call a batch at the most. On a port that is down all are dropped and counted.
    fn tx_batch(&mut self, batch: &mut Batch);

    /// A descriptor to wait on for received frames; `None` where there is nothing to wait on.
    fn poll_fd(&self) -> Option<RawFd>;
}
