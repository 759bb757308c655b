//! Opening the ports of a worker.

use crate::config::resolved::{Attachment, NodeConfig, PortConfig};
use anyhow::{Context, Result};
use stack::addr::Prefix;
use stack::port::netdevice::HostRoute;
use stack::port::{
    KernelShare, PacketPort, Port, PortError, PortInfo, TunOptions, TunPort, Umem, XdpOptions, XdpPort, XdpShare,
};
use stack::runtime::{RelayPort, SharedPort, ToFirst};
use stack::wire::ipv6::MINIMUM_MTU;

/// What programs behind a terminal's TUN device may send, so that two tunnels around it still fit an Ethernet.
const TUN_MTU: usize = 1400;

/// Opens all ports for the first worker; `shares` are its shares of their queues, `kernel` what of them is the kernel's.
pub(super) fn open_all(
    config: &NodeConfig,
    umem: &Umem,
    shares: &[XdpShare],
    kernel: &[Option<KernelShare>],
) -> Result<Vec<Box<dyn Port>>> {
    let ports = config.ports.iter().zip(shares);
    let open = |(port, share): (&PortConfig, &XdpShare)| {
        let kernel = kernel.get(usize::from(port.id.0)).cloned().flatten();
        open(config, port, umem, share.clone(), kernel).and_then(wide_enough).with_context(|| key(port))
    };
    ports.map(open).collect()
}

/// The port, where packets of the size fit that every link of IPv6 has to take (RFC 8200 §5).
fn wide_enough(port: Box<dyn Port>) -> Result<Box<dyn Port>, PortError> {
    let (name, mtu) = (&port.info().name, port.info().mtu);
    if mtu < MINIMUM_MTU { Err(PortError::NarrowLink { name: name.clone(), mtu }) } else { Ok(port) }
}

/// Opens its part of all ports for a worker beside the first, where they are `infos`. It sends by the first what it has no
/// queue for.
pub(super) fn open_beside(
    config: &NodeConfig,
    umem: &Umem,
    shares: &[XdpShare],
    infos: &[PortInfo],
    first: &ToFirst,
) -> Result<Vec<Box<dyn Port>>> {
    let ports = config.ports.iter().zip(shares).zip(infos);
    ports
        .map(|((port, share), info)| -> Result<Box<dyn Port>> {
            let relay = RelayPort::new(port.id, info.clone(), first.clone())?;
            Ok(match &port.attachment {
                Attachment::AfXdp { interface, busy_poll_us } => {
                    let opened = XdpPort::open_share(umem, interface, options(*busy_poll_us), share.clone());
                    Box::new(SharedPort::new(opened.with_context(|| key(port))?, relay))
                }
                _ => Box::new(relay),
            })
        })
        .collect()
}

fn options(busy_poll_us: u32) -> XdpOptions {
    XdpOptions { busy_poll_us, ..XdpOptions::default() }
}

fn key(port: &PortConfig) -> String {
    format!("port[{}].interface", port.id.0)
}

fn open(
    config: &NodeConfig,
    port: &PortConfig,
    umem: &Umem,
    share: XdpShare,
    kernel: Option<KernelShare>,
) -> Result<Box<dyn Port>, PortError> {
    Ok(match &port.attachment {
        Attachment::AfXdp { interface, busy_poll_us } => {
            let options = XdpOptions { kernel, ..options(*busy_poll_us) };
            Box::new(XdpPort::open_share(umem, interface, options, share)?)
        }
        Attachment::AfPacket { interface } => {
            // The kernel has the address of the programs, and sees every packet that such a port sees.
            if config.programs_address().is_some() && kernel_speaks_ipv6(interface) {
                return Err(PortError::KernelAnswers(interface.clone()));
            }
            Box::new(PacketPort::open(interface, false)?)
        }
        Attachment::Tun { interface } => {
            let mtu = port.mtu.map_or(TUN_MTU, usize::from);
            let programs = config.programs_address().filter(|_| config.programs_port() == Some(port.id));
            let addresses = port.addresses.iter().map(|address| (address.address, address.prefix.length()));
            let programs_address = programs.map(|address| (address, 128));
            // What programs of this host send goes through the node.
            let routes = programs.map(|_| HostRoute::to(Prefix::DEFAULT));
            Box::new(TunPort::open(TunOptions {
                name: interface.clone(),
                mtu,
                addresses: addresses.chain(programs_address).collect(),
                routes: routes.into_iter().collect(),
            })?)
        }
        Attachment::Link { link } => return Err(PortError::NoSuchInterface(link.clone())),
    })
}

/// Whether the kernel takes IPv6 packets from this interface. One that is not there is another error's business.
fn kernel_speaks_ipv6(interface: &str) -> bool {
    let setting = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    std::fs::read_to_string(setting).is_ok_and(|disabled| disabled.trim() == "0")
}
