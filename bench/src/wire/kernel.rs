//! Linux as a device under test: its IPv6 forwarding, unicast or multicast, in the device's namespace.
//!
//! A veth's frames are received wherever they are sent from, unless its receiving has a thread of its own: the near and the
//! far interface get one each, on the device's core, or the kernel would forward on the generator's.

use super::stage::{Interface, Stage, confine, ip, on_thread, sysctl};
use super::traffic::{FAR, FAR_LINK, GROUP, Links, NEAR, NEAR_LINK, Service};
use anyhow::{Context, Result, ensure};
use core::net::Ipv6Addr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// linux/mroute6.h
const MRT6_INIT: libc::c_int = 200;
const MRT6_ADD_MIF: libc::c_int = 202;
const MRT6_ADD_MFC: libc::c_int = 204;

/// Looks for the threads that receive.
const LOOKS: u32 = 1000;

/// A kernel that forwards.
pub(super) struct Kernel {
    stage: [Interface; 2],
    door: super::stage::Door,
    /// As long as this is open, the kernel forwards multicast by it.
    multicast: Option<OwnedFd>,
}

impl Kernel {
    pub(super) fn start(service: Service, stage: &Stage, core: usize) -> Result<Self> {
        let [near, far] = [stage.near.clone(), stage.far.clone()];
        let (door, links) = (stage.door()?, stage.links());
        let interfaces = [near.clone(), far.clone()];
        let multicast = on_thread(move || {
            door.enter()?;
            configure(&near, &far, &links)?;
            receive_on_threads(&[&near, &far], true)?;
            for interface in [&near, &far] {
                let thread = receiver(&interface.name)?;
                confine(thread, &[core])?;
                door.preference.give(thread);
            }
            (service == Service::Multicast).then(|| forward_multicast(&near, &far)).transpose()
        })?;
        Ok(Kernel { stage: interfaces, door: stage.door()?, multicast })
    }

    pub(super) fn stop(self) -> Result<()> {
        let Kernel { stage: [near, far], door, multicast } = self;
        drop(multicast);
        on_thread(move || {
            door.enter()?;
            receive_on_threads(&[&near, &far], false)?;
            sysctl("ipv6/conf/all/forwarding", "0")?;
            ip(&format!("-6 address flush dev {} scope global", near.name))?;
            ip(&format!("-6 address flush dev {} scope global", far.name))
        })
    }
}

fn configure(near: &Interface, far: &Interface, links: &Links) -> Result<()> {
    sysctl("ipv6/conf/all/forwarding", "1")?;
    for (interface, own, other, link_address) in
        [(near, NEAR_LINK, NEAR, links.generator), (far, FAR_LINK, FAR, links.sink)]
    {
        let name = &interface.name;
        ip(&format!("-6 address replace {own}/64 dev {name} nodad"))?;
        ip(&format!("-6 neighbor replace {other} lladdr {link_address} dev {name} nud permanent"))?;
    }
    Ok(())
}

/// Has each interface's receiving done by a thread, or where frames are sent from.
fn receive_on_threads(interfaces: &[&Interface], on: bool) -> Result<()> {
    // What is mounted at /sys shows the namespace of whoever mounted it.
    // SAFETY: C strings that live through the calls; only this thread gets other mounts.
    let mounted = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                core::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                core::ptr::null(),
            ) == 0
            && libc::mount(c"sysfs".as_ptr(), c"/sys".as_ptr(), c"sysfs".as_ptr(), 0, core::ptr::null()) == 0
    };
    ensure!(mounted, "mounting /sys for the device's namespace: {}", io::Error::last_os_error());
    for interface in interfaces {
        fs::write(format!("/sys/class/net/{}/threaded", interface.name), if on { "1" } else { "0" })
            .with_context(|| format!("threaded NAPI on {}", interface.name))?;
    }
    Ok(())
}

/// The number of the thread that receives from an interface.
fn receiver(name: &str) -> Result<u32> {
    let beginning = format!("napi/{name}-");
    let beginning = &beginning[..beginning.len().min(15)];
    for _ in 0..LOOKS {
        for entry in fs::read_dir("/proc").context("/proc")?.flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let is = fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.starts_with(beginning));
            if is {
                return Ok(number);
            }
        }
    }
    anyhow::bail!("the kernel has no thread {beginning}… that receives from {name}")
}

#[repr(C)]
struct Mif {
    mif: u16,
    flags: u8,
    threshold: u8,
    interface: u16,
    rate_limit: u32,
}

#[repr(C)]
struct Mfc {
    origin: libc::sockaddr_in6,
    group: libc::sockaddr_in6,
    parent: u16,
    interfaces: [u32; 8],
}

fn forward_multicast(near: &Interface, far: &Interface) -> Result<OwnedFd> {
    // SAFETY: no pointer is passed; the result is checked.
    let socket = unsafe { libc::socket(libc::AF_INET6, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_ICMPV6) };
    ensure!(socket >= 0, "a raw socket: {}", io::Error::last_os_error());
    // SAFETY: a descriptor that was just made and that nothing else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    set(&socket, MRT6_INIT, &1i32).context("MRT6_INIT")?;
    for (mif, interface) in [(0, near), (1, far)] {
        let mif = Mif { mif, flags: 0, threshold: 1, interface: u16::try_from(interface.index)?, rate_limit: 0 };
        set(&socket, MRT6_ADD_MIF, &mif).context("MRT6_ADD_MIF")?;
    }
    let mut interfaces = [0; 8];
    interfaces[0] = 1 << 1;
    let route = Mfc { origin: address(NEAR), group: address(GROUP), parent: 0, interfaces };
    set(&socket, MRT6_ADD_MFC, &route).context("MRT6_ADD_MFC")?;
    Ok(socket)
}

fn address(address: Ipv6Addr) -> libc::sockaddr_in6 {
    // SAFETY: all zeros is a valid sockaddr_in6.
    let mut all: libc::sockaddr_in6 = unsafe { core::mem::zeroed() };
    all.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    all.sin6_addr.s6_addr = address.octets();
    all
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is as long as is said and is only read.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IPV6, option, core::ptr::from_ref(value).cast(), length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
