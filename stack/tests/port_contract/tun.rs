//! TUN devices, with the kernel as the far end.

use super::*;
use crate::namespace::{comes, in_namespace, output, run};
use stack::addr::Prefix;
use stack::port::netdevice::{self, HostRoute};
use stack::port::{PortError, TunOptions, TunPort};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// tun: the far end is the kernel. What the port sends is received by a raw socket of protocol 59, from which the packet
// is built again; what the port receives is sent by another.

struct Host {
    sender: OwnedFd,
    receiver: OwnedFd,
}

const HOME: &str = "2001:db8:1::1";
const PEER: &str = "2001:db8::2";
const NO_NEXT_HEADER: i32 = 59;

impl Host {
    /// A raw socket that writes whole packets, and one that receives payloads: the kernel checks checksums on sockets of
    /// the first sort, which these packets do not have.
    fn new() -> Host {
        let socket = || {
            // SAFETY: no pointer is passed; the result is checked.
            let fd = unsafe { libc::socket(libc::AF_INET6, libc::SOCK_RAW | libc::SOCK_NONBLOCK, NO_NEXT_HEADER) };
            assert!(fd >= 0, "{}", io::Error::last_os_error());
            // SAFETY: a descriptor that was just made and that nothing else owns.
            unsafe { OwnedFd::from_raw_fd(fd) }
        };
        let host = Host { sender: socket(), receiver: socket() };
        for (option, value) in [(libc::IPV6_HDRINCL, 1), (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)] {
            // SAFETY: the value is one int.
            let result = unsafe {
                libc::setsockopt(host.sender.as_raw_fd(), libc::IPPROTO_IPV6, option, (&raw const value).cast(), 4)
            };
            assert_eq!(result, 0, "{}", io::Error::last_os_error());
        }
        host
    }
}

fn swapped(packet: &[u8]) -> Vec<u8> {
    [&packet[..8], &packet[24..40], &packet[8..24], &packet[40..]].concat()
}

impl Far for Host {
    fn give(&mut self, packet: &[u8]) {
        // SAFETY: all zeros is a valid sockaddr_in6.
        let mut to: libc::sockaddr_in6 = unsafe { core::mem::zeroed() };
        let packet = &swapped(packet)[..];
        to.sin6_family = libc::AF_INET6 as u16;
        to.sin6_addr.s6_addr = packet[24..40].try_into().unwrap();
        // SAFETY: the octets of `packet`, and the address of the length given.
        let sent = unsafe {
            let length = size_of::<libc::sockaddr_in6>() as u32;
            libc::sendto(
                self.sender.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const to).cast(),
                length,
            )
        };
        assert_eq!(sent, packet.len() as isize, "{}", io::Error::last_os_error());
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let mut payload = vec![0; 4096];
        // SAFETY: the octets of `payload`.
        let length = unsafe { libc::recv(self.receiver.as_raw_fd(), payload.as_mut_ptr().cast(), payload.len(), 0) };
        payload.truncate(usize::try_from(length).ok()?);
        let mut packet = frame(Medium::Ip, 0, 40 + payload.len());
        packet[40..].copy_from_slice(&payload);
        Some(packet)
    }

    fn wait(&mut self) {
        wait(self.receiver.as_raw_fd());
    }

    fn link(&mut self, link: LinkState) -> bool {
        run("ip", &["link", "set", "home0", if link == LinkState::Up { "up" } else { "down" }]);
        true
    }

    /// The kernel makes an address its own a moment after it was added.
    fn settle(&mut self) {
        comes(|| output("ip", &["-6", "route", "show", "table", "local"]).contains(HOME));
    }

    fn given(&self, received: &[u8]) -> Vec<u8> {
        swapped(received)
    }
}

fn tun(mtu: usize) -> TunPort {
    let peer = Prefix::host(PEER.parse().unwrap());
    let home = HOME.parse().unwrap();
    TunPort::open(TunOptions {
        name: "home0".into(),
        mtu,
        addresses: vec![(home, 128)],
        routes: vec![
            HostRoute::to(peer),
            HostRoute { mtu: Some(1400), advmss: Some(1320), source: Some(home), ..HostRoute::to(Prefix::DEFAULT) },
        ],
    })
    .unwrap()
}

#[test]
fn tun_keeps_the_contract() {
    in_namespace(|| {
        let port = tun(1400);
        contract(Box::new(port), Pool::new(FRAMES).unwrap(), &mut Host::new());
    });
}

#[test]
fn a_tun_device_that_was_deleted_is_made_anew() {
    in_namespace(|| {
        let (pool, mut host) = (Pool::new(FRAMES).unwrap(), Host::new());
        let mut rig = Rig { pool: pool.clone(), port: Box::new(tun(1500)), far: &mut host };
        let route = output("ip", &["-6", "route", "show", "default"]);
        for part in ["dev home0", "src 2001:db8:1::1", "mtu 1400", "advmss 1320"] {
            assert!(route.contains(part), "{route}");
        }
        run("ip", &["link", "delete", "home0"]);
        rig.until(|port, _| port.counters().reopened == 1 && port.info().link == LinkState::Up);
        rig.far.settle();
        let frames: Vec<_> = (0..5).map(|n| rig.frame(n, 1000)).collect();
        assert_passes(&mut rig, &frames);
        assert_eq!(output("ip", &["-6", "route", "show", "default"]), route);
        drop(rig);
        assert_eq!(pool.free_frames(), FRAMES as usize);
        comes(|| matches!(netdevice::get("home0"), Err(PortError::NoSuchInterface(_))));
    });
}
