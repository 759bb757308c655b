//! `af_packet`: a port on an Ethernet interface by a packet(7) socket, for interfaces without XDP and for hosts that share
//! theirs with the kernel, which sees the same frames.
//!
//! Frames sent by programs on this host leave their checksums to the device; the kernel says where (PACKET_VNET_HDR) and
//! they are completed here. Frames that were coalesced beyond the MTU (GRO, TSO between veths) are lost and counted: such
//! offloads have to be off on interfaces that a router uses.

use super::netdevice::{self, NetDevice};
use super::packet_socket;
use super::watch::{Change, LinkWatch, RETRY};
use super::{ETHERNET_HEADER_LEN, LinkState, Medium, Port, PortCounters, PortError, PortInfo};
use crate::packet::{BATCH_SIZE, Batch, FRAME_LEN, HEADROOM, Pool};
use crate::time::Duration;
use arrayvec::ArrayVec;
use core::cell::Cell;
use core::ffi::c_int;
use core::ptr::null_mut;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Room for a received frame.
const FRAME_ROOM: usize = FRAME_LEN - HEADROOM;
/// Octets that the kernel may keep for this port, as far as it allows.
const RECEIVE_BUFFER_OCTETS: c_int = 8 << 20;
/// Frames that the kernel could not take are tried again after this time.
const SEND_AGAIN: Duration = Duration::from_millis(1);
/// Calls between two looks at the interface while every call brings frames.
const LOOK_AFTER: u32 = 64;

/// `struct virtio_net_hdr` in front of every frame.
const OFFLOAD_LEN: usize = 10;
const NEEDS_CHECKSUM: u8 = 1;

/// A port on an interface by a packet socket.
#[derive(Debug)]
pub struct PacketPort {
    promiscuous: bool,
    info: PortInfo,
    counters: PortCounters,
    /// Frames that the kernel had no room for, up to the last time it was asked, which sets its count to zero.
    overrun: Cell<u64>,
    watch: LinkWatch,
    device: Option<(u32, OwnedFd)>,
    calls: u32,
}

impl PacketPort {
    /// Opens the interface `name`; `promiscuous` receives frames for other link-layer addresses too.
    ///
    /// # Errors
    /// A [`PortError`] that names the remedy: no such interface, down, no Ethernet, not permitted.
    pub fn open(name: &str, promiscuous: bool) -> Result<PacketPort, PortError> {
        netdevice::check_name(name)?;
        let watch = LinkWatch::new(name).map_err(PortError::os(name, "watching the link"))?;
        let mode = if promiscuous { "promiscuous" } else { "allmulti" };
        let mut port = PacketPort {
            promiscuous,
            info: PortInfo {
                name: name.to_owned(),
                kind: "af_packet",
                mode: mode.to_owned(),
                medium: Medium::Ethernet,
                link_address: Default::default(),
                mtu: 0,
                link: LinkState::Down,
                xdp: None,
            },
            counters: PortCounters::default(),
            overrun: Cell::new(0),
            watch,
            device: None,
            calls: 0,
        };
        port.attach()?;
        Ok(port)
    }

    fn attach(&mut self) -> Result<(), PortError> {
        let name = &self.info.name;
        let found = netdevice::ethernet(name)?;
        let socket = bound(found.index, self.promiscuous).map_err(PortError::os(name, "opening a packet socket"))?;
        self.watch.add(socket.as_raw_fd()).map_err(PortError::os(name, "epoll_ctl"))?;
        self.watch.set_index(Some(found.index));
        self.device = Some((found.index, socket));
        self.take(&found);
        Ok(())
    }

    fn take(&mut self, found: &NetDevice) {
        self.info.link = found.link;
        self.info.link_address = found.link_address;
        self.info.mtu = found.mtu.min(FRAME_ROOM - ETHERNET_HEADER_LEN);
    }

    #[cold]
    fn handle(&mut self, change: Change) {
        if change.gone {
            self.ask_overrun();
            self.device = None;
            self.watch.set_index(None);
            self.info.link = LinkState::Down;
        }
        if let (Some(link), Some(_)) = (&change.present, &self.device) {
            self.take(&link.into());
        }
        if self.device.is_none() && (change.present.is_some() || change.retry) {
            match self.attach() {
                Ok(()) => self.counters.reopened += 1,
                // Its own event will tell when there is one, or when it is up.
                Err(PortError::NoSuchInterface(_) | PortError::InterfaceDown(_)) => {}
                Err(_) => self.watch.retry_in(RETRY),
            }
        }
    }

    fn ask_overrun(&self) {
        let Some((_, socket)) = &self.device else { return };
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: `statistics` is as long as is said, and holds integers only.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &mut length,
            )
        };
        if result == 0 {
            self.overrun.set(self.overrun.get() + u64::from(statistics.tp_drops));
        }
    }

    fn receive(&mut self, pool: &Pool, batch: &mut Batch) -> usize {
        let Some((_, socket)) = &self.device else { return 0 };
        let mut packets = Batch::new();
        while packets.len() < batch.remaining_capacity() {
            let Ok(mut packet) = pool.take() else { break };
            packet.set_len(FRAME_ROOM);
            packets.push(packet);
        }
        if packets.is_empty() {
            return 0;
        }
        let mut offload = [[0u8; OFFLOAD_LEN]; BATCH_SIZE];
        let mut parts = Parts::new();
        for (packet, offload) in packets.iter_mut().zip(&mut offload) {
            parts.push([part(offload), part(packet.bytes_mut())]);
        }
        let mut messages = messages(&mut parts);
        // SAFETY: every message points at two parts, which point at the offload headers and at the packets' octets; all
        // of them outlive the call, and nothing else touches them during it.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                messages.len() as u32,
                libc::MSG_DONTWAIT as _,
                null_mut(),
            )
        };
        let largest = self.info.mtu + ETHERNET_HEADER_LEN;
        let mut received = 0;
        for ((mut packet, offload), message) in
            packets.into_iter().zip(&offload).zip(&messages).take(count.max(0) as usize)
        {
            let length = (message.msg_len as usize).saturating_sub(OFFLOAD_LEN);
            let cut = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            if cut || length == 0 || length > largest.min(packet.len()) {
                self.counters.rx_dropped += 1;
                continue;
            }
            packet.truncate(length);
            complete_checksum(offload, packet.bytes_mut());
            self.counters.rx_frames += 1;
            self.counters.rx_octets += length as u64;
            batch.push(packet);
            received += 1;
        }
        received
    }
}

/// Two parts a message: offload header and frame.
type Parts = ArrayVec<[libc::iovec; 2], BATCH_SIZE>;

fn part(octets: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: octets.len() }
}

fn messages(parts: &mut Parts) -> ArrayVec<libc::mmsghdr, BATCH_SIZE> {
    parts
        .iter_mut()
        .map(|pair| {
            // SAFETY: all zeros is a valid mmsghdr: no name, no control data.
            let mut message: libc::mmsghdr = unsafe { core::mem::zeroed() };
            message.msg_hdr.msg_iov = pair.as_mut_ptr();
            message.msg_hdr.msg_iovlen = 2;
            message
        })
        .collect()
}

/// A packet socket that receives the IPv6 frames that come in by `interface`.
fn bound(interface: u32, promiscuous: bool) -> io::Result<OwnedFd> {
    let socket = packet_socket::open()?;
    packet_socket::set_option(&socket, libc::PACKET_IGNORE_OUTGOING, &1 as &c_int)?;
    packet_socket::set_option(&socket, libc::PACKET_VNET_HDR, &1 as &c_int)?;
    // Sending past the queueing discipline is faster; it is no loss where it cannot be had.
    let _ = packet_socket::set_option(&socket, libc::PACKET_QDISC_BYPASS, &1 as &c_int);
    packet_socket::join(&socket, interface, libc::PACKET_MR_ALLMULTI as u16)?;
    if promiscuous {
        packet_socket::join(&socket, interface, libc::PACKET_MR_PROMISC as u16)?;
    }
    let room = RECEIVE_BUFFER_OCTETS;
    for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
        let length = size_of::<c_int>() as libc::socklen_t;
        // SAFETY: the value is one int. The kernel gives what it allows.
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const room).cast(), length) };
    }
    packet_socket::bind_ipv6(&socket, interface)?;
    Ok(socket)
}

/// Finishes a checksum that holds the sum of the pseudo-header only: over the octets from `csum_start` on.
fn complete_checksum(offload: &[u8; OFFLOAD_LEN], frame: &mut [u8]) {
    if offload[0] & NEEDS_CHECKSUM == 0 {
        return;
    }
    let start = usize::from(u16::from_ne_bytes([offload[6], offload[7]]));
    let field = start + usize::from(u16::from_ne_bytes([offload[8], offload[9]]));
    if start > frame.len() || field + 2 > frame.len() {
        return;
    }
    let mut sum = 0u32;
    for pair in frame[start..].chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // No sum is sent as zero, which says in UDP that there is none.
    let checksum = match !(sum as u16) {
        0 => 0xffff,
        checksum => checksum,
    };
    frame[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
}

impl Port for PacketPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn counters(&self) -> PortCounters {
        self.ask_overrun();
        PortCounters { rx_dropped: self.counters.rx_dropped + self.overrun.get(), ..self.counters }
    }

    fn rx_batch(&mut self, pool: &Pool, batch: &mut Batch) -> usize {
        let received = self.receive(pool, batch);
        self.calls = self.calls.wrapping_add(1);
        if (received == 0 || self.calls.is_multiple_of(LOOK_AFTER))
            && let Some(change) = self.watch.look()
        {
            self.handle(change);
        }
        received
    }

    fn tx_batch(&mut self, batch: &mut Batch) {
        let socket = match &self.device {
            Some((_, socket)) if self.info.link == LinkState::Up => socket,
            _ => {
                self.counters.tx_dropped += batch.len() as u64;
                batch.clear();
                return;
            }
        };
        let largest = self.info.mtu + ETHERNET_HEADER_LEN;
        let before = batch.len();
        batch.retain(|packet| (ETHERNET_HEADER_LEN..=largest).contains(&packet.len()));
        self.counters.tx_dropped += (before - batch.len()) as u64;
        if batch.is_empty() {
            return;
        }
        let mut offload = [0u8; OFFLOAD_LEN];
        let mut parts = Parts::new();
        for packet in batch.iter_mut() {
            parts.push([part(&mut offload), part(packet.bytes_mut())]);
        }
        let mut messages = messages(&mut parts);
        // SAFETY: every message points at two parts, which point at an offload header and at the packets' octets; all of
        // them outlive the call, which only reads them.
        let result = unsafe {
            libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), messages.len() as u32, libc::MSG_DONTWAIT as _)
        };
        let sent = match usize::try_from(result) {
            Ok(sent) => sent,
            Err(_) => match io::Error::last_os_error().raw_os_error() {
                Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM | libc::EINTR) => 0,
                // The first frame is refused for good, or the interface has just gone down.
                _ => {
                    self.counters.tx_dropped += 1;
                    batch.remove(0);
                    0
                }
            },
        };
        for packet in batch.drain(..sent.min(batch.len())) {
            self.counters.tx_frames += 1;
            self.counters.tx_octets += packet.len() as u64;
        }
        if !batch.is_empty() {
            self.watch.retry_in(SEND_AGAIN);
        }
    }

    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.watch.poll_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_left_to_the_device_is_completed() {
        // Four octets in front, a pseudo-header's sum of 0x1234 in the field, three octets of payload.
        let mut frame = [9, 9, 9, 9, 0x12, 0x34, 0xab, 0xcd, 0xef];
        let mut offload = [0; OFFLOAD_LEN];
        offload[0] = NEEDS_CHECKSUM;
        offload[6..8].copy_from_slice(&4u16.to_ne_bytes());
        complete_checksum(&offload, &mut frame);
        // 1234 + abcd + ef00 = 1 ad01, folded ad02, inverted 52fd.
        assert_eq!(frame, [9, 9, 9, 9, 0x52, 0xfd, 0xab, 0xcd, 0xef]);
    }

    #[test]
    fn an_absurd_place_for_the_checksum_changes_nothing() {
        for (start, field) in [(0u16, 8u16), (9, 0), (u16::MAX, u16::MAX), (8, 0)] {
            let mut frame = [7; 9];
            let mut offload = [NEEDS_CHECKSUM; OFFLOAD_LEN];
            offload[6..8].copy_from_slice(&start.to_ne_bytes());
            offload[8..].copy_from_slice(&field.to_ne_bytes());
            complete_checksum(&offload, &mut frame);
            assert_eq!(frame, [7; 9]);
        }
    }
}
