//! A host with nothing of ours joins a terminal's group behind an access router of ours, and has what the mobility agent
//! sends: its kernel speaks MLDv2, or version 1, our querier and PIM build the branch. And the opposite: a terminal whose key is wrong
//! gets nothing at all.

use crate::room::{interface_index, shared, until};
use crate::site::{Site, granted_group, topology, topology_with_rendezvous_point};
use serde_json::Value::Null;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub(crate) const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 1);
pub(crate) const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 0x55);
pub(crate) const HOME_ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x55);
pub(crate) const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x10);
const GRE: u8 = 47;
/// Octets of a GRE header with key and sequence number, and where its protocol is.
const GRE_LEN: usize = 12;
const GRE_FLAGS: u8 = 0x30;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;

/// `struct group_source_req`.
#[repr(C)]
struct GroupSourceRequest {
    interface: u32,
    group: libc::sockaddr_storage,
    source: libc::sockaddr_storage,
}

/// An ordinary socket for GRE packets of one source to one group.
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Joins the terminal's group for what its agent sends; in the namespace of this thread.
    pub(crate) fn join(interface: &str) -> Self {
        let listener = Listener::open();
        join_source(&listener.0, interface, GROUP, AGENT);
        listener
    }

    /// Joins a group whoever sends; in the namespace of this thread.
    pub(crate) fn join_any_source(interface: &str, group: Ipv6Addr) -> Self {
        let listener = Listener::open();
        let request = libc::ipv6_mreq {
            ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
            ipv6mr_interface: interface_index(interface),
        };
        // SAFETY: `request` is as long as is said.
        let joined = unsafe {
            let (value, length) = ((&raw const request).cast(), size_of::<libc::ipv6_mreq>() as u32);
            libc::setsockopt(listener.0.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, value, length)
        };
        assert_eq!(joined, 0, "{}", io::Error::last_os_error());
        listener
    }

    fn open() -> Self {
        // SAFETY: no pointer is passed; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_INET6, libc::SOCK_RAW | libc::SOCK_NONBLOCK, GRE.into()) };
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        // SAFETY: a descriptor that was just made and that nothing else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Listener(fd)
    }

    /// A packet that waits, from its GRE header on, and its source.
    pub(crate) fn receive(&self) -> Option<(Ipv6Addr, Vec<u8>)> {
        let mut packet = vec![0; 2000];
        // SAFETY: all zeros is a valid sockaddr_in6.
        let mut source: libc::sockaddr_in6 = unsafe { zeroed() };
        let mut source_len = size_of::<libc::sockaddr_in6>() as u32;
        // SAFETY: the octets of `packet`, and an address as long as is said.
        let length = unsafe {
            let address = (&raw mut source).cast();
            libc::recvfrom(self.0.as_raw_fd(), packet.as_mut_ptr().cast(), packet.len(), 0, address, &mut source_len)
        };
        packet.truncate(usize::try_from(length).ok()?);
        Some((source.sin6_addr.s6_addr.into(), packet))
    }
}

/// Joins a group for one source; in the namespace of the socket.
pub(crate) fn join_source(socket: &impl AsRawFd, interface: &str, group: Ipv6Addr, source: Ipv6Addr) {
    let request =
        GroupSourceRequest { interface: interface_index(interface), group: storage(group), source: storage(source) };
    // SAFETY: `request` is laid out as the kernel has it, and as long as is said.
    let joined = unsafe {
        let length = size_of::<GroupSourceRequest>() as u32;
        let value = (&raw const request).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::MCAST_JOIN_SOURCE_GROUP, value, length)
    };
    assert_eq!(joined, 0, "{}", io::Error::last_os_error());
}

fn storage(address: Ipv6Addr) -> libc::sockaddr_storage {
    // SAFETY: all zeros is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    // SAFETY: a sockaddr_storage holds any address, and is aligned for it.
    let six = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in6>() };
    six.sin6_family = libc::AF_INET6 as u16;
    six.sin6_addr.s6_addr = address.octets();
    storage
}

/// A program's socket in a node's or host's namespace.
pub(crate) fn udp(site: &Site, node: &str, address: Ipv6Addr) -> UdpSocket {
    site.room().within(node, || {
        let socket = UdpSocket::bind(SocketAddrV6::new(address, 0, 0, 0)).expect("the address is this host's");
        socket.set_nonblocking(true).expect("a socket can be that");
        socket
    })
}

/// The ports that the agents and routers on the way send the group to.
fn branches(site: &Site, node: &str) -> String {
    let routes = site.node(node).rows("mroutes");
    let route = routes.iter().find(|route| route["group"] == GROUP.to_string());
    route.and_then(|route| Some(route["out"].as_str()?.to_owned())).unwrap_or_default()
}

#[test]
fn a_host_with_nothing_of_ours_receives_what_the_agent_sends() {
    let Some(_shared) = shared() else { return };
    let mut site = Site::new(&topology());
    site.add_host("listener", "radio-b", "2001:db8:200:b::99/64");
    site.await_registration();
    until("the terminal's branch", || (branches(&site, "core") == "a").then_some(()));

    let listener = site.room().within("listener", || Listener::join("eth0"));
    until("the listener's branch", || (branches(&site, "core") == "a b").then_some(()));
    let groups = site.node("b").rows("groups");
    let group = groups.iter().find(|group| group["group"] == GROUP.to_string()).expect("its querier has the group");
    assert_eq!((&group["mode"], &group["sources"]), (&"include".into(), &AGENT.to_string().into()), "{group}");

    // A program of the correspondent sends to the home address: the terminal's program has it, and the listener.
    let sender = udp(&site, "cn", CORRESPONDENT);
    let receiver = udp(&site, "mt", HOME_ADDRESS);
    let SocketAddr::V6(at) = receiver.local_addr().expect("it is bound") else { panic!("IPv6") };
    let text = b"to the home address";
    let (source, packet) = until("a packet of the group", || {
        sender.send_to(text, at).expect("it can be sent");
        listener.receive()
    });
    assert_eq!(source, AGENT);
    let (gre, inner) = packet.split_at(GRE_LEN);
    assert_eq!((gre[0], &gre[2..4]), (GRE_FLAGS, &[0x86, 0xdd][..]), "key and sequence number; IPv6 within");
    assert_eq!(inner[8..24], CORRESPONDENT.octets());
    assert_eq!(inner[24..40], HOME_ADDRESS.octets());
    assert_eq!(inner[IPV6_LEN + UDP_LEN..], text[..]);
    let mut received = [0; 100];
    let (length, from) = until("the terminal's program", || receiver.recv_from(&mut received).ok());
    assert_eq!((&received[..length], from.ip()), (&text[..], CORRESPONDENT.into()));

    // The kernel leaves; the branch goes, the terminal's stays.
    drop(listener);
    until("the branch is gone", || (branches(&site, "core") == "a").then_some(()));
    until("the terminal's program", || {
        sender.send_to(b"later", at).expect("it can be sent");
        let (length, _) = receiver.recv_from(&mut received).ok()?;
        (received[..length] == *b"later").then_some(())
    });
}

/// Version 1 of MLD has no sources, so that its hosts can hear terminals whose groups name their rendezvous point (RFC 3956).
#[test]
fn a_host_that_speaks_version_1_receives_and_leaves() {
    let Some(_shared) = shared() else { return };
    let mut site = Site::new(&topology_with_rendezvous_point());
    site.add_host("listener", "radio-b", "2001:db8:200:b::99/64");
    site.room().sysctl("listener", "net/ipv6/conf/eth0/force_mld_version", "1");
    let group = granted_group(&site);
    let known =
        || site.node("b").rows("groups").into_iter().find(|row| row["group"] == group && row["version"] != Null);

    let listener =
        site.room().within("listener", || Listener::join_any_source("eth0", group.parse().expect("a group")));
    let row = until("its querier has the group", known);
    assert_eq!((&row["mode"], &row["version"]), (&"exclude".into(), &1.into()), "{row}");
    let sender = udp(&site, "cn", CORRESPONDENT);
    let to = SocketAddrV6::new(HOME_ADDRESS, 9, 0, 0);
    let (source, _) = until("a packet of the group", || {
        sender.send_to(b"to the home address", to).expect("it can be sent");
        listener.receive()
    });
    assert_eq!(source, AGENT);

    // The kernel says Done, and nobody answers the questions about the group.
    drop(listener);
    until("the group is gone", || known().is_none().then_some(()));
    assert!(site.node("b").counter("pim", "rx-mld-v1-done") > 0);
}

#[test]
fn a_terminal_with_a_wrong_key_is_not_registered() {
    let Some(_shared) = shared() else { return };
    let right = topology();
    // The last of the two is the terminal's own.
    let key = "93c4e7a10b5d2f68147c9eb03a56d8f2";
    let (before, after) = right.rsplit_once(key).expect("the lab file has the key");
    assert!(before.contains(key));
    let site = Site::new(&format!("{before}00000000000000000000000000000000{after}"));
    let agent = site.node("mma1");
    let refused = || agent.counter("mma", "refused-authentication");
    until("the agent refuses", || (refused() >= 2).then_some(()));
    assert!(agent.rows("bindings").is_empty());
    assert!(site.node("ha").rows("bindings").is_empty(), "home is registered after the agent alone");
    assert_eq!(branches(&site, "core"), "");
    assert!(!site.room().ping("cn", &HOME_ADDRESS.to_string()), "nothing is delivered");
}
