//! `tun`: a TUN device of the host, on which its programs use an address that this port serves.
//!
//! The device is made when the port is opened and goes with it; it carries bare IPv6 packets, read and written one a
//! system call. Addresses and routes are put on it, and again should the device be made anew.

use super::netdevice::{self, HostRoute, InterfaceRequest};
use super::watch::{Change, LinkWatch, RETRY, owned};
use super::{LinkState, Medium, Port, PortCounters, PortError, PortInfo};
use crate::addr::MacAddress;
use crate::packet::{Batch, FRAME_LEN, HEADROOM, Pool};
use crate::time::Duration;
use core::ffi::c_ulong;
use core::net::Ipv6Addr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const PACKET_ROOM: usize = FRAME_LEN - HEADROOM;
/// The least MTU of an IPv6 link, RFC 8200 §5.
const IPV6_MIN_MTU: usize = 1280;
/// Calls between two looks at the device while every call brings packets.
const LOOK_AFTER: u32 = 64;
/// Packets that the kernel could not take are tried again after this time.
const SEND_AGAIN: Duration = Duration::from_millis(1);

/// What a TUN device is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TunOptions {
    /// Its name.
    pub name: String,
    /// Its MTU in octets, 1,280 to 3,584; other values are taken for the nearest.
    pub mtu: usize,
    /// Addresses and their prefix lengths.
    pub addresses: Vec<(Ipv6Addr, u8)>,
    /// Routes of the host through it.
    pub routes: Vec<HostRoute>,
}

/// A port on a TUN device.
#[derive(Debug)]
pub struct TunPort {
    options: TunOptions,
    info: PortInfo,
    counters: PortCounters,
    watch: LinkWatch,
    device: Option<OwnedFd>,
    /// The device came up again and has not got back its addresses and routes.
    unconfigured: bool,
    calls: u32,
}

impl TunPort {
    /// Makes the device, gives it its addresses and routes, and takes it up.
    ///
    /// # Errors
    /// A [`PortError`] that names the remedy: no TUN driver, the name is taken, not permitted.
    pub fn open(options: TunOptions) -> Result<TunPort, PortError> {
        netdevice::check_name(&options.name)?;
        let watch = LinkWatch::new(&options.name).map_err(PortError::os(&options.name, "watching the link"))?;
        let mtu = options.mtu.clamp(IPV6_MIN_MTU, PACKET_ROOM);
        let mut port = TunPort {
            info: PortInfo {
                name: options.name.clone(),
                kind: "tun",
                mode: "one packet a call".to_owned(),
                medium: Medium::Ip,
                link_address: MacAddress::default(),
                mtu,
                link: LinkState::Down,
                xdp: None,
            },
            options: TunOptions { mtu, ..options },
            counters: PortCounters::default(),
            watch,
            device: None,
            unconfigured: false,
            calls: 0,
        };
        port.attach()?;
        Ok(port)
    }

    fn attach(&mut self) -> Result<(), PortError> {
        let TunOptions { name, mtu, .. } = &self.options;
        let device = create(name)?;
        netdevice::no_link_local_address(name)?;
        netdevice::set_mtu(name, *mtu)?;
        netdevice::set_link(name, LinkState::Up)?;
        self.configure()?;
        let found = netdevice::get(name)?;
        self.watch.add(device.as_raw_fd()).map_err(PortError::os(name, "epoll_ctl"))?;
        self.watch.set_index(Some(found.index));
        self.device = Some(device);
        self.unconfigured = false;
        self.info.link = found.link;
        self.info.mtu = *mtu;
        Ok(())
    }

    /// Puts the addresses and routes on the device, which loses them whenever it is taken down.
    fn configure(&self) -> Result<(), PortError> {
        let TunOptions { name, addresses, routes, .. } = &self.options;
        for &(address, prefix_length) in addresses {
            netdevice::add_address(name, address, prefix_length)?;
        }
        for route in routes {
            netdevice::add_route(name, route)?;
        }
        Ok(())
    }

    /// Gives `address` to the device beside those that it has.
    ///
    /// # Errors
    /// What rtnetlink says; the address is remembered all the same, for when the device is made anew.
    pub fn add_address(&mut self, address: Ipv6Addr, prefix_length: u8) -> Result<(), PortError> {
        if !self.options.addresses.contains(&(address, prefix_length)) {
            self.options.addresses.push((address, prefix_length));
        }
        netdevice::add_address(&self.options.name, address, prefix_length)
    }

    #[cold]
    fn handle(&mut self, change: Change) {
        if change.gone {
            self.device = None;
            self.watch.set_index(None);
            self.info.link = LinkState::Down;
        }
        if let (Some(link), Some(_)) = (&change.present, &self.device) {
            let was = self.info.link;
            self.info.link = if link.is_running() { LinkState::Up } else { LinkState::Down };
            self.info.mtu = link.mtu.map_or(self.info.mtu, |mtu| (mtu as usize).min(PACKET_ROOM));
            if was == LinkState::Down && self.info.link == LinkState::Up {
                self.unconfigured = true;
            }
        }
        if self.device.is_some() && self.unconfigured {
            self.unconfigured = self.configure().is_err();
            if self.unconfigured {
                self.watch.retry_in(RETRY);
            }
        }
        if self.device.is_none() && (change.gone || change.retry) {
            match self.attach() {
                Ok(()) => self.counters.reopened += 1,
                Err(_) => self.watch.retry_in(RETRY),
            }
        }
    }
}

fn create(name: &str) -> Result<OwnedFd, PortError> {
    // SAFETY: the path is a C string; `owned` checks the result.
    let device =
        unsafe { owned(libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK)) }
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => PortError::NoTun,
                _ => PortError::os(name, "opening /dev/net/tun")(error),
            })?;
    let mut request = InterfaceRequest::new(name).map_err(PortError::os(name, "TUNSETIFF"))?;
    request.data.flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: TUNSETIFF takes an ifreq with name and flags, which `request` is.
    unsafe { netdevice::ioctl(device.as_raw_fd(), libc::TUNSETIFF as c_ulong, &mut request) }.map_err(|error| {
        match error.raw_os_error() {
            Some(libc::EBUSY | libc::EINVAL) => PortError::TunTaken(name.to_owned()),
            _ => PortError::os(name, "making the TUN device")(error),
        }
    })?;
    Ok(device)
}

impl Port for TunPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn rx_batch(&mut self, pool: &Pool, batch: &mut Batch) -> usize {
        let mut received = 0;
        if let Some(device) = &self.device {
            while !batch.is_full() {
                let Ok(mut packet) = pool.take() else { break };
                packet.set_len(PACKET_ROOM);
                let octets = packet.bytes_mut();
                // SAFETY: the octets of `packet`.
                let length = unsafe { libc::read(device.as_raw_fd(), octets.as_mut_ptr().cast(), octets.len()) };
                match usize::try_from(length) {
                    Ok(length @ 1..) => packet.truncate(length),
                    // Nothing waits, or the device has gone, which its event tells.
                    _ => break,
                }
                self.counters.rx_frames += 1;
                self.counters.rx_octets += packet.len() as u64;
                batch.push(packet);
                received += 1;
            }
        }
        self.calls = self.calls.wrapping_add(1);
        if (received == 0 || self.calls.is_multiple_of(LOOK_AFTER))
            && let Some(change) = self.watch.look()
        {
            self.handle(change);
        }
        received
    }

    fn tx_batch(&mut self, batch: &mut Batch) {
        let device = match &self.device {
            Some(device) if self.info.link == LinkState::Up => device,
            _ => {
                self.counters.tx_dropped += batch.len() as u64;
                batch.clear();
                return;
            }
        };
        let mut taken = 0;
        for packet in batch.iter() {
            let octets = packet.bytes();
            let error = if octets.is_empty() || octets.len() > self.info.mtu {
                libc::EMSGSIZE
            } else {
                // SAFETY: the octets of `packet`.
                let written = unsafe { libc::write(device.as_raw_fd(), octets.as_ptr().cast(), octets.len()) };
                if written < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { 0 }
            };
            match error {
                0 => {
                    self.counters.tx_frames += 1;
                    self.counters.tx_octets += octets.len() as u64;
                }
                libc::EAGAIN | libc::EINTR | libc::ENOBUFS | libc::ENOMEM => break,
                _ => self.counters.tx_dropped += 1,
            }
            taken += 1;
        }
        batch.drain(..taken);
        if !batch.is_empty() {
            self.watch.retry_in(SEND_AGAIN);
        }
    }

    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.watch.poll_fd())
    }
}
