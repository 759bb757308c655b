//! Network devices of the host, in the process's own network namespace: what they are, and setting them up.
//!
//! Answers come from rtnetlink(7), netdevice(7) ioctls and the ethtool ioctls; nothing here needs /sys, which a network
//! namespace does not always see as its own.

use super::netlink::{Link, Request, Socket, ifla};
use super::{LinkState, PortError};
use crate::addr::{MacAddress, Prefix};
use core::ffi::{c_int, c_ulong, c_void};
use core::net::Ipv6Addr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const NAME_LEN: usize = 16;

/// A device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetDevice {
    /// Its number.
    pub index: u32,
    /// Whether it carries Ethernet frames.
    pub is_ethernet: bool,
    /// Whether it is administratively up.
    pub is_up: bool,
    /// Whether frames can pass: up, with a carrier.
    pub link: LinkState,
    /// Its link-layer address; zero where it has none.
    pub link_address: MacAddress,
    /// The largest packet, in octets.
    pub mtu: usize,
}

impl From<&Link> for NetDevice {
    fn from(link: &Link) -> Self {
        NetDevice {
            index: link.index,
            is_ethernet: link.kind == libc::ARPHRD_ETHER,
            is_up: link.is_up(),
            link: if link.is_running() { LinkState::Up } else { LinkState::Down },
            link_address: MacAddress(link.address.unwrap_or_default()),
            mtu: link.mtu.unwrap_or_default() as usize,
        }
    }
}

/// The device called `name`; `None` where there is none.
///
/// # Errors
/// [`PortError::BadName`], or what rtnetlink says.
pub fn find(name: &str) -> Result<Option<NetDevice>, PortError> {
    check_name(name)?;
    let link = Socket::open().and_then(|socket| socket.link(name)).map_err(PortError::os(name, "RTM_GETLINK"))?;
    Ok(link.as_ref().map(NetDevice::from))
}

/// The device called `name`.
///
/// # Errors
/// [`PortError::NoSuchInterface`] where there is none, otherwise as [`find`].
pub fn get(name: &str) -> Result<NetDevice, PortError> {
    find(name)?.ok_or_else(|| PortError::NoSuchInterface(name.to_owned()))
}

/// An Ethernet device that is up, for a port to be opened on it.
pub(super) fn ethernet(name: &str) -> Result<NetDevice, PortError> {
    let device = get(name)?;
    if !device.is_ethernet {
        return Err(PortError::NotEthernet(name.to_owned()));
    }
    if !device.is_up {
        return Err(PortError::InterfaceDown(name.to_owned()));
    }
    Ok(device)
}

/// Takes the device up or down.
///
/// # Errors
/// [`PortError::NoSuchInterface`], [`PortError::NotPermitted`], or what rtnetlink says.
pub fn set_link(name: &str, link: LinkState) -> Result<(), PortError> {
    let flags = if link == LinkState::Up { libc::IFF_UP as u32 } else { 0 };
    let request = Request::link(libc::RTM_NEWLINK, get(name)?.index, flags, libc::IFF_UP as u32);
    call(name, "RTM_NEWLINK", request)
}

/// Sets the MTU of the device.
///
/// # Errors
/// As [`set_link`].
pub fn set_mtu(name: &str, mtu: usize) -> Result<(), PortError> {
    let request = Request::link(libc::RTM_NEWLINK, get(name)?.index, 0, 0);
    call(name, "RTM_NEWLINK (MTU)", request.attribute(ifla::MTU, &(mtu as u32).to_ne_bytes()))
}

/// Keeps the kernel from giving the device a link-local address of its own, and from soliciting routers with it.
///
/// # Errors
/// As [`set_link`].
pub fn no_link_local_address(name: &str) -> Result<(), PortError> {
    const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
    let request = Request::link(libc::RTM_NEWLINK, get(name)?.index, 0, 0).nested(ifla::AF_SPEC, |request| {
        request.nested(libc::AF_INET6 as u16, |request| {
            request.attribute(ifla::INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE])
        })
    });
    call(name, "RTM_NEWLINK (addrgenmode)", request)
}

/// Adds `address` with a prefix of `prefix_length` bits to the device, without duplicate address detection; one that it
/// has already stays.
///
/// # Errors
/// As [`set_link`].
pub fn add_address(name: &str, address: Ipv6Addr, prefix_length: u8) -> Result<(), PortError> {
    let mut fixed = [0; 8];
    fixed[0] = libc::AF_INET6 as u8;
    fixed[1] = prefix_length.min(128);
    fixed[2] = libc::IFA_F_NODAD as u8;
    fixed[4..].copy_from_slice(&get(name)?.index.to_ne_bytes());
    let request = Request::new(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &fixed)
        .attribute(libc::IFA_ADDRESS, &address.octets())
        .attribute(libc::IFA_LOCAL, &address.octets());
    call(name, "RTM_NEWADDR", request)
}

/// A route of the kernel through a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostRoute {
    /// Where to; [`Prefix::DEFAULT`] for the default route.
    pub destination: Prefix,
    /// The neighbour to send to; `None` on a device without neighbours, such as a TUN.
    pub next_hop: Option<Ipv6Addr>,
    /// The source address of programs that choose none.
    pub source: Option<Ipv6Addr>,
    /// The path MTU to assume, in octets; `None` for the device's.
    pub mtu: Option<u32>,
    /// The TCP maximum segment size to advertise, in octets; `None` for what follows from the MTU.
    pub advmss: Option<u32>,
}

impl HostRoute {
    /// A route to `destination` through a device without neighbours, with nothing else said.
    pub const fn to(destination: Prefix) -> Self {
        HostRoute { destination, next_hop: None, source: None, mtu: None, advmss: None }
    }
}

/// Adds `route` through the device, or replaces the one to that destination.
///
/// # Errors
/// As [`set_link`].
pub fn add_route(name: &str, route: &HostRoute) -> Result<(), PortError> {
    const RTAX_MTU: u16 = 2;
    const RTAX_ADVMSS: u16 = 8;
    const RTA_DST: u16 = 1;
    let fixed = [
        libc::AF_INET6 as u8,
        route.destination.length(),
        0,
        0,
        libc::RT_TABLE_MAIN,
        libc::RTPROT_STATIC,
        libc::RT_SCOPE_UNIVERSE,
        libc::RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let mut request = Request::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &fixed)
        .attribute(RTA_DST, &route.destination.address().octets())
        .attribute(libc::RTA_OIF, &get(name)?.index.to_ne_bytes());
    if let Some(next_hop) = route.next_hop {
        request = request.attribute(libc::RTA_GATEWAY, &next_hop.octets());
    }
    if let Some(source) = route.source {
        request = request.attribute(libc::RTA_PREFSRC, &source.octets());
    }
    let metrics = [(RTAX_MTU, route.mtu), (RTAX_ADVMSS, route.advmss)];
    if metrics.iter().any(|(_, value)| value.is_some()) {
        request = request.nested(libc::RTA_METRICS, |mut request| {
            for (kind, value) in metrics {
                if let Some(value) = value {
                    request = request.attribute(kind, &value.to_ne_bytes());
                }
            }
            request
        });
    }
    call(name, "RTM_NEWROUTE", request)
}

fn call(name: &str, what: &'static str, request: Request) -> Result<(), PortError> {
    Socket::open().and_then(|socket| socket.call(request)).map(drop).map_err(PortError::os(name, what))
}

/// Has the kernel compute the checksums of what it sends on this device, instead of leaving them to the device. On a
/// veth whose peer is an AF_XDP port they would arrive unset.
///
/// # Errors
/// As [`set_link`]; a device that cannot be told so is no error.
pub fn no_transmit_checksum_offload(name: &str) -> Result<(), PortError> {
    const ETHTOOL_STXCSUM: u32 = 0x17;
    get(name)?;
    let mut value = [ETHTOOL_STXCSUM, 0];
    match ethtool(name, &mut value) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        other => other.map_err(PortError::os(name, "ETHTOOL_STXCSUM")),
    }
}

/// Has the kernel receive from this device in batches (GRO). A veth takes frames from XDP programs only where its peer
/// does, or has a program of its own.
///
/// # Errors
/// As [`set_link`]; a device that cannot be told so is no error.
pub fn receive_in_batches(name: &str) -> Result<(), PortError> {
    const ETHTOOL_SGRO: u32 = 0x2c;
    get(name)?;
    match ethtool(name, &mut [ETHTOOL_SGRO, 1]) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        other => other.map_err(PortError::os(name, "ETHTOOL_SGRO")),
    }
}

/// How many receive queues the device has in use; 1 where its driver does not say.
pub fn receive_queues(name: &str) -> u32 {
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    // cmd, then the maxima of rx, tx, other and combined, then the same four as they are.
    let mut channels = [0u32; 9];
    channels[0] = ETHTOOL_GCHANNELS;
    match ethtool(name, &mut channels) {
        Ok(()) => channels[5].saturating_add(channels[8]).max(1),
        Err(_) => 1,
    }
}

fn ethtool(name: &str, command: &mut [u32]) -> io::Result<()> {
    let socket = datagram_socket()?;
    let mut request = InterfaceRequest::new(name)?;
    request.data = Data { pointer: command.as_mut_ptr().cast() };
    // SAFETY: SIOCETHTOOL takes an ifreq whose data points at the command's structure, which `command` is.
    unsafe { ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as c_ulong, &mut request) }
}

fn datagram_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_INET6, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made and that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct ifreq` of netdevice(7), with the members that are used.
#[repr(C)]
pub(super) struct InterfaceRequest {
    name: [u8; NAME_LEN],
    pub(super) data: Data,
}

/// The union in `struct ifreq`.
#[repr(C)]
pub(super) union Data {
    pub(super) flags: i16,
    pub(super) pointer: *mut c_void,
    whole: [u64; 3],
}

impl InterfaceRequest {
    pub(super) fn new(name: &str) -> io::Result<Self> {
        if check_name(name).is_err() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mut octets = [0; NAME_LEN];
        octets[..name.len()].copy_from_slice(name.as_bytes());
        Ok(InterfaceRequest { name: octets, data: Data { whole: [0; 3] } })
    }
}

/// # Safety
/// `request` must be what the ioctl `number` takes.
pub(super) unsafe fn ioctl(fd: c_int, number: c_ulong, request: &mut InterfaceRequest) -> io::Result<()> {
    // SAFETY: the caller answers for it.
    let result = unsafe { libc::ioctl(fd, number as _, request as *mut InterfaceRequest) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Refuses what no interface can be called.
pub(super) fn check_name(name: &str) -> Result<(), PortError> {
    let fits = (1..NAME_LEN).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'/' && octet != b':');
    if fits { Ok(()) } else { Err(PortError::BadName(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_interface_can_have_are_refused() {
        for name in ["", "..", "a/b", "a b", "sixteen-octets-x", "naïve", "a:b", "nul\0"] {
            assert!(matches!(find(name), Err(PortError::BadName(_))), "{name:?}");
        }
        assert_eq!(find("fifteen-octets0").unwrap(), None);
    }

    #[test]
    fn the_errors_name_the_remedy() {
        let missing = ethernet("nosuchlink").unwrap_err();
        assert!(missing.to_string().contains("nosuchlink does not exist"), "{missing}");
        let loopback = ethernet("lo").unwrap_err();
        assert!(loopback.to_string().contains("not an Ethernet interface"), "{loopback}");
        assert_eq!(receive_queues("lo"), 1);
    }
}
