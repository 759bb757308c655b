//! The two rtnetlink(7) sockets: one that is told of changes, one that asks for everything.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

// RTNLGRP_* of linux/rtnetlink.h.
const LINK: u32 = 1;
const IPV6_IFADDR: u32 = 9;
const IPV6_ROUTE: u32 = 11;
/// MSG_TRUNC: says how long a datagram was that did not fit.
const TRUNCATED: i32 = 0x20;
/// The kernel makes no datagram of rtnetlink that is longer.
const LONGEST: usize = 64 << 10;
/// What may wait to be read, where the kernel allows it.
const RECEIVE_BUFFER_OCTETS: i32 = 8 << 20;

/// What is asked for, in this order: routes are by links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    Links,
    Addresses,
    Routes,
}

/// A socket that never blocks.
#[derive(Debug)]
pub(super) struct RouteSocket {
    socket: Socket,
    buffer: Vec<u8>,
}

impl RouteSocket {
    /// One that asks.
    pub(super) fn asking() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        Ok(RouteSocket { socket, buffer: Vec::with_capacity(LONGEST) })
    }

    /// One that is told of changed links, addresses and routes from now on.
    pub(super) fn listening() -> io::Result<Self> {
        let mut socket = RouteSocket::asking()?;
        // The kernel gives what it allows.
        let _ = socket.socket.set_rx_buf_sz(RECEIVE_BUFFER_OCTETS);
        for group in [LINK, IPV6_IFADDR, IPV6_ROUTE] {
            socket.socket.add_membership(group)?;
        }
        socket.buffer.clear();
        Ok(socket)
    }

    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Asks for all of a subject.
    pub(super) fn ask(&self, subject: Subject) -> io::Result<()> {
        let message = match subject {
            Subject::Links => RouteNetlinkMessage::GetLink(LinkMessage::default()),
            Subject::Addresses => {
                let mut message = AddressMessage::default();
                message.header.family = AddressFamily::Inet6;
                RouteNetlinkMessage::GetAddress(message)
            }
            Subject::Routes => {
                let mut message = RouteMessage::default();
                message.header.address_family = AddressFamily::Inet6;
                RouteNetlinkMessage::GetRoute(message)
            }
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        self.socket.send_to(&octets, &SocketAddr::new(0, 0), 0).map(drop)
    }

    /// The next datagram; [`io::ErrorKind::WouldBlock`] where none waits, ENOBUFS where some were lost.
    pub(super) fn receive(&mut self) -> io::Result<&[u8]> {
        self.buffer.clear();
        loop {
            match self.socket.recv(&mut self.buffer, TRUNCATED) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(length) if length > self.buffer.len() => return Err(io::ErrorKind::InvalidData.into()),
                Ok(_) => return Ok(&self.buffer),
            }
        }
    }
}
